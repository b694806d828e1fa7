"""Freeze an Airflow Dag file, its tasks and their dependencies into one executable that Airflow's workers run.

This one file is the whole project: the library that answers `import airflow.sdk` inside a bundle, the runner that
executes a task under Airflow's supervisor, and the command line that builds, lists and inspects bundles.

    python coordinator_bundle.py build my_dag.py       freeze a Dag file into dist/my_dag   (make bundle DAG=my_dag.py)
    ./dist/my_dag --parse                              list what is in it
    ./dist/my_dag --comm=HOST:PORT --logs=HOST:PORT    run a task; Airflow's ExecutableCoordinator calls this

The sections stand in the order in which data flows, and each uses those above it:

    Framing        bytes <-> frames
    Messages       frames <-> typed messages
    Serde          Python values <-> Airflow's JSON form of them
    Registry       what a Dag file declares; `airflow.sdk` inside a bundle
    Dag form       Dags <-> Airflow's serialised form of them
    Runner         log channel, supervisor client, one task from start to end
    Packing        the bundle file: trailer, manifest, building, checking
    Run            a whole Dag here and now, without Airflow
    Graph          a Dag as a drawing
    Command line   what the flags do

The module is imported at the start of every task, so it imports nothing that not every task needs.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any, Literal, NoReturn

VERSION = "0.1.0"
SDK_NAME = "python"
SCHEMA_VERSION = "2026-06-16"
AIRFLOW_VERSION = "3.3.2"
TASK_SDK_VERSION = "1.3.2"


class BundleError(Exception):
    """Base of every error this module raises on purpose. The message says what was wrong and what to do."""


########################################################################################################################
# Framing: bytes <-> frames. No socket, no message knowledge.
########################################################################################################################
# A frame is a 4-byte big-endian length and that many bytes of msgpack. A request is `[id, body]` or `[id, body, trace
# context]`, a response `[id, body, error]`; airflow.sdk.execution_time.comms is where Airflow defines them.

MAX_FRAME_LENGTH = 2**32 - 1
HEADER_LENGTH = 4
# Receiving: what is read ahead while no payload is under way, and how far a payload's buffer may run ahead of it.
READ_AHEAD = 32 * 1024
GROWTH_LIMIT = 1024 * 1024
# Sending: a longer payload is packed a second time, behind its length, because copying it would hold it twice.
COPY_LIMIT = 256 * 1024


class FrameError(BundleError):
    """Bytes that are no frame, or a value that no frame can carry."""


class FrameReader:
    """Cuts a stream of bytes into frame payloads, however the stream was split.

    Bytes get in by `feed`, or without a copy by `get_buffer` (receive into it) and `buffer_updated` (how many came);
    payloads come out of `next_frame`. A payload's memory grows with what has arrived, never by what a header claims.
    Not for use by two threads at once.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._payload: bytearray | None = None  # the first `_filled` bytes have arrived, the rest is room
        self._length = 0
        self._filled = 0
        self._frames: list[bytes | bytearray] = []
        self._taken = 0
        self._error: FrameError | None = None
        self._scratch: bytearray | None = None
        self._lent: memoryview | None = None

    @property
    def needed(self) -> int:
        """How many bytes complete the header, or the payload, that is under way."""
        return HEADER_LENGTH - len(self._header) if self._payload is None else self._length - self._filled

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes as they came. What they break is raised by `next_frame`, after the good frames before it."""
        self._release()
        if self._error is not None:
            return
        view = memoryview(data).cast("B")
        position, end = 0, len(view)
        while position < end:
            if self._payload is None:
                taken = min(HEADER_LENGTH - len(self._header), end - position)
                self._header += view[position : position + taken]
                position += taken
                if len(self._header) < HEADER_LENGTH:
                    return
                self._length = int.from_bytes(self._header, "big")
                if not self._length:
                    self._error = FrameError(
                        "a frame of length zero arrived: every frame holds at least an id, so the other side does not "
                        "speak this protocol, or the stream is out of step"
                    )
                    return
                if end - position >= self._length:
                    self._frames.append(bytes(view[position : position + self._length]))
                    position += self._length
                    self._header.clear()
                    continue
                self._payload, self._filled = bytearray(), 0
            payload = self._payload
            assert payload is not None
            taken = min(self._length - self._filled, end - position)
            payload[self._filled : self._filled + taken] = view[position : position + taken]
            position += taken
            self._advance(taken)

    def get_buffer(self) -> memoryview:
        """Where to receive the next bytes (`socket.recv_into`, `os.readv`). Valid until `buffer_updated`."""
        self._release()
        payload = self._payload
        if payload is None or self._length - self._filled < READ_AHEAD:
            if self._scratch is None:
                self._scratch = bytearray(READ_AHEAD)
            self._lent = memoryview(self._scratch)
        else:
            if len(payload) == self._filled:
                ahead = min(max(self._filled, READ_AHEAD), GROWTH_LIMIT, self._length - self._filled)
                payload += bytes(ahead)
            self._lent = memoryview(payload)[self._filled :]
        return self._lent

    def buffer_updated(self, count: int) -> None:
        """`count` bytes have been received into the last `get_buffer`; zero means end of stream and calls `end`."""
        lent, self._lent = self._lent, None
        if lent is None:
            raise FrameError("buffer_updated() without a get_buffer() before it")
        into_scratch = lent.obj is self._scratch
        room = len(lent)
        if not 0 <= count <= room:
            lent.release()
            raise FrameError(f"buffer_updated({count}) for a buffer of {room} bytes")
        try:
            if into_scratch and count:
                with lent[:count] as received:
                    self.feed(received)
        finally:
            lent.release()
        if not count:
            self.end()
        elif not into_scratch:
            self._advance(count)

    def next_frame(self) -> bytes | bytearray | None:
        """The oldest complete payload not yet taken, or None.

        :raises FrameError: the stream is broken here; nothing more can be read from it.
        """
        if self._taken < len(self._frames):
            frame = self._frames[self._taken]
            self._frames[self._taken] = b""
            self._taken += 1
            if self._taken == len(self._frames):
                self._frames.clear()
                self._taken = 0
            return frame
        if self._error is not None:
            raise self._error
        return None

    def end(self) -> None:
        """The stream has ended.

        :raises FrameError: it ended inside a frame, or was broken before.
        """
        self._release()
        if self._error is not None:
            raise self._error
        if self._payload is not None:
            raise FrameError(
                f"the stream ended inside a frame: {self._filled} of {self._length} bytes of its payload came"
            )
        if self._header:
            raise FrameError(
                f"the stream ended inside a frame: {len(self._header)} of {HEADER_LENGTH} bytes of its header came"
            )

    def _advance(self, count: int) -> None:
        self._filled += count
        if self._filled == self._length:
            payload = self._payload
            assert payload is not None
            del payload[self._length :]
            self._frames.append(payload)
            self._payload = None
            self._header.clear()

    def _release(self) -> None:
        if self._lent is not None:
            self._lent.release()
            self._lent = None


def encode_request(
    id: int, body: dict[str, Any] | None, context_carrier: dict[str, str] | None = None
) -> bytes | memoryview:
    """A whole frame for the supervisor, in one buffer, so that sending it is one write.

    Aware datetimes become msgpack timestamps; nothing else is converted. How deep a body may nest is the business of
    the messages: the supervisor gives up far above what msgpack itself refuses here.

    :raises FrameError: the body holds what msgpack cannot carry (it names the type and the path), or the frame is
        longer than 2**32-1 bytes.
    """
    return _encode([id, body] if context_carrier is None else [id, body, context_carrier])


def encode_response(
    id: int, body: dict[str, Any] | None = None, error: dict[str, Any] | None = None
) -> bytes | memoryview:
    """A whole frame for a task, as `encode_request` makes one for the supervisor; always of three elements."""
    return _encode([id, body, error])


def decode_response(
    payload: bytes | bytearray | memoryview,
) -> tuple[int, dict[str, Any] | None, dict[str, Any] | None]:
    """`(id, body, error)` of a frame's payload; body and error are None where they are null or left out.

    Timestamps come as aware datetimes in UTC. Elements after the third are ignored, as Airflow's decoder does.

    :raises FrameError: the payload is not exactly one msgpack array of that shape.
    """
    elements = _decode(payload, "response", 1)
    return (
        elements[0],
        _optional_map(elements, 1, "the body of the response"),
        _optional_map(elements, 2, "the error of the response"),
    )


def decode_request(payload: bytes | bytearray | memoryview) -> tuple[int, dict[str, Any] | None, dict[str, str] | None]:
    """`(id, body, trace context)` of a request's payload: the supervisor's half of `encode_request`."""
    elements = _decode(payload, "request", 2)
    carrier = _optional_map(elements, 2, "the trace context of the request")
    for key, value in (carrier or {}).items():
        if not isinstance(value, str):
            raise FrameError(f"the trace context of the request holds a {_type_name(value)} under {key!r}, not a str")
    return elements[0], _optional_map(elements, 1, "the body of the request"), carrier


_msgpack: Any = None


def _load_msgpack() -> Any:
    global _msgpack
    if _msgpack is None:
        try:
            import msgpack  # type: ignore[import-untyped]
        except ImportError as error:
            raise BundleError(f"msgpack is not installed ({error}): pip install msgpack") from None
        _msgpack = msgpack
    return _msgpack


def _encode(elements: list[Any]) -> bytes | memoryview:
    msgpack = _msgpack or _load_msgpack()
    # A packer of its own for each frame: threads may encode at the same time, and a kept one would keep its buffer.
    packer = msgpack.Packer(autoreset=False, datetime=True, default=_pack_unusual, buf_size=1024)
    length = _pack(packer, elements)
    if length <= COPY_LIMIT:
        with packer.getbuffer() as view:
            return length.to_bytes(HEADER_LENGTH, "big") + view
    # A packer's buffer cannot be written from outside, so its first bytes must be right when they are packed. An
    # extension of 4 bytes is 2 bytes of its own and then those 4 bytes as they are: the length. The second packing
    # goes into memory that is there already, and no copy of a big value is ever made.
    packer.reset()
    packer.pack_ext_type(0, length.to_bytes(HEADER_LENGTH, "big"))
    if _pack(packer, elements) != length + 6:
        raise FrameError("a value changed while it was being sent: another thread works on it")
    return packer.getbuffer()[2:]


def _pack(packer: Any, elements: list[Any]) -> int:
    try:
        packer.pack(elements)
    except FrameError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        _raise_unpackable(elements, error)
    with packer.getbuffer() as view:
        length = len(view)
    if length > MAX_FRAME_LENGTH:
        raise FrameError(
            f"a frame of {length} bytes cannot be sent: {MAX_FRAME_LENGTH} is the most; store the value elsewhere"
        )
    return length


def _pack_unusual(value: Any) -> Any:
    # msgpack knows datetime itself but no class derived from it, and pendulum's is what Airflow authors hold.
    import datetime

    if isinstance(value, datetime.datetime) and value.utcoffset() is not None:
        utc = value.astimezone(datetime.timezone.utc)
        return datetime.datetime.combine(
            datetime.date(utc.year, utc.month, utc.day),
            datetime.time(utc.hour, utc.minute, utc.second, utc.microsecond),
            utc.tzinfo,
        )
    if isinstance(value, int):
        raise TypeError("an integer of more than 64 bits")
    raise TypeError("msgpack has no form for it")


def _raise_unpackable(elements: list[Any], error: BaseException) -> NoReturn:
    # Only now, after the fact, is the path worth looking for. An iterative walk: the value may be too deep to recurse.
    msgpack = _load_msgpack()
    packer = msgpack.Packer(datetime=True, default=_pack_unusual, buf_size=1024)
    names = ("id", "body", "context_carrier")
    stack: list[tuple[Any, str, int]] = [
        (element, names[index], 0) for index, element in reversed(list(enumerate(elements)))
    ]
    seen_deep = False
    while stack:
        value, path, depth = stack.pop()
        if depth > 900:
            seen_deep = True
            break
        if isinstance(value, dict):
            for key in value:
                try:
                    packer.pack(key)
                except Exception as key_error:
                    raise FrameError(
                        f"{path}: {_type_name(key)} as a key cannot be sent ({_short(key_error)})"
                    ) from None
            stack.extend((item, f"{path}.{key}", depth + 1) for key, item in reversed(list(value.items())))
        elif isinstance(value, (list, tuple)):
            stack.extend((item, f"{path}[{index}]", depth + 1) for index, item in reversed(list(enumerate(value))))
        else:
            try:
                packer.pack(value)
            except Exception as value_error:
                raise FrameError(f"{path}: {_type_name(value)} cannot be sent ({_short(value_error)})") from None
    if seen_deep or isinstance(error, RecursionError):
        raise FrameError("the body is nested too deeply to be sent, or contains itself") from None
    raise FrameError(f"the frame cannot be encoded: {_short(error)}") from error


def _decode(payload: bytes | bytearray | memoryview, what: str, least: int) -> list[Any]:
    msgpack = _msgpack or _load_msgpack()
    pause = len(payload) > COPY_LIMIT
    if pause:
        # Millions of new containers, none of them garbage: looking through them again and again takes most of the time.
        import gc

        pause = gc.isenabled()
        gc.disable()
    try:
        # unpackb holds every declared length against the payload's own, so a lie costs an error and no memory.
        elements = msgpack.unpackb(payload, timestamp=3, strict_map_key=True, ext_hook=_refuse_extension)
    except FrameError:
        raise
    except msgpack.ExtraData as error:
        raise FrameError(f"a {what} frame has {len(error.extra)} bytes after its end") from None
    except msgpack.StackError:
        raise FrameError(f"a {what} frame is nested too deeply to be read") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FrameError(
            f"a {what} frame of {len(payload)} bytes is not msgpack that can be read: {_short(error)}"
        ) from None
    finally:
        if pause:
            gc.enable()
    if not isinstance(elements, list):
        raise FrameError(f"a {what} frame holds a {_type_name(elements)}, not an array")
    if len(elements) < least:
        raise FrameError(f"a {what} frame has {len(elements)} elements, at least {least} belong in it")
    if type(elements[0]) is not int:
        raise FrameError(f"the id of a {what} frame is a {_type_name(elements[0])}, not an int")
    return elements


def _optional_map(elements: list[Any], index: int, what: str) -> dict[str, Any] | None:
    value = elements[index] if index < len(elements) else None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise FrameError(f"{what} is a {_type_name(value)}, not a map")
    for key in value:
        if not isinstance(key, str):
            raise FrameError(f"{what} has a {_type_name(key)} as a key, not a str")
    return value


def _refuse_extension(code: int, data: bytes) -> NoReturn:
    raise FrameError(f"a msgpack extension of type {code} arrived: only timestamps (-1) are part of the protocol")


def _type_name(value: object) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _short(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."


########################################################################################################################
# Messages: frames <-> typed messages. The whole supervisor schema, checked both ways.
########################################################################################################################
# One class a definition of airflow/sdk/execution_time/schema/schema.json, fields and nothing else. The base class reads
# a class's annotations when the class is first used, because a task uses a dozen of them and pays for importing all.
#
# What we build is checked strictly: to a body that does not validate, the supervisor never answers. What we decode is
# taken leniently where versions of the supervisor differ: unknown fields are kept aside, a missing field that may be
# null is null, null for a field with a default is the default.

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from typing import ClassVar, Literal, TypeVar

    from typing_extensions import Self, dataclass_transform

    MessageT = TypeVar("MessageT")
    Check = Callable[[Any, bool], Any]  # value, strict -> what the message holds
    Dump = Callable[[Any, bool], Any]  # value, exclude_unset -> what the wire carries
    JsonValue = Any
    NonEmptyList = list
    UuidText = str
    PathText = str
else:

    def dataclass_transform(**_):
        return lambda cls: cls


# pydantic gives up on a JSON value of 255 containers inside each other (pydantic-core's recursion guard), and then the
# supervisor does not answer; msgspec raises out of the supervisor at about 1000.
MAX_DEPTH = 250


class MessageError(BundleError):
    """A message that the supervisor schema does not allow. It names the message and the path to the field."""


class _EnumerationType(type):
    """Lets an `Enumeration` be called, iterated and asked `in` as an `enum.Enum` can, without importing enum."""

    _members: dict[str, Any]

    def __call__(cls, value: object) -> Any:
        try:
            return cls._members[value]  # type: ignore[index]
        except (KeyError, TypeError):
            raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._members.values())

    def __len__(cls) -> int:
        return len(cls._members)

    def __contains__(cls, value: object) -> bool:
        return value in cls._members

    def __getitem__(cls, name: str) -> Any:
        return cls.__dict__[name]


class Enumeration(str, metaclass=_EnumerationType):
    """A string that is one of a fixed set: `TaskInstanceState.FAILED == "failed"`, with `.name` and `.value`."""

    VALUES: ClassVar[tuple[str, ...]] = ()
    name: str
    value: str

    def __init_subclass__(cls) -> None:
        cls._members = {}
        for name, value in list(cls.__dict__.items()):
            if name.isupper() and name != "VALUES":
                member = str.__new__(cls, value)
                member.name, member.value = name, value
                cls._members[value] = member
                setattr(cls, name, member)
        cls.VALUES = tuple(cls._members)
        if cls.__module__ == __name__:
            _definitions[cls.__name__] = cls

    def __str__(self) -> str:
        # What an enum.Enum that is a string makes of itself, and so what a template makes of it in Airflow.
        return f"{type(self).__name__}.{self.name}"

    def __format__(self, spec: str) -> str:
        return format(str(self) if sys.version_info >= (3, 11) else self.value, spec)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __reduce__(self) -> Any:
        return type(self), (self.value,)


# Every class of the schema by its name there, and those of them that can be the body of a frame by their `type`.
_definitions: dict[str, Any] = {}
MESSAGES: dict[str, type[Tagged]] = {}


@dataclass_transform(kw_only_default=True)
class Message:
    """Base of every definition of the schema: fields as keyword arguments, checked; then plain attributes.

    :raises MessageError: a required field is missing, a field is unknown, a value does not fit.
    """

    type: ClassVar[str | None] = None
    # Fields that `repr` must not show.
    _secrets: ClassVar[tuple[str, ...]] = ()
    # Other names under which a field may arrive.
    _aliases: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        _definitions[cls.__name__] = cls

    def __init__(self, **fields: Any) -> None:
        try:
            _fill(self, fields, True)
        except _Mismatch as mismatch:
            raise mismatch.error(self.__class__) from None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Decode a map as it came off the wire.

        :raises MessageError: as when building, but see the top of this section for what is let pass.
        """
        if not isinstance(body, dict):
            raise MessageError(f"{cls.__name__}: expected a map, got {_type_name(body)}")
        try:
            return _read(cls, body)
        except _Mismatch as mismatch:
            raise mismatch.error(cls) from None

    def to_body(self, *, exclude_unset: bool = False) -> dict[str, Any]:
        """The map that goes over the wire: every field, defaults too, as Airflow's runner sends it.

        Values are shared with the message, not copied. With `exclude_unset`, only the fields of `fields_set`.
        """
        return _dump(self.__class__, self, exclude_unset)

    @property
    def fields_set(self) -> frozenset[str]:
        """The fields that were given, or came over the wire; the others hold their defaults."""
        held = self.__dict__
        unset = held.get("_unset", ())
        return frozenset([row[0] for row in _plan(self.__class__) if row[0] in held and row[0] not in unset])

    @property
    def extra_fields(self) -> dict[str, Any]:
        """What arrived beside the fields of the schema, from a newer supervisor."""
        extra: dict[str, Any] = self.__dict__.get("_extra") or {}
        return extra

    def __repr__(self) -> str:
        import reprlib

        short = reprlib.Repr()
        short.maxstring = short.maxother = 200
        fields_set = self.fields_set
        parts = []
        for name, *_ in _plan(self.__class__):
            if name in fields_set:
                value = getattr(self, name)
                hidden = name in self._secrets and value is not None
                parts.append(
                    f"{name}={'***' if hidden else repr(value) if isinstance(value, Message) else short.repr(value)}"
                )
        return f"{self.__class__.__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return all(getattr(self, row[0]) == getattr(other, row[0]) for row in _plan(self.__class__))


class Tagged(Message):
    """A message that can be the body of a frame: its class name is its `type`."""

    def __init_subclass__(cls) -> None:
        name = cls.__name__
        cls.type = name
        _definitions[name] = MESSAGES[name] = cls


def decode_message(body: Mapping[str, Any]) -> Tagged:
    """The message that a frame's body is, by its `type`.

    :raises MessageError: there is no such type in this version of the schema, or the body does not fit it.
    """
    if not isinstance(body, dict):
        raise MessageError(f"the body of a frame must be a map, got {_type_name(body)}")
    tag = body.get("type")
    cls = MESSAGES.get(tag) if isinstance(tag, str) else None
    if cls is None:
        if tag is None:
            raise MessageError("the body of a frame has no `type`")
        raise MessageError(
            f"unknown message type {_shown(tag)}: this bundle speaks supervisor schema {SCHEMA_VERSION}; "
            "rebuild it with a newer coordinator_bundle if Airflow is newer"
        )
    return cls.from_body(body)


class _Mismatch(Exception):
    """A value that does not fit; each level it passes on its way up puts its own step before the path."""

    def __init__(self, what: str, step: str = "", wrong_kind: bool = False) -> None:
        self.what = what
        self.steps = [step] if step else []
        # Not even the right sort of value: another member of a union may be meant.
        self.wrong_kind = wrong_kind

    def at(self, step: str) -> _Mismatch:
        self.steps.append(step)
        return self

    def error(self, cls: type[Message]) -> MessageError:
        return MessageError(f"{cls.__name__}{''.join(reversed(self.steps))}: {self.what}")


def _expected(what: str, value: object) -> _Mismatch:
    # The type only: the value may be a secret.
    return _Mismatch(f"expected {what}, got {'null' if value is None else _type_name(value)}", wrong_kind=True)


def _shown(value: object) -> str:
    # Of a container only what it is: its text may be endless, or too deep to be made.
    if not isinstance(value, (str, float, type(None))) and not (isinstance(value, int) and -(2**64) < value < 2**64):
        return f"a {_type_name(value)}"
    text = repr(value[:101] if isinstance(value, str) else value)
    return text if len(text) <= 100 else text[:100] + "..."


# A class's plan is one row a field: name, check, dump (None where values go out as they are), default, nullable.
_Row = tuple  # [str, Check, Dump | None, Any, bool]
_REQUIRED = object()
_plans: dict[type, list[_Row]] = {}


def _plan(cls: type[Message]) -> list[_Row]:
    plan = _plans.get(cls)
    if plan is None:
        fields: dict[str, _Row] = {}
        for base in reversed(cls.__mro__):
            if base is not Message and issubclass(base, Message):
                for name, annotation in base.__annotations__.items():
                    check, dump, nullable = _compile(annotation)
                    fields[name] = (name, check, dump, base.__dict__.get(name, _REQUIRED), nullable)
        plan = _plans[cls] = list(fields.values())
    return plan


def _fill(message: Message, values: Mapping[str, Any], strict: bool) -> None:
    cls = message.__class__
    held = message.__dict__
    if cls._aliases and not strict:
        values = {cls._aliases.get(name, name): value for name, value in values.items()}
    known = 0
    missing = []
    for name, check, _, default, nullable in _plan(cls):
        if name in values:
            known += 1
            value = values[name]
            if value is None and not nullable and default is not _REQUIRED and not strict:
                pass
            else:
                try:
                    held[name] = check(value, strict)
                except _Mismatch as mismatch:
                    raise mismatch.at(f".{name}") from None
                continue
        if default is _REQUIRED:
            if strict or not nullable:
                missing.append(name)
                continue
            default = None
        elif default.__class__ is list:
            default = []
        else:
            continue
        held[name] = default
        held.setdefault("_unset", set()).add(name)
    if missing:
        raise _Mismatch(f"missing {', '.join(missing)}")
    if known != len(values):
        _sort_out_the_rest(message, values, strict)


def _sort_out_the_rest(message: Message, values: Mapping[str, Any], strict: bool) -> None:
    cls = message.__class__
    names = [row[0] for row in _plan(cls)]
    extra = {name: value for name, value in values.items() if name not in names}
    if cls.type is not None and "type" in extra:
        tag = extra.pop("type")
        if tag != cls.type:
            raise _Mismatch(f"the type is {_shown(tag)}")
    if extra and strict:
        raise _Mismatch(f"unknown field {', '.join(map(str, extra))}; it has {', '.join(names) or 'none'}")
    if extra:
        message.__dict__["_extra"] = extra


def _read(cls: type[MessageT], body: Mapping[str, Any]) -> MessageT:
    message = cls.__new__(cls)
    _fill(message, body, False)  # type: ignore[arg-type]
    return message


def _dump(cls: type[Message], message: Message, exclude_unset: bool = False) -> dict[str, Any]:
    held = message.__dict__
    unset = held.get("_unset", ())
    body: dict[str, Any] = {}
    for name, _, dump, default, _ in _plan(cls):
        if exclude_unset and (name not in held or name in unset):
            continue
        value = held.get(name, default)
        body[name] = value if dump is None or value is None else dump(value, exclude_unset)
    if cls.type is not None:
        body["type"] = cls.type
    return body


# Annotations to checks. A check takes a value and whether we build (strict) or decode, and returns what the message
# holds. Compiled once for each annotation, not each field.

_compiled: dict[str, tuple[Any, Any, bool]] = {}


def _compile(annotation: str) -> tuple[Check, Dump | None, bool]:
    """`(check, dump, nullable)` of an annotation's text."""
    result = _compiled.get(annotation)
    if result is None:
        members = _split(annotation, "|")
        nullable = "None" in members
        if nullable:
            members.remove("None")
        check, dump = _compile_one(members[0]) if len(members) == 1 else _compile_union(members)
        if nullable:
            check = _or_null(check)
        # JsonValue and Any include null by themselves.
        result = _compiled[annotation] = check, dump, nullable or annotation in ("JsonValue", "Any")
    return result


def _split(text: str, separator: str) -> list[str]:
    if separator not in text:
        return [text]
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == separator and not depth:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return parts


def _or_null(check: Check) -> Check:
    def check_or_null(value: Any, strict: bool) -> Any:
        return None if value is None else check(value, strict)

    return check_or_null


def _compile_one(annotation: str) -> tuple[Check, Dump | None]:
    simple = _SIMPLE.get(annotation)
    if simple is not None:
        return simple
    if annotation in _definitions:
        cls = _definitions[annotation]
        return _member_of(cls) if issubclass(cls, Enumeration) else _nested(cls)
    origin, _, inner = (
        annotation.rstrip("]").partition("[") if annotation.count("[") == 1 else annotation[:-1].partition("[")
    )
    arguments = _split(inner, ",")
    if origin == "Literal":
        return _one_of(tuple([argument.strip("\"'") for argument in arguments]))
    if origin == "dict":
        return _dict_of(arguments[1])
    if origin == "tuple":
        return _tuple_of(arguments)
    if origin in ("list", "NonEmptyList"):
        return _list_of(arguments[0], origin == "NonEmptyList")
    raise AssertionError(f"no check for the annotation {annotation}")


def _compile_union(members: list[str]) -> tuple[Check, Dump | None]:
    if all(member in MESSAGES for member in members):
        return _tagged_union(members)
    checks = [_compile(member)[0] for member in members]

    def check_union(value: Any, strict: bool) -> Any:
        for check in checks:
            try:
                return check(value, strict)
            except _Mismatch as mismatch:
                if mismatch.steps or not mismatch.wrong_kind:
                    raise
        raise _expected(" or ".join(members), value)

    return check_union, None


def _tagged_union(members: list[str]) -> tuple[Check, Dump]:
    def check_tagged(value: Any, strict: bool) -> Any:
        tag = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        if tag not in members:
            if isinstance(value, dict):
                raise _Mismatch(f"expected one of {', '.join(members)} as its type, got {_shown(tag)}")
            raise _expected(" or ".join(members), value)
        return _compile(tag)[0](value, strict)

    return check_tagged, lambda value, exclude_unset: _dump(value.__class__, value, exclude_unset)


def _nested(cls: type[Message]) -> tuple[Check, Dump]:
    def check_nested(value: Any, strict: bool) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise _expected(cls.__name__, value)
        if not strict:
            return _read(cls, value)
        message = cls.__new__(cls)
        _fill(message, value, True)
        return message

    # By the declared class: a DagRunResult in the place of a DagRun must not bring its `type` along.
    return check_nested, lambda value, exclude_unset: _dump(cls, value, exclude_unset)


def _one_of(values: tuple[str, ...]) -> tuple[Check, None]:
    def check_one_of(value: Any, strict: bool) -> Any:
        # A str of another class is an author's enum member: the wire takes its text.
        if not isinstance(value, str) or value not in values:
            raise _Mismatch(f"expected one of {', '.join(values)}, got {_shown(value)}")
        return value if value.__class__ is str else str.__str__(value)

    return check_one_of, None


def _member_of(enumeration: type[Enumeration]) -> tuple[Check, Dump]:
    check_one_of, _ = _one_of(enumeration.VALUES)
    members = enumeration._members

    def check_member(value: Any, strict: bool) -> Any:
        # Task code may ask a state for its `.value`, as it may in Airflow.
        return members[check_one_of(value, strict)]

    return check_member, lambda member, exclude_unset: str.__str__(member)


def _list_of(item: str, filled: bool) -> tuple[Check, Dump | None]:
    check, dump, _ = _compile(item)
    anything = item in ("Any", "JsonValue", "JsonValue | None")

    def check_list(value: Any, strict: bool) -> Any:
        if not isinstance(value, list) and not (strict and isinstance(value, tuple)):
            raise _expected(f"list[{item}]", value)
        if filled and strict and not value:
            raise _Mismatch("at least one item is needed")
        if anything:
            return check(value, strict)
        if item == "str" and set(map(type, value)) <= _STR_ONLY:
            return value
        items = []
        for index, each in enumerate(value):
            try:
                items.append(check(each, strict))
            except _Mismatch as mismatch:
                raise mismatch.at(f"[{index}]") from None
        return items

    def dump_list(value: Any, exclude_unset: bool) -> Any:
        assert dump is not None
        return [None if each is None else dump(each, exclude_unset) for each in value]

    return check_list, None if dump is None else dump_list


def _tuple_of(members: list[str]) -> tuple[Check, None]:
    checks = [_compile(member)[0] for member in members]

    def check_tuple(value: Any, strict: bool) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(checks):
            raise _expected(f"a pair ({', '.join(members)})", value)
        items = []
        for index, each in enumerate(value):
            try:
                items.append(checks[index](each, strict))
            except _Mismatch as mismatch:
                raise mismatch.at(f"[{index}]") from None
        return tuple(items)

    return check_tuple, None


def _dict_of(item: str) -> tuple[Check, None]:
    check, _, _ = _compile(item)
    anything = item in ("Any", "JsonValue", "JsonValue | None")

    def check_dict(value: Any, strict: bool) -> Any:
        if not isinstance(value, dict):
            raise _expected(f"dict[str, {item}]", value)
        for kind in set(map(type, value)):
            if not issubclass(kind, str):
                raise _Mismatch(f"expected str as every key, there is a {kind.__name__}")
        if anything:
            return check(value, strict)
        for key, each in value.items():
            try:
                check(each, strict)
            except _Mismatch as mismatch:
                raise mismatch.at(f"[{_shown(key)}]") from None
        return value

    return check_dict, None


def _check_str(value: Any, strict: bool) -> Any:
    if not isinstance(value, str):
        raise _expected("str", value)
    return value


def _check_int(value: Any, strict: bool) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _expected("int", value)
    return value


def _check_bool(value: Any, strict: bool) -> Any:
    if not isinstance(value, bool):
        raise _expected("bool", value)
    return value


def _check_float(value: Any, strict: bool) -> Any:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _expected("float", value)
    try:
        number = float(value)
    except OverflowError:
        raise _Mismatch("the number is too large for a float") from None
    if strict and number - number != 0:
        raise _Mismatch(f"{number} is not a number that JSON can carry")
    return number


def _check_uuid(value: Any, strict: bool) -> Any:
    text = str(value) if value.__class__.__name__ == "UUID" else value
    if not isinstance(text, str):
        raise _expected("a UUID", value)
    digits = text.replace("-", "")
    try:
        if len(text) == 36 and len(digits) == 32 and len(bytes.fromhex(digits)) == 16:
            if text[8] == text[13] == text[18] == text[23] == "-":
                return text
    except ValueError:
        pass
    raise _Mismatch(f"expected a UUID, got {_shown(text)}")


def _check_path(value: Any, strict: bool) -> Any:
    if strict and not isinstance(value, str):
        try:
            value = os.fspath(value)
        except TypeError:
            pass
    return _check_str(value, strict)


def _check_datetime(value: Any, strict: bool) -> Any:
    import datetime

    if isinstance(value, str):
        try:
            value = datetime_from_iso(value)
        except ValueError as error:
            raise _Mismatch(str(error)) from None
    if not isinstance(value, datetime.datetime):
        raise _expected("an aware datetime", value)
    if value.utcoffset() is None:
        if strict:
            raise _Mismatch("expected an aware datetime, this one has no time zone")
        value = value.replace(tzinfo=datetime.timezone.utc)
    return value


def _check_timedelta(value: Any, strict: bool) -> Any:
    import datetime

    if isinstance(value, datetime.timedelta):
        return value
    if isinstance(value, str):
        try:
            return duration_from_iso(value)
        except ValueError as error:
            raise _Mismatch(str(error)) from None
    if not strict and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return datetime.timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise _Mismatch(f"{_shown(value)} seconds are no duration") from None
    raise _expected("a timedelta", value)


def _check_any(value: Any, strict: bool) -> Any:
    if strict:
        _check_tree(value, False)
    return value


def _check_json(value: Any, strict: bool) -> Any:
    if strict:
        _check_tree(value, True)
    return value


_STR_ONLY = frozenset((str,))
_JSON_SCALARS = frozenset((str, int, float, bool, type(None)))
_JSON_BASES = (str, int, float)
_CONTAINERS = (dict, list, tuple)
_CHECKED_AT_ONCE = 1000


def _check_tree(value: Any, json: bool) -> None:
    # Looks at the set of types in many containers at once, which is made without running Python for each item. Depth
    # first, so that a value that contains itself is found by its depth; in batches, so that memory stays bounded.
    if value.__class__ in _JSON_SCALARS:
        return
    from itertools import chain, islice

    levels: list[Iterator[Any]] = [iter([(value,)])]
    while levels:
        nodes: list[Any] = list(islice(levels[-1], _CHECKED_AT_ONCE))
        if not nodes:
            levels.pop()
            continue
        dicts = [node for node in nodes if isinstance(node, dict)]
        held = [node.values() for node in dicts]
        held += nodes if not dicts else [node for node in nodes if not isinstance(node, dict)]
        if json:
            for kind in set(map(type, chain.from_iterable(dicts))) - _STR_ONLY:
                if not issubclass(kind, str):
                    raise _first_misfit(value)
        nested = False
        for kind in set(map(type, chain.from_iterable(held))) - _JSON_SCALARS:
            if issubclass(kind, _CONTAINERS):
                nested = True
            elif json and not issubclass(kind, _JSON_BASES):
                raise _first_misfit(value)
        if nested:
            if len(levels) > MAX_DEPTH:
                raise _Mismatch(
                    f"nested more than {MAX_DEPTH} deep, or containing itself: the supervisor gives up on that"
                )
            levels.append(iter([each for each in chain.from_iterable(held) if isinstance(each, _CONTAINERS)]))


def _first_misfit(value: Any) -> _Mismatch:
    stack = [(value, "", 0)]
    while stack:
        node, path, depth = stack.pop()
        if isinstance(node, dict):
            for key in node:
                if not isinstance(key, str):
                    return _Mismatch(f"a key of JSON is a str, not {_type_name(key)} ({_shown(key)})", step=path)
            children = [(each, f"{path}[{_shown(key)}]", depth + 1) for key, each in node.items()]
        elif isinstance(node, (list, tuple)):
            children = [(each, f"{path}[{index}]", depth + 1) for index, each in enumerate(node)]
        elif isinstance(node, _JSON_BASES) or node is None:
            continue
        else:
            return _Mismatch(f"{_type_name(node)} is not a JSON value", step=path)
        if depth <= MAX_DEPTH:
            stack.extend(reversed(children))
    return _Mismatch("not a JSON value")


_SIMPLE: dict[str, tuple[Check, Dump | None]] = {
    "str": (_check_str, None),
    "int": (_check_int, None),
    "bool": (_check_bool, None),
    "float": (_check_float, None),
    "UuidText": (_check_uuid, None),
    "PathText": (_check_path, None),
    "datetime": (_check_datetime, None),
    "timedelta": (_check_timedelta, lambda duration, exclude_unset: duration_to_iso(duration)),
    "Any": (_check_any, None),
    "JsonValue": (_check_json, None),
}


def datetime_from_iso(text: str) -> datetime:
    """An ISO 8601 date and time: `Z` or an offset, any number of fraction digits (those past the sixth are dropped).

    Python 3.10's own `fromisoformat` knows neither. Without an offset the result is naive.

    :raises ValueError: the text is none.
    """
    import datetime

    date, clock, offset = text[:10], text[11:], ""
    if clock[-1:] in ("Z", "z"):
        clock, offset = clock[:-1], "+00:00"
    else:
        sign = max(clock.find("+"), clock.find("-"))
        if sign >= 0:
            clock, offset = clock[:sign], clock[sign:]
            if ":" not in offset:
                offset = f"{offset[:3]}:{offset[3:] or '00'}"
    clock, point, fraction = clock.replace(",", ".").partition(".")
    if point:
        clock = f"{clock}.{fraction[:6]:0<6}"
    try:
        if (
            text[10:11] not in ("T", "t", " ")
            or not clock
            or (point and not (fraction.isascii() and fraction.isdigit()))
        ):
            raise ValueError
        return datetime.datetime.fromisoformat(f"{date}T{clock}{offset}")
    except ValueError:
        raise ValueError(f"expected an ISO 8601 date and time like 2026-06-16T12:00:00Z, got {_shown(text)}") from None


# Seconds in the units of an ISO 8601 duration before and after its "T"; a year of 365 days and a month of 30 are
# pydantic's.
_DURATION_UNITS = ({"Y": 31536000, "M": 2592000, "W": 604800, "D": 86400}, {"H": 3600, "M": 60, "S": 1})


def duration_from_iso(text: str) -> timedelta:
    """An ISO 8601 duration as pydantic and msgspec write a timedelta: `PT5M`, `P1DT5S`, `-PT0.5S`.

    :raises ValueError: the text is none, or longer than a timedelta can be.
    """
    import datetime

    negative = text[:1] == "-"
    total = datetime.timedelta()
    try:
        date, middle, clock = text[negative:].upper().partition("T")
        if date[:1] != "P" or (not clock if middle else len(date) < 2):
            raise ValueError
        for part, units in zip((date[1:], clock), _DURATION_UNITS):
            number, used = "", -1
            for character in part:
                if character in units:
                    place = list(units).index(character)
                    if place <= used:
                        raise ValueError
                    used = place
                    total += datetime.timedelta(seconds=units[character]) * (
                        float(number) if "." in number else int(number)
                    )
                    number = ""
                elif character in "0123456789.,":
                    number += "." if character == "," else character
                else:
                    raise ValueError
            if number:
                raise ValueError
        return -total if negative else total
    except (ValueError, OverflowError):
        raise ValueError(f"expected an ISO 8601 duration like PT5M, got {_shown(text)}") from None


def duration_to_iso(duration: timedelta) -> str:
    """The same form the other way, as msgspec writes it: days, then seconds."""
    sign = ""
    if duration.days < 0:
        sign, duration = "-", -duration
    days = f"{duration.days}D" if duration.days else ""
    seconds = (
        f"{duration.seconds}.{duration.microseconds:06}".rstrip("0").rstrip(".")
        if duration.microseconds
        else f"{duration.seconds}"
    )
    return f"{sign}P{days}T{seconds}S" if seconds != "0" else f"{sign}P{days or '0D'}"


# Enumerations


class DagRunState(Enumeration):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class DagRunType(Enumeration):
    BACKFILL = "backfill"
    SCHEDULED = "scheduled"
    MANUAL = "manual"
    OPERATOR_TRIGGERED = "operator_triggered"
    ASSET_TRIGGERED = "asset_triggered"
    ASSET_MATERIALIZATION = "asset_materialization"


class TaskInstanceState(Enumeration):
    REMOVED = "removed"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    RESTARTING = "restarting"
    FAILED = "failed"
    UP_FOR_RETRY = "up_for_retry"
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    DEFERRED = "deferred"
    AWAITING_INPUT = "awaiting_input"


class ErrorType(Enumeration):
    CONNECTION_NOT_FOUND = "CONNECTION_NOT_FOUND"
    VARIABLE_NOT_FOUND = "VARIABLE_NOT_FOUND"
    XCOM_NOT_FOUND = "XCOM_NOT_FOUND"
    ASSET_NOT_FOUND = "ASSET_NOT_FOUND"
    TASK_STORE_NOT_FOUND = "TASK_STORE_NOT_FOUND"
    ASSET_STORE_NOT_FOUND = "ASSET_STORE_NOT_FOUND"
    DAGRUN_ALREADY_EXISTS = "DAGRUN_ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    GENERIC_ERROR = "GENERIC_ERROR"
    API_SERVER_ERROR = "API_SERVER_ERROR"


# Definitions that stand inside other messages


class BundleInfo(Message):
    name: str
    version: str | None = None


class TaskInstance(Message):
    """`id` is a UUID as text."""

    id: UuidText
    task_id: str
    dag_id: str
    run_id: str
    try_number: int
    dag_version_id: UuidText
    map_index: int = -1
    hostname: str | None = None
    context_carrier: dict[str, Any] | None = None
    queue: str = "default"


class AssetReferenceAssetEventDagRun(Message):
    name: str
    uri: str
    extra: dict[str, JsonValue]


class AssetAliasReferenceAssetEventDagRun(Message):
    name: str


class AssetEventDagRunReference(Message):
    asset: AssetReferenceAssetEventDagRun
    extra: dict[str, JsonValue]
    source_task_id: str | None
    source_dag_id: str | None
    source_run_id: str | None
    source_map_index: int | None
    source_aliases: list[AssetAliasReferenceAssetEventDagRun]
    timestamp: datetime
    partition_key: str | None = None


class DagRun(Message):
    dag_id: str
    run_id: str
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime
    start_date: datetime | None
    end_date: datetime | None
    clear_number: int = 0
    run_type: DagRunType
    state: DagRunState
    conf: dict[str, Any] | None = None
    triggering_user_name: str | None = None
    consumed_asset_events: list[AssetEventDagRunReference]
    partition_key: str | None
    partition_date: datetime | None = None
    note: str | None = None
    team_name: str | None = None


class VariableResponse(Message):
    _secrets = ("value",)

    key: str
    value: str | None


class ConnectionResponse(Message):
    _secrets = ("password", "extra")
    # The supervisor dumps a connection inside StartupDetails under pydantic's name for it.
    _aliases = {"schema_": "schema"}

    conn_id: str
    conn_type: str
    host: str | None
    schema: str | None
    login: str | None
    password: str | None
    port: int | None
    extra: str | None


class TIRunContext(Message):
    dag_run: DagRun
    task_reschedule_count: int = 0
    max_tries: int
    variables: list[VariableResponse] = []
    connections: list[ConnectionResponse] = []
    next_method: str | None = None
    next_kwargs: dict[str, Any] | str | None = None
    xcom_keys_to_clear: list[str] = []
    should_retry: bool = False
    start_date: datetime | None = None


class DagRunContext(Message):
    dag_run: DagRun | None = None
    last_ti: TaskInstance | None = None


class AssetResponse(Message):
    name: str
    uri: str
    group: str
    extra: dict[str, JsonValue | None] | None = None


class AssetProfile(Message):
    """`type` is a field here, the kind of reference: "Asset", "AssetNameRef", "AssetUriRef" or "AssetAlias"."""

    name: str | None = None
    uri: str | None = None
    type: str  # type: ignore[misc]


class DagRunAssetReference(Message):
    run_id: str
    dag_id: str
    logical_date: datetime | None
    start_date: datetime
    end_date: datetime | None
    state: str
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    partition_key: str | None


class AssetEventResponse(Message):
    id: int
    timestamp: datetime
    extra: dict[str, JsonValue | None] | None = None
    asset: AssetResponse
    created_dagruns: list[DagRunAssetReference]
    source_task_id: str | None = None
    source_dag_id: str | None = None
    source_run_id: str | None = None
    source_map_index: int | None = None
    partition_key: str | None = None


class PreviousTIResponse(Message):
    task_id: str
    dag_id: str
    run_id: str
    logical_date: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    state: str | None = None
    try_number: int
    map_index: int | None = -1
    duration: float | None = None


class HITLUser(Message):
    id: str
    name: str


class LazyDeserializedDAG(Message):
    """`data` is the whole serialised Dag: `{"__version": 3, "dag": {...}}`."""

    data: dict[str, Any]
    last_loaded: datetime | None = None


# Supervisor to task: the start


class StartupDetails(Tagged):
    """The first frame a task gets: which task instance it is, and the run it belongs to."""

    ti: TaskInstance
    dag_rel_path: str
    bundle_info: BundleInfo
    start_date: datetime
    ti_context: TIRunContext
    sentry_integration: str


# Supervisor to task: answers


class OKResponse(Tagged):
    ok: bool


class ErrorResponse(Tagged):
    """ "Not found" as a body, a failure of the API in the error slot of the frame."""

    error: ErrorType = "GENERIC_ERROR"  # type: ignore[assignment]
    detail: dict[str, Any] | None = None


class SentFDs(Tagged):
    fds: list[int]


class XComResult(Tagged):
    key: str
    value: JsonValue | None


class XComCountResponse(Tagged):
    len: int


class XComSequenceIndexResult(Tagged):
    root: JsonValue


class XComSequenceSliceResult(Tagged):
    root: list[JsonValue]


class VariableResult(VariableResponse, Tagged):
    pass


class VariableKeysResult(Tagged):
    keys: list[str]
    total_entries: int


class ConnectionResult(ConnectionResponse, Tagged):
    pass


class DagResult(Tagged):
    dag_id: str
    is_paused: bool
    bundle_name: str | None
    bundle_version: str | None
    relative_fileloc: str | None
    owners: str | None
    tags: list[str]
    next_dagrun: datetime | None


class DagRunResult(DagRun, Tagged):
    clear_number: int | None = 0  # type: ignore[assignment]


class DagRunStateResult(Tagged):
    state: DagRunState


class PreviousDagRunResult(Tagged):
    dag_run: DagRun | None = None


class PrevSuccessfulDagRunResult(Tagged):
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None


class PreviousTIResult(Tagged):
    task_instance: PreviousTIResponse | None = None


class TaskRescheduleStartDate(Tagged):
    start_date: datetime | None


class TaskStatesResult(Tagged):
    task_states: dict[str, Any]


class TaskBreadcrumbsResult(Tagged):
    breadcrumbs: list[dict[str, Any]]


class TICount(Tagged):
    count: int


class DRCount(Tagged):
    count: int


class TaskStateStoreResult(Tagged):
    value: JsonValue | None


class AssetResult(AssetResponse, Tagged):
    pass


class AssetsByAliasResult(Tagged):
    assets: list[AssetResult]


class AssetEventsResult(Tagged):
    asset_events: list[AssetEventResponse]


class AssetStateStoreResult(Tagged):
    value: JsonValue | None


class InactiveAssetsResult(Tagged):
    inactive_assets: list[AssetProfile] | None = None


# Task to supervisor: the outcome of the task


class SucceedTask(Tagged):
    """`task_outlets` and `outlet_events` must be sent as lists: the API server refuses null."""

    state: Literal["success"] = "success"
    end_date: datetime
    task_outlets: list[AssetProfile] | None = None
    outlet_events: list[dict[str, Any]] | None = None
    rendered_map_index: str | None = None


class TaskState(Tagged):
    """The outcomes without fields of their own: failed, skipped, removed."""

    state: Literal["failed", "skipped", "removed"]
    end_date: datetime | None = None
    rendered_map_index: str | None = None


class RetryTask(Tagged):
    """The API server takes at most 500 characters of `retry_reason`."""

    state: Literal["up_for_retry"] = "up_for_retry"
    end_date: datetime
    rendered_map_index: str | None = None
    retry_delay_seconds: float | None = None
    retry_reason: str | None = None


class DeferTask(Tagged):
    state: Literal["deferred"] = "deferred"
    classpath: str
    trigger_kwargs: dict[str, JsonValue | None] | str | None = None
    trigger_timeout: timedelta | None = None
    queue: str | None = None
    next_method: str
    next_kwargs: dict[str, JsonValue | None] | None = None
    rendered_map_index: str | None = None


class RescheduleTask(Tagged):
    state: Literal["up_for_reschedule"] = "up_for_reschedule"
    reschedule_date: datetime
    end_date: datetime


class AwaitInputTask(Tagged):
    """Parks the task until a person has answered."""

    state: Literal["awaiting_input"] = "awaiting_input"
    timeout: timedelta | None = None
    next_method: str
    next_kwargs: dict[str, JsonValue | None] | None = None
    rendered_map_index: str | None = None


class SkipDownstreamTasks(Tagged):
    """Not terminal: a `SucceedTask` follows it. A mapped task is named as `(task_id, map_index)`."""

    tasks: list[str | tuple[str, int]]


# Task to supervisor: XComs


class GetXCom(Tagged):
    key: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None = None
    include_prior_dates: bool = False


class GetXComCount(Tagged):
    key: str
    dag_id: str
    run_id: str
    task_id: str


class GetXComSequenceItem(Tagged):
    key: str
    dag_id: str
    run_id: str
    task_id: str
    offset: int


class GetXComSequenceSlice(Tagged):
    key: str
    dag_id: str
    run_id: str
    task_id: str
    start: int | None
    stop: int | None
    step: int | None
    include_prior_dates: bool = False


class SetXCom(Tagged):
    key: str
    value: JsonValue
    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None = None
    dag_result: bool = False
    mapped_length: int | None = None


class DeleteXCom(Tagged):
    key: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None = None


# Task to supervisor: variables, connections, secrets


class GetVariable(Tagged):
    key: str


class GetVariableKeys(Tagged):
    prefix: str | None = None
    limit: int = 1000
    offset: int = 0


class PutVariable(Tagged):
    _secrets = ("value",)

    key: str
    value: str | None
    description: str | None


class DeleteVariable(Tagged):
    key: str


class GetConnection(Tagged):
    conn_id: str


class MaskSecret(Tagged):
    """A value, or a structure of values, that the supervisor must hide in the log."""

    _secrets = ("value",)

    value: JsonValue
    name: str | None = None


# Task to supervisor: Dags, runs and task instances


class GetDag(Tagged):
    dag_id: str


class GetDagRun(Tagged):
    dag_id: str
    run_id: str


class GetDagRunState(Tagged):
    dag_id: str
    run_id: str


class GetDRCount(Tagged):
    dag_id: str
    logical_dates: list[datetime] | None = None
    run_ids: list[str] | None = None
    states: list[str] | None = None


class GetPreviousDagRun(Tagged):
    dag_id: str
    logical_date: datetime
    state: str | None = None


class GetPrevSuccessfulDagRun(Tagged):
    ti_id: UuidText


class GetPreviousTI(Tagged):
    dag_id: str
    task_id: str
    logical_date: datetime | None = None
    map_index: int = -1
    state: TaskInstanceState | None = None


class GetTICount(Tagged):
    dag_id: str
    map_index: int | None = None
    task_ids: list[str] | None = None
    task_group_id: str | None = None
    logical_dates: list[datetime] | None = None
    run_ids: list[str] | None = None
    states: list[str] | None = None


class GetTaskStates(Tagged):
    dag_id: str
    map_index: int | None = None
    task_ids: list[str] | None = None
    task_group_id: str | None = None
    logical_dates: list[datetime] | None = None
    run_ids: list[str] | None = None


class GetTaskBreadcrumbs(Tagged):
    dag_id: str
    run_id: str


class GetTaskRescheduleStartDate(Tagged):
    ti_id: UuidText
    try_number: int = 1


class TriggerDagRun(Tagged):
    logical_date: datetime | None = None
    run_after: datetime | None = None
    conf: dict[str, Any] | None = None
    reset_dag_run: bool | None = False
    partition_key: str | None = None
    note: str | None = None
    dag_id: str
    run_id: str


class SetRenderedFields(Tagged):
    rendered_fields: dict[str, JsonValue]


class SetRenderedMapIndex(Tagged):
    rendered_map_index: str


class ResendLoggingFD(Tagged):
    """Means nothing over TCP: never send it."""


# Task to supervisor: assets


class GetAssetByName(Tagged):
    name: str


class GetAssetByUri(Tagged):
    uri: str


class GetAssetsByAlias(Tagged):
    alias_name: str


class GetAssetEventByAsset(Tagged):
    name: str | None
    uri: str | None
    after: datetime | None = None
    before: datetime | None = None
    limit: int | None = None
    ascending: bool = True


class GetAssetEventByAssetAlias(Tagged):
    alias_name: str
    after: datetime | None = None
    before: datetime | None = None
    limit: int | None = None
    ascending: bool = True


class ValidateInletsAndOutlets(Tagged):
    ti_id: UuidText


# Task to supervisor: the state stores of tasks and assets


class GetTaskStateStore(Tagged):
    ti_id: UuidText
    key: str


class SetTaskStateStore(Tagged):
    ti_id: UuidText
    key: str
    value: JsonValue
    expires_at: datetime | None


class DeleteTaskStateStore(Tagged):
    ti_id: UuidText
    key: str


class ClearTaskStateStore(Tagged):
    ti_id: UuidText


class GetAssetStateStoreByName(Tagged):
    name: str
    key: str


class GetAssetStateStoreByUri(Tagged):
    uri: str
    key: str


class SetAssetStateStoreByName(Tagged):
    name: str
    key: str
    value: JsonValue


class SetAssetStateStoreByUri(Tagged):
    uri: str
    key: str
    value: JsonValue


class DeleteAssetStateStoreByName(Tagged):
    name: str
    key: str


class DeleteAssetStateStoreByUri(Tagged):
    uri: str
    key: str


class ClearAssetStateStoreByName(Tagged):
    name: str


class ClearAssetStateStoreByUri(Tagged):
    uri: str


# Human in the loop, in both directions


class CreateHITLDetailPayload(Tagged):
    """A request, and what answers it on older supervisors."""

    ti_id: UuidText
    options: NonEmptyList[str]
    subject: str
    body: str | None = None
    defaults: list[str] | None = None
    multiple: bool | None = False
    params: dict[str, Any] | None = None
    assigned_users: list[HITLUser] | None = None


class HITLDetailRequestResult(CreateHITLDetailPayload):
    pass


class GetHITLDetailResponse(Tagged):
    ti_id: UuidText


class UpdateHITLDetail(Tagged):
    ti_id: UuidText
    chosen_options: NonEmptyList[str]
    params_input: dict[str, Any] | None = None


# The Dag processor, in both directions


class DagCallbackRequest(Tagged):
    filepath: str
    bundle_name: str
    bundle_version: str | None
    msg: str | None = None
    dag_id: str
    run_id: str
    context_from_server: DagRunContext | None = None
    is_failure_callback: bool | None = True


class TaskCallbackRequest(Tagged):
    filepath: str
    bundle_name: str
    bundle_version: str | None
    msg: str | None = None
    ti: TaskInstance
    task_callback_type: TaskInstanceState | None = None
    context_from_server: TIRunContext | None = None


class EmailRequest(Tagged):
    filepath: str
    bundle_name: str
    bundle_version: str | None
    msg: str | None = None
    ti: TaskInstance
    email_type: Literal["failure", "retry"] = "failure"
    context_from_server: TIRunContext


class DagFileParseRequest(Tagged):
    """The Dag processor asks what a Dag file declares."""

    file: str
    bundle_path: PathText
    bundle_name: str
    callback_requests: list[DagCallbackRequest | TaskCallbackRequest | EmailRequest] = []


class DagFileParsingResult(Tagged):
    """`import_errors`: file name to traceback."""

    fileloc: str
    serialized_dags: list[LazyDeserializedDAG]
    warnings: list[Any] | None = None
    import_errors: dict[str, str] | None = None


########################################################################################################################
# Serde: Python values <-> Airflow's value form, the one of XComs, next_kwargs and trigger kwargs.
########################################################################################################################
# Theory of operation. The form is JSON; whatever JSON lacks stands as {"__classname__", "__version__", "__data__"}.
# A task in Airflow and a task in a bundle read each other's values without knowing, so every rule here is one of
# airflow.sdk.serde and its serializers. Classes go by name, never by import: a numpy.int64 can only exist where numpy
# is loaded already, so writing imports nothing, and reading imports only what the value names and the bundle allows.

CLASSNAME_KEY = "__classname__"
VERSION_KEY = "__version__"
DATA_KEY = "__data__"
SCHEMA_ID_KEY = "__id__"
LEGACY_TYPE_KEY = "__type"
LEGACY_DATA_KEY = "__var"

# The supervisor validates a value with pydantic, which gives up on JSON nested deeper than 253; it then answers nothing
# at all, and the task would wait for ever.
MAX_VALUE_DEPTH = 250

_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
_VALUE_PRIMITIVES = (str, int, float, bool)
_DAG_MODULE_PREFIX = "unusual_prefix_"
_FIXED_TIMEZONE = "pendulum.tz.timezone.FixedTimezone"
_PYDANTIC_VERSION = 1


class SerdeError(BundleError, TypeError, ValueError):
    """A value cannot be written in, or read from, Airflow's value form.

    Also a TypeError and a ValueError, since airflow.sdk.serde raises those in the same places. ``str()`` ends with the
    place inside the value, e.g. ``$.rows[3].when``.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def where(self) -> str:
        """Where inside the value the problem is; ``$`` is the value itself."""
        return _value_path(self)

    def __str__(self) -> str:
        where = self.where
        return self.message if where == "$" else f"{self.message} (at {where})"


class ReservedKeyError(SerdeError, AttributeError):
    """A dict to be written uses a key that marks Airflow's own wrappers."""


class ClassNotAllowedError(SerdeError, ImportError):
    """A value names a class that may not be built here, or that the bundle does not have."""


class TooDeepError(SerdeError, RecursionError):
    """A value contains itself, or is nested deeper than the supervisor accepts."""


def _class_qualname(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}" if cls.__module__ else cls.__qualname__


def _note_step(error: BaseException, step: int | str) -> None:
    """Note on a passing error that it came from ``step`` (an index or a key) of the container at hand."""
    try:
        error.__dict__.setdefault("_serde_steps", []).append(step)
    except AttributeError:
        pass


def _value_path(error: BaseException) -> str:
    steps = list(reversed(getattr(error, "_serde_steps", ())))
    shown = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{step!r}]"
        for step in steps[:12]
    )
    return f"${shown}..." if len(steps) > 12 else f"${shown}"


def _annotate_path(error: BaseException, doing: str) -> None:
    """Say in a foreign exception (from an author's own class) which part of the value it was about."""
    if not isinstance(error, SerdeError) and hasattr(error, "add_note"):
        error.add_note(f"while {doing} the value at {_value_path(error)}")


class ValueTypes:
    """Everything this process knows about classes on the wire. One instance, `value_types`, is filled by later
    sections; a test that fills it makes its own or calls `reset`."""

    writers: dict[type, tuple[str, int, Any]]
    readers: dict[str, tuple[type, int, Any]]
    legacy_readers: dict[str, Any]
    allowed_names: set[str]
    allowed_classes: dict[str, type]
    resolve_class: Any
    """``Callable[[str], type | None]``: the class for ``"<stem of the Dag file>.<class name>"``, from the Dag files
    that are loaded; None for a name it does not know. It must not import anything."""
    name_class: Any
    """``Callable[[type], str | None]``: the name on the wire of an author's class; None for the ordinary one."""

    def __init__(self) -> None:
        self.writers = {}
        self.readers = {}
        self.legacy_readers = {}
        self.reset()

    def reset(self) -> None:
        """Forget what a Dag file allowed and the hooks; registered types stay, they belong to this module."""
        self.allowed_names = set()
        self.allowed_classes = {}
        self.resolve_class = None
        self.name_class = None


value_types = ValueTypes()


def register_value_type(
    classname: str,
    cls: type,
    serialize: Callable[[Any], Any] | None = None,
    deserialize: Callable[[Any, int], Any] | None = None,
    version: int | None = None,
    aliases: tuple[str, ...] = (),
) -> None:
    """Let ``cls`` travel under Airflow's name for it.

    :param classname: the name on the wire, e.g. ``airflow.sdk.definitions.asset.Asset``.
    :param serialize: value -> data (what it returns is serialised in turn); default: the class's own ``serialize()``,
        its dataclass fields or its attrs fields.
    :param deserialize: (data, version) -> value, data being deserialised already; default: the class's own
        ``deserialize(data, version)``, or ``cls(**data)``.
    :param version: the number on the wire; default: ``cls.__version__``, or 0.
    :param aliases: further names under which it is read, never written.
    """
    number = version if version is not None else int(getattr(cls, "__version__", 0))
    value_types.writers[cls] = (classname, number, serialize)
    for name in (classname, *aliases):
        value_types.readers[name] = (cls, number, deserialize)


def register_legacy_type(name: str, decode: Callable[[Any], Any]) -> None:
    """Read ``{"__type": name, "__var": data}`` as ``decode(data)``; data comes as it is on the wire."""
    value_types.legacy_readers[name] = decode


def allow_class(cls: type) -> None:
    """Let values of ``cls`` be read in this process, as airflow.sdk.serde.allow_class does.

    :raises SerdeError: (a ValueError) the class could not be found again by its name.
    """
    name = _class_qualname(cls)
    if "." in cls.__qualname__:
        raise SerdeError(f"{name} is defined inside a function or another class: move it to the top of its module")
    if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is not cls:
        raise SerdeError(f"{name} is not what its module has under that name: bind the class to its own name")
    value_types.allowed_names.add(name)
    value_types.allowed_classes[name] = cls


# ---- writing ---------------------------------------------------------------------------------------------------------


def serialize_value(value: Any) -> Any:
    """The JSON form of ``value``, as airflow.sdk.serde.serialize gives it.

    Strings are passed through, not copied. An exception that an author's own ``serialize()`` raises passes through.

    :raises SerdeError: the value, or a part of it, has no such form; the message names its type and its place.
    """
    if type(value) in _PLAIN_TYPES:
        return value
    try:
        return _write_value(value, 0)
    except RecursionError as error:
        raise _too_deep_error(value, error) from None
    except Exception as error:
        _annotate_path(error, "serialising")
        raise


def _write_value(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if kind is list:
        return _write_value_list(value, depth)
    if kind is dict:
        return _write_value_dict(value, depth)
    return _write_value_object(value, kind, depth)


def _check_value_depth(depth: int) -> None:
    if depth >= MAX_VALUE_DEPTH:
        raise TooDeepError(f"the value is nested deeper than {MAX_VALUE_DEPTH} levels, which the supervisor refuses")


def _write_value_list(items: Any, depth: int) -> list[Any]:
    _check_value_depth(depth)
    if _PLAIN_TYPES.issuperset(map(type, items)):
        return list(items)
    out: list[Any] = []
    try:
        for item in items:
            out.append(item if type(item) in _PLAIN_TYPES else _write_value(item, depth + 1))
    except Exception as error:
        _note_step(error, len(out))
        raise
    return out


def _write_value_dict(items: Any, depth: int) -> dict[str, Any]:
    _check_value_depth(depth)
    if CLASSNAME_KEY in items or SCHEMA_ID_KEY in items:
        raise ReservedKeyError(
            f"a dict with the key {CLASSNAME_KEY!r} or {SCHEMA_ID_KEY!r} cannot be serialised, Airflow reserves both:"
            " use another key"
        )
    out: dict[str, Any] = {}
    key: Any = ""
    try:
        for key, item in items.items():
            # str() of a str subclass may differ from the string it holds (an enum member's does), and so it does there.
            name = key if type(key) is str else str(key)
            out[name] = item if type(item) in _PLAIN_TYPES else _write_value(item, depth + 1)
    except Exception as error:
        _note_step(error, key if type(key) is str else str(key))
        raise
    return out


def _wrap_value(classname: str, version: int, data: Any, depth: int) -> dict[str, Any]:
    _check_value_depth(depth)
    return {CLASSNAME_KEY: classname, VERSION_KEY: version, DATA_KEY: _write_value(data, depth + 1)}


def _write_value_object(value: Any, kind: type, depth: int) -> Any:
    # The order of the questions is airflow.sdk.serde.serialize's: a str with a serialize() method is a str there.
    own = value_types.writers.get(kind)
    if own is not None:
        return _write_registered(value, own[0], own[1], own[2], depth)
    if isinstance(value, list):
        return _write_value_list(value, depth)
    if isinstance(value, dict):
        return _write_value_dict(value, depth)
    name = _class_qualname(kind)
    if hasattr(value, "_asdict") and hasattr(value, "_fields") and hasattr(value, "_field_defaults"):
        return _wrap_value("builtins.tuple", 1, list(value), depth)
    if _is_pydantic_model(kind):
        return _wrap_value(_class_wire_name(kind), _PYDANTIC_VERSION, value.model_dump(mode="json"), depth)
    writer = _VALUE_WRITERS.get(name)
    if writer is not None:
        try:
            written = writer[1](value, name)
        except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
            raise SerdeError(f"a {name} cannot be serialised: {error}") from error
        if written is not None:
            return _wrap_value(written[0], writer[0], written[1], depth)
    if isinstance(value, _VALUE_PRIMITIVES):
        enum = sys.modules.get("enum")
        return value.value if enum is not None and isinstance(value, enum.Enum) else value
    for base in kind.__mro__[1:]:
        own = value_types.writers.get(base)
        if own is not None:
            return _write_registered(value, _class_wire_name(kind), own[1], own[2], depth)
    if kind.__module__ == __name__:
        raise SerdeError(f"a {kind.__qualname__} belongs to this process and cannot be serialised: take its plain data")
    return _write_registered(value, _class_wire_name(kind), getattr(kind, "__version__", 0), None, depth)


def _write_registered(value: Any, classname: str, version: int, serialize: Any, depth: int) -> dict[str, Any]:
    if serialize is not None:
        return _wrap_value(classname, version, serialize(value), depth)
    kind = type(value)
    if hasattr(value, "serialize"):
        data = value.serialize()
        if isinstance(data, dict):
            return _wrap_value(classname, version, data, depth)
        _check_value_depth(depth)
        _check_raw_data(data, classname, depth + 1)
        return {CLASSNAME_KEY: classname, VERSION_KEY: version, DATA_KEY: data}
    if hasattr(kind, "__dataclass_fields__"):
        import dataclasses

        return _wrap_value(classname, version, dataclasses.asdict(value), depth)
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return _wrap_value(classname, version, {a.name: getattr(value, a.name) for a in attributes if a.init}, depth)
    raise SerdeError(
        f"an object of type {_class_qualname(kind)} cannot be serialised: return plain data (str, int, list, dict), or"
        " give the class serialize() and a static deserialize(data, version), or make it a dataclass, an attrs class"
        " or a pydantic model"
    )


def _check_raw_data(data: Any, classname: str, depth: int) -> None:
    """What an author's serialize() returns goes out as it is unless it is a dict, so it must be JSON already."""
    if data is None or isinstance(data, _VALUE_PRIMITIVES):
        return
    _check_value_depth(depth)
    steps = enumerate(data) if isinstance(data, list) else data.items() if isinstance(data, dict) else None
    if steps is None or isinstance(data, dict) and not all(isinstance(key, str) for key in data):
        raise SerdeError(
            f"serialize() of {classname} returned {type(data).__name__}, which is not JSON: return a dict, or a list of"
            " plain values"
        )
    for step, item in steps:
        try:
            _check_raw_data(item, classname, depth + 1)
        except SerdeError as error:
            _note_step(error, step)
            raise


def _class_wire_name(kind: type) -> str:
    name = value_types.name_class(kind) if value_types.name_class is not None else None
    return name or _class_qualname(kind)


def _is_pydantic_model(cls: type) -> bool:
    return (
        hasattr(cls, "__pydantic_fields__")
        and hasattr(cls, "__pydantic_validator__")
        and not hasattr(cls, "__dataclass_fields__")
    )


def _too_deep_error(value: Any, error: RecursionError) -> TooDeepError:
    """The error for a value on which writing ran too deep: says where it contains itself, if it does."""
    steps: list[int | str] = []
    open_ids: set[int] = set()
    closed: set[int] = set()
    stack: list[tuple[int, Any]] = []

    def enter(item: Any) -> None:
        open_ids.add(id(item))
        pairs = [(str(key), each) for key, each in item.items()] if isinstance(item, dict) else enumerate(item)
        stack.append((id(item), iter(pairs)))

    if isinstance(value, (list, dict, tuple)):
        enter(value)
    while stack:
        ident, pairs = stack[-1]
        for step, item in pairs:
            if not isinstance(item, (list, dict, tuple)) or id(item) in closed:
                continue
            steps.append(step)
            if id(item) in open_ids:
                kind = type(item).__name__
                found = TooDeepError(f"a {kind} contains itself, so the value has no end")
                for each in reversed(steps):
                    _note_step(found, each)
                return found
            enter(item)
            break
        else:
            stack.pop()
            closed.add(ident)
            open_ids.discard(ident)
            if steps:
                steps.pop()
    if isinstance(error, TooDeepError):
        return error
    deep = TooDeepError("the value is nested too deep, or an object in it contains itself")
    for each in getattr(error, "_serde_steps", ()):
        _note_step(deep, each)
    return deep


def explain_unsendable(data: Any) -> str | None:
    """Why a serialised value would be lost on its way, with the place; None when nothing is wrong with it.

    For the moment when sending fails, or for a careful sender: integers beyond 64 bits and lone surrogates do not fit
    msgpack, NaN and infinities are refused by the supervisor's HTTP client, anything but JSON by its models.
    """
    found = None
    try:
        _check_sendable(data, 0)
    except SerdeError as error:
        found = str(error)
    return found


def _check_sendable(data: Any, depth: int) -> None:
    if data is None or isinstance(data, bool):
        return
    if isinstance(data, str):
        if not data.isascii():
            try:
                data.encode()
            except UnicodeEncodeError:
                raise SerdeError("the string holds half of a surrogate pair and is not valid text") from None
    elif isinstance(data, int):
        if not -(2**63) <= data < 2**64:
            raise SerdeError("the integer does not fit 64 bits: pass it as a string")
    elif isinstance(data, float):
        if data - data != 0:
            raise SerdeError(f"the number {data} does not exist in JSON: use None or a string")
    elif isinstance(data, (list, dict)):
        _check_value_depth(depth)
        step: Any
        for step, item in enumerate(data) if isinstance(data, list) else data.items():
            try:
                if isinstance(data, dict):
                    if not isinstance(step, str):
                        raise SerdeError(f"the key {step!r} is not a string")
                    _check_sendable(step, depth)
                _check_sendable(item, depth + 1)
            except SerdeError as error:
                _note_step(error, step if isinstance(step, int) else str(step))
                raise
    else:
        raise SerdeError(f"a {_class_qualname(type(data))} is not JSON")


# Writers return (name on the wire, data), or None when the value is none of theirs after all.


def _write_collection(value: Any, name: str) -> tuple[str, Any]:
    return name, list(value)


_MAX_DECIMAL_DIGITS = 4300


def _write_decimal(value: Any, name: str) -> tuple[str, Any]:
    exponent = value.as_tuple().exponent
    if value and value.is_finite() and value.adjusted() > _MAX_DECIMAL_DIGITS:
        # 1E+999999999 is short to write down; as an integer it would take minutes and gigabytes.
        raise ValueError(f"it has more than {_MAX_DECIMAL_DIGITS} digits")
    return name, int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


def _write_uuid(value: Any, name: str) -> tuple[str, Any]:
    return name, str(value)


def _write_date(value: Any, name: str) -> tuple[str, Any]:
    return name, value.isoformat()


def _write_timedelta(value: Any, name: str) -> tuple[str, Any]:
    return name, value.total_seconds()


def _write_datetime(value: Any, name: str) -> tuple[str, Any]:
    return name, datetime_data(value)


def datetime_data(value: Any) -> dict[str, Any]:
    """What a ``datetime.datetime`` or ``pendulum.DateTime`` carries on the wire, timezone included."""
    zone = None
    if value.tzinfo:
        written = _write_timezone(value.tzinfo, _class_qualname(type(value.tzinfo)))
        if written is None:
            # Airflow writes such a zone (timezone(timedelta(hours=2))) in a way that it cannot read back itself. This
            # one it reads, and as the same instant.
            seconds = int(value.utcoffset().total_seconds())
            written = (_FIXED_TIMEZONE, seconds or "UTC")
        zone = (written[1], written[0], 1, True)
    return {"timestamp": value.timestamp(), "tz": zone}


def _write_timezone(value: Any, name: str) -> tuple[str, Any] | None:
    pendulum_timezones = sys.modules.get("pendulum.tz.timezone")
    if pendulum_timezones is not None and isinstance(value, pendulum_timezones.FixedTimezone):
        return name, value.offset or "UTC"
    for attribute in ("key", "name", "zone"):  # of zoneinfo, of pendulum, of pytz
        if hasattr(value, attribute):
            zone = getattr(value, attribute)
            if zone is not None:
                return name, zone
            break
    offset = value.utcoffset(None)
    return (_FIXED_TIMEZONE, "UTC") if offset is not None and not offset else None


def _write_numpy_int(value: Any, name: str) -> tuple[str, Any]:
    return name, int(value)


def _write_numpy_bool(value: Any, name: str) -> tuple[str, Any]:
    return name, bool(value)


def _write_numpy_float(value: Any, name: str) -> tuple[str, Any]:
    return name, float(value)


def _write_dataframe(value: Any, name: str) -> tuple[str, Any]:
    pyarrow = _need_module("pyarrow", name)
    parquet = _need_module("pyarrow.parquet", name)
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pandas(value), buffer, compression="snappy")
    return name, buffer.getvalue().hex().decode()


_NUMPY_WRITERS: dict[str, Any] = {
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), _write_numpy_int),
    **dict.fromkeys(("float16", "float32", "float64", "complex64", "complex128"), _write_numpy_float),
    **dict.fromkeys(("bool", "bool_"), _write_numpy_bool),
}

_VALUE_WRITERS: dict[str, tuple[int, Any]] = {
    "builtins.tuple": (1, _write_collection),
    "builtins.set": (1, _write_collection),
    "builtins.frozenset": (1, _write_collection),
    "decimal.Decimal": (1, _write_decimal),
    "uuid.UUID": (1, _write_uuid),
    "datetime.datetime": (2, _write_datetime),
    "datetime.date": (2, _write_date),
    "datetime.timedelta": (2, _write_timedelta),
    "pendulum.datetime.DateTime": (2, _write_datetime),
    "pendulum.date.Date": (2, _write_date),
    "pendulum.tz.timezone.Timezone": (1, _write_timezone),
    _FIXED_TIMEZONE: (1, _write_timezone),
    "zoneinfo.ZoneInfo": (1, _write_timezone),
    "pandas.DataFrame": (1, _write_dataframe),
    "pandas.core.frame.DataFrame": (1, _write_dataframe),
    **{f"numpy.{name}": (1, writer) for name, writer in _NUMPY_WRITERS.items()},
}


# ---- reading ---------------------------------------------------------------------------------------------------------


def deserialize_value(data: Any) -> Any:
    """The value whose JSON form is ``data``, as airflow.sdk.serde.deserialize gives it.

    Builds only types of the tables below, registered ones, and classes allowed by `allow_class` or by
    ``AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES`` (globs, ``airflow.*`` when unset) and ``..._REGEXP`` (full
    matches), both separated by spaces. An exception from an author's own class passes through.

    :raises SerdeError: the data is malformed, or names a class that is not allowed or not here.
    """
    if type(data) in _PLAIN_TYPES:
        return data
    try:
        return _read_value(data)
    except RecursionError as error:
        raise _too_deep_error(data, error) from None
    except Exception as error:
        _annotate_path(error, "deserialising")
        raise


def deserialize_next_kwargs(data: Any) -> dict[str, Any]:
    """The keyword arguments with which a deferred task resumes.

    They come in the value form or, from triggers that are older, in the Dag form with ``__type`` and ``__var``; both
    are read by `deserialize_value`, so the two attempts of Airflow's task runner are one here.
    """
    kwargs = deserialize_value({} if data is None else data)
    if not isinstance(kwargs, dict):
        raise SerdeError(f"next_kwargs must hold a dict, not {type(kwargs).__name__}")
    return kwargs


def _read_value(data: Any) -> Any:
    kind = type(data)
    if kind in _PLAIN_TYPES:
        return data
    if kind is dict or isinstance(data, dict):
        return _read_value_dict(data)
    if isinstance(data, (list, tuple, set, frozenset)):
        items = _read_value_items(data)
        return tuple(items) if isinstance(data, tuple) else set(items) if isinstance(data, set) else items
    return data


def _read_value_items(data: Any) -> list[Any]:
    if _PLAIN_TYPES.issuperset(map(type, data)):
        return list(data)
    out: list[Any] = []
    try:
        for item in data:
            out.append(item if type(item) in _PLAIN_TYPES else _read_value(item))
    except Exception as error:
        _note_step(error, len(out))
        raise
    return out


def _read_value_dict(data: dict[Any, Any]) -> Any:
    if LEGACY_TYPE_KEY in data and LEGACY_DATA_KEY in data:
        legacy, body = data[LEGACY_TYPE_KEY], data[LEGACY_DATA_KEY]
        if legacy != "dict":
            return _read_legacy(legacy, body)
        if not isinstance(body, dict):
            raise SerdeError(f"the legacy form of a dict holds a {type(body).__name__}: the value is damaged")
        data = body
    if CLASSNAME_KEY in data and VERSION_KEY in data:
        return _read_wrapped(data[CLASSNAME_KEY], data[VERSION_KEY], data.get(DATA_KEY))
    out: dict[str, Any] = {}
    key: Any = ""
    try:
        for key, item in data.items():
            out[key if type(key) is str else str(key)] = item if type(item) in _PLAIN_TYPES else _read_value(item)
    except Exception as error:
        _note_step(error, str(key))
        raise
    return out


def _read_wrapped(classname: Any, version: Any, data: Any) -> Any:
    if not isinstance(classname, str) or not isinstance(version, int):
        raise SerdeError(
            f"{CLASSNAME_KEY} must be a string and {VERSION_KEY} an integer, not a {_type_name(classname)} and a"
            f" {_type_name(version)}"
        )
    if not classname:
        raise SerdeError(f"{CLASSNAME_KEY} is empty: the value does not say what it is")
    own = value_types.readers.get(classname)
    reader = _VALUE_READERS.get(classname) if own is None else None
    if own is None and reader is None:
        cls = _find_value_class(classname)
        if cls not in value_types.writers:
            if classname.startswith("airflow."):
                return _read_data(classname, lambda: _build_value(cls, classname, version, data))
            return _build_value(cls, classname, version, data)
        own = value_types.readers[value_types.writers[cls][0]]
    if own is not None:
        cls, known, deserialize = own
        if deserialize is None:
            return _build_value(cls, classname, version, data)
        _check_class_version(classname, version, known)
        body = _read_value(data)
        return _read_data(classname, lambda: deserialize(body, version))
    assert reader is not None
    if reader[0] is not None and version > reader[0]:
        raise SerdeError(
            f"a {classname} in version {version} is newer than this bundle, which knows version {reader[0]}:"
            " rebuild it with a newer coordinator_bundle"
        )
    body = _read_value(data)
    return _read_data(classname, lambda: reader[1](classname, version, body))


def _read_data(classname: str, read: Callable[[], Any]) -> Any:
    """Call a reader of this module; what it stumbles over is damaged data, and said so."""
    try:
        return read()
    except (SerdeError, RecursionError, MemoryError):
        raise
    except Exception as error:
        raise SerdeError(f"not the data of a {_shown(classname)}: {_short(error)}") from error


def _build_value(cls: type, classname: str, version: int, data: Any) -> Any:
    if _is_pydantic_model(cls):
        _check_class_version(classname, version, _PYDANTIC_VERSION)
        return cls.model_validate(_read_value(data))  # type: ignore[attr-defined]
    if hasattr(cls, "deserialize"):
        return cls.deserialize(_read_value(data), version)
    if getattr(cls, "__attrs_attrs__", None) is None and not hasattr(cls, "__dataclass_fields__"):
        raise SerdeError(
            f"a {classname} can be written but not read back: give the class a static deserialize(data, version), or"
            " make it a dataclass, an attrs class or a pydantic model"
        )
    _check_class_version(classname, version, int(getattr(cls, "__version__", 0)))
    fields = _read_value(data)
    if not isinstance(fields, dict):
        raise SerdeError(f"the data of a {classname} must be a dict, not {type(fields).__name__}")
    try:
        return cls(**fields)
    except TypeError as error:
        raise SerdeError(f"the fields of a {classname} do not fit the class in this bundle: {error}") from error


def _check_class_version(classname: str, version: int, known: int) -> None:
    if version > known:
        raise SerdeError(
            f"a {classname} in version {version} is newer than the class in this bundle ({known}): rebuild the bundle"
        )


def _find_value_class(classname: str) -> type:
    """The class of that name if it may be built here. Imports its module only when it is allowed.

    :raises ClassNotAllowedError: it is not allowed, or not in this bundle.
    """
    cls = value_types.allowed_classes.get(classname)
    if cls is not None:
        return cls
    module_name, _, name = classname.rpartition(".")
    local_name = _without_dag_prefix(module_name) + "." + name
    local = value_types.resolve_class(local_name) if value_types.resolve_class is not None else None
    if local is not None:
        own_name = _class_qualname(local)
        if own_name in value_types.allowed_names or _matches_patterns(classname) or _matches_patterns(own_name):
            return local
    if not _matches_patterns(classname):
        raise ClassNotAllowedError(
            f"the value is a {classname}, which may not be built here: add the name to"
            " AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES in the worker's environment, or call"
            " airflow.sdk.serde.allow_class() on the class in the Dag file"
        )
    if module_name.startswith(_DAG_MODULE_PREFIX) and module_name not in sys.modules:
        raise ClassNotAllowedError(
            f"the value is a {name} of the Dag file {local_name.rpartition('.')[0]}.py, and no such class is loaded in"
            " this bundle: bundle that file too, or move the class into a module that both Dag files import"
        )
    missing = ClassNotAllowedError(
        f"the value is a {classname}, which is not in this bundle: {_missing_class_remedy(module_name)}"
    )
    try:
        from importlib import import_module

        found = getattr(import_module(module_name), name)
    except Exception as error:
        raise missing from error
    if not isinstance(found, type) or found.__module__ == __name__ and found not in value_types.writers:
        raise missing
    return found


def _without_dag_prefix(module_name: str) -> str:
    """Airflow loads a Dag file as ``unusual_prefix_<sha1 of its path>_<stem>``; the path differs from ours."""
    if module_name.startswith(_DAG_MODULE_PREFIX):
        digest, _, stem = module_name[len(_DAG_MODULE_PREFIX) :].partition("_")
        if stem and digest and not digest.strip("0123456789abcdef"):
            return stem
    return module_name


def _missing_class_remedy(module_name: str) -> str:
    package = module_name.partition(".")[0]
    if package == "airflow":
        return "a bundle does not carry all of Airflow; let the upstream task return plain data (a dict, a string)"
    return f"freeze it in by adding {package!r} to the Dag file's dependencies, or return plain data upstream"


def _matches_patterns(classname: str) -> bool:
    globs = os.environ.get("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES", "airflow.*").split()
    for pattern in globs:
        prefix = pattern[:-1]
        if pattern == classname:
            return True
        if pattern.endswith("*") and not any(special in prefix for special in "*?["):
            if classname.startswith(prefix):
                return True
            continue
        from fnmatch import fnmatchcase

        if fnmatchcase(classname, pattern):
            return True
    expressions = os.environ.get("AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP", "").split()
    if expressions:
        import re

        for expression in expressions:
            try:
                if re.fullmatch(expression, classname):
                    return True
            except re.error as error:
                raise SerdeError(
                    "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP holds the expression"
                    f" {expression!r}, which is not valid: {error}"
                ) from error
    return False


def _need_module(module_name: str, for_what: str) -> Any:
    try:
        from importlib import import_module

        return import_module(module_name)
    except ImportError as error:
        package = module_name.partition(".")[0]
        raise ClassNotAllowedError(
            f"a {for_what} needs {package}, which is not in this bundle: add {package!r} to the Dag file's dependencies"
        ) from error


def timezone_from_data(data: Any) -> Any:
    """A tzinfo for an IANA name or an offset in seconds: pendulum's where pendulum is loaded already, as in Airflow,
    else the standard library's."""
    if not isinstance(data, (str, int)):
        raise SerdeError(f"a timezone is a name or an offset in seconds, not {type(data).__name__}")
    pendulum = sys.modules.get("pendulum")
    if pendulum is not None and data != "":
        try:
            return pendulum.timezone(data)
        except (ValueError, LookupError) as error:
            raise _unknown_timezone(data) from error
    import datetime

    # A zone that Airflow could not name is written as "": the instant is known all the same.
    if isinstance(data, str) and data.lower() in ("utc", ""):
        return datetime.timezone.utc
    if isinstance(data, int):
        return datetime.timezone(datetime.timedelta(seconds=data))
    return _zoneinfo(data)


def _zoneinfo(name: str) -> Any:
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, LookupError, OSError) as error:
        raise _unknown_timezone(name) from error


def _unknown_timezone(name: Any) -> SerdeError:
    return SerdeError(
        f"the timezone {name!r} is not known on this machine: check the name, or add 'tzdata' to the Dag file's"
        " dependencies"
    )


# Readers take (name on the wire, version, data); data is deserialised already.


def _read_collection(classname: str, version: int, data: Any) -> Any:
    return {"builtins.tuple": tuple, "builtins.set": set, "builtins.frozenset": frozenset}[classname](data)


def _read_decimal(classname: str, version: int, data: Any) -> Any:
    from decimal import Decimal

    return Decimal(str(data))


def _read_uuid(classname: str, version: int, data: Any) -> Any:
    from uuid import UUID

    return UUID(data)


def _read_timedelta(classname: str, version: int, data: Any) -> Any:
    from datetime import timedelta

    return timedelta(seconds=float(data))


def _read_date(classname: str, version: int, data: Any) -> Any:
    if classname.startswith("pendulum."):
        try:
            import pendulum

            return pendulum.Date.fromisoformat(data)
        except ImportError:
            pass
    import datetime

    return datetime.date.fromisoformat(data)


# Version 1 wrote abbreviations, some of which are no IANA names.
_VERSION_1_TIMEZONES: dict[str, int | str] = {
    "EDT": -4 * 3600,
    "CDT": -5 * 3600,
    "MDT": -6 * 3600,
    "PDT": -7 * 3600,
    "CEST": "CET",
}


def _read_datetime(classname: str, version: int, data: Any) -> Any:
    import datetime

    cls: Any = datetime.datetime
    if classname.startswith("pendulum."):
        try:
            import pendulum

            cls = pendulum.DateTime
        except ImportError:
            pass
    if isinstance(data, (int, float)):
        return cls.fromtimestamp(float(data), tz=datetime.timezone.utc)
    zone = data.get("tz")
    if zone:
        name = _VERSION_1_TIMEZONES.get(zone, zone) if version == 1 else zone[0]
        zone = timezone_from_data(name)
    return cls.fromtimestamp(float(data["timestamp"]), tz=zone or None)


def _read_timezone(classname: str, version: int, data: Any) -> Any:
    if classname.startswith("zoneinfo.") and isinstance(data, str):
        return _zoneinfo(data)
    if classname.startswith("pendulum."):
        try:
            import pendulum  # noqa: F401
        except ImportError:
            pass
    return timezone_from_data(data)


def _read_numpy(classname: str, version: int, data: Any) -> Any:
    return getattr(_need_module("numpy", classname), classname.rpartition(".")[2])(data)


def _read_dataframe(classname: str, version: int, data: Any) -> Any:
    import io

    if not isinstance(data, str):
        raise SerdeError(f"the data of a {classname} must be a string, not {type(data).__name__}")
    _need_module("pandas", classname)
    return _need_module("pyarrow.parquet", classname).read_table(io.BytesIO(bytes.fromhex(data))).to_pandas()


def _read_foreign(classname: str, version: int, data: Any) -> Any:
    raise ClassNotAllowedError(
        f"a {classname} keeps its credentials encrypted with the deployment's Fernet key, which a bundle does not see:"
        " pass the table's location and open it in the task"
    )


# The newest version that can be read (None: Airflow does not look at it), and how.
_VALUE_READERS: dict[str, tuple[int | None, Any]] = {
    "builtins.tuple": (1, _read_collection),
    "builtins.set": (1, _read_collection),
    "builtins.frozenset": (1, _read_collection),
    "decimal.Decimal": (1, _read_decimal),
    "uuid.UUID": (None, _read_uuid),
    "datetime.datetime": (None, _read_datetime),
    "datetime.date": (None, _read_date),
    "datetime.timedelta": (None, _read_timedelta),
    "pendulum.datetime.DateTime": (None, _read_datetime),
    "pendulum.date.Date": (None, _read_date),
    "pendulum.tz.timezone.Timezone": (1, _read_timezone),
    _FIXED_TIMEZONE: (1, _read_timezone),
    "zoneinfo.ZoneInfo": (1, _read_timezone),
    "pandas.DataFrame": (1, _read_dataframe),
    "pandas.core.frame.DataFrame": (1, _read_dataframe),
    "deltalake.table.DeltaTable": (None, _read_foreign),
    "pyiceberg.table.Table": (None, _read_foreign),
    **{f"numpy.{name}": (1, _read_numpy) for name in _NUMPY_WRITERS},
}


def _read_legacy(name: Any, data: Any) -> Any:
    """``{"__type", "__var"}``, the form of serialised Dags (airflow.serialization), for what occurs in values."""
    if not isinstance(name, str):
        raise SerdeError(f"{LEGACY_TYPE_KEY} must be a string, not a {_type_name(name)}")
    if name in ("tuple", "set", "frozenset"):
        return _read_wrapped("builtins." + name, 0, data)
    if name in ("datetime", "timedelta"):
        return _read_wrapped("datetime." + name, 0, data)
    if name == "base_exc_ser":
        data = _read_value(data)
    reader = value_types.legacy_readers.get(name) or _LEGACY_READERS.get(name)
    return _read_wrapped(name, 0, data) if reader is None else _read_data(name, lambda: reader(data))


def _read_relativedelta(data: Any) -> Any:
    relativedelta = _need_module("dateutil.relativedelta", "relativedelta")
    fields = dict(data)
    if "weekday" in fields:
        fields["weekday"] = relativedelta.weekday(*fields["weekday"])
    return relativedelta.relativedelta(**fields)


def _read_exception(data: Any) -> Any:
    known = {"KeyError": KeyError, "AttributeError": AttributeError}.get(data["exc_cls_name"])
    if known is None:
        raise ClassNotAllowedError(f"the exception {_shown(data['exc_cls_name'])} may not be built from a value")
    return known(*data["args"], **data["kwargs"])


_LEGACY_READERS: dict[str, Callable[[Any], Any]] = {
    "timezone": timezone_from_data,
    "relativedelta": _read_relativedelta,
    "base_exc_ser": _read_exception,
}


########################################################################################################################
# Registry: what a Dag file declares. Dags, operators, TaskFlow, groups, assets; `airflow.sdk` inside a bundle
########################################################################################################################
#
# Airflow's authoring API under Airflow's own names, so that the Dag file an author already has declares here what it
# declares there. Nothing in this section talks to a supervisor. A class says with `__module__` where Airflow keeps it:
# that name is what goes into serialised Dags and what `import airflow...` finds at the end of the section.


class ArgNotSet:
    """Type of `NOTSET`: an argument nobody gave, where `None` would be a value."""

    def __repr__(self) -> str:
        return "NOTSET"


NOTSET = ArgNotSet()


def is_arg_set(value: object) -> bool:
    """Say whether a value was given at all (airflow.sdk.definitions._internal.types)."""
    return not isinstance(value, ArgNotSet)


class SetDuringExecution(ArgNotSet):
    """Placeholder of a field that only execution fills, such as the command of `@task.bash`."""

    @staticmethod
    def serialize() -> str:
        return "DYNAMIC (set during execution)"


SET_DURING_EXECUTION = SetDuringExecution()


# --- names with a fixed set of values ---------------------------------------------------------------------------------


class TriggerRule(Enumeration):
    """When a task runs, given the states of its upstream tasks."""

    __module__ = "airflow.sdk.api.datamodels._generated"
    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    ALL_DONE_SETUP_SUCCESS = "all_done_setup_success"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    ALL_SKIPPED = "all_skipped"


class WeightRule(Enumeration):
    """How the priority of a task adds up along the graph."""

    __module__ = "airflow.sdk.api.datamodels._generated"
    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    ABSOLUTE = "absolute"


# --- exceptions an author raises or catches ---------------------------------------------------------------------------


class AirflowException(Exception):
    """Base of Airflow's errors; a task that raises it fails, or is retried."""

    __module__ = "airflow.sdk.exceptions"


class AirflowOptionalProviderFeatureException(AirflowException):
    """A provider feature whose dependency is not installed."""

    __module__ = "airflow.sdk.exceptions"


class AirflowNotFoundException(AirflowException):
    """A connection, variable or other object that does not exist."""

    __module__ = "airflow.sdk.exceptions"


class AirflowDagCycleException(AirflowException):
    """Tasks that depend on each other in a circle."""

    __module__ = "airflow.sdk.exceptions"


class AirflowRuntimeError(Exception):
    """The supervisor answered a request with an error. `error` is its `ErrorResponse`."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, error: ErrorResponse) -> None:
        self.error = error
        super().__init__(f"{str.__str__(error.error)}: {error.detail}")


class AirflowTimetableInvalid(AirflowException):
    """A schedule that cannot be."""

    __module__ = "airflow.sdk.exceptions"


class AirflowFailException(AirflowException):
    """Fails the task now, whatever retries are left."""

    __module__ = "airflow.sdk.exceptions"


class AirflowInactiveAssetInInletOrOutletException(AirflowFailException):
    """An inlet or outlet names an asset that is not active."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, inactive_asset_keys: Collection[Any]) -> None:
        self.inactive_asset_keys = inactive_asset_keys

    def __str__(self) -> str:
        keys = ", ".join(f"Asset(name={key.name!r}, uri={key.uri!r})" for key in self.inactive_asset_keys)
        return f"Task has the following inactive assets in its inlets or outlets: {keys}"


class AirflowRescheduleException(AirflowException):
    """Gives the worker slot back until `reschedule_date` (an aware datetime)."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, reschedule_date: Any) -> None:
        super().__init__()
        self.reschedule_date = reschedule_date


class AirflowSensorTimeout(AirflowException):
    """A sensor waited as long as it may; not retried."""

    __module__ = "airflow.sdk.exceptions"


class AirflowSkipException(AirflowException):
    """Marks the task as skipped."""

    __module__ = "airflow.sdk.exceptions"


class AirflowTaskTerminated(BaseException):
    """The task was ended from outside."""

    __module__ = "airflow.sdk.exceptions"


class AirflowTaskTimeout(BaseException):
    """`execution_timeout` has passed. Not an `Exception`, so that a broad `except` does not swallow it."""

    __module__ = "airflow.sdk.exceptions"


class TaskDeferred(BaseException):
    """Hands the waiting over to a trigger; the task resumes in `method_name`."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, *, trigger: Any, method_name: str, kwargs: dict | None = None, timeout: Any = None) -> None:
        super().__init__()
        self.trigger = trigger
        self.method_name = method_name
        self.kwargs = kwargs
        if isinstance(timeout, (int, float)):
            from datetime import timedelta

            timeout = timedelta(seconds=timeout)
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<TaskDeferred trigger={self.trigger} method={self.method_name}>"


class TaskAwaitingInput(BaseException):
    """Parks the task until a person has answered; it resumes in `method_name`."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, *, method_name: str, kwargs: dict | None = None, timeout: Any = None) -> None:
        super().__init__()
        self.method_name = method_name
        self.kwargs = kwargs
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<TaskAwaitingInput method={self.method_name}>"


class TaskDeferralError(AirflowException):
    """The trigger of a deferred task failed."""

    __module__ = "airflow.sdk.exceptions"


class TaskDeferralTimeout(AirflowException):
    """The trigger of a deferred task did not fire in time."""

    __module__ = "airflow.sdk.exceptions"


class DagRunTriggerException(AirflowException):
    """Asks the runner to trigger another Dag; raised by `TriggerDagRunOperator`."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, **request: Any) -> None:
        super().__init__()
        self.__dict__.update({"logical_date": None, "run_after": None, "note": None}, **request)


class DownstreamTasksSkipped(AirflowException):
    """Succeeds, and marks `tasks` (task ids, or pairs of task id and map index) as skipped."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, *, tasks: Sequence[str | tuple[str, int]]) -> None:
        super().__init__()
        self.tasks = tasks


class XComNotFound(AirflowException):
    """An upstream result that was never pushed."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, dag_id: str, task_id: str, key: str) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.task_id = task_id
        self.key = key

    def __str__(self) -> str:
        return f'XComArg result from {self.task_id} at {self.dag_id} with key="{self.key}" is not found!'


class XComForMappingNotPushed(TypeError):
    """A task that others map over returned nothing."""

    __module__ = "airflow.sdk.exceptions"

    def __str__(self) -> str:
        return "did not push XCom for task mapping"


class UnmappableXComTypePushed(TypeError):
    """A task that others map over returned something that is neither a list nor a dict."""

    __module__ = "airflow.sdk.exceptions"

    def __str__(self) -> str:
        return f"unmappable return type {type(self.args[0]).__qualname__!r}"


class ParamValidationError(AirflowException, ValueError):
    """A Dag param whose value does not fit its schema."""

    __module__ = "airflow.sdk.exceptions"


class DuplicateTaskIdFound(AirflowException):
    """Two tasks or groups of a Dag with one id."""

    __module__ = "airflow.sdk.exceptions"


class TaskAlreadyInTaskGroup(AirflowException):
    """A task added to a second group."""

    __module__ = "airflow.sdk.exceptions"

    def __init__(self, task_id: str, existing_group_id: str | None, new_group_id: str | None) -> None:
        super().__init__(task_id, new_group_id)
        self.task_id = task_id
        self.existing_group_id = existing_group_id
        self.new_group_id = new_group_id

    def __str__(self) -> str:
        existing = "the DAG's root group" if self.existing_group_id is None else f"group {self.existing_group_id!r}"
        return f"cannot add {self.task_id!r} to {self.new_group_id!r} (already in {existing})"


class TaskNotFound(AirflowException):
    """No task of that id in the Dag."""

    __module__ = "airflow.sdk.exceptions"


class NodeNotFound(TaskNotFound, KeyError):
    """No task or group of that id in the Dag."""

    __module__ = "airflow.sdk.exceptions"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FailFastDagInvalidTriggerRule(AirflowException):
    """A `fail_fast` Dag takes only the default trigger rule."""

    __module__ = "airflow.sdk.exceptions"

    def __str__(self) -> str:
        return "A 'fail_fast' dag can only have TriggerRule.ALL_SUCCESS trigger rule"


class RemovedInAirflow4Warning(DeprecationWarning):
    """Something Airflow 4 will not have any more."""

    __module__ = "airflow.sdk.exceptions"


# --- small value classes ----------------------------------------------------------------------------------------------


class Record:
    """A class whose annotations are its fields: gives it `__init__`, equality, hash and repr.

    Serves the many small value classes of the authoring API. Fields without a default are required; a field named in
    `_keyword_only` cannot be given by position. A mutable default is a function without arguments, in `_factories`.
    """

    _fields: tuple[str, ...] = ()
    _keyword_only: frozenset[str] = frozenset()
    _factories: dict[str, Callable[[], Any]] = {}

    def __init_subclass__(cls) -> None:
        own = tuple(name for name in cls.__dict__.get("__annotations__", ()) if not name.startswith("_"))
        cls._fields = tuple(name for name in cls._fields if name not in own) + own

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        positional = [name for name in self._fields if name not in self._keyword_only]
        if len(args) > len(positional):
            raise TypeError(f"{type(self).__name__}() takes {len(positional)} positional arguments, got {len(args)}")
        for name, value in zip(positional, args):
            if name in kwargs:
                raise TypeError(f"{type(self).__name__}() got multiple values for argument {name!r}")
            kwargs[name] = value
        for name in self._fields:
            if name in kwargs:
                self.__dict__[name] = kwargs.pop(name)
            elif name in self._factories:
                self.__dict__[name] = self._factories[name]()
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__}() missing required argument: {name!r}")
        if kwargs:
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {next(iter(kwargs))!r}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check or convert the fields of a new instance."""

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), repr(self._values())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


def utcnow() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


def convert_to_utc(value: datetime | None) -> datetime | None:
    """Make a datetime aware and move it to UTC; a naive one is taken as UTC, Airflow's default time zone."""
    if value is None:
        return None
    if not hasattr(value, "tzinfo"):
        raise TypeError(f"expected a datetime, got {type(value).__name__} {value!r}")
    from datetime import timezone

    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


def parse_datetime(text: str) -> datetime:
    """Read an ISO 8601 date or time; without an offset it is UTC.

    :raises ValueError: when the text is not such a date.
    """
    utc = convert_to_utc(datetime_from_iso(text))
    assert utc is not None
    return utc


_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def _is_key(key: str, extra: str) -> bool:
    return bool(key) and all(c in _KEY_CHARACTERS or c in extra or (c > "\x7f" and c.isalnum()) for c in key)


def validate_key(key: str, max_length: int = 250) -> None:
    """Check a Dag or task id (airflow.sdk.definitions._internal.node).

    :raises TypeError, ValueError: with Airflow's own words.
    """
    if not isinstance(key, str):
        raise TypeError(f"The key has to be a string and is {type(key)}:{key}")
    if len(key) > max_length:
        raise ValueError(f"The key has to be less than {max_length} characters, not {len(key)}")
    if not _is_key(key, "."):
        raise ValueError(
            f"The key {key!r} has to be made of alphanumeric characters, dashes, dots, and underscores exclusively"
        )


def validate_group_key(key: str, max_length: int = 200) -> None:
    """Check a task group id: as a task id, without dots."""
    if not isinstance(key, str):
        raise TypeError(f"The key has to be a string and is {type(key)}:{key}")
    if len(key) > max_length:
        raise ValueError(f"The key has to be less than {max_length} characters, not {len(key)}")
    if not _is_key(key, ""):
        raise ValueError(
            f"The key {key!r} has to be made of alphanumeric characters, dashes, and underscores exclusively"
        )


def _read_markdown(doc_md: str | None) -> str | None:
    """Return the documentation itself where an author gave the name of a Markdown file."""
    if doc_md and doc_md.endswith(".md"):
        try:
            with open(doc_md) as file:
                return file.read()
        except FileNotFoundError:
            pass
    return doc_md


def _as_list(value: Any) -> list[Any]:
    """Airflow takes one callback, asset or what not where it means a list of them."""
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


# --- params -----------------------------------------------------------------------------------------------------------


class Param:
    """A Dag or task parameter with an optional JSON schema (airflow.sdk.definitions.param)."""

    __module__ = "airflow.sdk.definitions.param"

    def __init__(self, default: Any = NOTSET, description: str | None = None, source: str | None = None, **kwargs: Any):
        if is_arg_set(default):
            self._check_json(default)
        self.value = default
        self.description = description
        self.schema = kwargs.pop("schema") if "schema" in kwargs else kwargs
        self.source = source

    def __copy__(self) -> Param:
        return Param(self.value, self.description, schema=self.schema, source=self.source)

    @property
    def has_value(self) -> bool:
        return self.value is not NOTSET and self.value is not None

    @staticmethod
    def _check_json(value: Any) -> None:
        if value is None or type(value) in (str, int, bool):
            return
        import json

        try:
            json.dumps(value)
        except Exception:
            raise ParamValidationError(
                f"All provided parameters must be json-serializable. The value '{value}' is not serializable."
            ) from None

    def resolve(self, value: Any = NOTSET, suppress_exception: bool = False) -> Any:
        """Return the value to use: the given one, else the default, checked against the schema.

        :raises ParamValidationError: when there is no value, or it does not fit (`None` instead of either when
            `suppress_exception` is set).
        """
        if is_arg_set(value):
            self._check_json(value)
        final = value if is_arg_set(value) else self.value
        if not is_arg_set(final):
            if suppress_exception:
                return None
            raise ParamValidationError("No value passed and Param has no default value")
        if self.schema:
            problem = _schema_problem(final, self.schema)
            if problem is not None:
                if suppress_exception:
                    return None
                raise ParamValidationError(problem)
        self.value = final
        return final

    def dump(self) -> dict[str, Any]:
        return {
            "__class": f"{self.__module__}.{type(self).__name__}",
            "value": None if self.value is NOTSET else self.value,
            "description": self.description,
            "schema": self.schema,
            "source": self.source,
        }

    def serialize(self) -> dict[str, Any]:
        return {"value": self.value, "description": self.description, "schema": self.schema, "source": self.source}


def _schema_problem(value: Any, schema: dict[str, Any]) -> Any:
    """Check a value against a JSON schema; return what is wrong or None.

    jsonschema judges, as in Airflow, where it is at hand. Without it the keywords below are what is known, which is
    what nearly every Param says; formats and the rest wait for Airflow's own check when the run is created.
    """
    try:
        import jsonschema
    except ImportError:
        pass
    else:
        try:
            jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
        except jsonschema.ValidationError as error:
            return error
        return None
    types = schema.get("type")
    if types:
        allowed = types if isinstance(types, list) else [types]
        if not any(_is_json_type(value, name) for name in allowed):
            return f"{value!r} is not of type {', '.join(map(repr, allowed))}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{value!r} is not one of {schema['enum']!r}"
    if "const" in schema and value != schema["const"]:
        return f"{schema['const']!r} was expected"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            return f"{value!r} is less than the minimum of {schema['minimum']!r}"
        if value > schema.get("maximum", value):
            return f"{value!r} is greater than the maximum of {schema['maximum']!r}"
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            return f"{value!r} is less than or equal to the minimum of {schema['exclusiveMinimum']!r}"
        if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
            return f"{value!r} is greater than or equal to the maximum of {schema['exclusiveMaximum']!r}"
    if isinstance(value, (str, list)):
        unit = "Length" if isinstance(value, str) else "Items"
        if len(value) < schema.get(f"min{unit}", 0):
            return f"{value!r} is too short"
        if len(value) > schema.get(f"max{unit}", len(value)):
            return f"{value!r} is too long"
    if isinstance(value, str) and "pattern" in schema:
        import re

        if not re.search(schema["pattern"], value):
            return f"{value!r} does not match {schema['pattern']!r}"
    return None


def _is_json_type(value: Any, name: str) -> bool:
    if name == "null":
        return value is None
    if name == "boolean":
        return isinstance(value, bool)
    if name == "integer":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    python: Any = {"string": str, "array": (list, tuple), "object": dict}.get(name)
    return python is None or isinstance(value, python)


class ParamsDict(dict):
    """The params of a Dag or task by name. Reading gives values; `items()` and `get_param()` give the `Param`s."""

    __module__ = "airflow.sdk.definitions.param"

    def __init__(self, dict_obj: Mapping[str, Any] | None = None, suppress_exception: bool = False) -> None:
        super().__init__()
        self.suppress_exception = suppress_exception
        for key, value in dict_obj.items() if dict_obj else ():
            super().__setitem__(key, value if isinstance(value, Param) else Param(value))

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(value, Param):
            if key not in self:
                value = Param(value)
            else:
                param = self.get_param(key)
                try:
                    param.resolve(value, self.suppress_exception)
                except ParamValidationError as error:
                    raise ParamValidationError(f"Invalid input for param {key}: {error}") from None
                value = param
        super().__setitem__(key, value)

    def __getitem__(self, key: str) -> Any:
        return self.get_param(key).resolve(suppress_exception=self.suppress_exception)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def get_param(self, key: str) -> Param:
        return super().__getitem__(key)

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        for key, value in (*(other.items() if isinstance(other, dict) else other), *kwargs.items()):
            self[key] = value

    def dump(self) -> dict[str, Any]:
        return {key: param.resolve(suppress_exception=True) for key, param in self.items()}

    def serialize(self) -> dict[str, Any]:
        return self.dump()

    def validate(self) -> dict[str, Any]:
        """Return the values by name.

        :raises ParamValidationError: naming the param that has no value or a wrong one.
        """
        resolved = {}
        for key, param in self.items():
            try:
                resolved[key] = param.resolve(suppress_exception=self.suppress_exception)
            except ParamValidationError as error:
                raise ParamValidationError(f"Invalid input for param {key}: {error}") from None
        return resolved

    def copy_from(self, source: str) -> ParamsDict:
        """Return a deep enough copy whose params say where they come from, if they did not yet."""
        copied = ParamsDict()
        for key, param in self.items():
            clone = param.__copy__()
            clone.source = clone.source or source
            dict.__setitem__(copied, key, clone)
        return copied

    def __repr__(self) -> str:
        return repr(self.dump())

    def __eq__(self, other: object) -> bool:
        return self.dump() == (other.dump() if isinstance(other, ParamsDict) else other)

    __hash__ = None  # type: ignore[assignment]


# --- assets -----------------------------------------------------------------------------------------------------------


class BaseAsset:
    """Anything a Dag can be scheduled on; `&` and `|` combine."""

    __module__ = "airflow.sdk.definitions.asset"

    def __or__(self, other: BaseAsset) -> BaseAsset:
        return AssetAny(self, other) if isinstance(other, BaseAsset) else NotImplemented

    def __and__(self, other: BaseAsset) -> BaseAsset:
        return AssetAll(self, other) if isinstance(other, BaseAsset) else NotImplemented


def _asset_identifier(owner: object, field: str, value: Any, allow_empty: bool = False) -> str:
    name = type(owner).__name__
    if not isinstance(value, str):
        raise ValueError(f"{name} {field} must be a string")
    if len(value) > 1500:
        raise ValueError(f"{name} {field} cannot exceed 1500 characters")
    if value.isspace():
        raise ValueError(f"{name} {field} cannot be just whitespace")
    if not value and not allow_empty:
        raise ValueError(f"{name} {field} cannot be empty")
    return value


def _normalize_uri(uri: str) -> str:
    """Normalise an asset URI as Airflow stores it (airflow.sdk.definitions.asset._sanitize_uri)."""
    if ":" not in uri and "//" not in uri:
        return uri
    import urllib.parse

    parsed = urllib.parse.urlsplit(uri)
    scheme = parsed.scheme.lower()
    if not scheme or scheme.startswith("x-"):
        return uri
    if scheme == "airflow":
        raise ValueError("Asset scheme 'airflow' is reserved")
    netloc = parsed.netloc
    if parsed.password:
        import warnings

        warnings.warn(
            "An Asset URI should not contain a password. User info has been automatically dropped.", stacklevel=4
        )
        netloc = netloc.rpartition("@")[2]
    query = urllib.parse.urlencode(sorted(urllib.parse.parse_qsl(parsed.query))) if parsed.query else ""
    return urllib.parse.urlunsplit((scheme, netloc, parsed.path.rstrip("/") or "/", query, ""))


class AssetUniqueKey(Record):
    """What tells one asset from another."""

    __module__ = "airflow.sdk.definitions.asset"
    name: str
    uri: str

    @classmethod
    def from_asset(cls, asset: Asset) -> AssetUniqueKey:
        return cls(asset.name, asset.uri)

    def to_asset(self) -> Asset:
        return Asset(name=self.name, uri=self.uri)


class AssetAccessControl(Record):
    """Which teams may produce or consume an asset."""

    __module__ = "airflow.sdk.definitions.asset.access_control"
    producer_teams: list[str]
    consumer_teams: list[str] | None = None
    allow_global: bool = True
    _factories = {"producer_teams": list}


class AssetWatcher(Record):
    """A trigger that watches the outside world on behalf of an asset."""

    __module__ = "airflow.sdk.definitions.asset"
    name: str
    trigger: Any

    def __post_init__(self) -> None:
        if not any(each.__name__ == "BaseEventTrigger" for each in type(self.trigger).__mro__):
            raise ValueError("Asset watcher trigger must inherit BaseEventTrigger")


class Asset(BaseAsset):
    """Data that tasks produce and consume, known by name and URI."""

    __module__ = "airflow.sdk.definitions.asset"
    __version__ = 1
    _fields = ("name", "uri", "group", "extra", "watchers", "access_control")
    asset_type = "asset"

    def __init__(
        self,
        name: str | None = None,
        uri: Any = None,
        *,
        group: str | None = None,
        extra: dict[str, Any] | None = None,
        watchers: list[AssetWatcher] | None = None,
        access_control: AssetAccessControl | None = None,
    ) -> None:
        if name is None and uri is None:
            raise TypeError("Asset() requires either 'name' or 'uri'")
        self.name = _asset_identifier(self, "name", str(uri) if name is None else name)
        if self.name in ("self", "context"):
            raise ValueError(f"prohibited name for asset: {self.name}")
        self.uri = _asset_identifier(self, "uri", _normalize_uri(str(self.name if uri is None else uri)))
        self.group = _asset_identifier(self, "group", self.asset_type if group is None else group, allow_empty=True)
        self.extra = extra or {}
        self.watchers = watchers or []
        self.access_control = access_control or AssetAccessControl()

    @staticmethod
    def ref(*, name: str = "", uri: str = "") -> AssetRef:
        if name and uri:
            raise TypeError("Asset reference must be made to either name or URI, not both")
        if name:
            return AssetNameRef(name)
        if uri:
            return AssetUriRef(uri)
        raise TypeError("Asset reference expects keyword argument 'name' or 'uri'")

    def __fspath__(self) -> str:
        return self.uri

    def _key(self) -> tuple[Any, ...]:
        return (self.name, self.uri, self.group, repr(self.extra), repr(self.watchers))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Asset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.name!r}, uri={self.uri!r}, group={self.group!r}, extra={self.extra!r})"
        )


class Dataset(Asset):
    """An asset whose group is 'dataset'."""

    __module__ = "airflow.sdk.definitions.asset"
    asset_type = "dataset"


class Model(Asset):
    """An asset whose group is 'model'."""

    __module__ = "airflow.sdk.definitions.asset"
    asset_type = "model"


class AssetRef(Record, BaseAsset):
    """An asset by name or URI alone."""

    __module__ = "airflow.sdk.definitions.asset"


class AssetNameRef(AssetRef):
    __module__ = "airflow.sdk.definitions.asset"
    name: str


class AssetUriRef(AssetRef):
    __module__ = "airflow.sdk.definitions.asset"
    uri: str


class AssetAlias(Record, BaseAsset):
    """A name under which a task emits events of assets it decides on while it runs."""

    __module__ = "airflow.sdk.definitions.asset"
    name: str
    group: str = "asset"
    _keyword_only = frozenset({"group"})

    def __post_init__(self) -> None:
        _asset_identifier(self, "name", self.name)
        _asset_identifier(self, "group", self.group, allow_empty=True)


class _AssetCondition(BaseAsset):
    __module__ = "airflow.sdk.definitions.asset"

    def __init__(self, *objects: BaseAsset) -> None:
        if not all(isinstance(each, BaseAsset) for each in objects):
            raise TypeError("expect asset expressions in condition")
        self.objects = objects

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.objects == other.objects  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.objects))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.objects))})"


class AssetAny(_AssetCondition):
    """Any one of several assets."""

    __module__ = "airflow.sdk.definitions.asset"

    def __or__(self, other: BaseAsset) -> BaseAsset:
        return AssetAny(*self.objects, other) if isinstance(other, BaseAsset) else NotImplemented


class AssetAll(_AssetCondition):
    """All of several assets."""

    __module__ = "airflow.sdk.definitions.asset"

    def __and__(self, other: BaseAsset) -> BaseAsset:
        return AssetAll(*self.objects, other) if isinstance(other, BaseAsset) else NotImplemented


class Metadata(Record):
    """Yielded by a task to attach `extra` to the event of an outlet."""

    __module__ = "airflow.sdk.definitions.asset.metadata"
    asset: Asset
    extra: dict[str, Any]
    alias: AssetAlias | None = None
    _factories = {"extra": dict}


# --- timetables -------------------------------------------------------------------------------------------------------


class BaseTimetable(Record):
    """A schedule, described for the scheduler; the bundle itself never computes a run."""

    __module__ = "airflow.sdk.bases.timetable"
    can_be_scheduled = True
    active_runs_limit = None  # No annotation: it is no argument.

    def validate(self) -> None:
        """Raise `AirflowTimetableInvalid` for a schedule that cannot be."""


class NullTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.simple"
    can_be_scheduled = False


class OnceTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.simple"


class ContinuousTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.simple"
    active_runs_limit = 1  # type: ignore[assignment]


class AssetTriggeredTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.assets"

    def __init__(self, assets: BaseAsset) -> None:
        self.asset_condition = assets


CRON_PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}


def _no_interval() -> Any:
    from datetime import timedelta

    return timedelta()


class _CronTimetable(BaseTimetable):
    expression: str
    timezone: Any

    def __init__(self, expression: str, timezone: Any, **options: Any) -> None:
        super().__init__(CRON_PRESETS.get(expression, expression), timezone, **options)

    def validate(self) -> None:
        fields = self.expression.split()
        if len(fields) not in (5, 6, 7):
            raise AirflowTimetableInvalid(
                f"[{self.expression}] is not a cron expression: it has {len(fields)} fields where 5, 6 or 7 are wanted"
            )


class _DeltaTimetable(BaseTimetable):
    delta: Any

    def validate(self) -> None:
        from datetime import datetime

        now = datetime.now()
        if now + self.delta <= now:
            raise AirflowTimetableInvalid(f"schedule interval must be positive, not {self.delta!r}")


class CronTriggerTimetable(_CronTimetable):
    __module__ = "airflow.sdk.definitions.timetables.trigger"
    interval: Any
    run_immediately: Any = False
    _factories = {"interval": _no_interval}
    _keyword_only = frozenset({"interval", "run_immediately"})


class CronDataIntervalTimetable(_CronTimetable):
    __module__ = "airflow.sdk.definitions.timetables.interval"


class DeltaTriggerTimetable(_DeltaTimetable):
    __module__ = "airflow.sdk.definitions.timetables.trigger"
    interval: Any
    _factories = {"interval": _no_interval}
    _keyword_only = frozenset({"interval"})


class DeltaDataIntervalTimetable(_DeltaTimetable):
    __module__ = "airflow.sdk.definitions.timetables.interval"


class MultipleCronTriggerTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.trigger"

    def __init__(self, *crons: str, timezone: Any, interval: Any = None, run_immediately: Any = False) -> None:
        if not crons:
            raise ValueError("cron expression required")
        options = {"interval": interval or _no_interval(), "run_immediately": run_immediately}
        self.timetables = [CronTriggerTimetable(cron, timezone, **options) for cron in crons]


class EventsTimetable(BaseTimetable):
    __module__ = "airflow.sdk.definitions.timetables.events"

    def __init__(
        self,
        event_dates: Iterable[Any],
        *,
        restrict_to_events: bool = False,
        presorted: bool = False,
        description: str | None = None,
    ) -> None:
        self.event_dates = sorted(event_dates) if presorted else list(event_dates)
        self.restrict_to_events = restrict_to_events
        self.description = description


class AssetOrTimeSchedule(AssetTriggeredTimetable):
    __module__ = "airflow.sdk.definitions.timetables.assets"

    def __init__(self, *, timetable: BaseTimetable, assets: BaseAsset | Collection[BaseAsset]) -> None:
        super().__init__(assets if isinstance(assets, BaseAsset) else AssetAll(*assets))
        self.timetable = timetable
        self.active_runs_limit = timetable.active_runs_limit
        self.can_be_scheduled = timetable.can_be_scheduled


def _create_timetable(schedule: Any, timezone: Any) -> BaseTimetable:
    """Turn the `schedule` argument of a Dag into a timetable (airflow.sdk.definitions.dag)."""
    if schedule is None:
        return NullTimetable()
    if isinstance(schedule, BaseTimetable):
        return schedule
    if isinstance(schedule, BaseAsset):
        return AssetTriggeredTimetable(schedule)
    if isinstance(schedule, str):
        if schedule == "@once":
            return OnceTimetable()
        if schedule == "@continuous":
            return ContinuousTimetable()
        return CronTriggerTimetable(schedule, timezone)
    if isinstance(schedule, (list, tuple, set, frozenset)):
        if not all(isinstance(each, BaseAsset) for each in schedule):
            raise ValueError("All elements in 'schedule' should be either assets, asset references, or asset aliases")
        return AssetTriggeredTimetable(AssetAll(*schedule))
    if type(schedule).__name__ in ("timedelta", "Duration", "relativedelta"):
        return DeltaTriggerTimetable(schedule)
    raise ValueError(f"{schedule!r} is not a valid schedule.")


# --- the graph: what can depend on what -------------------------------------------------------------------------------


class DependencyMixin:
    """Gives `>>`, `<<` and their reflected forms to tasks, groups, results and labels."""

    def set_upstream(self, other: Any, edge_modifier: Any = None) -> None:
        raise NotImplementedError

    def set_downstream(self, other: Any, edge_modifier: Any = None) -> None:
        raise NotImplementedError

    def update_relative(self, other: Any, upstream: bool = True, edge_modifier: Any = None) -> None:
        """Note a dependency that was set from the other side."""

    def __lshift__(self, other: Any) -> Any:
        self.set_upstream(other)
        return other

    def __rshift__(self, other: Any) -> Any:
        self.set_downstream(other)
        return other

    def __rrshift__(self, other: Any) -> Any:
        self.__lshift__(other)
        return self

    def __rlshift__(self, other: Any) -> Any:
        self.__rshift__(other)
        return self


class ResolveMixin:
    """A value that is known only when the task runs."""

    def iter_references(self) -> Iterable[tuple[Any, str]]:
        """Yield the operators (and XCom keys) it comes from."""
        return ()

    def resolve(self, context: Mapping[str, Any]) -> Any:
        raise NotImplementedError


class EdgeModifier(DependencyMixin):
    """A label on the edges it stands between: `a >> Label("yes") >> b`."""

    __module__ = "airflow.sdk.definitions.edges"

    def __init__(self, label: str | None = None) -> None:
        self.label = label
        self._upstream: list[Any] = []
        self._downstream: list[Any] = []

    @property
    def roots(self) -> list[Any]:
        return self._downstream

    @property
    def leaves(self) -> list[Any]:
        return self._upstream

    def _save(self, nodes: Any, stream: list[Any]) -> None:
        for node in nodes if isinstance(nodes, (list, tuple)) else [nodes]:
            if not isinstance(node, (DAGNode, XComArg)):
                raise TypeError(f"Cannot use edge labels with {type(node).__name__}, only tasks, XComArg or TaskGroups")
            stream.append(node)

    def _group_ids(self) -> set[str]:
        ids = set()
        for node in (*self._upstream, *self._downstream):
            if isinstance(node, TaskGroup):
                ids.add(node.group_id or "root")
                continue
            task = node.operator if isinstance(node, PlainXComArg) else node
            group = getattr(task, "task_group", None)
            if group is not None:
                ids.add("root" if group.is_root else group.group_id)
        return ids

    def _lift_to_groups(self) -> None:
        """Between tasks of different groups the label belongs to the edge between the groups."""
        if self._upstream and self._downstream and len(self._group_ids()) != 1:
            for stream in (self._upstream, self._downstream):
                stream[:] = [
                    node.task_group
                    if isinstance(node, DAGNode) and node.task_group and not node.task_group.is_root
                    else node
                    for node in stream
                ]

    def set_upstream(self, other: Any, edge_modifier: Any = None) -> None:
        self._save(other, self._upstream)
        self._lift_to_groups()
        for node in self._downstream:
            node.set_upstream(other, edge_modifier=self)

    def set_downstream(self, other: Any, edge_modifier: Any = None) -> None:
        self._save(other, self._downstream)
        self._lift_to_groups()
        for node in self._upstream:
            node.set_downstream(other, edge_modifier=self)

    def update_relative(self, other: Any, upstream: bool = True, edge_modifier: Any = None) -> None:
        if upstream:
            self.set_upstream(other)
        else:
            self.set_downstream(other)

    def add_edge_info(self, dag: DAG, upstream_id: str, downstream_id: str) -> None:
        dag.set_edge_info(upstream_id, downstream_id, {"label": self.label})


def Label(label: str) -> EdgeModifier:
    """Make a label for edges."""
    return EdgeModifier(label)


class DAGNode(DependencyMixin):
    """A task or a group of tasks: something that has a place in the graph."""

    task_group: TaskGroup | None
    upstream_task_ids: set[str]
    downstream_task_ids: set[str]

    @property
    def node_id(self) -> str:
        raise NotImplementedError

    def get_dag(self) -> DAG | None:
        raise NotImplementedError

    def has_dag(self) -> bool:
        return self.get_dag() is not None

    @property
    def dag_id(self) -> str:
        dag = self.get_dag()
        return dag.dag_id if dag else "_in_memory_dag_"

    @property
    def upstream_list(self) -> list[Any]:
        dag = self.get_dag()
        return [dag.get_task(each) for each in self.upstream_task_ids] if dag else []

    @property
    def downstream_list(self) -> list[Any]:
        dag = self.get_dag()
        return [dag.get_task(each) for each in self.downstream_task_ids] if dag else []

    def get_direct_relative_ids(self, upstream: bool = False) -> set[str]:
        return self.upstream_task_ids if upstream else self.downstream_task_ids

    def get_direct_relatives(self, upstream: bool = False) -> list[Any]:
        return self.upstream_list if upstream else self.downstream_list

    def get_flat_relative_ids(self, *, upstream: bool = False, depth: int | None = None) -> set[str]:
        """Return the ids of everything this depends on, or of everything that depends on it."""
        dag = self.get_dag()
        if dag is None:
            return set()
        found: set[str] = set()
        level = set(self.get_direct_relative_ids(upstream))
        while level and depth != 0:
            found |= level
            level = {each for id_ in level for each in dag.get_task(id_).get_direct_relative_ids(upstream)} - found
            depth = None if depth is None else depth - 1
        return found

    def get_flat_relatives(self, upstream: bool = False, depth: int | None = None) -> list[Any]:
        dag = self.get_dag()
        ids = self.get_flat_relative_ids(upstream=upstream, depth=depth)
        return [dag.get_task(each) for each in ids] if dag else []

    def _set_relatives(self, others: Any, upstream: bool, edge_modifier: Any) -> None:
        tasks: list[Any] = []
        for other in others if isinstance(others, (list, tuple)) else [others]:
            if not isinstance(other, DependencyMixin):
                raise TypeError(f"Relationships can only be set between Operators; received {type(other).__name__}")
            other.update_relative(self, not upstream, edge_modifier=edge_modifier)
            for task in other.leaves if upstream else other.roots:  # type: ignore[attr-defined]
                if not isinstance(task, AbstractOperator):
                    raise TypeError(f"Relationships can only be set between Operators; received {type(task).__name__}")
                tasks.append(task)
        dags: dict[int, Any] = {}
        for task in (self, *tasks):
            dag = task.get_dag()
            if dag is not None:
                dags[id(dag)] = dag
        if len(dags) > 1:
            raise RuntimeError(f"Tried to set relationships between tasks in more than one Dag: {set(dags.values())}")
        if not dags:
            raise ValueError(
                "Tried to create relationships between tasks that don't have Dags yet. "
                f"Set the Dag for at least one task and try again: {[self, *tasks]}"
            )
        (dag,) = dags.values()
        for task in (self, *tasks):
            if not task.has_dag():
                task.dag = dag  # type: ignore[attr-defined]
        for task in tasks:
            before, after = (task, self) if upstream else (self, task)
            before.downstream_task_ids.add(after.node_id)
            after.upstream_task_ids.add(before.node_id)
            if edge_modifier:
                edge_modifier.add_edge_info(dag, before.node_id, after.node_id)

    def set_downstream(self, other: Any, edge_modifier: Any = None) -> None:
        self._set_relatives(other, False, edge_modifier)

    def set_upstream(self, other: Any, edge_modifier: Any = None) -> None:
        self._set_relatives(other, True, edge_modifier)


# --- results of tasks as arguments of others --------------------------------------------------------------------------

XCOM_RETURN_KEY = "return_value"


class XComArg(ResolveMixin, DependencyMixin):
    """The result of a task, usable as an argument of another before either has run."""

    __module__ = "airflow.sdk.definitions.xcom_arg"

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(PlainXComArg if cls is XComArg else cls)

    @staticmethod
    def iter_xcom_references(arg: Any) -> Iterator[tuple[Any, str]]:
        """Yield the operators whose results stand anywhere in a value."""
        if isinstance(arg, ResolveMixin):
            yield from arg.iter_references()
        elif isinstance(arg, (tuple, set, list)):
            for each in arg:
                yield from XComArg.iter_xcom_references(each)
        elif isinstance(arg, dict):
            for each in arg.values():
                yield from XComArg.iter_xcom_references(each)
        elif isinstance(arg, AbstractOperator):
            for name in arg.template_fields:
                yield from XComArg.iter_xcom_references(getattr(arg, name))

    @staticmethod
    def apply_upstream_relationship(op: Any, arg: Any) -> None:
        if arg is None or type(arg) in (str, int, float, bool):
            return
        for operator, _ in XComArg.iter_xcom_references(arg):
            op.set_upstream(operator)

    @property
    def roots(self) -> list[Any]:
        return [operator for operator, _ in self.iter_references()]

    leaves = roots

    def set_upstream(self, other: Any, edge_modifier: Any = None) -> None:
        for operator, _ in self.iter_references():
            operator.set_upstream(other, edge_modifier)

    def set_downstream(self, other: Any, edge_modifier: Any = None) -> None:
        for operator, _ in self.iter_references():
            operator.set_downstream(other, edge_modifier)

    def _check_return_value(self, verb: str) -> None:
        """Only the whole result of a task can be mapped over."""

    def map(self, f: Callable[[Any], Any]) -> MapXComArg:
        self._check_return_value("map")
        return MapXComArg(self, [f])

    def zip(self, *others: XComArg, fillvalue: Any = NOTSET) -> ZipXComArg:
        self._check_return_value("map")
        return ZipXComArg([self, *others], fillvalue=fillvalue)

    def concat(self, *others: XComArg) -> ConcatXComArg:
        self._check_return_value("concatenate")
        return ConcatXComArg([self, *others])

    def __enter__(self) -> type[SetupTeardownContext]:
        return self.operator.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, *exc_info: object) -> None:
        SetupTeardownContext.close()


class PlainXComArg(XComArg):
    """One XCom of one task."""

    __module__ = "airflow.sdk.definitions.xcom_arg"

    def __init__(self, operator: Any, key: str = XCOM_RETURN_KEY) -> None:
        self.operator = operator
        self.key = key

    def __getitem__(self, item: str) -> PlainXComArg:
        if not isinstance(item, str):
            raise ValueError(f"XComArg only supports str lookup, received {type(item).__name__}")
        return PlainXComArg(self.operator, item)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("'XComArg' object is not iterable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainXComArg) and (self.operator is other.operator) and self.key == other.key

    def __hash__(self) -> int:
        return hash((id(self.operator), self.key))

    def __repr__(self) -> str:
        key = "" if self.key == XCOM_RETURN_KEY else f", {self.key!r}"
        return f"XComArg({self.operator!r}{key})"

    def __str__(self) -> str:
        operator = self.operator
        pull = f"task_ids='{operator.task_id}', dag_id='{operator.dag_id}', key='{self.key}'"
        return f"{{{{ task_instance.xcom_pull({pull}) }}}}"

    def _check_return_value(self, verb: str) -> None:
        if self.key != XCOM_RETURN_KEY:
            raise ValueError(f"cannot {verb} {'against ' if verb == 'map' else ''}non-return XCom")

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        yield self.operator, self.key

    def as_setup(self) -> PlainXComArg:
        self.operator.as_setup()
        return self

    def as_teardown(self, **kwargs: Any) -> PlainXComArg:
        self.operator.as_teardown(**kwargs)
        return self

    @property
    def is_setup(self) -> bool:
        return self.operator.is_setup

    @is_setup.setter
    def is_setup(self, value: bool) -> None:
        self.operator.is_setup = value

    @property
    def is_teardown(self) -> bool:
        return self.operator.is_teardown

    @is_teardown.setter
    def is_teardown(self, value: bool) -> None:
        self.operator.is_teardown = value

    @property
    def on_failure_fail_dagrun(self) -> bool:
        return self.operator.on_failure_fail_dagrun

    @on_failure_fail_dagrun.setter
    def on_failure_fail_dagrun(self, value: bool) -> None:
        self.operator.on_failure_fail_dagrun = value

    def resolve(self, context: Mapping[str, Any]) -> Any:
        ti = context["ti"]
        task_id = self.operator.task_id
        if self.operator.is_mapped:
            return ti.lazy_xcom_sequence(self)
        map_indexes: Any = None
        if self.operator.get_closest_mapped_task_group() is not None:
            map_indexes = ti.get_relevant_upstream_map_indexes(self.operator)
            if map_indexes is None:
                map_indexes = NOTSET
        result = ti.xcom_pull(task_ids=task_id, key=self.key, default=NOTSET, map_indexes=map_indexes)
        if is_arg_set(result):
            return result
        if self.key == XCOM_RETURN_KEY or self.operator.multiple_outputs:
            return None
        raise XComNotFound(ti.dag_id, task_id, self.key)


class _LazyCollection:
    """A read-only sequence computed on access; base of what `map`, `zip` and `concat` resolve to."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (_LazyCollection, list, tuple)) else NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def is_mappable_value(value: Any) -> bool:
    """Say whether a task may be mapped over a value."""
    if isinstance(value, (list, tuple, dict, range, _LazyCollection)):
        return True
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(type(value), "__getitem__"):
        return False
    from collections.abc import Sequence

    return isinstance(value, Sequence)


def _at(container: Any, index: int) -> Any:
    """Return the nth element; of a dict, as when mapping over it, the nth pair."""
    if not isinstance(container, dict):
        return container[index]
    import itertools

    return next(itertools.islice(container.items(), index, None))


def _mappable(value: Any, verb: str) -> Any:
    if not is_mappable_value(value):
        raise ValueError(f"XCom {verb} expects sequence or dict, not {type(value).__name__}")
    return value


class _MapResult(_LazyCollection):
    def __init__(self, value: Any, callables: Sequence[Callable[[Any], Any]]) -> None:
        self.value, self.callables = value, callables

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Any:
        value = self.value[index]
        for f in self.callables:
            value = f(value)
        return value


class _ZipResult(_LazyCollection):
    def __init__(self, values: Sequence[Any], fillvalue: Any) -> None:
        self.values, self.fillvalue = values, fillvalue

    def __len__(self) -> int:
        return (max if is_arg_set(self.fillvalue) else min)(len(value) for value in self.values)

    def __getitem__(self, index: Any) -> Any:
        if index >= len(self):
            raise IndexError(index)
        return tuple(self._get_or_fill(value, index) for value in self.values)

    def _get_or_fill(self, value: Any, index: Any) -> Any:
        try:
            return value[index]
        except (IndexError, KeyError):
            return self.fillvalue


class _ConcatResult(_LazyCollection):
    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return sum(len(value) for value in self.values)

    def __getitem__(self, index: Any) -> Any:
        at = index if index >= 0 else len(self) + index
        for value in self.values:
            if 0 <= at < len(value):
                return list(value)[at] if isinstance(value, dict) else value[at]
            at -= len(value)
        raise IndexError("list index out of range")


class MapXComArg(XComArg):
    """A result with a function applied to each element when it is read."""

    __module__ = "airflow.sdk.definitions.xcom_arg"

    def __init__(self, arg: XComArg, callables: Sequence[Callable[[Any], Any]]) -> None:
        if any(isinstance(each, _TaskDecorator) for each in callables):
            raise ValueError("map() argument must be a plain function, not a @task operator")
        self.arg, self.callables = arg, callables

    def map(self, f: Callable[[Any], Any]) -> MapXComArg:
        return MapXComArg(self.arg, [*self.callables, f])

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        return iter(self.arg.iter_references())

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return _MapResult(_mappable(self.arg.resolve(context), "map"), self.callables)


class _SeveralXComArgs(XComArg):
    def __init__(self, args: Sequence[XComArg]) -> None:
        self.args = args

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        for arg in self.args:
            yield from arg.iter_references()


class ZipXComArg(_SeveralXComArgs):
    """Several results, element by element."""

    __module__ = "airflow.sdk.definitions.xcom_arg"

    def __init__(self, args: Sequence[XComArg], *, fillvalue: Any = NOTSET) -> None:
        super().__init__(args)
        self.fillvalue = fillvalue

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return _ZipResult([_mappable(arg.resolve(context), "zip") for arg in self.args], self.fillvalue)


class ConcatXComArg(_SeveralXComArgs):
    """Several results, one after the other."""

    __module__ = "airflow.sdk.definitions.xcom_arg"

    def concat(self, *others: XComArg) -> ConcatXComArg:
        return ConcatXComArg([*self.args, *others])

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return _ConcatResult([_mappable(arg.resolve(context), "concat") for arg in self.args])


class DagParam(ResolveMixin):
    """An argument of a `@dag` function: the value of a param, read when the task runs."""

    __module__ = "airflow.sdk.definitions.param"

    def __init__(self, current_dag: DAG, name: str, default: Any = NOTSET) -> None:
        if is_arg_set(default):
            current_dag.params[name] = default
        self._name = name
        self._default = default
        self.current_dag = current_dag

    def serialize(self) -> dict[str, Any]:
        return {"dag_id": self.current_dag.dag_id, "name": self._name, "default": self._default}

    def resolve(self, context: Mapping[str, Any]) -> Any:
        conf = context["dag_run"].conf
        if conf and self._name in conf:
            return conf[self._name]
        if is_arg_set(self._default):
            return self._default
        if self._name in context["params"]:
            return context["params"][self._name]
        raise RuntimeError(f"No value could be resolved for parameter {self._name}")


class LiteralValue(ResolveMixin):
    """A string that is not a template although it looks like one; made by `literal()`."""

    __module__ = "airflow.sdk.definitions._internal.templater"

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return self.value


def literal(value: Any) -> LiteralValue:
    """Keep a value from being rendered as a template."""
    return LiteralValue(value)


# --- mapping ----------------------------------------------------------------------------------------------------------


def _is_mappable_argument(value: Any) -> bool:
    return isinstance(value, (MappedArgument, XComArg, dict)) or is_mappable_value(value)


def _ensure_return_values(value: Any) -> None:
    if isinstance(value, XComArg):
        for operator, key in value.iter_references():
            if key != XCOM_RETURN_KEY:
                raise ValueError(f"cannot map over XCom with custom key {key!r} from {operator}")
    elif isinstance(value, dict):
        for each in value.values():
            _ensure_return_values(each)
    elif isinstance(value, (list, tuple, set)):
        for each in value:
            _ensure_return_values(each)


def _prevent_duplicates(first: Mapping[str, Any], second: Mapping[str, Any], reason: str) -> None:
    both = sorted(set(first) & set(second))
    if both:
        raise TypeError(f"{reason} argument{'s' if len(both) > 1 else ''}: {', '.join(both)}")


def _check_kwargs_list(kwargs: Any) -> None:
    if isinstance(kwargs, XComArg):
        return
    if isinstance(kwargs, (list, tuple)) and all(isinstance(each, (XComArg, dict)) for each in kwargs):
        return
    raise TypeError(f"expected XComArg or list[dict], not {type(kwargs).__name__}")


class DictOfListsExpandInput(ResolveMixin):
    """What `expand(a=..., b=...)` maps over: the cross product of its arguments."""

    __module__ = "airflow.sdk.definitions._internal.expandinput"
    EXPAND_INPUT_TYPE = "dict-of-lists"

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"DictOfListsExpandInput(value={self.value!r})"

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        for each in self.value.values():
            if isinstance(each, XComArg):
                yield from each.iter_references()

    def resolve(self, context: Mapping[str, Any]) -> tuple[dict[str, Any], set[int]]:
        """Return the arguments of this map index and the ids of what must not be rendered again."""
        map_index = context["ti"].map_index
        if map_index is None or map_index < 0:
            raise RuntimeError("can't resolve task-mapping argument without expanding")
        values = {k: v.resolve(context) if isinstance(v, ResolveMixin) else v for k, v in self.value.items()}
        resolved, rest = {}, map_index
        for key in reversed(self.value):
            length = len(values[key])
            if length < 1:
                raise RuntimeError(f"cannot expand field mapped to length {length!r}")
            resolved[key] = _at(values[key], rest % length)
            rest //= length
        # What the author wrote may be a template; what a task has returned is none.
        found = {id(resolved[key]) for key, value in self.value.items() if isinstance(value, ResolveMixin)}
        return {key: resolved[key] for key in self.value}, found


class ListOfDictsExpandInput(ResolveMixin):
    """What `expand_kwargs(...)` maps over: one dict of arguments a task instance."""

    __module__ = "airflow.sdk.definitions._internal.expandinput"
    EXPAND_INPUT_TYPE = "list-of-dicts"

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"ListOfDictsExpandInput(value={self.value!r})"

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        yield from XComArg.iter_xcom_references(self.value)

    def resolve(self, context: Mapping[str, Any]) -> tuple[dict[str, Any], set[int]]:
        map_index = context["ti"].map_index
        if map_index is None or map_index < 0:
            raise RuntimeError("can't resolve task-mapping argument without expanding")
        if isinstance(self.value, XComArg):
            mapping = self.value.resolve(context)[map_index]
        else:
            mapping = self.value[map_index]
            if isinstance(mapping, XComArg):
                mapping = mapping.resolve(context)
        if not isinstance(mapping, dict):
            raise ValueError(f"expand_kwargs() expects a list[dict], not list[{type(mapping).__name__}]")
        for key in mapping:
            if not isinstance(key, str):
                raise ValueError(f"expand_kwargs() input dict keys must all be str, but {key!r} is not")
        resolved = {k: v.resolve(context) if isinstance(v, ResolveMixin) else v for k, v in mapping.items()}
        return resolved, {id(resolved[key]) for key, value in mapping.items() if isinstance(value, ResolveMixin)}


EXPAND_INPUT_EMPTY = DictOfListsExpandInput({})


class MappedArgument(ResolveMixin):
    """Inside a mapped task group, the argument of the current map index."""

    __module__ = "airflow.sdk.definitions._internal.expandinput"

    def __init__(self, *, input: Any, key: str) -> None:
        if isinstance(input.value, dict) and any(isinstance(v, MappedArgument) for v in input.value.values()):
            raise ValueError("Nested Mapped TaskGroups are not yet supported")
        self._input, self._key = input, key

    def __repr__(self) -> str:
        return f"MappedArgument(_input={self._input!r}, _key={self._key!r})"

    def iter_references(self) -> Iterable[tuple[Any, str]]:
        return self._input.iter_references()

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return self._input.resolve(context)[0][self._key]


# --- task groups ------------------------------------------------------------------------------------------------------


class TaskGroup(DAGNode):
    """A box around tasks (airflow.sdk.definitions.taskgroup); the root group of a Dag has no id."""

    __module__ = "airflow.sdk.definitions.taskgroup"

    def __init__(
        self,
        group_id: str | None,
        group_display_name: str = "",
        prefix_group_id: bool = True,
        parent_group: TaskGroup | None = None,
        dag: DAG | None = None,
        default_args: dict[str, Any] | None = None,
        tooltip: str = "",
        doc_md: str | None = None,
        ui_color: str = "CornflowerBlue",
        ui_fgcolor: str = "#000",
        add_suffix_on_collision: bool = False,
    ) -> None:
        if group_id is not None:
            validate_group_key(group_id)
        is_root = group_id is None
        if parent_group is None and not is_root:
            parent_group = TaskGroupContext.get_current(dag)
        if dag is None:
            dag = parent_group.get_dag() if parent_group is not None else DagContext.get_current()
        if dag is None:
            raise RuntimeError("TaskGroup can only be used inside a dag")
        self._group_id = group_id
        self.group_display_name = group_display_name
        self.prefix_group_id = prefix_group_id
        self.parent_group = parent_group
        self.dag = dag
        self.default_args = dict(default_args or {})
        self.tooltip = tooltip
        self.doc_md = _read_markdown(doc_md)
        self.ui_color = ui_color
        self.ui_fgcolor = ui_fgcolor
        self.children: dict[str, Any] = {}
        self.upstream_group_ids: set[str | None] = set()
        self.downstream_group_ids: set[str | None] = set()
        self.upstream_task_ids = set()
        self.downstream_task_ids = set()
        self.used_group_ids: set[str | None] = set() if parent_group is None else parent_group.used_group_ids
        if is_root:
            return
        self._avoid_collision(add_suffix_on_collision)
        if parent_group is not None:
            parent_group.add(self)
            if parent_group.default_args:
                self.default_args = {**parent_group.default_args, **self.default_args}
        self.used_group_ids |= {self.group_id, self.downstream_join_id, self.upstream_join_id}

    def _avoid_collision(self, add_suffix: bool) -> None:
        if self.group_id not in self.used_group_ids:
            return
        if not add_suffix:
            raise DuplicateTaskIdFound(f"group_id '{self._group_id}' has already been added to the DAG")
        self._group_id = _next_free_id(str(self._group_id), self.used_group_ids, self._group_id)

    @property
    def group_id(self) -> str | None:
        parent = self.parent_group
        if self._group_id and parent and parent.prefix_group_id and parent._group_id:
            return parent.child_id(self._group_id)
        return self._group_id

    @property
    def node_id(self) -> str:
        return self.group_id  # type: ignore[return-value]

    @property
    def label(self) -> str | None:
        return self.group_display_name or self._group_id

    @property
    def is_root(self) -> bool:
        return not self._group_id

    @property  # type: ignore[override]
    def task_group(self) -> TaskGroup | None:
        return self.parent_group

    @task_group.setter
    def task_group(self, value: TaskGroup | None) -> None:
        self.parent_group = value

    @property
    def upstream_join_id(self) -> str:
        return f"{self.group_id}.upstream_join_id"

    @property
    def downstream_join_id(self) -> str:
        return f"{self.group_id}.downstream_join_id"

    def get_dag(self) -> DAG | None:
        return self.dag

    def child_id(self, label: str) -> str:
        return f"{self.group_id}.{label}" if self.prefix_group_id and self.group_id else label

    def add(self, node: DAGNode) -> DAGNode:
        """Take in a task or group.

        :raises TaskAlreadyInTaskGroup, DuplicateTaskIdFound: when it has a place already, or its id is taken.
        """
        existing = node.task_group
        if TaskGroupContext.stack and existing is not None and existing is not self:
            existing.children.pop(node.node_id, None)
            existing = node.task_group = self
        if isinstance(node, AbstractOperator) and existing is not None and existing is not self:
            raise TaskAlreadyInTaskGroup(node.node_id, existing.node_id, self.node_id)
        node.task_group = self
        if node.node_id in self.children:
            kind = "Task" if isinstance(node, AbstractOperator) else "Task Group"
            raise DuplicateTaskIdFound(f"{kind} id '{node.node_id}' has already been added to the Dag")
        if isinstance(node, TaskGroup):
            if node.dag is not self.dag:
                raise ValueError("Cannot mix TaskGroups from different Dags: %s and %s", self.dag, node.dag)
            if node.children:
                raise ValueError("Cannot add a non-empty TaskGroup")
        self.children[node.node_id] = node
        return node

    def __enter__(self) -> TaskGroup:
        TaskGroupContext.stack.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        TaskGroupContext.stack.pop()

    def __iter__(self) -> Iterator[Any]:
        for child in self.children.values():
            if isinstance(child, TaskGroup):
                yield from child
            else:
                yield child

    def iter_tasks(self) -> Iterator[Any]:
        return iter(self)

    def has_task(self, task: Any) -> bool:
        return any(each.task_id == task.task_id for each in self)

    def get_task_group_dict(self) -> dict[str | None, TaskGroup]:
        groups: dict[str | None, TaskGroup] = {self.group_id: self}
        for child in self.children.values():
            if isinstance(child, TaskGroup):
                groups.update(child.get_task_group_dict())
        return groups

    def get_child_by_label(self, label: str) -> DAGNode:
        return self.children[self.child_id(label)]

    def __getitem__(self, label: str) -> DAGNode:
        try:
            return self.get_child_by_label(label)
        except KeyError:
            raise NodeNotFound(f"Task {label!r} not found") from None

    @property
    def roots(self) -> list[Any]:
        return list(self.get_roots())

    @property
    def leaves(self) -> list[Any]:
        return list(self.get_leaves())

    def get_roots(self) -> Iterator[Any]:
        tasks = list(self)
        ids = {task.task_id for task in tasks}
        return (task for task in tasks if task.upstream_task_ids.isdisjoint(ids))

    def get_leaves(self) -> Iterator[Any]:
        """Yield the tasks that nothing in the group follows; teardowns do not count, as in Airflow."""
        tasks = list(self)
        ids = {task.task_id for task in tasks}

        def followed_by_work(task: Any, besides: str) -> bool:
            return any(
                down.task_id != besides and down.task_id in ids and not down.is_teardown
                for down in task.downstream_list
            )

        def before_teardown(task: Any) -> Iterator[Any]:
            for up in task.upstream_list:
                if up.task_id not in ids:
                    continue
                if up.is_teardown:
                    yield from before_teardown(up)
                elif not (task.is_teardown and up.is_setup) and not followed_by_work(up, task.task_id):
                    yield up

        for task in tasks:
            if task.downstream_task_ids.isdisjoint(ids):
                if task.is_teardown:
                    yield from before_teardown(task)
                else:
                    yield task

    def update_relative(self, other: Any, upstream: bool = True, edge_modifier: Any = None) -> None:
        if isinstance(other, TaskGroup):
            parent, child = (self, other) if upstream else (other, self)
            if edge_modifier:
                edge_modifier.add_edge_info(self.dag, child.downstream_join_id, parent.upstream_join_id)
            parent.upstream_group_ids.add(child.group_id)
            child.downstream_group_ids.add(parent.group_id)
            return
        for task in other.roots:
            if not isinstance(task, DAGNode):
                raise RuntimeError(
                    f"Relationships can only be set between TaskGroup or operators; received {type(task).__name__}"
                )
            if task is self:
                continue
            if upstream:
                self.upstream_task_ids.add(task.node_id)
                if edge_modifier:
                    edge_modifier.add_edge_info(self.dag, task.node_id, self.upstream_join_id)
            else:
                self.downstream_task_ids.add(task.node_id)
                if edge_modifier:
                    edge_modifier.add_edge_info(self.dag, self.downstream_join_id, task.node_id)

    def _set_relatives(self, others: Any, upstream: bool, edge_modifier: Any) -> None:
        tasks = list(self.get_roots()) if upstream else self._last_tasks()
        others = list(others) if isinstance(others, (list, tuple)) else [others]
        for other in others:
            self.update_relative(other, upstream, edge_modifier=edge_modifier)
        for task in tasks:
            if upstream:
                task.set_upstream(others)
            else:
                task.set_downstream(others)

    def _last_tasks(self) -> list[Any]:
        """An empty group passes a dependency on to what comes before it."""
        group: Any = self
        while group:
            leaves = list(group.get_leaves())
            if leaves:
                return leaves
            if group.upstream_task_ids:
                return [self.dag.get_task(each) for each in group.upstream_task_ids]
            group = group.parent_group
        return []

    def iter_mapped_task_groups(self) -> Iterator[MappedTaskGroup]:
        group: TaskGroup | None = self
        while group is not None:
            if isinstance(group, MappedTaskGroup):
                yield group
            group = group.parent_group

    def hierarchical_alphabetical_sort(self) -> list[Any]:
        return sorted(self.children.values(), key=lambda node: (not isinstance(node, TaskGroup), node.node_id))

    def topological_sort(self) -> list[Any]:
        """Order the children so that each comes after those it depends on, in passes over their declared order.

        :raises AirflowDagCycleException: when they depend on each other in a circle.
        """
        groups = self.dag.task_group.get_task_group_dict()
        before = {id_: self._siblings_before(id_, child, groups) for id_, child in self.children.items()}
        order: list[Any] = []
        done: set[str] = set()
        pending = list(self.children)
        while pending:
            later = []
            for id_ in pending:
                if before[id_] <= done:
                    done.add(id_)
                    order.append(self.children[id_])
                else:
                    later.append(id_)
            if len(later) == len(pending):
                raise AirflowDagCycleException(f"A cyclic dependency occurred in dag: {self.dag_id}")
            pending = later
        return order

    def _siblings_before(self, id_: str, child: DAGNode, groups: dict[str | None, TaskGroup]) -> set[str]:
        """Return the children of this group that stand, or hold something that stands, directly before a child."""
        edges: set[Any] = set(child.upstream_task_ids)
        if isinstance(child, TaskGroup):
            edges |= child.upstream_group_ids
        found = set()
        for edge in edges:
            node: Any = groups.get(edge) or self.dag.task_dict.get(edge)
            while node is not None and node.node_id not in self.children:
                node = node.task_group
            if node is not None and node.node_id != id_:
                found.add(node.node_id)
        return found


class MappedTaskGroup(TaskGroup):
    """A task group that is run once for each element of its input."""

    __module__ = "airflow.sdk.definitions.taskgroup"

    def __init__(self, *, expand_input: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._expand_input = expand_input
        self.dag._mapped_nodes.append(self)

    def __exit__(self, *exc_info: object) -> None:
        for operator, _ in self._expand_input.iter_references():
            self.set_upstream(operator)
        super().__exit__(*exc_info)

    def iter_mapped_dependencies(self) -> Iterator[Any]:
        return (operator for operator, _ in XComArg.iter_xcom_references(self._expand_input))


def _next_free_id(id_: str, used: Iterable[str | None], taken: str | None) -> str:
    """Number an id that is taken: `extract` becomes `extract__1`, then `extract__2`."""
    stem, _, number = id_.rpartition("__")
    core = stem if stem and number.isdigit() else id_
    prefix_stem, _, prefix_number = str(taken).rpartition("__")
    prefix = prefix_stem if prefix_stem and prefix_number.isdigit() else str(taken)
    numbers = [0]
    for each in used:
        if each and each.startswith(f"{prefix}__") and each[len(prefix) + 2 :].isdigit():
            numbers.append(int(each[len(prefix) + 2 :]))
    return f"{core}__{max(numbers) + 1}"


# --- where a declaration stands: the current Dag, group, setup --------------------------------------------------------


class DagContext:
    """The `with DAG(...)` blocks a Dag file is in, and the Dags it has declared in them."""

    stack: list[Any] = []
    declared: list[DAG] = []

    @classmethod
    def get_current(cls) -> Any:
        return cls.stack[-1] if cls.stack else None


class TaskGroupContext:
    """The `with TaskGroup(...)` blocks a Dag file is in."""

    stack: list[TaskGroup] = []

    @classmethod
    def get_current(cls, dag: DAG | None = None) -> TaskGroup | None:
        if cls.stack:
            return cls.stack[-1]
        dag = dag or DagContext.get_current()
        return dag.task_group if dag is not None else None


class SetupTeardownContext:
    """The `with setup_task:` blocks a Dag file is in: the work tasks inside run between setup and teardown."""

    stack: list[tuple[list[Any], list[Any]]] = []

    @classmethod
    def open(cls, operators: list[Any]) -> type[SetupTeardownContext]:
        if any(not (each.is_setup or each.is_teardown) for each in operators):
            raise AirflowException("Only setup/teardown tasks can be used as context managers.")
        if any(each.is_setup != operators[0].is_setup for each in operators):
            raise ValueError("All tasks in the list must be either setup or teardown tasks")
        cls.stack.append((operators, []))
        return cls

    @classmethod
    def add_task(cls, task: Any) -> None:
        if not cls.stack:
            raise AirflowException("Cannot add task to context outside the context manager.")
        operator = task.operator if isinstance(task, PlainXComArg) else task
        if not (operator.is_setup or operator.is_teardown):
            cls.stack[-1][1].append(operator)

    @classmethod
    def close(cls) -> None:
        """Set the dependencies of the block that ends: setup, its work, teardown."""
        owners, work = cls.stack.pop()
        work = [task for task in work if not (task.is_setup or task.is_teardown)]
        setups = owners if owners[0].is_setup else cls._reach(owners[0], upstream=True)
        teardowns = owners if owners[0].is_teardown else cls._reach(owners[0], upstream=False)
        if work:
            ids = {task.task_id for task in work}
            roots = [task for task in work if task.upstream_task_ids.isdisjoint(ids)]
            leaves = [task for task in work if task.downstream_task_ids.isdisjoint(ids)]
            for setup in setups:
                setup.set_downstream([each for each in roots if not each.upstream_task_ids] or roots)
            for teardown in teardowns:
                teardown.set_upstream([each for each in leaves if not each.downstream_task_ids] or leaves)
        if cls.stack:
            outer = cls.stack[-1][0]
            for setup in setups:
                for above in outer if outer[0].is_setup else cls._reach(outer[0], upstream=True):
                    above.set_downstream(setup)
            for teardown in teardowns:
                for below in outer if outer[0].is_teardown else cls._reach(outer[0], upstream=False):
                    below.set_upstream(teardown)

    @staticmethod
    def _reach(task: Any, upstream: bool) -> list[Any]:
        """Return the teardowns after a setup, or the setups before a teardown."""
        related = task.upstream_list if upstream else task.downstream_list
        wanted = [each for each in related if (each.is_setup if upstream else each.is_teardown)]
        return wanted or [found for each in related for found in SetupTeardownContext._reach(each, upstream)]


class ContextWrapper(list):
    """Makes a list of setups or teardowns usable in a `with` statement: `context_wrapper([a, b])`."""

    def __enter__(self) -> type[SetupTeardownContext]:
        return SetupTeardownContext.open([each.operator if isinstance(each, PlainXComArg) else each for each in self])

    def __exit__(self, *exc_info: object) -> None:
        SetupTeardownContext.close()


context_wrapper = ContextWrapper


# --- operators --------------------------------------------------------------------------------------------------------

KNOWN_CONTEXT_KEYS = frozenset(
    "conn dag dag_run data_interval_end data_interval_start outlet_events ds ds_nodash expanded_ti_count exception "
    "inlets inlet_events logical_date macros map_index_template outlets params partition_key partition_date "
    "prev_data_interval_start_success prev_data_interval_end_success prev_start_date_success prev_end_date_success "
    "reason run_id task task_reschedule_count task_instance task_instance_key_str task_state_store asset_state_store "
    "templates_dict test_mode ti triggering_asset_events try_number ts ts_nodash ts_nodash_with_tz var".split()
)


class Signature:
    """What a function takes, read from its code object: inspect would cost more than the rest of a task's start.

    Fields: `positional` (names, in order), `keyword_only`, `required` (names without a default), `defaults` (by name),
    `var_positional` and `var_keyword` (whether it takes `*args`, `**kwargs`).
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        code = getattr(function, "__code__", None)
        if code is None or hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
            self._inspect(function)
            return
        names = code.co_varnames
        count = code.co_argcount
        self.positional = list(names[:count])
        self.positional_only = set(names[: code.co_posonlyargcount])
        self.keyword_only = list(names[count : count + code.co_kwonlyargcount])
        self.var_positional = bool(code.co_flags & 4)
        self.var_keyword = bool(code.co_flags & 8)
        defaults = function.__defaults__ or ()  # type: ignore[attr-defined]
        self.defaults = dict(zip(self.positional[count - len(defaults) :], defaults)) if defaults else {}
        self.defaults.update(function.__kwdefaults__ or {})  # type: ignore[attr-defined]
        if getattr(function, "__self__", None) is not None:
            self.positional.pop(0)

    def _inspect(self, function: Callable[..., Any]) -> None:
        import inspect

        parameters = inspect.signature(function).parameters.values()
        self.positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.positional_only = {p.name for p in parameters if p.kind == p.POSITIONAL_ONLY}
        self.keyword_only = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY]
        self.var_positional = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        self.var_keyword = any(p.kind == p.VAR_KEYWORD for p in parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    @property
    def names(self) -> list[str]:
        return self.positional + self.keyword_only

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any], optional: Container[str], partial: bool) -> None:
        """Say what a call would get wrong, as Python would.

        :param optional: names that count as having a default.
        :param partial: missing arguments are fine, more will come.
        :raises TypeError: for a missing, doubled or unknown argument.
        """
        if len(args) > len(self.positional) and not self.var_positional:
            raise TypeError("too many positional arguments")
        given = self.positional[: len(args)]
        for name in kwargs:
            if name in given and name not in self.positional_only:
                raise TypeError(f"multiple values for argument {name!r}")
            if name in self.positional_only and not self.var_keyword:
                raise TypeError(f"{name!r} parameter is positional only, but was passed as a keyword")
            if not self.var_keyword and name not in self.positional and name not in self.keyword_only:
                raise TypeError(f"got an unexpected keyword argument {name!r}")
        if partial:
            return
        for name in self.names[len(given) :] if len(given) <= len(self.positional) else self.keyword_only:
            if name not in kwargs and name not in self.defaults and name not in optional:
                raise TypeError(f"missing a required argument: {name!r}")


def determine_kwargs(func: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from `kwargs` (usually the task context) what a function takes besides `args`.

    :raises ValueError: when a name would be given twice (airflow.sdk.bases.decorator.KeywordParameters).
    """
    signature = Signature(func)
    for name in signature.positional[: len(args)]:
        if name in kwargs:
            raise ValueError(f"The key {name!r} in args is a part of kwargs and therefore reserved.")
    if signature.var_keyword:
        return {name: kwargs[name] for name in kwargs}
    return {name: kwargs[name] for name in signature.names if name in kwargs}


class AbstractOperator(DAGNode):
    """What a plain and a mapped task have in common."""

    template_fields: Collection[str] = ()
    template_ext: Sequence[str] = ()
    template_fields_renderers: dict[str, str] = {}
    operator_extra_links: Collection[Any] = ()
    task_id: str
    is_mapped = False
    returns_dag_result = False
    _on_failure_fail_dagrun = False
    is_setup: bool
    is_teardown: bool
    trigger_rule: Any
    params: Any
    dag: Any

    @property
    def node_id(self) -> str:
        return self.task_id

    @property
    def roots(self) -> list[Any]:
        return [self]

    leaves = roots

    @property
    def dag_id(self) -> str:
        dag = self.get_dag()
        return dag.dag_id if dag else f"adhoc_{self.owner}"  # type: ignore[attr-defined]

    @property
    def output(self) -> PlainXComArg:
        """The task's result, as an argument for other tasks."""
        return PlainXComArg(self)

    @property
    def label(self) -> str:
        name = self.task_display_name  # type: ignore[attr-defined]
        if name != self.task_id:
            return name
        group = self.task_group
        if group is not None and group.node_id and group.prefix_group_id:
            return self.task_id[len(group.node_id) + 1 :]
        return self.task_id

    @property
    def on_failure_fail_dagrun(self) -> bool:
        return self._on_failure_fail_dagrun

    @on_failure_fail_dagrun.setter
    def on_failure_fail_dagrun(self, value: bool) -> None:
        if value is True and not self.is_teardown:
            raise ValueError(
                f"Cannot set task on_failure_fail_dagrun for '{self.task_id}' because it is not a teardown task."
            )
        self._on_failure_fail_dagrun = value

    def as_setup(self) -> Any:
        self.is_setup = True
        return self

    def as_teardown(self, *, setups: Any = None, on_failure_fail_dagrun: bool | None = None) -> Any:
        self.is_teardown = True
        self.trigger_rule = TriggerRule.ALL_DONE_SETUP_SUCCESS
        if on_failure_fail_dagrun is not None:
            self.on_failure_fail_dagrun = on_failure_fail_dagrun
        before: Any = [setups] if isinstance(setups, DependencyMixin) else setups or ()
        for each in before:
            each.is_setup = True
            each.set_downstream(self)
        return self

    def __enter__(self) -> type[SetupTeardownContext]:
        return SetupTeardownContext.open([self])

    def __exit__(self, *exc_info: object) -> None:
        SetupTeardownContext.close()

    def iter_mapped_task_groups(self) -> Iterator[MappedTaskGroup]:
        return iter(()) if self.task_group is None else self.task_group.iter_mapped_task_groups()

    def get_closest_mapped_task_group(self) -> MappedTaskGroup | None:
        return next(self.iter_mapped_task_groups(), None)

    def get_needs_expansion(self) -> bool:
        return self.is_mapped or self.get_closest_mapped_task_group() is not None

    def iter_mapped_dependants(self) -> Iterator[Any]:
        """Yield the mapped tasks and groups whose number of instances this task's result decides."""
        dag = self.get_dag()
        for node in dag._mapped_nodes if dag else ():
            if node.node_id != self.node_id and self.node_id in node.upstream_task_ids:
                if any(each.node_id == self.node_id for each in node.iter_mapped_dependencies()):
                    yield node

    # --- templates

    def resolve_template_files(self) -> None:
        """Put the text of a file in the place of its name, in template fields that name one by `template_ext`."""
        extensions = tuple(self.template_ext)
        for name in self.template_fields if extensions else ():
            content = getattr(self, name, None)
            if isinstance(content, str) and content.endswith(extensions):
                setattr(self, name, self._template_source(content))
            elif isinstance(content, list):
                content[:] = [
                    self._template_source(each) if isinstance(each, str) and each.endswith(extensions) else each
                    for each in content
                ]
        self.prepare_template()

    def prepare_template(self) -> None:
        """Runs when template files have been read; an operator that changes what was read overrides it."""

    def _template_source(self, name: str) -> str:
        """Return the text of a template file; the name itself, with an error in the log, when it cannot be read."""
        dag = self.get_dag()
        parts = name.split("/")
        for folder in [] if dag is None or ".." in parts else [dag.folder, *(dag.template_searchpath or ())]:
            path = os.path.join(folder, *(part for part in parts if part and part != "."))
            if os.path.isfile(path):
                with open(path, encoding="utf-8") as file:
                    return file.read()
        log_event(
            "error", f"Failed to resolve template field: there is no template file {name!r}", task_id=self.task_id
        )
        return name

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render the templates in a value of any shape (airflow.sdk.definitions._internal.templater)."""
        seen = set() if seen_oids is None else seen_oids
        if id(content) in seen:
            return content
        if isinstance(content, str):
            return self._render_string(content, context, jinja_env)
        if content is None or type(content) in (int, float, bool, bytes):
            return content
        if not hasattr(content, "__fspath__") and hasattr(content, "resolve"):
            return content.resolve(context)
        if isinstance(content, tuple):
            items = [self.render_template(each, context, jinja_env, seen) for each in content]
            return tuple(items) if type(content) is tuple else type(content)(*items)
        if isinstance(content, list):
            return [self.render_template(each, context, jinja_env, seen) for each in content]
        if isinstance(content, dict):
            return {key: self.render_template(value, context, jinja_env, seen) for key, value in content.items()}
        if isinstance(content, set):
            return {self.render_template(each, context, jinja_env, seen) for each in content}
        seen.add(id(content))
        if getattr(content, "template_fields", None):
            self._do_render_template_fields(content, content.template_fields, context, jinja_env, seen)
        return content

    def _render_string(self, text: str, context: Any, jinja_env: Any) -> Any:
        is_file = bool(self.template_ext) and text.endswith(tuple(self.template_ext))
        if not is_file and ("{" not in text or not any(mark in text for mark in ("{{", "{%", "{#"))):
            plain = _plain_template(text)
            return _native_value(plain) if _renders_native(self) else plain
        env = jinja_env or self.get_template_env()
        template = env.get_template(text) if is_file else env.from_string(text)
        if _renders_native(self):
            return render_template_as_native(template, context)
        return template.render(context if isinstance(context, dict) else dict(context))

    def get_template_env(self, dag: DAG | None = None) -> Any:
        dag = dag or self.get_dag()
        native = getattr(self, "render_template_as_native_obj", None)
        if dag is None:
            return create_template_env(native=bool(native))
        return dag.get_template_env(native=native)

    def _do_render_template_fields(
        self, parent: Any, fields: Iterable[str], context: Any, env: Any, seen: set[int]
    ) -> None:
        for name in fields:
            try:
                value = getattr(parent, name)
            except AttributeError:
                raise AttributeError(
                    f"{name!r} is configured as a template field "
                    f"but {type(parent).__name__} does not have this attribute."
                ) from None
            if value is None or (isinstance(value, (str, list, tuple, dict, set)) and not value):
                continue
            try:
                if callable(value) and not isinstance(value, (ResolveMixin, type)):
                    rendered = value(context=context, jinja_env=env or self.get_template_env())
                else:
                    rendered = self.render_template(value, context, env, seen)
            except Exception:
                log_event(
                    "error",
                    f"Exception rendering Jinja template for task '{self.task_id}', field '{name}'. "
                    f"Template: {value!r}",
                    exc_info=True,
                )
                raise
            setattr(parent, name, rendered)


def _native_value(text: str) -> Any:
    """Give what Jinja's native environment makes of text without template marks: a literal of Python is its value."""
    import ast

    try:
        return ast.literal_eval(ast.parse(text, mode="eval"))
    except (ValueError, SyntaxError, MemoryError):
        return text


def _plain_template(text: str) -> str:
    """Give a string without template marks what Jinja would make of it: one newline less at the end, only `\\n`."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text[:-1] if text.endswith("\n") else text


def _renders_native(operator: Any) -> bool:
    own = getattr(operator, "render_template_as_native_obj", None)
    if own is not None:
        return own
    dag = operator.get_dag()
    return bool(dag and dag.render_template_as_native_obj)


def render_template_as_native(template: Any, context: Any) -> Any:
    """Render to the Python value that the template stands for."""
    from jinja2.nativetypes import native_concat

    return native_concat(template.root_render_func(template.new_context(dict(context))))


def create_template_env(
    *,
    native: bool = False,
    searchpath: Sequence[str] | None = None,
    template_undefined: Any = None,
    jinja_environment_kwargs: dict[str, Any] | None = None,
    user_defined_macros: dict[str, Any] | None = None,
    user_defined_filters: dict[str, Any] | None = None,
) -> Any:
    """Make the Jinja environment that Airflow makes for a Dag.

    :raises BundleError: when Jinja2 was not frozen in.
    """
    try:
        import jinja2
        import jinja2.nativetypes
        import jinja2.sandbox
    except ImportError:
        raise BundleError(
            "this Dag file uses a Jinja template, and Jinja2 is not in this bundle: "
            'add "jinja2" to the dependencies the Dag file declares and build again'
        ) from None
    base: Any = jinja2.nativetypes.NativeEnvironment if native else jinja2.sandbox.SandboxedEnvironment

    class Environment(base):
        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return not jinja2.sandbox.is_internal_attribute(obj, attr)

    options: dict[str, Any] = {
        "undefined": template_undefined or jinja2.StrictUndefined,
        "extensions": ["jinja2.ext.do"],
        "cache_size": 0,
    }
    if searchpath:
        options["loader"] = jinja2.FileSystemLoader(list(searchpath))
    env = Environment(**{**options, **(jinja_environment_kwargs or {})})
    env.filters.update(
        ds=lambda value: value and value.strftime("%Y-%m-%d"),
        ds_nodash=lambda value: value and value.strftime("%Y%m%d"),
        ts=lambda value: value and value.isoformat(),
        ts_nodash=lambda value: value and value.strftime("%Y%m%dT%H%M%S"),
        ts_nodash_with_tz=lambda value: value and value.isoformat().replace("-", "").replace(":", ""),
    )
    env.globals.update(user_defined_macros or {})
    env.filters.update(user_defined_filters or {})
    return env


def _parse_retries(value: Any) -> int:
    if value is None:
        return 0
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TypeError(f"'retries' type must be int, not {type(value).__name__}") from None


def _as_timedelta(value: Any) -> Any:
    from datetime import timedelta

    return value if value is None or isinstance(value, timedelta) else timedelta(seconds=value)


def _as_trigger_rule(value: Any) -> TriggerRule:
    return value if isinstance(value, TriggerRule) else TriggerRule(value)


# How the arguments of an operator are converted when they are set, by name.
_OPERATOR_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "retries": _parse_retries,
    "retry_delay": _as_timedelta,
    "max_retry_delay": _as_timedelta,
    "start_date": convert_to_utc,
    "end_date": convert_to_utc,
    **dict.fromkeys(
        [f"on_{kind}_callback" for kind in ("execute", "failure", "success", "retry", "skipped")], _as_list
    ),
    "inlets": _as_list,
    "outlets": _as_list,
    "params": lambda value: value if isinstance(value, ParamsDict) else ParamsDict(value),  # type: ignore[misc]
    "executor_config": lambda value: value or {},
    "pool": lambda value: "default_pool" if value is None else value,
    "trigger_rule": _as_trigger_rule,
}

_FIVE_MINUTES: list[Any] = []


def _default_retry_delay() -> Any:
    if not _FIVE_MINUTES:
        from datetime import timedelta

        _FIVE_MINUTES.append(timedelta(seconds=300))
    return _FIVE_MINUTES[0]


# What type the arguments of an operator must have, by name (BASEOPERATOR_ARGS_EXPECTED_TYPES in Airflow).
_OPERATOR_TYPES: dict[str, Any] = {
    "task_id": str,
    **dict.fromkeys(["email_on_retry", "email_on_failure", "depends_on_past", "ignore_first_depends_on_past"], bool),
    **dict.fromkeys(["wait_for_past_depends_before_skipping", "wait_for_downstream", "do_xcom_push"], bool),
    **dict.fromkeys(["multiple_outputs", "allow_nested_operators"], bool),
    **dict.fromkeys(["retries", "priority_weight", "pool_slots", "max_active_tis_per_dag"], int),
    **dict.fromkeys(["max_active_tis_per_dagrun", "task_concurrency"], int),
    **dict.fromkeys(["queue", "pool", "trigger_rule", "run_as_user", "map_index_template", "executor"], str),
    **dict.fromkeys(["doc", "doc_md", "doc_json", "doc_yaml", "doc_rst", "task_display_name", "logger_name"], str),
    "retry_exponential_backoff": (int, float),
    "email": (str, list, tuple),
}


def _merged_default_args(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Merge the `default_args` of Dag, groups and task, later ones winning."""
    dag, group, own = kwargs.get("dag"), kwargs.get("task_group"), kwargs.get("default_args")
    merged: dict[str, Any] = {}
    if dag is not None:
        merged.update(dag.default_args)
        if group is not None and group.default_args:
            if not isinstance(group.default_args, dict):
                raise TypeError("default_args must be a mapping")
            merged.update(group.default_args)
    if own:
        if not isinstance(own, dict):
            raise TypeError(f"default_args must be a mapping, got {type(own)}")
        merged.update(own)
    return merged


def _merged_params(dag: DAG | None, own: Any, default_args: dict[str, Any] | None) -> ParamsDict:
    params = dag.params.copy_from("dag") if dag is not None and dag.params else ParamsDict()
    if own:
        if not isinstance(own, dict):
            raise TypeError(f"params must be a mapping, got {type(own)}")
        params.update(ParamsDict(own).copy_from("task"))
    if default_args and default_args.get("params"):
        params.update(ParamsDict(default_args["params"]).copy_from("task"))
    return params


def _find_place(kwargs: dict[str, Any]) -> None:
    """Fill in the Dag and the group that the `with` blocks around a declaration give it."""
    if kwargs.get("dag") is None:
        dag = DagContext.get_current()
        if dag is not None:
            kwargs["dag"] = dag
    if kwargs.get("dag") is not None and not kwargs.get("task_group"):
        group = TaskGroupContext.get_current(kwargs["dag"])
        if group is not None:
            kwargs["task_group"] = group


class BaseOperator(AbstractOperator):
    """A task (airflow.sdk.bases.operator). The annotated class attributes are its arguments and their defaults."""

    __module__ = "airflow.sdk.bases.operator"

    owner: str = "airflow"
    email: Any = None
    email_on_retry: bool = True
    email_on_failure: bool = True
    retries: int = 0
    retry_delay: Any = None
    retry_exponential_backoff: float = 0
    max_retry_delay: Any = None
    retry_policy: Any = None
    start_date: Any = None
    end_date: Any = None
    depends_on_past: bool = False
    ignore_first_depends_on_past: bool = False
    wait_for_past_depends_before_skipping: bool = False
    wait_for_downstream: bool = False
    priority_weight: int = 1
    weight_rule: Any = WeightRule.DOWNSTREAM
    queue: str = "default"
    pool: str = "default_pool"
    pool_slots: int = 1
    sla: Any = None
    execution_timeout: Any = None
    on_execute_callback: Any = ()
    on_failure_callback: Any = ()
    on_success_callback: Any = ()
    on_retry_callback: Any = ()
    on_skipped_callback: Any = ()
    trigger_rule: Any = TriggerRule.ALL_SUCCESS
    resources: Any = None
    run_as_user: str | None = None
    map_index_template: str | None = None
    max_active_tis_per_dag: int | None = None
    max_active_tis_per_dagrun: int | None = None
    executor: str | None = None
    executor_config: Any = None
    do_xcom_push: bool = True
    multiple_outputs: bool = False
    inlets: Any = ()
    outlets: Any = ()
    doc: str | None = None
    doc_md: str | None = None
    doc_json: str | None = None
    doc_yaml: str | None = None
    doc_rst: str | None = None
    logger_name: str | None = None
    allow_nested_operators: bool = True
    render_template_as_native_obj: bool | None = None

    _pre_execute_hook: Callable[..., Any] | None = None
    _post_execute_hook: Callable[..., Any] | None = None
    _task_display_name: str | None = None
    _logger_name: str | None = None
    _dag: DAG | None = None
    _instantiated = False
    _from_mapped = False
    _is_sensor = False
    _can_skip_downstream = False
    _is_empty = False
    _is_placeholder = False
    _needs_expansion: bool | None = None
    is_setup = False
    is_teardown = False
    overwrite_rtif_after_execution = False
    deserialization_allowed_class_fields: tuple[str, ...] = ()
    shallow_copy_attrs: Sequence[str] = ()
    start_trigger_args: Any = None
    start_from_trigger = False
    ui_color = "#fff"
    ui_fgcolor = "#000"
    declared_at: tuple[str, int] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        init = cls.__dict__.get("__init__")
        if init is not None:
            cls.__init__ = _apply_defaults(init)  # type: ignore[method-assign]

    def __init__(self, *, task_id: str, dag: DAG | None = None, task_group: Any = None, **kwargs: Any) -> None:
        own = self.__dict__
        own["upstream_task_ids"] = set()
        own["downstream_task_ids"] = set()
        own["task_group"] = None
        self.declared_at = _caller()
        self._from_mapped = kwargs.pop("_airflow_from_mapped", False)
        default_args = kwargs.pop("default_args", None)
        kwargs.pop("_airflow_mapped_validation_only", None)
        if not isinstance(task_id, str):
            validate_key(task_id)
        if task_group is not None and not self._from_mapped:
            own["task_id"] = task_group.child_id(task_id)
            task_group.add(self)
        else:
            own["task_id"] = task_id
            own["task_group"] = task_group
        merged = _merged_default_args({"dag": dag, "task_group": task_group, "default_args": default_args})
        if not self._from_mapped:
            params = _merged_params(dag, kwargs.pop("params", None), default_args)
        else:
            params = kwargs.pop("params", None) or ParamsDict()
        own["params"] = params if isinstance(params, ParamsDict) else ParamsDict(params)
        for name, value in merged.items():
            if name in _OPERATOR_ARGUMENTS and name not in kwargs:
                kwargs[name] = value
        self._pre_execute_hook = kwargs.pop("pre_execute", None)
        self._post_execute_hook = kwargs.pop("post_execute", None)
        for name in ("task_display_name", "logger_name"):
            own["_" + name] = kwargs.pop(name, None)
        unknown = [name for name in kwargs if name not in _OPERATOR_ARGUMENTS]
        if unknown:
            rest = {name: kwargs[name] for name in unknown}
            raise TypeError(
                f"Invalid arguments were passed to {type(self).__name__} (task_id: {task_id}). "
                f"Invalid arguments were:\n**kwargs: {rest}"
            )
        validate_key(self.task_id)
        self._set_arguments(task_id, dag, kwargs)
        if SetupTeardownContext.stack:
            SetupTeardownContext.add_task(self)
        if dag is not None:
            self.dag = dag
        self._check_types()

    def _set_arguments(self, task_id: str, dag: DAG | None, kwargs: dict[str, Any]) -> None:
        timeout = kwargs.get("execution_timeout")
        if timeout is not None:
            from datetime import timedelta

            if not isinstance(timeout, timedelta):
                raise ValueError(f"execution_timeout must be timedelta object but passed as type: {type(timeout)}")
        if kwargs.get("pool_slots", 1) < 1:
            where = f" in dag {dag.dag_id}" if dag else ""
            raise ValueError(f"pool slots for {self.task_id}{where} cannot be less than 1")
        rule = kwargs.get("trigger_rule", TriggerRule.ALL_SUCCESS)
        if rule not in TriggerRule:
            raise ValueError(
                f"The trigger_rule must be one of {[each.value for each in TriggerRule]},"
                f"'{dag.dag_id if dag else ''}.{task_id}'; received '{rule}'."
            )
        if kwargs.get("sla") is not None:
            _warn("The SLA feature is removed in Airflow 3.0, replaced with Deadline Alerts in >=3.1")
        kwargs.pop("sla", None)
        for name in ("email", "email_on_retry", "email_on_failure"):
            if kwargs.get("email") is not None and (name == "email" or name in kwargs):
                _warn(
                    f"Setting {name} on a task is deprecated; please migrate to SmtpNotifier.",
                    RemovedInAirflow4Warning,
                )
        if kwargs.get("wait_for_downstream"):
            kwargs["depends_on_past"] = True
        own = self.__dict__
        for name, value in kwargs.items():
            convert = _OPERATOR_CONVERTERS.get(name)
            own[name] = convert(value) if convert is not None else value
        own.setdefault("retry_delay", _default_retry_delay())
        for name in ("inlets", "outlets"):
            own.setdefault(name, [])
        for name in ("on_execute_callback", "on_failure_callback", "on_success_callback", "on_retry_callback"):
            own.setdefault(name, [])
        own.setdefault("on_skipped_callback", [])
        own.setdefault("executor_config", {})
        if isinstance(self.template_fields, str):
            _warn(
                f"The `template_fields` value for {self.task_type} is a string but should be a list or tuple of "
                f"string. Wrapping it in a list for execution. Please update {self.task_type} accordingly."
            )
            own["template_fields"] = [self.template_fields]

    def _check_types(self) -> None:
        for name, value in self.__dict__.items():
            expected = _OPERATOR_TYPES.get(name)
            if expected is not None and value is not None and not isinstance(value, expected):
                raise TypeError(
                    f"{name!r} for task {self.node_id!r} expects {expected}, got {type(value)} with value {value!r}"
                )

    def __post_init__(self) -> None:
        """Runs once the outermost `__init__` is through: dependencies on results used as arguments."""
        self.__dict__["_instantiated"] = True
        if not self._from_mapped:
            for name in self.template_fields:
                XComArg.apply_upstream_relationship(self, getattr(self, name, None))

    def __setattr__(self, name: str, value: Any) -> None:
        convert = _OPERATOR_CONVERTERS.get(name)
        object.__setattr__(self, name, convert(value) if convert is not None else value)
        if self._instantiated and not self._from_mapped and name in self.template_fields:
            XComArg.apply_upstream_relationship(self, value)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __gt__(self, other: Any) -> BaseOperator:
        self.outlets.extend(other if isinstance(other, (list, tuple)) else [other])
        return self

    def __lt__(self, other: Any) -> BaseOperator:
        self.inlets.extend(other if isinstance(other, (list, tuple)) else [other])
        return self

    def __repr__(self) -> str:
        return f"<Task({self.task_type}): {self.task_id}>"

    def add_inlets(self, inlets: Iterable[Any]) -> None:
        self.inlets.extend(inlets)

    def add_outlets(self, outlets: Iterable[Any]) -> None:
        self.outlets.extend(outlets)

    def get_dag(self) -> DAG | None:
        return self._dag

    @property
    def dag(self) -> DAG:
        if self._dag is None:
            raise RuntimeError(f"Operator {self} has not been assigned to a Dag yet")
        return self._dag

    @dag.setter
    def dag(self, dag: DAG) -> None:
        if not isinstance(dag, DAG):
            raise TypeError(f"Expected dag; received {type(dag).__name__}")
        if self._dag is not None and self._dag is not dag:
            raise ValueError(f"The dag assigned to {self} can not be changed.")
        self.__dict__["_dag"] = dag
        if not self._from_mapped and dag.task_dict.get(self.task_id) is not self:
            try:
                dag.add_task(self)
            except Exception:
                self.__dict__["_dag"] = None
                raise

    @property
    def task_display_name(self) -> str:
        return self._task_display_name or self.task_id

    @property
    def task_type(self) -> str:
        return type(self).__name__

    @property
    def operator_name(self) -> str:
        return getattr(self, "custom_operator_name", self.task_type)

    @property
    def operator_class(self) -> type[BaseOperator]:
        return type(self)

    @property
    def inherits_from_empty_operator(self) -> bool:
        return self._is_empty

    @property
    def inherits_from_skipmixin(self) -> bool:
        return self._can_skip_downstream

    @property
    def is_async(self) -> bool:
        return False

    @property
    def log(self) -> Any:
        """The logger of this operator; what it gets goes to the task log."""
        import logging

        return logging.getLogger(
            self._logger_name or f"airflow.task.operators.{type(self).__module__}.{self.task_type}"
        )

    @classmethod
    def partial(cls, *, task_id: str, **kwargs: Any) -> OperatorPartial:
        """Give the arguments that all instances of a mapped task share; `expand()` follows."""
        return OperatorPartial(cls, task_id, kwargs)

    def unmap(self, resolve: Any) -> BaseOperator:
        return self

    def prepare_for_execution(self) -> BaseOperator:
        import copy

        clone = copy.copy(self)
        clone.__dict__["_from_mapped"] = True
        return clone

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        self._do_render_template_fields(self, self.template_fields, context, jinja_env, set())

    # --- what an operator overrides

    def execute(self, context: Any) -> Any:
        raise NotImplementedError

    def pre_execute(self, context: Any) -> None:
        """Runs before `execute`."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Runs after `execute`."""

    def on_kill(self) -> None:
        """Cleans up when the task is ended from outside."""

    def defer(self, *, trigger: Any, method_name: str, kwargs: dict | None = None, timeout: Any = None) -> None:
        raise TaskDeferred(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=timeout)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on where a deferral left off (airflow.sdk.bases.operator).

        :raises TaskDeferralTimeout, TaskDeferralError: when the trigger timed out or failed.
        """
        kwargs = next_kwargs or {}
        if next_method == "__fail__":
            if kwargs.get("traceback") is not None:
                self.log.error("Trigger failed:\n%s", "\n".join(kwargs["traceback"]))
            error = kwargs.get("error", "Unknown")
            raise TaskDeferralTimeout(error) if error == "Trigger timeout" else TaskDeferralError(error)
        return getattr(self, next_method)(context, **kwargs)


for _kind in ("execute", "failure", "success", "retry", "skipped"):
    setattr(
        BaseOperator,
        f"has_on_{_kind}_callback",
        property(lambda self, name=f"on_{_kind}_callback": bool(getattr(self, name))),  # type: ignore[misc]
    )
BaseOperator.has_retry_policy = property(lambda self: bool(self.retry_policy))  # type: ignore[attr-defined]
_OPERATOR_ARGUMENTS = frozenset(
    {name for name in BaseOperator.__annotations__ if not name.startswith("_") and name != "declared_at"}
    | {"task_display_name"}
)
# Arguments that `partial()` and `default_args` may give besides those.
_PLACING_ARGUMENTS = frozenset(
    {"task_id", "dag", "task_group", "params", "default_args", "pre_execute", "post_execute"}
)


def _apply_defaults(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap the `__init__` of an operator class so that `default_args` fill its arguments.

    Airflow does the same in the metaclass of its operators; there, as here, the outermost `__init__` also ends with
    setting the dependencies on results that were given as arguments.
    """
    signature = Signature(init)
    names = [name for name in signature.names if name != "self"]
    required = [name for name in names if name not in signature.defaults and name != "task_id"]

    def apply_defaults(self: Any, *args: Any, **kwargs: Any) -> None:
        if args:
            raise TypeError("Use keyword arguments when initializing operators")
        outermost = "_initializing" not in self.__dict__
        if outermost:
            self.__dict__["_initializing"] = True
            if kwargs.get("_airflow_from_mapped"):
                self.__dict__["_from_mapped"] = True
            else:
                _find_place(kwargs)
        default_args = _merged_default_args(kwargs)
        if default_args:
            for name in names:
                if name not in kwargs and name in default_args:
                    kwargs[name] = default_args[name]
            fill_call = getattr(self, "_fill_call_from_defaults", None)
            if fill_call is not None:
                fill_call(kwargs, default_args)
        missing = [name for name in required if name not in kwargs]
        if len(missing) == 1:
            raise TypeError(f"missing keyword argument {missing[0]!r}")
        if missing:
            raise TypeError(f"missing keyword arguments {', '.join(map(repr, sorted(missing)))}")
        init(self, **kwargs)
        if outermost:
            del self.__dict__["_initializing"]
            self.__post_init__()

    apply_defaults.__wrapped__ = init  # type: ignore[attr-defined]
    apply_defaults.__doc__ = init.__doc__
    return apply_defaults


BaseOperator.__init__ = _apply_defaults(BaseOperator.__init__)  # type: ignore[method-assign]


def _init_names(cls: type) -> set[str]:
    """Return the names of all arguments that the `__init__`s of an operator class take."""
    names = set(_OPERATOR_ARGUMENTS | _PLACING_ARGUMENTS)
    for each in cls.__mro__[: cls.__mro__.index(BaseOperator)]:
        init = each.__dict__.get("__init__")
        if init is not None:
            names.update(name for name in Signature(getattr(init, "__wrapped__", init)).names if name != "self")
    return names


def _caller() -> tuple[str, int] | None:
    """Return file and line of the innermost frame outside this module: where something was declared."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def _warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the line of the Dag file that declares something."""
    import warnings

    depth = 1
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals is globals():
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)


class OperatorPartial:
    """`Operator.partial(...)`, before `expand()`."""

    __module__ = "airflow.sdk.definitions.mappedoperator"

    def __init__(self, operator_class: type[BaseOperator], task_id: str, kwargs: dict[str, Any]) -> None:
        self.operator_class = operator_class
        self._check_names("partial", kwargs)
        kwargs = dict(kwargs)
        _find_place(kwargs)
        dag, group = kwargs.pop("dag", None), kwargs.pop("task_group", None)
        default_args = kwargs.pop("default_args", None)
        self.params = _merged_params(dag, kwargs.pop("params", None), default_args)
        merged = _merged_default_args({"dag": dag, "task_group": group, "default_args": default_args})
        self.kwargs = {name: value for name, value in merged.items() if name in _OPERATOR_ARGUMENTS}
        self.kwargs.update(kwargs)
        self.kwargs.setdefault("retry_delay", _default_retry_delay())
        self.dag, self.task_group = dag, group
        self.task_id = group.child_id(task_id) if group is not None else task_id
        self._expanded = False

    def _check_names(self, verb: str, kwargs: dict[str, Any]) -> None:
        known = _init_names(self.operator_class)
        unknown = [name for name in kwargs if name not in known]
        if unknown and not self.operator_class._is_placeholder:
            plural = "an unexpected keyword argument" if len(unknown) == 1 else "unexpected keyword arguments"
            raise TypeError(f"{self.operator_class.__name__}.{verb}() got {plural} {', '.join(map(repr, unknown))}")
        if verb == "expand":
            for name, value in kwargs.items():
                if not _is_mappable_argument(value):
                    raise ValueError(
                        f"{self.operator_class.__name__}.expand() got an unexpected type {type(value).__name__!r} "
                        f"for keyword argument {name}"
                    )

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        if not mapped_kwargs:
            raise TypeError("no arguments to expand against")
        self._check_names("expand", mapped_kwargs)
        _prevent_duplicates(self.kwargs, mapped_kwargs, "unmappable or already specified")
        return self._expand(DictOfListsExpandInput(mapped_kwargs), strict=False)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        _check_kwargs_list(kwargs)
        return self._expand(ListOfDictsExpandInput(kwargs), strict=strict)

    def _expand(self, expand_input: Any, strict: bool) -> MappedOperator:
        _ensure_return_values(expand_input.value)
        self._expanded = True
        return MappedOperator(
            self.operator_class,
            task_id=self.task_id,
            dag=self.dag,
            task_group=self.task_group,
            params=self.params,
            partial_kwargs=self.kwargs,
            expand_input=expand_input,
            strict=strict,
        )

    def __del__(self) -> None:
        if not getattr(self, "_expanded", True):
            _warn(f"Task {self.task_id!r} was never mapped!")


class MappedOperator(AbstractOperator):
    """A task that becomes as many task instances as its input has elements."""

    __module__ = "airflow.sdk.definitions.mappedoperator"
    is_mapped = True
    _is_mapped = True
    _needs_expansion = True

    def __init__(
        self,
        operator_class: type[BaseOperator],
        *,
        task_id: str,
        dag: DAG | None,
        task_group: TaskGroup | None,
        params: ParamsDict,
        partial_kwargs: dict[str, Any],
        expand_input: Any,
        strict: bool,
        python_callable: Callable[..., Any] | None = None,
        multiple_outputs: bool = False,
    ) -> None:
        validate_key(task_id)
        self.operator_class = operator_class
        self.task_id = task_id
        self.task_group = None
        self.dag = dag
        self.params = params
        self.partial_kwargs = partial_kwargs
        for name, convert in _OPERATOR_CONVERTERS.items():
            if name in partial_kwargs:
                partial_kwargs[name] = convert(partial_kwargs[name])
        if partial_kwargs.get("pool_slots", 1) < 1:
            where = f" in dag {dag.dag_id}" if dag else ""
            raise ValueError(f"pool slots for {task_id}{where} cannot be less than 1")
        if partial_kwargs.get("wait_for_downstream"):
            partial_kwargs["depends_on_past"] = True
        self.start_date = partial_kwargs.pop("start_date", None)
        self.end_date = partial_kwargs.pop("end_date", None)
        # A TaskFlow task maps the arguments of its function, a classic one those of the operator.
        self.python_callable = python_callable
        self.__dict__["multiple_outputs"] = multiple_outputs
        self.expand_input = EXPAND_INPUT_EMPTY if python_callable else expand_input
        if python_callable is not None:
            self.op_kwargs_expand_input = expand_input
        self._expand_input = expand_input
        self._disallow_kwargs_override = strict
        self._expand_input_attr = "op_kwargs_expand_input" if python_callable else "expand_input"
        self.template_fields = operator_class.template_fields
        self.template_ext = operator_class.template_ext
        self.template_fields_renderers = operator_class.template_fields_renderers
        self.operator_extra_links = operator_class.operator_extra_links
        self.declared_at = _caller()
        self.upstream_task_ids = set()
        self.downstream_task_ids = set()
        if task_group is not None:
            if next(task_group.iter_mapped_task_groups(), None) is not None:
                raise NotImplementedError("operator expansion in an expanded task group is not yet supported")
            task_group.add(self)
        if dag is not None:
            dag.add_task(self)
            dag._mapped_nodes.append(self)
        XComArg.apply_upstream_relationship(self, expand_input.value)
        for name, value in partial_kwargs.items():
            if name in self.template_fields:
                XComArg.apply_upstream_relationship(self, value)

    def __getattr__(self, name: str) -> Any:
        # Whatever is not the mapped task's own is an argument that all instances share, or the operator's default.
        if name.startswith("__"):
            raise AttributeError(name)
        partial_kwargs = self.__dict__.get("partial_kwargs", {})
        if name in partial_kwargs:
            return partial_kwargs[name]
        if name.startswith("has_on_") or name == "has_retry_policy":
            return bool(getattr(self, name[4:]))
        if name == "retry_delay":
            return _default_retry_delay()
        try:
            value = getattr(self.__dict__["operator_class"], name)
        except (KeyError, AttributeError):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None
        return [] if value == () else value

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            name in _OPERATOR_ARGUMENTS
            and name not in ("start_date", "end_date")
            or name in ("is_setup", "is_teardown")
        ):
            self.partial_kwargs[name] = value
        else:
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<Mapped({self.task_type}): {self.task_id}>"

    @property
    def task_type(self) -> str:
        return self.operator_class.__name__

    @property
    def operator_name(self) -> str:
        return getattr(self.operator_class, "custom_operator_name", self.task_type)

    @property
    def task_display_name(self) -> str:
        return self.partial_kwargs.get("task_display_name") or self.task_id

    @property
    def is_setup(self) -> bool:  # type: ignore[override]
        return bool(self.partial_kwargs.get("is_setup"))

    @property
    def is_teardown(self) -> bool:  # type: ignore[override]
        return bool(self.partial_kwargs.get("is_teardown"))

    @property
    def _task_module(self) -> str:
        return self.operator_class.__module__

    def get_dag(self) -> DAG | None:
        return self.__dict__.get("dag")

    def _get_specified_expand_input(self) -> Any:
        return self._expand_input

    def iter_mapped_dependencies(self) -> Iterator[Any]:
        return (operator for operator, _ in XComArg.iter_xcom_references(self._expand_input))

    def prepare_for_execution(self) -> MappedOperator:
        return self

    def unmap(self, resolve: Mapping[str, Any]) -> BaseOperator:
        """Make the operator of one task instance from the arguments of its map index."""
        kwargs = dict(self.partial_kwargs)
        if self.python_callable is not None:
            if self._disallow_kwargs_override:
                _prevent_duplicates(kwargs.get("op_kwargs") or {}, resolve, "mapping already partial")
            kwargs["op_kwargs"] = {**(kwargs.get("op_kwargs") or {}), **resolve}
            kwargs["python_callable"] = self.python_callable
            kwargs["multiple_outputs"] = self.multiple_outputs
            resolve = {}
        elif self._disallow_kwargs_override:
            _prevent_duplicates(kwargs, resolve, "unmappable or already specified")
        params = self.params.copy_from("task")
        params.update(resolve.get("params") or {})
        flags = {name: kwargs.pop(name, False) for name in ("is_setup", "is_teardown", "on_failure_fail_dagrun")}
        kwargs.update(resolve)
        kwargs.update(task_id=self.task_id, dag=self.dag, task_group=self.task_group, params=params)
        op = self.operator_class(**kwargs, _airflow_from_mapped=True)
        for name, value in flags.items():
            setattr(op, name, value)
        op.returns_dag_result = self.returns_dag_result
        op.start_date, op.end_date = self.start_date, self.end_date
        op.upstream_task_ids = self.upstream_task_ids
        op.downstream_task_ids = self.downstream_task_ids
        return op

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        resolved, seen = self._expand_input.resolve(context)
        task = self.unmap(resolved)
        context["task"] = context["ti"].task = task
        context.update(params=process_params(task, context["dag_run"].conf))
        task._do_render_template_fields(task, self.template_fields, context, jinja_env, seen)


def process_params(task: Any, conf: dict[str, Any] | None) -> dict[str, Any]:
    """Merge the params of Dag and task with the configuration of the run, and check them.

    :raises ParamValidationError: as airflow.sdk.definitions.param.process_params does.
    """
    dag = task.get_dag()
    params = ParamsDict()
    if dag is not None and dag.params:
        params.update(dag.params.copy_from("dag"))
    if task.params:
        params.update(task.params.copy_from("task"))
    if conf:
        params.update(conf)
    return params.validate() if params else {}


# --- TaskFlow ---------------------------------------------------------------------------------------------------------


def get_unique_task_id(task_id: str, dag: DAG | None = None, task_group: TaskGroup | None = None) -> str:
    """Number the second and later calls of one task function: `extract`, `extract__1`, ..."""
    dag = dag or DagContext.get_current()
    if dag is None:
        return task_id
    group = task_group or TaskGroupContext.get_current(dag)
    full_id = group.child_id(task_id) if group is not None else task_id
    if full_id not in dag.task_dict:
        return task_id
    return _next_free_id(task_id, dag.task_dict, full_id)


class DecoratedOperator(BaseOperator):
    """A task made from a function; base of all `@task` variants (airflow.sdk.bases.decorator)."""

    __module__ = "airflow.sdk.bases.decorator"
    template_fields: Collection[str] = ("op_args", "op_kwargs")
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py"}
    shallow_copy_attrs: Sequence[str] = ("python_callable",)

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        task_id: str,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not self._from_mapped:
            task_id = get_unique_task_id(task_id, kwargs.get("dag"), kwargs.get("task_group"))
        op_args, op_kwargs = op_args or (), op_kwargs or {}
        self._check_call(python_callable, op_args, op_kwargs, kwargs.get("_airflow_mapped_validation_only", False))
        self.python_callable = python_callable
        self.op_args = op_args
        self.op_kwargs = op_kwargs
        self._init_base(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, task_id=task_id, **kwargs
        )

    def _init_base(self, *, python_callable: Any, op_args: Any, op_kwargs: Any, **kwargs: Any) -> None:
        """Pass on to the next class what it takes; a class built on an operator with its own arguments overrides it."""
        super().__init__(**kwargs)

    @staticmethod
    def _check_call(function: Callable[..., Any], args: Any, kwargs: Any, partial: bool) -> None:
        signature = Signature(function)
        for name in signature.names:
            if name in KNOWN_CONTEXT_KEYS and signature.defaults.get(name) is not None:
                raise ValueError(f"Context key parameter {name} can't have a default other than None")
        signature.check(args, kwargs, KNOWN_CONTEXT_KEYS, partial)

    def _fill_call_from_defaults(self, kwargs: dict[str, Any], default_args: dict[str, Any]) -> None:
        """`default_args` also fill the arguments of the function, as in Airflow."""
        if "python_callable" in kwargs:
            op_kwargs = kwargs.get("op_kwargs") or {}
            for name in Signature(kwargs["python_callable"]).names:
                if name not in op_kwargs and name in default_args:
                    op_kwargs[name] = default_args[name]
            kwargs["op_kwargs"] = op_kwargs

    @property
    def is_async(self) -> bool:
        return is_async_callable(self.python_callable)

    def execute(self, context: Any) -> Any:
        for each in (*self.op_args, *self.op_kwargs.values()):
            if isinstance(each, Asset):
                self.inlets.append(each)
        result = super().execute(context)
        for each in result if isinstance(result, list) else [result]:
            if isinstance(each, Asset):
                self.outlets.append(each)
        return result


def is_async_callable(function: Any) -> bool:
    """Say whether calling it gives a coroutine."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = function.func
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(vars(type(function)).get("__call__"), "__code__", None)
    return bool(code is not None and code.co_flags & 0x80)


def _infers_multiple_outputs(function: Callable[..., Any]) -> bool:
    """A function annotated to return a mapping pushes each of its keys as an XCom of its own."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation is None:
        return False
    if isinstance(annotation, str):
        head = annotation.partition("[")[0].strip()
        if head in ("dict", "Dict", "typing.Dict", "Mapping", "typing.Mapping"):
            return True
        if "|" in annotation or head in ("str", "int", "float", "bool", "list", "tuple", "set", "None", "bytes"):
            return False
        try:
            annotation = eval(annotation, function.__globals__)  # as typing.get_type_hints does
        except Exception:
            return False
    origin = getattr(annotation, "__origin__", annotation)
    if not isinstance(origin, type):
        return False
    if issubclass(origin, dict):
        return True
    from collections.abc import Mapping

    return issubclass(origin, Mapping)


class _TaskDecorator:
    """What `@task` makes of a function: calling it declares a task."""

    _airflow_is_task_decorator = True

    def __init__(
        self,
        function: Callable[..., Any],
        operator_class: type[Any],
        multiple_outputs: bool | None = None,
        kwargs: dict[str, Any] | None = None,
        decorator_name: str = "task",
    ) -> None:
        if not callable(function):
            raise TypeError("No positional arguments allowed while using @task, use named arguments instead")
        self.function = function
        self.operator_class = operator_class
        self.multiple_outputs = _infers_multiple_outputs(function) if multiple_outputs is None else multiple_outputs
        self.kwargs = kwargs or {}
        self.is_setup = False
        self.is_teardown = False
        self.returns_dag_result = False
        self.on_failure_fail_dagrun = False
        self.decorator_name = decorator_name
        self._signature: Signature | None = None
        code = getattr(function, "__code__", None)
        if code is not None and "self" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            raise TypeError(f"@{decorator_name} does not support methods")
        self.kwargs.setdefault("task_id", getattr(function, "__name__", type(function).__name__))
        for name, expected in _OPERATOR_TYPES.items():
            value = self.kwargs.get(name)
            if value is not None and not isinstance(value, expected):
                raise TypeError(f"Expected {name!r} to be {expected}, got {type(value).__name__}: {value!r}")
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
            if hasattr(function, name):
                setattr(self, name, getattr(function, name))
        self.__wrapped__ = function

    @property
    def function_signature(self) -> Signature:
        if self._signature is None:
            self._signature = Signature(self.function)
        return self._signature

    def __call__(self, *args: Any, **kwargs: Any) -> PlainXComArg:
        self._use_teardown_rule()
        arguments = dict(self.kwargs)
        on_failure_fail_dagrun = arguments.pop("on_failure_fail_dagrun", self.on_failure_fail_dagrun)
        op = self.operator_class(
            python_callable=self.function,
            op_args=args,
            op_kwargs={**(arguments.pop("op_kwargs", None) or {}), **kwargs},
            multiple_outputs=self.multiple_outputs,
            **arguments,
        )
        op.is_setup, op.is_teardown = self.is_setup, self.is_teardown
        op.on_failure_fail_dagrun = on_failure_fail_dagrun
        op.returns_dag_result = self.returns_dag_result
        doc = self.function.__doc__
        if doc and not (op.doc or op.doc_json or op.doc_md or op.doc_rst or op.doc_yaml):
            op.doc_md = doc
        return PlainXComArg(op)

    def _use_teardown_rule(self) -> None:
        if self.is_teardown:
            if (
                self.kwargs.get("trigger_rule", TriggerRule.ALL_DONE_SETUP_SUCCESS)
                != TriggerRule.ALL_DONE_SETUP_SUCCESS
            ):
                raise ValueError("Trigger rule not configurable for teardown tasks.")
            self.kwargs["trigger_rule"] = TriggerRule.ALL_DONE_SETUP_SUCCESS

    def _copy(self, kwargs: dict[str, Any]) -> _TaskDecorator:
        clone = _TaskDecorator(
            self.function, self.operator_class, self.multiple_outputs, kwargs, decorator_name=self.decorator_name
        )
        for name in ("is_setup", "is_teardown", "returns_dag_result", "on_failure_fail_dagrun"):
            setattr(clone, name, getattr(self, name))
        return clone

    def override(self, **kwargs: Any) -> _TaskDecorator:
        """Return the same task with other operator arguments."""
        return self._copy({**self.kwargs, **kwargs})

    def partial(self, **kwargs: Any) -> _TaskDecorator:
        """Give arguments that all instances of a mapped task share."""
        self._check_names("partial", kwargs)
        given = self.kwargs.get("op_kwargs") or {}
        _prevent_duplicates(given, kwargs, "duplicate partial")
        return self._copy({**self.kwargs, "op_kwargs": {**kwargs, **given}})

    def _check_names(self, verb: str, kwargs: dict[str, Any]) -> None:
        in_context = [name for name in kwargs if name in KNOWN_CONTEXT_KEYS]
        if in_context:
            plural = "s" if len(in_context) > 1 else ""
            names = ", ".join(map(repr, in_context))
            raise ValueError(f"cannot call {verb}() on task context variable{plural} {names}")
        _check_argument_names(self.function_signature, verb, kwargs)

    def expand(self, **map_kwargs: Any) -> PlainXComArg:
        """Run the task once for each element of the arguments' cross product."""
        if not map_kwargs:
            raise TypeError("no arguments to expand against")
        if self.kwargs.get("trigger_rule") == TriggerRule.ALWAYS and any(
            isinstance(value, XComArg) for value in map_kwargs.values()
        ):
            raise ValueError(
                "Task-generated mapping within a task using 'expand' is not allowed with trigger rule 'always'."
            )
        self._check_names("expand", map_kwargs)
        _prevent_duplicates(self.kwargs, map_kwargs, "mapping already partial")
        return self._expand(DictOfListsExpandInput(map_kwargs), strict=False)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> PlainXComArg:
        """Run the task once for each dict of arguments."""
        if self.kwargs.get("trigger_rule") == TriggerRule.ALWAYS and not isinstance(kwargs, XComArg):
            if any(isinstance(v, XComArg) for each in kwargs if isinstance(each, dict) for v in each.values()):
                raise ValueError(
                    "Task-generated mapping within a task using 'expand_kwargs' is not allowed "
                    "with trigger rule 'always'."
                )
        _check_kwargs_list(kwargs)
        return self._expand(ListOfDictsExpandInput(kwargs), strict=strict)

    def _expand(self, expand_input: Any, strict: bool) -> PlainXComArg:
        _ensure_return_values(expand_input.value)
        self._use_teardown_rule()
        kwargs = dict(self.kwargs)
        _find_place(kwargs)
        dag, group = kwargs.pop("dag", None), kwargs.pop("task_group", None)
        default_args = kwargs.pop("default_args", None)
        params = _merged_params(dag, kwargs.pop("params", None), default_args)
        merged = _merged_default_args({"dag": dag, "task_group": group, "default_args": default_args})
        ignored = ("do_xcom_push", "multiple_outputs")
        partial_kwargs: dict[str, Any] = {
            "is_setup": self.is_setup,
            "is_teardown": self.is_teardown,
            "on_failure_fail_dagrun": self.on_failure_fail_dagrun,
        }
        partial_kwargs.update(
            (name, value) for name, value in merged.items() if name in _OPERATOR_ARGUMENTS and name not in ignored
        )
        partial_kwargs.update(kwargs)
        task_id = get_unique_task_id(partial_kwargs.pop("task_id"), dag, group)
        partial_kwargs.setdefault("executor_config", {})
        partial_kwargs.setdefault("op_args", [])
        partial_kwargs.setdefault("op_kwargs", {})
        op = MappedOperator(
            self.operator_class,
            task_id=group.child_id(task_id) if group is not None else task_id,
            dag=dag,
            task_group=group,
            params=params,
            partial_kwargs=partial_kwargs,
            expand_input=expand_input,
            strict=strict,
            python_callable=self.function,
            multiple_outputs=self.multiple_outputs,
        )
        op.returns_dag_result = self.returns_dag_result
        return PlainXComArg(op)


def _check_argument_names(signature: Signature, verb: str, kwargs: dict[str, Any]) -> None:
    """Check the arguments of `partial()` and `expand()` against the function they are for."""
    if not signature.var_keyword:
        unknown = [name for name in kwargs if name not in signature.names]
        if unknown:
            plural = "an unexpected keyword argument" if len(unknown) == 1 else "unexpected keyword arguments"
            raise TypeError(f"{verb}() got {plural} {', '.join(map(repr, unknown))}")
    if verb == "expand":
        for name, value in kwargs.items():
            if not _is_mappable_argument(value):
                raise ValueError(
                    f"expand() got an unexpected type {type(value).__name__!r} for keyword argument {name!r}"
                )


def task_decorator_factory(
    python_callable: Callable[..., Any] | None = None,
    *,
    multiple_outputs: bool | None = None,
    decorated_operator_class: type[Any],
    **kwargs: Any,
) -> Any:
    """Make a decorator, with or without arguments, that turns functions into tasks of an operator class."""

    def decorate(function: Callable[..., Any]) -> _TaskDecorator:
        name = getattr(decorated_operator_class, "custom_operator_name", "@task").lstrip("@")
        return _TaskDecorator(function, decorated_operator_class, multiple_outputs, dict(kwargs), decorator_name=name)

    return decorate if python_callable is None else decorate(python_callable)


class _TaskGroupFactory:
    """What `@task_group` makes of a function: calling it opens a group around what the function declares."""

    def __init__(
        self,
        function: Callable[..., Any],
        tg_kwargs: dict[str, Any] | None = None,
        partial_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.function = function
        self.tg_kwargs = dict(tg_kwargs or {})
        self.tg_kwargs.setdefault("group_id", function.__name__)
        self.partial_kwargs = partial_kwargs or {}
        unknown = [name for name in self.tg_kwargs if name not in Signature(TaskGroup.__init__).names]
        if unknown:
            raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._create(TaskGroup(add_suffix_on_collision=True, **self.tg_kwargs), args, kwargs)

    def _create(self, group: TaskGroup, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        with group:
            if self.function.__doc__:
                group.tooltip = group.tooltip or self.function.__doc__
                group.doc_md = group.doc_md or self.function.__doc__
            result = self.function(*args, **kwargs)
        return group if result is None else result

    def override(self, **kwargs: Any) -> _TaskGroupFactory:
        return _TaskGroupFactory(self.function, {**self.tg_kwargs, **kwargs}, self.partial_kwargs)

    def partial(self, **kwargs: Any) -> _TaskGroupFactory:
        _check_argument_names(Signature(self.function), "partial", kwargs)
        _prevent_duplicates(self.partial_kwargs, kwargs, "duplicate partial")
        return _TaskGroupFactory(self.function, self.tg_kwargs, {**kwargs, **self.partial_kwargs})

    def expand(self, **kwargs: Any) -> Any:
        if not kwargs:
            raise TypeError("no arguments to expand against")
        _check_argument_names(Signature(self.function), "expand", kwargs)
        _prevent_duplicates(self.partial_kwargs, kwargs, "mapping already partial")
        return self._create_mapped(DictOfListsExpandInput(kwargs), list(kwargs))

    def expand_kwargs(self, kwargs: Any) -> Any:
        _check_kwargs_list(kwargs)
        signature = Signature(self.function)
        if signature.var_positional or signature.var_keyword:
            raise TypeError("calling expand_kwargs() on task group function with * or ** is not supported")
        names = [name for name in signature.names if name not in self.partial_kwargs]
        return self._create_mapped(ListOfDictsExpandInput(kwargs), names)

    def _create_mapped(self, expand_input: Any, names: list[str]) -> Any:
        _ensure_return_values(expand_input.value)
        group = MappedTaskGroup(expand_input=expand_input, add_suffix_on_collision=True, **self.tg_kwargs)
        arguments = {name: MappedArgument(input=expand_input, key=name) for name in names}
        return self._create(group, (), {**self.partial_kwargs, **arguments})


def task_group(python_callable: Callable[..., Any] | None = None, **tg_kwargs: Any) -> Any:
    """Group the tasks that a function declares; with or without arguments."""
    if callable(python_callable) and not tg_kwargs:
        return _TaskGroupFactory(python_callable)
    if isinstance(python_callable, str):
        tg_kwargs["group_id"] = python_callable
    return lambda function: _TaskGroupFactory(function, tg_kwargs)


# --- Dags -------------------------------------------------------------------------------------------------------------


class DAG:
    """A Dag (airflow.sdk.definitions.dag): tasks, their order, and when they run."""

    __module__ = "airflow.sdk.definitions.dag"

    def __init__(
        self,
        dag_id: str,
        *,
        description: str | None = None,
        default_args: dict[str, Any] | None = None,
        start_date: Any = None,
        end_date: Any = None,
        schedule: Any = None,
        template_searchpath: str | Iterable[str] | None = None,
        template_undefined: Any = None,
        user_defined_macros: dict[str, Any] | None = None,
        user_defined_filters: dict[str, Any] | None = None,
        max_active_tasks: int | None = None,
        max_active_runs: int | None = None,
        max_consecutive_failed_dag_runs: int | None = None,
        dagrun_timeout: Any = None,
        deadline: Any = None,
        sla_miss_callback: Any = None,
        catchup: bool | None = None,
        on_success_callback: Any = None,
        on_failure_callback: Any = None,
        doc_md: str | None = None,
        params: Mapping[str, Any] | None = None,
        access_control: dict[str, Any] | None = None,
        is_paused_upon_creation: bool | None = None,
        jinja_environment_kwargs: dict[str, Any] | None = None,
        render_template_as_native_obj: bool = False,
        tags: Collection[str] | None = None,
        owner_links: dict[str, str] | None = None,
        auto_register: bool = True,
        fail_fast: bool = False,
        allowed_run_types: Any = None,
        dag_display_name: str | None = None,
        disable_bundle_versioning: bool = False,
        rerun_with_latest_version: bool | None = None,
    ) -> None:
        validate_key(dag_id)
        self.dag_id = dag_id
        self.declared_at = _caller()
        self.fileloc = self.declared_at[0] if self.declared_at else ""
        self.relative_fileloc: str | None = None
        self.description = _checked("description", description, str)
        self.default_args = dict(_checked("default_args", default_args or {}, dict))
        for name in ("start_date", "end_date"):
            if isinstance(self.default_args.get(name), str):
                self.default_args[name] = parse_datetime(self.default_args[name])
        start_date = start_date or self.default_args.get("start_date")
        self.timezone = getattr(start_date, "tzinfo", None)
        self.start_date = convert_to_utc(start_date)
        self.end_date = convert_to_utc(end_date)
        for name in ("start_date", "end_date"):
            if self.default_args.get(name) is not None:
                self.default_args[name] = convert_to_utc(self.default_args[name])
        self.schedule = schedule
        self.timetable = _create_timetable(schedule, self.timezone or "UTC")
        self.template_searchpath = (
            (template_searchpath,) if isinstance(template_searchpath, str) else template_searchpath
        )
        self.template_undefined = template_undefined
        self.user_defined_macros = user_defined_macros
        self.user_defined_filters = user_defined_filters
        self.max_active_tasks = _checked("max_active_tasks", 16 if max_active_tasks is None else max_active_tasks, int)
        self.max_active_runs = _checked("max_active_runs", 16 if max_active_runs is None else max_active_runs, int)
        self.max_consecutive_failed_dag_runs = _checked(
            "max_consecutive_failed_dag_runs", max_consecutive_failed_dag_runs or 0, int
        )
        if dagrun_timeout is not None:
            from datetime import timedelta

            _checked("dagrun_timeout", dagrun_timeout, timedelta)
        self.dagrun_timeout = dagrun_timeout
        self.deadline = deadline if deadline is None or isinstance(deadline, list) else [deadline]
        self.catchup = bool(catchup)
        self.on_success_callback = on_success_callback
        self.on_failure_callback = on_failure_callback
        self.has_on_success_callback = on_success_callback is not None
        self.has_on_failure_callback = on_failure_callback is not None
        self.doc_md = _read_markdown(doc_md)
        params = dict(params or {})
        params.update(self.default_args.pop("params", None) or {})
        self.params = ParamsDict(params)
        self.access_control = _checked("access_control", access_control, dict) and {
            role: {"DAGs": set(what)} if isinstance(what, (set, list)) else what
            for role, what in access_control.items()  # type: ignore[union-attr]
        }
        self.is_paused_upon_creation = is_paused_upon_creation
        self.jinja_environment_kwargs = jinja_environment_kwargs
        self.render_template_as_native_obj = bool(render_template_as_native_obj)
        self.tags = set(tags or ())
        if any(len(tag) > 100 for tag in self.tags):
            raise ValueError("tag cannot be longer than 100 characters")
        self.owner_links = owner_links or {}
        self.auto_register = bool(auto_register)
        self.fail_fast = bool(fail_fast)
        if allowed_run_types is not None and isinstance(allowed_run_types, str):
            allowed_run_types = [allowed_run_types]
        self.allowed_run_types = None if allowed_run_types is None else frozenset(allowed_run_types)
        self.dag_display_name = _checked("dag_display_name", dag_display_name or dag_id, str)
        self.disable_bundle_versioning = disable_bundle_versioning
        self.rerun_with_latest_version = rerun_with_latest_version
        self.task_dict: dict[str, Any] = {}
        self.task_group = TaskGroup(None, dag=self)
        self.edge_info: dict[str, dict[str, Any]] = {}
        self._mapped_nodes: list[Any] = []
        self._check_schedule()
        if sla_miss_callback is not None:
            _warn("The SLA feature is removed in Airflow 3.0, and replaced with a Deadline Alerts in >=3.1")

    def _check_schedule(self) -> None:
        limit = self.timetable.active_runs_limit
        if limit is not None and limit < self.max_active_runs:
            raise ValueError(
                f"Invalid max_active_runs: {type(self.timetable).__name__} requires max_active_runs <= {limit}"
            )
        if not self.timetable.can_be_scheduled:
            return
        if self.catchup and not self.start_date:
            raise ValueError("start_date is required when catchup=True")
        try:
            self.params.validate()
        except ParamValidationError as error:
            raise ValueError(
                f"Dag {self.dag_id!r} is not allowed to define a Schedule, as there are required params without "
                "default values, or the default values are not valid."
            ) from error

    def __repr__(self) -> str:
        return f"<DAG: {self.dag_id}>"

    def __enter__(self) -> DAG:
        DagContext.stack.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        DagContext.stack.pop()
        if self.auto_register:
            DagContext.declared.append(self)

    @property
    def tasks(self) -> list[Any]:
        return list(self.task_dict.values())

    @property
    def task_ids(self) -> list[str]:
        return list(self.task_dict)

    @property
    def task_group_dict(self) -> dict[str, TaskGroup]:
        return {id_: group for id_, group in self.task_group.get_task_group_dict().items() if id_ is not None}

    @property
    def folder(self) -> str:
        return os.path.dirname(self.fileloc)

    @property
    def owner(self) -> str:
        return ", ".join({task.owner for task in self.tasks})

    @property
    def roots(self) -> list[Any]:
        return [task for task in self.tasks if not task.upstream_task_ids]

    @property
    def leaves(self) -> list[Any]:
        return [task for task in self.tasks if not task.downstream_task_ids]

    @property
    def teardowns(self) -> list[Any]:
        return [task for task in self.tasks if task.is_teardown]

    @property
    def task(self) -> Callable[..., Any]:
        import functools

        return functools.partial(task, dag=self)

    def param(self, name: str, default: Any = NOTSET) -> DagParam:
        return DagParam(self, name, default)

    def has_task(self, task_id: str) -> bool:
        return task_id in self.task_dict

    def get_task(self, task_id: str) -> Any:
        try:
            return self.task_dict[task_id]
        except KeyError:
            raise TaskNotFound(f"Task {task_id} not found") from None

    def __getitem__(self, node_id: str) -> Any:
        node = self.task_dict.get(node_id) or self.task_group_dict.get(node_id)
        if node is None:
            raise NodeNotFound(f"Task or group {node_id!r} not found")
        return node

    def add_task(self, task: Any) -> None:
        """Take in a task.

        :raises DuplicateTaskIdFound: when its id is taken.
        """
        if not task.start_date:
            task.start_date = self.start_date
        elif self.start_date:
            task.start_date = max(task.start_date, self.start_date)
        if not task.end_date:
            task.end_date = self.end_date
        elif self.end_date:
            task.end_date = min(task.end_date, self.end_date)
        task_id = task.node_id
        if not task.task_group:
            group = TaskGroupContext.get_current(self)
            if group is not None:
                task_id = group.child_id(task_id)
                group.add(task)
        other = self.task_dict.get(task_id)
        if (other is not None and other is not task) or task_id in self.task_group.used_group_ids:
            raise DuplicateTaskIdFound(f"Task id '{task_id}' has already been added to the DAG")
        self.task_dict[task_id] = task
        task.dag = self
        self.task_group.used_group_ids.add(task_id)
        if self.fail_fast and task.trigger_rule not in (TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE_SETUP_SUCCESS):
            raise FailFastDagInvalidTriggerRule()

    def add_tasks(self, tasks: Iterable[Any]) -> None:
        for each in tasks:
            self.add_task(each)

    def add_result(self, result: PlainXComArg) -> None:
        """Make the result of a task the result of the Dag run."""
        if not isinstance(result, PlainXComArg) or result.key != XCOM_RETURN_KEY:
            raise TypeError("the result of a Dag must be the return value of one of its tasks")
        result.operator.returns_dag_result = True

    def set_dependency(self, upstream_task_id: str, downstream_task_id: str) -> None:
        self.get_task(upstream_task_id).set_downstream(self.get_task(downstream_task_id))

    def get_edge_info(self, upstream_task_id: str, downstream_task_id: str) -> dict[str, Any]:
        return self.edge_info.get(upstream_task_id, {}).get(downstream_task_id, {})

    def set_edge_info(self, upstream_task_id: str, downstream_task_id: str, info: dict[str, Any]) -> None:
        self.edge_info.setdefault(upstream_task_id, {})[downstream_task_id] = info

    def get_template_env(self, *, native: bool | None = None, force_sandboxed: bool = False) -> Any:
        if native is None:
            native = self.render_template_as_native_obj and not force_sandboxed
        return create_template_env(
            native=native,
            searchpath=[self.folder, *(self.template_searchpath or ())],
            template_undefined=self.template_undefined,
            jinja_environment_kwargs=self.jinja_environment_kwargs,
            user_defined_macros=self.user_defined_macros,
            user_defined_filters=self.user_defined_filters,
        )

    def resolve_template_files(self) -> None:
        """Read the files that template fields name, as Airflow does before it stores a Dag."""
        for each in self.tasks:
            # The fields of a mapped task are only known when it runs.
            if not each.is_mapped:
                each.resolve_template_files()

    def topological_sort(self) -> tuple[Any, ...]:
        def flatten(group: TaskGroup) -> Iterator[Any]:
            for node in group.topological_sort():
                if isinstance(node, TaskGroup):
                    yield from flatten(node)
                else:
                    yield node

        return tuple(flatten(self.task_group))

    def validate(self) -> None:
        """Check what can only be checked when the whole Dag is there.

        :raises AirflowDagCycleException: naming a task of the circle.
        :raises AirflowTimetableInvalid, ValueError: for a schedule or setup that cannot be.
        """
        self.timetable.validate()
        self.check_cycle()
        for each in self.tasks:
            if each.is_setup:
                for after in each.downstream_list:
                    if not after.is_teardown and after.trigger_rule != TriggerRule.ALL_SUCCESS:
                        raise ValueError("Setup tasks must be followed with trigger rule ALL_SUCCESS.")

    def check_cycle(self) -> None:
        """Take away, again and again, what nothing waits for; what remains goes round in a circle."""
        waiting = {id_: len(task.upstream_task_ids) for id_, task in self.task_dict.items()}
        free = [id_ for id_, count in waiting.items() if not count]
        while free:
            task = self.task_dict[free.pop()]
            del waiting[task.task_id]
            for id_ in task.downstream_task_ids:
                waiting[id_] -= 1
                if not waiting[id_]:
                    free.append(id_)
        if waiting:
            # Walking upstream from what is left over stays in what is left over, so it must come round.
            path: list[str] = []
            id_ = next(iter(waiting))
            while id_ not in path:
                path.append(id_)
                id_ = min(each for each in self.task_dict[id_].upstream_task_ids if each in waiting)
            circle = [*path[path.index(id_) :], id_][::-1]
            raise AirflowDagCycleException(f"Cycle detected in Dag: {self.dag_id}. {' >> '.join(circle)}")


def templated_tasks(dag: DAG) -> list[str]:
    """Return the ids of the tasks that Jinja has to render something for when they run."""
    return [
        each.task_id
        for each in dag.tasks
        if each.map_index_template is not None
        # The command that `@task.bash` returns is rendered once more, and is not known before.
        or each.operator_name == "@task.bash"
        or any(_is_template(value, each.template_ext) for value in _template_values(each))
    ]


def _template_values(task: Any) -> Iterator[Any]:
    arguments = {**task.partial_kwargs, **_mapped_values(task)} if task.is_mapped else vars(task)
    return (arguments[name] for name in task.template_fields if name in arguments)


def _mapped_values(task: MappedOperator) -> dict[str, Any]:
    value = task._get_specified_expand_input().value
    name = "op_kwargs" if task.python_callable is not None else "expand_kwargs"
    return value if isinstance(value, dict) and task.python_callable is None else {name: value}


def _is_template(value: Any, extensions: Sequence[str]) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in ("{{", "{%", "{#")) or value.endswith(tuple(extensions) or ("\0",))
    if isinstance(value, dict):
        return any(_is_template(each, extensions) for each in value.values())
    return isinstance(value, (list, tuple, set)) and any(_is_template(each, extensions) for each in value)


def _checked(name: str, value: Any, expected: type) -> Any:
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"'{name}' must be {expected!r} (got {value!r} that is a {type(value)!r}).")
    return value


def dag(dag_id_or_func: Any = None, **decorator_kwargs: Any) -> Any:
    """Turn a function that declares tasks into one that makes a Dag; its arguments become params."""

    def wrapper(function: Callable[..., Any]) -> Callable[..., DAG]:
        arguments = dict(decorator_kwargs)
        dag_id = arguments.pop("dag_id", None)
        if dag_id is None:
            named = isinstance(dag_id_or_func, str) and dag_id_or_func.strip()
            dag_id = dag_id_or_func if named else function.__name__

        def factory(*args: Any, **kwargs: Any) -> DAG:
            signature = Signature(function)
            signature.check(args, kwargs, (), partial=False)
            bound = {**signature.defaults, **dict(zip(signature.positional, args)), **kwargs}
            with DAG(dag_id, **arguments) as dag_obj:
                if function.__doc__ and not dag_obj.doc_md:
                    dag_obj.doc_md = _read_markdown(function.__doc__)
                caller = _caller()
                dag_obj.fileloc = caller[0] if caller else ""
                names = [name for name in signature.names if name in bound]
                result = function(**{name: dag_obj.param(name, bound[name]) for name in names})
                if isinstance(result, PlainXComArg) and result.key == XCOM_RETURN_KEY:
                    dag_obj.add_result(result)
            return dag_obj

        factory.__name__ = getattr(function, "__name__", "dag")
        factory.__doc__ = function.__doc__
        factory.__wrapped__ = function  # type: ignore[attr-defined]
        return factory

    if callable(dag_id_or_func):
        return wrapper(dag_id_or_func)
    return wrapper


def chain(*tasks: Any) -> None:
    """Set each to run after the one before; lists of one length are joined pair by pair."""
    for up, down in zip(tasks, tasks[1:]):
        if isinstance(up, DependencyMixin):
            up.set_downstream(down)
        elif isinstance(down, DependencyMixin):
            down.set_upstream(up)
        elif not isinstance(up, (list, tuple)) or not isinstance(down, (list, tuple)):
            raise TypeError(f"Chain not supported between instances of {type(up)} and {type(down)}")
        elif len(up) != len(down):
            raise ValueError(f"Chain not supported for different length Iterable. Got {len(up)} and {len(down)}.")
        else:
            for before, after in zip(up, down):
                before.set_downstream(after)


def chain_linear(*elements: Any) -> None:
    """Set every task of each list to run after every task of the list before."""
    if not elements:
        raise ValueError("No tasks provided; nothing to do.")
    if any(isinstance(each, EdgeModifier) for each in elements):
        raise ValueError("Labels are not supported by chain_linear")
    lists = [[each] if isinstance(each, DependencyMixin) else list(each) for each in elements]
    pairs = [(before, after) for up, down in zip(lists, lists[1:]) for before in up for after in [down] if after]
    if not pairs:
        raise ValueError("No dependencies were set. Did you forget to expand with `*`?")
    for before, after in pairs:
        before.set_downstream(after)


def cross_downstream(from_tasks: Sequence[Any], to_tasks: Any) -> None:
    """Set every task of the second list to run after every task of the first."""
    for each in from_tasks:
        each.set_downstream(to_tasks)


def setup(function: Any) -> Any:
    """Mark a task as one that prepares the ground for others."""
    decorated = _as_task(function)
    decorated.is_setup = True
    return decorated


def teardown(function: Any = None, *, on_failure_fail_dagrun: bool = False) -> Any:
    """Mark a task as one that cleans up after others; it runs even when they failed."""

    def mark(function: Any) -> Any:
        decorated = _as_task(function)
        decorated.is_teardown = True
        decorated.on_failure_fail_dagrun = on_failure_fail_dagrun
        return decorated

    return mark if function is None else mark(function)


def _as_task(function: Any) -> Any:
    if isinstance(function, _TaskGroupFactory):
        raise AirflowException("Task groups cannot be marked as setup or teardown.")
    return function if isinstance(function, _TaskDecorator) else task(function)


def result(decorated: Any) -> Any:
    """Make the result of a task the result of its Dag run."""
    if not isinstance(decorated, _TaskDecorator):
        raise TypeError("@result must be used on top of a @task-decorated function")
    decorated.returns_dag_result = True
    return decorated


# --- operators that come with Airflow ---------------------------------------------------------------------------------


class SkipMixin:
    """Skips what comes after a task (airflow.sdk.bases.skipmixin)."""

    __module__ = "airflow.sdk.bases.skipmixin"
    _can_skip_downstream = True
    log: Any

    def skip(self, ti: Any, tasks: Iterable[Any]) -> None:
        """Mark tasks as skipped, and leave a note for tasks that are cleared and run later."""
        task_ids = [each.task_id for each in tasks if isinstance(each, AbstractOperator)]
        if not task_ids:
            return
        ti.xcom_push(key="skipmixin_key", value={"skipped": task_ids})
        self._skip_now(task_ids, ti.map_index)

    @staticmethod
    def _skip_now(tasks: Sequence[Any], map_index: int | None) -> None:
        # A mapped task only leaves the note: the scheduler skips what follows when all instances are through.
        if tasks and map_index == -1:
            raise DownstreamTasksSkipped(tasks=tasks)

    def skip_all_except(self, ti: Any, branch_task_ids: None | str | Iterable[str]) -> None:
        """Mark all direct downstream tasks as skipped except those named and what leads to them.

        :raises AirflowException: when a name is no task of the Dag, or no name at all.
        """
        if branch_task_ids is None:
            chosen: set[Any] = set()
        elif isinstance(branch_task_ids, str):
            chosen = {branch_task_ids}
        elif hasattr(branch_task_ids, "__iter__"):
            chosen = set(branch_task_ids)
        else:
            raise AirflowException(
                "'branch_task_ids' must be either None, a task ID, or an Iterable of IDs, "
                f"but got {type(branch_task_ids).__name__!r}."
            )
        wrong = {(each, type(each).__name__) for each in chosen if not isinstance(each, str)}
        if wrong:
            raise AirflowException(
                "Unable to branch to the specified tasks. The branching function returned invalid "
                f"'branch_task_ids': {wrong}. Please check that your function returns an Iterable of valid task IDs "
                "that exist in your DAG."
            )
        self.log.info("Following branch %s", chosen)
        dag = ti.task.dag
        unknown = chosen - set(dag.task_dict)
        if unknown:
            raise AirflowException(
                f"'branch_task_ids' must contain only valid task_ids. Invalid tasks found: {unknown}."
            )
        after = [each for each in ti.task.downstream_list if isinstance(each, AbstractOperator)]
        if not after:
            return
        for task_id in list(chosen):
            chosen |= dag.get_task(task_id).get_flat_relative_ids(upstream=False)
        skipped = [(each.task_id, ti.map_index) for each in after if each.task_id not in chosen]
        followed = [each.task_id for each in after if each.task_id in chosen]
        self.log.info("Skipping tasks %s", skipped)
        ti.xcom_push(key="skipmixin_key", value={"followed": followed})
        self._skip_now(skipped, ti.map_index)


class BranchMixIn(SkipMixin):
    """Follows some of the tasks or groups that come after a task (airflow.sdk.bases.branch)."""

    __module__ = "airflow.sdk.bases.branch"

    def do_branch(self, context: Any, branches_to_execute: Any) -> Any:
        self.log.info("Branch into %s", branches_to_execute)
        ti = context["ti"]
        if branches_to_execute is None:
            self.skip_all_except(ti, None)
        else:
            self.skip_all_except(ti, list(self._expand_task_group_roots(ti, branches_to_execute)))
        return branches_to_execute

    def _expand_task_group_roots(self, ti: Any, branches: Any) -> Iterator[str]:
        groups = ti.task.dag.task_group_dict
        for branch in [branches] if isinstance(branches, str) or not hasattr(branches, "__iter__") else branches:
            if isinstance(branch, str) and branch in groups:
                yield from (root.task_id for root in groups[branch].roots)
            else:
                yield branch


class BaseBranchOperator(BaseOperator, BranchMixIn):
    """Base of operators that choose what runs next."""

    __module__ = "airflow.sdk.bases.branch"
    _can_skip_downstream = True

    def choose_branch(self, context: Any) -> Any:
        raise NotImplementedError

    def execute(self, context: Any) -> Any:
        return self.do_branch(context, self.choose_branch(context))


class BaseAsyncOperator(BaseOperator):
    """Base of operators whose work is a coroutine."""

    __module__ = "airflow.sdk.bases.operator"

    @property
    def is_async(self) -> bool:
        return True

    async def aexecute(self, context: Any) -> Any:
        raise NotImplementedError

    def execute(self, context: Any) -> Any:
        return run_coroutine(self.aexecute(context), self.execution_timeout)


def run_coroutine(coroutine: Any, timeout: Any = None) -> Any:
    """Run a coroutine to its end on an event loop of its own.

    :param timeout: a timedelta after which it is cancelled, or None.
    """
    import asyncio

    async def limited() -> Any:
        return await asyncio.wait_for(coroutine, None if timeout is None else timeout.total_seconds())

    return asyncio.run(limited())


class PokeReturnValue:
    """What `poke` may return instead of a bool: whether it is done, and a result."""

    __module__ = "airflow.sdk.bases.sensor"

    def __init__(self, is_done: bool, xcom_value: Any = None) -> None:
        self.is_done = is_done
        self.xcom_value = xcom_value

    def __bool__(self) -> bool:
        return self.is_done


class BaseSensorOperator(BaseOperator):
    """A task that waits for something (airflow.sdk.bases.sensor); intervals in seconds or as timedelta."""

    __module__ = "airflow.sdk.bases.sensor"
    ui_color = "#e6f1f2"
    valid_modes = ["poke", "reschedule"]
    _is_sensor = True

    def __init__(
        self,
        *,
        poke_interval: Any = 60,
        timeout: Any = None,
        soft_fail: bool = False,
        mode: str = "poke",
        exponential_backoff: bool = False,
        max_wait: Any = None,
        silent_fail: bool = False,
        never_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.poke_interval = self._seconds("poke_interval", poke_interval)
        self.timeout = self._seconds("timeout", 7 * 24 * 60 * 60 if timeout is None else timeout)
        self.max_wait = None if max_wait is None else _as_timedelta(self._seconds("max_wait", max_wait))
        self.soft_fail = soft_fail
        self.mode = mode
        self.exponential_backoff = exponential_backoff
        self.silent_fail = silent_fail
        self.never_fail = never_fail
        if soft_fail and never_fail:
            raise ValueError("soft_fail and never_fail are mutually exclusive, you can not provide both.")
        if mode not in self.valid_modes:
            dag_id = self.dag.dag_id if self.has_dag() else ""
            raise ValueError(
                f"The mode must be one of {self.valid_modes},'{dag_id} .{self.task_id}'; received '{mode}'."
            )

    @staticmethod
    def _seconds(name: str, value: Any) -> float:
        if hasattr(value, "total_seconds"):
            return value.total_seconds()
        if isinstance(value, (int, float)) and value >= 0:
            return float(value)
        raise ValueError(f"Operator arg `{name}` must be timedelta object or a non-negative number")

    @property
    def reschedule(self) -> bool:
        return self.mode == "reschedule"

    def poke(self, context: Any) -> Any:
        raise AirflowException("Override me.")

    def execute(self, context: Any) -> Any:
        started_at: Any = time.monotonic()
        if self.reschedule:
            first = context["ti"].get_first_reschedule_date(context)
            started_at = first or utcnow()

        def elapsed() -> float:
            return (utcnow() - started_at).total_seconds() if self.reschedule else time.monotonic() - started_at

        count = 1
        while True:
            done = self._poke_guarded(context)
            if done:
                break
            if elapsed() > self.timeout:
                message = (
                    f"Sensor has timed out; run duration of {elapsed()} seconds exceeds the specified timeout of "
                    f"{self.timeout}."
                )
                raise AirflowSkipException(message) if self.soft_fail else AirflowSensorTimeout(message)
            interval = self._get_next_poke_interval(started_at, elapsed, count)
            if self.reschedule:
                raise AirflowRescheduleException(utcnow() + _as_timedelta(interval))
            time.sleep(interval)
            count += 1
        self.log.info("Success criteria met. Exiting.")
        return done.xcom_value if isinstance(done, PokeReturnValue) else None

    def _poke_guarded(self, context: Any) -> Any:
        try:
            return self.poke(context)
        except AirflowSkipException:
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout, AirflowFailException) as error:
            for name in ("soft_fail", "never_fail"):
                if getattr(self, name):
                    raise AirflowSkipException(f"Skipping due to {name} is set to True.") from error
            raise
        except Exception as error:
            if self.silent_fail:
                import traceback

                self.log.error("Sensor poke failed: \n %s", traceback.format_exc())
                return False
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        try:
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except TaskDeferralTimeout as error:
                raise AirflowSensorTimeout(*error.args) from error
        except AirflowException as error:
            for name in ("soft_fail", "never_fail"):
                if getattr(self, name):
                    raise AirflowSkipException(f"Skipping due to {name} is set to True.") from error
            raise

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Return the seconds until the next poke; the jitter is a hash, so that rescheduled pokes agree on it."""
        if not self.exponential_backoff:
            return self.poke_interval
        if self.reschedule:
            passed, poke_count = 0.0, 0
            while passed <= run_duration():
                poke_count += 1
                passed += self._backoff(started_at, poke_count)
        interval = min(self.timeout - int(run_duration()), self._backoff(started_at, poke_count))
        if self.max_wait:
            interval = min(self.max_wait.total_seconds(), interval)
        self.log.info("new %s interval is %s", self.mode, interval)
        return interval

    def _backoff(self, started_at: Any, count: int) -> float:
        import hashlib

        least = max(int(self.poke_interval * 2 ** (count - 2)), 1)
        text = f"{self.dag_id}#{self.task_id}#{started_at}#{count}".encode()
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        return min(least + int(digest, 16) % least, 86399999999999)


def poke_mode_only(cls: type) -> type:
    """Class decorator for sensors that cannot be rescheduled."""

    def set_mode(self: Any, value: str) -> None:
        if value != "poke":
            raise ValueError(f"Cannot set mode to '{value}'. Only 'poke' is acceptable")

    if not issubclass(cls, BaseSensorOperator):
        raise ValueError(
            f"poke_mode_only decorator should only be applied to subclasses of BaseSensorOperator, got:{cls}."
        )
    cls.mode = property(lambda self: "poke", set_mode)  # type: ignore[assignment]
    return cls


class EmptyOperator(BaseOperator):
    """Does nothing; the scheduler marks it without running it."""

    __module__ = "airflow.providers.standard.operators.empty"
    ui_color = "#e8f7e4"
    _is_empty = True

    def execute(self, context: Any) -> None:
        pass


class PythonOperator(BaseAsyncOperator):
    """Calls a function, or awaits a coroutine function."""

    __module__ = "airflow.providers.standard.operators.python"
    template_fields = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers = {"templates_dict": "json", "op_args": "py", "op_kwargs": "py"}
    ui_color = "#ffefeb"
    shallow_copy_attrs: Sequence[str] = ("python_callable", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        templates_exts: Sequence[str] | None = None,
        show_return_value_in_logs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(python_callable):
            raise AirflowException("`python_callable` param must be callable")
        self.python_callable = python_callable
        self.op_args = op_args or ()
        self.op_kwargs = op_kwargs or {}
        self.templates_dict = templates_dict
        if templates_exts:
            self.template_ext = templates_exts
        self.show_return_value_in_logs = show_return_value_in_logs

    @property
    def is_async(self) -> bool:
        return is_async_callable(self.python_callable)

    def determine_kwargs(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        return determine_kwargs(self.python_callable, self.op_args, context)

    def _bind(self, context: Any) -> None:
        merged = context.copy()
        merged.update(self.op_kwargs)
        merged["templates_dict"] = self.templates_dict
        self.op_kwargs = self.determine_kwargs(merged)

    def _show(self, value: Any) -> None:
        if self.show_return_value_in_logs:
            log_event("info", f"Done. Returned value was: {value}", logger="airflow.task.operators." + self._log_name)
        else:
            log_event("info", "Done. Returned value not shown", logger="airflow.task.operators." + self._log_name)

    @property
    def _log_name(self) -> str:
        return f"{type(self).__module__}.{self.task_type}"

    def execute(self, context: Any) -> Any:
        if self.is_async:
            return BaseAsyncOperator.execute(self, context)
        self._bind(context)
        value = self.execute_callable()
        self._show(value)
        return value

    def execute_callable(self) -> Any:
        return call_with_outlets(self.python_callable, *self.op_args, **self.op_kwargs)

    async def aexecute(self, context: Any) -> Any:
        self._bind(context)
        value = await call_with_outlets(self.python_callable, *self.op_args, **self.op_kwargs)
        self._show(value)
        return value


class BranchPythonOperator(BaseBranchOperator, PythonOperator):
    """Calls a function that says which tasks run next."""

    __module__ = "airflow.providers.standard.operators.python"

    def choose_branch(self, context: Any) -> Any:
        return PythonOperator.execute(self, context)


class ShortCircuitOperator(PythonOperator, SkipMixin):
    """Calls a function and skips what comes after when it returns something false."""

    __module__ = "airflow.providers.standard.operators.python"
    _can_skip_downstream = True

    def __init__(self, *, ignore_downstream_trigger_rules: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules

    def execute(self, context: Any) -> Any:
        condition = super().execute(context)
        self.log.info("Condition result is %s", condition)
        if condition:
            self.log.info("Proceeding with downstream tasks...")
            return condition
        if not self.downstream_task_ids:
            self.log.info("No downstream tasks; nothing to do.")
            return condition
        task = context["task"]
        if self.ignore_downstream_trigger_rules is True:
            after = task.get_flat_relatives(upstream=False)
        else:
            after = task.get_direct_relatives(upstream=False)
        self.log.info("Skipping downstream tasks")
        self.skip(context["ti"], [each for each in after if not each.is_teardown])
        self.log.info("Done.")
        return condition


class BashOperator(BaseOperator):
    """Runs a command or script with bash; its last line of output is the result."""

    __module__ = "airflow.providers.standard.operators.bash"
    template_fields: Collection[str] = ("bash_command", "env", "cwd")
    template_fields_renderers = {"bash_command": "bash", "env": "json"}
    template_ext: Sequence[str] = (".sh", ".bash")
    ui_color = "#f0ede4"

    def __init__(
        self,
        *,
        bash_command: Any,
        env: dict[str, str] | None = None,
        append_env: bool = False,
        output_encoding: str = "utf-8",
        skip_on_exit_code: int | Container[int] | None = 99,
        cwd: str | None = None,
        output_processor: Callable[[str], Any] = lambda result: result,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bash_command = bash_command
        self.env = env
        self.append_env = append_env
        self.output_encoding = output_encoding
        codes: Any = skip_on_exit_code
        self.skip_on_exit_code = codes if hasattr(codes, "__contains__") else [] if codes is None else [codes]
        self.cwd = cwd
        self.output_processor = output_processor
        self._process: Any = None

    def execute(self, context: Any) -> Any:
        if self.cwd is not None:
            if not os.path.exists(self.cwd):
                raise AirflowException(f"Can not find the cwd: {self.cwd}")
            if not os.path.isdir(self.cwd):
                raise AirflowException(f"The cwd {self.cwd} must be a directory")
        env = dict(os.environ) if self.env is None else dict(self.env)
        if self.env is not None and self.append_env:
            env = {**os.environ, **self.env}
        env.update(context_to_airflow_vars(context))
        code, output = self._run(self.bash_command, env)
        if code in self.skip_on_exit_code:
            raise AirflowSkipException(f"Bash command returned exit code {code}. Skipping.")
        if code != 0:
            raise AirflowException(f"Bash command failed. The command returned a non-zero exit code {code}.")
        return self.output_processor(output)

    def _run(self, command: str, env: dict[str, str]) -> tuple[int, str]:
        import contextlib
        import shutil
        import subprocess
        import tempfile

        bash = shutil.which("bash") or "bash"
        with contextlib.ExitStack() as stack:
            cwd = self.cwd or stack.enter_context(tempfile.TemporaryDirectory(prefix="airflowtmp"))
            arguments = [bash, "-c", command]
            if command.endswith(tuple(self.template_ext)):
                # The name of a script file has been rendered to the script's text by now.
                file = stack.enter_context(tempfile.NamedTemporaryFile("w", dir=cwd, suffix=".sh"))
                file.write(command)
                file.flush()
                arguments = [bash, file.name]
            self.log.info("Running command: %s", arguments)
            line = ""
            self._process = process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, env=env, start_new_session=True
            )
            self.log.info("Output:")
            for raw in process.stdout or ():
                line = raw.decode(self.output_encoding, errors="backslashreplace").rstrip()
                self.log.info("%s", line)
            code = process.wait()
            self.log.info("Command exited with return code %s", code)
            return code, line

    def on_kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            import signal

            os.killpg(self._process.pid, signal.SIGTERM)


class PythonSensor(BaseSensorOperator):
    """Waits until a function returns something true."""

    __module__ = "airflow.providers.standard.sensors.python"
    template_fields: Collection[str] = ("templates_dict", "op_args", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.python_callable = python_callable
        self.op_args = op_args or []
        self.op_kwargs = op_kwargs or {}
        self.templates_dict = templates_dict

    def poke(self, context: Any) -> Any:
        merged = context.copy()
        merged.update(self.op_kwargs)
        merged["templates_dict"] = self.templates_dict
        self.op_kwargs = determine_kwargs(self.python_callable, self.op_args, merged)
        self.log.info("Poking callable: %s", self.python_callable)
        value = self.python_callable(*self.op_args, **self.op_kwargs)
        return value if isinstance(value, PokeReturnValue) else PokeReturnValue(bool(value))


# --- the variants of @task --------------------------------------------------------------------------------------------


class _PythonDecoratedOperator(DecoratedOperator, PythonOperator):
    __module__ = "airflow.providers.standard.decorators.python"
    template_fields = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers = {"templates_dict": "json", "op_args": "py", "op_kwargs": "py"}
    custom_operator_name = "@task"

    def _init_base(self, **kwargs: Any) -> None:
        super(DecoratedOperator, self).__init__(**kwargs)


class _BranchPythonDecoratedOperator(_PythonDecoratedOperator, BranchPythonOperator):
    __module__ = "airflow.providers.standard.decorators.branch_python"
    _can_skip_downstream = True
    template_fields = BranchPythonOperator.template_fields
    custom_operator_name = "@task.branch"


class _ShortCircuitDecoratedOperator(_PythonDecoratedOperator, ShortCircuitOperator):
    __module__ = "airflow.providers.standard.decorators.short_circuit"
    _can_skip_downstream = True
    template_fields = ShortCircuitOperator.template_fields
    custom_operator_name = "@task.short_circuit"


class DecoratedSensorOperator(PythonSensor):
    __module__ = "airflow.providers.standard.decorators.sensor"
    template_fields = ("op_args", "op_kwargs")
    template_fields_renderers = {"op_args": "py", "op_kwargs": "py"}
    custom_operator_name = "@task.sensor"
    shallow_copy_attrs = ("python_callable",)

    def __init__(self, *, task_id: str, **kwargs: Any) -> None:
        if not self._from_mapped:
            task_id = get_unique_task_id(task_id, kwargs.get("dag"), kwargs.get("task_group"))
        super().__init__(task_id=task_id, **kwargs)


class _BashDecoratedOperator(DecoratedOperator, BashOperator):
    __module__ = "airflow.providers.standard.decorators.bash"
    template_fields = (*DecoratedOperator.template_fields, *BashOperator.template_fields)
    template_fields_renderers = {
        **DecoratedOperator.template_fields_renderers,
        **BashOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.bash"
    overwrite_rtif_after_execution = True

    def _init_base(self, *, python_callable: Any, op_args: Any, op_kwargs: Any, **kwargs: Any) -> None:
        super(DecoratedOperator, self).__init__(bash_command=SET_DURING_EXECUTION, **kwargs)

    def execute(self, context: Any) -> Any:
        merged = context.copy()
        merged.update(self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, merged)
        self.bash_command = self.python_callable(*self.op_args, **kwargs)
        if not isinstance(self.bash_command, str) or not self.bash_command.strip():
            raise TypeError("The returned value from the TaskFlow callable must be a non-empty string.")
        self.render_template_fields(context)
        return super().execute(context)


class _StubOperator(DecoratedOperator):
    __module__ = "airflow.providers.standard.decorators.stub"
    custom_operator_name = "@task.stub"
    is_stub = True

    def execute(self, context: Any) -> Any:
        raise AirflowException(
            f"task '{self.task_id}' is declared with @task.stub and has no body in this bundle: "
            "give it a body here with @task, or route it to the runtime that has one"
        )


class TaskDecoratorCollection:
    """`@task` and its variants, `@task.branch`, `@task.sensor` and so on."""

    _classes = {
        "python": _PythonDecoratedOperator,
        "branch": _BranchPythonDecoratedOperator,
        "short_circuit": _ShortCircuitDecoratedOperator,
        "sensor": DecoratedSensorOperator,
        "bash": _BashDecoratedOperator,
        "stub": _StubOperator,
    }
    # Functions for another Python, by the name of their class: they can be declared, not run.
    _isolated = {
        "virtualenv": "_PythonVirtualenvDecoratedOperator",
        "external_python": "_PythonExternalDecoratedOperator",
        "branch_virtualenv": "_BranchPythonVirtualenvDecoratedOperator",
        "branch_external_python": "_BranchExternalPythonDecoratedOperator",
    }
    # Those of other providers.
    _elsewhere = ("docker", "kubernetes", "kubernetes_cmd", "pyspark", "sftp_sensor", "snowpark", "databricks")

    def __call__(self, python_callable: Any = None, **kwargs: Any) -> Any:
        return task_decorator_factory(python_callable, decorated_operator_class=_PythonDecoratedOperator, **kwargs)

    def __getattr__(self, name: str) -> Any:
        operator_class: Any = self._classes.get(name)
        if operator_class is None:
            if name in self._isolated:
                operator_class = airflow_name(self._isolated[name])
            elif name in self._elsewhere:
                operator_class = foreign_task_decorator(name)
            else:
                raise AttributeError(f"task decorator {name!r} not found{_nearest(name, self._classes)}")

        def decorator(python_callable: Any = None, **kwargs: Any) -> Any:
            if name == "sensor":
                kwargs["multiple_outputs"] = False
            return task_decorator_factory(python_callable, decorated_operator_class=operator_class, **kwargs)

        return decorator

    @staticmethod
    def run_if(condition: Callable[[Any], Any], skip_message: str | None = None) -> Callable[[Any], Any]:
        """Skip the task unless a condition on its context holds."""
        return _conditional("run_if", condition, skip_message, reverse=True)

    @staticmethod
    def skip_if(condition: Callable[[Any], Any], skip_message: str | None = None) -> Callable[[Any], Any]:
        """Skip the task when a condition on its context holds."""
        return _conditional("skip_if", condition, skip_message, reverse=False)


def _conditional(name: str, condition: Callable[[Any], Any], skip_message: str | None, reverse: bool) -> Any:
    def check(context: Any) -> None:
        outcome, message = condition(context), skip_message or "Task was skipped due to condition."
        if isinstance(outcome, tuple):
            outcome, message = outcome[0], outcome[1] or message
        if bool(outcome) != reverse:
            raise AirflowSkipException(message)

    def decorator(decorated: Any) -> Any:
        if not isinstance(decorated, _TaskDecorator):
            raise TypeError(f"{name} can only be used with task. decorate with @task before @{name}.")
        earlier = decorated.kwargs.get("pre_execute")

        def pre_execute(context: Any) -> None:
            if earlier is not None:
                earlier(context)
            check(context)

        decorated.kwargs["pre_execute"] = pre_execute
        return decorated

    return decorator


task = TaskDecoratorCollection()


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for a name that is close to a known one, else nothing."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean {near[0]!r}?" if near else ""


# --- names that few Dag files use -------------------------------------------------------------------------------------

# A class costs every task its making, so the families below are made when one of their names is first asked for. Each
# is a function that returns its names; the table above it says where Airflow keeps them, and that is what `__module__`
# is set to ("" for what serves us only). To pickle and to whoever imports them they are ordinary module-level classes.
_families: list[tuple[Callable[[], dict[str, Any]], dict[str, str]]] = []
_family_of: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, str]]] = {}


def family(homes: dict[str, str]) -> Callable[[Callable[[], dict[str, Any]]], Callable[[], dict[str, Any]]]:
    """Mark a function whose local names are those of Airflow: `homes` has them by module, separated by spaces."""

    def register(define: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        _families.append((define, homes))
        return define

    return register


def is_airflow_name(name: str) -> bool:
    """Say whether a name of Airflow is defined in this module, or in one of its families."""
    if not _family_of:
        for entry in _families:
            for names in entry[1].values():
                _family_of.update(dict.fromkeys(names.split(), entry))
    return name in _family_of or name in globals()


def airflow_name(name: str) -> Any:
    """Return what a name of Airflow stands for, and define the family it belongs to when nobody has asked before.

    :raises AttributeError: when it is none of ours.
    """
    if name not in globals():
        if not is_airflow_name(name):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        define, homes = _family_of[name]
        found = define()
        for home, names in homes.items():
            for each in names.split():
                value = globals()[each] = found[each]
                if home and isinstance(value, (type, type(define))):
                    value.__module__, value.__qualname__ = home, each
                    _name_members(value, home)
    return globals()[name]


def _name_members(owner: Any, home: str) -> None:
    """What stands in the body of a class of a family is named after the class, not after the function around it."""
    for value in list(vars(owner).values()) if isinstance(owner, type) else ():
        qualname = getattr(value, "__qualname__", "")
        if isinstance(value, (type, type(family))) and "<locals>." in qualname:
            value.__qualname__ = qualname.rpartition("<locals>.")[2]
            if isinstance(value, type):
                value.__module__ = home


def __getattr__(name: str) -> Any:
    return airflow_name(name)


# --- what a bundle does not have --------------------------------------------------------------------------------------


def _refuse(what: str, remedy: str) -> NoReturn:
    raise BundleError(f"{what} is not in this bundle: {remedy}")


class Unavailable:
    """Stands for something of Airflow that a bundle does not have: it can be named, and every use says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        self.__dict__.update(_what=what, _remedy=remedy)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(self._what, self._remedy)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _refuse(self._what, self._remedy)

    __getitem__ = __iter__ = __enter__ = __len__ = __bool__ = __call__

    def __repr__(self) -> str:
        return f"<{self._what}, not in this bundle>"


class _UnavailableType(type):
    """Type of classes that a bundle does not have: they can be subclassed and stand in annotations."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        cls._refuse()

    def _refuse(cls) -> NoReturn:
        what, remedy = (getattr(cls, "_what"), getattr(cls, "_remedy"))  # noqa: B009 - of its instances
        _refuse(what, remedy)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if Exception in cls.__mro__:
            return super().__call__(*args, **kwargs)
        return cls._refuse()


def unavailable(module: str, name: str, remedy: str) -> Any:
    """Make a stand-in for `module.name`: a class where the name looks like one, so that it can be a base class."""
    what = f"{module}.{name}"
    if not name[:1].isupper() or name.isupper():
        return Unavailable(what, remedy)
    base = Exception if name.endswith(("Error", "Exception", "Warning")) else object
    members = {"__module__": module, "_what": what, "_remedy": remedy}
    return type.__call__(_UnavailableType, name, (base,), members)


_DATABASE = (
    "it is a table of Airflow's database, which no task of Airflow 3 can reach; what a task may ask for is in its "
    "context (ti, dag_run), the rest is answered by Airflow's REST API"
)


def provider_distribution(module: str) -> str:
    """Name the distribution of a provider's module: `airflow.providers.cncf.kubernetes.operators.pod` and so on."""
    kinds = (
        "assets auth_manager bundles cli config datasets decorators dialects example_dags exceptions executors fs "
        "get_provider_info hooks kubernetes_executor_types links listeners log macros models notifications operators "
        "plugins queues secrets sensors transfers triggers utils version_compat waiters"
    ).split()
    parts = module.split(".")[2:]
    name = [part for index, part in enumerate(parts) if index == 0 or not set(parts[: index + 1]) & set(kinds)]
    if parts[:2] == ["amazon", "aws"] or parts[:2] == ["google", "cloud"]:
        name = parts[:1]
    return "apache-airflow-providers-" + "-".join(each.replace("_", "-") for each in name)


class PlaceholderMixin:
    """Makes an operator class stand for one of a provider that is not frozen in: it keeps its place in the graph."""

    _is_placeholder = True
    _stands_for = ""
    _given: dict[str, Any]

    def _split(self, kwargs: dict[str, Any], known: Container[str]) -> dict[str, Any]:
        """Keep the arguments that only the real operator knows; return those that every operator has."""
        given = {name: kwargs.pop(name) for name in list(kwargs) if name not in known and not name.startswith("_")}
        self.__dict__["_given"] = given
        self.__dict__.update((name, value) for name, value in given.items() if not hasattr(type(self), name))
        return kwargs

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]
        if not self._from_mapped:  # type: ignore[attr-defined]
            # Which of them are template fields is not known, so each may bring a dependency.
            XComArg.apply_upstream_relationship(self, self._given)

    def execute(self, context: Any) -> Any:
        module, _, name = self._stands_for.rpartition(".")
        raise AirflowFailException(
            f"task {self.task_id!r} is a {name} of {module}, which is not in this bundle, and queue "  # type: ignore[attr-defined]
            f"{self.queue!r} brought it here: give it the queue of a worker that has "  # type: ignore[attr-defined]
            f"{provider_distribution(module)} installed"
        )


class PlaceholderOperator(PlaceholderMixin, BaseOperator):
    """An operator of a provider that is not frozen in."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self._split(kwargs, _OPERATOR_ARGUMENTS | _PLACING_ARGUMENTS))


class PlaceholderSensor(PlaceholderMixin, BaseSensorOperator):
    """A sensor of a provider that is not frozen in."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self._split(kwargs, _init_names(BaseSensorOperator)))


def provider_name(module: str, name: str) -> Any:
    """Make a stand-in for a name of a provider that is not frozen in; operators and sensors can be declared."""
    kinds = module.split(".")
    if name[:1].isupper() and (name.endswith(("Operator", "Sensor", "Async")) or {"operators", "sensors"} & set(kinds)):
        if not name.endswith(("Link", "Error", "Exception", "Hook", "Trigger", "Mixin", "Mode", "Type")):
            sensor = "Sensor" in name
            base = PlaceholderSensor if sensor else PlaceholderOperator
            return type(name, (base,), {"__module__": module, "_stands_for": f"{module}.{name}"})
    remedy = (
        f"the task that uses it belongs on the queue of a worker that has {provider_distribution(module)} installed"
    )
    return unavailable(module, name, remedy)


def placeholder_tasks(declared: DAG) -> list[str]:
    """Say which tasks of a Dag are placeholders, one text each."""
    found = []
    for each in declared.tasks:
        operator_class = each.operator_class
        if getattr(operator_class, "_is_placeholder", False):
            lacks = airflow_modules.refused.get(operator_class._stands_for.rpartition(".")[0], "")
            found.append(
                f"{each.task_id} ({operator_class._stands_for}{lacks and ', which needs more of Airflow: '}{lacks})"
            )
    return found


# --- configuration, exceptions and tools ------------------------------------------------------------------------------


@family({"airflow.sdk.configuration": "conf AirflowSDKConfigParser"})
def _configuration() -> dict[str, Any]:
    class AirflowSDKConfigParser:
        """Airflow's configuration as far as a bundle sees it: the variables AIRFLOW__SECTION__KEY, no airflow.cfg."""

        @staticmethod
        def _variable(section: str, key: str) -> str:
            return f"AIRFLOW__{section.replace('.', '_').upper()}__{key.replace('.', '_').upper()}"

        def get(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            """Return an option as it was written.

            :raises AirflowConfigException: when it is not set and there is no `fallback`.
            """
            variable = self._variable(section, key)
            value = os.environ.get(variable)
            if value is not None:
                return os.path.expanduser(os.path.expandvars(value))
            if is_arg_set(fallback):
                return fallback
            raise airflow_name("AirflowConfigException")(
                f"section/key [{section}/{key}] is not known in a bundle, which sees only the environment and not "
                f"airflow.cfg: set {variable} where the worker runs, or give a fallback"
            )

        def _converted(self, convert: Callable[[Any], Any], section: str, key: str, fallback: Any) -> Any:
            value = self.get(section, key, fallback)
            if value is fallback:
                return value
            try:
                return convert(value)
            except ValueError as error:
                raise airflow_name("AirflowConfigException")(
                    f"{self._variable(section, key)}={value!r} cannot be read: {error}"
                ) from None

        @staticmethod
        def _boolean(value: str) -> bool:
            text = value.partition("#")[0].strip().lower()
            if text in ("t", "true", "1"):
                return True
            if text in ("f", "false", "0"):
                return False
            raise ValueError("it is no boolean, use true or false")

        def getboolean(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            return self._converted(self._boolean, section, key, fallback)

        def getint(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            return self._converted(int, section, key, fallback)

        def getfloat(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            return self._converted(float, section, key, fallback)

        def getlist(self, section: str, key: str, fallback: Any = NOTSET, delimiter: str = ",") -> Any:
            def split(value: str) -> list[str]:
                return [each.strip() for each in value.split(delimiter) if each.strip()]

            return self._converted(split, section, key, fallback)

        def getjson(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            import json

            return self._converted(json.loads, section, key, fallback)

        def gettimedelta(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            return self._converted(lambda value: _as_timedelta(int(value)), section, key, fallback)

        def getimport(self, section: str, key: str, fallback: Any = NOTSET, **_: Any) -> Any:
            return self._converted(import_string, section, key, fallback)

        def has_option(self, section: str, option: str, **_: Any) -> bool:
            return self._variable(section, option) in os.environ

        def getsection(self, section: str, **_: Any) -> dict[str, str] | None:
            prefix = self._variable(section, "")
            found = {name[len(prefix) :].lower(): os.environ[name] for name in os.environ if name.startswith(prefix)}
            return found or None

    conf = AirflowSDKConfigParser()
    return locals()


def import_string(dotted_path: str) -> Any:
    """Import what a dotted path names.

    :raises ImportError: when there is no such module or name.
    """
    module, _, name = dotted_path.rpartition(".")
    if not module:
        raise ImportError(f"{dotted_path} doesn't look like a module path")
    try:
        return getattr(__import__(module, fromlist=["*"]), name)
    except AttributeError:
        raise ImportError(f'Module "{module}" does not define a "{name}" attribute/class') from None


@family(
    {
        "airflow.sdk.exceptions": "AirflowConfigException AirflowSecretsBackendAccessDenied TaskAlreadyRunningError",
        "airflow.exceptions": (
            "AirflowBadRequest AirflowClearRunningTaskException AirflowClusterPolicyError AirflowClusterPolicySkipDag "
            "AirflowClusterPolicyViolation AirflowDagDuplicatedIdException AirflowFileParseException "
            "AirflowInternalRuntimeError AirflowProviderDeprecationWarning AirflowUnsupportedFileTypeException "
            "ConnectionNotUnique DagCodeNotFound DagNotFound DagNotPartitionedError DagRunAlreadyExists DagRunNotFound "
            "DagRunTypeNotAllowed DeserializationError DeserializingResultError FileSyntaxError "
            "InvalidPartitionKeyError InvalidStatsNameException NotMapped PodMutationHookException "
            "PodReconciliationError PoolNotFound TaskInstanceNotFound UnknownExecutorException VariableNotUnique"
        ),
        "airflow": "DeprecatedImportWarning",
        "": "CoreSerializationError",
        "airflow.providers.standard.exceptions": (
            "AirflowExternalTaskSensorException DuplicateStateError ExternalDagDeletedError ExternalDagFailedError "
            "ExternalDagNotFoundError ExternalTaskFailedError ExternalTaskGroupFailedError "
            "ExternalTaskGroupNotFoundError ExternalTaskNotFoundError HITLRejectException HITLTimeoutError "
            "HITLTriggerEventError"
        ),
    }
)
def _rare_exceptions() -> dict[str, Any]:
    def several(base: type, names: str) -> dict[str, Any]:
        return {name: type(name, (base,), {}) for name in names.split()}

    found = several(
        AirflowException,
        "TaskAlreadyRunningError AirflowBadRequest AirflowClearRunningTaskException AirflowClusterPolicyError "
        "AirflowClusterPolicySkipDag AirflowClusterPolicyViolation AirflowUnsupportedFileTypeException "
        "ConnectionNotUnique DagRunTypeNotAllowed InvalidStatsNameException PodMutationHookException "
        "PodReconciliationError VariableNotUnique AirflowExternalTaskSensorException HITLRejectException "
        "CoreSerializationError",
    )
    found.update(several(BaseException, "AirflowInternalRuntimeError"))
    found.update(several(PermissionError, "AirflowSecretsBackendAccessDenied"))
    found.update(several(Exception, "AirflowConfigException NotMapped DeserializationError HITLTriggerEventError"))
    found.update(several(ValueError, "DagNotPartitionedError InvalidPartitionKeyError UnknownExecutorException"))
    found.update(several(ValueError, "DeserializingResultError"))
    found.update(several(DeprecationWarning, "AirflowProviderDeprecationWarning DeprecatedImportWarning"))
    found.update(
        several(
            AirflowNotFoundException, "DagCodeNotFound DagNotFound DagRunNotFound PoolNotFound TaskInstanceNotFound"
        )
    )
    found.update(
        several(
            found["AirflowExternalTaskSensorException"],
            "DuplicateStateError ExternalDagDeletedError ExternalDagFailedError ExternalDagNotFoundError "
            "ExternalTaskFailedError ExternalTaskGroupFailedError ExternalTaskGroupNotFoundError "
            "ExternalTaskNotFoundError",
        )
    )
    found.update(several(found["HITLTriggerEventError"], "HITLTimeoutError"))

    class AirflowDagDuplicatedIdException(AirflowException):
        def __init__(self, dag_id: str, incoming: str, existing: str) -> None:
            super().__init__(dag_id, incoming, existing)
            self.dag_id, self.incoming, self.existing = dag_id, incoming, existing

        def __str__(self) -> str:
            return f"Ignoring DAG {self.dag_id} from {self.incoming} - also found in {self.existing}"

    class DagRunAlreadyExists(found["AirflowBadRequest"]):  # type: ignore[misc, name-defined, valid-type]
        def __init__(self, dag_run: Any) -> None:
            super().__init__(f"A DAG Run already exists for DAG {dag_run.dag_id} with run id {dag_run.run_id}")
            self.dag_run = dag_run

    class AirflowFileParseException(AirflowException):
        def __init__(self, msg: str, file_path: str, parse_errors: list[Any]) -> None:
            super().__init__(msg)
            self.msg, self.file_path, self.parse_errors = msg, file_path, parse_errors

    class FileSyntaxError(Record):
        line_no: int | None
        message: str

        def __str__(self) -> str:
            return f"{self.message}. Line number: {self.line_no},"

    return {**found, **{name: value for name, value in locals().items() if name not in ("found", "several")}}


@family(
    {
        "": (
            "timezone_coerce_datetime timezone_datetime timezone_from_timestamp timezone_make_naive timezone_parse "
            "timezone_parse_timezone timezone_utc"
        )
    }
)
def _timezone() -> dict[str, Any]:
    from datetime import datetime as plain_datetime
    from datetime import timezone as plain_timezone

    timezone_utc = plain_timezone.utc

    def timezone_parse_timezone(name: Any) -> Any:
        """Return the zone of a name, or of an offset in seconds."""
        if isinstance(name, int):
            return plain_timezone(_as_timedelta(name))
        if name.upper() == "UTC":
            return timezone_utc
        from zoneinfo import ZoneInfo

        return ZoneInfo(name)

    def timezone_make_naive(value: Any, timezone: Any = None) -> Any:
        """Read an aware datetime as the clock of a zone shows it, UTC unless told."""
        if value.utcoffset() is None:
            raise ValueError("make_naive() cannot be applied to a naive datetime")
        return value.astimezone(timezone or timezone_utc).replace(tzinfo=None)

    def timezone_coerce_datetime(v: Any, tz: Any = None) -> Any:
        if v is not None and v.tzinfo is None:
            v = v.replace(tzinfo=tz or timezone_utc)
        return coerce_datetime(v)

    def timezone_datetime(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("tzinfo") is None:
            kwargs["tzinfo"] = timezone_utc
        return plain_datetime(*args, **kwargs)

    def timezone_from_timestamp(timestamp: float, tz: Any = timezone_utc) -> Any:
        zone = timezone_parse_timezone(tz) if isinstance(tz, (str, int)) else tz
        return coerce_datetime(plain_datetime.fromtimestamp(timestamp, zone))

    def timezone_parse(string: str, timezone: Any = None, *, strict: bool = False) -> Any:
        value = datetime_from_iso(string)
        return coerce_datetime(value.replace(tzinfo=timezone or timezone_utc) if value.tzinfo is None else value)

    return locals()


@family(
    {
        "airflow.utils.helpers": (
            "as_flattened_list at_most_one build_airflow_dagrun_url chunks convert_camel_to_snake exactly_one "
            "is_container merge_dicts partition prune_dict"
        ),
        "airflow.utils.strings": "get_random_string to_boolean",
        "airflow.utils.operator_helpers": "make_kwargs_callable",
        "airflow.utils.types": "DagRunTriggeredByType",
        "": "CoreDagRunType",
        "airflow.sdk.execution_time.macros": "datetime_diff_for_humans ds_format_locale",
    }
)
def _helpers() -> dict[str, Any]:
    def is_container(obj: Any) -> bool:
        return hasattr(obj, "__iter__") and not isinstance(obj, str)

    def chunks(items: list[Any], chunk_size: int) -> Iterator[list[Any]]:
        if chunk_size <= 0:
            raise ValueError("Chunk size must be a positive integer")
        for start in range(0, len(items), chunk_size):
            yield items[start : start + chunk_size]

    def as_flattened_list(iterable: Any) -> list[Any]:
        return [each for inner in iterable for each in inner]

    def partition(pred: Callable[[Any], bool], iterable: Iterable[Any]) -> tuple[Any, Any]:
        """Return what a condition does not hold for, and what it holds for."""
        items = list(iterable)
        return iter([each for each in items if not pred(each)]), iter([each for each in items if pred(each)])

    def merge_dicts(dict1: dict[Any, Any], dict2: dict[Any, Any]) -> dict[Any, Any]:
        merged = dict(dict1)
        for key, value in dict2.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge_dicts(merged[key], value) if both else value
        return merged

    def prune_dict(val: Any, mode: str = "strict") -> Any:
        """Drop what is None (mode "strict") or false (mode "truthy") from nested dicts and lists."""

        def kept(value: Any) -> bool:
            return value is not None if mode == "strict" else bool(value)

        if isinstance(val, dict):
            pruned = {k: prune_dict(v, mode) if isinstance(v, (list, dict)) else v for k, v in val.items() if kept(v)}
            return {k: v for k, v in pruned.items() if kept(v)}
        if isinstance(val, list):
            items = [prune_dict(v, mode) if isinstance(v, (list, dict)) else v for v in val if kept(v)]
            return [v for v in items if kept(v)]
        return val

    def exactly_one(*args: Any) -> bool:
        return sum(bool(each) for each in args) == 1

    def at_most_one(*args: Any) -> bool:
        return sum(bool(each) for each in args if is_arg_set(each)) <= 1

    def convert_camel_to_snake(camel_str: str) -> str:
        return "".join(
            f"_{c}" if i and c.isupper() and camel_str[i - 1].islower() else c for i, c in enumerate(camel_str)
        ).lower()

    def build_airflow_dagrun_url(dag_id: str, run_id: str) -> str:
        base = airflow_name("conf").get("api", "base_url", fallback="/")
        return f"{base.rstrip('/')}/dags/{dag_id}/runs/{run_id}"

    def get_random_string(length: int = 8, choices: str = "") -> str:
        import random

        letters = "abcdefghijklmnopqrstuvwxyz"
        return "".join(random.choices(choices or letters + letters.upper() + "0123456789", k=length))

    def to_boolean(astring: str | None) -> bool:
        return (astring or "").lower() in ("on", "t", "true", "y", "yes", "1")

    def make_kwargs_callable(func: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function that can be called with more keyword arguments than it takes."""
        import functools

        @functools.wraps(func)
        def called(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **determine_kwargs(func, args, kwargs))

        return called

    def datetime_diff_for_humans(dt: Any, since: Any = None) -> str:
        return MacrosAccessor().datetime_diff_for_humans(dt, since)

    def ds_format_locale(ds: str, input_format: str, output_format: str, locale: Any = None) -> str:
        try:
            from babel.dates import format_datetime  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError:
            raise BundleError(
                'ds_format_locale needs Babel: add "babel" to the dependencies the Dag file declares and build again'
            ) from None
        from datetime import datetime

        return format_datetime(datetime.strptime(str(ds), input_format), format=output_format, locale=locale or "en_US")

    class CoreDagRunType(Enumeration):
        # Airflow has two of this name; the other one is in the supervisor schema.
        __module__ = "airflow.utils.types"
        BACKFILL_JOB = "backfill"
        SCHEDULED = "scheduled"
        MANUAL = "manual"
        OPERATOR_TRIGGERED = "operator_triggered"
        ASSET_TRIGGERED = "asset_triggered"
        ASSET_MATERIALIZATION = "asset_materialization"

        def generate_run_id(self, *, suffix: str) -> str:
            return f"{self}__{suffix}"

    class DagRunTriggeredByType(Enumeration):
        __module__ = "airflow.utils.types"
        CLI = "cli"
        OPERATOR = "operator"
        REST_API = "rest_api"
        UI = "ui"
        TEST = "test"
        TIMETABLE = "timetable"
        ASSET = "asset"
        BACKFILL = "backfill"

    return locals()


@family(
    {
        "airflow.sdk.module_loading": "is_valid_dotpath iter_namespace qualname",
        "airflow.sdk.providers_manager_runtime": "ProvidersManagerTaskRuntime",
        "airflow.utils.deprecation_tools": "add_deprecated_classes",
        "airflow.utils.hashlib_wrapper": "md5",
        "airflow.utils.platform": "IS_WINDOWS getuser",
        "airflow.utils.process_utils": "execute_in_subprocess execute_in_subprocess_with_kwargs patch_environ",
        "": "pod_mutation_hook",
    }
)
def _provider_tools() -> dict[str, Any]:
    # What the hooks and operators of providers, where they are frozen in, take from Airflow besides airflow.sdk.
    import contextlib

    IS_WINDOWS = False

    def pod_mutation_hook(pod: Any) -> None:
        """Leave a pod as it is: a deployment's own hook lies in files that a bundle does not see."""

    def is_valid_dotpath(path: str) -> bool:
        return isinstance(path, str) and all(part.isidentifier() for part in path.split("."))

    def iter_namespace(ns: Any) -> Any:
        import pkgutil

        return pkgutil.iter_modules(ns.__path__, f"{ns.__name__}.")

    def qualname(o: Any, use_qualname: bool = False, exclude_module: bool = False) -> str:
        """Return the dotted path of a class or function; of another object, that of its class."""
        while exclude_module and hasattr(o, "func") and not hasattr(o, "__name__"):
            o = o.func
        whole = use_qualname or exclude_module
        if not (callable(o) and hasattr(o, "__name__")):
            o, whole = type(o), True
        name = o.__qualname__ if whole else o.__name__
        return name if exclude_module else f"{o.__module__}.{name}"

    def md5(string: bytes = b"", /) -> Any:
        import hashlib

        return hashlib.md5(string, usedforsecurity=False)

    def getuser() -> str:
        import getpass

        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise airflow_name("AirflowConfigException")("the user that this task runs as has no name") from None

    def execute_in_subprocess(cmd: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> None:
        execute_in_subprocess_with_kwargs(cmd, cwd=cwd, env=env)

    def execute_in_subprocess_with_kwargs(cmd: list[str], **kwargs: Any) -> None:
        """Run a command, its output going to the log line by line; CalledProcessError when it fails."""
        import logging
        import subprocess

        log = logging.getLogger("airflow.utils.process_utils")
        with subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs) as process:
            for line in process.stdout or ():
                log.info("%s", line.decode(errors="replace").rstrip())
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, cmd)

    @contextlib.contextmanager
    def patch_environ(new_env_variables: dict[str, str]) -> Iterator[None]:
        """Set environment variables for as long as a block lasts."""
        before = {name: os.environ.get(name) for name in new_env_variables}
        os.environ.update(new_env_variables)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def add_deprecated_classes(
        module_imports: dict[str, dict[str, str]], package: str, *_: Any, **ignored: Any
    ) -> None:
        """Let the old names of a package lead to the new ones; "*" stands for every name of a module."""
        for module_name, imports in module_imports.items():

            def redirect(name: str, imports: dict[str, str] = imports, home: str = module_name) -> Any:
                target = imports.get(name) or ("*" in imports and f"{imports['*']}.{name}")
                if not target or name.startswith("__"):
                    raise AttributeError(f"module {home!r} has no attribute {name!r}")
                return import_string(target)

            if module_name == package:
                module = sys.modules[package]
            else:
                full_name = f"{package}.{module_name}"
                module = sys.modules.setdefault(full_name, type(sys)(full_name))
            module.__getattr__ = redirect  # type: ignore[method-assign, assignment]

    class _Providers(dict):  # type: ignore[type-arg]
        """Distribution name to what is known of a provider, for those that are frozen in."""

        def __missing__(self, name: str) -> Any:
            from types import SimpleNamespace

            path = name.removeprefix("apache-airflow-providers-").replace("-", ".")
            try:
                module = __import__(f"airflow.providers.{path}", fromlist=["*"])
                version = module.__version__
            except (AttributeError, ImportError):
                raise KeyError(name) from None
            return SimpleNamespace(version=version, data={"package-name": name, "name": path})

    class HookInfo(Record):
        hook_class_name: str
        package_name: str

    class ProvidersManagerTaskRuntime:
        """Answers which providers there are: those that are frozen in."""

        def __init__(self) -> None:
            self.providers = _Providers()
            self.hooks = {conn_type: HookInfo(*hook) for conn_type, hook in connection_hooks().items()}

    return locals()


def connection_hooks() -> dict[str, tuple[str, str]]:
    """Return connection type to (hook class, distribution), of the providers that are frozen in or installed here."""
    found = {"fs": ("airflow.providers.standard.hooks.filesystem.FSHook", "apache-airflow-providers-standard")}
    if hasattr(sys, "_MEIPASS"):
        import _bundle_contents

        return {**found, **_bundle_contents.CONNECTION_HOOKS}
    from importlib.metadata import entry_points

    for entry in entry_points(group="apache_airflow_provider"):
        about = entry.load()()
        for each in about.get("connection-types", ()):
            found[each["connection-type"]] = (each["hook-class-name"], about["package-name"])
    return found


# --- smaller parts of airflow.sdk -------------------------------------------------------------------------------------


@family(
    {
        "airflow.sdk.bases.operatorlink": "BaseOperatorLink",
        "airflow.sdk.bases.notifier": "BaseNotifier",
        "airflow.sdk.bases.resumablejobmixin": "ResumableJobMixin",
        "airflow.sdk.execution_time.context": "NEVER_EXPIRE",
        "": "macros",
        "airflow.sdk.execution_time.timeout": "timeout",
        "airflow.sdk.plugins_manager": "AirflowPlugin",
        "airflow.sdk.types": "TaskInstanceKey",
        "airflow.sdk.definitions._internal.logging_mixin": "LoggingMixin",
        "airflow.sdk.definitions.context": "context_merge",
        "airflow.sdk.listener": "get_listener_manager",
        "airflow.sdk.observability.stats": "Stats",
        "airflow.listeners": "hookimpl",
        "airflow.task.priority_strategy": (
            "PriorityWeightStrategy _AbsolutePriorityWeightStrategy _DownstreamPriorityWeightStrategy "
            "_UpstreamPriorityWeightStrategy"
        ),
    }
)
def _smaller_parts() -> dict[str, Any]:
    from datetime import timedelta

    NEVER_EXPIRE = timedelta.max
    macros = MacrosAccessor()

    class LoggingMixin:
        """Gives a class a logger; what it gets goes to the task log."""

        def __init__(self, context: Any = None) -> None:
            pass

        @property
        def log(self) -> Any:
            import logging

            return logging.getLogger(f"{type(self).__module__}.{type(self).__name__}")

    class BaseOperatorLink:
        """A button in the UI that leads from a task to an outside system."""

        operators: list[Any] = []
        name: str

        @property
        def xcom_key(self) -> str:
            return f"_link_{type(self).__name__}"

        def get_link(self, operator: Any, *, ti_key: Any) -> str:
            raise NotImplementedError

    class BaseNotifier(LoggingMixin):
        """Sends notifications; an instance is a callback. Subclasses override `notify` or `async_notify`."""

        template_fields: Sequence[str] = ()
        template_ext: Sequence[str] = ()
        render_template = AbstractOperator.render_template
        _render_string = AbstractOperator._render_string
        _do_render_template_fields: Any = AbstractOperator._do_render_template_fields
        resolve_template_files: Any = AbstractOperator.resolve_template_files
        _template_source = AbstractOperator._template_source
        prepare_template = AbstractOperator.prepare_template
        task_id = ""

        def __init__(self, context: Any = None) -> None:
            super().__init__()
            self.context = context or {}
            self.resolve_template_files()

        def get_dag(self) -> Any:
            return self.context.get("dag")

        def get_template_env(self, dag: Any = None) -> Any:
            dag = dag or self.get_dag()
            return dag.get_template_env() if dag is not None else create_template_env()

        def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
            self.context = context
            env = jinja_env
            if env is None and any(isinstance(getattr(self, name), str) for name in self.template_fields):
                env = self.get_template_env(context.get("dag"))
            self._do_render_template_fields(self, self.template_fields, context, env, set())

        async def async_notify(self, context: Any) -> None:
            raise NotImplementedError

        def notify(self, context: Any) -> None:
            raise NotImplementedError

        def _prepare(self, context: Any) -> None:
            context_merge(context, {name: getattr(self, name) for name in self.template_fields})
            self.render_template_fields(context)

        def __call__(self, *args: Any) -> None:
            names = ("dag", "task_list", "blocking_task_list", "blocking_tis")
            context = args[0] if len(args) == 1 else dict(zip(names, args))
            self._prepare(context)
            try:
                self.notify(context)
            except Exception as error:
                self.log.error("Failed to send notification (sync): %s", error)
                raise

        def __await__(self) -> Any:
            self._prepare(self.context)
            return self.async_notify(self.context).__await__()

    def context_merge(context: Any, *args: Any, **kwargs: Any) -> None:
        context.update(*args, **kwargs)

    class ResumableJobMixin:
        """For operators that submit a job elsewhere and wait for it: a retry goes back to the job that is running.

        The id of the job is kept in the task state store under `external_id_key`.
        """

        external_id_key = "remote_job_id"
        log: Any

        def __init__(self, *, durable: bool = True, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.durable = durable

        def execute_resumable(self, context: Any) -> Any:
            store = context.get("task_state_store") if self.durable else None
            if self.durable and store is None:
                self.log.warning("task_state_store not available in context, crash recovery is disabled for this run")
            earlier = store.get(self.external_id_key) if store is not None else None
            if earlier:
                status = self.get_job_status(earlier, context)
                if self.is_job_active(status):
                    self.log.info("Reconnecting to existing job %s, which is %s", earlier, status)
                    return self.poll_until_complete(earlier, context)
                if self.is_job_succeeded(status):
                    self.log.info("Job %s already completed successfully, skipping resubmission", earlier)
                    return self.get_job_result(earlier, context)
                self.log.warning("Prior job %s is %s, resubmitting fresh", earlier, status)
            external_id = self.submit_job(context)
            if store is not None:
                store.set(self.external_id_key, external_id)
            self.poll_until_complete(external_id, context)
            return self.get_job_result(external_id, context)

        def submit_job(self, context: Any) -> Any:
            raise NotImplementedError

        def get_job_status(self, external_id: Any, context: Any) -> str:
            raise NotImplementedError

        def is_job_active(self, status: str) -> bool:
            raise NotImplementedError

        def is_job_succeeded(self, status: str) -> bool:
            raise NotImplementedError

        def poll_until_complete(self, external_id: Any, context: Any) -> None:
            raise NotImplementedError

        def get_job_result(self, external_id: Any, context: Any) -> Any:
            raise NotImplementedError

    class timeout:
        """`with timeout(seconds):` raises `AirflowTaskTimeout` in what takes longer; main thread only."""

        def __init__(self, seconds: float = 1, error_message: str = "Timeout") -> None:
            self.seconds = seconds
            self.error_message = f"{error_message}, PID: {os.getpid()}"

        def handle_timeout(self, signum: int, frame: Any) -> None:
            if supervisor is not None:
                supervisor.interrupt(self._raise)
            else:
                self._raise()

        def _raise(self) -> None:
            raise AirflowTaskTimeout(self.error_message)

        def __enter__(self) -> Any:
            import signal

            self._before = signal.signal(signal.SIGALRM, self.handle_timeout)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            return self

        def __exit__(self, *exc_info: object) -> None:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)

    class AirflowPlugin:
        """A plugin can be declared in a bundle; Airflow's own processes are who loads it."""

        name: str | None = None

        @classmethod
        def validate(cls) -> None:
            if not cls.name:
                raise ValueError("Your plugin needs a name.")

        @classmethod
        def on_load(cls, *args: Any, **kwargs: Any) -> None:
            """Runs when Airflow loads the plugin."""

    class TaskInstanceKey(Record):
        dag_id: str
        task_id: str
        run_id: str
        try_number: int = 1
        map_index: int = -1

        @property
        def primary(self) -> tuple[str, str, str, int]:
            return self.dag_id, self.task_id, self.run_id, self.map_index

        def __iter__(self) -> Iterator[Any]:
            return iter(self._values())

    class PriorityWeightStrategy:
        """How the priority of a task is worked out; the scheduler does it, with a plugin of the same name."""

        def get_weight(self, ti: Any) -> int:
            raise NotImplementedError("must be implemented by a subclass")

        def __eq__(self, other: object) -> bool:
            return isinstance(other, type(self))

        def __hash__(self) -> int:
            return hash(None)

    class _AbsolutePriorityWeightStrategy(PriorityWeightStrategy):
        pass

    class _DownstreamPriorityWeightStrategy(PriorityWeightStrategy):
        pass

    class _UpstreamPriorityWeightStrategy(PriorityWeightStrategy):
        pass

    def get_listener_manager() -> Any:
        remedy = "listeners are called by Airflow's own processes, and a task in a bundle calls none"
        return Unavailable("airflow.sdk.listener.get_listener_manager()", remedy)

    def hookimpl(function: Any = None, **_: Any) -> Any:
        return (lambda decorated: decorated) if function is None else function

    class Stats:
        """Metrics go nowhere: a bundle does not see where Airflow sends them."""

        @staticmethod
        def incr(*args: Any, **kwargs: Any) -> None: ...

        decr = gauge = timing = incr

        @staticmethod
        def timer(*args: Any, **kwargs: Any) -> Any:
            import contextlib

            return contextlib.nullcontext()

    return locals()


@family(
    {
        "airflow.sdk.lineage": (
            "AssetLineageInfo ExtraLineageInfo HookLineage HookLineageCollector HookLineageReader NoOpCollector "
            "get_hook_lineage_collector"
        )
    }
)
def _lineage() -> dict[str, Any]:
    class AssetLineageInfo(Record):
        asset: Asset
        count: int
        context: Any

    class ExtraLineageInfo(Record):
        key: str
        value: Any
        count: int
        context: Any

    class HookLineage(Record):
        inputs: list[Any]
        outputs: list[Any]
        extra: list[Any]
        _factories = {"inputs": list, "outputs": list, "extra": list}

    class HookLineageCollector:
        """Takes what hooks say about lineage and keeps none of it: nothing in a bundle would read it."""

        def __init__(self, **kwargs: Any) -> None:
            pass

        def create_asset(self, **kwargs: Any) -> Any:
            uri = kwargs.get("uri")
            return Asset(uri=uri, name=kwargs.get("name"), extra=kwargs.get("asset_extra")) if uri else None

        def add_input_asset(self, *_: Any, **__: Any) -> None:
            pass

        add_output_asset = add_extra = add_input_asset

        @property
        def collected_assets(self) -> Any:
            return HookLineage()

        @property
        def has_collected(self) -> bool:
            return False

    class NoOpCollector(HookLineageCollector):
        pass

    class HookLineageReader:
        def __init__(self, **kwargs: Any) -> None:
            self.lineage_collector = get_hook_lineage_collector()

        def retrieve_hook_lineage(self) -> Any:
            return self.lineage_collector.collected_assets

    collector = NoOpCollector()

    def get_hook_lineage_collector() -> Any:
        return collector

    return locals()


@family(
    {
        "airflow.sdk.definitions.retry_policy": (
            "ExceptionRetryPolicy RetryAction RetryDecision RetryPolicy RetryRule"
        ),
        "airflow.providers.common.compat._retry_policy": "ChainRetryPolicy",
    }
)
def _retry_policies() -> dict[str, Any]:
    class RetryAction(Enumeration):
        """What becomes of a task that failed."""

        __module__ = "airflow.sdk.definitions.retry_policy"
        RETRY = "retry"
        FAIL = "fail"
        DEFAULT = "default"

    class RetryDecision(Record):
        """What a policy decided; `retry_delay` (a timedelta) and `reason` go with a retry."""

        action: Any = RetryAction.DEFAULT
        retry_delay: Any = None
        reason: str | None = None

        @classmethod
        def fail(cls, reason: str | None = None) -> Any:
            return cls(RetryAction.FAIL, reason=reason)

        @classmethod
        def retry(cls, delay: Any = None, reason: str | None = None) -> Any:
            return cls(RetryAction.RETRY, delay, reason)

        @classmethod
        def default(cls) -> Any:
            return cls()

    class RetryPolicy:
        """Decides, from the exception a task failed with, whether it is retried and when; it runs with the task."""

        def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
            raise NotImplementedError

        def serialize(self) -> dict[str, Any]:
            raise NotImplementedError(f"{type(self).__name__} must implement serialize()")

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> Any:
            raise NotImplementedError

    class RetryRule(Record):
        """What to do about one exception class, or a list of them; a class may be given by its dotted path."""

        exception: Any
        action: Any = RetryAction.RETRY
        retry_delay: Any = None
        reason: str | None = None
        match_subclasses: bool = True

        def __post_init__(self) -> None:
            for spec in self._specs:
                if isinstance(spec, str):
                    if "." not in spec:
                        raise ValueError(
                            "RetryRule exception string must be a dotted import path "
                            f"(e.g. 'builtins.ValueError'), got {spec!r}"
                        )
                    self._import(
                        spec,
                        "RetryRule: exception class %r could not be imported at parse time. "
                        "It may resolve on the worker, but check for typos.",
                    )

        @staticmethod
        def _import(spec: str, complaint: str) -> Any:
            try:
                return import_string(spec)
            except (ImportError, AttributeError):
                import logging

                logging.getLogger(__name__).warning(complaint, spec)
                return None

        @property
        def _specs(self) -> list[Any]:
            return self.exception if isinstance(self.exception, list) else [self.exception]

        @property
        def _paths(self) -> list[str]:
            return [spec if isinstance(spec, str) else f"{spec.__module__}.{spec.__qualname__}" for spec in self._specs]

        @property
        def exception_path(self) -> str:
            return ",".join(self._paths)

        def matches(self, exc: BaseException) -> bool:
            complaint = "Could not import exception class %r, it will not match"
            found = [self._import(spec, complaint) if isinstance(spec, str) else spec for spec in self._specs]
            classes = tuple(each for each in found if each is not None)
            return isinstance(exc, classes) if self.match_subclasses else type(exc) in classes

        def serialize(self) -> dict[str, Any]:
            paths = self._paths
            form: dict[str, Any] = {
                "exception": paths if len(paths) > 1 else paths[0],
                "action": self.action.value,
                "match_subclasses": self.match_subclasses,
            }
            if self.retry_delay is not None:
                form["retry_delay"] = self.retry_delay.total_seconds()
            if self.reason is not None:
                form["reason"] = self.reason
            return form

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> Any:
            return cls(
                exception=data["exception"],
                action=RetryAction(data["action"]),
                retry_delay=_as_timedelta(data.get("retry_delay")),
                reason=data.get("reason"),
                match_subclasses=data.get("match_subclasses", True),
            )

    class ExceptionRetryPolicy(RetryPolicy):
        """The first rule that matches decides; `default` when none does."""

        def __init__(self, rules: list[Any], default: Any = RetryAction.DEFAULT) -> None:
            self.rules = rules
            self.default = default

        def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
            for rule in self.rules:
                if rule.matches(exception):
                    reason = rule.reason or f"Matched rule for {type(exception).__name__}"
                    return RetryDecision(rule.action, rule.retry_delay, reason)
            return RetryDecision(self.default)

        def serialize(self) -> dict[str, Any]:
            return {
                "__type": "ExceptionRetryPolicy",
                "rules": [rule.serialize() for rule in self.rules],
                "default": self.default.value,
            }

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> Any:
            rules = [RetryRule.deserialize(each) for each in data["rules"]]
            return cls(rules, RetryAction(data.get("default", "default")))

    class ChainRetryPolicy(RetryPolicy):
        """Asks one policy after the other; the first that decides something other than DEFAULT wins.

        Airflow 3.3 has it in airflow.providers.common.compat.sdk, later ones beside the other policies.
        """

        def __init__(self, policies: Sequence[Any]) -> None:
            if isinstance(policies, RetryPolicy):
                raise TypeError("ChainRetryPolicy takes a sequence of policies; wrap the single policy in a list.")
            self.policies = list(policies)
            if not self.policies:
                raise ValueError("ChainRetryPolicy needs at least one policy.")
            for position, policy in enumerate(self.policies):
                if not isinstance(policy, RetryPolicy):
                    raise TypeError(
                        f"ChainRetryPolicy policies[{position}] must be a RetryPolicy, got {type(policy).__name__}."
                    )

        def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
            trail: list[str] = []
            for policy in self.policies:
                name = type(policy).__name__
                try:
                    decision = policy.evaluate(
                        exception=exception, try_number=try_number, max_tries=max_tries, context=context
                    )
                except Exception as error:
                    trail.append(f"{name}: raised {type(error).__name__}")
                    log_event("error", f"{name} raised while it was asked whether to retry", exc_info=error)
                    continue
                if not isinstance(decision, RetryDecision):
                    trail.append(f"{name}: invalid decision")
                elif decision.action is RetryAction.DEFAULT:
                    trail.append(f"{name}: {decision.reason or 'no decision'}")
                else:
                    after = f" (after {'; '.join(trail)})" if trail else ""
                    reason = f"{name}: {decision.reason or decision.action.value}{after}"
                    return RetryDecision(decision.action, decision.retry_delay, reason)
            return RetryDecision(reason="; ".join(trail))

    return locals()


@family(
    {
        "airflow.sdk.definitions.callback": "AsyncCallback Callback SyncCallback",
        "airflow.sdk.definitions.deadline": (
            "AverageRuntimeDeadline BaseDeadlineReference DagRunLogicalDateDeadline DagRunQueuedAtDeadline "
            "DeadlineAlert DeadlineReference FixedDatetimeDeadline VariableInterval deadline_reference"
        ),
    }
)
def _deadlines() -> dict[str, Any]:
    class Callback:
        """A function that is called elsewhere, by its path, when a deadline is missed."""

        _attributes: tuple[str, ...] = ("path", "kwargs")

        def __init__(self, callback_callable: Any, kwargs: dict[str, Any] | None = None) -> None:
            self.path = self.get_callback_path(callback_callable)
            if kwargs and "context" in kwargs:
                raise ValueError("context is a reserved kwarg for this class")
            self.kwargs = kwargs or {}

        @classmethod
        def get_callback_path(cls, _callback: Any) -> str:
            if callable(_callback):
                cls.verify_callable(_callback)
                return f"{_callback.__module__}.{_callback.__qualname__}"
            path = _callback.strip() if isinstance(_callback, str) else ""
            if "." not in path or not all(part.isidentifier() for part in path.split(".")):
                raise ImportError(f"`{_callback}` doesn't look like a valid dot path.")
            try:
                found = import_string(path)
            except ImportError:
                return path
            # What a bundle does not have may well be there where the callback runs.
            if not isinstance(found, (Unavailable, _UnavailableType)):
                if not callable(found):
                    raise AttributeError(f"Provided callback {found} is not callable.")
                cls.verify_callable(found)
            return path

        @classmethod
        def verify_callable(cls, callback: Any) -> None:
            """Check what only some kinds of callback ask for."""

        @classmethod
        def serialized_fields(cls) -> tuple[str, ...]:
            return cls._attributes

        def serialize(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in self._attributes}

        @classmethod
        def deserialize(cls, data: dict[str, Any], version: int) -> Any:
            # The path is not looked up, as Airflow does: to import what a value names runs code of the value's choice.
            callback = cls.__new__(cls)
            callback.__dict__.update({name: data.get(name) for name in cls._attributes})
            callback.path, callback.kwargs = str(data["path"]), dict(data.get("kwargs") or {})
            return callback

        def __eq__(self, other: object) -> bool:
            return type(self) is type(other) and self.serialize() == other.serialize()  # type: ignore[attr-defined]

        def __hash__(self) -> int:
            return hash(repr(self.serialize()))

    class AsyncCallback(Callback):
        """A coroutine function that the triggerer awaits."""

        def __init__(self, callback_callable: Any, kwargs: dict[str, Any] | None = None) -> None:
            super().__init__(callback_callable, kwargs)

        @classmethod
        def verify_callable(cls, callback: Any) -> None:
            if not (is_async_callable(callback) or hasattr(callback, "__await__")):
                raise AttributeError(f"Provided callback {callback} is not awaitable.")

    class SyncCallback(Callback):
        """A function that an executor calls, `executor` if given."""

        _attributes = ("path", "kwargs", "executor")

        def __init__(
            self, callback_callable: Any, kwargs: dict[str, Any] | None = None, executor: str | None = None
        ) -> None:
            super().__init__(callback_callable, kwargs)
            self.executor = executor

    class BaseDeadlineReference:
        """The moment that a deadline counts from; Airflow's scheduler works it out."""

        @property
        def reference_name(self) -> str:
            return type(self).__name__

        def serialize_reference(self) -> dict[str, Any]:
            return {"reference_type": self.reference_name}

        @classmethod
        def deserialize_reference(cls, reference_data: dict[str, Any]) -> Any:
            return cls()

        def __eq__(self, other: object) -> bool:
            if not isinstance(other, BaseDeadlineReference):
                return NotImplemented
            return self.serialize_reference() == other.serialize_reference()

        def __hash__(self) -> int:
            return hash(frozenset(self.serialize_reference().items()))

    class DagRunLogicalDateDeadline(BaseDeadlineReference):
        """The logical date of the run."""

    class DagRunQueuedAtDeadline(BaseDeadlineReference):
        """When the run was queued."""

    class FixedDatetimeDeadline(BaseDeadlineReference):
        """Always the same moment."""

        def __init__(self, _datetime: Any) -> None:
            self._datetime = _datetime

        def serialize_reference(self) -> dict[str, Any]:
            return {"reference_type": self.reference_name, "datetime": self._datetime.timestamp()}

        @classmethod
        def deserialize_reference(cls, reference_data: dict[str, Any]) -> Any:
            from datetime import datetime, timezone

            return cls(datetime.fromtimestamp(reference_data["datetime"], timezone.utc))

    class AverageRuntimeDeadline(BaseDeadlineReference):
        """The average of the last `max_runs` runs, once there have been `min_runs`."""

        DEFAULT_LIMIT = 10

        def __init__(self, max_runs: int, min_runs: int | None = None) -> None:
            self.max_runs = max_runs
            self.min_runs = max_runs if min_runs is None else min_runs
            if self.min_runs < 1:
                raise ValueError("min_runs must be at least 1")

        def serialize_reference(self) -> dict[str, Any]:
            return {"reference_type": self.reference_name, "max_runs": self.max_runs, "min_runs": self.min_runs}

        @classmethod
        def deserialize_reference(cls, reference_data: dict[str, Any]) -> Any:
            return cls(reference_data.get("max_runs", cls.DEFAULT_LIMIT), reference_data.get("min_runs"))

    class DeadlineAlert:
        """Calls `callback` when a run is not done `interval` after `reference`."""

        def __init__(self, reference: Any, interval: Any, callback: Any, name: str | None = None) -> None:
            self.reference = reference
            self.interval = interval
            self.name = name
            if not isinstance(callback, (AsyncCallback, SyncCallback)):
                raise ValueError(f"Callbacks of type {type(callback).__name__} are not currently supported")
            self.callback = callback

        def __eq__(self, other: object) -> bool:
            if not isinstance(other, DeadlineAlert):
                return NotImplemented
            return (
                isinstance(self.reference, type(other.reference))
                and self.interval == other.interval
                and self.callback == other.callback
            )

        def __hash__(self) -> int:
            return hash((type(self.reference).__name__, self.interval, self.callback))

    class DeadlineReference:
        """The references there are, those of the author's own that were registered among them."""

        class TYPES:
            """When a reference is worked out: as the run is created, or as it is queued."""

            DAGRUN_CREATED: tuple[Any, ...] = (DagRunLogicalDateDeadline, FixedDatetimeDeadline, AverageRuntimeDeadline)
            DAGRUN_QUEUED: tuple[Any, ...] = (DagRunQueuedAtDeadline,)
            DAGRUN: tuple[Any, ...] = DAGRUN_CREATED + DAGRUN_QUEUED

        DAGRUN_LOGICAL_DATE = DagRunLogicalDateDeadline()
        DAGRUN_QUEUED_AT = DagRunQueuedAtDeadline()

        @classmethod
        def AVERAGE_RUNTIME(cls, max_runs: int = 0, min_runs: int | None = None) -> Any:
            return AverageRuntimeDeadline(max_runs or AverageRuntimeDeadline.DEFAULT_LIMIT, min_runs)

        @classmethod
        def FIXED_DATETIME(cls, dt: Any) -> Any:
            return FixedDatetimeDeadline(dt)

        @classmethod
        def register_custom_reference(cls, reference_class: Any, deadline_reference_type: Any = None) -> Any:
            if deadline_reference_type is None:
                deadline_reference_type = cls.TYPES.DAGRUN_CREATED
            if not issubclass(reference_class, BaseDeadlineReference):
                raise ValueError(f"{reference_class.__name__} must inherit from BaseDeadlineReference")
            try:
                instance = reference_class()
            except TypeError as error:
                raise TypeError(
                    f"{reference_class.__name__} must be constructible with no arguments in order to be registered as "
                    "a deadline reference. If it takes parameters, decorate it with @dataclass and give every field a "
                    f"default value. Original error: {error}"
                ) from error
            setattr(cls, reference_class.__name__, instance)
            if deadline_reference_type is cls.TYPES.DAGRUN_CREATED:
                cls.TYPES.DAGRUN_CREATED += (reference_class,)
            elif deadline_reference_type is cls.TYPES.DAGRUN_QUEUED:
                cls.TYPES.DAGRUN_QUEUED += (reference_class,)
            else:
                raise ValueError(
                    f"Invalid deadline reference type {deadline_reference_type}; "
                    "must be a valid DeadlineReference.TYPES option."
                )
            cls.TYPES.DAGRUN = cls.TYPES.DAGRUN_CREATED + cls.TYPES.DAGRUN_QUEUED
            return reference_class

    def deadline_reference(deadline_reference_type: Any = None) -> Any:
        """Register a class of the author's own as a deadline reference; with or without arguments."""
        if isinstance(deadline_reference_type, type):
            return DeadlineReference.register_custom_reference(deadline_reference_type)
        return lambda cls: DeadlineReference.register_custom_reference(cls, deadline_reference_type)

    class VariableInterval(Record):
        """An interval in seconds that an Airflow Variable holds."""

        key: str

    return locals()


# --- partitions and timetables of the author's own --------------------------------------------------------------------


@family(
    {
        "airflow.sdk.definitions.partition_mappers.base": "PartitionMapper RollupMapper",
        "airflow.sdk.definitions.partition_mappers.identity": "IdentityMapper",
        "airflow.sdk.definitions.partition_mappers.fixed_key": "FixedKeyMapper",
        "airflow.sdk.definitions.partition_mappers.allowed_key": "AllowedKeyMapper",
        "airflow.sdk.definitions.partition_mappers.chain": "ChainMapper",
        "airflow.sdk.definitions.partition_mappers.product": "ProductMapper",
        "airflow.sdk.definitions.partition_mappers.temporal": (
            "FanOutMapper StartOfDayMapper StartOfHourMapper StartOfMonthMapper StartOfQuarterMapper "
            "StartOfWeekMapper StartOfYearMapper"
        ),
        "airflow.sdk.definitions.partition_mappers.window": (
            "DayWindow HourWindow MonthWindow QuarterWindow SegmentWindow WeekWindow Window YearWindow"
        ),
        "airflow.sdk.definitions.partition_mappers.wait_policy": "MinimumCount WaitForAll WaitPolicy",
        "airflow.sdk.definitions.timetables.assets": "PartitionedAssetTimetable PartitionedAtRuntime",
        "airflow.sdk.definitions.timetables.trigger": "CronPartitionTimetable",
    }
)
def _partitions() -> dict[str, Any]:
    from datetime import datetime

    class WaitPolicy:
        """When a partitioned run may start, given the upstream partitions that have arrived."""

    class WaitForAll(Record, WaitPolicy):
        """Once all have arrived."""

    class MinimumCount(Record, WaitPolicy):
        """Once `n` have arrived; a negative `n` is how many may be missing."""

        n: int

        def __post_init__(self) -> None:
            if self.n == 0:
                raise ValueError(
                    "MinimumCount(0) is degenerate: n=0 would always fire, even on empty windows. "
                    "Use WaitForAll() to require every key, or MinimumCount(n) with n != 0."
                )

    class Direction(Enumeration):
        """From the upstream key forward in time, or back to it."""

        __module__ = "airflow.sdk.definitions.partition_mappers.window"
        __qualname__ = "Window.Direction"
        BACKWARD = "backward"
        FORWARD = "forward"

    class Window:
        """Which upstream partitions make up one downstream partition."""

        expected_decoded_type: type = str

        def __init__(self, *, direction: Any = Direction.FORWARD) -> None:
            self.direction = self.Direction(direction)  # type: ignore[attr-defined]

        def serialize(self) -> dict[str, Any]:
            return {"direction": self.direction.value}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> Any:
            return cls(direction=data["direction"])

    Window.Direction = Direction  # type: ignore[attr-defined]

    class _TimeWindow(Window):
        expected_decoded_type = datetime

    class HourWindow(_TimeWindow):
        """The sixty minutes of an hour."""

    class DayWindow(_TimeWindow):
        """The twenty-four hours of a day."""

    class WeekWindow(_TimeWindow):
        """The seven days of a week."""

    class MonthWindow(_TimeWindow):
        """The days of a month."""

    class QuarterWindow(_TimeWindow):
        """The three months of a quarter."""

    class YearWindow(_TimeWindow):
        """The twelve months of a year."""

    class SegmentWindow(Window):
        """A fixed set of keys."""

        def __init__(self, segments: Iterable[str]) -> None:
            checked = []
            for index, item in enumerate(segments):
                if not isinstance(item, str):
                    raise ValueError(
                        "SegmentWindow segment keys must be str; "
                        f"got {type(item).__name__!r} at index {index}: {item!r}"
                    )
                if not item:
                    raise ValueError(
                        f"SegmentWindow segment keys must be non-empty; got an empty string at index {index}."
                    )
                checked.append(item)
            if not checked:
                raise ValueError("SegmentWindow requires at least one segment key; got an empty iterable.")
            self._segments = frozenset(checked)

    class PartitionMapper(Record):
        """How the partition keys of upstream assets become those of the Dag; the scheduler works it out."""

        is_rollup = False
        # Without an annotation, which would make a field of it.
        expected_decoded_type = str
        max_downstream_keys: int | None = None
        _keyword_only = frozenset({"max_downstream_keys"})

        def __post_init__(self) -> None:
            most = self.max_downstream_keys
            if most is not None and (not isinstance(most, int) or most < 1):
                raise ValueError(f"max_downstream_keys must be a positive integer or None, got {most!r}")

    class IdentityMapper(PartitionMapper):
        """Leaves keys as they are."""

        def to_downstream(self, key: str) -> str:
            return key

    class AllowedKeyMapper(PartitionMapper):
        """Lets only some keys through."""

        allowed_keys: list[str]

    class FixedKeyMapper(PartitionMapper):
        """Makes one key of all."""

        downstream_key: str

        def __post_init__(self) -> None:
            super().__post_init__()
            key = self.downstream_key
            if not key or not isinstance(key, str):
                raise ValueError(f"FixedKeyMapper downstream_key must be a non-empty str; got {key!r}.")

        def to_downstream(self, key: str) -> str:
            return self.downstream_key

    class RollupMapper(PartitionMapper):
        """Many upstream keys, those of a window, make up one downstream key."""

        is_rollup = True
        upstream_mapper: PartitionMapper
        window: Window
        wait_policy: WaitPolicy
        _factories = {"wait_policy": WaitForAll}
        _keyword_only = frozenset({"max_downstream_keys", "upstream_mapper", "window", "wait_policy"})

        def __post_init__(self) -> None:
            super().__post_init__()
            mapper, window = self.upstream_mapper, self.window
            if mapper.expected_decoded_type is not window.expected_decoded_type:
                raise TypeError(
                    f"{type(window).__name__} expects decoded values of type "
                    f"{window.expected_decoded_type.__name__!r}, but {type(mapper).__name__} decodes to "
                    f"{mapper.expected_decoded_type.__name__!r}. Pair a window and an upstream mapper whose "
                    "'expected_decoded_type' match."
                )

    class ChainMapper(PartitionMapper):
        """Several mappers, one after the other."""

        mappers: list[PartitionMapper]

        def __init__(
            self,
            mapper0: PartitionMapper,
            mapper1: PartitionMapper,
            /,
            *mappers: PartitionMapper,
            max_downstream_keys: int | None = None,
        ) -> None:
            super().__init__(mappers=[mapper0, mapper1, *mappers], max_downstream_keys=max_downstream_keys)

    class ProductMapper(PartitionMapper):
        """Several mappers side by side, for keys of several parts."""

        mappers: list[PartitionMapper]
        delimiter: str

        def __init__(
            self,
            mapper0: PartitionMapper,
            mapper1: PartitionMapper,
            /,
            *mappers: PartitionMapper,
            delimiter: str = "|",
            max_downstream_keys: int | None = None,
        ) -> None:
            both = [mapper0, mapper1, *mappers]
            super().__init__(mappers=both, delimiter=delimiter, max_downstream_keys=max_downstream_keys)

    class _BaseTemporalMapper(PartitionMapper):
        default_output_format = ""
        expected_decoded_type = datetime  # type: ignore[assignment]
        timezone: Any = "UTC"
        input_format: str = "%Y-%m-%dT%H:%M:%S"
        output_format: str | None = None
        _keyword_only = frozenset({"max_downstream_keys", "timezone", "input_format", "output_format"})

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.output_format:
                self.output_format = self.default_output_format

        @property
        def _timezone(self) -> Any:
            return self.timezone

    class StartOfHourMapper(_BaseTemporalMapper):
        default_output_format = "%Y-%m-%dT%H"

    class StartOfDayMapper(_BaseTemporalMapper):
        default_output_format = "%Y-%m-%d"

    class StartOfWeekMapper(_BaseTemporalMapper):
        default_output_format = "%Y-%m-%d (W%V)"

    class StartOfMonthMapper(_BaseTemporalMapper):
        default_output_format = "%Y-%m"

    class StartOfQuarterMapper(_BaseTemporalMapper):
        default_output_format = "%Y-Q{quarter}"

    class StartOfYearMapper(_BaseTemporalMapper):
        default_output_format = "%Y"

    class FanOutMapper(PartitionMapper):
        """One upstream key makes many downstream keys, those of a window."""

        upstream_mapper: PartitionMapper
        window: Window
        downstream_mapper: PartitionMapper
        default_downstream_mapper_by_window_name = {
            "DayWindow": StartOfHourMapper,
            "WeekWindow": StartOfDayMapper,
            "MonthWindow": StartOfDayMapper,
            "QuarterWindow": StartOfMonthMapper,
            "YearWindow": StartOfMonthMapper,
        }

        def __init__(
            self,
            *,
            upstream_mapper: PartitionMapper,
            window: Window,
            downstream_mapper: PartitionMapper | None = None,
            max_downstream_keys: int | None = None,
        ) -> None:
            if not downstream_mapper:
                default = self.default_downstream_mapper_by_window_name.get(type(window).__name__)
                if default is None:
                    raise ValueError(
                        f"{type(self).__name__} has no default downstream_mapper for window type "
                        f"{type(window).__name__}; pass downstream_mapper explicitly."
                    )
                downstream_mapper = default()
            super().__init__(
                upstream_mapper=upstream_mapper,
                window=window,
                downstream_mapper=downstream_mapper,
                max_downstream_keys=max_downstream_keys,
            )

    class PartitionedAssetTimetable(AssetTriggeredTimetable):
        """Runs for the partitions of assets."""

        def __init__(
            self,
            assets: BaseAsset,
            partition_mapper_config: dict[BaseAsset, PartitionMapper] | None = None,
            default_partition_mapper: PartitionMapper | None = None,
        ) -> None:
            super().__init__(assets)
            self.partition_mapper_config = {} if partition_mapper_config is None else partition_mapper_config
            self.default_partition_mapper = default_partition_mapper or IdentityMapper()

    class PartitionedAtRuntime(BaseTimetable):
        """The partitions are decided when a run is created."""

        can_be_scheduled = False
        partitioned_at_runtime = True

    class CronPartitionTimetable(CronTriggerTimetable):
        """Runs by a cron expression, each for the partition of a date."""

        run_offset: Any = None
        key_format: str = "%Y-%m-%dT%H:%M:%S"

        def __init__(
            self,
            cron: str,
            *,
            timezone: Any,
            run_offset: Any = None,
            run_immediately: Any = False,
            key_format: str = "%Y-%m-%dT%H:%M:%S",
        ) -> None:
            if run_offset is not None and not isinstance(run_offset, int):
                raise ValueError("Run offset other than integer not supported yet.")
            super().__init__(
                cron, timezone, run_offset=run_offset, run_immediately=run_immediately, key_format=key_format
            )

    return locals()


@family({"airflow.timetables.base": "DagRunInfo DataInterval TimeRestriction Timetable"})
def _timetable_base() -> dict[str, Any]:
    class DataInterval(Record):
        start: Any
        end: Any

        @classmethod
        def exact(cls, at: Any) -> Any:
            return cls(at, at)

        def __iter__(self) -> Iterator[Any]:
            return iter(self._values())

    class TimeRestriction(Record):
        earliest: Any
        latest: Any
        catchup: bool

    class DagRunInfo(Record):
        run_after: Any
        data_interval: Any
        partition_date: Any = None
        partition_key: str | None = None

        @classmethod
        def exact(cls, at: Any) -> Any:
            return cls(at, DataInterval.exact(at))

        @classmethod
        def interval(cls, start: Any, end: Any) -> Any:
            return cls(end, DataInterval(start, end))

        @property
        def logical_date(self) -> Any:
            return self.data_interval and self.data_interval.start

    class Timetable(BaseTimetable):
        """Base of a schedule of the author's own, which Airflow's scheduler must have as a plugin of the same name."""

        description = ""
        periodic = True
        run_ordering = ("data_interval_end", "logical_date")
        partitioned = False
        partitioned_at_runtime = False

        def __init_subclass__(cls) -> None:
            cls._fields = ()

        def __init__(self) -> None:
            pass

        __eq__ = object.__eq__
        __hash__ = object.__hash__
        __repr__ = object.__repr__

        def serialize(self) -> dict[str, Any]:
            return {}

        @classmethod
        def deserialize(cls, data: dict[str, Any]) -> Any:
            return cls()

        @property
        def summary(self) -> str:
            return type(self).__name__

        def infer_manual_data_interval(self, *, run_after: Any) -> Any:
            raise NotImplementedError

        def next_dagrun_info(self, *, last_automated_data_interval: Any, restriction: Any) -> Any:
            raise NotImplementedError

    return locals()


# --- @asset -----------------------------------------------------------------------------------------------------------


@family({"airflow.sdk.definitions.asset.decorators": "AssetDefinition MultiAssetDefinition _AssetMainOperator asset"})
def _asset_decorator() -> dict[str, Any]:
    class _AssetMainOperator(PythonOperator):
        """Calls the function that `@asset` decorates; its arguments are assets by name."""

        def __init__(self, *, definition_name: str, uri: str | None = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._definition_name = definition_name

        @classmethod
        def from_definition(cls, definition: Any) -> Any:
            function = definition._function
            signature = Signature(function)
            if signature.var_positional or signature.var_keyword:
                stars = "**" if signature.var_keyword else "*"
                raise TypeError(f"wildcard '{stars}{_star_name(function)}' is not supported in @asset")
            for name in signature.positional_only:
                if name not in signature.defaults:
                    raise TypeError(f"positional-only argument '{name}' without a default is not supported in @asset")
            names = [name for name in signature.names if name not in signature.defaults]
            return cls(
                task_id=function.__name__,
                inlets=[Asset.ref(name=name) for name in names if name not in ("self", "context", "outlet_events")],
                outlets=list(definition.iter_outlets()),
                python_callable=function,
                definition_name=definition.name,
            )

        def determine_kwargs(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
            def fetch(name: str) -> Asset:
                answer = ask_or_raise(GetAssetByName(name=name))
                return Asset(name=answer.name, uri=answer.uri, group=answer.group, extra=answer.extra)

            signature = Signature(self.python_callable)
            kwargs: dict[str, Any] = {}
            for name in signature.names:
                if name in signature.defaults:
                    kwargs[name] = signature.defaults[name]
                elif name == "context":
                    kwargs[name] = context
                elif name == "outlet_events":
                    kwargs[name] = context["outlet_events"]
                else:
                    kwargs[name] = fetch(self._definition_name if name == "self" else name)
            return kwargs

    def _star_name(function: Any) -> str:
        code = function.__code__
        at = code.co_argcount + code.co_kwonlyargcount
        return code.co_varnames[at + (1 if code.co_flags & 4 and code.co_flags & 8 else 0)]

    def declare_task(definition: Any) -> None:
        function = definition._function
        if isinstance(function, _TaskDecorator):
            if "outlets" in function.kwargs:
                raise TypeError("@task decorator with 'outlets' argument is not supported in @asset")
            function.kwargs["outlets"] = list(definition.iter_outlets())
            function()
        else:
            _AssetMainOperator.from_definition(definition)

    class AssetDefinition(Asset):
        """What `@asset` makes of a function: an asset, and a Dag of one task that makes it."""

        def __init__(self, *, function: Any, source: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._function, self._source = function, source
            with source.create_dag(default_dag_id=self.name):
                declare_task(self)

        def iter_outlets(self) -> Iterator[Any]:
            yield self

    class MultiAssetDefinition(AssetAll):
        """What `@asset.multi` makes of a function: several assets, and a Dag of one task that makes them."""

        def __init__(self, *, name: str, function: Any, source: Any) -> None:
            super().__init__(*source.outlets)
            self.name, self._function, self._source = name, function, source
            with source.create_dag(default_dag_id=function.__name__):
                declare_task(self)

        def iter_outlets(self) -> Iterator[Any]:
            yield from self.objects

    class _DAGFactory(Record):
        schedule: Any
        is_paused_upon_creation: bool | None = None
        dag_id: str | None = None
        dag_display_name: str | None = None
        description: str | None = None
        params: Any = None
        on_success_callback: Any = None
        on_failure_callback: Any = None
        access_control: Any = None
        owner_links: dict[str, str]
        tags: Collection[str]
        _factories: dict[str, Callable[[], Any]] = {"owner_links": dict, "tags": set}

        def __init_subclass__(cls) -> None:
            super().__init_subclass__()
            cls._keyword_only = frozenset(cls._fields)

        def create_dag(self, *, default_dag_id: str) -> DAG:
            own = {name: getattr(self, name) for name in _DAGFactory._fields if name not in ("dag_id",)}
            dag_id = self.dag_id or default_dag_id
            own["dag_display_name"] = self.dag_display_name or dag_id
            return DAG(dag_id, catchup=False, auto_register=True, **own)

        @staticmethod
        def check_place(function: Any) -> None:
            if function.__name__ != function.__qualname__:
                raise ValueError("nested function not supported")

    class multi(_DAGFactory):
        outlets: Collection[Any]

        def __call__(self, f: Any) -> Any:
            self.check_place(f)
            if not self.outlets:
                raise ValueError("no outlets provided")
            return MultiAssetDefinition(name=f.__name__, function=f, source=self)

    class asset(_DAGFactory):
        """Turn a function into an asset that it makes; `asset.multi` for several assets."""

        name: str | None = None
        uri: Any = None
        group: str = "asset"
        extra: dict[str, Any]
        watchers: list[Any]
        _factories = {**_DAGFactory._factories, "extra": dict, "watchers": list}

        def __call__(self, f: Any) -> Any:
            self.check_place(f)
            name = self.name or f.__name__
            uri = name if self.uri is None else str(self.uri)
            return AssetDefinition(name=name, uri=uri, group=self.group, extra=self.extra, function=f, source=self)

    asset.multi = multi  # type: ignore[attr-defined]
    return locals()


# --- ObjectStoragePath ------------------------------------------------------------------------------------------------


@family(
    {
        "airflow.sdk.io.path": "ObjectStoragePath",
        "airflow.sdk.io.store": "attach",
        "airflow.sdk.io.fs": "get_fs has_fs",
    }
)
def _object_storage() -> dict[str, Any]:
    # The module of a provider that makes the file system of a scheme from a connection.
    providers = {
        **dict.fromkeys(("s3", "s3a", "s3n"), "airflow.providers.amazon.aws.fs.s3"),
        **dict.fromkeys(("gs", "gcs"), "airflow.providers.google.cloud.fs.gcs"),
        **dict.fromkeys(("abfs", "abfss", "adl", "az"), "airflow.providers.microsoft.azure.fs.adls"),
    }

    def need(module: str, distribution: str) -> Any:
        try:
            return __import__(module, fromlist=["*"])
        except ImportError:
            raise BundleError(
                f"ObjectStoragePath needs {distribution}, which is not in this bundle: "
                f'add "{distribution}" to the dependencies the Dag file declares and build again'
            ) from None

    def get_fs(scheme: str, conn_id: str | None = None, storage_options: Any = None) -> Any:
        """Return the file system of a scheme, opened with a connection when one is named."""
        fsspec = need("fsspec", "universal-pathlib")
        if conn_id is None or scheme == "file":
            return fsspec.filesystem(scheme, **(storage_options or {}))
        module = providers.get(scheme)
        if module is None:
            raise ValueError(f"No filesystem registered for scheme {scheme}")
        return __import__(module, fromlist=["*"]).get_fs(conn_id, storage_options or {})

    def has_fs(scheme: str) -> bool:
        return scheme in ("file", "") or scheme in providers

    class ObjectStore(Record):
        """What paths with one scheme and connection have in common."""

        protocol: str
        conn_id: str | None = None
        storage_options: Any = None

        @property
        def fs(self) -> Any:
            return get_fs(self.protocol, self.conn_id, self.storage_options)

    def attach(
        protocol: str | None = None,
        conn_id: str | None = None,
        alias: str | None = None,
        encryption_type: str | None = None,
        fs: Any = None,
        **kwargs: Any,
    ) -> Any:
        if not protocol:
            raise ValueError("No protocol specified and no store found")
        return ObjectStore(protocol, conn_id, kwargs or None)

    class ObjectStoragePath:
        """A path in an object store or on disk: `ObjectStoragePath("s3://conn@bucket/key")`, used like pathlib's.

        What touches the store is done by universal-pathlib, which must be frozen in; the rest works without it.
        """

        __version__ = 1
        sep = "/"
        protocol: str
        conn_id: str | None

        def __init__(
            self, *args: Any, protocol: str | None = None, conn_id: str | None = None, **storage_options: Any
        ) -> None:
            given = storage_options.pop("conn_id", None)
            first = args[0] if args else ""
            if isinstance(first, ObjectStoragePath):
                conn_id = conn_id or first.conn_id
                protocol = protocol or first.protocol
            text = os.fspath(first) if not isinstance(first, ObjectStoragePath) else str(first)
            scheme, mark, rest = text.partition("://")
            if not mark:
                scheme, rest = "", text
            elif "@" in rest.partition("/")[0]:
                user, _, rest = rest.partition("@")
                conn_id = conn_id or user or None
            self.conn_id = conn_id or given
            self.protocol = protocol or scheme
            self.storage_options = storage_options
            self._rest = rest
            for each in args[1:]:
                self._rest = self._joined(str(each))
            self._rest = self._normal(self._rest)

        def _normal(self, rest: str) -> str:
            """A trailing slash says nothing, but for the root of a bucket or disk."""
            bare = rest.rstrip("/")
            if self.protocol not in ("", "file"):
                return bare if "/" in bare or not bare else f"{bare}/"
            return bare or rest[:1]

        def _joined(self, part: str) -> str:
            if self.protocol in ("", "file") and part.startswith("/"):
                return part
            return f"{self._rest.rstrip('/')}/{part.lstrip('/')}" if self._rest else part

        def _sibling(self, rest: str) -> Any:
            clone = object.__new__(type(self))
            clone.__dict__.update(self.__dict__, _rest=self._normal(rest))
            clone.__dict__.pop("_upath", None)
            return clone

        def __str__(self) -> str:
            if not self.protocol:
                return self._rest
            return f"{self.protocol}://{self.conn_id}@{self._rest}" if self.conn_id else self._plain

        @property
        def _plain(self) -> str:
            """The path as the store knows it, without a connection."""
            return f"{self.protocol}://{self._rest}" if self.protocol else self._rest

        def __repr__(self) -> str:
            return f"{type(self).__name__}({str(self)!r})"

        def __fspath__(self) -> str:
            return str(self)

        def __hash__(self) -> int:
            return hash(str(self))

        def __eq__(self, other: object) -> bool:
            return self.samestore(other) and str(self) == str(other)

        def __truediv__(self, part: Any) -> Any:
            return self._sibling(self._joined(str(part)))

        def joinpath(self, *parts: Any) -> Any:
            path = self
            for each in parts:
                path = path / each
            return path

        def samestore(self, other: Any) -> bool:
            return (
                isinstance(other, ObjectStoragePath)
                and self.protocol == other.protocol
                and self.conn_id == other.conn_id
            )

        @property
        def bucket(self) -> str:
            return self._rest.partition("/")[0] if self.protocol not in ("", "file") else ""

        container = bucket

        @property
        def key(self) -> str:
            return self._rest.partition("/")[2] if self.bucket else self._rest.lstrip("/")

        @property
        def namespace(self) -> str:
            return f"{self.protocol}://{self.bucket}" if self.bucket else self.protocol

        @property
        def path(self) -> str:
            return self._rest

        @property
        def name(self) -> str:
            return self.key.rstrip("/").rpartition("/")[2]

        @property
        def suffix(self) -> str:
            stem, dot, last = self.name.rpartition(".")
            return dot + last if stem and last else ""

        @property
        def stem(self) -> str:
            return self.name[: len(self.name) - len(self.suffix)]

        @property
        def parent(self) -> Any:
            head, slash, _ = self._rest.rstrip("/").rpartition("/")
            return self._sibling(head or slash) if slash else self

        @property
        def fs(self) -> Any:
            return get_fs(self.protocol or "file", self.conn_id, self.storage_options)

        def _store_path(self) -> Any:
            """Return universal-pathlib's path, on the file system that the connection opens."""
            path = self.__dict__.get("_upath")
            if path is None:
                upath = need("upath", "universal-pathlib")
                path = upath.UPath(self._plain, protocol=self.protocol or "file", **self.storage_options)
                if self.conn_id is not None:
                    path._fs_cached = self.fs
                self.__dict__["_upath"] = path
            return path

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            value = getattr(self._store_path(), name)
            if not callable(value):
                return self._ours(value)
            return lambda *args, **kwargs: self._ours(value(*args, **kwargs))

        def _ours(self, value: Any) -> Any:
            import upath  # type: ignore[import-not-found, import-untyped, unused-ignore]

            if isinstance(value, upath.UPath):
                path = str(value).partition("://")[2] or str(value)
                return self._sibling(path)
            if hasattr(value, "__next__") and not hasattr(value, "read"):
                return map(self._ours, value)
            return value

        def open(self, mode: str = "r", **kwargs: Any) -> Any:
            return self._store_path().open(mode, **kwargs)

        def replace(self, target: Any) -> Any:
            return self.rename(target)

        def copy(self, dst: Any, recursive: bool = False, **kwargs: Any) -> None:
            """Copy to another path, of the same store or another."""
            target = dst if isinstance(dst, ObjectStoragePath) else type(self)(dst)
            if self.is_dir():
                if not recursive:
                    raise ValueError(f"{self} is a folder: copy it with recursive=True")
                for each in list(self.iterdir()):
                    each.copy(target / each.name, recursive=True, **kwargs)
                return
            if target.exists() and target.is_dir():
                target = target / self.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.open("rb") as source, target.open("wb") as sink:
                while block := source.read(1 << 20):
                    sink.write(block)

        def move(self, path: Any, recursive: bool = False, **kwargs: Any) -> None:
            self.copy(path, recursive=recursive, **kwargs)
            self.fs.rm(self._rest, recursive=recursive)

        def serialize(self) -> dict[str, Any]:
            return {"path": str(self), "conn_id": self.conn_id, "kwargs": self.storage_options}

        @classmethod
        def deserialize(cls, data: dict[str, Any], version: int) -> Any:
            return cls(data["path"], conn_id=data.get("conn_id"), **data.get("kwargs") or {})

    return locals()


# --- triggers ---------------------------------------------------------------------------------------------------------


@family(
    {
        "airflow.triggers.base": (
            "BaseEventTrigger BaseTaskEndEvent BaseTrigger StartTriggerArgs TaskFailedEvent TaskSkippedEvent "
            "TaskSuccessEvent TriggerEvent"
        ),
        "airflow.providers.standard.triggers.temporal": "DateTimeTrigger TimeDeltaTrigger",
        "airflow.providers.standard.triggers.file": "DirectoryFileDeleteTrigger FileDeleteTrigger FileTrigger",
        "airflow.providers.standard.triggers.external_task": "DagStateTrigger WorkflowTrigger",
        "airflow.providers.standard.triggers.hitl": "HITLTrigger",
    }
)
def _triggers() -> dict[str, Any]:
    from datetime import datetime

    class StartTriggerArgs(Record):
        """What the scheduler needs to start a task in the triggerer right away."""

        trigger_cls: str
        next_method: str
        trigger_kwargs: dict[str, Any] | None = None
        next_kwargs: dict[str, Any] | None = None
        timeout: Any = None

    class BaseTrigger:
        """Something to wait for. A bundle only says what: Airflow's triggerer makes the trigger anew and runs it."""

        supports_triggerer_queue = True
        template_fields: Sequence[str] = ()
        template_ext: Sequence[str] = ()
        # The arguments of a trigger that is written down as they stand, separated by spaces.
        _arguments = ""

        def __init__(self, **kwargs: Any) -> None:
            self.trigger_id = None
            self.task_id = None
            self.task_instance = None

        @property
        def log(self) -> Any:
            import logging

            return logging.getLogger(f"{type(self).__module__}.{type(self).__name__}")

        def serialize(self) -> tuple[str, dict[str, Any]]:
            """Return the path of the class, and the arguments to make it anew."""
            if not self._arguments:
                raise NotImplementedError("Triggers must implement serialize()")
            cls = next(each for each in type(self).__mro__ if "_arguments" in each.__dict__)
            return f"{cls.__module__}.{cls.__name__}", {name: getattr(self, name) for name in self._arguments.split()}

        async def run(self) -> Any:
            raise NotImplementedError("a trigger of Airflow's own runs in Airflow's triggerer, not in a bundle")
            yield

        async def cleanup(self) -> None:
            """Runs when the triggerer is done with the trigger."""

        async def on_kill(self) -> None:
            """Runs when a person ends the task that waits."""

        def __repr__(self) -> str:
            path, kwargs = self.serialize()
            return f"<{path} {', '.join(f'{name}={value}' for name, value in kwargs.items())}>"

    class BaseEventTrigger(BaseTrigger):
        """Base of triggers that assets can be watched with."""

        supports_triggerer_queue = False

        def shared_stream_key(self) -> Any:
            return None

    class TriggerEvent(Record):
        """What a trigger fires; the payload goes to the task."""

        payload: Any

        def __repr__(self) -> str:
            return f"TriggerEvent<{self.payload!r}>"

    class BaseTaskEndEvent(TriggerEvent):
        """Ends the task without it running again."""

        task_instance_state: Any = None

        def __init__(self, *, xcoms: dict[str, Any] | None = None, **kwargs: Any) -> None:
            if "payload" in kwargs:
                raise ValueError("Param 'payload' not supported for this class.")
            super().__init__(payload=str(self.task_instance_state), **kwargs)
            self.xcoms = xcoms

    class TaskSuccessEvent(BaseTaskEndEvent):
        task_instance_state = TaskInstanceState.SUCCESS

    class TaskFailedEvent(BaseTaskEndEvent):
        task_instance_state = TaskInstanceState.FAILED

    class TaskSkippedEvent(BaseTaskEndEvent):
        task_instance_state = TaskInstanceState.SKIPPED

    def in_utc(moment: Any) -> Any:
        """Move a moment to UTC: to pendulum's where it is at hand, as the zone is written down by its class as well."""
        try:
            import pendulum
        except ImportError:
            return convert_to_utc(moment)
        return pendulum.instance(moment.astimezone(pendulum.UTC))

    class DateTimeTrigger(BaseTrigger):
        """A moment: `moment`, an aware datetime, or `target_time`, which may be a template."""

        _arguments = "moment end_from_trigger"

        def __init__(self, moment: Any = None, *, target_time: Any = None, end_from_trigger: bool = False) -> None:
            super().__init__()
            if (moment is None) == (target_time is None):
                raise TypeError("DateTimeTrigger requires exactly one of 'moment' or 'target_time'")
            self._moment = None
            if moment is not None:
                if not isinstance(moment, datetime):
                    raise TypeError(f"Expected datetime.datetime type for moment. Got {type(moment)}")
                if moment.tzinfo is None:
                    raise ValueError("You cannot pass naive datetimes")
                self._moment = in_utc(moment)
            self.target_time = target_time
            self.end_from_trigger = end_from_trigger

        @property
        def moment(self) -> Any:
            if self._moment is None:
                target = self.target_time
                text = target.isoformat() if isinstance(target, datetime) else target
                if not isinstance(text, str) or not text:
                    raise TypeError("DateTimeTrigger has neither a 'moment' nor a usable 'target_time'")
                self._moment = in_utc(parse_datetime(text))
            return self._moment

        def serialize(self) -> tuple[str, dict[str, Any]]:
            path = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
            when = {"target_time": self.target_time} if self._moment is None else {"moment": self._moment}
            return path, {**when, "end_from_trigger": self.end_from_trigger}

    class TimeDeltaTrigger(DateTimeTrigger):
        """A moment that lies `delta` ahead."""

        def __init__(self, delta: Any, *, end_from_trigger: bool = False) -> None:
            super().__init__(utcnow() + delta, end_from_trigger=end_from_trigger)

    class FileTrigger(BaseTrigger):
        """A file, or a folder with a file in it; `filepath` may be a pattern."""

        _arguments = "filepath recursive poke_interval"

        def __init__(self, filepath: str, recursive: bool = False, poke_interval: float = 5.0, **kwargs: Any) -> None:
            super().__init__()
            self.filepath = filepath
            self.recursive = recursive
            self.poke_interval = poke_interval

    class FileDeleteTrigger(BaseEventTrigger):
        """A file, which is deleted when it is found."""

        _arguments = "filepath poke_interval"

        def __init__(self, filepath: str, poke_interval: float = 5.0, **kwargs: Any) -> None:
            super().__init__()
            self.filepath = filepath
            self.poke_interval = poke_interval

    class DirectoryFileDeleteTrigger(BaseEventTrigger):
        """A file in a folder that several triggers share."""

        _arguments = "directory filename poke_interval"

        def __init__(self, *, directory: str, filename: str, poke_interval: float = 5.0) -> None:
            super().__init__()
            self.directory = directory
            self.filename = filename
            self.poke_interval = poke_interval

        def shared_stream_key(self) -> Any:
            return ("directory-scan", os.path.realpath(self.directory), self.poke_interval)

    class WorkflowTrigger(BaseTrigger):
        """The states of tasks, a group or runs of another Dag."""

        _arguments = (
            "external_dag_id external_task_ids external_task_group_id failed_states skipped_states allowed_states "
            "poke_interval soft_fail run_ids logical_dates"
        )

        def __init__(
            self,
            external_dag_id: str,
            run_ids: list[str] | None = None,
            execution_dates: list[Any] | None = None,
            logical_dates: list[Any] | None = None,
            external_task_ids: Collection[str] | None = None,
            external_task_group_id: str | None = None,
            failed_states: Collection[str] | None = None,
            skipped_states: Collection[str] | None = None,
            allowed_states: Collection[str] | None = None,
            poke_interval: float = 2.0,
            soft_fail: bool = False,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.external_dag_id = external_dag_id
            self.external_task_ids = external_task_ids
            self.external_task_group_id = external_task_group_id
            self.failed_states = failed_states
            self.skipped_states = skipped_states
            self.allowed_states = allowed_states
            self.run_ids = run_ids
            self.poke_interval = poke_interval
            self.soft_fail = soft_fail
            self.execution_dates = execution_dates
            self.logical_dates = logical_dates

    class DagStateTrigger(BaseTrigger):
        """The state of runs of a Dag."""

        _arguments = "dag_id states poll_interval run_ids execution_dates"

        def __init__(
            self,
            dag_id: str,
            states: list[Any],
            run_ids: list[str] | None = None,
            execution_dates: list[Any] | None = None,
            poll_interval: float = 5.0,
        ) -> None:
            super().__init__()
            self.dag_id = dag_id
            self.states = states
            self.run_ids = run_ids
            self.execution_dates = execution_dates
            self.poll_interval = poll_interval

    class HITLTrigger(BaseTrigger):
        """The answer of a person. Airflow 3.3 waits for it without a trigger."""

        def __init__(
            self,
            *,
            ti_id: Any,
            options: list[str],
            params: dict[str, Any],
            defaults: list[str] | None = None,
            multiple: bool = False,
            timeout_datetime: Any,
            poke_interval: float = 5.0,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.ti_id = ti_id
            self.options = options
            self.params = ParamsDict(params)
            self.defaults = defaults
            self.multiple = multiple
            self.timeout_datetime = timeout_datetime
            self.poke_interval = poke_interval

        def serialize(self) -> tuple[str, dict[str, Any]]:
            names = ("ti_id", "options", "defaults", "multiple", "timeout_datetime", "poke_interval")
            kwargs = {name: getattr(self, name) for name in names}
            kwargs["params"] = {name: param.serialize() for name, param in self.params.items()}
            return "airflow.providers.standard.triggers.hitl.HITLTrigger", kwargs

    return locals()


# --- hooks of the standard provider -----------------------------------------------------------------------------------


@family(
    {
        "airflow.providers.standard.hooks.filesystem": "FSHook",
        "airflow.providers.standard.hooks.subprocess": "SubprocessHook SubprocessResult working_directory",
    }
)
def _standard_hooks() -> dict[str, Any]:
    class FSHook(BaseHook):
        """A folder that a connection names, in its extra field `path`."""

        conn_name_attr = "fs_conn_id"
        default_conn_name = "fs_default"
        conn_type = "fs"
        hook_name = "File (path)"

        def __init__(self, fs_conn_id: str = "fs_default", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conn = self.get_connection(fs_conn_id)
            self.basepath = self.conn.extra_dejson.get("path", "")

        def get_conn(self) -> None:
            pass

        def get_path(self) -> str:
            return self.basepath

        def test_connection(self) -> tuple[bool, str]:
            if not self.basepath:
                return False, "File Path is undefined."
            found = os.path.exists(self.basepath)
            return found, f"Path {self.basepath} {'is existing' if found else 'does not exist'}."

    class SubprocessResult(Record):
        exit_code: int
        output: str

        def __iter__(self) -> Iterator[Any]:
            return iter(self._values())

    def working_directory(cwd: str | None = None) -> Any:
        """Make a context manager for a folder: the given one, or one that is removed afterwards."""
        import contextlib
        import tempfile

        return contextlib.nullcontext(cwd) if cwd else tempfile.TemporaryDirectory(prefix="airflowtmp")

    class SubprocessHook(BaseHook):
        """Runs a command and writes what it prints to the task log."""

        def __init__(self, **kwargs: Any) -> None:
            self.sub_process: Any = None
            super().__init__(**kwargs)

        def run_command(
            self,
            command: list[str],
            env: dict[str, str] | None = None,
            output_encoding: str = "utf-8",
            cwd: str | None = None,
        ) -> Any:
            """Return the exit code and the last line of output; `env` replaces the environment."""
            import subprocess

            with working_directory(cwd) as folder:
                self.log.info("Running command: %s", command)
                self.sub_process = process = subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=os.environ if env is None else env,
                    start_new_session=True,
                )
                self.log.info("Output:")
                line = ""
                for raw in process.stdout or ():
                    line = raw.decode(output_encoding, errors="backslashreplace").rstrip()
                    self.log.info("%s", line)
                process.wait()
                self.log.info("Command exited with return code %s", process.returncode)
            return SubprocessResult(process.returncode, line)

        def send_sigterm(self) -> None:
            if self.sub_process is not None:
                import signal

                os.killpg(os.getpgid(self.sub_process.pid), signal.SIGTERM)

    return locals()


# --- operators of the standard provider -------------------------------------------------------------------------------


def _default_deferrable() -> bool:
    return airflow_name("conf").getboolean("operators", "default_deferrable", fallback=False)


def _dag_zone(declared: DAG) -> Any:
    """Return the time zone of a Dag as a tzinfo."""
    if declared.timezone is not None:
        return declared.timezone
    from datetime import timezone

    return timezone.utc


@family(
    {
        "airflow.providers.standard.operators.python": (
            "BranchExternalPythonOperator BranchPythonVirtualenvOperator ExternalPythonOperator "
            "PythonVirtualenvOperator _BasePythonVirtualenvOperator"
        ),
        "airflow.providers.standard.decorators.python_virtualenv": "_PythonVirtualenvDecoratedOperator",
        "airflow.providers.standard.decorators.external_python": "_PythonExternalDecoratedOperator",
        "airflow.providers.standard.decorators.branch_virtualenv": "_BranchPythonVirtualenvDecoratedOperator",
        "airflow.providers.standard.decorators.branch_external_python": "_BranchExternalPythonDecoratedOperator",
    }
)
def _isolated_python() -> dict[str, Any]:
    class _BasePythonVirtualenvOperator(PythonOperator):
        """A function for another Python. It can be declared; a bundle isolates its dependencies by itself."""

        def __init__(
            self,
            *,
            python_callable: Callable[..., Any],
            serializer: str | None = None,
            op_args: Collection[Any] | None = None,
            op_kwargs: Mapping[str, Any] | None = None,
            string_args: Iterable[str] | None = None,
            templates_dict: dict[str, Any] | None = None,
            templates_exts: list[str] | None = None,
            expect_airflow: bool = True,
            skip_on_exit_code: Any = None,
            env_vars: dict[str, str] | None = None,
            inherit_env: bool = True,
            **kwargs: Any,
        ) -> None:
            code = getattr(python_callable, "__code__", None)
            if code is None or python_callable.__name__ == "<lambda>":
                raise ValueError(f"{type(self).__name__} only supports functions for python_callable arg")
            if code.co_flags & 0x20:
                raise ValueError(f"{type(self).__name__} does not support using 'yield' in python_callable")
            super().__init__(
                python_callable=python_callable,
                op_args=op_args,
                op_kwargs=op_kwargs,
                templates_dict=templates_dict,
                templates_exts=templates_exts,
                **kwargs,
            )
            self.string_args = string_args or []
            if serializer not in (None, "pickle", "cloudpickle", "dill"):
                raise AirflowException(
                    f"Unsupported serializer {serializer!r}. Expected one of 'pickle', 'cloudpickle', 'dill'"
                )
            self.serializer = serializer or "pickle"
            self.expect_airflow = expect_airflow
            codes: Any = skip_on_exit_code
            self.skip_on_exit_code = codes if hasattr(codes, "__contains__") else [] if codes is None else [codes]
            self.env_vars = env_vars
            self.inherit_env = inherit_env

        def execute(self, context: Any) -> Any:
            raise AirflowFailException(
                f"task {self.task_id!r} ({self.operator_name}) asks for a Python of its own, which a bundle does not "
                "make: declare what the function needs as dependencies of the Dag file and use @task, or give the "
                f"task the queue of an ordinary worker (it came here by queue {self.queue!r})"
            )

    def as_list(value: Any) -> Any:
        return [value] if isinstance(value, str) else None if value is None else list(value)

    class PythonVirtualenvOperator(_BasePythonVirtualenvOperator):
        """A function for a virtual environment that is made for it."""

        template_fields: Any = tuple(
            {"requirements", "index_urls", "index_urls_from_connection_ids", "venv_cache_path"}.union(
                PythonOperator.template_fields
            )
        )
        template_ext = (".txt",)

        def __init__(
            self,
            *,
            python_callable: Callable[..., Any],
            requirements: Any = None,
            python_version: str | None = None,
            serializer: str | None = None,
            system_site_packages: bool = True,
            pip_install_options: list[str] | None = None,
            op_args: Collection[Any] | None = None,
            op_kwargs: Mapping[str, Any] | None = None,
            string_args: Iterable[str] | None = None,
            templates_dict: dict[str, Any] | None = None,
            templates_exts: list[str] | None = None,
            expect_airflow: bool = True,
            skip_on_exit_code: Any = None,
            index_urls: Any = None,
            index_urls_from_connection_ids: Any = None,
            venv_cache_path: Any = None,
            env_vars: dict[str, str] | None = None,
            inherit_env: bool = True,
            **kwargs: Any,
        ) -> None:
            if python_version is not None and not isinstance(python_version, str):
                raise AirflowException("Passing non-string types (e.g. int or float) as python_version not supported")
            self.requirements = as_list(requirements or ())
            self.python_version = python_version
            self.system_site_packages = system_site_packages
            self.pip_install_options = pip_install_options
            self.index_urls = as_list(index_urls)
            self.index_urls_from_connection_ids = as_list(index_urls_from_connection_ids)
            self.venv_cache_path = venv_cache_path
            super().__init__(
                python_callable=python_callable,
                serializer=serializer,
                op_args=op_args,
                op_kwargs=op_kwargs,
                string_args=string_args,
                templates_dict=templates_dict,
                templates_exts=templates_exts,
                expect_airflow=expect_airflow,
                skip_on_exit_code=skip_on_exit_code,
                env_vars=env_vars,
                inherit_env=inherit_env,
                **kwargs,
            )

    class ExternalPythonOperator(_BasePythonVirtualenvOperator):
        """A function for the Python of an environment that is there already."""

        template_fields: Any = tuple({"python"}.union(PythonOperator.template_fields))

        def __init__(
            self,
            *,
            python: str,
            python_callable: Callable[..., Any],
            serializer: str | None = None,
            op_args: Collection[Any] | None = None,
            op_kwargs: Mapping[str, Any] | None = None,
            string_args: Iterable[str] | None = None,
            templates_dict: dict[str, Any] | None = None,
            templates_exts: list[str] | None = None,
            expect_airflow: bool = True,
            expect_pendulum: bool = False,
            skip_on_exit_code: Any = None,
            env_vars: dict[str, str] | None = None,
            inherit_env: bool = True,
            **kwargs: Any,
        ) -> None:
            if not python:
                raise ValueError("Python Path must be defined in ExternalPythonOperator")
            self.python = python
            self.expect_pendulum = expect_pendulum
            super().__init__(
                python_callable=python_callable,
                serializer=serializer,
                op_args=op_args,
                op_kwargs=op_kwargs,
                string_args=string_args,
                templates_dict=templates_dict,
                templates_exts=templates_exts,
                expect_airflow=expect_airflow,
                skip_on_exit_code=skip_on_exit_code,
                env_vars=env_vars,
                inherit_env=inherit_env,
                **kwargs,
            )

    class BranchPythonVirtualenvOperator(BaseBranchOperator, PythonVirtualenvOperator):
        execute = _BasePythonVirtualenvOperator.execute

    class BranchExternalPythonOperator(BaseBranchOperator, ExternalPythonOperator):
        execute = _BasePythonVirtualenvOperator.execute

    class _PythonVirtualenvDecoratedOperator(_PythonDecoratedOperator, PythonVirtualenvOperator):
        template_fields: Any = PythonVirtualenvOperator.template_fields
        custom_operator_name = "@task.virtualenv"

    class _PythonExternalDecoratedOperator(_PythonDecoratedOperator, ExternalPythonOperator):
        template_fields: Any = ExternalPythonOperator.template_fields
        custom_operator_name = "@task.external_python"

    class _BranchPythonVirtualenvDecoratedOperator(_PythonDecoratedOperator, BranchPythonVirtualenvOperator):
        _can_skip_downstream = True
        template_fields: Any = BranchPythonVirtualenvOperator.template_fields
        custom_operator_name = "@task.branch_virtualenv"

    class _BranchExternalPythonDecoratedOperator(_PythonDecoratedOperator, BranchExternalPythonOperator):
        _can_skip_downstream = True
        template_fields: Any = BranchExternalPythonOperator.template_fields
        custom_operator_name = "@task.branch_external_python"

    return locals()


def foreign_task_decorator(name: str) -> Any:
    """Make the operator class of `@task.<name>` of a provider that is not frozen in."""

    class ForeignDecoratedOperator(DecoratedOperator):
        custom_operator_name = f"@task.{name}"
        _is_placeholder = True
        _stands_for = f"@task.{name}"

        def _init_base(self, **kwargs: Any) -> None:
            known = _OPERATOR_ARGUMENTS | _PLACING_ARGUMENTS
            rest = {key: value for key, value in kwargs.items() if key in known or key.startswith("_")}
            super(DecoratedOperator, self).__init__(**rest)

        def execute(self, context: Any) -> Any:
            raise AirflowFailException(
                f"task {self.task_id!r} is a @task.{name}, whose provider is not in this bundle, and queue "
                f"{self.queue!r} brought it here: give it the queue of a worker that has the provider installed"
            )

    return ForeignDecoratedOperator


@family(
    {
        "airflow.providers.standard.operators.latest_only": "LatestOnlyOperator",
        "airflow.providers.standard.operators.datetime": "BranchDateTimeOperator target_times_as_dates",
        "airflow.providers.standard.operators.weekday": "BranchDayOfWeekOperator",
        "airflow.providers.standard.operators.smooth": "SmoothOperator",
        "airflow.providers.standard.utils.weekday": "WeekDay",
    }
)
def _time_operators() -> dict[str, Any]:
    import enum
    from datetime import datetime as plain_datetime
    from datetime import time as plain_time

    class WeekDay(enum.IntEnum):
        """The days of the week by their ISO numbers."""

        MONDAY = 1
        TUESDAY = 2
        WEDNESDAY = 3
        THURSDAY = 4
        FRIDAY = 5
        SATURDAY = 6
        SUNDAY = 7

        @classmethod
        def get_weekday_number(cls, week_day_str: str) -> Any:
            if week_day_str.upper() not in cls.__members__:
                raise AttributeError(f'Invalid Week Day passed: "{week_day_str}"')
            return cls[week_day_str.upper()]

        @classmethod
        def convert(cls, day: Any) -> Any:
            return day if isinstance(day, WeekDay) else cls.get_weekday_number(day)

        @classmethod
        def validate_week_day(cls, week_day: Any) -> set[int]:
            """Return the numbers of one day or several, given by name or as `WeekDay`."""
            if isinstance(week_day, (str, WeekDay)):
                week_day = {week_day}
            if not hasattr(week_day, "__iter__"):
                raise TypeError(
                    f"Unsupported Type for week_day parameter: {type(week_day)}."
                    "Input should be iterable type:str, set, list, dict or Weekday enum type"
                )
            return {cls.convert(each) for each in week_day}

    class BranchDayOfWeekOperator(BaseBranchOperator):
        """Follows one branch on some days of the week, another on the rest."""

        def __init__(
            self,
            *,
            follow_task_ids_if_true: Any,
            follow_task_ids_if_false: Any,
            week_day: Any,
            use_task_logical_date: bool = False,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.follow_task_ids_if_true = follow_task_ids_if_true
            self.follow_task_ids_if_false = follow_task_ids_if_false
            self.week_day = week_day
            self.use_task_logical_date = use_task_logical_date
            self._week_day_num = WeekDay.validate_week_day(week_day)

        def choose_branch(self, context: Any) -> Any:
            if self.use_task_logical_date:
                now = context.get("logical_date") or context["dag_run"].run_after
            else:
                now = utcnow().astimezone(_dag_zone(self.dag))
            if now.isoweekday() in self._week_day_num:
                return self.follow_task_ids_if_true
            return self.follow_task_ids_if_false

    def target_times_as_dates(base_date: Any, lower: Any, upper: Any) -> tuple[Any, Any]:
        """Make datetimes of times of day, on the day of `base_date`; the upper one comes after the lower one."""
        if isinstance(lower, plain_datetime) and isinstance(upper, plain_datetime):
            return lower, upper
        if isinstance(lower, plain_time):
            lower = plain_datetime.combine(base_date, lower)
        if isinstance(upper, plain_time):
            upper = plain_datetime.combine(base_date, upper)
        if lower is not None and upper is not None and upper < lower:
            upper += _as_timedelta(86400)
        return lower, upper

    class BranchDateTimeOperator(BaseBranchOperator):
        """Follows one branch between two times, another outside of them."""

        def __init__(
            self,
            *,
            follow_task_ids_if_true: Any,
            follow_task_ids_if_false: Any,
            target_lower: Any,
            target_upper: Any,
            use_task_logical_date: bool = False,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            if target_lower is None and target_upper is None:
                raise AirflowException(
                    "Both target_upper and target_lower are None. At least one "
                    "must be defined to be compared to the current datetime"
                )
            self.target_lower = target_lower
            self.target_upper = target_upper
            self.follow_task_ids_if_true = follow_task_ids_if_true
            self.follow_task_ids_if_false = follow_task_ids_if_false
            self.use_task_logical_date = use_task_logical_date

        def choose_branch(self, context: Any) -> Any:
            now = utcnow()
            if self.use_task_logical_date:
                now = context.get("logical_date") or context["dag_run"].run_after
            bounds = target_times_as_dates(now, self.target_lower, self.target_upper)
            zone = _dag_zone(self.dag)
            lower, upper = (
                each.replace(tzinfo=zone) if each is not None and each.tzinfo is None else each for each in bounds
            )
            if (upper is not None and upper < now) or (lower is not None and lower > now):
                return self.follow_task_ids_if_false
            return self.follow_task_ids_if_true

    class LatestOnlyOperator(BaseBranchOperator):
        """Lets what comes after it run only in the latest scheduled run."""

        ui_color = "#e9ffdb"

        def choose_branch(self, context: Any) -> Any:
            run = context["dag_run"]
            after = list(self.get_direct_relative_ids(upstream=False))
            if run.run_type == "manual":
                self.log.info("Manually triggered DAG_Run: allowing execution to proceed.")
                return after
            date = run.logical_date or run.run_after
            start, end = run.data_interval_start or date, run.data_interval_end or date
            following = next_run_after(self.dag.timetable, start, end)
            if following is None:
                self.log.info("Last scheduled execution: allowing execution to proceed.")
                return after
            now = utcnow()
            self.log.info("Checking latest only with left_window: %s right_window: %s now: %s", start, following, now)
            if not start < now <= following:
                self.log.info("Not latest execution, skipping downstream.")
                return []
            self.log.info("Latest, allowing execution to proceed.")
            return after

    class SmoothOperator(BaseOperator):
        """Logs where to listen to a song."""

        ui_color = "#e8f7e4"
        yt_link: str = "https://www.youtube.com/watch?v=4TYv2PhG89A"

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

        def execute(self, context: Any) -> None:
            self.log.info("Enjoy Sade - Smooth Operator: %s", self.yt_link)

    return locals()


def next_run_after(timetable: Any, start: datetime, end: datetime) -> Any:
    """Return when the data interval ends that follows the one from `start` to `end`; None when none follows."""
    if isinstance(timetable, AssetOrTimeSchedule):
        timetable = timetable.timetable
    if isinstance(timetable, _DeltaTimetable):
        return end + timetable.delta
    if isinstance(timetable, _CronTimetable):
        return cron_next(timetable.expression, end, timetable.timezone)
    if isinstance(timetable, MultipleCronTriggerTimetable):
        return min(cron_next(each.expression, end, each.timezone) for each in timetable.timetables)
    if isinstance(timetable, EventsTimetable):
        moments: list[Any] = [convert_to_utc(each) for each in timetable.event_dates]
        return min((each for each in moments if each > end), default=None)
    if isinstance(timetable, ContinuousTimetable):
        return max(end, utcnow())
    if hasattr(timetable, "next_dagrun_info"):
        interval = airflow_name("DataInterval")(start, end)
        restriction = airflow_name("TimeRestriction")(earliest=end, latest=None, catchup=True)
        info = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        return info and info.data_interval.end
    return None


_CRON_NAMES = {
    name: str(number)
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, name in enumerate(names.split(), first)
}


def _cron_field(text: str, low: int, high: int, expression: str) -> set[int]:
    found: set[int] = set()
    for item in text.lower().split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        first, last = _CRON_NAMES.get(first, first), _CRON_NAMES.get(last, last)
        if first in ("*", "?"):
            first, last = str(low), str(high)
        elif not dash:
            last = str(high) if slash else first
        if not (first.isdigit() and last.isdigit() and (step.isdigit() or not slash)):
            raise BundleError(
                f"cannot work out the next run of cron expression {expression!r} in a bundle, which knows lists, "
                "ranges, steps and names: give the task the queue of an ordinary worker"
            )
        found.update(range(int(first), int(last) + 1, int(step or 1)))
    return found


def cron_next(expression: str, after: datetime, zone: Any) -> datetime:
    """Return the first moment after `after` that a cron expression of five fields names, in a time zone, as UTC.

    :raises BundleError: for what is not plain cron, such as `L` or `#`.
    """
    from datetime import timedelta

    fields = expression.split()
    if len(fields) != 5:
        _cron_field("#", 0, 0, expression)
    spans = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    minutes, hours, days, months, weekdays = (
        _cron_field(text, low, high, expression) for text, (low, high) in zip(fields, spans)
    )
    weekdays = {number % 7 for number in weekdays}
    # Cron takes either day when both are restricted.
    either = fields[2] not in ("*", "?") and fields[4] not in ("*", "?")
    if isinstance(zone, str):
        zone = airflow_name("timezone_parse_timezone")(zone)
    at = after.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(366 * 9):
        on_day, on_weekday = at.day in days, at.isoweekday() % 7 in weekdays
        if at.month in months and ((on_day or on_weekday) if either else (on_day and on_weekday)):
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    if (hour, minute) >= (at.hour, at.minute):
                        found = at.replace(hour=hour, minute=minute, tzinfo=zone)
                        if found > after:
                            return convert_to_utc(found)  # type: ignore[return-value]
        at = at.replace(hour=0, minute=0) + timedelta(days=1)
    raise BundleError(f"cron expression {expression!r} names no day in nine years: correct the schedule")


@family(
    {
        "airflow.providers.standard.operators.trigger_dagrun": "DagIsPaused TriggerDagRunLink TriggerDagRunOperator",
    }
)
def _trigger_dagrun() -> dict[str, Any]:
    class DagIsPaused(AirflowException):
        """The Dag to trigger is paused."""

        def __init__(self, dag_id: str) -> None:
            super().__init__(dag_id)
            self.dag_id = dag_id

        def __str__(self) -> str:
            return f"Dag {self.dag_id} is paused"

    class TriggerDagRunLink(airflow_name("BaseOperatorLink")):  # type: ignore[misc]
        """Leads to the run that was triggered."""

        name = "Triggered DAG"

        def get_link(self, operator: Any, *, ti_key: Any) -> str:
            run_id = XCom.get_one(
                key="trigger_run_id",
                dag_id=ti_key.dag_id,
                task_id=ti_key.task_id,
                run_id=ti_key.run_id,
                map_index=ti_key.map_index,
            )
            return airflow_name("build_airflow_dagrun_url")(dag_id=operator.trigger_dag_id, run_id=run_id)

    def check(name: str, value: Any) -> Any:
        if is_arg_set(value) and value is not None and not isinstance(value, str) and not hasattr(value, "isoformat"):
            raise TypeError(
                f"Expected str, datetime.datetime, or None for parameter '{name}'. Got {type(value).__name__}"
            )
        return value

    def parsed(value: Any) -> Any:
        return parse_datetime(value) if isinstance(value, str) else value

    class TriggerDagRunOperator(BaseOperator):
        """Triggers a run of another Dag and, if asked to, waits for it."""

        template_fields = (
            "trigger_dag_id",
            "trigger_run_id",
            "logical_date",
            "conf",
            "wait_for_completion",
            "skip_when_already_exists",
        )
        template_fields_renderers = {"conf": "py"}
        ui_color = "#ffefeb"
        operator_extra_links = [TriggerDagRunLink()]

        def __init__(
            self,
            *,
            trigger_dag_id: str,
            trigger_run_id: str | None = None,
            conf: dict[str, Any] | None = None,
            logical_date: Any = NOTSET,
            run_after: Any = NOTSET,
            reset_dag_run: bool = False,
            wait_for_completion: bool = False,
            poke_interval: int = 60,
            allowed_states: list[Any] | None = None,
            failed_states: list[Any] | None = None,
            skip_when_already_exists: bool = False,
            fail_when_dag_is_paused: bool = False,
            note: str | None = None,
            deferrable: bool = _default_deferrable(),
            openlineage_inject_parent_info: bool = True,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.trigger_dag_id = trigger_dag_id
            self.trigger_run_id = trigger_run_id
            self.conf = conf
            self.reset_dag_run = reset_dag_run
            self.wait_for_completion = wait_for_completion
            self.poke_interval = poke_interval
            self.allowed_states = [DagRunState(state) for state in allowed_states or ["success"]]
            self.failed_states = [DagRunState(s) for s in (["failed"] if failed_states is None else failed_states)]
            self.skip_when_already_exists = skip_when_already_exists
            self.fail_when_dag_is_paused = fail_when_dag_is_paused
            self.note = note
            self.deferrable = deferrable
            self.openlineage_inject_parent_info = openlineage_inject_parent_info
            self.logical_date = logical_date
            self.run_after = check("run_after", run_after)

        def execute(self, context: Any) -> None:
            import json

            check("logical_date", self.logical_date)
            if is_arg_set(self.logical_date):
                logical_date = parsed(self.logical_date)
            else:
                logical_date = None if is_arg_set(self.run_after) else utcnow()
            run_after = parsed(self.run_after) if is_arg_set(self.run_after) else logical_date
            try:
                if self.conf and isinstance(self.conf, str):
                    self.conf = json.loads(self.conf)
                json.dumps(self.conf)
            except (TypeError, ValueError):
                raise ValueError(f"conf parameter should be JSON Serializable: {self.conf}") from None
            if self.trigger_run_id:
                run_id = str(self.trigger_run_id)
            else:
                run_id = f"manual__{(run_after or utcnow()).isoformat()}"
                if not logical_date:
                    run_id += "_" + airflow_name("get_random_string")()
            self.trigger_run_id = run_id
            ti = context["ti"]
            if self.fail_when_dag_is_paused and ti.get_dag(self.trigger_dag_id).is_paused:
                raise DagIsPaused(self.trigger_dag_id)
            url = airflow_name("build_airflow_dagrun_url")(dag_id=self.trigger_dag_id, run_id=run_id)
            ti.xcom_push(key=TriggerDagRunLink().xcom_key, value=url)
            optional: dict[str, Any] = {"note": self.note} if self.note else {}
            if is_arg_set(self.run_after) and run_after:
                optional["run_after"] = run_after
            raise DagRunTriggerException(
                trigger_dag_id=self.trigger_dag_id,
                dag_run_id=run_id,
                conf=self.conf,
                logical_date=logical_date,
                reset_dag_run=self.reset_dag_run,
                skip_when_already_exists=self.skip_when_already_exists,
                wait_for_completion=self.wait_for_completion,
                allowed_states=self.allowed_states,
                failed_states=self.failed_states,
                poke_interval=self.poke_interval,
                deferrable=self.deferrable,
                **optional,
            )

        def execute_complete(self, context: Any, event: tuple[str, dict[str, Any]]) -> None:
            _, data = event
            run_ids = data["run_ids"]
            self.trigger_run_id = run_ids[0] if len(run_ids) == 1 else None
            failed = [run_id for run_id in run_ids if data.get(run_id) in self.failed_states]
            for run_id in run_ids:
                state = data.get(run_id)
                if run_id not in failed and state in self.allowed_states:
                    self.log.info("%s finished with allowed state %s for run_id %s", self.trigger_dag_id, state, run_id)
            if failed:
                raise AirflowException(
                    f"{self.trigger_dag_id} failed with failed states {self.failed_states} for run_ids {failed}"
                )

    return locals()


@family(
    {
        "airflow.providers.standard.operators.hitl": (
            "ApprovalOperator HITLBranchOperator HITLEntryOperator HITLOperator"
        )
    }
)
def _human_in_the_loop() -> dict[str, Any]:
    class HITLOperator(BaseOperator):
        """Asks a person to choose among options and to fill in params, and waits for the answer."""

        template_fields: Collection[str] = ("subject", "body")

        def __init__(
            self,
            *,
            subject: str,
            options: list[str],
            body: str | None = None,
            defaults: str | list[str] | None = None,
            multiple: bool = False,
            params: Any = None,
            notifiers: Any = None,
            assigned_users: Any = None,
            response_timeout: Any = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(params=params, **kwargs)
            if self.execution_timeout and not response_timeout:
                _warn(
                    "Passing `execution_timeout` to HITLOperator to control the human response wait is deprecated. "
                    "Use `response_timeout` instead. `execution_timeout` will be cleared to prevent it from killing "
                    "the task before defer() is reached.",
                    airflow_name("AirflowProviderDeprecationWarning"),
                )
                response_timeout, self.execution_timeout = self.execution_timeout, None
            self.response_timeout = response_timeout
            self.subject = subject
            self.body = body
            self.options = options
            self.defaults = [defaults] if isinstance(defaults, str) else defaults
            self.multiple = multiple
            # The params of the Dag are no fields of the form.
            own = ParamsDict()
            own.update((name, param) for name, param in self.params.items() if param.source == "task")
            self.params = own
            self.notifiers = [notifiers] if isinstance(notifiers, airflow_name("BaseNotifier")) else notifiers or []
            self.assigned_users = [assigned_users] if isinstance(assigned_users, dict) else assigned_users
            self.validate_options()
            self.validate_params()
            self.validate_defaults()
            self.hitl_summary_extra: dict[str, Any] = {}

        @property
        def hitl_summary(self) -> dict[str, Any]:
            names = ("subject", "body", "options", "defaults", "multiple", "assigned_users")
            summary = {name: getattr(self, name) for name in names}
            return {**summary, "serialized_params": self.serialized_params or None, **self.hitl_summary_extra}

        def validate_options(self) -> None:
            if not self.options:
                raise ValueError('"options" cannot be empty.')

        def validate_params(self) -> None:
            if "_options" in self.params:
                raise ValueError('"_options" is not allowed in params')

        def validate_defaults(self) -> None:
            if self.defaults is None:
                return
            if not set(self.defaults).issubset(self.options):
                raise ValueError(f'defaults "{self.defaults}" should be a subset of options "{self.options}"')
            if self.multiple is False and len(self.defaults) > 1:
                raise ValueError('More than one defaults given when "multiple" is set to False.')

        @property
        def serialized_params(self) -> dict[str, dict[str, Any]]:
            return {name: param.serialize() for name, param in self.params.items()}

        def execute(self, context: Any) -> Any:
            ask_or_raise(
                CreateHITLDetailPayload(
                    ti_id=context["ti"].id,
                    options=self.options,
                    subject=self.subject,
                    body=self.body,
                    defaults=self.defaults,
                    multiple=self.multiple,
                    params=self.serialized_params,
                    assigned_users=[HITLUser(id=user["id"], name=user["name"]) for user in self.assigned_users or ()],
                )
            )
            until = utcnow() + self.response_timeout if self.response_timeout else None
            self.hitl_summary_extra["timeout_datetime"] = until and until.isoformat()
            self.log.info("Waiting for response")
            for notifier in self.notifiers:
                notifier(context)
            raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)

        def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
            """Check the answer and make it the result of the task."""
            if "error" in event:
                self.hitl_summary_extra["error_type"] = event["error_type"]
                self.process_trigger_event_error(event)
            answer = {
                "chosen_options": event["chosen_options"],
                "params_input": event["params_input"] or {},
                "responded_at": event["responded_at"],
                "responded_by_user": event["responded_by_user"],
            }
            self.validate_chosen_options(answer["chosen_options"])
            self.validate_params_input(answer["params_input"])
            self.hitl_summary_extra.update(answer, responded_at=answer["responded_at"].isoformat())
            return answer

        def process_trigger_event_error(self, event: dict[str, Any]) -> None:
            name = "HITLTimeoutError" if event["error_type"] == "timeout" else "HITLTriggerEventError"
            raise airflow_name(name)(event)

        def validate_chosen_options(self, chosen_options: list[str]) -> None:
            if diff := set(chosen_options) - set(self.options):
                raise ValueError(f"Responses {diff} not in {self.options}")

        def validate_params_input(self, params_input: Mapping[str, Any]) -> None:
            if self.params and params_input and set(self.params) ^ set(params_input):
                raise ValueError(f"params_input {params_input} does not match params {self.params}")
            for name, value in params_input.items():
                self.params[name] = value

        def generate_link_to_ui(
            self, *, task_instance: Any, base_url: str | None = None, options: Any = None, params_input: Any = None
        ) -> str:
            """Return the address where the person answers, with options and params filled in."""
            from urllib.parse import urlencode, urlsplit

            query: dict[str, Any] = {}
            options = [options] if isinstance(options, str) else options
            if options:
                if diff := set(options) - set(self.options):
                    raise ValueError(f"options {diff} are not valid options")
                query["_options"] = options
            if params_input:
                if diff := set(params_input) - set(self.params):
                    raise ValueError(f"params {diff} are not valid params")
                query.update(params_input)
            base_url = base_url or airflow_name("conf").get("api", "base_url", fallback=None)
            if not base_url:
                raise ValueError("Not able to retrieve base_url")
            ti = task_instance
            query["map_index"] = ti.map_index
            base = urlsplit(base_url)
            path = f"/dags/{ti.dag_id}/runs/{ti.run_id}/tasks/{ti.task_id}/required_actions"
            return f"{base.scheme}://{base.netloc}{path}?{urlencode(query)}"

        @staticmethod
        def generate_link_to_ui_from_context(
            *, context: Any, base_url: str | None = None, options: Any = None, params_input: Any = None
        ) -> str:
            task = context["task"]
            if not isinstance(task, HITLOperator):
                raise ValueError("This method only supports HITLOperator")
            return task.generate_link_to_ui(
                task_instance=context["ti"], base_url=base_url, options=options, params_input=params_input
            )

    class ApprovalOperator(HITLOperator, SkipMixin):
        """Asks a person to approve or reject; what comes after is skipped when it is rejected."""

        _can_skip_downstream = True
        FIXED_ARGS = ["options", "multiple"]
        APPROVE = "Approve"
        REJECT = "Reject"

        def __init__(
            self, *, ignore_downstream_trigger_rules: bool = False, fail_on_reject: bool = False, **kwargs: Any
        ) -> None:
            for name in self.FIXED_ARGS:
                if name in kwargs:
                    raise ValueError(f"Passing {name} to ApprovalOperator is not allowed.")
            self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules
            self.fail_on_reject = fail_on_reject
            super().__init__(options=[self.APPROVE, self.REJECT], multiple=False, **kwargs)
            self.hitl_summary_extra["ignore_downstream_trigger_rules"] = ignore_downstream_trigger_rules
            self.hitl_summary_extra["fail_on_reject"] = fail_on_reject

        def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
            answer = super().execute_complete(context=context, event=event)
            chosen = answer["chosen_options"][0]
            self.hitl_summary_extra["approved"] = chosen == self.APPROVE
            if chosen == self.APPROVE:
                self.log.info("Approved. Proceeding with downstream tasks...")
                return answer
            if self.fail_on_reject and chosen == self.REJECT:
                raise airflow_name("HITLRejectException")('Receive "Reject"')
            if not self.downstream_task_ids:
                self.log.info("No downstream tasks; nothing to do.")
                return answer
            task = context["task"]
            if self.ignore_downstream_trigger_rules is True:
                after = task.get_flat_relatives(upstream=False)
            else:
                after = task.get_direct_relatives(upstream=False)
            self.log.info("Skipping downstream tasks")
            self.skip(ti=context["ti"], tasks=[each for each in after if not each.is_teardown])
            return answer

    class HITLBranchOperator(HITLOperator, BranchMixIn):
        """Asks a person which branches to follow."""

        _can_skip_downstream = True

        def __init__(self, *, options_mapping: dict[str, str] | None = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.options_mapping = options_mapping or {}
            self.validate_options_mapping()
            self.hitl_summary_extra["options_mapping"] = self.options_mapping

        def validate_options_mapping(self) -> None:
            unknown = set(self.options_mapping) - set(self.options)
            if unknown:
                raise ValueError(f"`options_mapping` contains keys that are not in `options`: {sorted(unknown)}")
            wrong = {k: (v, type(v).__name__) for k, v in self.options_mapping.items() if not isinstance(v, str)}
            if wrong:
                raise ValueError(f"`options_mapping` values must be strings (task_ids).\nInvalid entries: {wrong}")

        def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
            answer = super().execute_complete(context=context, event=event)
            chosen = [self.options_mapping.get(option, option) for option in answer["chosen_options"]]
            self.hitl_summary_extra["branches_to_execute"] = chosen
            return self.do_branch(context, chosen)

    class HITLEntryOperator(HITLOperator):
        """Asks a person to fill in a form."""

        OK = "OK"

        def __init__(self, **kwargs: Any) -> None:
            if "options" not in kwargs:
                kwargs["options"] = [self.OK]
                kwargs.setdefault("defaults", [self.OK])
            super().__init__(**kwargs)

    return locals()


# --- sensors of the standard provider ---------------------------------------------------------------------------------


@family(
    {
        "airflow.providers.standard.sensors.time": "TimeSensor TimeSensorAsync",
        "airflow.providers.standard.sensors.time_delta": "TimeDeltaSensor TimeDeltaSensorAsync WaitSensor",
        "airflow.providers.standard.sensors.date_time": "DateTimeSensor DateTimeSensorAsync",
        "airflow.providers.standard.sensors.weekday": "DayOfWeekSensor",
        "airflow.providers.standard.sensors.bash": "BashSensor",
        "airflow.providers.standard.sensors.filesystem": "FileSensor",
    }
)
def _standard_sensors() -> dict[str, Any]:
    from datetime import datetime

    StartTriggerArgs = airflow_name("StartTriggerArgs")
    DateTimeTrigger = airflow_name("DateTimeTrigger")
    TimeDeltaTrigger = airflow_name("TimeDeltaTrigger")
    FileTrigger = airflow_name("FileTrigger")
    at_a_moment = StartTriggerArgs(
        "airflow.providers.standard.triggers.temporal.DateTimeTrigger",
        "execute_complete",
        {"moment": "", "end_from_trigger": False},
    )

    def deprecated(name: str, instead: str) -> None:
        _warn(
            f"{name} is deprecated and will be removed in a future version. "
            f"Use `{instead}` with `deferrable=True` instead.",
            airflow_name("AirflowProviderDeprecationWarning"),
        )

    class _Resuming(BaseSensorOperator):
        """A sensor with nothing left to do when its trigger has fired."""

        def execute_complete(self, context: Any, event: Any = None) -> None:
            return None

    class TimeSensor(_Resuming):
        """Waits for a time of day."""

        start_trigger_args = at_a_moment

        def __init__(
            self,
            *,
            target_time: Any,
            deferrable: bool = _default_deferrable(),
            start_from_trigger: bool = False,
            end_from_trigger: bool = False,
            trigger_kwargs: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            zone = _dag_zone(self.dag)
            self.target_datetime: Any = convert_to_utc(datetime.combine(datetime.now(zone), target_time, zone))
            self.deferrable = deferrable
            self.start_from_trigger = start_from_trigger
            self.end_from_trigger = end_from_trigger
            if start_from_trigger:
                moment = {"moment": self.target_datetime, "end_from_trigger": end_from_trigger}
                self.start_trigger_args = StartTriggerArgs(at_a_moment.trigger_cls, "execute_complete", moment)

        def execute(self, context: Any) -> None:
            if not self.deferrable:
                super().execute(context)
                return
            trigger = DateTimeTrigger(self.target_datetime, end_from_trigger=self.end_from_trigger)
            self.defer(trigger=trigger, method_name="execute_complete")

        def poke(self, context: Any) -> bool:
            self.log.info("Checking if the time (%s) has come", self.target_datetime)
            return utcnow() > self.target_datetime

    class TimeSensorAsync(TimeSensor):
        def __init__(self, **kwargs: Any) -> None:
            deprecated("TimeSensorAsync", "TimeSensor")
            super().__init__(deferrable=True, **kwargs)

    def as_delta(value: Any) -> Any:
        return value if hasattr(value, "total_seconds") else _as_timedelta(int(value) * 60)

    class TimeDeltaSensor(_Resuming):
        """Waits until some time has passed since the data interval ended, or since the run may start."""

        template_fields: Collection[str] = ("delta",)

        def __init__(
            self,
            *,
            delta: Any,
            deferrable: bool = _default_deferrable(),
            end_from_trigger: bool = False,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.delta = delta
            self.deferrable = deferrable
            self.end_from_trigger = end_from_trigger

        def _target(self, context: Any) -> Any:
            return (context.get("data_interval_end") or context["dag_run"].run_after) + as_delta(self.delta)

        def poke(self, context: Any) -> bool:
            target = self._target(context)
            self.log.info("Checking if the delta has elapsed target=%s, delta=%s", target, self.delta)
            return utcnow() > target

        def execute(self, context: Any) -> Any:
            if not self.deferrable:
                return super().execute(context)
            target = self._target(context)
            if utcnow() > target:
                return True
            try:
                trigger = DateTimeTrigger(target, end_from_trigger=self.end_from_trigger)
            except (TypeError, ValueError) as error:
                if self.soft_fail:
                    raise AirflowSkipException("Skipping due to soft_fail is set to True.") from error
                raise
            return self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)

    class TimeDeltaSensorAsync(TimeDeltaSensor):
        def __init__(self, *, end_from_trigger: bool = False, delta: Any, **kwargs: Any) -> None:
            deprecated("TimeDeltaSensorAsync", "TimeDeltaSensor")
            super().__init__(delta=delta, deferrable=True, end_from_trigger=end_from_trigger, **kwargs)

    class WaitSensor(BaseSensorOperator):
        """Waits for some time, counted from the start of the task."""

        template_fields: Collection[str] = ("time_to_wait",)

        def __init__(self, time_to_wait: Any, deferrable: bool = _default_deferrable(), **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.deferrable = deferrable
            self.time_to_wait = time_to_wait

        def execute(self, context: Any) -> None:
            delta = as_delta(self.time_to_wait)
            if self.deferrable:
                trigger = TimeDeltaTrigger(delta, end_from_trigger=True)
                self.defer(trigger=trigger, method_name="execute_complete")
            else:
                time.sleep(int(delta.total_seconds()))

    class DateTimeSensor(BaseSensorOperator):
        """Waits for a moment, which may be a template."""

        template_fields: Collection[str] = ("target_time",)

        def __init__(self, *, target_time: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.target_time = target_time

        def poke(self, context: Any) -> bool:
            self.log.info("Checking if the time (%s) has come", self.target_time)
            return utcnow() > self._moment

        @property
        def _moment(self) -> Any:
            target = self.target_time
            text = target.isoformat() if isinstance(target, datetime) else target
            if isinstance(text, str):
                return parse_datetime(text)
            raise TypeError(f"Expected str or datetime.datetime type for target_time. Got {type(target)}")

    class DateTimeSensorAsync(DateTimeSensor):
        """As `DateTimeSensor`, in the triggerer."""

        start_trigger_args = at_a_moment

        def __init__(
            self,
            *,
            start_from_trigger: bool = False,
            end_from_trigger: bool = False,
            trigger_kwargs: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.end_from_trigger = end_from_trigger
            self.start_from_trigger = start_from_trigger
            if start_from_trigger:
                moment = {"target_time": self.target_time, "end_from_trigger": end_from_trigger}
                self.start_trigger_args = StartTriggerArgs(at_a_moment.trigger_cls, "execute_complete", moment)

        def execute(self, context: Any) -> None:
            trigger = DateTimeTrigger(self._moment, end_from_trigger=self.end_from_trigger)
            self.defer(trigger=trigger, method_name="execute_complete")

        def execute_complete(self, context: Any, event: Any = None) -> None:
            return None

    class DayOfWeekSensor(BaseSensorOperator):
        """Waits for a day of the week."""

        def __init__(self, *, week_day: Any, use_task_logical_date: bool = False, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.week_day = week_day
            self.use_task_logical_date = use_task_logical_date
            self._week_day_num = airflow_name("WeekDay").validate_week_day(week_day)

        def poke(self, context: Any) -> bool:
            day = utcnow()
            self.log.info(
                "Poking until weekday is in %s, Today is %s",
                self.week_day,
                airflow_name("WeekDay")(day.isoweekday()).name,
            )
            if self.use_task_logical_date:
                day = context.get("logical_date") or context["dag_run"].run_after
            return day.isoweekday() in self._week_day_num

    class BashSensor(BaseSensorOperator):
        """Waits until a command succeeds."""

        template_fields: Collection[str] = ("bash_command", "env")

        def __init__(
            self,
            *,
            bash_command: Any,
            env: Any = None,
            output_encoding: str = "utf-8",
            retry_exit_code: int | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.bash_command = bash_command
            self.env = env
            self.output_encoding = output_encoding
            self.retry_exit_code = retry_exit_code

        def poke(self, context: Any) -> bool:
            import subprocess
            import tempfile

            with tempfile.TemporaryDirectory(prefix="airflowtmp") as folder:
                path = os.path.join(folder, self.task_id)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(self.bash_command)
                self.log.info("Running command: %s", self.bash_command)
                process = subprocess.Popen(
                    ["bash", path],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=self.env,
                    start_new_session=True,
                )
                self.log.info("Output:")
                for line in process.stdout or ():
                    self.log.info(line.decode(self.output_encoding).strip())
                code = process.wait()
            self.log.info("Command exited with return code %s", code)
            if code == 0:
                return True
            if self.retry_exit_code is None:
                self.log.info("Non-zero return code and no retry code set, will retry later")
                return False
            if code == self.retry_exit_code:
                self.log.info("Return code matches retry code, will retry later")
                return False
            raise AirflowFailException(f"Command exited with return code {code}")

    class FileSensor(BaseSensorOperator):
        """Waits for a file, or for a folder with a file in it."""

        template_fields: Collection[str] = ("filepath", "fs_conn_id")
        ui_color = "#91818a"
        start_trigger_args = StartTriggerArgs(
            "airflow.providers.standard.triggers.file.FileTrigger", "execute_complete", {}
        )

        def __init__(
            self,
            *,
            filepath: Any,
            fs_conn_id: str = "fs_default",
            recursive: bool = False,
            deferrable: bool = _default_deferrable(),
            start_from_trigger: bool = False,
            trigger_kwargs: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.filepath = filepath
            self.fs_conn_id = fs_conn_id
            self.recursive = recursive
            self.deferrable = deferrable
            self.start_from_trigger = start_from_trigger
            if deferrable and start_from_trigger:
                self.start_trigger_args = StartTriggerArgs(
                    FileSensor.start_trigger_args.trigger_cls,
                    "execute_complete",
                    {"filepath": self.path, "recursive": recursive, "poke_interval": self.poke_interval},
                    timeout=_as_timedelta(self.timeout),
                )

        @property
        def path(self) -> str:
            if "_path" not in self.__dict__:
                folder = airflow_name("FSHook")(self.fs_conn_id).get_path()
                self.__dict__["_path"] = os.path.join(folder, self.filepath)
            return self.__dict__["_path"]

        def poke(self, context: Any) -> bool:
            from glob import glob

            self.log.info("Poking for file %s", self.path)
            for path in glob(self.path, recursive=self.recursive):
                if os.path.isfile(path):
                    changed = datetime.fromtimestamp(os.path.getmtime(path)).strftime("%Y%m%d%H%M%S")
                    self.log.info("Found File %s last modified: %s", path, changed)
                    return True
                if any(files for _, _, files in os.walk(path)):
                    return True
            return False

        def execute(self, context: Any) -> None:
            if not self.deferrable:
                super().execute(context)
            elif not self.poke(context):
                trigger = FileTrigger(self.path, recursive=self.recursive, poke_interval=self.poke_interval)
                self.defer(trigger=trigger, method_name="execute_complete", timeout=_as_timedelta(self.timeout))

        def execute_complete(self, context: Any, event: Any = None) -> None:
            if not event:
                raise AirflowException(f"{self.task_id} task failed as {self.filepath} not found.")
            self.log.info("%s completed successfully as %s found.", self.task_id, self.filepath)

    return locals()


@family(
    {
        "airflow.providers.standard.sensors.external_task": "ExternalDagLink ExternalTaskMarker ExternalTaskSensor",
    }
)
def _external_tasks() -> dict[str, Any]:
    class ExternalDagLink(airflow_name("BaseOperatorLink")):  # type: ignore[misc]
        """Leads to the Dag that is waited for."""

        name = "External DAG"

        def get_link(self, operator: Any, *, ti_key: Any) -> str:
            return airflow_name("build_airflow_dagrun_url")(dag_id=operator.external_dag_id, run_id=ti_key.run_id)

    class ExternalTaskSensor(BaseSensorOperator):
        """Waits for tasks, a group or a whole run of another Dag (airflow.providers.standard.sensors.external_task)."""

        template_fields: Collection[str] = [
            "external_dag_id",
            "external_task_id",
            "external_task_ids",
            "external_task_group_id",
        ]
        ui_color = "#4db7db"
        operator_extra_links = [ExternalDagLink()]

        def __init__(
            self,
            *,
            external_dag_id: str,
            external_task_id: str | None = None,
            external_task_ids: Collection[str] | None = None,
            external_task_group_id: str | None = None,
            allowed_states: Iterable[str] | None = None,
            skipped_states: Iterable[str] | None = None,
            failed_states: Iterable[str] | None = None,
            execution_delta: Any = None,
            execution_date_fn: Callable[..., Any] | None = None,
            check_existence: bool = False,
            poll_interval: float | None = None,
            deferrable: bool = _default_deferrable(),
            **kwargs: Any,
        ) -> None:
            if poll_interval is not None:
                _warn(
                    "Parameter `poll_interval` is deprecated and will be removed in a future release. "
                    "Use `poke_interval` instead.",
                    airflow_name("AirflowProviderDeprecationWarning"),
                )
                kwargs.setdefault("poke_interval", poll_interval)
            super().__init__(**kwargs)
            self.allowed_states = list(allowed_states) if allowed_states else ["success"]
            self.skipped_states = list(skipped_states) if skipped_states else []
            self.failed_states = list(failed_states) if failed_states else []
            states = [*self.allowed_states, *self.skipped_states, *self.failed_states]
            if len(set(states)) != len(states):
                raise airflow_name("DuplicateStateError")(
                    "Duplicate values provided across allowed_states, skipped_states and failed_states."
                )
            external_task_ids = external_task_ids or None
            use_one = "may be provided to ExternalTaskSensor; use external_task_id or external_task_ids or "
            use_one += "external_task_group_id."
            if external_task_id is not None and external_task_ids is not None:
                raise ValueError(f"Only one of `external_task_id` or `external_task_ids` {use_one}")
            if external_task_id is not None:
                external_task_ids = [external_task_id]
            if external_task_group_id is not None and external_task_ids is not None:
                raise ValueError(f"Only one of `external_task_group_id` or `external_task_ids` {use_one}")
            self._check_states(states, bool(external_task_ids or external_task_group_id))
            if execution_delta is not None and execution_date_fn is not None:
                raise ValueError(
                    "Only one of `execution_delta` or `execution_date_fn` may "
                    "be provided to ExternalTaskSensor; not both."
                )
            self.execution_delta = execution_delta
            self.execution_date_fn = execution_date_fn
            self.external_dag_id = external_dag_id
            self.external_task_id = external_task_id
            self.external_task_ids = external_task_ids
            self.external_task_group_id = external_task_group_id
            self.check_existence = check_existence
            self.deferrable = deferrable
            self.external_dates_filter: str | None = None

        @staticmethod
        def _check_states(states: list[str], of_tasks: bool) -> None:
            known = TaskInstanceState if of_tasks else DagRunState
            if of_tasks and not set(states) <= {*known.VALUES, None}:
                raise ValueError(
                    "Valid values for `allowed_states`, `skipped_states` and `failed_states` when `external_task_id` "
                    f"or `external_task_ids` or `external_task_group_id` is not `None`: {known.VALUES}"
                )
            if not of_tasks and not set(states) <= set(known.VALUES):
                raise ValueError(
                    "Valid values for `allowed_states`, `skipped_states` and `failed_states` "
                    f"when `external_task_id` and `external_task_group_id` is `None`: {known.VALUES}"
                )

        @property
        def poll_interval(self) -> float:
            return self.poke_interval

        @poll_interval.setter
        def poll_interval(self, value: float) -> None:
            self.poke_interval = value

        def _dates(self, context: Any) -> list[Any]:
            """Return the logical dates of the runs to look at."""
            date = context.get("logical_date") or context["dag_run"].run_after
            if not date:
                raise ValueError("Either `logical_date` or `dag_run.run_after` must be provided in the context")
            if self.execution_delta:
                dates = [date - self.execution_delta]
            elif self.execution_date_fn:
                given = {k: v for k, v in context.items() if k != "logical_date"}
                given["context"] = context
                found = self.execution_date_fn(date, **determine_kwargs(self.execution_date_fn, (date,), given))
                dates = found if isinstance(found, list) else [found]
            else:
                dates = [date]
            self.external_dates_filter = ",".join(each.isoformat() for each in dates)
            return dates

        def poke(self, context: Any) -> bool:
            tasks, group = self.external_task_ids, self.external_task_group_id
            if tasks and len(tasks) > len(set(tasks)):
                raise ValueError("Duplicate task_ids passed in external_task_ids parameter")
            dates = self._dates(context)
            what = f"tasks {tasks} in dag" if tasks else f"task_group '{group}' in dag" if group else "DAG"
            self.log.info("Poking for %s %s on %s ... ", what, self.external_dag_id, self.external_dates_filter)
            ti = context["ti"]

            def count(states: list[str]) -> float:
                where = {"dag_id": self.external_dag_id, "logical_dates": list(dates)}
                if tasks:
                    return ti.get_ti_count(task_ids=list(tasks), states=states, **where) / len(tasks)
                if group:
                    runs = ti.get_task_states(task_group_id=group, **where).values()
                    return sum(bool(run) and all(state in states for state in run.values()) for run in runs)
                return ti.get_dr_count(states=states, **where)

            if self.failed_states and count(self.failed_states) > 0:
                self._fail()
            if self.skipped_states and count(self.skipped_states) > 0:
                self._skip()
            return count(self.allowed_states) == len(dates)

        def _subject(self) -> str:
            if self.external_task_ids:
                return f"Some of the external tasks {self.external_task_ids} in DAG {self.external_dag_id}"
            if self.external_task_group_id:
                return f"The external task_group '{self.external_task_group_id}' in DAG '{self.external_dag_id}'"
            return f"The external DAG {self.external_dag_id}"

        def _fail(self) -> NoReturn:
            if self.soft_fail:
                raise AirflowSkipException(f"{self._subject()} failed. Skipping due to soft_fail.")
            kind = "Task" if self.external_task_ids else "TaskGroup" if self.external_task_group_id else "Dag"
            raise airflow_name(f"External{kind}FailedError")(f"{self._subject()} failed.")

        def _skip(self) -> NoReturn:
            raise AirflowSkipException(f"{self._subject()} reached a state in our states-to-skip-on list. Skipping.")

        def execute(self, context: Any) -> None:
            if not self.deferrable:
                super().execute(context)
                return
            seconds = self.timeout
            if not seconds and self.execution_timeout:
                seconds = self.execution_timeout.total_seconds()
            self.defer(
                timeout=_as_timedelta(seconds) if seconds else None,
                trigger=airflow_name("WorkflowTrigger")(
                    external_dag_id=self.external_dag_id,
                    external_task_group_id=self.external_task_group_id,
                    external_task_ids=self.external_task_ids,
                    allowed_states=self.allowed_states,
                    failed_states=self.failed_states,
                    skipped_states=self.skipped_states,
                    poke_interval=self.poke_interval,
                    soft_fail=self.soft_fail,
                    logical_dates=self._dates(context),
                ),
                method_name="execute_complete",
            )

        def execute_complete(self, context: Any, event: dict[str, Any] | None = None) -> None:
            if event is None:
                raise airflow_name("ExternalTaskNotFoundError")("No event received from trigger")
            self._dates(context)
            status = event["status"]
            if status == "success":
                self.log.info("External tasks %s has executed successfully.", self.external_task_ids)
            elif status == "skipped":
                raise AirflowSkipException("External job has skipped skipping.")
            elif status == "failed":
                if self.soft_fail:
                    raise AirflowSkipException("External job has failed skipping.")
                raise airflow_name("ExternalDagFailedError")("External job has failed.")
            else:
                if self.soft_fail:
                    raise AirflowSkipException("External job has failed skipping.")
                raise airflow_name("ExternalTaskNotFoundError")(
                    "Error occurred while trying to retrieve task status. Please, check the "
                    "name of executed task and Dag."
                )

    class ExternalTaskMarker(EmptyOperator):
        """Says that a task of another Dag depends on this one, so that both are cleared together."""

        template_fields: Collection[str] = ["external_dag_id", "external_task_id", "logical_date"]
        ui_color = "#4db7db"
        operator_extra_links = [ExternalDagLink()]

        def __init__(
            self,
            *,
            external_dag_id: str,
            external_task_id: str,
            logical_date: Any = "{{ logical_date.isoformat() }}",
            recursion_depth: int = 10,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.external_dag_id = external_dag_id
            self.external_task_id = external_task_id
            if hasattr(logical_date, "isoformat"):
                logical_date = logical_date.isoformat()
            if not isinstance(logical_date, str):
                raise TypeError(f"Expected str or datetime.datetime type for logical_date. Got {type(logical_date)}")
            self.logical_date = logical_date
            if recursion_depth <= 0:
                raise ValueError("recursion_depth should be a positive integer")
            self.recursion_depth = recursion_depth

    return locals()


# --- `import airflow...` inside a bundle ------------------------------------------------------------------------------

# Each module that a Dag file may import, with the names it offers besides the classes that say they live there.
# "public=ours" where the two differ, with dots in it when the name is another module's; "!name" is a table of Airflow's
# database, or what goes with it.
_AIRFLOW_MODULES: dict[str, str] = {
    "airflow": "AirflowException Asset DAG Dataset=Asset XComArg version=airflow.version",
    "airflow.version": "version=AIRFLOW_VERSION",
    "airflow.sdk": (
        "AllowedKeyMapper Asset AssetAccessControl AssetAlias AssetAll AssetAny AssetOrTimeSchedule AssetWatcher "
        "AsyncCallback BaseAsyncOperator BaseBranchOperator BaseDeadlineReference BaseHook BaseNotifier BaseOperator "
        "BaseOperatorLink BaseSensorOperator BaseXCom=XCom BranchMixIn ChainMapper Connection Context "
        "CronDataIntervalTimetable CronPartitionTimetable CronTriggerTimetable DAG DagRunState DayWindow DeadlineAlert "
        "DeadlineReference DeltaDataIntervalTimetable DeltaTriggerTimetable EdgeModifier EventsTimetable "
        "ExceptionRetryPolicy FanOutMapper FixedKeyMapper HourWindow IdentityMapper Label Metadata MinimumCount "
        "MonthWindow MultipleCronTriggerTimetable NEVER_EXPIRE ObjectStoragePath Param ParamsDict PartitionMapper "
        "PartitionedAssetTimetable PartitionedAtRuntime PokeReturnValue ProductMapper QuarterWindow ResumableJobMixin "
        "RetryAction RetryDecision RetryPolicy RetryRule RollupMapper SegmentWindow SkipMixin StartOfDayMapper "
        "StartOfHourMapper StartOfMonthMapper StartOfQuarterMapper StartOfWeekMapper StartOfYearMapper SyncCallback "
        "TaskGroup TaskInstance=RuntimeTaskInstance TaskInstanceState TriggerRule Variable WaitForAll WeekWindow "
        "WeightRule Window XComArg YearWindow asset chain chain_linear conf cross_downstream dag deadline_reference "
        "get_current_context get_parsing_context literal macros result setup task task_group teardown"
    ),
    "airflow.sdk.types": "TaskInstance=RuntimeTaskInstance RuntimeTaskInstanceProtocol=RuntimeTaskInstance",
    "airflow.sdk.timezone": (
        "coerce_datetime=timezone_coerce_datetime convert_to_utc datetime=timezone_datetime "
        "from_timestamp=timezone_from_timestamp make_naive=timezone_make_naive parse=timezone_parse utc=timezone_utc "
        "utcnow"
    ),
    "airflow.sdk.log": "mask_secret redact",
    "airflow.sdk.module_loading": "import_string",
    "airflow.providers_manager": "ProvidersManager=ProvidersManagerTaskRuntime",
    "airflow.sdk.io": "ObjectStoragePath attach get_fs has_fs",
    "airflow.sdk.api.datamodels._generated": "DagRun TaskInstance",
    "airflow.sdk.bases.decorator": (
        "DecoratedMappedOperator=MappedOperator TaskDecorator=_TaskDecorator determine_kwargs get_unique_task_id "
        "is_async_callable task_decorator_factory"
    ),
    "airflow.sdk.bases.hook": "",
    "airflow.sdk.bases.operator": "chain chain_linear cross_downstream",
    "airflow.sdk.bases.sensor": "poke_mode_only",
    "airflow.sdk.bases.xcom": "BaseXCom=XCom",
    "airflow.sdk.definitions.asset": "AssetAccessControl",
    "airflow.sdk.definitions.connection": "",
    "airflow.sdk.definitions.context": "Context KNOWN_CONTEXT_KEYS get_current_context get_parsing_context",
    "airflow.sdk.definitions.dag": "dag",
    "airflow.sdk.definitions.decorators": ("TaskDecoratorCollection dag result setup task task_group teardown"),
    "airflow.sdk.definitions.decorators.setup_teardown": "context_wrapper ContextWrapper",
    "airflow.sdk.definitions.edges": "Label",
    "airflow.sdk.definitions.template": "literal",
    "airflow.sdk.definitions.variable": "",
    "airflow.sdk.definitions._internal.types": "ArgNotSet NOTSET SET_DURING_EXECUTION is_arg_set",
    "airflow.sdk.exceptions": "ErrorType",
    "airflow.sdk.execution_time.context": "get_current_context context_to_airflow_vars",
    "airflow.sdk.execution_time.macros": "ds_add ds_format",
    "airflow.sdk.execution_time.task_runner": "RuntimeTaskInstance",
    "airflow.sdk.execution_time.xcom": "XCom",
    "airflow.configuration": "AirflowConfigException conf",
    "airflow.decorators": "dag task task_group setup teardown",
    "airflow.decorators.base": (
        "DecoratedMappedOperator=MappedOperator DecoratedOperator TaskDecorator=_TaskDecorator TaskDecoratorCollection "
        "get_unique_task_id task_decorator_factory"
    ),
    "airflow.exceptions": (
        "AirflowConfigException AirflowDagCycleException AirflowException AirflowFailException "
        "AirflowInactiveAssetInInletOrOutletException AirflowNotFoundException AirflowOptionalProviderFeatureException "
        "AirflowRescheduleException AirflowSensorTimeout AirflowSkipException "
        "AirflowTaskTerminated AirflowTaskTimeout AirflowTimetableInvalid DagRunTriggerException "
        "DownstreamTasksSkipped DuplicateTaskIdFound FailFastDagInvalidTriggerRule "
        "NodeNotFound ParamValidationError RemovedInAirflow4Warning "
        "SerializationError=CoreSerializationError TaskAlreadyInTaskGroup TaskDeferralError TaskDeferralTimeout "
        "TaskDeferred TaskNotFound XComNotFound"
    ),
    "airflow.hooks.base": "BaseHook",
    "airflow.hooks.filesystem": "FSHook",
    "airflow.hooks.subprocess": "SubprocessHook",
    "airflow.io": "attach get_fs has_fs",
    "airflow.io.path": "ObjectStoragePath",
    "airflow.io.storage": "attach",
    "airflow.lineage.hook": (
        "AssetLineageInfo HookLineage HookLineageCollector HookLineageReader NoOpCollector get_hook_lineage_collector"
    ),
    "airflow.macros": "datetime_diff_for_humans ds_add ds_format ds_format_locale",
    "airflow.models": (
        "BaseOperator BaseOperatorLink BaseXCom=XCom Connection DAG MappedOperator Param SkipMixin "
        "Variable XCom !Base !DagBag !DagModel !DagRun !DagTag !DagWarning !DbCallbackRequest !Deadline !ID_LEN !Log "
        "!Pool !RenderedTaskInstanceFields !TaskInstance !TaskReschedule !Trigger "
        "!clear_task_instances"
    ),
    "airflow.models.abstractoperator": "AbstractOperator",
    "airflow.models.baseoperator": "BaseOperator chain chain_linear cross_downstream",
    "airflow.models.baseoperatorlink": "BaseOperatorLink",
    "airflow.models.connection": "Connection",
    "airflow.models.dag": "DAG dag !DagModel !DagTag",
    "airflow.models.dagbag": "!DagBag",
    "airflow.models.dagrun": "!DagRun",
    "airflow.models.param": "Param ParamsDict",
    "airflow.models.pool": "!Pool",
    "airflow.models.serialized_dag": "!SerializedDagModel",
    "airflow.models.skipmixin": "SkipMixin",
    "airflow.models.taskinstance": "TaskInstanceKey !TaskInstance !clear_task_instances",
    "airflow.models.taskinstancekey": "TaskInstanceKey",
    "airflow.models.variable": "Variable",
    "airflow.models.xcom": "XCom BaseXCom=XCom XCOM_RETURN_KEY !XComModel",
    "airflow.models.xcom_arg": "XComArg",
    "airflow.notifications.basenotifier": "BaseNotifier",
    "airflow.operators.bash": "BashOperator",
    "airflow.operators.branch": "BaseBranchOperator BranchMixIn",
    "airflow.operators.datetime": "BranchDateTimeOperator",
    "airflow.operators.email": "EmailOperator=airflow.providers.smtp.operators.smtp.EmailOperator",
    "airflow.operators.empty": "EmptyOperator",
    "airflow.operators.generic_transfer": (
        "GenericTransfer=airflow.providers.common.sql.operators.generic_transfer.GenericTransfer"
    ),
    "airflow.operators.latest_only": "LatestOnlyOperator",
    "airflow.operators.python": (
        "BranchExternalPythonOperator BranchPythonOperator BranchPythonVirtualenvOperator ExternalPythonOperator "
        "PythonOperator PythonVirtualenvOperator ShortCircuitOperator get_current_context"
    ),
    "airflow.operators.smooth": "SmoothOperator",
    "airflow.operators.trigger_dagrun": "TriggerDagRunOperator",
    "airflow.operators.weekday": "BranchDayOfWeekOperator",
    "airflow.partition_mappers": (
        "AllowedKeyMapper ChainMapper DayWindow FanOutMapper FixedKeyMapper HourWindow IdentityMapper MinimumCount "
        "MonthWindow PartitionMapper ProductMapper QuarterWindow RollupMapper SegmentWindow StartOfDayMapper "
        "StartOfHourMapper StartOfMonthMapper StartOfQuarterMapper StartOfWeekMapper StartOfYearMapper WaitForAll "
        "WeekWindow Window YearWindow"
    ),
    "airflow.partition_mappers.allowed_key": "AllowedKeyMapper",
    "airflow.partition_mappers.base": "PartitionMapper RollupMapper",
    "airflow.partition_mappers.chain": "ChainMapper",
    "airflow.partition_mappers.fixed_key": "FixedKeyMapper",
    "airflow.partition_mappers.identity": "IdentityMapper",
    "airflow.partition_mappers.product": "ProductMapper",
    "airflow.partition_mappers.temporal": (
        "FanOutMapper StartOfDayMapper StartOfHourMapper StartOfMonthMapper StartOfQuarterMapper StartOfWeekMapper "
        "StartOfYearMapper"
    ),
    "airflow.partition_mappers.wait_policy": "MinimumCount WaitForAll WaitPolicy",
    "airflow.partition_mappers.window": (
        "DayWindow HourWindow MonthWindow QuarterWindow SegmentWindow WeekWindow Window YearWindow"
    ),
    "airflow.plugins_manager": "AirflowPlugin",
    "airflow.sensors.base": "BaseSensorOperator PokeReturnValue poke_mode_only",
    "airflow.sensors.bash": "BashSensor",
    "airflow.sensors.date_time": "DateTimeSensor DateTimeSensorAsync",
    "airflow.sensors.external_task": "ExternalDagLink ExternalTaskMarker ExternalTaskSensor",
    "airflow.sensors.filesystem": "FileSensor",
    "airflow.sensors.python": "PythonSensor",
    "airflow.sensors.time_delta": "TimeDeltaSensor TimeDeltaSensorAsync",
    "airflow.sensors.time_sensor": "TimeSensor TimeSensorAsync",
    "airflow.sensors.weekday": "DayOfWeekSensor",
    "airflow.settings": "pod_mutation_hook !Session !engine !AIRFLOW_HOME !DAGS_FOLDER",
    "airflow.stats": "Stats",
    "airflow.timetables.assets": "AssetOrTimeSchedule AssetTriggeredTimetable",
    "airflow.timetables.events": "DagRunInfo DataInterval EventsTimetable Timetable",
    "airflow.timetables.interval": (
        "CronDataIntervalTimetable DagRunInfo DataInterval DeltaDataIntervalTimetable Timetable"
    ),
    "airflow.timetables.simple": (
        "AssetTriggeredTimetable ContinuousTimetable NullTimetable OnceTimetable PartitionedAssetTimetable "
        "PartitionedAtRuntime DagRunInfo DataInterval Timetable"
    ),
    "airflow.timetables.trigger": (
        "CronPartitionTimetable CronTriggerTimetable DagRunInfo DataInterval DeltaTriggerTimetable "
        "MultipleCronTriggerTimetable Timetable"
    ),
    "airflow.triggers.external_task": "DagStateTrigger WorkflowTrigger",
    "airflow.triggers.file": "FileTrigger",
    "airflow.triggers.temporal": "DateTimeTrigger TimeDeltaTrigger",
    "airflow.utils.context": "Context KNOWN_CONTEXT_KEYS context_merge",
    "airflow.utils.dates": "cron_presets=CRON_PRESETS",
    "airflow.utils.edgemodifier": "Label",
    "airflow.utils.helpers": "is_arg_set validate_key",
    "airflow.utils.log.logging_mixin": "LoggingMixin",
    "airflow.utils.operator_helpers": "determine_kwargs",
    "airflow.utils.session": "!NEW_SESSION !create_session !provide_session",
    "airflow.utils.setup_teardown": "BaseSetupTeardownContext=SetupTeardownContext SetupTeardownContext",
    "airflow.utils.state": "DagRunState TaskInstanceState State=TaskInstanceState",
    "airflow.utils.task_group": "TaskGroup",
    "airflow.utils.timezone": (
        "coerce_datetime=timezone_coerce_datetime convert_to_utc datetime=timezone_datetime "
        "from_timestamp=timezone_from_timestamp make_naive=timezone_make_naive parse=timezone_parse utc=timezone_utc "
        "utcnow"
    ),
    "airflow.utils.trigger_rule": "TriggerRule",
    "airflow.utils.types": "ArgNotSet NOTSET DagRunType=CoreDagRunType",
    "airflow.utils.weight_rule": "WeightRule",
    "airflow.utils.xcom": "XCOM_RETURN_KEY",
    "airflow.utils.yaml": (
        "FullLoader=yaml.FullLoader SafeLoader=yaml.SafeLoader YAMLError=yaml.YAMLError dump=yaml.safe_dump "
        "load=yaml.load safe_dump=yaml.safe_dump safe_load=yaml.safe_load safe_load_all=yaml.safe_load_all"
    ),
    "airflow.providers.common.compat.assets": "Asset AssetAlias AssetAll AssetAny",
    "airflow.providers.common.compat.lineage.hook": "get_hook_lineage_collector",
    "airflow.providers.common.compat.sdk": (
        "AirflowConfigException AirflowException AirflowFailException AirflowNotFoundException "
        "AirflowOptionalProviderFeatureException AirflowPlugin AirflowSensorTimeout AirflowSkipException "
        "AirflowTaskTimeout Asset AssetAlias AssetAll AssetAny AssetLineageInfo BaseAsyncOperator BaseBranchOperator "
        "BaseHook BaseNotifier BaseOperator BaseOperatorLink BaseSensorOperator BranchMixIn ChainRetryPolicy "
        "Connection Context DAG DagRunState "
        "DagRunTriggerException DecoratedMappedOperator=MappedOperator DecoratedOperator "
        "DownstreamTasksSkipped EdgeModifier ExceptionRetryPolicy HookLineage HookLineageCollector HookLineageReader "
        "Label MappedOperator Metadata NoOpCollector ObjectStoragePath Param ParamValidationError PokeReturnValue "
        "ResumableJobMixin RetryAction RetryDecision RetryPolicy RetryRule SET_DURING_EXECUTION SkipMixin Stats "
        "TaskDecorator=_TaskDecorator TaskDeferred TaskGroup TaskInstanceKey TaskInstanceState TriggerRule Variable "
        "WeightRule XCOM_RETURN_KEY XCom XComArg XComNotFound chain chain_linear conf context_merge "
        "context_to_airflow_vars cross_downstream dag determine_kwargs get_current_context get_hook_lineage_collector "
        "get_listener_manager get_parsing_context get_unique_task_id hookimpl io=airflow.sdk.io literal mask_secret "
        "poke_mode_only redact setup task task_decorator_factory task_group teardown timeout "
        "timezone=airflow.sdk.timezone"
    ),
    "airflow.providers.standard.decorators": "",
    "airflow.providers.standard.operators.branch": "BaseBranchOperator BranchMixIn",
    "airflow.providers.standard.operators.python": "get_current_context",
    "airflow.providers.standard.operators.weekday": "WeekDay",
    "airflow.providers.standard.sensors.weekday": "WeekDay",
    "airflow.providers.standard.sensors": "",
    "airflow.providers.standard.utils.skipmixin": "SkipMixin",
}

# Modules below these may have been frozen in with a package of their own.
_INSTALLED_APART = ("airflow.providers.", "airflow.example_dags")
# Packages that this module answers for and in which others have modules as well.
_SHARED_PACKAGES = ("airflow", "airflow.providers", "airflow.providers.common")


def _airflow_module_names() -> dict[str, str]:
    """Return the modules below `airflow` that there are here, with the names they offer in the form of the table."""
    modules = dict(_AIRFLOW_MODULES)
    for name, value in list(globals().items()):
        if isinstance(value, type) and value.__module__.startswith("airflow.") and not name.startswith("_"):
            modules[value.__module__] = f"{modules.get(value.__module__, '')} {name}"
    for _, homes in _families:
        for home, names in homes.items():
            if home:
                modules[home] = f"{modules.get(home, '')} {names}"
    for module in list(modules):
        while (module := module.rpartition(".")[0]) and module not in modules:
            modules[module] = ""
    return modules


class _PlaceholderModule(type(sys)):  # type: ignore[misc]
    """A module of a provider that is not frozen in; callable, since a name imported from one may be a function's."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name.islower():
            return __import__(f"{self.__name__}.{name}", fromlist=["*"])
        value = provider_name(self.__name__, name)
        setattr(self, name, value)
        return value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, _, name = self.__name__.rpartition(".")
        return provider_name(module, name)(*args, **kwargs)


class AirflowModules:
    """Answers `import airflow` and what is below it with this module's own classes: finder and loader in one.

    Installed while Dag files are loaded. Modules of providers that the author froze in are found the usual way.
    """

    def __init__(self) -> None:
        self._modules: dict[str, str] | None = None
        self._names: dict[str, dict[str, str]] = {}
        # Modules of frozen providers that cannot be used, and the part of Airflow that each lacks.
        self.refused: dict[str, str] = {}

    @property
    def modules(self) -> Collection[str]:
        """The names of all modules that this one answers for."""
        if self._modules is None:
            self._modules = _airflow_module_names()
        return self._modules

    def names(self, module: str) -> dict[str, str]:
        """Return the names that a module offers, with what they are called in this file."""
        names = self._names.get(module)
        if names is None:
            names = self._names[module] = {}
            assert module in self.modules and self._modules is not None
            for each in self._modules[module].split():
                public, _, ours = each.partition("=")
                names.setdefault(public.lstrip("!"), ours or public)
        return names

    def install(self) -> None:
        """Go before all other finders; an Airflow imported earlier is set aside for the files loaded from now on."""
        if self not in sys.meta_path:
            for name in [name for name in sys.modules if name == "airflow" or name.startswith("airflow.")]:
                del sys.modules[name]
            sys.meta_path.insert(0, self)  # type: ignore[arg-type]

    def uninstall(self) -> None:
        """Leave `airflow` to whoever else can answer for it."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)  # type: ignore[arg-type]
            for name, module in list(sys.modules.items()):
                if getattr(module, "__loader__", None) is self:
                    del sys.modules[name]

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "airflow" and not fullname.startswith("airflow."):
            return None
        spec = type(sys.__spec__)(fullname, self, is_package=True)  # type: ignore[attr-defined, arg-type]
        if fullname in _AIRFLOW_MODULES or fullname in self.modules:
            return spec
        parent = fullname.rpartition(".")[0]
        if fullname.startswith(_INSTALLED_APART):
            installed = self._find_installed(fullname)
            if installed is not None:
                if hasattr(installed.loader, "exec_module"):
                    installed.loader = _ProviderLoader(installed.loader)
                return installed
            if getattr(sys.modules.get(parent), "__file__", None):
                return None
            answered = parent in self.modules and parent not in _SHARED_PACKAGES
            if fullname.startswith("airflow.providers.") and not answered:
                if not _provider_is_importing():
                    return spec
                raise ModuleNotFoundError(
                    f"No module named {fullname!r} in this bundle: the Dag file does not declare that provider",
                    name=fullname,
                )
        raise ModuleNotFoundError(
            f"No module named {fullname!r} in a bundle{_nearest(fullname, self.modules)}; a bundle answers for "
            "airflow.sdk and its neighbours, other parts of Airflow are not in it",
            name=fullname,
        )

    def _find_installed(self, fullname: str) -> Any:
        """Find a module where it would lie if this module did not answer for the packages above it."""
        folders = fullname.split(".")[:-1]
        path = [os.path.join(entry, *folders) for entry in sys.path]
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path)
            if spec is not None:
                return spec
        return None

    def _installed_name(self, module: Any, name: str) -> Any:
        """Return a name that only the frozen provider's module has, where this one answers for the rest; or None."""
        spec = self._find_installed(module.__name__)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return None
        if "__installed__" not in vars(module):
            installed = module.__installed__ = type(sys)(module.__name__)
            installed.__spec__, installed.__file__ = spec, spec.origin
            spec.loader.exec_module(installed)
        return getattr(module.__installed__, name, None)

    def create_module(self, spec: Any) -> Any:
        return None if spec.name in self.modules else _PlaceholderModule(spec.name)

    def exec_module(self, module: Any) -> None:
        if isinstance(module, _PlaceholderModule):
            return
        module.__file__ = None
        module.__getattr__ = lambda name: self._attribute(module, name)
        module.__dir__ = lambda: sorted(self.names(module.__name__))
        if module.__name__ in ("airflow", "airflow.sdk"):
            module.__version__ = AIRFLOW_VERSION if module.__name__ == "airflow" else TASK_SDK_VERSION
        module.__all__ = sorted(self.names(module.__name__))

    def _attribute(self, module: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        ours = self.names(module.__name__).get(name, "")
        if ours:
            if ours.startswith("!"):
                value = unavailable(module.__name__, name, _DATABASE)
            else:
                value = import_string(ours) if "." in ours else airflow_name(ours)
            setattr(module, name, value)
            return value
        if f"{module.__name__}.{name}" in self.modules:
            return __import__(f"{module.__name__}.{name}", fromlist=["*"])
        if module.__name__.startswith(_INSTALLED_APART):
            value = self._installed_name(module, name)
            if value is not None:
                setattr(module, name, value)
                return value
        raise ImportError(
            f"cannot import name {name!r} from {module.__name__!r} in a bundle"
            f"{_nearest(name, self.names(module.__name__))}",
            name=module.__name__,
        )


airflow_modules = AirflowModules()


class _ProviderLoader:
    """Loads a module of a frozen provider; one that needs what a bundle does not have of Airflow gives placeholders."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: Any) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        try:
            self.loader.exec_module(module)
        except Exception as error:
            cause: BaseException | None = error
            while cause is not None and not (
                isinstance(cause, BundleError) or str(getattr(cause, "name", None)).startswith("airflow")
            ):
                cause = cause.__cause__ or cause.__context__
            if cause is None:
                raise
            airflow_modules.refused[module.__name__] = str(cause)
            for name in [name for name in vars(module) if not name.startswith("__")]:
                delattr(module, name)
            module.__class__ = _PlaceholderModule


def _provider_is_importing() -> bool:
    """Say whether it is a provider's own code that imports: it expects ImportError for what is not installed."""
    frame: Any = sys._getframe(2)
    while frame is not None and (
        frame.f_globals is globals() or frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("airflow.providers.")


class ParsingContext(Record):
    """Which Dag and task a file is being imported for; both None while Airflow only looks at it."""

    __module__ = "airflow.sdk.definitions.context"
    dag_id: str | None = None
    task_id: str | None = None


_parsing_context: list[ParsingContext] = []


def get_parsing_context() -> ParsingContext:
    """Return for which task the Dag file is being imported, so that it can leave the rest out."""
    return _parsing_context[-1] if _parsing_context else ParsingContext()


# --- loading Dag files ------------------------------------------------------------------------------------------------


class DagFileError(BundleError):
    """A Dag file that cannot be used. The message starts with file and line."""


class DagFile:
    """One Dag file.

    Fields: `name` (path relative to the project, for display), `path` (its `__file__`), `module_name`, and
    `dag_ids` (known before it is imported when it is frozen, else None).
    """

    def __init__(self, name: str, path: str, module_name: str, dag_ids: Collection[str] | None = None) -> None:
        self.name = name
        self.path = path
        self.module_name = module_name
        self.dag_ids = dag_ids

    @classmethod
    def from_path(cls, path: str) -> DagFile:
        """Describe a file on disk; the module name is made as Airflow makes it (airflow.utils.file)."""
        path = os.path.abspath(path)
        return cls(os.path.basename(path), path, dag_module_name(path, path))

    def read(self) -> bytes:
        """Return the source.

        :raises DagFileError: when it cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except OSError as error:
            raise DagFileError(f"{self.path}: cannot read this Dag file: {error.strerror or error}") from None

    def code(self) -> Any:
        """Return the compiled file: from the bundle when frozen, else from disk.

        :raises DagFileError: for a syntax error, with file and line.
        """
        if self.dag_ids is not None:
            return frozen_dag_code(self.module_name)
        try:
            return compile(self.read(), self.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise DagFileError(f"{self.path}:{error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
        except ValueError as error:
            raise DagFileError(f"{self.path}: not a Python file: {error}") from None


def dag_module_name(path: str, hashed: str) -> str:
    """Return the name under which Airflow imports a Dag file, unique to the text that is hashed."""
    import hashlib

    stem = os.path.splitext(os.path.basename(path))[0].replace(".", "_").replace("-", "_")
    return f"unusual_prefix_{hashlib.sha1(hashed.encode(), usedforsecurity=False).hexdigest()}_{stem}"


class DagBag:
    """The Dags of some Dag files.

    Fields: `dags` (by id, as declared), `files` (dag id to its `DagFile`), `import_errors` (path to what is wrong with
    the file) and `warnings` (texts an author should read).
    """

    def __init__(self) -> None:
        self.dags: dict[str, DAG] = {}
        self.files: dict[str, DagFile] = {}
        self.import_errors: dict[str, str] = {}
        self.warnings: list[str] = []

    def load(self, file: DagFile) -> None:
        """Import a Dag file and take in its Dags.

        :raises DagFileError: when it raises, or declares a Dag that cannot be.
        """
        for declared in self._import(file):
            self._add(declared, file)

    def load_or_note(self, file: DagFile) -> None:
        """Import a Dag file; one that fails leaves no Dag behind, and what is wrong in `import_errors`."""
        try:
            self.load(file)
        except DagFileError as error:
            self.import_errors[file.path] = str(error)
            for dag_id in [dag_id for dag_id, its in self.files.items() if its is file]:
                del self.dags[dag_id], self.files[dag_id]

    def _import(self, file: DagFile) -> list[DAG]:
        code = file.code()
        module = type(sys)(file.module_name)
        module.__file__ = file.path
        folder = os.path.dirname(file.path)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        airflow_modules.install()
        sys.modules[file.module_name] = module
        # Whoever imports this module by name gets the one that is running, with the registry the Dags go to.
        sys.modules.setdefault("coordinator_bundle", sys.modules[__name__])
        DagContext.stack.clear()
        DagContext.declared.clear()
        TaskGroupContext.stack.clear()
        SetupTeardownContext.stack.clear()
        try:
            exec(code, module.__dict__)
        except BaseException as error:
            del sys.modules[file.module_name]
            if isinstance(error, KeyboardInterrupt):
                raise
            raise DagFileError(self._describe(error, file)) from error
        found = list(DagContext.declared)
        found += [each for each in vars(module).values() if isinstance(each, DAG)]
        DagContext.declared.clear()
        return list({id(each): each for each in found}.values())

    @staticmethod
    def _describe(error: BaseException, file: DagFile) -> str:
        """Say what a Dag file raised: its last line on the way there, below it the line of a helper that raised."""
        line, trace, deeper = 0, error.__traceback__, None
        where = file.path
        while trace is not None:
            if trace.tb_frame.f_globals is not globals() and not trace.tb_frame.f_code.co_filename.startswith("<"):
                name = trace.tb_frame.f_code.co_filename
                if os.path.basename(name) == os.path.basename(file.path):
                    where, line, deeper = file.path, trace.tb_lineno, None
                elif _is_authors(name):
                    deeper = (name, trace.tb_lineno, trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename:
            where, line, deeper = error.filename, error.lineno or 0, None
        detail = getattr(getattr(error, "error", None), "detail", None)
        text = str(error) or repr(error)
        if isinstance(error, AirflowRuntimeError) and isinstance(detail, dict) and detail.get("message"):
            text = f"{text.partition(':')[0]}: {detail['message']}"
        text = f"{where}:{line}: {type(error).__name__}: {text}" if line else f"{where}: {type(error).__name__}: {text}"
        if deeper is not None:
            import linecache

            name, line, function = deeper
            shown = linecache.getline(name, line).strip()
            text += f"\n  raised at {name}:{line}{f', in {function}' if function != '<module>' else ''}: {shown}"
        return text + _argument_hints(error)

    def _add(self, declared: DAG, file: DagFile) -> None:
        line = declared.declared_at[1] if declared.declared_at else 0
        other = self.dags.get(declared.dag_id)
        if other is not None:
            first = other.declared_at or (self.files[declared.dag_id].path, 0)
            raise DagFileError(
                f"{file.path}:{line}: Dag id {declared.dag_id!r} is declared twice, first at {first[0]}:{first[1]}; "
                "give one of them another id"
            )
        declared.fileloc = file.path
        declared.relative_fileloc = file.name
        try:
            declared.resolve_template_files()
            declared.validate()
        except Exception as error:
            raise DagFileError(
                f"{file.path}:{line}: Dag {declared.dag_id!r}: {type(error).__name__}: {error}"
            ) from error
        placeholders = placeholder_tasks(declared)
        if placeholders:
            self.warnings.append(
                f"{file.path}: Dag {declared.dag_id!r}: {', '.join(placeholders)}: the provider is not in this bundle, "
                "or cannot be; such a task must not have a queue that leads here, ordinary workers run it"
            )
        self.dags[declared.dag_id] = declared
        self.files[declared.dag_id] = file


def _is_authors(path: str) -> bool:
    """Whether a source file is neither the standard library's nor an installed package's."""
    if not os.path.isabs(path) or "-packages" in path or not os.path.exists(path):
        return False
    return hasattr(sys, "_MEIPASS") or not path.startswith(os.path.dirname(os.__file__) + os.sep)


def _argument_hints(error: BaseException) -> str:
    """Say, below Airflow's own message, what has become of an argument that a Dag or an operator does not take."""
    import re

    text = str(error)
    if not isinstance(error, TypeError):
        return ""
    found = re.search(r"(\S+)\(\) got (?:an )?unexpected keyword arguments? (.*)", text)
    rejected = re.search(r"Invalid arguments were passed to (\S+) .*\n\*\*kwargs: \{(.*)\}", text, re.DOTALL)
    if found:
        names = re.findall(r"'(\w+)'", found[2])
    elif rejected:
        names = re.findall(r"'(\w+)':", rejected[2])
    else:
        return ""
    of_dag = found is not None and found[1].startswith("DAG.")
    code = DAG.__init__.__code__
    known = set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]) if of_dag else _OPERATOR_ARGUMENTS
    # What the migration guide of Airflow 3 and the changelogs before it say of each.
    changed = {
        "schedule_interval": "is called schedule since Airflow 3",
        "timetable": "is called schedule since Airflow 3",
        "concurrency": "is called max_active_tasks since Airflow 3",
        "fail_stop": "is called fail_fast since Airflow 3",
        "task_concurrency": "is called max_active_tis_per_dag since Airflow 3",
        "execution_date": "is called logical_date since Airflow 3",
        "default_view": "was removed in Airflow 3: leave it out",
        "orientation": "was removed in Airflow 3: leave it out",
        "full_filepath": "was removed in Airflow 3: leave it out",
        "sla": "was removed in Airflow 3: use deadline=DeadlineAlert(...) of the Dag",
        "provide_context": "was removed in Airflow 3: the context is passed unasked",
    }
    hints = []
    for name in names:
        if name in changed:
            hints.append(f"\n  {name} {changed[name]}")
        elif name not in known and (near := _nearest(name, known)):
            hints.append(f"\n  {name}{near}")
    return "".join(hints)


def load_dag_files(paths: Iterable[str]) -> DagBag:
    """Import Dag files and return their Dags; what is wrong with a file is in `import_errors`."""
    bag = DagBag()
    for file in map(DagFile.from_path, paths):
        bag.load_or_note(file)
    return bag


# --- values of these classes in XComs ---------------------------------------------------------------------------------


def _fields_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record._fields}


def _register_record(cls: type) -> None:
    """Let a value class travel in XComs under the name it has in Airflow."""
    register_value_type(f"{cls.__module__}.{cls.__name__}", cls, _fields_of, lambda data, version: cls(**data))


for _class in (
    *(Asset, Dataset, Model),
    *(AssetAccessControl, AssetAlias, AssetNameRef, AssetUniqueKey, AssetUriRef, Metadata),
):
    _register_record(_class)
for _params, _read_params in (
    (Param, lambda data, version: Param(data["value"], data["description"], data.get("source"), schema=data["schema"])),
    (ParamsDict, lambda data, version: ParamsDict(data)),
):
    register_value_type(f"{_params.__module__}.{_params.__name__}", _params, _params.serialize, _read_params, version=1)


def _class_of_dag_file(name: str) -> type | None:
    """Return the class `<stem>.<Class>` of a Dag file that has been imported."""
    stem, _, path = name.partition(".")
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("unusual_prefix_") and module_name.split("_", 3)[-1] == stem:
            found: Any = module
            for part in path.split("."):
                found = getattr(found, part, None)
            if isinstance(found, type):
                return found
    return None


value_types.resolve_class = _class_of_dag_file


def _defer_to_airflow() -> None:
    """Hand out Airflow's own names when it is Airflow that parses a Dag file which imports from this module."""
    frame: Any = sys._getframe(1)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("unusual_prefix_"):
        frame = frame.f_back
    if frame is None or airflow_modules in sys.meta_path:
        return
    import importlib

    airflow_sdk = importlib.import_module("airflow.sdk")
    for name in _AIRFLOW_MODULES["airflow.sdk"].split():
        globals()[name] = getattr(airflow_sdk, name)


########################################################################################################################
# Dag form: a Dag as Airflow stores it, {"__version": 3, "dag": {...}}. It asks for attributes and class names.
########################################################################################################################

_DAG_FORM_VERSION = 3
_ABSENT: Any = object()

# Values and names below are those of airflow/serialization/schema.json (definitions/operator) and of
# BaseOperator.get_serialized_fields(). A field equal to its schema default is left out of the form.
_OPERATOR_DEFAULTS: dict[str, Any] = {
    "_is_mapped": False,
    "_is_sensor": False,
    "allow_nested_operators": True,
    "depends_on_past": False,
    "do_xcom_push": True,
    "downstream_task_ids": [],
    "email_on_failure": True,
    "email_on_retry": True,
    "has_on_execute_callback": False,
    "has_on_failure_callback": False,
    "has_on_retry_callback": False,
    "has_on_skipped_callback": False,
    "has_on_success_callback": False,
    "ignore_first_depends_on_past": False,
    "inlets": [],
    "is_setup": False,
    "is_teardown": False,
    "multiple_outputs": False,
    "on_failure_fail_dagrun": False,
    "outlets": [],
    "owner": "airflow",
    "pool": "default_pool",
    "pool_slots": 1,
    "priority_weight": 1,
    "queue": "default",
    "retries": 0,
    "retry_delay": 300.0,
    "retry_exponential_backoff": 0,
    "start_from_trigger": False,
    "task_type": "BaseOperator",
    "template_ext": [],
    "template_fields": [],
    "template_fields_renderers": {},
    "trigger_rule": "all_success",
    "ui_color": "#fff",
    "ui_fgcolor": "#000",
    "wait_for_downstream": False,
    "wait_for_past_depends_before_skipping": False,
    "weight_rule": "downstream",
}

# The schema's optional fields: these are left out when they are an empty list, tuple, set or dict, too.
_OPERATOR_OPTIONAL = (
    _OPERATOR_DEFAULTS.keys() - {"task_type", "ui_color", "ui_fgcolor", "template_fields"}
) | frozenset(
    "_disallow_kwargs_override _expand_input_attr _logger_name _needs_expansion _operator_extra_links"
    " _task_display_name doc doc_json doc_md doc_rst doc_yaml end_date execution_timeout executor executor_config"
    " map_index_template max_active_tis_per_dag max_active_tis_per_dagrun max_retry_delay params partial_kwargs"
    " render_template_as_native_obj start_date start_trigger_args".split()
)

_OPERATOR_FIELDS = (
    "_logger_name _needs_expansion _post_execute_hook _pre_execute_hook _task_display_name allow_nested_operators"
    " depends_on_past do_xcom_push doc doc_json doc_md doc_rst doc_yaml downstream_task_ids email email_on_failure"
    " email_on_retry end_date execution_timeout executor executor_config has_on_execute_callback"
    " has_on_failure_callback has_on_retry_callback has_on_skipped_callback has_on_success_callback has_retry_policy"
    " ignore_first_depends_on_past inlets is_setup is_teardown map_index_template max_active_tis_per_dag"
    " max_active_tis_per_dagrun max_retry_delay multiple_outputs on_failure_fail_dagrun outlets owner params pool"
    " pool_slots priority_weight queue render_template_as_native_obj resources retries retry_delay"
    " retry_exponential_backoff run_as_user start_date start_from_trigger start_trigger_args task_id task_type"
    " template_ext template_fields template_fields_renderers trigger_rule ui_color ui_fgcolor wait_for_downstream"
    " wait_for_past_depends_before_skipping weight_rule"
)
_MAPPED_OPERATOR_FIELDS = (
    "_disallow_kwargs_override _expand_input_attr _is_mapped _is_sensor _operator_name _task_module downstream_task_ids"
    " end_date params start_date start_from_trigger start_trigger_args task_id task_type template_ext template_fields"
    " template_fields_renderers ui_color ui_fgcolor"
)

# Parameters of BaseOperator.__init__ except "email": a template field must not have such a name.
_FORBIDDEN_TEMPLATE_FIELDS = frozenset(
    "allow_nested_operators dag default_args depends_on_past do_xcom_push doc doc_json doc_md doc_rst doc_yaml"
    " email_on_failure email_on_retry end_date execution_timeout executor executor_config ignore_first_depends_on_past"
    " inlets kwargs logger_name map_index_template max_active_tis_per_dag max_active_tis_per_dagrun max_retry_delay"
    " multiple_outputs on_execute_callback on_failure_callback on_retry_callback on_skipped_callback"
    " on_success_callback outlets owner params pool pool_slots post_execute pre_execute priority_weight queue"
    " render_template_as_native_obj resources retries retry_delay retry_exponential_backoff retry_policy run_as_user"
    " self sla start_date task_display_name task_group task_id trigger_rule wait_for_downstream"
    " wait_for_past_depends_before_skipping weight_rule".split()
)

# Only "has_<name>: true" is stored of these: the object itself has no stable form.
_FLAG_ONLY_FIELDS = frozenset(
    "on_execute_callback on_failure_callback on_success_callback on_retry_callback on_skipped_callback"
    " retry_policy".split()
)

# Dag fields that are stored whenever they are neither None nor empty. The schema gives fail_fast and
# render_template_as_native_obj the default False.
_DAG_FIELDS = (
    "catchup dag_id dagrun_timeout description disable_bundle_versioning doc_md end_date fail_fast fileloc"
    " is_paused_upon_creation max_active_runs max_active_tasks max_consecutive_failed_dag_runs owner_links"
    " relative_fileloc render_template_as_native_obj rerun_with_latest_version start_date tags".split()
)

_SCALARS = (str, int, bool, float)
_EMPTY_VALUES: list[Any] = [[], (), set(), {}]

_TIMETABLES = {
    "AssetOrTimeSchedule": "airflow.timetables.assets.AssetOrTimeSchedule",
    "AssetTriggeredTimetable": "airflow.timetables.simple.AssetTriggeredTimetable",
    "ContinuousTimetable": "airflow.timetables.simple.ContinuousTimetable",
    "CronDataIntervalTimetable": "airflow.timetables.interval.CronDataIntervalTimetable",
    "CronPartitionTimetable": "airflow.timetables.trigger.CronPartitionTimetable",
    "CronTriggerTimetable": "airflow.timetables.trigger.CronTriggerTimetable",
    "DeltaDataIntervalTimetable": "airflow.timetables.interval.DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable": "airflow.timetables.trigger.DeltaTriggerTimetable",
    "EventsTimetable": "airflow.timetables.events.EventsTimetable",
    "MultipleCronTriggerTimetable": "airflow.timetables.trigger.MultipleCronTriggerTimetable",
    "NullTimetable": "airflow.timetables.simple.NullTimetable",
    "OnceTimetable": "airflow.timetables.simple.OnceTimetable",
    "PartitionedAssetTimetable": "airflow.timetables.simple.PartitionedAssetTimetable",
    "PartitionedAtRuntime": "airflow.timetables.simple.PartitionedAtRuntime",
}

# Partition mapper -> its module in airflow.partition_mappers, and the attributes that are stored, in Airflow's names.
_PARTITION_MAPPERS = {
    "AllowedKeyMapper": ("allowed_key", "allowed_keys"),
    "ChainMapper": ("chain", "mappers"),
    "FanOutMapper": ("temporal", "upstream_mapper window downstream_mapper"),
    "FixedKeyMapper": ("fixed_key", "downstream_key"),
    "IdentityMapper": ("identity", ""),
    "ProductMapper": ("product", "delimiter mappers"),
    "RollupMapper": ("base", "upstream_mapper window wait_policy"),
    "StartOfDayMapper": ("temporal", "timezone input_format output_format"),
    "StartOfHourMapper": ("temporal", "timezone input_format output_format"),
    "StartOfMonthMapper": ("temporal", "timezone input_format output_format"),
    "StartOfQuarterMapper": ("temporal", "timezone input_format output_format"),
    "StartOfWeekMapper": ("temporal", "timezone input_format output_format"),
    "StartOfYearMapper": ("temporal", "timezone input_format output_format"),
}
_WINDOWS = frozenset("HourWindow DayWindow WeekWindow MonthWindow QuarterWindow SegmentWindow YearWindow".split())
_WAIT_POLICIES = frozenset(("WaitForAll", "MinimumCount"))
_WEIGHT_STRATEGIES = {
    "_AbsolutePriorityWeightStrategy": "absolute",
    "_DownstreamPriorityWeightStrategy": "downstream",
    "_UpstreamPriorityWeightStrategy": "upstream",
}

# Class name -> how its instances are encoded; the class or one of its bases must be Airflow's or ours.
_KINDS = {
    "ArgNotSet": "arg_not_set",
    "AssetUniqueKey": "asset_unique_key",
    "AssetAliasUniqueKey": "asset_alias_unique_key",
    "DAG": "dag",
    "DeadlineAlert": "deadline_alert",
    "Resources": "resources",
    "MappedOperator": "mapped_operator",
    "BaseOperator": "operator",
    "AirflowException": "exception",
    "TaskGroup": "task_group",
    "Param": "param",
    "XComArg": "xcom",
    "Asset": "asset",
    "AssetAlias": "asset",
    "AssetAll": "asset",
    "AssetAny": "asset",
    "AssetNameRef": "asset",
    "AssetUriRef": "asset",
    "MappedArgument": "mapped_argument",
}
_FOREIGN_KINDS = {
    ("builtins", "NoneType"): "scalar",
    ("builtins", "str"): "scalar",
    ("builtins", "int"): "scalar",
    ("builtins", "float"): "scalar",
    ("builtins", "dict"): "dict",
    ("builtins", "list"): "list",
    ("builtins", "set"): "set",
    ("builtins", "tuple"): "tuple",
    ("builtins", "KeyError"): "exception",
    ("builtins", "AttributeError"): "exception",
    ("datetime", "datetime"): "datetime",
    ("datetime", "timedelta"): "timedelta",
    ("dateutil.relativedelta", "relativedelta"): "relativedelta",
    ("pendulum.tz.timezone", "Timezone"): "timezone",
    ("pendulum.tz.timezone", "FixedTimezone"): "timezone",
    ("kubernetes.client.models.v1_pod", "V1Pod"): "pod",
}
# Airflow asks callable(value) before it looks for these.
_KINDS_AFTER_CALLABLE = frozenset(("", "set", "tuple", "task_group", "param", "xcom", "asset", "mapped_argument"))


class SerializationError(BundleError):
    """A Dag cannot be given Airflow's serialised form. The message names the Dag and the cause, as Airflow's does."""


def serialize_dag(dag: Any, dags_folder: str | None = None) -> dict[str, Any]:
    """Give the form of a Dag that Airflow stores and its Dag processor sends.

    :param dag: a DAG with Airflow's attribute names.
    :param dags_folder: what to report as ``_processor_dags_folder``; Airflow's own is its ``[core] dags_folder``.
    :return: ``{"__version": 3, "dag": {...}}``, made of JSON types only.
    :raises SerializationError: a value in the Dag has no such form.

    The rules are those of ``DagSerialization.to_dict`` in ``airflow.serialization.serialized_objects`` of 3.3.2.
    """
    try:
        return {"__version": _DAG_FORM_VERSION, "dag": _encode_dag(dag, dags_folder)}
    except SerializationError:
        raise
    except Exception as error:
        raise SerializationError(f"Failed to serialize DAG {dag.dag_id!r}: {error}") from error


def _encode_dag(dag: Any, dags_folder: str | None) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for name in _DAG_FIELDS:
        value = getattr(dag, name, None)
        if value is None or (type(value) not in _SCALARS and value in _EMPTY_VALUES):
            continue
        if value is False and (name == "fail_fast" or name == "render_template_as_native_obj"):
            continue
        form[name] = _bare(encode_value(value))
    if dag.dag_display_name != dag.dag_id:
        form["dag_display_name"] = dag.dag_display_name
    if dag.access_control is not None:  # {} takes all access away, so it must survive
        form["access_control"] = encode_value(dag.access_control)
    if dag.default_args:
        form["default_args"] = {"__type": "dict", "__var": _encode_default_args(dag.default_args)}
    form["timetable"] = _encode_timetable(dag.timetable)
    form["timezone"] = _encode_timezone(dag.timezone)
    form["_processor_dags_folder"] = dags_folder

    dependencies: list[tuple[str, str, str, str, str]] = []
    form["tasks"] = tasks = []
    for task in dag.task_dict.values():
        tasks.append({"__type": "operator", "__var": _encode_task(task, dag)})
        dependencies += _task_dependencies(task, dag.dag_id)
    condition = getattr(dag.timetable, "asset_condition", None)
    if condition is not None:
        dependencies += _asset_dependencies(condition, "", dag.dag_id)
    names = ("source", "target", "label", "dependency_type", "dependency_id")
    form["dag_dependencies"] = [dict(zip(names, dependency)) for dependency in sorted(dependencies)]

    form["task_group"] = _encode_task_group(dag.task_group)
    deadlines = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline] if dag.deadline else []
    form["deadline"] = [_encode_deadline(deadline) for deadline in deadlines] or None
    form["allowed_run_types"] = sorted(getattr(t, "value", t) for t in dag.allowed_run_types or ()) or None
    form["edge_info"] = dag.edge_info
    form["params"] = _encode_params(dag.params)
    for name in ("has_on_success_callback", "has_on_failure_callback"):
        if getattr(dag, name, False):
            form[name] = True
    return form


def _encode_default_args(default_args: dict[str, Any]) -> dict[str, Any]:
    encoded = {}
    for name, value in default_args.items():
        if name not in _FLAG_ONLY_FIELDS:
            encoded[str(name)] = encode_value(value)
        elif value:
            encoded[f"has_{name}"] = True
    return encoded


# --- Tasks ------------------------------------------------------------------------------------------------------------

_operator_plans: dict[type, tuple[list[tuple[str, Any, bool]], str]] = {}


def _trusted(cls: type) -> bool:
    """Whether a class is Airflow's, or this module's stand-in for Airflow's."""
    module = cls.__module__
    return module == __name__ or module.startswith("airflow.")


def _operator_plan(cls: type) -> tuple[list[tuple[str, Any, bool]], str]:
    """Give, once per class, the fields to look at (name, default, optional) and how it depends on other Dags."""
    plan = _operator_plans.get(cls)
    if plan is None:
        known = {base.__name__ for base in cls.__mro__ if _trusted(base)}
        names = set((_MAPPED_OPERATOR_FIELDS if "MappedOperator" in known else _OPERATOR_FIELDS).split())
        if "BaseSensorOperator" in known:
            names |= {"reschedule", "_is_sensor"}
        if "ExternalTaskMarker" in known:
            names.add("recursion_depth")
        for base in cls.__mro__:
            if "get_serialized_fields" in base.__dict__ and not _trusted(base):
                names |= cls.get_serialized_fields()  # type: ignore[attr-defined]
                break
        names -= {"params", "start_trigger_args", "task_type"}  # these three do not follow the common rule
        fields = [(n, _OPERATOR_DEFAULTS.get(n, _ABSENT), n in _OPERATOR_OPTIONAL) for n in sorted(names)]
        kinds = {"TriggerDagRunOperator": "trigger", "ExternalTaskSensor": "sensor"}
        plan = _operator_plans[cls] = fields, next((kinds[name] for name in kinds if name in known), "")
    return plan


def _is_left_out(name: str, value: Any, dag: Any) -> bool:
    """Tell whether Airflow leaves this field of an operator out of the form: ``OperatorSerialization._is_excluded``."""
    if value is None or _OPERATOR_DEFAULTS.get(name, _ABSENT) == value:
        return True
    if name in _OPERATOR_OPTIONAL and type(value) not in _SCALARS and value in _EMPTY_VALUES:
        return True
    return name.endswith("_date") and value == getattr(dag, name, None)


def _encode_task(op: Any, dag: Any) -> dict[str, Any]:
    """Encode an operator of either kind. ``dag`` is the Dag it belongs to."""
    mapped = _kind_of(type(op)) == "mapped_operator"
    form: dict[str, Any] = {}
    if not mapped:
        op._needs_expansion = op.get_needs_expansion()
    for name, default, optional in _operator_plan(type(op))[0]:
        value = getattr(op, name, None)
        if value is None or default == value:
            continue
        if optional and type(value) not in _SCALARS and value in _EMPTY_VALUES:
            continue
        if name.endswith("_date") and value == getattr(dag, name, None):
            continue
        if name == "weight_rule":
            if (rule := _encode_weight_rule(value)) != default:
                form[name] = rule
        elif name == "_operator_name":
            if value != op.task_type:
                form[name] = value
        elif name == "executor_config":
            form[name] = encode_value(value)
        else:
            form[name] = _bare(encode_value(value))
    if not op.email:
        form.pop("email_on_failure", None)
        form.pop("email_on_retry", None)

    form["task_type"] = task_type = getattr(op, "task_type", type(op).__name__)
    form["_task_module"] = getattr(op, "_task_module", type(op).__module__)
    if op.operator_name != task_type:
        form["_operator_name"] = op.operator_name
    if mapped:
        empty = op._is_empty
        # Airflow forgets this of a mapped TaskFlow task: its class is asked for a flag that only instances answer.
        skips = op._can_skip_downstream and op._expand_input_attr == "expand_input"
    else:
        empty = getattr(op, "inherits_from_empty_operator", False)
        skips = getattr(op, "inherits_from_skipmixin", False)
    if python_callable := getattr(op, "python_callable", None):
        form["python_callable_name"] = _callable_name(python_callable)
    if empty:
        form["_is_empty"] = True
    if skips:
        form["_can_skip_downstream"] = True
    if start_trigger_args := getattr(op, "start_trigger_args", None):
        form["start_trigger_args"] = _encode_start_trigger_args(start_trigger_args)
    if links := getattr(op, "operator_extra_links", None):
        if isinstance(links, property):  # a mapped operator holds the attribute of its operator's class
            links = links.__get__(op)
        form["_operator_extra_links"] = {link.name: link.xcom_key for link in links}

    for name in op.template_fields or ():
        if name in _FORBIDDEN_TEMPLATE_FIELDS:
            raise SerializationError(
                f"Failed to serialize DAG {dag.dag_id!r}: Cannot template BaseOperator field:\n{name!r}"
                f" op.__class__.__name__={type(op).__name__!r} op.template_fields={op.template_fields!r}"
            )
        if mapped and name != "email":  # the others are arguments of the operators that do not exist yet
            continue
        value = getattr(op, name, None)
        if not _is_left_out(name, value, dag):
            form[name] = serialize_template_field(value, name)
    if op.params:
        form["params"] = _encode_params(op.params)
    if mapped:
        _encode_mapping(op, dag, form)
    return form


def _encode_mapping(op: Any, dag: Any, form: dict[str, Any]) -> None:
    """Add what only a mapped operator has: ``OperatorSerialization.serialize_mapped_operator``."""
    form[op._expand_input_attr] = _encode_expand_input(getattr(op, op._expand_input_attr))
    form["_is_mapped"] = True
    if not op.partial_kwargs:
        return
    form["partial_kwargs"] = partial = {}
    for name, value in op.partial_kwargs.items():
        if name == "python_callable" or _is_left_out(name, value, dag):
            continue
        if name not in _FLAG_ONLY_FIELDS:
            partial[name] = encode_value(value)
        elif value:
            partial[f"has_{name}"] = True
    if python_callable := op.partial_kwargs.get("python_callable"):
        partial["python_callable_name"] = _callable_name(python_callable)


def _encode_expand_input(expand_input: Any) -> dict[str, Any]:
    return {"type": expand_input.EXPAND_INPUT_TYPE, "value": encode_value(expand_input.value)}


def _encode_start_trigger_args(args: Any) -> dict[str, Any]:
    return {
        "__type": "START_TRIGGER_ARGS",
        "trigger_cls": args.trigger_cls,
        "trigger_kwargs": encode_value(args.trigger_kwargs),
        "next_method": args.next_method,
        "next_kwargs": encode_value(args.next_kwargs),
        "timeout": args.timeout.total_seconds() if args.timeout else None,
    }


def _encode_weight_rule(rule: Any) -> str:
    """Encode a weight rule, or a strategy by the path of its class (which Airflow needs as a registered plugin)."""
    if isinstance(rule, str):
        rule = str(getattr(rule, "value", rule))
        prefix, _, name = rule.rpartition(".")
        return _WEIGHT_STRATEGIES.get(name, rule) if prefix == "airflow.task.priority_strategy" else rule
    cls = type(rule)
    return (_trusted(cls) and _WEIGHT_STRATEGIES.get(cls.__name__)) or _qualified_name(rule)


def _encode_params(params: Any) -> list[list[Any]]:
    """Encode Params in their order; plain values are boxed, as when Airflow parses the Dag."""
    get_param = getattr(params, "get_param", None)
    pairs = []
    for name, value in params.items():
        param = get_param(name) if get_param else value
        cls = type(param)
        if cls.__name__ == "Param" and _trusted(cls):
            pairs.append([name, _encode_param(param)])
        else:
            boxed = {"default": encode_value(param), "description": None, "source": None}
            boxed["schema"] = {"__type": "dict", "__var": {}}
            pairs.append([name, {"__class": "airflow.sdk.definitions.param.Param", **boxed}])
    return pairs


def _encode_param(param: Any) -> dict[str, Any]:
    cls = type(param)
    plain = cls.__name__ == "Param" and _trusted(cls)
    return {
        "__class": "airflow.sdk.definitions.param.Param" if plain else f"{cls.__module__}.{cls.__name__}",
        "default": encode_value(param.value),
        "description": encode_value(param.description),
        "schema": encode_value(param.schema),
        "source": encode_value(getattr(param, "source", None)),
    }


def _encode_task_group(group: Any) -> dict[str, Any]:
    """Encode a group and, in it, its children: ``TaskGroupSerialization.serialize_task_group``."""
    children: dict[str, list[Any]] = {}
    for label, child in group.children.items():
        if _kind_of(type(child)) == "task_group":
            children[label] = ["taskgroup", _encode_task_group(child)]
        else:
            children[label] = ["operator", child.task_id]
    form = {
        "_group_id": group._group_id,
        "group_display_name": group.group_display_name,
        "prefix_group_id": group.prefix_group_id,
        "tooltip": group.tooltip,
        "ui_color": group.ui_color,
        "ui_fgcolor": group.ui_fgcolor,
        "children": children,
        "upstream_group_ids": sorted(group.upstream_group_ids),
        "downstream_group_ids": sorted(group.downstream_group_ids),
        "upstream_task_ids": sorted(group.upstream_task_ids),
        "downstream_task_ids": sorted(group.downstream_task_ids),
    }
    if group.doc_md is not None:
        form["doc_md"] = group.doc_md
    if (expand_input := getattr(group, "_expand_input", None)) is not None:
        form["expand_input"] = _encode_expand_input(expand_input)
        form["is_mapped"] = True
    return form


def _task_dependencies(task: Any, dag_id: str) -> set[tuple[str, str, str, str, str]]:
    """Find what a task says of other Dags: ``_DependencyDetector.detect_task_dependencies``."""
    found = set()
    mapped = _kind_of(type(task)) == "mapped_operator"
    kind = _operator_plan(task.operator_class if mapped else type(task))[1]
    field = "trigger_dag_id" if kind == "trigger" else "external_dag_id"
    if kind and (not mapped or field in task.partial_kwargs):
        other = task.partial_kwargs[field] if mapped else getattr(task, field)
        source, target = (dag_id, other) if kind == "trigger" else (other, dag_id)
        found.add((source, target, task.task_display_name, kind, task.task_id))
    for outlet in task.outlets or ():
        if _kind_of(type(outlet)) != "asset":
            continue
        name = _asset_class(outlet)
        if name == "Asset":
            found.add((dag_id, "asset", outlet.name, "asset", _asset_dependency_id(outlet)))
        elif name == "AssetAlias":
            found.update(_asset_dependencies(outlet, dag_id, ""))
    return found


# --- Assets, schedules, deadlines -------------------------------------------------------------------------------------


def _known_class(value: Any, names: Any) -> str:
    """Name the first base of a value's class that is Airflow's and among ``names``; an empty string if none is."""
    for base in type(value).__mro__:
        if base.__name__ in names and _trusted(base):
            return base.__name__
    return ""


def _asset_class(asset: Any) -> str:
    return _known_class(asset, ("Asset", "AssetAlias", "AssetAll", "AssetAny", "AssetNameRef", "AssetUriRef"))


def _asset_dependency_id(asset: Any) -> str:
    import json

    return json.dumps({"name": asset.name, "uri": asset.uri})


def _asset_dependencies(asset: Any, source: str, target: str) -> list[tuple[str, str, str, str, str]]:
    """List the edges between assets and a Dag (``iter_dag_dependencies``, airflow.serialization.definitions.assets)."""
    name = _asset_class(asset)
    if name == "Asset":
        return [(source or "asset", target or "asset", asset.name, "asset", _asset_dependency_id(asset))]
    if name in ("AssetAll", "AssetAny"):
        return [edge for each in asset.objects for edge in _asset_dependencies(each, source, target)]
    if name:
        kind = {"AssetAlias": "asset-alias", "AssetNameRef": "asset-name-ref", "AssetUriRef": "asset-uri-ref"}[name]
        label = asset.uri if name == "AssetUriRef" else asset.name
        return [(source or kind, target or kind, label, kind, label)]
    return []


def _encode_asset(asset: Any) -> dict[str, Any]:
    """Encode an asset, alias, reference or condition: ``encode_asset_like`` of airflow.serialization.encoders."""
    name = _asset_class(asset)
    if name == "AssetAlias":
        return {"__type": "asset_alias", "name": asset.name, "group": asset.group}
    if name == "AssetAll" or name == "AssetAny":
        kind = "asset_all" if name == "AssetAll" else "asset_any"
        return {"__type": kind, "objects": [_encode_asset(each) for each in asset.objects]}
    if name == "AssetNameRef":
        return {"__type": "asset_ref", "name": asset.name}
    if name == "AssetUriRef":
        return {"__type": "asset_ref", "uri": asset.uri}
    if name != "Asset":
        raise ValueError(f"serialization not implemented for {type(asset).__name__!r}")
    form = {"__type": "asset", "name": asset.name, "uri": asset.uri, "group": asset.group, "extra": asset.extra}
    if asset.watchers:
        form["watchers"] = [{"name": w.name, "trigger": _encode_trigger(w.trigger)} for w in asset.watchers]
    if access := _encode_access_control(asset.access_control):
        form["access_control"] = access
    return form


def _encode_access_control(access: Any) -> dict[str, Any] | None:
    """Encode who may use an asset; None when that is everybody, the default."""
    if not access or (access.allow_global and not access.producer_teams and access.consumer_teams is None):
        return None
    form = {"producer_teams": access.producer_teams, "allow_global": access.allow_global}
    if access.consumer_teams is not None:
        form["consumer_teams"] = access.consumer_teams
    return form


def _encode_trigger(trigger: Any) -> dict[str, Any]:
    classpath, kwargs = trigger.serialize()
    encoded = {k: v if isinstance(v, dict) and "__type" in v else encode_value(v) for k, v in kwargs.items()}
    return {"classpath": classpath, "kwargs": encoded}


def _encode_timezone(timezone: Any) -> str | int:
    """Encode a time zone as its name, or a fixed offset as seconds; zero, and none at all, are "UTC"."""
    if timezone is None or isinstance(timezone, str):
        return timezone or "UTC"
    offset = getattr(timezone, "offset", None)  # pendulum's FixedTimezone
    if offset is None:
        name = getattr(timezone, "name", None) or getattr(timezone, "key", None)
        if name:
            return str(name)
        delta = timezone.utcoffset(None)
        if delta is None:
            raise ValueError(f"DAG timezone should be a pendulum.tz.Timezone, not {timezone!r}.")
        offset = int(delta.total_seconds())
    return offset or "UTC"


def _encode_relativedelta(delta: Any) -> dict[str, Any]:
    form = {k: v for k, v in delta.__dict__.items() if not k.startswith("_") and v}
    if weekday := delta.weekday:
        form["weekday"] = [weekday.weekday, weekday.n] if weekday.n else [weekday.weekday]
    return form


def _encode_interval(interval: Any) -> Any:
    return interval.total_seconds() if _kind_of(type(interval)) == "timedelta" else _encode_relativedelta(interval)


def _encode_timetable(timetable: Any) -> dict[str, Any]:
    """Encode a timetable under the path of its class in Airflow's core (``encode_timetable``).

    A timetable of the author's own (a plugin in Airflow) gives its own data through ``serialize()``.
    """
    cls = type(timetable)
    path = (_trusted(cls) and _TIMETABLES.get(cls.__name__)) or _qualified_name(timetable)
    name = _known_class(timetable, _TIMETABLES)
    if not name or "serialize" in cls.__dict__:
        return {"__type": path, "__var": timetable.serialize()}
    data: dict[str, Any] = {}
    if name in ("AssetOrTimeSchedule", "AssetTriggeredTimetable", "PartitionedAssetTimetable"):
        data["asset_condition"] = _encode_asset(timetable.asset_condition)
    if name == "AssetOrTimeSchedule":
        data["timetable"] = _encode_timetable(timetable.timetable)
    elif name == "PartitionedAssetTimetable":
        data["default_partition_mapper"] = _encode_partition_mapper(timetable.default_partition_mapper)
        data["partition_mapper_config"] = [
            [_encode_asset(asset), _encode_partition_mapper(mapper)]
            for asset, mapper in timetable.partition_mapper_config.items()
        ]
    elif name == "EventsTimetable":
        data["event_dates"] = [date.isoformat(sep="T") for date in timetable.event_dates]
        data["restrict_to_events"] = timetable.restrict_to_events
        data["description"] = timetable.description
    elif "Delta" in name:
        data["delta"] = _encode_interval(timetable.delta)
        if name == "DeltaTriggerTimetable":
            data["interval"] = _encode_interval(timetable.interval)
    elif "Cron" in name:
        first = timetable
        if name == "MultipleCronTriggerTimetable":  # all of them share everything but the expression
            first = timetable.timetables[0]
            data["expressions"] = [each.expression for each in timetable.timetables]
        else:
            data["expression"] = timetable.expression
        data["timezone"] = _encode_timezone(first.timezone)
        if name != "CronDataIntervalTimetable":
            immediately = first.run_immediately
            data["run_immediately"] = immediately if isinstance(immediately, bool) else _encode_interval(immediately)
        if name == "CronPartitionTimetable":
            data["run_offset"] = timetable.run_offset
            data["key_format"] = timetable.key_format
        elif name != "CronDataIntervalTimetable":
            data["interval"] = _encode_interval(first.interval)
    return {"__type": path, "__var": data}


def _encode_partition_mapper(mapper: Any) -> dict[str, Any]:
    cls = type(mapper)
    if not _trusted(cls) or cls.__name__ not in _PARTITION_MAPPERS:
        return {"__type": _qualified_name(mapper), "__var": mapper.serialize()}
    module, names = _PARTITION_MAPPERS[cls.__name__]
    data: dict[str, Any] = {}
    for name in names.split():
        if name == "timezone":
            data[name] = _encode_timezone(mapper._timezone)
        elif name == "window":
            data[name] = _encode_window(mapper.window)
        elif name == "wait_policy":
            data[name] = _encode_wait_policy(mapper.wait_policy)
        elif name == "mappers":
            data[name] = [_encode_partition_mapper(each) for each in mapper.mappers]
        elif name.endswith("_mapper"):
            data[name] = _encode_partition_mapper(getattr(mapper, name))
        else:
            data[name] = getattr(mapper, name)
    if mapper.max_downstream_keys is not None:
        data["max_downstream_keys"] = mapper.max_downstream_keys
    return {"__type": f"airflow.partition_mappers.{module}.{cls.__name__}", "__var": data}


def _encode_window(window: Any) -> dict[str, Any]:
    cls = type(window)
    if not _trusted(cls) or cls.__name__ not in _WINDOWS:
        return {"__type": _qualified_name(window), "__var": window.serialize()}
    if cls.__name__ == "SegmentWindow":
        data: dict[str, Any] = {"segments": sorted(window._segments)}
    else:
        data = {"direction": getattr(window.direction, "value", window.direction)}
    return {"__type": f"airflow.partition_mappers.window.{cls.__name__}", "__var": data}


def _encode_wait_policy(policy: Any) -> dict[str, Any]:
    cls = type(policy)
    if not _trusted(cls) or cls.__name__ not in _WAIT_POLICIES:
        raise ValueError(
            f"WaitPolicy class {_qualified_name(policy)!r} is not a built-in. Use one of {', '.join(_WAIT_POLICIES)}."
        )
    data = {"n": policy.n} if cls.__name__ == "MinimumCount" else {}
    return {"__type": f"airflow.partition_mappers.wait_policy.{cls.__name__}", "__var": data}


def _encode_deadline(deadline: Any) -> dict[str, Any]:
    """Encode a deadline alert (``encode_deadline_alert``): its interval and callback are in the form of XCom values."""
    reference = deadline.reference.serialize_reference()
    if not _trusted(type(deadline.reference)):
        reference["__class_path"] = _qualified_name(deadline.reference)
    interval = deadline.interval
    if _kind_of(type(interval)) == "timedelta":
        encoded = serialize_value(interval)
    else:
        path = "airflow.sdk.definitions.deadline.VariableInterval"
        encoded = {"__classname__": path, "__version__": 0, "__data__": {"key": interval.key}}
    callback = deadline.callback
    data = {"path": str(callback.path), "kwargs": serialize_value(callback.kwargs)}
    name = _known_class(callback, ("AsyncCallback", "SyncCallback"))
    if name == "SyncCallback":
        data["executor"] = callback.executor
    exact = type(callback).__name__ == name
    path = f"airflow.sdk.definitions.callback.{name}" if exact else _qualified_name(callback)
    return {
        "name": deadline.name,
        "reference": reference,
        "interval": encoded,
        "callback": {"__classname__": path, "__version__": 0, "__data__": data},
    }


# --- Values -----------------------------------------------------------------------------------------------------------

_kinds: dict[type, str] = {}


def _kind_of(cls: type) -> str:
    """Tell, once per class, how its instances are encoded; an empty string means as ``str()`` of them."""
    kind = _kinds.get(cls)
    if kind is None:
        kind = ""
        for base in cls.__mro__:
            kind = _FOREIGN_KINDS.get((base.__module__, base.__name__), "")
            if not kind and base.__name__ in _KINDS and _trusted(base):
                kind = _KINDS[base.__name__]
            if kind:
                break
        if kind in _KINDS_AFTER_CALLABLE and any("__call__" in base.__dict__ for base in cls.__mro__):
            kind = "callable"
        _kinds[cls] = kind
    return kind


def _bare(encoded: Any) -> Any:
    """Unwrap a typed value: fields whose type the schema knows are stored without it."""
    return encoded["__var"] if isinstance(encoded, dict) and "__type" in encoded else encoded


def encode_value(value: Any) -> Any:
    """Encode any value inside a Dag: JSON types as they stand, others as ``{"__type": ..., "__var": ...}``.

    What has no type of its own becomes source code (callables) or ``str(value)``, as ``BaseSerialization.serialize``
    of airflow.serialization.serialized_objects does.
    """
    if value is None:
        return None
    cls = type(value)
    if cls is str or cls is int or cls is bool:
        return value
    kind = _kind_of(cls)
    if kind == "scalar":
        if isinstance(value, float):
            return value if value - value == 0 else str(value)  # JSON has no infinity and no NaN
        return value.value if hasattr(value, "value") and hasattr(cls, "__members__") else value
    if kind == "dict":
        return {"__type": "dict", "__var": {str(k): encode_value(v) for k, v in value.items()}}
    if kind == "list":
        return [encode_value(each) for each in value]
    encoder = _VALUE_ENCODERS.get(kind)
    if encoder is not None:
        typed, encode = encoder
        return {"__type": typed, "__var": encode(value)}
    if kind == "callable":
        return _source_of(value)
    if kind == "asset":
        encoded = _encode_asset(value)
        return {"__type": encoded.pop("__type"), "__var": encoded}
    if kind == "mapped_operator" or kind == "operator":
        return {"__type": "operator", "__var": _encode_task(value, value.dag)}
    if kind == "task_group":
        return _encode_task_group(value)
    if kind == "resources":
        return value.to_dict()
    if kind == "exception":
        return _encode_exception(value)
    return str(value)


def _encode_set(values: set[Any]) -> list[Any]:
    encoded = [encode_value(each) for each in values]
    try:
        return sorted(encoded)
    except TypeError:
        return encoded


def _encode_xcom_arg(arg: Any) -> dict[str, Any]:
    """Encode a reference to an XCom: ``serialize_xcom_arg`` of airflow.sdk.definitions.xcom_arg."""
    name = _known_class(arg, ("MapXComArg", "ZipXComArg", "ConcatXComArg"))
    if name == "MapXComArg":
        import inspect

        sources = [inspect.getsource(each) if callable(each) else each for each in arg.callables]
        return {"type": "map", "arg": _encode_xcom_arg(arg.arg), "callables": sources}
    if not name:
        return {"task_id": arg.operator.task_id, "key": arg.key}
    form: dict[str, Any] = {"type": "zip" if name == "ZipXComArg" else "concat"}
    form["args"] = [_encode_xcom_arg(each) for each in arg.args]
    if name == "ZipXComArg" and _kind_of(type(arg.fillvalue)) != "arg_not_set":
        form["fillvalue"] = arg.fillvalue
    return form


def _encode_exception(error: Any) -> dict[str, Any]:
    if hasattr(error, "serialize"):
        path, args, kwargs = error.serialize()
        return {
            "__type": "airflow_exc_ser",
            "__var": encode_value({"exc_cls_name": path, "args": args, "kwargs": kwargs}),
        }
    if not isinstance(error, (KeyError, AttributeError)):
        return str(error)  # type: ignore[return-value]
    content = {"exc_cls_name": type(error).__name__, "args": [error.args], "kwargs": {}}
    return {"__type": "base_exc_ser", "__var": encode_value(content)}


def _encode_pod(pod: Any) -> Any:
    from kubernetes.client.api_client import ApiClient  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return ApiClient().sanitize_for_serialization(pod)


_VALUE_ENCODERS: dict[str, tuple[str, Any]] = {
    "arg_not_set": ("arg_not_set", lambda value: None),
    "asset_alias_unique_key": ("asset_alias_unique_key", lambda key: {"name": key.name}),
    "asset_unique_key": ("asset_unique_key", lambda key: {"name": key.name, "uri": key.uri}),
    "dag": ("dag", lambda dag: _encode_dag(dag, None)),
    "datetime": ("datetime", lambda value: value.timestamp()),
    "deadline_alert": ("deadline_alert", _encode_deadline),
    "mapped_argument": ("mapped_argument", lambda v: {"input": _encode_expand_input(v._input), "key": v._key}),
    "param": ("param", _encode_param),
    "pod": ("k8s.V1Pod", _encode_pod),
    "relativedelta": ("relativedelta", _encode_relativedelta),
    "set": ("set", _encode_set),
    "timedelta": ("timedelta", lambda value: value.total_seconds()),
    "timezone": ("timezone", _encode_timezone),
    "tuple": ("tuple", lambda value: [encode_value(each) for each in value]),
    "xcom": ("xcomref", _encode_xcom_arg),
}


def _callable_name(function: Any) -> str:
    """Name a callable without its module, so that the name survives a move of the file."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if name is None and hasattr(function, "func"):
        return _callable_name(function.func)
    return name or type(function).__qualname__


def _qualified_name(value: Any, use_qualname: bool = False) -> str:
    """Give the dotted path of a callable, or of the class of any other value (``qualname`` of Airflow)."""
    if callable(value) and hasattr(value, "__module__"):
        name = (use_qualname and getattr(value, "__qualname__", None)) or getattr(value, "__name__", None)
        if name:
            return f"{value.__module__}.{name}"
    cls = value if isinstance(value, type) else type(value)
    return f"{cls.__module__}.{cls.__qualname__}"


def _source_of(function: Any) -> str:
    import functools
    import inspect

    if isinstance(function, functools.partial):
        return inspect.getsource(function.func)
    for candidate in (function, getattr(type(function), "__call__", None)):  # noqa: B004
        try:
            return inspect.getsource(candidate)  # type: ignore[arg-type]
        except TypeError:
            continue
    return f"No source code available for {type(function)}"


# --- Template fields --------------------------------------------------------------------------------------------------

_TRUNCATED = "Truncated. You can change this behaviour in [core]max_templated_field_length. "
_SENSITIVE_NAMES = (
    "access_key access_token api_key apikey auth_header authorization bearer connection_string dsn keyfile_dict"
    " passphrase passwd password private_key proxies proxy secret service_account service_key token webhook_url".split()
)


def serialize_template_field(value: Any, name: str) -> Any:
    """Encode the value of a template field: plain JSON, the same at every parse (``serialize_template_field``).

    A value longer than ``AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH`` (4096 characters) is redacted and cut.
    """
    encoded = _encode_template_value(value)
    text = encoded if isinstance(encoded, str) else str(encoded)
    limit = int(os.environ.get("AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH") or 4096)
    if len(text) <= limit:
        return encoded
    text = str(_redact_named(encoded, name))
    if limit <= 0:
        return ""
    room = limit - len(_TRUNCATED) - 3
    return f"{_TRUNCATED}{text[:room].rstrip()}..." if room >= 7 else f"{_TRUNCATED}..."


def _encode_template_value(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        pairs = [(str(_encode_template_value(k)), _encode_template_value(v)) for k, v in value.items()]
        return dict(sorted(pairs, key=lambda pair: pair[0]))
    if isinstance(value, (list, tuple)):
        return [_encode_template_value(each) for each in value]
    if isinstance(value, (set, frozenset)):
        encoded = [_encode_template_value(each) for each in value]
        return sorted(encoded, key=lambda each: (type(each).__name__, str(each)))
    cls = type(value)
    bases = value.__mro__ if isinstance(value, type) else cls.__mro__
    if any(callable(base.__dict__.get("serialize")) for base in bases):  # a __getattr__ must not answer this
        return _encode_template_value(value.serialize())
    if cls.__module__.startswith(("kubernetes.", "kubernetes_asyncio.")) and hasattr(cls, "to_dict"):
        return _encode_template_value(value.to_dict())
    if callable(value):
        return f"<callable {_qualified_name(value, True)}>"
    if cls.__str__ is not object.__str__ or cls.__repr__ is not object.__repr__:
        return str(value)
    return f"<{_qualified_name(cls, True)} object>"


def _redact_named(value: Any, name: Any) -> Any:
    """Replace the strings under a sensitive name by three stars, as Airflow's secrets masker does before it cuts."""
    if isinstance(name, str):
        import re

        normal = re.sub(r"\W+", "_", name.strip().lower())
        if any(each in normal for each in _SENSITIVE_NAMES):
            return _redact_strings(value)
    if isinstance(value, dict):
        return {k: _redact_named(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_redact_named(each, None) for each in value]
    return value


def _redact_strings(value: Any) -> Any:
    if isinstance(value, str):
        return "***"
    if isinstance(value, dict):
        return {k: _redact_strings(v) for k, v in value.items()}
    return [_redact_strings(each) for each in value] if isinstance(value, list) else value


########################################################################################################################
# Runner: one task, from StartupDetails to its terminal message
########################################################################################################################
#
# The yardstick is airflow/sdk/execution_time/task_runner.py: the same requests in the same order. Where we differ it
# is because a bundle can do better, and the place says so.

# --- log channel ------------------------------------------------------------------------------------------------------

_LEVELS = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10}
_LEVEL_NUMBERS = {**_LEVELS, "fatal": 50, "warn": 30, "notset": 0}
# Keys that mean something else to the supervisor's own logger, and those that a line sets itself.
_RESERVED_LOG_KEYS = frozenset({"msg", "target", "method_name", "self", "event", "level", "timestamp", "logger"})
_MAX_LOG_DEPTH = 20


def _json_string(text: str) -> str:
    """Encode a string as JSON; a lone surrogate, which no UTF-8 reader takes, as an escape of itself."""
    encode = _json_string_encoder()
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "backslashreplace").decode()
    return encode(text)


_json_string_encoders: list[Any] = []


def _json_string_encoder() -> Callable[[str], str]:
    if not _json_string_encoders:
        try:
            # The C half of json; importing json itself would bring re, enum and half a millisecond of each start.
            from _json import encode_basestring_ascii
        except ImportError:
            from json.encoder import encode_basestring_ascii  # type: ignore[assignment]
        _json_string_encoders.append(encode_basestring_ascii)
    return _json_string_encoders[0]


def log_json(value: Any, depth: int = 0) -> str:
    """Encode a value for a log line. Whatever JSON has no form for becomes its text."""
    if isinstance(value, str):
        return _json_string(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value) if -(2**63) <= value < 2**64 else f'"{int(value)}"'
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else f'"{float(value)}"'
    if depth < _MAX_LOG_DEPTH:
        if isinstance(value, dict):
            items = (f"{_json_string(_text(k))}: {log_json(v, depth + 1)}" for k, v in list(value.items()))
            return f"{{{', '.join(items)}}}"
        if isinstance(value, (list, tuple, set, frozenset)):
            return f"[{', '.join([log_json(each, depth + 1) for each in list(value)])}]"
    return _json_string(_text(value))


def _text(value: object) -> str:
    """Return `str(value)`, or what can be said of a value whose `str()` raises."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} whose str() raised {type(error).__name__}>"


def _timestamp(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC."""
    whole = int(seconds)
    year, month, day, hour, minute, second, *_ = time.gmtime(whole)
    micro = int((seconds - whole) * 1_000_000)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00"


def exception_dicts(error: BaseException) -> list[dict[str, Any]]:
    """Return an exception and what led to it in the form that Airflow's UI unfolds (structlog's dict tracebacks)."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    is_cause = False
    while current is not None and id(current) not in seen and len(found) < 20:
        seen.add(id(current))
        found.append(_exception_dict(current, is_cause))
        is_cause = current.__cause__ is not None
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def _exception_dict(error: BaseException, is_cause: bool) -> dict[str, Any]:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        # The runner's own frames say nothing about the task.
        if trace.tb_frame.f_globals is not globals():
            frames.append({"filename": code.co_filename, "lineno": trace.tb_lineno, "name": code.co_name})
        trace = trace.tb_next
    syntax = None
    if isinstance(error, SyntaxError):
        syntax = {
            "offset": error.offset or 0,
            "filename": error.filename or "?",
            "line": error.text or "",
            "lineno": error.lineno or 0,
            "msg": error.msg,
        }
    inner = getattr(error, "exceptions", None)
    is_group = isinstance(inner, tuple) and type(error).__name__.endswith("Group")
    return {
        "exc_type": type(error).__name__,
        "exc_value": _text(error),
        "exc_notes": [_text(note) for note in getattr(error, "__notes__", ())],
        "syntax_error": syntax,
        "is_cause": is_cause,
        "frames": frames[-50:],
        "is_group": is_group,
        "exceptions": [exception_dicts(each) for each in inner] if is_group and inner else [],
    }


class LogChannel:
    """Sends log records to the supervisor, one JSON object a line; keeps them until there is somewhere to send them.

    `connect` gives it the function that writes to the log socket. When that fails, records go to stderr instead: a
    log that is gone never stops a task.
    """

    def __init__(self) -> None:
        import _thread

        self._lock = _thread.RLock()
        self._write: Callable[[bytes], None] | None = None
        self._early: list[bytes] | None = []
        self._bound = ""
        self.level = _LEVEL_NUMBERS.get(os.environ.get("AIRFLOW__LOGGING__LOGGING_LEVEL", "").strip().lower(), 20)
        self.namespace_levels: dict[str, int] = {}
        for item in os.environ.get("AIRFLOW__LOGGING__NAMESPACE_LEVELS", "").replace(",", " ").split():
            name, _, level = item.partition("=")
            if level.lower() in _LEVEL_NUMBERS:
                self.namespace_levels[name] = _LEVEL_NUMBERS[level.lower()]

    def connect(self, write: Callable[[bytes], None]) -> None:
        """Send what has gathered so far, in order, and everything from now on."""
        with self._lock:
            early, self._early = self._early or [], None
            self._write = write
            for line in early:
                self._send(line)

    def flush_to_stderr(self) -> None:
        """Without a supervisor: print what has gathered, and everything from now on."""
        self.connect(_write_stderr)

    def bind(self, **fields: Any) -> None:
        """Put fields on every line from now on, so that one search finds all that a task instance logged."""
        self._bound = "".join(f", {_json_string(key)}: {log_json(value)}" for key, value in fields.items())

    def is_enabled(self, level: int, logger: str) -> bool:
        """Say whether a record of a level is wanted; the most specific namespace that has a level decides."""
        if self.namespace_levels:
            name = logger
            while name:
                if name in self.namespace_levels:
                    return level >= self.namespace_levels[name]
                name = name.rpartition(".")[0]
        return level >= self.level

    def emit(
        self,
        level: str,
        event: object,
        logger: str = "task",
        error: BaseException | None = None,
        created: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Send one record.

        :param created: seconds since the epoch; now when None.
        :param fields: further keys; those that the line or the supervisor uses itself get a trailing underscore.
        """
        stamp = _timestamp(time.time() if created is None else created)
        parts = [
            f'{{"timestamp": "{stamp}", "level": "{level}", "event": {_json_string(_text(event))}, '
            f'"logger": {_json_string(logger)}{self._bound}'
        ]
        for key, value in (fields or {}).items():
            key = _text(key)
            if key in _RESERVED_LOG_KEYS or (key == "exception" and error is not None):
                key += "_"
            parts.append(f"{_json_string(key)}: {log_json(value)}")
        if error is not None:
            parts.append(f'"exception": {log_json(exception_dicts(error))}')
        line = (", ".join(parts) + "}\n").encode()
        with self._lock:
            if self._early is not None:
                self._early.append(line)
            else:
                self._send(line)

    def _send(self, line: bytes) -> None:
        assert self._write is not None
        try:
            self._write(line)
        except OSError:
            if self._write is not _write_stderr:
                self._write = _write_stderr
                self._send(line)


def _write_stderr(line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(2, view) :]


log_channel = LogChannel()


def log_event(level: str, event: str, *, logger: str = "task", exc_info: Any = None, **fields: Any) -> None:
    """Log as Airflow's runner does: an event with fields.

    :param exc_info: an exception, or true for the one being handled.
    """
    if not log_channel.is_enabled(_LEVELS[level], logger):
        return
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1] if exc_info else None
    log_channel.emit(level, event, logger, error, None, fields)


# Attributes of every logging.LogRecord; what else a record has came in through `extra=`.
_RECORD_ATTRIBUTES = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created "
    "msecs relativeCreated thread threadName processName process taskName message asctime".split()
)


def attach_logging(logging: Any) -> None:
    """Make the standard logging package write to the log channel, with the levels that Airflow asked for."""

    class SupervisorHandler(logging.Handler):  # type: ignore[misc, name-defined]
        def emit(self, record: Any) -> None:
            try:
                event = record.getMessage()
            except Exception as error:
                event = f"{record.msg} (arguments {record.args!r} do not fit: {error})"
            number = record.levelno
            level = next((name for name, least in _LEVELS.items() if number >= least), "debug")
            own = record.__dict__
            fields = {key: value for key, value in own.items() if key not in _RECORD_ATTRIBUTES}
            fields.setdefault("filename", record.filename)
            fields.setdefault("lineno", record.lineno)
            if record.stack_info:
                fields["stack"] = record.stack_info
            raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            log_channel.emit(level, event, record.name, raised, record.created, fields)

    root = logging.getLogger()
    root.addHandler(SupervisorHandler())
    root.setLevel(log_channel.level)
    for name, number in log_channel.namespace_levels.items():
        logging.getLogger(name).setLevel(number)


class _LoggingImport:
    """Attaches the log channel to logging at the moment a Dag file or a library first imports it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "logging":
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader = _AttachingLoader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _AttachingLoader:
    """The loader of logging, with `attach_logging` behind it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        attach_logging(module)


def capture_logging() -> None:
    """Send what the process logs, warns of and prints to the log channel (print by way of the supervisor)."""
    if "logging" in sys.modules:
        attach_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, _LoggingImport())  # type: ignore[arg-type]
    import warnings

    def showwarning(
        message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        log_event(
            "warning",
            _text(message),
            logger="py.warnings",
            category=category.__name__,
            filename=filename,
            lineno=lineno,
        )

    warnings.showwarning = showwarning
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


# --- supervisor client ------------------------------------------------------------------------------------------------


class SupervisorGone(BundleError):
    """The supervisor has closed the connection, or what it sends makes no sense. Nothing can be reported any more."""


class Transport:
    """A byte stream to the supervisor: a connected socket, or a pair of file descriptors."""

    def __init__(self, sock: Any = None, read_fd: int = -1, write_fd: int = -1) -> None:
        self._socket = sock
        self._read_fd, self._write_fd = read_fd, write_fd

    @classmethod
    def dial(cls, address: tuple[str, int]) -> Transport:
        """Connect over TCP.

        :raises SupervisorGone: when nobody listens there.
        """
        import _socket

        host, port = address
        try:
            family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
            if host.replace(".", "").isdigit() or ":" in host:
                target: Any = (host, port)
            else:
                family, _, _, _, target = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
            sock = _socket.socket(family, _socket.SOCK_STREAM)
            sock.connect(target)
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except OSError as error:
            raise SupervisorGone(
                f"cannot connect to the supervisor at {host}:{port}: {error.strerror or error}; "
                "these addresses are given by Airflow, which must be running and waiting for this process"
            ) from None
        return cls(sock)

    @classmethod
    def stdio(cls) -> Transport:
        """Use file descriptor 0 when it is a socket, else stdin and stdout; keep both out of the task's reach."""
        import stat

        try:
            is_socket = stat.S_ISSOCK(os.fstat(0).st_mode)
        except OSError as error:
            raise SupervisorGone(f"--stdio needs a supervisor at the other end of stdin: {error.strerror}") from None
        read_fd = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        if is_socket:
            import _socket

            return cls(_socket.socket(fileno=read_fd))
        write_fd = os.dup(1)
        sys.stdout.flush()
        os.dup2(2, 1)
        return cls(read_fd=read_fd, write_fd=write_fd)

    def receive_into(self, buffer: Any) -> int:
        if self._socket is not None:
            return self._socket.recv_into(buffer)
        return os.readv(self._read_fd, [buffer])

    def send_all(self, data: Any) -> None:
        if self._socket is not None:
            self._socket.sendall(data)
            return
        view = memoryview(data)
        while view:
            view = view[os.write(self._write_fd, view) :]


class SupervisorClient:
    """Asks the supervisor and waits for its answer; usable from several threads, one request at a time."""

    def __init__(self, transport: Transport) -> None:
        import _thread

        self._transport = transport
        self._reader = FrameReader()
        self._lock = _thread.allocate_lock()
        self._get_ident = _thread.get_ident
        self._exchanging = 0
        self._interrupt: Callable[[], Any] | None = None
        self._next_id = 0
        self._pid = os.getpid()
        self.context_carrier: dict[str, str] | None = None

    def receive_startup(self) -> StartupDetails | DagFileParseRequest:
        """Return the message that the supervisor starts with.

        :raises SupervisorGone: when it sends none, or another.
        """
        body, error = self._receive(None)
        if error is not None:
            said = _shown(error.get("error"))
            raise SupervisorGone(f"the supervisor started with the error {said} instead of a task")
        message = decode_message(body or {})
        if not isinstance(message, (StartupDetails, DagFileParseRequest)):
            raise SupervisorGone(
                f"the supervisor started with {type(message).__name__} where StartupDetails or DagFileParseRequest "
                "was expected; does its version fit this bundle's schema " + SCHEMA_VERSION + "?"
            )
        return message

    def send(self, message: Message) -> Message | None:
        """Send a request and return the answer; None when it has no content.

        :raises AirflowRuntimeError: when the supervisor answers that the request failed.
        :raises SupervisorGone: when no answer can come any more.
        :raises MessageError, FrameError: when the request cannot be sent as it is; nothing was sent then.
        """
        if os.getpid() != self._pid:
            raise SupervisorGone("this process was forked from the task; only the task itself talks to the supervisor")
        body = message.to_body()
        with self._lock:
            request_id = self._next_id
            frame = encode_request(request_id, body, self.context_carrier)
            self._exchanging = self._get_ident()
            try:
                self._next_id += 1
                try:
                    self._transport.send_all(frame)
                except OSError as error:
                    raise SupervisorGone(f"cannot send {type(message).__name__} to the supervisor: {error}") from None
                del frame
                answer, failure = self._receive(request_id)
            finally:
                self._exchanging = 0
                interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()
        if failure is not None:
            raise AirflowRuntimeError(_as_error_response(failure))
        return None if answer is None else decode_message(answer)

    def interrupt(self, action: Callable[[], Any]) -> None:
        """Call, from a signal handler, what raises an exception: at once, or when this thread has its answer.

        An exception between two reads would lose bytes that have arrived, and every later answer with them.
        """
        if self._exchanging == self._get_ident():
            self._interrupt = action
        else:
            action()

    async def asend(self, message: Message) -> Message | None:
        """Send a request without holding up the event loop."""
        import asyncio

        return await asyncio.to_thread(self.send, message)

    def _receive(self, request_id: int | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        while True:
            payload = self._reader.next_frame()
            if payload is None:
                self._fill()
                continue
            answer_id, body, error = decode_response(payload)
            if request_id is None or answer_id == request_id:
                return body, error
            if answer_id > request_id:
                raise SupervisorGone(f"the supervisor answered request {answer_id} when {request_id} was the last")
            log_event("warning", "Ignoring a late answer from the supervisor", answer_id=answer_id, expected=request_id)

    def _fill(self) -> None:
        try:
            count = self._transport.receive_into(self._reader.get_buffer())
        except OSError as error:
            raise SupervisorGone(f"the connection to the supervisor broke: {error}") from None
        if not count:
            try:
                self._reader.end()
            except FrameError as error:
                raise SupervisorGone(f"the supervisor went away in the middle of an answer: {error}") from None
            raise SupervisorGone("the supervisor closed the connection without an answer")
        self._reader.buffer_updated(count)


def _as_error_response(failure: dict[str, Any]) -> ErrorResponse:
    """Read an error from its slot in the frame; one of a shape we do not know is kept as a generic error."""
    try:
        message = decode_message({"type": "ErrorResponse", **failure})
    except MessageError:
        message = None
    if isinstance(message, ErrorResponse):
        return message
    return ErrorResponse(error=ErrorType("GENERIC_ERROR"), detail={"message": _text(failure)})


# What `Variable`, `Connection`, `XCom` and the rest talk to; None outside a task.
supervisor: SupervisorClient | None = None


def ask(message: Message) -> Any:
    """Send a request on behalf of task code.

    :raises BundleError: outside a task.
    """
    if supervisor is None:
        raise BundleError(
            f"{type(message).__name__} needs Airflow's supervisor, and nothing is running under one here: "
            "this works inside a task"
        )
    return supervisor.send(message)


def ask_or_raise(message: Message) -> Any:
    """Send a request and raise what comes back as an error.

    :raises AirflowRuntimeError: with the `ErrorResponse`.
    """
    answer = ask(message)
    if isinstance(answer, ErrorResponse):
        raise AirflowRuntimeError(answer)
    return answer


# --- secrets ----------------------------------------------------------------------------------------------------------

# Words that make the name of a variable or field sensitive (airflow.sdk._shared.secrets_masker).
_SENSITIVE_WORDS = (
    "access_key access_token api_key apikey auth_header authorization bearer connection_string dsn passphrase passwd "
    "password private_key proxy proxy_password proxies secret service_account service_key token keyfile_dict "
    "webhook_url"
).split()

_masked: set[str] = set()


def should_hide_value_for_key(name: object) -> bool:
    """Say whether a name is that of something secret."""
    if not isinstance(name, str):
        return False
    normalized = "".join(c if c.isalnum() or c == "_" else " " for c in name.strip().lower())
    normalized = "_".join(normalized.split())
    return any(word in normalized for word in _SENSITIVE_WORDS)


def mask_secret(secret: Any, name: str | None = None) -> None:
    """Keep a value out of the task log and out of rendered fields.

    :param name: when given, the value is masked only if the name is that of something secret.
    """
    _add_mask(secret, name)
    if supervisor is not None and secret:
        ask(MaskSecret(value=secret, name=name))


def _add_mask(secret: Any, name: str | None = None) -> None:
    if isinstance(secret, dict):
        for key, value in secret.items():
            _add_mask(value, key)
    elif isinstance(secret, str):
        if len(secret) >= 5 and secret != "airflow" and (not name or should_hide_value_for_key(name)):
            _masked.add(secret)
    elif isinstance(secret, (list, tuple, set)):
        for value in secret:
            _add_mask(value, name)


def redact(value: Any, name: str | None = None, replacement: str = "***") -> Any:
    """Return a value with everything secret replaced: under a sensitive name, or a masked string within it."""
    if name and should_hide_value_for_key(name):
        return _redact_all(value, replacement)
    if isinstance(value, dict):
        return {key: redact(each, key if isinstance(key, str) else None, replacement) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        items = [redact(each, None, replacement) for each in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, str):
        for secret in sorted(_masked, key=len, reverse=True):
            value = value.replace(secret, replacement)
    return value


def _redact_all(value: Any, replacement: str) -> Any:
    if isinstance(value, str):
        return replacement
    if isinstance(value, dict):
        return {key: _redact_all(each, replacement) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        items = [_redact_all(each, replacement) for each in value]
        return items if isinstance(value, list) else tuple(items)
    return value


# --- variables, connections, XComs ------------------------------------------------------------------------------------


def _note_read_at_import(what: str, key: str, outcome: str) -> None:
    """Remember what a Dag file read while it was imported without a supervisor: a running task may see it otherwise."""
    place = _caller()
    where = f"{place[0]}:{place[1]}" if place else "?"
    reads_at_import.append(f"{where}: reads the {what} {key!r} while the file is imported: {outcome}")


reads_at_import: list[str] = []


class Variable(Record):
    """Airflow's variables: from the environment (`AIRFLOW_VAR_<KEY>`) first, then from Airflow."""

    __module__ = "airflow.sdk.definitions.variable"
    key: str
    value: Any = None
    description: str | None = None

    @classmethod
    def get(cls, key: str, default: Any = NOTSET, deserialize_json: bool = False) -> Any:
        """Return a variable, or `default` where it does not exist.

        :raises AirflowRuntimeError: when it does not exist and there is no default.
        """
        try:
            return _get_variable(key, deserialize_json)
        except AirflowRuntimeError as error:
            if error.error.error == "VARIABLE_NOT_FOUND" and is_arg_set(default):
                _add_mask(default, key)
                return default
            raise

    @classmethod
    def set(cls, key: str, value: Any, description: str | None = None, serialize_json: bool = False) -> None:
        if f"AIRFLOW_VAR_{key.upper()}" in os.environ:
            log_event(
                "warning",
                f"The variable {key} is defined in the environment, which takes precedence over reading from the "
                f"API Server. The value there will be updated, but to read it you have to unset AIRFLOW_VAR_"
                f"{key.upper()}",
            )
        if serialize_json:
            import json

            value = json.dumps(value, indent=2)
        ask_or_raise(PutVariable(key=key, value=value, description=description))

    @classmethod
    def delete(cls, key: str) -> None:
        ask_or_raise(DeleteVariable(key=key))

    @classmethod
    def keys(cls, prefix: str | None = None) -> list[str]:
        """Return the keys of all variables, in pages of 1,000."""
        found: list[str] = []
        while True:
            page = ask_or_raise(GetVariableKeys(prefix=prefix, limit=1000, offset=len(found)))
            found.extend(page.keys)
            if len(page.keys) < 1000:
                return found


def _get_variable(key: str, deserialize_json: bool) -> Any:
    raw = os.environ.get(f"AIRFLOW_VAR_{key.upper()}")
    if raw is not None:
        mask_secret(raw, key)
    elif supervisor is None:
        _note_read_at_import("Variable", key, "there is no Airflow to ask here, a task will ask it at each start")
        raise AirflowRuntimeError(
            ErrorResponse(
                error=ErrorType("VARIABLE_NOT_FOUND"),
                detail={
                    "message": f"Variable {key} not found: outside a task there is only the environment; give a "
                    f"default, set AIRFLOW_VAR_{key.upper()}, or read it inside the task"
                },
            )
        )
    else:
        answer = ask(GetVariable(key=key))
        if not isinstance(answer, VariableResult) or answer.value is None:
            if isinstance(answer, ErrorResponse) and answer.error != "VARIABLE_NOT_FOUND":
                raise AirflowRuntimeError(answer)
            detail = {"message": f"Variable {key} not found"}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType("VARIABLE_NOT_FOUND"), detail=detail))
        raw = answer.value
        _add_mask(raw, key)
    if not deserialize_json:
        return raw
    import json

    try:
        value = json.loads(raw)
    except ValueError as error:
        # For Airflow this variable does not exist, so that a default is taken here too.
        log_event("error", f"The variable {key} is no JSON", exc_info=error)
        detail = {"message": f"Variable {key} not found"}
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType("VARIABLE_NOT_FOUND"), detail=detail)) from None
    _add_mask(value, None if isinstance(value, dict) else key)
    return value


class Connection(Record):
    """Airflow's connections: from the environment (`AIRFLOW_CONN_<ID>`, as URI or JSON) first, then from Airflow."""

    __module__ = "airflow.sdk.definitions.connection"
    conn_id: str
    conn_type: str | None = None
    description: str | None = None
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    extra: str | None = None

    EXTRA_KEY = "__extra__"

    def __init__(self, *, conn_id: str, uri: str | None = None, **fields: Any) -> None:
        if uri is None:
            super().__init__(conn_id=conn_id, **fields)
            return
        if fields:
            raise AirflowException(
                "You must create an object using the URI or individual values (conn_type, host, login, password, "
                "schema, port or extra). You can't mix these two ways to create this object."
            )
        self.__dict__.update(type(self).from_uri(uri, conn_id).__dict__)

    def __repr__(self) -> str:
        return f"Connection(conn_id={self.conn_id!r}, conn_type={self.conn_type!r}, host={self.host!r})"

    @classmethod
    def get(cls, conn_id: str) -> Connection:
        """Return a connection.

        :raises AirflowNotFoundException: when there is none of that id.
        """
        text = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}")
        if text:
            text = text.strip()
            found = cls.from_json(text, conn_id) if text.startswith("{") else cls.from_uri(text, conn_id)
            for secret in (found.password, found.extra):
                if secret:
                    mask_secret(secret)
            return found
        if supervisor is None:
            _note_read_at_import("Connection", conn_id, "there is no Airflow to ask here, a task will at each start")
            raise AirflowNotFoundException(
                f"The conn_id `{conn_id}` isn't defined: outside a task there is only the environment "
                f"(AIRFLOW_CONN_{conn_id.upper()})"
            )
        return cls._from_answer(conn_id, ask(GetConnection(conn_id=conn_id)))

    @classmethod
    async def async_get(cls, conn_id: str) -> Connection:
        """Return a connection without holding up the event loop."""
        import asyncio

        return await asyncio.to_thread(cls.get, conn_id)

    @classmethod
    def _from_answer(cls, conn_id: str, answer: Any) -> Connection:
        if isinstance(answer, ErrorResponse):
            if answer.error != "CONNECTION_NOT_FOUND":
                raise AirflowRuntimeError(answer)
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        names = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
        found = cls(**{name: getattr(answer, name) for name in names})
        _add_mask(found.password)
        _add_mask(found.extra)
        return found

    @classmethod
    def from_uri(cls, uri: str, conn_id: str) -> Connection:
        """Read `type://login:password@host:port/schema?extra` (airflow.sdk.definitions.connection).

        :raises AirflowException: when it is no such URI.
        """
        import json
        from urllib.parse import parse_qsl, unquote, urlsplit

        if uri.count("://") > 2:
            raise AirflowException(f"Invalid connection string: {redact(uri)}.")
        conn_type = urlsplit(uri).scheme
        rest = uri.replace(f"{conn_type}://", "" if uri.count("://") == 2 else "//", 1)
        protocol = ""
        if uri.count("://") == 2:
            protocol = rest.split("://", 1)[0]
            if "@" in protocol or ":" in protocol:
                raise AirflowException("Invalid connection string: a login stands before the inner protocol.")
        parts = urlsplit(rest)
        host = unquote(parts.hostname or "")
        if "/" in host:
            # urlsplit lowers the case of a host; of a percent-encoded path in its place that would lose something.
            host = unquote(parts.netloc.rsplit("@", 1)[-1].split(":", 1)[0])
        extra = None
        if parts.query:
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            extra = query[cls.EXTRA_KEY] if cls.EXTRA_KEY in query else json.dumps(query)
        return cls(
            conn_id=conn_id,
            conn_type=cls._normalize_conn_type(conn_type),
            host=f"{protocol}://{host}" if host and protocol else host,
            schema=unquote(parts.path[1:]),
            login=parts.username and unquote(parts.username),
            password=parts.password and unquote(parts.password),
            port=parts.port,
            extra=extra,
        )

    @staticmethod
    def _normalize_conn_type(conn_type: str) -> str:
        return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")

    @classmethod
    def from_json(cls, value: str, conn_id: str | None = None) -> Connection:
        """Read a JSON object of the fields.

        :raises ValueError: when it is none, or a port is no number.
        """
        import json

        fields = json.loads(value)
        extra = fields.pop("extra", None)
        if extra:
            fields["extra"] = extra if isinstance(extra, str) else json.dumps(extra)
        if fields.get("conn_type"):
            fields["conn_type"] = cls._normalize_conn_type(fields["conn_type"])
        port = fields.pop("port", None)
        if port:
            try:
                fields["port"] = int(port)
            except ValueError:
                raise ValueError(f"Expected integer value for `port`, but got {port!r} instead.") from None
        fields.pop("conn_id", None)
        return cls(conn_id=conn_id or "", **fields)

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra field as a dict; empty, with an error in the log, when it is no JSON."""
        if not self.extra:
            return {}
        import json

        try:
            extra = json.loads(self.extra)
        except ValueError:
            log_event("error", "Failed to deserialize extra property `extra`, returning empty dictionary")
            return {}
        _add_mask(extra)
        return extra

    def get_extra_dejson(self) -> dict[str, Any]:
        return self.extra_dejson

    def get_uri(self) -> str:
        """Return the connection as a URI that `from_uri` reads back."""
        from urllib.parse import parse_qsl, quote, urlencode

        uri = f"{self.conn_type.lower().replace('_', '-')}://" if self.conn_type else "//"
        host = self.host
        if host and "://" in host:
            protocol, rest = host.split("://", 1)
            if protocol != self.conn_type:
                uri += f"{protocol}://"
                host = rest
        authority = ""
        if self.login is not None:
            authority += quote(self.login, safe="")
        if self.password is not None:
            authority += ":" + quote(self.password, safe="")
        if authority:
            uri += authority + "@"
        block = quote(host, safe="") if host else ""
        if self.port:
            block += f":{self.port}" if block or authority else f"@:{self.port}"
        if self.schema:
            block += f"/{quote(self.schema, safe='')}"
        uri += block
        if self.extra:
            extra = self.extra_dejson
            try:
                query = urlencode(extra)
            except TypeError:
                query = ""
            if not query or extra != dict(parse_qsl(query, keep_blank_values=True)):
                query = urlencode({self.EXTRA_KEY: self.extra})
            uri += ("?" if self.schema else "/?") + query
        return uri

    def to_dict(self, *, prune_empty: bool = False, validate: bool = True) -> dict[str, Any]:
        names = ("conn_id", "conn_type", "description", "host", "login", "password", "schema", "port")
        fields = {name: getattr(self, name) for name in names}
        if prune_empty:
            fields = {name: value for name, value in fields.items() if value is not None}
        if self.extra_dejson or not prune_empty:
            fields["extra"] = self.extra_dejson
        return fields

    def as_json(self) -> str:
        import json

        fields = self.to_dict(prune_empty=True)
        fields.pop("conn_id", None)
        return json.dumps(fields)

    def get_hook(self, *, hook_params: dict[str, Any] | None = None) -> Any:
        try:
            hook = airflow_name("ProvidersManagerTaskRuntime")().hooks[self.conn_type]
        except KeyError:
            raise AirflowException(
                f"no hook for connection type {self.conn_type!r} in this bundle: declare the provider that has it as a "
                "dependency of the Dag file and build again, or construct the hook class itself"
            ) from None
        hook_class = import_string(hook.hook_class_name)
        return hook_class(**{hook_class.conn_name_attr: self.conn_id}, **(hook_params or {}))


_register_record(Variable)
_register_record(Connection)


class BaseHook:
    """Base of classes that talk to an outside system (airflow.sdk.bases.hook)."""

    __module__ = "airflow.sdk.bases.hook"

    def __init__(self, logger_name: str | None = None) -> None:
        self._logger_name = logger_name

    @property
    def log(self) -> Any:
        import logging

        return logging.getLogger(
            self._logger_name or f"airflow.task.hooks.{type(self).__module__}.{type(self).__name__}"
        )

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        return Connection.get(conn_id)

    @classmethod
    async def aget_connection(cls, conn_id: str) -> Connection:
        return await Connection.async_get(conn_id)

    @classmethod
    def get_hook(cls, conn_id: str, hook_params: dict[str, Any] | None = None) -> Any:
        return cls.get_connection(conn_id).get_hook(hook_params=hook_params)

    def get_conn(self) -> Any:
        raise NotImplementedError


class XCom:
    """XComs by their full address (airflow.sdk.bases.xcom)."""

    __module__ = "airflow.sdk.execution_time.xcom"
    XCOM_RETURN_KEY = XCOM_RETURN_KEY

    @staticmethod
    def serialize_value(value: Any, **_: Any) -> Any:
        return serialize_value(value)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        return deserialize_value(result.value)

    @classmethod
    def set(
        cls,
        key: str,
        value: Any,
        *,
        dag_id: str,
        task_id: str,
        run_id: str,
        map_index: int = -1,
        dag_result: bool = False,
        _mapped_length: int | None = None,
    ) -> None:
        ask_or_raise(
            SetXCom(
                key=key,
                value=serialize_value(value),
                dag_id=dag_id,
                task_id=task_id,
                run_id=run_id,
                map_index=map_index,
                dag_result=dag_result,
                mapped_length=_mapped_length,
            )
        )

    @classmethod
    def get_one(
        cls,
        *,
        key: str,
        dag_id: str,
        task_id: str,
        run_id: str,
        map_index: int | None = None,
        include_prior_dates: bool = False,
    ) -> Any:
        """Return one value, or None when there is none."""
        answer = ask_or_raise(
            GetXCom(
                key=key,
                dag_id=dag_id,
                task_id=task_id,
                run_id=run_id,
                map_index=map_index,
                include_prior_dates=include_prior_dates,
            )
        )
        return None if answer.value is None else deserialize_value(answer.value)

    @classmethod
    def get_all(
        cls, *, key: str, dag_id: str, task_id: str, run_id: str, include_prior_dates: bool = False
    ) -> list[Any] | None:
        """Return the values of all map indexes, or None when there are none."""
        answer = ask_or_raise(
            GetXComSequenceSlice(
                key=key,
                dag_id=dag_id,
                task_id=task_id,
                run_id=run_id,
                start=None,
                stop=None,
                step=None,
                include_prior_dates=include_prior_dates,
            )
        )
        return [deserialize_value(each) for each in answer.root] if answer.root else None

    @classmethod
    def get_value(cls, *, ti_key: Any, key: str) -> Any:
        """Return a value of a task instance, given by anything that has its ids, or None when there is none."""
        return cls.get_one(
            key=key,
            dag_id=ti_key.dag_id,
            task_id=ti_key.task_id,
            run_id=ti_key.run_id,
            map_index=ti_key.map_index,
        )

    @classmethod
    async def aset(cls, key: str, value: Any, **address: Any) -> None:
        await _in_thread(cls.set, key, value, **address)

    @classmethod
    async def aget_one(cls, **address: Any) -> Any:
        return await _in_thread(cls.get_one, **address)

    @classmethod
    async def aget_all(cls, **address: Any) -> list[Any] | None:
        return await _in_thread(cls.get_all, **address)

    @classmethod
    async def aget_value(cls, *, ti_key: Any, key: str) -> Any:
        return await _in_thread(cls.get_value, ti_key=ti_key, key=key)

    @classmethod
    def delete(cls, key: str, task_id: str, dag_id: str, run_id: str, map_index: int | None = None) -> None:
        address: dict[str, Any] = {"key": key, "dag_id": dag_id, "task_id": task_id, "run_id": run_id}
        # Airflow reads the value first, for backends that keep it elsewhere; the order of requests is part of parity.
        ask_or_raise(GetXCom(**address, map_index=map_index))
        ask_or_raise(DeleteXCom(**address, map_index=map_index))


class LazyXComSequence(_LazyCollection):
    """The results of all instances of a mapped task, fetched one by one as they are read."""

    def __init__(self, xcom_arg: PlainXComArg, ti: RuntimeTaskInstance) -> None:
        self._address = {
            "key": xcom_arg.key,
            "dag_id": xcom_arg.operator.dag_id,
            "task_id": xcom_arg.operator.task_id,
            "run_id": ti.run_id,
        }
        self._length: int | None = None

    def __repr__(self) -> str:
        if self._length is None:
            return "LazyXComSequence(<unevaluated length>)"
        return f"LazyXComSequence([{self._length} {'item' if self._length == 1 else 'items'}])"

    def __len__(self) -> int:
        if self._length is None:
            self._length = ask_or_raise(GetXComCount(**self._address)).len
        return self._length

    def __iter__(self) -> Iterator[Any]:
        index = 0
        while True:
            try:
                yield self[index]
            except IndexError:
                return
            index += 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            answer = ask_or_raise(
                GetXComSequenceSlice(**self._address, start=index.start, stop=index.stop, step=index.step)
            )
            return [deserialize_value(each) for each in answer.root]
        if not isinstance(index, int):
            raise TypeError(f"Sequence indices must be integers or slices not {type(index).__name__}")
        answer = ask(GetXComSequenceItem(**self._address, offset=index))
        if isinstance(answer, ErrorResponse):
            raise IndexError(index)
        return deserialize_value(answer.root)


# --- the context of a task --------------------------------------------------------------------------------------------


class Context(dict):
    """What a task knows about itself and its run, by Airflow's keys; what costs something is made when it is read."""

    __module__ = "airflow.sdk.definitions.context"

    def __init__(self, values: Mapping[str, Any], lazy: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__(values)
        self._lazy = dict(lazy)

    def __missing__(self, key: str) -> Any:
        value = self._lazy[key]()
        self[key] = value
        return value

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._lazy

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        yield from [key for key in self._lazy if not super(Context, self).__contains__(key)]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def keys(self) -> Any:
        return list(self)

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def copy(self) -> Context:
        return Context({key: dict.__getitem__(self, key) for key in dict.__iter__(self)}, self._lazy)

    __copy__ = copy


_current_contexts: list[Any] = []


def get_current_context() -> Any:
    """Return the context of the running task.

    :raises RuntimeError: outside a task.
    """
    if not _current_contexts:
        raise RuntimeError(
            "Current context was requested but no context was found! Are you running within an Airflow task?"
        )
    return _current_contexts[-1]


class _LazyValue:
    """Stands for a value that is fetched from the supervisor when something is done with it."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        object.__setattr__(self, "_fetch", fetch)
        object.__setattr__(self, "_found", [])

    @property
    def __wrapped__(self) -> Any:
        if not self._found:
            self._found.append(self._fetch())
        return self._found[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.__wrapped__)


def _forward_operators() -> None:
    names = "str repr bool hash eq ne lt le gt ge add radd sub rsub format len iter getitem contains".split()
    for name in names:
        special = f"__{name}__"

        def forward(self: Any, *args: Any, _name: str = special) -> Any:
            value = self.__wrapped__
            args = tuple(each.__wrapped__ if type(each) is _LazyValue else each for each in args)
            if _name == "__bool__":
                return bool(value)
            return getattr(value, _name)(*args)

        setattr(_LazyValue, special, forward)


_forward_operators()


class VariableAccessor:
    """`var.value` and `var.json` in templates."""

    def __init__(self, deserialize_json: bool) -> None:
        self._deserialize_json = deserialize_json

    def __getattr__(self, key: str) -> Any:
        return _get_variable(key, self._deserialize_json)

    def get(self, key: str, default: Any = NOTSET) -> Any:
        return Variable.get(key, default if is_arg_set(default) else None, self._deserialize_json)


class ConnectionAccessor:
    """`conn` in templates."""

    def __getattr__(self, conn_id: str) -> Connection:
        return Connection.get(conn_id)

    def get(self, conn_id: str, default_conn: Any = None) -> Any:
        try:
            return Connection.get(conn_id)
        except AirflowNotFoundException:
            return default_conn


class MacrosAccessor:
    """`macros` in templates (airflow.sdk.execution_time.macros)."""

    def __getattr__(self, name: str) -> Any:
        if name in ("json", "time", "uuid", "random", "dateutil"):
            return __import__(name)
        if name in ("datetime", "timedelta"):
            import datetime

            return getattr(datetime, name)
        if name == "datetime_diff_for_humans":
            import pendulum

            return lambda dt, since=None: pendulum.instance(dt).diff_for_humans(since and pendulum.instance(since))
        ours = {"ds_add": ds_add, "ds_format": ds_format}.get(name)
        if ours is None:
            raise AttributeError(f"no macro {name!r}")
        return ours


def ds_add(ds: str, days: int) -> str:
    """Add days to a date given as YYYY-MM-DD."""
    from datetime import datetime, timedelta

    return (datetime.strptime(str(ds), "%Y-%m-%d") + timedelta(days)).strftime("%Y-%m-%d")


def ds_format(ds: str, input_format: str, output_format: str) -> str:
    """Bring a date from one format into another."""
    from datetime import datetime

    return datetime.strptime(str(ds), input_format).strftime(output_format)


def coerce_datetime(value: datetime | None) -> Any:
    """Return a datetime as Airflow gives it to tasks: a pendulum.DateTime where pendulum is frozen in.

    Without pendulum it is a plain datetime that says, when one of pendulum's methods is called, what to do.
    """
    if value is None:
        return None
    try:
        import pendulum
    except ImportError:
        return _plain_datetime_class()._of(value)
    return pendulum.instance(value)


_plain_datetime: list[Any] = []


def _plain_datetime_class() -> Any:
    if not _plain_datetime:
        from datetime import datetime

        class PlainDateTime(datetime):
            @classmethod
            def _of(cls, value: datetime) -> Any:
                return cls.combine(value.date(), value.timetz())

            def __getattr__(self, name: str) -> Any:
                raise AttributeError(
                    f"this datetime has no {name!r}: Airflow passes a pendulum.DateTime here, and pendulum is not in "
                    'this bundle; add "pendulum" to the dependencies the Dag file declares, or use what datetime has'
                )

            def __reduce_ex__(self, protocol: Any) -> Any:
                return datetime.combine(self.date(), self.timetz()).__reduce_ex__(protocol)

        PlainDateTime.__module__, PlainDateTime.__qualname__ = "datetime", "datetime"
        _plain_datetime.append(PlainDateTime)
    return _plain_datetime[0]


# --- assets at run time -----------------------------------------------------------------------------------------------


class AssetAliasEvent(Record):
    """An event that a task emits through an alias."""

    source_alias_name: str
    dest_asset_key: AssetUniqueKey
    dest_asset_extra: dict[str, Any]
    extra: dict[str, Any]


class AssetAliasUniqueKey(Record):
    """What tells one asset alias from another."""

    __module__ = "airflow.sdk.definitions.asset"
    name: str

    def to_asset_alias(self) -> AssetAlias:
        return AssetAlias(self.name)


def _look_up_asset(name: str = "", uri: str = "") -> Asset:
    found = ask_or_raise(GetAssetByName(name=name) if name else GetAssetByUri(uri=uri))
    return Asset(name=found.name, uri=found.uri, group=found.group, extra=found.extra)


_referenced_assets: dict[tuple[str, str], Asset] = {}


def _resolve_asset(key: Any) -> Asset:
    """Return an asset, or the one that a reference stands for; Airflow is asked about each only once."""
    if isinstance(key, Asset):
        return key
    by_name = isinstance(key, AssetNameRef)
    place = ("name", key.name) if by_name else ("uri", key.uri)
    if place not in _referenced_assets:
        found = _look_up_asset(name=key.name) if by_name else _look_up_asset(uri=key.uri)
        _referenced_assets.update({place: found, ("name", found.name): found, ("uri", found.uri): found})
    return _referenced_assets[place]


def _asset_key(key: Any) -> Any:
    """Return the unique key of an asset, alias or reference; a reference is looked up."""
    if isinstance(key, AssetAlias):
        return AssetAliasUniqueKey(key.name)
    if isinstance(key, (Asset, AssetRef)):
        return AssetUniqueKey.from_asset(_resolve_asset(key))
    raise TypeError(f"Key should be either an asset or an asset alias, not {type(key)}")


class _AssetAccessors:
    """A mapping whose keys are assets, aliases or references."""

    def for_asset(self, *, name: str | None = None, uri: str | None = None) -> Any:
        if not name and not uri:
            raise ValueError("name and uri cannot both be None")
        return self[Asset(name=name, uri=uri) if name and uri else Asset.ref(name=name or "", uri=uri or "")]

    def for_asset_alias(self, *, name: str) -> Any:
        return self[AssetAlias(name)]

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError


class OutletEventAccessor:
    """What a task says about the event of one outlet: `extra`, and for an alias the assets it stands for."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.extra: dict[str, Any] = {}
        self.asset_alias_events: list[AssetAliasEvent] = []
        self.partition_keys: set[str] = set()

    def add(self, asset: Any, extra: dict[str, Any] | None = None) -> None:
        """Emit an event of an asset through this alias."""
        if not isinstance(self.key, AssetAliasUniqueKey):
            return
        found = _resolve_asset(asset)
        unique = AssetUniqueKey.from_asset(found)
        self.asset_alias_events.append(AssetAliasEvent(self.key.name, unique, found.extra, extra or {}))

    def add_partitions(self, keys: str | list[str]) -> None:
        """Emit one event for each partition key."""
        if isinstance(self.key, AssetAliasUniqueKey):
            raise TypeError(
                "add_partitions() is not supported on asset alias outlet events; partition keys can only be attached "
                "to a concrete asset."
            )
        keys = [keys] if isinstance(keys, str) else keys
        for key in keys:
            if not key.strip():
                raise ValueError(f"partition_key must not be empty or whitespace-only; got {key!r}.")
            if len(key) > 250:
                raise ValueError(f"partition_key must be at most 250 characters; got {len(key)}.")
        self.partition_keys.update(keys)


class OutletEventAccessors(_AssetAccessors):
    """`outlet_events` in the context."""

    def __init__(self) -> None:
        self._dict: dict[Any, OutletEventAccessor] = {}

    def __getitem__(self, key: Any) -> OutletEventAccessor:
        unique = _asset_key(key)
        if unique not in self._dict:
            self._dict[unique] = OutletEventAccessor(unique)
        return self._dict[unique]

    def __iter__(self) -> Iterator[Any]:
        return (k.to_asset() if isinstance(k, AssetUniqueKey) else k.to_asset_alias() for k in self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def to_wire(self) -> list[dict[str, Any]]:
        """Return the events in the form that `SucceedTask` carries."""
        events: list[dict[str, Any]] = []
        for key, accessor in self._dict.items():
            if isinstance(key, AssetUniqueKey):
                base = {"dest_asset_key": {"name": key.name, "uri": key.uri}, "extra": accessor.extra}
                events += [{**base, "partition_key": each} for each in accessor.partition_keys] or [base]
            for event in accessor.asset_alias_events:
                dest = event.dest_asset_key
                events.append(
                    {
                        "source_alias_name": event.source_alias_name,
                        "dest_asset_key": {"name": dest.name, "uri": dest.uri},
                        "dest_asset_extra": event.dest_asset_extra,
                        "extra": event.extra,
                    }
                )
        return events


class InletEventsAccessor(_LazyCollection):
    """The events of one inlet, fetched when they are read; `after`, `before`, `ascending` and `limit` narrow them."""

    def __init__(self, name: str | None = None, uri: str | None = None, alias_name: str | None = None) -> None:
        self._asset: dict[str, Any] = {"name": name, "uri": uri}
        self._alias_name = alias_name
        self._query: dict[str, Any] = {"after": None, "before": None, "ascending": True, "limit": None}
        self._events: list[Any] | None = None

    def _narrow(self, **query: Any) -> InletEventsAccessor:
        self._query.update(query)
        self._events = None
        return self

    def after(self, after: Any) -> InletEventsAccessor:
        return self._narrow(after=after)

    def before(self, before: Any) -> InletEventsAccessor:
        return self._narrow(before=before)

    def ascending(self, ascending: bool = True) -> InletEventsAccessor:
        return self._narrow(ascending=ascending)

    def limit(self, limit: int) -> InletEventsAccessor:
        return self._narrow(limit=limit)

    def _fetch(self) -> list[Any]:
        if self._events is None:
            if self._alias_name is not None:
                request: Message = GetAssetEventByAssetAlias(alias_name=self._alias_name, **self._query)
            else:
                request = GetAssetEventByAsset(**self._asset, **self._query)
            self._events = list(ask_or_raise(request).asset_events)
        return self._events

    def __len__(self) -> int:
        return len(self._fetch())

    def __getitem__(self, index: Any) -> Any:
        return self._fetch()[index]


class InletEventsAccessors(_AssetAccessors):
    """`inlet_events` in the context."""

    def __init__(self, inlets: list[Any]) -> None:
        self._inlets = inlets
        self._assets: dict[AssetUniqueKey, Asset] = {}
        for inlet in inlets:
            if isinstance(inlet, AssetNameRef):
                inlet = _look_up_asset(name=inlet.name)
            elif isinstance(inlet, AssetUriRef):
                inlet = _look_up_asset(uri=inlet.uri)
            if isinstance(inlet, Asset):
                self._assets[AssetUniqueKey.from_asset(inlet)] = inlet

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inlets)

    def __len__(self) -> int:
        return len(self._inlets)

    def __getitem__(self, key: Any) -> InletEventsAccessor:
        if isinstance(key, int):
            key = self._inlets[key]
        if isinstance(key, Asset):
            asset = self._assets[AssetUniqueKey.from_asset(key)]
            return InletEventsAccessor(asset.name, asset.uri)
        if isinstance(key, AssetNameRef):
            if all(each.name != key.name for each in self._assets):
                raise KeyError(key)
            return InletEventsAccessor(name=key.name)
        if isinstance(key, AssetUriRef):
            if all(each.uri != key.uri for each in self._assets):
                raise KeyError(key)
            return InletEventsAccessor(uri=key.uri)
        if isinstance(key, AssetAlias):
            if key not in self._inlets:
                raise KeyError(key)
            return InletEventsAccessor(alias_name=key.name)
        raise TypeError(f"`key` is of unknown type ({type(key).__name__})")


class TriggeringAssetEventsAccessor(_AssetAccessors):
    """`triggering_asset_events` in the context: the events that started the run, by asset or alias."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events: dict[Any, list[Any]] = {}
        for event in events:
            keys = [AssetUniqueKey(event.asset.name, event.asset.uri)]
            keys += [AssetAliasUniqueKey(alias.name) for alias in event.source_aliases]  # type: ignore[misc]
            for key in keys:
                self._events.setdefault(key, []).append(event)

    def __iter__(self) -> Iterator[Any]:
        return (k.to_asset() if isinstance(k, AssetUniqueKey) else k.to_asset_alias() for k in self._events)

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, key: Any) -> list[Any]:
        return self._events[_asset_key(key)]

    def items(self) -> list[tuple[Any, list[Any]]]:
        return list(zip(self, self._events.values()))

    def values(self) -> list[list[Any]]:
        return list(self._events.values())


# --- state stores -----------------------------------------------------------------------------------------------------


def _configured(section: str, key: str, default: str) -> str:
    """Return an option as Airflow's environment gives it; the files that it is otherwise read from are out of reach."""
    return os.environ.get(f"AIRFLOW__{section.upper()}__{key.upper()}", default)


def _check_stored(key: str, value: Any) -> None:
    """Refuse what cannot be stored, and say when a value is larger than Airflow wants it."""
    if value is None:
        raise ValueError("Cannot set value as None")
    backend = _configured("workers", "state_store_backend", "")
    if backend:
        raise BundleError(
            f"Airflow is configured to keep the state of tasks and assets in {backend!r}, which is not in this bundle: "
            "what it would store itself, other tasks could not read; run this task outside the bundle"
        )
    limit = int(_configured("state_store", "max_value_storage_bytes", "65535"))
    if limit > 0:
        import json

        size = len(json.dumps(value))
        if size > limit:
            log_event(
                "warning", f"The value stored under {key!r} has {size} bytes, max_value_storage_bytes allows {limit}"
            )


def _stored_value(answer: Any, missing: str, default: Any) -> Any:
    if isinstance(answer, ErrorResponse):
        if answer.error != missing:
            raise AirflowRuntimeError(answer)
        return default
    value = answer.value
    if isinstance(value, dict) and "__airflow_state_ref__" in value:
        log_event("warning", "This value is a reference into a state store backend that this bundle does not have")
    return value


class TaskStateStoreAccessor:
    """`task_state_store` in the context: JSON values that outlive a try (airflow.sdk.execution_time.context)."""

    __module__ = "airflow.sdk.execution_time.context"

    def __init__(self, ti_id: str) -> None:
        self._ti_id = ti_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskStateStoreAccessor) and other._ti_id == self._ti_id

    def __hash__(self) -> int:
        return hash(self._ti_id)

    def __repr__(self) -> str:
        return f"<TaskStateStoreAccessor ti_id={self._ti_id}>"

    def get(self, key: str, default: Any = None) -> Any:
        return _stored_value(ask(GetTaskStateStore(ti_id=self._ti_id, key=key)), "TASK_STORE_NOT_FOUND", default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Store a value.

        :param retention: how long it is kept; `NEVER_EXPIRE` for ever, None as Airflow's configuration says.
        :raises ValueError: for None.
        """
        _check_stored(key, value)
        expires_at = None
        if retention is None:
            days = int(_configured("state_store", "default_retention_days", "30"))
            if days < 0:
                raise ValueError(
                    f"[state_store] default_retention_days must be >= 0, got {days}. Set to 0 to disable expiry."
                )
            if days:
                from datetime import timedelta

                expires_at = utcnow() + timedelta(days=days)
        elif retention != retention.max:
            expires_at = utcnow() + retention
        ask_or_raise(SetTaskStateStore(ti_id=self._ti_id, key=key, value=value, expires_at=expires_at))

    def delete(self, key: str) -> None:
        ask_or_raise(DeleteTaskStateStore(ti_id=self._ti_id, key=key))

    def clear(self) -> None:
        ask_or_raise(ClearTaskStateStore(ti_id=self._ti_id))


class AssetStateStoreAccessor:
    """The JSON values that belong to one asset, known by its name or its URI."""

    __module__ = "airflow.sdk.execution_time.context"

    def __init__(self, *, name: str | None = None, uri: str | None = None) -> None:
        if not name and not uri:
            raise ValueError("Either `name` or `uri` must be provided")
        self._name, self._uri = name, uri

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AssetStateStoreAccessor) and (other._name, other._uri) == (self._name, self._uri)

    def __hash__(self) -> int:
        return hash((self._name, self._uri))

    def __repr__(self) -> str:
        known = f"name={self._name!r}" if self._name is not None else f"uri={self._uri!r}"
        return f"<AssetStateStoreAccessor {known}>"

    def get(self, key: str, default: Any = None) -> Any:
        request: Message = (
            GetAssetStateStoreByName(name=self._name, key=key)
            if self._name
            else GetAssetStateStoreByUri(uri=self._uri or "", key=key)
        )
        return _stored_value(ask(request), "ASSET_STORE_NOT_FOUND", default)

    def set(self, key: str, value: Any) -> None:
        _check_stored(key, value)
        request: Message = (
            SetAssetStateStoreByName(name=self._name, key=key, value=value)
            if self._name
            else SetAssetStateStoreByUri(uri=self._uri or "", key=key, value=value)
        )
        ask_or_raise(request)

    def delete(self, key: str) -> None:
        request: Message = (
            DeleteAssetStateStoreByName(name=self._name, key=key)
            if self._name
            else DeleteAssetStateStoreByUri(uri=self._uri or "", key=key)
        )
        ask_or_raise(request)

    def clear(self) -> None:
        ask_or_raise(
            ClearAssetStateStoreByName(name=self._name)
            if self._name
            else ClearAssetStateStoreByUri(uri=self._uri or "")
        )

    async def aget(self, key: str, default: Any = None) -> Any:
        return await _in_thread(self.get, key, default)

    async def aset(self, key: str, value: Any) -> None:
        await _in_thread(self.set, key, value)

    async def adelete(self, key: str) -> None:
        await _in_thread(self.delete, key)

    async def aclear(self) -> None:
        await _in_thread(self.clear)


async def _in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call something that waits for the supervisor without holding up the event loop."""
    import asyncio

    return await asyncio.to_thread(function, *args, **kwargs)


class AssetStateStoreAccessors:
    """`asset_state_store` in the context: one accessor for each inlet and outlet; with only one, it is that one."""

    __module__ = "airflow.sdk.execution_time.context"

    def __init__(self, inlets: list[Any], outlets: list[Any] | None = None) -> None:
        self._by_name: dict[str, AssetStateStoreAccessor] = {}
        self._by_uri: dict[str, AssetStateStoreAccessor] = {}
        for inlet in inlets:
            self._take(inlet)
            if isinstance(inlet, AssetAlias):
                answer = ask(GetAssetsByAlias(alias_name=inlet.name))
                for asset in () if isinstance(answer, ErrorResponse) else answer.assets:
                    self._by_name[asset.name] = AssetStateStoreAccessor(name=asset.name)
        for outlet in outlets or ():
            self._take(outlet)

    def _take(self, asset: Any) -> None:
        if isinstance(asset, (Asset, AssetNameRef)):
            self._by_name[asset.name] = AssetStateStoreAccessor(name=asset.name)
        elif isinstance(asset, AssetUriRef):
            self._by_uri[asset.uri] = AssetStateStoreAccessor(uri=asset.uri)

    def __repr__(self) -> str:
        known = [f"name={name!r}" for name in self._by_name] + [f"uri={uri!r}" for uri in self._by_uri]
        return f"<AssetStateStoreAccessors [{', '.join(known)}]>"

    def __getitem__(self, key: Any) -> AssetStateStoreAccessor:
        try:
            if isinstance(key, (Asset, AssetNameRef)):
                return self._by_name[key.name]
            if isinstance(key, AssetUriRef):
                return self._by_uri[key.uri]
        except KeyError:
            raise KeyError(f"{key!r} is not in this task's inlets or outlets") from None
        raise TypeError(f"Expected Asset, AssetNameRef, or AssetUriRef; got {type(key).__name__}")

    def _only_one(self) -> AssetStateStoreAccessor:
        known = [*self._by_name.values(), *self._by_uri.values()]
        if len(known) != 1:
            raise ValueError(
                f"Task has {len(known)} concrete inlets and outlets: say which one with "
                "context['asset_state_store'][MY_ASSET]"
            )
        return known[0]

    def get(self, key: str, default: Any = None) -> Any:
        return self._only_one().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._only_one().set(key, value)

    def delete(self, key: str) -> None:
        self._only_one().delete(key)

    def clear(self) -> None:
        self._only_one().clear()

    async def aget(self, key: str, default: Any = None) -> Any:
        return await self._only_one().aget(key, default)

    async def aset(self, key: str, value: Any) -> None:
        await self._only_one().aset(key, value)

    async def adelete(self, key: str) -> None:
        await self._only_one().adelete(key)

    async def aclear(self) -> None:
        await self._only_one().aclear()


def call_with_outlets(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call task code. A generator's `Metadata` goes to the outlet events, and what it returns is the result."""
    code = getattr(function, "__code__", None)
    flags = code.co_flags if code is not None else 0
    if flags & 0x200:
        return _drain_async_generator(function(*args, **kwargs))
    result = function(*args, **kwargs)
    if not flags & 0x20:
        return result
    while True:
        try:
            _note_metadata(next(result))
        except StopIteration as stop:
            return stop.value


async def _drain_async_generator(generator: Any) -> list[Any]:
    results = []
    async for each in generator:
        if isinstance(each, Metadata):
            _note_metadata(each)
        results.append(each)
    return results


def _note_metadata(value: Any) -> None:
    if not isinstance(value, Metadata):
        log_event("warning", f"Ignoring unknown data of {type(value)!r} received from task")
        return
    events = get_current_context()["outlet_events"]
    events[value.asset].extra.update(value.extra)
    if value.alias:
        events[value.alias].add(value.asset, extra=value.extra)


# --- the running task instance ----------------------------------------------------------------------------------------


class RuntimeTaskInstance:
    """`ti` in the context: the running task instance, its XComs, and what it can ask about others."""

    __module__ = "airflow.sdk.execution_time.task_runner"

    def __init__(self, details: StartupDetails, task: Any) -> None:
        ti = details.ti
        self.id = ti.id
        self.task_id = ti.task_id
        self.dag_id = ti.dag_id
        self.run_id = ti.run_id
        self.try_number = ti.try_number
        self.map_index = -1 if ti.map_index is None else ti.map_index
        self.hostname = ti.hostname
        self.dag_version_id = ti.dag_version_id
        self.queue = ti.queue
        self.context_carrier = ti.context_carrier
        self.task = task
        self.max_tries = details.ti_context.max_tries
        self.start_date = details.start_date
        self.end_date: datetime | None = None
        self.state: str | None = TaskInstanceState.RUNNING
        self.is_mapped = False
        self.rendered_map_index: str | None = None
        self._from_server = details.ti_context
        self._context: Context | None = None

    def __repr__(self) -> str:
        return (
            f"RuntimeTaskInstance(dag_id={self.dag_id!r}, task_id={self.task_id!r}, run_id={self.run_id!r}, "
            f"map_index={self.map_index}, try_number={self.try_number})"
        )

    @property
    def dag_run(self) -> Any:
        return self._from_server.dag_run

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.dag_id, self.task_id, self.run_id, self.try_number, self.map_index

    @property
    def log_url(self) -> str:
        from urllib.parse import quote

        base = os.environ.get("AIRFLOW__API__BASE_URL", "http://localhost:8080/").rstrip("/")
        mapped = f"/mapped/{self.map_index}" if self.map_index >= 0 else ""
        attempt = f"?try_number={self.try_number}" if self.try_number > 0 else ""
        return f"{base}/dags/{self.dag_id}/runs/{quote(self.run_id)}/tasks/{self.task_id}{mapped}{attempt}"

    mark_success_url = log_url

    # --- XComs

    def xcom_push(self, key: str, value: Any, _mapped_length: int | None = None) -> None:
        """Store a value for other tasks to pull."""
        XCom.set(
            key,
            value,
            dag_id=self.dag_id,
            task_id=self.task_id,
            run_id=self.run_id,
            map_index=self.map_index,
            dag_result=bool(self.task.returns_dag_result),
            _mapped_length=_mapped_length,
        )

    async def axcom_push(self, key: str, value: Any) -> None:
        import asyncio

        await asyncio.to_thread(self.xcom_push, key, value)

    def xcom_pull(
        self,
        task_ids: str | Iterable[str] | None = None,
        dag_id: str | None = None,
        key: str = XCOM_RETURN_KEY,
        include_prior_dates: bool = False,
        *,
        map_indexes: Any = NOTSET,
        default: Any = None,
        run_id: str | None = None,
    ) -> Any:
        """Return values that tasks have pushed (airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.xcom_pull).

        One task, and one or no map index, gives a value; several of either give a list.
        """
        address = {"key": key, "dag_id": dag_id or self.dag_id, "run_id": run_id or self.run_id}
        single = task_ids is None or isinstance(task_ids, str)
        wanted: list[Any] = [task_ids or self.task_id] if single else list(task_ids)  # type: ignore[arg-type]
        found: list[Any] = []
        if not is_arg_set(map_indexes):
            for task_id in wanted:
                values = XCom.get_all(task_id=task_id, include_prior_dates=include_prior_dates, **address)
                found.extend([None] if values is None else values)
            return found[0] if single and len(found) == 1 else found
        one_index = map_indexes is None or isinstance(map_indexes, int)
        if not one_index and not hasattr(map_indexes, "__iter__"):
            raise TypeError(
                f"Invalid type for map_indexes: expected int, iterable of ints, or None, got {type(map_indexes)}"
            )
        indexes = [map_indexes] if one_index else list(map_indexes)
        for task_id in wanted:
            for index in indexes:
                value = XCom.get_one(
                    task_id=task_id, map_index=index, include_prior_dates=include_prior_dates, **address
                )
                found.append(default if value is None else value)
        return found[0] if single and one_index else found

    async def axcom_pull(self, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        return await asyncio.to_thread(self.xcom_pull, *args, **kwargs)

    def lazy_xcom_sequence(self, xcom_arg: PlainXComArg) -> LazyXComSequence:
        return LazyXComSequence(xcom_arg, self)

    def get_relevant_upstream_map_indexes(self, upstream: Any, ti_count: int | None = None, session: Any = None) -> Any:
        """Return which instances of an upstream task in the same mapped group this instance depends on."""
        if self.map_index < 0:
            return None
        if not ti_count:
            ti_count = self.get_ti_count(self.dag_id, task_ids=[self.task_id], run_ids=[self.run_id])
        if not ti_count:
            return None
        groups = {group.group_id for group in self.task.iter_mapped_task_groups()}
        common = next((group for group in upstream.iter_mapped_task_groups() if group.group_id in groups), None)
        if common is None:
            return None
        ancestor_count = self.get_ti_count(self.dag_id, task_ids=[self.task_id], run_ids=[self.run_id])
        if not ancestor_count:
            return None
        index = self.map_index * ancestor_count // ti_count
        if not upstream.is_mapped:
            return index
        further = ti_count // ancestor_count
        return range(index * further, (index + 1) * further)

    # --- what it can ask about others

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        if not context.get("task_reschedule_count"):
            return None
        first_try = self.max_tries - (self.task.retries or 0) + 1
        return ask_or_raise(GetTaskRescheduleStartDate(ti_id=self.id, try_number=first_try)).start_date

    def get_previous_dagrun(self, state: str | None = None) -> Any:
        if self.dag_run.logical_date is None:
            return None
        return ask_or_raise(
            GetPreviousDagRun(dag_id=self.dag_id, logical_date=self.dag_run.logical_date, state=state)
        ).dag_run

    def get_previous_ti(self, state: Any = None, logical_date: Any = None, map_index: int = -1) -> Any:
        return ask_or_raise(
            GetPreviousTI(
                dag_id=self.dag_id,
                task_id=self.task_id,
                logical_date=logical_date or self.dag_run.logical_date,
                map_index=map_index,
                state=state,
            )
        ).task_instance

    @staticmethod
    def get_ti_count(dag_id: str, map_index: int | None = None, **filters: Any) -> int:
        return ask_or_raise(GetTICount(dag_id=dag_id, map_index=map_index, **filters)).count

    @staticmethod
    def get_task_states(dag_id: str, map_index: int | None = None, **filters: Any) -> dict[str, Any]:
        return ask_or_raise(GetTaskStates(dag_id=dag_id, map_index=map_index, **filters)).task_states

    @staticmethod
    def get_task_breadcrumbs(dag_id: str, run_id: str) -> Any:
        return ask_or_raise(GetTaskBreadcrumbs(dag_id=dag_id, run_id=run_id)).breadcrumbs

    @staticmethod
    def get_dr_count(dag_id: str, **filters: Any) -> int:
        return ask_or_raise(GetDRCount(dag_id=dag_id, **filters)).count

    @staticmethod
    def get_dagrun_state(dag_id: str, run_id: str) -> str:
        return ask_or_raise(GetDagRunState(dag_id=dag_id, run_id=run_id)).state

    @staticmethod
    def get_dag(dag_id: str) -> Any:
        return ask_or_raise(GetDag(dag_id=dag_id))

    # --- context and templates

    def get_template_context(self) -> Context:
        """Return the context of the task, always the same one.

        :raises ParamValidationError: when the run's configuration does not fit the params.
        """
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def _make_context(self) -> Context:
        task, run, server = self.task, self.dag_run, self._from_server
        logical_date = run.logical_date
        values: dict[str, Any] = {
            "dag": task.dag,
            "inlets": task.inlets,
            "map_index_template": task.map_index_template,
            "outlets": task.outlets,
            "run_id": self.run_id,
            "task": task,
            "task_instance": self,
            "ti": self,
            "outlet_events": OutletEventAccessors(),
            "macros": MacrosAccessor(),
            "params": process_params(task, run.conf),
            "var": {"json": VariableAccessor(True), "value": VariableAccessor(False)},
            "conn": ConnectionAccessor(),
            "dag_run": run,
            "partition_key": run.partition_key,
            "task_instance_key_str": f"{self.dag_id}__{self.task_id}__{run.run_id}",
            "task_reschedule_count": server.task_reschedule_count or 0,
            "task_state_store": TaskStateStoreAccessor(self.id),
        }
        if task.inlets:
            values["inlet_events"] = InletEventsAccessors(task.inlets)
        if any(isinstance(each, (Asset, AssetRef, AssetAlias)) for each in (*task.inlets, *task.outlets)):
            values["asset_state_store"] = AssetStateStoreAccessors(task.inlets, task.outlets)
        lazy: dict[str, Callable[[], Any]] = {
            "inlet_events": lambda: InletEventsAccessors(task.inlets),
            "partition_date": lambda: coerce_datetime(run.partition_date),
            "triggering_asset_events": lambda: TriggeringAssetEventsAccessor(run.consumed_asset_events or ()),
        }
        previous: list[Any] = []

        def before(name: str) -> Any:
            if not previous:
                previous.append(ask_or_raise(GetPrevSuccessfulDagRun(ti_id=self.id)))
            return coerce_datetime(getattr(previous[0], name))

        earlier = ["start_date", "end_date"]
        if logical_date is not None:
            earlier += ["data_interval_start", "data_interval_end"]
            ds, ts = logical_date.strftime("%Y-%m-%d"), logical_date.isoformat()
            values.update(
                ds=ds,
                ds_nodash=ds.replace("-", ""),
                ts=ts,
                ts_nodash=logical_date.strftime("%Y%m%dT%H%M%S"),
                ts_nodash_with_tz=ts.replace("-", "").replace(":", ""),
                task_instance_key_str=f"{self.dag_id}__{self.task_id}__{ds.replace('-', '')}",
            )
            for name in ("data_interval_start", "data_interval_end"):
                lazy[name] = lambda name=name: coerce_datetime(getattr(run, name))  # type: ignore[misc]
            lazy["logical_date"] = lambda: coerce_datetime(logical_date)
        for name in earlier:
            lazy[f"prev_{name}_success"] = lambda name=name: _LazyValue(lambda: before(name))  # type: ignore[misc]
        return Context(values, lazy)


def context_to_airflow_vars(context: Mapping[str, Any], in_env_var_format: bool = True) -> dict[str, str]:
    """Return what Airflow puts into the environment of a task (airflow.sdk.execution_time.context)."""
    ti, task, run = context["ti"], context["task"], context["dag_run"]
    values = {
        "dag_email": task.email,
        "dag_owner": task.owner,
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "logical_date": run.logical_date and run.logical_date.isoformat(),
        "try_number": ti.try_number,
        "dag_run_id": run.run_id,
        "team_name": run.team_name,
    }
    found = {}
    for name, value in values.items():
        if value:
            key = f"AIRFLOW_CTX_{name.upper()}" if in_env_var_format else f"airflow.ctx.{name}"
            found[key] = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
    return found


# --- one task ---------------------------------------------------------------------------------------------------------


_DEFAULT_XCOM_BACKENDS = frozenset(
    f"airflow.{path}"
    for path in ("sdk.bases.xcom.BaseXCom", "sdk.execution_time.xcom.BaseXCom", "models.xcom.BaseXCom")
)


def check_deployment(task: Any) -> None:
    """Say what this deployment asks of tasks that a bundle cannot do, before any code of the task runs.

    Only the environment reaches a bundle; what stands in `airflow.cfg` alone cannot be seen.

    :raises AirflowFailException: when running on would put other data in other places than the deployment wants.
    """
    backend = os.environ.get("AIRFLOW__CORE__XCOM_BACKEND", "")
    if backend and backend not in _DEFAULT_XCOM_BACKENDS:
        raise AirflowFailException(
            f"this deployment keeps XComs in {backend}, which is not in this bundle: other tasks could not read what "
            "this one returns. Run the task on an ordinary worker (queue='default')"
        )
    user = getattr(task, "run_as_user", None) or os.environ.get("AIRFLOW__CORE__DEFAULT_IMPERSONATION", "")
    if user and user != _user_name():
        raise AirflowFailException(
            f"the task is to run as user {user!r}, and a bundle runs as the worker's ({_user_name()!r}). "
            "Run the task on an ordinary worker (queue='default'), or take run_as_user away"
        )
    for name in ("AIRFLOW__WORKERS__SECRETS_BACKEND", "AIRFLOW__SECRETS__BACKEND"):
        if os.environ.get(name):
            log_event(
                "warning",
                f"{name} is set to {os.environ[name]}, which is not in this bundle: connections and variables come "
                "from the environment and from Airflow only",
            )
    for name in ("AIRFLOW__OPENLINEAGE__TRANSPORT", "AIRFLOW__OPENLINEAGE__CONFIG_PATH", "OPENLINEAGE_URL"):
        if os.environ.get(name):
            log_event("warning", f"{name} is set, but a bundle calls no listeners: this task emits no lineage events")
            break


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def check_drift(file: DagFile, details: StartupDetails) -> None:
    """Warn when the Dag file that Airflow has parsed is at hand and is not the one that was frozen.

    :raises AirflowFailException: instead, where `AIRFLOW_BUNDLE_ON_DRIFT=fail` asks for it.
    """
    theirs = _dag_file_of_airflow(details)
    if theirs is None:
        return
    try:
        with open(theirs, "rb") as parsed:
            same = parsed.read() == file.read()
    except (OSError, DagFileError):
        return
    if not same:
        text = f"{theirs}, which Airflow has parsed, differs from the {file.name} in this bundle: build the bundle anew"
        if os.environ.get("AIRFLOW_BUNDLE_ON_DRIFT", "").strip().lower() == "fail":
            raise AirflowFailException(text)
        log_event("warning", text)


def _dag_file_of_airflow(details: StartupDetails) -> str | None:
    """Return where Airflow has the Dag file, as far as the environment tells (airflow.dag_processing.bundles)."""
    folder = None
    configured = os.environ.get("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST")
    if configured:
        import json

        try:
            entries = {each["name"]: each for each in json.loads(configured)}
            folder = entries[details.bundle_info.name].get("kwargs", {}).get("path")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    elif details.bundle_info.name == "dags-folder":
        home = os.environ.get("AIRFLOW_HOME") or os.path.expanduser("~/airflow")
        folder = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or os.path.join(home, "dags")
    return os.path.join(folder, details.dag_rel_path) if folder else None


class Outcome:
    """What became of a task: the terminal message, the state it stands for, and the exception that led there."""

    def __init__(self, message: Message, state: str, error: BaseException | None = None) -> None:
        self.message, self.state, self.error = message, state, error


class TaskRunner:
    """Runs one task instance and reports its outcome."""

    def __init__(self, client: SupervisorClient, details: StartupDetails) -> None:
        self.client = client
        self.details = details
        self.ti: RuntimeTaskInstance | None = None
        self.file: DagFile | None = None
        self.context: Any = None
        self.reporting = False
        self.terminated = False

    def run(self, find_task: Callable[[StartupDetails], tuple[Any, DagFile | None]]) -> int:
        """Run the task and return the exit code of the process.

        :param find_task: returns the operator, or None when the bundle does not have it, and the Dag file it is from;
            may raise what importing that file raises.

        0 means that the supervisor has the outcome. Whatever happens before that ends in 1, because the supervisor
        takes an exit of 0 without a terminal message for success.
        """
        try:
            outcome = self._outcome(find_task)
        except SupervisorGone as error:
            log_event("error", "Lost the supervisor before the task was done", error=_text(error))
            return 1
        if not self._report(outcome):
            return 1
        if self.ti is not None and self.context is not None:
            self._finalize(outcome)
        return 0

    def _outcome(self, find_task: Callable[[StartupDetails], tuple[Any, DagFile | None]]) -> Outcome:
        ti = self.details.ti
        try:
            task, self.file = find_task(self.details)
        except SupervisorGone:
            raise
        except BaseException as error:
            log_event("error", "Cannot import the Dag file", exc_info=error.__cause__ or error)
            return self._failure(error)
        if task is None:
            log_event(
                "error",
                "This bundle does not have the task; its state is set to removed",
                dag_id=ti.dag_id,
                task_id=ti.task_id,
            )
            return Outcome(TaskState(state="removed", end_date=utcnow()), TaskInstanceState.REMOVED)
        self.ti = RuntimeTaskInstance(self.details, task)
        try:
            return self._run_and_map_outcome(self.ti)
        except SupervisorGone:
            raise
        except BaseException as error:
            # A handler of an outcome failed itself, such as a deferral whose kwargs have no JSON form.
            log_event("error", "Task failed with exception", exc_info=error)
            if isinstance(error, (AirflowFailException, AirflowSensorTimeout, AirflowTaskTerminated)):
                return self._failed(error)
            return self._failure(error)

    def _report(self, outcome: Outcome) -> bool:
        self.reporting = True
        if self.ti is not None:
            self.ti.state = outcome.state
        try:
            self.client.send(outcome.message)
        except (SupervisorGone, AirflowRuntimeError, BundleError) as error:
            log_event(
                "error",
                "Failed to report terminal task state to supervisor",
                state=str.__str__(outcome.state),
                exc_info=error,
            )
            if isinstance(error, AirflowRuntimeError) and outcome.state not in (
                TaskInstanceState.FAILED,
                TaskInstanceState.UP_FOR_RETRY,
            ):
                # The supervisor sends these once more by itself when the process has ended with 0, so the callbacks
                # must see the outcome and the exit code must not spoil it.
                return True
            return False
        return True

    def _run_and_map_outcome(self, ti: RuntimeTaskInstance) -> Outcome:
        self._handle_signals(ti)
        try:
            check_deployment(ti.task)
            if self.file is not None:
                check_drift(self.file, self.details)
            self.context = context = ti.get_template_context()
            for key in self.details.ti_context.xcom_keys_to_clear or ():
                XCom.delete(key=key, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            _current_contexts.append(context)
            try:
                self._prepare(ti, context)
                try:
                    result = self._execute(ti, context)
                except Exception:
                    self._update_map_index(ti, context, quiet=True)
                    raise
                self._update_map_index(ti, context, quiet=False)
            finally:
                _current_contexts.pop()
            self._push_result(ti, result)
            return self._success(ti)
        except SupervisorGone:
            raise
        except DownstreamTasksSkipped as skip:
            log_event("info", "Skipping downstream tasks.")
            tasks: list[Any] = skip.tasks if isinstance(skip.tasks, list) else [skip.tasks]
            ask_or_raise(SkipDownstreamTasks(tasks=tasks))
            return self._success(ti)
        except DagRunTriggerException as request:
            return self._trigger_dag_run(ti, request)
        except TaskDeferred as defer:
            return self._defer(ti, defer)
        except TaskAwaitingInput as awaiting:
            log_event("info", "Pausing task as AWAITING_INPUT. ", **self._ids())
            message: Message = AwaitInputTask(
                timeout=awaiting.timeout,
                next_method=awaiting.method_name,
                next_kwargs=serialize_value(awaiting.kwargs or {}),
            )
            return Outcome(message, TaskInstanceState.AWAITING_INPUT)
        except AirflowSkipException as skip_task:
            if skip_task.args:
                log_event("info", "Skipping task.", reason=_text(skip_task.args[0]))
            return self._ended("skipped", TaskInstanceState.SKIPPED)
        except AirflowRescheduleException as reschedule:
            log_event("info", "Rescheduling task, marking task as UP_FOR_RESCHEDULE")
            message = RescheduleTask(reschedule_date=reschedule.reschedule_date, end_date=utcnow())
            return Outcome(message, TaskInstanceState.UP_FOR_RESCHEDULE)
        except (AirflowFailException, AirflowSensorTimeout) as error:
            log_event("error", "Task failed with exception", exc_info=error)
            return self._failed(error)
        except AirflowTaskTerminated as error:
            log_event("error", "Task failed with exception", exc_info=error)
            # Task code that raises this is not tried again; what SIGTERM has ended is, where tries are left.
            return self._failure(error) if self.terminated else self._failed(error)
        except SystemExit as error:
            log_event("error", "Task exited", exit_code=error.code)
            return self._failure(error)
        except BaseException as error:
            log_event("error", "Task failed with exception", exc_info=error)
            return self._failure(error)

    def _ids(self) -> dict[str, str]:
        ti = self.details.ti
        return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}

    def _handle_signals(self, ti: RuntimeTaskInstance) -> None:
        """End the task on SIGTERM: `on_kill` first, then an exception, so that `finally` blocks run.

        Airflow's runner calls `on_kill` only and goes on; a bundle has five seconds until SIGKILL to do better.
        """
        import _signal

        pid = os.getpid()

        def on_term(signum: int, frame: Any) -> None:
            if os.getpid() != pid:
                os._exit(128 + signum)
            if not self.reporting:
                self.client.interrupt(terminate)

        def terminate() -> None:
            log_event("error", "Received SIGTERM. Terminating the task")
            try:
                ti.task.on_kill()
            except Exception as error:
                log_event("error", "on_kill failed", exc_info=error)
            self.terminated = True
            raise AirflowTaskTerminated("Task received SIGTERM signal")

        try:
            _signal.signal(_signal.SIGTERM, on_term)
        except ValueError:
            pass  # Not in the main thread, where tests may run a task.

    # --- before, during, after

    def _prepare(self, ti: RuntimeTaskInstance, context: Any) -> None:
        if not ti.hostname:
            ti.hostname = os.uname().nodename
        original = ti.task
        ti.task = context["task"] = ti.task.prepare_for_execution()
        ti.task.render_template_fields(context)
        ti.is_mapped = original.is_mapped
        rendered = rendered_fields(ti.task)
        if rendered:
            ask_or_raise(SetRenderedFields(rendered_fields=rendered))
        self._update_map_index(ti, context, quiet=True)
        if ti.task.inlets or ti.task.outlets:
            answer = ask_or_raise(ValidateInletsAndOutlets(ti_id=ti.id))
            inactive = answer.inactive_assets
            if inactive:
                keys = [AssetUniqueKey(each.name or each.uri, each.uri or each.name) for each in inactive]
                raise AirflowInactiveAssetInInletOrOutletException(keys)

    def _update_map_index(self, ti: RuntimeTaskInstance, context: Any, quiet: bool) -> None:
        """Render the label of a mapped task instance and send it when it has changed.

        :param quiet: a template that cannot be rendered yet is no error; it is rendered again later.
        """
        template = context.get("map_index_template")
        if template is None:
            return
        try:
            label = ti.task.dag.get_template_env().from_string(template).render(dict(context))
        except Exception as error:
            if not quiet or isinstance(error, (SupervisorGone, BundleError)):
                raise
            return
        if label and label != ti.rendered_map_index:
            ti.rendered_map_index = label
            ask_or_raise(SetRenderedMapIndex(rendered_map_index=label))

    def _execute(self, ti: RuntimeTaskInstance, context: Any) -> Any:
        task = ti.task
        execute: Callable[[Any], Any] = task.execute
        server = self.details.ti_context
        if server.next_method:
            kwargs = deserialize_next_kwargs(server.next_kwargs or {})

            def execute(context: Any) -> Any:
                return task.resume_execution(next_method=server.next_method, next_kwargs=kwargs, context=context)

        os.environ.update(context_to_airflow_vars(context))
        if task._pre_execute_hook is not None:
            call_with_outlets(task._pre_execute_hook, context)
        if type(task).pre_execute is not BaseOperator.pre_execute:
            call_with_outlets(task.pre_execute, context)
        self._run_callbacks(task, "on_execute_callback", context)
        timeout = task.execution_timeout
        if not timeout:
            result = execute(context)
        else:
            result = self._execute_in_time(task, execute, context, timeout.total_seconds())
        if task._post_execute_hook is not None:
            call_with_outlets(task._post_execute_hook, context, result)
        if type(task).post_execute is not BaseOperator.post_execute:
            call_with_outlets(task.post_execute, context)
        return result

    def _execute_in_time(self, task: Any, execute: Callable[[Any], Any], context: Any, seconds: float) -> Any:
        import signal

        def on_alarm(signum: int, frame: Any) -> None:
            self.client.interrupt(time_out)

        def time_out() -> None:
            log_event("error", "Process timed out", pid=os.getpid())
            raise AirflowTaskTimeout(f"Timeout, PID: {os.getpid()}")

        try:
            if seconds <= 0:
                raise AirflowTaskTimeout()
            signal.signal(signal.SIGALRM, on_alarm)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                return execute(context)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except AirflowTaskTimeout:
            task.on_kill()
            raise

    def _push_result(self, ti: RuntimeTaskInstance, result: Any) -> None:
        task = ti.task
        value = result if task.do_xcom_push else None
        mapped_over = not ti.is_mapped and next(task.iter_mapped_dependants(), None) is not None
        if value is None:
            if mapped_over:
                raise XComForMappingNotPushed()
            return
        length = None
        if mapped_over:
            if not is_mappable_value(value):
                raise UnmappableXComTypePushed(value)
            length = len(value)
        log_event("info", "Pushing xcom", ti=repr(ti))
        if task.multiple_outputs:
            if not hasattr(value, "keys"):
                raise TypeError(f"Returned output was type {type(value)} expected dictionary for multiple_outputs")
            for key in value.keys():
                if not isinstance(key, str):
                    raise TypeError(
                        "Returned dictionary keys must be strings when using multiple_outputs, "
                        f"found {key} ({type(key)}) instead"
                    )
            for key in value.keys():
                ti.xcom_push(key, value[key])
        ti.xcom_push(XCOM_RETURN_KEY, value, _mapped_length=length)

    def _finalize(self, outcome: Outcome) -> None:
        """Run what Airflow runs after the outcome is known; nothing in here can change it any more."""
        assert self.ti is not None
        task = self.ti.task
        kind = {
            TaskInstanceState.SUCCESS: "on_success_callback",
            TaskInstanceState.SKIPPED: "on_skipped_callback",
            TaskInstanceState.UP_FOR_RETRY: "on_retry_callback",
            TaskInstanceState.FAILED: "on_failure_callback",
        }.get(outcome.state)
        self.context["exception"] = outcome.error
        try:
            self._push_links(self.ti, task)
            if task.overwrite_rtif_after_execution and task.template_fields:
                ask_or_raise(SetRenderedFields(rendered_fields=rendered_fields(task)))
            if kind is not None:
                self._run_callbacks(task, kind, self.context)
            wanted = {"on_retry_callback": "email_on_retry", "on_failure_callback": "email_on_failure"}.get(kind or "")
            if wanted and outcome.error is not None and task.email and getattr(task, wanted):
                log_event(
                    "error",
                    "Failed to send task failure or retry email notification: a bundle does not send mail; use "
                    f"{kind} for it, or run this task outside the bundle",
                )
        except BaseException as error:
            log_event("error", "Failed after the outcome of the task was reported", exc_info=error)

    @staticmethod
    def _push_links(ti: RuntimeTaskInstance, task: Any) -> None:
        """Store what the links of an operator lead to, for the UI."""
        for link in task.operator_extra_links:
            try:
                target = link.get_link(operator=task, ti_key=ti)
                ask_or_raise(
                    SetXCom(
                        key=link.xcom_key,
                        value=target,
                        dag_id=ti.dag_id,
                        task_id=ti.task_id,
                        run_id=ti.run_id,
                        map_index=ti.map_index,
                    )
                )
            except Exception as error:
                log_event(
                    "error", "Failed to push an xcom for task operator extra link", link_name=link.name, exc_info=error
                )

    def _run_callbacks(self, task: Any, kind: str, context: Any) -> None:
        for index, callback in enumerate(getattr(task, kind) or ()):
            try:
                call_with_outlets(callback, context)
            except Exception as error:
                log_event(
                    "error", "Failed to run task callback", kind=kind, index=index, callback=_text(callback),
                    exc_info=error,
                )  # fmt: skip

    # --- outcomes

    def _ended(
        self, state: Literal["failed", "skipped", "removed"], as_state: str, error: BaseException | None = None
    ) -> Outcome:
        end_date = utcnow()
        label = None
        if self.ti is not None:
            label = self.ti.rendered_map_index
            if as_state != TaskInstanceState.SKIPPED:
                self.ti.end_date = end_date
        return Outcome(TaskState(state=state, end_date=end_date, rendered_map_index=label), as_state, error)

    def _failed(self, error: BaseException | None) -> Outcome:
        return self._ended("failed", TaskInstanceState.FAILED, error)

    def _failure(self, error: BaseException) -> Outcome:
        """Retry where the server allows it and the task's retry policy does not say otherwise; else fail."""
        delay, reason = None, None
        if self.ti is not None and getattr(self.ti.task, "retry_policy", None) is not None:
            decision = self._retry_decision(self.ti, error)
            action = getattr(getattr(decision, "action", None), "value", None)
            if action == "fail":
                return self._failed(error)
            if action == "retry":
                delay, reason = decision.retry_delay, decision.reason
        if not self.details.ti_context.should_retry:
            return self._failed(error)
        fields: dict[str, Any] = {"end_date": utcnow()}
        if self.ti is not None:
            self.ti.end_date = fields["end_date"]
        if delay is not None:
            fields["retry_delay_seconds"] = delay.total_seconds()
        if reason is not None:
            fields["retry_reason"] = reason[:500]
        return Outcome(RetryTask(**fields), TaskInstanceState.UP_FOR_RETRY, error)

    def _retry_decision(self, ti: RuntimeTaskInstance, error: BaseException) -> Any:
        try:
            decision = ti.task.retry_policy.evaluate(
                exception=error, try_number=ti.try_number, max_tries=ti.max_tries, context=self.context
            )
        except Exception as failure:
            log_event("error", "Retry policy evaluation failed, falling back to default behaviour", exc_info=failure)
            return None
        if decision.reason:
            log_event("info", "Retry policy decision", action=decision.action.value, reason=decision.reason)
        return decision

    def _success(self, ti: RuntimeTaskInstance) -> Outcome:
        ti.end_date = utcnow()
        message = SucceedTask(
            end_date=ti.end_date,
            task_outlets=[profile for each in ti.task.outlets if (profile := _asset_profile(each)) is not None],
            outlet_events=self.context["outlet_events"].to_wire(),
            rendered_map_index=ti.rendered_map_index,
        )
        return Outcome(message, TaskInstanceState.SUCCESS)

    def _defer(self, ti: RuntimeTaskInstance, defer: TaskDeferred) -> Outcome:
        log_event("info", "Pausing task as DEFERRED. ", **self._ids())
        classpath, trigger_kwargs = defer.trigger.serialize()
        message = DeferTask(
            classpath=classpath,
            trigger_kwargs=serialize_value(trigger_kwargs),
            trigger_timeout=defer.timeout,
            queue=self._triggerer_queue(ti, defer.trigger),
            next_method=defer.method_name,
            next_kwargs=serialize_value(defer.kwargs or {}),
        )
        return Outcome(message, TaskInstanceState.DEFERRED)

    @staticmethod
    def _triggerer_queue(ti: RuntimeTaskInstance, trigger: Any) -> str | None:
        """Return the task's queue where Airflow has triggerers of their own for queues, else None."""
        enabled = _configured("triggerer", "queues_enabled", "false").strip().lower() in ("true", "t", "1")
        return ti.task.queue if enabled and getattr(trigger, "supports_triggerer_queue", True) else None

    def _trigger_dag_run(self, ti: RuntimeTaskInstance, request: Any) -> Outcome:
        """Trigger another Dag and, if asked to, wait for it."""
        log_event("info", "Triggering Dag Run.", trigger_dag_id=request.trigger_dag_id)
        answer = ask(
            TriggerDagRun(
                dag_id=request.trigger_dag_id,
                run_id=request.dag_run_id,
                logical_date=request.logical_date,
                run_after=request.run_after,
                conf=request.conf,
                reset_dag_run=request.reset_dag_run,
                note=request.note,
            )
        )
        if isinstance(answer, ErrorResponse):
            if answer.error != "DAGRUN_ALREADY_EXISTS":
                raise AirflowRuntimeError(answer)
            if request.skip_when_already_exists:
                log_event("info", "Dag Run already exists, skipping task as skip_when_already_exists is set to True.")
                return self._ended("skipped", TaskInstanceState.SKIPPED)
            log_event("error", "Dag Run already exists, marking task as failed.", dag_id=request.trigger_dag_id)
            return self._failed(None)
        log_event("info", "Dag Run triggered successfully.", trigger_dag_id=request.trigger_dag_id)
        ti.xcom_push("trigger_run_id", request.dag_run_id)
        if request.deferrable:
            if request.wait_for_completion:
                trigger = airflow_name("DagStateTrigger")(
                    dag_id=request.trigger_dag_id,
                    states=request.allowed_states + request.failed_states,
                    execution_dates=None,
                    run_ids=[request.dag_run_id],
                    poll_interval=request.poke_interval,
                )
                return self._defer(ti, TaskDeferred(trigger=trigger, method_name="execute_complete"))
            log_event(
                "info",
                "Ignoring deferrable=True because wait_for_completion=False. Task will complete immediately without "
                "waiting for the triggered DAG run.",
                trigger_dag_id=request.trigger_dag_id,
            )
        while request.wait_for_completion:
            time.sleep(request.poke_interval)
            state = ti.get_dagrun_state(request.trigger_dag_id, request.dag_run_id)
            if state in request.failed_states:
                log_event("error", "DagRun finished with failed state.", dag_id=request.trigger_dag_id, state=state)
                return self._failure(AirflowException(f"{request.trigger_dag_id} failed with failed state {state}"))
            if state in request.allowed_states:
                log_event("info", "DagRun finished with allowed state.", dag_id=request.trigger_dag_id, state=state)
                break
        return self._success(ti)


def _asset_profile(value: Any) -> Any:
    """Return an outlet in the form that `SucceedTask` carries; None for what is no asset."""
    if isinstance(value, Asset):
        return AssetProfile(name=value.name, uri=value.uri, type="Asset")
    if isinstance(value, AssetNameRef):
        return AssetProfile(name=value.name, type="AssetNameRef")
    if isinstance(value, AssetUriRef):
        return AssetProfile(uri=value.uri, type="AssetUriRef")
    if isinstance(value, AssetAlias):
        return AssetProfile(name=value.name, type="AssetAlias")
    return None


_MAX_RENDERED_LENGTH = 4096


def rendered_fields(task: Any) -> dict[str, Any]:
    """Return the template fields of a task as the UI shows them: JSON, secrets replaced, long ones cut."""
    fields = {name: _shown_field(getattr(task, name), name) for name in task.template_fields}
    for path in task.template_fields_renderers or ():
        base, *keys = path.split(".")
        if keys and base in fields:
            value = getattr(task, base)
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
            if value is not None:
                fields[path] = _shown_field(value, path)
    return fields


def _shown_field(value: Any, name: str) -> Any:
    value = _rendered(value)
    limit = int(_configured("core", "max_templated_field_length", str(_MAX_RENDERED_LENGTH)))
    if len(str(value)) > limit:
        return _truncated(str(redact(value, name)), limit)
    return redact(value, name)


def _truncated(text: str, limit: int) -> str:
    prefix, suffix = "Truncated. You can change this behaviour in [core]max_templated_field_length. ", "..."
    room = limit - len(prefix) - len(suffix)
    content = text[:room].rstrip() if room >= 7 else ""
    return f"{prefix}{content}{suffix}" if limit > 0 else ""


def _rendered(value: Any) -> Any:
    """Turn a rendered field into JSON that is the same for the same field in every process."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, dict):
        pairs = [(str(_rendered(key)), _rendered(each)) for key, each in value.items()]
        return dict(sorted(pairs, key=lambda pair: pair[0]))
    if isinstance(value, (list, tuple)):
        return [_rendered(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_rendered(each) for each in value), key=lambda each: (type(each).__name__, str(each)))
    if hasattr(type(value), "serialize") and not isinstance(value, type):
        return _rendered(value.serialize())
    if callable(value):
        home = getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return f"<callable {home}.{name}>" if home else f"<callable {name}>"
    kind = type(value)
    if kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__:
        return str(value)
    return f"<{kind.__module__}.{kind.__qualname__} object>"


# --- a process under a supervisor -------------------------------------------------------------------------------------


def serve(client: SupervisorClient, files: DagFiles) -> int:
    """Do what the supervisor asks for with its first message; return the exit code."""
    global supervisor
    try:
        message = client.receive_startup()
    except BundleError as error:
        log_event("error", f"Cannot start: {error}")
        return 1
    if isinstance(message, DagFileParseRequest):
        return _answer_parse_request(client, files, message)
    client.context_carrier = _trace_context(message.ti.context_carrier)
    supervisor = client
    log_event("info", "Running in a bundle", **files.identity(), python=sys.version.split()[0])
    ti = message.ti
    log_channel.bind(
        ti_id=ti.id,
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=ti.map_index,
    )
    _parsing_context.append(ParsingContext(message.ti.dag_id, message.ti.task_id))

    def find_task(details: StartupDetails) -> tuple[Any, DagFile | None]:
        bag = files.load_for(details.ti.dag_id)
        dag = bag.dags.get(details.ti.dag_id)
        task = None if dag is None else dag.task_dict.get(details.ti.task_id)
        return task, bag.files.get(details.ti.dag_id)

    return TaskRunner(client, message).run(find_task)


def _trace_context(carrier: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the part of a trace context that goes back with each request."""
    kept = {key: carrier[key] for key in ("traceparent", "tracestate") if key in carrier} if carrier else {}
    return kept or None


def _answer_parse_request(client: SupervisorClient, files: DagFiles, request: DagFileParseRequest) -> int:
    """Answer Airflow's Dag processor with the Dags of this bundle; callbacks it asks for are refused in the log."""
    for callback in request.callback_requests:
        log_event(
            "error",
            "A bundle does not run callbacks for the Dag processor: it has no task instance to run them for. "
            "Callbacks of tasks run where the task runs; for those of a Dag, give Airflow the Dag file itself",
            kind=callback.type,
            filepath=callback.filepath,
        )
    try:
        client.send(parsing_result(files.load_as(request), request.file))
    except BundleError as error:
        log_event("error", f"Cannot answer the Dag processor: {error}")
        return 1
    return 0


def parsing_result(bag: DagBag, fileloc: str) -> DagFileParsingResult:
    """Return what Airflow's Dag processor wants to know about Dag files (airflow.dag_processing.processor)."""
    needs_section("Dag form")
    return DagFileParsingResult(
        fileloc=fileloc,
        serialized_dags=[LazyDeserializedDAG(data=serialize_dag(dag)) for dag in bag.dags.values()],
        import_errors=bag.import_errors or None,
        warnings=None,
    )


class DagFiles:
    """The Dag files this process serves: those frozen into it, or those named on the command line."""

    def __init__(self, files: Sequence[DagFile], manifest: dict[str, Any] | None = None) -> None:
        self.files = list(files)
        self.manifest = manifest

    @classmethod
    def frozen(cls) -> DagFiles:
        """Return those of the bundle this program is."""
        import _bundle_contents as contents  # type: ignore[import-not-found]

        root = sys._MEIPASS  # type: ignore[attr-defined]
        files = [DagFile(name, os.path.join(root, name), module, ids) for name, module, ids in contents.FILES]
        return cls(files, contents.MANIFEST)

    def identity(self) -> dict[str, Any]:
        """Return what tells one build from another, for the log."""
        if self.manifest is None:
            return {"bundle": "not frozen", "version": VERSION}
        import _bundle_contents as contents

        return {"bundle": self.manifest["source"], "version": VERSION, "source_sha256": contents.SOURCE_SHA256}

    def load_for(self, dag_id: str) -> DagBag:
        """Import the file that declares a Dag; all of them only where it is not known which one does.

        :raises DagFileError: when a file cannot be imported.
        """
        bag = DagBag()
        for file in self.files:
            if file.dag_ids is None or dag_id in file.dag_ids:
                bag.load(file)
        return bag

    def load_as(self, request: DagFileParseRequest) -> DagBag:
        """Import the file that the Dag processor asks for, or all when none has its name, under the path it uses."""
        bag = DagBag()
        for file in [each for each in self.files if request.file.endswith(each.name)] or self.files:
            bag.load_or_note(file)
        for dag in bag.dags.values():
            dag.fileloc = request.file
            dag.relative_fileloc = os.path.relpath(request.file, request.bundle_path)
        if bag.import_errors:
            bag.import_errors = {request.file: "\n".join(bag.import_errors.values())}
        return bag

    def load_all(self) -> DagBag:
        """Import every file; what is wrong with one is in `import_errors`."""
        bag = DagBag()
        for file in self.files:
            bag.load_or_note(file)
        return bag


########################################################################################################################
# Packing: a Dag file and its project -> one executable, and what such a file must look like to be run.
########################################################################################################################
#
# <executable><source><manifest><trailer>. Airflow verifies the executable's hash before it reads the manifest, and
# skips a file that is wrong in any way without telling the user; so everything is checked here, where a person watches.

TRAILER_MAGIC = b"AFBNDL01"
TRAILER_SIZE = 64
TRAILER_VERSION = 1
MANIFEST_VERSION = "1.0"
# The bootloader looks for these bytes backwards from the end of the file: none may stand behind the archive.
ARCHIVE_COOKIE = b"MEI\014\013\012\013\016"
# The one place where build tools are pinned. `make bundle` installs exactly these, then what the Dag file declares.
BUILD_PINS = ("msgpack==1.2.4", "pyinstaller==6.22.3", "pyinstaller-hooks-contrib==2026.9")
# Frozen in when a task uses a template: Airflow renders those with Jinja2, and so must the bundle.
JINJA_PIN = "jinja2==3.1.6"
JINJA_MODULES = ("jinja2", "jinja2.ext", "jinja2.nativetypes", "jinja2.sandbox")
_CACHE_DIGEST_DOMAIN = b"coordinator-bundle cache digest v1\0"
_CHUNK = 1 << 20
_U32_MAX = 0xFFFFFFFF


class BundleFormatError(BundleError):
    """A file is not a bundle, or not one that Airflow and we would both accept."""


class BuildError(BundleError):
    """A bundle cannot be built; the message says why and what to do. Nothing half-built is left."""


class Trailer:
    """
    The last 64 bytes of a bundle, little-endian (`airflow.sdk.coordinators.executable.coordinator._Footer`).

    :param source_len: bytes of the source region
    :param metadata_len: bytes of the manifest
    :param binary_sha256: SHA-256 of the executable region, 32 bytes
    """

    def __init__(self, source_len: int, metadata_len: int, binary_sha256: bytes) -> None:
        for name, value in (("source", source_len), ("manifest", metadata_len)):
            if not 0 <= value <= _U32_MAX:
                raise BundleFormatError(f"the {name} is {value} bytes long; a trailer can say at most {_U32_MAX}")
        if len(binary_sha256) != 32:
            raise BundleFormatError(f"a SHA-256 digest has 32 bytes, this one {len(binary_sha256)}")
        self.source_len = source_len
        self.metadata_len = metadata_len
        self.binary_sha256 = binary_sha256

    def pack(self) -> bytes:
        """The 64 bytes."""
        import struct

        lengths = struct.pack("<III", self.source_len, self.metadata_len, TRAILER_VERSION)
        return lengths + self.binary_sha256 + bytes(12) + TRAILER_MAGIC

    @classmethod
    def unpack(cls, data: bytes) -> Trailer:
        """
        Read the last 64 bytes of a file.

        :raises BundleFormatError: too short, another magic, another version, reserved bytes in use
        """
        import struct

        if len(data) != TRAILER_SIZE or data[56:] != TRAILER_MAGIC:
            raise BundleFormatError("not a bundle: its last 8 bytes are not AFBNDL01; build it with `make bundle`")
        source_len, metadata_len, version = struct.unpack_from("<III", data)
        if version != TRAILER_VERSION:
            raise BundleFormatError(
                f"trailer version {version}; only version {TRAILER_VERSION} is known: build it anew"
            )
        if data[44:56] != bytes(12):
            raise BundleFormatError("the trailer's reserved bytes are not zero: the file was changed; build it anew")
        return cls(source_len, metadata_len, data[12:44])


class BundleFile:
    """
    A bundle on disk, taken apart (`read_bundle`, `inspect_bundle`).

    `path`, `size` (bytes), `trailer`, `source_start` and `metadata_start` (offsets), `source` (bytes),
    `manifest_text` (bytes as embedded), `manifest` (decoded, {} when it cannot be) and `problems`: what is wrong, one
    sentence each; empty when Airflow accepts the file and every digest fits.
    """

    path: str
    size: int
    trailer: Trailer
    source_start: int
    metadata_start: int
    source: bytes
    manifest_text: bytes
    manifest: dict[str, Any]
    problems: list[str]


def render_manifest(manifest: dict[str, Any]) -> bytes:
    """
    A manifest as JSON that YAML reads identically: keys sorted, so that the same input gives the same bytes.

    YAML takes an escaped surrogate pair for two characters and folds or refuses some that JSON lets through, so only
    those are escaped.

    :raises BundleFormatError: a text holds a lone surrogate
    """
    import json
    import re

    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    text = re.sub("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]", lambda m: f"\\u{ord(m.group()):04x}", text)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BundleFormatError(f"the manifest has text that is not valid Unicode: {error}") from None


def bundle_manifest(dags: dict[str, list[str]], source_name: str) -> dict[str, Any]:
    """
    The manifest without its digests, which `append_trailer` adds.

    :param dags: dag_id to task ids, in the Dag's own order
    :param source_name: display name of the (first) Dag file
    :raises BundleFormatError: no Dag at all, or an id that YAML could not carry as a key
    """
    if not dags:
        raise BundleFormatError("there is no Dag in it: nothing could ever be routed to this bundle")
    for dag_id in dags:
        # A YAML key may be 1024 characters long; Airflow's own limit for a dag_id is 250.
        if len(dag_id) > 250:
            raise BundleFormatError(f"dag_id {dag_id[:40]!r}... has {len(dag_id)} characters; Airflow allows 250")
    return {
        "airflow_bundle_metadata_version": MANIFEST_VERSION,
        "sdk": {"language": SDK_NAME, "version": VERSION, "supervisor_schema_version": SCHEMA_VERSION},
        "source": source_name,
        "dags": {dag_id: {"tasks": list(tasks)} for dag_id, tasks in dags.items()},
    }


def _digests(manifest: dict[str, Any], binary_sha256: bytes, source: bytes) -> dict[str, str]:
    """
    `integrity`: the executable's hash once more. `cache`: changes with any region (executable, source, manifest without
    digests), so it tells of an edited source or manifest, which Airflow itself does not look for.
    """
    import hashlib

    bare = {key: value for key, value in manifest.items() if key != "digests"}
    cache = hashlib.sha256(_CACHE_DIGEST_DOMAIN + binary_sha256 + hashlib.sha256(source).digest())
    cache.update(hashlib.sha256(render_manifest(bare)).digest())
    return {"integrity": binary_sha256.hex(), "cache": cache.hexdigest()}


def _manifest_problem(manifest: object) -> str | None:
    """What a reader would stumble over in a decoded manifest, or None."""
    if not isinstance(manifest, dict):
        return "the manifest is not a mapping"
    if manifest.get("airflow_bundle_metadata_version") != MANIFEST_VERSION:
        return f"the manifest's airflow_bundle_metadata_version is not {MANIFEST_VERSION!r}"
    sdk = manifest.get("sdk")
    if not isinstance(sdk, dict) or not all(isinstance(sdk.get(key), str) for key in ("language", "version")):
        return "the manifest does not say which SDK made it"
    if sdk.get("supervisor_schema_version") != SCHEMA_VERSION:
        return (
            f"the manifest's supervisor_schema_version is {sdk.get('supervisor_schema_version')!r}, not "
            f"{SCHEMA_VERSION!r}: Airflow skips a bundle whose version it does not know"
        )
    if not isinstance(manifest.get("source"), str):
        return "the manifest does not name its source"
    dags = manifest.get("dags")
    if not isinstance(dags, dict) or not dags:
        return "the manifest lists no Dags"
    for dag_id, entry in dags.items():
        tasks = entry.get("tasks") if isinstance(entry, dict) else None
        if not isinstance(tasks, list) or not all(isinstance(task_id, str) for task_id in tasks):
            return f"the manifest's entry for Dag {dag_id!r} has no list of task ids"
    return None


def _examine_bundle(path: str) -> BundleFile:
    """Read everything a bundle says about itself; what is wrong but readable goes into `problems`."""
    import hashlib
    import json
    import stat

    found = BundleFile()
    found.path = path
    found.problems = problems = []
    try:
        # Without waiting, for what is no regular file may never have anything to read.
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise BundleFormatError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleFormatError(f"{path}: not a regular file")
        found.size = status.st_size
        file.seek(max(0, found.size - TRAILER_SIZE))
        try:
            found.trailer = trailer = Trailer.unpack(file.read(TRAILER_SIZE))
        except BundleFormatError as error:
            raise BundleFormatError(f"{path}: {error}") from None
        found.metadata_start = found.size - TRAILER_SIZE - trailer.metadata_len
        found.source_start = found.metadata_start - trailer.source_len
        if found.source_start <= 0:
            raise BundleFormatError(
                f"{path}: the trailer claims more bytes than the file has: it was cut; copy it anew"
            )
        file.seek(0)
        digest = hashlib.sha256()
        left = found.source_start
        while left:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise BundleFormatError(f"{path}: became shorter while it was read; try again")
            digest.update(chunk)
            left -= len(chunk)
        found.source = file.read(trailer.source_len)
        found.manifest_text = file.read(trailer.metadata_len)
    if digest.digest() != trailer.binary_sha256:
        problems.append(
            "the executable was changed after packing: its SHA-256 is not the trailer's; build or copy it anew"
        )
    try:
        manifest = json.loads(found.manifest_text.decode())
    except (ValueError, RecursionError) as error:
        manifest = None
        problems.append(
            f"the manifest cannot be decoded ({error}): it was changed after packing, or another tool packed it"
        )
    else:
        problem = _manifest_problem(manifest)
        if problem:
            problems.append(problem)
    found.manifest = manifest if isinstance(manifest, dict) else {}
    if not problems:
        try:
            same = render_manifest(found.manifest) == found.manifest_text
        except (BundleFormatError, ValueError, RecursionError):
            same = False
        if not same:
            problems.append("the manifest is not as our packer writes it: it was changed after packing; build it anew")
        elif found.manifest.get("digests") != _digests(found.manifest, trailer.binary_sha256, found.source):
            problems.append("source or manifest were changed after packing: their digest does not fit; build it anew")
    if not os.access(path, os.X_OK):
        problems.append("its execute bit is not set, so Airflow passes over it: chmod +x it")
    return found


def read_bundle(path: str) -> BundleFile:
    """
    Read a bundle, as strictly as Airflow's `_read_bundle_metadata` and stricter: a changed source or manifest too.

    :raises BundleFormatError: anything is wrong with it
    """
    found = _examine_bundle(path)
    if found.problems:
        raise BundleFormatError(f"{path}: {found.problems[0]}")
    return found


def inspect_bundle(path: str) -> dict[str, Any]:
    """
    What `--inspect` shows, problems included.

    :raises BundleFormatError: not a bundle, or its regions cannot be told apart
    """
    found = _examine_bundle(path)
    return {
        "path": found.path,
        "size": found.size,
        "executable_len": found.source_start,
        "source_len": found.trailer.source_len,
        "metadata_len": found.trailer.metadata_len,
        "footer_ver": TRAILER_VERSION,
        "binary_sha256": found.trailer.binary_sha256.hex(),
        "verified": not found.problems,
        "problems": list(found.problems),
        "manifest": found.manifest,
        "manifest_text": found.manifest_text.decode(errors="backslashreplace"),
        "source": found.source.decode(errors="backslashreplace"),
    }


def format_inspection(inspection: dict[str, Any], source: bool = False) -> str:
    """`inspect_bundle`'s answer for a person; with *source*, only the Dag file itself."""
    if source:
        return inspection["source"] or "(no source embedded; the Dag file itself is inside the archive)\n"
    lines = [
        inspection["path"],
        f"  size        {inspection['size']} bytes: executable {inspection['executable_len']}, source "
        f"{inspection['source_len']}, manifest {inspection['metadata_len']}, trailer {TRAILER_SIZE}",
        f"  trailer     {TRAILER_MAGIC.decode()}, version {inspection['footer_ver']}",
        f"  sha256      {inspection['binary_sha256']}",
        f"  verified    {'yes: executable, source and manifest are as packed' if inspection['verified'] else 'NO'}",
    ]
    lines += [f"    {problem}" for problem in inspection["problems"]]
    lines.append("  manifest")
    lines += [f"    {line}" for line in inspection["manifest_text"].splitlines()]
    return "\n".join(lines) + "\n"


def append_trailer(executable: str, source: bytes, manifest: dict[str, Any], out: str) -> BundleFile:
    """
    Write *out* = executable + source + manifest + trailer. Whoever looks sees the old file or the whole new one.

    The temporary file has no execute bit until it is complete, so Airflow, which walks the folder, passes over it. An
    executable that is a bundle already is taken without its old regions: nothing is ever appended twice.

    :param source: the embedded Dag file; left out when it holds the archive's cookie, which would break the start
    :param manifest: as from `bundle_manifest`; digests are added here
    :raises BundleFormatError: an executable that is empty or has a trailer that cannot be read
    """
    import hashlib
    import tempfile

    if ARCHIVE_COOKIE in source:
        source = b""
    length = os.path.getsize(executable)
    with open(executable, "rb") as file:
        file.seek(max(0, length - TRAILER_SIZE))
        if file.read(TRAILER_SIZE).endswith(TRAILER_MAGIC):
            length = _examine_bundle(executable).source_start
    if not length:
        raise BundleFormatError(f"{executable}: an empty file cannot be packed")
    folder, name = os.path.split(os.path.abspath(out))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".packing", dir=folder)
    try:
        with open(executable, "rb") as original, open(descriptor, "wb") as copy:
            digest = hashlib.sha256()
            left = length
            while left:
                chunk = original.read(min(_CHUNK, left))
                if not chunk:
                    raise BundleFormatError(f"{executable}: became shorter while it was read")
                digest.update(chunk)
                copy.write(chunk)
                left -= len(chunk)
            binary_sha256 = digest.digest()
            manifest_text = render_manifest({**manifest, "digests": _digests(manifest, binary_sha256, source)})
            copy.write(source + manifest_text + Trailer(len(source), len(manifest_text), binary_sha256).pack())
            copy.flush()
            os.fsync(copy.fileno())
            # From here on Airflow might start it under this name.
            os.fchmod(copy.fileno(), 0o755)
            os.replace(temporary, out)
            os.fsync(copy.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    folder_descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(folder_descriptor)
    finally:
        os.close(folder_descriptor)
    return read_bundle(out)


# ---- Inside the frozen program ---------------------------------------------------------------------------------------


def frozen_dag_code(module_name: str) -> object:
    """
    The code object of a frozen Dag file, not yet run, its tracebacks pointing at where its source lies now.

    :param module_name: as in `_bundle_contents.FILES`
    """
    import _imp

    import _bundle_contents  # type: ignore[import-not-found]

    relative = next(name for name, module, _ in _bundle_contents.FILES if module == module_name)
    path = os.path.join(sys._MEIPASS, relative)  # type: ignore[attr-defined]
    code = sys.modules["pyimod02_importers"].pyz_archive.extract(module_name)
    _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    return code


def section_name(title: str) -> str:
    """The name under which the code of a section lies in the archive of a frozen program."""
    return f"section {title}"


_sections_run: dict[str, Any] = {}


def needs_section(title: str) -> None:
    """
    Define what a section of this module declares; to be called before anything in it is used from outside of it.

    A frozen program starts without those of `SECTIONS_APART`, because a task would pay for what it does not use.
    Elsewhere, and from the second call on, this does nothing.

    :param title: as it stands in the section's heading
    """
    if not hasattr(sys, "_MEIPASS") or title in _sections_run:
        return
    import _imp
    import _thread

    with _sections_run.setdefault("lock", _thread.RLock()):
        if title not in _sections_run:
            code = sys.modules["pyimod02_importers"].pyz_archive.extract(section_name(title))
            _imp._fix_co_filename(code, needs_section.__code__.co_filename)  # type: ignore[attr-defined]
            exec(code, globals())
            _sections_run[title] = True


def prepare_frozen_imports() -> None:
    """
    Make importable what the build left out of the extraction at start. Called first thing in a frozen program.

    The one-file bootloader writes every shared library to disk before Python runs. Only what each start needs is left
    to it; the others lie compressed in the archive and are written when something imports them.
    """
    import encodings

    import _bundle_contents  # type: ignore[import-not-found]

    # Only the codecs that start the interpreter are in the zip file that it starts from; the others are in the archive.
    encodings.__path__.append(os.path.join(sys._MEIPASS, "encodings"))  # type: ignore[attr-defined]
    sys.meta_path.append(_PackedExtensions(_bundle_contents.EXTENSIONS))  # type: ignore[arg-type]
    if _bundle_contents.HOOKS:
        sys.meta_path.insert(0, _LateHooks(dict(_bundle_contents.HOOKS)))  # type: ignore[arg-type]


def restore_environment() -> None:
    """
    Give programs that a task starts the library path that this program was started with.

    The bootloader puts the extraction folder there for itself; `ls` must not load our libraries. The dynamic linker has
    read the variable by now, so this process is not affected.
    """
    original = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if original is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = original


class _PackedExtensions:
    """
    The last finder: writes an extension module, and libraries it is linked to, to the extraction folder when imported.

    :param extensions: module name to (its file, files of the libraries it needs), relative to the extraction folder
    """

    def __init__(self, extensions: dict[str, tuple[str, tuple[str, ...]]]) -> None:
        self.extensions = extensions
        self.entries: dict[str, tuple[int, int, bool]] = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        known = self.extensions.get(name)
        if known is None:
            return None
        import importlib.machinery as machinery
        import importlib.util

        for file in (*known[1], known[0]):
            self.write(file)
        location = os.path.join(sys._MEIPASS, known[0])  # type: ignore[attr-defined]
        loader = machinery.ExtensionFileLoader(name, location)
        return importlib.util.spec_from_file_location(name, location, loader=loader)

    def write(self, file: str) -> None:
        """Write one file, atomically: other threads and forked children do the same."""
        destination = os.path.join(sys._MEIPASS, file)  # type: ignore[attr-defined]
        if os.path.exists(destination):
            return
        import _thread

        if not self.entries:
            self.entries = self.read_entries()
        offset, length, compressed = self.entries[file]
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        temporary = f"{destination}.{os.getpid()}.{_thread.get_ident()}"
        with open(sys.executable, "rb") as archive, open(temporary, "wb") as out:
            archive.seek(offset)
            if compressed:
                import zlib

                decompressor = zlib.decompressobj()
                while length:
                    chunk = archive.read(min(_CHUNK, length))
                    if not chunk:
                        raise ImportError(f"{sys.executable} ends inside {file}: it was cut; copy it anew")
                    length -= len(chunk)
                    out.write(decompressor.decompress(chunk))
                out.write(decompressor.flush())
            else:
                out.write(archive.read(length))
        os.replace(temporary, destination)

    @staticmethod
    def read_entries() -> dict[str, tuple[int, int, bool]]:
        """PyInstaller's table of contents: name to (offset in this file, stored length, compressed or not)."""
        import marshal
        import struct

        modules = sys.modules["pyimod02_importers"].pyz_archive
        with open(sys.executable, "rb") as file:
            # The archive of modules is the last entry and ends with a table of its own; ours follows, then the cookie.
            file.seek(modules._start_offset + 8)
            file.seek(modules._start_offset + struct.unpack("!i", file.read(4))[0])
            marshal.load(file)
            table = file.tell()
            head = struct.Struct("!IIIIBc")
            raw: list[tuple[str, int, int, bool, bytes]] = []
            while True:
                start = file.read(8)
                if start == ARCHIVE_COOKIE:
                    break
                data = start + file.read(head.size - 8)
                length, offset, stored, _, compressed, kind = head.unpack(data)
                name = file.read(length - head.size).rstrip(b"\0").decode()
                raw.append((name, offset, stored, bool(compressed), kind))
            archive_length, table_offset = struct.unpack("!II", file.read(8))
            base = table - table_offset
            return {name: (base + offset, stored, packed) for name, offset, stored, packed, kind in raw if kind == b"a"}


class _LateHooks:
    """
    The first finder: runs PyInstaller's run-time hook of a module when that module is first imported, not at every
    start, and when what the hook imports itself can be had.

    :param hooks: module name to the names of its hooks in the archive
    """

    def __init__(self, hooks: dict[str, tuple[str, ...]]) -> None:
        self.hooks = hooks

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name not in self.hooks:
            return None
        import importlib
        import importlib.machinery as machinery

        for hook in self.hooks.pop(name):
            exec(sys.modules["pyimod02_importers"].pyz_archive.extract(hook), {"__name__": hook})
        return machinery.ModuleSpec(name, _LoadedModule(importlib.import_module(name)))  # type: ignore[arg-type]


class _LoadedModule:
    """The loader of a module that has been imported while it was looked for."""

    def __init__(self, module: Any) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: object) -> object:
        return self.module

    def exec_module(self, module: Any) -> None:
        module.__spec__ = self.spec


# ---- What a Dag file declares and brings along -----------------------------------------------------------------------

# Read by tasks through `Path(__file__)` or `template_searchpath`, and small enough to be taken along unasked.
DATA_SUFFIXES = frozenset(
    ".cfg .conf .csv .css .geojson .graphql .hql .html .ini .j2 .jinja .jinja2 .json .jsonl .md .properties .ps1"
    " .psv .r .rst .sh .sql .tmpl .toml .tpl .tsv .txt .xml .xsd .xslt .yaml .yml".split()
)
_SKIPPED_FOLDERS = frozenset(
    "__pycache__ __pypackages__ build dist env node_modules site-packages target venv virtualenv wheels".split()
)
# Files with such an ending that serve the project and not its tasks.
_PROJECT_FILES = frozenset(
    "airflow_settings.yaml changelog.md code_of_conduct.md contributing.md docker-compose.yaml docker-compose.yml "
    "license.md license.txt mkdocs.yml mypy.ini package-lock.json package.json poetry.toml pyproject.toml pytest.ini "
    "readme.md readme.rst readme.txt ruff.toml setup.cfg tox.ini uv.toml".split()
)
_OUR_OWN = frozenset("coordinator_bundle.py build_spec.spec Makefile README.md tests build dist".split())
_LARGE_FILE = 10 << 20
_MOST_BYTES = 100 << 20
_MOST_FILES = 2_000
_MOST_VISITED = 50_000


def read_inline_metadata(path: str) -> dict[str, Any]:
    """
    The inline script metadata (PEP 723) of a Dag file: `dependencies` and `requires-python`, {} when there is none.

    :raises BuildError: two blocks, or one that is not TOML
    """
    import re

    with open(path, "rb") as file:
        text = file.read().decode(errors="replace")
    text = text.replace("\r\n", "\n")
    pattern = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)[ \t]*$\n(?P<content>(?:^#(?:| .*)$\n)+)^# ///[ \t]*$"
    blocks = [match for match in re.finditer(pattern, text) if match["type"] == "script"]
    if not blocks:
        return {}
    if len(blocks) > 1:
        raise BuildError(f"{path}: more than one `# /// script` block; keep one")
    line = text.count("\n", 0, blocks[0].start()) + 1
    lines = blocks[0]["content"].splitlines()
    content = "\n".join(entry[2:] if entry.startswith("# ") else entry[1:] for entry in lines)
    try:
        metadata = _parse_metadata(content)
    except ValueError as error:
        raise BuildError(f"{path}:{line}: the `# /// script` block is not valid TOML: {error}") from None
    dependencies = metadata.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise BuildError(f"{path}:{line}: `dependencies` in the `# /// script` block must be a list of strings")
    if not isinstance(metadata.get("requires-python", ""), str):
        raise BuildError(f"{path}:{line}: `requires-python` in the `# /// script` block must be a string")
    return metadata


def _parse_metadata(text: str) -> dict[str, Any]:
    """TOML. Python 3.10 has no parser for it; there, the two keys that a script block is made of are read."""
    try:
        import tomllib  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return _parse_two_keys(text)
    return tomllib.loads(text)


def _parse_two_keys(text: str) -> dict[str, Any]:
    """`dependencies` (strings in brackets) and `requires-python` (a string), above the first table; else ValueError."""
    import re

    text = re.split(r"(?m)^\s*\[", text)[0]
    found: dict[str, Any] = {}
    string = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"
    skipped = r"(?:\s|#[^\n]*(?:\n|$))*"
    position = 0
    while True:
        position = re.compile(skipped).match(text, position).end()  # type: ignore[union-attr]
        if position == len(text):
            return found
        key = re.compile(r"([A-Za-z0-9_-]+|\"[^\"\n]+\")[ \t]*=[ \t]*").match(text, position)
        if not key:
            raise ValueError(f"cannot read {text[position:].splitlines()[0]!r} (Python 3.11 and newer can)")
        name, position = key[1].strip('"'), key.end()
        one = re.compile(string).match(text, position)
        many = re.compile(rf"\[(?:{skipped}(?:{string}){skipped},)*{skipped}(?:{string})?{skipped}\]").match(
            text, position
        )
        if name in found:
            raise ValueError(f"{name!r} stands there twice")
        if one:
            found[name], position = _toml_string(one[0]), one.end()
        elif many:
            inner = re.compile(rf"(?P<string>{string})|#[^\n]*").finditer(many[0])
            found[name] = [_toml_string(match["string"]) for match in inner if match["string"]]
            position = many.end()
        else:
            raise ValueError(f"cannot read the value of {name!r} (Python 3.11 and newer can)")


def _toml_string(literal: str) -> str:
    import json

    return literal[1:-1] if literal.startswith("'") else json.loads(literal)


def python_version_fits(specifier: str, version: tuple[int, int, int]) -> bool:
    """
    Whether *version* is allowed by a `requires-python` such as `>=3.10,<3.13` or `==3.11.*`.

    :raises BuildError: a clause that is none of >= <= > < == != ~=
    """
    import re

    for clause in filter(None, (part.strip() for part in specifier.split(","))):
        match = re.fullmatch(r"(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?", clause)
        if not match or (match[3] and match[1] not in ("==", "!=")):
            raise BuildError(f"requires-python: cannot read {clause!r}; write it like >=3.10")
        operator, wanted = match[1], tuple(int(part) for part in match[2].split("."))
        have = version[: len(wanted)] if match[3] else version
        padded = wanted if match[3] else wanted + (0,) * (3 - len(wanted))
        fits = {
            ">=": have >= padded,
            "<=": have <= padded,
            ">": have > padded,
            "<": have < padded,
            "==": have == padded,
            "!=": have != padded,
            "~=": have >= padded and have[: len(wanted) - 1] == wanted[:-1],
        }
        if not fits[operator]:
            return False
    return True


def collect_project(dag_paths: Sequence[str], include: Sequence[str], exclude: Sequence[str] = ()) -> dict[str, Any]:
    """
    What goes along with Dag files: the folder they lie in decides, as Airflow's Dag folder does.

    Returns `root` (the common folder), `files` (one `{"path", "relative"}` for each Dag file), `data` (`[absolute,
    relative]` of each file to lay out beside them), `modules` (of included Python code), `pathex` (folders imports are
    looked up in) and `notices` (what was left out, and how to have it).

    :param include: further files and folders; what lies outside of `root` goes to its top under its own name. The
        modules of a folder that is no package can be imported as they can with that folder on `PYTHONPATH`, too
    :param exclude: files and folders below `root`, or patterns such as `*.csv`, whose data stays here
    :raises BuildError: a file that is not there, no sensible common folder, or more than is plausible for a Dag project
    """
    import fnmatch

    dags = [os.path.abspath(path) for path in dag_paths]
    for given, path in zip(dag_paths, dags):
        if not os.path.isfile(path):
            is_folder = os.path.isdir(path)
            raise BuildError(
                f"{given}: {'a folder; name the Dag files in it' if is_folder else 'there is no such file'}"
            )
    if len(set(dags)) < len(dags):
        raise BuildError("the same Dag file is named twice")
    root = os.path.commonpath([os.path.dirname(path) for path in dags])
    home = os.path.expanduser("~")
    if len({os.path.dirname(path) for path in dags}) > 1 and root in ("/", home, os.path.dirname(home)):
        raise BuildError(f"the Dag files have no folder in common but {root}; put them into one project folder")
    notices: list[str] = []
    path_entries: list[str] = []
    data: dict[str, str] = {}
    modules: list[str] = []
    pathex = list(dict.fromkeys([*(os.path.dirname(path) for path in dags), root]))
    for path in dags:
        data[os.path.relpath(path, root)] = path
    tally = [0, 0]
    unused = {}
    for given in exclude:
        path = os.path.abspath(given)
        is_named = os.path.exists(path) and path.startswith(root + os.sep)
        unused[given] = os.path.relpath(path, root) if is_named else os.path.normpath(given)
    patterns = list(unused.items())

    def is_excluded(relative: str) -> bool:
        names = [os.path.basename(relative)]
        while relative:
            names.append(relative)
            relative = os.path.dirname(relative)
        found = [given for given, pattern in patterns if fnmatch.filter(names, pattern)]
        for given in found:
            unused.pop(given, None)
        return bool(found)

    def add(path: str, relative: str, asked: bool) -> None:
        if is_excluded(relative):
            return
        size = os.path.getsize(path)
        if not asked and size > _LARGE_FILE:
            notices.append(f"{relative} is left out for its size ({size >> 20} MiB); INCLUDE={relative} takes it along")
            return
        if relative not in data:
            tally[1] += size
            data[relative] = path
        if not asked and (len(data) > _MOST_FILES or tally[1] > _MOST_BYTES):
            raise BuildError(
                f"{root} holds more than a Dag file's project would ({len(data)} data files, {tally[1] >> 20} MiB so "
                "far); put the Dag file into a folder of its own, or leave out what it does not need by EXCLUDE=path"
            )

    def sweep(folder: str) -> None:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            tally[0] += 1
            if tally[0] > _MOST_VISITED:
                raise BuildError(f"{root} is too large a folder to look through; put the Dag file into one of its own")
            if entry.name.startswith(".") or (folder == here and entry.name in _OUR_OWN):
                continue
            if entry.is_dir(follow_symlinks=False):
                skip = entry.name in _SKIPPED_FOLDERS or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
                if not skip and folder not in ("/", home) and not is_excluded(os.path.relpath(entry.path, root)):
                    sweep(entry.path)
            elif entry.is_file() and _is_data(entry.name):
                add(entry.path, os.path.relpath(entry.path, root), asked=False)

    here = os.path.dirname(os.path.abspath(__file__))
    for folder in dict.fromkeys(os.path.dirname(path) for path in dags):
        if folder in ("/", home):
            notices.append(f"sub-folders of {folder} are not searched for data files; INCLUDE=path takes one along")
        sweep(folder)
    for given in include:
        path = os.path.abspath(given)
        if not os.path.exists(path):
            raise BuildError(f"INCLUDE={given}: there is no such file or folder")
        inside = os.path.commonpath([path, root]) == root and path != root
        top = os.path.relpath(path, root) if inside else os.path.basename(path)
        if not inside:
            pathex.append(os.path.dirname(path))
        # A folder that is no package is what others put on PYTHONPATH: its modules stand at the top as well.
        is_path_entry = (
            os.path.isdir(path)
            and not os.path.exists(os.path.join(path, "__init__.py"))
            and any(name.endswith(".py") for name in os.listdir(path))
        )
        if is_path_entry:
            path_entries.append(path)
        if os.path.isfile(path):
            add(path, top, asked=True)
            modules += _module_names(path, top)
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", ".git"))
            for name in sorted(files):
                full = os.path.join(folder, name)
                own = os.path.relpath(full, path)
                for relative in (os.path.join(top, own), own) if is_path_entry else (os.path.join(top, own),):
                    if os.path.isfile(full):
                        add(full, relative, asked=True)
                        modules += _module_names(full, relative)
    for given, pattern in patterns:
        if given in unused:
            raise BuildError(f"EXCLUDE={given}: nothing that would be taken along is called {pattern} below {root}")
    return {
        "root": root,
        "files": [{"path": path, "relative": os.path.relpath(path, root)} for path in dags],
        "data": [[path, relative] for relative, path in sorted(data.items())],
        "modules": sorted(set(modules)),
        "pathex": list(dict.fromkeys([*pathex, *path_entries])),
        "notices": notices,
    }


def _is_data(name: str) -> bool:
    """Whether a file of this name is taken along unasked."""
    import re

    name = name.lower()
    if name in _PROJECT_FILES or re.fullmatch(r"(.*[-_.])?(requirements|constraints)([-_.].*)?\.txt", name):
        return False
    return os.path.splitext(name)[1] in DATA_SUFFIXES


def _shown_data(project: dict[str, Any]) -> str:
    """What is taken along, in one line: how much, and where it lies, the largest first."""
    dags = {file["relative"] for file in project["files"]}
    groups: dict[str, list[int]] = {}
    seen = set()
    for path, relative in project["data"]:
        if relative in dags or path in seen:
            continue
        seen.add(path)
        top = relative.partition(os.sep)
        groups.setdefault(top[0] + top[1], []).append(os.path.getsize(path))
    if not seen:
        return ""
    total = sum(map(sum, groups.values()))
    largest = sorted(groups, key=lambda name: (-sum(groups[name]), name))
    names = [f"{name} ({len(groups[name])})" if name.endswith(os.sep) else name for name in largest[:8]]
    more = f" and {len(largest) - 8} more; EXPLAIN=1 lists them" if len(largest) > 8 else ""
    return f"{_counted(len(seen), 'file')}, {_shown_size(total)}: {', '.join(names)}{more}"


def _neighbours(project: dict[str, Any]) -> str:
    """A sentence about other Dag files from whose folders data is taken along; "" when there are none."""
    root = project["root"]
    own = {file["path"] for file in project["files"]}
    taken = [path for path, _ in project["data"] if path not in own and path.startswith(root + os.sep)]
    folders = {os.path.dirname(path) for path in [*taken, *(own if taken else ())]}
    found = [os.path.relpath(path, root) for folder in sorted(folders) for path in dag_files_beside(folder)]
    others = [path for path in found if os.path.join(root, path) not in own]
    if not others:
        return ""
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return f"other Dag files lie here too ({shown}); EXCLUDE=path leaves out what is theirs"


def _module_names(path: str, relative: str) -> list[str]:
    """The dotted name under which an included Python file can be imported, if it has one."""
    if not path.endswith(".py"):
        return []
    parts = relative[:-3].split(os.sep)
    if parts[-1] == "__init__":
        parts.pop()
    return [".".join(parts)] if parts and all(part.isidentifier() for part in parts) else []


def embedded_source(files: list[dict[str, Any]]) -> bytes:
    """The source region: one Dag file as it is; of several, each after a line of comment with its path. UTF-8."""
    import io
    import tokenize

    parts = []
    for file in files:
        with open(file["path"], "rb") as stream:
            source = stream.read()
        encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
        if encoding not in ("utf-8", "utf-8-sig"):
            source = source.decode(encoding).encode()
        if len(files) > 1:
            source = f"#### {file['relative']} ####\n".encode() + source + (b"" if source.endswith(b"\n") else b"\n")
        parts.append(source)
    return b"".join(parts)


# ---- Looking at a Dag file before it is frozen -----------------------------------------------------------------------


def probe_dag_files(python: str, project: dict[str, Any]) -> dict[str, Any]:
    """
    Import the Dag files with *python*, twice at once: as it is here, and in another place at another time.

    Returns `dags` (dag_id to task ids), `files` (dag_id to path), `templated` (tasks that Jinja must render),
    `has_jinja2`, `unrouted` (Dags whose tasks have no queue) and `notices` (what will differ at run time).

    :raises BuildError: a file that does not import, no Dags, two Dags with one id, ids that are never the same; with
        file and line
    """
    for file in project["files"]:
        _check_syntax(file["path"])
    with _elsewhere() as folder:
        environment = _foreign_environment(folder)
        (here, output), (there, other_output) = _import_apart(
            [python], project, [{}, {"environment": environment, "folder": folder, "later": 400 * 86400}]
        )
    if here is None:
        raise BuildError(f"importing the Dag files ended the process:\n{_tail(output)}")
    _check_answer(here, project)
    notices = here["warnings"] + here["observed"]
    if here["missing"]:
        places = "".join(f"\n  {place}: {_module_and_package(module)}" for place, module in here["missing"])
        modules = [module for _, module in here["missing"]]
        notices.append(
            f"imported in functions but not installed, so missing in the bundle:{places}\n{_how_to_declare(modules)}"
        )
    if there is None or there["import_errors"]:
        why = _tail(other_output, 3) if there is None else next(iter(there["import_errors"].values()))
        notices.append(
            "the Dag file can be imported here, but not from another folder with another environment, and a worker "
            f"has its own of both:\n{_indented(why, '  ')}\n  Read such things inside a task, give them a default, or "
            "see to it that the worker has them"
        )
    elif _id_sets(there["dags"]) != _id_sets(here["dags"]):
        notices += _differences(python, project, here["dags"], there["dags"])
    found = {name: here[name] for name in ("dags", "files", "templated", "has_jinja2", "unrouted", "connection_hooks")}
    return {**found, "notices": notices}


def check_dag_files(project: dict[str, Any]) -> None:
    """
    Find what can be found before anything is installed: import the Dag files with the standard library alone.

    What goes wrong in a file that asks for more than that says nothing yet, so it is passed over.

    :raises BuildError: as `probe_dag_files` does
    """
    for file in project["files"]:
        _check_syntax(file["path"])
    ((answer, _),) = _import_apart([sys.executable, "-S"], project, [{}])
    if answer is None:
        return
    unsure = {path for path, text in answer["import_errors"].items() if "PackageNotFoundError" in text}
    unsure.update(answer["lacking"])
    for path in unsure:
        answer["import_errors"].pop(path, None)
    if answer["import_errors"] or not unsure:
        _check_answer(answer, project)


def _check_answer(answer: dict[str, Any], project: dict[str, Any]) -> None:
    if answer["import_errors"]:
        raise BuildError("\n".join(_import_error(text) for text in answer["import_errors"].values()))
    if not answer["dags"]:
        names = ", ".join(file["relative"] for file in project["files"])
        raise BuildError(f"{names}: no Dag in it. A @dag function must be called at the top level: my_dag()")
    empty = sorted({file["path"] for file in project["files"]} - set(answer["files"].values()))
    if empty:
        raise BuildError(f"{', '.join(empty)}: no Dag in it; helper modules beside a Dag file are taken along unasked")


def _elsewhere() -> Any:
    import tempfile

    return tempfile.TemporaryDirectory(prefix="coordinator-bundle-")


def _foreign_environment(folder: str) -> dict[str, str]:
    """The environment of a user who has set nothing, whose home is *folder*."""
    kept = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {key: value for key, value in os.environ.items() if key in kept}
    environment.update(HOME=folder, TMPDIR=folder, HOSTNAME="elsewhere", USER="somebody", LOGNAME="somebody")
    environment.update(TZ="Asia/Kathmandu", LC_ALL="C.UTF-8")
    return environment


def _import_apart(
    python: Sequence[str], project: dict[str, Any], variants: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any] | None, str]]:
    """
    Import a project's Dag files in processes of their own, all at once.

    Returns for each variant what `_probe_child` answered, None when it did not live to, and what it printed.

    :param variants: `environment` and `folder` that are not these, `later` (seconds that the clock is put forward)
    """
    import json
    import subprocess

    start = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import coordinator_bundle"
    processes = []
    with _elsewhere() as folder:
        for number, variant in enumerate(variants):
            answer = os.path.join(folder, f"{number}.json")
            job = {**project, "answer": answer, "later": variant.get("later", 0), "times": variant.get("times", False)}
            process = subprocess.Popen(
                [*python, *variant.get("options", ()), "-I", "-c", f"{start}; coordinator_bundle._probe_child()"],
                env=variant.get("environment"),
                cwd=variant.get("folder"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            process.stdin.write(json.dumps(job).encode())  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
            processes.append((process, answer))
        results = []
        for process, answer in processes:
            output = process.stdout.read().decode(errors="replace")  # type: ignore[union-attr]
            process.wait()
            try:
                with open(answer) as file:
                    results.append((json.load(file), output))
            except (OSError, ValueError):
                results.append((None, output))
    return results


def _check_syntax(path: str) -> None:
    try:
        with open(path, "rb") as file:
            compile(file.read(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        text = (getattr(error, "text", None) or "").strip()
        raise BuildError(f"{path}:{line}: {getattr(error, 'msg', error)}{': ' + text if text else ''}") from None


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _indented(text: str, by: str) -> str:
    return "\n".join(by + line for line in text.splitlines())


def _import_error(text: str) -> str:
    """What is wrong with a Dag file, and for a missing module how to declare it."""
    import re

    missing = re.search(r"No module named '([^'.]+)", text)
    return f"{text}\n{_how_to_declare([missing[1]])}" if missing and missing[1] != "airflow" else text


# Packages that are not called as what is imported of them.
_PACKAGE_OF = {
    "Crypto": "pycryptodome", "MySQLdb": "mysqlclient", "OpenSSL": "pyopenssl", "PIL": "pillow", "attr": "attrs",
    "bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil", "docx": "python-docx",
    "dotenv": "python-dotenv", "fitz": "pymupdf", "git": "gitpython", "google": "the google-cloud-... one",
    "jwt": "pyjwt", "ldap": "python-ldap", "magic": "python-magic", "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary", "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn",
    "slugify": "python-slugify", "snowflake": "snowflake-connector-python", "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
# Well-known ones that are.
_SAME_NAME = frozenset(
    "aiohttp boto3 botocore click duckdb fsspec httpx jinja2 lxml matplotlib msgpack networkx numpy openpyxl orjson "
    "pandas paramiko pendulum polars psycopg pyarrow pydantic pymongo pymysql pyspark pytz redis requests rich s3fs "
    "scipy seaborn sqlalchemy statsmodels tenacity torch tqdm transformers ujson xgboost xlsxwriter".split()
)


def _package_of(module: str) -> str:
    """What to declare for a module; a name that is not known to be a package's is not passed off as one."""
    if module in _SAME_NAME:
        return module
    return _PACKAGE_OF.get(module, f"<the package that provides {module}>")


def _module_and_package(module: str) -> str:
    package = _package_of(module)
    return module if package == module or package.startswith("<") else f"{module} (of the package {package})"


def _how_to_declare(modules: Sequence[str]) -> str:
    packages = ", ".join(f'"{name}"' for name in dict.fromkeys(map(_package_of, modules)))
    what, package = ("It is", "it is a package") if len(modules) == 1 else ("They are", "these are packages")
    return (
        f"  {what} neither beside the Dag file nor declared. If {package}, say so at the top of the Dag file:\n"
        f"    # /// script\n    # dependencies = [{packages}]\n    # ///\n"
        "  or by REQUIREMENTS=requirements.txt; your own code from elsewhere is taken along by INCLUDE=path"
    )


def _differences(
    python: str, project: dict[str, Any], here: dict[str, list[str]], there: dict[str, list[str]]
) -> list[str]:
    """
    Notices on ids that were not the same in another place at another time, and why.

    A task is looked for by its ids after the file has been imported anew, and a bundle by the dag_ids of the build.

    :raises BuildError: they differ from one import to the next, or the dag_ids from one day to the next: such a task
        would never be found
    """
    variants = [{"later": 61}, {"later": 400 * 86400}]
    minute, year = (answer["dags"] if answer else here for answer, _ in _import_apart([python], project, variants))
    never = "\n  Give it an id that is the same at every import; what changes from run to run belongs into params"
    if _id_sets(minute) != _id_sets(here):
        raise BuildError(
            f"{_changed_ids(here, minute)} when the file was imported a minute later: ids made from the clock, from "
            f"chance or from the order of a set are others in the worker, so the task would not be found.{never}"
        )
    if set(year) != set(here):
        raise BuildError(
            f"{_changed_ids(here, year)} when the file was imported on another date: Airflow looks for the bundle by "
            f"the dag_id of the build, so from then on it would find none.{never}"
        )
    if _id_sets(year) != _id_sets(here):
        return [
            f"{_changed_ids(here, year)} when the file was imported on another date: a task for which Airflow's Dag "
            "processor and the worker import it on different dates is not found and ends as removed"
        ]
    return [
        f"{_changed_ids(here, there)} with another environment in another folder: the worker must have what they are "
        "made from just as this build has it, else the task is not found and ends as removed"
    ]


def _id_sets(dags: dict[str, list[str]]) -> dict[str, set[str]]:
    return {dag_id: set(tasks) for dag_id, tasks in dags.items()}


def _changed_ids(here: dict[str, list[str]], there: dict[str, list[str]]) -> str:
    """What has become of the first id that is not in both, as the beginning of a sentence."""
    was, became, what = list(here), list(there), "the dag_id"
    if set(was) == set(became):
        dag_id = next(each for each in here if set(here[each]) != set(there[each]))
        was, became, what = here[dag_id], there[dag_id], f"of Dag {dag_id} the task_id"
    gone = [each for each in was if each not in became]
    came = [each for each in became if each not in was]
    return f"{what} {', '.join(gone[:3]) or '(none)'} became {', '.join(came[:3]) or '(none)'}"


def _probe_child() -> None:
    """The probing process: reads a project as JSON from stdin, imports it, writes what it saw to the answer's file."""
    import importlib.util
    import json

    job = json.load(sys.stdin)
    sys.path[1:1] = job["pathex"]
    # Nothing is left in the project's folders; where times are taken, compiled modules go to a folder of their own.
    sys.dont_write_bytecode = not job["times"]
    observer = _ProbeObserver(job)
    not_found = _NotFound()
    if job["later"]:
        _shift_the_clock(job["later"])
    bag, lacking = DagBag(), []
    times = _ImportTimes(job) if job["times"] else None
    if times is None:
        observer.start()
    started = time.perf_counter()
    for file in map(DagFile.from_path, [file["path"] for file in job["files"]]):
        sys.meta_path.append(not_found)  # type: ignore[arg-type]
        bag.load_or_note(file)
        sys.meta_path.remove(not_found)  # type: ignore[arg-type]
        if not_found.names:
            lacking.append(file.path)
            not_found.names.clear()
    took = time.perf_counter() - started
    observer.enabled = False
    answer: dict[str, Any] = {
        "seconds": took,
        "times": times.found if times else [],
        "dags": {dag_id: list(dag.task_ids) for dag_id, dag in bag.dags.items()},
        "files": {dag_id: os.path.abspath(file.path) for dag_id, file in bag.files.items()},
        "import_errors": {str(path): text for path, text in bag.import_errors.items()},
        "warnings": [str(warning) for warning in bag.warnings],
        "templated": [f"{dag.dag_id}.{task_id}" for dag in bag.dags.values() for task_id in templated_tasks(dag)],
        "has_jinja2": importlib.util.find_spec("jinja2") is not None,
        "unrouted": [
            dag_id
            for dag_id, dag in bag.dags.items()
            if dag.tasks and all(each.queue == BaseOperator.queue for each in dag.tasks)
        ],
        "connection_hooks": connection_hooks(),
        "lacking": lacking,
        "missing": [],
        "observed": observer.notices(),
    }
    if not job["later"]:
        answer["missing"], lacks_of_airflow = _missing_imports(job)
        answer["observed"] += lacks_of_airflow
    with open(job["answer"], "w") as answer_file:
        json.dump(answer, answer_file)
    sys.stdout.flush()
    # Threads that a Dag file started must not keep the build waiting.
    os._exit(0)


class _NotFound:
    """The last finder: notes which modules were asked for that no installed package, file or library provides."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] not in sys.stdlib_module_names:
            self.names.append(name)


def _shift_the_clock(seconds: float) -> None:
    """Let `time.time` and `datetime.now` answer so many seconds later."""
    import datetime

    shift = datetime.timedelta(seconds=seconds)
    real_time, real = time.time, datetime.datetime

    class Later(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: object = None) -> object:
            return real.now(tz) + shift  # type: ignore[arg-type]

        @classmethod
        def utcnow(cls) -> object:
            return real.now(datetime.timezone.utc).replace(tzinfo=None) + shift

        @classmethod
        def today(cls) -> object:
            return real.now() + shift

    time.time = lambda: real_time() + shift.total_seconds()
    datetime.datetime = Later  # type: ignore[misc]


class _ProbeObserver:
    """Notes what the project's own code reads while a Dag file is imported: environment variables and files."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.root = job["root"]
        self.known = {path for path, _ in job["data"]}
        self.variables: dict[str, str] = {}
        self.opened: dict[str, str] = {}
        self.enabled = False

    def place(self) -> str | None:
        """`file:line` of the project's line that is being run, None when something is merely being imported."""
        frame = sys._getframe(2)
        while frame:
            file = frame.f_code.co_filename
            if file.startswith("<frozen importlib"):
                return None
            if file.startswith(self.root + os.sep) and "site-packages" not in file:
                return f"{os.path.relpath(file, self.root)}:{frame.f_lineno}"
            frame = frame.f_back  # type: ignore[assignment]
        return None

    def start(self) -> None:
        kind = type(os.environ)
        original = kind.__getitem__

        def getitem(environ: object, key: str) -> str:
            if self.enabled:
                place = self.place()
                if place:
                    self.variables.setdefault(key, place)
            return original(environ, key)  # type: ignore[arg-type]

        kind.__getitem__ = getitem  # type: ignore[method-assign, assignment]

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and self.enabled and isinstance(arguments[0], (str, bytes)):
                path = os.path.abspath(os.fsdecode(arguments[0]))
                if not path.endswith((".py", ".pyc", ".so")) and path not in self.known:
                    place = self.place()
                    if place and os.path.isfile(path):
                        self.opened.setdefault(path, place)

        sys.addaudithook(audit)
        self.enabled = True

    def notices(self) -> list[str]:
        """One sentence for each thing that may not be the same on a worker."""
        found = [
            f"{place}: reads the environment variable {name} at import: in the bundle it is the worker's that counts"
            for name, place in self.variables.items()
        ]
        for path, place in self.opened.items():
            inside = path.startswith(self.root + os.sep)
            shown = os.path.relpath(path, self.root) if inside else path
            found.append(f"{place}: reads {shown} at import, which is not taken along; INCLUDE={shown} does")
        return found


class _ImportTimes:
    """Takes the time of each import statement of the project's own code, less that of such statements inside it."""

    def __init__(self, job: dict[str, Any]) -> None:
        import builtins

        self.root = job["root"] + os.sep
        self.found: list[tuple[float, str, str]] = []
        self.inner = [0.0]
        self.original = builtins.__import__
        builtins.__import__ = self.timed

    def timed(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        caller = sys._getframe(1)
        path = caller.f_code.co_filename
        if not path.startswith(self.root) or "-packages" in path:
            return self.original(name, globals, locals, fromlist, level)
        started = time.perf_counter()
        self.inner.append(0.0)
        try:
            return self.original(name, globals, locals, fromlist, level)
        finally:
            took = time.perf_counter() - started
            self.found.append((took - self.inner.pop(), f"{path[len(self.root) :]}:{caller.f_lineno}", name or "."))
            self.inner[-1] += took


def _missing_imports(job: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """What Dag files and their helpers import inside functions and this environment does not have.

    Returns the first place (`file:line`) and the top-level name of each module, and sentences on parts of Airflow.
    """
    import ast
    import importlib.util

    found: dict[str, str] = {}
    of_airflow: dict[str, str] = {}
    sources = [file["path"] for file in job["files"]]
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and path.startswith(job["root"] + os.sep) and "site-packages" not in path:
            if os.path.dirname(path) != os.path.dirname(os.path.abspath(__file__)):
                sources.append(path)
    for path in dict.fromkeys(sources):
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
        # An import that is guarded may fail, and one for the type checker is never run.
        guarded = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Try, ast.If))
            for inner in ast.walk(node)
            if isinstance(node, ast.Try) or "TYPE_CHECKING" in ast.dump(node.test)
        }
        for node in ast.walk(tree):
            if id(node) in guarded:
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                assert isinstance(node, ast.stmt)
                top = name.partition(".")[0]
                if top == "airflow" and name not in of_airflow:
                    imported = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
                    lacking = _lacking_of_airflow(name, imported)
                    if lacking:
                        of_airflow[name] = f"{os.path.relpath(path, job['root'])}:{node.lineno}: {lacking}"
                if top in ("airflow", "coordinator_bundle") or top in sys.modules or top in found:
                    continue
                try:
                    known = importlib.util.find_spec(top) is not None
                except (ImportError, ValueError):
                    known = False
                if not known:
                    found[top] = f"{os.path.relpath(path, job['root'])}:{node.lineno}"
    return [(place, top) for top, place in found.items()], list(of_airflow.values())


def _lacking_of_airflow(module: str, names: list[str]) -> str:
    """What a task that runs this import will miss in the bundle; "" when nothing. Operators keep their place anyway."""
    try:
        home = __import__(module, fromlist=["*"])
        values = {name: getattr(home, name) for name in names if name != "*"}
    except Exception as error:
        return f"{error}"
    for name, value in (values or {"": home}).items():
        path = f"{module}.{name}".rstrip(".")
        if isinstance(value, (_PlaceholderModule, _UnavailableType, Unavailable)) and "airflow.providers." in path:
            if module in airflow_modules.refused:
                return f"{module} needs of Airflow what is not in a bundle: {airflow_modules.refused[module]}"
            return f"{path} will be missing in the bundle: declare {provider_distribution(module)} as a dependency"
    return ""


# ---- Building --------------------------------------------------------------------------------------------------------


def build_example() -> int:
    """`make` alone: build the Dag files beside this module, or an example, and list what is inside."""
    import shutil
    import subprocess

    here = os.path.dirname(os.path.abspath(__file__))
    dags = dag_files_beside(here)
    if not dags:
        # A folder of its own, as yours would be: what lies beside a Dag file is taken along.
        folder = os.path.join(here, "build", "example")
        os.makedirs(folder, exist_ok=True)
        dags = [shutil.copy(os.path.join(here, "tests", "dags", "example_etl.py"), folder)]
        print(
            "no Dag file lies beside coordinator_bundle.py, so here is an example; yours: make bundle DAG=my_dag.py\n"
        )
    try:
        bundle = build_bundle(dags)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\n$ {_shown_path(bundle.path, True)} --parse", flush=True)
    return subprocess.call([bundle.path, "--parse"])


def build_main(install: str | None = None) -> int:
    """`make bundle`: DAG, OUT, INCLUDE and the like from the environment, words split as a shell does."""
    import shlex
    import signal

    def on_term(signum: int, frame: Any) -> NoReturn:
        # What the build has started ends with it.
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_term)
    try:
        dags = shlex.split(os.environ.get("DAG", ""))
        if not dags:
            raise BuildError("which Dag file? make bundle DAG=my_dag.py")
        return build(
            dags,
            out=os.environ.get("OUT") or None,
            requirements=os.environ.get("REQUIREMENTS") or None,
            include=shlex.split(os.environ.get("INCLUDE", "")),
            exclude=shlex.split(os.environ.get("EXCLUDE", "")),
            explain=os.environ.get("EXPLAIN", "") not in ("", "0"),
            install=install,
        )
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing was written", file=sys.stderr)
        return 130


def install_main() -> int:
    """`make install`: builds what DAG names, or takes what BUNDLE names, and puts it into the folder BUNDLES."""
    import shlex

    folder = os.environ.get("BUNDLES", "")
    try:
        if not folder:
            raise BuildError(
                "into which folder? make install BUNDLES=/opt/airflow/bundles DAG=my_dag.py, or BUNDLE=dist/my_dag "
                "for one that is built already"
            )
        bundles = shlex.split(os.environ.get("BUNDLE", ""))
        if not bundles:
            return build_main(install=folder)
        for path in bundles:
            install_bundle(path, folder)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def build(
    dag_paths: Sequence[str],
    *,
    out: str | None = None,
    requirements: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    explain: bool = False,
    install: str | None = None,
) -> int:
    """
    Freeze Dag files (`build_bundle`), then say where the result is, what is in it and what to do next; the exit code.

    :param install: a folder to put the result into (`install_bundle`)
    :raises BuildError: as `build_bundle` and `install_bundle` do
    """
    bundle = build_bundle(
        dag_paths, out=out, requirements=requirements, include=include, exclude=exclude, explain=explain
    )
    print(f"{_shown_path(bundle.path)}  {_shown_size(bundle.size)}")
    for dag_id, entry in bundle.manifest["dags"].items():
        print(f"  {dag_id}: {_counted(len(entry['tasks']), 'task')}")
    if install is not None:
        install_bundle(bundle.path, install)
        return 0
    path = _shown_path(bundle.path, True)
    print(f"next: {path} --parse lists what is inside; on a worker,")
    print(f"      make install BUNDLE={path} BUNDLES=FOLDER puts it into the FOLDER of `executables_root`")
    return 0


def build_bundle(
    dag_paths: Sequence[str],
    *,
    out: str | None = None,
    requirements: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    explain: bool = False,
) -> BundleFile:
    """
    Freeze Dag files into one verified executable and say so in a few lines.

    Runs on a bare Python 3.10 or newer: makes the environment it freezes from, under `build/` beside this module.

    :param out: the executable to write; `dist/<name of the first file>` when not given
    :param requirements: a requirements file, besides what the Dag files declare in themselves
    :param include: files and folders to take along beyond what lies beside the Dag files
    :param exclude: files, folders and patterns to leave out of what is taken along
    :param explain: say at the end what makes the result large and its starts slow
    :raises BuildError: with the reason and the next step; an older result is then left as it was
    """
    import hashlib
    import json
    import subprocess

    if sys.version_info < (3, 10):
        raise BuildError("Python 3.10 or newer is needed: make bundle PYTHON=python3.12")
    started = time.monotonic()
    here = os.path.dirname(os.path.abspath(__file__))
    work = os.path.join(here, "build")
    project = collect_project(dag_paths, include, exclude)
    first = project["files"][0]
    name = os.path.splitext(os.path.basename(first["relative"]))[0]
    if out and (out.endswith(os.sep) or os.path.isdir(out)):
        out = os.path.join(out, name)
    out = os.path.abspath(out or os.path.join(here, "dist", name))
    for file in project["files"]:
        if os.path.realpath(file["path"]) == os.path.realpath(out):
            raise BuildError(f"{out}: the result would overwrite the Dag file")
        _check_syntax(file["path"])
    try:
        os.makedirs(os.path.dirname(out), exist_ok=True)
    except OSError as error:
        raise BuildError(f"{os.path.dirname(out)}: no bundle can be written there: {error.strerror}") from None
    if not os.access(os.path.dirname(out), os.W_OK):
        raise BuildError(f"{os.path.dirname(out)}: no bundle can be written there; name another place by OUT=path")
    print(f"bundling {', '.join(file['relative'] for file in project['files'])}")
    declared = _declared_requirements(project, requirements)
    if any(_declares_airflow(line) for line in declared):
        print("  note: apache-airflow is declared and left out: in a bundle this program answers for it")
    _check_programs()
    shown = _shown_data(project)
    if shown:
        print(f"  takes along  {shown}", flush=True)
    python, is_ready = environment_python(work, declared)
    if not is_ready:
        check_dag_files(project)
    python, said = build_environment(work, declared)
    print(f"  environment  {_shown_path(os.path.dirname(os.path.dirname(python)))} ({said})", flush=True)
    step = time.monotonic()
    probe = probe_dag_files(python, project)
    tasks = sum(map(len, probe["dags"].values()))
    print(f"  checked      {_counted(len(probe['dags']), 'Dag')}, {_counted(tasks, 'task')} ({_seconds(step)})")
    neighbours = _neighbours(project)
    for notice in project["notices"] + ([neighbours] if neighbours else []) + probe["notices"]:
        print("  note: " + _indented(notice, "        ").lstrip())
    for dag_id in probe["unrouted"]:
        print(
            f"  note: no task of {dag_id} has a queue: Airflow will run them elsewhere; give them queue='frozen', say"
        )
    if probe["templated"]:
        if not probe["has_jinja2"]:
            python, said = build_environment(work, [*declared, JINJA_PIN])
        more = f" and {len(probe['templated']) - 1} more" if len(probe["templated"]) > 1 else ""
        print(f"  templates    {probe['templated'][0]}{more}: Jinja2 comes along ({said})")
        project["modules"] = [*project["modules"], *JINJA_MODULES]

    plan = {**project, "dags": probe["dags"], "dag_files": probe["files"], "name": name}
    plan["connection_hooks"] = probe["connection_hooks"]
    key = _input_key(plan, python)
    # One folder for one project and name: a new build replaces what an older one left.
    place = hashlib.sha256(f"{project['root']}\0{name}\0{python}".encode()).hexdigest()[:12]
    folder = os.path.join(work, f"{name}-{place}")
    os.makedirs(folder, exist_ok=True)
    log, frozen, mark = (os.path.join(folder, leaf) for leaf in ("pyinstaller.log", name, "inputs"))
    if _read_text(mark) == key and os.path.exists(frozen):
        print("  frozen       as before: nothing it depends on has changed")
    else:
        print(f"  freezing     log: {_shown_path(log)}", flush=True)
        step = time.monotonic()
        for stale in (mark, frozen):
            if os.path.exists(stale):
                os.unlink(stale)
        plan_path = os.path.join(folder, "plan.json")
        with open(plan_path, "w") as plan_file:
            json.dump(plan, plan_file)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYINSTALLER"))}
        environment.update(PYTHONHASHSEED="0", SOURCE_DATE_EPOCH="946684800", COORDINATOR_BUNDLE_PLAN=plan_path)
        environment["PYINSTALLER_CONFIG_DIR"] = os.path.join(work, "pyinstaller")
        command = [python, "-m", "PyInstaller", "--noconfirm", "--clean", "--distpath", folder]
        command += ["--workpath", os.path.join(folder, "work"), os.path.join(here, "build_spec.spec")]
        with open(log, "w") as log_file:
            status = subprocess.call(command, env=environment, stdout=log_file, stderr=subprocess.STDOUT, cwd=here)
        if status or not os.path.exists(frozen):
            raise BuildError(f"PyInstaller failed; the end of {log}:\n{_tail(_read_text(log))}")
        with open(mark, "w") as mark_file:
            mark_file.write(key)
        print(f"  frozen       {_shown_size(os.path.getsize(frozen))} ({_seconds(step)})")
    step = time.monotonic()
    manifest = bundle_manifest(plan["dags"], os.path.basename(first["relative"]))
    check_bundle(frozen, manifest)
    try:
        bundle = append_trailer(frozen, embedded_source(plan["files"]), manifest, out)
    except OSError as error:
        raise BuildError(f"{out}: the bundle cannot be written there: {error.strerror}") from None
    print(
        f"  verified     trailer, SHA-256, manifest and a start, as Airflow will "
        f"({_seconds(step)}; {_seconds(started)} in all)"
    )
    if explain:
        print(_explanation(python, frozen, project))
    return bundle


def check_bundle(path: str, manifest: dict[str, Any]) -> None:
    """
    Judge a packed bundle as Airflow will: read it, then start it and compare the manifest that it prints.

    :param manifest: what it must say, digests aside
    :raises BuildError: it is not as it should be
    """
    import subprocess

    try:
        bundle = read_bundle(path)
    except BundleFormatError as error:
        raise BuildError(f"the result is not a valid bundle: {error}") from None
    said = {key: value for key, value in bundle.manifest.items() if key != "digests"}
    if said != manifest:
        raise BuildError(f"{path}: the manifest is not the one that was packed; run make clean and build again")
    try:
        run = subprocess.run([path, "--bundle-metadata"], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"; {os.path.dirname(path)} is mounted noexec" if _is_noexec(os.path.dirname(path)) else ""
        raise BuildError(f"the result does not start: {error}{reason}") from None
    if run.returncode or run.stdout.strip() != bundle.manifest_text.strip():
        output = _tail((run.stdout + run.stderr).decode(errors="replace"))
        problem = unpacking_problem()
        remedy = f"\n{problem}" if problem else ""
        raise BuildError(f"the result does not start as it should (exit {run.returncode}):\n{output}{remedy}")


def _is_noexec(folder: str) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def unpacking_problem() -> str | None:
    """Why a bundle cannot unpack itself here, as each start does, with the variable to set; None when it can."""
    for folder in (*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp", "/usr/tmp"):
        # The bootloader takes the first that it can write to.
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            if not _is_noexec(folder):
                return None
            return (
                f"a bundle unpacks its libraries into a temporary folder at each start, and {folder} is mounted "
                "noexec: set TMPDIR in the environment of the workers to a folder on a file system that allows it"
            )
    return (
        "a bundle unpacks its libraries into a temporary folder at each start, and none of $TMPDIR, /tmp and /var/tmp "
        "can be written to: set TMPDIR in the environment of the workers to a folder that can"
    )


def install_bundle(path: str, folder: str) -> BundleFile:
    """
    Put a bundle into a folder that a coordinator scans and say so. Whoever looks sees the old file or all of the new.

    Warns of what Airflow would only show as a task that fails: another bundle there with one of its Dags, a temporary
    folder from which nothing can be run, a folder that other users cannot enter.

    :raises BundleFormatError: *path* is not a sound bundle
    :raises BuildError: no such folder, or it cannot be written to or run from; what was there is then left as it was
    """
    import shutil
    import stat
    import tempfile

    bundle = read_bundle(path)
    if not os.path.isdir(folder):
        raise BuildError(f"BUNDLES={folder}: there is no such folder; mkdir -p it, or name the one of executables_root")
    if _is_noexec(folder):
        raise BuildError(
            f"BUNDLES={folder}: is mounted noexec, so that no bundle in it could start; name another folder"
        )
    name = os.path.basename(path)
    target = os.path.join(os.path.abspath(folder), name)
    if os.path.isdir(target) or os.path.exists(target) and os.path.samefile(path, target):
        raise BuildError(f"{target}: this is {'a folder' if os.path.isdir(target) else 'the bundle itself'}")
    # Airflow would start a complete copy under its temporary name, so that lies beside the folder where it can.
    beside = os.path.dirname(os.path.abspath(folder))
    is_usable = os.stat(beside).st_dev == os.stat(folder).st_dev and os.access(beside, os.W_OK | os.X_OK)
    try:
        staging = tempfile.mkdtemp(prefix=f".{name}.", suffix=".installing", dir=beside if is_usable else folder)
        try:
            temporary = os.path.join(staging, name)
            shutil.copyfile(path, temporary)
            os.chmod(temporary, 0o755)
            if read_bundle(temporary).manifest["digests"] != bundle.manifest["digests"]:
                raise BuildError(f"{path}: was changed while it was copied; try again")
            with open(temporary, "rb") as copy:
                os.fsync(copy.fileno())
            os.replace(temporary, target)
        finally:
            shutil.rmtree(staging)
    except OSError as error:
        raise BuildError(f"{target}: cannot be written: {error.strerror}; what was there is as before") from None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    installed = read_bundle(target)
    print(f"installed {target}: {', '.join(installed.manifest['dags'])}; verified as Airflow will")
    for other, dag_ids in _rivals(target, installed.manifest["dags"]):
        print(
            f"  warning: {other} holds {', '.join(dag_ids)} too: Airflow takes the one that its walk through the "
            "folder meets first; remove one of them"
        )
    if stat.S_IMODE(os.stat(folder).st_mode) & 0o005 != 0o005:
        print(f"  warning: not every user may look into {folder}: the workers must run as its owner or in its group")
    try:
        check_bundle(target, {key: value for key, value in installed.manifest.items() if key != "digests"})
    except BuildError as error:
        print("  warning: " + _indented(str(error), "    ").lstrip())
    return installed


def _rivals(target: str, dag_ids: Collection[str]) -> list[tuple[str, list[str]]]:
    """Other executable bundles in the folder of *target* and below it that hold one of these Dags."""
    found = []
    for folder, _, names in os.walk(os.path.dirname(target), followlinks=True):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.realpath(path) == os.path.realpath(target) or not os.access(path, os.X_OK):
                continue
            try:
                with open(path, "rb") as file:
                    file.seek(-len(TRAILER_MAGIC), os.SEEK_END)
                    if file.read() != TRAILER_MAGIC:
                        continue
                common = [dag_id for dag_id in read_bundle(path).manifest["dags"] if dag_id in dag_ids]
            except (OSError, BundleFormatError):
                continue
            if common:
                found.append((path, common))
    return found


# ---- What made it large and slow -------------------------------------------------------------------------------------

_LIST_MEMBERS = """
import json, re, sys
from PyInstaller.archive.readers import CArchiveReader

archive = CArchiveReader(sys.argv[1])
members, needs = [], {}
for name, (_, stored, size, _, kind) in archive.toc.items():
    if kind in "zZ" and name.endswith(".pyz"):
        for module, (_, _, length) in archive.open_embedded_archive(name).toc.items():
            members.append([module, length, length, "module"])
    else:
        members.append([name, stored, size, kind])
    if kind in "ab":
        found = re.findall(rb"GLIBC_2\\.(\\d+)", archive.extract(name))
        needs[name] = max(map(int, found), default=0)
print(json.dumps([members, needs]))
"""


def _explanation(python: str, frozen: str, project: dict[str, Any]) -> str:
    """What takes the room in a frozen program, what each start unpacks, and what importing the Dag files costs."""
    import json
    import subprocess

    listed = subprocess.run([python, "-I", "-c", _LIST_MEMBERS, frozen], capture_output=True, text=True)
    if listed.returncode:
        raise BuildError(f"{frozen}: its archive cannot be listed:\n{_tail(listed.stderr)}")
    members, needs = json.loads(listed.stdout)
    whole = os.path.getsize(frozen)
    groups: dict[str, int] = {}
    unpacked = []
    for name, stored, size, kind in members:
        group = _member_group(name, kind, project)
        groups[group] = groups.get(group, 0) + stored
        if kind in "bxZ":
            unpacked.append((size, name))
    lines = [f"what takes the room in {_shown_size(whole)}, as stored"]
    lines += _table([(size, f"{size / whole:4.0%}  {group}") for group, size in groups.items()], 10)
    total = sum(size for size, _ in unpacked)
    lines.append(
        f"what each start writes to the temporary folder: {_counted(len(unpacked), 'file')}, {_shown_size(total)}"
    )
    lines += _table(unpacked, 5)
    if needs:
        name = max(needs, key=lambda each: (needs[each], each))
        lines.append(f"what it needs: {os.uname().machine}, glibc 2.{needs[name]} or newer (for {name})")
    data = [(os.path.getsize(path), relative) for path, relative in project["data"]]
    lines += ["what is taken along beside the Dag files", *_table(data, len(data))]
    # Twice: the first run leaves compiled modules behind, as a bundle has them.
    options = ("-X", f"pycache_prefix={os.path.join(os.path.dirname(frozen), 'pycache')}")
    for _ in range(2):
        ((answer, output),) = _import_apart([python], project, [{"times": True, "options": options}])
    if answer is None:
        raise BuildError(f"importing the Dag files ended the process:\n{_tail(output)}")
    spent = sorted(answer["times"], reverse=True)
    lines.append(f"what importing the Dag files costs each task: {answer['seconds'] * 1000:.0f} ms")
    for seconds, place, module in spent[:10]:
        if seconds >= 0.001:
            lines.append(f"  {seconds * 1000:6.0f} ms  {place}: {module}")
    if spent and spent[0][0] > 0.05:
        lines.append("  an import inside a task costs that task only")
    return "\n".join(lines)


def _member_group(name: str, kind: str, project: dict[str, Any]) -> str:
    """Whose a member of the archive is: a package's, the standard library's, the project's."""
    if kind == "x":
        return "files beside the Dag file"
    if kind == "module":
        top = name.partition(".")[0]
    else:
        top = name.partition(os.sep)[0].partition(".")[0]
        if top.startswith("libpython") or top == "coordinator_bundle":
            return "the interpreter and coordinator_bundle"
        if os.sep not in name:
            return f"library {name}" if name.startswith("lib") else "the interpreter and coordinator_bundle"
        if "lib-dynload" in name:
            top = "os"
    if top.startswith("unusual_prefix_"):
        return "the Dag files"
    if top in sys.stdlib_module_names or top.startswith(("_sysconfigdata", "_late_", "pyimod", "_bundle")):
        return "the standard library"
    return top


def _table(rows: list[tuple[int, str]], most: int) -> list[str]:
    """Lines of size and name, the largest first, the others in one."""
    rows = sorted(rows, key=lambda row: (-row[0], row[1]))
    lines = [f"  {_shown_size(size):>9}  {name}" for size, name in rows[:most]]
    if len(rows) > most:
        lines.append(f"  {_shown_size(sum(size for size, _ in rows[most:])):>9}  {len(rows) - most} more")
    return lines


# ---- Environments ----------------------------------------------------------------------------------------------------


def _shown_size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 100 << 10 else f"{-(-size // 1024)} KiB"


def _seconds(since: float) -> str:
    return f"{time.monotonic() - since:.1f} s"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shown_path(path: str, runnable: bool = False) -> str:
    """A path as short as it can be from where the user stands."""
    relative = os.path.relpath(path)
    if relative.startswith(".."):
        return path
    if not runnable:
        return relative
    import shlex

    return shlex.quote(relative if os.sep in relative else os.path.join(".", relative))


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _declared_requirements(project: dict[str, Any], requirements: str | None) -> list[str]:
    """Requirement lines: the Dag files' own, then those of a requirements file, which pip reads itself (`-r path`)."""
    declared: list[str] = []
    for file in project["files"]:
        metadata = read_inline_metadata(file["path"])
        wanted = metadata.get("requires-python")
        if wanted and not python_version_fits(wanted, sys.version_info[:3]):
            raise BuildError(
                f"{file['path']}: it requires Python {wanted}, this is {sys.version.split()[0]}; "
                "make bundle PYTHON=<another one>"
            )
        declared += metadata.get("dependencies", [])
    if requirements:
        if not os.path.isfile(requirements):
            raise BuildError(f"REQUIREMENTS={requirements}: there is no such file")
        declared.append(f"-r {os.path.abspath(requirements)}")
    return list(dict.fromkeys(map(_without_airflow, declared)))


def _without_airflow(requirement: str) -> str:
    """Loosen a requirement on Airflow itself to whatever version stands for it; others stay as they are."""
    return "apache-airflow" if _declares_airflow(requirement) and not requirement.startswith("-r ") else requirement


def _declares_airflow(requirement: str) -> bool:
    """Say whether a requirement, or a requirements file (`-r path`), names Airflow itself."""
    import re

    text = _read_text(requirement[3:]) if requirement.startswith("-r ") else requirement
    return bool(re.search(r"(?im)^\s*apache[-_.]airflow([-_.]core|[-_.]task[-_.]sdk)?\s*($|[^\s\w.-])", text))


def _check_programs() -> None:
    import shutil

    if not sys.platform.startswith("linux"):
        raise BuildError(f"bundles are built on the system they run on, and that is Linux; this is {sys.platform}")
    missing = [program for program in ("objcopy", "strip") if not shutil.which(program)]
    if missing:
        raise BuildError(
            f"{' and '.join(missing)} not found. Debian, Ubuntu: apt-get install binutils; "
            "RHEL, Fedora: dnf install binutils; Alpine: apk add binutils"
        )


def environment_python(work: str, declared: list[str]) -> tuple[str, bool]:
    """The Python of the environment with what is declared, and whether that environment is there already."""
    folder = _environment_folder(work, declared)
    return os.path.join(folder, "bin", "python"), os.path.exists(os.path.join(folder, "complete"))


def _environment_folder(work: str, declared: list[str]) -> str:
    import hashlib

    _, constraints = _airflow_stand_ins(work)
    identity = [sys.version, os.path.realpath(sys.executable), *BUILD_PINS, constraints, *AIRFLOW_REQUIREMENTS]
    for line in declared:
        identity.append(_read_text(line[3:]) if line.startswith("-r ") else line)
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:12]
    return os.path.join(work, f"env-{sys.version_info[0]}.{sys.version_info[1]}-{key}")


def build_environment(work: str, declared: list[str]) -> tuple[str, str]:
    """
    An environment with the pinned build tools and what is declared, made once and found again by what is in it.

    Returns the path of its Python, and "reused" or how long it took to make.

    :param work: folder for environments
    :raises BuildError: no `venv` module, pip fails, no shared libpython
    """
    import shutil
    import subprocess

    folder = _environment_folder(work, declared)
    python, is_ready = environment_python(work, declared)
    if is_ready:
        return python, "reused"
    started = time.monotonic()
    stand_ins, _ = _airflow_stand_ins(work)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"  installing   {' '.join([*BUILD_PINS[:2], *declared])}", flush=True)
    wanted = [word for line in declared for word in (["-r", line[3:]] if line.startswith("-r ") else [line])]
    wanted += ["--find-links", stand_ins, "--constraint", os.path.join(stand_ins, "constraints.txt")]
    log = folder + ".log"
    uv = shutil.which("uv")
    ways = []
    if uv:
        ways.append(
            (
                "uv",
                [uv, "venv", "--quiet", "--python", sys.executable, folder],
                [uv, "pip", "install", "--quiet", "--python", python, *BUILD_PINS, *wanted],
            )
        )
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *BUILD_PINS, *wanted]
    ways.append(("pip", [sys.executable, "-m", "venv", folder], pip))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "MAKEFLAGS")
    }
    for way, make, install in ways:  # noqa: B007
        shutil.rmtree(folder, ignore_errors=True)
        with open(log, "w") as log_file:
            if subprocess.call(make, stdout=log_file, stderr=subprocess.STDOUT, env=environment):
                step = "venv"
            elif subprocess.call(install, stdout=log_file, stderr=subprocess.STDOUT, env=environment):
                step = "install"
            else:
                break
    else:
        shutil.rmtree(folder, ignore_errors=True)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if step == "venv":
            hint = f"Debian, Ubuntu: apt-get install python{version}-venv"
        else:
            hint = "check the names in `dependencies` or REQUIREMENTS, and that a package index can be reached"
        raise BuildError(f"the environment could not be made; {hint}. The end of {log}:\n{_tail(_read_text(log))}")
    find = "from PyInstaller.depend import bindepend; bindepend.get_python_library_path()"
    if subprocess.call([python, "-c", find], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        shutil.rmtree(folder, ignore_errors=True)
        raise BuildError(
            f"{sys.executable} has no shared libpython, which a frozen program needs. Debian, Ubuntu: apt-get install "
            f"libpython{version}; RHEL, Fedora: dnf install python3-libs; pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared "
            f"pyenv install {version}; or take another Python: make bundle PYTHON=python{version}"
        )
    with open(os.path.join(folder, "complete"), "w"):
        pass
    return python, f"created with {way}, {_seconds(started)}"


# Distributions that stand for Airflow's own while an environment is made, so that its providers can be installed
# without it: empty, but for what the providers use of Airflow's own requirements without declaring it.
AIRFLOW_DISTRIBUTIONS = {
    "apache-airflow": AIRFLOW_VERSION,
    "apache-airflow-core": AIRFLOW_VERSION,
    "apache-airflow-task-sdk": TASK_SDK_VERSION,
}
AIRFLOW_REQUIREMENTS = (
    "attrs deprecated jinja2 lazy-object-proxy packaging pendulum python-dateutil pyyaml tabulate tenacity "
    "typing-extensions"
).split()


def _airflow_stand_ins(work: str) -> tuple[str, str]:
    """
    Write the wheels of `AIRFLOW_DISTRIBUTIONS`, and the constraints that make pip and uv take these.

    Returns their folder and the text of the constraints.

    :param work: folder for environments
    """
    import zipfile

    folder = os.path.join(work, "airflow-stand-ins")
    os.makedirs(folder, exist_ok=True)
    constraints = ""
    for name, version in AIRFLOW_DISTRIBUTIONS.items():
        # A local version: no index has it, and it satisfies whatever the plain one does.
        version += "+bundle"
        constraints += f"{name}=={version}\n"
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        about += "".join(f"Requires-Dist: {requirement}\n" for requirement in AIRFLOW_REQUIREMENTS)
        wheel = "Wheel-Version: 1.0\nGenerator: coordinator-bundle\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        stem = f"{name.replace('-', '_')}-{version}"
        files = {f"{stem}.dist-info/{leaf}": text for leaf, text in (("METADATA", about), ("WHEEL", wheel))}
        path = os.path.join(folder, f"{stem}-py3-none-any.whl")
        with zipfile.ZipFile(f"{path}.{os.getpid()}", "w") as archive:
            for member, text in files.items():
                archive.writestr(member, text)
            record = "".join(f"{member},,\n" for member in (*files, f"{stem}.dist-info/RECORD"))
            archive.writestr(f"{stem}.dist-info/RECORD", record)
        os.replace(f"{path}.{os.getpid()}", path)
    with open(os.path.join(folder, "constraints.txt"), "w") as file:
        file.write(constraints)
    return folder, constraints


def _input_key(plan: dict[str, Any], python: str) -> str:
    """A digest of everything a frozen program is made from; equal only when freezing would yield the same again."""
    import hashlib
    import json

    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode())
    digest.update(python.encode())
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [os.path.join(here, leaf) for leaf in ("coordinator_bundle.py", "build_spec.spec")]
    paths += [path for path, _ in plan["data"]]
    for top in plan["pathex"]:
        for folder, folders, files in os.walk(top):
            folders[:] = sorted(
                name
                for name in folders
                if name not in _SKIPPED_FOLDERS
                and not name.startswith(".")
                and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            )
            paths += [os.path.join(folder, name) for name in sorted(files) if name.endswith(".py")]
            if len(paths) > _MOST_VISITED:
                break
    for path in dict.fromkeys(paths):
        digest.update(path.encode() + b"\0")
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


# Sections that a task never runs, or seldom. In a frozen program `needs_section` defines what they declare.
SECTIONS_APART = ("Dag form", "Run", "Graph", "Doctor", "--parse", "--stub")
_BANNER = "#" * 120


def program_parts(text: str) -> tuple[str, dict[str, str]]:
    """
    Return the text of this module as it runs in a bundle, and by title that of each section that lies apart.

    Blank lines stand for what is elsewhere, so that line numbers stay. Building is left out altogether.
    """
    lines = text.splitlines()
    banners = [number for number in range(len(lines) - 2) if lines[number] == _BANNER == lines[number + 2]]
    banners += [number for number, line in enumerate(lines) if line.startswith("if __name__ ==")]
    headings = banners + [number for number, line in enumerate(lines) if line.startswith("# ---")]
    future = next(number for number, line in enumerate(lines) if line.startswith("from __future__"))

    def cut(start: int, ends: list[int]) -> str:
        end = min(number for number in ends if number > start)
        taken = lines[start:end]
        lines[start:end] = [""] * len(taken)
        return "\n" * future + lines[future] + "\n" * (start - future) + "\n".join(taken) + "\n"

    cut(next(number for number in headings if lines[number].startswith("# ---- What a Dag file declares")), banners)
    apart = {}
    for title in SECTIONS_APART:
        for number in headings:
            if number in banners and lines[number + 1].partition(":")[0] == f"# {title}":
                apart[title] = cut(number, banners)
            elif lines[number].rstrip("-") == f"# --- {title} ":
                apart[title] = cut(number, headings)
    return "\n".join(lines) + "\n", apart


def plan_for_spec(here: str) -> dict[str, Any]:
    """
    What `build_spec.spec` is to freeze: the plan that `build_bundle` wrote, or by hand the Dag files beside it.

    :raises BuildError: no Dag file beside the spec, or one that does not import
    """
    import json

    path = os.environ.get("COORDINATOR_BUNDLE_PLAN")
    if path:
        with open(path) as file:
            return json.load(file)
    dags = dag_files_beside(here)
    if not dags:
        raise BuildError(f"there is no Dag file in {here}: put one beside build_spec.spec, or use make bundle DAG=path")
    project = collect_project(dags, [])
    probe = probe_dag_files(sys.executable, project)
    for notice in project["notices"] + probe["notices"]:
        print(f"note: {notice}", file=sys.stderr)
    name = os.path.splitext(os.path.basename(project["files"][0]["relative"]))[0]
    return {**project, "dags": probe["dags"], "dag_files": probe["files"], "name": name}


def dag_files_beside(folder: str) -> list[str]:
    """Python files in *folder* that import airflow or this module and mention a Dag, in order of name."""
    import re

    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".py") and name not in _OUR_OWN and os.path.isfile(path):
            with open(path, "rb") as file:
                text = file.read()
            if re.search(rb"(?m)^\s*(from|import)\s+(airflow|coordinator_bundle)\b", text) and re.search(
                rb"(?i)dag", text
            ):
                found.append(path)
    return found


########################################################################################################################
# Run: a whole Dag here and now, without Airflow (`--run`)
########################################################################################################################
# Theory of operation. A `LocalRun` is one Dag run: its task instances, and which of them may start, as Airflow's
# scheduler decides it (airflow.models.dagrun, airflow.ti_deps). A `LocalStore` answers what tasks ask, from memory, in
# the place of the API server. A `LocalSupervisor` starts this very program once a task with --comm and --logs, as
# ExecutableCoordinator starts a bundle, and is one loop over sockets, signals and timers. A `LocalView` tells of it.
# Triggers, each in a thread, and callbacks of the Dag run in this process.

_LOCAL_DONE = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_LOCAL_FAILED = frozenset({"failed", "upstream_failed"})
# Without --real-delays no retry, no poke of a rescheduled sensor and no moment to wait for is further off than this.
LOCAL_DELAY = 0.5
# Seconds from SIGTERM to SIGKILL, as Airflow's supervisor leaves a task.
LOCAL_GRACE = 5.0


class LocalInstance:
    """One task instance: a task, a map index, and how far it has come."""

    def __init__(self, run: LocalRun, task: Any, map_index: int) -> None:
        self.run, self.task, self.map_index = run, task, map_index
        self.state: str | None = None
        self.try_number = 0
        self.max_tries = task.retries or 0
        self.due = 0.0  # not before this time.monotonic()
        self.began: float | None = None
        self.seconds = 0.0  # of work, in all tries
        self.start_date: datetime | None = None
        self.next_method: str | None = None
        self.next_kwargs: Any = None
        self.map_label: str | None = None
        self.lines: list[str] = []  # the last ones of this try
        self.error: dict[str, Any] | None = None  # the log record of the exception that ended the try
        self.stopped = False  # by Ctrl-C, so its failure tells nothing
        self.new_try()

    def new_try(self) -> None:
        """Forget what belongs to a try; Airflow gives each an id of its own."""
        digits = os.urandom(16).hex()
        self.id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
        self.reschedules: list[datetime] = []
        self.run.store.by_id[self.id] = self

    @property
    def place(self) -> str:
        """The task id, with the map index where there is one."""
        return self.task.task_id if self.map_index < 0 else f"{self.task.task_id}[{self.map_index}]"

    @property
    def label(self) -> str:
        """The place; in a run that another one has triggered, with its Dag."""
        return self.place if self.run.is_first else f"{self.run.dag.dag_id}/{self.place}"

    def move(self, state: str | None) -> None:
        self.state = state
        self.run.dirty = True
        self.run.on_change(self)


class LocalRun:
    """One run of a Dag. `state` is None while it lasts, then success or failed.

    :param only: run this task alone, whatever comes before it.
    """

    def __init__(
        self,
        store: LocalStore,
        dag: DAG,
        *,
        run_type: str = "manual",
        run_id: str | None = None,
        logical_date: datetime | None,
        run_after: datetime | None = None,
        conf: dict[str, Any] | None = None,
        note: str | None = None,
        only: str | None = None,
        map_index: int | None = None,
    ) -> None:
        self.store, self.dag, self.only = store, dag, only
        self.is_first = not store.runs
        self.dirty = True
        self.reason = ""
        self.on_change: Callable[[LocalInstance], None] = lambda instance: None
        now = utcnow()
        run_after = run_after or now
        start, end = manual_data_interval(dag.timetable, logical_date) if logical_date else (None, None)
        self.began = time.monotonic()
        self.message = DagRun(
            dag_id=dag.dag_id,
            run_id=run_id or f"{run_type}__{run_after.isoformat()}",
            logical_date=logical_date,
            data_interval_start=start,
            data_interval_end=end,
            run_after=run_after,
            start_date=now,
            end_date=None,
            run_type=DagRunType(run_type),
            state=DagRunState("running"),
            conf=conf or {},
            consumed_asset_events=[],
            partition_key=None,
            note=note,
        )
        store.runs[dag.dag_id, self.run_id] = self
        self.instances: dict[str, dict[int, LocalInstance]] = {}
        self._tallies: dict[Any, dict[str, int]] = {}
        self._setups: dict[str, set[str]] = {}
        for task in dag.topological_sort():
            if only is None and not self._is_in_time(task, logical_date) or only not in (None, task.task_id):
                continue
            indexes: Iterable[int] = range(self.expanded_count(task) or 0) if task.get_needs_expansion() else ()
            if map_index is not None:
                indexes = [each for each in indexes if each == map_index]
            self.instances[task.task_id] = {each: LocalInstance(self, task, each) for each in indexes or (-1,)}

    @property
    def run_id(self) -> str:
        return self.message.run_id

    @property
    def state(self) -> str | None:
        return None if self.message.state == "running" else self.message.state.value

    def end(self, state: str, reason: str = "") -> None:
        self.message.state, self.message.end_date = DagRunState(state), utcnow()
        self.reason = reason

    @staticmethod
    def _is_in_time(task: Any, logical_date: datetime | None) -> bool:
        if logical_date is None:
            return True
        return not (
            task.start_date and task.start_date > logical_date or task.end_date and task.end_date < logical_date
        )

    def __iter__(self) -> Iterator[LocalInstance]:
        for found in self.instances.values():
            yield from found.values()

    def states(self) -> dict[str, Any]:
        """Return the state of each task that has one; of a mapped task, the states of its instances by map index."""
        states: dict[str, Any] = {}
        for task_id, found in self.instances.items():
            if list(found) != [-1]:
                states[task_id] = {str(index): each.state for index, each in found.items() if each.state}
            elif found[-1].state:
                states[task_id] = found[-1].state
        return states

    # --- mapping

    def expanded_count(self, task: Any) -> int | None:
        """Return how many instances a mapped task, or one in a mapped group, has; None while a result is missing."""
        inputs = [group._expand_input for group in task.iter_mapped_task_groups()]
        return self._product([*inputs, *([task._expand_input] if task.is_mapped else [])])

    def _product(self, inputs: Iterable[Any]) -> int | None:
        total = 1
        for each in inputs:
            length = self._input_length(each)
            if length is None:
                return None
            total *= length
        return total

    def _input_length(self, expand_input: Any) -> int | None:
        value = expand_input.value
        if not isinstance(value, dict):
            return self._length(value)
        total = 1 if value else 0
        for each in value.values():
            length = self._length(each)
            if length is None:
                return None
            total *= length
        return total

    def _length(self, value: Any) -> int | None:
        if isinstance(value, PlainXComArg):
            task_id = value.operator.task_id
            if not value.operator.is_mapped:
                return self.store.lengths.get((self.dag.dag_id, self.run_id, task_id))
            if any(each.state not in _LOCAL_DONE for each in self.instances.get(task_id, {}).values()):
                return None
            rows = self.store.xcoms.get((self.dag.dag_id, self.run_id, task_id, XCOM_RETURN_KEY), {})
            return sum(index >= 0 for index in rows)
        if isinstance(value, MapXComArg):
            return self._length(value.arg)
        if isinstance(value, (ZipXComArg, ConcatXComArg)):
            lengths = [self._length(each) for each in value.args]
            known = [each for each in lengths if each is not None]
            if len(known) < len(lengths):
                return None
            if isinstance(value, ConcatXComArg):
                return sum(known)
            return max(known) if is_arg_set(value.fillvalue) else min(known)
        return len(value)

    def _expand(self, instance: LocalInstance) -> None:
        count = self.expanded_count(instance.task)
        if count is None:
            instance.move("upstream_failed")
        elif not count:
            instance.move("skipped")
        else:
            self.instances[instance.task.task_id] = {
                index: LocalInstance(self, instance.task, index) for index in range(count)
            }
            self.on_change(instance)

    def _relevant_indexes(self, instance: LocalInstance, upstream: Any) -> Any:
        """Return which map indexes of an upstream task an instance in a mapped group depends on; None for all."""
        task = instance.task
        if instance.map_index < 0 and task.trigger_rule in (
            "one_success", "one_failed", "one_done", "none_failed_min_one_success"
        ):  # fmt: skip
            lengths_from = {op.task_id for op in task.iter_mapped_dependencies()} if task.is_mapped else set()
            for group in task.iter_mapped_task_groups():
                lengths_from.update(op.task_id for op in group.iter_mapped_dependencies())
            if upstream.task_id not in lengths_from:
                return None
        count = self.expanded_count(task)
        if not count:
            return None
        others = list(upstream.iter_mapped_task_groups())
        common = next((group for group in task.iter_mapped_task_groups() if group in others), None)
        if common is None:
            return None
        outer = self._product(group._expand_input for group in common.iter_mapped_task_groups()) or 1
        index = instance.map_index * outer // count
        if not upstream.is_mapped and others[0] is common:
            return index
        further = count // outer
        return range(index * further, (index + 1) * further)

    # --- what may start

    def schedule(self) -> list[LocalInstance]:
        """Move everything that can move without a task running; return the instances that may start now."""
        ready: list[LocalInstance] = []
        now = time.monotonic()
        while self.dirty:
            self.dirty = False
            self._tallies.clear()
            for instance in list(self):
                if instance.state not in (None, "up_for_retry", "up_for_reschedule") or instance.due > now:
                    continue
                if self.only is None and not self._may_start(instance):
                    continue
                if instance.map_index < 0 and instance.task.get_needs_expansion():
                    self._expand(instance)
                    self.dirty = True
                    continue
                if instance.state != "up_for_reschedule":
                    instance.try_number += 1
                instance.state = "scheduled"
                ready.append(instance)
        return ready

    def _may_start(self, instance: LocalInstance) -> bool:
        if self._is_skipped_from_above(instance):
            instance.move("skipped")
            return False
        fits = self._fits_trigger_rule(instance)
        return self._can_be_expanded(instance) and fits

    def _is_skipped_from_above(self, instance: LocalInstance) -> bool:
        """Whether a branch or the like before it has chosen against it (airflow.ti_deps' NotPreviouslySkippedDep)."""
        task_id = instance.task.task_id
        for parent in instance.task.upstream_list:
            if not parent.inherits_from_skipmixin:
                continue
            if not any(each.state in _LOCAL_DONE for each in self.instances.get(parent.task_id, {}).values()):
                continue
            rows = self.store.xcoms.get((self.dag.dag_id, self.run_id, parent.task_id, "skipmixin_key"), {})
            note = rows.get(instance.map_index if parent.is_mapped else -1)
            if note and ("followed" in note and task_id not in note["followed"] or task_id in note.get("skipped", ())):
                return True
        return False

    def _can_be_expanded(self, instance: LocalInstance) -> bool:
        """Whether what it is mapped over has not failed (airflow.ti_deps' MappedTaskUpstreamDep)."""
        task = instance.task
        group = task.get_closest_mapped_task_group()
        source = task if task.is_mapped else group
        if source is None:
            return True
        ids = {operator.task_id for operator in source.iter_mapped_dependencies()}
        found = [self.instances[each][-1].state for each in ids if -1 in self.instances.get(each, {})]
        done = {state for state in found if state in _LOCAL_DONE}
        if done <= {"success"}:
            return True
        if instance.state not in _LOCAL_FAILED:
            if done & _LOCAL_FAILED:
                instance.move("upstream_failed")
            elif "skipped" in done and instance.state != "skipped":
                instance.move("skipped")
        return False

    def _fits_trigger_rule(self, instance: LocalInstance) -> bool:
        """Whether the states before it let it run; it is moved where they rule that out (TriggerRuleDep)."""
        task = instance.task
        if not task.upstream_task_ids or task.trigger_rule == "always":
            return True
        fits = True
        if not task.is_teardown:
            indirect = self._relevant_setups(task) - task.upstream_task_ids
            if indirect:
                n = self._tally(instance, indirect)
                state = None
                if n["upstream_failed"] or n["failed"]:
                    state = "upstream_failed"
                elif n["skipped"]:
                    state = "skipped"
                elif n["removed"] and n["success"] and instance.map_index >= max(n["success"], 0):
                    state = "removed"
                missing = n["total"] - n["success"] - (n["removed"] if instance.map_index > -1 else 0)
                if state is not None:
                    instance.move(state)
                    return False
                fits = missing <= 0
        n = self._tally(instance, task.upstream_task_ids)
        state, fitting = judge_trigger_rule(task.trigger_rule, n, instance.map_index)
        if state is not None:
            instance.move(state)
        if task.is_teardown and fitting and state is None:
            scope = self._teardown_scope(task)
            if scope:
                inside = self._tally(instance, scope)
                fitting = inside["done"] >= inside["total"]
        return fits and fitting and state is None

    def _tally(self, instance: LocalInstance, task_ids: Collection[str]) -> dict[str, int]:
        """Count the instances of tasks before this one by state; those of setups once more, as `setup_...`."""
        in_group = instance.task.get_closest_mapped_task_group() is not None
        key = frozenset(task_ids)
        if not in_group and key in self._tallies:
            return self._tallies[key]
        names = ("total", "done", *_LOCAL_DONE, "setup_total", "setup_success", "setup_skipped")
        n = dict.fromkeys(names, 0)
        tasks = {each: self.dag.task_dict[each] for each in task_ids}
        count_instances = any(each.get_needs_expansion() for each in tasks.values())
        for task_id, task in tasks.items():
            indexes = self._relevant_indexes(instance, task) if in_group else None
            relevant = [
                each
                for each in self.instances.get(task_id, {}).values()
                if each.map_index < 0
                or indexes is None
                or (each.map_index in indexes if isinstance(indexes, range) else each.map_index == indexes)
            ]
            total = len(relevant) if count_instances else 1
            n["total"] += total
            if task.is_setup:
                n["setup_total"] += total
            for each in relevant:
                if each.state in _LOCAL_DONE:
                    n["done"] += 1
                    n[each.state] += 1  # type: ignore[index]
                    if task.is_setup and each.state in ("success", "skipped"):
                        n[f"setup_{each.state}"] += 1
        if not in_group:
            self._tallies[key] = n
        return n

    def _relevant_setups(self, task: Any) -> set[str]:
        """Return the setups above a task whose teardown lies below it, or that have none."""
        found = self._setups.get(task.task_id)
        if found is None:
            below = {each.task_id for each in task.get_flat_relatives(upstream=False) if each.is_teardown}
            found = self._setups[task.task_id] = {
                each.task_id
                for each in task.get_flat_relatives(upstream=True)
                if each.is_setup
                and (each.downstream_task_ids & below or not any(down.is_teardown for down in each.downstream_list))
            }
        return found

    def _teardown_scope(self, task: Any) -> set[str]:
        """Return what lies between a teardown and its setups, without what stands directly before it."""
        scope = self._setups.get(task.task_id)
        if scope is None:
            between = task.get_flat_relative_ids(upstream=True) - task.upstream_task_ids
            scope = set()
            for setup in task.upstream_list if between else ():
                if setup.is_setup:
                    scope |= between & setup.get_flat_relative_ids(upstream=False)
            self._setups[task.task_id] = scope
        return scope

    # --- how it ends

    def conclude(self) -> None:
        """Set the state of the run if nothing can happen in it any more (airflow.models.dagrun's update_state)."""
        unfinished = [each for each in self if each.state not in _LOCAL_DONE]
        if not unfinished:
            leaves = self._leaves()
            failed = any(each.state in _LOCAL_FAILED for each in self if each.task.task_id in leaves)
            self.end("failed" if failed else "success")
        elif all(each.state is None for each in unfinished):
            names = ", ".join(sorted({each.task.task_id for each in unfinished}))
            self.end("failed", f"deadlock: nothing can start any more, and these never ran: {names}")

    def _leaves(self) -> set[str]:
        """Return the tasks whose state is that of the run; teardowns count only if they are meant to."""

        def counts(task: Any) -> bool:
            return not task.is_teardown or task.on_failure_fail_dagrun

        if self.only is not None:
            return {self.only}
        tasks = self.dag.tasks
        leaves = {each.task_id for each in tasks if counts(each) and not any(map(counts, each.downstream_list))}
        return leaves or {each.task_id for each in tasks if not each.downstream_task_ids}

    def fail_fast(self, failed: LocalInstance) -> list[LocalInstance]:
        """Stop what is not a teardown after a failure; return what is running and must be ended."""
        running = []
        for each in list(self):
            if each.task.task_id == failed.task.task_id or each.task.is_teardown or each.state in ("success", "failed"):
                continue
            if each.state == "running":
                running.append(each)
            else:
                each.move("skipped")
        return running


def judge_trigger_rule(rule: str, n: Mapping[str, int], map_index: int) -> tuple[str | None, bool]:
    """Return the state that a trigger rule gives a task without running it, and whether it lets the task run.

    The rules are those of airflow.ti_deps.deps.trigger_rule_dep.

    :param n: how many upstream instances there are (`total`), are finished (`done`), and are in each state.
    """
    total, success, failed, skipped = n["total"], n["success"], n["failed"], n["skipped"]
    removed, all_done = n["removed"], n["done"] >= n["total"]
    broken = failed + n["upstream_failed"]
    state: str | None = None
    if rule == "all_success":
        if broken:
            state = "upstream_failed"
        elif skipped:
            state = "skipped"
        elif removed and success and -1 < map_index >= success:
            state = "removed"
        return state, total - success - removed <= 0
    if rule == "all_failed":
        return "skipped" if success or skipped else None, total - broken - removed <= 0
    if rule == "all_done":
        return None, all_done
    if rule == "one_success":
        if all_done and n["done"] == skipped:
            state = "skipped"
        elif all_done and not success:
            state = "upstream_failed"
        return state, success > 0
    if rule == "one_failed":
        return "skipped" if all_done and not broken else None, broken > 0
    if rule == "one_done":
        return "skipped" if all_done and not (failed or success) else None, success + failed > 0
    if rule == "none_failed":
        return "upstream_failed" if broken else None, total - success - skipped - removed <= 0
    if rule == "none_failed_min_one_success":
        if broken:
            state = "upstream_failed"
        elif skipped == total:
            state = "skipped"
        elif all_done and not success:
            state = "upstream_failed"
        return state, total - success - skipped - removed <= 0 and success > 0
    if rule == "none_skipped":
        return "skipped" if skipped else None, all_done and not skipped
    if rule == "all_skipped":
        return "skipped" if success or broken else None, total - skipped <= 0
    if rule == "all_done_min_one_success":
        if skipped:
            state = "skipped"
        elif success + broken + removed >= total - skipped and not success:
            state = "upstream_failed"
        return state, not skipped and success + broken >= total - skipped - removed and success > 0
    if rule == "all_done_setup_success":
        setups = n["setup_total"]
        if all_done and setups and n["setup_skipped"] >= setups:
            state = "skipped"
        elif all_done and setups and not n["setup_success"]:
            state = "upstream_failed"
        return state, all_done and (not setups or n["setup_success"] > 0)
    raise BundleError(f"no task can wait for trigger rule {rule!r}: it is none of Airflow's")


def manual_data_interval(timetable: Any, run_after: datetime) -> tuple[datetime, datetime]:
    """Return the data interval of a run that a person starts (`infer_manual_data_interval` of airflow.timetables)."""
    if isinstance(timetable, AssetOrTimeSchedule):
        timetable = timetable.timetable
    if isinstance(timetable, MultipleCronTriggerTimetable):
        return min((manual_data_interval(each, run_after) for each in timetable.timetables), key=lambda pair: pair[0])
    if isinstance(timetable, (CronTriggerTimetable, DeltaTriggerTimetable)):
        return run_after - timetable.interval, run_after
    if isinstance(timetable, DeltaDataIntervalTimetable):
        return run_after - timetable.delta, run_after
    if isinstance(timetable, CronDataIntervalTimetable):
        end = cron_previous(timetable, run_after, or_then=True)
        return cron_previous(timetable, end), end
    if isinstance(timetable, EventsTimetable) and timetable.restrict_to_events and timetable.event_dates:
        moments: list[Any] = sorted(convert_to_utc(each) for each in timetable.event_dates)  # type: ignore[type-var]
        found = max((each for each in moments if each <= run_after), default=moments[0])
        return found, found
    if hasattr(timetable, "infer_manual_data_interval"):
        interval = timetable.infer_manual_data_interval(run_after=run_after)
        return interval.start, interval.end
    return run_after, run_after


def cron_previous(timetable: Any, before: datetime, or_then: bool = False) -> datetime:
    """Return the last moment before `before` that a cron timetable names, by looking ever further back."""
    from datetime import timedelta

    def following(moment: datetime) -> datetime:
        return cron_next(timetable.expression, moment, timetable.timezone)

    for days in (1, 8, 32, 370, 366 * 9):
        moment = before - timedelta(days=days)
        found = None
        while (upcoming := following(moment)) < before or (or_then and upcoming == before):
            found = moment = upcoming
        if found is not None:
            return found
    raise BundleError(f"cron expression {timetable.expression!r} names no day in nine years: correct the schedule")


# --- what tasks ask ---------------------------------------------------------------------------------------------------


def _api_failure(status: int, message: str) -> AirflowRuntimeError:
    return AirflowRuntimeError(
        ErrorResponse(error=ErrorType("API_SERVER_ERROR"), detail={"status_code": status, "message": message})
    )


def _not_there(kind: str, **detail: Any) -> ErrorResponse:
    return ErrorResponse(error=ErrorType(f"{kind}_NOT_FOUND"), detail=detail)


class LocalStore:
    """What Airflow keeps in its database, for as long as this process lives.

    `answer` has one method a message of the schema, named after it with an underscore before.

    :param dags: the Dags that can be run or triggered, by id.
    """

    def __init__(self, dags: Mapping[str, DAG]) -> None:
        import threading

        self.dags = dags
        self.lock = threading.RLock()  # Triggers ask from threads of their own.
        self.runs: dict[tuple[str, str], LocalRun] = {}
        self.by_id: dict[str, LocalInstance] = {}
        self.variables: dict[str, str | None] = {}
        self.connections: dict[str, Connection] = {}
        # (dag_id, run_id, task_id, key) to map index to value; and how long the results are that are mapped over.
        self.xcoms: dict[tuple[str, str, str, str], dict[int, Any]] = {}
        self.lengths: dict[tuple[str, str, str], int] = {}
        self.task_states: dict[tuple[Any, ...], Any] = {}
        self.asset_states: dict[tuple[str, str], Any] = {}
        self.assets: dict[str, AssetResponse] = {}
        self.aliases: dict[str, list[str]] = {}
        self.events: list[tuple[AssetEventResponse, set[str]]] = []
        self.questions: dict[str, Any] = {}
        self.missing: dict[str, list[str]] = {}
        self.start_run: Callable[[LocalRun], None] = lambda run: None

    def know_assets(self) -> None:
        """Take in the assets that the Dags mention."""
        for dag in self.dags.values():
            for each in (*_assets_in(dag.schedule), *(found for task in dag.tasks for found in _assets_of(task))):
                self._know(each)

    def _know(self, asset: Any) -> None:
        self.assets.setdefault(
            asset.name,
            AssetResponse(
                name=asset.name,
                uri=asset.uri,
                group=getattr(asset, "group", "asset"),
                extra=getattr(asset, "extra", None) or {},
            ),
        )

    def answer(self, message: Message, instance: LocalInstance | None) -> Message | None:
        """Do what a message asks and return the answer, as the supervisor gives it.

        :raises AirflowRuntimeError: what Airflow sends in the frame's error slot.
        """
        method = getattr(self, f"_{type(message).__name__}", None)
        if method is None:
            raise _api_failure(400, f"{type(message).__name__} is no request of a task")
        with self.lock:
            return method(message, instance)

    # --- XComs

    def _GetXCom(self, m: Any, instance: Any) -> Message:
        value = self._rows(m).get(-1 if m.map_index is None else m.map_index)
        return XComResult(key=m.key, value=value)

    def _rows(self, m: Any) -> dict[int, Any]:
        return self.xcoms.get((m.dag_id, m.run_id, m.task_id, m.key), {})

    def _values(self, m: Any) -> list[Any]:
        return [value for _, value in sorted(self._rows(m).items())]

    def _GetXComCount(self, m: Any, instance: Any) -> Message:
        return XComCountResponse(len=len(self._rows(m)))

    def _GetXComSequenceItem(self, m: Any, instance: Any) -> Message:
        try:
            return XComSequenceIndexResult(root=self._values(m)[m.offset])
        except IndexError:
            return _not_there("XCOM", dag_id=m.dag_id, task_id=m.task_id, key=m.key, offset=m.offset)

    def _GetXComSequenceSlice(self, m: Any, instance: Any) -> Message:
        return XComSequenceSliceResult(root=self._values(m)[m.start : m.stop : m.step])

    def _SetXCom(self, m: Any, instance: Any) -> None:
        limit = int(_configured("core", "max_map_length", "1024"))
        if m.mapped_length is not None and m.mapped_length > limit:
            raise _api_failure(400, f"pushed value is too large to map as a downstream's dependency: more than {limit}")
        index = -1 if m.map_index is None else m.map_index
        self.set_xcom((m.dag_id, m.run_id, m.task_id, m.key), m.value, index, m.mapped_length)

    def set_xcom(self, place: tuple[str, str, str, str], value: Any, map_index: int, length: int | None) -> None:
        self.xcoms.setdefault(place, {})[map_index] = value
        if length is not None and map_index < 0:
            self.lengths[place[:3]] = length

    def _DeleteXCom(self, m: Any, instance: Any) -> Message:
        self._rows(m).pop(-1 if m.map_index is None else m.map_index, None)
        return OKResponse(ok=True)

    # --- variables, connections, secrets

    def _GetVariable(self, m: Any, instance: Any) -> Message:
        if m.key not in self.variables:
            self.missing.setdefault("VARIABLE", []).append(m.key)
            return _not_there("VARIABLE", key=m.key)
        _add_mask(self.variables[m.key], m.key)
        return VariableResult(key=m.key, value=self.variables[m.key])

    def _GetVariableKeys(self, m: Any, instance: Any) -> Message:
        keys = sorted(key for key in self.variables if key.startswith(m.prefix or ""))
        return VariableKeysResult(keys=keys[m.offset : m.offset + m.limit], total_entries=len(keys))

    def _PutVariable(self, m: Any, instance: Any) -> None:
        self.variables[m.key] = m.value

    def _DeleteVariable(self, m: Any, instance: Any) -> Message:
        self.variables.pop(m.key, None)
        return OKResponse(ok=True)

    def _GetConnection(self, m: Any, instance: Any) -> Message:
        found = self.connections.get(m.conn_id)
        if found is None:
            self.missing.setdefault("CONNECTION", []).append(m.conn_id)
            return _not_there("CONNECTION", conn_id=m.conn_id)
        _add_mask(found.password)
        _add_mask(found.extra)
        names = ("conn_id", "host", "schema", "login", "password", "port", "extra")
        return ConnectionResult(conn_type=found.conn_type or "", **{name: getattr(found, name) for name in names})

    def _MaskSecret(self, m: Any, instance: Any) -> None:
        _add_mask(m.value, m.name)

    # --- Dags, runs and their task instances

    def _GetDag(self, m: Any, instance: Any) -> Message:
        dag = self.dags.get(m.dag_id)
        if dag is None:
            raise _api_failure(404, f"The Dag with dag_id: `{m.dag_id}` was not found")
        return DagResult(
            dag_id=dag.dag_id,
            is_paused=False,
            bundle_name="local",
            bundle_version=None,
            relative_fileloc=dag.relative_fileloc,
            owners=dag.owner,
            tags=sorted(dag.tags),
            next_dagrun=None,
        )

    def _run(self, m: Any) -> LocalRun:
        run = self.runs.get((m.dag_id, m.run_id))
        if run is None:
            raise _api_failure(404, f"Dag run with dag_id '{m.dag_id}' and run_id '{m.run_id}' was not found")
        return run

    def _GetDagRun(self, m: Any, instance: Any) -> Message:
        return DagRunResult(**self._run(m).message.to_body())

    def _GetDagRunState(self, m: Any, instance: Any) -> Message:
        return DagRunStateResult(state=self._run(m).message.state)

    def _matching_runs(self, m: Any) -> list[LocalRun]:
        return [
            run
            for run in self.runs.values()
            if run.dag.dag_id == m.dag_id
            and (not m.run_ids or run.run_id in m.run_ids)
            and (not m.logical_dates or run.message.logical_date in m.logical_dates)
        ]

    def _GetDRCount(self, m: Any, instance: Any) -> Message:
        return DRCount(count=sum(not m.states or run.message.state in m.states for run in self._matching_runs(m)))

    def _matching_instances(self, m: Any) -> list[LocalInstance]:
        group = m.task_group_id and self.dags[m.dag_id].task_group_dict.get(m.task_group_id)
        inside = {each.task_id for each in group} if group else set()
        return [
            each
            for run in self._matching_runs(m)
            for each in run
            if (not m.task_ids or each.task.task_id in m.task_ids)
            and (not m.task_group_id or each.task.task_id in inside)
            and (m.map_index is None or each.map_index == m.map_index)
        ]

    def _GetTICount(self, m: Any, instance: Any) -> Message:
        found = self._matching_instances(m)
        return TICount(count=sum(not m.states or (each.state or "null") in m.states for each in found))

    def _GetTaskStates(self, m: Any, instance: Any) -> Message:
        states: dict[str, Any] = {}
        for each in self._matching_instances(m):
            name = each.task.task_id if each.map_index < 0 else f"{each.task.task_id}_{each.map_index}"
            states.setdefault(each.run.run_id, {})[name] = each.state
        return TaskStatesResult(task_states=states)

    def _GetTaskBreadcrumbs(self, m: Any, instance: Any) -> Message:
        found = [
            {
                "task_id": each.task.task_id,
                "map_index": each.map_index,
                "state": each.state,
                "operator": each.task.task_type,
                "duration": each.seconds,
            }
            for each in self._run(m)
            if each.state in _LOCAL_DONE
        ]
        return TaskBreadcrumbsResult(breadcrumbs=sorted(found, key=lambda row: (row["task_id"], row["map_index"])))

    def _earlier_run(self, dag_id: str, before: Any, state: str | None) -> LocalRun | None:
        runs = [
            (run.message.logical_date, run)
            for run in self.runs.values()
            if run.dag.dag_id == dag_id and run.message.logical_date and before and run.message.logical_date < before
        ]
        found = [pair for pair in runs if state in (None, pair[1].message.state)]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def _GetPreviousDagRun(self, m: Any, instance: Any) -> Message:
        run = self._earlier_run(m.dag_id, m.logical_date, m.state)
        return PreviousDagRunResult(dag_run=None if run is None else run.message)

    def _GetPrevSuccessfulDagRun(self, m: Any, instance: Any) -> Message:
        current = self.by_id[m.ti_id].run
        run = self._earlier_run(current.dag.dag_id, current.message.logical_date, "success")
        names = ("data_interval_start", "data_interval_end", "start_date", "end_date")
        return PrevSuccessfulDagRunResult(**{name: getattr(run.message, name) for name in names} if run else {})

    def _GetPreviousTI(self, m: Any, instance: Any) -> Message:
        return PreviousTIResult(task_instance=None)

    def _GetTaskRescheduleStartDate(self, m: Any, instance: Any) -> Message:
        return TaskRescheduleStartDate(start_date=next(iter(self.by_id[m.ti_id].reschedules), None))

    def _TriggerDagRun(self, m: Any, instance: Any) -> Message:
        dag = self.dags.get(m.dag_id)
        if dag is None:
            raise _api_failure(
                404,
                f"there is no Dag {m.dag_id!r} here to trigger: name its Dag file too, or build both into one bundle",
            )
        if (m.dag_id, m.run_id) in self.runs and not m.reset_dag_run:
            return ErrorResponse(error=ErrorType("DAGRUN_ALREADY_EXISTS"))
        self.start_run(
            LocalRun(
                self,
                dag,
                run_type="operator_triggered",
                run_id=m.run_id,
                logical_date=m.logical_date,
                run_after=m.run_after,
                conf=m.conf,
                note=m.note,
            )
        )
        return OKResponse(ok=True)

    def _SkipDownstreamTasks(self, m: Any, instance: Any) -> None:
        for each in m.tasks:
            task_id, index = (each, -1) if isinstance(each, str) else each
            found = instance.run.instances.get(task_id, {}).get(index)
            if found is not None and found.state not in ("running", "success", "failed"):
                found.move("skipped")

    def _SetRenderedFields(self, m: Any, instance: Any) -> None:
        return None

    def _SetRenderedMapIndex(self, m: Any, instance: Any) -> None:
        instance.map_label = m.rendered_map_index

    # --- assets and what they have seen

    def _GetAssetByName(self, m: Any, instance: Any) -> Message:
        found = self._find_asset(m)
        return AssetResult(**found.to_body()) if found else _not_there("ASSET", name=m.name)

    def _GetAssetByUri(self, m: Any, instance: Any) -> Message:
        found = self._find_asset(m)
        return AssetResult(**found.to_body()) if found else _not_there("ASSET", uri=m.uri)

    def _find_asset(self, m: Any) -> AssetResponse | None:
        name, uri = getattr(m, "name", None), getattr(m, "uri", None)
        return next(
            (
                each
                for each in self.assets.values()
                if (name or uri) and name in (None, each.name) and uri in (None, each.uri)
            ),
            None,
        )

    def _GetAssetsByAlias(self, m: Any, instance: Any) -> Message:
        found = [self.assets[name] for name in self.aliases.get(m.alias_name, ())]
        return AssetsByAliasResult(assets=[AssetResult(**each.to_body()) for each in found])

    def _GetAssetEventByAsset(self, m: Any, instance: Any) -> Message:
        return self._select_events(
            m, lambda event, aliases: m.name in (None, event.asset.name) and m.uri in (None, event.asset.uri)
        )

    def _GetAssetEventByAssetAlias(self, m: Any, instance: Any) -> Message:
        return self._select_events(m, lambda event, aliases: m.alias_name in aliases)

    def _select_events(self, m: Any, is_wanted: Callable[[Any, set[str]], bool]) -> Message:
        found = [
            event
            for event, aliases in self.events
            if is_wanted(event, aliases)
            and (m.after is None or event.timestamp >= m.after)
            and (m.before is None or event.timestamp <= m.before)
        ]
        found = found if m.ascending else found[::-1]
        return AssetEventsResult(asset_events=found if m.limit is None else found[: m.limit])

    def _ValidateInletsAndOutlets(self, m: Any, instance: Any) -> Message:
        return InactiveAssetsResult(inactive_assets=[])

    def note_asset_events(self, instance: LocalInstance, message: SucceedTask) -> None:
        """Keep the events of a task that has succeeded (`register_asset_changes_in_db` of airflow.models)."""
        sent = message.outlet_events or []
        for profile in message.task_outlets or ():
            if profile.type == "AssetAlias":
                for event in sent:
                    if event.get("source_alias_name") == profile.name:
                        key = event["dest_asset_key"]
                        known = Asset(name=key["name"], uri=key["uri"], extra=event.get("dest_asset_extra") or {})
                        self._know(known)
                        aliased = self.aliases.setdefault(str(profile.name), [])
                        if known.name not in aliased:
                            aliased.append(known.name)
                        self._add_event(instance, self.assets[known.name], event, {str(profile.name)})
                continue
            asset = self._find_asset(profile)
            if asset is None:
                continue
            own = [
                event
                for event in sent
                if not event.get("source_alias_name")
                and event["dest_asset_key"] == {"name": asset.name, "uri": asset.uri}
            ]
            for event in own or [{}]:
                self._add_event(instance, asset, event, set())

    def _add_event(self, instance: LocalInstance, asset: Any, event: dict[str, Any], aliases: set[str]) -> None:
        made = AssetEventResponse(
            id=len(self.events) + 1,
            timestamp=utcnow(),
            extra=event.get("extra") or {},
            asset=asset,
            created_dagruns=[],
            source_task_id=instance.task.task_id,
            source_dag_id=instance.run.dag.dag_id,
            source_run_id=instance.run.run_id,
            source_map_index=instance.map_index,
            partition_key=event.get("partition_key"),
        )
        self.events.append((made, aliases))

    # --- state stores

    def _task_place(self, m: Any) -> tuple[Any, ...]:
        owner = self.by_id[m.ti_id]
        return owner.run.dag.dag_id, owner.run.run_id, owner.task.task_id, owner.map_index

    def _GetTaskStateStore(self, m: Any, instance: Any) -> Message:
        place = (*self._task_place(m), m.key)
        if place not in self.task_states:
            return _not_there("TASK_STORE", key=m.key)
        return TaskStateStoreResult(value=self.task_states[place])

    def _SetTaskStateStore(self, m: Any, instance: Any) -> Message:
        place = (*self._task_place(m), m.key)
        self.task_states[place] = m.value
        return OKResponse(ok=True)

    def _DeleteTaskStateStore(self, m: Any, instance: Any) -> Message:
        self.task_states.pop((*self._task_place(m), m.key), None)
        return OKResponse(ok=True)

    def _ClearTaskStateStore(self, m: Any, instance: Any) -> Message:
        owner = self._task_place(m)
        self.task_states = {place: value for place, value in self.task_states.items() if place[:-1] != owner}
        return OKResponse(ok=True)

    def _asset_place(self, m: Any) -> tuple[str, str]:
        asset = self._find_asset(m)
        if asset is None:
            raise _api_failure(404, f"Asset {getattr(m, 'name', None) or m.uri!r} not found")
        return asset.name, getattr(m, "key", "")

    def _GetAssetStateStoreByName(self, m: Any, instance: Any) -> Message:
        place = self._asset_place(m)
        if place not in self.asset_states:
            return _not_there("ASSET_STORE", key=m.key)
        return AssetStateStoreResult(value=self.asset_states[place])

    def _SetAssetStateStoreByName(self, m: Any, instance: Any) -> Message:
        self.asset_states[self._asset_place(m)] = m.value
        return OKResponse(ok=True)

    def _DeleteAssetStateStoreByName(self, m: Any, instance: Any) -> Message:
        self.asset_states.pop(self._asset_place(m), None)
        return OKResponse(ok=True)

    def _ClearAssetStateStoreByName(self, m: Any, instance: Any) -> Message:
        name = self._asset_place(m)[0]
        self.asset_states = {place: value for place, value in self.asset_states.items() if place[0] != name}
        return OKResponse(ok=True)

    _GetAssetStateStoreByUri = _GetAssetStateStoreByName
    _SetAssetStateStoreByUri = _SetAssetStateStoreByName
    _DeleteAssetStateStoreByUri = _DeleteAssetStateStoreByName
    _ClearAssetStateStoreByUri = _ClearAssetStateStoreByName

    # --- questions to a person

    def _CreateHITLDetailPayload(self, m: Any, instance: Any) -> Message:
        self.questions[m.ti_id] = m
        names = ("ti_id", "options", "subject", "body", "defaults", "multiple", "params", "assigned_users")
        return HITLDetailRequestResult(**{name: getattr(m, name) for name in names})


def _assets_in(condition: Any) -> Iterator[Any]:
    """Yield the assets that a schedule names."""
    if isinstance(condition, Asset):
        yield condition
    elif isinstance(condition, (AssetAny, AssetAll)):
        for each in condition.objects:
            yield from _assets_in(each)
    elif isinstance(condition, (list, tuple, set, frozenset)):
        for each in condition:
            yield from _assets_in(each)
    elif isinstance(condition, AssetTriggeredTimetable):
        yield from _assets_in(condition.asset_condition)


def _assets_of(task: Any) -> Iterator[Any]:
    for each in (*(task.inlets or ()), *(task.outlets or ())):
        if isinstance(each, Asset):
            yield each


class LocalClient:
    """Asks the store directly: what `supervisor` is in the process that runs the Dag, for imports and callbacks."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store
        self.context_carrier: dict[str, str] | None = None

    def send(self, message: Message) -> Message | None:
        answer = self.store.answer(message, None)
        return None if answer is None else decode_message(answer.to_body())

    async def asend(self, message: Message) -> Message | None:
        import asyncio

        return await asyncio.to_thread(self.send, message)

    def interrupt(self, action: Callable[[], Any]) -> None:
        action()


# --- starting tasks and serving them ----------------------------------------------------------------------------------

_TERMINAL_MESSAGES = frozenset(
    {"SucceedTask", "TaskState", "RetryTask", "DeferTask", "RescheduleTask", "AwaitInputTask"}
)


class _LocalTask:
    """A process that runs one try of a task: its sockets, its output, and how it said that it ended."""

    def __init__(self, boss: LocalSupervisor, instance: LocalInstance) -> None:
        import subprocess

        self.boss, self.instance = boss, instance
        self.began = time.monotonic()
        self.outcome: Any = None
        self.doomed = False  # failed whatever it says
        self.open: dict[Any, Callable[[bytes], None]] = {}
        self.comm: Any = None
        self.outbox = bytearray()
        self.writing = False
        self.frames = FrameReader()
        self.rest: dict[str, bytes] = {}
        comm, comm_address = self._listen(self._accept_comm)
        logs, logs_address = self._listen(self._accept_logs)
        self.listeners = [comm, logs]
        try:
            self.process = subprocess.Popen(
                [*boss.command, f"--comm={comm_address}", f"--logs={logs_address}"],
                env=boss.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C is for this process alone, which ends its tasks as Airflow does.
                start_new_session=True,
            )
        except OSError:
            self._close_listeners()
            raise
        for stream, name in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr")):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._watch(stream, lambda data, name=name: self._take_lines(name, data))  # type: ignore[misc]

    def _listen(self, accept: Callable[[Any], None]) -> tuple[Any, str]:
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.boss.selector.register(listener, 1, lambda events: self._take_connection(listener, accept))
        return listener, f"127.0.0.1:{listener.getsockname()[1]}"

    def _take_connection(self, listener: Any, accept: Callable[[Any], None]) -> None:
        try:
            sock, address = listener.accept()
        except OSError:
            return
        if not _is_own_connection(address[1], listener.getsockname()[1]):
            sock.close()
            return
        self.boss.selector.unregister(listener)
        self.listeners.remove(listener)
        listener.close()
        sock.setblocking(False)
        accept(sock)

    def _close_listeners(self) -> None:
        for each in self.listeners:
            self.boss.selector.unregister(each)
            each.close()
        self.listeners = []

    def _accept_comm(self, sock: Any) -> None:
        self.comm = sock
        self._watch(sock, self._take_frames)
        self._send(encode_response(0, self.boss.startup_details(self.instance).to_body()))

    def _accept_logs(self, sock: Any) -> None:
        self._watch(sock, lambda data: self._take_lines("logs", data))

    # --- bytes

    def _watch(self, stream: Any, take: Callable[[bytes], None]) -> None:
        self.open[stream] = take
        self.boss.selector.register(stream, 1, lambda events: self._serve(stream, events))

    def _serve(self, stream: Any, events: int) -> None:
        if events & 2:
            self._flush()
        if events & ~2:
            self._read(stream)

    def _read(self, stream: Any) -> bool:
        """Take what has come; False when there is nothing now, or never again."""
        try:
            data = os.read(stream.fileno(), 256 * 1024)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(stream)
            return False
        self.open[stream](data)
        return stream in self.open

    def _close(self, stream: Any) -> None:
        if self.open.pop(stream, None) is not None:
            self.boss.selector.unregister(stream)
            stream.close()
            if stream is self.comm:
                self.comm = None

    def _send(self, frame: bytes | memoryview) -> None:
        self.outbox += frame
        self._flush()

    def _flush(self) -> None:
        if self.comm is None:
            return
        try:
            while self.outbox:
                del self.outbox[: self.comm.send(self.outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self.outbox.clear()
        if self.writing != bool(self.outbox):
            self.writing = not self.writing
            key = self.boss.selector.get_key(self.comm)
            self.boss.selector.modify(self.comm, 3 if self.writing else 1, key.data)

    def _take_frames(self, data: bytes) -> None:
        self.frames.feed(data)
        try:
            while (payload := self.frames.next_frame()) is not None:
                request_id, body, _ = decode_request(payload)
                self._answer(request_id, body or {})
        except BundleError as error:
            self.boss.view.note(self.instance, f"the task sent what no supervisor understands: {error}", "error")
            self._close(self.comm)

    def _answer(self, request_id: int, body: dict[str, Any]) -> None:
        message = decode_message(body)
        if message.type in _TERMINAL_MESSAGES:
            self.outcome = message
            self._send(encode_response(request_id))
            return
        try:
            answer = self.boss.store.answer(message, self.instance)
            frame = encode_response(request_id, None if answer is None else answer.to_body())
        except AirflowRuntimeError as refusal:
            frame = encode_response(request_id, None, refusal.error.to_body())
        self._send(frame)

    def _take_lines(self, name: str, data: bytes) -> None:
        *lines, self.rest[name] = (self.rest.get(name, b"") + data).split(b"\n")
        for line in lines:
            self._take_line(name, line)

    def _take_line(self, name: str, line: bytes) -> None:
        import json

        text = line.decode("utf-8", "replace")
        record: Any = None
        if name == "logs":
            try:
                record = json.loads(text)
            except ValueError:
                pass
        if not isinstance(record, dict):
            record = {"event": text.rstrip("\r"), "level": "info", "logger": f"task.{name}"}
        self.boss.view.log(self.instance, record)

    # --- the end

    def collect(self) -> None:
        """Take what the ended process has left in pipes and sockets, and close them."""
        self._close_listeners()
        for stream in list(self.open):
            while self._read(stream):
                pass
            self._close(stream)
        for name, line in self.rest.items():
            if line:
                self._take_line(name, line)

    def signal(self, number: int) -> None:
        """Send a signal: SIGKILL to all that the task has started, others, like Airflow, to the process alone."""
        import signal

        try:
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        except ProcessLookupError:
            pass


def _is_own_connection(port: int, local_port: int) -> bool:
    """Whether the other end of a loopback connection belongs to this user, so that no other gets the secrets."""
    ours = f"{os.getuid()}"
    try:
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{local_port:04X}"):
                    return fields[7] == ours
    except OSError:
        pass
    return True


class LocalSupervisor:
    """Runs Dag runs to their end. Nothing of it is left when `run` returns: no process, no socket, no signal handler.

    :param command: starts this program, without --comm and --logs.
    :param jobs: so many tasks run at the same time.
    :param real_delays: whether to wait as long as the Dag says, see `LOCAL_DELAY`.
    :param replies: what to answer to the questions of human-in-the-loop tasks, by task id.
    """

    def __init__(
        self,
        store: LocalStore,
        view: LocalView,
        *,
        command: Sequence[str],
        jobs: int,
        real_delays: bool = False,
        mark_success: str | None = None,
        replies: Mapping[str, str] | None = None,
    ) -> None:
        import selectors

        self.store, self.view = store, view
        self.command, self.jobs = list(command), jobs
        self.real_delays = real_delays
        self.mark_success = mark_success
        self.environment = {**os.environ, "PYINSTALLER_RESET_ENVIRONMENT": "1"}
        # Regular files can be polled, which the terminal's place may be taken by.
        self.selector = selectors.PollSelector()
        self.runs: list[LocalRun] = []
        self.queue: list[LocalInstance] = []
        self.tasks: list[_LocalTask] = []
        self.waiting: list[LocalInstance] = []  # for a trigger
        self.fired: list[tuple[LocalInstance, int, Any]] = []
        self.questions = LocalQuestions(self, replies or {})
        self.interrupted = 0
        self.killing: float | None = None
        self.wake_read, self.wake_write = os.pipe()
        for fd in (self.wake_read, self.wake_write):
            os.set_blocking(fd, False)
        store.start_run = self.add

    def add(self, run: LocalRun) -> None:
        run.on_change = self.view.changed
        self.runs.append(run)
        self.view.started(run)

    def run(self, first: LocalRun) -> int:
        """Run a Dag run, and those it triggers; return 0 when it succeeded, 1 when not, 128 + signal when ended."""
        import signal

        self.add(first)
        handlers: dict[int, Any] = {signal.SIGCHLD: lambda *_: None}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handlers[number] = lambda number, frame: self._interrupt(number)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        old_wakeup = signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        self.selector.register(self.wake_read, 1, lambda events: self._drain())
        try:
            while self._advance():
                for key, events in self.selector.select(self._pause()):
                    self._dispatch(key, events)
                self._reap()
                self.view.refresh()
        finally:
            for task in self.tasks:
                task.signal(signal.SIGKILL)
                task.process.wait()
                task.collect()
            signal.set_wakeup_fd(old_wakeup)
            for each, handler in before.items():
                signal.signal(each, handler)
            self.questions.close()
            self.selector.close()
            os.close(self.wake_read)
            # The other end stays: a trigger's thread may still write to it.
        if self.interrupted:
            return 128 + self.interrupted
        return 0 if first.state == "success" else 1

    def _dispatch(self, key: Any, events: int) -> None:
        try:
            current = self.selector.get_key(key.fileobj)
        except (KeyError, ValueError):
            return  # Closed by what came before it in the same round.
        if current.fileobj is key.fileobj:
            current.data(events)

    def _interrupt(self, number: int) -> None:
        import signal

        if self.interrupted:
            self.killing = 0.0
        else:
            self.view.say("ending the tasks; once more ends them at once")
            self.killing = time.monotonic() + LOCAL_GRACE
        self.interrupted = self.interrupted or number
        for task in self.tasks:
            task.instance.stopped = True
            task.signal(signal.SIGTERM if self.killing else signal.SIGKILL)

    def _drain(self) -> None:
        try:
            while os.read(self.wake_read, 4096):
                pass
        except BlockingIOError:
            pass

    def _pause(self) -> float | None:
        """Return how many seconds may pass until something is due; None for any number."""
        if any(run.dirty and run.state is None for run in self.runs):
            return 0.0
        now = time.monotonic()
        moments = [each.due for run in self.runs for each in run if each.state in ("up_for_retry", "up_for_reschedule")]
        moments += self.questions.deadlines()
        for run in self.runs:
            if run.state is None and run.dag.dagrun_timeout:
                moments.append(run.began + run.dag.dagrun_timeout.total_seconds())
        if self.killing:
            moments.append(self.killing)
        if self.view.seconds_between:
            moments.append(now + self.view.seconds_between)
        return max(0.0, min(moments) - now) if moments else None

    def _advance(self) -> bool:
        """Do all that needs no waiting; False when everything has ended."""
        import signal

        if self.interrupted:
            if self.killing is not None and time.monotonic() >= self.killing:
                for task in self.tasks:
                    task.signal(signal.SIGKILL)
                self.killing = None
            return bool(self.tasks)
        self._resume_fired()
        self.questions.proceed()
        now = time.monotonic()
        for run in list(self.runs):
            if run.state is not None:
                continue
            limit = run.dag.dagrun_timeout
            if limit and now >= run.began + limit.total_seconds():
                self._time_out(run)
                continue
            if any(each.due <= now for each in run if each.state in ("up_for_retry", "up_for_reschedule")):
                run.dirty = True
            self.queue += run.schedule()
            run.conclude()
            if run.state is not None:
                self._ended(run)
        self._start_queued()
        return bool(self.tasks) or any(run.state is None for run in self.runs)

    def _time_out(self, run: LocalRun) -> None:
        run.end("failed", f"it took longer than its dagrun_timeout of {run.dag.dagrun_timeout}")
        for task in self.tasks:
            if task.instance.run is run:
                self._doom(task)
        for each in run:
            if each.state not in _LOCAL_DONE:
                each.move("skipped")
        self._ended(run)

    def _doom(self, task: _LocalTask) -> None:
        import signal

        task.doomed = True
        task.signal(signal.SIGTERM)

    def _ended(self, run: LocalRun) -> None:
        self.queue = [each for each in self.queue if each.run is not run]
        self.questions.drop(run)
        self._run_dag_callbacks(run)

    def _start_queued(self) -> None:
        import re

        kept: list[LocalInstance] = []
        for instance in self.queue:
            if instance.state != "scheduled":
                continue
            if self.mark_success and re.fullmatch(self.mark_success, instance.task.task_id):
                instance.move("success")
                continue
            if len(self.tasks) >= self.jobs or not self._has_room(instance):
                kept.append(instance)
                continue
            instance.lines, instance.error = [], None
            instance.began = time.monotonic()
            if not instance.next_method:
                instance.start_date = utcnow()
            instance.move("running")
            self.tasks.append(_LocalTask(self, instance))
        self.queue = kept

    def _has_room(self, instance: LocalInstance) -> bool:
        task, run = instance.task, instance.run
        running = [each.instance for each in self.tasks]
        same = [each for each in running if each.task.task_id == task.task_id and each.run.dag is run.dag]
        limits = (
            (run.dag.max_active_tasks, sum(each.run is run for each in running)),
            (task.max_active_tis_per_dag, len(same)),
            (task.max_active_tis_per_dagrun, sum(each.run is run for each in same)),
        )
        return all(limit is None or count < limit for limit, count in limits)

    def startup_details(self, instance: LocalInstance) -> StartupDetails:
        """Return what a task is started with."""
        run, task = instance.run, instance.task
        place = (run.dag.dag_id, run.run_id, task.task_id)
        keys = [
            key[3]
            for key, rows in self.store.xcoms.items()
            if key[:3] == place and (instance.map_index < 0 or instance.map_index in rows)
        ]
        context: dict[str, Any] = {
            "dag_run": run.message,
            "task_reschedule_count": len(instance.reschedules),
            "max_tries": instance.max_tries,
            "should_retry": bool(instance.max_tries) and instance.try_number <= instance.max_tries,
            "xcom_keys_to_clear": [] if instance.next_method else keys,
        }
        if instance.next_method:
            context.update(
                next_method=instance.next_method, next_kwargs=instance.next_kwargs, start_date=instance.start_date
            )
        return StartupDetails(
            ti=TaskInstance(
                id=instance.id,
                task_id=task.task_id,
                dag_id=run.dag.dag_id,
                run_id=run.run_id,
                try_number=instance.try_number,
                map_index=instance.map_index,
                dag_version_id=instance.id,
                queue=task.queue,
                hostname=os.uname().nodename,
            ),
            dag_rel_path=run.dag.relative_fileloc or "",
            bundle_info=BundleInfo(name="local"),
            start_date=utcnow(),
            ti_context=TIRunContext(**context),
            sentry_integration="",
        )

    # --- how tasks end

    def _reap(self) -> None:
        for task in list(self.tasks):
            code = task.process.poll()
            if code is not None:
                task.collect()
                self.tasks.remove(task)
                task.instance.seconds += time.monotonic() - task.began
                self._finish(task, code)

    def _finish(self, task: _LocalTask, code: int) -> None:
        """Give an instance the state that the message, the exit code and Airflow's supervisor make of it."""
        instance, outcome = task.instance, task.outcome
        kind = None if outcome is None else outcome.type
        if instance.state != "running":
            return  # The run has ended without it.
        label = getattr(outcome, "rendered_map_index", None)
        instance.map_label = label or instance.map_label
        instance.next_method, instance.next_kwargs = None, None
        if task.doomed:
            instance.move("failed")
        elif kind is None:
            self._finish_silent(instance, code)
        elif kind == "SucceedTask" and code:
            self.view.note(
                instance, f"reported success and then ended with exit code {code}: that is a failure", "error"
            )
            instance.move("failed")
        elif kind == "SucceedTask":
            self.store.note_asset_events(instance, outcome)
            instance.move("success")
        elif kind == "TaskState":
            instance.move(outcome.state)
        elif kind == "RetryTask":
            self._retry(instance, outcome.retry_delay_seconds)
        elif kind == "RescheduleTask":
            instance.reschedules.append(instance.start_date or utcnow())
            self._put_off(instance, "up_for_reschedule", (outcome.reschedule_date - utcnow()).total_seconds())
        elif kind == "DeferTask":
            instance.next_method, instance.next_kwargs = outcome.next_method, outcome.next_kwargs
            instance.move("deferred")
            if not self.interrupted:
                self._wait_for_trigger(instance, outcome)
        else:
            instance.next_method, instance.next_kwargs = outcome.next_method, outcome.next_kwargs
            instance.move("awaiting_input")
            self.questions.ask(instance, outcome.timeout)
        if instance.state == "failed" and instance.run.dag.fail_fast:
            for each in instance.run.fail_fast(instance):
                self._doom(next(other for other in self.tasks if other.instance is each))

    def _finish_silent(self, instance: LocalInstance, code: int) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if not code:
            self.view.note(
                instance, "ended without saying how: with exit code 0 Airflow takes it for a success", "warning"
            )
            instance.move("success")
            return
        self.view.note(instance, f"the process {how} without saying how the task went", "error")
        if instance.max_tries and instance.try_number <= instance.max_tries:
            self._retry(instance, None)
        else:
            instance.move("failed")

    def _retry(self, instance: LocalInstance, delay: float | None) -> None:
        task = instance.task
        if delay is None:
            delay = task.retry_delay.total_seconds()
            factor = task.retry_exponential_backoff or 1.0
            if factor > 1.0:
                delay = min(max(1.0, delay * factor ** (instance.try_number - 1)), 24 * 60 * 60)
                if task.max_retry_delay:
                    delay = min(delay, task.max_retry_delay.total_seconds())
        instance.new_try()
        self._put_off(instance, "up_for_retry", delay)

    def _put_off(self, instance: LocalInstance, state: str, delay: float) -> None:
        wait = self.shortened(delay)
        instance.due = time.monotonic() + wait
        instance.move(state)
        if wait < delay and state == "up_for_retry":
            self.view.note(instance, f"tried again in {wait:g} s instead of {delay:g} s; --real-delays waits", "info")

    def shortened(self, delay: float) -> float:
        return max(0.0, delay if self.real_delays else min(delay, LOCAL_DELAY))

    # --- triggers

    def _wait_for_trigger(self, instance: LocalInstance, outcome: Any) -> None:
        """Run the trigger of a deferred task in a thread; what it fires wakes the loop."""
        import threading

        limit = outcome.trigger_timeout and outcome.trigger_timeout.total_seconds()
        threading.Thread(
            target=self._watch_trigger,
            args=(instance, instance.try_number, outcome.classpath, outcome.trigger_kwargs, limit),
            daemon=True,
        ).start()

    def _watch_trigger(self, instance: LocalInstance, attempt: int, path: str, kwargs: Any, limit: Any) -> None:
        import asyncio

        try:
            event: Any = asyncio.run(self._first_event(path, kwargs, limit))
        except BaseException as error:
            event = error
        self.fired.append((instance, attempt, event))
        os.write(self.wake_write, b"\0")

    async def _first_event(self, path: str, kwargs: Any, limit: float | None) -> Any:
        import asyncio

        try:
            trigger = import_string(path)(**deserialize_next_kwargs(kwargs))
        except Exception as error:
            raise TaskDeferralError(
                f"cannot wait for trigger {path} here: {type(error).__name__}: {error}. Its package must be one that "
                "the Dag file declares; without it, answer for the task with --mark-success-pattern"
            ) from error

        async def first() -> Any:
            if type(trigger).run is airflow_name("BaseTrigger").run:
                return await LocalTriggers(self).wait(trigger)
            events = trigger.run()
            try:
                async for event in events:
                    return event
            finally:
                await events.aclose()
                await trigger.cleanup()
            raise TaskDeferralError("Trigger exited without firing an event")

        return await asyncio.wait_for(first(), limit)

    def _resume_fired(self) -> None:
        import asyncio
        import traceback

        while self.fired:
            instance, attempt, event = self.fired.pop(0)
            if instance.state != "deferred" or instance.try_number != attempt:
                continue
            if isinstance(event, BaseException):
                timed_out = isinstance(event, asyncio.TimeoutError)
                instance.next_method = "__fail__"
                instance.next_kwargs = {"error": "Trigger timeout" if timed_out else str(event) or "Trigger failure"}
                if not timed_out and not isinstance(event, TaskDeferralError):
                    instance.next_kwargs["traceback"] = traceback.format_exception(
                        type(event), event, event.__traceback__
                    )
                self._requeue(instance)
            elif getattr(event, "task_instance_state", None):
                for key, value in (event.xcoms or {}).items():
                    place = (instance.run.dag.dag_id, instance.run.run_id, instance.task.task_id, key)
                    self.store.set_xcom(place, serialize_value(value), instance.map_index, None)
                instance.next_method = None
                instance.move(str.__str__(event.task_instance_state))
            else:
                self.resume(instance, event.payload)

    def resume(self, instance: LocalInstance, payload: Any) -> None:
        """Let a task go on that has waited for an event."""
        instance.next_kwargs = {**(instance.next_kwargs or {}), "event": serialize_value(payload)}
        self._requeue(instance)

    def _requeue(self, instance: LocalInstance) -> None:
        instance.state = "scheduled"
        self.queue.append(instance)

    # --- callbacks of the Dag

    def _run_dag_callbacks(self, run: LocalRun) -> None:
        """Call `on_success_callback` or `on_failure_callback` of the Dag, in this process as `dag.test()` does."""
        failed = run.state == "failed"
        callbacks = run.dag.on_failure_callback if failed else run.dag.on_success_callback
        if not callbacks or run.only is not None:
            return
        last = max((each for each in run if each.state == run.state), key=lambda each: each.began or 0.0, default=None)
        context: Any = {"dag": run.dag, "run_id": run.run_id}
        try:
            if last is not None:
                context = RuntimeTaskInstance(self.startup_details(last), last.task).get_template_context()
            context["reason"] = run.reason or ("task_failure" if failed else "success")
            for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
                callback(context)
        except BaseException as error:
            log_event("error", "A callback of the Dag failed", exc_info=error)


class LocalTriggers:
    """Waits for what the standard provider's triggers wait for; in a bundle these have no code of their own."""

    def __init__(self, boss: LocalSupervisor) -> None:
        self.boss = boss
        self.client = LocalClient(boss.store)

    async def wait(self, trigger: Any) -> Any:
        """Return the event of a trigger.

        :raises TaskDeferralError: when nobody here knows how to wait for it.
        """
        for cls in type(trigger).__mro__:
            method = getattr(self, f"_{cls.__name__}", None)
            if method is not None:
                return await method(trigger)
        raise TaskDeferralError(
            f"nothing here can wait for {trigger!r}: it runs in Airflow's triggerer only; answer for the task with "
            "--mark-success-pattern"
        )

    async def _DateTimeTrigger(self, trigger: Any) -> Any:
        import asyncio

        await asyncio.sleep(self.boss.shortened((trigger.moment - utcnow()).total_seconds()))
        if trigger.end_from_trigger:
            return airflow_name("TaskSuccessEvent")()
        return airflow_name("TriggerEvent")(trigger.moment)

    async def _FileTrigger(self, trigger: Any) -> Any:
        import asyncio
        import glob

        while True:
            for path in glob.glob(trigger.filepath, recursive=trigger.recursive):
                if os.path.isfile(path) or any(files for _, _, files in os.walk(path)):
                    return airflow_name("TriggerEvent")(True)
            await asyncio.sleep(self.boss.shortened(trigger.poke_interval))

    async def _DagStateTrigger(self, trigger: Any) -> Any:
        import asyncio

        wanted = len(trigger.run_ids or trigger.execution_dates or ())
        query = {"dag_id": trigger.dag_id, "run_ids": trigger.run_ids, "logical_dates": trigger.execution_dates}
        while self._ask(GetDRCount(**query, states=[str.__str__(each) for each in trigger.states])).count < wanted:
            await asyncio.sleep(self.boss.shortened(trigger.poll_interval))
        path, data = trigger.serialize()
        for run_id in trigger.run_ids or ():
            data[run_id] = str.__str__(self._ask(GetDagRunState(dag_id=trigger.dag_id, run_id=run_id)).state)
        return airflow_name("TriggerEvent")((path, data))

    async def _WorkflowTrigger(self, trigger: Any) -> Any:
        import asyncio

        wanted = len(trigger.run_ids or trigger.logical_dates or ())
        while True:
            for status in ("failed", "skipped"):
                states = getattr(trigger, f"{status}_states")
                if states and self._count(trigger, states):
                    return airflow_name("TriggerEvent")({"status": status})
            if self._count(trigger, trigger.allowed_states) == wanted:
                return airflow_name("TriggerEvent")({"status": "success"})
            await asyncio.sleep(self.boss.shortened(trigger.poke_interval))

    def _count(self, trigger: Any, states: Any) -> int:
        query: dict[str, Any] = {
            "dag_id": trigger.external_dag_id,
            "run_ids": trigger.run_ids,
            "logical_dates": trigger.logical_dates,
        }
        wanted = [str.__str__(each) for each in states or ()]
        if trigger.external_task_ids:
            ids = list(trigger.external_task_ids)
            return self._ask(GetTICount(**query, task_ids=ids, states=wanted)).count // len(ids)
        if trigger.external_task_group_id:
            found = self._ask(GetTaskStates(**query, task_group_id=trigger.external_task_group_id)).task_states
            return sum(all(state in wanted for state in run.values()) for run in found.values())
        return self._ask(GetDRCount(**query, states=wanted)).count

    def _ask(self, message: Message) -> Any:
        return self.client.send(message)


# --- questions to a person --------------------------------------------------------------------------------------------


class LocalQuestions:
    """Asks on the terminal what human-in-the-loop tasks ask, one question at a time; standard input has the answers.

    :param replies: answers known beforehand, by task id: options separated by commas, or a JSON object of
        `chosen_options` and `params_input`.
    """

    def __init__(self, boss: LocalSupervisor, replies: Mapping[str, str]) -> None:
        self.boss, self.replies = boss, replies
        self.pending: list[tuple[LocalInstance, float | None]] = []
        self.chosen: list[str] | None = None
        self.filled: dict[str, Any] = {}
        self.asked = False
        self.lines: list[str] = []
        self.rest = b""
        self.listening = False
        self.ended = False

    def ask(self, instance: LocalInstance, timeout: Any) -> None:
        question = self.boss.store.questions[instance.id]
        reply = self.replies.get(instance.place, self.replies.get(instance.task.task_id))
        if reply is not None:
            try:
                chosen, filled = self._read_reply(question, reply)
            except ValueError as error:
                self._fail(instance, f"--answer {instance.task.task_id}={reply}: {error}")
            else:
                self._resume(instance, chosen, filled)
            return
        limit = None if timeout is None else time.monotonic() + timeout.total_seconds()
        self.pending.append((instance, limit))

    def _read_reply(self, question: Any, reply: str) -> tuple[list[str], dict[str, Any]]:
        filled = self._defaults(question)
        if reply.lstrip().startswith("{"):
            import json

            given = json.loads(reply)
            filled.update(given.get("params_input") or {})
            return self._choose(question, ",".join(given.get("chosen_options") or ())), filled
        return self._choose(question, reply), filled

    @staticmethod
    def _defaults(question: Any) -> dict[str, Any]:
        return {
            name: param["value"] if isinstance(param, dict) and "value" in param else param
            for name, param in (question.params or {}).items()
        }

    @staticmethod
    def _choose(question: Any, text: str) -> list[str]:
        """Read options by their number or text; none given means the defaults.

        :raises ValueError: for what is no option, or too many.
        """
        names = [text.strip()] if text.strip() in question.options else [each.strip() for each in text.split(",")]
        names = [each for each in names if each]
        if not names and question.defaults:
            return list(question.defaults)
        chosen = []
        by_name = {each.lower(): each for each in question.options}
        for name in names:
            if name.lower() in by_name:
                chosen.append(by_name[name.lower()])
            elif name.isdigit() and 0 < int(name) <= len(question.options):
                chosen.append(question.options[int(name) - 1])
            else:
                raise ValueError(f"{name!r} is none of {', '.join(question.options)}{_nearest(name, question.options)}")
        if not chosen or len(chosen) > 1 and not question.multiple:
            raise ValueError(f"choose {'some' if question.multiple else 'one'} of {', '.join(question.options)}")
        return chosen

    def deadlines(self) -> list[float]:
        return [limit for _, limit in self.pending if limit is not None]

    def drop(self, run: LocalRun) -> None:
        self.pending = [pair for pair in self.pending if pair[0].run is not run]

    def proceed(self) -> None:
        """Ask what is to be asked, take what was answered, and end what took too long."""
        now = time.monotonic()
        for instance, limit in list(self.pending):
            if limit is not None and now >= limit:
                self._give_up(instance, "the time for an answer is over")
        while self.pending:
            instance = self.pending[0][0]
            if not self.asked:
                self.boss.view.ask(self._text(instance))
                self.asked = True
            if self.lines:
                self._take(instance, self.lines.pop(0))
            elif self.ended:
                self._give_up(instance, "standard input has ended")
            else:
                self._listen()
                return
        self.close()

    def _text(self, instance: LocalInstance) -> str:
        question = self.boss.store.questions[instance.id]
        if self.chosen is not None:
            name = str(self._open_param(question))
            return f"  {name} [{self._defaults(question)[name]}]: "
        lines = [f"? {instance.label}: {question.subject}"]
        lines += [f"  {line}" for line in (question.body or "").splitlines()]
        for number, option in enumerate(question.options, 1):
            default = " (default)" if option in (question.defaults or ()) else ""
            lines.append(f"  {number}. {option}{default}")
        return "\n".join([*lines, f"  {'numbers, separated by commas' if question.multiple else 'number'}: "])

    def _open_param(self, question: Any) -> str | None:
        return next((name for name in question.params or () if name not in self.filled), None)

    def _take(self, instance: LocalInstance, line: str) -> None:
        question = self.boss.store.questions[instance.id]
        self.asked = False
        if self.chosen is None:
            try:
                self.chosen = self._choose(question, line)
            except ValueError as error:
                self.boss.view.say(f"  {error}")
                return
        else:
            self.filled[str(self._open_param(question))] = self._param_value(question, line)
        if self._open_param(question) is None:
            self._resume(instance, self.chosen, self.filled)

    def _param_value(self, question: Any, line: str) -> Any:
        import json

        default = self._defaults(question)[str(self._open_param(question))]
        if not line.strip() or isinstance(default, str):
            return line.strip() or default
        try:
            return json.loads(line)
        except ValueError:
            return line.strip()

    def _resume(self, instance: LocalInstance, chosen: Any, filled: dict[str, Any], timed_out: bool = False) -> None:
        self._forget(instance)
        payload = {
            "chosen_options": chosen,
            "params_input": filled,
            "responded_at": utcnow(),
            "responded_by_user": None,
            "timedout": timed_out,
        }
        self.boss.resume(instance, payload)

    def _give_up(self, instance: LocalInstance, why: str) -> None:
        question = self.boss.store.questions[instance.id]
        if question.defaults:
            self.boss.view.note(instance, f"{why}: taking the defaults, {', '.join(question.defaults)}", "warning")
            self._resume(instance, list(question.defaults), self._defaults(question), timed_out=True)
        else:
            self._fail(instance, f"{why}, without an answer: give one with --answer {instance.task.task_id}=...")

    def _fail(self, instance: LocalInstance, why: str) -> None:
        self._forget(instance)
        self.boss.resume(instance, {"error": why, "error_type": "timeout"})

    def _forget(self, instance: LocalInstance) -> None:
        if self.pending and self.pending[0][0] is instance:
            self.asked, self.chosen, self.filled = False, None, {}
        self.pending = [pair for pair in self.pending if pair[0] is not instance]

    def _listen(self) -> None:
        if not self.listening:
            self.boss.selector.register(0, 1, lambda events: self._receive())
            self.listening = True

    def _receive(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            if self.rest:
                data = b"\n"
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += [line.decode("utf-8", "replace") for line in lines]
        if self.ended:
            self.close()

    def close(self) -> None:
        if self.listening:
            self.boss.selector.unregister(0)
            self.listening = False
        self.boss.view.ask(None)


# --- what a person sees -----------------------------------------------------------------------------------------------

_STATE_COLOURS = {
    "success": "32", "failed": "31", "upstream_failed": "33", "skipped": "35", "removed": "2", "running": "36",
    "up_for_retry": "33", "up_for_reschedule": "36", "deferred": "36", "awaiting_input": "1;33", "scheduled": "2",
}  # fmt: skip
_STATE_SIGNS = {
    "success": "✔", "failed": "✘", "upstream_failed": "⊘", "skipped": "»", "removed": "-", "running": "▶",
    "up_for_retry": "↻", "up_for_reschedule": "◷", "deferred": "◷", "awaiting_input": "?", "scheduled": "·",
}  # fmt: skip
_PLAIN_SIGNS = {**dict.fromkeys(_STATE_SIGNS, "-"), "success": "+", "failed": "x", "running": ">"}
# Fields of a log record that say nothing here: what every line of a task carries, and what is shown otherwise.
_QUIET_FIELDS = frozenset(
    "event level logger timestamp exception ti_id dag_id task_id run_id try_number map_index filename lineno".split()
)
# What a live row is for when several instances stand behind it: the first of these states that one of them is in.
_ROW_STATES = (
    "awaiting_input", "running", "up_for_retry", "deferred", "up_for_reschedule", "scheduled", None,
    "failed", "upstream_failed", "success", "skipped", "removed",
)  # fmt: skip


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def _fitted(text: str, width: int) -> str:
    """Cut a text to a number of columns, without what moves the cursor."""
    text = "".join(each if each.isprintable() else " " for each in text)
    if _cells(text) <= width:
        return text
    while text and _cells(text) > width - 1:
        text = text[: -max(1, (_cells(text) - width) // 2)]
    return f"{text}…"


def _format_traceback(errors: Any) -> str:
    """Write an exception as it comes in a log record the way Python writes one, the lines of the source too."""
    import linecache

    parts = []
    # The record starts with what was raised last, Python with what came first.
    for number, error in enumerate(reversed(errors)):
        lines = ["Traceback (most recent call last):"] if error.get("frames") else []
        for frame in error.get("frames") or ():
            lines.append(f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}')
            source = linecache.getline(frame["filename"], frame["lineno"]).strip()
            if source:
                lines.append(f"    {source}")
        value = error.get("exc_value") or ""
        lines.append(f"{error.get('exc_type')}: {value}" if value else str(error.get("exc_type")))
        lines += error.get("exc_notes") or ()
        if number + 1 < len(errors):
            # The next one, which this one has led to, says whether it was raised from it.
            direct = error.get("is_cause")
            lines += ["", "The above exception was the direct cause of the following exception:" if direct else
                      "During handling of the above exception, another exception occurred:", ""]  # fmt: skip
        parts += lines
    return "\n".join(parts)


class LocalView:
    """Tells of a run line by line: what tasks log, behind their name, and the state each has reached."""

    seconds_between = 0.0  # redraw so often; 0 for never

    def __init__(self, stream: Any, colour: bool, unicode: bool) -> None:
        self.stream = stream
        self.colour = colour
        self.signs = _STATE_SIGNS if unicode else _PLAIN_SIGNS
        self.unicode = unicode
        self.runs: list[LocalRun] = []
        self.width = 0
        self.question: str | None = None

    def paint(self, text: str, code: str | None) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def write(self, text: str) -> None:
        self.stream.write(text if self.unicode else text.encode("ascii", "replace").decode())
        self.stream.flush()

    def started(self, run: LocalRun) -> None:
        self.runs.append(run)
        self.width = min(30, max([self.width, *(len(each.label) for each in run)], default=0))
        self.say(f"{run.dag.dag_id}: run {run.run_id}, {len(run.instances)} {_plural('task', len(run.instances))}")

    def changed(self, instance: LocalInstance) -> None:
        state = instance.state
        if state in _LOCAL_DONE or state in ("up_for_retry", "deferred", "awaiting_input"):
            took = f" in {_duration(instance.seconds)}" if instance.began is not None and state in _LOCAL_DONE else ""
            self.line(instance, self.paint(f"{str.__str__(state)}{took}", _STATE_COLOURS.get(str(state))))

    def line(self, instance: LocalInstance, text: str) -> None:
        self.say(f"{self.paint(instance.label.ljust(self.width), '1')} | {text}")

    def say(self, text: str) -> None:
        self.write(f"{text}\n")

    def note(self, instance: LocalInstance, text: str, level: str) -> None:
        """Say something about a task that is not from the task itself."""
        self.log(instance, {"event": text, "level": level, "logger": "run"})

    def log(self, instance: LocalInstance, record: dict[str, Any]) -> None:
        """Take a log record of a task; what its runner says of its own doings is left out unless it is a warning."""
        level = record.get("level", "info")
        if record.get("exception"):
            instance.error = record
        if record.get("logger") == "task" and level in ("debug", "info"):
            return
        text = str(record.get("event", ""))
        extra = [f"{key}={value}" for key, value in record.items() if key not in _QUIET_FIELDS and value is not None]
        if record.get("exception"):
            text += f": {_format_traceback(record['exception'][:1]).splitlines()[-1]}"
        text = redact(" ".join([text, *extra]))
        if level not in ("info", "debug"):
            text = self.paint(f"{level.upper()} {text}", "31" if level in ("error", "critical") else "33")
        for line in text.splitlines() or [""]:
            instance.lines.append(line)
            self.logged(instance, line)
        del instance.lines[:-10]

    def logged(self, instance: LocalInstance, line: str) -> None:
        self.line(instance, line)

    def ask(self, text: str | None) -> None:
        """Put a question; None when there is none any more."""
        self.question = text
        if text is not None:
            self.write(text)

    def refresh(self) -> None:
        """Show what has changed."""

    # --- the end

    def summarize(self, code: int, seconds: float) -> None:
        """Print the states of all tasks, then the tracebacks of those that failed, then how it went."""
        for run in self.runs:
            self._print_table(run)
        for run in self.runs:
            for instance in run:
                if instance.state == "failed" and not instance.stopped:
                    self._print_failure(instance)
        for run in self.runs:
            state = run.state or "interrupted"
            colour = _STATE_COLOURS.get(state, "33")
            reason = f": {run.reason}" if run.reason else ""
            self.say(f"{run.dag.dag_id}: {self.paint(state, f'1;{colour}')} in {_duration(seconds)}{reason}")

    def _print_table(self, run: LocalRun) -> None:
        rows: list[tuple[str, str, Any, str, str, str]] = []
        for task_id, found in run.instances.items():
            instances = list(found.values())
            mapped = list(found) != [-1]
            names = [each.state or "not run" for each in instances]
            state = ", ".join(f"{names.count(each)} {each}" for each in dict.fromkeys(names)) if mapped else names[0]
            tries = max(each.try_number for each in instances)
            seconds = sum(each.seconds for each in instances)
            states = {each.state for each in instances}
            colour = next(name for name in ("failed", "upstream_failed", *_ROW_STATES) if name in states)
            label = f"{task_id} [{len(instances)}]" if mapped else task_id
            rows.append(
                (label, state, colour, str(tries or ""), _duration(seconds) if tries else "",
                 self._result(instances))
            )  # fmt: skip
        self.say("")
        widths = [max([len(title), *(len(row[i]) for row in rows)]) for i, title in enumerate(("task", "state"))]
        head = f"{'task':{widths[0]}}  {'state':{widths[1]}}  tries      time  result"
        self.say(self.paint(head, "1"))
        columns = _terminal_width()
        room = max(20, columns - sum(widths) - 21) if columns else 60
        for label, state, colour, attempts, took, shown in rows:
            painted = self.paint(f"{state:{widths[1]}}", _STATE_COLOURS.get(str(colour)))
            self.say(f"{label:{widths[0]}}  {painted}  {attempts:>5}  {took:>8}  {_fitted(shown, room)}".rstrip())
        self.say("")

    @staticmethod
    def _result(instances: list[LocalInstance]) -> str:
        import json

        run, task_id = instances[0].run, instances[0].task.task_id
        found = run.store.xcoms.get((run.dag.dag_id, run.run_id, task_id, XCOM_RETURN_KEY), {})
        if not found:
            return ""
        values = [value for _, value in sorted(found.items())]
        return redact(json.dumps(values[0] if list(found) == [-1] else values, ensure_ascii=False, default=str))

    def _print_failure(self, instance: LocalInstance) -> None:
        tries = f"try {instance.try_number} of {instance.max_tries + 1}" if instance.try_number else "never started"
        self.say(self.paint(f"{instance.label} failed, {tries}", "1;31"))
        if instance.error is not None:
            self.say(redact(_format_traceback(instance.error["exception"])))
        self.say("")


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _terminal_width() -> int:
    """Columns of the terminal that standard output is; 0 where it is none."""
    try:
        return os.get_terminal_size(1).columns if os.isatty(1) else 0
    except OSError:
        return 0


class LiveView(LocalView):
    """Redraws a table of the tasks in place: sign, task, state, time and the last line each has logged."""

    seconds_between = 0.1

    def __init__(self, stream: Any, colour: bool, unicode: bool) -> None:
        super().__init__(stream, colour, unicode)
        self.drawn = 0  # lines that stand below the last lasting line
        self.began = time.monotonic()
        self.last: dict[tuple[int, str], str] = {}

    def changed(self, instance: LocalInstance) -> None:
        pass

    def logged(self, instance: LocalInstance, line: str) -> None:
        self.last[id(instance.run), instance.task.task_id] = line

    def say(self, text: str) -> None:
        self._erase()
        super().say(text)

    def ask(self, text: str | None) -> None:
        if text is not None:
            self.refresh()
            self.drawn = 0  # It stays above the question; what is typed must not be overwritten.
        super().ask(text)

    def summarize(self, code: int, seconds: float) -> None:
        self._erase()
        super().summarize(code, seconds)

    def _print_failure(self, instance: LocalInstance) -> None:
        super()._print_failure(instance)
        if instance.lines:
            self.say(self.paint(f"the last lines of {instance.label}", "1"))
            self.say("\n".join(f"  {line}" for line in instance.lines) + "\n")

    def _erase(self) -> None:
        if self.drawn:
            self.write(f"\x1b[{self.drawn}F\x1b[J")
            self.drawn = 0

    def refresh(self) -> None:
        if self.question is not None:
            return
        try:
            columns, height = os.get_terminal_size(1)
        except OSError:
            columns, height = 80, 24
        lines: list[str] = []
        for run in self.runs:
            lines += self._lines(run, columns, max(3, (height - 1) // len(self.runs) - 2))
        up = f"\x1b[{self.drawn}F" if self.drawn else ""
        self.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self.drawn = len(lines)

    def _lines(self, run: LocalRun, columns: int, room: int) -> list[str]:
        total = sum(len(found) for found in run.instances.values())
        done = sum(each.state in _LOCAL_DONE for each in run)
        ended = f", {run.state}" if run.state else ""
        head = f"{run.dag.dag_id}  {done} of {total} done{ended}  {_duration(time.monotonic() - run.began)}"
        rows = [self._row(run, task_id, list(found.values())) for task_id, found in run.instances.items()]
        shown = rows
        if len(rows) > room:
            # What moves is shown first, then what failed, then what waits; in the order of the Dag all the same.
            rank = {"success": 3, "skipped": 3, "removed": 3, None: 2, "failed": 1, "upstream_failed": 2}
            kept = set(sorted(range(len(rows)), key=lambda i: (rank.get(rows[i][1], 0), i))[: room - 1])
            shown = [row for i, row in enumerate(rows) if i in kept]
        width = min(max((len(row[0]) for row in rows), default=0), max(12, columns // 3))
        room_for_state = max([9, *(len(row[2]) for row in rows)])
        lines = [self.paint(_fitted(head, columns), "1")]
        for label, state, word, took, last in shown:
            colour = _STATE_COLOURS.get(str(state), "2")
            name = _fitted(label, width).ljust(width)
            sign = self.signs.get(str(state), " ")
            word = word.ljust(room_for_state)
            text = f"{self.paint(sign, colour)} {name}  {self.paint(word, colour)} {took:>9}  "
            lines.append(text + self.paint(_fitted(last, columns - _cells(name) - len(word) - 16), "2"))
        if len(shown) < len(rows):
            lines.append(self.paint(f"  and {len(rows) - len(shown)} more", "2"))
        return lines

    def _row(self, run: LocalRun, task_id: str, instances: list[LocalInstance]) -> tuple[str, Any, str, str, str]:
        states = {each.state for each in instances}
        state = next(each for each in _ROW_STATES if each in states)
        word = str.__str__(state or "")
        label = task_id
        if instances[0].map_index >= 0:
            done = sum(each.state in _LOCAL_DONE for each in instances)
            label = f"{task_id} [{len(instances)}]"
            word = word if done == len(instances) and len(states) == 1 else f"{word} {done}/{len(instances)}".strip()
        now = time.monotonic()
        seconds = sum(
            each.seconds + (now - (each.began or now) if each.state == "running" else 0.0) for each in instances
        )
        started = any(each.began is not None for each in instances)
        last = self.last.get((id(run), task_id), "")
        return label, state, word, _duration(seconds) if started else "", last


# --- the command line of it -------------------------------------------------------------------------------------------


class LocalResult:
    """How a run went: the exit code, the Dag, and the states, see `LocalRun.states`."""

    def __init__(self, code: int, dag: DAG, states: dict[str, Any]) -> None:
        self.code, self.dag, self.states = code, dag, states


def run_command(parsed: Arguments, files: DagFiles) -> LocalResult:
    """Do what `--run` and its flags say.

    :raises UsageError: for values that make no sense.
    :raises BundleError: when there is no such Dag or task, or a Dag file cannot be imported.
    """
    global supervisor
    flags = parsed.flags
    conf = _json_value("--conf", flags.get("--conf", "{}"))
    if not isinstance(conf, dict):
        raise UsageError(f"--conf wants a JSON object, got {flags['--conf']}")
    jobs = _whole_number("--jobs", flags.get("--jobs", str(len(os.sched_getaffinity(0)))), 1)
    map_index = _whole_number("--map-index", flags["--map-index"], 0) if "--map-index" in flags else None
    logical_date = _logical_date(flags.get("--logical-date"))
    for flag in ("--xcom", "--map-index"):
        if flag in flags and "--task" not in flags:
            raise UsageError(f"{flag} goes with --task")
    pattern = flags.get("--mark-success-pattern")
    if pattern is not None:
        import re

        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--mark-success-pattern {pattern!r} is no regular expression: {error}") from None
    dags: dict[str, DAG] = {}
    store = LocalStore(dags)
    _take_variables(store, flags)
    _take_connections(store, flags)
    # Code at the top of a Dag file may ask for a variable or connection.
    supervisor = LocalClient(store)  # type: ignore[assignment]
    needs_section("--parse")
    bag = _load_all(files)
    dags.update(bag.dags)
    if flags["--run"] not in dags and bag.import_errors:
        raise DagFileError("\n".join(bag.import_errors.values()))
    dag = chosen_dag(bag, "--run", flags["--run"])
    store.know_assets()
    replies = _pairs(flags, "--answer", "TASK=OPTION")
    for task_id in replies:
        _find_task(dag, "--answer", task_id.partition("[")[0])
    only = flags.get("--task")
    if only is not None:
        _find_task(dag, "--task", only)
    _check_conf(dag, conf)
    run_id = flags.get("--run-id") or f"manual__{utcnow().isoformat()}"
    for place, value in _pairs(flags, "--xcom", "TASK.KEY=JSON").items():
        _take_xcom(store, dag, run_id, place, _json_value("--xcom", value))
    first = LocalRun(store, dag, run_id=run_id, logical_date=logical_date, conf=conf, only=only, map_index=map_index)
    if only is not None:
        _check_mapping(first, dag.get_task(only), map_index)
    view = _make_view("--json" in flags)
    log_channel.connect(lambda line: _show_own_log(view, line))
    capture_logging()
    boss = LocalSupervisor(
        store,
        view,
        command=_own_command(files),
        jobs=jobs,
        real_delays="--real-delays" in flags,
        mark_success=pattern,
        replies=replies,
    )
    began = time.monotonic()
    code = boss.run(first)
    view.summarize(code, time.monotonic() - began)
    if store.events:
        names = dict.fromkeys(event.asset.name for event, _ in store.events)
        view.say(f"assets updated: {', '.join(names)}")
    for flag, form, missing in (("--var", "KEY=VALUE", "VARIABLE"), ("--conn", "ID=URI", "CONNECTION")):
        if code and store.missing.get(missing):
            wanted = ", ".join(dict.fromkeys(store.missing[missing]))
            view.say(f"not given: {missing.lower()} {wanted}; give it with {flag} {form}")
    if "--json" in flags:
        import json

        print(json.dumps(_report(first), indent=2, default=str))
    return LocalResult(code, dag, first.states())


def _report(run: LocalRun) -> dict[str, Any]:
    """Return what is known of a run, for a program."""
    tasks = [
        {
            "task_id": each.task.task_id,
            "map_index": each.map_index,
            "state": each.state,
            "try_number": each.try_number,
            "rendered_map_index": each.map_label,
            "duration": round(each.seconds, 3),
        }
        for each in run
    ]
    xcoms = [
        {"task_id": task_id, "map_index": index, "key": key, "value": value}
        for (dag_id, run_id, task_id, key), rows in run.store.xcoms.items()
        if (dag_id, run_id) == (run.dag.dag_id, run.run_id)
        for index, value in rows.items()
    ]
    return {
        "dag_id": run.dag.dag_id,
        "run_id": run.run_id,
        "state": run.state,
        "reason": run.reason,
        "states": run.states(),
        "tasks": tasks,
        "xcoms": xcoms,
        "asset_events": [event.to_body() for event, _ in run.store.events],
    }


def _make_view(as_json: bool) -> LocalView:
    stream = sys.stderr if as_json else sys.stdout
    unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    live = not as_json and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
    colour = live and not os.environ.get("NO_COLOR")
    return LiveView(stream, colour, unicode) if live else LocalView(stream, colour, unicode)


def _show_own_log(view: LocalView, line: bytes) -> None:
    """Show what a trigger, or a callback of the Dag, has logged in this process."""
    import json

    record = json.loads(line)
    if record["level"] in ("debug", "info"):
        return
    text = f"{record['level'].upper()} {record['event']}"
    if record.get("exception"):
        text += "\n" + _format_traceback(record["exception"])
    view.say(redact(text))


def _own_command(files: DagFiles) -> list[str]:
    if hasattr(sys, "_MEIPASS"):
        return [sys.executable]
    return [sys.executable, os.path.abspath(__file__), *(file.path for file in files.files)]


def _whole_number(flag: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise UsageError(f"{flag} wants a whole number, {least} or more, got {text!r}")
    return int(text)


def _json_value(flag: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {text!r} is no JSON: {error}; strings need quotes, as in '\"text\"'") from None


def _logical_date(text: str | None) -> datetime:
    if text is None:
        return utcnow()
    try:
        return parse_datetime(text)
    except ValueError as error:
        raise UsageError(f"--logical-date wants a date, 2026-01-31 or 2026-01-31T06:00:00+00:00: {error}") from None


def _pairs(flags: Mapping[str, Any], flag: str, form: str) -> dict[str, str]:
    found = {}
    for text in flags.get(flag, ()):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} wants {form}, got {text!r}")
        found[name] = value
    return found


def _find_task(dag: DAG, flag: str, task_id: str) -> Any:
    if task_id not in dag.task_dict:
        raise UsageError(
            f"{flag}: Dag {dag.dag_id!r} has no task {task_id!r}{_nearest(task_id, dag.task_dict)}; "
            f"it has: {', '.join(dag.task_dict)}"
        )
    return dag.task_dict[task_id]


def _check_conf(dag: DAG, conf: dict[str, Any]) -> None:
    """Refuse a configuration that does not fit the params before anything starts."""
    params = dag.params.copy_from("dag")
    try:
        params.update(conf)
        params.validate()
    except ParamValidationError as error:
        names = ", ".join(dag.params)
        raise UsageError(f"{error}; the Dag's params are {names}: give them as --conf '{{\"NAME\": VALUE}}'") from None


def _take_xcom(store: LocalStore, dag: DAG, run_id: str, place: str, value: Any) -> None:
    """Keep a result that a task did not have to run for; of a mapped task, a list of the results of its instances."""
    task_id, key = place, XCOM_RETURN_KEY
    if task_id not in dag.task_dict and "." in place:
        task_id, _, key = place.rpartition(".")
    task = _find_task(dag, "--xcom", task_id)
    where = (dag.dag_id, run_id, task_id, key)
    if task.get_needs_expansion():
        if not isinstance(value, list):
            raise UsageError(f"--xcom {place}: {task_id!r} is mapped, so its results are a JSON list")
        for index, each in enumerate(value):
            store.set_xcom(where, each, index, None)
        return
    length = len(value) if isinstance(value, (list, dict)) and key == XCOM_RETURN_KEY else None
    store.set_xcom(where, value, -1, length)


def _check_mapping(run: LocalRun, task: Any, map_index: int | None) -> None:
    if not task.get_needs_expansion():
        if map_index is not None:
            raise UsageError(f"--map-index: {task.task_id!r} is not mapped")
        return
    count = run.expanded_count(task)
    if count is None:
        sources = [*task.iter_mapped_dependencies()] if task.is_mapped else []
        sources += [each for group in task.iter_mapped_task_groups() for each in group.iter_mapped_dependencies()]
        wanted = " ".join(f"--xcom {name}='[...]'" for name in sorted({each.task_id for each in sources}))
        raise UsageError(f"{task.task_id!r} is mapped over results that are not there; give them: {wanted}")
    if map_index is not None and map_index >= count:
        raise UsageError(f"--map-index {map_index}: {task.task_id!r} has {count} instances, numbered from 0")


def _take_variables(store: LocalStore, flags: Mapping[str, Any]) -> None:
    import json

    given = _read_secrets("--vars", flags["--vars"]) if "--vars" in flags else {}
    given.update(_pairs(flags, "--var", "KEY=VALUE"))
    for key, value in given.items():
        store.variables[key] = value if isinstance(value, str) else json.dumps(value)
        # What is given here goes before the environment, which a task asks first.
        os.environ.pop(f"AIRFLOW_VAR_{key.upper()}", None)


def _take_connections(store: LocalStore, flags: Mapping[str, Any]) -> None:
    import json

    given = _read_secrets("--conns", flags["--conns"]) if "--conns" in flags else {}
    given.update(_pairs(flags, "--conn", "ID=URI"))
    for conn_id, value in given.items():
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        text = value.strip() if isinstance(value, str) else json.dumps(value)
        try:
            made = Connection.from_json(text, conn_id) if text.startswith("{") else Connection.from_uri(text, conn_id)
        except (ValueError, TypeError, AttributeError, AirflowException) as error:
            raise UsageError(
                f"connection {conn_id!r} is neither a URI (type://login:password@host:port/schema) nor a JSON object "
                f"of such fields: {redact(str(error))}"
            ) from None
        store.connections[conn_id] = made
        os.environ.pop(f"AIRFLOW_CONN_{conn_id.upper()}", None)


def _read_secrets(flag: str, path: str) -> dict[str, Any]:
    """Read variables or connections as Airflow's local files have them: .json, .yaml or .env (airflow.secrets)."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror or error}") from None
    kind = os.path.splitext(path)[1].lower() or os.path.basename(path)
    found: Any = {}
    if kind == ".env":
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, equals, value = line.partition("=")
            if not equals or not key.strip():
                raise UsageError(f"{flag} {path}:{number}: expected KEY=VALUE")
            found[key.strip()] = value.strip()
    elif kind in (".yaml", ".yml"):
        try:
            yaml = __import__("yaml")
        except ImportError:
            raise UsageError(f"{flag} {path}: PyYAML is not at hand to read it; use .json or .env") from None
        found = yaml.safe_load(text)
    elif kind == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{flag} {path} is no JSON: {error}") from None
    else:
        raise UsageError(f"{flag} {path}: its name must end in .json, .yaml or .env")
    if not isinstance(found, dict):
        raise UsageError(f"{flag} {path}: expected an object of names and values")
    return found


########################################################################################################################
# Graph: a Dag as a drawing, in a terminal or as SVG, Mermaid, dot and JSON
########################################################################################################################
#
# Theory of operation. A `Chart` holds what every form shows. `Arrangement` gives each node a place in the manner of
# Sugiyama: ranks (columns), long edges cut into lanes of one cell a rank, an order within the ranks that crosses few
# edges, then coordinates. Tasks, lanes and groups that share a parent have one order for all ranks, so a group is a
# band that nothing foreign enters, and its frame can be a rectangle. Ranks and coordinates are both found by `settle`.
# Edges turn only between ranks, where no box is.

GRAPH_FORMATS = ("text", "mermaid", "dot", "svg", "json")
# State -> sign, sign where only ASCII can be shown, SGR colour of a terminal, fill and line in a picture.
_STATE_LOOKS: dict[str, tuple[str, str, str, str, str]] = {
    "success": ("✓", "ok", "32", "#d3f1d8", "#2f8f46"),
    "running": ("▸", ">", "36", "#d9f5e9", "#18a078"),
    "failed": ("✗", "X", "31", "#fbd9d7", "#cf3a33"),
    "upstream_failed": ("⊘", "!", "33", "#fce6cd", "#c9761a"),
    "skipped": ("»", "-", "35", "#f7dcee", "#b8508f"),
    "up_for_retry": ("↻", "r", "33", "#fdf3c8", "#a98a10"),
    "up_for_reschedule": ("↻", "r", "36", "#d2f3f2", "#2b9c99"),
    "deferred": ("…", "~", "35", "#e9e0f8", "#7f5cc0"),
    "awaiting_input": ("?", "?", "35", "#e9e0f8", "#7f5cc0"),
    "removed": ("×", "x", "90", "#e4e6e9", "#737b85"),
}
_PLAIN_LOOK = ("·", ".", "0", "#eef2f7", "#66758a")
# Mark of a task -> sign, ASCII sign, what it means.
_CHART_MARKS = {
    "branch": ("◇", "<>", "branch"),
    "mapped": ("≡", "[]", "mapped"),
    "setup": ("↥", "^", "setup"),
    "teardown": ("↧", "_", "teardown"),
}
# Columns of a drawing when the width of the terminal is not known.
_GRAPH_WIDTH = 100
# Beyond this many nodes a picture in characters is no help, and the list is.
_MOST_DRAWN = 160


def graph_command(dag: DAG, form: str | None, states: Mapping[str, Any] | None = None) -> int:
    """Print the drawing of a Dag; return the exit code.

    :param form: one of `GRAPH_FORMATS`, text when None
    :param states: task id to state, or for a mapped task to a mapping of its map indexes to states
    :raises UsageError: there is no such form
    """
    if form not in (None, *GRAPH_FORMATS):
        raise UsageError(
            f"--format {form}: there is no such form{_nearest(form, GRAPH_FORMATS)}; take one of "
            f"{', '.join(GRAPH_FORMATS)}"
        )
    if form in (None, "text"):
        import shutil

        colour, plain = terminal_looks()
        print(draw_dag(dag, states, shutil.get_terminal_size((_GRAPH_WIDTH, 24)).columns, colour, plain))
        return 0
    write = {"svg": graph_svg, "mermaid": graph_mermaid, "dot": graph_dot, "json": graph_json}[str(form)]
    print(write(Chart(dag, states)), end="")
    return 0


def read_states(path: str) -> dict[str, Any]:
    """Read the states of tasks from a JSON file, `-` for standard input: `{task_id: state}` or `{"states": {...}}`.

    :raises BundleError: it cannot be read or is something else
    """
    import json

    try:
        with open(0 if path == "-" else path, encoding="utf-8", closefd=path != "-") as file:
            found = json.load(file)
    except OSError as error:
        raise BundleError(f"--states {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BundleError(f"--states {path}: not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("states"), dict):
        found = found["states"]
    if not isinstance(found, dict) or not all(isinstance(each, (str, dict, type(None))) for each in found.values()):
        raise BundleError(f'--states {path}: wants an object of task ids and states, as {{"extract": "success"}}')
    return found


class ChartNode:
    """A task, or a `joint` where edges meet: `id`, `label`, `group` (id or None), `marks`, `state`, `task`."""

    def __init__(self, id_: str, label: str, group: str | None, task: Any = None) -> None:
        self.id, self.label, self.group, self.task = id_, label, group, task
        self.marks: tuple[str, ...] = ()
        self.state: str | None = None
        self.counts: dict[str, int] = {}


class Chart:
    """What a drawing shows of a Dag.

    Fields: `nodes` by id in an order in which they can run, `groups` (id to label, parent's id, whether mapped),
    `edges` (from, to, label). Where several tasks all lead to the same several others, and where a label stands for
    several edges, the edges go through a joint, as they do between groups in Airflow's UI.

    :param states: task id to state, or for a mapped task to a mapping of its map indexes to states
    """

    def __init__(self, dag: DAG, states: Mapping[str, Any] | None = None) -> None:
        self.dag = dag
        self.states = states
        self.nodes: dict[str, ChartNode] = {}
        self.groups: dict[str, tuple[str, str | None, bool]] = {}
        self.edges: list[tuple[str, str, str]] = []
        self._take_in(dag.task_group, None)
        self._connect()

    def _take_in(self, group: TaskGroup, parent: str | None) -> None:
        try:
            children = group.topological_sort()
        except AirflowDagCycleException:
            # Groups may wait for each other where their tasks do not.
            children = list(group.children.values())
        for child in children:
            if isinstance(child, TaskGroup):
                self.groups[child.node_id] = (str(child.label), parent, isinstance(child, MappedTaskGroup))
                self._take_in(child, child.node_id)
                continue
            own = child.task_id if child.task_display_name == child.task_id else child.task_display_name
            if parent is not None and own.startswith(f"{parent}."):
                own = own[len(parent) + 1 :]
            node = self.nodes[child.task_id] = ChartNode(child.task_id, own, parent, child)
            node.marks = task_marks(child)
            state = (self.states or {}).get(child.task_id)
            if isinstance(state, dict):
                for each in state.values():
                    node.counts[str(each)] = node.counts.get(str(each), 0) + 1
                worst = [each for each in ("failed", "upstream_failed", *_STATE_LOOKS) if each in node.counts]
                state = worst[0] if worst else None
            node.state = None if state is None else str(getattr(state, "value", state))

    def _connect(self) -> None:
        labels = self._labels()
        targets: dict[tuple[str, str], list[str]] = {}
        for id_, node in self.nodes.items():
            for down in sorted(node.task.downstream_task_ids):
                targets.setdefault((id_, labels.get((id_, down), "")), []).append(down)
        alike: dict[tuple[frozenset[str], str], list[str]] = {}
        for (id_, label), downs in targets.items():
            alike.setdefault((frozenset(downs), label), []).append(id_)
        for (downs_set, label), ups in alike.items():
            downs = [each for each in self.nodes if each in downs_set]
            if min(len(ups), len(downs)) < 2 and (not label or max(len(ups), len(downs)) < 2):
                self.edges += [(up, down, label) for up in ups for down in downs]
                continue
            joint = ChartNode(f"\0{len(self.nodes)}", label, self.home([*ups, *downs]))
            self.nodes[joint.id] = joint
            self.edges += [(up, joint.id, "") for up in ups] + [(joint.id, down, "") for down in downs]

    def _labels(self) -> dict[tuple[str, str], str]:
        """Return the label of each edge between tasks; that of one between groups is all their edges'."""
        ends: dict[str, tuple[list[str], list[str]]] = {id_: ([id_], [id_]) for id_ in self.nodes}
        for group in self.dag.task_group_dict.values():
            ends[group.upstream_join_id] = ([], [each.task_id for each in group.get_roots()])
            ends[group.downstream_join_id] = ([each.task_id for each in group.get_leaves()], [])
        found = {}
        for up, downs in self.dag.edge_info.items():
            for down, info in downs.items():
                for one in ends.get(up, ((), ()))[0]:
                    for other in ends.get(down, ((), ()))[1]:
                        found[one, other] = str(info.get("label") or "")
        return found

    def path(self, group: str | None) -> list[str]:
        """Return a group and those around it, outermost first."""
        found: list[str] = []
        while group is not None:
            found.insert(0, group)
            group = self.groups[group][1]
        return found

    def home(self, ids: Sequence[str]) -> str | None:
        """Return the innermost group that holds all these nodes."""
        paths = [self.path(self.nodes[each].group) for each in ids]
        common = None
        for level in zip(*paths):
            if len(set(level)) > 1:
                break
            common = level[0]
        return common

    def group_title(self, group: str, sign: str) -> str:
        label, _, mapped = self.groups[group]
        return f"{label} {sign}" if mapped else label


def task_marks(task: Any) -> tuple[str, ...]:
    """Return what a drawing says of a task besides its name: keys of `_CHART_MARKS`."""
    kind = task.operator_class if task.is_mapped else type(task)
    skips = isinstance(kind, type) and issubclass(kind, SkipMixin) and (
        issubclass(kind, (BranchMixIn, ShortCircuitOperator)) or getattr(kind, "inherits_from_skipmixin", False)
    )  # fmt: skip
    mapped = task.is_mapped or any(True for _ in task.iter_mapped_task_groups())
    found = (("branch", skips), ("mapped", mapped), ("setup", task.is_setup), ("teardown", task.is_teardown))
    return tuple(name for name, holds in found if holds)


# --- where everything goes --------------------------------------------------------------------------------------------


def settle(
    pulls: Sequence[tuple[int, int, int]], gaps: Sequence[tuple[int, int, int]], start: Sequence[int], effort: int
) -> list[int]:
    """Return whole numbers for which the sum of `weight * |at[a] - at[b]|` over the pulls is as small as can be.

    :param gaps: (a, b, distance): b stays at least that far after a
    :param start: numbers that keep the gaps
    :param effort: about how many steps over pulls and gaps may be taken; what is found by then is returned

    The sum is L-natural-convex (K. Murota, Discrete Convex Analysis): it is least where no set of numbers can be moved
    by one to make it smaller, and the best set to move is a minimum cut. Long steps come first.
    """
    at = list(start)
    step = 1
    while 2 * step <= max(at, default=0) - min(at, default=0):
        step *= 2
    while step:
        better = True
        while better and effort > 0:
            better = False
            for shift in (step, -step):
                moved, spent = _best_to_move(pulls, gaps, at, shift)
                effort -= spent
                for each in moved:
                    at[each] += shift
                better = better or bool(moved)
        step //= 2
    lowest = min(at, default=0)
    return [each - lowest for each in at]


def _best_to_move(
    pulls: Sequence[tuple[int, int, int]], gaps: Sequence[tuple[int, int, int]], at: list[int], shift: int
) -> tuple[list[int], int]:
    """Return which numbers to move by *shift*, none when no move helps, and how many steps it took to know."""
    count = len(at)
    gain = [0] * count
    arcs: list[list[int]] = [[] for _ in range(count + 2)]
    ends: list[int] = []
    room: list[int] = []

    def connect(a: int, b: int, capacity: int) -> None:
        arcs[a].append(len(ends))
        arcs[b].append(len(ends) + 1)
        ends.extend((b, a))
        room.extend((capacity, 0))

    for a, b, weight in pulls:
        apart = at[a] - at[b]
        alone = weight * (abs(apart + shift) - abs(apart))
        gain[a] += alone
        gain[b] -= alone
        both = alone + weight * (abs(apart - shift) - abs(apart))
        if both:
            connect(b, a, both)
    for a, b, distance in gaps:
        slack = at[b] - at[a] - distance
        if slack < abs(shift):
            connect(*((a, b) if shift > 0 else (b, a)), 1 << 60)
    source, sink = count, count + 1
    wanted = 0
    for each in range(count):
        if gain[each] < 0:
            connect(source, each, -gain[each])
            wanted -= gain[each]
        elif gain[each] > 0:
            connect(each, sink, gain[each])
    spent = len(ends)
    if not wanted:
        return [], spent
    while True:
        level = [-1] * (count + 2)
        level[source] = 0
        queue = [source]
        for node in queue:
            for arc in arcs[node]:
                if room[arc] and level[ends[arc]] < 0:
                    level[ends[arc]] = level[node] + 1
                    queue.append(ends[arc])
        spent += len(ends)
        if level[sink] < 0:
            break
        tried = [0] * (count + 2)
        path: list[int] = []
        node = source
        while True:
            if node == sink:
                least = min(room[arc] for arc in path)
                wanted -= least
                for arc in path:
                    room[arc] -= least
                    room[arc ^ 1] += least
                path, node = [], source
            elif tried[node] < len(arcs[node]):
                arc = arcs[node][tried[node]]
                if room[arc] and level[ends[arc]] == level[node] + 1:
                    path.append(arc)
                    node = ends[arc]
                else:
                    tried[node] += 1
            elif path:
                node = ends[path.pop() ^ 1]
                tried[node] += 1
            else:
                break
        spent += len(ends)
    # What is wanted and could not be carried off is what the move gains.
    return ([each for each in range(count) if level[each] >= 0] if wanted > 0 else []), spent


class Cell:
    """A place in one rank: a node, or a stretch of a lane. `parent` is the id of the group it lies in."""

    def __init__(self, key: Any, rank: int, parent: str | None, node: ChartNode | None = None) -> None:
        self.key, self.rank, self.parent, self.node = key, rank, parent, node
        self.breadth = self.length = self.at = 0
        self.before: list[Cell] = []
        self.after: list[Cell] = []


class Measures:
    """How large things are, in characters or pixels; `length` is along the ranks, `breadth` across them.

    Fields: `node` (a function of a ChartNode to (length, breadth)), `title` (of a group's title to what its frame must
    hold: (length, breadth)), `apart` (between boxes), `lane` (breadth of a lane), `lane_apart`, and the paddings of a
    frame: `pad_before` and `pad_after` across the ranks, `pad_in` and `pad_out` along them.
    """

    def __init__(self, node: Callable[[ChartNode], tuple[int, int]], title: Callable[[str], tuple[int, int]], **sizes: int):  # noqa: E501
        self.node, self.title = node, title
        self.apart, self.lane, self.lane_apart = sizes["apart"], sizes["lane"], sizes["lane_apart"]
        self.pad_before, self.pad_after = sizes["pad_before"], sizes["pad_after"]
        self.pad_in, self.pad_out = sizes["pad_in"], sizes["pad_out"]


class Arrangement:
    """Places for everything in a chart.

    Fields: `ranks` (lists of cells in their order; `Cell.at` is the middle across the ranks), `frames` (group to
    (first rank, last rank, start, end across)), `edges` (chains of cells, with the label), `breadth` (of it all).
    """

    def __init__(self, chart: Chart, measures: Measures, sign: str) -> None:
        self.chart, self.measures, self.sign = chart, measures, sign
        self.children: dict[str | None, list[Any]] = {None: [], **{group: [] for group in chart.groups}}
        self.cells: dict[Any, list[Cell]] = {}
        self.borders: dict[str, tuple[list[Cell], list[Cell]]] = {}
        self.edges: list[list[Cell]] = []
        self.frames: dict[str, tuple[int, int, int, int]] = {}
        self._rank()
        self._order()
        self._place()

    def _rank(self) -> None:
        """Give each node a rank, and each edge that is longer than one rank, or has a label, what lies in between."""
        chart = self.chart
        ids = list(chart.nodes)
        index = {id_: number for number, id_ in enumerate(ids)}
        length = {True: 2, False: 1}
        gaps = [(index[up], index[down], length[bool(label)]) for up, down, label in chart.edges]
        pulls = [(up, down, 1) for up, down, _ in gaps]
        members: dict[str, list[int]] = {}
        for id_ in ids:
            for group in chart.path(chart.nodes[id_].group):
                members.setdefault(group, []).append(index[id_])
        ranks = settle(pulls, gaps, _pressed(len(ids), gaps), 200_000)
        for id_, rank in zip(ids, ranks):
            cell = Cell(id_, rank, chart.nodes[id_].group, chart.nodes[id_])
            self.cells[id_] = [cell]
        for group, (_, parent, _) in chart.groups.items():
            if group in members:
                self.children[parent].append(group)
        for id_ in ids:
            self.children[chart.nodes[id_].group].append(id_)
        for number, (up, down, label) in enumerate(chart.edges):
            home = chart.home([up, down])
            if not label:
                self._connect(up, down, ("lane", up, home), home)
                continue
            node = ChartNode(f"\1{number}", label, home)
            middle = (ranks[index[up]] + ranks[index[down]]) // 2
            self.cells[node.id] = [Cell(node.id, middle, home, node)]
            self.children[home].append(node.id)
            self._connect(up, node.id, ("lane", up, home, label), home)
            self._connect(node.id, down, ("lane", node.id, home), home)
        for cells in self.cells.values():
            for cell in cells:
                cell.length, cell.breadth = self.measures.node(cell.node) if cell.node else (0, self.measures.lane)
        for siblings in self.children.values():
            siblings.sort(key=lambda key: self.cells[key][0].rank if key in self.cells else -1)

    def _connect(self, up: str, down: str, lane: Any, parent: str | None) -> None:
        """Lead an edge from rank to rank. Edges from one node to several share their lane as far as it goes."""
        chain = [self.cells[up][0]]
        last = self.cells[down][0]
        for rank in range(chain[0].rank + 1, last.rank):
            cells = self.cells.get(lane)
            if cells is None:
                cells = self.cells[lane] = []
                self.children[parent].append(lane)
            if len(cells) <= rank - chain[0].rank - 1:
                cells.append(Cell(lane, rank, parent))
            chain.append(cells[rank - chain[0].rank - 1])
        chain.append(last)
        for one, other in zip(chain, chain[1:]):
            if other not in one.after:
                one.after.append(other)
                other.before.append(one)
        self.edges.append(chain)

    # Ordering

    def _read(self) -> list[list[Cell]]:
        """Return the cells of each rank in the order that `children` says."""
        found: dict[int, list[Cell]] = {}
        queue = list(reversed(self.children[None]))
        while queue:
            key = queue.pop()
            if isinstance(key, list) or key in self.cells:
                for cell in key if isinstance(key, list) else self.cells[key]:
                    found.setdefault(cell.rank, []).append(cell)
            else:
                first, last = self.borders.get(key, ([], []))
                queue += [last, *reversed(self.children[key]), first]
        ranks = [found.get(rank, []) for rank in range(max(found, default=-1) + 1)]
        for cells in ranks:
            for number, cell in enumerate(cells):
                cell.at = number
        return ranks

    @staticmethod
    def _crossings(ranks: list[list[Cell]]) -> int:
        import bisect

        total = 0
        for cells in ranks:
            seen: list[int] = []
            for cell in cells:
                ends = sorted(other.at for other in cell.after)
                for end in ends:
                    total += len(seen) - bisect.bisect_right(seen, end)
                for end in ends:
                    bisect.insort(seen, end)
        return total

    def _within(self, key: Any) -> list[Cell]:
        if key in self.cells:
            return self.cells[key]
        return [cell for child in self.children[key] for cell in self._within(child)]

    def _draw_borders(self) -> None:
        """Give each group a line on either side that an edge through the group would have to cross."""
        for group in self.chart.groups:
            reach = [cell.rank for cell in self._within(group)]
            if len(set(reach)) > 1:
                sides = [[Cell(None, rank, group) for rank in range(min(reach), max(reach) + 1)] for _ in range(2)]
                for side in sides:
                    for one, other in zip(side, side[1:]):
                        one.after += [other, other]
                self.borders[group] = sides[0], sides[1]

    def _order(self) -> None:
        self._draw_borders()
        within = {key: self._within(key) for keys in self.children.values() for key in keys}
        size = sum(map(len, self.cells.values()))
        ranks = self._read()
        best, kept = self._crossings(ranks), {group: list(keys) for group, keys in self.children.items()}
        for sweep in range(24 if size < 600 else 8):
            if not best:
                break
            for cells in ranks:
                for cell in cells:
                    cell.at = (2 * cell.at + 1) * 1000 // (2 * len(cells))
            sides = ("before", "after") if sweep % 3 == 2 else (("before",) if sweep % 2 else ("after",))
            for keys in self.children.values():
                middle = {}
                for key in keys:
                    own = set(map(id, within[key]))
                    others = [
                        other.at for cell in within[key] for side in sides for other in getattr(cell, side)
                        if id(other) not in own
                    ]  # fmt: skip
                    mine = [cell.at for cell in within[key]]
                    middle[key] = sum(others) / len(others) if others else sum(mine) / max(1, len(mine))
                keys.sort(key=middle.__getitem__)
            ranks = self._read()
            now = self._crossings(ranks)
            if now < best:
                best, kept = now, {group: list(keys) for group, keys in self.children.items()}
        self.children = kept
        self._exchange(within, best, 400_000 // (size + 1))
        self.borders.clear()
        self.ranks = self._read()

    def _exchange(self, within: dict[Any, list[Cell]], best: int, tries: int) -> None:
        """Move each thing past its neighbours, one after the other, as long as that crosses fewer edges."""
        reach = {key: {cell.rank for cell in cells} for key, cells in within.items()}
        improved = True
        while improved and best and tries > 0:
            improved = False
            for keys in self.children.values():
                for key in list(keys):
                    for way in (1, -1):
                        start = keys.index(key)
                        end, where = start + way, start
                        while 0 <= end < len(keys) and tries > 0:
                            if reach[keys[end]] & reach[key]:
                                keys.insert(end, keys.pop(where))
                                now = self._crossings(self._read())
                                tries -= 1
                                where = end
                                if now < best:
                                    best, start, improved = now, where, True
                                elif now > best + 2:
                                    break
                            end += way
                        keys.insert(start, keys.pop(where))
        return

    # Coordinates

    def _place(self) -> None:
        measures, chart = self.measures, self.chart
        leaves = [cell for cells in self.ranks for cell in cells]
        number = {id(cell): index for index, cell in enumerate(leaves)}
        span: dict[str, tuple[int, int]] = {}
        for box in reversed(list(chart.groups)):
            inside = [cell.rank for cell in self._within(box)]
            if inside:
                span[box] = min(inside), max(inside)
        top = {group: len(leaves) + 2 * index for index, group in enumerate(span)}
        gaps: dict[tuple[int, int], int] = {}

        def edge_of(key: Any, rank: int, end: bool) -> tuple[int, int, bool]:
            """Return the number that says where a child ends or begins in a rank, how far from that, and if a lane."""
            if key in top:
                return top[key] + end, 0, False
            cell = next(each for each in self.cells[key] if each.rank == rank)
            half = cell.breadth // 2
            return number[id(cell)], cell.breadth - half if end else half, cell.node is None

        def keep(first: int, second: int, distance: int) -> None:
            gaps[first, second] = max(distance, gaps.get((first, second), -1))

        for group, keys in self.children.items():
            if group is not None and group not in span:
                continue
            last: dict[int, Any] = {}
            for key in keys:
                if key in self.cells:
                    reach: Iterable[int] = [cell.rank for cell in self.cells[key]]
                elif key in span:
                    reach = range(span[key][0], span[key][1] + 1)
                else:
                    continue
                for rank in reach:
                    begin, half, thin = edge_of(key, rank, False)
                    if group is not None:
                        keep(top[group], begin, measures.pad_before + half)
                    if rank in last:
                        end, rest, thin_too = edge_of(last[rank], rank, True)
                        keep(end, begin, half + rest + (measures.lane_apart if thin or thin_too else measures.apart))
                    last[rank] = key
                    if group is not None:
                        end, rest, _ = edge_of(key, rank, True)
                        keep(end, top[group] + 1, rest + measures.pad_after)
        for box in span:
            keep(top[box], top[box] + 1, measures.title(chart.group_title(box, self.sign))[1])
        rules = [(first, second, distance) for (first, second), distance in gaps.items()]
        pulls = []
        for cell in leaves:
            for other in cell.after:
                # A long edge shall be straight rather than a short one, a chain of tasks rather than a fan.
                weight = 2 if cell.node and other.node else 4 if cell.node or other.node else 16
                weight += (cell.parent == other.parent) + (len(cell.after) == len(other.before) == 1)
                pulls.append((number[id(cell)], number[id(other)], weight))
        pulls += [(top[box], top[box] + 1, 1) for box in span]
        count = len(leaves) + 2 * len(span)
        at = settle(pulls, rules, _pressed(count, rules), 6_000_000)
        at = self._centred(pulls, rules, at) if measures.lane > 1 else at
        for index, cell in enumerate(leaves):
            cell.at = at[index]
        for box, (begins, ends_at) in span.items():
            self.frames[box] = begins, ends_at, at[top[box]], at[top[box] + 1]
        starts = [cell.at - cell.breadth // 2 for cell in leaves] + [frame[2] for frame in self.frames.values()]
        lowest = min(starts, default=0)
        for cell in leaves:
            cell.at -= lowest
        self.frames = {
            group: (first, end, start - lowest, stop - lowest)
            for group, (first, end, start, stop) in self.frames.items()
        }
        ends = [cell.at + cell.breadth - cell.breadth // 2 for cell in leaves]
        self.breadth = max([*ends, *(frame[3] for frame in self.frames.values())], default=0)

    def _centred(
        self, pulls: Sequence[tuple[int, int, int]], gaps: Sequence[tuple[int, int, int]], at: list[int]
    ) -> list[int]:
        """Where several places are as good as another, take the middle of them."""
        near: list[list[tuple[int, int]]] = [[] for _ in at]
        for a, b, weight in pulls:
            near[a].append((b, weight))
            near[b].append((a, weight))
        low: list[list[tuple[int, int]]] = [[] for _ in at]
        high: list[list[tuple[int, int]]] = [[] for _ in at]
        for a, b, distance in gaps:
            low[b].append((a, distance))
            high[a].append((b, distance))
        for _ in range(8):
            for each in range(len(at)):
                places = sorted(at[other] for other, weight in near[each] for _ in range(weight))
                if not places:
                    continue
                least = max([places[(len(places) - 1) // 2], *(at[a] + gap for a, gap in low[each])])
                most = min([places[len(places) // 2], *(at[b] - gap for b, gap in high[each])])
                if least <= most:
                    at[each] = (least + most) // 2
        return at

    def depth(self, rank: int, begins: bool) -> int:
        """Return how many frames within each other begin, or end, at a rank."""
        deepest = 0
        for group in self.frames:
            path = [each for each in self.chart.path(group) if self.frames[each][0 if begins else 1] == rank]
            deepest = max(deepest, len(path))
        return deepest

    def levels(self) -> dict[str, list[int]]:
        """Return how far out a frame lies where it begins and where it ends: 1 next to the boxes, 2 around one more."""
        found = {group: [1, 1] for group in self.frames}
        for group in sorted(self.frames, key=lambda each: -len(self.chart.path(each))):
            parent = self.chart.groups[group][1]
            for side in (0, 1):
                if parent is not None and self.frames[parent][side] == self.frames[group][side]:
                    found[parent][side] = max(found[parent][side], found[group][side] + 1)
        return found


def _pressed(count: int, gaps: Sequence[tuple[int, int, int]]) -> list[int]:
    """Return the smallest numbers from 0 that keep the gaps."""
    at, waiting = [0] * count, [0] * count
    after: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for first, second, distance in gaps:
        after[first].append((second, distance))
        waiting[second] += 1
    free = [each for each in range(count) if not waiting[each]]
    for each in free:
        for other, distance in after[each]:
            at[other] = max(at[other], at[each] + distance)
            waiting[other] -= 1
            if not waiting[other]:
                free.append(other)
    return at


# --- a terminal -------------------------------------------------------------------------------------------------------

_N, _E, _S, _W = 1, 2, 4, 8
_LINES = dict(zip((5, 10, 6, 12, 3, 9, 7, 13, 14, 11, 15, 1, 4, 2, 8), "│─┌┐└┘├┤┬┴┼││──"))
_PLAIN_LINES = dict(zip((5, 10, 6, 12, 3, 9, 7, 13, 14, 11, 15, 1, 4, 2, 8), "|-+++++++++||--"))


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


class TextDrawing:
    """A chart in characters, with its ranks as columns (`across`) or as rows.

    :param plain: ASCII only
    :param colour: with the escape sequences of a terminal
    """

    def __init__(self, chart: Chart, across: bool, plain: bool, colour: bool) -> None:
        self.chart, self.across, self.plain, self.colour = chart, across, plain, colour
        self.signs = {mark: (ascii_ if plain else sign) for mark, (sign, ascii_, _) in _CHART_MARKS.items()}
        # A frame has its title in the line it begins with: across the ranks when those are columns, else along them.
        sizes = {"apart": 0, "lane": 1, "lane_apart": 0, "pad_before": 1, "pad_after": 1, "pad_in": 2, "pad_out": 2}
        if not across:
            sizes.update(apart=2, lane_apart=1, pad_before=2, pad_after=2, pad_in=1, pad_out=1)
        measures = Measures(self._size, lambda title: (0, 0) if across else (0, _columns(title) + 6), **sizes)
        self.measures = measures
        self.plan = Arrangement(chart, measures, self.signs["mapped"])
        # For each place, the lines that meet there: owner to the directions it takes; and which owners are one there.
        self.masks: dict[tuple[int, int], dict[Any, int]] = {}
        self.joined: dict[tuple[int, int], set[Any]] = {}
        self.text: dict[tuple[int, int], tuple[str, str]] = {}
        self._draw()

    def label(self, node: ChartNode) -> str:
        """Return what stands in the box of a task."""
        words = [self.signs[mark] for mark in node.marks if mark != "mapped"]
        words += [node.label, *(self.signs[mark] for mark in node.marks if mark == "mapped")]
        if node.state:
            words.append(self.state_sign(node.state))
        counts = sum(node.counts.values())
        if counts > 1:
            words.append(f"{node.counts.get(node.state or '', 0)}/{counts}")
        return " ".join(words)

    def state_sign(self, state: str) -> str:
        return _STATE_LOOKS.get(state, _PLAIN_LOOK)[1 if self.plain else 0]

    def _size(self, node: ChartNode) -> tuple[int, int]:
        if node.task is None:
            size = (_columns(node.label) + 2 if node.label else 1, 1)
        else:
            size = (_columns(self.label(node)) + 4, 3)
        return size if self.across else (size[1], size[0])

    def _draw(self) -> None:
        plan, measures = self.plan, self.measures
        inner = plan.levels()
        lengths = [max((cell.length for cell in cells), default=0) for cells in plan.ranks]
        for group, (first, last, _, _) in plan.frames.items():
            if self.across and first == last:
                title = _columns(self.chart.group_title(group, self.signs["mapped"])) + 5
                lengths[first] = max(lengths[first], title - sum(inner[group]) * 2 - 1)
        begin = plan.depth(0, True) * measures.pad_in + (1 if self.across and plan.depth(0, True) else 0)
        starts = []
        for rank, cells in enumerate(plan.ranks):
            starts.append(begin)
            begin += lengths[rank]
            if rank + 1 == len(plan.ranks):
                begin += plan.depth(rank, False) * measures.pad_out
                continue
            # Channel: frames that end, tracks, frames that begin, the tip of the arrow.
            begin += plan.depth(rank, False) * measures.pad_out
            following = begin + 1
            nets = Channel(cells, plan.ranks[rank + 1], plan.breadth)
            following += nets.tracks + (1 if nets.tracks and self.across else 0)
            following += plan.depth(rank + 1, True) * measures.pad_in + (1 if self.across else 0)
            self._route(nets, starts[rank], lengths[rank], begin + (1 if self.across else 0), following)
            begin = following
        for group, (first, last, start, end) in plan.frames.items():
            left = starts[first] - inner[group][0] * measures.pad_in - 1
            right = starts[last] + lengths[last] - 1 + inner[group][1] * measures.pad_out
            text = self.chart.group_title(group, self.signs["mapped"])
            self._frame(*((left, start, right, end - 1) if self.across else (start, left, end - 1, right)), text)
        for rank, cells in enumerate(plan.ranks):
            for cell in cells:
                if cell.node is not None:
                    self._box(cell, cell.node, starts[rank])
        self.width = max((x for x, _ in [*self.masks, *self.text]), default=0) + 1

    def _line(self, owner: Any, along: bool, fixed: int, begin: int, end: int) -> None:
        """Draw a line along the ranks or across them, both ends included."""
        if begin > end:
            begin, end = end, begin
        for each in range(begin, end + 1):
            place = (each, fixed) if along == self.across else (fixed, each)
            back, on = (_W, _E) if along == self.across else (_N, _S)
            mask = (back if each > begin else 0) | (on if each < end else 0)
            owners = self.masks.setdefault(place, {})
            owners[owner] = owners.get(owner, 0) | mask

    def _route(self, nets: Channel, start: int, length: int, tracks: int, following: int) -> None:
        for net in nets.nets:
            cell = net.cell
            begin = tracks + net.came
            if cell is None:
                place = (begin, net.row) if self.across else (net.row, begin)
                self.joined.setdefault(place, set()).update((net.id, net.id[1]))
            else:
                # From the end of the box, through the rest of its rank; a lane and a joint are lines from the start on.
                begin = start + (cell.length - 1 if cell.node is not None and cell.node.task is not None else 0)
            if net.track < 0:
                self._line(("to", net.row), True, net.row, begin, following)
                continue
            self._line(net.id, True, net.row, begin, tracks + net.track)
            self._line(net.id, False, tracks + net.track, net.low(), net.high())
            for row in net.rows:
                if row != net.detour:
                    self._line(("to", row), True, row, tracks + net.track, following)
                    place = (tracks + net.track, row) if self.across else (row, tracks + net.track)
                    self.joined.setdefault(place, set()).update((net.id, ("to", row)))

    def _put(self, x: int, y: int, text: str, style: str = "") -> None:
        for each in text:
            wide = _columns(each)
            self.text[x, y] = each, style
            for more in range(1, wide):
                self.text[x + more, y] = "", style
            x += wide

    def _box(self, cell: Cell, node: ChartNode, start: int) -> None:
        side = cell.at - cell.breadth // 2
        x, y = (start, side) if self.across else (side, start)
        if node.task is None:
            if node.label:
                self._put(x, y, f" {node.label} ", "3")
            return
        style = _STATE_LOOKS[node.state][2] if node.state in _STATE_LOOKS else ""
        label = self.label(node)
        width = _columns(label) + 2
        bar, wall, corners = ("-", "|", "++++") if self.plain else ("─", "│", "┌┐└┘")
        self._put(x, y, corners[0] + bar * width + corners[1], style)
        self._put(x, y + 1, f"{wall} {label} {wall}", style)
        self._put(x, y + 2, corners[2] + bar * width + corners[3], style)
        # Where edges meet the box.
        if self.across:
            if cell.after:
                self._put(x + width + 1, y + 1, "+" if self.plain else "├", style)
            if cell.before:
                self._put(x - 1, y + 1, ">" if self.plain else "▶")
        else:
            if cell.after:
                self._put(cell.at, y + 2, "+" if self.plain else "┬", style)
            if cell.before:
                self._put(cell.at, y - 1, "v" if self.plain else "▼")

    def _frame(self, left: int, top: int, right: int, bottom: int, title: str) -> None:
        bar, wall, corners = ("-", ":", "....") if self.plain else ("╌", "┆", "╭╮╰╯")
        style = "2"

        def put(x: int, y: int, text: str) -> None:
            # Edges go through frames.
            if (x, y) not in self.masks and (x, y) not in self.text:
                self._put(x, y, text, style)

        for number, each in enumerate(f" {title} "[: max(0, right - left - 2)]):
            self._put(left + 2 + number, top, each, "1")
        for x in range(left + 1, right):
            put(x, top, bar)
            put(x, bottom, bar)
        for y in range(top + 1, bottom):
            put(left, y, wall)
            put(right, y, wall)
        for x, y, each in zip((left, right, left, right), (top, top, bottom, bottom), corners):
            put(x, y, each)

    def _seen(self, x: int, y: int) -> int:
        """Return the directions to show: of two lines that cross without touching, the one across the ranks."""
        owners = self.masks[x, y]
        joined = self.joined.get((x, y), set())
        turning = (_N | _S) if self.across else (_E | _W)
        whole = above = 0
        for owner, mask in owners.items():
            if owner in joined:
                above |= mask
            whole |= mask
        if above or len(owners) == 1:
            return above or whole
        return next((mask for mask in owners.values() if mask & turning), whole)

    def __str__(self) -> str:
        shapes = _PLAIN_LINES if self.plain else _LINES
        height = max((y for _, y in [*self.masks, *self.text]), default=-1) + 1
        lines = []
        for y in range(height):
            line, style = [], ""
            for x in range(self.width):
                each, wanted = self.text.get((x, y), (None, ""))
                if each is None:
                    each = shapes[self._seen(x, y)] if (x, y) in self.masks else " "
                if self.colour and wanted != style and each != " ":
                    line.append(("\033[0m" if style else "") + (f"\033[{wanted}m" if wanted else ""))
                    style = wanted
                line.append(each)
            lines.append("".join(line).rstrip() + ("\033[0m" if style else ""))
        return "\n".join(lines)


class Net:
    """Edges from one cell to some in the next rank.

    Fields: `row`, `rows` (of the targets), `track` (-1: straight on), `detour` (the row a detour takes, or -1), and of
    the second part of a detour, which has no `cell`, the track that it `came` from.
    """

    def __init__(self, id_: Any, cell: Cell | None, row: int, rows: Sequence[int]) -> None:
        self.id, self.cell, self.row, self.rows = id_, cell, row, sorted(set(rows))
        self.track = self.came = self.detour = -1

    def low(self) -> int:
        return min(self.row, *self.rows)

    def high(self) -> int:
        return max(self.row, *self.rows)


class Channel:
    """The space between two ranks: each cell's edges turn on a track of their own.

    A line that leaves a cell and one that ends in the same row must not run into each other, so the track of the one
    comes first; where that goes round in a circle, one net takes a detour over a free row.
    """

    def __init__(self, cells: Sequence[Cell], others: Sequence[Cell], rows: int) -> None:
        self.nets = [Net(n, cell, cell.at, [o.at for o in cell.after]) for n, cell in enumerate(cells) if cell.after]
        taken = {cell.at for cell in [*cells, *others]}
        bent = [net for net in self.nets if net.rows != [net.row]]
        order: list[Net] = []
        waiting = list(bent)
        while waiting:
            free = [net for net in waiting if not any(self._precedes(o, net) for o in waiting if o is not net)]
            if not free:
                net = next(
                    net for net in waiting
                    if net.cell is not None and net.detour < 0 and any(self._precedes(net, o) for o in waiting)
                )  # fmt: skip
                row = next(
                    (net.row + way * far for far in range(1, rows + 2) for way in (1, -1)
                     if net.row + way * far not in taken and net.row + way * far >= 0),
                )  # fmt: skip
                taken.add(row)
                second = Net(("detour", net.id), None, row, net.rows)
                net.rows, net.detour = [row], row
                self.nets.append(second)
                waiting.append(second)
                continue
            net = min(free, key=lambda each: sum(_crossed(each, o) - _crossed(o, each) for o in waiting))
            waiting.remove(net)
            order.append(net)
        used: list[list[Net]] = []
        for net in order:
            least = 0
            for place, nets in enumerate(used):
                if any(self._precedes(o, net) for o in nets):
                    least = place + 1
                elif any(_crossed(net, o) < _crossed(o, net) for o in nets):
                    # It was put behind that one for a reason.
                    least = max(least, place)
            place = next(
                (
                    p for p in range(least, len(used))
                    if all(net.high() < o.low() or o.high() < net.low() for o in used[p])
                ),
                len(used),
            )  # fmt: skip
            if place == len(used):
                used.append([])
            used[place].append(net)
            net.track = place
        for net in self.nets:
            if net.cell is None:
                net.came = next(o.track for o in self.nets if net.id == ("detour", o.id))
        self.tracks = len(used)

    @staticmethod
    def _precedes(first: Net, second: Net) -> bool:
        """Tell whether the track of the first must come before that of the second."""
        if first.detour >= 0 and second.cell is None and second.row == first.detour:
            return True
        if second.detour >= 0 and first.cell is None and first.row == second.detour:
            return False
        return first.row in second.rows


def _crossed(first: Net, second: Net) -> int:
    """Count the crossings when the first net has the earlier track."""
    return (first.low() < second.row < first.high()) + sum(second.low() < row < second.high() for row in first.rows)


def draw_dag(
    dag: DAG,
    states: Mapping[str, Any] | None = None,
    width: int | None = None,
    colour: bool = False,
    plain: bool = False,
) -> str:
    """Return a Dag as a drawing in characters that is at most *width* columns wide; an outline where none fits.

    :param states: task id to state, or for a mapped task to a mapping of its map indexes to states
    :param colour: with the escape sequences of a terminal
    :param plain: ASCII only
    """
    chart = Chart(dag, states)
    width = width or _GRAPH_WIDTH
    text = ""
    if len(chart.nodes) <= _MOST_DRAWN:
        for across in (True, False):
            drawing = TextDrawing(chart, across, plain, colour)
            if drawing.width <= width:
                text = str(drawing)
                break
    text = text or outline(chart, width, plain, colour)
    return "\n".join(each for each in (text, _legend(chart, plain)) if each)


def _legend(chart: Chart, plain: bool) -> str:
    """Explain the signs that a drawing uses."""
    nodes = chart.nodes.values()
    used = {mark for node in nodes for mark in node.marks} | {"mapped" for *_, yes in chart.groups.values() if yes}
    states = {node.state for node in nodes}
    words = [f"{look[1 if plain else 0]} {look[2]}" for mark, look in _CHART_MARKS.items() if mark in used]
    words += [f"{look[1 if plain else 0]} {state}" for state, look in _STATE_LOOKS.items() if state in states]
    return "\n" + "   ".join(words) if words else ""


def outline(chart: Chart, width: int, plain: bool, colour: bool) -> str:
    """Return a chart as a list: tasks in an order in which they can run, below their groups, with what comes next."""
    arrow = "->" if plain else "→"
    roots = {id_: [each.task_id for each in group.get_roots()] for id_, group in chart.dag.task_group_dict.items()}
    lines = []
    shown: list[str] = []
    for node in chart.nodes.values():
        if node.task is None:
            continue
        path = chart.path(node.group)
        common = 0
        while common < min(len(path), len(shown)) and path[common] == shown[common]:
            common += 1
        for depth in range(common, len(path)):
            title = chart.group_title(path[depth], _CHART_MARKS["mapped"][1 if plain else 0])
            lines.append("  " * depth + (f"\033[1m{title}\033[0m" if colour else title))
        shown = path
        words = [*(_CHART_MARKS[mark][1 if plain else 0] for mark in node.marks), node.label]
        look = _STATE_LOOKS.get(node.state or "", _PLAIN_LOOK)
        if node.state:
            words.append(look[1 if plain else 0])
        head = "  " * len(path) + " ".join(words)
        downs = _named_together(node, chart, roots)
        count = len(downs)
        tail = f" {arrow} {', '.join(downs)}" if downs else ""
        room = max(20, width - len(head))
        while len(tail) > room and len(downs) > 1:
            downs.pop()
            tail = f" {arrow} {', '.join(downs)} and {count - len(downs)} more"
        lines.append((f"\033[{look[2]}m{head}\033[0m" if colour and node.state else head) + tail)
    return "\n".join(lines)


def _named_together(node: ChartNode, chart: Chart, roots: Mapping[str, Sequence[str]]) -> list[str]:
    """Name what comes after a task: by its label within the same group, a whole group as `group.*`."""
    left = set(node.task.downstream_task_ids)
    named = []
    for group, first in roots.items():
        if len(first) > 1 and left.issuperset(first) and group not in chart.path(node.group):
            left.difference_update(first)
            named.append(f"{group}.*")
    same = [chart.nodes[each].label if chart.nodes[each].group == node.group else each for each in sorted(left)]
    return named + same


# --- SVG --------------------------------------------------------------------------------------------------------------

_FONT = "-apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', 'Helvetica Neue', Arial, sans-serif"
# Greys that can be read on a white page and on a dark one; boxes bring their own ground.
_SVG_STYLE = f"""\
text {{ font-family: {_FONT}; font-size: 13px; fill: #1c2733; text-anchor: middle }}
.kind {{ font-size: 10px; fill: #55616f }}
.heading {{ font-size: 15px; font-weight: 600; fill: #6f7b8a; text-anchor: start }}
.title {{ font-size: 12px; font-weight: 600; fill: #6f7b8a; text-anchor: start }}
.label {{ font-size: 11px; font-style: italic; fill: #6f7b8a }}
.group {{ fill: #8090a4; fill-opacity: .09; stroke: #8d99a8; stroke-dasharray: 5 3 }}
.edge {{ fill: none; stroke: #8190a0; stroke-width: 1.4 }}
.tip, .joint {{ fill: #8190a0 }}
.task {{ stroke-width: 1.4 }}
.mark {{ fill: #4a6fb3 }}"""
_TURN = 34


def _text_width(text: str, size: float) -> int:
    """Return about how many pixels a text takes in a sans-serif face, rather a little more."""
    total = 0.0
    for each in text:
        if each in "ijl.,:;|!'()[]tfr-I ":
            total += 0.42
        elif each in "mwMW@%" or ord(each) > 0x2E80:
            total += 1.0
        else:
            total += 0.72 if each.isupper() or each == "_" else 0.62
    return int(total * size) + 1


def _kind_of_task(node: ChartNode) -> str:
    words = [node.task.operator_name, *(each for each in node.marks if each not in node.task.operator_name)]
    if node.state:
        counts = [f"{count} {state}" for state, count in node.counts.items()]
        words.append(", ".join(counts) if sum(node.counts.values()) > 1 else node.state)
    return " · ".join(words)


def graph_svg(chart: Chart) -> str:
    """Return a chart as an SVG picture, from left to right."""
    from html import escape

    def size(node: ChartNode) -> tuple[int, int]:
        if node.task is not None:
            icon = 16 if {"branch", "setup", "teardown"} & set(node.marks) else 0
            return max(_text_width(node.label, 13) + icon, _text_width(_kind_of_task(node), 10)) + 24, 42
        return (_text_width(node.label, 11) + 12, 16) if node.label else (6, 8)

    def title_size(title: str) -> tuple[int, int]:
        return _text_width(title, 12) + 20, 40

    measures = Measures(
        size, title_size, apart=16, lane=6, lane_apart=8, pad_before=28, pad_after=12, pad_in=14, pad_out=14
    )
    plan = Arrangement(chart, measures, "≡")
    columns = [max((cell.length for cell in cells), default=0) for cells in plan.ranks]
    inner = plan.levels()
    zones = []
    for rank, cells in enumerate(plan.ranks[:-1]):
        steepest = max((abs(cell.at - other.at) for cell in cells for other in cell.after), default=0)
        turn = _TURN + min(60, steepest // 8)
        before, after = plan.depth(rank, False) * measures.pad_out, plan.depth(rank + 1, True) * measures.pad_in
        # The last part of an edge is straight, for the arrow.
        zones.append((before, turn, after + 10))
    margin_x, margin_y = 16, 44
    lefts: list[int] = []

    def lay_out() -> None:
        x = margin_x + plan.depth(0, True) * measures.pad_in
        lefts.clear()
        for rank, length in enumerate(columns):
            lefts.append(x)
            x += length + (sum(zones[rank]) if rank < len(zones) else 0)

    def frame_sides(group: str) -> tuple[int, int]:
        first, end, _, _ = plan.frames[group]
        return (
            lefts[first] - inner[group][0] * measures.pad_in,
            lefts[end] + columns[end] + inner[group][1] * measures.pad_out,
        )

    lay_out()
    for group in sorted(plan.frames, key=lambda each: -len(chart.path(each))):
        left, right = frame_sides(group)
        lacking = title_size(chart.group_title(group, "≡"))[0] - (right - left)
        if lacking > 0:
            columns[plan.frames[group][1]] += lacking
            lay_out()
    width = _text_width(chart.dag.dag_id, 15) + 2 * margin_x
    if lefts:
        right = lefts[-1] + columns[-1] + plan.depth(len(columns) - 1, False) * measures.pad_out
        width = max(width, right + margin_x)
    height = plan.breadth + margin_y + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(chart.dag.dag_id)}</title>",
        f"<style>\n{_SVG_STYLE}\n</style>",
        f'<text class="heading" x="{margin_x}" y="24">{escape(chart.dag.dag_id)}</text>',
    ]
    for group in sorted(plan.frames, key=lambda each: len(chart.path(each))):
        _, _, start, end = plan.frames[group]
        left, right = frame_sides(group)
        title = escape(chart.group_title(group, "≡"))
        lines.append(
            f'<rect class="group" data-id="{escape(group)}" x="{left}" y="{start + margin_y}" width="{right - left}" '
            f'height="{end - start}" rx="10"/><text class="title" x="{left + 10}" y="{start + margin_y + 18}">'
            f"{title}</text>"
        )

    def side(cell: Cell, right: bool) -> float:
        """Return where the line that ends or begins at a cell has its end."""
        left, length = lefts[cell.rank], columns[cell.rank]
        if cell.node is None or cell.node.task is not None:
            return left + length if right else left
        half = cell.length / 2 if cell.node.label else 0
        return left + length / 2 + (half if right else -half)

    tips = {}
    for chain in plan.edges:
        first, last = chain[0], chain[-1]
        ends_in_task = last.node is not None and last.node.task is not None
        x_end = side(last, False)
        path = [f"M{side(first, True):g} {first.at + margin_y}"]
        for one, other in zip(chain, chain[1:]):
            before, turn, _ = zones[one.rank]
            begin = lefts[one.rank] + columns[one.rank] + before
            y, y_next = one.at + margin_y, other.at + margin_y
            if y != y_next:
                middle = begin + turn / 2
                path.append(f"H{begin}C{middle:g} {y} {middle:g} {y_next} {begin + turn} {y_next}")
        path.append(f"H{x_end - 5 if ends_in_task else x_end:g}")
        source, target = _edge_ends(chain)
        lines.append(
            f'<path class="edge" data-from="{escape(source)}" data-to="{escape(target)}" d="{"".join(path)}"/>'
        )
        if ends_in_task:
            y = last.at + margin_y
            tips[f'<path class="tip" d="M{x_end:g} {y}l-8 -4.5v9z"/>'] = True
    lines += tips
    for cells in plan.ranks:
        for cell in cells:
            if cell.node is not None:
                lines += _svg_node(cell, cell.node, lefts[cell.rank], columns[cell.rank], margin_y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _edge_ends(chain: Sequence[Cell]) -> tuple[str, str]:
    """Return the tasks an edge runs between; nothing for an end that is no task."""
    first, last = (cell.node.id if cell.node and cell.node.task is not None else "" for cell in (chain[0], chain[-1]))
    return first, last


def _svg_node(cell: Cell, node: ChartNode, left: int, length: int, margin: int) -> list[str]:
    from html import escape

    y = cell.at + margin
    middle = left + length / 2
    if node.task is None:
        if node.label:
            return [f'<text class="label" x="{middle:g}" y="{y + 4}">{escape(node.label)}</text>']
        return [f'<circle class="joint" cx="{middle:g}" cy="{y}" r="3"/>']
    _, _, _, fill, line = _STATE_LOOKS.get(node.state or "", _PLAIN_LOOK)
    top, height = y - cell.breadth // 2, cell.breadth
    box = f'width="{length}" height="{height}" rx="7" style="fill: {fill}; stroke: {line}"'
    lines = []
    if "mapped" in node.marks:
        # Two more behind it, within the space between boxes.
        lines += [f'<rect class="task" x="{left + 2 * shift}" y="{top + 2 * shift}" {box}/>' for shift in (2, 1)]
    lines.append(f'<rect class="task" data-id="{escape(node.id)}" x="{left}" y="{top}" {box}/>')
    shift = 0
    for mark in node.marks:
        if mark != "mapped":
            x = left + 14
            shapes = {"branch": "l6 6l-6 6l-6 -6z", "setup": "l6 10h-12z", "teardown": "m0 11l6 -10h-12z"}
            lines.append(f'<path class="mark" d="M{x} {y - 13}{shapes[mark]}"/>')
            shift = 8
    lines.append(f'<text x="{middle + shift:g}" y="{y - 2}">{escape(node.label)}</text>')
    lines.append(f'<text class="kind" x="{middle:g}" y="{y + 13}">{escape(_kind_of_task(node))}</text>')
    return lines


# --- Mermaid, dot, JSON -----------------------------------------------------------------------------------------------


def graph_mermaid(chart: Chart) -> str:
    """Return a chart as a Mermaid flowchart."""

    def quoted(text: str) -> str:
        return '"' + "".join(each if each.isalnum() or each in " _.-" else f"#{ord(each)};" for each in text) + '"'

    shapes = {"branch": ("{{", "}}"), "mapped": ("[[", "]]"), "setup": ("([", "])"), "teardown": ("([", "])")}
    names = {id_: f"n{number}" for number, id_ in enumerate(chart.nodes)}
    lines = ["flowchart LR"]

    def write(group: str | None, indent: str) -> None:
        for id_, node in chart.nodes.items():
            if node.group != group:
                continue
            if node.task is None:
                text = quoted(node.label) if node.label else '" "'
                lines.append(f"{indent}{names[id_]}({text})" if node.label else f"{indent}{names[id_]}(({text}))")
                continue
            begin, end = next((shapes[mark] for mark in node.marks), ("[", "]"))
            lines.append(f"{indent}{names[id_]}{begin}{quoted(node.label)}{end}")
        for number, (child, (_, parent, _)) in enumerate(chart.groups.items()):
            if parent == group:
                lines.append(f"{indent}subgraph g{number} [{quoted(chart.group_title(child, '[]'))}]")
                write(child, indent + "  ")
                lines.append(f"{indent}end")

    write(None, "  ")
    for up, down, label in chart.edges:
        head = "-->" if chart.nodes[down].task is not None else "---"
        lines.append(f"  {names[up]} {head}{f'|{quoted(label)}|' if label else ''} {names[down]}")
    for state, (_, _, _, fill, line) in _STATE_LOOKS.items():
        those = [names[id_] for id_, node in chart.nodes.items() if node.state == state]
        if those:
            lines.append(f"  classDef {state} fill:{fill},stroke:{line},color:#1c2733")
            lines.append(f"  class {','.join(those)} {state}")
    return "\n".join(lines) + "\n"


def graph_dot(chart: Chart) -> str:
    """Return a chart in Graphviz's language."""

    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        return f'"{escaped}"'

    names = {id_: quoted(id_.replace("\0", "joint ")) for id_ in chart.nodes}
    lines = [
        f"digraph {quoted(chart.dag.dag_id)} {{",
        "  rankdir=LR",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11]',
        '  edge [color="#8190a0", fontname="Helvetica", fontsize=9]',
    ]

    def write(group: str | None, indent: str) -> None:
        for id_, node in chart.nodes.items():
            if node.group != group:
                continue
            if node.task is None:
                shape = f"shape=plaintext, label={quoted(node.label)}" if node.label else 'shape=point, label=""'
                lines.append(f"{indent}{names[id_]} [{shape}]")
                continue
            _, _, _, fill, line = _STATE_LOOKS.get(node.state or "", _PLAIN_LOOK)
            signs = [_CHART_MARKS[mark][1] for mark in node.marks]
            parts = [f"label={quoted(' '.join([node.label, *signs]))}", f'fillcolor="{fill}"', f'color="{line}"']
            if "branch" in node.marks:
                parts.append("shape=hexagon")
            if "mapped" in node.marks:
                parts.append("peripheries=2")
            if node.state:
                parts.append(f"tooltip={quoted(node.state)}")
            lines.append(f"{indent}{names[id_]} [{', '.join(parts)}]")
        for child, (_, parent, _) in chart.groups.items():
            if parent == group:
                lines.append(f"{indent}subgraph {quoted(f'cluster_{child}')} {{")
                lines.append(f"{indent}  label={quoted(chart.group_title(child, '[]'))}; style=rounded")
                lines.append(f'{indent}  color="#8d99a8"; fontname="Helvetica"; fontsize=10')
                write(child, indent + "  ")
                lines.append(f"{indent}}}")

    write(None, "  ")
    for up, down, label in chart.edges:
        parts = ([f"label={quoted(label)}"] if label else []) + ([] if chart.nodes[down].task else ["dir=none"])
        lines.append(f"  {names[up]} -> {names[down]}{f' [{chr(44).join(parts)}]' if parts else ''}")
    return "\n".join([*lines, "}"]) + "\n"


def graph_json(chart: Chart) -> str:
    """Return a Dag's tasks, groups and the edges between tasks as JSON, and the states that are known."""
    import json

    labels = chart._labels()
    tasks, edges = [], []
    for node in chart.nodes.values():
        if node.task is None:
            continue
        task = node.task
        entry: dict[str, Any] = {
            "task_id": node.id,
            "label": node.label,
            "group": node.group,
            "operator": task.operator_name,
            "queue": task.queue,
            "trigger_rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
            "marks": list(node.marks),
        }
        if chart.states is not None:
            entry["state"] = chart.states.get(node.id)
        tasks.append(entry)
        for down in sorted(task.downstream_task_ids):
            edge = {"from": node.id, "to": down}
            if labels.get((node.id, down)):
                edge["label"] = labels[node.id, down]
            edges.append(edge)
    groups = [
        {"group_id": id_, "label": label, "parent": parent, "mapped": mapped}
        for id_, (label, parent, mapped) in chart.groups.items()
    ]
    form = {"dag_id": chart.dag.dag_id, "tasks": tasks, "groups": groups, "edges": edges}
    return json.dumps(form, indent=2, ensure_ascii=False) + "\n"


########################################################################################################################
# Command line: what the flags do
########################################################################################################################

USAGE_ERROR = 2

_HELP = """\
usage: {program} FLAG ...

{what}

look at it
  --parse              list its Dags: schedule, tasks in order, what each depends on
  --parse --json       the same as Airflow's DagFileParsingResult, for a program
  --graph [DAG_ID]     draw a Dag; --format text, mermaid, dot, svg or json; --states FILE.json colours its tasks
  --inspect [FILE]     check this bundle, or another file: trailer, sizes, digests, manifest
  --inspect --source   print the Dag file that was frozen
  --bundle-metadata    print the manifest that Airflow reads
  --stub [--queue Q]   print a Dag file of @task.stub declarations, for an Airflow that shall not have the source
  --version            versions of this program, Python, msgpack and the supervisor schema

run a Dag here and now, without Airflow
  --run [DAG_ID]       run all its tasks; 0 when it succeeded, 1 when it failed; --json for a program; --graph draws it
  --task ID            only this task, with results it needs from --xcom TASK.KEY=JSON; --map-index N for one of many
  --conf JSON          the configuration of the run, its params; --logical-date DATE, --run-id ID
  --var KEY=VALUE      a variable; --vars FILE for many: .json, .env, .yaml. Else from AIRFLOW_VAR_<KEY>
  --conn ID=URI        a connection; --conns FILE for many. Else from AIRFLOW_CONN_<ID>
  --answer TASK=OPTION what to answer when a task asks a person; else it is asked on the terminal
  --jobs N             so many tasks at a time; as many as there are processors if not given
  --real-delays        wait before retries and pokes as long as the Dag says, not half a second
  --mark-success-pattern REGEX
                       count tasks whose whole id fits as succeeded without running them

run a task (Airflow does this)
  --comm=HOST:PORT --logs=HOST:PORT
                       connect to a supervisor at these addresses, as ExecutableCoordinator starts a bundle
  --stdio              the same over file descriptor 0 if it is a socket, else over stdin and stdout;
                       log lines go to stderr
{building}
Airflow finds a bundle by the Dag ids in its manifest. Copy the file into a folder that a coordinator scans:

  [sdk]
  coordinators = {{"frozen": {{
      "classpath": "airflow.sdk.coordinators.executable.ExecutableCoordinator",
      "kwargs": {{"executables_root": ["/opt/airflow/bundles"]}}}}}}
  queue_to_coordinator = {{"frozen": "frozen"}}

and give the tasks that it shall run queue="frozen".

exit codes: 0 done; 1 failed, standard error or the task log says why; 2 the command line was wrong;
            130 --run was ended by Ctrl-C (128 and the signal's number)
"""

_BUILDING_HELP = """
build one (only with `python coordinator_bundle.py`)
  DAG_FILE ... --build [--out PATH] [--requirements FILE] [--include PATH] [--exclude PATH] [--explain] [--install DIR]
                       freeze Dag files and what they need into one executable; see `make help`
"""

# Each flag with whether it takes a value: always, perhaps (None), or never.
_FLAGS: dict[str, bool | None] = {
    "--parse": False,
    "--json": False,
    "--comm": True,
    "--logs": True,
    "--stdio": False,
    "--bundle-metadata": False,
    "--inspect": False,
    "--source": False,
    "--stub": False,
    "--queue": True,
    "--graph": None,
    "--format": True,
    "--states": True,
    "--run": None,
    "--task": True,
    "--map-index": True,
    "--xcom": True,
    "--conf": True,
    "--logical-date": True,
    "--run-id": True,
    "--var": True,
    "--vars": True,
    "--conn": True,
    "--conns": True,
    "--answer": True,
    "--jobs": True,
    "--real-delays": False,
    "--mark-success-pattern": True,
    "--version": False,
    "--help": False,
}
_BUILD_FLAGS: dict[str, bool | None] = {
    "--build": False,
    "--out": True,
    "--requirements": True,
    "--include": True,
    "--exclude": True,
    "--explain": False,
    "--install": True,
}
# Those that may be given several times; their value is a list.
_REPEATED_FLAGS = frozenset({"--include", "--exclude", "--xcom", "--var", "--conn", "--answer"})
_MODES = ("--parse", "--stdio", "--bundle-metadata", "--inspect", "--stub", "--run", "--graph", "--version", "--build")
_GO_WITH = (
    ("--json", "--parse --run"), ("--source", "--inspect"), ("--queue", "--stub"), ("--format", "--graph"),
    ("--states", "--graph"), ("--task", "--run"), ("--map-index", "--run"), ("--xcom", "--run"), ("--conf", "--run"),
    ("--logical-date", "--run"), ("--run-id", "--run"), ("--var", "--run"), ("--vars", "--run"), ("--conn", "--run"),
    ("--conns", "--run"), ("--answer", "--run"), ("--jobs", "--run"), ("--real-delays", "--run"),
    ("--mark-success-pattern", "--run"),
)  # fmt: skip


class UsageError(BundleError):
    """A command line that makes no sense; ends in exit code 2."""


class Arguments:
    """A parsed command line: `flags` (name to value, True for one without) and `files`."""

    def __init__(self, arguments: Sequence[str], known: Mapping[str, bool | None]) -> None:
        self.flags: dict[str, Any] = {}
        self.files: list[str] = []
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument == "-h":
                argument = "--help"
            if not argument.startswith("-") or argument == "-":
                self.files.append(argument)
                continue
            name, has_value, value = argument.partition("=")
            if name not in known:
                raise UsageError(f"unknown flag {name}{_nearest(name, known)}")
            if known[name] is False:
                if has_value:
                    raise UsageError(f"{name} takes no value, got {value!r}")
                self.flags[name] = True
                continue
            if known[name] is None and not has_value:
                # What may have a value takes what follows, unless that is a flag or a Dag file.
                if not rest or rest[0].startswith("-") or rest[0].endswith(".py"):
                    self.flags[name] = True
                    continue
            if not has_value:
                if not rest:
                    raise UsageError(f"{name} needs a value: {name}=...")
                value = rest.pop(0)
            if name in self.flags and name not in _REPEATED_FLAGS:
                raise UsageError(f"{name} is given twice")
            self.flags[name] = [*self.flags.get(name, []), value] if name in _REPEATED_FLAGS else value


def parse_address(flag: str, text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, an IPv6 host in brackets.

    :raises UsageError: naming the flag and what is wrong.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{flag} wants HOST:PORT with a port from 1 to 65535, got {text!r}")
    return host, int(port)


def main(arguments: Sequence[str]) -> int:
    """Do what a command line says; return the exit code."""
    frozen = hasattr(sys, "_MEIPASS")
    if frozen:
        prepare_frozen_imports()
        restore_environment()
    try:
        known = _FLAGS if frozen else {**_FLAGS, **_BUILD_FLAGS}
        parsed = Arguments(arguments, known)
        code = _dispatch(parsed, frozen)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"{_program()}: {error}\n{_usage(frozen)}", file=sys.stderr)
        return USAGE_ERROR
    except BundleError as error:
        print(f"{_program()}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # What is left in the buffer would raise once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # Whoever closes the pipe has read enough, as `head` does.
        if not isinstance(error, BrokenPipeError):
            print(f"{_program()}: {error}", file=sys.stderr)
        return 1


def terminal_looks() -> tuple[bool, bool]:
    """Return whether standard output shall have colours, and whether it can show ASCII only."""
    environment = os.environ
    colour = sys.stdout.isatty() and environment.get("TERM") != "dumb" and not environment.get("NO_COLOR")
    # A bundle writes UTF-8 whatever the locale; what the terminal takes is what the locale says. C.UTF-8 may be what
    # Python itself has put there.
    narrow = [environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    locale = next((each for each in narrow if each and each != "C.UTF-8"), "C.UTF-8")
    return colour, any("utf8" not in each.lower().replace("-", "") for each in (locale, sys.stdout.encoding or ""))


def chosen_dag(bag: DagBag, flag: str, value: Any) -> DAG:
    """Return the Dag that a flag names; the only one where it names none.

    :param value: what the flag was given, True for nothing
    :raises UsageError: there is no such Dag, or several to choose from
    """
    if value is not True:
        if value not in bag.dags:
            have = f"; there is {', '.join(bag.dags)}" if bag.dags else ""
            raise UsageError(f"{flag} {value}: there is no such Dag{_nearest(value, bag.dags) or have}")
        return bag.dags[value]
    if len(bag.dags) != 1:
        raise UsageError(f"{flag} needs the id of a Dag: {', '.join(bag.dags) or 'there is none in it'}")
    return next(iter(bag.dags.values()))


def _program() -> str:
    return os.path.basename(sys.executable if hasattr(sys, "_MEIPASS") else __file__)


def _usage(frozen: bool) -> str:
    files = "" if frozen else "DAG_FILE ... "
    return (
        f"usage: {_program()} {files}[--parse [--json] | --inspect [FILE] | --version | --help | ...]\n"
        f"       {_program()} --help explains them"
    )


def _dispatch(parsed: Arguments, frozen: bool) -> int:
    flags = parsed.flags
    if "--help" in flags or (not flags and not parsed.files):
        print(_help_text(frozen), end="")
        return 0 if "--help" in flags else USAGE_ERROR
    modes: list[str] = [name for name in _MODES if name in flags]
    if "--comm" in flags or "--logs" in flags:
        if "--comm" not in flags or "--logs" not in flags:
            given, missing = ("--comm", "--logs") if "--comm" in flags else ("--logs", "--comm")
            raise UsageError(f"{given} needs {missing} beside it: Airflow's supervisor gives both")
        modes.append("--comm")
    if len(modes) > 1 and modes != ["--run", "--graph"]:
        raise UsageError(f"{' and '.join(modes)} do not go together")
    for name, owners in _GO_WITH:
        if name in flags and not set(owners.split()) & set(modes):
            raise UsageError(f"{name} goes with {owners.replace(' ', ' or ')}")
    if not modes:
        known = _FLAGS if frozen else {**_FLAGS, **_BUILD_FLAGS}
        near = _nearest(f"--{parsed.files[0]}", known) if parsed.files else ""
        raise UsageError(f"say what to do{near or ', for example --parse'}")
    mode = modes[0]
    if flags.get("--queue") == "":
        raise UsageError("--queue needs the name of a queue")
    if mode == "--version":
        print(_version_text())
        return 0
    if mode == "--inspect":
        return _inspect(parsed, frozen)
    if mode == "--build":
        return _build(parsed)
    if frozen and parsed.files:
        raise UsageError(f"unexpected argument {parsed.files[0]!r}: a bundle has its Dag files inside")
    if not frozen and not parsed.files:
        raise UsageError(f"{mode} needs a Dag file: {_program()} my_dag.py {mode}")
    if mode in ("--comm", "--stdio"):
        return _run_under_supervisor(parsed, frozen)
    files = _dag_files(parsed, frozen)
    if mode == "--bundle-metadata":
        return _print_manifest(files, frozen)
    needs_section("--parse")
    if mode == "--run":
        needs_section("Run")
        result = run_command(parsed, files)
        if "--graph" in flags:
            needs_section("Graph")
            graph_command(result.dag, flags.get("--format"), result.states)
        return result.code
    if mode == "--stub":
        needs_section("--stub")
        print(StubWriter(flags.get("--queue")).write(_loaded(files)), end="")
        return 0
    if mode == "--graph":
        needs_section("Graph")
        states = read_states(flags["--states"]) if "--states" in flags else None
        return graph_command(chosen_dag(_loaded(files), mode, flags[mode]), flags.get("--format"), states)
    return _parse(files, as_json="--json" in flags)


def _dag_files(parsed: Arguments, frozen: bool) -> DagFiles:
    if frozen:
        return DagFiles.frozen()
    return DagFiles([DagFile.from_path(path) for path in parsed.files])


def _run_under_supervisor(parsed: Arguments, frozen: bool) -> int:
    """Connect first, so that a slow import happens inside the task's log and after the start timeout has stopped."""
    if "--comm" in parsed.flags:
        comm_address = parse_address("--comm", parsed.flags["--comm"])
        logs_address = parse_address("--logs", parsed.flags["--logs"])
        client = SupervisorClient(Transport.dial(comm_address))
        logs = Transport.dial(logs_address)
        log_channel.connect(logs.send_all)
    else:
        client = SupervisorClient(Transport.stdio())
        log_channel.flush_to_stderr()
    capture_logging()
    try:
        code = serve(client, _dag_files(parsed, frozen))
    except BaseException as error:
        log_event("critical", "The bundle failed outside the task", exc_info=error)
        code = 1
    _exit_now(code)


def _exit_now(code: int) -> NoReturn:
    """End the process without waiting for threads a task has left behind; the outcome has been reported."""
    import atexit

    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException as error:
        log_event("warning", "Failed while ending the process", exc_info=error)
    os._exit(code)


def _help_text(frozen: bool) -> str:
    if frozen:
        what = "A bundle: an Airflow Dag file, frozen with everything its tasks need into this one executable."
    else:
        what = "Freezes Airflow Dag files into one executable, or does with the Dag files named what a bundle would do."
    program = _program() if frozen else f"python {_program()} DAG_FILE ..."
    return _HELP.format(program=program, what=what, building="" if frozen else _BUILDING_HELP)


def _version_text() -> str:
    try:
        import msgpack

        msgpack_version = ".".join(map(str, msgpack.version))
    except ImportError:
        msgpack_version = "not installed"
    return (
        f"coordinator_bundle {VERSION}\nPython {sys.version.split()[0]}\nmsgpack {msgpack_version}\n"
        f"supervisor schema {SCHEMA_VERSION}"
    )


def _inspect(parsed: Arguments, frozen: bool) -> int:
    if len(parsed.files) > 1:
        raise UsageError("--inspect takes one file")
    if not parsed.files and not frozen:
        raise UsageError("--inspect needs a bundle file: --inspect dist/my_dag")
    inspection = inspect_bundle(parsed.files[0] if parsed.files else sys.executable)
    print(format_inspection(inspection, source="--source" in parsed.flags), end="")
    return 1 if inspection["problems"] else 0


def _print_manifest(files: DagFiles, frozen: bool) -> int:
    if frozen:
        manifest = read_bundle(sys.executable).manifest
    else:
        needs_section("--parse")
        bag = _loaded(files)
        manifest = bundle_manifest({dag_id: dag.task_ids for dag_id, dag in bag.dags.items()}, files.files[0].name)
    print(render_manifest(manifest).decode(), end="")
    return 0


def _build(parsed: Arguments) -> int:
    if not parsed.files:
        raise UsageError(f"--build needs a Dag file: {_program()} my_dag.py --build")
    return build(
        parsed.files,
        out=parsed.flags.get("--out"),
        requirements=parsed.flags.get("--requirements"),
        include=parsed.flags.get("--include", []),
        exclude=parsed.flags.get("--exclude", []),
        explain="--explain" in parsed.flags,
        install=parsed.flags.get("--install"),
    )


# --- --parse ----------------------------------------------------------------------------------------------------------


def _parse(files: DagFiles, as_json: bool) -> int:
    """Print the Dags of a bundle, for a program or for a person; 1 when a file cannot be imported."""
    bag = _load_all(files)
    if as_json:
        import json

        body = parsing_result(bag, files.files[0].path).to_body()
        print(json.dumps(body, indent=2))
    elif bag.dags:
        print("\n\n".join(describe_dag(dag) for dag in bag.dags.values()))
    for text in bag.import_errors.values():
        print(f"{_program()}: {text}", file=sys.stderr)
    if not bag.dags and not bag.import_errors and not as_json:
        raise DagFileError(
            f"{files.files[0].path}: no Dag in it: Airflow finds those of `with DAG(...)`, of a called @dag function, "
            "and those that a variable of the file holds"
        )
    return 1 if bag.import_errors else 0


def _load_all(files: DagFiles) -> DagBag:
    """Import the Dag files. What they print goes to standard error, for standard output belongs to the answer."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        return files.load_all()
    finally:
        sys.stdout.flush()
        os.dup2(answers, 1)
        os.close(answers)


def _loaded(files: DagFiles) -> DagBag:
    """Import the Dag files, all of them or none."""
    bag = _load_all(files)
    if bag.import_errors:
        raise DagFileError("\n".join(bag.import_errors.values()))
    return bag


def describe_dag(dag: DAG) -> str:
    """Return a Dag as a few lines for a person: schedule, tags, and the tasks in the order they can run."""
    facts = [f"schedule {describe_schedule(dag)}"]
    if dag.tags:
        facts.append(f"tags {', '.join(sorted(dag.tags))}")
    if dag.params:
        facts.append(f"params {', '.join(f'{k}={v!r}' for k, v in dag.params.dump().items())}")
    lines = [f"{dag.dag_id}  ({os.path.basename(dag.fileloc)})", f"  {' · '.join(facts)}"]
    tasks = dag.topological_sort()
    width = max((len(task.task_id) for task in tasks), default=0)
    for task in tasks:
        after = sorted(task.upstream_task_ids)
        notes = [f"after {', '.join(after)}" if after else "first", f"queue {task.queue}"]
        if task.is_mapped:
            notes.append("mapped")
        if task.retries:
            notes.append(f"retries {task.retries}")
        lines.append(f"    {task.task_id:{width}}  {' · '.join(notes)}")
    if not tasks:
        lines.append("    no tasks")
    return "\n".join(lines)


def describe_schedule(dag: DAG) -> str:
    """Return the schedule of a Dag in a few words."""
    schedule = dag.schedule
    if schedule is None:
        return "none, runs when triggered"
    if isinstance(schedule, str):
        expression = CRON_PRESETS.get(schedule)
        return f"{schedule} ({expression})" if expression else schedule
    if isinstance(schedule, BaseAsset):
        return f"when updated: {_describe_assets(schedule)}"
    if isinstance(schedule, (list, tuple, set)):
        return f"when updated: {_describe_assets(AssetAll(*schedule))}"
    if isinstance(schedule, BaseTimetable):
        expression = getattr(schedule, "expression", "")
        return f"{type(schedule).__name__} {expression}".strip()
    return f"every {schedule}"


def _describe_assets(condition: BaseAsset) -> str:
    if isinstance(condition, (AssetAny, AssetAll)):
        word = " or " if isinstance(condition, AssetAny) else " and "
        parts = [_describe_assets(each) for each in condition.objects]
        return parts[0] if len(parts) == 1 else f"({word.join(parts)})"
    return str(getattr(condition, "name", None) or getattr(condition, "uri", "?"))


# --- --stub -----------------------------------------------------------------------------------------------------------

# Arguments of a task that Airflow acts on while the task itself runs elsewhere.
_STUB_ARGUMENTS = (
    "owner retries retry_delay retry_exponential_backoff max_retry_delay depends_on_past wait_for_downstream "
    "ignore_first_depends_on_past wait_for_past_depends_before_skipping priority_weight weight_rule queue pool "
    "pool_slots execution_timeout trigger_rule map_index_template max_active_tis_per_dag max_active_tis_per_dagrun "
    "executor do_xcom_push doc_md"
).split()
_STUB_DAG_ARGUMENTS = (
    "description max_active_tasks max_active_runs max_consecutive_failed_dag_runs dagrun_timeout catchup doc_md "
    "is_paused_upon_creation tags owner_links fail_fast dag_display_name"
).split()


class StubWriter:
    """Writes a Dag file of `@task.stub` declarations: what Airflow needs to schedule tasks whose code is in a bundle.

    :param queue: routes every task there; each keeps its own when None.
    """

    def __init__(self, queue: str | None) -> None:
        self.queue = queue
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    def write(self, bag: DagBag) -> str:
        """Return the file.

        :raises BundleError: when a Dag holds something that has no form in a stub, such as a timetable of its own.
        """
        files = ", ".join(sorted({file.name for file in bag.files.values()}))
        self.lines = [
            f'"""Stands for {files}, whose tasks run in a bundle. Written by --stub; do not edit, write it anew."""',
            "",
            "from datetime import datetime, timedelta, timezone  # noqa: F401",
            "from zoneinfo import ZoneInfo  # noqa: F401",
            "",
            "from airflow.sdk import *  # noqa: F403",
        ]
        for dag in bag.dags.values():
            self._write_dag(dag)
        return "\n".join(self.lines) + "\n"

    def _write_dag(self, dag: DAG) -> None:
        self.names = {}
        arguments = [repr(dag.dag_id), f"schedule={self._schedule(dag)}"]
        if dag.start_date is not None:
            arguments.append(f"start_date={self._date(dag.start_date, dag.timezone)}")
        if dag.end_date is not None:
            arguments.append(f"end_date={self._date(dag.end_date, None)}")
        if dag.params:
            params = ", ".join(f"{key!r}: {self._param(param)}" for key, param in dag.params.items())
            arguments.append(f"params={{{params}}}")
        blank = DAG("blank", schedule=None)
        arguments += self._changed(dag, blank, [each for each in _STUB_DAG_ARGUMENTS if each != "dag_display_name"])
        if dag.dag_display_name != dag.dag_id:
            arguments.append(f"dag_display_name={dag.dag_display_name!r}")
        self.lines += ["", f"with DAG({', '.join(arguments)}) as the_dag:"]
        self._write_group(dag.task_group, "    ")
        self._write_edges(dag.tasks, "    ")
        for each in dag.tasks:
            if each.is_setup:
                self.lines.append(f"    {self.names[each.task_id]}.as_setup()")
            if each.is_teardown:
                option = "on_failure_fail_dagrun=True" if each.on_failure_fail_dagrun else ""
                self.lines.append(f"    {self.names[each.task_id]}.as_teardown({option})")
        if not dag.tasks:
            self.lines.append("    pass")

    def _write_group(self, group: TaskGroup, indent: str) -> None:
        nodes = group.topological_sort()
        for node in nodes:
            if not isinstance(node, TaskGroup):
                self._write_task(node, group, indent)
                continue
            prefix = "" if node.prefix_group_id else ", prefix_group_id=False"
            if isinstance(node, MappedTaskGroup):
                call, parameters = self._expansion(node._expand_input)
                name = self._free_name(str(node.node_id))
                self.lines.append(f"{indent}@task_group(group_id={node._group_id!r}{prefix})")
                self.lines.append(f"{indent}def {name}({'' if parameters == '**kwargs' else parameters}):")
            else:
                self.lines.append(f"{indent}with TaskGroup({node._group_id!r}{prefix}):")
            self._write_group(node, indent + "    ")
            if not node.children:
                self.lines.append(f"{indent}    pass")
            if isinstance(node, MappedTaskGroup):
                # When the function ends, what has no upstream yet becomes downstream of what is mapped over.
                self._write_edges(list(node), indent + "    ")
                self.lines.append(f"{indent}{name}{call}")
                # What a function declares has no name outside of it.
                self.names.update((each.task_id, f"the_dag.get_task({each.task_id!r})") for each in node)

    def _write_edges(self, tasks: Sequence[Any], indent: str) -> None:
        ids = {each.task_id for each in tasks}
        for each in tasks:
            for down in sorted(each.downstream_task_ids & ids):
                self.lines.append(f"{indent}{self.names[each.task_id]} >> {self.names[down]}")

    def _write_task(self, task: Any, group: TaskGroup, indent: str) -> None:
        prefix = f"{group.node_id}." if group.node_id and group.prefix_group_id else ""
        name = self.names[task.task_id] = self._free_name(task.task_id)
        arguments = [f"task_id={task.task_id[len(prefix) :]!r}"]
        arguments += self._changed(task, BaseOperator, _STUB_ARGUMENTS)
        if self.queue is not None:
            arguments = [each for each in arguments if not each.startswith("queue=")] + [f"queue={self.queue!r}"]
        call, parameters = "()", ""
        if task.is_mapped:
            call, parameters = self._expansion(task._get_specified_expand_input())
        multiple = ", multiple_outputs=True" if task.multiple_outputs else ""
        self.lines += [
            f"{indent}@task.stub({', '.join(arguments)}{multiple})",
            f"{indent}def {name}({parameters}): ...",
            f"{indent}{name} = {name}{call}",
        ]

    def _free_name(self, task_id: str) -> str:
        """Return a Python name for a task, none that the stub uses otherwise."""
        import keyword

        name = "".join(c if c.isalnum() and c.isascii() else "_" for c in task_id)
        own = {"datetime", "timedelta", "timezone", "the_dag", "kwargs"}
        taken = {*self.names.values(), *_AIRFLOW_MODULES["airflow.sdk"].split(), *own}
        if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
            name = f"task_{name}"
        while name in taken:
            name += "_"
        return name

    def _expansion(self, expand_input: Any) -> tuple[str, str]:
        """Return the call that maps, and the parameters that the mapped function needs for it."""
        value = expand_input.value
        if isinstance(value, dict):
            sources = {key: self._mapped_over(each, "None") for key, each in value.items()}
            return f".expand({', '.join(f'{key}={each}' for key, each in sources.items())})", ", ".join(sources)
        return f".expand_kwargs({self._mapped_over(value, '{}')})", "**kwargs"

    def _mapped_over(self, value: Any, filler: str) -> str:
        """Return something as long as what is mapped over: its length is all that Airflow needs to know."""
        if isinstance(value, PlainXComArg):
            return self.names[value.operator.task_id]
        if isinstance(value, MapXComArg):
            return self._mapped_over(value.arg, filler)
        if isinstance(value, (ZipXComArg, ConcatXComArg)):
            first, *others = (self._mapped_over(each, filler) for each in value.args)
            if isinstance(value, ConcatXComArg):
                return f"{first}.concat({', '.join(others)})"
            fill = ["fillvalue=None"] if is_arg_set(value.fillvalue) else []
            return f"{first}.zip({', '.join([*others, *fill])})"
        return f"[{', '.join([filler] * len(value))}]"

    def _changed(self, subject: Any, plain: Any, names: Sequence[str]) -> list[str]:
        found = []
        for name in names:
            value, default = getattr(subject, name), getattr(plain, name)
            if name == "retry_delay":
                default = _default_retry_delay()
            if value != default and value not in ((), [], {}):
                found.append(f"{name}={self._source(name, value)}")
        return found

    def _schedule(self, dag: DAG) -> str:
        schedule = dag.schedule
        if isinstance(schedule, BaseAsset):
            return self._asset(schedule)
        if isinstance(schedule, (list, tuple, set)):
            return f"[{', '.join(map(self._asset, schedule))}]"
        return self._source("schedule", schedule)

    def _asset(self, asset: BaseAsset) -> str:
        if isinstance(asset, (AssetAny, AssetAll)):
            sign = " | " if isinstance(asset, AssetAny) else " & "
            return f"({sign.join(map(self._asset, asset.objects))})"
        if isinstance(asset, Asset):
            return f"Asset(name={asset.name!r}, uri={asset.uri!r}, group={asset.group!r}, extra={asset.extra!r})"
        if isinstance(asset, AssetAlias):
            return f"AssetAlias({asset.name!r}, group={asset.group!r})"
        kind = "name" if isinstance(asset, AssetNameRef) else "uri"
        return f"Asset.ref({kind}={getattr(asset, kind)!r})"

    def _param(self, param: Param) -> str:
        arguments = [] if param.value is NOTSET else [repr(param.value)]
        if param.description:
            arguments.append(f"description={param.description!r}")
        return f"Param({', '.join([*arguments, f'schema={param.schema!r}'])})"

    @staticmethod
    def _date(value: Any, zone: Any) -> str:
        key = getattr(zone, "key", None) or getattr(zone, "name", None)
        local = f'.astimezone(ZoneInfo("{key}"))' if key and key != "UTC" else ""
        return f"datetime.fromisoformat({value.isoformat()!r}){local}"

    @staticmethod
    def _source(name: str, value: Any) -> str:
        if isinstance(value, Enumeration):
            return repr(value.value)
        if value is None or isinstance(value, (str, int, float, bool, list, dict, tuple, set)):
            return repr(value)
        if hasattr(value, "total_seconds"):
            return f"timedelta(seconds={value.total_seconds()!r})"
        raise BundleError(
            f"{name}={value!r} has no form in a stub; give Airflow the Dag file itself, or use what has a literal"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
_defer_to_airflow()

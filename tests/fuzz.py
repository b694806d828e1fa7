"""Hostile bytes: what every reader of foreign bytes promises, as functions of bytes that raise `Broken` when it fails.

    python tests/fuzz.py                 each target for FUZZ_SECONDS (60) with atheris; `make fuzz` runs this
    python tests/fuzz.py serde --runs N  one target, N inputs
    python tests/fuzz.py serde FILE ...  these inputs once more

What coverage has found is kept in build/fuzz/ and built upon by the next run. `tests/test_hostile.py` runs the targets
on drawn inputs and on `FOUND`, every input that ever broke one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
FUZZ = REPO / "build" / "fuzz"
sys.path.insert(0, str(REPO))

ATHERIS: Any = None
HITS = bytearray(1 << 18)
if __name__ == "__main__" and len(sys.argv) > 1:
    import atheris as ATHERIS
    import atheris.instrument_bytecode as _instrument

    # Atheris calls a function of C++ at each branch, which takes most of the time. Here a branch sets its byte instead,
    # and each set byte becomes one such call when the input has been read.
    def _mark_branch(self: Any, like: Any) -> list[Any]:
        new = _instrument._generate_instruction
        marked = [self._get_const(1), self._get_const(HITS), self._get_counter()]
        return [*(new("LOAD_CONST", each, like) for each in marked), new("STORE_SUBSCR", None, like)]

    _instrument.Instrumentor._generate_trace_branch_invocation = _mark_branch
    with ATHERIS.instrument_imports(include=["coordinator_bundle"]):
        import coordinator_bundle as cb
else:
    import coordinator_bundle as cb

# An empty map is one byte of msgpack and 64 bytes of Python, 88 with its place in a list: no reader can do better. The
# floor is what an error costs that has come up through all of Python's recursion limit: a frame for each level.
MEMORY_PER_BYTE = 120
MEMORY_FLOOR = 4 << 20
# Every so manieth input is watched for memory, or may be nested past every limit, which takes far longer than the rest.
MEMORY_EVERY = 256
DEEP_EVERY = 64
# Seconds; a hang guard.
INPUT_TIMEOUT = 20


class Broken(AssertionError):
    """A promise about hostile bytes that did not hold."""


########################################################################################################################
# No code run
########################################################################################################################

# Audit events that reading a value has no business with. Importing is one of its own, below.
FORBIDDEN = (
    "builtins.input code.__new__ compile cpython.run ctypes exec fcntl ftplib glob http imaplib marshal mmap msvcrt "
    "open os os.exec os.fork os.posix_spawn os.spawn os.startfile os.system pickle poplib pty "
    "resource setopencodehook shutil signal smtplib socket sqlite3 subprocess sys.addaudithook sys.setprofile "
    "sys.settrace telnetlib tempfile urllib webbrowser"
).split()
# Finders look into folders, and a zoneinfo is a file.
HARMLESS = {"os.listdir", "os.scandir", "os.fspath"}
IMPORTS = re.compile(
    r"(airflow|numpy|pandas|pyarrow|pendulum|dateutil|decimal|uuid|zoneinfo|tzdata|datetime|_strptime|json|enum|fnmatch"
    r"|re|functools|importlib|msgpack|struct|hashlib|stat|io|abc|calendar|traceback|urllib|html|warnings|__future__"
    r"|typing|collections|contextlib|logging)(\.|$)"
)

SCRATCH = ("/dev/shm/", tempfile.gettempdir())
_watching = False
_seen: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event in HARMLESS:
        return
    if event == "import":
        if not IMPORTS.match(str(arguments[0])):
            _seen.append(f"import {arguments[0]}")
    elif event == "open":
        path = str(arguments[0])
        # A number: a descriptor that is open already.
        if "zoneinfo" not in path and not path.isdigit() and "tzdata" not in path and not path.startswith(SCRATCH):
            _seen.append(f"open {path}")
    elif event.partition(".")[0] in FORBIDDEN or event in FORBIDDEN:
        _seen.append(f"{event} {arguments!r:.200}")


@contextlib.contextmanager
def no_code_run() -> Iterator[None]:
    global _watching
    if not _hooked:
        # A hook stays for the life of the process, so it is put in place by the first use and not by an import.
        sys.addaudithook(_hook)
        _hooked.append(True)
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    if _seen:
        raise Broken(f"reading the input did: {_seen[:3]}")


_hooked: list[bool] = []


########################################################################################################################
# Values out of bytes
########################################################################################################################

MESSAGE_WORDS = sorted(
    {name for cls in cb._definitions.values() if issubclass(cls, cb.Message) for name in cls.__annotations__}
    | set(cb.MESSAGES)
    | {"type", "schema", "schema_"}
)
VALUE_KEYS = "__classname__ __version__ __data__ __type __var __id__ tz timestamp args kwargs exc_cls_name k".split()
CLASS_NAMES = sorted(
    {*cb.value_types.readers, *cb._VALUE_READERS, *cb._LEGACY_READERS}
    | set(
        "os.system builtins.eval builtins.exec builtins.object builtins.type builtins.getattr subprocess.Popen "
        "pickle.loads importlib.import_module airflow.sdk.BaseHook airflow.sdk.DAG airflow.sdk.XCom airflow.sdk "
        "airflow..x airflow. airflow.sdk.definitions.dag.DAG airflow.sdk.serde.deserialize airflow.nowhere.Thing "
        "airflow.sdk.AsyncCallback airflow.sdk.SyncCallback airflow.sdk.ObjectStoragePath airflow.sdk.RetryRule "
        "airflow.models.DagRun airflow.models.variable.Variable airflow.sdk.bases.operator.BaseOperator "
        "airflow.utils.log.secrets_masker.mask_secret airflow.providers.standard.operators.bash.BashOperator "
        "airflow.providers.standard.triggers.file.FileTrigger airflow.sdk.execution_time.comms.StartupDetails "
        "unusual_prefix_0123abcd_dag.Row dict tuple set frozenset datetime timedelta "
        "KeyError AttributeError UTC Europe/Berlin CEST".split()
    )
)
MANIFEST_WORDS = (
    "airflow_bundle_metadata_version sdk language version supervisor_schema_version source dags tasks digests".split()
)
DATA_WORDS = "name uri group extra path executor value description schema default conn_id key host login".split()
WORDS = VALUE_KEYS + DATA_WORDS + CLASS_NAMES + MESSAGE_WORDS + MANIFEST_WORDS
TEXTS = (
    "", "2026-06-16T12:00:00Z", "2026-06-16T12:00:00.123456789+05:30", "PT5M", "-P1DT0.5S", "P9999999999999D",
    "12345678-1234-5678-1234-567812345678", "success", "nan", "-inf", "1e999999999", "1" * 5000, "\ud800", "\0",
    "../../etc/passwd", "0x10", "50415231", "x" * 300,
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 253, 2**31, 2**53, 2**63 - 1, 2**64 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.5, 1e18, -1e18, 1e308, float("inf"), float("nan"))
# Past every limit of Python's own; `tests/test_hostile.py` goes far deeper, which would take a fuzzer's time.
MOST_NESTED = 1100
# Past the limits of what is not deep for a person; for all inputs but the deep ones.
LESS_NESTED = 24


class Built:
    """A value made by a small machine from bytes, so that what a fuzzer changes a little changes the value a little.

    Each byte is an operation on a stack, some take the bytes behind them as operands. What is left on top is the value.
    """

    most = MOST_NESTED

    def __init__(self, data: bytes, most: int | None = None) -> None:
        self.data = data
        self.most = most or Built.most
        self.position = 0
        self.stack: list[Any] = []
        self.depth = 0

    def byte(self) -> int:
        value = self.data[self.position] if self.position < len(self.data) else 0
        self.position += 1
        return value

    def pop(self) -> Any:
        return self.stack.pop() if self.stack else None

    def fields(self) -> dict[Any, Any]:
        value = self.pop()
        return value if isinstance(value, dict) else {}

    def word(self) -> str:
        return WORDS[(self.byte() | self.byte() << 8) % len(WORDS)]

    def value(self) -> Any:
        while self.position < len(self.data):
            operation = self.byte()
            kind, small = operation % 20, operation // 20
            self.stack.append(self.operate(kind, small))
        return self.pop()

    def operate(self, kind: int, small: int) -> Any:
        if kind == 0:
            return (None, True, False)[small % 3]
        if kind == 1:
            return small
        if kind == 2:
            return NUMBERS[self.byte() % len(NUMBERS)]
        if kind == 3:
            return FLOATS[self.byte() % len(FLOATS)]
        if kind == 4:
            return TEXTS[self.byte() % len(TEXTS)]
        if kind in (5, 6):
            return self.word()
        if kind == 7:
            taken = self.data[self.position : self.position + small + 1]
            self.position += small + 1
            return taken.decode("utf-8", "replace")
        if kind == 8:
            taken = self.data[self.position : self.position + small + 1]
            self.position += small + 1
            return taken
        if kind == 9:
            number = int.from_bytes(self.data[self.position : self.position + 8], "big", signed=True)
            self.position += 8
            return number / 1000 if small % 2 else number
        if kind == 10:
            return [self.pop() for _ in range(small)]
        if kind in (11, 12, 13):
            return {self.word(): self.pop() for _ in range(small + 1)}
        if kind == 14:
            return {_hashable(self.pop()): self.pop() for _ in range(small)}
        if kind in (15, 16):
            return {"__classname__": CLASS_NAMES[self.byte() % len(CLASS_NAMES)], "__version__": small % 3,
                    "__data__": self.pop()}  # fmt: skip
        if kind == 17:
            return {"__type": CLASS_NAMES[self.byte() % len(CLASS_NAMES)], "__var": self.pop()}
        if kind == 18:
            value = self.pop()
            wraps: tuple[Callable[[Any], Any], ...] = (
                lambda inner: [inner],
                lambda inner: {"k": inner},
                lambda inner: {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [inner]},
                lambda inner: {"__type": "dict", "__var": {"k": inner}},
            )
            wrap = wraps[small % 4]
            power = self.byte()
            levels = min(2 ** (power % 7) if power < 250 else self.most, self.most - self.depth)
            self.depth += levels
            for _ in range(levels):
                value = wrap(value)
            return value
        name = MESSAGE_TYPES[self.byte() % len(MESSAGE_TYPES)]
        return {"type": name, **(self.fields() if small == 12 else self.message(cb.MESSAGES[name]))}

    def message(self, cls: type[cb.Message]) -> dict[str, Any]:
        """Fields as the schema has them, here and there left out or of any other kind; all right without bytes."""
        body = {}
        for base in reversed(cls.__mro__):
            if base is not cb.Message and issubclass(base, cb.Message):
                for name, annotation in base.__annotations__.items():
                    choice = self.byte() % 8
                    if choice != 7:
                        body[name] = self.pop() if choice == 6 else self.fitting(annotation)
        return body

    def fitting(self, annotation: str) -> Any:
        members = cb._split(annotation, "|")
        annotation = members[self.byte() % len(members)]
        origin, _, inner = annotation.rstrip("]").partition("[")
        if origin in ("list", "NonEmptyList"):
            return [self.fitting(inner) for _ in range(self.byte() % 3 or 1)]
        if origin == "dict":
            return {"k": self.fitting(cb._split(inner, ",")[1])}
        if origin == "tuple":
            return [self.fitting(each) for each in cb._split(inner, ",")]
        if origin == "Literal":
            return cb._split(inner, ",")[0].strip("\"'")
        known = cb._definitions.get(annotation)
        if known is not None and issubclass(known, cb.Enumeration):
            return known.VALUES[self.byte() % len(known.VALUES)]
        if known is not None:
            return {"type": known.type, **self.message(known)} if known.type else self.message(known)
        if annotation in ("Any", "JsonValue"):
            return self.pop()
        return FITTING[annotation][self.byte() % len(FITTING[annotation])]


MESSAGE_TYPES = sorted(cb.MESSAGES)
FITTING: dict[str, tuple[Any, ...]] = {
    "str": ("text", "", "é", "x" * 300),
    "int": (1, 0, -1, 2**63),
    "bool": (True, False),
    "float": (1.5, 1, float("nan"), 1e308),
    "UuidText": ("12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678", "é" * 36),
    "PathText": ("/a", ""),
    "None": (None,),
    "datetime": (
        dt.datetime(2026, 6, 16, tzinfo=dt.timezone.utc), "2026-06-16T12:00:00Z", "2026-06-16T12:00:00.123456789+0530",
        "9999-12-31T23:59:60-23:59", "2026-06-16", "2026-06-16T1", dt.datetime(1, 1, 1),
    ),
    "timedelta": ("PT5M", "-P1DT0.5S", "P99999999999D", "P", "PT", "PT1H2", 5, -1.5, 1e300, float("nan")),
}  # fmt: skip


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bytes, type(None), dt.datetime)) else "k"


def dismantle(value: Any) -> None:
    """Take a value apart from outside: the destructor of one nested 100,000 deep would recurse."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            stack.extend(each.values())
            each.clear()
        elif isinstance(each, list):
            stack.extend(each)
            each.clear()


def size_of(value: Any) -> int:
    """About how many bytes a value would be on the wire."""
    total, stack = 0, [value]
    while stack:
        each = stack.pop()
        total += 1
        if isinstance(each, dict):
            for key, inner in each.items():
                total += len(key) if isinstance(key, (str, bytes)) else 8
                stack.append(inner)
        elif isinstance(each, (list, tuple)):
            stack.extend(each)
        elif isinstance(each, (str, bytes)):
            total += len(each)
        elif isinstance(each, int):
            total += each.bit_length() // 8
        elif each is not None:
            total += 8
    return total


########################################################################################################################
# The targets
########################################################################################################################
# Each makes out of bytes what a reader is given, and reads it. Only the reading is watched.


class Target:
    def make(self, data: bytes) -> Any:
        raise NotImplementedError

    def read(self, made: Any) -> None:
        raise NotImplementedError


def first_byte(data: bytes) -> tuple[int, bytes]:
    return (data[0], data[1:]) if data else (0, b"")


class Framing(Target):
    """Any stream, however it is cut: frames or a FrameError, the same ones, and no buffer runs ahead of what came."""

    def make(self, data: bytes) -> tuple[int, bytes]:
        return first_byte(data)

    def read(self, made: tuple[int, bytes]) -> None:
        cut, stream = made
        whole, end = self.fed(stream, len(stream) or 1)
        read = self.fed if cut % 2 else self.received
        parts, parts_end = read(stream, cut // 2 % 29 + 1)
        if whole != parts or end != parts_end:
            raise Broken(f"it depends on how the stream is cut: {whole!r:.99} {parts!r:.99} {end} {parts_end}")
        for payload in (stream, *whole):
            for decode in (cb.decode_response, cb.decode_request):
                with contextlib.suppress(cb.FrameError):
                    _, body, rest = decode(payload)
                    dismantle([body, rest])

    @classmethod
    def fed(cls, stream: bytes, size: int) -> tuple[list[bytes], str]:
        reader = cb.FrameReader()
        frames: list[bytes] = []
        try:
            for start in range(0, len(stream), size):
                reader.feed(stream[start : start + size])
                cls.take(reader, frames)
            reader.end()
        except cb.FrameError as error:
            return frames, str(error)
        return frames, ""

    @classmethod
    def received(cls, stream: bytes, size: int) -> tuple[list[bytes], str]:
        reader = cb.FrameReader()
        frames: list[bytes] = []
        position = 0
        try:
            while position < len(stream):
                buffer = reader.get_buffer()
                if len(buffer) > max(cb.READ_AHEAD, position):
                    raise Broken(f"a buffer of {len(buffer)} bytes after {position} have come")
                count = min(size, len(buffer), len(stream) - position)
                buffer[:count] = stream[position : position + count]
                reader.buffer_updated(count)
                position += count
                cls.take(reader, frames)
            reader.end()
        except cb.FrameError as error:
            return frames, str(error)
        return frames, ""

    @staticmethod
    def take(reader: cb.FrameReader, frames: list[bytes]) -> None:
        while (payload := reader.next_frame()) is not None:
            frames.append(bytes(payload))


class Transport:
    """A transport whose other side says what it says, whatever it is asked."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream

    def receive_into(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self.stream))
        buffer[:count] = self.stream[:count]
        self.stream = self.stream[count:]
        return count

    def send_all(self, data: Any) -> None:
        pass


class Client(Target):
    """A supervisor that says anything: a message, or an error of ours that task code can catch."""

    def make(self, data: bytes) -> bytes:
        mode, rest = first_byte(data)
        if not mode % 4:
            return rest
        stream = b""
        for number, part in enumerate(rest.split(b"\xff\xfe")):
            body = Built(part).value()
            error = body if mode & 8 and number else None
            with contextlib.suppress(cb.FrameError):
                stream += b"".join(cb.encode_response(number, None if error else body, error))
            dismantle(body)
        return stream

    def read(self, made: bytes) -> None:
        supervisor = cb.SupervisorClient(Transport(made))  # type: ignore[arg-type]
        cb.log_channel._write, cb.log_channel._early = (lambda line: None), None
        for ask in (
            supervisor.receive_startup,
            lambda: supervisor.send(cb.GetVariable(key="k")),
            lambda: supervisor.send(cb.GetConnection(conn_id="c")),
        ):
            try:
                repr(ask())
            except (cb.BundleError, cb.AirflowRuntimeError) as error:
                check_message(error)


class Values(Target):
    """Reads values that are built from the bytes."""

    def make(self, data: bytes) -> Any:
        return Built(data).value()


class Messages(Values):
    """Any map: a message that goes out again, or a MessageError."""

    def read(self, made: Any) -> None:
        try:
            message = cb.decode_message(made)
        except cb.MessageError as error:
            check_message(error)
            return
        repr(message)
        body = message.to_body()
        with contextlib.suppress(RecursionError):  # of repr, on what is deeper than anything can be sent
            if repr(cb.decode_message(body).to_body()) != repr(body):
                raise Broken(f"another message comes back from {body!r:.300}")
        # What arrived leniently need not be fit to be sent; saying so is all that it may do.
        with contextlib.suppress(cb.MessageError):
            type(message)(**{name: body[name] for name in message.fields_set})
        with contextlib.suppress(cb.FrameError):
            cb.encode_request(1, body)


class Serde(Values):
    """Any JSON: a value of a known type, or a SerdeError; no code of the value's choice runs."""

    def read(self, made: Any) -> None:
        try:
            with no_code_run():
                result = cb.deserialize_value(made)
                with contextlib.suppress(cb.SerdeError):
                    cb.serialize_value(result)
        except cb.SerdeError as error:
            check_message(error)


class Trailer(Target):
    """Any file: a bundle, problems in words, or a BundleFormatError."""

    def make(self, data: bytes) -> bytes:
        mode, rest = first_byte(data)
        if not mode % 4:
            return rest
        # A right trailer over anything, so that what is behind it is reached.
        first, rest = first_byte(rest)
        program, manifest = b"\x7fELF" + rest[: first % 40], rest[first % 40 :]
        digest = hashlib.sha256(program).digest()
        source = b"# source" if mode & 8 else b""
        if mode % 4 > 1:
            value = Built(manifest).value()
            described = {**MANIFEST, **(value if isinstance(value, dict) else {})}
            try:
                if mode % 4 == 3:
                    described["digests"] = cb._digests(described, digest, source)
                manifest = cb.render_manifest(described) if mode & 16 else json.dumps(described).encode()
            except (cb.BundleFormatError, ValueError, TypeError, RecursionError):
                manifest = b"{}"
            dismantle(value)
        content = program + source + manifest + cb.Trailer(len(source), len(manifest), digest).pack()
        return content[: -(1 + mode % 70)] if mode & 32 else content

    def read(self, made: bytes) -> None:
        if not self.scratch:
            folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            handle, path = tempfile.mkstemp(prefix="fuzz-bundle-", dir=folder)
            os.close(handle)
            os.chmod(path, 0o755)
            self.scratch.append(path)
        with open(self.scratch[0], "wb") as file:
            file.write(made)
        try:
            with no_code_run():
                inspection = cb.inspect_bundle(self.scratch[0])
                cb.format_inspection(inspection)
        except cb.BundleFormatError as error:
            check_message(error)
            return
        for problem in inspection["problems"]:
            check_message(cb.BundleFormatError(problem))
        if inspection["verified"]:
            cb.read_bundle(self.scratch[0])

    scratch: list[str] = []


MANIFEST = cb.bundle_manifest({"etl": ["extract", "load"]}, "etl.py")


def check_message(error: BaseException) -> None:
    """An error has something to say, in a length that a person can read and a log can take."""
    text = str(error)
    if not text or len(text) > 4000:
        raise Broken(f"a message of {len(text)} characters: {text[:300]}")


TARGETS: dict[str, Target] = {
    each.__name__.lower(): each() for each in (Framing, Client, Messages, Serde, Trailer)
}  # fmt: skip


def check(target: str, data: bytes, memory: bool = False) -> None:
    """One input; with `memory`, also how much of it the reading took at most."""
    check_made(target, TARGETS[target].make(data), memory)


def check_made(target: str, made: Any, memory: bool = False) -> None:
    try:
        TARGETS[target].read(made)
        if memory:
            size = size_of(made)
            tracemalloc.start(1)
            try:
                TARGETS[target].read(made)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            if peak > MEMORY_FLOOR + MEMORY_PER_BYTE * size:
                raise Broken(f"{peak} bytes of memory for an input of {size}")
    finally:
        dismantle(made)


def prepare() -> None:
    """Import what a value may name, so that what is imported while watched is what the value chose."""
    import decimal
    import fnmatch
    import stat
    import uuid
    import zoneinfo

    zoneinfo.ZoneInfo("Europe/Berlin")
    str((decimal.Decimal(1), fnmatch.fnmatch("a", "b"), uuid.UUID(int=0), stat.S_ISREG(0)))
    cb.airflow_modules.install()
    for name in CLASS_NAMES:
        for version in (0, 1, 2):
            with contextlib.suppress(Exception):
                cb.deserialize_value({"__classname__": name, "__version__": version, "__data__": {}})


########################################################################################################################
# Inputs to start from
########################################################################################################################


def nested(depth: int, value: Any = 1) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def packed(manifest: bytes) -> bytes:
    program = b"\x7fELF"
    return program + manifest + cb.Trailer(0, len(manifest), hashlib.sha256(program).digest()).pack()


# What once broke a promise, and how: the target, and a function that makes what it read.
FOUND: list[tuple[str, str, Callable[[], Any]]] = [
    (
        "client",
        "an error instead of a start was told in full",
        lambda: b"".join(cb.encode_response(0, None, {"error": "X", "detail": {"k": "x" * 100_000}})),
    ),
    (
        "messages",
        "a container in the place of a word was shown, and too deep for it",
        lambda: {"type": "ErrorResponse", "error": nested(MOST_NESTED)},
    ),
    ("messages", "so was a type", lambda: {"type": nested(MOST_NESTED)}),
    *(
        ("serde", f"TypeError from {name}", lambda name=name: {"__type": name, "__var": None})
        for name in ("airflow.sdk.definitions.asset.metadata.Metadata", "base_exc_ser", "airflow.sdk.RetryRule")
    ),
    *(
        (
            "serde",
            f"TypeError from {name}",
            lambda name=name: {"__classname__": name, "__version__": 1, "__data__": [1]},
        )
        for name in ("airflow.sdk.definitions.param.Param", "airflow.sdk.ObjectStoragePath", "airflow.models.DagRun")
    ),
    (
        "serde",
        "written back, it was an integer of a billion digits",
        lambda: {"__classname__": "decimal.Decimal", "__version__": 1, "__data__": "1e999999999"},
    ),
    (
        "serde",
        "the module that a callback names was imported",
        lambda: {
            "__classname__": "airflow.sdk.AsyncCallback",
            "__version__": 1,
            "__data__": {"path": "antigravity.webbrowser.open", "kwargs": {}},
        },
    ),
    (
        "serde",
        "a name that is none was told in full",
        lambda: {"__classname__": nested(900), "__version__": "x" * 9000},
    ),
    ("serde", "a long name of a zone was told in full", lambda: {"__type": "timezone", "__var": "1" * 5000}),
    (
        "serde",
        "so was a key on the way to what may not be built",
        lambda: {"1" * 5000: {"__classname__": "os.system", "__version__": 1, "__data__": {}}},
    ),
    ("serde", "and that of a class", lambda: {"__classname__": "airflow." + "x" * 5000, "__version__": 1}),
    (
        "trailer",
        "JSON that was read was too deep to be written",
        lambda: packed(json.dumps(MANIFEST).encode()[:-1] + b', "more": ' + b"[" * 900 + b"]" * 900 + b"}"),
    ),
]


def seeds(target: str) -> Iterator[bytes]:
    yield b""
    if target == "framing":
        for body in ({}, {"type": "VariableResult", "key": "k", "value": "v" * 50}, {"a": [{}] * 20}):
            yield b"".join((b"\x03", *cb.encode_response(1, body), *cb.encode_response(2, None, {"error": "X"})))
            yield b"".join((b"\x03", *cb.encode_request(1, body, {"traceparent": "0"})))
        yield b"\x05\xff\xff\xff\xff" + b"x" * 100
        yield b"\x01\0\0\0\0"
        yield b"\x01\0\0\x01\0" + b"\x91" * 256
        yield b"\x01" + b"\x92\x01\xd6\xff\0\0\0\0"
        return
    if target == "trailer":
        for mode in (1, 2, 3, 18, 19, 26, 27, 34):
            for program in (b"", b"\x04\x00", b"\x12\x0b", b"\x12\xff"):
                for key in MANIFEST_WORDS:
                    yield bytes((mode, 0)) + program + b"\x0b" + WORDS.index(key).to_bytes(2, "little")
            for text in (b"{}", b'"\\ud800"', b"1" * 5000, b"[" * 500 + b"]" * 500, b"1e999", b"NaN", b'{"a":1,"a":2}'):
                yield b"\x01\x00" + json.dumps(MANIFEST).encode()[:-1] + b', "more": ' + text + b"}"
        return
    mode, offset = b"\x02" * (target == "client"), len(VALUE_KEYS)
    for number in range(len(CLASS_NAMES)):
        for small in (0, 2):
            for inner in (b"", b"\x04\x01", b"\x02\x05", b"\x03\x03", b"\x0b" + offset.to_bytes(2, "little"), b"\x0a"):
                yield mode + inner + bytes((15 + small * 20, number))
                yield mode + inner + bytes((17, number))
    for number in range(len(MESSAGE_TYPES)):
        yield mode + bytes((19, number))
        yield mode + bytes((19, number)) + bytes(range(200))
    for power in (6, 9, 255):
        yield mode + bytes((0, 18, power, 38, power, 58, power))


########################################################################################################################
# Running
########################################################################################################################


def fuzz(name: str, options: list[str]) -> None:
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        Built.most = LESS_NESTED if count % DEEP_EVERY else MOST_NESTED
        check(name, data, memory=count % MEMORY_EVERY == 0)
        place = find(1)
        while place >= 0:
            HITS[place] = 0
            ATHERIS._trace_branch(place)
            place = find(1, place)

    prepare()
    # What is there now stays, and inputs leave no circles that are worth looking for often.
    gc.freeze()
    gc.set_threshold(50_000)
    corpus = FUZZ / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number:05}").write_bytes(seed)
    find = HITS.find
    limits = [
        f"-timeout={INPUT_TIMEOUT}",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FUZZ}/{name}-",
        "-max_len=256",
        "-reload=0",
    ]
    ATHERIS.Setup([sys.argv[0], *limits, "-print_final_stats=1", *options, str(corpus)], one)
    ATHERIS.Fuzz()


def main() -> int:
    if len(sys.argv) > 1:
        name, *rest = sys.argv[1:]
        if rest and rest[0] == "--runs":
            rest = [f"-runs={rest[1]}"]
        elif rest and os.path.exists(rest[0]):
            prepare()
            for path in rest:
                for Built.most in (MOST_NESTED, LESS_NESTED):
                    check(name, Path(path).read_bytes(), memory=True)
            return 0
        else:
            rest = rest or [f"-max_total_time={os.environ.get('FUZZ_SECONDS', '60')}"]
        fuzz(name, rest)
        return 0
    FUZZ.mkdir(parents=True, exist_ok=True)
    total, broken = 0, []
    for name in TARGETS:
        started = time.monotonic()
        log = FUZZ / f"{name}.log"
        with open(log, "w") as output:
            code = subprocess.call([sys.executable, __file__, name], stdout=output, stderr=subprocess.STDOUT)
        said = log.read_text(errors="replace")
        counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
        count = int(counted[1]) if counted else 0
        total += count
        print(f"{name:10} {count:>12,} inputs in {time.monotonic() - started:.0f} s{'' if not code else ': BROKEN'}")
        if code or not count:
            broken.append(name)
            print("".join(said.splitlines(keepends=True)[-40:]))
    print(f"{'total':10} {total:>12,} inputs; {'all promises held' if not broken else 'see above'}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Framing: any split of any bytes, against msgspec's frame classes from Airflow's own comms module."""

from __future__ import annotations

import datetime as dt
import math
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterable

import pytest
from building import REPO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coordinator_bundle as cb
from coordinator_bundle import FrameError, FrameReader

msgpack = pytest.importorskip("msgpack")
msgspec = pytest.importorskip("msgspec")
pendulum = pytest.importorskip("pendulum")
comms = pytest.importorskip("airflow.sdk.execution_time.comms")

UTC = dt.timezone.utc
request_decoder = msgspec.msgpack.Decoder(comms._RequestFrame)
response_decoder = msgspec.msgpack.Decoder(comms._ResponseFrame)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=20)
    | st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30), timezones=st.just(UTC))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
bodies = st.dictionaries(texts, values, max_size=5)
carriers = st.none() | st.dictionaries(texts, texts, max_size=2)
ids = st.integers(0, 2**63 - 1)


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def payload_of(parts: Iterable[bytes | memoryview]) -> bytes:
    data = b"".join(parts)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    return data[4:]


def drain(reader: FrameReader) -> list[bytes]:
    taken = []
    while (payload := reader.next_frame()) is not None:
        taken.append(bytes(payload))
    return taken


def pieces(draw_sizes: list[int], data: bytes):
    position = 0
    for size in draw_sizes:
        yield data[position : position + size]
        position += size
    yield data[position:]


# --- reading ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), st.lists(st.integers(0, 40), max_size=60))
def test_any_split_of_a_stream_gives_the_same_frames(payloads, sizes):
    reader = FrameReader()
    taken = []
    for piece in pieces(sizes, b"".join(map(frame, payloads))):
        reader.feed(piece)
        taken += drain(reader)
    reader.end()
    assert taken == payloads


@given(
    st.lists(st.binary(min_size=1, max_size=50) | st.integers(1, 150_000).map(lambda n: bytes(n)), max_size=4),
    st.lists(st.integers(1, 100_000), max_size=30),
    st.data(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_receiving_into_its_buffer_gives_the_same_frames_as_feeding(payloads, sizes, data):
    stream = b"".join(map(frame, payloads))
    reader = FrameReader()
    position, taken = 0, []
    while position < len(stream):
        size = sizes.pop() if sizes else 2**30
        if data.draw(st.booleans()) if len(sizes) < 5 else False:
            reader.feed(stream[position : position + size])
            position += min(size, len(stream) - position)
        else:
            buffer = reader.get_buffer()
            count = min(size, len(buffer), len(stream) - position)
            buffer[:count] = stream[position : position + count]
            reader.buffer_updated(count)
            position += count
        taken += drain(reader)
    reader.end()
    assert taken == payloads


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_stream_that_ends_inside_a_frame_says_how_far_it_came(payload, data):
    stream = frame(payload)
    cut = data.draw(st.integers(1, len(stream) - 1))
    reader = FrameReader()
    reader.feed(stream[:cut])
    assert reader.next_frame() is None
    assert reader.needed == (4 - cut if cut < 4 else len(stream) - cut)
    came = f"{cut} of 4 bytes" if cut < 4 else f"{cut - 4} of {len(payload)} bytes"
    with pytest.raises(FrameError, match=came):
        reader.end()


def test_end_of_stream_between_frames_is_no_error():
    reader = FrameReader()
    reader.feed(frame(b"one"))
    reader.end()
    assert reader.next_frame() == b"one"
    reader.get_buffer()
    reader.buffer_updated(0)


def test_end_of_stream_while_receiving_into_the_buffer_is_reported():
    reader = FrameReader()
    reader.feed(frame(bytes(100_000))[:50_000])
    reader.get_buffer()
    with pytest.raises(FrameError, match="49996 of 100000"):
        reader.buffer_updated(0)


def test_a_frame_of_length_zero_is_an_error_after_the_good_frames_before_it():
    reader = FrameReader()
    reader.feed(frame(b"good") + b"\0\0\0\0" + frame(b"never read"))
    assert reader.next_frame() == b"good"
    for attempt in (reader.next_frame, reader.end, reader.next_frame):
        with pytest.raises(FrameError, match="length zero"):
            attempt()


def test_a_header_that_claims_four_gigabytes_allocates_only_what_arrives():
    tracemalloc.start()
    try:
        reader = FrameReader()
        reader.feed(b"\xff\xff\xff\xff" + b"x" * 1000)
        assert reader.needed == 2**32 - 1 - 1000
        assert len(reader.get_buffer()) <= 64 * 1024
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


@pytest.mark.parametrize("way", ["fed", "received"])
def test_a_large_payload_is_held_once(way):
    size = 32 * 1024 * 1024
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        reader = FrameReader()
        reader.feed(size.to_bytes(4, "big"))
        remaining = size
        while remaining:
            if way == "fed":
                reader.feed(piece)
                remaining -= len(piece)
            else:
                buffer = reader.get_buffer()
                count = min(len(buffer), len(piece))
                buffer[:count] = piece[:count]
                reader.buffer_updated(count)
                remaining -= count
        payload = reader.next_frame()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert payload is not None and len(payload) == size
    # bytearray's own reserve is an eighth
    assert peak < size * 1.13 + 2 * 1024 * 1024


def test_more_received_than_the_buffer_holds_is_refused():
    reader = FrameReader()
    buffer = reader.get_buffer()
    with pytest.raises(FrameError, match="buffer_updated"):
        reader.buffer_updated(len(buffer) + 1)
    with pytest.raises(FrameError, match="without a get_buffer"):
        reader.buffer_updated(1)


# --- a long text ------------------------------------------------------------------------------------------------------


def receiver(stream: bytes, sizes: list[int]):
    """Gives what is left of a stream, in pieces of these sizes and then as much as fits."""
    position = 0

    def receive(buffer: memoryview) -> int:
        nonlocal position
        count = min(sizes.pop() if sizes else 2**30, len(buffer), len(stream) - position)
        buffer[:count] = stream[position : position + count]
        position += count
        return count

    return receive


def answers(stream: bytes, sizes: list[int], parted: list[cb.TextPayload] | None = None) -> list[tuple]:
    """What a client reads from a stream: an answer, or the error in place of one; and which had a text in parts."""
    reader, receive, taken = FrameReader(), receiver(stream, sizes), []
    while reader.fill(receive):
        while (payload := reader.next_frame()) is not None:
            if parted is not None and isinstance(payload, cb.TextPayload):
                parted.append(payload)
            try:
                taken.append(cb.decode_response(payload))
            except FrameError as error:
                taken.append((str(error),))
    return taken


def answer_with_text(id: int, body: dict, text: str) -> bytes:
    """A frame in which this text, that is "text" in the body, has a head of 5 bytes however short it is."""
    encoded = text.encode()
    payload = msgpack.packb([id, body, None], datetime=True)
    assert payload.count(b"\xa4text") == 1
    return frame(payload.replace(b"\xa4text", b"\xdb" + len(encoded).to_bytes(4, "big") + encoded))


alphabets = ["x", "xyé", "aé日", "a日😀", "\0\x7f"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([{}, {"key": "k", "none": None}, {"a": [{"n": -1.5}, True], "b": b"b", "c": "c" * 9}]),
            st.integers(0, 1000),
            st.sampled_from(alphabets),
            st.integers(0, 1500),
            st.sampled_from([{}, {"z": 1}, {"y": "y" * 50, "z": ["z" * 150, dt.datetime(2026, 1, 1, tzinfo=UTC)]}]),
            st.sampled_from([lambda text: text, lambda text: [[text], 1], lambda text: {"inner": text}]),
        ),
        max_size=3,
    ),
    st.lists(st.integers(1, 90), max_size=60),
)
@settings(max_examples=400)
def test_a_text_received_in_parts_is_what_it_is_in_one(made, sizes):
    expected, stream, least, parted = [], b"", 0, []
    for number, (before, ascii_first, letters, length, after, place) in enumerate(made):
        text = "x" * ascii_first + (letters * length)[:length]
        expected.append((number, {**before, "value": place(text), **after}, None))
        stream += answer_with_text(number, {**before, "value": place("text"), **after}, text)
        # A text that may have arrived before it was looked for is no longer than the limit and what is read ahead.
        least += len(text.encode()) > 400
    with pytest.MonkeyPatch.context() as patch:
        # Limits of which a text this short is beyond.
        patch.setattr(cb, "READ_AHEAD", 48)
        patch.setattr(cb, "GROWTH_LIMIT", 200)
        patch.setattr(cb, "TEXT_SEARCH", 60)
        assert answers(stream, sizes, parted) == expected
    assert len(parted) >= least


@pytest.mark.parametrize("without", ["nothing", "_ctypes", "threads"])
@pytest.mark.parametrize("ascii_first", [0, 2_500_000])
@pytest.mark.parametrize("letters", alphabets)
def test_a_text_of_megabytes_is_received_in_parts(letters, ascii_first, without, monkeypatch):
    if without == "_ctypes":
        monkeypatch.setitem(sys.modules, "_ctypes", None)
    elif without == "threads":
        monkeypatch.setattr("_thread.start_new_thread", no_thread)
    text = "x" * ascii_first + (letters * 4_000_000)[:3_500_001]
    stream = b"".join(cb.encode_response(3, {"type": "XComResult", "key": "k", "value": text}))
    reader, receive = FrameReader(), receiver(stream + frame(b"next"), [4, 3, 700])
    while (payload := reader.next_frame()) is None:
        assert reader.fill(receive)
    assert isinstance(payload, cb.TextPayload) and len(payload.payload) < 100
    _, body, _ = cb.decode_response(payload)
    assert body == {"type": "XComResult", "key": "k", "value": text}
    assert drain(reader) == [b"next"]


def no_thread(*arguments: object) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("missing", [1, 2, 50_000, 1_900_000])
def test_a_stream_that_ends_inside_a_text_says_how_far_it_came(missing):
    stream = b"".join(cb.encode_response(3, {"value": "é" * 1_000_000}))
    length = len(stream) - 4
    with pytest.raises(FrameError, match=f"{length - missing} of {length} bytes"):
        answers(stream[:-missing], [])


@pytest.mark.parametrize(
    ("letter", "at", "wrong", "why"),
    [
        ("x", 0, b"\xff", "invalid start byte at byte 0"),
        ("x", 1_500_000, b"\xed\xa0\x80", "invalid continuation byte at byte 1500000"),
        ("x", 2_999_999, b"\xc3", "unexpected end of data at byte 2999999"),
        ("日", 1_500_000, b"\xff", "invalid start byte at byte 1500000"),
    ],
)
def test_a_text_that_is_not_utf8_is_an_error_and_the_next_answer_is_read(letter, at, wrong, why):
    text = bytearray(letter.encode() * 3_000_000)[:3_000_000]
    text[at : at + len(wrong)] = wrong
    payload = b"\x93\x05\x81\xa5value\xdb" + len(text).to_bytes(4, "big") + text + b"\xc0"
    (said,), after = answers(frame(payload) + b"".join(cb.encode_response(6, {"a": 1})), [])
    assert said == f"a response frame cannot be read: a text of 3000000 bytes is not UTF-8: {why}"
    assert after == (6, {"a": 1}, None)


@pytest.mark.parametrize("more", [1, 2**31])
def test_a_text_that_claims_more_than_its_frame_holds_is_an_error(more):
    text = b"x" * 3_000_000
    payload = b"\x93\x05\x81\xa5value\xdb" + (len(text) + 1 + more).to_bytes(4, "big") + text + b"\xc0"
    (said,), after = answers(frame(payload) + b"".join(cb.encode_response(6, {"a": 1})), [])
    assert said.startswith(f"a response frame of {len(payload)} bytes is not msgpack that can be read")
    assert after == (6, {"a": 1}, None)


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_extension_is_refused_beside_a_text_too(place):
    text = b"\xdb" + (2_000_000).to_bytes(4, "big") + b"x" * 2_000_000
    pair = [text, cb.TEXT_MARK]
    payload = b"\x92\x05\x81\xa1v\x92" + b"".join(pair if place == "after" else reversed(pair))
    assert answers(frame(payload), []) == [
        ("a msgpack extension of type 0 arrived: only timestamps (-1) are part of the protocol",)
    ]


def test_what_is_wrong_after_a_text_is_said_with_the_length_of_the_whole_frame():
    text = b"x" * 2_000_000
    payload = b"\x93\x05\x81\xa5value\xdb" + len(text).to_bytes(4, "big") + text + b"\xc1"
    ((said,),) = answers(frame(payload), [])
    assert said.startswith(f"a response frame of {len(payload)} bytes is not msgpack that can be read")


def test_of_several_long_texts_each_is_in_its_place():
    body = {"root": ["a" * 2_000_000, "é" * 1_500_000, "c" * 3_000_000, "d"], "type": "XComSequenceSliceResult"}
    parted: list[cb.TextPayload] = []
    stream = b"".join(cb.encode_response(3, body)) + b"".join(cb.encode_response(4, {"a": 1}))
    assert answers(stream, [4, 700], parted) == [(3, body, None), (4, {"a": 1}, None)]
    assert [payload.text for payload in parted] == [body["root"][0]]


def test_what_comes_after_a_text_is_counted_on_its_own():
    stream = b"".join(cb.encode_response(3, {"value": "x" * 2_000_000})) + frame(bytes(100_000))
    with pytest.raises(FrameError, match="99999 of 100000 bytes"):
        answers(stream[:-1], [])


def test_a_text_that_was_fed_for_the_most_part_is_read_to_its_end():
    stream = b"".join(cb.encode_response(3, {"value": "x" * 3_000_000}))
    reader, receive = FrameReader(), receiver(stream[2_000_000:], [])
    reader.feed(stream[:2_000_000])
    while (payload := reader.next_frame()) is None:
        assert reader.fill(receive)
    assert cb.decode_response(payload) == (3, {"value": "x" * 3_000_000}, None)


def test_a_long_text_is_held_once():
    size = 32 * 1024 * 1024
    stream = b"".join(cb.encode_response(3, {"value": "x" * size}))
    reader, receive = FrameReader(), receiver(stream, [])
    tracemalloc.start()
    try:
        while (payload := reader.next_frame()) is None:
            reader.fill(receive)
        _, body, _ = cb.decode_response(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body is not None and len(body["value"]) == size
    # What a growing str sets aside is a quarter; no page of it is touched.
    assert peak < size * 1.25 + 3 * 1024 * 1024


def test_a_text_takes_memory_as_it_arrives_whatever_its_length_is_said_to_be():
    program = """
import resource
import coordinator_bundle as cb
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
head = (2**29 + 9).to_bytes(4, "big") + b"\\x93\\x05\\xa1v\\xdb" + (2**29).to_bytes(4, "big")
begun = memoryview(head + b"x" * 3 * 2**20)
position, reader, before = 0, cb.FrameReader(), most()
def receive(buffer):
    global position
    count = min(len(buffer), len(begun) - position)
    buffer[:count] = begun[position : position + count]
    position += count
    return count
try:
    while reader.fill(receive):
        pass
except cb.FrameError as error:
    print(most() - before, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPO, timeout=120)
    grown, _, said = done.stdout.partition(" ")
    assert said.startswith("the stream ended inside a frame: 3145737 of 536870921 bytes"), done.stderr
    assert int(grown) < 48


def test_no_memory_is_made_ready_for_a_text_that_may_be_gone(monkeypatch):
    made = []

    def slow(function: str, *arguments: object) -> int:
        time.sleep(0.2)
        made.append(function)
        return 0

    monkeypatch.setattr(cb, "call_libc", slow)
    body = {"value": "x" * 3_000_000}
    assert answers(b"".join(cb.encode_response(3, body)), []) == [(3, body, None)]
    assert made == ["madvise"]


def test_a_text_for_which_there_is_no_memory_is_an_error_and_the_next_answer_is_read():
    program = """
import resource, sys
import coordinator_bundle as cb
stream = b"".join(cb.encode_response(5, {"value": "x" * 2**28})) + b"".join(cb.encode_response(6, {"a": 1}))
limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 2**27
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
position, reader = 0, cb.FrameReader()
def receive(buffer):
    global position
    count = min(len(buffer), len(stream) - position)
    buffer[:count] = memoryview(stream)[position : position + count]
    position += count
    return count
while reader.fill(receive):
    while (payload := reader.next_frame()) is not None:
        try:
            print(cb.decode_response(payload))
        except cb.FrameError as error:
            print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPO, timeout=120)
    assert done.stdout.splitlines() == [
        "a response frame cannot be read: there is no memory for a text of 268435456 bytes",
        "(6, {'a': 1}, None)",
    ], done.stderr


# --- encoding ---------------------------------------------------------------------------------------------------------


@given(ids, bodies, carriers)
def test_airflows_own_decoder_reads_our_requests(id, body, carrier):
    decoded = request_decoder.decode(payload_of(cb.encode_request(id, body, carrier)))
    assert (decoded.id, decoded.body, decoded.context_carrier) == (id, body, carrier)


@given(ids, st.none() | bodies, st.none() | bodies)
def test_airflows_own_decoder_reads_our_responses(id, body, error):
    decoded = response_decoder.decode(payload_of(cb.encode_response(id, body, error)))
    assert (decoded.id, decoded.body, decoded.error) == (id, body, error)


def test_a_request_without_trace_context_has_two_elements():
    assert msgpack.unpackb(payload_of(cb.encode_request(3, {"type": "X"}))) == [3, {"type": "X"}]
    assert msgpack.unpackb(payload_of(cb.encode_request(3, {}, {"traceparent": "00"}))) == [
        3,
        {},
        {"traceparent": "00"},
    ]


@pytest.mark.parametrize("size", [cb.COPY_LIMIT - 100, cb.COPY_LIMIT - 3, cb.COPY_LIMIT, cb.COPY_LIMIT + 1, 3_000_000])
@pytest.mark.parametrize("make", [lambda size: "v" * size, lambda size: "é" * (size // 2), lambda size: ["v" * size]])
@pytest.mark.parametrize("carrier", [None, {"traceparent": "00"}])
def test_frames_on_both_sides_of_the_copy_limit_are_whole(size, make, carrier):
    body = {"type": "SetXCom", "value": make(size), "at": dt.datetime(2026, 1, 1, tzinfo=UTC)}
    assert cb.decode_request(payload_of(cb.encode_request(7, body, carrier))) == (7, body, carrier)


def test_a_frame_with_two_long_texts_is_whole():
    body = {"key": "k" * 300_000, "value": "v" * 400_000, "type": "SetXCom"}
    assert cb.decode_request(payload_of(cb.encode_request(7, body))) == (7, body, None)


def test_a_long_text_is_not_held_twice_to_be_sent():
    body = {"type": "SetXCom", "value": "v" * 20_000_000}
    tracemalloc.start()
    try:
        sent = sum(len(part) for part in cb.encode_request(1, body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > 20_000_000 and peak < 1024 * 1024


def test_what_cannot_be_sent_is_an_error_before_a_part_of_a_long_frame_is():
    for body in ({"value": "v" * 1_000_000, "a": object()}, {"value": ["v" * 1_000_000], "a": object()}):
        with pytest.raises(FrameError, match="body.a"):
            cb.encode_request(1, body)


def test_times_arrive_at_airflow_as_the_same_instant_whatever_their_zone_or_class():
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    times = [
        dt.datetime(2026, 6, 16, 12, 0, 0, 123456, zone),
        dt.datetime(1901, 1, 1, 1, 1, 1, 999999, UTC),
        pendulum.datetime(2026, 3, 29, 2, 30, 0, 5, tz="Europe/Berlin"),
    ]
    decoded = request_decoder.decode(payload_of(cb.encode_request(0, {"times": times})))
    assert decoded.body["times"] == times


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"a": [1, {"b": object()}]}, ["body.a[1].b", "object"]),
        ({"a": {"b": {1, 2}}}, ["body.a.b", "set"]),
        ({"a": 2**64}, ["body.a", "int", "64 bits"]),
        ({"a": [0, -(2**63) - 1]}, ["body.a[1]", "int"]),
        ({"a": "\ud800"}, ["body.a", "str", "surrogates"]),
        ({"a": {"\udfff": 1}}, ["body.a", "str as a key"]),
        ({"a": dt.datetime(2026, 1, 1)}, ["body.a", "datetime"]),
        ({"a": dt.timedelta(1)}, ["body.a", "timedelta"]),
        ({object(): 1}, ["body", "object as a key"]),
    ],
)
def test_what_msgpack_cannot_carry_is_named_with_its_path(body, words):
    with pytest.raises(FrameError) as caught:
        cb.encode_request(1, body)
    for word in words:
        assert word in str(caught.value)


def test_a_value_that_contains_itself_is_an_error_and_not_a_crash():
    endless: list = []
    endless.append(endless)
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": deep}
    for value in (endless, deep):
        with pytest.raises(FrameError, match="nested too deeply"):
            cb.encode_request(1, {"value": value})
    while deep:  # else its destructor recurses
        deep = deep["a"]


# --- decoding ---------------------------------------------------------------------------------------------------------


@given(ids, st.none() | bodies, st.none() | bodies)
def test_we_read_the_responses_that_airflow_writes(id, body, error):
    data = comms._ResponseFrame(id=id, body=body, error=error).as_bytes()
    assert cb.decode_response(payload_of([data])) == (id, body, error)


@given(ids, bodies, carriers)
def test_we_read_the_requests_that_airflow_writes(id, body, carrier):
    data = comms._RequestFrame(id=id, body=body, context_carrier=carrier).as_bytes()
    assert cb.decode_request(payload_of([data])) == (id, body, carrier)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([4], (4, None, None)),
        ([4, {"type": "X"}], (4, {"type": "X"}, None)),
        ([4, None, {"error": "E"}], (4, None, {"error": "E"})),
        ([4, None, None, "from a newer supervisor"], (4, None, None)),
    ],
)
def test_shorter_and_longer_responses_are_taken(elements, expected):
    assert cb.decode_response(msgpack.packb(elements)) == expected


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\x93\x01", "not msgpack"),
        (b"\x91\x01\x00\x00", "2 bytes after its end"),
        (b"\x92\x01\x81\xa1a\xa1\xff", "not msgpack"),
        (msgpack.packb({"id": 1}), "a dict, not an array"),
        (msgpack.packb([]), "0 elements"),
        (msgpack.packb(["1", {}]), "id of a response frame is a str"),
        (msgpack.packb([True, {}]), "id of a response frame is a bool"),
        (msgpack.packb([1, "body"]), "body of the response is a str"),
        (msgpack.packb([1, None, []]), "error of the response is a list"),
        (msgpack.packb([1, {5: 1}]), "map key"),
        (msgpack.packb([1, {b"key": 1}]), "bytes as a key"),
        (msgpack.packb([1, {"a": msgpack.ExtType(5, b"abcd")}]), "extension of type 5"),
        (b"\x91" * 100_000 + b"\xc0", "nested too deeply"),
        (b"\x92\x01\x81\xa1a\xc7\x0c\xff\x00\x00\x00\x00\x7f" + b"\xff" * 7, "not msgpack"),
        (b"\x92\x01\xdd\xff\xff\xff\xff", "not msgpack"),
    ],
)
def test_a_broken_response_is_a_precise_error(payload, words):
    with pytest.raises(FrameError, match=words):
        cb.decode_response(payload)


@given(st.binary(max_size=200) | ids.flatmap(lambda id: st.binary(max_size=60).map(lambda b: msgpack.packb([id]) + b)))
@settings(max_examples=400)
def test_garbage_gives_frame_errors_and_nothing_else(garbage):
    for decode in (cb.decode_response, cb.decode_request):
        try:
            decode(garbage)
        except FrameError:
            pass
    reader = FrameReader()
    reader.feed(garbage)
    try:
        drain(reader)
        reader.end()
    except FrameError:
        pass


@given(ids, bodies, st.data())
def test_a_damaged_frame_gives_a_frame_error_or_a_frame(id, body, data):
    payload = bytearray(payload_of(cb.encode_request(id, body)))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        cb.decode_request(payload)
    except FrameError:
        pass


def test_a_frame_that_lies_about_its_lengths_costs_no_memory():
    hostile = b"\x92\x01" + b"\xdd\x7f\xff\xff\xff" * 500
    tracemalloc.start()
    try:
        with pytest.raises(FrameError):
            cb.decode_response(hostile)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


def test_special_floats_survive():
    _, body, _ = cb.decode_request(payload_of(cb.encode_request(1, {"a": [math.inf, -math.inf, math.nan]})))
    assert body is not None
    assert body["a"][:2] == [math.inf, -math.inf] and math.isnan(body["a"][2])


def test_a_large_frame_crosses_a_real_socket_both_ways():
    body = {"type": "SetXCom", "value": "é" * 2_000_000}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=ours.sendall, args=(b"".join(cb.encode_request(9, body)),))
        sender.start()
        reader = FrameReader()
        while (payload := reader.next_frame()) is None:
            reader.buffer_updated(theirs.recv_into(reader.get_buffer()))
        sender.join()
        assert cb.decode_request(payload) == (9, body, None)


def test_threads_may_encode_at_the_same_time():
    results: list = []

    def work(number: int) -> None:
        body = {"number": number, "value": "x" * (number * 40_000)}
        for _ in range(20):
            results.append(cb.decode_request(payload_of(cb.encode_request(number, body))) == (number, body, None))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 240 and all(results)

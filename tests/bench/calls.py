"""What a call to the supervisor and a log record cost a task: our client beside Airflow's, in front of the same peer.

Both sides run in processes of their own, in turns; the peer is a forked process that answers from prepared bytes, so
that what is measured is the task's half. `python calls.py SIDE JOB COUNT` prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

REPO = Path(__file__).resolve().parent.parent.parent
BIG = 100 * 2**20  # bytes
WHERE = {"key": "return_value", "dag_id": "dag", "task_id": "task", "run_id": "run", "map_index": -1}


def text() -> str:
    return "x" * BIG


def rows() -> list[dict[str, Any]]:
    """Rows as a query returns them, of about the same size when packed."""
    row = {"id": 123_456, "name": "a customer of ours", "amount": 1234.5, "tags": ["new", "north"], "open": True}
    return [row.copy() for _ in range(BIG // len(msgpack.packb(row)))]


def peer(sock: socket.socket) -> None:
    """Answer every frame by the type of its request; end at the end of the stream."""
    answers = {
        "GetVariable": {"type": "VariableResult", "key": "key", "value": "value"},
        "GetXCom": {"type": "XComResult", "key": "return_value", "value": {"rows": 3, "path": "s3://bucket/key"}},
    }
    packed = {name: msgpack.packb(body) for name, body in answers.items()}
    packed["text"] = msgpack.packb({"type": "XComResult", "key": "text", "value": text()})
    packed["rows"] = msgpack.packb({"type": "XComResult", "key": "rows", "value": rows()})
    stream = sock.makefile("rb")
    scratch = memoryview(bytearray(2**20))
    sock.sendall(b"!")
    while header := stream.read(4):
        length = int.from_bytes(header, "big")
        if length > 2**20:
            # A value that was sent: only the id at its head matters.
            head = stream.read(16)
            length -= len(head)
            unpacker = msgpack.Unpacker()
            unpacker.feed(head)
            unpacker.read_array_header()
            request_id, kind = unpacker.unpack(), ""
            while length:
                length -= stream.readinto(scratch[:length])
        else:
            frame = msgpack.unpackb(stream.read(length))
            request_id, kind = frame[0], frame[1]["type"]
            if frame[1].get("key") in ("text", "rows"):
                kind = frame[1]["key"]
        body = packed.get(kind, b"\xc0")
        head = b"\x93" + msgpack.packb(request_id)
        head = (len(head) + len(body) + 1).to_bytes(4, "big") + head
        if len(body) > 2**20:
            sock.sendall(head)
            sock.sendall(body)
            sock.sendall(b"\xc0")
        else:
            sock.sendall(head + body + b"\xc0")


def connect(side: str) -> tuple[Callable[[Any], Any], Any]:
    """A function that sends a message and returns the answer, and the module that the messages are from."""
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        peer(theirs)
        os._exit(0)
    theirs.close()
    ours.recv(1)
    if side == "bundle":
        import coordinator_bundle as b

        return b.SupervisorClient(b.Transport(ours)).send, b
    from airflow.sdk.execution_time import comms

    return comms.CommsDecoder(socket=ours).send, comms  # type: ignore[return-value]


def small(side: str, count: int) -> dict[str, float]:
    """Seconds for `count` rounds of a variable read, an XCom read and an XCom written."""
    send, messages = connect(side)

    def rounds(number: int) -> None:
        for _ in range(number):
            send(messages.GetVariable(key="key"))
            send(messages.GetXCom(**WHERE, include_prior_dates=False))
            send(messages.SetXCom(**WHERE, value={"rows": 3, "path": "s3://bucket/key"}))

    rounds(count // 10)
    started = time.perf_counter()
    rounds(count)
    return {"seconds": time.perf_counter() - started}


def get_text(side: str, count: int) -> dict[str, float]:
    return weigh(side, lambda send, messages: send(messages.GetXCom(**{**WHERE, "key": "text"})))


def get_rows(side: str, count: int) -> dict[str, float]:
    return weigh(side, lambda send, messages: send(messages.GetXCom(**{**WHERE, "key": "rows"})))


def set_text(side: str, count: int) -> dict[str, float]:
    return weigh(side, lambda send, messages, value: send(messages.SetXCom(**WHERE, value=value)), text)


def set_rows(side: str, count: int) -> dict[str, float]:
    return weigh(side, lambda send, messages, value: send(messages.SetXCom(**WHERE, value=value)), rows)


def weigh(side: str, job: Callable[..., Any], make: Callable[[], Any] | None = None) -> dict[str, float]:
    """Seconds for a value of 100 MiB, and by how much the process grew, the value itself counted."""
    send, messages = connect(side)
    send(messages.GetVariable(key="key"))
    before = peak()
    values = () if make is None else (make(),)
    started = time.perf_counter()
    answer = job(send, messages, *values)  # held, as a task holds what it asked for
    took = time.perf_counter() - started
    del answer
    return {"seconds": took, "MiB": (peak() - before) / 2**20}


def peak() -> float:
    """The most memory that this process has had resident, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def logs(side: str, count: int) -> dict[str, float]:
    """Seconds until `count` records of the standard logging package have left for the log socket."""
    ours, theirs = socket.socketpair()
    reader = os.fork()
    if not reader:
        ours.close()
        lines = 0
        while data := theirs.recv(2**20):
            lines += data.count(b"\n")
        os._exit(0 if lines == count else 1)
    theirs.close()
    if side == "bundle":
        import coordinator_bundle as b

        b.log_channel.connect(ours.sendall)
        b.capture_logging()
    else:
        from airflow.sdk.log import configure_logging

        # As the runner does in the process that it forks (airflow.sdk.execution_time.supervisor).
        stream = os.fdopen(os.dup(ours.fileno()), "wb", buffering=0)
        configure_logging(json_output=True, output=stream, sending_to_supervisor=True)
    logger = logging.getLogger("task.rows")
    started = time.perf_counter()
    for number in range(count):
        logger.info("row %d of %s", number, "table")
    took = time.perf_counter() - started
    # The reader counts the lines; its end is the end of the stream.
    ours.shutdown(socket.SHUT_RDWR)
    if os.waitpid(reader, 0)[1]:
        raise SystemExit(f"{side}: not every one of {count} records arrived")
    return {"seconds": took}


if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    jobs = {f.__name__: f for f in (small, get_text, get_rows, set_text, set_rows, logs)}
    print(json.dumps(jobs[sys.argv[2]](sys.argv[1], int(sys.argv[3]))))

"""One task at a time, in a process of its own, under a supervisor that plays a script."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgpack
import pytest

import coordinator_bundle

MODULE = Path(__file__).resolve().parent.parent / "coordinator_bundle.py"
PATIENCE = 30  # Seconds until a test that waits for a process gives up.
CARRIER = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
WHEN = datetime(2026, 5, 17, 6, 30, tzinfo=timezone.utc)


# --- the supervisor ---------------------------------------------------------------------------------------------------


def startup(task_id: str = "t", **changes: Any) -> dict[str, Any]:
    """What the supervisor starts a task with; `changes` go to where their name is a field."""
    run = {
        "dag_id": "flow",
        "run_id": "manual__1",
        "logical_date": WHEN,
        "data_interval_start": WHEN.replace(day=16),
        "data_interval_end": WHEN,
        "run_after": WHEN,
        "start_date": WHEN,
        "end_date": None,
        "run_type": "manual",
        "state": "running",
        "conf": {},
        "consumed_asset_events": [],
        "partition_key": None,
    }
    context = {"dag_run": run, "max_tries": 0, "should_retry": False, "task_reschedule_count": 0}
    ti = {
        "id": "01980000-0000-7000-8000-000000000001",
        "dag_version_id": "01980000-0000-7000-8000-000000000002",
        "task_id": task_id,
        "dag_id": "flow",
        "run_id": "manual__1",
        "try_number": 1,
        "map_index": -1,
        "context_carrier": {},
    }
    details = {
        "type": "StartupDetails",
        "ti": ti,
        "dag_rel_path": "flow.py",
        "bundle_info": {"name": "dags", "version": None},
        "start_date": WHEN,
        "ti_context": context,
        "sentry_integration": "",
    }
    for name, value in changes.items():
        place = next((each for each in (ti, run, details) if name in each), context)
        place[name] = value
    return details


def pack(frame: Any) -> bytes:
    payload = msgpack.packb(frame, datetime=True)
    return struct.pack(">I", len(payload)) + payload


class Failure(dict):
    """An answer for the error slot of a frame."""


class Task:
    """A process that runs a task, and the supervisor's ends of its connections.

    Fields after `finish`: `frames` (as received), `asked` (their bodies), `code`, `logs`, `text` (what it printed).
    """

    def __init__(
        self,
        folder: Path,
        dag: str,
        transport: str = "socket",
        env: dict[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        path = folder / "flow.py"
        path.write_text(dag)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment.update(env or {})
        self.frames: list[list[Any]] = []
        self.answers: dict[str, Any] = {}
        self.logs: list[dict[str, Any]] = []
        self.events: list[str] = []
        command = [sys.executable, str(MODULE), str(path), *more]
        options: dict[str, Any] = {"env": environment, "stderr": subprocess.PIPE, "cwd": folder}
        self.log_socket: socket.socket | None = None
        if transport == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as comm, socket.create_server(("127.0.0.1", 0)) as logs:
                flags = [f"--comm=127.0.0.1:{comm.getsockname()[1]}", f"--logs=127.0.0.1:{logs.getsockname()[1]}"]
                self.process = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, **options)
                for server in (comm, logs):
                    server.settimeout(PATIENCE)
                self.comm = comm.accept()[0]
                self.log_socket = logs.accept()[0]
            self._read, self._write = self.comm.recv, self.comm.sendall
        elif transport == "socket":
            self.comm, theirs = socket.socketpair()
            self.process = subprocess.Popen([*command, "--stdio"], stdin=theirs, stdout=subprocess.PIPE, **options)
            theirs.close()
            self._read, self._write = self.comm.recv, self.comm.sendall
        else:
            self.process = subprocess.Popen(
                [*command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **options
            )
            self._read, self._write = self.process.stdout.read, self.process.stdin.write  # type: ignore[union-attr]
        self.transport = transport
        if transport != "pipes":
            self.comm.settimeout(PATIENCE)
        self._gather_output()

    def _gather_output(self) -> None:
        self.output: dict[str, bytes] = {"stderr": b"", "stdout": b""}

        def gather(name: str, read: Callable[[], bytes]) -> None:
            self.output[name] = read()

        sources: list[tuple[str, Callable[[], bytes]]] = [("stderr", self.process.stderr.read)]  # type: ignore[union-attr]
        if self.transport != "pipes":
            sources.append(("stdout", self.process.stdout.read))  # type: ignore[union-attr]
        if self.log_socket is not None:
            sources.append(("logs", self.log_socket.makefile("rb").read))
        self._threads = [threading.Thread(target=gather, args=source, daemon=True) for source in sources]
        for thread in self._threads:
            thread.start()

    def close_log_socket(self) -> None:
        assert self.log_socket is not None
        self.log_socket.shutdown(socket.SHUT_RDWR)

    def send(self, frame: Any) -> None:
        self.send_bytes(frame if isinstance(frame, bytes) else pack(frame))

    def send_bytes(self, data: bytes) -> None:
        self._write(data)

    def _read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self._read(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return b""
            data += more
        return data

    def receive(self) -> list[Any] | None:
        """Return the next frame, which is noted too; None at the end."""
        head = self._read_exactly(4)
        if not head:
            return None
        frame = msgpack.unpackb(self._read_exactly(struct.unpack(">I", head)[0]), timestamp=3)
        self.frames.append(frame)
        return frame

    def answer(self, frame: list[Any]) -> None:
        body = frame[1]
        answer = self.answers.get(body["type"])
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(body)
        if answer is None and body["type"] == "GetXCom":
            answer = {"type": "XComResult", "key": body["key"], "value": None}
        if isinstance(answer, bytes):
            self.send_bytes(answer)
        elif isinstance(answer, Failure):
            self.send([frame[0], None, dict(answer)])
        else:
            self.send([frame[0], answer, None])

    def serve(self, answers: dict[str, Any] | None = None) -> Task:
        """Answer every request until the task hangs up, then `finish`."""
        self.answers = answers or {}
        while (frame := self.receive()) is not None:
            try:
                self.answer(frame)
            except (BrokenPipeError, ConnectionResetError):
                break
        return self.finish()

    def hang_up(self) -> None:
        if self.transport == "pipes":
            self.process.stdin.close()  # type: ignore[union-attr]
        else:
            self.comm.shutdown(socket.SHUT_RDWR)

    def finish(self) -> Task:
        """Wait for the end of the process and gather what it has left."""
        try:
            self.code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for thread in self._threads:
            thread.join(PATIENCE)
        lines = self.output["logs" if "logs" in self.output else "stderr"].decode().splitlines()
        if "logs" in self.output:
            # The supervisor's reader is unguarded: every line has to be an object with a level.
            self.logs = [
                json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in a log")) for line in lines
            ]
        else:
            self.logs = [json.loads(line) for line in lines if line.startswith("{")]
        self.events = [line["event"] for line in self.logs]
        self.text = self.output["stdout"].decode() + self.output["stderr"].decode()
        if self.transport != "pipes":
            self.comm.close()
        return self

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [frame[1] for frame in self.frames]

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.asked]

    @property
    def outcome(self) -> dict[str, Any]:
        """The last message, without what differs from run to run and what is null."""
        dates = ("end_date", "reschedule_date")
        return {key: value for key, value in self.asked[-1].items() if key not in dates and value is not None}

    @property
    def pushed(self) -> dict[str, Any]:
        return {body["key"]: body["value"] for body in self.asked if body["type"] == "SetXCom"}

    def line(self, event: str) -> dict[str, Any]:
        """The log line with an event."""
        found = [line for line in self.logs if line["event"] == event]
        assert len(found) == 1, f"{event!r} is there {len(found)} times in {self.events}\n{self.text}"
        return found[0]


SUCCESS = {"type": "SucceedTask", "state": "success", "task_outlets": [], "outlet_events": []}
FAILED = {"type": "TaskState", "state": "failed"}
SKIPPED = {"type": "TaskState", "state": "skipped"}
RETRY = {"type": "RetryTask", "state": "up_for_retry"}

PRELUDE = """\
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import (
    DAG, Asset, BaseOperator, Connection, Metadata, Param, Variable, XComArg, dag, get_current_context, task,
)
from airflow.sdk.exceptions import (
    AirflowException, AirflowFailException, AirflowNotFoundException, AirflowRescheduleException,
    AirflowRuntimeError, AirflowSkipException, AirflowTaskTimeout,
)
"""


def python_task(body: str, arguments: str = "", call: str = "", decorator: str = "@task", dag: str = "") -> str:
    """A Dag file with Dag `flow` and in it the TaskFlow task `t`."""
    head = f'{PRELUDE}\nwith DAG("flow", schedule=None, {dag}) as flow:\n    {decorator}\n    def t({arguments}):\n'
    return f"{head}{textwrap.indent(textwrap.dedent(body).strip(), ' ' * 8)}\n\n    t({call})\n"


def classic(body: str, dag: str = "") -> str:
    """A Dag file with Dag `flow` and what `body` puts into it."""
    return (
        f'{PRELUDE}\nwith DAG("flow", schedule=None, {dag}) as flow:\n{textwrap.indent(textwrap.dedent(body), " " * 4)}'
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Task]:
    """run(dag_file, answers, transport=, env=, and what `startup` takes): one task, from start to end."""

    def run_task(
        dag: str,
        answers: dict[str, Any] | None = None,
        *,
        transport: str = "socket",
        env: dict[str, str] | None = None,
        **changes: Any,
    ) -> Task:
        task = Task(tmp_path, dag, transport, env)
        task.send([0, startup(**changes), None])
        return task.serve(answers)

    return run_task


# --- transports and frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "socket", "pipes"])
def test_a_task_runs_over_each_transport(run: Callable[..., Task], transport: str) -> None:
    done = run(
        python_task("print('said'); import logging; logging.getLogger('mine').info('logged'); return 7"),
        transport=transport,
    )
    assert (done.code, done.outcome) == (0, SUCCESS)
    assert done.pushed == {"return_value": 7}
    assert done.line("logged")["logger"] == "mine"
    assert "said\n" in done.text


def test_a_pipe_pair_keeps_what_a_task_prints_out_of_the_frames(run: Callable[..., Task]) -> None:
    done = run(
        python_task("print('by python'); os.system('echo by a child'); os.write(1, b'by descriptor\\n')"),
        transport="pipes",
    )
    assert (done.code, done.outcome) == (0, SUCCESS)
    for text in ("by python", "by a child", "by descriptor"):
        assert text in done.text


@pytest.mark.parametrize("transport", ["socket", "pipes"])
def test_a_task_reads_an_empty_stdin_and_not_the_frames(run: Callable[..., Task], transport: str) -> None:
    assert run(python_task("return sys.stdin.read()"), transport=transport).pushed == {"return_value": ""}


def test_requests_count_from_0_and_each_carries_the_trace_context(run: Callable[..., Task]) -> None:
    done = run(python_task("ti.xcom_push('a', 1); return 2", "ti"), context_carrier={**CARRIER, "other": "x"})
    assert [frame[0] for frame in done.frames] == list(range(len(done.frames)))
    assert len(done.frames) > 3
    assert [frame[2] for frame in done.frames] == [CARRIER] * len(done.frames)


@pytest.mark.parametrize("carrier", [None, {}])
def test_without_a_trace_context_a_request_has_two_elements_or_an_empty_third(
    run: Callable[..., Task], carrier: dict[str, str] | None
) -> None:
    done = run(python_task("pass"), context_carrier=carrier)
    assert done.outcome == SUCCESS
    assert all(len(frame) == 2 or not frame[2] for frame in done.frames)


def test_an_answer_may_come_in_any_pieces(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("return Variable.get('v')"))
    start = pack([0, startup(), None])
    for at in range(0, len(start), 97):
        task.send_bytes(start[at : at + 97])
    value = "x" * 300_000
    assert task.serve({"GetVariable": {"type": "VariableResult", "key": "v", "value": value}}).pushed == {
        "return_value": value
    }


def test_an_answer_of_two_elements_will_do(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("return 1"))
    task.send([0, startup()])
    while (frame := task.receive()) is not None:
        task.send([frame[0], None])
    assert task.finish().outcome == SUCCESS
    assert task.code == 0


def test_fields_and_dates_of_a_newer_or_older_supervisor_are_understood(run: Callable[..., Task]) -> None:
    done = run(
        python_task("return [ds, logical_date.isoformat()]", "ds=None, logical_date=None"),
        logical_date="2026-05-17T06:30:00Z",
        from_the_future={"a": [1]},
    )
    assert done.pushed == {"return_value": ["2026-05-17", "2026-05-17T06:30:00+00:00"]}


def test_both_sockets_are_dialled_before_the_dag_file_is_imported(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    text = (
        f"import os, time\nprint('importing', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    )
    task = Task(tmp_path, text + python_task("return 1"), "tcp")  # Returns when both have been accepted.
    gate.touch()
    task.send([0, startup(), None])
    assert task.serve().outcome == SUCCESS


def test_what_an_import_prints_and_logs_is_in_the_log_of_the_task(run: Callable[..., Task]) -> None:
    text = "import logging\nlogging.getLogger('early').warning('while importing')\n" + python_task("pass")
    done = run(text, transport="tcp")
    line = done.line("while importing")
    assert (line["logger"], line["level"], line["task_id"]) == ("early", "warning", "t")


# --- the Dag file is imported while the supervisor is still at the start of the task ---------------------------------


def mark(name: str) -> str:
    """A line of a Dag file that says by a file that it was reached."""
    return f"open({name!r}, 'w').close()\n"


def reached(task: Task, name: str) -> None:
    """Wait until a task's process, which runs in its own folder, has reached a mark."""
    give_up = time.monotonic() + PATIENCE
    while not (task.folder / name).exists():
        assert task.process.poll() is None and time.monotonic() < give_up, f"it does not get to {name!r}"
        time.sleep(0.01)


def is_idle(task: Task) -> bool:
    """Say whether a process sleeps, seen ten times in a row."""

    def state() -> str:
        return Path(f"/proc/{task.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    give_up = time.monotonic() + PATIENCE
    seen = 0
    while seen < 10 and time.monotonic() < give_up:
        seen = seen + 1 if state() == "S" else 0
        time.sleep(0.01)
    return seen == 10


def test_a_dag_file_is_imported_before_the_first_message_is_there(tmp_path: Path) -> None:
    task = Task(tmp_path, mark("begun") + python_task("return 1") + mark("ended"), "tcp")
    reached(task, "ended")
    task.send([0, startup(), None])
    task.serve()
    assert (task.code, task.outcome, task.pushed) == (0, SUCCESS, {"return_value": 1})
    assert task.events[:2] == ["::group::Pre Execute", "Running in a bundle"]


def test_nothing_is_imported_before_the_supervisor_has_accepted_both_connections(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(mark("begun") + python_task("pass"))
    with socket.create_server(("127.0.0.1", 0)) as comm, socket.create_server(("127.0.0.1", 0)) as logs:
        flags = [f"--comm=127.0.0.1:{comm.getsockname()[1]}", f"--logs=127.0.0.1:{logs.getsockname()[1]}"]
        process = subprocess.Popen([sys.executable, str(MODULE), "flow.py", *flags], cwd=tmp_path)
        messages = comm.accept()[0]
        # The process has dialled both long before it could import a file.
        time.sleep(0.5)
        begun = (tmp_path / "begun").exists()
        records = logs.accept()[0]
        give_up = time.monotonic() + PATIENCE
        while not (tmp_path / "begun").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        assert (begun, (tmp_path / "begun").exists()) == (False, True)
        messages.close()
        assert process.wait(PATIENCE) == 1
        assert b"closed the connection" in records.makefile("rb").read()
        records.close()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("import logging; logging.getLogger('early').warning('shown')", "shown"),
        ("import warnings; warnings.warn('shown')", "shown"),
        ("print(Variable.get('v'))", "of v"),
        (
            "from airflow.sdk import get_parsing_context as context; print(context().dag_id, context().task_id)",
            "flow t",
        ),
        (
            "import threading; t = threading.Thread(target=lambda: print(Variable.get('v'))); t.start(); t.join()",
            "of v",
        ),
    ],
    ids=["log", "warning", "variable", "parsing context", "thread"],
)
def test_an_import_waits_where_it_would_show_that_the_first_message_is_not_there(
    tmp_path: Path, line: str, shown: str
) -> None:
    text = PRELUDE + mark("begun") + line + "\n" + mark("ended") + python_task("pass")
    task = Task(tmp_path, text, "tcp")
    reached(task, "begun")
    assert is_idle(task) and not (tmp_path / "ended").exists()
    task.send([0, startup(), None])
    task.serve({"GetVariable": {"type": "VariableResult", "key": "v", "value": "of v"}})
    assert (task.code, task.outcome) == (0, SUCCESS)
    assert task.events[:2] == ["::group::Pre Execute", "Running in a bundle"]
    stamps = [line["timestamp"] for line in task.logs]
    assert stamps == sorted(stamps)
    assert shown in task.text or task.line(shown)["task_id"] == "t"


@pytest.mark.parametrize("line", ["1 / 0", "sys.exit(0)", "import nothing_of_that_name"])
def test_an_import_that_fails_early_fails_or_retries_the_task(tmp_path: Path, line: str) -> None:
    task = Task(tmp_path, PRELUDE + mark("begun") + line + "\n" + python_task("pass"), "tcp")
    reached(task, "begun")
    assert is_idle(task)
    task.send([0, startup(should_retry=True), None])
    task.serve()
    assert (task.code, task.outcome) == (0, RETRY)
    assert task.line("Cannot import the Dag file")["exception"]


def test_a_process_forked_by_an_import_leaves_the_first_message_alone(tmp_path: Path) -> None:
    fork = """
import logging
if not (child := os.fork()):
    logging.getLogger("child").warning("in the child")
    open("written", "w").close()
    time.sleep(60)
"""
    text = PRELUDE + fork + mark("begun") + python_task("os.kill(child, 9); return 1")
    task = Task(tmp_path, text, "tcp")
    reached(task, "written")
    reached(task, "begun")
    task.send([0, startup(), None])
    task.serve()
    assert (task.code, task.outcome, task.pushed) == (0, SUCCESS, {"return_value": 1})
    assert "in the child" in task.events


def test_the_dag_processor_is_answered_whatever_was_imported_early(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("pass") + mark("ended"), "tcp")
    reached(task, "ended")
    request = {"type": "DagFileParseRequest", "file": "/dags/flow.py", "bundle_path": "/dags", "bundle_name": "dags"}
    task.send([0, request, None])
    task.serve()
    assert (task.code, task.types) == (0, ["DagFileParsingResult"])
    assert [each["data"]["dag"]["dag_id"] for each in task.asked[0]["serialized_dags"]] == ["flow"]


def test_of_several_dag_files_only_the_one_of_the_task_is_imported(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(mark("other") + python_task("pass").replace('"flow"', '"other"'))
    text = mark("begun") + python_task("pass")
    task = Task(tmp_path, text, "tcp", more=["other.py"])
    assert is_idle(task) and not (tmp_path / "begun").exists()
    task.send([0, startup(), None])
    assert task.serve().outcome == SUCCESS
    assert (tmp_path / "begun").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_an_early_import_ends_a_process_that_has_no_task_yet(tmp_path: Path, number: int) -> None:
    text = f"import time\ntry:\n    {mark('begun')}    time.sleep(60)\nfinally:\n    {mark('cleaned')}"
    task = Task(tmp_path, text, "tcp")
    reached(task, "begun")
    task.process.send_signal(number)
    assert task.finish().code == -number
    assert (tmp_path / "cleaned").exists()


def test_sigterm_during_an_early_import_is_reported_if_there_is_a_task_once_it_has_cleaned_up(tmp_path: Path) -> None:
    text = f"import time\ntry:\n    {mark('begun')}    time.sleep(60)\nfinally:\n    {mark('cleaning')}"
    task = Task(tmp_path, text + "    time.sleep(0.5)\n", "tcp")
    reached(task, "begun")
    task.process.send_signal(signal.SIGTERM)
    reached(task, "cleaning")
    task.send([0, startup(should_retry=True), None])
    task.serve()
    assert (task.code, task.outcome) == (0, RETRY)


def test_a_timeout_of_an_early_import_costs_neither_the_first_message_nor_the_task(tmp_path: Path) -> None:
    text = f"""
from airflow.sdk.execution_time.timeout import timeout
try:
    with timeout(1):
        {mark("begun")}
        Variable.get("v")
except AirflowTaskTimeout:
    print("timed out")
"""
    task = Task(tmp_path, PRELUDE + text + python_task("return 1"), "tcp")
    reached(task, "begun")
    message = pack([0, startup(), None])
    task.send_bytes(message[:100])
    time.sleep(1.5)
    task.send_bytes(message[100:])
    task.serve()
    assert (task.code, task.outcome, task.pushed) == (0, SUCCESS, {"return_value": 1})
    assert "timed out" in task.text
    assert task.events[:2] == ["::group::Pre Execute", "Running in a bundle"]


def test_a_process_forked_by_an_import_that_comes_back_from_it_does_nothing(tmp_path: Path) -> None:
    text = PRELUDE + "child = os.fork()\n" + python_task("return os.waitpid(child, 0)[1] >> 8")
    task = Task(tmp_path, text + mark("ended"), "tcp")
    reached(task, "ended")
    task.send([0, startup(), None])
    task.serve()
    assert (task.code, task.outcome, task.pushed) == (0, SUCCESS, {"return_value": 1})


def test_sigterm_after_an_early_import_ends_a_process_that_has_no_task_yet(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("pass") + mark("ended"), "tcp")
    reached(task, "ended")
    assert is_idle(task)
    task.process.send_signal(signal.SIGTERM)
    assert task.finish().code == -signal.SIGTERM


@pytest.mark.parametrize(("should_retry", "outcome"), [(True, RETRY), (False, FAILED)])
def test_sigterm_during_an_early_import_is_reported_once_there_is_a_task(
    tmp_path: Path, should_retry: bool, outcome: dict[str, Any]
) -> None:
    task = Task(tmp_path, "import time\n" + mark("begun") + "time.sleep(60)\n", "tcp")
    reached(task, "begun")
    task.send([0, startup(should_retry=should_retry), None])
    task.process.send_signal(signal.SIGTERM)
    task.serve()
    assert (task.code, task.outcome) == (0, outcome)
    assert "Received SIGTERM. Terminating the task" in task.events


# --- how a task ends --------------------------------------------------------------------------------------------------


OUTCOMES = [
    ("pass", False, SUCCESS),
    ("pass", True, SUCCESS),
    ("raise ValueError('no')", False, FAILED),
    ("raise ValueError('no')", True, RETRY),
    ("raise AirflowException('no')", True, RETRY),
    ("raise AirflowFailException('no')", True, FAILED),
    ("raise AirflowSkipException('no')", True, SKIPPED),
    ("from airflow.exceptions import AirflowSkipException as Skip; raise Skip", False, SKIPPED),
    ("sys.exit(0)", False, FAILED),
    ("sys.exit(3)", True, RETRY),
    ("raise KeyboardInterrupt", True, RETRY),
    ("raise BaseException('deep')", False, FAILED),
    (
        "raise AirflowRescheduleException(datetime(2030, 1, 1, tzinfo=timezone.utc))",
        False,
        {"type": "RescheduleTask", "state": "up_for_reschedule"},
    ),
    ("return object()", False, FAILED),
    ("return object()", True, RETRY),
]


@pytest.mark.parametrize(("body", "should_retry", "outcome"), OUTCOMES)
def test_each_way_to_end_is_reported_once_and_the_process_exits_with_0(
    run: Callable[..., Task], body: str, should_retry: bool, outcome: dict[str, Any]
) -> None:
    done = run(python_task(body), should_retry=should_retry)
    assert (done.code, done.outcome) == (0, outcome)
    assert [kind for kind in done.types if kind in ("SucceedTask", "TaskState", "RetryTask", "RescheduleTask")] == [
        outcome["type"]
    ]
    assert isinstance(done.asked[-1]["end_date"], (datetime, msgpack.Timestamp, str))


@pytest.mark.parametrize(("dag_id", "task_id"), [("flow", "absent"), ("absent", "t")])
def test_a_task_the_bundle_does_not_have_is_removed(run: Callable[..., Task], dag_id: str, task_id: str) -> None:
    done = run(python_task("pass"), dag_id=dag_id, task_id=task_id, should_retry=True)
    assert (done.code, done.outcome) == (0, {"type": "TaskState", "state": "removed"})
    assert any("does not have the task" in event for event in done.events)


@pytest.mark.parametrize(("should_retry", "outcome"), [(True, RETRY), (False, FAILED)])
@pytest.mark.parametrize("text", ["1 / 0\n", "def f(:\n", "import sys\nsys.exit()\n"])
def test_a_dag_file_that_cannot_be_imported_fails_or_retries_the_task(
    run: Callable[..., Task], text: str, should_retry: bool, outcome: dict[str, Any]
) -> None:
    done = run(text, should_retry=should_retry)
    assert (done.code, done.outcome) == (0, outcome)
    assert done.line("Cannot import the Dag file")["level"] == "error"


def test_params_the_run_does_not_fit_fail_the_task(run: Callable[..., Task]) -> None:
    done = run(python_task("pass", dag="params={'n': Param(1, type='integer')}"), conf={"n": "many"})
    assert (done.code, done.outcome) == (0, FAILED)
    assert done.line("Task failed with exception")["exception"][0]["exc_type"] == "ParamValidationError"


def test_a_skipped_task_says_why(run: Callable[..., Task]) -> None:
    assert run(python_task("raise AirflowSkipException('not today')")).line("Skipping task.")["reason"] == "not today"


@pytest.mark.parametrize("transport", ["tcp", "socket", "pipes"])
def test_a_supervisor_that_hangs_up_before_it_says_anything_ends_the_process_with_1(
    tmp_path: Path, transport: str
) -> None:
    task = Task(tmp_path, python_task("pass"), transport)
    task.hang_up()
    assert task.finish().code == 1
    assert any("closed the connection" in event for event in task.events)


def test_a_supervisor_that_hangs_up_during_the_task_ends_the_process_with_1(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("return Variable.get('v')"))
    task.send([0, startup(should_retry=True), None])
    while (frame := task.receive()) is not None and frame[1]["type"] != "GetVariable":
        task.answer(frame)
    task.hang_up()
    assert task.finish().code == 1
    assert task.types[-1] == "GetVariable"


def test_a_terminal_message_without_an_answer_ends_the_process_with_1(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("pass"))
    task.send([0, startup(), None])
    while (frame := task.receive()) is not None and frame[1]["type"] != "SucceedTask":
        task.answer(frame)
    task.hang_up()
    assert task.finish().code == 1


REFUSED = Failure(error="API_SERVER_ERROR", detail={"status_code": 500, "message": "down"})


@pytest.mark.parametrize(
    ("body", "should_retry", "code"),
    [("raise ValueError", False, 1), ("raise ValueError", True, 1), ("pass", False, 0)],
    ids=["failed", "up for retry", "success, which the supervisor sends once more"],
)
def test_the_exit_code_after_an_error_reply_is_that_of_airflows_runner(
    run: Callable[..., Task], body: str, should_retry: bool, code: int
) -> None:
    done = run(python_task(body), dict.fromkeys(("TaskState", "RetryTask", "SucceedTask"), REFUSED),
               should_retry=should_retry)  # fmt: skip
    assert done.code == code
    assert "Failed to report terminal task state to supervisor" in done.events


def test_an_error_reply_is_an_exception_the_task_can_catch(run: Callable[..., Task]) -> None:
    body = """
    try:
        Variable.get("v", default="never this")
    except AirflowRuntimeError as error:
        return [type(error).__name__, error.error.error.value, error.error.detail["message"], str(error)]
    """
    kind, name, message, text = run(python_task(body), {"GetVariable": REFUSED}).pushed["return_value"]
    assert (kind, name, message) == ("AirflowRuntimeError", "API_SERVER_ERROR", "down")
    assert text.startswith("API_SERVER_ERROR: ")


def test_an_error_reply_that_is_not_caught_fails_the_task(run: Callable[..., Task]) -> None:
    done = run(python_task("return Variable.get('v')"), {"GetVariable": REFUSED})
    assert (done.code, done.outcome) == (0, FAILED)
    assert done.line("Task failed with exception")["exception"][0]["exc_type"] == "AirflowRuntimeError"


@pytest.mark.parametrize(
    "answer",
    [
        pack([99, None, None]),
        b"\0\0\0\x04\xc1\xc1\xc1\xc1",
        pack({"not": "a list"}),
        pack([]),
        b"\0\0\0\0",
    ],
    ids=["an id of the future", "no msgpack", "no list", "an empty list", "an empty frame"],
)
def test_an_answer_that_makes_no_sense_never_ends_in_success(run: Callable[..., Task], answer: bytes) -> None:
    done = run(python_task("Variable.get('v')"), {"GetVariable": answer})
    assert done.code != 0 or done.outcome == FAILED
    assert "SucceedTask" not in done.types


@pytest.mark.parametrize("kind", ["NoSuchMessage", "ConnectionResult"])
def test_an_answer_of_the_wrong_type_fails_the_task_and_not_the_process(run: Callable[..., Task], kind: str) -> None:
    done = run(python_task("return Variable.get('v')"), {"GetVariable": {"type": kind, "x": 1}})
    assert (done.code, done.outcome) == (0, FAILED)


@pytest.mark.parametrize(
    "start",
    [
        [0, {"type": "NoSuchMessage"}, None],
        [0, {"type": "VariableResult", "key": "a", "value": "b"}, None],
        [0, {"type": "StartupDetails"}, None],
        [0, None, {"error": "API_SERVER_ERROR", "detail": {}}],
        [0, None, None],
        b"\0\0\0\x01\xc1",
        b"\0\0\0\x09abc",
    ],
    ids=["unknown", "another", "fields missing", "an error", "nothing", "no msgpack", "cut off"],
)
def test_a_start_that_makes_no_sense_ends_with_1_and_says_why(tmp_path: Path, start: Any) -> None:
    task = Task(tmp_path, python_task("pass"))
    task.send(start)
    task.hang_up()
    assert task.finish().code == 1
    assert task.frames == []
    assert any(event.startswith("Cannot start: ") for event in task.events), task.text


def test_a_late_answer_is_skipped(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("return [Variable.get('a'), Variable.get('b')]"))
    task.send([0, startup(), None])

    def value(key: str) -> dict[str, Any]:
        return {"type": "VariableResult", "key": key, "value": key.upper()}

    while (frame := task.receive()) is not None:
        if frame[1].get("key") == "b":
            task.send([frame[0] - 1, value("late"), None])
        if frame[1]["type"] == "GetVariable":
            task.send([frame[0], value(frame[1]["key"]), None])
        else:
            task.answer(frame)
    assert task.finish().pushed == {"return_value": ["A", "B"]}


def test_a_child_of_the_task_cannot_talk_to_the_supervisor(run: Callable[..., Task]) -> None:
    body = """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            Variable.get("v")
        except Exception as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 1000).decode()
    """
    done = run(python_task(body))
    assert "forked" in done.pushed["return_value"]
    assert "GetVariable" not in done.types


def test_a_thread_that_goes_on_does_not_hold_up_the_end(run: Callable[..., Task]) -> None:
    done = run(python_task("import threading; threading.Thread(target=time.sleep, args=(3600,)).start()"))
    assert (done.code, done.outcome) == (0, SUCCESS)


def test_callbacks_run_after_the_outcome_and_cannot_change_it(run: Callable[..., Task]) -> None:
    def callback(name: str) -> str:
        return f"{name}=[lambda context: 1 / 0, lambda context: Variable.get({name!r} + context['ti'].state.value)]"

    text = python_task(
        "1 / 0", decorator=f"@task({callback('on_failure_callback')}, {callback('on_success_callback')})"
    )
    done = run(text, {"GetVariable": {"type": "VariableResult", "key": "x", "value": "1"}})
    assert done.code == 0
    assert done.types[-2:] == ["TaskState", "GetVariable"]
    assert done.asked[-1]["key"] == "on_failure_callbackfailed"
    assert done.line("Failed to run task callback")["kind"] == "on_failure_callback"


# --- signals and time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("should_retry", "outcome"), [(True, RETRY), (False, FAILED)])
def test_sigterm_calls_on_kill_runs_finally_blocks_and_reports(
    tmp_path: Path, should_retry: bool, outcome: dict[str, Any]
) -> None:
    text = classic("""
    class Slow(BaseOperator):
        def execute(self, context):
            try:
                Variable.set("ready", "1")
                for _ in range(600):
                    time.sleep(0.1)
            except Exception:
                Variable.set("caught", "1")
            finally:
                Variable.set("cleaned", "1")

        def on_kill(self):
            print("killed")

    Slow(task_id="t")
    """)
    task = Task(tmp_path, text)
    task.send([0, startup(should_retry=should_retry), None])
    while (frame := task.receive()) is not None:
        task.answer(frame)
        if frame[1].get("key") == "ready":
            task.process.send_signal(signal.SIGTERM)
    task.finish()
    assert (task.code, task.outcome) == (0, outcome)
    assert [body["key"] for body in task.asked if body["type"] == "PutVariable"] == ["ready", "cleaned"]
    assert "killed" in task.text


def test_sigterm_in_the_middle_of_an_answer_spoils_no_later_one(tmp_path: Path) -> None:
    body = """
    try:
        Variable.get("first")
        Variable.set("goes on", "1")
    finally:
        Variable.set("cleaned", Variable.get("second"))
    """
    task = Task(tmp_path, python_task(body))
    task.send([0, startup(should_retry=True), None])
    while (frame := task.receive()) is not None:
        if frame[1].get("key") == "first":
            answer = pack([frame[0], echo(frame[1]), None])
            task.send_bytes(answer[:9])
            task.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            task.send_bytes(answer[9:])
        elif frame[1]["type"] == "GetVariable":
            task.send([frame[0], echo(frame[1]), None])
        else:
            task.answer(frame)
    task.finish()
    assert (task.code, task.outcome) == (0, RETRY)
    assert [(body["key"], body["value"]) for body in task.asked if body["type"] == "PutVariable"] == [
        ("cleaned", "of second")
    ]


def test_a_timeout_in_the_middle_of_an_answer_spoils_no_later_one(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("Variable.get('v')", decorator="@task(execution_timeout=timedelta(seconds=0.1))"))
    task.send([0, startup(), None])
    while (frame := task.receive()) is not None:
        if frame[1]["type"] == "GetVariable":
            answer = pack([frame[0], echo(frame[1]), None])
            task.send_bytes(answer[:9])
            time.sleep(0.3)
            task.send_bytes(answer[9:])
        else:
            task.answer(frame)
    task.finish()
    assert (task.code, task.outcome) == (0, FAILED)
    assert task.line("Task failed with exception")["exception"][0]["exc_type"] == "AirflowTaskTimeout"


def test_sigterm_while_the_outcome_is_reported_does_not_report_another(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task("pass"))
    task.send([0, startup(should_retry=True), None])
    while (frame := task.receive()) is not None:
        if frame[1]["type"] == "SucceedTask":
            task.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        task.answer(frame)
    task.finish()
    assert (task.code, task.outcome) == (0, SUCCESS)


def test_a_task_that_takes_longer_than_its_execution_timeout_fails(run: Callable[..., Task]) -> None:
    text = python_task("time.sleep(60)", decorator="@task(execution_timeout=timedelta(seconds=0.2))")
    done = run(text)
    assert (done.code, done.outcome) == (0, FAILED)
    assert done.line("Task failed with exception")["exception"][0]["exc_type"] == "AirflowTaskTimeout"


def test_a_timeout_goes_past_except_exception_and_through_finally(run: Callable[..., Task]) -> None:
    body = """
    try:
        time.sleep(60)
    except Exception:
        Variable.set("caught", "1")
    finally:
        Variable.set("cleaned", "1")
    """
    done = run(python_task(body, decorator="@task(execution_timeout=timedelta(seconds=0.2))"))
    assert [body["key"] for body in done.asked if body["type"] == "PutVariable"] == ["cleaned"]


# --- logs -------------------------------------------------------------------------------------------------------------


TALKATIVE = """\
import logging
import warnings

early = logging.getLogger("early")
early.warning("first")
early.error("second")

""" + python_task(r'''
log = logging.getLogger("app.part")
for level in ("debug", "info", "warning", "error", "critical"):
    getattr(log, level)(f"at {level}")
log.log(25, "between"), log.log(99, "above")
log.info("with %s of %d", "arguments", 2)
log.info("bad arguments %d", "x")
log.info("reserved", extra={"event": 1, "level": "loud", "timestamp": "now", "logger": 2, "target": 3,
                            "method_name": 4, "self": 5})
log.info("numbers", extra={"nan": float("nan"), "inf": float("inf"), "big": 2**100, "small": -(2**70), "half": 0.5})
log.info("text", extra={"lone": "a\ud800b", "nul": "a\0b", "umlaut": "ä€😀", "lines": "a\nb\r\n\u2028c"})
log.info("lone \udfff in the event\nand a second line")
class Bad:
    def __str__(self):
        raise ValueError("no text")
    __repr__ = __str__
log.info("objects", extra={"set_": {1}, "tuple_": (1, None, True), "bytes_": b"x", "bad": Bad(),
                           "dict_": {1: {None: 2}}, "when": datetime(2026, 1, 2), "exception": "mine"})
deep = []
for _ in range(2000):
    deep = [deep]
log.info("deep", extra={"deep": deep})
loop = {}
loop["loop"] = loop
log.info("loop", extra={"loop": loop})
def inner():
    raise KeyError("cause")
try:
    try:
        inner()
    except KeyError as cause:
        raise ValueError("effect") from cause
except ValueError:
    log.exception("with traceback")
try:
    try:
        1 / 0
    except ZeroDivisionError:
        raise TypeError("while handling")
except TypeError:
    log.exception("with context")
try:
    compile("x = (", "some.py", "exec")
except SyntaxError:
    log.exception("with syntax error")
log.info("with stack", stack_info=True)
logging.getLogger("quiet.sub").info("too quiet"), logging.getLogger("quiet.sub").error("loud enough")
logging.getLogger("chatty").debug("chatty debug")
logging.getLogger("quiet.but.chatty").debug("the longest name decides")
logging.getLogger().info("of the root")
ti.log.info("by the task's own logger") if hasattr(ti, "log") else None
warnings.warn("look out", FutureWarning, stacklevel=1)
warnings.warn("look out more")
print("printed")
print("to stderr", file=sys.stderr)
''', "ti")  # fmt: skip


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task that has logged much, at level INFO, `quiet` only errors, and `chatty` everything."""
    environment = {
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "quiet=ERROR, chatty=debug quiet.but.chatty=DEBUG,broken=LOUD",
    }
    task = Task(tmp_path_factory.mktemp("talkative"), TALKATIVE, "tcp", environment)
    task.send([0, startup(), None])
    task.serve()
    assert (task.code, task.outcome) == (0, SUCCESS), task.logs[-3:]
    return task


def test_every_log_line_has_what_the_supervisor_cannot_do_without(talkative: Task) -> None:
    for line in talkative.logs:
        assert line["level"] in ("critical", "error", "warning", "info", "debug")
        assert isinstance(line["event"], str)
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
        assert not {"msg", "target", "method_name", "self"} & set(line)


def test_every_log_line_from_the_task_on_says_which_task_it_is_of(talkative: Task) -> None:
    line = talkative.line("at info")
    assert {key: line[key] for key in ("dag_id", "task_id", "run_id", "try_number", "map_index")} == {
        "dag_id": "flow", "task_id": "t", "run_id": "manual__1", "try_number": 1, "map_index": -1,
    }  # fmt: skip
    assert (line["filename"], type(line["lineno"])) == ("flow.py", int)


def test_log_lines_come_in_the_order_in_which_they_were_made(talkative: Task) -> None:
    events = talkative.events
    assert events.index("first") < events.index("second") < events.index("at info") < events.index("at critical")
    stamps = [line["timestamp"] for line in talkative.logs]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("event", ["at debug", "too quiet"])
def test_what_is_below_the_level_of_its_logger_is_not_sent(talkative: Task, event: str) -> None:
    assert event not in talkative.events


@pytest.mark.parametrize(
    ("event", "level", "logger"),
    [
        ("first", "warning", "early"),
        ("at info", "info", "app.part"),
        ("at warning", "warning", "app.part"),
        ("at error", "error", "app.part"),
        ("at critical", "critical", "app.part"),
        ("between", "info", "app.part"),
        ("above", "critical", "app.part"),
        ("with arguments of 2", "info", "app.part"),
        ("loud enough", "error", "quiet.sub"),
        ("chatty debug", "debug", "chatty"),
        ("the longest name decides", "debug", "quiet.but.chatty"),
        ("of the root", "info", "root"),
        ("look out", "warning", "py.warnings"),
    ],
)
def test_a_record_is_sent_with_its_level_and_logger(talkative: Task, event: str, level: str, logger: str) -> None:
    line = talkative.line(event)
    assert (line["level"], line["logger"]) == (level, logger)


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (
            "reserved",
            {"event_": 1, "level_": "loud", "timestamp_": "now", "logger_": 2, "target_": 3, "method_name_": 4,
             "self_": 5},
        ),
        ("numbers", {"nan": "nan", "inf": "inf", "big": str(2**100), "small": str(-(2**70)), "half": 0.5}),
        ("text", {"lone": "a\\ud800b", "nul": "a\0b", "umlaut": "ä€😀", "lines": "a\nb\r\n\u2028c"}),
        ("objects", {"set_": [1], "tuple_": [1, None, True], "bytes_": "b'x'", "dict_": {"1": {"None": 2}},
                     "when": "2026-01-02 00:00:00", "exception": "mine"}),
        ("look out", {"category": "FutureWarning"}),
        ("look out more", {"category": "UserWarning"}),
    ],
)  # fmt: skip
def test_further_keys_arrive_in_a_form_that_no_reader_stumbles_over(
    talkative: Task, event: str, fields: dict[str, Any]
) -> None:
    line = talkative.line(event)
    assert {key: line.get(key) for key in fields} == fields


def test_a_value_whose_text_raises_costs_neither_the_line_nor_the_task(talkative: Task) -> None:
    assert "ValueError" in talkative.line("objects")["bad"]


def test_arguments_that_do_not_fit_cost_no_line(talkative: Task) -> None:
    assert sum(event.startswith("bad arguments %d") for event in talkative.events) == 1


@pytest.mark.parametrize("event", ["deep", "loop"])
def test_a_value_without_end_is_cut(talkative: Task, event: str) -> None:
    assert event in talkative.line(event)


def test_an_event_with_newlines_and_a_lone_surrogate_is_one_line(talkative: Task) -> None:
    assert "lone \\udfff in the event\nand a second line" in talkative.events


def test_a_traceback_has_the_form_that_airflows_ui_unfolds(talkative: Task) -> None:
    effect, cause = talkative.line("with traceback")["exception"]
    keys = {"exc_type", "exc_value", "exc_notes", "syntax_error", "is_cause", "frames", "is_group", "exceptions"}
    assert set(effect) == set(cause) == keys
    assert (effect["exc_type"], effect["exc_value"], effect["is_cause"]) == ("ValueError", "effect", False)
    assert (cause["exc_type"], cause["exc_value"], cause["is_cause"]) == ("KeyError", "'cause'", True)
    assert [frame["name"] for frame in cause["frames"]] == ["t", "inner"]
    for frame in cause["frames"]:
        assert frame["filename"].endswith("flow.py")
        assert isinstance(frame["lineno"], int)


def test_an_exception_while_another_was_handled_is_context_and_no_cause(talkative: Task) -> None:
    kinds = [(each["exc_type"], each["is_cause"]) for each in talkative.line("with context")["exception"]]
    assert kinds == [("TypeError", False), ("ZeroDivisionError", False)]


def test_a_syntax_error_says_where(talkative: Task) -> None:
    syntax = talkative.line("with syntax error")["exception"][0]["syntax_error"]
    assert (syntax["filename"], syntax["lineno"]) == ("some.py", 1)
    assert set(syntax) == {"offset", "filename", "line", "lineno", "msg"}


def test_print_goes_to_stdout_and_stderr_which_the_supervisor_captures(talkative: Task) -> None:
    assert b"printed\n" in talkative.output["stdout"]
    assert b"to stderr\n" in talkative.output["stderr"]
    assert "printed" not in talkative.events


def test_an_uncaught_traceback_is_in_the_log_with_the_frames_of_the_task(run: Callable[..., Task]) -> None:
    text = "def helper():\n    raise LookupError('deep inside')\n\n\n" + python_task("helper()")
    done = run(text, transport="tcp")
    [error] = done.line("Task failed with exception")["exception"]
    assert (error["exc_type"], error["exc_value"]) == ("LookupError", "deep inside")
    assert [frame["name"] for frame in error["frames"]] == ["t", "helper"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_an_exception_group_carries_its_exceptions(run: Callable[..., Task]) -> None:
    done = run(
        python_task(
            "error = ValueError('a'); error.add_note('n'); raise ExceptionGroup('both', [error, TypeError('b')])"
        )
    )
    [group] = done.line("Task failed with exception")["exception"]
    assert group["is_group"]
    assert [each[0]["exc_type"] for each in group["exceptions"]] == ["ValueError", "TypeError"]
    assert group["exceptions"][0][0]["exc_notes"] == ["n"]


def test_an_uncaught_exception_of_a_thread_does_not_stop_the_task(run: Callable[..., Task]) -> None:
    done = run(python_task("import threading; x = threading.Thread(target=lambda: 1 / 0); x.start(); x.join()"))
    assert (done.code, done.outcome) == (0, SUCCESS)
    assert "ZeroDivisionError" in done.text


def test_a_log_socket_that_is_closed_early_does_not_stop_a_task(tmp_path: Path) -> None:
    text = python_task("import logging\nfor n in range(50): logging.warning('line %d', n)\nreturn 'done'")
    task = Task(tmp_path, text, "tcp")
    task.close_log_socket()
    task.send([0, startup(), None])
    task.serve()
    assert (task.code, task.pushed, task.outcome) == (0, {"return_value": "done"}, SUCCESS)
    assert '"line 49"' in task.text


def test_without_a_level_from_airflow_info_is_the_least(run: Callable[..., Task]) -> None:
    done = run(python_task("import logging; logging.debug('low'); logging.info('high')"))
    assert "high" in done.events
    assert "low" not in done.events


@pytest.mark.parametrize(("level", "sent"), [("DEBUG", ["a", "b", "c"]), ("WARNING", ["c"]), ("nonsense", ["b", "c"])])
def test_the_level_is_the_one_airflow_asks_for(run: Callable[..., Task], level: str, sent: list[str]) -> None:
    done = run(
        python_task("import logging; x = logging.getLogger('x'); x.debug('a'); x.info('b'); x.warning('c')"),
        env={"AIRFLOW__LOGGING__LOGGING_LEVEL": level},
    )
    assert [line["event"] for line in done.logs if line["logger"] == "x"] == sent


def test_early_records_are_kept_until_there_is_a_socket() -> None:
    channel = coordinator_bundle.LogChannel()
    for number in range(3):
        channel.emit("info", f"early {number}")
    lines: list[bytes] = []
    channel.connect(lines.append)
    channel.emit("info", "late")
    assert [json.loads(line)["event"] for line in lines] == ["early 0", "early 1", "early 2", "late"]


# --- the context ------------------------------------------------------------------------------------------------------


CONTEXT = python_task(
    """
    context = get_current_context()
    def text(value):
        return value.isoformat() if hasattr(value, "isoformat") else value
    asked = {name: text(context[name]) for name in (
        "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "data_interval_start",
        "data_interval_end", "run_id", "task_reschedule_count", "task_instance_key_str", "partition_key",
    )}
    asked["params"] = dict(context["params"])
    asked["given"] = [ds, params["n"], dag_run.run_id, ti.task_id, task_instance is ti]
    asked["ti"] = [ti.dag_id, ti.task_id, ti.run_id, ti.try_number, ti.map_index, ti.max_tries]
    asked["run"] = [dag_run.dag_id, dag_run.conf, dag_run.run_type, text(dag_run.logical_date)]
    asked["task"] = [context["task"].task_id, context["dag"].dag_id, context["task"].owner]
    asked["same"] = get_current_context() is not None and get_current_context()["ti"] is ti
    asked["get"] = [context.get("no_such_key"), context.get("no_such_key", 5), "ds" in context, "nope" in context]
    asked["url"] = "dags/flow/runs/manual__1/tasks/t" in ti.log_url
    asked["environment"] = {key: value for key, value in os.environ.items() if key.startswith("AIRFLOW_CTX")}
    try:
        context["no_such_key"]
    except KeyError as error:
        asked["missing"] = str(error)
    return asked
    """,
    "ds=None, params=None, dag_run=None, ti=None, task_instance=None",
    dag="params={'n': 1, 'm': Param('x', type='string')}",
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    task = Task(tmp_path_factory.mktemp("context"), CONTEXT)
    task.send([0, startup(conf={"n": 2}, max_tries=3), None])
    task.serve()
    assert task.code == 0
    assert "return_value" in task.pushed, task.text
    return task.pushed["return_value"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ds", "2026-05-17"),
        ("ds_nodash", "20260517"),
        ("ts", "2026-05-17T06:30:00+00:00"),
        ("ts_nodash", "20260517T063000"),
        ("ts_nodash_with_tz", "20260517T063000+0000"),
        ("logical_date", "2026-05-17T06:30:00+00:00"),
        ("data_interval_start", "2026-05-16T06:30:00+00:00"),
        ("data_interval_end", "2026-05-17T06:30:00+00:00"),
        ("run_id", "manual__1"),
        ("task_reschedule_count", 0),
        ("task_instance_key_str", "flow__t__20260517"),
        ("partition_key", None),
        ("params", {"n": 2, "m": "x"}),
        ("given", ["2026-05-17", 2, "manual__1", "t", True]),
        ("ti", ["flow", "t", "manual__1", 1, -1, 3]),
        ("run", ["flow", {"n": 2}, "manual", "2026-05-17T06:30:00+00:00"]),
        ("task", ["t", "flow", "airflow"]),
        ("same", True),
        ("get", [None, 5, True, False]),
        ("url", True),
        ("missing", "'no_such_key'"),
        (
            "environment",
            {"AIRFLOW_CTX_DAG_OWNER": "airflow", "AIRFLOW_CTX_DAG_ID": "flow", "AIRFLOW_CTX_TASK_ID": "t",
             "AIRFLOW_CTX_LOGICAL_DATE": "2026-05-17T06:30:00+00:00", "AIRFLOW_CTX_TRY_NUMBER": "1",
             "AIRFLOW_CTX_DAG_RUN_ID": "manual__1"},
        ),
    ],
)  # fmt: skip
def test_the_context_has_what_airflow_puts_there(context: dict[str, Any], name: str, value: Any) -> None:
    assert context[name] == value


def test_without_a_logical_date_its_friends_are_not_in_the_context(run: Callable[..., Task]) -> None:
    done = run(
        python_task("return [key in context for key in ('ds', 'ts', 'logical_date', 'data_interval_start', 'run_id')]",
                    "**context"),
        logical_date=None, data_interval_start=None, data_interval_end=None,
    )  # fmt: skip
    assert done.pushed == {"return_value": [False, False, False, False, True]}


@pytest.mark.parametrize(
    ("arguments", "call", "body", "value"),
    [
        ("ds", "", "return ds", "2026-05-17"),
        ("ds=None", "", "return ds", "2026-05-17"),
        ("x, ds=None", "1", "return [x, ds]", [1, "2026-05-17"]),
        ("**kwargs", "", "return [kwargs['ds'], kwargs['ti'].task_id]", ["2026-05-17", "t"]),
        ("x, **kwargs", "x=3", "return [x, kwargs['ds']]", [3, "2026-05-17"]),
        ("*args", "1, 2", "return list(args)", [1, 2]),
        ("x=5", "", "return x", 5),
        ("x: dict", "{'a': (1, 2)}", "return x['a'] == (1, 2)", True),
        ("when", "datetime(2026, 1, 2, tzinfo=timezone.utc)", "return when.year", 2026),
    ],
)
def test_arguments_come_from_the_call_and_from_the_context(
    run: Callable[..., Task], arguments: str, call: str, body: str, value: Any
) -> None:
    assert run(python_task(body, arguments, call)).pushed == {"return_value": value}


def test_get_current_context_outside_a_task_says_so() -> None:
    with pytest.raises(RuntimeError, match="Current context was requested but no context was found"):
        coordinator_bundle.get_current_context()


# --- XComs ------------------------------------------------------------------------------------------------------------


def xcom(values: dict[tuple[str, str, int | None], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answer GetXCom from (task, key, map index) to value."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        value = values.get((body["task_id"], body["key"], body.get("map_index")))
        return {"type": "XComResult", "key": body["key"], "value": value}

    return answer


PULLS = {
    "xcom_pull('a')": 1,
    "xcom_pull(task_ids='a')": 1,
    "xcom_pull(['a', 'b'])": [1, 2],
    "xcom_pull(['a'])": [1],
    "xcom_pull('a', key='k')": "of a",
    "xcom_pull(key='k')": "own",
    "xcom_pull('absent')": None,
    "xcom_pull('absent', map_indexes=0, default=9)": 9,
    "xcom_pull('absent', default=9)": None,
    "xcom_pull(['a', 'absent'])": [1, None],
    "xcom_pull('m', map_indexes=1)": "m1",
    "xcom_pull('m', map_indexes=[0, 1])": ["m0", "m1"],
    "xcom_pull('m', map_indexes=None)": "m",
    "xcom_pull('mapped')": ["s0", "s1"],
    "xcom_pull(['mapped', 'single'])": ["s0", "s1", "s2"],
    "xcom_pull('single')": "s2",
}


@pytest.fixture(scope="module")
def pulls(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Task]:
    lines = "\n".join(f"out[{call!r}] = ti.{call}" for call in PULLS)
    task = Task(tmp_path_factory.mktemp("pulls"), python_task(f"out = {{}}\n{lines}\nreturn out", "ti"))
    task.send([0, startup(), None])
    one = {
        ("m", "return_value", 0): "m0", ("m", "return_value", 1): "m1", ("m", "return_value", None): "m",
        ("t", "k", None): "own",
    }  # fmt: skip
    many = {"a": [1], "b": [2], "mapped": ["s0", "s1"], "single": ["s2"]}

    def every(body: dict[str, Any]) -> dict[str, Any]:
        values = {"a": ["of a"], "t": ["own"]} if body["key"] == "k" else many
        return {"type": "XComSequenceSliceResult", "root": values.get(body["task_id"], [])}

    def single(body: dict[str, Any]) -> dict[str, Any]:
        return xcom(one)(body)

    task.serve({"GetXCom": single, "GetXComSequenceSlice": every})
    assert task.code == 0
    assert "return_value" in task.pushed, task.text
    return task.pushed["return_value"], task


@pytest.mark.parametrize("call", PULLS)
def test_xcom_pull_gives_one_value_or_a_list_as_airflow_does(pulls: tuple[dict[str, Any], Task], call: str) -> None:
    assert pulls[0][call] == PULLS[call]


def test_xcom_pull_asks_for_all_map_indexes_unless_it_is_told_which(pulls: tuple[dict[str, Any], Task]) -> None:
    asked = [body for body in pulls[1].asked if body["type"].startswith("GetXCom")]
    assert asked[0]["type"] == "GetXComSequenceSlice"
    assert (asked[0]["task_id"], asked[0]["dag_id"], asked[0]["run_id"]) == ("a", "flow", "manual__1")
    assert {body["task_id"] for body in asked if body["type"] == "GetXCom"} == {"absent", "m"}


def test_xcom_push_sends_the_value_form_and_the_own_address(run: Callable[..., Task]) -> None:
    done = run(
        python_task("ti.xcom_push('k', {'a': datetime(2026, 1, 2, tzinfo=timezone.utc), 'b': {1, 2}})", "ti"),
        map_index=-1,
    )
    [push] = [body for body in done.asked if body["type"] == "SetXCom"]
    assert (push["dag_id"], push["task_id"], push["run_id"], push["map_index"]) == ("flow", "t", "manual__1", -1)
    assert push["value"]["a"]["__classname__"] in ("datetime.datetime", "pendulum.datetime.DateTime")
    assert push["value"]["b"]["__classname__"] == "builtins.set"


@pytest.mark.parametrize(
    ("body", "decorator", "pushed"),
    [
        ("return None", "@task", {}),
        ("return 0", "@task", {"return_value": 0}),
        ("return {'a': 1}", "@task", {"return_value": {"a": 1}}),
        ("return {'a': 1, 'b': 2}", "@task(multiple_outputs=True)", {"a": 1, "b": 2, "return_value": {"a": 1, "b": 2}}),
        ("return 1", "@task(do_xcom_push=False)", {}),
    ],
)
def test_the_return_value_becomes_an_xcom(
    run: Callable[..., Task], body: str, decorator: str, pushed: dict[str, Any]
) -> None:
    done = run(python_task(body, decorator=decorator))
    assert (done.pushed, done.outcome) == (pushed, SUCCESS)


def test_an_annotation_of_dict_infers_multiple_outputs(run: Callable[..., Task]) -> None:
    text = python_task("return {'a': 1}").replace("def t():", "def t() -> dict[str, int]:")
    assert run(text).pushed == {"a": 1, "return_value": {"a": 1}}


@pytest.mark.parametrize("body", ["return 1", "return {1: 2}"])
def test_multiple_outputs_wants_a_dict_with_string_keys(run: Callable[..., Task], body: str) -> None:
    done = run(python_task(body, decorator="@task(multiple_outputs=True)"))
    assert (done.outcome, done.pushed) == (FAILED, {})
    assert done.line("Task failed with exception")["exception"][0]["exc_type"] == "TypeError"


def test_xcoms_of_an_earlier_try_are_cleared_first(run: Callable[..., Task]) -> None:
    done = run(python_task("return 1"), xcom_keys_to_clear=["return_value", "other"])
    assert [body["key"] for body in done.asked if body["type"] == "DeleteXCom"] == ["return_value", "other"]
    assert done.types.index("DeleteXCom") < done.types.index("SetXCom")


# --- arguments from the call graph and templates ----------------------------------------------------------------------


BINDING = [
    ("t(up())", "x", "up of return_value"),
    ("t(up(), 5)", "x, y", ["up of return_value", 5]),
    ("t(x=up(), y='lit')", "x, y", ["up of return_value", "lit"]),
    ("t([1, up()])", "x", [1, "up of return_value"]),
    ("t({'k': up()})", "x", {"k": "up of return_value"}),
    ("t(up()['part'])", "x", "up of part"),
    ("t(classic.output)", "x", "classic of return_value"),
    ("t(XComArg(classic, 'k'))", "x", "classic of k"),
    ("t('{{ ds }} {{ ti.task_id }}')", "x", "2026-05-17 t"),
    ("t('{{ params.n }}')", "x", "1"),
    ("t(['{{ ds }}', {'k': '{{ run_id }}'}])", "x", ["2026-05-17", {"k": "manual__1"}]),
    ("t('no template')", "x", "no template"),
]


def answer_with_names(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "XComResult", "key": body["key"], "value": f"{body['task_id']} of {body['key']}"}


@pytest.mark.parametrize(("call", "arguments", "value"), BINDING, ids=[each[0] for each in BINDING])
def test_arguments_are_bound_from_the_call_graph(
    run: Callable[..., Task], call: str, arguments: str, value: Any
) -> None:
    result = arguments if "," not in arguments else f"[{arguments}]"
    text = classic(
        f"""
        @task(multiple_outputs=True)
        def up(): pass
        classic = BaseOperator(task_id="classic")
        @task
        def t({arguments}):
            return {result}
        {call}
        """,
        "params={'n': 1}",
    )
    done = run(text, {"GetXCom": answer_with_names})
    assert (done.code, done.pushed) == (0, {"return_value": value})


OPERATOR = """
class Shows(BaseOperator):
    template_fields = ("text", "more")
    template_ext = (".sql",)

    def __init__(self, text, more=None, **kwargs):
        super().__init__(**kwargs)
        self.text, self.more = text, more

    def execute(self, context):
        return [self.text, self.more]

"""
TEMPLATES = [
    ("{{ ds }}", "2026-05-17"),
    ("{{ ds_nodash }}/{{ ts }}", "20260517/2026-05-17T06:30:00+00:00"),
    ("{{ params.n }} and {{ params['n'] }}", "1 and 1"),
    ("{{ macros.ds_add(ds, 5) }}", "2026-05-22"),
    ("{{ logical_date.year }} {{ dag_run.run_id }} {{ task.task_id }} {{ dag.dag_id }}", "2026 manual__1 t flow"),
    ("{{ var.value.v }} {{ var.json.j.k }} {{ var.value.get('none', 'else') }}", "of v 5 else"),
    ("{{ conn.c.host }}", "host.of.c"),
    ("{{ ti.xcom_pull('up') }}", "pulled"),
    ("{{ ds | upper }}{% if 1 %} yes{% endif %}", "2026-05-17 yes"),
    ("query.sql", "select '2026-05-17'"),
    ("{{ hello }} {{ shout('a') }}", "hi A!"),
]


def test_templates_are_rendered_as_airflow_renders_them(run: Callable[..., Task], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    (tmp_path / "query.sql").write_text("select '{{ ds }}'")
    texts = [text for text, _ in TEMPLATES]
    text = classic(
        OPERATOR + f"Shows(task_id='t', text={texts!r}, more={{'k': '{{{{ ds }}}}'}})",
        "params={'n': 1}, user_defined_macros={'hello': 'hi', 'shout': lambda text: text.upper() + '!'}",
    )

    def variable(body: dict[str, Any]) -> dict[str, Any]:
        if body["key"] == "none":
            return {"type": "ErrorResponse", "error": "VARIABLE_NOT_FOUND", "detail": {}}
        return {"type": "VariableResult", "key": body["key"], "value": '{"k": 5}' if body["key"] == "j" else "of v"}

    done = run(
        text,
        {
            "GetVariable": variable,
            "GetConnection": {"type": "ConnectionResult", "conn_id": "c", "conn_type": "http", "host": "host.of.c"},
            "GetXComSequenceSlice": {"type": "XComSequenceSliceResult", "root": ["pulled"]},
            "GetXCom": {"type": "XComResult", "key": "return_value", "value": "pulled"},
        },
    )
    assert done.pushed == {"return_value": [[value for _, value in TEMPLATES], {"k": "2026-05-17"}]}, done.text
    rendered = next(body for body in done.asked if body["type"] == "SetRenderedFields")["rendered_fields"]
    assert rendered["text"] == [value for _, value in TEMPLATES]


def test_a_template_with_an_undefined_name_fails_the_task(run: Callable[..., Task]) -> None:
    pytest.importorskip("jinja2")
    done = run(classic(OPERATOR + "Shows(task_id='t', text='{{ nothing_of_this_name }}')"))
    assert (done.code, done.outcome) == (0, FAILED)
    assert done.line("Task failed with exception")["exception"][0]["exc_type"] == "UndefinedError"


WITHOUT_JINJA = "import sys\nsys.modules['jinja2'] = None\n"


def test_without_jinja_text_that_is_no_template_passes_through(run: Callable[..., Task]) -> None:
    dag = WITHOUT_JINJA + classic(OPERATOR + "Shows(task_id='t', text='plain { text }', more={'k': [1, 'two']})")
    assert run(dag).pushed == {"return_value": ["plain { text }", {"k": [1, "two"]}]}


@pytest.mark.parametrize("text", ["{{ ds }}", "{% if ds %}x{% endif %}", "{# a note #}"])
def test_without_jinja_a_template_fails_and_says_what_to_do(run: Callable[..., Task], text: str) -> None:
    done = run(WITHOUT_JINJA + classic(OPERATOR + f"Shows(task_id='t', text={text!r})"))
    assert (done.code, done.outcome) == (0, FAILED)
    assert 'add "jinja2" to the dependencies' in done.line("Task failed with exception")["exception"][0]["exc_value"]


# --- variables and connections ----------------------------------------------------------------------------------------


VARIABLE = {"type": "VariableResult", "key": "v", "value": '{"a": [1]}'}
NO_VARIABLE = {"type": "ErrorResponse", "error": "VARIABLE_NOT_FOUND", "detail": {"message": "none"}}


@pytest.mark.parametrize(
    ("body", "answer", "value"),
    [
        ("return Variable.get('v')", VARIABLE, '{"a": [1]}'),
        ("return Variable.get('v', deserialize_json=True)", VARIABLE, {"a": [1]}),
        ("return Variable.get('v', default='d')", VARIABLE, '{"a": [1]}'),
        ("return Variable.get('v', default='d')", NO_VARIABLE, "d"),
        ("return str(Variable.get('v', default=None))", NO_VARIABLE, "None"),
        ("try: Variable.get('v')\nexcept AirflowRuntimeError as e: return e.error.error.value", NO_VARIABLE,
         "VARIABLE_NOT_FOUND"),
        ("from airflow.models import Variable as V; return V.get('v')", VARIABLE, '{"a": [1]}'),
    ],
)  # fmt: skip
def test_a_variable_is_asked_of_the_supervisor(run: Callable[..., Task], body: str, answer: Any, value: Any) -> None:
    done = run(python_task(body), {"GetVariable": answer})
    assert done.pushed == {"return_value": value}, done.text
    assert {"type": "GetVariable", "key": "v"} in done.asked


def test_a_variable_of_the_environment_goes_first_and_is_masked(run: Callable[..., Task]) -> None:
    done = run(
        python_task("return [Variable.get('my_token'), Variable.get('j', deserialize_json=True)]"),
        env={"AIRFLOW_VAR_MY_TOKEN": "hidden-thing", "AIRFLOW_VAR_J": "[1]"},
    )
    assert done.pushed == {"return_value": ["hidden-thing", [1]]}
    assert "GetVariable" not in done.types
    mask = next(body for body in done.asked if body["type"] == "MaskSecret")
    assert (mask["value"], mask["name"]) == ("hidden-thing", "my_token")


def test_a_variable_is_set_and_deleted(run: Callable[..., Task]) -> None:
    done = run(python_task("Variable.set('a', {'b': 1}, 'text', serialize_json=True); Variable.delete('a')"))
    put, delete = [body for body in done.asked if body["type"] in ("PutVariable", "DeleteVariable")]
    assert (put["key"], json.loads(put["value"]), put["description"]) == ("a", {"b": 1}, "text")
    assert delete["key"] == "a"


CONNECTION = {"type": "ConnectionResult", "conn_id": "db", "conn_type": "postgres", "host": "h", "login": "u",
              "password": "p w", "port": 5432, "schema": "s", "extra": '{"x": "1"}'}  # fmt: skip
NO_CONNECTION = {"type": "ErrorResponse", "error": "CONNECTION_NOT_FOUND", "detail": {}}


@pytest.mark.parametrize("source", ["supervisor", "uri", "json"])
def test_a_connection_is_the_same_from_the_supervisor_and_the_environment(
    run: Callable[..., Task], source: str
) -> None:
    fields = {key: each for key, each in CONNECTION.items() if key not in ("type", "conn_id")}
    text = {"uri": "postgres://u:p%20w@h:5432/s?x=1", "json": json.dumps(fields)}.get(source)
    done = run(
        python_task("c = Connection.get('db'); return [c.conn_id, c.get_uri(), c.extra_dejson, c.password, c.port]"),
        {"GetConnection": CONNECTION},
        env={} if text is None else {"AIRFLOW_CONN_DB": text},
    )
    uri = "postgres://u:p%20w@h:5432/s?x=1"
    assert done.pushed == {"return_value": ["db", uri, {"x": "1"}, "p w", 5432]}
    assert ("GetConnection" in done.types) == (text is None)
    assert any(body["type"] == "MaskSecret" and body["value"] == "p w" for body in done.asked) == (text is not None)


@pytest.mark.parametrize("text", ["{not json", '{"hots": "h"}', "postgres://u:p%20w@h:p w/s"])
def test_a_variable_that_holds_no_connection_is_passed_over_aloud(run: Callable[..., Task], text: str) -> None:
    done = run(
        python_task("return Connection.get('db').host"), {"GetConnection": CONNECTION}, env={"AIRFLOW_CONN_DB": text}
    )
    assert done.pushed == {"return_value": "h"}
    (said,) = [each["event"] for each in done.logs if each["level"] == "warning"]
    assert "AIRFLOW_CONN_DB is passed over: connection 'db' is neither a URI" in said and "p w" not in said


def test_a_connection_that_does_not_exist_is_an_exception_of_its_own(run: Callable[..., Task]) -> None:
    done = run(
        python_task("try: Connection.get('db')\nexcept AirflowNotFoundException as error: return str(error)"),
        {"GetConnection": NO_CONNECTION},
    )
    assert done.pushed == {"return_value": "The conn_id `db` isn't defined"}


def test_rendered_fields_do_not_show_what_is_secret(run: Callable[..., Task]) -> None:
    dag = classic(OPERATOR + "Shows(task_id='t', text='{{ conn.db.password }} x', more={'api_key': 'abc'})")
    fields = {**CONNECTION, "password": "verysecret"}
    done = run(dag, {"GetConnection": fields})
    rendered = next(body for body in done.asked if body["type"] == "SetRenderedFields")["rendered_fields"]
    assert rendered == {"text": "*** x", "more": {"api_key": "***"}}


# --- threads and async tasks ------------------------------------------------------------------------------------------


def echo(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "VariableResult", "key": body["key"], "value": f"of {body['key']}"}


def test_many_threads_may_ask_at_once_and_each_gets_its_own_answer(run: Callable[..., Task]) -> None:
    body = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(Variable.get, map(str, range(100))))
    """
    done = run(python_task(body), {"GetVariable": echo})
    assert done.pushed == {"return_value": [f"of {number}" for number in range(100)]}
    assert [frame[0] for frame in done.frames] == list(range(len(done.frames)))


def test_an_async_task_may_ask_from_its_event_loop(run: Callable[..., Task]) -> None:
    body = """
    import asyncio
    async def one(number):
        await asyncio.sleep(0)
        return await asyncio.to_thread(Variable.get, str(number))
    connection = await Connection.async_get("db")
    await ti.axcom_push("pushed", 1)
    return [Variable.get("sync"), connection.host, *await asyncio.gather(*map(one, range(5)))]
    """
    text = python_task(body, "ti").replace("    def t(", "    async def t(")
    done = run(text, {"GetVariable": echo, "GetConnection": CONNECTION})
    assert (done.code, done.outcome) == (0, SUCCESS), done.text
    assert done.pushed == {"pushed": 1, "return_value": ["of sync", "h", *(f"of {number}" for number in range(5))]}


def test_an_async_task_that_fails_is_retried(run: Callable[..., Task]) -> None:
    text = python_task("raise ValueError('async')").replace("    def t(", "    async def t(")
    assert run(text, should_retry=True).outcome == RETRY


# --- the Dag processor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "dags", "errors"), [(classic("pass"), ["flow"], 0), ("1 / 0\n", [], 1)])
def test_a_parse_request_is_answered_with_the_dags(tmp_path: Path, text: str, dags: list[str], errors: int) -> None:
    task = Task(tmp_path, text)
    task.send(
        [
            0,
            {
                "type": "DagFileParseRequest",
                "file": "/dags/flow.py",
                "bundle_path": "/dags",
                "bundle_name": "dags",
                "callback_requests": [],
            },
            None,
        ]
    )
    task.serve()
    assert task.code == 0
    [body] = task.asked
    assert (body["type"], body["fileloc"]) == ("DagFileParsingResult", "/dags/flow.py")
    assert [each["data"]["dag"]["dag_id"] for each in body["serialized_dags"]] == dags
    assert {each["data"]["dag"]["fileloc"] for each in body["serialized_dags"]} <= {"/dags/flow.py"}
    assert list(body["import_errors"] or {}) == ["/dags/flow.py"] * errors


def test_a_callback_that_comes_with_a_parse_request_is_refused_in_the_log(tmp_path: Path) -> None:
    task = Task(tmp_path, classic("pass"))
    callback = {"type": "DagCallbackRequest", "filepath": "flow.py", "bundle_name": "dags", "bundle_version": None}
    request = {"type": "DagFileParseRequest", "file": "/dags/flow.py", "bundle_path": "/dags", "bundle_name": "dags"}
    task.send([0, {**request, "callback_requests": [{**callback, "dag_id": "flow", "run_id": "r"}]}, None])
    task.serve()
    assert (task.code, task.types) == (0, ["DagFileParsingResult"])
    refusals = [each for each in task.logs if each["event"].startswith("A bundle does not run callbacks")]
    assert [(each["level"], each["kind"]) for each in refusals] == [("error", "DagCallbackRequest")]


# --- what a bundle cannot do, it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"AIRFLOW__CORE__XCOM_BACKEND": "company.xcom.S3Backend"}, "keeps XComs in company.xcom.S3Backend"),
        ({"AIRFLOW__CORE__DEFAULT_IMPERSONATION": "somebody_else"}, "is to run as user 'somebody_else'"),
    ],
)
def test_a_deployment_a_bundle_cannot_obey_fails_the_task_before_its_code_runs(
    tmp_path: Path, env: dict[str, str], words: str
) -> None:
    task = Task(tmp_path, python_task("print('the code ran')"), env=env)
    task.send([0, startup(should_retry=True), None])
    task.serve()
    assert (task.outcome, task.code) == (FAILED, 0)
    assert words in task.line("Task failed with exception")["exception"][0]["exc_value"]
    assert "the code ran" not in task.text


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"AIRFLOW__CORE__XCOM_BACKEND": "airflow.sdk.execution_time.xcom.BaseXCom"}, None),
        ({"AIRFLOW__WORKERS__SECRETS_BACKEND": "company.Vault"}, "AIRFLOW__WORKERS__SECRETS_BACKEND is set"),
        (
            {"AIRFLOW__OPENLINEAGE__TRANSPORT": "{}", "OPENLINEAGE_URL": "http://x"},
            "its listener is not in this bundle",
        ),
    ],
)
def test_what_a_bundle_only_goes_without_is_one_warning(tmp_path: Path, env: dict[str, str], words: str | None) -> None:
    task = Task(tmp_path, python_task("pass"), env=env)
    task.send([0, startup(), None])
    task.serve()
    assert (task.outcome, task.code) == (SUCCESS, 0)
    warnings = [each["event"] for each in task.logs if each["level"] == "warning"]
    assert len(warnings) == (words is not None) and all(words in each for each in warnings)  # type: ignore[operator]


def test_a_plugin_whose_listeners_are_not_frozen_in_is_one_warning(tmp_path: Path) -> None:
    plugins = tmp_path / "home" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "silent.py").write_text("macros = []\n")
    for name in ("lineage_of_ours", "audit_of_ours"):
        (plugins / f"{name}.py").write_text("listeners = []\n")
    task = Task(tmp_path, python_task("pass"), env={"AIRFLOW_HOME": str(tmp_path / "home")})
    task.send([0, startup(), None])
    task.serve()
    assert (task.outcome, task.code) == (SUCCESS, 0)
    (warning,) = [each["event"] for each in task.logs if each["level"] == "warning"]
    assert "audit_of_ours.py" in warning and "lineage_of_ours.py" in warning and "silent.py" not in warning


@pytest.mark.parametrize(
    ("change", "policy", "state", "warns"),
    [("", "", "success", False), ("# newer\n", "", "success", True), ("# newer\n", "fail", "failed", False)],
)
def test_a_dag_file_that_has_drifted_from_the_frozen_one_is_told(
    tmp_path: Path, change: str, policy: str, state: str, warns: bool
) -> None:
    text = python_task("pass")
    dags = tmp_path / "airflow_dags"
    dags.mkdir()
    (dags / "flow.py").write_text(text + change)
    where = [{"name": "dags", "classpath": "LocalDagBundle", "kwargs": {"path": str(dags)}}]
    env = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(where), "AIRFLOW_BUNDLE_ON_DRIFT": policy}
    task = Task(tmp_path, text, env=env)
    task.send([0, startup(), None])
    task.serve()
    assert task.outcome["state"] == state
    assert any("differs from the" in each["event"] for each in task.logs if each["level"] == "warning") == warns
    if state == "failed":
        assert "build the bundle anew" in task.line("Task failed with exception")["exception"][0]["exc_value"]


# --- rendered fields, whose answer a task does not wait for -----------------------------------------------------------


RUNS = "with open('ran', 'a') as file: file.write('x')\nprint('ran', flush=True)"


def test_a_task_runs_while_its_rendered_fields_are_stored(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task(f"{RUNS}\nreturn Variable.get('v')"))
    task.send([0, startup(), None])
    fields = task.receive()
    assert fields and fields[1]["type"] == "SetRenderedFields"
    # The request behind it is sent, and waits for its own answer.
    variable = task.receive()
    assert variable and variable[1]["type"] == "GetVariable" and (tmp_path / "ran").read_text() == "x"
    task.send([fields[0], None, None])
    task.send([variable[0], {"type": "VariableResult", "key": "v", "value": "1"}, None])
    done = task.serve()
    assert (done.code, done.outcome, done.pushed) == (0, SUCCESS, {"return_value": "1"})
    assert done.types == ["SetRenderedFields", "GetVariable", "SetXCom", "SucceedTask"]


@pytest.mark.parametrize("asks", ["pass", "Variable.get('v', default=None)"])
@pytest.mark.parametrize(("should_retry", "outcome"), [(True, RETRY), (False, FAILED)])
def test_a_task_whose_rendered_fields_are_refused_has_failed(
    run: Callable[..., Task], asks: str, should_retry: bool, outcome: dict[str, Any]
) -> None:
    answers = {"SetRenderedFields": REFUSED, "GetVariable": {"type": "ErrorResponse", "error": "VARIABLE_NOT_FOUND"}}
    done = run(python_task(f"{asks}\nreturn 1"), answers, should_retry=should_retry)
    assert done.code == 0 and {key: done.outcome[key] for key in ("type", "state")} == {
        key: outcome[key] for key in ("type", "state")
    }
    assert done.line("Airflow has refused SetRenderedFields")["level"] == "error"
    assert "down" in str(done.line("Task failed with exception")["exception"])


def test_what_a_task_ends_with_itself_stays_when_its_rendered_fields_are_refused(run: Callable[..., Task]) -> None:
    done = run(python_task("raise AirflowFailException('by itself')"), {"SetRenderedFields": REFUSED})
    assert done.outcome["state"] == "failed" and done.line("Airflow has refused SetRenderedFields")
    assert "by itself" in str(done.line("Task failed with exception")["exception"])


def test_a_supervisor_that_leaves_before_it_has_answered_for_rendered_fields_has_no_outcome(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task(RUNS))
    task.send([0, startup(), None])
    assert task.receive()
    task.hang_up()
    done = task.finish()
    assert done.code == 1 and done.types == ["SetRenderedFields"]
    assert done.line("Lost the supervisor before the task was done")


def test_sigterm_while_rendered_fields_are_awaited_is_tried_again(tmp_path: Path) -> None:
    task = Task(tmp_path, python_task(RUNS))
    task.send([0, startup(should_retry=True), None])
    fields = task.receive()
    assert fields
    while not (tmp_path / "ran").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    task.process.terminate()
    time.sleep(0.2)
    task.send([fields[0], None, None])
    done = task.serve()
    assert (done.code, done.outcome["type"]) == (0, "RetryTask"), done.text

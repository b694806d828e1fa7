"""More of everything than a task should ask for: nothing lost, nothing out of order, memory bounded.

This is a short form of each; `make soak` runs the whole (`soak_load.py`), one alone with `make soak ARGS="-k lines"`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from harness import ExecutionAPI, environment, routing, task_instance

Run = Callable[..., Any]

WHOLE = "SOAK" in os.environ
LINES = 1_000_000 if WHOLE else 20_000
CALLS = 100_000 if WHOLE else 3_200
MIB = 512 if WHOLE else 16
TASKS = 200 if WHOLE else 18
AT_A_TIME = 16
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "1800")) if WHOLE else 0
# Nothing here should take long on an idle machine; this is for a busy one.
PATIENCE = 600 if WHOLE else 180
MEGABYTE = 1 << 20
# What threads, buffers and the modules that are imported on the way may take besides.
BESIDES = 32 * MEGABYTE


def test_no_line_of_many_is_lost_and_each_threads_lines_stay_in_order(run: Run) -> None:
    result = run("hostile.py", "hostile", "log_lines", conf={"lines": LINES, "threads": 8})
    assert result.state == "success", (result.state, result.error, result.log()[-4000:])
    said: dict[str, list[str]] = {}
    for record in result.records:
        if record["logger"].startswith("load."):
            said.setdefault(record["logger"], []).append(record["event"])
    wanted = [str(line) for line in range(LINES // 8)]
    assert len(said) == 8
    assert all(lines == wanted for lines in said.values())
    assert result.xcom() < BESIDES


def test_every_one_of_many_calls_from_32_threads_gets_its_own_answer(run: Run) -> None:
    variables = {f"k{number}": f"value of k{number}" for number in range(50)}
    result = run("hostile.py", "hostile", "call_much", variables=variables, conf={"calls": CALLS, "threads": 32})
    assert result.state == "success", (result.state, result.error, result.log()[-4000:])
    right, memory = result.xcom()
    assert right == CALLS
    assert len(result.api.asked("GET", "^variables/")) == CALLS
    assert memory < BESIDES


def test_a_large_xcom_is_pushed_and_pulled_whole_in_bounded_memory(run: Run) -> None:
    api = ExecutionAPI()
    pushed = run("hostile.py", "hostile", "push_large", conf={"mib": MIB}, api=api, startup_timeout=60)
    assert pushed.state == "success", (pushed.state, pushed.error, pushed.log()[-4000:])
    # The value itself, and the frame that carries it.
    assert pushed.xcom("more_memory") < 1.5 * MIB * MEGABYTE + BESIDES
    api.calls.clear()
    pulled = run("hostile.py", "hostile", "pull_large", api=api, startup_timeout=60)
    assert pulled.state == "success", (pulled.state, pulled.error, pulled.log()[-4000:])
    length, right, memory = pulled.xcom()
    assert length == right == MIB * MEGABYTE
    assert memory < 1.5 * MIB * MEGABYTE + BESIDES


# --- a LocalExecutor --------------------------------------------------------------------------------------------------

# Task, how many more tries it has, and the state that the API server must be told.
KINDS = (
    ("succeeds", 0, "success"),
    ("fails", 0, "failed"),
    ("skips", 0, "skipped"),
    ("fails_once", 1, "up_for_retry"),
    ("speaks", 0, "success"),
    ("exits", 0, "failed"),
)


@contextmanager
def served(api: ExecutionAPI) -> Iterator[str]:
    """The URL of an HTTP server that answers as this Execution API."""
    import httpx

    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                response = api.handle(httpx.Request(self.command, f"http://api{self.path}", content=body))
            self.send_response(response.status_code)
            for name in ("content-type", "content-range"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.send_header("content-length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_by_local_executor(bundle: Path, dag_file: Path, count: int, logs: Path) -> list[tuple[str, str, str | None]]:
    """`count` tasks of all kinds, 16 at a time: task, the state it must have, and the state the API was told."""
    from airflow.executors.local_executor import LocalExecutor
    from airflow.executors.workloads import BundleInfo, ExecuteTask
    from airflow.sdk.execution_time.coordinator import reset_coordinator_manager

    api = ExecutionAPI()
    wanted = {}
    with served(api) as url:
        settings = routing(bundle.parent, dag_file.parent, startup_timeout=120)
        settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = url
        settings["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(logs)
        with environment(settings):
            reset_coordinator_manager()
            executor = LocalExecutor(parallelism=AT_A_TIME)
            executor.start()
            try:
                for number in range(count):
                    task_id, more, state = KINDS[number % len(KINDS)]
                    ti = task_instance("outcomes", task_id, run_id=f"run{number}")
                    api.add_dag_run("outcomes", ti.run_id)
                    api.task_instances[str(ti.id)] = {
                        **ti.model_dump(mode="json"),
                        "state": "queued",
                        "max_tries": more,
                        "next_method": None,
                        "next_kwargs": None,
                    }
                    wanted[str(ti.id)] = (task_id, state)
                    fields = {**ti.model_dump(), "pool_slots": 1, "priority_weight": 1}
                    workload = ExecuteTask(
                        ti=fields,
                        dag_rel_path=dag_file.name,
                        token="token",
                        log_path=f"{number}.log",
                        bundle_info=BundleInfo(name="dags", version=None),
                    )
                    executor.queue_workload(workload, session=None)
                deadline = time.monotonic() + PATIENCE
                ended: set[Any] = set()
                while len(ended) < count and time.monotonic() < deadline:
                    executor.heartbeat()
                    ended |= {
                        key for key, (state, _) in executor.get_event_buffer().items() if state.value != "running"
                    }
                    time.sleep(0.05)
            finally:
                # Its end waits for ever when a worker takes the message to stop that was meant for another one and is
                # gone before its own would be sent.
                for _ in executor.workers:
                    executor.activity_queue.put(None)
                executor.end()
    told: dict[str, str] = {}
    for call in api.asked("PATCH", "/state$"):
        if call.status < 300:
            told[call.path.split("/")[1]] = call.body["state"]
    return [(task_id, state, told.get(ti_id)) for ti_id, (task_id, state) in wanted.items()]


@pytest.mark.only("bundle", "script")
def test_tasks_started_sixteen_at_a_time_by_a_local_executor_each_end_as_they_should(
    airflow: Any, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = make_bundle("outcomes.py")
    started = time.monotonic()
    rounds = 0
    while not rounds or time.monotonic() - started < SOAK_SECONDS:
        logs = tmp_path / str(rounds)
        ends = run_by_local_executor(bundle, Path(__file__).parent / "dags" / "outcomes.py", TASKS, logs)
        assert len(ends) == TASKS
        assert [each for each in ends if each[1] != each[2]] == []
        rounds += 1
    print(f"{rounds} rounds of {TASKS} tasks in {time.monotonic() - started:.0f} s")

"""A whole Airflow (`airflow standalone`: SQLite, LocalExecutor) with a Dag in its Dag folder and the same file frozen.

Everything is driven and read back through the public REST API, as a user would.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).parent / "dags"
START_SECONDS = 400
RUN_SECONDS = 300

pytestmark = pytest.mark.e2e


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Deployment:
    """A running Airflow: its REST API, its folders, and how to end it."""

    def __init__(self, home: Path, dags: Path, bundles: Path) -> None:
        api, worker_logs, trigger_logs = free_ports(3)
        self.home = home
        self.base = f"http://127.0.0.1:{api}"
        coordinator = "airflow.sdk.coordinators.executable.ExecutableCoordinator"
        # A busy machine is no failure of what is tested.
        kwargs = {"executables_root": [str(bundles)], "task_startup_timeout": 60}
        settings = {
            "CORE__LOAD_EXAMPLES": "false",
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "3",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.base}/execution/",
            "API__HOST": "127.0.0.1",
            "API__PORT": str(api),
            "API__BASE_URL": self.base,
            "API__WORKERS": "1",
            "LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SDK__COORDINATORS": json.dumps({"bundles": {"classpath": coordinator, "kwargs": kwargs}}),
            "SDK__QUEUE_TO_COORDINATOR": json.dumps({"frozen": "bundles"}),
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST_", "MAKE"))}
        env |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        env |= {"AIRFLOW_HOME": str(home), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"}
        self._start(env)

    @classmethod
    def started(cls, home: Path, base: str, environment: dict[str, str]) -> Deployment:
        """`airflow standalone` with no settings but those of an environment; `base` is the URL that they lead to."""
        deployment = cls.__new__(cls)
        deployment.home, deployment.base = home, base
        deployment._start(environment)
        return deployment

    def _start(self, env: dict[str, str]) -> None:
        self.log = (self.home / "standalone.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def request(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(f"{self.base}/api/v2/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def wait_for(self, what: str, seconds: float, probe: Callable[[], Any]) -> Any:
        """Until the probe returns something true; AssertionError with Airflow's log when it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"airflow standalone ended\n{self.tail()}"
            try:
                if found := probe():
                    return found
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.5)
        raise AssertionError(f"no {what} in {seconds:.0f} s\n{self.tail()}")

    def tail(self) -> str:
        return (self.home / "standalone.log").read_text(errors="replace")[-6000:]

    def start(self, dag_id: str) -> None:
        """Trigger a run."""
        self.wait_for(f"Dag {dag_id}", START_SECONDS, lambda: self.request("GET", f"dags/{dag_id}"))
        self.request("PATCH", f"dags/{dag_id}", {"is_paused": False})
        self.request("POST", f"dags/{dag_id}/dagRuns", {"dag_run_id": "r1", "logical_date": None})

    def end(self, dag_id: str) -> str:
        """Wait for the end of the run; returns its state."""

        def ended() -> str | None:
            state = self.request("GET", f"dags/{dag_id}/dagRuns/r1")["state"]
            return state if state in ("success", "failed") else None

        return self.wait_for(f"end of the run of {dag_id}", RUN_SECONDS, ended)

    def run(self, dag_id: str) -> str:
        """Trigger a run and wait for its end; returns its state."""
        self.start(dag_id)
        return self.end(dag_id)

    def tasks(self, dag_id: str) -> dict[str, dict[str, Any]]:
        found = self.request("GET", f"dags/{dag_id}/dagRuns/r1/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def xcom(self, dag_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value as stored; KeyError when there is none."""
        try:
            return self.request("GET", f"dags/{dag_id}/dagRuns/r1/taskInstances/{task_id}/xcomEntries/{key}")["value"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise KeyError(key) from None
            raise

    def logs(self, dag_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> list[dict[str, Any]]:
        """The records of one try."""
        path = f"dags/{dag_id}/dagRuns/r1/taskInstances/{task_id}/logs/{try_number}?map_index={map_index}"
        return self.request("GET", path)["content"]

    def stop(self) -> None:
        """End every process it started: its session, and the task runners, which have process groups of their own."""
        import psutil

        try:
            root = psutil.Process(self.process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            _quietly(process.terminate)
        _, alive = psutil.wait_procs(family, timeout=8)
        for process in alive:
            _quietly(process.kill)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        self.log.close()


def _quietly(action: Callable[[], None]) -> None:
    import psutil

    try:
        action()
    except psutil.NoSuchProcess:
        pass


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Iterator[Deployment]:
    pytest.importorskip("airflow", reason="apache-airflow is not installed")
    root = tmp_path_factory.mktemp("e2e")
    home, dags, bundles = (root / name for name in ("home", "dags", "bundles"))
    for folder in (home, dags, bundles):
        folder.mkdir()
    for name in ("outcomes.py", "example_etl.py", "whole_airflow.py"):
        bundle = make_bundle(name)
        shutil.copy2(bundle, bundles)
        if name == "example_etl.py":
            # Airflow gets the stub of this one, the others as they are.
            stub = subprocess.run([bundle, "--stub"], capture_output=True, text=True, check=True)
            (dags / name).write_text(stub.stdout)
        else:
            shutil.copy(DAGS / name, dags)
    airflow = None
    try:
        airflow = Deployment(home, dags, bundles)
        airflow.wait_for("health", START_SECONDS, lambda: healthy(airflow))
        yield airflow
    finally:
        if airflow:
            airflow.stop()
        shutil.rmtree(root, ignore_errors=True)


def healthy(airflow: Deployment) -> bool:
    health = airflow.request("GET", "monitor/health")
    return all(
        health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")
    )


@pytest.fixture(scope="module")
def outcomes(deployment: Deployment) -> str:
    """The end of a run of the Dag `outcomes`."""
    return deployment.run("outcomes")


def test_a_run_ends_in_success_though_tasks_failed_and_were_skipped(deployment: Deployment, outcomes: str) -> None:
    states = {task_id: task["state"] for task_id, task in deployment.tasks("outcomes").items()}
    assert states == {
        "succeeds": "success",
        "fails": "failed",
        "fails_once": "success",
        "skips": "skipped",
        "sums_up": "success",
        "fails_for_good": "failed",
        "returns_nothing": "success",
        "speaks": "success",
        "exits": "failed",
        "waits": "success",
    }
    assert outcomes == "success"


def test_the_second_try_of_a_task_succeeds_and_both_tries_have_a_log(deployment: Deployment, outcomes: str) -> None:
    task = deployment.tasks("outcomes")["fails_once"]
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert "try 1" in events(deployment.logs("outcomes", "fails_once", 1))
    assert "try 2" in events(deployment.logs("outcomes", "fails_once", 2))


def test_xcoms_are_stored_where_a_task_returns_something(deployment: Deployment, outcomes: str) -> None:
    assert deployment.xcom("outcomes", "succeeds") == 42
    assert deployment.xcom("outcomes", "fails_once") == "worked on try 2"
    assert deployment.xcom("outcomes", "sums_up") == "done"
    for task_id in ("fails", "skips", "returns_nothing"):
        with pytest.raises(KeyError):
            deployment.xcom("outcomes", task_id)


def test_the_log_of_a_failure_has_its_traceback(deployment: Deployment, outcomes: str) -> None:
    (record,) = [r for r in deployment.logs("outcomes", "fails") if r["event"] == "Task failed with exception"]
    assert [part["exc_type"] for part in record["error_detail"]] == ["OutOfStock", "KeyError"]


def test_what_a_task_says_is_in_its_log(deployment: Deployment, outcomes: str) -> None:
    said = events(deployment.logs("outcomes", "speaks"))
    for line in ("a word with text and 7", "printed to stdout", "printed to stderr", "caught and logged"):
        assert line in said
    assert "nothing to do today" in json.dumps(deployment.logs("outcomes", "skips"))


def test_every_task_ran_in_the_bundle_and_not_in_airflows_runner(deployment: Deployment, outcomes: str) -> None:
    for task_id, task in deployment.tasks("outcomes").items():
        said = events(deployment.logs("outcomes", task_id, task["try_number"]))
        assert not any(line.startswith("Filling up the DagBag") for line in said), task_id
        assert task["queue"] == "frozen"


def test_the_example_ends_in_success_though_airflow_has_only_its_stub(deployment: Deployment) -> None:
    source = deployment.request("GET", "dagSources/example_etl")["content"]
    assert "@task.stub" in source and "warehouse" not in source
    connection = {"connection_id": "warehouse", "conn_type": "postgres", "host": "db.example", "schema": "sales"}
    deployment.request("POST", "connections", connection)
    deployment.request("POST", "variables", {"key": "etl_currency", "value": "EUR"})
    assert deployment.run("example_etl") == "success", deployment.tail()
    assert {task["state"] for task in deployment.tasks("example_etl").values()} == {"success"}
    assert deployment.xcom("example_etl", "transform", "total") == 118.03
    assert deployment.xcom("example_etl", "load").startswith("postgres://db.example/sales/orders/")
    assert "read 3 orders" in events(deployment.logs("example_etl", "extract"))


@pytest.fixture(scope="module")
def whole(deployment: Deployment, outcomes: str) -> str:
    """The end of a run of the Dag `whole_airflow`, for which a person has answered."""
    deployment.start("whole_airflow")

    def asking() -> bool:
        return deployment.tasks("whole_airflow")["asks"]["state"] == "awaiting_input"

    deployment.wait_for("question", RUN_SECONDS, asking)
    answer = {"chosen_options": ["blue"], "params_input": {"why": "it is calm"}}
    deployment.request("PATCH", "dags/whole_airflow/dagRuns/r1/taskInstances/asks/-1/hitlDetails", answer)
    return deployment.end("whole_airflow")


def test_a_run_that_waits_maps_and_branches_ends_in_success(deployment: Deployment, whole: str) -> None:
    found = deployment.request("GET", "dags/whole_airflow/dagRuns/r1/taskInstances")["task_instances"]
    states: dict[str, list[str]] = {}
    for each in found:
        states.setdefault(each["task_id"], []).append(each["state"])
    assert states == {
        "defers": ["success"],
        "looks_again": ["success"],
        "numbers": ["success"],
        "double": ["success"] * 3,
        "total": ["success"],
        "choose": ["success"],
        "ways.large": ["success"],
        "ways.small": ["skipped"],
        "asks": ["success"],
        "emits": ["success"],
    }, [deployment.logs("whole_airflow", task_id) for task_id, found in states.items() if "failed" in found]
    assert whole == "success"


def test_a_task_that_defers_comes_back_with_what_the_triggerer_sent(deployment: Deployment, whole: str) -> None:
    assert deployment.xcom("whole_airflow", "defers") == {"since": 7, "event": "20"}


def test_a_sensor_that_reschedules_looks_again_in_the_same_try(deployment: Deployment, whole: str) -> None:
    assert deployment.xcom("whole_airflow", "looks_again") == "there it is"
    said = events(deployment.logs("whole_airflow", "looks_again"))
    assert [line for line in said if line.startswith("looked")] == ["looked 0 times before", "looked 1 times before"]
    assert deployment.tasks("whole_airflow")["looks_again"]["try_number"] == 1


def test_a_person_answers_through_the_api(deployment: Deployment, whole: str) -> None:
    answer = deployment.xcom("whole_airflow", "asks")
    assert (answer["chosen_options"], answer["params_input"]) == (["blue"], {"why": "it is calm"})


def test_each_instance_of_a_mapped_task_has_its_value_its_label_and_its_log(deployment: Deployment, whole: str) -> None:
    assert deployment.xcom("whole_airflow", "total") == 12
    found = deployment.request("GET", "dags/whole_airflow/dagRuns/r1/taskInstances/double/listMapped")["task_instances"]
    labels = {each["map_index"]: each["rendered_map_index"] for each in found}
    assert labels == {index: f"double of {index}" for index in range(3)}
    for index in range(3):
        assert f"doubling {index + 1}" in events(deployment.logs("whole_airflow", "double", map_index=index))


def test_the_branch_that_was_not_chosen_is_skipped_before_it_starts(deployment: Deployment, whole: str) -> None:
    assert deployment.xcom("whole_airflow", "ways.large") == "chosen"
    assert deployment.tasks("whole_airflow")["ways.small"]["state"] == "skipped"
    with pytest.raises(KeyError):
        deployment.xcom("whole_airflow", "ways.small")


def test_an_asset_that_a_task_updates_starts_the_dag_that_waits_for_it(deployment: Deployment, whole: str) -> None:
    def ended() -> str | None:
        runs = deployment.request("GET", "dags/after_whole_airflow/dagRuns")["dag_runs"]
        return next((run["dag_run_id"] for run in runs if run["state"] in ("success", "failed")), None)

    run_id = deployment.wait_for("run of after_whole_airflow", RUN_SECONDS, ended)
    # Only now: Airflow cannot show an event while a run that it started is queued (AssetEventResponse wants its date).
    (event,) = deployment.request("GET", "assets/events?source_dag_id=whole_airflow")["asset_events"]
    assert (event["source_task_id"], event["extra"]) == ("emits", {"answer": ["blue"]})
    entry = (
        f"dags/after_whole_airflow/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/reads/xcomEntries/return_value"
    )
    read = deployment.request("GET", entry)["value"]
    assert read == {"from": "emits", "extra": {"answer": ["blue"]}, "uri": "s3://shop/orders.csv"}


def events(records: list[dict[str, Any]]) -> list[str]:
    return [record["event"] for record in records]

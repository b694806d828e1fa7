"""Providers that a Dag file declares are frozen in and work, without Airflow; others leave placeholders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import DAGS

DAG_FILE = "providers/with_providers.py"
pytestmark = pytest.mark.only("bundle")


@pytest.fixture(scope="module")
def web() -> Iterator[dict[str, Any]]:
    """A web server that answers with the path, and the connection to it."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path == "/missing" else 200)
            self.end_headers()
            self.wfile.write(f'{{"path": "{self.path}"}}'.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"conn_type": "http", "host": "http://127.0.0.1", "port": server.server_port}
    server.shutdown()
    server.server_close()


@pytest.fixture
def run_task(run: Callable[..., Any], web: dict[str, Any], tmp_path: Path) -> Callable[..., Any]:
    connections = {
        "web": web,
        "db": {"conn_type": "sqlite", "host": str(tmp_path / "db.sqlite")},
        "odd": {"conn_type": "odd"},
    }

    def run_task(task_id: str, **options: Any) -> Any:
        return run(DAG_FILE, "with_providers", task_id, connections=connections, **options)

    return run_task


def test_an_operator_of_a_frozen_provider_runs_with_its_templates(run_task: Callable[..., Any]) -> None:
    result = run_task("get")
    assert result.state == "success", result.log()
    assert result.xcom() == {"path": "/2026-01-02"}


def test_a_sensor_of_a_frozen_provider_pokes(run_task: Callable[..., Any]) -> None:
    assert run_task("wait").state == "success"


def test_an_operator_of_a_frozen_provider_defers_to_its_own_trigger(run_task: Callable[..., Any]) -> None:
    result = run_task("get_deferred")
    assert result.state == "deferred", result.log()
    (call,) = [call for call in result.calls if (call.body or {}).get("state") == "deferred"]
    assert call.body["classpath"] == "airflow.providers.http.triggers.http.HttpTrigger"


def test_what_an_operator_of_a_frozen_provider_raises_fails_the_task(run_task: Callable[..., Any]) -> None:
    result = run_task("get_missing")
    assert result.state == "failed" and "404" in result.log(), result.log()


def test_a_hook_of_a_frozen_provider_finds_its_connection(run_task: Callable[..., Any]) -> None:
    assert run_task("fetch").xcom() == '{"path": "/other"}'


def test_a_hook_and_an_operator_that_looks_for_one_by_connection_type_share_a_database(
    run_task: Callable[..., Any],
) -> None:
    assert run_task("rows").xcom() is not None
    result = run_task("query")
    assert result.state == "success", result.log()
    assert "3" in str(result.xcom())
    assert run_task("by_type").xcom() == "SqliteHook"
    result = run_task("total")
    assert result.state == "success", result.log()
    assert "2" in str(result.xcom())


def test_a_connection_type_of_no_frozen_provider_says_what_to_do(run_task: Callable[..., Any]) -> None:
    result = run_task("of_an_unknown_type")
    assert result.state == "failed" and "declare the provider that has it" in result.log()


def test_a_hook_that_is_imported_inside_a_task_is_frozen_in(run_task: Callable[..., Any]) -> None:
    result = run_task("files")
    assert "no_such" in result.log() and "ModuleNotFoundError" not in result.log()


def test_a_hook_that_is_not_frozen_in_says_so_when_it_is_used(run_task: Callable[..., Any]) -> None:
    result = run_task("buckets")
    assert result.state == "failed" and "apache-airflow-providers-amazon" in result.log()


def test_an_operator_of_a_provider_that_is_not_declared_is_a_placeholder(run_task: Callable[..., Any]) -> None:
    result = run_task("elsewhere")
    assert result.state == "failed" and "apache-airflow-providers-snowflake" in result.log()
    result = run_task("in_a_container")
    assert result.state == "failed" and "a @task.docker, whose provider is not in this bundle" in result.log()


def test_object_storage_is_written_and_read(run_task: Callable[..., Any], tmp_path: Path) -> None:
    result = run_task("store", conf={"folder": f"file://{tmp_path}/there"})
    assert result.state == "success", result.log()
    assert result.xcom() == {"names": ["in.txt", "out.txt"], "text": "text"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the providers of message queues are for Python 3.11 and newer")
def test_a_trigger_of_a_message_queue_finds_those_of_the_frozen_providers(run_task: Callable[..., Any]) -> None:
    assert run_task("queues").xcom() == ["RedisPubSubMessageQueueProvider"]


def test_nothing_of_airflow_but_the_declared_providers_is_frozen_in(run_task: Callable[..., Any]) -> None:
    parts = set(run_task("parts_of_airflow").xcom())
    assert {"airflow.providers.http", "airflow.providers.sqlite", "airflow.providers.ftp"} <= parts
    assert {part for part in parts if not part.startswith("airflow.providers")} == set()


def test_the_build_says_what_a_task_will_miss_and_which_operators_are_for_other_workers() -> None:
    import coordinator_bundle as module

    probe = module.probe_dag_files(sys.executable, module.collect_project([str(DAGS / DAG_FILE)], []))
    hook, operator = "airflow.providers.amazon.aws.hooks.s3.S3Hook", "SnowflakeSqlApiOperator"
    (missing,) = [notice for notice in probe["notices"] if hook in notice]
    assert "with_providers.py:" in missing and "declare apache-airflow-providers-amazon" in missing
    (placeholders,) = [notice for notice in probe["notices"] if operator in notice]
    assert "elsewhere (airflow.providers.snowflake" in placeholders


WATCHED = """
from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, BaseOperator

trigger = SqsSensorTrigger(sqs_queue="orders", max_messages=2)

class Waits(BaseOperator):
    def execute(self, context):
        self.defer(trigger=trigger, method_name="execute")

with DAG("watched", schedule=Asset("orders", watchers=[AssetWatcher(name="sqs", trigger=trigger)])):
    Waits(task_id="waits")
"""


def test_a_trigger_of_a_provider_that_is_not_declared_is_for_airflows_triggerer(tmp_path: Path) -> None:
    (tmp_path / "watched.py").write_text(WATCHED)
    command = [sys.executable, str(DAGS.parents[1] / "coordinator_bundle.py"), str(tmp_path / "watched.py")]
    path = "airflow.providers.amazon.aws.triggers.sqs.SqsSensorTrigger"
    told = subprocess.run([*command, "--parse", "--json"], capture_output=True, text=True, check=True).stdout
    (form,) = json.loads(told)["serialized_dags"]
    (watcher,) = form["data"]["dag"]["timetable"]["__var"]["asset_condition"]["watchers"]
    assert watcher["trigger"] == {"classpath": path, "kwargs": {"sqs_queue": "orders", "max_messages": 2}}
    done = subprocess.run([*command, "--run"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{path} is not in this bundle: declare apache-airflow-providers-amazon" in done.stdout


def test_a_function_of_a_provider_that_needs_more_of_airflow_is_refused_when_it_is_called(tmp_path: Path) -> None:
    package = tmp_path / "airflow" / "providers" / "odd"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from airflow.jobs.job import Job\n\ndef emit(): ...\n")
    text = "from airflow.providers.odd import emit\nfrom airflow.sdk import DAG\nflow = DAG('flow', schedule=None)\n"
    command = [sys.executable, str(DAGS.parents[1] / "coordinator_bundle.py"), str(tmp_path / "flow.py"), "--parse"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for called, said in (("", "no tasks"), ("emit()\n", "worker that has apache-airflow-providers-odd installed")):
        (tmp_path / "flow.py").write_text(text + called)
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert said in done.stdout + done.stderr

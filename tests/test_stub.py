"""`--stub`: the Dag file it prints gives Airflow the same ids and edges as the Dag file that was frozen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import parity
import pytest

ROOT = Path(__file__).resolve().parent.parent
DAGS = ROOT / "tests" / "dags"


def stub_of(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "coordinator_bundle.py"), str(path), "--stub", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def shape(forms: dict) -> dict:
    """dag_id to: what stands in each task that scheduling depends on, and the Dag's own settings."""
    found = {}
    for dag_id, form in forms.items():
        dag = form["dag"]
        tasks = {}
        for each in dag["tasks"]:
            task = each["__var"]
            kept = ("queue", "retries", "retry_delay", "trigger_rule", "is_setup", "is_teardown", "_is_mapped", "pool")
            facts = {name: task.get(name, task.get("partial_kwargs", {}).get(name)) for name in kept}
            if isinstance(facts["retry_delay"], dict):
                facts["retry_delay"] = facts["retry_delay"]["__var"]
            facts["retry_delay"] = facts["retry_delay"] or 300.0
            tasks[task["task_id"]] = (sorted(task.get("downstream_task_ids", [])), facts)
        found[dag_id] = (tasks, dag["timetable"], dag.get("start_date"), sorted(dag.get("tags", [])), dag.get("params"))
    return found


FILES = [
    "example_etl.py",
    "outcomes.py",
    "two_dags.py",
    "classic.py",
    "noop.py",
    "templated.py",
    "parity_mapping.py",
    "parity_branches.py",
]


@pytest.fixture(scope="module")
def stubs(tmp_path_factory) -> dict[str, tuple[dict, dict]]:
    """File name to the shapes that the real Airflow sees in the original and in the stub."""
    folder = tmp_path_factory.mktemp("stubs")
    written = {}
    for name in FILES:
        run = stub_of(DAGS / name)
        assert run.returncode == 0, run.stderr
        written[name] = folder / f"stub_of_{name}"
        written[name].write_text(run.stdout)
    forms = parity.real_forms([*(DAGS / name for name in FILES), *written.values()])
    shapes = {path: shape(form["dags"]) for path, form in forms.items()}
    return {name: (shapes[str(DAGS / name)], shapes[str(path)]) for name, path in written.items()}


@pytest.mark.parametrize("name", FILES)
def test_airflow_sees_the_same_ids_edges_and_settings_in_the_stub(stubs, name):
    original, stub = stubs[name]
    assert original and stub == original


def test_a_queue_given_on_the_command_line_routes_every_task(tmp_path):
    path = tmp_path / "stub.py"
    path.write_text(stub_of(DAGS / "two_dags.py", "--queue", "elsewhere").stdout)
    (forms,) = parity.real_forms([path]).values()
    queues = {each["__var"]["queue"] for form in forms["dags"].values() for each in form["dag"]["tasks"]}
    assert queues == {"elsewhere"}


def test_what_has_no_form_in_a_stub_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "own_timetable.py"
    path.write_text(
        "from airflow.sdk import DAG, EventsTimetable\n"
        "from datetime import datetime\n"
        "with DAG('d', schedule=EventsTimetable([datetime(2026, 1, 1)])):\n    pass\n"
    )
    run = stub_of(path)
    assert (run.returncode, run.stdout) == (1, "")
    assert "has no form in a stub; give Airflow the Dag file itself" in run.stderr


def test_tags_stand_in_the_same_order_each_time(tmp_path: Path) -> None:
    text = "from airflow.sdk import DAG\nflow = DAG('flow', schedule=None, tags=['d', 'b', 'a', 'c'])\n"
    (tmp_path / "flow.py").write_text(text)
    assert "tags={'a', 'b', 'c', 'd'}" in stub_of(tmp_path / "flow.py").stdout

"""What `dag.test()` of the real Airflow makes of Dags: the state of each task instance and of the run, and all XComs.

python tests/dag_test.py OUT.json FILE:DAG_ID[:CONF] ...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOGICAL_DATE = "2026-01-02T03:04:05+00:00"
RUN_ID = f"manual__{LOGICAL_DATE}"


def start(home: Path, cases: Iterable[tuple[Path, str, dict[str, Any]]], environment: dict[str, str]) -> Any:
    """Start a process that writes home/out.json; AIRFLOW_HOME is *home*."""
    arguments = [f"{file}:{dag_id}:{json.dumps(conf)}" for file, dag_id, conf in cases]
    bundles = [
        {
            "name": f"bundle{number}",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": file},
        }
        for number, file in enumerate(sorted({each.split(":")[0] for each in arguments}))
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "PYTHONWARNINGS": "ignore",
    }
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, __file__, str(home / "out.json"), *arguments],
            env={**kept, **settings, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def main(out: str, arguments: list[str]) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    began = time.time()
    initdb()
    print("initdb", time.time() - began, flush=True)
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    dags: dict[tuple[str, str], Any] = {}
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)
        dags.update(((str(bundle.path), dag_id), dag) for dag_id, dag in bag.dags.items())
    print("synced", time.time() - began, flush=True)
    found = {}
    for argument in arguments:
        file, dag_id, conf = argument.split(":", 2)
        found[dag_id] = outcome(dags[file, dag_id], json.loads(conf))
        print(dag_id, time.time() - began, flush=True)
    Path(out).write_text(json.dumps(found))


def outcome(dag: Any, conf: dict[str, Any]) -> dict[str, Any]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.sdk import timezone
    from airflow.utils.session import create_session
    from sqlalchemy import select

    date = timezone.parse(LOGICAL_DATE)
    run = dag.test(logical_date=date, run_after=date, run_conf=conf)
    with create_session() as session:
        mine = (TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id == run.run_id)
        states = {
            f"{ti.task_id}[{ti.map_index}]": ti.state for ti in session.scalars(select(TaskInstance).where(*mine))
        }
        rows = session.scalars(
            select(XComModel).where(XComModel.dag_id == dag.dag_id, XComModel.run_id == run.run_id)
        ).all()
        xcoms = {f"{row.task_id}[{row.map_index}].{row.key}": row.value for row in rows}
    return {"run": run.state, "run_id": run.run_id, "states": states, "xcoms": xcoms}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""What `dag.test()` of the real Airflow makes of Dags: the state of each task instance and of the run, and all XComs.

`Judge` starts this file as a process of its own with a database of its own, in which one Dag runs after the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOGICAL_DATE = "2026-01-02T03:04:05+00:00"
RUN_ID = f"manual__{LOGICAL_DATE}"
# The whole of a session's runs on a machine that has other things to do.
PATIENCE = 900


class Judge:
    """Runs Dags with `dag.test()` in the background.

    :param home: an empty folder, to be AIRFLOW_HOME
    :param cases: Dag files, ids of Dags in them, and whether their run has a logical date
    """

    def __init__(self, home: Path, cases: Sequence[tuple[Path, str, bool]]) -> None:
        self.out, self.log = home / "out", home / "log"
        self.out.touch()
        bundles = [
            {
                "name": f"bundle{number}",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(file)},
            }
            for number, file in enumerate(sorted({file for file, _, _ in cases}))
        ]
        settings = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "PYTHONWARNINGS": "ignore",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(self.out), json.dumps([(str(file), *rest) for file, *rest in cases])],
                env={**kept, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def verdict(self, dag_id: str) -> dict[str, Any]:
        """`run`, `states` and `xcoms` of a Dag; or `refused`, why it did not start."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for line in self.out.read_text().splitlines(keepends=True):
                if line.endswith("\n") and (found := json.loads(line))["dag_id"] == dag_id:
                    return found
            assert not ended, f"dag.test() never came to {dag_id}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.2)
        raise AssertionError(f"no end of dag.test() of {dag_id}\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def main(out: str, cases: list[tuple[str, str, bool]]) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.sdk.exceptions import ParamValidationError
    from airflow.utils.db import initdb

    initdb()
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    dags: dict[tuple[str, str], Any] = {}
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)
        dags.update(((str(bundle.path), dag_id), dag) for dag_id, dag in bag.dags.items())
    for file, dag_id, dated in cases:
        try:
            found = outcome(dags[file, dag_id], dated)
        except ParamValidationError as error:
            found = {"refused": str(error)}
        with open(out, "a") as lines:
            lines.write(json.dumps({"dag_id": dag_id, **found}) + "\n")


def outcome(dag: Any, dated: bool) -> dict[str, Any]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.sdk import timezone
    from airflow.utils.session import create_session
    from sqlalchemy import select

    date = timezone.parse(LOGICAL_DATE)
    run = dag.test(logical_date=date if dated else None, run_after=date)
    with create_session() as session:
        tis = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id))
        states = {f"{ti.task_id}[{ti.map_index}]": ti.state for ti in tis}
        rows = session.scalars(select(XComModel).where(XComModel.dag_id == dag.dag_id))
        xcoms = {f"{row.task_id}[{row.map_index}].{row.key}": row.value for row in rows}
    return {"run": str(run.state.value), "states": states, "xcoms": xcoms}


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))

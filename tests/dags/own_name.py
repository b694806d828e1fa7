"""The API under the module's own name."""

from datetime import datetime

import coordinator_bundle
from airflow.sdk import DAG as dag_class
from coordinator_bundle import *  # noqa: F403
from coordinator_bundle import DAG, BashOperator, TaskGroup, task

assert DAG is dag_class is coordinator_bundle.DAG
assert cross_downstream is coordinator_bundle.cross_downstream  # noqa: F405

with DAG("own_name", schedule=None, start_date=datetime(2026, 1, 1)):
    with TaskGroup("group"):
        said = BashOperator(task_id="says", bash_command="echo said")

    @task
    def answers(value):
        raise coordinator_bundle.AirflowSkipException(f"skipped after {value}")

    answers(said.output)

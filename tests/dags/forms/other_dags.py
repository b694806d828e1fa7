"""Tasks that look at other Dags, at files and at the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, chain

with DAG(dag_id="other_dags", schedule="@daily", start_date=datetime(2026, 1, 1)):
    latest = LatestOnlyOperator(task_id="latest")
    trigger = TriggerDagRunOperator(task_id="trigger", trigger_dag_id="other", conf={"k": "{{ ds }}"})
    waiting = TriggerDagRunOperator(
        task_id="waiting", trigger_dag_id="other", wait_for_completion=True, deferrable=True, poke_interval=5
    )
    external = ExternalTaskSensor(task_id="external", external_dag_id="other", external_task_id="x", mode="reschedule")
    marker = ExternalTaskMarker(task_id="marker", external_dag_id="other", external_task_id="y", recursion_depth=3)
    file = FileSensor(task_id="file", filepath="/tmp/x", poke_interval=30, timeout=60, soft_fail=True)
    chain(latest, [trigger, waiting], external, marker, file)

with DAG(dag_id="other_dags_mapped", schedule=None):
    FileSensor.partial(task_id="file", mode="reschedule").expand(filepath=["/a", "/b"])
    TriggerDagRunOperator.partial(task_id="trigger", trigger_dag_id="other").expand(conf=[{"a": 1}])
    TriggerDagRunOperator.partial(task_id="trigger_each").expand(trigger_dag_id=["a", "b"])
    ExternalTaskSensor.partial(task_id="external", external_dag_id="other").expand(external_task_id=["a", "b"])
    ExternalTaskSensor.partial(task_id="external_each", execution_delta=timedelta(hours=1)).expand(
        external_dag_id=["a", "b"]
    )

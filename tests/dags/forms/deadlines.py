"""Deadline alerts of every kind."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
)
from airflow.sdk.definitions.deadline import VariableInterval


async def shout(**kwargs):
    """Shout."""


def mutter(**kwargs):
    """Mutter."""


with DAG(
    dag_id="one_deadline",
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=1, milliseconds=5),
        callback=AsyncCallback("my_package.alerts.shout", kwargs={"text": "late", "since": [timedelta(seconds=1)]}),
    ),
):
    EmptyOperator(task_id="work")

with DAG(
    dag_id="several_deadlines",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    deadline=[
        DeadlineAlert(
            name="fixed",
            reference=DeadlineReference.FIXED_DATETIME(datetime(2026, 5, 4, tzinfo=timezone.utc)),
            interval=timedelta(0),
            callback=SyncCallback("my_package.alerts.mutter", executor="LocalExecutor"),
        ),
        DeadlineAlert(
            reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=5, min_runs=2),
            interval=VariableInterval("seconds"),
            callback=AsyncCallback("my_package.alerts.shout"),
        ),
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=timedelta(days=1),
            callback=SyncCallback("my_package.alerts.mutter", kwargs={"n": 1}),
        ),
    ],
):
    EmptyOperator(task_id="work")

"""What Airflow writes down as Python shows it, and the timetable of events that the scheduler has."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, AssetAccessControl, literal, task
from airflow.timetables.events import EventsTimetable

with DAG("representations", schedule=None):

    @task
    def numbers():
        return [1]

    first, second = numbers(), numbers()
    PythonOperator(
        task_id="shows",
        python_callable=print,
        op_args=[
            first.concat(second, first),
            first.zip(second, fillvalue=0),
            first.zip(second),
            first.map(str).map(repr),
            Asset("table", extra={"a": 1}, access_control=AssetAccessControl(producer_teams=["one"])),
            literal("{{ name }}"),
        ],
    )

DATES = [datetime(2026, 3, 1, 8, tzinfo=timezone.utc), datetime(2026, 1, 1, tzinfo=timezone.utc)]
events = DAG("events", schedule=EventsTimetable(DATES))
described = DAG("events_described", schedule=EventsTimetable(DATES, description="meetings"))
kept = DAG("events_in_their_order", schedule=EventsTimetable(DATES, restrict_to_events=True, presorted=True))
empty = DAG("no_events", schedule=EventsTimetable([]))

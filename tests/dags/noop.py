"""The smallest task there is: what remains is the cost of running a task at all."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def noop():
    @task(queue="frozen")
    def nothing():
        pass

    nothing()


noop()

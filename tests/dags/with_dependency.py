# /// script
# requires-python = ">=3.10"
# dependencies = ["humanize==4.12.3"]
# ///
"""A Dag file that declares what it needs; the import is in the task, so that Airflow's own parser needs nothing."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def with_dependency():
    @task(queue="frozen")
    def readable(size: int = 123_456_789) -> str:
        import humanize

        return humanize.naturalsize(size)

    readable()


with_dependency()

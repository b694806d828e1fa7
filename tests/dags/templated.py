# /// script
# requires-python = ">=3.10"
# dependencies = ["jinja2==3.1.6"]
# ///
"""Arguments that are templates: Airflow renders them before the task runs."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1), params={"table": "orders"})
def templated():
    @task(queue="frozen")
    def echo(line: str, parts: list[str]) -> list[str]:
        return [line, *parts]

    echo("{{ ds }} of {{ params.table }}", parts=["{{ var.value.greeting }}", "{{ ti.task_id }}", "plain"])


templated()

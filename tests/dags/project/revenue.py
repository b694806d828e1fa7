"""A Dag file with a project around it: a package, a helper module, an SQL file, settings read beside it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.sdk import dag, task

from helpers import slug
from reporting.table import as_table

HERE = Path(__file__).parent


@dag(schedule=None, start_date=datetime(2026, 1, 1), template_searchpath=[str(HERE / "sql")])
def revenue():
    @task(queue="frozen")
    def query() -> str:
        return (HERE / "sql" / "revenue.sql").read_text().strip()

    @task(queue="frozen")
    def report(sql: str) -> dict:
        return {"name": slug("Revenue by Month"), "table": as_table({"sql": sql})}

    report(query())


revenue()

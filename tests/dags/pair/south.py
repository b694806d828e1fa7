"""The second of two Dag files that go into one bundle."""

from __future__ import annotations

import logging
from datetime import datetime

from airflow.sdk import dag, task

logging.getLogger("south").info("south.py is imported")


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def south():
    @task(queue="frozen")
    def point() -> str:
        return "south"

    point()


south()

"""The first of two Dag files that go into one bundle."""

from __future__ import annotations

import logging
from datetime import datetime

from airflow.sdk import dag, task

logging.getLogger("north").info("north.py is imported")


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def north():
    @task(queue="frozen")
    def point() -> str:
        import sys

        return "north, beside " + ("south" if any("south" in name for name in sys.modules) else "nobody")

    point()


north()

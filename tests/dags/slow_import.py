"""A Dag file that takes its time to import and says so; longer than a short start timeout."""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime

from airflow.sdk import dag, task

logging.getLogger("slow_import").info("the import begins")
time.sleep(float(os.environ.get("SLOW_IMPORT_SECONDS", "0")))
print("the import is over")


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def slow_import():
    @task(queue="frozen")
    def work() -> str:
        return "worked"

    work()


slow_import()

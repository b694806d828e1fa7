"""One task for each way a task can end, and one for each way it can say something."""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import datetime, timedelta

from airflow.sdk import TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

log = logging.getLogger("outcomes")


class OutOfStock(ValueError):
    """The shelf is empty."""


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["outcomes"])
def outcomes():
    @task(queue="frozen")
    def succeeds() -> int:
        log.info("all is well")
        return 42

    @task(queue="frozen")
    def fails():
        log.info("about to fail")
        try:
            raise KeyError("shelf 7")
        except KeyError as missing:
            raise OutOfStock("no apples left") from missing

    @task(queue="frozen", retries=1, retry_delay=timedelta(seconds=1))
    def fails_once(ti=None) -> str:
        log.info("try %d", ti.try_number)
        if ti.try_number == 1:
            raise ConnectionError("the first try never works")
        return f"worked on try {ti.try_number}"

    @task(queue="frozen", retries=3)
    def fails_for_good():
        raise AirflowFailException("no use in trying again")

    @task(queue="frozen")
    def skips():
        raise AirflowSkipException("nothing to do today")

    @task(queue="frozen")
    def returns_nothing():
        log.info("no result")

    @task(queue="frozen")
    def speaks() -> None:
        log.debug("a whisper")
        log.info("a word with %s and %d", "text", 7)
        log.warning("a warning word")
        log.error("an error word\nin two lines")
        logging.getLogger("outcomes.detail").info("from a child logger")
        print("printed to stdout")
        print("printed to stderr", file=sys.stderr)
        warnings.warn("this way is old", stacklevel=1)
        try:
            {}["absent"]
        except KeyError:
            log.exception("caught and logged")

    @task(queue="frozen")
    def exits():
        sys.exit(3)

    @task(queue="frozen")
    async def waits() -> str:
        import asyncio

        await asyncio.sleep(0.01)
        return "waited"

    @task(queue="frozen", trigger_rule=TriggerRule.ALL_DONE)
    def sums_up() -> str:
        return "done"

    ends = [fails(), fails_once(), fails_for_good(), skips(), exits(), returns_nothing(), speaks(), waits()]
    succeeds() >> ends >> sums_up()


outcomes()

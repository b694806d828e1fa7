"""Every way a task can end, its callbacks writing what they saw into variables."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta

from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue, Variable, dag, task
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
)


class Unspeakable(Exception):
    """An exception that cannot be turned into text."""

    def __str__(self) -> str:
        raise ValueError("no words")


class Reconsiders(BaseOperator):
    """Says no when it is told to hurry."""

    def execute(self, context):
        time.sleep(30)

    def on_kill(self):
        Variable.set("killed", self.task_id)


class Counting(BaseSensorOperator):
    """Pokes until it has counted far enough."""

    def __init__(self, *, until: int = 1, value=None, error=None, **kwargs):
        super().__init__(**kwargs)
        self.until, self.value, self.error, self.count = until, value, error, 0

    def poke(self, context):
        self.count += 1
        if self.error is not None:
            raise self.error
        if self.value is not None:
            return PokeReturnValue(self.count >= self.until, self.value)
        return self.count >= self.until


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def parity_states():
    @task
    def retried():
        raise AirflowException("with retries left")

    @task
    def not_found():
        raise AirflowNotFoundException("nothing of this kind")

    @task
    def terminated():
        raise AirflowTaskTerminated("from outside")

    @task
    def timed_out_by_itself():
        raise AirflowTaskTimeout("it took too long")

    @task
    def sensor_timeout():
        raise AirflowSensorTimeout("waited in vain")

    @task
    def fails_for_good():
        raise AirflowFailException("no")

    @task
    def skips_with_value():
        raise AirflowSkipException({"reason": "weekend"})

    @task
    def skips_silently():
        raise AirflowSkipException

    @task
    def exits_with_zero():
        sys.exit(0)

    @task
    def exits_with_text():
        sys.exit("out of paper")

    @task
    def interrupted():
        raise KeyboardInterrupt

    @task
    def bare():
        raise BaseException("as base as can be")

    @task
    def generator_exit():
        raise GeneratorExit

    @task
    def unspeakable():
        raise Unspeakable

    @task
    def group():
        try:
            from builtins import ExceptionGroup
        except ImportError:
            raise ValueError("one, two") from None
        raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])

    @task
    def recursion():
        def deeper(n):
            return deeper(n + 1) + 1

        return deeper(0)

    @task
    def asserts():
        assert 1 == 2, "arithmetic"

    @task
    def dies_at_once():
        os._exit(7)

    @task
    def unserialisable():
        return object()

    @task
    def unserialisable_inside():
        return {"rows": [1, {"connection": open(os.devnull)}]}

    @task(execution_timeout=timedelta(milliseconds=200))
    def too_slow():
        time.sleep(30)

    @task(execution_timeout=timedelta(milliseconds=200))
    async def too_slow_async():
        import asyncio

        await asyncio.sleep(30)

    @task(execution_timeout=timedelta(seconds=20))
    def fast_enough():
        return "in time"

    @task(execution_timeout=timedelta(0))
    def no_time_at_all():
        return "never"

    @task(execution_timeout=timedelta(milliseconds=200))
    def catches_everything():
        try:
            time.sleep(30)
        except Exception as error:
            return type(error).__name__

    @task
    def reschedules():
        raise AirflowRescheduleException(datetime.fromisoformat("2026-03-04T05:06:07+00:00"))

    @task.sensor(poke_interval=0, timeout=5, mode="poke")
    def sensor_done():
        return PokeReturnValue(is_done=True, xcom_value={"found": [1, 2]})

    @task.sensor(poke_interval=10, timeout=100, mode="reschedule")
    def sensor_waits():
        return False

    @task.sensor(poke_interval=0, timeout=0, mode="poke")
    def sensor_gives_up():
        return PokeReturnValue(is_done=False)

    @task.sensor(poke_interval=0, timeout=0, mode="poke", soft_fail=True)
    def sensor_gives_up_softly():
        return False

    @task.sensor(poke_interval=0, timeout=0, mode="reschedule")
    def sensor_gives_up_later():
        return False

    @task.sensor(mode="poke", soft_fail=True)
    def sensor_skips():
        raise AirflowSkipException("not today")

    @task.sensor(mode="poke", soft_fail=True)
    def sensor_fails_softly():
        raise AirflowFailException("softly")

    @task.sensor(mode="poke", never_fail=True)
    def sensor_never_fails():
        raise ValueError("never")

    @task.sensor(mode="reschedule", silent_fail=True, poke_interval=10)
    def sensor_silent():
        raise ValueError("silently")

    @task.sensor(mode="poke")
    def sensor_raises():
        raise ValueError("aloud")

    for each in list(locals().values()):
        if callable(each):
            each()

    Reconsiders(task_id="killed_in_time", execution_timeout=timedelta(milliseconds=200))
    Counting(task_id="counts", until=3, poke_interval=0.01)
    Counting(task_id="counts_value", until=2, value=[1, 2], poke_interval=0.01)
    Counting(task_id="counts_false", until=3, value=[], poke_interval=timedelta(milliseconds=10))
    Counting(
        task_id="backs_off", until=9, mode="reschedule", poke_interval=60, timeout=10_000, exponential_backoff=True
    )
    Counting(
        task_id="backs_off_a_bit",
        until=9,
        mode="reschedule",
        poke_interval=600,
        timeout=100_000,
        exponential_backoff=True,
        max_wait=timedelta(seconds=30),
        retries=2,
    )
    Counting(task_id="times_out_in_poke", error=AirflowTaskTimeout("in poke"), soft_fail=True)
    Counting(task_id="no_mode", until=1, mode="reschedule", do_xcom_push=False, value=[7])


parity_states()

"""Runs that are told things: variables, answers, when to stop; and runs that go wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
import os
import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLEntryOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, BaseOperator, Connection, Param, Variable, dag, task
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TriggerEvent

START = datetime(2026, 1, 1)


class OwnTrigger(BaseTrigger):
    def __init__(self, word):
        super().__init__()
        self.word = word

    def serialize(self):
        return f"{__name__}.OwnTrigger", {"word": self.word}

    async def run(self):
        if self.word == "break":
            raise RuntimeError("the trigger broke")
        if self.word == "sleep":
            import asyncio

            await asyncio.sleep(60)
        yield TriggerEvent(self.word.upper())


class Waits(BaseOperator):
    def __init__(self, *, trigger, limit=None, **kwargs):
        super().__init__(**kwargs)
        self.trigger, self.limit = trigger, limit

    def execute(self, context):
        self.defer(trigger=self.trigger, method_name="resume", timeout=self.limit)

    def resume(self, context, event=None):
        return event


class Begins(BaseOperator):
    """Waits before it has run at all."""

    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(f"{__name__}.OwnTrigger", "resume", {"word": "begun"})

    def execute(self, context):
        raise RuntimeError("nobody starts this")

    def resume(self, context, event=None):
        return event


@task
def say(*values):
    print("saying", values)
    return list(values)


@task
def broken():
    raise ValueError("no such table: orders")


@task
def sleeps():
    print("asleep as", os.getpid())
    for _ in range(600):
        time.sleep(0.1)
        print("still asleep")


with DAG("good", schedule=None, start_date=START):
    say("hello")

with DAG("bad", schedule=None, start_date=START):
    broken() >> say.override(task_id="never")("x")

with DAG("secrets", schedule=None, start_date=START):

    @task
    def reveal():
        found = Connection.get("store")
        print("password is", found.password)
        return [Variable.get("colour"), Variable.get("shape", default="round"), found.host, found.port]

    reveal()

with DAG("asks_for", schedule=None, start_date=START, params={"many": Param(type="integer", minimum=1)}):

    @task
    def show(params):
        return params["many"]

    show()

with DAG("sleepy", schedule=None, start_date=START):
    sleeps() >> say.override(task_id="after_sleep")("x")

with DAG("limited", schedule=None, start_date=START, dagrun_timeout=timedelta(seconds=2)):
    sleeps() >> say.override(task_id="after_sleep")("x")

with DAG("retries", schedule=None, start_date=START):
    broken.override(retries=2, retry_delay=timedelta(hours=3))()

with DAG("people", schedule=None, start_date=START):
    approve = ApprovalOperator(task_id="approve", subject="Ship it?")
    fill = HITLEntryOperator(task_id="fill", subject="How many?", params={"many": Param(3, type="integer")})
    approve >> say.override(task_id="shipped")("shipped")
    fill

with DAG("defers", schedule=None, start_date=START):
    Waits(task_id="own", trigger=OwnTrigger("word"))
    Waits(task_id="breaks", trigger=OwnTrigger("break"))
    Waits(task_id="late", trigger=OwnTrigger("sleep"), limit=timedelta(seconds=0.2))

with DAG("begins", schedule=None, start_date=START):
    Begins(task_id="begin")

with DAG("pooled", schedule=None, start_date=START):

    @task(pool="narrow")
    def lasts():
        began = time.time()
        time.sleep(0.3)
        return [began, time.time()]

    for name in ("one", "two", "three"):
        lasts.override(task_id=name, pool_slots=2 if name == "two" else 1)()

with DAG("updates", schedule=None, start_date=START):
    say.override(task_id="fill", outlets=[Asset("shelf")])("full")

with DAG("follows", schedule=Asset("shelf") | Asset("floor"), start_date=START):
    say("it is full")

with DAG("triggers", schedule=None, start_date=START):
    TriggerDagRunOperator(
        task_id="trigger", trigger_dag_id="good", trigger_run_id="told", wait_for_completion=True, poke_interval=0
    )

with DAG("triggers_elsewhere", schedule=None, start_date=START):
    TriggerDagRunOperator(task_id="trigger", trigger_dag_id="not_here")

with DAG("mapped", schedule=None, start_date=START):

    @task
    def numbers():
        return [1, 2]

    @task
    def square(n):
        return n * n

    @task
    def total(values):
        return sum(values)

    total(square.expand(n=numbers()))

with DAG("dies", schedule=None, start_date=START):

    @task
    def dies():
        os._exit(3)

    @task
    def killed():
        os.kill(os.getpid(), 9)

    dies(), killed()

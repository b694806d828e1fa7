"""Tasks that defer, that are resumed, that wait for a person, and that start other runs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.triggers.temporal import DateTimeTrigger, TimeDeltaTrigger
from airflow.sdk import BaseOperator, BaseSensorOperator, DAG, Variable, task
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowSkipException,
    DagRunTriggerException,
    TaskAwaitingInput,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

MOMENT = datetime(2026, 7, 8, 9, 10, tzinfo=timezone.utc)


class FileTrigger(BaseTrigger):
    """A trigger of the author's own."""

    def __init__(self, path, options=None):
        super().__init__()
        self.path, self.options = path, options

    def serialize(self):
        return "triggers.FileTrigger", {"path": self.path, "options": self.options}

    async def run(self):
        yield TriggerEvent(True)


class Elsewhere:
    """No trigger as far as Python is concerned: what counts is what `serialize` says."""

    def serialize(self):
        return "some.package.Trigger", {"when": MOMENT, "every": timedelta(minutes=5), "tags": {"a"}}


class Defers(BaseOperator):
    template_fields = ("path",)

    def __init__(self, *, path="{{ ds }}.csv", trigger=None, kwargs=None, limit=None, **rest):
        super().__init__(**rest)
        self.path, self.trigger, self.kwargs, self.limit = path, trigger, kwargs, limit

    def execute(self, context):
        trigger = self.trigger or FileTrigger(self.path)
        self.defer(trigger=trigger, method_name="resumed", kwargs=self.kwargs, timeout=self.limit)

    def resumed(self, context, event=None, **kwargs):
        ti = context["ti"]
        return [event, sorted(kwargs.items()), ti.start_date.isoformat()[:4], self.path]

    def again(self, context, event):
        self.defer(trigger=FileTrigger("next"), method_name="resumed", kwargs={"count": event["count"] + 1})

    def skips(self, context, event):
        raise AirflowSkipException("after all")

    def catches(self, context, event=None):
        raise AirflowException(f"got {event}")


class Catching(Defers):
    def resume_execution(self, next_method, next_kwargs, context):
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            return ["timeout", str(error)]
        except TaskDeferralError as error:
            return ["error", str(error)]


class DeferringSensor(BaseSensorOperator):
    def execute(self, context):
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="resumed", timeout=timedelta(seconds=self.timeout)
        )

    def resumed(self, context, event=None):
        raise AirflowException("bad event")


class Asks(BaseOperator):
    def execute(self, context):
        raise TaskAwaitingInput(method_name="answered", kwargs={"asked": MOMENT}, timeout=timedelta(minutes=3))

    def answered(self, context, event=None, asked=None):
        return [event, asked.isoformat()]


def run_of(**fields):
    values = {
        "trigger_dag_id": "other",
        "dag_run_id": "manual__started",
        "conf": {"a": [1, None]},
        "logical_date": MOMENT,
        "reset_dag_run": False,
        "skip_when_already_exists": False,
        "wait_for_completion": False,
        "allowed_states": ["success"],
        "failed_states": ["failed"],
        "poke_interval": 0,
        "deferrable": False,
    }
    raise DagRunTriggerException(**{**values, **fields})


def told(context):
    Variable.set("told", f"{context['ti'].state.value} {type(context['exception']).__name__}")


with DAG(
    "parity_deferral",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"on_success_callback": told, "on_failure_callback": told, "on_skipped_callback": told},
):
    Defers(task_id="own_trigger")
    Defers(task_id="with_kwargs", kwargs={"when": MOMENT, "rows": [1, {"a": None}]}, limit=timedelta(minutes=1))
    Defers(task_id="date_time", trigger=DateTimeTrigger(moment=MOMENT))
    Defers(task_id="date_time_end", trigger=DateTimeTrigger(moment=MOMENT, end_from_trigger=True))
    Defers(task_id="elsewhere", trigger=Elsewhere(), limit=90)
    Defers(task_id="no_json", kwargs={"file": object()})
    Defers(task_id="no_trigger", trigger=object())
    Catching(task_id="catching")
    DeferringSensor(task_id="sensor", timeout=600)
    DeferringSensor(task_id="soft_sensor", timeout=600, soft_fail=True)
    DeferringSensor(task_id="never_fails", timeout=600, never_fail=True)
    Asks(task_id="asks")

    @task
    def defers_from_a_function():
        raise TaskDeferred(
            trigger=FileTrigger("x", {"deep": [1]}), method_name="execute_complete", timeout=timedelta(days=1)
        )

    @task
    def starts_a_run():
        run_of()

    @task
    def starts_a_run_again():
        run_of(dag_run_id="manual__there")

    @task
    def starts_a_run_or_skips():
        run_of(dag_run_id="manual__there", skip_when_already_exists=True)

    @task
    def starts_a_run_anew():
        run_of(dag_run_id="manual__there", reset_dag_run=True, logical_date=None, conf=None)

    @task
    def starts_a_run_and_waits():
        run_of(wait_for_completion=True)

    @task(retries=1)
    def starts_a_run_that_fails():
        run_of(wait_for_completion=True, dag_run_id="manual__fails")

    @task
    def starts_a_run_and_defers():
        run_of(wait_for_completion=True, deferrable=True, poke_interval=30)

    @task
    def starts_a_run_deferrable_without_waiting():
        run_of(deferrable=True, note="with a note", run_after=MOMENT)

    @task
    def starts_an_unknown_run():
        run_of(trigger_dag_id="absent")

    defers_from_a_function()
    starts_a_run()
    starts_a_run_again()
    starts_a_run_or_skips()
    starts_a_run_anew()
    starts_a_run_and_waits()
    starts_a_run_that_fails()
    starts_a_run_and_defers()
    starts_a_run_deferrable_without_waiting()
    starts_an_unknown_run()

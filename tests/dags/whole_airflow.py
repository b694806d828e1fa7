"""What a task can only do with the whole of Airflow around it: wait in the triggerer, for a person, for an asset."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Asset, BaseOperator, Metadata, Param, PokeReturnValue, TriggerRule, dag, task, task_group

orders = Asset("whole_airflow_orders", uri="s3://shop/orders.csv")
frozen = {"queue": "frozen"}


class Later(BaseOperator):
    """Comes back when the triggerer says so."""

    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume", kwargs={"since": 7})

    def resume(self, context, since, event=None):
        return {"since": since, "event": str(event)[:2]}


@dag(schedule=None, start_date=datetime(2026, 1, 1), default_args=frozen, is_paused_upon_creation=False)
def whole_airflow():
    @task.sensor(mode="reschedule", poke_interval=1, timeout=100)
    def looks_again(task_reschedule_count=None):
        print(f"looked {task_reschedule_count} times before")
        return PokeReturnValue(is_done=task_reschedule_count > 0, xcom_value="there it is")

    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task(map_index_template="{{ task.task_id }} of {{ ti.map_index }}")
    def double(n: int) -> int:
        print(f"doubling {n}")
        return 2 * n

    @task
    def total(doubled) -> int:
        return sum(doubled)

    @task.branch
    def choose(n: int) -> str:
        return "ways.large" if n > 10 else "ways.small"

    @task_group
    def ways():
        @task
        def large() -> str:
            return "chosen"

        @task
        def small() -> str:
            return "not chosen"

        large()
        small()

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, outlets=[orders])
    def emits(answer=None):
        yield Metadata(orders, extra={"answer": answer["chosen_options"]})

    asked = HITLOperator(
        task_id="asks", subject="Which colour?", options=["red", "blue"], params={"why": Param("", type="string")}
    )
    done = total(double.expand(n=numbers()))
    choose(done) >> ways() >> emits(asked.output)
    Later(task_id="defers") >> looks_again()


@dag(schedule=[orders], start_date=datetime(2026, 1, 1), default_args=frozen, is_paused_upon_creation=False)
def after_whole_airflow():
    @task(inlets=[orders])
    def reads(triggering_asset_events=None, inlet_events=None):
        (event,) = triggering_asset_events[orders]
        (same,) = inlet_events[orders]
        return {"from": event.source_task_id, "extra": event.extra, "uri": same.asset.uri}

    reads()


whole_airflow()
after_whole_airflow()

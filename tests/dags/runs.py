"""Whole runs: what each task becomes by the states of those before it, and what the run becomes by all of them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator, ShortCircuitOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import (
    DAG,
    Asset,
    AsyncCallback,
    BaseOperator,
    DeadlineAlert,
    DeadlineReference,
    Param,
    TaskGroup,
    Variable,
    chain,
    get_current_context,
    setup,
    task,
    task_group,
    teardown,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

START = datetime(2026, 1, 1)
RULES = (
    "all_success all_failed all_done all_skipped one_success one_failed one_done none_failed none_skipped "
    "none_failed_min_one_success all_done_min_one_success always"
).split()


def fails():
    raise AirflowFailException("on purpose")


def skips():
    raise AirflowSkipException("on purpose")


def make(task_id, outcome, **kwargs):
    if outcome == "ok":
        return EmptyOperator(task_id=task_id, **kwargs)
    return PythonOperator(task_id=task_id, python_callable={"fails": fails, "skips": skips}[outcome], **kwargs)


with DAG("run_rules", schedule=None, start_date=START):
    good, bad, none = make("good", "ok"), make("bad", "fails"), make("none", "skips")
    cut = make("cut", "ok")
    bad >> cut
    mixes = {
        "good": [good],
        "bad": [bad],
        "none": [none],
        "cut": [cut],
        "good_bad": [good, bad],
        "good_none": [good, none],
        "bad_none": [bad, none],
        "good_bad_none": [good, bad, none],
    }
    for rule in RULES:
        for name, before in mixes.items():
            before >> make(f"{rule}__{name}", "ok", trigger_rule=rule)

for number in range(6):
    pick = random.Random(number)
    with DAG(f"run_random_{number}", schedule=None, start_date=START):
        made = []
        for index in range(12):
            rule = pick.choice(RULES[:-1] if made else ["all_success"])
            made_task = make(
                f"t{index}",
                pick.choice(["ok", "ok", "ok", "fails", "skips"]),
                trigger_rule=rule if made else "all_success",
            )
            for before in pick.sample(made, min(len(made), pick.randint(0, 3))):
                before >> made_task
            made.append(made_task)


def around(name, outcomes, **options):
    """A setup, two tasks and a teardown, then one more task; each ends as its letter says."""
    words = {"o": "ok", "f": "fails", "s": "skips"}
    with DAG(name, schedule=None, start_date=START):
        up, first, second, down, after = (
            make(task_id, words[letter])
            for task_id, letter in zip(("up", "first", "second", "down", "after"), outcomes)
        )
        up >> first >> second >> down.as_teardown(setups=up, **options)
        chain(down, after)


around("run_setup_good", "ooooo")
around("run_setup_fails", "foooo")
around("run_setup_skips", "soooo")
around("run_work_fails", "ofooo")
around("run_teardown_fails", "ooofo")
around("run_teardown_fails_the_run", "ooofo", on_failure_fail_dagrun=True)

with DAG("run_setup_scopes", schedule=None, start_date=START):
    with TaskGroup("cluster"):

        @setup
        def create():
            return "cluster"

        @task
        def use(name):
            return f"used {name}"

        @task
        def use_and_fail(name):
            fails()

        @teardown
        def delete(name):
            return f"deleted {name}"

        name = create()
        with delete(name):
            use(name) >> make("more", "ok") >> make("last", "ok")
            use_and_fail(name) >> make("never", "ok")
    with TaskGroup("no_teardown"):
        alone = make("alone", "ok").as_setup()
        alone >> make("one", "ok") >> make("two", "fails")
    make("outside", "ok").set_upstream(
        [each for each in alone.dag.task_group.children.values() if each.node_id == "cluster"]
    )

with DAG("run_mapped", schedule=None, start_date=START) as mapped:

    @task
    def numbers(count):
        return list(range(count))

    @task
    def pairs():
        return {"a": 1, "b": 2}

    @task
    def double(n):
        if n == 1:
            fails()
        if n == 3:
            skips()
        return n * 2

    @task(trigger_rule="all_done")
    def collect(values):
        return list(values)

    @task
    def take(value, other=None):
        return [value, other]

    @task
    def broken():
        fails()

    @task
    def skipped():
        skips()

    three = numbers(3)
    doubled = double.expand(n=numbers.override(task_id="five")(5))
    collect(doubled)
    collect.override(task_id="collect_all_success", trigger_rule="all_success")(doubled)
    collect.override(task_id="collect_one_success", trigger_rule="one_success")(doubled)
    take.override(task_id="of_doubled", trigger_rule="all_done").expand(value=doubled)
    take.override(task_id="of_none").expand(value=numbers.override(task_id="zero")(0)) >> make("after_none", "ok")
    take.override(task_id="of_literal_none").expand(value=[]) >> make("after_literal_none", "ok")
    take.override(task_id="of_broken").expand(value=broken()) >> make("after_broken", "ok")
    take.override(task_id="of_skipped").expand(value=skipped()) >> make("after_skipped", "ok")
    take.override(task_id="crossed").expand(value=three, other=pairs())
    take.override(task_id="of_kwargs").expand_kwargs([{"value": 1}, {"value": 2, "other": 3}])
    take.override(task_id="zipped").expand(value=three.zip(doubled.map(lambda n: str(n))))
    take.override(task_id="concatenated").expand(value=three.concat(numbers.override(task_id="two")(2)))

with DAG("run_mapped_groups", schedule=None, start_date=START):

    @task_group
    def section(n):
        first = double.override(task_id="first")(n)
        second = take.override(task_id="second")(first)
        with TaskGroup("inner"):
            saved = make("saved", "ok", trigger_rule="one_failed")
            all_done = make("all_done", "ok", trigger_rule="all_done")
        first >> [saved, all_done]
        make("joined", "ok", trigger_rule="none_failed_min_one_success").set_upstream([second, saved])
        return second

    @task_group
    def chosen(n):
        @task.branch
        def choose(n):
            return "literal.left" if n else "literal.right"

        choose(n) >> [make("left", "ok"), make("right", "ok")] >> make("join", "ok", trigger_rule="none_failed")

    values = section.override(group_id="dynamic").expand(n=numbers(4))
    collect(values)
    chosen.override(group_id="literal").expand(n=[0, 1])
    section.override(group_id="of_none").expand(n=numbers.override(task_id="zero")(0))
    section.override(group_id="of_broken").expand(n=broken())

with DAG("run_branches", schedule=None, start_date=START):

    @task.branch
    def choose(target):
        return target

    @task.short_circuit
    def go_on(value):
        return value

    left, right, group = make("left", "ok"), make("right", "ok"), TaskGroup("group")
    with group:
        make("inside", "ok") >> make("further", "ok")
    branch = choose(["left", "group"])
    branch >> [left, right, group]
    join = make("join", "ok", trigger_rule="none_failed_min_one_success")
    [left, right, group] >> join
    right >> make("after_right", "ok") >> make("after_all", "ok", trigger_rule="all_done")
    choose.override(task_id="both_ways")("direct") >> [
        make("direct", "ok") >> make("common", "ok"),
        make("common_2", "ok"),
    ]
    stop = go_on(False)
    stop >> make("stopped", "ok") >> make("stopped_too", "ok", trigger_rule="all_done")
    soft = ShortCircuitOperator(
        task_id="soft_stop", python_callable=lambda: False, ignore_downstream_trigger_rules=False
    )
    soft >> make("soft_stopped", "ok") >> make("still_runs", "ok", trigger_rule="all_done")
    go_on.override(task_id="goes_on")(True) >> make("went_on", "ok")
    make("none_1", "skips") >> make("skipped_after", "ok") >> make("rescued", "ok", trigger_rule="all_skipped")

with DAG("run_fail_fast", schedule=None, start_date=START, fail_fast=True):
    make("works", "ok") >> make("breaks", "fails") >> make("never", "ok") >> make("never_either", "ok")

with DAG("run_again", schedule=None, start_date=START, default_args={"retry_delay": timedelta(0)}):

    @task(retries=2)
    def third_time(ti=None):
        ti.xcom_push("try", ti.try_number)
        if ti.try_number < 3:
            raise ValueError("not yet")
        return ti.try_number

    @task(retries=1)
    def never_works(ti=None):
        ti.xcom_push("try", ti.try_number)
        raise ValueError("never")

    @task.sensor(mode="reschedule", poke_interval=0.1, timeout=60)
    def comes_later(ti=None):
        return bool(get_current_context()["task_reschedule_count"])

    third_time() >> make("after_third", "ok")
    never_works() >> make("after_never", "ok")
    comes_later() >> make("after_sensor", "ok")
    PythonSensor(task_id="poked", python_callable=lambda: True) >> make("after_poked", "ok")
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=1), deferrable=True) >> make("after_deferred", "ok")

report = Asset("report", "file:///tmp/report")
with DAG("run_state", schedule=None, start_date=START, params={"name": Param("Ada", type="string"), "many": 1}):

    @task(outlets=[report])
    def publish(outlet_events):
        outlet_events[report].extra = {"rows": 3}
        Variable.set("seen", "yes")

    @task(inlets=[report])
    def read(inlet_events, params, dag_run, ds, data_interval_start=None, task_state_store=None):
        task_state_store.set("a", {"b": 1})
        events = [[each.extra, each.source_task_id] for each in inlet_events[report]]
        interval = data_interval_start.isoformat()
        return [events, dict(params), dag_run.conf, ds, interval, Variable.get("seen"), task_state_store.get("a")]

    @task(multiple_outputs=True)
    def several():
        return {"one": 1, "two": [2]}

    publish() >> read()
    @task.bash
    def says(word):
        return f"echo {word} {{{{ word }}}}"

    says(word="again")
    outputs = several()
    take(outputs["one"], outputs["two"])
    # A template makes no edge.
    outputs >> take.override(task_id="templated")(
        "{{ params.name }} {{ ti.xcom_pull('several', key='one') }} {{ run_id }}"
    )

with DAG("run_pools", schedule=None, start_date=START, max_active_tasks=2):
    for number, slots in enumerate((1, 2, 1)):
        take.override(task_id=f"lane_{number}", pool="lane", pool_slots=slots, priority_weight=number)(number)
    take.override(task_id="alone", pool="lane", max_active_tis_per_dagrun=1).expand(value=[1, 2])


class Begins(BaseOperator):
    """Where a scheduler starts it, it starts from its trigger; where none does, as in `dag.test()`, it defers to it."""

    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="airflow.providers.standard.triggers.temporal.DateTimeTrigger",
        trigger_kwargs={"moment": datetime(2026, 1, 1, tzinfo=timezone.utc)},
        next_method="resume",
    )

    def execute(self, context):
        self.defer(trigger=DateTimeTrigger(**self.start_trigger_args.trigger_kwargs), method_name="resume")

    def resume(self, context, event=None):
        return [str(event), context["ti"].try_number]


with DAG("run_from_trigger", schedule=None, start_date=START):
    take.override(task_id="after_begin")(Begins(task_id="begin").output)


async def late(**kwargs):
    pass


with DAG(
    "run_deadline",
    schedule=None,
    start_date=START,
    deadline=DeadlineAlert(
        reference=DeadlineReference.FIXED_DATETIME(datetime(2020, 1, 1, tzinfo=timezone.utc)),
        interval=timedelta(0),
        callback=AsyncCallback("late_alerts.late"),
    ),
):
    make("in_time", "ok") >> make("too_late", "fails")

with DAG("run_without_date", schedule=[report], start_date=START, end_date=START):

    @task
    def names(own):
        context = get_current_context()
        run = context["dag_run"]
        return {
            "there": sorted(context),
            "none": sorted(name for name, value in context.items() if value is None),
            "run": [run.logical_date, run.data_interval_start, run.run_type],
        }

    @task
    def events(triggering_asset_events):
        return len(triggering_asset_events)

    names(own=1), events()
    TimeDeltaSensor(task_id="no_time", delta=timedelta(0))
    make("has_ended", "ok", end_date=START)

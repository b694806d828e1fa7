# /// script
# dependencies = ["jinja2==3.1.6", "pendulum==3.3.0"]
# ///
"""Every operator and sensor of the standard provider that is Python or shell by nature, with arguments that show."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import (
    ApprovalOperator,
    HITLBranchOperator,
    HITLEntryOperator,
    HITLOperator,
)
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.python import (
    BranchExternalPythonOperator,
    BranchPythonVirtualenvOperator,
    ExternalPythonOperator,
    PythonVirtualenvOperator,
)
from airflow.providers.standard.operators.smooth import SmoothOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.operators.weekday import BranchDayOfWeekOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.date_time import DateTimeSensor, DateTimeSensorAsync
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time import TimeSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor, WaitSensor
from airflow.providers.standard.sensors.weekday import DayOfWeekSensor
from airflow.providers.standard.utils.weekday import WeekDay
from airflow.sdk import DAG, Param, task

MOMENT = datetime(2026, 7, 8, 9, 10, tzinfo=timezone.utc)
LONG = timedelta(days=200_000)


def yes():
    return True


with DAG(
    "standard_operators",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={"of_the_dag": 1},
    catchup=False,
):
    left, right = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
    branches = {"follow_task_ids_if_true": "left", "follow_task_ids_if_false": ["right"]}

    # --- branches
    days = BranchDayOfWeekOperator(
        task_id="days", week_day={WeekDay.THURSDAY, "friday"}, use_task_logical_date=True, **branches
    )
    hours = BranchDateTimeOperator(
        task_id="hours", target_lower=time(1), target_upper=time(23), use_task_logical_date=True, **branches
    )
    dates = BranchDateTimeOperator(task_id="dates", target_lower=None, target_upper=datetime(2020, 1, 1), **branches)
    latest = LatestOnlyOperator(task_id="latest")
    [days, hours, dates, latest] >> left
    [days, hours, dates, latest] >> right

    # --- runs of other Dags
    fixed = {"trigger_dag_id": "other", "trigger_run_id": "manual__new", "logical_date": MOMENT}
    TriggerDagRunOperator(task_id="trigger", conf={"a": [1, "{{ ds }}"]}, note="why", run_after=MOMENT, **fixed)
    TriggerDagRunOperator(task_id="trigger_text", conf='{"a": 1}', reset_dag_run=True, **fixed)
    TriggerDagRunOperator(task_id="trigger_paused", fail_when_dag_is_paused=True, **fixed)
    TriggerDagRunOperator(task_id="trigger_waits", wait_for_completion=True, poke_interval=0, **fixed)
    TriggerDagRunOperator(task_id="trigger_defers", wait_for_completion=True, deferrable=True, **fixed)
    TriggerDagRunOperator(task_id="trigger_wrong", conf={"a": yes}, **fixed)
    TriggerDagRunOperator(task_id="trigger_any", trigger_dag_id="other", failed_states=["running"])
    TriggerDagRunOperator.partial(task_id="trigger_each", trigger_dag_id="other").expand(conf=[{"n": 1}, {"n": 2}])

    # --- people
    HITLOperator(
        task_id="ask",
        subject="Which of {{ ds }}?",
        options=["a", "b"],
        body="**choose**",
        defaults="a",
        multiple=True,
        params={"why": Param("", type="string"), "n": 1},
        assigned_users={"id": "1", "name": "Ann"},
        response_timeout=timedelta(hours=1),
    )
    HITLEntryOperator(task_id="fill_in", subject="Fill in", params={"n": Param(None, type=["null", "integer"])})
    approve = ApprovalOperator(task_id="approve", subject="May we?", fail_on_reject=False)
    approve >> EmptyOperator(task_id="approved") >> EmptyOperator(task_id="later")
    ApprovalOperator(task_id="approve_hard", subject="Must we?", fail_on_reject=True)
    choose = HITLBranchOperator(
        task_id="choose", subject="Where to?", options=["L", "right"], options_mapping={"L": "left"}
    )
    choose >> [left, right]

    # --- time
    DateTimeSensor(task_id="moment", target_time="{{ logical_date }}", poke_interval=1)
    DateTimeSensor(task_id="moment_given", target_time=MOMENT, mode="reschedule")
    DateTimeSensorAsync(task_id="moment_async", target_time=MOMENT)
    DateTimeSensorAsync(task_id="moment_from_trigger", target_time="{{ ds }}", start_from_trigger=True)
    TimeSensor(task_id="time_of_day", target_time=time(0, 0))
    TimeDeltaSensor(task_id="delta", delta=timedelta(seconds=1))
    TimeDeltaSensor(task_id="delta_defers", delta=LONG, deferrable=True, timeout=60)
    TimeDeltaSensor(task_id="delta_over", delta=0, deferrable=True)
    WaitSensor(task_id="wait", time_to_wait=timedelta(seconds=0))
    DayOfWeekSensor(task_id="day", week_day="Friday", use_task_logical_date=True)
    DayOfWeekSensor(task_id="other_day", week_day=["Monday"], use_task_logical_date=True, mode="reschedule")

    # --- files, commands, functions
    FileSensor(task_id="file", filepath="etc/pass*", poke_interval=1)
    FileSensor(task_id="no_file", filepath="{{ ds }}.nothing", deferrable=True, timeout=90)
    BashSensor(task_id="command", bash_command="test {{ ds_nodash }} -gt 1", env={"A": "b"})
    BashSensor(task_id="command_fails", bash_command="exit 3", retry_exit_code=2)
    BashSensor(task_id="command_waits", bash_command="exit 3", mode="reschedule")
    PythonSensor(task_id="function", python_callable=yes)
    BashOperator(task_id="bash", bash_command="echo $A; echo last", env={"A": "1"}, append_env=True)
    SmoothOperator(task_id="smooth")

    @task
    def runs_a_command():
        result = SubprocessHook().run_command(["sh", "-c", "echo one; echo $A; exit 4"], env={"A": "two"})
        return [result.exit_code, result.output]

    runs_a_command()

    # --- other Dags
    ExternalTaskSensor(
        task_id="other_dag", external_dag_id="other", execution_delta=timedelta(days=1), mode="reschedule"
    )
    ExternalTaskSensor(
        task_id="other_task",
        external_dag_id="other",
        external_task_id="made",
        failed_states=["failed"],
        skipped_states=["skipped"],
        execution_date_fn=lambda date, ds: date,
        mode="reschedule",
    )
    ExternalTaskSensor(task_id="other_tasks", external_dag_id="other", external_task_ids=["a", "b"], deferrable=True)
    ExternalTaskSensor(
        task_id="other_group", external_dag_id="other", external_task_group_id="g", soft_fail=True, mode="reschedule"
    )
    ExternalTaskMarker(
        task_id="marker", external_dag_id="other", external_task_id="made", logical_date=MOMENT, recursion_depth=3
    )

    # --- functions for another Python
    PythonVirtualenvOperator(task_id="venv", python_callable=yes, requirements=["x==1"], system_site_packages=False)
    ExternalPythonOperator(task_id="python", python_callable=yes, python="/usr/bin/python3", op_args=[1])
    BranchPythonVirtualenvOperator(task_id="branch_venv", python_callable=yes, requirements="x", retries=3)
    BranchExternalPythonOperator(task_id="branch_python", python_callable=yes, python="/usr/bin/python3")

    @task.virtualenv(requirements=["x"], queue="venv")
    def in_venv(x):
        return x

    @task.external_python(python="/usr/bin/python3")
    def in_python():
        return {"a": 1}

    @task.branch_virtualenv(requirements=["x"])
    def branch_in_venv():
        return "left"

    @task.branch_external_python(python="/usr/bin/python3")
    def branch_in_python():
        return "left"

    in_venv(in_python())
    [branch_in_venv(), branch_in_python()] >> left

"""Branches and short circuits, plain, in groups and mapped; what they skip is told to Airflow."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.sdk import BaseBranchOperator, BaseOperator, DAG, SkipMixin, TaskGroup, task
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

with DAG("parity_branches", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    left, right, joined, far = (EmptyOperator(task_id=name) for name in ("left", "right", "joined", "far"))
    joined.trigger_rule = "none_failed_min_one_success"
    with TaskGroup("section") as section:
        first, second = EmptyOperator(task_id="first"), EmptyOperator(task_id="second")
        first >> second
    cleanup = EmptyOperator(task_id="cleanup").as_teardown()

    @task.branch
    def to_left():
        return "left"

    @task.branch
    def to_none():
        return None

    @task.branch
    def to_several():
        return ["left", "section.first"]

    @task.branch
    def to_group():
        return "section"

    @task.branch
    def to_unknown():
        return "nowhere"

    @task.branch
    def to_number():
        return 7

    @task.branch
    def to_numbers():
        return [7, "left"]

    @task.branch
    def to_joined():
        return "joined"

    @task.branch
    def skips_itself():
        raise AirflowSkipException("no branch at all")

    for each in (to_left, to_none, to_several, to_group, to_unknown, to_number, to_numbers, to_joined, skips_itself):
        chosen = each()
        chosen >> [left, right, joined, section]
    left >> joined
    right >> joined

    BranchPythonOperator(task_id="classic_branch", python_callable=lambda: ["right"]) >> [left, right, joined]
    BranchPythonOperator(task_id="branch_without_downstream", python_callable=list)

    class Chooses(BaseBranchOperator):
        def choose_branch(self, context):
            return [f"section.{context['params']['which']}"]

    Chooses(task_id="own_branch", params={"which": "first"}) >> [left, right, section]

    @task.branch
    def mapped_branch(name):
        return name

    mapped_branch.expand(name=["left", "right"]) >> [left, right]

    @task.short_circuit
    def goes_on():
        return {"a": 1}

    @task.short_circuit
    def stops():
        return []

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def stops_here():
        return False

    @task.short_circuit
    def mapped_stop(value):
        return value

    for each in (goes_on, stops, stops_here):
        each() >> left >> joined >> far >> cleanup
    mapped_stop.expand(value=[True, False]) >> far
    ShortCircuitOperator(task_id="classic_stop", python_callable=lambda: None) >> [right, section]
    ShortCircuitOperator(task_id="nothing_to_stop", python_callable=lambda: 0)

    class SkipsSome(BaseOperator, SkipMixin):
        def execute(self, context):
            self.skip(context["ti"], [t for t in self.downstream_list if t.task_id == "left"])
            return "not reached when something was skipped"

    class SkipsAllBut(BaseOperator, SkipMixin):
        def execute(self, context):
            self.skip_all_except(context["ti"], "right")

    SkipsSome(task_id="skips_some") >> [left, right]
    SkipsSome(task_id="skips_nothing") >> right
    SkipsAllBut(task_id="skips_all_but") >> [left, right]

    @task
    def skips_by_hand():
        raise DownstreamTasksSkipped(tasks=["left", ("right", 3)])

    @task
    def skips_one_by_hand():
        raise DownstreamTasksSkipped(tasks="left")

    skips_by_hand() >> left
    skips_one_by_hand() >> left

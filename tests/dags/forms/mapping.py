"""Mapped tasks and groups, in every shape."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, TaskGroup, dag, task, task_group


def announce(context):
    """Announce."""


def double(value):
    return value * 2


with DAG(
    dag_id="mapping",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"retries": 1, "on_failure_callback": announce, "pool": "p"},
):

    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    def pairs() -> list[dict]:
        return [{"x": 1, "y": 2}]

    @task
    def add(x: int, y: int) -> int:
        return x + y

    @task(multiple_outputs=True, queue="frozen", doc_md="said")
    def both(x) -> dict:
        """Give both."""
        return {"a": x, "b": x}

    @task.branch
    def pick(x):
        return "end"

    listed = numbers()
    summed = add.partial(y=10).expand(x=listed)
    add.expand(x=[1, 2], y=[3, 4])
    add.expand(y={"k": 1}, x=listed)
    add.expand_kwargs(pairs())
    add.expand_kwargs([{"x": 1, "y": 2}, {"x": listed, "y": 3}])
    add.partial(y=1).expand(x=listed.map(double).map(double))
    add.partial(y=1).expand(x=listed.zip(summed, fillvalue=0))
    add.partial(y=1).expand(x=listed.zip(summed))
    add.partial(y=listed).expand(x=listed.concat(summed))
    both.override(task_id="both_many", retries=5, retry_delay=timedelta(seconds=1)).expand(x=listed)
    both_one = both(listed)
    add(both_one["a"], both_one["b"])
    pick.partial().expand(x=listed)
    add.override(
        task_id="loaded",
        trigger_rule="all_done",
        execution_timeout=timedelta(seconds=9),
        outlets=[Asset("mapped_out")],
        max_active_tis_per_dag=2,
        map_index_template="{{ ti.map_index }}",
        on_success_callback=announce,
        pool_slots=2,
        priority_weight=3,
        weight_rule="absolute",
        executor_config={"a": 1},
        email="x@example.org",
        email_on_failure=False,
        params={"p": 1},
        task_display_name="Loaded!",
        start_date=datetime(2026, 2, 1),
        depends_on_past=True,
    ).partial(y=1).expand(x=listed)

    BashOperator.partial(task_id="bash", env={"A": "1"}, do_xcom_push=False).expand(bash_command=["a", "b"])
    BashOperator.partial(task_id="bash_kwargs").expand_kwargs([{"bash_command": "a", "env": {"B": "1"}}])
    PythonOperator.partial(task_id="python", python_callable=double).expand(op_args=[[1], [2]])
    PythonOperator.partial(task_id="python_kwargs", python_callable=lambda x: x).expand(op_kwargs=[{"x": 1}])
    EmptyOperator.partial(task_id="empty").expand(doc=["a", "b"])
    end = EmptyOperator(task_id="end", trigger_rule="none_failed_min_one_success")
    summed >> end


@dag(schedule=None, tags=["groups"])
def mapped_groups(limit: int = 3, name: str = "x"):
    """Document the Dag."""

    @task
    def make():
        return ["a", "b"]

    @task
    def use(value, other=None):
        """Use a value."""
        return value

    @task_group
    def plain(value):
        """Do it in two steps."""
        return use(use(value))

    @task_group(group_id="many", tooltip="tip")
    def many(value, fixed):
        return use(use(value), other=fixed)

    @task_group
    def outer(value):
        with TaskGroup("nested"):
            use(value, other=limit)
        BashOperator(task_id="say", bash_command="echo {{ params.name }}")

    made = make()
    plain(made)
    first = many.partial(fixed=1).expand(value=["x", "y"])
    second = many.override(group_id="again").partial(fixed=2).expand(value=made)
    many.override(group_id="dicts").expand_kwargs([{"value": 1, "fixed": 2}])
    outer.expand(value=first)
    first >> second
    use.override(task_id="last")(second, other=[name, {"k": (made, {1})}])


mapped_groups()

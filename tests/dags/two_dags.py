"""Two Dags in one file; a function shared by both."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import dag, task


def double(number: int) -> int:
    return 2 * number


@dag("two_dags_first", schedule=None, start_date=datetime(2026, 1, 1))
def first():
    @task(queue="frozen")
    def work() -> int:
        return double(10)

    work()


@dag("two_dags_second", schedule=None, start_date=datetime(2026, 1, 1))
def second():
    @task(queue="frozen")
    def work() -> int:
        return double(11)

    @task(queue="frozen")
    def add(left: int, right: int = 1) -> int:
        return left + right

    add.override(task_id="add_more")(add(work()), right=100)


first()
second()

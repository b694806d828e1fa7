"""Values of classes: of this Dag file, and of those that Airflow hands to tasks."""

from __future__ import annotations

import dataclasses

import parity_backends
from airflow.sdk import Connection, ObjectStoragePath, Variable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.serde import allow_class


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Named:
    def __init__(self, name):
        self.name = name

    def serialize(self):
        return {"name": self.name}

    @staticmethod
    def deserialize(data, version):
        return Named(data["name"])

    def __repr__(self):
        return f"Named({self.name!r})"


@dataclasses.dataclass
class Unlisted:
    x: int


allow_class(Point)
allow_class(Named)


@dag(schedule=None, default_args={"queue": "frozen"})
def parity_values():
    @task
    def makes():
        return [Point(1), {"named": Named("n"), "point": Point(2, 3)}]

    @task
    def makes_unlisted():
        return Unlisted(1)

    @task
    def takes(values):
        return [repr(values), isinstance(values[0], Point), isinstance(values[1]["named"], Named)]

    @task
    def takes_unlisted(value):
        return repr(value)

    @task
    def answers_of_airflow(ti=None):
        return [ti.get_previous_ti(), ti.get_dag("other")]

    @task
    def takes_answers(values):
        return [values[0].run_id, values[0].duration, str(values[0].start_date), values[1].dag_id]

    @task
    def not_finite():
        get_current_context()["ti"].xcom_push("number", {"a": [1.5, float("nan")]})

    @task
    def reads_storage():
        return ObjectStoragePath("file:///etc/hostname").read_text()

    @task
    def shows_not_finite(number):
        return number

    @task
    def stored(ti=None):
        ti.xcom_push("mine", {"a": 1})
        Variable.set("pulled", str(ti.xcom_pull(task_ids="stored", key="mine")))
        return ["value", 1]

    @task
    def secrets():
        found = [Variable.get("from_backend"), Variable.get("text"), Variable.get("failing", "default")]
        Variable.set("from_backend", "new")
        return [*found, Connection.get("in_vault").host, Connection.get("warehouse").host]

    @task
    def fails():
        raise ValueError("for the listeners")

    @task
    def skips():
        raise AirflowSkipException

    made = makes()
    takes(made)
    takes_unlisted(makes_unlisted())
    takes_answers(answers_of_airflow())
    not_finite()
    reads_storage()
    shows_not_finite(float("inf"))
    stored()
    secrets()
    fails()
    skips()


parity_values()

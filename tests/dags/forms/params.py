"""Params with and without rules, on Dags and tasks."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, task

with DAG(
    dag_id="params",
    schedule=None,
    params={
        "z": 1,
        "text": "words",
        "nothing": None,
        "list": [1, [2], {"a": 3}],
        "object": {"b": {"c": 1.5}},
        "number": Param(5, type="integer", minimum=1, maximum=10, title="A number", description="Count."),
        "needed": Param(type="string", minLength=1),
        "or_null": Param(None, type=["null", "string"], format="date-time", section="More"),
        "one_of": Param("a", enum=["a", "b"], values_display={"a": "A"}),
        "schema": Param("a", schema={"type": "string", "const": "a"}),
    },
):

    @task(params={"number": 6, "extra": Param(True, type="boolean")})
    def show(params=None):
        return dict(params)

    BashOperator(task_id="say", bash_command="echo {{ params.text }}", params={"z": Param(2, type="integer")})
    show()

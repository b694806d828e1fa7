"""A Dag in the style of before TaskFlow: a with block, operators, arrows."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def greet(name, punctuation="!", **context):
    ti = context["ti"]
    ti.xcom_push(key="greeted", value=name)
    return f"Hello, {name}{punctuation} It is {context['ds']} in {context['dag'].dag_id}."


def shout(ti):
    heard = ti.xcom_pull(task_ids="greet")
    whom = ti.xcom_pull(task_ids="greet", key="greeted")
    return [heard.upper(), whom]


with DAG(
    "classic",
    description="operators and arrows",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"owner": "data-team", "queue": "frozen"},
    tags=["classic"],
) as dag:
    start = EmptyOperator(task_id="start")
    greet_task = PythonOperator(task_id="greet", python_callable=greet, op_args=["Ada"], op_kwargs={"punctuation": "?"})
    shout_task = PythonOperator(task_id="shout", python_callable=shout)
    end = EmptyOperator(task_id="end")

    start >> greet_task >> shout_task >> end

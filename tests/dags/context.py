"""What a task can know about its run: context, params, settings."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Param, Variable, dag, get_current_context, task


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"table": "orders", "limit": Param(10, type="integer", minimum=1)},
)
def context():
    @task(queue="frozen")
    def by_name(ds, ts_nodash, run_id, logical_date, params, ti, dag_run) -> dict:
        return {
            "ds": ds,
            "ts_nodash": ts_nodash,
            "run_id": run_id,
            "logical_date": logical_date.isoformat(),
            "params": dict(params),
            "conf": dag_run.conf,
            "ti": [ti.dag_id, ti.task_id, ti.run_id, ti.try_number, ti.map_index],
        }

    @task(queue="frozen")
    def by_call() -> dict:
        context = get_current_context()
        return {
            "ds_nodash": context["ds_nodash"],
            "interval": [context["data_interval_start"].isoformat(), context["data_interval_end"].isoformat()],
            "run_type": str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)),
            "dag": context["dag"].dag_id,
            "task": context["task"].task_id,
            "key": context["task_instance_key_str"],
            "has_previous": context["prev_start_date_success"] is not None,
        }

    @task(queue="frozen")
    def all_of_it(**kwargs) -> list:
        return sorted(name for name in ("ds", "ti", "task_instance", "dag_run", "params", "run_id") if name in kwargs)

    @task(queue="frozen")
    def pushes(ti=None) -> None:
        ti.xcom_push(key="rows", value=[1, 2, 3])
        ti.xcom_push(key="when", value=ti.run_id)

    @task(queue="frozen")
    def pulls(ti=None) -> list:
        both = ti.xcom_pull(task_ids=["pushes", "by_name"], key="rows")
        return [ti.xcom_pull(task_ids="pushes", key="rows"), ti.xcom_pull(task_ids="nobody"), list(both)]

    @task(queue="frozen")
    def settings() -> dict:
        Variable.set("written", "by the task")
        return {
            "text": Variable.get("text"),
            "json": Variable.get("json", deserialize_json=True),
            "absent": Variable.get("absent", default="a default"),
        }

    by_name()
    by_call()
    all_of_it()
    pushes() >> pulls()
    settings()


context()

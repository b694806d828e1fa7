# /// script
# dependencies = [
#     "apache-airflow==3.2.0",
#     "apache-airflow-providers-common-messaging==2.1.2; python_version >= '3.11'",
#     "apache-airflow-providers-redis==4.7.1; python_version >= '3.11'",
#     "apache-airflow-providers-ftp==3.16.1; python_version >= '3.11'",
#     "apache-airflow-providers-ftp==3.16.0; python_version < '3.11'",
#     "apache-airflow-providers-http==6.3.0; python_version >= '3.11'",
#     "apache-airflow-providers-http==6.2.0; python_version < '3.11'",
#     "apache-airflow-providers-sqlite==4.3.4; python_version >= '3.11'",
#     "apache-airflow-providers-sqlite==4.3.3; python_version < '3.11'",
#     "universal-pathlib==0.3.10",
# ]
# ///
"""Operators and hooks of providers which are frozen in, and of one that is not."""

from __future__ import annotations

from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.snowflake.operators.snowflake import SnowflakeSqlApiOperator
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.sdk import DAG, Asset, AssetWatcher, task

messages = MessageQueueTrigger(scheme="redis+pubsub", channels=["orders"])
orders = Asset("orders", watchers=[AssetWatcher(name="of_redis", trigger=messages)])

with DAG("with_providers", schedule=None, default_args={"queue": "frozen"}, params={"folder": None}):
    get = HttpOperator(
        task_id="get",
        http_conn_id="web",
        method="GET",
        endpoint="/{{ ds }}",
        response_filter=lambda response: response.json(),
    )

    HttpSensor(
        task_id="wait", http_conn_id="web", endpoint="/up", response_check=lambda response: "up" in response.text
    )

    HttpOperator(task_id="get_deferred", http_conn_id="web", method="GET", endpoint="/later", deferrable=True)

    HttpOperator(task_id="get_missing", http_conn_id="web", method="GET", endpoint="/missing")

    @task
    def fetch(path: str) -> str:
        return HttpHook("GET", http_conn_id="web").run(path).text

    @task
    def rows() -> list:
        hook = SqliteHook("db")
        hook.run("create table counts (n int)")
        hook.insert_rows("counts", [(1,), (2,)], target_fields=["n"])
        return hook.get_records("select n from counts order by n")

    @task
    def by_type() -> str:
        from airflow.sdk import BaseHook

        return type(BaseHook.get_hook("db")).__name__

    @task
    def of_an_unknown_type() -> str:
        from airflow.sdk import BaseHook

        return type(BaseHook.get_hook("odd")).__name__

    @task
    def files() -> list:
        from airflow.providers.ftp.hooks.ftp import FTPHook

        return FTPHook("no_such").list_directory("/")

    @task
    def buckets() -> list:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return S3Hook().list_keys("bucket")

    @task
    def store(params=None) -> dict:
        from airflow.sdk import ObjectStoragePath

        base = ObjectStoragePath(params["folder"])
        base.mkdir()
        (base / "in.txt").write_text("text")
        (base / "in.txt").copy(base / "out.txt")
        return {"names": sorted(each.name for each in base.iterdir()), "text": (base / "out.txt").read_text()}

    @task
    def queues() -> list:
        from airflow.providers.common.messaging.triggers.msg_queue import MESSAGE_QUEUE_PROVIDERS

        return [type(each).__name__ for each in MESSAGE_QUEUE_PROVIDERS]

    queues()

    @task
    def parts_of_airflow() -> list:
        import sys

        names = sys.modules["pyimod02_importers"].pyz_archive.toc
        return sorted({".".join(name.split(".")[:3]) for name in names if name.partition(".")[0] == "airflow"})

    filled = rows()
    filled >> SQLExecuteQueryOperator(
        task_id="query", conn_id="db", sql="select sum(n) from counts where '{{ ds }}' > ''"
    )

    @task.sql(conn_id="db")
    def total(least: int) -> str:
        return f"select sum(n) from counts where n >= {least}"

    filled >> total(2)

    @task.docker(image="python:3.12", queue="default")
    def in_a_container() -> int:
        return 1

    in_a_container()
    SnowflakeSqlApiOperator(task_id="elsewhere", sql="select 1", statement_count=1, queue="default")
    get >> fetch("/other") >> [by_type(), of_an_unknown_type(), files(), buckets(), parts_of_airflow(), store()]

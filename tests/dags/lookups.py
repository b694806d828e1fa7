"""Reads variables and connections in every way the public API has."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Connection, Variable, dag, task
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError


@dag(schedule=None, start_date=datetime(2026, 1, 1), default_args={"queue": "frozen"})
def lookups():
    @task
    def read_variable(key: str = "greeting") -> str:
        return Variable.get(key)

    @task
    def read_missing_variable() -> str:
        try:
            return Variable.get("no_such_variable")
        except AirflowRuntimeError as error:
            return type(error).__name__

    @task
    def read_connection() -> dict:
        conn = Connection.get("warehouse")
        return {
            "id": conn.conn_id,
            "type": conn.conn_type,
            "host": conn.host,
            "port": conn.port,
            "login": conn.login,
            "schema": conn.schema,
            "password_length": len(conn.password or ""),
            "extra": conn.extra_dejson,
        }

    @task
    def read_uri() -> str:
        return Connection.get("warehouse").get_uri()

    @task
    def read_missing_connection() -> str:
        try:
            return Connection.get("no_such_connection").conn_id
        except AirflowNotFoundException as error:
            return type(error).__name__

    @task
    def write_variable() -> None:
        Variable.set("written", "text", description="by a task")
        Variable.set("written_json", {"a": [1, 2]}, serialize_json=True)
        Variable.delete("doomed")

    read_variable()
    read_missing_variable()
    read_connection()
    read_uri()
    read_missing_connection()
    write_variable()


lookups()

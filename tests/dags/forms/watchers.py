"""Watched assets, who may use them, and retry policies."""

from __future__ import annotations

from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.definitions.asset import AssetAccessControl

policy = ExceptionRetryPolicy(rules=[RetryRule(exception="builtins.ValueError", action=RetryAction.FAIL)])
watched = Asset(
    "watched",
    watchers=[AssetWatcher(name="file", trigger=FileDeleteTrigger(filepath="/tmp/go", poke_interval=3.0))],
    access_control=AssetAccessControl(producer_teams=["a"], consumer_teams=["b"], allow_global=False),
)
open_to_one = Asset("open_to_one", access_control=AssetAccessControl(producer_teams=["a"]))

with DAG(dag_id="watches", schedule=[watched, open_to_one], default_args={"retry_policy": policy, "retries": 1}):

    @task(outlets=[watched])
    def use():
        return 1

    @task(retry_policy=policy, retries=4)
    def again(x):
        return x

    again(use())
    again.partial().expand(x=[1, 2])

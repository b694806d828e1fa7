"""What a deployment may add to every task: an XCom backend, a secrets backend, a plugin with listeners."""

from __future__ import annotations

import json
import sys

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import Variable
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.state import AssetScope, BaseStoreBackend, TaskScope


class MarkingXCom(BaseXCom):
    @staticmethod
    def serialize_value(value, *, key=None, task_id=None, dag_id=None, run_id=None, map_index=None):
        place = [key, task_id, dag_id, run_id, map_index]
        return {"place": place, "value": BaseXCom.serialize_value(value)}

    @staticmethod
    def deserialize_value(result):
        return ["read", result.value["value"]]

    @classmethod
    def purge(cls, xcom, *args):
        Variable.set("purged", str(xcom.value))


class Vault(BaseSecretsBackend):
    def __init__(self, prefix, suffix=""):
        self.prefix, self.suffix = prefix, suffix

    def get_variable(self, key, team_name=None):
        if key == "failing":
            raise RuntimeError("sealed")
        return f"{self.prefix} {key}{self.suffix}" if key == "from_backend" else None

    def get_conn_value(self, conn_id, team_name=None):
        return "http://vault.example/?a=1" if conn_id == "in_vault" else None


class Shelf(BaseStoreBackend):
    """Keeps in its references what it stores, and counts on the scopes it is given."""

    def serialize_task_state_store_to_ref(self, *, value, key, scope):
        assert isinstance(scope, TaskScope)
        return repr((scope.dag_id, scope.run_id, scope.task_id, scope.map_index, key, value))

    def deserialize_task_state_store_from_ref(self, stored):
        return ["from the shelf", stored]

    def serialize_asset_state_store_to_ref(self, *, value, key, scope):
        assert isinstance(scope, AssetScope)
        return json.dumps([scope.name, scope.uri, key, value])

    def get(self, scope, key, *, session=None):
        return None

    def set(self, scope, key, value, *, expires_at=None, session=None):
        pass

    def delete(self, scope, key, *, session=None):
        Variable.set("deleted", f"{scope} {key}")

    def clear(self, scope, *, all_map_indices=False, session=None):
        Variable.set("cleared", str(scope))

    async def aget(self, scope, key, *, session=None):
        return None

    async def aset(self, scope, key, value, *, expires_at=None, session=None):
        pass

    async def adelete(self, scope, key, *, session=None):
        pass

    async def aclear(self, scope, *, all_map_indices=False, session=None):
        pass


def note(hook, task_instance, *facts):
    Variable.set(f"{hook} {task_instance.task_id}", " ".join(str(fact) for fact in facts))


@hookimpl
def on_starting(component):
    Variable.set("on_starting", type(component).__name__)


@hookimpl
def on_task_instance_running(previous_state, task_instance):
    note("running", task_instance, previous_state)


@hookimpl
def on_task_instance_success(task_instance):
    note("success", task_instance, task_instance.state)


@hookimpl
def on_task_instance_failed(previous_state, task_instance, error):
    note("failed", task_instance, previous_state, type(error).__name__, error)
    raise RuntimeError("a listener that fails")


def on_task_instance_skipped(previous_state, task_instance):
    raise RuntimeError("not marked, so never called")


@hookimpl
def before_stopping(component):
    Variable.set("before_stopping", type(component).__name__)


class ListeningPlugin(AirflowPlugin):
    name = "listening"
    listeners = [sys.modules[__name__]]

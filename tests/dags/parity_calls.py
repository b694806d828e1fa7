"""What task code can ask of Airflow: variables, connections, XComs, runs and task instances, stores."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import Asset, AssetAlias, BaseHook, Connection, Variable, XComArg, dag, get_current_context, task
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError
from airflow.sdk.execution_time.comms import GetDagRun
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from airflow.sdk.execution_time.hitl import (
    get_hitl_detail_content_detail,
    update_hitl_detail_response,
    upsert_hitl_detail,
)
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.log import amask_secret, mask_secret

UTC = timezone.utc
TABLE = Asset("table", uri="s3://bucket/table")
COPY = Asset("copy", uri="s3://bucket/copy")
EARLIER = datetime(2025, 12, 31, tzinfo=UTC)


def attempt(function, *args, **kwargs):
    """The result of a call, or what it raised, in words."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if isinstance(error, AirflowRuntimeError):
            return [type(error).__name__, str(getattr(error.error.error, "value", error.error.error))]
        return [type(error).__name__]


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def parity_calls():
    # Variables

    @task
    def variables_read():
        return {
            "text": Variable.get("text"),
            "json": Variable.get("json", deserialize_json=True),
            "absent": Variable.get("absent", default="fallback"),
            "none": Variable.get("absent", default=None),
            "missing": attempt(Variable.get, "absent"),
            "no json": attempt(Variable.get, "text", deserialize_json=True),
            "json default": Variable.get("absent", default={"a": 1}, deserialize_json=True),
        }

    @task
    def variables_written():
        Variable.set("plain", "text")
        Variable.set("described", "text", description="what it is")
        Variable.set("object", {"b": [1, 2], "a": None}, serialize_json=True)
        Variable.set("empty", "")
        Variable.delete("text")
        Variable.delete("absent")
        return [Variable.get("plain"), Variable.get("object", deserialize_json=True), Variable.get("text", default=0)]

    @task
    def variable_keys():
        return [list(Variable.keys()), list(Variable.keys(prefix="team_")), list(Variable.keys(prefix="zzz"))]

    @task
    def variable_not_text():
        Variable.set("number", 7)

    @task
    def variables_by_template(text, value, either):
        return [text, value, either]

    variables_by_template(
        "{{ var.value.text }} {{ var.value.get('text') }} {{ var.value.get('absent', 'none') }}",
        "{{ var.json.json.a }} {{ var.json.get('json').a }} {{ var.json.get('absent', {'a': 3}).a }}",
        {"{{ not.rendered }}": ["{{ var.value.text }}", ("{{ var.value.text }}", 1)]},
    )

    @task
    def variable_template_missing(text):
        return text

    variable_template_missing("{{ var.value.absent }}")

    @task
    def variables_from_environment():
        return [
            Variable.get("from_env"),
            Variable.get("from_env", default="no"),
            attempt(Variable.set, "from_env", "x"),
        ]

    @task
    def models_of_the_core():
        from airflow.models import Connection as CoreConnection
        from airflow.models import Variable as CoreVariable

        CoreVariable.set("plain", "text", None, False)
        CoreVariable.update("plain", {"a": 1}, serialize_json=True)
        found = CoreConnection.get_connection_from_secrets("warehouse")
        return [
            CoreVariable.get("text"),
            CoreVariable.get("absent", default_var="fallback"),
            CoreVariable.get("absent", default_var=None),
            attempt(CoreVariable.get, "absent"),
            CoreVariable.get("json", deserialize_json=True),
            CoreVariable.setdefault("text", "not taken"),
            CoreVariable.setdefault("fresh", {"b": 2}, deserialize_json=True),
            attempt(CoreVariable.setdefault, "absent", None),
            CoreVariable.delete("plain"),
            [type(found).__module__, found.host, found.extra_dejson],
            attempt(CoreConnection.get_connection_from_secrets, "absent"),
        ]

    # Connections

    @task
    def connection_fields():
        found = Connection.get("warehouse")
        hooked = BaseHook.get_connection("warehouse")
        return [
            [found.conn_id, found.conn_type, found.host, found.schema, found.login, found.port],
            found.extra_dejson,
            hooked.get_uri() == found.get_uri(),
            found == hooked,
        ]

    @task
    def connection_missing():
        return [
            attempt(Connection.get, "absent"),
            attempt(BaseHook.get_connection, "absent"),
            issubclass(AirflowNotFoundException, Exception),
        ]

    @task
    def connection_missing_fails():
        Connection.get("absent")

    @task
    def connections_by_template(host, missing):
        return [host, missing]

    connections_by_template(
        "{{ conn.warehouse.host }}:{{ conn.warehouse.port }}/{{ conn.get('warehouse').schema }}",
        "{{ conn.get('absent', 'none') }} {{ conn.get('absent') }} {{ conn.warehouse.extra_dejson.sslmode }}",
    )

    @task
    def connections_from_environment():
        uri, text = Connection.get("by_uri"), Connection.get("by_json")
        return [
            uri.conn_type,
            uri.host,
            uri.login,
            uri.schema,
            uri.port,
            uri.extra_dejson,
            text.host,
            text.extra_dejson,
        ]

    @task
    async def connections_async():
        found = await Connection.async_get("warehouse")
        uri, extra = await found.aget_uri(), await found.aextra_dejson()
        return [found.host, (await BaseHook.aget_connection("warehouse")).port, uri, extra]

    @task
    def masks():
        mask_secret("hunter2 of old")
        mask_secret({"password": "swordfish", "plain": "no secret"})
        print("hunter2 of old and swordfish")

    @task
    async def masks_async():
        await amask_secret("hunter2 of old")
        print("hunter2 of old")

    # XComs

    @task
    def xcoms_pushed(ti=None):
        ti.xcom_push("number", 1)
        ti.xcom_push(key="none", value=None)
        ti.xcom_push(key="date", value=datetime(2026, 5, 6, 7, 8, tzinfo=UTC))
        ti.xcom_push(key="set", value={3})
        ti.xcom_push(key="tuple", value=(1, "a", (2.5,)))
        ti.xcom_push(key="delta", value=timedelta(days=1, seconds=2))
        return {"nested": [{"when": datetime(2026, 5, 6, tzinfo=UTC).date()}]}

    @task
    def xcoms_pulled(ti=None):
        return [
            ti.xcom_pull("one"),
            ti.xcom_pull(task_ids="one", key="other"),
            ti.xcom_pull(task_ids=["one", "many", "none"]),
            ti.xcom_pull(task_ids="many"),
            ti.xcom_pull(task_ids="many", map_indexes=1),
            ti.xcom_pull(task_ids="many", map_indexes=[2, 0, 9], default="none"),
            ti.xcom_pull(task_ids=["many", "one"], map_indexes=[0, -1]),
            ti.xcom_pull(task_ids="one", map_indexes=None),
            ti.xcom_pull(task_ids="none", default="default"),
            ti.xcom_pull(task_ids="none", map_indexes=-1, default="default"),
            ti.xcom_pull(task_ids="one", include_prior_dates=True),
            ti.xcom_pull(task_ids="one", dag_id="parity_calls", run_id="manual__run"),
            ti.xcom_pull(task_ids="elsewhere", dag_id="other", run_id="manual__other"),
            ti.xcom_pull(),
            attempt(ti.xcom_pull, task_ids="one", map_indexes=1.5),
        ]

    @task
    async def xcoms_async(ti=None):
        await ti.axcom_push("later", [1])
        return [await ti.axcom_pull("one"), await ti.axcom_pull(task_ids="many", map_indexes=[1, 2])]

    @task
    def xcoms_by_class(ti=None):
        place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}
        XCom.set(key="own", value={"a": 1}, **place)
        XCom.set(key="other index", value=2, map_index=3, **place)
        found = [
            XCom.get_one(key="own", **place),
            XCom.get_one(key="other index", map_index=3, **place),
            XCom.get_one(key="absent", **place),
            XCom.get_all(key="other index", **place),
            XCom.get_all(key="absent", **place),
            XCom.get_value(ti_key=ti, key="own"),
        ]
        XCom.delete(key="own", **place)
        XCom.delete(key="other index", map_index=3, **place)
        return found

    @task
    async def xcoms_by_class_async(ti=None):
        place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id}
        await XCom.aset(key="own", value={"a": 1}, **place)
        found = [
            await XCom.aget_one(key="own", **place),
            await XCom.aget_all(key="own", **place),
            await XCom.aget_value(ti_key=ti, key="own"),
        ]
        return found

    @task
    def xcom_return_key():
        return [BaseXCom.XCOM_RETURN_KEY, XCom.XCOM_RETURN_KEY, issubclass(XCom, BaseXCom)]

    @task(do_xcom_push=False)
    def pushes_nothing():
        return "unseen"

    @task
    def xcoms_by_template(text):
        return text

    xcoms_by_template("{{ ti.xcom_pull('one') }} {{ task_instance.xcom_pull(task_ids='many')[1] }} {{ ti.task_id }}")

    # Runs and task instances

    @task
    def previous_runs(ti=None, prev_start_date_success=None, prev_data_interval_start_success=None):
        run = ti.get_previous_dagrun()
        success = ti.get_previous_dagrun(state="success")
        return [
            run and run.run_id,
            success and [success.run_id, success.logical_date.isoformat()],
            prev_start_date_success.isoformat(),
            str(prev_data_interval_start_success),
        ]

    @task
    def no_previous_run(ti=None, prev_end_date_success=None):
        nothing = [ti.get_previous_dagrun(), ti.get_previous_ti() is None]
        return [*nothing, str(prev_end_date_success), not prev_end_date_success]

    @task
    def previous_task_instances(ti=None):
        found = ti.get_previous_ti()
        return [
            found and [found.task_id, found.run_id, found.state, found.try_number, found.map_index],
            getattr(ti.get_previous_ti(state="failed"), "run_id", None),
            getattr(ti.get_previous_ti(logical_date=EARLIER), "run_id", None),
            getattr(ti.get_previous_ti(map_index=4), "run_id", None),
        ]

    @task
    def counts(ti=None):
        return [
            ti.get_ti_count(dag_id="parity_calls"),
            ti.get_ti_count(dag_id="parity_calls", task_ids=["counted"], states=["success", "failed"]),
            ti.get_ti_count(dag_id="parity_calls", run_ids=["earlier"], map_index=-1),
            ti.get_ti_count(dag_id="parity_calls", logical_dates=[EARLIER], task_group_id="section"),
            ti.get_dr_count(dag_id="parity_calls"),
            ti.get_dr_count(dag_id="parity_calls", states=["success"], run_ids=["earlier"], logical_dates=[EARLIER]),
        ]

    @task
    def states(ti=None):
        return [
            ti.get_task_states(dag_id="parity_calls", run_ids=["earlier"]),
            ti.get_task_states(dag_id="parity_calls", task_ids=["counted"], map_index=-1, logical_dates=[EARLIER]),
            ti.get_dagrun_state(dag_id="parity_calls", run_id="earlier"),
            list(ti.get_task_breadcrumbs(dag_id="parity_calls", run_id="earlier")),
        ]

    @task
    def dags(ti=None):
        found = ti.get_dag("other")
        return [found.dag_id, found.is_paused, found.relative_fileloc, list(found.tags), attempt(ti.get_dag, "absent")]

    @task
    def run_state_missing(ti=None):
        return ti.get_dagrun_state(dag_id="absent", run_id="absent")

    @task
    def own_facts(ti=None, dag_run=None, task_reschedule_count=None, **context):
        return [
            [ti.dag_id, ti.task_id, ti.run_id, ti.try_number, ti.map_index, ti.max_tries, ti.is_mapped, ti.state.value],
            [dag_run.dag_id, dag_run.run_id, dag_run.conf, dag_run.run_type.value, dag_run.state],
            [ti.log_url, ti.mark_success_url, ti.task.task_id, ti.task.dag.dag_id, task_reschedule_count],
            sorted(key for key in context if key not in ("conn", "macros")),
            [ti.hostname is None, ti.start_date is None, ti.end_date, ti.rendered_map_index],
        ]

    # Stores

    @task
    def task_store(task_state_store=None):
        task_state_store.set("number", 1)
        task_state_store.set("object", {"a": [None, 1.5, "x"]}, retention=NEVER_EXPIRE)
        task_state_store.set("short", True, retention=timedelta(hours=6))
        found = [task_state_store.get(key) for key in ("number", "object", "absent")]
        found.append(task_state_store.get("absent", default="none"))
        found.append(attempt(task_state_store.set, "nothing", None))
        task_state_store.delete("number")
        task_state_store.clear()
        return [*found, task_state_store.get("short")]

    @task(inlets=[TABLE])
    def asset_store(asset_state_store=None):
        one = asset_state_store[TABLE]
        one.set("mark", 17)
        asset_state_store.set("direct", {"a": 1})
        found = [
            one.get("mark"),
            asset_state_store.get("direct"),
            one.get("absent", 5),
            asset_state_store.get("absent"),
        ]
        found.append(attempt(one.set, "nothing", None))
        found.append(attempt(lambda: asset_state_store[COPY]))
        found.append(attempt(lambda: asset_state_store["table"]))
        one.delete("mark")
        asset_state_store.clear()
        return [*found, repr(one)]

    @task(inlets=[Asset.ref(uri="s3://bucket/table")], outlets=[COPY])
    def asset_store_of_two(asset_state_store=None):
        found = attempt(asset_state_store.get, "mark")
        asset_state_store[Asset.ref(uri="s3://bucket/table")].set("mark", 1)
        asset_state_store[COPY].set("mark", 2)
        asset_state_store[COPY].clear()
        by_uri = asset_state_store[Asset.ref(uri="s3://bucket/table")]
        seen = by_uri.get("mark")
        by_uri.delete("mark")
        by_uri.clear()
        return [found, seen, repr(asset_state_store)]

    @task(inlets=[AssetAlias("alias")])
    async def asset_store_async(asset_state_store=None):
        await asset_state_store.aset("mark", [1])
        found = [await asset_state_store.aget("mark"), await asset_state_store.aget("absent", 3)]
        await asset_state_store.adelete("mark")
        await asset_state_store.aclear()
        return found

    @task
    def by_message():
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        found = SUPERVISOR_COMMS.send(msg=GetDagRun(dag_id="other", run_id="manual__there"))
        return [type(found).__name__, found.run_id, found.state]

    @task
    def answers_itself(ti=None):
        upsert_hitl_detail(ti.id, ["yes", "no"], "Well?", assigned_users=[{"id": "1", "name": "me"}])
        # The supervisor of a task refuses these, that of a trigger answers.
        asked = attempt(get_hitl_detail_content_detail, ti.id)
        return [asked, attempt(update_hitl_detail_response, ti.id, ["yes"], {"a": 1})]

    @task
    def no_asset_store():
        return "asset_state_store" in get_current_context()

    for each in list(locals().values()):
        if callable(each) and not isinstance(each, XComArg) and "_by_template" not in each.function.__name__:
            if each.function.__name__ != "variable_template_missing":
                each()


parity_calls()

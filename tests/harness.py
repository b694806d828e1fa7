"""One task under the real supervisor of apache-airflow-task-sdk, against an Execution API that remembers its calls.

`run_task` runs one task instance to its end, either in a bundle (through the real ExecutableCoordinator, routed by
queue) or in Airflow's own runner on the same Dag file. Both sides talk to the same `ExecutionAPI`, so two runs can be
compared call by call (`recording`).

The API is an httpx transport inside the supervisor's own client: every request is built, encoded, answered and
validated by Airflow's code, and nothing listens on a port. Its answers follow airflow/api_fastapi/execution_api/routes
of apache-airflow 3.3.2, its state lives in plain dicts that a test fills before and reads after.
"""

from __future__ import annotations

import base64
import contextlib
import email
import json
import os
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

QUEUE = "frozen"
# A connection with every field, for tests that read one.
WAREHOUSE = {
    "conn_type": "postgres",
    "host": "db.example",
    "port": 5432,
    "login": "loader",
    "password": "p@ss/word",
    "schema": "sales",
    "extra": '{"sslmode": "require"}',
}
LOGICAL_DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
TERMINAL_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")


def prepare_environment(home: Path) -> None:
    """Point Airflow at an empty home with nothing to look up. Must run before the first import of airflow."""
    home.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_VAR_", "AIRFLOW_CONN_"))]:
        del os.environ[name]
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__CORE__UNIT_TEST_MODE="false",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/never-created.db",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
        AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN="0.01",
        AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX="0.02",
        AIRFLOW__METRICS__STATSD_ON="false",
        AIRFLOW__LINEAGE__DISABLED="true",
    )


def warm_up(dag_file_too: bool = True) -> None:
    """Import what a worker that runs Python tasks has imported, so that a fork of this process is Airflow at its best.

    dag_file_too: also what importing a TaskFlow Dag file brings in (the decorators' provider, whatever `airflow.sdk`
        loads when it is asked for a name). Then an audit hook on "import" in the forked runner reports nothing at all;
        without it fork, Dag parse with the file's own imports, and run remain.
    """
    import importlib

    from airflow.sdk.execution_time.schema import get_schema_version_migrator

    for name in WARM_MODULES:
        if name.startswith("airflow.providers.") and not dag_file_too:
            continue
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sdk = importlib.import_module("airflow.sdk")
    for name in sdk.__all__ if dag_file_too else ():
        with contextlib.suppress(ImportError, AttributeError):
            getattr(sdk, name)
    get_schema_version_migrator()


WARM_MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.coordinators.executable.coordinator",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.serialization.serialized_objects",
    "airflow.version",
    "jinja2.ext",
    "setproctitle",
)


########################################################################################################################
# The Execution API
########################################################################################################################


class Call:
    """One request of the supervisor: `method`, `path` (no leading slash), `query` (name to list), `body`, `status`."""

    def __init__(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.status = 0

    def __repr__(self) -> str:
        query = "?" + "&".join(f"{k}={','.join(v)}" for k, v in self.query.items()) if self.query else ""
        body = "" if self.body is None else " " + json.dumps(self.body, default=str)[:300]
        return f"<{self.method} {self.path}{query}{body} -> {self.status}>"


class Refused(Exception):
    """Raised by a route: the real server's HTTPException."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


def not_found(message: str) -> Refused:
    return Refused(404, {"reason": "not_found", "message": message})


def iso(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def parse_date(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def asset(name: str, uri: str | None = None, *, group: str = "asset", extra: dict | None = None) -> dict[str, Any]:
    """An asset as the API server describes it."""
    return {"name": name, "uri": uri or name, "group": group, "extra": extra or {}}


def asset_event(
    asset: dict[str, Any],
    *,
    extra: dict | None = None,
    aliases: tuple[str, ...] = (),
    timestamp: datetime = LOGICAL_DATE,
    **source: Any,
) -> dict[str, Any]:
    """An asset event as the API server keeps it; `source`: the source_task_id, _dag_id, _run_id and _map_index."""
    source = {f"source_{name}": source.get(f"source_{name}") for name in ("task_id", "dag_id", "run_id", "map_index")}
    return {
        "timestamp": timestamp,
        "extra": extra or {},
        "asset": asset,
        "aliases": aliases,
        "created_dagruns": [],
        **source,
    }


class ExecutionAPI:
    """The state behind the API, the routes over it, and `calls`: everything asked, in order.

    Fill the attributes before a run; read them after it. XComs are keyed (dag_id, run_id, task_id, key, map_index).
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.scripts: list[tuple[str, re.Pattern[str], list[Any]]] = []
        self.variables: dict[str, str | None] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self.xcoms: dict[tuple[str, str, str, str, int], Any] = {}
        self.task_instances: dict[str, dict[str, Any]] = {}
        self.archived: set[str] = set()
        self.other_task_instances: list[dict[str, Any]] = []
        self.dag_runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.dags: dict[str, dict[str, Any]] = {}
        self.assets: list[dict[str, Any]] = []
        self.asset_aliases: dict[str, list[dict[str, Any]]] = {}
        self.asset_events: list[dict[str, Any]] = []
        self.inactive_assets: list[dict[str, Any]] = []
        self.task_state_store: dict[tuple[str, str], Any] = {}
        self.asset_state_store: dict[tuple[str, str], Any] = {}
        self.hitl: dict[str, dict[str, Any]] = {}
        self.reschedules: dict[str, list[datetime]] = {}
        self.rendered_fields: dict[str, Any] = {}

    # What a test sets up

    def add_connection(self, conn_id: str, conn_type: str = "generic", **fields: Any) -> None:
        names = ("host", "schema", "login", "password", "port", "extra")
        self.connections[conn_id] = {"conn_id": conn_id, "conn_type": conn_type, **{n: fields.get(n) for n in names}}

    def add_dag_run(self, dag_id: str, run_id: str, **fields: Any) -> dict[str, Any]:
        date = fields.pop("logical_date", LOGICAL_DATE)
        run = {
            "dag_id": dag_id,
            "run_id": run_id,
            "logical_date": date,
            "data_interval_start": date,
            "data_interval_end": date,
            "run_after": date or LOGICAL_DATE,
            "start_date": (date or LOGICAL_DATE) + timedelta(seconds=1),
            "end_date": None,
            "clear_number": 0,
            "run_type": "manual",
            "state": "running",
            "conf": {},
            "triggering_user_name": None,
            "consumed_asset_events": [],
            "partition_key": None,
            "partition_date": None,
            "note": None,
            "team_name": None,
            **fields,
        }
        self.dag_runs[dag_id, run_id] = run
        self.dags.setdefault(dag_id, {})
        return run

    def answer(self, method: str, path: str, *answers: Any) -> None:
        """The next requests whose path matches get these instead: a status, (status, detail), or a callable(call)."""
        self.scripts.append((method, re.compile(path), list(answers)))

    # What a test reads

    def asked(self, method: str | None = None, path: str = "") -> list[Call]:
        """The calls with this method whose path matches, in order."""
        return [c for c in self.calls if method in (None, c.method) and re.search(path, c.path)]

    def states(self) -> list[str]:
        """Every state the task was moved to, as asked of the API and accepted."""
        return [c.body["state"] for c in self.asked("PATCH", r"/state$") if c.status < 300]

    # Transport

    def transport(self) -> Any:
        import httpx

        return httpx.MockTransport(self.handle)

    def handle(self, request: Any) -> Any:
        from urllib.parse import parse_qs

        import httpx

        path = request.url.path.lstrip("/")
        raw = request.content
        query = parse_qs(request.url.query.decode(), keep_blank_values=True)
        call = Call(request.method, path, query, json.loads(raw) if raw else None)
        self.calls.append(call)
        headers: dict[str, str] = {}
        try:
            for method, pattern, answers in self.scripts:
                if answers and method == call.method and pattern.search(path):
                    scripted = answers.pop(0)
                    if callable(scripted):
                        scripted = scripted(call)
                    status, detail = scripted if isinstance(scripted, tuple) else (scripted, "scripted answer")
                    if status is None:
                        continue
                    if status >= 400:
                        raise Refused(status, detail)
                    call.status = status
                    return httpx.Response(status, json=detail)
            status, content = self.route(call, headers)
        except Refused as refused:
            status, content = refused.status, {"detail": refused.detail}
        call.status = status
        if status == 204 or call.method == "HEAD":
            return httpx.Response(status, headers=headers)
        return httpx.Response(
            status, content=json.dumps(content, default=iso), headers={"content-type": "application/json", **headers}
        )

    def route(self, call: Call, headers: dict[str, str]) -> tuple[int, Any]:
        for method, pattern, function in ROUTES:
            if method == call.method and (match := pattern.fullmatch(call.path)):
                if function is ExecutionAPI.xcom_head:
                    headers["Content-Range"] = f"map_indexes {len(self.xcom_rows(*match.groups()))}"
                    return 200, None
                return function(self, call, *match.groups())
        raise Refused(404, "Not Found")

    # Task instances

    def ti(self, ti_id: str) -> dict[str, Any]:
        if ti_id in self.task_instances and ti_id not in self.archived:
            return self.task_instances[ti_id]
        raise not_found("Task Instance not found")

    def live_ti(self, ti_id: str) -> dict[str, Any]:
        if ti_id in self.archived:
            raise Refused(
                410,
                {
                    "reason": "not_found",
                    "message": "Task Instance not found, it may have been moved to the Task Instance History table",
                },
            )
        return self.ti(ti_id)

    def ti_run(self, call: Call, ti_id: str) -> tuple[int, Any]:
        ti = self.ti(ti_id)
        body = call.body
        if ti["state"] != "queued":
            raise Refused(
                409,
                {
                    "reason": "invalid_state",
                    "message": "TI was not in a state where it could be marked as running",
                    "previous_state": ti["state"],
                },
            )
        ti.update(state="running", pid=body["pid"], hostname=body["hostname"])
        if not ti["next_kwargs"]:
            ti["start_date"] = parse_date(body["start_date"])
        run = self.dag_runs[ti["dag_id"], ti["run_id"]]
        place = (ti["dag_id"], ti["run_id"], ti["task_id"])
        keys = (
            [] if ti["next_method"] else [k[3] for k in self.xcoms if k[:3] == place and ti["map_index"] in (-1, k[4])]
        )
        context = {
            "dag_run": run,
            "task_reschedule_count": len(self.reschedules.get(ti_id, ())),
            "max_tries": ti["max_tries"],
            "variables": [],
            "connections": [],
            "xcom_keys_to_clear": keys,
            "should_retry": ti["max_tries"] != 0 and ti["try_number"] <= ti["max_tries"],
        }
        if ti["next_method"]:
            context.update(next_method=ti["next_method"], next_kwargs=ti["next_kwargs"], start_date=ti["start_date"])
        return 200, context

    def ti_state(self, call: Call, ti_id: str) -> tuple[int, Any]:
        ti = self.ti(ti_id)
        state = call.body["state"]
        if ti["state"] == state:
            return 200, None
        if ti["state"] != "running":
            raise Refused(
                409,
                {
                    "reason": "invalid_state",
                    "message": "TI was not in the running state so it cannot be updated",
                    "previous_state": ti["state"],
                },
            )
        ti["state"] = state
        if state == "up_for_retry":
            self.archived.add(ti_id)
        elif state == "up_for_reschedule":
            self.reschedules.setdefault(ti_id, []).append(ti["start_date"])
            ti.update(next_method=None, next_kwargs=None)
        elif state in ("deferred", "awaiting_input"):
            ti.update(next_method=call.body["next_method"], next_kwargs=call.body["next_kwargs"])
        elif state == "success":
            for key in [k for k in self.task_state_store if k[0] == ti_id and ti.get("clear_state_on_success")]:
                del self.task_state_store[key]
        return 204, None

    def ti_heartbeat(self, call: Call, ti_id: str) -> tuple[int, Any]:
        ti = self.live_ti(ti_id)
        if (ti["hostname"], ti["pid"]) != (call.body["hostname"], call.body["pid"]):
            raise Refused(
                409,
                {
                    "reason": "running_elsewhere",
                    "message": "TI is already running elsewhere",
                    "current_hostname": ti["hostname"],
                    "current_pid": ti["pid"],
                },
            )
        if ti["state"] != "running":
            raise Refused(
                409,
                {
                    "reason": "not_running",
                    "message": "TI is no longer in the running state and task should terminate",
                    "current_state": ti["state"],
                },
            )
        return 204, None

    def ti_rendered_fields(self, call: Call, ti_id: str) -> tuple[int, Any]:
        self.live_ti(ti_id)
        self.rendered_fields[ti_id] = call.body
        return 201, {"message": "Rendered task instance fields successfully set"}

    def ti_rendered_map_index(self, call: Call, ti_id: str) -> tuple[int, Any]:
        if not call.body:
            raise Refused(422, "rendered_map_index cannot be empty")
        self.ti(ti_id)["rendered_map_index"] = call.body
        return 204, None

    def ti_skip_downstream(self, call: Call, ti_id: str) -> tuple[int, Any]:
        self.ti(ti_id)
        return 204, None

    def ti_previous_successful_run(self, call: Call, ti_id: str) -> tuple[int, Any]:
        ti = self.task_instances.get(ti_id)
        date = self.dag_runs[ti["dag_id"], ti["run_id"]]["logical_date"] if ti else None
        run = self.previous_run(ti["dag_id"], date, "success") if ti and date else None
        names = ("data_interval_start", "data_interval_end", "start_date", "end_date")
        return 200, {name: run[name] for name in names} if run else {}

    def ti_validate_assets(self, call: Call, ti_id: str) -> tuple[int, Any]:
        self.ti(ti_id)
        return 200, {"inactive_assets": self.inactive_assets}

    def matching_tis(self, call: Call) -> list[dict[str, Any]]:
        q = call.query
        found = [
            ti for ti in [*self.task_instances.values(), *self.other_task_instances] if ti["dag_id"] == q["dag_id"][0]
        ]
        if "task_ids" in q:
            found = [ti for ti in found if ti["task_id"] in q["task_ids"]]
        if "task_group_id" in q:
            found = [ti for ti in found if ti["task_id"].startswith(q["task_group_id"][0] + ".")]
        if "run_ids" in q:
            found = [ti for ti in found if ti["run_id"] in q["run_ids"]]
        if "logical_dates" in q:
            dates = [parse_date(d) for d in q["logical_dates"]]
            found = [ti for ti in found if self.dag_runs[ti["dag_id"], ti["run_id"]]["logical_date"] in dates]
        if "map_index" in q:
            found = [ti for ti in found if ti["map_index"] == int(q["map_index"][0])]
        return found

    def ti_count(self, call: Call) -> tuple[int, Any]:
        states = call.query.get("states")
        return 200, len([ti for ti in self.matching_tis(call) if not states or (ti["state"] or "null") in states])

    def ti_states(self, call: Call) -> tuple[int, Any]:
        runs: dict[str, dict[str, str]] = {}
        for ti in self.matching_tis(call):
            name = ti["task_id"] if ti["map_index"] < 0 else f"{ti['task_id']}_{ti['map_index']}"
            runs.setdefault(ti["run_id"], {})[name] = ti["state"]
        return 200, {"task_states": runs}

    def ti_breadcrumbs(self, call: Call) -> tuple[int, Any]:
        place = (call.query["dag_id"][0], call.query["run_id"][0])
        tis = [*self.task_instances.values(), *self.other_task_instances]
        rows = [ti for ti in tis if (ti["dag_id"], ti["run_id"]) == place and ti["state"] in TERMINAL_STATES]
        names = ("task_id", "map_index", "state", "operator", "duration")
        return 200, {
            "breadcrumbs": [
                {n: ti.get(n) for n in names} for ti in sorted(rows, key=lambda t: (t["task_id"], t["map_index"]))
            ]
        }

    def ti_previous(self, call: Call, dag_id: str, task_id: str) -> tuple[int, Any]:
        q = call.query
        rows = []
        for ti in [*self.task_instances.values(), *self.other_task_instances]:
            if (ti["dag_id"], ti["task_id"], ti["map_index"]) != (dag_id, task_id, int(q.get("map_index", ["-1"])[0])):
                continue
            date = self.dag_runs[dag_id, ti["run_id"]]["logical_date"]
            if "logical_date" in q and not (date and date < parse_date(q["logical_date"][0])):
                continue
            if "state" in q and ti["state"] != q["state"][0]:
                continue
            rows.append((date, ti))
        if not rows:
            return 200, None
        date, ti = max(rows, key=lambda row: row[0])
        names = (
            "task_id",
            "dag_id",
            "run_id",
            "start_date",
            "end_date",
            "state",
            "try_number",
            "map_index",
            "duration",
        )
        return 200, {**{n: ti.get(n) for n in names}, "logical_date": date}

    def reschedule_start_date(self, call: Call, ti_id: str) -> tuple[int, Any]:
        return 200, next(iter(self.reschedules.get(ti_id, ())), None)

    # XComs

    def xcom_rows(self, dag_id: str, run_id: str, task_id: str, key: str, prior: bool = False) -> list[tuple[int, Any]]:
        """(map index, value), by map index; `prior` adds earlier runs behind it, as `include_prior_dates` does."""
        rows = [(k[4], v) for k, v in self.xcoms.items() if k[:4] == (dag_id, run_id, task_id, key)]
        rows.sort(key=lambda row: row[0])
        if prior:
            date = self.dag_runs[dag_id, run_id]["logical_date"]
            earlier = [
                r
                for r in self.dag_runs.values()
                if r["dag_id"] == dag_id and r["logical_date"] and date and r["logical_date"] < date
            ]
            for run in sorted(earlier, key=lambda r: r["logical_date"], reverse=True):
                rows += self.xcom_rows(dag_id, run["run_id"], task_id, key)
        return rows

    def xcom_get(self, call: Call, *place: str) -> tuple[int, Any]:
        map_index = int(call.query.get("map_index", ["-1"])[0])
        prior = call.query.get("include_prior_dates", ["false"])[0].lower() == "true"
        for index, value in self.xcom_rows(*place, prior=prior):
            if index == map_index:
                return 200, {"key": place[3], "value": value}
        raise not_found(
            f"XCom with key={place[3]!r} {map_index=} not found for task {place[2]!r} "
            f"in DAG run {place[1]!r} of {place[0]!r}"
        )

    def xcom_item(self, call: Call, dag_id: str, run_id: str, task_id: str, key: str, offset: str) -> tuple[int, Any]:
        values = [value for _, value in self.xcom_rows(dag_id, run_id, task_id, key)]
        try:
            return 200, values[int(offset)]
        except IndexError:
            raise not_found(f"XCom with {key=} offset={offset} not found for task {task_id!r}") from None

    def xcom_slice(self, call: Call, *place: str) -> tuple[int, Any]:
        prior = call.query.get("include_prior_dates", ["false"])[0].lower() == "true"
        values = [value for _, value in self.xcom_rows(*place, prior=prior)]
        bounds = [int(call.query[name][0]) if name in call.query else None for name in ("start", "stop", "step")]
        return 200, values[slice(*bounds)]

    def xcom_head(self, call: Call, *place: str) -> tuple[int, Any]:
        raise AssertionError("answered in route, which sets the header")

    def xcom_set(self, call: Call, *place: str) -> tuple[int, Any]:
        if int(call.query.get("mapped_length", ["0"])[0]) > 1024:
            raise Refused(
                400,
                {
                    "reason": "unmappable_return_value_length",
                    "message": "pushed value is too large to map as a downstream's dependency",
                },
            )
        self.xcoms[(*place, int(call.query.get("map_index", ["-1"])[0]))] = call.body  # type: ignore[index]
        return 201, {"message": "XCom successfully set"}

    def xcom_delete(self, call: Call, *place: str) -> tuple[int, Any]:
        self.xcoms.pop((*place, int(call.query.get("map_index", ["-1"])[0])), None)  # type: ignore[arg-type]
        return 200, {"message": f"XCom with key: {place[3]} successfully deleted."}

    # Variables, connections, state stores

    def variable_keys(self, call: Call) -> tuple[int, Any]:
        prefix = call.query.get("prefix", [""])[0]
        limit, offset = (int(call.query.get(n, [d])[0]) for n, d in (("limit", "1000"), ("offset", "0")))
        keys = sorted(key for key in self.variables if key.startswith(prefix))
        return 200, {"keys": keys[offset : offset + limit], "total_entries": len(keys)}

    def variable_get(self, call: Call, key: str) -> tuple[int, Any]:
        if key not in self.variables:
            raise not_found(f"Variable with key '{key}' not found")
        return 200, {"key": key, "value": self.variables[key]}

    def variable_put(self, call: Call, key: str) -> tuple[int, Any]:
        self.variables[key] = call.body.get("val", call.body.get("value"))
        return 201, {"message": "Variable successfully set"}

    def variable_delete(self, call: Call, key: str) -> tuple[int, Any]:
        self.variables.pop(key, None)
        return 204, None

    def connection_get(self, call: Call, conn_id: str) -> tuple[int, Any]:
        if conn_id not in self.connections:
            raise not_found(f"Connection with ID {conn_id} not found")
        return 200, self.connections[conn_id]

    def task_store_get(self, call: Call, ti_id: str, key: str) -> tuple[int, Any]:
        if (ti_id, key) not in self.task_state_store:
            raise not_found(f"Task state store key {key!r} not found")
        return 200, {"value": self.task_state_store[ti_id, key]}

    def task_store_put(self, call: Call, ti_id: str, key: str) -> tuple[int, Any]:
        self.ti(ti_id)
        self.task_state_store[ti_id, key] = call.body["value"]
        return 204, None

    def task_store_delete(self, call: Call, ti_id: str, key: str) -> tuple[int, Any]:
        self.task_state_store.pop((ti_id, key), None)
        return 204, None

    def task_store_clear(self, call: Call, ti_id: str) -> tuple[int, Any]:
        for key in [k for k in self.task_state_store if k[0] == ti_id]:
            del self.task_state_store[key]
        return 204, None

    def stored_asset(self, call: Call, by: str) -> str:
        return self.find_asset(by, call.query[by][0])["name"]

    def asset_store_get(self, call: Call, by: str) -> tuple[int, Any]:
        place = (self.stored_asset(call, by), call.query["key"][0])
        if place not in self.asset_state_store:
            raise not_found(f"Asset state store key {place[1]!r} not found")
        return 200, {"value": self.asset_state_store[place]}

    def asset_store_put(self, call: Call, by: str) -> tuple[int, Any]:
        self.asset_state_store[self.stored_asset(call, by), call.query["key"][0]] = call.body["value"]
        return 204, None

    def asset_store_delete(self, call: Call, by: str) -> tuple[int, Any]:
        self.asset_state_store.pop((self.stored_asset(call, by), call.query["key"][0]), None)
        return 204, None

    def asset_store_clear(self, call: Call, by: str) -> tuple[int, Any]:
        name = self.stored_asset(call, by)
        for place in [p for p in self.asset_state_store if p[0] == name]:
            del self.asset_state_store[place]
        return 204, None

    # Assets

    def find_asset(self, by: str, value: str) -> dict[str, Any]:
        for found in self.assets:
            if found[by] == value:
                return found
        raise not_found(f"Asset with {by}={value!r} not found")

    def asset_get(self, call: Call, by: str) -> tuple[int, Any]:
        return 200, self.find_asset(by, call.query[by][0])

    def asset_by_alias(self, call: Call) -> tuple[int, Any]:
        return 200, self.asset_aliases.get(call.query["alias_name"][0], [])

    def events(self, call: Call, wanted: Callable[[dict[str, Any]], bool]) -> tuple[int, Any]:
        q = call.query
        rows = [{"id": number, **event} for number, event in enumerate(self.asset_events, 1) if wanted(event)]
        if "after" in q:
            rows = [row for row in rows if row["timestamp"] >= parse_date(q["after"][0])]
        if "before" in q:
            rows = [row for row in rows if row["timestamp"] <= parse_date(q["before"][0])]
        rows.sort(key=lambda row: row["timestamp"], reverse=q.get("ascending", ["true"])[0].lower() == "false")
        rows = rows[: int(q["limit"][0])] if "limit" in q else rows
        return 200, {"asset_events": [{k: v for k, v in row.items() if k != "aliases"} for row in rows]}

    def events_by_asset(self, call: Call) -> tuple[int, Any]:
        name, uri = (call.query.get(n, [""])[0] for n in ("name", "uri"))
        return self.events(
            call, lambda e: (not name or e["asset"]["name"] == name) and (not uri or e["asset"]["uri"] == uri)
        )

    def events_by_alias(self, call: Call) -> tuple[int, Any]:
        return self.events(call, lambda e: call.query["name"][0] in e["aliases"])

    # Dags and their runs

    def dag_get(self, call: Call, dag_id: str) -> tuple[int, Any]:
        if dag_id not in self.dags:
            raise not_found(f"The Dag with dag_id: `{dag_id}` was not found")
        plain = {"is_paused": False, "bundle_name": "dags", "bundle_version": None, "relative_fileloc": f"{dag_id}.py"}
        return 200, {
            "dag_id": dag_id,
            **plain,
            "owners": "airflow",
            "tags": [],
            "next_dagrun": None,
            **self.dags[dag_id],
        }

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        if (dag_id, run_id) not in self.dag_runs:
            raise not_found(f"Dag run with dag_id '{dag_id}' and run_id '{run_id}' was not found")
        return self.dag_runs[dag_id, run_id]

    def run_get(self, call: Call, dag_id: str, run_id: str) -> tuple[int, Any]:
        return 200, self.run(dag_id, run_id)

    def run_state(self, call: Call, dag_id: str, run_id: str) -> tuple[int, Any]:
        return 200, {"state": self.run(dag_id, run_id)["state"]}

    def run_trigger(self, call: Call, dag_id: str, run_id: str) -> tuple[int, Any]:
        if dag_id not in self.dags:
            raise not_found(f"Dag with dag_id: '{dag_id}' not found")
        if (dag_id, run_id) in self.dag_runs:
            raise Refused(
                409,
                {
                    "reason": "already_exists",
                    "message": f"A run already exists for Dag '{dag_id}' with run_id '{run_id}'",
                },
            )
        body = call.body or {}
        date = parse_date(body["logical_date"]) if body.get("logical_date") else None
        self.add_dag_run(
            dag_id,
            run_id,
            logical_date=date,
            state="queued",
            run_type="operator_triggered",
            conf=body.get("conf") or {},
            note=body.get("note"),
        )
        return 204, None

    def run_clear(self, call: Call, dag_id: str, run_id: str) -> tuple[int, Any]:
        run = self.run(dag_id, run_id)
        run.update(state="queued", clear_number=run["clear_number"] + 1)
        return 204, None

    def run_count(self, call: Call) -> tuple[int, Any]:
        q = call.query
        found = [run for run in self.dag_runs.values() if run["dag_id"] == q["dag_id"][0]]
        if "logical_dates" in q:
            found = [run for run in found if run["logical_date"] in [parse_date(d) for d in q["logical_dates"]]]
        if "run_ids" in q:
            found = [run for run in found if run["run_id"] in q["run_ids"]]
        if "states" in q:
            found = [run for run in found if run["state"] in q["states"]]
        return 200, len(found)

    def previous_run(self, dag_id: str, before: datetime, state: str | None) -> dict[str, Any] | None:
        runs = [
            r
            for r in self.dag_runs.values()
            if r["dag_id"] == dag_id and r["logical_date"] and r["logical_date"] < before
        ]
        runs = [r for r in runs if state in (None, r["state"])]
        return max(runs, key=lambda r: r["logical_date"], default=None)

    def run_previous(self, call: Call) -> tuple[int, Any]:
        q = call.query
        return 200, self.previous_run(q["dag_id"][0], parse_date(q["logical_date"][0]), q.get("state", [None])[0])

    # Human in the loop

    def hitl_create(self, call: Call, ti_id: str) -> tuple[int, Any]:
        names = ("options", "subject", "body", "defaults", "multiple", "params", "assigned_users")
        detail = self.hitl.setdefault(ti_id, {"ti_id": ti_id, **{n: call.body.get(n) for n in names}})
        detail.pop("response", None)
        detail["assigned_users"] = detail["assigned_users"] or []
        return 201, detail

    def hitl_detail(self, ti_id: str) -> dict[str, Any]:
        if ti_id not in self.hitl:
            raise not_found(
                "HITLDetail not found. "
                "This happens most likely due to clearing task instance before receiving response."
            )
        return self.hitl[ti_id]

    def hitl_response(self, ti_id: str) -> dict[str, Any]:
        empty = {
            "response_received": False,
            "responded_by_user": None,
            "responded_at": None,
            "chosen_options": None,
            "params_input": {},
        }
        return {**empty, **self.hitl_detail(ti_id).get("response", {})}

    def hitl_update(self, call: Call, ti_id: str) -> tuple[int, Any]:
        if self.hitl_response(ti_id)["response_received"]:
            raise Refused(409, f"Human-in-the-loop detail for Task Instance with id {ti_id} already exists.")
        answer = {"response_received": True, "responded_at": datetime.now(timezone.utc)}
        self.hitl[ti_id]["response"] = {
            **answer,
            "chosen_options": call.body["chosen_options"],
            "params_input": call.body["params_input"],
        }
        return 200, self.hitl_response(ti_id)

    def hitl_get(self, call: Call, ti_id: str) -> tuple[int, Any]:
        return 200, self.hitl_response(ti_id)


def _routes() -> Iterator[tuple[str, re.Pattern[str], Callable[..., tuple[int, Any]]]]:
    api = ExecutionAPI
    table: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
        ("PATCH", "task-instances/{}/run", api.ti_run),
        ("PATCH", "task-instances/{}/state", api.ti_state),
        ("PUT", "task-instances/{}/heartbeat", api.ti_heartbeat),
        ("PUT", "task-instances/{}/rtif", api.ti_rendered_fields),
        ("PATCH", "task-instances/{}/rendered-map-index", api.ti_rendered_map_index),
        ("PATCH", "task-instances/{}/skip-downstream", api.ti_skip_downstream),
        ("GET", "task-instances/{}/previous-successful-dagrun", api.ti_previous_successful_run),
        ("GET", "task-instances/{}/validate-inlets-and-outlets", api.ti_validate_assets),
        ("GET", "task-instances/count", api.ti_count),
        ("GET", "task-instances/states", api.ti_states),
        ("GET", "task-instances/breadcrumbs", api.ti_breadcrumbs),
        ("GET", "task-instances/previous/{}/{}", api.ti_previous),
        ("GET", "task-reschedules/{}/start_date", api.reschedule_start_date),
        ("GET", "xcoms/{}/{}/{}/{path}/item/{}", api.xcom_item),
        ("GET", "xcoms/{}/{}/{}/{path}/slice", api.xcom_slice),
        ("HEAD", "xcoms/{}/{}/{}/{path}", api.xcom_head),
        ("GET", "xcoms/{}/{}/{}/{path}", api.xcom_get),
        ("POST", "xcoms/{}/{}/{}/{path}", api.xcom_set),
        ("DELETE", "xcoms/{}/{}/{}/{path}", api.xcom_delete),
        ("GET", "variables/keys", api.variable_keys),
        ("GET", "variables/{path}", api.variable_get),
        ("PUT", "variables/{path}", api.variable_put),
        ("DELETE", "variables/{path}", api.variable_delete),
        ("GET", "connections/{}", api.connection_get),
        ("GET", "store/ti/{}/{path}", api.task_store_get),
        ("PUT", "store/ti/{}/{path}", api.task_store_put),
        ("DELETE", "store/ti/{}/{path}", api.task_store_delete),
        ("DELETE", "store/ti/{}", api.task_store_clear),
        ("GET", "store/asset/by-{}/value", api.asset_store_get),
        ("PUT", "store/asset/by-{}/value", api.asset_store_put),
        ("DELETE", "store/asset/by-{}/value", api.asset_store_delete),
        ("DELETE", "store/asset/by-{}/clear", api.asset_store_clear),
        ("GET", "assets/by-alias", api.asset_by_alias),
        ("GET", "assets/by-{}", api.asset_get),
        ("GET", "asset-events/by-asset", api.events_by_asset),
        ("GET", "asset-events/by-asset-alias", api.events_by_alias),
        ("GET", "dags/{}", api.dag_get),
        ("GET", "dag-runs/count", api.run_count),
        ("GET", "dag-runs/previous", api.run_previous),
        ("GET", "dag-runs/{}/{}/state", api.run_state),
        ("POST", "dag-runs/{}/{}/clear", api.run_clear),
        ("GET", "dag-runs/{}/{}", api.run_get),
        ("POST", "dag-runs/{}/{}", api.run_trigger),
        ("POST", "hitlDetails/{}", api.hitl_create),
        ("PATCH", "hitlDetails/{}", api.hitl_update),
        ("GET", "hitlDetails/{}", api.hitl_get),
    ]
    for method, path, function in table:
        yield method, re.compile(path.replace("{path}", "(.+)").replace("{}", "([^/]+)")), function


ROUTES = list(_routes())


########################################################################################################################
# One task
########################################################################################################################


class Result:
    """How a task instance ended.

    state: the last state the API accepted, or None when nothing reached it; final_state: what the supervisor concluded
    exit_code: of the task's process; error: the exception that left `supervise_task`, if one did
    records: the task's log, one dict a line, in order; supervisor: the supervisor's own log events
    """

    def __init__(self, api: ExecutionAPI, ti: Any) -> None:
        self.api = api
        self.ti = ti
        self.exit_code: int | None = None
        self.final_state: str | None = None
        self.error: BaseException | None = None
        self.records: list[dict[str, Any]] = []
        self.supervisor: list[dict[str, Any]] = []
        self.duration = 0.0

    @property
    def calls(self) -> list[Call]:
        return self.api.calls

    @property
    def state(self) -> str | None:
        states = self.api.states()
        return states[-1] if states else None

    def xcom(self, key: str = "return_value", map_index: int = -1) -> Any:
        """What the task pushed; KeyError when it pushed nothing under this key."""
        return self.api.xcoms[self.ti.dag_id, self.ti.run_id, self.ti.task_id, key, map_index]

    def events(self, **fields: Any) -> list[str]:
        """The `event` of every log record that has these fields."""
        return [r["event"] for r in self.records if all(r.get(name) == value for name, value in fields.items())]

    def record(self, event: str) -> dict[str, Any]:
        """The one log record whose event contains this text."""
        found = [r for r in self.records if event in r["event"]]
        assert len(found) == 1, f"{len(found)} records with {event!r} in:\n{self.log()}"
        return found[0]

    def log(self) -> str:
        return "\n".join(json.dumps(r) for r in self.records)

    def __repr__(self) -> str:
        calls = "\n  ".join(map(repr, self.calls))
        ends = f"state={self.state} final_state={self.final_state} exit={self.exit_code} error={self.error!r}"
        return f"<Result {ends}\n  {calls}\n{self.log()}>"


@contextlib.contextmanager
def environment(values: dict[str, str | None]) -> Iterator[None]:
    """These environment variables (None: unset) for the block."""
    before = {name: os.environ.get(name) for name in values}
    try:
        for name, value in values.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def routing(
    bundle_dir: Path | None, dags_dir: Path, queue: str = QUEUE, startup_timeout: float = 30.0
) -> dict[str, str | None]:
    """Airflow's configuration for one run, as environment variables: the Dag folder, the queue that goes to bundles."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    env: dict[str, str | None] = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
            [{"name": "dags", "classpath": local, "kwargs": {"path": str(dags_dir)}}]
        ),
        "AIRFLOW__SDK__COORDINATORS": None,
        "AIRFLOW__SDK__QUEUE_TO_COORDINATOR": None,
    }
    if bundle_dir is not None:
        classpath = "airflow.sdk.coordinators.executable.ExecutableCoordinator"
        kwargs = {"executables_root": [str(bundle_dir)], "task_startup_timeout": startup_timeout}
        env["AIRFLOW__SDK__COORDINATORS"] = json.dumps({"bundles": {"classpath": classpath, "kwargs": kwargs}})
        env["AIRFLOW__SDK__QUEUE_TO_COORDINATOR"] = json.dumps({queue: "bundles"})
    return env


def task_instance(
    dag_id: str,
    task_id: str,
    *,
    run_id: str = "manual__run",
    try_number: int = 1,
    map_index: int = -1,
    queue: str = QUEUE,
    ti_id: str | None = None,
) -> Any:
    """The TaskInstance an executor hands to the supervisor."""
    from airflow.sdk.api.datamodels._generated import TaskInstance

    return TaskInstance(
        id=uuid.UUID(ti_id) if ti_id else uuid.uuid4(),
        task_id=task_id,
        dag_id=dag_id,
        run_id=run_id,
        try_number=try_number,
        map_index=map_index,
        dag_version_id=uuid.UUID(int=7),
        queue=queue,
        context_carrier={},
    )


def run_task(
    bundle_dir: Path | str | None,
    dag_file: Path | str,
    dag_id: str,
    task_id: str,
    *,
    api: ExecutionAPI | None = None,
    run_id: str = "manual__run",
    try_number: int = 1,
    max_tries: int = 0,
    map_index: int = -1,
    xcoms: dict[Any, Any] | None = None,
    variables: dict[str, str] | None = None,
    connections: dict[str, dict[str, Any]] | None = None,
    conf: dict[str, Any] | None = None,
    logical_date: datetime | None = LOGICAL_DATE,
    next_method: str | None = None,
    next_kwargs: dict[str, Any] | None = None,
    queue: str = QUEUE,
    env: dict[str, str | None] | None = None,
    startup_timeout: float = 30.0,
    during: Callable[[ExecutionAPI], None] | None = None,
) -> Result:
    """Run one task instance to its end and say how it ended.

    bundle_dir: the folder Airflow looks for bundles in; None: Airflow's own runner on `dag_file`
    api: an Execution API with state of its own (from an earlier run, say); a fresh one otherwise
    xcoms: task_id, (task_id, key) or (task_id, key, map_index) to the stored form of the value, in the same run
    connections: conn_id to fields; variables: key to text
    env: environment variables for Airflow and for the task; None as a value unsets
    during: called from a thread while the task runs
    """
    from airflow.sdk.api.client import Client
    from airflow.sdk.api.datamodels._generated import BundleInfo
    from airflow.sdk.execution_time.coordinator import reset_coordinator_manager
    from airflow.sdk.execution_time.supervisor import supervise_task
    from structlog.testing import capture_logs

    dag_file = Path(dag_file)
    api = api or ExecutionAPI()
    ti = task_instance(dag_id, task_id, run_id=run_id, try_number=try_number, map_index=map_index, queue=queue)
    if (dag_id, run_id) not in api.dag_runs:
        api.add_dag_run(dag_id, run_id, conf=conf or {}, logical_date=logical_date)
    api.task_instances[str(ti.id)] = {
        **ti.model_dump(mode="json"),
        "state": "queued",
        "max_tries": max_tries,
        "next_method": next_method,
        "next_kwargs": next_kwargs,
        "start_date": datetime.now(timezone.utc),
    }
    api.variables.update(variables or {})
    for conn_id, fields in (connections or {}).items():
        api.add_connection(conn_id, **fields)
    for place, value in (xcoms or {}).items():
        task, key, index = (*place, -1)[:3] if isinstance(place, tuple) else (place, "return_value", -1)
        api.xcoms[dag_id, run_id, task, key, index] = value

    result = Result(api, ti)
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="task-log-")))
        settings = routing(
            Path(bundle_dir) if bundle_dir is not None else None, dag_file.parent, queue, startup_timeout
        )
        stack.enter_context(environment({**settings, "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs), **(env or {})}))
        reset_coordinator_manager()
        client = stack.enter_context(Client(base_url="http://execution-api", token="token", transport=api.transport()))
        if during is not None:
            thread = threading.Thread(target=during, args=(api,), daemon=True)
            stack.callback(thread.join, 5)
            thread.start()
        with capture_logs() as events:
            started = time.perf_counter()
            try:
                result.exit_code = supervise_task(
                    ti=ti,
                    bundle_info=BundleInfo(name="dags"),
                    dag_rel_path=dag_file.name,
                    token="token",
                    client=client,
                    log_path="task.log",
                )
            except Exception as error:
                result.error = error
            result.duration = time.perf_counter() - started
        result.supervisor = events
        result.final_state = next((e["final_state"] for e in events if e["event"] == "Workload finished"), None)
        if (logs / "task.log").exists():
            result.records = [json.loads(line) for line in (logs / "task.log").read_text().splitlines()]
    return result


########################################################################################################################
# Two runs of the same task, compared
########################################################################################################################

VOLATILE = ("end_date", "start_date", "pid", "hostname", "unixname", "reschedule_date")


def recording(result: Result, *, ignore: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """What the API was asked, without times, process facts, ids and heartbeats: equal for equal behaviour.

    ignore: regular expressions of paths to leave out
    """
    ids = {str(result.ti.id): "<ti>"}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: "<volatile>" if k in VOLATILE and v is not None else plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return ids.get(value, value) if isinstance(value, str) else value

    lines = []
    for call in result.calls:
        path = call.path.replace(str(result.ti.id), "<ti>")
        if path.endswith("/heartbeat") or any(re.search(pattern, path) for pattern in ignore):
            continue
        lines.append((call.method, path, {k: plain(v) for k, v in sorted(call.query.items())}, plain(call.body)))
    return lines


########################################################################################################################
# A mail server
########################################################################################################################


class MailServer:
    """An SMTP server on a port of this machine while it is entered; `mails` has what it was given, in order.

    A mail is a dict: `from` and `to` (of the envelope), `user` (who logged in), `headers` (Date aside), `body` and
    `files` (name and hex digits each).
    """

    def __init__(self) -> None:
        import socketserver

        mails = self.mails = []

        class Handler(socketserver.StreamRequestHandler):
            def answer(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                self.answer("220 ready")
                mail: dict[str, Any] = {"to": []}
                for line in iter(self.rfile.readline, b""):
                    verb, _, rest = line.decode(errors="replace").strip().partition(" ")
                    verb = verb.upper()
                    if verb == "EHLO":
                        self.answer("250-here\r\n250 AUTH PLAIN")
                    elif verb == "AUTH":
                        mail["user"] = base64.b64decode(rest.split()[1]).decode().split("\0")[1]
                        self.answer("235 welcome")
                    elif verb == "MAIL":
                        mail["from"] = rest.partition(":")[2]
                        self.answer("250 ok")
                    elif verb == "RCPT":
                        mail["to"].append(rest.partition(":")[2])
                        self.answer("250 ok")
                    elif verb == "DATA":
                        self.answer("354 go on")
                        message = email.message_from_bytes(b"".join(iter(self.rfile.readline, b".\r\n")))
                        part, *files = message.get_payload()
                        mail["files"] = [(each.get_filename(), each.get_payload(decode=True).hex()) for each in files]
                        mail["body"] = part.get_payload(decode=True).decode()
                        mail["headers"] = [
                            (name, value.partition(";")[0] if name == "Content-Type" else value)
                            for name, value in [*message.items(), *part.items()]
                            if name != "Date"
                        ]
                        mails.append(mail)
                        mail = {"to": [], "user": mail.get("user")}
                        self.answer("250 taken")
                    else:
                        self.answer("502 no")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> MailServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

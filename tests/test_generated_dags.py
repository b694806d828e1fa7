"""Dags that nobody wrote: random ones, declared once with this module and once with Airflow, have the same form.

A Dag is drawn as a tree of calls by Airflow's names; each side makes them with its own classes, in one process. Where
Airflow refuses a Dag, so does this module, with the same exception class.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parity

import coordinator_bundle as module

pytest.importorskip("airflow.serialization.serialized_objects", reason="apache-airflow is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

# More of them, and others each time: HUNT=2000 pytest tests/test_generated_dags.py
HUNT = int(os.environ.get("HUNT", 0))
UTC = timezone.utc


class Call:
    """A call that each side makes with its own class or function of that name."""

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        self.path, self.args, self.kwargs = path, args, kwargs

    def __repr__(self) -> str:
        parts = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.path.rpartition('.')[2]}({', '.join(parts)})"


class Side:
    """One of the two: this module, or Airflow."""

    def __init__(self, real: bool) -> None:
        self.real = real

    def name(self, path: str) -> Any:
        home, _, name = path.rpartition(".")
        if home.rpartition(".")[2][0].isupper():
            return getattr(self.name(home), name)
        if self.real:
            return getattr(__import__(home, fromlist=["*"]), name)
        return module.airflow_name(module.airflow_modules.names(home)[name])

    def value(self, tree: Any) -> Any:
        if isinstance(tree, Call):
            return self.name(tree.path)(*self.value(list(tree.args)), **self.value(tree.kwargs))
        if isinstance(tree, dict):
            return {key: self.value(each) for key, each in tree.items()}
        if isinstance(tree, (list, tuple)):
            return type(tree)(self.value(each) for each in tree)
        return tree

    def reset(self) -> None:
        if self.real:
            from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext

            DagContext._context.clear(), TaskGroupContext._context.clear()
            DagContext.autoregistered_dags.clear()
        else:
            module.DagContext.stack.clear()
            module.DagContext.declared.clear()
            module.TaskGroupContext.stack.clear()
            module.SetupTeardownContext.stack.clear()

    def declare(self, drawn: dict[str, Any]) -> Any:
        """The Dag, checked as Airflow's Dag processor does."""
        self.reset()
        with self.name("airflow.sdk.DAG")(**self.value(drawn["dag"])) as dag:
            nodes: list[Any] = []
            for node in drawn["nodes"]:
                self.declare_node(node, nodes)
            for first, second, label in drawn["edges"]:
                if first < second < len(nodes):
                    down = nodes[second]
                    if label is not None:
                        down = self.name("airflow.sdk.Label")(label)
                        down >> nodes[second]
                    nodes[first] >> down
        dag.validate()
        dag.check_cycle()
        return dag

    def declare_node(self, node: dict[str, Any], nodes: list[Any]) -> None:
        kind, arguments = node["kind"], self.value(node["arguments"])
        if kind == "group":
            with self.name("airflow.sdk.TaskGroup")(**arguments) as group:
                for each in node["nodes"]:
                    self.declare_node(each, nodes)
            nodes.append(group)
            return
        if kind == "function":
            decorator = self.name("airflow.sdk.task")
            for part in filter(None, node["variant"].split(".")):
                decorator = getattr(decorator, part)
            decorated = decorator(**arguments)(work)
            given = {**self.value(node["given"])}
            if node["upstream"] is not None and nodes and hasattr(nodes[-1], "task_id"):
                given[node["upstream"]] = getattr(nodes[-1], "output", nodes[-1])
            if node["mapped"]:
                made = decorated.partial(**given).expand(**self.value(node["mapped"]))
            else:
                made = decorated(**given)
            nodes.append(made.operator)
        elif node["mapped"]:
            operator = self.name(node["operator"])
            nodes.append(operator.partial(**arguments).expand(**self.value(node["mapped"])))
        else:
            nodes.append(self.name(node["operator"])(**arguments))
        if node["role"] == "setup":
            nodes[-1].as_setup()
        elif node["role"] == "teardown":
            nodes[-1].as_teardown(on_failure_fail_dagrun=True)

    def outcome(self, drawn: dict[str, Any]) -> Any:
        """The form, or (class of the exception, its text)."""
        from airflow.serialization.serialized_objects import DagSerialization

        serialize = DagSerialization.to_dict if self.real else module.serialize_dag
        try:
            return json.loads(json.dumps(serialize(self.declare(drawn))))
        except Exception as error:
            return type(error).__name__, str(error)


def work(a=None, b=None, *, c=0):
    """Do nothing."""


def notify(context):
    """Tell nobody."""


# --- what Dags are drawn from -----------------------------------------------------------------------------------------

ids = st.text("abcdefghij_-.0123", min_size=1, max_size=6)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
spans = st.builds(
    timedelta, days=st.integers(0, 400), seconds=st.integers(0, 90_000), microseconds=st.sampled_from([0, 1, 500_000])
)
some_spans = spans.filter(bool)
zone_names = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])


def zones() -> st.SearchStrategy[Any]:
    from zoneinfo import ZoneInfo

    import pendulum

    offsets = st.sampled_from([0, 60, 345, -300]).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return st.one_of(st.just(UTC), zone_names.map(pendulum.timezone), offsets, zone_names.map(ZoneInfo))


def moments() -> st.SearchStrategy[datetime]:
    """Datetimes: naive, of any zone, and pendulum's."""
    import pendulum

    naive = st.datetimes(datetime(2001, 1, 1), datetime(2060, 1, 1))
    aware = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), naive, zones())
    return st.one_of(naive, aware, aware.map(pendulum.instance))


plain = st.recursive(
    st.one_of(st.none(), texts, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
# What may stand in an operator's arguments.
values = st.recursive(
    st.one_of(st.none(), texts, numbers, moments(), spans, st.sets(st.integers(0, 9), max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3), st.tuples(inner, inner)
    ),
    max_leaves=6,
)


def calls(path: str, *args: Any, **kwargs: Any) -> st.SearchStrategy[Call]:
    """Calls with drawn arguments, some of the keyword arguments left out."""
    optional = st.fixed_dictionaries({}, optional=kwargs)
    return st.builds(lambda given, keywords: Call(path, *given, **keywords), st.tuples(*args), optional)


assets = st.one_of(
    st.builds(lambda name: Call("airflow.sdk.Asset", name), ids),
    st.builds(
        lambda name, uri, group, extra: Call(
            "airflow.sdk.Asset", name=name, uri=f"s3://b/{uri}", group=group, extra=extra
        ),
        ids,
        ids,
        ids,
        st.dictionaries(texts, plain, max_size=2),
    ),
)
aliases = st.builds(lambda name: Call("airflow.sdk.AssetAlias", name), ids)
references = st.one_of(
    ids.map(lambda name: Call("airflow.sdk.Asset.ref", name=name)),
    ids.map(lambda uri: Call("airflow.sdk.Asset.ref", uri=f"s3://b/{uri}")),
)
conditions = st.recursive(
    st.one_of(assets, aliases, references),
    lambda inner: st.builds(
        lambda path, parts: Call(path, *parts),
        st.sampled_from(["airflow.sdk.AssetAny", "airflow.sdk.AssetAll"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    return st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.integers(2, 10).map(lambda step: f"*/{step}"),
        st.lists(st.one_of(number.map(str), span), min_size=2, max_size=3).map(",".join),
    )


crons = st.one_of(
    st.tuples(fields(0, 59), fields(0, 23), fields(1, 28), fields(1, 12), fields(0, 6)).map(" ".join),
    st.sampled_from(
        [
            "@hourly",
            "@Daily",
            "@weekly",
            "@monthly",
            "@quarterly",
            "@yearly",
            "@midnight",
            "0 0 * * MON",
            "5 4 L JAN,JUL *",
        ]
    ),
)


def relative_deltas() -> st.SearchStrategy[Any]:
    from dateutil.relativedelta import FR, MO, relativedelta

    return st.fixed_dictionaries(
        {"days": st.integers(1, 40)},
        optional={
            "months": st.integers(-3, 12),
            "hours": st.integers(0, 30),
            "day": st.integers(1, 28),
            "weekday": st.sampled_from([MO, FR(-1), FR(2)]),
        },
    ).map(lambda given: relativedelta(**given))


deltas = st.one_of(some_spans, relative_deltas())
sdk_zone = st.one_of(zone_names, st.just(UTC).map(lambda _: "UTC"))
timed = st.one_of(
    calls("airflow.sdk.CronDataIntervalTimetable", crons, sdk_zone),
    st.builds(
        lambda cron, zone, more: Call("airflow.sdk.CronTriggerTimetable", cron, timezone=zone, **more),
        crons,
        sdk_zone,
        st.fixed_dictionaries({}, optional={"interval": deltas, "run_immediately": st.one_of(st.booleans(), spans)}),
    ),
    st.builds(
        lambda some, zone, more: Call("airflow.sdk.MultipleCronTriggerTimetable", *some, timezone=zone, **more),
        st.lists(crons, min_size=1, max_size=3),
        sdk_zone,
        st.fixed_dictionaries({}, optional={"interval": deltas, "run_immediately": st.one_of(st.booleans(), spans)}),
    ),
    calls("airflow.sdk.DeltaDataIntervalTimetable", deltas),
    calls("airflow.sdk.DeltaTriggerTimetable", deltas, interval=deltas),
    st.builds(
        lambda cron, zone, more: Call("airflow.sdk.CronPartitionTimetable", cron, timezone=zone, **more),
        crons,
        sdk_zone,
        st.fixed_dictionaries({}, optional={"run_offset": st.integers(-3, 3), "key_format": st.just("%Y-%m-%d")}),
    ),
)
# No EventsTimetable: Airflow 3.3.2 cannot serialise a Dag with one. What it writes of it alone is in test_dag_form.py.
schedules = st.one_of(
    st.none(),
    st.sampled_from(["@once", "@continuous"]),
    crons,
    deltas,
    timed,
    conditions,
    st.lists(st.one_of(assets, aliases, references), min_size=1, max_size=3),
    st.builds(
        lambda timetable, some: Call("airflow.sdk.AssetOrTimeSchedule", timetable=timetable, assets=some),
        timed,
        st.one_of(st.lists(assets, min_size=1, max_size=2), conditions),
    ),
    st.builds(lambda some: Call("airflow.sdk.PartitionedAssetTimetable", assets=some), conditions),
    st.builds(lambda: Call("airflow.sdk.PartitionedAtRuntime")),
)
params = st.dictionaries(
    st.text("abcdefg", min_size=1, max_size=4),
    st.one_of(
        plain,
        st.builds(
            lambda default, description: Call("airflow.sdk.Param", default, description=description),
            plain,
            st.one_of(st.none(), texts),
        ),
        st.builds(
            lambda default, extra: Call("airflow.sdk.Param", default, type=["integer", "null"], **extra),
            st.one_of(st.none(), st.integers(0, 5)),
            st.fixed_dictionaries(
                {}, optional={"minimum": st.integers(-5, 3), "title": texts, "enum": st.just([None, 0, 1, 2])}
            ),
        ),
        st.builds(lambda: Call("airflow.sdk.Param", type="string")),
    ),
    max_size=3,
)
TRIGGER_RULES = [str(rule.value) for rule in module.TriggerRule]
operator_arguments: dict[str, st.SearchStrategy[Any]] = {
    "owner": texts.filter(str.strip),
    "email": st.one_of(texts, st.lists(texts, max_size=2)),
    "email_on_failure": st.booleans(),
    "retries": st.one_of(st.none(), st.integers(0, 9)),
    "retry_delay": st.one_of(spans, st.integers(0, 900), st.floats(0, 900)),
    "retry_exponential_backoff": st.one_of(st.booleans(), st.floats(0, 5)),
    "max_retry_delay": st.one_of(st.none(), spans, st.integers(1, 900)),
    "start_date": moments(),
    "end_date": moments(),
    "depends_on_past": st.booleans(),
    "wait_for_downstream": st.booleans(),
    "ignore_first_depends_on_past": st.booleans(),
    "priority_weight": st.integers(-50, 50),
    "weight_rule": st.sampled_from(["downstream", "upstream", "absolute"]),
    "queue": ids,
    "pool": ids,
    "pool_slots": st.integers(1, 4),
    "execution_timeout": st.one_of(st.none(), spans),
    "trigger_rule": st.sampled_from(TRIGGER_RULES),
    "resources": st.one_of(st.none(), st.fixed_dictionaries({"cpus": st.integers(1, 4)})),
    "run_as_user": st.one_of(st.none(), ids),
    "max_active_tis_per_dag": st.one_of(st.none(), st.integers(1, 9)),
    "max_active_tis_per_dagrun": st.one_of(st.none(), st.integers(1, 9)),
    "executor_config": st.dictionaries(texts, plain, max_size=2),
    "do_xcom_push": st.booleans(),
    "multiple_outputs": st.booleans(),
    "map_index_template": st.one_of(st.none(), texts),
    "doc_md": st.one_of(st.none(), texts),
    "doc": texts,
    "task_display_name": texts,
    "logger_name": texts,
    "allow_nested_operators": st.booleans(),
    "on_failure_callback": st.sampled_from([notify, [notify, notify], None, []]),
    "on_success_callback": st.sampled_from([notify, None]),
    "on_skipped_callback": st.sampled_from([notify, None]),
    "inlets": st.one_of(assets, references, st.lists(st.one_of(assets, references), max_size=2)),
    "outlets": st.one_of(assets, st.lists(st.one_of(assets, aliases), max_size=2)),
    "params": params,
    "render_template_as_native_obj": st.one_of(st.none(), st.booleans()),
}


def some_of(optional: dict[str, st.SearchStrategy[Any]], most: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the arguments: most Dags use few."""
    return st.lists(st.sampled_from(sorted(optional)), max_size=most, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: optional[name] for name in names})
    )


STANDARD = "airflow.providers.standard"
EMPTY, BASH = f"{STANDARD}.operators.empty.EmptyOperator", f"{STANDARD}.operators.bash.BashOperator"
operators = {
    EMPTY: {},
    f"{STANDARD}.operators.python.PythonOperator": {
        "op_args": st.lists(values, max_size=2),
        "op_kwargs": st.dictionaries(st.sampled_from("abc"), values, max_size=2),
        "templates_dict": st.one_of(st.none(), st.dictionaries(texts, plain, max_size=2)),
        "show_return_value_in_logs": st.booleans(),
    },
    BASH: {
        "env": st.one_of(st.none(), st.dictionaries(ids, texts, max_size=2)),
        "append_env": st.booleans(),
        "skip_on_exit_code": st.one_of(st.none(), st.integers(0, 99), st.lists(st.integers(0, 99), max_size=2)),
        "cwd": st.one_of(st.none(), ids),
    },
    f"{STANDARD}.operators.trigger_dagrun.TriggerDagRunOperator": {
        "conf": st.one_of(st.none(), st.dictionaries(texts, plain, max_size=2)),
        "logical_date": st.one_of(st.none(), moments()),
        "wait_for_completion": st.booleans(),
        "allowed_states": st.one_of(st.none(), st.just(["success", "failed"])),
        "deferrable": st.booleans(),
    },
    f"{STANDARD}.sensors.time_delta.TimeDeltaSensor": {"poke_interval": st.one_of(spans, st.integers(0, 90))},
    f"{STANDARD}.sensors.python.PythonSensor": {
        "mode": st.sampled_from(["poke", "reschedule"]),
        "timeout": st.one_of(some_spans, st.floats(1, 900)),
        "soft_fail": st.booleans(),
        "exponential_backoff": st.booleans(),
        "max_wait": st.one_of(st.none(), spans),
        "op_kwargs": st.dictionaries(st.sampled_from("abc"), values, max_size=2),
    },
}
required: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "PythonOperator": {"python_callable": st.just(work)},
    "PythonSensor": {"python_callable": st.just(work)},
    "BashOperator": {"bash_command": st.one_of(texts, st.just("echo {{ ds }}"))},
    "TriggerDagRunOperator": {"trigger_dag_id": ids},
    "TimeDeltaSensor": {"delta": spans},
}
mapped_over = {
    "PythonOperator": {"op_args": st.lists(st.lists(plain, max_size=2), min_size=1, max_size=3)},
    "BashOperator": {"bash_command": st.lists(texts, min_size=1, max_size=3)},
    "TriggerDagRunOperator": {"conf": st.lists(st.dictionaries(texts, plain, max_size=1), min_size=1, max_size=2)},
}


@st.composite
def classic_tasks(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(sorted(operators)))
    name = path.rpartition(".")[2]
    arguments = {"task_id": draw(ids), **draw(some_of({**operator_arguments, **operators[path]}))}
    needed, mapped = dict(required.get(name, {})), None
    if name in mapped_over and draw(st.integers(0, 3)) == 0:
        mapped = draw(st.fixed_dictionaries(mapped_over[name]))
        for each in mapped:
            needed.pop(each, None)
            arguments.pop(each, None)
    arguments |= draw(st.fixed_dictionaries(needed))
    role = None if mapped else draw(st.sampled_from([None] * 8 + ["setup", "teardown"]))
    return {"kind": "operator", "operator": path, "arguments": arguments, "mapped": mapped, "role": role}


@st.composite
def function_tasks(draw: st.DrawFn) -> dict[str, Any]:
    variant = draw(st.sampled_from(["", "", "", "branch", "short_circuit", "sensor", "bash"]))
    given = draw(st.dictionaries(st.sampled_from("abc"), values, max_size=2))
    mapped = None
    if draw(st.integers(0, 3)) == 0:
        mapped = draw(
            st.dictionaries(
                st.sampled_from("abc"),
                st.one_of(
                    st.lists(plain, min_size=1, max_size=3), st.dictionaries(texts, plain, min_size=1, max_size=2)
                ),
                min_size=1,
                max_size=2,
            )
        )
        given = {name: value for name, value in given.items() if name not in mapped}
    upstream = draw(st.sampled_from([None, *(name for name in "abc" if name not in (mapped or {}))]))
    arguments = {"task_id": draw(ids), **draw(some_of(operator_arguments))}
    return {
        "kind": "function",
        "variant": variant,
        "arguments": arguments,
        "given": given,
        "mapped": mapped,
        "upstream": upstream,
        "role": None if mapped else draw(st.sampled_from([None] * 8 + ["setup", "teardown"])),
    }


tasks = st.one_of(classic_tasks(), function_tasks())
groups = st.recursive(
    tasks,
    lambda inner: st.fixed_dictionaries(
        {
            "kind": st.just("group"),
            "arguments": st.fixed_dictionaries(
                {"group_id": st.text("ghij_", min_size=1, max_size=4)},
                optional={
                    "prefix_group_id": st.booleans(),
                    "tooltip": texts,
                    "ui_color": st.just("#123456"),
                    "group_display_name": texts,
                    "default_args": some_of(operator_arguments),
                    "add_suffix_on_collision": st.booleans(),
                },
            ),
            "nodes": st.lists(inner, max_size=3),
        }
    ),
    max_leaves=4,
)
dag_arguments: dict[str, st.SearchStrategy[Any]] = {
    "description": st.one_of(st.none(), texts),
    "start_date": moments(),
    "end_date": moments(),
    "default_args": some_of(operator_arguments),
    "tags": st.lists(ids, max_size=3),
    "params": params,
    "max_active_tasks": st.integers(1, 99),
    "max_active_runs": st.integers(1, 99),
    "max_consecutive_failed_dag_runs": st.integers(0, 5),
    "dagrun_timeout": st.one_of(st.none(), spans),
    "catchup": st.booleans(),
    "doc_md": st.one_of(st.none(), texts),
    "fail_fast": st.booleans(),
    "is_paused_upon_creation": st.one_of(st.none(), st.booleans()),
    "render_template_as_native_obj": st.booleans(),
    "owner_links": st.dictionaries(ids, st.sampled_from(["https://a.example/x", "mailto:a@b.example"]), max_size=2),
    "access_control": st.one_of(st.none(), st.just({"role": {"can_read", "can_edit"}})),
    "dag_display_name": texts,
    "auto_register": st.booleans(),
    "disable_bundle_versioning": st.booleans(),
    "on_failure_callback": st.sampled_from([notify, [notify], None]),
    "on_success_callback": st.sampled_from([notify, None]),
    "user_defined_macros": st.just({"answer": 42}),
    "template_searchpath": st.sampled_from(["/tmp", ["/tmp", "/var"]]),
    "jinja_environment_kwargs": st.just({"trim_blocks": True}),
}
dags = st.fixed_dictionaries(
    {
        "dag": st.builds(
            lambda schedule, more: {"dag_id": "drawn", "schedule": schedule, **more}, schedules, some_of(dag_arguments)
        ),
        "nodes": st.lists(groups, max_size=4),
        "edges": st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.one_of(st.none(), texts)), max_size=4),
    }
)


def first_line(error: tuple[str, str]) -> str:
    """The first line of what an error says, without the module that a function of ours and of Airflow's is in."""
    return re.sub(r"^[\w.]+\.(\w+\(\))", r"\1", error[1].partition("\n")[0])


def test_params_among_the_defaults_of_a_group_count_as_they_do_in_airflow() -> None:
    def drawn(params: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"kind": "operator", "mapped": None, "role": None}
        empty = {**made, "operator": EMPTY, "arguments": {"task_id": "empty"}}
        bash = {**made, "operator": BASH, "arguments": {"task_id": "bash", "bash_command": "x"}}
        group = {"group_id": "group", "default_args": {"params": {"of_the_group": 1}}}
        dag = {"dag_id": "drawn", "schedule": None, "params": params}
        return {"dag": dag, "nodes": [{"kind": "group", "arguments": group, "nodes": [empty, bash]}], "edges": []}

    for params in ({}, {"of_the_dag": 2}):
        theirs, mine = (Side(real=real).outcome(drawn(params)) for real in (True, False))
        assert list(parity.differences(parity.plain(mine), parity.plain(theirs))) == []


@settings(
    max_examples=HUNT or 120,
    derandomize=not HUNT,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(dags)
def test_a_drawn_dag_has_the_form_that_airflow_gives_it(drawn: dict[str, Any]) -> None:
    theirs, mine = Side(real=True).outcome(drawn), Side(real=False).outcome(drawn)
    if isinstance(theirs, tuple):
        assert isinstance(mine, tuple) and mine[0] == theirs[0], (theirs, mine)
        # The tasks of a cycle are named in our words.
        if mine[0] != "AirflowDagCycleException":
            assert first_line(mine) == first_line(theirs)
    else:
        assert not isinstance(mine, tuple), mine
        assert list(parity.differences(parity.plain(mine), parity.plain(theirs))) == []


cron_values = st.one_of(
    st.integers(0, 70).map(str), st.sampled_from(["*", "mon", "SUN", "jan", "Dec", "x", "2020", "2100"])
)
plain_items = st.builds(
    lambda first, last, step: f"{first}{last}{step}",
    cron_values,
    st.one_of(st.just(""), cron_values.map("-{}".format), st.just("-")),
    st.one_of(st.just(""), st.integers(0, 9).map("/{}".format), st.just("/")),
)
special_items = st.text("0123456789*/-,#?()LlWwRhJANmonSu", max_size=6)


def expressions(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    field = st.one_of(st.just("*"), st.lists(items, min_size=1, max_size=2).map(",".join))
    return st.lists(field, min_size=4, max_size=8).map(" ".join)


def refused(expression: str) -> tuple[bool, bool]:
    """Return whether this module and whether Airflow refuses a cron expression."""
    from airflow.sdk import CronTriggerTimetable

    verdicts = []
    for timetable in (module.CronTriggerTimetable, CronTriggerTimetable):
        try:
            timetable(expression, timezone="UTC").validate()
        except Exception as error:
            assert type(error).__name__ == "AirflowTimetableInvalid", expression
            verdicts.append(True)
        else:
            verdicts.append(False)
    return verdicts[0], verdicts[1]


@settings(max_examples=HUNT or 300, derandomize=not HUNT, deadline=None, database=None)
@given(expressions(plain_items))
def test_of_plain_cron_expressions_just_those_are_refused_that_airflow_refuses(expression: str) -> None:
    mine, theirs = refused(expression)
    assert mine == theirs


@settings(max_examples=HUNT or 300, derandomize=not HUNT, deadline=None, database=None)
@given(expressions(st.one_of(plain_items, special_items)))
def test_no_cron_expression_is_refused_that_airflow_takes(expression: str) -> None:
    mine, theirs = refused(expression)
    assert theirs or not mine

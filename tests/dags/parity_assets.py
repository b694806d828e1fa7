"""Assets: events read and emitted, through aliases and references; inlets and outlets that are checked."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import Asset, AssetAlias, DAG, Metadata, get_current_context, task
from airflow.providers.standard.operators.python import PythonOperator

TABLE = Asset("table", uri="s3://bucket/table", extra={"owner": "us"}, group="tables")
COPY = Asset("copy", uri="s3://bucket/copy")
PLAIN = Asset("plain")
ALIAS = AssetAlias("alias")


def described(events):
    return [[e.asset.name, e.extra, e.source_task_id, e.source_run_id, e.timestamp.isoformat()] for e in events]


def attempt(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__


with DAG("parity_assets", schedule=[TABLE], start_date=datetime(2026, 1, 1), catchup=False):

    @task(outlets=[TABLE, PLAIN])
    def emits_nothing_more():
        return 1

    @task(outlets=[TABLE, PLAIN, Asset.ref(name="named"), Asset.ref(uri="s3://bucket/uri"), ALIAS])
    def all_kinds_of_outlets():
        return 1

    @task(outlets=[TABLE, COPY])
    def extra(outlet_events=None):
        outlet_events[TABLE].extra = {"rows": 3}
        outlet_events[COPY].extra["rows"] = [1, {"deep": None}]
        views = [len(list(view())) for view in (outlet_events.keys, outlet_events.values, outlet_events.items)]
        views.append(outlet_events.get(TABLE).extra)
        return [len(outlet_events), sorted(each.name for each in outlet_events), outlet_events[TABLE].extra, views]

    @task(outlets=[TABLE, COPY])
    def extra_by_reference(outlet_events=None):
        outlet_events[Asset.ref(name="table")].extra = {"by": "name"}
        outlet_events.for_asset(uri="s3://bucket/copy").extra = {"by": "uri"}
        outlet_events.for_asset(name="table").extra["again"] = True
        outlet_events.for_asset(name="table", uri="s3://bucket/table").extra["both"] = True

    @task(outlets=[ALIAS])
    def through_alias(outlet_events=None):
        outlet_events[ALIAS].add(TABLE, extra={"rows": 1})
        outlet_events[ALIAS].add(Asset.ref(name="copy"))
        outlet_events.for_asset_alias(name="alias").add(Asset.ref(uri="s3://bucket/copy"), extra={"n": 2})
        outlet_events[TABLE].add(COPY)

    @task(outlets=[TABLE])
    def partitions(outlet_events=None):
        outlet_events[TABLE].add_partitions("2026-01-01")
        return [
            attempt(lambda: outlet_events[TABLE].add_partitions(" ")),
            attempt(lambda: outlet_events[TABLE].add_partitions("x" * 251)),
            attempt(lambda: outlet_events[ALIAS].add_partitions("x")),
            attempt(lambda: outlet_events["table"]),
        ]

    @task(outlets=[TABLE, ALIAS])
    def metadata():
        yield Metadata(TABLE, {"rows": 5})
        yield Metadata(COPY, extra={"rows": 6}, alias=ALIAS)
        yield Metadata(TABLE, {"more": True})
        yield "something else"
        return ["a", "result"]

    @task(outlets=[TABLE])
    async def metadata_async():
        yield Metadata(TABLE, {"rows": 7})

    @task(inlets=[TABLE, Asset.ref(name="copy"), Asset.ref(uri="s3://bucket/plain"), ALIAS])
    def inlet_events(inlet_events=None):
        found = [
            described(inlet_events[TABLE]),
            described(inlet_events[1]),
            described(inlet_events[Asset.ref(uri="s3://bucket/plain")]),
            described(inlet_events[ALIAS]),
            described(inlet_events.for_asset_alias(name="alias")),
            described(inlet_events.for_asset(name="table")),
            described(inlet_events[0][-1:]),
            inlet_events[0][-1].extra,
            len(inlet_events[TABLE]),
            len(inlet_events),
            attempt(lambda: inlet_events[Asset("other")]),
            attempt(lambda: inlet_events[Asset.ref(name="other")]),
            attempt(lambda: inlet_events[AssetAlias("other")]),
            attempt(lambda: inlet_events["table"]),
            attempt(lambda: inlet_events[9]),
        ]
        return found

    @task(inlets=[TABLE])
    def inlet_events_narrowed(inlet_events=None):
        events = inlet_events[TABLE]
        return [
            described(events.after("2026-01-02T00:00:00Z")),
            described(events.before("2026-01-03T00:00:00Z").limit(1)),
            described(events.ascending(False)),
            [event.extra for event in inlet_events[TABLE].limit(2)],
        ]

    @task(inlets=[Asset.ref(name="absent")])
    def inlet_absent():
        return "never"

    @task
    def no_inlets(inlet_events=None):
        return [len(inlet_events), list(inlet_events)]

    @task
    def triggering(triggering_asset_events=None):
        found = {}
        for asset, events in triggering_asset_events.items():
            found[asset.name] = [[e.asset.uri, e.extra, e.source_dag_id, e.partition_key] for e in events]
        found["alias"] = len(triggering_asset_events[ALIAS])
        found["by name"] = len(triggering_asset_events[Asset.ref(name="table")])
        return [found, len(triggering_asset_events)]

    @task
    def triggering_template(text):
        return text

    @task(inlets=[TABLE], outlets=[COPY])
    def checked():
        return "never, when one is inactive"

    @task(outlets=["not an asset", {"a": 1}])
    def other_outlets():
        return 1

    @task(outlets=[TABLE])
    def fails_after_event(outlet_events=None):
        outlet_events[TABLE].extra = {"lost": True}
        raise ValueError("no event then")

    emits_nothing_more()
    all_kinds_of_outlets()
    extra()
    extra_by_reference()
    through_alias()
    partitions()
    metadata()
    metadata_async()
    inlet_events()
    inlet_events_narrowed()
    inlet_absent()
    no_inlets()
    triggering()
    triggering_template(
        "{% for asset, events in triggering_asset_events.items() %}{{ asset.uri }}={{ events[0].extra.n }} {% endfor %}"
    )
    checked()
    other_outlets()
    fails_after_event()

    def classic_generator():
        yield Metadata(TABLE, {"rows": 8})
        get_current_context()["outlet_events"][COPY].extra = {"rows": 9}

    PythonOperator(task_id="classic", python_callable=classic_generator, outlets=[TABLE, COPY])

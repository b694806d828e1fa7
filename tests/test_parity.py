"""The same task of the same Dag file in Airflow's own runner and in a built bundle, under the same supervisor.

Each pair of runs meets an Execution API with the same contents; what either asked of it is equal: method, path, query
and body, in order; times, ids and facts of the process aside. Tasks push what they saw as XComs, so that equal calls
are equal contexts too.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from harness import WAREHOUSE

Run = Callable[..., Any]

FILES = [
    "parity_states.py",
    "parity_calls.py",
    "parity_assets.py",
    "parity_branches.py",
    "conditions/parity_conditions.py",
    "parity_deferral.py",
    "parity_around.py",
    "parity_mapping.py",
    "parity_values.py",
]
UTC = timezone.utc
EARLIER = datetime(2025, 12, 31, tzinfo=UTC)
VARIABLES = {"text": "some text", "json": '{"a": [1, 2]}', "team_a": "A", "team_b": "B"}


def case(task_id: str, **options: Any) -> Any:
    """A row: task id, what run_task is told, and what the API is filled with by `setup`; `name` tells rows apart."""
    name = options.pop("name", "")
    return pytest.param(task_id, options, id=f"{task_id}-{name}" if name else task_id)


def fill(harness: Any, dag_id: str) -> Any:
    """An Execution API with a past: an earlier run, assets and their events, another Dag."""
    api = harness.ExecutionAPI()
    api.variables.update(VARIABLES)
    api.add_connection("warehouse", **WAREHOUSE)
    api.add_dag_run(dag_id, "failed_before", logical_date=EARLIER + timedelta(days=1), state="failed")
    api.add_dag_run(dag_id, "earlier", logical_date=EARLIER, state="success", end_date=EARLIER + timedelta(hours=1))
    api.add_dag_run("other", "manual__there", logical_date=EARLIER)
    for task_id, state, index in (
        ("previous_task_instances", "success", -1),
        ("counted", "failed", -1),
        ("counted", "success", 4),
    ):
        facts = {
            "try_number": 1,
            "start_date": EARLIER,
            "end_date": EARLIER,
            "duration": 1.5,
            "operator": "_PythonDecoratedOperator",
        }
        row = {"task_id": task_id, "dag_id": dag_id, "run_id": "earlier", "state": state, "map_index": index}
        api.other_task_instances.append({**row, **facts})
    api.assets += [
        harness.asset("table", "s3://bucket/table", extra={"owner": "us"}, group="tables"),
        harness.asset("copy", "s3://bucket/copy"),
        harness.asset("plain", "s3://bucket/plain"),
        harness.asset("named"),
    ]
    api.asset_aliases["alias"] = [{"name": "table", "uri": "s3://bucket/table", "group": "tables", "extra": {}}]
    for number in range(3):
        day = datetime(2026, 1, 1 + number, tzinfo=UTC)
        source = {"dag_id": "other", "task_id": f"maker_{number}", "run_id": "r", "map_index": -1}
        api.asset_events.append(
            harness.asset_event(api.assets[0], extra={"n": number}, aliases=("alias",), timestamp=day, **source)
        )
    api.asset_events.append(harness.asset_event(api.assets[1], extra={"copy": True}))
    return api


@pytest.fixture(scope="session")
def both(airflow: Any, make_bundle: Callable[..., Path], pytestconfig: pytest.Config) -> Callable[..., Any]:
    """both(dag_file, dag_id, task_id, **options): a task in the bundle and in Airflow, each with its own API."""
    from conftest import DAGS

    def run_both(
        dag_file: str, dag_id: str, task_id: str, prepare: Callable[[Any], None] | None = None, **options: Any
    ) -> Any:
        results = []
        folder = make_bundle(*FILES).parent
        for bundle in (folder, None):
            api = fill(airflow, dag_id)
            if prepare is not None:
                prepare(api)
            results.append(airflow.run_task(bundle, DAGS / dag_file, dag_id, task_id, api=api, **options))
        return results

    return run_both


def recorded(harness: Any, result: Any) -> list[Any]:
    """The calls of a run, without what differs between two runs of the same runner: times, and the order of sets."""
    parse_date = harness.parse_date

    def plain(value: Any, key: str = "") -> Any:
        if key == "expires_at" and value:
            return f"<{(parse_date(value) - datetime.now(UTC)) / timedelta(days=1):.0f} days from now>"
        if key == "timestamp" and abs(value - time.time()) < 86_400:
            return "<soon>"
        if isinstance(value, dict):
            return {name: plain(each, name) for name, each in value.items()}
        if isinstance(value, list):
            # Airflow and the bundle take these from sets of strings, which no two processes put in the same order.
            items = [plain(each) for each in value]
            return sorted(items, key=str) if key in ("followed", "skipped", "tasks") else items
        # The name of a Dag file's module has a hash of where the file lies in it.
        return re.sub(r"unusual_prefix_[0-9a-f]{40}_", "", value) if isinstance(value, str) else value

    return [(method, path, query, plain(body)) for method, path, query, body in harness.recording(result)]


def assert_same(harness: Any, ours: Any, theirs: Any) -> None:
    assert recorded(harness, ours) == recorded(harness, theirs), f"OURS\n{ours.log()}\nAIRFLOW\n{theirs.log()}"
    assert ours.final_state == theirs.final_state
    assert ours.exit_code == theirs.exit_code
    assert groups(ours) == groups(theirs)


def groups(result: Any) -> list[str]:
    """The lines by which the UI folds the log."""
    return [event for event in result.events() if event.startswith("::")]


STATES = [
    case("retried", max_tries=2),
    case("retried", max_tries=2, try_number=3, name="last try"),
    case("not_found"),
    case("terminated", max_tries=1),
    case("timed_out_by_itself", max_tries=1),
    case("sensor_timeout", max_tries=1),
    case("fails_for_good", max_tries=1),
    case("skips_with_value"),
    case("skips_silently"),
    case("exits_with_zero"),
    case("exits_with_text", max_tries=1),
    case("interrupted", max_tries=1),
    case("bare"),
    case("generator_exit"),
    case("unspeakable", max_tries=1),
    case("group"),
    case("recursion"),
    case("asserts"),
    case("dies_at_once", max_tries=1),
    case("unserialisable"),
    case("unserialisable_inside"),
    case("too_slow", max_tries=1),
    case("too_slow_async"),
    case("fast_enough"),
    case("no_time_at_all"),
    case("catches_everything"),
    case("reschedules"),
    case("sensor_done"),
    case("sensor_waits"),
    case("sensor_gives_up", max_tries=1),
    case("sensor_gives_up_softly"),
    case("sensor_skips"),
    case("sensor_fails_softly"),
    case("sensor_never_fails"),
    case("sensor_silent"),
    case("sensor_raises", max_tries=1),
    case("killed_in_time"),
    case("counts"),
    case("counts_value"),
    case("counts_false"),
    case("backs_off"),
    case("times_out_in_poke"),
    case("no_mode"),
]


@pytest.mark.parametrize(("task_id", "options"), STATES)
def test_a_task_ends_as_it_ends_in_airflow(airflow: Any, both: Run, task_id: str, options: dict[str, Any]) -> None:
    assert_same(airflow, *both("parity_states.py", "parity_states", task_id, **options))


CALLS = [
    case("variables_read"),
    case("variables_written"),
    case("variable_keys"),
    case("variable_not_text"),
    case("variables_by_template"),
    case("variable_template_missing"),
    case("models_of_the_core"),
    case("variables_from_environment", env={"AIRFLOW_VAR_FROM_ENV": "from outside"}),
    case("connection_fields"),
    case("connection_missing"),
    case("connection_missing_fails", max_tries=1),
    case("connections_by_template"),
    case(
        "connections_from_environment",
        env={
            "AIRFLOW_CONN_BY_URI": "my-type://me:p%40ss@host.example:99/a%2Fb?x=1&y=",
            "AIRFLOW_CONN_BY_JSON": '{"conn_type": "http", "host": "h", "extra": {"a": [1]}}',
        },
    ),
    case("connections_async"),
    case("masks"),
    case("masks_async"),
    case("xcoms_pushed"),
    case("xcoms_pushed", xcoms={("xcoms_pushed", "number"): 0, ("xcoms_pushed", "old"): 1}, name="cleared first"),
    case(
        "xcoms_pulled",
        xcoms={
            "one": 1,
            ("one", "other"): {"a": [1]},
            ("many", "return_value", 0): "zero",
            ("many", "return_value", 1): "one",
            ("many", "return_value", 2): "two",
        },
    ),
    case("xcoms_async", xcoms={"one": 1, ("many", "return_value", 1): 1}),
    case("xcoms_by_class"),
    case("xcoms_by_class_async"),
    case("xcom_return_key"),
    case("pushes_nothing"),
    case("xcoms_by_template", xcoms={"one": 1, ("many", "return_value", 0): 0, ("many", "return_value", 1): 1}),
    case("previous_runs"),
    case("no_previous_run", logical_date=datetime(2020, 1, 1, tzinfo=UTC)),
    case("no_previous_run", logical_date=None, name="no logical date"),
    case("previous_task_instances"),
    case("counts"),
    case("states"),
    case("dags"),
    case("run_state_missing"),
    case("own_facts", conf={"a": 1}, max_tries=2, try_number=2),
    case("own_facts", logical_date=None, name="no logical date"),
    case("task_store"),
    case("asset_store"),
    case("asset_store_of_two"),
    case("asset_store_async"),
    case("no_asset_store"),
    case("by_message"),
    case("answers_itself"),
]


@pytest.mark.parametrize(("task_id", "options"), CALLS)
def test_a_task_asks_what_it_asks_in_airflow(airflow: Any, both: Run, task_id: str, options: dict[str, Any]) -> None:
    assert_same(airflow, *both("parity_calls.py", "parity_calls", task_id, **options))


def consumed(api: Any) -> None:
    table, copy = (
        {"name": "table", "uri": "s3://bucket/table", "extra": {}},
        {"name": "copy", "uri": "s3://bucket/copy", "extra": {}},
    )
    when = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(table, 1, [{"name": "alias"}]), (table, 2, []), (copy, 3, [{"name": "alias"}])]
    api.add_dag_run(
        "parity_assets",
        "manual__run",
        consumed_asset_events=[
            {
                "asset": asset,
                "extra": {"n": number},
                "source_task_id": "maker",
                "source_dag_id": "other",
                "source_run_id": "r",
                "source_map_index": -1,
                "source_aliases": aliases,
                "timestamp": when,
                "partition_key": None,
            }
            for asset, number, aliases in rows
        ],
    )


def inactive(api: Any) -> None:
    api.inactive_assets.append({"name": "copy", "uri": "s3://bucket/copy", "type": "Asset"})


ASSETS = [
    case("emits_nothing_more"),
    case("all_kinds_of_outlets"),
    case("extra"),
    case("extra_by_reference"),
    case("through_alias"),
    case("partitions"),
    case("metadata"),
    case("metadata_async"),
    case("inlet_events"),
    case("inlet_events_narrowed"),
    case("no_inlets"),
    case("triggering", prepare=consumed),
    case("triggering_template", prepare=consumed),
    case("triggering_template", name="nothing"),
    case("checked"),
    case("checked", prepare=inactive, max_tries=1, name="inactive"),
    case("other_outlets"),
    case("fails_after_event"),
    case("classic"),
]


@pytest.mark.parametrize(("task_id", "options"), ASSETS)
def test_a_task_knows_of_assets_what_it_knows_in_airflow(
    airflow: Any, both: Run, task_id: str, options: dict[str, Any]
) -> None:
    assert_same(airflow, *both("parity_assets.py", "parity_assets", task_id, **options))


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (("parity_assets.py", "parity_assets", "inlet_absent"), {}),
        (("parity_around.py", "parity_around", "params_checked"), {"conf": {"strict": 6}}),
        (("parity_around.py", "parity_around", "params_checked"), {"conf": {"strict": "text"}}),
    ],
)
def test_what_fails_before_the_task_is_reported_at_once(
    airflow: Any, both: Run, place: tuple[str, str, str], options: dict[str, Any]
) -> None:
    """Airflow's runner exits with 1 and leaves the state to the scheduler; a bundle asks for the next try itself."""
    ours, theirs = both(*place, max_tries=1, **options)
    *before, last = recorded(airflow, ours)
    assert before == recorded(airflow, theirs)
    assert last[3]["state"] == "up_for_retry"
    assert str(theirs.final_state).endswith("UP_FOR_RETRY")
    assert (ours.exit_code, theirs.exit_code) == (0, 1)


BRANCHES = [
    case("to_left"),
    case("to_none"),
    case("to_several"),
    case("to_group"),
    case("to_unknown", max_tries=1),
    case("to_number"),
    case("to_numbers"),
    case("to_joined"),
    case("skips_itself"),
    case("classic_branch"),
    case("branch_without_downstream"),
    case("own_branch"),
    case("own_branch", conf={"which": "second"}, name="by conf"),
    case("mapped_branch", map_index=1),
    case("goes_on"),
    case("stops"),
    case("stops_here"),
    case("mapped_stop", map_index=1),
    case("classic_stop"),
    case("nothing_to_stop"),
    case("skips_some"),
    case("skips_nothing"),
    case("skips_all_but"),
    case("skips_by_hand"),
    case("skips_one_by_hand"),
]


@pytest.mark.parametrize(("task_id", "options"), BRANCHES)
def test_a_task_skips_what_it_skips_in_airflow(airflow: Any, both: Run, task_id: str, options: dict[str, Any]) -> None:
    assert_same(airflow, *both("parity_branches.py", "parity_branches", task_id, **options))


@pytest.mark.parametrize("go", [None, False, True])
@pytest.mark.parametrize("task_id", ["run_if", "skip_if"])
def test_a_condition_decides_as_it_decides_in_airflow(airflow: Any, both: Run, task_id: str, go: bool | None) -> None:
    conf = {} if go is None else {"go": go}
    assert_same(airflow, *both("conditions/parity_conditions.py", "parity_conditions", task_id, conf=conf))


def resumed(method: str, event: Any = None, **kwargs: Any) -> dict[str, Any]:
    """What a deferred task comes back with; the triggerer adds the event to the kwargs in their stored form."""
    stored = {"event": event, **kwargs} if event is not None else kwargs
    return {"next_method": method, "next_kwargs": stored}


def another_run(state: str) -> Callable[[Any], None]:
    """What is triggered runs, and is in this state when it is looked at again."""
    answers = [(200, {"state": "running"}), (200, {"state": state})]
    return lambda api: api.answer("GET", r"dag-runs/other/.*/state$", *answers)


DEFERRAL = [
    case("own_trigger"),
    case("own_trigger", **resumed("resumed", {"status": "done"}), name="resumed"),
    case("own_trigger", **resumed("resumed", None, rows=[1, {"a": None}]), name="resumed without event"),
    case("own_trigger", **resumed("again", {"count": 4}), name="again"),
    case("own_trigger", **resumed("skips", True), name="skips"),
    case("own_trigger", **resumed("catches", [1]), max_tries=1, name="retries"),
    case("own_trigger", **resumed("no_such_method", 1), name="no such method"),
    case("own_trigger", **resumed("__fail__", error="Trigger timeout"), max_tries=1, name="timeout"),
    case("own_trigger", **resumed("__fail__", error="Trigger failure", traceback=["line 1\n"]), name="failure"),
    case("catching", **resumed("__fail__", error="Trigger timeout"), name="timeout"),
    case("catching", **resumed("__fail__", error="Trigger failure", traceback=None), name="failure"),
    case("with_kwargs"),
    case("date_time"),
    case("date_time_end"),
    case("elsewhere"),
    case("no_json", max_tries=1),
    case("no_trigger"),
    case("sensor"),
    case("sensor", **resumed("resumed", 1), max_tries=1, name="resumed"),
    case("sensor", **resumed("__fail__", error="Trigger timeout"), max_tries=1, name="timeout"),
    case("soft_sensor", **resumed("__fail__", error="Trigger timeout"), name="timeout"),
    case("soft_sensor", **resumed("resumed", 1), name="resumed"),
    case("never_fails", **resumed("__fail__", error="Trigger failure", traceback=[]), name="failure"),
    case("asks"),
    case("asks", **resumed("answered", {"chosen": ["yes"]}, asked="2026-07-08"), name="answered with text"),
    case("defers_from_a_function"),
    case("starts_a_run"),
    case("starts_a_run_again", max_tries=1),
    case("starts_a_run_or_skips"),
    case("starts_a_run_anew"),
    case("starts_a_run_and_waits", prepare=another_run("success")),
    case("starts_a_run_that_fails", prepare=another_run("failed"), max_tries=1),
    case("starts_a_run_and_defers"),
    case("starts_a_run_deferrable_without_waiting"),
    case("starts_an_unknown_run", max_tries=1),
]


@pytest.mark.parametrize(("task_id", "options"), DEFERRAL)
def test_a_task_waits_as_it_waits_in_airflow(airflow: Any, both: Run, task_id: str, options: dict[str, Any]) -> None:
    assert_same(airflow, *both("parity_deferral.py", "parity_deferral", task_id, **options))


AROUND = [
    case("calls_back"),
    case("calls_back_on_failure"),
    case("calls_back_on_failure", max_tries=1, name="retry"),
    case("calls_back_on_skip"),
    case("calls_back_on_fail_exception", max_tries=1),
    case("calls_back_once"),
    case("hooks"),
    case("pre_execute_fails", max_tries=1),
    case("post_execute_fails"),
    case("pre_execute_skips"),
    case("dates"),
    case("dates", logical_date=None, name="no logical date"),
    case("own_macros"),
    case("own_macros", conf={"table": "other", "limit": 1}, name="conf"),
    case("trailing_newlines"),
    case("undefined", max_tries=1),
    case("syntax"),
    case("forbidden"),
    case("param_missing"),
    case("fields"),
    case("from_file"),
    case("from_file_with_include"),
    case("from_missing_file"),
    case("by_callable"),
    case("all_fields"),
    case("all_fields", env={"AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH": "100"}, name="short"),
    case("overwrites"),
    case("bash"),
    case("bash_skips"),
    case("bash_fails"),
    case("bash_by_function"),
    case("hooked"),
    case("linked"),
    case("params_merged"),
    case("params_merged", conf={"own": 2, "free": [1], "new": "n"}, name="conf"),
    case("params_checked", conf={"strict": 4}),
    case("several"),
    case("several_inferred"),
    case("several_typed"),
    case("several_not_a_dict"),
    case("several_odd_keys"),
    case("several_none"),
    case("yields"),
    case("waits"),
    case("environment"),
    case("policy_fails", max_tries=1),
    case("policy_waits", max_tries=1),
    case("policy_waits", max_tries=1, try_number=2, name="last try"),
    case("policy_exact", max_tries=1),
    case("policy_default", max_tries=1),
    case("policy_not_asked", max_tries=1),
    case("policy_of_its_own", max_tries=2, try_number=2),
    case("policy_broken", max_tries=1),
    case("policy_exit", max_tries=1),
    case("builds"),
    case("works", xcoms={"builds_more": "cluster"}),
    case("removes", xcoms={"builds_more": "cluster"}),
    case("works", max_tries=1, name="upstream has no result"),
    case("classic_python"),
    case("by_own_decorator"),
    case("partial"),
]


@pytest.mark.parametrize(("task_id", "options"), AROUND)
def test_what_surrounds_a_task_is_what_surrounds_it_in_airflow(
    airflow: Any, both: Run, task_id: str, options: dict[str, Any]
) -> None:
    assert_same(airflow, *both("parity_around.py", "parity_around", task_id, **options))


@pytest.fixture
def mail_server() -> Iterator[Any]:
    from harness import MailServer

    with MailServer() as server:
        yield server


def mail_connection(server: Any, **extra: Any) -> Callable[[Any], None]:
    fields = {"host": "127.0.0.1", "port": server.port, "login": "loader", "password": "of mails"}
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "unused@example.com", **extra}
    return lambda api: api.add_connection("smtp_default", "smtp", **fields, extra=json.dumps(extra))


def same_mails(ours: Any, theirs: Any, server: Any) -> list[dict[str, Any]]:
    """The mails of the bundle, which are Airflow's in all but ids, times and the Dag bundle as Airflow knows it."""

    def plain(mail: dict[str, Any], result: Any) -> dict[str, Any]:
        text = json.dumps(mail).replace(str(result.ti.id), "<id>")
        text = re.sub(r" bundle_instance=\S+", "", text)
        return json.loads(re.sub(r"datetime\.datetime\([^()]*\)", "<time>", text))

    half = len(server.mails) // 2
    assert half
    assert [plain(mail, ours) for mail in server.mails[:half]] == [plain(mail, theirs) for mail in server.mails[half:]]
    return server.mails[:half]


@pytest.mark.parametrize("max_tries", [0, 2])
def test_a_failure_is_mailed_as_airflow_mails_it(airflow: Any, both: Run, mail_server: Any, max_tries: int) -> None:
    ours, theirs = both("parity_around.py", "parity_around", "mails", mail_connection(mail_server), max_tries=max_tries)
    assert_same(airflow, ours, theirs)
    (mail,) = same_mails(ours, theirs, mail_server)
    assert mail["to"] == ["<me@example.com>", "<you@example.com>"]
    assert mail["user"] == "loader"
    assert "to be &lt;mailed&gt;<br>" in mail["body"]


def test_templates_and_sender_of_a_mail_come_from_the_environment(
    airflow: Any, both: Run, mail_server: Any, tmp_path: Path
) -> None:
    (tmp_path / "subject").write_text("{{ dag.dag_id }}: {{ ti.task_id }} is {{ ti.state }} for {{ ds }}")
    (tmp_path / "body").write_text("{{ exception }} {{ params.table }} {{ var.value.text }}")
    host = f"127.0.0.1:{mail_server.port}"
    env = {
        "AIRFLOW__EMAIL__SUBJECT_TEMPLATE": str(tmp_path / "subject"),
        "AIRFLOW__EMAIL__HTML_CONTENT_TEMPLATE": str(tmp_path / "body"),
        "AIRFLOW__EMAIL__FROM_EMAIL": "Us <us@example.com>",
        "AIRFLOW__EMAIL__EMAIL_CONN_ID": "mail",
        "AIRFLOW_CONN_MAIL": f"smtp://{host}/?disable_ssl=true&disable_tls=true&retry_limit=0",
    }
    ours, theirs = both("parity_around.py", "parity_around", "mails", env=env)
    assert_same(airflow, ours, theirs)
    (mail,) = same_mails(ours, theirs, mail_server)
    assert mail["from"] == "<us@example.com>"
    assert mail["body"] == "to be <mailed> orders some text"


@pytest.mark.parametrize(
    ("connect", "line"),
    [
        (lambda server: None, "there is no connection 'smtp_default' to a mail server"),
        (lambda server: mail_connection(server, disable_ssl=False, timeout=1, retry_limit=0), "via SmtpNotifier"),
    ],
)
def test_a_mail_that_cannot_be_sent_is_one_line_in_the_log(
    airflow: Any, both: Run, mail_server: Any, connect: Callable[[Any], Any], line: str
) -> None:
    ours, theirs = both("parity_around.py", "parity_around", "mails", connect(mail_server))
    assert_same(airflow, ours, theirs)
    assert mail_server.mails == []
    assert ours.record(line)["level"] == "error"


def test_mail_that_a_task_sends_is_the_mail_that_it_sends_in_airflow(airflow: Any, both: Run, mail_server: Any) -> None:
    env = {
        "AIRFLOW__SMTP__SMTP_HOST": "127.0.0.1",
        "AIRFLOW__SMTP__SMTP_PORT": str(mail_server.port),
        "AIRFLOW__SMTP__SMTP_STARTTLS": "False",
        "AIRFLOW__SMTP__SMTP_MAIL_FROM": "us@example.com",
    }
    ours, theirs = both("parity_around.py", "parity_around", "sends_mail", mail_connection(mail_server), env=env)
    assert_same(airflow, ours, theirs)
    assert ours.state == "success", ours.log()
    (mail,) = same_mails(ours, theirs, mail_server)
    assert (mail["from"], mail["user"]) == ("<us@example.com>", "loader")
    assert mail["files"][0][0] == "hostname"
    assert mail["to"][2:] == ["<boss@example.com>", "<spy@example.com>", "<other@example.com>"]


def test_no_mail_server_is_guessed(run: Run) -> None:
    result = run("parity_around.py", "parity_around", "sends_mail")
    assert result.state == "failed"
    assert "set AIRFLOW__SMTP__SMTP_HOST where the worker runs" in result.log()


VALUES = [
    case("not_finite", max_tries=1),
    case("shows_not_finite", max_tries=1),
    case("answers_of_airflow", prepare=lambda api: api.other_task_instances.append(EARLIER_INSTANCE)),
]
EARLIER_INSTANCE = {
    "task_id": "answers_of_airflow",
    "dag_id": "parity_values",
    "run_id": "earlier",
    "state": "success",
    "map_index": -1,
    "try_number": 1,
    "start_date": EARLIER,
    "end_date": None,
    "duration": 1.5,
    "operator": "_PythonDecoratedOperator",
}


@pytest.mark.parametrize(("task_id", "options"), VALUES)
def test_a_value_goes_where_it_goes_in_airflow(airflow: Any, both: Run, task_id: str, options: dict[str, Any]) -> None:
    assert_same(airflow, *both("parity_values.py", "parity_values", task_id, **options))


@pytest.mark.parametrize(
    ("maker", "taker", "state"),
    [("makes", "takes", "success"), ("makes_unlisted", "takes_unlisted", "failed")],
)
def test_classes_of_the_dag_file_pass_between_bundle_and_airflow(
    airflow: Any, both: Run, maker: str, taker: str, state: str
) -> None:
    made = both("parity_values.py", "parity_values", maker)
    assert airflow.recording(made[0]) == airflow.recording(made[1])
    assert "unusual_prefix_" in json.dumps(made[0].xcom())
    taken = both("parity_values.py", "parity_values", taker, xcoms={maker: made[0].xcom()})
    assert_same(airflow, *taken)
    assert taken[0].state == state


# pandas and pyarrow would make the build twice as long, so that pair is not frozen in here.
@pytest.mark.parametrize(
    "kind", ["objects", "numbers", "path", pytest.param("frame", marks=pytest.mark.only("script"))]
)
def test_values_of_packages_pass_between_bundle_and_airflow(airflow: Any, run: Run, kind: str) -> None:
    """attrs, pydantic, numpy, pandas and storage paths, frozen in with the Dag file that declares them."""
    from conftest import DAGS

    def both(task_id: str, **options: Any) -> list[Any]:
        place = "with_values.py", "with_values", task_id
        return [run(*place, **options), airflow.run_task(None, DAGS / place[0], *place[1:], **options)]

    made = both(f"makes_{kind}")
    assert_same(airflow, *made)
    for value in (made[0].xcom(), made[1].xcom()):
        taken = both(f"takes_{kind}", xcoms={f"makes_{kind}": value})
        assert [each.state for each in taken] == ["success", "success"], taken[0].log()
        assert taken[0].xcom() == taken[1].xcom()


def test_a_number_that_json_does_not_have_is_named_with_its_place(both: Run) -> None:
    failed = both("parity_values.py", "parity_values", "not_finite")[0].record("Task failed with exception")
    assert "SetXCom.value: the number nan does not exist in JSON" in json.dumps(failed["error_detail"])
    assert "$.a[1]" in json.dumps(failed["error_detail"])


@pytest.mark.only("bundle")
def test_storage_that_is_not_frozen_in_is_an_error_that_says_what_to_declare(run: Run) -> None:
    result = run("parity_values.py", "parity_values", "reads_storage")
    assert result.state == "failed"
    assert "ObjectStoragePath needs universal-pathlib, which is not in this bundle" in result.log()


@pytest.fixture
def backends(airflow: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of `parity_backends.py` as this process, and Airflow's runner in it, has it."""
    from conftest import DAGS

    monkeypatch.syspath_prepend(str(DAGS))
    import parity_backends

    return parity_backends


def test_an_xcom_backend_that_is_frozen_in_is_used(
    airflow: Any, both: Run, backends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.execution_time import task_runner, xcom

    env = {"AIRFLOW__CORE__XCOM_BACKEND": "parity_backends.MarkingXCom"}
    # Airflow looks once, when it is imported.
    monkeypatch.setattr(xcom, "XCom", backends.MarkingXCom)
    monkeypatch.setattr(task_runner, "XCom", backends.MarkingXCom)
    ours, theirs = both("parity_values.py", "parity_values", "stored", xcoms={("stored", "old"): 1}, env=env)
    assert_same(airflow, ours, theirs)
    assert ours.xcom("mine")["value"] == {"a": 1}
    assert ours.api.variables["pulled"] == "['read', {'a': 1}]"
    assert ours.api.variables["purged"] == "1"


def test_a_secrets_backend_that_is_frozen_in_is_asked_first(airflow: Any, both: Run, backends: Any) -> None:
    from airflow.sdk.configuration import clear_secrets_backends_cache

    env = {
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "parity_backends.Vault",
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": '{"prefix": "vault"}',
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARG__SUFFIX": "!",
        "AIRFLOW_VAR_FROM_BACKEND": "from the environment",
    }
    try:
        ours, theirs = both("parity_values.py", "parity_values", "secrets", env=env)
    finally:
        clear_secrets_backends_cache()
    assert_same(airflow, ours, theirs)
    assert ours.xcom() == ["vault from_backend!", "some text", "default", "vault.example", "db.example"]


@pytest.mark.parametrize("task_id", ["task_store", "asset_store", "asset_store_async"])
def test_a_state_store_backend_that_is_frozen_in_is_used(airflow: Any, both: Run, backends: Any, task_id: str) -> None:
    from airflow.sdk.execution_time.context import _get_worker_state_store_backend

    env = {
        "AIRFLOW__WORKERS__STATE_STORE_BACKEND": "parity_backends.Shelf",
        "AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS": "True",
    }
    _get_worker_state_store_backend.cache_clear()
    try:
        ours, theirs = both("parity_calls.py", "parity_calls", task_id, env=env)
    finally:
        _get_worker_state_store_backend.cache_clear()
    assert_same(airflow, ours, theirs)
    assert ours.state == "success" and ours.api.variables["cleared"].startswith("TaskScope")


@pytest.mark.parametrize("task_id", ["stored", "fails", "skips"])
def test_listeners_that_are_frozen_in_hear_what_they_hear_in_airflow(
    airflow: Any, both: Run, backends: Any, tmp_path: Path, task_id: str
) -> None:
    from airflow.sdk.listener import get_listener_manager

    # The bundle finds the plugin where a worker has it, and takes its own copy.
    (tmp_path / "parity_backends.py").write_text(Path(backends.__file__).read_text())
    get_listener_manager().add_listener(backends)
    try:
        env = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path)}
        ours, theirs = both("parity_values.py", "parity_values", task_id, env=env)
    finally:
        get_listener_manager().clear()
    assert_same(airflow, ours, theirs)
    assert ours.api.variables["before_stopping"] == "TaskRunnerMarker"


def test_native_templates_are_the_values_they_are_in_airflow(airflow: Any, both: Run) -> None:
    assert_same(airflow, *both("parity_around.py", "parity_native", "kinds", xcoms={"rows": [{"a": 1}]}))


UPSTREAM: dict[Any, Any] = {
    "numbers": [1, 2, 3],
    "more_numbers": [4],
    "words": {"a": "A", "b": "B"},
    ("producer", "return_value", 0): ["zero"],
    ("producer", "return_value", 1): ["one"],
    ("producer", "return_value", 2): ["two"],
    ("section.inside", "return_value", 0): 10,
    ("section.inside", "return_value", 1): 20,
    ("section.after", "return_value", 0): "after 0",
    ("section.after", "return_value", 1): "after 1",
    ("keyed", "a"): 1,
    ("keyed", "b"): 2,
    "keyed": {"a": 1, "b": 2},
}


def three_instances(*task_ids: str) -> Callable[[Any], None]:
    """The scheduler has made three instances of these tasks."""

    def add(api: Any) -> None:
        row = {"dag_id": "parity_mapping", "run_id": "manual__run", "state": "success", "try_number": 1}
        for task_id in task_ids:
            api.other_task_instances += [{**row, "task_id": task_id, "map_index": index} for index in range(3)]

    return add


SECTION = three_instances("section.inside", "section.after", "section.twice", "section.from_outside")
MAPPING = [
    case("numbers"),
    case("words"),
    case("nothing_to_map", max_tries=1),
    case("not_mappable"),
    case("literals", map_index=1),
    case("literals", map_index=7, name="beyond the end"),
    case("pairs", map_index=4),
    case("of_dict", map_index=1),
    case("of_task", map_index=2),
    case("of_task", map_index=0, name="first"),
    case("of_dict_task", map_index=1),
    case("with_partial", map_index=1),
    case("with_template", map_index=0),
    case("of_kwargs", map_index=1),
    case("of_kwargs_task", map_index=1),
    case("zipped", map_index=1),
    case("zipped", map_index=2, name="filled"),
    case("concatenated", map_index=3),
    case("doubled", map_index=1),
    case("filtered", map_index=1),
    case("filtered", map_index=2, name="not skipped"),
    case("labelled", map_index=1),
    case("labelled_by_itself", map_index=1),
    case("labelled_failing", map_index=1, max_tries=1),
    case("label_missing", map_index=0),
    case("label_broken", map_index=0),
    case("classic", map_index=1),
    case("classic_kwargs", map_index=0),
    case("commands", map_index=0),
    case("calls", map_index=1),
    case("lazy"),
    case("half_lazy"),
    case("out_of_range"),
    case("collected"),
    case("mapped_twice", map_index=1),
    case("index_of_mapped", map_index=2),
    case("section.inside", map_index=1, prepare=SECTION),
    case("section.after", map_index=1, prepare=SECTION),
    case("section.twice", map_index=1, prepare=SECTION),
    case("section.from_outside", map_index=1, prepare=SECTION),
    case("of_sections", prepare=SECTION),
    case("literal_section.inside", map_index=1, prepare=three_instances("literal_section.inside")),
    case("result_by_key"),
    case("key_missing"),
    case("nested_arguments"),
]


@pytest.mark.parametrize(("task_id", "options"), MAPPING)
def test_an_instance_of_a_mapped_task_gets_what_it_gets_in_airflow(
    airflow: Any, both: Run, task_id: str, options: dict[str, Any]
) -> None:
    xcoms = {key: value for key, value in UPSTREAM.items() if key != task_id}
    assert_same(airflow, *both("parity_mapping.py", "parity_mapping", task_id, xcoms=xcoms, **options))


# Everything that a task can say to the supervisor (the members of `ToSupervisor`), by a task that says it. What is not
# here is ResendLoggingFD: it passes a file descriptor, which TCP cannot.
SENDERS: dict[tuple[str, str], str] = {
    ("parity_states", "fails_for_good"): "SetRenderedFields TaskState",
    ("parity_states", "retried"): "RetryTask",
    ("parity_states", "reschedules"): "RescheduleTask",
    ("parity_states", "sensor_waits"): "GetTaskRescheduleStartDate",
    ("parity_calls", "variables_written"): "PutVariable DeleteVariable GetVariable",
    ("parity_calls", "variable_keys"): "GetVariableKeys",
    ("parity_calls", "connection_fields"): "GetConnection",
    ("parity_calls", "masks"): "MaskSecret",
    ("parity_calls", "xcoms_by_class"): "SetXCom GetXCom GetXComSequenceSlice DeleteXCom",
    ("parity_calls", "previous_runs"): "GetPreviousDagRun GetPrevSuccessfulDagRun",
    ("parity_calls", "previous_task_instances"): "GetPreviousTI",
    ("parity_calls", "counts"): "GetTICount GetDRCount",
    ("parity_calls", "states"): "GetTaskStates GetTaskBreadcrumbs GetDagRunState",
    ("parity_calls", "dags"): "GetDag",
    ("parity_calls", "by_message"): "GetDagRun SucceedTask",
    ("parity_calls", "answers_itself"): "CreateHITLDetailPayload GetHITLDetailResponse UpdateHITLDetail",
    ("parity_calls", "task_store"): "GetTaskStateStore SetTaskStateStore DeleteTaskStateStore ClearTaskStateStore",
    ("parity_calls", "asset_store"): (
        "GetAssetStateStoreByName SetAssetStateStoreByName DeleteAssetStateStoreByName ClearAssetStateStoreByName"
    ),
    ("parity_calls", "asset_store_of_two"): (
        "GetAssetStateStoreByUri SetAssetStateStoreByUri DeleteAssetStateStoreByUri ClearAssetStateStoreByUri"
    ),
    ("parity_calls", "asset_store_async"): "GetAssetsByAlias",
    ("parity_assets", "inlet_events"): (
        "GetAssetByName GetAssetByUri GetAssetEventByAsset GetAssetEventByAssetAlias ValidateInletsAndOutlets"
    ),
    ("parity_branches", "stops"): "SkipDownstreamTasks",
    ("parity_deferral", "own_trigger"): "DeferTask",
    ("parity_deferral", "asks"): "AwaitInputTask",
    ("parity_deferral", "starts_a_run"): "TriggerDagRun",
    ("parity_mapping", "labelled"): "SetRenderedMapIndex",
    ("parity_mapping", "lazy"): "GetXComCount GetXComSequenceItem",
}


class EachRescheduled(dict):
    """Every task instance has been rescheduled once before."""

    def get(self, *_: Any) -> Any:
        return [EARLIER]


def test_the_table_of_messages_to_the_supervisor_is_complete() -> None:
    from typing import get_args

    from airflow.sdk.execution_time.comms import ToSupervisor

    known = {member.__name__ for member in get_args(get_args(ToSupervisor)[0])}
    assert set(" ".join(SENDERS.values()).split()) == known - {"ResendLoggingFD"}


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender[1])
def test_a_task_can_send_every_message_by_a_name_of_airflow(
    airflow: Any, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, sender: tuple[str, str]
) -> None:
    from airflow.sdk.execution_time.supervisor import ActivitySubprocess
    from conftest import DAGS

    sent = set()
    handle = ActivitySubprocess._handle_request

    def note(self: Any, msg: Any, *args: Any) -> None:
        sent.add(type(msg).__name__)
        handle(self, msg, *args)

    monkeypatch.setattr(ActivitySubprocess, "_handle_request", note)
    name, task_id = sender
    options: dict[str, Any] = {"map_index": 1} if task_id == "labelled" else {}
    xcoms = {key: value for key, value in UPSTREAM.items() if key != task_id}
    api = fill(airflow, name)
    api.reschedules = EachRescheduled()
    airflow.run_task(
        make_bundle(*FILES).parent, DAGS / f"{name}.py", name, task_id, api=api, max_tries=1, xcoms=xcoms, **options
    )
    assert set(SENDERS[sender].split()) <= sent

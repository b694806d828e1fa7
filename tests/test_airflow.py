"""Tasks of built bundles under the real supervisor and the real ExecutableCoordinator of apache-airflow.

Outcomes are read from what the supervisor asked of the Execution API, as a deployment would see them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import WAREHOUSE

Run = Callable[..., Any]


# Outcomes


def test_a_task_that_returns_succeeds_with_exit_code_zero(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "succeeds")
    assert result.state == "success", result
    assert (result.final_state, result.exit_code, result.error) == ("success", 0, None)
    assert result.xcom() == 42


def test_a_success_sends_its_asset_lists_empty_and_not_null(run: Run) -> None:
    (call,) = run("outcomes.py", "outcomes", "succeeds").api.asked("PATCH", "/state$")
    assert (call.body["task_outlets"], call.body["outlet_events"]) == ([], [])


def test_a_task_that_returns_none_pushes_no_xcom(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "returns_nothing")
    assert result.state == "success", result
    assert result.api.asked("POST", "^xcoms/") == []


def test_a_task_that_raises_fails(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "fails")
    assert result.state == "failed", result
    assert result.exit_code == 0


def test_a_task_with_retries_left_asks_the_api_for_a_retry(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "fails_once", max_tries=1)
    assert result.api.states() == ["up_for_retry"], result
    assert (result.final_state, result.exit_code) == ("up_for_retry", 0)


def test_the_second_try_knows_its_number_and_succeeds(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "fails_once", max_tries=1, try_number=2)
    assert result.state == "success", result
    assert result.xcom() == "worked on try 2"


def test_the_last_try_fails_for_good(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "fails", max_tries=1, try_number=2)
    assert result.api.states() == ["failed"], result


def test_airflow_fail_exception_is_not_retried(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "fails_for_good", max_tries=3)
    assert result.api.states() == ["failed"], result


def test_airflow_skip_exception_skips(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "skips")
    assert result.state == "skipped", result
    assert result.exit_code == 0


def test_sys_exit_in_a_task_fails_it(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "exits")
    assert result.state == "failed", result


def test_an_async_task_runs_to_its_end(run: Run) -> None:
    assert run("outcomes.py", "outcomes", "waits").xcom() == "waited"


@pytest.mark.only("bundle", "script")
def test_a_task_the_bundle_does_not_have_is_removed(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "no_such_task")
    assert result.state == "removed", result
    assert result.exit_code == 0


@pytest.mark.only("bundle", "script")
def test_a_dag_no_bundle_has_is_refused_by_the_coordinator_before_anything_starts(run: Run) -> None:
    result = run("outcomes.py", "no_such_dag", "succeeds")
    assert isinstance(result.error, FileNotFoundError)
    assert result.calls == []


def test_a_success_the_api_refused_once_is_delivered_all_the_same(run: Run, airflow: Any) -> None:
    api = airflow.ExecutionAPI()
    api.answer("PATCH", "/state$", 400)
    result = run("outcomes.py", "outcomes", "succeeds", api=api)
    assert api.states() == ["success"], result
    assert result.exit_code == 0


def test_a_start_the_api_refuses_runs_nothing(run: Run, airflow: Any) -> None:
    api = airflow.ExecutionAPI()
    detail = {"reason": "invalid_state", "message": "not queued", "previous_state": "success"}
    api.answer("PATCH", "/run$", (409, detail))
    result = run("outcomes.py", "outcomes", "succeeds", api=api)
    assert result.error is not None
    assert [call.path.rsplit("/", 1)[-1] for call in result.calls] == ["run"]


# XComs and arguments


def test_the_example_hands_values_from_task_to_task(run: Run, airflow: Any) -> None:
    api = airflow.ExecutionAPI()
    api.add_connection("warehouse", **WAREHOUSE)
    for task_id in ("extract", "transform", "load"):
        result = run("example_etl.py", "example_etl", task_id, api=api)
        assert api.states()[-1] == "success", result
    place = ("example_etl", "manual__run")
    assert api.xcoms[(*place, "transform", "total", -1)] == 118.03
    assert (
        api.xcoms[(*place, "load", "return_value", -1)] == "postgres://db.example/sales/orders/2026-01-02: 118.03 (Ada)"
    )


def test_multiple_outputs_become_one_xcom_each_and_one_for_all(run: Run) -> None:
    orders = [{"order": 1, "customer": "Ada", "amount": "2.00", "currency": "EUR"}]
    result = run("example_etl.py", "example_etl", "transform", xcoms={"extract": orders})
    pushed = [call.path.rsplit("/", 1)[-1] for call in result.api.asked("POST", "^xcoms/")]
    assert pushed == ["total", "best_customer", "return_value"], result
    assert result.xcom() == {"total": 2.0, "best_customer": "Ada"}


def test_a_dict_annotation_alone_means_multiple_outputs(run: Run) -> None:
    result = run("context.py", "context", "by_call")
    assert result.xcom("dag") == "context", result
    assert result.xcom()["task"] == "by_call"


def test_xcoms_of_an_earlier_try_are_cleared_first(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "succeeds", xcoms={("succeeds", "old"): 1})
    assert [c.method for c in result.api.asked(path="^xcoms/")] == ["GET", "DELETE", "POST"], result


def test_a_task_pushes_and_pulls_under_keys_of_its_own(run: Run, airflow: Any) -> None:
    api = airflow.ExecutionAPI()
    pushed = run("context.py", "context", "pushes", api=api)
    assert (pushed.xcom("rows"), pushed.xcom("when")) == ([1, 2, 3], "manual__run"), pushed
    pulled = run("context.py", "context", "pulls", api=api)
    assert pulled.xcom() == [[1, 2, 3], None, [[1, 2, 3], None]], pulled


def test_overridden_and_default_arguments_arrive(run: Run) -> None:
    result = run("two_dags.py", "two_dags_second", "add_more", xcoms={"add": 23})
    assert result.xcom() == 123, result


# Context


def test_context_names_as_parameters_are_filled_in(run: Run) -> None:
    result = run("context.py", "context", "by_name", conf={"limit": 3})
    assert result.xcom() == {
        "ds": "2026-01-02",
        "ts_nodash": "20260102T030405",
        "run_id": "manual__run",
        "logical_date": "2026-01-02T03:04:05+00:00",
        "params": {"table": "orders", "limit": 3},
        "conf": {"limit": 3},
        "ti": ["context", "by_name", "manual__run", 1, -1],
    }, result


def test_get_current_context_has_what_airflow_has(run: Run, airflow: Any) -> None:
    from conftest import DAGS

    ours = run("context.py", "context", "by_call")
    theirs = airflow.run_task(None, DAGS / "context.py", "context", "by_call")
    assert ours.xcom() == theirs.xcom(), ours


def test_a_run_without_a_logical_date_still_runs(run: Run) -> None:
    assert run("outcomes.py", "outcomes", "succeeds", logical_date=None).state == "success"


# Variables and connections


def test_a_variable_comes_from_the_api(run: Run) -> None:
    result = run("lookups.py", "lookups", "read_variable", variables={"greeting": "hello"})
    assert result.xcom() == "hello", result
    assert len(result.api.asked("GET", "^variables/greeting$")) == 1


def test_a_variable_in_the_environment_wins_and_the_api_is_not_asked(run: Run) -> None:
    result = run(
        "lookups.py", "lookups", "read_variable", variables={"greeting": "api"}, env={"AIRFLOW_VAR_GREETING": "env"}
    )
    assert result.xcom() == "env", result
    assert result.api.asked("GET", "^variables/") == []


def test_a_missing_variable_is_an_exception_the_task_can_catch(run: Run) -> None:
    assert run("lookups.py", "lookups", "read_missing_variable").xcom() == "AirflowRuntimeError"


def test_variables_have_defaults_and_json(run: Run) -> None:
    result = run("context.py", "context", "settings", variables={"text": "plain", "json": '{"a": [1]}'})
    assert result.xcom() == {"text": "plain", "json": {"a": [1]}, "absent": "a default"}, result
    assert result.api.variables["written"] == "by the task"


def test_variables_are_written_and_deleted(run: Run) -> None:
    result = run("lookups.py", "lookups", "write_variable", variables={"doomed": "x"})
    assert result.state == "success", result
    assert result.api.variables["written"] == "text"
    assert json.loads(result.api.variables["written_json"]) == {"a": [1, 2]}
    assert "doomed" not in result.api.variables


def test_a_connection_comes_from_the_api_whole(run: Run) -> None:
    result = run("lookups.py", "lookups", "read_connection", connections={"warehouse": WAREHOUSE})
    assert result.xcom() == {
        "id": "warehouse",
        "type": "postgres",
        "host": "db.example",
        "port": 5432,
        "login": "loader",
        "schema": "sales",
        "password_length": 9,
        "extra": {"sslmode": "require"},
    }, result


def test_a_connection_in_the_environment_wins(run: Run) -> None:
    uri = "postgres://someone:hidden@elsewhere:1/other"
    result = run(
        "lookups.py",
        "lookups",
        "read_connection",
        connections={"warehouse": WAREHOUSE},
        env={"AIRFLOW_CONN_WAREHOUSE": uri},
    )
    assert (result.xcom("host"), result.xcom("login"), result.xcom("schema")) == ("elsewhere", "someone", "other"), (
        result
    )
    assert result.api.asked("GET", "^connections/") == []


def test_get_uri_quotes_as_airflow_does(run: Run, airflow: Any) -> None:
    from conftest import DAGS

    ours = run("lookups.py", "lookups", "read_uri", connections={"warehouse": WAREHOUSE})
    theirs = airflow.run_task(None, DAGS / "lookups.py", "lookups", "read_uri", connections={"warehouse": WAREHOUSE})
    assert ours.xcom() == theirs.xcom(), ours


def test_a_missing_connection_is_not_found(run: Run) -> None:
    assert run("lookups.py", "lookups", "read_missing_connection").xcom() == "AirflowNotFoundException"


# Logs


def test_log_records_carry_level_logger_and_formatted_text(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "speaks")
    assert result.record("a word with text and 7")["level"] == "info"
    assert result.record("a warning word")["level"] == "warning"
    assert result.record("an error word")["event"] == "an error word\nin two lines"
    assert result.record("from a child logger")["logger"] == "outcomes.detail"


def test_the_default_level_leaves_debug_records_out(run: Run) -> None:
    assert "a whisper" not in run("outcomes.py", "outcomes", "speaks").events()


def test_the_level_of_airflows_configuration_lets_debug_records_in(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "speaks", env={"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"})
    assert result.record("a whisper")["level"] == "debug"


def test_a_higher_level_leaves_info_records_out(run: Run) -> None:
    events = run("outcomes.py", "outcomes", "speaks", env={"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}).events()
    assert "a word with text and 7" not in events
    assert "an error word\nin two lines" in events


@pytest.mark.only("bundle", "script")
def test_a_namespace_has_a_level_of_its_own(run: Run) -> None:
    env = {"AIRFLOW__LOGGING__NAMESPACE_LEVELS": "outcomes.detail=WARNING"}
    events = run("outcomes.py", "outcomes", "speaks", env=env).events()
    assert "from a child logger" not in events
    assert "a word with text and 7" in events


def test_print_and_warnings_are_in_the_log(run: Run) -> None:
    result = run("outcomes.py", "outcomes", "speaks")
    assert result.record("printed to stdout")["level"] == "info"
    assert result.record("printed to stderr")["logger"] == "task.stderr"
    assert "UserWarning" in json.dumps(result.record("this way is old"))


def test_a_failure_logs_its_traceback_in_the_form_the_ui_folds_out(run: Run) -> None:
    record = run("outcomes.py", "outcomes", "fails").record("Task failed with exception")
    assert record["level"] == "error"
    outer, cause = record["error_detail"]
    assert (outer["exc_type"], outer["exc_value"], outer["is_cause"]) == ("OutOfStock", "no apples left", False)
    assert (cause["exc_type"], cause["is_cause"]) == ("KeyError", True)
    frame = outer["frames"][-1]
    assert frame["name"] == "fails"
    assert frame["filename"].endswith("outcomes.py")
    source = (Path(__file__).parent / "dags" / "outcomes.py").read_text().splitlines()
    assert "raise OutOfStock" in source[frame["lineno"] - 1]


def test_log_exception_has_a_traceback_too(run: Run) -> None:
    record = run("outcomes.py", "outcomes", "speaks").record("caught and logged")
    assert record["error_detail"][0]["exc_type"] == "KeyError"


def test_secrets_of_a_connection_are_masked_in_the_log(run: Run) -> None:
    result = run("lookups.py", "lookups", "read_uri", connections={"warehouse": WAREHOUSE})
    assert "p@ss/word" not in result.log()


# Dag files and bundles


def test_a_slow_import_is_in_the_log_and_no_start_timeout(run: Run) -> None:
    result = run("slow_import.py", "slow_import", "work", startup_timeout=1.0, env={"SLOW_IMPORT_SECONDS": "1.5"})
    assert result.state == "success", result
    assert "the import begins" in result.events(logger="slow_import")
    assert "the import is over" in result.events()


@pytest.mark.parametrize(("dag_id", "value"), [("two_dags_first", 20), ("two_dags_second", 22)])
def test_one_file_may_hold_several_dags(run: Run, dag_id: str, value: int) -> None:
    assert run("two_dags.py", dag_id, "work").xcom() == value


@pytest.mark.only("bundle")
def test_a_bundle_of_two_files_imports_only_the_one_it_needs(run: Run, make_bundle: Callable[..., Path]) -> None:
    bundle = make_bundle("pair/north.py", "pair/south.py")
    north = run("pair/north.py", "north", "point", bundle=bundle)
    assert north.xcom() == "north, beside nobody", north
    south = run("pair/south.py", "south", "point", bundle=bundle)
    assert south.xcom() == "south", south
    assert "north.py is imported" not in south.events()


def test_operators_and_arrows_run(run: Run) -> None:
    assert run("classic.py", "classic", "start").state == "success"
    greeted = run("classic.py", "classic", "greet")
    assert greeted.xcom() == "Hello, Ada? It is 2026-01-02 in classic.", greeted
    assert greeted.xcom("greeted") == "Ada"
    xcoms = {"greet": "hello", ("greet", "greeted"): "Ada"}
    assert run("classic.py", "classic", "shout", xcoms=xcoms).xcom() == ["HELLO", "Ada"]


def test_the_project_around_a_dag_file_is_in_its_bundle(run: Run) -> None:
    queried = run("project/revenue.py", "revenue", "query")
    assert queried.xcom() == "select month, sum(amount) from orders group by month", queried
    reported = run("project/revenue.py", "revenue", "report", xcoms={"query": "select 1"})
    assert reported.xcom() == {"name": "revenue-by-month", "table": "  sql | select 1"}, reported


@pytest.mark.only("bundle")
def test_what_a_dag_file_declares_as_dependency_is_in_its_bundle(run: Run) -> None:
    result = run("with_dependency.py", "with_dependency", "readable")
    assert result.xcom() == "123.5 MB", result


# The same calls as Airflow's own runner makes

SAME = [
    ("outcomes.py", "outcomes", "succeeds", {}),
    ("outcomes.py", "outcomes", "fails", {}),
    ("outcomes.py", "outcomes", "fails_once", {"max_tries": 1}),
    ("outcomes.py", "outcomes", "fails_once", {"max_tries": 1, "try_number": 2}),
    ("outcomes.py", "outcomes", "fails_for_good", {"max_tries": 3}),
    ("outcomes.py", "outcomes", "skips", {}),
    ("outcomes.py", "outcomes", "returns_nothing", {}),
    ("outcomes.py", "outcomes", "exits", {}),
    ("outcomes.py", "outcomes", "waits", {}),
    ("outcomes.py", "outcomes", "succeeds", {"xcoms": {("succeeds", "old"): 1}}),
    (
        "example_etl.py",
        "example_etl",
        "transform",
        {"xcoms": {"extract": [{"customer": "A", "amount": "1", "currency": "EUR"}]}},
    ),
    (
        "example_etl.py",
        "example_etl",
        "load",
        {"xcoms": {("transform", "total"): 1.5, ("transform", "best_customer"): "A"}},
    ),
    ("classic.py", "classic", "start", {}),
    ("classic.py", "classic", "greet", {}),
    ("classic.py", "classic", "shout", {"xcoms": {"greet": "hello", ("greet", "greeted"): "Ada"}}),
    ("context.py", "context", "by_name", {"conf": {"limit": 3}}),
    ("context.py", "context", "by_call", {}),
    ("context.py", "context", "all_of_it", {}),
    ("context.py", "context", "pushes", {}),
    ("context.py", "context", "pulls", {"xcoms": {("pushes", "rows"): [1]}}),
    ("templated.py", "templated", "echo", {"variables": {"greeting": "hello"}}),
    ("context.py", "context", "settings", {"variables": {"text": "t", "json": "{}"}}),
    ("lookups.py", "lookups", "read_variable", {"variables": {"greeting": "hello"}}),
    ("lookups.py", "lookups", "read_missing_variable", {}),
    ("lookups.py", "lookups", "read_connection", {}),
    ("lookups.py", "lookups", "read_missing_connection", {}),
    ("lookups.py", "lookups", "write_variable", {"variables": {"doomed": "x"}}),
    ("two_dags.py", "two_dags_second", "add_more", {"xcoms": {"add": 23}}),
    ("project/revenue.py", "revenue", "report", {"xcoms": {"query": "select 1"}}),
]


@pytest.mark.parametrize(
    ("dag_file", "dag_id", "task_id", "options"), SAME, ids=[f"{row[2]}-{n}" for n, row in enumerate(SAME)]
)
def test_a_task_makes_the_calls_it_makes_in_airflow(
    run: Run, airflow: Any, dag_file: str, dag_id: str, task_id: str, options: dict[str, Any]
) -> None:
    from conftest import DAGS

    options = {"connections": {"warehouse": WAREHOUSE}, **options}
    ours = run(dag_file, dag_id, task_id, **options)
    theirs = airflow.run_task(None, DAGS / dag_file, dag_id, task_id, **options)
    assert airflow.recording(ours) == airflow.recording(theirs), ours.log()
    assert (ours.exit_code, str(ours.final_state)) == (theirs.exit_code, str(theirs.final_state))

"""Airflow's conformance table for language SDKs, as this project fills it: what the README's table is made from.

`python tests/conformance.py` prints the table. Each row names the test that proves it on a built bundle under Airflow's
own supervisor; `test_conformance.py` sees to that.
"""

from __future__ import annotations

A, E, P = "test_airflow.py", "test_e2e.py", "test_parity.py"
ASKS, ASSETS = (
    f"{P}::test_a_task_asks_what_it_asks_in_airflow",
    f"{P}::test_a_task_knows_of_assets_what_it_knows_in_airflow",
)
AROUND = f"{P}::test_what_surrounds_a_task_is_what_surrounds_it_in_airflow"

# (group, name of the capability in Airflow's table, test that proves it)
ROWS: list[tuple[str, str, str]] = [
    ("state", "success", f"{A}::test_a_task_that_returns_succeeds_with_exit_code_zero"),
    ("state", "failed", f"{A}::test_a_task_that_raises_fails"),
    ("state", "up_for_retry", f"{A}::test_a_task_with_retries_left_asks_the_api_for_a_retry"),
    ("state", "skipped", f"{A}::test_airflow_skip_exception_skips"),
    ("state", "deferred", f"{E}::test_a_task_that_defers_comes_back_with_what_the_triggerer_sent"),
    ("state", "up_for_reschedule", f"{E}::test_a_sensor_that_reschedules_looks_again_in_the_same_try"),
    ("state", "awaiting_input", f"{E}::test_a_person_answers_through_the_api"),
    ("state", "removed", f"{A}::test_a_task_the_bundle_does_not_have_is_removed"),
    ("run time", "mixed-lang-stub-target", f"{E}::test_the_example_ends_in_success_though_airflow_has_only_its_stub"),
    ("run time", "taskflow-binding", f"{A}::test_the_example_hands_values_from_task_to_task"),
    ("run time", "task-logging", f"{A}::test_log_records_carry_level_logger_and_formatted_text"),
    ("run time", "xcom-read-write", f"{A}::test_a_task_pushes_and_pulls_under_keys_of_its_own"),
    ("run time", "connection-read", f"{A}::test_a_connection_comes_from_the_api_whole"),
    ("run time", "variable-read-write", f"{A}::test_variables_are_written_and_deleted"),
    ("run time", "self-contained-bundle", f"{A}::test_what_a_dag_file_declares_as_dependency_is_in_its_bundle"),
    ("run time", "retry-policy", f"{AROUND}[policy_waits]"),
    ("run time", "task-state-store", f"{ASKS}[task_store]"),
    ("run time", "asset-state-store", f"{ASKS}[asset_store]"),
    ("run time", "asset-event-emit", f"{E}::test_an_asset_that_a_task_updates_starts_the_dag_that_waits_for_it"),
    ("run time", "asset-event-read", f"{E}::test_an_asset_that_a_task_updates_starts_the_dag_that_waits_for_it"),
    ("native Dags", "native-dag-authoring", f"{E}::test_a_run_ends_in_success_though_tasks_failed_and_were_skipped"),
    ("native Dags", "task-args", f"{A}::test_overridden_and_default_arguments_arrive"),
    ("native Dags", "dag-params", f"{AROUND}[params_merged-conf]"),
    ("native Dags", "taskflow-dependencies", f"{E}::test_xcoms_are_stored_where_a_task_returns_something"),
    ("native Dags", "branching", f"{E}::test_the_branch_that_was_not_chosen_is_skipped_before_it_starts"),
    ("native Dags", "dag-test", "test_run.py::test_a_run_ends_as_dag_test_ends_it[runs-run_branches]"),
    ("native Dags", "task-group", f"{E}::test_a_run_that_waits_maps_and_branches_ends_in_success"),
    (
        "native Dags",
        "dynamic-task-mapping",
        f"{E}::test_each_instance_of_a_mapped_task_has_its_value_its_label_and_its_log",
    ),
    ("native Dags", "asset-inlets-outlets", f"{ASSETS}[all_kinds_of_outlets]"),
    ("native Dags", "asset-scheduling", f"{E}::test_an_asset_that_a_task_updates_starts_the_dag_that_waits_for_it"),
    ("native Dags", "object-store", "test_providers.py::test_object_storage_is_written_and_read"),
]

# Airflow's `dag.test()` has no supervisor either.
WITHOUT_SUPERVISOR = {row[2] for row in ROWS if row[1] == "dag-test"}


def table() -> str:
    """Return the README's table in Markdown."""
    lines = ["| group | capability | proof, in `tests/` |", "| --- | --- | --- |"]
    for group, name, proof in ROWS:
        lines.append(f"| {group} | {name} | `{proof}` |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())

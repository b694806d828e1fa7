"""Airflow's conformance table for language SDKs, as this project fills it: what the README's table is made from.

`python tests/conformance.py` prints the table. Each row names the test that proves it.
"""

from __future__ import annotations

A, P, F, G = "test_airflow.py", "test_parity.py", "test_dag_form.py", "test_registry.py"

# (group, name of the capability in Airflow's table, test that proves it; None where there is none yet)
ROWS: list[tuple[str, str, str | None]] = [
    ("state", "success", f"{A}::test_a_task_that_returns_succeeds_with_exit_code_zero"),
    ("state", "failed", f"{A}::test_a_task_that_raises_fails"),
    ("state", "up_for_retry", f"{A}::test_a_task_with_retries_left_asks_the_api_for_a_retry"),
    ("state", "skipped", f"{A}::test_airflow_skip_exception_skips"),
    ("state", "deferred", f"{P}::test_a_task_waits_as_it_waits_in_airflow"),
    ("state", "up_for_reschedule", f"{P}::test_a_task_ends_as_it_ends_in_airflow"),
    ("state", "awaiting_input", f"{P}::test_a_task_waits_as_it_waits_in_airflow"),
    ("state", "removed", f"{A}::test_a_task_the_bundle_does_not_have_is_removed"),
    (
        "run time",
        "mixed-lang-stub-target",
        "test_stub.py::test_airflow_sees_the_same_ids_edges_and_settings_in_the_stub",
    ),
    ("run time", "taskflow-binding", f"{A}::test_the_example_hands_values_from_task_to_task"),
    ("run time", "task-logging", f"{A}::test_log_records_carry_level_logger_and_formatted_text"),
    ("run time", "xcom-read-write", f"{A}::test_a_task_pushes_and_pulls_under_keys_of_its_own"),
    ("run time", "connection-read", f"{A}::test_a_connection_comes_from_the_api_whole"),
    ("run time", "variable-read-write", f"{A}::test_variables_are_written_and_deleted"),
    ("run time", "self-contained-bundle", f"{A}::test_what_a_dag_file_declares_as_dependency_is_in_its_bundle"),
    ("run time", "retry-policy", f"{P}::test_what_surrounds_a_task_is_what_surrounds_it_in_airflow"),
    ("run time", "task-state-store", f"{P}::test_a_task_asks_what_it_asks_in_airflow"),
    ("run time", "asset-state-store", f"{P}::test_a_task_asks_what_it_asks_in_airflow"),
    ("run time", "asset-event-emit", f"{P}::test_a_task_knows_of_assets_what_it_knows_in_airflow"),
    ("run time", "asset-event-read", f"{P}::test_a_task_knows_of_assets_what_it_knows_in_airflow"),
    ("native Dags", "native-dag-authoring", f"{F}::test_a_dag_file_has_the_form_that_airflow_gives_it"),
    ("native Dags", "task-args", f"{A}::test_overridden_and_default_arguments_arrive"),
    ("native Dags", "dag-params", f"{G}::test_params_have_a_value_a_schema_and_a_description"),
    ("native Dags", "taskflow-dependencies", f"{G}::test_results_of_taskflow_join_their_tasks"),
    ("native Dags", "branching", f"{P}::test_a_task_skips_what_it_skips_in_airflow"),
    ("native Dags", "dag-test", "test_run.py::test_a_run_ends_as_dag_test_ends_it"),
    ("native Dags", "task-group", f"{G}::test_groups_prefix_ids_nest_and_can_be_joined"),
    ("native Dags", "dynamic-task-mapping", f"{P}::test_an_instance_of_a_mapped_task_gets_what_it_gets_in_airflow"),
    ("native Dags", "asset-inlets-outlets", f"{P}::test_a_task_knows_of_assets_what_it_knows_in_airflow"),
    ("native Dags", "asset-scheduling", f"{F}::test_a_dag_file_has_the_form_that_airflow_gives_it"),
    (
        "native Dags",
        "object-store",
        "test_airflow_names.py::test_object_storage_paths_are_airflows_and_read_what_is_there",
    ),
]


def table() -> str:
    """Return the README's table in Markdown."""
    lines = ["| group | capability | | proof, in `tests/` |", "| --- | --- | --- | --- |"]
    for group, name, proof in ROWS:
        lines.append(f"| {group} | {name} | {'yes' if proof else 'not yet'} | {f'`{proof}`' if proof else ''} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())

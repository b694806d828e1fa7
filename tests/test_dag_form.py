"""The serialised form of Dags, judged by Airflow's own serialiser on the same files."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parity
from building import HAS_LATEST_PROVIDERS

pytest.importorskip("airflow.serialization.serialized_objects", reason="apache-airflow is not installed")

FILES = parity.own_files() + parity.example_files()

# The only files of the corpus in which Airflow itself finds no Dag here.
NEED_A_PROVIDER = {"example_kubernetes_executor", "example_local_kubernetes_executor"}


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return parity.real_forms(FILES)


@pytest.fixture(scope="module")
def encoded() -> dict[str, Any]:
    return parity.encoder_forms(FILES)


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return parity.bundle_forms(FILES)


def test_the_corpus_is_whole(real: dict[str, Any]) -> None:
    without_dags = {file.stem for file in FILES if not real[str(file)]["dags"]}
    assert without_dags == NEED_A_PROVIDER
    assert [file.stem for file in FILES if real[str(file)]["errors"]] == []
    # Two more stand in the files that need a provider.
    assert sum(len(real[str(file)]["dags"]) for file in parity.example_files()) >= 113


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_encoder_writes_a_real_dag_as_airflow_does(
    file: Path, encoded: dict[str, Any], real: dict[str, Any]
) -> None:
    assert list(parity.compare(encoded[str(file)], real[str(file)])) == []


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_dag_file_has_the_form_that_airflow_gives_it(file: Path, ours: dict[str, Any], real: dict[str, Any]) -> None:
    if file.stem == "standard_operators" and not HAS_LATEST_PROVIDERS:
        pytest.skip("DateTimeSensorAsync of an older provider cannot start in the triggerer")
    assert list(parity.compare(ours[str(file)], real[str(file)])) == []


def test_the_command_line_prints_the_same_form(real: dict[str, Any]) -> None:
    file = parity.ROOT / "tests" / "dags" / "forms" / "params.py"
    command = [sys.executable, str(parity.MODULE), str(file), "--parse", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    printed = {form["data"]["dag"]["dag_id"]: form["data"] for form in result["serialized_dags"]}
    assert list(parity.compare({"dags": printed, "errors": []}, real[str(file)])) == []


def test_the_tables_are_those_of_airflows_schema_and_classes() -> None:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from airflow.serialization.encoders import _Serializer
    from airflow.serialization.serialized_objects import OperatorSerialization

    import coordinator_bundle as module

    defaults = OperatorSerialization.get_schema_defaults("operator")
    assert {k: v for k, v in defaults.items() if v is not None} == module._OPERATOR_DEFAULTS
    assert OperatorSerialization.get_operator_optional_fields_from_schema() == module._OPERATOR_OPTIONAL
    assert BaseOperator.get_serialized_fields() == set(module._OPERATOR_FIELDS.split())
    assert MappedOperator.get_serialized_fields() == set(module._MAPPED_OPERATOR_FIELDS.split())
    assert OperatorSerialization._FORBIDDEN_TEMPLATE_FIELDS == module._FORBIDDEN_TEMPLATE_FIELDS
    timetables = {cls.__name__: path for cls, path in _Serializer.BUILTIN_TIMETABLES.items()}
    assert timetables == module._TIMETABLES
    mappers = {cls.__name__: path.split(".")[2] for cls, path in _Serializer.BUILTIN_PARTITION_MAPPERS.items()}
    assert mappers == {name: folder for name, (folder, _) in module._PARTITION_MAPPERS.items()}
    assert {cls.__name__ for cls in _Serializer.BUILTIN_WINDOWS} == module._WINDOWS
    assert {cls.__name__ for cls in _Serializer.BUILTIN_WAIT_POLICIES} == module._WAIT_POLICIES


def _serialize_real(tmp_path: Path, source: str) -> tuple[Any, Any]:
    """Parse a Dag file with the real package; give its only Dag, and our module."""
    from airflow.dag_processing.dagbag import DagBag

    import coordinator_bundle

    file = tmp_path / "one_dag.py"
    file.write_text(textwrap.dedent(source))
    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors
    return next(iter(bag.dags.values())), coordinator_bundle


def test_an_events_timetable_is_written_although_airflow_fails_to_read_it_back(tmp_path: Path) -> None:
    from airflow.serialization.encoders import encode_timetable

    dag, module = _serialize_real(
        tmp_path,
        """
        from datetime import datetime, timezone
        from airflow.sdk import DAG, EventsTimetable

        dates = [datetime(2026, 3, 1, 8, tzinfo=timezone.utc), datetime(2026, 1, 1, tzinfo=timezone.utc)]
        dag = DAG("events", schedule=EventsTimetable(dates, restrict_to_events=True, description="meetings"))
        """,
    )
    assert module.serialize_dag(dag)["dag"]["timetable"] == json.loads(json.dumps(encode_timetable(dag.timetable)))


def test_a_template_field_named_like_an_argument_of_every_operator_is_refused_in_airflows_words(tmp_path: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag, module = _serialize_real(
        tmp_path,
        """
        from airflow.sdk import DAG, BaseOperator

        class Wrong(BaseOperator):
            template_fields = ("queue",)

        with DAG("wrong", schedule=None) as dag:
            Wrong(task_id="wrong")
        """,
    )
    with pytest.raises(Exception) as theirs:
        DagSerialization.to_dict(dag)
    with pytest.raises(module.SerializationError) as mine:
        module.serialize_dag(dag)
    assert str(mine.value) == str(theirs.value).replace(" " * 24, "")
    assert type(mine.value).__name__ == type(theirs.value).__name__


def test_a_form_is_plain_json_and_does_not_change_from_one_parse_to_the_next() -> None:
    file = parity.ROOT / "tests" / "dags" / "forms" / "params.py"
    first, second = parity.bundle_forms([file]), parity.bundle_forms([file])
    assert first[str(file)]["dags"]
    assert json.dumps(first) == json.dumps(second)

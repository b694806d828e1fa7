"""Messages against the real schema.json and the real pydantic models, over real frames."""

from __future__ import annotations

import datetime as dt
import enum
import importlib.resources
import json
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coordinator_bundle as cb
from coordinator_bundle import MESSAGES, Message, MessageError, decode_message

msgpack = pytest.importorskip("msgpack")
msgspec = pytest.importorskip("msgspec")
comms = pytest.importorskip("airflow.sdk.execution_time.comms")
pydantic = pytest.importorskip("pydantic")
pendulum = pytest.importorskip("pendulum")
real_schema = pytest.importorskip("airflow.sdk.execution_time.schema")

UTC = dt.timezone.utc
SCHEMA = json.loads((importlib.resources.files("airflow.sdk.execution_time.schema") / "schema.json").read_text())
DEFS: dict[str, dict[str, Any]] = SCHEMA["$defs"]
ENUMS = [name for name, definition in DEFS.items() if "enum" in definition]
CLASSES = [name for name, definition in DEFS.items() if "properties" in definition]
TAGGED = [name for name in CLASSES if DEFS[name]["properties"].get("type", {}).get("const") == name]
REAL = real_schema.registered_models_by_name()
to_supervisor = pydantic.TypeAdapter(comms.ToSupervisor)
to_task = pydantic.TypeAdapter(comms.ToTask)
request_decoder = msgspec.msgpack.Decoder(comms._RequestFrame)
UUID = "018e2b3c-4d5e-7f80-9a0b-1c2d3e4f5a6b"
NOW = dt.datetime(2026, 6, 16, 12, 30, 0, 123456, UTC)


def union_members(adapted: Any) -> list[str]:
    return [cls.__name__ for cls in real_schema._iter_model_types(adapted)]


def over_the_wire(body: dict[str, Any]) -> dict[str, Any]:
    """What the supervisor's own frame reader makes of a body that we send."""
    frame = b"".join(cb.encode_request(1, body))
    decoded = request_decoder.decode(frame[4:])
    assert decoded.body is not None
    return decoded.body


def supervisor_accepts(body: dict[str, Any]) -> Any:
    """The supervisor's path for a coordinator's request: frame, schema migration, validation. Raises as it does."""
    received = over_the_wire(body)
    model = real_schema.resolve_body_class(received)
    migrator = real_schema.get_schema_version_migrator()
    return to_supervisor.validate_python(migrator.upgrade(received, model, cb.SCHEMA_VERSION))


def airflow_wire(model: Any, **options: Any) -> dict[str, Any]:
    """The body that Airflow puts on the wire for one of its models."""
    frame = comms._ResponseFrame(id=1, body=model.model_dump(**options)).as_bytes()
    body = msgspec.msgpack.decode(bytes(frame)[4:])[1]
    assert isinstance(body, dict)
    return body


# --- the schema -------------------------------------------------------------------------------------------------------


def annotation(schema: dict[str, Any]) -> str:
    """A JSON schema in the words of our annotations."""
    if not schema:
        return "Any"
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(map(annotation, schema[union]))
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return "Literal[" + ", ".join(map(repr, schema["enum"])) + "]"
    kind = schema["type"]
    known = {"type", "title", "default", "format", "items", "additionalProperties"}
    if "prefixItems" in schema:
        assert schema["minItems"] == schema["maxItems"] == len(schema["prefixItems"])
        return "tuple[" + ", ".join(map(annotation, schema["prefixItems"])) + "]"
    if kind == "array":
        if schema.get("minItems") == 1:
            return f"NonEmptyList[{annotation(schema['items'])}]" if set(schema) <= known | {"minItems"} else "?"
        return f"list[{annotation(schema['items'])}]" if set(schema) <= known else "?"
    if set(schema) - known:
        return "?"  # a constraint that we know nothing of
    if kind == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {'Any' if values is True else annotation(values)}]"
    if kind == "string" and "format" in schema:
        return {"date-time": "datetime", "duration": "timedelta", "uuid": "UuidText", "path": "PathText"}[
            schema["format"]
        ]
    return {"string": "str", "integer": "int", "boolean": "bool", "number": "float", "null": "None"}[kind]


def our_fields(cls: type) -> dict[str, tuple[str, Any]]:
    """name -> (annotation, default or ...)"""
    fields: dict[str, tuple[str, Any]] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Message) and base not in (Message, cb.Tagged):
            for name, text in base.__annotations__.items():
                fields[name] = (text, base.__dict__.get(name, ...))
    return fields


def test_the_schema_is_the_one_we_name():
    assert SCHEMA["api_version"] == cb.SCHEMA_VERSION
    assert len(DEFS) == 111
    assert set(DEFS) == set(ENUMS) | set(CLASSES) | {"JsonValue"}


def test_every_definition_has_its_class_and_no_class_is_without_definition():
    ours = {
        name
        for name, value in vars(cb).items()
        if isinstance(value, type) and value.__module__ == cb.__name__ and issubclass(value, (Message, cb.Enumeration))
    } - {"Message", "Tagged", "Enumeration"}
    assert ours == set(ENUMS) | set(CLASSES)


def test_every_tagged_definition_is_found_by_its_type():
    assert set(MESSAGES) == set(TAGGED)
    for tag, cls in MESSAGES.items():
        assert cls.__name__ == cls.type == tag
        assert cls is getattr(cb, tag)
    for name in set(CLASSES) - set(TAGGED):
        assert getattr(cb, name).type is None or name == "AssetProfile"


def test_every_model_of_airflows_unions_is_there():
    # those that are only ever inside another message's list are no members of a union
    callbacks = {"DagCallbackRequest", "TaskCallbackRequest", "EmailRequest"}
    assert set(REAL) | callbacks == set(MESSAGES)


@pytest.mark.parametrize("name", ENUMS)
def test_enumerations_have_the_values_of_the_schema(name):
    cls = getattr(cb, name)
    assert list(cls.VALUES) == DEFS[name]["enum"]
    for value in cls.VALUES:
        assert getattr(cls, value.upper()) == value


@pytest.mark.parametrize("name", CLASSES)
def test_fields_types_defaults_and_requiredness_are_those_of_the_schema(name):
    definition = DEFS[name]
    expected = {}
    for field, schema in definition["properties"].items():
        if field == "type" and name in TAGGED:
            continue
        if field in definition.get("required", ()):
            default = ...
        else:
            # pydantic leaves default factories out of a schema, and all there are make empty lists
            default = schema["default"] if "default" in schema else []
        expected[field] = (annotation(schema), default)
    assert our_fields(getattr(cb, name)) == expected


# --- random values against the real models ----------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=8)
integers = st.integers(-(2**31), 2**31)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
datetimes = st.datetimes(
    dt.datetime(1970, 1, 1),
    dt.datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))]),
)
durations = st.timedeltas(dt.timedelta(days=-4000), dt.timedelta(days=4000))


def values_for(schema: dict[str, Any], nested: Any) -> st.SearchStrategy:
    if not schema:
        return json_values
    if "$ref" in schema:
        return definition_values(schema["$ref"].rpartition("/")[2], nested)
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return st.one_of([values_for(member, nested) for member in schema[union]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if "prefixItems" in schema:
        return st.tuples(*[values_for(member, nested) for member in schema["prefixItems"]])
    if kind == "array":
        return st.lists(values_for(schema["items"], nested), min_size=schema.get("minItems", 0), max_size=2)
    if kind == "object":
        members = schema.get("additionalProperties", True)
        return st.dictionaries(texts, json_values if members is True else values_for(members, nested), max_size=2)
    if kind == "string":
        return {
            None: texts,
            "date-time": datetimes,
            "duration": durations,
            "uuid": st.uuids().map(str),
            # As pathlib writes it, which is how Airflow sends it.
            "path": texts.map(lambda text: str(Path(f"/{text.replace(chr(0), '')}"))),
        }[schema.get("format")]
    return {"integer": integers, "boolean": st.booleans(), "number": floats, "null": st.none()}[kind]


def definition_values(name: str, nested: Any) -> st.SearchStrategy:
    definition = DEFS[name]
    if name == "JsonValue":
        return json_values
    if "enum" in definition:
        return st.sampled_from(definition["enum"])
    required, optional = {}, {}
    for field, schema in definition["properties"].items():
        tag = field == "type" and name in TAGGED
        chosen = required if tag or field in definition.get("required", ()) else optional
        chosen[field] = st.deferred(lambda schema=schema: values_for(schema, nested))
    if name == "LazyDeserializedDAG":
        optional.clear()  # Airflow keeps last_loaded to itself
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: nested(name, fields))


def without_type(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "type"}


def as_our_message(name: str, fields: dict[str, Any]) -> Any:
    return getattr(cb, name)(**(without_type(fields) if name in TAGGED else fields))


def as_dict(name: str, fields: dict[str, Any]) -> Any:
    return fields


random_settings = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("name", union_members(comms.ToSupervisor))
@random_settings
@given(data=st.data())
def test_what_we_build_is_on_the_wire_what_airflows_runner_sends(name, data):
    fields = data.draw(definition_values(name, as_dict))
    ours = getattr(cb, name)(**without_type(fields))
    accepted = supervisor_accepts(ours.to_body())
    assert type(accepted) is REAL[name]
    theirs = REAL[name](**fields)
    assert over_the_wire(ours.to_body()) == airflow_wire(theirs)
    assert ours.fields_set == set(without_type(fields))


@pytest.mark.parametrize("name", ["SucceedTask", "CreateHITLDetailPayload"])
@random_settings
@given(data=st.data())
def test_nested_messages_may_be_given_as_messages(name, data):
    supervisor_accepts(data.draw(definition_values(name, as_our_message)).to_body())


@pytest.mark.parametrize("unset", [True, False], ids=["exclude_unset", "everything"])
@pytest.mark.parametrize("name", sorted(REAL))
@random_settings
@given(data=st.data())
def test_what_airflow_sends_is_decoded_to_the_same_fields(name, unset, data):
    fields = data.draw(definition_values(name, as_dict))
    theirs = REAL[name](**fields)
    body = airflow_wire(theirs, exclude_unset=unset, by_alias=True)
    message = decode_message(body)
    assert type(message) is MESSAGES[name]
    if unset:
        assert over_the_wire(message.to_body(exclude_unset=True)) == body | {"type": name}
    for field, value in fields.items():
        if isinstance(value, (str, int, float, type(None), dt.datetime, dt.timedelta)) and field != "type":
            assert getattr(message, field) == value
    # and it is a message that decodes to itself
    assert decode_message(over_the_wire(message.to_body())) == message


@pytest.mark.parametrize("name", union_members(comms.ToTask))
@random_settings
@given(data=st.data())
def test_what_we_build_for_a_task_is_what_airflows_runner_can_decode(name, data):
    message = data.draw(definition_values(name, as_our_message))
    assert type(to_task.validate_python(over_the_wire(message.to_body()))) is REAL[name]


@pytest.mark.parametrize("name", union_members(comms.ToTask))
@random_settings
@given(data=st.data())
def test_bodies_dumped_as_json_are_decoded_the_same(name, data):
    """A schema migration in the supervisor dumps by pydantic's JSON mode: times and durations arrive as text."""
    theirs = REAL[name](**data.draw(definition_values(name, as_dict)))
    plain = decode_message(airflow_wire(theirs, by_alias=True))
    assert decode_message(theirs.model_dump(mode="json", by_alias=True)) == plain


# --- building is strict -----------------------------------------------------------------------------------------------

XCOM = {"key": "k", "dag_id": "d", "run_id": "r", "task_id": "t"}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: cb.GetXCom(key="k"), "GetXCom: missing dag_id, run_id, task_id"),
        (lambda: cb.GetXCom(**XCOM, mapindex=1), "GetXCom: unknown field mapindex; it has key, .*map_index"),
        (lambda: cb.GetXCom(**{**XCOM, "dag_id": None}), r"GetXCom\.dag_id: expected str, got null"),
        (lambda: cb.GetXCom(**XCOM, map_index=True), r"GetXCom\.map_index: expected int, got bool"),
        (lambda: cb.GetXCom(**XCOM, map_index="1"), r"GetXCom\.map_index: expected int, got str"),
        (lambda: cb.GetXCom(**XCOM, include_prior_dates=None), r"include_prior_dates: expected bool, got null"),
        (lambda: cb.GetXCom(**XCOM, type="SetXCom"), "GetXCom: the type is 'SetXCom'"),
        (lambda: cb.TaskState(state="success"), r"TaskState\.state: expected one of failed, skipped, removed"),
        (lambda: cb.SucceedTask(state="failed", end_date=NOW), r"SucceedTask\.state: expected one of success"),
        (lambda: cb.SucceedTask(end_date=dt.datetime(2026, 1, 1)), r"SucceedTask\.end_date: .*no time zone"),
        (lambda: cb.SucceedTask(end_date="2026-01-01T00:00:00"), r"SucceedTask\.end_date: .*no time zone"),
        (lambda: cb.SucceedTask(end_date=NOW.date()), r"SucceedTask\.end_date: expected an aware datetime, got .*date"),
        (lambda: cb.SucceedTask(end_date=NOW, task_outlets=[{"name": "a"}]), r"task_outlets\[0\]: missing type"),
        (
            lambda: cb.SucceedTask(end_date=NOW, task_outlets=[cb.AssetProfile(type="Asset"), {"type": 1}]),
            r"SucceedTask\.task_outlets\[1\]\.type: expected str, got int",
        ),
        (
            lambda: cb.SucceedTask(end_date=NOW, outlet_events=[{1: 2}]),
            r"outlet_events\[0\]: expected str as every key",
        ),
        (
            lambda: cb.SkipDownstreamTasks(tasks=["a", ("b", "c")]),
            r"SkipDownstreamTasks\.tasks\[1\]\[1\]: expected int",
        ),
        (lambda: cb.SkipDownstreamTasks(tasks=[("b",)]), r"SkipDownstreamTasks\.tasks\[0\]: expected str or tuple"),
        (lambda: cb.UpdateHITLDetail(ti_id=UUID, chosen_options=[]), "chosen_options: at least one"),
        (
            lambda: cb.UpdateHITLDetail(ti_id=UUID, chosen_options="abc"),
            r"chosen_options: expected list\[str\], got str",
        ),
        (lambda: cb.GetTICount(dag_id="d", task_ids=["a", 1]), r"GetTICount\.task_ids\[1\]: expected str, got int"),
        (lambda: cb.ClearTaskStateStore(ti_id="not-a-uuid"), "expected a UUID, got 'not-a-uuid'"),
        (lambda: cb.ClearTaskStateStore(ti_id=UUID[:-1] + "_"), "expected a UUID"),
        (lambda: cb.ClearTaskStateStore(ti_id=UUID[:-2] + "  "), "expected a UUID"),
        (lambda: cb.RetryTask(end_date=NOW, retry_delay_seconds=float("nan")), "retry_delay_seconds: nan is not"),
        (lambda: cb.DeferTask(classpath="c", next_method="m", trigger_timeout="soon"), "trigger_timeout: .*ISO 8601"),
        (
            lambda: cb.DeferTask(classpath="c", next_method="m", trigger_timeout=5),
            "trigger_timeout: expected a timedelta",
        ),
        (lambda: cb.GetPreviousTI(dag_id="d", task_id="t", state="done"), r"GetPreviousTI\.state: expected one of"),
    ],
)
def test_a_wrong_message_cannot_be_built_and_the_error_names_the_place(build, words):
    with pytest.raises(MessageError, match=words):
        build()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1, {2}]}, r"SetXCom\.value\['a'\]\[1\]: set is not a JSON value"),
        ({"a": {1: 2}}, r"SetXCom\.value\['a'\]: a key of JSON is a str, not int"),
        ([b"bytes"], r"SetXCom\.value\[0\]: bytes is not a JSON value"),
        (NOW, r"SetXCom\.value: datetime\.datetime is not a JSON value"),
        ([[[object()]]], r"SetXCom\.value\[0\]\[0\]\[0\]: object is not"),
        ([{"x": 1}] * 3 + [{"y": [None, 1j]}], r"SetXCom\.value\[3\]\['y'\]\[1\]: complex is not"),
    ],
)
def test_what_is_no_json_value_is_named_with_its_path_and_the_supervisor_would_not_answer_it(value, words):
    with pytest.raises(MessageError, match=words):
        cb.SetXCom(**XCOM, value=value)
    with pytest.raises(Exception):  # noqa: B017 - that it refuses is the point, not how
        supervisor_accepts({**XCOM, "type": "SetXCom", "value": value})


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: {"k": v}, lambda v: {"k": [v]}], ids=["list", "dict", "both"]
)
@pytest.mark.parametrize(
    "build",
    [
        lambda value: cb.SetXCom(**XCOM, value=value),
        lambda value: cb.SetRenderedFields(rendered_fields={"f": value}),
        lambda value: cb.DeferTask(classpath="c", next_method="m", trigger_kwargs={"f": value}),
        lambda value: cb.TriggerDagRun(dag_id="d", run_id="r", conf={"f": value}),
        lambda value: cb.SucceedTask(end_date=NOW, outlet_events=[{"f": value}]),
    ],
    ids=["SetXCom", "SetRenderedFields", "DeferTask", "TriggerDagRun", "SucceedTask"],
)
def test_the_deepest_value_that_can_be_built_is_still_answered_by_the_supervisor(build, wrap):
    depth = 1
    while True:
        try:
            message = build(nested(depth + 1, wrap))
        except MessageError as error:
            assert "nested more than" in str(error)
            break
        depth += 1
    supervisor_accepts(build(nested(depth, wrap)).to_body())
    assert depth >= 100
    assert message is not None


def test_a_value_that_contains_itself_is_refused():
    endless: list = []
    endless += [endless, endless, {"again": endless}]
    with pytest.raises(MessageError, match="containing itself"):
        cb.MaskSecret(value=endless)


def test_json_values_of_related_types_go_out_as_what_they_are():
    class Colour(str, enum.Enum):
        RED = "red"

    class Text(str):
        pass

    value = {"tuple": (1, 2), "ordered": OrderedDict(a=1), "colour": Colour.RED, Text("text"): Text("more"), "nan": 1.5}
    accepted = supervisor_accepts(cb.SetXCom(**XCOM, value=value).to_body())
    assert accepted.value == {"tuple": [1, 2], "ordered": {"a": 1}, "colour": "red", "text": "more", "nan": 1.5}


def test_values_of_convenient_types_are_taken():
    retry = cb.RetryTask(end_date="2026-06-16T12:30:00.123456Z", retry_delay_seconds=60)
    assert retry.end_date == NOW and retry.retry_delay_seconds == 60.0
    assert cb.ClearTaskStateStore(ti_id=uuid.UUID(UUID)).ti_id == UUID
    assert cb.DagFileParseRequest(file="f", bundle_path=Path("/b"), bundle_name="n").bundle_path == "/b"

    class State(str, enum.Enum):
        FAILED = "failed"

    assert cb.TaskState(state=State.FAILED).to_body()["state"] == "failed"
    paris = pendulum.datetime(2026, 6, 16, tz="Europe/Paris")
    assert supervisor_accepts(cb.SucceedTask(end_date=paris).to_body()).end_date == paris


def test_a_large_value_is_neither_copied_nor_walked_when_built_and_dumped():
    big = ["x" * 100] * 10
    message = cb.SetXCom(**XCOM, value=big)
    assert message.value is big and message.to_body()["value"] is big


def test_a_subclass_in_a_nested_place_does_not_bring_its_type_along():
    run = cb.DagRunResult(
        dag_id="d",
        run_id="r",
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        run_after=NOW,
        start_date=None,
        end_date=None,
        run_type="manual",
        state="running",
        consumed_asset_events=[],
        partition_key=None,
    )
    body = cb.PreviousDagRunResult(dag_run=run).to_body()
    assert "type" not in body["dag_run"]
    to_task.validate_python(body)


def test_default_lists_are_not_shared():
    first, second = (cb.DagFileParseRequest(file="f", bundle_path="/b", bundle_name="n") for _ in range(2))
    first.callback_requests.append("x")
    assert second.callback_requests == [] and "callback_requests" not in second.fields_set


# --- decoding is lenient where supervisors differ ---------------------------------------------------------------------

TI = {"id": UUID, "task_id": "t", "dag_id": "d", "run_id": "r", "try_number": 1, "dag_version_id": UUID}
DAG_RUN = {
    "dag_id": "d",
    "run_id": "r",
    "run_after": NOW,
    "run_type": "manual",
    "state": "running",
    "consumed_asset_events": [],
}
STARTUP = {
    "type": "StartupDetails",
    "ti": TI,
    "dag_rel_path": "a.py",
    "bundle_info": {"name": "b"},
    "start_date": NOW,
    "ti_context": {"dag_run": DAG_RUN, "max_tries": 2},
    "sentry_integration": "",
}


def test_fields_of_a_newer_supervisor_are_kept_aside():
    body = {**STARTUP, "ti_context": {**STARTUP["ti_context"], "arg_bindings": [{"kind": "literal"}]}, "later": 1}  # type: ignore[dict-item]
    message = decode_message(body)
    assert isinstance(message, cb.StartupDetails)
    assert message.extra_fields == {"later": 1}
    assert message.ti_context.extra_fields == {"arg_bindings": [{"kind": "literal"}]}
    assert message.ti.extra_fields == {}
    assert "later" not in message.to_body()


def test_absent_fields_have_their_defaults_and_are_not_in_fields_set():
    message = decode_message(STARTUP)
    assert isinstance(message, cb.StartupDetails)
    context = message.ti_context
    assert (context.variables, context.should_retry, context.next_method) == ([], False, None)
    assert (message.ti.map_index, message.ti.queue) == (-1, "default")
    assert context.fields_set == {"dag_run", "max_tries"}


def test_an_absent_field_that_may_be_null_is_null():
    assert decode_message({"type": "VariableResult", "key": "k"}) == cb.VariableResult(key="k", value=None)
    connection = decode_message({"type": "ConnectionResult", "conn_id": "c", "conn_type": "http"})
    assert isinstance(connection, cb.ConnectionResult)
    assert connection.port is None and connection.fields_set == {"conn_id", "conn_type"}
    run = decode_message({"type": "DagRunResult", **DAG_RUN})
    assert isinstance(run, cb.DagRunResult) and run.logical_date is None


def test_null_for_a_field_with_a_default_is_the_default():
    context = {"dag_run": DAG_RUN, "max_tries": 0, "variables": None, "xcom_keys_to_clear": None, "should_retry": None}
    decoded = cb.TIRunContext.from_body(context)
    assert (decoded.variables, decoded.xcom_keys_to_clear, decoded.should_retry) == ([], [], False)


def test_the_schema_of_a_connection_arrives_under_either_name():
    for name in ("schema", "schema_"):
        assert cb.ConnectionResponse.from_body({"conn_id": "c", "conn_type": "t", name: "db"}).schema == "db"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"type": "NewThing"}, "unknown message type 'NewThing'.*2026-06-16"),
        ({"type": ["x"]}, "unknown message type"),
        ({"value": 1}, "no `type`"),
        ("text", "must be a map, got str"),
        (None, "must be a map, got NoneType"),
        ({"type": "XComResult"}, "XComResult: missing key"),
        ({"type": "OKResponse", "ok": 1}, r"OKResponse\.ok: expected bool, got int"),
        ({"type": "DRCount", "count": None}, r"DRCount\.count: expected int, got null"),
        ({**STARTUP, "ti": None}, r"StartupDetails\.ti: expected TaskInstance, got null"),
        ({**STARTUP, "ti": {**TI, "id": "x"}}, r"StartupDetails\.ti\.id: expected a UUID, got 'x'"),
        (
            {**STARTUP, "ti_context": {"dag_run": {**DAG_RUN, "state": "gone"}, "max_tries": 1}},
            r"StartupDetails\.ti_context\.dag_run\.state: expected one of queued, .*'gone'",
        ),
        ({"type": "TaskRescheduleStartDate", "start_date": "yesterday"}, r"start_date: expected an ISO 8601 date"),
        (
            {
                "type": "DagFileParseRequest",
                "file": "f",
                "bundle_path": "/",
                "bundle_name": "b",
                "callback_requests": [{"type": "OtherRequest"}],
            },
            r"callback_requests\[0\]: expected one of DagCallbackRequest, .*'OtherRequest'",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_an_error_that_names_the_place(body, words):
    with pytest.raises(MessageError, match=words):
        decode_message(body)


@given(
    st.dictionaries(st.sampled_from(["type", "ti", "key", "value", "ok", "root"]), json_values) | json_values,
    st.sampled_from(TAGGED),
)
@settings(max_examples=300)
def test_any_body_gives_a_message_or_a_message_error(body, tag):
    if isinstance(body, dict):
        body["type"] = tag
    try:
        decode_message(body)
    except MessageError:
        pass


def test_callbacks_are_told_apart_by_their_type():
    callback = {"filepath": "f", "bundle_name": "b", "bundle_version": None}
    request = decode_message(
        {
            "type": "DagFileParseRequest",
            "file": "f",
            "bundle_path": "/",
            "bundle_name": "b",
            "callback_requests": [
                {**callback, "type": "DagCallbackRequest", "dag_id": "d", "run_id": "r"},
                {**callback, "type": "TaskCallbackRequest", "ti": TI},
            ],
        }
    )
    assert isinstance(request, cb.DagFileParseRequest)
    assert [type(item).__name__ for item in request.callback_requests] == ["DagCallbackRequest", "TaskCallbackRequest"]
    assert [item["type"] for item in request.to_body()["callback_requests"]] == [
        "DagCallbackRequest",
        "TaskCallbackRequest",
    ]


# --- times ------------------------------------------------------------------------------------------------------------


@given(st.datetimes(timezones=st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))])))
def test_times_written_by_pydantic_are_read(value):
    text = json.loads(pydantic.TypeAdapter(dt.datetime).dump_json(value))
    assert cb.datetime_from_iso(text) == value == cb.datetime_from_iso(value.isoformat())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-16T12:30:00Z", dt.datetime(2026, 6, 16, 12, 30, tzinfo=UTC)),
        ("2026-06-16t12:30:00z", dt.datetime(2026, 6, 16, 12, 30, tzinfo=UTC)),
        ("2026-06-16 12:30:00.5+02:00", dt.datetime(2026, 6, 16, 10, 30, 0, 500000, tzinfo=UTC)),
        ("2026-06-16T12:30:00.1234567890Z", NOW),
        ("2026-06-16T12:30:00,1-0130", dt.datetime(2026, 6, 16, 14, 0, 0, 100000, tzinfo=UTC)),
        ("2026-06-16T12:30+02", dt.datetime(2026, 6, 16, 10, 30, tzinfo=UTC)),
        ("2026-06-16T12:30:00", dt.datetime(2026, 6, 16, 12, 30)),
    ],
)
def test_iso_times_in_their_variants(text, expected):
    assert cb.datetime_from_iso(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-06-16", "2026-13-16T00:00:00Z", "2026-06-16T00:00:00.Z", "2026-06-16T00:00:00.٣Z", "T"]
)
def test_what_is_no_iso_time_is_refused(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        cb.datetime_from_iso(text)


@given(st.timedeltas())
def test_durations_go_both_ways_through_pydantic_and_msgspec(value):
    ours = cb.duration_to_iso(value)
    assert cb.duration_from_iso(ours) == value
    assert ours == msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    if abs(value.days) < 900_000_000:
        adapter = pydantic.TypeAdapter(dt.timedelta)
        assert adapter.validate_python(ours) == value
        assert cb.duration_from_iso(json.loads(adapter.dump_json(value))) == value


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1", "5M", "PT5", "PT5M3H", "P1DT", "PTM", "P1H", "PT1..5S", "P-1D", "PT٣S", "P99999999999D"],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="ISO 8601"):
        cb.duration_from_iso(text)


# --- what a message shows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        cb.MaskSecret(value={"deep": ["hunter2"]}),
        cb.VariableResult(key="k", value="hunter2"),
        cb.PutVariable(key="k", value="hunter2", description=None),
        cb.ConnectionResult(
            conn_id="c",
            conn_type="t",
            host=None,
            schema=None,
            login=None,
            password="hunter2",
            port=None,
            extra='{"token": "hunter2"}',
        ),
        cb.TIRunContext(
            dag_run=cb.DagRun.from_body(DAG_RUN), max_tries=1, variables=[{"key": "k", "value": "hunter2"}]
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_secrets_are_not_shown(message):
    assert "hunter2" not in repr(message)
    assert type(message).__name__ in repr(message)


def test_an_error_does_not_show_the_value_of_a_secret():
    with pytest.raises(MessageError) as caught:
        cb.PutVariable(key="k", value=b"hunter2", description=None)
    assert "hunter2" not in str(caught.value)


def test_a_message_shows_its_fields_and_no_megabytes():
    assert repr(cb.GetXCom(**XCOM)) == "GetXCom(key='k', dag_id='d', run_id='r', task_id='t')"
    assert len(repr(cb.SetXCom(**XCOM, value="x" * 1_000_000))) < 1000


def test_messages_are_equal_when_all_their_fields_are():
    assert cb.GetXCom(**XCOM) == cb.GetXCom(**XCOM, map_index=None)
    assert cb.GetXCom(**XCOM) != cb.GetXCom(**XCOM, map_index=0)
    assert cb.GetDagRun(dag_id="d", run_id="r") != cb.GetDagRunState(dag_id="d", run_id="r")


def test_members_of_an_enumeration_are_strings_that_know_their_name():
    failed = cb.TaskInstanceState.FAILED
    assert failed == "failed" and isinstance(failed, str) and str(failed) == "TaskInstanceState.FAILED"
    assert (failed.name, failed.value) == ("FAILED", "failed")
    assert cb.TaskInstanceState("failed") is failed and "failed" in cb.TaskInstanceState
    assert [each.value for each in cb.TaskInstanceState] == list(cb.TaskInstanceState.VALUES)
    with pytest.raises(ValueError, match="'lost' is not a valid TaskInstanceState"):
        cb.TaskInstanceState("lost")

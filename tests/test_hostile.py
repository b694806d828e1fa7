"""Hostile bytes and values, in-process and through the built binary; secrets; the promises that `make fuzz` tries."""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz
import pytest
from fuzz import FOUND, TARGETS, Built, check, check_made, dismantle, no_code_run, prepare, seeds

import coordinator_bundle as cb

msgpack = pytest.importorskip("msgpack")

Run = Callable[..., Any]


@pytest.fixture
def readers() -> Any:
    """The modules that a bundle answers for, as while its Dag file runs; the real Airflow is put back afterwards."""
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "airflow"}
    log = cb.log_channel._write, cb.log_channel._early
    prepare()
    yield
    cb.airflow_modules.uninstall()
    sys.modules.update(real)
    cb.log_channel._write, cb.log_channel._early = log


in_process = pytest.mark.usefixtures("readers")


# --- what the fuzzer does, in short -----------------------------------------------------------------------------------


@in_process
@pytest.mark.parametrize(("target", "make"), [(target, make) for target, _, make in FOUND], ids=[f[1] for f in FOUND])
def test_what_once_broke_a_promise_breaks_none(target: str, make: Callable[[], Any]) -> None:
    check_made(target, make(), memory=True)


@in_process
@pytest.mark.parametrize("target", TARGETS)
def test_inputs_to_start_from_and_changed_ones_break_no_promise(target: str) -> None:
    drawn = random.Random(target)
    corpus = list(seeds(target))
    for number in range(1000):
        data = bytearray(drawn.choice(corpus))
        for _ in range(drawn.randrange(4)):
            if data:
                data[drawn.randrange(len(data))] = drawn.randrange(256)
        data += drawn.randbytes(drawn.choice((0, 0, 3, 60)))
        check(target, bytes(data), memory=number % 100 == 0)


@in_process
@pytest.mark.parametrize("wrap", [18, 38, 58, 78], ids=["list", "dict", "tuple", "legacy dict"])
def test_values_nested_thirty_thousand_deep_are_errors_and_no_crash(wrap: int) -> None:
    value = Built(bytes((1, wrap, 255)), most=30_000).value()
    try:
        for read in (cb.deserialize_value, cb.serialize_value):
            with pytest.raises(cb.SerdeError):
                read(value)
        with pytest.raises(cb.FrameError):
            cb.encode_request(1, {"value": value})
        with pytest.raises(cb.MessageError):
            cb.PutVariable(key=value, value=None, description=None)
        with pytest.raises(cb.MessageError):
            cb.decode_message({"type": value})
        message = cb.decode_message({"type": "XComResult", "key": "k", "value": value})
        assert len(repr(message)) < 1000
    finally:
        dismantle(value)


@in_process
def test_frames_and_manifests_nested_a_hundred_thousand_deep_are_errors_and_no_crash(tmp_path: Path) -> None:
    for opening in (b"\x91", b"\x81\xa1k", b"\xdc\x00\x01"):
        with pytest.raises(cb.FrameError):
            cb.decode_response(b"\x92\x01" + opening * 100_000 + b"\xc0")
    path = tmp_path / "bundle"
    for opening, closing in (("[", "]"), ('{"k":', "}")):
        for depth in (400, 990, 100_000):
            nested = opening * depth + "0" + closing * depth
            manifest = (json.dumps(fuzz.MANIFEST)[:-1] + f', "more": {nested}}}').encode()
            path.write_bytes(b"\x7fELF" + manifest + cb.Trailer(0, len(manifest), bytes(32)).pack())
            assert cb.inspect_bundle(str(path))["verified"] is False


@in_process
@pytest.mark.parametrize("content", [b"\x80", b"\x90", b"\x81\xa1k\xc0", b"\xc0", b"\xa1x"])
def test_the_densest_answers_take_a_small_multiple_of_their_size(content: bytes) -> None:
    count = 100_000 // len(content)
    payload = b"\x92\x01\x82\xa4type\xaaXComResult\xa5value\xdd" + count.to_bytes(4, "big") + content * count
    payload = payload.replace(b"\x82\xa4type", b"\x83\xa3key\xa1k\xa4type", 1)
    tracemalloc.start()
    try:
        message = cb.decode_message(cb.decode_response(payload)[1] or {})
        cb.deserialize_value(message.value)  # type: ignore[attr-defined]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Once as it came and once as the value that it stands for.
    assert peak < 2 * fuzz.MEMORY_PER_BYTE * len(payload) + fuzz.MEMORY_FLOOR


# --- values that look like classes ------------------------------------------------------------------------------------


def wrapped(classname: str, data: Any, version: int = 0) -> dict[str, Any]:
    return {"__classname__": classname, "__version__": version, "__data__": data}


def gadgets(mark: Path) -> dict[str, Any]:
    """Values that would leave `mark` behind, or run something else, if anything they name were built or called."""
    touch = f"touch {mark}"
    # os.system(touch), as pickle writes a call.
    pickled = b"\x80\x04cos\nsystem\nX" + len(touch).to_bytes(4, "little") + touch.encode() + b"\x85R."
    found: dict[str, Any] = {
        "os.system": wrapped("os.system", touch),
        "posix.system": wrapped("posix.system", touch),
        "subprocess": wrapped("subprocess.Popen", {"args": ["touch", str(mark)]}),
        "eval": wrapped("builtins.eval", f"open({str(mark)!r}, 'w')"),
        "exec": wrapped("builtins.exec", f"open({str(mark)!r}, 'w')"),
        "getattr": wrapped("builtins.getattr", ["os", "system"]),
        "import": wrapped("importlib.import_module", "antigravity"),
        "pickle": wrapped("pickle.loads", pickled.decode("latin-1")),
        "pickled bytes": wrapped("pickle.Unpickler", pickled.hex()),
        "path": wrapped("pathlib.Path", str(mark)),
        "the Dag file's own": wrapped("unusual_prefix_" + "0" * 40 + "_hostile.Bomb", {"path": str(mark)}),
        "operator": wrapped("airflow.providers.standard.operators.bash.BashOperator", {"bash_command": touch}),
        "operator by another name": wrapped("airflow.operators.bash.BashOperator", {"bash_command": touch}),
        "hook": wrapped("airflow.sdk.BaseHook", {"logger_name": "x"}),
        "Dag": wrapped("airflow.sdk.DAG", {"dag_id": "x"}),
        "module": wrapped("airflow.sdk", {}),
        "function": wrapped("airflow.sdk.serde.deserialize", {}),
        "the runner": wrapped("__main__.TaskRunner", {}),
        "this module": wrapped("coordinator_bundle.Transport", {"read_fd": 0}),
        "no module": wrapped("", {}),
        "dots": wrapped("airflow..", {}),
        "null byte": wrapped("airflow.\0.x", {}),
        "a list for a name": wrapped([touch], {}),  # type: ignore[arg-type]
        "legacy": {"__type": "os.system", "__var": touch},
        "legacy exception": {
            "__type": "base_exc_ser",
            "__var": {"exc_cls_name": "os.system", "args": [touch], "kwargs": {}},
        },
        "legacy class": {"__type": "airflow_exc_ser", "__var": {"exc_cls_name": "os.system", "args": [touch]}},
        "timezone": wrapped("zoneinfo.ZoneInfo", f"../../../..{mark}"),
        "callback": wrapped("airflow.sdk.definitions.callback.AsyncCallback", {"path": "antigravity.webbrowser.open"}),
    }
    for name, gadget in list(found.items()):
        found[f"{name} in a tuple"] = wrapped("builtins.tuple", [gadget], 1)
        found[f"{name} as data of an Asset"] = wrapped(
            "airflow.sdk.definitions.asset.Asset", {"name": "a", "uri": "a", "extra": {"k": gadget}}
        )
        found[f"{name} as a moment"] = wrapped("datetime.datetime", {"timestamp": gadget, "tz": [gadget]}, 2)
        found[f"{name} as a legacy dict"] = {"__type": "dict", "__var": {"k": gadget}}
    return found


# A name that is only written down is no harm; the callback is Airflow's own way to hand one on.
NAMES_ONLY = ("callback",)


@in_process
def test_values_that_look_like_classes_build_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for name, gadget in gadgets(mark).items():
        before = set(sys.modules)
        with no_code_run():
            try:
                cb.deserialize_value(gadget)
            except cb.SerdeError:
                pass
            else:
                assert name.startswith(NAMES_ONLY), name
        assert not {"antigravity", "webbrowser", "subprocess"} & (set(sys.modules) - before), name
        assert not mark.exists(), name


def test_the_gadgets_are_sharp(tmp_path: Path) -> None:
    """They do harm where somebody falls for them, so that what refuses them has refused something."""
    mark = tmp_path / "mark"
    data = bytes.fromhex(gadgets(mark)["pickled bytes"]["__data__"])
    pickle.loads(data)
    assert mark.exists()


@in_process
def test_no_name_that_a_bundle_answers_for_builds_more_than_data() -> None:
    """Whatever of `airflow` can be imported in a bundle is tried as the class of a value."""
    kinds = {*cb.value_types.writers}
    assert "antigravity" not in sys.modules
    # Providers are packages of their own, and which are installed is another matter.
    for module in sorted(each for each in cb.airflow_modules.modules if not each.startswith("airflow.providers.")):
        for name in cb.airflow_modules.names(module):
            for data in ({}, ["x"], {"name": "x"}, {"path": "antigravity.webbrowser.open"}, "x"):
                try:
                    value = cb.deserialize_value(wrapped(f"{module}.{name}", data))
                except cb.SerdeError:
                    continue
                assert isinstance(value, cb.Message) or type(value) in kinds or hasattr(value, "serialize")
    assert "antigravity" not in sys.modules


@in_process
def test_a_data_frame_that_carries_a_pickle_runs_nothing(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("pandas")
    import io

    mark = tmp_path / "mark"
    data = bytes.fromhex(gadgets(mark)["pickled bytes"]["__data__"])
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": data}
    schema = pyarrow.schema([pyarrow.field("x", pyarrow.int64(), metadata=metadata)])
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table({"x": [1]}, schema=schema), sink)
    try:
        cb.deserialize_value(wrapped("pandas.core.frame.DataFrame", sink.getvalue().hex(), 1))
    except cb.SerdeError:
        pass
    assert not mark.exists()


def test_in_a_bundle_values_that_look_like_classes_build_nothing(run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    values = gadgets(mark)
    xcoms = {("up", key): value for key, value in values.items()}
    result = run("hostile.py", "hostile", "pull", xcoms=xcoms, conf={"keys": list(values)})
    assert result.state == "success", result
    became = result.xcom()
    assert set(became) == set(values)
    for name, outcome in became.items():
        refused = outcome.startswith(("SerdeError", "ClassNotAllowedError"))
        assert refused or name.startswith(NAMES_ONLY), (name, outcome)
    assert not mark.exists()


@pytest.mark.only("bundle", "script")
@pytest.mark.parametrize("name", ["os.system", "legacy exception"])
def test_in_a_bundle_a_task_does_not_resume_with_what_looks_like_a_class(run: Run, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    kwargs = {"event": gadgets(mark)[name]}
    result = run("hostile.py", "hostile", "resume", next_method="execute_complete", next_kwargs=kwargs)
    assert result.state == "failed", result
    assert not mark.exists()


# --- secrets ----------------------------------------------------------------------------------------------------------

PASSWORD, TOKEN, EXTRA = "correct-horse-battery", "staple-of-the-database", "extra-that-is-secret"
DEBUG = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"}


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Any]:
    """What `run` takes, with a secret in every place that has room for one."""
    connection = {"conn_type": "http", "host": "h", "login": "l", "password": PASSWORD, "extra": f'{{"k": "{EXTRA}"}}'}
    return {
        "connections": {"vault": connection},
        "variables": {"db_password": TOKEN},
        "conf": {"password": TOKEN},
        "env": {**DEBUG, "TMPDIR": str(tmp_path)},
    }


@pytest.mark.parametrize("task_id", ["keep_secrets", "spill_secrets"])
def test_no_log_line_traceback_or_file_of_a_task_holds_a_secret(
    run: Run, secrets: dict[str, Any], tmp_path: Path, task_id: str
) -> None:
    result = run("hostile.py", "hostile", task_id, **secrets)
    if task_id == "keep_secrets":
        assert result.state == "success", result
        assert result.xcom() == []
        assert any(line.startswith("connecting with") for line in result.events()), result
        assert any(line.startswith("printed") for line in result.events()), result
    else:
        assert result.state == "failed", result
        assert "cannot log in with ***" in result.log()
    for secret in (PASSWORD, TOKEN, EXTRA):
        assert secret not in result.log()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or not any(each.encode() in path.read_bytes() for each in (PASSWORD, TOKEN, EXTRA))


@in_process
def test_no_error_about_what_the_supervisor_sent_shows_its_values() -> None:
    """Every field of every message that can hold a secret, replaced by what does not fit."""
    run = {
        "dag_id": "d",
        "run_id": "r",
        "run_type": "manual",
        "logical_date": None,
        "start_date": None,
        "run_after": "2026-01-01T00:00:00Z",
        "conf": {"password": PASSWORD},
        "consumed_asset_events": PASSWORD,
    }
    bodies = [
        {"type": "VariableResult", "key": "k", "value": {"v": PASSWORD}},
        {"type": "VariableResult", "key": "k", "value": [PASSWORD]},
        {"type": "ConnectionResult", "conn_id": "c", "conn_type": "t", "password": [PASSWORD], "port": PASSWORD},
        {"type": "ConnectionResult", "conn_id": "c", "conn_type": {}, "password": PASSWORD, "extra": PASSWORD},
        {"type": "XComResult", "value": PASSWORD},
        {"type": "StartupDetails", "ti": {}, "ti_context": {"dag_run": run, "max_tries": 1, "variables": PASSWORD}},
        {"type": "StartupDetails", "ti": None, "ti_context": {"dag_run": run, "connections": [{"password": PASSWORD}]}},
        {"type": "StartupDetails", "ti_context": {"dag_run": run, "next_kwargs": PASSWORD, "max_tries": PASSWORD}},
    ]
    for body in bodies:
        with pytest.raises(cb.MessageError) as caught:
            cb.decode_message(body)
        assert PASSWORD not in str(caught.value), body
        client = cb.SupervisorClient(fuzz.Transport(b"".join(cb.encode_response(0, body))))  # type: ignore[arg-type]
        with pytest.raises(cb.BundleError) as caught_too:
            client.receive_startup()
        assert PASSWORD not in str(caught_too.value), body
        client = cb.SupervisorClient(fuzz.Transport(b"".join(cb.encode_response(0, None, body))))  # type: ignore[arg-type]
        with pytest.raises(cb.BundleError) as caught_too:
            client.receive_startup()
        assert PASSWORD not in str(caught_too.value), body


def test_inspection_shows_nothing_of_the_environment(make_bundle: Callable[..., Path]) -> None:
    import subprocess

    bundle = make_bundle("hostile.py")
    if bundle.read_bytes()[:4] != b"\x7fELF":
        pytest.skip("says something about built bundles")
    env = {**os.environ, "AIRFLOW_CONN_VAULT": f"http://l:{PASSWORD}@h", "AIRFLOW_VAR_DB_PASSWORD": TOKEN, **DEBUG}
    for flag in ("--inspect", "--parse", "--version", "--bundle-metadata"):
        done = subprocess.run([bundle, flag], capture_output=True, env=env)
        assert done.returncode == 0, done.stderr
        for secret in (PASSWORD, TOKEN):
            assert secret.encode() not in done.stdout + done.stderr

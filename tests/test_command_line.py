"""The command line of the module on Dag files that are not frozen, as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coordinator_bundle

MODULE = Path(__file__).resolve().parent.parent / "coordinator_bundle.py"
ETL = """\
from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule="@daily", start_date=datetime(2026, 1, 1), tags=["b", "a"], params={"size": 3})
def etl():
    @task(queue="frozen", retries=2)
    def extract():
        return [1, 2]

    @task
    def add(values, offset):
        return sum(values) + offset

    @task(task_id="a_first")
    def store(value):
        print(value)

    store(add(extract(), 5))


etl()
"""


def run(*arguments: object, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, str(MODULE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=60, **options)


def write(folder: Path, text: str, name: str = "flow.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def one_dag(dag_id: str, body: str = "    pass") -> str:
    return f"from airflow.sdk import DAG, task\nwith DAG({dag_id!r}, schedule=None):\n{body}\n"


@pytest.fixture
def etl(tmp_path: Path) -> Path:
    return write(tmp_path, ETL, "etl.py")


# --- --parse ----------------------------------------------------------------------------------------------------------


def test_parse_lists_schedule_tags_params_and_what_each_task_depends_on(etl: Path) -> None:
    done = run(etl, "--parse")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == """\
etl  (etl.py)
  schedule  every day at midnight: @daily (0 0 * * *) · from 2026-01-01
  tags      a, b
  params    size=3
    extract  first · queue frozen · retries 2
    add      after extract · queue default
    a_first  after add · queue default
  warning: add, a_first: on queue 'default', so Airflow runs them itself, not in a bundle: give what is meant for one \
queue='frozen', or what [sdk] queue_to_coordinator routes
"""


def test_parse_shows_groups_owners_and_what_is_special_about_a_task(tmp_path: Path) -> None:
    text = """\
from airflow.sdk import DAG, Param, TaskGroup, task
args = {"queue": "frozen", "owner": "data-team"}
params = {"n": Param(3, type=["integer", "null"]), "must": Param(type="string")}
with DAG("flow", schedule=None, default_args=args, params=params, description="what it is for"):
    @task
    def one(x=0): ...
    @task.branch(pool="small")
    def choose(): ...
    with TaskGroup("load") as load:
        with TaskGroup("inner"):
            one.override(task_id="b").expand(x=[1]) >> one.override(task_id="c")()
        one.override(task_id="d")()
    start = one.override(task_id="start")().as_setup()
    end = one.override(task_id="end")().as_teardown(setups=start)
    start >> choose() >> load >> one.override(task_id="last", trigger_rule="all_done")() >> end
"""
    done = run(write(tmp_path, text), "--parse")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == """\
flow  (flow.py)
  schedule  none, runs when triggered
  about     what it is for
  owner     data-team
  params    n=3 (integer or null), must=(required)
    start   first · queue frozen · setup
    choose  after start · queue frozen · branches · pool small
    load/
      inner/
        b   after choose · queue frozen · mapped
        c   after b · queue frozen
      d     after choose · queue frozen
    last    after load.* · queue frozen · when all_done
    end     after last, start · queue frozen · teardown
"""


def test_parse_warns_of_an_import_that_slows_every_start(tmp_path: Path) -> None:
    write(tmp_path, "import slow_inside\n", "helper_of_flow.py")
    write(tmp_path, "import time\ntime.sleep(0.3)\n", "slow_inside.py")
    done = run(write(tmp_path, "import json\n\nimport helper_of_flow\n" + one_dag("flow")), "--parse")
    assert done.returncode == 0
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert warnings[0].startswith("warning: flow.py:3: importing helper_of_flow -> slow_inside takes 3")
    assert re.search(r" ms, [1-9]\d% of a start: import it inside the tasks that use it$", warnings[0])


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("None", "none, runs when triggered"),
        ("'5 4 * * 1'", "every Monday at 04:05: 5 4 * * 1"),
        ("'30 6 * * 1-5'", "Monday to Friday at 06:30: 30 6 * * 1-5"),
        ("'*/15 * * * *'", "every 15 minutes: */15 * * * *"),
        ("'@hourly'", "every hour: @hourly (0 * * * *)"),
        ("'@monthly'", "on day 1 of every month at midnight: @monthly (0 0 1 * *)"),
        ("'7 8-17/3 * * 1#2'", "7 8-17/3 * * 1#2"),
        ("'@once'", "once: @once"),
        ("timedelta(hours=6)", "every 6 hours"),
        ("timedelta(days=1)", "every day"),
        ("timedelta(hours=36, seconds=1)", "every 1 day 12 hours 1 second"),
        ("Asset('orders')", "when updated: orders"),
        ("[Asset('orders'), Asset('stock')]", "when updated: (orders and stock)"),
        ("Asset('orders') | Asset('stock')", "when updated: (orders or stock)"),
        ("CronTriggerTimetable('0 8 * * *', timezone='UTC')", "every day at 08:00: CronTriggerTimetable 0 8 * * *"),
        (
            "'0 8 * * *', start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo('Europe/Berlin'))",
            "every day at 08:00: 0 8 * * * (Europe/Berlin) · from 2026-01-01",
        ),
    ],
)
def test_parse_says_each_kind_of_schedule_in_words(tmp_path: Path, schedule: str, said: str) -> None:
    text = f"""\
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo
from airflow.sdk import DAG, Asset, CronTriggerTimetable
flow = DAG("flow", schedule={schedule})
"""
    done = run(write(tmp_path, text), "--parse")
    assert done.returncode == 0, done.stderr
    assert f"schedule  {said}\n" in done.stdout
    assert "no tasks" in done.stdout


def test_parse_lists_every_dag_of_every_file(tmp_path: Path) -> None:
    first = write(tmp_path, one_dag("one") + one_dag("two"), "first.py")
    second = write(tmp_path, one_dag("three"), "second.py")
    done = run(first, second, "--parse")
    headings = [line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert headings == ["one", "two", "three"]


def test_parse_as_json_is_what_airflows_dag_processor_validates(etl: Path) -> None:
    processor = pytest.importorskip("airflow.dag_processing.processor", reason="apache-airflow is not installed")
    done = run(etl, "--parse", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    body = json.loads(done.stdout)
    result = processor.DagFileParsingResult.model_validate(body)
    assert body["type"] == "DagFileParsingResult"
    assert result.fileloc == str(etl)
    assert [dag.dag_id for dag in result.serialized_dags] == ["etl"]
    assert not result.import_errors
    tasks = result.serialized_dags[0].data["dag"]["tasks"]
    assert [task["__var"]["task_id"] for task in tasks] == ["extract", "add", "a_first"]


def test_parse_as_json_reports_a_file_that_raises_beside_the_dags_of_the_others(tmp_path: Path) -> None:
    good = write(tmp_path, one_dag("good"), "good.py")
    bad = write(tmp_path, "x = 1\nraise ValueError('no luck')\n", "bad.py")
    done = run(good, bad, "--parse", "--json")
    body = json.loads(done.stdout)
    assert done.returncode == 1
    assert [each["data"]["dag"]["dag_id"] for each in body["serialized_dags"]] == ["good"]
    assert list(body["import_errors"]) == [str(bad)]
    assert "bad.py:2" in body["import_errors"][str(bad)] and "no luck" in body["import_errors"][str(bad)]


def test_what_a_dag_file_prints_does_not_spoil_the_json(tmp_path: Path) -> None:
    path = write(tmp_path, "print('loading')\n" + one_dag("flow"))
    for flags in (["--parse", "--json"], ["--bundle-metadata"]):
        done = run(path, *flags)
        assert done.returncode == 0
        json.loads(done.stdout)


def test_an_output_that_nobody_reads_to_the_end_is_no_error(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join(one_dag(f"flow_{n}") for n in range(40)))
    command = f"{sys.executable} {MODULE} {path} --parse --json | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_a_full_disk_is_an_error_and_not_a_traceback(etl: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    command = [sys.executable, str(MODULE), str(etl), "--parse"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode not in (0, 2)
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


# --- --bundle-metadata, --version, --help -----------------------------------------------------------------------------


def test_bundle_metadata_is_the_manifest_that_airflow_reads(etl: Path) -> None:
    done = run(etl, "--bundle-metadata")
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads(done.stdout)
    assert manifest["airflow_bundle_metadata_version"] == "1.0"
    assert manifest["sdk"]["supervisor_schema_version"] == "2026-06-16"
    assert {"language", "version"} <= set(manifest["sdk"])
    assert manifest["source"] == "etl.py"
    assert set(manifest["dags"]) == {"etl"}
    assert set(manifest["dags"]["etl"]["tasks"]) == {"extract", "add", "a_first"}
    assert list(manifest) == sorted(manifest)


def test_version_names_python_msgpack_and_the_schema() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert set(lines) == {"coordinator_bundle", "Python", "msgpack", "supervisor schema"}
    assert lines["Python"] == sys.version.split()[0]
    assert lines["supervisor schema"] == "2026-06-16"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_teaches_every_flag_and_the_configuration(flag: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    words = "--parse --json --inspect --source --bundle-metadata --version --comm --logs --stdio --build --out"
    for word in [*words.split(), "executables_root", "queue_to_coordinator", 'queue="frozen"', "exit codes"]:
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_a_package_that_this_python_lacks_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = run(write(tmp_path, "import no_such_package\n" + one_dag("flow")), "--parse")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.endswith("flow.py:1: ModuleNotFoundError: No module named 'no_such_package'")
    assert "install it there, or use what `make bundle` makes" in second


def test_ctrl_c_while_a_dag_file_is_imported_is_one_line_and_exit_130(tmp_path: Path) -> None:
    flow = write(tmp_path, "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, str(MODULE), str(flow), "--parse"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        assert process.stderr.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stdout.read()) == (130, "")
        assert process.stderr.read() == "coordinator_bundle.py: interrupted\n"


def test_no_argument_at_all_shows_the_help_and_fails() -> None:
    done = run()
    assert done.returncode == 2
    assert "--parse" in done.stdout + done.stderr


@pytest.mark.only("bundle")
def test_a_bundle_names_its_dag_file_as_a_dag_bundle_does_and_not_where_it_was_unpacked(make_bundle: Any) -> None:
    done = subprocess.run([str(make_bundle("example_etl.py")), "--parse", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    dag = body["serialized_dags"][0]["data"]["dag"]
    assert (body["fileloc"], dag["fileloc"], dag["relative_fileloc"]) == ("example_etl.py",) * 3
    assert "_MEI" not in done.stdout


# --- --completion -----------------------------------------------------------------------------------------------------


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    ask = f"""
. {script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_complete_coordinator_bundle_py
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask, "bash", "x", *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_flags_dags_tasks_and_forms(etl: Path, tmp_path: Path) -> None:
    second = write(tmp_path, one_dag("other"), "other.py")
    done = run(etl, second, "--completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    script = write(tmp_path, done.stdout, "complete.sh")
    assert completed(script, "--g") == ["--graph"]
    assert {"--parse", "--run", "--doctor", "--build"} <= set(completed(script, "--"))
    assert completed(script, "--graph", "") == ["etl", "other"]
    assert completed(script, "--graph", "=", "ot") == ["other"]
    assert completed(script, "--run", "e") == ["etl"]
    assert completed(script, "--task", "a") == ["add", "a_first"]
    assert completed(script, "--format", "s") == ["svg"]
    assert completed(script, "--graph", "=") == ["etl", "other"]


@pytest.mark.parametrize(("shell", "check"), [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_a_completion_script_is_one_the_shell_can_read(etl: Path, tmp_path: Path, shell: str, check: list[str]) -> None:
    done = run(etl, "--completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "etl" in done.stdout and "graph" in done.stdout
    if shutil.which(shell):
        script = write(tmp_path, done.stdout, "script")
        assert subprocess.run([shell, *check, str(script)], capture_output=True, text=True).stderr == ""


# --- command lines that make no sense ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--prase"], "unknown flag --prase, did you mean '--parse'?"),
        (["--comms=127.0.0.1:1"], "unknown flag --comms, did you mean '--comm'?"),
        (["--bundle-metdata"], "--bundle-metadata"),
        (["--parse", "--jsno"], "--json"),
        (["--zzz"], "unknown flag --zzz"),
        (["-x"], "unknown flag -x"),
        (["--comm=127.0.0.1:1"], "--comm needs --logs"),
        (["--logs=127.0.0.1:1"], "--logs needs --comm"),
        (["--comm"], "--comm needs a value"),
        (["--comm=127.0.0.1:1", "--comm=127.0.0.1:2", "--logs=127.0.0.1:3"], "--comm is given twice"),
        (["--parse=yes"], "--parse takes no value"),
        (["--json"], "--parse"),
        (["--source", "--parse"], "--source goes with --inspect"),
        (["--json"], "--json goes with --parse"),
        (["--queue=x"], "--queue goes with --stub"),
        (["--stub", "--queue="], "--queue needs the name of a queue"),
        (["--stdio", "--json"], "--json goes with --parse"),
        (["--parse", "--stdio"], "--parse and --stdio do not go together"),
        (["--parse", "--bundle-metadata"], "do not go together"),
        (["--stdio", "--comm=127.0.0.1:1", "--logs=127.0.0.1:2"], "--stdio and --comm do not go together"),
        (["--completion", "bas"], "--completion bas: it knows bash, zsh, fish, did you mean 'bash'?"),
        (["--doktor"], "did you mean '--doctor'?"),
        (["--grpah", "etl"], "did you mean '--graph'?"),
        ([], "say what to do"),
        (["parse"], "did you mean --parse?"),
        (["pools"], "say what to do, for example --parse"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_line_usage_and_exit_2(
    etl: Path, flags: list[str], said: str
) -> None:
    done = run(etl, *flags)
    assert done.returncode == 2
    assert done.stdout == ""
    error, usage, *_ = done.stderr.splitlines()
    assert said in error
    assert usage.startswith("usage: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1", "127.0.0.1:", ":8080", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1",
     "127.0.0.1:8 0", "127.0.0.1:²", "[]:80", "host:1:"],
)  # fmt: skip
def test_a_bad_address_is_named_with_its_flag(address: str) -> None:
    with pytest.raises(coordinator_bundle.UsageError) as caught:
        coordinator_bundle.parse_address("--logs", address)
    assert str(caught.value) == f"--logs wants HOST:PORT with a port from 1 to 65535, got {address!r}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:80", ("::1", 80)),
        ("::1:80", ("::1", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert coordinator_bundle.parse_address("--comm", text) == address


@pytest.mark.parametrize("host", ["10.0.0.1", "example.com", "0.0.0.0", "[2001:db8::1]", "127.0.0.1.example.com"])
def test_a_supervisor_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(coordinator_bundle.UsageError, match="an address of this machine only"):
        coordinator_bundle.parse_address("--comm", f"{host}:80")


@pytest.mark.parametrize("flag", ["--comm", "--logs"])
def test_a_bad_address_is_one_line_usage_and_exit_2(flag: str) -> None:
    other = "--logs" if flag == "--comm" else "--comm"
    done = run("flow.py", f"{flag}=127.0.0.1", f"{other}=127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, "")
    error, usage, *_ = done.stderr.splitlines()
    assert f"{flag} wants HOST:PORT" in error
    assert usage.startswith("usage: ")


@pytest.mark.parametrize("mode", [["--parse"], ["--bundle-metadata"], ["--stdio"], ["--build"]])
def test_a_mode_that_needs_a_dag_file_says_so(mode: list[str]) -> None:
    done = run(*mode)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a Dag file" in done.stderr


def test_inspect_needs_a_bundle_file() -> None:
    assert run("--inspect").returncode == 2
    assert run("--inspect", "a", "b").returncode == 2


def test_inspect_of_what_is_no_bundle_says_why(etl: Path) -> None:
    done = run("--inspect", etl)
    assert done.returncode == 1
    assert "AFBNDL01" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_listening_is_one_line_and_exit_1(etl: Path) -> None:
    done = run(etl, "--comm=127.0.0.1:1", "--logs=127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot connect to the supervisor at 127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- Dag files that cannot be used ------------------------------------------------------------------------------------

TASK = "    @task\n    def {name}(): pass\n"
BROKEN = {
    "a syntax error": ("x = 1\ndef f(:\n    pass\n", 2, "invalid syntax"),
    "an exception at import": ("x = 1\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
    "an exception without a text": ("raise AssertionError\n", 1, "AssertionError"),
    "an exit at import": ("import sys\nsys.exit(0)\n", 2, "SystemExit"),
    "a module that is not there": ("import no_such_module_anywhere\n", 1, "no_such_module_anywhere"),
    "a name airflow.sdk does not have": ("from airflow.sdk import Dag\n", 1, "did you mean 'dag'?"),
    "a module airflow does not have": ("import airflow.sdks\n", 1, "airflow.sdk"),
    "two Dags with one id": (one_dag("twin") + one_dag("twin"), 5, "Dag id 'twin' is declared twice"),
    "a task id used twice": (
        one_dag("flow", TASK.format(name="a") + "    a()\n    a.override(task_id='a')()\n"
                + "    from airflow.sdk import BaseOperator\n"
                + "    BaseOperator(task_id='b')\n    BaseOperator(task_id='b')\n"),
        9, "DuplicateTaskIdFound: Task id 'b' has already been added to the Dag",
    ),
    "a cycle": (
        one_dag("flow", TASK.format(name="a") + TASK.format(name="b") + "    x, y = a(), b()\n    x >> y >> x\n"),
        2, "AirflowDagCycleException: Cycle detected in Dag: flow",
    ),
    "a bad Dag id": ("from airflow.sdk import DAG\nDAG('no good!')\n", 2, "no good!"),
    "a bad cron": ("from airflow.sdk import DAG\nflow = DAG('flow', schedule='every day')\n", 2, "every day"),
    "null bytes": ("x = 1\0\n", 0, "null bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_dag_file_that_cannot_be_used_is_an_error_with_file_and_line(tmp_path: Path, name: str) -> None:
    text, line, said = BROKEN[name]
    path = write(tmp_path, text, "broken.py")
    done = run(path, "--parse")
    assert done.returncode == 1
    assert done.stdout.strip() == ""
    assert f"{path}:{line}: " in done.stderr or not line
    assert str(path) in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_there_is_no_manifest_of_a_dag_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = write(tmp_path, one_dag("early") + "1 / 0\n")
    done = run(path, "--bundle-metadata")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{path}:4: ZeroDivisionError: division by zero" in done.stderr


def test_an_error_deeper_down_is_placed_at_the_line_of_the_dag_file(tmp_path: Path) -> None:
    write(tmp_path, "def fail():\n    raise KeyError('deep')\n", "helper_of_flow.py")
    path = write(tmp_path, "import helper_of_flow\n\n\nhelper_of_flow.fail()\n")
    done = run(path, "--parse")
    first, second = done.stderr.splitlines()
    assert first.endswith(f"{path}:4: KeyError: 'deep'")
    assert second == f"  raised at {tmp_path / 'helper_of_flow.py'}:2, in fail: raise KeyError('deep')"


def test_an_error_in_the_standard_library_is_placed_at_the_helper_that_called_it(tmp_path: Path) -> None:
    write(tmp_path, "import json\n\nLOADED = json.loads('{')\n", "helper_of_flow.py")
    done = run(write(tmp_path, "import helper_of_flow\n"), "--parse")
    assert "flow.py:1: JSONDecodeError" in done.stderr
    assert f"  raised at {tmp_path / 'helper_of_flow.py'}:3: LOADED = json.loads('{{')\n" in done.stderr


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("DAG('x', schedule_interval='@daily')", "schedule_interval is called schedule since Airflow 3"),
        ("DAG('x', concurrency=3)", "concurrency is called max_active_tasks since Airflow 3"),
        ("DAG('x', start_dat=None)", "start_dat, did you mean 'start_date'?"),
        ("dag(schedul=None)(lambda: None)()", "schedul, did you mean 'schedule'?"),
        ("BaseOperator(task_id='a', task_concurrency=1)", "task_concurrency is called max_active_tis_per_dag"),
        ("task(provide_context=True)(lambda: None)()", "provide_context was removed in Airflow 3"),
        ("task(retrys=2)(lambda: None)()", "retrys, did you mean 'retries'?"),
    ],
)
def test_an_argument_that_airflow_no_longer_takes_is_refused_in_its_words_with_a_hint_below(
    tmp_path: Path, body: str, hint: str
) -> None:
    path = write(tmp_path, f"from airflow.sdk import DAG, BaseOperator, dag, task\n{body}\n")
    done = run(path, "--parse")
    said = done.stderr.partition(f"{path}:2: TypeError: ")[2]
    assert done.returncode == 1 and f"\n  {hint}" in said
    pytest.importorskip("airflow.sdk", reason="apache-airflow is not installed")
    with pytest.raises(TypeError) as caught:
        exec(path.read_text(), {"__name__": "flow"})
    assert said.startswith(str(caught.value))


def test_a_variable_that_is_not_set_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = run(write(tmp_path, "from airflow.sdk import Variable\nRATE = Variable.get('rate')\n"), "--parse")
    assert "VARIABLE_NOT_FOUND: Variable rate not found" in done.stderr
    assert "AIRFLOW_VAR_RATE" in done.stderr and "{" not in done.stderr


def test_a_syntax_error_in_a_helper_names_the_helper(tmp_path: Path) -> None:
    helper = write(tmp_path, "x = 1\ny = (\n", "helper_of_flow.py")
    path = write(tmp_path, "import helper_of_flow\n")
    done = run(path, "--parse")
    assert done.returncode == 1
    assert f"{helper}:2: SyntaxError" in done.stderr


def test_two_files_with_one_dag_id_name_both_places(tmp_path: Path) -> None:
    first = write(tmp_path, one_dag("same"), "first.py")
    second = write(tmp_path, "\n" + one_dag("same"), "second.py")
    done = run(first, second, "--bundle-metadata")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{second}:3: Dag id 'same' is declared twice, first at {first}:2" in done.stderr


def test_a_file_that_fails_half_way_leaves_none_of_its_dags(tmp_path: Path) -> None:
    path = write(tmp_path, one_dag("early") + "raise ValueError('late')\n")
    done = run(path, "--parse")
    assert done.returncode == 1
    assert "early" not in done.stdout
    assert f"{path}:4: ValueError: late" in done.stderr


def test_the_good_files_are_listed_beside_a_bad_one(tmp_path: Path) -> None:
    bad = write(tmp_path, "1 / 0\n", "bad.py")
    good = write(tmp_path, one_dag("good"), "good.py")
    done = run(bad, good, "--parse")
    assert done.returncode == 1
    assert done.stdout.startswith("good ")
    assert f"{bad}:1: ZeroDivisionError" in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "absent.py", "--parse")
    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert f"{tmp_path / 'absent.py'}: cannot read this Dag file: No such file or directory" in done.stderr


def test_a_folder_is_no_dag_file(tmp_path: Path) -> None:
    done = run(tmp_path, "--parse")
    assert done.returncode == 1
    assert "cannot read this Dag file: Is a directory" in done.stderr


def test_a_file_one_may_not_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, one_dag("flow"))
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
        done = run(path, "--parse")
    finally:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert done.returncode == 1
    assert "cannot read this Dag file: Permission denied" in done.stderr


def test_a_dag_file_without_dags_says_so(tmp_path: Path) -> None:
    done = run(write(tmp_path, "x = 1\n"), "--parse")
    assert (done.returncode, done.stdout) == (1, "")
    assert "flow.py: no Dag in it" in done.stderr


def test_a_relative_path_and_another_working_directory_do(tmp_path: Path) -> None:
    write(tmp_path, one_dag("flow"))
    done = run("flow.py", "--parse", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("flow ")

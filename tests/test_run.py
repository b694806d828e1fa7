"""A whole Dag run here and now by `--run`: what it is told, what it shows, how it ends; `dag.test()` judges it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import dag_test
import parity
import pytest
from building import REPO, environment

DAGS = Path(__file__).parent / "dags"


def from_source(*dag_files: Path) -> list[str]:
    return [sys.executable, str(REPO / "coordinator_bundle.py"), *map(str, dag_files)]


@pytest.fixture(scope="module")
def program(make_bundle: Callable[..., Path]) -> list[str]:
    """The command that a user types before `--run`: a bundle."""
    return [str(make_bundle("runs.py", "runs_told.py"))]


Runs = Callable[..., "Ran"]


class Ran:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def states(self) -> dict[str, Any]:
        return self.report["states"]

    def result(self, task_id: str, map_index: int = -1) -> Any:
        return next(
            each["value"]
            for each in self.report["xcoms"]
            if (each["task_id"], each["map_index"], each["key"]) == (task_id, map_index, "return_value")
        )


@pytest.fixture
def run(program: list[str]) -> Runs:
    """run(dag_id, *flags, stdin=..., **environment): `--run`, by default with --json."""

    def run_it(dag_id: str, *flags: str, plain: bool = False, stdin: str = "", **changes: str) -> Ran:
        command = [*program, "--run", dag_id, *flags, *([] if plain else ["--json"])]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment(**changes), timeout=120
        )
        return Ran(done)

    return run_it


# --- what a person sees and gives ---


def test_a_run_that_succeeds_says_so_line_by_line_and_ends_with_zero(run: Runs) -> None:
    done = run("good", plain=True)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "say | saying ('hello',)" in lines
    assert [line for line in lines if line.startswith("say  ")][-1].split()[1:3] == ["success", "1"]
    assert lines[-1].startswith("good: success in ")
    assert "\x1b" not in done.out


def test_a_run_that_fails_ends_with_one_and_its_traceback(run: Runs) -> None:
    done = run("bad", plain=True)
    assert done.code == 1
    assert "broken failed, try 1 of 1" in done.out
    assert 'raise ValueError("no such table: orders")\nValueError: no such table: orders' in done.out
    assert done.out.splitlines()[-1].startswith("bad: failed in ")
    assert run("bad").states == {"broken": "failed", "never": "upstream_failed"}


def test_variables_and_connections_come_from_flags_files_and_the_environment(run: Runs, tmp_path: Path) -> None:
    from_flags = run("secrets", "--var", "colour=red=ish", "--conn", "store=http://ann:geheim99@shop:81", plain=False)
    assert from_flags.result("reveal") == ["red=ish", "round", "shop", 81]
    # What was a secret to Airflow's supervisor is one here.
    assert "password is ***" in from_flags.err and "geheim99" not in from_flags.out + from_flags.err
    variables, connections = tmp_path / "variables.json", tmp_path / "connections.env"
    variables.write_text(json.dumps({"colour": {"r": 1}, "shape": "square"}))
    connections.write_text("# comment\n\nstore=http://depot/\n")
    from_files = run("secrets", "--vars", str(variables), "--conns", str(connections), AIRFLOW_VAR_COLOUR="blue")
    assert from_files.result("reveal") == ['{"r": 1}', "square", "depot", None]
    from_environment = run("secrets", AIRFLOW_VAR_COLOUR="blue", AIRFLOW_CONN_STORE='{"host": "h", "port": 5}')
    assert from_environment.result("reveal") == ["blue", "round", "h", 5]


def test_what_callbacks_print_is_not_in_the_report_and_a_number_json_lacks_fails_as_in_airflow(tmp_path: Path) -> None:
    text = """
    from airflow.sdk import DAG, task

    with DAG("tells", schedule=None, on_failure_callback=lambda context: print("called back")):

        @task
        def numbers():
            return [{"a": float("nan")}]

        numbers()
    """
    (tmp_path / "tells.py").write_text(textwrap.dedent(text))
    command = [*from_source(tmp_path / "tells.py"), "--run", "tells", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert json.loads(done.stdout)["states"] == {"numbers": "failed"}
    assert "the number nan does not exist in JSON: use None or a string (at $[0].a)" in done.stderr
    assert "called back" in done.stderr


def test_a_connection_of_the_environment_that_cannot_be_read_is_named(run: Runs) -> None:
    done = run("secrets", AIRFLOW_CONN_STORE='{"host": "h"', plain=True)
    assert done.code == 1
    assert "AIRFLOW_CONN_STORE is passed over: connection 'store' is neither a URI" in done.out
    assert "not given: connection store; give it with --conn store=URI" in done.out


def test_the_module_runs_a_dag_file_as_a_bundle_does(program: list[str]) -> None:
    reports = []
    for command in (program, from_source(DAGS / "runs_told.py")):
        done = subprocess.run(
            [*command, "--run", "mapped", "--json"], capture_output=True, text=True, env=environment(), timeout=120
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        reports.append((report["states"], sorted(report["xcoms"], key=str)))
    assert reports[0] == reports[1]


def test_what_was_not_given_is_named_at_the_end(run: Runs) -> None:
    done = run("secrets", plain=True)
    assert done.code == 1
    assert "not given: connection store; give it with --conn store=URI" in done.out


def test_params_are_checked_before_anything_starts(run: Runs) -> None:
    assert run("asks_for", "--conf", '{"many": 2}').result("show") == 2
    for conf, problem in (("{}", "No value passed"), ('{"many": 0}', "many"), ('{"many": "x"}', "many")):
        done = run("asks_for", "--conf", conf)
        assert (done.code, done.out) == (2, "")
        assert problem in done.err and "--conf" in done.err, done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("godo",), "--run godo: there is no such Dag, did you mean 'good'?"),
        (("good", "--task", "sya"), "has no task 'sya', did you mean 'say'?"),
        (("good", "--jbos", "2"), "unknown flag --jbos, did you mean '--jobs'?"),
        (("good", "--jobs", "0"), "--jobs wants a whole number, 1 or more, got '0'"),
        (("good", "--conf", "[1]"), "--conf wants a JSON object"),
        (("good", "--conf", "{"), "--conf: '{' is no JSON"),
        (("good", "--var", "colour"), "--var wants KEY=VALUE, got 'colour'"),
        (("good", "--vars", "/nowhere.json"), "--vars /nowhere.json: No such file"),
        (("good", "--conn", "store={"), "connection 'store' is neither a URI"),
        (("good", "--conn", "store=foo"), "connection 'store' has no type: store=type://"),
        (("good", "--logical-date", "soon"), "--logical-date wants a date"),
        (("good", "--xcom", "say=1"), "--xcom goes with --task"),
        (("good", "--answer", "sya=1"), "--answer: Dag 'good' has no task 'sya', did you mean 'say'?"),
        (("mapped", "--task", "square"), "mapped over results that are not there; give them: --xcom numbers='[...]'"),
        (("mapped", "--task", "total", "--map-index", "0"), "'total' is not mapped"),
        (("mapped", "--task", "total", "--xcom", "squares=[]"), "no task 'squares', did you mean 'square'?"),
        (("good", "--mark-success-pattern", "("), "is no regular expression"),
        (("good", "--mark-success-pattern", "sya"), "'sya' fits the whole id of no task, did you mean 'say'?"),
        (("pooled", "--pool", "narow=2"), "--pool: no task has pool 'narow', did you mean 'narrow'?"),
        (("pooled", "--pool", "narrow=1"), "--pool narrow=1: 'two' takes 2 slots, so it could never start"),
        (("pooled", "--pool", "narrow"), "--pool wants NAME=SLOTS, got 'narrow'"),
    ],
)
def test_a_wrong_command_line_is_told_what_is_wrong(run: Runs, flags: tuple[str, ...], said: str) -> None:
    done = run(*flags, plain=True)
    assert done.code == 2
    assert said in done.err, done.err
    assert "Traceback" not in done.err


def test_one_task_runs_with_the_results_it_is_given(run: Runs) -> None:
    one = run("mapped", "--task", "square", "--xcom", "numbers=[5, 6, 7]")
    assert [one.result("square", index) for index in range(3)] == [25, 36, 49]
    assert one.states == {"square": {"0": "success", "1": "success", "2": "success"}}
    index = run("mapped", "--task", "square", "--xcom", "numbers.return_value=[5, 6, 7]", "--map-index", "1")
    assert index.result("square", 1) == 36 and len(index.report["tasks"]) == 1
    given = run("mapped", "--task", "total", "--xcom", "square=[1, 2, 3]")
    assert given.result("total") == 6 and "is not there" not in given.err
    missing = "total reads square, which is not there; give it with --xcom square=JSON"
    assert missing in run("mapped", "--task", "total").err


def test_retries_do_not_wait_as_long_as_the_dag_says(run: Runs) -> None:
    done = run("retries")
    assert done.report["tasks"][0]["try_number"] == 3
    assert "tried again in 0.5 s instead of 10800 s" in done.err


def test_tasks_that_are_said_to_succeed_are_not_run(run: Runs) -> None:
    done = run("bad", "--mark-success-pattern", "brok.*")
    assert done.code == 0
    assert done.states == {"broken": "success", "never": "success"}


def test_a_person_is_asked_and_answered_on_standard_input(run: Runs) -> None:
    # One at a time, so that it is known who asks first.
    done = run("people", "--jobs", "1", stdin="maybe\n1\n\n7\n", plain=True)
    assert done.code == 0, done.out
    assert "? approve: Ship it?\n  1. Approve\n  2. Reject\n" in done.out
    assert "'maybe' is none of Approve, Reject" in done.out
    assert "many [3]: " in done.out
    assert "saying ('shipped',)" in done.out


def test_answers_can_be_given_beforehand(run: Runs) -> None:
    reply = json.dumps({"chosen_options": ["OK"], "params_input": {"many": 9}})
    done = run("people", "--answer", "approve=Reject", "--answer", f"fill={reply}")
    assert done.states == {"approve": "success", "shipped": "skipped", "fill": "success"}
    assert done.result("fill")["params_input"] == {"many": 9}


def test_without_an_answer_the_defaults_are_taken_or_the_task_fails(run: Runs) -> None:
    done = run("people")
    assert done.states == {"approve": "failed", "shipped": "upstream_failed", "fill": "success"}
    assert "give one with --answer approve=..." in done.err


def test_triggers_run_and_what_goes_wrong_with_them_fails_the_task(run: Runs) -> None:
    done = run("defers")
    assert done.states == {"own": "success", "breaks": "failed", "late": "failed"}
    assert done.result("own") == "WORD"
    assert "the trigger broke" in done.err and "Trigger timeout" in done.err


def test_a_task_that_starts_from_its_trigger_resumes_without_having_run(run: Runs) -> None:
    assert run("begins").result("begin") == "BEGUN"


def test_a_pool_limits_what_runs_at_once_when_its_slots_are_given(run: Runs) -> None:
    done = run("pooled", "--pool", "narrow=2", "--jobs", "3")
    (one, one_end), (two, two_end), (three, three_end) = (done.result(each) for each in ("one", "two", "three"))
    assert (one_end < two or two_end < one) and (three_end < two or two_end < three)
    assert "limits nothing here" not in done.err
    assert "pool narrow limits nothing here; --pool narrow=SLOTS does" in run("pooled").err


def test_dags_that_an_updated_asset_would_start_are_named(run: Runs) -> None:
    done = run("updates", plain=True)
    assert "assets updated: shelf\n  in Airflow that starts Dag follows; here it runs by --run follows" in done.out


@pytest.mark.only("bundle")
def test_a_bundle_without_pyyaml_says_so_of_a_yaml_file(run: Runs, tmp_path: Path) -> None:
    (tmp_path / "variables.yaml").write_text("colour: red\n")
    said = run("secrets", "--vars", str(tmp_path / "variables.yaml"), plain=True).err
    assert "reading YAML takes PyYAML, which this bundle does not have: declare pyyaml in the Dag file" in said


def test_a_yaml_file_is_read_where_pyyaml_is(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    variables, broken = tmp_path / "variables.yaml", tmp_path / "broken.yaml"
    variables.write_text("colour: red\n")
    broken.write_text("colour: [red\n")
    command = [*from_source(DAGS / "runs_told.py"), "--run", "secrets", "--conn", "store=http://h", "--json", "--vars"]
    done = subprocess.run([*command, str(variables)], capture_output=True, text=True, env=environment(), timeout=120)
    assert Ran(done).result("reveal")[0] == "red"
    done = subprocess.run([*command, str(broken)], capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 2 and f"--vars {broken} is no YAML: " in done.stderr and "Traceback" not in done.stderr


def test_a_triggered_dag_of_the_same_bundle_runs_too(run: Runs) -> None:
    done = run("triggers", plain=True)
    assert done.code == 0
    assert "good/say | saying ('hello',)" in done.out
    elsewhere = run("triggers_elsewhere", plain=True)
    assert elsewhere.code == 1
    assert "there is no Dag 'not_here' here to trigger" in elsewhere.out


def test_a_process_that_dies_fails_its_task(run: Runs) -> None:
    done = run("dies")
    assert done.code == 1
    assert done.states == {"dies": "failed", "killed": "failed"}
    assert "ended with exit code 3 without saying how the task went" in done.err
    # A bundle's outer process passes the signal on as its own exit.
    assert "without saying how the task went" in done.err.replace("ended with exit code 3 without", "")


def test_a_dag_that_takes_too_long_fails_and_its_tasks_are_ended(run: Runs) -> None:
    done = run("limited")
    assert done.report["state"] == "failed"
    assert "dagrun_timeout" in done.report["reason"]
    assert not is_alive(task_pid(done.err))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_from_outside_it_ends_its_tasks_and_leaves_nothing(
    program: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [*program, "--run", "sleepy"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        seen = read_until(process.stdout, "asleep as")
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(30) == 128 + number
    assert "sleepy: interrupted in " in rest
    assert any(line.split()[:2] == ["sleeps", "failed"] for line in rest.splitlines()), rest
    assert any(line.split()[:3] == ["after_sleep", "not", "run"] for line in rest.splitlines()), rest
    assert not is_alive(task_pid(seen))
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_on_a_terminal_ends_a_run_as_one_signal_though_it_comes_twice(program: list[str]) -> None:
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(program[0], [*program, "--run", "sleepy"], environment(TERM="xterm"))
    seen = ""
    while True:
        try:
            data = os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break  # The terminal is nobody's any more.
        if "still asleep" in data and "still asleep" not in seen:
            os.write(terminal, b"\x03")
        seen += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130, seen
    assert "ending the tasks; once more ends them at once" in seen and "sleepy: " in seen and "interrupted" in seen
    assert "KeyboardInterrupt" not in seen


def test_when_nobody_reads_any_more_it_ends_its_tasks_and_leaves_nothing(program: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [*program, "--run", "sleepy"], stdout=subprocess.PIPE, text=True, env=environment(TMPDIR=str(tmp_path))
    ) as process:
        assert process.stdout is not None
        seen = read_until(process.stdout, "asleep as")
        process.stdout.close()
        assert process.wait(60) == 1
    assert not is_alive(task_pid(seen))
    assert list(tmp_path.iterdir()) == []


def read_until(stream: IO[str], words: str) -> str:
    """Everything up to the end of the line in which the words stand; AssertionError when the stream ends before."""
    seen = ""
    while words not in seen:
        line = stream.readline()
        assert line, seen
        seen += line
    return seen


def task_pid(text: str) -> int:
    return int(text.split("asleep as ")[1].split()[0])


def is_alive(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def test_on_a_terminal_each_task_has_a_row_that_is_redrawn(program: list[str]) -> None:
    screen, code = on_a_terminal([*program, "--run", "mapped"])
    assert code == 0
    assert "\x1b[J" in screen
    assert "square [2]" in screen and "\x1b[32msuccess" in screen
    assert "square[0] | " not in screen
    failed, code = on_a_terminal([*program, "--run", "bad"])
    assert code == 1
    # Of a line that is cut to its place, no half of a colour is left.
    assert "ERROR Task failed" in failed and " [31m" not in failed
    assert "no such table" in (ending := failed.rpartition("\x1b[J")[2]) and "Task failed" not in ending
    plain, code = on_a_terminal([*program, "--run", "mapped"], NO_COLOR="1")
    assert code == 0
    assert "\x1b[32m" not in plain


def on_a_terminal(command: list[str], **changes: str) -> tuple[str, int]:
    import pty

    outer, inner = pty.openpty()
    with subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment(TERM="xterm", **changes)
    ) as process:
        os.close(inner)
        seen = b""
        while True:
            try:
                data = os.read(outer, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        os.close(outer)
        return seen.decode(), process.wait(30)


# --- the judge: dag.test() of the real Airflow, on the same files ---

OWN = (
    "run_rules run_random_0 run_random_1 run_random_2 run_random_3 run_random_4 run_random_5 run_setup_good "
    "run_setup_fails run_setup_skips run_work_fails run_teardown_fails run_teardown_fails_the_run run_setup_scopes "
    "run_mapped run_mapped_groups run_branches run_fail_fast run_again run_state run_pools run_from_trigger "
    "run_deadline run_without_date"
).split()
# Flags that a Dag of ours is run with.
FLAGS = {"run_without_date": ["--logical-date", "none"], "run_pools": ["--pool", "lane=2"]}
# Example Dags of Airflow's that need no outside service, and in which nothing is random or the time of day.
EXAMPLES = {
    "asset_alias_example_alias_producer": "example_asset_alias",
    "consumes_asset_decorator": "example_asset_decorator",
    "example_branch_dop_operator_v3": "example_branch_python_dop_operator_3",
    "example_task_mapping_second_order": "example_dynamic_task_mapping",
    "example_task_group_mapping": "example_dynamic_task_mapping",
    "example_dynamic_task_mapping_with_no_taskflow_operators": (
        "example_dynamic_task_mapping_with_no_taskflow_operators"
    ),
    "example_nested_branch_dag": "example_nested_branch_dag",
    "example_setup_teardown_taskflow": "example_setup_teardown_taskflow",
    "example_skip_dag": "example_skip_dag",
    "example_xcom": "example_xcom",
    "example_time_delta_sensor_async": "example_time_delta_sensor_async",
}
CASES = [("runs", dag_id) for dag_id in OWN] + [(file, dag_id) for dag_id, file in EXAMPLES.items()]


def file_of(name: str) -> Path:
    own = DAGS / f"{name}.py"
    return own if own.exists() else next(path for path in parity.example_files() if path.stem == name)


@pytest.fixture(scope="module")
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dag_test.Judge]:
    """`dag.test()` of all Dags that this session compares, at work while ours run."""
    pytest.importorskip("airflow.sdk", reason="apache-airflow is not installed")
    items = [item for item in request.session.items if item.originalname == "test_a_run_ends_as_dag_test_ends_it"]
    named = [(item.callspec.params["file"], item.callspec.params["dag_id"]) for item in items]
    cases = [(file_of(file), dag_id, "--logical-date" not in FLAGS.get(dag_id, ())) for file, dag_id in named]
    judge = dag_test.Judge(tmp_path_factory.mktemp("judge"), cases)
    yield judge
    judge.stop()


@pytest.mark.parametrize(("file", "dag_id"), CASES)
def test_a_run_ends_as_dag_test_ends_it(judge: dag_test.Judge, program: list[str], file: str, dag_id: str) -> None:
    # The bundle holds our own; what the examples import is in this environment.
    command = program if file == "runs" else from_source(file_of(file))
    flags = ["--run", dag_id, "--json", "--run-id", dag_test.RUN_ID, *FLAGS.get(dag_id, ())]
    if "--logical-date" not in flags:
        flags += ["--logical-date", dag_test.LOGICAL_DATE]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, env=environment(), timeout=300)
    ours, real = json.loads(done.stdout or "{}"), judge.verdict(dag_id)
    states = {f"{each['task_id']}[{each['map_index']}]": each["state"] for each in ours["tasks"]}
    xcoms = {f"{each['task_id']}[{each['map_index']}].{each['key']}": each["value"] for each in ours["xcoms"]}
    assert states == real["states"], done.stderr
    assert plain(xcoms) == plain(real["xcoms"]), done.stderr
    assert ours["state"] == real["run"]
    assert done.returncode == (0 if real["run"] == "success" else 1)


def plain(xcoms: dict[str, Any]) -> dict[str, Any]:
    """XComs without what is made from sets, whose order means nothing."""
    for value in xcoms.values():
        for name in ("followed", "skipped"):
            if isinstance(value, dict) and isinstance(value.get(name), list):
                value[name].sort()
    return xcoms

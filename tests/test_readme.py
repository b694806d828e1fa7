"""The README's commands, run in its order in an empty folder, and what it shows of them compared; its files, read."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import building
import pytest
from building import REPO
from test_e2e import RUN_SECONDS, START_SECONDS, Deployment, events, free_ports, healthy

# Commands that are not run, by how they begin; the shell only reads them.
NOT_RUN = {
    "python3 -m venv airflow-env": "the environment of the tests has Airflow, and installing it takes minutes",
    "airflow celery worker": "needs a broker",
    "docker build": "needs a Docker daemon",
}
# Those that develop this project: make says what it would do.
ONLY_LOOKED_AT = re.compile(r"make (test|lint|parity|fuzz|soak|compat|bench|profile|help)\b")
# Rows of the table of commands that only a supervisor can call.
BY_A_SUPERVISOR = ("--comm", "--stdio")
NEEDED_OF_TESTS = ("tests/dags/example_etl.py", *(f"tests/requirements{one}.txt" for one in ("", "-lint", "-fuzz")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step:
    """A command, and the lines that the README shows below it, None where it shows nothing."""

    def __init__(self, number: int, command: str, shown: list[str] | None) -> None:
        self.number, self.command, self.shown = number, command, shown

    @property
    def reason(self) -> str | None:
        """Why it is not run."""
        if re.search(r"^uv |PYTHON=\.venv/", self.command) and shutil.which("uv") is None:
            return "uv is not installed"
        if self.command.startswith("python -m coordinator_bundle orders/") and find_spec("pandas") is None:
            return "this Python does not have what the tasks import"
        return next((why for start, why in NOT_RUN.items() if self.command.startswith(start)), None)


def blocks(kind: str) -> list[str]:
    return [body for language, body in FENCED.findall((REPO / "README.md").read_text()) if language == kind]


def written() -> dict[str, str]:
    """Blocks that are files: the first line is a comment with the name."""
    found = {}
    for kind in ("python", "ini", "dockerfile", "yaml"):
        for body in blocks(kind):
            name = re.match(r"# (\S+)\n", body)
            assert name, f"a block of {kind} without the name of its file:\n{body}"
            found[name[1]] = body
    return found


def steps() -> list[Step]:
    found: list[Step] = []
    for language, body in FENCED.findall((REPO / "README.md").read_text()):
        if language == "bash":
            lines = [line.partition("  #")[0].strip() for line in body.splitlines()]
            found += [Step(len(found) + n, line, None) for n, line in enumerate(filter(None, lines))]
        if language != "console":
            continue
        first = len(found)
        for line in body.splitlines():
            if line.startswith("$ ") and not (len(found) > first and (found[-1].shown or [])[-1:] == [""]):
                found.append(Step(len(found), line[2:], []))
            elif line.startswith("$ "):
                # Commands that a program shows are its output when a blank line stands before them.
                found[-1].shown.append(line)  # type: ignore[union-attr]
            elif line.startswith("> "):
                found[-1].command += "\n" + line[2:]
            else:
                found[-1].shown.append(line)  # type: ignore[union-attr]
    return found


STEPS = steps()


class Shell:
    """One bash for all commands, so that what one exports the next has."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f'{command}\n{{ printf "\\036%s\\n" "$?"; }} 2>&1\n')
        self.process.stdin.flush()
        said = ""
        for line in self.process.stdout:
            said += line
            if "\036" in line:
                said, _, code = said.rpartition("\036")
                return int(code), said
        raise AssertionError(f"the shell ended in: {command}\n{said}")


def alike(text: str) -> str:
    """Without what differs from run to run: times, sizes, digests, the Python, spaces."""
    text = re.sub(r"\d+(\.\d+)?(?= (s|ms|MiB|KiB)\b)", "#", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "#", re.sub(r"env-3\.\d+", "env-#", re.sub(r"with (uv|pip)", "with #", text)))
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines()) + "\n"


def pattern(shown: list[str]) -> str:
    """A regular expression for output that the README shows; `…` stands for anything, alone for any lines."""
    lines = [
        "(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n"
        for line in alike("\n".join(shown)).splitlines()
    ]
    return "".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds, and the files that the README shows."""
    folder = tmp_path_factory.mktemp("readme") / "coordinator_bundle"
    (folder / "tests" / "dags").mkdir(parents=True)
    for name in ("coordinator_bundle.py", "build_spec.spec", "Makefile", *NEEDED_OF_TESTS):
        shutil.copy(REPO / name, folder / name)
    return building.write_project(folder, dict(written()))


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> Iterator[dict[Any, Any]]:
    """What came of each step, by its number: exit code and output; under "airflow" a running Airflow."""
    pytest.importorskip("airflow", reason="apache-airflow is not installed")
    api, worker_logs, trigger_logs = free_ports(3)
    base = f"http://127.0.0.1:{api}"
    environment = building.environment(
        PYTHON=sys.executable,
        UV_PYTHON=sys.executable,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        COLUMNS="120",
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(api),
        AIRFLOW__API__BASE_URL=base,
        AIRFLOW__API__WORKERS="1",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{base}/execution/",
        AIRFLOW__CORE__PARALLELISM="2",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="true",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(worker_logs),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(trigger_logs),
    )
    environment.pop("VIRTUAL_ENV", None)
    shell, found, airflow = Shell(folder, environment), {}, None
    try:
        for step in STEPS:
            if step.command == "airflow standalone":
                inherited = dict(one.split("=", 1) for one in shell.run("env -0")[1].split("\0") if "=" in one)
                airflow = found["airflow"] = Deployment.started(folder / "airflow", base, inherited)
            elif ONLY_LOOKED_AT.match(step.command):
                found[step.number] = shell.run(re.sub("^make", "make -n", step.command))
            elif step.reason:
                found[step.number] = shell.run(f"bash -n -c {shlex.quote(step.command)}")
            else:
                found[step.number] = shell.run(step.command)
        yield found
    finally:
        shell.process.kill()
        if airflow:
            airflow.stop()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.command.partition("\n")[0][:70])
def test_a_command_of_the_readme_does_what_it_says(outcomes: dict[Any, Any], step: Step) -> None:
    if step.command == "airflow standalone":
        return
    code, said = outcomes[step.number]
    assert code == 0, f"{step.command}\n{said}"
    if step.shown and not step.reason:
        assert re.fullmatch(pattern(step.shown), alike(said)), f"{step.command}\n{said}"


def test_the_pipeline_ends_in_airflow_as_the_readme_says(outcomes: dict[Any, Any]) -> None:
    airflow = outcomes["airflow"]
    airflow.wait_for("health", START_SECONDS, lambda: healthy(airflow))
    airflow.wait_for("Dag orders", START_SECONDS, lambda: airflow.request("GET", "dags/orders"))
    airflow.request("PATCH", "dags/orders", {"is_paused": False})

    def ended() -> Any:
        runs = airflow.request("GET", "dags/orders/dagRuns")["dag_runs"]
        return [run for run in runs if run["state"] in ("success", "failed")]

    (run, *_) = airflow.wait_for("end of the run of orders", RUN_SECONDS, ended)
    path = f"dags/orders/dagRuns/{run['dag_run_id']}/taskInstances"
    tasks = [(each["task_id"], each["state"]) for each in airflow.request("GET", path)["task_instances"]]
    assert sorted(tasks) == [
        ("complain", "skipped"),
        ("countries", "success"),
        ("enough", "success"),
        ("store", "success"),
        ("turnover", "success"),
        ("turnover", "success"),
    ]
    wanted = {"de 110.00 -> db.example/sales", "fr 99.00 -> db.example/sales"}
    logs = f"{path}/store/logs/1"
    airflow.wait_for("lines", 30, lambda: wanted <= set(events(airflow.request("GET", logs)["content"])))


def table_commands() -> list[str]:
    """The commands of the table that a bundle takes, its optional parts left out."""
    rows = re.findall(r"^\| `(\./bundle .*?)` ?(?:, `(.*?)` )?\|", (REPO / "README.md").read_text(), re.MULTILINE)
    first = [row[0] for row in rows] + [f"./bundle {row[1]}" for row in rows if row[1]]
    found = [
        " ".join(re.sub(r"\[.*?\]", "", one).replace("DAG_ID", "orders").replace("DIR", "scratch").split())
        for one in first
    ]
    return [one for one in found if not one.split()[1].startswith(BY_A_SUPERVISOR)]


@pytest.mark.parametrize("command", table_commands())
def test_a_command_of_the_table_of_commands_works(outcomes: dict[Any, Any], folder: Path, command: str) -> None:
    environment = building.environment(AIRFLOW_CONN_WAREHOUSE="postgres://db.example/sales")
    words = command.replace("./bundle", "dist/orders").split()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    # Where this one stands no Airflow would find it, which is what --doctor is for.
    assert done.returncode == (1 if "--doctor" in words else 0) and done.stdout, done.stderr


def test_every_flag_is_in_the_readme_and_in_the_help_and_no_other() -> None:
    import coordinator_bundle as cb

    flags = {*cb._FLAGS, *cb._BUILD_FLAGS}
    command = [sys.executable, "-m", "coordinator_bundle", "--help"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", done.stdout)) == flags
    text = (REPO / "README.md").read_text()
    assert flags <= set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert {flag for row in rows for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", row)} <= flags


def test_the_settings_for_airflow_are_alike_wherever_they_stand() -> None:
    files = written()
    parser = configparser.ConfigParser()
    parser.read_string(files["airflow.cfg"])
    coordinators = json.loads(parser["sdk"]["coordinators"])
    queues = json.loads(parser["sdk"]["queue_to_coordinator"])
    set_there = dict(re.findall(r"^ENV AIRFLOW__SDK__(\w+)='(.*)'$", files["Dockerfile"], re.MULTILINE))
    assert json.loads(set_there["COORDINATORS"]) == coordinators
    assert json.loads(set_there["QUEUE_TO_COORDINATOR"]) == queues


def test_shell_lines_of_the_dockerfile_and_the_ci_job_are_shell(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    files = written()
    lines = re.findall(r"^RUN (.*)$", files["Dockerfile"], re.MULTILINE)
    lines += [step["run"] for step in yaml.safe_load(files["bundle.yml"])["jobs"]["bundle"]["steps"] if "run" in step]
    assert len(lines) >= 4
    for line in lines:
        assert subprocess.run(["bash", "-n", "-c", line]).returncode == 0, line
    for line in files["Dockerfile"].splitlines():
        assert not line or re.match("#|FROM |RUN |COPY |ENV ", line), line


def test_links_inside_the_readme_lead_somewhere() -> None:
    text = (REPO / "README.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#(.*?)\)", text))
    assert links <= anchors, links - anchors
    assert anchors <= links, f"not in the table of contents: {anchors - links}"

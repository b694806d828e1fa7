"""`--doctor` on deployments that are right, and on ones broken on purpose; the real Airflow says what is right."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import clean_environment
from test_command_line import MODULE

import coordinator_bundle as cb

FLOW = """\
from airflow.sdk import DAG, task

with DAG("flow", schedule=None):

    @task(queue="frozen")
    def one():
        return 1

    @task(queue="frozen")
    def two(value):
        print(value)

    two(one())
"""


DIAL = """\
import socket, sys
streams = [socket.create_connection(("127.0.0.1", int(each.rpartition(":")[2]))) for each in sys.argv[1:]]
streams[0].recv(1)
"""
forms: dict[str, tuple[str, dict[str, Any]]] = {}


def pack(out: Path, source: Path, remark: str = "") -> None:
    """A small program with a trailer: it lists the Dags of a Dag file as they are now, and dials back like a bundle."""
    text = source.read_text()
    if text not in forms:
        command = [sys.executable, str(MODULE), str(source)]
        listed = subprocess.run([*command, "--parse", "--json"], capture_output=True, text=True, check=True)
        manifest = subprocess.run([*command, "--bundle-metadata"], capture_output=True, text=True, check=True)
        forms[text] = listed.stdout, json.loads(manifest.stdout)
    listing, manifest = forms[text]
    program = out.parent / ".program"
    program.write_text(f"""\
#!/bin/sh
# {remark}
case "$1" in
--parse) cat <<'END'
{listing}
END
;;
*) exec {sys.executable} -SE -c '{DIAL}' "$@" ;;
esac
exit
""")
    program.chmod(0o755)
    cb.append_trailer(str(program), text.encode(), manifest, str(out))
    program.unlink()


class Deployment:
    """An AIRFLOW_HOME with a bundle in its folder and the Dag file in the Dags folder; `doctor()` examines it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.root = folder / "bundles"
        self.dags = folder / "dags"
        self.variables: dict[str, str] = {}
        self.coordinators: Any = {"frozen": self.entry()}
        self.queues: Any = {"frozen": "frozen"}
        self.more = ""
        for each in (self.root, self.dags, folder / "source"):
            each.mkdir()
        self.source = folder / "source" / "flow.py"
        self.source.write_text(FLOW)
        shutil.copy(self.source, self.dags)
        self.bundle = self.root / "flow"
        pack(self.bundle, self.source)

    def entry(self, **kwargs: Any) -> dict[str, Any]:
        return {
            "classpath": "airflow.sdk.coordinators.executable.ExecutableCoordinator",
            "kwargs": {"executables_root": [str(self.root)], **kwargs},
        }

    def environment(self) -> dict[str, str]:
        return {**clean_environment(), "AIRFLOW_HOME": str(self.home), **self.variables}

    def configure(self) -> None:
        text = ""
        for option, value in (("coordinators", self.coordinators), ("queue_to_coordinator", self.queues)):
            if value is not None:
                text += f"{option} = {value if isinstance(value, str) else json.dumps(value)}\n"
        (self.home / "airflow.cfg").write_text(f"[sdk]\n{text}{self.more}\n")

    def doctor(self, *arguments: object) -> tuple[int, list[tuple[str, str, str]]]:
        """Return the exit code and the findings: level, topic, text."""
        self.configure()
        command = [sys.executable, str(MODULE), *map(str, arguments or ("--doctor", self.bundle))]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        *lines, empty, total = done.stdout.splitlines()
        found = [(line[:4].strip(), line[6:17].strip(), line[19:]) for line in lines]
        failures = sum(level == "FAIL" for level, _, _ in found)
        assert not empty and total.startswith(f"{failures} problem")
        assert done.returncode == (1 if failures else 0)
        return done.returncode, found

    def failures(self, *arguments: object) -> str:
        return "\n".join(f"{topic}: {text}" for level, topic, text in self.doctor(*arguments)[1] if level == "FAIL")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_a_deployment_that_is_right_has_no_problem(deployment: Deployment) -> None:
    code, found = deployment.doctor()
    assert code == 0, found
    assert {level for level, _, _ in found} == {"ok"}
    said = {topic: text for _, topic, text in found}
    assert f"Airflow finds this bundle for Dag flow: {deployment.bundle}" in said["folder"]
    assert said["routing"] == f"queue frozen -> frozen -> {deployment.root}"
    assert "2 tasks of 2" in said["queues"]
    assert "agrees in ids, edges and queues" in said["Dag file"]
    assert "2026-06-16, known to the Airflow in" in said["schema"]
    assert "dials back in" in said["start"]


@pytest.mark.only("bundle")
def test_a_bundle_examines_itself(tmp_path: Path, make_bundle: Callable[..., Path]) -> None:
    built = make_bundle("example_etl.py")
    deployment = Deployment(tmp_path)
    deployment.bundle.unlink()
    deployment.configure()
    bundle = shutil.copy(built, deployment.root / "etl")
    shutil.copy(Path(__file__).parent / "dags" / "example_etl.py", deployment.dags)

    def doctor(program: object) -> tuple[int, str]:
        done = subprocess.run(
            [str(program), "--doctor"], capture_output=True, text=True, env=deployment.environment(), timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    code, said = doctor(bundle)
    assert code == 0, said
    assert f"ok    folder       Airflow finds this bundle for Dag example_etl: {bundle}" in said
    assert "is the file in this bundle" in said
    os.rename(bundle, deployment.home / "etl")
    code, said = doctor(deployment.home / "etl")
    assert code == 1
    assert f"this bundle is not in {deployment.root}: cp " in said


# --- what Airflow reads, as Airflow reads it --------------------------------------------------------------------------

OPTIONS = [
    ("sdk", "coordinators"), ("sdk", "queue_to_coordinator"), ("core", "xcom_backend"), ("core", "dags_folder"),
    ("core", "default_impersonation"), ("workers", "secrets_backend"), ("secrets", "backend"), ("core", "executor"),
]  # fmt: skip
CONFIGURATIONS = {
    "a file": ('[sdk]\ncoordinators = {\n    "a": {"classpath": "x.Y",\n  "kwargs": {}}\n  }\n', {}),
    "the environment before the file": (
        "[core]\nxcom_backend = from.File\ndags_folder = /in/file\n",
        {"AIRFLOW__CORE__XCOM_BACKEND": "from.Environment"},
    ),
    "variables and home": (
        "[core]\ndags_folder = $SOMEWHERE/dags\nxcom_backend = ~/x\n[sdk]\nqueue_to_coordinator = ${NESTED}\n",
        {"SOMEWHERE": "/some/where", "NESTED": "$INNER", "INNER": '{"a": "b"}'},
    ),
    "percent signs": ("[core]\nxcom_backend = 50%% of it\n[secrets]\nbackend = %(other)s.Backend\nother = of\n", {}),
    "an empty variable": ("[core]\nexecutor = CeleryExecutor\n", {"AIRFLOW__CORE__EXECUTOR": ""}),
    "names in another case": ("[sdk]\nCoordinators = {}\n[core]\nEXECUTOR = LocalExecutor\n", {}),
    "comments": ("[core]\n# executor = One\nexecutor = Two ; three\n; four\n", {}),
    "commands, which do not count": (
        "[sdk]\ncoordinators_cmd = echo {}\n",
        {"AIRFLOW__SDK__QUEUE_TO_COORDINATOR_CMD": "echo {}", "AIRFLOW__SDK__QUEUE_TO_COORDINATOR_SECRET": "x"},
    ),
}


READ = """
import json, os, sys
from airflow.sdk.configuration import AirflowSDKConfigParser
told = json.load(sys.stdin)
for name, variables in told["cases"].items():
    os.environ.clear()
    os.environ.update(variables)
    parser = AirflowSDKConfigParser()
    print(json.dumps([parser.get(*each, fallback="") or "" for each in told["options"]]))
"""


def test_settings_are_what_airflow_itself_reads(tmp_path: Path) -> None:
    pytest.importorskip("airflow.sdk.configuration", reason="apache-airflow is not installed")
    cases = {}
    for number, (name, (text, variables)) in enumerate({"nothing": ("", {}), **CONFIGURATIONS}.items()):
        home = tmp_path / str(number)
        home.mkdir()
        (home / "airflow.cfg").write_text(text)
        cases[name] = {**clean_environment(), "AIRFLOW_HOME": str(home), **variables}
    done = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps({"cases": cases, "options": OPTIONS}), capture_output=True,
        text=True, env=cases["nothing"], timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = dict(zip(cases, map(json.loads, done.stdout.splitlines()[-len(cases) :])))
    before = dict(os.environ)
    compared = 0
    try:
        for name, variables in cases.items():
            os.environ.clear()
            os.environ.update(variables)
            settings = cb.AirflowSettings(variables)
            for option, expected, unset in zip(OPTIONS, theirs[name], theirs["nothing"]):
                value = settings.get(*option)
                # What is set nowhere has Airflow's default, which may name AIRFLOW_HOME.
                home = cases["nothing"]["AIRFLOW_HOME"]
                default = unset.replace(home, variables["AIRFLOW_HOME"])
                assert (value or default) == (expected or default), (name, option)
                compared += bool(value)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert compared >= 9


def test_the_bundle_that_comes_first_is_the_one_that_airflow_finds(deployment: Deployment, tmp_path: Path) -> None:
    coordinator = pytest.importorskip("airflow.sdk.coordinators.executable.coordinator")
    for name in ("b/flow", "a/older/flow", "zz", "0"):
        copy = deployment.root / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        pack(copy, deployment.source, name)
    broken = deployment.root / "broken"
    broken.write_bytes(b"x" + deployment.bundle.read_bytes())
    broken.chmod(0o755)
    (deployment.root / "unset").write_bytes(deployment.bundle.read_bytes())
    winner = coordinator._Bundle.find([deployment.root], "flow").path
    candidates = [each for each in cb.executables_below([str(deployment.root)]) if cb._is_bundle(each)]
    accepted = [each for each in candidates if not cb.inspect_bundle(each)["problems"]]
    assert winner == Path(accepted[0])
    walked = [str(each) for each in coordinator._find_executables([deployment.root])]
    assert [each for each in candidates if os.access(each, os.X_OK)] == [each for each in walked if cb._is_bundle(each)]


# --- deployments broken on purpose ------------------------------------------------------------------------------------


def test_a_machine_without_airflows_settings(deployment: Deployment) -> None:
    deployment.variables["AIRFLOW_HOME"] = str(deployment.home / "elsewhere")
    said = deployment.failures()
    assert f"there is no {deployment.home}/elsewhere/airflow.cfg and no variable AIRFLOW__*" in said
    assert "[sdk] coordinators is not set" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"coordinators": None}, "[sdk] coordinators is not set"),
        ({"coordinators": None, "more": "coordinator = {}"}, "did you mean 'coordinator'?"),
        ({"coordinators": "{'frozen': 1}"}, "is not JSON"),
        ({"coordinators": [1]}, "want JSON objects"),
        ({"coordinators": {"frozen": {"kwargs": {}}}}, "wants a classpath and kwargs"),
        ({"queues": None}, 'no queue leads to coordinator \'frozen\': add {"QUEUE": "frozen"}'),
        ({"queues": {"frozen": "frozn"}}, "leads to 'frozn', which is not in coordinators, did you mean 'frozen'?"),
        ({"queues": {"froze": "frozen"}}, "leads to no bundle, so Airflow runs them itself, did you mean 'froze'?"),
        ({"more": "coordinators_cmd = cat x"}, "coordinators_cmd in"),
        ({"more": "sdk = 50%"}, "cannot be read"),
        ({"more": "[sdk]\nx = 1"}, "cannot be read"),
    ],
)
def test_settings_that_lead_nowhere(deployment: Deployment, change: dict[str, Any], said: str) -> None:
    for name, value in change.items():
        setattr(deployment, name, value)
    if change == {"more": "sdk = 50%"}:
        deployment.queues, said = "50%", "write %% for %"
    assert said in deployment.failures()


def test_coordinators_that_airflow_cannot_make(deployment: Deployment) -> None:
    deployment.coordinators["frozen"]["classpath"] = "airflow.sdk.coordinators.executable.ExecutableCoordinato"
    assert "did you mean 'airflow.sdk.coordinators.executable.ExecutableCoordinator'?" in deployment.failures()
    deployment.coordinators = {"frozen": deployment.entry(executable_root="/x")}
    assert "has an argument 'executable_root', did you mean 'executables_root'?" in deployment.failures()
    deployment.coordinators["frozen"]["kwargs"] = {}
    assert "has no executables_root" in deployment.failures()


def test_a_folder_that_is_not_there_or_does_not_hold_the_bundle(deployment: Deployment) -> None:
    deployment.coordinators = {"frozen": deployment.entry(executables_root=str(deployment.home / "nowhere"))}
    said = deployment.failures()
    assert f"{deployment.home}/nowhere (frozen) does not exist on this machine" in said
    assert f"this bundle is not in {deployment.home}/nowhere: cp {deployment.bundle} " in said


def test_a_bundle_that_may_not_be_executed(deployment: Deployment) -> None:
    deployment.bundle.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert "its execute bit is not set, so Airflow passes over it: chmod +x it" in deployment.failures()


def test_a_bundle_that_was_changed(deployment: Deployment) -> None:
    deployment.bundle.write_bytes(deployment.bundle.read_bytes().replace(b"# ", b"#!", 1))
    assert "the executable was changed after packing" in deployment.failures()


def test_a_bundle_that_was_cut(deployment: Deployment) -> None:
    # What is left begins inside the embedded Dag file.
    found = cb.read_bundle(str(deployment.bundle))
    deployment.bundle.write_bytes(deployment.bundle.read_bytes()[found.source_start + 1 :])
    done = deployment.failures(deployment.source, "--doctor")
    assert f"{deployment.bundle}: " in done and "Airflow passes over it" in done
    assert "no bundle in" in done


def test_a_stale_copy_that_comes_first_and_one_that_comes_later(deployment: Deployment) -> None:
    copy = deployment.root / "flow.bak"
    pack(copy, deployment.source, "older")
    intact = copy.read_bytes()
    copy.write_bytes(intact.replace(b"older", b"OLDER"))
    # Its digest does not fit: Airflow passes over it, and it is only mentioned.
    code, found = deployment.doctor()
    assert code == 0
    assert any(level == "note" and str(copy) in text and "changed after packing" in text for level, _, text in found)
    copy.write_bytes(intact)
    first = next(each for each in cb.executables_below([str(deployment.root)]))
    code, found = deployment.doctor()
    if first == str(copy):
        assert code == 1
        assert any("claims Dag flow too and comes first" in text for level, _, text in found if level == "FAIL")
    else:
        assert code == 0
        assert any("by the order of the directory alone" in text for level, _, text in found if level == "note")
    # Looked at from the other one it is the other way round.
    code, found = deployment.doctor("--doctor", copy)
    assert code == (0 if first == str(copy) else 1)
    assert any(topic == "copies" for _, topic, _ in found)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (FLOW.replace('"frozen"', '"other"', 1), "one is on queue 'other' there, 'frozen' in the bundle"),
        (FLOW.replace("two(one())", "one()"), "task two only in the bundle"),
        (FLOW + "\n    @task\n    def three(): ...\n\n    three()\n", "task three only there"),
        (FLOW.replace("two(one())", "one() << two(1)"), "what follows one"),
    ],
)
def test_a_dag_file_that_has_drifted_apart(deployment: Deployment, theirs: str, said: str) -> None:
    (deployment.dags / "flow.py").write_text(theirs)
    assert said in deployment.failures()


def test_a_stub_under_another_name_agrees(deployment: Deployment) -> None:
    command = [sys.executable, str(MODULE), str(deployment.source), "--stub"]
    stub = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (deployment.dags / "flow.py").unlink()
    (deployment.dags / "sub").mkdir()
    (deployment.dags / "sub" / "stub_of_flow.py").write_text(stub)
    code, found = deployment.doctor()
    assert code == 0
    assert any("stub_of_flow.py agrees in ids, edges and queues" in text for _, _, text in found)


def test_dag_files_are_sought_where_the_dag_bundles_are(deployment: Deployment) -> None:
    other = deployment.home / "other"
    os.rename(deployment.dags, other)
    local = {"name": "x", "classpath": cb._LOCAL_DAG_BUNDLE, "kwargs": {"path": str(other)}}
    git = {"name": "g", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {}}
    deployment.variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([local, git])
    code, found = deployment.doctor()
    assert code == 0
    assert any(str(other / "flow.py") in text for level, _, text in found if level == "ok")
    assert any("Dag bundle g is a GitDagBundle: its files cannot be compared here" in text for _, _, text in found)


def test_tasks_whose_queue_leads_elsewhere(deployment: Deployment) -> None:
    text = FLOW.replace('@task(queue="frozen")', "@task", 1)
    deployment.source.write_text(text)
    (deployment.dags / "flow.py").write_text(text)
    pack(deployment.bundle, deployment.source)
    code, found = deployment.doctor()
    assert code == 0
    assert any("flow: one: queue 'default' leads to no bundle" in text for level, _, text in found if level == "note")
    text = FLOW.replace('queue="frozen"', "")
    deployment.source.write_text(text)
    (deployment.dags / "flow.py").write_text(text)
    pack(deployment.bundle, deployment.source)
    assert "flow: one, two: queue 'default' leads to no bundle, so Airflow runs them itself" in deployment.failures()


def test_settings_that_a_bundle_does_not_see(deployment: Deployment) -> None:
    deployment.more = (
        "[core]\nxcom_backend = my.Backend\ndefault_impersonation = somebody_else\nexecutor = CeleryExecutor\n"
        "[workers]\nsecrets_backend = my.Secrets\n[openlineage]\ntransport = {}\n"
    )
    plugins = deployment.home / "plugins"
    plugins.mkdir()
    (plugins / "ears.py").write_text("class Ears:\n    listeners = [1]\n")
    (deployment.home / "config").mkdir()
    (deployment.home / "config/airflow_local_settings.py").write_text("def task_policy(task):\n    task.retries = 9\n")
    code, found = deployment.doctor()
    said = {level: "\n".join(text for its, _, text in found if its == level) for level in ("FAIL", "note")}
    assert "airflow_local_settings.py: no cluster policy runs in a bundle (task_policy)" in said["note"]
    assert f"[core] xcom_backend in {deployment.home}/airflow.cfg is my.Backend" in said["FAIL"]
    assert "set AIRFLOW__CORE__XCOM_BACKEND in the worker's environment" in said["FAIL"]
    assert "asks to run as 'somebody_else'" in said["FAIL"]
    assert "[workers] secrets_backend" in said["note"] and "my.Secrets" in said["note"]
    assert "[openlineage] transport" in said["note"]
    assert "ears.py: its listeners hear of a bundle's tasks only when it was taken along" in said["note"]
    assert "airflow celery worker --queues frozen" in said["note"]


def test_an_xcom_backend_in_the_environment_must_be_in_the_bundle(deployment: Deployment) -> None:
    deployment.variables["AIRFLOW__CORE__XCOM_BACKEND"] = "backend_beside.Backend"
    examine = (deployment.source, "--doctor", deployment.bundle)
    assert "backend_beside.Backend, which this bundle does not carry" in deployment.failures(*examine)
    (deployment.source.parent / "backend_beside.py").write_text("class Backend: pass\n")
    code, found = deployment.doctor(*examine)
    assert code == 0
    assert any("backend_beside.Backend, which this bundle carries" in text for level, _, text in found if level == "ok")


def test_a_task_that_asks_to_run_as_another_user(deployment: Deployment) -> None:
    deployment.source.write_text(FLOW.replace('queue="frozen"', 'queue="frozen", run_as_user="somebody_else"', 1))
    pack(deployment.bundle, deployment.source)
    assert "one asks to run as 'somebody_else'" in deployment.failures(deployment.source, "--doctor", deployment.bundle)


def test_imports_that_airflows_dag_processor_does_not_have(deployment: Deployment) -> None:
    pytest.importorskip("airflow")
    helper = deployment.dags / "helper_beside.py"
    helper.write_text("")
    text = "import json\nimport helper_beside\ntry:\n    import optional_thing\nexcept ImportError:\n    pass\n" + FLOW
    (deployment.dags / "flow.py").write_text(text)
    assert deployment.doctor()[0] == 0
    nowhere = deployment.home / "source" / "only_in_the_bundle.py"
    nowhere.write_text("")
    text = "import only_in_the_bundle\n" + FLOW
    (deployment.dags / "flow.py").write_text(text)
    deployment.variables["PYTHONPATH"] = str(nowhere.parent)
    said = deployment.failures()
    assert f"{deployment.dags}/flow.py:1: only_in_the_bundle is not installed beside Airflow" in said
    assert "import it inside the tasks" in said


def test_a_start_that_fails_and_one_that_is_slow(deployment: Deployment) -> None:
    deployment.coordinators = {"frozen": deployment.entry(task_startup_timeout=0.001)}
    assert "raise task_startup_timeout" in deployment.failures()
    text = deployment.source.read_text()
    listing, manifest = forms[text]
    program = deployment.home / "program"
    program.write_text("#!/bin/sh\necho cannot unpack >&2\nexit 3\n")
    program.chmod(0o755)
    cb.append_trailer(str(program), b"", manifest, str(deployment.bundle))
    said = deployment.failures()
    assert "does not list its Dags: cannot unpack" in said
    assert "it does not start: exit code 3: cannot unpack" in said


def test_a_temporary_folder_that_cannot_be_used(deployment: Deployment) -> None:
    deployment.variables["TMPDIR"] = str(deployment.home / "no-such-folder")
    _, found = deployment.doctor()
    assert any("may not be written, the bundle unpacks to" in text for level, _, text in found if level == "note")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_temporary_folder_that_is_mounted_noexec(deployment: Deployment) -> None:
    folder = deployment.home / "noexec"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        deployment.variables["TMPDIR"] = str(folder)
        assert f"{folder} is mounted noexec, so nothing unpacked there can run: set TMPDIR" in deployment.failures()
    finally:
        subprocess.run(["umount", str(folder)])


def test_a_schema_that_this_airflow_does_not_know(deployment: Deployment) -> None:
    text = deployment.bundle.read_bytes()
    manifest = text[text.index(b"\n{") + 1 : -64]
    changed = manifest.replace(b"2026-06-16", b"2031-01-01")
    deployment.bundle.write_bytes(text.replace(manifest, changed))
    said = deployment.failures()
    assert "supervisor_schema_version is '2031-01-01'" in said
    assert "does not know the supervisor schema 2031-01-01" in said


def test_dag_files_that_are_not_frozen_yet_can_be_examined(deployment: Deployment) -> None:
    code, found = deployment.doctor(deployment.source, "--doctor")
    assert code == 0
    assert any(f"{deployment.bundle} has Dag flow" in text for _, _, text in found)
    deployment.bundle.unlink()
    said = deployment.failures(deployment.source, "--doctor")
    assert f"no bundle in {deployment.root} has Dag flow: build one" in said


def test_doctor_needs_something_to_examine(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(MODULE), "--doctor"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--doctor needs a bundle or a Dag file" in done.stderr
    command = [sys.executable, str(MODULE), "--doctor", str(tmp_path / "absent")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "absent: cannot be read: No such file or directory" in done.stderr

"""Bundles built once a session; Airflow with a home of its own and a warm supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
REPO = TESTS.parent
DAGS = TESTS / "dags"
sys.path[:0] = [str(path) for path in (REPO, TESTS, TESTS / "bench") if str(path) not in sys.path]


def live_in(home: str) -> None:
    import harness

    os.environ["AIRFLOW_TEST_HOME"] = home
    harness.prepare_environment(Path(home))
    # The supervisor sometimes waits a whole heartbeat for a process that has closed its streams and not yet exited.
    os.environ["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] = "1"


# Before any test module can import airflow, which reads its configuration on import. Each process of several that share
# the tests (pytest-xdist) has a home within that of the one that started them.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if "AIRFLOW_TEST_HOME" in os.environ:
    if WORKER and os.path.basename(os.environ["AIRFLOW_TEST_HOME"]) != WORKER:
        live_in(os.path.join(os.environ["AIRFLOW_TEST_HOME"], WORKER))
else:
    import atexit

    HOME = tempfile.mkdtemp(prefix="airflow-home-")
    live_in(HOME)

    @atexit.register
    def remove_home(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:
            shutil.rmtree(HOME, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--runner",
        choices=("bundle", "unpacked", "script", "airflow"),
        default="bundle",
        help="what runs the tasks of test_airflow.py: built bundles, in one file or unpacked; scripts that start the "
        "module on the Dag file, "
        "which is quicker while writing; or Airflow's own runner, to see what a test says about the yardstick",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell without job control starts what it puts in the background deaf to Ctrl-C, and so would be every program
    # that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "e2e: a whole Airflow is started; run by `make test-e2e`")
    config.addinivalue_line("markers", "only(*runners): says something about these values of --runner and no others")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    runner = config.getoption("--runner")
    for item in items:
        marker = item.get_closest_marker("only")
        if marker and runner not in marker.args:
            item.add_marker(pytest.mark.skip(reason=f"says nothing about --runner={runner}"))


@pytest.fixture(scope="session")
def airflow() -> Any:
    """The harness, in a process that has imported Airflow; skips where apache-airflow is not installed."""
    pytest.importorskip("airflow.sdk.execution_time.supervisor", reason="apache-airflow is not installed")
    import harness

    harness.warm_up()
    return harness


_real_airflow: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def airflow_stays_real() -> Iterator[None]:
    """Give back Airflow's modules, and the path, after a test that has loaded a Dag file in this process."""

    def loaded() -> dict[str, Any]:
        return {name: each for name, each in sys.modules.items() if name.partition(".")[0] == "airflow"}

    module = sys.modules.get("coordinator_bundle")
    if "airflow" in sys.modules and (module is None or module.airflow_modules not in sys.meta_path):
        _real_airflow.update(loaded())
    path = sys.path[:]
    yield
    module = sys.modules.get("coordinator_bundle")
    if module is not None and module.airflow_modules in sys.meta_path:
        module.airflow_modules.uninstall()
        # A Dag file brings its folder along, and its neighbours, which hold classes of this `airflow`.
        sys.path[:] = path
        for name, each in list(sys.modules.items()):
            if str(getattr(each, "__file__", None)).startswith(f"{DAGS}{os.sep}"):
                del sys.modules[name]
    if _real_airflow and sys.modules.get("airflow") is not _real_airflow["airflow"]:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(_real_airflow)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for bundles to extract themselves to."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Callable[..., Path]:
    """Build a bundle of these Dag files (paths below tests/dags) with the Makefile; its path, alone in its folder.

    Each combination is built once a session. Keyword arguments are variables for make.
    """
    built: dict[tuple[str, ...], Path] = {}
    runner = pytestconfig.getoption("--runner")

    def make(*dag_files: str, **variables: str) -> Path:
        key = (*dag_files, *(f"{k}={v}" for k, v in sorted(variables.items())))
        if key not in built:
            out = tmp_path_factory.mktemp("bundle") / Path(dag_files[0]).stem
            paths = [DAGS / name for name in dag_files]
            script(out, paths) if runner == "script" else build(out, paths, variables)
            built[key] = unpacked(out) if runner == "unpacked" else out
        return built[key]

    return make


def build(out: Path, dag_files: list[Path], variables: dict[str, str] | None = None) -> None:
    """`make bundle`; AssertionError with its output when it fails."""
    command = ["make", "-C", str(REPO), "bundle", f"DAG={' '.join(map(str, dag_files))}", f"OUT={out}"]
    command += [f"{name}={value}" for name, value in (variables or {}).items()]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def unpacked(bundle: Path) -> Path:
    """A bundle as `make install UNPACK=1` puts it, alone in a folder."""
    folder = bundle.parent / "unpacked"
    folder.mkdir()
    done = subprocess.run([bundle, "--unpack", folder], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0 and "snapshot each task begins in memory" in done.stdout, done
    return folder / bundle.name


def script(out: Path, dag_files: list[Path]) -> None:
    """A shell script with a trailer: to Airflow a bundle, though it starts the module as it lies in the repository."""
    import hashlib
    import struct

    command = [sys.executable, str(REPO / "coordinator_bundle.py"), *map(str, dag_files)]
    done = subprocess.run([*command, "--bundle-metadata"], capture_output=True, env=clean_environment())
    assert done.returncode == 0, done.stderr.decode()
    manifest = done.stdout[done.stdout.index(b"{") :]
    program = f'#!/bin/sh\nexec {" ".join(command)} "$@"\n'.encode()
    trailer = struct.pack("<III32s12x8s", 0, len(manifest), 1, hashlib.sha256(program).digest(), b"AFBNDL01")
    out.write_bytes(program + manifest + trailer)
    out.chmod(0o755)


def clean_environment() -> dict[str, str]:
    """The environment without what the test run added to it."""
    drop = ("AIRFLOW", "PYTEST_", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(drop)}


@pytest.fixture
def run(airflow: Any, make_bundle: Callable[..., Path], pytestconfig: pytest.Config) -> Callable[..., Any]:
    """run(dag_file, dag_id, task_id, **options): a bundle's task under the real supervisor; see harness.run_task."""
    own = pytestconfig.getoption("--runner") == "airflow"

    def run_in_bundle(dag_file: str, dag_id: str, task_id: str, *, bundle: Path | None = None, **options: Any) -> Any:
        folder = None if own else (bundle or make_bundle(dag_file)).parent
        return airflow.run_task(folder, DAGS / dag_file, dag_id, task_id, **options)

    return run_in_bundle

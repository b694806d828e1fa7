"""Projects on disk and bundles made of them, as a user makes them: with make, from files."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
# Whether bundles built here have the first steps of build_spec.spec.
DIALS_FIRST = platform.machine() == "x86_64"

DAG = """
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1), tags={tags})
def {dag_id}():
    @task(queue="frozen")
    def one():
        return 1

    one()

{dag_id}()
"""

# For Python 3.10 there are none of the providers that this module goes by, but the ones before them.
HAS_LATEST_PROVIDERS = sys.version_info >= (3, 11)


def dag_text(dag_id: str, tags: str = "[]", before: str = "") -> str:
    """A Dag file with one task; *tags* is an expression, *before* is code above everything."""
    return before + DAG.format(dag_id=dag_id, tags=tags)


def write_project(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what pytest, make and Airflow's tests put there."""
    drop = ("AIRFLOW", "PYTEST_", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DAG", "OUT", "INCLUDE", "REQUIREMENTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(drop)} | changes


def make(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make <words> NAME=value...` in the repository's Makefile; stdout and stderr together."""
    command = ["make", "--no-print-directory", "-f", str(REPO / "Makefile"), *words]
    command += [f"PYTHON={sys.executable}", *(f"{name}={value}" for name, value in variables.items())]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), cwd=cwd or REPO
    )


def build(*dags: Path, out: Path, **variables: str) -> str:
    """Build a bundle that must succeed; returns what was said."""
    done = make("bundle", DAG=" ".join(map(str, dags)), OUT=str(out), **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout


def refuse(*dags: Path, out: Path, **variables: str) -> str:
    """Build what must not become a bundle, and check that nothing is left of the attempt; returns what was said."""
    before = sorted(out.parent.iterdir()) if out.parent.exists() else []
    done = make("bundle", DAG=" ".join(map(str, dags)), OUT=str(out), **variables)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert (sorted(out.parent.iterdir()) if out.parent.exists() else []) == before
    return done.stdout


def run(bundle: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(bundle), *arguments], capture_output=True, text=True, env=environment(**changes))


def freeze_again(name: str) -> None:
    """Forget that this was frozen already, so that the next build runs PyInstaller."""
    for mark in (REPO / "build").glob(f"{name}-*/inputs"):
        mark.unlink()


def build_python() -> Path:
    """The Python of the newest environment that bundles are frozen from."""
    marks = sorted((REPO / "build").glob("env-*/complete"), key=os.path.getmtime)
    assert marks, "no bundle was built yet"
    prefix = f"env-{sys.version_info[0]}.{sys.version_info[1]}-"
    return [mark for mark in marks if mark.parent.name.startswith(prefix)][-1].parent / "bin" / "python"


def copy_of_repository(folder: Path) -> Path:
    """The module and the spec, alone in a folder."""
    folder.mkdir()
    for name in ("coordinator_bundle.py", "build_spec.spec"):
        shutil.copy(REPO / name, folder / name)
    return folder

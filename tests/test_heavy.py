"""Large packages are paid for by the tasks that use them: neither loaded nor written to disk for the others."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import DIALS_FIRST, environment

pytestmark = pytest.mark.only("bundle")


def returned(run: Callable[..., Any], task_id: str) -> Any:
    outcome = run("heavy.py", "heavy", task_id)
    assert outcome.state == "success", outcome.records
    return outcome.xcom()


def test_a_task_that_uses_no_package_neither_loads_nor_writes_one(run: Callable[..., Any]) -> None:
    assert returned(run, "light") == {"loaded": [], "imported": True, "libraries": []}


def test_a_task_that_uses_a_package_has_all_of_it(run: Callable[..., Any]) -> None:
    assert returned(run, "table") == {"loaded": ["numpy", "pandas"], "sum": 6, "html": True}


def test_unpacked_they_are_there_too(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = make_bundle("heavy.py")
    for command in ([bundle, "--unpack", tmp_path], [tmp_path / bundle.name, "--inspect"]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        assert done.returncode == 0, done.stdout + done.stderr
    command = [tmp_path / bundle.name, "--run", "heavy", "--task", "table", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


def test_threads_may_be_the_first_to_use_a_package(run: Callable[..., Any]) -> None:
    assert returned(run, "at_once") == sum(range(36))


def test_a_package_knows_its_version(run: Callable[..., Any]) -> None:
    assert returned(run, "versions") is True


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine loads libraries from files")
def test_where_the_temporary_folder_is_small_or_nothing_can_be_run_from_it(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = make_bundle("heavy.py")

    def answer(options: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        inside = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} tmpfs {tmp_path} && exec "$@"', "-"]
        if subprocess.run([*inside[:2], "true"], capture_output=True).returncode:
            pytest.skip("needs the right to mount a file system")
        env = {**environment(), "TMPDIR": str(tmp_path)}
        return subprocess.run([*inside, bundle, *arguments], capture_output=True, text=True, env=env)

    told = answer("size=1m", "--doctor").stdout
    assert f"FAIL  start        {tmp_path} has 0 MiB left and a task may unpack " in told, told
    done = answer("noexec", "--run", "heavy", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = answer("noexec", "--doctor").stdout
    assert f"unpacks to {tmp_path}: may be written, is mounted noexec, so libraries go to memory" in told, told

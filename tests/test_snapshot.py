"""The snapshot of an unpacked bundle: tasks that begin in it notice nothing, and where it does not fit, none does."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import survival
from building import DIALS_FIRST
from survival import Run
from test_runner import pack, startup

pytestmark = [
    pytest.mark.only("bundle"),
    pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is"),
]
SNAPSHOT = ".coordinator_bundle.snapshot"
SECRET = "what-the-environment-of-who-unpacks-holds"


class Unpacked:
    """An unpacked bundle, with or without its snapshot."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        folder.mkdir()
        done = subprocess.run(
            [bundle, "--unpack", folder], capture_output=True, text=True, env={**os.environ, "UNPACKERS": SECRET}
        )
        assert done.returncode == 0, done
        self.said = done.stdout
        self.path = folder / bundle.name
        (self.contents,) = folder.glob(f".{bundle.name}-*")
        self.snapshot = self.contents / SNAPSHOT

    def run(self, task_id: str, folder: Path, **options: Any) -> tuple[Run, bool]:
        """A task's run, and whether it began in the snapshot."""
        run = Run(self.path, task_id, folder, **options)
        try:
            run.accept()
            survival.eventually(lambda: survival.children(run.process.pid))
            begun = SNAPSHOT in Path(f"/proc/{run.process.pid}/maps").read_text()
            run.send(pack([0, startup(task_id=task_id, dag_id="process"), None]))
            run.serve()
            assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
            return run, begun
        finally:
            run.close()

    def told(self, folder: Path, begins: bool, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the task `told` tells; of ten runs one that has begun as it should."""
        for _ in range(10):
            run, begun = self.run("told", folder, **options)
            if begun == begins:
                line = next(line for line in run.text.splitlines() if line.startswith("told "))
                told, own = json.loads(line.removeprefix("told "))
                # Of the processes that Airflow gives its port to, each has another one.
                told["argv"] = [each.rpartition(":")[0] or each for each in told["argv"]]
                return told, own
        raise AssertionError(f"no run has begun {'in the snapshot' if begins else 'as usual'}")


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("process.py")


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return Unpacked(bundle, tmp_path_factory.mktemp("snapshot") / "bundles")


@pytest.fixture
def own(unpacked: Unpacked, bundle: Path, tmp_path: Path) -> Unpacked:
    """One to be spoilt."""
    return Unpacked(bundle, tmp_path / "bundles")


def test_unpacking_takes_a_snapshot_and_says_so(unpacked: Unpacked) -> None:
    assert f" MiB in {unpacked.snapshot}\n" in unpacked.said
    assert unpacked.snapshot.stat().st_size > 2 << 20
    assert SECRET.encode() not in unpacked.snapshot.read_bytes()
    told = subprocess.run([unpacked.path, "--doctor"], capture_output=True, text=True).stdout
    assert "ok    snapshot     tasks begin in it\n" in told
    assert subprocess.run([unpacked.path, "--inspect"], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LANG": "C.UTF-8", "TZ": "Asia/Tokyo"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "TZ": "America/New_York", "A": "", "B": "=\N{SNOWMAN}"},
        {"LANG": "no_such.UTF-8"},
        {"LC_CTYPE": "C", "PATH": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONHASHSEED": "1"},
    ],
)
def test_the_process_of_a_task_is_what_it_is_without(
    own: Unpacked, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANG", "LC_", "TZ"))}
    environment = {**dict.fromkeys(os.environ.keys() - kept.keys(), ""), **environment}
    before, _ = own.told(folder, True, env=environment)
    own.snapshot.unlink()
    after, _ = own.told(folder, False, env=environment)
    assert before == after


def test_each_process_has_numbers_of_its_own(unpacked: Unpacked, folder: Path) -> None:
    (_, first), (_, second) = (unpacked.told(folder, True) for _ in range(2))
    for own in (first, second):
        assert len(set(own["pid"])) == 1
        assert own["up for"] < 60_000
    assert first["pid"] != second["pid"]
    assert not set(first["random"]) & set(second["random"])
    assert 0 < second["clock"][1] - first["clock"][1] < 60 and 0 < second["clock"][0] - first["clock"][0] < 60
    # As of processes that are forked from one another.
    assert first["hashes"] == second["hashes"]


def test_nothing_is_open_that_is_not_without(own: Unpacked, folder: Path) -> None:
    _, before = own.told(folder, True)
    own.snapshot.unlink()
    _, after = own.told(folder, False)
    assert len(before["descriptors"]) <= len(after["descriptors"])


def held(pid: int) -> int:
    """How much of the snapshot's memory that can be written to a process holds, in KiB."""
    found, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            counts = values[0] == "rw-p" and line.endswith(SNAPSHOT)
        elif name == "Rss:" and counts:
            found += int(values[0])
    return found


def test_the_process_that_waits_for_the_task_gives_back_what_it_has_only_read(unpacked: Unpacked, folder: Path) -> None:
    run = Run(unpacked.path, "told", folder)
    try:
        run.accept()
        (task,) = survival.eventually(lambda: survival.children(run.process.pid))
        survival.eventually(lambda: 0 < held(run.process.pid) < 0.8 * held(task))
    finally:
        run.close()


def test_two_that_unpack_have_different_hash_seeds(unpacked: Unpacked, own: Unpacked, folder: Path) -> None:
    assert unpacked.told(folder, True)[1]["hashes"] != own.told(folder, True)[1]["hashes"]


def test_a_task_can_use_what_a_process_has(unpacked: Unpacked, folder: Path) -> None:
    run, begun = unpacked.run("used", folder)
    assert begun and "used caught" in run.text


def test_a_hundred_starts_in_a_row_are_told_truly(unpacked: Unpacked, folder: Path) -> None:
    begun = [unpacked.run("told", folder)[1] for _ in range(100)]
    # One in thousands finds an address taken, and starts as usual.
    assert sum(begun) > 90


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_another_user_than_the_one_who_has_unpacked_it_begins_in_it_too(own: Unpacked, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    told, _ = own.told(folder, True, user=65534)
    assert told["program"][0] == str(own.path)


def change(own: Unpacked, place: int) -> None:
    with open(own.snapshot, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


def libraries(own: Unpacked) -> int:
    """Where the snapshot names the libraries it was made with."""
    return int.from_bytes(own.snapshot.read_bytes()[0x10:0x18], "little")


SPOILT: dict[str, Callable[[Unpacked], Any]] = {
    "the limit of the stack": lambda own: change(own, 0x08),
    "the size of a library": lambda own: change(own, libraries(own)),
    "the time of a library": lambda own: change(own, libraries(own) + 8),
    "the number of a library": lambda own: change(own, libraries(own) + 16),
    "the change of a library": lambda own: change(own, libraries(own) + 24),
    "the place of a library": lambda own: change(own, libraries(own) + 36),
    "a library of its own": lambda own: os.utime(next(own.contents.glob("libpython*")), (0, 0)),
    "the processor": lambda own: change(own, 0x24),
    "the kernel": lambda own: change(own, 0x1200),
    "the path": lambda own: change(own, 0x101),
    "cut": lambda own: os.truncate(own.snapshot, own.snapshot.stat().st_size - 4096),
    "cut to nothing": lambda own: os.truncate(own.snapshot, 100),
    "gone": lambda own: own.snapshot.unlink(),
    "a folder": lambda own: (own.snapshot.unlink(), own.snapshot.mkdir()),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_where_it_does_not_fit_a_task_starts_as_usual(
    own: Unpacked, folder: Path, spoil: Callable[[Unpacked], Any]
) -> None:
    own.told(folder, True)
    spoil(own)
    _, begun = own.run("told", folder)
    assert not begun
    told = subprocess.run([own.path, "--doctor"], capture_output=True, text=True).stdout
    assert "each task starts an interpreter: " in told
    again = subprocess.run([own.path, "--inspect"], capture_output=True)
    assert again.returncode == 0


def test_a_bundle_that_was_moved_or_copied_starts_as_usual(own: Unpacked, folder: Path, tmp_path: Path) -> None:
    whole = shutil.copytree(own.path.parent, tmp_path / "copy", symlinks=True)
    original, own.path = own.path, whole / own.path.name
    assert own.run("told", folder)[1] is False
    shutil.rmtree(original.parent)
    assert own.run("told", folder)[1] is False


def test_a_bundle_that_was_unpacked_by_way_of_a_link_begins_in_it(bundle: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    linked = Unpacked(bundle, tmp_path / "link" / "bundles")
    assert f" MiB in {linked.snapshot}\n" in linked.said
    linked.told(folder, True)


@pytest.mark.parametrize("variable", ["LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_tells_the_linker_or_malloc_what_to_do_is_heeded(unpacked: Unpacked, folder: Path, variable: str) -> None:
    value = {"GLIBC_TUNABLES": "glibc.malloc.check=0", "MALLOC_ARENA_MAX": "2"}.get(variable, "")
    assert unpacked.run("told", folder, env={variable: value})[1] is False
    environment = {**os.environ, variable: value}
    told = subprocess.run([unpacked.path, "--doctor"], capture_output=True, text=True, env=environment).stdout
    # What the linker is told here, the bundle itself has done away with before it asks.
    assert ("each task starts an interpreter" in told) is (variable != "LD_LIBRARY_PATH"), told


def test_a_stack_of_another_size_is_what_the_task_gets(unpacked: Unpacked, folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    try:
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, hard))
        told, _ = unpacked.told(folder, False)
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    assert told["limits"][0][0] == 4 << 20


@pytest.mark.parametrize(("level", "wanted"), [("WARNING", False), ("", True)])
def test_the_settings_of_the_worker_are_heeded(unpacked: Unpacked, folder: Path, level: str, wanted: bool) -> None:
    for _ in range(10):
        run, begun = unpacked.run("told", folder, env={"AIRFLOW__LOGGING__LOGGING_LEVEL": level})
        if begun:
            break
    assert begun and any(line["level"] == "info" for line in run.logs) is wanted


def test_an_ignored_signal_stays_ignored(unpacked: Unpacked, folder: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        told, _ = unpacked.told(folder, True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert int(told["signals"][1], 16) & 1 << signal.SIGHUP - 1


def test_where_none_can_be_taken_unpacking_says_why(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-path-that-is-too-long-for-it"] * 16)
    folder.mkdir(parents=True)
    done = subprocess.run([bundle, "--unpack", folder], capture_output=True, text=True)
    assert done.returncode == 0, done
    assert "\nsnapshot none, so each task starts an interpreter: process: what describes it does not " in done.stdout
    assert not list(folder.glob(f".*/{SNAPSHOT}*"))
    assert subprocess.run([folder / bundle.name, "--parse"], capture_output=True).returncode == 0
    told = subprocess.run([folder / bundle.name, "--doctor"], capture_output=True, text=True).stdout
    assert "note  snapshot     it has none" in told

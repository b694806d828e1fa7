"""The end of a task is told truly and nothing is left of it: damage done for real to a built bundle."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import survival
from building import DIALS_FIRST
from survival import PLACES, POINTS, SIGNALS, check_nothing_left, children, eventually, extractions, running
from test_runner import pack

import coordinator_bundle as cb

pytestmark = pytest.mark.only("bundle")


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("survival.py")


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(len(POINTS)), ids=[str(point) for point in POINTS])
def test_a_signal_at_any_point_of_a_life_is_told_truly_and_leaves_nothing(
    bundle: Path, folder: Path, index: int
) -> None:
    # One signal to one process at each point; `make soak` sends every signal to every process.
    point, place, number = POINTS[index], PLACES[index % 3], SIGNALS[(index // 3 + index) % 3]
    survival.strike_and_clear(bundle, folder, point, place, number)


def test_a_task_whose_bundle_is_replaced_goes_on_with_the_one_it_was_started_from(bundle: Path, folder: Path) -> None:
    own = Path(shutil.copy(bundle, folder / "own"))
    with running(own, "loses_its_bundle", folder) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (0, ["TaskState"]), run.everything()
        assert "skipped after 0.3" in run.everything()
    own.unlink()


def test_a_task_may_open_another_file_in_place_of_its_bundle(bundle: Path, folder: Path) -> None:
    with running(bundle, "opens_another_file_in_place_of_the_bundle", folder) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        assert "replaced 1" in run.everything()


def test_what_a_start_uses_is_what_the_build_takes_for_it(bundle: Path, folder: Path) -> None:
    with running(bundle, "tells_what_it_has_used", folder) as run:
        run.accept().start().serve()
    used = set(next(line for line in run.text.splitlines() if line.startswith("made: ")).split()[1:])
    assert len(used) > 100
    missing = sorted(used - cb.USED_BY_EVERY_TASK)
    assert len(missing) < 20, f"add to USED_BY_EVERY_TASK: {' '.join(missing)}"


def test_a_supervisor_that_dies_ends_the_task_whatever_it_does(bundle: Path, folder: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1].split(':')\n"
        "import pathlib, survival, time\n"
        "run = survival.Run(pathlib.Path(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])).until_ready()\n"
        "print('ready', flush=True); time.sleep(600)\n"
    )
    for task_id in ("sleeps", "holds_the_interpreter"):
        command = [sys.executable, "-c", code, ":".join(sys.path[:4]), str(bundle), task_id, str(folder)]
        supervisor = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert supervisor.stdout and supervisor.stdout.readline() == b"ready\n"
        supervisor.kill()
        supervisor.communicate()
        check_nothing_left(folder)


def test_a_killed_process_group_leaves_nothing(bundle: Path, folder: Path) -> None:
    with running(bundle, "has_children", folder) as run:
        run.until_ready()
        os.killpg(run.process.pid, signal.SIGKILL)
        check_nothing_left(folder)
        assert run.serve().code == -signal.SIGKILL


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("task_id", ["sleeps", "holds_the_interpreter", "loops", "reads", "has_children"])
def test_the_killed_process_takes_everything_with_it_at_once(
    bundle: Path, folder: Path, task_id: str, place: str
) -> None:
    with running(bundle, task_id, folder) as run:
        run.until_ready()
        os.kill(getattr(run, place)(), signal.SIGKILL)
        run.process.wait(survival.PATIENCE)
        if task_id == "has_children" and place == "inner":
            for pid in survival.processes(folder):
                os.kill(pid, signal.SIGKILL)
        check_nothing_left(folder)
        assert run.receive() is None
        assert run.finish().code == -signal.SIGKILL


@pytest.mark.parametrize(("should_retry", "outcome"), [(True, "RetryTask"), (False, "TaskState")])
def test_sigterm_runs_what_cleans_up_and_ends_the_children(
    bundle: Path, folder: Path, should_retry: bool, outcome: str
) -> None:
    with running(bundle, "cleans_up", folder, should_retry=should_retry) as run:
        run.until_ready()
        run.process.terminate()
        run.serve()
        assert [body.get("key") for body in run.asked[2:4]] == ["cleaned", "closed"]
        assert (run.code, run.outcomes) == (0, [outcome]), run.everything()
        assert [line["event"] for line in run.errors] == [
            "Received SIGTERM. Terminating the task",
            "Task failed with exception",
        ]
    check_nothing_left(folder)


def test_a_task_that_ignores_sigterm_is_ended_all_the_same(bundle: Path, tmp_path: Path) -> None:
    with running(bundle, "goes_on", tmp_path / "one") as goes_on, running(bundle, "is_deaf", tmp_path / "two") as deaf:
        for run in (goes_on, deaf):
            run.until_ready()
            run.process.terminate()
        goes_on.serve()
        assert (goes_on.code, goes_on.outcomes) == (0, ["RetryTask"]), goes_on.everything()
        assert goes_on.errors[-1]["event"] == "The task has not ended after SIGTERM; its process ends now"
        deaf.serve()
        assert (deaf.code, deaf.outcomes) == (-signal.SIGKILL, []), deaf.everything()
        assert "The task has not ended in time after SIGTERM and is killed" in deaf.text
    check_nothing_left(tmp_path / "one")
    check_nothing_left(tmp_path / "two")


def test_sigterm_while_a_dag_file_is_imported_asks_for_a_retry(bundle: Path, folder: Path) -> None:
    with running(bundle, "talks", folder, env={"SLEEP_AT_IMPORT": "1"}) as run:
        run.accept().start()
        eventually(lambda: (folder / "importing").exists())
        run.process.terminate()
        run.serve()
        assert (run.code, run.outcomes) == (0, ["RetryTask"]), run.everything()


# --- an end of its own ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_id", "code", "outcomes", "reason"),
    [
        ("leaves_with_zero", 1, [], "exit code 0, its outcome not reported"),
        ("leaves_with_three", 3, [], "exit code 3, its outcome not reported"),
        ("crashes", -signal.SIGSEGV, [], "ended by signal 11"),
        ("takes_all_memory", 0, ["RetryTask"], "MemoryError"),
        ("exits", 0, ["RetryTask"], "Task exited"),
        ("closes_descriptors", 1, [], "Bad file descriptor"),
    ],
)
def test_an_end_of_its_own_is_told_truly(
    bundle: Path, folder: Path, task_id: str, code: int, outcomes: list[str], reason: str
) -> None:
    with running(bundle, task_id, folder) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (code, outcomes), run.everything()
        assert reason in run.everything()
    check_nothing_left(folder)


@pytest.mark.parametrize("form", ["bundle", "unpacked"])
def test_an_end_at_the_import_waits_for_a_supervisor_that_is_still_at_the_start(
    request: pytest.FixtureRequest, form: str, folder: Path
) -> None:
    with running(request.getfixturevalue(form), "talks", folder, env={"LEAVE_AT_IMPORT": "1"}) as run:
        run.accept()
        eventually(lambda: (folder / "leaving").exists())
        time.sleep(0.5)
        assert run.process.poll() is None
        run.start().serve()
        assert (run.code, run.outcomes) == (1, []), run.everything()
        assert "exit code 0, its outcome not reported" in run.text
    (folder / "leaving").unlink()
    check_nothing_left(folder)


@pytest.fixture
def container() -> Iterator[Path]:
    """A control group with 64 MiB of memory: the file that process ids are written to."""
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        path = Path(root, f"coordinator-bundle-test-{os.getpid()}")
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            (path / limit).write_text(str(2**26))
            (path / "memory.swap.max").write_text("0") if limit == "memory.max" else None
        except OSError:
            path.rmdir()
            continue
        yield path / "cgroup.procs"
        path.rmdir()
        return
    pytest.skip("no control group can be made here")


def test_a_task_killed_for_its_memory_is_a_retry_and_the_log_says_so(
    run: Callable[..., Any], bundle: Path, folder: Path, container: Path
) -> None:
    done = run(
        "survival.py", "survival", "outgrows_its_container", bundle=bundle, max_tries=1,
        env={"TMPDIR": str(folder), "CONTAINER": str(container)},
    )  # fmt: skip
    # As with Airflow's own runner, the API hears of a retry from the supervisor's end alone.
    assert (done.exit_code, done.state, done.final_state) == (-signal.SIGKILL, None, "up_for_retry"), done
    assert "ended by signal 9" in done.log(), done
    check_nothing_left(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for less than a start writes."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_fails_the_task_that_writes(bundle: Path, folder: Path, small_disk: Path) -> None:
    with running(bundle, "fills_the_disk", folder, env={"FULL": str(small_disk)}) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (0, ["RetryTask"]), run.everything()
        assert "No space left on device" in run.errors[-1]["exception"][0]["exc_value"]
    check_nothing_left(folder)


def test_a_disk_too_full_for_the_extraction_is_an_error_and_swept_when_there_is_room(
    bundle: Path, small_disk: Path
) -> None:
    with running(bundle, "talks", small_disk) as run:
        run.process.wait(survival.PATIENCE)
        run.finish()
        assert run.code not in (0, None), run.everything()
        assert "ERROR" in run.text, run.everything()
    survival.make_old(small_disk)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    with running(bundle, "talks", small_disk) as run:
        assert run.accept().start().serve().code == 0
    check_nothing_left(small_disk)


def test_a_disk_too_full_for_the_extraction_is_no_success_under_airflow(
    run: Callable[..., Any], bundle: Path, small_disk: Path
) -> None:
    done = run("survival.py", "survival", "talks", bundle=bundle, env={"TMPDIR": str(small_disk)}, max_tries=1)
    # Airflow keeps what a process has printed only once it has found out that this one has dialled; where there was no
    # time for that, the scheduler fails or retries the task.
    if done.error:
        assert "process exited with 255 before connecting" in repr(done.error), done
        assert (done.state, done.final_state) == (None, None), done
    else:
        assert done.final_state in ("failed", "up_for_retry") and "ERROR" in done.log(), done
    assert not survival.processes(small_disk)


# --- dialling ---------------------------------------------------------------------------------------------------------


def start(bundle: Path, folder: Path, comm: str, logs: str) -> subprocess.CompletedProcess[str]:
    """Start a bundle, in either form, and wait for its end."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [str(bundle), f"--comm={comm}", f"--logs={logs}"],
        env={**os.environ, "TMPDIR": str(folder)}, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=survival.PATIENCE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as `make install UNPACK=1` lays it out."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run([str(bundle), "--unpack", str(folder)], check=True, capture_output=True)
    return folder / bundle.name


@pytest.mark.parametrize("which", ["--comm", "--logs"])
@pytest.mark.parametrize(
    ("form", "address"),
    [
        *(("bundle", f"127.0.0.1{port}") for port in (":0", ":65536", ":-1", ": 80", ":", "", ":\u0663")),
        *(("bundle", address) for address in ("127.:1", "127.0.0.256:80", "127.1.1.1.1:80", "")),
        ("bundle", "closed"),
        ("unpacked", "closed"),
    ],
)
def test_an_address_where_no_supervisor_listens_is_an_error(
    request: pytest.FixtureRequest, form: str, folder: Path, which: str, address: str
) -> None:
    program = request.getfixturevalue(form)
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as closed:
        good, bad = (f"127.0.0.1:{server.getsockname()[1]}" for server in (other, closed))
        closed.close()
        addresses = {"--comm": good, "--logs": good, which: bad if address == "closed" else address}
        done = start(program, folder, addresses["--comm"], addresses["--logs"])
        assert done.returncode in (1, 2) and done.stderr.strip(), done
        assert "Traceback" not in done.stderr, done
    check_nothing_left(folder)


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is")
def test_the_bootloader_dials_before_it_extracts(bundle: Path, folder: Path) -> None:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with socket.create_server(("127.0.0.1", 0)) as comm, socket.create_server(("127.0.0.1", 0)) as logs:
        addresses = (f"127.0.0.1:{server.getsockname()[1]}" for server in (comm, logs))
        done = subprocess.run(
            [str(bundle), *("--{}={}".format(*each) for each in zip(("comm", "logs"), addresses, strict=True))],
            env={**os.environ, "TMPDIR": str(folder)}, preexec_fn=prepare, capture_output=True,
            timeout=survival.PATIENCE,
        )  # fmt: skip
        assert done.returncode
        for server in (comm, logs):
            server.settimeout(0)
            server.accept()[0].close()


@pytest.mark.parametrize("taken", [(60,), (61,), (60, 61), (62, 65)])
def test_descriptors_in_use_are_no_hindrance(bundle: Path, folder: Path, taken: tuple[int, ...]) -> None:
    assert not [number for number in taken if os.path.exists(f"/proc/self/fd/{number}")]
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        for number in taken:
            os.dup2(null, number, inheritable=True)
        with running(bundle, "talks", folder, close_fds=False) as run:
            assert run.accept().start().serve().code == 0, run.everything()
    finally:
        for number in (null, *taken):
            os.close(number)
    check_nothing_left(folder)


def forbid_files_in_memory() -> None:
    """Have memfd_create fail, as in some sandboxes."""
    instructions = ((0x20, 0, 0, 0), (0x15, 0, 1, 319), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(program))) == 0


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is")
def test_a_start_does_without_files_in_memory(bundle: Path, folder: Path) -> None:
    done = subprocess.run([str(bundle), "--version"], preexec_fn=forbid_files_in_memory, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("coordinator_bundle ")


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is")
def test_libraries_that_cannot_be_loaded_are_an_error(bundle: Path, folder: Path) -> None:
    few = subprocess.run(
        [str(bundle), "--version"], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50)),
        capture_output=True, text=True,
    )  # fmt: skip
    cut = folder / "cut"
    cut.write_bytes(bundle.read_bytes()[: 1 << 20])
    cut.chmod(0o755)
    for done, why in ((few, "ulimit -n"), (subprocess.run([str(cut)], capture_output=True, text=True), "was cut")):
        assert done.returncode == 1 and why in done.stderr and done.stderr.startswith("error: "), done


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is")
@pytest.mark.parametrize("form", ["bundle", "unpacked"])
def test_the_streams_end_when_the_process_has_ended(request: pytest.FixtureRequest, form: str, folder: Path) -> None:
    """Airflow's supervisor sleeps for five seconds when it sees the one before the other."""
    program = request.getfixturevalue(form)
    for _ in range(30):
        ours, theirs = socket.socketpair()
        with ours, running(program, "talks", folder, output=theirs) as run:
            theirs.close()
            run.accept().start().answer_all()
            while ours.recv(4096):
                pass
            assert run.process.poll() == 0


NO_INIT = """\
import pathlib, subprocess, sys, time
sys.path[:0] = sys.argv[1].split(":")
import survival
left = []
for wait in (0, 0, 10.5, 0, 0):
    time.sleep(wait)
    run = survival.Run(pathlib.Path(sys.argv[2]), "talks", pathlib.Path(sys.argv[3])).accept().start().serve()
    assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
    run.close()
    found = subprocess.run(["ps", "-eo", "stat,comm"], capture_output=True, text=True).stdout
    left.append(sum("Z" in line.split()[0] for line in found.splitlines()))
print(left)
"""


@pytest.mark.skipif(not DIALS_FIRST, reason="the bootloader for this machine is left as it is")
@pytest.mark.parametrize("form", ["bundle", "unpacked"])
def test_where_nobody_takes_note_of_orphans_tasks_soon_leave_none(
    request: pytest.FixtureRequest, form: str, folder: Path
) -> None:
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespace may be made here")
    program = str(request.getfixturevalue(form))
    command = [*apart, sys.executable, "-c", NO_INIT, ":".join(sys.path[:4]), program, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[1, 2, 2, 2, 2]\n", done


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
def test_an_address_elsewhere_is_refused_without_dialling_it(bundle: Path, folder: Path, host: str) -> None:
    # All of them come to this machine, which tells whether they were dialled.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = start(bundle, folder, f"{host}:{port}", f"{host}:{port}")
        assert (done.returncode, "an address of this machine only" in done.stderr) == (2, True), done
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    check_nothing_left(folder)


@pytest.mark.parametrize("form", ["bundle", "unpacked"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_supervisor_that_accepts_and_says_nothing(
    request: pytest.FixtureRequest, form: str, folder: Path, number: int
) -> None:
    with running(request.getfixturevalue(form), "talks", folder) as run:
        run.accept()
        time.sleep(0.3)
        os.kill(run.process.pid, number)
        run.finish()
        assert run.code != 0 and not run.asked, run.everything()
        assert run.comm and run.comm.recv(1) == b""
    check_nothing_left(folder)


def test_a_supervisor_that_sends_before_it_accepts_the_logs(bundle: Path, folder: Path) -> None:
    with running(bundle, "talks", folder) as run:
        run.comm = run.servers[0].accept()[0]
        run.comm.settimeout(survival.PATIENCE)
        run.start()
        frame = run.receive()
        assert frame
        run.logs_socket = run.servers[1].accept()[0]
        run.answer(frame)
        run.serve()
        assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        assert run.logs
    check_nothing_left(folder)


@pytest.mark.parametrize("form", ["bundle", "unpacked"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_starts_is_no_success(
    request: pytest.FixtureRequest, form: str, folder: Path, number: int
) -> None:
    program = request.getfixturevalue(form)
    for step in range(12):
        with running(program, "talks", folder) as run:
            # Over what a start takes, from before the interpreter is up until the program is loaded.
            time.sleep(step * 0.006)
            os.kill(run.process.pid, number)
            for server in run.servers:
                server.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                run.accept().start().serve()
            run.finish()
            run.check_truth()
            assert run.code != 0 or run.outcomes in (["RetryTask"], ["SucceedTask"]), run.everything()
    if form == "bundle":
        survival.start_once_more(program, folder)
    check_nothing_left(folder)


def test_a_bootloader_that_is_killed_as_soon_as_it_has_forked_leaves_nothing(bundle: Path, folder: Path) -> None:
    for _ in range(12):
        with running(bundle, "talks", folder) as run:
            # The one that holds its streams is there before it has extracted anything.
            while not children(run.process.pid):
                assert run.process.poll() is None
            run.process.kill()
            run.process.wait()
    check_nothing_left(folder)


# --- a supervisor that does not do its part ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "half-closed", "cut inside a frame"])
@pytest.mark.parametrize("after", range(4))
def test_a_comm_socket_that_ends_at_a_frame_ends_the_task(bundle: Path, folder: Path, after: int, how: str) -> None:
    with running(bundle, "talks", folder) as run:
        run.accept()
        assert run.comm
        if after:
            run.start()
        # The first of all, the fields, in the middle of the task, and its outcome.
        stop = {1: "SetRenderedFields", 2: "PutVariable", 3: "SucceedTask"}.get(after)
        while stop:
            frame = run.receive()
            assert frame
            if frame[1]["type"] == stop:
                break
            run.answer(frame)
        if how == "cut inside a frame":
            run.send(pack([0, {"type": "StartupDetails"}, None])[:9])
        run.comm.shutdown(socket.SHUT_WR if how == "half-closed" else socket.SHUT_RDWR)
        run.finish()
        assert run.code == 1, run.everything()
        run.check_truth()
        assert run.outcomes == (["SucceedTask"] if after == 3 else []), run.everything()
        last = run.errors[-1]
        assert "supervisor" in last["event"] + last.get("error", ""), run.everything()
    check_nothing_left(folder)


def test_a_log_socket_that_is_cut_stops_nothing(bundle: Path, folder: Path) -> None:
    with running(bundle, "talks", folder) as run:
        run.accept()
        assert run.logs_socket
        run.logs_socket.shutdown(socket.SHUT_RDWR)
        run.start().serve()
        assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        assert "Pushing xcom" in run.text
    check_nothing_left(folder)


def test_a_supervisor_that_hangs_with_the_outcome_is_no_success(bundle: Path, folder: Path) -> None:
    with running(bundle, "talks", folder) as run:
        run.accept().start()
        while (frame := run.receive()) and frame[1]["type"] != "SucceedTask":
            run.answer(frame)
        run.process.terminate()
        run.finish()
        assert run.code not in (0, None), run.everything()
        assert "is killed" in run.text
    check_nothing_left(folder)


@pytest.mark.parametrize("how", ["late", "twice", "out of order", "another id", "no msgpack"])
def test_answers_that_are_not_those_awaited_never_make_a_success_of_nothing(
    bundle: Path, folder: Path, how: str
) -> None:
    with running(bundle, "talks", folder) as run:
        run.accept().start()
        while (frame := run.receive()) is not None:
            number = frame[0]
            if how == "late":
                time.sleep(0.1)
            elif how == "out of order" and number:
                run.send(pack([number - 1, None, None]))
            if how == "another id":
                run.send(pack([number + 7, None, None]))
            elif how == "no msgpack":
                run.send(b"\0\0\0\1\xc1")
            else:
                run.answer(frame)
                if how == "twice":
                    run.answer(frame)
        run.finish()
        run.check_truth()
        if how in ("late", "twice", "out of order"):
            assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        else:
            assert run.code == 1 and "SucceedTask" not in run.types, run.everything()
            assert run.errors, run.everything()
    check_nothing_left(folder)


ERROR = {"error": "API_SERVER_ERROR", "detail": {"status_code": 500}}


@pytest.mark.parametrize(("task_id", "code"), [("talks", 0), ("leaves_a_failure", 1)])
def test_an_error_in_answer_to_an_outcome(bundle: Path, folder: Path, task_id: str, code: int) -> None:
    # Airflow's supervisor sends a success once more by itself when the process has ended with 0; a failure it does not.
    with running(bundle, task_id, folder, should_retry=False) as run:
        run.accept().start()
        while (frame := run.receive()) is not None:
            run.answer(frame, ERROR if frame[1]["type"] in survival.OUTCOMES else None)
        run.finish()
        assert run.code == code, run.everything()
        assert run.errors[-1]["event"] == "Failed to report terminal task state to supervisor"
    check_nothing_left(folder)


# --- what a task starts and changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_id", "value"),
    [
        ("runs_programs", ["", 0]),
        ("uses_multiprocessing", {name: [0, 1, 4, 9, 16, True] for name in ("fork", "spawn", "forkserver")}),
        ("uses_futures", [285, 285, 285]),
        ("leaves_a_pool_behind", 1),
        ("forks", "parent"),
        ("waits_for_all_children", 3),
        ("leaves_threads", 1),
        ("changes_everything", 7),
    ],
)
def test_programs_processes_and_threads_of_a_task_work_and_end_with_it(
    bundle: Path, folder: Path, task_id: str, value: Any
) -> None:
    with running(bundle, task_id, folder) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        assert [body["value"] for body in run.asked if body["type"] == "SetXCom"] == [value]
    check_nothing_left(folder)


def test_what_a_task_leaves_running_ends_with_it_but_for_what_it_has_detached(bundle: Path, folder: Path) -> None:
    with running(bundle, "leaves_children_behind", folder) as run:
        run.accept().start().serve()
        assert (run.code, run.outcomes) == (0, ["SucceedTask"]), run.everything()
        detached = run.asked[-2]["value"]
        assert list(survival.processes(folder)) == [detached]
        os.kill(detached, signal.SIGKILL)
    check_nothing_left(folder)


# --- who may look -----------------------------------------------------------------------------------------------------


def is_trusted_by(user: int, run: survival.Run) -> bool:
    """Whether Airflow's supervisor, running as this user, takes both connections for those of the bundle."""
    from airflow.sdk.coordinators import _subprocess

    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.setuid(user)
            known = [
                _subprocess._is_connection_from_process(each, run.process, verify_timeout=0)
                for each in (run.comm, run.logs_socket)
            ]
            os._exit(all(known))
        os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 2
    return code == 1


def test_memory_and_extraction_are_nobody_elses_and_nothing_listens(airflow: Any, bundle: Path) -> None:
    if os.geteuid():
        pytest.skip("another user can only be had by root")
    nobody = 65534
    # Where another user may come: pytest's folders are closed to it.
    with tempfile.TemporaryDirectory(prefix="survival-") as name:
        folder = Path(name)
        copy = folder.parent / f"{folder.name}-bundle"
        shutil.copy(bundle, copy)
        os.chown(folder, nobody, nobody)
        try:
            with running(copy, "sleeps", folder, user=nobody) as run:
                run.accept()
                task = run.task()
                # The supervisor looks for the sockets in /proc/PID/fd, which is the user's as long as he may look.
                for pid in (run.inner(), task):
                    assert os.stat(f"/proc/{pid}/fd").st_uid == nobody
                assert is_trusted_by(nobody, run)
                run.start()
                while (frame := run.receive()) and frame[1].get("key") != "ready":
                    run.answer(frame)
                for pid in (run.inner(), task):
                    assert os.stat(f"/proc/{pid}/fd").st_uid == 0
                if DIALS_FIRST:
                    eventually(lambda: os.stat(f"/proc/{run.outer()}/fd").st_uid == 0)
                    assert not {"60", "61"} & set(os.listdir(f"/proc/{run.outer()}/fd"))
                assert not is_trusted_by(nobody, run)
                for pid in (run.outer(), run.inner(), task):
                    assert not survival.listening(pid)
                [extraction] = extractions(folder)
                assert extraction.stat().st_mode & 0o777 == 0o700
                assert extraction.stat().st_uid == nobody
                run.process.terminate()
            check_nothing_left(folder)
        finally:
            copy.unlink()


def test_only_what_is_ours_and_dead_is_swept(bundle: Path, folder: Path) -> None:
    def extraction(name: str, mark: bool) -> Path:
        path = folder / name
        path.mkdir()
        (path / "libpython.so").write_bytes(b"")
        if mark:
            (path / ".coordinator_bundle").write_bytes(b"")
        return path

    dead = extraction("_MEI0000beefAAAAAA", True)
    of_another_program = extraction("_MEI0000beefBBBBBB", False)
    locked = extraction("_MEI0000beefCCCCCC", True)
    of_another_user = extraction("_MEI0000beefDDDDDD", True)
    os.chown(of_another_user, 65534, 65534) if not os.geteuid() else shutil.rmtree(of_another_user)
    # Killed before anything was extracted.
    empty = folder / "_MEI0000beefFFFFFF"
    empty.mkdir()
    survival.make_old(folder)
    young = extraction("_MEI0000beefEEEEEE", True)
    just_begun = folder / "_MEI0000beefGGGGGG"
    just_begun.mkdir()
    with open(locked / ".coordinator_bundle", "r+b") as file:
        os.lockf(file.fileno(), os.F_LOCK, 0)
        with running(bundle, "talks", folder) as run:
            assert run.accept().start().serve().code == 0
    assert not dead.exists() and not empty.exists()
    kept = [of_another_program, locked, young, just_begun] + ([] if os.geteuid() else [of_another_user])
    assert extractions(folder) == sorted(kept)


# --- under Airflow's own supervisor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["bundle", "unpacked"])
def test_the_api_is_told_of_an_end_at_the_import(
    run: Callable[..., Any], request: pytest.FixtureRequest, form: str, folder: Path
) -> None:
    bundle = request.getfixturevalue(form)
    for _ in range(5):
        env = {"TMPDIR": str(folder), "LEAVE_AT_IMPORT": "1"}
        done = run("survival.py", "survival", "talks", bundle=bundle, env=env)
        assert (done.exit_code, done.state, done.final_state) == (1, "failed", "failed"), done
    (folder / "leaving").unlink()
    check_nothing_left(folder)


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_the_api_is_never_told_of_a_success_that_was_none(
    run: Callable[..., Any], bundle: Path, folder: Path, place: str, number: int, retries: int
) -> None:
    def strike(api: Any) -> None:
        eventually(lambda: api.variables.get("ready"))
        task = int(api.variables["ready"])
        inner = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
        outer = int(Path(f"/proc/{inner}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill({"outer": outer, "inner": inner, "task": task}[place], number)

    done = run(
        "survival.py", "survival", "sleeps", bundle=bundle, env={"TMPDIR": str(folder)}, during=strike,
        max_tries=retries,
    )  # fmt: skip
    state = "up_for_retry" if retries else "failed"
    assert done.final_state == state, done
    if number == signal.SIGTERM:
        assert (done.exit_code, done.state) == (0, state), done
    else:
        # Airflow tells the API of a failure itself, and of a retry nothing: a killed process has had no say.
        assert (done.exit_code, done.state) == (-number, None if retries else "failed"), done
    check_nothing_left(folder)

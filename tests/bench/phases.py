"""Where the start of a bundle goes, phase by phase, seen from outside: `python tests/bench/phases.py`.

A bundle of a Dag file with one task that does nothing is started again and again, as Airflow starts it, by a supervisor
that answers at once. The bundle is built like any other: nothing in it is switched on, and no other start pays for it.
What is seen of it:

    the folder with what the linker needs    inotify(7) tells when it is made, written, read and removed
    its connections and frames               when they reach the supervisor
    its Dag file                             notes when its first and its last line run; the task prints it
    its process                              when it ends

    --runs N         starts of each form, one file and unpacked
    --bundle PATH    a bundle of DAG_FILE below, instead of building one
"""

from __future__ import annotations

import argparse
import ctypes
import os
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE), str(HERE.parent)]

import msgpack
from bench import Bench, machine
from test_runner import pack, startup

PATIENCE = 60.0
DAG_FILE = """\
import time

FIRST_LINE = time.monotonic()

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def phases():
    @task(queue="frozen")
    def nothing():
        print("moments", FIRST_LINE, LAST_LINE, time.monotonic())

    nothing()


phases()
LAST_LINE = time.monotonic()
"""
# Each phase and what ends it, unpacked perhaps something else; such a bundle has not all of them.
PHASES = {
    "bootloader": "it has dialled, libpython is in memory, a folder made; unpacked: it has dialled, opens the snapshot",
    "extraction": "the last file is written",
    "second process": "the bootloader, started by itself, has loaded libpython",
    "interpreter": "the first line of coordinator_bundle.py runs; unpacked: the snapshot is in place",
    "dial": "the supervisor has both connections, where the bootloader has not dialled",
    "imports": "the program is loaded, the first message read; the Dag file begins",
    "Dag file": "its last line has run",
    "task": "the task is found, its context made; its own first line runs",
    "outcome": "the supervisor has it",
    "end": "task and keeper are gone; unpacked: the task and the process that was started are gone",
    "removal": "the folder is gone, and the process that was started",
}
# Those that end with something that happens to a file.
FILES_TELL = {
    "one file": {"bootloader", "extraction", "second process", "interpreter", "end", "removal"},
    "unpacked": {"bootloader", "interpreter"},
}
# The first line of coordinator_bundle.py that does something locks this file, in either form.
MARK = ".coordinator_bundle"
SNAPSHOT = ".coordinator_bundle.snapshot"
_WRITTEN, _OPENED, _MADE, _REMOVED, _IS_FOLDER = 0x8, 0x20, 0x100, 0x200, 0x40000000


class Watch:
    """What happens to the files below a folder; folders that are made later are watched too."""

    def __init__(self, folder: Path) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self.folders: dict[int, str] = {}
        # Files that are being written, and so are not opened for use.
        self.new: set[str] = set()
        for path, _, _ in os.walk(folder):
            self.add(path)

    def add(self, path: str) -> None:
        number = self.libc.inotify_add_watch(self.descriptor, os.fsencode(path), _OPENED | _WRITTEN | _MADE | _REMOVED)
        if number >= 0:
            self.folders[number] = path

    def note(self, at: dict[str, float], now: float) -> None:
        """Note the ends of the phases that files tell of."""
        data = os.read(self.descriptor, 1 << 16)
        while data:
            number, mask, _, length = struct.unpack_from("iIII", data)
            name = os.fsdecode(data[16 : 16 + length].rstrip(b"\0"))
            path = os.path.join(self.folders.get(number, ""), name)
            data = data[16 + length :]
            if mask & _MADE and mask & _IS_FOLDER:
                self.add(path)
                if name.startswith("_MEI"):
                    at["bootloader"] = now
            elif mask & _MADE:
                self.new.add(path)
            elif mask & _WRITTEN and "interpreter" not in at:
                self.new.discard(path)
                at["extraction"] = now
            elif mask & _OPENED and path not in self.new:
                if name.startswith("libpython") or name == SNAPSHOT:
                    at.setdefault("bootloader", now)
                elif name == "base_library.zip" and "extraction" in at:
                    at.setdefault("second process", now)
                elif name == MARK and "bootloader" in at:
                    at.setdefault("interpreter", now)
            elif mask & _REMOVED and "outcome" in at:
                at.setdefault("end", now)


def one_start(bundle: Path, folder: Path, watched: Path | None) -> dict[str, float]:
    """Start a bundle once; return the seconds that each phase took, and under "total" all of it.

    folder: for temporary files; watched: the folder in which, at some depth, libpython is opened; None: only the total
    """
    watch = Watch(watched) if watched else None
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    comm, logs = (f"127.0.0.1:{server.getsockname()[1]}" for server in servers)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    selector = selectors.DefaultSelector()
    for server in servers:
        selector.register(server, selectors.EVENT_READ)
    if watch:
        selector.register(watch.descriptor, selectors.EVENT_READ)
    output, write_end = os.pipe()
    # The moment at which each phase ends.
    at: dict[str, float] = {}
    received: dict[socket.socket, bytes] = {}
    first: socket.socket | None = None
    begun = time.monotonic()
    pid = os.posix_spawn(
        bundle,
        [str(bundle), f"--comm={comm}", f"--logs={logs}"],
        {**env, "TMPDIR": str(folder)},
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)],
    )
    os.close(write_end)
    process = os.pidfd_open(pid)
    selector.register(process, selectors.EVENT_READ)
    ended = False
    while not ended:
        ready = selector.select(PATIENCE)
        now = time.monotonic()
        if not ready:
            os.kill(pid, signal.SIGKILL)
        for key, _ in ready:
            source = key.fileobj
            if watch and source == watch.descriptor:
                watch.note(at, now)
            elif source == process:
                at["removal" if "end" in at else "end"] = now
                ended = True
            elif source in servers:
                connection = source.accept()[0]  # type: ignore[union-attr]
                selector.register(connection, selectors.EVENT_READ)
                received[connection] = b""
                if len(received) == 2 and "interpreter" in at:
                    at["dial"] = now
                if source is servers[0]:
                    first = connection
                    connection.sendall(pack([0, startup(task_id="nothing", dag_id="phases"), None]))
            else:
                data = source.recv(1 << 16)  # type: ignore[union-attr]
                received[source] += data  # type: ignore[index]
                if not data:
                    selector.unregister(source)
                elif source is first:
                    received[first], outcome = answer(first, received[first])
                    if outcome:
                        at["outcome"] = now
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    printed = os.read(output, 1 << 16).decode()
    for each in (*servers, *received):
        each.close()
    for descriptor in (process, output, *([watch.descriptor] if watch else [])):
        os.close(descriptor)
    if code or "outcome" not in at:
        said = b"".join(received.values()).decode(errors="replace")
        raise SystemExit(f"{bundle} ended with exit code {code}: {printed}{said}")
    total = now - begun
    if not watch:
        return {"total": total}
    moments = next(line for line in printed.splitlines() if line.startswith("moments"))
    at["imports"], at["Dag file"], at["task"] = map(float, moments.split()[1:])
    taken, before = {}, begun
    for phase in PHASES:
        if phase in at:
            taken[phase] = at[phase] - before
            before = at[phase]
    return {**taken, "total": total}


def watched_start(bundle: Path, folder: Path, watched: Path, phases: set[str]) -> dict[str, float]:
    """Start a bundle until these phases have been seen one by one: after a wait this process sees several at once."""
    for _ in range(20):
        seen = one_start(bundle, folder, watched)
        if all(seen.get(phase) for phase in phases):
            return seen
    raise SystemExit(f"This machine is too busy to see each of {', '.join(sorted(phases))}; try again when it is not")


def answer(connection: socket.socket, data: bytes) -> tuple[bytes, bool]:
    """Answer the frames that have arrived; return what is left of the data, and whether the outcome was among them."""
    outcome = False
    while len(data) >= 4 and len(data) >= (size := 4 + struct.unpack(">I", data[:4])[0]):
        number, body, *_ = msgpack.unpackb(data[4:size], timestamp=3)
        data = data[size:]
        connection.sendall(pack([number, None, None]))
        outcome = outcome or body["type"] == "SucceedTask"
    return data, outcome


def show(form: str, starts: list[dict[str, float]], unwatched: list[float]) -> None:
    """Print one form's table."""
    phases = [phase for phase in PHASES if phase in starts[0]]
    medians = {phase: statistics.median(start[phase] for start in starts) * 1000 for phase in phases}
    total = sum(medians.values())
    print(f"\n{form:16} {'ms':>6}  share  ends when")
    for phase, took in medians.items():
        one_file, _, unpacked = PHASES[phase].partition("; unpacked: ")
        end = unpacked if unpacked and form == "unpacked" else one_file
        print(f"{phase:16} {took:6.2f}  {took / total:5.0%}  {end}")
    print(f"{'all':16} {total:6.2f}  {1:5.0%}")
    whole, plain = (statistics.median(each) * 1000 for each in ([start["total"] for start in starts], unwatched))
    print(f"a whole start: {whole:.2f} ms, unwatched {plain:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--bundle", type=Path)
    args = parser.parse_args()
    if args.runs < 1:
        parser.error(f"--runs must be at least 1, got {args.runs}")
    with tempfile.TemporaryDirectory(prefix="phases-") as name:
        folder = Path(name)
        dag_file, temporary, unpacked = folder / "dag" / "phases.py", folder / "tmp", folder / "unpacked"
        for each in (dag_file.parent, temporary, unpacked):
            each.mkdir()
        dag_file.write_text(DAG_FILE)
        bundle = args.bundle
        if bundle is None:
            bundle = folder / "phases"
            Bench.build(dag_file, bundle)
        subprocess.run([bundle, "--unpack", unpacked], check=True, stdout=subprocess.DEVNULL)
        forms = {"one file": (bundle, temporary), "unpacked": (unpacked / bundle.name, unpacked)}
        starts: dict[str, list[dict[str, float]]] = {form: [] for form in forms}
        unwatched: dict[str, list[float]] = {form: [] for form in forms}
        for turn in range(args.runs + 1):
            for form, (program, watched) in forms.items():
                seen = watched_start(program, temporary, watched, FILES_TELL[form])
                plain = one_start(program, temporary, None)
                # The first of each reads from disk what the others find in memory.
                if turn:
                    starts[form].append(seen)
                    unwatched[form].append(plain["total"])
    print(f"a task that does nothing, medians of {args.runs} starts")
    for form in forms:
        show(form, starts[form], unwatched[form])
    print(f"\nThe supervisor answers at once; Airflow's own takes its time beside this, see make bench.\n{machine()}")


if __name__ == "__main__":
    main()

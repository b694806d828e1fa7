"""A built bundle under a supervisor that does as it is told, in a temporary folder of its own; what is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgpack
from test_runner import pack, startup

PATIENCE = 30.0  # Seconds until a test that waits for something gives up.
OUTCOMES = ("SucceedTask", "TaskState", "RetryTask", "DeferTask", "RescheduleTask", "AwaitInputTask")


class Run:
    """One start of a bundle.

    asked: the bodies of its requests, in order; text: what it printed; logs: its log records; code: its exit code
    acknowledged: the types of the requests that were answered
    """

    # Of every run that is over, until `check_nothing_left` has looked at them.
    ports: ClassVar[set[int]] = set()

    def __init__(
        self,
        bundle: Path,
        task_id: str,
        folder: Path,
        *,
        should_retry: bool = True,
        env: dict[str, str] | None = None,
        user: int | None = None,
        output: Any = None,
        close_fds: bool = True,
    ) -> None:
        self.folder, self.task_id, self.should_retry = folder, task_id, should_retry
        self.asked: list[dict[str, Any]] = []
        self.acknowledged: list[str] = []
        self.code: int | None = None
        self.comm: socket.socket | None = None
        self.logs_socket: socket.socket | None = None
        self.servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for server in self.servers:
            server.settimeout(PATIENCE)
        comm, logs = (f"127.0.0.1:{server.getsockname()[1]}" for server in self.servers)
        self.output = tempfile.TemporaryFile()
        output = output or self.output
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment |= {"TMPDIR": str(folder), **(env or {})}
        self.process = subprocess.Popen(
            [str(bundle), f"--comm={comm}", f"--logs={logs}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            close_fds=close_fds,
            env=environment,
            user=user,
            cwd=folder,
            start_new_session=True,
        )
        with contextlib.suppress(OSError, ValueError):
            # A core dump would be found among what is left.
            resource.prlimit(self.process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    # --- the supervisor's side

    def accept(self) -> Run:
        comm, logs = (server.accept()[0] for server in self.servers)
        comm.settimeout(PATIENCE)
        logs.settimeout(PATIENCE)
        self.comm, self.logs_socket = comm, logs
        return self

    def start(self, **changes: Any) -> Run:
        details = startup(task_id=self.task_id, dag_id="survival", should_retry=self.should_retry, **changes)
        self.send(pack([0, details, None]))
        return self

    def send(self, data: bytes) -> None:
        assert self.comm is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.comm.sendall(data)

    def receive(self) -> list[Any] | None:
        """The next request, which is noted; None when there is none any more."""
        assert self.comm is not None
        data = b""
        wanted = 4
        while len(data) < wanted:
            try:
                more = self.comm.recv(wanted - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            data += more
            if len(data) == 4 == wanted:
                wanted += struct.unpack(">I", data)[0]
        frame = msgpack.unpackb(data[4:], timestamp=3)
        self.asked.append(frame[1])
        return frame

    def answer(self, frame: list[Any], error: Any = None) -> None:
        self.acknowledged.append(frame[1]["type"])
        self.send(pack([frame[0], None, error]))

    def answer_all(self, act: Callable[[list[Any]], Any] | None = None) -> None:
        """Answer everything. `act` is called with each request before; what it does not return None for is not
        answered."""
        while (frame := self.receive()) is not None:
            if act is None or act(frame) is None:
                self.answer(frame)

    def serve(self, act: Callable[[list[Any]], Any] | None = None) -> Run:
        """As `answer_all`, to the end of the process."""
        self.answer_all(act)
        return self.finish()

    def until_ready(self) -> Run:
        """Accept, start, answer until the task's own code runs; its request is answered too."""
        self.accept().start()
        while (frame := self.receive()) is not None:
            self.answer(frame)
            if frame[1].get("key") == "ready":
                return self
        raise AssertionError(f"the task ended before it was ready: {self.finish().everything()}")

    def finish(self) -> Run:
        """Wait for the end of the process that Airflow starts, and gather what it has said."""
        try:
            self.code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        self.output.seek(0)
        self.text = self.output.read().decode()
        self.logs: list[dict[str, Any]] = []
        if self.logs_socket is not None:
            data = b""
            with contextlib.suppress(OSError):
                while more := self.logs_socket.recv(65536):
                    data += more
            lines = data.decode().splitlines(keepends=True)
            self.logs = [json.loads(line) for line in lines if line.endswith("\n")]
        return self

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.ports.update(server.getsockname()[1] for server in self.servers)
        for each in (self.comm, self.logs_socket, self.output, *self.servers):
            if each is not None:
                each.close()

    # --- what became of it

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.asked]

    @property
    def outcomes(self) -> list[str]:
        return [body["type"] for body in self.asked if body["type"] in OUTCOMES]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.logs if line["level"] in ("error", "critical")]

    def everything(self) -> str:
        """All that was said, for the message of a failure and for those that look for a reason."""
        logs = "\n".join(json.dumps(line) for line in self.logs)
        return f"code {self.code}, asked {self.types}\n{logs}\n{self.text}"

    def check_truth(self) -> None:
        """Nothing says success unless the supervisor has got it, and a failure says why."""
        delivered = [name for name in self.acknowledged if name in OUTCOMES]
        assert len(self.outcomes) <= 1, self.everything()
        if self.code == 0:
            assert delivered, self.everything()

    # --- processes

    def outer(self) -> int:
        return self.process.pid

    def inner(self) -> int:
        """The process that the bootloader has started."""
        return eventually(lambda: children(self.process.pid))[0]

    def task(self) -> int:
        """The process that runs the task."""
        return eventually(lambda: children(self.inner()))[0]


def children(pid: int) -> list[int]:
    """The processes that one has started, without the one that only holds its streams until it has ended."""
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        status = {child: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in found}
        # The end of that one is told to nobody: exit_signal in proc(5).
        return [child for child in found if status[child][35] != "0"]
    except OSError:
        return []


def is_gone(pid: int) -> bool:
    """Whether a process has ended, if nobody has taken note of it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def has_taken_signals(pid: int, waits: bool) -> bool:
    """Whether no signal is on its way to a process any more, and, if it only waits for others, it has passed it on."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return True
    pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return status["State"].split()[0] == "Z" or not pending and (not waits or status["State"].split()[0] == "S")


def eventually(check: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `check` returns once it is true."""
    end = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return found


def processes(folder: Path) -> dict[int, str]:
    """Those that live and have this folder as TMPDIR, by process id."""
    mark = f"TMPDIR={folder}\0".encode()
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (path / "environ").read_bytes() and not is_gone(int(path.name)):
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def extractions(folder: Path) -> list[Path]:
    return sorted(folder.glob("_MEI*"))


def tcp_sockets() -> Iterator[tuple[str, str, int, str]]:
    """Each TCP socket of this machine: its local address, the other end's, its state, and its inode, 0 once closed."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                yield fields[1], fields[2], int(fields[3], 16), fields[9]


def ports_in_use(ports: set[int]) -> list[int]:
    """Those of the ports at either end of which a process still holds a socket."""
    held = set()
    for local, remote, _, inode in tcp_sockets():
        if inode != "0":
            held |= {int(address.rpartition(":")[2], 16) for address in (local, remote)}
    return sorted(ports & held)


def check_nothing_left(folder: Path, patience: float = PATIENCE) -> None:
    """No process, no extraction folder, no temporary file, and of the runs that are over no connection and no port;
    whatever a death leaves for a moment is waited for."""

    def left() -> list[str]:
        files = [path.name for path in folder.iterdir()]
        ports = [f"port {port}" for port in ports_in_use(Run.ports)]
        return [*files, *ports, *map(str, processes(folder).items())]

    end = time.monotonic() + patience
    while (found := left()) and time.monotonic() < end:
        time.sleep(0.005)
    assert not found, found
    Run.ports.clear()


def listening(pid: int) -> bool:
    """Whether a process has a TCP socket that listens."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(descriptor))
    return any(state == 10 and f"socket:[{inode}]" in inodes for _, _, state, inode in tcp_sockets())


@contextlib.contextmanager
def running(bundle: Path, task_id: str, folder: Path, **options: Any) -> Iterator[Run]:
    """A run that is over when the block is."""
    folder.mkdir(exist_ok=True)
    run = Run(bundle, task_id, folder, **options)
    try:
        yield run
    finally:
        run.close()


def make_old(folder: Path) -> None:
    """As if eleven minutes had passed since the last process in here."""
    eventually(lambda: not processes(folder))
    past = time.time() - 660
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.utime(os.path.join(place, name), (past, past), follow_symlinks=False)


# --- a life, and what can be done to it at each point

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PLACES = ("outer", "inner", "task")
# Milliseconds before the bundle has dialled; then by what has just happened.
POINTS: tuple[Any, ...] = (
    0, 2, 5, 10, 15, 20, 30,
    "accepted", "started", "import", "fields",
    "request 0", "answer 0", "request 1", "answer 1", "request 3", "xcom", "xcom answered",
    "outcome", "outcome answered",
)  # fmt: skip


def strike(bundle: Path, folder: Path, point: Any, place: str, number: int) -> Run:
    """Run the task that talks, and send a signal to one of its processes at a point of its life."""
    with running(bundle, "talks", folder) as run:
        hit = [False]

        def hit_at(here: Any) -> None:
            if here == point:
                hit[0] = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                if number == signal.SIGKILL:
                    eventually(lambda: is_gone(pid))
                else:
                    # From one process to the next, which takes longer on a busy machine than the rest of the task.
                    for each in chain[chain.index(pid) :]:
                        eventually(lambda each=each: has_taken_signals(each, waits=each != chain[-1]))

        if isinstance(point, int):
            time.sleep(point / 1000)
            pids = [run.process.pid, *children(run.process.pid)]
            if place == "task" and len(pids) > 1:
                pids += children(pids[1])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[-1] if place != "outer" else pids[0], number)
            hit[0] = True
        for server in run.servers:
            server.settimeout(0.05)
        sockets = []
        while len(sockets) < 2:
            try:
                sockets.append(run.servers[len(sockets)].accept()[0])
            except TimeoutError:
                if run.process.poll() is not None:
                    return run.finish()
        run.comm, run.logs_socket = sockets
        for each in sockets:
            each.settimeout(PATIENCE)
        # Now, because it may be gone once the outcome is answered.
        chain = [run.outer(), run.inner(), run.task()] if not hit[0] else []
        pid = chain[PLACES.index(place)] if chain else 0
        hit_at("accepted")
        run.start()
        hit_at("started")
        if point == "import":
            time.sleep(0.002)
            hit_at("import")
        step = 0
        while (frame := run.receive()) is not None:
            kind = frame[1]["type"]
            names = {
                "SetRenderedFields": ("fields", "fields answered"),
                "PutVariable": (f"request {step}", f"answer {step}"),
                "SetXCom": ("xcom", "xcom answered"),
            }.get(kind, ("outcome", "outcome answered"))
            hit_at(names[0])
            run.answer(frame)
            hit_at(names[1])
            step += kind == "PutVariable"
        assert hit[0], f"never came to {point}"
        return run.finish()


def strike_and_clear(bundle: Path, folder: Path, point: Any, place: str, number: int) -> None:
    """Send a signal at a point of a life: its end is told truly and nothing is left of it."""
    check_strike(strike(bundle, folder, point, place, number), point, number)
    if isinstance(point, int):
        # What was killed while it extracted itself is for the next start.
        start_once_more(bundle, folder)
    check_nothing_left(folder)


def start_once_more(bundle: Path, folder: Path) -> None:
    """Run a task after what lies in the folder has become old enough to be swept."""
    make_old(folder)
    with running(bundle, "talks", folder) as run:
        assert run.accept().start().serve().code == 0


def check_strike(run: Run, point: Any, number: int) -> None:
    """What holds after a signal at any point of a task's life."""
    run.check_truth()
    said = run.everything()
    if run.outcomes:
        # One that came too late for anything else is a success; every other has ended the task before its end. Which of
        # the two comes a time after the start, or once the last answer before the outcome is out, is up to the machine.
        either = not isinstance(point, str) or point == "xcom answered"
        late = point in ("outcome", "outcome answered")
        assert run.outcomes == ["SucceedTask"] and (late or either) or run.outcomes == ["RetryTask"] and not late, said
    if number == signal.SIGKILL and isinstance(point, str) and point != "outcome answered":
        assert not run.outcomes or point in ("xcom answered", "outcome"), said
        assert run.code == -signal.SIGKILL, said
    if number != signal.SIGKILL and isinstance(point, str) and point not in ("accepted", "started", "import"):
        assert run.code == 0 and run.outcomes, said
    if run.code not in (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        assert run.logs or run.text, said

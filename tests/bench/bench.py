"""What a task costs in a bundle, beside what it costs in Airflow's own runner: `python tests/bench/bench.py [ROW...]`.

Every figure is a ratio of two things measured in turns in the same processes on the same machine, so that it means the
same on another one. Times are those of the real `supervise_task`, from its call to its return.

    --list          the rows there are
    --runs N        how often each side runs (each row has its own default)
    --bundle PATH   a bundle of tests/dags/noop.py to measure, instead of building one
    --json          one JSON object instead of the table
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import c_bundle
import harness

DAG_FILE = HERE.parent / "dags" / "noop.py"
OUTLIER = 3.0
SIDES = {"bundle": "frozen", "unpacked": "unpacked", "airflow": "default", "c": "c"}
# The least that an interpreter can be asked to do.
BARE = [sys.executable, "-I", "-S", "-c", "pass"]


########################################################################################################################
# Inside a worker process: a supervisor that runs tasks when told to
########################################################################################################################


def configure(bundles: dict[str, str], folder: str) -> None:
    """Queues for every side at once, so that switching sides changes nothing but the task's queue."""
    classpath = "airflow.sdk.coordinators.executable.ExecutableCoordinator"
    coordinators = {
        name: {"classpath": classpath, "kwargs": {"executables_root": [folder]}} for name, folder in bundles.items()
    }
    os.environ["AIRFLOW__SDK__COORDINATORS"] = json.dumps(coordinators)
    os.environ["AIRFLOW__SDK__QUEUE_TO_COORDINATOR"] = json.dumps({SIDES.get(name, name): name for name in bundles})
    dags = [
        {
            "name": "dags",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(DAG_FILE.parent)},
        },
        {
            "name": "generated",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": folder},
        },
    ]
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(dags)


def run_once(side: str, task_id: str = "nothing", dag_file: Path = DAG_FILE) -> float:
    """Seconds that `supervise_task` took for one task."""
    from airflow.sdk.api.client import Client
    from airflow.sdk.api.datamodels._generated import BundleInfo
    from airflow.sdk.execution_time.supervisor import supervise_task

    api = harness.ExecutionAPI()
    ti = harness.task_instance(dag_file.stem, task_id, queue=SIDES.get(side, side))
    api.add_dag_run(dag_file.stem, ti.run_id)
    state = {"state": "queued", "max_tries": 0, "next_method": None, "next_kwargs": None}
    api.task_instances[str(ti.id)] = {**ti.model_dump(mode="json"), **state}
    with Client(base_url="http://execution-api", token="token", transport=api.transport()) as client:
        bundle = BundleInfo(name="dags" if dag_file.parent == DAG_FILE.parent else "generated")
        where = {"bundle_info": bundle, "dag_rel_path": dag_file.name, "log_path": f"{ti.id}.log"}
        started = time.perf_counter()
        code = supervise_task(ti=ti, token="token", client=client, **where)
        took = time.perf_counter() - started
    if code != 0 or api.states() != ["success"]:
        raise SystemExit(f"{side}: exit code {code}, states {api.states()}, calls {api.calls}")
    return took


def worker_turns(sides: list[str], runs: int) -> None:
    """Warm: everything of the worker's own imported; then turns in changing order."""
    take_turns(sides, runs, dag_file_too=False)


def worker_hot_turns(sides: list[str], runs: int) -> None:
    """As above, with what the Dag file imports preloaded too, which no worker can know beforehand."""
    take_turns(sides, runs, dag_file_too=True)


def take_turns(sides: list[str], runs: int, dag_file_too: bool) -> None:
    import gc

    harness.warm_up(dag_file_too)
    gc.collect()
    gc.freeze()
    for side in sides * 3:
        run_once(side)
    times: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(runs):
        for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
            times[side].append(run_once(side))
    print(json.dumps(times))


def worker_task_turns(dag_file: Path, jobs: dict[str, str], runs: int) -> None:
    """Warm, as above; the tasks of one Dag file in turns."""
    harness.warm_up(dag_file_too=False)
    times: dict[str, list[float]] = {task_id: [] for task_id in jobs}
    for turn in range(runs + 2):
        for task_id, side in jobs.items():
            took = run_once(side, task_id, dag_file)
            if turn >= 2:
                times[task_id].append(took)
    print(json.dumps(times))


def worker_memory(sides: list[str], runs: int) -> None:
    """Warm, as above; tells the process that watches when a run begins and ends, over a socket of its own."""
    import gc
    import socket

    harness.warm_up()
    gc.collect()
    gc.freeze()
    for side in sides * 2:
        run_once(side)
    control = socket.socket(fileno=int(os.environ["BENCH_CONTROL"]))
    for _ in range(runs):
        for side in sides:
            control.sendall(b"b")
            control.recv(1)
            run_once(side)
            control.sendall(b"e")
            control.recv(1)


def worker_after_one(sides: list[str], runs: int) -> None:
    """A worker that has run one task of a bundle and imported nothing on top of that: the same again, or Airflow's."""
    (side,) = sides
    run_once("bundle" if side == "airflow" else side)
    print(json.dumps({side: [run_once(side)]}))


def worker_first(sides: list[str], runs: int) -> None:
    """A worker that has only imported the supervisor; its first task."""
    import airflow.sdk.execution_time.supervisor  # noqa: F401

    print(json.dumps({side: [run_once(side)] for side in sides}))


def worker_task_again(dag_file: Path, jobs: dict[str, str], runs: int) -> None:
    """A worker that has only imported the supervisor and runs the same task again and again."""
    import airflow.sdk.execution_time.supervisor  # noqa: F401

    ((task_id, side),) = jobs.items()
    times = [run_once(side, task_id, dag_file) for _ in range(runs + 1)]
    print(json.dumps({task_id: times[1:]}))


def worker_single(sides: list[str], runs: int) -> None:
    """A process for one task, as a pod is."""
    run_once(sides[0])


########################################################################################################################
# Rows
########################################################################################################################


class Bench:
    """Where the bundles lie; how workers are started."""

    def __init__(self, folder: Path, bundle: Path | None, runs: int | None) -> None:
        self.folder = folder
        self.runs = runs
        self.given = bundle
        self.bundles: dict[str, str] = {}

    def prepare(self) -> None:
        """Build what the rows under the supervisor need: our bundle, and the C program if there is a compiler."""
        if self.bundles:
            return
        ours = self.folder / "ours"
        ours.mkdir()
        if self.given:
            shutil.copy2(self.given, ours / "noop")
        else:
            self.build(DAG_FILE, ours / "noop")
        self.bundles["bundle"] = str(ours)
        unpacked = self.folder / "unpacked"
        unpacked.mkdir()
        subprocess.run([ours / "noop", "--unpack", unpacked], check=True, stdout=subprocess.DEVNULL)
        self.bundles["unpacked"] = str(unpacked)
        if c_bundle.have_compiler():
            c_bundle.build(self.folder / "c", "noop", ["nothing"])
            self.bundles["c"] = str(self.folder / "c")
        else:
            print("no gcc: the C program's column stays empty", file=sys.stderr)

    @staticmethod
    def build(dag_file: Path, out: Path) -> None:
        command = ["make", "-s", "-C", str(REPO), "bundle", f"DAG={dag_file}", f"OUT={out}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    def sides(self, *wanted: str) -> list[str]:
        self.prepare()
        return [side for side in wanted if side == "airflow" or side in self.bundles]

    def worker(
        self, mode: str, sides: list[str], runs: int, control: int | None = None, **more: Any
    ) -> subprocess.Popen[str]:
        home = tempfile.mkdtemp(dir=self.folder)
        job = {"mode": mode, "sides": sides, "runs": runs, "home": home, "folder": str(self.folder)}
        command = [sys.executable, __file__, "--worker", json.dumps({**job, "bundles": self.bundles, **more})]
        env = {**os.environ, "BENCH_CONTROL": str(control)}
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            pass_fds=() if control is None else (control,),
        )

    def collect(self, mode: str, sides: list[str], runs: int, **more: Any) -> dict[str, list[float]]:
        process = self.worker(mode, sides, runs, **more)
        out, err = process.communicate()
        if process.returncode:
            raise SystemExit(f"the {mode} worker ended with {process.returncode}:\n{out}{err}")
        return json.loads(out.splitlines()[-1])

    def task_turns(
        self, dag_file: Path, jobs: dict[str, str], runs: int, mode: str = "task_turns"
    ) -> dict[str, list[float]]:
        """Seconds of each of a Dag file's tasks; `jobs` is task id to the side that runs it."""
        return self.collect(mode, [], runs, dag_file=str(dag_file), jobs=jobs)


def outliers(values: list[float]) -> int:
    middle = statistics.median(values)
    return sum(value > OUTLIER * middle for value in values)


def row(
    what: str, unit: str, ours: list[float], theirs: list[float], goal: float | None, note: str = ""
) -> dict[str, Any]:
    a, b = statistics.median(ours), statistics.median(theirs)
    return {
        "what": what,
        "unit": unit,
        "ours": a,
        "theirs": b,
        "ratio": a / b,
        "goal": goal,
        "runs": min(len(ours), len(theirs)),
        "spread": [spread(ours), spread(theirs)],
        "outliers": [outliers(ours), outliers(theirs)],
        "note": note,
    }


def spread(values: list[float]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 / statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values)


def row_start(bench: Bench) -> list[dict[str, Any]]:
    """no-op task in a warm worker: our bundle against Airflow's own runner at its best, and against the C program"""
    sides = bench.sides("bundle", "airflow", "c")
    times = bench.collect("turns", sides, bench.runs or 40)
    rows = [row("no-op task / Airflow at its best", "ms", times["bundle"], times["airflow"], 0.85)]
    hot = bench.collect("hot_turns", bench.sides("bundle", "airflow"), bench.runs or 20)
    rows.append(row("no-op task / and the Dag file's imports preloaded", "ms", hot["bundle"], hot["airflow"], None))
    if "c" in times:
        rows.append(
            row("no-op task / C program", "ms", times["bundle"], times["c"], None, "the floor: it only answers")
        )
        rows.append(above_the_floor(bench, "no-op task", times["bundle"], times["c"], 3.5))
    return rows


def above_the_floor(
    bench: Bench, what: str, ours: list[float], floor: list[float], goal: float | None
) -> dict[str, Any]:
    """What a task takes beyond the C program, in starts of an interpreter that does nothing."""
    answers = statistics.median(floor)
    bare = bare_python(bench)
    return row(f"{what} less the C program's / bare python", "ms", [each - answers for each in ours], bare, goal)


def bare_python(bench: Bench) -> list[float]:
    """How long an interpreter takes that does nothing, each time."""
    return commands_in_turns([BARE], bench.runs or 40)[0]


def row_unpacked(bench: Bench) -> list[dict[str, Any]]:
    """no-op task of an unpacked bundle (`--unpack`), in a warm worker"""
    sides = bench.sides("unpacked", "bundle", "airflow", "c")
    times = bench.collect("turns", sides, bench.runs or 40)
    rows = [
        row("unpacked, no-op task / Airflow at its best", "ms", times["unpacked"], times["airflow"], 0.65),
        row("unpacked, no-op task / bundle in one file", "ms", times["unpacked"], times["bundle"], None),
    ]
    if "c" in times:
        rows.append(above_the_floor(bench, "unpacked, no-op task", times["unpacked"], times["c"], None))
    return rows


def row_version(bench: Bench) -> list[dict[str, Any]]:
    """`./bundle --version`, against an interpreter that does nothing"""
    bench.prepare()
    commands = [[f"{bench.bundles[side]}/noop", "--version"] for side in ("bundle", "unpacked")]
    ours, unpacked, bare = commands_in_turns([*commands, BARE], bench.runs or 40)
    return [
        row("--version / bare python", "ms", ours, bare, 4.0),
        row("--version, unpacked / bare python", "ms", unpacked, bare, None),
    ]


def commands_in_turns(commands: list[list[str]], runs: int) -> list[list[float]]:
    """Seconds that each of some commands took, each time."""
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 2):
        for command, values in list(zip(commands, times))[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if turn >= 2:
                values.append(time.perf_counter() - started)
    return times


def row_size(bench: Bench) -> list[dict[str, Any]]:
    """size of a bundle whose Dag file has no dependencies"""
    bench.prepare()
    size = (Path(bench.bundles["bundle"]) / "noop").stat().st_size / 2**20
    return [row("size of a bundle / 9 MiB", "MiB", [size], [9.0], 1.0)]


def memory_peaks(bench: Bench, sides: list[str], runs: int) -> dict[str, list[float]]:
    """MiB of each side's process tree at its peak, proportional set size, the supervisor itself not counted."""
    import socket

    peaks: dict[str, list[float]] = {side: [] for side in sides}
    ours, theirs = socket.socketpair()
    process = bench.worker("memory", sides, runs, control=theirs.fileno())
    theirs.close()
    with ours:
        for _ in range(runs):
            for side in sides:
                if not ours.recv(1):
                    break
                ours.sendall(b"g")
                peaks[side].append(watch(process.pid, ours.fileno(), with_forks=side == "airflow") / 1024)
                ours.recv(1)
                ours.sendall(b"g")
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"the memory worker ended with {process.returncode}:\n{err}")
    return peaks


def row_memory(bench: Bench) -> list[dict[str, Any]]:
    """peak proportional set size of the task's process tree, the supervisor itself not counted"""
    sides = bench.sides("bundle", "airflow", "c")
    peaks = memory_peaks(bench, sides, bench.runs or 15)
    rows = [row("memory of the process tree / Airflow", "MiB", peaks["bundle"], peaks["airflow"], 0.2)]
    if "c" in peaks:
        rows.append(row("memory of the process tree / C program", "MiB", peaks["bundle"], peaks["c"], None))
    return rows


def row_memory_bare(bench: Bench) -> list[dict[str, Any]]:
    """peak memory of the task's process tree, above an interpreter that has imported msgpack and sockets"""
    import msgpack

    sides = bench.sides("bundle", "unpacked")
    peaks = memory_peaks(bench, sides, bench.runs or 15)
    # With a libpython of its own, as a bundle has: what other processes map as well counts only in part.
    contents = next(Path(bench.bundles["unpacked"]).glob(".noop-*"))
    packages = str(Path(msgpack.__file__).parent.parent)
    code = f"import sys; sys.path.append({packages!r}); import msgpack, _socket; input()"
    bare = []
    for _ in range(bench.runs or 15):
        command = [sys.executable, "-I", "-S", "-c", code]
        env = {**os.environ, "LD_LIBRARY_PATH": str(contents)}
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            time.sleep(0.3)
            bare.append(proportional_set_size(process.pid) / 1024)
            process.communicate(b"\n")
    floor = statistics.median(bare)
    above = {side: [each - floor for each in values] for side, values in peaks.items()}
    return [
        row("memory above a bare interpreter's / 4 MiB", "MiB", above["bundle"], [4.0] * len(bare), 1.0),
        row("memory, unpacked, above a bare interpreter's / 4 MiB", "MiB", above["unpacked"], [4.0] * len(bare), 1.0),
    ]


def watch(pid: int, until: int, with_forks: bool) -> float:
    """The highest sum of Pss, in KiB, of the descendants of `pid`, until the descriptor has something to read.

    Without forks, a descendant counts once it is another program: on its way to be one it is a copy of the supervisor.
    """
    import select

    program = os.readlink(f"/proc/{pid}/exe")

    peak = 0.0
    while not select.select([until], [], [], 0.0005)[0]:
        total, waiting = 0.0, children(pid)
        while waiting:
            child = waiting.pop()
            waiting += children(child)
            try:
                is_fork = os.readlink(f"/proc/{child}/exe") == program
            except OSError:
                continue
            if with_forks or not is_fork:
                total += proportional_set_size(child)
        peak = max(peak, total)
    return peak


def proportional_set_size(pid: int) -> float:
    """In KiB; 0 for a process that is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((float(line.split()[1]) for line in file if line.startswith("Pss:")), 0.0)
    except (OSError, ValueError):
        return 0.0


def children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def row_after_one(bench: Bench) -> list[dict[str, Any]]:
    """no-op task in a worker that has run one bundle task and preloaded nothing else

    Airflow's supervisor imports its Dag parser when the first bundle task sends its first message, so Airflow's runner
    gains from that task in the same worker; a worker that never ran one is the other comparison.
    """
    sides = bench.sides("bundle", "unpacked", "airflow", "c")
    times: dict[str, list[float]] = {side: [] for side in sides}
    first: list[float] = []
    for turn in range(bench.runs or 7):
        for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
            times[side] += bench.collect("after_one", [side], 1)[side]
        first += bench.collect("first", ["airflow"], 1)["airflow"]
    rows = [
        row("after one bundle task / Airflow, nothing preloaded", "ms", times["bundle"], first, 0.08),
        row("  unpacked / Airflow, nothing preloaded", "ms", times["unpacked"], first, 0.08),
        row("after one bundle task / Airflow in the same worker", "ms", times["bundle"], times["airflow"], None),
    ]
    if "c" in times:
        rows.append(row("  C program / Airflow, nothing preloaded", "ms", times["c"], first, None))
    return rows


def row_fresh(bench: Bench) -> list[dict[str, Any]]:
    """a process for one task, from its exec to its exit, as in a pod; it imports Airflow's supervisor on either side"""
    sides = bench.sides("bundle", "airflow", "c")
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(bench.runs or 5):
        for side in sides:
            started = time.perf_counter()
            process = bench.worker("single", [side], 1)
            _, err = process.communicate()
            times[side].append(time.perf_counter() - started)
            if process.returncode:
                raise SystemExit(f"the {side} worker ended with {process.returncode}:\n{err}")
    return [row("a process for one task / Airflow", "ms", times["bundle"], times["airflow"], None, "for information")]


def row_import(bench: Bench) -> list[dict[str, Any]]:
    """`import coordinator_bundle`, against the bare modules that every task needs"""
    path = f"import sys; sys.path.insert(0, {str(REPO)!r}); "
    ours = [sys.executable, "-I", "-c", path + "import coordinator_bundle"]
    theirs = [sys.executable, "-I", "-c", "import msgpack, socket, json"]
    times = commands_in_turns([ours, theirs], bench.runs or 40)
    return [row("import / python -I msgpack, socket, json", "ms", *times, 1.5)]


THOUSAND_TASKS = """\
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule="@daily", start_date=datetime(2026, 1, 1), default_args={"queue": "wide", "retries": 2})
def wide():
    @task
    def step(number: int, before=None) -> int:
        return number

    @task
    def nothing():
        pass

    nothing()
    for row in range(100):
        result = None
        for number in range(TASKS // 100 - (row == 0)):
            result = step(number, result)

wide()
"""
SERIALISE = """\
import sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
import json
json.dumps([DagSerialization.to_dict(dag) for dag in DagBag(dag_folder=sys.argv[1]).dags.values()])
"""


def row_parse(bench: Bench) -> list[dict[str, Any]]:
    """listing and serialising a Dag of 1,000 tasks: `--parse --json` against Airflow's import and serialisation"""
    bundles = {}
    for tasks in (1000, 2000):
        dag_file = bench.folder / f"wide_{tasks}.py"
        dag_file.write_text(THOUSAND_TASKS.replace("TASKS", str(tasks)))
        bundles[tasks] = bench.folder / f"wide_{tasks}"
        bench.build(dag_file, bundles[tasks])
    ours = [str(bundles[1000]), "--parse", "--json"]
    theirs = [sys.executable, "-c", SERIALISE, str(bench.folder / "wide_1000.py")]
    env = {**os.environ, "AIRFLOW_HOME": str(bench.folder / "parse_home"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range((bench.runs or 7) + 1):
        for command, values in ((ours, times[0]), (theirs, times[1])):
            started = time.perf_counter()
            subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if turn:
                values.append(time.perf_counter() - started)

    def peak(command: list[str]) -> float:
        """Peak resident size of a command in MiB, through a process of its own that has no other child."""
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
        )
        return float(subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True).stdout)

    peaks = {tasks: peak([str(path), "--parse", "--json"]) for tasks, path in bundles.items()}
    return [
        row("--parse --json of 1,000 tasks / Airflow", "ms", *times, 0.2),
        row("memory of --parse: 2,000 tasks / 1,000 tasks", "MiB", [peaks[2000]], [peaks[1000]], 2.0),
    ]


def row_calls(bench: Bench) -> list[dict[str, Any]]:
    """calls to the supervisor through our client and through Airflow's, on the same socket pair before the same peer"""
    rows = in_turns("variables and XComs, 9,000 calls / Airflow's client", "small", 3000, bench.runs or 21, 1.0)[:1]
    for job, what, runs in (
        ("get_text", "a text of 100 MiB read", 9),
        ("set_text", "a text of 100 MiB written", 9),
        ("get_rows", "rows of 100 MiB read", 2),
        ("set_rows", "rows of 100 MiB written", 2),
    ):
        rows += in_turns(f"{what} / Airflow's client", job, 1, bench.runs or runs, 0.5)
    return rows


def row_logs(bench: Bench) -> list[dict[str, Any]]:
    """log records through the standard logging package to the log socket"""
    return in_turns("30,000 log records / Airflow's", "logs", 30_000, bench.runs or 7, 1.0)


def in_turns(what: str, job: str, count: int, runs: int, goal: float | None) -> list[dict[str, Any]]:
    """One row of times, and where memory was weighed one of memory; a process of its own for each run."""
    found: dict[str, list[dict[str, float]]] = {"bundle": [], "airflow": []}
    for turn in range(runs):
        for side in ("bundle", "airflow") if turn % 2 else ("airflow", "bundle"):
            command = [sys.executable, str(HERE / "calls.py"), side, job, str(count)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    ours, theirs = found["bundle"], found["airflow"]
    rows = [row(what, "ms", [run["seconds"] for run in ours], [run["seconds"] for run in theirs], goal)]
    if "MiB" in ours[0]:
        memory = [[run["MiB"] for run in side] for side in (ours, theirs)]
        rows.append(row(f"  memory: {what}", "MiB", *memory, None))
    return rows


DAG_HEAD = """\
from datetime import datetime
from airflow.sdk import dag, task
"""
ISOLATED = """
@dag(schedule=None, start_date=datetime(2026, 1, 1))
def isolated():
    @task(queue="isolated")
    def frozen():
        return sum(range(1000))

    @task.external_python(python=PYTHON)
    def external():
        return sum(range(1000))

    @task.virtualenv(requirements=[], venv_cache_path=CACHE)
    def cached():
        return sum(range(1000))

    frozen(), external(), cached()

isolated()
"""
CHAIN = """
@dag(schedule=None, start_date=datetime(2026, 1, 1))
def NAME_chain():
    @task(queue="QUEUE")
    def nothing():
        pass

    before = nothing()
    for _ in range(39):
        after = nothing()
        before >> after
        before = after

NAME_chain()
"""
# The time that importing a Dag file takes in a process that has our module.
IMPORT_DAG_FILE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import coordinator_bundle as b
files = b.DagFiles([b.DagFile.from_path(sys.argv[2])])
started = time.perf_counter()
bag = files.load_all()
took = time.perf_counter() - started
assert not bag.import_errors and len(bag.dags["wide"].tasks) == 1000, bag.import_errors
print(took)
"""


def freeze(bench: Bench, queue: str, dag_file: Path) -> Path:
    """The folder of a bundle of a Dag file, which tasks of that queue go to."""
    folder = bench.folder / f"bundle-{queue}"
    if not folder.exists():
        folder.mkdir()
        bench.build(dag_file, folder / dag_file.stem)
        bench.bundles[queue] = str(folder)
    return folder


def unpack(bench: Bench, bundle: Path) -> None:
    """Unpack a bundle of `freeze`; its side has the bundle's name with "-unpacked"."""
    folder = bench.folder / f"{bundle.name}-unpacked"
    folder.mkdir()
    subprocess.run([bundle, "--unpack", folder], check=True, stdout=subprocess.DEVNULL)
    bench.bundles[folder.name] = str(folder)


def row_isolation(bench: Bench) -> list[dict[str, Any]]:
    """the same function in a bundle, through @task.external_python, and through @task.virtualenv with its cache

    In a worker that has imported Airflow's supervisor, as an executor's has, and runs this kind of task only; then in
    one that has preloaded all that Airflow's runner imports.
    """
    bench.prepare()
    python = getattr(sys, "_base_executable", sys.executable)
    text = ISOLATED.replace("PYTHON", repr(python)).replace("CACHE", repr(str(bench.folder / "cache")))
    dag_file = bench.folder / "isolated.py"
    dag_file.write_text(DAG_HEAD + text)
    unpack(bench, freeze(bench, "isolated", dag_file) / "isolated")
    jobs = {"frozen": "isolated", "external": "airflow", "cached": "airflow"}
    runs = bench.runs or 15
    times = bench.task_turns(dag_file, jobs, runs)
    bare: dict[str, list[float]] = {task_id: [] for task_id in jobs}
    for _ in range(3):
        for task_id, side in jobs.items():
            bare[task_id] += bench.task_turns(dag_file, {task_id: side}, (runs + 2) // 3, "task_again")[task_id]
        unpacked = {"frozen": "isolated-unpacked"}
        bare.setdefault("unpacked", []).extend(
            bench.task_turns(dag_file, unpacked, (runs + 2) // 3, "task_again")["frozen"]
        )
    return [
        row("a function, isolated / @task.external_python", "ms", bare["frozen"], bare["external"], 1 / 12),
        row("a function, isolated / @task.virtualenv, cached", "ms", bare["frozen"], bare["cached"], 1 / 12),
        row("  unpacked / @task.external_python", "ms", bare["unpacked"], bare["external"], 1 / 12),
        row("  unpacked / @task.virtualenv, cached", "ms", bare["unpacked"], bare["cached"], 1 / 12),
        row("  in a worker with Airflow preloaded / external_python", "ms", times["frozen"], times["external"], None),
        row("  in a worker with Airflow preloaded / virtualenv", "ms", times["frozen"], times["cached"], None),
    ]


def row_heavy(bench: Bench) -> list[dict[str, Any]]:
    """a Dag file that imports numpy and pandas: a task that uses them, and one that does not"""
    bench.prepare()
    dag_file = HERE.parent / "dags" / "heavy.py"
    folder = freeze(bench, "heavy", dag_file)
    ready = max((REPO / "build").glob("env-*/bin/python"), key=lambda path: path.parent.parent.stat().st_mtime)
    unpack(bench, folder / "heavy")
    runs = bench.runs or 15
    nothing = bench.task_turns(DAG_FILE, {"nothing": "bundle"}, runs)["nothing"]
    # One after the other: the disk is still busy with what a task that uses them has written.
    times, unpacked = (
        {task_id: bench.task_turns(dag_file, {task_id: side}, runs)[task_id] for task_id in ("light", "table")}
        for side in ("heavy", "heavy-unpacked")
    )
    imports = commands_in_turns([[str(ready), "-c", "import numpy, pandas"]], runs)[0]
    floor = [each + statistics.median(nothing) for each in imports]
    return [
        row("numpy and pandas frozen in, a task that uses neither / no-op", "ms", times["light"], nothing, None),
        row("numpy and pandas used / their import + no-op", "ms", times["table"], floor, 1.3),
        row("  unpacked: uses neither / no-op", "ms", unpacked["light"], nothing, None),
        row("  unpacked: used / their import + no-op", "ms", unpacked["table"], floor, None),
    ]


def row_thousand(bench: Bench) -> list[dict[str, Any]]:
    """a task of a Dag of 1,000 tasks, against one of a Dag of one task and the import of the larger file"""
    bench.prepare()
    dag_file = bench.folder / "wide.py"
    dag_file.write_text(THOUSAND_TASKS.replace("TASKS", "1000"))
    freeze(bench, "wide", dag_file)
    runs = bench.runs or 15
    times = bench.task_turns(dag_file, {"nothing": "wide"}, runs)["nothing"]
    one = bench.task_turns(DAG_FILE, {"nothing": "bundle"}, runs)["nothing"]
    command = [sys.executable, "-I", "-c", IMPORT_DAG_FILE, str(REPO), str(dag_file)]
    imports = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(runs)]
    floor = [each + statistics.median(imports) for each in one]
    return [row("a task of a 1,000-task Dag / no-op + the file's import", "ms", times, floor, 1.5)]


def row_chain(bench: Bench) -> list[dict[str, Any]]:
    """a chain of 40 no-op tasks in `airflow standalone`: from each task's start to its end as Airflow records them

    Between the two Airflow's supervisor and its API server work too; the C program, which only answers, shows
    how much at least.
    """
    bench.prepare()
    import test_e2e

    dags, bundles = bench.folder / "chains", bench.folder / "chain-bundles"
    home = Path(tempfile.mkdtemp(dir=bench.folder))
    dags.mkdir()
    bundles.mkdir()
    queues = {"bundle": "frozen", "unpacked": "frozen", "airflow": "default"}
    if c_bundle.have_compiler():
        queues["c"] = "frozen"
        tasks = ["nothing", *(f"nothing__{number}" for number in range(1, 40))]
        c_bundle.build(bundles, "c_chain", tasks)
    for side, queue in queues.items():
        (dags / f"{side}_chain.py").write_text(DAG_HEAD + CHAIN.replace("NAME", side).replace("QUEUE", queue))
    bench.build(dags / "bundle_chain.py", bundles / "bundle_chain")
    packed = bench.folder / "unpacked_chain"
    bench.build(dags / "unpacked_chain.py", packed)
    subprocess.run([str(packed), "--unpack", str(bundles)], check=True, stdout=subprocess.DEVNULL)
    test_e2e.RUN_SECONDS = 900
    airflow = test_e2e.Deployment(home, dags, bundles)
    took: dict[str, list[float]] = {}
    try:
        for side in queues:
            if (state := airflow.run(f"{side}_chain")) != "success":
                raise SystemExit(f"the chain of {side} ended as {state}")
            # One request reads a hundred task instances.
            took[side] = [float(task["duration"]) for task in airflow.tasks(f"{side}_chain").values()]
    finally:
        airflow.stop()
    names = {"bundle": "one file", "unpacked": "unpacked", "c": "C program"}
    return [
        row(
            f"a task of a chain of 40 in airflow standalone, {names[side]} / Airflow", "ms",
            times, took["airflow"], None if side == "c" else 0.2,
        )
        for side, times in took.items()
        if side != "airflow"
    ]  # fmt: skip


ROWS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "start": row_start,
    "unpacked": row_unpacked,
    "version": row_version,
    "size": row_size,
    "memory": row_memory,
    "memory-bare": row_memory_bare,
    "after-one": row_after_one,
    "fresh": row_fresh,
    "import": row_import,
    "parse": row_parse,
    "isolation": row_isolation,
    "heavy": row_heavy,
    "thousand": row_thousand,
    "chain": row_chain,
    "calls": row_calls,
    "logs": row_logs,
}


########################################################################################################################
# The table
########################################################################################################################


def machine() -> str:
    """What the figures depend on."""
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass
    tmp = tempfile.gettempdir()
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp], capture_output=True, text=True).stdout.strip() or "?"
    load = os.getloadavg()[0]
    cores = f"{os.cpu_count()} cores, load {load:.1f}"
    system = f"Linux {platform.release()}; Python {platform.python_version()}"
    return f"{model}, {cores}; {system}; {tmp} on {kind}"


WIDTHS = (68, 12, 12, 7, 16, 5, 8, 8)


def show_line(*cells: str) -> None:
    first, *others = (
        cell.ljust(width) if not at else cell.rjust(width) for at, (cell, width) in enumerate(zip(cells, WIDTHS))
    )
    print(first, *others, sep=" ", flush=True)


def show_head() -> None:
    show_line("what", "ours", "theirs", "ratio", "goal", "runs", "spread", "outliers")
    show_line(*("-" * width for width in WIDTHS))


def show_row(r: dict[str, Any]) -> None:
    scale = 1000 if r["unit"] == "ms" else 1
    ours, theirs = (f"{r[side] * scale:.1f} {r['unit']}" for side in ("ours", "theirs"))
    goal = "" if r["goal"] is None else f"<= {r['goal']:.3g} {'ok' if r['ratio'] <= r['goal'] else 'MISSED'}"
    spreads = "/".join(f"{value:.0%}" for value in r["spread"])
    outliers = "/".join(map(str, r["outliers"]))
    show_line(r["what"], ours, theirs, f"{r['ratio']:.3f}", goal, str(r["runs"]), spreads, outliers)


def show_foot() -> None:
    print("\nmedians; spread: half the interquartile range over the median, ours/theirs;", end=" ")
    print(f"outliers: over {OUTLIER:g} medians")
    print(machine())


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        job = json.loads(sys.argv[2])
        harness.prepare_environment(Path(job["home"]))
        configure(job["bundles"], job["folder"])
        modes = {
            "turns": worker_turns,
            "hot_turns": worker_hot_turns,
            "memory": worker_memory,
            "after_one": worker_after_one,
            "first": worker_first,
            "single": worker_single,
        }
        task_modes = {"task_turns": worker_task_turns, "task_again": worker_task_again}
        if job["mode"] in task_modes:
            task_modes[job["mode"]](Path(job["dag_file"]), job["jobs"], job["runs"])
        else:
            modes[job["mode"]](job["sides"], job["runs"])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to run; all of them by default")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.list:
        for name, function in ROWS.items():
            print(f"{name:10} {(function.__doc__ or '').splitlines()[0]}")
        return
    if unknown := [name for name in args.rows if name not in ROWS]:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), args.bundle, args.runs)
        rows, failed = [], []
        if not args.json:
            show_head()
        for name in args.rows or ROWS:
            try:
                measured = ROWS[name](bench)
            except (Exception, SystemExit) as error:
                # What has taken an hour is not lost with one row.
                failed.append(f"the row {name} failed: {error}")
                continue
            rows += measured
            if not args.json:
                for each in measured:
                    show_row(each)
    if args.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=1))
    else:
        show_foot()
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()

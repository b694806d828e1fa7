"""Tasks that end in every way, and those that are in the middle of something when their end comes."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime

from airflow.sdk import Variable, dag, task

TASKS = {}


def one(function):
    TASKS[function.__name__] = function
    return function


def told():
    """Let the supervisor know that the task's code is running."""
    Variable.set("ready", str(os.getpid()))


def square(number):
    return number * number


def sleep_child():
    time.sleep(600)


if os.environ.get("SLEEP_AT_IMPORT") and "unusual" in __name__:
    with open(os.path.join(os.environ["TMPDIR"], "importing"), "w"):
        time.sleep(600)

if os.environ.get("LEAVE_AT_IMPORT") and "unusual" in __name__:
    open(os.path.join(os.environ["TMPDIR"], "leaving"), "w").close()
    os._exit(0)


# --- by itself


@one
def tells_what_it_has_used():
    apart = vars(sys.modules["__main__"])["__builtins__"].apart
    print("made:", *(name for name, code in apart.items() if code is None))


@one
def loses_its_bundle():
    """Another version is installed while the task runs."""
    with open(sys.executable + ".new", "w") as file:
        file.write("another version")
    os.replace(sys.executable + ".new", sys.executable)
    import ctypes
    import decimal
    import difflib

    from airflow.sdk.exceptions import AirflowSkipException

    assert ctypes.CDLL(None).getpid() == os.getpid()
    close = difflib.get_close_matches("skiped", ["skipped", "failed"])
    raise AirflowSkipException(f"{close[0]} after {decimal.Decimal('0.1') * 3}")


# --- in the middle of something


@one
def talks():
    for number in range(4):
        Variable.set("step", str(number))
        print("step", number)
    return "said"


@one
def sleeps():
    told()
    time.sleep(600)


@one
def holds_the_interpreter():
    told()
    # One call of C code that gives nothing else a turn.
    sum(range(10**13))


@one
def loops():
    told()
    while True:
        pass


@one
def reads():
    read, _write = os.pipe()
    told()
    os.read(read, 1)


@one
def goes_on():
    tell = [told]
    while True:
        try:
            while tell:
                tell.pop()()
            time.sleep(600)
        except BaseException as error:
            print("goes on after", type(error).__name__)


@one
def is_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told()
    time.sleep(600)


@one
def has_children():
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600; true"])
    told()
    time.sleep(600)


@one
def cleans_up():
    from contextlib import contextmanager

    @contextmanager
    def resource():
        try:
            yield
        finally:
            Variable.set("closed", "1")

    child = subprocess.Popen(["sleep", "600"])
    with resource():
        try:
            told()
            time.sleep(600)
        finally:
            Variable.set("cleaned", str(child.poll() is None))


# --- ends of its own


@one
def leaves_with_zero():
    os._exit(0)


@one
def leaves_with_three():
    os._exit(3)


@one
def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


@one
def takes_all_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    return len(bytearray(2**40))


@one
def outgrows_its_container():
    # As a container does: all of the processes that run the task.
    pid = os.getpid()
    for _ in range(3):
        with open(os.environ["CONTAINER"], "w") as file:
            file.write(str(pid))
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return len(bytearray(b"x" * 2**28))


@one
def fills_the_disk():
    with open(os.path.join(os.environ["FULL"], "file"), "wb") as file:
        for _ in range(1000):
            file.write(bytes(2**20))


@one
def leaves_a_failure():
    raise RuntimeError("on purpose")


@one
def exits():
    sys.exit(0)


# --- what it starts


@one
def leaves_children_behind():
    kept = subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600; true"])
    if not os.fork():
        time.sleep(600)
    return kept.pid


@one
def runs_programs():
    text = subprocess.run(["sh", "-c", 'echo "$LD_LIBRARY_PATH"'], capture_output=True, text=True, check=True).stdout
    return [text.strip(), subprocess.run(["ls", "/"], stdout=subprocess.DEVNULL).returncode]


@one
def uses_multiprocessing():
    import multiprocessing

    found = {}
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            found[method] = pool.map(square, range(5))
        process = context.Process(target=sleep_child)
        process.start()
        process.terminate()
        process.join()
        found[method].append(process.exitcode != 0)
    return found


@one
def uses_futures():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    found = []
    with ThreadPoolExecutor(4) as pool:
        found.append(sum(pool.map(square, range(10))))
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            found.append(sum(pool.map(square, range(10))))
    return found


@one
def leaves_a_pool_behind():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    for method in ("fork", "spawn"):
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
        list(pool.map(square, range(4)))
    multiprocessing.get_context("fork").Process(target=sleep_child).start()
    globals()["kept"] = pool
    return 1


@one
def forks():
    if not os.fork():
        # The child comes back from the task too.
        return "child"
    os.wait()
    return "parent"


@one
def waits_for_all_children():
    for _ in range(3):
        if not os.fork():
            os._exit(0)
    count = 0
    try:
        while True:
            os.wait()
            count += 1
    except ChildProcessError:
        return count


@one
def leaves_threads():
    import threading

    threading.Thread(target=time.sleep, args=(600,)).start()
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return 1


# --- what it does to the process


@one
def closes_descriptors():
    os.closerange(3, 1024)
    return 1


@one
def opens_another_file_in_place_of_the_bundle():
    """What it uses from here on is read from the bundle, where the process has it open under a number of its own."""
    other = os.open("/dev/zero", os.O_RDONLY)
    bundle = os.path.realpath(sys.executable)
    numbers = [int(name) for name in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{name}") == bundle]
    for number in numbers:
        os.dup2(other, number)
    print("replaced", len(numbers))
    return {"the": ["value", 1.5]}


@one
def changes_everything():
    import io
    import locale

    os.chdir("/")
    os.umask(0o777)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    locale.setlocale(locale.LC_ALL, "C")
    sys.stdout = sys.stderr = io.StringIO()
    os.close(1)
    os.close(0)
    print("not seen")
    import sqlite3

    return sqlite3.connect(":memory:").execute("select 7").fetchone()[0]


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def survival():
    for function in TASKS.values():
        task(queue="frozen")(function)()


survival()

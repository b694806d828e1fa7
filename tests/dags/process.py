"""A task that tells what the process is like in which it runs, and one that uses what a process has."""

from datetime import datetime

from airflow.sdk import dag, task


def stream(each):
    if each is None:
        return None
    names = ("encoding", "errors", "newlines", "line_buffering", "write_through", "name", "mode")
    return [str(getattr(each, name, None)) for name in names]


@dag(schedule=None, start_date=datetime(2026, 1, 1))
def process():
    @task(queue="frozen")
    def told():
        import gc
        import json
        import locale
        import logging
        import os
        import random
        import resource
        import signal
        import sys
        import threading
        import time
        import uuid

        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        signals = ("SigBlk", "SigIgn", "SigCgt", "NoNewPrivs")
        told = {
            "environment": dict(os.environ),
            "argv": [*sys.argv, *sys.orig_argv],
            "program": [sys.executable, sys._MEIPASS, sys.prefix, __file__, os.getcwd(), str(os.umask(0o22))],
            "path": [*sys.path, *os.get_exec_path()],
            "flags": [str(sys.flags), sys.getfilesystemencoding(), sys.getrecursionlimit(), sys.getswitchinterval()],
            "finders": [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path],
            "locale": [*map(locale.setlocale, (locale.LC_CTYPE, locale.LC_ALL)), locale.getpreferredencoding()],
            "zone": [*time.tzname, time.timezone, time.strftime("%z", time.localtime(0))],
            "signals": [status[name].strip() for name in signals],
            "handlers": [str(signal.getsignal(each)) for each in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)],
            "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
            "limits": [resource.getrlimit(each) for each in (resource.RLIMIT_STACK, resource.RLIMIT_NOFILE)],
            "collector": [gc.isenabled(), gc.get_threshold()],
            "main thread": [threading.main_thread() is threading.current_thread(), len(threading.enumerate())],
        }
        own = {
            "pid": [os.getpid(), threading.get_native_id(), threading.main_thread().native_id],
            "random": [random.random(), str(uuid.uuid4())],
            "hashes": hash("a"),
            "up for": logging.LogRecord("", 0, "", 0, "", (), None).relativeCreated,
            "clock": [time.time(), time.monotonic()],
            "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
        }
        print("told", json.dumps([told, own]))

    @task(queue="frozen")
    def used():
        import concurrent.futures
        import ctypes
        import decimal
        import multiprocessing
        import os
        import socket
        import sqlite3
        import subprocess
        import sys
        import threading

        blocks = [bytearray(size) for size in (1 << 10, 1 << 16, 100_000, 1 << 20, 1 << 26) for _ in range(8)]
        objects = [object() for _ in range(1_000_000)]
        assert all(not any(block[:: 1 << 10]) for block in blocks) and len(set(map(id, objects))) == 1_000_000
        del blocks, objects

        def deep(left):
            return 0 if not left else 1 + deep(left - 1)

        sys.setrecursionlimit(20_000)
        assert deep(15_000) == 15_000
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda number: threading.get_native_id() > 0, range(1000))) == 1000
        assert socket.getaddrinfo("localhost", 80)
        assert decimal.Decimal(1) / 3 and sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
        assert ctypes.CDLL(None).getpid() == os.getpid()
        said = subprocess.run([sys.executable, "--version"], capture_output=True, text=True)
        assert said.stdout.startswith("coordinator_bundle"), said
        assert subprocess.run("true; echo $LD_LIBRARY_PATH", shell=True, capture_output=True).stdout == b"\n"
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(2) as pool:
                assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
        child = os.fork()
        if not child:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        try:
            raise ValueError("caught")
        except ValueError as error:
            print("used", error)

    told()
    used()


process()

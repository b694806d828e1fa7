"""What test_survival.py does once, done everywhere and often. Run by `make soak`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import survival
from survival import PLACES, POINTS, SIGNALS, check_nothing_left, check_strike, running

ENDS = (
    "talks", "leaves_with_zero", "leaves_with_three", "crashes", "takes_all_memory", "exits", "leaves_a_failure",
    "closes_descriptors", "leaves_a_pool_behind", "leaves_threads", "forks", "uses_futures", "changes_everything",
)  # fmt: skip
MIDDLES = ("sleeps", "holds_the_interpreter", "loops", "reads", "cleans_up", "has_children")


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("survival.py")


@pytest.fixture(scope="module")
def lives_after_kill(request: pytest.FixtureRequest) -> Iterator[list[float]]:
    """Seconds from SIGKILL of the outer process until nothing was left; printed in the end."""
    measured: list[float] = []
    yield measured
    if measured:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(
                f"\nkilled outer process: nothing was left after {statistics.median(measured):.3f} s in the median, "
                f"{max(measured):.3f} s at most, of {len(measured)}"
            )


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("point", POINTS)
def test_every_signal_to_every_process_at_every_point(
    bundle: Path, folder: Path, point: object, place: str, number: int
) -> None:
    survival.strike_and_clear(bundle, folder, point, place, number)


@pytest.mark.parametrize("task_id", MIDDLES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_in_the_middle_of_everything(
    bundle: Path, folder: Path, task_id: str, place: str, number: int, lives_after_kill: list[float]
) -> None:
    with running(bundle, task_id, folder) as run:
        run.until_ready()
        os.kill(getattr(run, place)(), number)
        if place == "outer" and number == signal.SIGKILL:
            killed = time.monotonic()
            check_nothing_left(folder)
            lives_after_kill.append(time.monotonic() - killed)
        run.serve()
        run.check_truth()
        assert "SucceedTask" not in run.types, run.everything()
        if place == "inner" and number == signal.SIGKILL:
            # The keeper itself: what the task has started lives on.
            for pid in survival.processes(folder):
                os.kill(pid, signal.SIGKILL)
    check_nothing_left(folder)


def life(bundle: Path, folder: Path, cut: int, how: int) -> bool:
    """Run the task that talks, its supervisor ending after so many bytes sent; whether it came to its end before."""
    with running(bundle, "talks", folder) as run:
        run.accept()
        assert run.comm
        sent = 0

        def send(data: bytes) -> None:
            nonlocal sent
            part = data[: max(0, cut - sent)]
            sent += len(part)
            assert run.comm
            with contextlib.suppress(OSError):
                run.comm.sendall(part)
                if len(part) < len(data):
                    run.comm.shutdown(how)

        run.send = send  # type: ignore[method-assign]
        run.start()
        while (frame := run.receive()) is not None:
            before = sent
            run.answer(frame)
            if sent - before < 1:
                run.acknowledged.pop()
        run.finish()
        whole = run.code == 0
        if not whole:
            # The last answer may have been cut in two.
            assert run.code == 1, run.everything()
            assert run.errors, run.everything()
        else:
            assert run.acknowledged[-1] == "SucceedTask", run.everything()
    return whole


@pytest.mark.parametrize("how", [socket.SHUT_RDWR, socket.SHUT_WR], ids=["cut", "half-closed"])
def test_a_comm_socket_that_ends_after_any_number_of_bytes(bundle: Path, folder: Path, how: int) -> None:
    sizes = [len(survival.pack([0, survival.startup("talks", dag_id="survival", should_retry=True), None]))]
    sizes += [len(survival.pack([number, None, None])) for number in range(7)]
    edges = [sum(sizes[:count]) for count in range(len(sizes) + 1)]
    cuts = sorted({max(0, edge + shift) for edge in edges for shift in (-1, 0, 1, 2, 4)} | set(range(0, edges[1], 97)))
    ended = [life(bundle, folder, cut, how) for cut in cuts]
    # Only the whole of the last answer makes a success.
    assert [cut for cut, whole in zip(cuts, ended) if whole] == [cut for cut in cuts if cut >= edges[-1]]
    check_nothing_left(folder)


def test_two_hundred_runs_that_end_in_every_way_leave_nothing(bundle: Path, folder: Path) -> None:
    chance = random.Random(6)
    for count in range(200):
        kind = count % 4
        if kind == 0:
            with running(bundle, ENDS[count // 4 % len(ENDS)], folder) as run:
                run.accept().start().serve().check_truth()
        elif kind == 1:
            with running(bundle, MIDDLES[count // 4 % len(MIDDLES)], folder) as run:
                run.until_ready()
                os.kill(run.outer(), chance.choice(SIGNALS))
                run.serve().check_truth()
        elif kind == 2:
            point, place, number = chance.choice(POINTS), chance.choice(PLACES), chance.choice(SIGNALS)
            check_strike(survival.strike(bundle, folder, point, place, number), point, number)
        else:
            life(bundle, folder, chance.randrange(0, 900), chance.choice((socket.SHUT_RDWR, socket.SHUT_WR)))
    survival.start_once_more(bundle, folder)
    check_nothing_left(folder)

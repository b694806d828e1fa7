"""Large packages are paid for by the tasks that use them: neither loaded nor written to disk for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.only("bundle")


def returned(run: Callable[..., Any], task_id: str) -> Any:
    outcome = run("heavy.py", "heavy", task_id)
    assert outcome.state == "success", outcome.records
    return outcome.xcom()


def test_a_task_that_uses_no_package_neither_loads_nor_writes_one(run: Callable[..., Any]) -> None:
    assert returned(run, "light") == {"loaded": [], "imported": True, "libraries": []}


def test_a_task_that_uses_a_package_has_all_of_it(run: Callable[..., Any]) -> None:
    assert returned(run, "table") == {"loaded": ["numpy", "pandas"], "sum": 6, "html": True}


def test_threads_may_be_the_first_to_use_a_package(run: Callable[..., Any]) -> None:
    assert returned(run, "at_once") == sum(range(36))


def test_a_package_knows_its_version(run: Callable[..., Any]) -> None:
    assert returned(run, "versions") is True

"""The README's conformance table is the list in tests/conformance.py, and the tests it names run bundles for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import conformance
import pytest

TESTS = Path(__file__).resolve().parent
README = (TESTS.parent / "README.md").read_text()
PROOFS = sorted({row[2] for row in conformance.ROWS})
# What leaves a test out, or lets it fail.
NO_PROOF = {"skip", "skipif", "xfail"}

# Collects tests and says of each which fixtures it stands on, how bundles are made and what would leave it out.
COLLECT = """
import json, sys, pytest

class Collector:
    def pytest_collection_finish(self, session):
        found = {}
        for item in session.items:
            marks = [mark.name for mark in item.iter_markers()]
            found[item.nodeid.rpartition("/")[2]] = [item.fixturenames, marks]
        print("FOUND" + json.dumps([session.config.getoption("--runner"), found]))

sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[Collector()]))
"""


def test_the_readme_has_the_table_as_it_is_generated():
    assert conformance.table() in README


def test_the_table_has_every_row_of_airflows():
    counts = {group: sum(row[0] == group for row in conformance.ROWS) for group, _, _ in conformance.ROWS}
    assert counts == {"state": 8, "run time": 12, "native Dags": 11}
    assert len({(group, name) for group, name, _ in conformance.ROWS}) == 31


@pytest.fixture(scope="module")
def collected() -> tuple[str, dict[str, list[list[str]]]]:
    """What bundles are made of by default, and test id to (fixtures, marks)."""
    files = sorted({str(TESTS / proof.partition("::")[0]) for proof in [*PROOFS, *re.findall(r"\w+\.py::", README)]})
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AIRFLOW"))}
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *files], capture_output=True, text=True, cwd=TESTS.parent, env=environment
    )
    assert "FOUND" in done.stdout, done.stdout + done.stderr
    return tuple(json.loads(done.stdout.partition("FOUND")[2].splitlines()[0]))


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_that_a_row_names_runs_the_built_binary_under_the_real_supervisor(collected, proof):
    runner, tests = collected
    assert runner == "bundle"
    fixtures, marks = tests[proof]
    assert "make_bundle" in fixtures
    # The harness calls Airflow's supervisor; a deployment has one in each worker. `--run` is the one that goes without.
    in_place = {"airflow", "deployment"} if proof not in conformance.WITHOUT_SUPERVISOR else {"make_bundle"}
    assert in_place & set(fixtures)
    assert not NO_PROOF & set(marks)


def test_every_promise_of_what_happens_when_names_a_test_that_is_run(collected):
    marks: dict[str, set[str]] = {}
    for test, (_, found) in collected[1].items():
        marks.setdefault(test.partition("[")[0], set()).update(found)
    page = README.partition("\n## What happens when\n")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        proofs = re.findall(r"`(\w+\.py::\w+)`", row)
        assert proofs, row
        for proof in proofs:
            assert proof in marks and not NO_PROOF & marks[proof], row

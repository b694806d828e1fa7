"""The README's conformance table is the list in tests/conformance.py, and the tests it names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import conformance
import pytest

TESTS = Path(__file__).resolve().parent


def test_the_readme_has_the_table_as_it_is_generated():
    assert conformance.table() in (TESTS.parent / "README.md").read_text()


def test_the_table_has_every_row_of_airflows():
    counts = {group: sum(row[0] == group for row in conformance.ROWS) for group, _, _ in conformance.ROWS}
    assert counts == {"state": 8, "run time": 12, "native Dags": 11}
    assert len({(group, name) for group, name, _ in conformance.ROWS}) == 31


@pytest.mark.parametrize("proof", sorted({row[2] for row in conformance.ROWS if row[2]}))
def test_a_proof_that_a_row_names_is_a_test(proof):
    file, _, name = proof.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_of_what_happens_when_names_a_test():
    page = (TESTS.parent / "README.md").read_text().partition("\n## What happens when\n")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        proofs = re.findall(r"`(\w+\.py)::(\w+)`", row)
        assert proofs, row
        for file, name in proofs:
            tree = ast.parse((TESTS / file).read_text())
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row

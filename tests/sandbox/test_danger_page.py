"""docs/sandbox-dangers.md names tests that exist, and every fault there is."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from runbook_lib.sandbox.faults_catalog import FAULTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sandbox-dangers.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| danger", "| fault"))]


@cache
def names_in(path):
    """Return the names of the test functions of a file, read without importing it."""
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))) if hasattr(node, "name")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_danger_has_a_test_that_exists(row):
    """A row has three cells, and the last one names a test function by file and name."""
    danger, behaviour, test = (cell.strip() for cell in row.strip("| ").split(" | "))
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
    assert (bool(danger), bool(behaviour), found is not None) == (True, True, True)
    assert found[2] in names_in(found[1])


def test_the_page_has_every_part_of_the_behaviour_table():
    """There are at least as many rows as the sources of the sandbox list dangers."""
    assert len(ROWS) >= 80


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_shown_by_a_test(name):
    """Each fault is switched on by a test of the sandbox, by its name."""
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "tests" / "sandbox").glob("test_*.py"))]
    assert any(f'add_fault("{name}"' in text or f'"name": "{name}"' in text for text in texts)

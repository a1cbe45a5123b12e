"""docs/sandbox-dangers.md names tests that exist, and every fault there is."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook_lib.cli import main
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


GAME_DAYS = (ROOT / "docs" / "game-days.md").read_text("utf-8")
COMMANDS = [line for line in GAME_DAYS.splitlines() if line.startswith("runbook sandbox fault ") and "[" not in line]
DRILLS = re.findall(r"(?m)^\| [^|]+ \| `([\w-]+ ?[^`]*)` \| ", GAME_DAYS.partition("## More drills")[2])


@pytest.mark.parametrize("line", [*COMMANDS, *(f"runbook sandbox fault add {drill}" for drill in DRILLS)])
def test_the_commands_of_a_game_day_are_commands(line, tmp_path):
    """Each one has options that exist, a fault that exists and a step that exists; only the sandbox is missing here."""
    words = shlex.split(line)[1:]
    ended = CliRunner().invoke(main, [*words, "--state", str(tmp_path / "none")])
    assert (ended.exit_code, "no sandbox runs in" in ended.stderr) == (3, True)
    if words[2] == "add":
        assert words[3] in FAULTS
    if "--at-step" in words:
        notebooks = " ".join(path.read_text("utf-8") for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
        assert f'"id": "{words[words.index("--at-step") + 1]}"' in notebooks


def test_the_game_days_have_their_drills():
    """Three worked drills and a table of more."""
    assert (GAME_DAYS.count("\n## Drill "), len(COMMANDS) >= 6, len(DRILLS) >= 8) == (3, True, True)

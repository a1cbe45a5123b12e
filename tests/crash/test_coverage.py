"""The matrix has no hole: a step that changes something, in whatever notebook, is struck, resumed and rolled back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.crash import strikes
from tests.crash.strikes import (
    BACKUP,
    BACKUPS,
    BEFORE_OUTAGE,
    CHANGES,
    DEPLOYMENTS,
    FORCED,
    GOING_ON,
    IN_A_ROW,
    PATCHES,
    PROVISION,
    RESIZES,
    RESTORE,
    RESTORES,
    SCALINGS,
    WAY_BACK,
    WAYS_BACK,
    cases,
)

LEAST = 150


def modules_with_strikes(kind):
    """Return the strikes that each module of three thirds of the matrix names."""
    found = {}
    for path in sorted(Path(__file__).parent.glob(f"test_{kind}_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "STRIKES":
                found[path.name] = ast.literal_eval(node.value)
    return found


def test_every_changing_step_is_struck_and_run_again():
    """A new step, or a new notebook, that no case covers fails here."""
    covered = [
        *GOING_ON,
        *IN_A_ROW,
        *FORCED,
        *CHANGES,
        *PATCHES,
        *DEPLOYMENTS,
        *RESIZES,
        *SCALINGS,
        *BACKUPS,
        *RESTORES,
    ]
    assert sorted(covered) == sorted(cases())


def test_every_changing_step_before_the_way_back_is_struck_and_rolled_back():
    """Of 90 itself running it again is the way back; of a backup there is none, of a restore it is another restore."""
    covered = [
        *BEFORE_OUTAGE,
        *WAYS_BACK,
        *CHANGES,
        *PATCHES,
        *DEPLOYMENTS,
        *RESIZES,
        *SCALINGS,
        *(case for case in IN_A_ROW if case[0] == PROVISION),
    ]
    assert sorted(covered) == sorted(case for case in cases() if case[0] not in {WAY_BACK, BACKUP, RESTORE})


@pytest.mark.parametrize("kind", ["struck", "change_struck", "patch_struck", "deployment_struck", "resize_struck"])
def test_the_modules_divide_the_strikes_among_them(kind):
    """Each strike is in one module, none is forgotten: of the migration, and of every change after it."""
    found = modules_with_strikes(kind)
    assert sorted(one for several in found.values() for one in several) == sorted(strikes.STRIKES)


def test_there_are_as_many_cells_as_were_promised():
    """At least 150 cells, each of them a test of its own."""
    assert len(strikes.STRIKES) * len(cases()) >= LEAST

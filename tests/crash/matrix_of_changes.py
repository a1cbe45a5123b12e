"""The tests of a change of the storage driver, every step struck: collected in three modules, as the matrix is."""

from __future__ import annotations

import pytest

from tests.crash.changes import BACK, COMPLETION, ONLY, PLANNING, THERE, check_taken_back
from tests.crash.strikes import CHANGES, names

TIMEOUT_S = 3000
BOTH_WAYS = [
    pytest.param(driver, *case, id=f"{driver}-{name}")
    for driver in (THERE, BACK)
    for case, name in zip(CHANGES, names(CHANGES), strict=True)
    if ONLY.get(case[1], driver) == driver
]
FIRST = (COMPLETION, *PLANNING)
TERRAFORM_FIRST = sorted(CHANGES, key=lambda case: FIRST.index(case[1]) if case[1] in FIRST else len(FIRST))
"""It knows nothing of what is then done by hand, and finds it at the next change there and back."""


@pytest.mark.parametrize(("driver", "notebook", "step_id"), BOTH_WAYS)
def test_every_step_of_a_change_goes_on(change, driver, notebook, step_id):
    """Struck, its notebook run again: what was done is found, the rest is done, no acknowledged write is missing."""
    change.check_resumed(driver, notebook, step_id)


@pytest.mark.parametrize(("notebook", "step_id"), TERRAFORM_FIRST, ids=names(TERRAFORM_FIRST))
def test_the_former_driver_can_be_had_again(changing_town, notebook, step_id, strike):
    """Struck, then run with the former parameters: the service runs on the former driver with every write."""
    check_taken_back(changing_town, notebook, step_id, strike)

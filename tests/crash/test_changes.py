"""Every step of a change of the storage driver, struck: it goes on when run again, and the former driver can be had."""

from __future__ import annotations

import pytest

from tests.crash.changes import BACK, ONLY, THERE, Change, ChangingTown, check_taken_back
from tests.crash.matrix import TIMEOUT_S
from tests.crash.strikes import CHANGES, names
from tests.crash.strikes import STRIKES as EVERY

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(2 * TIMEOUT_S)]
STRIKES = EVERY  # named here, so that the tests are collected for each of them
BOTH_WAYS = [
    pytest.param(driver, *case, id=f"{driver}-{name}")
    for case, name in zip(CHANGES, names(CHANGES), strict=True)
    for driver in (THERE, BACK)
    if ONLY.get(case[1], driver) == driver
]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a sandbox whose service runs on ECS."""
    made = ChangingTown(tmp_path_factory.mktemp("town"))
    try:
        made.migrate()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def change(strike, town):
    """Return a change there and back in which every step was struck in the way that the test asks for."""
    if town.driver() != (BACK, [BACK]):  # a test failed: it shall not take the others with it
        town.change(BACK)
    made = Change(town, strike)
    made.drive()
    return made


@pytest.mark.parametrize(("driver", "notebook", "step_id"), BOTH_WAYS)
def test_every_step_of_a_change_goes_on(change, driver, notebook, step_id):
    """Struck, its notebook run again: what was done is found, the rest is done, no acknowledged write is missing."""
    change.check_resumed(driver, notebook, step_id)


@pytest.mark.parametrize(("notebook", "step_id"), CHANGES, ids=names(CHANGES))
def test_the_former_driver_can_be_had_again(town, notebook, step_id, strike):
    """Struck, then run with the former parameters: the service runs on the former driver with every write."""
    check_taken_back(town, notebook, step_id, strike)

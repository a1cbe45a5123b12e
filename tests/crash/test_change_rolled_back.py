"""`90_roll_back` from the midst of a change of the storage driver: compose serves again, and may migrate anew."""

from __future__ import annotations

import pytest

from tests.crash.changes import BACK, THERE
from tests.crash.matrix_of_changes import TIMEOUT_S
from tests.crash.strikes import CHANGE, CUTOVER, PREPARATION, PROVISION, SNAPSHOT

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
INSPECTION = "00_inspect_source"
MIDST = "hand-volume-over"
"""The step in which the volume is between the drivers: the former host drains, the service is on the other revision."""


@pytest.fixture(scope="module")
def town(changing_town):
    """Return a sandbox whose service was migrated with REX-Ray."""
    return changing_town


def strike_midst(town, driver):
    """Begin a change to a driver and kill it in the midst; return the run's id."""
    run_id = town.begin(driver)
    town.strike(run_id, PREPARATION, CHANGE, step_id=MIDST, strike="killed after the act")
    return run_id


@pytest.fixture(scope="module")
def rolled_back(town):
    """Return what the way back did when the change to `host_mount` was killed and its own run was rolled back."""
    return town.roll_back(strike_midst(town, THERE))


@pytest.fixture(scope="module")
def migrated_again(town, rolled_back):
    """Migrate again with the parameters that the change had, in a new run, after the drained host went."""
    town.remove_draining_hosts()
    return town.open(THERE, INSPECTION, PROVISION, SNAPSHOT, CUTOVER)


def test_the_run_of_the_change_rolls_back_to_compose(rolled_back):
    """Killed when the volume was handed over: compose serves on the same volume, no acknowledged write is missing."""
    assert "`attach-volume-to-source`" in rolled_back


def test_it_can_be_migrated_again_with_the_other_driver(town, migrated_again):
    """Once the drained host is gone the migration runs as ever, and the service is on the other driver."""
    assert town.runs_on(THERE) > 0


def test_the_run_of_the_migration_rolls_back_a_change(town, migrated_again):
    """In the other direction, and by the run that had migrated the service: compose serves, nothing is missing."""
    strike_midst(town, BACK)
    town.take_lease_over()
    town.parameters = town.files[THERE]
    assert "`attach-volume-to-source`" in town.roll_back(migrated_again)

"""The tests of the crash matrix: collected in three modules, each with the strikes that leave the same world behind.

Every id is one cell. The cells of a journey share one migration, which is driven when the first of them is asked for.
"""

from __future__ import annotations

import pytest

from tests.crash.source import bring_source_back, forget_adoption
from tests.crash.strikes import ADOPTION, BEFORE_OUTAGE, EARLIER, GOING_ON, WAYS_BACK, changing_steps, names
from tests.crash.strikes import PERSISTENCE as LAST_BEFORE_RETIREMENT

TIMEOUT_S = 1500


@pytest.mark.parametrize(("notebook", "step_id"), GOING_ON, ids=names(GOING_ON))
def test_every_step_goes_on(journey, notebook, step_id):
    """Struck, its notebook run again: what was done is found, the rest is done, no acknowledged write is missing."""
    journey.check_resumed(notebook, step_id)


@pytest.mark.parametrize(("notebook", "step_id"), BEFORE_OUTAGE, ids=names(BEFORE_OUTAGE))
def test_the_way_back_before_the_outage_leads_back(journey, notebook, step_id):
    """Struck before the service is touched and rolled back: compose serves as before, and the migration can go on."""
    journey.check_undone(notebook, step_id)


@pytest.mark.parametrize(("notebook", "step_id"), WAYS_BACK, ids=names(WAYS_BACK))
def test_the_way_back_leads_back(town, notebook, step_id, strike):
    """Struck and rolled back: compose serves on the same volume with every acknowledged write."""
    run_id = town.new_run()
    if notebook == ADOPTION:
        forget_adoption(town)
    # the plan that must be empty at the end of 40 is asked for by one journey
    last = changing_steps(LAST_BEFORE_RETIREMENT)[-1]
    left = town.strike(run_id, *EARLIER[notebook], notebook, step_id=step_id, strike=strike, until=last)
    refused = bring_source_back(town, run_id)
    undone = town.roll_back(run_id)
    town.note("roll back", notebook, step_id, strike, left=left, then=refused + undone)

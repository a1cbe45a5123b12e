"""The crash matrix with the other storage driver, whose unit takes the volume and lets it go by itself.

Without the rehearsal, which this driver has none of. The rows of docs/what-if.md are those of `rexray`.
"""

from __future__ import annotations

import pytest

from tests.crash.matrix import TIMEOUT_S, test_the_way_back_leads_back
from tests.crash.strikes import BEFORE_OUTAGE, going_on, names
from tests.crash.strikes import STRIKES as EVERY

__all__ = ["test_the_way_back_leads_back"]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
DRIVER = "host_mount"
STRIKES = EVERY  # named here, so that the tests are collected for each of them
CASES = going_on(DRIVER)
EARLY = [case for case in CASES if case in BEFORE_OUTAGE]


@pytest.mark.parametrize(("notebook", "step_id"), CASES, ids=names(CASES))
def test_every_step_goes_on(journey, notebook, step_id):
    """Struck, its notebook run again: what was done is found, the rest is done, no acknowledged write is missing."""
    journey.check_resumed(notebook, step_id)


@pytest.mark.parametrize(("notebook", "step_id"), EARLY, ids=names(EARLY))
def test_the_way_back_before_the_outage_leads_back(journey, notebook, step_id):
    """Struck before the service is touched and rolled back: compose serves as before, and the migration can go on."""
    journey.check_undone(notebook, step_id)

"""From every changing step, struck in every way, the way back leads to compose on the same volume, nothing lost."""

from __future__ import annotations

import pytest

from tests.crash.conftest import changing_steps, note, strikes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NOTEBOOKS = ("20_snapshot_volume", "30_cut_over_volume", "40_verify_persistence")
IN_EVERY_TEST_TOO = ("unmount-volume", "detach-volume", "verify-before-start", "start-target-service")
CASES = [(notebook, step_id) for notebook in NOTEBOOKS for step_id in changing_steps(notebook)]


CASES_AND_STRIKES = [
    pytest.param(*case, *strike.values, marks=strike.marks, id=f"{case[1]}-{strike.values[0]}")
    for case in CASES
    for strike in strikes(always=case[1] in IN_EVERY_TEST_TOO)
]


@pytest.mark.parametrize(("notebook", "step_id", "strike"), CASES_AND_STRIKES)
def test_the_way_back_leads_back_after(town, notebook, step_id, strike):
    """Struck in the step, rolled back: compose serves on the same volume with every acknowledged write."""
    run_id = town.new_run()
    earlier = [name for name in NOTEBOOKS if name < notebook]
    left = town.strike(run_id, *earlier, notebook, step_id=step_id, strike=strike)
    acted = town.roll_back(run_id)
    note("roll back", notebook, step_id, strike, left=left, then=", ".join(acted) or "finds nothing to do")

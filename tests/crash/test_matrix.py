"""Every changing step, struck in every way: it goes on when run again, the way back leads back, and nothing is lost.

Going on: one migration and one way back per kind of strike. Each step is struck once, and the next strike's run is the
former's resume; what was done is skipped, so a strike that hits shows that the one before was mended.
"""

from __future__ import annotations

import pytest

from tests.crash.conftest import STRIKES, changing_steps, note

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]
NOTEBOOKS = ("20_snapshot_volume", "30_cut_over_volume", "40_verify_persistence")
CASES = [(notebook, step_id) for notebook in NOTEBOOKS for step_id in changing_steps(notebook)]


@pytest.mark.parametrize("strike", STRIKES)
def test_every_step_goes_on_after(town, strike):
    """Struck in each step, run again each time: the migration ends, and so does the way back."""
    run_id = town.new_run()
    for notebook in (*NOTEBOOKS, "90_roll_back"):
        steps = changing_steps(notebook)
        left = {step_id: town.strike(run_id, notebook, step_id=step_id, strike=strike) for step_id in steps}
        # the plan that must be empty at the end of 40 takes Terraform seconds and is the same for every strike
        ended = town.drive(run_id, notebook, until=steps[-1] if strike != STRIKES[0] else "")
        assert ended.exit_code == 0, ended.output
        town.has_every_write()
        for step_id in steps:
            note("resume", notebook, step_id, strike, left=left[step_id], then=town.resumed(run_id, step_id))
    town.is_back()


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize(("notebook", "step_id"), CASES, ids=[step_id for _, step_id in CASES])
def test_the_way_back_leads_back_after(town, notebook, step_id, strike):
    """Struck in the step, rolled back: compose serves on the same volume with every acknowledged write."""
    run_id = town.new_run()
    earlier = [name for name in NOTEBOOKS if name < notebook]
    left = town.strike(run_id, *earlier, notebook, step_id=step_id, strike=strike)
    acted = town.roll_back(run_id)
    note("roll back", notebook, step_id, strike, left=left, then=", ".join(acted) or "finds nothing to do")

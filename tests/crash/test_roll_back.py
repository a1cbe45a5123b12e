"""From every changing step, struck in every way, the way back leads to compose on the same volume, nothing lost."""

from __future__ import annotations

import pytest

from tests.crash.conftest import STRIKES, changing_steps, note

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NOTEBOOKS = ("20_snapshot_volume", "30_cut_over_volume", "40_verify_persistence")
CASES = [(notebook, step_id) for notebook in NOTEBOOKS for step_id in changing_steps(notebook)]


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize(("notebook", "step_id"), CASES, ids=[step_id for _, step_id in CASES])
def test_the_way_back_leads_back_after(town, notebook, step_id, strike):
    """Struck in the step, rolled back: compose serves on the same volume with every acknowledged write."""
    run_id = town.new_run()
    earlier = [name for name in NOTEBOOKS if name < notebook]
    left = town.strike(run_id, *earlier, notebook, step_id=step_id, strike=strike)
    acted = town.roll_back(run_id)
    note("roll back", notebook, step_id, strike, left=left, then=", ".join(acted) or "finds nothing to do")

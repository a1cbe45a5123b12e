"""Every changing step, struck in every way, goes on when it is run again; nothing acknowledged is lost.

One migration and one way back per kind of strike: each step is struck once, and the next strike's run is the former's
resume. What was done is skipped, so a strike that hits shows that the one before was mended.
"""

from __future__ import annotations

import pytest

from tests.crash.conftest import STRIKES, changing_steps, note, strikes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NOTEBOOKS = ("20_snapshot_volume", "30_cut_over_volume", "40_verify_persistence", "90_roll_back")


@pytest.mark.parametrize("strike", strikes())
def test_every_step_goes_on_after(town, strike):
    """Struck in each step, run again each time: the migration ends, and so does the way back."""
    run_id = town.new_run()
    for notebook in NOTEBOOKS:
        steps = changing_steps(notebook)
        left = {step_id: town.strike(run_id, notebook, step_id=step_id, strike=strike) for step_id in steps}
        # the plan that must be empty at the end of 40 takes Terraform seconds and is the same for every strike
        ended = town.drive(run_id, notebook, until=steps[-1] if strike != STRIKES[0] else "")
        assert ended.exit_code == 0, ended.output
        town.has_every_write()
        for step_id in steps:
            note("resume", notebook, step_id, strike, left=left[step_id], then=town.resumed(run_id, step_id))
    town.is_back()

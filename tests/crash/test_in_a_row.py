"""Steps that cost Terraform seconds, or a stopped host: struck and run again in every way, one after the other."""

from __future__ import annotations

import pytest

from tests.crash.matrix import TIMEOUT_S
from tests.crash.source import force_detach, forget_adoption, remove_image, remove_log_group
from tests.crash.strikes import (
    ADOPTION,
    EARLIER,
    FORCED,
    IN_A_ROW,
    PROVISION,
    names,
)
from tests.crash.strikes import (
    STRIKES as EVERY_STRIKE,
)
from tests.crash.town import Town, note

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]
STRIKES = ("killed in the act", *(one for one in EVERY_STRIKE if one != "killed in the act"))  # first a whole target
AGAIN = {"provision-target": remove_log_group, "pull-image": remove_image, "adopt-volume": forget_adoption}


@pytest.fixture(scope="module")
def unprovisioned(tmp_path_factory):
    """Return a sandbox without a target, and the one run in it."""
    made = Town(tmp_path_factory.mktemp("town"))
    try:
        made.inspect()
        made.new_run()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def case(request, unprovisioned):
    """Return (notebook, step id), with everything done that comes before it."""
    notebook, step_id = request.param
    if notebook == ADOPTION:
        ended = unprovisioned.drive_on(unprovisioned.run_id, *EARLIER[ADOPTION])
        assert ended.exit_code == 0, ended.output
    yield notebook, step_id
    if notebook == ADOPTION:
        unprovisioned.roll_back(unprovisioned.run_id)
        forget_adoption(unprovisioned)


@pytest.mark.parametrize("case", IN_A_ROW, ids=names(IN_A_ROW), indirect=True, scope="module")
def test_a_step_goes_on(unprovisioned, case, strike):
    """Struck, rolled back where production was not touched yet, run again: done, and nothing is missing."""
    town, run_id = unprovisioned, unprovisioned.run_id
    notebook, step_id = case
    AGAIN[step_id](town)
    left = town.strike(run_id, notebook, step_id=step_id, strike=strike)
    since = len(town.steps(run_id))
    undone = town.roll_back(run_id) if notebook == PROVISION else ""
    ended = town.drive_on(run_id, notebook, until=step_id)
    assert ended.exit_code == 0, ended.output
    assert town.has_every_write() > 0
    note("resume", notebook, step_id, strike, left=left, then=town.resumed(run_id, step_id, since))
    if undone:
        note("roll back", notebook, step_id, strike, left=left, then=undone)


@pytest.mark.parametrize(("notebook", "step_id"), FORCED, ids=names(FORCED))
def test_the_filesystem_is_checked_after_all(unprovisioned, notebook, step_id, strike):
    """Struck while the filesystem is looked at after a forced detach: nobody mounts it before it was looked at."""
    town, run_id = unprovisioned, unprovisioned.run_id
    force_detach(town, run_id)
    left = town.strike(run_id, notebook, step_id=step_id, strike=strike)
    assert town.serving() == "nobody"
    since = len(town.steps(run_id))
    undone = town.roll_back(run_id)
    note("resume", notebook, step_id, strike, left=left, then=f"{town.resumed(run_id, step_id, since)}: {undone}")

"""Steps that cost Terraform seconds, or a stopped host: struck and run again in every way, one after the other."""

from __future__ import annotations

import pytest

from tests.crash import strikes
from tests.crash.matrix import TIMEOUT_S
from tests.crash.source import force_detach, forget_adoption, remove_image, remove_log_group
from tests.crash.strikes import ADOPTION, EARLIER, FORCED, IN_A_ROW, PROVISION, names
from tests.crash.town import Town, note

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
# the first strike hits when there is no target at all, so that it breaks the apply of all of it
ORDER = ("killed in the act", *(strike for strike in strikes.STRIKES if strike != "killed in the act"))
AGAIN = {"provision-target": remove_log_group, "pull-image": remove_image, "adopt-volume": forget_adoption}


def rows(found):
    """Return (notebook, step id, strike) of every cell of these cases, in the order in which they are struck."""
    return [
        pytest.param(*case, strike, id=f"{strike}-{name}")
        for case, name in zip(found, names(found), strict=True)
        for strike in ORDER
    ]


@pytest.fixture(scope="module")
def unprovisioned(tmp_path_factory):
    """Return a sandbox without a target, and the one run in it."""
    made = Town(tmp_path_factory.mktemp("town"), keeps_provider=False)  # it is killed inside Terraform
    try:
        made.inspect()
        made.new_run()
        yield made
    finally:
        made.stop()


def bring_to(town, notebook):
    """Bring the service to where a notebook needs it: to the target for 45, to the source for every other."""
    if notebook == ADOPTION and town.where()["volume"] != "target":
        ended = town.drive_on(town.run_id, *EARLIER[ADOPTION])
        assert ended.exit_code == 0, ended.output
    if notebook != ADOPTION and town.serving() != "compose":
        town.roll_back(town.run_id)


@pytest.mark.parametrize(("notebook", "step_id", "strike"), rows(IN_A_ROW))
def test_a_step_goes_on(unprovisioned, notebook, step_id, strike):
    """Struck, rolled back where production was not touched yet, run again: done, and nothing is missing."""
    town, run_id = unprovisioned, unprovisioned.run_id
    bring_to(town, notebook)
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


@pytest.mark.parametrize(("notebook", "step_id", "strike"), rows(FORCED))
def test_the_filesystem_is_checked_after_all(unprovisioned, notebook, step_id, strike):
    """Struck while the filesystem is looked at after a forced detach: nobody mounts it before it was looked at."""
    town, run_id = unprovisioned, unprovisioned.run_id
    bring_to(town, notebook)
    force_detach(town, run_id)
    left = town.strike(run_id, notebook, step_id=step_id, strike=strike)
    assert town.serving() == "nobody"
    since = len(town.steps(run_id))
    undone = town.roll_back(run_id)
    note("resume", notebook, step_id, strike, left=left, then=f"{town.resumed(run_id, step_id, since)}: {undone}")

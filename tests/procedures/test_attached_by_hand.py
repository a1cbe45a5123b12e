"""What the operator reads when somebody attached the volume to a container instance by hand."""

from __future__ import annotations

import pytest

from runbook_lib.procedures.hand_over import NAME_VOLUME
from runbook_lib.procedures.release_target import STOP_TARGET_SERVICE

COMMAND = "aws ec2 detach-volume --volume-id vol-1 --instance-id i-target"


def volume(name="guestbook-legacy-data", holder="i-target", *, on_source=False):
    """Return facts of the volume, attached to an instance."""
    state = "in-use" if holder else "available"
    return {"volume_id": "vol-1", "state": state, "holder": holder, "on_source": on_source, "tags": {"Name": name}}


def fix_of(checks, check_id):
    """Return what a failed check tells to do, "" when it passed."""
    (check,) = [check for check in checks if check.check_id == check_id]
    return "" if check.passed else check.fix


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (volume(), COMMAND),
        (volume(holder="i-source", on_source=True), "run 30_cut_over_volume from the top"),
        (volume(name="guestbook-data"), ""),
        (volume(holder=""), ""),
    ],
    ids=["by hand on the target", "still on the source", "by the driver", "nowhere"],
)
def test_naming_says_how_a_foreign_attachment_ends(facts, told):
    """Running the notebook again does not end it; the command does."""
    naming = {"volume": facts, "volume_name": "guestbook-data", "names": [], "unchecked": False, "taken": []}
    fix = fix_of(NAME_VOLUME.check(naming), "volume-available")
    assert (bool(fix), told in fix) == (bool(told), True), fix


def test_the_way_back_says_how_a_foreign_attachment_ends():
    """No task holds the volume, so no storage driver will let it go."""
    facts = {"service": {"exists": True}, "tasks": [], "volume": volume()}
    assert COMMAND in fix_of(STOP_TARGET_SERVICE.verify(facts, facts), "target-let-go")

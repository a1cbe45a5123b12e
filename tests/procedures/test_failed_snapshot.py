"""A snapshot that EBS ends in error is told at once; one that EC2 does not show yet is waited for."""

from __future__ import annotations

import pytest

from runbook_lib.procedures import backup_take, snapshot_volume
from runbook_lib.procedures.backup_facts import say_error

USABLE = {"snapshot_id": "snap-2", "state": "pending", "progress": "10%"}
TOLD = "EBS ended snapshot snap-1 in error; a resumed run takes another one"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"snapshot": None, "failed": ["snap-1"], "asked": "snap-1"}, TOLD),
        ({"snapshot": None, "failed": ["snap-1"], "asked": "snap-2"}, ""),
        ({"snapshot": USABLE, "failed": ["snap-1"], "asked": "snap-2"}, ""),
        ({"snapshot": None, "failed": [], "asked": ""}, ""),
    ],
    ids=["it failed", "the next one is not shown yet", "the next one is there", "none was asked for"],
)
def test_only_the_snapshot_that_was_asked_for_last_is_beyond_waiting(facts, said):
    """Whether it failed before or while it was waited for, the step that waits says so, not a check before it."""
    assert [step.hopeless(facts) for step in snapshot_volume.STEPS] == [said, said]
    (check,) = snapshot_volume.COMPLETE_HOT_SNAPSHOT.check(facts)
    assert check.passed is bool(said or facts["snapshot"])


@pytest.mark.parametrize(
    ("backup", "said", "at_its_completion"),
    [
        ({"snapshot_id": "snap-1", "state": "error", "consistency": "freeze"}, "snap-1 in error", "snap-1 in error"),
        ({"snapshot_id": "snap-1", "state": "pending", "consistency": "freeze"}, "", ""),
        ({"snapshot_id": "snap-1", "state": "pending", "consistency": "crash"}, "snap-1 is crash-consistent", ""),
        ({"snapshot_id": "", "state": "none", "consistency": ""}, "", "no backup"),
    ],
    ids=["in error", "pending", "thawed too early", "not shown yet"],
)
def test_a_backup_in_error_is_not_waited_for(backup, said, at_its_completion):
    """Nor one that is not as consistent as it was asked to be."""
    for step, words in ((backup_take.CREATE_BACKUP, said), (backup_take.COMPLETE_BACKUP, at_its_completion)):
        found = step.hopeless({"backup": backup, "mode": "freeze"})
        assert (words in found, bool(found)) == (True, bool(words))
    assert bool(say_error(backup)) is (backup["state"] == "error")

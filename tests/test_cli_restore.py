"""What `runbook restore` shows of the loss before its verdict."""

from __future__ import annotations

import pytest

from runbook_lib.cli_restore import _told
from tests.sample_run import Story

AHEAD = "LOST: everything that the service acknowledged after 12:00, 29 s ago, until it stops."
AFTERWARDS = "LOST to the service: what it acknowledged after 12:00 until 12:05."


@pytest.mark.parametrize(
    ("reported", "shown"),
    [("succeeded", ["", AFTERWARDS]), ("planned", ["", AHEAD]), (None, ["", AHEAD])],
    ids=["it was done", "it is only planned", "it stopped half-way"],
)
def test_the_loss_is_told_as_it_was_or_as_it_would_be(tmp_path, reported, shown):
    """A plan's last step does not know until when; its first one says that it goes on, and since how long."""
    journal = Story(tmp_path).journal
    journal.append(
        "step", step_id="check-restore", status="planned" if reported == "planned" else "succeeded", plan=AHEAD
    )
    if reported:
        journal.append("step", step_id="report-loss", status=reported, plan=AFTERWARDS)
    assert _told(journal) == shown

"""A run that moved nothing says what it found out instead of which notebooks ran."""

from __future__ import annotations

import pytest

from runbook_lib.report_words import headline

RTO = "snap-1 is 11 s old. RPO: known from the next on. RTO: 5 s from the snapshot to an answer, on a host that runs."


def step(step_id, *, notebook="64_check_drift", status="succeeded", executed=True, plan=""):
    """Return a step as a report has it."""
    return {"id": step_id, "notebook": notebook, "status": status, "executed": executed, "plan": plan}


BACKUP = step("report-recovery", notebook="63_back_up_volume", plan=RTO)
DRIFT = step("report-drift", plan="39 checks, no drift.")


@pytest.mark.parametrize(
    ("steps", "word", "text"),
    [
        ([BACKUP], "Backed up.", f"{RTO} The service was not interrupted."),
        ([DRIFT], "As it was left.", "39 checks, no drift. The service was not interrupted."),
        ([BACKUP, DRIFT], "As it was left.", "39 checks, no drift. The service was not interrupted."),
        ([step("inspect-snapshots")], "Succeeded.", "Done so far: 64_check_drift. The service was not interrupted."),
    ],
    ids=["a backup", "a look", "a look after a backup", "neither"],
)
def test_what_was_found_is_the_verdict(steps, word, text):
    """RPO and RTO of a backup, the number of checks of a look for drift; the last of them counts."""
    report = {"status": "succeeded", "steps": steps, "outages": [], "outage_s": None, "outage_budget_s": 60}
    found = headline(report | {"data": {"identical": None}})
    assert (found.word, found.tone, found.text) == (word, "good", text)

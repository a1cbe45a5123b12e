"""The run as a change record: number, type, state, plans, as they follow from what happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook_lib.report import build_report, render_html, render_markdown
from tests.sample_run import Story, migrated
from tests.test_report import failed_cutover, planned, report_of


def change_of(story):
    return report_of(story)["change"]


def test_a_migration_is_closed_with_its_facts(tmp_path):
    """The number comes from the reason; what was done, how it is undone and how it was tested stand there."""
    change = change_of(migrated(tmp_path))
    assert (change["number"], change["type"], change["state"], change["close_code"]) == (
        "CHG-1042",
        "standard",
        "closed",
        "successful",
    )
    assert change["implementation_plan"][0] == "00_inspect_source"
    assert "30_cut_over_volume" in change["short_description"]
    assert "runbook roll-back 20260131T030007Z-guestbook-4c1d" in change["back_out_plan"]
    assert "verify-data" in change["test_plan"]
    assert change["configuration_items"] == ["volume vol-0fedcba9876543210"]
    assert (change["implemented_by"], change["approved_by"]) == (["ops@bastion"], [])
    assert "an outage of at most 90 s is allowed" in change["risk"]


@pytest.mark.parametrize(
    ("story", "state", "close_code"),
    [(planned, "assess", ""), (failed_cutover, "implement", ""), (Story, "implement", "")],
)
def test_a_change_that_is_not_over_is_not_closed(story, state, close_code, tmp_path):
    change = change_of(story(tmp_path))
    assert (change["state"], change["close_code"]) == (state, close_code)


@pytest.mark.parametrize(
    ("notebook", "text"),
    [
        ("60_patch_hosts", "the former machine image"),
        ("61_deploy_image", "the digest of the former image"),
        ("62_resize", "never made smaller again"),
        ("63_back_up_volume", "nothing to take back"),
        ("66_change_storage_driver", "the former driver"),
    ],
)
def test_what_comes_after_the_migration_is_not_taken_back_to_compose(notebook, text, tmp_path):
    """The back-out plan is that of the change which was made, and nothing is said of retiring the source."""
    story = Story(tmp_path)
    story.start(notebook)
    story.step("something")
    story.finish()
    change = change_of(story)
    assert (text in change["back_out_plan"], "roll-back" in change["back_out_plan"]) == (True, False)
    assert "50_retire_source" not in change["risk"]


@pytest.mark.parametrize(
    ("reason", "number"),
    [("CHG0030192 move", "CHG0030192"), ("see OPS-7: move it", "OPS-7"), ("tidy up", ""), ("use UTF-8", "UTF-8")],
)
def test_the_number_is_what_looks_like_a_ticket(reason, number, tmp_path):
    """Something else that looks like one is taken for one: the reason stands beside it."""
    (opened,) = Story(tmp_path).journal.events()
    told = replace(opened, fields=dict(opened.fields) | {"reason": reason})
    assert build_report([told], "r")["change"]["number"] == number


def test_broken_glass_is_an_emergency_and_stays_open(tmp_path):
    """Until somebody has reviewed it."""
    story = migrated(tmp_path)
    who = {"arn": "arn:aws:iam::012345678901:user/a", "account_id": "012345678901", "request_id": "r"}
    parts = {"run": story.journal.run_id, "notebook": "30_cut_over_volume"}
    fields = {"digest": "d" * 64, "parts": parts, "missing": 1, "operator": "ops", "identity": who, "reason": "burning"}
    story.journal.append("break-glass", phase="used", notebook="30_cut_over_volume", step_id="detach-volume", **fields)
    change = change_of(story)
    assert (change["type"], change["state"], change["close_code"]) == ("emergency", "review", "successful")


def test_both_reports_show_it(tmp_path):
    report = report_of(migrated(tmp_path))
    assert "For the change ticket" in render_html(report)
    assert "| Change | CHG-1042: standard, closed, successful |" in render_markdown(report)

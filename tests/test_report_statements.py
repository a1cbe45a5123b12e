"""What each statement of a report rests on, which resources Terraform changed, and the story a change record tells."""

from __future__ import annotations

import pytest

from runbook_lib.report import render_html, render_markdown
from tests.approval_desk import BOB, STOP
from tests.sample_run import Story, check, migrated
from tests.test_report import failed_cutover, planned, report_of


def told(story):
    """Return the statements of a story's report, by how they begin."""
    return {one["statement"]: one for one in report_of(story)["statements"]}


def one_that(rows, begins):
    """Return the only statement that begins so."""
    (found,) = [row for text, row in rows.items() if text.startswith(begins)]
    return found


def test_each_statement_has_a_grade_a_source_and_its_lines(tmp_path):
    """What was seen has the run's grade; what a person said is only stated; every line is one that says it."""
    story = migrated(tmp_path)
    rows = told(story)
    kinds = {event.seq: event.kind for event in story.journal.events()}
    for begins, grade, wanted in (
        ("The service was unavailable for 7", "simulated host", {"outage"}),
        ("The data: 231 files", "simulated host", {"manifest", "comparison"}),
        ("The comparison can fail", "simulated host", {"comparison"}),
        ("The volume is vol-0fedcba9876543210", "simulated host", {"volume"}),
        ("Volume vol-0bbbbbbbbbbbbbbbb was taken after unmount", "simulated host", {"rollback-point"}),
        ("Terraform applied: 28 added", "simulated host", {"terraform"}),
        ("Made to AWS: 4 calls", "simulated host", {"api-call"}),
        ("ops@bastion ran it", "stated", {"run-opened"}),
        ("The reason: CHG-1042", "stated", {"run-opened"}),
    ):
        row = one_that(rows, begins)
        assert (row["grade"], {kinds[seq] for seq in row["lines"]}, bool(row["rests_on"])) == (grade, wanted, True)


def test_what_never_happened_is_not_stated(tmp_path):
    """A plan stopped nothing, applied nothing, compared nothing; without a host nothing has a grade."""
    rows = told(planned(tmp_path))
    assert one_that(rows, "No step of this run stopped the service")["grade"] == "derived"
    assert one_that(rows, "Terraform planned, and did not apply: 28 added")
    assert not [text for text in rows if "identical" in text or "approved" in text or "rollback copy" in text]
    assert {row["grade"] for row in told(Story(tmp_path / "empty")).values()} == {"derived", "stated"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": "", "difference": {}}, "is, byte for byte, what was stopped"),
        ({"reason": "", "difference": {"missing": ["a"]}}, "is NOT what the manifest says"),
        ({"reason": "the snapshot is pending", "difference": {}}, "was not proved"),
    ],
)
def test_the_rollback_copy(tmp_path, fields, said):
    """Proved, proved to be another, or not proved, with the reason."""
    story = migrated(tmp_path)
    story.journal.append("copy-proof", point_id="vol-0bbbbbbbbbbbbbbbb", **fields)
    row = one_that(told(story), f"The rollback copy {said}")
    assert row["rests_on"] == fields["reason"] or "every file" in row["rests_on"]


def test_who_approved_is_what_sts_said(desk):
    """An approval counts as a statement once it was used, with the lines of both."""
    one = desk()
    one.stopped_at(STOP)
    one.approve(BOB)
    assert not [text for text in told(one.story) if "approved" in text]
    one.confirm(STOP)
    row = one_that(told(one.story), f"{BOB} approved 30_cut_over_volume as approver")
    assert ([one.journal.events()[seq - 1].kind for seq in row["lines"]], "GetCallerIdentity" in row["rests_on"]) == (
        ["approval", "approval-used"],
        True,
    )


def test_resources_that_terraform_changed(tmp_path):
    """What was applied is named resource by resource; a plan that was made again afterwards adds nothing."""
    story = Story(tmp_path)
    facts = {"plan_sha256": "1" * 64, "changes": [{"address": "aws_ecs_service.<b>", "actions": ["delete", "create"]}]}
    story.start("10_provision_target")
    story.step("provision-target", status="planned", before=facts)
    assert report_of(story)["terraform"]["changes"][0]["address"] == "aws_ecs_service.<b>"
    story.step("provision-target", before=facts)
    story.journal.append("terraform", action="apply", plan_sha256="1" * 64, duration_s=1.0, add=1)
    story.step("verify-empty-plan", status="succeeded", before={"plan_sha256": "0" * 64, "changes": []})
    (change,) = report_of(story)["terraform"]["changes"]
    assert change == {**facts["changes"][0], "step_id": "provision-target"}
    for text in (render_html(report_of(story)), render_markdown(report_of(story))):
        assert "aws_ecs_service.&lt;b&gt;" in text or "`aws_ecs_service.<b>`" in text
        assert "delete and create" in text


class TestChangeRecord:
    """The parts of the change record that tell what happened on the way."""

    def test_a_run_that_stumbled(self, tmp_path):
        """It is closed, but with issues; the work notes say what went wrong and when."""
        story = failed_cutover(tmp_path)
        story.cut_over()
        story.verify()
        change = report_of(story)["change"]
        assert change["close_code"] == "successful with issues"
        notes = [note["text"] for note in change["work_notes"]]
        assert any("30_cut_over_volume, attempt 1: failed: " in text for text in notes)
        assert any(text.startswith("The service answers again, after ") for text in notes)
        assert notes == [note["text"] for note in sorted(change["work_notes"], key=lambda one: one["at_utc"])]

    def test_a_run_that_went_back(self, tmp_path):
        """The change was backed out."""
        story = failed_cutover(tmp_path)
        story.roll_back()
        assert report_of(story)["change"]["close_code"] == "backed out"

    def test_a_window_and_what_stood_against_it(self, tmp_path):
        """Planned times are those of the change window, and a refusal outside of it is a conflict."""
        story = Story(tmp_path)
        story.start("30_cut_over_volume")
        window = {"opens_utc": "2026-01-31T02:00:00+00:00", "closes_utc": "2026-01-31T03:00:00+00:00"}
        late = check("change-window", passed=False, expected="a time from 2 to 3", observed="3")
        story.step("stop-source-service", status="failed", before={"change_window": window}, checks=[late])
        change = report_of(story)["change"]
        assert (change["planned_start_utc"], change["planned_end_utc"]) == tuple(window.values())
        assert change["conflicts"] == ["outside the change window: expected a time from 2 to 3, was 3"]

    def test_the_fields_that_a_ticket_wants(self, tmp_path):
        """Model, assignment, description, impact and evidence follow from the run; none is left to be typed."""
        story = migrated(tmp_path)
        change, page = report_of(story)["change"], render_html(report_of(story))
        assert (change["model"], change["assigned_to"]) == ("30_cut_over_volume", "ops@bastion")
        assert change["description"].startswith("guestbook, volume vol-0fedcba9876543210: Migrated.")
        assert "not available while it moves" in change["impact"]
        assert "evidence/manifest-after.json" in change["evidence"]
        for text in (change["impact"], change["work_notes"][0]["text"], "no change window was set"):
            assert text in page

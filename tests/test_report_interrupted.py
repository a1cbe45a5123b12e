"""What the report says of a run that was killed after an earlier failure."""

from __future__ import annotations

from runbook_lib.model import RunStatus
from runbook_lib.report import build_report, derive_status, render_html
from runbook_lib.report_next import next_steps
from runbook_lib.report_words import headline
from tests.sample_run import Story


def killed_after_a_failure(folder):
    """Tell of a check that failed, and of another notebook whose step was killed later."""
    story = Story(folder)
    story.start("30_cut_over_volume")
    story.fail("check-readiness")
    story.finish("failed", exit_code=3)
    story.start("20_snapshot_volume")
    story.step("create-hot-snapshot", status="running")
    return story


def test_a_killed_step_is_not_hidden_by_an_earlier_failure(tmp_path):
    """`Nothing was changed` was true of the check that failed; of the step that was killed nobody knows."""
    events = killed_after_a_failure(tmp_path).journal.events()
    report = build_report(events, "r")
    assert (derive_status(events), report["failure"]) == (RunStatus.INTERRUPTED, None)
    text = headline(report).text
    assert text.startswith(
        "It stopped at: create-hot-snapshot. Whether the interrupted step changed anything is unknown"
    )


def test_a_killed_run_says_where_it_was_cut_off(tmp_path):
    """The page names step, attempt, what ended it and what never ran; going on, nothing has to be mended first."""
    story = killed_after_a_failure(tmp_path)
    names = {"notebook": "20_snapshot_volume", "attempt": 1, "repaired": True}
    for cell_id, status in (("create-hot-snapshot", "interrupted"), ("complete-hot-snapshot", "not run")):
        story.journal.append("cell", **names, cell_id=cell_id, status=status, duration_s=0.0)
    error = {"kind": "RunnerKilled", "message": "the process that ran the notebook was killed.", "cell_id": ""}
    story.journal.append("notebook-finished", **names, status="interrupted", duration_s=1.0, error=error, exit_code=4)
    report = build_report(story.journal.events(), "r")
    page = render_html(report)
    section = page.partition("Where it was cut off")[2].partition("</section>")[0]
    for text in ("create-hot-snapshot", "attempt 1", error["message"], "found out afterwards", "complete-hot-snapshot"):
        assert text in section
    assert next_steps(report)[0] == (
        "Go on: each step looks first, so what the interrupted one did is found, and what is done is skipped.",
        "runbook resume r",
    )


def test_a_failure_after_a_killed_step_is_what_the_run_stopped_at(tmp_path):
    """The next attempt looks, and its failed check is the newest word."""
    story = killed_after_a_failure(tmp_path)
    story.start("20_snapshot_volume", attempt=2)
    story.fail("complete-hot-snapshot")
    story.finish("failed", exit_code=3)
    report = build_report(story.journal.events(), "r")
    assert (report["status"], report["failure"]["step_id"]) == ("failed", "complete-hot-snapshot")

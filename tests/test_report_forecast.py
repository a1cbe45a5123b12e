"""The report shows the forecast beside what was measured, and what was decided about a broken budget."""

from __future__ import annotations

from runbook_lib.procedures.forecast import Measured, forecast_outage
from runbook_lib.report import build_report, render_html, render_markdown
from tests.sample_run import migrated

FORECAST = forecast_outage(Measured(1.5, 10.0, 2.0, 3.0, 8.0, (0.5,)))


def test_the_forecast_stands_beside_the_measured_outage(tmp_path):
    """Each part is shown with its forecast, what the step of its name really took, and where the number came from."""
    story = migrated(tmp_path)
    story.journal.append("forecast", budget_s=60, **FORECAST)
    report = build_report(story.journal.events(), story.journal.run_id)
    took = {step["id"]: step["duration_s"] for step in report["steps"]}
    assert report["forecast"]["total_s"] == FORECAST["total_s"]
    markdown = render_markdown(report)
    assert f"forecast {FORECAST['total_s']:g} s" in markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| start-target-service | 8 s"))
    assert f"{took['start-target-service']:g} s" in row
    assert "The outage, forecast and measured" in render_html(report)


def test_without_a_rehearsal_nothing_is_said_of_a_forecast(tmp_path):
    """A run that did not rehearse has no forecast, in the data or on the page."""
    report = build_report(migrated(tmp_path).journal.events(), "r")
    assert (report["forecast"], report["budget_decision"]) == (None, None)
    assert "orecast" not in render_markdown(report) + render_html(report)


def test_a_broken_budget_says_what_was_decided(tmp_path):
    """The page says when the budget was used up, in which step, and what the run then did."""
    story = migrated(tmp_path)
    decision = {"step_id": "detach-volume", "budget_s": 3, "down_s": 4.2, "decision": "roll_back"}
    story.journal.append("outage-budget", phase="decided", **decision)
    report = build_report(story.journal.events(), "r")
    for page in (render_markdown(report), render_html(report)):
        assert "4.2 s" in page
        assert "the run took the service back by itself" in page

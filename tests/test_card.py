"""The live card of a run: what it says at each moment, told from the journal alone, and how it looks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runbook_lib.report_card import Called, card_of, durations, is_cutover, may_hold
from runbook_lib.report_card_html import render_card
from runbook_lib.run_earlier import earlier_durations
from tests.sample_run import Story

HOLD_WAIT = "`runbook cut-over`, or a file in the run folder"


@pytest.fixture
def story(tmp_path):
    """Return a run that is ready for its cutover."""
    told = Story(tmp_path / "runs")
    told.prepare()
    return told


def said(story, *, called=None, took=None):
    return card_of(story.journal.events(), story.now, called=called, took=took or {})


def begin(story, step_id, title):
    """Begin a step, as the engine of steps notes it."""
    names = {"step_id": step_id, "notebook": story.notebook, "title": title}
    story.journal.append("step", **names, status="running", duration_s=0.0, checks=[], plan="", in_outage=True)


def test_a_step_that_was_just_called_is_there_before_the_journal_knows_it(story):
    """The card says what was called, and how long ago, while the step still looks."""
    story.start("30_cut_over_volume")
    newest = story.journal.events()[-1].seq
    called = Called("detach-volume", "30_cut_over_volume", "Detach the volume", newest, story.now)
    story.wait(1.5)

    card = said(story, called=called)

    assert (card.status, card.step_id, card.elapsed_s) == ("looking", "detach-volume", 1.5)
    assert "looking" in render_card(card)
    assert "no figure yet of how long it takes" in render_card(card)


def test_a_step_that_waits_says_why_and_how_long_it_usually_takes(story):
    """Reason and expected time stand on the card; the time runs on by itself."""
    story.start("30_cut_over_volume")
    begin(story, "detach-volume", "Detach the volume")
    story.journal.append("wait", step_id="detach-volume", reason="EBS to say `available`", timeout_s=120)
    story.wait(3)

    card = said(story, took={"detach-volume": [3.0, 4.0, 9.0]})

    assert (card.waiting, card.expected_s, card.expected_from) == ("EBS to say `available`", 4.0, "3 earlier runs")
    assert card.share == 0.75
    assert card.run_status == "running"
    page = render_card(card)
    assert "Waits for" in page
    assert "3 s of about 4 s (3 earlier runs)" in page


def test_the_outage_clock_runs_against_the_budget(story):
    """While the service is down the card says for how long, of how much, and when the budget is used up."""
    story.start("30_cut_over_volume")
    story.journal.append("outage", phase="started")
    begin(story, "stop-source-service", "Stop the service")
    story.wait(30)
    within = said(story)
    story.wait(70)
    beyond = said(story)

    assert (within.is_down, within.down_s, within.budget_s) == (True, 30.0, 90)
    assert "THE SERVICE IS DOWN for 30 s" in render_card(within)
    assert "the budget is used up" not in render_card(within)
    assert "the budget is used up" in render_card(beyond)
    kept = render_card(within, kept=True)
    assert "The service had been down for 30 s by then of 90 s allowed" in kept, "what is read next year says no now"
    assert "IS DOWN" not in kept


def test_after_the_cutover_the_card_says_how_long_the_service_was_down(story):
    """The same journal read anew, by whoever restarted a kernel, says the same."""
    story.cut_over()

    card = said(story)

    assert not card.is_down
    assert card.down_s == pytest.approx(story.journal.last("outage").fields["outage_s"])
    assert "The service was down for" in render_card(card)
    assert card == said(story)


def test_what_failed_is_on_the_card_and_is_escaped(story):
    """The error stands there in its own words; nothing from outside becomes HTML."""
    story.start("30_cut_over_volume")
    error = {"kind": "CheckError", "message": "expected <b>one</b> volume", "changed": "no", "exit_code": 3}
    story.step("detach-volume", "Detach", status="failed", error=error)

    page = render_card(said(story))

    assert "✗ <b>failed</b>" in page
    assert "expected &lt;b&gt;one&lt;/b&gt; volume" in page


def test_the_cutover_can_be_held_until_it_has_begun(story):
    """Asked for once; not while it holds, and not any more in the outage."""
    assert may_hold(story.journal.events())
    story.start("30_cut_over_volume")
    story.journal.append("hold", phase="requested", how="test", operator="test", reason="")
    assert not may_hold(story.journal.events())
    begin(story, "hold-cutover", "Hold")
    story.journal.append("wait", step_id="hold-cutover", reason=HOLD_WAIT, timeout_s=60)

    card = said(story)

    assert (card.holds, card.may_hold, card.run_status) == (True, False, "waiting")
    assert is_cutover(card)
    story.journal.append("hold", phase="released", operator="test", how="test", reason="")
    story.journal.append("outage", phase="started")
    assert not may_hold(story.journal.events())


@pytest.mark.parametrize("asked", [False, True])
def test_another_cutover_after_a_way_back_can_be_held_again(story, asked):
    """After the way back a pause can be asked for, unless one was: that one holds again by itself."""
    for phase in ("requested", "released") if asked else ():
        story.journal.append("hold", phase=phase, how="test", operator="test", reason="")
    story.cut_over(until="detach-volume")
    story.fail("detach-volume")
    assert not may_hold(story.journal.events())

    story.roll_back()

    assert may_hold(story.journal.events()) is not asked


def test_a_plan_says_that_nothing_changes_and_has_no_buttons(tmp_path):
    """A run that only plans is no cutover to hold, release or give up."""
    story = Story(tmp_path / "runs", execute=False)
    story.prepare()
    story.cut_over()

    card = said(story)

    assert "plans only; nothing will change" in render_card(card)
    assert not is_cutover(card)
    assert not card.may_hold


def test_earlier_runs_of_the_same_migration_tell_how_long_a_step_takes(tmp_path):
    """The newest runs before this one count, others and what cannot be read do not."""
    for number, name in enumerate(("guestbook", "guestbook", "wiki")):
        other = Story(tmp_path, run_id=f"2026010{number + 1}T000000Z-{name}-000{number}")
        other.start("20_snapshot_volume")
        other.step("create-hot-snapshot", "Snapshot", took_s=number + 1.0)
    broken = tmp_path / "20260104T000000Z-guestbook-0009"
    broken.mkdir()
    (broken / "journal.jsonl").write_text("{", "utf-8")
    own = tmp_path / "20260105T000000Z-guestbook-aaaa"

    took = earlier_durations(own)

    assert took["create-hot-snapshot"] == [
        durations(events_of(tmp_path, "20260102T000000Z-guestbook-0001"))["create-hot-snapshot"],
        durations(events_of(tmp_path, "20260101T000000Z-guestbook-0000"))["create-hot-snapshot"],
    ]
    assert took["create-hot-snapshot"] == sorted(took["create-hot-snapshot"], reverse=True)


def events_of(directory, run_id):
    from runbook_lib.journal import read_events

    return read_events(directory / run_id / "journal.jsonl")


def test_a_run_that_did_nothing_yet_has_a_card(tmp_path):
    """Nothing was called: it says so."""
    story = Story(tmp_path)

    card = said(story)

    assert card.step_id == ""
    assert "No step was called yet" in render_card(card)
    assert card_of(story.journal.events(), story.now + timedelta(hours=1), took={}) == card

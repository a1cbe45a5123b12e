"""Before a step that cannot be taken back, a person at a notebook types the service's name; nobody else is asked."""

from __future__ import annotations

import importlib
from datetime import timedelta
from types import SimpleNamespace

import pytest

import runbook_lib
from runbook_lib import widgets_card
from runbook_lib.errors import ConfirmationError, JournalError
from runbook_lib.model import StepStatus
from runbook_lib.run_confirmation import confirm, note_confirmation
from runbook_lib.steps import Step, perform, verb
from runbook_lib.widgets_confirmation import ConfirmationField
from tests.sample_run import Story

RETIRE = "50_retire_source"
LOST = "only a restore goes back, and it loses writes"


@pytest.fixture
def story(tmp_path):
    """Return a run of the service `guestbook` that somebody is about to retire the source of."""
    told = Story(tmp_path / "runs")
    told.start(RETIRE)
    return told


@pytest.fixture
def at_a_keyboard(monkeypatch):
    """Let this process be the kernel of a page that somebody opened."""
    monkeypatch.setenv("JPY_SESSION_NAME", "work/50_retire_source.ipynb")


def the_run(story):
    """Return an open run as `perform` needs it."""
    return SimpleNamespace(
        journal=story.journal,
        clock=SimpleNamespace(monotonic=lambda: 0.0),
        execute=True,
        confirm_lease=lambda: None,
        confirm_approval=lambda *_: None,
        confirm_name=lambda *words: confirm(story.journal, *words),
    )


def a_step(acted, lost=LOST):
    """Return a step that takes something away for good."""
    return Step(
        "stop-source-instance",
        RETIRE,
        "Stop the source instance",
        lambda _run: {},
        lambda _facts: "Stop it.",
        lambda _run, _facts: acted.append("stopped"),
        no_return=lambda _facts: lost,
    )


@pytest.mark.usefixtures("at_a_keyboard")
def test_nothing_is_done_until_the_name_was_typed(story):
    """The refusal says what would be lost and what to type; then the same cell acts."""
    acted = []
    with pytest.raises(ConfirmationError) as refused:
        perform(a_step(acted), the_run(story))
    assert acted == []
    assert LOST in str(refused.value)
    assert "Type the service's name, guestbook" in str(refused.value)
    assert "Changed: no." in str(refused.value)

    note_confirmation(story.journal, RETIRE, " guestbook ", how="typed in JupyterLab")

    assert perform(a_step(acted), the_run(story)).status is StepStatus.SUCCEEDED
    assert acted == ["stopped"]


@pytest.mark.usefixtures("at_a_keyboard")
@pytest.mark.parametrize(("notebook", "later"), [("70_restore_volume", 0), (RETIRE, 3601)])
def test_a_name_counts_for_its_notebook_and_for_an_hour(story, notebook, later):
    """What was typed for another notebook, or long ago, lets nothing go on."""
    note_confirmation(story.journal, notebook, "guestbook", how="typed in JupyterLab")
    story.now += timedelta(seconds=later)

    with pytest.raises(ConfirmationError):
        perform(a_step([]), the_run(story))


def test_another_name_confirms_nothing(story):
    """It says what was expected; the journal stays as it was."""
    with pytest.raises(JournalError, match="expected the service's name, guestbook, got 'wiki'"):
        note_confirmation(story.journal, RETIRE, "wiki", how="typed in JupyterLab")
    assert story.journal.last("confirmation") is None


@pytest.mark.usefixtures("at_a_keyboard")
def test_what_can_be_taken_back_asks_nobody(story):
    """A step that loses nothing, as things are, acts at once."""
    acted = []
    perform(a_step(acted, lost=""), the_run(story))
    assert acted == ["stopped"]


def test_a_run_that_nobody_watches_is_not_asked(story, monkeypatch):
    """Under Papermill nothing waits: there is nobody to type."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    acted = []
    perform(a_step(acted), the_run(story))
    assert acted == ["stopped"]


def test_the_field_is_dead_until_the_name_stands_in_it(story):
    """Confirm is inert for another name; afterwards it says to run the cell again, and is dead again."""
    field = ConfirmationField(story.journal, RETIRE)
    assert field.button.disabled
    field.typed.value = "guest"
    assert field.button.disabled
    field.button.click()
    assert story.journal.last("confirmation") is None
    field.typed.value = "guestbook"
    assert not field.button.disabled

    field.button.click()

    given = story.journal.last("confirmation").fields
    assert (given["notebook"], given["service"], given["how"]) == (RETIRE, "guestbook", "typed in JupyterLab")
    assert "Run this cell again" in field.said.value
    assert field.button.disabled
    assert "application/vnd.jupyter.widget-view+json" in field._repr_mimebundle_()


@pytest.mark.usefixtures("at_a_keyboard")
def test_the_refused_cell_shows_the_field(story, monkeypatch):
    """Below the card that says why stands where to type."""
    shown = []
    handle = SimpleNamespace(update=shown.append)
    monkeypatch.setattr(widgets_card, "display", lambda what, **_options: shown.append(what) or handle)
    step = a_step([])

    with pytest.raises(ConfirmationError):
        widgets_card.with_card(step, verb(step))(the_run(story))

    assert isinstance(shown[-1], ConfirmationField)
    assert "<b>failed</b>" in shown[-2].data


def test_what_takes_something_away_for_good_says_so():
    """Retirement, a restore, and the deletion of backups; everything else can be taken back, or loses nothing."""
    steps = [
        step
        for procedure in runbook_lib._PROCEDURES
        for step in importlib.import_module(f"runbook_lib.procedures.{procedure}").STEPS
        if step.no_return is not Step.no_return
    ]
    expected = {"retire-mount", "stop-source-instance", "stop-service-for-restore", "expire-backups"}
    assert {step.step_id for step in steps} == expected
    (expire,) = [step for step in steps if step.step_id == "expire-backups"]
    assert expire.no_return({"expired": ["snap-1"], "deletes": False}) == ""
    assert expire.no_return({"expired": ["snap-1"], "deletes": True}) == "deletes snap-1 for good"

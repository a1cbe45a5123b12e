"""The approval card: dead until the name is typed and a reason given, dead again when the run is another."""

from __future__ import annotations

import pytest

from runbook_lib import run_approval, widgets_approval
from runbook_lib.errors import JournalError
from runbook_lib.widgets_approval import ApprovalCard, approval_card
from tests.approval_desk import ALICE, BOB, PROVISION, Desk


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Return a run that waits for an approval, asked for by Alice."""
    made = Desk(tmp_path / "runs")
    monkeypatch.setattr(run_approval, "own_session", made.session)
    made.stopped_at(PROVISION)

    def who_approves(_folder, _credentials):
        return made.parameters, made.session().caller()

    monkeypatch.setattr(widgets_approval, "who_approves", who_approves)
    return made


@pytest.fixture
def card(desk):
    return ApprovalCard(desk.journal)


def fill(card, *, name="guestbook", reason="looked at it"):
    card.typed.value, card.reason.value = name, reason


def approvals(desk):
    return [event for event in desk.journal.events() if event.kind == "approval"]


def test_the_button_is_dead_until_name_and_reason_are_there(card, desk):
    """It says what is missing; nothing is written meanwhile."""
    assert card.button.disabled
    assert "service&#x27;s name, guestbook, to approve" in card.why_not.value
    fill(card, name="wiki")
    assert card.button.disabled
    fill(card, reason="  ")
    assert "Say why it is right" in card.why_not.value

    card.button.click()

    assert approvals(desk) == []


def test_somebody_else_approves(card, desk):
    """The same event as `runbook approve` makes, for the digest that was shown; afterwards the button is dead."""
    desk.at_keyboard = BOB
    fill(card)
    assert not card.button.disabled

    card.button.click()

    (given,) = approvals(desk)
    assert (given.fields["approver"], given.fields["digest"]) == (BOB, card.digest)
    assert given.fields["reason"] == "looked at it"
    assert f"Approved by {BOB}" in card.said.value
    assert f"runbook resume {desk.journal.run_id}" in card.said.value
    assert card.button.disabled
    card.button.click()
    assert len(approvals(desk)) == 1


def test_whoever_asked_may_not_say_yes(card, desk):
    """The rules of approvals hold here, too; what is refused is said."""
    desk.at_keyboard = ALICE
    fill(card)

    card.button.click()

    assert approvals(desk) == []
    assert "requester_may_approve is false" in card.said.value


def test_the_button_dies_when_the_run_is_another(card, desk):
    """What was shown is not what would be done now: the button is dead and says so, whatever was typed."""
    desk.at_keyboard = BOB
    fill(card)
    assert not card.button.disabled

    desk.open(library_sha256="0" * 64)
    card.refresh()

    assert card.button.disabled
    assert "is not what the approval was asked for" in card.why_not.value
    card.button.click()
    assert approvals(desk) == []


def test_a_click_that_comes_before_the_next_look_approves_nothing_else(card, desk):
    """The digest is looked at in the click itself, not only once a second."""
    desk.at_keyboard = BOB
    fill(card)
    desk.open(library_sha256="0" * 64)

    card.button.click()

    assert approvals(desk) == []


def test_the_reviewers_page_is_shown_and_stays_in_the_saved_notebook(card):
    """Blast radius, plan, point of no return, way back: the page of `runbook approve`, in a frame that runs nothing."""
    kept = card._repr_mimebundle_()["text/html"]

    assert 'sandbox=""' in kept
    for section in ("What it touches", "The plan, step by step", "Point of no return"):
        assert section in kept


def test_without_anybody_at_the_keyboard_the_page_alone_is_shown(desk):
    """Under Papermill nothing waits and no widget is left."""
    shown = approval_card(desk.journal.run_id, desk.journal.folder.parent, widgets=False)

    assert "What it touches" in shown.data


def test_a_run_that_waits_for_nothing_has_no_card(tmp_path):
    """It says so, and changes nothing."""
    desk = Desk(tmp_path / "runs")

    with pytest.raises(JournalError, match="waits for no approval; nothing was changed"):
        approval_card(desk.journal.run_id, desk.journal.folder.parent)

"""The live card as widgets: without a browser, and in a real kernel whose main thread is busy with a cell."""

from __future__ import annotations

import gc
import json
import sys
import time
import weakref

import pytest
from jupyter_client.manager import start_new_kernel

import runbook_lib
from runbook_lib import widgets_card
from runbook_lib.errors import ApprovalError, CheckError
from runbook_lib.journal import Journal
from runbook_lib.model import StepStatus
from runbook_lib.procedures.cut_over_volume import STEPS
from runbook_lib.run_keyboard import say_at_once
from runbook_lib.steps_result import StepResult
from tests.sample_run import Story
from tests.test_card import begin

WIDGET = "application/vnd.jupyter.widget-view+json"
BUSY = """
from pathlib import Path
from runbook_lib.run_folder import open_journal
from runbook_lib.widgets_card import RunCard
journal = open_journal({run_id!r}, Path({directory!r}))
card = RunCard(journal)
card.follow()
print("model", card.hold.model_id, flush=True)
import time
import weakref
until = time.monotonic() + 30
while journal.last("hold", phase="requested") is None and time.monotonic() < until:
    time.sleep(0.02)
print("held" if journal.last("hold", phase="requested") else "never heard", flush=True)
"""


@pytest.fixture
def story(tmp_path):
    """Return a run in its cutover, before the outage."""
    told = Story(tmp_path / "runs")
    told.prepare()
    told.start("30_cut_over_volume")
    return told


def card_of_run(story):
    return widgets_card.RunCard(Journal(story.journal.folder, lambda: story.now))


def test_pause_asks_the_cutover_to_hold_as_the_command_does(story):
    """The same event as `--hold-before-cutover` makes; then there is nothing to pause any more."""
    card = card_of_run(story)
    assert not card.hold.disabled
    assert card.release.disabled

    card.hold.click()

    asked = story.journal.last("hold")
    assert (asked.fields["phase"], asked.fields["how"]) == ("requested", "the card in JupyterLab")
    assert card.hold.disabled
    assert "will hold before the outage" in card.said.value


def test_what_is_refused_is_said_below_the_buttons(story, monkeypatch):
    """A release of a run that does not hold, clicked by a stale page, changes nothing."""
    card = card_of_run(story)

    card.release.click()

    assert "does not hold, so there is nothing to release; nothing was changed" in card.said.value
    assert 'role="alert"' in card.said.value
    assert story.journal.last("hold") is None


def test_panic_needs_two_clicks_and_runs_the_command(story, monkeypatch):
    """One click changes nothing and says so; the second starts `runbook panic` for this run."""
    started = []

    class Refused:
        exit_code, output = 3, "Error: this run is not here"

    monkeypatch.setattr(widgets_card, "start_panic", lambda folder, reason: started.append((folder, reason)) or Refused)
    card = card_of_run(story)

    card.panic.click()
    assert started == []
    assert "Press again" in card.panic.description
    card.panic.click()

    assert started == [(story.journal.folder, "panic, by the card in JupyterLab")]
    assert "this run is not here" in card.said.value, "what it refused is said here, because this kernel lives on"


def test_one_click_on_panic_is_forgotten_after_a_while(story):
    """Whoever clicked by mistake and went away finds the button as it was."""
    card = card_of_run(story)
    card.panic.click()

    for _look in range(30):
        card.refresh()

    assert card.panic.description == "Panic: back to compose"


def test_buttons_are_there_for_the_cutover_only(tmp_path):
    """Before the cutover there is nothing to pause, release or give up on the card."""
    story = Story(tmp_path)
    story.start("20_snapshot_volume")
    story.step("create-hot-snapshot", "Snapshot")

    assert card_of_run(story).actions.layout.display == "none"


def test_a_verb_shows_its_card_and_leaves_no_widget_behind(story, monkeypatch):
    """What stays is HTML that says how the step ended; the result is the verb's own."""
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what)

    def display(what, *, display_id):
        shown.append(what._repr_mimebundle_())
        return Handle()

    monkeypatch.setattr(widgets_card, "display", display)
    (detach,) = [step for step in STEPS if step.step_id == "detach-volume"]
    result = StepResult("detach-volume", detach.title, StepStatus.SUCCEEDED, "done", 1.0)

    def verb(_run):
        story.step("detach-volume", detach.title, took_s=1.0)
        return result

    verb.__doc__ = "Detach."
    run = type("Run", (), {"journal": story.journal})()

    perform = widgets_card.with_card(detach, verb)

    assert perform(run) is result
    assert (perform.__name__, perform.__doc__) == ("verb", "Detach.")
    assert WIDGET in shown[0]
    assert "looking" in shown[0]["text/html"]
    assert "<b>succeeded</b>" in shown[1].data


@pytest.mark.parametrize("kind", [CheckError, ApprovalError])
def test_a_verb_that_fails_says_so_and_the_reason_once(story, monkeypatch, kind):
    """The card ends failed; the reason is the cell's own error below it; a missing approval says where to give it."""
    shown = []
    handle = type("Handle", (), {"update": lambda _self, what: shown.append(what)})()
    monkeypatch.setattr(widgets_card, "display", lambda what, **_options: shown.append(what) or handle)
    (detach,) = [step for step in STEPS if step.step_id == "detach-volume"]

    def verb(_run):
        error = {"kind": "CheckError", "message": "still mounted", "changed": "no", "exit_code": 3}
        story.step("detach-volume", detach.title, status="failed", error=error)
        raise kind("detach-volume", "still mounted")

    run = type("Run", (), {"journal": story.journal})()

    with pytest.raises(kind, match="still mounted"):
        widgets_card.with_card(detach, verb)(run)
    assert "<b>failed</b>" in shown[1].data
    assert "still mounted" not in shown[1].data
    said = f"runbook.approval_card(&quot;{story.journal.run_id}&quot;)"
    assert [said in one.data for one in shown[2:]] == ([True] if kind is ApprovalError else [])


def test_verbs_have_a_card_where_somebody_sits_only(monkeypatch):
    """Under Papermill and nbclient a verb is the plain function: no widget, no thread."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert runbook_lib.detach_volume.__module__ == "runbook_lib.steps"
    monkeypatch.setenv("JPY_SESSION_NAME", "work/30.ipynb")
    assert runbook_lib.detach_volume.__module__ == "runbook_lib.widgets_card"
    assert runbook_lib.detach_volume.__name__ == "detach_volume"


def test_a_run_is_watched_from_another_notebook(story, monkeypatch):
    """Live where somebody sits, a table where nobody does, and a clear error for a run that is not there."""
    begin(story, "detach-volume", "Detach the volume")
    directory = story.journal.folder.parent

    live = runbook_lib.watch_run(story.journal.run_id, directory, widgets=True)
    static = runbook_lib.watch_run(story.journal.run_id, directory, widgets=False)
    live.end()

    assert "detach-volume: running" in repr(live)
    assert "detach-volume" in static.data
    with pytest.raises(runbook_lib.errors.JournalError, match="nobody"):
        runbook_lib.watch_run("nobody", directory)


def test_a_click_is_heard_while_a_cell_runs(story):
    """In a real kernel: a cell keeps the main thread, the click comes through a subshell as from JupyterLab."""
    manager, client = start_new_kernel(kernel_name="python3", stdout=sys.stderr)
    try:
        subshell = ask(client, client.control_channel, "create_subshell_request")["content"]["subshell_id"]
        client.execute(BUSY.format(run_id=story.journal.run_id, directory=str(story.journal.folder.parent)))
        model_id = printed(client, "model ").split()[1]

        content = {"comm_id": model_id, "data": {"method": "custom", "content": {"event": "click"}}}
        message = client.session.msg("comm_msg", content)
        message["header"]["subshell_id"] = subshell
        client.shell_channel.send(message)

        assert printed(client, "held", "never heard").startswith("held")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ask(client, channel, kind):
    """Ask a kernel and return its answer."""
    message = client.session.msg(kind, {})
    channel.send(message)
    while True:
        answer = channel.get_msg(timeout=30)
        if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            return answer


def printed(client, *beginnings):
    """Return the next line that a cell prints and that begins so."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "error":
            raise AssertionError(json.dumps(message["content"]))
        for line in message["content"].get("text", "").splitlines():
            if line.startswith(beginnings):
                return line
    raise AssertionError(f"never printed: {beginnings}")


def test_a_card_that_has_ended_is_kept_by_nothing(story):
    """A kernel that shows hundreds of cards does not keep what each has read."""
    card = widgets_card.RunCard(Journal(story.journal.folder, lambda: story.now))
    gone = weakref.ref(card)

    card.close()
    del card
    gc.collect()

    assert gone() is None


def test_a_cell_says_at_once_what_it_does(monkeypatch, capsys):
    """Where somebody sits something is shown before the work begins; elsewhere nothing is."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    say_at_once("Opens the run …")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("JPY_SESSION_NAME", "work/30.ipynb")
    said = []
    monkeypatch.setattr("IPython.display.display", lambda what, **_options: said.append(what))
    monkeypatch.setattr("IPython.display.clear_output", lambda *, wait: said.append(("clear", wait)))
    say_at_once("Opens the run …")
    assert said == [{"text/plain": "Opens the run …"}, ("clear", True)]

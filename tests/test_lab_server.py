"""What JupyterLab's server answers about the run of a working copy; tests/browser sees it on the page."""

from __future__ import annotations

import pytest

from runbook_lib import lab_server
from runbook_lib.errors import JournalError
from runbook_lib.lab_prepare import prepare_notebooks
from runbook_lib.lab_server import card_json, do, find_journal
from tests.parameter_sets import SANDBOX
from tests.sample_run import Story


@pytest.fixture
def story(tmp_path):
    """Return a run in its cutover, before the outage."""
    told = Story(tmp_path / "runs")
    told.prepare()
    told.start("30_cut_over_volume")
    return told


def test_a_working_copy_leads_to_its_run(tmp_path, monkeypatch):
    """The parameters that were injected say which run it is; the committed notebook is for none."""
    monkeypatch.setattr("runbook_lib.lab_prepare.COPIES", tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    text = SANDBOX.read_text("utf-8").replace("directory: ../runs", "directory: runs")
    (tmp_path / "parameters.yaml").write_text(text, "utf-8")
    prepared = prepare_notebooks("30", parameters_file=str(tmp_path / "parameters.yaml"), execute=True)

    assert find_journal(prepared.copies[0]).folder == tmp_path / "runs" / prepared.run_id
    assert find_journal(SANDBOX.parents[1] / "notebooks" / "30_cut_over_volume.ipynb") is None


@pytest.mark.parametrize("text", ["", "{", '{"cells": []}', "[]"])
def test_what_is_no_working_copy_has_no_card(tmp_path, text):
    """Any other file, and one that is not there, is for no run; nothing is raised into the server's log."""
    (tmp_path / "other.ipynb").write_text(text, "utf-8")

    assert find_journal(tmp_path / "other.ipynb") is None
    assert find_journal(tmp_path / "nothing.ipynb") is None


def test_the_card_is_that_of_the_journal(story):
    """In the cutover the buttons are there, and the step that ran last."""
    story.step("check-readiness", "Check that the cutover may begin")

    said = card_json(story.journal)

    assert "check-readiness" in said.pop("html")
    flags = {"runs": False, "is_cutover": True, "may_hold": True, "holds": False, "refused": ""}
    assert said == {"run_id": story.journal.run_id, **flags}


def test_the_buttons_do_what_the_commands_do(story, monkeypatch):
    """Pause is asked for once; a release of what does not hold is refused; panic is the command."""
    started = []

    class Refused:
        exit_code, output = 3, "Error: this run is not here"

    monkeypatch.setattr(lab_server, "start_panic", lambda folder, reason: started.append((folder, reason)) or Refused)

    assert "will hold before the outage" in do(story.journal, "hold")
    assert story.journal.last("hold").fields["how"] == "the card in JupyterLab"
    with pytest.raises(JournalError, match="does already; nothing was changed"):
        do(story.journal, "hold")
    with pytest.raises(JournalError, match="nothing to release; nothing was changed"):
        do(story.journal, "release")
    assert "Going back to compose" in do(story.journal, "panic")
    assert started == [(story.journal.folder, "panic, by the card in JupyterLab")]
    assert card_json(story.journal)["refused"] == "Error: this run is not here"

"""The cutover in JupyterLab: paused, released, given up; by keyboard, mouse and terminal; the page loaded again.

One run is prepared once and cut over three times, each time taken back to compose by a panic inside the outage.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.keyboard import Keyboard

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1200)]
WIDGET = "application/vnd.jupyter.widget-view+json"
CARD = "the card in JupyterLab"
CLOCK = re.compile(r"THE SERVICE IS DOWN for [\d.]+ s of \w[\w ]* allowed")
LONG_BUDGET = {("policy", "outage_budget_s"): 600}
"""Whoever looks at the clock and presses twice does it inside the outage, on a machine that may be busy."""
ASK = """
from pathlib import Path
from runbook_lib.run_control import ask_to_hold
from runbook_lib.run_folder import open_journal
ask_to_hold(open_journal({run_id!r}, Path("../runs")), how="the test")
"""


@pytest.fixture(scope="module")
def run_id(lab):
    """Return a run in which everything before the cutover was done, with a copy of the cutover's notebook."""
    lab.set_parameters(LONG_BUDGET)
    code, said = lab.runbook("run", "00", "10", "20", "-f", "parameters/sandbox.yaml", "--execute", "--reason", "test")
    assert code == 0, said
    (made,) = lab.run_ids()
    lab.prepare("30", made)
    return made


def kinds(lab, run_id, kind):
    """Return the events of a kind."""
    return [event for event in lab.events(run_id) if event["kind"] == kind]


def holds(lab, run_id):
    """Return how often the cutover has held."""
    return len([event for event in kinds(lab, run_id, "wait") if event["step_id"] == "hold-cutover"])


def open_copy(lab_page, run_id):
    return lab_page.open(f"notebooks/work/{run_id}/30_cut_over_volume.ipynb")


def cut_over(notebook, lab, run_id, wait_until):
    """Run all cells until the cutover holds."""
    if not kinds(lab, run_id, "hold"):
        lab.python(ASK.format(run_id=run_id))
    before = holds(lab, run_id)
    notebook.run_all()
    wait_until(lambda: holds(lab, run_id) > before, "the cutover holds", timeout_s=240)


def ways_back(lab, run_id):
    """Return how often the service was taken back."""
    ended = [event for event in kinds(lab, run_id, "notebook-finished") if event["notebook"] == "90_roll_back"]
    return len([event for event in ended if event["status"] == "completed"])


def wait_until_taken_back(lab, run_id, wait_until, times):
    """Wait until a panic has taken the service back, and prove that no write is missing."""
    wait_until(lambda: ways_back(lab, run_id) == times, "the run is rolled back", timeout_s=240)
    wait_until(lambda: lab.report(run_id)["status"] == "rolled_back", "the report says so")
    client = lab.sandbox.control("GET", "/_sandbox/client")
    assert client["missing"] == 0
    wait_until(
        lambda: lab.sandbox.control("GET", "/_sandbox/client")["acknowledged"] > client["acknowledged"],
        "compose serves again",
    )


def test_paused_by_keyboard_and_given_up_after_a_reload(lab_page, lab, run_id, wait_until):
    """Pause by Enter; the page is loaded again while it holds: card and buttons are back, above the cells."""
    notebook, back = open_copy(lab_page, run_id), ways_back(lab, run_id)
    for source in ("parameters_file: str", 'parameters_file = "', "open_run(", "check_readiness(run)"):
        notebook.run(source)
    notebook.insert_below("check_readiness(run)", f"runbook.watch_run({run_id!r})")
    keyboard = Keyboard(lab_page.page)
    keyboard.go_to("Pause before the outage", "Shift+Tab")
    keyboard.press("Enter")
    wait_until(lambda: kinds(lab, run_id, "hold"), "it was asked to hold")
    asked = kinds(lab, run_id, "hold")[0]
    assert (asked["phase"], asked["how"]) == ("requested", CARD)
    notebook.delete("watch_run")

    cut_over(notebook, lab, run_id, wait_until)
    header = notebook.panel.locator(".runbook-header")
    expect(header).to_contain_text("Waits for")
    lab_page.pictures("cutover-holds")
    lab_page.page.reload()
    lab_page.go_to_tab("30_cut_over_volume")
    expect(header).to_contain_text("A cell of this notebook was running when the page was loaded")
    expect(header).to_contain_text("Waits for")
    expect(header.get_by_role("button", name="Pause")).to_be_disabled()
    lab_page.picture("reloaded-holds")
    header.get_by_role("button", name="Cut over now").focus()
    keyboard.press("Enter")
    expect(header).to_contain_text("readiness is checked again, then the outage begins")
    assert [event["how"] for event in kinds(lab, run_id, "hold")] == [CARD, CARD]
    expect(header).to_contain_text("The cell has ended. Run the notebook again from the top", timeout=120_000)
    lab_page.picture("reloaded-ended")

    notebook.run_all()
    expect(header).to_contain_text(CLOCK, timeout=240_000)
    expect(header).to_be_in_viewport()
    lab_page.picture("outage-light-1280")
    header.get_by_role("button", name="Panic: back to compose").click()
    header.get_by_role("button", name="Press again").click()
    lab_page.dismiss("Kernel Restarting")
    expect(header).to_contain_text("The kernel has ended")
    wait_until_taken_back(lab, run_id, wait_until, back + 1)
    expect(header).to_contain_text("rolled_back")
    lab_page.picture("panic-header")


def test_cut_over_and_panic_by_the_card_in_the_cell(open_page, lab, run_id, wait_until):
    """Held again, released by a click, the clock runs, two clicks on panic; what is saved has no dead widget."""
    lab_page = open_page(800, 1000)
    notebook, back = open_copy(lab_page, run_id), ways_back(lab, run_id)
    lab_page.use_theme("Dark")
    cut_over(notebook, lab, run_id, wait_until)
    notebook.scroll_to("stop_source_service(run)")
    notebook.output("hold_cutover(run)").get_by_role("button", name="Cut over now").click()

    cells = notebook.panel.locator(".jp-OutputArea")
    down = cells.locator(".runbook-card", has_text="THE SERVICE IS DOWN").first
    expect(down).to_contain_text(CLOCK, timeout=240_000)
    lab_page.picture("outage-dark-800")
    cells.get_by_role("button", name="Panic: back to compose").click()
    cells.get_by_role("button", name="Press again").click()
    lab_page.dismiss("Kernel Restarting")

    wait_until_taken_back(lab, run_id, wait_until, back + 1)
    lab_page.picture("panic-cell")
    assert kinds(lab, run_id, "panic")[-1]["reason"] == f"panic, by {CARD}"
    notebook.wait_until_run()
    notebook.save()
    (saved,) = lab.folder.glob(f"notebooks/work/{run_id}/30_cut_over_volume.ipynb")
    assert WIDGET not in saved.read_text("utf-8")
    assert "runbook-card" in saved.read_text("utf-8")
    lab_page.use_theme("Light")


def test_panic_from_a_terminal_beside_the_notebook(lab_page, lab, run_id, wait_until):
    """The cell that ran is ended and the rest never begins; the run is rolled back, compose serves."""
    notebook, back = open_copy(lab_page, run_id), ways_back(lab, run_id)
    cut_over(notebook, lab, run_id, wait_until)
    began = len(kinds(lab, run_id, "outage"))
    outages = f"""$(grep -c '"kind":"outage"' runs/{run_id}/journal.jsonl)"""
    lab_page.type_in_terminal(
        f"cd {lab.folder} && .venv/bin/runbook cut-over {run_id} --reason go; "
        f"while [ {outages} -le {began} ]; do sleep 0.1; done; "  # typed later, it comes after a quick cutover's end
        f".venv/bin/runbook panic {run_id} --yes --reason 'CHG-1 called off'"
    )
    lab_page.dismiss("Kernel Restarting")
    wait_until_taken_back(lab, run_id, wait_until, back + 1)
    lab_page.picture("panic-terminal")

    lab_page.go_to_tab("30_cut_over_volume")
    notebook = lab_page.notebook()
    notebook.wait_until_run()
    lab_page.picture("panic-notebook")
    assert notebook.never_run() > 0
    panic = kinds(lab, run_id, "panic")[-1]
    assert panic["reason"] == "CHG-1 called off"
    assert panic["processes"] != []

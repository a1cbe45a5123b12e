"""The live card in JupyterLab: it moves while a step runs, and its buttons are heard in the middle of the outage."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_panic import cutting_over  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]
WIDGET = "application/vnd.jupyter.widget-view+json"


def card(notebook, verb):
    return notebook.output(verb).locator(".runbook-card").first


def test_cut_over_and_panic_by_the_card(lab_page, lab, cutting_over, wait_until):  # noqa: F811 - the fixture
    """Held, released by a click, the clock runs, two clicks on panic: compose serves again and no write is missing."""
    (run_id,) = lab.run_ids()
    notebook = cutting_over
    held = card(notebook, "hold_cutover(run)")
    expect(held).to_contain_text("Waits for")
    lab_page.picture("card-holds")
    notebook.panel.get_by_role("button", name="Cut over now").click()

    down = notebook.panel.locator(".runbook-card", has_text="THE SERVICE IS DOWN").first
    expect(down).to_contain_text(re.compile(r"THE SERVICE IS DOWN for [\d.]+ s of \d+ s allowed"), timeout=120_000)
    lab_page.picture("card-outage")
    panic = notebook.panel.get_by_role("button", name=re.compile("Panic: back to compose"))
    panic.click()
    notebook.panel.get_by_role("button", name=re.compile("Press again")).click()

    wait_until(lambda: lab.report(run_id)["status"] == "rolled_back", "the run is rolled back", timeout_s=240)
    lab_page.picture("card-panic")
    (said,) = [event for event in lab.events(run_id) if event["kind"] == "panic"]
    assert said["reason"] == "panic, by the card in JupyterLab"
    assert [event["how"] for event in lab.events(run_id) if event["kind"] == "hold"] == ["the card in JupyterLab"]
    assert lab.sandbox.control("GET", "/_sandbox/client")["missing"] == 0
    notebook.wait_until_run()
    notebook.save()
    (saved,) = lab.folder.glob(f"notebooks/work/{run_id}/30_cut_over_volume.ipynb")
    assert WIDGET not in saved.read_text("utf-8")
    assert "runbook-card" in saved.read_text("utf-8")

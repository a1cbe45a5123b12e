"""`make lab` in a browser: the short way of every `make test`, and what is left when the kernel is gone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_lab_opens_on_the_start_page_with_tiles_and_a_form(lab_page):
    """The printed address opens the start page; the launcher has four tiles; a wrong value is said at its field."""
    notebook = lab_page.open()
    lab_page.picture("start")
    notebook.run("import runbook_lib")
    form = notebook.run("parameters_form")

    form.get_by_role("button", name="policy").click()
    field = notebook.field("outage_budget_s")
    field.get_by_role("textbox").fill("soon")
    field.get_by_role("textbox").press("Tab")

    expect(field.get_by_role("alert")).to_contain_text("valid integer")
    expect(form.get_by_title("Save", exact=True)).to_be_disabled()
    lab_page.picture("form-error")
    tiles = lab_page.launcher().locator(".jp-LauncherCard")
    expect(tiles).to_have_text(["Start here", "The migration", "Day two", "Game day"])
    lab_page.picture("launcher")
    tiles.nth(1).click()
    expect(notebook.panel.get_by_role("heading", name="The migration")).to_be_in_viewport()


@pytest.mark.thorough
def test_a_finished_notebook_can_be_read_without_its_kernel(lab_page, lab):
    """Saved, its kernel ended, the page loaded again: cards, results, a link to the report, and no dead widget."""
    start = lab_page.open()
    expect(lab_page.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    start.run("import runbook_lib")
    start.run('reason="a first look"').get_by_role("link", name="00_inspect_source").click()
    notebook = lab_page.notebook("00_inspect_source")
    notebook.restart_and_run_all()
    assert notebook.wait_until_run() == []
    notebook.save()
    lab_page.command("Shut Down All Kernels")
    lab_page.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(lab_page.page.locator("#jp-bottom-panel")).to_contain_text("No Kernel")
    lab_page.page.reload()
    lab_page.go_to_tab("00_inspect_source")

    outputs = notebook.panel.locator(".jp-OutputArea")
    expect(outputs.locator(".runbook-card", has_text="planned").first).to_be_visible()
    expect(outputs.filter(has_text=re.compile("Loading widget|Error displaying widget|model not found"))).to_have_count(
        0
    )
    expect(outputs.locator(".jupyter-widgets")).to_have_count(0)
    expect(outputs.locator(".runbook-card")).to_have_count(5)
    (run_id,) = lab.run_ids()
    outputs.get_by_role("link", name=f"{run_id}/report.html").click()
    expect(lab_page.page.locator(".lm-TabBar-tab.lm-mod-current", has_text="report.html")).to_be_visible()
    report = lab_page.page.frame_locator(".jp-HTMLViewer iframe")
    expect(report.get_by_text(run_id).first).to_be_visible()
    lab_page.pictures("report-in-lab")

"""`make lab` in a browser, the short way that every `make test` goes: it opens, the tiles lead on, the form refuses."""

from __future__ import annotations

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

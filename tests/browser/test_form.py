"""The parameters form by keyboard alone: reached, filled, corrected and saved without a mouse."""

from __future__ import annotations

import pytest
import yaml
from playwright.sync_api import expect

from tests.browser.keyboard import Keyboard

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]


@pytest.fixture
def keyboard(lab_page):
    """Return somebody without a mouse who has run the start page down to the form."""
    lab_page.open()
    keyboard = Keyboard(lab_page.page)
    for _ in range(4):
        keyboard.press("Shift+Enter")
    lab_page.page.locator(".runbook-field").first.wait_for()
    keyboard.press("ArrowUp")
    keyboard.go_to("policy")
    keyboard.press("Enter")
    lab_page.page.get_by_label("outage_budget_s").wait_for()
    return keyboard


def test_the_form_is_filled_corrected_and_saved_by_keyboard(lab_page, keyboard, lab):
    """Text, list and box take the keys that they take everywhere; an error is said; the file says what was entered."""
    notebook = lab_page.notebook()
    keyboard.go_to("outage_budget_s")
    keyboard.enter("soon")
    expect(notebook.field("outage_budget_s").get_by_role("alert")).to_contain_text("valid integer")
    expect(lab_page.page.get_by_title("Save", exact=True)).to_be_disabled()
    lab_page.picture("keyboard-error")
    keyboard.press("ArrowDown")
    keyboard.go_to("require_rehearsal")
    keyboard.press("Space")
    expect(notebook.field("on_budget_exceeded").get_by_role("combobox")).to_have_value("continue")

    keyboard.go_to("outage_budget_s", "Shift+Tab")
    keyboard.enter("95")
    expect(notebook.field("outage_budget_s").get_by_role("alert")).to_have_count(0)
    keyboard.go_to("Save as")
    keyboard.enter("by-keyboard.yaml")
    expect(lab_page.page.get_by_title("Save", exact=True)).to_be_enabled()
    keyboard.press("Enter")

    expect(notebook.panel.get_by_role("status").filter(has_text="Saved")).to_contain_text("by-keyboard.yaml")
    expect(lab_page.page.get_by_label("Save as")).to_be_focused()
    lab_page.picture("keyboard-saved")
    assert lab.changes() == "?? parameters/by-keyboard.yaml\n"
    saved = lab.folder / "parameters" / "by-keyboard.yaml"
    policy = yaml.safe_load(saved.read_text("utf-8"))["migration"]["policy"]
    keys = ("outage_budget_s", "on_budget_exceeded", "require_rehearsal")
    assert [policy[key] for key in keys] == [95, "continue", True]
    saved.unlink()


def test_no_key_in_the_form_reaches_the_notebook(lab_page, keyboard):
    """X and D D, which cut and delete a cell, do nothing to the notebook while a button or a list has the focus."""
    cells = lab_page.page.locator(".jp-Notebook .jp-Cell")
    before = cells.count()
    keyboard.press("x")
    keyboard.go_to("on_budget_exceeded")
    for key in ("d", "d", "x", "Enter"):
        keyboard.press(key)

    expect(cells).to_have_count(before)
    expect(lab_page.page.get_by_label("on_budget_exceeded")).to_be_focused()

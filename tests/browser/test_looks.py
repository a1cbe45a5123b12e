"""How start page, form and launcher look: at both widths nothing is cut off, in both themes everything can be read.

The pictures in build/screenshots are for looking at.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]
SIZES = [(1280, 800), (800, 1000)]
TEXTS = ".runbook-form label, .runbook-hint, .runbook-error, .runbook-diff span, .runbook-form p, .runbook-form button"
READABLE = 4.5
"""The contrast that WCAG 2 wants at level AA."""
CONTRASTS = """(texts) => {
  const painter = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
  const layers = one => one ? [...layers(one.parentElement), getComputedStyle(one).backgroundColor] : ['white'];
  const paint = colours => {
    colours.forEach(colour => { painter.fillStyle = colour; painter.fillRect(0, 0, 1, 1); });
    const [red, green, blue] = [...painter.getImageData(0, 0, 1, 1).data]
      .map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return [...document.querySelectorAll(texts)].filter(one => one.offsetParent && one.innerText.trim() && !one.disabled)
    .map(one => {
      const [dark, light] = [paint(layers(one)), paint([...layers(one), getComputedStyle(one).color])].sort();
      return [one.innerText.slice(0, 60), Math.round(100 * (light + 0.05) / (dark + 0.05)) / 100];
    });
}"""
CUT_OFF = """() => {
  const page = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)').getBoundingClientRect();
  return [...document.querySelectorAll('.runbook-form *')]
    .filter(one => one.offsetParent && !one.closest('.runbook-diff'))
    .filter(one => one.getBoundingClientRect().right > page.right + 1).map(one => one.className);
}"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} px")
def test_start_page_form_and_launcher_can_be_read(open_page, size, theme):
    """With an error and a change shown, no text has too little contrast, and nothing of the form is cut off."""
    lab_page = open_page(*size)
    notebook = lab_page.open()
    lab_page.use_theme(theme)
    name = f"{theme.lower()}-{size[0]}"
    lab_page.picture(f"start-{name}")
    notebook.run("import runbook_lib")
    form = notebook.run("parameters_form")
    form.get_by_role("button", name="volume").click()
    expect(notebook.field("volume_id")).to_be_visible()
    lab_page.picture(f"form-{name}")
    form.get_by_role("button", name="policy").click()
    for label, text in (("outage_budget_s", "soon"), ("bake_time_s", "7")):
        notebook.field(label).get_by_role("textbox").fill(text)
        notebook.field(label).get_by_role("textbox").press("Tab")
    expect(form.locator(".runbook-added")).not_to_have_count(0)
    expect(notebook.field("outage_budget_s").get_by_role("alert")).to_be_visible()
    lab_page.picture(f"form-error-{name}")

    contrasts = lab_page.page.evaluate(CONTRASTS, TEXTS)
    assert len(contrasts) > 20
    assert [(text, contrast) for text, contrast in contrasts if contrast < READABLE] == []
    assert lab_page.page.evaluate(CUT_OFF) == []
    form.get_by_title("Save", exact=True).scroll_into_view_if_needed()
    lab_page.picture(f"form-end-{name}")
    expect(lab_page.launcher().locator(".jp-LauncherCard").last).to_be_in_viewport()
    lab_page.picture(f"launcher-{name}")
    lab_page.use_theme("Light")

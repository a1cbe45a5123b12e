"""JupyterLab as a person uses it: what is on the page, the mouse and the keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import TimeoutError as LateError
from playwright.sync_api import expect

from tests.browser.watch import Watch

SLOW_MS = 30_000
"""Much longer than anything but a step of a migration takes, on a machine that has other things to do."""

PALETTE_MS = 5_000

ERROR = '.jp-OutputArea-output:is([data-mime-type$="jupyter.error"], [data-mime-type$="jupyter.stderr"])'


class LabPage:
    """A browser's page with JupyterLab.

    Args:
        page: Playwright's page.
        lab: The running `make lab`.
        pictures: Folder for screenshots.
    """

    def __init__(self, page, lab, pictures):
        page.set_default_timeout(SLOW_MS)
        expect.set_options(timeout=SLOW_MS)
        page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?", when it is loaded again
        self.page = page
        self.lab = lab
        self.watch = Watch(page)
        self._pictures = pictures

    def open(self, path=""):
        """Open the address that `make lab` printed, or a file of the checkout, and wait for its notebook."""
        self.page.goto(self.lab.url.replace("notebooks/start_here.ipynb", path) if path else self.lab.url)
        return self.notebook()

    def reload(self, name):
        """Load the page again, as F5 does, and go to a notebook that was open; the tabs come back."""
        self.page.reload()
        self.go_to_tab(name)
        return self.notebook(name)

    def go_to_tab(self, name):
        """Click the tab of a notebook."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=name).first.click()

    def open_from_folder(self, name):
        """Open a file or folder by a double click in the file browser."""
        self.page.locator(".jp-DirListing-item", has_text=name).first.dblclick()

    def notebook(self, name=""):
        """Return the notebook in front, once its cells are there and its kernel has answered."""
        panel = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        if name:
            expect(self.page.locator(".lm-TabBar-tab.lm-mod-current", has_text=f"{name}.ipynb")).to_be_visible()
        panel.locator(".jp-CodeCell").first.wait_for()
        notebook = Notebook(self, panel)
        notebook.wait_until_idle()
        return notebook

    def command(self, label):
        """Run a command by its name from the command palette: by keyboard alone.

        A notebook that was opened a moment ago may still take the focus, which closes the palette: then once more.
        """
        palette = self.page.locator("#modal-command-palette")
        chosen = palette.locator(".lm-CommandPalette-item.lm-mod-active .lm-CommandPalette-itemLabel")
        for patience_ms in (PALETTE_MS, PALETTE_MS, SLOW_MS):
            self.page.keyboard.press("Control+Shift+c")
            try:
                palette.locator("input").wait_for(timeout=patience_ms)
                self.page.keyboard.type(label)
                expect(chosen).to_have_text(re.compile(f"^{re.escape(label)}"), timeout=patience_ms)
                break
            except (LateError, AssertionError):
                if patience_ms == SLOW_MS:
                    raise
                self.page.keyboard.press("Escape")
        self.page.keyboard.press("Enter")

    def launcher(self):
        """Open the launcher; return the section of the runbooks."""
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-addButton").first.click()
        section = self.page.locator(".jp-Launcher-section", has=self.page.locator("h2", has_text="Runbooks")).first
        section.wait_for()
        return section

    def type_in_terminal(self, line):
        """Type a line into the terminal beside the notebook; the launcher opens one where there is none."""
        terminal = self.page.locator(".jp-Terminal:not(.lm-mod-hidden)")
        if terminal.count() == 0:
            self.launcher()
            self.page.locator(".jp-LauncherCard", has_text="Terminal").click()
        terminal.locator(".xterm-helper-textarea").focus()
        self.page.keyboard.type(line)
        self.page.keyboard.press("Enter")

    def use_theme(self, name):
        """Choose `Light` or `Dark` in the menu, by mouse."""
        self.page.locator(".lm-MenuBar-item", has_text="Settings").click()
        for label in ("Theme", f"JupyterLab {name}"):
            self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{label}$")).click()
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", str(name == "Light").lower())

    def dismiss(self, title):
        """Say OK to a dialog of JupyterLab."""
        dialog = self.page.locator(".jp-Dialog", has_text=title)
        dialog.locator(".jp-mod-accept").click(timeout=240_000)
        dialog.wait_for(state="detached")

    def pictures(self, name):
        """Keep a screenshot in both themes at 1280 and 800 pixels; in the end light and 1280."""
        for theme in ("Dark", "Light"):
            self.use_theme(theme)
            for width, height in ((800, 1000), (1280, 800)):
                self.page.set_viewport_size({"width": width, "height": height})
                self.page.wait_for_timeout(300)  # it is drawn anew
                self.picture(f"{name}-{theme.lower()}-{width}")

    def picture(self, name):
        """Keep a screenshot."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._pictures / f"{name}.png")


class Notebook:
    """The notebook in front.

    Args:
        lab_page: Its page.
        panel: Where it is on the page.
    """

    def __init__(self, lab_page, panel):
        self.lab_page = lab_page
        self.page = lab_page.page
        self.panel = panel

    def cell(self, source):
        """Return the code cell that has a text in its source."""
        editor = self.page.locator(".jp-InputArea-editor", has_text=source)
        return self.panel.locator(".jp-CodeCell", has=editor).first

    def output(self, source):
        """Return the output of the code cell that has a text in its source."""
        return self.cell(source).locator(".jp-OutputArea")

    def field(self, label):
        """Return the field of the parameters form that an input with a label is in."""
        return self.panel.locator(".runbook-field", has=self.page.get_by_label(label, exact=True))

    def scroll_to(self, source):
        """Turn the wheel until a cell is in sight; JupyterLab draws no cell that is far away."""
        self.panel.locator(".jp-Notebook").hover()
        self.page.mouse.wheel(0, -100_000)
        for _ in range(60):
            if self.cell(source).count() and self.cell(source).is_visible():
                self.cell(source).scroll_into_view_if_needed()
                return
            self.page.mouse.wheel(0, 400)
            self.page.wait_for_timeout(100)
        raise AssertionError(f"no cell with {source} below")

    def run(self, source):
        """Click into a cell and press Shift+Enter, then wait until it has run."""
        cell = self.cell(source)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"))
        return self.output(source)

    def insert_below(self, source, code):
        """Insert a cell below the one that has a text in its source, by keyboard, and run it."""
        self.cell(source).locator(".cm-content").click()
        for key in ("Escape", "b", "Enter"):
            self.page.keyboard.press(key)
        self.page.keyboard.type(code)
        self.page.keyboard.press("Shift+Enter")
        expect(self.cell(code).locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]:"))
        return self.output(code)

    def delete(self, source):
        """Delete a cell by keyboard."""
        self.cell(source).locator(".cm-content").click()
        for key in ("Escape", "d", "d"):
            self.page.keyboard.press(key)
        expect(self.cell(source)).to_have_count(0)

    def restart_and_run_all(self):
        """Press the double arrow in the toolbar, and say yes: by mouse."""
        self.panel.locator('[data-command="notebook:restart-run-all"]').first.click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self._wait_until_begun()

    def run_all(self):
        """Run all cells by the command palette: by keyboard."""
        self.page.keyboard.press("Escape")
        self.lab_page.command("Run All Cells")
        self._wait_until_begun()

    def restart(self):
        """Restart the kernel by its keyboard shortcut, and say yes."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("0")
        self.page.keyboard.press("0")
        self.page.locator(".jp-Dialog .jp-mod-accept").wait_for()
        self.page.keyboard.press("Enter")
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.wait_until_idle()

    def go_on(self, name):
        """Press the button that leads to the next notebook, once all cells have run; return that one."""
        self.panel.locator(".runbook-ended").get_by_role("button", name=f"Next: {name}").click()
        notebook = self.lab_page.notebook(name)
        notebook.panel.locator(".jp-Notebook").first.click(position={"x": 2, "y": 2})  # the keyboard's focus too
        return notebook

    def wait_until_idle(self):
        """Wait until the kernel is there and waits for something to do."""
        expect(self.page.locator("#jp-bottom-panel")).to_contain_text("Runbooks | Idle")

    def _wait_until_begun(self):
        expect(self._prompts("*").first).to_be_visible()

    def wait_until_run(self, timeout_ms=240_000):
        """Wait until no cell waits any more; return what failed cells show."""
        expect(self._prompts("*")).to_have_count(0, timeout=timeout_ms)
        self.wait_until_idle()
        return self.errors()

    def never_run(self):
        """Return how many code cells have no number."""
        return self._prompts(" ").count()

    def _prompts(self, state):
        return self.panel.locator(".jp-CodeCell .jp-InputPrompt", has_text=f"[{state}]:")

    def errors(self):
        """Return what failed cells show."""
        return self.panel.locator(ERROR).all_inner_texts()

    def save(self):
        """Save by keyboard and wait until it is saved."""
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)

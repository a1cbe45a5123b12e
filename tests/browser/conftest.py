"""Fixtures of the browser tests: Debian's Chromium, `make lab` with a sandbox of its own, and a page that is watched.

A machine without Chromium skips them and says what to install. Playwright's own browsers are never downloaded.
"""

from __future__ import annotations

import os
import re
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.lab_page import LabPage
from tests.browser.lab_server import ROOT, LabServer

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
QUIET += ("--disable-component-update", "--disable-sync")
PICTURES = ROOT / "build" / "screenshots"


def find_chromium():
    """Return the browser of this machine, `RUNBOOK_CHROMIUM` first; None when there is none."""
    return os.environ.get("RUNBOOK_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


@pytest.fixture(scope="session")
def chromium():
    """Return a running Chromium; skip where none is installed."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium found; install it (Debian: apt install chromium), or name it in RUNBOOK_CHROMIUM")
    sandboxed = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's own sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET, *sandboxed])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(chromium, tmp_path_factory):
    """Return a running `make lab`, shared by the tests of a module; afterwards nothing of what git has differs."""
    server = LabServer(tmp_path_factory.mktemp("lab"))
    yield server.start()
    server.stop()


@pytest.fixture
def open_page(chromium, lab, request):
    """Return a function that opens a page of a size, 1280 by 800 pixels if nothing else is said, and watches it.

    At the end of the test the page must not have complained and git not see a change. What a failed test saw last is
    kept in build/screenshots.
    """
    opened = []

    def open_one(width=1280, height=800):
        context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        opened.append(LabPage(context.new_page(), lab, PICTURES))
        return opened[-1]

    failed_before = request.session.testsfailed
    yield open_one
    for one in opened:
        if request.session.testsfailed > failed_before:
            one.picture(re.sub(r"\W+", "-", f"failed-{request.node.name}"))
        one.page.context.close()
    assert "\n".join(complaint for one in opened for complaint in one.watch.complaints()) == ""
    assert lab.changes() == ""


@pytest.fixture
def lab_page(open_page):
    """Return a page of 1280 by 800 pixels."""
    return open_page()

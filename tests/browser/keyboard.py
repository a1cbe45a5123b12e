"""Somebody who has no mouse."""

from __future__ import annotations

import pytest

MOST_STEPS = 80
FOCUSED = """() => {
  const one = document.activeElement;
  return one.labels && one.labels.length ? one.labels[0].innerText : one.title || one.innerText;
}"""


class Keyboard:
    """Goes through a page by its keys.

    Args:
        page: Playwright's page.
    """

    def __init__(self, page):
        self._page = page
        self.press = page.keyboard.press

    def go_to(self, name, key="Tab"):
        """Press Tab until something with a label, a title or a text has the focus."""
        seen = []
        for _ in range(MOST_STEPS):
            self.press(key)
            seen.append(self._page.evaluate(FOCUSED).strip())
            if seen[-1] == name:
                return
        pytest.fail(f"no way to {name!r} by {key}; the focus went over {seen}")

    def enter(self, text):
        """Replace what is in the field and leave it."""
        self.press("Control+a")
        self._page.keyboard.type(text)
        self.press("Tab")

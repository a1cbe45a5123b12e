"""What a page complains about while somebody uses it: errors of the console, and requests that fail."""

from __future__ import annotations

import re

ALLOWED = (
    (
        r"failed: GET \S+/favicons/favicon-\S+ net::ERR_ABORTED",
        "JupyterLab changes the tab's icon as the kernel turns busy and idle, sooner than the former one was loaded",
    ),
    (
        r"failed: GET \S+/runbooks/card\S+ net::ERR_ABORTED",
        "the page asks once a second what a run does, and one that is loaded again or closed waits for no answer",
    ),
    (
        r"failed: (GET|PUT) \S+/lab/api/workspaces\S* net::ERR_ABORTED",
        "JupyterLab saves which tabs are open once a second, and a page that is loaded again waits for no answer",
    ),
    (
        "console: Comm not found for comm id",
        "a page that was loaded again hears from the card of a cell that still runs, and does not know that widget",
    ),
    (
        "exception: Canceled future for kernel_info_request",
        "JupyterLab asks a kernel who it is when the page is loaded; a busy one that panic ends never answers",
    ),
    (
        "Could not restore the debugger state: Canceled future for debug_request",
        "JupyterLab asks every kernel for its debugger's state, and one that is restarted just then answers no more",
    ),
)
"""Patterns of complaints that are nobody's fault, each with its reason."""


class Watch:
    """Collects what a page complains about.

    Args:
        page: Playwright's page.
    """

    def __init__(self, page):
        self._said = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._said.append(f"exception: {error}"))
        page.on("requestfailed", lambda request: self._said.append(f"failed: {self._line(request)} {request.failure}"))
        page.on("response", self._response)

    def _console(self, message):
        if message.type == "error":
            self._said.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _response(self, response):
        if response.status >= 400:
            self._said.append(f"{response.status}: {self._line(response.request)}")

    @staticmethod
    def _line(request):
        return f"{request.method} {request.url}"

    def complaints(self):
        """Return what was said and is not allowed."""
        return [one for one in self._said if not any(re.search(pattern, one) for pattern, _why in ALLOWED)]

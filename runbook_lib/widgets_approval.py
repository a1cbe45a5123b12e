"""The approval card: what a run waits for, as the reviewer's page shows it, and a button that is dead until it is safe.

Whoever approves types the service's name and a reason. The button ends in the function of `runbook approve`; it is dead
as soon as the run is not what was shown any more.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import HTML

from runbook_lib.errors import JournalError, RunbookError
from runbook_lib.journal import Journal
from runbook_lib.report import build_report, render_page, write_report
from runbook_lib.run_approval import who_approves
from runbook_lib.run_approve import approve, find_waiting
from runbook_lib.run_confirmation import service_name
from runbook_lib.run_folder import find_run
from runbook_lib.run_keyboard import at_a_keyboard

_LOOK_S = 1.0
# a page in a frame is light or dark as the frame is, and that shall be as JupyterLab is
_THEMES = """<style>
body[data-jp-theme-light="true"] .runbook-page { color-scheme: light; }
body[data-jp-theme-light="false"] .runbook-page { color-scheme: dark; }
</style>"""


class ApprovalCard:
    """What a run waits for, and the way to say yes to it.

    Args:
        journal: The run's journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.digest = find_waiting(journal).fields["digest"]
        self._name = service_name(journal)
        self._done = False
        write_report(journal)
        self._page = render_page(build_report(journal.events(), journal.run_id))
        wide = ipywidgets.Layout(width="100%", max_width="40rem")
        style = {"description_width": "12rem"}
        self.typed = ipywidgets.Text(description="The service's name", style=style, layout=wide)
        self.reason = ipywidgets.Text(description="Why it is right", style=style, layout=wide)
        self.profile = ipywidgets.Text(
            description="Your AWS profile", placeholder="as the parameters say", style=style, layout=wide
        )
        self.role = ipywidgets.Text(
            description="Your role", placeholder="only where you have several", style=style, layout=wide
        )
        self.button = ipywidgets.Button(description="Approve", button_style="primary", icon="check")
        self.why_not, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HTML(_framed(self._page)),
                self.typed,
                self.reason,
                self.profile,
                self.role,
                self.button,
                self.why_not,
                self.said,
            ]
        )
        self.typed.observe(lambda _change: self.refresh(), "value")
        self.reason.observe(lambda _change: self.refresh(), "value")
        self.button.on_click(lambda _button: self._approve())
        self.refresh()

    def refresh(self) -> None:
        """Let the button live only while everything is as it must be, and say what is missing."""
        missing = self._missing()
        self.button.disabled = bool(missing) or self._done
        self.why_not.value = "" if self._done or not missing else f'<p role="status">{escape(missing)}</p>'

    def follow(self) -> None:
        """Go on refreshing, once a second, in a thread of its own, until it was approved."""
        threading.Thread(target=self._follow, daemon=True, name="runbook-approval").start()

    def _follow(self) -> None:
        pause = threading.Event()
        while not self._done:
            pause.wait(_LOOK_S)
            with suppress(OSError):
                self.refresh()

    def _missing(self) -> str:
        """Return why the button is dead, "" when it is not."""
        try:
            digest = find_waiting(self._journal).fields["digest"]
        except JournalError as error:
            return str(error)
        if digest != self.digest:
            return f"The run now waits for {digest[:12]}, not for {self.digest[:12]} as shown. Show this card again."
        if self.typed.value.strip() != self._name:
            return f"Type the service's name, {self._name}, to approve."
        return "" if self.reason.value.strip() else "Say why it is right; it goes into the record."

    def _approve(self) -> None:
        self.refresh()
        if self.button.disabled:
            return
        try:
            parameters, who = who_approves(self._journal.folder, {"profile": self.profile.value.strip()})
            event, decision = approve(
                self._journal,
                parameters,
                who,
                reason=self.reason.value.strip(),
                digest=self.digest,
                role=self.role.value.strip(),
            )
        except RunbookError as error:
            self.said.value = f'<p role="alert" style="white-space: pre-wrap">{escape(str(error))}</p>'
            return
        self._done = True
        missing = f"{decision.missing} of {decision.required} are missing." if decision.missing else ""
        go_on = missing or f"Run the cell that stopped again, or `runbook resume {self._journal.run_id}`."
        given = event.fields
        until = given["expires_utc"][:16].replace("T", " ")
        text = f"Approved by {given['approver']} as {given['role']}, until {until} UTC. {go_on}"
        self.said.value = f'<p role="status">{escape(text)}</p>'
        self.refresh()

    def __repr__(self) -> str:
        """Return one line, for terminals and logs."""
        return f"run {self._journal.run_id} waits for an approval of {self.digest}"

    def _repr_mimebundle_(self, **_wanted: Any) -> Mapping[str, str]:
        """Return the widgets, and the page for whoever has only the saved notebook."""
        bundle: dict[str, str] = dict(self.box._repr_mimebundle_())
        return bundle | {"text/html": _framed(self._page), "text/plain": repr(self)}


def approval_card(run_id: str, directory: str | Path = "", *, widgets: bool | None = None) -> ApprovalCard | HTML:
    """Show what a run waits for: blast radius, plan, predicted timeline, point of no return, way back; and approve it.

    Args:
        run_id: The run.
        directory: The archive; the default is right for notebooks of this checkout, and for working copies.
        widgets: True for the card, False for the page alone; None for the card where somebody opened the notebook.

    Returns:
        The card or the page; neither waits for anybody.

    Raises:
        JournalError: when there is no such run, or it waits for nothing, or has changed since it asked.

    Changes:
        The report, which has the page; an `approval` event when the button is pressed.
    """
    card = ApprovalCard(find_run(run_id, directory))
    if not (at_a_keyboard() if widgets is None else widgets):
        return HTML(str(card._repr_mimebundle_()["text/html"]))
    card.follow()
    return card


def _framed(page: str) -> str:
    """Return a whole page inside another one; it runs no script there."""
    style = "width: 100%; height: 36rem; border: 1px solid var(--jp-border-color1, #999); background: Canvas"
    frame = f'<iframe class="runbook-page" sandbox="" title="What is to be approved" srcdoc="{escape(page)}"'
    return f'<div>{_THEMES}{frame} style="{style}"></iframe></div>'

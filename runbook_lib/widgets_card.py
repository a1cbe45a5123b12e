"""The live card of a run in JupyterLab: what it does, how long it takes, why it waits, and the buttons of the cutover.

All of it is read from the journal, by a thread of its own, so that it goes on while a cell runs. The buttons end in the
functions of the commands `runbook cut-over` and `runbook panic`. JupyterLab hands their clicks to a subshell of the
kernel, so that they are heard while a cell runs; ADR 0026.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython.display import HTML, display

from runbook_lib.errors import ApprovalError, ConfirmationError, JournalError, RunbookError
from runbook_lib.journal import Journal
from runbook_lib.report_card import Called, Card, card_of, is_cutover
from runbook_lib.report_card_html import render_card
from runbook_lib.run_control import ask_to_hold, release_hold, start_panic
from runbook_lib.run_earlier import earlier_durations
from runbook_lib.run_folder import find_run
from runbook_lib.run_keyboard import at_a_keyboard
from runbook_lib.steps_result import StepResult
from runbook_lib.widgets_confirmation import ConfirmationField

if TYPE_CHECKING:
    from runbook_lib.run import Run
    from runbook_lib.steps import Step

_LOOK_S = 0.5
_ARMED_LOOKS = 20
_HOW = "the card in JupyterLab"
_SAY_YES = (
    "<p>Somebody else may say yes in JupyterLab, too: <code>runbook.approval_card(&quot;{run_id}&quot;)</code> in a "
    "cell. Then run this cell again, and those below it.</p>"
)
_PANIC, _ARMED = "Panic: back to compose", "Press again: end the run, back to compose"


class RunCard:
    """The card of a run, as widgets.

    Args:
        journal: The run's journal.
        called: The step whose cell runs; None for a card of the whole run.
    """

    def __init__(self, journal: Journal, called: Called | None = None) -> None:
        self._journal = journal
        self._called = called
        self._took: Mapping[str, Sequence[float]] = {}
        self._armed = 0
        self._panic: Any = None
        self._ended = threading.Event()
        self.page, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.hold = ipywidgets.Button(description="Pause before the outage", icon="pause")
        self.release = ipywidgets.Button(description="Cut over now", icon="play", button_style="primary")
        self.panic = ipywidgets.Button(description=_PANIC, icon="undo", button_style="danger")
        self.actions = ipywidgets.HBox([self.hold, self.release, self.panic])
        self.box = ipywidgets.VBox([self.page, self.actions, self.said]).add_class("runbook-card")
        for button, act in ((self.hold, self._hold), (self.release, self._release), (self.panic, self._give_up)):
            button.layout.width = "auto"
            button.on_click(self._heard(act))
            _hear_while_a_cell_runs(button)
        self.refresh()

    def card(self) -> Card:
        """Return what the card says now."""
        return card_of(self._journal.events(), self._journal.now(), called=self._called, took=self._took)

    def refresh(self) -> None:
        """Bring the widgets up to what the journal says."""
        card = self.card()
        self.page.value = render_card(card)
        self.actions.layout.display = "flex" if is_cutover(card) and not self._ended.is_set() else "none"
        self.hold.disabled, self.release.disabled = not card.may_hold, not card.holds
        if self._armed:
            self._armed -= 1
        self.panic.description = _ARMED if self._armed else _PANIC
        if self._panic is not None and self._panic.exit_code not in {None, 0}:
            self._say(self._panic.output, bad=True)

    def follow(self) -> None:
        """Go on refreshing, twice a second, in a thread of its own, until the card is ended."""
        threading.Thread(target=self._follow, daemon=True, name="runbook-card").start()

    def end(self) -> None:
        """Refresh no more, and take the buttons away."""
        self._ended.set()

    def close(self) -> None:
        """Let go of the widgets: ipywidgets keeps each that is open, and with it the card and the journal as read."""
        self.end()
        for widget in (self.box, self.actions, self.page, self.said, self.hold, self.release, self.panic):
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None:
                    part.close()

    def _follow(self) -> None:
        with suppress(OSError):
            self._took = earlier_durations(self._journal.folder)
        while not self._ended.wait(_LOOK_S):
            with suppress(JournalError):  # a line that is being written is read at the next look
                self.refresh()

    def _heard(self, act: Callable[[], None]) -> Callable[[Any], None]:
        """Return what a click does: the act; what it refuses is said below the buttons."""

        def clicked(_button: Any) -> None:
            try:
                act()
            except RunbookError as error:
                self._say(str(error), bad=True)
            self.refresh()

        return clicked

    def _hold(self) -> None:
        ask_to_hold(self._journal, how=_HOW)
        self._say("The cutover will hold before the outage, until it is released.")

    def _release(self) -> None:
        self._say(release_hold(self._journal, how=_HOW))

    def _give_up(self) -> None:
        if not self._armed:
            self._armed = _ARMED_LOOKS
            return
        self._armed = 0
        if self._panic is None or self._panic.exit_code is not None:
            self._panic = start_panic(self._journal.folder, reason=f"panic, by {_HOW}")
        run_id = self._journal.run_id
        self._say(
            f"Going back to compose. That ends the kernel that performs the run; `runbook status {run_id}`, or "
            f"`runbook.watch_run({run_id!r})` in another notebook, shows how far it is."
        )

    def _say(self, text: str, *, bad: bool = False) -> None:
        role = "alert" if bad else "status"
        self.said.value = f'<p role="{role}" style="line-height: 1.4; white-space: pre-wrap">{escape(text)}</p>'

    def __repr__(self) -> str:
        """Return plain lines, for terminals and logs."""
        card = self.card()
        step = f"; {card.step_id}: {card.status}" if card.step_id else ""
        return f"run {card.run_id}: {card.run_status}{step}"

    def static(self, *, with_error: bool = True) -> HTML:
        """Return what the card says now without widgets, as it is kept in a saved notebook."""
        card = self.card()
        return HTML(render_card(card if with_error else replace(card, error=""), kept=True))

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, str]:
        """Return the widgets, and what they say now for whoever has only the saved notebook."""
        bundle: dict[str, str] = dict(self.box._repr_mimebundle_())
        return bundle | {"text/html": str(self.static().data), "text/plain": repr(self)}


def _hear_while_a_cell_runs(button: ipywidgets.Button) -> None:
    """Let a button's clicks be handled in the subshell that JupyterLab names in them.

    ipykernel 7 hands them to the one that last sent something about the button, which is the main one: it is busy for
    as long as the cell runs, and a panic button that waits for that is none.
    """
    if hasattr(button.comm, "_reply_subshell_for"):
        button.comm._reply_subshell_for = lambda _data, named: named  # noqa: SLF001 - nothing public decides it


def watch_run(run_id: str, directory: str | Path = "", *, widgets: bool | None = None) -> RunCard | HTML:
    """Show the live card of a run that is performed elsewhere: by another kernel, a terminal, a schedule.

    Args:
        run_id: The run.
        directory: The archive; the default is right for notebooks of this checkout, and for working copies.
        widgets: True for the live card, False for a table of now; None for the card where somebody opened the notebook.

    Returns:
        The card; it goes on as long as this kernel lives, and waits for nobody.

    Raises:
        JournalError: when there is no such run.
    """
    card = RunCard(find_run(run_id, directory))
    if not (at_a_keyboard() if widgets is None else widgets):
        return card.static()
    card.follow()
    return card


def with_card(step: Step, verb: Callable[[Run], StepResult]) -> Callable[[Run], StepResult]:
    """Return a verb that shows a live card while it performs its step.

    Args:
        step: The step.
        verb: What performs it.

    Returns:
        The same function of the run, with the card above its result; what stays in the notebook is no widget.
    """

    def perform_shown(run: Run) -> StepResult:
        try:
            with _shown(step, run):
                return verb(run)
        except ConfirmationError:
            display(ConfirmationField(Journal(run.journal.folder, run.journal.now), step.notebook))
            raise
        except ApprovalError:
            display(HTML(_SAY_YES.format(run_id=escape(run.journal.run_id))))
            raise

    perform_shown.__name__ = perform_shown.__qualname__ = verb.__name__
    perform_shown.__doc__ = verb.__doc__
    return perform_shown


@contextmanager
def _shown(step: Step, run: Run) -> Iterator[None]:
    """Show the card of a step while it is performed, and leave what it came to."""
    journal = Journal(run.journal.folder, run.journal.now)
    newest = journal.events()[-1].seq
    card = RunCard(journal, Called(step.step_id, step.notebook, step.title, newest, journal.now()))
    handle = display(card, display_id=True)
    card.follow()
    failed = True
    try:
        yield
        failed = False
    finally:
        card.end()
        handle.update(card.static(with_error=not failed))  # the cell's own error stands right below
        card.close()

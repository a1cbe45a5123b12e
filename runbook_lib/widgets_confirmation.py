"""The field for the service's name, shown below the card of a step that cannot be taken back."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets

from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.run_confirmation import note_confirmation, service_name

_HOW = "typed in JupyterLab"


class ConfirmationField:
    """A field and a button that is dead until the service's name stands in the field.

    Args:
        journal: The run's journal.
        notebook: The notebook that waits.
    """

    def __init__(self, journal: Journal, notebook: str) -> None:
        self._journal, self._notebook = journal, notebook
        self._name = service_name(journal)
        style = {"description_width": "12rem"}
        wide = ipywidgets.Layout(width="100%", max_width="40rem")
        self.typed = ipywidgets.Text(description="The service's name", style=style, layout=wide)
        self.button = ipywidgets.Button(description="Confirm", button_style="danger", icon="check", disabled=True)
        self.said = ipywidgets.HTML()
        self.box = ipywidgets.VBox([self.typed, self.button, self.said]).add_class("runbook-card")
        self.typed.observe(lambda _change: self._refresh(), "value")
        self.button.on_click(lambda _button: self._confirm())

    def _refresh(self) -> None:
        self.button.disabled = self.typed.value.strip() != self._name

    def _confirm(self) -> None:
        try:
            note_confirmation(self._journal, self._notebook, self.typed.value, how=_HOW)
        except (RunbookError, OSError) as error:
            self._say(str(error), role="alert")
            return
        self.button.disabled = self.typed.disabled = True
        self._say("Confirmed, for one hour. Run this cell again, and those below it.", role="status")

    def _say(self, text: str, *, role: str) -> None:
        self.said.value = f'<p role="{role}" style="line-height: 1.4; white-space: pre-wrap">{escape(text)}</p>'

    def __repr__(self) -> str:
        """Return one line, for terminals and logs."""
        return f"{self._notebook} waits for the service's name"

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, str]:
        """Return the widgets, and what was asked for whoever has only the saved notebook."""
        bundle: dict[str, str] = dict(self.box._repr_mimebundle_())
        return bundle | {"text/html": f"<p>{escape(repr(self))}.</p>", "text/plain": repr(self)}

"""One field of the parameters form as widgets: the input with its label, what it means, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets

from runbook_lib.form import Form
from runbook_lib.form_choices import Choice
from runbook_lib.form_fields import Field
from runbook_lib.form_table import hint

_OTHER = ""


def _with_code(text: str) -> str:
    """Return plain text as HTML, what stands between backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


class Row:
    """The widgets of one field.

    Args:
        field: The field.
        form: What is edited.
        on_change: Called when something was entered.
    """

    def __init__(self, field: Field, form: Form, on_change: Callable[[], None]) -> None:
        self.field = field
        self._form = form
        self._on_change = on_change
        self._refreshing = False
        self.typed: Any = self._make_typed()
        self.chosen: Any = self._make_chosen()
        self.error = ipywidgets.HTML()
        about = ipywidgets.HTML(f'<div class="runbook-hint">{_with_code(hint(field))}</div>')
        inputs = [widget for widget in (self.chosen, self.typed) if widget is not None]
        self.box = ipywidgets.VBox([*inputs, about, self.error]).add_class("runbook-field")
        for widget in inputs:
            widget.observe(self._enter, "value")

    def _make_typed(self) -> Any:
        label = {"description": self.field.label, "tooltip": self.field.meaning}
        match self.field.kind:
            case "switch":
                return ipywidgets.Checkbox(indent=False, **label)
            case "choice":
                none = [] if self.field.required or self.field.default else [("", "")]
                return ipywidgets.Dropdown(options=[*none, *((one, one) for one in self.field.options)], **label)
            case "list" | "yaml":
                return ipywidgets.Textarea(rows=2, continuous_update=False, **label)
        return ipywidgets.Text(continuous_update=False, **label)

    def _make_chosen(self) -> Any:
        """Return the list to choose from, where AWS has one."""
        if not self._form.options(self.field):
            return None
        label = {"description": self.field.label, "tooltip": self.field.meaning}
        self.typed.description = f"{self.field.label}, typed"
        if self.field.kind == "list":
            return ipywidgets.SelectMultiple(options=self._options(), rows=4, **label)
        return ipywidgets.Dropdown(options=self._options(), **label)

    def _options(self) -> list[tuple[str, str]]:
        """Return what can be chosen; what the form has now is always among it."""
        found = self._form.options(self.field)
        known = {one.value for one in found}
        shown = self._form.shown(self.field)
        now = shown if isinstance(shown, list) else [str(shown)] if shown else []
        extra = [Choice(one, f"{one} · not found, or in another Availability Zone") for one in now if one not in known]
        other = [] if self.field.kind == "list" else [Choice(_OTHER, "another id, typed below")]
        return [(one.label, one.value) for one in (*found, *extra, *other)]

    def _enter(self, change: Any) -> None:
        if self._refreshing:
            return
        value = change["new"]
        if change["owner"] is self.chosen and value == _OTHER:
            self.typed.layout.display = ""
            return
        self._form.enter(self.field, list(value) if isinstance(value, tuple) else value)
        self._on_change()

    def refresh(self, errors: Sequence[str]) -> None:
        """Show what the form says now.

        Args:
            errors: What is wrong with this field.
        """
        self._refreshing = True
        try:
            self._refresh_values()
        finally:
            self._refreshing = False
        self.box.layout.display = "" if self._form.is_asked(self.field) else "none"
        lines = "<br>".join(escape(text) for text in errors)
        self.error.value = f'<div class="runbook-error" role="alert">{lines}</div>' if errors else ""

    def _refresh_values(self) -> None:
        text = self._form.as_text(self.field)
        if self.field.kind == "switch":
            self.typed.value = self._form.shown(self.field) is True
        elif self.field.kind != "choice":
            self.typed.value = text
            if self.field.kind in ("list", "yaml"):
                self.typed.rows = max(2, min(8, len(text.splitlines())))
        else:
            self._refresh_choice(text)
        if self.chosen is not None:
            self._refresh_chosen()

    def _refresh_choice(self, text: str) -> None:
        """Show a choice, also a value of the file that is none of the options: the error says so."""
        values = [value for _label, value in self.typed.options]
        if text not in values:
            self.typed.options = [*self.typed.options, (text, text)]
        self.typed.value = text

    def _refresh_chosen(self) -> None:
        options = self._options()
        if list(self.chosen.options) != options:
            self.chosen.options = options
        shown = self._form.shown(self.field)
        if self.field.kind == "list":
            self.chosen.value = tuple(dict.fromkeys(str(one) for one in shown)) if isinstance(shown, list) else ()
        else:
            self.chosen.value = str(shown) if shown else _OTHER
        self.typed.layout.display = "none" if shown and self.field.kind != "list" else ""

"""The parameters form for a person in JupyterLab; the only home of ipywidgets.

Shows `form.Form` and hands it what is entered; it decides nothing. Where nobody is at the keyboard it is a table.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import ipywidgets

from runbook_lib import parameters
from runbook_lib.errors import ParameterError
from runbook_lib.form import Form, parameters_of
from runbook_lib.form_choices import Choices
from runbook_lib.form_fields import Keys, fields
from runbook_lib.form_table import FormTable
from runbook_lib.parameters_yaml import read_yaml
from runbook_lib.run_choices import account_inventory
from runbook_lib.run_keyboard import at_a_keyboard
from runbook_lib.widgets_field import Row
from runbook_lib.widgets_style import STYLE

_SECTIONS = tuple(dict.fromkeys(field.section for field in fields()))


def parameters_form(
    parameters_file: str = "../parameters/sandbox.yaml", *, widgets: bool | None = None
) -> ParametersForm | FormTable:
    """Show a parameters file as a form: every key with its meaning, ids to choose from, errors where they are.

    Args:
        parameters_file: YAML file; a relative path counts from the notebook.
        widgets: True for the form, False for a table; None for the form where somebody opened the notebook in
            JupyterLab, and for the table in a run without anybody at the keyboard.

    Returns:
        The form or the table; neither waits for anybody.

    Raises:
        ParameterError: when the file cannot be read, or is no YAML.

    Changes:
        Nothing until Save is pressed; then the file, and only when nothing is wrong with it.
    """
    file = parameters.find(Path(parameters_file))
    if widgets is None:
        widgets = at_a_keyboard()
    form = Form(file)
    if not widgets:
        return FormTable(form)
    return ParametersForm(Form(file, _choices(form)))


def _choices(form: Form) -> Choices:
    """Ask the account of a form what it has to choose from."""
    section = parameters_of(read_yaml(form.text, "").data, form.file).get("aws")
    found, why_not = account_inventory(section if isinstance(section, dict) else {}, form.file.parent)
    return Choices(found, why_not)


class ParametersForm:
    """The form as widgets.

    Args:
        form: What is edited.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.rows: dict[Keys, Row] = {}
        self.section = ipywidgets.ToggleButtons(
            options=[(name or "name", name) for name in _SECTIONS], value=_SECTIONS[0], tooltips=_SECTIONS
        )
        self.body = ipywidgets.VBox()
        self.problems, self.diff, self.said = (ipywidgets.HTML() for _ in range(3))
        self.name = ipywidgets.Text(form.file.name, description="Save as", continuous_update=False)
        self.save = ipywidgets.Button(description="Save", button_style="primary", icon="save")
        self.reset = ipywidgets.Button(description="Discard changes", icon="undo")
        self.box = ipywidgets.VBox(
            [
                ipywidgets.HTML(STYLE),
                ipywidgets.HTML(self._head()),
                self.section,
                self.body,
                self.problems,
                self.diff,
                ipywidgets.HBox([self.name, self.save, self.reset]).add_class("runbook-actions"),
                self.said,
            ]
        ).add_class("runbook-form")
        self.section.observe(lambda _change: self._show_section(), "value")
        self.name.observe(lambda _change: self._refresh(), "value")
        self.save.on_click(lambda _button: self._save())
        self.reset.on_click(lambda _button: self._discard())
        self._show_section()

    def _head(self) -> str:
        choices = self.form.choices
        asked = "Ids are chosen from what the account has." if choices.found else ""
        if choices.why_not:
            asked = f"AWS could not be asked, so ids are typed: {choices.why_not}"
        return f"<p><b>{escape(str(self.form.file))}</b><br>{escape(asked)}</p>"

    def _show_section(self) -> None:
        """Show the fields of the chosen section; they are made when first shown."""
        for field in fields():
            if field.section == self.section.value and field.keys not in self.rows:
                self.rows[field.keys] = Row(field, self.form, self._refresh)
        shown = [row for row in self.rows.values() if row.field.section == self.section.value]
        self.body.children = [row.box for row in shown]
        self._refresh()

    def _refresh(self) -> None:
        """Bring everything up to what the form says now."""
        errors = self.form.errors()
        for keys, row in self.rows.items():
            row.refresh(errors.get(keys, []))
        self.said.value = ""
        self.problems.value = _problems(errors)
        self.diff.value = _diff(self.form)
        renamed = self.name.value != self.form.file.name
        self.save.disabled = bool(errors) or not (self.form.diff() or renamed)
        self.reset.disabled = not self.form.diff()

    def _save(self) -> None:
        try:
            file = self.form.save(self.name.value)
        except ParameterError as error:
            self.said.value = f'<p class="runbook-error" role="alert">{escape(str(error))}</p>'
            return
        self._leave_button()
        self.said.value = f'<p role="status">Saved {escape(str(file))}</p>'

    def _discard(self) -> None:
        self.form.discard()
        self._leave_button()

    def _leave_button(self) -> None:
        """Refresh, and move the focus off a button that this disables: else the keyboard is nowhere."""
        self.name.focus()
        self._refresh()

    def _repr_mimebundle_(self, **_wanted: Any) -> dict[str, str]:
        """Return the widgets, and the table for whoever has only the saved notebook."""
        table = FormTable(self.form)
        bundle: dict[str, str] = dict(self.box._repr_mimebundle_())
        return bundle | {"text/html": table._repr_html_(), "text/plain": repr(table)}


def _problems(errors: dict[Keys, list[str]]) -> str:
    """Return every problem with its key, so that none hides in another section."""
    count = sum(len(texts) for texts in errors.values())
    if not count:
        return '<p role="status">Nothing is wrong with these parameters.</p>'
    lines = "".join(f"<li>{escape(text)}</li>" for texts in errors.values() for text in texts)
    what = "1 problem" if count == 1 else f"{count} problems"
    return f'<div class="runbook-error" role="alert"><b>{what}; cannot be saved</b><ul>{lines}</ul></div>'


def _diff(form: Form) -> str:
    text = form.diff()
    if not text:
        return "<p>No changes.</p>"
    lost = "" if form.comments_kept else "<p><b>The comments of this file will be lost.</b></p>"
    lines = "".join(f'<span class="{_line_class(line)}">{escape(line)}</span>\n' for line in text.splitlines())
    return f'<p><b>Changes</b></p>{lost}<pre class="runbook-diff">{lines}</pre>'


def _line_class(line: str) -> str:
    return {"+": "runbook-added", "-": "runbook-removed"}.get(line[:1], "") if line[:3] not in ("+++", "---") else ""

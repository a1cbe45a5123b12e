"""The parameters form as a table that cannot be edited: for saved notebooks and runs that nobody watches. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from runbook_lib.form import Form
from runbook_lib.form_fields import Field, fields


class FormTable:
    """What a parameters file says and what is wrong with it, as text and as HTML.

    Args:
        form: The form.
    """

    def __init__(self, form: Form) -> None:
        self._form = form

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield key, value with unit, and meaning of everything that the file says."""
        for field in fields():
            if self._form.value(field) is not None and self._form.is_asked(field):
                yield ".".join(field.keys), " ".join((self._form.as_text(field), field.unit)).strip(), field.meaning

    def verdict(self) -> str:
        """Return in one line whether the file is right."""
        count = len(self._form.problems())
        what = {0: "nothing is wrong with it", 1: "1 problem"}.get(count, f"{count} problems")
        return f"{self._form.file}: {what}"

    def __repr__(self) -> str:
        """Return plain lines, for terminals and logs."""
        rows = [f"  {key:<40} {value}" for key, value, _ in self.rows()]
        return "\n".join([self.verdict(), *(f"  - {text}" for text in self._form.problems()), *rows])

    def _repr_html_(self) -> str:
        """Return the same for Jupyter."""
        problems = "".join(f"<li>{escape(text)}</li>" for text in self._form.problems())
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left"><code>{escape(key)}</code></th>'
            f'<td style="text-align:left;white-space:pre-wrap">{escape(value)}</td>'
            f'<td style="text-align:left">{escape(meaning)}</td></tr>'
            for key, value, meaning in self.rows()
        )
        head = '<tr><th scope="col">key</th><th scope="col">value</th><th scope="col">meaning</th></tr>'
        return f"<p>{escape(self.verdict())}</p><ul>{problems}</ul><table>{head}{cells}</table>"


def hint(field: Field) -> str:
    """Return what a person should know about a field: meaning, unit, limits, default.

    Args:
        field: The field.

    Returns:
        One line of plain text.
    """
    default = "" if field.default in (None, "", [], {}) or field.kind == "switch" else f"default {field.default}"
    said = ", ".join(part for part in (field.unit, field.limits, default) if part)
    needed = "Required. " if field.required else ""
    shape = {"list": " One a line.", "yaml": " One `NAME: value` a line."}.get(field.kind, "")
    return f"{needed}{field.meaning}{shape}" + (f" ({said})" if said else "")

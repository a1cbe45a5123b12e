"""The parameters form without its widgets: fields, values, errors, the difference from the file, saving.

Reads one parameters file and writes it when asked to. The text of the file is the only state: a field is set by
changing its value in the text, and what is checked is the text that would be saved, by the same function as everywhere.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runbook_lib import parameters
from runbook_lib.errors import ParameterError
from runbook_lib.form_choices import Choice, Choices
from runbook_lib.form_fields import Field, Keys, fields
from runbook_lib.parameters_edit import with_value
from runbook_lib.parameters_yaml import read_yaml, write_yaml

_APPROVALS = ("policy", "approvals")
"""The section for which a number is short."""
FILE_NAME = re.compile(r"[\w][\w.-]*\.ya?ml")


class Form:
    """The parameters of one file, being edited.

    Args:
        file: The parameters file.
        choices: The ids that AWS has, to choose from.

    Raises:
        ParameterError: when the file cannot be read, or is no YAML mapping.
    """

    def __init__(self, file: Path, choices: Choices | None = None) -> None:
        self.file = file.resolve()
        self.choices = choices or Choices()
        self.comments_kept = True
        self.saved = self.text = _read(self.file)
        document = read_yaml(self.text, str(self.file))
        if document.problems:
            raise ParameterError(document.problems)
        parameters_of(document.data, self.file)
        self._parsed = (self.text, document.data)

    def value(self, field: Field) -> Any:
        """Return what the file would say.

        Args:
            field: The field.

        Returns:
            Its value; None when the file has none.
        """
        short = self._at(_APPROVALS)
        if field.keys == (*_APPROVALS, "required") and isinstance(short, int):
            return short
        return self._at(field.keys)

    def _at(self, keys: Keys) -> Any:
        if self._parsed[0] != self.text:
            self._parsed = (self.text, read_yaml(self.text, "").data)
        found: Any = self._parsed[1]
        for key in (parameters.KEY, *keys):
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def shown(self, field: Field) -> Any:
        """Return the value that holds: the file's, else the default."""
        found = self.value(field)
        return field.default if found is None else found

    def as_text(self, field: Field) -> str:
        """Return the value that holds as it is typed into a field."""
        found = self.shown(field)
        if found is None:
            return ""
        if field.kind == "list" and isinstance(found, list):
            return "\n".join(str(item) for item in found)
        if field.kind == "yaml" and isinstance(found, dict):
            return write_yaml(found).strip() if found else ""
        return str(found)

    def is_asked(self, field: Field) -> bool:
        """Return whether the field counts with what is chosen elsewhere."""
        if field.when is None:
            return True
        keys, wanted = field.when
        return bool(self.shown(_field(keys)) == wanted)

    def enter(self, field: Field, entered: Any) -> None:
        """Take over what was typed or chosen.

        Args:
            field: The field.
            entered: Text, True or False, or a list of texts; "" and an empty list take the key out.

        Changes:
            The text of the form. A choice takes out what belongs to the other choices.
        """
        if isinstance(entered, str) and entered == self.as_text(field):
            return
        value = _typed(field, entered)
        if value == (self.shown(field) if field.kind != "list" else self.shown(field) or None):
            return
        self._set(field.keys, value)
        for other in fields():
            if other.when and other.when[0] == field.keys and other.when[1] != value and self.value(other) is not None:
                self._set(other.keys, None)

    def _set(self, keys: Keys, value: Any) -> None:
        count = self._at(_APPROVALS)
        if keys[: len(_APPROVALS)] == _APPROVALS and isinstance(count, int):
            self.text = with_value(self.text, (parameters.KEY, *_APPROVALS), {"required": count}).text
        edited = with_value(self.text, (parameters.KEY, *keys), value)
        self.text = edited.text
        self.comments_kept = self.comments_kept and edited.comments_kept

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the text, in the words of the command line."""
        try:
            parameters.check_text(self.text, self.file)
        except ParameterError as error:
            return error.problems
        return ()

    def errors(self) -> dict[Keys, list[str]]:
        """Return what is wrong by the field it is about; () holds what is about none.

        Returns:
            The texts by the keys of the fields.
        """
        found: dict[Keys, list[str]] = {}
        for problem in self.problems():
            found.setdefault(self._field_of(getattr(problem, "path", ())), []).append(problem)
        return found

    def _field_of(self, path: tuple[str | int, ...]) -> Keys:
        """Return the keys of the field that a problem is about: its own, or the first one of its section."""
        below = path[1:]
        for field in sorted(fields(), key=lambda one: -len(one.keys)):
            if field.keys == below[: len(field.keys)]:
                return field.keys
        asked = (one.keys for one in fields() if self.is_asked(one))
        return next((keys for keys in asked if below and keys[: len(below)] == below), ())

    def options(self, field: Field) -> list[Choice]:
        """Return the ids that AWS has for a field, the likely ones first.

        Args:
            field: A field with a source.

        Returns:
            The choices; none when AWS could not be asked.
        """
        is_balancer = "load_balancer" in field.keys  # which needs two Availability Zones
        return self.choices.of(
            field.source,
            instance_id=self._text(("source", "instance_id")),
            volume_id="" if is_balancer else self._text(("volume", "volume_id")),
            vpc_id=self._text(("target", "vpc_id")),
        )

    def _text(self, keys: Keys) -> str:
        return str(self.shown(_field(keys)) or "")

    def diff(self) -> str:
        """Return how the text differs from the file, as `diff -u` shows it; "" when it does not."""
        lines = difflib.unified_diff(
            self.saved.splitlines(),
            self.text.splitlines(),
            self.file.name,
            f"{self.file.name} (form)",
            lineterm="",
            n=1,
        )
        return "\n".join(lines)

    def discard(self) -> None:
        """Go back to what the file says.

        Changes:
            The text of the form.
        """
        self.text, self.comments_kept = self.saved, True

    def save(self, name: str = "") -> Path:
        """Write the file, when nothing is wrong with it.

        Args:
            name: Another file name in the same folder; "" for the file itself.

        Returns:
            The file.

        Raises:
            ParameterError: when the text breaks a rule, or somebody changed the file meanwhile; nothing was written.

        Changes:
            The file.
        """
        if name and not FILE_NAME.fullmatch(name):
            raise ParameterError([f"{name!r}: expected a file name that ends in .yaml, without a folder"])
        file = self.file.with_name(name or self.file.name)
        expected = self.saved if file == self.file else None
        if file.exists() and expected != _read(file):
            fix = "open the form again" if file == self.file else "choose another name"
            said = "was changed by somebody else since it was read" if file == self.file else "exists already"
            raise ParameterError([f"{file}: {said}; nothing was written. Fix: {fix}"])
        parameters.check_text(self.text, file)
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(self.text, encoding="utf-8")
        beside.replace(file)
        self.file, self.saved = file, self.text
        return file


def parameters_of(data: Any, file: Path) -> dict[str, Any]:
    """Return the mapping below `migration`.

    Args:
        data: What a file says.
        file: Its path, for the message.

    Returns:
        The mapping.

    Raises:
        ParameterError: when there is none.
    """
    found = data.get(parameters.KEY) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        rule = f"one top-level key, {parameters.KEY}, that holds a mapping"
        raise ParameterError([f"{file}: rule: {rule}. Fix: begin with a copy of parameters/example.yaml"])
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fix = "name an existing YAML file"
        raise ParameterError([f"{file}: cannot be read: {error}. Fix: {fix}"]) from error


def _field(keys: Keys) -> Field:
    return next(field for field in fields() if field.keys == keys)


def _typed(field: Field, entered: Any) -> Any:
    """Return what was entered as the value it is; text that is no such value stays text, so that the rule says so."""
    if field.kind == "switch":
        return bool(entered)
    if field.kind == "list":
        lines: Iterable[str] = entered.splitlines() if isinstance(entered, str) else entered
        return [line.strip() for line in lines if line.strip()] or None
    text = str(entered).strip()
    if not text:
        return None
    if field.kind == "number" and re.fullmatch(r"-?[0-9]{1,12}", text):
        return int(text)
    if field.kind == "yaml":
        document = read_yaml(text, field.label)
        return text if document.problems or not isinstance(document.data, dict) else document.data
    return text

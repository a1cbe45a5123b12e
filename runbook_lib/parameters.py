"""Load, validate and write the parameters of a migration: one YAML file, one top-level key `migration`.

Reads the parameters file; contacts nothing, writes nothing. Every problem is reported at once, with file, key, value,
rule and fix. Values are never converted: an id that YAML or Papermill turned into another value is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from runbook_lib.errors import ParameterError
from runbook_lib.parameters_keys import nearest
from runbook_lib.parameters_model import Parameters, ParametersFile
from runbook_lib.parameters_problem import Problem, of_rule
from runbook_lib.parameters_rules import broken_rules, secret_in, secrets_in
from runbook_lib.parameters_yaml import Document, dotted, read_yaml, write_yaml

__all__ = ["Parameters", "check_text", "digest", "dump", "find", "load", "read_yaml", "schema", "secret_in"]

KEY = "migration"
_EXAMPLE = "parameters/example.yaml"
_PATHS = (("aws", "credentials_file"), ("terraform", "backend", "path"), ("archive", "directory"))


def load(parameters_file: str | Path, migration: Mapping[str, Any] | None = None) -> Parameters:
    """Return the validated parameters.

    Args:
        parameters_file: YAML file, read when `migration` is empty. Relative paths among the parameters count from
            its folder in either case.
        migration: The mapping that Papermill injected; wins over the file when it is not empty.

    Returns:
        The parameters, their file paths absolute.

    Raises:
        ParameterError: when anything is wrong; carries every problem.
    """
    file = find(Path(parameters_file))
    if migration:
        document, name = Document({KEY: _plain(migration)}), "injected parameters"
    else:
        document, name = _read(file), str(file)
    if document.problems:
        raise ParameterError(document.problems)
    if not file.parent.is_dir():
        fix = "give parameters_file too, which may be empty, so that relative paths have a folder"
        raise ParameterError([f"parameters_file: {file.parent} is no folder. Fix: {fix}"])
    return _validate(document, name, file.parent)


def check_text(text: str, file: Path) -> Parameters:
    """Return the parameters that a file with this text would give; as `load`, before anything is written.

    Args:
        text: The text of a parameters file.
        file: Absolute path of the file it is for.

    Returns:
        The parameters.

    Raises:
        ParameterError: when anything is wrong; each of its problems is a `Problem` where it is about a key.
    """
    document = read_yaml(text, str(file))
    if document.problems:
        raise ParameterError(document.problems)
    return _validate(document, str(file), file.parent)


def dump(parameters: Parameters) -> str:
    """Return parameters as the text of a parameters file.

    Args:
        parameters: The parameters.

    Returns:
        YAML with every key that has a value; `load` of it gives equal parameters, wherever the file lies.
    """
    return write_yaml({KEY: parameters.model_dump(mode="json", exclude_none=True)})


def digest(parameters: Parameters) -> str:
    """Return what identifies these parameters.

    Args:
        parameters: The parameters.

    Returns:
        SHA-256 in hex of the text that `dump` returns.
    """
    return hashlib.sha256(dump(parameters).encode()).hexdigest()


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a parameters file, as committed in parameters/schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ParametersFile.model_json_schema()}


def find(file: Path) -> Path:
    """Return where the file is: as given, or as a notebook in `notebooks/` would find it.

    Papermill runs kernels in the caller's folder, where the notebooks' `../parameters/...` leads nowhere.

    Args:
        file: A parameters file.

    Returns:
        Its absolute path; the file need not exist.
    """
    seen_from_notebooks = Path("notebooks") / file
    return (seen_from_notebooks if not file.exists() and seen_from_notebooks.exists() else file).resolve()


def _read(file: Path) -> Document:
    try:
        return read_yaml(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        fix = "name an existing YAML file in parameters_file, or inject `migration`"
        raise ParameterError([f"{file}: cannot be read: {error}. Fix: {fix}"]) from error


def _plain(value: Any) -> Any:
    """Return nested mappings and lists as plain dicts and lists, however they were injected."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _validate(document: Document, name: str, base: Path) -> Parameters:
    """Return the parameters, or raise with every problem of form, every broken rule and every literal secret."""
    data = document.data if isinstance(document.data, dict) else {}
    if not isinstance(data.get(KEY), dict):
        raise ParameterError([f"{name}: rule: one top-level key, {KEY}, that holds a mapping. Fix: see {_EXAMPLE}"])
    problems: list[str] = []
    found: Parameters | None = None
    migration = _absolute(data[KEY], base)
    try:
        found = ParametersFile.model_validate({**data, KEY: migration}).migration
    except ValidationError as error:
        problems = [_explain(dict(item), document, name) for item in error.errors() if not _follows(item, error)]
    sections = dict(found) if found else _valid_sections(migration)
    problems += [of_rule(name, problem) for problem in broken_rules(sections)]
    problems += _literal_secrets(data, document, name)
    if problems or found is None:
        raise ParameterError(problems)
    return found


def _valid_sections(migration: dict[str, Any]) -> dict[str, Any]:
    """Return the sections that are valid by themselves, so that their rules are checked too."""
    sections: dict[str, Any] = {}
    for key, field in Parameters.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found = _without_invalid(section, migration.get(key))
            if found is not None:
                sections[key] = found
    return sections


def _without_invalid(section: type[BaseModel], data: Any) -> BaseModel | None:
    """Return a section as it is without its invalid keys, or None when it cannot be without them."""
    for _ in range(2):
        try:
            return section.model_validate(data)
        except ValidationError as error:
            invalid = {item["loc"][0] for item in error.errors() if item["loc"]}
            data = {key: value for key, value in data.items() if key not in invalid} if isinstance(data, dict) else data
    return None


def _literal_secrets(data: Any, document: Document, name: str) -> list[str]:
    """Return one problem for each literal that looks like a secret; the value is never shown."""
    target = data[KEY].get("target")
    others = target.get("other_containers") if isinstance(target, dict) else None
    sections = [target, *(others.values() if isinstance(others, dict) else ())]
    waived = [section.get("not_secret") for section in sections if isinstance(section, dict)]
    names = frozenset(item for given in waived if isinstance(given, list) for item in given if isinstance(item, str))
    fix = "put it into SSM Parameter Store or Secrets Manager and give a reference to it in target.secrets"
    return [
        Problem(
            f"{_where(document, name, path)}: {dotted(path)}: {reason}; rule: no parameter is a secret, because "
            f"Papermill stores parameters in clear text. Fix: {fix}",
            path,
        )
        for path, reason in secrets_in(data, (), names)
    ]


def _absolute(migration: dict[str, Any], base: Path) -> dict[str, Any]:
    """Return the mapping with the paths of files on this machine made absolute."""
    changed = dict(migration)
    if isinstance(changed.setdefault("archive", {}), dict):
        changed["archive"] = {"directory": "../runs", **changed["archive"]}
    for *sections, key in _PATHS:
        holder: Any = changed
        for section in sections:
            inner = holder.get(section) if isinstance(holder, dict) else None
            if isinstance(inner, dict):
                inner = holder[section] = dict(inner)
            holder = inner
        if isinstance(holder, dict) and isinstance(holder.get(key), str) and holder[key]:
            holder[key] = str((base / Path(holder[key]).expanduser()).resolve())
    return changed


def _where(document: Document, name: str, path: tuple[str | int, ...]) -> str:
    """Return the file and, where known, the line of a value."""
    while path and path not in document.lines:
        path = path[:-1]
    return f"{name} line {document.lines[path]}" if path in document.lines else name


def _follows(item: Any, error: ValidationError) -> bool:
    """Return whether an error only repeats others: a list counts as too short without its invalid items."""
    place = item["loc"]
    inside = [
        other for other in error.errors() if len(other["loc"]) > len(place) and other["loc"][: len(place)] == place
    ]
    return item["type"] == "too_short" and bool(inside)


def _explain(error: dict[str, Any], document: Document, name: str) -> Problem:
    """Return one problem of form: where, which key, what was found, the rule and the fix."""
    path = _real_path(error["loc"], document.data)
    return Problem(_explanation(error, document, name, path), path)


def _explanation(error: dict[str, Any], document: Document, name: str, path: tuple[str | int, ...]) -> str:
    prefix = f"{_where(document, name, path)}: {dotted(path) or 'the file'}"
    match error["type"]:
        case "missing":
            return f"{prefix} is missing. Fix: add it; parameters/README.md describes every key"
        case "extra_forbidden":
            return f"{prefix}: unknown key. Fix: {nearest(path)}"
        case "string_type":
            return f"{prefix} is {_changed(error['input'], document, path)}"
        case "rule":
            return f"{prefix} is {_shown(error['input'], path)}; rule: {error['ctx']['rule']}. Fix: correct it"
    rule = error["msg"][:1].lower() + error["msg"][1:].replace("tuple", "list")
    return f"{prefix} is {_shown(error['input'], path)}; rule: {rule}. Fix: correct it"


def _changed(value: Any, document: Document, path: tuple[str | int, ...]) -> str:
    """Return the problem of a value that YAML or Papermill did not read as text."""
    kind = {bool: "true or false", int: "a number", float: "a number"}.get(type(value), f"a {type(value).__name__}")
    if value is None or isinstance(value, list | dict):
        return f"{'empty' if value is None else kind}; rule: text. Fix: write the value in quotes"
    written = document.texts.get(path)
    if written is None:
        return (
            f"{value!r}, read as {kind}; rule: text. It may not be the value that was meant (YAML reads 0123 as 83, "
            "`papermill -p` drops leading zeros). Fix: quote it in the file, or inject it with -r"
        )
    return f'{written}, which YAML reads as {kind} ({value!r}); rule: text. Fix: write it in quotes: "{written}"'


def _shown(value: Any, path: tuple[str | int, ...]) -> str:
    """Return a value for a message; one that may be a secret is never shown."""
    may_be_secret = "secrets" in path or "environment" in path or next(secrets_in(value, path), None)
    return "(not shown)" if may_be_secret else json.dumps(value, default=str)[:200]


def _real_path(location: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """Return pydantic's location without the parts that are no keys of the file, such as a union's tag."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        is_key = isinstance(data, dict) and part in data
        is_item = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_key or is_item:
            data = data[part]
        elif index < len(location) - 1:
            continue
        path.append(part)
    return tuple(path)

"""Which keys a parameters file can have, and which of them a person may have meant. Pure."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel

from runbook_lib.parameters_model import ParametersFile
from runbook_lib.parameters_yaml import dotted


def nearest(path: tuple[str | int, ...]) -> str:
    """Return what to do about an unknown key: the nearest known ones, wherever they belong.

    Args:
        path: Keys and list indices from the top of the file.

    Returns:
        What to do, in words.
    """
    known = {key: [full for full in paths if full != dotted(path)] for key, paths in _keys(ParametersFile).items()}
    known = {key: paths for key, paths in known.items() if paths}
    near = difflib.get_close_matches(str(path[-1]), list(known), n=1, cutoff=0.6)
    beside = difflib.get_close_matches(
        dotted(path), [full for paths in known.values() for full in paths], n=1, cutoff=0.6
    )
    best = beside[0] if beside and beside[0].rpartition(".")[2] in near else known[near[0]][0] if near else ""
    return f"remove it, or did you mean {best}?" if best else "remove it; parameters/README.md lists every key"


def _keys(model: type[BaseModel], prefix: str = "") -> dict[str, list[str]]:
    """Return every key of a section and below, with the full paths it stands at."""
    found: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        full = f"{prefix}.{name}".removeprefix(".")
        found.setdefault(name, []).append(full)
        for inner in _models(field.annotation):
            for key, paths in _keys(inner, full).items():
                found.setdefault(key, []).extend(paths)
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that an annotation holds: itself, or the members of a union."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [inner for part in getattr(annotation, "__args__", ()) for inner in _models(part)]

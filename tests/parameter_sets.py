"""Parameter sets for tests: the committed files, with single keys changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook_lib import parameters
from runbook_lib.errors import ParameterError

ROOT = Path(__file__).resolve().parents[1]
SANDBOX = ROOT / "parameters" / "sandbox.yaml"
EXAMPLE = ROOT / "parameters" / "example.yaml"
REMOVED = object()


def mapping(source: Path = SANDBOX) -> dict[str, Any]:
    """Return the migration mapping of a committed parameters file."""
    return yaml.safe_load(source.read_text(encoding="utf-8"))["migration"]


def changed(path: str, value: Any, source: Path = SANDBOX) -> dict[str, Any]:
    """Return the mapping of a committed file with one key set, or removed."""
    data = copy.deepcopy(mapping(source))
    *parents, last = path.split(".")
    holder = data
    for parent in parents:
        holder = holder.setdefault(parent, {})
    if value is REMOVED:
        del holder[last]
    else:
        holder[last] = value
    return data


def problems(data: dict[str, Any]) -> list[str]:
    """Return what is wrong with a mapping."""
    with pytest.raises(ParameterError) as caught:
        parameters.load(SANDBOX, data)
    return list(caught.value.problems)


def file_problems(file: Path, text: str) -> list[str]:
    """Return what is wrong with a parameters file of this text."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        parameters.load(file)
    return list(caught.value.problems)

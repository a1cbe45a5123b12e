"""Render ``--format`` of docker: ``json``, ``{{json .A.B}}`` and ``{{.A.B}}`` within literal text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.commands.options import UsageError

PLACE = re.compile(r"\{\{\s*(json\s+)?(\.[A-Za-z0-9_.]*)\s*\}\}")
TEMPLATE_ERROR = 64


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Return one line for one object.

    Args:
        template: As given after ``--format``.
        facts: The object.

    Raises:
        UsageError: The template needs more than looking up names, or a name does not exist.
    """
    if template == "json":
        template = "{{json .}}"
    rest = PLACE.sub("", template)
    if "{{" in rest:
        raise UsageError(f"the simulated host does not know this template: {template}", TEMPLATE_ERROR)
    return PLACE.sub(lambda found: _value(found[2], facts, as_json=bool(found[1])), template)


def _value(path: str, facts: Mapping[str, Any], *, as_json: bool) -> str:
    value: Any = facts
    for name in [one for one in path.split(".") if one]:
        if not isinstance(value, Mapping) or name not in value:
            raise UsageError(f'template: :1: executing "" at <{path}>: map has no entry for key "{name}"')
        value = value[name]
    if as_json:
        return json.dumps(value, separators=(",", ":"))
    if value is None:
        return "<no value>"
    return str(value).lower() if isinstance(value, bool) else str(value)

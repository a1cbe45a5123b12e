"""The schema of report.json, and whether a report fits it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text("utf-8"))


def check(report):
    """Fail with every place where a report does not fit."""
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(report)
    problems = [f"{'/'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in found]
    assert not problems, "\n".join(problems)

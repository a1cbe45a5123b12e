"""What a run that moved nothing found out: how a backup comes back, whether a service is as it was left; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {"report-recovery": "Backed up.", "report-drift": "As it was left."}
"""Step that says what was found → the word for it."""


def find_findings(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the last step that reports something has found.

    Args:
        report: As `build_report`.

    Returns:
        A word and a sentence; both "" when no step of the run reports anything, or did not end well.
    """
    told = [step for step in report["steps"] if step["id"] in _WORDS and step["executed"]]
    if not told or told[-1]["status"] != "succeeded":
        return "", ""
    return _WORDS[told[-1]["id"]], told[-1]["plan"]

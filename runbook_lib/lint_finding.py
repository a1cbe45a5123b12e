"""What a record lacks; data alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that a record lacks.

    Args:
        rule: `reason`, `way-back`, `approval`, `review`, `negative-control` or `evidence`.
        what: What is missing, and why that matters.
        where: File, and line of the journal, that shows it.
        fix: What to do.
    """

    rule: str
    what: str
    where: str
    fix: str

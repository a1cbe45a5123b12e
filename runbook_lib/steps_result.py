"""How a step ended, as a notebook cell and a terminal show it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runbook_lib.model import Check, StepStatus


@dataclass(frozen=True)
class StepResult:
    """How a step ended; what a notebook cell shows.

    Args:
        step_id: The step.
        title: What the step does.
        status: Its state.
        summary: One or more lines for a person.
        duration_s: From the first observation to the end.
        checks: Every check that was made, with its outcome.
    """

    step_id: str
    title: str
    status: StepStatus
    summary: str
    duration_s: float
    checks: tuple[Check, ...] = ()

    def __repr__(self) -> str:
        """Return plain lines, for terminals and logs."""
        return f"{self.status.value:<9} {self.step_id} ({self.duration_s:.1f} s)\n  {self.summary}"

    def _repr_markdown_(self) -> str:
        """Return the same for Jupyter."""
        rows = "".join(
            f"| {_outcome(check)} | {check.check_id} | {check.expected} | {check.observed} |\n" for check in self.checks
        )
        table = f"\n\n| result | check | expected | observed |\n|---|---|---|---|\n{rows}" if rows else ""
        return f"**{self.status.value}** · {self.title} · {self.duration_s:.1f} s\n\n{self.summary}{table}"


def _outcome(check: Check) -> str:
    """Return the outcome in one word; a failed check in a result can only be one that was assumed."""
    return "pass" if check.passed else "assumed"

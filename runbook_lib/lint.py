"""Whether a record holds what a change record must hold: a reason, a way back, approvals, and proof that is younger.

Reads one run folder; writes nothing. Whether the record was altered is `archive.verify`'s business: this asks whether
what was honestly written is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook_lib.errors import JournalError
from runbook_lib.journal import JOURNAL_NAME, read_events
from runbook_lib.lint_approvals import read_policy, unapproved, unreviewed
from runbook_lib.lint_data import no_negative_control, no_way_back, old_evidence
from runbook_lib.lint_events import opened, where
from runbook_lib.lint_finding import Finding
from runbook_lib.model import Event

__all__ = ["Finding", "lint"]


def lint(folder: Path) -> list[Finding]:
    """Return what a record lacks.

    Args:
        folder: The run folder.

    Returns:
        The findings, in the order of the rules; none when the record is as it must be. A record that only planned
        needs a reason and nothing else.

    Raises:
        JournalError: when there is no journal, or its chain does not hold.
    """
    path = folder / JOURNAL_NAME
    if not path.is_file():
        raise JournalError(f"no run in {folder}; `runbook list` shows what is there")
    events = read_events(path)
    if not events:
        raise JournalError(f"{path} is empty; restore it from the archive")
    return [
        *_no_reason(events, folder.name),
        *no_way_back(events),
        *_approvals(folder, events),
        *no_negative_control(events, folder.name),
        *old_evidence(events, folder.name),
    ]


def _no_reason(events: Sequence[Event], run_id: str) -> Iterator[Finding]:
    """Find that nobody said why; of a run that executed, a reason for planning alone does not count."""
    opens = opened(events)
    if opens and not any(str(event.fields.get("reason", "")).strip() for event in opens):
        executed = bool(opens[0].fields.get("execute"))
        yield Finding(
            rule="reason",
            what=f"no reason: the run {'was executed' if executed else 'was planned'}, and nobody said why",
            where=where(opens[0]),
            fix="Say why, with the ticket, the next time this run is opened, which puts it on record: "
            f'`runbook resume {run_id} --reason "CHG-1234: …"`, or its next notebook with --run-id and --reason.',
        )


def _approvals(folder: Path, events: Sequence[Event]) -> Iterator[Finding]:
    """Find what the policy wanted approved and was not, by the parameters that the journal vouches for."""
    opens = [event for event in events if event.kind == "run-opened"]
    file = folder / "parameters.yaml"
    content = file.read_bytes() if file.is_file() else b""
    recorded = opens[-1].fields.get("parameters_sha256") if opens else ""
    if hashlib.sha256(content).hexdigest() != recorded:
        yield Finding(
            rule="approval",
            what="nobody can tell which approvals were wanted: the parameters are not those of the journal",
            where="parameters.yaml",
            fix=f"Restore the record from its archive; `runbook verify {folder.name}` shows what else was altered.",
        )
        return
    yield from unapproved(events, read_policy(content.decode("utf-8", "backslashreplace")))
    yield from unreviewed(events, folder.name)

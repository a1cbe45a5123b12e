"""Attempts whose runner was killed: the record says what really ran, once somebody touches the run again.

SIGKILL, a crash of the machine or the out-of-memory killer leave a notebook that says `running` and a journal without
the notebook's end. The journal knows more than the notebook; what is written here is only what follows from both.
Touches the run folder of attempts that are proved to be over, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbook_lib.journal import JOURNAL_NAME, SUMS_NAME, Journal
from runbook_lib.journal_link import digest_of_attempt
from runbook_lib.journal_notebook import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    NOT_RUN,
    SKIPPED,
    read_notebook,
    settle,
)
from runbook_lib.lease_record import this_machine
from runbook_lib.model import Event
from runbook_lib.report import write_report
from runbook_lib.run_attempt import AttemptProcess

_ENDED = {"succeeded": COMPLETED, "planned": COMPLETED, "skipped": SKIPPED, "failed": FAILED, "running": INTERRUPTED}
_KIND = "RunnerKilled"
_INTERRUPTED_STEP, _NO_STEP = 4, 5  # exit codes of an interruption, as `execute_notebooks` has them


@dataclass(frozen=True)
class Repair:
    """What the record of one attempt says now.

    Args:
        notebook: The notebook.
        attempt: Which attempt.
        status: How it ended, as far as anybody can know.
        cell_id: The cell that was cut off, or "".
        not_run: The cells that never ran.
    """

    notebook: str
    attempt: int
    status: str
    cell_id: str
    not_run: tuple[str, ...]

    def sentence(self) -> str:
        """Return the same for a person."""
        where = f" in cell {self.cell_id}" if self.cell_id else ""
        rest = f"; never ran: {', '.join(self.not_run)}" if self.not_run else ""
        return f"{self.notebook} attempt {self.attempt}: its process is gone{where}{rest}"


def repair_attempts(journal: Journal) -> list[Repair]:
    """Put the record of every attempt right whose runner was killed.

    Args:
        journal: The run's journal.

    Returns:
        What was repaired, oldest first; nothing when every end is recorded, or an attempt may still be under way.

    Raises:
        JournalError: when the journal's chain does not hold.

    Changes:
        Output notebooks; `cell` and `notebook-finished` events; the report and the seal, when anything was repaired.
    """
    events = journal.events()
    if not events or events[0].fields.get("run_id", journal.run_id) != journal.run_id:
        return []  # a copy under another name is evidence, not the run
    repaired = [_repair(journal, events, started) for started in _left_open(events)]
    if repaired:
        journal.remove("terraform/.terraform/plan.bin")  # as `Run.close` does: it holds secrets
        write_report(journal)
    return repaired


def is_sealed(journal: Journal) -> bool:
    """Return whether a run's record was sealed after its last event, so that only those who go on may touch it.

    Args:
        journal: The run's journal.

    Returns:
        True when SHA256SUMS fits the journal as it is.
    """
    sums = journal.folder / SUMS_NAME
    digest = hashlib.sha256(journal.read(JOURNAL_NAME)).hexdigest()
    return sums.is_file() and f"{digest}  {JOURNAL_NAME}" in sums.read_text("utf-8", "replace").splitlines()


def _left_open(events: Sequence[Event]) -> list[Event]:
    """Return the `notebook-started` event of every attempt that has no end and cannot get one."""
    ended = {_names(event) for event in events if event.kind == "notebook-finished"}
    started = [event for event in events if event.kind == "notebook-started"]
    return [event for event in started if _names(event) not in ended and _is_over(events, event, started[-1])]


def _is_over(events: Sequence[Event], started: Event, newest: Event) -> bool:
    """Return whether an attempt's processes are proved gone; elsewhere it must do that a later attempt began."""
    runners = [event.fields for event in events if event.kind == "runner" and event.seq < started.seq]
    kernels = [event.fields["holder"] for event in _own(events, started) if _is_acquired(event)]
    processes = [AttemptProcess.of("runner", fields) for fields in runners[-1:]]
    processes += [AttemptProcess.of("kernel", fields) for fields in kernels[-1:]]
    if any(process.is_alive for process in processes):
        return False
    if processes and all(process.machine and process.machine == this_machine() for process in processes):
        return True
    return started is not newest  # another machine, or an older release that noted no runner


def _own(events: Sequence[Event], started: Event) -> list[Event]:
    """Return what was recorded from an attempt's beginning until the next one's."""
    following = (e.seq for e in events if e.kind == "notebook-started" and e.seq > started.seq)
    return list(events[started.seq : next(following, len(events) + 1) - 1])


def _is_acquired(event: Event) -> bool:
    return event.kind == "lease" and event.fields.get("phase") == "acquired"


def _names(event: Event) -> tuple[str, int]:
    return str(event.fields["notebook"]), int(event.fields["attempt"])


def _repair(journal: Journal, events: Sequence[Event], started: Event) -> Repair:
    """Put one attempt right: its notebook first, so that a kill in the middle leaves it to be done again."""
    own = _own(events, started)
    steps = {str(e.fields["step_id"]): str(e.fields["status"]) for e in own if e.kind == "step"}
    told = {
        str(e.fields["cell_id"]): str(e.fields["status"])
        for e in own
        if e.kind == "cell" and _names(e) == _names(started)
    }
    cells = _settle_notebook(journal, started, {name: _ENDED[status] for name, status in steps.items()} | told)
    names = {"notebook": started.fields["notebook"], "attempt": started.fields["attempt"]}
    for name, status in cells.items():
        if name not in told:
            journal.append("cell", cell_id=name, status=status, duration_s=0.0, repaired=True, **names)
    fields = _end(own, steps, cells)
    ended = own[-1] if own else started
    duration_s = round(
        (datetime.fromisoformat(ended.at_utc) - datetime.fromisoformat(started.at_utc)).total_seconds(), 3
    )
    fields |= digest_of_attempt(journal.folder, names["notebook"], names["attempt"])
    journal.append("notebook-finished", **names, duration_s=duration_s, repaired=True, **fields)
    cut_off = next((name for name, status in cells.items() if status == INTERRUPTED), "")
    not_run = tuple(name for name, status in cells.items() if status == NOT_RUN)
    return Repair(names["notebook"], names["attempt"], fields["status"], cut_off, not_run)


def _settle_notebook(journal: Journal, started: Event, known: dict[str, str]) -> dict[str, str]:
    """Write the attempt's notebook as it really ended; return its code cells' statuses, {} when it cannot be read."""
    own = journal.folder / started.fields["output"]
    elsewhere = started.fields.get("written_to", "")
    notebook = read_notebook(own)
    if notebook is None and elsewhere and "://" not in elsewhere:  # plain Papermill wrote it where it was told to
        notebook = read_notebook(journal.folder / elsewhere)
    if notebook is None:
        return {}
    cells = settle(notebook, known)
    journal.write(started.fields["output"], json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return cells


def _end(own: Sequence[Event], steps: dict[str, str], cells: dict[str, str]) -> dict[str, Any]:
    """Return how the notebook as a whole ended: a failure that was recorded is more than the interruption after it."""
    failed = [event for event in own if event.kind == "step" and event.fields["status"] == "failed"]
    newest = next((event for event in reversed(own) if event.kind == "step"), None)
    if cells and not set(cells.values()) - {COMPLETED, SKIPPED}:
        return {"status": COMPLETED}
    if failed and newest is failed[-1]:
        error = dict(newest.fields["error"])
        described = {"kind": error["kind"], "message": error["message"], "cell_id": newest.fields["step_id"]}
        return {"status": FAILED, "error": described, "exit_code": error.get("exit_code", _INTERRUPTED_STEP)}
    cut_off = next((name for name, status in cells.items() if status == INTERRUPTED), "")
    not_run = [name for name, status in cells.items() if status == NOT_RUN]
    never_ran = f" Cells that never ran: {', '.join(not_run)}." if not_run else ""
    text = f"cell {cut_off or '(unknown)'}: the process that ran the notebook was killed.{never_ran}"
    exit_code = _INTERRUPTED_STEP if "running" in steps.values() else _NO_STEP
    return {
        "status": INTERRUPTED,
        "error": {"kind": _KIND, "message": text, "cell_id": cut_off},
        "exit_code": exit_code,
    }

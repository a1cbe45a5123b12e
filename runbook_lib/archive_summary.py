"""One run of the archive in one line, from its journal alone. Reads a run folder; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runbook_lib.approval import open_reviews
from runbook_lib.errors import JournalError
from runbook_lib.journal import JOURNAL_NAME, read_events
from runbook_lib.model import Event
from runbook_lib.report_outage import find_outages, total_outage_s
from runbook_lib.report_running import Process, open_processes
from runbook_lib.report_status import derive_status

DAMAGED = "damaged"
_PLAN_ONLY = frozenset({"planned", "skipped"})


class RunSummary(NamedTuple):
    """One run of the archive in one line.

    Args:
        run_id: The run; the name of its folder.
        name: The migration.
        status: As in report.json; `damaged` when the journal's chain does not hold. Of a run that lives at this moment
            `list_runs` says `running`.
        execute: Whether it ever executed.
        started_utc: RFC 3339 time, "" when unknown.
        finished_utc: RFC 3339 time of its last event, "" when unknown.
        runtime_s: How long its notebooks ran, all attempts together; None when none ended.
        outage_s: How long the service was unavailable, None when it was not or is still.
        outage_budget_s: How long it was allowed to be, None when no limit was set.
        operator: Who ran it last.
        reason: Why, and the ticket; the last one that was given.
        evidence_grade: What its evidence is worth.
        notebooks: What it ran: the notebooks that acted, or, when none did, those that were planned.
        account_id: The AWS account.
        region: The AWS Region.
        volume_id: The data volume.
        open_reviews: How many review items nobody has closed yet.
        processes: Who was at it while its end is not recorded: machine, process id, its start, name of the host.
    """

    run_id: str
    name: str = ""
    status: str = DAMAGED
    execute: bool = False
    started_utc: str = ""
    finished_utc: str = ""
    runtime_s: float | None = None
    outage_s: float | None = None
    outage_budget_s: float | None = None
    operator: str = ""
    reason: str = ""
    evidence_grade: str = ""
    notebooks: tuple[str, ...] = ()
    account_id: str = ""
    region: str = ""
    volume_id: str = ""
    open_reviews: int = 0
    processes: tuple[Process, ...] = ()


def summarize(folder: Path) -> RunSummary:
    """Return a run in one line.

    Args:
        folder: The run folder.

    Returns:
        The summary; `damaged`, and nothing else, when the journal is empty, or its chain does not hold.
    """
    try:
        events = read_events(folder / JOURNAL_NAME)
        return summarize_events(events, folder.name) if events else RunSummary(folder.name)
    except (JournalError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return RunSummary(folder.name)  # whatever is in the folder: one bad run must not hide the others


def summarize_events(events: Sequence[Event], run_id: str) -> RunSummary:
    """Return a run in one line.

    Args:
        events: Its journal, oldest first.
        run_id: The run.

    Returns:
        The summary.
    """
    opens = [event.fields for event in events if event.kind == "run-opened"]
    opened: dict[str, Any] = opens[-1] if opens else {}
    grades = [event.fields.get("evidence_grade", "") for event in events if event.kind == "grade"]
    ended = [event.fields.get("duration_s") for event in events if event.kind == "notebook-finished"]
    times = [float(seconds) for seconds in ended if seconds is not None]
    return RunSummary(
        run_id=run_id,
        name=opened.get("name", ""),
        status=derive_status(events).value,
        execute=any(fields.get("execute") for fields in opens),
        started_utc=events[0].at_utc if events else "",
        finished_utc=events[-1].at_utc if events else "",
        runtime_s=round(sum(times), 3) if times else None,
        outage_s=total_outage_s(find_outages(events)),
        outage_budget_s=opened.get("outage_budget_s"),
        operator=opened.get("operator", ""),
        reason=next((fields["reason"] for fields in reversed(opens) if fields.get("reason")), ""),
        evidence_grade=grades[-1] if grades else "",
        notebooks=_notebooks(events),
        account_id=opened.get("account_id", ""),
        region=opened.get("region", ""),
        volume_id=opened.get("volume_id", ""),
        open_reviews=len(open_reviews(events)),
        processes=open_processes(events),
    )


def _notebooks(events: Sequence[Event]) -> tuple[str, ...]:
    """Return the notebooks that acted, or those that were planned when none did, in the order of their first step."""
    steps = [event.fields for event in events if event.kind == "step"]
    acted = dict.fromkeys(str(step.get("notebook", "")) for step in steps if step.get("status") not in _PLAN_ONLY)
    return tuple(acted or dict.fromkeys(str(step.get("notebook", "")) for step in steps))

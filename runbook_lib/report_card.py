"""What the live card of a run says, from the journal alone: so it says the same after a reload or a restart; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from runbook_lib.model import Event, RunStatus
from runbook_lib.report_attempts import StepRecord, attempts, step_records
from runbook_lib.report_notebooks import CUT_OVER, ROLL_BACK
from runbook_lib.report_outage import find_outages
from runbook_lib.report_status import HOLD, derive_status, find_hold

LOOKING = "looking"
"""State of a step that was called and of which the journal says nothing yet."""
_ENDED = {"succeeded", "skipped"}


@dataclass(frozen=True)
class Card:
    """What the card says.

    Args:
        run_id: The run.
        execute: Whether it acts.
        run_status: As `derive_status`; `running` while a step runs, `under way` before the next.
        step_id: The step that runs, or that ran last; "" before the first.
        notebook: Its notebook.
        title: What it does.
        status: Its state, or `looking`.
        elapsed_s: How long it runs, or took.
        expected_s: How long it usually takes; None when nobody knows.
        expected_from: What that was taken from.
        waiting: Why it waits, "" when it does not.
        error: Why it failed, "" when it did not.
        plan: What it does, in the words of its plan.
        down_s: How long the service is down, or was; None when it never was.
        is_down: Whether it is down now.
        budget_s: The outage that the policy allows; None when unknown.
        steps: Id and state of each step of the notebook so far.
        evidence: Path and SHA-256 of each document that the step left behind.
        may_hold: Whether the cutover can still be asked to hold.
        holds: Whether it holds.
    """

    run_id: str
    execute: bool
    run_status: str
    step_id: str = ""
    notebook: str = ""
    title: str = ""
    status: str = ""
    elapsed_s: float = 0.0
    expected_s: float | None = None
    expected_from: str = ""
    waiting: str = ""
    error: str = ""
    plan: str = ""
    down_s: float | None = None
    is_down: bool = False
    budget_s: float | None = None
    steps: tuple[tuple[str, str], ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    may_hold: bool = False
    holds: bool = False

    @property
    def runs(self) -> bool:
        """Whether a step is under way."""
        return self.status in {"running", LOOKING}

    @property
    def share(self) -> float | None:
        """How much of the expected time is over, 0 to 1; None when nothing is expected."""
        return min(1.0, self.elapsed_s / self.expected_s) if self.expected_s else None


@dataclass(frozen=True)
class Called:
    """A step that a cell has just called.

    Args:
        step_id: The step.
        notebook: Its notebook.
        title: What it does.
        since_seq: Number of the journal's newest event at that moment.
        at: When.
    """

    step_id: str
    notebook: str
    title: str
    since_seq: int
    at: datetime


def card_of(
    events: Sequence[Event], now: datetime, *, called: Called | None = None, took: Mapping[str, Sequence[float]]
) -> Card:
    """Return what the card says now.

    Args:
        events: The journal, oldest first, with its `run-opened`.
        now: The time, with its zone.
        called: The step whose cell runs; None for a card of the whole run.
        took: Seconds that each step took in earlier runs, by step id.

    Returns:
        The card.
    """
    opened = [event for event in events if event.kind == "run-opened"][-1]
    record = _newest(events, called)
    outages = find_outages(events)
    down = outages[-1] if outages else None
    is_down = down is not None and not down["ended_utc"]
    step = _about_step(record, called, events, now)
    holds = find_hold(events) is not None
    runs = step.get("status") in {"running", LOOKING}
    status = derive_status(events)
    said = status.value
    if status is RunStatus.INTERRUPTED and attempts(events)[-1].status == "open":
        said = "under way"  # somebody is between two cells, or gone: the journal cannot tell
    return Card(
        run_id=str(opened.fields.get("run_id", "")),
        execute=bool(opened.fields.get("execute")),
        run_status="running" if runs and status is not RunStatus.WAITING else said,
        down_s=None if down is None else _seconds(down["started_utc"], now) if is_down else down["outage_s"],
        is_down=is_down,
        budget_s=opened.fields.get("outage_budget_s"),
        holds=holds,
        may_hold=bool(opened.fields.get("execute")) and may_hold(events),
        **step,
        **_expected(str(step.get("step_id", "")), events, took),
    )


def _newest(events: Sequence[Event], called: Called | None) -> StepRecord | None:
    """Return the newest word on the step that was called, or on any."""
    found = [
        one
        for one in step_records(events)
        if called is None or (one.step_id == called.step_id and one.seq > called.since_seq)
    ]
    return max(found, key=lambda one: one.seq, default=None)


def _about_step(
    record: StepRecord | None, called: Called | None, events: Sequence[Event], now: datetime
) -> dict[str, Any]:
    """Return the card's fields that are about one step."""
    if record is None:
        if called is None:
            return {}
        own = {"step_id": called.step_id, "notebook": called.notebook, "title": called.title, "status": LOOKING}
        return own | {
            "elapsed_s": (now - called.at).total_seconds(),
            "steps": _steps(events, called.notebook),
        }
    fields = record.fields
    runs = record.status == "running"
    since = called.since_seq if called is not None else record.seq
    return {
        "step_id": record.step_id,
        "notebook": record.notebook,
        "title": str(fields.get("title", "")),
        "status": record.status,
        "elapsed_s": _seconds(record.started_utc, now) if runs else float(fields.get("duration_s") or 0),
        "waiting": _waiting(events, record) if runs else "",
        "error": str((fields.get("error") or {}).get("message", "")),
        "plan": str(fields.get("plan", "")),
        "steps": _steps(events, record.notebook),
        "evidence": tuple(
            (str(event.fields["path"]), str(event.fields["sha256"]))
            for event in events
            if event.kind == "evidence" and event.seq > since
        ),
    }


def _waiting(events: Sequence[Event], record: StepRecord) -> str:
    """Return the reason of the newest wait of a step that runs."""
    waits = [
        event.fields.get("reason", "")
        for event in events
        if event.kind == "wait" and event.seq > record.seq and event.fields.get("step_id") == record.step_id
    ]
    return str(waits[-1]) if waits else ""


def _steps(events: Sequence[Event], notebook: str) -> tuple[tuple[str, str], ...]:
    return tuple((one.step_id, one.status) for one in step_records(events) if one.notebook == notebook)


def may_hold(events: Sequence[Event]) -> bool:
    """Return whether a pause can still be asked for: the cutover has not begun, and will not hold by itself.

    Args:
        events: The journal, oldest first. What was before a way back does not count: another cutover may come. But
            for a pause that was asked for: it holds again.
    """
    back = [event for event in events if event.kind == "step" and event.fields.get("notebook") == ROLL_BACK]
    since = back[-1].seq if back else 0
    is_down = any(not outage["ended_utc"] for outage in find_outages(events))
    begun = is_down or any(e.kind == "outage" and e.fields["phase"] == "started" and e.seq > since for e in events)
    passed = any(
        one.step_id == HOLD and one.status in _ENDED and one.execute and one.seq > since for one in step_records(events)
    )
    if find_hold(events) is not None or begun or passed:
        return False
    asked = [event for event in events if event.kind == "hold" and event.fields.get("phase") == "requested"]
    later = max(since, asked[-1].seq if asked else 0)
    released = any(e.kind == "hold" and e.fields.get("phase") == "released" and e.seq > later for e in events)
    return not asked or released


def _expected(step_id: str, events: Sequence[Event], took: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return how long a step takes: as the rehearsal of this run forecasts it, else as in earlier runs."""
    forecasts = [event for event in events if event.kind == "forecast"]
    parts = {part["name"]: float(part["seconds"]) for part in forecasts[-1].fields["parts"]} if forecasts else {}
    if step_id in parts:
        return {"expected_s": parts[step_id], "expected_from": "the rehearsal"}
    earlier = took.get(step_id, ())
    if step_id == HOLD or not earlier:  # how long somebody thinks says nothing
        return {}
    count = len(earlier)
    return {"expected_s": median(earlier), "expected_from": "1 earlier run" if count == 1 else f"{count} earlier runs"}


def durations(events: Sequence[Event]) -> dict[str, float]:
    """Return how long each step took that did something and succeeded.

    Args:
        events: A journal, oldest first.

    Returns:
        Seconds by step id.
    """
    return {
        one.step_id: float(one.fields.get("duration_s") or 0)
        for one in step_records(events)
        if one.execute and one.status == "succeeded"
    }


def _seconds(since_utc: str, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(since_utc)).total_seconds())


def is_cutover(card: Card) -> bool:
    """Return whether the card is about the cutover, where holding, releasing and panic are at hand.

    Args:
        card: The card.
    """
    return card.execute and (card.notebook == CUT_OVER or card.is_down or card.holds)

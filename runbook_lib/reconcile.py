"""Whether the record of a run and AWS's own agree: the journal's calls beside CloudTrail's events. Pure.

Two independent witnesses: the journal says what this run did, CloudTrail what was done. What only one of them says is
told, and so is what others did to the same resources while the run was open.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.model import Event

KEPT_FOR = timedelta(days=90)
"""How far back CloudTrail's event history reaches."""
MARGIN = timedelta(minutes=5)
"""By how much this machine's clock may differ from AWS's."""
ARRIVES_WITHIN = timedelta(minutes=15)
"""How long after its call an event may still be on its way. Source: CloudTrail user guide, "How CloudTrail works"."""

_NOT_IN_HISTORY = {"s3": "S3 object calls are data events, which the event history does not hold"}
_TERRAFORM = "terraform-provider-aws"
_OTHER_RUN = re.compile(r"\brunbook/(\S+)")


@dataclass(frozen=True)
class Window:
    """The time that a run was open.

    Args:
        begin: Its first journal line, less the margin.
        end: Its last journal line, and the margin.
    """

    begin: datetime
    end: datetime


@dataclass
class Reconciliation:
    """What came of the comparison.

    Args:
        agreed: How many calls both witnesses tell of, with the same outcome.
        differing: Calls that both tell of, with different outcomes: journal's fields, `trail_outcome`.
        only_in_journal: The journal's calls that CloudTrail does not tell of, each with `why`.
        unexplained: How many of these have no reason but that CloudTrail never heard of them.
        only_in_trail: This run's calls, by its user agent, that the journal does not tell of.
        terraform: Calls of this run's Terraform by (service, operation, outcome): the journal has its plans and
            applies, not each call.
        others: What others did to the same resources, by (who, service, operation, outcome).
    """

    agreed: int = 0
    differing: list[dict[str, Any]] = field(default_factory=list)
    only_in_journal: list[dict[str, Any]] = field(default_factory=list)
    unexplained: int = 0
    only_in_trail: list[dict[str, Any]] = field(default_factory=list)
    terraform: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    others: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    @property
    def agrees(self) -> bool:
        """Whether neither witness tells of a call of this run that the other should know and does not."""
        return not (self.differing or self.unexplained or self.only_in_trail)


def window_of(events: Sequence[Event]) -> Window:
    """Return the time that a run was open.

    Args:
        events: Its journal, at least one line.

    Returns:
        The window.
    """
    times = [datetime.fromisoformat(event.at_utc) for event in events]
    return Window(min(times) - MARGIN, max(times) + MARGIN)


def reconcile(
    events: Sequence[Event], trail: Sequence[Mapping[str, Any]], *, run_id: str, names: set[str], now: datetime
) -> Reconciliation:
    """Compare a run's journal with CloudTrail.

    Args:
        events: The journal.
        trail: As `adapters.trail.changes_between`, for the run's window.
        run_id: The run; its user agent and Terraform's carry it.
        names: What the run is about: ids and names from its parameters. What its calls changed is added.
        now: The time, for what may still be on its way.

    Returns:
        What came of it.
    """
    calls = [event for event in events if event.kind == "api-call"]
    found = Reconciliation()
    left = list(trail)
    for call in calls:
        event = _witness(call, left, run_id)
        if event is None:
            _only_in_journal(found, call, now)
            continue
        left.remove(event)
        for _ in range(1, int(call.fields.get("attempts") or 1)):  # the attempts before the answer are events as well
            if (former := _nearest(call, left, run_id)) is not None:
                left.remove(former)
        lost = not call.fields.get("request_id")
        if lost or event["outcome"] == call.fields["outcome"]:
            found.agreed += 1
        else:
            found.differing.append(_call(call) | {"trail_outcome": event["outcome"]})
    targets = names | {str(call.fields.get("target", "")) for call in calls} - {""}
    for event in left:
        if run_id not in event["user_agent"]:
            if targets.intersection(event["names"]):
                found.others[_who(event), event["service"], event["operation"], event["outcome"]] += 1
        elif _TERRAFORM in event["user_agent"]:
            found.terraform[event["service"], event["operation"], event["outcome"]] += 1
        else:
            found.only_in_trail.append(dict(event))
    return found


def _who(event: Mapping[str, Any]) -> str:
    """Return who made a call, and in which other run."""
    other = _OTHER_RUN.search(event["user_agent"])
    return f"{event['who']}, run {other.group(1)}" if other else str(event["who"])


def _witness(call: Event, trail: Sequence[Mapping[str, Any]], run_id: str) -> Mapping[str, Any] | None:
    """Return CloudTrail's event of a call: by request id, or for an answer that got lost the nearest of its kind."""
    request_id = call.fields.get("request_id")
    if request_id:
        return next((event for event in trail if event["request_id"] == request_id), None)
    return _nearest(call, trail, run_id)


def _nearest(call: Event, trail: Sequence[Mapping[str, Any]], run_id: str) -> Mapping[str, Any] | None:
    """Return the event of this run that is nearest in time to a call, of the same operation and target."""
    at = datetime.fromisoformat(call.at_utc)
    alike = [
        event
        for event in trail
        if event["operation"] == call.fields["operation"]
        and run_id in event["user_agent"]
        and str(call.fields.get("target", "")) in {"", *event["names"]}
        and abs(datetime.fromisoformat(event["at_utc"]) - at) <= MARGIN
    ]
    return min(alike, key=lambda event: abs(datetime.fromisoformat(event["at_utc"]) - at), default=None)


def _only_in_journal(found: Reconciliation, call: Event, now: datetime) -> None:
    why = _NOT_IN_HISTORY.get(str(call.fields["service"]), "")
    if not why and not call.fields.get("request_id"):
        why = "no answer came, and CloudTrail knows of no such call: it never reached AWS"
    if not why and now - datetime.fromisoformat(call.at_utc) < ARRIVES_WITHIN:
        minutes = int(ARRIVES_WITHIN.total_seconds() // 60)
        why = f"younger than {minutes} minutes: its event may still be on its way; run this again"
    found.unexplained += not why
    found.only_in_journal.append(_call(call) | {"why": why or "CloudTrail knows of no such call"})


def _call(call: Event) -> dict[str, Any]:
    named = {key: call.fields.get(key, "") for key in ("service", "operation", "target", "request_id", "outcome")}
    return {"seq": call.seq, "at_utc": call.at_utc, **named}

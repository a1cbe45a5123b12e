"""CloudTrail's event history, which moto lacks: every call of the sandbox is in it, after a while."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError

from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.calls import CallLog
from runbook_lib.sandbox.trail import MOST_A_PAGE, events_of, page


def apply(calls: CallLog, delivered_after_s: float) -> None:
    """Put LookupEvents into moto.

    Args:
        calls: The record of API calls.
        delivered_after_s: How long after its call an event can be seen, in seconds.

    Changes:
        One method of moto's CloudTrail response class.
    """

    def lookup_events(response: Any) -> str:
        asked = json.loads(response.body or "{}")
        attributes = asked.get("LookupAttributes") or []
        if len(attributes) > 1:
            raise JsonRESTError("InvalidLookupAttributesException", "You can use one lookup attribute.")
        now = time.time()
        begin, end = float(asked.get("StartTime", 0)), float(asked.get("EndTime", now))
        if begin > end:
            raise JsonRESTError("InvalidTimeRangeException", "The start time is after the end time.")
        most = int(asked.get("MaxResults", MOST_A_PAGE))
        if not 1 <= most <= MOST_A_PAGE:
            raise JsonRESTError("InvalidMaxResultsException", f"MaxResults must be 1 to {MOST_A_PAGE}.")
        answer = page(
            events_of(calls.since(0), now - delivered_after_s),
            begin=begin,
            end=end,
            attribute=attributes[0] if attributes else None,
            start=int(asked.get("NextToken") or 0),
            most=most,
        )
        return json.dumps(answer)

    operations(CloudTrailResponse, lookup_events=lookup_events)

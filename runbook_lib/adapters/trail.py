"""CloudTrail's event history as facts: what AWS says was done in the account, by whom. Reads only.

It goes back 90 days, holds management events alone (no S3 object calls), and lags some minutes behind.
Source: CloudTrail API reference, "LookupEvents"; user guide, "CloudTrail record contents".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from runbook_lib.adapters.aws import Aws

SERVICE = "cloudtrail"


def changes_between(aws: Aws, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return every call of the account and region that was no read, oldest first.

    Args:
        aws: The session.
        begin: From when.
        end: Until when.

    Returns:
        Keys `event_id, at_utc, service, operation, request_id, outcome, who, source_identity, user_agent, names` each;
        `outcome` is `Success` or AWS's error code, `names` are the values of its parameters and of its answer.

    Raises:
        AwsError: when CloudTrail refuses, or no answer came.
    """
    pages = aws.pages(
        SERVICE,
        "lookup_events",
        "Events",
        LookupAttributes=[{"AttributeKey": "ReadOnly", "AttributeValue": "false"}],
        StartTime=begin,
        EndTime=end,
    )
    return sorted((_facts(json.loads(event["CloudTrailEvent"])) for event in pages), key=lambda one: str(one["at_utc"]))


def _facts(event: dict[str, Any]) -> dict[str, Any]:
    identity = event.get("userIdentity", {})
    return {
        "event_id": event["eventID"],
        "at_utc": event["eventTime"],
        "service": str(event["eventSource"]).removesuffix(".amazonaws.com"),
        "operation": event["eventName"],
        "request_id": event.get("requestID", ""),
        "outcome": str(event.get("errorCode", "Success")).removeprefix("Client."),
        "who": identity.get("arn") or identity.get("invokedBy") or identity.get("type", ""),
        "source_identity": identity.get("sessionContext", {}).get("sourceIdentity", ""),
        "user_agent": event.get("userAgent", ""),
        "names": sorted(
            {
                name
                for part in ("requestParameters", "responseElements", "resources")
                for name in _strings(event.get(part))
            }
        ),
    }


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a document, and the last part of each ARN."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str) and value:
        yield value
        if value.startswith("arn:"):
            yield value.rpartition("/")[2] or value.rpartition(":")[2]

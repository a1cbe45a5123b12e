"""CloudTrail's event history: the API calls that the sandbox got, as LookupEvents tells of them.

Only management events are in it, some time after the call, newest first, at most fifty at once.
Source: CloudTrail API reference, "LookupEvents"; user guide, "CloudTrail record contents", "Viewing recent management
events with the AWS CLI" (an event comes some minutes after its call; only one attribute can be asked for).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runbook_lib.sandbox.backends import ACCOUNT_ID, REGION

MOST_A_PAGE = 50
_DATA_EVENTS = frozenset({"s3"})
_TYPES = {
    "vol": "AWS::EC2::Volume",
    "i": "AWS::EC2::Instance",
    "snap": "AWS::EC2::Snapshot",
    "sg": "AWS::EC2::SecurityGroup",
    "lt": "AWS::EC2::LaunchTemplate",
}
_ID = re.compile(r"^(vol|i|snap|sg|lt)-[0-9a-f]+$")


def events_of(calls: Sequence[Mapping[str, Any]], until: float) -> list[dict[str, Any]]:
    """Return the events of API calls, newest first.

    Args:
        calls: As `CallLog.since`.
        until: Calls after this moment (seconds since 1970) did not arrive yet.

    Returns:
        One event a management call, as LookupEvents has it.
    """
    told = [call for call in calls if call["service"] not in _DATA_EVENTS and _seconds(call) <= until]
    return [_event(call) for call in reversed(told)]


def page(
    events: Sequence[Mapping[str, Any]],
    *,
    begin: float,
    end: float,
    attribute: Mapping[str, str] | None,
    start: int,
    most: int,
) -> dict[str, Any]:
    """Return one answer of LookupEvents.

    Args:
        events: As `events_of`.
        begin: Earliest moment, seconds since 1970.
        end: Latest moment, seconds since 1970.
        attribute: `AttributeKey` and `AttributeValue`, or None.
        start: How many of the events that fit were told already.
        most: How many may be told.

    Returns:
        Keys `Events` and, when there are more, `NextToken`.
    """
    found = [one for one in events if begin <= one["EventTime"] <= end and _fits(one, attribute)]
    told = found[start : start + most]
    more = {"NextToken": str(start + most)} if len(found) > start + most else {}
    return {"Events": told, **more}


def _fits(event: Mapping[str, Any], attribute: Mapping[str, str] | None) -> bool:
    if attribute is None:
        return True
    key, value = attribute["AttributeKey"], attribute["AttributeValue"]
    if key in {"ResourceName", "ResourceType"}:
        return any(one[key] == value for one in event["Resources"])
    return str(event.get(key, "")) == value


def _event(call: Mapping[str, Any]) -> dict[str, Any]:
    event_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{call['number']} {call['request_id']}"))
    reads = "true" if call["kind"] == "read" and call["outcome"] != "DryRunOperation" else "false"
    identity = _identity(call["access_key_id"])
    error = "" if call["outcome"] == "Success" else str(call["outcome"])
    record = {
        "eventVersion": "1.09",
        "userIdentity": identity,
        "eventTime": f"{call['at_utc'][:19]}Z",
        "eventSource": f"{call['service']}.amazonaws.com",
        "eventName": call["operation"],
        "awsRegion": REGION,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": call["user_agent"],
        "requestParameters": {name[:1].lower() + name[1:]: value for name, value in call["target"].items()},
        "requestID": call["request_id"],
        "eventID": event_id,
        "readOnly": reads == "true",
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT_ID,
    } | ({"errorCode": f"Client.{error}" if call["service"] == "ec2" else error} if error else {})
    return {
        "EventId": event_id,
        "EventName": call["operation"],
        "ReadOnly": reads,
        "AccessKeyId": call["access_key_id"],
        "EventTime": int(_seconds(call)),
        "EventSource": record["eventSource"],
        "Username": identity["arn"].rpartition("/")[2],
        "Resources": [
            {"ResourceType": _TYPES.get(value.partition("-")[0] if _ID.match(value) else "", ""), "ResourceName": value}
            for value in call["target"].values()
        ],
        "CloudTrailEvent": json.dumps(record),
    }


def _identity(access_key_id: str) -> dict[str, Any]:
    """Return who an access key belongs to, as STS knows it."""
    from moto.sts.models import sts_backends  # noqa: PLC0415 - the environment is prepared first

    sts = sts_backends[ACCOUNT_ID]["aws"]
    _, arn, account_id = sts.get_caller_identity(access_key_id, REGION)
    known = {"arn": str(arn), "accountId": account_id, "accessKeyId": access_key_id}
    role = sts.get_assumed_role_from_access_key(access_key_id)
    if role is None:
        return known | {"type": "IAMUser", "userName": str(arn).rpartition("/")[2]}
    source = getattr(role, "source_identity", "")
    session: dict[str, Any] = {"sessionIssuer": {"type": "Role", "arn": role.role_arn}}
    return known | {"type": "AssumedRole", "sessionContext": session | ({"sourceIdentity": source} if source else {})}


def _seconds(call: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(call["at_utc"]).timestamp()

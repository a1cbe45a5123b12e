"""Every call that may change something, as botocore tells of it: what nobody goes through `Aws.call` for is seen too.

Hooks into the events of a client. It makes no call and decides nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

_READS = re.compile(r"^(Describe|Get|List|BatchGet|Lookup|Head)[A-Z]")
_NOTE = "runbook_call"


def watch(client: Any, service: str, record: Callable[..., Any], target: Callable[[], str]) -> None:
    """Have every mutating call of a client recorded, once, whether it was answered or not.

    Args:
        client: A boto3 client.
        service: botocore service name.
        record: Called after each call, from the thread that made it, with `service, operation, target, request_id,
            outcome, attempts, duration_s`. The outcome is `Success`, AWS's error code, or the name of the exception
            when no answer came.
        target: Returns what the call under way changes; "" to take it from its arguments.

    Changes:
        The client's event handlers.

    Source: botocore events before-parameter-build, after-call and after-call-error, which see the retries as one call.
    """

    def begin(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[_NOTE] = (target() or _object_of(params), time.monotonic())

    def answered(parsed: Mapping[str, Any], context: dict[str, Any], event_name: str, **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        outcome = parsed.get("Error", {}).get("Code", "Success")
        end(event_name, context, outcome, str(metadata.get("RequestId", "")), int(metadata.get("RetryAttempts", 0)) + 1)

    def lost(exception: Exception, context: dict[str, Any], event_name: str, **_: Any) -> None:
        end(event_name, context, type(exception).__name__, "", None)

    def end(event_name: str, context: dict[str, Any], outcome: str, request_id: str, attempts: int | None) -> None:
        operation = event_name.rpartition(".")[2]
        if _READS.match(operation):
            return
        changed, began = context[_NOTE]
        record(
            service=service,
            operation=operation,
            target=changed,
            request_id=request_id,
            outcome=outcome,
            attempts=attempts,
            duration_s=round(time.monotonic() - began, 3),
        )

    events = client.meta.events
    for name, handler in (("before-parameter-build", begin), ("after-call", answered), ("after-call-error", lost)):
        events.register(f"{name}.*.*", handler)


def _object_of(params: Mapping[str, Any]) -> str:
    """Return the object of an S3 call; whoever calls another service says what it changes."""
    return f"{params['Bucket']}/{params.get('Key', '')}" if "Bucket" in params else ""

"""The record of every AWS API call the sandbox got, in memory and in ``<state>/api.jsonl``.

It proves what a dry run did and did not do. Nothing here decides anything.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.controls import ControlRequest, Controls
from runbook_lib.sandbox.wire import ApiRequest


class CallLog:
    """API calls, oldest first.

    Args:
        path: The file that gets one JSON object per line.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._calls: list[dict[str, Any]] = []

    def record(self, request: ApiRequest, *, request_id: str, status: int, code: str) -> None:
        """Append one call.

        Args:
            request: What was asked.
            request_id: The id in the answer.
            status: The HTTP status of the answer.
            code: The AWS error code, or "" when the call succeeded.

        Changes:
            Writes one line to the file.
        """
        call = {
            "at_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "service": request.service,
            "operation": request.operation,
            "kind": request.kind,
            "mutating": request.kind == "write",
            "target": request.target,
            "request_id": request_id,
            "status": status,
            "outcome": code or ("Success" if status < 400 else "Error"),  # noqa: PLR2004 - HTTP errors begin there
            "access_key_id": request.access_key_id,
            "user_agent": request.user_agent,
        }
        with self._lock:
            call["number"] = len(self._calls) + 1
            self._calls.append(call)
            if not self._file.closed:
                self._file.write(json.dumps(call, sort_keys=True) + "\n")

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the calls after the one with this number, oldest first; 0 gives all."""
        with self._lock:
            return self._calls[number:]

    def register_controls(self, controls: Controls) -> None:
        """Serve the record at ``GET /_sandbox/calls?since=N&kind=write``."""
        controls.add("GET", "/_sandbox/calls", self._show)

    def close(self) -> None:
        """Close the file; later calls are kept in memory only."""
        with self._lock:
            self._file.close()

    def _show(self, request: ControlRequest) -> list[dict[str, Any]]:
        calls = self.since(int(request.query.get("since", "0")))
        kind = request.query.get("kind", "")
        return [call for call in calls if not kind or call["kind"] == kind]

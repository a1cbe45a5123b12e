"""Which writes the sandbox's client had an answer for, and which of them the service can no longer read back."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit


def acknowledged_and_present(sandbox):
    """Return what was acknowledged, oldest first, and the ids that the service has."""
    lines = (sandbox.state_dir / "client" / "acknowledged.jsonl").read_text("utf-8").splitlines()
    acknowledged = [json.loads(line) for line in lines if line.endswith("}")]
    address = urlsplit(sandbox.control("GET", "/_sandbox/client")["service"]).netloc
    connection = HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/entries")
        return acknowledged, set(json.loads(connection.getresponse().read())["ids"])
    finally:
        connection.close()


def lost(sandbox):
    """Return the acknowledged writes that the service has not, oldest first."""
    acknowledged, present = acknowledged_and_present(sandbox)
    return [one for one in acknowledged if one["id"] not in present]

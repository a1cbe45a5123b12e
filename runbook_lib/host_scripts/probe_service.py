"""Ask the service on this very host for a page, as a visitor would, without leaving the host. Changes nothing."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 5
FIRST_ERROR = 400


def main(arguments: dict) -> dict:
    """Return whether the service answers a GET on a port of this host with a status below 400, and what it said."""
    connection = HTTPConnection("127.0.0.1", int(arguments["port"]), timeout=TIMEOUT_S)
    try:
        connection.request("GET", arguments["path"], headers={"User-Agent": "runbook"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return {"answers": False, "status": 0, "error": "%s: %s" % (type(error).__name__, error)}
    finally:
        connection.close()
    return {"answers": status < FIRST_ERROR, "status": status, "error": ""}

"""The writing client: post entries to the guestbook all the time and note every acknowledged id.

Run as a process of its own: ``python writer.py SANDBOX_API SERVICE_PORT ACKNOWLEDGED_FILE LIFELINE``. An id is
written to the file, and the file to disk, only after the service answered 201. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
import uuid
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import IO

PER_SECOND = 20
TIMEOUT_S = 2.0
CREATED = 201
SET_SIGNAL = 10  # fcntl's F_SETSIG on Linux


def main(arguments: list[str]) -> None:
    """Write until SIGTERM, or until nobody holds the lifeline any more."""
    api, port, path, lifeline = arguments
    hold(lifeline)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name = uuid.uuid4().hex[:8]
    connection: HTTPConnection | None = None
    number = 0
    with open(path, "a", encoding="utf-8") as acknowledged:  # noqa: PTH123 - one plain file
        while True:
            began = time.monotonic()
            number += 1
            entry_id = f"client-{name}-{number:07d}"
            try:
                connection = connection or connect(api, int(port))
                if connection is not None and post(connection, entry_id):
                    note(acknowledged, entry_id)
            except (OSError, HTTPException, ValueError):
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(max(0.0, 1 / PER_SECOND - (time.monotonic() - began)))


def hold(lifeline: str) -> None:
    """Let the kernel kill this process when the sandbox's daemon has gone."""
    descriptor = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, SET_SIGNAL, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    with suppress(BlockingIOError):  # nothing to read: the daemon is there
        os.read(descriptor, 1)
        sys.exit("the sandbox ended before the client began")


def connect(api: str, port: int) -> HTTPConnection | None:
    """Return a connection to whichever container publishes the service now, None when none does."""
    asking = HTTPConnection(api, timeout=TIMEOUT_S)
    try:
        asking.request("GET", f"/_sandbox/resolve?port={port}")
        addresses = json.loads(asking.getresponse().read())["addresses"]
    finally:
        asking.close()
    return HTTPConnection(addresses[0][0], addresses[0][1], timeout=TIMEOUT_S) if addresses else None


def post(connection: HTTPConnection, entry_id: str) -> bool:
    """Write one entry; return whether the service says that it is on disk."""
    body = json.dumps({"id": entry_id, "text": f"written by the client as {entry_id}"})
    connection.request("POST", "/entries", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status == CREATED


def note(acknowledged: IO[str], entry_id: str) -> None:
    """Append an acknowledged id and bring it to disk."""
    line = json.dumps({"id": entry_id, "at": round(time.time(), 3)}) + "\n"
    acknowledged.write(line)
    acknowledged.flush()
    os.fsync(acknowledged.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])

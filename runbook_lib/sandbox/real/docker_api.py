"""The Docker Engine API of one host, over its unix socket. Knows HTTP and Docker's errors, nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from runbook_lib.sandbox.containers import EngineError

VERSION = "v1.41"
ERROR, NOT_MODIFIED = 400, 304
HEADER_BYTES = 8


class _Connection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerApi:
    """One dockerd.

    Args:
        where: Returns the path of its socket, which changes with each boot of the host.
    """

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where

    def call(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, *, timeout_s: float = 120.0
    ) -> Any:
        """Make one call and return its JSON, None for an empty answer.

        Raises:
            EngineError: Docker refused, with its words, or is not there.
        """
        text = self.raw(method, path, query, body, timeout_s=timeout_s)
        return json.loads(text) if text.strip() else None

    def raw(
        self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None, *, timeout_s: float = 120.0
    ) -> bytes:
        """Make one call and return the bytes of its answer; EngineError as ``call``."""
        connection = _Connection(self._where(), timeout_s)
        address = f"/{VERSION}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, address, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            raise EngineError(f"Cannot connect to the Docker daemon: {error}") from error
        finally:
            connection.close()
        if answer.status >= ERROR:
            raise EngineError(_message(answer, text))
        return text

    def pull(self, reference: str) -> None:
        """Pull an image.

        Raises:
            EngineError: The registry does not have it, or is not there.
        """
        name, _, tag = reference.rpartition(":") if ":" in reference.rpartition("/")[2] else (reference, "", "latest")
        if "@" in reference:
            name, _, tag = reference.partition("@")
            name = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
        text = self.raw("POST", "/images/create", {"fromImage": name, "tag": tag}, timeout_s=600.0)
        for line in text.splitlines():
            said = json.loads(line)
            if "error" in said:
                raise EngineError(str(said["error"]))

    def events(self, filters: dict[str, list[str]], since_s: int) -> Iterator[dict[str, Any]]:
        """Yield what happened since a moment (Unix time), and then what happens, until dockerd ends."""
        connection = _Connection(self._where(), None)
        try:
            query = urlencode({"since": since_s, "filters": json.dumps(filters)})
            connection.request("GET", f"/{VERSION}/events?{query}")
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)
        except (OSError, HTTPException):
            return  # dockerd or the whole host has gone
        finally:
            connection.close()

    def logs(self, container_id: str) -> bytes:
        """Return everything a container printed, both streams in order."""
        query = {"stdout": 1, "stderr": 1}
        return b"".join(_frames(self.raw("GET", f"/containers/{container_id}/logs", query)))


def quoted(name: str) -> str:
    """Return a name as a part of a path; plugin and image names keep their slashes."""
    return quote(name, safe="/:@")


def _message(answer: HTTPResponse, text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}: {text[:400].decode(errors='replace')}"


def _frames(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of Docker's multiplexed stream."""
    while len(data) >= HEADER_BYTES:
        length = int.from_bytes(data[4:HEADER_BYTES], "big")
        yield data[HEADER_BYTES : HEADER_BYTES + length]
        data = data[HEADER_BYTES + length :]

"""The sandbox's own HTTP paths, ``/_sandbox/...``: a small registry and its JSON wire form.

Knows nothing of AWS. Handlers run in the thread of their request and without ``World.lock``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

log = logging.getLogger(__name__)

PREFIX = "/_sandbox/"
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class ControlError(Exception):
    """A control request that cannot be answered.

    Args:
        status: The HTTP status code.
        message: What is wrong and what to do instead.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class ControlRequest:
    """One request to a control path.

    Args:
        method: ``GET``, ``POST`` or ``DELETE``.
        path: The whole path.
        parts: The values of the pattern's ``{name}`` parts.
        query: The query string, last value of each name.
        body: The decoded JSON body; an empty mapping when there is none.
    """

    method: str
    path: str
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


Handler = Callable[[ControlRequest], Any]


class Controls:
    """The registered control paths."""

    def __init__(self) -> None:
        self._handlers: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Register a handler.

        Args:
            method: The HTTP method it answers.
            pattern: A path such as ``/_sandbox/hosts/{instance_id}/call``; ``{name}`` matches up to the next ``/``.
            handler: Gets the request and returns something JSON-able.
        """
        expression = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(pattern))
        self._handlers.append((method, re.compile(expression), handler))

    def answer(self, environ: Mapping[str, Any], body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one WSGI request for a control path."""
        try:
            status, answer = 200, self._call(environ, body)
        except ControlError as error:
            status, answer = error.status, {"error": str(error)}
        except Exception as error:
            log.exception("control request %s failed", environ.get("PATH_INFO"))
            status, answer = 500, {"error": f"{type(error).__name__}: {error}"}
        text = json.dumps(answer, sort_keys=True, default=str).encode()
        start_response(f"{status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    def _call(self, environ: Mapping[str, Any], body: bytes) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        for known_method, expression, handler in self._handlers:
            match = expression.fullmatch(path)
            if known_method == method and match:
                query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
                return handler(ControlRequest(method, path, match.groupdict(), query, _json_object(body)))
        raise ControlError(404, f"the sandbox has no control path {method} {path}")


def _json_object(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ControlError(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ControlError(400, f"the body must be a JSON object, got {type(value).__name__}")
    return value

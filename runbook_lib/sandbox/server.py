"""The HTTP server: moto's dispatcher behind one lock, beside the sandbox's control paths.

It turns what moto cannot do into HTTP 400 ``InvalidAction`` in the caller's wire format (Terraform's provider
retries a 500 for minutes) and records every call. It knows no AWS rule; those live in ``patches``.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from runbook_lib.sandbox.authorization import Authorization
from runbook_lib.sandbox.calls import CallLog
from runbook_lib.sandbox.client_tokens import Answer, ClientTokens
from runbook_lib.sandbox.controls import PREFIX, Controls, StartResponse
from runbook_lib.sandbox.wire import ApiRequest, error_answer, error_code, read_request

log = logging.getLogger(__name__)

Metadata = Callable[[str, str, Mapping[str, str], str], tuple[int, str]]
"""Answers a request to the instance metadata service: method, path, headers and caller's address to status and body."""

# These copy the files of a volume at the moment of the call, which takes as long as it takes; they lock by themselves.
UNLOCKED = frozenset({("ec2", "CreateSnapshot"), ("ec2", "CreateSnapshots"), ("ec2", "CopyVolumes")})

_ANSWER_BYTES = 1 << 16

# Source: EC2 API error codes, "Server error codes"; "Common errors" of the other services.
_SERVER_ERRORS = {
    "InternalError": "500 Internal Server Error",
    "InternalFailure": "500 Internal Server Error",
    "ServerException": "500 Internal Server Error",
    "InternalServerError": "500 Internal Server Error",
    "RequestLimitExceeded": "503 Service Unavailable",
    "ServiceUnavailable": "503 Service Unavailable",
    "Unavailable": "503 Service Unavailable",
}
_REFUSED = {"UnauthorizedOperation": "403 Forbidden", "AccessDenied": "403 Forbidden"}


class Interference(Protocol):
    """Disturbs calls, as faults of the sandbox do."""

    def refuse(self, request: ApiRequest) -> tuple[str, str] | None:
        """Return error code and message of a call that AWS never sees, for example ``Throttling``; may wait first."""
        ...

    def around(self, request: ApiRequest) -> AbstractContextManager[None]:
        """Return what is held while AWS works on a call."""
        ...

    def lose(self, request: ApiRequest) -> tuple[str, str] | None:
        """Return the error that takes the place of a successful call's answer."""
        ...

    def answered(self, request: ApiRequest) -> None:
        """Take note of a call whose answer is ready."""
        ...


class Application:
    """The WSGI application of the sandbox.

    Args:
        lock: ``World.lock``, held while moto works on a request.
        controls: The control paths.
        calls: The record of API calls.
    """

    def __init__(self, lock: AbstractContextManager[Any], controls: Controls, calls: CallLog) -> None:
        self.interference: Interference | None = None
        self.authorization = Authorization(lock)
        self.metadata: Metadata | None = None
        self._lock = lock
        self._controls = controls
        self._calls = calls
        self._tokens = ClientTokens(_error)
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = _read_body(environ)
        path = environ.get("PATH_INFO", "")
        if path.startswith(PREFIX):
            return self._controls.answer(environ, body, start_response)
        if path.startswith("/latest/") and self.metadata:
            return _answer_metadata(self.metadata, environ, start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        request = read_request(environ, body)
        status, headers, text = _with_request_id(*self._answer(request, environ))
        code = error_code(text) if status[0] in "45" else ""
        request_id = next((value for name, value in headers if name.lower() == "x-amzn-requestid"), "")
        self._calls.record(request, request_id=request_id, status=int(status.split()[0]), code=code)
        if self.interference:
            self.interference.answered(request)
        start_response(status, headers)
        return [text]

    def _answer(self, request: ApiRequest, environ: dict[str, Any]) -> Answer:
        forbidden = self._judge(request)
        if forbidden:
            status, headers, text = _error(request, *forbidden)
            return status, headers, b"" if request.operation.startswith("HEAD ") else text
        disturbed = self.interference
        refused = disturbed.refuse(request) if disturbed else None
        if refused:
            return _error(request, *refused)
        answer = self._tokens.once(request, lambda: self._ask_moto(request, environ))
        lost = disturbed.lose(request) if disturbed and answer[0].startswith("2") else None
        return _error(request, *lost) if lost else answer

    def _judge(self, request: ApiRequest) -> tuple[str, str] | None:
        try:
            return self.authorization.refuse(request)
        except Exception as error:
            log.exception("not judged: %s %s", request.service, request.operation)
            return "SandboxDefect", f"IAM could not judge the call: {type(error).__name__}: {error} (see daemon.log)"

    def _ask_moto(self, request: ApiRequest, environ: dict[str, Any]) -> Answer:
        if environ.get("PATH_INFO", "").startswith("/moto-api"):
            return _error(request, "InvalidAction", "moto's own API is switched off in the sandbox")
        unlocked = (request.service, request.operation) in UNLOCKED
        try:
            with nullcontext() if unlocked else self._lock, self._around(request):
                return _run(self._moto, environ)
        except NotImplementedError as error:
            log.warning("not available: %s %s: %s", request.service, request.operation, error)
            message = f"the sandbox does not have {request.service} {request.operation}: {error}"
            return _error(request, "InvalidAction", message)
        except Exception as error:
            # A defect of the sandbox or of moto: say so at once instead of letting clients retry a 500.
            log.exception("failed: %s %s %s", request.service, request.operation, dict(request.target))
            return _error(request, "SandboxDefect", f"{type(error).__name__}: {error} (see daemon.log)")

    def _around(self, request: ApiRequest) -> AbstractContextManager[None]:
        return self.interference.around(request) if self.interference else nullcontext()


class Server:
    """The listening socket and the thread that serves it.

    Args:
        listening: A bound, listening socket on loopback.
        application: What answers.
    """

    def __init__(self, listening: socket.socket, application: Callable[..., Iterable[bytes]]) -> None:
        host, port = listening.getsockname()[:2]
        self._server: BaseWSGIServer = make_server(
            host, port, application, threaded=True, request_handler=_Handler, fd=listening.fileno()
        )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self) -> None:
        """Begin to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and close the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()


class _Handler(MotoRequestHandler):  # type: ignore[misc, unused-ignore]
    """Moto's request handler that sends an answer of up to 64 KiB as one; its log lines are those of ``api.jsonl``.

    Head and body in two segments were dangerous on a busy machine: Terraform's provider sometimes closed the connection
    when it had the head alone, and asked again for what was already done.
    """

    wbufsize = _ANSWER_BYTES

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback.

    Args:
        port: The port, or 0 for any free one.

    Raises:
        OSError: The port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _answer_metadata(metadata: Metadata, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    path, caller = environ["PATH_INFO"], environ.get("REMOTE_ADDR", "")
    status, text = metadata(environ["REQUEST_METHOD"], path, headers, caller)
    body = text.encode()
    start_response(f"{status} -", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _read_body(environ: dict[str, Any]) -> bytes:
    stream = environ["wsgi.input"]
    if environ.get("CONTENT_LENGTH"):
        return bytes(stream.read(int(environ["CONTENT_LENGTH"])))
    return bytes(stream.read()) if environ.get("wsgi.input_terminated") else b""


def _run(application: Any, environ: dict[str, Any]) -> Answer:
    """Run a WSGI application to its end and return status line, headers and body."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        started[:] = [status, headers]

    chunks = application(environ, start_response)
    try:
        text = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    return started[0], list(started[1]), text


def _with_request_id(status: str, headers: list[tuple[str, str]], text: bytes) -> Answer:
    """Put the request id of the headers into the body as well, where moto writes the same words into each answer."""
    request_id = next((value for name, value in headers if name.lower() == "x-amzn-requestid"), "")
    body = re.sub(rb"(?i)(?<=<requestid>)request-id(?=</requestid>)", request_id.encode(), text, count=1)
    others = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return (status, headers, text) if body == text else (status, [*others, ("Content-Length", str(len(body)))], body)


def _error(request: ApiRequest, code: str, message: str) -> Answer:
    headers, text = error_answer(request.protocol, code, message, str(uuid.uuid4()))
    return (
        (_SERVER_ERRORS | _REFUSED).get(code, "400 Bad Request"),
        [*headers, ("Content-Length", str(len(text)))],
        text,
    )

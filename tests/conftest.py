"""Fixtures for every test: a running sandbox, shared by a module, or as many fresh ones as a test asks for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from runbook_lib import execute_imports  # noqa: F401 - before the tests import nbformat: it saves each worker a second
from runbook_lib.adapters.aws import Aws
from runbook_lib.sandbox import lifecycle
from tests import nursery

ACCESS_KEY_ID = "AKIATESTS00000000000"
PARAMETERS = {"rexray": "parameters.yaml", "host_mount": "parameters-host-mount.yaml"}
"""The storage drivers, and the file in which a sandbox has the migration with each."""
# Terraform and its provider live for a few seconds each: collecting garbage rarely saves a fifth of their CPU time
os.environ.setdefault("GOGC", "400")


def pytest_configure() -> None:
    """Heed Ctrl-C, which some tests send: what a shell starts in the background ignores it, and so do its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that no worker begins one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class RunningSandbox:
    """One running sandbox, as tests use it.

    Args:
        info: Where it is.
        driver: With which storage driver its migration is.
    """

    def __init__(self, info: lifecycle.SandboxInfo, driver: str = "rexray") -> None:
        self.info = info
        self.endpoint_url = info.endpoint_url
        self.state_dir = info.state_dir
        self.parameters_path = info.parameters_path.with_name(PARAMETERS[driver])
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return a boto3 client that never retries, so that a test sees the first answer."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint_url,
                region_name="us-east-1",
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key="not-secret",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    def session(self, **options: Any) -> Aws:
        """Return a session of the library with this sandbox, as its operator."""
        credentials = self.state_dir / "credentials"
        known = {"endpoint_url": self.endpoint_url, "profile": "sandbox", "credentials_file": credentials}
        return Aws(region="us-east-1", **known, **options)

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a control path and return its JSON."""
        return self.info.control(method, path, body)

    def stop(self) -> None:
        """Close the clients and stop the sandbox."""
        for client in self._clients.values():
            client.close()
        lifecycle.stop(self.state_dir)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """Return a sandbox with ``fast`` latency, shared by the tests of a module."""
    running = RunningSandbox(nursery.start(tmp_path_factory.mktemp("sandbox"), latency="fast"))
    yield running
    running.stop()


@pytest.fixture
def start_sandbox(tmp_path: Path) -> Iterator[Callable[..., RunningSandbox]]:
    """Return a function that starts a fresh sandbox: ``start_sandbox(latency="none")``."""
    started: list[RunningSandbox] = []

    def start(latency: str = "fast", driver: str = "rexray", **options: Any) -> RunningSandbox:
        folder = tmp_path / f"sandbox-{len(started)}"
        started.append(RunningSandbox(nursery.start(folder, latency=latency, **options), driver))
        return started[-1]

    yield start
    for running in started:
        with suppress(OSError):
            running.stop()


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Return a function that asks until the answer is true and returns it; it fails after a deadline."""

    def wait(ask: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
        deadline = time.monotonic() + timeout_s
        while True:
            answer = ask()
            if answer:
                return answer
            if time.monotonic() > deadline:
                pytest.fail(f"after {timeout_s:g} s still not so: {what}")
            time.sleep(0.02)

    return wait


class Answer(BaseHTTPRequestHandler):
    """A service that is up."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        """Say nothing."""


@pytest.fixture
def url():
    """Return the address of a service that is up."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that makes a desk under a policy of approvals."""
    from runbook_lib import run_approval
    from tests.approval_desk import Desk

    def make(**policy: Any) -> Desk:
        made = Desk(tmp_path, **policy)
        monkeypatch.setattr(run_approval, "own_session", made.session)
        return made

    return make

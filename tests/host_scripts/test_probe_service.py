"""A service on the host is asked as a visitor would ask it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Page(BaseHTTPRequestHandler):
    """Answers /health well, everything else with 503."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        """Write nothing."""


@pytest.fixture
def port():
    """Return the port of a small service on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_service_that_answers(host, port):
    """A status below 400 counts as an answer."""
    assert host.result("probe_service", port=port, path="/health") == {"answers": True, "status": 200, "error": ""}


def test_a_service_that_is_unwell(host, port):
    """A page that says 503 is no answer, and the status is told."""
    answer = host.result("probe_service", port=port, path="/")
    assert (answer["answers"], answer["status"]) == (False, 503)


def test_a_port_where_nobody_listens(host, port):
    """Nobody there is a result, not an error of the script: whoever waits looks again."""
    answer = host.result("probe_service", port=1, path="/")
    assert (answer["answers"], answer["status"]) == (False, 0)
    assert "refused" in answer["error"].lower()

"""The volume plugin's process on a real host: Docker's volume plugin protocol on a unix socket.

It carries each request to the sandbox, where REX-Ray's rules are, and hands the answer back to dockerd. Runs alone in
the plugin's own root; standard library only. Source: Docker, "Docker volume plugins", "Plugins API".
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler

SOCKET = "/run/docker/plugins/rexray.sock"
MOUNTED = "/var/lib/rexray"
SANDBOX = "169.254.169.254"
TYPE = "application/vnd.docker.plugins.v1+json"
LONGEST_S = 300
PROCESS = os.urandom(8).hex()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A threading HTTP server on a unix socket."""

    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """Answers dockerd."""

    def do_POST(self) -> None:
        """Answer one call."""
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        call = self.path.lstrip("/")
        if call == "Plugin.Activate":
            answer: dict[str, object] = {"Implements": ["VolumeDriver"]}
        elif call == "VolumeDriver.Capabilities":
            answer = {"Capabilities": {"Scope": "global"}}
        else:
            answer = ask(call, given)
        text = json.dumps(answer).encode()
        self.send_response(500 if answer.get("Err") else 200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        """Return a name; a unix socket has no address."""
        return "dockerd"

    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""


def ask(call: str, given: dict[str, object]) -> dict[str, object]:
    """Carry a call to the sandbox with the plugin's id and settings."""
    body = {"call": call, "given": given, "plugin": plugin_id(), "process": PROCESS, "env": dict(os.environ)}
    connection = HTTPConnection(SANDBOX, timeout=LONGEST_S)
    try:
        connection.request("POST", "/_sandbox/volume-plugin", json.dumps(body), {"Content-Type": "application/json"})
        answer: dict[str, object] = json.loads(connection.getresponse().read())
    except (OSError, ValueError) as error:
        return {"Err": f"the sandbox does not answer: {error}"}
    finally:
        connection.close()
    return answer


def plugin_id() -> str:
    """Return the id under which dockerd keeps this plugin: a folder above what is mounted here."""
    with open("/proc/self/mountinfo") as table:  # noqa: PTH123 - one plain file
        for line in table:
            root, target = line.split(" ")[3:5]
            if target == MOUNTED:
                return root.rstrip("/").split("/")[-2]
    return ""


def main() -> None:
    """Serve until the end."""
    os.makedirs(os.path.dirname(SOCKET), exist_ok=True)  # noqa: PTH103, PTH120 - no pathlib needed
    with suppress(FileNotFoundError):
        os.unlink(SOCKET)  # noqa: PTH108
    socket.setdefaulttimeout(LONGEST_S)
    with Server(SOCKET, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()

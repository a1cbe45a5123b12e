"""A sandbox's world in the test's own process: hosts and volumes, the control paths, no AWS API."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from runbook_lib.sandbox.commands.call import Call
from runbook_lib.sandbox.commands.dispatch import dispatch
from runbook_lib.sandbox.controls import Controls
from runbook_lib.sandbox.hosts import Host
from runbook_lib.sandbox.latency import Latency
from runbook_lib.sandbox.processes import CommandResult
from runbook_lib.sandbox.world import InstanceLaunch, World, register_controls

DEADLINE_S = 20.0


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Write nothing for each request."""


class TestWorld:
    """One world with its control server.

    Args:
        folder: Its state directory.
    """

    __test__ = False

    def __init__(self, folder: Path) -> None:
        controls = Controls()

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return controls.answer(environ, body, start_response)

        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.world = World(folder, self._server.port, Latency.named("none"))
        register_controls(self.world, controls)
        self._numbers = itertools.count(10)

    def host(self, user_data: str = "", **facts: Any) -> Host:
        """Start a host and wait until it has booted."""
        host = self.launch(user_data, **facts)
        wait_for(lambda: host.booted and host.ssm_online)
        return host

    def launch(self, user_data: str = "", **facts: Any) -> Host:
        """Start a host; it may still boot."""
        number = next(self._numbers)
        port = self.world.port
        given = {
            "instance_id": f"i-{number:017x}",
            "availability_zone": "us-east-1a",
            "image_id": "ami-test",
            "instance_type": "t3.small",
            "address": f"127.{port >> 8}.{port & 255}.{number}",
        }
        launch = InstanceLaunch(**{**given, **facts}, user_data=user_data)
        self.world.start_instance(launch)
        return self.world.hosts[launch.instance_id]

    def volume(self, host: Host, mount_path: str = "", fstype: str = "ext4") -> str:
        """Make a volume, plug it into a host as /dev/sdf, g, h..., mount it when a path is given; returns its id."""
        number = next(self._numbers)
        volume_id = f"vol-{number:017x}"
        self.world.volumes.create(volume_id, 8)
        if fstype:
            self.world.volumes.format(volume_id, fstype)
        device = f"/dev/sd{'fghijklmnop'[len(host.devices.disks())]}"
        self.world.attach(volume_id, host.instance_id, device)
        if mount_path:
            host.real_path(mount_path).mkdir(parents=True, exist_ok=True)
            ok(host, "mount", device, mount_path)
        return volume_id

    def close(self) -> None:
        """End everything."""
        self.world.shutdown()
        self._server.shutdown()
        self._thread.join(DEADLINE_S)
        self._server.server_close()


def command(host: Host, *argv: str) -> CommandResult:
    """Run a host command without starting a process for it."""
    return dispatch(argv[0], Call(host, list(argv[1:])))


def ok(host: Host, *argv: str) -> str:
    """Run a host command that must succeed; returns what it printed."""
    result = command(host, *argv)
    assert result.exit_code == 0, (argv, result)
    return result.stdout


def python(host: Host, text: str, *arguments: str) -> str:
    """Run Python on a host, as a real process; returns what it printed."""
    result = host.run(["python3", "-c", text, *arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout.rstrip("\n")


def wait_for(ask: Callable[[], Any], timeout_s: float = DEADLINE_S) -> Any:
    """Ask until the answer is true and return it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"still not so after {timeout_s} s")

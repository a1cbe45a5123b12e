"""The process of one sandbox: ``python -m runbook_lib.sandbox.daemon``.

It wires world, AWS API, estate and reconcilers together, says when it is ready, and ends with everything it started
when its lifeline is cut, on SIGTERM or on SIGINT. It decides nothing else.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import state_dir as directory
from runbook_lib.sandbox.backends import ACCOUNT_ID, REGION, prepare_environment
from runbook_lib.sandbox.latency import Latency

if TYPE_CHECKING:
    from runbook_lib.sandbox.tiers import Tier

log = logging.getLogger(__name__)

_ENDING_S = 20.0
_NOT_STARTED = 3


class Sandbox:
    """One running sandbox.

    Args:
        state_dir: Its directory, prepared and held by this process.
        listening: The socket of its AWS API.
        latency: The name of its latency figures.
        hosts: The tier of its hosts.

    Raises:
        SandboxError: This machine lacks what the tier needs.
    """

    def __init__(self, state_dir: Path, listening: socket.socket, latency: str, hosts: str = "simulated") -> None:
        # Imported here: moto reads the environment when it is imported.
        from runbook_lib.sandbox import metadata, patches  # noqa: PLC0415
        from runbook_lib.sandbox.calls import CallLog  # noqa: PLC0415
        from runbook_lib.sandbox.controls import Controls  # noqa: PLC0415
        from runbook_lib.sandbox.groups import Groups  # noqa: PLC0415
        from runbook_lib.sandbox.scheduler import Scheduler  # noqa: PLC0415
        from runbook_lib.sandbox.server import Application, Server  # noqa: PLC0415
        from runbook_lib.sandbox.transitions import Transitions  # noqa: PLC0415
        from runbook_lib.sandbox.world import World  # noqa: PLC0415

        self.port = int(listening.getsockname()[1])
        self.latency = latency
        self.began = time.monotonic()
        self.world = World(state_dir, self.port, Latency.named(latency), _tier(hosts, state_dir))
        self.transitions = Transitions()
        self.calls = CallLog(state_dir / "api.jsonl")
        self.controls = Controls()
        self.application = Application(self.world.lock, self.controls, self.calls)
        self.world.application = self.application
        self.application.metadata = lambda *request: metadata.answer(self.world, *request)
        self.patched = patches.apply(self.world, self.transitions, self.calls)
        self.groups = Groups(self.world)
        self.scheduler = Scheduler(self.world, self.groups)
        self.server = Server(listening, self.application)
        self.ready = False

    def begin(self, estate_options: Sequence[str]) -> None:
        """Serve, build the estate, start the reconcilers, and say that the sandbox is ready."""
        from runbook_lib.sandbox.estate import build  # noqa: PLC0415

        self._register_controls()
        self.server.start()
        # The reconcilers start after the estate: they draw ids too, and its ids must be the same everywhere.
        build(self.world, estate_options)
        self.groups.start()
        self.scheduler.start()
        self.ready = True
        directory.write_daemon(self.world.state_dir, self.facts())

    def facts(self) -> dict[str, Any]:
        """Return what ``daemon.json`` and ``GET /_sandbox/status`` say."""
        return {
            "ready": self.ready,
            "pid": os.getpid(),
            "port": self.port,
            "endpoint_url": self.world.endpoint_url,
            "account_id": ACCOUNT_ID,
            "region": REGION,
            "latency": self.latency,
            "host_tier": self.world.tier.name,
            "state_dir": str(self.world.state_dir),
            "parameters_path": str(self.world.state_dir / directory.PARAMETERS_FILE),
        }

    def end(self) -> None:
        """Stop answering and end every process this sandbox started."""
        self.transitions.end()
        self.groups.stop()
        self.scheduler.stop()
        self.world.shutdown()  # first: a volume plugin that lets go of its volume still asks the API
        self.server.stop()
        self.calls.close()

    def _register_controls(self) -> None:
        from runbook_lib.sandbox import faults_controls, machine_images, state, volume_controls, world  # noqa: PLC0415

        self.controls.add("GET", "/_sandbox/status", lambda _request: self._status())
        self.calls.register_controls(self.controls)
        machine_images.register_controls(self.controls)
        state.register_controls(self.world, self.controls)
        self.application.authorization.register_controls(self.controls)
        world.register_controls(self.world, self.controls)
        volume_controls.register_controls(self.world, self.controls)
        faults_controls.register(self.world, self.patched, self.application, self.transitions, self.controls)

    def _status(self) -> dict[str, Any]:
        from runbook_lib.sandbox.hosts_base import facts_of  # noqa: PLC0415 - it imports the whole world

        hosts = {host.instance_id: facts_of(host) for host in list(self.world.hosts.values())}
        return self.facts() | {"uptime_s": round(time.monotonic() - self.began, 3), "hosts": hosts}


def _tier(name: str, state_dir: Path) -> Tier | None:
    if name != "real":
        return None
    from runbook_lib.sandbox.real.tier import RealTier  # noqa: PLC0415 - only Linux has what it imports

    return RealTier(state_dir)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until it is told to end.

    Args:
        arguments: The command line without the program, or None for this process's.

    Returns:
        0 after an ordered end, 3 when it could not start.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    prepare_environment()
    try:
        if not (options.state / directory.MARK).exists():
            directory.prepare(options.state)
        handle = directory.hold(options.state)
    except SandboxError as error:
        log.error("%s", error)
        return _NOT_STARTED
    with handle:
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    from runbook_lib.sandbox.server import listen  # noqa: PLC0415 - it imports moto

    told = threading.Event()
    if options.hosts == "real":
        from runbook_lib.sandbox.real import kernel, requirements  # noqa: PLC0415 - only Linux has what it imports

        if refusal := requirements.refusal():
            log.error("%s", refusal)
            return _NOT_STARTED
        kernel.own_mounts()  # before there is another thread: they inherit it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_arguments: told.set())
    if options.lifeline_fd >= 0:
        threading.Thread(target=_watch_lifeline, args=(options.lifeline_fd, told), daemon=True).start()
    try:
        listening = listen(options.port)
    except OSError as error:
        log.error("port %s on 127.0.0.1 is taken (%s). Choose another with --port, or --port 0.", options.port, error)
        return _NOT_STARTED
    with listening:
        try:
            sandbox = Sandbox(options.state, listening, options.latency, options.hosts)
        except SandboxError as error:
            log.error("%s", error)
            return _NOT_STARTED
        try:
            sandbox.begin(options.estate_option)
            log.info("ready on %s", sandbox.world.endpoint_url)
            told.wait()
        except Exception:
            log.exception("the sandbox could not start")
            return _NOT_STARTED
        finally:
            _end_in_time(sandbox)
    return 0


def _end_in_time(sandbox: Sandbox) -> None:
    """End the sandbox, and the process itself when that takes too long."""
    alarm = threading.Timer(_ENDING_S, os._exit, args=(1,))
    alarm.daemon = True
    alarm.start()
    sandbox.end()
    alarm.cancel()


def _watch_lifeline(descriptor: int, told: threading.Event) -> None:
    """Wait until whoever started this sandbox lets go of the other end of the pipe, which its death does too."""
    while os.read(descriptor, 1):
        pass
    told.set()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runbook_lib.sandbox.daemon", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory, made when it is missing")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--latency", default="fast", choices=["aws", "fast", "none"])
    parser.add_argument("--hosts", default="simulated", choices=["simulated", "real"], help="tier of the hosts")
    parser.add_argument("--lifeline-fd", type=int, default=-1, help="inherited pipe; end of file ends the sandbox")
    parser.add_argument("--estate-option", action="append", default=[], help="passed to the estate as it is")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    # An interpreter that ends takes moto's objects apart one by one: a second of CPU, and nobody sees the difference.
    os._exit(exit_code)

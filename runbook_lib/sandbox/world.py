"""The world behind the emulated AWS API: hosts, volumes with files, images, processes.

moto knows what exists in AWS; this module holds what moto has not. It writes below the state directory only
and ends only processes that it started.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.guest_files import install_guest
from runbook_lib.sandbox.guest_processes import ForkServer
from runbook_lib.sandbox.hosts_base import BaseHost
from runbook_lib.sandbox.images import ImageRegistry
from runbook_lib.sandbox.instance_launch import InstanceLaunch
from runbook_lib.sandbox.processes import CommandResult, Lifeline
from runbook_lib.sandbox.tiers import SimulatedTier, Tier

if TYPE_CHECKING:
    from runbook_lib.sandbox.latency import Latency

__all__ = ["BaseHost", "CommandResult", "InstanceLaunch", "World", "register_controls"]

Strikes = Callable[..., bool]
"""Gets the name of a fault and the names of what it might hit."""

ACCOUNT_ID = "012345678901"
REGION = "us-east-1"


class World:
    """Everything of one sandbox that is not an AWS object.

    ``lock`` is held for short state changes only: never while waiting, running a process or calling HTTP.

    Args:
        state_dir: Folder that holds everything the sandbox writes.
        port: Port of the AWS API on 127.0.0.1.
        latency: How long transitions take.
        tier: What hosts and volumes are made of; None for simulated ones.
    """

    def __init__(self, state_dir: Path, port: int, latency: Latency, tier: Tier | None = None) -> None:
        self.tier: Tier = tier or SimulatedTier()
        self.state_dir = state_dir.resolve()
        self.port = port
        self.latency = latency
        self.account_id = ACCOUNT_ID
        self.region = REGION
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.hosts: dict[str, BaseHost] = {}
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.guest_dir = install_guest(self.state_dir / "guest")
        self.lifeline = Lifeline(self.guest_dir / "lifeline")
        self.forks = ForkServer(self.guest_dir, self.state_dir, f"127.0.0.1:{port}")
        self.images = ImageRegistry()
        self.volumes = self.tier.volumes(self)
        self.client: Any = None
        self.application: Any = None
        """What answers the AWS API, for hosts that reach it in a network of their own."""
        self.strikes: Strikes = _nothing_strikes
        """Asked whenever something may go wrong on a host; answers True while a fault of the sandbox is on."""
        self._events = threading.Lock()
        self._next_container_address = 0

    def host(self, instance_id: str) -> BaseHost:
        """Return a host that has power.

        Raises:
            LookupError: There is none, or it is down.
        """
        host = self.hosts.get(instance_id)
        if host is None or not host.powered:
            raise LookupError(f"there is no running host {instance_id}")
        return host

    def start_instance(self, launch: InstanceLaunch) -> None:
        """Give a host power; it boots in a thread of its own.

        Args:
            launch: What EC2 knows of the instance. A host that existed before keeps its folder.

        Changes:
            The host's folder, and a thread that boots it.
        """
        with self.lock:
            host = self.hosts.get(launch.instance_id)
            if host is None:
                host = self.hosts[launch.instance_id] = self.tier.host(self, launch)
        host.power_on(launch)
        self.record("host-started", instance_id=launch.instance_id)

    def stop_instance(self, instance_id: str, *, graceful: bool) -> None:
        """Take the power of a host; returns when its processes have ended and its mounts are gone.

        Args:
            instance_id: The host; one that does not exist or is down is left alone.
            graceful: Stop containers with their grace period first, as an operating system that shuts down.
        """
        host = self.hosts.get(instance_id)
        if host is not None and host.powered:
            host.power_off(graceful=graceful)
            self.record("host-stopped", instance_id=instance_id, graceful=graceful)

    def terminate_instance(self, instance_id: str) -> None:
        """Take the power of a host for good and delete its folder."""
        self.stop_instance(instance_id, graceful=True)
        with self.lock:
            host = self.hosts.pop(instance_id, None)
        if host is not None:
            host.delete()
            self.record("host-terminated", instance_id=instance_id)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Make a volume's device appear on a host; EC2 calls it when the attachment became ``attached``."""
        host = self.hosts.get(instance_id)
        if host is not None:
            host.devices.plug(volume_id, device)
            self.record("device-appeared", instance_id=instance_id, volume_id=volume_id, device=device)

    def detach(self, volume_id: str) -> None:
        """Make a volume's device vanish from whichever host has it, mounted or not.

        A mount that is still there is torn away, as by a forced detach: containers that have it see nothing there any
        more, and whoever held a file of it open is ended.
        """
        for host in list(self.hosts.values()):
            if host.devices.unplug(volume_id):
                for mount in host.mounts.of_volume(volume_id):
                    host.engine.tear_away(mount.real)
                host.mounts.tear_away(volume_id)
                self.record("device-vanished", instance_id=host.instance_id, volume_id=volume_id)

    def is_mounted(self, volume_id: str) -> bool:
        """Return whether any host has the volume mounted: EC2 then leaves a detachment ``busy``."""
        return any(host.powered and host.mounts.is_busy(volume_id) for host in list(self.hosts.values()))

    def run_command(self, instance_id: str, commands: list[str], timeout_s: float) -> CommandResult:
        """Run the commands of ``AWS-RunShellScript`` on a host, as real processes.

        Args:
            instance_id: The host.
            commands: One simple command per text: no pipes, redirections or expansions, since there is no shell.
            timeout_s: How long all of them together may take.

        Returns:
            What they printed; the exit code is that of the last one.

        Raises:
            LookupError: There is no such host, it is down or its SSM agent is not online.
            TimeoutError: The time passed; the processes were ended.
        """
        host = self.host(instance_id)
        if not host.ssm_online:
            raise LookupError(f"the SSM agent of {instance_id} is not online")
        return host.run_script(commands, timeout_s)

    def address_of_next_container(self) -> str:
        """Return a loopback address that no other container of this sandbox has had lately."""
        with self.lock:
            number = self._next_container_address
            self._next_container_address = (number + 1) % 128
        return f"127.{self.port >> 8}.{self.port & 255}.{127 + number}"

    def record(self, kind: str, **fields: Any) -> None:
        """Append one line to the sandbox's own event log, ``events.jsonl``."""
        line = json.dumps({"at": round(time.time(), 3), "kind": kind, **fields})
        with self._events, (self.state_dir / "events.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def shutdown(self) -> None:
        """End every process that this sandbox started; files stay."""
        self.ended.set()
        if self.client is not None:
            self.client.stop()
        for host in list(self.hosts.values()):
            with suppress(LookupError):
                host.power_off(graceful=False)
        self.forks.close()
        self.lifeline.close()
        self.tier.close()


def _nothing_strikes(_name: str, *_candidates: str) -> bool:
    """Return False: no fault is on."""
    return False


def register_controls(world: World, controls: Any) -> None:
    """Add the control paths of hosts, client and resolution to the sandbox's server.

    Args:
        world: What they act on.
        controls: The server's registry, with ``add(method, pattern, handler)``.
    """
    from runbook_lib.sandbox.host_controls import add_handlers  # noqa: PLC0415 - it imports commands, which import this

    add_handlers(world, controls)

"""What faults do when they begin: a power cut, a killed container, processes that hang, somebody's change in EC2.

Each acts on the world as the outside would, once; only what hangs is remembered, to be let go.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from moto.ec2.utils import random_volume_id

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.containers import Container, EngineError
from runbook_lib.sandbox.controls import ControlError
from runbook_lib.sandbox.faults import Fault
from runbook_lib.sandbox.processes import freeze
from runbook_lib.sandbox.world import World


class Happenings:
    """What faults do by themselves.

    Args:
        world: Where hosts and volumes are.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._frozen: dict[int, list[int]] = {}
        self._happen: Mapping[str, Callable[[Fault], None]] = {
            "kill-host": self._kill_host,
            "plugin-disabled": self._disable_plugins,
            "crash": self._crash,
            "duplicate-name": self._duplicate_name,
            "delete-on-termination": self._delete_on_termination,
            "hung-app": self._hang,
        }

    def happen(self, fault: Fault) -> None:
        """Do what a fault does when it begins.

        Raises:
            ControlError: What it needs is not there; nothing was changed.
        """
        self._happen[fault.name](fault)
        self._world.record("fault-happened", name=fault.name, target=fault.target)

    def let_go(self, fault: Fault) -> None:
        """Let processes go on that a fault keeps still."""
        for pid in self._frozen.pop(id(fault), []):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _kill_host(self, fault: Fault) -> None:
        host = self._host(fault)
        with self._world.lock:
            backend("ec2").get_instance(host.instance_id).sandbox_impaired = True
        self._world.stop_instance(host.instance_id, graceful=False)

    def _disable_plugins(self, fault: Fault) -> None:
        engine = self._host(fault).engine
        enabled = [one for one in engine.plugins() if one.enabled]
        if not enabled:
            raise ControlError(409, f"{fault.target} has no enabled plugin. Nothing was changed.")
        for plugin in enabled:
            engine.plugin_disable(plugin.name, force=True)  # Docker refuses without force while a volume is in use

    def _crash(self, fault: Fault) -> None:
        engine = self._host(fault).engine
        running = [one for one in engine.containers(all_=False) if one.status == "running"]
        if not running:
            raise ControlError(409, f"no container runs on {fault.target}. Nothing was changed.")
        for container in running:
            with suppress(EngineError):  # it ended by itself meanwhile
                engine.kill(container.id)

    def _duplicate_name(self, fault: Fault) -> None:
        with self._world.lock:
            ec2 = backend("ec2")
            volume = ec2.get_volume(fault.target)
            tags = {one["key"]: one["value"] for one in volume.get_tags()}
            if not tags.get("Name"):
                raise ControlError(409, f"{fault.target} has no Name tag to be repeated. Nothing was changed.")
            zone, size = volume.zone, int(volume.size)
            twin = type(volume)(ec2, volume_id=random_volume_id(), size=size, zone=zone, volume_type=volume.volume_type)
            twin.sandbox_state = "creating"
            ec2.volumes = {twin.id: twin, **ec2.volumes}  # first in the API's order: the one that is found
            twin.add_tags({"Name": tags["Name"]})
        self._world.volumes.copy(volume.id, twin.id, size)
        with self._world.lock:
            twin.sandbox_state = ""

    def _delete_on_termination(self, fault: Fault) -> None:
        with self._world.lock:
            attachment = backend("ec2").get_volume(fault.target).attachment
            if attachment is None:
                raise ControlError(409, f"{fault.target} is attached to no instance. Nothing was changed.")
            attachment.instance.block_device_mapping[attachment.device].delete_on_termination = True

    def _hang(self, fault: Fault) -> None:
        containers = self._containers(fault)
        if not containers:
            raise ControlError(409, f"no container of {fault.target or 'any host'!r} runs. Nothing was changed.")
        marks = [f"RUNBOOK_SANDBOX_VIEW={one.view_path}" for one in containers]
        self._frozen[id(fault)] = [pid for mark in marks for pid in freeze(mark)]

    def _host(self, fault: Fault) -> Any:
        host = self._world.hosts.get(fault.target)
        if host is None or not host.powered:
            raise ControlError(404, f"fault {fault.name}: {fault.target!r} is no running host. Nothing was changed.")
        return host

    def _containers(self, fault: Fault) -> list[Container]:
        return [
            one
            for host in list(self._world.hosts.values())
            for one in host.engine.containers(all_=False)
            if one.status == "running" and fault.hits(host.instance_id, one.name, one.spec.image)
        ]

"""Faults that can be switched on: what goes wrong in real accounts, on demand.

Each fault hooks into the rules of ``patches`` or does its damage once. Off, it leaves no trace in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls
from runbook_lib.sandbox.patches import Patched
from runbook_lib.sandbox.server import Application
from runbook_lib.sandbox.wire import ApiRequest
from runbook_lib.sandbox.world import World

LASTING: Mapping[str, str] = {
    "stuck-detach": "a detaching volume stays busy (target: volume id)",
    "throttle": "calls are refused with Throttling (target: operation; times: how many)",
    "ssm-timeout": "commands are never delivered (target: instance id)",
    "wrong-az": "AttachVolume says that volume and instance are in different zones (target: volume id)",
    "snapshot-error": "new snapshots end in error (target: volume id)",
    "capacity": "instances cannot be launched (target: instance type)",
}
ONCE: Mapping[str, str] = {
    "kill-host": "a host loses its power without warning (target: instance id)",
    "plugin-disabled": "every volume plugin of a host is disabled (target: instance id)",
}


@dataclass
class Fault:
    """One fault that is on.

    Args:
        number: Its number, for switching it off.
        name: Which fault.
        target: What it hits; "" hits everything it can.
        times: How often it still strikes; None without end.
        struck: How often it has struck.
    """

    number: int
    name: str
    target: str = ""
    times: int | None = None
    struck: int = field(default=0)

    def strikes(self, candidate: str) -> bool:
        """Say whether the fault hits a candidate now, and count it."""
        if self.target not in {"", candidate} or (self.times is not None and self.struck >= self.times):
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are on.

    Args:
        world: Where hosts are.
        patched: The rules that faults bend.
        application: The server that throttles.
    """

    def __init__(self, world: World, patched: Patched, application: Application) -> None:
        self._world = world
        self._numbers = itertools.count(1)
        self._on: list[Fault] = []
        patched.volumes.stuck.append(lambda volume_id: self._strikes("stuck-detach", volume_id))
        patched.volumes.refusals.append(self._wrong_zone)
        patched.snapshots.failing.append(lambda volume_id: self._strikes("snapshot-error", volume_id))
        patched.commands.held.append(lambda instance_id: self._strikes("ssm-timeout", instance_id))
        patched.instances.refusals.append(self._no_capacity)
        application.refusals.append(self._throttle)

    def add(self, name: str, target: str, times: int | None) -> Fault:
        """Switch a fault on, or do its damage when it is one that happens once.

        Raises:
            ControlError: There is no such fault, or what it needs is missing.
        """
        if name not in LASTING and name not in ONCE:
            raise ControlError(400, f"no fault {name!r}; there are {', '.join([*LASTING, *ONCE])}")
        fault = Fault(next(self._numbers), name, target, times)
        if name in ONCE:
            self._happen(fault)
        else:
            self._on.append(fault)
        self._world.record("fault", name=name, target=target)
        return fault

    def remove(self, number: int) -> None:
        """Switch a fault off."""
        if not any(fault.number == number for fault in self._on):
            raise ControlError(404, f"no fault number {number} is on")
        self._on = [fault for fault in self._on if fault.number != number]

    def shown(self) -> list[dict[str, Any]]:
        """Return the faults that are on."""
        return [vars(fault) for fault in self._on]

    def _strikes(self, name: str, candidate: str) -> bool:
        return any(fault.strikes(candidate) for fault in self._on if fault.name == name)

    def _wrong_zone(self, volume: Any, instance: Any) -> None:
        if self._strikes("wrong-az", volume.id):
            message = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
            raise EC2ClientError("InvalidVolume.ZoneMismatch", message)

    def _no_capacity(self, launch: Mapping[str, Any]) -> str:
        if not self._strikes("capacity", str(launch.get("instance_type", ""))):
            return ""
        return "We currently do not have sufficient capacity in the Availability Zone you requested."

    def _throttle(self, request: ApiRequest) -> tuple[str, str] | None:
        if not self._strikes("throttle", request.operation):
            return None
        code = "RequestLimitExceeded" if request.service == "ec2" else "ThrottlingException"
        return code, "Rate exceeded"

    def _happen(self, fault: Fault) -> None:
        host = self._world.hosts.get(fault.target)
        if host is None:
            raise ControlError(404, f"fault {fault.name} needs the instance id of a host; there is no {fault.target!r}")
        happenings: dict[str, Callable[[Any], None]] = {"kill-host": self._kill, "plugin-disabled": _disable_plugins}
        happenings[fault.name](host)

    def _kill(self, host: Any) -> None:
        with self._world.lock:
            backend("ec2").get_instance(host.instance_id).sandbox_impaired = True
        self._world.stop_instance(host.instance_id, graceful=False)


def register_controls(world: World, patched: Patched, application: Application, controls: Controls) -> None:
    """Serve ``GET``, ``POST`` and ``DELETE`` below ``/_sandbox/faults``."""
    faults = Faults(world, patched, application)

    def add(request: ControlRequest) -> dict[str, Any]:
        times = request.body.get("times")
        name, target = str(request.body.get("name", "")), str(request.body.get("target", ""))
        return vars(faults.add(name, target, None if times is None else int(times)))

    def remove(request: ControlRequest) -> dict[str, Any]:
        faults.remove(int(request.parts["number"]))
        return {"removed": int(request.parts["number"])}

    controls.add("GET", "/_sandbox/faults", lambda _request: {"on": faults.shown(), "known": {**LASTING, **ONCE}})
    controls.add("POST", "/_sandbox/faults", add)
    controls.add("DELETE", "/_sandbox/faults/{number}", remove)


def _disable_plugins(host: Any) -> None:
    for plugin in host.engine.plugins():
        host.engine.plugin_disable(plugin.name, force=True)  # Docker refuses without force while a volume is in use

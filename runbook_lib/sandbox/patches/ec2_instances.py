"""EC2 instances: they boot, stop and end with their host, through states that last.

moto's instances are ``running`` at once and have no host behind them.
Source: EC2 user guide, "Amazon EC2 instance state changes"; API reference, RunInstances, StopInstances.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState

from runbook_lib.sandbox.backends import install
from runbook_lib.sandbox.patches.ec2_launches import add_block_device, complete, from_template, instance_launch
from runbook_lib.sandbox.patches.ec2_refusals import check_launch
from runbook_lib.sandbox.patches.ec2_volumes import Volumes
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World

_FIRST_ADDRESS, _LAST_ADDRESS = 10, 126  # containers have 127 and above
_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_ENDED = frozenset({"shutting-down", "terminated"})


class Instances:
    """The life of instances.

    Args:
        world: Where the hosts are.
        volumes: The rules of volumes.
        transitions: Runs the changes that take time.
    """

    def __init__(self, world: World, volumes: Volumes, transitions: Transitions) -> None:
        self.refusals: list[Callable[[Any], str]] = []
        """Asked with the launch arguments; a text refuses the launch as ``InsufficientInstanceCapacity`` (a fault)."""
        self._world = world
        self._volumes = volumes
        self._transitions = transitions
        self._launched = 0
        self._run = InstanceBackend.run_instances
        self._terminate = Instance.terminate
        self._stop = Instance.stop

    def run(self, ec2: Any, image_id: str, count: int, user_data: Any, groups: Any, **kwargs: Any) -> Any:
        """Launch instances: ``pending``, then ``running`` while their hosts boot."""
        for refusal in self.refusals:
            reason = refusal(kwargs)
            if reason:
                raise EC2ClientError("InsufficientInstanceCapacity", reason)
        profile = from_template(ec2, kwargs)
        check_launch(ec2, image_id, kwargs)
        reservation = self._run(ec2, image_id, count, user_data, groups, **kwargs)
        for instance in reservation.instances:
            complete(instance, self._next_address(ec2), self._volumes)
            if profile:
                ec2.associate_iam_instance_profile(instance_id=instance.id, **profile)
            _set_state(instance, "pending")
            self._transitions.later(self._world.latency.instance_pending_s, partial(self._boot, instance))
        return reservation

    def start(self, instance: Any) -> InstanceState:
        """Start a stopped instance again; its folder is as it was."""
        previous = copy.copy(instance._state)
        if instance.state in {"pending", "running"}:
            return previous
        if instance.state != "stopped":
            message = f"The instance '{instance.id}' is not in a state from which it can be started."
            raise EC2ClientError("IncorrectInstanceState", message)
        _set_state(instance, "pending")
        self._transitions.later(self._world.latency.instance_pending_s, lambda: self._boot(instance))
        return previous

    def stop(self, instance: Any, *, graceful: bool = True) -> InstanceState:
        """Stop an instance; its volumes stay attached."""
        previous = copy.copy(instance._state)
        if instance.state in {"stopping", "stopped"}:
            return previous
        if instance.state != "running":
            message = f"The instance '{instance.id}' is not in a state from which it can be stopped."
            raise EC2ClientError("IncorrectInstanceState", message)
        _set_state(instance, "stopping")

        def finish() -> None:
            self._world.stop_instance(instance.id, graceful=graceful)
            self._transitions.wait(self._world.latency.stop_s)
            with self._world.lock:
                if instance.state == "stopping":
                    self._stop(instance)

        self._transitions.later(0, finish)
        return previous

    def reboot(self, instance: Any) -> None:
        """End the host's processes and boot it again; the state stays ``running``."""
        if instance.state != "running":
            message = f"The instance '{instance.id}' is not in a state from which it can be rebooted."
            raise EC2ClientError("IncorrectInstanceState", message)

        def again() -> None:
            self._world.stop_instance(instance.id, graceful=True)
            instance.sandbox_impaired = False
            self._world.start_instance(instance_launch(instance))

        self._transitions.later(0, again)

    def terminate(self, instance: Any) -> InstanceState:
        """End an instance: ``shutting-down`` until its host has ended, then its volumes are let go."""
        previous = copy.copy(instance._state)
        if instance.state in _ENDED:
            return previous
        _set_state(instance, "shutting-down")

        def finish() -> None:
            self._world.terminate_instance(instance.id)
            self._transitions.wait(self._world.latency.terminate_s)
            with self._world.lock:
                self._terminate(instance)

        self._transitions.later(0, finish)
        return previous

    def _boot(self, instance: Any) -> None:
        instance.sandbox_impaired = False
        blocks = list(instance.block_device_mapping.values())
        for block in blocks:
            if block.status == "attaching" and not self._world.volumes.has(block.volume_id):
                self._world.volumes.create(block.volume_id, int(block.size), block.snapshot_id)
        with self._world.lock:
            if instance.state != "pending":
                return
            self._world.start_instance(instance_launch(instance))
            self._volumes.connected(instance)
            _set_state(instance, "running")

    def _next_address(self, ec2: Any) -> str:
        """Return the next host address of this sandbox that no living instance has; 10 is the first host's."""
        used = {getattr(one, "sandbox_address", "") for one in ec2.all_instances() if one.state != "terminated"}
        for _attempt in range(_LAST_ADDRESS - _FIRST_ADDRESS):
            number = _FIRST_ADDRESS + self._launched % (_LAST_ADDRESS - _FIRST_ADDRESS)
            self._launched += 1
            address = self._world.tier.address(self._world, number)
            if address not in used:
                return address
        raise EC2ClientError("InsufficientFreeAddressesInSubnet", "the sandbox has no free host address left")


def apply(world: World, volumes: Volumes, transitions: Transitions) -> Instances:
    """Put the life of instances into moto.

    Changes:
        Methods and properties of moto's instance classes.
    """
    instances = Instances(world, volumes, transitions)
    install(InstanceBackend, "run_instances", instances.run)
    install(Instance, "start", instances.start)
    install(Instance, "stop", instances.stop)
    install(Instance, "reboot", instances.reboot)
    install(Instance, "terminate", instances.terminate)
    install(Instance, "teardown_defaults", volumes.release)
    install(Instance, "setup_defaults", lambda _instance: None)
    install(Instance, "add_block_device", lambda *args, **kwargs: add_block_device(volumes, *args, **kwargs))

    def status(instance: Any) -> dict[str, Any]:
        # Source: DescribeInstanceStatus: initializing until the checks have passed, which is after boot.
        if instance.state != "running":
            return {"Status": "not-applicable"}
        host = world.hosts.get(instance.id)
        booted = bool(host and host.booted)
        if getattr(instance, "sandbox_impaired", False):
            return {"Status": "impaired", "Details": [{"Name": "reachability", "Status": "failed"}]}
        passed = "passed" if booted else "initializing"
        return {"Status": "ok" if booted else "initializing", "Details": [{"Name": "reachability", "Status": passed}]}

    Instance.instance_status = property(status)
    Instance.system_status = property(status)
    return instances


def _set_state(instance: Any, name: str) -> None:
    instance._state = InstanceState(name, _CODES[name])

"""The Auto Scaling reconciler: each group gets the members it wants, hooks are waited for, refreshes advance.

It looks at moto's groups every tick and acts through ``group_members``. Callbacks are asked without the lock.
Source: Auto Scaling user guide, "Instance lifecycle", "Lifecycle hooks", "Health checks".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException

from runbook_lib.sandbox import group_members as members
from runbook_lib.sandbox import group_refresh
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.world import World

log = logging.getLogger(__name__)

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
_RETRY_S = 1.0


class Groups:
    """The reconciler of all Auto Scaling groups.

    Args:
        world: Where the hosts are.
    """

    def __init__(self, world: World) -> None:
        self.before_terminate: list[Callable[[str], bool]] = []
        """Asked each tick with the id of an instance about to go; True from all lets it go (ECS managed draining)."""
        self.is_ready: list[Callable[[str], bool]] = []
        """Asked with the id of a new instance during a refresh; True from all lets the old one be replaced."""
        self._world = world
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ended = threading.Event()
        self._failed_at: dict[str, float] = {}

    def start(self) -> None:
        """Begin to look at the groups."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def tick(self) -> None:
        """Look at every group once."""
        draining = self._drained_answers()
        with self._world.lock:
            autoscaling = backend("autoscaling")
            for group in list(autoscaling.autoscaling_groups.values()):
                self._advance(autoscaling, group, draining)
                if getattr(group, "status", None) and not group.instance_states:
                    autoscaling.autoscaling_groups.pop(group.name, None)

    def _run(self) -> None:
        while not self._ended.wait(self._world.latency.tick_s):
            try:
                self.tick()
            except Exception:
                log.exception("the Auto Scaling reconciler failed; it goes on")

    def _drained_answers(self) -> dict[str, bool]:
        """Ask the callbacks about every member that waits to go."""
        with self._world.lock:
            groups = backend("autoscaling").autoscaling_groups.values()
            waiting = [one.instance.id for group in groups for one in group.instance_states if _leaves(one)]
        return {instance_id: all(ask(instance_id) for ask in self.before_terminate) for instance_id in waiting}

    def _advance(self, autoscaling: Any, group: Any, drained: dict[str, bool]) -> None:
        for member in list(group.instance_states):
            self._advance_member(autoscaling, group, member, drained)
        self._attempt(group, lambda: group_refresh.advance(group, self._ready))
        self._attempt(group, lambda: self._fill(group))
        if group.target_group_arns and not getattr(group, "status", None):
            autoscaling.update_attached_target_groups(group.name)

    def _advance_member(self, autoscaling: Any, group: Any, member: Any, drained: dict[str, bool]) -> None:
        state, instance = member.lifecycle_state, member.instance
        if instance.state == "terminated":
            group.instance_states.remove(member)
        elif instance.state == "shutting-down":
            # Somebody terminated the instance behind the group's back: it is replaced at once.
            if not state.startswith("Terminating"):
                member.health_status = "Unhealthy"
                members.move(member, "Terminating:Proceed")
        elif state in members.ACTIVE:
            self._advance_active(autoscaling, group, member)
        elif state == "Terminating":
            members.move(member, "Terminating:Wait")
        elif state == "Terminating:Wait":
            forced = bool(getattr(group, "status", None))  # Source: ForceDelete does not wait for lifecycle actions
            if forced or drained.get(instance.id, False):
                self._wait_for_hook(autoscaling, group, member, TERMINATING, "Terminating:Proceed", skip=forced)
        if member.lifecycle_state == "Terminating:Proceed" and instance.state not in {"shutting-down", "terminated"}:
            backend("ec2").terminate_instances([instance.id])
            backend("elbv2").notify_terminate_instances([instance.id])

    def _advance_active(self, autoscaling: Any, group: Any, member: Any) -> None:
        if member.lifecycle_state == "Pending" and member.instance.state == "running":
            waits = hooks(autoscaling, group, LAUNCHING)
            members.move(member, "Pending:Wait" if waits else "InService")
        elif member.lifecycle_state == "Pending:Wait":
            self._wait_for_hook(autoscaling, group, member, LAUNCHING, "InService")
        elif member.lifecycle_state == "InService" and _is_unhealthy(group, member):
            members.retire(group, member, "an instance was taken out of service in response to a health check")

    def _wait_for_hook(
        self, autoscaling: Any, group: Any, member: Any, transition: str, then: str, *, skip: bool = False
    ) -> None:
        """Move a waiting member on when its hooks are completed or their time is over."""
        waiting = [] if skip else hooks(autoscaling, group, transition)
        results = getattr(member, "sandbox_results", {})
        for hook in waiting:
            result = results.get(hook.name)
            if result is None and members.seconds_in_state(member) < hook.heartbeat_timeout:
                return
            if (result or hook.default_result) == "ABANDON" and transition == LAUNCHING:
                members.retire(group, member, f"the lifecycle hook {hook.name} abandoned the launch")
                return
        members.move(member, then)

    def _ready(self, member: Any) -> bool:
        """Say whether a new member may take over from an old one."""
        host = self._world.hosts.get(member.instance.id)
        booted = member.lifecycle_state == "InService" and host is not None and host.booted
        return booted and all(ask(member.instance.id) for ask in self.is_ready)

    def _fill(self, group: Any) -> None:
        missing = (group.desired_capacity or 0) - len(members.active(group))
        suspended = {process["ProcessName"] for process in group.suspended_processes}
        if missing > 0 and "Launch" not in suspended and not getattr(group, "status", None):
            for _number in range(missing):
                members.launch(group, "an instance was started in response to a difference to the desired capacity")
        if missing < 0 and "Terminate" not in suspended and not group_refresh.running(group):
            for member in members.surplus(group, -missing):
                members.retire(group, member, "an instance was taken out of service to match the desired capacity")

    def _attempt(self, group: Any, act: Callable[[], None]) -> None:
        """Act on a group; when EC2 refuses, record the failed activity and leave the group alone for a moment."""
        if time.monotonic() - self._failed_at.get(group.name, -_RETRY_S) < _RETRY_S:
            return
        try:
            act()
        except ServiceException as error:
            self._failed_at[group.name] = time.monotonic()
            members.record(group, "Launching a new EC2 instance", str(error), "Failed")


def hooks(autoscaling: Any, group: Any, transition: str) -> list[Any]:
    """Return the lifecycle hooks of a group for one transition."""
    known = autoscaling.describe_lifecycle_hooks(group.name)
    return [hook for hook in known if hook.lifecycle_transition == transition]


def _leaves(member: Any) -> bool:
    return bool(member.lifecycle_state == "Terminating:Wait")


def _is_unhealthy(group: Any, member: Any) -> bool:
    suspended = {process["ProcessName"] for process in group.suspended_processes}
    if suspended & {"HealthCheck", "ReplaceUnhealthy", "Terminate"}:
        return False
    # Source: EC2 health checks: a stopped or impaired instance is unhealthy; Standby members are not checked.
    broken = member.instance.state in {"stopping", "stopped"} or getattr(member.instance, "sandbox_impaired", False)
    return broken or member.health_status == "Unhealthy"

"""Elastic Load Balancing: a target is an instance and a port, so one host can be a target twice.

moto keeps one target for each instance. Source: Elastic Load Balancing API reference, RegisterTargets: the same
instance can be registered several times with different ports; DeregisterTargets, DescribeTargetHealth.
"""

from __future__ import annotations

from typing import Any

from moto.elbv2.exceptions import InvalidTargetError
from moto.elbv2.models import FakeHealthStatus, FakeTargetGroup

from runbook_lib.sandbox.backends import install

_register, _health_for = FakeTargetGroup.register, FakeTargetGroup.health_for


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's target group, for the whole process.
    """
    install(FakeTargetGroup, "register", register)
    install(FakeTargetGroup, "deregister", deregister)
    install(FakeTargetGroup, "health_for", health_for)
    install(FakeTargetGroup, "deregister_terminated_instances", deregister_terminated)


def register(group: Any, targets: list[dict[str, Any]]) -> None:
    """Register as moto does, and keep what the same instance listens on besides."""
    for target in targets:
        kept = dict(group.targets)
        _register(group, [target])
        new = group.targets.pop(target["Id"])
        group.targets.clear()
        group.targets.update({**kept, _key(kept, new): new})


def deregister(group: Any, targets: list[dict[str, Any]]) -> None:
    """Take out what is named; without a port, every port of the instance.

    Raises:
        InvalidTargetError: There is no such target.
    """
    for target in targets:
        gone = [key for key, one in group.targets.items() if _is(one, target)]
        if not gone:
            raise InvalidTargetError
        for key in gone:
            group.deregistered_targets[target["Id"]] = group.targets.pop(key)


def deregister_terminated(group: Any, instance_ids: list[str]) -> None:
    """Take out every port of instances that have ended."""
    for key in [key for key, one in group.targets.items() if one["Id"] in instance_ids]:
        ended = group.targets.pop(key)
        group.terminated_targets[ended["Id"]] = ended


def health_for(group: Any, target: dict[str, Any], ec2_backend: Any) -> FakeHealthStatus:
    """Return the health of one port of an instance."""
    found = next((one for one in group.targets.values() if _is(one, target)), None)
    status = _health_for(group, target, ec2_backend)
    if found is None or found["Id"] not in group.targets:
        return status
    more = (status.health_check_port, status.status, status.reason, status.description)
    return FakeHealthStatus(found["Id"], found["Port"], *more)


def _is(one: dict[str, Any], target: dict[str, Any]) -> bool:
    return bool(one["Id"] == target["Id"] and int(target.get("Port") or one["Port"]) == int(one["Port"]))


def _key(kept: dict[str, Any], new: dict[str, Any]) -> str:
    """Return under what a target is kept: the instance, as moto does, and for its further ports instance and port."""
    own = next((key for key, one in kept.items() if _is(one, new)), "")
    return own or (new["Id"] if new["Id"] not in kept else f"{new['Id']}:{new['Port']}")

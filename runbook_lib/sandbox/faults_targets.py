"""Look whether what a new fault is aimed at exists, so that no fault waits for ever for something misspelt.

Reads AWS objects, hosts, images and the names of API operations; changes only how the fault is written down.
"""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

import botocore.session
from moto.ec2.exceptions import InvalidInstanceTypeError

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.controls import ControlError
from runbook_lib.sandbox.faults import Fault
from runbook_lib.sandbox.faults_catalog import (
    API_FAULTS,
    CONTAINER,
    FAULTS,
    IMAGE,
    INSTANCE,
    INSTANCE_TYPE,
    RESOURCE,
    VOLUME,
)
from runbook_lib.sandbox.plugins import REGISTRY
from runbook_lib.sandbox.world import World

SERVICES = (
    "ec2", "ecs", "ssm", "autoscaling", "elbv2", "iam", "sts", "application-autoscaling", "logs", "kms",
    "secretsmanager", "cloudwatch",
)  # fmt: skip


def look(world: World, fault: Fault) -> None:
    """Refuse a fault whose target or operation does not exist.

    Args:
        world: Where hosts, volumes and images are.
        fault: The fault; a target that is an operation of the API becomes its operation.

    Raises:
        ControlError: It does not exist; nothing was changed.
    """
    if fault.name in API_FAULTS and not fault.operation and fault.target in operations():
        fault.operation, fault.target = fault.target, ""
    if fault.operation and fault.operation not in operations():
        near = difflib.get_close_matches(fault.operation, operations(), 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise ControlError(404, f"there is no API operation {fault.operation!r}{guess} Nothing was changed.")
    kind = FAULTS[fault.name]
    known = _KNOWN.get(kind.target)
    if fault.target and known is not None and not known(world, fault.target):
        raise ControlError(404, f"fault {fault.name}: there is no {kind.target} {fault.target!r}. Nothing was changed.")


@cache
def operations() -> frozenset[str]:
    """Return the names of every operation of the services that the sandbox has."""
    session = botocore.session.Session()
    return frozenset(name for service in SERVICES for name in session.get_service_model(service).operation_names)


def _is_volume(world: World, target: str) -> bool:
    with world.lock:
        return target in backend("ec2").volumes


def _is_instance(world: World, target: str) -> bool:
    with world.lock:
        found = backend("ec2").get_instance_by_id(target)
        return found is not None and found.state != "terminated"


def _is_resource(world: World, target: str) -> bool:
    with world.lock:
        snapshot = target in backend("ec2").snapshots
    return snapshot or _is_volume(world, target) or _is_instance(world, target)


def _is_instance_type(_world: World, target: str) -> bool:
    try:
        return bool(backend("ec2").describe_instance_types([target]))
    except InvalidInstanceTypeError:
        return False


def _is_image(world: World, target: str) -> bool:
    repository = target.partition("@")[0]
    plugin = repository in REGISTRY or repository.rpartition(":")[0] in REGISTRY
    return plugin or world.images.find(target) is not None


def _is_container(world: World, target: str) -> bool:
    names: set[Any] = {one.name for host in list(world.hosts.values()) for one in host.engine.containers()}
    return target in names or _is_instance(world, target) or world.images.find(target) is not None


_KNOWN = {
    VOLUME: _is_volume,
    INSTANCE: _is_instance,
    RESOURCE: _is_resource,
    INSTANCE_TYPE: _is_instance_type,
    IMAGE: _is_image,
    CONTAINER: _is_container,
}

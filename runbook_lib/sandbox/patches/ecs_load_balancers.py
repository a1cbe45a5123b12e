"""Check the load balancers of an ECS service against moto's elbv2 backend.

Changes nothing.
"""

from __future__ import annotations

from typing import Any

from moto.core.base_backend import BackendDict
from moto.ecs.exceptions import InvalidParameterException
from moto.elbv2.models import elbv2_backends


def target_group(backend: Any, arn: str) -> Any:
    """Return a target group of the same account and region as an ECS backend, or None."""
    backends: BackendDict = elbv2_backends
    return backends[backend.account_id][backend.region_name].target_groups.get(arn)


def check_load_balancers(backend: Any, definition: Any, balancers: list[dict[str, Any]]) -> None:
    """Refuse load balancers whose target group or container port does not exist.

    Raises:
        InvalidParameterException: A target group or container is unknown, or no listener uses the target group.
    """
    for balancer in balancers:
        arn = balancer.get("targetGroupArn") or ""
        group = target_group(backend, arn)
        if group is None:
            raise InvalidParameterException("Unable to assume role and validate the specified targetGroupArn.")
        if not group.load_balancer_arns:
            raise InvalidParameterException(
                f"The target group with targetGroupArn {arn} does not have an associated load balancer."
            )
        name, port = balancer.get("containerName"), balancer.get("containerPort")
        containers = {one["name"]: one for one in definition.container_definitions}
        ports = [one.get("containerPort") for one in containers.get(name, {}).get("portMappings") or []]
        if port not in ports:
            raise InvalidParameterException(
                f"The container {name} did not have a container port {port} defined."
                if name in containers
                else f"The container {name} does not exist in the task definition."
            )

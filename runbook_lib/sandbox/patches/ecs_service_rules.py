"""Refuse the ECS services that Amazon ECS refuses, and those that the sandbox cannot run.

Changes nothing.
"""

from __future__ import annotations

from typing import Any

from moto.ecs.exceptions import InvalidParameterException

from runbook_lib.sandbox.ecs_query import QueryError, is_match
from runbook_lib.sandbox.patches.ecs_load_balancers import check_load_balancers


def check_service(
    backend: Any,
    cluster: Any,
    definition: Any,
    asked: dict[str, Any],
    configuration: dict[str, Any],
    *,
    service: Any = None,
) -> None:
    """Refuse what Amazon ECS refuses, and blue/green deployments, which the sandbox does not run.

    Args:
        backend: moto's ECS backend.
        cluster: The service's cluster.
        definition: The task definition that it is going to use.
        asked: The request.
        configuration: The deployment configuration that it is going to have.
        service: The service as it is, when it exists.

    Raises:
        InvalidParameterException: The request breaks a rule.
    """
    _check_deployments(asked, configuration, service)
    _check_capacity(cluster, asked)
    if definition.network_mode == "awsvpc":
        raise InvalidParameterException("The sandbox runs bridge and host network modes only, not awsvpc.")
    if asked.get("networkConfiguration"):
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    check_constraints(asked.get("placementConstraints") or [])
    balancers = asked.get("loadBalancers") or (service.load_balancers if service else [])
    check_load_balancers(backend, definition, balancers)
    if asked.get("healthCheckGracePeriodSeconds") and not balancers:
        raise InvalidParameterException(
            "Health check grace period is only valid for services configured to use load balancers"
        )


def _check_deployments(asked: dict[str, Any], configuration: dict[str, Any], service: Any) -> None:
    controller = (asked.get("deploymentController") or {}).get("type", "ECS")
    if controller != "ECS" or configuration.get("strategy", "ROLLING") != "ROLLING":
        raise InvalidParameterException(
            "The sandbox runs rolling deployments only: blue/green would run two writers on one volume."
        )
    low, high = configuration["minimumHealthyPercent"], configuration["maximumPercent"]
    if low == high == 100:  # noqa: PLR2004 - per cent
        raise InvalidParameterException(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )
    if low > high:
        raise InvalidParameterException("minimumHealthyPercent cannot be greater than maximumPercent.")
    rebalancing = asked.get("availabilityZoneRebalancing") or getattr(service, "availability_zone_rebalancing", "")
    if rebalancing == "ENABLED" and high <= 100:  # noqa: PLR2004 - per cent
        raise InvalidParameterException("AvailabilityZoneRebalancing needs a maximumPercent greater than 100.")


def _check_capacity(cluster: Any, asked: dict[str, Any]) -> None:
    strategy = asked.get("capacityProviderStrategy") or []
    if strategy and asked.get("launchType"):
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if asked.get("launchType") not in {None, "EC2"}:
        raise InvalidParameterException("The sandbox has container instances only: launchType must be EC2.")
    known = {name.rsplit("/", maxsplit=1)[-1] for name in cluster.capacity_providers or []}
    if any(one["capacityProvider"].split("/")[-1] not in known for one in strategy):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )


def check_constraints(constraints: list[dict[str, str]]) -> None:
    """Refuse placement constraints that cannot be read.

    Raises:
        InvalidParameterException: A constraint has an unknown type or expression.
    """
    for constraint in constraints:
        if constraint["type"] == "distinctInstance" and not constraint.get("expression"):
            continue
        if constraint["type"] != "memberOf":
            raise InvalidParameterException(f"Invalid placement constraint type {constraint['type']}.")
        try:
            is_match(constraint.get("expression") or "", {})
        except QueryError as error:
            raise InvalidParameterException(str(error)) from error

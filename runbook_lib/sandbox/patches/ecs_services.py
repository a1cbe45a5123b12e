"""Make moto's ECS services keep what they are given, and refuse what Amazon ECS refuses.

Replaces CreateService, UpdateService, DeleteService, DescribeServices and ListServices. The tasks of a service are the
business of ``sandbox.scheduler``; nothing here starts or stops any.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException
from moto.ecs.models import Service
from moto.ecs.responses import DESCRIBE_SERVICES_TAGS, EC2ContainerServiceResponse

from runbook_lib.sandbox import ecs_counts, ecs_deployments
from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.ecs_tasks import now
from runbook_lib.sandbox.patches.ecs_service_rules import check_service

DEFAULTS: dict[str, Any] = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}
KEPT = {
    "capacityProviderStrategy": "capacity_provider_strategy",
    "placementConstraints": "placement_constraints",
    "placementStrategy": "placement_strategy",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
    "propagateTags": "propagate_tags",
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "loadBalancers": "load_balancers",
    "desiredCount": "desired_count",
}
STARTS_DEPLOYMENT = ("capacityProviderStrategy", "loadBalancers", "enableExecuteCommand")


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS response class, for the whole process.
    """
    operations(
        EC2ContainerServiceResponse,
        create_service=_create_service,
        update_service=_update_service,
        delete_service=_delete_service,
        describe_services=_describe_services,
        list_services=_list_services,
    )


def _create_service(self: Any) -> Any:
    return ActionResult({"service": make_service(self.ecs_backend, dict(self._get_params()))})


def _update_service(self: Any) -> Any:
    return ActionResult({"service": change_service(self.ecs_backend, dict(self._get_params()))})


def _delete_service(self: Any) -> Any:
    backend = self.ecs_backend
    service = find_service(backend, self._get_param("cluster") or "default", self._get_param("service"))
    if service.desired_count > 0 and not self._get_param("force"):
        raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
    service.desired_count = 0
    for deployment in service.deployments:
        deployment["desiredCount"] = 0
    service.status = "DRAINING"
    return ActionResult({"service": service})


def _describe_services(self: Any) -> Any:
    cluster, names = self._get_param("cluster") or "default", self._get_param("services") or []
    ecs_counts.refresh(self.ecs_backend)
    services, failures = self.ecs_backend.describe_services(cluster, names)
    if "TAGS" in (self._get_param("include") or []):
        self._include_in_response(DESCRIBE_SERVICES_TAGS)
    else:
        self._exclude_from_response(DESCRIBE_SERVICES_TAGS)
    return ActionResult({"services": services, "failures": failures})


def _list_services(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    launch_type, strategy = self._get_param("launchType"), self._get_param("schedulingStrategy")
    found = [
        one.arn
        for one in backend.services.values()
        if one.cluster_name == cluster.name
        and one.status != "INACTIVE"
        and launch_type in {None, one.launch_type}
        and strategy in {None, one.scheduling_strategy}
    ]
    return ActionResult({"serviceArns": sorted(found)})


def find_service(backend: Any, cluster_name: str, name_or_arn: str) -> Any:
    """Return a service that is ACTIVE or DRAINING.

    Raises:
        ECSException: ServiceNotFoundException or ServiceNotActiveException.
    """
    service = backend._get_service(cluster_name, name_or_arn)
    if service.status == "INACTIVE":
        raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
    return service


def make_service(backend: Any, asked: dict[str, Any]) -> Any:
    """Create a service as CreateService describes it.

    Args:
        backend: moto's ECS backend.
        asked: The request.

    Returns:
        moto's ``Service``, with the attributes that the ECS API shows and a first deployment.

    Raises:
        ECSException: What Amazon ECS refuses, and blue/green deployments, which the sandbox does not run.
    """
    cluster = backend._get_cluster(asked.get("cluster") or "default")
    definition = active_definition(backend, asked.get("taskDefinition") or "")
    key = f"{cluster.name}:{asked['serviceName']}"
    older = backend.services.get(key)
    if older is not None and older.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    if older is not None and older.status == "ACTIVE":
        raise InvalidParameterException("Creation of service was not idempotent.")
    configuration = _configuration(DEFAULTS, asked.get("deploymentConfiguration"))
    check_service(backend, cluster, definition, asked, configuration)
    service = Service(
        cluster,
        asked["serviceName"],
        asked.get("desiredCount") or 0,
        backend,
        task_definition=definition,
        scheduling_strategy=asked.get("schedulingStrategy"),
        tags=asked.get("tags"),
        service_registries=asked.get("serviceRegistries"),
        role_arn=asked.get("role"),
    )
    _fill(service, cluster, asked, configuration)
    backend.services[key] = service
    return service


def _fill(service: Any, cluster: Any, asked: dict[str, Any], configuration: dict[str, Any]) -> None:
    strategy = asked.get("capacityProviderStrategy")
    if not strategy and not asked.get("launchType"):
        strategy = cluster.default_capacity_provider_strategy
    service.capacity_provider_strategy = [{"base": 0, **one} for one in strategy or []] or None
    service.launch_type = None if strategy else asked.get("launchType") or "EC2"
    service.deployment_configuration = configuration
    service.network_configuration = None
    service.placement_constraints = asked.get("placementConstraints") or []
    service.placement_strategy = asked.get("placementStrategy") or []
    service.load_balancers = asked.get("loadBalancers") or []
    service.health_check_grace_period_seconds = asked.get("healthCheckGracePeriodSeconds") or 0
    service.enable_ecs_managed_tags = bool(asked.get("enableECSManagedTags"))
    service.enable_execute_command = bool(asked.get("enableExecuteCommand"))
    service.propagate_tags = asked.get("propagateTags") or "NONE"
    rebalances = "ENABLED" if configuration["maximumPercent"] > 100 else "DISABLED"  # noqa: PLR2004 - per cent
    service.availability_zone_rebalancing = asked.get("availabilityZoneRebalancing") or rebalances
    service.created_at = now()
    service.created_by = f"arn:aws:iam::{service._account_id}:root"
    service.events, service.deployments = [], []
    service.running_count = service.pending_count = 0
    service.last_completed = None
    ecs_deployments.new_deployment(service)


def change_service(backend: Any, asked: dict[str, Any]) -> Any:
    """Change a service as UpdateService describes it.

    A new task definition, forceNewDeployment and a few other changes start a deployment; the desired count and the
    deployment configuration do not.

    Raises:
        ECSException: What Amazon ECS refuses.
    """
    service = find_service(backend, asked.get("cluster") or "default", asked["service"])
    if service.status == "DRAINING":
        raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
    cluster = backend._get_cluster(service.cluster_name)
    definition = active_definition(backend, asked.get("taskDefinition") or service.task_definition, service)
    configuration = _configuration(service.deployment_configuration, asked.get("deploymentConfiguration"))
    check_service(backend, cluster, definition, asked, configuration, service=service)
    deploys = bool(asked.get("forceNewDeployment")) or definition.arn != service.task_definition
    service.deployment_configuration = configuration
    service.task_definition = definition.arn
    for key, attribute in KEPT.items():
        value = asked.get(key)
        if value is None:
            continue
        if key == "capacityProviderStrategy":
            value = [{"base": 0, **one} for one in value] or None
            service.launch_type = None if value else "EC2"
        deploys |= key in STARTS_DEPLOYMENT and value != getattr(service, attribute)
        setattr(service, attribute, value)
    if deploys:
        ecs_deployments.new_deployment(service)
    if asked.get("desiredCount") is not None:
        ecs_deployments.primary(service)["desiredCount"] = service.desired_count
        service.is_steady = False
    return service


def active_definition(backend: Any, name: str, service: Any = None) -> Any:
    """Return a task definition that may be used for new tasks.

    Raises:
        EcsClientException: There is none, or it was deregistered and the service does not use it already.
    """
    definition = backend.describe_task_definition(name)
    if definition.status != "ACTIVE" and (service is None or definition.arn != service.task_definition):
        raise EcsClientException("TaskDefinition is inactive")
    return definition


def _configuration(before: dict[str, Any], asked: dict[str, Any] | None) -> dict[str, Any]:
    return {**before, **{key: value for key, value in (asked or {}).items() if value is not None}}

"""Make moto's ECS clusters and capacity providers keep what they are given, and refuse what Amazon ECS refuses.

Replaces DescribeClusters, DeleteCluster, PutClusterCapacityProviders and the capacity provider operations.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException
from moto.ecs.models import CapacityProvider, EC2ContainerServiceBackend
from moto.ecs.responses import DESCRIBE_CLUSTERS_TAGS, EC2ContainerServiceResponse

from runbook_lib.sandbox import ecs_counts
from runbook_lib.sandbox.backends import install, operations
from runbook_lib.sandbox.ecs_tasks import cluster_tasks, is_stopped


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS backend, response class and ``CapacityProvider``, for the whole process.
    """
    operations(
        EC2ContainerServiceResponse,
        describe_clusters=_describe_clusters,
        describe_capacity_providers=_describe_capacity_providers,
        delete_cluster=_delete_cluster,
    )
    install(EC2ContainerServiceBackend, "put_cluster_capacity_providers", _put_cluster_capacity_providers)
    install(EC2ContainerServiceBackend, "delete_capacity_provider", _delete_capacity_provider)
    install(CapacityProvider, "_prepare_asg_provider", _complete_provider)
    install(CapacityProvider, "update", _update_provider)


def _describe_clusters(self: Any) -> Any:
    backend, include = self.ecs_backend, self._get_param("include") or []
    ecs_counts.refresh(backend)
    clusters, failures = backend.describe_clusters(self._get_param("clusters") or [])
    if "TAGS" in include:
        self._include_in_response(DESCRIBE_CLUSTERS_TAGS)
    else:
        self._exclude_from_response(DESCRIBE_CLUSTERS_TAGS)
    return ActionResult({"clusters": clusters, "failures": failures})


def _delete_cluster(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster"))
    ecs_counts.refresh(backend)
    services = [one for one in backend.services.values() if one.cluster_name == cluster.name]
    if any(one.status != "INACTIVE" for one in services):
        raise ECSException(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active or draining.",
        )
    if cluster.registered_container_instances_count:
        raise ECSException(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if any(not is_stopped(one) for one in cluster_tasks(backend, cluster.name)):
        raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    return ActionResult({"cluster": backend.delete_cluster(cluster.name)})


def _put_cluster_capacity_providers(
    self: Any, cluster_name: str, providers: list[str] | None, strategy: list[dict[str, Any]] | None
) -> Any:
    cluster = self._get_cluster(cluster_name)
    names = [name.rsplit("/", maxsplit=1)[-1] for name in providers or []]
    for name in names:
        if self._get_provider(name) is None and name not in {"FARGATE", "FARGATE_SPOT"}:
            raise InvalidParameterException(f"The specified capacity provider '{name}' was not found.")
    for gone in set(cluster.capacity_providers or []) - set(names):
        if _users(self, cluster, gone):
            raise ECSException(
                "ResourceInUseException", "The specified capacity provider is in use and cannot be removed."
            )
    cluster.capacity_providers = names
    cluster.default_capacity_provider_strategy = [{"base": 0, **one} for one in strategy or []]
    return cluster


def _describe_capacity_providers(self: Any) -> Any:
    backend = self.ecs_backend
    names = self._get_param("capacityProviders") or list(backend.capacity_providers)
    providers, failures = backend.describe_capacity_providers(names)
    return ActionResult({"capacityProviders": providers, "failures": failures})


def _delete_capacity_provider(self: Any, name_or_arn: str) -> Any:
    provider = self._get_provider(name_or_arn)
    if provider is None:
        raise EcsClientException("The specified capacity provider does not exist.")
    for cluster in self.clusters.values():
        if cluster.status == "ACTIVE" and provider.name in (cluster.capacity_providers or []):
            raise EcsClientException(
                "The capacity provider cannot be deleted because it is associated with cluster: "
                f"{cluster.name}. Remove the capacity provider from the cluster and try again."
            )
    return self.capacity_providers.pop(provider.name)


def _users(backend: Any, cluster: Any, provider: str) -> bool:
    return any(
        one.cluster_name == cluster.name
        and one.status != "INACTIVE"
        and any(item["capacityProvider"] == provider for item in one.capacity_provider_strategy or [])
        for one in backend.services.values()
    )


def _complete_provider(_self: Any, details: dict[str, Any]) -> dict[str, Any]:
    scaling = {
        "status": "DISABLED",
        "targetCapacity": 100,
        "minimumScalingStepSize": 1,
        "maximumScalingStepSize": 10000,
        "instanceWarmupPeriod": 300,
        **(details.get("managedScaling") or {}),
    }
    protection = details.get("managedTerminationProtection") or "DISABLED"
    if protection == "ENABLED" and scaling["status"] != "ENABLED":
        raise EcsClientException(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed "
            "termination protection for a capacity provider, the capacity provider must have managed scaling enabled."
        )
    return {
        **details,
        "managedScaling": scaling,
        "managedTerminationProtection": protection,
        "managedDraining": details.get("managedDraining") or "ENABLED",
    }


def _update_provider(self: Any, details: dict[str, Any]) -> None:
    before = self.auto_scaling_group_provider
    scaling = {**before["managedScaling"], **(details.get("managedScaling") or {})}
    self.auto_scaling_group_provider = self._prepare_asg_provider({**before, **details, "managedScaling": scaling})
    self.update_status = "UPDATE_COMPLETE"

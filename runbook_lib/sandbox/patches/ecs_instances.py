"""Make moto's container instances those of the sandbox's hosts, and refuse what Amazon ECS refuses.

Replaces RegisterContainerInstance, DeregisterContainerInstance, UpdateContainerInstancesState,
ListContainerInstances and DescribeContainerInstances.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from runbook_lib.sandbox import ecs_counts, ecs_instances
from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.ecs_query import QueryError, is_match
from runbook_lib.sandbox.placement import instance_facts


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS response class, for the whole process.
    """
    operations(
        EC2ContainerServiceResponse,
        register_container_instance=_refuse_register,
        deregister_container_instance=_deregister,
        update_container_instances_state=_update_state,
        list_container_instances=_list,
        describe_container_instances=_describe,
    )


def _refuse_register(_self: Any) -> Any:
    raise InvalidParameterException("Only the container agent of a sandbox host registers a container instance.")


def _deregister(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    instance = _find(backend, cluster, self._get_param("containerInstance"))
    if instance is None or instance.status == "INACTIVE":
        raise InvalidParameterException("Referenced container instance not found.")
    ecs_counts.refresh(backend)
    if not self._get_param("force") and instance.running_tasks_count + instance.pending_tasks_count:
        raise InvalidParameterException("Found running tasks on the instance.")
    ecs_instances.deregister(backend, instance)
    return ActionResult({"containerInstance": instance})


def _update_state(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    status = (self._get_param("status") or "").upper()
    if status not in {"ACTIVE", "DRAINING"}:
        raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")
    found, failures = _select(backend, cluster, self._get_param("containerInstances") or [])
    for instance in found:
        if instance.status == "INACTIVE":
            raise InvalidParameterException("The container instance is not in ACTIVE or DRAINING status.")
        instance.status = status
    ecs_counts.refresh(backend)
    return ActionResult({"containerInstances": found, "failures": failures})


def _list(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    status, expression = self._get_param("status"), self._get_param("filter")
    ecs_counts.refresh(backend)
    try:
        found = [
            one.container_instance_arn
            for one in backend.container_instances.get(cluster.name, {}).values()
            if (one.status == status if status else one.status != "INACTIVE")
            and (not expression or is_match(expression, instance_facts(one)))
        ]
    except QueryError as error:
        raise InvalidParameterException(str(error)) from error
    return ActionResult({"containerInstanceArns": sorted(found)})


def _describe(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    names = self._get_param("containerInstances") or []
    if not names:
        raise InvalidParameterException("Container Instances cannot be empty.")
    ecs_counts.refresh(backend)
    found, failures = _select(backend, cluster, names)
    return ActionResult({"containerInstances": found, "failures": failures})


def _select(backend: Any, cluster: Any, names: list[str]) -> tuple[list[Any], list[dict[str, str]]]:
    found, failures = [], []
    for name in names:
        instance = _find(backend, cluster, name)
        if instance is not None:
            found.append(instance)
            continue
        place = f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:container-instance/{cluster.name}"
        failures.append({"arn": name if name.startswith("arn:") else f"{place}/{name}", "reason": "MISSING"})
    return found, failures


def _find(backend: Any, cluster: Any, name: str) -> Any:
    return backend.container_instances.get(cluster.name, {}).get(name.rsplit("/", maxsplit=1)[-1])

"""Make moto's ECS tasks start and stop only when the sandbox's scheduler and agents say so.

Replaces RunTask, StartTask, StopTask, DescribeTasks and ListTasks, and switches off moto's own state transitions.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import Task
from moto.ecs.responses import DESCRIBE_TASKS_TAGS, EC2ContainerServiceResponse

from runbook_lib.sandbox import ecs_tasks, placement
from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.patches.ecs_service_rules import check_constraints
from runbook_lib.sandbox.patches.ecs_services import active_definition

MAXIMUM_COUNT = 10


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS response class and ``Task``, for the whole process.
    """
    Task.status = property(_get_status, _set_status)
    Task.last_status = property(_get_status, _set_status)
    operations(
        EC2ContainerServiceResponse,
        run_task=_run_task,
        start_task=_start_task,
        stop_task=_stop_task,
        describe_tasks=_describe_tasks,
        list_tasks=_list_tasks,
    )


def _get_status(self: Any) -> str:
    return str(self._status)


def _set_status(self: Any, value: str) -> None:
    self._status = value


def _run_task(self: Any) -> Any:
    backend, asked = self.ecs_backend, dict(self._get_params())
    cluster = backend._get_cluster(asked.get("cluster") or "default")
    definition = active_definition(backend, asked["taskDefinition"])
    count = asked.get("count") or 1
    if not 1 <= count <= MAXIMUM_COUNT:
        raise InvalidParameterException("Tasks count must be between 1 and 10.")
    if definition.network_mode == "awsvpc":
        raise InvalidParameterException("The sandbox runs bridge and host network modes only, not awsvpc.")
    rules = asked.get("placementConstraints") or []
    check_constraints(rules)
    strategy = asked.get("capacityProviderStrategy")
    if not strategy and not asked.get("launchType"):
        strategy = cluster.default_capacity_provider_strategy
    provider = strategy[0]["capacityProvider"] if strategy else ""
    if not any(one.status == "ACTIVE" for one in backend.container_instances.get(cluster.name, {}).values()):
        raise InvalidParameterException("No Container Instances were found in your cluster.")
    group = asked.get("group") or f"family:{definition.family}"
    tasks: list[Any] = []
    failures: list[dict[str, str]] = []
    for _ in range(count):
        found = placement.place(backend, cluster, definition, rules, group=group, capacity_provider=provider)
        if found.instance is None:
            failures.append(_failure(found))
            continue
        tasks.append(_add(backend, cluster, definition, found.instance, {**asked, "group": group}, provider=provider))
    return ActionResult({"tasks": tasks, "failures": failures})


def _start_task(self: Any) -> Any:
    backend, asked = self.ecs_backend, dict(self._get_params())
    cluster = backend._get_cluster(asked.get("cluster") or "default")
    definition = active_definition(backend, asked["taskDefinition"])
    group = asked.get("group") or f"family:{definition.family}"
    tasks: list[Any] = []
    failures: list[dict[str, str]] = []
    for name in asked.get("containerInstances") or []:
        instance = backend.container_instances.get(cluster.name, {}).get(name.rsplit("/", maxsplit=1)[-1])
        if instance is None:
            failures.append({"arn": name, "reason": "MISSING"})
            continue
        obstacle = placement.obstacle_on(backend, instance, definition)
        if obstacle is not None:
            failures.append(_failure(placement.Placement(None, instance, obstacle)))
            continue
        tasks.append(_add(backend, cluster, definition, instance, {**asked, "group": group}, provider=""))
    return ActionResult({"tasks": tasks, "failures": failures})


def _add(backend: Any, cluster: Any, definition: Any, instance: Any, asked: dict[str, Any], *, provider: str) -> Any:
    tags = list(asked.get("tags") or [])
    if asked.get("propagateTags") == "TASK_DEFINITION":
        tags += [one for one in definition.tags if one["key"] not in {tag["key"] for tag in tags}]
    return ecs_tasks.new_task(
        backend,
        cluster,
        definition,
        group=asked["group"],
        instance=instance,
        started_by=asked.get("startedBy") or "",
        launch_type=asked.get("launchType") or "",
        capacity_provider=provider,
        overrides=asked.get("overrides"),
        tags=tags,
    )


def _failure(found: placement.Placement) -> dict[str, str]:
    if found.closest is None or found.obstacle is None:
        return {"reason": "EMPTY CAPACITY PROVIDER"}
    return {"arn": found.closest.container_instance_arn, "reason": found.obstacle.code}


def _stop_task(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    task = _find(backend, cluster, self._get_param("task"))
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    ecs_tasks.request_stop(task, self._get_param("reason") or "Task stopped by user", "UserInitiated")
    return ActionResult({"task": task})


def _describe_tasks(self: Any) -> Any:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster") or "default")
    names = self._get_param("tasks") or []
    if not names:
        raise InvalidParameterException("Tasks cannot be empty.")
    found = {name: _find(backend, cluster, name) for name in names}
    if "TAGS" in (self._get_param("include") or []):
        self._include_in_response(DESCRIBE_TASKS_TAGS)
    else:
        self._exclude_from_response(DESCRIBE_TASKS_TAGS)
    failures = [{"arn": _arn(backend, cluster, name), "reason": "MISSING"} for name, task in found.items() if not task]
    return ActionResult({"tasks": [task for task in found.values() if task], "failures": failures})


def _list_tasks(self: Any) -> Any:
    backend, asked = self.ecs_backend, dict(self._get_params())
    cluster = backend._get_cluster(asked.get("cluster") or "default")
    if asked.get("serviceName") and f"{cluster.name}:{asked['serviceName'].split('/')[-1]}" not in backend.services:
        raise ECSException("ServiceNotFoundException", "Service not found.")
    wanted = asked.get("desiredStatus") or "RUNNING"
    if wanted not in {"RUNNING", "STOPPED", "PENDING"}:
        raise InvalidParameterException("desiredStatus must be one of RUNNING, PENDING, STOPPED.")
    tasks = ecs_tasks.cluster_tasks(backend, cluster.name)
    found = [one.task_arn for one in tasks if one.desired_status == wanted and _is_asked_for(one, asked)]
    return ActionResult({"taskArns": found})


def _is_asked_for(task: Any, asked: dict[str, Any]) -> bool:
    instance = (task.container_instance_arn or "").split("/")[-1]
    family = task.task_definition_arn.split("/")[-1].split(":")[0]
    service = (asked.get("serviceName") or "").split("/")[-1]
    return (
        (not asked.get("containerInstance") or instance == asked["containerInstance"].split("/")[-1])
        and asked.get("family") in {None, family}
        and asked.get("startedBy") in {None, task.started_by}
        and (not service or task.group == f"service:{service}")
        and asked.get("launchType") in {None, task.launch_type}
    )


def _find(backend: Any, cluster: Any, name: str) -> Any:
    identity = name.rsplit("/", maxsplit=1)[-1]
    return next((one for one in ecs_tasks.cluster_tasks(backend, cluster.name) if one.id == identity), None)


def _arn(backend: Any, cluster: Any, name: str) -> str:
    if name.startswith("arn:"):
        return name
    return f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:task/{cluster.name}/{name}"

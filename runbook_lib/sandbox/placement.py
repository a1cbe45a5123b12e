"""Decide which container instance a task can go to, and say why it can go to none.

Reads the records of moto's ECS backend; changes nothing. Callers hold ``World.lock``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.sandbox.ecs_counts import remaining
from runbook_lib.sandbox.ecs_query import is_match
from runbook_lib.sandbox.ecs_tasks import instance_tasks, requirements

SEE_ALSO = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
NOBODY = "was unable to place a task because no container instance met all of its requirements."


@dataclass(frozen=True)
class Obstacle:
    """Why a task cannot run on a container instance.

    Args:
        code: As RunTask gives it in ``failures[].reason``.
        text: As a service event gives it after ``The closest matching (container-instance ID)``.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Placement:
    """Where a task goes.

    Args:
        instance: The container instance's record, or None.
        closest: The instance that came closest when there is none that fits, or None.
        obstacle: What the closest instance lacks.
    """

    instance: Any = None
    closest: Any = None
    obstacle: Obstacle | None = None

    def event(self, *, capacity_provider: bool) -> str:
        """Return the words of the service event that reports a task without a place."""
        if self.closest is None or self.obstacle is None:
            place = "capacity provider" if capacity_provider else "cluster"
            return f"{NOBODY} Reason: No Container Instances were found in your {place}. {SEE_ALSO}"
        identity = self.closest.container_instance_arn.split("/")[-1]
        return f"{NOBODY} The closest matching (container-instance {identity}) {self.obstacle.text}. {SEE_ALSO}"


def required_attributes(definition: Any) -> list[str]:
    """Return the capabilities that a container instance must have to run a task.

    The names are those that the ECS container agent registers. A volume driver's ``:`` becomes ``.``.
    """
    names = {"com.amazonaws.ecs.capability.docker-remote-api.1.18"}
    for volume in definition.volumes:
        driver = (volume.get("dockerVolumeConfiguration") or {}).get("driver")
        if volume.get("dockerVolumeConfiguration") is not None:
            names.add("ecs.capability.docker-plugin." + (driver or "local").replace(":", "."))
    if getattr(definition, "task_role_arn", None):
        names.add("com.amazonaws.ecs.capability.task-iam-role")
    for container in definition.container_definitions:
        log_driver = (container.get("logConfiguration") or {}).get("logDriver")
        if log_driver:
            names.add(f"com.amazonaws.ecs.capability.logging-driver.{log_driver}")
        if container.get("healthCheck"):
            names.add("ecs.capability.container-health-check")
        if container.get("dependsOn"):
            names.add("ecs.capability.container-ordering")
        for secret in container.get("secrets") or []:
            kind = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
            names.add(f"ecs.capability.secrets.{kind}.environment-variables")
    return sorted(names)


def place(
    backend: Any,
    cluster: Any,
    definition: Any,
    constraints: Sequence[dict[str, str]] = (),
    *,
    strategy: Sequence[dict[str, str]] = (),
    group: str = "",
    capacity_provider: str = "",
) -> Placement:
    """Choose a container instance for one task.

    Args:
        backend: moto's ECS backend.
        cluster: The cluster.
        definition: The task definition.
        constraints: The service's placement constraints; the definition's own are added.
        strategy: Placement strategy; without one the instance with the fewest tasks is chosen.
        group: The task's group, for ``distinctInstance``.
        capacity_provider: Only its instances are looked at, when given.
    """
    rules = [*constraints, *(definition.placement_constraints or [])]
    fits, closest, obstacle = [], None, None
    for instance in _candidates(backend, cluster, capacity_provider):
        found = _obstacle(backend, instance, definition, rules, group)
        if found is None:
            fits.append(instance)
        elif closest is None:
            closest, obstacle = instance, found
    if fits:
        return Placement(min(fits, key=lambda one: _order(backend, one, strategy)))
    return Placement(None, closest, obstacle)


def obstacle_on(backend: Any, instance: Any, definition: Any) -> Obstacle | None:
    """Return why StartTask cannot put a task on an instance, or None. Constraints do not count there."""
    return _obstacle(backend, instance, definition, [], "")


def instance_facts(instance: Any) -> dict[str, str | None]:
    """Return what the cluster query language can ask about a container instance."""
    facts: dict[str, str | None] = {f"attribute:{name}": value for name, value in instance.attributes.items()}
    facts["ec2InstanceId"] = instance.ec2_instance_id
    facts["agentConnected"] = str(instance.agent_connected).lower()
    facts["agentVersion"] = instance.version_info["agentVersion"]
    facts["runningTasksCount"] = str(instance.running_tasks_count)
    return facts


def _candidates(backend: Any, cluster: Any, capacity_provider: str) -> Iterable[Any]:
    for instance in backend.container_instances.get(cluster.name, {}).values():
        own = getattr(instance, "capacity_provider_name", None)
        if instance.status == "ACTIVE" and capacity_provider in {"", own}:
            yield instance


def _obstacle(
    backend: Any, instance: Any, definition: Any, rules: Sequence[dict[str, str]], group: str
) -> Obstacle | None:
    tasks = instance_tasks(backend, instance)
    return (
        (None if instance.agent_connected else Obstacle("AGENT", 'encountered error "AGENT"'))
        or _lacking_resource(instance, tasks, requirements(definition))
        or _lacking_attribute(instance, definition)
        or _broken_constraint(instance, tasks, rules, group)
    )


def _lacking_resource(instance: Any, tasks: list[Any], needs: dict[str, Any]) -> Obstacle | None:
    left = {one["name"]: one for one in remaining(instance, tasks)}
    if needs["CPU"] > left["CPU"]["integerValue"]:
        return Obstacle("RESOURCE:CPU", "has insufficient CPU units available")
    if needs["MEMORY"] > left["MEMORY"]["integerValue"]:
        return Obstacle("RESOURCE:MEMORY", "has insufficient memory available")
    if set(map(str, needs["PORTS"])) & set(left["PORTS"]["stringSetValue"]):
        return Obstacle("RESOURCE:PORTS", "is already using a port required by your task")
    return None


def _lacking_attribute(instance: Any, definition: Any) -> Obstacle | None:
    if all(name in instance.attributes for name in required_attributes(definition)):
        return None
    return Obstacle("ATTRIBUTE", "is missing an attribute required by your task")


def _broken_constraint(instance: Any, tasks: list[Any], rules: Sequence[dict[str, str]], group: str) -> Obstacle | None:
    for rule in rules:
        if rule["type"] == "distinctInstance":
            broken = any(one.group == group for one in tasks)
        else:
            broken = not is_match(rule["expression"], instance_facts(instance))
        if broken:
            text = f"{rule['type'][0].upper()}{rule['type'][1:]} placement constraint unsatisfied."
            return Obstacle(text, f'encountered error "{text}"')
    return None


def _order(backend: Any, instance: Any, strategy: Sequence[dict[str, str]]) -> tuple[Any, ...]:
    tasks = instance_tasks(backend, instance)
    packs = any(one["type"] == "binpack" for one in strategy)
    return (-len(tasks) if packs else len(tasks), instance.container_instance_arn)

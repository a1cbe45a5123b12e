"""The Amazon ECS service scheduler: keep each service at its desired count, deployment by deployment.

It reads and changes the records of moto's ECS backend and nothing else; agents make the records come true.
Callers hold ``World.lock``. Source: Amazon ECS developer guide, "Deploy Amazon ECS services by replacing tasks",
"How the Amazon ECS deployment circuit breaker detects failures".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.sandbox import ecs_counts, ecs_deployments, ecs_tasks, placement
from runbook_lib.sandbox.ecs_deployments import add_event, primary
from runbook_lib.sandbox.ecs_plan import TaskFacts, decide, threshold
from runbook_lib.sandbox.latency import Latency

FAILED_CODES = {"TaskFailedToStart", "EssentialContainerExited"}
UNHEALTHY = "Task failed container health checks"
LONGEST_BACK_OFF = 5
COMPLAIN_AFTER = 3


@dataclass
class _Memory:
    """What the scheduler remembers of one service between two looks."""

    counted: set[str] = field(default_factory=set)
    failures: int = 0
    next_start: float = 0.0
    without_place: str = ""


class ServiceScheduler:
    """Keeps the services of one ECS backend at their desired counts.

    Args:
        backend: moto's ECS backend.
        latency: Decides back-off and how long a task must run to count as started.
    """

    def __init__(self, backend: Any, latency: Latency) -> None:
        self._backend = backend
        self._latency = latency
        self._memories: dict[str, _Memory] = {}

    def tick(self) -> None:
        """Look at every service once."""
        for service in list(self._backend.services.values()):
            if service.status != "INACTIVE":
                self._advance(service)
        ecs_tasks.forget_old(self._backend)
        ecs_counts.refresh(self._backend)

    def _advance(self, service: Any) -> None:
        memory = self._memories.setdefault(f"{service.arn} {service.created_at}", _Memory())
        tasks = ecs_tasks.service_tasks(self._backend, service)
        if service.status == "DRAINING" and not tasks:
            service.status = "INACTIVE"
            service.deployments.clear()
            return
        self._count_failures(service, memory, tasks)
        deployment = primary(service)
        if self._is_broken(service, deployment):
            ecs_deployments.fail(service)
            memory.failures, memory.next_start = 0, 0.0
        self._act(service, memory, tasks)
        self._finish(service)

    def _act(self, service: Any, memory: _Memory, tasks: list[Any]) -> None:
        settings = service.deployment_configuration
        low, high = settings["minimumHealthyPercent"], settings["maximumPercent"]
        facts = [self._facts(service, one) for one in tasks]
        decision = decide(facts, service.desired_count, low, high)
        stopped = [one for one in tasks if one.id in decision.stop]
        for task in stopped:
            self._stop(service, task)
        if stopped:
            add_event(service, f"has stopped {len(stopped)} running tasks: {_names(stopped)}.")
        # A failed deployment launches no more tasks until somebody starts another one.
        failed = primary(service)["rolloutState"] == "FAILED"
        if decision.start and not failed and time.monotonic() >= memory.next_start:
            self._start(service, memory, decision.start)

    def _start(self, service: Any, memory: _Memory, count: int) -> None:
        backend = self._backend
        cluster = backend._get_cluster(service.cluster_name)
        definition = backend.describe_task_definition(service.task_definition)
        strategy = service.capacity_provider_strategy or []
        provider = strategy[0]["capacityProvider"].split("/")[-1] if strategy else ""
        started: list[Any] = []
        found = placement.Placement()
        for _number in range(count):
            found = placement.place(
                backend,
                cluster,
                definition,
                service.placement_constraints,
                strategy=service.placement_strategy,
                group=f"service:{service.name}",
                capacity_provider=provider,
            )
            if found.instance is None:
                break
            started.append(self._new_task(service, cluster, definition, found.instance, provider))
        if started:
            memory.without_place = ""
            add_event(service, f"has started {len(started)} tasks: {_names(started)}.")
        if found.instance is None:
            self._report_without_place(service, memory, found.event(capacity_provider=bool(provider)))

    def _new_task(self, service: Any, cluster: Any, definition: Any, instance: Any, provider: str) -> Any:
        return ecs_tasks.new_task(
            self._backend,
            cluster,
            definition,
            group=f"service:{service.name}",
            instance=instance,
            started_by=primary(service)["id"],
            launch_type=service.launch_type or "",
            capacity_provider=provider,
            tags=_tags(service, definition),
        )

    def _stop(self, service: Any, task: Any) -> None:
        if task.health_status == "UNHEALTHY":
            add_event(service, f"(task {task.id}) failed container health checks.")
            ecs_tasks.request_stop(task, UNHEALTHY, "ServiceSchedulerInitiated")
            return
        reason = f"Scaling activity initiated by (deployment {primary(service)['id']})"
        ecs_tasks.request_stop(task, reason, "ServiceSchedulerInitiated")

    def _report_without_place(self, service: Any, memory: _Memory, text: str) -> None:
        if memory.without_place != text:
            memory.without_place = text
            add_event(service, text)

    def _facts(self, service: Any, task: Any) -> TaskFacts:
        running = task.status == "RUNNING" and task.desired_status == "RUNNING"
        unhealthy = running and task.health_status == "UNHEALTHY"
        return TaskFacts(
            task_id=task.id,
            is_current=task.started_by == primary(service)["id"] and not self._is_leaving(task),
            is_running=running,
            is_healthy=running and _passes(task),
            is_unhealthy=unhealthy,
            is_stopping=ecs_tasks.is_stopping(task),
        )

    def _is_leaving(self, task: Any) -> bool:
        instances = self._backend.container_instances.get(task.cluster_name, {})
        instance = instances.get((task.container_instance_arn or "").rsplit("/", maxsplit=1)[-1])
        return instance is None or instance.status != "ACTIVE"

    def _count_failures(self, service: Any, memory: _Memory, tasks: list[Any]) -> None:
        """Count the tasks that ended by themselves; a task that has proved itself sets the count back."""
        deployment = primary(service)
        if any(self._has_proved(one) and one.started_by == deployment["id"] for one in tasks):
            memory.failures = 0
            if deployment["rolloutState"] == "IN_PROGRESS":
                deployment["failedTasks"] = 0
        group = f"service:{service.name}"
        for task in ecs_tasks.cluster_tasks(self._backend, service.cluster_name):
            if task.group != group or not ecs_tasks.is_stopped(task) or task.id in memory.counted:
                continue
            memory.counted.add(task.id)
            if task.stop_code not in FAILED_CODES and task.stopped_reason != UNHEALTHY:
                continue
            memory.failures += 1
            memory.next_start = time.monotonic() + self._back_off(memory.failures)
            if task.started_by == deployment["id"] and deployment["rolloutState"] == "IN_PROGRESS":
                deployment["failedTasks"] += 1
                deployment["updatedAt"] = ecs_tasks.now()
            if memory.failures == COMPLAIN_AFTER:
                text = f"is unable to consistently start tasks successfully. {placement.SEE_ALSO}"
                add_event(service, text)

    def _back_off(self, failures: int) -> float:
        return float(self._latency.schedule_s * 2 ** min(failures - 1, LONGEST_BACK_OFF))

    def _is_broken(self, service: Any, deployment: dict[str, Any]) -> bool:
        return (
            bool(ecs_deployments.breaker(service).get("enable"))
            and deployment["rolloutState"] == "IN_PROGRESS"
            and deployment["failedTasks"] >= threshold(service.desired_count)
        )

    def _has_proved(self, task: Any) -> bool:
        """Return whether a task counts as started: healthy, or without a health check, running for a while."""
        if task.status != "RUNNING" or task.desired_status != "RUNNING":
            return False
        if ecs_tasks.has_health_check(task):
            return bool(task.health_status == "HEALTHY")
        age_s = (ecs_tasks.now() - task.started_at).total_seconds()
        return bool(age_s >= max(5 * self._latency.schedule_s, 2 * self._latency.tick_s))

    def _finish(self, service: Any) -> None:
        """Record that the service has come to rest, and that its deployment is over."""
        deployment = primary(service)
        tasks = ecs_tasks.service_tasks(self._backend, service)
        for other in service.deployments[1:]:
            own = [one for one in tasks if one.started_by == other["id"] and not ecs_tasks.is_stopping(one)]
            other["desiredCount"] = len(own)
        rests = (
            len(tasks) == service.desired_count
            and all(self._facts(service, one).is_current and self._has_proved(one) for one in tasks)
            and deployment["rolloutState"] != "FAILED"
        )
        if not rests:
            service.is_steady = False
            return
        if deployment["rolloutState"] == "IN_PROGRESS":
            ecs_deployments.complete(service)
            del service.deployments[1:]
        if not service.is_steady:
            service.is_steady = True
            add_event(service, "has reached a steady state.")


def _passes(task: Any) -> bool:
    return not ecs_tasks.has_health_check(task) or task.health_status == "HEALTHY"


def _names(tasks: list[Any]) -> str:
    return " ".join(f"(task {one.id})" for one in tasks)


def _tags(service: Any, definition: Any) -> list[dict[str, str]]:
    source = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(service.propagate_tags) or []
    tags = [dict(one) for one in source]
    if service.enable_ecs_managed_tags:
        tags.append({"key": "aws:ecs:clusterName", "value": service.cluster_name})
        tags.append({"key": "aws:ecs:serviceName", "value": service.name})
    return tags

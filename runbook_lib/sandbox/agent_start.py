"""Pull, create and start the containers of a task in the order of their dependencies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import ecs_tasks
from runbook_lib.sandbox.agent_containers import container_spec, in_order, ports_of
from runbook_lib.sandbox.agent_environment import environment
from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.agent_logs import LogStream
from runbook_lib.sandbox.agent_run import ContainerRun
from runbook_lib.sandbox.containers import EngineError

if TYPE_CHECKING:
    from runbook_lib.sandbox.agent_task import TaskRun

START_TIMEOUT_S = 180.0


def start_containers(run: TaskRun) -> None:
    """Bring every container of a task up, one after the other.

    Args:
        run: The task; its ``containers`` grow as they are created.

    Raises:
        TaskError: An image, a container or a dependency failed.
    """
    ordered = in_order(run.definition.container_definitions)
    _pull(run, [one["image"] for one in ordered])
    for definition in ordered:
        if not _dependencies_hold(run, definition):
            return
        container = _create(run, definition)
        run.containers.append(container)
        try:
            container.start()
        except EngineError as error:
            raise _failed(definition["name"], "CannotStartContainerError", error) from error


def _pull(run: TaskRun, images: list[str]) -> None:
    engine = run.agent.host.engine
    behavior = run.agent.settings.get("ECS_IMAGE_PULL_BEHAVIOR", "default")
    with run.world.lock:
        run.task.pull_started_at = ecs_tasks.now()
    for image in images:
        cached = engine.image(image) is not None
        if cached and behavior in {"prefer-cached", "once"}:
            continue
        try:
            engine.pull(image)
        except EngineError as error:
            # Source: agent README: with ``default`` a cached image is used when the pull fails.
            if not (cached and behavior == "default"):
                raise TaskError(f"CannotPullContainerError: Error response from daemon: {error}") from error
    with run.world.lock:
        run.task.pull_stopped_at = ecs_tasks.now()


def _create(run: TaskRun, definition: dict[str, Any]) -> ContainerRun:
    engine, name = run.agent.host.engine, definition["name"]
    record = next(one for one in run.task.containers if one["name"] == name)
    role = run.agent.host.launch.role_name
    values = environment(run.world, run.task, run.definition, definition, host_role=role)
    stream = LogStream.of(run.world, run.task, run.definition, definition, host_role=role)
    taken = {outer for one in engine.containers() for outer, _inner in one.spec.ports}
    mode = run.definition.network_mode or "bridge"
    ports = ports_of(definition, mode, taken)
    spec = container_spec(
        run.task,
        run.definition,
        definition,
        environment=values,
        mounts=run.volumes.mounts(definition),
        ports=ports,
        stop_timeout_s=run.stop_timeout_s,
    )
    try:
        container = engine.create(spec)
    except EngineError as error:
        raise _failed(name, "CannotCreateContainerError", error) from error
    with run.world.lock:
        record["runtimeId"] = container.id
        record["lastStatus"] = "CREATED"
        record["imageDigest"] = _digest(engine, definition["image"])
        record["networkBindings"] = [
            {"bindIP": "0.0.0.0", "containerPort": inner, "hostPort": outer, "protocol": "tcp"}
            for outer, inner in ports
        ]
    return ContainerRun(run.world, engine, container, record=record, definition=definition, stream=stream)


def _dependencies_hold(run: TaskRun, definition: dict[str, Any]) -> bool:
    """Wait for what a container depends on; False when the task is to stop."""
    known = {one.name: one for one in run.containers}
    for need in definition.get("dependsOn") or []:
        other = known[need["containerName"]]
        until = time.monotonic() + float(other.definition.get("startTimeout") or START_TIMEOUT_S)
        while not _holds(other, need["condition"]):
            if not run.is_wanted():
                return False
            impossible = other.has_ended and need["condition"] != "COMPLETE"
            if impossible or other.record["healthStatus"] == "UNHEALTHY" or time.monotonic() > until:
                raise TaskError(
                    f"dependency graph: failed to resolve container ordering dependency [{other.name}] for target "
                    f"[{definition['name']}]: condition {need['condition']} was not met"
                )
            run.world.ended.wait(run.world.latency.tick_s)
            other.observe(with_logs=False)
    return run.is_wanted()


def _holds(other: ContainerRun, condition: str) -> bool:
    if condition == "START":
        return True
    if condition == "HEALTHY":
        return bool(other.record["healthStatus"] == "HEALTHY")
    success = condition == "COMPLETE" or other.record.get("exitCode") == 0
    return other.has_ended and success


def _digest(engine: Any, image: str) -> str | None:
    found = engine.image(image)
    return found.digest if found is not None else None


def _failed(name: str, kind: str, error: EngineError) -> TaskError:
    text = f"{kind}: Error response from daemon: {error}"
    return TaskError("Task failed to start", container=name, container_reason=text)

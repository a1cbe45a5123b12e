"""One task on one host, from its placement to its clean-up, in a thread of its own.

It makes the task's record come true through the host's Docker engine. ``World.lock`` is held only while the record
is read or changed. Source: amazon-ecs-agent 1.105.1, task and container state machines.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from runbook_lib.sandbox import agent_targets, ecs_tasks
from runbook_lib.sandbox.agent_containers import DEFAULT_STOP_TIMEOUT_S, duration_s
from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.agent_run import ContainerRun
from runbook_lib.sandbox.agent_start import start_containers
from runbook_lib.sandbox.agent_volumes import TaskVolumes

log = logging.getLogger(__name__)

CLEAN_UP_AFTER_SCHEDULES = 600
LOGS_EVERY_TICKS = 5


class TaskRun:
    """A task on a host.

    Args:
        agent: The host's container agent: ``world``, ``host``, ``ecs``, ``connected``.
        task: The task's record.
        definition: The record of its task definition.
    """

    def __init__(self, agent: Any, task: Any, definition: Any) -> None:
        self.agent = agent
        self.world = agent.world
        self.task = task
        self.definition = definition
        self.volumes = TaskVolumes(agent.host.engine, definition, matches_fully=_matches_fully(agent.settings))
        self.containers: list[ContainerRun] = []
        self._thread = threading.Thread(target=self._run, name=f"task-{task.id[:8]}", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the task has ended, cleaned up after itself, or lost its host for good."""
        return not self._thread.is_alive()

    def move(self, status: str) -> None:
        """Move the task's record to another state, unless it has stopped already."""
        with self.world.lock:
            if not ecs_tasks.is_stopped(self.task):
                ecs_tasks.set_status(self.task, status)

    def is_wanted(self) -> bool:
        """Return whether the task is still to run."""
        return bool(self.task.desired_status == "RUNNING") and not self.world.ended.is_set()

    def _run(self) -> None:
        try:
            self._begin_and_watch()
            if self._is_reachable():
                self._stop()
                self._clean_up()
        except Exception:
            log.exception("the task %s failed in the sandbox itself", self.task.id)
            with self.world.lock:
                ecs_tasks.end(self.task, "The sandbox failed; see its daemon.log", "TaskFailedToStart")

    def _begin_and_watch(self) -> None:
        try:
            if not self.world.ended.wait(self.world.latency.schedule_s):
                self._start()
                self._watch()
        except TaskError as problem:
            with self.world.lock:
                ecs_tasks.request_stop(self.task, problem.reason, problem.code)
                for one in self.task.containers:
                    if one["name"] == problem.container:
                        one["reason"] = problem.container_reason

    def _start(self) -> None:
        if not self.is_wanted():
            return
        self.move("PENDING")
        self.volumes.prepare()
        start_containers(self)
        if self.is_wanted():
            self.move("ACTIVATING")
            agent_targets.register(self.world, self.agent.ecs, self.task, self.agent.host.instance_id)
            self.move("RUNNING")

    def _watch(self) -> None:
        ticks = 0
        while self.is_wanted() and not self.world.ended.wait(self.world.latency.tick_s):
            if not self.agent.connected:
                continue
            ticks += 1
            for one in self.containers:
                one.observe(with_logs=ticks % LOGS_EVERY_TICKS == 0)
            ended = next((one for one in self.containers if one.has_ended and one.is_essential), None)
            with self.world.lock:
                self.task.health_status = _health(self.containers)
                if ended is not None:
                    reason = "Essential container in task exited"
                    ecs_tasks.request_stop(self.task, reason, "EssentialContainerExited")

    def _is_reachable(self) -> bool:
        """Wait until the agent can act again; False when the task's record has been ended meanwhile."""
        while not self.agent.connected:
            if ecs_tasks.is_stopped(self.task) or self.world.ended.wait(self.world.latency.tick_s):
                return False
        return not (ecs_tasks.is_stopped(self.task) or self.world.ended.is_set())

    def _stop(self) -> None:
        self.move("DEACTIVATING")
        if agent_targets.deregister(self.world, self.agent.ecs, self.task, self.agent.host.instance_id):
            # Without open connections a load balancer ends the deregistration before its delay is over.
            self.world.ended.wait(self.world.latency.schedule_s)
        self.move("STOPPING")
        for one in reversed(self.containers):
            one.stop()
        with self.world.lock:
            for record in self.task.containers:
                record["lastStatus"] = "STOPPED"
        self.move("DEPROVISIONING")
        self.move("STOPPED")

    def _clean_up(self) -> None:
        """Remove containers and task-scoped volumes after a while."""
        given = self.agent.settings.get("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", "")
        wait_s = duration_s(given, CLEAN_UP_AFTER_SCHEDULES * self.world.latency.schedule_s)
        if self.world.ended.wait(wait_s) or not self.agent.host.powered:
            return
        for one in self.containers:
            one.remove()
        self.volumes.clean_up()

    @property
    def stop_timeout_s(self) -> float:
        """Return the grace period of containers whose definition gives none."""
        return duration_s(self.agent.settings.get("ECS_CONTAINER_STOP_TIMEOUT", ""), DEFAULT_STOP_TIMEOUT_S)


def _matches_fully(settings: dict[str, str]) -> bool:
    return settings.get("ECS_SHARED_VOLUME_MATCH_FULL_CONFIG", "").lower() == "true"


def _health(containers: list[ContainerRun]) -> str:
    """Return the health of a task from that of its essential containers."""
    states = [one.record["healthStatus"] for one in containers if one.is_essential and one.record["hasHealthCheck"]]
    if "UNHEALTHY" in states:
        return "UNHEALTHY"
    return "HEALTHY" if states and set(states) == {"HEALTHY"} else "UNKNOWN"

"""The ECS container agents of the sandbox: one for each host that has joined a cluster.

An agent registers its host with what it can do, and turns the task records placed on it into containers. It runs only
while the host's ``ecs`` service runs, and looks at plugins once, when it starts.
Source: amazon-ecs-agent 1.105.1 (appendVolumeDriverCapabilities), its README for ``ECS_*`` settings.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import ecs_instances, ecs_tasks
from runbook_lib.sandbox.agent_task import TaskRun
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.machine_images import IMAGES
from runbook_lib.sandbox.patches.iam import is_permitted

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World

log = logging.getLogger(__name__)

CAPABILITY = "com.amazonaws.ecs.capability."
REMOTE_API_MINORS = range(17, 45)
CAPABILITIES = (
    f"{CAPABILITY}privileged-container",
    f"{CAPABILITY}logging-driver.awslogs",
    f"{CAPABILITY}logging-driver.json-file",
    f"{CAPABILITY}logging-driver.none",
    f"{CAPABILITY}task-iam-role",
    f"{CAPABILITY}task-iam-role-network-host",
    f"{CAPABILITY}ecr-auth",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.environment-variables",
)
PAUSE_IMAGE = "amazon/amazon-ecs-pause:0.1.0"
"""Loaded by every agent when it starts, never cleaned up. Source: agent ``config.CachedImageNamePauseContainer``."""
TERMINATED = {"shutting-down", "terminated"}
STOPPED = {"stopping", "stopped"}


class Agent:
    """The container agent of one host.

    Args:
        world: The sandbox's world.
        host: The host, whose ``ecs`` service has just started.
    """

    def __init__(self, world: World, host: Any) -> None:
        self.world = world
        self.host = host
        self.ecs = backend("ecs")
        self.settings: dict[str, str] = {}
        self._registered = False
        self.start_number = (host.boots, host.ecs_agent_restarts)
        self._runs: dict[str, TaskRun] = {}

    @property
    def connected(self) -> bool:
        """Whether the agent runs and is registered; a host that goes down loses its agent before its containers."""
        host = self.host
        return self._registered and host.powered and not host.off.is_set() and host.engine.active

    @property
    def is_registered(self) -> bool:
        """Whether the host was registered since its agent started."""
        return self._registered

    def connect(self) -> None:
        """Read the settings and register the host; without a cluster or the permission it stays unregistered.

        Changes:
            The container instance's record.
        """
        self._registered = False
        self.start_number = (self.host.boots, self.host.ecs_agent_restarts)
        self.settings = self.host.ecs_config()
        self.host.engine.load(PAUSE_IMAGE)
        name = self.settings.get("ECS_CLUSTER", "")
        role = self.host.launch.role_name
        attributes = {**_capabilities(self.host), **_given_attributes(self.settings)}
        with self.world.lock:
            cluster = self.ecs.clusters.get(name)
            if cluster is None or cluster.status != "ACTIVE":
                return
            if not is_permitted(role, "ecs:RegisterContainerInstance", cluster.arn):
                return
            ecs_instances.register(
                self.ecs,
                name,
                self.host.instance_id,
                attributes,
                resources=ecs_instances.resources_of(backend("ec2"), self.host.launch.instance_type),
                versions=_versions(self.host.launch.image_id),
            )
            self._registered = True
        self.world.record("ecs-agent-connected", instance_id=self.host.instance_id, cluster=name)

    def disconnect(self) -> None:
        """Record that the agent does not run; containers go on."""
        if self._registered:
            self._registered = False
            with self.world.lock:
                instance = ecs_instances.find(self.ecs, self.host.instance_id)
                if instance is not None:
                    instance.agent_connected = False
            self.world.record("ecs-agent-disconnected", instance_id=self.host.instance_id)

    def tick(self) -> None:
        """Begin the tasks that were placed on the host since the last call, and forget those that are over."""
        with self.world.lock:
            instance = ecs_instances.find(self.ecs, self.host.instance_id)
            tasks = ecs_tasks.instance_tasks(self.ecs, instance) if instance is not None else []
            new = [one for one in tasks if one.id not in self._runs]
            runs = [TaskRun(self, one, self.ecs.describe_task_definition(one.task_definition_arn)) for one in new]
        for run in runs:
            self._runs[run.task.id] = run
            run.begin()
        for task_id in [task_id for task_id, run in self._runs.items() if run.is_over]:
            del self._runs[task_id]


class Agents:
    """The container agents of all hosts.

    Args:
        world: The sandbox's world.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._agents: dict[str, Agent] = {}

    def tick(self) -> None:
        """Start, restart and end agents as their hosts say, and deregister the hosts that are gone."""
        for host in list(self._world.hosts.values()):
            self._follow(host)
        with self._world.lock:
            ecs = backend("ecs")
            for instances in ecs.container_instances.values():
                for instance in instances.values():
                    if instance.status != "INACTIVE":
                        self._bury(ecs, instance)

    def _follow(self, host: Any) -> None:
        wanted = host.ecs_agent_wanted
        agent = self._agents.get(host.instance_id)
        if agent is None:
            if not wanted:
                return
            agent = self._agents[host.instance_id] = Agent(self._world, host)
        if not wanted:
            agent.disconnect()
            return
        if not agent.is_registered or agent.start_number != (host.boots, host.ecs_agent_restarts):
            agent.connect()
        if agent.connected:
            agent.tick()

    def _bury(self, ecs: Any, instance: Any) -> None:
        """End the tasks of a host whose instance EC2 has stopped or terminated, and deregister a terminated one."""
        found = backend("ec2").get_instance_by_id(instance.ec2_instance_id)
        state = "terminated" if found is None else found.state
        host = self._world.hosts.get(instance.ec2_instance_id)
        if state not in TERMINATED | STOPPED or (host is not None and host.powered):
            return
        word = "terminated" if state in TERMINATED else "stopped"
        for task in ecs_tasks.instance_tasks(ecs, instance):
            ecs_tasks.end(task, f"Host EC2 (instance {instance.ec2_instance_id}) {word}.", "TerminationNotice")
        instance.agent_connected = False
        if state == "terminated":
            ecs_instances.deregister(ecs, instance)
            self._agents.pop(instance.ec2_instance_id, None)


def _capabilities(host: Any) -> dict[str, str | None]:
    names = [*CAPABILITIES, *(f"{CAPABILITY}docker-remote-api.1.{minor}" for minor in REMOTE_API_MINORS)]
    for plugin in host.engine.plugins():
        if plugin.enabled:
            driver = plugin.name.replace(":", ".")
            names += [f"ecs.capability.docker-plugin.{one}" for one in (driver, driver.removesuffix(".latest"))]
    return {
        **dict.fromkeys(names),
        "ecs.availability-zone": host.availability_zone,
        "ecs.ami-id": host.launch.image_id,
        "ecs.instance-type": host.launch.instance_type,
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.cpu-architecture": host.launch.architecture,
    }


def _versions(image_id: str) -> tuple[str, str]:
    """Return the versions of agent and Docker on a machine image."""
    found = next((one for one in IMAGES if one.image_id == image_id and one.agent), None)
    return (found.agent, found.docker) if found else (ecs_instances.AGENT_VERSION, ecs_instances.DOCKER_VERSION)


def _given_attributes(settings: dict[str, str]) -> dict[str, str | None]:
    """Return the attributes of ``ECS_INSTANCE_ATTRIBUTES``, none when they are not a JSON object."""
    try:
        given = json.loads(settings.get("ECS_INSTANCE_ATTRIBUTES") or "{}")
    except ValueError:
        log.warning("ECS_INSTANCE_ATTRIBUTES is not JSON; the agent goes on without them")
        return {}
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}

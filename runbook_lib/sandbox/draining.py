"""Managed draining: a host that Auto Scaling is about to terminate loses its tasks in order first.

Asked by ``groups`` for every instance that waits to go; changes the container instance's status only.
Source: Amazon ECS developer guide, "Safely stop Amazon ECS workloads running on EC2 instances".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import ecs_instances, ecs_tasks
from runbook_lib.sandbox.backends import backend

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World


class ManagedDraining:
    """Lets instances go when they have no tasks any more.

    Args:
        world: The sandbox's world, for its lock.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def may_go(self, ec2_instance_id: str) -> bool:
        """Return whether Auto Scaling may terminate an instance now; the first question begins the draining.

        Args:
            ec2_instance_id: The instance.

        Changes:
            The container instance becomes DRAINING when its capacity provider drains.
        """
        with self._world.lock:
            ecs = backend("ecs")
            instance = ecs_instances.find(ecs, ec2_instance_id)
            if instance is None or not _is_drained_by_provider(ecs, instance):
                return True
            instance.status = "DRAINING"
            return not ecs_tasks.instance_tasks(ecs, instance)


def join_providers(ecs: Any) -> None:
    """Note on every container instance which capacity provider its Auto Scaling group belongs to.

    Callers hold ``World.lock``.
    """
    groups = backend("autoscaling").autoscaling_groups.values()
    for cluster_name, instances in ecs.container_instances.items():
        names = ecs.clusters[cluster_name].capacity_providers or [] if cluster_name in ecs.clusters else []
        providers = [ecs.capacity_providers[name] for name in names if name in ecs.capacity_providers]
        members = {name: _members(groups, provider) for name, provider in ((one.name, one) for one in providers)}
        for instance in instances.values():
            found = next((name for name, ids in members.items() if instance.ec2_instance_id in ids), None)
            if found is not None:
                instance.capacity_provider_name = found


def _members(groups: Any, provider: Any) -> set[str]:
    wanted = provider.auto_scaling_group_provider["autoScalingGroupArn"]
    for group in groups:
        if wanted in {group.arn, group.name}:
            return {state.instance.id for state in group.instance_states}
    return set()


def _is_drained_by_provider(ecs: Any, instance: Any) -> bool:
    provider = ecs.capacity_providers.get(getattr(instance, "capacity_provider_name", None))
    return provider is not None and provider.auto_scaling_group_provider["managedDraining"] == "ENABLED"

"""Make moto's Amazon ECS behave as Terraform, the scheduler and the agents of the sandbox need it.

The parts are in the ``ecs_*`` modules beside this one; applying them twice changes nothing more.
"""

from __future__ import annotations

from typing import Any

from runbook_lib.sandbox.patches import (
    ecs_attributes,
    ecs_clusters,
    ecs_definitions,
    ecs_instances,
    ecs_services,
    ecs_tasks,
)


def apply(world: Any = None) -> None:  # noqa: ARG001 - every patch of the sandbox is given the world
    """Install every replacement of moto's ECS.

    Args:
        world: The sandbox's world; the ECS patches need nothing of it.

    Changes:
        moto's ECS classes, for the whole process.
    """
    ecs_clusters.apply()
    ecs_definitions.apply()
    ecs_services.apply()
    ecs_tasks.apply()
    ecs_instances.apply()
    ecs_attributes.apply()

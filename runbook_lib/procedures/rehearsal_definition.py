"""Rehearsal, the task definition: the service's own, with only the volume's name changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import driver_of
from runbook_lib.procedures.rehearsal_facts import (
    NOTEBOOK,
    REGISTER,
    check_opened,
    clone_name,
    family,
    is_over,
    observe_state,
    rehearsal_tags,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run


def rehearsal_definition(definition: Facts, volume_name: str, other_name: str, other_family: str) -> dict[str, Any]:
    """Return the service's task definition with another volume.

    Args:
        definition: As RegisterTaskDefinition takes it.
        volume_name: The volume the service mounts.
        other_name: The volume to mount instead.
        other_family: Family to register it in.

    Returns:
        The same, but for the family and every place that names the volume.
    """
    volumes = [v | {"name": other_name} if v["name"] == volume_name else v for v in definition.get("volumes", [])]
    containers = [
        container
        | {
            "mountPoints": [
                point | {"sourceVolume": other_name} if point.get("sourceVolume") == volume_name else point
                for point in container.get("mountPoints", [])
            ]
        }
        for container in definition["containerDefinitions"]
    ]
    return dict(definition) | {"family": other_family, "volumes": volumes, "containerDefinitions": containers}


def _observe_definition(run: Run) -> dict[str, Any]:
    service = run.ecs.describe_service()
    return observe_state(run) | {
        "definitions": run.rehearsal_api.active_definitions(family(run)),
        "service_definition": service.get("task_definition_arn", ""),
        "family": family(run),
        "clone_name": clone_name(run),
        "volume_name": driver_of(run).volume_name,
    }


def _check_definition(facts: Facts) -> Sequence[Check]:
    return (
        check_opened(facts),
        Check(
            "service-provisioned",
            passed=bool(facts["service_definition"]),
            expected="the ECS service with its task definition",
            observed=facts["service_definition"] or "no service",
            fix="run 10_provision_target",
            needs="provision-target",
        ),
    )


def _register(run: Run, before: Facts) -> None:
    """Register the service's own task definition, with only the volume's name changed."""
    own = run.ecs.task_definition(before["service_definition"])
    other = rehearsal_definition(own, before["volume_name"], before["clone_name"], before["family"])
    run.rehearsal_api.register_task_definition(other, rehearsal_tags(run))


def _verify_definition(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "definition-registered",
            passed=len(after["definitions"]) == 1,
            expected=f"one active task definition of family {after['family']}",
            observed=", ".join(after["definitions"]) or "none",
            fix="run again",
        ),
    )


REGISTER_DEFINITION = Step(
    REGISTER,
    NOTEBOOK,
    "Register the service's task definition with only the volume's name changed",
    _observe_definition,
    lambda facts: f"Register family {facts['family']}: {facts['clone_name']!r} instead of {facts['volume_name']!r}.",
    _register,
    is_done=lambda facts: is_over(facts) or len(facts["definitions"]) == 1,
    check=_check_definition,
    verify=_verify_definition,
)

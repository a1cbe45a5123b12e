"""Way back, target side: let go of the volume and give it its former Name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.errors import AwsError, HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    FORMER_NAME_TAG,
    SOURCE_DEVICE_TAG,
    STOP_TASK,
    detach_by_hand,
    driver_of,
    observe_volume,
    target_urls,
)
from runbook_lib.procedures.outage import note_outage_start
from runbook_lib.procedures.restore_facts import check_in_service
from runbook_lib.procedures.storage_drivers import registered_scaling
from runbook_lib.procedures.task_count import check_unscaled
from runbook_lib.procedures.verification import SCRIPT
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "90_roll_back"
_TAKES = {SCRIPT, "hold_volume"}
"""The host scripts that make a storage driver attach the volume, or go on holding it."""
_TAKES_S, _POLL_S = 60.0, 0.3


def _observe_way_back(run: Run) -> dict[str, Any]:
    instance = run.ec2.describe_instance(run.parameters.source.instance_id)
    volume = observe_volume(run)
    return {"instance": instance, "ssm_online": run.source_host.is_online(), "volume": volume}


def _check_way_back(facts: Facts) -> Sequence[Check]:
    volume = facts["volume"]
    return (
        *checks.check_instance_running(facts["instance"], ssm_online=facts["ssm_online"]),
        checks.check_same_zone(
            volume,
            "source instance",
            [facts["instance"]["availability_zone"]],
            "the source of this run is another instance",
        ),
        Check(
            "source-device-known",
            passed=volume["on_source"] or SOURCE_DEVICE_TAG in volume["tags"],
            expected=f"tag {SOURCE_DEVICE_TAG} on {volume['volume_id']}, or the volume still on the source",
            observed=volume["tags"].get(SOURCE_DEVICE_TAG, "on the source" if volume["on_source"] else "no tag"),
            why="the volume must come back under the device name it had",
            fix=f"set the tag {SOURCE_DEVICE_TAG}, for example to /dev/sdf",
        ),
        check_in_service(volume),
    )


def _observe_target(run: Run) -> dict[str, Any]:
    service = run.ecs.describe_service()
    tasks = run.ecs.tasks() if service["exists"] else []
    definition = run.ecs.task_definition(service["task_definition_arn"]) if tasks else {}
    volume = observe_volume(run)
    return {
        "service": service,
        "registered": registered_scaling(run, definition),
        "tasks": [t["task_arn"] for t in tasks],
        "volume": volume,
        "taking": _hosts_that_take_it(run) if service["exists"] and _can_be_taken(run, volume) else [],
    }


def _can_be_taken(run: Run, volume: Facts) -> bool:
    """Return whether a storage driver may find the volume; else a command that waits for it takes nothing."""
    name = volume["tags"].get("Name", "")
    was_renamed = name != volume["tags"].get(FORMER_NAME_TAG, name)
    return was_renamed or name == driver_of(run).volume_name or CUT_OVER_TAG in volume["tags"]


def _hosts_that_take_it(run: Run) -> list[str]:
    """Return the hosts on which a cutover's command is under way that makes the storage driver attach the volume.

    It goes on when the cutover was killed: the volume may be nowhere now, and on that host in a moment. Where SSM does
    not tell, the way back goes on all the same: whether the volume is let go is what the step verifies.
    """
    hosts = [host["instance_id"] for host in run.ecs.container_instances() if host["agent_connected"]]
    with suppress(AwsError):
        return [one for one in hosts if _TAKES & set(run.host(one).scripts_under_way())]
    return []


def _is_target_stopped(facts: Facts) -> bool:
    wanted = facts["service"].get("desired_count", 0)
    held = bool(facts["volume"]["holder"]) and not facts["volume"]["on_source"]
    is_free = not held and not facts["taking"] and CUT_OVER_TAG not in facts["volume"]["tags"]
    return wanted == 0 and not facts["tasks"] and is_free


def _stop_target(run: Run, before: Facts) -> None:
    """Take the hand-over back and set the desired count to 0; the driver lets go when the last container ends."""
    if before["tasks"]:
        note_outage_start(run, lambda: [*target_urls(run), str(run.parameters.source.url)])
    if CUT_OVER_TAG in before["volume"]["tags"]:
        run.ec2.remove_tags(before["volume"]["volume_id"], [CUT_OVER_TAG])
    if before["service"]["exists"]:
        run.ecs.set_desired_count(0)
    deadline = run.clock.monotonic() + _TAKES_S
    while before["taking"] and _hosts_that_take_it(run) and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
    _release_gate(run)


def _release_gate(run: Run) -> None:
    """Remove the container that a cutover left holding the volume; a host that is gone holds nothing.

    A host that does not answer is not waited for: whether the volume is let go is what the step verifies.
    """
    volume = observe_volume(run)
    if not volume["holder"] or volume["on_source"]:
        return
    host = run.host(volume["holder"])
    with suppress(HostCommandError):
        if host.is_online():
            host.run("release_gate", timeout_s=400, volume_id=volume["volume_id"], change=True)


def _verify_target_stopped(_before: Facts, after: Facts) -> Sequence[Check]:
    held = bool(after["volume"]["holder"]) and not after["volume"]["on_source"]
    return (
        Check(
            "no-task",
            passed=not after["tasks"],
            expected="no task of the service",
            observed=", ".join(after["tasks"]) or "none",
            fix=STOP_TASK,
        ),
        Check(
            "hand-over-taken-back",
            passed=CUT_OVER_TAG not in after["volume"]["tags"],
            expected=f"no tag {CUT_OVER_TAG} on {after['volume']['volume_id']}",
            observed=after["volume"]["tags"].get(CUT_OVER_TAG, "none"),
            why="with it a container instance may take the volume again",
            fix="remove the tag, then run again",
        ),
        Check(
            "target-let-go",
            passed=not held,
            expected="the volume not attached to a container instance",
            observed=after["volume"]["holder"] or "attached nowhere",
            why="two hosts must never hold it",
            fix=f"run again; {detach_by_hand(after['volume'])}; when the host does not answer, replace the container "
            "instance. The runbook never forces a detach",
        ),
    )


def _observe_name(run: Run) -> dict[str, Any]:
    volume = observe_volume(run)
    return {"volume": volume, "volume_name": driver_of(run).volume_name}


def _is_renamed(facts: Facts) -> bool:
    tags = facts["volume"]["tags"]
    name = tags.get("Name", "")
    return name == tags.get(FORMER_NAME_TAG, name) and CUT_OVER_TAG not in tags


def _rename(run: Run, before: Facts) -> None:
    """Give the volume its former Name, so that no plugin finds it."""
    volume = before["volume"]
    former = volume["tags"].get(FORMER_NAME_TAG, "")
    if former:
        run.ec2.set_tags(volume["volume_id"], {"Name": former})
        run.ec2.remove_tags(volume["volume_id"], [CUT_OVER_TAG])
    else:
        run.ec2.remove_tags(volume["volume_id"], ["Name", CUT_OVER_TAG])


def _verify_renamed(_before: Facts, after: Facts) -> Sequence[Check]:
    tags = after["volume"]["tags"]
    former = tags.get(FORMER_NAME_TAG, "")
    return (
        Check(
            "former-name",
            passed=tags.get("Name", "") == former,
            expected=f"Name {former!r}",
            observed=repr(tags.get("Name", "")),
            why="a volume named for the plugin can be taken by it",
            fix="set the tag by hand",
        ),
    )


CHECK_WAY_BACK = Step(
    "check-way-back",
    NOTEBOOK,
    "Check that the source can take the volume back",
    _observe_way_back,
    lambda _facts: "Reads only; every check passed.",
    check=_check_way_back,
)

STOP_TARGET_SERVICE = Step(
    "stop-target-service",
    NOTEBOOK,
    "Stop the service on ECS and wait until its storage driver lets the volume go",
    _observe_target,
    lambda facts: f"Set the desired count to 0; {len(facts['tasks'])} tasks end.",
    _stop_target,
    is_done=_is_target_stopped,
    # a desired count that somebody raised by hand does not hold up a way back: 0 ends it
    check=lambda facts: check_unscaled(facts) if facts["registered"] else (),
    verify=_verify_target_stopped,
    timeout_s=300,
    waits_for="the task ends, the storage driver unmounts and detaches",
    in_outage=True,
)

RENAME_VOLUME = Step(
    "rename-volume",
    NOTEBOOK,
    "Give the volume its former Name",
    _observe_name,
    lambda facts: f"Set Name {facts['volume']['tags'].get(FORMER_NAME_TAG, '')!r}.",
    _rename,
    is_done=_is_renamed,
    verify=_verify_renamed,
    timeout_s=30,
    in_outage=True,
)

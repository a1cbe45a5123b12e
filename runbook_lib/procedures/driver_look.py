"""Look at a service whose storage driver is to change: may it, and what must be known of it.

Keeps evidence, changes nothing. Shared by the first steps of 65 and 66.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.compose import container_name
from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.inspect_source import evidence_grade
from runbook_lib.procedures.observations import driver_of, observe_names, observe_task, observe_task_volume
from runbook_lib.procedures.provision_target import observe_machine_image
from runbook_lib.procedures.storage_drivers import observe_drivers
from runbook_lib.procedures.task_count import check_unscaled
from runbook_lib.procedures.task_mapping import mapping_of

if TYPE_CHECKING:
    from runbook_lib.run import Run

WHY = "a change of the storage driver stops the service; it begins only where everything is as it should be"


def look(run: Run) -> dict[str, Any]:
    """Return everything that decides whether the storage driver may be changed.

    Args:
        run: The open run.

    Returns:
        As `observe_drivers`, plus `task, instance_id, seen` (as `see_volume`), `disk_checks, names, volume_name,
        sentinel_names` (the volume that the sentinel speaks of).

    Changes:
        Evidence `task-mapping` and `machine-image`; events `volume` and `sentinel`, from what the container sees.
    """
    facts, driver = observe_drivers(run), driver_of(run)
    names = {"names": observe_names(run, facts["volume"]), "volume_name": driver.volume_name}
    nothing: dict[str, Any] = {"task": None, "instance_id": "", "seen": {}, "disk_checks": [], "sentinel_names": ""}
    if not facts["current"]["driver"]:
        return facts | names | nothing
    definition = run.ecs.task_definition(facts["service"]["task_definition_arn"])
    keep_mapping(run, definition, facts["current"])
    _keep_machine_image(run)
    target = observe_task(run)
    seen = see_volume(run, target["task"], target["instance_id"])
    facts |= names | {"task": target["task"], "instance_id": target["instance_id"], "seen": seen}
    if not seen.get("filesystem_uuid"):
        return facts | {"disk_checks": [], "sentinel_names": ""}
    _note_volume(run, seen)
    found = driver.check_disk(_disk_of(seen))
    return facts | {"disk_checks": [check.as_json() for check in found], "sentinel_names": sentinel_volume(seen)}


def keep_mapping(run: Run, definition: Facts, current: Facts) -> None:
    """Keep what the task definition of the running service says of its containers and of the volume.

    Args:
        run: The open run.
        definition: As `Ecs.task_definition`.
        current: As `volume_of`, of this definition.

    Changes:
        Evidence `task-mapping`.
    """
    main = container_name(run.parameters.source.service)
    run.keep_evidence("task-mapping", mapping_of(definition, current, driver_of(run).volume_name, main))


def see_volume(run: Run, task: Facts | None, instance_id: str) -> dict[str, Any]:
    """Return what the running container sees of the volume, or why nobody can tell.

    Args:
        run: The open run, with evidence `task-mapping`.
        task: The running task, or None.
        instance_id: Where it runs.

    Returns:
        As host script `inspect_target`, or key `error`, or nothing without a task.
    """
    if task is None:
        return {}
    try:
        return observe_task_volume(run, dict(task), instance_id)
    except HostCommandError as error:
        return {"error": str(error)}


def _disk_of(seen: Facts) -> dict[str, Any]:
    """Return the disk below a container's view as the storage drivers look at it: as `inspect_source.disk_facts`."""
    device = seen.get("device") or {}
    return {
        "path": device.get("path", ""),
        "filesystem_type": seen.get("filesystem_type") or device.get("fstype", ""),
        "filesystem_uuid": seen.get("filesystem_uuid") or device.get("uuid", ""),
        "partition_table_type": device.get("pttype", ""),
        "children": list(device.get("children", ())),
    }


def _keep_machine_image(run: Run) -> None:
    """Keep the machine image that the hosts have: another one is not this runbook's business."""
    if run.journal.last("evidence", name="machine-image") is None:
        image = run.container_hosts.machine_image(run.parameters.target.cluster_name)
        run.keep_evidence("machine-image", {"ami_id": image, "source": "the launch template of the hosts"})
    observe_machine_image(run)


def _note_volume(run: Run, seen: Facts) -> None:
    """Note which filesystem and which sentinel the running container sees; everything later is compared with them."""
    run.journal.append("grade", evidence_grade=evidence_grade(seen["sys_vendor"]).value)
    note_volume(run, seen["filesystem_uuid"], seen.get("filesystem_type", ""))
    note_sentinel(run, seen)


def note_volume(run: Run, filesystem_uuid: str, filesystem_type: str) -> None:
    """Note the volume's filesystem, unless this run knows it.

    Args:
        run: The open run.
        filesystem_uuid: Its UUID.
        filesystem_type: Its type, "" when that was not asked.

    Changes:
        A `volume` event, once.
    """
    if run.journal.last("volume") is None:
        volume_id = run.parameters.volume.volume_id
        names = {"filesystem_uuid": filesystem_uuid, "filesystem_type": filesystem_type}
        run.journal.append("volume", volume_id=volume_id, **names)


def note_sentinel(run: Run, seen: Facts) -> None:
    """Note the sentinel's digest, unless this run knows it.

    Args:
        run: The open run.
        seen: What a host script saw; key `sentinel`.

    Changes:
        A `sentinel` event, once, and only for one that names this volume.
    """
    if run.journal.last("sentinel") is None and sentinel_volume(seen) == run.parameters.volume.volume_id:
        content = str(seen["sentinel"]["content"])
        run.journal.append(
            "sentinel", path=seen["sentinel"]["path"], sha256=hashlib.sha256(content.encode()).hexdigest()
        )


def sentinel_volume(seen: Facts) -> str:
    """Return the volume that the sentinel speaks of.

    Args:
        seen: What a host script saw; key `sentinel`.

    Returns:
        The volume id that the migration wrote into it, "" without a sentinel that can be read.
    """
    try:
        return str(json.loads((seen.get("sentinel") or {})["content"])["volume_id"])
    except (KeyError, TypeError, ValueError):
        return ""


def check_change(facts: Facts) -> Sequence[Check]:
    """Return whether the storage driver may be changed.

    Args:
        facts: As `look`.

    Returns:
        The checks; those of the disk and of the container's view only while the service runs.
    """
    volume, current = facts["volume"], facts["current"]
    hosts = {host["instance_id"] for host in facts["hosts"]}
    down = facts["service"].get("desired_count") == 0 and not facts["tasks"]
    return (
        Check(
            "service-on-one-volume",
            passed=bool(current["driver"]),
            expected="an ECS service whose task definition has one volume, of a plugin or of the host",
            observed=current["driver"] or "no such service or volume",
            why="what the service runs on is read from its task definition",
            fix="run 10_provision_target and 30_cut_over_volume first; a task definition that somebody wrote by hand "
            "is not changed",
        ),
        Check(
            "volume-on-target",
            passed=not volume["on_source"] and (volume["holder"] in hosts or (down and not volume["holder"])),
            expected=f"{volume['volume_id']} on a container instance of the cluster",
            observed=volume["holder"] or "attached nowhere",
            why="a storage driver changes on the target; on the source there is none",
            fix="run 30_cut_over_volume first",
        ),
        Check(
            "task-running",
            passed=facts["task"] is not None or down,
            expected="one task RUNNING, or, where a change was interrupted, desired count 0 and none",
            observed="RUNNING" if facts["task"] else f"desired count {facts['service'].get('desired_count')}, no task",
            why="a service that does not come up would be no better on another driver",
            fix="read the service's events, and mend it first",
        ),
        *check_unscaled(facts),
        *checks.check_single_writer(facts["service"], needs=""),
        checks.check_name_free(facts["names"], volume["volume_id"], facts["volume_name"]),
        *(Check(**check) for check in facts["disk_checks"]),
        *(_check_seen(facts) if facts["task"] else ()),
    )


def _check_seen(facts: Facts) -> Sequence[Check]:
    seen, volume_id = facts["seen"], facts["volume"]["volume_id"]
    root = "the volume's root" if seen.get("mount") and not seen.get("below_mount") else "something else"
    fix = "look at the task and its host; nothing was changed"
    return (
        Check(
            "task-sees-volume",
            passed=seen.get("volume_id") == volume_id,
            expected=f"the running task on {volume_id}",
            observed=seen.get("volume_id") or seen.get("error") or "no volume",
            why=WHY,
            fix=fix,
        ),
        Check(
            "root-of-filesystem",
            passed=root == "the volume's root",
            expected="the volume's root",
            observed=f"directory {seen['below_mount']!r} of the volume" if seen.get("below_mount") else root,
            why="both drivers show the volume's root; data below a directory would vanish",
            fix=fix,
        ),
        Check(
            "sentinel-present",
            passed=facts["sentinel_names"] == volume_id,
            expected=f"a sentinel that names {volume_id}",
            observed=facts["sentinel_names"] or "no sentinel",
            why="by it the container's view is told from an empty directory",
            fix="the cutover writes it; restore .runbook/sentinel.json from the rollback copy",
        ),
    )

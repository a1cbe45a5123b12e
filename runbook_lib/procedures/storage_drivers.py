"""Which storage driver and which hosts the service runs on now, read from its task definition and hosts. Reads only.

The parameters say which driver it shall be; what it is they never say. Shared by 65 and 66, which leave the hosts of
another driver, by 60, which leaves those of another machine image, by 62, which leaves those of another instance type,
and by 70, which leaves those that were set up for another volume: they are the former hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Facts
from runbook_lib.model_readers import only_read
from runbook_lib.procedures.observations import CUT_OVER_TAG, driver_of, observe_volume
from runbook_lib.procedures.rollback_points import rollback_points
from runbook_lib.procedures.together import together

if TYPE_CHECKING:
    from runbook_lib.run import Run

HOST_MOUNT, REXRAY = "host_mount", "rexray"
CHANGE = "storage-driver"
"""Evidence: the revision that the service shall use, and the group that launches its hosts."""
PATCH = "host-image"
"""Evidence of a run that patches hosts: the machine image that they shall have, and the one that they had."""
SIZE = "host-size"
"""Evidence of a run that changes their size: the instance types that they may have, and the one that they had."""

_STORAGE = "runbook.storage"  # set by modules/ecs_cluster when a host joins
_VOLUME = "runbook.volume"  # likewise: the volume that the host was set up for
_AMI, _TYPE = "ecs.ami-id", "ecs.instance-type"  # set by the ECS agent
_GATE_IMAGE = "amazon/amazon-ecs-pause:0.1.0"


def volume_of(definition: Facts) -> dict[str, str]:
    """Return how a task definition refers to its data volume.

    Args:
        definition: As `Ecs.task_definition`.

    Returns:
        Keys `driver` (`rexray`, `host_mount`, or "" when it is neither), `volume_name`, `plugin_alias`, `mount_path`.
    """
    volumes = definition.get("volumes", [])
    facts = {"driver": "", "volume_name": "", "plugin_alias": "", "mount_path": ""}
    if len(volumes) != 1:
        return facts
    (volume,) = volumes
    plugin = volume.get("dockerVolumeConfiguration", {}).get("driver", "")
    path = volume.get("host", {}).get("sourcePath", "")
    driver = REXRAY if plugin else HOST_MOUNT if path else ""
    return facts | {"driver": driver, "volume_name": volume["name"], "plugin_alias": plugin, "mount_path": path}


def observe_hosts(run: Run) -> list[dict[str, Any]]:
    """Return every container instance with the driver that it was set up for.

    Args:
        run: The open run.

    Returns:
        Keys `instance_id, container_instance_arn, status, agent_connected, storage, volume, ami_id, instance_type,
        agent_version, docker_version`.
    """
    keys = ("instance_id", "container_instance_arn", "status", "agent_connected", "agent_version", "docker_version")
    named = {"storage": _STORAGE, "volume": _VOLUME, "ami_id": _AMI, "instance_type": _TYPE}
    return [
        {key: one[key] for key in keys} | {key: one["attributes"].get(name) or "" for key, name in named.items()}
        for one in run.ecs.container_instances()
    ]


def former_hosts(run: Run, hosts: list[dict[str, Any]], image: str, types: Sequence[str] = ()) -> list[str]:
    """Return the container instances that the service shall leave: another driver, machine image, type or volume.

    Args:
        run: The open run.
        hosts: As `observe_hosts`.
        image: As `wanted_image`.
        types: As `wanted_types`.

    Returns:
        Their instance ids.
    """
    wanted, volume_id = run.parameters.storage.driver, run.parameters.volume.volume_id
    return [
        host["instance_id"]
        for host in hosts
        if host["storage"] != wanted
        or (image and host["ami_id"] != image)
        or (types and host["instance_type"] not in types)
        or host["volume"] not in {"", volume_id}
    ]


def observe_drivers(run: Run) -> dict[str, Any]:
    """Return what the service runs on, what it shall run on, and where the volume is.

    Args:
        run: The open run.

    Returns:
        Keys `service, current` (as `volume_of`), `wanted` (driver of the parameters), `revision` (as
        `wanted_revision`), `image` (as `wanted_image`), `types` (as `wanted_types`), `changed` (whether the service
        uses the revision; in a run that replaces hosts, whether the volume has left the former ones), `hosts` (as
        `observe_hosts`), `former` (instance ids), `beside` (whether the service runs on another host than these, and
        this run never stopped it), `volume`, `tasks` (ARNs), `only_reads` (whether no container writes to the
        volume), `registered` (as `registered_scaling`).
    """
    seen = together(
        service=run.ecs.describe_service, hosts=lambda: observe_hosts(run), volume=lambda: observe_volume(run)
    )
    service, wanted = seen["service"], run.parameters.storage.driver
    image, types = wanted_image(run), wanted_types(run)
    current, tasks, registered, only_reads, revision = volume_of({}), [], {}, False, wanted_revision(run)
    if service["exists"]:
        definition = run.ecs.task_definition(service["task_definition_arn"])
        current, registered = volume_of(definition), registered_scaling(run, definition)
        only_reads = only_read(definition.get("containerDefinitions", []))
        tasks = [task["task_arn"] for task in run.ecs.tasks()]
    facts = {
        **seen,
        "current": current,
        "wanted": wanted,
        "revision": revision,
        "image": image,
        "types": types,
        "former": former_hosts(run, seen["hosts"], image, types),
        "tasks": tasks,
        "only_reads": only_reads,
        "registered": registered,
    }
    replaces = bool(image or types)
    served_elsewhere = replaces and _is_served_elsewhere(facts)
    moved = served_elsewhere or _has_left(run, facts) if replaces else service.get("task_definition_arn") == revision
    beside = served_elsewhere and run.journal.last("outage") is None
    return facts | {"changed": current["driver"] == wanted and moved, "beside": beside}


def _is_served_elsewhere(drivers: Facts) -> bool:
    """Return whether the service runs on a host that it need not leave."""
    staying = {host["instance_id"] for host in drivers["hosts"]} - set(drivers["former"])
    return _runs(drivers) and drivers["volume"]["holder"] in staying


def registered_scaling(run: Run, definition: Facts) -> dict[str, Any]:
    """Return what changes the number of tasks of a service; of one that writes to the volume nobody asks.

    Args:
        run: The open run.
        definition: As `Ecs.task_definition`.

    Returns:
        As `Scaling.registered`.
    """
    return run.scaling.registered() if only_read(definition.get("containerDefinitions", [])) else {}


def _runs(drivers: Facts) -> bool:
    """Return whether the service has the one task that it wants, or as many as a reader wants, registered or not."""
    count = drivers["service"].get("desired_count")
    return len(drivers["tasks"]) == count and (count == 1 or (bool(count) and bool(drivers["only_reads"])))


def _has_left(run: Run, drivers: Facts) -> bool:
    """Return whether no former host has the volume, or may take it, and this run has copied what the service left."""
    if drivers["volume"]["holder"] in drivers["former"] or not is_draining(drivers):
        return False
    return any(point["is_current"] for point in rollback_points(run))


def is_draining(drivers: Facts) -> bool:
    """Return whether no former host takes tasks, or the volume, any more.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True when none of them is ACTIVE.
    """
    return all(h["status"] != "ACTIVE" for h in drivers["hosts"] if h["instance_id"] in drivers["former"])


def is_withheld(drivers: Facts) -> bool:
    """Return whether no unit of a prepared host would take the volume while the service still runs.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True without the tag of the hand-over; and where it hands nothing to anybody, because REX-Ray does not look at
        it, or because a unit that serves now has it rightly.
    """
    needless = drivers["wanted"] != HOST_MOUNT or drivers["current"]["driver"] == HOST_MOUNT
    return needless or CUT_OVER_TAG not in drivers["volume"]["tags"]


def is_settled(drivers: Facts) -> bool:
    """Return whether the service runs on the wanted driver already, with no former host that it would have to leave.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True when there is nothing to move.
    """
    newest = drivers["revision"] in {"", drivers["service"].get("task_definition_arn")}
    alone = not drivers["former"] or drivers["beside"]
    return _runs(drivers) and newest and drivers["current"]["driver"] == drivers["wanted"] and alone


def wanted_image(run: Run) -> str:
    """Return the machine image that the hosts shall have.

    Args:
        run: The open run.

    Returns:
        The AMI id, "" in a run that leaves the image of the hosts as it is.
    """
    return str(run.evidence(PATCH)["ami_id"]) if run.journal.last("evidence", name=PATCH) else ""


def wanted_types(run: Run) -> list[str]:
    """Return the instance types that the hosts may have.

    Args:
        run: The open run.

    Returns:
        Preferred first; none in a run that leaves the size of the hosts as it is.
    """
    return list(run.evidence(SIZE)["instance_types"]) if run.journal.last("evidence", name=SIZE) else []


def wanted_revision(run: Run) -> str:
    """Return the task definition revision that the service shall use.

    Args:
        run: The open run.

    Returns:
        Its ARN, "" before 65 has planned it.
    """
    return str(run.evidence(CHANGE)["task_definition_arn"]) if run.journal.last("evidence", name=CHANGE) else ""


def gate_of_former(run: Run, current: Facts) -> dict[str, Any]:
    """Return how a host of the driver that runs now reaches the volume's root.

    Args:
        run: The open run.
        current: As `volume_of`.

    Returns:
        As `StorageDriver.gate`.
    """
    if current["driver"] == HOST_MOUNT:
        return {"mount_path": current["mount_path"]}
    options = run.parameters.storage.rexray
    image = options.gate_image if options else _GATE_IMAGE
    return {"volume_name": current["volume_name"], "plugin_alias": current["plugin_alias"], "image": image}


def keeps_tag_for_later(run: Run) -> bool:
    """Return whether the volume is handed over by its Name alone, its tag being set when the former hosts are gone.

    The unit of a host of `host_mount` would take a volume that has the tag and is free for a moment.

    Args:
        run: The open run.

    Returns:
        True for every driver but `host_mount`.
    """
    return driver_of(run).plugin_alias != ""

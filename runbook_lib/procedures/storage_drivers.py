"""Which storage driver the service runs on now, read from the world: its task definition and its hosts. Reads only.

The parameters say which driver it shall be; what it is they never say. Shared by 65 and 66.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Facts
from runbook_lib.procedures.observations import driver_of, observe_task_volume, observe_volume
from runbook_lib.procedures.together import together

if TYPE_CHECKING:
    from runbook_lib.run import Run

HOST_MOUNT, REXRAY = "host_mount", "rexray"
CHANGE = "storage-driver"
"""Evidence: the revision that the service shall use, and the group that launches its hosts."""

_STORAGE = "runbook.storage"  # set by modules/ecs_cluster when a host joins
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


def mapping_of(definition: Facts, current: Facts, volume_name: str, main: str) -> dict[str, Any]:
    """Return the containers of a task definition as evidence `task-mapping` has them.

    Args:
        definition: As `Ecs.task_definition`.
        current: As `volume_of`.
        volume_name: Name of the volume in the next revision.
        main: The container that serves, where several see the volume.

    Returns:
        Keys `container_definitions, container_name, container_path, container_port, host_port, image, secret_arns`.
    """
    definitions = [_without_empty(one) for one in definition["containerDefinitions"]]
    serving: dict[str, Any] = {}
    path = ""
    for one in definitions:
        for mount in one.get("mountPoints", []):
            if mount["sourceVolume"] == current["volume_name"]:
                if not serving or (one["name"] == main and serving["name"] != main):
                    serving, path = one, mount["containerPath"]
                mount["sourceVolume"] = volume_name
    port: dict[str, Any] = next(iter(serving.get("portMappings", [])), {})
    secrets = [secret["valueFrom"] for one in definitions for secret in one.get("secrets", [])]
    return {
        "container_definitions": definitions,
        "container_name": serving.get("name", ""),
        "container_path": path,
        "container_port": port.get("containerPort", 0),
        "host_port": port.get("hostPort", 0),
        "image": serving.get("image", ""),
        "secret_arns": [secret for secret in secrets if secret.startswith("arn:")],
    }


def _without_empty(definition: Facts) -> dict[str, Any]:
    """Return a container definition without what ECS fills in for what was not given, as a copy."""
    copied: dict[str, Any] = json.loads(json.dumps(definition))
    return {key: value for key, value in copied.items() if value not in ([], {}, None, "")}


def observe_hosts(run: Run) -> list[dict[str, Any]]:
    """Return every container instance with the driver that it was set up for.

    Args:
        run: The open run.

    Returns:
        Keys `instance_id, container_instance_arn, status, agent_connected, storage`.
    """
    keys = ("instance_id", "container_instance_arn", "status", "agent_connected")
    return [
        {key: one[key] for key in keys} | {"storage": one["attributes"].get(_STORAGE) or ""}
        for one in run.ecs.container_instances()
    ]


def former_hosts(run: Run, hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the container instances that are set up for another driver than the parameters name.

    Args:
        run: The open run.
        hosts: As `observe_hosts`.

    Returns:
        Those of them.
    """
    return [host for host in hosts if host["storage"] != run.parameters.storage.driver]


def observe_drivers(run: Run) -> dict[str, Any]:
    """Return what the service runs on, what it shall run on, and where the volume is.

    Args:
        run: The open run.

    Returns:
        Keys `service, current` (as `volume_of`), `wanted` (driver of the parameters), `revision` (as
        `wanted_revision`), `changed` (whether the service uses it), `hosts` (as `observe_hosts`), `former` (instance
        ids), `volume`, `tasks` (ARNs).
    """
    seen = together(
        service=run.ecs.describe_service, hosts=lambda: observe_hosts(run), volume=lambda: observe_volume(run)
    )
    service, wanted = seen["service"], run.parameters.storage.driver
    current, tasks, revision = volume_of({}), [], wanted_revision(run)
    if service["exists"]:
        current = volume_of(run.ecs.task_definition(service["task_definition_arn"]))
        tasks = [task["task_arn"] for task in run.ecs.tasks()]
    return {
        **seen,
        "current": current,
        "wanted": wanted,
        "revision": revision,
        "changed": current["driver"] == wanted and service.get("task_definition_arn") == revision,
        "former": [host["instance_id"] for host in former_hosts(run, seen["hosts"])],
        "tasks": tasks,
    }


def is_settled(drivers: Facts) -> bool:
    """Return whether the service runs on the wanted driver already, with no host of another one beside it.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True when there is nothing to change.
    """
    runs = drivers["service"].get("desired_count") == 1 and len(drivers["tasks"]) == 1
    newest = drivers["revision"] in {"", drivers["service"].get("task_definition_arn")}
    return runs and newest and drivers["current"]["driver"] == drivers["wanted"] and not drivers["former"]


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


def disk_of(seen: Facts) -> dict[str, Any]:
    """Return the disk below a container's view as the storage drivers look at it.

    Args:
        seen: As host script `inspect_target`.

    Returns:
        As `inspect_source.disk_facts`.
    """
    device = seen.get("device") or {}
    return {
        "path": device.get("path", ""),
        "filesystem_type": seen.get("filesystem_type") or device.get("fstype", ""),
        "filesystem_uuid": seen.get("filesystem_uuid") or device.get("uuid", ""),
        "partition_table_type": device.get("pttype", ""),
        "children": list(device.get("children", ())),
    }


def keeps_tag_for_later(run: Run) -> bool:
    """Return whether the volume is handed over by its Name alone, its tag being set when the former hosts are gone.

    The unit of a host of `host_mount` would take a volume that has the tag and is free for a moment.

    Args:
        run: The open run.

    Returns:
        True for every driver but `host_mount`.
    """
    return driver_of(run).plugin_alias != ""

"""Observations that several procedures share. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError
from runbook_lib.model_readers import only_read
from runbook_lib.storage import HANDED_OVER_TAG, StorageDriver, storage_driver

if TYPE_CHECKING:
    from runbook_lib.run import Run

RUN_TAG = "runbook:run-id"
"""Tag of everything a run creates: its run id."""

POINT_TAG = "runbook:point"
"""Tag of snapshots and copies: `hot` or `rollback`."""

FORMER_NAME_TAG = "runbook:former-name"
"""Tag of the data volume while it is on ECS: the Name it had before."""

SOURCE_DEVICE_TAG = "runbook:source-device"
"""Tag of the data volume while it is on ECS: its device name on the source instance."""

CUT_OVER_TAG = HANDED_OVER_TAG
"""Tag of the data volume while it belongs to ECS: when it was handed over; the storage driver may wait for it."""

STOP_TASK = "stop the task in ECS; while its host does not answer ECS cannot: replace the container instance"
"""What to do about a task that does not end."""


def found(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return facts, or why the object is not there.

    Args:
        read: Reads the facts.

    Returns:
        The facts, or a mapping with `error` when AWS says that the object does not exist.

    Raises:
        AwsError: for every other refusal.
    """
    try:
        return read()
    except AwsError as error:
        if error.code.endswith(".NotFound") or error.code.endswith(".Malformed"):
            return {"error": error.code}
        raise


def driver_of(run: Run) -> StorageDriver:
    """Return the storage driver of the run's parameters.

    Args:
        run: The open run.

    Returns:
        The driver.
    """
    return storage_driver(run.parameters)


def observe_volume(run: Run) -> dict[str, Any]:
    """Return facts about the data volume and who holds it.

    Args:
        run: The open run.

    Returns:
        As `Ebs.describe_volume`, plus `holder` (instance id or "") and `on_source`.
    """
    volume = run.ebs.describe_volume(run.parameters.volume.volume_id)
    holder = volume["attachments"][0]["instance_id"] if volume["attachments"] else ""
    return volume | {"holder": holder, "on_source": holder == run.parameters.source.instance_id}


def detach_by_hand(volume: dict[str, Any]) -> str:
    """Return what to do about an attachment that no storage driver made, and that therefore none ends.

    Args:
        volume: As `observe_volume`.

    Returns:
        Part of a sentence, with the command.
    """
    command = f"aws ec2 detach-volume --volume-id {volume['volume_id']} --instance-id {volume['holder']}"
    return f"when somebody attached it by hand and nothing uses it there, `{command}`"


def observe_names(run: Run, volume: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the id and tags of every volume in the data volume's Availability Zone.

    Args:
        run: The open run.
        volume: Facts of the data volume.

    Returns:
        Keys `volume_id`, `tags`; volumes without a Name are left out.
    """
    listed = run.ebs.volumes_in_zone(volume["availability_zone"])
    return [{"volume_id": v["volume_id"], "tags": v["tags"]} for v in listed if "Name" in v["tags"]]


def observe_container_hosts(run: Run) -> list[dict[str, Any]]:
    """Return the container instances on which ECS can place the task.

    Args:
        run: The open run.

    Returns:
        As `Ecs.container_instances`: connected, active, with the storage driver's capability; without `attributes` and
        `left`.
    """
    capability = driver_of(run).capability
    return [
        {key: value for key, value in instance.items() if key not in {"attributes", "left"}}
        for instance in run.ecs.container_instances()
        if instance["status"] == "ACTIVE" and instance["agent_connected"] and capability in instance["attributes"]
    ]


def observe_task(run: Run) -> dict[str, Any]:
    """Return the service's task and where it runs.

    Args:
        run: The open run.

    Returns:
        Keys `service` (as `Ecs.describe_service`), `tasks` (as `Ecs.tasks`), `task` (the one that is RUNNING and shall
        stay so, or None), `instance_id` (of that task, or ""), `stopped_reasons` (newest last).
    """
    service = run.ecs.describe_service()
    if not service["exists"]:
        return {"service": service, "tasks": [], "task": None, "instance_id": "", "stopped_reasons": []}
    tasks = run.ecs.tasks()
    running = [t for t in tasks if t["last_status"] == "RUNNING" and t["desired_status"] == "RUNNING"]
    task = running[0] if len(running) == 1 and len(tasks) == 1 else None
    instance_id = ""
    if task:
        hosts = {c["container_instance_arn"]: c["instance_id"] for c in run.ecs.container_instances()}
        instance_id = hosts.get(task["container_instance_arn"], "")
    reasons = [t["stopped_reason"] for t in run.ecs.stopped_tasks() if t["stopped_reason"]] if not task else []
    return {
        "service": service,
        "tasks": tasks,
        "task": task,
        "instance_id": instance_id,
        "stopped_reasons": reasons,
    }


def observe_any_task(run: Run) -> dict[str, Any]:
    """Return one of the service's tasks where a reader has several; for a look that changes nothing.

    Args:
        run: The open run, with evidence `task-mapping` when a service runs.

    Returns:
        As `observe_task`; several tasks of a service that writes are still none.
    """
    seen = observe_task(run)
    running = [t for t in seen["tasks"] if t["last_status"] == "RUNNING" and t["desired_status"] == "RUNNING"]
    if seen["task"] or not running or not only_read(run.evidence("task-mapping")["container_definitions"]):
        return seen
    hosts = {c["container_instance_arn"]: c["instance_id"] for c in run.ecs.container_instances()}
    return seen | {"task": running[0], "instance_id": hosts.get(running[0]["container_instance_arn"], "")}


def observe_task_volume(run: Run, task: dict[str, Any], instance_id: str) -> dict[str, Any]:
    """Return what the service's container really sees at its container path.

    Args:
        run: The open run.
        task: The running task.
        instance_id: The container instance it runs on.

    Returns:
        As host script `inspect_target`.
    """
    mapping = run.evidence("task-mapping")
    driver = driver_of(run)
    return run.host(instance_id).run(
        "inspect_target",
        task_arn=task["task_arn"],
        container_name=mapping["container_name"],
        container_path=mapping["container_path"],
        volume_name=driver.volume_name,
        volume_id=run.parameters.volume.volume_id,
        plugin_alias=driver.plugin_alias,
    )


def container_of(run: Run, task: dict[str, Any]) -> dict[str, str]:
    """Return how host scripts name the service's container.

    Args:
        run: The open run.
        task: The running task.

    Returns:
        Keys `task_arn`, `container_name`.
    """
    return {"task_arn": task["task_arn"], "container_name": run.evidence("task-mapping")["container_name"]}


def target_urls(run: Run) -> list[str]:
    """Return the addresses at which the service may answer on the target side.

    Args:
        run: The open run.

    Returns:
        The address of the parameters when given, else one per container instance; where each task has a host port of
        its own, one per running task.
    """
    target = run.parameters.target
    if target.url:
        return [str(target.url)]
    port = run.evidence("task-mapping")["host_port"]
    places = [(host["instance_id"], port) for host in observe_container_hosts(run)] if port else _places_of_tasks(run)
    return [f"http://{_address(run, instance_id)}:{port}{target.health_check.path}" for instance_id, port in places]


def _places_of_tasks(run: Run) -> list[tuple[str, int]]:
    """Return host and host port of each running task, as far as a port was chosen for it."""
    mapping = run.evidence("task-mapping")
    hosts = {one["container_instance_arn"]: one["instance_id"] for one in run.ecs.container_instances()}
    tasks = run.ecs.tasks() if hosts else []
    return [
        (hosts[task["container_instance_arn"]], binding["host_port"])
        for task in tasks
        if task["last_status"] == "RUNNING" and task["container_instance_arn"] in hosts
        for binding in task["host_ports"]
        if (binding["container"], binding["container_port"]) == (mapping["container_name"], mapping["container_port"])
    ]


def _address(run: Run, instance_id: str) -> str:
    instance = run.ec2.describe_instance(instance_id)
    return str(instance["public_ip"] or instance["private_ip"])

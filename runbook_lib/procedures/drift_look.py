"""What a look for drift observes, part by part. Keeps evidence; changes nothing and holds nothing.

A part that cannot be looked at says why in `error` instead of failing, so that the others are still looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib import archive, archive_summary, planfile
from runbook_lib.checks_volume_drift import age_days
from runbook_lib.errors import HostCommandError, JournalError, OutsideError
from runbook_lib.model import Facts, RunStatus
from runbook_lib.model_readers import only_read
from runbook_lib.procedures.driver_look import keep_mapping, see_volume, sentinel_volume
from runbook_lib.procedures.inspect_source import evidence_grade
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    container_of,
    driver_of,
    observe_any_task,
    observe_names,
    observe_task,
    observe_volume,
)
from runbook_lib.procedures.storage_drivers import observe_hosts, registered_scaling, volume_of
from runbook_lib.procedures.target_root import observe_root, output
from runbook_lib.procedures.target_variables import wanted_scaling

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "64_check_drift"
PARTS = ("service", "hosts", "volume", "snapshots", "terraform", "record")
"""What is looked at, in the order of the cells."""

_TEMPLATE = "module.ecs_cluster.aws_launch_template.this"


def evidence_name(part: str) -> str:
    """Return the name of the evidence of one part.

    Args:
        part: One of `PARTS`.

    Returns:
        File name without `.json`.
    """
    return f"drift-{part}"


def looking(part: str, read: Callable[[Run], dict[str, Any]]) -> Callable[[Run], dict[str, Any]]:
    """Return the observation of one part that never fails for what is outside, and keeps what it saw as evidence.

    Args:
        part: One of `PARTS`.
        read: Reads the facts.

    Returns:
        A function of the run.
    """

    def observe(run: Run) -> dict[str, Any]:
        try:
            facts = read(run)
        except (OutsideError, JournalError) as error:
            facts = {"error": str(error)}
        run.keep_evidence(evidence_name(part), facts)
        return facts

    return observe


def look_at_service(run: Run) -> dict[str, Any]:
    """Return what decides how many tasks run, and with which volume.

    Args:
        run: The open run.

    Returns:
        As `checks_drift.check_service` takes them.

    Changes:
        Evidence `task-mapping`, as the service's task definition has it.
    """
    seen = observe_task(run)
    service = seen["service"]
    if not service["exists"]:
        return {"service": service}
    definition = run.ecs.task_definition(service["task_definition_arn"])
    current, driver = volume_of(definition), driver_of(run)
    keep_mapping(run, definition, current)
    of_task = [one.get("expression", "") for one in definition.get("placementConstraints", [])]
    return {
        "service": service,
        "tasks": seen["tasks"],
        "volume": next(iter(definition.get("volumes", [])), {}),
        "driver": current["driver"],
        "placement": sorted([*service["placement"], *of_task]),
        "scaling": {
            "only_reads": only_read(definition["containerDefinitions"]),
            "wanted": wanted_scaling(run),
            "registered": registered_scaling(run, definition),
        },
        "wanted": {
            "driver": run.parameters.storage.driver,
            "volume_name": driver.volume_name,
            "plugin_alias": driver.plugin_alias,
            "placement": _placement(run),
        },
    }


def _placement(run: Run) -> list[str]:
    """Return the placement constraints that keep the task where the volume is."""
    zone = run.ebs.describe_volume(run.parameters.volume.volume_id)["availability_zone"]
    needed = driver_of(run).task_volume({}).get("required_attribute")
    mounted = [f"attribute:{needed['name']} == {needed['value']}"] if needed else []
    return sorted([f"attribute:ecs.availability-zone == {zone}", *mounted])


def look_at_hosts(run: Run) -> dict[str, Any]:
    """Return how every container instance is set up, and from which machine image.

    Args:
        run: The open run.

    Returns:
        As `checks_drift.check_hosts` takes them.

    Changes:
        A `grade` event, from what a host says that made it.
    """
    hosts = observe_hosts(run)
    ids = [host["instance_id"] for host in hosts]
    images = run.estate.images_of(ids)
    return {
        "hosts": [host | _setup(run, host["instance_id"]) | _image(run, images, host) for host in hosts],
        "driver": run.parameters.storage.driver,
        "open": [] if "0.0.0.0/0" in run.parameters.target.allowed_cidrs else run.estate.open_to_the_world(ids),
        "template_ami_id": run.container_hosts.machine_image(run.parameters.target.cluster_name),
        "max_image_age_days": run.parameters.policy.drift.max_machine_image_age_days,
    }


def _setup(run: Run, instance_id: str) -> dict[str, Any]:
    """Return what the storage driver says of a host, or why the host cannot be asked."""
    try:
        boot = run.host(instance_id).run("read_boot")
    except HostCommandError as error:
        return {"problem": str(error), "checks": []}
    return {"problem": "", "checks": [check.as_json() for check in driver_of(run).check_host(boot)]}


def _image(run: Run, images: Facts, host: Facts) -> dict[str, Any]:
    image = images.get(host["instance_id"], {"ami_id": "none", "created_utc": ""})
    return {"ami_id": image["ami_id"], "age_days": age_days(image["created_utc"], run.clock.now_utc())}


def look_at_volume(run: Run) -> dict[str, Any]:
    """Return where the volume is, what the container sees of it, and how full it is.

    Args:
        run: The open run, with evidence `task-mapping`.

    Returns:
        As `checks_volume_drift.check_volume` takes them.

    Changes:
        A `grade` event, from what the host says that made it.
    """
    volume, task, policy = observe_volume(run), observe_any_task(run), run.parameters.policy.drift
    host = task["instance_id"]
    seen = see_volume(run, task["task"], host)
    if seen.get("sys_vendor") is not None:
        run.journal.append("grade", evidence_grade=evidence_grade(seen["sys_vendor"]).value)
    holder = host or volume["holder"]
    return {
        "volume": volume | {"modifying": run.ebs.is_volume_modifying(volume["volume_id"])},
        "names": observe_names(run, volume),
        "wanted_name": driver_of(run).volume_name,
        "handed_over": bool(volume["tags"].get(CUT_OVER_TAG)),
        "task_host": host,
        "devices": run.ec2.describe_instance(holder)["block_devices"] if holder else [],
        "seen": seen,
        "sentinel_names": sentinel_volume(seen),
        "space": _measure(run, task),
        "min_free_percent": policy.min_free_percent,
        "min_free_inodes_percent": policy.min_free_inodes_percent,
    }


def _measure(run: Run, task: Facts) -> dict[str, Any]:
    """Return how full the filesystem is that the container sees, or why nobody can tell."""
    if task["task"] is None:
        return {"error": "no running task to look through"}
    where = container_of(run, task["task"])
    try:
        return run.host(task["instance_id"]).run(
            "measure_filesystem",
            container_path=run.evidence("task-mapping")["container_path"],
            task_arn=where["task_arn"],
            container_name=where["container_name"],
        )
    except HostCommandError as error:
        return {"error": str(error)}


def look_at_snapshots(run: Run) -> dict[str, Any]:
    """Return how old the newest completed snapshot of the volume is.

    Args:
        run: The open run.

    Returns:
        As `checks_volume_drift.check_snapshots` takes them.
    """
    volume_id = run.parameters.volume.volume_id
    snapshots = run.estate.snapshots_of(volume_id)
    completed = [one for one in snapshots if one["state"] == "completed"]
    newest = completed[-1] if completed else None
    since = newest["started_utc"] if newest else ""
    days = age_days(since, run.clock.now_utc())
    return {
        "volume_id": volume_id,
        "newest": newest,
        "age_h": None if days is None else 24 * days,
        "failed": [s["snapshot_id"] for s in snapshots if s["state"] == "error" and s["started_utc"] > since],
        "max_age_h": run.parameters.policy.drift.max_snapshot_age_h,
    }


def look_at_terraform(run: Run) -> dict[str, Any]:
    """Return what Terraform would change, and what was changed beside it.

    The image and the containers are those that run: a look for drift proposes neither another image nor another
    container, and whether those that run are the ones that Terraform applied is told from its state.

    Args:
        run: The open run, with evidence `task-mapping`.

    Returns:
        As `checks_drift.check_terraform` takes them.

    Changes:
        Evidence `machine-image`; the root module and its plan in the run folder.
    """
    image = run.container_hosts.machine_image(run.parameters.target.cluster_name)
    run.keep_evidence("machine-image", {"ami_id": image, "source": "the launch template of the hosts"})
    observe_root(run)
    document = json.loads(run.journal.read("terraform/plan.json"))
    changes = planfile.summarize(document).changes
    return {
        "changes": [f"{c.address} ({'+'.join(c.actions)}: {', '.join(c.changed_attributes)})" for c in changes],
        "image_applied": _applied_image(document, image),
        "image_now": image,
        "revision_applied": output(run, "task_definition_arn"),
        "revision_now": run.ecs.describe_service().get("task_definition_arn", "none"),
    }


def _applied_image(document: Facts, image: str) -> str:
    """Return the image that Terraform last gave the launch template, as its state has it before it looked again."""
    for drifted in document.get("resource_drift", []):
        if drifted["address"] == _TEMPLATE:
            return str((drifted["change"]["before"] or {}).get("image_id", image))
    return image


def look_at_record(run: Run) -> dict[str, Any]:
    """Return whether the record of the last run that acted on this volume is what was written.

    Args:
        run: The open run.

    Returns:
        As `checks_drift.check_record` takes them.
    """
    directory = Path(run.parameters.archive.directory)
    facts: dict[str, Any] = {"directory": str(directory), "run_id": "", "problems": []}
    for folder in sorted(directory.iterdir() if directory.is_dir() else (), reverse=True):
        if folder.name == run.run_id or not (folder / "journal.jsonl").is_file():
            continue
        if _acted(run, folder):
            found = archive.verify(folder)
            return facts | {"run_id": folder.name, "problems": list(found.problems)}
    return facts


def _acted(run: Run, folder: Path) -> bool:
    """Return whether a run acted on this volume; of a damaged record nobody can tell, so it counts."""
    summary = archive_summary.summarize(folder)
    if summary.status == archive_summary.DAMAGED:
        return True
    mine = summary.volume_id in {"", run.parameters.volume.volume_id}
    return summary.status != RunStatus.PLANNED and mine and any(name != NOTEBOOK for name in summary.notebooks)

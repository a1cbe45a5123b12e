"""00_inspect_source: look at the compose host, its volume and its service. Reads only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks, compose
from runbook_lib.model import Check, EvidenceGrade, Facts, TaskMapping
from runbook_lib.procedures.observations import driver_of, found, observe_names, observe_volume
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "00_inspect_source"


def _reads_only(_facts: Facts) -> str:
    return "Reads only; every check passed."


def _observe_identity(run: Run) -> dict[str, Any]:
    """Return who we are and who we should be."""
    return run.aws.identity() | {"expected_account_id": run.parameters.aws.account_id}


def _check_identity(facts: Facts) -> Sequence[Check]:
    return (checks.check_identity(facts, facts["expected_account_id"]),)


def _observe_source_instance(run: Run) -> dict[str, Any]:
    """Return facts about the source instance, the volume and the target's subnets."""
    parameters = run.parameters
    instance = found(lambda: run.ec2.describe_instance(parameters.source.instance_id))
    volume = found(lambda: observe_volume(run))
    if "error" not in volume:
        volume["modifying"] = run.ebs.is_volume_modifying(volume["volume_id"])
    return {
        "instance": instance | {"instance_id": parameters.source.instance_id},
        "volume": volume | {"volume_id": parameters.volume.volume_id},
        "ssm_online": run.source_host.is_online(),
        "names": [] if "error" in volume else observe_names(run, volume),
        "subnets": found(lambda: {"found": run.ec2.describe_subnets(list(parameters.target.subnet_ids))}),
        "subnet_ids": ", ".join(parameters.target.subnet_ids),
        "region": parameters.aws.region,
        "volume_name": driver_of(run).volume_name,
    }


def _check_source_instance(facts: Facts) -> Sequence[Check]:
    """Return whether the instance, the volume and the subnets fit together."""
    instance, volume, region = facts["instance"], facts["volume"], facts["region"]
    exist = (
        checks.check_found("instance", instance["instance_id"], instance, "source.instance_id", region),
        checks.check_found("volume", volume["volume_id"], volume, "volume.volume_id", region),
        checks.check_found("subnet", facts["subnet_ids"], facts["subnets"], "target.subnet_ids", region),
    )
    if not all(check.passed for check in exist):
        return exist
    zones = [instance["availability_zone"], *(s["availability_zone"] for s in facts["subnets"]["found"])]
    return (
        *exist,
        *checks.check_instance_running(instance, ssm_online=facts["ssm_online"]),
        checks.check_same_zone(
            volume,
            "source instance and target subnets",
            zones,
            "choose target.subnet_ids in the volume's Availability Zone; correct volume.volume_id",
        ),
        checks.check_attached(volume, instance["instance_id"]),
        checks.check_name_free(facts["names"], volume["volume_id"], facts["volume_name"]),
        checks.check_volume_steady(volume),
    )


def _observe_filesystem(run: Run) -> dict[str, Any]:
    """Return what the source host says about the volume's device, filesystem and mount."""
    volume = observe_volume(run)
    device_name = volume["attachments"][0]["device_name"] if volume["attachments"] else ""
    facts = run.source_host.run(
        "inspect_host",
        mount_path=run.parameters.volume.mount_path,
        volume_id=volume["volume_id"],
        device_name=device_name,
    )
    run.journal.append("grade", evidence_grade=evidence_grade(facts["sys_vendor"]).value)
    disk = disk_facts(facts)
    if disk["filesystem_uuid"]:
        run.journal.append(
            "volume",
            volume_id=volume["volume_id"],
            filesystem_uuid=disk["filesystem_uuid"],
            filesystem_type=disk["filesystem_type"],
        )
    run.keep_evidence("source-host", facts)
    disk_checks = [check.as_json() for check in driver_of(run).check_disk(disk)] if facts["device"] else []
    kept = {key: facts[key] for key in ("sys_vendor", "mount", "device", "probe", "root", "usage", "fstab")}
    return kept | {
        "docker_root_on_volume": facts["docker_root_on_volume"],
        "mount_path": run.parameters.volume.mount_path,
        "volume_id": volume["volume_id"],
        "disk_checks": disk_checks,
    }


def disk_facts(host: Facts) -> dict[str, Any]:
    """Return the data volume's disk as the storage drivers look at it.

    Args:
        host: As host script `inspect_host`.

    Returns:
        Keys `path`, `filesystem_type`, `filesystem_uuid`, `partition_table_type`, `children`.
    """
    device, probe = host["device"] or {}, host["probe"] or {}
    return {
        "path": device.get("path", ""),
        "filesystem_type": probe.get("type") or device.get("fstype") or "",
        "filesystem_uuid": probe.get("uuid") or device.get("uuid") or "",
        "partition_table_type": probe.get("pttype") or device.get("pttype") or "",
        "children": list(device.get("children", ())),
    }


def evidence_grade(sys_vendor: str) -> EvidenceGrade:
    """Return what kind of host the evidence comes from.

    Args:
        sys_vendor: `/sys/class/dmi/id/sys_vendor` of the host.

    Returns:
        `aws` only when the machine says that Amazon EC2 made it.
    """
    if sys_vendor == "Amazon EC2":
        return EvidenceGrade.AWS
    return EvidenceGrade.SIMULATED_HOST if "simulated" in sys_vendor else EvidenceGrade.REAL_HOST


def _check_filesystem(facts: Facts) -> Sequence[Check]:
    """Return whether the storage driver would take the disk as it is."""
    device = facts["device"]
    device_found = Check(
        "device-found",
        passed=device is not None,
        expected=f"a block device of {facts['volume_id']} on the host",
        observed=device["path"] if device else "none",
        fix="correct volume.volume_id",
    )
    if device is None:
        return (device_found,)
    return (
        device_found,
        *(Check(**check) for check in facts["disk_checks"]),
        checks.check_mounted(facts["mount"], facts["mount_path"], device["path"]),
        Check(
            "docker-root-elsewhere",
            passed=not facts["docker_root_on_volume"],
            expected="Docker's own data outside the data volume",
            observed="on the data volume" if facts["docker_root_on_volume"] else "elsewhere",
            why="Docker would hold the mount and lose its images and containers",
            fix="move Docker's data-root off the volume first",
        ),
    )


def _observe_compose(run: Run) -> dict[str, Any]:
    """Return the compose project as docker compose resolves it, and what ECS would make of it."""
    config = read_compose(run)
    mapping = map_service(run, config["config"])
    run.keep_evidence("compose-mapping", [dataclasses.asdict(m) for m in mapping.mappings])
    return {
        "services": list(mapping.services),
        "one_shots": list(mapping.one_shots),
        "sub_path": mapping.sub_path,
        "containers": config["containers"],
        "mapped": sum(m.outcome == "mapped" for m in mapping.mappings),
        "dropped": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "dropped"],
        "refused": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "refused"],
    }


def read_compose(run: Run) -> dict[str, Any]:
    """Return the resolved compose file and the project's containers.

    Args:
        run: The open run.

    Returns:
        Keys `config` (parsed) and `containers`.
    """
    source = run.parameters.source
    answer = run.source_host.run("compose_config", file=source.compose_file, project=source.compose_project)
    return {"config": compose.parse_config(answer), "containers": answer["containers"]}


def map_service(run: Run, config: dict[str, Any]) -> TaskMapping:
    """Return the compose service, and those that move with it, as an ECS task.

    Args:
        run: The open run.
        config: The resolved compose file.

    Returns:
        The mapping; secrets are references.
    """
    parameters = run.parameters
    return compose.map_service(config, parameters)


def _check_compose(facts: Facts) -> Sequence[Check]:
    """Return whether the service can run on ECS as it does under compose."""
    return (
        _check_running(facts),
        check_root_shown(facts),
        Check(
            "compose-fully-mapped",
            passed=not facts["refused"],
            expected="every compose key mapped to ECS, or without effect there",
            observed="; ".join(facts["refused"]) or "nothing refused",
            why="a key that is left out silently changes how the service behaves",
            fix="as each line says",
        ),
    )


def check_root_shown(facts: Facts) -> Check:
    """Return whether the service that moves sees the volume's root, through which the runbook proves the data.

    Args:
        facts: Key `sub_path`, as `TaskMapping` has it.

    Returns:
        The check.
    """
    return Check(
        "service-sees-the-root",
        passed=not facts["sub_path"],
        expected="the volume's root mounted in the container of source.service",
        observed=f"its folder {facts['sub_path']!r}" if facts["sub_path"] else "its root, or nothing of it",
        why="the sentinel and every manifest on ECS are read through that container, and lie at the root",
        fix="mount the volume's root in that service and point the application at the folder, then empty "
        "volume.sub_path; services beside it may keep their folders",
    )


def _check_running(facts: Facts) -> Check:
    """Return whether each service that moves has one container that runs, or has ended well where it is to end."""
    states = {name: [c for c in facts["containers"] if c["service"] == name] for name in facts["services"]}
    running = {name: sum(c["status"] == "running" for c in found) for name, found in states.items()}
    ended = {
        name
        for name in facts["one_shots"]
        if any(c["status"] == "exited" and c["exit_code"] == 0 for c in states[name]) and not running[name]
    }
    counted = [f"{name} {number}" for name, number in running.items() if name not in ended]
    names = ", ".join(facts["services"])
    return Check(
        "compose-service-running",
        passed=all(number == 1 for name, number in running.items() if name not in ended),
        expected=f"one running container of each compose service that moves: {names}",
        observed=f"{', '.join(counted)} running",
        why="what runs now is what is migrated",
        fix="start the service with docker compose up -d, or correct source.service",
    )


def _observe_writers(run: Run) -> dict[str, Any]:
    """Return who holds files of the volume open."""
    mount_path = run.parameters.volume.mount_path
    listed = run.source_host.run("list_open_files", mount_path=mount_path)
    return {
        "open_files": listed["open_files"],
        "containers": read_compose(run)["containers"],
        "mount_path": mount_path,
    }


def _check_writers(facts: Facts) -> Sequence[Check]:
    return (checks.check_writers(facts["open_files"], facts["containers"], facts["mount_path"]),)


STEPS = (
    Step(
        "verify-identity", NOTEBOOK, "Verify account and region", _observe_identity, _reads_only, check=_check_identity
    ),
    Step(
        "inspect-instance",
        NOTEBOOK,
        "Inspect the source instance, its volume and the target's subnets",
        _observe_source_instance,
        _reads_only,
        check=_check_source_instance,
    ),
    Step(
        "inspect-filesystem",
        NOTEBOOK,
        "Inspect the volume's device, filesystem and mount",
        _observe_filesystem,
        _reads_only,
        check=_check_filesystem,
    ),
    Step(
        "inspect-compose",
        NOTEBOOK,
        "Inspect the compose service",
        _observe_compose,
        _reads_only,
        check=_check_compose,
    ),
    Step(
        "inspect-writers",
        NOTEBOOK,
        "Inspect who writes to the volume",
        _observe_writers,
        _reads_only,
        check=_check_writers,
    ),
)

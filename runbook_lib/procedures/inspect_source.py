"""00_inspect_source: look at the compose host, its volume and its service. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.model import Check, EvidenceGrade, Facts
from runbook_lib.procedures.observations import driver_of, found, observe_names, observe_volume
from runbook_lib.procedures.source_compose import check_compose, observe_compose, read_compose
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
        observe_compose,
        _reads_only,
        check=check_compose,
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

"""Cutover, source side: make ready, take the manifest, stop the service, unmount the volume."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.gate import check_one_host
from runbook_lib.procedures.gate_proof import check_gate_image, hosts_without_image
from runbook_lib.procedures.inspect_source import disk_facts
from runbook_lib.procedures.manifest_before import HOT
from runbook_lib.procedures.observations import (
    driver_of,
    observe_container_hosts,
    observe_names,
    observe_volume,
)
from runbook_lib.procedures.persistence import take_manifest
from runbook_lib.procedures.snapshot_volume import check_hot_snapshot, observe_hot_snapshot
from runbook_lib.procedures.source_compose import read_compose
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"


def _observe_readiness(run: Run) -> dict[str, Any]:
    """Return everything that decides whether the cutover may begin."""
    volume = observe_volume(run)
    facts: dict[str, Any] = {
        "begun": not volume["on_source"] and run.journal.last("manifest", phase="before") is not None,
        "volume": volume,
        "instance_id": run.parameters.source.instance_id,
        "mount_path": run.parameters.volume.mount_path,
        "volume_name": driver_of(run).volume_name,
        "names": observe_names(run, volume),
        "service": run.ecs.describe_service(),
        "hosts": observe_container_hosts(run),
        "snapshot": observe_hot_snapshot(run)["snapshot"],
    }
    facts["without_image"] = hosts_without_image(run, [host["instance_id"] for host in facts["hosts"]])
    if not volume["on_source"]:
        return facts | {"disk_checks": [], "open_files": [], "containers": []}
    listed = run.source_host.run(
        "inspect_host",
        mount_path=facts["mount_path"],
        volume_id=volume["volume_id"],
        device_name=volume["attachments"][0]["device_name"],
    )
    return facts | {
        "disk_checks": [check.as_json() for check in driver_of(run).check_disk(disk_facts(listed))],
        "open_files": listed["open_files"],
        "containers": read_compose(run)["containers"],
    }


def _has_begun(facts: Facts) -> bool:
    """Return whether this run's cutover is already past the source side."""
    return bool(facts["begun"])


def _check_readiness(facts: Facts) -> Sequence[Check]:
    """Return whether the cutover may begin."""
    volume, service, snapshot = facts["volume"], facts["service"], facts["snapshot"]
    return (
        checks.check_attached(volume, facts["instance_id"]),
        checks.check_name_free(facts["names"], volume["volume_id"], facts["volume_name"]),
        *(Check(**check) for check in facts["disk_checks"]),
        checks.check_writers(facts["open_files"], facts["containers"], facts["mount_path"]),
        *checks.check_single_writer(service, needs="provision-target"),
        Check(
            "target-stopped",
            passed=service.get("desired_count") == 0 and service.get("running_count") == 0,
            expected="the ECS service at desired count 0 without a task",
            observed=describe_fact({"desired": service.get("desired_count"), "running": service.get("running_count")}),
            why="a task that starts before the volume is there would start on nothing",
            fix="run 10_provision_target; set the desired count to 0",
            needs="provision-target",
        ),
        Check(
            "target-host-ready",
            passed=bool(facts["hosts"]),
            expected="a connected container instance with the storage driver's capability",
            observed=", ".join(h["instance_id"] for h in facts["hosts"]) or "none",
            why="the outage would include a host's boot",
            fix="run 10_provision_target until register-container-instance is done",
            needs="register-container-instance",
        ),
        check_one_host([host["instance_id"] for host in facts["hosts"]]),
        check_gate_image(facts["without_image"]),
        check_hot_snapshot(snapshot),
    )


def _observe_termination(run: Run) -> dict[str, Any]:
    """Return whether terminating the source instance would delete the volume."""
    volume = observe_volume(run)
    attachment = volume["attachments"][0] if volume["on_source"] else {}
    return {
        "volume_id": volume["volume_id"],
        "instance_id": run.parameters.source.instance_id,
        "device_name": attachment.get("device_name", ""),
        "delete_on_termination": attachment.get("delete_on_termination", False),
    }


def _is_kept(facts: Facts) -> bool:
    """Return whether the volume survives the instance."""
    return not facts["delete_on_termination"]


def _keep_volume(run: Run, before: Facts) -> None:
    """Switch DeleteOnTermination off."""
    run.ec2.keep_volume_on_termination(before["instance_id"], before["device_name"])


def _verify_kept(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether DeleteOnTermination is off now."""
    return (
        Check(
            "volume-survives-instance",
            passed=_is_kept(after),
            expected=f"DeleteOnTermination off for {after['volume_id']}",
            observed="on" if after["delete_on_termination"] else "off",
            why="terminating the source instance would delete the data",
            fix="set it with ModifyInstanceAttribute",
        ),
    )


def _observe_hot_manifest(run: Run) -> dict[str, Any]:
    """Return whether sentinel and hot manifest are there."""
    event = run.journal.last("manifest", phase="hot")
    sentinel = run.journal.last("sentinel")
    return {
        "mount_path": run.parameters.volume.mount_path,
        "on_source": observe_volume(run)["on_source"],
        "manifest": event.fields if event else None,
        "sentinel_sha256": sentinel.fields["sha256"] if sentinel else "",
    }


def _has_hot_manifest(facts: Facts) -> bool:
    """Return whether this run already took its hot manifest."""
    return facts["manifest"] is not None and bool(facts["sentinel_sha256"])


def _check_hot_manifest(facts: Facts) -> Sequence[Check]:
    """Return whether the volume is where its files can be read."""
    return (
        Check(
            "volume-on-source",
            passed=bool(facts["on_source"]),
            expected="the volume attached to the source",
            observed="attached" if facts["on_source"] else "elsewhere",
            fix="runbook roll-back brings it back; then run 30_cut_over_volume from the top",
        ),
    )


def _verify_hot_manifest(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether sentinel and manifest are recorded."""
    return (
        Check(
            "hot-manifest-recorded",
            passed=_has_hot_manifest(after),
            expected="sentinel and hot manifest recorded",
            observed="recorded" if _has_hot_manifest(after) else "missing",
            fix="run again",
        ),
    )


def _take_hot_manifest(run: Run, before: Facts) -> None:
    """Write the sentinel, then take a manifest while the service runs."""
    volume = run.journal.last("volume")
    content = {
        "run_id": run.run_id,
        "volume_id": run.parameters.volume.volume_id,
        "filesystem_uuid": volume.fields["filesystem_uuid"] if volume else "",
    }
    written = run.source_host.run(
        "write_sentinel",
        mount_path=before["mount_path"],
        run_id=run.run_id,
        content=json.dumps(content, sort_keys=True) + "\n",
    )
    run.journal.append("sentinel", path=written["path"], sha256=written["sha256"])
    policy = run.parameters.policy
    share: dict[str, Any] = {"nice": policy.manifest_nice}
    if policy.manifest_io_class != "none":
        share["io_class"] = policy.manifest_io_class
    take_manifest(run, run.source_host, HOT, "hot", root=before["mount_path"], **share)


CHECK_READINESS = Step(
    "check-readiness",
    NOTEBOOK,
    "Check that the cutover may begin",
    _observe_readiness,
    lambda _facts: "Reads only; every check passed.",
    is_done=_has_begun,
    check=_check_readiness,
)

KEEP_VOLUME_ON_TERMINATION = Step(
    "keep-volume-on-termination",
    NOTEBOOK,
    "Switch DeleteOnTermination off",
    _observe_termination,
    lambda facts: f"Switch DeleteOnTermination off for {facts['volume_id']} on {facts['instance_id']}.",
    _keep_volume,
    is_done=_is_kept,
    verify=_verify_kept,
)

TAKE_HOT_MANIFEST = Step(
    "take-hot-manifest",
    NOTEBOOK,
    "Write the sentinel and take a manifest while the service runs",
    _observe_hot_manifest,
    lambda facts: f"Write .runbook/sentinel.json and take a manifest of {facts['mount_path']}.",
    _take_hot_manifest,
    is_done=_has_hot_manifest,
    check=_check_hot_manifest,
    verify=_verify_hot_manifest,
)

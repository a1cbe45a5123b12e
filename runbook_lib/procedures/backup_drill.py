"""Drill, the data: the backup restored to a throw-away volume beside production, and compared.

The copy is attached to the task's host with the operator's credentials, under a Name that no storage driver looks for:
no plugin and no unit ever sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.checks_words import describe_fact
from runbook_lib.errors import AwsError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_facts import (
    AFTER,
    BEFORE,
    NOTEBOOK,
    ON_COPY,
    RESTORE,
    check_completed,
    drill_tags,
    is_removed,
    note,
    noted,
    observe_backup,
    observe_remains,
    suffix,
)
from runbook_lib.procedures.backup_take import take_manifest
from runbook_lib.procedures.observations import driver_of, observe_task
from runbook_lib.procedures.rehearsal_data import compare_clone
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

DEVICE = "/dev/sdq"
"""Outside /dev/xvd[f-p], from which the volume plugin takes a name at random."""
_WAIT_S, _POLL_S = 600.0, 0.5
TOP = f"run {NOTEBOOK} from the top; it goes on where it stopped"


def wait(run: Run, volume_id: str, is_so: Callable[[Facts], bool]) -> dict[str, Any]:
    """Return a volume once it is so.

    Args:
        run: The open run.
        volume_id: The volume.
        is_so: What must be so of it.

    Returns:
        As `Ebs.describe_volume`.

    Raises:
        AwsError: after ten minutes.
    """
    deadline = run.clock.monotonic() + _WAIT_S
    while not is_so(volume := run.ebs.describe_volume(volume_id)):
        if run.clock.monotonic() >= deadline:
            raise AwsError("DescribeVolumes", "Timeout", f"{volume_id} is {volume['state']} after {_WAIT_S:g} s")
        run.clock.sleep(_POLL_S)
    return volume


def _observe_restore(run: Run) -> dict[str, Any]:
    task = observe_task(run)
    return {
        "backup": observe_backup(run),
        "instance_id": task["instance_id"],
        "removed": is_removed(run),
        "restored": noted(run, "restored"),
        **observe_remains(run),
    }


def _is_restored(facts: Facts) -> bool:
    held = [copy["volume_id"] for copy in facts["copies"] if copy["holder"]]
    return facts["removed"] or (bool(facts["restored"]) and held == [facts["restored"]["volume_id"]])


def _check_restore(facts: Facts) -> Sequence[Check]:
    return (
        check_completed(facts["backup"]),
        Check(
            "host-known",
            passed=bool(facts["instance_id"]),
            expected="one task RUNNING, beside which the copy is used",
            observed=facts["instance_id"] or "none",
            fix="run 64_check_drift",
        ),
    )


def mount_attached(run: Run, volume_id: str, host: Host) -> dict[str, Any]:
    """Mount a copy beside its original once it is attached.

    Args:
        run: The open run.
        volume_id: The copy, attached or about to be.
        host: Where.

    Returns:
        As host script `mount_copy`.

    Changes:
        A mount on the host.
    """
    wait(run, volume_id, lambda volume: [one["state"] for one in volume["attachments"]] == ["attached"])
    known = run.journal.last("volume")
    return host.run(
        "mount_copy",
        timeout_s=400,
        volume_id=volume_id,
        device_name=DEVICE,
        filesystem_uuid=known.fields["filesystem_uuid"] if known else "",
        wait_s=60,
    )


def _restore(run: Run, before: Facts) -> None:
    """Make a volume of the backup, attach and mount it, and describe what is on it before anybody writes there."""
    snapshot_id, host = before["backup"]["snapshot_id"], run.host(before["instance_id"])
    if not noted(run, "restoring"):
        note(run, "restoring", snapshot_id=snapshot_id)
    volume_id = _copy_of(run, before)
    volume = wait(run, volume_id, lambda v: v["state"] in {"available", "in-use"})
    if not volume["attachments"]:
        run.ebs.attach_volume(volume_id, host.instance_id, DEVICE)
    mounted = mount_attached(run, volume_id, host)
    take_manifest(run, host, ON_COPY, root=mounted["path"])
    note(run, "restored", volume_id=volume_id, path=mounted["path"], instance_id=host.instance_id)


def _copy_of(run: Run, before: Facts) -> str:
    """Return the restored copy, made now unless an attempt that was interrupted made it."""
    if before["copies"]:
        return str(before["copies"][0]["volume_id"])
    snapshot_id = before["backup"]["snapshot_id"]
    name = f"{run.run_id}-drill"
    if name.casefold() == driver_of(run).volume_name.casefold():
        raise AwsError("CreateVolume", "NameInUse", f"{name} is the Name that the storage driver looks for")
    like = run.ebs.describe_volume(run.parameters.volume.volume_id)
    tags = drill_tags(run, snapshot_id) | {"Name": name}
    token = f"{suffix(run)}-drill-{noted(run, 'restoring')['seq']}"
    return run.rehearsal_api.restore_volume(snapshot_id, like, tags, token)


def _verify_restored(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "copy-mounted",
            passed=_is_restored(after),
            expected="the restored copy attached and described",
            observed=", ".join(f"{c['volume_id']} {c['state']}" for c in after["copies"]) or "no copy",
            fix=TOP,
        ),
    )


def _observe_data(run: Run) -> dict[str, Any]:
    phases = (BEFORE, AFTER, ON_COPY)
    if not all(noted(run, phase) for phase in phases) or not noted(run, "restored"):
        return {"comparison": None}
    before, after, copy = (manifest.parse(run.evidence(phase)) for phase in phases)
    result = compare_clone(before, after, copy, None)
    return {"comparison": {"compared": result.compared, "not_compared": len(result.not_compared)}
            | result.found.as_facts()}  # fmt: skip


def _check_data(facts: Facts) -> Sequence[Check]:
    seen = facts["comparison"] or {"identical": False, "compared": 0}
    differs = {key: seen[key] for key in ("missing", "added", "changed") if seen.get(key)}
    return (
        Check(
            "backup-identical",
            passed=bool(seen["identical"]) and seen["compared"] > 0,
            expected="every entry that did not change around the backup, as it was",
            observed=describe_fact(differs) if differs else f"{seen['compared']} entries compared",
            why="a backup that was never compared is a hope",
            fix="do not rely on this backup: take another, and look at the volume with 64_check_drift",
            needs=RESTORE,
        ),
    )


def _plan_data(facts: Facts) -> str:
    seen = facts["comparison"]
    if seen is None:
        return "Compare the restored copy with what two manifests around the backup agree on."
    return (
        f"{seen['compared']} entries are as they were; {seen['not_compared']} changed meanwhile and were not compared."
    )


RESTORE_COPY = Step(
    RESTORE,
    NOTEBOOK,
    "Restore the backup to a throw-away volume beside production",
    _observe_restore,
    lambda facts: (
        f"Make a volume of {facts['backup']['snapshot_id'] or 'the backup'}, attach and mount it on "
        f"{facts['instance_id'] or 'the host'}, describe everything on it."
    ),
    _restore,
    is_done=_is_restored,
    check=_check_restore,
    verify=_verify_restored,
)

COMPARE_COPY = Step(
    "compare-backup-copy",
    NOTEBOOK,
    "Compare the restored copy with the volume as it was",
    _observe_data,
    _plan_data,
    check=_check_data,
)

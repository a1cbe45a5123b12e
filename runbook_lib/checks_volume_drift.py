"""What must stay so of a data volume in service, as pure functions from observed facts to checks. Touches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runbook_lib.checks import check_name_free, check_volume_steady
from runbook_lib.checks_tasks import same
from runbook_lib.model import Check, Facts


def check_volume(facts: Facts) -> Sequence[Check]:
    """Return whether the data volume is where it should be, the only one of its Name, safe, and not full.

    Args:
        facts: Keys `volume` (as `observe_volume`, plus `modifying`), `names`, `wanted_name`, `handed_over`, `task_host`
            (instance id of the running task), `devices` (of that instance), `seen` (as host script
            `inspect_target`), `sentinel_names`, `space` (as host script `measure_filesystem`), `min_free_percent`,
            `min_free_inodes_percent`.

    Returns:
        The checks.
    """
    volume = facts["volume"]
    return (
        check_name_free(facts["names"], volume["volume_id"], facts["wanted_name"]),
        same("volume-name", facts["wanted_name"], volume["tags"].get("Name", "none"),
              "the storage driver finds the volume by it", f"set the tag Name of {volume['volume_id']}"),
        same("volume-handed-over", True, facts["handed_over"],
              "without the tag of the hand-over a new host does not take the volume",
              "find who removed the tag runbook:cut-over-utc, and set it to the time of the hand-over"),
        *_check_attachment(facts),
        check_volume_steady(volume),
        *_check_view(facts),
        *_check_space(facts["space"], facts),
    )  # fmt: skip


def _check_attachment(facts: Facts) -> Sequence[Check]:
    volume, host = facts["volume"], facts["task_host"]
    attached = [f"{a['instance_id']} ({a['state']})" for a in volume["attachments"]]
    by_volume = [a["delete_on_termination"] for a in volume["attachments"]]
    by_instance = [d["delete_on_termination"] for d in facts["devices"] if d["volume_id"] == volume["volume_id"]]
    return (
        Check(
            "volume-attached-where-the-task-runs",
            passed=bool(host) and attached == [f"{host} (attached)"],
            expected=f"one attachment, to {host or 'the instance of the running task'}",
            observed=", ".join(attached) or "attached nowhere",
            why="the task writes elsewhere, or the volume is on its way to another host",
            fix="read the service's events and who called AttachVolume; never detach while the task runs",
        ),
        Check(
            "delete-on-termination-off",
            passed=not any([*by_volume, *by_instance]),
            expected=f"DeleteOnTermination off for {volume['volume_id']}",
            observed="on" if any([*by_volume, *by_instance]) else "off",
            why="the volume would be deleted with the instance",
            fix=f"aws ec2 modify-instance-attribute --instance-id {host or volume['holder'] or 'ID'} "
            "--block-device-mappings DeviceName=...,Ebs={DeleteOnTermination=false}",
        ),
    )


def _check_view(facts: Facts) -> Sequence[Check]:
    volume_id, seen = facts["volume"]["volume_id"], facts["seen"]
    below = seen.get("below_mount")
    return (
        Check(
            "container-sees-the-volume",
            passed=seen.get("volume_id") == volume_id and not below,
            expected=f"the root of {volume_id} in the container",
            observed=seen.get("error")
            or (f"directory {below!r} of {seen.get('volume_id')}" if below else seen.get("volume_id") or "no volume"),
            why="what the service writes elsewhere is lost with the container or the host",
            fix="stop the task before it writes more; compare with the newest snapshot",
        ),
        same("sentinel-present", f"a sentinel that names {volume_id}",
              f"a sentinel that names {facts['sentinel_names']}" if facts["sentinel_names"] else "none",
              "by it the volume is told from an empty directory",
              "find who removed .runbook/sentinel.json; restore it from a snapshot"),
    )  # fmt: skip


def _check_space(space: Facts, limits: Facts) -> Sequence[Check]:
    found = []
    for kind, unit in (("space", "bytes"), ("inodes", "inodes")):
        least = limits[f"min_free_{'percent' if kind == 'space' else 'inodes_percent'}"]
        total, free = space.get(f"total_{unit}"), space.get(f"free_{unit}")
        if total == 0 and kind == "inodes":  # btrfs, and others that make inodes as they are wanted
            continue
        share = 100 * free / total if total and free is not None else None
        found.append(
            Check(
                f"free-{kind}",
                passed=share is not None and share >= least,
                expected=f"at least {least} % of the volume's {unit} free",
                observed=f"{share:.1f} %" if share is not None else space.get("error") or "unknown",
                why="a full volume stops the service, and a backup or a resize needs room to move",
                fix="remove what is not needed, or make the volume larger: 62_resize",
            )
        )
    return found


def check_snapshots(facts: Facts) -> Sequence[Check]:
    """Return whether a snapshot of the volume is young enough, and none failed since.

    Args:
        facts: Keys `volume_id`, `newest` (the newest completed one, or None), `age_h`, `failed` (ids of younger ones
            in state `error`), `max_age_h`.

    Returns:
        Two checks.
    """
    newest, age_h = facts["newest"], facts["age_h"]
    observed = f"{newest['snapshot_id']}, {age_h:.1f} hours old" if newest else "none"
    return (
        Check(
            "snapshot-age",
            passed=newest is not None and age_h <= facts["max_age_h"],
            expected=f"a completed snapshot of {facts['volume_id']} at most {facts['max_age_h']} hours old "
            "(policy.drift.max_snapshot_age_h)",
            observed=observed,
            why="what was written since is lost with the volume",
            fix="run 63_back_up_volume, and schedule it",
        ),
        Check(
            "no-failed-snapshot",
            passed=not facts["failed"],
            expected="no snapshot in state error since the newest completed one",
            observed=", ".join(facts["failed"]) or "none",
            why="backups are tried and fail",
            fix="read the snapshot's StateMessage; an encrypted volume needs a grant for its key",
        ),
    )


def age_days(created_utc: str, now: datetime) -> float | None:
    """Return how old something is.

    Args:
        created_utc: RFC 3339 time, "" when unknown.
        now: The time now, with its zone.

    Returns:
        Days, or None when it is unknown.
    """
    if not created_utc:
        return None
    return (now - datetime.fromisoformat(created_utc)).total_seconds() / 86400

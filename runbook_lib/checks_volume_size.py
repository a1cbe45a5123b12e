"""Whether the data volume may be modified as the parameters say. Pure: facts in, checks out.

EBS makes a volume larger and never smaller, one modification at a time and four in a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.model import Check
from runbook_lib.model_volume_types import (
    DEFAULT_IOPS,
    VOLUME_TYPES,
    problem_of_iops,
    problem_of_size,
    problem_of_throughput,
)

Facts = Mapping[str, Any]

GIB = 1 << 30
KEYS = ("size_gib", "volume_type", "iops", "throughput_mibps")
NO_WAY_BACK = "EBS never makes a volume smaller, and a filesystem that has grown stays so"
UNDER_WAY = frozenset({"modifying", "optimizing"})
GROWN_ONLINE = frozenset({"ext2", "ext3", "ext4", "xfs"})
SLACK_BYTES = 16 << 20
"""What a filesystem may leave at the end of its device: a last group that is too small to hold what it needs."""


def changes_of(volume: Facts, wanted: Facts) -> dict[str, Any]:
    """Return what of a volume is not as it shall be.

    Args:
        volume: Keys `size_gib, volume_type, iops, throughput_mibps`.
        wanted: The same keys; None leaves one as it is.

    Returns:
        The wanted values that differ, by key.
    """
    return {key: wanted[key] for key in KEYS if wanted[key] is not None and wanted[key] != volume[key]}


def target_of(volume: Facts, changes: Facts) -> dict[str, Any]:
    """Return what the volume would be after the modification.

    Args:
        volume: As `changes_of`.
        changes: As `changes_of` returns them.

    Returns:
        The four keys; IOPS and throughput are None where the type has none to choose and nobody asked.
    """
    kind = VOLUME_TYPES[changes.get("volume_type", volume["volume_type"])]
    same = changes.get("volume_type", volume["volume_type"]) == volume["volume_type"]
    iops = None if kind.iops is None else volume["iops"] if same else DEFAULT_IOPS
    throughput = volume["throughput_mibps"] if same and kind.throughput_mibps else None
    kept = {"size_gib": volume["size_gib"], "volume_type": volume["volume_type"]}
    return {**kept, "iops": iops, "throughput_mibps": throughput, **changes}


def is_own(modification: Facts, changes: Facts) -> bool:
    """Return whether the modification that is under way makes just these changes.

    Args:
        modification: As `VolumeModifications.newest`.
        changes: As `changes_of`.

    Returns:
        True for one that an interrupted attempt has asked for.
    """
    target = modification["target"]
    return modification["state"] in UNDER_WAY and all(target.get(key) == value for key, value in changes.items())


def is_filled(filesystem: Facts | None) -> bool:
    """Return whether a filesystem uses its whole device.

    Args:
        filesystem: As host script `measure_volume`, or None.

    Returns:
        True when so; False when nobody could tell.
    """
    if not filesystem or "error" in filesystem:
        return False
    return bool(filesystem["device_bytes"] - filesystem["filesystem_bytes"] < SLACK_BYTES)


def say_modification(modification: Facts) -> str:
    """Return what EC2 tells of the newest modification.

    Args:
        modification: As `VolumeModifications.newest`.

    Returns:
        A few words.
    """
    if not modification["state"]:
        return "never modified"
    progress = f" {modification['progress']} %" if modification["state"] in UNDER_WAY else ""
    message = f" ({modification['message']})" if modification["message"] else ""
    return f"{modification['state']}{progress}, begun {modification['started_utc']}{message}"


def check_modification(facts: Facts) -> Sequence[Check]:
    """Return whether EBS takes the modification, now, and whether the filesystem can follow.

    Args:
        facts: Keys `volume`, `wanted`, `changes`, `modification`, `filesystem`, `larger` (whether volume or
            filesystem are still to become larger).

    Returns:
        Six checks; those of a modification pass when nothing is to be modified.
    """
    volume, changes, modification = facts["volume"], facts["changes"], facts["modification"]
    target = target_of(volume, changes)
    wanted_gib = facts["wanted"]["size_gib"]
    return (
        Check(
            "volume-never-shrinks",
            passed=wanted_gib is None or wanted_gib >= volume["size_gib"],
            expected=f"volume.size_gib of at least {volume['size_gib']}, or none",
            observed=str(wanted_gib or "none"),
            why=NO_WAY_BACK,
            fix="leave volume.size_gib out, or name the size that it has; a smaller volume is another one, to which "
            "the files are copied",
        ),
        *(
            _check_limit(f"volume-takes-{key}", target, problem if changes else "")
            for key, problem in (
                ("size", problem_of_size(target)),
                ("iops", problem_of_iops(target)),
                ("throughput", problem_of_throughput(target)),
            )
        ),
        Check(
            "volume-not-being-modified",
            passed=not changes or modification["state"] not in UNDER_WAY or is_own(modification, changes),
            expected="no modification under way",
            observed=say_modification(modification),
            why="EBS takes the next modification only when the last is completed, and four in 24 hours",
            fix="wait until it is completed, which takes hours for a large volume: aws ec2 "
            f"describe-volumes-modifications --volume-ids {volume['volume_id']}; then run again",
        ),
        _check_filesystem(facts),
    )


def _check_limit(check_id: str, target: Facts, problem: str) -> Check:
    said = f"{target['size_gib']} GiB {target['volume_type']}"
    said += f", {target['iops']} IOPS" if target["iops"] is not None else ""
    said += f", {target['throughput_mibps']} MiB/s" if target["throughput_mibps"] is not None else ""
    return Check(
        check_id,
        passed=not problem,
        expected="what the volume type takes",
        observed=f"{said}: {problem}" if problem else said,
        why="EBS would refuse the modification",
        fix="correct volume.size_gib, volume.type, volume.iops or volume.throughput_mibps",
    )


def _check_filesystem(facts: Facts) -> Check:
    filesystem = facts["filesystem"]
    found = (filesystem or {}).get("error") or (filesystem or {}).get("fstype") or "no host has the volume mounted"
    return Check(
        "filesystem-grows-online",
        passed=not facts["larger"] or found in GROWN_ONLINE,
        expected="ext2, ext3, ext4 or XFS on the whole device, mounted on the task's host",
        observed=found,
        why="a larger volume is of no use to a filesystem that cannot follow while it is in use",
        fix="look at the volume on its host; a partition or another filesystem is grown by hand",
    )

"""Size, type and performance of the data volume: what it has, what it shall have, and whether its filesystem follows.

Keeps evidence, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.checks_volume_size import (
    GIB,
    KEYS,
    NO_WAY_BACK,
    changes_of,
    check_modification,
    is_filled,
    say_modification,
)
from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_volume

if TYPE_CHECKING:
    from runbook_lib.run import Run

FORMER = "volume-size"
"""Evidence: what the volume had when the run began, of which everything but the size can be had again."""
GROW_ID = "grow-filesystem"


def wanted_volume(run: Run) -> dict[str, Any]:
    """Return what the parameters say of the volume; None is what shall stay as it is.

    Args:
        run: The open run.

    Returns:
        Keys `size_gib, volume_type, iops, throughput_mibps`.
    """
    volume = run.parameters.volume
    return {
        "size_gib": volume.size_gib,
        "volume_type": volume.type,
        "iops": volume.iops,
        "throughput_mibps": volume.throughput_mibps,
    }


def observe_size(run: Run) -> dict[str, Any]:
    """Return what the volume has and shall have.

    Args:
        run: The open run.

    Returns:
        Keys `asked` (whether the parameters say anything of it), `volume` (as `observe_volume`), `wanted, changes` (as
        `changes_of`), `modification` (as `VolumeModifications.newest`), `filesystem` (as host script `measure_volume`,
        key `error`, or None), `larger` (whether volume or filesystem are still to become larger), `grows` (the same, or
        this run has begun it).

    Changes:
        Evidence `volume-size`, once, when anything is asked.
    """
    wanted, volume = wanted_volume(run), observe_volume(run)
    asked = any(value is not None for value in wanted.values())
    nothing = {"state": "", "progress": 0, "message": "", "started_utc": "", "target": {}}
    changes = changes_of(volume, wanted)
    facts: dict[str, Any] = {"asked": asked, "volume": volume, "wanted": wanted, "changes": changes}
    if not asked:
        return facts | {"modification": nothing, "filesystem": None, "larger": False, "grows": False}
    if run.journal.last("evidence", name=FORMER) is None:
        run.keep_evidence(FORMER, {key: volume[key] for key in KEYS})
    filesystem = measure(run, volume) if wanted["size_gib"] is not None else None
    larger = wanted["size_gib"] is not None and (
        volume["size_gib"] < wanted["size_gib"] or not (is_filled(filesystem) or _is_between_hosts(run, volume))
    )
    return facts | {
        "modification": run.modifications.newest(volume["volume_id"]),
        "filesystem": filesystem,
        "larger": larger,
        "grows": larger or has_begun_to_grow(run),
    }


def _is_between_hosts(run: Run, volume: Facts) -> bool:
    """Return whether nobody has the volume because this run moves it: it was measured before that."""
    return not volume["holder"] and run.journal.last("outage") is not None


def has_begun_to_grow(run: Run) -> bool:
    """Return whether this run has grown the filesystem, or was about to.

    Args:
        run: The open run.

    Returns:
        True from the act on.
    """
    return run.journal.last("step", step_id=GROW_ID, status="running") is not None


def measure(run: Run, volume: Facts) -> dict[str, Any] | None:
    """Return the sizes of the device and of its filesystem on the host that has them.

    Args:
        run: The open run.
        volume: As `observe_volume`.

    Returns:
        As host script `measure_volume`, or key `error`; None when nobody has the volume.
    """
    if not volume["holder"]:
        return None
    try:
        return run.host(volume["holder"]).run("measure_volume", volume_id=volume["volume_id"])
    except HostCommandError as error:
        return {"error": str(error)}


def has_wanted_size(facts: Facts) -> bool:
    """Return whether nothing is to be done about the volume.

    Args:
        facts: As `observe_size`.

    Returns:
        True when volume and filesystem are as they shall be.
    """
    return not facts["changes"] and not facts["larger"]


def check_size(facts: Facts) -> Sequence[Check]:
    """Return whether the volume may be modified, and its filesystem grown.

    Args:
        facts: As `observe_size`.

    Returns:
        No check when nothing is asked.
    """
    return check_modification(facts) if facts["asked"] else ()


def say_size(facts: Facts) -> str:
    """Return what becomes of the volume, in a few words.

    Args:
        facts: As `observe_size`.

    Returns:
        One or two sentences; with a size they say that there is no way back from it.
    """
    volume, changes = facts["volume"], facts["changes"]
    if has_wanted_size(facts):
        return "The volume stays as it is."
    said = ", ".join(f"{key} {volume[key]} to {value}" for key, value in changes.items()) or "the filesystem only"
    last = f" It was last modified: {say_modification(facts['modification'])}; EBS takes four in 24 hours."
    back = f" There is no way back from a size: {NO_WAY_BACK}." if facts["larger"] else ""
    return f"The volume changes without an outage: {said}.{last}{back}"


def wanted_bytes(facts: Facts) -> int:
    """Return how large the device shall be.

    Args:
        facts: As `observe_size`.

    Returns:
        Bytes; 0 when no size is asked.
    """
    return int(facts["wanted"]["size_gib"] or 0) * GIB

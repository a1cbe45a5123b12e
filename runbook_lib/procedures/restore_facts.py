"""What a restore is known by: what was asked for, which volume shall serve instead, which one does. Reads only.

The parameters name the volume in service now; the one that is restored is found by the tags that it got when it was
made. Nothing is ever deleted: the volume that leaves keeps its content, under another Name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_facts import BACKUP_TAG, CONSISTENCY_TAG, DRILL_TAG
from runbook_lib.procedures.observations import POINT_TAG, RUN_TAG, driver_of, found, observe_volume

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "70_restore_volume"
RESTORED_FROM_TAG = "runbook:restored-from"
"""Tag of a volume that a restore made: the snapshot or copy that it is of."""

REPLACES_TAG = "runbook:replaces"
"""Tag of a volume that a restore made: the volume in whose place it shall serve."""

REPLACED_BY_TAG = "runbook:replaced-by"
"""Tag of a volume that a restore took out of service: the one that serves instead."""

REPLACED_AT_TAG = "runbook:replaced-utc"
"""Tag of such a volume: when the service had let it go."""

LATEST = "latest"
CHECK, CREATE, PROVE, ASIDE = "check-restore", "create-restored-volume", "prove-restored-volume", "put-volume-aside"
NEXT_PARAMETERS = "next-parameters.yaml"
_GONE = {"deleting", "deleted", "error"}
_ROLLBACK = "rollback"


def note(run: Run, phase: str, **fields: Any) -> None:
    """Write one phase of the restore into the journal.

    Args:
        run: The open run.
        phase: `requested`, `chosen`, `adopted`, `compared`, `proved` or `loss`.
        **fields: What there is to say.

    Changes:
        A `restore` event.
    """
    run.journal.append("restore", phase=phase, **fields)


def noted(run: Run, phase: str) -> dict[str, Any]:
    """Return the newest event of a phase.

    Args:
        run: The open run.
        phase: As `note`.

    Returns:
        Its fields, {} when there is none.
    """
    event = run.journal.last("restore", phase=phase)
    return event.fields if event else {}


def observe_source(run: Run, present: Facts) -> dict[str, Any]:
    """Return what is to be restored.

    Args:
        run: The open run.
        present: Facts of the volume in service.

    Returns:
        Keys `asked` (as it was asked for), `kind` (`snapshot`, `copy`, `former` or ""), `id`, `state`, `of_volume` ("",
        where AWS does not say), `since_utc` (everything later is lost; "" when nothing is), `consistency`, `drilled`,
        `run_id` (whose record knows what is on it), `tags`, `error`.
    """
    chosen = noted(run, "chosen")
    asked = chosen.get("id") or noted(run, "requested").get("source", "")
    facts = {"asked": asked, "kind": "", "id": "", "state": "none", "of_volume": "", "since_utc": "",
             "consistency": "", "drilled": False, "run_id": "", "tags": {}, "error": ""}  # fmt: skip
    facts |= _find(run, asked, present)
    # a volume that serves again no longer says since when it did not
    return facts | ({"since_utc": chosen["since_utc"]} if facts["id"] and "since_utc" in chosen else {})


def _find(run: Run, asked: str, present: Facts) -> dict[str, Any]:
    if asked == LATEST:
        done = [s for s in backups_of(run, lineage(present)) if s["state"] == "completed"]
        return _of_snapshot(done[-1]) if done else {"error": "no completed backup"}
    if asked.startswith("snap-"):
        seen = found(lambda: {"found": run.estate.snapshot(asked)})
        return _of_snapshot(seen["found"]) if "found" in seen else seen
    if asked.startswith("vol-"):
        seen = found(lambda: {"found": run.ebs.describe_volume(asked)})
        return _of_volume(seen["found"], present) if "found" in seen else seen
    return {}


def backups_of(run: Run, volume_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the backups of volumes, oldest first.

    Args:
        run: The open run.
        volume_ids: The volumes.

    Returns:
        As `Estate.snapshots_of`.
    """
    every = [s for one in volume_ids for s in run.estate.snapshots_of(one) if s["tags"].get(BACKUP_TAG) == one]
    return sorted(every, key=lambda one: str(one["started_utc"]))


def lineage(present: Facts) -> list[str]:
    """Return the volume in service and the one in whose place it came.

    Args:
        present: Facts of the volume in service.

    Returns:
        Volume ids.
    """
    return [present["volume_id"], *([one] if (one := present["tags"].get(REPLACES_TAG)) else [])]


def _of_snapshot(snapshot: Facts) -> dict[str, Any]:
    tags = snapshot["tags"]
    return {
        "kind": "snapshot",
        "id": snapshot["snapshot_id"],
        "state": snapshot["state"],
        "of_volume": snapshot["volume_id"],
        "since_utc": snapshot["started_utc"],
        "consistency": tags.get(CONSISTENCY_TAG, "stop" if tags.get(POINT_TAG) == _ROLLBACK else "crash"),
        "drilled": tags.get(DRILL_TAG) == "passed",
        "run_id": tags.get(RUN_TAG, ""),
        "tags": dict(tags),
    }


def _of_volume(volume: Facts, present: Facts) -> dict[str, Any]:
    """Return what a volume is to the one in service: its rollback copy, or the one that served before it."""
    tags, facts = volume["tags"], {"id": volume["volume_id"], "state": volume["state"], "tags": dict(volume["tags"])}
    is_former = tags.get(REPLACED_BY_TAG) == present["volume_id"]
    if is_former or present["tags"].get(REPLACES_TAG) == volume["volume_id"]:
        at = tags.get(REPLACED_AT_TAG, "") if is_former else ""
        return facts | {"kind": "former", "of_volume": volume["volume_id"], "since_utc": at, "consistency": "stop"}
    if tags.get(POINT_TAG) == _ROLLBACK:
        at, run_id = volume["created_utc"], tags.get(RUN_TAG, "")
        return facts | {"kind": "copy", "since_utc": at, "consistency": "stop", "run_id": run_id}
    return facts | {"error": "neither a rollback copy nor the volume that served before"}


def observe_restored(run: Run, source: Facts) -> dict[str, Any] | None:
    """Return the volume that shall take the service's place.

    Args:
        run: The open run.
        source: As `observe_source`.

    Returns:
        As `Ebs.describe_volume`, None before it was made.
    """
    if source["kind"] == "former":
        return run.ebs.describe_volume(source["id"])
    made = [v for v in run.ebs.find_volumes({RUN_TAG: run.run_id}) if v["tags"].get(RESTORED_FROM_TAG) == source["id"]]
    usable = [volume for volume in made if volume["state"] not in _GONE]
    return usable[0] if usable and source["id"] else None


def observe_exchange(run: Run) -> dict[str, Any]:
    """Return how far the exchange of the two volumes is.

    Args:
        run: The open run.

    Returns:
        Keys `source` (as `observe_source`), `present` (as `observe_volume`), `restored` (as `observe_restored`, plus
        `holder`), `restored_id` ("" before it was made), `volume_name`, `aside` (the volume of the parameters was taken
        out of service), `handed_over` (the other one has its Name).

    Raises:
        AwsError: when the volume of the parameters is not there: nobody knows its zone and size then.
    """
    present, name = observe_volume(run), driver_of(run).volume_name
    source = observe_source(run, present)
    restored = observe_restored(run, source)
    holder = restored["attachments"][0]["instance_id"] if restored and restored["attachments"] else ""
    has_name = restored is not None and restored["tags"].get("Name") == name
    return {
        "source": source,
        "present": present,
        "restored": restored | {"holder": holder} if restored else None,
        "restored_id": restored["volume_id"] if restored else "",
        "volume_name": name,
        "aside": bool(restored) and present["tags"].get(REPLACED_BY_TAG) == (restored or {}).get("volume_id"),
        "handed_over": has_name and present["tags"].get("Name") != name,
    }


def on_restored(run: Run, exchange: Facts) -> Run:
    """Return the run as it is on the restored volume.

    Args:
        run: The open run.
        exchange: As `observe_exchange`.

    Returns:
        As `Run.as_on`; the run itself while there is no such volume.
    """
    return run.as_on(exchange["restored_id"]) if exchange["restored_id"] else run


def refuse_same_name(name: str, volume_name: str) -> None:
    """Refuse a Name that a storage driver would look for.

    Args:
        name: The Name that a volume shall get.
        volume_name: The one that the storage driver looks for.

    Raises:
        AwsError: when they are the same, in any case.
    """
    if name.casefold() == volume_name.casefold():
        raise AwsError("CreateTags", "NameInUse", f"{name} is the Name that the storage driver looks for")


def check_in_service(volume: Facts, needs: str = "") -> Check:
    """Return whether a volume was not taken out of service by a restore.

    Args:
        volume: Facts of the volume of the parameters.
        needs: As `Check`.

    Returns:
        The check.
    """
    by = volume["tags"].get(REPLACED_BY_TAG, "")
    return Check(
        "volume-in-service",
        passed=not by,
        expected=f"{volume['volume_id']} not taken out of service by a restore",
        observed=f"{by} serves in its place since {volume['tags'].get(REPLACED_AT_TAG, 'some time')}" if by else "so",
        why="what was written since is on the other volume, and would be left behind without a word",
        fix=f"use the parameters file that names {by or 'the volume in service'}; "
        f"`runbook restore {volume['volume_id']} -f THAT_FILE` brings this one back and says what is lost",
        needs=needs,
    )

"""A run's rollback points: the copies and snapshots that were taken of the unmounted volume. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook_lib.procedures.observations import POINT_TAG, RUN_TAG, observe_volume
from runbook_lib.procedures.source_look import look_at_source
from runbook_lib.procedures.together import together

if TYPE_CHECKING:
    from runbook_lib.run import Run

ROLLBACK = "rollback"
_FAILED = {"error", "deleting", "deleted", "recoverable", "recovering"}


def rollback_points(run: Run) -> list[dict[str, Any]]:
    """Return this run's rollback points, newest last.

    Args:
        run: The open run.

    Returns:
        Keys `kind` (`volume` or `snapshot`), `id`, `state`, `created_utc`, `is_current`: taken after the manifest of
        the stopped volume. Failed ones are left out.
    """
    tags = {RUN_TAG: run.run_id, POINT_TAG: ROLLBACK}
    manifest = run.journal.last("manifest", phase="before")
    since = run.clock.parse(manifest.at_utc) if manifest else None
    found = together(volumes=lambda: run.ebs.find_volumes(tags), snapshots=lambda: run.ebs.find_snapshots(tags))
    points = [
        {"kind": "volume", "id": v["volume_id"], "state": v["state"], "created_utc": v["created_utc"]}
        for v in found["volumes"]
    ] + [
        {"kind": "snapshot", "id": s["snapshot_id"], "state": s["state"], "created_utc": s["started_utc"]}
        for s in found["snapshots"]
    ]
    for point in points:
        # whole seconds: EC2 cuts the fraction off
        created = run.clock.parse(point["created_utc"])
        point["is_current"] = since is not None and created >= since.replace(microsecond=0)
    return [point for point in points if point["state"] not in _FAILED]


def is_mounted_on_source(run: Run) -> bool:
    """Return whether the volume is mounted on the source.

    Args:
        run: The open run.

    Returns:
        True when so.
    """
    return bool(look_at_source(run)["mounted"])


def observe_rollback_points(run: Run) -> dict[str, Any]:
    """Return this run's rollback points, and whether one can be taken.

    The host is not asked when a current point is there: none is taken any more, and a look costs outage.

    Args:
        run: The open run.

    Returns:
        Keys `volume` (facts), `mounted` (on the source), `points` (as `rollback_points`), `policy`.
    """
    seen = together(points=lambda: rollback_points(run), volume=lambda: observe_volume(run))
    points = seen["points"]
    return {
        "volume": seen["volume"],
        "mounted": not any(point["is_current"] for point in points) and is_mounted_on_source(run),
        "points": points,
        "policy": run.parameters.policy.rollback_point,
    }

"""Change of the storage driver, or of the host: the volume is let go, and what nobody has mounted is copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_plan import CHANGES as NOTEBOOK
from runbook_lib.procedures.driver_steps import for_change
from runbook_lib.procedures.hand_over import CREATE_ROLLBACK_POINT
from runbook_lib.procedures.manifest_before import manifest_seq
from runbook_lib.procedures.manifest_of_change import MANIFEST_ID, has_manifest
from runbook_lib.procedures.observations import CUT_OVER_TAG, detach_by_hand, observe_volume
from runbook_lib.procedures.rollback_points import rollback_points
from runbook_lib.procedures.stop_for_change import STOP_IDS, is_down, is_past_stop
from runbook_lib.procedures.storage_drivers import HOST_MOUNT, is_draining, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

RELEASE_ID = "release-volume"


def _observe_release(run: Run) -> dict[str, Any]:
    return {"drivers": observe_drivers(run), "manifest_seq": manifest_seq(run, *STOP_IDS)}


def _is_released(facts: Facts) -> bool:
    drivers = facts["drivers"]
    volume = drivers["volume"]
    tagged = CUT_OVER_TAG in volume["tags"] and drivers["wanted"] != HOST_MOUNT
    free = not volume["holder"] and not tagged and is_draining(drivers) and bool(facts["manifest_seq"])
    return is_past_stop(drivers) or (free and is_down(drivers))


def _check_release(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "manifest-complete",
            passed=has_manifest(facts),
            expected="a manifest taken after the service stopped",
            observed="taken" if has_manifest(facts) else "none",
            why="without it nothing can be proved afterwards",
            fix="run 66_change_storage_driver from the top",
            needs=MANIFEST_ID,
        ),
    )


def _release(run: Run, before: Facts) -> None:
    """Take the tag away, let the former hosts drain, remove the container that held the volume.

    The tag goes first: a unit that drains lets the volume go, and with the tag the next host's would take it at once.
    """
    drivers = before["drivers"]
    volume, former = drivers["volume"], set(drivers["former"])
    active = [h for h in drivers["hosts"] if h["instance_id"] in former and h["status"] == "ACTIVE"]
    if CUT_OVER_TAG in volume["tags"]:
        run.ec2.remove_tags(volume["volume_id"], [CUT_OVER_TAG])
    if active:
        run.container_hosts.set_status([host["container_instance_arn"] for host in active], "DRAINING")
    if volume["holder"]:
        with suppress(HostCommandError):  # whether the volume is let go is what the step verifies
            host = run.host(volume["holder"])
            host.run("release_gate", timeout_s=400, volume_id=volume["volume_id"], change=True)


def _verify_released(_before: Facts, after: Facts) -> Sequence[Check]:
    drivers = after["drivers"]
    volume = drivers["volume"]
    return (
        Check(
            "volume-available",
            passed=volume["state"] == "available" and not volume["attachments"],
            expected=f"{volume['volume_id']} available",
            observed=f"{volume['state']} {volume['holder']}".strip(),
            why="nobody may hold it before the next host does",
            fix=f"find what holds it on the host; {detach_by_hand(volume)}; the runbook never forces a detach",
        ),
        Check(
            "former-hosts-drain",
            passed=is_draining(drivers),
            expected="no former host ACTIVE",
            observed=", ".join(drivers["former"]) or "none",
            why="the unit of such a host would take the volume back, and ECS would place the task there",
            fix="set them to DRAINING in ECS",
        ),
        Check(
            "hand-over-taken-back",
            passed=CUT_OVER_TAG not in volume["tags"],
            expected=f"no tag {CUT_OVER_TAG} on {volume['volume_id']}",
            observed=volume["tags"].get(CUT_OVER_TAG, "none"),
            why="with it a container instance may take the volume",
            fix="remove the tag, then run again",
        ),
    )


def _observe_points(run: Run) -> dict[str, Any]:
    """Return this run's rollback points; a volume that is attached counts as mounted."""
    volume = observe_volume(run)
    policy = run.parameters.policy.rollback_point
    return {"volume": volume, "mounted": bool(volume["holder"]), "points": rollback_points(run), "policy": policy}


def _check_point(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-unmounted",
            passed=not facts["mounted"],
            expected="the volume attached nowhere",
            observed=facts["volume"]["holder"] or "attached nowhere",
            why="a copy of a mounted filesystem is only crash-consistent",
            fix="run 66_change_storage_driver from the top",
            needs=RELEASE_ID,
        ),
    )


RELEASE_VOLUME = Step(
    RELEASE_ID,
    NOTEBOOK,
    "Let the volume go",
    _observe_release,
    lambda facts: (
        f"Drain {', '.join(facts['drivers']['former']) or 'no host'}; wait until the volume is attached nowhere."
    ),
    _release,
    is_done=_is_released,
    check=_check_release,
    verify=_verify_released,
    roll_back="attach-volume-to-source",
    timeout_s=180,
    poll_s=0.3,
    waits_for="the former host unmounts and detaches",
    in_outage=True,
)

COPY_VOLUME_BEFORE_CHANGE = for_change(
    CREATE_ROLLBACK_POINT, "copy-volume-before-change", NOTEBOOK, observe=_observe_points, check=_check_point
)

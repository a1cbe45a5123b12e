"""Change of the storage driver: the manifest of the running service, and, inside the outage, of the stopped one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import note_sentinel, note_volume
from runbook_lib.procedures.driver_plan import CHANGES as NOTEBOOK
from runbook_lib.procedures.manifest_before import BEFORE, HOT, manifest_seq
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    container_of,
    driver_of,
    observe_task,
    observe_volume,
    target_urls,
)
from runbook_lib.procedures.outage import note_outage_start
from runbook_lib.procedures.persistence import build_manifest, take_manifest
from runbook_lib.procedures.stop_for_change import STOP_ID, STOP_IDS, check_down, hold, is_down, is_past_stop
from runbook_lib.procedures.storage_drivers import REXRAY, gate_of_former, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

MANIFEST_ID = "complete-manifest-of-change"
_TAKES_S, _POLL_S = 60.0, 0.3


def _observe_hot_manifest(run: Run) -> dict[str, Any]:
    seen, event = observe_task(run), run.journal.last("manifest", phase="hot")
    names = {"task": seen["task"], "instance_id": seen["instance_id"], "taken": event is not None}
    return {"drivers": observe_drivers(run), **names}


def _has_hot_manifest(facts: Facts) -> bool:
    """Return whether it is taken, or too late for it: a stopped service is read whole."""
    return facts["taken"] or is_down(facts["drivers"]) or is_past_stop(facts["drivers"])


def _check_hot_manifest(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "task-running",
            passed=facts["task"] is not None,
            expected="one task RUNNING",
            observed="RUNNING" if facts["task"] else "none",
            fix="read the service's events; then run 66_change_storage_driver from the top",
        ),
    )


def _take_hot_manifest(run: Run, before: Facts) -> None:
    """Take a manifest in the container while the service runs."""
    take_of_running(run, before, HOT, "hot")


def take_of_running(run: Run, seen: Facts, name: str, phase: str, **options: Any) -> None:
    """Take a manifest in the container while the service runs, with the share of the host that the policy allows.

    Args:
        run: The open run.
        seen: Keys `task`, `instance_id`.
        name: Evidence name.
        phase: Word for the journal.
        **options: As `build_manifest`.

    Changes:
        As `take_manifest`.
    """
    policy = run.parameters.policy
    share: dict[str, Any] = {"nice": policy.manifest_nice}
    if policy.manifest_io_class != "none":
        share["io_class"] = policy.manifest_io_class
    host, path = run.host(seen["instance_id"]), run.evidence("task-mapping")["container_path"]
    where = {"container": container_of(run, seen["task"]), "container_path": path}
    take_manifest(run, host, name, phase, **where, **share, **options)


def _verify_hot_manifest(_before: Facts, after: Facts) -> Sequence[Check]:
    taken = bool(after["taken"])
    observed = "recorded" if taken else "missing"
    return (Check("hot-manifest-recorded", taken, "a manifest of the running service", observed, fix="run again"),)


def _observe_manifest(run: Run) -> dict[str, Any]:
    held = run.journal.last("volume-held")
    known, sentinel = run.journal.last("volume"), run.journal.last("sentinel")
    drivers = observe_drivers(run)
    return {
        "drivers": drivers,
        "manifest_seq": manifest_seq(run, *STOP_IDS),
        "held": held.fields if held else {},
        "filesystem_uuid": known.fields["filesystem_uuid"] if known else "",
        "sentinel_sha256": sentinel.fields["sha256"] if sentinel else "",
        **_find_reader(run, drivers),
    }


def _find_reader(run: Run, drivers: Facts) -> dict[str, Any]:
    """Return the host on which the stopped volume can be read, and how.

    That is the host that holds it. A free volume, left by a change that was interrupted, is taken by a plugin where
    there is one, else by the unit of the host that it shall go back to, which has to be handed it.
    """
    holder, current = drivers["volume"]["holder"], drivers["current"]
    storage = {host["instance_id"]: host["storage"] for host in drivers["hosts"]}
    plugin_host = next((one for one, driver in storage.items() if driver == REXRAY), "")
    wanted_hosts = [one for one in storage if one not in drivers["former"]]
    own_gate = driver_of(run).gate()
    if holder:
        readable = storage.get(holder) in {current["driver"], drivers["wanted"]}
        gate = gate_of_former(run, current) if storage.get(holder) == current["driver"] else own_gate
        return {"reader": holder if readable else "", "gate": gate, "by_unit": False}
    if current["driver"] == REXRAY or drivers["wanted"] == REXRAY:
        gate = gate_of_former(run, current) if current["driver"] == REXRAY else own_gate
        return {"reader": plugin_host, "gate": gate, "by_unit": False}
    return {"reader": next(iter(wanted_hosts), ""), "gate": own_gate, "by_unit": True}


def _take_by_unit(run: Run) -> str:
    """Hand the free volume to the units that it shall go back to; return the host that has mounted it, or ""."""
    tags = {"Name": driver_of(run).volume_name, CUT_OVER_TAG: run.clock.now_utc().isoformat(timespec="seconds")}
    run.ec2.set_tags(run.parameters.volume.volume_id, tags)
    deadline = run.clock.monotonic() + _TAKES_S
    while run.clock.monotonic() < deadline:
        if all(check.passed for check in driver_of(run).check_handed_over(run.ecs.container_instances())):
            return str(observe_volume(run)["holder"])
        run.clock.sleep(_POLL_S)
    return ""


def has_manifest(facts: Facts) -> bool:
    """Return whether this run has read what the stopped service left, or the service was moved already.

    Args:
        facts: Keys `drivers`, `manifest_seq`.

    Returns:
        True when so.
    """
    return is_past_stop(facts["drivers"]) or (bool(facts["manifest_seq"]) and is_down(facts["drivers"]))


def _check_manifest(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    return (
        check_down(
            drivers,
            why="a manifest of a volume that is written to proves nothing",
            fix="run 66_change_storage_driver from the top",
            needs=STOP_ID,
        ),
        Check(
            "volume-readable",
            passed=bool(facts["reader"]),
            expected="a container instance that has the volume, or can take it",
            observed=facts["reader"] or f"volume held by {drivers['volume']['holder'] or 'nobody'}",
            why="what the service left is read before anybody else mounts it",
            fix="an earlier change was interrupted: `runbook resume` that run, or run 65_prepare_storage_driver, "
            "so that there is a host",
            needs=STOP_ID,
        ),
    )


def _complete(run: Run, before: Facts) -> None:
    """Read the stopped volume where the service wrote it; hash only what changed since the hot manifest.

    A run that found the service down, because another change was interrupted, measures the outage from here on.
    """
    note_outage_start(run, lambda: target_urls(run))
    reader = (_take_by_unit(run) if before["by_unit"] else "") or before["reader"]
    held = hold(run, before["gate"], reader)
    if held["volume_id"] == run.parameters.volume.volume_id:  # else the check afterwards names what it is
        note_volume(run, held["filesystem_uuid"], "")
        note_sentinel(run, held)
        hot, host = run.journal.last("manifest", phase="hot"), run.host(reader)
        same = hot is not None and hot.fields["instance_id"] == host.instance_id
        previous = {"previous": HOT} if same else {}
        build_manifest(run, host, BEFORE, "before", root=held["view"], seed=run.run_id, **previous)
    names = {key: held[key] for key in ("volume_id", "filesystem_uuid", "below_mount")}
    sentinel = (held["sentinel"] or {}).get("sha256", "")
    run.journal.append("volume-held", instance_id=reader, sentinel_sha256=sentinel, **names)


def _verify_manifest(before: Facts, after: Facts) -> Sequence[Check]:
    held, volume_id = after["held"], after["drivers"]["volume"]["volume_id"]
    pairs = (
        ("volume-is-this-one", volume_id, held.get("volume_id")),
        ("filesystem-is-this-one", after["filesystem_uuid"], held.get("filesystem_uuid")),
        ("sentinel-present", after["sentinel_sha256"], held.get("sentinel_sha256")),
    )
    taken = after["manifest_seq"] > before["manifest_seq"]
    fix = "set the service's desired count to 1 to go on with the former driver; nothing was moved"
    return (
        *(
            Check(check_id, bool(want) and want == got, expected=want or "known", observed=got or "none", fix=fix)
            for check_id, want, got in pairs
        ),
        Check(
            "manifest-complete",
            passed=taken,
            expected="a manifest taken after the service stopped",
            observed="taken" if taken else "none",
            fix="run again",
        ),
    )


TAKE_MANIFEST_BEFORE_CHANGE = Step(
    "take-manifest-before-change",
    NOTEBOOK,
    "Take a manifest while the service runs",
    _observe_hot_manifest,
    lambda facts: f"Take a manifest of what the container on {facts['instance_id']} sees.",
    _take_hot_manifest,
    is_done=_has_hot_manifest,
    check=_check_hot_manifest,
    verify=_verify_hot_manifest,
)

COMPLETE_MANIFEST_OF_CHANGE = Step(
    MANIFEST_ID,
    NOTEBOOK,
    "Complete the manifest by hashing only what changed",
    _observe_manifest,
    lambda facts: f"Read the stopped volume on {facts['reader'] or 'its host'}: hash what changed since the hot one.",
    _complete,
    is_done=has_manifest,
    check=_check_manifest,
    verify=_verify_manifest,
    timeout_s=5,
    in_outage=True,
)

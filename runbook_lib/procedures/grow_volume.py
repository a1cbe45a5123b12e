"""The data volume modified and its filesystem grown while the service runs, and the proof that its files are as before.

A size has no way back. Type, IOPS and throughput have: the same notebook with the former values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.checks_volume_size import NO_WAY_BACK, is_filled, is_own, say_modification
from runbook_lib.errors import AwsError, HostCommandError, TakenBackError
from runbook_lib.model import Check, Facts, StepStatus
from runbook_lib.procedures.attribution import tell_apart
from runbook_lib.procedures.manifest_before import HOT
from runbook_lib.procedures.manifest_of_change import take_of_running
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.persistence import check_comparison, sentinel_sha256
from runbook_lib.procedures.snapshot_volume import check_hot_snapshot, observe_hot_snapshot
from runbook_lib.procedures.volume_size import (
    GROW_ID,
    check_size,
    has_begun_to_grow,
    measure,
    observe_size,
    say_size,
    wanted_bytes,
)
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "62_resize"
MODIFY_ID, SNAPSHOT_ID, MANIFEST_ID = "modify-volume", "create-snapshot-before-resize", "take-manifest-before-resize"
BEFORE_GROWTH, AFTER_GROWTH = "manifest-before-growth", "manifest-after-growth"
_MODIFIES_S, _DEVICE_S, _GROWS_S, _UNHEARD_S, _POLL_S = 6 * 3600.0, 60.0, 3600, 10.0, 1.0


def take_manifests(run: Run, before: Facts) -> None:
    """Take a manifest of the running service, and before a growth a second: what differs is the service's own work.

    Args:
        run: The open run.
        before: Keys `task`, `instance_id`, `size` (as `observe_size`).

    Changes:
        Evidence; nothing on the volume.
    """
    take_of_running(run, before, HOT, "hot")
    if before["size"]["grows"]:
        take_of_running(run, before, BEFORE_GROWTH, "before-growth", previous=HOT)


def _modify(run: Run, before: Facts) -> None:
    """Ask for the modification, unless an interrupted attempt has; wait until the new values hold."""
    volume_id, changes = before["volume"]["volume_id"], before["changes"]
    if not is_own(before["modification"], changes):
        try:
            run.modifications.modify(volume_id, changes)
        except AwsError as error:
            newest = run.modifications.newest(volume_id)
            if not _was_taken(before, newest):  # else a call was repeated whose answer was lost
                raise TakenBackError(
                    f"EBS took no modification ({error}); the volume is as it was. Its last one: "
                    f"{say_modification(newest)}. EBS takes the next only when the last is completed, and four in 24 "
                    "hours; run again then"
                ) from error
    deadline = run.clock.monotonic() + _MODIFIES_S
    newest = run.modifications.newest(volume_id)
    while newest["state"] == "modifying" and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
        newest = run.modifications.newest(volume_id)
    if newest["state"] == "failed":
        raise TakenBackError(
            f"the modification failed: {say_modification(newest)}. The volume has what it had, nothing was grown, and "
            "the service runs on. Run again, or ask AWS why"
        )


def _was_taken(before: Facts, newest: Facts) -> bool:
    """Return whether EBS has begun the modification although its answer was an error, or none."""
    later = newest["started_utc"] != before["modification"]["started_utc"]
    return later and all(newest["target"].get(key) == value for key, value in before["changes"].items())


def _verify_modified(_before: Facts, after: Facts) -> Sequence[Check]:
    missing = ", ".join(f"{key} {value}" for key, value in after["changes"].items())
    return (
        Check(
            "volume-modified",
            passed=not missing,
            expected="the values of the parameters",
            observed=f"not yet {missing}" if missing else "so",
            why="they hold from the state optimizing on",
            fix="run again to go on waiting; large volumes take hours",
        ),
        Check(
            "modification-took-effect",
            passed=after["modification"]["state"] in {"optimizing", "completed"},
            expected="optimizing or completed",
            observed=say_modification(after["modification"]),
            fix="run again to go on waiting",
        ),
    )


def _observe_growth(run: Run) -> dict[str, Any]:
    return observe_size(run) | {"snapshot": observe_hot_snapshot(run)["snapshot"]}


def _has_grown(facts: Facts) -> bool:
    filesystem = facts["filesystem"]
    large = bool(filesystem) and filesystem.get("device_bytes", 0) >= wanted_bytes(facts)
    return not facts["wanted"]["size_gib"] or (large and is_filled(filesystem)) or filesystem is None


def _check_growth(facts: Facts) -> Sequence[Check]:
    size, wanted = facts["volume"]["size_gib"], facts["wanted"]["size_gib"]
    return (
        Check(
            "volume-large-enough",
            passed=size >= wanted,
            expected=f"{wanted} GiB",
            observed=f"{size} GiB",
            fix="run 62_resize from the top",
            needs=MODIFY_ID,
        ),
        replace(
            check_hot_snapshot(facts["snapshot"]),
            why="it holds the filesystem as it was before it grew",
            fix="run 62_resize from the top",
            needs=SNAPSHOT_ID,
        ),
    )


def _grow(run: Run, before: Facts) -> None:
    """Let the filesystem fill its device, once the host's kernel shows the new size."""
    volume, known = before["volume"], before["filesystem"] or {}
    device_bytes, deadline = wanted_bytes(before), run.clock.monotonic() + _DEVICE_S
    while known.get("device_bytes", 0) < device_bytes and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
        known = measure(run, volume) or {}
    names = {"volume_id": volume["volume_id"], "filesystem_uuid": known.get("filesystem_uuid", "")}
    try:
        grown = run.host(volume["holder"]).run(
            "grow_filesystem", timeout_s=_GROWS_S + 60, device_bytes=device_bytes, limit_s=_GROWS_S, **names
        )
        run.keep_evidence("grown-filesystem", grown)
    except HostCommandError as error:
        now = _measure_again(run, volume, wait_s=0 if error.details else _UNHEARD_S)
        if is_filled(now):
            return  # only the answer was lost
        raise TakenBackError(
            f"the filesystem has not grown: {error}. It has {now.get('filesystem_bytes', 'unknown')} bytes of "
            f"{now.get('device_bytes', 'unknown')}; the volume keeps its new size ({NO_WAY_BACK}), and the service "
            "runs on. Mend what the message names, and run again",
            changed="yes",
        ) from error


def _measure_again(run: Run, volume: Facts, *, wait_s: float) -> dict[str, Any]:
    """Return the sizes after an error; where the script told nothing of itself, it may still be at work."""
    deadline = run.clock.monotonic() + wait_s
    now = measure(run, volume) or {}
    while not is_filled(now) and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
        now = measure(run, volume) or {}
    return now


def _verify_growth(before: Facts, after: Facts) -> Sequence[Check]:
    known = after["filesystem"] or {}
    former = (before["filesystem"] or {}).get("filesystem_uuid")
    return (
        Check(
            "filesystem-fills-device",
            passed=_has_grown(after) and bool(known),
            expected=f"a filesystem as large as its device of {wanted_bytes(after)} bytes",
            observed=known.get("error") or f"{known.get('filesystem_bytes')} of {known.get('device_bytes')} bytes",
            fix="run again",
        ),
        Check(
            "filesystem-is-this-one",
            passed=bool(former) and known.get("filesystem_uuid") == former,
            expected=former or "known",
            observed=known.get("filesystem_uuid") or "none",
            fix="look at the volume on its host",
        ),
    )


def _observe_data(run: Run) -> dict[str, Any]:
    """Compare what the container sees with what it saw before the growth, once after each growth."""
    planned = run.journal.step_status(GROW_ID) is StepStatus.PLANNED
    sentinel = run.journal.last("sentinel")
    facts: dict[str, Any] = {
        "due": planned or has_begun_to_grow(run),
        "comparison": None,
        "sentinel_sha256": "",
        "expected_sentinel_sha256": sentinel.fields["sha256"] if sentinel else "",
    }
    former = run.journal.last("manifest", phase="before-growth")
    if planned or not facts["due"] or former is None:
        return facts
    grown = run.journal.last("step", step_id=GROW_ID, status="running")
    known = run.journal.last("comparison", phase="after-growth")
    if known is None or grown is None or known.seq < grown.seq or not known.fields["identical"]:
        seen = observe_task(run)
        if not seen["task"]:
            return facts
        take_of_running(run, seen, AFTER_GROWTH, "after-growth")
        _compare(run, int(former.fields["since_ns"]))
        known = run.journal.last("comparison", phase="after-growth")
    return facts | {
        "comparison": known.fields if known else None,
        "sentinel_sha256": sentinel_sha256(run, AFTER_GROWTH),
    }


def _compare(run: Run, since_ns: int) -> None:
    before, after = (manifest.parse(run.evidence(name)) for name in (BEFORE_GROWTH, AFTER_GROWTH))
    result = tell_apart(manifest.compare(before, after), after, since_ns)
    run.journal.append(
        "comparison",
        phase="after-growth",
        **result.as_facts(),
        written_since_start_count=len(result.written),
        removed_since_start_count=len(result.removed),
        may_remove=run.parameters.policy.max_removed_by_service,
        entries=len(before),
    )


def _check_data(facts: Facts) -> Sequence[Check]:
    wanted, seen = facts["expected_sentinel_sha256"], facts["sentinel_sha256"]
    return (
        Check(
            "sentinel-present",
            passed=bool(seen) and seen == wanted,
            expected=f"the sentinel with digest {wanted[:12] or '(none)'}",
            observed=seen[:12] or "no sentinel",
            why="without it the container sees another filesystem",
            fix="look at the task and its host; the snapshot of this run holds the volume as it was",
            needs=GROW_ID,
        ),
        *(
            replace(check, fix=check.fix.replace("roll back, then compare", "compare"))
            for check in check_comparison(facts["comparison"], GROW_ID)
        ),
    )


MODIFY_VOLUME = Step(
    MODIFY_ID,
    NOTEBOOK,
    "Modify the volume while the service runs",
    observe_size,
    say_size,
    _modify,
    is_done=lambda facts: not facts["changes"],
    check=check_size,
    verify=_verify_modified,
    timeout_s=60,
    waits_for="EC2 shows the new values",
)

GROW_FILESYSTEM = Step(
    GROW_ID,
    NOTEBOOK,
    "Grow the filesystem while it is in use",
    _observe_growth,
    lambda facts: f"Let the filesystem fill {facts['wanted']['size_gib']} GiB, mounted as it is; {NO_WAY_BACK}.",
    _grow,
    is_done=_has_grown,
    check=_check_growth,
    verify=_verify_growth,
    timeout_s=30,
    waits_for="the host shows the new size",
)

VERIFY_GROWTH = Step(
    "verify-data-after-growth",
    NOTEBOOK,
    "Verify that the files are as before the growth",
    _observe_data,
    lambda _facts: "Compare sentinel and manifest inside the container with those from before the growth.",
    only_wait,  # for a task that is just coming up
    is_done=lambda facts: not facts["due"],
    verify=lambda _before, after: _check_data(after),
    hopeless=lambda facts: "the task runs, and its files are not as they were" if facts["comparison"] else "",
    timeout_s=120,
    waits_for="the service's task runs",
)

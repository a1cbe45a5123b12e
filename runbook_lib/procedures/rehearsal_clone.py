"""Rehearsal, the data: a hot manifest, a copy of the running volume, another hot manifest.

What two manifests around the copy agree on did not change meanwhile, so the copy must hold exactly that. Both are taken
on the source while the service runs and writes nothing there. The second one does what the cutover's manifest will do,
so its duration is what the forecast counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_volume
from runbook_lib.procedures.rehearsal_facts import (
    CLONE_VOLUME,
    NOTEBOOK,
    check_opened,
    clone_name,
    describe,
    events,
    is_over,
    note,
    observe_clones,
    observe_state,
    rehearsal_tags,
    suffix,
)
from runbook_lib.procedures.snapshot_volume import observe_hot_snapshot
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

BEFORE_COPY = "manifest-before-copy"
AFTER_COPY = "manifest-after-copy"
NO_COPIES = frozenset({"InvalidAction", "UnsupportedOperation", "Unsupported", "OperationNotPermitted"})
"""What EC2 answers to CopyVolumes where the region, or the account, has none."""


def take_rehearsal_manifest(run: Run, host: Host, phase: str, **where: Any) -> None:
    """Build a manifest on a host and keep it as evidence of the rehearsal, apart from the cutover's own.

    Args:
        run: The open run.
        host: Where the files are.
        phase: Phase of the rehearsal, which is also the evidence's name.
        **where: As host script `build_manifest`.

    Changes:
        Files under /var/lib/runbook on the host and in the run folder; a `rehearsal` event.
    """
    started = run.clock.monotonic()
    built = host.run("build_manifest", timeout_s=6 * 3600, run_id=run.run_id, name=phase, **where)
    run.keep_evidence(phase, host.run("read_manifest", run_id=run.run_id, name=phase))
    keys = ("files", "bytes", "sha256", "hashed_bytes", "duration_s", "hashed_with")
    whole_s = round(run.clock.monotonic() - started, 3)
    note(run, phase, **{key: built[key] for key in keys}, with_transport_s=whole_s)


def _observe_manifest(phase: str) -> Callable[[Run], dict[str, Any]]:
    def observe(run: Run) -> dict[str, Any]:
        seen = events(run)
        return observe_state(run) | {
            "mount_path": run.parameters.volume.mount_path,
            "on_source": observe_volume(run)["on_source"],
            "cloned": "cloned" in seen,
            "manifest": seen.get(phase),
        }

    return observe


def _take(phase: str, previous: str | None) -> Callable[[Run, Facts], None]:
    def act(run: Run, before: Facts) -> None:
        more = {"previous": previous} if previous else {}
        take_rehearsal_manifest(run, run.source_host, phase, root=before["mount_path"], **more)

    return act


def _check_source(facts: Facts) -> Check:
    return Check(
        "volume-on-source",
        passed=bool(facts["on_source"]),
        expected="the volume attached to the source",
        observed="attached" if facts["on_source"] else "elsewhere",
        fix="after a cutover there is nothing to rehearse",
    )


def _check_cloned(facts: Facts) -> Check:
    return Check(
        "clone-made",
        passed=bool(facts["cloned"]),
        expected="the copy begun before this manifest",
        observed="begun" if facts["cloned"] else "not begun",
        why="two manifests prove something about a copy only when it was begun between them",
        fix=f"run {NOTEBOOK} from the top",
        needs=CLONE_VOLUME,
    )


def _verify_manifest(_before: Facts, after: Facts) -> Sequence[Check]:
    taken = after["manifest"] is not None
    observed = "recorded" if taken else "missing"
    return (Check("manifest-recorded", passed=taken, expected="a manifest", observed=observed, fix="run again"),)


def _manifest_step(step_id: str, title: str, phase: str, previous: str | None) -> Step:
    def check(facts: Facts) -> Sequence[Check]:
        return (check_opened(facts), _check_source(facts), *([_check_cloned(facts)] if previous else []))

    return Step(
        step_id,
        NOTEBOOK,
        title,
        _observe_manifest(phase),
        lambda facts: f"Take a manifest of {facts['mount_path']} while the service runs.",
        _take(phase, previous),
        is_done=lambda facts: is_over(facts) or (facts["opened"] and facts["manifest"] is not None),
        check=check,
        verify=_verify_manifest,
    )


def _observe_clone(run: Run) -> dict[str, Any]:
    seen = events(run)
    return observe_state(run) | {
        "clones": observe_clones(run),
        "cloned": "cloned" in seen,
        "volume": observe_volume(run),
        "name": clone_name(run),
        "snapshot": observe_hot_snapshot(run)["snapshot"],
        "copies": run.parameters.policy.rollback_point == "copy_or_snapshot",
        "manifest": BEFORE_COPY in seen,
    }


def _is_ready(facts: Facts) -> bool:
    states = [c["state"] for c in facts["clones"]]
    return bool(facts["cloned"]) and len(states) == 1 and states[0] in {"available", "in-use"}


def _check_clone(facts: Facts) -> Sequence[Check]:
    return (
        check_opened(facts),
        Check(
            "manifest-before-copy",
            passed=bool(facts["manifest"]),
            expected="a hot manifest taken before the copy",
            observed="taken" if facts["manifest"] else "none",
            fix=f"run {NOTEBOOK} from the top",
            needs="take-manifest-before-copy",
        ),
        Check(
            "no-clone-yet",
            passed=not facts["clones"],
            expected="no clone of this run",
            observed=describe(facts["clones"]),
            why="the volume plugin takes the first of several volumes with one Name, without a word",
            fix=f"run {NOTEBOOK} from the top; it removes what an interrupted rehearsal left",
        ),
    )


def _clone(run: Run, before: Facts) -> None:
    """Copy the volume where the region can, else restore the hot snapshot; under another Name, tagged for the role."""
    tags = rehearsal_tags(run) | {"Name": before["name"]}
    token = f"{suffix(run)}-clone-{sum(1 for _ in run.journal.find('rehearsal', phase='opened'))}"
    volume_id = before["volume"]["volume_id"]
    if before["copies"]:
        try:
            clone_id = run.ebs.copy_volume(volume_id, tags, token)
        except AwsError as error:
            if error.code not in NO_COPIES:
                raise
        else:
            note(run, "cloned", volume_id=clone_id, made_by="copy", snapshot_id="", snapshot_started_utc="")
            return
    snapshot = before["snapshot"]
    if snapshot is None or snapshot["state"] != "completed":
        raise AwsError("CreateVolume", "NoSnapshot", "no completed hot snapshot of this run; run 20_snapshot_volume")
    clone_id = run.rehearsal_api.restore_volume(snapshot["snapshot_id"], before["volume"], tags, token)
    note(
        run,
        "cloned",
        volume_id=clone_id,
        made_by="snapshot",
        snapshot_id=snapshot["snapshot_id"],
        snapshot_started_utc=snapshot["started_utc"],
    )


def _verify_clone(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "clone-available",
            passed=_is_ready(after),
            expected="one clone, available",
            observed=describe(after["clones"]),
            fix="read the volume's status in EC2, then run again",
        ),
    )


def _clone_failed(facts: Facts) -> str:
    broken = [c["volume_id"] for c in facts["clones"] if c["state"] == "error"]
    return f"{', '.join(broken)} ended in error" if broken else ""


TAKE_MANIFEST_BEFORE = _manifest_step(
    "take-manifest-before-copy", "Take a manifest on the source before the copy", BEFORE_COPY, None
)

CLONE = Step(
    CLONE_VOLUME,
    NOTEBOOK,
    "Copy the volume under another Name",
    _observe_clone,
    lambda facts: (
        f"{'Copy' if facts['copies'] else 'Restore the hot snapshot of'} {facts['volume']['volume_id']} "
        f"to a new volume with Name {facts['name']!r}."
    ),
    _clone,
    is_done=lambda facts: is_over(facts) or _is_ready(facts),
    check=_check_clone,
    verify=_verify_clone,
    hopeless=_clone_failed,
    timeout_s=600,
    poll_s=0.5,
    waits_for="EBS makes the clone",
)

TAKE_MANIFEST_AFTER = _manifest_step(
    "take-manifest-after-copy", "Take a manifest on the source after the copy", AFTER_COPY, BEFORE_COPY
)

"""The full proof, which costs no outage: the content of every file on the rollback copy, against the same manifest.

The copy was taken after the unmount, so everything on it must be what the manifest of the stopped source says, without
any exception, and one SHA-256 over all of it says whether it is. What is compared is the copy, not the volume in use:
the copy is what a restore would bring back, and EBS made it from the very blocks that went to the target.

The copy is attached to the task's host with the operator's credentials, never with the instance's, under a Name that
no plugin looks for, mounted read-only, described, unmounted and detached. Of a snapshot a volume is made for this, and
deleted again; nothing else is ever deleted here. Killed at any point: the step finds its volume by its tags and the
attachment by looking, goes on, and leaves nothing attached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.errors import AwsError, OutsideError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.manifest_before import before_event, manifest_before
from runbook_lib.procedures.observations import POINT_TAG, RUN_TAG, observe_task
from runbook_lib.procedures.rollback_points import rollback_points
from runbook_lib.procedures.snapshot_volume import observe_hot_snapshot
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "40_verify_persistence"
PROOF = "proof"
COPY = "manifest-copy"
DEVICE = "/dev/sdq"
"""Outside /dev/xvd[f-p], from which the volume plugin takes a name at random."""
IDENTICAL, NOT_PROVED = "identical", "not proved: "
_WAIT_S, _POLL_S = 600.0, 0.5


def _observe_copy(run: Run) -> dict[str, Any]:
    points = [p for p in rollback_points(run) if p["is_current"]]
    made = run.ebs.find_volumes({RUN_TAG: run.run_id, POINT_TAG: PROOF})
    point = points[-1] if points else None
    attached = bool(point and point["kind"] == "volume" and run.ebs.describe_volume(point["id"])["attachments"])
    event = run.journal.last("copy-proof", point_id=point["id"]) if point else None
    recorded = run.journal.last("manifest", phase="before")
    current = event if event and recorded and event.seq > recorded.seq else None
    return {
        "point": point,
        "made": [volume["volume_id"] for volume in made if volume["state"] not in {"deleting", "deleted"}],
        "attached": attached,
        "instance_id": observe_task(run)["instance_id"],
        "proof": current.fields if current else None,
        "proof_seq": current.seq if current else 0,
        "expected_sha256": recorded.fields["sha256"] if recorded else "",
    }


def copy_verdict(run: Run) -> str:
    """Return what this run knows of the content of its rollback copy.

    Args:
        run: The open run.

    Returns:
        `identical`, `different`, `not proved: ` with the reason, or "" when the newest manifest's copy was never read.
    """
    recorded, proof = run.journal.last("manifest", phase="before"), run.journal.last("copy-proof")
    if recorded is None or proof is None or proof.seq < recorded.seq:
        return ""
    if proof.fields["reason"]:
        return f"{NOT_PROVED}{proof.fields['reason']}"
    return IDENTICAL if proof.fields["sha256"] == recorded.fields["sha256"] else "different"


def _is_left(facts: Facts) -> bool:
    """Return whether something of an attempt is still there."""
    return bool(facts["made"]) or bool(facts["attached"])


def _is_proved(facts: Facts) -> bool:
    proof = facts["proof"]
    return bool(proof) and proof["sha256"] == facts["expected_sha256"] and not _is_left(facts)


def _plan_copy(facts: Facts) -> str:
    what = facts["point"]["id"] if facts["point"] else "the rollback copy"
    where = facts["instance_id"] or "the task's host"
    return f"Attach {what} to {where}, read everything on it read-only, compare it with the manifest, detach it."


def _check_copy(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "task-running",
            passed=bool(facts["instance_id"]),
            expected="one task RUNNING, on whose host the copy is read",
            observed=facts["instance_id"] or "none",
            fix="run 30_cut_over_volume with this run_id first",
            needs="start-target-service",
        ),
        Check(
            "rollback-point-exists",
            passed=facts["point"] is not None,
            expected="a copy or snapshot of this run, taken after unmount",
            observed=facts["point"]["id"] if facts["point"] else "none",
            fix="run 30_cut_over_volume with this run_id first",
            needs="create-rollback-point",
        ),
    )


def _prove(run: Run, before: Facts) -> None:
    """Read the copy, or note why it could not be read; leave nothing attached and no volume of ours behind."""
    point = before["point"]
    recorded = before_event(run)
    try:
        volume_id = _volume_of(run, point)
        try:
            seen = _read(run, before["instance_id"], volume_id)
        finally:
            _clean_up(run, volume_id)
    except OutsideError as error:
        run.journal.append("copy-proof", point_id=point["id"], sha256="", reason=str(error))
        return
    identical = seen["sha256"] == recorded.fields["sha256"]
    difference = {} if identical else _difference(run, before["instance_id"])
    keys = ("sha256", "files", "bytes", "entries", "duration_s", "filesystem_uuid", "hashed_with")
    facts = {key: seen[key] for key in keys}
    run.journal.append("copy-proof", point_id=point["id"], reason="", difference=difference, **facts)
    run.journal.append("changed-blocks", **_changed_blocks(run, point))


def _volume_of(run: Run, point: Facts) -> str:
    """Return the volume to read: the copy itself, or one made of the snapshot, when it is available."""
    if point["kind"] == "volume":
        return _wait(run, str(point["id"]), lambda volume: volume["state"] in {"available", "in-use"})
    tags = {RUN_TAG: run.run_id, POINT_TAG: PROOF}
    made = [v["volume_id"] for v in run.ebs.find_volumes(tags) if v["state"] not in {"deleting", "deleted"}]
    if not made:
        zone = run.ebs.describe_volume(run.parameters.volume.volume_id)["availability_zone"]
        name = {"Name": f"{run.run_id}-{PROOF}"}
        number = sum(1 for _ in run.journal.find("copy-proof"))
        made = [run.ebs.create_volume(point["id"], zone, tags | name, f"{run.run_id}-{PROOF}-{number}")]
    return _wait(run, str(made[0]), lambda volume: volume["state"] in {"available", "in-use"})


def _read(run: Run, instance_id: str, volume_id: str) -> dict[str, Any]:
    """Attach the volume where it is not attached yet, and describe what is on it."""
    volume, recorded = run.ebs.describe_volume(volume_id), run.journal.last("volume")
    if not volume["attachments"]:
        run.ebs.attach_volume(volume_id, instance_id, DEVICE)
    _wait(run, volume_id, lambda v: [a["state"] for a in v["attachments"]] == ["attached"])
    return run.host(run.ebs.describe_volume(volume_id)["attachments"][0]["instance_id"]).run(
        "describe_copy",
        timeout_s=24 * 3600,
        run_id=run.run_id,
        name=COPY,
        volume_id=volume_id,
        device_name=DEVICE,
        filesystem_uuid=recorded.fields["filesystem_uuid"] if recorded else "",
        wait_s=60,
    )


def _clean_up(run: Run, volume_id: str) -> None:
    """Detach the volume; delete it when it was made for the proof."""
    volume = run.ebs.describe_volume(volume_id)
    if volume["attachments"]:
        if volume["attachments"][0]["state"] == "attached":
            run.ebs.detach_volume(volume_id, volume["attachments"][0]["instance_id"])
        _wait(run, volume_id, lambda v: v["state"] == "available" and not v["attachments"])
    if volume["tags"].get(POINT_TAG) == PROOF and volume["tags"].get(RUN_TAG) == run.run_id:
        run.ebs.delete_volume(volume_id)


def _wait(run: Run, volume_id: str, is_so: Callable[[Facts], bool]) -> str:
    """Return the volume's id once it is so."""
    deadline = run.clock.monotonic() + _WAIT_S
    while not is_so(volume := run.ebs.describe_volume(volume_id)):
        if run.clock.monotonic() >= deadline:
            raise AwsError("DescribeVolumes", "Timeout", f"{volume_id} is {volume['state']} after {_WAIT_S:g} s")
        run.clock.sleep(_POLL_S)
    return volume_id


def _difference(run: Run, instance_id: str) -> dict[str, Any]:
    """Return which entries of the copy are not as the manifest says, at most 50 of a kind."""
    answer = run.host(instance_id).run("read_manifest", run_id=run.run_id, name=COPY)
    run.keep_evidence(COPY, answer)
    found = manifest.compare(manifest_before(run), manifest.parse(answer))
    changed = [[path, list(keys)] for path, keys in found.changed[:50]]
    return {"missing": list(found.missing[:50]), "added": list(found.added[:50]), "changed": changed}


def _changed_blocks(run: Run, point: Facts) -> dict[str, Any]:
    """Return how much changed between hot and final snapshot as EBS sees it, or why that is not known."""
    hot = observe_hot_snapshot(run)["snapshot"]
    if point["kind"] != "snapshot" or hot is None:
        return {"bytes": None, "reason": "not available: the rollback point is a copy, not a second snapshot"}
    pair = {"first": hot["snapshot_id"], "second": point["id"]}
    try:
        return pair | {"bytes": run.ebs.changed_bytes(pair["first"], pair["second"]), "reason": ""}
    except OutsideError as error:
        return pair | {"bytes": None, "reason": f"not available: {error}"}


def _verify_copy(before: Facts, after: Facts) -> Sequence[Check]:
    proof = after["proof"] or {"sha256": "", "reason": "not read"}
    fresh = after["proof_seq"] > before["proof_seq"]
    identical = bool(proof["sha256"]) and proof["sha256"] == after["expected_sha256"]
    unread = f"{NOT_PROVED}{proof['reason']}" if proof["reason"] else ""
    differs = {key: value for key, value in proof.get("difference", {}).items() if value}
    return (
        Check(
            "copy-identical",
            # a copy that could not be read proves nothing, and alters nothing either: it is said, not refused
            passed=fresh and (identical or bool(unread)),
            expected="every entry and every byte as the manifest of the stopped source says, or why it was not read",
            observed=IDENTICAL if identical else unread or str(differs),
            why="it is what a restore would bring back, made of the blocks that went to the target",
            fix="compare evidence/manifest-before.json with evidence/manifest-copy.json; keep the source and the copy",
        ),
        Check(
            "copy-detached",
            passed=not _is_left(after),
            expected="the copy attached nowhere, no volume made for the proof",
            observed=", ".join(after["made"]) or ("attached" if after["attached"] else "nothing left"),
            why="it would stay on the host, and cost",
            fix="run again",
        ),
    )


VERIFY_ROLLBACK_COPY = Step(
    "verify-rollback-copy",
    NOTEBOOK,
    "Verify every byte of the rollback copy against the manifest",
    _observe_copy,
    _plan_copy,
    _prove,
    is_done=_is_proved,
    check=_check_copy,
    verify=_verify_copy,
    timeout_s=60,
    waits_for="EC2 detaches the copy",
)

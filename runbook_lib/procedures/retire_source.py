"""50_retire_source: the point of no return. Refuses until the rollback point is complete and the bake time is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import CUT_OVER_TAG, observe_task, observe_volume
from runbook_lib.procedures.prove_copy import IDENTICAL, NOT_PROVED, copy_verdict
from runbook_lib.procedures.rollback_points import rollback_points
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "50_retire_source"
_COMPLETE = {"snapshot": "completed", "volume": "available"}


def _observe_retirement(run: Run) -> dict[str, Any]:
    volume, task = observe_volume(run), observe_task(run)
    source = run.ec2.describe_instance(run.parameters.source.instance_id)
    stopped = source["state"] == "stopped"
    points = [] if stopped else [p for p in rollback_points(run) if p["is_current"]]
    cut_over = volume["tags"].get(CUT_OVER_TAG, "")
    age_s = (run.clock.now_utc() - run.clock.parse(cut_over)).total_seconds() if cut_over else 0.0
    verified = run.journal.last("comparison", phase="after-replace")
    return {
        "stopped": stopped,
        "holder": volume["holder"],
        "instance_id": task["instance_id"],
        "points": points,
        "cut_over_utc": cut_over,
        "age_s": round(age_s, 1),
        "bake_time_s": run.parameters.policy.bake_time_s,
        "identical": bool(verified and verified.fields["identical"]),
        "copy": copy_verdict(run),
    }


def _check_service(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "service-on-target",
            passed=bool(facts["instance_id"]) and facts["holder"] == facts["instance_id"],
            expected="the task RUNNING on the instance that holds the volume",
            observed=f"task on {facts['instance_id'] or 'none'}, volume held by {facts['holder'] or 'nobody'}",
            why="the source is the only other place where the service can run",
            fix="run 30_cut_over_volume first",
            needs="start-target-service",
        ),
        Check(
            "persistence-verified",
            passed=facts["identical"],
            expected="40_verify_persistence succeeded in this run",
            observed="identical after the replacement" if facts["identical"] else "not verified",
            why="after this the same volume has no second home",
            fix="run 40_verify_persistence with this run_id",
            needs="verify-data-after-replacement",
        ),
    )


def _check_retirement(facts: Facts) -> Sequence[Check]:
    complete = [p["id"] for p in facts["points"] if p["state"] == _COMPLETE[p["kind"]]]
    begun = bool(facts["cut_over_utc"])
    return (
        *_check_service(facts),
        Check(
            "rollback-point-complete",
            passed=bool(complete),
            expected="a rollback point of this run, complete",
            observed=", ".join(f"{p['id']} {p['state']}" for p in facts["points"]) or "none",
            why="it is the only way back once the source is gone",
            fix="wait until EBS has completed it, then run again",
            needs="create-rollback-point",
        ),
        Check(
            "copy-identical",
            passed=facts["copy"] == IDENTICAL or facts["copy"].startswith(NOT_PROVED),
            expected="the rollback copy read whole and identical, or the reason why it could not be read",
            observed=facts["copy"] or "not read",
            why="it is what a restore would bring back once the source is gone",
            fix="run 40_verify_persistence with this run_id",
            needs="verify-rollback-copy",
        ),
        Check(
            "bake-time-over",
            passed=begun and facts["age_s"] >= facts["bake_time_s"],
            expected=f"{facts['bake_time_s']} s since the cutover (policy.bake_time_s)",
            observed=f"{facts['age_s']} s" if begun else "no cutover",
            why="defects show under real load, and until then the way back is cheap",
            fix="wait, then run again",
            needs="name-volume",
        ),
    )


def _observe_source(run: Run) -> dict[str, Any]:
    source = run.parameters.source
    instance = run.ec2.describe_instance(source.instance_id)
    facts: dict[str, Any] = {"instance_id": source.instance_id, "state": instance["state"], "fstab": []}
    if instance["state"] == "running":
        mount_path = run.parameters.volume.mount_path
        facts["fstab"] = run.source_host.run("retire_mount", mount_path=mount_path, change=False)["lines"]
    return facts


def _no_return(_facts: Facts) -> str:
    return "after this notebook only a restore from the rollback point goes back, and it loses what was written since"


def _is_mount_retired(facts: Facts) -> bool:
    return not facts["fstab"]


def _retire_mount(run: Run, _before: Facts) -> None:
    """Comment out the source's fstab lines for the mount path; the former file is kept beside it."""
    run.source_host.run("retire_mount", mount_path=run.parameters.volume.mount_path, change=True)


def _verify_mount_retired(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "mount-retired",
            passed=_is_mount_retired(after),
            expected="no fstab line that mounts the volume on the source",
            observed="; ".join(after["fstab"]) or "none",
            fix="edit /etc/fstab on the source",
        ),
    )


def _is_stopped(facts: Facts) -> bool:
    return bool(facts["state"] == "stopped")


def _stop(run: Run, before: Facts) -> None:
    """Stop the source instance; it is kept, not terminated."""
    run.ec2.stop_instance(before["instance_id"])


def _verify_stopped(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "source-stopped",
            passed=_is_stopped(after),
            expected=f"{after['instance_id']} stopped",
            observed=after["state"],
            fix="stop it in EC2",
        ),
    )


STEPS = (
    Step(
        "check-retirement",
        NOTEBOOK,
        "Check that the source is no longer needed",
        _observe_retirement,
        lambda _facts: "Reads only; every check passed.",
        is_done=lambda facts: bool(facts["stopped"]),
        check=_check_retirement,
    ),
    Step(
        "retire-mount",
        NOTEBOOK,
        "Take the mount out of the source's fstab",
        _observe_source,
        lambda facts: f"Comment out in /etc/fstab: {'; '.join(facts['fstab'])}.",
        _retire_mount,
        is_done=_is_mount_retired,
        verify=_verify_mount_retired,
        no_return=_no_return,
    ),
    Step(
        "stop-source-instance",
        NOTEBOOK,
        "Stop the source instance, and keep it",
        _observe_source,
        lambda facts: f"Stop {facts['instance_id']}; it is not terminated. This is the point of no return.",
        _stop,
        is_done=_is_stopped,
        verify=_verify_stopped,
        no_return=_no_return,
        timeout_s=600,
        poll_s=1.0,
        waits_for="the instance shuts down",
    ),
)

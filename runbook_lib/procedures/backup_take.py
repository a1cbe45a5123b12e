"""Backup: a consistent snapshot of the volume in use, and proof of how consistent it is.

A snapshot is of the moment in which EBS accepts it. `freeze`: writes wait on the host from before that moment until
after it, and a watchdog there thaws whatever happens to this run; only a thaw that found the filesystem still frozen
proves the snapshot. `stop`: the task is stopped meanwhile. Until then the snapshot says that it is `crash`-consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError, OutsideError, StepError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_facts import (
    AFTER,
    BACKUP_TAG,
    BEFORE,
    CONSISTENCY_TAG,
    CREATE,
    NOTEBOOK,
    note,
    observe_backup,
    observe_production,
    say_error,
)
from runbook_lib.procedures.driver_look import look, sentinel_volume
from runbook_lib.procedures.observations import RUN_TAG, container_of, observe_task, target_urls
from runbook_lib.procedures.outage import note_outage_start, observe_outage, open_outage_utc
from runbook_lib.procedures.task_count import check_unscaled
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

_USABLE, _STOPS_S, _POLL_S = {"pending", "completed"}, 300.0, 0.3
_FIX = "run 64_check_drift: it says what is not as it should be"


def take_manifest(run: Run, host: Host, phase: str, **where: Any) -> dict[str, Any]:
    """Build a manifest on a host and keep it as evidence of the backup.

    Args:
        run: The open run.
        host: Where the files are.
        phase: Phase of the backup, which is also the evidence's name.
        **where: As host script `build_manifest`.

    Returns:
        As host script `build_manifest`.

    Changes:
        Files under /var/lib/runbook on the host and in the run folder; a `backup` event.
    """
    built = host.run("build_manifest", timeout_s=6 * 3600, run_id=run.run_id, name=phase, **where)
    run.keep_evidence(phase, host.run("read_manifest", run_id=run.run_id, name=phase))
    note(run, phase, **{key: built[key] for key in ("files", "bytes", "sha256", "duration_s")})
    return built


def _look(run: Run) -> dict[str, Any]:
    return {**look(run), "mode": run.parameters.policy.backup.consistency}


def _check_service(facts: Facts) -> Sequence[Check]:
    volume, seen, host = facts["volume"], facts["seen"], facts["instance_id"]
    stops, holder_fits = facts["mode"] == "stop", bool(host) and volume["holder"] == host
    return (
        *(check_unscaled(facts) if stops else ()),
        Check("task-running", facts["task"] is not None or stops, "one task RUNNING",
              "RUNNING" if facts["task"] else "none", "a backup is of a service in use", _FIX),
        Check("volume-attached-where-the-task-runs", holder_fits or (stops and facts["task"] is None),
              f"{volume['volume_id']} on the task's host {host}", volume["holder"] or "attached nowhere",
              "what is backed up must be what the service writes to", _FIX),
        Check("container-sees-the-volume",
              facts["task"] is None or (seen.get("volume_id") == volume["volume_id"] and not seen["below_mount"]),
              f"the root of {volume['volume_id']}", str(seen.get("error") or seen.get("volume_id") or "no volume"),
              "what the service writes elsewhere is in no backup", _FIX),
        Check("sentinel-present", facts["task"] is None or sentinel_volume(seen) == volume["volume_id"],
              f"a sentinel that names {volume['volume_id']}", sentinel_volume(seen) or "none",
              "by it a restored volume is told from another", _FIX),
    )  # fmt: skip


def _observe(run: Run) -> dict[str, Any]:
    seen = observe_task(run)
    outage = observe_outage(run, lambda: target_urls(run), up=seen["task"] is not None) if _is_out(run) else {}
    return {
        "mode": run.parameters.policy.backup.consistency,
        "limit_s": run.parameters.policy.backup.freeze_limit_s,
        "volume_id": run.parameters.volume.volume_id,
        "backup": observe_backup(run),
        "desired_count": seen["service"].get("desired_count"),
        "task": seen["task"],
        "instance_id": seen["instance_id"],
        "in_outage": _is_out(run),
        **outage,
    }


def _is_out(run: Run) -> bool:
    return open_outage_utc(run) != ""


def _is_taken(facts: Facts) -> bool:
    return all(check.passed for check in _verify_taken(facts, facts))


def _plan(facts: Facts) -> str:
    how = {
        "freeze": f"Let writes wait for at most {facts['limit_s']} s, take a snapshot of",
        "stop": "Stop the task, take a snapshot, start it again:",
        "crash": "Take a snapshot, without any pause, of",
    }
    return f"{how[facts['mode']]} {facts['volume_id']}; between two manifests of what the container sees."


def _check_running(facts: Facts) -> Sequence[Check]:
    down = facts["mode"] == "stop" and facts["desired_count"] == 0
    return (
        Check(
            "task-running",
            passed=facts["task"] is not None or down,
            expected="one task RUNNING",
            observed="RUNNING" if facts["task"] else "none",
            why="the filesystem is frozen, and its content described, through the running container",
            fix=_FIX,
        ),
    )


def _create(run: Run, before: Facts) -> None:
    """Take the snapshot between two manifests, and say only what was proved of it."""
    running = _describe(run, BEFORE)
    how = {"freeze": _frozen, "stop": _stopped, "crash": _as_it_is}[before["mode"]]
    snapshot_id, consistency, facts = how(run, {**before, **running})
    if consistency != "crash":
        run.ec2.set_tags(snapshot_id, {CONSISTENCY_TAG: consistency})
    _describe(run, AFTER)
    note(run, "taken", snapshot_id=snapshot_id, consistency=consistency, **facts)
    run.keep_evidence("production-before-drill", observe_production(run))


def _describe(run: Run, phase: str) -> dict[str, Any]:
    """Take a manifest of what the container sees, once it runs; return keys `task`, `instance_id` of `observe_task`."""
    deadline = run.clock.monotonic() + _STOPS_S
    while (seen := observe_task(run))["task"] is None:
        if phase == BEFORE and seen["service"].get("desired_count") == 0:
            run.ecs.set_desired_count(1)  # an attempt was killed while the task was stopped
        if run.clock.monotonic() >= deadline:
            raise AwsError("DescribeTasks", "Timeout", f"no task runs after {_STOPS_S:g} s; read the service's events")
        run.clock.sleep(_POLL_S)
    path = run.evidence("task-mapping")["container_path"]
    where = {"container": container_of(run, seen["task"]), "container_path": path}
    take_manifest(run, run.host(seen["instance_id"]), phase, **where)
    return {"task": seen["task"], "instance_id": seen["instance_id"]}


def _snapshot(run: Run) -> str:
    volume_id = run.parameters.volume.volume_id
    tags = {RUN_TAG: run.run_id, BACKUP_TAG: volume_id, CONSISTENCY_TAG: "crash", "Name": f"{run.run_id}-backup"}
    return run.ebs.create_snapshot(volume_id, f"{run.run_id}: backup of {volume_id}", tags)


def _as_it_is(run: Run, _before: Facts) -> tuple[str, str, dict[str, Any]]:
    return _snapshot(run), "crash", {}


def _frozen(run: Run, before: Facts) -> tuple[str, str, dict[str, Any]]:
    """Freeze, take the snapshot, thaw; the watchdog on the host thaws where this process does not come to it."""
    host, volume_id = run.host(before["instance_id"]), before["volume_id"]
    task = container_of(run, before["task"])
    freeze_id = f"{run.run_id}-{run.clock.now_utc().isoformat()}"
    started = run.clock.monotonic()
    frozen = host.run(
        "freeze_volume",
        timeout_s=400,
        volume_id=volume_id,
        task_arn=task["task_arn"],
        container_name=task["container_name"],
        container_path=run.evidence("task-mapping")["container_path"],
        limit_s=before["limit_s"],
        freeze_id=freeze_id,
    )
    try:
        snapshot_id = _snapshot(run)
    finally:
        thawed = host.run("thaw_volume", volume_id=volume_id, path=frozen["path"], freeze_id=freeze_id)
    held_s = round(run.clock.monotonic() - started, 3)
    return snapshot_id, "freeze" if thawed["was_frozen"] else "crash", {"writes_waited_at_most_s": held_s}


def _stopped(run: Run, before: Facts) -> tuple[str, str, dict[str, Any]]:
    """Stop the task, flush, take the snapshot, start the task again.

    A unit of `host_mount` keeps the volume mounted, so what the task wrote last may still be in the host's memory.
    """
    note_outage_start(run, lambda: target_urls(run))
    run.ecs.set_desired_count(0)
    deadline = run.clock.monotonic() + _STOPS_S
    while run.ecs.tasks():
        if run.clock.monotonic() >= deadline:
            raise AwsError("DescribeTasks", "Timeout", f"the task of {before['volume_id']} does not stop")
        run.clock.sleep(_POLL_S)
    flushed = run.host(before["instance_id"]).run("flush_filesystems", timeout_s=400)
    snapshot_id = _snapshot(run)
    run.ecs.set_desired_count(1)
    return snapshot_id, "stop", {"flush_s": flushed["flush_s"]}


def _verify_taken(_before: Facts, after: Facts) -> Sequence[Check]:
    backup = after["backup"]
    return (
        Check("backup-taken", backup["state"] in _USABLE, "a backup of this run, pending or completed",
              f"{backup['snapshot_id'] or 'none'} {backup['state']}", fix="read its StateMessage, then run again"),
        Check("backup-consistency", backup["consistency"] == after["mode"], after["mode"],
              backup["consistency"] or "none", "a snapshot that was taken while somebody wrote is of a power cut",
              "the watchdog thawed before the snapshot was accepted: raise policy.backup.freeze_limit_s, or choose "
              "stop or crash"),
        Check("service-runs", after["desired_count"] == 1 and after["task"] is not None and not after["in_outage"],
              "one task RUNNING that answers", "RUNNING" if after["task"] else "none",
              fix="set the service's desired count to 1; read its events"),
    )  # fmt: skip


def _hopeless(facts: Facts) -> str:
    backup = facts["backup"]
    if backup["snapshot_id"] and backup["consistency"] != facts["mode"]:
        return f"{backup['snapshot_id']} is {backup['consistency']}-consistent and stays so"
    return say_error(backup)


def _start_again(run: Run, error: StepError) -> StepError:
    """Answer a failure: the service runs again, whatever became of the backup."""
    try:
        service = run.ecs.describe_service()
        if service["exists"] and service["desired_count"] == 0:
            run.ecs.set_desired_count(1)
    except OutsideError as problem:
        return type(error)(error.step_id, f"{error.message}. The service could not be started again: {problem}")
    return error


def _verify_completed(_before: Facts, after: Facts) -> Sequence[Check]:
    backup = after["backup"]
    return (
        Check(
            "backup-completed",
            passed=backup["state"] == "completed",
            expected="completed",
            observed=f"{backup['state']} {backup['progress']}".strip(),
            fix="run again to go on waiting; snapshots of large volumes take hours",
        ),
    )


CHECK_BACKUP = Step(
    "check-backup",
    NOTEBOOK,
    "Check that the volume of the running service may be backed up",
    _look,
    lambda _facts: "Reads only; every check passed.",
    check=_check_service,
)

CREATE_BACKUP = Step(
    CREATE,
    NOTEBOOK,
    "Take a consistent snapshot between two manifests",
    _observe,
    _plan,
    _create,
    is_done=_is_taken,
    check=_check_running,
    verify=_verify_taken,
    hopeless=_hopeless,
    timeout_s=300,
    poll_s=0.3,
    waits_for="the service answers",
    on_failure=_start_again,
)

COMPLETE_BACKUP = Step(
    "complete-backup",
    NOTEBOOK,
    "Wait until the backup is completed",
    lambda run: {"backup": observe_backup(run)},
    lambda facts: f"Wait until {facts['backup']['snapshot_id'] or 'the backup'} is completed; the service runs on.",
    only_wait,
    is_done=lambda facts: facts["backup"]["state"] == "completed",
    verify=_verify_completed,
    hopeless=lambda facts: say_error(facts["backup"]) or ("" if facts["backup"]["snapshot_id"] else "no backup"),
    timeout_s=24 * 3600,
    poll_s=1.0,
    waits_for="EBS copies the changed blocks",
)

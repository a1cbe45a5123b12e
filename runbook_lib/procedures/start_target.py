"""Cutover, target side: start the service and prove that its task sees this very volume before it is called up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.gate_proof import is_proved, observe_proof
from runbook_lib.procedures.hand_over import check_unique_name, is_named, observe_name
from runbook_lib.procedures.observations import observe_task, observe_task_volume, target_urls
from runbook_lib.procedures.outage import observe_outage
from runbook_lib.procedures.together import together
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"
_FAILED_STARTS = 3


def observe_target(run: Run) -> dict[str, Any]:
    """Return what runs on the target, what its container sees, and whether users get an answer.

    Args:
        run: The open run.

    Returns:
        Keys `service, task, instance_id, stopped_reasons, naming, seen` (host script `inspect_target`, or None),
        `expected` {volume_id, filesystem_uuid, sentinel_sha256, root}, `proved` (before the start), `answers`,
        `outage_s`.

    Changes:
        Notes the end of the outage in the journal, once.
    """
    found = together(target=lambda: observe_task(run), naming=lambda: observe_name(run))
    facts = found["target"]
    seen = _see(run, facts)
    outage = observe_outage(run, lambda: target_urls(run), up=facts["task"] is not None)
    return {
        "service": facts["service"],
        "task": facts["task"],
        "instance_id": facts["instance_id"],
        "stopped_reasons": facts["stopped_reasons"],
        "naming": found["naming"],
        "seen": seen,
        "expected": expected_volume(run),
        "proved": is_proved(observe_proof(run)),
        **outage,
    }


def _see(run: Run, facts: dict[str, Any]) -> dict[str, Any] | None:
    if not facts["task"]:
        return None
    try:
        return observe_task_volume(run, facts["task"], facts["instance_id"])
    except HostCommandError as error:
        return {"error": str(error)}


def expected_volume(run: Run) -> dict[str, Any]:
    """Return which volume the task must see, as this run has noted it.

    Args:
        run: The open run.

    Returns:
        Keys `volume_id, filesystem_uuid, sentinel_sha256`; what nobody noted is "".
    """
    volume, sentinel = run.journal.last("volume"), run.journal.last("sentinel")
    return {
        "volume_id": run.parameters.volume.volume_id,
        "filesystem_uuid": volume.fields["filesystem_uuid"] if volume else "",
        "sentinel_sha256": sentinel.fields["sha256"] if sentinel else "",
    }


def check_task_sees_volume(facts: Facts) -> Sequence[Check]:
    """Return whether the running container sees this volume, and nothing that looks like it.

    Args:
        facts: As `observe_target`.

    Returns:
        Four checks.
    """
    seen, expected = facts["seen"] or {}, facts["expected"]
    why = "a container that sees another volume, or an empty directory, would begin a second set of data"
    fix = "runbook roll-back; the source's volume is untouched"
    sentinel = (seen.get("sentinel") or {}).get("sha256", "")
    pairs = (
        ("volume-is-this-one", expected["volume_id"], seen.get("volume_id") or seen.get("error") or "none"),
        ("filesystem-is-this-one", expected["filesystem_uuid"], seen.get("filesystem_uuid") or "none"),
        ("sentinel-present", expected["sentinel_sha256"], sentinel or "no sentinel"),
        ("root-of-filesystem", "the volume's root", _view(seen)),
    )
    return tuple(
        Check(check_id, passed=bool(want) and want == got, expected=want, observed=got, why=why, fix=fix)
        for check_id, want, got in pairs
    )


def find_other_volume(facts: Facts) -> Sequence[Check]:
    """Return what the running container sees that is not this volume.

    Args:
        facts: As `observe_target`.

    Returns:
        The checks that failed; none while nobody can tell, as of a container that ended while it was looked at.
    """
    if not facts["task"] or not (facts["seen"] or {}).get("container"):
        return ()
    return tuple(check for check in check_task_sees_volume(facts) if not check.passed)


def _view(seen: Facts) -> str:
    if not seen.get("mount"):
        return "no mount"
    return f"directory {seen['below_mount']!r} of the volume" if seen.get("below_mount") else "the volume's root"


def verify_target(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether the service runs on this volume and answers its users.

    Args:
        _before: Unused.
        after: As `observe_target`.

    Returns:
        The checks.
    """
    reason = "; ".join(after["stopped_reasons"][-1:]) or "; ".join(after["service"].get("events", [])[:1])
    return (
        Check(
            "task-running",
            passed=after["task"] is not None,
            expected="one task RUNNING",
            observed="RUNNING" if after["task"] else f"not running ({reason or 'no event yet'})",
            fix="read the stopped reason; runbook roll-back takes the service back to compose",
        ),
        *check_task_sees_volume(after),
        Check(
            "service-answers",
            passed=bool(after["answers"]),
            expected="the service answers from outside",
            observed="answers" if after["answers"] else "does not answer",
            fix="check security group, port and health check path",
        ),
    )


def _is_up(facts: Facts) -> bool:
    return facts["service"].get("desired_count") == 1 and all(c.passed for c in verify_target(facts, facts))


def _check_start(facts: Facts) -> Sequence[Check]:
    naming = facts["naming"]
    named = is_named(naming)
    return (
        check_unique_name(naming),
        Check(
            "volume-named",
            passed=named,
            expected=f"Name {naming['volume_name']} on {naming['volume']['volume_id']} alone",
            observed=naming["volume"]["tags"].get("Name", "no Name"),
            why="the plugin would find another volume, or make an empty one",
            fix="run 30_cut_over_volume from the top",
            needs="name-volume",
        ),
        Check(
            "source-let-go",
            passed=not naming["volume"]["on_source"],
            expected="the volume not attached to the source",
            observed=naming["volume"]["holder"] or "attached nowhere",
            why="only one host may hold the volume",
            fix="run 30_cut_over_volume from the top",
            needs="detach-volume",
        ),
        Check(
            "verified-before-start",
            passed=facts["proved"],
            expected="the volume verified on the target's host after the manifest of the stopped source",
            observed="verified" if facts["proved"] else "not verified",
            why="from the first write on, a defect of the data could no longer be told from the application's work",
            fix="run 30_cut_over_volume from the top",
            needs="verify-before-start",
        ),
        *checks.check_single_writer(facts["service"], needs="provision-target"),
    )


def _start(run: Run, _before: Facts) -> None:
    """Ask ECS for one task."""
    run.ecs.set_desired_count(1)


def _hopeless(facts: Facts) -> str:
    failed = facts["service"].get("failed_tasks", 0)
    if failed >= _FAILED_STARTS:
        return f"{failed} tasks failed to start: {'; '.join(facts['stopped_reasons'][-1:])}"
    if find_other_volume(facts):
        return "the task runs on something else; stop it before it writes: runbook roll-back"
    return ""


START_TARGET_SERVICE = Step(
    "start-target-service",
    NOTEBOOK,
    "Start the service on ECS and prove that it sees this volume",
    observe_target,
    lambda facts: f"Set the desired count to 1; the task must see {facts['expected']['volume_id']}.",
    _start,
    is_done=_is_up,
    check=_check_start,
    verify=verify_target,
    hopeless=_hopeless,
    roll_back="stop-target-service",
    timeout_s=300,
    poll_s=0.3,
    waits_for="ECS places the task, the plugin attaches and mounts the volume, the application starts",
    in_outage=True,
)

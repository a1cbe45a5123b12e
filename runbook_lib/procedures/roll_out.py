"""The deployment itself: stop, then start, with the circuit breaker; and back to the revision that was good.

ECS stops the task and starts one of the next revision on the same host, which lets the volume go and takes it again.
When that one does not become healthy, ECS goes back by itself; this module waits for it, and goes back where ECS does
not. Blue/green is never used. An overlap is, for a service that only reads the volume (`overlap`): the next task is
healthy before the former one stops, and the service then has the settings of one writer again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.errors import TakenBackError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import see_volume
from runbook_lib.procedures.image_of_service import DEPLOYMENT, NOTEBOOK
from runbook_lib.procedures.observations import observe_task, target_urls
from runbook_lib.procedures.outage import note_outage_start, observe_outage
from runbook_lib.procedures.overlap import OVERLAP, check_way, is_alone, is_overlap, observe_way
from runbook_lib.procedures.start_target import check_task_sees_volume, expected_volume, find_other_volume
from runbook_lib.procedures.storage_drivers import wanted_revision
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

DEPLOY_ID = "deploy-image"
_DEPLOYS_S, _RETURNS_S, _POLL_S, _FRESH_S = 900.0, 600.0, 0.5, 0.5


def observe_rollout(run: Run) -> dict[str, Any]:
    """Return how far the service is on the revision that was registered.

    Args:
        run: The open run.

    Returns:
        Keys `revision` (ARN, "" before it is registered), `former` (ARN), and as `_observe_on`.

    Changes:
        Notes the end of the outage, once.
    """
    known = run.journal.last("evidence", name=DEPLOYMENT) is not None
    former = str(run.evidence(DEPLOYMENT)["task_definition_arn"]) if known else ""
    revision = wanted_revision(run)
    return {"revision": revision, "former": former, **_observe_on(run, revision)}


def _observe_on(run: Run, revision: str) -> dict[str, Any]:
    """Return `service, task` (the one RUNNING on a revision, or None), `instance_id, seen, expected`, the outage."""
    target = observe_task(run)
    task = target["task"]
    if task is None or task["task_definition_arn"] != revision:
        task = None
    up = task is not None and _is_completed(target["service"], revision)  # what answers before may not stay
    outage = observe_outage(run, lambda: target_urls(run), up=up, beside=is_overlap(run))
    return {
        "service": target["service"],
        "task": task,
        "instance_id": target["instance_id"],
        "stopped_reasons": target["stopped_reasons"],
        "seen": see_volume(run, task, target["instance_id"]),
        "expected": expected_volume(run),
        **outage,
    }


def _is_completed(service: Facts, revision: str) -> bool:
    return service.get("task_definition_arn") == revision and service.get("rollout_state") == "COMPLETED"


def _verify_on(facts: Facts, revision: str) -> Sequence[Check]:
    """Return whether the service runs on a revision, healthy, on this volume, and answers its users."""
    service, task = facts["service"], facts["task"]
    reason = "; ".join(facts["stopped_reasons"][-1:] or service.get("events", [])[:1])
    return (
        Check(
            "deployment-completed",
            passed=bool(revision) and _is_completed(service, revision),
            expected=f"the deployment of {revision} COMPLETED, its task healthy",
            observed=f"{service.get('task_definition_arn', 'no service')} {service.get('rollout_state', '')}".strip(),
            why="ECS calls it completed when the task's health check passes",
            fix=f"read the service's events: {reason or 'none'}",
        ),
        Check(
            "task-running",
            passed=task is not None,
            expected=f"one task RUNNING on {revision}",
            observed=f"RUNNING, {task['health_status']}" if task else f"none ({reason or 'no event yet'})",
            fix="read the stopped reason",
        ),
        *check_task_sees_volume(facts),
        Check(
            "service-answers",
            passed=bool(facts["answers"]),
            expected="the service answers from outside",
            observed="answers" if facts["answers"] else "does not answer",
            fix="check security group, port and health check path",
        ),
    )


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    return (*_verify_on(after, after["revision"]), *checks.check_single_writer(after["service"], needs=""))


def _is_rolled_out(facts: Facts) -> bool:
    return all(check.passed for check in _verify(facts, facts))


def _serves(facts: Facts) -> bool:
    return all(check.passed for check in _verify_on(facts, facts["revision"]))


def _observe(run: Run) -> dict[str, Any]:
    """Return how far the rollout is, and whether the task may be replaced as the parameters say."""
    facts = observe_rollout(run)
    if not facts["service"]["exists"]:
        return facts | {"way": {}}
    definition = run.ecs.task_definition(facts["service"]["task_definition_arn"])
    return facts | {"way": observe_way(run, facts["service"], definition)}


def _check(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "revision-registered",
            passed=bool(facts["revision"]) and facts["revision"] != facts["former"],
            expected="a revision with the image",
            observed=facts["revision"] or "none",
            fix="run 61_deploy_image from the top",
            needs="register-image",
        ),
        *((check_way(facts["way"]),) if facts["way"] else ()),
    )


def _deploy(run: Run, before: Facts) -> None:
    """Let the service use the revision and wait; when it does not become healthy, see the former one back.

    The outage begins when ECS stops the task; in an overlap the next one is healthy by then.
    """
    if is_overlap(run):
        run.outage_probe(lambda: target_urls(run), urls_every_s=_FRESH_S)  # the next task has another address
    note_outage_start(run, lambda: target_urls(run))
    (run.ecs.deploy_beside if is_overlap(run) else run.ecs.set_task_definition)(before["revision"])
    deadline = run.clock.monotonic() + _DEPLOYS_S
    facts, used = observe_rollout(run), False
    while not _serves(facts):
        used = used or facts["service"].get("task_definition_arn") == before["revision"]
        problem = _problem(facts) or (_went_back(facts) if used else "")
        if not problem and run.clock.monotonic() >= deadline:
            problem = f"not healthy after {_DEPLOYS_S:g} s"
        if problem:
            _return(run, facts, problem)
        run.clock.sleep(_POLL_S)
        facts = observe_rollout(run)
    _end_overlap(run, facts)


def _end_overlap(run: Run, facts: Facts) -> None:
    """Give the service the settings of one writer again."""
    if not is_alone(facts["service"]):
        run.ecs.stop_before_start()


def _problem(facts: Facts) -> str:
    """Return why waiting cannot help, "" while it may."""
    own = [one for one in facts["service"].get("deployments", []) if one["task_definition_arn"] == facts["revision"]]
    if any(one["rollout_state"] == "FAILED" for one in own):
        reason = "; ".join(facts["stopped_reasons"][-1:] or facts["service"]["events"][:1])
        return f"its tasks failed, and the circuit breaker ended the deployment ({reason})"
    wrong = find_other_volume(facts)
    return "; ".join(f"{one.check_id}: expected {one.expected}, observed {one.observed}" for one in wrong)


def _went_back(facts: Facts) -> str:
    """Return that ECS has gone back by itself: with the former task still there, that takes no time to be seen."""
    service = facts["service"]
    if service.get("task_definition_arn") != facts["former"]:
        return ""
    reason = next((one for one in service["events"] if "failed" in one), "no event says why")
    return f"the circuit breaker went back ({reason})"


def _return(run: Run, failed: Facts, problem: str) -> None:
    """Wait until the former revision serves again, going back where ECS has not; then say so.

    The outage lasts until then: that an unhealthy task answered in between is no end of it.

    Raises:
        TakenBackError: always; what failed, and what serves now.
    """
    former = failed["former"]
    if run.ecs.describe_service().get("task_definition_arn") != former:
        run.ecs.set_task_definition(former)
    deadline = run.clock.monotonic() + _RETURNS_S
    facts = _observe_on(run, former)
    while not all(check.passed for check in _verify_on(facts, former)) and run.clock.monotonic() < deadline:
        if not _is_completed(facts["service"], former):
            run.outage_probe(lambda: target_urls(run)).forget_answer()
        run.clock.sleep(_POLL_S)
        facts = _observe_on(run, former)
    _end_overlap(run, facts)
    open_points = [check.sentence() for check in _verify_on(facts, former) if not check.passed]
    now = f"it does not serve yet: {'; '.join(open_points)}" if open_points else "it serves again, on the same volume"
    run.journal.append("deployment", phase="returned", task_definition_arn=former, serves=not open_points)
    raise TakenBackError(
        f"{failed['revision']} did not become healthy: {problem}. The service is back on {former}; {now}. Deploy "
        "another image in a new run; until then Terraform's newest revision is the one that failed, so do not apply it",
        changed="yes",
    )


def _say(way: Facts) -> str:
    if way and way["way"] == OVERLAP:
        return "ECS starts a task beside the running one, which stops when that one is healthy."
    return "ECS stops the task, then starts one; the outage begins."


DEPLOY_IMAGE = Step(
    DEPLOY_ID,
    NOTEBOOK,
    "Replace the task by one of the new image",
    _observe,
    lambda facts: f"Let the service use {facts['revision']}; {_say(facts['way'])}",
    _deploy,
    is_done=_is_rolled_out,
    check=_check,
    verify=_verify,
    roll_back="stop-target-service",
    timeout_s=300,
    poll_s=0.5,
    waits_for="ECS stops the task, the storage driver lets the volume go and takes it again, the next task is healthy",
    in_outage=True,
)

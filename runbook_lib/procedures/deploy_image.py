"""61_deploy_image: another image for the service, on the same host and the same volume, with one stop. Its order.

A service that only reads the volume, behind a load balancer, can have it without a stop (`overlap`).

Everything slow is done while the service runs: the image pulled and resolved to its digest, the revision registered, a
snapshot and a manifest taken. The way back is this notebook with the former image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.change_window import within_window
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.driver_plan import PROVISION_STORAGE_DRIVER, check_only, observe_prepared, verify_plan
from runbook_lib.procedures.driver_steps import in_other_notebook
from runbook_lib.procedures.image_of_service import (
    DEPLOYMENT,
    NOTEBOOK,
    PULL_NEW_IMAGE,
    digest_on,
    serving_image,
    wanted_image,
    with_image,
)
from runbook_lib.procedures.manifest_before import BEFORE, HOT, before_event
from runbook_lib.procedures.manifest_of_change import take_of_running
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.outage import open_outage_utc
from runbook_lib.procedures.overlap import check_room, check_way, is_alone, is_beside, observe_way
from runbook_lib.procedures.persistence import observe_persistence
from runbook_lib.procedures.roll_out import DEPLOY_ID, DEPLOY_IMAGE
from runbook_lib.procedures.snapshot_volume import COMPLETE_HOT_SNAPSHOT, CREATE_HOT_SNAPSHOT
from runbook_lib.procedures.storage_drivers import CHANGE
from runbook_lib.procedures.verify_persistence import data_step
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_IDS = {
    "create-hot-snapshot": "create-snapshot-before-deployment",
    "complete-hot-snapshot": "complete-snapshot-before-deployment",
}
"""Step of 20 → the one that does the same here."""
_REVISION = ("module.ecs_service.aws_ecs_task_definition.this",)


def _look_at_deployment(run: Run) -> dict[str, Any]:
    """Return whether the service runs the image already, at rest, with no outage that this run has left open.

    A revision that was registered and never used, or that failed, is Terraform's newest: then the image is deployed
    once more, because the next apply would move the task to that revision.
    """
    target, wanted = observe_task(run), wanted_image(run)
    service = target["service"]
    facts: dict[str, Any] = {"running_image": "", "running_digest": "", "deployed": False, "beside": False, "way": {}}
    if not service["exists"]:
        return facts
    definition = run.ecs.task_definition(service["task_definition_arn"])
    way = observe_way(run, service, definition, target["instance_id"])
    facts |= {"running_image": serving_image(definition), "way": way, "beside": is_beside(run, service)}
    if not target["task"] or not facts["running_image"]:
        return facts
    digest = digest_on(run, target["instance_id"], facts["running_image"])
    newest = run.ecs.newest_revision(service["task_definition_arn"]) == service["task_definition_arn"]
    rests = newest and service["rollout_state"] == "COMPLETED" and not open_outage_utc(run) and is_alone(service)
    return facts | {"running_digest": digest, "deployed": rests and "@" in wanted and wanted == digest}


def _unless_deployed(step: Step, *, costly: bool = False) -> Step:
    """Return a step that is skipped when the service runs the image already; a costly look is then not taken either.

    So is every step before the deployment when the next task runs beside the former one.
    """
    changed = in_other_notebook(step, NOTEBOOK, _IDS)

    def is_past(seen: Facts) -> bool:
        return bool(seen["deployed"] or (seen["beside"] and step.step_id != DEPLOY_ID))

    def observe(run: Run) -> dict[str, Any]:
        seen = _look_at_deployment(run)
        return {**({} if costly and is_past(seen) else changed.observe(run)), "deployment": seen}

    return replace(
        changed, observe=observe, is_done=lambda facts: is_past(facts["deployment"]) or changed.is_done(facts)
    )


def _observe(run: Run) -> dict[str, Any]:
    """Return everything that decides whether the image may be deployed; what runs is kept once, for the way back."""
    known = run.journal.last("evidence", name=DEPLOYMENT) is not None
    moved = run.journal.last("manifest", phase="before") or run.journal.last("evidence", name=CHANGE)
    seen, facts = _look_at_deployment(run), look(run)
    if not known and moved is None and seen["running_image"]:
        arn = facts["service"]["task_definition_arn"]
        image = seen["running_digest"] or seen["running_image"]
        run.keep_evidence(DEPLOYMENT, {"task_definition_arn": arn, "image": image})
    return {
        **facts,
        **seen,
        "own": known or moved is None,
        "wanted_image": wanted_image(run),
        "begun": bool(open_outage_utc(run)) or seen["beside"],
    }


def _check(facts: Facts) -> Sequence[Check]:
    service = facts["service"]
    rolling = f"{service.get('controller', 'no service')} {service.get('strategy', '')}".strip()
    return (
        Check(
            "run-of-its-own",
            passed=bool(facts["own"]),
            expected="a run that has not moved the service before",
            observed="so" if facts["own"] else "this run has",
            why="its manifest speaks of that other move",
            fix="run 61_deploy_image without --run-id",
        ),
        Check(
            "image-named",
            passed=bool(facts["wanted_image"]),
            expected="target.image, by tag or digest",
            observed=facts["wanted_image"] or "none",
            fix="name the image in target.image",
        ),
        *((check_way(facts["way"]), *check_room(facts["way"])) if facts["way"] else ()),
        Check(
            "rolling-with-circuit-breaker",
            passed=rolling == "ECS ROLLING" and bool(service.get("returns_by_itself")),
            expected="rolling deployments by ECS, whose circuit breaker goes back",
            observed=f"{rolling}, circuit breaker {'goes back' if service.get('returns_by_itself') else 'does not'}",
            why="another controller runs two revisions at once; without it nobody goes back when this run is killed",
            fix="run 10_provision_target; nothing but Terraform may change these settings",
        ),
        *check_change(facts),
        Check(
            "task-serves",
            passed=facts["task"] is not None,
            expected="one task RUNNING",
            observed="RUNNING" if facts["task"] else "none",
            why="a revision is known as good only while it runs",
            fix="read the service's events, and mend it first",
        ),
    )


def _observe_revision(run: Run) -> dict[str, Any]:
    """Return the plan that registers a revision with the image, the service kept where it is."""
    run.keep_evidence("task-mapping", with_image(run.evidence("task-mapping"), wanted_image(run)))
    return observe_prepared(run)


def _check_revision(facts: Facts) -> Sequence[Check]:
    return check_only(
        facts,
        _REVISION,
        "plan-changes-the-image-only",
        "a new revision of the task definition only",
        "a deployment brings no other change with it, and no apply moves the running task",
    )


def _observe_manifest(run: Run) -> dict[str, Any]:
    seen, taken = observe_task(run), run.journal.last("manifest", phase="before")
    return {"task": seen["task"], "instance_id": seen["instance_id"], "taken": taken is not None}


def _check_manifest(facts: Facts) -> Sequence[Check]:
    fix = "read the service's events; then run 61_deploy_image from the top"
    observed = "RUNNING" if facts["task"] else "none"
    return (Check("task-running", facts["task"] is not None, "one task RUNNING", observed, fix=fix),)


def _take_manifest(run: Run, before: Facts) -> None:
    """Take two manifests of the running service: what changed since the first began is the service's own work."""
    take_of_running(run, before, HOT, "hot")
    take_of_running(run, before, BEFORE, "before", previous=HOT)


def _verify_manifest(_before: Facts, after: Facts) -> Sequence[Check]:
    observed = "recorded" if after["taken"] else "missing"
    return (Check("manifest-recorded", after["taken"], "a manifest of the running service", observed, fix="run again"),)


def _observe_data(run: Run) -> dict[str, Any]:
    """Return what differs from the manifest of the former task, as far as there is one."""
    if run.journal.last("manifest", phase="before") is None:
        count = observe_task(run)["service"].get("desired_count", 0)
        return {"desired_count": count, "task": None, "comparison": None, **_look_at_deployment(run)}
    return observe_persistence(run, "manifest-after", "after", since_ns=int(before_event(run).fields["since_ns"]))


CHECK_DEPLOYMENT = Step(
    "check-deployment",
    NOTEBOOK,
    "Check what runs, and that the image may be deployed",
    _observe,
    lambda facts: (
        f"The service runs {facts['running_digest'] or facts['running_image']} and shall run {facts['wanted_image']}; "
        "every check passed."
    ),
    is_done=lambda facts: facts["deployed"] or facts["begun"],
    check=_check,
)

REGISTER_IMAGE = replace(
    PROVISION_STORAGE_DRIVER,
    step_id="register-image",
    title="Register the next revision with Terraform, the service kept as it is",
    observe=_observe_revision,
    check=_check_revision,
)

TAKE_MANIFEST = Step(
    "take-manifest-before-deployment",
    NOTEBOOK,
    "Take a manifest while the service runs",
    _observe_manifest,
    lambda facts: f"Take a manifest of what the container on {facts['instance_id']} sees.",
    _take_manifest,
    is_done=lambda facts: facts["taken"],
    check=_check_manifest,
    verify=_verify_manifest,
)

VERIFY_DATA = replace(
    data_step("verify-data-after-deployment", "Verify sentinel and manifest inside the container", "", "after"),
    observe=_observe_data,
    is_done=lambda facts: facts.get("deployed", False),  # and this run had nothing to do with it
    notebook=NOTEBOOK,
)

STEPS = (
    CHECK_DEPLOYMENT,
    _unless_deployed(PULL_NEW_IMAGE),
    _unless_deployed(REGISTER_IMAGE, costly=True),
    _unless_deployed(CREATE_HOT_SNAPSHOT),
    _unless_deployed(COMPLETE_HOT_SNAPSHOT),
    _unless_deployed(TAKE_MANIFEST),
    _unless_deployed(within_window(DEPLOY_IMAGE)),  # the outage
    VERIFY_DATA,
    verify_plan("verify-plan-after-deployment", NOTEBOOK, DEPLOY_ID),
)

"""Rehearsal, the task: run once on the warm host, on the clone.

The task belongs to no service, so no load balancer sends users to it, and no scheduler starts it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import driver_of
from runbook_lib.procedures.rehearsal_facts import (
    CLONE_VOLUME,
    NOTEBOOK,
    REGISTER,
    RUN_TASK,
    check_opened,
    clone_name,
    describe,
    events,
    family,
    is_over,
    note,
    observe_clones,
    observe_state,
    rehearsal_tags,
    suffix,
)
from runbook_lib.procedures.start_target import check_task_sees_volume, find_other_volume
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run


def observe_rehearsal(run: Run) -> dict[str, Any]:
    """Return the rehearsal's task, what its container sees, and whether its application answers on its host.

    Args:
        run: The open run.

    Returns:
        Keys of `observe_state`, `task` (the one RUNNING, or None), `tasks`, `instance_id`, `stopped` (why tasks of it
        ended), `seen` (host script `inspect_target`, or None), `expected` {volume_id, filesystem_uuid},
        `answers` (words), `started` (event, or None), `clones`, `definitions`.

    Changes:
        Notes once in the journal how long the start took.
    """
    shown, clones = run.rehearsal_api.tasks_of(family(run)), observe_clones(run)
    definitions = run.rehearsal_api.active_definitions(family(run))
    live = [task for task in shown if task["last_status"] != "STOPPED"]
    running = [t for t in live if t["last_status"] == "RUNNING" and t["desired_status"] == "RUNNING"]
    task = running[0] if len(running) == 1 and len(live) == 1 else None
    volume = run.journal.last("volume")
    facts = observe_state(run) | {
        "task": task,
        "tasks": [t["task_arn"] for t in live],
        "stopped": [
            " ".join([t["stopped_reason"], *t["reasons"]])
            for t in shown
            if t["last_status"] == "STOPPED" and t["task_definition_arn"] in definitions  # of this attempt
        ],
        "instance_id": _instance_of(run, task) if task else "",
        "seen": None,
        "answers": "no task",
        "expected": {
            "volume_id": clones[0]["volume_id"] if len(clones) == 1 else "",
            "filesystem_uuid": volume.fields["filesystem_uuid"] if volume else "",
            "sentinel_sha256": "",
        },
        "clones": clones,
        "definitions": definitions,
    }
    if task:
        facts |= {"seen": _see(run, facts), "answers": _ask(run, facts)}
    return facts | {"started": _note_start(run, facts)}


def _instance_of(run: Run, task: Facts) -> str:
    hosts = {c["container_instance_arn"]: c["instance_id"] for c in run.ecs.container_instances()}
    return str(hosts.get(task["container_instance_arn"], ""))


def _see(run: Run, facts: Facts) -> dict[str, Any]:
    mapping, driver = run.evidence("task-mapping"), driver_of(run)
    try:
        return run.host(facts["instance_id"]).run(
            "inspect_target",
            task_arn=facts["task"]["task_arn"],
            container_name=mapping["container_name"],
            container_path=mapping["container_path"],
            volume_name=clone_name(run),
            volume_id=facts["expected"]["volume_id"],
            plugin_alias=driver.plugin_alias,
        )
    except HostCommandError as error:
        return {"error": str(error)}


def _ask(run: Run, facts: Facts) -> str:
    """Ask the application on its own host; from outside only a load balancer would reach it, and must not."""
    mapping = run.evidence("task-mapping")
    if not mapping["container_port"]:
        return "answers (no port is published; not asked)"
    ports = [p["host_port"] for p in facts["task"]["host_ports"] if p["container_port"] == mapping["container_port"]]
    path = run.parameters.target.health_check.path
    try:
        said = run.host(facts["instance_id"]).run(
            "probe_service", port=ports[0] if ports else mapping["host_port"], path=path
        )
    except HostCommandError as error:
        return f"could not be asked: {error}"
    return f"answers {said['status']}" if said["answers"] else f"does not answer: {said['status']} {said['error']}"


def _note_start(run: Run, facts: Facts) -> dict[str, Any] | None:
    """Note how long it took from RunTask to an answer on the right volume; return that note."""
    seen = events(run)
    if "started" in seen or "requested" not in seen or not facts["task"]:
        return seen.get("started")
    if not all(check.passed for check in check_rehearsal(facts)):
        return None
    took_s = (run.clock.now_utc() - run.clock.parse(seen["requested"]["at_utc"])).total_seconds()
    arn = facts["task"]["task_arn"]
    note(run, "started", task_arn=arn, instance_id=facts["instance_id"], start_s=round(took_s, 3))
    return events(run)["started"]


def check_rehearsal(facts: Facts) -> Sequence[Check]:
    """Return whether the task runs on the clone, sees what the service must see, and answers.

    Args:
        facts: As `observe_rehearsal`.

    Returns:
        The checks of the cutover, but for the sentinel, which only the cutover writes.
    """
    fix = "nothing of production was touched; mend the cause before the cutover, then run 25_rehearse_on_clone again"
    reason = "; ".join(facts["stopped"][-1:]) or "no reason yet"
    group = facts["task"]["group"] if facts["task"] else ""
    return (
        Check(
            "task-running",
            passed=facts["task"] is not None,
            expected="one task RUNNING",
            observed="RUNNING" if facts["task"] else f"not running ({reason})",
            fix=fix,
        ),
        Check(
            "no-users",
            passed=not group.startswith("service:"),
            expected="a task of no service, which no load balancer knows",
            observed=group or "no task",
            why="what users write to a clone is lost",
            fix=fix,
        ),
        *(
            dataclasses.replace(check, fix=fix)
            for check in check_task_sees_volume(facts)
            if check.check_id != "sentinel-present"
        ),
        Check(
            "service-answers",
            passed=facts["answers"].startswith("answers"),
            expected="the application answers on its host",
            observed=facts["answers"],
            fix=fix,
        ),
    )


def _is_running(facts: Facts) -> bool:
    return facts["started"] is not None and all(check.passed for check in check_rehearsal(facts))


def _check_run(facts: Facts) -> Sequence[Check]:
    ready = [c for c in facts["clones"] if c["state"] == "available"]
    return (
        check_opened(facts),
        Check(
            "clone-available",
            passed=len(facts["clones"]) == len(ready) == 1,
            expected="one clone, attached nowhere",
            observed=describe(facts["clones"]),
            why="the task would find another volume, or wait for one that another host holds",
            fix=f"run {NOTEBOOK} from the top",
            needs=CLONE_VOLUME,
        ),
        Check(
            "definition-registered",
            passed=len(facts["definitions"]) == 1,
            expected="one task definition of the rehearsal",
            observed=", ".join(facts["definitions"]) or "none",
            fix=f"run {NOTEBOOK} from the top",
            needs=REGISTER,
        ),
        Check(
            "no-task-yet",
            passed=not facts["tasks"],
            expected="no task of the rehearsal",
            observed=", ".join(facts["tasks"]) or "none",
            why="one writer, always; and only a start that was watched can be measured",
            fix=f"run {NOTEBOOK} from the top; it removes what an interrupted rehearsal left",
        ),
    )


def _run(run: Run, before: Facts) -> None:
    """Start the task once, in the data volume's Availability Zone."""
    note(run, "requested", definition=before["definitions"][0])
    zone = run.ebs.describe_volume(before["clones"][0]["volume_id"])["availability_zone"]
    run.rehearsal_api.run_task(
        before["definitions"][0],
        expression=f"attribute:ecs.availability-zone == {zone}",
        started_by=suffix(run),
        token=f"{suffix(run)}-task-{sum(1 for _ in run.journal.find('rehearsal', phase='opened'))}",
        tags=rehearsal_tags(run),
    )


def _verify_run(_before: Facts, after: Facts) -> Sequence[Check]:
    return check_rehearsal(after)


def _hopeless(facts: Facts) -> str:
    if not facts["tasks"] and facts["stopped"]:
        return f"the task stopped: {facts['stopped'][-1]}"
    if any(check.check_id != "sentinel-present" for check in find_other_volume(facts)):
        return "the task runs on something else than the clone"
    return ""


RUN_REHEARSAL_TASK = Step(
    RUN_TASK,
    NOTEBOOK,
    "Run the task on the clone and prove what it sees",
    observe_rehearsal,
    lambda facts: f"Run one stand-alone task; it must see {facts['expected']['volume_id'] or 'the clone'} and answer.",
    _run,
    is_done=lambda facts: is_over(facts) or _is_running(facts),
    check=_check_run,
    verify=_verify_run,
    hopeless=_hopeless,
    timeout_s=300,
    poll_s=0.3,
    waits_for="ECS places the task, the plugin attaches and mounts the clone, the application starts",
)

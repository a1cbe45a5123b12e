"""Drill, the task: the service's own, once, on the restored copy.

It belongs to no service and gets the copy as a folder of its host, so both storage drivers are drilled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_drill import TOP
from runbook_lib.procedures.backup_facts import (
    NOTEBOOK,
    RESTORE,
    RUN_TASK,
    drill_tags,
    family,
    is_removed,
    note,
    noted,
    observe_backup,
    observe_remains,
    suffix,
)
from runbook_lib.procedures.storage_drivers import volume_of
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run


def drill_definition(definition: Facts, volume_name: str, path: str, other_family: str) -> dict[str, Any]:
    """Return the service's task definition with a folder of the host instead of the data volume, on any free port.

    Args:
        definition: As RegisterTaskDefinition takes it.
        volume_name: The volume the service mounts.
        path: Where the restored copy is mounted on the host.
        other_family: Family to register it in.

    Returns:
        The same, but for family, volume, host ports, and the constraint that asks for the data volume's host.
    """
    volumes = [
        {"name": v["name"], "host": {"sourcePath": path}} if v["name"] == volume_name else v
        for v in definition.get("volumes", [])
    ]
    containers = [
        container | {"portMappings": [port | {"hostPort": 0} for port in container.get("portMappings", [])]}
        for container in definition["containerDefinitions"]
    ]
    changed = {"family": other_family, "volumes": volumes, "containerDefinitions": containers}
    return dict(definition) | changed | {"placementConstraints": []}


def observe_drill(run: Run) -> dict[str, Any]:
    """Return the drill's task and whether its application answers on its host.

    Args:
        run: The open run.

    Returns:
        Keys of `observe_remains`, `removed`, `restored`, `task` (the one RUNNING, or None), `stopped` (why tasks of it
        ended), `answers` (words), `answered` (event).

    Changes:
        Notes once in the journal how long the restore took until the application answered.
    """
    shown = run.rehearsal_api.tasks_of(family(run))
    running = [t for t in shown if t["last_status"] == t["desired_status"] == "RUNNING"]
    task = running[0] if len(running) == 1 else None
    answers = _ask(run, task)
    if task and answers.startswith("answers") and not noted(run, "answered"):
        begun = run.clock.parse(noted(run, "restoring")["at_utc"])
        note(run, "answered", restore_s=round((run.clock.now_utc() - begun).total_seconds(), 3))
    remains = observe_remains(run)
    return remains | {
        "removed": is_removed(run),
        "restored": noted(run, "restored"),
        "task": task,
        "stopped": [
            " ".join([t["stopped_reason"], *t["reasons"]])
            for t in shown
            if t["last_status"] == "STOPPED" and t["task_definition_arn"] in remains["definitions"]  # of this attempt
        ],
        "answers": answers,
        "answered": noted(run, "answered"),
    }


def _ask(run: Run, task: Facts | None) -> str:
    mapping, instance_id = run.evidence("task-mapping"), noted(run, "restored").get("instance_id", "")
    if task is None or not instance_id:
        return "no task"
    if not mapping["container_port"]:
        return "answers (no port is published; not asked)"
    ports = [p["host_port"] for p in task["host_ports"] if p["container_port"] == mapping["container_port"]]
    if not ports:
        return "no port yet"
    try:
        path = run.parameters.target.health_check.path
        said = run.host(instance_id).run("probe_service", port=ports[0], path=path)
    except HostCommandError as error:
        return f"could not be asked: {error}"
    return f"answers {said['status']}" if said["answers"] else f"does not answer: {said['status']} {said['error']}"


def _check_drill(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "copy-restored",
            passed=bool(facts["restored"]),
            expected="the restored copy mounted on the host",
            observed=facts["restored"].get("volume_id", "none"),
            fix=TOP,
            needs=RESTORE,
        ),
    )


def _run(run: Run, before: Facts) -> None:
    """Register the service's own definition with the copy, and start one task of no service on the copy's host."""
    if before["tasks"]:
        return
    restored = before["restored"]
    own = run.ecs.task_definition(run.ecs.describe_service()["task_definition_arn"])
    tags = drill_tags(run, observe_backup(run)["snapshot_id"])
    arns = before["definitions"]
    if not arns:
        definition = drill_definition(own, volume_of(own)["volume_name"], restored["path"], family(run))
        arns = [run.rehearsal_api.register_task_definition(definition, tags)]
    note(run, "requested", definition=arns[0])
    run.rehearsal_api.run_task(
        arns[0],
        expression=f"ec2InstanceId == {restored['instance_id']}",
        started_by=suffix(run),
        token=f"{suffix(run)}-drill-{noted(run, 'requested')['seq']}",
        tags=tags,
    )


def _verify_drill(_before: Facts, after: Facts) -> Sequence[Check]:
    reason = "; ".join(after["stopped"][-1:]) or "no reason yet"
    return (
        Check(
            "drill-task-answers",
            passed=after["task"] is not None and after["answers"].startswith("answers"),
            expected="the service's own task RUNNING on the restored copy, and its application answering",
            observed=after["answers"] if after["task"] else f"not running ({reason})",
            why="a volume that the application cannot use is no backup",
            fix="read the drill task's stopped reason; production was not touched",
        ),
    )


def _hopeless(facts: Facts) -> str:
    return f"the task stopped: {facts['stopped'][-1]}" if not facts["tasks"] and facts["stopped"] else ""


RUN_DRILL_TASK = Step(
    RUN_TASK,
    NOTEBOOK,
    "Run the service's own task on the restored copy",
    observe_drill,
    lambda facts: f"Run one task of no service on {facts['restored'].get('volume_id', 'the copy')}; it must answer.",
    _run,
    is_done=lambda facts: facts["removed"] or (bool(facts["answered"]) and facts["task"] is not None),
    check=_check_drill,
    verify=_verify_drill,
    hopeless=_hopeless,
    timeout_s=300,
    poll_s=0.3,
    waits_for="ECS starts the task, the application answers on its host",
)

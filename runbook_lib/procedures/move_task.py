"""The article's check: a file written in the container survives a restarted task and a new instance.

Where every container only reads the volume, nothing can be written through one: the sentinel, which the cutover wrote
on the volume, stands for the file, and the journal keeps which task and which instance saw it first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.checks_words import describe_fact
from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.model_readers import only_read
from runbook_lib.procedures.observations import container_of, observe_task, observe_task_volume, target_urls
from runbook_lib.procedures.start_target import START_TARGET_SERVICE
from runbook_lib.procedures.target_root import output
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "40_verify_persistence"
PROBE_NAME = "persistence-probe.json"
_FAILED_REFRESH = {"Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"}
_OF_READERS = "the sentinel in the container with the SHA-256 that was recorded; nothing was written for this"


def _observe_probe(run: Run) -> dict[str, Any]:
    """Return the running task, and what the probe file inside its container says."""
    facts, wrote = observe_task(run), run.journal.last("probe")
    written = wrote.fields["content"] if wrote else {}
    reads = bool(facts["task"]) and only_read(run.evidence("task-mapping")["container_definitions"])
    return {
        "task_arn": facts["task"]["task_arn"] if facts["task"] else "",
        "instance_id": facts["instance_id"],
        "stopped_reasons": facts["stopped_reasons"],
        "answers": bool(facts["task"]) and _answers(run),
        "only_reads": reads,
        "probe": _seen(run, facts, written, only_reads=reads),
        "written": written,
    }


def _seen(run: Run, facts: Facts, written: Facts, *, only_reads: bool) -> dict[str, Any]:
    """Return what the container sees of the probe: the file's content, or that of the journal beside the sentinel."""
    if not facts["task"]:
        return {}
    if not only_reads:
        answer = _probe(run, facts, "read_probe")
        return dict(json.loads(answer["content"])) if answer["present"] else {}
    try:
        seen = observe_task_volume(run, facts["task"], facts["instance_id"])
    except HostCommandError:
        return {}  # the container is not there yet, or not any more
    sentinel = run.journal.last("sentinel")
    digest = (seen["sentinel"] or {}).get("sha256", "")
    return dict(written) if sentinel is not None and digest == sentinel.fields["sha256"] else {}


def _answers(run: Run) -> bool:
    return any(run.reaches(url) for url in target_urls(run))


def _probe(run: Run, facts: Facts, script: str, **content: Any) -> dict[str, Any]:
    return run.host(facts["instance_id"]).run(
        script,
        container=container_of(run, facts["task"]),
        container_path=run.evidence("task-mapping")["container_path"],
        name=PROBE_NAME,
        **content,
    )


def _is_probe_there(facts: Facts) -> bool:
    return bool(facts["probe"]) and facts["probe"] == facts["written"]


def _check_running(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "task-running",
            passed=bool(facts["task_arn"]),
            expected="one task RUNNING",
            observed=facts["task_arn"] or "none",
            fix="run 30_cut_over_volume with this run_id first",
            needs=START_TARGET_SERVICE.step_id,
        ),
    )


def _write_probe(run: Run, before: Facts) -> None:
    """Write the article's test file through the container's own view of the volume, where that may be written."""
    facts = observe_task(run)
    content = {
        "run_id": run.run_id,
        "task_arn": facts["task"]["task_arn"],
        "instance_id": facts["instance_id"],
        "written_utc": run.clock.now_utc().isoformat(),
    }
    run.journal.append("probe", content=content)
    if not before["only_reads"]:
        _probe(run, facts, "write_probe", content=json.dumps(content))


def _file(facts: Facts) -> str:
    return "sentinel" if facts["only_reads"] else "probe file"


def _say_probe(facts: Facts) -> str:
    if facts["only_reads"]:
        return "so" if facts["probe"] else "another one, or none"
    return describe_fact(facts["probe"]) if facts["probe"] else "no probe file"


def _verify_probe(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "probe-readable",
            passed=_is_probe_there(after),
            expected=_OF_READERS
            if after["only_reads"]
            else f"the probe file as written: {describe_fact(after['written'])}",
            observed=_say_probe(after),
            why="" if after["only_reads"] else "the article's check: a file written in the container survives",
            fix="roll back",
        ),
    )


def _check_probe(facts: Facts) -> Sequence[Check]:
    there = _is_probe_there(facts)
    return (
        *_check_running(facts),
        Check(
            "probe-written",
            passed=there,
            expected=f"the {_file(facts)} in the container",
            observed="there" if there else "missing",
            fix="run 40_verify_persistence from the top",
            needs="write-probe",
        ),
    )


def _is_task_restarted(facts: Facts) -> bool:
    return _is_probe_there(facts) and facts["task_arn"] != facts["probe"]["task_arn"] and facts["answers"]


def _restart_task(run: Run, before: Facts) -> None:
    """Stop the task; ECS starts another on the same volume."""
    run.ecs.stop_task(before["task_arn"], f"{run.run_id}: persistence check, restart")


def _verify_moved(check_id: str, expected: str, key: str) -> Callable[[Facts, Facts], Sequence[Check]]:
    def verify(before: Facts, after: Facts) -> Sequence[Check]:
        moved = bool(after[key]) and after[key] != before["probe"][key] and after["answers"]
        reason = after["stopped_reasons"][-1:] or ["not yet"]
        return (
            Check(
                check_id,
                passed=moved,
                expected=expected,
                observed=f"{after[key] or reason[0]}, {'answers' if after['answers'] else 'does not answer'}",
                fix="read the service's events; runbook roll-back takes the service back to compose",
            ),
            *_verify_probe(before, after),
        )

    return verify


def _observe_replacement(run: Run) -> dict[str, Any]:
    facts = _observe_probe(run)
    if not facts["task_arn"]:
        return facts | {"refresh": None, "group_name": ""}
    group = output(run, "autoscaling_group_name")
    return facts | {"refresh": run.ecs.describe_group(group)["refresh"], "group_name": group}


def _is_replaced(facts: Facts) -> bool:
    return _is_probe_there(facts) and facts["instance_id"] != facts["probe"]["instance_id"] and facts["answers"]


def _replace_instance(run: Run, before: Facts) -> None:
    """Start an instance refresh: a new instance first, then the old one is drained and terminated."""
    run.container_hosts.start_instance_refresh(before["group_name"])


def _verify_replaced(before: Facts, after: Facts) -> Sequence[Check]:
    refresh = after["refresh"] or {"status": "none", "percentage": 0, "reason": ""}
    return (
        *_verify_moved("instance-replaced", "the task on another instance", "instance_id")(before, after),
        Check(
            "refresh-finished",
            passed=refresh["status"] == "Successful",
            expected="instance refresh Successful",
            observed=f"{refresh['status']} {refresh['percentage']} % {refresh['reason']}".strip(),
            fix="read the Auto Scaling group's activity; the service runs on whichever instance has the volume",
        ),
    )


def _refresh_failed(facts: Facts) -> str:
    refresh = facts["refresh"]
    return f"instance refresh {refresh['status']}" if refresh and refresh["status"] in _FAILED_REFRESH else ""


def _remove_probe(run: Run, _before: Facts) -> None:
    """Remove the probe file."""
    _probe(run, observe_task(run), "remove_probe")


def _is_probe_gone(facts: Facts) -> bool:
    return bool(facts["task_arn"]) and bool(facts["written"]) and (facts["only_reads"] or not facts["probe"])


def _verify_probe_gone(_before: Facts, after: Facts) -> Sequence[Check]:
    gone = not after["probe"]
    observed = "gone" if gone else "there"
    return (Check("probe-removed", passed=gone, expected="no probe file", observed=observed, fix="remove it by hand"),)


WRITE_PROBE = Step(
    "write-probe",
    NOTEBOOK,
    "Write a test file through the container",
    _observe_probe,
    lambda facts: (
        "Note task and instance: the containers only read the volume, so the sentinel stands for a test file."
        if facts["only_reads"]
        else "Write a test file with the ids of task and instance."
    ),
    _write_probe,
    is_done=_is_probe_there,
    check=_check_running,
    verify=_verify_probe,
)

RESTART_TASK = Step(
    "restart-task",
    NOTEBOOK,
    "Restart the task",
    _observe_probe,
    lambda facts: f"Stop {facts['task_arn'] or 'the task'}; the service starts another on the same volume.",
    _restart_task,
    is_done=_is_task_restarted,
    check=_check_probe,
    verify=_verify_moved("task-restarted", "another task RUNNING", "task_arn"),
    timeout_s=300,
    poll_s=0.3,
    waits_for="ECS stops the task, the plugin releases the volume, a new task mounts it",
)

REPLACE_INSTANCE = Step(
    "replace-instance",
    NOTEBOOK,
    "Replace the container instance",
    _observe_replacement,
    lambda facts: f"Replace {facts['instance_id'] or 'the instance'}, launching the new one first.",
    _replace_instance,
    is_done=_is_replaced,
    check=_check_probe,
    verify=_verify_replaced,
    hopeless=_refresh_failed,
    timeout_s=1800,
    poll_s=0.5,
    waits_for="a new instance boots and joins, the old one is drained, the volume moves",
)

REMOVE_PROBE = Step(
    "remove-probe",
    NOTEBOOK,
    "Remove the test file",
    _observe_probe,
    lambda _facts: "Remove the test file.",
    _remove_probe,
    is_done=_is_probe_gone,
    check=_check_running,
    verify=_verify_probe_gone,
)

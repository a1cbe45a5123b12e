"""What must stay so while a service is on ECS, as pure functions from observed facts to checks. Touches nothing.

Each part of the look has one function here. A part that could not be looked at is a finding of its own: silence is
never taken for health.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runbook_lib.checks_tasks import check_tasks, same
from runbook_lib.model import Check, Facts

_NOTHING_BUT_TERRAFORM = "run 10_provision_target with --execute; nothing but Terraform may change this setting"
_SECOND_WRITER = "with another value ECS may start a second task beside the first, on one volume"


def check_part(part: str, facts: Facts, rules: Callable[[Facts], Sequence[Check]]) -> Sequence[Check]:
    """Return the checks of one part of the look, or the one that nobody could look.

    Args:
        part: For example `volume`.
        facts: What was observed; key `error` when that failed; empty when nobody looked.
        rules: The part's rules.

    Returns:
        The checks.
    """
    problem = facts.get("error", "" if facts else "its cell did not run in this run")
    if not problem:
        return rules(facts)
    return (
        Check(
            f"{part}-looked-at",
            passed=False,
            expected=f"facts of part {part}",
            observed=str(problem),
            why="what nobody can look at may have drifted",
            fix="mend what the message says, then run 64_check_drift again",
        ),
    )


def check_service(facts: Facts) -> Sequence[Check]:
    """Return whether the service can have one writer only, and that one runs on the volume of the parameters.

    Args:
        facts: Keys `service` (as `Ecs.describe_service`), `volume` (of the task definition, as ECS has it), `wanted`
            (`driver`, `volume_name`, `plugin_alias`, `placement`), `driver`, `tasks`, `scaling` (as `check_tasks`).

    Returns:
        The checks; one only when there is no service.
    """
    service = facts["service"]
    exists = Check(
        "service-exists",
        passed=service["exists"],
        expected="an ACTIVE service",
        observed="ACTIVE" if service["exists"] else "none",
        why="everything else hangs on it",
        fix="run 10_provision_target, or correct target.cluster_name and target.service_name",
    )
    if not service["exists"]:
        return (exists,)
    running = [task for task in facts["tasks"] if task["last_status"] == "RUNNING"]
    desired, *tasks = check_tasks(service, len(running), facts["scaling"])
    return (
        exists,
        desired,
        *_check_counts(service),
        *tasks,
        same(
            "task-on-service-revision",
            [service["task_definition_arn"]] * len(running),
            [task["task_definition_arn"] for task in running],
            "the task that runs is not what the next start would run",
            "let the deployment end; else stop the task, in a maintenance window",
        ),
        *_check_task_volume(facts),
    )


def _check_counts(service: Facts) -> Sequence[Check]:
    fix, why = _NOTHING_BUT_TERRAFORM, _SECOND_WRITER
    return (
        same("minimum-healthy-percent", 0, service["minimum_healthy_percent"], why, fix),
        same("maximum-percent", 100, service["maximum_percent"], why, fix),
        same("availability-zone-rebalancing", "DISABLED", service["availability_zone_rebalancing"], why, fix),
        same("deployment-controller", "ECS", service["controller"],
              "another controller runs both revisions at once", fix),
        same("deployment-strategy", "ROLLING", service["strategy"], "blue/green runs both revisions at once", fix),
        same("one-deployment", 1, len(service["deployments"]), "a deployment that does not end restarts the task",
              "read the service's events; deploy the last good revision"),
    )  # fmt: skip


def _check_task_volume(facts: Facts) -> Sequence[Check]:
    wanted, volume = facts["wanted"], facts["volume"]
    missing = [one for one in wanted["placement"] if one not in facts["placement"]]
    plugin = volume.get("dockerVolumeConfiguration", {})
    shape = {key: plugin.get(key) for key in ("driver", "scope", "autoprovision")} if plugin else {}
    expected = (
        {"driver": wanted["plugin_alias"], "scope": "shared", "autoprovision": False} if wanted["plugin_alias"] else {}
    )
    return (
        Check(
            "placement-constraint",
            passed=not missing,
            expected=", ".join(wanted["placement"]),
            observed=", ".join(facts["placement"]) or "none",
            why="a task that is placed where the volume is not finds no data, or makes a new volume",
            fix=_NOTHING_BUT_TERRAFORM,
        ),
        same(
            "storage-driver",
            wanted["driver"],
            facts["driver"],
            "the parameters speak of another storage driver than the service runs on",
            "use the parameters file of the driver that runs, or run 65_prepare_storage_driver and "
            "66_change_storage_driver",
        ),
        same(
            "task-volume-name",
            wanted["volume_name"],
            volume.get("name", "none"),
            "the plugin finds the volume by this name",
            _NOTHING_BUT_TERRAFORM,
        ),
        same(
            "task-volume-settings",
            expected,
            shape,
            "autoprovision makes a new empty volume, and scope task deletes it with the task",
            _NOTHING_BUT_TERRAFORM,
        ),
    )


def check_hosts(facts: Facts) -> Sequence[Check]:
    """Return whether the container instances are set up as they were verified, from a machine image that is not old.

    Args:
        facts: Keys `hosts` [{`instance_id, status, agent_connected, storage, problem, checks, ami_id, age_days`}],
            `driver`, `open` (rules that let everybody in), `template_ami_id`, `max_image_age_days`.

    Returns:
        The checks; those of a host name it.
    """
    hosts = facts["hosts"]
    ready = [h for h in hosts if h["status"] == "ACTIVE" and h["agent_connected"]]
    found = [
        Check(
            "container-instance-ready",
            passed=bool(ready) and len(ready) == len(hosts),
            expected="every container instance ACTIVE, its agent connected, at least one",
            observed=", ".join(f"{h['instance_id']} {h['status']}" for h in hosts if h not in ready)
            or ("all" if hosts else "none"),
            why="ECS cannot start the task anywhere else when it ends",
            fix="read the instance's system log; replace it rather than repair it",
        ),
        same("hosts-not-open-to-the-world", "no such rule", ", ".join(facts["open"]) or "no such rule",
             "hosts are reached by Systems Manager only, and no plan shows a rule that was added by hand",
             "remove the rule; clients stand in target.allowed_cidrs"),
    ]  # fmt: skip
    for host in hosts:
        found += _check_host(host, facts)
    return found


def _check_host(host: Facts, facts: Facts) -> Sequence[Check]:
    name, most = host["instance_id"], facts["max_image_age_days"]
    setup = [Check(**{**one, "observed": f"{one['observed']} on {name}"}) for one in host["checks"]]
    if host["problem"]:
        setup = [*check_part("host", {"error": f"{name}: {host['problem']}"}, lambda _facts: ())]
    age = host["age_days"]
    return (
        *setup,
        same("host-storage-driver", f"{facts['driver']} on {name}", f"{host['storage'] or 'none'} on {name}",
              "a host of the other driver can take the volume by a rule of its own",
              "remove the host: run 66_change_storage_driver to its end"),
        same("host-machine-image", f"{facts['template_ami_id']} on {name}", f"{host['ami_id']} on {name}",
              "the next host would be another than the one that was verified", "run 60_patch_hosts"),
        Check("machine-image-age", passed=age is not None and age <= most,
              expected=f"at most {most} days (policy.drift.max_machine_image_age_days)",
              observed=f"{'unknown' if age is None else f'{age:.0f} days'}: {host['ami_id']} on {name}",
              why="an old image lacks the security fixes of kernel, Docker and agent",
              fix="run 60_patch_hosts with the newest ECS-optimized image"),
    )  # fmt: skip


def check_terraform(facts: Facts) -> Sequence[Check]:
    """Return whether Terraform would change nothing, and nobody put another image into the launch template.

    Args:
        facts: Keys `changes` (texts), `image_applied`, `image_now`, `revision_applied`, `revision_now`.

    Returns:
        Three checks.
    """
    return (
        Check(
            "plan-empty",
            passed=not facts["changes"],
            expected="a plan without any change",
            observed="; ".join(facts["changes"]) or "empty",
            why="somebody changed the target beside Terraform, or the parameters are not what was applied",
            fix="read terraform/plan.json in this run's folder; 10_provision_target takes the change back",
        ),
        same("launch-template-image", facts["image_applied"], facts["image_now"],
              "the next host would boot an image that nobody verified", "run 60_patch_hosts, or remove that version"),
        same("service-revision", facts["revision_applied"], facts["revision_now"],
              "the service runs a revision that Terraform did not register", "run 61_deploy_image with that image"),
    )  # fmt: skip


def check_record(facts: Facts) -> Sequence[Check]:
    """Return whether the last record of a run that acted on the volume is what was written.

    Args:
        facts: Keys `directory`, `run_id` ("" when there is none), `problems`.

    Returns:
        Two checks; one when there is no record.
    """
    run_id = facts["run_id"]
    exists = Check(
        "record-exists",
        passed=bool(run_id),
        expected=f"the record of a run that acted on this volume, in {facts['directory']}",
        observed=run_id or "none",
        why="without it nobody can say what was done to the volume",
        fix="run where archive.directory is, or fetch the record from the bucket",
    )
    if not run_id:
        return (exists,)
    shown, more = facts["problems"][:5], len(facts["problems"]) - 5
    problems = "; ".join(shown) + (f" and {more} more" if more > 0 else "")
    return (
        exists,
        Check(
            "record-verifies",
            passed=not facts["problems"],
            expected=f"the record of {run_id} as it was sealed",
            observed=problems or "as it was sealed",
            why="a record that was altered proves nothing; one that was never sealed belongs to a run that was "
            "interrupted, or still works",
            fix=f"`runbook verify` names every file; an interrupted run goes on with `runbook resume {run_id}`",
        ),
    )


def findings(checks: Sequence[Check]) -> list[Mapping[str, str]]:
    """Return what has drifted, for programs.

    Args:
        checks: Every check that was made.

    Returns:
        Keys `id, expected, observed, why, fix` of each one that failed, in their order.
    """
    return [
        {"id": c.check_id, "expected": c.expected, "observed": c.observed, "why": c.why, "fix": c.fix}
        for c in checks
        if not c.passed
    ]

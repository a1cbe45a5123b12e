"""The gate between the hosts: on the target, the volume is verified before the application starts on it.

One writer, always: the volume is attached nowhere when it gets the plugin's name, and only then the command that
verifies it, which may wait on the host already (`verification`), takes it. A
container that runs nothing of the application, read-only and without network, makes the target's own storage driver
attach and mount it; nobody else can attach it from then on, because EC2 attaches a volume once. The desired count is 0
until the step succeeded, so no task can write meanwhile. The gate container still holds the mount when the task starts:
the task gets the mount that was verified, without a second detach and attach, and it must be placed on that host, the
only one that is ready. The gate container is removed once the task runs.

Killed at any point: a gate container is found by its name and used again by this step, removed by `release-gate`, or
removed on the way back by `stop-target-service`. On failure the application never started: nothing was written since
the source stopped, and the way back loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.gate_proof import FIX, WHY, check_proof, is_proved, observe_proof
from runbook_lib.procedures.hand_over import check_unique_name, is_named, observe_name
from runbook_lib.procedures.manifest_before import is_home, manifest_before
from runbook_lib.procedures.observations import (
    observe_container_hosts,
    observe_task,
    observe_task_volume,
)
from runbook_lib.procedures.together import together
from runbook_lib.procedures.verification import verify_on
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"


def _observe_gate(run: Run) -> dict[str, Any]:
    seen = together(
        target=lambda: observe_task(run), hosts=lambda: observe_container_hosts(run), naming=lambda: observe_name(run)
    )
    return {
        "desired_count": seen["target"]["service"].get("desired_count", 0),
        "tasks": [task["task_arn"] for task in seen["target"]["tasks"]],
        "hosts": [host["instance_id"] for host in seen["hosts"]],
        "naming": seen["naming"],
        **observe_proof(run),
    }


def _is_started(facts: Facts) -> bool:
    """Return whether the service was started already: what it writes is not to be compared any more."""
    return bool(facts["desired_count"]) or bool(facts["tasks"])


def check_one_host(hosts: Sequence[str]) -> Check:
    """Return whether exactly one container instance can get the task.

    Args:
        hosts: Instance ids of those that are ready.

    Returns:
        The check.
    """
    return Check(
        "one-host-ready",
        passed=len(hosts) == 1,
        expected="exactly one connected container instance with the storage driver's capability",
        observed=", ".join(hosts) or "none",
        why="the volume is verified on the host where the task will be placed, and held there until it runs",
        fix="wait until an instance refresh is over, or set the group's size to 1; then run again",
        needs="register-container-instance",
    )


def _check_gate(facts: Facts) -> Sequence[Check]:
    naming = facts["naming"]
    volume, named = naming["volume"], is_named(naming)
    elsewhere = bool(volume["holder"]) and volume["holder"] not in facts["hosts"]
    return (
        check_one_host(facts["hosts"]),
        check_unique_name(naming),
        Check(
            "volume-named",
            passed=named,
            expected=f"Name {naming['volume_name']} on {volume['volume_id']} alone",
            observed=volume["tags"].get("Name", "no Name"),
            why="the plugin would find another volume, or make an empty one",
            fix="run 30_cut_over_volume from the top",
            needs="name-volume",
        ),
        Check(
            "held-by-nobody-else",
            passed=not elsewhere,
            expected="the volume attached nowhere, or to the host that is ready",
            observed=volume["holder"] or "attached nowhere",
            why="only one host may hold the volume",
            fix="run 30_cut_over_volume from the top",
            needs="detach-volume",
        ),
        Check(
            "manifest-complete",
            passed=bool(facts["expected"]["metadata_sha256"]),
            expected="a manifest taken after the service stopped",
            observed="taken" if facts["expected"]["metadata_sha256"] else "none",
            fix="run 30_cut_over_volume from the top",
            needs="stop-source-service",
        ),
    )


def _verify_on_host(run: Run, before: Facts) -> None:
    """Hold the volume on the target's host and describe what is on it."""
    instance_id = before["hosts"][0]
    seen = verify_on(run, instance_id)
    run.journal.append("before-start", instance_id=instance_id, **seen)


def _verify_proof(before: Facts, after: Facts) -> Sequence[Check]:
    fresh = after["proof_seq"] > before["proof_seq"]
    return (
        Check(
            "verified-now",
            passed=fresh,
            expected="facts from the host",
            observed="facts" if fresh else "none",
            why=WHY,
            fix=FIX,
        ),
        *check_proof(after),
    )


def _is_wrong(facts: Facts) -> str:
    return "the volume will not change: nobody writes to it" if facts["proof"] and not is_proved(facts) else ""


def _observe_release(run: Run) -> dict[str, Any]:
    """Return where a gate container is, whether the task sees the volume, and whether the manifest is home."""
    facts = observe_task(run)
    volume_id = run.parameters.volume.volume_id
    hosts = [host["instance_id"] for host in observe_container_hosts(run)]
    gates = [h for h in hosts if run.host(h).run("release_gate", volume_id=volume_id, change=False)["present"]]
    seen = observe_task_volume(run, facts["task"], facts["instance_id"]) if facts["task"] else {}
    return {
        "task": facts["task"],
        "gates": gates,
        "sees": seen.get("volume_id", ""),
        "volume_id": volume_id,
        "home": is_home(run),
    }


def _is_released(facts: Facts) -> bool:
    return not facts["gates"] and facts["home"]


def _check_release(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "task-sees-volume",
            passed=facts["sees"] == facts["volume_id"],
            expected=f"the running task on {facts['volume_id']}",
            observed=facts["sees"] or "no task on it",
            why="without a task the volume would be detached, and attached again for the next one",
            fix="run 30_cut_over_volume from the top, or runbook roll-back, which removes the gate too",
            needs="start-target-service",
        ),
    )


def _release(run: Run, before: Facts) -> None:
    """Remove the gate container; then bring the manifest of the stopped source home."""
    for instance_id in before["gates"]:
        run.host(instance_id).run("release_gate", timeout_s=400, volume_id=before["volume_id"], change=True)
    manifest_before(run)


def _verify_release(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "gate-removed",
            passed=not after["gates"],
            expected="no gate container",
            observed=", ".join(after["gates"]) or "none",
            why="it would keep the volume attached when the task moves to another host",
            fix="docker rm -f the container named runbook-gate-... on the host",
        ),
        *_check_release(after),
        Check(
            "manifest-home",
            passed=bool(after["home"]),
            expected="evidence/manifest-before.json",
            observed="kept" if after["home"] else "missing",
            fix="run again while the source host still runs",
        ),
    )


VERIFY_BEFORE_START = Step(
    "verify-before-start",
    NOTEBOOK,
    "Verify the volume on the target before the application starts",
    _observe_gate,
    lambda facts: (
        f"Hold {facts['naming']['volume']['volume_id']} on {', '.join(facts['hosts']) or 'the target'} with a "
        f"container that does nothing; compare {facts['expected']['entries']} entries with the manifest of the stopped "
        "source."
    ),
    _verify_on_host,
    is_done=_is_started,
    check=_check_gate,
    verify=_verify_proof,
    hopeless=_is_wrong,
    roll_back="stop-target-service",
    timeout_s=5,
    in_outage=True,
)

RELEASE_GATE = Step(
    "release-gate",
    NOTEBOOK,
    "Remove the container that held the volume, and bring the manifest home",
    _observe_release,
    lambda _facts: "Remove the gate container; the task holds the volume now. Keep the manifest's entries as evidence.",
    _release,
    is_done=_is_released,
    check=_check_release,
    verify=_verify_release,
    timeout_s=30,
)

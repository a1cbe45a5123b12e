"""Rehearsal, first step: may it begin, and what does production look like before anything is made?

The same facts are read again at the end; that they are equal is the proof that the rehearsal touched nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import driver_of, observe_container_hosts, observe_names, observe_volume
from runbook_lib.procedures.rehearsal_cleanup import clear
from runbook_lib.procedures.rehearsal_facts import (
    CHECK_REHEARSAL,
    NOTEBOOK,
    clone_name,
    describe,
    is_over,
    is_possible,
    note,
    observe_foreign_clones,
    observe_remains,
    observe_state,
)
from runbook_lib.procedures.source_compose import read_compose
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

BEFORE = "production-before-rehearsal"
_SERVICE = (
    "exists",
    "desired_count",
    "running_count",
    "pending_count",
    "minimum_healthy_percent",
    "maximum_percent",
    "availability_zone_rebalancing",
    "task_definition_arn",
)
_VOLUME = ("volume_id", "state", "attachments", "tags", "size_gib", "volume_type", "iops", "throughput_mibps")


def observe_production(run: Run) -> dict[str, Any]:
    """Return what a rehearsal must leave as it is.

    Args:
        run: The open run.

    Returns:
        Keys `source` (instance), `volume`, `service` (ECS), `containers` (compose, with their process ids, so that a
        restart shows), `mounted`.
    """
    volume, service = observe_volume(run), run.ecs.describe_service()
    mount_path = run.parameters.volume.mount_path
    return {
        "source": run.ec2.describe_instance(run.parameters.source.instance_id),
        "volume": {key: volume[key] for key in _VOLUME},
        "service": {key: service[key] for key in _SERVICE if key in service},
        "containers": read_compose(run)["containers"],
        "mounted": run.source_host.run("list_open_files", mount_path=mount_path)["mounted"],
    }


def check_untouched(before: Facts, after: Facts) -> Check:
    """Return whether production is what it was.

    Args:
        before: As `observe_production`, before the rehearsal; empty when it was not read.
        after: The same, afterwards.

    Returns:
        The check.
    """
    different = [
        f"{key} was {describe_fact(before.get(key))}, is {describe_fact(after[key])}"
        for key in after
        if before.get(key) != after[key]
    ]
    return Check(
        "production-untouched",
        passed=not different,
        expected="source instance, data volume, ECS service and compose containers exactly as before the rehearsal",
        observed="; ".join(different) or "exactly as before",
        why="a rehearsal that changes production is none",
        fix="find out who changed it meanwhile; if nobody did, do not cut over and report a defect",
        needs=CHECK_REHEARSAL,
    )


def _observe_beginning(run: Run) -> dict[str, Any]:
    state = observe_state(run)
    if is_over(state):
        return state | {"volume_name": driver_of(run).volume_name}
    volume = observe_volume(run)
    names = [v for v in observe_names(run, volume) if v["tags"]["Name"].casefold() == clone_name(run).casefold()]
    remains = observe_remains(run)
    ours = {clone["volume_id"] for clone in remains["clones"]}
    return state | {
        "production": observe_production(run),
        "volume": volume,
        "instance_id": run.parameters.source.instance_id,
        "volume_name": driver_of(run).volume_name,
        "clone_name": clone_name(run),
        "same_name": [v["volume_id"] for v in names if v["volume_id"] not in ours],
        "hosts": observe_container_hosts(run),
        "remains": remains,
        "foreign": observe_foreign_clones(run),
    }


def _check_possible(facts: Facts) -> Check:
    possible = bool(facts["possible"])
    return Check(
        "rehearsal-possible",
        passed=True,
        expected="a storage driver that mounts volumes by name; others are not rehearsed",
        observed="possible" if possible else "not possible: the storage driver knows the data volume only",
    )


def _check_beginning(facts: Facts) -> Sequence[Check]:
    if not facts["possible"]:
        return (_check_possible(facts),)
    return (
        _check_possible(facts),
        *_check_names(facts),
        *_check_target(facts),
    )


def _check_names(facts: Facts) -> Sequence[Check]:
    name, other = facts["clone_name"], facts["volume_name"]
    return (
        checks.check_attached(facts["volume"], facts["instance_id"]),
        Check(
            "clone-has-another-name",
            passed=name.casefold() != other.casefold() and not facts["same_name"],
            expected=f"no volume with Name {name!r} (any case), and the data volume's Name {other!r} another one",
            observed=", ".join(facts["same_name"]) or "none",
            why="the volume plugin takes the first of several volumes with one Name, without a word",
            fix=f"rename {', '.join(facts['same_name']) or 'storage.rexray.volume_name'}",
        ),
        Check(
            "no-other-rehearsal",
            passed=not facts["foreign"],
            expected="no clone of another run's rehearsal",
            observed=describe(facts["foreign"]),
            why="its task would hold the port and the host that this one needs",
            fix="; ".join(
                f"run {NOTEBOOK} with --run-id {c['run_id']}, or delete {c['volume_id']}" for c in facts["foreign"]
            ),
        ),
    )


def _check_target(facts: Facts) -> Sequence[Check]:
    service = facts["production"]["service"]
    counts = [service.get(key) for key in ("desired_count", "running_count", "pending_count")]
    return (
        Check(
            "target-stopped",
            passed=counts == [0, 0, 0],
            expected="the ECS service at desired count 0 without a task",
            observed=f"desired, running, pending: {describe_fact(counts)}",
            why="the rehearsal takes the service's port on the container instance",
            fix="run 10_provision_target; after a cutover there is nothing to rehearse",
            needs="provision-target",
        ),
        Check(
            "target-host-ready",
            passed=bool(facts["hosts"]),
            expected="a connected container instance with the storage driver's capability",
            observed=", ".join(h["instance_id"] for h in facts["hosts"]) or "none",
            why="what is rehearsed is the host of the cutover",
            fix="run 10_provision_target until register-container-instance is done",
            needs="register-container-instance",
        ),
    )


def _begin(run: Run, before: Facts) -> None:
    """Remove what an interrupted rehearsal left, then write down what production looks like."""
    if not is_possible(run):
        return
    if any(before["remains"].values()):
        clear(run)
    run.keep_evidence(BEFORE, observe_production(run))
    note(run, "opened", clone_name=before["clone_name"])


def _verify_beginning(_before: Facts, after: Facts) -> Sequence[Check]:
    if not after["possible"]:
        return ()
    left = [c["volume_id"] for c in after["remains"]["clones"]] + after["remains"]["tasks"]
    return (
        Check(
            "nothing-left",
            passed=after["opened"] and not left,
            expected="nothing of an earlier rehearsal of this run",
            observed=", ".join(left) or "nothing",
            fix=f"run {NOTEBOOK} from the top",
        ),
    )


def _is_finished(facts: Facts) -> bool:
    return bool(facts["finished"])


def _plan_beginning(facts: Facts) -> str:
    if not facts["possible"]:
        return "Not rehearsed: the storage driver has no volume plugin that could mount a clone."
    remains = facts["remains"]
    left = [*(c["volume_id"] for c in remains["clones"]), *remains["tasks"], *remains["definitions"]]
    first = f"Remove what an interrupted rehearsal left ({', '.join(left)}); then write" if left else "Write"
    return f"{first} down what production looks like. The clone will be named {facts['clone_name']!r}."


CHECK_BEGINNING = Step(
    CHECK_REHEARSAL,
    NOTEBOOK,
    "Check that a rehearsal may begin, and write down what production looks like",
    _observe_beginning,
    _plan_beginning,
    _begin,
    is_done=_is_finished,
    check=_check_beginning,
    verify=_verify_beginning,
)

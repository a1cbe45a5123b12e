"""After a change of driver or host: the former hosts go, and with them what could take the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts, StepStatus
from runbook_lib.procedures.driver_plan import CHANGES as NOTEBOOK
from runbook_lib.procedures.observations import CUT_OVER_TAG, observe_task
from runbook_lib.procedures.storage_drivers import CHANGE, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

REMOVE_ID = "remove-former-hosts"
_ENDS_S, _POLL_S = 600.0, 0.5
_IN_SERVICE = ("Pending", "InService")


def _observe(run: Run) -> dict[str, Any]:
    target, drivers = observe_task(run), observe_drivers(run)
    known = run.journal.last("evidence", name=CHANGE) is not None
    group = run.container_hosts.group(run.evidence(CHANGE)["group"]) if known else {"desired": 0, "members": {}}
    return {"drivers": drivers, "instance_id": target["instance_id"], "group": group}


def _going(facts: Facts) -> list[str]:
    """Return the former hosts that nobody has told to go yet."""
    members = facts["group"]["members"]
    return [one for one in facts["drivers"]["former"] if members.get(one, "").startswith(_IN_SERVICE)]


def _is_removed(facts: Facts) -> bool:
    drivers = facts["drivers"]
    return not drivers["former"] and CUT_OVER_TAG in drivers["volume"]["tags"]


def _check(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    holder = drivers["volume"]["holder"]
    serves = bool(facts["instance_id"]) and facts["instance_id"] == holder and holder not in drivers["former"]
    return (
        Check(
            "service-on-other-host",
            passed=serves and bool(drivers["changed"]),
            expected=f"one task RUNNING on {drivers['wanted']}, on the host that holds the volume",
            observed=f"task on {facts['instance_id'] or 'no host'}, volume held by {holder or 'nobody'}",
            why="until then the former host is the shortest way back",
            fix="run 66_change_storage_driver from the top",
            needs="start-changed-service",
        ),
    )


def _remove(run: Run, before: Facts) -> None:
    """End the former hosts, the group wanting as many fewer; when they are gone, set the tag of the hand-over."""
    for instance_id in _going(before):
        run.container_hosts.remove(instance_id)
    deadline = run.clock.monotonic() + _ENDS_S
    drivers = observe_drivers(run)
    while drivers["former"] and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
        drivers = observe_drivers(run)
    if not drivers["former"] and CUT_OVER_TAG not in drivers["volume"]["tags"]:
        now = run.clock.now_utc().isoformat(timespec="seconds")
        run.ec2.set_tags(drivers["volume"]["volume_id"], {CUT_OVER_TAG: now})


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    drivers = after["drivers"]
    return (
        Check(
            "former-hosts-gone",
            passed=not drivers["former"],
            expected="no former container instance",
            observed=", ".join(drivers["former"]) or "none",
            why="such a host could take the volume when the task moves",
            fix="terminate it in the Auto Scaling group; then run again",
        ),
        Check(
            "handed-over",
            passed=CUT_OVER_TAG in drivers["volume"]["tags"],
            expected=f"tag {CUT_OVER_TAG} on {drivers['volume']['volume_id']}",
            observed=drivers["volume"]["tags"].get(CUT_OVER_TAG, "none"),
            fix="run again",
        ),
    )


REMOVE_FORMER_HOSTS = Step(
    REMOVE_ID,
    NOTEBOOK,
    "Remove the hosts of the former driver",
    _observe,
    lambda facts: f"Terminate {', '.join(facts['drivers']['former']) or 'no host'}; the service runs on the other one.",
    _remove,
    is_done=_is_removed,
    check=_check,
    verify=_verify,
    timeout_s=60,
    waits_for="the former host ends",
)


def once_proved(verify_id: str, notebook: str) -> Step:
    """Return the removal of the former hosts as it waits for the proof of the data.

    Args:
        verify_id: Id of the step that proves the data on the next host.
        notebook: The notebook of both.

    Returns:
        `REMOVE_FORMER_HOSTS` with one check more.
    """

    def observe(run: Run) -> dict[str, Any]:
        status = run.journal.step_status(verify_id)
        return _observe(run) | {"proof": status.value if status else ""}

    def check(facts: Facts) -> Sequence[Check]:
        return (
            *_check(facts),
            Check(
                "data-proved",
                passed=facts["proof"] in {StepStatus.SUCCEEDED, StepStatus.SKIPPED},
                expected=f"{verify_id} passed in this run",
                observed=facts["proof"] or "not performed",
                why="until then the former host is the shortest way back",
                fix=f"run {notebook} from the top",
                needs=verify_id,
            ),
        )

    return replace(REMOVE_FORMER_HOSTS, observe=observe, check=check)

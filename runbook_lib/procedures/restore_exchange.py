"""Restore, the outage: the service stopped, its volume put aside, the restored one in its place, verified, served.

The volume that leaves is detached cleanly, keeps every byte, and gets a Name that nothing looks for and tags that say
what serves instead. It is never deleted: it is the evidence, and the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_drill import wait
from runbook_lib.procedures.gate import check_one_host
from runbook_lib.procedures.gate_proof import check_gate_image, hosts_without_image
from runbook_lib.procedures.move_volume import (
    CHANGE_TASK_DEFINITION,
    HAND_VOLUME_OVER,
    RELEASE_GATE_AFTER_CHANGE,
    START_CHANGED_SERVICE,
    VERIFY_BEFORE_CHANGE,
)
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    STOP_TASK,
    detach_by_hand,
    observe_container_hosts,
    observe_task,
    target_urls,
)
from runbook_lib.procedures.outage import note_outage_start, observe_outage, open_outage_utc
from runbook_lib.procedures.restore_check import check_loss_accepted, describe_loss
from runbook_lib.procedures.restore_facts import (
    ASIDE,
    NOTEBOOK,
    PROVE,
    REPLACED_AT_TAG,
    REPLACED_BY_TAG,
    noted,
    observe_exchange,
    on_restored,
    refuse_same_name,
)
from runbook_lib.procedures.restore_in_place import observe_gate, seen_from_outside
from runbook_lib.procedures.restore_steps import STOP, for_restore
from runbook_lib.procedures.stop_for_change import check_down, is_down
from runbook_lib.procedures.storage_drivers import is_draining, observe_drivers
from runbook_lib.procedures.task_count import check_unscaled
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_TOP = f"run {NOTEBOOK} from the top"


def _observe(run: Run) -> dict[str, Any]:
    exchange = observe_exchange(run)
    return {**exchange, "drivers": observe_drivers(on_restored(run, exchange))}


def _is_exchanged(facts: Facts) -> bool:
    """Return whether the volume of the parameters has no claim: put aside, or, in a restore given up, never in place.

    The latter never served, so no tag may say that it did: whoever asked for it would be told of too small a loss.
    """
    return bool(facts["aside"] or facts["handed_over"])


def _observe_readiness(run: Run) -> dict[str, Any]:
    facts = _observe(run)
    view, former = on_restored(run, facts), facts["drivers"]["former"]
    ready = [one["instance_id"] for one in observe_container_hosts(view) if one["instance_id"] not in former]
    return {
        **facts,
        "ready": ready,
        "without_image": hosts_without_image(view, ready),
        "proved": noted(run, "proved"),
        "loss": describe_loss(run, facts["source"]),
    }


def _check_readiness(facts: Facts) -> Sequence[Check]:
    restored, proved = facts["restored"] or {"holder": ""}, facts["proved"]
    is_proved = bool(proved) and proved["volume_id"] == facts["restored_id"]
    return (
        check_loss_accepted(facts["loss"]),
        Check("volume-proved", is_proved and not restored["holder"], "the restored volume proved, and attached nowhere",
              f"{facts['restored_id'] or 'none'} {restored['holder']}".strip(), "the outage is no time to find out",
              _TOP, PROVE),
        *check_unscaled(facts["drivers"]),
        check_one_host(facts["ready"]),
        check_gate_image(facts["without_image"]),
    )  # fmt: skip


def _is_past_check(facts: Facts) -> bool:
    return _is_exchanged(facts) or (bool(facts["restored_id"]) and is_down(facts["drivers"]))


def _is_stopped(facts: Facts) -> bool:
    """Return whether nothing is to be stopped: nothing runs, or the volume that serves is the one that shall."""
    serves = _is_exchanged(facts) and facts["drivers"]["service"].get("desired_count") != 0
    return serves or (bool(facts["restored_id"]) and is_down(facts["drivers"]))


def _stop(run: Run, _before: Facts) -> None:
    """Let the task end. The outage begins; whatever was acknowledged until now stays on the volume that leaves."""
    note_outage_start(run, lambda: target_urls(run))
    run.ecs.set_desired_count(0)


def _verify_stopped(_before: Facts, after: Facts) -> Sequence[Check]:
    return (check_down(after["drivers"], fix=f"read the service's events; {STOP_TASK}"),)


def _is_aside(facts: Facts) -> bool:
    """Return whether nobody can take the volume that leaves, nor the task of the one that comes."""
    serves = facts["handed_over"] and not is_down(facts["drivers"])
    return serves or (_is_exchanged(facts) and not facts["present"]["holder"] and is_draining(facts["drivers"]))


def _check_aside(facts: Facts) -> Sequence[Check]:
    return (check_down(facts["drivers"], why="the volume leaves with everything written", fix=_TOP, needs=STOP),)


def _put_aside(run: Run, before: Facts) -> None:
    """Take the hand-over back, let the volume's hosts drain, wait until it is attached nowhere, rename it.

    The tag goes first: a unit that drains lets the volume go, and with the tag another host's would take it at once.
    Where the other volume never left, the hosts prepared for this one drain all the same: the task must find one host.
    """
    present, drivers = before["present"], before["drivers"]
    volume_id, name = present["volume_id"], f"{run.run_id}-former"
    refuse_same_name(name, before["volume_name"])
    note_outage_start(run, lambda: target_urls(run))  # a run that found the service down measures from here on
    if CUT_OVER_TAG in present["tags"]:
        run.ec2.remove_tags(volume_id, [CUT_OVER_TAG])
    active = [h for h in drivers["hosts"] if h["instance_id"] in drivers["former"] and h["status"] == "ACTIVE"]
    if active:
        run.container_hosts.set_status([host["container_instance_arn"] for host in active], "DRAINING")
    if present["holder"]:
        with suppress(HostCommandError):  # whether the volume is let go is what is waited for
            run.host(present["holder"]).run("release_gate", timeout_s=400, volume_id=volume_id, change=True)
    wait(run, volume_id, lambda volume: volume["state"] == "available" and not volume["attachments"])
    if _is_exchanged(before):
        return
    at = run.clock.now_utc().isoformat(timespec="seconds")
    run.ec2.set_tags(volume_id, {"Name": name, REPLACED_BY_TAG: before["restored_id"], REPLACED_AT_TAG: at})


def _verify_aside(_before: Facts, after: Facts) -> Sequence[Check]:
    present = after["present"]
    return (
        Check("volume-let-go", not present["holder"], f"{present['volume_id']} attached nowhere",
              present["holder"] or "so", "two hosts must never hold it",
              f"{detach_by_hand(present)}; the runbook never forces a detach"),
        Check("volume-aside", _is_exchanged(after), f"another Name, and, once it served, the tag {REPLACED_BY_TAG}",
              present["tags"].get("Name", ""), "by its former Name a storage driver would take it", _TOP),
        Check("former-hosts-drain", is_draining(after["drivers"]), "no host of the former volume ACTIVE",
              ", ".join(after["drivers"]["former"]) or "none", "ECS would place the task there",
              "set them to DRAINING in ECS"),
    )  # fmt: skip


def _hand_over(run: Run, before: Facts) -> None:
    """Hand it over as every volume is; one that was out of service no longer says so."""
    tags = before["volume"]["tags"]
    if stale := [key for key in (REPLACED_BY_TAG, REPLACED_AT_TAG) if key in tags]:
        run.ec2.remove_tags(before["volume"]["volume_id"], stale)
    if HAND_VOLUME_OVER.act is not None:
        HAND_VOLUME_OVER.act(run, before)


def _observe_revision(run: Run) -> dict[str, Any]:
    """Return what the service runs on, and whether it runs and answers."""
    task = observe_task(run)["task"]
    is_out = open_outage_utc(run) != ""
    outage = observe_outage(run, lambda: target_urls(run), up=task is not None) if is_out else {"answers": True}
    return {**CHANGE_TASK_DEFINITION.observe(run), "up": task is not None and bool(outage["answers"])}


def _stays(facts: Facts) -> bool:
    """Return whether a restore is given up before the volume left: then only another revision of the same is due."""
    return bool(facts["exchange"]["handed_over"]) and not is_down(facts["drivers"])


def _check_revision(facts: Facts) -> Sequence[Check]:
    found = CHANGE_TASK_DEFINITION.check(facts)
    return tuple(check for check in found if check.check_id != "service-stopped" or not _stays(facts))


def _change_revision(run: Run, before: Facts) -> None:
    """Let the service use the revision; one that serves from this very volume gets another task, stop, then start."""
    if _stays(before):
        note_outage_start(run, lambda: target_urls(run))
    run.ecs.set_task_definition(before["drivers"]["revision"])


def _verify_revision(before: Facts, after: Facts) -> Sequence[Check]:
    moved = CHANGE_TASK_DEFINITION.verify(before, after)
    if not _stays(before):
        return moved
    runs = Check("service-runs", bool(after["up"]), "one task RUNNING that answers", "so" if after["up"] else "not yet",
                 fix="read the service's events")  # fmt: skip
    return (*moved, runs)


CHECK_EXCHANGE = Step(
    "check-exchange",
    NOTEBOOK,
    "Check that the volumes may be exchanged",
    _observe_readiness,
    lambda _facts: "Reads only; every check passed.",
    is_done=_is_past_check,
    check=_check_readiness,
)

STOP_SERVICE_FOR_RESTORE = Step(
    STOP,
    NOTEBOOK,
    "Stop the service",
    _observe,
    lambda facts: f"Set the desired count to 0; {len(facts['drivers']['tasks'])} tasks end; the outage begins.",
    _stop,
    is_done=_is_stopped,
    verify=_verify_stopped,
    no_return=lambda _facts: (
        "what was written since the backup stays on the volume that is put aside, and nowhere else"
    ),
    timeout_s=300,
    poll_s=0.3,
    waits_for="the task ends",
    in_outage=True,
)

PUT_VOLUME_ASIDE = Step(
    ASIDE,
    NOTEBOOK,
    "Put the volume that was in service aside, whole and under another Name",
    _observe,
    lambda facts: (
        f"Wait until {facts['present']['volume_id']} is attached nowhere; give it a Name that nothing looks for. "
        "Nothing on it is changed, and it is never deleted."
    ),
    _put_aside,
    is_done=_is_aside,
    check=_check_aside,
    verify=_verify_aside,
    timeout_s=60,
    waits_for="the host unmounts and detaches",
    in_outage=True,
)

CHANGE_REVISION = for_restore(
    CHANGE_TASK_DEFINITION,
    "change-task-definition-for-restore",
    title="Move the stopped service to the revision that names the restored volume, where one does",
    observe=_observe_revision,
    check=_check_revision,
    act=_change_revision,
    verify=_verify_revision,
    timeout_s=300,
    poll_s=0.3,
    waits_for="a service that runs gets another task",
)

HAND_RESTORED_VOLUME_OVER = for_restore(
    HAND_VOLUME_OVER,
    "hand-restored-volume-over",
    title="Hand the restored volume over",
    act=_hand_over,
    plan=lambda facts: (
        f"Give {facts['exchange']['restored_id'] or 'the restored volume'} the Name {facts['volume_name']!r}."
    ),
)

VERIFY_BEFORE_RESTORED_START = for_restore(
    VERIFY_BEFORE_CHANGE,
    "verify-before-restored-start",
    title="Verify the restored volume on its host before the application starts",
    plan=lambda facts: (
        f"Look at {facts['exchange']['restored_id'] or 'the restored volume'} on "
        f"{', '.join(facts['hosts']) or 'its host'}; compare {facts['expected']['entries']} entries with the proof."
    ),
)

START_RESTORED_SERVICE = for_restore(
    START_CHANGED_SERVICE,
    "start-restored-service",
    observe=seen_from_outside(START_CHANGED_SERVICE.observe),
    title="Start the service on the restored volume and prove that it sees it",
    plan=lambda facts: (
        f"Set the desired count to 1; the task must see {facts['exchange']['restored_id'] or 'the restored volume'}."
    ),
)

RELEASE_GATE_AFTER_RESTORE = for_restore(RELEASE_GATE_AFTER_CHANGE, "release-gate-after-restore", observe=observe_gate)

"""Restore, given up before a volume was exchanged: the one that shall serve again is in its place, and stays there.

Where the service had stopped already, no manifest tells what it left, and nobody else had the volume since. That it is
this volume, this filesystem and its root is looked at before anything is read. The manifest that is read there then is
what the host must see before the start, and the container after it. Where the service runs on, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError, HostCommandError
from runbook_lib.model import Facts
from runbook_lib.procedures.move_volume import RELEASE_GATE_AFTER_CHANGE
from runbook_lib.procedures.observations import driver_of, target_urls
from runbook_lib.procedures.outage import note_outage_start
from runbook_lib.procedures.restore_facts import NOTEBOOK, on_restored
from runbook_lib.procedures.stop_for_change import hold

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

_ENDS_S, _POLL_S = 180.0, 0.5


def observe_use(run: Run, exchange: Facts, own: Sequence[str]) -> dict[str, bool]:
    """Return what the restored volume is to the service now.

    Args:
        run: The open run.
        exchange: As `observe_exchange`.
        own: The hosts that were set up for the restored volume.

    Returns:
        Keys `in_service` (what is written there is the service's), `stays` (it is in its place, and the service is
        down: before its start, or because the restore that is given up had stopped it), `in_place` (so, and a host of
        its own has it).
    """
    if exchange["restored"] is None:
        return {"in_service": False, "stays": False, "in_place": False}
    on_own = exchange["restored"]["holder"] in own
    stays = exchange["handed_over"] and run.ecs.describe_service().get("desired_count") == 0
    in_service = not stays and (exchange["handed_over"] or (on_own and bool(run.ecs.tasks())))
    return {"in_service": in_service, "stays": stays, "in_place": stays and on_own}


def await_end_of_tasks(run: Run) -> None:
    """Wait for the tasks of a service that was told to stop: a manifest of what is written to proves nothing.

    Args:
        run: The open run.

    Raises:
        AwsError: when they have not ended after three minutes.

    Changes:
        Begins to measure the outage.
    """
    note_outage_start(run, lambda: target_urls(run))  # found down, or on its way there
    deadline = run.clock.monotonic() + _ENDS_S
    while tasks := run.ecs.tasks():
        if run.clock.monotonic() >= deadline:
            raise AwsError("ListTasks", "Timeout", f"{len(tasks)} tasks still end; run {NOTEBOOK} again when they have")
        run.clock.sleep(_POLL_S)


def look_in_place(run: Run, before: Facts, host: Host) -> dict[str, Any]:
    """Return where a host of its own has the volume, as `mount_copy` does; on anything else nothing is read.

    Args:
        run: The open run.
        before: What the proof sees: the exchange of the volumes.
        host: The host that has it.

    Returns:
        Keys `path`, `sentinel`.

    Raises:
        HostCommandError: when the service would find another volume there, another filesystem, or a directory of it.

    Changes:
        On a host with a plugin, the gate container, which keeps the volume there until the task has it.
    """
    view, known = on_restored(run, before), run.journal.last("volume")
    host.run("mount_copy", timeout_s=400, volume_id=before["restored_id"], release=True)  # of a proof that was killed
    held = hold(view, driver_of(view).gate(), host.instance_id)
    want = (before["restored_id"], known.fields["filesystem_uuid"] if known else "", "")
    got = (held["volume_id"], held["filesystem_uuid"], held["below_mount"])
    if want != got:
        text = (
            f"expected volume {want[0]}, the root of its filesystem {want[1]}, found volume {got[0] or 'none'}, "
            f"filesystem {got[1] or 'none'}, directory {got[2]!r} of it. Nothing on it was read or changed. Run again; "
            "when it says the same, look at what is mounted there"
        )
        raise HostCommandError("hold_volume", host.instance_id, text)
    return {"path": held["view"], "sentinel": held["sentinel"]}


def seen_from_outside(observe: Callable[[Run], dict[str, Any]]) -> Callable[[Run], dict[str, Any]]:
    """Return an observation of the started service that asks it for an answer also where this run has no outage.

    Args:
        observe: As `observe_target`; it knows an answer only from an outage that it ended.

    Returns:
        The observation; the service of a restore that was given up may never have stopped.
    """

    def seen(run: Run) -> dict[str, Any]:
        facts = observe(run)
        if facts["task"] is None or run.journal.last("outage") is not None:
            return facts
        return {**facts, "answers": any(run.reaches(url) for url in target_urls(run))}

    return seen


def observe_gate(run: Run) -> dict[str, Any]:
    """Return where a gate container is; one given up while the service ran has no manifest to fetch.

    Args:
        run: The open run.

    Returns:
        As the observation of `release-gate`.
    """
    has_manifest = run.journal.last("manifest", phase="before") is not None
    facts = RELEASE_GATE_AFTER_CHANGE.observe(run)
    return facts if has_manifest else {**facts, "home": True}

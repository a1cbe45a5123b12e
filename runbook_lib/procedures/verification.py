"""The command that verifies the volume on the target before the start: sent when its turn comes, or ahead of it.

Its way to the host is a part of the outage that need not be: sent while EC2 detaches the volume, it waits on the host,
takes nothing, and begins at the moment the volume gets the name that hands it over. Killed in between, it ends by
itself after `_WAITS_S`; the next attempt knows nothing of it and sends its own, which follows the one that still runs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError, OutsideError
from runbook_lib.model import Facts
from runbook_lib.procedures.manifest_before import AT_START, before_event
from runbook_lib.procedures.observations import driver_of, observe_container_hosts

if TYPE_CHECKING:
    from runbook_lib.run import Run

SCRIPT = "verify_before_start"
_WAITS_S = 30


def send_ahead(run: Run, volume: Facts) -> None:
    """Send the command to the one host that is ready for the task; where there is none, or it fails, do without.

    Args:
        run: The open run; the manifest of the stopped source is taken.
        volume: As `observe_volume`, before the hand-over. One that has the driver's name already would be taken while
            it is still being detached, so nothing is sent ahead for it.

    Changes:
        What the command says, once the volume is handed over.
    """
    run.sent_ahead.clear()  # what was sent for an earlier hand-over says nothing of this one
    if volume["tags"].get("Name") == driver_of(run).volume_name:
        return
    with suppress(OutsideError):
        hosts = [host["instance_id"] for host in observe_container_hosts(run)]
        if len(hosts) == 1:
            run.sent_ahead[hosts[0]] = _send(run, hosts[0], _WAITS_S)


def verify_on(run: Run, instance_id: str) -> dict[str, Any]:
    """Hold the volume on a host of the target and describe what is on it.

    Args:
        run: The open run.
        instance_id: The container instance.

    Returns:
        As host script `verify_before_start`: of the command that was sent ahead when it found the volume, else of one
        that is sent now.

    Raises:
        HostCommandError: as `Host.run`.

    Changes:
        What the command says.
    """
    ahead = run.sent_ahead.pop(instance_id, None)
    if ahead is not None:
        with suppress(HostCommandError):  # it waited in vain, for example: the next one says what is wrong
            return ahead()
    return _send(run, instance_id, 0)()


def _send(run: Run, instance_id: str, wait_s: int) -> Callable[[], dict[str, Any]]:
    recorded = before_event(run).fields
    volume = run.journal.last("volume")
    return run.host(instance_id).begin(
        SCRIPT,
        timeout_s=3600,
        run_id=run.run_id,
        name=AT_START,
        gate=driver_of(run).gate(),
        volume_id=run.parameters.volume.volume_id,
        filesystem_uuid=volume.fields["filesystem_uuid"] if volume else "",
        since_ns=recorded["since_ns"],
        files=recorded["files"],
        bytes=recorded["bytes"],
        seed=run.run_id,
        budget_s=run.parameters.policy.verify_budget_s,
        wait_s=wait_s,
    )

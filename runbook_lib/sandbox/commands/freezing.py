"""``fsfreeze`` of a simulated host: whoever could write to a volume through a container waits until it is thawed.

A real kernel holds each write; here the processes of every container that has the volume stand still, reads included,
and those that are born meanwhile too: stricter than a kernel, never laxer.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import read
from runbook_lib.sandbox.processes import CommandResult, freeze

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host

AGAIN_S = 0.1


class Freeze:
    """One frozen filesystem.

    Args:
        host: Where.
        volume_id: Whose filesystem it is.
    """

    def __init__(self, host: Host, volume_id: str) -> None:
        self._host, self._volume_id = host, volume_id
        self._pids: set[int] = set()
        self._thawed, self._lock = threading.Event(), threading.Lock()
        self._stop_writers()
        threading.Thread(target=self._keep, name=f"freeze-{volume_id}", daemon=True).start()

    def _keep(self) -> None:
        """Stop what is born while the filesystem is frozen."""
        while not self._thawed.wait(AGAIN_S) and not self._host.off.is_set():
            self._stop_writers()

    def _stop_writers(self) -> None:
        with self._lock:  # who is stopped here is let go by the thaw, or was not stopped
            if not self._thawed.is_set():
                self._stop_containers()

    def _stop_containers(self) -> None:
        for one in self._host.engine.containers(all_=False):
            held = {self._host.mounts.holding(self._host.canonical(mount.host_path)).volume_id for mount in one.mounted}
            if self._volume_id in held:
                self._pids.update(freeze(f"RUNBOOK_SANDBOX_VIEW={one.view_path}"))

    def thaw(self) -> None:
        """Let every process go on."""
        with self._lock:
            self._thawed.set()
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def fsfreeze(call: Call) -> CommandResult:
    """Answer ``fsfreeze -f|-u MOUNTPOINT`` in the words of util-linux."""
    options = read(call.arguments, flags=["-f --freeze", "-u --unfreeze"])
    if len(options.words) != 1 or options.has("--freeze") == options.has("--unfreeze"):
        return failed("fsfreeze: the simulated host knows only: fsfreeze -f|-u MOUNTPOINT")
    place = call.host.canonical(options.words[0])
    mount, frozen = call.host.mounts.at(place), call.host.frozen
    if mount is None or not mount.volume_id:
        return failed(f"fsfreeze: {place}: the simulated host freezes data volumes only")
    if options.has("--freeze"):
        if mount.volume_id in frozen:
            return failed(f"fsfreeze: {place}: freeze failed: Device or resource busy")
        frozen[mount.volume_id] = Freeze(call.host, mount.volume_id)
        return printed("")
    freeze_of = frozen.pop(mount.volume_id, None)
    if freeze_of is None:
        return failed(f"fsfreeze: {place}: unfreeze failed: Invalid argument")
    freeze_of.thaw()
    return printed("")

"""Note in the sandbox's event log from when to when each container of a real host ran, so that overlaps can be seen.

Follows dockerd's own events, in a thread that ends with dockerd: whoever starts a container, it is noted.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import EngineError

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost

FILTERS = {"type": ["container"], "event": ["start", "die"]}


class ContainerRecord:
    """The record of one run of dockerd.

    Args:
        host: Where it runs; dockerd answers already.
        since_s: When it was started, in Unix time: it may have started containers before it answered.
    """

    def __init__(self, host: RealHost, since_s: int) -> None:
        self._since_s = since_s
        self._host = host
        self._running: dict[str, dict[str, str]] = {}
        self._thread = threading.Thread(target=self._follow, name=f"events-{host.instance_id}", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _follow(self) -> None:
        for event in self._host.engine.api.events(FILTERS, self._since_s):
            actor = event["Actor"]
            attributes = actor["Attributes"]
            names = {"container": actor["ID"], "name": attributes["name"], "image": attributes["image"]}
            if event["Action"] == "start":
                self._running[actor["ID"]] = names
                self._note("container-started", names, mounts=self._mounts(actor["ID"]))
            elif self._running.pop(actor["ID"], None) is not None:
                self._note("container-ended", names)
        for names in self._running.values():  # with dockerd everything of it ends on a host that goes down
            self._note("container-ended", names)

    def _note(self, kind: str, names: dict[str, str], **more: Any) -> None:
        self._host.world.record(kind, instance_id=self._host.instance_id, **names, **more)

    def _mounts(self, container_id: str) -> list[dict[str, Any]]:
        """Return what a container sees where: volume id ("" is the root disk), path, and whether it may write."""
        try:
            facts = self._host.engine.api.call("GET", f"/containers/{container_id}/json")
        except EngineError:
            return []  # it has gone again
        volumes = {one.target: one.volume_id for one in self._host.mounts.seen_by(int(facts["State"]["Pid"]))}
        return [
            {
                "volume_id": volumes.get(one["Destination"], ""),
                "target": one["Destination"],
                "read_only": not one["RW"],
            }
            for one in facts["Mounts"]
        ]

"""Who wrote to the data volume when, from the sandbox's own event log: overlaps are seen although they are over."""

from __future__ import annotations

import json


class Writers:
    """The containers that run and may write, as of what was read of the log.

    Args:
        path: The sandbox's `events.jsonl`.
        volume_id: The data volume.
    """

    def __init__(self, path, volume_id):
        self._path, self._volume_id = path, volume_id
        self._offset = 0
        self._running = {}
        self.seen = 0
        """How many writers of the data volume there have been: 0 would mean that nothing was looked at."""

    def problems(self):
        """Read what is new; return a sentence for each moment with two writers, or with one beside the volume."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return [text for line in whole.splitlines() for text in self._note(json.loads(line))]

    def _note(self, event):
        """Note one event; yield what is wrong from then on."""
        if event["kind"] == "container-ended":
            self._running.pop(event["container"], None)
        elif event["kind"] == "container-started" and (where := writes_to(event)) is not None:
            who = f"{event['name']} on {event['instance_id']}"
            if where != self._volume_id:
                yield f"at {event['at']} {who} began to write to {where or 'the root disk'}, not to the data volume"
                return
            if self._running:
                yield f"at {event['at']} {who} began to write while {', '.join(self._running.values())} still did"
            self._running[event["container"]] = who
            self.seen += 1


def writes_to(event):
    """Return the volume a guestbook's container writes its data to ("" is the root disk); None when it writes none."""
    if "guestbook" not in event["image"]:
        return None
    return next((one["volume_id"] for one in event["mounts"] if not one["read_only"]), None)

"""Find, or remove, the container that holds the data volume on this host before the service has it.

Changes, only with `change`: that container ends and is removed; the volume plugin detaches the volume when no other
container of this host has it. It runs nothing of the application. Other containers stay as they are.
"""

from __future__ import annotations

from gate import container_name, find
from prelude import Refused, run


def main(arguments: dict) -> dict:
    """Return whether the gate container is there, after removing it where asked to."""
    volume_id = arguments["volume_id"]
    was_there = find(volume_id) is not None
    if was_there and arguments["change"]:
        run(["docker", "rm", "-f", container_name(volume_id)], timeout_s=300)
        if find(volume_id) is not None:
            raise Refused("still-there", "%s is still there after docker rm" % container_name(volume_id))
    return {"was_present": was_there, "present": was_there and not arguments["change"]}

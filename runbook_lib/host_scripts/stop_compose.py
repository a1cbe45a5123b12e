"""Stop a compose project's containers and keep them stopped, also over a reboot.

Changes: sets the containers' restart policy to `no` (the former one is kept in the store), stops the containers.
It removes neither containers nor volumes. Containers that are stopped already stay so. With `look`, it says at the
end who has files open, as `list_open_files` does. With `manifest` it waits until nobody has, builds the manifest of
what the service left, as `build_manifest` does, and unmounts: inside an outage each command of its own would cost its
way to the host. The caller may die before it has the answer, so the manifest's numbers are kept in the store before the
unmount, and told again when this is run on a volume that is not mounted any more.
"""

from __future__ import annotations

import json
import os
import time

from build_manifest import main as build_manifest
from containers import compose_command, compose_containers
from kept_answer import forget, keep, kept
from list_open_files import look
from prelude import STORE, Refused, read_text, run, write_atomically
from release_mount import release

CLOSES_S, POLL_S = 30.0, 0.2  # how long a process that is no container may take to close its files
STOP_S = 540  # every container's own grace period, or the one given, must have ended by then


def main(arguments: dict) -> dict:
    """Remember restart policies, clear them, stop; without `grace_s` each service gets its own grace period."""
    services = arguments.get("services") or []
    chosen = [row for row in compose_containers(arguments["project"]) if not services or row["service"] in services]
    if not chosen:
        message = "compose project %s has no containers of %s" % (arguments["project"], services or "any service")
        raise Refused("no-containers", message, project=arguments["project"])
    record = os.path.join(STORE, arguments["run_id"], "compose-restart.json")
    policies = remember(record, chosen)
    restarting = [row["id"] for row in chosen if row["restart_policy"] != "no"]
    if restarting:
        run(["docker", "update", "--restart=no", *restarting])
    grace = [] if arguments.get("grace_s") is None else ["-t", str(int(arguments["grace_s"]))]
    if any(row["status"] not in ("exited", "created", "dead") for row in chosen):
        forget()  # it may have written since, wherever the volume is mounted now
        command = compose_command(arguments["project"], arguments["file"])
        run([*command, "stop", *grace, *services], timeout_s=STOP_S)
    ids = {row["id"] for row in chosen}
    after = [row for row in compose_containers(arguments["project"]) if row["id"] in ids]
    up = [row["name"] for row in after if row["status"] not in ("exited", "created", "dead")]
    if up:
        raise Refused("still-running", "still running after stop: %s" % ", ".join(up), containers=after)
    stopped = {"containers": after, "restart_policies": policies, "record": record}
    if arguments.get("manifest"):
        return dict(stopped, **released_with_manifest(arguments))
    return dict(stopped, look=look(arguments["look"])) if arguments.get("look") else stopped


def released_with_manifest(arguments: dict) -> dict:
    """Return the manifest once nobody has a file open, and the look after the unmount; none while somebody has."""
    deadline, seen = time.monotonic() + arguments.get("closes_s", CLOSES_S), look(arguments["look"])
    while seen["open_files"] and time.monotonic() < deadline:
        time.sleep(POLL_S)
        seen = look(arguments["look"])
    if not seen["mounted"]:
        return {"look": seen, "manifest": kept(arguments["run_id"])}
    forget()
    if seen["open_files"]:
        return {"look": seen, "manifest": None}
    built = build_manifest(arguments["manifest"])
    keep(arguments["run_id"], built)
    release(arguments["manifest"]["root"])
    return {"look": look(arguments["look"]), "manifest": built}


def remember(record: str, chosen: list) -> dict:
    """Write the restart policies that are not remembered yet; a second stop must not remember its own `no`."""
    policies = json.loads(read_text(record, "{}"))
    for row in chosen:
        policies.setdefault(row["id"], row["restart_policy"])
    write_atomically(record, json.dumps(policies, sort_keys=True).encode("ascii"))
    return policies

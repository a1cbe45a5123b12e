"""List who has files open below a mount, and how the containers of a project are. Changes nothing.

Reads /proc and findmnt; with `project` also docker ps and docker inspect, so that one command tells both; with `run_id`
whether the host kept the manifest of that run's unmount.
Scripts that act look in the same way when they have acted, so that no second command is needed inside an outage.
"""

from __future__ import annotations

from containers import compose_containers
from holders import open_files
from kept_answer import kept
from mounts import mount_at


def main(arguments: dict) -> dict:
    """Look, and return what was seen."""
    return look(arguments)


def look(arguments: dict) -> dict:
    """Return whether the path is a mount, who holds it, and how many processes could not be looked into."""
    mounted = mount_at(arguments["mount_path"]) is not None
    rows, unreadable = open_files(arguments["mount_path"]) if mounted else ([], 0)
    facts = {"mounted": mounted, "open_files": rows, "unreadable_processes": unreadable}
    if arguments.get("project"):
        facts["containers"] = compose_containers(arguments["project"])
    if arguments.get("run_id"):
        facts["manifest_kept"] = kept(arguments["run_id"]) is not None
    return facts

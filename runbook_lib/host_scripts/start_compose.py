"""Start the containers of a compose project that stop_compose stopped, with the restart policies they had.

Changes: restores restart policies, starts the same containers; makes them anew only where they were removed.
It refuses to start anything on an empty folder: the data volume must be mounted.
"""

from __future__ import annotations

import json
import os
import time

from containers import compose_command, compose_containers
from mounts import mount_at
from prelude import STORE, Refused, read_text, run


def main(arguments: dict) -> dict:
    """Start, then wait until every container runs and is healthy."""
    mount_path = arguments.get("mount_path")
    if mount_path and mount_at(mount_path) is None:
        message = "nothing is mounted at %s; the service would start on an empty folder" % mount_path
        raise Refused("not-mounted", message, mount_path=mount_path)
    project, services = arguments["project"], arguments.get("services") or []
    command = compose_command(project, arguments["file"])
    known = select(project, services)
    restore_policies(os.path.join(STORE, arguments["run_id"], "compose-restart.json"), known)
    missing = not known or bool(set(services) - {row["service"] for row in known})
    verb = ["up", "-d", "--no-build", "--no-recreate"] if missing else ["start"]
    if missing or any(row["status"] != "running" for row in known):
        run(command + verb + services, timeout_s=300)
    return {"containers": wait_until_serving(project, services, float(arguments["wait_s"])), "created": missing}


def select(project: str, services: list) -> list:
    """Return the containers of the services, of all when none is named."""
    return [row for row in compose_containers(project) if not services or row["service"] in services]


def restore_policies(record: str, containers: list) -> None:
    """Set the remembered restart policy of each container that lacks it."""
    policies = json.loads(read_text(record, "{}"))
    for row in containers:
        former = policies.get(row["id"], row["restart_policy"])
        if former != row["restart_policy"]:
            run(["docker", "update", "--restart=%s" % former, row["id"]])


def has_done_its_work(row: dict) -> bool:
    """Return whether a container ran, ended well, and is not to be started again."""
    restarts = row["restart_policy"].partition(":")[0]
    return row["status"] == "exited" and row["exit_code"] == 0 and restarts in ("no", "on-failure")


def wait_until_serving(project: str, services: list, wait_s: float) -> list:
    """Return the containers once all run, or did their work, and none is starting; refuse when one gets not there."""
    deadline = time.monotonic() + wait_s
    while True:
        rows = select(project, services)
        stopped = [row for row in rows if row["status"] != "running" and not has_done_its_work(row)]
        waiting = [row for row in rows if row["health"] in ("starting", "unhealthy")]
        if any(row["status"] == "running" for row in rows) and not stopped and not waiting:
            return rows
        if time.monotonic() >= deadline:
            break
        time.sleep(0.25)
    kind = "not-running" if stopped or not rows else "unhealthy"
    troubled = (stopped or waiting)[:1]
    log = run(["docker", "logs", "--tail", "20", troubled[0]["id"]], accept=(0, 1))[1] if troubled else ""
    message = "not serving after %g s: %s" % (wait_s, ", ".join(row["name"] for row in stopped or waiting) or "nothing")
    raise Refused(kind, message, containers=rows, log=log)

"""Find containers, compose projects and plugins through the docker command; changes nothing."""

from __future__ import annotations

import json
import os

from mounts import host_path
from prelude import Refused, run


def inspect_containers(labels: dict) -> list:
    """Return docker's description of every container, running or not, that carries these labels."""
    argv = ["docker", "ps", "--all", "--quiet", "--no-trunc"]
    for key, value in sorted(labels.items()):
        argv += ["--filter", "label=%s=%s" % (key, value)]
    ids = run(argv)[1].split()
    return json.loads(run(["docker", "inspect", "--type", "container", *ids])[1]) if ids else []


def find_container(selector: dict) -> dict:
    """Return docker's description of the running container of an ECS task, or of the given name."""
    if selector.get("name"):
        code, output = run(["docker", "inspect", "--type", "container", selector["name"]], accept=(0, 1))
        found = json.loads(output) if code == 0 else []
    else:
        prefix = "com.amazonaws.ecs."
        labels = {prefix + "task-arn": selector["task_arn"], prefix + "container-name": selector["container_name"]}
        found = inspect_containers(labels)
    running = [row for row in found if row["State"].get("Running") and row["State"].get("Pid")]
    if not running:
        states = [row["State"].get("Status") for row in found]
        raise Refused("no-container", "no running container", selector=selector, states=states)
    return running[0]


def view_path(container: dict, container_path: str) -> str:
    """Return the host's path of a container's path, as that container sees it."""
    return "/proc/%d/root%s" % (container["State"]["Pid"], os.path.normpath("/" + container_path.lstrip("/")))


def source_of(container: dict, container_path: str) -> str:
    """Return the host's path of what a running container has mounted at a path, "" when it has nothing there."""
    pid = container["State"].get("Pid") or 0
    return host_path(pid, os.path.normpath("/" + container_path.lstrip("/"))) if pid else ""


def compose_container(row: dict) -> dict:
    """Return the facts of one container of a compose project."""
    policy = row["HostConfig"].get("RestartPolicy") or {}
    count = policy.get("MaximumRetryCount") or 0
    name = policy.get("Name") or "no"
    return {
        "id": row["Id"],
        "name": row["Name"].lstrip("/"),
        "service": (row["Config"].get("Labels") or {}).get("com.docker.compose.service", ""),
        "status": row["State"].get("Status", ""),
        "health": (row["State"].get("Health") or {}).get("Status", ""),
        "exit_code": row["State"].get("ExitCode", 0),
        "pid": row["State"].get("Pid", 0),
        "image": row["Config"].get("Image", ""),
        "image_id": row.get("Image", ""),
        "restart_policy": "%s:%d" % (name, count) if count else name,
    }


def compose_containers(project: str) -> list:
    """Return the facts of every container of a compose project; version 1 and 2 set the same labels."""
    return sorted(
        (compose_container(row) for row in inspect_containers({"com.docker.compose.project": project})),
        key=lambda facts: facts["name"],
    )


def compose_command(project: str, file: str) -> list:
    """Return the start of a compose command line: the docker plugin, or the stand-alone version 1."""
    try:
        base = ["docker", "compose"] if run(["docker", "compose", "version"], accept=(0, 1, 125))[0] == 0 else None
    except Refused:
        base = None
    return (base or ["docker-compose"]) + ["-p", project, "-f", file]


def plugins() -> list:
    """Return every managed docker plugin with its settings; credentials are never returned."""
    ids = run(["docker", "plugin", "ls", "--quiet", "--no-trunc"])[1].split()
    found = json.loads(run(["docker", "plugin", "inspect", *ids])[1]) if ids else []
    rows = []
    for row in found:
        settings = dict(pair.split("=", 1) for pair in row["Settings"].get("Env") or () if "=" in pair)
        hidden = {key: "(hidden)" for key, value in settings.items() if value and key.endswith(("KEY", "SECRET"))}
        settings.update(hidden)
        reference = row.get("PluginReference", "")
        rows.append({"name": row["Name"], "reference": reference, "enabled": row["Enabled"], "settings": settings})
    return rows

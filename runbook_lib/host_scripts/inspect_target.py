"""Read how the container of an ECS task sees the data volume.

Reads: docker plugin/volume/inspect, findmnt, lsblk, blkid -p, the sentinel through /proc/<pid>/root. Changes nothing.
"""

from __future__ import annotations

import json
import os

from containers import find_container, plugins, source_of, view_path
from digests import sha256
from mounts import block_devices, device_row, find_mounts, probe_device
from prelude import Refused, read_text, root_facts, run

NOTHING = {"container": None, "mount": None, "below_mount": "", "device": None, "volume_id": "", "filesystem_uuid": "",
           "filesystem_type": "", "sentinel": None, "root": None}  # fmt: skip


def main(arguments: dict) -> dict:
    """Return the facts; what is not there yet, or no more, is null, so the caller can look again."""
    container = find_or_none(arguments)
    seen = look(container, arguments) if container else NOTHING
    if container and not os.path.isdir(view_path(container, "/")):
        seen = NOTHING  # it ended meanwhile: a sentinel that could no longer be read says nothing of the volume
    return {
        "sys_vendor": read_text("/sys/class/dmi/id/sys_vendor").strip(),
        "plugins": plugins(),
        "volume": docker_volume(arguments["volume_name"]),
        **seen,
    }


def look(container: dict, arguments: dict) -> dict:
    """Return what a running container sees of the volume."""
    container_path = os.path.normpath("/" + arguments["container_path"].lstrip("/"))
    mount_source = source_of(container, container_path)
    rows = find_mounts("--target", mount_source) if mount_source else []
    mount = rows[-1] if rows else None
    device = device_of(mount["source"]) if mount else None
    serial = device["serial"] if device else ""
    probe = probe_device(device["path"]) if device else {}
    view = view_path(container, container_path)
    return {
        "container": container_facts(container),
        "mount": mount,
        "below_mount": below(mount_source, mount["target"]) if mount else "",
        "device": device,
        "volume_id": "vol-" + serial.replace("-", "")[3:] if serial.startswith("vol") else "",
        "filesystem_uuid": probe.get("uuid", ""),
        "filesystem_type": probe.get("type", ""),
        "sentinel": read_sentinel(view),
        "root": root_facts(view) if os.path.isdir(view) else None,
    }


def find_or_none(arguments: dict) -> dict | None:
    """Return the running container of the task, or None."""
    try:
        return find_container(arguments)
    except Refused as refusal:
        if refusal.kind != "no-container":
            raise
        return None


def docker_volume(name: str) -> dict | None:
    """Return what docker knows of a volume, or None when no driver knows the name."""
    code, output = run(["docker", "volume", "inspect", name], timeout_s=120, accept=(0, 1))
    found = json.loads(output) if code == 0 else []
    keys = ("Name", "Driver", "Mountpoint", "Scope")
    return {key.lower(): found[0].get(key, "") for key in keys} if found else None


def container_facts(row: dict) -> dict:
    """Return the facts of one container."""
    return {
        "id": row["Id"],
        "name": row["Name"].lstrip("/"),
        "status": row["State"].get("Status", ""),
        "health": (row["State"].get("Health") or {}).get("Status", ""),
        "pid": row["State"].get("Pid", 0),
        "exit_code": row["State"].get("ExitCode", 0),
        "image": row["Config"].get("Image", ""),
        "image_id": row.get("Image", ""),
        "user": row["Config"].get("User", ""),
        "mounts": [
            {
                "type": mount.get("Type", ""),
                "name": mount.get("Name", ""),
                "source": mount.get("Source", ""),
                "destination": mount.get("Destination", ""),
                "driver": mount.get("Driver", ""),
                "read_write": mount.get("RW", True),
            }
            for mount in row.get("Mounts", ())
        ],
    }


def device_of(source: str) -> dict | None:
    """Return the disk that a mount's source names, or None for one that lsblk does not know."""
    name = source.partition("[")[0]  # a folder bound from a filesystem reads /dev/nvme1n1[/folder]
    for row in block_devices():
        if row["name"] in (name, os.path.realpath(name)):
            return device_row(row, "mount")
    return None


def below(path: str, target: str) -> str:
    """Return the path below its mount, "" for the mount itself."""
    relative = os.path.relpath(path, target)
    return "" if relative == "." else relative


def read_sentinel(view: str) -> dict | None:
    """Return the sentinel as the container sees it, or None."""
    path = os.path.join(view, ".runbook", "sentinel.json")
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    digest = sha256(content).hexdigest()
    return {"path": path, "content": content.decode("utf-8", "replace"), "sha256": digest}

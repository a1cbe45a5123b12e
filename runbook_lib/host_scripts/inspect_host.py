"""Read what the source host and the data volume on it look like.

Reads: DMI, kernel, findmnt, lsblk, blkid -p, statvfs, /proc, /etc/fstab, systemd units, docker info. Changes nothing.
"""

from __future__ import annotations

import glob
import json
import os
import platform

from holders import open_files
from mounts import block_devices, find_device, find_mounts, mount_at, probe_device
from prelude import Refused, read_text, root_facts, run

UNIT_FILES = ("/etc/systemd/system/*.mount", "/etc/systemd/system/*.automount", "/etc/systemd/system/*.service")


def main(arguments: dict) -> dict:
    """Return the facts of the host; every fact about a volume that is not there is null or empty."""
    mount_path = arguments["mount_path"].rstrip("/") or "/"
    devices = block_devices()
    device = find_device(devices, arguments["volume_id"], arguments.get("device_name") or "")
    mount = mount_at(mount_path)
    probe = probe_device(device["path"]) if device else {}
    docker_root_dir = find_docker_root_dir()
    facts = host_facts()
    facts.update(
        mount=mount,
        other_mounts=find_other_mounts(device["path"] if device else (mount or {}).get("source"), mount_path),
        block_devices=devices,
        device=device,
        probe=probe,
        root=root_facts(mount_path) if mount else None,
        usage=usage(mount_path) if mount else None,
        open_files=open_files(mount_path)[0] if mount else [],
        fstab=fstab_lines(mount_path, device, probe),
        mount_units=units_naming(mount_path),
        docker_root_dir=docker_root_dir,
        docker_root_on_volume=bool(mount and docker_root_dir) and is_below(docker_root_dir, mount_path),
    )
    return facts


def host_facts() -> dict:
    """Return who made the machine and what it runs."""
    return {
        "sys_vendor": read_text("/sys/class/dmi/id/sys_vendor").strip(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def find_other_mounts(source: str, mount_path: str) -> list:
    """Return the mounts of a device at any other path, bind mounts of its folders included."""
    rows = find_mounts("--source", source) if source else []
    return [row for row in rows if row["target"] != mount_path]


def usage(path: str) -> dict:
    """Return free and used space and inodes of a filesystem."""
    found = os.statvfs(path)
    return {
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
        "used_bytes": (found.f_blocks - found.f_bfree) * found.f_frsize,
        "total_inodes": found.f_files,
        "free_inodes": found.f_favail,
    }


def fstab_lines(mount_path: str, device: dict | None, probe: dict) -> list:
    """Return the lines of /etc/fstab that would mount the volume again after a reboot."""
    names = {mount_path, (device or {}).get("path", ""), (device or {}).get("mountpoint", "")}
    names |= {"UUID=" + probe.get("uuid", "?"), "LABEL=" + probe.get("label", "?")}
    rows = []
    for number, line in enumerate(read_text("/etc/fstab").splitlines(), start=1):
        fields = [field.rstrip("/") or "/" for field in line.split()[:2]]
        if not line.lstrip().startswith("#") and (names - {""}) & set(fields):
            rows.append({"number": number, "line": line})
    return rows


def units_naming(mount_path: str) -> list:
    """Return the unit files of systemd that name the mount path."""
    paths = sorted(path for pattern in UNIT_FILES for path in glob.glob(pattern))
    return [path for path in paths if mount_path in read_text(path)]


def find_docker_root_dir() -> str:
    """Return where dockerd keeps images and volumes, "" where docker is not running."""
    try:
        return json.loads(run(["docker", "info", "--format", "{{json .DockerRootDir}}"])[1]) or ""
    except Refused:
        return ""


def is_below(path: str, mount_path: str) -> bool:
    """Return whether a path lies on the mounted filesystem."""
    real = os.path.realpath(path)
    return real == mount_path or real.startswith(mount_path.rstrip("/") + "/")

"""Find mounts and block devices on this host; changes nothing."""

from __future__ import annotations

import json
import os
import re

from prelude import read_text, run

PROC = os.environ.get("RUNBOOK_PROC", "/proc")
LSBLK_COLUMNS = ("NAME,SERIAL,TYPE,FSTYPE,PTTYPE,UUID,SIZE,MOUNTPOINT", "NAME,SERIAL,TYPE,FSTYPE,UUID,SIZE,MOUNTPOINT")


def find_mounts(option: str, value: str) -> list:
    """Return findmnt's rows for `--mountpoint PATH`, `--target PATH` or `--source DEVICE`; [] when there is none."""
    argv = ["findmnt", "--json", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS", option, value]
    _, output = run(argv, accept=(0, 1))
    return json.loads(output)["filesystems"] if output.strip() else []


def mount_at(mount_path: str) -> dict | None:
    """Return the topmost mount whose target is this very path, or None."""
    rows = find_mounts("--mountpoint", mount_path)
    return rows[-1] if rows else None


def host_path(pid: int, path: str) -> str:
    """Return the host's path of what a process has mounted at a path; "" when it has nothing there, or the host not.

    The kernel is asked, because docker does not know: `docker inspect` tells of a plugin's volume what the plugin said
    when the container was made: "" for one that was not mounted then, else a path in the plugin's own root.
    """
    seen = [row for row in mount_table(str(pid)) if row["target"] == path]
    for row in mount_table("self") if seen else []:
        below = os.path.relpath(seen[-1]["folder"], row["folder"])
        if row["device"] == seen[-1]["device"] and below.split("/")[0] != "..":
            return os.path.normpath(os.path.join(row["target"], below))
    return ""


def mount_table(pid: str) -> list:
    """Return the device number, the folder on it and the target of every mount that a process sees, oldest first."""
    rows = []
    for line in read_text("%s/%s/mountinfo" % (PROC, pid)).splitlines():
        device, folder, target = line.split(" ")[2:5]
        rows.append({"device": device, "folder": unescaped(folder), "target": unescaped(target)})
    return rows


def unescaped(text: str) -> str:
    """Return a path of mountinfo, in which the kernel writes blanks and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def block_devices() -> list:
    """Return lsblk's tree; util-linux before 2.33 (Amazon Linux 2) lacks PTTYPE, which blkid then tells."""
    code, output = run(["lsblk", "--json", "-b", "-p", "-o", LSBLK_COLUMNS[0]], accept=(0, 1))
    if code:
        _, output = run(["lsblk", "--json", "-b", "-p", "-o", LSBLK_COLUMNS[1]])
    return json.loads(output)["blockdevices"]


def find_device(devices: list, volume_id: str, device_name: str = "") -> dict | None:
    """Return the disk of an EBS volume by its NVMe serial (the id without dash), else by device name; or None."""
    wanted = volume_id.replace("-", "")
    for row in devices:
        if (row.get("serial") or "").strip().replace("-", "") == wanted:
            return device_row(row, "serial")
    names = {device_name, device_name.replace("/dev/sd", "/dev/xvd")} - {""}
    real = {os.path.realpath(name) for name in names}
    for row in devices:
        serial = (row.get("serial") or "").strip()
        if row["name"] in names | real and not serial.startswith("vol"):
            return device_row(row, "device_name")
    return None


def device_row(row: dict, found_by: str) -> dict:
    """Return the facts of one disk of lsblk's tree."""
    return {
        "path": row["name"],
        "serial": (row.get("serial") or "").strip(),
        "type": row.get("type") or "",
        "fstype": row.get("fstype") or "",
        "uuid": row.get("uuid") or "",
        "pttype": row.get("pttype") or "",
        "size_bytes": int(row.get("size") or 0),
        "mountpoint": row.get("mountpoint") or "",
        "children": [child["name"] for child in row.get("children") or ()],
        "found_by": found_by,
    }


def probe_device(path: str) -> dict:
    """Return what blkid's low-level probe recognises on a device, {} for nothing."""
    _, output = run(["blkid", "-p", "-o", "export", path], accept=(0, 2))
    found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    return {key.lower(): found[key] for key in ("TYPE", "UUID", "USAGE", "PTTYPE", "LABEL") if key in found}

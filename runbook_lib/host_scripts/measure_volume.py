"""Measure the data volume's device and the filesystem on it, in bytes. Changes nothing.

The size of the filesystem is its own, as its tools tell it: what `df` shows is less by what the filesystem keeps for
itself, so that nobody could say from it whether the device is used up.
"""

from __future__ import annotations

import re

from mounts import block_devices, find_device, find_mounts
from prelude import Refused, run

EXT, XFS = ("ext2", "ext3", "ext4"), "xfs"


def main(arguments: dict) -> dict:
    """Return the device, where the kernel has it mounted, and both sizes."""
    return measure(arguments["volume_id"])


def measure(volume_id: str) -> dict:
    """Return the same; refuse a volume that is not here, or not mounted as a whole."""
    device = find_device(block_devices(), volume_id)
    if device is None:
        raise Refused("no-device", "no device of %s on this host" % volume_id)
    mounts = [row for row in find_mounts("--source", device["path"]) if row["source"] == device["path"]]
    if not mounts or device["children"] or device["pttype"]:
        message = "%s is not mounted as a whole on this host; nothing was changed" % device["path"]
        raise Refused("not-mounted", message, device=device, mounts=mounts)
    fstype, path = mounts[0]["fstype"], mounts[0]["target"]
    return {
        "device": device["path"],
        "path": path,
        "fstype": fstype,
        "filesystem_uuid": device["uuid"],
        "device_bytes": device["size_bytes"],
        "filesystem_bytes": filesystem_bytes(fstype, device["path"], path),
    }


def filesystem_bytes(fstype: str, device: str, path: str) -> int:
    """Return the size of a mounted filesystem as its own tools tell it."""
    if fstype in EXT:
        _, output = run(["dumpe2fs", "-h", device])
        found = [re.search(r"^Block %s: +(\d+)$" % name, output, re.MULTILINE) for name in ("count", "size")]
    elif fstype == XFS:
        _, output = run(["xfs_info", path])
        data = re.search(r"^data .*bsize=(\d+) +blocks=(\d+)", output, re.MULTILINE)
        return int(data[1]) * int(data[2]) if data else unreadable("xfs_info", output)
    else:
        raise Refused("unknown-filesystem", "%s on %s is no filesystem that is grown here" % (fstype, device))
    return int(found[0][1]) * int(found[1][1]) if all(found) else unreadable("dumpe2fs", output)


def unreadable(program: str, output: str) -> int:
    """Refuse an answer that tells no size."""
    raise Refused("unreadable-answer", "%s tells no size: %s" % (program, output[-300:]))

"""Unmount the data volume from this host, only when nothing holds it; never by force.

Changes: writes dirty pages, unmounts the path, flushes the device's buffers. A path that is not mounted stays so.
With `look`, it says at the end whether the path is mounted and who has files open, as `list_open_files` does.
"""

from __future__ import annotations

import os

from holders import foreign_mounts, open_files, own_device
from list_open_files import look
from mounts import find_mounts, mount_at
from prelude import Refused, run


def main(arguments: dict) -> dict:
    """Unmount, and look again where asked to."""
    released = release(arguments)
    return dict(released, look=look(arguments["look"])) if arguments.get("look") else released


def release(arguments: dict) -> dict:
    """Unmount and prove it; refuse when something holds the mount or another device is mounted there."""
    path = arguments["mount_path"].rstrip("/") or "/"
    mount = mount_at(path)
    if mount is None:
        return {"was_mounted": False, "released": True, "source": "", "fstype": "", "options": ""}
    expected = arguments.get("expected_source")
    if expected and os.path.realpath(mount["source"]) != os.path.realpath(expected):
        message = "%s is mounted from %s, not from %s" % (path, mount["source"], expected)
        raise Refused("unexpected-source", message, mount=mount, expected_source=expected)
    others = [row for row in find_mounts("--source", mount["source"]) if row["target"] != path]
    if others:
        targets = ", ".join(row["target"] for row in others)
        raise Refused("mounted-elsewhere", "%s is also mounted at %s" % (mount["source"], targets), mounts=others)
    refuse_busy(path)
    device = own_device(path)
    run(["sync", "-f", path], timeout_s=300)
    run(["umount", path], timeout_s=120)
    run(["blockdev", "--flushbufs", mount["source"]])
    verify_released(path, mount, device)
    released = {key: mount[key] for key in ("source", "fstype", "options")}
    return dict(released, was_mounted=True, released=True)


def refuse_busy(path: str) -> None:
    """Refuse when any process or mount namespace holds the mount."""
    rows, _ = open_files(path)  # the kernel refuses the umount for a holder that could not be seen
    if rows:
        who = ", ".join(sorted({"%s (pid %d)" % (row["command"], row["pid"]) for row in rows})[:5])
        raise Refused("busy", "%s is held by %s; nothing was unmounted" % (path, who), open_files=rows)


def verify_released(path: str, mount: dict, device: int | None) -> None:
    """Refuse when the device is still mounted anywhere, in any mount namespace."""
    rows = find_mounts("--source", mount["source"])
    held = foreign_mounts(device, followers=True)
    if rows or held:
        message = "%s was unmounted from %s but is still mounted" % (mount["source"], path)
        raise Refused("still-mounted", message, mounts=rows, open_files=held)

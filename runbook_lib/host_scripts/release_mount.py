"""Unmounting the data volume, only when nothing holds it; never by force."""

from __future__ import annotations

from holders import foreign_mounts, open_files, own_device
from mounts import find_mounts, mount_at
from prelude import Refused, run


def release(path: str) -> None:
    """Write dirty pages, unmount, flush the device's buffers, prove it; what is not mounted stays so.

    Refuses when something holds the mount, or the device is mounted elsewhere as well.
    """
    mount = mount_at(path)
    if mount is None:
        return
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

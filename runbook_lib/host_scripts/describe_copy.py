"""Mount a copy of the data volume read-only, describe everything on it, and unmount it again.

Changes: a mount below /var/lib/runbook while it runs, and a manifest there; a mount that a killed attempt left is
released first. Nothing is written onto the copy: journal and log are not replayed, which a volume that was unmounted
cleanly does not need. A filesystem with another UUID is not mounted. btrfs is refused: the kernel would take a copy for
the mounted original, because it knows filesystems by their UUID.
"""

from __future__ import annotations

import os

from build_manifest import main as build_manifest
from mount_volume import wait_for_device
from mounts import mount_at, probe_device
from prelude import STORE, Refused, run

OPTIONS = {"xfs": "ro,norecovery,nouuid", "ext4": "ro,noload", "ext3": "ro,noload", "ext2": "ro"}


def main(arguments: dict) -> dict:
    """Return what build_manifest says of the copy, with the filesystem's UUID."""
    device = wait_for_device(arguments)
    probe = probe_device(device["path"])
    fstype, expected = probe.get("type", ""), arguments["filesystem_uuid"]
    if probe.get("uuid") != expected:
        message = "%s holds filesystem %s, not %s; nothing was mounted" % (device["path"], probe.get("uuid"), expected)
        raise Refused("unexpected-filesystem", message, device=device, probe=probe)
    if fstype not in OPTIONS:
        message = "a copy of a %s filesystem cannot be mounted beside its original; nothing was mounted" % fstype
        raise Refused("cannot-mount-beside", message, device=device, probe=probe)
    path = os.path.join(STORE, "copy", arguments["volume_id"])
    os.makedirs(path, mode=0o700, exist_ok=True)
    release(path)
    run(["mount", "-t", fstype, "-o", OPTIONS[fstype], device["path"], path], timeout_s=300)
    try:
        built = build_manifest({"run_id": arguments["run_id"], "name": arguments["name"], "root": path})
    finally:
        release(path)
    return dict(built, filesystem_uuid=expected, filesystem_type=fstype)


def release(path: str) -> None:
    """Unmount the copy where it is mounted."""
    if mount_at(path) is not None:
        run(["umount", path], timeout_s=300)

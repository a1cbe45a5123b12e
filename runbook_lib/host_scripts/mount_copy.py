"""Mount a restored copy of the data volume beside the original, to be looked at or used there; or release it again.

Changes: a mount below /var/lib/runbook/copy, with the journal replayed. A filesystem with
another UUID is not mounted; btrfs is refused, because the kernel would take the copy for the mounted original.
"""

from __future__ import annotations

import os

from describe_copy import release
from inspect_target import read_sentinel
from mount_volume import wait_for_device
from mounts import mount_at, probe_device
from prelude import STORE, Refused, run

OPTIONS = {"xfs": "rw,nouuid", "ext4": "rw", "ext3": "rw", "ext2": "rw"}


def main(arguments: dict) -> dict:
    """Mount the copy and return where, with its sentinel; with `release`, unmount it and return what is left."""
    path = os.path.join(STORE, "copy", arguments["volume_id"])
    if arguments.get("release"):
        release(path)
        return {"path": path, "mounted": mount_at(path) is not None}
    device = wait_for_device(arguments)
    probe = probe_device(device["path"])
    fstype, expected = probe.get("type", ""), arguments["filesystem_uuid"]
    if probe.get("uuid") != expected or fstype not in OPTIONS:
        message = "%s holds %s %s, not a filesystem %s that can be mounted beside its original; nothing was mounted" % (
            device["path"], fstype, probe.get("uuid"), expected,
        )  # fmt: skip
        raise Refused("unexpected-filesystem", message, device=device, probe=probe)
    os.makedirs(path, mode=0o755, exist_ok=True)
    if mount_at(path) is None:
        run(["mount", "-t", fstype, "-o", OPTIONS[fstype], device["path"], path], timeout_s=300)
    return {"path": path, "mounted": mount_at(path) is not None, "sentinel": read_sentinel(path)}

"""Mount the data volume on this host again, after proving that it is the right filesystem.

Changes: makes the mount path when missing, mounts the device. A volume that is mounted there already stays so. Lines
of /etc/fstab that 50_retire_source took out for this path come back first: without them a restart of this host would
start the service on an empty directory. What an unmount kept of its manifest is forgotten: from now on it is old.
"""

from __future__ import annotations

import os
import time

from fstab import restore
from kept_answer import forget
from mounts import block_devices, find_device, mount_at, probe_device
from prelude import Refused, run


def main(arguments: dict) -> dict:
    """Find the device, compare its filesystem's UUID, mount, and prove the mount."""
    path = arguments["mount_path"].rstrip("/") or "/"
    device = wait_for_device(arguments)
    probe = probe_device(device["path"])
    expected = arguments["filesystem_uuid"]
    if probe.get("uuid") != expected:
        message = "%s holds filesystem %s, not %s; nothing was mounted" % (device["path"], probe.get("uuid"), expected)
        raise Refused("unexpected-filesystem", message, device=device, probe=probe)
    brought_back = restore(path)
    mount = mount_at(path)
    mounted = mount is None
    if mounted:
        forget()
        os.makedirs(path, exist_ok=True)
        options = ["-o", arguments["options"]] if arguments.get("options") else []
        run(["mount", "-t", arguments["fstype"], *options, device["path"], path], timeout_s=300)
        mount = mount_at(path)
    if mount is None or os.path.realpath(mount["source"]) != os.path.realpath(device["path"]):
        message = "%s is mounted from %s, not from %s" % (path, (mount or {}).get("source"), device["path"])
        raise Refused("other-source", message, mount=mount, device=device)
    return dict(mount, mounted=mounted, filesystem_uuid=expected, fstab=brought_back)


def wait_for_device(arguments: dict) -> dict:
    """Return the volume's device; an attached volume may need seconds until the kernel shows it."""
    deadline = time.monotonic() + float(arguments.get("wait_s", 10))
    while True:
        device = find_device(block_devices(), arguments["volume_id"], arguments.get("device_name") or "")
        if device:
            return device
        if time.monotonic() >= deadline:
            message = "no device of %s on this host" % arguments["volume_id"]
            raise Refused("no-device", message, block_devices=block_devices())
        time.sleep(0.25)

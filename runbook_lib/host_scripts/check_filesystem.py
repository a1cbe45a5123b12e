"""Check the data volume's filesystem without changing it: `e2fsck -f -n` or `xfs_repair -n`, never while mounted.

Reads: the device. Changes nothing; both checkers open it read-only.
"""

from __future__ import annotations

import struct

from mount_volume import wait_for_device
from mounts import find_mounts, probe_device
from prelude import Refused, run

SUPERBLOCK = 1024
FEATURE_INCOMPAT = SUPERBLOCK + 0x60
RECOVER = 0x4
# Source: e2fsck(8): 4 is "errors left uncorrected"; xfs_repair(8): with -n, 1 is "corruption was detected"
CHECKERS = {"ext": (["e2fsck", "-f", "-n"], 4), "xfs": (["xfs_repair", "-n"], 1)}


def main(arguments: dict) -> dict:
    """Return what the checker of the filesystem says; refuse a mounted device and another filesystem."""
    device = wait_for_device(arguments)
    mounts = find_mounts("--source", device["path"])
    if mounts:
        message = "%s is mounted at %s; a mounted filesystem cannot be checked" % (device["path"], mounts[0]["target"])
        raise Refused("mounted", message, mounts=mounts)
    probe = probe_device(device["path"])
    if arguments["filesystem_uuid"] and probe.get("uuid") != arguments["filesystem_uuid"]:
        wanted = (device["path"], probe.get("uuid"), arguments["filesystem_uuid"])
        raise Refused("unexpected-filesystem", "%s holds filesystem %s, not %s" % wanted, device=device, probe=probe)
    fstype = probe.get("type", "")
    if fstype[:3] not in CHECKERS:
        raise Refused("no-checker", "no read-only checker for %r on %s" % (fstype, device["path"]), probe=probe)
    command, errors_code = CHECKERS[fstype[:3]]
    argv = [*command, device["path"]]
    code, output = run(argv, timeout_s=float(arguments["limit_s"]), accept=(0, errors_code))
    return {
        "device": device["path"],
        "fstype": fstype,
        "command": " ".join(argv),
        "exit_code": code,
        "errors": code == errors_code,
        "journal_pending": fstype.startswith("ext") and needs_recovery(device["path"]),
        "output": output[-4000:],
    }


def needs_recovery(path: str) -> bool:
    """Return whether an ext filesystem's journal holds what the next mount must replay."""
    with open(path, "rb") as stream:
        stream.seek(FEATURE_INCOMPAT)
        return bool(struct.unpack("<I", stream.read(4))[0] & RECOVER)

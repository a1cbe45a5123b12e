"""``e2fsck -f -n`` and ``xfs_repair -n`` of a simulated host: what the superblock's own bytes say, nothing changed.

A simulated volume has a superblock and files, and no metadata in between that could be damaged; so its state and
feature words are what there is to check. Without ``-n`` both are refused: nothing in the sandbox repairs.
Source: ext4 disk layout (s_state, s_feature_incompat), e2fsck(8), xfs_repair(8).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import read
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.devices import Disk

EXT_STATE, EXT_INCOMPAT = 1024 + 0x3A, 1024 + 0x60
ERROR_FS, RECOVER = 0x2, 0x4
ERRORS_LEFT, OPERATIONAL_ERROR, XFS_CORRUPT = 4, 8, 1


def e2fsck(call: Call) -> CommandResult:
    """Answer ``e2fsck -f -n DEVICE``."""
    options = read(call.arguments, flags=["-f", "-n"])
    if not options.has("-n") or len(options.words) != 1:
        return failed("e2fsck: the simulated host checks one device with -n only", OPERATIONAL_ERROR)
    disk = _unmounted(call, options.words[0], "ext4")
    if isinstance(disk, str):
        return failed(f"e2fsck: {disk} while trying to open {options.words[0]}", OPERATIONAL_ERROR)
    content = disk.stored.device.read_bytes()
    (state,) = struct.unpack_from("<H", content, EXT_STATE)
    (incompat,) = struct.unpack_from("<I", content, EXT_INCOMPAT)
    text = ""
    if incompat & RECOVER:
        text += "Warning: skipping journal recovery because doing a read-only filesystem check.\n"
    text += "Pass 1: Checking inodes, blocks, and sizes\n"
    is_damaged = bool(state & ERROR_FS)
    if is_damaged or incompat & RECOVER:
        return printed(
            text + f"{options.words[0]}: ********** WARNING: Filesystem still has errors **********\n", ERRORS_LEFT
        )
    files = sum(1 for _ in disk.stored.files.rglob("*"))
    return printed(f"{text}{options.words[0]}: {files}/65536 files\n")


def xfs_repair(call: Call) -> CommandResult:
    """Answer ``xfs_repair -n DEVICE``."""
    options = read(call.arguments, flags=["-n"])
    if not options.has("-n") or len(options.words) != 1:
        return failed("xfs_repair: the simulated host checks one device with -n only", 2)
    disk = _unmounted(call, options.words[0], "xfs")
    if isinstance(disk, str):
        return printed(f"Phase 1 - find and verify superblock...\nbad primary superblock - {disk} !!!\n", XFS_CORRUPT)
    return printed("Phase 1 - find and verify superblock...\nNo modify flag set, skipping filesystem flush\n")


def _unmounted(call: Call, path: str, fstype: str) -> Disk | str:
    """Return the disk, or what keeps it from being checked."""
    found = call.host.devices.find(path) or call.host.devices.find(call.host.canonical(path))
    if found is None:
        return "No such file or directory"
    disk, name = found
    if any(one.device == name for one in call.host.mounts.all()):
        return "Device or resource busy"
    return disk if disk.identity(name).fstype == fstype else "Bad magic number in super-block"

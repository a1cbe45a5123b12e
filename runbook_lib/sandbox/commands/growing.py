"""``resize2fs``, ``xfs_growfs``, ``dumpe2fs -h`` and ``xfs_info`` of a simulated host: the size of a filesystem.

A filesystem grows to the size of its device, mounted or not for ext, mounted only for XFS; nothing here shrinks one.
Source: resize2fs(8), xfs_growfs(8), dumpe2fs(8), xfs_info(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import read
from runbook_lib.sandbox.devices import GIB
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.devices import Disk

BLOCK = 4096


def resize2fs(call: Call) -> CommandResult:
    """Answer ``resize2fs DEVICE``."""
    options = read(call.arguments)
    disk = _ext(call, options.words)
    if isinstance(disk, str):
        return failed(f"resize2fs: {disk}")
    if disk.stored.fs_gib == disk.stored.size_gib:
        blocks = _blocks(disk)
        return printed(f"The filesystem is already {blocks} (4k) blocks long.  Nothing to do!\n")
    if call.host.world.strikes("grow-error", disk.volume_id):
        return failed("resize2fs: No space left on device While trying to add group #64")
    _grow(call, disk)
    return printed(f"The filesystem on {disk.path} is now {_size(disk) // BLOCK} (4k) blocks long.\n")


def xfs_growfs(call: Call) -> CommandResult:
    """Answer ``xfs_growfs [-d] MOUNTPOINT``."""
    options = read(call.arguments, flags=["-d"])
    disk = _xfs(call, options.words)
    if isinstance(disk, str):
        return failed(f"xfs_growfs: {disk}")
    before = _blocks(disk)
    if call.host.world.strikes("grow-error", disk.volume_id):
        return failed("xfs_growfs: XFS_IOC_FSGROWFSDATA xfsctl failed: No space left on device")
    _grow(call, disk)
    return printed(f"{_geometry(before)}data blocks changed from {before} to {_size(disk) // BLOCK}\n")


def dumpe2fs(call: Call) -> CommandResult:
    """Answer ``dumpe2fs -h DEVICE``."""
    options = read(call.arguments, flags=["-h"])
    if not options.has("-h"):
        return failed("dumpe2fs: the simulated host shows the superblock only: -h")
    disk = _ext(call, options.words)
    if isinstance(disk, str):
        return failed(f"dumpe2fs: {disk}")
    lines = {"Block count": str(_blocks(disk)), "Block size": str(BLOCK)}
    return printed("".join(f"{name + ':':<26}{value}\n" for name, value in lines.items()))


def xfs_info(call: Call) -> CommandResult:
    """Answer ``xfs_info MOUNTPOINT``."""
    disk = _xfs(call, read(call.arguments).words)
    return failed(f"xfs_info: {disk}") if isinstance(disk, str) else printed(_geometry(_blocks(disk)))


def _geometry(blocks: int) -> str:
    return f"data     =                       bsize={BLOCK}   blocks={blocks}, imaxpct=25\n"


def _blocks(disk: Disk) -> int:
    return disk.stored.fs_gib * GIB // BLOCK


def _size(disk: Disk) -> int:
    return disk.stored.size_gib * GIB


def _grow(call: Call, disk: Disk) -> None:
    call.host.world.volumes.grow(disk.volume_id)
    for host in list(call.host.world.hosts.values()):  # one of them has it
        host.mounts.set_size(disk.volume_id, _size(disk))


def _ext(call: Call, words: list[str]) -> Disk | str:
    """Return the disk with an ext filesystem at a path, or why there is none."""
    if len(words) != 1:
        return "the simulated host wants exactly one device"
    found = call.host.devices.find(words[0]) or call.host.devices.find(call.host.canonical(words[0]))
    if found is None:
        return f"No such file or directory while opening {words[0]}"
    disk, path = found
    if path != disk.path or not disk.identity(path).fstype.startswith("ext"):
        return f"Bad magic number in super-block while trying to open {words[0]}"
    return disk


def _xfs(call: Call, words: list[str]) -> Disk | str:
    """Return the disk whose XFS is mounted at a path, or why there is none."""
    mount = call.host.mounts.at(call.host.canonical(words[0])) if len(words) == 1 else None
    disk = call.host.devices.by_volume(mount.volume_id) if mount else None
    if mount is None or disk is None or mount.fstype != "xfs":
        return f"{words[0] if words else ''} is not a mounted XFS filesystem"
    return disk

"""What the volume plugin does to real disks: this machine's tools, run on the host; the rules are ``rexray_disk``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.rexray_disk import RexRayDisk
from runbook_lib.sandbox.superblock import DEVICE_BYTES

if TYPE_CHECKING:
    from runbook_lib.sandbox.devices import Disk

MAKE = {"ext4": ["mkfs.ext4", "-F"], "xfs": ["mkfs.xfs", "-f"]}


class RealRexRayDisk(RexRayDisk):
    """Disks and mounts of one running plugin on a real host."""

    def _read(self, disk: Disk) -> bytes:
        with self._host.real_path(disk.path).open("rb") as device:
            return device.read(DEVICE_BYTES)

    def _format(self, disk: Disk, fstype: str) -> None:
        self._do([*MAKE[fstype], disk.path])

    def _add_mount(self, volume_id: str, target: str) -> None:
        disk: Disk | None = self._host.devices.by_volume(volume_id)
        if disk is None:
            raise EngineError("the device vanished")
        fstype = disk.identity(disk.path).fstype
        options = ["-o", "nouuid"] if fstype == "xfs" else []
        self._do(["mount", "-t", fstype, *options, disk.path, target])

    def _remove_mount(self, target: str) -> None:
        self._do(["umount", target])

    def _do(self, argv: list[str]) -> None:
        result = self._host.run(argv)
        if result.exit_code:
            raise EngineError(f"{argv[0]}: exit status {result.exit_code}: {result.stderr.strip()}")

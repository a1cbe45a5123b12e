"""The disks of one real host: loop devices under the names and serial numbers that a Nitro instance shows.

Writes nodes and links into the host's /dev, and into the part of its /sys that lists disks, so that the real lsblk,
blkid, mount and findmnt tell what they would tell on EC2.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.devices import Devices, Disk

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost
    from runbook_lib.sandbox.real.volumes import RealVolumeStore

SECTOR = 512
MODEL = "Amazon Elastic Block Store"


class RealDevices(Devices):
    """The attached volumes of one real host.

    Args:
        host: Which.
        store: Where the volumes' images are.
    """

    def __init__(self, host: RealHost, store: RealVolumeStore) -> None:
        super().__init__(host.root, store, host.launch.instance_type)
        self._host = host
        self._store = store
        self.numbers: dict[int, str] = {}
        """Volume by the number of its block device, as long as the host may still have it mounted."""

    def appear(self) -> None:
        """Show every attached volume to a host that has just booted."""
        with self._lock:
            for disk in self.disks():
                self._write_nodes(disk)

    def unplug(self, volume_id: str) -> bool:
        """Make a volume's device vanish, mounted or not; returns whether it was there."""
        was_there = super().unplug(volume_id)
        if was_there:
            self._host.mounts.shut_down(volume_id)
            self.numbers = {number: one for number, one in self.numbers.items() if one != volume_id}
            self._store.release(volume_id)
        return was_there

    def _write_nodes(self, disk: Disk) -> None:
        loop = self._store.loop(disk.volume_id)
        self.numbers[loop.number] = disk.volume_id
        if not self._host.has_namespaces:
            return
        self._remove_nodes(disk.volume_id)
        dev = self._host.real_path("/dev")
        node = dev / disk.kernel_name
        os.mknod(node, 0o60660, loop.number)
        nodes = self._nodes[disk.volume_id] = [node]
        names = {Path(disk.device).name: disk.kernel_name}
        if self.is_nitro:
            names[f"disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial_of(disk.volume_id)}"] = (
                f"../../{disk.kernel_name}"
            )
        if found := disk.identity(disk.path).uuid:
            names[f"disk/by-uuid/{found}"] = f"../../{disk.kernel_name}"
        for name, target in names.items():
            link = dev / name
            if name != disk.kernel_name and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
                nodes.append(link)
        nodes += self._write_sysfs(disk, loop.number)

    def _write_sysfs(self, disk: Disk, number: int) -> list[Path]:
        """List the disk in /sys/block as the kernel would list an NVMe disk; returns what is to be removed later."""
        sys_ = self._host.real_path("/sys")
        numbers = f"{os.major(number)}:{os.minor(number)}"
        sectors = disk.stored.size_gib * (1 << 30) // SECTOR
        texts = {"dev": numbers, "size": str(sectors), "ro": "0", "removable": "0", "hidden": "0"}
        texts |= {"queue/rotational": "0", "queue/logical_block_size": "512", "queue/physical_block_size": "512"}
        texts |= {"device/model": MODEL, "device/serial": serial_of(disk.volume_id)} if self.is_nitro else {}
        folder = sys_ / "block" / disk.kernel_name
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text + "\n", encoding="utf-8")
        links = [sys_ / "dev/block" / numbers, sys_ / "class/block" / disk.kernel_name]
        for link in links:
            with suppress(FileExistsError):
                link.symlink_to(f"../../block/{disk.kernel_name}")
        files = [folder / name for name in texts]
        return [*links, *files, folder / "queue", folder / "device", folder]

    def _remove_nodes(self, volume_id: str) -> None:
        for node in self._nodes.pop(volume_id, []):
            with suppress(OSError):
                if node.is_dir() and not node.is_symlink():
                    node.rmdir()
                else:
                    node.unlink()


def serial_of(volume_id: str) -> str:
    """Return the serial number that an EBS volume shows as NVMe disk: its id without the dash."""
    return volume_id.replace("-", "")

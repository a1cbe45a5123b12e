"""The block devices of one simulated host: names as the kernel and udev give them.

Nitro instances see NVMe disks with a link named like the attachment; Xen instances see ``/dev/xvd?``. Writes the
host's ``dev`` folder only; a device there is a hard link to the volume's first bytes.
Source: AWS "Amazon EBS volumes and NVMe", amazon-ec2-utils ``70-ec2-nvme-devices.rules``.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING

from runbook_lib.sandbox.superblock import identify
from runbook_lib.sandbox.volumes import first_bytes

if TYPE_CHECKING:
    from runbook_lib.sandbox.superblock import Identity
    from runbook_lib.sandbox.volumes import StoredVolume, VolumeStore

XEN_FAMILIES = {"t1", "t2", "m1", "m2", "m3", "m4", "c1", "c3", "c4", "r3", "r4", "i2", "d2", "x1", "p2", "p3", "g3"}
ROOT_GIB = 30
GIB = 1 << 30


@dataclass(frozen=True)
class Disk:
    """One attached volume as the host sees it.

    Args:
        volume_id: The EBS volume.
        device: Name given to AttachVolume.
        kernel_name: For example ``nvme1n1``.
        stored: What is on it.
    """

    volume_id: str
    device: str
    kernel_name: str
    stored: StoredVolume

    @property
    def path(self) -> str:
        """Return the device's path on the host."""
        return f"/dev/{self.kernel_name}"

    @property
    def child(self) -> str:
        """Return the path of the partition or logical volume with the filesystem, "" when there is none."""
        names = {"part": f"/dev/{self.kernel_name}p1", "lvm": "/dev/mapper/data-guestbook"}
        if not self.kernel_name.startswith("nvme"):
            names["part"] = f"/dev/{self.kernel_name}1"
        return names.get(self.stored.layer, "")

    def identity(self, path: str) -> Identity:
        """Return what a probe of the disk, or of the child at this path, finds."""
        return self.stored.inner if path == self.child else identify(first_bytes(self.stored.device))


class Devices:
    """The attached volumes of one host.

    Args:
        root: The host's root folder.
        volumes: Where the volumes' bytes are.
        instance_type: For example ``t3.small``; decides how devices are named.
    """

    def __init__(self, root: Path, volumes: VolumeStore, instance_type: str) -> None:
        self._dev = root / "dev"
        self._volumes = volumes
        self.is_nitro = instance_type.partition(".")[0] not in XEN_FAMILIES
        self._lock = threading.RLock()
        self._plugged: dict[str, tuple[str, str]] = {}
        self._nodes: dict[str, list[Path]] = {}

    @property
    def root_disk(self) -> str:
        """Return the kernel name of the root disk."""
        return "nvme0n1" if self.is_nitro else "xvda"

    @property
    def root_partition(self) -> str:
        """Return the kernel name of the root partition."""
        return "nvme0n1p1" if self.is_nitro else "xvda1"

    def plug(self, volume_id: str, device: str) -> None:
        """Make a volume's device appear."""
        with self._lock:
            if volume_id in self._plugged:
                return
            self._plugged[volume_id] = (device, self._kernel_name(device))
            self._write_nodes(self._disk(volume_id))

    def unplug(self, volume_id: str) -> bool:
        """Make a volume's device vanish; returns whether it was there."""
        with self._lock:
            if volume_id not in self._plugged:
                return False
            del self._plugged[volume_id]
            self._remove_nodes(volume_id)
            return True

    def refresh(self, volume_id: str) -> None:
        """Look at a plugged volume's bytes again, as the kernel does after partitioning."""
        with self._lock:
            if volume_id in self._plugged:
                self._write_nodes(self._disk(volume_id))

    def has(self, volume_id: str) -> bool:
        """Return whether the volume is attached to this host."""
        return volume_id in self._plugged

    def disks(self) -> list[Disk]:
        """Return the attached volumes in the order of their kernel names."""
        with self._lock:
            return sorted((self._disk(volume_id) for volume_id in self._plugged), key=lambda disk: disk.kernel_name)

    def by_volume(self, volume_id: str) -> Disk | None:
        """Return one attached volume, None when it is not attached here."""
        with self._lock:
            return self._disk(volume_id) if volume_id in self._plugged else None

    def find(self, path: str) -> tuple[Disk, str] | None:
        """Return (disk, path of the disk or of its child) for any of the device's names, None when there is none."""
        for disk in self.disks():
            if path in {disk.path, disk.device}:
                return disk, disk.path
            if path == disk.child and path:
                return disk, path
        folder, _, name = path.rpartition("/")
        key = {"/dev/disk/by-uuid": "UUID", "/dev/disk/by-label": "LABEL"}.get(folder, "")
        return self.find_by(key, name) if key else None

    def find_by(self, key: str, value: str) -> tuple[Disk, str] | None:
        """Return (disk, path) of the filesystem with this ``UUID`` or ``LABEL``, None when there is none."""
        for disk in self.disks():
            path = disk.child or disk.path
            found = disk.identity(path)
            if value and value == (found.uuid if key == "UUID" else found.label):
                return disk, path
        return None

    def free_device_name(self, *, large_range: bool = False) -> str:
        """Return any unused name that REX-Ray may use, "" when all are taken.

        Args:
            large_range: Choose from ``/dev/xvd[b-c][a-z]`` instead of ``/dev/xvd[f-p]``.
        """
        taken = {Path(device).name.replace("sd", "xvd") for device, _ in self._plugged.values()}
        letters = [first + second for first in "bc" for second in ascii_lowercase] if large_range else "fghijklmnop"
        free = [f"/dev/xvd{one}" for one in letters if f"xvd{one}" not in taken]
        return secrets.choice(free) if free else ""

    def _disk(self, volume_id: str) -> Disk:
        device, kernel_name = self._plugged[volume_id]
        return Disk(volume_id, device, kernel_name, self._volumes.get(volume_id))

    def _kernel_name(self, device: str) -> str:
        if not self.is_nitro:
            return Path(device).name.replace("sd", "xvd", 1)
        taken = {name for _, name in self._plugged.values()}
        return next(name for number in range(1, 128) if (name := f"nvme{number}n1") not in taken)

    def _write_nodes(self, disk: Disk) -> None:
        self._remove_nodes(disk.volume_id)
        nodes = self._nodes[disk.volume_id] = [self._dev / disk.kernel_name]
        self._link(disk.stored.device, nodes[0])
        if disk.child:
            nodes.append(self._dev / disk.child.removeprefix("/dev/"))
            self._link(disk.stored.device.with_name("inner"), nodes[1])
        names = {Path(disk.device).name: disk.kernel_name}
        if self.is_nitro:
            serial = "vol" + disk.volume_id.removeprefix("vol-")
            names[f"disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"] = f"../../{disk.kernel_name}"
        if found := disk.identity(disk.child or disk.path).uuid:
            names[f"disk/by-uuid/{found}"] = f"../../{(disk.child or disk.path).removeprefix('/dev/')}"
        for name, target in names.items():
            link = self._dev / name
            if name != disk.kernel_name and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
                nodes.append(link)

    def _remove_nodes(self, volume_id: str) -> None:
        for node in self._nodes.pop(volume_id, []):
            with suppress(FileNotFoundError):
                node.unlink()

    @staticmethod
    def _link(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(source, target)

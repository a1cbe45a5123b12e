"""The part of REX-Ray that touches disks: wait for the device, probe, format, mount, prepare the root path.

Formats every device whose first bytes it does not recognise, and changes the mode of the root path at every mount:
both are what the original does.
Source: rexray v0.11.4, ``libstorage/drivers/os/linux/linux.go``, ``integration/linux/linux.go``.
"""

from __future__ import annotations

import errno
import os
import posixpath
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.mounts import GIB, Mount
from runbook_lib.sandbox.superblock import has_rexray_filesystem
from runbook_lib.sandbox.volumes import first_bytes

if TYPE_CHECKING:
    from runbook_lib.sandbox.devices import Disk
    from runbook_lib.sandbox.hosts_base import BaseHost

POLL_S = 0.02


class RexRayDisk:
    """Disks and mounts of one running plugin.

    Args:
        host: Where it runs.
        folder: Where it mounts volumes.
        env: The plugin's settings.
    """

    device_timeout_s: ClassVar[float] = 30.0
    """How long it waits for a device to appear."""

    def __init__(self, host: BaseHost, folder: str, env: Mapping[str, str]) -> None:
        self._host = host
        self._folder = folder
        self._env = env

    def mounted_at(self, volume_id: str) -> str:
        """Return where a volume is mounted on this host, "" when it is not."""
        mounts = self._host.mounts.of_volume(volume_id)
        return str(mounts[0].target) if mounts else ""

    def mount(self, volume_id: str, name: str) -> str:
        """Mount an attached volume and return the folder that Docker gets.

        Raises:
            EngineError: Its device does not appear.
            OSError: It cannot be read; nothing was written.
        """
        disk = self._wait_for_device(volume_id)
        handed_out = self._env["LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH"]
        target = self.mounted_at(volume_id)
        if not target:
            target = f"{self._folder}/{name}"
            self._host.real_path(target).mkdir(parents=True, exist_ok=True)
            self._format_unless_known(disk)
            self._add_mount(volume_id, target)
            self._prepare_root(target)
        return posixpath.normpath(target + "/" + handed_out)

    def unmount(self, volume_id: str, name: str) -> None:
        """Unmount a volume where this plugin mounted it.

        Raises:
            MountError: Something uses it.
        """
        target = f"{self._folder}/{name}"
        if any(mount.target == target for mount in self._host.mounts.of_volume(volume_id)):
            self._remove_mount(target)

    def _wait_for_device(self, volume_id: str) -> Disk:
        deadline = time.monotonic() + self.device_timeout_s
        while True:
            disk: Disk | None = self._host.devices.by_volume(volume_id)
            # The plugin rewrites sd to xvd; a link by the other name is none to it.
            if disk is not None and self._exists(disk.device.replace("/dev/sd", "/dev/xvd")):
                return disk
            if time.monotonic() > deadline:
                raise EngineError("no device name returned")
            if self._host.off.wait(POLL_S):
                raise EngineError("the host lost its power")

    def _exists(self, device: str) -> bool:
        return self._host.real_path(device, follow=False).exists()

    def _format_unless_known(self, disk: Disk) -> None:
        if self._host.world.strikes("read-error", disk.volume_id):
            raise OSError(errno.EIO, os.strerror(errno.EIO), disk.path)
        if not has_rexray_filesystem(self._read(disk)):
            self._host.world.record("rexray-formatted", volume_id=disk.volume_id, instance_id=self._host.instance_id)
            self._format(disk, self._env["REXRAY_FSTYPE"])
            self._host.devices.refresh(disk.volume_id)

    def _read(self, disk: Disk) -> bytes:
        return first_bytes(disk.stored.device)

    def _format(self, disk: Disk, fstype: str) -> None:
        self._host.world.volumes.format(disk.volume_id, fstype)

    def _add_mount(self, volume_id: str, target: str) -> None:
        disk = self._host.devices.by_volume(volume_id)
        if disk is None:
            raise EngineError("the device vanished")
        stored = disk.stored
        options = "rw,relatime,nouuid" if stored.fstype == "xfs" else "rw,relatime"
        mount = Mount(disk.path, target, stored.files, stored.fstype, options, volume_id, stored.fs_gib * GIB)
        self._host.mounts.add(mount)

    def _remove_mount(self, target: str) -> None:
        self._host.mounts.remove(target)

    def _prepare_root(self, target: str) -> None:
        root = self._host.real_path(posixpath.normpath(target + "/" + self._env["LINUX_VOLUME_ROOTPATH"]))
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(file_mode(self._env["LINUX_VOLUME_FILEMODE"]))


def file_mode(text: str) -> int:
    """Return a mode as Go reads it with base 0: ``0755`` is octal, ``755`` is decimal.

    Raises:
        EngineError: It is no number.
    """
    try:
        number = int(text, 8) if text.startswith("0") and text[1:].isdigit() else int(text, 0)
    except ValueError as error:
        raise EngineError(f"invalid file mode {text!r}") from error
    return number & 0o777

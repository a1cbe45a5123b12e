"""Volumes and snapshots as disk images in an XFS pool: attached as loop devices, copied by reflink.

The pool is a sparse file in the state directory, mounted in the daemon's own mount namespace, so that it is gone when
the daemon is. A loop device is set to clear itself and kept by an open descriptor: it goes with its last user.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runbook_lib.sandbox.mounts import GIB
from runbook_lib.sandbox.processes import Freezer
from runbook_lib.sandbox.volumes import StoredVolume, VolumeStore

POOL_GIB = 512
"""What the pool may grow to; it takes only what is written."""
FLUSH_BUFFERS = 0x1261
"""BLKFLSBUF."""
FORMATS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}


class StorageError(OSError):
    """A tool of this machine failed; the text is what it said."""


class LoopDevice:
    """A loop device that clears itself when nobody uses it any more.

    Args:
        image: The file behind it.
    """

    def __init__(self, image: Path) -> None:
        self.path = tool("losetup", "--find", "--show", str(image)).strip()
        self._descriptor = os.open(self.path, os.O_RDWR)
        tool("losetup", "--detach", self.path)  # while it is open this means: when the last one closes it
        self.number = os.fstat(self._descriptor).st_rdev

    def resize(self) -> None:
        """Take the image's new size."""
        tool("losetup", "--set-capacity", self.path)

    def flush(self) -> None:
        """Write what the kernel still keeps of the device in memory."""
        fcntl.ioctl(self._descriptor, FLUSH_BUFFERS)

    def release(self) -> None:
        """Let go; a mount that is still there keeps it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealVolumeStore(VolumeStore):
    """All volumes and snapshots of one sandbox with real hosts.

    Args:
        state_dir: Where the pool's file goes.
    """

    def __init__(self, state_dir: Path) -> None:
        self._pool = state_dir / "pool"
        self._pool.mkdir(parents=True, exist_ok=True)
        image = state_dir / "pool.xfs"
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(POOL_GIB * GIB)
            tool("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
        device = LoopDevice(image)
        try:
            tool("mount", "-t", "xfs", "-o", "noatime", device.path, str(self._pool))
        finally:
            device.release()  # the mount keeps it from here on
        super().__init__(self._pool / "volumes", Freezer({}))
        self._loops: dict[str, LoopDevice] = {}
        self._looping = threading.RLock()

    def create(self, volume_id: str, size_gib: int, snapshot_id: str | None = None) -> None:
        """Make a volume: blank, or with what a snapshot holds."""
        if snapshot_id and (self._snapshots / snapshot_id).is_dir():
            self._restore(self._snapshots / snapshot_id, volume_id, size_gib)
            return
        folder = self._folder / volume_id
        folder.mkdir(parents=True)
        with (folder / "device").open("wb") as file:
            file.truncate(size_gib * GIB)
        self._note(volume_id, {"size_gib": size_gib, "layer": ""})

    def copy(self, source_volume_id: str, volume_id: str, size_gib: int) -> None:
        """Make a volume that holds what another holds at this moment, as CopyVolumes does."""
        self._restore(self._existing(source_volume_id), volume_id, size_gib)

    def snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Keep what a volume holds at this moment, crash-consistent and without holding anybody still.

        Raises:
            LookupError: There is no such volume.
        """
        _clone(self._existing(volume_id), self._snapshots / snapshot_id)

    def delete(self, volume_id: str) -> None:
        """Delete a volume and its data; one that is not there is left alone."""
        self.release(volume_id)
        super().delete(volume_id)

    def resize(self, volume_id: str, size_gib: int) -> None:
        """Give a volume another size; its filesystem keeps its own."""
        super().resize(volume_id, size_gib)
        os.truncate(self._existing(volume_id) / "device", size_gib * GIB)
        with self._looping:
            if volume_id in self._loops:
                self._loops[volume_id].resize()

    def format(
        self, volume_id: str, fstype: str, *, fs_uuid: str = "", label: str = "", layer: str = ""
    ) -> StoredVolume:
        """Make a new, empty filesystem on the whole disk.

        Raises:
            StorageError: mkfs failed, or another layer was asked for, which real disks of the sandbox do not have.
        """
        if layer or fstype not in FORMATS:
            raise StorageError(f"real volumes of the sandbox cannot be {layer or fstype}")
        option = ["-m", f"uuid={fs_uuid}"] if fstype == "xfs" else ["-U", fs_uuid]
        options = [*(option if fs_uuid else []), *(["-L", label] if label else [])]
        with self._looping:
            loop = self._loops.get(volume_id)
            target = loop.path if loop else str(self._existing(volume_id) / "device")
            tool(*FORMATS[fstype], *options, target)
        return self.get(volume_id)

    @contextmanager
    def filling(self, volume_id: str) -> Iterator[Path]:
        """Mount a volume for whoever lays out the sample estate, in the daemon's own mount namespace."""
        device = self.loop(volume_id)
        folder = Path(tempfile.mkdtemp(prefix=f"fill-{uuid.uuid4().hex[:4]}-", dir=self._pool))
        tool("mount", device.path, str(folder))
        try:
            yield folder
        finally:
            tool("umount", str(folder))
            folder.rmdir()

    def loop(self, volume_id: str) -> LoopDevice:
        """Return the loop device of a volume, made when there is none."""
        with self._looping:
            if volume_id not in self._loops:
                self._loops[volume_id] = LoopDevice(self._existing(volume_id) / "device")
            return self._loops[volume_id]

    def release(self, volume_id: str) -> None:
        """Give the loop device of a volume back; whoever still has it open writes to the volume no more.

        The image becomes another file with the same blocks: the one behind the old device is nobody's any more.
        """
        with self._looping:
            loop = self._loops.pop(volume_id, None)
            if loop is None:
                return
            loop.flush()
            image = self._folder / volume_id / "device"
            if image.exists():
                beside = image.with_name("device.new")
                tool("cp", "--reflink=always", "--sparse=auto", str(image), str(beside))
                beside.replace(image)
            loop.release()

    def close(self) -> None:
        """Give everything back that this machine has of the store; its files stay."""
        for volume_id in list(self._loops):
            self.release(volume_id)
        with suppress(StorageError):
            tool("umount", "-l", str(self._pool))

    def _restore(self, source: Path, volume_id: str, size_gib: int) -> None:
        _clone(source, self._folder / volume_id)
        notes = json.loads((self._folder / volume_id / "volume.json").read_text(encoding="utf-8"))
        if size_gib != notes["size_gib"]:
            self.resize(volume_id, size_gib)


def _clone(source: Path, target: Path) -> None:
    """Share the blocks of a folder's files; XFS writes dirty pages of the source first, so it is a moment's picture."""
    beside = target.with_name(target.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    tool("cp", "-r", "--reflink=always", "--sparse=auto", str(source), str(beside))
    beside.rename(target)


def tool(*argv: str) -> str:
    """Run a tool of this machine.

    Raises:
        StorageError: It failed.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StorageError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout

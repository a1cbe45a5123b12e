"""The files and first bytes of every EBS volume and snapshot.

One folder per volume: ``volume.json``, ``device`` (the first bytes of the disk), ``inner`` (those of a partition or
logical volume on it) and ``fs/`` (the files). Writes below its own folders only.
"""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runbook_lib.sandbox.copying import copy_tree
from runbook_lib.sandbox.superblock import DEVICE_BYTES, Identity, format_bytes, identify

FOREIGN_LAYERS = {"part": "dos", "lvm": "LVM2_member"}


class Freezing(Protocol):
    """Holds still whoever writes to a volume."""

    def frozen(self, volume_id: str) -> AbstractContextManager[None]:
        """Hold still while the block runs."""
        ...


@dataclass(frozen=True)
class StoredVolume:
    """What is on a volume.

    Args:
        volume_id: Its EC2 id.
        size_gib: Its size.
        fs_gib: The size of its filesystem, which grows by a command on a host only.
        fstype: Filesystem on the disk itself, "" when it is blank or something else is on it.
        fs_uuid: Of that filesystem.
        pttype: Partition table, "" when there is none.
        signature: What a probe of the whole disk finds, filesystem or not.
        label: Filesystem label.
        files: The folder with the files of its filesystem.
        layer: ``part`` or ``lvm`` when the filesystem is on a partition or logical volume, else "".
        inner: What a probe of that partition or logical volume finds.
        device: The file with the disk's first bytes.
    """

    volume_id: str
    size_gib: int
    fstype: str
    fs_uuid: str
    pttype: str
    signature: str
    label: str
    files: Path
    layer: str = ""
    inner: Identity = field(default_factory=Identity)
    device: Path = Path()
    fs_gib: int = 0


class VolumeStore:
    """All volumes and snapshots of one sandbox.

    Args:
        folder: Where the volumes are; the snapshots are beside it.
        freezer: Holds still the writers of a volume while its files are copied.
    """

    def __init__(self, folder: Path, freezer: Freezing) -> None:
        self._folder = folder
        self._snapshots = folder.parent / "snapshots"
        self._freezer = freezer
        self._lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshots.mkdir(parents=True, exist_ok=True)

    def create(self, volume_id: str, size_gib: int, snapshot_id: str | None = None) -> None:
        """Make a volume: blank, or with what a snapshot holds."""
        if snapshot_id and (self._snapshots / snapshot_id).is_dir():
            self._restore(self._snapshots / snapshot_id, volume_id, size_gib)
            return
        folder = self._folder / volume_id
        (folder / "fs").mkdir(parents=True)
        (folder / "device").write_bytes(bytes(DEVICE_BYTES))
        self._note(volume_id, {"size_gib": size_gib, "layer": ""})

    def copy(self, source_volume_id: str, volume_id: str, size_gib: int) -> None:
        """Make a volume that holds what another holds at this moment, as CopyVolumes does."""
        with self._freezer.frozen(source_volume_id):
            self._restore(self._existing(source_volume_id), volume_id, size_gib)

    def delete(self, volume_id: str) -> None:
        """Delete a volume and its files; one that is not there is left alone."""
        shutil.rmtree(self._folder / volume_id, ignore_errors=True)

    def snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Keep what a volume holds at this moment; whoever writes to it is held still meanwhile.

        Raises:
            LookupError: There is no such volume.
        """
        source = self._existing(volume_id)
        with self._freezer.frozen(volume_id):
            copy_tree(source, self._snapshots / snapshot_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot; one that is not there is left alone."""
        shutil.rmtree(self._snapshots / snapshot_id, ignore_errors=True)

    def has(self, volume_id: str) -> bool:
        """Return whether there is such a volume."""
        return (self._folder / volume_id / "volume.json").is_file()

    def ids(self) -> list[str]:
        """Return every volume's id, sorted."""
        return sorted(entry.name for entry in self._folder.iterdir() if self.has(entry.name))

    def get(self, volume_id: str) -> StoredVolume:
        """Return what is on a volume, read from its bytes.

        Raises:
            LookupError: There is no such volume.
        """
        folder = self._existing(volume_id)
        notes = json.loads((folder / "volume.json").read_text(encoding="utf-8"))
        found = identify(first_bytes(folder / "device"))
        inner = identify(first_bytes(folder / "inner")) if notes["layer"] else Identity()
        is_filesystem = found.usage == "filesystem"
        return StoredVolume(
            volume_id=volume_id,
            size_gib=int(notes["size_gib"]),
            fstype=found.fstype if is_filesystem else "",
            fs_uuid=found.uuid if is_filesystem else "",
            pttype=found.pttype,
            signature=found.fstype,
            label=found.label,
            files=folder / "fs",
            layer=notes["layer"],
            inner=inner,
            device=folder / "device",
            fs_gib=int(notes.get("fs_gib", notes["size_gib"])),
        )

    def resize(self, volume_id: str, size_gib: int) -> None:
        """Give a volume another size; its filesystem keeps its files, and its own size."""
        with self._lock:
            notes = json.loads((self._existing(volume_id) / "volume.json").read_text(encoding="utf-8"))
            self._note(volume_id, {"fs_gib": notes["size_gib"], **notes, "size_gib": size_gib})

    def grow(self, volume_id: str) -> None:
        """Let a volume's filesystem fill the volume, as resize2fs and xfs_growfs do."""
        with self._lock:
            notes = json.loads((self._existing(volume_id) / "volume.json").read_text(encoding="utf-8"))
            self._note(volume_id, {**notes, "fs_gib": notes["size_gib"]})

    def format(
        self, volume_id: str, fstype: str, *, fs_uuid: str = "", label: str = "", layer: str = ""
    ) -> StoredVolume:
        """Make a new, empty filesystem; whatever was on the disk is gone.

        Args:
            volume_id: The volume.
            fstype: ``ext4``, ``xfs`` or ``btrfs``.
            fs_uuid: Its UUID; "" takes a random one.
            label: Its label.
            layer: ``part`` or ``lvm`` puts it on a partition or logical volume.
        """
        folder = self._existing(volume_id)
        with self._lock:
            shutil.rmtree(folder / "fs")
            (folder / "fs").mkdir(mode=0o755)
            if fstype == "ext4":
                (folder / "fs" / "lost+found").mkdir(mode=0o700)
            written = format_bytes(fstype, fs_uuid or str(uuid.uuid4()), label)
            if layer:
                (folder / "inner").write_bytes(written)
                written = format_bytes(FOREIGN_LAYERS[layer], str(uuid.uuid4()))
            (folder / "device").write_bytes(written)
            size = json.loads((folder / "volume.json").read_text(encoding="utf-8"))["size_gib"]
            self._note(volume_id, {"size_gib": size, "layer": layer})
        return self.get(volume_id)

    @contextmanager
    def filling(self, volume_id: str) -> Iterator[Path]:
        """Give the folder with a volume's files, for whoever lays out the sample estate."""
        yield self.get(volume_id).files

    def _restore(self, source: Path, volume_id: str, size_gib: int) -> None:
        copy_tree(source, self._folder / volume_id)
        self.resize(volume_id, size_gib)

    def _existing(self, volume_id: str) -> Path:
        if not self.has(volume_id):
            raise LookupError(f"the sandbox has no files of volume {volume_id}")
        return self._folder / volume_id

    def _note(self, volume_id: str, notes: dict[str, Any]) -> None:
        path = self._folder / volume_id / "volume.json"
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(notes, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)


def first_bytes(device: Path) -> bytes:
    """Return as much of a disk as a probe looks at."""
    with device.open("rb") as file:
        return file.read(DEVICE_BYTES)

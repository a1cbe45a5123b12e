"""The mount table of one simulated host, and the views of everyone who sees it.

A mount maps a guest path to the folder with a volume's files; while a process uses it, it cannot be taken away.
Writes the host's ``view.json``, ``mounts`` and ``mountinfo``; never touches the files of a volume.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.processes import holders

GIB = 1 << 30
MOUNT_FAILED = 32
MINORS = (1 << 20) - 1


class MountError(Exception):
    """``mount`` or ``umount`` failed; the text is what the command prints."""


@dataclass(frozen=True)
class Mount:
    """One line of the mount table.

    Args:
        source: Device, with ``[/sub]`` for a bind mount of a folder below its root.
        target: Where on the host.
        real: The folder behind it.
        fstype: Its filesystem.
        options: As findmnt shows them.
        volume_id: The EBS volume, "" for the root disk.
        size_bytes: Of the filesystem.
    """

    source: str
    target: str
    real: Path
    fstype: str
    options: str = "rw,relatime"
    volume_id: str = ""
    size_bytes: int = 0

    @property
    def read_only(self) -> bool:
        """Return whether writing is refused."""
        return "ro" in self.options.split(",")

    @property
    def device(self) -> str:
        """Return the device without the folder of a bind mount."""
        return self.source.partition("[")[0]


class MountTable:
    """Every mount of one host, oldest first.

    Args:
        folder: The host's folder, which holds its view.
        root: The mount of ``/``.
        view: What else the view says: ``mark``, ``bin``, addresses.
        pinned_by: Says which containers use a real folder, as texts.
        mark: The environment entry that the host's processes carry.
    """

    def __init__(
        self, folder: Path, root: Mount, view: dict[str, Any], pinned_by: Callable[[Path], list[str]], mark: str
    ) -> None:
        self._folder = folder
        self._root = root
        self._view = view
        self._pinned_by = pinned_by
        self._mark = mark
        self._lock = threading.RLock()
        self._mounts: list[Mount] = []
        self._view.setdefault("immutable", [])
        self.write()

    @property
    def immutable(self) -> list[str]:
        """Return the real paths that carry the attribute ``immutable``; it survives a reboot."""
        return list(self._view["immutable"])

    def is_immutable(self, real: Path) -> bool:
        """Return whether a real path carries the attribute."""
        return str(real) in self._view["immutable"]

    def set_immutable(self, real: Path, *, on: bool) -> None:
        """Give a real path the attribute, or take it away."""
        with self._lock:
            others = [one for one in self._view["immutable"] if one != str(real)]
            self._view["immutable"] = [*others, str(real)] if on else others
            self.write()

    @property
    def view_path(self) -> Path:
        """Return the path of the host's view."""
        return self._folder / "view.json"

    def all(self) -> list[Mount]:
        """Return every mount, the root first."""
        with self._lock:
            return [self._root, *self._mounts]

    def of_volume(self, volume_id: str) -> list[Mount]:
        """Return the mounts of one volume."""
        return [mount for mount in self.all() if mount.volume_id == volume_id and volume_id]

    def is_busy(self, volume_id: str) -> bool:
        """Return whether anything on the host has the volume mounted."""
        return bool(self.of_volume(volume_id))

    def at(self, target: str) -> Mount | None:
        """Return the newest mount exactly at a path."""
        return next((mount for mount in reversed(self.all()) if mount.target == target), None)

    def holding(self, path: str) -> Mount:
        """Return the mount that holds a canonical path."""
        best = self._root
        for mount in self.all():
            inside = path == mount.target or path.startswith(mount.target.rstrip("/") + "/")
            if inside and len(mount.target) >= len(best.target):
                best = mount
        return best

    def by_real(self, real: Path) -> Mount:
        """Return the mount whose files include a real path."""
        inside = [mount for mount in self.all() if real == mount.real or mount.real in real.parents]
        return max(inside, key=lambda mount: len(str(mount.real)), default=self._root)

    def add(self, mount: Mount) -> None:
        """Put a mount on top of the table."""
        with self._lock:
            self._mounts.append(mount)
            self.write()

    def remove(self, target: str) -> Mount:
        """Take the newest mount at a path away.

        Raises:
            MountError: Nothing is mounted there, or a process or a container uses it.
        """
        with self._lock:
            mount = self.at(target)
            if mount is None or mount is self._root:
                raise MountError(f"umount: {target}: not mounted.")
            below = [one.target for one in self._mounts if one.target.startswith(target + "/")]
            others = [one for one in self._mounts if one is not mount and one.real == mount.real]
            users = self._pinned_by(mount.real) + [path for _, path in holders(self._mark, mount.real)]
            if below or (users and not others):
                raise MountError(f"umount: {target}: target is busy.")
            self._mounts.remove(mount)
            self.write()
            return mount

    def tear_away(self, volume_id: str) -> None:
        """Drop every mount of a volume whose device has vanished, and end whoever has its files open."""
        with self._lock:
            gone = self.of_volume(volume_id)
            self._mounts = [mount for mount in self._mounts if mount not in gone]
            self.write()
        for mount in gone:
            for pid, _ in holders(self._mark, mount.real):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """Forget every mount but the root: the host lost its power."""
        with self._lock:
            self._mounts = []
            self.write()

    def set_options(self, target: str, options: str) -> None:
        """Give the newest mount at a path other options, as ``mount -o remount``."""
        with self._lock:
            mount = self.at(target)
            if mount is None or mount is self._root:
                raise MountError(f"mount: {target}: mount point not mounted or bad option.")
            self._mounts[self._mounts.index(mount)] = replace(mount, options=options)
            self.write()

    def set_size(self, volume_id: str, size_bytes: int) -> None:
        """Give the mounts of a volume the size to which its filesystem has grown."""
        with self._lock:
            own = self.of_volume(volume_id)
            self._mounts = [replace(one, size_bytes=size_bytes) if one in own else one for one in self._mounts]
            if own:
                self.write()

    def write(self) -> None:
        """Write the view and the files that stand for /proc/mounts and /proc/self/mountinfo."""
        write_view(self._folder, self._view, self._root, self._mounts)


def write_view(folder: Path, view: dict[str, Any], root: Mount, mounts: list[Mount]) -> None:
    """Write a view and its mount files, each in one move.

    Args:
        folder: Where ``view.json``, ``mounts`` and ``mountinfo`` go.
        view: What the view says besides its mounts.
        root: The mount of ``/``.
        mounts: The others, oldest first.
    """
    table = [[one.target, str(one.real), one.read_only, one.size_bytes] for one in mounts]
    every = [root, *mounts]
    plain = [f"{one.device} {_escaped(one.target)} {one.fstype} {one.options} 0 0\n" for one in every]
    # systemd makes a host's mounts shared; those of a container are private, so they outlive an umount on the host
    propagation = "" if view.get("kind") == "container" else "shared:1 "
    info = [_mountinfo(number, one, propagation) for number, one in enumerate(every, 25)]
    texts = {
        "view.json": json.dumps({**view, "root": str(root.real), "mounts": table}, indent=1),
        "mounts": "".join(plain),
        "mountinfo": "".join(info),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        beside = folder / f".{name}.new"
        beside.write_text(text, encoding="utf-8", errors="surrogateescape")
        beside.replace(folder / name)


def _mountinfo(number: int, mount: Mount, propagation: str) -> str:
    inside = mount.source.partition("[")[2].rstrip("]") or "/"
    place = f"{_escaped(inside)} {_escaped(mount.target)} {mount.options} {propagation}"
    minor = zlib.crc32(mount.device.encode()) & MINORS  # the same in every table of a host
    return f"{number} 1 259:{minor} {place}- {mount.fstype} {mount.device} {mount.options}\n"


def _escaped(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")

"""The mount table of one real host, read from the kernel. Unmounts on the host; changes nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.mounts import Mount, MountError

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost

GO_DOWN, NOLOGFLUSH = 0x8004587D, 2
"""EXT4_IOC_SHUTDOWN, the same number for XFS: nothing more is written, not even the journal; writers get EIO."""


@dataclass(frozen=True)
class Row:
    """One line of a mountinfo.

    Args:
        number: Of the block device.
        mount: What it says.
    """

    number: int
    mount: Mount


class RealMounts:
    """The mounts of one host.

    Args:
        host: Which.
    """

    def __init__(self, host: RealHost) -> None:
        self._host = host

    def all(self) -> list[Mount]:
        """Return every mount of the host's own namespace."""
        return [row.mount for row in self._rows(_table(self._host.pid))]

    def seen_by(self, pid: int) -> list[Mount]:
        """Return the mounts that a process of the host sees; [] when it has gone.

        Args:
            pid: As the host counts processes, which is how its dockerd names them.
        """
        table = self._host.outside(f"/proc/{pid}/mountinfo")
        return [row.mount for row in self._rows(table)] if pid and self._host.has_namespaces else []

    def of_volume(self, volume_id: str) -> list[Mount]:
        """Return the mounts of one volume in the host's own namespace."""
        return [one for one in self.all() if volume_id and one.volume_id == volume_id]

    def is_busy(self, volume_id: str) -> bool:
        """Return whether any mount namespace on the host has the volume, those of containers included."""
        seen: set[str] = set()
        for pid in self._pids():
            with suppress(OSError):
                namespace = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - text wanted
                if namespace not in seen and any(row.mount.volume_id == volume_id for row in self._rows(_table(pid))):
                    return True
                seen.add(namespace)
        return False

    def at(self, target: str) -> Mount | None:
        """Return the newest mount exactly at a path."""
        return next((mount for mount in reversed(self.all()) if mount.target == target), None)

    def remove(self, target: str) -> None:
        """Unmount a path.

        Raises:
            MountError: umount refused.
        """
        result = self._host.run(["umount", target])
        if result.exit_code:
            raise MountError(result.stderr.strip())

    def shut_down(self, volume_id: str) -> None:
        """Cut a volume off whoever has it mounted: what is not on the disk stays unwritten, writers get EIO."""
        for mount in self.of_volume(volume_id):
            _go_down(mount)
            self._host.run(["umount", "-l", mount.target])

    def cut_power(self) -> None:
        """Let nothing of the host's volumes be written any more, as when the current fails.

        Every process is held still first: a write that is acknowledged was on the disk before.
        """
        for pid in self._pids()[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for mount in self.all():
            if mount.volume_id:
                _go_down(mount)

    def tear_away(self, volume_id: str) -> None:
        """Do nothing more: ``shut_down`` came first."""

    def _pids(self) -> list[int]:
        """Return the processes of the host, its process 1 first."""
        mine = self._host.pid
        if not mine:
            return []
        with suppress(OSError):
            space = os.readlink(f"/proc/{mine}/ns/pid")  # noqa: PTH115 - text wanted
            found = [int(one) for one in os.listdir("/proc") if one.isdigit() and _in(one, space)]  # noqa: PTH208
            return [mine, *(one for one in found if one != mine)]
        return []

    def _rows(self, table: Path) -> list[Row]:
        try:
            text = table.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return []
        return [self._row(line) for line in text.splitlines()]

    def _row(self, line: str) -> Row:
        before, _, after = line.partition(" - ")
        _, _, numbers, folder, target, options, *_ = before.split(" ")
        fstype, source, _ = after.split(" ", 2)
        major, minor = (int(one) for one in numbers.split(":"))
        number = os.makedev(major, minor)
        place = _plain(target)
        shown = source if folder == "/" else f"{source}[{folder}]"
        volume_id = self._host.devices.numbers.get(number, "")
        return Row(number, Mount(shown, place, self._host.outside(place), fstype, options, volume_id))


def _table(pid: int) -> Path:
    """Return the mount table of a process, as this machine counts processes."""
    return Path(f"/proc/{pid}/mountinfo")


def _go_down(mount: Mount) -> None:
    with suppress(OSError):
        descriptor = os.open(mount.real, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, GO_DOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)


def _in(pid: str, space: str) -> bool:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid") == space  # noqa: PTH115 - text wanted
    return False


def _plain(path: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, sign)
    return path

"""Directory entries that carry the guest's path instead of the real one."""

from __future__ import annotations

import os
import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_stat = os.stat


class GuestEntry:
    """A directory entry with the path as the guest asked for it.

    Args:
        entry: The real entry.
        path: Its path for the guest.
    """

    __slots__ = ("_entry", "name", "path")

    def __init__(self, entry: Any, path: Any) -> None:
        self._entry = entry
        self.name = entry.name
        self.path = path

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def inode(self) -> int:
        """Return the inode number."""
        return int(self._entry.inode())

    def is_symlink(self) -> bool:
        """Return whether the entry is a symbolic link."""
        return bool(self._entry.is_symlink())

    def is_junction(self) -> bool:
        """Return False: there are none on Linux."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the entry's status; links are followed as the guest sees them."""
        if follow_symlinks and self._entry.is_symlink():
            return os.stat(self.path)  # noqa: PTH116 - start fast
        result: os.stat_result = self._entry.stat(follow_symlinks=False)
        return result

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the entry is a folder."""
        if follow_symlinks and self._entry.is_symlink():
            return posixpath.isdir(self.path)
        return bool(self._entry.is_dir(follow_symlinks=False))

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the entry is a regular file."""
        if follow_symlinks and self._entry.is_symlink():
            return posixpath.isfile(self.path)
        return bool(self._entry.is_file(follow_symlinks=False))


class GuestEntries:
    """An iterator like the one of ``os.scandir``.

    Args:
        entries: The real iterator.
        folder: The folder as the guest named it.
        only: Names to show, or None for all.
    """

    def __init__(self, entries: Any, folder: Any, only: set[str] | None) -> None:
        self._entries = entries
        self._folder = folder
        self._only = only

    def __enter__(self) -> GuestEntries:  # noqa: PYI034 - no import of typing
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[GuestEntry]:
        return self

    def __next__(self) -> GuestEntry:
        while True:
            entry = next(self._entries)
            if self._only is None or entry.name in self._only:
                return GuestEntry(entry, posixpath.join(self._folder, entry.name))

    def close(self) -> None:
        """Let go of the folder."""
        self._entries.close()

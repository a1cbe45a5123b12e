"""Walk a folder by descriptors, so that odd names, deep trees and renames under way cannot lead it astray.

Reads names, attributes and link targets; opens no file's content. Symlinks and other filesystems are not entered.
Rows come in the order of their paths' bytes without being sorted as a whole, so the memory it takes is that of the
largest folder, not of the tree: a folder's entries are looked at in inode order, as they lie on the disk, and its
subtree stands in the order as its name with a slash.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Iterator

from manifest_rows import INODE, KIND, LINK_GROUP, PATH, path_bytes

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character_device",
    stat.S_IFBLK: "block_device",
}
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
IS_UTF8 = sys.getfilesystemencoding().lower().replace("-", "") == "utf8"


class Walk:
    """One walk below a root; iterating gives the rows in path order.

    Args:
        root: Descriptor of the folder.
        excluded: Paths that are left out with everything below.
    """

    def __init__(self, root: int, excluded: set) -> None:
        self.root = root
        self.excluded = excluded
        self.device = os.fstat(root).st_dev
        self.vanished = []
        self.foreign = []
        self.links = {}

    def __iter__(self) -> Iterator:
        """Yield every row; a hard-linked inode's rows carry the path of the first of them."""
        levels = [self.list_root()]
        while levels:
            if not levels[-1]:
                levels.pop()
                continue
            _, row, parts = levels[-1].pop()
            if row is None:
                levels.append(self.list_folder(parts))
                continue
            if row[LINK_GROUP]:
                row[LINK_GROUP] = self.links.setdefault(row[INODE], row[PATH])
            yield row

    def list_root(self) -> list:
        """Return the root's entries with the root itself, whose path "." has its place among them."""
        root = (b".", make_row(".", os.fstat(self.root), ""), ())
        return sorted([*self.list_folder(()), root], key=first_of, reverse=True)

    def list_folder(self, parts: tuple) -> list:
        """Return (key, row or None for a subtree, parts) of a folder's entries, the last in path order first."""
        try:
            folder = open_below(self.root, parts)
        except (FileNotFoundError, NotADirectoryError):
            self.vanished.append(join(parts))
            return []
        prefix, items = join(parts) + "/" if parts else "", []
        try:
            with os.scandir(folder) as found:
                named = sorted((entry.inode(), entry.name) for entry in found)
            for _, name in named:
                path = prefix + utf8(name)
                if path in self.excluded:
                    continue
                row, device = look_at(folder, name, path)
                if row is None:
                    self.vanished.append(path)
                    continue
                key = path_bytes(path)
                items.append((key, row, ()))
                if row[KIND] == "directory" and device != self.device:
                    self.foreign.append(path)
                elif row[KIND] == "directory":
                    items.append((key + b"/", None, (*parts, name)))
        finally:
            os.close(folder)
        items.sort(key=first_of, reverse=True)
        return items


def first_of(item: tuple) -> bytes:
    """Return what the items of a folder are ordered by."""
    return item[0]


def look_at(folder: int, name: str, path: str) -> tuple:
    """Return (row, device number) of one name in an open folder; (None, 0) when it vanished."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        link = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else ""
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # EINVAL: the symlink became something else
            return None, 0
        raise
    return make_row(path, found, utf8(link)), found.st_dev


def make_row(path: str, found: os.stat_result, link_target: str) -> list:
    """Return the row of one entry, its digest still empty."""
    mode = found.st_mode
    kind = KINDS[stat.S_IFMT(mode)]
    size = found.st_size if kind == "file" else 0
    group = "?" if found.st_nlink > 1 and kind != "directory" else ""
    times = (found.st_ino, found.st_ctime_ns)
    return [
        path,
        kind,
        size,
        mode & 0o7777,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
        "",
        link_target,
        group,
        *times,
    ]


def open_below(root: int, parts: tuple) -> int:
    """Return a descriptor of a folder below the root, opened name by name without following symlinks."""
    folder = os.dup(root)
    for part in parts:
        try:
            inner = os.open(part, FOLDER_FLAGS, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def utf8(name: str) -> str:
    """Return a name of this host's encoding as UTF-8 with surrogateescape."""
    return name if IS_UTF8 else os.fsencode(name).decode("utf-8", "surrogateescape")


def native(path: str) -> list:
    """Return the names of a row's path in this host's encoding; the root's "." has none."""
    if path in ("", "."):
        return []
    return path.split("/") if IS_UTF8 else [os.fsdecode(part) for part in path_bytes(path).split(b"/")]


def join(parts: tuple) -> str:
    """Return the row's path of names in this host's encoding."""
    return "/".join(utf8(part) for part in parts) or "."

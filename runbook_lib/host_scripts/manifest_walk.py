"""Walk a folder by descriptors, so that odd names, deep trees and renames under way cannot lead it astray.

Reads names, attributes and link targets; opens no file's content. Symlinks and other filesystems are not entered.
"""

from __future__ import annotations

import errno
import os
import stat

from manifest_rows import KIND, PATH

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


def walk(root: int, excluded: set) -> tuple:
    """Return (rows in path order, paths that vanished while walking, paths of other filesystems)."""
    found = os.stat(root)
    rows, vanished, foreign = [make_row(".", found, "")], [], []
    pending = [()]
    while pending:
        parts = pending.pop()
        try:
            folder = open_below(root, parts)
        except (FileNotFoundError, NotADirectoryError):
            vanished.append(join(parts))
            continue
        try:
            for name in os.listdir(folder):
                path = join((*parts, name))
                if path in excluded:
                    continue
                row, inner = look_at(folder, name, path)
                if row is None:
                    vanished.append(path)
                    continue
                rows.append(row)
                if row[KIND] == "directory" and inner != found.st_dev:
                    foreign.append(path)
                elif row[KIND] == "directory":
                    pending.append((*parts, name))
        finally:
            os.close(folder)
    return sorted(rows, key=path_bytes), vanished, foreign


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
    kind = KINDS[stat.S_IFMT(found.st_mode)]
    size = found.st_size if kind == "file" else 0
    group = "?" if kind != "directory" and found.st_nlink > 1 else ""
    owner = (found.st_uid, found.st_gid)
    times = (found.st_ino, found.st_ctime_ns)
    return [path, kind, size, found.st_mode & 0o7777, *owner, found.st_mtime_ns, "", link_target, group, *times]


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
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def native(path: str) -> list:
    """Return the names of a row's path in this host's encoding; "." has none."""
    encoded = path.encode("utf-8", "surrogateescape")
    return [] if path == "." else [os.fsdecode(part) for part in encoded.split(b"/")]


def join(parts: tuple) -> str:
    """Return the row's path of names in this host's encoding."""
    return "/".join(utf8(part) for part in parts) or "."


def path_bytes(row: list) -> bytes:
    """Return what rows are ordered by."""
    return row[PATH].encode("utf-8", "surrogateescape")

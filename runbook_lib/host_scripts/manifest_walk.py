"""Walk a folder by descriptors, so that odd names, deep trees and renames under way cannot lead it astray.

Reads names, attributes and link targets; opens no file's content; as root it leaves folders' access times alone.
Symlinks and other filesystems are not entered.
Rows come in the order of their paths' bytes without being sorted as a whole: of a folder only the names are held, as
raw bytes, and slices of them are looked at in inode order, as they lie on the disk. A folder's subtree stands in the
order as its name with a slash. So the memory it takes is that of the largest folder's names, not of the tree.
"""

from __future__ import annotations

import errno
import operator
import os
import stat
import sys
from typing import Iterable, Iterator

from manifest_rows import INODE, LINK_GROUP, PATH, path_of

KIND_SHIFT = 12  # a mode is its kind, then twelve bits of permissions
KINDS = {
    stat.S_IFREG >> KIND_SHIFT: "file",
    stat.S_IFDIR >> KIND_SHIFT: "directory",
    stat.S_IFLNK >> KIND_SHIFT: "symlink",
    stat.S_IFIFO >> KIND_SHIFT: "fifo",
    stat.S_IFSOCK >> KIND_SHIFT: "socket",
    stat.S_IFCHR >> KIND_SHIFT: "character_device",
    stat.S_IFBLK >> KIND_SHIFT: "block_device",
}
FILE = stat.S_IFREG >> KIND_SHIFT
NO_ACCESS_TIME = os.O_NOATIME if os.geteuid() == 0 else 0  # who does not own a folder must not leave it alone
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | NO_ACCESS_TIME
ENCODING = sys.getfilesystemencoding()
SLICE = 2048  # names of one folder that are looked at together
INODE_BYTES = 8
NAME = slice(None, -1 - INODE_BYTES)
FOLDER, LAST, SLASH = slice(None, -2 - INODE_BYTES), -2 - INODE_BYTES, ord("/")
inode_of = operator.itemgetter(slice(-INODE_BYTES, None))  # what the items of a slice are looked at by


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
        levels = [self.entries(())]
        while levels:
            for found in levels[-1]:
                if type(found) is tuple:
                    levels.append(self.entries(found))
                    break
                if found[LINK_GROUP]:
                    found[LINK_GROUP] = self.links.setdefault(found[INODE], found[PATH])
                yield found
            else:
                levels.pop()

    def entries(self, parts: tuple) -> Iterator:
        """Yield, in path order, a folder's rows, and the parts of each subtree where it has its place."""
        prefix, inner, start = path_of(b"/".join(parts)) + "/" if parts else "", {}, 0
        try:
            folder = open_below(self.root, parts)
        except (FileNotFoundError, NotADirectoryError):
            self.vanished.append(prefix[:-1])
            return
        try:
            items = list_items(folder, inner, is_root=not parts)
            while start < len(items):
                found = self.look(folder, prefix, items[start : start + SLICE], inner)
                os.close(folder)
                folder = -1  # not held while its subtrees are walked: a tree may be deeper than descriptors are many
                for item in items[start : start + SLICE]:
                    row = found.get(item)
                    if row:
                        yield row
                    elif item[LAST] == SLASH and inner[item[FOLDER]]:
                        yield (*parts, item[FOLDER])
                start += SLICE
                if start < len(items):
                    folder = open_below(self.root, parts)
        except (FileNotFoundError, NotADirectoryError):
            self.vanished.append(prefix[:-1])
        finally:
            if folder >= 0:
                os.close(folder)

    def look(self, folder: int, prefix: str, items: list, inner: dict) -> dict:
        """Return the rows of a slice of an open folder by item, and note which folders are to be entered."""
        found, excluded, look_at = {}, self.excluded, os.stat
        for item in sorted(items, key=inode_of):
            if item[LAST] == SLASH:
                continue
            name = item[NAME]
            path = prefix + name.decode("utf-8", "surrogateescape")
            if path in excluded:
                continue
            try:
                facts = look_at(name, dir_fd=folder, follow_symlinks=False)
                mode = facts.st_mode
                if mode >> KIND_SHIFT == FILE:  # most entries are files: nothing but their row is to be made
                    found[item] = make_row(path, "file", facts, facts.st_size, "")
                    continue
                kind = KINDS[mode >> KIND_SHIFT]
                link = path_of(os.readlink(name, dir_fd=folder)) if kind == "symlink" else ""
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EINVAL):  # EINVAL: the symlink became something else
                    raise
                self.vanished.append(path)
                continue
            found[item] = make_row(path, kind, facts, 0, link)
            if kind == "directory":
                self.note_folder(path, name, facts, inner)
        return found

    def note_folder(self, path: str, name: bytes, facts: os.stat_result, inner: dict) -> None:
        """Note whether a folder is to be entered."""
        if facts.st_dev != self.device:
            self.foreign.append(path)
        elif name in inner:
            inner[name] = True
        elif name != b".":  # it became a folder after the names were read, so that its own are not known
            self.vanished.append(path)


def list_items(folder: int, inner: dict, *, is_root: bool) -> list:
    """Return a folder's names with their inodes, in path order; a folder's name stands there again with a slash.

    The folders among them are put into `inner`, not yet to be entered. An item is the name, a zero byte, which comes
    before all that names are made of, and the inode: one object a name.
    """
    items = [b".\0" + bytes(INODE_BYTES)] if is_root else []
    with os.scandir(folder) as found:
        for entry in found:
            name, inode = entry.name.encode(ENCODING, "surrogateescape"), entry.inode().to_bytes(INODE_BYTES, "big")
            items.append(name + b"\0" + inode)
            if entry.is_dir(follow_symlinks=False):
                inner[name] = False
                items.append(name + b"/\0" + inode)
    items.sort()
    return items


def make_row(path: str, kind: str, facts: os.stat_result, size: int, link_target: str) -> list:
    """Return the row of one entry, its digest still empty."""
    return [
        path,
        kind,
        size,
        facts.st_mode & 0o7777,
        facts.st_uid,
        facts.st_gid,
        facts.st_mtime_ns,
        "",
        link_target,
        "?" if facts.st_nlink > 1 and kind != "directory" else "",
        facts.st_ino,
        facts.st_ctime_ns,
    ]


def open_below(root: int, parts: Iterable) -> int:
    """Return a descriptor of a folder below the root, opened name by name without following symlinks."""
    folder = os.dup(root)
    for part in parts:
        try:
            inner = os.open(part, FOLDER_FLAGS, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder

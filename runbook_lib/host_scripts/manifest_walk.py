"""Walk a folder by descriptors, so that odd names, deep trees and renames under way cannot lead it astray.

Reads names, attributes and link targets; opens no file's content; as root it leaves folders' access times alone.
Symlinks and other filesystems are not entered.
One process lists the names, which is little work, and cuts them into units; workers look at what a unit names, which
is most of the work. Names come in the order of their paths' bytes without being sorted as a whole: of a folder only the
names are held, as raw bytes. A folder's subtree stands in the order as its name with a slash. So the memory it takes
is that of the largest folder's names, not of the tree. A unit is cut by the names alone: equal trees give equal units.
"""

from __future__ import annotations

import bisect
import errno
import operator
import os
import stat
import sys
from typing import Iterable, Iterator

from manifest_rows import path_of
from prelude import Refused

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
SLICE = 2048  # names that are looked at together
# an item is a name, a zero byte, which comes before all that names are made of, the inode, and whether it is a folder
INODE_BYTES = 8
NAME, INODE, LAST = slice(None, -2 - INODE_BYTES), slice(-1 - INODE_BYTES, -1), -1
IS_FOLDER, IS_OTHER = b"/", b"-"
inode_of = operator.itemgetter(INODE)


class Walk:
    """One walk below a root; iterating gives its units, lists of pieces: (a folder's parts, some of its items).

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

    def __iter__(self) -> Iterator:
        """Yield every unit, in path order."""
        unit, room = [], SLICE
        for parts, items in self.pieces():
            start = 0
            while start < len(items):
                unit.append((parts, items[start : start + room]))
                start += len(unit[-1][1])
                room -= len(unit[-1][1])
                if not room:
                    yield unit
                    unit, room = [], SLICE
        if unit:
            yield unit

    def pieces(self) -> Iterator:
        """Yield pieces of every folder, in path order: a subtree's stand between two of the folder that holds it."""
        levels = [self.entries(())]
        while levels:
            for parts, items in levels[-1]:
                if items is None:
                    levels.append(self.entries(parts))
                    break
                yield parts, items
            else:
                levels.pop()

    def entries(self, parts: tuple) -> Iterator:
        """Yield pieces of one folder, and (parts, None) of each subtree where it has its place."""
        prefix, start, folder = prefix_of(parts), 0, open_present(self.root, parts, self.vanished)
        if folder < 0:
            return
        try:  # not held while its subtrees are walked: a tree may be deeper than descriptors are many
            items = list_items(folder, self.left_out(prefix), is_root=not parts)
            inner = [one[NAME] for one in items if one[LAST:] == IS_FOLDER and self.is_entered(folder, prefix, one)]
        except OSError as error:
            raise unreadable(prefix[:-1] or ".", error) from error
        finally:
            os.close(folder)
        for below in sorted(name + b"/" for name in inner):
            place = bisect.bisect_left(items, below, start)
            yield parts, items[start:place]
            yield (*parts, below[:-1]), None
            start = place
        yield parts, items[start:]

    def left_out(self, prefix: str) -> set:
        """Return the names of a folder that are left out."""
        inside = [path[len(prefix) :] for path in self.excluded if path.startswith(prefix)]
        return {name.encode("utf-8", "surrogateescape") for name in inside if "/" not in name}

    def is_entered(self, folder: int, prefix: str, item: bytes) -> bool:
        """Return whether an item is a folder of this filesystem, and note whether it is one of another."""
        if item[NAME] == b".":
            return False
        try:
            facts = os.stat(item[NAME], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False  # who looks at it later notes that
        if stat.S_ISDIR(facts.st_mode) and facts.st_dev != self.device:
            self.foreign.append(prefix + path_of(item[NAME]))
            return False
        return stat.S_ISDIR(facts.st_mode)


def list_items(folder: int, left_out: set, *, is_root: bool) -> list:
    """Return a folder's items in path order: one object a name."""
    items = [b".\0" + bytes(INODE_BYTES) + IS_FOLDER] if is_root else []
    with os.scandir(folder) as found:
        for entry in found:
            kind = IS_FOLDER if entry.is_dir(follow_symlinks=False) else IS_OTHER
            name, inode = entry.name.encode(ENCODING, "surrogateescape"), entry.inode().to_bytes(INODE_BYTES, "big")
            items.append(name + b"\0" + inode + kind)
    items.sort()
    return [item for item in items if item[NAME] not in left_out] if left_out else items


def look_at(root: int, unit: list) -> tuple:
    """Return (the rows of a unit in its order, the paths that vanished since their names were read).

    Each folder is opened once, and its items are looked at in inode order, as they lie on the disk.
    """
    folders, found, vanished = {}, {}, []
    for parts, items in unit:
        folders.setdefault(parts, []).extend(items)
    for parts, items in folders.items():
        folder = open_present(root, parts, vanished)
        if folder >= 0:
            try:
                found[parts] = look_in(folder, prefix_of(parts), items, vanished)
            finally:
                os.close(folder)
    pieces = [(found[parts], items) for parts, items in unit if parts in found]
    return [rows[item] for rows, items in pieces for item in items if item in rows], vanished


def look_in(folder: int, prefix: str, items: list, vanished: list) -> dict:
    """Return the rows of an open folder's items, by item."""
    rows, look = {}, os.stat
    for item in sorted(items, key=inode_of):
        name = item[NAME]
        path = prefix + name.decode("utf-8", "surrogateescape")
        try:
            facts = look(name, dir_fd=folder, follow_symlinks=False)
            mode = facts.st_mode
            if mode >> KIND_SHIFT == FILE:  # most entries are files: nothing but their row is to be made
                rows[item] = make_row(path, "file", facts, facts.st_size, "")
                continue
            kind = KINDS[mode >> KIND_SHIFT]
            link = path_of(os.readlink(name, dir_fd=folder)) if kind == "symlink" else ""
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):  # EINVAL: the symlink became something else
                raise unreadable(path, error) from error
            vanished.append(path)
            continue
        rows[item] = make_row(path, kind, facts, 0, link)
        if kind == "directory" and item[LAST:] != IS_FOLDER:
            vanished.append(path)  # it became a folder after the names were read, so that its own are not known
    return rows


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


def prefix_of(parts: tuple) -> str:
    """Return what a folder's paths begin with."""
    return path_of(b"/".join(parts)) + "/" if parts else ""


def unreadable(path: str, error: OSError) -> Refused:
    """Return what is said of an entry that cannot be looked at."""
    return Refused("read-error", "%s: %s" % (path, error.strerror or error))


def open_present(root: int, parts: tuple, vanished: list) -> int:
    """Return a descriptor of a folder below the root, or -1 and note it when it is none any more."""
    try:
        return open_below(root, parts)
    except (FileNotFoundError, NotADirectoryError):
        vanished.append(prefix_of(parts)[:-1])
        return -1
    except OSError as error:
        raise unreadable(prefix_of(parts)[:-1], error) from error


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

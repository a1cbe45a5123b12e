"""Read a tree's metadata ahead of the walk, in a process of its own, so that disk and processor work at once.

What another host has just attached is in no memory yet: the walk would wait for the disk at every inode, and the disk
for the walk. Changes nothing; whatever it cannot read it leaves to the walk, which says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal

from manifest_walk import FOLDER_FLAGS, SLICE, open_below


class ReadAhead:
    """A process that reads ahead below a root until it is ended.

    Args:
        root: Descriptor of the folder.
    """

    def __init__(self, root: int) -> None:
        self.pid = os.fork()
        if not self.pid:
            try:
                read_below(os.open(".", FOLDER_FLAGS, dir_fd=root))  # not the walk's own, whose position it would move
            finally:
                os._exit(0)

    def end(self) -> None:
        """End it: the walk needs it no more."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def read_below(root: int) -> None:
    """Look at every inode of the root's filesystem, folder by folder as the walk does."""
    device, folders = os.fstat(root).st_dev, [()]
    while folders:
        parts = folders.pop()
        with contextlib.suppress(OSError):
            folder = open_below(root, parts)
            try:
                if os.fstat(folder).st_dev == device:
                    folders += [(*parts, name) for name in sorted(read_folder(folder), reverse=True)]
            finally:
                os.close(folder)


def read_folder(folder: int) -> list:
    """Look at the inodes of one folder in the order in which they lie on the disk; return the names of its folders."""
    inner = []
    with os.scandir(folder) as found:
        for entries in iter(lambda: list(itertools.islice(found, SLICE)), []):
            for entry in sorted(entries, key=os.DirEntry.inode):
                with contextlib.suppress(OSError):
                    entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
    return inner

"""Read a tree's metadata ahead of the walk, in processes of their own, so that disk and processor work at once.

What another host has just attached is in no memory yet: the walk would wait for the disk at every inode, and the disk
for the walk. Several readers, each with its share of every folder, keep several requests waiting at the disk. They
change nothing; whatever they cannot read they leave to the walk, which says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal

from manifest_walk import FOLDER_FLAGS, SLICE, open_below

READERS = 4


class ReadAhead:
    """Processes that read ahead below a root until they are ended.

    Args:
        root: Descriptor of the folder.
    """

    def __init__(self, root: int) -> None:
        self.readers, walker = [], os.getpid()
        for number in range(READERS):
            reader = os.fork()
            if not reader:
                try:
                    # not the walk's own descriptor, whose position it would move
                    read_below(os.open(".", FOLDER_FLAGS, dir_fd=root), number, walker)
                finally:
                    os._exit(0)
            self.readers.append(reader)

    def end(self) -> None:
        """End them: the walk needs them no more."""
        for reader in self.readers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(reader, signal.SIGKILL)
            os.waitpid(reader, 0)


def read_below(root: int, number: int, walker: int) -> None:
    """Look at one reader's share of the inodes of the root's filesystem, folder by folder as the walk does."""
    device, folders = os.fstat(root).st_dev, [()]
    while folders and os.getppid() == walker:  # a walk that was killed must not leave readers that hold the volume
        parts = folders.pop()
        with contextlib.suppress(OSError):
            folder = open_below(root, parts)
            try:
                if os.fstat(folder).st_dev == device:
                    folders += [(*parts, name) for name in sorted(read_folder(folder, number), reverse=True)]
            finally:
                os.close(folder)


def read_folder(folder: int, number: int) -> list:
    """Look at a share of a folder's inodes, in the order in which they lie on the disk; return its folders' names."""
    inner = []
    with os.scandir(folder) as found:
        for entries in iter(lambda: list(itertools.islice(found, SLICE)), []):
            entries.sort(key=os.DirEntry.inode)
            share = -(-len(entries) // READERS)
            for entry in entries[number * share : (number + 1) * share]:
                with contextlib.suppress(OSError):
                    entry.stat(follow_symlinks=False)
            inner += [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return inner

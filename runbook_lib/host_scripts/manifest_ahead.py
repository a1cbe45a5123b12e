"""Read a tree's inodes ahead of the walk, in a process of its own, so that disk and processor work at once.

What another host has just attached is in no memory yet: the walk would wait for the disk at every inode, and the disk
for the walk. Inodes lie on the disk many to a block, so one of each sixteen is looked at, which brings its neighbours;
several threads keep several requests waiting at the disk. They change nothing; whatever they cannot read they leave to
the walk, which says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading

from manifest_walk import FOLDER_FLAGS, SLICE, open_below

READERS, LEAST_SHARE = 4, 8
SHARED_BITS = 4  # 16 inodes, of 256 bytes, are a block of ext4; of 512 bytes, half a cluster of XFS


class ReadAhead:
    """A process that reads ahead below a root until it is ended.

    Args:
        root: Descriptor of the folder.
    """

    def __init__(self, root: int) -> None:
        walker = os.getpid()
        self.reader = os.fork()
        if not self.reader:
            try:
                # not the walk's own descriptor, whose position it would move
                read_below(os.open(".", FOLDER_FLAGS, dir_fd=root), walker)
            finally:
                os._exit(0)

    def end(self) -> None:
        """End it: the walk needs it no more."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.reader, signal.SIGKILL)
        os.waitpid(self.reader, 0)


def read_below(root: int, walker: int) -> None:
    """Read the inodes of the root's filesystem, folder by folder as the walk does."""
    device, folders = os.fstat(root).st_dev, [()]
    while folders and os.getppid() == walker:  # a walk that was killed must not leave one that holds the volume
        parts = folders.pop()
        with contextlib.suppress(OSError):
            folder = open_below(root, parts)
            try:
                if os.fstat(folder).st_dev == device:
                    folders += [(*parts, name) for name in sorted(read_folder(folder), reverse=True)]
            finally:
                os.close(folder)


def read_folder(folder: int) -> list:
    """Look at inodes of a folder, in the order in which they lie on the disk; return its folders' names."""
    inner = []
    with os.scandir(folder) as found:
        for entries in iter(lambda: list(itertools.islice(found, SLICE)), []):
            nearest = {entry.inode() >> SHARED_BITS: entry for entry in entries}
            look_together([nearest[place] for place in sorted(nearest)])
            inner += [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return inner


def look_together(entries: list) -> None:
    """Look at the inodes of some entries, each thread at its share; few are not worth a thread."""
    share = max(-(-len(entries) // READERS), LEAST_SHARE)
    shares = [entries[start : start + share] for start in range(0, len(entries), share)]
    threads = [threading.Thread(target=look, args=(one,)) for one in shares[1:]]
    for thread in threads:
        thread.start()
    look(shares[0])
    for thread in threads:
        thread.join()


def look(entries: list) -> None:
    """Look at the inodes of some entries."""
    for entry in entries:
        with contextlib.suppress(OSError):
            entry.stat(follow_symlinks=False)

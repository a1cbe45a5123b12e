"""Hash files, noticing every file that changes meanwhile.

Reads file contents, without updating their access times where the kernel permits it. Changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time

from manifest_rows import CTIME_NS, INODE, MTIME_NS, PATH, SHA256, SIZE
from manifest_walk import IS_UTF8, native, open_below
from prelude import Refused

FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BUFFER_BYTES = 1 << 20
NOTHING = hashlib.sha256()  # copied for each file: cheaper than asking OpenSSL for the algorithm again
ROUNDS = 3  # how often a file that changes while it is read is read again


class TooLateError(Exception):
    """The time for reading is over."""


def hash_rows(root: int, rows: list, deadline: float = 0.0) -> tuple:
    """Fill in the digests of file rows; return (paths still changing after the last round, paths that vanished).

    Rows are read in inode order, as files lie on the disk. With a deadline (monotonic), TooLateError ends the reading.
    """
    reader = Reader(root, deadline)
    pending, vanished = sorted(rows, key=lambda row: row[INODE]), []
    try:
        for _ in range(ROUNDS):
            changing = []
            for row in pending:
                stable = reader.read(row)
                if stable is None:
                    vanished.append(row[PATH])
                elif not stable:
                    changing.append(row)
            pending = changing
            if not pending:
                break
    finally:
        reader.close()
    return [row[PATH] for row in pending], vanished


class Reader:
    """Reads files below a root, keeping the folder of the last one open.

    Args:
        root: Descriptor of the root.
        deadline: When to stop, by the monotonic clock; 0 for never.
    """

    def __init__(self, root: int, deadline: float) -> None:
        self.root = root
        self.deadline = deadline
        self.folder = -1
        self.opened = None
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def close(self) -> None:
        """Close the folder."""
        if self.folder >= 0:
            os.close(self.folder)
        self.folder, self.opened = -1, None

    def read(self, row: list) -> bool | None:
        """Give a row its digest; return whether it stayed the same from the walk to the last byte, None if gone."""
        folder, _, name = row[PATH].rpartition("/")
        try:
            if folder != self.opened:
                self.close()
                self.folder, self.opened = open_below(self.root, native(folder)), folder
            return self.hash_file(name if IS_UTF8 else native(name)[0], row)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Refused("read-error", "%s: %s" % (row[PATH], error.strerror)) from error

    def open_file(self, name: str) -> int:
        """Return a descriptor of a file of the open folder."""
        try:
            return os.open(name, FILE_FLAGS | os.O_NOATIME, dir_fd=self.folder)
        except PermissionError:  # only the owner may leave the access time alone
            return os.open(name, FILE_FLAGS, dir_fd=self.folder)

    def hash_file(self, name: str, row: list) -> bool:
        """Read one file to its end; equal facts in the walk and after the last byte say that nothing changed."""
        descriptor = self.open_file(name)
        try:
            digest, size = self.digest(descriptor, row[SIZE])
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if after.st_ino != row[INODE] or not stat.S_ISREG(after.st_mode):
            raise FileNotFoundError(name)
        times = (after.st_mtime_ns, after.st_ctime_ns)
        stable = size == after.st_size == row[SIZE] and times == (row[MTIME_NS], row[CTIME_NS])
        row[SHA256], row[SIZE], row[MTIME_NS], row[CTIME_NS] = digest, size, *times
        return stable

    def digest(self, descriptor: int, expected: int) -> tuple:
        """Return (SHA-256 in hex, bytes read) of an open file; one read is enough for a small one of expected size."""
        digest, size = NOTHING.copy(), os.readv(descriptor, [self.buffer])
        count = size
        digest.update(self.buffer[:count])
        while count and not (size == expected and size < BUFFER_BYTES):
            if self.deadline and time.monotonic() > self.deadline:
                raise TooLateError
            count = os.readv(descriptor, [self.buffer])
            digest.update(self.buffer[:count])
            size += count
        return digest.hexdigest(), size

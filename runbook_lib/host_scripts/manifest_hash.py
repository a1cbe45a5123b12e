"""Hash files, noticing every file that changes meanwhile.

Reads file contents, without updating their access times where the kernel permits it. Changes nothing.
A file whose content is in memory is hashed at once. One that has to come from the disk is asked for and hashed later,
so that the disk has many requests to put in order; without that, small files cost a wait each.
"""

from __future__ import annotations

import contextlib
import operator
import os
import stat
import subprocess
import time

from digests import IS_PYTHON, hashed_with, sha256, sha256sum_of
from manifest_rows import CTIME_NS, INODE, MTIME_NS, PATH, SHA256, SIZE, path_bytes
from manifest_walk import open_below
from prelude import Refused

FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BUFFER_BYTES = 1 << 20
IN_MEMORY_ONLY = getattr(os, "RWF_NOWAIT", None)
MOST_WAITING = 64  # files that are open while the disk brings them
ROUNDS = 3  # how often a file that changes while it is read is read again
ANY_SIZE = -1


class TooLateError(Exception):
    """The time for reading is over."""


def find_hashing() -> str:
    """Return what makes the digests on this host, in words for the evidence; refuse a host that has nothing."""
    try:
        return hashed_with()
    except FileNotFoundError:
        message = "neither this host's Python nor a sha256sum makes SHA-256; nothing was read; install coreutils"
        raise Refused("cannot-hash", message) from None


def hash_rows(root: int, rows: list, deadline: float = 0.0) -> tuple:
    """Fill in the digests of file rows.

    Rows are read in inode order, as files lie on the disk. With a deadline (monotonic), TooLateError ends the reading.

    Returns:
        (paths still changing after the last round, paths that vanished, whether any row is not as it was).
    """
    reader = (Reader if IS_PYTHON else CoreutilsReader)(root, deadline)
    pending, is_other = sorted(rows, key=operator.itemgetter(INODE)), False
    try:
        for _ in range(ROUNDS):
            reader.read(pending)
            pending, reader.changing, reader.to_end = reader.changing, [], True
            if not pending:
                break
            is_other = True
    finally:
        reader.close()
    return [row[PATH] for row in pending], reader.vanished, is_other


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
        self.waiting = []
        self.changing, self.vanished = [], []
        self.to_end = False  # read on behind the expected size: the first round leaves that to fstat
        self.access = os.O_NOATIME
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self.buffers = [self.buffer]
        self.nothing = sha256() if IS_PYTHON else None  # copied for each file: cheaper than asking OpenSSL again

    def close(self) -> None:
        """Close the folder, and the files that were never read."""
        for _, descriptor in self.waiting:
            os.close(descriptor)
        if self.folder >= 0:
            os.close(self.folder)
        self.folder, self.opened, self.waiting = -1, None, []

    def read(self, rows: list) -> None:
        """Read files; note which changed while they were read, and which are gone."""
        for row in rows:
            if self.deadline and time.monotonic() > self.deadline:
                raise TooLateError
            try:
                descriptor = self.open(row[PATH])
            except (FileNotFoundError, NotADirectoryError):
                self.vanished.append(row[PATH])
                continue
            except OSError as error:
                raise read_error(row, error) from error
            self.begin(row, descriptor)
            if len(self.waiting) >= MOST_WAITING:
                self.finish(MOST_WAITING // 2)
        self.finish(len(self.waiting))

    def open(self, path: str) -> int:
        """Return a descriptor of a file."""
        folder, _, name = path_bytes(path).rpartition(b"/")
        if folder != self.opened:
            if self.folder >= 0:
                os.close(self.folder)
            self.folder, self.opened = -1, None
            self.folder, self.opened = open_below(self.root, folder.split(b"/") if folder else ()), folder
        try:
            return os.open(name, FILE_FLAGS | self.access, dir_fd=self.folder)
        except PermissionError:  # only the owner may leave the access time alone
            self.access = 0
            return os.open(name, FILE_FLAGS, dir_fd=self.folder)

    def begin(self, row: list, descriptor: int) -> None:
        """Hash an open file when its beginning is in memory; else ask the disk for it and let it wait."""
        try:
            count = os.preadv(descriptor, self.buffers, 0, IN_MEMORY_ONLY)
        except (OSError, TypeError):  # from the disk; or this filesystem, or this Python, knows no such reads
            self.waiting.append((row, descriptor))
            with contextlib.suppress(OSError):  # advice only: a real error comes back when the file is read
                os.posix_fadvise(descriptor, 0, min(row[SIZE], BUFFER_BYTES), os.POSIX_FADV_WILLNEED)
        else:
            if count != row[SIZE] or self.to_end:
                self.hash_file(row, descriptor, count)
                return
            digest = self.nothing.copy()  # the short way: most files are small, and in memory whole
            digest.update(self.buffer[:count])
            self.settle(row, digest.hexdigest(), count, os.fstat(descriptor))
            os.close(descriptor)

    def finish(self, number: int) -> None:
        """Hash the files that have waited longest."""
        for _ in range(number):
            self.hash_file(*self.waiting.pop(0))

    def hash_file(self, row: list, descriptor: int, count: int = 0) -> None:
        """Hash a file of which the buffer may hold the beginning, and close it."""
        try:
            digest, size = self.digest(descriptor, ANY_SIZE if self.to_end else row[SIZE], count)
            self.settle(row, digest, size, os.fstat(descriptor))
        except OSError as error:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise read_error(row, error) from error
            self.vanished.append(row[PATH])  # it became something that cannot be read like a file
        finally:
            os.close(descriptor)

    def digest(self, descriptor: int, expected: int, size: int) -> tuple:
        """Return (SHA-256 in hex, bytes read); what is beyond the expected size is left to fstat."""
        digest = self.nothing.copy()
        digest.update(self.buffer[:size])
        count = size
        while size != expected:
            if self.deadline and time.monotonic() > self.deadline:
                raise TooLateError
            count = os.preadv(descriptor, self.buffers, size)
            if not count:
                break
            digest.update(self.buffer[:count])
            size += count
        return digest.hexdigest(), size

    def settle(self, row: list, digest: str, size: int, after: os.stat_result) -> None:
        """Give a row its digest; equal facts in the walk and after the last byte say that nothing changed."""
        if after.st_ino != row[INODE] or not stat.S_ISREG(after.st_mode):
            self.vanished.append(row[PATH])
            return
        row[SHA256] = digest
        if (
            size != after.st_size
            or row[SIZE] != size
            or row[MTIME_NS] != after.st_mtime_ns
            or row[CTIME_NS] != after.st_ctime_ns
        ):
            row[SIZE], row[MTIME_NS], row[CTIME_NS] = after.st_size, after.st_mtime_ns, after.st_ctime_ns
            self.changing.append(row)


class CoreutilsReader(Reader):
    """Lets sha256sum read the files, many at a time, on a host whose Python cannot hash."""

    def begin(self, row: list, descriptor: int) -> None:
        """Let a file wait until there are enough for one sha256sum."""
        self.waiting.append((row, descriptor))

    def finish(self, number: int) -> None:
        """Hash the files that have waited longest."""
        begun = self.waiting[:number]
        if not begun:
            return
        remaining_s = max(self.deadline - time.monotonic(), 0.001) if self.deadline else None
        try:
            digests = sha256sum_of([descriptor for _, descriptor in begun], remaining_s)
        except subprocess.TimeoutExpired:
            raise TooLateError from None
        except OSError as error:
            raise read_error(begun[0][0], error) from error
        for (row, descriptor), digest in zip(begun, digests):  # noqa: B905 - Python 3.7
            after = os.fstat(descriptor)
            self.settle(row, digest, after.st_size, after)
        for _, descriptor in begun:
            os.close(descriptor)
        self.waiting = self.waiting[number:]


def read_error(row: list, error: OSError) -> Refused:
    """Return what is said of a file that cannot be read."""
    return Refused("read-error", "%s: %s" % (row[PATH], error.strerror or error))

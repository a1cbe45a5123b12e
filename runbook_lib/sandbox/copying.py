"""Copy a folder so that nothing about its files is lost: times, modes, owners, links, holes, pipes.

Reads one folder, writes another that must not exist.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 1 << 24


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with everything in it.

    Args:
        source: The folder to read.
        target: The folder to make; its parent exists.

    Raises:
        FileExistsError: The target is there already.

    Changes:
        The target. Owners are kept as far as this user may set them.
    """
    _copy_folder(os.fsencode(source), os.fsencode(target), {})


def _copy_folder(source: bytes, target: bytes, seen: dict[tuple[int, int], bytes]) -> None:
    facts = os.lstat(source)
    os.mkdir(target, 0o700)  # noqa: PTH102 - bytes, for names that are not text
    for entry in os.scandir(source):
        _copy_entry(entry.path, os.path.join(target, entry.name), entry.stat(follow_symlinks=False), seen)  # noqa: PTH118
    _copy_facts(source, target, facts)


def _copy_entry(source: bytes, target: bytes, facts: os.stat_result, seen: dict[tuple[int, int], bytes]) -> None:
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFDIR:
        _copy_folder(source, target, seen)
        return
    if facts.st_nlink > 1:
        first = seen.setdefault((facts.st_dev, facts.st_ino), target)
        if first != target:
            os.link(first, target, follow_symlinks=False)
            return
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211 - bytes
    elif kind == stat.S_IFREG:
        _copy_file(source, target)
    elif kind == stat.S_IFIFO:
        os.mkfifo(target)
    else:
        with suppress(PermissionError):  # sockets and devices: only root may make them
            os.mknod(target, facts.st_mode, facts.st_rdev)
        if not os.path.lexists(target):
            return
    _copy_facts(source, target, facts)


def _copy_file(source: bytes, target: bytes) -> None:
    reading = os.open(source, os.O_RDONLY)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _copy_extents(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_extents(reading: int, writing: int) -> None:
    """Copy what is data and leave what is a hole, so that a sparse file stays sparse."""
    size = os.fstat(reading).st_size
    position = 0
    while position < size:
        try:
            start = os.lseek(reading, position, os.SEEK_DATA)
            end = os.lseek(reading, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole up to the end
                raise
            break
        _copy_range(reading, writing, start, end)
        position = end
    os.ftruncate(writing, size)


def _copy_range(reading: int, writing: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(reading, min(CHUNK_BYTES, end - start), start)
        if not data:
            return
        os.pwrite(writing, data, start)
        start += len(data)


def _copy_facts(source: bytes, target: bytes, facts: os.stat_result) -> None:
    with suppress(PermissionError):
        os.chown(target, facts.st_uid, facts.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(facts.st_mode):
        os.chmod(target, stat.S_IMODE(facts.st_mode))  # noqa: PTH101 - bytes
        with suppress(OSError):
            for name in os.listxattr(source, follow_symlinks=False):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)

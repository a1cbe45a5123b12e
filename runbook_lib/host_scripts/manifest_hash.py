"""Hash files with one forked worker per core, noticing every file that changes meanwhile.

Reads file contents, without updating their access times where the kernel permits it. Changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import tempfile
from typing import Iterable

from manifest_rows import CTIME_NS, INODE, MTIME_NS, PATH, SHA256, SIZE
from manifest_walk import native, open_below
from prelude import Refused

FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
BUFFER_BYTES = 1 << 20
COST_OF_OPENING = 1 << 16  # bytes that could be hashed while one file is opened; balances small and large files
CHUNKS_PER_WORKER = 64  # the pipe of chunk numbers must hold them all
ROUNDS = 3  # how often a file that changes while it is read is read again


def hash_rows(root: int, rows: list, workers: int) -> tuple:
    """Fill in the digests of file rows; return (paths still changing after the last round, paths that vanished)."""
    pending, vanished = rows, []
    for _ in range(ROUNDS):
        changing = []
        for index, digest, size, mtime_ns, ctime_ns, stable in hash_once(root, pending, workers):
            row = pending[index]
            if digest is None:
                vanished.append(row[PATH])
                continue
            row[SHA256], row[SIZE], row[MTIME_NS], row[CTIME_NS] = digest, size, mtime_ns, ctime_ns
            if not stable:
                changing.append(row)
        pending = changing
        if not pending:
            break
    return [row[PATH] for row in pending], vanished


def hash_once(root: int, rows: list, workers: int) -> list:
    """Return the workers' answers: [index, digest or None when it vanished, size, mtime_ns, ctime_ns, stable]."""
    chunks = cut(rows, workers)
    if workers <= 1 or len(chunks) <= 1:
        return hash_chunks(root, rows, chunks)
    take, give = os.pipe()
    os.write(give, b"".join(struct.pack("=q", number) for number in range(len(chunks))))
    os.close(give)
    children = [fork_worker(root, rows, chunks, take) for _ in range(min(workers, len(chunks)))]
    os.close(take)
    answers, problems = [], []
    for pid, stream in children:
        status = os.waitpid(pid, 0)[1]
        stream.seek(0)
        answer = json.loads(stream.read() or "null")
        if status or not isinstance(answer, list):
            problems.append(answer or "a worker ended with status %d" % status)
        else:
            answers += answer
    if problems:
        raise Refused("read-error", "; ".join(problems))
    return answers


def cut(rows: list, workers: int) -> list:
    """Return the rows' indices in inode order (the order on the disk) in chunks of about the same cost."""
    order = sorted(range(len(rows)), key=lambda index: rows[index][INODE])
    limit = sum(row[SIZE] + COST_OF_OPENING for row in rows) // (max(workers, 1) * CHUNKS_PER_WORKER) + 1
    chunks, cost = [], limit
    for index in order:
        if cost >= limit:
            chunks.append([])
            cost = 0
        chunks[-1].append(index)
        cost += rows[index][SIZE] + COST_OF_OPENING
    return chunks


def fork_worker(root: int, rows: list, chunks: list, take: int) -> tuple:
    """Start a worker that takes chunk numbers from a pipe; return its pid and the stream it answers into."""
    stream = tempfile.TemporaryFile("w+")  # noqa: SIM115 - parent and child both hold it
    pid = os.fork()
    if pid:
        return pid, stream
    code = 1
    try:
        numbers = iter(lambda: os.read(take, 8), b"")
        answer = hash_chunks(root, rows, (chunks[struct.unpack("=q", number)[0]] for number in numbers))
        code = 0
    except Refused as refusal:
        answer, code = refusal.message, 1
    finally:
        if code == 0 or answer:
            stream.write(json.dumps(answer, separators=(",", ":")))
            stream.flush()
        os._exit(code)


def hash_chunks(root: int, rows: list, chunks: Iterable) -> list:
    """Hash the files of several chunks; return one answer for each."""
    answers, opened, folder = [], None, -1
    buffer = memoryview(bytearray(BUFFER_BYTES))
    try:
        for index in (index for chunk in chunks for index in chunk):
            parts = native(rows[index][PATH])
            try:
                if parts[:-1] != opened:
                    if folder >= 0:
                        os.close(folder)
                    opened, folder = None, -1
                    folder, opened = open_below(root, parts[:-1]), parts[:-1]
                answers.append([index, *hash_file(folder, parts[-1], rows[index], buffer)])
            except (FileNotFoundError, NotADirectoryError):
                answers.append([index, None, 0, 0, 0, False])
            except OSError as error:
                raise Refused("read-error", "%s: %s" % (rows[index][PATH], error.strerror)) from error
    finally:
        if folder >= 0:
            os.close(folder)
    return answers


def hash_file(folder: int, name: str, row: list, buffer: memoryview) -> tuple:
    """Return (digest, size, mtime_ns, ctime_ns, whether it stayed the same from the walk to the last byte)."""
    try:
        descriptor = os.open(name, FILE_FLAGS | os.O_NOATIME, dir_fd=folder)
    except PermissionError:  # only the owner may leave the access time alone
        descriptor = os.open(name, FILE_FLAGS, dir_fd=folder)
    try:
        before = os.fstat(descriptor)
        if before.st_ino != row[INODE] or not stat.S_ISREG(before.st_mode):
            raise FileNotFoundError(name)
        digest, size = hashlib.sha256(), 0
        while True:
            count = os.readv(descriptor, [buffer])
            if not count:
                break
            digest.update(buffer[:count])
            size += count
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    seen = {(found.st_size, found.st_mtime_ns, found.st_ctime_ns) for found in (before, after)}
    stable = seen == {(row[SIZE], row[MTIME_NS], row[CTIME_NS])} and size == after.st_size
    return digest.hexdigest(), size, after.st_mtime_ns, after.st_ctime_ns, stable

"""The rows of a manifest and the file that keeps them on the host.

A row is a list: the ten fields of the canonical form, then inode and ctime_ns, which only this host uses.
Paths are relative, UTF-8 with surrogateescape. The file is gzip: one header line, then one row a line, in path order.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re

from prelude import STORE, Refused

VERSION = 1
PATH, KIND, SIZE, MODE, UID, GID, MTIME_NS, SHA256, LINK_TARGET, LINK_GROUP, INODE, CTIME_NS = range(12)
CANONICAL_FIELDS = 10
encode = json.JSONEncoder(separators=(",", ":")).encode


def manifest_path(run_id: str, name: str) -> str:
    """Return where a manifest is kept: below the store, never on the data volume."""
    for value in (run_id, name):
        if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", value):
            raise Refused("bad-name", "%r is no name of a run or a manifest" % value)
    return os.path.join(STORE, run_id, name + ".manifest.gz")


def save(path: str, header: dict, rows: list) -> str:
    """Write the manifest whole or not at all; return the SHA-256 of its canonical form."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    partial = "%s.%d.partial" % (path, os.getpid())
    digest = hashlib.sha256()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, filename="", mtime=0) as packed:
            packed.write((encode(dict(header, version=VERSION)) + "\n").encode("ascii"))
            for start in range(0, len(rows), 1000):
                lines = [(encode(row[:CANONICAL_FIELDS]), row) for row in rows[start : start + 1000]]
                digest.update("".join([line + "\n" for line, _ in lines]).encode("ascii"))
                stored = ["%s,%d,%d]\n" % (line[:-1], row[INODE], row[CTIME_NS]) for line, row in lines]
                packed.write("".join(stored).encode("ascii"))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)
    return digest.hexdigest()


def load(path: str) -> tuple:
    """Return (header, rows) of a manifest that this host keeps."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as stream:
            header = json.loads(stream.readline())
            return header, [json.loads(line) for line in stream]
    except FileNotFoundError:
        raise Refused("no-manifest", "this host keeps no manifest %s" % path, path=path) from None

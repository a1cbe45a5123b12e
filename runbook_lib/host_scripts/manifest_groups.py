"""Groups of files whose contents are compared by one digest each, so that no list of files need travel.

The same rule gives the same groups on the source and on the target, because the filesystem is the same: group
`changed` holds the files whose ctime is not before a moment; `sample-00` half of all files, `sample-01` a quarter, and
so on, chosen by a keyed hash of their paths, so that a sample can grow until its time is over. Pure.
"""

from __future__ import annotations

import hashlib
from typing import Iterable

from manifest_rows import CTIME_NS, KIND, PATH, SHA256, SIZE, is_first, path_bytes

CHANGED, SAMPLE = "changed", "sample-%02d"
BANDS = 32


def band_of(seed: str, path: str) -> int:
    """Return which sample a path belongs to: 0 for half of all paths, 1 for a quarter, and so on."""
    digest = hashlib.blake2b(path_bytes(path), digest_size=4, key=seed.encode("ascii")[:64]).digest()
    return min(BANDS - int.from_bytes(digest, "big").bit_length(), BANDS - 1)


def is_file(row: list) -> bool:
    """Return whether a row has a content of its own."""
    return row[KIND] == "file" and is_first(row)


def is_changed(row: list, since_ns: int) -> bool:
    """Return whether a file's inode changed at or after a moment."""
    return is_file(row) and row[CTIME_NS] >= since_ns


def group(rows: Iterable, seed: str, since_ns: int) -> dict:
    """Return the groups that rows with digests belong to: name to [files, bytes, what is digested]."""
    members = {}
    for row in rows:
        if not is_file(row):
            continue
        names = [SAMPLE % band_of(seed, row[PATH])] + ([CHANGED] if row[CTIME_NS] >= since_ns else [])
        for name in names:
            members.setdefault(name, []).append(row)
    return {name: [len(found), sum(row[SIZE] for row in found), contents(found)] for name, found in members.items()}


def contents(rows: list) -> bytes:
    """Return what the digest of a group is made of: each path and its content's digest, in path order."""
    return b"".join(path_bytes(row[PATH]) + b"\0" + row[SHA256].encode("ascii") + b"\n" for row in rows)

"""Groups of files whose contents are compared by one digest each, so that no list of files need travel.

The same rule gives the same groups on the source and on the target, because the filesystem is the same: group
`changed` holds the files whose ctime is not before a moment; `sample-00` half of all files, `sample-01` a quarter, and
so on, chosen by a seeded checksum of their paths, so that a sample can grow until its time is over. The checksum need
not withstand an attacker, only spread paths evenly, and it is paid for inside the outage. Pure.
"""

from __future__ import annotations

import zlib
from typing import Iterable

from digests import sha256
from manifest_rows import CTIME_NS, KIND, PATH, SHA256, SIZE, is_first, path_bytes

CHANGED, SAMPLE = "changed", "sample-%02d"
BANDS = 32
MASK = (1 << BANDS) - 1
SPREAD = 0x9E3779B1  # odd, so that no two checksums become one; its high bits depend on all of theirs


def band_of_number(number: int) -> int:
    """Return which sample a path's checksum belongs to: 0 for half of all paths, 1 for a quarter, and so on."""
    return min(BANDS - number.bit_length(), BANDS - 1)


def sampled(rows: Iterable, seed: int, lowest_band: int) -> list:
    """Return (sample, row) of the files in a sample and in smaller ones; most rows are left out, at little cost."""
    checksum, limit = zlib.crc32, 1 << (BANDS - lowest_band)
    numbered = [(checksum(path_bytes(row[PATH]), seed) * SPREAD & MASK, row) for row in rows]
    return [(band_of_number(number), row) for number, row in numbered if number < limit and is_file(row)]


def seed_of(text: str) -> int:
    """Return the checksum that paths are continued from."""
    return zlib.crc32(text.encode("utf-8"))


def is_file(row: list) -> bool:
    """Return whether a row has a content of its own."""
    return row[KIND] == "file" and is_first(row)


def group(rows: Iterable, seed: int, since_ns: int) -> dict:
    """Return the groups that files with digests belong to: name to [files, bytes, what is digested]."""
    bands, changed, checksum = [[] for _ in range(BANDS)], [], zlib.crc32
    for row in rows:  # as `band_of_number`, without its calls: it is run for every file inside the outage
        number = checksum(row[PATH].encode("utf-8", "surrogateescape"), seed) * SPREAD & MASK
        bands[BANDS - number.bit_length() if number > 1 else BANDS - 1].append(row)
        if row[CTIME_NS] >= since_ns:
            changed.append(row)
    members = {SAMPLE % band: found for band, found in enumerate(bands)}
    members[CHANGED] = changed
    return {
        name: [len(found), sum([row[SIZE] for row in found]), contents(found)]
        for name, found in members.items()
        if found
    }


def contents(rows: list) -> bytes:
    """Return what the digest of a group is made of: each path and its content's digest, in path order."""
    return path_bytes("".join([f"{row[PATH]}\0{row[SHA256]}\n" for row in rows]))


def digest_of(rows: list) -> str:
    """Return the digest of a whole group in hex."""
    return sha256(contents(rows)).hexdigest()

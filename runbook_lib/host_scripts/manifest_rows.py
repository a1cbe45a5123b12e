"""The rows of a manifest, their canonical lines, and the folder that keeps them on the host.

A row is a list: the ten fields of the canonical form, then inode and ctime_ns, which only this host uses.
Paths are relative, UTF-8 with surrogateescape. A manifest is a folder of parts (gzip, one row a line, in path order)
with a header that is written last: a folder without a header is an attempt that was killed, and its parts are reused.
"""

from __future__ import annotations

import bisect
import gzip
import json
import os
import re

from prelude import STORE, Refused, read_text, write_atomically

VERSION = 1
PATH, KIND, SIZE, MODE, UID, GID, MTIME_NS, SHA256, LINK_TARGET, LINK_GROUP, INODE, CTIME_NS = range(12)
CANONICAL_FIELDS = 10
STARTED, HEADER = "started.json", "header.json"
quote = json.encoder.encode_basestring_ascii


def manifest_path(run_id: str, name: str) -> str:
    """Return where a manifest is kept: below the store, never on the data volume."""
    for value in (run_id, name):
        if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", value):
            raise Refused("bad-name", "%r is no name of a run or a manifest" % value)
    return os.path.join(STORE, run_id, name + ".manifest")


def line_ends(row: list) -> tuple:
    """Return the canonical line of a row in two parts, between which its digest stands."""
    head = '[%s,"%s",%d,%d,%d,%d,%d,"' % (quote(row[PATH]), row[KIND], *row[SIZE : MTIME_NS + 1])
    if not row[LINK_TARGET] and not row[LINK_GROUP]:
        return head, '","",""]\n'
    return head, '",%s,%s]\n' % (quote(row[LINK_TARGET]), quote(row[LINK_GROUP]))


def path_bytes(path: str) -> bytes:
    """Return what rows are ordered by."""
    return path.encode("utf-8", "surrogateescape")


def is_first(row: list) -> bool:
    """Return whether a row is the only one, or the first in path order, of its inode."""
    return row[LINK_GROUP] in ("", row[PATH])


def part_path(folder: str, number: int) -> str:
    """Return the file of one part."""
    return os.path.join(folder, "%08d.part" % number)


def write_part(folder: str, number: int, rows: list, ends: list) -> bytes:
    """Store the rows of one part, given with the ends of their lines, whole or not at all; return canonical lines."""
    canonical, stored = [], []
    for row, (head, tail) in zip(rows, ends):  # noqa: B905 - Python 3.7 has no strict
        start = head + row[SHA256]
        canonical.append(start + tail)
        stored.append("%s%s,%d,%d]\n" % (start, tail[:-2], row[INODE], row[CTIME_NS]))
    path = part_path(folder, number)
    with gzip.GzipFile(path + ".partial", "wb", compresslevel=1, mtime=0) as packed:
        packed.write("".join(stored).encode("ascii"))
    os.replace(path + ".partial", path)
    return "".join(canonical).encode("ascii")


def read_part(path: str) -> list:
    """Return the rows of one part."""
    with gzip.open(path, "rt", encoding="ascii") as stream:
        text = stream.read()
    return json.loads("[%s]" % text.rstrip("\n").replace("]\n[", "],[")) if text else []


def first_path(path: str) -> str:
    """Return the path of a part's first row, "" for an empty part."""
    with gzip.open(path, "rt", encoding="ascii") as stream:
        line = stream.readline()
    return json.loads(line)[PATH] if line else ""


def write_note(path: str, note: dict) -> None:
    """Store a JSON file whole or not at all."""
    write_atomically(path, json.dumps(note).encode("ascii"))


class Former:
    """A manifest, or what a killed attempt left of one, from which digests are taken over.

    Args:
        folder: Its folder.
        header: Its header; None for an attempt that was killed.
    """

    def __init__(self, folder: str, header: dict | None = None) -> None:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".part"))
        self.paths = [os.path.join(folder, name) for name in names]
        if header is None:
            started = json.loads(read_text(os.path.join(folder, STARTED), "{}"))
            begun = [(path, first_path(path)) for path in self.paths]
            firsts = [first for _, first in begun if first]
            self.paths = [path for path, first in begun if first]
        else:
            started, firsts = header, header["firsts"]
        self.trusted_before_ns = started.get("trusted_before_ns", 0)
        self.firsts = [path_bytes(first) for first in firsts]

    def between(self, first: str, last: str) -> dict:
        """Return the rows of files whose digest is known, by path, at least those from one path to another."""
        start = max(bisect.bisect_right(self.firsts, path_bytes(first)) - 1, 0)
        end = bisect.bisect_right(self.firsts, path_bytes(last))
        found = {}
        for path in self.paths[start:end]:
            found.update((row[PATH], row) for row in read_part(path) if row[SHA256])
        return found


def load(path: str) -> tuple:
    """Return (header, an iterator of its rows) of a manifest that this host keeps."""
    text = read_text(os.path.join(path, HEADER))
    if not text:
        raise Refused("no-manifest", "this host keeps no manifest %s" % path, path=path)
    header = json.loads(text)
    return header, (row for number in range(len(header["firsts"])) for row in read_part(part_path(path, number)))

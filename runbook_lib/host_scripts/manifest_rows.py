"""The rows of a manifest, their lines, and the folder that keeps them on the host.

A row is a list: the ten fields of the canonical form, then inode and ctime_ns, which only this host uses.
Paths are relative, UTF-8 with surrogateescape. A manifest is a folder of parts, in path order, with a header that is
written last: a folder without a header is an attempt that was killed, and its parts are reused. A part holds one line
a row, and after them the digests. It is not compressed: that took time inside the outage.
"""

from __future__ import annotations

import bisect
import json
import os
import re
import zlib

from prelude import STORE, Refused, read_text, write_atomically

VERSION = 1
PATH, KIND, SIZE, MODE, UID, GID, MTIME_NS, SHA256, LINK_TARGET, LINK_GROUP, INODE, CTIME_NS = range(12)
CANONICAL_FIELDS = 10
STARTED, HEADER = "started.json", "header.json"
HEX_DIGITS = 64
NO_DIGEST = "0" * HEX_DIGITS
NO_LINKS = '","",""'
quote = json.encoder.encode_basestring_ascii


def manifest_path(run_id: str, name: str) -> str:
    """Return where a manifest is kept: below the store, never on the data volume."""
    for value in (run_id, name):
        if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", value):
            raise Refused("bad-name", "%r is no name of a run or a manifest" % value)
    return os.path.join(STORE, run_id, name + ".manifest")


def lines_of(rows: list) -> list:
    """Return of each row its canonical line in two parts, between which its digest stands, and the line a part keeps.

    One loop without calls: it is run for every entry inside the outage.
    """
    lines = []
    for path, kind, size, mode, uid, gid, mtime_ns, _, link_target, link_group, inode, ctime_ns in rows:
        head = f'[{quote(path)},"{kind}",{size},{mode},{uid},{gid},{mtime_ns},"'
        tail = f'",{quote(link_target)},{quote(link_group)}' if link_target or link_group else NO_LINKS
        lines.append((head, tail + "]\n", f"{head}{tail},{inode},{ctime_ns}]"))
    return lines


def path_bytes(path: str) -> bytes:
    """Return a path as this host has it, which is what rows are ordered by."""
    return path.encode("utf-8", "surrogateescape")


def path_of(name: bytes) -> str:
    """Return a path as rows have it."""
    return name.decode("utf-8", "surrogateescape")


def is_first(row: list) -> bool:
    """Return whether a row is the only one, or the first in path order, of its inode."""
    return not row[LINK_GROUP] or row[LINK_GROUP] == row[PATH]


def part_path(folder: str, number: int) -> str:
    """Return the file of one part; by their names, parts stand in path order."""
    return os.path.join(folder, "%012d.part" % number)


def part_paths(folder: str) -> list:
    """Return the files of all parts, in path order."""
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".part")]


def write_part(folder: str, number: int, rows: list, lines: list) -> None:
    """Store the rows of one part, given with their lines, whole or not at all."""
    text = "\n".join([kept for _, _, kept in lines]).encode("ascii")
    digests = bytes.fromhex("".join([row[SHA256] or NO_DIGEST for row in rows]))
    path = part_path(folder, number)
    with open(path + ".partial", "wb") as stream:
        stream.write(b"%d %d\n" % (len(text), zlib.crc32(digests, zlib.crc32(text))))
        stream.write(text)
        stream.write(digests)
    os.replace(path + ".partial", path)


def canonical(rows: list, lines: list) -> bytes:
    """Return the canonical lines of rows, given with their lines."""
    whole = [head + row[SHA256] + tail for row, (head, tail, _) in zip(rows, lines)]  # noqa: B905 - Python 3.7
    return "".join(whole).encode("ascii")


def read_lines(path: str) -> tuple:
    """Return (the lines of one part, its digests in hex, NO_DIGEST where there is none)."""
    with open(path, "rb") as stream:
        (size, checksum), rest = map(int, stream.readline().split()), stream.read()
    if zlib.crc32(rest) != checksum:
        raise ValueError("%s is damaged" % path)
    text, digests = rest[:size].decode("ascii"), rest[size:].hex()
    lines = text.split("\n") if text else []
    return lines, [digests[start : start + HEX_DIGITS] for start in range(0, len(digests), HEX_DIGITS)]


def read_part(path: str) -> list:
    """Return the rows of one part; refuse one that is damaged."""
    try:
        lines, digests = read_lines(path)
        rows = json.loads("[%s]" % ",".join(lines))
    except ValueError as error:
        raise Refused("damaged-manifest", "%s cannot be read: %s; build this manifest again" % (path, error)) from error
    for row, digest in zip(rows, digests):  # noqa: B905 - Python 3.7
        row[SHA256] = "" if digest == NO_DIGEST else digest
    return rows


def write_note(path: str, note: dict) -> None:
    """Store a JSON file whole or not at all."""
    write_atomically(path, json.dumps(note).encode("ascii"))


class Former:
    """A manifest, or what a killed attempt left of one, from which digests are taken over.

    A part that cannot be read is passed over: what it knew is hashed again.

    Args:
        folder: Its folder.
        header: Its header; None for an attempt that was killed.
    """

    def __init__(self, folder: str, header: dict | None = None) -> None:
        self.paths = part_paths(folder)
        if header is None:
            started = json.loads(read_text(os.path.join(folder, STARTED)) or "{}")
            begun = [(path, lines[0]) for path in self.paths for lines in [known_lines(path)[0]] if lines]
            self.paths, firsts = [path for path, _ in begun], [json.loads(line)[PATH] for _, line in begun]
        else:
            started, firsts = header, header["firsts"]
        self.trusted_before_ns = started.get("trusted_before_ns", 0)
        self.firsts = [path_bytes(first) for first in firsts]

    def between(self, first: str, last: str) -> dict:
        """Return the digests of the lines that parts keep, at least those from one path to another."""
        start = max(bisect.bisect_right(self.firsts, path_bytes(first)) - 1, 0)
        end = bisect.bisect_right(self.firsts, path_bytes(last))
        found = {}
        for path in self.paths[start:end]:
            found.update(zip(*known_lines(path)))  # noqa: B905 - Python 3.7
        return found


def known_lines(path: str) -> tuple:
    """Return what `read_lines` does, nothing of a part that is damaged."""
    try:
        return read_lines(path)
    except ValueError:
        return [], []


def load(path: str) -> tuple:
    """Return (header, an iterator of its rows) of a manifest that this host keeps."""
    text = read_text(os.path.join(path, HEADER))
    if not text:
        raise Refused("no-manifest", "this host keeps no manifest %s" % path, path=path)
    header = json.loads(text)
    paths = part_paths(path)
    if len(paths) != len(header["firsts"]):
        message = "%s has %d parts, not %d; build this manifest again" % (path, len(paths), len(header["firsts"]))
        raise Refused("damaged-manifest", message)
    return header, (row for part in paths for row in read_part(part))

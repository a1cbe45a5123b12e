"""Compare manifests: every name, attribute and content digest of the data, before and after.

Pure: rows in, differences out. The rows come from the host script ``read_manifest``; ``canonical`` gives the same bytes
as the host hashed, so a digest computed on a host can be checked here. It reads and writes no file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from operator import attrgetter
from typing import Any

from runbook_lib.model import FileEntry, ManifestDifference

VERSION = 1
_ATTRIBUTES = tuple(field.name for field in fields(FileEntry) if field.name != "path")
_LISTED = 10
_row = attrgetter(*(field.name for field in fields(FileEntry)))


def parse(answer: Mapping[str, Any]) -> tuple[FileEntry, ...]:
    """Return the entries of a manifest.

    Args:
        answer: What the host script ``read_manifest`` returned: version and entries, one list of ten fields each.

    Returns:
        The entries in path order.

    Raises:
        ValueError: when the version is unknown, or an entry is malformed or out of order.
    """
    if answer.get("version") != VERSION:
        raise ValueError(f"manifest version {answer.get('version')!r} is not {VERSION}")
    try:
        entries = tuple(FileEntry(*row) for row in answer["entries"])
    except TypeError as error:
        raise ValueError(f"a manifest's entry is malformed: {error}") from error
    names = [_path_bytes(entry.path) for entry in entries]
    if any(earlier >= later for earlier, later in pairwise(names)):
        raise ValueError("the manifest's entries are not in path order, or a path stands there twice")
    return entries


def rows(entries: Iterable[FileEntry]) -> list[list[Any]]:
    """Return entries as `parse` takes them.

    Args:
        entries: The entries.

    Returns:
        One list of ten fields each, in the order given.
    """
    return [list(_row(entry)) for entry in entries]


def canonical(entries: Iterable[FileEntry]) -> bytes:
    r"""Return the one form of a manifest that digests are made of.

    Args:
        entries: The entries, in any order.

    Returns:
        One JSON array a line, ASCII, in the order of the paths' bytes; bytes that are no UTF-8 stand as ``\udcXX``.
    """
    ordered = sorted(entries, key=lambda entry: _path_bytes(entry.path))
    return b"".join(json.dumps(_row(entry), separators=(",", ":")).encode() + b"\n" for entry in ordered)


def digest(entries: Iterable[FileEntry]) -> str:
    """Return what identifies the content of a manifest.

    Args:
        entries: The entries, in any order.

    Returns:
        SHA-256 of the canonical form in hex.
    """
    return hashlib.sha256(canonical(entries)).hexdigest()


def totals(entries: Iterable[FileEntry]) -> tuple[int, int]:
    """Return how much data a manifest describes.

    Args:
        entries: The entries.

    Returns:
        Number of regular files, and their bytes; hard links count as files but their bytes once.
    """
    files = [entry for entry in entries if entry.kind == "file"]
    return len(files), sum(entry.size_bytes for entry in files if entry.link_group in ("", entry.path))


def compare(
    before: Sequence[FileEntry], after: Sequence[FileEntry], *, ignored: Iterable[str] = ()
) -> ManifestDifference:
    """Return what differs between two manifests.

    An ignored path is left out with everything below it. The modification time of the directory that holds an ignored
    path is left out too: making or removing that entry moves it, and nothing else is lost by not looking, because
    every other entry of the directory is compared by itself.

    Args:
        before: The manifest that was taken first.
        after: The manifest that was taken later.
        ignored: Paths that may differ, for example what the runbook itself writes.

    Returns:
        Paths that are missing, added or changed; for the changed ones, which attributes, sorted.
    """
    left_out = tuple(path.strip("/") for path in ignored)
    holders = {path.rpartition("/")[0] or "." for path in left_out}
    earlier = {entry.path: entry for entry in before if not _is_below(entry.path, left_out)}
    later = {entry.path: entry for entry in after if not _is_below(entry.path, left_out)}
    changed = []
    for path in sorted(earlier.keys() & later.keys(), key=_path_bytes):
        names = _differing(earlier[path], later[path])
        if path in holders and later[path].kind == "directory":
            names = tuple(name for name in names if name != "mtime_ns")
        if names:
            changed.append((path, names))
    return ManifestDifference(
        missing=tuple(sorted(earlier.keys() - later.keys(), key=_path_bytes)),
        added=tuple(sorted(later.keys() - earlier.keys(), key=_path_bytes)),
        changed=tuple(changed),
    )


def summarize(difference: ManifestDifference) -> str:
    """Return a difference as text for a person.

    Args:
        difference: What `compare` returned.

    Returns:
        One sentence when nothing differs; else counts, then the first paths of each kind, control characters escaped.
    """
    if difference.identical:
        return "Identical: every name, attribute and content digest is the same."
    lines = []
    for kind, paths in (("missing", difference.missing), ("added", difference.added)):
        lines += _section(kind, [printable(path) for path in paths])
    lines += _section("changed", [f"{printable(path)} ({', '.join(names)})" for path, names in difference.changed])
    return "\n".join(lines)


def printable(path: str) -> str:
    """Return a path as one line that any terminal can show.

    Args:
        path: A path with surrogateescape.

    Returns:
        The path; control characters and bytes that are no UTF-8 as escapes.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in path
    )


def _section(kind: str, lines: list[str]) -> list[str]:
    more = [f"  … and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [f"{len(lines)} {kind}:", *(f"  {line}" for line in lines[:_LISTED]), *more] if lines else []


def _differing(earlier: FileEntry, later: FileEntry) -> tuple[str, ...]:
    return tuple(sorted(name for name in _ATTRIBUTES if getattr(earlier, name) != getattr(later, name)))


def _is_below(path: str, left_out: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in left_out)


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")

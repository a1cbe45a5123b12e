"""Build the manifest of a folder: every name, attribute and content digest below it.

Reads everything below the root, on the host or as a container sees it. Changes: writes dirty pages of that
filesystem, stores the manifest below /var/lib/runbook; never writes onto the data volume.
A file is taken over from a previous manifest when size, mtime, ctime and inode are equal and its ctime is older than
the moment before which the previous run had all dirty pages written: later writes, mapped ones too, move the ctime.
"""

from __future__ import annotations

import os
import time

from containers import find_container, view_path
from manifest_hash import hash_rows
from manifest_rows import (
    CTIME_NS,
    INODE,
    KIND,
    LINK_GROUP,
    MTIME_NS,
    PATH,
    SHA256,
    SIZE,
    load,
    manifest_path,
    save,
)
from manifest_walk import walk
from prelude import Refused, run

CLOCK_TICK_NS = 100 * 1000 * 1000  # file times come from the kernel's coarse clock: ten ticks of the slowest
LISTED = 50


def main(arguments: dict) -> dict:
    """Walk, take over what cannot have changed, hash the rest, store; return the numbers and the digest."""
    started = time.monotonic()
    os.nice(int(arguments.get("nice") or 0))
    root_path, path = find_root(arguments), manifest_path(arguments["run_id"], arguments["name"])
    excluded = sorted(name.strip("/") for name in arguments.get("exclude") or ())
    trusted_before_ns = time.time_ns() - CLOCK_TICK_NS
    run(["sync", "-f", root_path], timeout_s=600)
    root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        rows, vanished, foreign = walk(root, set(excluded))
        firsts = group_links(rows)
        reused = take_over(rows, arguments) if arguments.get("previous") else 0
        fresh = [row for row in rows if is_to_hash(row)]
        workers = min(int(arguments.get("workers") or os.cpu_count() or 1), 64)
        changing, gone = hash_rows(root, fresh, workers)
    finally:
        os.close(root)
    rows = [row for row in rows if row[PATH] not in set(gone)]
    copy_digests(rows, firsts)
    header = {"root": root_path, "excluded": excluded, "trusted_before_ns": trusted_before_ns}
    unstable = sorted(set(changing + gone + vanished))
    return {
        "files": sum(row[KIND] == "file" for row in rows),
        "entries": len(rows),
        "bytes": sum(row[SIZE] for row in rows if is_first(row)),
        "sha256": save(path, header, rows),
        "hashed_files": len(fresh) - len(gone),
        "hashed_bytes": sum(row[SIZE] for row in fresh),
        "reused_files": reused,
        "duration_s": round(time.monotonic() - started, 3),
        "path": path,
        "unstable": unstable[:LISTED],
        "unstable_count": len(unstable),
        "other_filesystems": foreign[:LISTED],
    }


def find_root(arguments: dict) -> str:
    """Return the folder to walk: a path of the host, or a container's view."""
    if arguments.get("container"):
        root = view_path(find_container(arguments["container"]), arguments["container_path"])
    else:
        root = arguments["root"]
    if not os.path.isdir(root):
        raise Refused("no-folder", "%s is no folder on this host" % root, root=root)
    return root


def group_links(rows: list) -> dict:
    """Name each hard-linked inode's first path in the other rows of it; return the first rows by inode."""
    firsts = {}
    for row in rows:
        if row[LINK_GROUP]:
            first = firsts.setdefault(row[INODE], row)
            row[LINK_GROUP] = first[PATH]
    return firsts


def is_first(row: list) -> bool:
    """Return whether a row is the only one, or the first in path order, of its inode."""
    return row[LINK_GROUP] in ("", row[PATH])


def is_to_hash(row: list) -> bool:
    """Return whether a row is a file whose digest is not known yet."""
    return row[KIND] == "file" and not row[SHA256] and is_first(row)


def take_over(rows: list, arguments: dict) -> int:
    """Copy digests of files that cannot have changed since the previous manifest; return how many."""
    header, former_rows = load(manifest_path(arguments["run_id"], arguments["previous"]))
    former = {row[PATH]: row for row in former_rows if row[KIND] == "file"}
    count = 0
    for row in rows:
        known = former.get(row[PATH]) if is_to_hash(row) else None
        same = known and all(known[field] == row[field] for field in (SIZE, MTIME_NS, CTIME_NS, INODE))
        if same and row[CTIME_NS] < header["trusted_before_ns"]:
            row[SHA256] = known[SHA256]
            count += 1
    return count


def copy_digests(rows: list, firsts: dict) -> None:
    """Give hard links what their first row learned while it was hashed."""
    for row in rows:
        if row[LINK_GROUP] and row[KIND] == "file":
            first = firsts[row[INODE]]
            for field in (SHA256, SIZE, MTIME_NS, CTIME_NS):
                row[field] = first[field]

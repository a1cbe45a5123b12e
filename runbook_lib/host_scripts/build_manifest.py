"""Build the manifest of a folder: every name, attribute and content digest below it.

Reads everything below the root, on the host or as a container sees it. Changes: writes dirty pages of that
filesystem, stores the manifest below /var/lib/runbook; never writes onto the data volume.
A file is taken over from a previous manifest when size, mtime, ctime and inode are equal and its ctime is older than
the moment before which the previous run had all dirty pages written: later writes, mapped ones too, move the ctime.
What a killed attempt at the same manifest had finished is taken over by the same rule; an attempt that still runs
(its caller died, it did not) is waited for. One worker process per core; memory is bounded by the largest folder's
names. Digests are made by Python's hashlib, or by coreutils where this Python cannot; the answer says which.
"""

from __future__ import annotations

import fcntl
import gc
import glob
import json
import os
import resource
import time

from containers import find_container, view_path
from manifest_hash import find_hashing
from manifest_parts import PART_BITS, Job, Totals, cut
from manifest_rows import (
    HEADER,
    INODE,
    LINK_GROUP,
    PATH,
    STARTED,
    VERSION,
    Former,
    load,
    manifest_path,
    write_note,
)
from manifest_walk import NO_ACCESS_TIME, Walk
from manifest_workers import Workers, worker_count
from prelude import Refused, read_text, run

CLOCK_TICK_NS = 100 * 1000 * 1000  # file times come from the kernel's coarse clock: ten ticks of the slowest
LISTED = 50


def main(arguments: dict) -> dict:
    """Walk, take over what cannot have changed, hash the rest, store; return the numbers and the digests.

    Arguments: run_id, name; root, or container and container_path; optionally previous, exclude, workers, nice,
    io_class, and seed (then the digests of groups are returned as well).
    """
    started = time.monotonic()
    gc.disable()  # rows make no cycles; looking for some takes a tenth of the time
    give_way(arguments)
    hashed_with = find_hashing()
    path, root_path = manifest_path(arguments["run_id"], arguments["name"]), find_root(arguments)
    former = previous_of(arguments)
    since_ns = former.trusted_before_ns if former else 0
    with Attempt(path) as attempt:
        formers = ([former] if former else []) + attempt.leftovers
        options = dict(arguments, since_ns=since_ns)
        totals, walk = build(root_path, attempt.folder, formers, options)
        attempt.publish(root_path, sorted(excluded_of(arguments)), totals)
    unstable = sorted(set(totals.unstable + walk.vanished))
    facts = {
        "sha256": totals.sha256,
        "metadata_sha256": totals.metadata_sha256,
        "groups": totals.group_facts(),
        "since_ns": since_ns,
        "hashed_with": hashed_with,
        "path": path,
        "unstable": unstable[:LISTED],
        "unstable_count": len(unstable),
        "other_filesystems": walk.foreign[:LISTED],
        "peak_rss_kib": peak_rss_kib(worker_count(arguments.get("workers"))),
    }
    return dict(totals.numbers, duration_s=round(time.monotonic() - started, 3), **facts)


def give_way(arguments: dict) -> None:
    """Lower this process's and its workers' share of processor and disk, where it is asked for."""
    os.nice(int(arguments.get("nice") or 0))
    classes = {"best-effort": ["-c", "2", "-n", "7"], "idle": ["-c", "3"]}
    if arguments.get("io_class"):
        try:
            run(["ionice", *classes[arguments["io_class"]], "-p", str(os.getpid())], accept=tuple(range(256)))
        except Refused:
            pass  # no ionice on this host: the manifest is built all the same


def peak_rss_kib(workers: int) -> int:
    """Return at most how much memory this process and its workers had in all, in KiB."""
    lines = read_text("/proc/self/status").splitlines()
    # not ru_maxrss: that remembers the process that started this one
    own = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own[0] if own else largest) + workers * largest


def excluded_of(arguments: dict) -> set:
    """Return the paths that are left out."""
    return {name.strip("/") for name in arguments.get("exclude") or ()}


def find_root(arguments: dict) -> str:
    """Return the folder to walk: a path of the host, or a container's view."""
    if arguments.get("container"):
        root = view_path(find_container(arguments["container"]), arguments["container_path"])
    else:
        root = arguments["root"]
    if not os.path.isdir(root):
        raise Refused("no-folder", "%s is no folder on this host" % root, root=root)
    return root


def previous_of(arguments: dict) -> Former | None:
    """Return the manifest this one builds on, or None."""
    if not arguments.get("previous"):
        return None
    path = manifest_path(arguments["run_id"], arguments["previous"])
    return Former(path, load(path)[0])


def build(root_path: str, folder: str, formers: list, options: dict) -> tuple:
    """Walk a folder and complete every part of its manifest; return (totals, walk)."""
    trusted_before_ns = time.time_ns() - CLOCK_TICK_NS
    run(["sync", "-f", root_path], timeout_s=600)
    write_note(os.path.join(folder, STARTED), {"trusted_before_ns": trusted_before_ns})
    root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY | NO_ACCESS_TIME)
    job, walk = Job(root, folder, formers, options), Walk(root, excluded_of(options))
    try:
        return Totals(job, completed(job, walk, options.get("workers"))), walk
    finally:
        os.close(root)


def completed(job: Job, walk: Walk, count: int | None) -> list:
    """Let workers look at all units, then complete what they left; return the numbers of all parts, in path order."""
    units, numbers, links = 0, [], {}
    with Workers(count, job.look) as workers:
        for unit in walk:
            job.put(units << PART_BITS, "unit", unit)
            workers.give(units << PART_BITS)
            units += 1
    with Workers(count, job.complete_part) as workers:
        for number in range(0, units << PART_BITS, 1 << PART_BITS):
            if job.is_there(number, "done"):
                numbers.append(number)
                continue
            rows, vanished = job.take(number, "looked")
            walk.vanished += vanished
            for row in rows:  # in path order, so that the first path of an inode comes first
                if row[LINK_GROUP]:
                    row[LINK_GROUP] = links.setdefault(row[INODE], row[PATH])
            for part, part_rows in enumerate(cut(rows), number):
                job.put(part, "rows", part_rows)
                workers.give(part)
                numbers.append(part)
    return numbers


class Attempt:
    """One attempt at a manifest: its folder, and what killed attempts before it left.

    Args:
        path: Where the manifest shall be.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = path + ".attempt"
        self.leftovers = []

    def __enter__(self) -> Attempt:  # noqa: PYI034 - Python 3.7 has no Self
        """Wait for an attempt that still runs, then put aside what it left."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        self.lock = open(self.path + ".lock", "w")  # held until this attempt and its workers end
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        if os.path.isdir(self.folder):
            os.rename(self.folder, "%s.left-%d" % (self.path, time.time_ns()))
        self.leftovers = [Former(left) for left in sorted(glob.glob(glob.escape(self.path) + ".left-*"))]
        os.mkdir(self.folder, 0o700)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Let the next attempt begin; what is there stays for it."""
        self.lock.close()

    def publish(self, root_path: str, excluded: list, totals: Totals) -> None:
        """Write the header, put the manifest in its place, remove what killed attempts left."""
        started = json.loads(read_text(os.path.join(self.folder, STARTED)))
        header = dict(started, version=VERSION, root=root_path, excluded=excluded, firsts=totals.firsts)
        write_note(os.path.join(self.folder, HEADER), header)
        if os.path.isdir(self.path):
            os.rename(self.path, "%s.left-%d" % (self.path, time.time_ns()))
        os.rename(self.folder, self.path)
        left = glob.glob(glob.escape(self.path) + ".left-*")
        if left:
            import shutil  # noqa: PLC0415 - with all its archive formats it takes longer to import than subprocess

            for folder in left:
                shutil.rmtree(folder, ignore_errors=True)

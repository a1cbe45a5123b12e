"""Look at the units of a walk in workers, complete each as a part, and put the parts together.

A unit becomes one part, in the worker that looked at it. Two kinds of units are left, and cut into several parts when
all are looked at: those with hard links, because only the whole tree tells which path of an inode is the first; and
those of which much is to be read, so that several workers share it. The digest of a unit's metadata does not depend on
that, so that equal trees give equal digests. What a part needs and what became of it are files of the attempt's folder:
memory does not grow with the tree, and an attempt that was killed leaves its finished parts to the next.
"""

from __future__ import annotations

import itertools
import marshal
import os
from typing import Iterable, Iterator

from digests import sha256
from manifest_groups import group, is_file, sampled, seed_of
from manifest_hash import hash_rows
from manifest_rows import (
    CTIME_NS,
    KIND,
    LINK_GROUP,
    MTIME_NS,
    NO_DIGEST,
    PATH,
    SHA256,
    SIZE,
    canonical,
    is_first,
    lines_of,
    part_path,
    read_part,
    write_part,
)
from manifest_walk import look_at

COST_OF_ROW = 1 << 16  # bytes that could be hashed while one file is opened; balances small and large files
COST_OF_PART = 1 << 27
PART_BITS = 12  # a part's number is its unit's, then its own among the parts of that unit, which are fewer than 4096
SENTINEL = ".runbook/sentinel.json"
LEARNED = (SHA256, SIZE, MTIME_NS, CTIME_NS)


class Job:
    """What every part of one manifest has in common.

    Args:
        root: Descriptor of the folder that is described.
        folder: The attempt's folder.
        formers: Manifests from which digests are taken over.
        options: `content` (`all`, or `changed` for the files of that group and the sentinel), `seed`, `since_ns`,
            `lowest_band` (remember the files of this and smaller samples, to be read later).
    """

    def __init__(self, root: int, folder: str, formers: list, options: dict) -> None:
        self.root = root
        self.folder = folder
        self.formers = formers
        self.all_content = options.get("content", "all") == "all"
        self.seed = seed_of(options["seed"]) if options.get("seed") else None
        self.since_ns = int(options.get("since_ns") or 0)
        self.lowest_band = options.get("lowest_band")

    def is_there(self, number: int, kind: str) -> bool:
        """Return whether a value is stored."""
        return os.path.exists(self.path(number, kind))

    def path(self, number: int, kind: str) -> str:
        """Return the file that holds a part's rows or answer between two processes."""
        return os.path.join(self.folder, "%012d.%s" % (number, kind))

    def put(self, number: int, kind: str, value: object) -> None:
        """Store a value for another process of this attempt."""
        with open(self.path(number, kind), "wb") as stream:
            marshal.dump(value, stream)

    def take(self, number: int, kind: str) -> object:
        """Return a stored value and remove it."""
        with open(self.path(number, kind), "rb") as stream:
            value = marshal.loads(stream.read())  # noqa: S302 - written by this very attempt, readable by root only
        os.unlink(self.path(number, kind))
        return value

    def fresh(self, rows: list) -> list:
        """Return the rows whose content is to be read."""
        if not self.all_content:
            rows = [row for row in rows if row[CTIME_NS] >= self.since_ns or row[PATH] == SENTINEL]
        return [row for row in rows if not row[SHA256] and is_file(row)]

    def look(self, number: int) -> None:
        """Look at a unit and complete it as one part, or leave its rows to be cut into several."""
        rows, vanished = look_at(self.root, self.take(number, "unit"))
        begun = self.begin(rows)
        if sum([row[SIZE] for row in begun[2]]) > COST_OF_PART or any(row[LINK_GROUP] for row in rows):
            for row in rows:
                row[SHA256] = ""  # whoever completes its part takes it over again, and counts that
            self.put(number, "looked", (rows, vanished))
        else:
            self.complete(number, rows, begun, vanished, is_unit=True)

    def complete_part(self, number: int) -> None:
        """Complete one of several parts of a unit."""
        rows = self.take(number, "rows")
        self.complete(number, rows, self.begin(rows), [], is_unit=False)

    def begin(self, rows: list) -> tuple:
        """Return (the lines of rows, how many digests were taken over, the rows whose content is to be read)."""
        lines = lines_of(rows)
        return lines, self.take_over(rows, lines), self.fresh(rows)

    def complete(self, number: int, rows: list, begun: tuple, vanished: list, *, is_unit: bool) -> None:
        """Read what is to be read; store the part with what is to be said of it."""
        lines, reused, fresh = begun
        changing, gone, is_other = hash_rows(self.root, fresh)
        if gone or is_other:
            left_out = set(gone)
            rows = [row for row in rows if row[PATH] not in left_out]
            lines = lines_of(rows)
        metadata = "".join([head + tail for head, tail, _ in lines]).encode("ascii")
        write_part(self.folder, number, rows, lines)
        self.put(
            number,
            "done",
            {
                "first": rows[0][PATH] if rows else "",
                "canonical": canonical(rows, lines) if self.all_content else b"",
                "is_unit": is_unit,
                "metadata": sha256(metadata).digest() if is_unit else metadata,
                "groups": {} if self.seed is None else group(self.known(rows), self.seed, self.since_ns),
                "links": any(row[LINK_GROUP] and row[KIND] == "file" for row in rows),
                "sampled": [] if self.lowest_band is None else sampled(rows, self.seed, self.lowest_band),
                "sentinel": next((row[SHA256] for row in rows if row[PATH] == SENTINEL), ""),
                "unstable": changing + gone + vanished,
                "numbers": count(rows, fresh, gone, reused),
            },
        )

    def known(self, rows: list) -> list:
        """Return the rows of files whose content is known."""
        return [row for row in rows if row[SHA256] and is_file(row)]

    def take_over(self, rows: list, lines: list) -> int:
        """Copy digests of files that cannot have changed since a former manifest; return how many.

        Whatever changes a file moves its ctime, so a file is the same when the whole line is: size, times and inode.
        """
        reused = 0
        for former in self.formers if rows else ():
            known = former.between(rows[0][PATH], rows[-1][PATH])
            for row, (_, _, kept) in zip(rows, lines):  # noqa: B905 - Python 3.7
                digest = known.get(kept, NO_DIGEST)
                if (
                    digest != NO_DIGEST
                    and row[CTIME_NS] < former.trusted_before_ns
                    and not row[SHA256]
                    and is_file(row)
                ):
                    row[SHA256] = digest
                    reused += 1
        return reused


def count(rows: list, fresh: list, gone: list, reused: int) -> dict:
    """Return the numbers of one part, which are added up over all parts."""
    files = [row for row in rows if row[KIND] == "file"]
    return {
        "files": len(files),
        "entries": len(rows),
        "bytes": sum([row[SIZE] for row in files if is_first(row)]),
        "hashed_files": len(fresh) - len(gone),
        "hashed_bytes": sum([row[SIZE] for row in fresh]),
        "reused_files": reused,
    }


def cut(rows: Iterable) -> Iterator:
    """Yield lists of rows of about the same cost."""
    part, cost = [], 0
    for row in rows:
        part.append(row)
        cost += row[SIZE] + COST_OF_ROW
        if cost >= COST_OF_PART:
            yield part
            part, cost = [], 0
    if part:
        yield part


class Totals:
    """What is known of a whole manifest once every part of it is there.

    Args:
        job: The manifest.
        numbers: The parts' numbers, in path order.
    """

    def __init__(self, job: Job, numbers: list) -> None:
        self.numbers = {}
        self.firsts, self.unstable, self.sentinel = [], [], ""
        self.groups, self.sampled, self.links = {}, {}, {}
        content, metadata = sha256(), sha256()
        for _, parts in itertools.groupby(numbers, lambda number: number >> PART_BITS):
            of_unit = b""
            for number in parts:
                done = job.take(number, "done")
                if done["links"]:
                    done["canonical"] = self.complete_links(job, number)
                content.update(done["canonical"])
                of_unit += done["metadata"]
                self.add(done)
            metadata.update(of_unit if done["is_unit"] else sha256(of_unit).digest())
        self.sha256, self.metadata_sha256 = content.hexdigest(), metadata.hexdigest()

    def add(self, done: dict) -> None:
        """Add what is said of one part."""
        for key, value in done["numbers"].items():
            self.numbers[key] = self.numbers.get(key, 0) + value
        for name, (files, size, members) in done["groups"].items():
            known = self.groups.setdefault(name, [0, 0, sha256()])
            known[0] += files
            known[1] += size
            known[2].update(members)
        for band, row in done["sampled"]:
            self.sampled.setdefault(band, []).append(row)
        self.firsts.append(done["first"] or (self.firsts[-1] if self.firsts else ""))  # a part can vanish whole
        self.unstable += done["unstable"]
        self.sentinel = self.sentinel or done["sentinel"]

    def complete_links(self, job: Job, number: int) -> bytes:
        """Give hard links what their first row learned while it was hashed; return the part's canonical lines."""
        rows = read_part(part_path(job.folder, number))
        for row in rows:
            if row[KIND] != "file" or not row[LINK_GROUP]:
                continue
            if is_first(row):
                self.links[row[PATH]] = row
            elif row[LINK_GROUP] in self.links:
                first = self.links[row[LINK_GROUP]]
                for field in LEARNED:
                    row[field] = first[field]
            else:
                self.unstable.append(row[PATH])
        lines = lines_of(rows)
        write_part(job.folder, number, rows, lines)
        return canonical(rows, lines)

    def group_facts(self) -> dict:
        """Return each group's files, bytes and digest, by name."""
        return {
            name: {"files": files, "bytes": size, "sha256": digest.hexdigest()}
            for name, (files, size, digest) in sorted(self.groups.items())
        }

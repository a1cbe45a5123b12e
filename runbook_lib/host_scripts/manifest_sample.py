"""Read samples of a volume's contents, each twice as large as the one before, until their time is over.

A sample whose time ran out is not reported: its digest would say nothing. Changes nothing but files of its attempt.
"""

from __future__ import annotations

import os
import time

from manifest_groups import SAMPLE, digest_of
from manifest_hash import TooLateError, hash_rows
from manifest_parts import Job, cut
from manifest_rows import PATH, SHA256, SIZE, path_bytes
from manifest_workers import Workers

MOST_FILES, MOST_BYTES = 1 << 13, 1 << 26
"""About how much is chosen to be read inside the outage, however much a volume holds: more would tell little more."""


class Samples:
    """The samples of one volume.

    Args:
        seed: Key of the hash that chooses.
        files: About how many files the volume has.
        size: About how many bytes they have.
        budget_s: How long contents may be read for samples.
    """

    def __init__(self, seed: str, files: int, size: int, budget_s: float) -> None:
        self.seed = seed
        self.budget_s = budget_s
        self.lowest_band = 0
        while files >> self.lowest_band > MOST_FILES or size >> self.lowest_band > MOST_BYTES:
            self.lowest_band += 1
        self.finished, self.files, self.bytes = [], 0, 0

    def read(self, root_path: str, folder: str, sampled: dict, options: dict) -> dict:
        """Read sample after sample; return the digest of each that was read whole, by name."""
        started, groups = time.monotonic(), {}
        root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
        job = Job(root, folder, [], options)
        try:
            for band in sorted(sampled, reverse=True):
                if (time.monotonic() - started) * 2 >= self.budget_s:  # the next one costs as much as all so far
                    break
                rows = self.read_band(job, sampled[band], started + self.budget_s)
                if rows is None:
                    break
                groups[SAMPLE % band] = self.facts(rows)
                self.finished.append(SAMPLE % band)
        finally:
            os.close(root)
        return groups

    def read_band(self, job: Job, rows: list, deadline: float) -> list | None:
        """Return the rows with their digests, or None when the time was too short."""

        def complete(number: int) -> None:
            part = job.take(number, "rows")
            try:
                gone = hash_rows(job.root, [row for row in part if not row[SHA256]], deadline)[1]
                job.put(number, "done", [row for row in part if row[PATH] not in set(gone)])
            except TooLateError:
                job.put(number, "done", None)

        parts = 0
        with Workers(None, complete) as workers:
            for part in cut(rows):
                job.put(parts, "rows", part)
                workers.give(parts)
                parts += 1
        answers = [job.take(number, "done") for number in range(parts)]
        return None if None in answers else [row for answer in answers for row in answer]

    def facts(self, rows: list) -> dict:
        """Return files, bytes and digest of a sample."""
        rows.sort(key=lambda row: path_bytes(row[PATH]))
        size = sum(row[SIZE] for row in rows)
        self.files += len(rows)
        self.bytes += size
        return {"files": len(rows), "bytes": size, "sha256": digest_of(rows)}

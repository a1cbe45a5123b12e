"""What of a clone is compared, what is only counted, and what is a difference."""

from __future__ import annotations

import dataclasses

from runbook_lib.model import FileEntry
from runbook_lib.procedures.rehearsal_data import compare_clone

OLD, LAST, NEW = 1_000, 5_000, 9_000
SNAPSHOT_NS = 100 * 1_000_000_000


def entry(path, *, mtime_ns=OLD, sha256="a", kind="file"):
    return FileEntry(path, kind, 1, 0o644, 0, 0, mtime_ns, sha256 if kind == "file" else "", "")


ROOT, KEPT, DATABASE = entry(".", kind="directory"), entry("kept"), entry("database")
BEFORE = (ROOT, DATABASE, KEPT)
AFTER = (ROOT, dataclasses.replace(DATABASE, mtime_ns=LAST, sha256="b"), KEPT)


def test_what_changed_around_the_copy_is_counted_and_not_compared():
    """A database that is written all the time may look like anything on the clone; the rest must be the same."""
    clone = (ROOT, dataclasses.replace(DATABASE, mtime_ns=3_000, sha256="in between"), KEPT)
    result = compare_clone(BEFORE, AFTER, clone, None)
    assert (result.found.rest.identical, result.compared, result.not_compared) == (True, 2, ("database",))


def test_another_content_of_an_unchanged_file_is_a_difference():
    """A file that did not change on the source has its content on the clone, or the clone is no copy."""
    result = compare_clone(BEFORE, AFTER, (ROOT, DATABASE, entry("kept", sha256="z")), None)
    assert result.found.rest.changed == (("kept", ("sha256",)),)


def test_a_file_that_the_copy_lost_is_missing():
    """A missing file under a directory with its old date was never there."""
    result = compare_clone(BEFORE, AFTER, (ROOT, DATABASE), None)
    assert result.found.rest.missing == ("kept",)


def test_an_empty_clone_is_all_missing():
    """A container that sees an empty directory fails."""
    empty = (entry(".", kind="directory", mtime_ns=OLD),)
    assert compare_clone(BEFORE, AFTER, empty, None).found.rest.missing == ("kept",)


def test_what_the_rehearsed_service_wrote_or_removed_is_told_apart():
    """Written and removed since the start of the service is listed, and no difference."""
    root = dataclasses.replace(ROOT, mtime_ns=NEW)
    wrote = compare_clone(BEFORE, AFTER, (root, DATABASE, entry("kept", sha256="n", mtime_ns=NEW)), None)
    assert (wrote.found.rest.identical, wrote.found.written) == (True, (".", "kept"))
    removed = compare_clone(BEFORE, AFTER, (root, DATABASE), None)
    assert (removed.found.rest.identical, removed.found.removed) == (True, ("kept",))


def test_a_removed_directory_takes_what_it_held_with_it():
    """What lay below a directory that the service removed is removed, not lost."""
    tree = (ROOT, entry("d", kind="directory"), entry("d/f"), entry("last", mtime_ns=LAST))
    clone = (dataclasses.replace(ROOT, mtime_ns=NEW), entry("last", mtime_ns=LAST))
    result = compare_clone(tree, tree, clone, None)
    assert (result.found.rest.identical, result.found.removed) == (True, ("d", "d/f"))


def test_of_an_older_snapshot_only_what_is_older_still_is_compared():
    """What was modified, or whose directory was modified, after the snapshot began is counted, not compared."""
    late = 2 * SNAPSHOT_NS
    tree = (
        ROOT,
        entry("kept"),
        entry("late", mtime_ns=late),
        entry("moved", kind="directory", mtime_ns=late),
        entry("moved/old"),
    )
    clone = (ROOT, entry("kept"))
    result = compare_clone(tree, tree, clone, SNAPSHOT_NS)
    assert (result.compared, result.not_compared) == (2, ("late", "moved", "moved/old"))
    assert result.found.rest.identical
    assert compare_clone(tree, tree, (ROOT,), SNAPSHOT_NS).found.rest.missing == ("kept",)

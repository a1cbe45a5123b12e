"""Manifests: the canonical form, and what counts as a difference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from runbook_lib import manifest
from runbook_lib.model import FileEntry, ManifestDifference

ROOT = FileEntry(".", "directory", 0, 0o755, 0, 0, 1, "", "")
FILE = FileEntry("a", "file", 3, 0o644, 1000, 1000, 2, "c0ffee", "")
LINK = FileEntry("b", "symlink", 0, 0o777, 0, 0, 3, "", "a")


def rows(*entries: FileEntry) -> list[list]:
    """Return entries as read_manifest returns them."""
    names = ("path", "kind", "size_bytes", "mode", "uid", "gid", "mtime_ns", "sha256", "link_target", "link_group")
    return [[getattr(entry, name) for name in names] for entry in entries]


def test_what_a_host_returns_becomes_entries():
    """The rows of a host's answer are the entries, after a trip through JSON."""
    odd = replace(FILE, path=b"z\xff\n".decode("utf-8", "surrogateescape"))
    answer = json.loads(json.dumps({"version": 1, "entries": rows(ROOT, FILE, LINK, odd)}))

    assert manifest.parse(answer) == (ROOT, FILE, LINK, odd)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"version": 2, "entries": []}, "version 2 is not 1"),
        ({"version": 1, "entries": rows(FILE, ROOT)}, "not in path order"),
        ({"version": 1, "entries": rows(FILE, FILE)}, "a path stands there twice"),
        ({"version": 1, "entries": [["a", "file"]]}, "malformed"),
    ],
)
def test_a_damaged_manifest_is_refused(answer, message):
    """An unknown version, a wrong order, a doubled path or a short row is no manifest."""
    with pytest.raises(ValueError, match=message):
        manifest.parse(answer)


def test_the_canonical_form_is_one_line_an_entry_in_byte_order():
    """The bytes do not depend on the order of the entries, and are ASCII whatever the names are."""
    accent, upper = replace(FILE, path="é"), replace(FILE, path="Z")

    text = manifest.canonical([accent, FILE, upper, ROOT])

    assert [json.loads(line)[0] for line in text.splitlines()] == [".", "Z", "a", "é"]
    assert text.isascii()
    assert text.endswith(b"\n")
    assert manifest.digest([upper, ROOT, FILE, accent]) == hashlib.sha256(text).hexdigest()


def test_hard_links_count_as_files_but_their_bytes_once():
    """Two names of one inode are two files with the bytes of one."""
    first, second = replace(FILE, link_group="a"), replace(FILE, path="b", link_group="a")

    assert manifest.totals([ROOT, first, second, replace(FILE, path="c", size_bytes=5)]) == (3, 8)


def test_the_same_entries_are_identical():
    """Nothing differs between a manifest and itself."""
    difference = manifest.compare([ROOT, FILE, LINK], [ROOT, FILE, LINK])

    assert difference.identical
    assert manifest.summarize(difference).startswith("Identical")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"size_bytes": 4}, ("size_bytes",)),
        ({"sha256": "beef"}, ("sha256",)),
        ({"mode": 0o600}, ("mode",)),
        ({"uid": 0}, ("uid",)),
        ({"gid": 0}, ("gid",)),
        ({"mtime_ns": 3}, ("mtime_ns",)),
        ({"kind": "symlink", "link_target": "x"}, ("kind", "link_target")),
        ({"link_group": "a"}, ("link_group",)),
    ],
)
def test_every_attribute_counts(change, names):
    """A difference in any attribute is a change, with the attribute's name."""
    difference = manifest.compare([ROOT, FILE], [ROOT, replace(FILE, **change)])

    assert difference == ManifestDifference(changed=(("a", names),))


def test_missing_and_added_paths_are_told():
    """What is there only before is missing, what is there only after is added."""
    difference = manifest.compare([ROOT, FILE], [ROOT, LINK])

    assert difference == ManifestDifference(missing=("a",), added=("b",))


def test_the_roots_own_attributes_count():
    """The mode of the filesystem's root is compared, because a volume plugin may change it."""
    difference = manifest.compare([ROOT], [replace(ROOT, mode=0o700)])

    assert difference.changed == ((".", ("mode",)),)


def test_ignored_paths_and_their_directorys_time_are_left_out():
    """An ignored path may come with everything below it; only its directory's modification time is excused with it."""
    own = [replace(ROOT, path=".runbook"), replace(FILE, path=".runbook/probe")]
    touched = replace(ROOT, mtime_ns=99)

    assert manifest.compare([ROOT, FILE], [touched, *own, FILE], ignored=[".runbook"]).identical
    assert manifest.compare([ROOT], [replace(touched, mode=0o700)], ignored=[".runbook"]).changed == ((".", ("mode",)),)
    assert manifest.compare([ROOT], [touched], ignored=["x/y"]).changed == ((".", ("mtime_ns",)),)


def test_a_name_that_only_begins_like_an_ignored_one_counts():
    """`.runbook-2` is not below `.runbook`."""
    assert manifest.compare([], [replace(FILE, path=".runbook-2")], ignored=[".runbook"]).added == (".runbook-2",)


def test_a_summary_names_the_first_paths_of_each_kind():
    """A person sees counts, the first ten paths of each kind, and how many more there are."""
    difference = ManifestDifference(
        missing=tuple(f"m{number:02}" for number in range(12)), changed=(("c", ("mode", "uid")),)
    )

    lines = manifest.summarize(difference).splitlines()

    assert lines[:2] == ["12 missing:", "  m00"]
    assert lines[11:] == ["  … and 2 more", "1 changed:", "  c (mode, uid)"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [("grüße", "grüße"), ("a\nb\x1b[2J", "a\\nb\\x1b[2J"), (b"\xff".decode("utf-8", "surrogateescape"), "\\udcff")],
)
def test_odd_names_cannot_disturb_a_terminal(path, shown):
    """Control characters and bytes that are no UTF-8 are shown as escapes."""
    assert manifest.printable(path) == shown

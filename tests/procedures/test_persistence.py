"""What the running service wrote is told apart from what nobody should have changed."""

from __future__ import annotations

import pytest

from runbook_lib.model import FileEntry, ManifestDifference
from runbook_lib.procedures.persistence import check_persistence, tell_apart

SINCE = 1_000


def entry(path, mtime_ns):
    return FileEntry(path, "file", 1, 0o644, 0, 0, mtime_ns, "d", "")


@pytest.mark.parametrize(
    ("difference", "rest", "written"),
    [
        (ManifestDifference(changed=(("db", ("mtime_ns", "sha256")),)), ManifestDifference(), ["db"]),
        (ManifestDifference(added=("new",)), ManifestDifference(), ["new"]),
        (ManifestDifference(missing=("gone",)), ManifestDifference(missing=("gone",)), []),
        (ManifestDifference(added=("old",)), ManifestDifference(added=("old",)), []),
        (
            ManifestDifference(changed=(("db", ("mode", "mtime_ns")),)),
            ManifestDifference(changed=(("db", ("mode", "mtime_ns")),)),
            [],
        ),
        (
            ManifestDifference(changed=(("db", ("sha256",)),)),
            ManifestDifference(changed=(("db", ("sha256",)),)),
            [],
        ),
        (
            ManifestDifference(changed=(("old", ("sha256", "mtime_ns")),)),
            ManifestDifference(changed=(("old", ("sha256", "mtime_ns")),)),
            [],
        ),
    ],
    ids=[
        "written by the service",
        "made by the service",
        "missing is never the service's",
        "added with an old date",
        "mode changed",
        "content changed without a date",
        "changed with an old date",
    ],
)
def test_tell_apart(difference, rest, written):
    """Only a later date with the same type, mode and owner counts as the service's own."""
    after = [entry("db", SINCE), entry("new", SINCE + 1), entry("old", SINCE - 1)]
    assert tell_apart(difference, after, SINCE) == (rest, written)


def test_an_empty_volume_fails_both_checks():
    """No sentinel and nothing but missing entries: both checks fail."""
    facts = {
        "task": {"task_arn": "t"},
        "expected_sentinel_sha256": "ab",
        "sentinel_sha256": "",
        "comparison": {"identical": False, "missing": ["db"], "added": [], "changed": []},
    }
    assert [c.check_id for c in check_persistence(facts) if not c.passed] == ["sentinel-present", "manifest-identical"]


def test_no_sentinel_recorded_never_passes():
    """A run that wrote no sentinel cannot pass by comparing nothing with nothing."""
    facts = {
        "task": {"task_arn": "t"},
        "expected_sentinel_sha256": "",
        "sentinel_sha256": "",
        "comparison": {"identical": True, "missing": [], "added": [], "changed": []},
    }
    assert "sentinel-present" in [c.check_id for c in check_persistence(facts) if not c.passed]

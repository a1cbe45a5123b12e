"""What the running service wrote is told apart from what nobody should have changed."""

from __future__ import annotations

import pytest

from runbook_lib.model import FileEntry, ManifestDifference
from runbook_lib.procedures.attribution import Attribution, tell_apart
from runbook_lib.procedures.persistence import check_comparison, check_persistence
from runbook_lib.storage import SENTINEL_PATH

SINCE = 1_000
NONE_REMOVED = {"removed_since_start": [], "removed_since_start_count": 0, "may_remove": 100}


def entry(path, mtime_ns, kind="file"):
    return FileEntry(path, kind, 1, 0o644, 0, 0, mtime_ns, "d", "")


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
        "missing, its directory not touched",
        "added with an old date",
        "mode changed",
        "content changed without a date",
        "changed with an old date",
    ],
)
def test_tell_apart(difference, rest, written):
    """Only a later date with the same type, mode and owner counts as the service's own."""
    after = [entry("db", SINCE), entry("new", SINCE + 1), entry("old", SINCE - 1)]
    assert tell_apart(difference, after, SINCE) == Attribution(rest, tuple(written), ())


AFTER_REMOVAL = [entry(".", SINCE, "directory"), entry("touched", SINCE + 1, "directory")]


@pytest.mark.parametrize(
    ("missing", "removed"),
    [
        (("touched/db-journal",), ("touched/db-journal",)),
        (("touched/old", "touched/old/log"), ("touched/old", "touched/old/log")),
        (("lost",), ()),
        (("gone/file",), ()),
    ],
    ids=["a journal", "a directory and what it held", "from the untouched root", "below a directory that is not there"],
)
def test_removed_by_the_service(missing, removed):
    """What is missing is the service's doing only where a directory was modified after the start."""
    lost = tuple(path for path in missing if path not in removed)
    result = tell_apart(ManifestDifference(missing=missing), AFTER_REMOVAL, SINCE)
    assert result == Attribution(ManifestDifference(missing=lost), (), removed)


def test_renamed_by_the_service():
    """A file that keeps its date under a new name, as a rotated log does, is the service's own."""
    after = [*AFTER_REMOVAL, entry("touched/log.1", SINCE - 5)]
    difference = ManifestDifference(missing=("touched/log",), added=("touched/log.1",))
    expected = Attribution(ManifestDifference(), ("touched/log.1",), ("touched/log",))
    assert tell_apart(difference, after, SINCE) == expected


def test_a_missing_sentinel_is_always_lost():
    """A volume that was formatted has a new root; what tells it from housekeeping is the sentinel."""
    after = [entry(".", SINCE + 1, "directory")]
    result = tell_apart(ManifestDifference(missing=(SENTINEL_PATH, "db")), after, SINCE)
    assert (result.rest.missing, result.removed) == ((SENTINEL_PATH,), ("db",))


def test_a_service_that_empties_its_directory_is_noticed():
    """More removed than the policy allows fails, and names the parameter and the first paths."""
    removed = {"removed_since_start": [f"up/{n}" for n in range(50)], "removed_since_start_count": 7_000}
    comparison = {"identical": True, "may_remove": 9, **removed}
    failed = [check for check in check_comparison(comparison, "some-step") if not check.passed]
    assert [check.check_id for check in failed] == ["little-removed"]
    assert "policy.max_removed_by_service" in failed[0].expected
    assert failed[0].observed.startswith("7000: up/0, up/1")


def test_an_empty_volume_fails_both_checks():
    """No sentinel and nothing but missing entries: both checks fail."""
    facts = {
        "task": {"task_arn": "t"},
        "expected_sentinel_sha256": "ab",
        "sentinel_sha256": "",
        "comparison": {"identical": False, "missing": ["db"], "added": [], "changed": [], **NONE_REMOVED},
    }
    assert [c.check_id for c in check_persistence(facts) if not c.passed] == ["sentinel-present", "manifest-identical"]


def test_no_sentinel_recorded_never_passes():
    """A run that wrote no sentinel cannot pass by comparing nothing with nothing."""
    facts = {
        "task": {"task_arn": "t"},
        "expected_sentinel_sha256": "",
        "sentinel_sha256": "",
        "comparison": {"identical": True, "missing": [], "added": [], "changed": [], **NONE_REMOVED},
    }
    assert "sentinel-present" in [c.check_id for c in check_persistence(facts) if not c.passed]

"""Tell what the running service did to its data from what nobody should have changed.

A change is the service's own only when its modification time is not before the start and kind, mode and owner are what
they were. Making, renaming and removing an entry moves its directory's modification time: so a missing entry, or an
added one with an old date, is the service's own only when its directory was modified since; data that a volume lost
would be missing from a directory with the old date. The sentinel is never the service's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.model import FileEntry, ManifestDifference
from runbook_lib.storage import SENTINEL_PATH

_SHOWN = 50
_CONTENT = frozenset({"size_bytes", "mtime_ns", "sha256"})


@dataclass(frozen=True)
class Attribution:
    """What differs between two manifests, by who did it; paths are sorted."""

    rest: ManifestDifference
    written: tuple[str, ...]
    removed: tuple[str, ...]

    def as_facts(self) -> dict[str, Any]:
        """Return it for a record: whether all of it is the service's own, and at most 50 paths of each kind."""
        return {
            "identical": self.rest.identical,
            "missing": list(self.rest.missing[:_SHOWN]),
            "added": list(self.rest.added[:_SHOWN]),
            "changed": [[path, list(keys)] for path, keys in self.rest.changed[:_SHOWN]],
            "written_since_start": list(self.written[:_SHOWN]),
            "removed_since_start": list(self.removed[:_SHOWN]),
        }


def tell_apart(difference: ManifestDifference, after: Sequence[FileEntry], since_ns: int) -> Attribution:
    """Separate what the running service did from what nobody should have changed.

    Args:
        difference: What differs.
        after: The later manifest.
        since_ns: When the service was started, nanoseconds since the epoch.

    Returns:
        The difference that remains, and what the service wrote and removed.
    """
    entries = {entry.path: entry for entry in after}
    touched = {e.path for e in after if e.kind == "directory" and e.mtime_ns > since_ns}
    removed = _removed(difference.missing, touched)
    added = {path for path in difference.added if entries[path].mtime_ns >= since_ns or holder(path) in touched}
    changed = {
        path
        for path, keys in difference.changed
        if entries[path].mtime_ns >= since_ns and _CONTENT.issuperset(keys) and "mtime_ns" in keys
    }
    rest = ManifestDifference(
        missing=tuple(path for path in difference.missing if path not in removed),
        added=tuple(path for path in difference.added if path not in added),
        changed=tuple((path, keys) for path, keys in difference.changed if path not in changed),
    )
    return Attribution(rest, tuple(sorted(added | changed)), tuple(sorted(removed)))


def _removed(missing: Sequence[str], touched: set[str]) -> set[str]:
    """Return the missing paths whose directory was modified since the start, and what lay below a removed directory."""
    gone: set[str] = set()
    for path in missing:  # sorted: a directory comes before what it holds
        if path != SENTINEL_PATH and (holder(path) in gone or holder(path) in touched):
            gone.add(path)
    return gone


def holder(path: str) -> str:
    """Return the directory that holds a path of a manifest, "." for the root."""
    return path.rpartition("/")[0] or "."

"""The proof that data persisted: sentinel and manifest, taken on one side and compared with the other.

Shared by 30, 40 and 90. A service that runs changes its data, and that is told apart from what changed behind its back
(`attribution`). How much it may remove before the proof fails all the same is `policy.max_removed_by_service`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.attribution import tell_apart
from runbook_lib.procedures.manifest_before import before_event, manifest_before
from runbook_lib.procedures.observations import container_of, observe_task
from runbook_lib.storage import SENTINEL_PATH

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

MANIFEST_S = 6 * 3600
"""Longest time that a host may take for a manifest."""

_NAMED = 5
_NOTED = ("entries", "metadata_sha256", "groups", "since_ns", "peak_rss_kib", "hashed_with")


def build_manifest(run: Run, host: Host, name: str, phase: str, **where: Any) -> dict[str, Any]:
    """Build a manifest on a host and note its digests in the journal; its entries stay on the host.

    Args:
        run: The open run.
        host: Where the files are.
        name: Evidence name, for example `manifest-before`.
        phase: Word for the journal: `hot`, `before`, `after`, `after-restart`, `after-replace`, `after-roll-back`.
        **where: `root`, or `container` and `container_path`; optionally `previous`, the name of an earlier manifest,
            and the other arguments of host script `build_manifest`.

    Returns:
        As host script `build_manifest`.

    Changes:
        Files under /var/lib/runbook on the host; a `manifest` event.
    """
    built = host.run("build_manifest", timeout_s=MANIFEST_S, run_id=run.run_id, name=name, **where)
    note_manifest(run, host, name, phase, built)
    return built


def note_manifest(run: Run, host: Host, name: str, phase: str, built: Facts) -> None:
    """Note the digests of a manifest in the journal; its entries stay on the host.

    Args:
        run: The open run.
        host: As `build_manifest`.
        name: As `build_manifest`.
        phase: As `build_manifest`.
        built: As host script `build_manifest`.

    Changes:
        A `manifest` event.
    """
    run.journal.append(
        "manifest",
        phase=phase,
        files=built["files"],
        bytes=built["bytes"],
        sha256=built["sha256"],
        hashed_bytes=built["hashed_bytes"],
        duration_s=built["duration_s"],
        path=f"evidence/{name}.json",
        instance_id=host.instance_id,
        **{key: built[key] for key in _NOTED},
    )


def take_manifest(run: Run, host: Host, name: str, phase: str, **where: Any) -> dict[str, Any]:
    """Build a manifest on a host and keep it as evidence.

    Args:
        run: The open run.
        host: Where the files are.
        name: Evidence name, for example `manifest-after`.
        phase: Word for the journal.
        **where: As `build_manifest`.

    Returns:
        As host script `build_manifest`.

    Changes:
        Files under /var/lib/runbook on the host and in the run folder; a `manifest` event.
    """
    built = build_manifest(run, host, name, phase, **where)
    run.keep_evidence(name, host.run("read_manifest", run_id=run.run_id, name=name))
    return built


def compare_with_before(run: Run, name: str, phase: str, since_ns: int) -> dict[str, Any]:
    """Compare a manifest of this run with the one taken after the source stopped.

    Args:
        run: The open run.
        name: Evidence name of the later manifest.
        phase: Word for the journal.
        since_ns: When the service that may have written since was started, nanoseconds since the epoch.

    Returns:
        Keys `identical, missing, added, changed, written_since_start, removed_since_start` (paths at most 50 each),
        the last two also with `_count`, `may_remove`, `entries`.

    Raises:
        JournalError: when this run never took the manifest before the cutover.

    Changes:
        A `comparison` event.
    """
    before, after = manifest_before(run), manifest.parse(run.evidence(name))
    result = tell_apart(manifest.compare(before, after), after, since_ns)
    facts = {
        **result.as_facts(),
        "written_since_start_count": len(result.written),
        "removed_since_start_count": len(result.removed),
        "may_remove": run.parameters.policy.max_removed_by_service,
        "entries": len(before),
    }
    run.journal.append("comparison", phase=phase, **facts)
    return facts


def observe_persistence(run: Run, name: str, phase: str, *, since_ns: int | None = None) -> dict[str, Any]:
    """Return whether the service's container sees the data that the source left.

    Args:
        run: The open run.
        name: Evidence name for the manifest taken now.
        phase: Word for the journal.
        since_ns: Since when a change is the service's own, nanoseconds since the epoch; None for the newest change that
            the former manifest knows.

    Returns:
        Keys `desired_count`, `task` (facts or None), `instance_id`, `expected_sentinel_sha256`, and, when a task runs,
        `sentinel_sha256` and `comparison`.

    Changes:
        Evidence; nothing on the volume.
    """
    seen = observe_task(run)
    facts: dict[str, Any] = {
        "desired_count": seen["service"].get("desired_count", 0),
        "task": seen["task"],
        "instance_id": seen["instance_id"],
    }
    sentinel = run.journal.last("sentinel")
    if not seen["task"] or sentinel is None:
        return facts | {"expected_sentinel_sha256": sentinel.fields["sha256"] if sentinel else ""}
    take_manifest(
        run,
        run.host(seen["instance_id"]),
        name,
        phase,
        container=container_of(run, seen["task"]),
        container_path=run.evidence("task-mapping")["container_path"],
    )
    return facts | {
        "expected_sentinel_sha256": sentinel.fields["sha256"],
        "sentinel_sha256": sentinel_sha256(run, name),
        "comparison": compare_with_before(run, name, phase, service_start_ns(run) if since_ns is None else since_ns),
    }


def sentinel_sha256(run: Run, name: str) -> str:
    """Return the digest of the sentinel that a manifest of this run found.

    Args:
        run: The open run.
        name: Evidence name of the manifest.

    Returns:
        SHA-256 in hex, "" when the manifest's root holds no sentinel.
    """
    entries = manifest.parse(run.evidence(name))
    return next((entry.sha256 for entry in entries if entry.path == SENTINEL_PATH), "")


def service_start_ns(run: Run) -> int:
    """Return since when a change must be the running service's own.

    Args:
        run: The open run.

    Returns:
        Nanoseconds since the epoch: the newest modification time before the cutover, by the source host's clock, but
        not later than the moment that manifest was recorded, so that a file dated in the future hides nothing.

    Raises:
        JournalError: when this run never took that manifest.
    """
    event = before_event(run)
    recorded_ns = int(run.clock.parse(event.at_utc).timestamp() * 1_000_000_000)
    newest_ns = max((entry.mtime_ns for entry in manifest_before(run)), default=0)
    return min(newest_ns, recorded_ns)


def check_persistence(facts: Facts) -> Sequence[Check]:
    """Return whether sentinel and manifest show that the data is the source's.

    Args:
        facts: As `observe_persistence`.

    Returns:
        Four checks.
    """
    comparison = facts.get("comparison")
    return (
        Check(
            "task-running",
            passed=facts["task"] is not None,
            expected="one task RUNNING",
            observed="RUNNING" if facts["task"] else "none, or not exactly one",
            fix="read the service's events; runbook roll-back takes the service back to compose",
            needs="start-target-service",
        ),
        Check(
            "sentinel-present",
            passed=bool(facts.get("sentinel_sha256")) and facts["sentinel_sha256"] == facts["expected_sentinel_sha256"],
            expected=f"{SENTINEL_PATH} with digest {facts['expected_sentinel_sha256'][:12] or '(none written)'}",
            observed=facts.get("sentinel_sha256", "")[:12] or "no sentinel",
            why="without it the container sees another volume, or an empty directory",
            fix="roll back; nothing on the source's volume is lost",
            needs="start-target-service",
        ),
        *check_comparison(comparison, "start-target-service"),
    )


def check_comparison(comparison: Facts | None, needs: str) -> Sequence[Check]:
    """Return whether what differs is the running service's own doing, and no more than it may.

    Args:
        comparison: As `compare_with_before`, None when nothing was compared.
        needs: The step without which there is nothing to compare.

    Returns:
        Two checks.
    """
    seen = comparison or {
        "identical": False,
        "removed_since_start_count": 0,
        "removed_since_start": [],
        "may_remove": 0,
    }
    differs = {key: seen[key] for key in ("missing", "added", "changed") if seen.get(key)}
    removed, paths = seen["removed_since_start_count"], ", ".join(seen["removed_since_start"][:_NAMED])
    return (
        Check(
            "manifest-identical",
            passed=bool(seen["identical"]),
            expected="every entry as it was when the source stopped, or changed by the service since it started",
            observed="identical" if seen["identical"] else str(differs or "not compared"),
            why="anything else is lost or altered data",
            fix="roll back, then compare evidence/manifest-before.json with the later one; the run's rollback point "
            "holds the volume as it was after the stop",
            needs=needs,
        ),
        Check(
            "little-removed",
            passed=removed <= seen["may_remove"],
            expected=f"at most {seen['may_remove']} entries removed by the service since it started "
            "(policy.max_removed_by_service)",
            observed=f"{removed}: {paths}" if removed else "none",
            why="a service that finds a wrong setting may empty its own directory when it starts",
            fix="look at the service's log; when this is its housekeeping, raise policy.max_removed_by_service and "
            "resume with --accept-changes; else roll back, and restore what it removed from the run's rollback point",
            needs=needs,
        ),
    )

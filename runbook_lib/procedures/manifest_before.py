"""The manifest of the stopped source, which every later proof is compared with: where its entries come from.

Inside the outage only its digests are written to the journal; its entries, megabytes of them for a million files, stay
on the source host and are brought home when the service is up again, and at the latest when they are first needed. If
the source host dies between these moments, nothing is lost: a file that did not change since the hot manifest, which
came home before the outage, has its digest there; of the files that changed, the digests stand in the manifest that
`verify-before-start` made on the target. Put together they are the manifest of the stopped source, and whether they
are is no belief: their SHA-256 must be the one in the journal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.errors import HostCommandError, JournalError
from runbook_lib.model import Event, FileEntry

if TYPE_CHECKING:
    from runbook_lib.run import Run

BEFORE = "manifest-before"
HOT = "manifest-hot"
AT_START = "manifest-at-start"


def before_event(run: Run) -> Event:
    """Return the journal's note of the newest manifest of the stopped source.

    Args:
        run: The open run.

    Returns:
        The `manifest` event.

    Raises:
        JournalError: when this run never took that manifest.
    """
    event = run.journal.last("manifest", phase="before")
    if event is None:
        raise JournalError(f"run {run.run_id} has no manifest from before the cutover; run 30_cut_over_volume first")
    return event


def manifest_seq(run: Run, *stop_ids: str) -> int:
    """Return the journal's number of this run's newest manifest of the stopped service.

    Args:
        run: The open run.
        *stop_ids: The steps that stop the service: a manifest from before them says nothing of what was written until
            then.

    Returns:
        The number, 0 when there is no manifest since.
    """
    taken = run.journal.last("manifest", phase="before")
    stops = (run.journal.last("step", step_id=one, status="running") for one in stop_ids)
    stopped_seq = max((stop.seq for stop in stops if stop is not None), default=0)
    return 0 if taken is None or taken.seq < stopped_seq else taken.seq


def is_home(run: Run) -> bool:
    """Return whether the entries of that manifest are in the run folder.

    Args:
        run: The open run.

    Returns:
        True when they were kept after that very manifest was taken.
    """
    event, kept = run.journal.last("manifest", phase="before"), run.journal.last("evidence", name=BEFORE)
    return event is not None and kept is not None and kept.seq > event.seq


def manifest_before(run: Run) -> tuple[FileEntry, ...]:
    """Return the entries of that manifest, bringing them home when they are not there yet.

    Args:
        run: The open run.

    Returns:
        The entries in path order.

    Raises:
        JournalError: when this run never took that manifest, or its entries cannot be had any more.

    Changes:
        Evidence `manifest-before`, once.
    """
    event = before_event(run)
    if not is_home(run):
        run.keep_evidence(BEFORE, _from_source(run, event) or _from_target(run, event))
    return manifest.parse(run.evidence(BEFORE))


def _from_source(run: Run, event: Event) -> dict[str, Any] | None:
    """Return the manifest as its host keeps it, None when the host does not answer or kept another one."""
    try:
        answer = run.host(event.fields["instance_id"]).run("read_manifest", run_id=run.run_id, name=BEFORE)
    except HostCommandError:
        return None
    return answer if _is_recorded(manifest.parse(answer), event) else None


def _from_target(run: Run, event: Event) -> dict[str, Any]:
    """Return the manifest put together from the hot one and the one that was made before the service started."""
    started = run.journal.last("before-start")
    if started is not None:
        host = run.host(started.fields["instance_id"])
        answer = host.run("read_manifest", run_id=run.run_id, name=AT_START)
        entries = complete(manifest.parse(answer), manifest.parse(run.evidence(HOT)))
        if _is_recorded(entries, event):
            return answer | {"entries": manifest.rows(entries)}
    raise JournalError(
        f"the entries of manifest-before (SHA-256 {event.fields['sha256'][:12]}) cannot be had: source "
        f"{event.fields['instance_id']} keeps none of that digest, and neither does the target. Nothing was changed. "
        "Bring the source host up and run again; verify-rollback-copy proves the contents by their digest without them"
    )


def complete(entries: tuple[FileEntry, ...], hot: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    """Return entries whose missing digests are taken from an earlier manifest.

    Args:
        entries: Every entry; files that did not change since the earlier manifest may lack their digest.
        hot: The earlier manifest.

    Returns:
        The entries; a file that neither knows stays without digest, so that the whole has another SHA-256.
    """
    known = {entry.path: entry.sha256 for entry in hot}
    return tuple(
        replace(entry, sha256=known.get(entry.path, "")) if entry.kind == "file" and not entry.sha256 else entry
        for entry in entries
    )


def _is_recorded(entries: tuple[FileEntry, ...], event: Event) -> bool:
    return manifest.digest(entries) == str(event.fields["sha256"])

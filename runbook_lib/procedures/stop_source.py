"""Cutover, source side, inside the outage: stop the service, take the manifest of what it left, unmount the volume.

One command does all three: every further command costs its way to the host, inside the outage. The host keeps the
manifest's numbers before it unmounts, so a runbook that was killed before it had the answer asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.manifest_before import BEFORE, HOT, manifest_seq
from runbook_lib.procedures.observations import observe_volume, target_urls
from runbook_lib.procedures.outage import note_outage_start
from runbook_lib.procedures.persistence import MANIFEST_S, note_manifest
from runbook_lib.procedures.source_look import act_on_source, look_at_source
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"
STOP_ID = "stop-source-service"


def _observe_source_service(run: Run) -> dict[str, Any]:
    """Return whether the compose service runs, who holds the volume, and which manifest this run has of it."""
    listed = look_at_source(run)
    return {
        "containers": listed["containers"],
        "open_files": listed["open_files"],
        "mounted": listed["mounted"],
        "mount_path": run.parameters.volume.mount_path,
        "on_source": observe_volume(run)["on_source"],
        "manifest_seq": manifest_seq(run, STOP_ID),
        "manifest_kept": listed["manifest_kept"],
    }


def _running(facts: Facts) -> list[str]:
    return [str(one["name"]) for one in facts["containers"] if one["status"] == "running"]


def _is_released_with_manifest(facts: Facts) -> bool:
    """Return whether nothing writes and the volume left its mount after the manifest.

    While it is mounted somebody may have written since: then the manifest is taken again.
    """
    return not _running(facts) and not facts["mounted"] and bool(facts["manifest_seq"])


def _check_source(facts: Facts) -> Sequence[Check]:
    """Return whether the manifest can be taken once the service is stopped, or was and the answer got lost."""
    kept = ", but the host kept the manifest from before" if facts["manifest_kept"] else ""
    return (
        Check(
            "volume-mounted",
            passed=bool(facts["mounted"] or facts["manifest_kept"]),
            expected=f"the volume mounted at {facts['mount_path']} on the source",
            observed="mounted" if facts["mounted"] else f"not mounted{kept}",
            why="this run has no manifest of the stopped volume yet",
            fix="runbook roll-back mounts it again; then run 30_cut_over_volume from the top",
        ),
    )


def _stop_source(run: Run, before: Facts) -> None:
    """Stop the compose project, hash what changed since the hot manifest, unmount; watch the service from outside."""
    source = run.parameters.source
    note_outage_start(run, lambda: [str(source.url), *target_urls(run)])
    manifest = {"run_id": run.run_id, "name": BEFORE, "root": before["mount_path"], "seed": run.run_id}
    if run.journal.last("manifest", phase="hot"):
        manifest["previous"] = HOT
    answer = act_on_source(
        run,
        "stop_compose",
        timeout_s=MANIFEST_S,
        file=source.compose_file,
        project=source.compose_project,
        services=[],
        run_id=run.run_id,
        manifest=manifest,
    )
    if answer["manifest"]:
        note_manifest(run, run.source_host, BEFORE, "before", answer["manifest"])


def _verify_source_released(before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether nothing can write to the volume any more, a manifest says what is on it, and it is unmounted."""
    running = _running(after)
    taken = after["manifest_seq"] > before["manifest_seq"]
    return (
        Check(
            "source-stopped",
            passed=not running,
            expected="no running container of the compose project",
            observed=", ".join(running) or "none",
            fix="stop it with docker compose stop; then run again",
        ),
        checks.check_nothing_open(after["open_files"], after["mount_path"]),
        Check(
            "manifest-complete",
            passed=taken,
            expected="a manifest taken after the service stopped",
            observed="taken" if taken else "none",
            why="without it nothing can be proved afterwards",
            fix="run again",
        ),
        Check(
            "volume-unmounted",
            passed=not after["mounted"],
            expected=f"nothing mounted at {after['mount_path']}",
            observed="mounted" if after["mounted"] else "not mounted",
            why="a detach of a mounted volume hangs, or loses writes",
            fix="find who holds it or remounted it (fstab, a systemd unit); it is never unmounted by force",
        ),
    )


STOP_SOURCE_SERVICE = Step(
    STOP_ID,
    NOTEBOOK,
    "Stop the compose project, complete the manifest, and unmount the volume",
    _observe_source_service,
    lambda facts: (
        f"Stop {len(facts['containers'])} containers of the compose project, hash what changed since the hot manifest, "
        f"sync and unmount {facts['mount_path']}; the outage begins."
    ),
    _stop_source,
    is_done=_is_released_with_manifest,
    check=_check_source,
    verify=_verify_source_released,
    roll_back="start-source-service",
    timeout_s=5,
    in_outage=True,
)

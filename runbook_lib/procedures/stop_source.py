"""Cutover, source side, inside the outage: stop the service, take the manifest of what it left, unmount the volume.

The service is stopped and its manifest taken by one command: every further command costs its way to the host, inside
the outage.
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
    """Return whether the compose service runs, who holds files open, and which manifest this run has of it."""
    listed = look_at_source(run)
    return {
        "containers": listed["containers"],
        "open_files": listed["open_files"],
        "mounted": listed["mounted"],
        "mount_path": run.parameters.volume.mount_path,
        "on_source": observe_volume(run)["on_source"],
        "manifest_seq": manifest_seq(run, STOP_ID),
    }


def _running(facts: Facts) -> list[str]:
    return [str(one["name"]) for one in facts["containers"] if one["status"] == "running"]


def _is_stopped_with_manifest(facts: Facts) -> bool:
    """Return whether nothing writes and the volume left its mount after the manifest.

    While it is mounted somebody may have written since: then the manifest is taken again.
    """
    return not _running(facts) and not facts["mounted"] and bool(facts["manifest_seq"])


def _check_source(facts: Facts) -> Sequence[Check]:
    """Return whether the manifest can be taken once the service is stopped."""
    return (
        Check(
            "volume-mounted",
            passed=bool(facts["mounted"]),
            expected=f"the volume mounted at {facts['mount_path']} on the source",
            observed="mounted" if facts["mounted"] else "not mounted",
            why="this run has no manifest of the stopped volume yet",
            fix="runbook roll-back mounts it again; then run 30_cut_over_volume from the top",
        ),
    )


def _stop_source(run: Run, before: Facts) -> None:
    """Stop the compose project, hash what changed since the hot manifest, and watch the service from outside."""
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


def _verify_source_stopped(before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether nothing can write to the volume any more, and a manifest says what is on it."""
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
    )


def _observe_mount(run: Run) -> dict[str, Any]:
    """Return whether the volume is mounted on the source."""
    listed = look_at_source(run)
    return {
        "mounted": listed["mounted"],
        "open_files": listed["open_files"],
        "mount_path": run.parameters.volume.mount_path,
        "manifest_seq": manifest_seq(run, STOP_ID),
    }


def _is_unmounted(facts: Facts) -> bool:
    """Return whether the volume is mounted nowhere on the source."""
    return not facts["mounted"]


def _check_unmount(facts: Facts) -> Sequence[Check]:
    """Return whether the volume may be released."""
    return (
        Check(
            "manifest-complete",
            passed=bool(facts["manifest_seq"]),
            expected="a manifest taken after the service stopped",
            observed="taken" if facts["manifest_seq"] else "none",
            why="without it nothing can be proved afterwards",
            fix="run 30_cut_over_volume from the top",
            needs=STOP_ID,
        ),
        Check(
            "no-open-files",
            passed=not facts["open_files"],
            expected=f"no open file below {facts['mount_path']}",
            observed=checks.describe_open_files(facts["open_files"]),
            why="a busy mount cannot be released, and is never forced",
            fix="stop the process named here",
            needs=STOP_ID,
        ),
    )


def _unmount(run: Run, before: Facts) -> None:
    """Write everything back and unmount."""
    act_on_source(run, "release_mount", timeout_s=600, mount_path=before["mount_path"], expected_source=None)


def _verify_unmounted(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether the mount is gone."""
    return (
        Check(
            "volume-unmounted",
            passed=_is_unmounted(after),
            expected=f"nothing mounted at {after['mount_path']}",
            observed="mounted" if after["mounted"] else "not mounted",
            why="a detach of a mounted volume hangs, or loses writes",
            fix="find who remounted it (fstab, a systemd unit)",
        ),
    )


STOP_SOURCE_SERVICE = Step(
    STOP_ID,
    NOTEBOOK,
    "Stop the compose project, prove that nothing writes any more, and complete the manifest",
    _observe_source_service,
    lambda facts: (
        f"Stop {len(facts['containers'])} containers of the compose project, hash what changed since the hot manifest; "
        "the outage begins."
    ),
    _stop_source,
    is_done=_is_stopped_with_manifest,
    check=_check_source,
    verify=_verify_source_stopped,
    roll_back="start-source-service",
    timeout_s=5,
    in_outage=True,
)

UNMOUNT_VOLUME = Step(
    "unmount-volume",
    NOTEBOOK,
    "Write everything back and unmount the volume",
    _observe_mount,
    lambda facts: f"Sync and unmount {facts['mount_path']} on the source.",
    _unmount,
    is_done=_is_unmounted,
    check=_check_unmount,
    verify=_verify_unmounted,
    roll_back="mount-volume-on-source",
    timeout_s=10,
    in_outage=True,
)

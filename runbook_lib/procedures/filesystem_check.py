"""After a forced detach: look at the filesystem before anybody mounts it. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import CheckError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_volume
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "90_roll_back"
STEP_ID = "check-filesystem"
CLEAN = "clean"
JOURNAL_PENDING = "its journal is not replayed yet, which the next mount does"
DAMAGED = "damaged"


def is_filesystem_unchecked(run: Run) -> bool:
    """Return whether a detach was forced in this run and nothing good was found on the filesystem since.

    Args:
        run: The open run.

    Returns:
        True while nobody may mount the volume.
    """
    forced, looked = run.journal.last("forced-detach"), run.journal.last("filesystem-check")
    if forced is None:
        return False
    return looked is None or looked.seq < forced.seq or looked.fields["verdict"] == DAMAGED


def check_filesystem_looked_at(unchecked: bool) -> Check:  # noqa: FBT001 - the one fact that it is about
    """Return the check that a filesystem after a forced detach was looked at.

    Args:
        unchecked: As `is_filesystem_unchecked`.

    Returns:
        The check.
    """
    return Check(
        "filesystem-checked",
        passed=not unchecked,
        expected="no forced detach, or its filesystem checked since",
        observed="not checked, or damaged" if unchecked else "so",
        why="a torn filesystem that is mounted unseen can lose more",
        fix="runbook roll-back: it attaches the volume to the source and checks it before it is mounted",
    )


def _observe_check(run: Run) -> dict[str, Any]:
    volume = observe_volume(run)
    return {"unchecked": is_filesystem_unchecked(run), "volume": volume, "instance_id": volume["holder"]}


def _check_attachment(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-on-source",
            passed=bool(facts["volume"]["on_source"]),
            expected="the volume attached to the source",
            observed=facts["volume"]["holder"] or "attached nowhere",
            fix="run 90_roll_back from the top",
            needs="attach-volume-to-source",
        ),
    )


def _look(run: Run, before: Facts) -> None:
    """Run the filesystem's own checker, which may not change anything, and note what it says."""
    volume, known = before["volume"], run.journal.last("volume")
    found = run.source_host.run(
        "check_filesystem",
        timeout_s=3600,
        volume_id=volume["volume_id"],
        device_name=volume["attachments"][0]["device_name"],
        filesystem_uuid=known.fields["filesystem_uuid"] if known else "",
        wait_s=60,
        limit_s=3500,
    )
    verdict = CLEAN if not found["errors"] else JOURNAL_PENDING if found["journal_pending"] else DAMAGED
    run.journal.append(
        "filesystem-check",
        volume_id=volume["volume_id"],
        instance_id=before["instance_id"],
        command=found["command"],
        exit_code=found["exit_code"],
        journal_pending=found["journal_pending"],
        verdict=verdict,
        output=found["output"],
    )
    if verdict == DAMAGED:
        raise CheckError(
            STEP_ID,
            f"expected a filesystem without errors, observed {found['command']} ending with {found['exit_code']}: "
            f"{found['output'][-600:]}\nThe volume is attached to {before['instance_id']}, not mounted, and unaltered. "
            "Copy it before anything repairs it; the rollback point of this run holds it as it was after the stop. "
            "Repaired or restored by hand, run 90_roll_back again: it checks once more",
        )


def _verify_looked(_before: Facts, after: Facts) -> Sequence[Check]:
    return (check_filesystem_looked_at(after["unchecked"]),)


CHECK_FILESYSTEM = Step(
    STEP_ID,
    NOTEBOOK,
    "Check the filesystem after a forced detach, changing nothing",
    _observe_check,
    lambda facts: f"Run the filesystem's checker on {facts['volume']['volume_id']}, read-only, before it is mounted.",
    _look,
    is_done=lambda facts: not facts["unchecked"],
    check=_check_attachment,
    verify=_verify_looked,
    timeout_s=30,
    in_outage=True,
)

"""The ways in which a step is struck, and the steps that are: every one of every notebook that changes something."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from runbook_lib.procedures.filesystem_check import CHECK_FILESYSTEM
from runbook_lib.steps import only_wait

ROOT = Path(__file__).resolve().parents[2]
KILLED = ("killed before the act", "killed in the act", "killed after the act")
FAILED = ("refused by AWS", "no answer from AWS", "never verified")
STRIKES = (*KILLED, *FAILED)

PROVISION, SNAPSHOT, REHEARSAL = "10_provision_target", "20_snapshot_volume", "25_rehearse_on_clone"
CUTOVER, PERSISTENCE, ADOPTION = "30_cut_over_volume", "40_verify_persistence", "45_adopt_volume"
RETIREMENT, WAY_BACK = "50_retire_source", "90_roll_back"
PREPARATION, CHANGE = "65_prepare_storage_driver", "66_change_storage_driver"
PATCH, DEPLOYMENT, RESIZE = "60_patch_hosts", "61_deploy_image", "62_resize"
BACKUP = "63_back_up_volume"
RESTORE = "70_restore_volume"
FIRST_IN_OUTAGE = "stop-source-service"
AFTER_FORCED_DETACH = CHECK_FILESYSTEM.step_id


def procedure(notebook):
    """Return the module with a notebook's steps: its name without the number."""
    return importlib.import_module(f"runbook_lib.procedures.{re.sub(r'^[0-9]+_', '', notebook)}")


def changing_steps(notebook):
    """Return the ids of a notebook's steps that change something, in order."""
    return [one.step_id for one in procedure(notebook).STEPS if one.act not in {None, only_wait}]


def cases(*notebooks):
    """Return (notebook, step id) of every changing step of these notebooks; without any, of all there are."""
    every = notebooks or sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    return [(notebook, step_id) for notebook in every for step_id in changing_steps(notebook)]


def before_the_outage(notebook, step_id):
    """Return whether the service has not been touched yet when a step is struck."""
    if notebook != CUTOVER:
        return notebook < CUTOVER
    steps = changing_steps(CUTOVER)
    return steps.index(step_id) < steps.index(FIRST_IN_OUTAGE)


GOING_ON = [
    case
    for case in cases(SNAPSHOT, REHEARSAL, CUTOVER, PERSISTENCE, RETIREMENT, WAY_BACK)
    if case[1] != AFTER_FORCED_DETACH
]
"""Struck one after the other in one migration for each kind of strike."""


def going_on(driver):
    """Return the cases of GOING_ON that there are with a storage driver: only one with a plugin is rehearsed."""
    return [case for case in GOING_ON if driver == "rexray" or case[0] != REHEARSAL]


BEFORE_OUTAGE = [case for case in GOING_ON if before_the_outage(*case)]
"""Struck in the same migration, and rolled back before it goes on."""

WAYS_BACK = [case for case in cases(CUTOVER, PERSISTENCE, ADOPTION, RETIREMENT) if not before_the_outage(*case)]
"""Struck and rolled back, each in a migration of its own."""

IN_A_ROW = cases(PROVISION, ADOPTION)
"""Struck and run again six times on one target, made undone in between; 10 is rolled back each time as well."""

CHANGES = cases(PREPARATION, CHANGE)
"""Struck one after the other in a change of the storage driver, there and back; taken back by the reverse run."""

SCALINGS = [(RESIZE, "scale-tasks")]
"""Struck in a service that only reads its volume, to two tasks and back: what a service that writes never does."""

PATCHES, DEPLOYMENTS, RESIZES = cases(PATCH), cases(DEPLOYMENT), [one for one in cases(RESIZE) if one not in SCALINGS]
"""As those of a change of the storage driver: to a newer machine image or container image, or to another instance type
and more IOPS on a larger volume; and back to the former, but for the volume's size."""
BACKUPS = cases(BACKUP)
"""Struck one after the other in one run that backs the volume up; there is nothing to take back."""

RESTORES = cases(RESTORE)
"""Struck one after the other in a restore, with the driver that has something to do there; taken back by another."""

FORCED = [(WAY_BACK, AFTER_FORCED_DETACH)]
"""Struck after a detach that was forced, which is the only time when it does anything."""

EARLIER = {
    CUTOVER: (SNAPSHOT,),
    PERSISTENCE: (SNAPSHOT, CUTOVER),
    ADOPTION: (SNAPSHOT, CUTOVER),
    RETIREMENT: (SNAPSHOT, CUTOVER, PERSISTENCE),
}
"""What a run has done before a notebook; 25 is left out, the parameters do not require it."""


def names(found):
    """Return test ids for cases."""
    return [f"{notebook[:2]}-{step_id}" for notebook, step_id in found]

"""62_resize: a larger or another volume without an outage, and hosts of another instance type with a short one.

First the volume: a snapshot, a manifest, ModifyVolume, the filesystem grown in use, the manifest again. Then the host:
the move of 60_patch_hosts, with another instance type instead of another machine image. Each part is skipped when it is
so already. The way back is this notebook with the former values; from a size of the volume there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.driver_plan import plan_ahead
from runbook_lib.procedures.grow_volume import (
    GROW_FILESYSTEM,
    MANIFEST_ID,
    MODIFY_VOLUME,
    NOTEBOOK,
    SNAPSHOT_ID,
    VERIFY_GROWTH,
    take_manifests,
)
from runbook_lib.procedures.host_size import check_types, choose_host_size, observe_types, say_move
from runbook_lib.procedures.move_host import LAUNCH, PROVISION, REMOVE, HostMove, move_steps
from runbook_lib.procedures.scale_tasks import SCALE_TASKS, after_scaling
from runbook_lib.procedures.snapshot_volume import COMPLETE_HOT_SNAPSHOT, CREATE_HOT_SNAPSHOT
from runbook_lib.procedures.storage_drivers import is_settled
from runbook_lib.procedures.task_count import (
    check_scaling,
    has_wanted_tasks,
    is_reader,
    is_scaled,
    observe_scaling,
    say_tasks,
)
from runbook_lib.procedures.volume_size import check_size, has_wanted_size, observe_size, say_size
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

COMPLETE_ID = "complete-snapshot-before-resize"
MOVE = HostMove(
    NOTEBOOK,
    ids={
        PROVISION: "provision-instance-type",
        LAUNCH: "launch-resized-instance",
        "pull-image-for-change": "pull-image-for-resize",
        "create-snapshot-before-change": SNAPSHOT_ID,
        "complete-snapshot-before-change": COMPLETE_ID,
        "check-change": "check-resize-move",
        "take-manifest-before-change": MANIFEST_ID,
        "stop-service-for-change": "stop-service-for-resize",
        "complete-manifest-of-change": "complete-manifest-of-resize",
        "release-volume": "release-volume-for-resize",
        "copy-volume-before-change": "copy-volume-before-resize",
        "hand-volume-over": "hand-volume-to-resized-host",
        "verify-before-change": "verify-before-resized-start",
        "start-changed-service": "start-resized-service",
        "release-gate-after-change": "release-gate-after-resize",
        REMOVE: "remove-former-size",
    },
    verify_id="verify-data-on-resized-host",
    plan_id="verify-plan-after-resize",
    host="the resized host",
    words={
        LAUNCH: {
            "title": "Launch a container instance of the wanted type beside the one that serves",
            "plan": lambda facts: (
                f"Launch a container instance, {' or '.join(facts['drivers']['types'])}; "
                f"{', '.join(facts['drivers']['former'])} serves on."
            ),
        },
        REMOVE: {"title": "Remove the hosts of the former instance type"},
    },
)


def _observe(run: Run) -> dict[str, Any]:
    """Return what runs, what shall run, and whether the task may move; the wanted types are noted first, once."""
    host = choose_host_size(run)
    facts = look(run)
    return facts | {
        "host": host,
        "sizes": observe_types(run, facts),
        "size": observe_size(run),
        "scaling": observe_scaling(run, facts),
    }


def _is_done(facts: Facts) -> bool:
    return is_settled(facts) and has_wanted_size(facts["size"]) and has_wanted_tasks(facts["scaling"])


def _stays(facts: Facts) -> bool:
    """Return whether volume and host of a reader that is scaled stay as they are: only its tasks change in number."""
    scaled = is_reader(facts["scaling"]) and is_scaled(facts["scaling"])
    return scaled and not facts["former"] and has_wanted_size(facts["size"])


def _check(facts: Facts) -> Sequence[Check]:
    own = bool(facts["host"]["own"])
    others = (*check_size(facts["size"]), *check_types(facts), *check_change(facts))
    return (
        Check(
            "run-of-its-own",
            passed=own,
            expected="a run that has not moved the volume before",
            observed="so" if own else "this run has",
            why="its manifest and its rollback point speak of that other move",
            fix="run 62_resize without --run-id",
        ),
        *check_scaling(facts["scaling"]),
        *(checks.check_single_writer(facts["service"], needs="") if _stays(facts) else others),
    )


def _before_growth(step: Step, is_done: Callable[[Facts], bool], **changes: Any) -> Step:
    """Return a step before the move that a growth of the volume needs as well, though the host may stay."""
    changed = replace(step, **changes)

    def observe(run: Run) -> dict[str, Any]:
        taken = run.journal.last("manifest", phase="before-growth") is not None
        return {**changed.observe(run), "size": observe_size(run), "described": taken}

    return replace(
        changed,
        observe=observe,
        is_done=lambda facts: is_done(facts) if facts["size"]["grows"] else changed.is_done(facts),
    )


CHECK_RESIZE = Step(
    "check-resize",
    NOTEBOOK,
    "Compare volume and host with what they shall be, and check that both may change",
    _observe,
    lambda facts: f"{say_size(facts['size'])} {say_move(facts)} {say_tasks(facts['scaling'])}Every check passed.",
    is_done=_is_done,
    check=_check,
)

_STEPS = move_steps(MOVE)
_BEFORE = {
    SNAPSHOT_ID: _before_growth(_STEPS[SNAPSHOT_ID], CREATE_HOT_SNAPSHOT.is_done, plan_ahead=plan_ahead),
    COMPLETE_ID: _before_growth(_STEPS[COMPLETE_ID], COMPLETE_HOT_SNAPSHOT.is_done),
    MANIFEST_ID: _before_growth(_STEPS[MANIFEST_ID], lambda facts: bool(facts["described"]), act=take_manifests),
}

STEPS = (
    CHECK_RESIZE,
    *_BEFORE.values(),
    MODIFY_VOLUME,
    GROW_FILESYSTEM,
    VERIFY_GROWTH,
    *(step for step_id, step in _STEPS.items() if step_id not in {*_BEFORE, MOVE.plan_id}),  # the outage of a move
    SCALE_TASKS,
    after_scaling(_STEPS[MOVE.plan_id]),
)

"""62_resize: hosts of another instance type. Its order.

The move is that of 60_patch_hosts, with another instance type instead of another machine image. The way back is this
notebook with the former type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.host_size import check_types, choose_host_size, observe_types, say_move
from runbook_lib.procedures.move_host import LAUNCH, PROVISION, REMOVE, HostMove, move_steps
from runbook_lib.procedures.storage_drivers import is_settled
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "62_resize"
MOVE = HostMove(
    NOTEBOOK,
    ids={
        PROVISION: "provision-instance-type",
        LAUNCH: "launch-resized-instance",
        "pull-image-for-change": "pull-image-for-resize",
        "create-snapshot-before-change": "create-snapshot-before-resize",
        "complete-snapshot-before-change": "complete-snapshot-before-resize",
        "check-change": "check-resize-move",
        "take-manifest-before-change": "take-manifest-before-resize",
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
    """Return what runs, what shall run, and whether the task may move; the types are noted first, once."""
    size = choose_host_size(run)
    facts = look(run)
    return facts | {"size": size, "sizes": observe_types(run, facts)}


def _check(facts: Facts) -> Sequence[Check]:
    own = bool(facts["size"]["own"])
    return (
        Check(
            "run-of-its-own",
            passed=own,
            expected="a run that has not moved the volume before",
            observed="so" if own else "this run has",
            why="its manifest and its rollback point speak of that other move",
            fix="run 62_resize without --run-id",
        ),
        *check_types(facts),
        *check_change(facts),
    )


CHECK_RESIZE = Step(
    "check-resize",
    NOTEBOOK,
    "Compare the instance type of the hosts with the wanted ones, and check that the task fits and may move",
    _observe,
    lambda facts: f"{say_move(facts)} Every check passed.",
    is_done=is_settled,
    check=_check,
)

STEPS = (CHECK_RESIZE, *move_steps(MOVE).values())

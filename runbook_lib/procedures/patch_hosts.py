"""60_patch_hosts: hosts of a newer machine image, launched before the former ones end, with one move of the task.

The move is that of 65 and 66, with another machine image instead of another storage driver: the same steps, in the same
order. Everything slow is done while the service runs, the next host is verified before the former one drains, and that
one ends only when the data was proved on the next. The way back is this notebook with the former image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.host_image import check_images, choose_host_image, describe_images, say_image
from runbook_lib.procedures.move_host import LAUNCH, PROVISION, REMOVE, HostMove, move_steps
from runbook_lib.procedures.storage_drivers import is_settled
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "60_patch_hosts"
MOVE = HostMove(
    NOTEBOOK,
    ids={
        PROVISION: "provision-host-image",
        LAUNCH: "launch-patched-instance",
        "pull-image-for-change": "pull-image-for-patch",
        "create-snapshot-before-change": "create-snapshot-before-patch",
        "complete-snapshot-before-change": "complete-snapshot-before-patch",
        "check-change": "check-patch",
        "take-manifest-before-change": "take-manifest-before-patch",
        "stop-service-for-change": "stop-service-for-patch",
        "complete-manifest-of-change": "complete-manifest-of-patch",
        "release-volume": "release-volume-for-patch",
        "copy-volume-before-change": "copy-volume-before-patch",
        "hand-volume-over": "hand-volume-to-patched-host",
        "verify-before-change": "verify-before-patched-start",
        "start-changed-service": "start-patched-service",
        "release-gate-after-change": "release-gate-after-patch",
        REMOVE: "remove-unpatched-hosts",
    },
    verify_id="verify-data-on-patched-host",
    plan_id="verify-plan-after-patch",
    host="the patched host",
    words={
        LAUNCH: {
            "title": "Launch a container instance of the wanted image beside the one that serves",
            "plan": lambda facts: (
                f"Launch a container instance of {facts['drivers']['image']}; {', '.join(facts['drivers']['former'])} "
                "serves on."
            ),
        },
        REMOVE: {"title": "Remove the hosts of the former image"},
    },
)


def _observe(run: Run) -> dict[str, Any]:
    """Return what runs, what shall run, and whether the task may move; the image is chosen first, once."""
    chosen = choose_host_image(run)
    facts = look(run)
    return facts | {"chosen": chosen, "images": describe_images(run, chosen, facts["hosts"])}


def _plan(facts: Facts) -> str:
    former, wanted = facts["images"]["former"], facts["images"]["wanted"]
    return f"The hosts run {say_image(former)} and shall run {say_image(wanted)}; every check passed."


def _check(facts: Facts) -> Sequence[Check]:
    return (*check_images(facts), *check_change(facts))


CHECK_HOSTS = Step(
    "check-hosts",
    NOTEBOOK,
    "Compare the machine image of the hosts with the newest one, and check that the task may move",
    _observe,
    _plan,
    is_done=is_settled,
    check=_check,
)

STEPS = (CHECK_HOSTS, *move_steps(MOVE).values())

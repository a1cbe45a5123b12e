"""60_patch_hosts: hosts of a newer machine image, launched before the former ones end, with one move of the task.

The move is that of 65 and 66, with another machine image instead of another storage driver: the same steps, in the same
order. Everything slow is done while the service runs, the next host is verified before the former one drains, and that
one ends only when the data was proved on the next. The way back is this notebook with the former image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures import change_storage_driver, prepare_storage_driver
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.driver_plan import check_only, verify_plan
from runbook_lib.procedures.driver_steps import for_change, in_other_notebook
from runbook_lib.procedures.host_image import check_images, choose_host_image, describe_images, say_image
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.storage_drivers import is_settled
from runbook_lib.procedures.verify_persistence import data_step
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "60_patch_hosts"
VERIFY_ID = "verify-data-on-patched-host"

IDS: Mapping[str, str] = {
    "provision-storage-driver": "provision-host-image",
    "launch-container-instance": "launch-patched-instance",
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
    "remove-former-hosts": "remove-unpatched-hosts",
}
"""Step of 65 or 66 → the one that does the same here."""
_NEEDS = {**IDS, "change-task-definition": IDS["copy-volume-before-change"]}
"""The revision stays: what waits for it to change waits here until the volume has left the former host."""

_OF_THE_HOSTS = ("module.ecs_cluster.aws_launch_template.this", "module.ecs_cluster.aws_autoscaling_group.this")
_OTHER_WORDS: Mapping[str, Mapping[str, Any]] = {
    "provision-storage-driver": {
        "title": "Make the next launch template version with Terraform",
        "check": lambda facts: check_only(
            facts,
            _OF_THE_HOSTS,
            "plan-changes-the-hosts-only",
            "changes of launch template and group only",
            "a patch of the hosts brings no other change with it, and no apply moves the running task",
        ),
    },
    "launch-container-instance": {
        "title": "Launch a container instance of the wanted image beside the one that serves",
        "plan": lambda facts: (
            f"Launch a container instance of {facts['drivers']['image']}; {', '.join(facts['drivers']['former'])} "
            "serves on."
        ),
    },
    "check-change": {"title": "Check that the task may move"},
    "hand-volume-over": {
        "title": "Hand the volume over to the patched host",
        "plan": lambda facts: f"Hand {facts['volume']['volume_id']} over as {facts['volume_name']!r}.",
    },
    "verify-before-change": {"title": "Verify the volume on the patched host before the application starts"},
    "start-changed-service": {"title": "Start the service on the patched host and prove that it sees this volume"},
    "remove-former-hosts": {"title": "Remove the hosts of the former image"},
}


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


def _with_proof(step: Step) -> Step:
    """Return the step that proves the data, as far as there is something to compare with."""

    def observe(run: Run) -> dict[str, Any]:
        if run.journal.last("manifest", phase="before") is not None:
            return step.observe(run)
        return {"desired_count": observe_task(run)["service"].get("desired_count", 0), "task": None, "comparison": None}

    moved = for_change(step, step.step_id, NOTEBOOK, observe=observe)
    return in_other_notebook(moved, NOTEBOOK, _NEEDS)


def _removal(step: Step) -> Step:
    """Return the removal of the former hosts, which waits for the proof of the data."""

    def observe(run: Run) -> dict[str, Any]:
        return step.observe(run) | {"proof": _newest_proof(run)}

    def check(facts: Facts) -> Sequence[Check]:
        proof = facts["proof"]
        return (
            *step.check(facts),
            Check(
                "data-proved",
                passed=proof in {"succeeded", "skipped"},
                expected=f"{VERIFY_ID} passed in this run",
                observed=proof or "not performed",
                why="until then the former host is the shortest way back",
                fix="run 60_patch_hosts from the top",
                needs=VERIFY_ID,
            ),
        )

    words = _OTHER_WORDS["remove-former-hosts"]
    return in_other_notebook(step, NOTEBOOK, _NEEDS, observe=observe, check=check, **words)


def _newest_proof(run: Run) -> str:
    status = run.journal.step_status(VERIFY_ID)
    return status.value if status else ""


def _patched(step: Step) -> Step:
    return in_other_notebook(step, NOTEBOOK, _NEEDS, **_OTHER_WORDS.get(step.step_id, {}))


def _move() -> list[Step]:
    """Return the steps of 65 and 66 that move the task; the tag and the revision stay as they are."""
    wanted = [*prepare_storage_driver.STEPS, *change_storage_driver.STEPS]
    return [step for step in wanted if step.step_id in IDS]


_STEPS = {step.step_id: step for step in _move()}
_LAST = "remove-former-hosts"
VERIFY_DATA = _with_proof(
    data_step(VERIFY_ID, "Verify sentinel and manifest inside the container", "manifest-after", "after")
)

STEPS = (
    CHECK_HOSTS,
    *(_patched(step) for step_id, step in _STEPS.items() if step_id != _LAST),
    VERIFY_DATA,
    _removal(_STEPS[_LAST]),
    verify_plan("verify-plan-after-patch", NOTEBOOK, IDS[_LAST]),
)

"""The move of the task to another host with the same volume: the steps of 65 and 66, for another reason to move.

Shared by 60 (another machine image) and 62 (another instance type). The revision of the service stays; the former host
ends only when the data was proved on the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_lib.procedures import change_storage_driver, prepare_storage_driver
from runbook_lib.procedures.driver_plan import check_only, verify_plan
from runbook_lib.procedures.driver_steps import for_change, in_other_notebook
from runbook_lib.procedures.former_hosts import once_proved
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.verify_persistence import data_step
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

PROVISION, LAUNCH, REMOVE = "provision-storage-driver", "launch-container-instance", "remove-former-hosts"
"""The steps of 65 and 66 of which each notebook says in its own words what they are for."""
_COPY = "copy-volume-before-change"
_OF_THE_HOSTS = ("module.ecs_cluster.aws_launch_template.this", "module.ecs_cluster.aws_autoscaling_group.this")


@dataclass(frozen=True)
class HostMove:
    """What one notebook calls the steps of the move.

    Args:
        notebook: The notebook.
        ids: Step of 65 or 66 → the one that does the same there.
        verify_id: Id of the step that proves the data on the next host.
        plan_id: Id of the last step, which wants an empty plan.
        host: What the next host is, for example `the patched host`.
        words: Step of 65 or 66 → other fields of `Step` there.
    """

    notebook: str
    ids: Mapping[str, str]
    verify_id: str
    plan_id: str
    host: str
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def needs(self) -> dict[str, str]:
        """The ids; what waits for another revision waits here until the volume has left the former host."""
        return {**self.ids, "change-task-definition": self.ids[_COPY]}


def move_steps(move: HostMove) -> dict[str, Step]:
    """Return the steps that move the task and the volume to the next host.

    Args:
        move: What they are called.

    Returns:
        By id, in their order: those of 65 and 66, the proof of the data before the former host ends, the empty plan.
    """
    known = {step.step_id: step for step in (*prepare_storage_driver.STEPS, *change_storage_driver.STEPS)}
    words = _words(move)
    moved = [
        in_other_notebook(step, move.notebook, move.needs, **words.get(step_id, {}))
        for step_id, step in known.items()
        if step_id in move.ids and step_id != REMOVE
    ]
    steps = (
        *moved,
        _with_proof(move),
        in_other_notebook(
            once_proved(move.verify_id, move.notebook), move.notebook, move.needs, **words.get(REMOVE, {})
        ),
        verify_plan(move.plan_id, move.notebook, move.ids[REMOVE]),
    )
    return {step.step_id: step for step in steps}


def _words(move: HostMove) -> dict[str, dict[str, Any]]:
    own: dict[str, dict[str, Any]] = {
        PROVISION: {
            "title": "Make the next launch template version with Terraform",
            "check": lambda facts: check_only(
                facts,
                _OF_THE_HOSTS,
                "plan-changes-the-hosts-only",
                "changes of launch template and group only",
                "a move to another host brings no other change with it, and no apply moves the running task",
            ),
        },
        "check-change": {"title": "Check that the task may move"},
        "hand-volume-over": {
            "title": f"Hand the volume over to {move.host}",
            "plan": lambda facts: f"Hand {facts['volume']['volume_id']} over as {facts['volume_name']!r}.",
        },
        "verify-before-change": {"title": f"Verify the volume on {move.host} before the application starts"},
        "start-changed-service": {"title": f"Start the service on {move.host} and prove that it sees this volume"},
    }
    return {step_id: {**own.get(step_id, {}), **move.words.get(step_id, {})} for step_id in move.ids}


def _with_proof(move: HostMove) -> Step:
    """Return the step that proves the data, as far as there is something to compare with."""
    step = data_step(move.verify_id, "Verify sentinel and manifest inside the container", "manifest-after", "after")

    def observe(run: Run) -> dict[str, Any]:
        if run.journal.last("manifest", phase="before") is not None:
            return step.observe(run)
        return {"desired_count": observe_task(run)["service"].get("desired_count", 0), "task": None, "comparison": None}

    moved = for_change(step, step.step_id, move.notebook, observe=observe)
    return in_other_notebook(moved, move.notebook, move.needs)

"""What a rehearsal is known by: its names and tags, what it left in the world, what its journal says. Reads only.

Everything a rehearsal makes carries the run's id and the tag `runbook-rehearsal`, by which the instance role, which
cannot set tags, may attach the clone; so whatever was interrupted is found again by looking, not by remembering.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import RUN_TAG, driver_of, found

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "25_rehearse_on_clone"
REHEARSAL_TAG = "runbook-rehearsal"
"""Tag of a clone: the cluster whose instances may attach it; `modules/ecs_cluster` knows it too."""

CHECK_REHEARSAL = "check-rehearsal"
CLONE_VOLUME = "clone-volume"
REGISTER = "register-rehearsal-task"
RUN_TASK = "run-rehearsal-task"
STOP_TASK = "stop-rehearsal-task"
_KIND = "rehearsal"


def suffix(run: Run) -> str:
    """Return what tells this run's rehearsal from every other's.

    Args:
        run: The open run.

    Returns:
        Eight hex digits.
    """
    return hashlib.sha256(run.run_id.encode()).hexdigest()[:8]


def clone_name(run: Run) -> str:
    """Return the Name of the clone: what the task mounts, and never the data volume's.

    Args:
        run: The open run.

    Returns:
        The storage driver's volume name with a suffix, so that no plugin takes one for the other.
    """
    return f"{driver_of(run).volume_name}-rehearsal-{suffix(run)}"


def family(run: Run) -> str:
    """Return the family of the rehearsal's task definition.

    Args:
        run: The open run.

    Returns:
        A family that no service uses.
    """
    return f"{run.parameters.target.service_name}-rehearsal-{suffix(run)}"


def rehearsal_tags(run: Run) -> dict[str, str]:
    """Return the tags of everything that the rehearsal makes.

    Args:
        run: The open run.

    Returns:
        Keys and values.
    """
    return {RUN_TAG: run.run_id, REHEARSAL_TAG: run.parameters.target.cluster_name}


def is_possible(run: Run) -> bool:
    """Return whether the storage driver can mount another volume by name on the same host.

    Args:
        run: The open run.

    Returns:
        False for drivers without a volume plugin, which know one volume only.
    """
    return bool(driver_of(run).plugin_alias)


def events(run: Run) -> dict[str, dict[str, Any]]:
    """Return what the journal says of the newest attempt, by phase.

    Args:
        run: The open run.

    Returns:
        Phase to fields with `at_utc`; empty when this run never opened a rehearsal.
    """
    phases: dict[str, dict[str, Any]] = {}
    for event in run.journal.events():
        if event.kind == _KIND:
            phase = event.fields["phase"]
            phases = ({} if phase == "opened" else phases) | {phase: event.fields | {"at_utc": event.at_utc}}
    return phases


def note(run: Run, phase: str, **fields: Any) -> None:
    """Write one phase of the rehearsal into the journal.

    Args:
        run: The open run.
        phase: `opened`, `manifest-before-copy`, `cloned`, `manifest-after-copy`, `requested`, `started`, `compared`,
            `stopping`, `stopped` or `finished`.
        **fields: What there is to say.

    Changes:
        A `rehearsal` event.
    """
    run.journal.append("rehearsal", phase=phase, **fields)


def observe_clones(run: Run) -> list[dict[str, Any]]:
    """Return this run's clones.

    Args:
        run: The open run.

    Returns:
        Keys `volume_id, state, holder, name`, one mapping per clone that is not being deleted.
    """
    tagged = run.ebs.find_volumes(rehearsal_tags(run))
    made = events(run).get("cloned", {}).get("volume_id", "")
    if made and made not in {v["volume_id"] for v in tagged}:
        # EC2's answers by tag can lag behind; by its id a new volume is known earlier
        seen = found(lambda: run.ebs.describe_volume(made))
        tagged += [] if "error" in seen else [seen]
    return [_clone(v) for v in tagged if v["state"] not in {"deleting", "deleted"}]


def observe_foreign_clones(run: Run) -> list[dict[str, Any]]:
    """Return the clones that other runs left for this cluster.

    Args:
        run: The open run.

    Returns:
        Keys `volume_id, state, holder, name, run_id`.
    """
    tag = {REHEARSAL_TAG: run.parameters.target.cluster_name}
    found = [v for v in run.ebs.find_volumes(tag) if v["state"] not in {"deleting", "deleted"}]
    return [_clone(v) | {"run_id": v["tags"].get(RUN_TAG, "")} for v in found if v["tags"].get(RUN_TAG) != run.run_id]


def _clone(volume: Facts) -> dict[str, Any]:
    holder = volume["attachments"][0]["instance_id"] if volume["attachments"] else ""
    return {
        "volume_id": volume["volume_id"],
        "state": volume["state"],
        "holder": holder,
        "name": volume["tags"].get("Name", ""),
    }


def observe_tasks(run: Run) -> list[dict[str, Any]]:
    """Return this run's rehearsal tasks that have not stopped.

    Args:
        run: The open run.

    Returns:
        As `RehearsalApi.tasks_of`.
    """
    return [task for task in run.rehearsal_api.tasks_of(family(run)) if task["last_status"] != "STOPPED"]


def observe_remains(run: Run) -> dict[str, Any]:
    """Return everything of this run's rehearsal that is in the world now.

    Args:
        run: The open run.

    Returns:
        Keys `clones` (as `observe_clones`), `tasks` (ARNs), `definitions` (ARNs).
    """
    return {
        "clones": observe_clones(run),
        "tasks": [task["task_arn"] for task in observe_tasks(run)],
        "definitions": run.rehearsal_api.active_definitions(family(run)),
    }


def observe_state(run: Run) -> dict[str, Any]:
    """Return how far this run's rehearsal is, for every step of it.

    Args:
        run: The open run.

    Returns:
        Keys `possible`, `opened`, `finished`.
    """
    seen = events(run)
    return {"possible": is_possible(run), "opened": "opened" in seen, "finished": "finished" in seen}


def is_over(facts: Facts) -> bool:
    """Return whether there is nothing to do: the rehearsal has finished, or cannot be made.

    Args:
        facts: With the keys of `observe_state`.

    Returns:
        True when so.
    """
    return bool(facts["finished"]) or not facts["possible"]


def check_opened(facts: Facts) -> Check:
    """Return whether the rehearsal was begun from the top.

    Args:
        facts: With the keys of `observe_state`.

    Returns:
        The check.
    """
    return Check(
        "rehearsal-begun",
        passed=bool(facts["opened"]),
        expected="a rehearsal begun with check-rehearsal",
        observed="begun" if facts["opened"] else "not begun",
        why="what production looked like before must be known",
        fix=f"run {NOTEBOOK} from the top",
        needs=CHECK_REHEARSAL,
    )


def describe(clones: list[dict[str, Any]]) -> str:
    """Return clones in words.

    Args:
        clones: As `observe_clones`.

    Returns:
        Ids, states and holders; `none` when empty.
    """
    return ", ".join(f"{c['volume_id']} ({c['state']} {c['holder']}".rstrip() + ")" for c in clones) or "none"

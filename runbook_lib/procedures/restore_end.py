"""Restore, its end: the hosts of the former volume go once the data was proved, and the loss is written down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import see_volume
from runbook_lib.procedures.former_hosts import once_proved
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.restore_check import describe_loss, note_grade, shown_time
from runbook_lib.procedures.restore_facts import (
    NEXT_PARAMETERS,
    NOTEBOOK,
    note,
    noted,
    observe_exchange,
    on_restored,
)
from runbook_lib.procedures.restore_steps import REMOVE, for_restore
from runbook_lib.procedures.spans import span
from runbook_lib.procedures.verify_persistence import data_step
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_VERIFY = "verify-restored-data"


def _with_manifest(step: Step) -> Step:
    """Return the proof of the data, as far as this run has a manifest to compare with."""

    def observe(run: Run) -> dict[str, Any]:
        if run.journal.last("manifest", phase="before") is not None:
            return {**step.observe(run), "unmoved": False}
        seen = observe_task(run)
        count = seen["service"].get("desired_count", 0)
        return {"desired_count": count, "task": None, "comparison": None, "unmoved": bool(seen["task"])}

    # a way back that found the volume still in service has moved nothing
    return for_restore(step, _VERIFY, observe=observe, is_done=lambda facts: facts["unmoved"])


def _observe_loss(run: Run) -> dict[str, Any]:
    """Return what was lost, as it is known at the end.

    Changes:
        A `restore` event, once, when the restored volume serves.
    """
    exchange, task = observe_exchange(run), observe_task(run)
    note_grade(run, see_volume(on_restored(run, exchange), task["task"], task["instance_id"]))
    began = run.journal.last("outage", phase="started")
    until = began.at_utc if began else ""
    compared, source = noted(run, "compared"), exchange["source"]
    facts = {
        **exchange,
        "loss": describe_loss(run, source),
        "until_utc": until,
        "lost": compared.get("lost"),
        "lost_paths": compared.get("lost_paths"),
    }
    if exchange["handed_over"] and not noted(run, "loss"):
        said = {"since_utc": source["since_utc"], "until_utc": until, "lost": facts["lost"]}
        note(run, "loss", volume_id=exchange["present"]["volume_id"], restored_id=exchange["restored_id"], **said)
    return facts


def _check_loss(facts: Facts) -> Sequence[Check]:
    present = facts["present"]
    kept = present["state"] == "available" and not present["holder"]
    return (
        Check("restored-volume-serves", bool(facts["handed_over"]), "the restored volume in service",
              facts["restored_id"] if facts["handed_over"] else "not yet", fix=f"run {NOTEBOOK} from the top",
              needs=REMOVE),
        Check("former-volume-kept", kept, f"{present['volume_id']} available, attached nowhere",
              f"{present['state']} {present['holder']}".strip(), "it holds what the service lost, and is the way back",
              "detach it; do not delete it before somebody decided that what it holds may go", needs=REMOVE),
    )  # fmt: skip


def _plan_loss(facts: Facts) -> str:
    present = facts["present"]["volume_id"]
    back = f"Way back: runbook restore {present} -f {NEXT_PARAMETERS} of this run."
    if not facts["loss"]["since_utc"]:
        return f"No write was lost. {back}"
    said = f"LOST to the service: what it acknowledged after {shown_time(facts['loss']['since_utc'])}"
    if facts["handed_over"] and facts["until_utc"]:
        since, until = (datetime.fromisoformat(one) for one in (facts["loss"]["since_utc"], facts["until_utc"]))
        said += f" until {shown_time(facts['until_utc'])} ({span((until - since).total_seconds())})"
    return f"{said}. All of it is on {present}, out of service. From now on use {NEXT_PARAMETERS} of this run. {back}"


VERIFY_RESTORED_DATA = _with_manifest(
    data_step(_VERIFY, "Verify sentinel and manifest inside the container", "manifest-after", "after")
)

REMOVE_HOSTS_OF_FORMER_VOLUME = for_restore(
    once_proved(_VERIFY, NOTEBOOK), REMOVE, title="Remove the hosts of the volume that left"
)

REPORT_LOSS = Step(
    "report-loss",
    NOTEBOOK,
    "Report which writes the service lost, and where they are",
    _observe_loss,
    _plan_loss,
    check=_check_loss,
)

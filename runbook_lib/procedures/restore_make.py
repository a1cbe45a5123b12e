"""Restore, the volume: made of the backup beside production, and the parameters that name it written for the user."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import parameters as parameter_file
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_drill import wait
from runbook_lib.procedures.observations import FORMER_NAME_TAG, RUN_TAG, SOURCE_DEVICE_TAG
from runbook_lib.procedures.restore_check import check_loss_accepted, describe_loss
from runbook_lib.procedures.restore_facts import (
    CHECK,
    CREATE,
    NEXT_PARAMETERS,
    NOTEBOOK,
    REPLACES_TAG,
    RESTORED_FROM_TAG,
    note,
    noted,
    observe_exchange,
    on_restored,
    refuse_same_name,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_KEPT_TAGS = (FORMER_NAME_TAG, SOURCE_DEVICE_TAG)
_READY = {"available", "in-use"}


def _observe(run: Run) -> dict[str, Any]:
    exchange = observe_exchange(run)
    return {
        **exchange,
        "loss": describe_loss(run, exchange["source"]),
        "next_parameters": (run.journal.folder / NEXT_PARAMETERS).is_file(),
    }


def _is_made(facts: Facts) -> bool:
    volume = facts["restored"]
    return volume is not None and volume["state"] in _READY and facts["next_parameters"]


def _plan(facts: Facts) -> str:
    source, present = facts["source"], facts["present"]
    if source["kind"] == "former":
        return f"Take {source['id']} itself; write the parameters that name it."
    how = "Copy" if source["kind"] == "copy" else "Make a volume of"
    return (
        f"{how} {source['id'] or 'the source'} in {present['availability_zone']}, {present['size_gib']} GiB "
        f"{present['volume_type']}, under a Name that nothing looks for; write the parameters that name it."
    )


def _check(facts: Facts) -> Sequence[Check]:
    restored, zone = facts["restored"], facts["present"]["availability_zone"]
    return (
        check_loss_accepted(facts["loss"]),
        Check(
            "same-zone",
            passed=restored is None or restored["availability_zone"] == zone,
            expected=f"the restored volume in {zone}",
            observed=restored["availability_zone"] if restored else "not made yet",
            why="hosts and load balancer of the service are there",
            fix="restore from a snapshot",
            needs=CHECK,
        ),
    )


def _make(run: Run, before: Facts) -> None:
    """Make the volume unless an attempt that was interrupted did; then write the parameters that name it."""
    source, present = before["source"], before["present"]
    if not noted(run, "chosen"):
        note(run, "chosen", **{key: source[key] for key in ("id", "since_utc", "consistency")})
    if before["restored"] is None:
        name = f"{run.run_id}-restored"
        refuse_same_name(name, before["volume_name"])
        kept = {key: present["tags"][key] for key in _KEPT_TAGS if key in present["tags"]}
        tags = kept | {
            RUN_TAG: run.run_id,
            RESTORED_FROM_TAG: source["id"],
            REPLACES_TAG: present["volume_id"],
            "Name": name,
        }
        token = f"restore-{hashlib.sha256(run.run_id.encode()).hexdigest()[:16]}"
        if source["kind"] == "copy":
            run.ebs.copy_volume(source["id"], tags, token)
        else:
            run.rehearsal_api.restore_volume(source["id"], present, tags, token)
    exchange = observe_exchange(run)
    wait(run, exchange["restored_id"], lambda volume: volume["state"] in _READY)
    view = on_restored(run, exchange)
    head = f"# Written by run {run.run_id}: the same migration with the restored volume.\n"
    run.journal.write(NEXT_PARAMETERS, head + parameter_file.dump(view.parameters))


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    volume = after["restored"]
    return (
        Check(
            "volume-made",
            passed=volume is not None and volume["state"] in _READY,
            expected=f"a volume of {after['source']['id']}",
            observed=f"{volume['volume_id']} {volume['state']}" if volume else "none",
            fix=f"run {NOTEBOOK} from the top",
        ),
        Check(
            "next-parameters-written",
            passed=bool(after["next_parameters"]),
            expected=f"{NEXT_PARAMETERS} in the run folder",
            observed="there" if after["next_parameters"] else "missing",
            fix=f"run {NOTEBOOK} from the top",
        ),
    )


CREATE_RESTORED_VOLUME = Step(
    CREATE,
    NOTEBOOK,
    "Make a volume of the backup, beside the one in service",
    _observe,
    _plan,
    _make,
    is_done=_is_made,
    check=_check,
    verify=_verify,
    timeout_s=600,
    waits_for="EBS makes the volume",
)

"""Restore, first of all: what is to be restored, which writes that loses, and whether it may begin. Reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import keep_mapping, note_sentinel, note_volume, see_volume
from runbook_lib.procedures.inspect_source import evidence_grade
from runbook_lib.procedures.observations import RUN_TAG, observe_names, observe_task
from runbook_lib.procedures.provision_target import observe_machine_image
from runbook_lib.procedures.restore_facts import (
    CHECK,
    NEXT_PARAMETERS,
    NOTEBOOK,
    check_in_service,
    noted,
    observe_exchange,
    on_restored,
)
from runbook_lib.procedures.spans import span
from runbook_lib.procedures.storage_drivers import observe_hosts, volume_of
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_COMMAND = "runbook restore SNAPSHOT_ID|latest|VOLUME_ID -f FILE"


def _observe(run: Run) -> dict[str, Any]:
    """Return what is to be restored, what serves now, and what it costs.

    Changes:
        Evidence `task-mapping` and `machine-image`; a `volume` event with the filesystem, where somebody knows it.
    """
    exchange, service = observe_exchange(run), run.ecs.describe_service()
    current = volume_of({})
    if service["exists"]:
        definition = run.ecs.task_definition(service["task_definition_arn"])
        current = volume_of(definition)
    if current["driver"]:
        keep_mapping(run, definition, current)
        _keep_machine_image(run)
    target = observe_task(run)
    seen = see_volume(run, target["task"], target["instance_id"]) if current["driver"] else {}
    note_grade(run, seen)
    if exchange["handed_over"]:  # given up before the volume left: its sentinel is the one to be found
        note_sentinel(on_restored(run, exchange), seen)
    hosts = observe_hosts(run)
    return {
        **exchange,
        "service": service,
        "driver": current["driver"],
        "wanted_driver": run.parameters.storage.driver,
        "hosts": hosts,
        "strangers": [h["instance_id"] for h in hosts if not h["volume"]],
        "names": observe_names(run, exchange["present"]),
        "filesystem_uuid": _filesystem_uuid(run, exchange, seen),
        "loss": describe_loss(run, exchange["source"]),
    }


def note_grade(run: Run, seen: Facts) -> None:
    """Note on what kind of hosts this run's evidence was seen, as soon as one was looked at.

    Args:
        run: The open run.
        seen: As `see_volume`.

    Changes:
        A `grade` event, once.
    """
    if seen.get("sys_vendor") is not None and run.journal.last("grade") is None:
        run.journal.append("grade", evidence_grade=evidence_grade(seen["sys_vendor"]).value)


def _keep_machine_image(run: Run) -> None:
    """Keep the machine image that the hosts have: another one is not this runbook's business."""
    if run.journal.last("evidence", name="machine-image") is None:
        image = run.container_hosts.machine_image(run.parameters.target.cluster_name)
        run.keep_evidence("machine-image", {"ami_id": image, "source": "the launch template of the hosts"})
    observe_machine_image(run)


def _filesystem_uuid(run: Run, exchange: Facts, seen: Facts) -> str:
    """Return the filesystem that must be on the restored volume, and note it once.

    The running container knows it; where none runs, the record of a run that had to do with either volume, or the
    parameters.
    """
    known = run.journal.last("volume")
    if known is not None:
        return str(known.fields["filesystem_uuid"])
    options = run.parameters.storage.host_mount
    given = options.filesystem_uuid if options and run.parameters.storage.driver == "host_mount" else ""
    source, present = exchange["source"], exchange["present"]
    runs = (source["run_id"], source["tags"].get(RUN_TAG, ""), present["tags"].get(RUN_TAG, ""))
    recorded = next(filter(None, (_recorded_uuid(run, one) for one in runs)), "")
    uuid = seen.get("filesystem_uuid") or recorded or given
    if uuid:
        note_volume(run, uuid, str(seen.get("filesystem_type", "")))
    return str(uuid)


def _recorded_uuid(run: Run, run_id: str) -> str:
    """Return the filesystem's UUID as another run of this archive noted it, "" when it did not."""
    path = other_record(run, run_id) / "journal.jsonl"
    if not run_id or not path.is_file():
        return ""
    lines = [line for line in path.read_text("utf-8").splitlines() if '"volume"' in line and line.endswith("}")]
    events = [event for event in map(json.loads, lines) if event["kind"] == "volume"]
    return str(events[-1].get("filesystem_uuid", "")) if events else ""


def other_record(run: Run, run_id: str) -> Path:
    """Return the folder in which another run of this archive would be.

    Args:
        run: The open run.
        run_id: The other run.

    Returns:
        The folder; it need not be there.
    """
    return run.journal.folder.parent / (run_id or "none")


def describe_loss(run: Run, source: Facts) -> dict[str, Any]:
    """Return which writes a restore loses, as far as times tell it.

    Args:
        run: The open run.
        source: As `observe_source`.

    Returns:
        Keys `since_utc` ("" when nothing is lost), `typed` (that time as the command wants it), `age_s`, `accepted_utc`
        (what was accepted, "" when nothing was), `accepted` (whether that covers the loss), `say` (in words).
    """
    accepted_utc = str(noted(run, "requested").get("accepts_since", ""))
    if not source["since_utc"]:
        say = "no write is lost: the volume was never out of service" if source["kind"] == "former" else "unknown"
        nothing = {"since_utc": "", "typed": "", "age_s": None, "say": say}
        return nothing | {"accepted_utc": accepted_utc, "accepted": bool(source["id"])}
    since, typed = datetime.fromisoformat(source["since_utc"]), shown_time(source["since_utc"])
    age_s = (run.clock.now_utc() - since).total_seconds()
    covers = bool(accepted_utc) and datetime.fromisoformat(accepted_utc) <= since
    say = f"everything that the service acknowledged after {typed}, {span(age_s)} ago, until it stops"
    return {
        "since_utc": source["since_utc"],
        "typed": typed,
        "age_s": round(age_s, 3),
        "accepted_utc": accepted_utc,
        "accepted": covers,
        "say": say,
    }


def shown_time(since_utc: str) -> str:
    """Return a time as the command wants it typed: whole seconds, rounded down, UTC.

    Args:
        since_utc: RFC 3339 time.

    Returns:
        For example `2026-03-01T12:00:00Z`.
    """
    moment = datetime.fromisoformat(since_utc)
    utc = (moment - (moment.utcoffset() or timedelta(0))).replace(tzinfo=None, microsecond=0)
    return f"{utc.isoformat()}Z"


def _plan(facts: Facts) -> str:
    source, present = facts["source"], facts["present"]
    what = {
        "snapshot": f"{source['id']} ({source['consistency']}-consistent, "
        f"{'restored by a drill before' if source['drilled'] else 'never restored before'})",
        "copy": f"{source['id']}, the rollback copy of run {source['run_id']}",
        "former": f"{source['id']}, which served before",
    }[source["kind"]]
    return (
        f"Bring back {what}. LOST: {facts['loss']['say']}. {present['volume_id']} keeps all of it, out of service and "
        f"under another Name. Afterwards use {NEXT_PARAMETERS} of this run."
    )


def _check(facts: Facts) -> Sequence[Check]:
    source, present = facts["source"], facts["present"]
    usable = source["state"] in {"completed", "available", "in-use"} and bool(source["kind"])
    of_this = source["of_volume"] in {present["volume_id"], present["tags"].get("runbook:replaces"), source["id"]}
    return (
        Check("restore-asked-for", bool(source["asked"]), "what to restore, named by a person",
              source["asked"] or "nothing", "a restore loses writes; no schedule and no default begins one", _COMMAND),
        Check("source-usable", usable, "a completed snapshot, a rollback copy, or the volume that served before",
              f"{source['asked'] or 'nothing'}: {source['error'] or source['state']}",
              fix="run 63_back_up_volume for one; `aws ec2 describe-snapshots` shows those there are"),
        Check("source-of-this-volume", not usable or source["kind"] == "copy" or of_this,
              f"a snapshot of {present['volume_id']}, or of the volume in whose place that one came",
              source["of_volume"] or "none", "another service's data would take this one's place",
              "name a snapshot of this volume"),
        *_check_estate(facts),
    )  # fmt: skip


def check_loss_accepted(loss: Facts) -> Check:
    """Return whether somebody has accepted, in words, that these writes are lost.

    Args:
        loss: As `describe_loss`.

    Returns:
        The check.
    """
    option = f"--accept-loss-of-writes-since {loss['typed'] or 'TIME'}"
    return Check(
        "loss-accepted",
        passed=bool(loss["accepted"]),
        expected=option,
        observed=loss["accepted_utc"] or "nothing accepted",
        why=f"lost is {loss['say']}",
        fix=f"say it, with the same command: {option}",
        needs=CHECK,
    )


def _check_estate(facts: Facts) -> Sequence[Check]:
    service, present = facts["service"], facts["present"]
    connected = [h["instance_id"] for h in facts["hosts"] if h["agent_connected"]]
    ours = facts["aside"] or facts["handed_over"]
    return (
        Check("service-on-this-driver", facts["driver"] == facts["wanted_driver"],
              f"an ECS service whose task has one volume, of {facts['wanted_driver']}", facts["driver"] or "none",
              fix="run 10_provision_target, or name the driver that the service uses"),
        Check("volume-not-on-source", not present["on_source"], f"{present['volume_id']} on ECS, or nowhere",
              present["holder"] or "attached nowhere", "before the cutover there is nothing to restore here",
              "`runbook roll-back` is the way back while compose can serve"),
        *(() if ours else (check_in_service(present),)),
        Check("host-known", bool(connected), "a container instance on which the restored volume can be looked at",
              ", ".join(connected) or "none", "nothing starts on a volume that nobody has looked at",
              "run 10_provision_target until register-container-instance is done"),
        Check("hosts-know-their-volume", not facts["strangers"], "attribute runbook.volume on every host",
              ", ".join(facts["strangers"]) or "so", "by it those are told that serve the former volume",
              "replace them: 60_patch_hosts"),
        Check("filesystem-known", bool(facts["filesystem_uuid"]), "the UUID of the filesystem that must be on it",
              facts["filesystem_uuid"] or "unknown", "a volume with another filesystem is not this service's",
              "let the service run once, or bring the record of the run that made the backup into this archive"),
        *checks.check_single_writer(service, needs=""),
        *(() if ours else (checks.check_name_free(facts["names"], present["volume_id"], facts["volume_name"]),)),
    )  # fmt: skip


CHECK_RESTORE = Step(
    CHECK,
    NOTEBOOK,
    "Say what is restored and which writes are lost, and check that it may begin",
    _observe,
    _plan,
    check=_check,
)

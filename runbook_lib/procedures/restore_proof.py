"""Restore, the proof: what is on the restored volume, before anything of the application starts on it.

The volume is attached to a container instance with the operator's credentials, under a Name that no storage driver
looks for, mounted beside the data volume, read whole, compared with what the backup's own run wrote down, given a
sentinel that names it, and let go again. The manifest taken then is what the service must find when it starts.

A restore that is given up after its stop finds the volume that it shall bring back in its place, without a service. One
that its own host still has is read there, where the service left it, and stays there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.model import Check, Facts, FileEntry
from runbook_lib.procedures import backup_facts
from runbook_lib.procedures.backup_drill import DEVICE, mount_attached, wait
from runbook_lib.procedures.driver_look import note_sentinel, sentinel_volume
from runbook_lib.procedures.manifest_before import BEFORE
from runbook_lib.procedures.manifest_of_change import take_of_running
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.persistence import build_manifest, take_manifest
from runbook_lib.procedures.rehearsal_data import compare_clone
from runbook_lib.procedures.restore_check import other_record
from runbook_lib.procedures.restore_facts import (
    CREATE,
    NOTEBOOK,
    PROVE,
    lineage,
    note,
    noted,
    observe_exchange,
    on_restored,
)
from runbook_lib.procedures.restore_in_place import await_end_of_tasks, look_in_place, observe_use
from runbook_lib.procedures.storage_drivers import observe_hosts
from runbook_lib.steps import Step
from runbook_lib.storage import SENTINEL_PATH

if TYPE_CHECKING:
    from runbook_lib.adapters.host import Host
    from runbook_lib.run import Run

RESTORED, PRESENT = "manifest-restored", "manifest-present"
_SHOWN = 50


def _observe(run: Run) -> dict[str, Any]:
    exchange, hosts = observe_exchange(run), observe_hosts(run)
    # last of all one that was set up for it: its unit would take the volume, or let it go, beside us
    by_use = sorted(hosts, key=lambda host: host["volume"] == exchange["restored_id"])
    connected = [host["instance_id"] for host in by_use if host["agent_connected"]]
    holder = exchange["present"]["holder"]
    proved = noted(run, "proved")
    own = [host["instance_id"] for host in hosts if host["volume"] == exchange["restored_id"]]
    return {
        **exchange,
        **observe_use(run, exchange, own),
        "host": holder if holder in connected else next(iter(connected), ""),
        "container_hosts": [host["instance_id"] for host in hosts],
        "proved": proved if proved.get("volume_id") == exchange["restored_id"] else {},
        "compared": noted(run, "compared"),
    }


def _is_proved(facts: Facts) -> bool:
    return facts["in_service"] or (_is_at_rest(facts) and _has_sentinel(facts) and not _problems(facts))


def _is_at_rest(facts: Facts) -> bool:
    """Return whether the volume is where it shall be before the next step: nowhere, or in its place already."""
    return facts["restored"] is not None and (not facts["restored"]["attachments"] or facts["in_place"])


def _has_sentinel(facts: Facts) -> bool:
    """Return whether the sentinel that was found there names a volume of this service."""
    return facts["proved"].get("sentinel_named", "") in _own(facts)


def _own(facts: Facts) -> list[str]:
    """Return the volumes that a sentinel of this service may name."""
    own = {*lineage(facts["present"]), facts["restored_id"], facts["source"]["of_volume"]}
    return sorted(own - {""})


def _plan(facts: Facts) -> str:
    compared = facts["compared"]
    if not compared and facts["in_place"]:
        return (
            f"{facts['restored_id']} never left its place: read it whole on {facts['restored']['holder']}, as the "
            "service left it; it stays there."
        )
    if not compared:
        return (
            f"Attach {facts['restored_id'] or 'it'} to {facts['host'] or 'a host'}, read it whole, compare it with "
            "what its own run wrote down and with what the service has now, give it a sentinel, let it go."
        )
    lost = compared["lost"]
    now = (
        f"since then {lost['changed']} entries were changed, {lost['missing']} made and {lost['added']} removed"
        if lost
        else "no task runs, so nobody can say what was written since"
    )
    return f"{compared['entries']} entries, {compared['with_record']} of them as their own run wrote them down; {now}."


def _check(facts: Facts) -> Sequence[Check]:
    restored = facts["restored"]
    elsewhere = bool(restored) and restored["holder"] not in {"", *facts["container_hosts"]}
    return (
        Check("volume-made", restored is not None, "the restored volume", facts["restored_id"] or "none",
              fix=f"run {NOTEBOOK} from the top", needs=CREATE),
        Check("host-known", bool(facts["host"]), "a connected container instance", facts["host"] or "none",
              fix="run 10_provision_target until register-container-instance is done"),
        Check("held-by-nobody-else", not elsewhere, "the restored volume attached nowhere, or to a container instance",
              restored["holder"] if elsewhere else "so", "only one host may hold a volume",
              "detach it where it is"),
    )  # fmt: skip


def _prove(run: Run, before: Facts) -> None:
    """Attach, mount, read, compare, write the sentinel, read again, let go; in its place it is read and stays."""
    volume_id = before["restored_id"]
    instance_id = before["restored"]["holder"] or before["host"]
    host = run.host(instance_id)
    if before["stays"]:
        await_end_of_tasks(run)
    if not before["restored"]["holder"]:
        run.ebs.attach_volume(volume_id, instance_id, DEVICE)
    mounted = look_in_place(run, before, host) if before["in_place"] else mount_attached(run, volume_id, host)
    take_manifest(run, host, RESTORED, "restored", root=mounted["path"])
    _compare(run, before)
    named = sentinel_volume(mounted)
    if named in _own(before):  # on another service's volume nothing is written
        _write_sentinel(run, host, mounted, before)
    build_manifest(run, host, BEFORE, "before", root=mounted["path"], seed=run.run_id, previous=RESTORED)
    run.keep_evidence(BEFORE, host.run("read_manifest", run_id=run.run_id, name=BEFORE))
    if not before["in_place"]:
        host.run("mount_copy", timeout_s=400, volume_id=volume_id, release=True)
        run.ebs.detach_volume(volume_id, instance_id)
        wait(run, volume_id, lambda volume: volume["state"] == "available" and not volume["attachments"])
    where = {"instance_id": instance_id, "in_place": before["in_place"]}
    note(run, "proved", volume_id=volume_id, sentinel_named=named, **where)


def _write_sentinel(run: Run, host: Host, mounted: Facts, before: Facts) -> None:
    """Write the sentinel that names the restored volume, unless it is there."""
    volume_id, named, known = before["restored_id"], sentinel_volume(mounted), run.journal.last("volume")
    if before["in_place"] and named == volume_id:
        note_sentinel(on_restored(run, before), mounted)
        return
    uuid = known.fields["filesystem_uuid"] if known else ""
    own = {"run_id": run.run_id, "volume_id": volume_id, "filesystem_uuid": uuid}
    content = mounted["sentinel"]["content"] if named == volume_id else json.dumps(own, sort_keys=True) + "\n"
    written = host.run("write_sentinel", mount_path=mounted["path"], run_id=run.run_id, content=content)
    run.journal.append("sentinel", path=written["path"], sha256=written["sha256"])


def _compare(run: Run, before: Facts) -> None:
    """Compare what is on the restored volume with its own record, and with what the service has now."""
    restored = _without_sentinel(manifest.parse(run.evidence(RESTORED)))
    recorded = _recorded(run, before["source"])
    facts: dict[str, Any] = {"entries": len(restored), "with_record": 0, "identical": None, "lost": None}
    if recorded is not None:
        result = compare_clone(*recorded, restored, None)
        facts |= {"with_record": result.compared} | result.found.as_facts()
    task = observe_task(run)
    if task["task"] is not None and not before["aside"]:
        take_of_running(run, task, PRESENT, "present")
        differs = manifest.compare(_without_sentinel(manifest.parse(run.evidence(PRESENT))), restored)
        kinds = ("missing", "added", "changed")
        facts["lost"] = {kind: len(getattr(differs, kind)) for kind in kinds}
        facts["lost_paths"] = {
            "missing": list(differs.missing[:_SHOWN]),
            "added": list(differs.added[:_SHOWN]),
            "changed": [path for path, _ in differs.changed[:_SHOWN]],
        }
    note(run, "compared", **facts)


def _recorded(run: Run, source: Facts) -> tuple[Sequence[FileEntry], Sequence[FileEntry]] | None:
    """Return the two manifests around the moment of the backup, None when this archive has no record of them."""
    is_backup = backup_facts.BACKUP_TAG in source["tags"]
    names = (backup_facts.BEFORE, backup_facts.AFTER) if is_backup else (BEFORE, BEFORE)
    paths = [other_record(run, source["run_id"]) / "evidence" / f"{name}.json" for name in names]
    if not source["run_id"] or source["tags"].get("runbook:point") == "hot" or not all(p.is_file() for p in paths):
        return None
    first, second = (_without_sentinel(manifest.parse(json.loads(path.read_text("utf-8")))) for path in paths)
    return first, second


def _without_sentinel(entries: Sequence[FileEntry]) -> list[FileEntry]:
    """Return entries without the sentinel, which is compared by the volume that it names."""
    own = {SENTINEL_PATH, SENTINEL_PATH.rpartition("/")[0]}
    return [entry for entry in entries if entry.path not in own]


def _problems(facts: Facts) -> list[str]:
    """Return what of the comparison with the record is not as it must be."""
    compared = facts["compared"]
    if not compared:
        return ["not compared"]
    if compared["identical"] is None or (compared["identical"] and compared["with_record"]):
        return []
    return [f"{key}: {compared[key]}" for key in ("missing", "added", "changed") if compared.get(key)] or ["no entry"]


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    restored, proved, compared = after["restored"], after["proved"], after["compared"]
    named = proved.get("sentinel_named", "")
    problems = _problems(after)
    return (
        Check("backup-identical", not problems, "every entry as the run that made the backup wrote it down",
              "; ".join(problems) or (f"{compared['with_record']} entries identical" if compared["with_record"]
                                      else "no record of that run in this archive: not compared"),
              "the service would start on data that is not what was backed up", "restore another backup"),
        Check("sentinel-of-this-service", _has_sentinel(after), f"one that names {' or '.join(_own(after))}",
              named or "none", "by it the volume is told from another service's", "restore a backup of this volume"),
        Check("volume-let-go", _is_at_rest(after), "attached nowhere, or where it was before it was read",
              restored["holder"] if restored else "no volume", fix=f"run {NOTEBOOK} from the top"),
    )  # fmt: skip


def _hopeless(facts: Facts) -> str:
    wrong = bool(_problems(facts)) or not _has_sentinel(facts)
    return "what is on the volume will not change" if facts["proved"] and wrong else ""


PROVE_RESTORED_VOLUME = Step(
    PROVE,
    NOTEBOOK,
    "Prove what is on the restored volume before the application sees it",
    _observe,
    _plan,
    _prove,
    is_done=_is_proved,
    check=_check,
    verify=_verify,
    hopeless=_hopeless,
    timeout_s=30,
)

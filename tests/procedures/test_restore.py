"""A restore: which writes it loses, what may be restored, what is asked for before anything is made."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from runbook_lib.errors import AwsError
from runbook_lib.model import FileEntry
from runbook_lib.procedures import restore_check, restore_end, restore_facts, restore_make, restore_proof
from runbook_lib.procedures.restore_steps import for_restore
from runbook_lib.procedures.restore_volume import STEPS
from runbook_lib.steps import Step, only_wait

A, B, OTHER, SNAPSHOT = "vol-0a", "vol-0b", "vol-0c", "snap-01"
NOON = "2026-03-01T12:00:00.250000+00:00"
NOW = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
SOURCE = {"asked": SNAPSHOT, "kind": "snapshot", "id": SNAPSHOT, "state": "completed", "of_volume": A, "error": "",
          "since_utc": NOON, "consistency": "freeze", "drilled": True, "run_id": "run-63", "tags": {}}  # fmt: skip


class Journal:
    """A journal with `restore` events of some phases."""

    def __init__(self, **phases):
        self.phases = phases

    def last(self, _kind, phase):
        return SimpleNamespace(fields=self.phases[phase]) if phase in self.phases else None


def volume(volume_id, **tags):
    """Return facts of a volume with tags: `runbook__point` for `runbook:point`."""
    tags = {key.replace("__", ":").replace("_", "-"): value for key, value in tags.items()}
    found = {"volume_id": volume_id, "state": "available", "attachments": [], "created_utc": NOON, "tags": tags}
    return found | {"availability_zone": "z", "size_gib": 8, "volume_type": "gp3", "holder": "", "on_source": False}


def snapshot(snapshot_id, at=NOON, of=A, state="completed", **tags):
    """Return facts of a snapshot, as `Estate.snapshot`."""
    tags = {key.replace("__", ":"): value for key, value in tags.items()}
    return {"snapshot_id": snapshot_id, "volume_id": of, "state": state, "started_utc": at, "tags": tags}


def run_with(*found, asked="latest", **phases):
    """Return a run that was asked to restore something, where AWS has these volumes and snapshots."""
    snapshots = [one for one in found if "snapshot_id" in one]

    def get(kind):
        def read(one):
            for item in found:
                if item.get(kind) == one and (kind == "snapshot_id" or "snapshot_id" not in item):
                    return item
            raise AwsError("Describe", "InvalidX.NotFound", one)

        return read

    estate = SimpleNamespace(
        snapshots_of=lambda one: [s for s in snapshots if s["volume_id"] == one], snapshot=get("snapshot_id")
    )
    journal = Journal(requested={"source": asked}, **phases)
    return SimpleNamespace(
        estate=estate, ebs=SimpleNamespace(describe_volume=get("volume_id")), journal=journal,
        clock=SimpleNamespace(now_utc=lambda: NOW),
    )  # fmt: skip


def source_of(run, present=None):
    """Return what is to be restored, without what nobody asks."""
    seen = restore_facts.observe_source(run, present or volume(A))
    return {key: seen[key] for key in ("kind", "id", "state", "of_volume", "since_utc", "consistency", "error")}


def backup(name, hour, of=A, **tags):
    """Return a backup that was taken at an hour of the day."""
    return snapshot(name, f"2026-03-01T{hour:02}:00:00+00:00", of, runbook__backup=of, **tags)


def test_latest_is_the_newest_completed_backup_of_this_volume():
    """Not a newer one that is pending, of another volume, or that is no backup."""
    found = [
        backup("snap-old", 8),
        backup("snap-new", 10, runbook__consistency="freeze"),
        backup("snap-pending", 12) | {"state": "pending"},
        backup("snap-other", 13, of=OTHER),
        snapshot("snap-hot", "2026-03-01T13:30:00+00:00"),
    ]
    seen = source_of(run_with(*found))
    assert (seen["kind"], seen["id"], seen["consistency"]) == ("snapshot", "snap-new", "freeze")
    assert source_of(run_with())["error"] == "no completed backup"


def test_backups_of_the_volume_before_a_restore_count_too():
    """One restore back, by the tag of the volume that serves."""
    run = run_with(backup("snap-a", 8), backup("snap-b", 9, of=B))
    assert source_of(run, volume(B, runbook__replaces=A))["id"] == "snap-b"
    assert source_of(run_with(backup("snap-a", 8)), volume(B, runbook__replaces=A))["id"] == "snap-a"
    assert source_of(run_with(backup("snap-a", 8)), volume(B))["kind"] == ""


def test_since_when_a_volume_did_not_serve_is_known_when_it_serves_again():
    """Its tag is gone then; what the run noted when it chose the volume still says what is lost."""
    run = run_with(volume(A), asked=A, chosen={"id": A, "since_utc": NOON})
    assert source_of(run, volume(B, runbook__replaces=A))["since_utc"] == NOON


def test_what_was_chosen_once_stays():
    """A backup that is taken meanwhile changes nothing for a run that goes on."""
    run = run_with(backup("snap-a", 8), backup("snap-b", 9), chosen={"id": "snap-a"})
    assert source_of(run)["id"] == "snap-a"


@pytest.mark.parametrize(
    ("found", "asked", "present", "expected"),
    [
        (snapshot("snap-1", of=OTHER), "snap-1", volume(A), ("snapshot", OTHER, NOON, "")),
        (snapshot("snap-1", state="error"), "snap-1", volume(A), ("snapshot", A, NOON, "")),
        (volume(OTHER, runbook__point="rollback"), OTHER, volume(A), ("copy", "", NOON, "")),
        (volume(A, runbook__replaced_by=B, runbook__replaced_utc=NOON), A, volume(B), ("former", A, NOON, "")),
        (volume(A), A, volume(B, runbook__replaces=A), ("former", A, "", "")),
        (volume(OTHER), OTHER, volume(A),
         ("", "", "", "neither a rollback copy nor the volume that served before")),
        (volume(OTHER), "vol-9", volume(A), ("", "", "", "InvalidX.NotFound")),
    ],
    ids=["a snapshot of another volume", "a failed snapshot", "a rollback copy", "the former volume",
         "one that never left", "a stranger", "none"],
)  # fmt: skip
def test_what_may_be_restored(found, asked, present, expected):
    """Told by tags and by what EBS says; whether it may be used is another check."""
    seen = source_of(run_with(found, asked=asked), present)
    assert (seen["kind"], seen["of_volume"], seen["since_utc"], seen["error"]) == expected


@pytest.mark.parametrize(
    ("accepted", "covers"),
    [("", False), ("2026-03-01T12:00:00Z", True), ("2026-03-01T13:00:00+01:00", True),
     ("2026-03-01T11:00:00Z", True), ("2026-03-01T12:00:01Z", False), ("2026-03-01T13:00:00Z", False)],
    ids=["nothing", "as it was said", "in another zone", "an older loss", "a second too late", "an hour too late"],
)  # fmt: skip
def test_the_loss_must_be_covered_by_what_was_accepted(accepted, covers):
    """The time of the backup or an earlier one; the message says what to type."""
    run = run_with(asked=SNAPSHOT)
    run.journal.phases["requested"]["accepts_since"] = accepted
    loss = restore_check.describe_loss(run, SOURCE)
    check = restore_check.check_loss_accepted(loss)
    assert check.passed is covers
    assert check.expected == "--accept-loss-of-writes-since 2026-03-01T12:00:00Z"
    assert loss["say"] == (
        "everything that the service acknowledged after 2026-03-01T12:00:00Z, 2 h 5 min ago, until it stops"
    )


def test_a_volume_that_never_left_loses_nothing():
    """Given up before the exchange: nothing to accept."""
    former = SOURCE | {"kind": "former", "since_utc": ""}
    assert restore_check.describe_loss(run_with(), former)["accepted"]
    assert not restore_check.describe_loss(run_with(), SOURCE | {"kind": "", "id": "", "since_utc": ""})["accepted"]


def facts(**changes):
    """Return what the first step sees when everything is as it should be."""
    service = {"minimum_healthy_percent": 0, "maximum_percent": 100, "availability_zone_rebalancing": "DISABLED"}
    host = {"instance_id": "i-1", "agent_connected": True, "volume": A}
    return {
        "source": SOURCE, "present": volume(A), "restored": None, "restored_id": "", "aside": False,
        "handed_over": False, "volume_name": "data", "service": service, "driver": "rexray", "wanted_driver": "rexray",
        "hosts": [host], "strangers": [], "names": [], "filesystem_uuid": "u", "next_parameters": False,
        "loss": restore_check.describe_loss(run_with(), SOURCE),
    } | changes  # fmt: skip


def failed(checks):
    """Return the ids of the checks that failed."""
    return [check.check_id for check in checks if not check.passed]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"source": SOURCE | {"asked": "", "kind": "", "state": "none"}}, ["restore-asked-for", "source-usable"]),
        ({"source": SOURCE | {"state": "error"}}, ["source-usable"]),
        ({"source": SOURCE | {"of_volume": OTHER}}, ["source-of-this-volume"]),
        ({"driver": ""}, ["service-on-this-driver"]),
        ({"present": volume(A) | {"on_source": True}}, ["volume-not-on-source"]),
        ({"present": volume(A, runbook__replaced_by=B)}, ["volume-in-service"]),
        ({"present": volume(A, runbook__replaced_by=B), "aside": True}, []),
        ({"hosts": []}, ["host-known"]),
        ({"strangers": ["i-1"]}, ["hosts-know-their-volume"]),
        ({"filesystem_uuid": ""}, ["filesystem-known"]),
        ({"names": [{"volume_id": OTHER, "tags": {"Name": "DATA"}}]}, ["volume-name-unique"]),
    ],
)
def test_when_a_restore_may_begin(changes, found):
    """No task need run: a service that does not come up is what a restore is for."""
    assert failed(STEPS[0].check(facts(**changes))) == found


def test_nothing_is_made_before_the_loss_was_accepted():
    """The step that makes the volume refuses, and names the option; in a plan the check is assumed."""
    (refused,) = [c for c in restore_make.CREATE_RESTORED_VOLUME.check(facts()) if not c.passed]
    assert (refused.check_id, refused.needs) == ("loss-accepted", STEPS[0].step_id)


def test_what_a_plan_says():
    """What is brought back, what is lost, where that stays, what to use afterwards."""
    text = STEPS[0].plan(facts())
    assert "snap-01 (freeze-consistent, restored by a drill before)" in text
    assert "LOST: everything that the service acknowledged after 2026-03-01T12:00:00Z" in text
    assert "vol-0a keeps all of it" in text


def entry(path, **changes):
    """Return a file of a manifest."""
    fields = {
        "kind": "file",
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size_bytes": 1,
        "mtime_ns": 5,
        "sha256": "d",
        "link_target": "",
    }
    return FileEntry(path=path, **(fields | changes))


def test_the_sentinel_is_not_compared_with_the_record():
    """It names another volume from now on; by which volume it names it is checked."""
    left = restore_proof._without_sentinel([entry("a"), entry(".runbook/sentinel.json"), entry(".runbook/other")])
    assert [one.path for one in left] == ["a", ".runbook/other"]


def proof(compared, named=A, **changes):
    """Return what the proof sees at its end."""
    restored = volume(B) | {"holder": ""}
    seen = {"restored": restored, "restored_id": B, "compared": compared,
            "proved": {"volume_id": B, "sentinel_named": named},
            "in_service": False, "stays": False, "in_place": False}  # fmt: skip
    return facts(**(seen | changes))


SAME = {"entries": 4, "with_record": 4, "identical": True, "missing": [], "added": [], "changed": [], "lost": None}


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (proof(SAME), []),
        (proof(SAME | {"identical": None, "with_record": 0}), []),
        (proof(SAME, named=B), []),
        (proof(SAME, named=""), ["sentinel-of-this-service"]),
        (proof(SAME, named=OTHER), ["sentinel-of-this-service"]),
        (proof(SAME | {"identical": False, "missing": ["a"]}), ["backup-identical"]),
        (proof(SAME | {"with_record": 0}), ["backup-identical"]),
        (proof({}), ["backup-identical"]),
        (proof(SAME, restored=volume(B) | {"holder": "i-1", "attachments": [1]}), ["volume-let-go"]),
    ],
    ids=["as recorded", "no record", "struck before and run again", "no sentinel", "another service's",
         "an entry lacks", "nothing compared", "not read", "still attached"],
)  # fmt: skip
def test_when_a_restored_volume_is_proved(seen, found):
    """By its record where there is one, by its sentinel always; only a proved and free one is done."""
    step = restore_proof.PROVE_RESTORED_VOLUME
    assert failed(step.verify(seen, seen)) == found
    assert step.is_done(seen) is (not found)


def test_a_step_of_another_notebook_acts_on_the_restored_volume():
    """It is never done before there is one, its words are those of a restore, and a wait stays a wait."""
    views = SimpleNamespace(as_on=lambda volume_id: f"run on {volume_id}")
    acted = []
    made = for_restore(
        Step("x", "66_change_storage_driver", "t", lambda _run: {}, lambda _f: "", lambda run, _f: acted.append(run),
             is_done=lambda _f: True), "y")  # fmt: skip
    assert not made.is_done({"exchange": {"restored_id": ""}})
    assert made.is_done({"exchange": {"restored_id": B}})
    made.act(views, {"exchange": {"restored_id": B}})
    made.act(views, {"exchange": {"restored_id": ""}})
    assert acted == [f"run on {B}", views]
    assert for_restore(Step("x", "n", "t", lambda _r: {}, lambda _f: "", only_wait), "y").act is only_wait


def test_the_end_says_from_when_to_when():
    """And on which volume all of it is; with which file to go on, and how to go back."""
    seen = facts(handed_over=True, restored_id=B, until_utc="2026-03-01T14:00:00.5+00:00", lost=None, lost_paths=None)
    text = restore_end.REPORT_LOSS.plan(seen)
    assert "after 2026-03-01T12:00:00Z until 2026-03-01T14:00:00Z (2 h 0 min)" in text
    assert "All of it is on vol-0a, out of service" in text
    assert "runbook restore vol-0a -f next-parameters.yaml" in text

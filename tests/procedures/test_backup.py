"""Backups: what the retention may delete, and which task a drill runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.procedures.backup_drill_task import drill_definition
from runbook_lib.procedures.backup_retention import find_expired

VOLUME, NOW = "vol-0123456789abcdef0", datetime(2026, 3, 1, tzinfo=UTC)


def backup(name, days, state="completed", **tags):
    """Return a backup of a number of days ago."""
    found = {"runbook:backup": VOLUME} | {key.replace("_", ":"): value for key, value in tags.items()}
    return {"snapshot_id": name, "state": state, "started_utc": (NOW - timedelta(days=days)).isoformat(), "tags": found}


def expired(*snapshots, keep_last=1, keep_days=10):
    """Return the ids that expired."""
    return find_expired(snapshots, volume_id=VOLUME, now=NOW, keep_last=keep_last, keep_days=keep_days)


MANY = [backup(f"d{days}", days) for days in (40, 30, 20, 5, 1)]


@pytest.mark.parametrize(
    ("snapshots", "keep_last", "keep_days", "gone"),
    [
        (MANY, 1, 10, ["d40", "d30", "d20"]),
        (MANY, 4, 10, ["d40"]),
        (MANY, 1, 25, ["d40", "d30"]),
        (MANY, 1, 0, ["d40", "d30", "d20", "d5"]),
        (MANY, 9, 0, []),
        ([backup("only", 400)], 1, 0, []),
        ([backup("good", 400), backup("bad", 300, "error")], 1, 10, ["bad"]),
        ([backup("good", 400), backup("new", 300, "pending")], 1, 10, []),
        ([backup("bad", 400, "error")], 1, 10, []),
    ],
    ids=["by age", "by number", "older ones kept longer", "no age", "more kept than there are", "never the last",
         "never the last good one", "never one that is pending", "nothing good to stay"],
)  # fmt: skip
def test_what_expires(snapshots, keep_last, keep_days, gone):
    """By number and by age, oldest first; the newest completed one stays whatever the policy says."""
    assert expired(*snapshots, keep_last=keep_last, keep_days=keep_days) == gone


def test_the_newest_that_was_restored_stays():
    """A backup that a drill has restored outlives younger ones that nobody tried."""
    tried = backup("tried", 50, runbook_drill="passed")
    assert expired(backup("older", 60, runbook_drill="passed"), tried, *MANY, keep_days=0) == [
        "older", "d40", "d30", "d20", "d5"]  # fmt: skip


@pytest.mark.parametrize(
    "foreign",
    [
        {"tags": {}},
        {"tags": {"runbook:point": "rollback", "runbook:run-id": "r"}},
        {"tags": {"runbook:backup": "vol-0ffffffffffffffff"}},
    ],
    ids=["of nobody", "a rollback point", "of another volume"],
)
def test_nothing_else_ever_expires(foreign):
    """A snapshot without the tag of a backup of this volume is never named."""
    assert expired({**backup("foreign", 900), **foreign}, backup("new", 1), keep_days=0) == []


def test_a_drill_runs_the_services_own_task_on_a_folder():
    """Only the volume, the host port, the family and the constraint of the data volume's host differ."""
    container = {"name": "app", "image": "wiki@sha256:1", "portMappings": [{"containerPort": 80, "hostPort": 80}],
                 "mountPoints": [{"sourceVolume": "wiki-data", "containerPath": "/data"}]}  # fmt: skip
    own = {
        "family": "wiki",
        "containerDefinitions": [container],
        "volumes": [{"name": "wiki-data", "dockerVolumeConfiguration": {"driver": "rexray/ebs"}}, {"name": "cache"}],
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:runbook.mounted == vol-1"}],
    }
    made = drill_definition(own, "wiki-data", "/var/lib/runbook/copy/vol-2", "wiki-drill-1")
    assert made["volumes"] == [
        {"name": "wiki-data", "host": {"sourcePath": "/var/lib/runbook/copy/vol-2"}},
        {"name": "cache"},
    ]
    (changed,) = made["containerDefinitions"]
    assert changed == container | {"portMappings": [{"containerPort": 80, "hostPort": 0}]}
    assert (made["family"], made["placementConstraints"]) == ("wiki-drill-1", [])
    assert own["containerDefinitions"][0]["portMappings"][0]["hostPort"] == 80

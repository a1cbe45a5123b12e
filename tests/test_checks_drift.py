"""Every finding of 64_check_drift: planted in facts of a clean estate, found, and nothing else with it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from runbook_lib.checks_drift import findings
from runbook_lib.checks_volume_drift import age_days
from runbook_lib.procedures.check_drift import STEPS, check_all
from runbook_lib.procedures.drift_look import PARTS

VOLUME, HOST = "vol-0123456789abcdef0", "i-0123456789abcdef0"
ARN = "arn:aws:ecs:us-east-1:012345678901:task-definition/wiki:7"
PLUGIN = {"driver": "rexray/ebs", "scope": "shared", "autoprovision": False}
TASK = {"last_status": "RUNNING", "task_definition_arn": ARN}
ATTACHMENT = {"instance_id": HOST, "state": "attached", "device_name": "/dev/xvdf", "delete_on_termination": False}
SETUP = {
    "check_id": "plugin-enabled",
    "passed": True,
    "expected": "enabled",
    "observed": "enabled",
    "why": "it can format a disk",
    "fix": "replace the host",
}
ZONE = "attribute:ecs.availability-zone == us-east-1a"
CLEAN = {
    "service": {
        "service": {"exists": True, "desired_count": 1, "minimum_healthy_percent": 0, "maximum_percent": 100,
                    "availability_zone_rebalancing": "DISABLED", "task_definition_arn": ARN,
                    "controller": "ECS", "strategy": "ROLLING", "deployments": [{}]},
        "tasks": [TASK],
        "volume": {"name": "wiki-data", "dockerVolumeConfiguration": PLUGIN},
        "driver": "rexray",
        "placement": [ZONE],
        "scaling": {"only_reads": False, "wanted": {}, "registered": {}},
        "wanted": {"driver": "rexray", "volume_name": "wiki-data", "plugin_alias": "rexray/ebs", "placement": [ZONE]},
    },
    "hosts": {
        "hosts": [{"instance_id": HOST, "status": "ACTIVE", "agent_connected": True, "storage": "rexray",
                   "problem": "", "checks": [SETUP], "ami_id": "ami-1", "age_days": 3.0}],
        "driver": "rexray", "open": [], "template_ami_id": "ami-1", "max_image_age_days": 90,
    },
    "volume": {
        "volume": {"volume_id": VOLUME, "holder": HOST, "attachments": [ATTACHMENT], "tags": {"Name": "wiki-data"},
                   "modifying": False},
        "names": [{"volume_id": VOLUME, "tags": {"Name": "wiki-data"}}],
        "wanted_name": "wiki-data", "handed_over": True, "task_host": HOST,
        "devices": [{"volume_id": VOLUME, "delete_on_termination": False},
                    {"volume_id": "vol-root", "delete_on_termination": True}],
        "seen": {"volume_id": VOLUME, "below_mount": ""}, "sentinel_names": VOLUME,
        "space": {"total_bytes": 100, "free_bytes": 60, "total_inodes": 100, "free_inodes": 60},
        "min_free_percent": 10, "min_free_inodes_percent": 10,
    },
    "snapshots": {"volume_id": VOLUME, "newest": {"snapshot_id": "snap-1"}, "age_h": 5.0, "failed": [],
                  "max_age_h": 36},
    "terraform": {"changes": [], "image_applied": "ami-1", "image_now": "ami-1", "revision_applied": ARN,
                  "revision_now": ARN},
    "record": {"directory": "runs", "run_id": "20260131T030007Z-wiki-4c1d", "problems": []},
}  # fmt: skip
PLANTED = {
    "desired-count": ("service.service.desired_count", 0),
    "minimum-healthy-percent": ("service.service.minimum_healthy_percent", 100),
    "maximum-percent": ("service.service.maximum_percent", 200),
    "availability-zone-rebalancing": ("service.service.availability_zone_rebalancing", "ENABLED"),
    "deployment-controller": ("service.service.controller", "CODE_DEPLOY"),
    "deployment-strategy": ("service.service.strategy", "BLUE_GREEN"),
    "one-deployment": ("service.service.deployments", [{}, {}]),
    "one-task-running": ("service.tasks", [TASK, TASK]),
    "task-on-service-revision": ("service.tasks", [TASK | {"task_definition_arn": "wiki:6"}]),
    "placement-constraint": ("service.placement", []),
    "storage-driver": ("service.driver", "host_mount"),
    "task-volume-name": ("service.volume.name", "other-data"),
    "task-volume-settings": ("service.volume.dockerVolumeConfiguration", PLUGIN | {"autoprovision": True}),
    "container-instance-ready": ("hosts.hosts.0.status", "DRAINING"),
    "hosts-not-open-to-the-world": ("hosts.open", ["sgr-1 of sg-1: tcp 22-22 from 0.0.0.0/0"]),
    "plugin-enabled": ("hosts.hosts.0.checks.0", SETUP | {"passed": False, "observed": "disabled"}),
    "host-looked-at": ("hosts.hosts.0.problem", "the SSM agent is offline"),
    "host-storage-driver": ("hosts.hosts.0.storage", "host_mount"),
    "host-machine-image": ("hosts.hosts.0.ami_id", "ami-2"),
    "machine-image-age": ("hosts.hosts.0.age_days", 91.0),
    "volume-name-unique": ("volume.names", [{"volume_id": "vol-2", "tags": {"Name": "WIKI-data"}}]),
    "volume-name": ("volume.volume.tags", {"Name": "other"}),
    "volume-handed-over": ("volume.handed_over", False),
    "volume-attached-where-the-task-runs": ("volume.volume.attachments", [ATTACHMENT | {"instance_id": "i-2"}]),
    "delete-on-termination-off": ("volume.devices.0.delete_on_termination", True),
    "volume-not-modifying": ("volume.volume.modifying", True),
    "container-sees-the-volume": ("volume.seen", {"volume_id": VOLUME, "below_mount": "data"}),
    "sentinel-present": ("volume.sentinel_names", ""),
    "free-space": ("volume.space.free_bytes", 9),
    "free-inodes": ("volume.space.free_inodes", 9),
    "snapshot-age": ("snapshots.age_h", 36.5),
    "no-failed-snapshot": ("snapshots.failed", ["snap-2"]),
    "plan-empty": ("terraform.changes", ["aws_security_group.this (update: ingress)"]),
    "launch-template-image": ("terraform.image_now", "ami-2"),
    "service-revision": ("terraform.revision_now", "wiki:8"),
    "record-exists": ("record.run_id", ""),
    "record-verifies": ("record.problems", ["report.json: altered"]),
}
"""Finding → what is planted: a fact, and what it is then."""


def planted(path, value):
    """Return the facts of the clean estate with one of them another."""
    facts = copy.deepcopy(CLEAN)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    where = facts
    for part in parents:
        where = where[part]
    where[last] = value
    return facts


def found(facts):
    """Return the ids of the findings."""
    return [finding["id"] for finding in findings(check_all(facts))]


def test_a_clean_estate_has_no_finding():
    """Nothing is found where everything is as it was left, with REX-Ray and with host_mount."""
    other = copy.deepcopy(CLEAN)
    other["service"] |= {"driver": "host_mount", "volume": {"name": "wiki-data", "host": {"sourcePath": "/srv"}}}
    other["service"]["wanted"] |= {"driver": "host_mount", "plugin_alias": ""}
    other["hosts"]["driver"] = other["hosts"]["hosts"][0]["storage"] = "host_mount"
    assert (found(CLEAN), found(other)) == ([], [])


@pytest.mark.parametrize("finding", PLANTED)
def test_each_drift_is_found(finding):
    """One planted drift is one finding, with an expectation, an observation, a reason and a fix."""
    (seen,) = findings(check_all(planted(*PLANTED[finding])))
    assert seen["id"] == finding
    assert all(seen[key] for key in ("expected", "observed", "why", "fix"))
    assert seen["expected"] != seen["observed"]


def test_every_check_can_fail():
    """There is no check that no planted drift makes fail, but for the one that there is a service."""
    made = {check.check_id for check in check_all(CLEAN)}
    assert made - set(PLANTED) == {"service-exists"}
    assert found(planted("service.service", {"exists": False})) == ["service-exists"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_could_not_be_looked_at_is_a_finding(part):
    """Silence is not health: an error, and a cell that did not run, are findings; the other parts are still judged."""
    refused, skipped = CLEAN | {part: {"error": "AccessDenied"}}, CLEAN | {part: {}}
    assert (found(refused), found(skipped)) == ([f"{part}-looked-at"], [f"{part}-looked-at"])


def test_all_findings_are_listed():
    """Drift of every part at once is told at once, in the order of the parts."""
    facts = copy.deepcopy(CLEAN)
    for finding in ("record-verifies", "plan-empty", "snapshot-age", "sentinel-present", "host-machine-image"):
        part = PLANTED[finding][0].partition(".")[0]
        facts[part] = planted(*PLANTED[finding])[part]
    assert found(facts) == ["host-machine-image", "sentinel-present", "snapshot-age", "plan-empty", "record-verifies"]


def test_nothing_running_has_nothing_to_look_through():
    """Without a task the container's view and the free space are findings too, and nothing breaks."""
    facts = planted("service.tasks", [])
    facts["volume"] |= {"task_host": "", "seen": {}, "sentinel_names": "", "space": {"error": "no running task"}}
    assert found(facts) == ["one-task-running", "volume-attached-where-the-task-runs", "container-sees-the-volume",
                            "sentinel-present", "free-space", "free-inodes"]  # fmt: skip


def test_a_filesystem_that_makes_inodes_as_wanted_is_not_judged_by_them():
    """Btrfs reports no number of inodes; that is no finding."""
    facts = planted("volume.space", {"total_bytes": 100, "free_bytes": 60, "total_inodes": 0, "free_inodes": 0})
    assert found(facts) == []


def test_an_image_of_unknown_age_is_old():
    """An image that is not to be had any more counts as too old."""
    assert found(planted("hosts.hosts.0.age_days", None)) == ["machine-image-age"]
    assert age_days("", datetime.now(UTC)) is None
    assert age_days("2026-01-01T00:00:00.000Z", datetime(2026, 1, 3, 12, tzinfo=UTC)) == 2.5


def test_no_step_can_act():
    """Nothing of the notebook has an act, so nothing of it can change anything."""
    assert [step.step_id for step in STEPS if step.act is not None] == []

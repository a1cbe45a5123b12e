"""Checks: facts in, verdicts out, each with what to do."""

from __future__ import annotations

import pytest

from runbook_lib import checks

VOLUME = {
    "volume_id": "vol-1",
    "state": "in-use",
    "availability_zone": "us-east-1a",
    "attachments": [{"instance_id": "i-1", "state": "attached"}],
    "modifying": False,
}
NAMED = {"volume_id": "vol-2", "tags": {"Name": "Guestbook-DATA"}}


def attached(*pairs):
    return VOLUME | {"attachments": [{"instance_id": i, "state": s} for i, s in pairs]}


def open_file(pid, *parents):
    return {"pid": pid, "parents": list(parents), "command": "rsync", "path": "/srv/guestbook/x"}


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (checks.check_identity({"account_id": "012345678901", "arn": "a"}, "012345678901"), True),
        (checks.check_identity({"account_id": "12345678901", "arn": "a"}, "012345678901"), False),
        (checks.check_attached(VOLUME, "i-1"), True),
        (checks.check_attached(attached(("i-1", "detaching")), "i-1"), False),
        (checks.check_attached(attached(("i-2", "attached")), "i-1"), False),
        (checks.check_attached(attached(("i-1", "attached"), ("i-2", "attached")), "i-1"), False),
        (checks.check_attached(attached(), "i-1"), False),
        (checks.check_same_zone(VOLUME, "subnets", ["us-east-1a", "us-east-1a"], "f"), True),
        (checks.check_same_zone(VOLUME, "subnets", ["us-east-1a", "us-east-1b"], "f"), False),
        (checks.check_same_zone(VOLUME, "subnets", [], "f"), False),
        (checks.check_name_free([NAMED], "vol-2", "guestbook-data"), True),
        (checks.check_name_free([NAMED], "vol-1", "guestbook-data"), False),
        (checks.check_name_free([NAMED], "vol-1", "guestbook"), True),
        (checks.check_volume_steady(VOLUME), True),
        (checks.check_volume_steady(VOLUME | {"modifying": True}), False),
        (checks.check_mounted({"source": "/dev/xvdf", "target": "/srv"}, "/srv", "/dev/xvdf"), True),
        (checks.check_mounted({"source": "/dev/xvda1", "target": "/srv"}, "/srv", "/dev/xvdf"), False),
        (checks.check_mounted(None, "/srv", "/dev/xvdf"), False),
        (checks.check_writers([open_file(20)], [{"pid": 20}], "/srv"), True),
        (checks.check_writers([open_file(21, 20, 1)], [{"pid": 20}], "/srv"), True),
        (checks.check_writers([open_file(30, 1)], [{"pid": 20}], "/srv"), False),
        (checks.check_writers([open_file(30, 1)], [{"pid": 0}], "/srv"), False),
        (checks.check_nothing_open([], "/srv"), True),
        (checks.check_nothing_open([open_file(30)], "/srv"), False),
    ],
)
def test_verdicts(check, passed):
    """Each check passes exactly when its rule holds, and a failed one says what to do."""
    assert check.passed is passed
    assert check.fix


def test_the_duplicate_is_named():
    """A second volume of the Name is named, in whatever case it is written."""
    check = checks.check_name_free([NAMED], "vol-1", "guestbook-data")
    assert "observed vol-2" in check.sentence()
    assert "rename vol-2" in check.fix


def test_who_holds_the_mount_is_named():
    """The message names process, command and file, five at most."""
    check = checks.check_nothing_open([open_file(pid) for pid in range(30, 37)], "/srv")
    assert "process 30 (rsync): /srv/guestbook/x" in check.observed
    assert check.observed.endswith("and 2 more")


@pytest.mark.parametrize(
    ("service", "passed"),
    [
        ({"minimum_healthy_percent": 0, "maximum_percent": 100, "availability_zone_rebalancing": "DISABLED"}, True),
        ({"minimum_healthy_percent": 100, "maximum_percent": 200, "availability_zone_rebalancing": "DISABLED"}, False),
        ({"minimum_healthy_percent": 0, "maximum_percent": 100, "availability_zone_rebalancing": "ENABLED"}, False),
        ({"exists": False}, False),
    ],
)
def test_single_writer(service, passed):
    """Only 0/100 without rebalancing can never run two tasks."""
    assert checks.check_single_writer(service, needs="provision-target")[0].passed is passed

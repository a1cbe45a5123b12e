"""The storage driver `host_mount`: what it tells host and task, what it refuses, when the target has the volume."""

from __future__ import annotations

import pytest

from runbook_lib import parameters
from runbook_lib.parameters_storage import HostMount as Options
from runbook_lib.procedures.hand_over import NAME_VOLUME
from runbook_lib.storage import HANDED_OVER_TAG, REFUSED, storage_driver
from runbook_lib.storage.host_mount import CAPABILITY, MOUNTED, PROBLEM, HostMount
from tests.parameter_sets import SANDBOX, changed

UUID = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
DRIVER = HostMount(Options(volume_name="guestbook-data", filesystem_uuid=UUID), "us-east-1", "vol-0abc")
DISK = {
    "path": "/dev/nvme1n1",
    "filesystem_type": "ext4",
    "filesystem_uuid": UUID,
    "partition_table_type": "",
    "children": [],
}


def failed(checks):
    return {c.check_id for c in checks if not c.passed}


def test_the_expected_filesystem_is_accepted():
    """Type and UUID of the parameters, on the disk itself."""
    assert failed(DRIVER.check_disk(DISK)) == set()


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"filesystem_type": "xfs"}, {"filesystem-is-the-expected-one"}),
        ({"filesystem_uuid": UUID.replace("6", "7")}, {"filesystem-is-the-expected-one"}),
        ({"filesystem_type": "", "filesystem_uuid": ""}, {"filesystem-is-the-expected-one"}),
        ({"partition_table_type": "gpt"}, {"filesystem-on-bare-disk"}),
        ({"filesystem_type": "LVM2_member", "children": ["/dev/mapper/vg-data"]},
         {"filesystem-on-bare-disk", "filesystem-is-the-expected-one"}),
    ],
    ids=["other type", "other uuid", "empty", "partitions", "lvm"],
)  # fmt: skip
def test_any_other_disk_is_refused_before_the_outage(change, refused):
    """What the unit would refuse on the target is refused on the source, with the volume untouched."""
    checks = DRIVER.check_disk(DISK | change)
    assert failed(checks) == refused
    assert all("this volume is untouched" in c.fix for c in checks if not c.passed)


def test_the_unit_is_told_what_it_may_mount_and_when():
    """Volume, filesystem and the tag of the hand-over travel to the host; nothing there lets it format."""
    boot = DRIVER.boot("vol-0abc")
    assert (boot["volume_id"], boot["filesystem_type"], boot["filesystem_uuid"]) == ("vol-0abc", "ext4", UUID)
    assert (boot["handed_over_tag"], boot["volume_name"]) == (HANDED_OVER_TAG, "guestbook-data")
    assert boot["driver"] == "host_mount"


def test_the_task_binds_the_mount_only_where_it_is():
    """The task binds the mount path, and is placed only on a host that says to have this volume there."""
    volume = DRIVER.task_volume({})
    assert (volume["host_path"], volume["driver"]) == (DRIVER.boot("vol-0abc")["mount_path"], None)
    assert volume["required_attribute"] == {"name": MOUNTED, "value": "vol-0abc"}


def test_a_host_can_join_without_the_volume():
    """The capability that the runbook waits for before the outage is not the mount."""
    assert DRIVER.capability == CAPABILITY != MOUNTED


VERIFIED = {"phase": "join", "verified": True, "problem": ""}


@pytest.mark.parametrize(
    ("boot", "refused"),
    [
        ({"storage": VERIFIED, "volume_unit": "active"}, set()),
        ({"storage": {}, "volume_unit": "active"}, {"mount-point-verified"}),
        ({"storage": VERIFIED | {"verified": False, "problem": "x"}, "volume_unit": "active"},
         {"mount-point-verified"}),
        ({"storage": VERIFIED, "volume_unit": "failed"}, {"volume-unit-active"}),
    ],
    ids=["as it should be", "no status", "refused at boot", "unit failed"],
)  # fmt: skip
def test_a_host_without_its_unit_is_refused(boot, refused):
    """The boot script has verified the mount point, and the unit runs."""
    assert failed(DRIVER.check_host(boot)) == refused


def host(instance_id, **attributes):
    return {"instance_id": instance_id, "attributes": {CAPABILITY: "vol-0abc"} | attributes}


@pytest.mark.parametrize(
    ("hosts", "passed", "observed"),
    [
        ([], False, "mounted on none"),
        ([host("i-1")], False, "mounted on none"),
        ([host("i-1", **{MOUNTED: "vol-0abc"}), host("i-2")], True, "i-1"),
        ([host("i-1", **{MOUNTED: "vol-0def"})], False, "mounted on none"),
        ([host("i-1", **{MOUNTED: "vol-0abc"}), host("i-2", **{MOUNTED: "vol-0abc"})], False, "i-1, i-2"),
    ],
    ids=["no host", "not yet", "taken", "another volume", "two at once"],
)
def test_the_target_has_the_volume_when_one_host_says_so(hosts, passed, observed):
    """Exactly one host with this very volume."""
    mounted, refused = DRIVER.check_handed_over(hosts)
    assert (mounted.passed, mounted.observed) == (passed, observed)
    assert refused.passed


def test_a_host_that_refused_the_volume_says_why_and_ends_the_waiting():
    """Inside the outage nobody waits for a mount that cannot come; one that came on another host is enough."""
    refusing = host("i-1", **{PROBLEM: "the volume carries xfs"})
    found = {check.check_id: check for check in DRIVER.check_handed_over([refusing])}
    assert (found[REFUSED].passed, found[REFUSED].observed) == (False, "i-1: the volume carries xfs")
    taken = [check.as_json() for check in found.values()]
    assert NAME_VOLUME.hopeless({"taken": taken}) == "i-1: the volume carries xfs"
    assert failed(DRIVER.check_handed_over([refusing, host("i-2", **{MOUNTED: "vol-0abc"})])) == set()
    assert NAME_VOLUME.hopeless({"taken": []}) == ""


def test_the_parameters_choose_the_driver():
    """`storage.driver: host_mount` with its section gives this driver, for the volume of the parameters."""
    section = {"volume_name": "guestbook-files", "filesystem_uuid": UUID}
    loaded = parameters.load(SANDBOX, changed("storage", {"driver": "host_mount", "host_mount": section}))
    driver = storage_driver(loaded)
    assert driver.volume_name == loaded.storage.volume_name == "guestbook-files"
    assert driver.task_volume({})["required_attribute"]["value"] == loaded.volume.volume_id

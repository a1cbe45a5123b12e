"""Dangers of REX-Ray that its behaviour table does not name one by one: what it overlooks, formats and makes anew."""

import itertools
import json

import pytest
from sandbox.rexray_harbour import ROOT, Harbour

from runbook_lib.sandbox.devices import Devices
from runbook_lib.sandbox.superblock import format_bytes
from runbook_lib.sandbox.volumes import VolumeStore

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def harbour(sandbox, account, wait_until):
    """Return hosts with the plugin, shared by the tests of this module."""
    return Harbour(sandbox, account, wait_until)


@pytest.fixture
def name(harbour):
    """Return a volume name of the test's own; containers that it leaves are removed."""
    yield f"danger-{next(NUMBERS)}"
    for host in harbour.hosts:
        for line in harbour.ok(host, "docker", "ps", "-aq").split():
            harbour.call(host, "docker", "rm", "-f", line)


def operations(harbour, since):
    """Return the EC2 operations that were called after a number, oldest first."""
    return [call["operation"] for call in harbour.sandbox.control("GET", f"/_sandbox/calls?since={since}")]


def test_volume_attached_here_and_not_mounted_is_mounted_without_an_attachment(harbour, name):
    """What somebody attached under a name of the plugin's is mounted as it is."""
    volume_id = harbour.volume(name)
    harbour.ec2.attach_volume(VolumeId=volume_id, InstanceId=harbour.hosts["a"], Device="/dev/xvdm")
    harbour.account.wait_for_attachment(volume_id, "attached")
    since = len(harbour.sandbox.control("GET", "/_sandbox/calls"))
    assert harbour.run("a", name)["exit_code"] == 0
    assert "AttachVolume" not in operations(harbour, since)
    assert harbour.account.attachment(volume_id)["Device"] == "/dev/xvdm"


@pytest.mark.parametrize("signature", ["crypto_LUKS", "LVM2_member", "gpt", "dos", "zfs"])
def test_any_other_signature_is_formatted(harbour, name, signature):
    """LUKS, LVM, partition tables, ZFS: nothing that the probe does not know survives the first mount."""
    volume_id = harbour.volume(name)
    device = harbour.files(volume_id).parent / "device"
    foreign = bytes(1 << 16) if signature == "zfs" else format_bytes(signature, "0c2c4e5c-7d3f-4a58-9a0e-2f4f1de0a001")
    device.write_bytes(foreign)
    assert harbour.run("a", name)["exit_code"] == 0
    assert not (harbour.files(volume_id) / "precious").exists()
    events = (harbour.sandbox.state_dir / "events.jsonl").read_text("utf-8")
    assert '"rexray-formatted", "volume_id": "' + volume_id in events


def test_read_error_on_demand_ends_one_mount_and_formats_nothing(harbour, name, add_fault):
    """The first start fails with an I/O error, the second one finds the files."""
    volume_id = harbour.volume(name)
    add_fault("read-error", target=volume_id, times=1)
    first = harbour.run("a", name)
    assert (first["exit_code"], "Input/output error" in first["stderr"]) == (1, True)
    assert (harbour.files(volume_id) / "precious").read_text() == "data"
    assert harbour.call("a", "docker", "start", "c")["exit_code"] == 0


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_known_filesystem_is_never_formatted(harbour, name, fstype):
    """The three that the probe knows are mounted as they are."""
    volume_id = harbour.volume(name, fstype=fstype)
    assert harbour.run("a", name)["exit_code"] == 0
    assert (harbour.files(volume_id) / "precious").read_text() == "data"


def test_clone_is_mounted_beside_its_source_unnoticed(harbour, name):
    """With nouuid the duplicate of an XFS that is mounted already is mounted too; mount itself refuses it."""
    source = harbour.volume(name, fstype="xfs")
    harbour.run("a", name)
    copy = harbour.ec2.copy_volumes(
        SourceVolumeId=source,
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name + "-clone"}]}],
    )["Volumes"][0]["VolumeId"]
    harbour.account.wait_for_volume(copy, "available")
    harbour.ec2.attach_volume(VolumeId=copy, InstanceId=harbour.hosts["a"], Device="/dev/xvdbz")
    harbour.account.wait_for_attachment(copy, "attached")
    harbour.account.make_folder(harbour.hosts["a"], "/mnt/clone")
    refused = harbour.call("a", "mount", "/dev/xvdbz", "/mnt/clone")
    assert (refused["exit_code"], "wrong fs type" in refused["stderr"]) == (32, True)
    harbour.ec2.detach_volume(VolumeId=copy)
    harbour.account.wait_for_volume(copy, "available")
    assert harbour.run("a", name + "-clone", name="d")["exit_code"] == 0
    mounts = json.loads(harbour.ok("a", "findmnt", "--json", "-o", "UUID", "-t", "xfs"))["filesystems"]
    uuids = [one["uuid"] for one in mounts]
    assert len(uuids) > len(set(uuids))


def test_device_names_run_out_after_eleven(tmp_path):
    """There are eleven names; the large range has 52."""
    store = VolumeStore(tmp_path / "volumes", None)
    devices = Devices(tmp_path / "root", store, "t3.small")
    for number in range(11):
        volume_id = f"vol-{number:017x}"
        store.create(volume_id, 1)
        devices.plug(volume_id, devices.free_device_name())
    assert len({disk.device for disk in devices.disks()}) == 11
    assert devices.free_device_name() == ""
    assert devices.free_device_name(large_range=True)[:9] in {"/dev/xvdb", "/dev/xvdc"}


def test_large_device_range_is_a_setting(harbour, name):
    """With EBS_USELARGEDEVICERANGE the volume is attached as xvdb? or xvdc?."""
    volume_id = harbour.volume(name)
    harbour.configured("a", "EBS_USELARGEDEVICERANGE=true")
    harbour.run("a", name)
    device = harbour.account.attachment(volume_id)["Device"]
    harbour.ok("a", "docker", "rm", "-f", "c")
    harbour.configured("a", "EBS_USELARGEDEVICERANGE=false")
    assert (device[:9] in {"/dev/xvdb", "/dev/xvdc"}, len(device)) == (True, 10)


def test_tag_that_describes_do_not_show_yet_makes_a_new_empty_volume(harbour, name, add_fault):
    """Named a moment ago, the volume is not found: another one is made with the name, and the app starts empty."""
    volume_id = harbour.volume("not-yet-" + name)
    add_fault("stale-describe", target=volume_id)
    harbour.ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "Name", "Value": name}])
    assert harbour.run("a", name)["exit_code"] == 0
    harbour.sandbox.control("DELETE", "/_sandbox/faults")
    named = harbour.named(name)
    assert sorted(one["Size"] for one in named) == [2, 16]
    assert harbour.listed("a") == "[]"


def test_twin_of_a_restored_backup_is_taken_silently(harbour, name, add_fault):
    """A second volume with the Name comes first: the container writes to it, and the data volume stays behind."""
    volume_id = harbour.volume(name)
    add_fault("duplicate-name", target=volume_id)
    twin = next(one["VolumeId"] for one in harbour.named(name) if one["VolumeId"] != volume_id)
    harbour.account.wait_for_volume(twin, "available")
    assert harbour.run("a", name)["exit_code"] == 0
    assert (harbour.account.attachment(volume_id), harbour.account.attachment(twin)["State"]) == ({}, "attached")


def test_stuck_detachment_leaves_the_volume_behind(harbour, name, add_fault):
    """The container ends, its volume is unmounted and stays busy: no other host can have it until EC2 lets go."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    add_fault("stuck-detach", target=volume_id)
    harbour.call("a", "docker", "kill", "c")
    harbour.account.wait_for_attachment(volume_id, "busy")
    answer = harbour.run("other", name)
    assert (answer["exit_code"], "volume name already exists" in answer["stderr"]) == (1, True)
    harbour.sandbox.control("DELETE", "/_sandbox/faults")
    harbour.account.wait_for_volume(volume_id, "available")


def test_container_that_cannot_give_its_volume_back_can_be_killed_again(harbour, name, add_fault):
    """A second kill, while the volume is stuck, reaches no process; least of all the sandbox itself."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    add_fault("stuck-detach", target=volume_id)
    harbour.call("a", "docker", "kill", "c")
    harbour.account.wait_for_attachment(volume_id, "busy")
    assert harbour.call("a", "docker", "kill", "c")["exit_code"] == 0
    harbour.sandbox.control("DELETE", "/_sandbox/faults")
    harbour.account.wait_for_volume(volume_id, "available")
    harbour.ok("a", "docker", "rm", "-f", "c")


def test_lost_answer_of_an_attachment_fails_the_mount_although_it_happened(harbour, name, add_fault):
    """A retried AttachVolume finds the volume in use; the next start takes the attachment that is there."""
    volume_id = harbour.volume(name)
    add_fault("lost-answer", operation="AttachVolume", times=1)
    first = harbour.run("a", name)
    assert (first["exit_code"], "VolumeInUse" in first["stderr"]) == (1, True)
    harbour.account.wait_for_attachment(volume_id, "attached")
    assert harbour.call("a", "docker", "start", "c")["exit_code"] == 0
    assert harbour.account.attachment(volume_id)["InstanceId"] == harbour.hosts["a"]


def test_throttled_plugin_gets_through_with_its_retries(harbour, name, add_fault):
    """A single refusal of the account's request limit is no more than a delay."""
    harbour.volume(name)
    add_fault("throttle", operation="DescribeVolumes", times=1)
    assert harbour.run("a", name)["exit_code"] == 0


def test_stock_plugin_dies_on_a_host_that_says_nothing_about_metadata(harbour):
    """Amazon Linux 2023 wants tokens by default: the stock plugin does not start, the fork does."""
    host = harbour.booted(harbour.launch())
    assert harbour.install(host, reference="rexray/ebs:0.11.4")["exit_code"] == 1
    harbour.ok(host, "docker", "plugin", "rm", "rexray/ebs")
    assert harbour.install(host)["exit_code"] == 0
    harbour.ec2.terminate_instances(InstanceIds=[host])


def test_preempt_and_the_name_tag_take_the_volume_from_a_legacy_host_that_writes(harbour, name):
    """A mount that the plugin never made is torn away as well; the legacy host cannot write any more."""
    volume_id = harbour.volume("legacy-" + name)
    legacy = harbour.hosts["scoped"]
    harbour.ec2.attach_volume(VolumeId=volume_id, InstanceId=legacy, Device="/dev/sdf")
    harbour.account.wait_for_attachment(volume_id, "attached")
    harbour.account.make_folder(legacy, "/srv/legacy")
    harbour.ok(legacy, "mount", "/dev/sdf", "/srv/legacy")
    harbour.ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "Name", "Value": name}])
    harbour.configured("a", "REXRAY_PREEMPT=true", f"{ROOT}=/", "LINUX_VOLUME_ROOTPATH=/")
    answer = harbour.run("a", name)
    seen = harbour.listed("a")
    harbour.ok("a", "docker", "rm", "-f", "c")
    harbour.configured("a", "REXRAY_PREEMPT=false", f"{ROOT}=/data", "LINUX_VOLUME_ROOTPATH=/data")
    assert (answer["exit_code"], "precious" in seen) == (0, True)
    assert harbour.call(legacy, "mountpoint", "-q", "/srv/legacy")["exit_code"] != 0
    events = (harbour.sandbox.state_dir / "events.jsonl").read_text("utf-8")
    assert '"volume-force-detached", "volume_id": "' + volume_id in events

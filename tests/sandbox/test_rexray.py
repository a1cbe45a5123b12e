"""REX-Ray as its source behaves: one test for each line of its behaviour table, in a whole sandbox."""

import itertools
import json

import pytest
from sandbox.rexray_harbour import Harbour

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def harbour(sandbox, account, wait_until):
    """Return hosts with the plugin, shared by the tests of this module."""
    return Harbour(sandbox, account, wait_until)


@pytest.fixture
def name(harbour):
    """Return a volume name of the test's own; containers that it leaves are removed."""
    yield f"books-{next(NUMBERS)}"
    for host in harbour.hosts:
        for line in harbour.ok(host, "docker", "ps", "-aq").split():
            harbour.call(host, "docker", "rm", "-f", line)


def test_volume_found_by_name_is_attached_and_mounted(harbour, name):
    """One free volume with the name in the zone is attached as /dev/xvd[f-p] and mounted."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    attachment = harbour.account.attachment(volume_id)
    assert (attachment["InstanceId"], attachment["State"]) == (harbour.hosts["a"], "attached")
    assert attachment["Device"] in [f"/dev/xvd{letter}" for letter in "fghijklmnop"]


def test_volume_that_is_attached_here_is_used_as_it_is(harbour, name):
    """A second container on the host shares attachment and mount."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    device = harbour.account.attachment(volume_id)["Device"]
    harbour.run("a", name, name="d")
    harbour.ok("a", "docker", "exec", "c", "python3", "-c", "open('/data/x', 'w').close()")
    assert harbour.listed("a", name="d") == "['x']"
    assert harbour.account.attachment(volume_id)["Device"] == device


def test_docker_repeats_what_the_plugin_said_when_the_container_was_made(harbour, name):
    """Not mounted then: no path; mounted by another container: a path in the plugin's own root, not the host's."""
    harbour.volume(name)
    harbour.run("a", name)
    harbour.run("a", name, name="d")
    told = [json.loads(harbour.ok("a", "docker", "inspect", one))[0]["Mounts"][0]["Source"] for one in ("c", "d")]
    inspected = json.loads(harbour.ok("a", "docker", "volume", "inspect", name))[0]["Mountpoint"]
    assert (told[0], told[1], inspected) == ("", inspected, f"/var/lib/rexray/volumes/{name}/data")


def test_volume_that_another_host_has_is_left_alone(harbour, name):
    """Without PREEMPT the name is taken and the container does not start; nothing is lost and nothing is made."""
    volume_id = harbour.volume(name)
    harbour.run("other", name)
    answer = harbour.run("a", name)
    assert (answer["exit_code"], "volume name already exists" in answer["stderr"]) == (1, True)
    assert harbour.account.attachment(volume_id)["InstanceId"] == harbour.hosts["other"]
    assert len(harbour.named(name)) == 1


def test_preempt_takes_the_volume_from_a_host_that_writes(harbour, name):
    """With PREEMPT the volume is torn from the other host by force and used here."""
    volume_id = harbour.volume(name)
    harbour.run("other", name)
    harbour.configured("a", "REXRAY_PREEMPT=true")
    answer = harbour.run("a", name)
    harbour.ok("a", "docker", "rm", "-f", "c") if answer["exit_code"] == 0 else None
    attachment = harbour.account.volume(volume_id)["Attachments"]
    harbour.configured("a", "REXRAY_PREEMPT=false")
    assert (answer["exit_code"], attachment) == (0, [])
    assert harbour.call("other", "docker", "exec", "c", "python3", "-c", "open('/data/x','w')")["exit_code"] != 0
    assert not (harbour.files(volume_id) / "data/x").exists()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_volume_that_is_not_found_is_made_new_and_empty(harbour, name, elsewhere):
    """A name that exists only in another zone, or nowhere, becomes a new empty volume of 16 GiB."""
    if elsewhere:
        harbour.volume(name)
    answer = harbour.run("zone-b", name)
    assert answer["exit_code"] == 0, answer
    made = [volume for volume in harbour.named(name) if volume["AvailabilityZone"] == "us-east-1b"]
    assert [volume["Size"] for volume in made] == [16]
    assert len(harbour.named(name)) == 1 + elsewhere
    assert harbour.listed("zone-b") == "[]"


def test_role_that_may_not_create_turns_a_missing_volume_into_an_error(harbour, name):
    """With CreateVolume denied the container does not start, and no volume is made."""
    answer = harbour.run("scoped", name)
    assert (answer["exit_code"], "UnauthorizedOperation" in answer["stderr"]) == (1, True)
    assert harbour.named(name) == []


def test_role_with_three_actions_is_enough_for_an_existing_volume(harbour, name):
    """Describe, attach and detach are all that mounting and unmounting need."""
    volume_id = harbour.volume(name)
    assert harbour.run("scoped", name)["exit_code"] == 0
    harbour.ok("scoped", "docker", "stop", "c")
    assert harbour.account.volume(volume_id)["State"] == "available"


def test_first_of_two_equal_names_is_used_silently(harbour, name):
    """Two volumes with the name in the zone: the first in the API's order, without a word."""
    made = {harbour.volume(name), harbour.volume(name)}
    answer = harbour.run("a", name)
    first = next(
        volume["VolumeId"] for volume in harbour.ec2.describe_volumes()["Volumes"] if volume["VolumeId"] in made
    )
    attached = [volume_id for volume_id in made if harbour.account.attachment(volume_id)]
    assert (answer["exit_code"], attached) == (0, [first])


def test_name_is_found_in_any_case(harbour, name):
    """Books-1 is books-1."""
    volume_id = harbour.volume(name.upper())
    harbour.run("a", name)
    assert harbour.account.attachment(volume_id)["InstanceId"] == harbour.hosts["a"]
    assert len(harbour.named(name)) == 1


@pytest.mark.parametrize("layer", ["part", "lvm"])
def test_disk_that_is_not_recognised_is_formatted(harbour, name, layer):
    """A partition table or LVM on the disk is overwritten with ext4; the files are gone."""
    volume_id = harbour.volume(name, fstype="")
    harbour.format(volume_id, fstype="ext4", layer=layer)
    (harbour.files(volume_id) / "precious").write_text("data")
    assert harbour.run("a", name)["exit_code"] == 0
    assert not (harbour.files(volume_id) / "precious").exists()
    disk = json.loads(harbour.ok("a", "lsblk", "--json", "-o", "NAME,SERIAL,FSTYPE,PTTYPE"))["blockdevices"]
    mine = [one for one in disk if one["serial"] == volume_id.replace("-", "")]
    assert [(one["fstype"], one["pttype"], "children" in one) for one in mine] == [("ext4", None, False)]


def test_disk_that_cannot_be_read_is_not_written(harbour, name):
    """A read error while probing ends the mount; nothing is formatted."""
    volume_id = harbour.volume(name)
    instance_id = harbour.hosts["other"]
    harbour.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/xvdm")
    harbour.account.wait_for_attachment(volume_id, "attached")
    device = harbour.files(volume_id).parent / "device"
    device.rename(device.with_name("kept"))
    answer = harbour.run("other", name)
    device.with_name("kept").rename(device)
    assert (answer["exit_code"], "No such file" in answer["stderr"]) == (1, True)
    assert (harbour.files(volume_id) / "precious").read_text() == "data"
    harbour.ec2.detach_volume(VolumeId=volume_id)
    harbour.account.wait_for_volume(volume_id, "available")


def test_volume_is_free_before_the_container_counts_as_stopped(harbour, name):
    """When docker stop returns the volume is unmounted and detached, without force."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    harbour.ok("a", "docker", "stop", "c")
    assert (harbour.account.volume(volume_id)["State"], harbour.account.volume(volume_id)["Attachments"]) == (
        "available",
        [],
    )
    state = json.loads(harbour.ok("a", "docker", "inspect", "c"))[0]["State"]
    assert state["Status"] == "exited"


def test_volume_moves_to_another_host_with_its_files(harbour, name):
    """What one host's container wrote is read by the next host's."""
    harbour.volume(name)
    harbour.run("a", name)
    harbour.ok("a", "docker", "exec", "c", "python3", "-c", "open('/data/x', 'w').write('moved')")
    harbour.ok("a", "docker", "stop", "c")
    harbour.run("other", name)
    assert harbour.ok("other", "docker", "exec", "c", "cat", "/data/x") == "moved"


def test_volume_is_detached_after_the_last_container(harbour, name):
    """Two containers on a host: the volume stays until both have ended."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    harbour.run("a", name, name="d")
    harbour.ok("a", "docker", "stop", "c")
    assert harbour.account.attachment(volume_id)["State"] == "attached"
    harbour.ok("a", "docker", "stop", "d")
    assert harbour.account.volume(volume_id)["State"] == "available"


def test_restarted_plugin_has_forgotten_who_uses_a_volume(harbour, name):
    """After a restart of the plugin the first container's end tries to unmount under the second."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    harbour.run("a", name, name="d")
    harbour.ok("a", "docker", "plugin", "disable", "-f", "rexray/ebs")
    harbour.ok("a", "docker", "plugin", "enable", "rexray/ebs")
    harbour.ok("a", "docker", "stop", "c")
    log = (harbour.sandbox.state_dir / "hosts" / harbour.hosts["a"] / "root/var/log/docker.log").read_text()
    assert "target is busy" in log
    harbour.ok("a", "docker", "stop", "d")
    assert harbour.account.volume(volume_id)["State"] == "available"


def test_volume_rm_deletes_the_ebs_volume(harbour, name):
    """Docker volume rm of a plugin's volume is EC2 DeleteVolume."""
    volume_id = harbour.volume(name)
    harbour.ok("a", "docker", "volume", "rm", name)
    gone = lambda: not harbour.named(name)  # noqa: E731
    harbour.wait_until(gone, f"{volume_id} is deleted")


def test_scoped_role_saves_the_volume_from_volume_rm(harbour, name):
    """With DeleteVolume denied docker volume rm fails and the data stays."""
    volume_id = harbour.volume(name)
    answer = harbour.call("scoped", "docker", "volume", "rm", name)
    assert (answer["exit_code"], "UnauthorizedOperation" in answer["stderr"]) == (1, True)
    assert (harbour.files(volume_id) / "precious").exists()


def test_volume_prune_has_no_effect_on_plugin_volumes(harbour, name):
    """Docker volume prune touches local volumes only."""
    harbour.volume(name)
    harbour.ok("a", "docker", "volume", "prune", "-f", "-a")
    assert len(harbour.named(name)) == 1

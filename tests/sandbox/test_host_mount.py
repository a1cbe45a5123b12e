"""The unit of the storage driver host_mount on simulated hosts: who takes the volume, and who lets it go."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.host_mount_town import CLUSTER, PATH, RUN, MountTown

CAPABILITY, MOUNTED, PROBLEM = "runbook.host-mount", "runbook.mounted", "runbook.volume-problem"
READ = "import pathlib; print(pathlib.Path('/run/runbook/volume.json').read_text())"


@pytest.fixture(scope="module")
def built(account):
    """Return one cluster and volume for the module."""
    return MountTown(account)


@pytest.fixture
def town(built):
    """Return the cluster with the volume free and handed to nobody, before and after."""
    yield built
    built.end()


def test_a_warm_host_joins_without_the_volume_and_cannot_start_beside_it(town):
    """Before the hand-over a host joins; its mount point does not exist, and Docker cannot make it."""
    host = town.launch()
    assert town.attributes(host)[CAPABILITY] == town.volume_id
    assert MOUNTED not in town.attributes(host)
    refused = town.call(host, *RUN)
    assert refused["exit_code"] != 0
    assert f"error while creating mount source path '{PATH}'" in refused["stderr"]
    assert not town.sees(host)
    assert town.holder() == ""


def test_a_handed_over_volume_is_mounted_by_one_of_two_hosts(town):
    """Two hosts want it, EC2 gives it to one, and only that one says so to ECS."""
    first, second = town.launch(), town.launch()
    town.hand_over()
    (winner,) = town.wait(town.mounted, "one host has it mounted")
    loser = second if winner == first else first
    assert town.holder() == winner
    assert not town.sees(loser)
    assert town.mounted() == [winner]


def test_a_volume_in_use_is_never_taken_from_its_container(town):
    """Taking the hand-over back waits for the container; then the volume is unmounted, detached and forgotten."""
    host = town.launch()
    town.hand_over()
    town.wait(town.mounted, "the host has it mounted")
    container = town.start_container(host)
    town.hand_over(on=False)
    town.wait(lambda: '"in use"' in town.call(host, "python3", "-c", READ)["stdout"], "the unit sees the container")
    assert town.holder() == host
    assert town.sees(host)

    town.account.on_host(host, "docker", "stop", container)
    town.account.wait_for_volume(town.volume_id, "available")
    assert town.mounted() == []
    assert not town.sees(host)
    assert town.call(host, *RUN)["exit_code"] != 0


def test_a_draining_host_hands_the_volume_to_the_other(town):
    """The volume moves with the drain: released by the one host after its container, taken by the other."""
    first = town.launch()
    town.hand_over()
    town.wait(town.mounted, "the first has it mounted")
    container = town.start_container(first)
    second = town.launch()
    arn = town.member(first)["containerInstanceArn"]
    town.ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=[arn], status="DRAINING")
    town.account.on_host(first, "docker", "stop", container)
    town.wait(lambda: town.mounted() == [second], "the second has it mounted")
    assert town.holder() == second
    assert not town.sees(first)
    town.start_container(second)


def test_another_filesystem_is_refused_and_given_back(town):
    """A filesystem that is not the expected one is not mounted; ECS shows why, and the way back gets the volume."""
    host = town.launch(filesystem_uuid="00000000-0000-4000-8000-000000000000")
    town.hand_over()
    problem = town.wait(lambda: town.attributes(host).get(PROBLEM), "the host says why not")
    assert problem.startswith(f"the volume carries ext4 {town.filesystem_uuid}")
    assert MOUNTED not in town.attributes(host)
    assert not town.sees(host)
    town.hand_over(on=False)
    town.account.wait_for_volume(town.volume_id, "available")
    town.wait(lambda: PROBLEM not in town.attributes(host), "the problem is over")


def test_a_host_that_lost_power_mounts_before_the_agent_starts(town):
    """After a power cut the bare mount point is gone, and the volume is mounted again before a task can come."""
    host = town.launch()
    town.hand_over()
    town.wait(town.mounted, "the host has it mounted")
    town.start_container(host)
    town.account.ec2.stop_instances(InstanceIds=[host], Force=True)
    town.wait(lambda: town.account.instance(host)["State"]["Name"] == "stopped", "the host is off")
    town.account.ec2.start_instances(InstanceIds=[host])
    town.wait(lambda: town.attributes(host).get(MOUNTED), "the host has joined again, with the volume")
    mounts = json.loads(town.account.on_host(host, "findmnt", "--json", "--mountpoint", PATH)["stdout"])
    assert mounts["filesystems"][0]["fstype"] == "ext4"


def test_a_host_that_shuts_down_lets_the_volume_go_cleanly(town):
    """On shutdown the unit stops after Docker, unmounts and detaches; nothing is left for EC2 to tear off."""
    host = town.launch()
    town.hand_over()
    town.wait(town.mounted, "the host has it mounted")
    town.start_container(host)
    before = town.detaches()
    town.account.ec2.reboot_instances(InstanceIds=[host])
    town.wait(lambda: town.detaches() == before + 1, "the unit detached the volume on its way down")
    town.wait(lambda: town.mounted() == [host], "the host has joined and mounted again")
    assert town.holder() == host


def test_files_below_the_bare_mount_point_keep_a_host_out(town):
    """Whatever lies where the volume belongs is looked at by a person; the host does not serve it over."""
    host = town.launch()
    plant = (
        "import os, subprocess\n"
        "subprocess.run(['chattr', '-i', '/mnt/runbook'], check=True)\n"
        f"os.makedirs({PATH!r})\nopen({PATH + '/stray'!r}, 'w').close()\n"
    )
    town.account.on_host(host, "python3", "-c", plant)
    town.hand_over()
    town.wait(lambda: "holds files although nothing" in town.call(host, "python3", "-c", READ)["stdout"], "it says why")
    assert town.mounted() == []

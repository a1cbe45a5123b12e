"""What the settings of REX-Ray do, and on which hosts it starts."""

import itertools
import json

import pytest
from sandbox.rexray_harbour import ROOT, Harbour

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


def test_container_sees_an_empty_folder_by_default(harbour, name):
    """By default the container gets /data inside the volume, made with mode 0700; the old files are out of sight."""
    volume_id = harbour.volume(name)
    harbour.run("a", name)
    assert harbour.listed("a") == "[]"
    assert harbour.mode(volume_id, "data") == 0o700
    assert (harbour.files(volume_id) / "precious").read_text() == "data"


@pytest.mark.parametrize(
    ("settings", "mode", "stray"),
    [
        ([f"{ROOT}=/", "LINUX_VOLUME_ROOTPATH=/"], 0o700, False),
        ([f"{ROOT}=/", "LINUX_VOLUME_ROOTPATH=/", "LINUX_VOLUME_FILEMODE=0755"], 0o755, False),
        ([f"{ROOT}=/", "LINUX_VOLUME_ROOTPATH=/", "LINUX_VOLUME_FILEMODE=755"], 755 & 0o777, False),
        ([f"{ROOT}=/"], 0o755, True),
    ],
)
def test_root_paths_are_two_independent_settings(harbour, name, settings, mode, stray):
    """With the root as mount root path the files are seen; the volume root path decides which folder is chmod'ed."""
    volume_id = harbour.volume(name)
    defaults = [f"{ROOT}=/data", "LINUX_VOLUME_ROOTPATH=/data", "LINUX_VOLUME_FILEMODE=0700"]
    harbour.configured("a", *settings)
    harbour.run("a", name)
    seen = harbour.listed("a")
    harbour.ok("a", "docker", "rm", "-f", "c")
    harbour.configured("a", *defaults)
    assert "precious" in seen
    assert (harbour.mode(volume_id), (harbour.files(volume_id) / "data").exists()) == (mode, stray)


def test_blank_disk_is_formatted_as_the_setting_says(harbour, name):
    """REXRAY_FSTYPE decides what a blank disk becomes."""
    volume_id = harbour.volume(name, fstype="")
    harbour.configured("a", "REXRAY_FSTYPE=xfs")
    harbour.run("a", name)
    mount = json.loads(harbour.ok("a", "findmnt", "--json", "-o", "TARGET,FSTYPE", "-t", "xfs"))["filesystems"][-1]
    harbour.ok("a", "docker", "rm", "-f", "c")
    harbour.configured("a", "REXRAY_FSTYPE=ext4")
    assert (mount["fstype"], mount["target"].endswith(name)) == ("xfs", True)
    assert harbour.files(volume_id).exists()


def test_stock_plugin_does_not_start_where_imdsv2_is_required(harbour):
    """The stock plugin gets 401 and has no socket; the fork works on the same host."""
    host = harbour.booted(harbour.launch(MetadataOptions={"HttpTokens": "required"}))
    answer = harbour.install(host, reference="rexray/ebs:0.11.4")
    assert (answer["exit_code"], "rexray.sock: connect: no such file" in answer["stderr"]) == (1, True)
    assert json.loads(harbour.ok(host, "docker", "plugin", "inspect", "rexray/ebs"))[0]["Enabled"] is False
    harbour.ok(host, "docker", "plugin", "rm", "rexray/ebs")
    assert harbour.install(host)["exit_code"] == 0
    harbour.ec2.terminate_instances(InstanceIds=[host])


def test_stock_plugin_works_where_imdsv1_is_allowed(harbour):
    """With tokens optional the stock plugin starts."""
    host = harbour.booted(harbour.launch(MetadataOptions={"HttpTokens": "optional"}))
    assert harbour.install(host, reference="rexray/ebs")["exit_code"] == 0
    assert "docker.io/rexray/ebs:latest" in harbour.ok(host, "docker", "plugin", "inspect", "rexray/ebs")
    harbour.ec2.terminate_instances(InstanceIds=[host])


def test_plugin_does_not_start_on_arm64(harbour):
    """There is no build for ARM: no socket."""
    host = harbour.booted(harbour.launch(ImageId="ami-0a12023d5f1e0c002", InstanceType="t4g.small"))
    answer = harbour.install(host)
    assert (answer["exit_code"], "rexray.sock" in answer["stderr"]) == (1, True)
    harbour.ec2.terminate_instances(InstanceIds=[host])


def test_disabled_plugin_serves_no_volume(harbour, name):
    """A container that needs a disabled plugin does not start."""
    harbour.volume(name)
    harbour.ok("a", "docker", "plugin", "disable", "rexray/ebs")
    answer = harbour.run("a", name)
    harbour.ok("a", "docker", "plugin", "enable", "rexray/ebs")
    assert (answer["exit_code"], "found but disabled" in answer["stderr"]) == (1, True)


@pytest.mark.parametrize(
    "setting", ["REXRAY_CREATE_DISABLE=true", "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_CREATE_IMPLICIT=false"]
)
def test_setting_that_the_plugin_does_not_have_is_refused(harbour, setting):
    """The switches that would make it safe exist in its source but cannot be set."""
    harbour.ok("a", "docker", "plugin", "disable", "rexray/ebs")
    answer = harbour.call("a", "docker", "plugin", "set", "rexray/ebs", setting)
    harbour.ok("a", "docker", "plugin", "enable", "rexray/ebs")
    assert (answer["exit_code"], "not found in the plugin configuration" in answer["stderr"]) == (1, True)


def test_running_plugin_cannot_be_set(harbour):
    """Settings can be changed while the plugin is disabled only."""
    answer = harbour.call("a", "docker", "plugin", "set", "rexray/ebs", "REXRAY_PREEMPT=true")
    assert "cannot set on an active plugin" in answer["stderr"]

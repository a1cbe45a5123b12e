"""The storage driver `rexray`: what it tells the host, and what it refuses."""

from __future__ import annotations

import pytest

from runbook_lib.parameters_storage import Rexray
from runbook_lib.storage.rexray import RexRay

DIGEST = "registry.example/rexray-ebs@sha256:" + "a" * 64
DRIVER = RexRay(Rexray(plugin_reference=DIGEST, volume_name="guestbook-data"), "us-east-1")
DISK = {
    "path": "/dev/nvme1n1",
    "filesystem_type": "ext4",
    "filesystem_uuid": "u",
    "partition_table_type": "",
    "children": [],
}


def failed(checks):
    return {c.check_id for c in checks if not c.passed}


def test_a_bare_filesystem_is_accepted():
    """ext4 on the disk itself is what REX-Ray mounts without formatting."""
    assert failed(DRIVER.check_disk(DISK)) == set()


@pytest.mark.parametrize("filesystem", ["ext2", "ext3", "ext4", "xfs", "btrfs"])
def test_filesystems_that_rexray_recognises(filesystem):
    """Each filesystem whose magic REX-Ray knows is accepted."""
    assert failed(DRIVER.check_disk(DISK | {"filesystem_type": filesystem})) == set()


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"filesystem_type": "", "partition_table_type": "gpt", "children": ["/dev/nvme1n1p1"]},
         {"filesystem-on-bare-disk", "filesystem-recognised"}),
        ({"filesystem_type": "LVM2_member", "children": ["/dev/mapper/vg-data"]},
         {"filesystem-on-bare-disk", "filesystem-recognised"}),
        ({"filesystem_type": "crypto_LUKS"}, {"filesystem-recognised"}),
        ({"filesystem_type": "zfs_member"}, {"filesystem-recognised"}),
        ({"filesystem_type": "linux_raid_member"}, {"filesystem-recognised"}),
        ({"filesystem_type": ""}, {"filesystem-recognised"}),
    ],
    ids=["partitions", "lvm", "luks", "zfs", "raid", "empty"],
)  # fmt: skip
def test_disks_that_rexray_would_format_are_refused(change, refused):
    """Whatever REX-Ray would run mkfs on is refused, with the reason and what to do."""
    checks = DRIVER.check_disk(DISK | change)
    assert failed(checks) == refused
    assert all("this volume is untouched" in c.fix for c in checks if not c.passed)


def test_terraform_is_told_of_an_unpinned_plugin_only_when_it_was_accepted():
    """The module refuses a tag unless this says that its risk was accepted; a pinned one needs no word."""
    accepted = Rexray(plugin_reference="registry/x:1", volume_name="data", allow_unpinned_plugin=True)
    assert RexRay(accepted, "us-east-1").boot("vol-0abc")["allow_unpinned_plugin"] is True
    assert "allow_unpinned_plugin" not in DRIVER.boot("vol-0abc")


def test_every_dangerous_setting_is_spelled_out():
    """Preempt off, the volume's root shown, and only our own directory made and chmod'ed."""
    environment = DRIVER.boot("vol-0abc")["plugin_environment"]
    assert environment["REXRAY_PREEMPT"] == "false"
    assert environment["LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH"] == "/"
    assert (environment["LINUX_VOLUME_ROOTPATH"], environment["LINUX_VOLUME_FILEMODE"]) == ("/.runbook", "0700")


def test_the_capability_is_the_one_the_agent_registers():
    """A container instance has this attribute once its agent found the plugin enabled."""
    assert DRIVER.capability == "ecs.capability.docker-plugin.rexray/ebs"


def plugin(**changes):
    environment = DRIVER.environment() | {"REXRAY_LOGLEVEL": "warn"}
    settings = {"name": "rexray/ebs:latest", "enabled": True, "reference": DIGEST, "settings": environment}
    return settings | changes


@pytest.mark.parametrize(
    ("plugins", "refused"),
    [
        ([plugin()], set()),
        ([], {"plugin-installed"}),
        ([plugin(name="other/plugin:latest")], {"plugin-installed"}),
        ([plugin(enabled=False)], {"plugin-enabled"}),
        ([plugin(reference="docker.io/rexray/ebs:latest")], {"plugin-reference"}),
        ([plugin(settings=DRIVER.environment() | {"REXRAY_PREEMPT": "true"})], {"plugin-settings"}),
        ([plugin(settings={})], {"plugin-settings"}),
    ],
    ids=["as it should be", "none", "another", "disabled", "other reference", "preempt on", "no settings"],
)
def test_a_host_with_another_plugin_is_refused(plugins, refused):
    """The plugin must be enabled, of the pinned reference, with exactly our settings."""
    assert failed(DRIVER.check_host({"plugins": plugins})) == refused


def test_the_task_starts_without_waiting_for_a_mount():
    """The plugin attaches and mounts while the task starts, so there is nothing to wait for before."""
    assert DRIVER.check_handed_over([]) == ()


def test_stock_plugin_needs_imdsv1():
    """The stock plugin knows no IMDSv2, so its hosts must allow version 1; the fork's need not."""
    stock = RexRay(Rexray(plugin_reference=DIGEST, volume_name="guestbook-data", stock=True), "us-east-1")
    assert (DRIVER.http_tokens, stock.http_tokens) == ("required", "optional")

"""A filesystem of a simulated host grows by its own tool, to the size that its device has got."""

from __future__ import annotations

import pytest
from sandbox.host_world import TestWorld, command, ok

from runbook_lib.sandbox.devices import GIB


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


@pytest.mark.parametrize(
    ("fstype", "size", "grow"),
    [("ext4", ["dumpe2fs", "-h", "/dev/nvme1n1"], ["resize2fs", "/dev/nvme1n1"]),
     ("xfs", ["xfs_info", "/srv/data"], ["xfs_growfs", "-d", "/srv/data"])],
)  # fmt: skip
def test_a_filesystem_grows_by_its_own_tool_only(town, fstype, size, grow):
    """The device has the new size at once, the filesystem the former one until it is grown, mounted and in use."""
    host = town.host()
    volume_id = town.volume(host, "/srv/data", fstype)
    town.world.volumes.resize(volume_id, 10)
    assert ok(host, "blockdev", "--getsize64", "/dev/nvme1n1").strip() == str(10 * GIB)
    assert str(8 * GIB // 4096) in ok(host, *size)
    ok(host, *grow)
    assert str(10 * GIB // 4096) in ok(host, *size)
    assert host.mounts.at("/srv/data").size_bytes == 10 * GIB
    assert command(host, *grow).exit_code == 0, "a second time there is nothing to do"


@pytest.mark.parametrize(
    "argv",
    [["resize2fs", "/dev/nvme9n1"], ["resize2fs"], ["xfs_growfs", "/srv"], ["xfs_info", "/dev/nvme1n1"],
     ["dumpe2fs", "/dev/nvme1n1"]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_no_such_filesystem_is_not_grown(town, argv):
    """Another device, none, or a path where no XFS is mounted: an error, as the tools say it."""
    assert command(town.host(), *argv).exit_code == 1

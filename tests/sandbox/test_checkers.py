"""e2fsck and xfs_repair of a simulated host: they read the device's own bytes, and refuse what the real ones refuse."""

import struct

import pytest
from sandbox.host_world import TestWorld, command, ok


@pytest.fixture
def town(tmp_path):
    """Return a world of its own for each test."""
    town = TestWorld(tmp_path / "world")
    yield town
    town.close()


@pytest.fixture
def host(town):
    """Return a booted host."""
    return town.host()


def patch(town, volume_id, offset, form, value):
    """Write into the first bytes of a volume."""
    with town.world.volumes.get(volume_id).device.open("r+b") as stream:
        stream.seek(offset)
        stream.write(struct.pack(form, value))


def test_a_sound_filesystem_is_clean_and_untouched(town, host):
    """Exit 0, and not a byte of the device differs."""
    volume_id = town.volume(host)
    before = town.world.volumes.get(volume_id).device.read_bytes()
    assert "Pass 1" in ok(host, "e2fsck", "-f", "-n", "/dev/nvme1n1")
    assert town.world.volumes.get(volume_id).device.read_bytes() == before


@pytest.mark.parametrize(("offset", "form", "value"), [(1024 + 0x3A, "<H", 2), (1024 + 0x60, "<I", 0x44)])
def test_errors_and_a_pending_journal_end_with_4(town, host, offset, form, value):
    """The state word's error bit, or a journal that read-only checking cannot replay, are errors left uncorrected."""
    patch(town, town.volume(host), offset, form, value)
    result = command(host, "e2fsck", "-f", "-n", "/dev/nvme1n1")
    assert (result.exit_code, "still has errors" in result.stdout) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(("-f", "/dev/nvme1n1"), 8), (("-f", "-n", "/dev/nvme9n1"), 8), (("-f", "-n"), 8)],
    ids=["it would repair", "no such device", "no device"],
)
def test_what_is_refused(town, host, arguments, exit_code):
    """Nothing in the sandbox repairs, and a device that is not there cannot be checked."""
    town.volume(host)
    assert command(host, "e2fsck", *arguments).exit_code == exit_code


def test_a_mounted_filesystem_is_refused(town, host):
    """While it is mounted nothing can be said of it."""
    town.volume(host, "/srv/data")
    assert command(host, "e2fsck", "-f", "-n", "/dev/nvme1n1").exit_code == 8


def test_another_filesystem_is_refused(town, host):
    """xfs_repair finds no superblock of its own on ext4."""
    town.volume(host)
    assert command(host, "xfs_repair", "-n", "/dev/nvme1n1").exit_code == 1

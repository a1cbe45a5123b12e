"""fsfreeze of a simulated host: who writes to the volume waits, really, until it is thawed."""

from __future__ import annotations

import time

import pytest
from sandbox.host_world import TestWorld, command, ok, wait_for

from runbook_lib.sandbox.containers import ContainerSpec, Mount

WRITER = (
    "import time\n"
    "for n in range(100000):\n"
    "    open('/data/n', 'w').write(str(n))\n"
    "    time.sleep(0.01)\n"
)  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


@pytest.fixture
def written(town):
    """Return a host on which a container writes to a mounted volume, and a function that reads what it wrote last."""
    host = town.host()
    volume_id = town.volume(host, "/srv/data")
    mounts = [Mount("bind", "/srv/data", "/data")]
    host.engine.run(
        ContainerSpec("c", "registry.sandbox/files:1.0", entrypoint=["python3", "-c", WRITER], mounts=mounts)
    )
    path = town.world.volumes.get(volume_id).files / "n"
    wait_for(lambda: path.exists() and path.read_text())
    return host, path.read_text


def test_a_writer_waits_until_the_thaw(written):
    """Nothing is written while the filesystem is frozen; afterwards the same writer goes on."""
    host, last = written
    ok(host, "fsfreeze", "-f", "/srv/data")
    before = last()
    time.sleep(0.3)
    assert last() == before
    ok(host, "fsfreeze", "--unfreeze", "/srv/data")
    wait_for(lambda: last() != before)


def test_freezing_twice_and_thawing_twice_are_refused(written):
    """As util-linux says it: busy, and invalid."""
    host, _ = written
    ok(host, "fsfreeze", "-f", "/srv/data")
    assert "Device or resource busy" in command(host, "fsfreeze", "-f", "/srv/data").stderr
    ok(host, "fsfreeze", "-u", "/srv/data")
    assert "Invalid argument" in command(host, "fsfreeze", "-u", "/srv/data").stderr


def test_only_a_data_volume_can_be_frozen(written):
    """The root filesystem is refused, and so is a call without a path."""
    host, _ = written
    assert command(host, "fsfreeze", "-f", "/").exit_code == 1
    assert command(host, "fsfreeze", "-f").exit_code == 1

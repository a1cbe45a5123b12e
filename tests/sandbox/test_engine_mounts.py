"""What containers of the simulated Docker engine see and keep: bind mounts, volumes, their own files."""

import pytest
from sandbox.host_world import TestWorld, command, ok, wait_for

from runbook_lib.sandbox.containers import ContainerSpec, EngineError, Mount

FILES = "registry.sandbox/files:1.0"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


@pytest.fixture(scope="module")
def host(town):
    """Return a booted host."""
    return town.host()


@pytest.fixture
def engine(host):
    """Return the host's engine; containers that a test leaves are removed."""
    yield host.engine
    for container in host.engine.containers():
        host.engine.remove(container.id, force=True)


def script(text):
    """Return the entrypoint that runs a Python text."""
    return ["python3", "-c", text]


def test_missing_bind_source_is_made_as_an_empty_folder(host, engine):
    """Docker makes a missing bind source by itself: the way a service comes to write beside its volume."""
    assert not (host.root / "srv/missing").exists()
    engine.run(ContainerSpec("c", FILES, mounts=[Mount("bind", "/srv/missing", "/data")]))
    assert list((host.root / "srv/missing").iterdir()) == []


def test_long_form_bind_refuses_a_missing_source(engine):
    """With --mount a missing bind source is an error."""
    with pytest.raises(EngineError, match="bind source path does not exist"):
        engine.run(ContainerSpec("c", FILES, mounts=[Mount("bind", "/srv/no", "/data", create_source=False)]))


def test_bind_mount_of_an_unmounted_path_writes_to_the_root_disk(town, engine):
    """A container started before the volume is mounted writes to the root disk, and the volume stays as it was."""
    host = town.host()
    volume_id = town.volume(host)
    (host.root / "srv/late").mkdir()
    text = "open('/data/lost', 'w').write('x'); import time; time.sleep(60)"
    host.engine.run(ContainerSpec("c", FILES, entrypoint=script(text), mounts=[Mount("bind", "/srv/late", "/data")]))
    wait_for((host.root / "srv/late/lost").exists)
    ok(host, "mount", "/dev/sdf", "/srv/late")
    assert not (town.world.volumes.get(volume_id).files / "lost").exists()
    assert not host.real_path("/srv/late/lost").exists()
    host.engine.remove("c", force=True)


def test_local_volume_lives_longer_than_its_container(host, engine):
    """What a container wrote to a named volume is there for the next one."""
    mounts = [Mount("volume", "kept", "/data")]
    engine.run(ContainerSpec("a", FILES, entrypoint=script("open('/data/x','w').write('1')"), mounts=mounts))
    engine.inspect("a").wait(("exited",), 10)
    engine.remove("a")
    engine.run(ContainerSpec("b", FILES, mounts=mounts))
    assert engine.exec("b", ["cat", "/data/x"]).stdout == "1"
    assert "volume is in use" in command(host, "docker", "volume", "rm", "kept").stderr


def test_volume_prune_keeps_named_volumes(host, engine):
    """Docker volume prune removes only volumes without a name."""
    engine.volume_create("named")
    ok(host, "docker", "volume", "prune", "-f")
    assert engine.volume_inspect("named")["Driver"] == "local"


def test_images_own_files_do_not_outlive_the_container(engine):
    """What a container writes beside its mounts is gone with it."""
    engine.run(
        ContainerSpec("a", FILES, entrypoint=script("open('/tmp/x','w').write('1'); import time; time.sleep(60)"))
    )
    wait_for(lambda: engine.exec("a", ["test", "-f", "/tmp/x"]).exit_code == 0)
    engine.remove("a", force=True)
    engine.run(ContainerSpec("a", FILES))
    assert engine.exec("a", ["test", "-f", "/tmp/x"]).exit_code == 1


def test_read_only_mount_cannot_be_written(engine):
    """A mount with ro refuses writing in the container."""
    engine.run(ContainerSpec("c", FILES, mounts=[Mount("bind", "/srv/ro", "/data", read_only=True)]))
    assert "Read-only" in engine.exec("c", ["python3", "-c", "open('/data/x','w')"]).stderr

"""The attribute immutable on simulated hosts: it stops root, Docker and SQLite, and survives a reboot."""

from __future__ import annotations

import pytest

from tests.sandbox.host_world import TestWorld, command, ok, python, wait_for

FOLDER, PATH = "/mnt/runbook", "/mnt/runbook/data"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world without AWS API."""
    world = TestWorld(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def host(town):
    """Return a host with an immutable folder that holds one file."""
    host = town.host()
    python(host, f"import os; os.makedirs({FOLDER!r}); open('{FOLDER}/kept', 'w').write('x')")
    ok(host, "chattr", "+i", FOLDER)
    return host


@pytest.mark.parametrize(
    "act",
    [
        f"os.mkdir({PATH!r})",
        f"open({PATH!r}, 'w')",
        f"os.open({PATH!r}, os.O_CREAT | os.O_WRONLY)",
        f"os.symlink('/tmp', {PATH!r})",
        f"os.rename('/etc/hostname', {PATH!r})",
        f"os.unlink('{FOLDER}/kept')",
        f"os.rename('{FOLDER}/kept', '/tmp/kept')",
        f"os.rmdir({FOLDER!r})",
        f"os.chmod({FOLDER!r}, 0o777)",
    ],
)
def test_root_cannot_change_an_immutable_folder(host, act):
    """Entries are neither made, renamed nor removed, and the folder itself keeps its mode."""
    text = f"import os\ntry:\n    {act}\nexcept PermissionError:\n    print('refused')\n"
    assert python(host, text) == "refused"


def test_files_that_are_there_can_still_be_written(host):
    """The attribute of a folder protects its entries, not the content of its files."""
    assert python(host, f"open('{FOLDER}/kept', 'a').write('y'); print(open('{FOLDER}/kept').read())") == "xy"


def test_sqlite_makes_no_database_in_an_immutable_folder(host):
    """SQLite opens files past every function of Python, so it has a rule of its own."""
    connect = f"sqlite3.connect('{FOLDER}/new.db')"
    text = f"import sqlite3\ntry:\n    {connect}\nexcept sqlite3.OperationalError as error:\n    print(error)\n"
    assert python(host, text) == "unable to open database file"


def test_docker_cannot_make_a_missing_bind_source(host):
    """Docker makes a missing bind source with root's power; only this attribute stops it, and nothing is left."""
    refused = command(host, "docker", "run", "-d", "-v", f"{PATH}:/data", "registry.sandbox/files:1.0")
    assert f"error while creating mount source path '{PATH}': mkdir {PATH}: operation not permitted" in refused.stderr
    assert command(host, "lsattr", "-d", PATH).exit_code == 1
    assert list(host.engine.containers(all_=False)) == []


def test_a_container_cannot_write_into_a_bare_immutable_mount_point(host):
    """Where the bare mount point is bound all the same, a container finds it empty and cannot begin anew."""
    ok(host, "chattr", "-i", FOLDER)
    python(host, f"import os; os.mkdir({PATH!r})")
    ok(host, "chattr", "+i", PATH, FOLDER)
    write = "open('/data/new.db', 'w')"
    start = ("docker", "run", "-d", "--name", "beside", "-v", f"{PATH}:/data", "--entrypoint", "python3")
    ok(host, *start, "registry.sandbox/files:1.0", "-c", write)
    found = wait_for(lambda: next((c for c in host.engine.containers(all_=True) if c.status == "exited"), None))
    assert found.exit_code == 1
    assert "Operation not permitted" in found.log_path.read_text()
    assert python(host, f"import os; print(os.listdir({PATH!r}))") == "[]"


def test_it_is_taken_back_and_survives_a_reboot(town, host):
    """`chattr -i` allows everything again; a power cut changes nothing."""
    host.power_off(graceful=False)
    host.power_on(host.launch)
    wait_for(lambda: host.booted and host.ssm_online)
    assert ok(host, "lsattr", "-d", FOLDER).split()[0].count("i") == 1
    ok(host, "chattr", "-i", FOLDER)
    assert "i" not in ok(host, "lsattr", "-d", FOLDER).split()[0]
    python(host, f"import os; os.mkdir({PATH!r})")


def test_a_data_volume_gets_no_attributes(town, host):
    """`chattr` on a mounted volume would mark the volume itself, so the simulated host refuses it loudly."""
    town.volume(host, "/srv/data")
    refused = command(host, "chattr", "+i", "/srv/data")
    assert refused.exit_code == 1
    assert "is on a data volume" in refused.stderr


def test_the_mounts_of_a_container_are_private_and_those_of_the_host_shared(town, host):
    """As Docker makes them: a container's mount does not follow the host's umount, and shows it."""
    town.volume(host, "/srv/own")
    ok(host, "docker", "run", "-d", "--name", "private", "-v", "/srv/own:/data", "registry.sandbox/files:1.0")
    (pid,) = [c.pid for c in host.engine.containers(all_=False)]
    show = "print([l for l in open('/proc/{}/mountinfo') if '/dev/nvme1n1' in l][0])"
    assert " shared:" in python(host, show.format("self"))
    assert " shared:" not in python(host, show.format(pid))

"""The commands of a simulated host: mount, lsblk, blkid, docker compose and their refusals."""

import json

import pytest
from sandbox.host_world import TestWorld, command, ok, python, wait_for

COMPOSE = """
services:
  web:
    image: registry.sandbox/guestbook:1.0
    environment:
      - GUESTBOOK_TITLE=${TITLE:-The book}
      - DEBUG=on
    ports: ["8080:8080"]
    volumes:
      - ./site:/data
      - cache:/cache
    stop_grace_period: 1m30s
    healthcheck:
      test: python3 /app/health.py
      interval: 500ms
volumes:
  cache: {}
"""


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


def test_lsblk_names_the_volume_by_its_serial_number(town, host):
    """A Nitro host shows the volume's id as serial number and the mount point."""
    volume_id = town.volume(host, "/srv/data")
    text = ok(host, "lsblk", "--json", "-b", "-p", "-o", "NAME,SERIAL,SIZE,FSTYPE,PTTYPE,MOUNTPOINT")
    disk = json.loads(text)["blockdevices"][1]
    assert disk == {
        "name": "/dev/nvme1n1",
        "serial": volume_id.replace("-", ""),
        "size": 8 << 30,
        "fstype": "ext4",
        "pttype": None,
        "mountpoint": "/srv/data",
    }


def test_xen_host_has_xvd_names(town):
    """A t2 sees /dev/xvdf and no serial number."""
    host = town.host(instance_type="t2.micro")
    town.volume(host)
    disk = json.loads(ok(host, "lsblk", "--json", "-o", "NAME,SERIAL"))["blockdevices"][1]
    assert disk == {"name": "xvdf", "serial": None}


@pytest.mark.parametrize(("layer", "child"), [("part", "/dev/nvme1n1p1"), ("lvm", "/dev/mapper/data-guestbook")])
def test_filesystem_on_a_layer_is_mounted_from_its_own_device(town, host, layer, child):
    """The whole disk cannot be mounted, its partition or logical volume can."""
    volume_id = town.volume(host, fstype="")
    town.world.volumes.format(volume_id, "ext4", layer=layer)
    host.devices.refresh(volume_id)
    (host.root / "mnt/d").mkdir()
    assert command(host, "mount", "/dev/sdf", "/mnt/d").exit_code == 32
    ok(host, "mount", child, "/mnt/d")
    row = json.loads(ok(host, "lsblk", "--json", "-p", "-o", "NAME,TYPE,FSTYPE,MOUNTPOINT"))["blockdevices"][1]
    assert row["children"] == [{"name": child, "type": layer, "fstype": "ext4", "mountpoint": "/mnt/d"}]


def test_blkid_of_a_blank_disk_finds_nothing(town, host):
    """A probe without a result ends with 2."""
    town.volume(host, fstype="")
    result = command(host, "blkid", "-p", "-o", "export", "/dev/nvme1n1")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["mount", "/dev/sdx", "/mnt"], "special device /dev/sdx does not exist"),
        (["mount", "/dev/sdf", "/nowhere"], "mount point does not exist"),
        (["mount", "-t", "xfs", "/dev/sdf", "/mnt"], "wrong fs type"),
        (["mount", "UUID=1-2-3", "/mnt"], "can't find UUID=1-2-3"),
        (["umount", "/mnt"], "not mounted"),
    ],
)
def test_wrong_mounts_are_refused_as_util_linux_does(town, host, argv, message):
    """Mount and umount end with 32 and say why."""
    town.volume(host)
    result = command(host, *argv)
    assert (result.exit_code, message in result.stderr) == (32, True)


def test_umount_is_busy_while_a_container_has_the_mount(town, host):
    """A bind mount of a running container pins the volume; after its stop it can be unmounted."""
    volume_id = town.volume(host, "/srv/data")
    ok(host, "docker", "run", "-d", "--name", "c", "-v", "/srv/data/sub:/data", "registry.sandbox/files:1.0")
    result = command(host, "umount", "/srv/data")
    assert (result.exit_code, "target is busy" in result.stderr, town.world.is_mounted(volume_id)) == (32, True, True)
    ok(host, "docker", "stop", "c")
    ok(host, "umount", "/srv/data")
    assert not town.world.is_mounted(volume_id)


@pytest.mark.parametrize("hold", ["open('/srv/data/f', 'w')", "__import__('os').chdir('/srv/data')"])
def test_umount_is_busy_while_a_process_of_the_host_holds_it(town, host, hold):
    """An open file or a current folder below the mount keeps it."""
    town.volume(host, "/srv/data")
    text = (
        f"import subprocess; kept = {hold}; "
        f"r = subprocess.run(['umount', '/srv/data'], capture_output=True, text=True); print(r.returncode)"
    )
    assert python(host, text) == "32"
    ok(host, "umount", "/srv/data")


def test_files_below_a_mount_point_come_back_after_umount(town, host):
    """A mount hides what was in the folder and gives it back."""
    (host.root / "srv/data").mkdir()
    (host.root / "srv/data/below").touch()
    town.volume(host, "/srv/data")
    text = "import os; print(os.path.exists('/srv/data/below'))"
    assert python(host, text) == "False"
    ok(host, "umount", "/srv/data")
    assert python(host, text) == "True"


def test_detached_device_vanishes_with_its_mount(town, host):
    """A forced detach takes the device and the mount away and ends who held files of it."""
    volume_id = town.volume(host, "/srv/data")
    ok(host, "docker", "run", "-d", "--name", "c", "-v", "/srv/data:/data", "--entrypoint", "python3",
       "registry.sandbox/files:1.0", "-c", "f = open('/data/f', 'w'); print('open', flush=True); input()")  # fmt: skip
    container = host.engine.inspect("c")
    town.world.detach(volume_id)
    assert container.wait(("exited",), 10)
    assert command(host, "findmnt", "--json", "--mountpoint", "/srv/data").exit_code == 1
    assert not (host.root / "dev/nvme1n1").exists()


def test_compose_config_is_normalised(host):
    """Short forms become long ones, variables are filled in, times are Go's."""
    (host.root / "opt/shop").mkdir()
    (host.root / "opt/shop/compose.yaml").write_text(COMPOSE)
    (host.root / "opt/shop/.env").write_text("TITLE=Shop\n")
    config = json.loads(ok(host, "docker", "compose", "-f", "/opt/shop/compose.yaml", "config", "--format", "json"))
    service = config["services"]["web"]
    assert (config["name"], config["volumes"]) == ("shop", {"cache": {"name": "shop_cache"}})
    assert service["environment"] == {"GUESTBOOK_TITLE": "Shop", "DEBUG": "on"}
    assert service["ports"] == [{"mode": "ingress", "target": 8080, "protocol": "tcp", "published": "8080"}]
    assert service["volumes"] == [
        {"type": "bind", "source": "/opt/shop/site", "target": "/data", "bind": {"create_host_path": True}},
        {"type": "volume", "source": "cache", "target": "/cache", "volume": {}},
    ]
    assert service["stop_grace_period"] == "1m30s"
    assert service["healthcheck"] == {"test": ["CMD-SHELL", "python3 /app/health.py"], "interval": "500ms"}


def test_compose_project_lives_through_up_stop_start_down(host):
    """A project's container is made once, stopped, started and removed; down -v deletes its volume."""
    (host.root / "opt/shop").mkdir()
    (host.root / "opt/shop/compose.yaml").write_text(COMPOSE)
    base = ["docker", "compose", "-p", "shop", "-f", "/opt/shop/compose.yaml"]
    ok(host, *base, "up", "-d")
    container = host.engine.inspect("shop-web-1")
    wait_for(lambda: container.health == "healthy")
    line = json.loads(ok(host, *base, "ps", "--format", "json"))
    assert (line["Service"], line["State"], line["Health"]) == ("web", "running", "healthy")
    ok(host, *base, "stop", "-t", "5")
    assert (container.status, container.exit_code) == ("exited", 0)
    ok(host, *base, "start")
    assert container.status == "running"
    wait_for(lambda: container.health == "healthy")  # as PID 1 it would sleep through a signal that comes earlier
    ok(host, *base, "up", "-d")
    assert host.engine.inspect("shop-web-1").id == container.id
    ok(host, *base, "down", "-v")
    assert (
        host.engine.containers(),
        [one["Name"] for one in host.engine.docker_volumes.all() if "cache" in one["Name"]],
    ) == ([], [])


def test_compose_refuses_what_it_cannot_do(host):
    """A service that would run otherwise than written is not started."""
    (host.root / "opt/compose.yaml").write_text(
        "services:\n  a:\n    image: registry.sandbox/files:1.0\n    privileged: true\n"
    )
    result = command(host, "docker", "compose", "-f", "/opt/compose.yaml", "up", "-d")
    assert (result.exit_code, "services.a.privileged" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "argv",
    [
        ["docker", "ps", "--size"],
        ["docker", "swarm", "init"],
        ["docker", "compose", "-f", "/x", "watch"],
        ["lsblk", "--json", "-o", "WWN"],
        ["systemctl", "isolate", "rescue.target"],
        ["findmnt", "--poll"],
        ["sync", "--unknown"],
        ["nonsense"],
    ],
)
def test_what_is_not_simulated_fails_loudly(host, argv):
    """An unknown command, option or column is an error with a message, never a silent success."""
    result = command(host, *argv)
    assert (result.exit_code != 0, result.stderr != "") == (True, True)


def test_docker_format_looks_names_up(host):
    """Templates with names work; those with more than names are refused."""
    ok(host, "docker", "run", "-d", "--name", "c", "registry.sandbox/files:1.0")
    assert (
        ok(host, "docker", "inspect", "--format", "{{.State.Status}} {{json .HostConfig.RestartPolicy.Name}}", "c")
        == 'running "no"\n'
    )
    assert ok(host, "docker", "info", "--format", "{{json .DockerRootDir}}") == '"/var/lib/docker"\n'
    assert command(host, "docker", "ps", "--format", "{{range .Ports}}x{{end}}").exit_code != 0


def test_docker_exec_runs_in_the_container(host):
    """Docker exec sees the container's files, its variables and standard input."""
    ok(host, "docker", "run", "-d", "--name", "c", "-e", "A=1", "registry.sandbox/files:1.0")
    text = "import os, sys; print(os.environ['A'], os.path.exists('/app/wait.py'), os.path.exists('/etc/fstab'))"
    assert ok(host, "docker", "exec", "c", "python3", "-c", text) == "1 True False\n"
    result = command(host, "docker", "exec", "c", "bash")
    assert result.exit_code == 127

"""What the guards keep away, on real disks: the plugin formats what it does not know, and hides what it mounts."""

from __future__ import annotations

import json

import pytest

from runbook_lib.sandbox import lifecycle
from tests.conftest import RunningSandbox
from tests.migration.conftest import run_command

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]
PLUGIN, IMAGE = "registry.sandbox/rexray-ebs:latest", "registry.sandbox/files:1.0"
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}'
POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}'
SHOW = "import os; print(sorted(os.listdir('/data')))"
# A partition table as it was in use for thirty years: one entry of type 83 that begins at sector 2048.
TABLE = (
    "import sys; d = open(sys.argv[1], 'r+b'); d.seek(446);"
    "d.write(bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, 'little') + (1 << 20).to_bytes(4, 'little'));"
    "d.seek(510); d.write(bytes([0x55, 0xAA]))"
)


class Harbour:
    """A real host with the plugin as its publisher ships it, default settings and all.

    Args:
        sandbox: Where.
        wait_until: The fixture.
    """

    def __init__(self, sandbox, wait_until):
        self.sandbox, self.wait_until = sandbox, wait_until
        self.ec2, iam = sandbox.client("ec2"), sandbox.client("iam")
        iam.create_role(RoleName="plugin", AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName="plugin", PolicyName="ec2", PolicyDocument=POLICY)
        iam.create_instance_profile(InstanceProfileName="plugin")
        iam.add_role_to_instance_profile(InstanceProfileName="plugin", RoleName="plugin")
        like = self.ec2.describe_instances()["Reservations"][0]["Instances"][0]
        self.host = self.ec2.run_instances(
            ImageId=like["ImageId"], InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=like["SubnetId"],
            IamInstanceProfile={"Name": "plugin"},
        )["Instances"][0]["InstanceId"]  # fmt: skip
        hosts = lambda: sandbox.control("GET", "/_sandbox/status")["hosts"]  # noqa: E731
        wait_until(lambda: hosts().get(self.host, {}).get("booted"), "the host has booted", 120)
        self.ok("docker", "pull", IMAGE)
        self.ok("docker", "plugin", "install", "--alias", "rexray/ebs", "--grant-all-permissions", PLUGIN)

    def ok(self, *argv):
        """Run a command on the host that must succeed; return what it printed."""
        answer = self.sandbox.control("POST", f"/_sandbox/hosts/{self.host}/call", {"argv": list(argv)})
        assert answer["exit_code"] == 0, (argv, answer)
        return answer["stdout"].strip()

    def volume(self, name, *prepare):
        """Return the device of a new volume with a Name, prepared by commands in which DEVICE is its path, and free."""
        answer = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3")
        volume_id = answer["VolumeId"]
        self.free(volume_id)
        self.ec2.attach_volume(VolumeId=volume_id, InstanceId=self.host, Device="/dev/sdm")
        device = self.device(volume_id)
        for argv in prepare:
            self.ok(*[device if word == "DEVICE" else word for word in argv])
        self.ec2.detach_volume(VolumeId=volume_id)
        self.free(volume_id)
        self.ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "Name", "Value": name}])
        return volume_id

    def free(self, volume_id):
        """Wait until nobody has a volume."""
        found = lambda: self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"]  # noqa: E731
        self.wait_until(lambda: found() == "available", f"{volume_id} is free", 60)

    def device(self, volume_id):
        """Return the path of a volume's disk once the host shows it."""
        serial = volume_id.replace("-", "")

        def find():
            rows = json.loads(self.ok("lsblk", "--json", "-p", "-o", "NAME,SERIAL"))["blockdevices"]
            return next((row["name"] for row in rows if row["serial"] == serial), None)

        return self.wait_until(find, f"the device of {volume_id} is there", 60)

    def seen(self, name):
        """Return what a container with a volume of the plugin sees in it."""
        argv = (
            "docker",
            "run",
            "--rm",
            "--volume-driver",
            "rexray/ebs",
            "-v",
            f"{name}:/data",
            "--entrypoint",
            "python3",
        )
        return self.ok(*argv, IMAGE, "-c", SHOW)


@pytest.fixture(scope="module")
def harbour(tmp_path_factory, wait_until):
    """Return the harbour of a sandbox of its own; afterwards it is down."""
    running = RunningSandbox(lifecycle.start(tmp_path_factory.mktemp("real") / "sandbox", hosts="real", latency="none"))
    yield Harbour(running, wait_until)
    run_command("sandbox", "down", "--state", running.state_dir)


def test_the_default_root_path_hides_the_files(harbour):
    """A database at the root of the filesystem: the container sees an empty folder, and would begin a new one there."""
    tree = ("mkdir", "-p", "/mnt/v"), ("mount", "DEVICE", "/mnt/v"), ("mkdir", "/mnt/v/base"), ("umount", "/mnt/v")
    volume_id = harbour.volume("hidden", ("mkfs.ext4", "-q", "DEVICE"), *tree)

    assert harbour.seen("hidden") == "[]"

    harbour.free(volume_id)
    harbour.ok("docker", "plugin", "disable", "-f", "rexray/ebs")
    harbour.ok("docker", "plugin", "set", "rexray/ebs", "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH=/")
    harbour.ok("docker", "plugin", "enable", "rexray/ebs")
    assert harbour.seen("hidden") == "['base', 'data', 'lost+found']"


def test_a_container_comes_back_after_a_reboot_and_lets_go_at_its_end(harbour):
    """Docker starts plugin and container again; the plugin knows no users of before: the last one frees the volume."""
    volume_id = harbour.volume("rebooted", ("mkfs.ext4", "-q", "DEVICE"))
    program = "import time; open('/data/starts', 'a').write('x'); time.sleep(1000)"
    options = ("-d", "--name", "book", "--user", "0", "--restart", "always", "--volume-driver", "rexray/ebs")
    harbour.ok("docker", "run", *options, "-v", "rebooted:/data", "--entrypoint", "python3", IMAGE, "-c", program)
    boots = [one["kind"] for one in _events(harbour)].count("host-booted")

    harbour.ec2.reboot_instances(InstanceIds=[harbour.host])

    kinds = lambda: [one["kind"] for one in _events(harbour)]  # noqa: E731
    harbour.wait_until(lambda: kinds().count("host-booted") > boots, "it has booted", 120)
    running = ("docker", "inspect", "-f", "{{.State.Running}}", "book")
    harbour.wait_until(lambda: harbour.ok(*running) == "true", "the container runs again", 60)
    shown = "print(open('/data/starts').read())"
    assert harbour.ok("docker", "exec", "book", "python3", "-c", shown) == "xx"
    harbour.ok("docker", "rm", "-f", "book")
    harbour.free(volume_id)


def test_a_disk_with_a_partition_table_is_formatted(harbour):
    """What is in the partition is gone, without a question and without an error."""
    table = ("python3", "-c", TABLE, "DEVICE")
    volume_id = harbour.volume("partitioned", table, ("mkfs.ext4", "-q", "-E", "offset=1048576", "DEVICE", "500m"))
    before = [one for one in _events(harbour) if one["kind"] == "rexray-formatted"]

    assert "base" not in harbour.seen("partitioned")

    after = [one for one in _events(harbour) if one["kind"] == "rexray-formatted"]
    assert [one["volume_id"] for one in after[len(before) :]] == [volume_id]
    harbour.free(volume_id)
    harbour.ec2.attach_volume(VolumeId=volume_id, InstanceId=harbour.host, Device="/dev/sdm")
    probed = harbour.ok("blkid", "-p", "-o", "export", harbour.device(volume_id))
    assert "TYPE=ext4" in probed
    assert "PTTYPE" not in probed


def _events(harbour):
    lines = (harbour.sandbox.state_dir / "events.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]

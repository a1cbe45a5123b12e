"""How long REX-Ray waits, and what then: with an EC2 that answers as told, since a minute is too long for a test."""

import threading
import time
from datetime import UTC, datetime

import pytest
from sandbox.host_world import TestWorld, wait_for

from runbook_lib.sandbox.containers import ContainerSpec, EngineError, Mount
from runbook_lib.sandbox.plugins import FORK_REFERENCE
from runbook_lib.sandbox.rexray import RexRay
from runbook_lib.sandbox.rexray_disk import RexRayDisk, file_mode


class ToldEc2:
    """One volume, attached when asked; the answer to AttachVolume can be held back."""

    def __init__(self, town, host, volume_id):
        self.town, self.host, self.volume_id = town, host, volume_id
        self.attachments = []
        self.may_attach = threading.Event()
        self.may_attach.set()
        self.may_detach = threading.Event()
        self.may_detach.set()

    def call(self, operation, _resources=None, **arguments):
        """Answer DescribeVolumes, AttachVolume and DetachVolume."""
        if operation == "AttachVolume":
            self.may_attach.wait(20)
            self.attach(arguments["Device"])
        elif operation == "DetachVolume":
            self.may_detach.wait(20)
            self.attachments = []
            self.town.world.detach(self.volume_id)
        facts = {"AvailabilityZone": "us-east-1a", "Size": 8, "State": "available", "VolumeType": "gp3"}
        facts |= {"VolumeId": self.volume_id, "CreateTime": datetime.now(UTC), "Attachments": list(self.attachments)}
        return {"Volumes": [{**facts, "Tags": [{"Key": "Name", "Value": "books"}]}]}

    def attach(self, device):
        """Plug the volume into the host."""
        self.attachments = [{"InstanceId": self.host.instance_id, "State": "attached", "Device": device}]
        self.town.world.attach(self.volume_id, self.host.instance_id, device)


@pytest.fixture
def town(tmp_path):
    """Return a world; a test may close it itself."""
    town = TestWorld(tmp_path / "world")
    yield town
    town.close()


@pytest.fixture
def plugin(town):
    """Return (driver, EC2) of an enabled plugin with one volume that is not attached."""
    host = town.host()
    driver = host.engine.plugin_install(FORK_REFERENCE, "rexray/ebs").driver
    volume_id = "vol-00000000000000001"
    town.world.volumes.create(volume_id, 8)
    town.world.volumes.format(volume_id, "ext4")
    driver._ec2 = ToldEc2(town, host, volume_id)
    return driver, driver._ec2


def test_slow_request_is_answered_with_408_while_its_work_goes_on(plugin, monkeypatch):
    """After the server's timeout the caller gets an error; the mount happens all the same and the next one finds it."""
    driver, ec2 = plugin
    monkeypatch.setattr(RexRay, "server_timeout_s", 0.1)
    ec2.may_attach.clear()
    with pytest.raises(EngineError, match="408"):
        driver.mount("books", "c1")
    ec2.may_attach.set()
    wait_for(lambda: ec2.town.world.is_mounted(ec2.volume_id))
    assert driver.mount("books", "c1").endswith("/books/data")


def test_volume_attached_by_hand_under_another_name_has_no_device_name(plugin, monkeypatch):
    """A volume that was attached as /dev/sdf on Nitro has a link of that name; REX-Ray looks for xvdf and gives up."""
    driver, ec2 = plugin
    monkeypatch.setattr(RexRayDisk, "device_timeout_s", 0.1)
    ec2.attach("/dev/sdf")
    with pytest.raises(EngineError, match="no device name returned"):
        driver.mount("books", "c1")
    assert not ec2.town.world.is_mounted(ec2.volume_id)


def test_sandbox_goes_down_without_waiting_for_a_volume(plugin):
    """While EC2 does not answer a detachment, the end of the sandbox takes seconds, not a minute."""
    driver, ec2 = plugin
    mounts = [Mount("volume", "books", "/data", "rexray/ebs")]
    container = ec2.host.engine.run(ContainerSpec("c", "registry.sandbox/files:1.0", mounts=mounts))
    ec2.may_detach.clear()
    threading.Thread(target=ec2.host.engine.stop, args=(container.id,), daemon=True).start()
    wait_for(lambda: container.pid == 0)
    began = time.monotonic()
    ec2.town.close()
    assert time.monotonic() - began < 10
    ec2.may_detach.set()
    assert driver.is_used is False


@pytest.mark.parametrize(("text", "mode"), [("0700", 0o700), ("0755", 0o755), ("755", 755 & 0o777), ("0x1ff", 0o777)])
def test_file_mode_is_read_as_go_reads_numbers(text, mode):
    """A leading zero makes it octal; without one it is decimal, and hardly what was meant."""
    assert file_mode(text) == mode

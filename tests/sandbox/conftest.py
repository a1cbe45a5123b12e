"""Fixtures for the tests of the sandbox's control plane: AWS objects apart from the sample estate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "ami-0a12023d5f1e0c001"
ZONES = ("us-east-1a", "us-east-1b")
PROFILE = "control-plane-tests"
SSM_POLICY = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}'


class Account:
    """Makes and reads AWS objects in a sandbox.

    Args:
        sandbox: A running sandbox.
        wait_until: Waits for a condition.
    """

    def __init__(self, sandbox: Any, wait_until: Callable[..., Any]) -> None:
        self.sandbox = sandbox
        self.ec2 = sandbox.client("ec2")
        self.wait_until = wait_until

    def subnet_id(self, zone: str) -> str:
        """Return the default subnet of a zone."""
        filters = [{"Name": "availability-zone", "Values": [zone]}, {"Name": "default-for-az", "Values": ["true"]}]
        return self.ec2.describe_subnets(Filters=filters)["Subnets"][0]["SubnetId"]

    def profile(self) -> str:
        """Return the name of an instance profile whose role lets the SSM agent register."""
        iam = self.sandbox.client("iam")
        if PROFILE not in [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]]:
            iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument=TRUST)
            iam.attach_role_policy(RoleName=PROFILE, PolicyArn=SSM_POLICY)
            iam.create_instance_profile(InstanceProfileName=PROFILE)
            iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
        return PROFILE

    def launch(self, zone: str = ZONES[0], **options: Any) -> str:
        """Launch an instance and return its id; it may still be pending."""
        arguments = {
            "ImageId": IMAGE,
            "InstanceType": "t3.small",
            "SubnetId": self.subnet_id(zone),
            "IamInstanceProfile": {"Name": self.profile()},
            "MinCount": 1,
            "MaxCount": 1,
        }
        return self.ec2.run_instances(**(arguments | options))["Instances"][0]["InstanceId"]

    def running(self, zone: str = ZONES[0], **options: Any) -> str:
        """Launch an instance and wait until it is running."""
        instance_id = self.launch(zone, **options)
        self.wait_until(lambda: self.instance(instance_id)["State"]["Name"] == "running", "the instance runs")
        return instance_id

    def instance(self, instance_id: str) -> dict[str, Any]:
        """Return what DescribeInstances says of one."""
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def create_volume(self, zone: str = ZONES[0], **options: Any) -> str:
        """Create a volume and return its id; it may still be creating."""
        arguments = {"AvailabilityZone": zone, "Size": 2, "VolumeType": "gp3"}
        return self.ec2.create_volume(**(arguments | options))["VolumeId"]

    def available(self, zone: str = ZONES[0], **options: Any) -> str:
        """Create a volume and wait until it is available."""
        volume_id = self.create_volume(zone, **options)
        self.wait_for_volume(volume_id, "available")
        return volume_id

    def volume(self, volume_id: str) -> dict[str, Any]:
        """Return what DescribeVolumes says of one."""
        return self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]

    def attachment(self, volume_id: str) -> dict[str, Any]:
        """Return the volume's attachment, {} when it has none."""
        attachments = self.volume(volume_id)["Attachments"]
        return attachments[0] if attachments else {}

    def wait_for_volume(self, volume_id: str, state: str) -> None:
        """Wait until a volume is in a state."""
        self.wait_until(lambda: self.volume(volume_id)["State"] == state, f"{volume_id} is {state}")

    def wait_for_attachment(self, volume_id: str, state: str) -> None:
        """Wait until a volume's attachment is in a state."""
        self.wait_until(lambda: self.attachment(volume_id).get("State") == state, f"{volume_id} is {state}")

    def attached(self, instance_id: str, device: str = "/dev/sdf") -> str:
        """Create a volume in the instance's zone, attach it, and wait until it is attached."""
        volume_id = self.available(self.instance(instance_id)["Placement"]["AvailabilityZone"])
        self.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
        self.wait_for_attachment(volume_id, "attached")
        return volume_id

    def on_host(self, instance_id: str, *argv: str) -> dict[str, Any]:
        """Run a guest command on a host and return stdout, stderr and exit code; it must succeed."""
        answer = self.sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(argv)})
        assert answer["exit_code"] == 0, (argv, answer)
        return answer

    def make_folder(self, instance_id: str, folder: str) -> None:
        """Make a folder on a host, which has the commands that runbooks use and no others."""
        self.on_host(instance_id, "python3", "-c", f"import os; os.makedirs({folder!r}, exist_ok=True)")

    def mounted(self, instance_id: str, device: str, folder: str) -> str:
        """Attach a new volume with an ext4 filesystem, mount it, and return its id."""
        volume_id = self.attached(instance_id, device)
        self.sandbox.control("POST", f"/_sandbox/volumes/{volume_id}/format", {"fstype": "ext4"})
        self.make_folder(instance_id, folder)
        self.on_host(instance_id, "mount", device, folder)
        return volume_id

    def booted(self, instance_id: str) -> str:
        """Wait until the host of an instance has booted and its SSM agent is online."""

        def online() -> bool:
            host = self.sandbox.control("GET", "/_sandbox/status")["hosts"].get(instance_id, {})
            return bool(host.get("booted") and host.get("ssm_online"))

        self.wait_until(online, f"{instance_id} is online")
        return instance_id


@pytest.fixture(scope="module")
def account(sandbox: Any, wait_until: Callable[..., Any]) -> Account:
    """Return AWS objects of the module's sandbox."""
    return Account(sandbox, wait_until)


@pytest.fixture(scope="session")
def error_of() -> Callable[[Callable[[], Any]], str]:
    """Return a function that calls something that AWS must refuse and returns the error code."""

    def code(call: Callable[[], Any]) -> str:
        with pytest.raises(ClientError) as caught:
            call()
        return caught.value.response["Error"]["Code"]

    return code


@pytest.fixture
def add_fault(sandbox: Any) -> Any:
    """Return a function that switches a fault on and returns it; after the test every fault is switched off."""
    yield lambda name, **options: sandbox.control("POST", "/_sandbox/faults", {"name": name, **options})
    sandbox.control("DELETE", "/_sandbox/faults")

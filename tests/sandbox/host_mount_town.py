"""A cluster whose hosts run the unit of the storage driver host_mount, with the module's own files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MODULE = Path(__file__).parents[2] / "terraform/modules/ecs_cluster"
SCRIPTS = ("runbook_boot.py", "runbook_host_mount.py", "runbook_volume_host.py")
ECS_IMAGE = "ami-0ec52023d5f1e0b01"
PROFILE = "host-mount-tests"
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}'
ALLOWED = {"Effect": "Allow", "Action": ["ec2:*", "ecs:*"], "Resource": "*"}
CLUSTER, NAME, TAG, PATH = "mounts", "guestbook-data", "runbook:cut-over-utc", "/mnt/runbook/data"
HOLD = "import time\nopen('/data/held', 'a').write('x')\nwhile True:\n    time.sleep(1)\n"
RUN = (
    *("docker", "run", "-d", "-v", f"{PATH}:/data", "--stop-timeout", "1"),
    *("--entrypoint", "python3", "registry.sandbox/files:1.0", "-c", HOLD),
)


def user_data(configuration: dict[str, Any]) -> str:
    """Return the module's user data for a configuration: the template, with its scripts in clear text."""
    text = (MODULE / "templates/user_data_host_mount.yaml.tftpl").read_text()
    head, loop, tail = re.split(r"%\{ (?:for|endfor)[^}]*\}\n", text)
    assert "${base64gzip(script)}" in loop
    files = "".join(
        f"  - path: /usr/local/lib/runbook/{name}\n    content: {json.dumps((MODULE / 'files' / name).read_text())}\n"
        for name in SCRIPTS
    )
    head = head.replace("${jsonencode(boot_configuration)}", json.dumps(json.dumps(configuration)))
    return head.replace("${cluster_name}", CLUSTER) + files + tail


class MountTown:
    """One data volume and the hosts that may have it.

    Args:
        account: AWS objects of the module's sandbox.
    """

    def __init__(self, account: Any) -> None:
        self.account, self.sandbox = account, account.sandbox
        self.ecs, self.hosts = account.sandbox.client("ecs"), []
        self.ecs.create_cluster(clusterName=CLUSTER)
        self._make_profile()
        self.volume_id = account.available()
        path = f"/_sandbox/volumes/{self.volume_id}/format"
        self.filesystem_uuid = self.sandbox.control("POST", path, {"fstype": "ext4"})["fs_uuid"]

    def launch(self, **storage: Any) -> str:
        """Launch a host and wait until it has joined; returns its id."""
        given = {
            "driver": "host_mount", "volume_id": self.volume_id, "volume_name": NAME, "region": "us-east-1",
            "mount_path": PATH, "filesystem_type": "ext4", "filesystem_uuid": self.filesystem_uuid,
            "handed_over_tag": TAG, "device_name": "/dev/sdf", "poll_s": 0.2,
        }  # fmt: skip
        attributes = json.dumps({"runbook.host-mount": self.volume_id})
        configuration = {
            "ecs_config": {"ECS_CLUSTER": CLUSTER, "ECS_INSTANCE_ATTRIBUTES": attributes},
            "storage": given | storage,
            "retries": {"attempts": 2, "delay_s": 0, "install_timeout_s": 60, "enable_timeout_s": 60},
        }
        profile = {"Name": PROFILE}
        host = self.account.launch(ImageId=ECS_IMAGE, UserData=user_data(configuration), IamInstanceProfile=profile)
        self.hosts.append(host)
        self.account.wait_until(lambda: self.member(host), f"{host} has joined")
        return host

    def member(self, host: str) -> dict[str, Any] | None:
        """Return a host's container instance while its agent is connected, else None."""
        arns = self.ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"]
        found = self.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=arns) if arns else {}
        rows = [one for one in found.get("containerInstances", []) if one["ec2InstanceId"] == host]
        return rows[0] if rows and rows[0]["agentConnected"] else None

    def attributes(self, host: str) -> dict[str, str]:
        """Return the attributes of a host's container instance, {} while it is not connected."""
        member = self.member(host) or {"attributes": []}
        return {one["name"]: one.get("value", "") for one in member["attributes"]}

    def mounted(self) -> list[str]:
        """Return the hosts that say to have the volume mounted."""
        return [host for host in self.hosts if self.attributes(host).get("runbook.mounted") == self.volume_id]

    def holder(self) -> str:
        """Return which host the volume is attached to, "" for none."""
        return str(self.account.attachment(self.volume_id).get("InstanceId", ""))

    def hand_over(self, *, on: bool = True) -> None:
        """Give the volume Name and tag as the cutover does, or take the tag away as the way back does."""
        if on:
            tags = [{"Key": "Name", "Value": NAME}, {"Key": TAG, "Value": "2026-01-01T00:00:00+00:00"}]
            self.account.ec2.create_tags(Resources=[self.volume_id], Tags=tags)
        else:
            self.account.ec2.delete_tags(Resources=[self.volume_id], Tags=[{"Key": TAG}])

    def call(self, host: str, *argv: str) -> dict[str, Any]:
        """Run a command on a host; it may fail."""
        answer: dict[str, Any] = self.sandbox.control("POST", f"/_sandbox/hosts/{host}/call", {"argv": list(argv)})
        return answer

    def start_container(self, host: str) -> str:
        """Start a container that writes to the volume and stays; returns its id."""
        return str(self.account.on_host(host, *RUN)["stdout"]).strip()

    def sees(self, host: str) -> bool:
        """Return whether the mount point exists on a host."""
        return self.call(host, "lsattr", "-d", PATH)["exit_code"] == 0

    def detaches(self) -> int:
        """Return how often somebody detached the volume, by asking EC2."""
        calls = self.sandbox.control("GET", "/_sandbox/calls?kind=write")
        return len([one for one in calls if one["operation"] == "DetachVolume" and one["outcome"] == "Success"])

    def wait(self, ask: Any, what: str) -> Any:
        """Wait until something is so."""
        return self.account.wait_until(ask, what)

    def end(self) -> None:
        """Terminate the hosts and wait until the volume is free again, without its tag."""
        self.hand_over(on=False)
        for host in self.hosts:
            self.account.ec2.terminate_instances(InstanceIds=[host])
        self.account.wait_for_volume(self.volume_id, "available")
        self.hosts = []

    def _make_profile(self) -> None:
        iam = self.sandbox.client("iam")
        document = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED]})
        iam.create_role(RoleName=PROFILE, AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName=PROFILE, PolicyName="all", PolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)

"""Hosts with the REX-Ray plugin and named volumes, in a whole sandbox, for the tests of its behaviour."""

import itertools
import json
import stat

from runbook_lib.sandbox.volumes import VolumeStore

PLUGIN = "registry.sandbox/rexray-ebs:latest"
FILES = "registry.sandbox/files:1.0"
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}'
ROLES = {
    "rexray-all": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}],
    "rexray-scoped": [
        {"Effect": "Allow", "Action": ["ec2:DescribeVolumes", "ec2:AttachVolume", "ec2:DetachVolume"], "Resource": "*"},
        {"Effect": "Deny", "Action": ["ec2:CreateVolume", "ec2:DeleteVolume", "ec2:CreateTags"], "Resource": "*"},
    ],
}
ROOT = "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH"
NUMBERS = itertools.count(1)


class Harbour:
    """Hosts with the plugin, volumes with names."""

    def __init__(self, sandbox, account, wait_until):
        self.sandbox, self.account, self.wait_until = sandbox, account, wait_until
        self.ec2 = sandbox.client("ec2")
        iam = sandbox.client("iam")
        for name, statements in ROLES.items():
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="rexray", PolicyDocument=policy)
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        self.hosts = {
            "a": self.launch(),
            "other": self.launch(),
            "zone-b": self.launch(zone="us-east-1b"),
            "scoped": self.launch(role="rexray-scoped"),
        }
        for instance_id in self.hosts.values():
            self.booted(instance_id)
            self.install(instance_id)

    def launch(self, zone="us-east-1a", role="rexray-all", **options):
        """Launch a host; it may still boot."""
        return self.account.launch(zone, IamInstanceProfile={"Name": role}, **options)

    def booted(self, instance_id):
        """Wait for a host's boot."""
        hosts = lambda: self.sandbox.control("GET", "/_sandbox/status")["hosts"]  # noqa: E731
        self.wait_until(lambda: hosts().get(instance_id, {}).get("booted"), f"{instance_id} has booted")
        return instance_id

    def call(self, host, *argv):
        """Run a command on a host by its name or id."""
        instance_id = self.hosts.get(host, host)
        return self.sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(argv)})

    def ok(self, host, *argv):
        """Run a command that must succeed; returns what it printed."""
        answer = self.call(host, *argv)
        assert answer["exit_code"] == 0, (argv, answer)
        return answer["stdout"]

    def install(self, host, *settings, reference=PLUGIN):
        """Install and enable the plugin."""
        argv = ["docker", "plugin", "install", "--alias", "rexray/ebs", "--grant-all-permissions", reference]
        return self.call(host, *argv, *settings)

    def configured(self, host, *settings):
        """Give the plugin other settings."""
        self.ok(host, "docker", "plugin", "disable", "rexray/ebs")
        self.ok(host, "docker", "plugin", "set", "rexray/ebs", *settings)
        self.ok(host, "docker", "plugin", "enable", "rexray/ebs")

    def run(self, host, volume, *, name="c"):
        """Start a container with a volume of the plugin at /data."""
        argv = ["docker", "run", "-d", "--name", name, "-v", f"{volume}:/data", "--volume-driver", "rexray/ebs", FILES]
        return self.call(host, *argv)

    def listed(self, host, path="/data", name="c"):
        """Return what a container sees in a folder."""
        text = f"import os; print(sorted(os.listdir({path!r})))"
        return self.ok(host, "docker", "exec", name, "python3", "-c", text).strip()

    def volume(self, name, zone="us-east-1a", fstype="ext4"):
        """Make a named volume with a file; returns its id."""
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}]}]
        volume_id = self.account.available(zone, TagSpecifications=tags)
        if fstype:
            self.format(volume_id, fstype=fstype)
            (self.files(volume_id) / "precious").write_text("data")
        return volume_id

    def format(self, volume_id, **facts):
        """Format a volume as its former owner did."""
        store = VolumeStore(self.sandbox.state_dir / "volumes", None)
        store.format(volume_id, **facts)

    def files(self, volume_id):
        """Return the folder with a volume's files."""
        return self.sandbox.state_dir / "volumes" / volume_id / "fs"

    def named(self, name):
        """Return every volume with a name, in any case."""
        volumes = self.ec2.describe_volumes()["Volumes"]
        return [
            v
            for v in volumes
            if any(t["Key"] == "Name" and t["Value"].lower() == name.lower() for t in v.get("Tags", []))
        ]

    def mode(self, volume_id, path="."):
        """Return the permission bits of a folder of a volume."""
        return stat.S_IMODE((self.files(volume_id) / path).stat().st_mode)

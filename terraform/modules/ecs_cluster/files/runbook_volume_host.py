"""What a container instance sees of its data volume: its device, its mounts, EC2's and ECS's word on it.

Reads the host, and calls the AWS API with the instance's role through the `aws` command. Changes only what it is told
to: two attributes of this container instance. Imported by runbook_host_mount.py. Python 3.7 syntax.
"""

# It stands alone on the host.
# ruff: noqa: INP001, PTH115, PTH123, PTH208

import json
import os
import re

from runbook_boot import BootError, FinalBootError, run

INSTANCE_ID = "/sys/class/dmi/id/board_asset_tag"
LINK = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
MOUNTED, PROBLEM = "runbook.mounted", "runbook.volume-problem"


class Host:
    """This container instance and what it sees of the volume.

    Args:
        configuration: What /etc/runbook/boot.json holds.
    """

    def __init__(self, configuration: dict) -> None:
        self.storage = configuration["storage"]
        self.cluster = configuration["ecs_config"]["ECS_CLUSTER"]
        self.path = self.storage["mount_path"]
        self.link = LINK + self.storage["volume_id"].replace("-", "")
        with open(INSTANCE_ID) as stream:
            self.instance_id = stream.read().strip()
        if not re.match(r"i-[0-9a-f]+$", self.instance_id):
            # without NVMe nothing on the host says which volume a device is
            raise FinalBootError("this is no Nitro instance: " + INSTANCE_ID + " holds " + repr(self.instance_id))

    def aws(self, *arguments: str) -> dict:
        """Call the AWS API with the instance's role and return the answer."""
        argv = ["aws", *arguments, "--region", self.storage["region"], "--output", "json", "--no-cli-pager"]
        code, output, error = run(argv, 60)
        if code != 0:
            raise BootError(f"aws {arguments[0]} {arguments[1]}: {error.strip()}")
        return json.loads(output) if output.strip() else {}

    def volume(self) -> dict:
        """Return who holds the volume, and whether the cutover has handed it to the target."""
        found = self.aws("ec2", "describe-volumes", "--volume-ids", self.storage["volume_id"])["Volumes"][0]
        held = found.get("Attachments") or [{}]
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags") or []}
        named = tags.get("Name") == self.storage["volume_name"]
        return {
            "free": found["State"] == "available",
            "mine": held[0].get("InstanceId") == self.instance_id,
            "attached": held[0].get("InstanceId") == self.instance_id and held[0].get("State") == "attached",
            "handed_over": named and self.storage["handed_over_tag"] in tags,
        }

    def member(self) -> dict:
        """Return this host's place in the cluster: whether tasks may come here, and its attributes."""
        query = "ec2InstanceId == " + self.instance_id
        listed = self.aws("ecs", "list-container-instances", "--cluster", self.cluster, "--filter", query)
        arns = listed["containerInstanceArns"]
        if not arns:
            return {"arn": "", "active": False, "attributes": {}}
        asked = ("ecs", "describe-container-instances", "--cluster", self.cluster, "--container-instances", arns[0])
        found = self.aws(*asked)["containerInstances"][0]
        return {
            "arn": arns[0],
            "active": found["status"] == "ACTIVE" and found["agentConnected"],
            "attributes": {one["name"]: one.get("value", "") for one in found["attributes"]},
        }

    def tell(self, member: dict, wanted: dict) -> None:
        """Bring this host's two attributes to what is so; ECS places the task only where MOUNTED is."""
        for name in (MOUNTED, PROBLEM):
            target = {"name": name, "targetType": "container-instance", "targetId": member["arn"].rpartition("/")[2]}
            if not member["arn"] or wanted.get(name) == member["attributes"].get(name):
                continue
            verb = "put-attributes" if name in wanted else "delete-attributes"
            # DeleteAttributes wants no value
            target.update({"value": wanted[name]} if name in wanted else {})
            self.aws("ecs", verb, "--cluster", self.cluster, "--attributes", json.dumps([target]))

    def source(self) -> str:
        """Return the device that is mounted at the mount path, "" for none."""
        rows = [row for row in mounts("self") if row["target"] == self.path]
        return rows[-1]["source"] if rows else ""

    def users(self) -> list:
        """Return the processes that see the volume in a mount of their own: those of containers.

        Docker's bind mounts are private: they keep the filesystem although the host unmounts it. Mounts that follow
        the host's are those of services with a mount namespace of their own, and of no consequence.
        """
        device, here = self.source() or os.path.realpath(self.link), namespace("self")
        found = []
        for pid in (name for name in os.listdir("/proc") if name.isdigit()):
            rows = [row for row in mounts(pid) if row["source"] == device and not row["follows"]]
            if any(row["target"] != self.path or namespace(pid) != here for row in rows):
                found.append(int(pid))
        return found


def namespace(pid: str) -> str:
    """Return the mount namespace of a process, "" when it is gone."""
    try:
        return os.readlink("/proc/" + pid + "/ns/mnt")
    except OSError:
        return ""


def mounts(pid: str) -> list:
    """Return the mounts that a process sees, [] when it is gone."""
    try:
        with open("/proc/" + pid + "/mountinfo") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return []
    return [row_of(words) for words in lines]


def row_of(words: list) -> dict:
    """Return one line of mountinfo: where, what, and whether it follows the host's mount (proc(5))."""
    dash = words.index("-")
    follows = any(word.startswith(("shared:", "master:")) for word in words[6:dash])
    return {"target": words[4], "source": words[dash + 2], "follows": follows}


def must(argv: list, timeout_s: float = 60) -> str:
    """Run a command that has to succeed and return what it printed."""
    code, output, error = run(argv, timeout_s)
    if code != 0:
        raise BootError("{}: {}".format(" ".join(argv), (error or output).strip()))
    return output

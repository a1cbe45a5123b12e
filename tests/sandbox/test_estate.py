"""The sample estate: a service with real data, a client that remembers every promise, and estates to refuse."""

import json
import os
import signal
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import estate
from runbook_lib.sandbox.estate_files import SEED_ENTRIES


class Reader:
    """Looks at the estate of a sandbox as an operator would.

    Args:
        sandbox: A running sandbox.
    """

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.parameters = yaml.safe_load(sandbox.parameters_path.read_text())["migration"]
        self.instance_id = self.parameters["source"]["instance_id"]
        self.volume_id = self.parameters["volume"]["volume_id"]
        self.ec2 = sandbox.client("ec2")

    def call(self, *argv):
        """Run a command on the source host."""
        return self.sandbox.control("POST", f"/_sandbox/hosts/{self.instance_id}/call", {"argv": list(argv)})

    def volume(self, volume_id=""):
        """Return what EC2 says of a volume."""
        return self.ec2.describe_volumes(VolumeIds=[volume_id or self.volume_id])["Volumes"][0]

    def disk(self):
        """Return the lsblk row of the data disk."""
        text = self.call("lsblk", "--json", "-b", "-o", "NAME,TYPE,FSTYPE,PTTYPE,MOUNTPOINT")["stdout"]
        return json.loads(text)["blockdevices"][1]

    def files(self):
        """Return the folder with the volume's files."""
        return self.sandbox.state_dir / "volumes" / self.volume_id / "fs"


@pytest.fixture(scope="module")
def reader(sandbox):
    """Return a reader of the module's sandbox."""
    return Reader(sandbox)


def test_volume_is_attached_and_would_be_deleted_with_its_instance(reader):
    """The data volume is 8 GiB gp3, attached as /dev/sdf, with DeleteOnTermination on purpose."""
    volume = reader.volume()
    attachment = volume["Attachments"][0]
    assert (volume["Size"], volume["VolumeType"], volume["AvailabilityZone"]) == (8, "gp3", "us-east-1a")
    assert (attachment["InstanceId"], attachment["Device"], attachment["State"]) == (
        reader.instance_id,
        "/dev/sdf",
        "attached",
    )
    assert attachment["DeleteOnTermination"] is True
    assert [tag["Value"] for tag in volume["Tags"] if tag["Key"] == "Name"] == ["guestbook-legacy-data"]


def test_parameters_name_what_exists(reader):
    """VPC, subnet, instance, credentials and address of the parameters are those of this sandbox."""
    target = reader.parameters["target"]
    subnet = reader.ec2.describe_subnets(SubnetIds=target["subnet_ids"])["Subnets"][0]
    assert (subnet["VpcId"], subnet["AvailabilityZone"]) == (target["vpc_id"], "us-east-1a")
    assert reader.parameters["aws"]["endpoint_url"] == reader.sandbox.endpoint_url
    assert "[sandbox]" in Path(reader.parameters["aws"]["credentials_file"]).read_text()
    instance = reader.ec2.describe_instances(InstanceIds=[reader.instance_id])["Reservations"][0]["Instances"][0]
    assert reader.parameters["source"]["url"] == f"http://{instance['PrivateIpAddress']}:8080/"


def test_service_runs_with_its_old_entries(reader, wait_until):
    """The compose project is healthy and has the entries of years."""
    argv = ["docker", "compose", "-f", "/opt/guestbook/compose.yaml", "ps", "--format", "json"]

    def line():
        return json.loads(reader.call(*argv)["stdout"])

    wait_until(lambda: line()["Health"] == "healthy", "the service is healthy")
    text = (
        "import urllib.request, json; answer = urllib.request.urlopen('http://localhost:8080/entries'); "
        "print(sum(one.startswith('seed-') for one in json.load(answer)['ids']))"
    )
    assert reader.call("python3", "-c", text)["stdout"].strip() == str(SEED_ENTRIES)


def test_difficult_files_are_there(reader):
    """The volume has every kind of file that naive copies lose."""
    files = reader.files()
    names = {os.fsencode(path.name) for path in (files / "uploads").iterdir()}
    assert {b"with space.txt", b"new\nline.txt", b"-leading-dash", b"not-\xff-text", b"empty"} <= names
    assert stat.S_ISFIFO((files / "queue").lstat().st_mode)
    assert stat.S_IMODE((files / "shared").stat().st_mode) == 0o2775
    assert (files / "links/dangling").is_symlink()
    assert (files / "links/hard").samefile(files / "uploads/program")
    assert (files / "sparse.img").stat().st_blocks * 512 < (files / "sparse.img").stat().st_size
    if os.geteuid() == 0:
        assert (files / "private.key").stat().st_uid == 1001


def test_every_acknowledged_entry_is_in_the_service(reader, wait_until):
    """The client writes all the time, and what it was promised is there."""
    facts = lambda: reader.sandbox.control("GET", "/_sandbox/client")  # noqa: E731
    wait_until(lambda: facts()["acknowledged"] >= 10, "the client has written")
    found = facts()
    assert (found["running"], found["missing"], found["present"]) == (True, 0, found["acknowledged"])


def test_lost_entry_is_noticed(reader, wait_until):
    """An acknowledged id that the service does not have is reported as missing."""
    control = reader.sandbox.control
    assert control("POST", "/_sandbox/client", {"running": False})["running"] is False
    path = reader.sandbox.state_dir / "client/acknowledged.jsonl"
    kept = path.read_text()
    path.write_text(kept + json.dumps({"id": "promised-and-lost", "at": 1.0}) + "\n")
    found = control("GET", "/_sandbox/client")
    path.write_text(kept)
    assert (found["missing"], found["missing_ids"]) == (1, ["promised-and-lost"])
    assert control("POST", "/_sandbox/client", {"running": True})["running"] is True


def test_client_follows_the_service(reader, wait_until):
    """While the service is down nothing is acknowledged; afterwards writing goes on."""
    count = lambda: reader.sandbox.control("GET", "/_sandbox/client")["acknowledged"]  # noqa: E731
    reader.call("docker", "compose", "-f", "/opt/guestbook/compose.yaml", "stop")
    before = count()
    assert reader.sandbox.control("GET", "/_sandbox/client")["service"] == ""
    assert reader.sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"] == []
    reader.call("docker", "compose", "-f", "/opt/guestbook/compose.yaml", "start")
    wait_until(lambda: count() > before, "the client writes again")
    assert reader.sandbox.control("GET", "/_sandbox/client")["missing"] == 0


def test_ids_are_the_same_in_every_sandbox(reader, start_sandbox):
    """Two sandboxes have the same ids, so that a committed parameters file fits."""
    other = Reader(start_sandbox())

    def same(one):
        target = one.parameters["target"]
        return one.instance_id, one.volume_id, target["vpc_id"], target["subnet_ids"]

    assert same(other) == same(reader)


def test_killed_sandbox_leaves_no_process(start_sandbox, wait_until):
    """SIGKILL of the daemon ends container and client too."""
    sandbox = start_sandbox()
    facts = json.loads((sandbox.state_dir / "daemon.json").read_text())
    mark = str(sandbox.state_dir).encode()

    def alive():
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if int(process.name) != os.getpid() and mark in (process / "cmdline").read_bytes():
                    found.append(process.name)
        return found

    assert len(alive()) >= 3
    os.kill(facts["pid"], signal.SIGKILL)
    wait_until(lambda: not alive(), "every process has ended")


@pytest.mark.parametrize(
    ("option", "child", "table"), [("partitioned-disk", ("part", "ext4"), "dos"), ("lvm", ("lvm", "ext4"), None)]
)
def test_estate_with_a_layer_below_its_filesystem(start_sandbox, option, child, table):
    """The service runs from a partition or logical volume that REX-Ray would format over."""
    disk = Reader(start_sandbox(estate_options=[option])).disk()
    assert (disk["pttype"], disk["mountpoint"]) == (table, None)
    assert [(one["type"], one["fstype"], one["mountpoint"]) for one in disk["children"]] == [(*child, "/srv/guestbook")]


def test_estate_with_a_busy_mount(start_sandbox, wait_until):
    """After compose has stopped, a backup agent still holds the mount."""
    reader = Reader(start_sandbox(estate_options=["busy-mount"]))
    reader.call("docker", "compose", "-f", "/opt/guestbook/compose.yaml", "stop")
    answer = reader.call("umount", "/srv/guestbook")
    assert (answer["exit_code"], "target is busy" in answer["stderr"]) == (32, True)
    assert reader.call("systemctl", "is-active", "backup-agent")["stdout"].strip() == "active"


def test_estate_with_other_traps(start_sandbox):
    """A second volume of the target's name, a folder `data` of the volume's own, a volume in another zone."""
    reader = Reader(start_sandbox(estate_options=["duplicate-name", "data-directory", "volume-in-other-az"]))
    names = [
        tag["Value"]
        for v in reader.ec2.describe_volumes()["Volumes"]
        for tag in v.get("Tags", [])
        if tag["Key"] == "Name"
    ]
    assert "guestbook-data" in names
    assert reader.volume()["AvailabilityZone"] == "us-east-1b"
    text = "import os; print(oct(os.stat('/srv/guestbook/data').st_mode), os.listdir('/srv/guestbook/data'))"
    assert reader.call("python3", "-c", text)["stdout"].strip() == "0o40755 ['visitors.csv']"


def test_unknown_option_is_refused():
    """An option that does not exist names those that do."""
    with pytest.raises(SandboxError, match="partitioned-disk"):
        estate.build(None, ["nonsense"])


def test_the_approver_is_somebody_else(sandbox):
    """The credentials file has a second profile, of an identity of its own: approvals can be tried by one person."""
    at = {"endpoint_url": sandbox.endpoint_url, "credentials_file": sandbox.state_dir / "credentials"}

    def identity(profile):
        return Aws(region="us-east-1", profile=profile, **at).call("sts", "get_caller_identity")["Arn"]

    assert identity("approver").endswith(":user/approver")
    assert identity("sandbox") != identity("approver")

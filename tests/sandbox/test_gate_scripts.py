"""The gate's host scripts on hosts with the volume plugin: what they hold, what they see, what they leave."""

import base64
import gzip
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sandbox.rexray_harbour import Harbour

from runbook_lib.host_scripts import source

LOADER = (
    'import base64,sys;n={"__name__":"host_script"};'
    'exec(compile(base64.b64decode(sys.argv[1]),"host_script","exec"),n);'
    'sys.exit(n["answer"](n["main"],base64.b64decode(sys.argv[2]).decode()))'
)
PAUSE = "amazon/amazon-ecs-pause:0.1.0"
UUID = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
NUMBERS = itertools.count(1)


class Quay(Harbour):
    """A harbour whose hosts run our host scripts, and volumes with files as old as those of real volumes."""

    def script(self, host, script, /, **arguments):
        """Run a host script; return the JSON document it printed."""
        coded = [base64.b64encode(text.encode()).decode() for text in (source(script), json.dumps(arguments))]
        answer = self.call(host, "python3", "-c", LOADER, *coded)
        document = json.loads(answer["stdout"])
        if document.get("paged"):
            content = self.ok(host, "python3", "-c", f"print(open({document['paged']['path']!r}).read())")
            document["result"] = json.loads(gzip.decompress(base64.b64decode(content)))
        return document

    def result(self, host, script, /, **arguments):
        """Run a script that must succeed and return its result."""
        document = self.script(host, script, **arguments)
        assert document["ok"], document
        return document["result"]

    def filled(self, name):
        """Make a named volume with a sentinel and some files, none of them young; return its id."""
        volume_id = self.volume(name, fstype="")
        self.format(volume_id, fstype="ext4", fs_uuid=UUID)
        files = self.files(volume_id)
        (files / ".runbook").mkdir(mode=0o700)
        (files / ".runbook" / "sentinel.json").write_text("{}")
        (files / "uploads").mkdir()
        for number in range(40):
            (files / "uploads" / f"{number}").write_text(f"content {number}")
        time.sleep(0.15)
        return volume_id

    def described(self, volume_id, run_id):
        """Return the manifest of a volume as its source host would have built it, a hot one before it."""
        host, path = self.hosts["other"], "/mnt/source"
        self.ok("other", "python3", "-c", f"import os; os.makedirs({path!r}, exist_ok=True)")
        self.ec2.attach_volume(VolumeId=volume_id, InstanceId=host, Device="/dev/sdh")
        self.wait_until(lambda: self.account.attachment(volume_id)["State"] == "attached", "it is attached")
        device = self.device("other", volume_id)
        self.ok("other", "mount", device, path)
        self.result("other", "build_manifest", run_id=run_id, name="hot", root=path)
        (self.files(volume_id) / "uploads" / "7").write_text("changed in the last moment")
        before = self.result(
            "other", "build_manifest", run_id=run_id, name="before", root=path, previous="hot", seed=run_id
        )
        self.ok("other", "umount", path)
        self.ec2.detach_volume(VolumeId=volume_id)
        self.wait_until(lambda: not self.attached(volume_id), "it is detached")
        return before

    def device(self, host, volume_id):
        """Return a volume's device on a host."""
        serial = volume_id.replace("-", "")
        rows = lambda: json.loads(self.ok(host, "lsblk", "--json", "-p", "-o", "NAME,SERIAL"))["blockdevices"]  # noqa: E731
        found = lambda: [row["name"] for row in rows() if row["serial"] == serial]  # noqa: E731
        return self.wait_until(found, f"{volume_id} shows")[0]

    def attached(self, volume_id):
        """Return where a volume is attached."""
        (volume,) = self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
        return [one["InstanceId"] for one in volume["Attachments"]]

    def verify(self, host, name, volume_id, before, **changes):
        """Run the gate's script as the runbook does."""
        gate = {"volume_name": name, "plugin_alias": "rexray/ebs", "image": PAUSE}
        arguments = {
            "run_id": name, "name": "at-start", "gate": gate, "volume_id": volume_id, "filesystem_uuid": UUID,
            "since_ns": before["since_ns"], "files": before["files"], "bytes": before["bytes"],
            "seed": name, "budget_s": 5,
        }  # fmt: skip
        return self.script(host, "verify_before_start", **(arguments | changes))


@pytest.fixture(scope="module")
def quay(sandbox, account, wait_until):
    """Return hosts with the plugin and our root settings, shared by the tests of this module."""
    harbour = Quay(sandbox, account, wait_until)
    harbour.ok("a", "docker", "pull", PAUSE)
    root = "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH=/"
    harbour.configured("a", root, "LINUX_VOLUME_ROOTPATH=/.runbook", "LINUX_VOLUME_FILEMODE=0700")
    return harbour


@pytest.fixture
def name(quay):
    """Return a volume name of the test's own; containers that it leaves are removed."""
    yield f"gate-{next(NUMBERS)}"
    for line in quay.ok("a", "docker", "ps", "-aq").split():
        quay.call("a", "docker", "rm", "-f", line)


def test_an_unchanged_volume_has_the_digests_of_the_source(quay, name):
    """Identity, metadata, sentinel, what changed and every sample are what the source host saw; the volume is held."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)

    seen = quay.verify("a", name, volume_id, before)["result"]

    assert (seen["volume_id"], seen["filesystem_uuid"], seen["below_mount"]) == (volume_id, UUID, "")
    assert seen["metadata_sha256"] == before["metadata_sha256"]
    assert seen["sentinel_sha256"]
    assert seen["groups"] == before["groups"]
    assert (seen["changed_files"], seen["sampled_files"]) == (1, 41)
    assert quay.attached(volume_id) == [quay.hosts["a"]]


@pytest.mark.parametrize("spoil", ["metadata", "changed content", "other content", "missing"])
def test_whatever_changed_in_between_is_seen(quay, name, spoil):
    """Another mode, another content with the same size and times, a missing file: a digest differs."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    uploads = quay.files(volume_id) / "uploads"
    victim = uploads / ("7" if spoil == "changed content" else "9")
    facts = victim.stat()
    if spoil == "metadata":
        victim.chmod(0o600)
    elif spoil == "missing":
        victim.unlink()
    else:
        victim.write_bytes(b"x" * facts.st_size)
        import os

        os.utime(victim, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    seen = quay.verify("a", name, volume_id, before)["result"]

    same_metadata = seen["metadata_sha256"] == before["metadata_sha256"]
    same_contents = all(group == before["groups"].get(key) for key, group in seen["groups"].items())
    assert (same_metadata, same_contents and spoil != "missing") == {
        "metadata": (False, False),
        "missing": (False, False),
        "changed content": (True, False),
        "other content": (True, False),
    }[spoil]


def test_the_gate_is_used_again_and_handed_over_without_a_second_attachment(quay, name):
    """Run twice there is one container; a task that starts shares the attachment and keeps it when the gate goes."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    quay.verify("a", name, volume_id, before)
    device = quay.account.attachment(volume_id)["Device"]
    quay.verify("a", name, volume_id, before)
    gates = quay.ok("a", "docker", "ps", "-q", "--filter", "name=runbook-gate").split()
    assert len(gates) == 1

    assert quay.run("a", name, name=f"task-{name}")["exit_code"] == 0
    released = quay.result("a", "release_gate", volume_id=volume_id, change=True)

    assert released == {"was_present": True, "present": False}
    assert quay.account.attachment(volume_id)["Device"] == device
    assert "'uploads'" in quay.listed("a", name=f"task-{name}")


def test_a_gate_that_was_left_behind_is_removed_and_the_volume_let_go(quay, name):
    """Without a task the plugin detaches when the gate goes; removing it twice changes nothing more."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    quay.verify("a", name, volume_id, before)

    assert quay.result("a", "release_gate", volume_id=volume_id, change=False)["present"]
    assert quay.attached(volume_id) == [quay.hosts["a"]]
    quay.result("a", "release_gate", volume_id=volume_id, change=True)

    quay.wait_until(lambda: not quay.attached(volume_id), "the volume is detached")
    assert quay.result("a", "release_gate", volume_id=volume_id, change=True)["was_present"] is False


def test_a_gate_container_that_stopped_is_replaced(quay, name):
    """A container that a reboot or a kill stopped is removed and a new one holds the volume."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    quay.verify("a", name, volume_id, before)
    quay.ok("a", "docker", "kill", f"runbook-gate-{volume_id}")
    quay.wait_until(lambda: not quay.attached(volume_id), "the volume is detached")

    seen = quay.verify("a", name, volume_id, before)["result"]

    assert seen["metadata_sha256"] == before["metadata_sha256"]


def test_a_name_that_the_plugin_does_not_find_starts_nothing(quay, name):
    """The plugin would make an empty volume; the script looks first, as the agent does, and refuses."""
    answer = quay.verify("a", name, "vol-0123456789abcdef0", {"since_ns": 0, "files": 1, "bytes": 1})
    assert (answer["ok"], answer["error"]["kind"]) == (False, "no-volume")
    assert quay.named(name) == []


def test_sent_ahead_it_takes_the_volume_when_it_gets_the_name(quay, name):
    """Until then nothing is started or attached; then the volume is verified like any other."""
    volume_id = quay.filled(f"before-{name}")
    before = quay.described(volume_id, name)
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(quay.verify, "a", name, volume_id, before, wait_s=60)
        time.sleep(1.0)
        assert (sent.done(), quay.attached(volume_id), quay.named(name)) == (False, [], [])
        quay.ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "Name", "Value": name}])
        seen = sent.result()["result"]

    assert (seen["volume_id"], seen["metadata_sha256"]) == (volume_id, before["metadata_sha256"])
    assert seen["groups"] == before["groups"]
    assert quay.attached(volume_id) == [quay.hosts["a"]]


def test_two_of_them_follow_one_another(quay, name):
    """One that was left behind by a killed runbook and the next: both say the same, and one container holds."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(quay.verify, "a", name, volume_id, before) for _ in range(2)]
        digests = {one.result()["result"]["metadata_sha256"] for one in both}

    assert digests == {before["metadata_sha256"]}
    assert len(quay.ok("a", "docker", "ps", "-q", "--filter", "name=runbook-gate").split()) == 1


def test_a_container_that_holds_another_folder_than_was_read_is_read_itself(quay, name):
    """With the plugin's own root path the container gets a folder below the mount: that is what is described."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    root = "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH="
    quay.configured("a", f"{root}/data")
    try:
        seen = quay.verify("a", name, volume_id, before)["result"]
    finally:
        quay.call("a", "docker", "rm", "-f", f"runbook-gate-{volume_id}")
        quay.configured("a", f"{root}/")

    assert seen["below_mount"] == "data"
    assert seen["metadata_sha256"] != before["metadata_sha256"]


def test_another_volume_of_the_name_is_not_mounted(quay, name):
    """A volume that is not the expected one is told apart before anything is attached."""
    volume_id = quay.filled(name)
    answer = quay.verify("a", name, "vol-0123456789abcdef0", {"since_ns": 0, "files": 1, "bytes": 1})
    assert (answer["ok"], answer["error"]["kind"]) == (False, "other-volume")
    assert quay.attached(volume_id) == []


def test_another_filesystem_is_told_before_it_is_read(quay, name):
    """When the filesystem's UUID differs nothing on it is described."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    seen = quay.verify("a", name, volume_id, before, filesystem_uuid="other")["result"]
    assert (seen["filesystem_uuid"], "metadata_sha256" in seen) == (UUID, False)


def test_an_image_that_is_not_on_the_host_is_not_pulled(quay, name):
    """Without the image nothing is started."""
    volume_id = quay.filled(name)
    gate = {"volume_name": name, "plugin_alias": "rexray/ebs", "image": "registry.sandbox/none:1"}
    answer = quay.verify("a", name, volume_id, {"since_ns": 0, "files": 1, "bytes": 1}, gate=gate)
    assert (answer["ok"], answer["error"]["kind"]) == (False, "no-gate-image")
    assert quay.attached(volume_id) == []


def test_a_mount_that_is_there_already_needs_no_container(quay, name):
    """Where the host has the volume mounted, the path is described and nothing is started."""
    volume_id = quay.filled(name)
    before = quay.described(volume_id, name)
    assert quay.run("a", name, name=f"task-{name}")["exit_code"] == 0
    (row,) = json.loads(
        quay.ok("a", "findmnt", "--json", "-o", "TARGET", "--source", quay.device("a", volume_id))
    )["filesystems"]  # fmt: skip

    seen = quay.verify("a", name, volume_id, before, gate={"mount_path": row["target"]})["result"]

    assert seen["metadata_sha256"] == before["metadata_sha256"]
    assert quay.ok("a", "docker", "ps", "-aq", "--filter", "name=runbook-gate") == ""

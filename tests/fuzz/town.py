"""The town of the crash matrix, for sequences of commands: operators, incidents, and who wrote to the volume when."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from botocore.exceptions import ClientError

from runbook_lib.errors import SandboxError
from runbook_lib.procedures.observations import POINT_TAG
from tests.crash.town import Ended, Town
from tests.fuzz.writers import Writers

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "/dev/sdf"
LEGACY_NAME = "guestbook-legacy-data"
PATIENCE_S, LONG_PATIENCE_S = 15.0, 60.0
"""How long a command waits for one thing: a fault that lasts is not waited out; and how long when nothing is wrong."""
MOST_LOOKS = 40


class FuzzTown(Town):
    """A sandbox with a provisioned target, any number of runs and operators in it, and a record of all writers.

    Args:
        folder: Where its files may go.
        driver: The storage driver.
    """

    def __init__(self, folder, driver):
        super().__init__(folder, driver)
        self._operators = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | self.environment,
        )
        self._outputs = itertools.count(1)
        self._running = {}
        self.is_broken = False
        """Whether a sequence was not brought to its end."""
        for service in ("autoscaling", "ec2", "ecs", "ssm"):
            self.sandbox.client(service).meta.events.register("needs-retry", look_again)
        self.volume_id = self.migration["volume"]["volume_id"]
        self.source_id = self.migration["source"]["instance_id"]
        self.writers = Writers(Path(self.sandbox.state_dir) / "events.jsonl", self.volume_id)

    def stop(self):
        """End whatever runs, and the sandbox."""
        for pid in list(self._running):
            self.kill(pid)
        self._operators.stdin.close()
        self._operators.wait(timeout=30)
        self._operators.stdout.close()
        super().stop()

    def _ask(self, request):
        self._operators.stdin.write(json.dumps(request) + "\n")
        self._operators.stdin.flush()
        return json.loads(self._operators.stdout.readline())

    def begin(self, *argv, step_id="", strike="", patience_s=PATIENCE_S):
        """Begin a command in a process group of its own; return its pid."""
        output = self.archive.parent / f"output-{next(self._outputs)}"
        request = {"argv": [str(one) for one in argv], "output": str(output), "step_id": step_id, "strike": strike}
        pid = self._ask(request | {"patience_s": patience_s})["pid"]
        self._running[pid] = output
        return pid

    def end(self, pid):
        """Wait for a command's end; return how it ended."""
        exit_code = self._ask({"wait": pid})["exit_code"]
        output = self._running.pop(pid)
        return Ended(exit_code, output.read_text("utf-8", "replace") if output.exists() else "")

    def command(self, *argv, **strike):
        """Run a command to its end."""
        return self.end(self.begin(*argv, **strike))

    def kill(self, pid):
        """Kill a command's whole process group; return how it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return self.end(pid)

    def is_paused(self, pid):
        """Wait until a command pauses before the step it was to pause at; return False when it ended without."""
        mark = Path(f"{self._running[pid]}.paused")
        while not mark.exists():
            with contextlib.suppress(ProcessLookupError):
                state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
                if state not in {"Z", "X"}:
                    time.sleep(0.02)
                    continue
            return mark.exists()
        return True

    def let_go(self, pid):
        """Let a paused command go on; return how it ended."""
        Path(f"{self._running[pid]}.go").touch()
        return self.end(pid)

    def fault(self, name, **options):
        """Switch a fault on; return False when the sandbox says that there is nothing to strike."""
        given = {key: value for key, value in options.items() if value not in {None, ""}}
        try:
            self.sandbox.control("POST", "/_sandbox/faults", {"name": name, **given})
        except SandboxError:
            return False
        return True

    def clear_faults(self):
        """Switch every fault off."""
        self.sandbox.control("DELETE", "/_sandbox/faults")

    def by_hand(self, operation, **arguments):
        """Do in EC2 what somebody does by hand; return False when EC2 refuses."""
        try:
            getattr(self.sandbox.client("ec2"), operation)(**arguments)
        except ClientError:
            return False
        return True

    def hosts(self):
        """Return the ids of the target's hosts that are not terminated, by state."""
        group = self.sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        members = [one["InstanceId"] for each in group for one in each["Instances"]]
        return [one for one in members if self.state_of(one) == "running"]

    def state_of(self, instance_id):
        """Return the state of an instance."""
        answer = self.sandbox.client("ec2").describe_instances(InstanceIds=[instance_id])
        return answer["Reservations"][0]["Instances"][0]["State"]["Name"]

    def attachments(self):
        """Return (instance, device, state) of each attachment of the volume."""
        (volume,) = self.sandbox.client("ec2").describe_volumes(VolumeIds=[self.volume_id])["Volumes"]
        return [(one["InstanceId"], one["Device"], one["State"]) for one in volume["Attachments"]]

    def tags(self):
        """Return the volume's tags."""
        (volume,) = self.sandbox.client("ec2").describe_volumes(VolumeIds=[self.volume_id])["Volumes"]
        return {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}

    def mend(self):
        """Mend what messages ask the operator to mend: faults, twins, a source without power, a useless target host."""
        self.clear_faults()
        ec2 = self.sandbox.client("ec2")
        wanted = self.migration["storage"][self.storage_driver]["volume_name"]
        for volume in ec2.describe_volumes()["Volumes"]:
            names = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
            is_twin = names.get("Name") in {LEGACY_NAME, wanted, self.tags().get("Name")} and POINT_TAG not in names
            if volume["VolumeId"] != self.volume_id and is_twin:
                self.by_hand("create_tags", Resources=[volume["VolumeId"]], Tags=[{"Key": "Name", "Value": "twin"}])
        self.start_source()
        self.wait_for_target()

    def start_source(self):
        """Start the source again when it has no power, and wait until commands reach it."""
        if not self.is_online(self.source_id):
            if self.state_of(self.source_id) == "running":  # it lost its power: stopped and started, as one does
                self.by_hand("stop_instances", InstanceIds=[self.source_id], Force=True)
            self.wait(lambda: self.state_of(self.source_id) in {"running", "stopped"}, "the source is off")
            self.by_hand("start_instances", InstanceIds=[self.source_id])
            self.wait(lambda: self.is_online(self.source_id), "commands reach the source")

    def unmount_source(self):
        """Stop the compose project and unmount the volume on the source, by hand."""
        compose = self.migration["source"]["compose_file"]
        for argv in (["docker", "compose", "-f", compose, "stop"], ["umount", self.migration["volume"]["mount_path"]]):
            self.sandbox.control("POST", f"/_sandbox/hosts/{self.source_id}/call", {"argv": argv})

    def replace_target(self):
        """Terminate the target's hosts: their group launches others."""
        for instance_id in self.hosts():
            self.by_hand("terminate_instances", InstanceIds=[instance_id])
            self.wait(lambda one=instance_id: self.state_of(one) == "terminated", f"{instance_id} is terminated")
        self.wait_for_target()

    def wait_for_target(self):
        """Wait until ECS knows a host of the target with the storage driver; replace one that lost its plugin."""
        if not self.has_target() and any(not self.has_plugin(one) for one in self.hosts()):
            self.by_hand("terminate_instances", InstanceIds=self.hosts())
        self.wait(self.has_target, "the target has a host")

    def has_target(self):
        """Return whether a connected container instance with the storage driver is there."""
        ecs, cluster = self.sandbox.client("ecs"), self.migration["target"]["cluster_name"]
        arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns) if arns else {}
        usable = [one["ec2InstanceId"] for one in found.get("containerInstances", []) if one["agentConnected"]]
        return any(self.state_of(one) == "running" and self.has_plugin(one) for one in usable)

    def has_plugin(self, instance_id):
        """Return whether a host has an enabled volume plugin, or needs none."""
        if self.storage_driver == "host_mount":  # it joins with its unit, which no fault takes away
            return True
        call = {"argv": ["docker", "plugin", "ls", "--format", "{{.Enabled}}"]}
        try:
            answer = self.sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", call)
        except SandboxError:
            return False
        return "true" in answer["stdout"]

    def is_online(self, instance_id):
        """Return whether commands reach a host."""
        listed = self.sandbox.client("ssm").describe_instance_information()["InstanceInformationList"]
        return any(one["InstanceId"] == instance_id and one["PingStatus"] == "Online" for one in listed)

    def wait(self, ask, what):
        """Ask until the answer is true."""
        deadline = time.monotonic() + LONG_PATIENCE_S
        while not ask():
            assert time.monotonic() < deadline, f"after {LONG_PATIENCE_S:g} s still not so: {what}"
            time.sleep(0.05)

    def completed(self, run_id):
        """Return the notebooks that a run completed since it last went back."""
        done = set()
        for line in (self.archive / run_id / "journal.jsonl").read_text("utf-8").splitlines():
            event = json.loads(line)
            if event["kind"] == "notebook-finished" and event["status"] == "completed":
                done = set() if event["notebook"] == "90_roll_back" else done | {event["notebook"]}
        return done

    def dead_holder(self):
        """Return the run that holds the lease without a process, "" when none does; asked when no command runs."""
        records = [json.loads(path.read_text("utf-8")) for path in (self.archive / ".leases").glob("*.json")]
        return next((one["run_id"] for one in records if not one["released_utc"]), "")

    def missing(self):
        """Return how many acknowledged writes the serving container does not show; None when nobody serves."""
        return self.sandbox.control("GET", "/_sandbox/client")["missing"]

    def status(self):
        """Return what `runbook sandbox status` is made of: every host with its containers, and the client."""
        return self.sandbox.control("GET", "/_sandbox/status"), self.sandbox.control("GET", "/_sandbox/client")

    def as_at_first(self):
        """Bring back what the estate had at first, once compose serves again: no tags, no points, no lease."""
        ec2 = self.sandbox.client("ec2")
        self.by_hand("create_tags", Resources=[self.volume_id], Tags=[{"Key": "Name", "Value": LEGACY_NAME}])
        own = [{"Key": key} for key in self.tags() if key.startswith("runbook:")]
        if own:
            ec2.delete_tags(Resources=[self.volume_id], Tags=own)
        ec2.modify_instance_attribute(
            InstanceId=self.source_id,
            BlockDeviceMappings=[{"DeviceName": self.attachments()[0][1], "Ebs": {"DeleteOnTermination": True}}],
        )
        for volume in ec2.describe_volumes()["Volumes"]:
            tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
            if POINT_TAG in tags or tags.get("Name") == "twin":
                self.by_hand("delete_volume", VolumeId=volume["VolumeId"])
        for snapshot in ec2.describe_snapshots(Filters=[{"Name": "tag-key", "Values": [POINT_TAG]}])["Snapshots"]:
            self.by_hand("delete_snapshot", SnapshotId=snapshot["SnapshotId"])
        self.command("lease", "take-over", "-f", self.parameters, "--reason", "the sequence is over")


def look_again(attempts, operation, response, **_):
    """Tell boto3 to ask again when a fault struck the test's own look: it strikes so many times and no more."""
    is_refused = response is not None and "Error" in response[1] and operation.name.startswith("Describe")
    return 0.02 if is_refused and attempts < MOST_LOOKS else None

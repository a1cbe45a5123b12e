"""What an operator, or bad luck, does to the world by hand between two cases."""

from __future__ import annotations

import json
import os
import subprocess
import time

from runbook_lib.adapters.terraform import find_binary
from runbook_lib.procedures.target_root import VOLUME_ADDRESS
from tests.crash.strikes import WAY_BACK

STOP_COMPOSE = "docker compose -f /opt/guestbook/compose.yaml -p guestbook stop"
LIMIT_S = 60


def wait_until(ask, what):
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"after {LIMIT_S} s still not so: {what}"
        time.sleep(0.1)
    return answer


def command(town, line, instance_id=""):
    """Run one command on an instance, the source when none is named; return what it printed."""
    ssm = town.sandbox.client("ssm")
    instance_id = instance_id or town.migration["source"]["instance_id"]
    sent = ssm.send_command(
        InstanceIds=[instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": [line]},
    )
    names = {"CommandId": sent["Command"]["CommandId"], "InstanceId": instance_id}

    def ended():
        try:
            answer = ssm.get_command_invocation(**names)
        except ssm.exceptions.InvocationDoesNotExist:  # in the first moments
            return None
        return answer if answer["Status"] not in {"Pending", "InProgress"} else None

    return wait_until(ended, line)["StandardOutputContent"]


def mount_read_only(town):
    """Let compose mount the volume read-only on the source, so that the service is one that only reads it."""
    (file,) = town.sandbox.state_dir.rglob("opt/guestbook/compose.yaml")
    file.write_text(file.read_text("utf-8").replace("/srv/guestbook:/data", "/srv/guestbook:/data:ro"), "utf-8")
    command(town, "docker compose -f /opt/guestbook/compose.yaml -p guestbook up -d")


def stop_source(town):
    """Stop the source instance, its visitors sent away before."""
    town.sandbox.control("POST", "/_sandbox/client", {"running": False})
    instance_id = town.migration["source"]["instance_id"]
    town.sandbox.client("ec2").stop_instances(InstanceIds=[instance_id])
    wait_until(lambda: state(town) == "stopped", "the source is stopped")


def revive_source(town, *, starts_itself=False):
    """Start the source instance; where compose starts by itself, on the empty directory, it is stopped at once."""
    town.sandbox.control("POST", "/_sandbox/client", {"running": False})
    wait_until(lambda: state(town) == "stopped", "the source is stopped")
    town.sandbox.client("ec2").start_instances(InstanceIds=[town.migration["source"]["instance_id"]])
    wait_until(lambda: is_online(town), "the source is online")
    if starts_itself:
        wait_until(lambda: "Up" in command(town, "docker ps"), "compose started by itself")
        command(town, STOP_COMPOSE)
    assert "Up" not in command(town, "docker ps"), "the source serves beside the target"
    town.has_one_writer()
    town.sandbox.control("POST", "/_sandbox/client", {"running": True})


def state(town):
    """Return the state of the source instance."""
    answer = town.sandbox.client("ec2").describe_instances(InstanceIds=[town.migration["source"]["instance_id"]])
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def is_online(town):
    """Return whether commands reach the source."""
    listed = town.sandbox.client("ssm").describe_instance_information()["InstanceInformationList"]
    return any(
        i["InstanceId"] == town.migration["source"]["instance_id"] and i["PingStatus"] == "Online" for i in listed
    )


def bring_source_back(town, run_id):
    """Start the source again where 50 stopped it: until then the way back is refused; say so, or return ""."""
    if state(town) == "running":
        return ""
    ended = town.drive(run_id, WAY_BACK)
    assert (ended.exit_code, "Changed: no" in ended.output) == (3, True), ended.output
    assert "start the instance" in ended.output, ended.output
    town.has_every_write()
    revive_source(town)
    return "refused while the source is stopped, it changes nothing; after its start: "


def forget_adoption(town):
    """Take the data volume out of Terraform's state again, where an earlier case left it."""
    folder = town.archive / town.run_id / "terraform"
    done = subprocess.run(
        [str(find_binary(os.environ | town.environment)), "state", "rm", "-lock-timeout=30s", VOLUME_ADDRESS],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or "Invalid target address" in done.stderr, done.stderr


def remove_log_group(town):
    """Delete what a plan then wants to make again, and what takes it a second: the log group of the service."""
    logs = town.sandbox.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])


def remove_image(town):
    """Remove the container image from every container instance."""
    instances = town.sandbox.client("ec2").describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
    )
    mine = town.migration["source"]["instance_id"]
    found = [i["InstanceId"] for r in instances["Reservations"] for i in r["Instances"] if i["InstanceId"] != mine]
    mapping = json.loads((town.archive / town.run_id / "evidence" / "task-mapping.json").read_text("utf-8"))
    for instance_id in found:
        command(town, f"docker image rm {mapping['image']}", instance_id)


def force_detach(town, run_id):
    """Tear the volume from the stopped source as an operator does, and start the source again."""
    stop_source(town)
    ended = town.drive(run_id, "force_detach")
    assert ended.exit_code == 0, ended.output
    revive_source(town, starts_itself=True)

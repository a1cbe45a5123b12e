"""SSM Run Command of the sandbox: commands are delivered, really run, fail for real, and are cut where AWS cuts."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture(scope="module")
def instance_id(account: Any) -> str:
    """Return an instance whose SSM agent is online."""
    return account.booted(account.running())


def _send(account: Any, instance_id: str, *commands: str, **parameters: list[str]) -> str:
    answer = account.sandbox.client("ssm").send_command(
        InstanceIds=[instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(commands), **parameters},
    )
    return answer["Command"]["CommandId"]


def _invocation(account: Any, command_id: str, instance_id: str) -> dict[str, Any]:
    ssm = account.sandbox.client("ssm")
    try:
        return ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except ssm.exceptions.InvocationDoesNotExist:
        return {"Status": "not there yet"}


def _finished(account: Any, command_id: str, instance_id: str) -> dict[str, Any]:
    open_states = {"not there yet", "Pending", "InProgress"}
    account.wait_until(
        lambda: _invocation(account, command_id, instance_id)["Status"] not in open_states, "the command has ended"
    )
    return _invocation(account, command_id, instance_id)


def test_a_command_really_runs_on_the_host(account: Any, instance_id: str) -> None:
    """Output and exit code are those of the processes on the host."""
    ended = _finished(account, _send(account, instance_id, "python3 -c 'import os; print(6 * 7)'"), instance_id)
    assert (ended["Status"], ended["ResponseCode"], ended["StandardOutputContent"].strip()) == ("Success", 0, "42")


def test_a_command_runs_on_the_named_host_and_on_no_other(account: Any, instance_id: str) -> None:
    """Neither the source host nor any other instance gets a command that was sent to one host."""
    command_id = _send(account, instance_id, "python3 -c 'print(1)'")
    _finished(account, command_id, instance_id)
    ssm = account.sandbox.client("ssm")
    invocations = ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
    (command,) = ssm.list_commands(CommandId=command_id)["Commands"]
    assert [one["InstanceId"] for one in invocations] == command["InstanceIds"] == [instance_id]


def test_a_failing_command_fails_with_its_own_exit_code(account: Any, instance_id: str) -> None:
    """A command that ends with 7 is Failed with response code 7 and keeps its standard error."""
    script = "python3 -c 'import sys; sys.stderr.write(\"broken\"); sys.exit(7)'"
    ended = _finished(account, _send(account, instance_id, script), instance_id)
    assert (ended["Status"], ended["ResponseCode"]) == ("Failed", 7)
    assert "broken" in ended["StandardErrorContent"]


def test_long_output_is_cut_at_24000_characters(account: Any, instance_id: str) -> None:
    """GetCommandInvocation shows at most 24,000 characters."""
    ended = _finished(account, _send(account, instance_id, "python3 -c 'print(\"x\" * 30000)'"), instance_id)
    assert len(ended["StandardOutputContent"]) == 24000
    assert ended["StandardOutputContent"].endswith("---Output truncated---")


def test_a_command_is_seen_in_progress_and_times_out(account: Any, instance_id: str) -> None:
    """A command that takes longer than executionTimeout is InProgress, then TimedOut."""
    script = "python3 -c 'import time; time.sleep(30)'"
    command_id = _send(account, instance_id, script, executionTimeout=["1"])
    account.wait_until(
        lambda: _invocation(account, command_id, instance_id)["Status"] == "InProgress", "the command runs"
    )
    assert _finished(account, command_id, instance_id)["Status"] == "TimedOut"


def test_a_host_that_is_not_online_is_refused(account: Any, error_of: Any) -> None:
    """SendCommand to an instance that does not exist or has not booted is InvalidInstanceId."""
    assert error_of(lambda: _send(account, "i-0123456789abcdef0", "true")) == "InvalidInstanceId"
    assert error_of(lambda: _send(account, account.launch(), "true")) == "InvalidInstanceId"


def test_a_host_without_permission_never_registers(account: Any, error_of: Any) -> None:
    """Without an instance profile the SSM agent cannot register, however long the instance runs."""
    silent = account.ec2.run_instances(
        ImageId="ami-0a12023d5f1e0c001", InstanceType="t3.small", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    account.booted(silent)
    assert error_of(lambda: _send(account, silent, "true")) == "InvalidInstanceId"


def test_the_list_of_hosts_follows_them(account: Any) -> None:
    """DescribeInstanceInformation shows a host Online, and ConnectionLost after it was stopped."""
    ssm, instance_id = account.sandbox.client("ssm"), account.booted(account.running())

    def ping() -> str:
        filters = [{"Key": "InstanceIds", "Values": [instance_id]}]
        return ssm.describe_instance_information(Filters=filters)["InstanceInformationList"][0]["PingStatus"]

    assert ping() == "Online"
    account.ec2.stop_instances(InstanceIds=[instance_id])
    account.wait_until(lambda: ping() == "ConnectionLost", "the connection is lost")


def test_other_documents_are_not_there(account: Any, instance_id: str, error_of: Any) -> None:
    """Only AWS-RunShellScript exists."""
    ssm = account.sandbox.client("ssm")
    code = error_of(lambda: ssm.send_command(InstanceIds=[instance_id], DocumentName="AWS-RunPowerShellScript"))
    assert code == "InvalidDocument"


def test_the_recommended_image_is_json(account: Any) -> None:
    """The recommended parameter is a JSON text that names the same image as the parameter below it."""
    ssm = account.sandbox.client("ssm")
    name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended"
    facts = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    assert facts["image_id"] == ssm.get_parameter(Name=f"{name}/image_id")["Parameter"]["Value"]
    assert account.ec2.describe_images(ImageIds=[facts["image_id"]])["Images"][0]["Architecture"] == "x86_64"

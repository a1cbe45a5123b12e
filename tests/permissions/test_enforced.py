"""The sandbox with the operator's policy in force from its start: what is refused, and how it says so."""

from __future__ import annotations

import json
import sys

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from runbook_lib import permissions
from runbook_lib.cli import main
from runbook_lib.parameters import load


def invoke(*words):
    """Call the command line in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def foreign(sandbox, wait_until):
    """Return a volume and a host that are not the migration's, made before anybody is judged; then judge."""
    ec2 = sandbox.client("ec2")
    (source,) = (one for reservation in ec2.describe_instances()["Reservations"] for one in reservation["Instances"])
    volume = ec2.create_volume(AvailabilityZone=source["Placement"]["AvailabilityZone"], Size=1)["VolumeId"]
    tags = [
        {"Key": "runbook-rehearsal", "Value": "another-cluster"},
        {"Key": "runbook:run-id", "Value": "x-other-0abc"},
    ]
    ec2.create_tags(Resources=[volume], Tags=tags)
    wait_until(
        lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available", "the volume is there"
    )
    ended = invoke("sandbox", "iam", "operator", "--state", sandbox.state_dir)
    assert ended.exit_code == 0, ended.output
    yield {"volume": volume, "source": source["InstanceId"], "data": load(sandbox.parameters_path).volume.volume_id}
    sandbox.control("POST", "/_sandbox/iam", {"policy": None})


def error_of(call):
    """Return the code and the message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


TRIES = {
    "attach": lambda ec2, of: ec2.attach_volume(VolumeId=of["volume"], InstanceId=of["source"], Device="/dev/sdz"),
    "detach": lambda ec2, of: ec2.detach_volume(VolumeId=of["volume"]),
    "delete": lambda ec2, of: ec2.delete_volume(VolumeId=of["volume"]),
    "grow": lambda ec2, of: ec2.modify_volume(VolumeId=of["volume"], Size=2),
    "tag": lambda ec2, of: ec2.create_tags(Resources=[of["volume"]], Tags=[{"Key": "Name", "Value": "guestbook-data"}]),
    "copy": lambda ec2, of: ec2.create_snapshot(VolumeId=of["volume"]),
    "terminate": lambda ec2, of: ec2.terminate_instances(InstanceIds=[of["source"]]),
    "dry run": lambda ec2, of: ec2.delete_volume(VolumeId=of["volume"], DryRun=True),
}


@pytest.mark.parametrize("what", TRIES)
def test_a_foreign_volume_or_host_is_refused_and_stays(sandbox, foreign, what):
    """Nobody with the operator's policy touches what is not the migration's, by AWS's error, and nothing changes."""
    ec2 = sandbox.client("ec2")
    before = ec2.describe_volumes(VolumeIds=[foreign["volume"]])["Volumes"]
    code, said = error_of(lambda: TRIES[what](ec2, foreign))
    assert code == "UnauthorizedOperation"
    assert "is not authorized to perform: ec2:" in said
    assert foreign["source" if what == "terminate" else "volume"] in said
    assert ec2.describe_volumes(VolumeIds=[foreign["volume"]])["Volumes"] == before


def test_the_data_volume_is_never_deleted(sandbox, foreign):
    """An explicit Deny, as AWS says it; and the volume can be tagged as an ephemeral one, which does not help."""
    ec2 = sandbox.client("ec2")
    ec2.create_tags(Resources=[foreign["data"]], Tags=[{"Key": "runbook-rehearsal", "Value": "guestbook"}])
    code, said = error_of(lambda: ec2.delete_volume(VolumeId=foreign["data"]))
    assert (code, "with an explicit deny" in said) == ("UnauthorizedOperation", True)
    ec2.delete_tags(Resources=[foreign["data"]], Tags=[{"Key": "runbook-rehearsal"}])


def test_what_was_refused_is_listed_and_a_new_policy_begins_anew(sandbox, foreign):
    """`runbook sandbox iam` names action and resource; what a former policy refused is not told of the new one."""
    error_of(lambda: sandbox.client("ec2").delete_volume(VolumeId=foreign["volume"]))
    listed = invoke("sandbox", "iam", "--state", sandbox.state_dir)
    line = f"refused     ec2:DeleteVolume on arn:aws:ec2:us-east-1:012345678901:volume/{foreign['volume']}"
    assert (listed.exit_code, line in listed.output.splitlines()) == (0, True)
    anew = invoke("sandbox", "iam", "operator", "--state", sandbox.state_dir)
    assert "enforced, 0 different askings" in anew.output


def test_a_policy_that_cannot_be_judged_leaves_the_former_in_force(sandbox, foreign, tmp_path):
    """A condition that the sandbox does not know is named, with exit code 3, and the operator's policy stays."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "::"}}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "utf-8")
    ended = invoke("sandbox", "iam", file, "--state", sandbox.state_dir)
    assert (ended.exit_code, "operator IpAddress" in ended.output) == (3, True)
    assert "What was in force stays so" in ended.output
    assert error_of(lambda: sandbox.client("ec2").delete_volume(VolumeId=foreign["volume"]))[0]


@pytest.mark.parametrize(("text", "said"), [("nobody", "cannot be read"), ("{", "is no JSON")])
def test_no_policy_at_all_is_a_matter_of_parameters(sandbox, tmp_path, text, said):
    """A file that is not there, or no JSON: exit code 2, with what was expected."""
    file = tmp_path / "policy.json"
    if text != "nobody":
        file.write_text(text, "utf-8")
    ended = invoke("sandbox", "iam", file, "--state", sandbox.state_dir)
    assert (ended.exit_code, said in ended.output) == (2, True)
    assert "operator, requester, approver or auditor" in " ".join(ended.output.split())


def test_each_role_can_be_put_in_force(sandbox):
    """For the sandbox's own migration, without a file; `--off` ends it."""
    for role in ("requester", "approver", "auditor"):
        assert invoke("sandbox", "iam", role, "--state", sandbox.state_dir).exit_code == 0
        wanted = permissions.policy_of(role, permissions.values_of(load(sandbox.parameters_path)))
        assert wanted["Statement"], role
        code, _ = error_of(lambda: sandbox.client("ec2").delete_volume(VolumeId="vol-0123456789abcdef0"))
        assert code == "UnauthorizedOperation"
    assert "iam         off" in invoke("sandbox", "iam", "--off", "--state", sandbox.state_dir).output


LOOK = """
import sys
from runbook_lib import parameters
from runbook_lib.errors import AccessDeniedError
from runbook_lib.run_lease import open_session
session = open_session(parameters.load(sys.argv[1]), "")
session.call("ec2", "describe_volumes")
try:
    session.call("ec2", "terminate_instances", InstanceIds=["i-0123456789abcdef0"])
except AccessDeniedError as error:
    print(error.action)
"""


@pytest.mark.thorough
def test_a_sandbox_does_not_stay_up_without_the_policy_that_was_asked_for(tmp_path):
    """A policy that cannot be read ends `up`, and nothing runs afterwards."""
    state = ("--state", tmp_path / "state")
    ended = invoke("sandbox", "up", "--iam", tmp_path / "none.json", "--port", "0", "--latency", "none", *state)
    assert (ended.exit_code, "cannot be read" in ended.output) == (2, True)
    assert invoke("sandbox", "status", *state).exit_code == 1


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["up", "exec"])
def test_a_sandbox_begins_with_the_policy(tmp_path, how, capfd):
    """`runbook sandbox up --iam` and `exec --iam` judge from the first call on."""
    program = [sys.executable, "-c", LOOK]
    if how == "exec":
        words = ("--iam", "operator", "--latency", "none", "--", *program, "{parameters}")
        ended = invoke("sandbox", "exec", *words)
        said = capfd.readouterr().out
    else:
        state = ("--state", tmp_path / "state")
        ended = invoke("sandbox", "up", "--iam", "operator", "--port", "0", "--latency", "none", *state)
        try:
            said = invoke("sandbox", "iam", *state).output
        finally:
            invoke("sandbox", "down", *state)
    assert ended.exit_code == 0, ended.output
    assert "enforced: operator" in ended.output
    assert ("ec2:TerminateInstances" if how == "exec" else "iam         enforced") in said

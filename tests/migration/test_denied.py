"""AWS does not permit one call: which action, on what, whether anything changed, what to do; and the run goes on."""

from __future__ import annotations

import json
import sys

import pytest

from runbook_lib import permissions
from runbook_lib.parameters import load
from tests.migration.conftest import mutating_calls, only_run, report_of

pytestmark = pytest.mark.slow
ATTACH_THE_POLICY = "attach that policy and run again"


@pytest.fixture
def enforce(runbook, tmp_path):
    """Return a function that puts the operator's policy in force without some actions, as a user does."""

    def put(sandbox, *lacking):
        document = permissions.policy_of("operator", permissions.values_of(load(sandbox.parameters_path)))
        for statement in document["Statement"]:
            statement["Action"] = [one for one in statement["Action"] if one not in lacking]
        document["Statement"] = [one for one in document["Statement"] if one["Action"]]
        file = tmp_path / "policy.json"
        file.write_text(json.dumps(document), "utf-8")
        ended = runbook("sandbox", "iam", file, "--state", sandbox.state_dir)
        assert (ended.exit_code, "enforced" in ended.output) == (0, True), ended.output

    return put


def told(ended, exit_code, *texts):
    """Check how a command ended and that it says all of this."""
    sys.stdout.write(ended.output)  # shown when the test fails
    assert ended.exit_code == exit_code
    said = " ".join(ended.output.split())
    assert [text for text in texts if text not in said] == []


@pytest.mark.drivers("rexray")
def test_a_look_that_is_refused_changes_nothing(start_sandbox, runbook, altered, enforce, tmp_path):
    """Without ec2:DescribeVolumes the first notebook ends with 3, names the action, and says how to go on."""
    sandbox = start_sandbox("none")
    file = altered(sandbox)
    enforce(sandbox, "ec2:DescribeVolumes")
    before = mutating_calls(sandbox)
    ended = runbook("run", "00", "-f", file, "--execute", "--reason", "CHG-1")
    assert mutating_calls(sandbox) == before
    told(
        ended,
        3,
        "issing permission: ec2:DescribeVolumes",
        "has it in its statement LookAtServersAndVolumes",
        ATTACH_THE_POLICY,
        "Changed: no.",
        f"runbook resume {only_run(tmp_path / 'runs').name}",
    )


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.drivers("rexray", "host_mount")
def test_calls_that_are_refused_half_way_and_the_same_run_ends_well(
    start_sandbox, runbook, altered, enforce, keep_provider, tmp_path
):
    """Terraform's CreateService before the outage, then DetachVolume inside it; each given, and the run resumed."""
    sandbox = start_sandbox("none")
    keep_provider(sandbox)
    file = altered(sandbox)
    enforce(sandbox, "ecs:CreateService")
    ended = runbook("run", "00", "10", "20", "30", "40", "-f", file, "--execute", "--reason", "CHG-1", timeout_s=900)
    run_id = only_run(tmp_path / "runs").name
    resume = ("resume", run_id, "--directory", tmp_path / "runs")
    told(
        ended,
        4,
        "missing permission: ecs:CreateService on arn:aws:ecs:us-east-1:012345678901:service/guestbook/guestbook",
        "has it in its statement ManageTheCluster",
        ATTACH_THE_POLICY,
        f"runbook resume {run_id}",
    )
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0, "compose still serves"

    enforce(sandbox, "ec2:DetachVolume")
    ended = runbook(*resume, timeout_s=900)
    volume_id = load(file).volume.volume_id
    told(
        ended,
        4,
        f"issing permission: ec2:DetachVolume on arn:aws:ec2:us-east-1:012345678901:volume/{volume_id}",
        "has it in its statement MoveAndCopyTheVolume or",
        ATTACH_THE_POLICY,
        "Changed: maybe.",  # the volume was noted to be on its way before
        f"runbook resume {run_id}",
    )
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert [one["InstanceId"] for one in volume["Attachments"]] == [load(file).source.instance_id]
    refused = runbook("sandbox", "iam", "--state", sandbox.state_dir)
    assert "refused     ec2:DetachVolume on" in refused.output

    enforce(sandbox)
    ended = runbook(*resume, timeout_s=900)
    told(ended, 0, "Migrated.")
    assert report_of(tmp_path / "runs" / run_id)["data"]["identical"]
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0

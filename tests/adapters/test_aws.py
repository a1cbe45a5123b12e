"""The AWS adapters: errors are mapped, mutating calls recorded, facts have the promised keys."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.aws_role import session_of
from runbook_lib.adapters.ebs import Ebs
from runbook_lib.adapters.ec2 import Ec2
from runbook_lib.adapters.secrets import SecretError, resolve
from runbook_lib.errors import AwsError


@pytest.fixture
def recorded():
    return []


@pytest.fixture
def aws(sandbox, recorded):
    return sandbox.session(run_id="20260101T000000Z-guestbook-0abc", record=lambda **fields: recorded.append(fields))


def test_who_we_are(aws):
    """The account id keeps its leading zero."""
    assert aws.identity()["account_id"] == "012345678901"


def test_a_missing_profile_says_what_to_do(sandbox, tmp_path):
    """Without credentials the message names the parameters to set."""
    nobody = Aws(
        region="us-east-1", endpoint_url=sandbox.endpoint_url, profile="sandbox", credentials_file=tmp_path / "none"
    )
    with pytest.raises(AwsError, match=r"aws\.credentials_file") as refused:
        nobody.identity()
    assert refused.value.code == "ProfileNotFound"


def test_nobody_at_the_endpoint_says_what_to_do(sandbox):
    """An endpoint where nothing listens is named as such."""
    nowhere = Aws(
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        profile="sandbox",
        credentials_file=sandbox.state_dir / "credentials",
    )
    with pytest.raises(AwsError, match=r"aws\.endpoint_url"):
        nowhere.identity()


def test_a_role_that_takes_no_source_identity_says_what_to_do():
    """The message names the permission that lacks, and the parameter that does without."""

    def refused(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "AssumeRole")

    role = session_of(
        SimpleNamespace(assume_role=refused), "arn:aws:iam::012345678901:role/operator", "r-1", source_identity="r-1"
    )
    with pytest.raises(AwsError, match=r"AccessDenied: not authorized\. .*sts:SetSourceIdentity.*aws\.source_identity"):
        role.get_credentials().get_frozen_credentials()


def test_secrets_behind_references(sandbox, aws, recorded):
    """A reference gives the value, or one value of a JSON secret; a reason names no value, and nothing is recorded."""
    sandbox.client("ssm").put_parameter(Name="/wiki/db", Value="canary-ssm-77", Type="SecureString")
    arn = sandbox.client("secretsmanager").create_secret(Name="wiki/session", SecretString='{"key": "canary-sm-77"}')[
        "ARN"
    ]
    assert resolve("ssm:/wiki/db", lambda: aws) == "canary-ssm-77"
    assert resolve(f"secretsmanager:{arn}:key::", lambda: aws) == "canary-sm-77"
    assert resolve(f"secretsmanager:{arn}", lambda: aws) == '{"key": "canary-sm-77"}'
    with pytest.raises(SecretError, match="no JSON object with key other") as refused:
        resolve(f"secretsmanager:{arn}:other::", lambda: aws)
    assert "canary" not in str(refused.value)
    with pytest.raises(SecretError, match="GetParameter: ParameterNotFound"):
        resolve("ssm:/wiki/none", lambda: aws)
    assert recorded == []


def test_a_refusal_keeps_its_code(aws):
    """AWS's own error code is an attribute, so that nobody reads it out of a text."""
    with pytest.raises(AwsError) as refused:
        Ebs(aws).describe_volume("vol-0123456789abcdef0")
    assert (refused.value.operation, refused.value.code) == ("DescribeVolumes", "InvalidVolume.NotFound")


def test_only_mutating_calls_are_recorded(aws, recorded, sandbox):
    """A tag is recorded with its target, request id and outcome; looking is not."""
    volumes = Ebs(aws).volumes_in_zone("us-east-1a")
    assert volumes
    assert recorded == []
    Ec2(aws).set_tags(volumes[0]["volume_id"], {"test": "x"})
    Ec2(aws).remove_tags(volumes[0]["volume_id"], ["test"])
    assert [(r["operation"], r["target"], r["outcome"]) for r in recorded] == [
        ("CreateTags", volumes[0]["volume_id"], "Success"),
        ("DeleteTags", volumes[0]["volume_id"], "Success"),
    ]
    assert all(r["request_id"] for r in recorded)


def test_a_refused_change_is_recorded_too(aws, recorded):
    """What AWS refused is on record with its code."""
    with pytest.raises(AwsError):
        Ebs(aws).detach_volume("vol-0123456789abcdef0", "i-0123456789abcdef0")
    assert [r["outcome"] for r in recorded] == ["InvalidVolume.NotFound"]


def test_a_change_without_an_answer_is_recorded_too(sandbox, recorded):
    """Whether it happened nobody knows, and the record says so: an exception's name, and no request id."""
    nowhere = Aws(
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        profile="sandbox",
        credentials_file=sandbox.state_dir / "credentials",
        record=lambda **fields: recorded.append(fields),
        attempts=2,
    )
    with pytest.raises(AwsError):
        Ec2(nowhere).set_tags("vol-0123456789abcdef0", {"test": "x"})
    (call,) = recorded
    assert (call["operation"], call["target"], call["request_id"]) == ("CreateTags", "vol-0123456789abcdef0", "")
    assert call["outcome"] == "EndpointConnectionError"


def test_a_call_beside_the_one_way_is_recorded(aws, recorded, sandbox):
    """Botocore tells of every call of a client, retries counted, and names an S3 object by itself."""
    sandbox.client("s3").create_bucket(Bucket="records-77")
    aws.client("s3").put_object(Bucket="records-77", Key="a/b", Body=b"x")
    (call,) = recorded
    assert (call["service"], call["operation"], call["target"], call["outcome"]) == (
        "s3",
        "PutObject",
        "records-77/a/b",
        "Success",
    )
    assert (call["attempts"], call["duration_s"] >= 0) == (1, True)

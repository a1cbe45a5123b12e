"""Client tokens: an AWS SDK that got no answer sends its request again, and nothing may be made twice."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from runbook_lib.sandbox.client_tokens import Answer, ClientTokens
from runbook_lib.sandbox.wire import ApiRequest

ZONE = "us-east-1a"
DATA = {"ImageId": "ami-0123456789abcdef0"}


def test_a_repeated_request_makes_one_volume(sandbox: Any, error_of: Any) -> None:
    """The same token gives the first volume's id; with another size, or malformed, it is refused."""
    ec2 = sandbox.client("ec2")

    def make(size: int, token: str) -> str:
        return str(ec2.create_volume(AvailabilityZone=ZONE, Size=size, VolumeType="gp3", ClientToken=token)["VolumeId"])

    first = make(1, "once")
    assert make(1, "once") == first
    assert make(1, "another") != first
    assert error_of(lambda: make(2, "once")) == "IdempotentParameterMismatch"
    assert error_of(lambda: make(1, "x" * 65)) == "InvalidClientToken"
    assert error_of(lambda: make(1, "two words")) == "InvalidClientToken"


def test_a_repeated_launch_template_is_no_name_taken(sandbox: Any, error_of: Any) -> None:
    """Terraform's provider asks again after a broken connection; only another request finds the name taken."""
    ec2 = sandbox.client("ec2")

    def make(token: str) -> str:
        answer = ec2.create_launch_template(LaunchTemplateName="twice", LaunchTemplateData=DATA, ClientToken=token)
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    assert make("first") == make("first")
    assert error_of(lambda: make("second")) == "InvalidLaunchTemplateName.AlreadyExistsException"


def test_a_token_belongs_to_one_operation(sandbox: Any) -> None:
    """A snapshot's copy is another request than the volume with the same token."""
    ec2 = sandbox.client("ec2")
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=1, VolumeType="gp3", ClientToken="shared")["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[made], WaiterConfig={"Delay": 1})
    copies = ec2.copy_volumes(SourceVolumeId=made, ClientToken="shared")["Volumes"]
    assert copies[0]["VolumeId"] != made


@pytest.mark.parametrize("service", ["ec2", "ecs"])
def test_what_failed_may_be_tried_again(service: str) -> None:
    """A refusal is no result: the same token acts, and from then on it does not."""
    answers: list[Answer] = [("400 Bad Request", [], b"no"), ("200 OK", [], b"made"), ("200 OK", [], b"made twice")]
    tokens = ClientTokens(_refuse)
    asked = [tokens.once(_request(service), lambda: answers.pop(0))[2] for _ in range(3)]
    assert asked == [b"no", b"made", b"made"]


def test_two_at_the_same_moment_act_once() -> None:
    """The second request waits for the first and gets its answer."""
    begun, go_on = threading.Event(), threading.Event()
    acts: list[str] = []
    tokens = ClientTokens(_refuse)

    def act() -> Answer:
        acts.append("acted")
        begun.set()
        go_on.wait(10)
        return "200 OK", [], b"made"

    got: list[bytes] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.once(_request("ec2"), act)[2])) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (acts, got) == (["acted"], [b"made", b"made"])


def test_the_same_token_in_another_cluster_is_another_request() -> None:
    """ECS keeps the tokens of each cluster apart."""
    tokens = ClientTokens(_refuse)
    for name in "ab":
        made = tokens.once(_request("ecs", cluster=name), lambda name=name: ("200 OK", [], name.encode()))
        assert made[2] == name.encode()


def _request(service: str, **more: str) -> ApiRequest:
    name = "ClientToken" if service == "ec2" else "clientToken"
    operation = "CreateVolume" if service == "ec2" else "RunTask"
    return ApiRequest(service, operation, service, {name: "token", **more}, "", "")


def _refuse(_request: ApiRequest, code: str, _message: str) -> Answer:
    return "400 Bad Request", [], code.encode()

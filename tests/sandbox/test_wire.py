"""Reading requests and writing errors in the protocols of AWS, as tables."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from runbook_lib.sandbox import wire

SCOPE = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261124/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=x"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def _environ(service: str, **more: str) -> dict[str, Any]:
    return {"HTTP_AUTHORIZATION": SCOPE.format(service), "REQUEST_METHOD": "POST", "PATH_INFO": "/", **more}


REQUESTS: dict[str, tuple[dict[str, Any], bytes, tuple[str, str, str, str]]] = {
    "a form to EC2": (
        _environ("ec2", CONTENT_TYPE=FORM),
        b"Action=DetachVolume&VolumeId=vol-1",
        ("ec2", "DetachVolume", "ec2", "write"),
    ),
    "a dry run": (
        _environ("ec2", CONTENT_TYPE=FORM),
        b"Action=DetachVolume&VolumeId=vol-1&DryRun=true",
        ("ec2", "DetachVolume", "ec2", "read"),
    ),
    "a form to another service": (
        _environ("autoscaling", CONTENT_TYPE=FORM),
        b"Action=DescribeAutoScalingGroups",
        ("autoscaling", "DescribeAutoScalingGroups", "query", "read"),
    ),
    "JSON": (
        _environ("ecs", HTTP_X_AMZ_TARGET="AmazonEC2ContainerServiceV20141113.UpdateService"),
        b'{"service": "web", "desiredCount": 1}',
        ("ecs", "UpdateService", "json", "write"),
    ),
    "a command for a host": (
        _environ("ssm", HTTP_X_AMZ_TARGET="AmazonSSM.SendCommand"),
        b'{"InstanceIds": ["i-1"]}',
        ("ssm", "SendCommand", "json", "command"),
    ),
    "reading an object": (
        _environ("s3", REQUEST_METHOD="GET", PATH_INFO="/bucket/key"),
        b"",
        ("s3", "GET /bucket/key", "rest-xml", "read"),
    ),
    "writing an object": (
        _environ("s3", REQUEST_METHOD="PUT", PATH_INFO="/bucket/key"),
        b"text",
        ("s3", "PUT /bucket/key", "rest-xml", "write"),
    ),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_recognised(case: str) -> None:
    """Service, operation, protocol and kind are read from the request alone."""
    environ, body, expected = REQUESTS[case]
    request = wire.read_request(environ, body)
    assert (request.service, request.operation, request.protocol, request.kind) == expected
    assert request.access_key_id == "AKIAEXAMPLE"


def test_the_target_names_things_and_holds_no_bodies() -> None:
    """Ids and names are kept as the target of a call; a script or a document is not."""
    body = json.dumps({"InstanceIds": ["i-1"], "DocumentName": "d", "Parameters": {"commands": ["secret"]}}).encode()
    environ = _environ("ssm", HTTP_X_AMZ_TARGET="AmazonSSM.SendCommand")
    assert wire.read_request(environ, body).target == {"InstanceIds.1": "i-1", "DocumentName": "d"}


@pytest.mark.parametrize("protocol", ["ec2", "query", "rest-xml"])
def test_an_error_in_xml_can_be_read_back(protocol: str) -> None:
    """XML errors are well-formed, carry the code, and escape the message."""
    headers, body = wire.error_answer(protocol, "InvalidAction", "a < b & c", "id-1")
    root = ET.fromstring(body)  # noqa: S314 - our own text
    assert wire.error_code(body) == "InvalidAction"
    assert [one.text for one in root.iter("Message")] == ["a < b & c"]
    assert ("x-amzn-RequestId", "id-1") in headers


@pytest.mark.parametrize("protocol", ["json", "rest-json"])
def test_an_error_in_json_can_be_read_back(protocol: str) -> None:
    """JSON errors carry type and message."""
    _headers, body = wire.error_answer(protocol, "InvalidAction", 'say "no"', "id-1")
    assert json.loads(body) == {"__type": "InvalidAction", "message": 'say "no"'}
    assert wire.error_code(body) == "InvalidAction"


def test_the_code_of_a_namespaced_json_error_is_found() -> None:
    """Some services put a namespace before the code."""
    assert wire.error_code(b'{"__type": "com.amazon.coral#ThrottlingException"}') == "ThrottlingException"

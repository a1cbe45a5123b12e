"""The kinds of text that parameters hold: ids, ARNs, paths, URLs, references to secrets.

Pure. Every kind is a string with a rule; nothing is converted, so a value that YAML changed is refused, not repaired.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


@dataclass(frozen=True)
class Rule:
    """What a text must look like, as a pattern for programs and as a sentence for people.

    Args:
        pattern: Regular expression that the whole text must match; also stands in the JSON Schema.
        sentence: The rule in words, with an example.
        accepts: A further condition that no pattern can state.
    """

    pattern: str
    sentence: str
    accepts: Callable[[str], bool] = lambda _text: True

    def check(self, text: str) -> str:
        """Return the text.

        Args:
            text: The value.

        Returns:
            The same text.

        Raises:
            PydanticCustomError: when it breaks the rule.
        """
        if re.fullmatch(self.pattern, text, re.ASCII) is None or not self.accepts(text):
            raise PydanticCustomError("rule", "{rule}", {"rule": self.sentence})
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


def is_allowed_endpoint(text: str) -> bool:
    """Return whether an address is encrypted, or on this machine.

    Args:
        text: A URL.
    """
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return False
    return text.startswith("https://") or host == "localhost" or (_is_address(host) and _is_loopback(host))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _is_network(text: str) -> bool:
    """Return whether a text is an IPv4 network whose host bits are zero."""
    try:
        ipaddress.IPv4Network(text)
    except ValueError:
        return False
    return True


def _is_x86_64(instance_type: str) -> bool:
    """Return whether an instance type is no Graviton type: those carry a g behind the generation, as in t4g."""
    return re.match(r"[a-z]+\d+g", instance_type) is None and not instance_type.startswith("a1.")


def _has_no_parents(text: str) -> bool:
    """Return whether a path has no empty part and none that leads elsewhere."""
    return all(part not in ("", ".", "..") for part in text.strip("/").split("/")) or text in ("", "/")


def as_tuple(value: Any) -> Any:
    """Return a list as a tuple, anything else unchanged."""
    return tuple(value) if isinstance(value, list) else value


ListOf = BeforeValidator(as_tuple)

AccountId = Annotated[str, Rule(r"[0-9]{12}", 'an AWS account id, 12 digits in quotes, for example "012345678901"')]
Region = Annotated[str, Rule(r"[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS Region, for example us-east-1")]
InstanceId = Annotated[str, Rule(r"i-([0-9a-f]{8}|[0-9a-f]{17})", "an EC2 instance id, i- and 8 or 17 hex digits")]
VolumeId = Annotated[str, Rule(r"vol-([0-9a-f]{8}|[0-9a-f]{17})", "an EBS volume id, vol- and 8 or 17 hex digits")]
VpcId = Annotated[str, Rule(r"vpc-([0-9a-f]{8}|[0-9a-f]{17})", "a VPC id, vpc- and 8 or 17 hex digits")]
SubnetId = Annotated[str, Rule(r"subnet-([0-9a-f]{8}|[0-9a-f]{17})", "a subnet id, subnet- and 8 or 17 hex digits")]
AmiId = Annotated[str, Rule(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", "an AMI id, ami- and 8 or 17 hex digits")]
RoleArn = Annotated[
    str, Rule(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", "an IAM role ARN, arn:aws:iam::<account>:role/<name>")
]
ArnPattern = Annotated[
    str,
    Rule(
        r"arn:aws[a-z*-]*:(iam|sts)::[0-9*]{1,12}:(root|[\w+=,.@/*-]+)",
        "the ARN of an identity as STS tells it, * for anything, such as arn:aws:sts::012345678901:assumed-role/Ops/*",
    ),
]
RoleName = Annotated[str, Rule(r"[a-z][a-z0-9 _-]{0,39}", "a role in lower-case words, such as change-manager")]
CertificateArn = Annotated[
    str,
    Rule(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+", "an ACM certificate ARN, arn:aws:acm:..."),
]
InstanceType = Annotated[
    str,
    Rule(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an x86_64 EC2 instance type, for example t3.small (no Graviton)", _is_x86_64),
]
Cidr = Annotated[
    str,
    Rule(
        r"[0-9.]+/[0-9]{1,2}", "an IPv4 network in CIDR form with zero host bits, for example 10.0.0.0/16", _is_network
    ),
]
Name = Annotated[str, Rule(r"[a-z][a-z0-9-]{1,30}", "2 to 31 lower-case letters, digits and hyphens, a letter first")]
ComposeName = Annotated[
    str, Rule(r"[a-z0-9][a-z0-9_-]*", "a compose project name: lower-case letters, digits, hyphens, underscores")
]
ServiceName = Annotated[str, Rule(r"[a-zA-Z0-9._-]+", "a compose service name")]
VolumeName = Annotated[
    str, Rule(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}", "a Docker volume name: letters, digits, _ . and -")
]
FilesystemUuid = Annotated[
    str,
    Rule(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "the UUID of a filesystem, 8-4-4-4-12 lower-case hex digits as blkid shows it",
    ),
]
PluginAlias = Annotated[
    str, Rule(r"[a-z0-9]+([./_-][a-z0-9]+)*", "a Docker plugin alias without a tag, for example rexray/ebs")
]
ImageReference = Annotated[
    str, Rule(r"[a-z0-9][\w.:/@-]*", "an image reference, for example registry.example.com/app@sha256:...")
]
AbsolutePath = Annotated[
    str, Rule(r"/[^\0\n]*[^/\0\n]", "an absolute path other than /, without . or .. parts", _has_no_parents)
]
RelativePath = Annotated[
    str, Rule(r"([^/\0\n][^\0\n]*)?", "a path relative to the volume's root, without . or .. parts", _has_no_parents)
]
FilePath = Annotated[str, Rule(r"[^\0\n]+", "a path; a relative one counts from the folder of the parameters file")]
UrlPath = Annotated[str, Rule(r"/\S*", "the path of a URL, starting with /")]
Url = Annotated[str, Rule(r"https?://[^\s/@]+(/\S*)?", "an http or https URL without user name and password")]
EndpointUrl = Annotated[
    str,
    Rule(r"https?://[^\s/@]+/?", "an https URL, or http on a loopback address for the sandbox", is_allowed_endpoint),
]
EnvironmentName = Annotated[str, Rule(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")]
SecretReference = Annotated[
    str,
    Rule(
        r"ssm:/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"
        r"|secretsmanager:arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[\w/+=.@-]+(:[\w.-]*){0,3}",
        "a reference to a secret: ssm:<parameter name>, or secretsmanager:<the secret's whole ARN>",
    ),
]
_REFERENCE = (
    r"env:[A-Za-z_][A-Za-z0-9_]*|ssm:/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"
    r"|secretsmanager:arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[\w/+=.@-]+(:[\w.-]*){0,3}"
)
KeptOut = Annotated[
    str,
    Rule(
        _REFERENCE,
        "a reference to a secret: env:<variable>, ssm:<parameter name>, or secretsmanager:<the secret's whole ARN>",
    ),
]
WebhookUrl = Annotated[
    str,
    Rule(
        rf"https?://[^\s/@]+(/\S*)?|{_REFERENCE}",
        "an https URL without user name and password, http on a loopback address only, or a reference to one: "
        "env:<variable>, ssm:<parameter name>, secretsmanager:<the secret's whole ARN>",
        lambda text: not text.startswith("http") or is_allowed_endpoint(text),
    ),
]
Argument = Annotated[str, Rule(r"[^\0]+", "a program or an argument, not empty")]
Bucket = Annotated[str, Rule(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "an S3 bucket name")]
ObjectKey = Annotated[str, Rule(r"[^/\s][^\s]*", "an S3 object key that does not start with /")]
UtcTime = Annotated[
    str,
    Rule(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z", 'a UTC time in quotes, "2026-11-24T22:00Z"'),
]

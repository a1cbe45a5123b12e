"""Instance metadata (IMDS) of simulated hosts, told apart by the address they ask from.

Answers only; changes nothing but the tokens it gave out.
Source: EC2 user guide, "Instance metadata and user data"; versions 1 and 2.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.world import World

TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
TOKEN_HEADER, TTL_HEADER = "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"
CREDENTIALS_S = 6 * 3600
_tokens: set[str] = set()


def answer(world: World, method: str, path: str, headers: Mapping[str, str], remote_addr: str) -> tuple[int, str]:
    """Return (HTTP status, text) for one request.

    Args:
        world: Where the hosts are.
        method: ``GET`` or ``PUT``.
        path: Begins with ``/latest/``.
        headers: Of the request; names in any case.
        remote_addr: The asking host's address.
    """
    given = {name.lower(): value for name, value in headers.items()}
    host = next((one for one in list(world.hosts.values()) if one.address == remote_addr and one.powered), None)
    if host is None:
        return 404, "not a host of this sandbox"
    if path == TOKEN_PATH:
        if method != "PUT" or TTL_HEADER not in given:
            return 400, "Bad Request"
        token = secrets.token_urlsafe(40)
        _tokens.add(token)
        return 200, token
    if method != "GET":
        return 405, "Method Not Allowed"
    token = given.get(TOKEN_HEADER, "")
    if (token and token not in _tokens) or (not token and host.launch.http_tokens == "required"):
        return 401, "Unauthorized"
    return _value(host, path.rstrip("/"))


def _value(host: BaseHost, path: str) -> tuple[int, str]:
    launch = host.launch
    document = {
        "accountId": host.world.account_id,
        "architecture": launch.architecture,
        "availabilityZone": launch.availability_zone,
        "imageId": launch.image_id,
        "instanceId": launch.instance_id,
        "instanceType": launch.instance_type,
        "privateIp": launch.address,
        "region": host.world.region,
    }
    values = {
        "/latest/dynamic/instance-identity/document": json.dumps(document),
        "/latest/user-data": launch.user_data,
        "/latest/meta-data/instance-id": launch.instance_id,
        "/latest/meta-data/instance-type": launch.instance_type,
        "/latest/meta-data/ami-id": launch.image_id,
        "/latest/meta-data/local-ipv4": launch.address,
        "/latest/meta-data/public-ipv4": launch.address,
        "/latest/meta-data/hostname": host.hostname,
        "/latest/meta-data/placement/availability-zone": launch.availability_zone,
        "/latest/meta-data/placement/region": host.world.region,
        "/latest/meta-data/iam/security-credentials": launch.role_name,
    }
    if launch.role_name:
        values[f"/latest/meta-data/iam/security-credentials/{launch.role_name}"] = json.dumps(_credentials(host))
    text = values.get(path, "")
    return (200, text) if text else (404, "Not Found")


def _credentials(host: BaseHost) -> dict[str, str]:
    """Return credentials of the instance's own; the sandbox judges a host by its role, not by its secret."""
    own = hashlib.sha256(host.instance_id.encode()).hexdigest()
    until = time.gmtime(time.time() + CREDENTIALS_S)
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIA" + own[:16].upper(),
        "SecretAccessKey": own[:40],
        "Token": own,
        "LastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", until),
    }

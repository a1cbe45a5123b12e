"""How one AWS API request looks on the wire: which operation it is, and how an error is answered to it.

Pure: reads WSGI environments and bytes, touches nothing.
Source: the protocols ``ec2``, ``query``, ``json``, ``rest-json`` and ``rest-xml`` of the AWS service models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

_READ_PREFIXES = ("Describe", "Get", "List", "Head", "Lookup", "Search", "Simulate", "Check", "Filter", "Query")
_READ_OPERATIONS = frozenset({"AssumeRole", "DecodeAuthorizationMessage", "BatchGetItem"})
_COMMAND_OPERATIONS = frozenset({"SendCommand", "CancelCommand", "ExecuteCommand"})
_TARGET_NAME = re.compile(
    r"(^|\.)(\w*(Ids?|Arns?|ARNs?|[Nn]ames?)|family|cluster|service|services|tasks?|taskDefinition|status)(\.|$)"
)
_REST_XML = frozenset({"s3", "route53", "cloudfront"})
LOCK_HEADER = "x-amz-object-lock-mode"
_MAX_TARGETS = 20
_MAX_VALUE = 200


@dataclass(frozen=True)
class ApiRequest:
    """One request to the AWS API.

    Args:
        service: The service in the request's signature, for example ``ec2``.
        operation: The API operation; for REST protocols the method and the path.
        protocol: ``ec2``, ``query``, ``json``, ``rest-json`` or ``rest-xml``.
        parameters: Flattened request parameters, names as on the wire, lists as ``Name.1``;
            for REST protocols the query and the header of an object lock.
        access_key_id: Who signed it, or "".
        user_agent: The client's name for itself.
    """

    service: str
    operation: str
    protocol: str
    parameters: Mapping[str, str]
    access_key_id: str
    user_agent: str

    @property
    def kind(self) -> str:
        """``read``, ``write``, or ``command`` (runs a script on a host, which says itself what it does)."""
        if self.operation in _COMMAND_OPERATIONS:
            return "command"
        dry = self.parameters.get("DryRun", "").lower() == "true"
        rest_read = self.operation.startswith(("GET ", "HEAD "))
        named_read = self.operation.startswith(_READ_PREFIXES) or self.operation in _READ_OPERATIONS
        return "read" if dry or rest_read or named_read else "write"

    @property
    def target(self) -> dict[str, str]:
        """The parameters that name what the call is about, shortened; never bodies or secrets."""
        names = [name for name in self.parameters if _TARGET_NAME.search(name)][:_MAX_TARGETS]
        return {name: self.parameters[name][:_MAX_VALUE] for name in names}


def read_request(environ: Mapping[str, Any], body: bytes) -> ApiRequest:
    """Say which operation a WSGI request is.

    Args:
        environ: The WSGI environment.
        body: The whole request body.
    """
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    scope = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request", authorization)
    access_key_id, service = (scope.group(1), scope.group(2).lower()) if scope else ("", "")
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    agent = str(environ.get("HTTP_USER_AGENT", ""))
    if target:
        return ApiRequest(
            service, target.rsplit(".", maxsplit=1)[-1], "json", _flatten(_json(body)), access_key_id, agent
        )
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if "Action" in form:
            protocol = "ec2" if service == "ec2" else "query"
            return ApiRequest(service, form.pop("Action"), protocol, form, access_key_id, agent)
    protocol = "rest-xml" if service in _REST_XML else "rest-json"
    operation = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
    given = dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True))
    lock = environ.get("HTTP_" + LOCK_HEADER.upper().replace("-", "_"))
    given |= {LOCK_HEADER: str(lock)} if lock else {}
    return ApiRequest(service, operation, protocol, given, access_key_id, agent)


def error_answer(protocol: str, code: str, message: str, request_id: str) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of an error as the protocol writes it.

    Args:
        protocol: As in :class:`ApiRequest`.
        code: The AWS error code, for example ``InvalidAction``.
        message: What is wrong.
        request_id: The id that the client shows to its user.
    """
    headers = [("x-amzn-RequestId", request_id)]
    if protocol in {"json", "rest-json"}:
        kind = "application/x-amz-json-1.1" if protocol == "json" else "application/json"
        headers += [("Content-Type", kind), ("x-amzn-ErrorType", code)]
        return headers, json.dumps({"__type": code, "message": message}).encode()
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol == "ec2":
        text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    elif protocol == "query":
        inner = f"<Error><Type>Sender</Type>{error}</Error><RequestId>{request_id}</RequestId>"
        text = f"<ErrorResponse>{inner}</ErrorResponse>"
    else:
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    return [*headers, ("Content-Type", "text/xml")], b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode()


def error_code(body: bytes) -> str:
    """Return the AWS error code in an error body of any protocol, or ""."""
    head = body[:4000].decode("utf-8", "replace")
    found = re.search(r"<Code>([^<]+)</Code>", head) or re.search(r'"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"', head)
    return found.group(1) if found else ""


def _json(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return {}


def _flatten(value: Any, name: str = "") -> dict[str, str]:
    """Turn nested JSON into the dotted names that the query protocol uses."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(str(number), item) for number, item in enumerate(value, 1)]
    else:
        return {name: str(value)}
    flat: dict[str, str] = {}
    for key, item in pairs:
        flat.update(_flatten(item, f"{name}.{key}" if name else str(key)))
    return flat

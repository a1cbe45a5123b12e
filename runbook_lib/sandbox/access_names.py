"""How what a request names becomes ARNs and condition keys. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runbook_lib.sandbox.backends import ACCOUNT_ID, REGION

Context = dict[str, str | tuple[str, ...]]


def arn(service: str, resource: str, account_id: str | None = None) -> str:
    """Return an ARN in the sandbox's region.

    Args:
        service: For example ``ec2``.
        resource: For example ``volume/vol-1``.
        account_id: Whose; None for the sandbox's account, "" for what belongs to AWS or has no account.
    """
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID if account_id is None else account_id}:{resource}"


def account_arn(service: str, resource: str) -> str:
    """Return an ARN without a region, as IAM's are."""
    return f"arn:aws:{service}::{ACCOUNT_ID}:{resource}"


def values(given: Mapping[str, str], name: str) -> list[str]:
    """Return the values of a list parameter: ``name.1``, ``name.member.1`` and so on."""
    expression = re.compile(rf"{re.escape(name)}(\.member)?\.\d+")
    return [value for key, value in given.items() if expression.fullmatch(key)]


def request_tags(given: Mapping[str, str], name: str, *, mapping: bool = False) -> Context:
    """Return the condition keys of the tags that a request wants to set.

    Args:
        given: The request's parameters.
        name: Of the list of tags, for example ``Tags.member``.
        mapping: Whether the tags are a mapping and no list.
    """
    prefix = f"{name}."
    if mapping:
        tags = {key[len(prefix) :]: value for key, value in given.items() if key.startswith(prefix)}
    else:
        numbers = {key[len(prefix) :].partition(".")[0] for key in given if key.startswith(prefix)}
        tags = {
            _tag(given, f"{prefix}{number}", "key"): _tag(given, f"{prefix}{number}", "value") for number in numbers
        }
    return tag_context("aws:requesttag/", tags) | ({"aws:tagkeys": tuple(sorted(tags))} if tags else {})


def tag_context(prefix: str, tags: Mapping[str, str]) -> Context:
    """Return tags as condition keys."""
    return {prefix + key: value for key, value in tags.items()}


def _tag(given: Mapping[str, str], place: str, part: str) -> str:
    return given.get(f"{place}.{part}", given.get(f"{place}.{part.title()}", ""))

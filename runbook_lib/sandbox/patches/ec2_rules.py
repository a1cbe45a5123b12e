"""Security group rules: one that names another group keeps its description, as one that names a network does.

moto forgets it, so that the second plan of a load balancer's rules is never empty.
Source: EC2 API reference, UserIdGroupPair, DescribeSecurityGroupRules.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule


def apply() -> None:
    """Put the description into moto.

    Changes:
        A property of moto's security group rule, for the whole process.
    """
    SecurityGroupRule.description = property(description)


def description(rule: Any) -> str | None:
    """Return what was said of a rule, or changed later: moto keeps the latter with the network in each case."""
    found = rule.ip_range.get("Description") or rule.source_group.get("Description")
    return str(found) if found is not None else None

"""Rules of security groups that name another group, as EC2 describes them.

moto takes a rule's description from its address range alone, so that of a rule without one is lost and Terraform would
set it again for ever. Source: EC2 API reference, "UserIdGroupPair", "SecurityGroupRule".
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule


def apply() -> None:
    """Describe a rule by what was said of its group, too.

    Changes:
        One property of moto's security group rules.
    """
    SecurityGroupRule.description = property(_description)


def _description(rule: Any) -> str | None:
    said: str | None = rule.ip_range.get("Description") or rule.source_group.get("Description")
    return said

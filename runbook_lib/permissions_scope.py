"""One statement of the operator's IAM policy, but for its actions, and the names that resources are made of.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EC2 = "arn:{partition}:ec2:{region}:{account_id}"
ECS = "arn:{partition}:ecs:{region}:{account_id}"
ROLES = "arn:{partition}:iam::{account_id}"
GROUP = "arn:{partition}:autoscaling:{region}:{account_id}:autoScalingGroup:*:autoScalingGroupName/{cluster}"
SNAPSHOTS = "arn:{partition}:ec2:{region}::snapshot/*"
RUN_TAG = "runbook:run-id"
OF_RUN = "*-{name}-????"
"""How the run ids of this migration look: the time, its name, four hexadecimal digits."""
Condition = Mapping[str, Mapping[str, str | tuple[str, ...]]]


@dataclass(frozen=True)
class Scope:
    """One statement of the policy, but for its actions.

    Args:
        sid: Its name.
        purpose: What it is for, one sentence.
        resources: ARNs with placeholders in braces; one with a list is written once for each of its values.
        admits: Patterns of the actions that may stand in it.
        condition: As IAM writes it, with placeholders.
        needs: Placeholders without which there is no such statement, since nothing of the kind is used.
        denies: Whether it denies what it names, whatever other statements and policies allow.
    """

    sid: str
    purpose: str
    resources: tuple[str, ...]
    admits: tuple[str, ...]
    condition: Condition = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    denies: bool = False

"""IAM's evaluation of a policy: wildcards, resources, conditions, denies; and what is refused instead of guessed."""

from __future__ import annotations

import pytest

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox.policies import ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY, Access, canonical, decide, read_policy

VOLUME = "arn:aws:ec2:us-east-1:012345678901:volume/vol-1"
ROLE_KEY = "iam:policyarn"


def allow(action="*", resource="*", **more):
    """Return a statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="*", resource="*", **more):
    """Return a statement that denies."""
    return allow(action, resource, **more) | {"Effect": "Deny"}


def policy(*statements):
    """Return a policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decided(*statements, action="ec2:AttachVolume", resource=VOLUME, **context):
    """Return what a policy says of a wish."""
    keys = {canonical(key.replace("__", ":").replace("_SLASH_", "/")): value for key, value in context.items()}
    return decide(read_policy(policy(*statements)), Access(action, resource, keys))


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("ec2:AttachVolume", "ec2:AttachVolume", ALLOWED),
        ("EC2:attachvolume", "ec2:AttachVolume", ALLOWED),  # actions know no case
        ("ec2:*Volume", "ec2:AttachVolume", ALLOWED),
        ("ec2:Attach?olume", "ec2:AttachVolume", ALLOWED),
        ("ec2:Attach", "ec2:AttachVolume", IMPLICIT_DENY),
        ("ec2:[A]ttachVolume", "ec2:AttachVolume", IMPLICIT_DENY),  # a bracket is a bracket
        ("ecs:*", "ec2:AttachVolume", IMPLICIT_DENY),
        (["ecs:*", "ec2:*"], "ec2:AttachVolume", ALLOWED),
    ],
)
def test_actions(pattern, action, expected):
    assert decided(allow(pattern), action=action) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (VOLUME, ALLOWED),
        (VOLUME.upper(), IMPLICIT_DENY),  # resources know case
        ("arn:aws:ec2:us-east-1:012345678901:volume/*", ALLOWED),
        ("arn:aws:ec2:*:*:volume/vol-?", ALLOWED),
        ("arn:aws:ec2:us-east-1:012345678901:instance/*", IMPLICIT_DENY),
        ("arn:aws:ec2:eu-west-1:012345678901:volume/*", IMPLICIT_DENY),
    ],
)
def test_resources(pattern, expected):
    assert decided(allow(resource=pattern)) == expected


def test_a_call_without_a_resource_is_covered_by_a_star_alone():
    assert decided(allow(resource="arn:aws:ec2:*:*:*"), resource="*") == IMPLICIT_DENY
    assert decided(allow(), resource="*") == ALLOWED


@pytest.mark.parametrize("order", [1, -1])
def test_a_deny_wins_wherever_it_stands(order):
    assert decided(*[allow(), deny("ec2:AttachVolume")][::order]) == EXPLICIT_DENY


def test_the_not_forms_cover_all_but_what_they_name():
    spared = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert decided(spared) == ALLOWED
    assert decided(spared, action="iam:PassRole") == IMPLICIT_DENY
    others = {"Effect": "Deny", "Action": "ec2:*", "NotResource": VOLUME}
    assert decided(allow(), others) == ALLOWED
    assert decided(allow(), others, resource=VOLUME + "2") == EXPLICIT_DENY


@pytest.mark.parametrize(
    ("operator", "wanted", "found", "expected"),
    [
        ("StringEquals", "a", "a", ALLOWED),
        ("StringEquals", ["a", "b"], "b", ALLOWED),
        ("StringEquals", "a", "A", IMPLICIT_DENY),
        ("StringEquals", "a*", "ab", IMPLICIT_DENY),
        ("StringEquals", "a", None, IMPLICIT_DENY),
        ("StringEqualsIfExists", "a", None, ALLOWED),
        ("StringEqualsIfExists", "a", "b", IMPLICIT_DENY),
        ("StringEqualsIgnoreCase", "a", "A", ALLOWED),
        ("StringNotEquals", "a", "b", ALLOWED),
        ("StringNotEquals", ["a", "b"], "b", IMPLICIT_DENY),
        ("StringNotEquals", "a", None, ALLOWED),
        ("StringLike", "a*", "ab", ALLOWED),
        ("StringNotLike", "a*", "ab", IMPLICIT_DENY),
        ("Null", "true", None, ALLOWED),
        ("Null", "false", None, IMPLICIT_DENY),
        ("Null", "false", "", ALLOWED),
        ("Bool", "true", "false", IMPLICIT_DENY),
    ],
)
def test_conditions_on_one_value(operator, wanted, found, expected):
    context = {} if found is None else {"aws__ResourceTag_SLASH_Env": found}
    assert decided(allow(Condition={operator: {"aws:resourcetag/Env": wanted}}), **context) == expected


@pytest.mark.parametrize(
    ("operator", "found", "expected"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), ALLOWED),
        ("ForAllValues:StringEquals", ("a", "c"), IMPLICIT_DENY),
        ("ForAllValues:StringEquals", (), ALLOWED),  # the trap of the real one, too
        ("ForAnyValue:StringEquals", ("a", "c"), ALLOWED),
        ("ForAnyValue:StringEquals", (), IMPLICIT_DENY),
        ("ForAnyValue:StringEqualsIfExists", (), ALLOWED),
        ("ForAllValues:StringEqualsIfExists", ("a",), ALLOWED),
        ("StringEquals", ("a", "b"), IMPLICIT_DENY),  # several values fit no operator for one
    ],
)
def test_conditions_on_several_values(operator, found, expected):
    assert decided(allow(Condition={operator: {"aws:TagKeys": ["a", "b"]}}), aws__TagKeys=found) == expected


def test_every_condition_must_hold():
    both = {"StringEquals": {"aws:ResourceTag/a": "1", "aws:ResourceTag/b": "2"}}
    assert decided(allow(Condition=both), aws__ResourceTag_SLASH_a="1", aws__ResourceTag_SLASH_b="2") == ALLOWED
    assert decided(allow(Condition=both), aws__ResourceTag_SLASH_a="1") == IMPLICIT_DENY


def test_names_of_keys_know_no_case_and_names_of_tags_do():
    wanted = {"StringEquals": {"AWS:resourcetag/Env": "1"}}
    assert decided(allow(Condition=wanted), aws__ResourceTag_SLASH_Env="1") == ALLOWED
    assert decided(allow(Condition=wanted), aws__ResourceTag_SLASH_env="1") == IMPLICIT_DENY


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("arn:aws:iam::aws:policy/Amazon*", ALLOWED),
        ("arn:*:iam::aws:policy/AmazonSSM", ALLOWED),
        ("arn:aws:*policy/AmazonSSM", IMPLICIT_DENY),  # no wildcard reaches over a colon
    ],
)
def test_arns_are_compared_part_by_part(pattern, expected):
    context = {"iam__PolicyARN": "arn:aws:iam::aws:policy/AmazonSSM"}
    assert decided(allow(Condition={"ArnLike": {"iam:PolicyARN": pattern}}), **context) == expected


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], '"Version"'),
        ({"Version": "2008-10-17", "Statement": [allow()]}, '"2012-10-17"'),
        (policy(), "no statement"),
        (policy("all"), "found str"),
        (policy(allow(Principal="*")), "Principal"),
        (policy(allow() | {"Effect": "allow"}), "Effect is Allow or Deny"),
        (policy(allow(resource=[VOLUME, 7])), "found 7"),
        (policy(allow(Condition=["StringEquals"])), "Condition: expected"),
        (policy({"Effect": "Allow", "Action": "*"}), "either Resource or NotResource"),
        (policy(allow(NotAction="*")), "either Action or NotAction"),
        (policy(allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})), "operator IpAddress"),
        (policy(allow(Condition={"StringNotEquals": {"aws:PrincipalTag/team": "x"}})), "key aws:PrincipalTag/team"),
        (policy(allow(Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}})), "MultiFactorAuthPresent"),
        (policy(allow(Condition={"Null": {"aws:ResourceTag": "true"}})), "key aws:ResourceTag"),
        (policy(allow(resource="arn:aws:s3:::home/${aws:username}")), "policy variable"),
        (policy(allow(Condition={"StringEquals": {"s3:prefix": "${aws:username}"}})), "policy variable"),
    ],
)
def test_what_is_not_evaluated_is_refused_with_its_name(document, said):
    """A key or operator that is not known could hold by its absence and permit; so the whole policy is refused."""
    with pytest.raises(SandboxError, match=said.replace("$", r"\$")):
        read_policy(document)


def test_the_statement_that_is_wrong_is_named():
    with pytest.raises(SandboxError, match="statement OfMine of"):
        read_policy(policy(allow(), allow(Sid="OfMine", Effect="Maybe")))

"""The operator's policy: sufficient for all that was recorded, each statement and action necessary, and current."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

from runbook_lib import permissions, permissions_actions
from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import policies
from tests.permissions.sanitised import VALUES

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = permissions_actions.actions_by_statement()
POLICY = permissions.policy(VALUES, ACTIONS)["Statement"]
VOLUME = "arn:aws:ec2:us-east-1:012345678901:volume/vol-data"


def load():
    """Return scripts/permissions as a module."""
    loader = importlib.machinery.SourceFileLoader("permissions_script", str(ROOT / "scripts" / "permissions"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("permissions_script", loader))
    sys.modules["permissions_script"] = module
    loader.exec_module(module)
    return module


SCRIPT = load()
ASKED = SCRIPT.asked()
RECORDED = [(sid, action) for sid in ACTIONS for action in ACTIONS[sid] if (sid, action) not in SCRIPT.NOT_RECORDED]


def refused(statements):
    """Return the actions of what was asked that statements do not permit."""
    return {one.action for one in ASKED if policies.decide(statements, one) != policies.ALLOWED}


def test_everything_that_was_asked_is_permitted():
    """The policy is sufficient for the recorded journeys."""
    assert refused(POLICY) == set()


@pytest.mark.parametrize("sid", sorted({sid for sid, _ in RECORDED}))
def test_without_a_statement_something_is_refused(sid):
    """Each statement is necessary."""
    assert refused([one for one in POLICY if one["Sid"] != sid]) & set(ACTIONS[sid])


def test_without_an_action_something_is_refused():
    """Each action of each statement is necessary, or explained."""
    idle = [
        (sid, action)
        for sid, action in RECORDED
        if action
        not in refused(
            permissions.policy(VALUES, ACTIONS | {sid: [one for one in ACTIONS[sid] if one != action]})["Statement"]
        )
    ]
    assert idle == []


def test_nothing_deletes_the_data_volume_whatever_its_tags():
    """The Deny is necessary: with the tag of a rehearsal the volume would go."""
    tags = {"aws:resourcetag/runbook-rehearsal": "visitors-cluster"}
    wish = policies.Access("ec2:DeleteVolume", VOLUME, tags)
    assert policies.decide(POLICY, wish) == policies.EXPLICIT_DENY
    without = [one for one in POLICY if one["Sid"] != "NeverDeleteTheVolume"]
    assert policies.decide(without, wish) == policies.ALLOWED


def test_another_migrations_objects_are_out_of_reach():
    """Volumes, services and roles of others are refused."""
    others = ["ec2:DetachVolume volume/vol-other", "ec2:ModifyVolume volume/vol-other", "ec2:DeleteVolume volume/vol-x"]
    for action, about in (one.split() for one in others):
        wish = policies.Access(action, f"arn:aws:ec2:us-east-1:012345678901:{about}")
        assert policies.decide(POLICY, wish) == policies.IMPLICIT_DENY


def test_generated_files_are_current():
    """`scripts/permissions` would write nothing, and every call of the adapters is held or explained."""
    assert [str(path) for path, text in SCRIPT.pages().items() if path.read_text("utf-8") != text] == []


def test_parts_fit_into_managed_policies():
    """Each part is small enough, and together they are the policy."""
    parts = permissions.parts({"Version": "2012-10-17", "Statement": POLICY})
    assert all(permissions.size(part) <= permissions.MANAGED_POLICY_LIMIT for part in parts)
    assert [one for part in parts for one in part["Statement"]] == POLICY


def test_a_denial_names_what_is_missing_and_where_it_stands():
    """AWS's message becomes action, resource, principal, and the statement that has the action."""
    said = (
        "User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: iam:PassRole on resource: arn:x because no"
    )
    denial = permissions_actions.denial_in(said)
    assert (denial.action, denial.resource) == ("iam:PassRole", "arn:x")
    assert "PassTheHostsRole or PassTheTasksRole" in denial.advice


def test_a_policy_that_is_not_understood_is_refused():
    """An operator that the sandbox does not evaluate ends the switch, rather than permitting."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "1"}}}
    with pytest.raises(SandboxError, match="IpAddress"):
        policies.read_policy({"Version": "2012-10-17", "Statement": [statement]})

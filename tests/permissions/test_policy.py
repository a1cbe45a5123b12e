"""The policies: sufficient for what was recorded, each statement and action necessary, small, and current."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from runbook_lib import permissions, permissions_actions
from runbook_lib.cli import main
from runbook_lib.permissions_roles import PURPOSES, ROLES
from runbook_lib.sandbox import policies
from tests.permissions.sanitised import VALUES
from tests.permissions.script import ROOT, load

ACTIONS = {role: permissions_actions.actions_by_statement(role) for role in ROLES}
POLICIES = {role: permissions.policy(VALUES, ACTIONS[role], ROLES[role])["Statement"] for role in ROLES}
POLICY = POLICIES["operator"]
VOLUME = "arn:aws:ec2:us-east-1:012345678901:volume/vol-data"
ACCOUNT = "arn:aws:ec2:us-east-1:012345678901"
SCRIPT = load()
ASKED = {role: SCRIPT.asked(role) for role in ROLES}
RECORDED = [
    (role, sid, action)
    for role, statements in ACTIONS.items()
    for sid, actions in statements.items()
    for action in actions
    if (role, sid, action) not in SCRIPT.NOT_RECORDED
]


def refused(role, statements):
    """Return the actions of what a role asked that statements do not permit."""
    return {one.action for one in ASKED[role] if policies.decide(statements, one) != policies.ALLOWED}


@pytest.mark.parametrize("role", ROLES)
def test_everything_that_was_asked_is_permitted(role):
    """The policy is sufficient for the recorded journeys."""
    assert refused(role, POLICIES[role]) == set()


@pytest.mark.parametrize(("role", "sid"), sorted({(role, sid) for role, sid, _ in RECORDED}))
def test_without_a_statement_something_is_refused(role, sid):
    """Each statement is necessary."""
    assert refused(role, [one for one in POLICIES[role] if one["Sid"] != sid]) & set(ACTIONS[role][sid])


@pytest.mark.parametrize("role", ROLES)
def test_without_an_action_something_is_refused(role):
    """Each action of each statement is necessary, or explained."""
    idle = []
    for sid, action in [(sid, action) for of, sid, action in RECORDED if of == role]:
        fewer = ACTIONS[role] | {sid: [one for one in ACTIONS[role][sid] if one != action]}
        if action not in refused(role, permissions.policy(VALUES, fewer, ROLES[role])["Statement"]):
            idle.append((sid, action))
    assert idle == []


def allowed(role):
    """Return every action that a role may do to something."""
    return {action for one in POLICIES[role] if one["Effect"] == "Allow" for action in one["Action"]}


READS = ("Describe", "Get", "List", "Lookup")


def test_who_audits_reads_and_nothing_else():
    """The auditor touches no host and no volume, and changes nothing anywhere."""
    assert {action for action in allowed("auditor") if not action.partition(":")[2].startswith(READS)} == set()
    assert {action.partition(":")[0] for action in allowed("auditor")} == {"cloudtrail", "kms", "s3"}


def test_who_asks_changes_nothing_but_lease_lock_and_record():
    """The requester runs scripts that look, and writes who is at it and what was planned; nothing else."""
    acts = {action for action in allowed("requester") if not action.partition(":")[2].startswith(READS)}
    assert acts == {"ssm:SendCommand", "s3:DeleteObject", "s3:PutObject", "s3:PutObjectRetention"}
    written = [one["Resource"] for one in POLICIES["requester"] if "s3:PutObject" in one["Action"]]
    below, lock = "arn:aws:s3:::visitors-archive/runbook", "arn:aws:s3:::visitors-state/visitors.tfstate.tflock"
    assert sorted(resource for each in written for resource in each) == [f"{below}/leases/*", f"{below}/runs/*", lock]
    (deletes,) = (one["Resource"] for one in POLICIES["requester"] if "s3:DeleteObject" in one["Action"])
    assert deletes == [lock]


def test_who_approves_signs_and_nothing_else():
    """The approver needs to be somebody, and with a key to sign."""
    assert allowed("approver") == {"sts:GetCallerIdentity", "kms:Sign", "kms:GetPublicKey"}


@pytest.mark.parametrize("role", ["requester", "approver", "auditor"])
def test_only_who_acts_can_act(role):
    """What the operator did to change something is refused to the others."""
    acts = [one for one in ASKED["operator"] if not one.action.partition(":")[2].startswith(READS)]
    may = {one.action for one in acts if policies.decide(POLICIES[role], one) == policies.ALLOWED}
    assert may == acts_of_all(role)


def acts_of_all(role):
    """Return what a role may do that is more than looking."""
    return {action for action in allowed(role) if not action.partition(":")[2].startswith(READS)} - {
        "sts:GetCallerIdentity"
    }


def test_nothing_deletes_the_data_volume_whatever_its_tags():
    """The Deny is necessary: with the tag of a rehearsal the volume would go."""
    tags = {"aws:resourcetag/runbook-rehearsal": "visitors-cluster"}
    wish = policies.Access("ec2:DeleteVolume", VOLUME, tags)
    assert policies.decide(POLICY, wish) == policies.EXPLICIT_DENY
    without = [one for one in POLICY if one["Sid"] != "NeverDeleteTheVolume"]
    assert policies.decide(without, wish) == policies.ALLOWED


FOREIGN = {
    "another volume is attached": ("ec2:AttachVolume", f"{ACCOUNT}:volume/vol-0", {}),
    "another volume is detached": ("ec2:DetachVolume", f"{ACCOUNT}:volume/vol-0", {}),
    "another volume grows": ("ec2:ModifyVolume", f"{ACCOUNT}:volume/vol-0", {}),
    "another volume is named": ("ec2:CreateTags", f"{ACCOUNT}:volume/vol-0", {}),
    "another volume is deleted": ("ec2:DeleteVolume", f"{ACCOUNT}:volume/vol-0", {}),
    "the clone of another cluster is deleted": (
        "ec2:DeleteVolume",
        f"{ACCOUNT}:volume/vol-0",
        {"aws:resourcetag/runbook-rehearsal": "other"},
    ),
    "the copy of another migration is attached": (
        "ec2:AttachVolume",
        f"{ACCOUNT}:volume/vol-0",
        {"aws:resourcetag/runbook:run-id": "20260101T000000Z-other-0abc", "aws:resourcetag/runbook:point": "copy"},
    ),
    "the rollback copy is deleted": (
        "ec2:DeleteVolume",
        f"{ACCOUNT}:volume/vol-0",
        {"aws:resourcetag/runbook:run-id": "20260101T000000Z-visitors-0abc", "aws:resourcetag/runbook:point": "copy"},
    ),
    "a snapshot of another migration is deleted": (
        "ec2:DeleteSnapshot",
        "arn:aws:ec2:us-east-1::snapshot/snap-0",
        {"aws:resourcetag/runbook:run-id": "20260101T000000Z-other-0abc", "aws:resourcetag/runbook:backup": "1"},
    ),
    "another host gets a volume": (
        "ec2:AttachVolume",
        f"{ACCOUNT}:instance/i-0",
        {"aws:resourcetag/runbook-cluster": "other"},
    ),
    "another host gets a command": ("ssm:SendCommand", f"{ACCOUNT}:instance/i-0", {}),
    "another host is stopped": ("ec2:StopInstances", f"{ACCOUNT}:instance/i-0", {}),
    "the source is terminated": ("ec2:TerminateInstances", f"{ACCOUNT}:instance/i-source", {}),
    "a host of the cluster is terminated past its group": (
        "ec2:TerminateInstances",
        f"{ACCOUNT}:instance/i-0",
        {"aws:resourcetag/runbook-cluster": "visitors-cluster"},
    ),
    "another role is handed on": (
        "iam:PassRole",
        "arn:aws:iam::012345678901:role/admin",
        {"iam:passedtoservice": "ec2.amazonaws.com"},
    ),
    "the hosts' role is handed to Lambda": (
        "iam:PassRole",
        "arn:aws:iam::012345678901:role/visitors-cluster-instance",
        {"iam:passedtoservice": "lambda.amazonaws.com"},
    ),
    "the hosts' role gets another policy": (
        "iam:AttachRolePolicy",
        "arn:aws:iam::012345678901:role/visitors-cluster-instance",
        {"iam:policyarn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    "another service is stopped": ("ecs:UpdateService", "arn:aws:ecs:us-east-1:012345678901:service/other/web", {}),
    "an instance is launched without the template": ("ec2:RunInstances", f"{ACCOUNT}:instance/*", {}),
    "the state is deleted": ("s3:DeleteObject", "arn:aws:s3:::visitors-state/visitors.tfstate", {}),
    "a record is deleted": ("s3:DeleteObject", "arn:aws:s3:::visitors-archive/runbook/runs/x/journal.jsonl", {}),
    "a lock is taken off": ("s3:BypassGovernanceRetention", "arn:aws:s3:::visitors-archive/runbook/runs/x/y", {}),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_not_the_migrations_is_out_of_reach(case):
    """The operator's policy names what it is about, by id, by name or by a tag."""
    action, resource, context = FOREIGN[case]
    assert policies.decide(POLICY, policies.Access(action, resource, context)) == policies.IMPLICIT_DENY


def test_generated_files_are_current():
    """`scripts/permissions` would write nothing, and every call of the adapters is held or explained."""
    assert [str(path) for path, text in SCRIPT.pages().items() if path.read_text("utf-8") != text] == []
    assert SCRIPT.main(["--check"]) == 0


def test_a_file_that_is_not_current_is_named_with_its_difference(monkeypatch, capsys):
    """`scripts/permissions --check` exits 1 and shows what it would write, and writes nothing."""
    file = ROOT / "docs" / "permissions" / "auditor.json"
    before = file.read_text("utf-8")
    monkeypatch.setitem(SCRIPT.NOT_RECORDED, ("auditor", "ReadRecords", "s3:GetObjectVersion"), "a trial")
    assert SCRIPT.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert (str(file) in said, "s3:GetObjectVersion" in said) == (True, True)
    assert file.read_text("utf-8") == before


def test_a_call_that_no_statement_covers_is_an_error():
    """A new call is found when it is recorded."""
    with pytest.raises(SystemExit, match="operator: no statement covers ec2:DeleteVpc"):
        SCRIPT.actions_of("operator", [*ASKED["operator"], policies.Access("ec2:DeleteVpc", f"{ACCOUNT}:vpc/vpc-own")])


def test_a_call_in_the_code_that_was_never_recorded_is_an_error():
    """A new call is found in the source, too, before anybody records it."""
    fewer = {sid: [one for one in actions if one != "ec2:DetachVolume"] for sid, actions in ACTIONS["operator"].items()}
    assert SCRIPT.unexplained(ACTIONS["operator"]) == []
    assert SCRIPT.unexplained(fewer) == ["ec2:DetachVolume"]


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


def test_a_denial_names_the_statements_on_such_a_resource():
    """For an instance not those that are about volumes."""
    said = "not authorized to perform: ec2:DetachVolume on resource: "
    on_instance = permissions_actions.denial_in(f"{said}{ACCOUNT}:instance/i-1 because").advice
    assert "LetGoOfTheSource or MoveVolumesOfTheHosts:" in on_instance
    assert "MoveAndCopyTheVolume" in permissions_actions.denial_in(f"{said}{VOLUME} because").advice


@pytest.mark.parametrize("role", ROLES)
def test_the_command_prints_each_policy_and_what_it_is_for(role, tmp_path):
    """`runbook permissions --role` prints what the sandbox can judge by, explains it, and writes it in parts."""

    def said(*words):
        result = CliRunner().invoke(main, ["permissions", "--role", role, *map(str, words)])
        assert result.exit_code == 0, result.output
        return result.output

    statements = json.loads(said())["Statement"]
    assert policies.read_policy({"Version": "2012-10-17", "Statement": statements}) == statements
    assert statements == json.loads((ROOT / "docs" / "permissions" / f"{role}.json").read_text("utf-8"))["Statement"]
    explained = said("--explain")
    assert [one["Sid"] for one in statements if one["Sid"] not in explained] == []
    files = said("--directory", tmp_path).split()
    parts = [json.loads((tmp_path / file).read_text("utf-8")) for file in files]
    assert [one for part in parts for one in part["Statement"]] == statements
    assert all(f"runbook-{role}-" in file for file in files)


def test_roles_have_purposes():
    assert set(PURPOSES) == set(ROLES)

"""Approvals through the command line: the run stops with nothing changed, somebody else says yes, and it goes on."""

from __future__ import annotations

import html
import json

import pytest

from runbook_lib.errors import ApprovalError
from tests.migration.conftest import only_run, report_of, run_command
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def people(sandbox, tmp_path_factory):
    """Return what to add to a command so that Alice or Bob is at the keyboard."""
    iam, lines = sandbox.client("iam"), []
    for name in ("alice", "bob"):
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        lines += [f"[{name}]", f"aws_access_key_id = {key['AccessKeyId']}"]
        lines += [f"aws_secret_access_key = {key['SecretAccessKey']}"]
    file = tmp_path_factory.mktemp("credentials") / "people"
    file.write_text("\n".join(lines), "utf-8")
    return {name: ("--profile", name, "--credentials-file", file) for name in ("alice", "bob")}


@pytest.fixture
def asked_by_alice(sandbox, altered, people):
    """Return a function that writes parameters with a policy, under which Alice runs what is run."""
    credentials = {"aws__profile": "alice", "aws__credentials_file": str(people["alice"][-1])}
    return lambda **policy: altered(sandbox, policy__approvals=policy, **credentials)


def events(folder, kind):
    """Return the journal's events of a kind."""
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    return [event for event in lines if event["kind"] == kind]


@pytest.mark.parametrize(
    ("notebooks", "planned"),
    [
        (["20_snapshot_volume"], ["create-hot-snapshot", "complete-hot-snapshot"]),
        pytest.param(
            ["10_provision_target", "20_snapshot_volume"],
            ["map-container", "choose-machine-image", "provision-target", "register-container-instance", "pull-image"],
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["an act", "a Terraform plan"],
)
def test_stopped_approved_and_resumed(sandbox, asked_by_alice, people, tmp_path, keep_provider, notebooks, planned):
    """Exit 6 with nothing changed and all of it planned; refused to who asked; approved, it goes on and verifies."""
    if notebooks[1:]:
        keep_provider(sandbox)
    file = asked_by_alice(required=1, notebooks=notebooks[:1])
    with unchanged(sandbox):
        stopped = run_command("run", *notebooks, "-f", file, "--execute", "--reason", "CHG-7")
    assert stopped.exit_code == 6, stopped.output
    assert [f"not started: {', '.join(notebooks[1:])}" in stopped.output] == [bool(notebooks[1:])]
    folder = only_run(tmp_path / "runs")
    in_archive = (folder.name, "-d", folder.parent)
    report = report_of(folder)
    request = report["approval_request"]
    assert (report["status"], request["requester"]["arn"][-11:], request["missing"]) == ("waiting", ":user/alice", 1)
    assert [step["id"] for step in request["steps"] if step["plan"]] == planned
    page = folder / request["page"]
    shown = page.read_text("utf-8")
    changes = [
        html.escape(change["address"]).replace("&quot;", "&#34;")
        for step in request["steps"]
        for change in step["changes"]
    ]
    assert (len(changes) > 10, [address for address in changes if address not in shown]) == (len(notebooks) > 1, [])

    with unchanged(sandbox):
        looked = run_command("approve", *in_archive)
        own = run_command("approve", *in_archive, "--reason", "fine", *people["alice"])
        again = run_command("resume", *in_archive)
    assert (looked.exit_code, request["digest"] in looked.output, str(page) in looked.output) == (6, True, True)
    assert (own.exit_code, "asked for this itself" in own.output) == (3, True), own.output
    assert (again.exit_code, "is planned, so that" in again.output) == (6, False), again.output

    yes = ("--reason", "looked at CHG-7", "--digest", request["digest"][:12], *people["bob"])
    approved = run_command("approve", *in_archive, *yes)
    assert (approved.exit_code, "user/bob" in approved.output) == (0, True), approved.output
    assert run_command("verify", folder).exit_code == 0

    resumed = run_command("resume", *in_archive)
    assert resumed.exit_code == 0, resumed.output
    (used,) = events(folder, "approval-used")
    assert used["by"] == [events(folder, "approval")[0]["approver"]]
    report = report_of(folder)
    assert (report["status"], [one["state"] for one in report["approvals"]]) == ("succeeded", ["used"])
    assert run_command("verify", folder).exit_code == 0
    page.write_text(shown.replace("CHG-7", "CHG-8"), "utf-8")
    assert f"{request['page']}: altered; the journal has digest" in run_command("verify", folder).output


def test_break_glass_acts_and_leaves_a_review(sandbox, asked_by_alice, people, tmp_path):
    """Without a reason it is refused; with one it acts, says so everywhere, and somebody else closes the review."""
    file = asked_by_alice(required=2, notebooks=["20_snapshot_volume"])
    with unchanged(sandbox):
        silent = run_command("run", "20", "-f", file, "--execute", "--break-glass")
    assert (silent.exit_code, "--reason" in silent.output) == (2, True), silent.output
    acted = run_command("run", "20", "-f", file, "--execute", "--break-glass", "--reason", "disk dies")
    assert acted.exit_code == 0, acted.output
    assert acted.output.count("BREAK GLASS") == 2
    folder = only_run(tmp_path / "runs")
    in_archive = (folder.name, "-d", folder.parent)
    assert f"runbook review {folder.name}" in acted.output
    assert f"to review: {folder.name}" in run_command("list", "-d", folder.parent).output
    own = run_command("review", *in_archive, "--reason", "fine", *people["alice"])
    assert own.exit_code == 3, own.output
    assert run_command("review", *in_archive, "--reason", "it was right", *people["bob"]).exit_code == 0
    assert "to review" not in run_command("list", "-d", folder.parent).output
    (broken,) = report_of(folder)["break_glass"]
    assert (broken["missing"], broken["reason"], broken["review"]["reason"]) == (2, "disk dies", "it was right")
    assert run_command("verify", folder).exit_code == 0


def test_a_notebook_by_hand_is_stopped_too(sandbox, asked_by_alice):
    """Who opens the run in a notebook of his own comes no further than the command line does."""
    import runbook_lib

    file = asked_by_alice(required=1, notebooks=["20_snapshot_volume"])
    run = runbook_lib.open_run(str(file), execute=True)
    try:
        with unchanged(sandbox), pytest.raises(ApprovalError) as refused:
            runbook_lib.create_hot_snapshot(run)
        assert f"runbook approve {run.run_id} --digest" in str(refused.value)
    finally:
        runbook_lib.close_run(run)

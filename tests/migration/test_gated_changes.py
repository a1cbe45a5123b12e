"""Retiring the source and changing the storage driver under a gate: asked, approved by somebody else, done."""

from __future__ import annotations

import pytest
import yaml

from tests.migration.conftest import report_of, run_command
from tests.migration.test_approvals import events, people  # noqa: F401 - a fixture
from tests.migration.test_change_driver import Service, on
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
pytestmark.append(pytest.mark.drivers("rexray"))  # where it begins
GATED = ["50_retire_source", "65_prepare_storage_driver", "66_change_storage_driver"]


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory, people):  # noqa: F811 - the fixture
    """Return a service that was migrated with REX-Ray, and then got a policy under which Alice asks."""
    made = Service(sandbox, tmp_path_factory.mktemp("service"))
    ended, made.first = made.run("rexray", "00", "10", "20", "30", "40", "45")
    assert ended.exit_code == 0, ended.output
    for file in made.files.values():
        document = yaml.safe_load(file.read_text("utf-8"))
        document["migration"]["aws"] |= {"profile": "alice", "credentials_file": str(people["alice"][-1])}
        document["migration"]["policy"]["approvals"] = {"required": 1, "notebooks": GATED}
        file.write_text(yaml.safe_dump(document), "utf-8")
    return made


def approve_until_done(folder, bob, **environment):
    """Let Bob approve whatever a run waits for, and resume it; return what was asked for, and how it ended."""
    asked, in_archive = [], (folder.name, "-d", folder.parent)
    ended = None
    while request := report_of(folder)["approval_request"]:
        assert len(asked) < 6, asked
        asked.append((request["notebook"], request["step_id"], bool(report_of(folder)["outages"])))
        yes = ("--reason", "looked at it", "--digest", request["digest"][:12], *bob)
        approved = run_command("approve", *in_archive, *yes)
        assert approved.exit_code == 0, approved.output
        ended = run_command("resume", *in_archive, timeout_s=900, **environment)
        assert ended.exit_code in {0, 6}, ended.output
    return asked, ended


def test_the_point_of_no_return_waits_too(service, people):  # noqa: F811
    """50 goes on in the migration's run, under a policy that came later; it asks before its first act, then retires."""
    later = ("--run-id", service.first.name, "--accept-changes", "approvals are wanted now", "--reason", "CHG-9")
    with unchanged(service.sandbox):
        stopped = run_command("run", "50", "-f", service.files["rexray"], "--execute", *later, timeout_s=900)
    assert stopped.exit_code == 6, stopped.output
    asked, retired = approve_until_done(service.first, people["bob"])
    assert ([notebook for notebook, _, _ in asked], retired.exit_code) == (GATED[:1], 0), retired.output
    assert [one["state"] for one in report_of(service.first)["approvals"]] == ["used"]
    assert run_command("verify", service.first).exit_code == 0


def test_both_notebooks_of_a_change_wait_for_their_own_approval(service, people, wait_until):  # noqa: F811
    """65 asks once, before its first act and for the plan behind it; 66 before the outage; then it has moved.

    66 asks again after the outage where Terraform has something left to bring in line.
    """
    with unchanged(service.sandbox):
        stopped, folder = service.run("host_mount", "65", "66")
    assert stopped.exit_code == 6, stopped.output
    asked, changed = approve_until_done(folder, people["bob"])
    assert changed.exit_code == 0, changed.output
    assert [(notebook, step_id) for notebook, step_id, _ in asked if notebook == GATED[1]] == [
        (GATED[1], "withhold-volume")
    ]
    assert {notebook for notebook, _, _ in asked[1:]} == {GATED[2]}, asked
    assert [outage for _, _, outage in asked[:2]] == [False, False], asked
    on("host_mount", service.facts())
    service.serves_every_write(wait_until)
    report = report_of(folder)
    assert [one["state"] for one in report["approvals"]].count("used") == len(asked), report["approvals"]
    assert {event["notebook"] for event in events(folder, "approval-used")} == set(GATED[1:])
    assert run_command("verify", folder).exit_code == 0
    assert "approval" not in run_command("lint", folder).output

"""What comes after the migration under a gate: patching, deploying, resizing, backing up and restoring a service."""

from __future__ import annotations

import pytest
import yaml

from tests.migration.conftest import report_of, run_command
from tests.migration.test_approvals import events, people  # noqa: F401 - a fixture
from tests.migration.test_day_two import digest
from tests.migration.test_gated_changes import approve_until_done
from tests.migration.test_resize import LARGER, Resizable, host_types
from tests.migration.test_restore import accepted_by, nothing_changes
from tests.running_provider import RunningProvider

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
pytestmark.append(pytest.mark.drivers("rexray"))  # the gate is before every act, whatever the driver
GATED = ["60_patch_hosts", "61_deploy_image", "62_resize", "63_back_up_volume", "70_restore_volume"]


class Gated(Resizable):
    """A migrated service under a policy that wants one approval for whatever changes it."""

    def gate(self, people):  # noqa: F811 - the fixture's value
        """Let Alice ask from here on."""
        self.migration["aws"] |= {"profile": "alice", "credentials_file": str(people["alice"][-1])}
        self.migration["policy"] |= {"approvals": {"required": 1, "notebooks": GATED}}

    @property
    def file(self):
        """The parameters, as they are now."""
        file = self.folder / "now.yaml"
        file.write_text(yaml.safe_dump({"migration": self.migration}), "utf-8")
        return file

    def is_stopped(self, *words):
        """Run a command that must stop at the gate with nothing changed; return the run's folder."""
        archive = self.folder / "runs"
        before = set(archive.glob("*/journal.jsonl"))
        with nothing_changes(self.sandbox):  # a picture of the world would see containers of before, which go
            ended = run_command(*words, "--execute", "--reason", "CHG-5", timeout_s=900, **self.environment)
        assert ended.exit_code == 6, ended.output
        (journal,) = set(archive.glob("*/journal.jsonl")) - before
        return journal.parent

    def proceeds(self, folder, people):  # noqa: F811 - the fixture's value
        """Let Bob approve until it is done; return what was asked for."""
        asked, ended = approve_until_done(folder, people["bob"], **self.environment)
        assert ended.exit_code == 0, ended.output
        report = report_of(folder)
        assert (report["status"], report["approval_request"]) == ("succeeded", None)
        assert [one["state"] for one in report["approvals"]] == ["used"] * len(asked), report["approvals"]
        assert run_command("verify", folder).exit_code == 0
        assert "approval" not in run_command("lint", folder).output
        return [step_id for _, step_id, _ in asked]


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory, people):  # noqa: F811 - the fixture
    """Return a service that Terraform's volume belongs to, with a policy that came after the migration."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Gated(sandbox, folder, provider.environment)
        ended, _ = made.run("00", "10", "20", "30", "45")
        assert ended.exit_code == 0, ended.output
        made.gate(people)
        yield made


def test_backing_up_and_restoring_wait_for_approvals(service, people, wait_until):  # noqa: F811
    """63 asks once. 70 asks before it makes a volume, and for each plan of Terraform, none of which is known before."""
    assert service.proceeds(service.is_stopped("run", "63", "-f", service.file), people) == ["create-backup"]
    before = set((service.folder / "runs").glob("*/journal.jsonl"))
    planned = run_command("restore", "latest", "-f", service.file, timeout_s=900, **service.environment)
    assert planned.exit_code == 0, planned.output
    (journal,) = set((service.folder / "runs").glob("*/journal.jsonl")) - before
    since = accepted_by((planned, journal.parent))
    folder = service.is_stopped("restore", "latest", "-f", service.file, "--accept-loss-of-writes-since", since)
    asked = service.proceeds(folder, people)
    assert asked == [
        "create-restored-volume", "provision-for-restore", "complete-restore", "adopt-restored-volume",
    ]  # fmt: skip
    service.migration = yaml.safe_load((folder / "next-parameters.yaml").read_text("utf-8"))["migration"]


def test_resizing_waits_and_a_changed_wish_voids_what_was_approved(service, people):  # noqa: F811
    """62 for one size is approved, then another is wanted: it is stopped again, says which part changed, and asks once.

    Its plan is part of what is asked for, although a snapshot, the growth and a manifest come before it.
    """
    size = service.volume()[0]
    service.migration["volume"]["size_gib"] = size + 1
    folder = service.is_stopped("run", "62", "-f", service.file)
    yes = ("--reason", "looked at it", *people["bob"])
    assert run_command("approve", folder.name, "-d", folder.parent, *yes).exit_code == 0
    service.migration["volume"]["size_gib"] = size + 2
    service.migration["target"]["instance_types"] = [LARGER]
    again = ("--run-id", folder.name, "--accept-changes", "one more", "--execute", "--reason", "CHG-5")
    with nothing_changes(service.sandbox):
        stopped = run_command("run", "62", "-f", service.file, *again, timeout_s=900, **service.environment)
    assert (stopped.exit_code, "parameters: was" in stopped.output) == (6, True), stopped.output
    asked, ended = approve_until_done(folder, people["bob"], **service.environment)
    assert ended.exit_code == 0, ended.output
    assert [step_id for _, step_id, _ in asked] == ["create-snapshot-before-resize"]
    assert (service.volume()[0], service.volume()[-1], host_types(service)) == (size + 2, size + 2, [LARGER])
    states = [one["state"] for one in report_of(folder)["approvals"]]
    assert (states[0].partition(":")[0], set(states[1:]), len(states)) == ("void", {"used"}, 1 + len(asked)), states
    assert run_command("verify", folder).exit_code == 0


def test_patching_waits(service, people):  # noqa: F811
    """60 asks once, with the plan that it will apply, before a host is launched."""
    service.sandbox.control("POST", "/_sandbox/machine-images/publish", {})
    asked = service.proceeds(service.is_stopped("run", "60", "-f", service.file), people)
    assert len(asked) == 1, asked


def test_deploying_with_a_broken_glass(service, people, wait_until):  # noqa: F811
    """61 acts without the approval, on record; somebody else reviews it; nothing acknowledged before it is missing."""
    service.migration["target"]["image"] = digest("1.1")
    folder = service.is_stopped("run", "61", "-f", service.file)
    glass = ("resume", folder.name, "-d", folder.parent, "--break-glass", "--reason", "INC-9: the image leaks")
    ended = run_command(*glass, timeout_s=900, **service.environment)
    assert (ended.exit_code, "BREAK GLASS" in ended.output) == (0, True), ended.output
    used = [event for event in events(folder, "break-glass") if event["phase"] == "used"]
    assert {event["notebook"] for event in used} == {"61_deploy_image"}
    assert service.facts()["image"] == digest("1.1")
    review = ("review", folder.name, "-d", folder.parent, "--reason", "it did leak", *people["bob"])
    assert run_command(*review).exit_code == 0
    assert run_command("verify", folder).exit_code == 0

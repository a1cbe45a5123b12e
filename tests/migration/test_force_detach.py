"""Break-glass: refused while anything could still write, noted before it is done, checked before anybody mounts."""

from __future__ import annotations

import ast
import struct
from pathlib import Path

import pytest
import yaml

from tests.migration.conftest import only_run, report_of, run_command
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(300)]
STOP_COMPOSE = "docker compose -f /opt/guestbook/compose.yaml -p guestbook stop"
PACKAGE = Path(__file__).resolve().parents[2] / "runbook_lib"


class Estate:
    """A run on a source of its own, and what an operator does to that source.

    Args:
        sandbox: The sandbox.
        folder: Where the archive is.
    """

    def __init__(self, sandbox, folder) -> None:
        self.sandbox = sandbox
        document = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(folder / "runs")}
        file = folder / "parameters.yaml"
        file.write_text(yaml.safe_dump(document), "utf-8")
        migration = document["migration"]
        self.volume_id, self.instance_id = migration["volume"]["volume_id"], migration["source"]["instance_id"]
        assert run_command("run", "00", "-f", file, "--execute").exit_code == 0
        self.run = only_run(folder / "runs")

    def force(self, reason="the attachment stays busy, CHG-3", typed=""):
        """Force the detach as an operator does."""
        words = ["--reason", reason] if reason else []
        words += ["--i-understand-data-may-be-lost", typed or self.volume_id]
        return run_command("force-detach", self.run.name, "-d", self.run.parent, *words)

    def roll_back(self):
        """Roll back."""
        return run_command("roll-back", self.run.name, "-d", self.run.parent, "--execute")

    def attachments(self):
        """Return where the volume is attached."""
        (volume,) = self.sandbox.client("ec2").describe_volumes(VolumeIds=[self.volume_id])["Volumes"]
        return [attachment["InstanceId"] for attachment in volume["Attachments"]]

    def instance_state(self):
        """Return the state of the source."""
        answer = self.sandbox.client("ec2").describe_instances(InstanceIds=[self.instance_id])
        return answer["Reservations"][0]["Instances"][0]["State"]["Name"]

    def is_online(self):
        """Return whether commands reach the source."""
        listed = self.sandbox.client("ssm").describe_instance_information()["InstanceInformationList"]
        return any(i["InstanceId"] == self.instance_id and i["PingStatus"] == "Online" for i in listed)

    def command(self, line, wait_until, *, must_succeed=True):
        """Run one command on the source; return what it printed."""
        ssm = self.sandbox.client("ssm")
        sent = ssm.send_command(
            InstanceIds=[self.instance_id], DocumentName="AWS-RunShellScript", Parameters={"commands": [line]}
        )
        names = {"CommandId": sent["Command"]["CommandId"], "InstanceId": self.instance_id}

        def answer():
            try:
                return ssm.get_command_invocation(**names)
            except ssm.exceptions.InvocationDoesNotExist:  # in the first moments
                return {"Status": "Pending"}

        wait_until(lambda: answer()["Status"] in {"Success", "Failed"}, line)
        assert answer()["Status"] == "Success" or not must_succeed, answer()
        return answer()["StandardOutputContent"]

    def device(self):
        """Return the file with the volume's first bytes."""
        (found,) = self.sandbox.state_dir.rglob(f"{self.volume_id}/device")
        return found


@pytest.fixture
def estate(start_sandbox, tmp_path):
    """Return an inspected estate in a sandbox of its own, its client at rest."""
    sandbox = start_sandbox("fast")
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    return Estate(sandbox, tmp_path)


def stop_source(estate, wait_until):
    """Stop the source instance."""
    estate.sandbox.client("ec2").stop_instances(InstanceIds=[estate.instance_id])
    wait_until(lambda: estate.instance_state() == "stopped", "the source is stopped")


def start_source(estate, wait_until):
    """Start the source instance; compose starts by itself, on the empty directory."""
    estate.sandbox.client("ec2").start_instances(InstanceIds=[estate.instance_id])
    wait_until(lambda: estate.instance_state() == "running" and estate.is_online(), "the source is online")
    wait_until(lambda: "Up" in estate.command("docker ps", wait_until, must_succeed=False), "compose started by itself")


def test_refused_while_the_source_runs_or_without_a_word(estate):
    """A running source, a missing reason and an id not typed out: refused, and nothing changed."""
    with unchanged(estate.sandbox):
        running = estate.force()
        reasonless = estate.force(reason="")
        mistyped = estate.force(typed="vol-0123456789abcdef0")
    assert running.exit_code == 3, running.output
    assert f"expected {estate.instance_id} stopped or terminated, observed running" in " ".join(running.output.split())
    assert "Changed: no" in running.output
    for ended, text in (
        (reasonless, "--reason: expected why"),
        (mistyped, f"expected {estate.volume_id}, typed out"),
    ):
        assert (ended.exit_code, text in ended.output) == (2, True), ended.output
    assert report_of(estate.run)["forced_detaches"] == []


def test_done_once_checked_and_mounted_again(estate, wait_until):
    """On a stopped source it is done, a second time it is nothing; the way back checks before the mount."""
    stop_source(estate, wait_until)
    ended = estate.force()
    assert ended.exit_code == 0, ended.output
    assert estate.attachments() == []
    again = estate.force()
    assert (again.exit_code, "skipped" in again.output) == (0, True), again.output
    report = report_of(estate.run)
    (forced,) = report["forced_detaches"]
    assert (forced["reason"], forced["instance_state"]) == ("the attachment stays busy, CHG-3", "stopped")
    page = (estate.run / "report.html").read_text("utf-8")
    assert 'class="trouble"' in page
    assert "A detach was forced: data may be lost" in page
    assert "must be checked before anybody mounts it" in page

    start_source(estate, wait_until)
    assert estate.roll_back().exit_code == 3  # it has attached the volume by then; refused again, it changes nothing
    with unchanged(estate.sandbox):
        refused = estate.roll_back()
    assert refused.exit_code == 3, refused.output
    assert "nothing-runs-without-the-volume" in refused.output
    estate.command(STOP_COMPOSE, wait_until)
    ended = estate.roll_back()
    assert ended.exit_code == 0, ended.output
    report = report_of(estate.run)
    statuses = {step["id"]: step["status"] for step in report["steps"]}
    assert statuses["check-filesystem"] in {"succeeded", "skipped"}
    (found,) = report["filesystem_checks"]
    assert (found["verdict"], found["exit_code"]) == ("clean", 0)
    assert found["command"].startswith("e2fsck -f -n /dev/")
    assert statuses["start-source-service"] == "succeeded"
    assert estate.attachments() == [estate.instance_id]
    assert estate.sandbox.control("GET", "/_sandbox/client")["missing"] == 0


@pytest.mark.parametrize(
    ("damage", "exit_code"), [("errors", 3), pytest.param("journal", 0, marks=pytest.mark.thorough)]
)
def test_a_damaged_filesystem_is_not_mounted(estate, wait_until, damage, exit_code):
    """Errors keep the volume unmounted; a journal that only waits for its replay does not."""
    stop_source(estate, wait_until)
    assert estate.force().exit_code == 0
    offset, form, value = (1024 + 0x3A, "<H", 2) if damage == "errors" else (1024 + 0x60, "<I", 0x40 | 0x4)
    with estate.device().open("r+b") as stream:
        stream.seek(offset)
        stream.write(struct.pack(form, value))
    start_source(estate, wait_until)
    estate.command(STOP_COMPOSE, wait_until)
    ended = estate.roll_back()
    assert ended.exit_code == exit_code, ended.output
    (found,) = report_of(estate.run)["filesystem_checks"]
    if damage == "errors":
        assert found["verdict"] == "damaged"
        assert "not mounted, and unaltered" in ended.output
        with unchanged(estate.sandbox):
            assert estate.roll_back().exit_code == 3, "and again"
    else:
        assert "its journal is not replayed yet" in found["verdict"]


def test_nothing_else_can_force():
    """The forced call stands in one adapter, which one procedure uses, which no notebook calls."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in {"break_glass", "force_detach_volume"})
        or (isinstance(node, ast.keyword) and node.arg == "Force")
    }
    assert users == {"adapters/break_glass.py", "procedures/force_detach.py", "cli_recovery.py"}
    notebooks = (PACKAGE.parent / "notebooks").glob("*.ipynb")
    assert [path.stem for path in notebooks if "force_detach" in path.read_text("utf-8")] == []

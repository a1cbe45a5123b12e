"""Hosts are reached by SSM: results, long results, refusals."""

from __future__ import annotations

import pytest
import yaml

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.host import Host
from runbook_lib.errors import HostCommandError


@pytest.fixture
def commands():
    return []


@pytest.fixture
def source(sandbox, commands):
    migration = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))["migration"]
    aws = Aws(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        profile="sandbox",
        credentials_file=sandbox.state_dir / "credentials",
    )
    return Host(aws, Clock(), migration["source"]["instance_id"], lambda **fields: commands.append(fields))


def test_a_script_answers_and_is_on_record(source, commands):
    """A script's result comes back as data; script, digest, exit code and duration are recorded."""
    facts = source.run("list_open_files", mount_path="/srv/guestbook")
    assert facts["mounted"] is True
    assert (commands[0]["script"], commands[0]["exit_code"], len(commands[0]["sha256"])) == ("list_open_files", 0, 64)


def test_a_script_that_goes_on_without_its_sender_is_seen(source, sandbox, wait_until):
    """Whoever sent a script and was killed: it is under way until it ends, and nobody else's command counts."""
    commands = ['exec python3 -c "import time; time.sleep(4)"']
    for comment in ("runbook 20260101T000000Z-guestbook-0001 verify_before_start", "patching"):
        sandbox.client("ssm").send_command(
            InstanceIds=[source.instance_id],
            DocumentName="AWS-RunShellScript",
            Comment=comment,
            Parameters={"commands": commands, "executionTimeout": ["30"]},
        )
    wait_until(lambda: source.scripts_under_way() == ["verify_before_start"], "it is under way")
    wait_until(lambda: source.scripts_under_way() == [], "it has ended", timeout_s=20)


def test_a_long_result_comes_in_pages(source, commands, sandbox):
    """A result longer than SSM's answer is fetched in pages, whole and checked."""
    folder = sandbox.state_dir / "hosts" / source.instance_id / "root" / "var" / "many"
    folder.mkdir(parents=True)
    for number in range(400):
        (folder / f"file {number}").write_text(str(number))
    source.run("build_manifest", run_id="test", name="long", root="/var/many")
    read = source.run("read_manifest", run_id="test", name="long")
    assert len(read["entries"]) == 401
    assert [c["script"] for c in commands].count("read_page") > 1


def test_a_refusal_carries_its_message(source):
    """What the script refused is said in its own words, with the host's name."""
    with pytest.raises(HostCommandError, match="nothing is mounted at /nowhere") as refused:
        source.run("write_sentinel", mount_path="/nowhere", run_id="test", content="{}")
    assert refused.value.instance_id in str(refused.value)


def test_hostile_arguments_stay_data(source):
    """Quotes, dollars and newlines in an argument reach the script as they are."""
    hostile = "/srv/$(touch x)'\"\n;`id`"
    assert source.run("list_open_files", mount_path=hostile) == {
        "mounted": False,
        "open_files": [],
        "unreadable_processes": 0,
    }


def test_an_unknown_instance_is_named(source, commands):
    """An instance that SSM does not know is refused with what to look at."""
    source.instance_id = "i-0123456789abcdef0"
    with pytest.raises(HostCommandError, match="is the SSM agent of the instance online"):
        source.run("list_open_files", mount_path="/srv")


class HostWithoutPython:
    """Systems Manager as it answers for a host whose shell finds no python3."""

    run_id = "test"

    def call(self, _service, operation, **_arguments):
        """Return the answer to one call."""
        if operation == "send_command":
            return {"Command": {"CommandId": "1"}}
        return {
            "Status": "Failed",
            "ResponseCode": 127,
            "StandardOutputContent": "",
            "StandardErrorContent": "_script.sh: line 1: exec: python3: not found",
        }


def test_a_host_without_python_is_told_apart():
    """The error says what every script needs and what to install, not that an answer was no JSON."""
    host = Host(HostWithoutPython(), Clock(), "i-0123456789abcdef0", lambda **_: None)
    with pytest.raises(HostCommandError, match=r"Python 3.7 or later .* Nothing was changed. Install"):
        host.run("inspect_host")

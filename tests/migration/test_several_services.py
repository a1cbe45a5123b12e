"""A compose project whose services belong together moves as one task, and comes back as it was."""

from __future__ import annotations

import json

import pytest
import yaml

from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.host import Host
from tests import nursery
from tests.conftest import RunningSandbox
from tests.migration.conftest import only_run, report_of

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]


ESTATE = {"rexray": "more-services", "host_mount": "folder-service"}
SEEN = {"rexray": "guestbook.db", "host_mount": "program"}
"""What the reader sees: the plugin shows the volume's root, host_mount also a folder of it."""


@pytest.fixture
def sandbox(driver, tmp_path):
    """Return a sandbox whose project has a writer, a reader of the same volume, and a container that ends first."""
    info = nursery.start(tmp_path / "sandbox", latency="fast", estate_options=(ESTATE[driver],))
    running = RunningSandbox(info, driver)
    yield running
    running.stop()


def task_of(sandbox):
    """Return the containers of the only task by name."""
    ecs = sandbox.client("ecs")
    arns = ecs.list_tasks(cluster="guestbook")["taskArns"]
    (task,) = ecs.describe_tasks(cluster="guestbook", tasks=arns)["tasks"]
    return {one["name"]: one for one in task["containers"]}


def logged(sandbox, name):
    """Return everything that containers of a name printed on ECS."""
    logs = sandbox.client("logs")
    streams = logs.describe_log_streams(logGroupName="/ecs/guestbook")["logStreams"]
    names = [one["logStreamName"] for one in streams if f"/{name}/" in one["logStreamName"]]
    found = [logs.get_log_events(logGroupName="/ecs/guestbook", logStreamName=one)["events"] for one in names]
    return [event["message"] for events in found for event in events]


def on_source(sandbox, file):
    """Return status and restart policy of the project's containers on the source host by service."""
    migration = yaml.safe_load(file.read_text("utf-8"))["migration"]
    source = migration["source"]
    host = Host(sandbox.session(), Clock(), source["instance_id"], lambda **_: None)
    facts = host.run("compose_config", file=source["compose_file"], project=source["compose_project"])
    return {one["service"]: (one["status"], one["restart_policy"]) for one in facts["containers"]}


def test_services_that_share_the_volume_move_as_one_task_and_come_back(
    driver, sandbox, runbook, altered, keep_provider, wait_until
):
    """Writer, reader and the one that ends run in one task in their order; rolled back, compose has them all again."""
    keep_provider(sandbox)
    file = altered(sandbox)
    ended = runbook("run", "00", "10", "20", "25", "30", "40", "-f", file, "--execute", timeout_s=500)
    assert ended.exit_code == 0, ended.output
    folder = only_run(file.parent / "runs")
    assert report_of(folder)["data"]["identical"] is True

    mapping = json.loads((folder / "evidence" / "task-mapping.json").read_text("utf-8"))
    assert mapping["services"] == ["prepare", "guestbook", "librarian"]
    containers = task_of(sandbox)
    assert {name: one["lastStatus"] for name, one in containers.items()} == {
        "guestbook": "RUNNING", "librarian": "RUNNING", "prepare": "STOPPED"
    }  # fmt: skip
    assert containers["prepare"]["exitCode"] == 0
    wait_until(lambda: logged(sandbox, "librarian"), "the reader says what it sees")
    assert SEEN[driver] in logged(sandbox, "librarian")[-1]
    assert list(mapping["folders"].values()) == (["uploads"] if driver == "host_mount" else [])
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0

    ended = runbook("roll-back", folder.name, "--directory", folder.parent, "--execute")
    assert ended.exit_code == 0, ended.output
    assert report_of(folder)["status"] == "rolled_back"
    facts = sandbox.control("GET", "/_sandbox/client")
    assert facts["missing"] == 0
    assert on_source(sandbox, file) == {
        "guestbook": ("running", "always"), "librarian": ("running", "unless-stopped"), "prepare": ("exited", "no")
    }  # fmt: skip
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
        "the client writes through compose again",
    )

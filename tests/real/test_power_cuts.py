"""Power cuts at steps of the cutover: the holder of the volume dies, and what was acknowledged is there afterwards."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.crash.strikes import CUTOVER, changing_steps
from tests.migration.conftest import RUNBOOK, report_of, run_command
from tests.real.database import ALL_SEEDS, Database, Ledger
from tests.real.town import POWER_CUTS, Town, replays

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
FIRST = ("stop-source-service", "start-target-service")
"""Where most is under way: both databases take writes, and the containers of the target begin."""
COUNT = max(int(os.environ.get(POWER_CUTS, "2")) // 2, 1)
STEPS = (*FIRST, *(one for one in changing_steps(CUTOVER) if one not in FIRST))[:COUNT]
ON_THE_TARGET = {"verify-before-start", "start-target-service", "release-gate"}


class Service:
    """The guestbook and its database with their clients, and what they must never lose.

    Args:
        town: Where.
    """

    def __init__(self, town):
        self.town, self.database = town, Database(town.sandbox)
        self.seeds = self.database.ask(ALL_SEEDS)
        self.ledger = Ledger(self.database)
        self.ledger.start()

    def has_everything(self):
        """Return whether both answer, with everything that they acknowledged."""
        return self.town.has_everything() and self.ledger.missing() == []

    def is_sound(self):
        """Return whether the rows of before are unchanged and every page fits its checksum."""
        return self.database.ask(ALL_SEEDS) == self.seeds and self.database.verify() == []


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a sandbox with real hosts and PostgreSQL; each test leaves its service on the source."""
    made = Town(tmp_path_factory.mktemp("real"), options=["postgres"], budget_s=1200)
    yield made
    made.down()


@pytest.fixture(scope="module")
def service(town):
    """Return the service, written to all the time."""
    made = Service(town)
    yield made
    made.ledger.end()


@pytest.fixture
def run_id(town, service, wait_until):
    """Return a run that is ready for its cutover."""
    wait_until(service.has_everything, "the service runs on the source", 120)
    before = set(town.runs.glob("*/journal.jsonl"))
    ended = town.run("00", "10", "20", reason="test-real")
    assert ended.exit_code == 0, ended.output
    (journal,) = set(town.runs.glob("*/journal.jsonl")) - before
    return journal.parent.name


def source_of(town):
    """Return the instance of the source host."""
    return yaml.safe_load(town.file.read_text("utf-8"))["migration"]["source"]["instance_id"]


def victim_of(town, step_id):
    """Return the instance that has the volume at a step, or is about to have it."""
    if step_id not in ON_THE_TARGET:
        return source_of(town)
    ecs = town.sandbox.client("ecs")
    arns = ecs.list_container_instances(cluster="guestbook", status="ACTIVE")["containerInstanceArns"]
    (one,) = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
    return one["ec2InstanceId"]


def bring_back(town, step_id, victim):
    """Do what an operator does: start the source again; let Auto Scaling replace a dead container instance."""
    ec2 = town.sandbox.client("ec2")
    if step_id in ON_THE_TARGET:
        ec2.terminate_instances(InstanceIds=[victim])
    else:
        ec2.reboot_instances(InstanceIds=[victim])


@pytest.mark.parametrize("step_id", STEPS)
def test_a_power_cut_at_a_step_of_the_cutover_loses_nothing(step_id, town, service, run_id, wait_until):
    """Cut, brought back by its operator, resumed to the end, and rolled back: everything acknowledged is there."""
    victim, replayed = victim_of(town, step_id), replays()
    fault = ("fault", "add", "kill-host", "--target", victim, "--at-step", step_id, "--run-id", run_id)
    striking = subprocess.Popen(
        [RUNBOOK, "sandbox", *fault, "--directory", town.runs, "--state", town.state_dir], stdout=subprocess.DEVNULL
    )

    with ThreadPoolExecutor() as pool:
        cutting_over = pool.submit(town.run, "30", run_id=run_id, reason="test-real")
        assert striking.wait(900) == 0
        bring_back(town, step_id, victim)  # meanwhile: the dead host's task does not end before its instance does
        stopped = cutting_over.result()

    hosts = lambda: town.sandbox.control("GET", "/_sandbox/status")["hosts"]  # noqa: E731
    wait_until(lambda: hosts().get(victim, {"booted": True})["booted"], "the host is back, or gone", 120)

    def is_over():
        return run_command("resume", run_id, "-d", town.runs, timeout_s=600).exit_code == 0

    wait_until(is_over, f"the cutover goes on to its end; it had stopped with {stopped.output}", 300)
    wait_until(service.has_everything, "the target has every acknowledged write", 120)
    assert town.serving()[0] != source_of(town)
    assert service.is_sound()
    assert replays() != replayed

    ended = run_command("roll-back", run_id, "-d", town.runs, "--execute", timeout_s=600)
    assert ended.exit_code == 0, ended.output
    assert report_of(town.runs / run_id)["status"] == "rolled_back"
    wait_until(service.has_everything, "the source has every acknowledged write", 120)
    assert service.is_sound()

"""What the crash tests share: one sandbox a module, provisioned once, and as many runs in it as there are cases."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from runbook_lib.procedures.filesystem_check import CHECK_FILESYSTEM
from runbook_lib.procedures.hold import HOLD_CUTOVER
from runbook_lib.sandbox import lifecycle
from runbook_lib.steps import only_wait
from tests.conftest import RunningSandbox
from tests.migration.conftest import only_run, run_command

DRIVER = Path(__file__).with_name("driver.py")
KILLED = ("killed before the act", "killed in the act", "killed after the act")
FAILED = ("refused by AWS", "no answer from AWS", "never verified")
STRIKES = (*KILLED, *FAILED)


def changing_steps(notebook):
    """Return the ids of a notebook's steps that change something, in order."""
    procedure = importlib.import_module(f"runbook_lib.procedures.{notebook.split('_', 1)[1]}")
    # not every cutover holds, and not every way back follows a forced detach: these two have tests of their own
    left_out = {None, only_wait, HOLD_CUTOVER.act, CHECK_FILESYSTEM.act}
    return [step.step_id for step in procedure.STEPS if step.act not in left_out]


def note(way, notebook, step_id, strike, **cell):
    """Note what was seen for docs/what-if.md, when `make what-if` asks for it."""
    path = os.environ.get("RUNBOOK_CRASH_CELLS")
    if path:
        order = [notebook, changing_steps(notebook).index(step_id), STRIKES.index(strike)]
        line = {"order": order, "way": way, "notebook": notebook, "step_id": step_id, "strike": strike, **cell}
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Ended:
    """How the driver ended: its exit code, negative for a signal, and what it printed."""

    exit_code: int
    output: str


class Town:
    """A sandbox with a provisioned target, and runs in it.

    Args:
        folder: Where its files may go.
    """

    def __init__(self, folder):
        self.sandbox = RunningSandbox(lifecycle.start(folder / "sandbox", latency="none"))
        self.archive = folder / "runs"
        document = yaml.safe_load(Path(self.sandbox.parameters_path).read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(self.archive)}
        document["migration"]["policy"] |= {"bake_time_s": 0, "outage_budget_s": 3600}  # struck often, in one outage
        self.migration = document["migration"]
        self.parameters = folder / "parameters.yaml"
        self.parameters.write_text(yaml.safe_dump(document), "utf-8")
        self._numbers = itertools.count(1)
        self._driver = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def provision(self):
        """Run 00 and 10 once, as users do; every run of a case begins as a copy of that run."""
        ended = run_command("run", "00", "10", "-f", self.parameters, "--execute")
        assert ended.exit_code == 0, ended.output
        self.provisioned = only_run(self.archive)

    def stop(self):
        """End the driver and the sandbox."""
        self._driver.stdin.close()
        self._driver.wait(timeout=30)
        self._driver.stdout.close()
        self.sandbox.stop()

    def new_run(self):
        """Return the id of a run in which 00 and 10 are done."""
        run_id = f"20260101T000000Z-guestbook-{next(self._numbers):04x}"
        shutil.copytree(self.provisioned, self.archive / run_id, symlinks=True)
        self._run_id = run_id
        return run_id

    def reset(self):
        """Bring back what the estate had at first: terminating the source would delete the volume."""
        if self.where()["serving"] != "compose":  # a test failed: it shall not take the others with it
            self.drive(self._run_id, "90_roll_back")
        self.is_back()
        self.sandbox.client("ec2").modify_instance_attribute(
            InstanceId=self.migration["source"]["instance_id"],
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True}}],
        )

    def drive(self, run_id, *notebooks, step_id="", strike="", until=""):
        """Perform the steps of notebooks, all or until one, in a process group of their own; strike one of them."""
        output = self.archive.parent / "output"
        request = {
            "parameters_file": str(self.parameters),
            "run_id": run_id,
            "notebooks": notebooks,
            "step_id": step_id,
            "strike": strike,
            "until": until,
            "output": str(output),
        }
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        exit_code = json.loads(self._driver.stdout.readline())["exit_code"]
        return Ended(exit_code, output.read_text("utf-8"))

    def strike(self, run_id, *notebooks, step_id, strike):
        """Perform notebooks until the step is struck; check that it was, and that the record says so."""
        ended = self.drive(run_id, *notebooks, step_id=step_id, strike=strike)
        expected = -signal.SIGKILL if strike in KILLED else 4
        assert ended.exit_code == expected, (step_id, strike, ended.output)
        last = [step for step in self.steps(run_id) if step["step_id"] == step_id][-1]
        assert last["status"] == ("running" if strike in KILLED else "failed")
        if strike in FAILED:
            assert "Changed: " in ended.output
            assert step_id in ended.output
        self.has_one_writer()
        return self.left()

    def left(self):
        """Return in words what a strike left behind."""
        where = self.where()
        return f"volume: {where['volume']}, Name {where['name']}; serving: {where['serving']}"

    def steps(self, run_id):
        """Return the step events of a run, oldest first."""
        lines = (self.archive / run_id / "journal.jsonl").read_text("utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == "step"]

    def where(self):
        """Return who holds the volume, who serves, and the volume's Name, each in a word."""
        ec2, migration = self.sandbox.client("ec2"), self.migration
        (volume,) = ec2.describe_volumes(VolumeIds=[migration["volume"]["volume_id"]])["Volumes"]
        holders = [attachment["InstanceId"] for attachment in volume["Attachments"]]
        source = migration["source"]["instance_id"]
        holder = "nobody" if not holders else "source" if holders == [source] else "target"
        return {
            "volume": holder,
            "serving": self.serving(),
            "name": next((tag["Value"] for tag in volume.get("Tags", []) if tag["Key"] == "Name"), ""),
        }

    def serving(self):
        """Return who serves: `compose`, `ECS` or `nobody`."""
        addresses = self.sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"]
        if not addresses:
            return "nobody"
        compose = re.search(r"//([\d.]+):", self.migration["source"]["url"])[1]
        return "compose" if addresses[0][0] == compose else "ECS"

    def has_one_writer(self):
        """Check that at most one host publishes the service."""
        addresses = self.sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"]
        assert len({address[0] for address in addresses}) <= 1, addresses

    def has_every_write(self):
        """Check that whatever the client had an answer for is there; return how many that are."""
        facts = self.sandbox.control("GET", "/_sandbox/client")
        assert facts["missing"] == 0, facts
        return facts["acknowledged"]

    def roll_back(self, run_id):
        """Roll back, and check that compose serves on the same volume with every acknowledged write."""
        ended = self.drive(run_id, "90_roll_back")
        assert ended.exit_code == 0, ended.output
        self.is_back()
        return self.acted(run_id, "90_roll_back")

    def acted(self, run_id, notebook):
        """Return the changing steps of a notebook that had something to do, in order."""
        changing = changing_steps(notebook)
        done = [step["step_id"] for step in self.steps(run_id) if step["status"] == "succeeded"]
        return [step_id for step_id in done if step_id in changing]

    def resumed(self, run_id, step_id):
        """Return what became of a step that was struck, when it was run again."""
        events = [step["status"] for step in self.steps(run_id) if step["step_id"] == step_id]
        struck = max(index for index, status in enumerate(events) if status in {"running", "failed"})
        again = events[struck + 1 :]
        return "finds it done" if again[:1] == ["skipped"] else "does it again"

    def is_back(self):
        """Check that everything is as it was before the cutover, and nothing acknowledged is lost."""
        assert self.where() == {"volume": "source", "serving": "compose", "name": "guestbook-legacy-data"}
        self.has_one_writer()
        return self.has_every_write()


@pytest.fixture(scope="module")
def provisioned_town(tmp_path_factory):
    """Return a sandbox with a provisioned target."""
    made = Town(tmp_path_factory.mktemp("town"))
    try:
        made.provision()
        yield made
    finally:
        made.stop()


@pytest.fixture
def town(provisioned_town):
    """Return the module's sandbox, its service under compose as at first."""
    provisioned_town.reset()
    return provisioned_town

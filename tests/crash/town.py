"""A sandbox with a provisioned target, as many runs in it as there are cases, and what can be seen from outside."""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbook_lib.procedures.gate import RELEASE_GATE
from runbook_lib.procedures.hold import FLAG, HOLD_CUTOVER
from runbook_lib.procedures.prove_copy import VERIFY_ROLLBACK_COPY
from tests import nursery
from tests.conftest import RunningSandbox
from tests.crash.source import revive_source, state
from tests.crash.strikes import KILLED, STRIKES, WAY_BACK, changing_steps
from tests.migration.conftest import only_run, run_command
from tests.running_provider import RunningProvider

DRIVER = Path(__file__).with_name("driver.py")
REFUSALS = 4
PROVISION_S = 900
PLACES = {"source": "on the source", "target": "on the target", "nobody": "attached nowhere"}


def note(way, notebook, step_id, strike, **cell):
    """Note what was seen for docs/what-if.md, when `make crash` asks for it."""
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
    """A sandbox, the driver of its runs, and one archive.

    Args:
        folder: Where its files may go.
        driver: The storage driver.
        keeps_provider: Whether Terraform's provider is kept running, because nothing is struck inside Terraform.
        **target: What of the parameters' target is another than the sandbox's.
    """

    def __init__(self, folder, driver="rexray", *, keeps_provider=True, **target):
        self.storage_driver = driver
        self.sandbox = RunningSandbox(nursery.start(folder / "sandbox", latency="none"), driver)
        self._provider = RunningProvider(folder, self.sandbox) if keeps_provider else None
        self.environment = self._provider.environment if keeps_provider else {}
        self.archive = folder / "runs"
        document = yaml.safe_load(Path(self.sandbox.parameters_path).read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(self.archive)}
        document["migration"]["policy"] |= {"bake_time_s": 0, "outage_budget_s": 3600}  # struck often, in one outage
        document["migration"]["target"] |= target
        self.migration = document["migration"]
        self.parameters = folder / "parameters.yaml"
        self.parameters.write_text(yaml.safe_dump(document), "utf-8")
        self._numbers = itertools.count(1)
        self._holds_released = 0
        self.run_id = ""
        self.refused = []
        self._driver = subprocess.Popen(
            [sys.executable, str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
        )

    def inspect(self):
        """Run 00 as users do; every run of a case begins as a copy of that run."""
        ended = run_command("run", "00", "-f", self.parameters, "--execute", **self.environment)
        assert ended.exit_code == 0, ended.output
        self.first_run = only_run(self.archive)

    def provision(self):
        """Run 00 and 10, so that every run of a case begins with a target."""
        names = ("run", "00", "10", "-f", self.parameters, "--execute")
        ended = run_command(*names, timeout_s=PROVISION_S, **self.environment)
        assert ended.exit_code == 0, ended.output
        self.first_run = only_run(self.archive)

    def stop(self):
        """End the driver, the provider and the sandbox."""
        self._driver.stdin.close()
        try:
            self._driver.wait(timeout=30)
        except subprocess.TimeoutExpired:  # a test was interrupted while a step waits
            self._driver.kill()
            self._driver.wait()
        self._driver.stdout.close()
        if self._provider is not None:
            self._provider.stop()
        self.sandbox.stop()

    def new_run(self):
        """Return the id of a run in which everything is done that the first run did."""
        run_id = f"20260101T000000Z-guestbook-{next(self._numbers):04x}"
        shutil.copytree(self.first_run, self.archive / run_id, symlinks=True)
        self.run_id, self._holds_released, self.refused = run_id, 0, []
        return run_id

    def reset(self):
        """Bring back what the estate had at first: terminating the source would delete the volume."""
        if self.run_id and not (self._is_closed() and self.serving() == "compose"):
            # a test failed: it shall not take the others with it
            if state(self) != "running":
                revive_source(self)
            self.drive_on(self.run_id, WAY_BACK)
        self.is_back()
        self.sandbox.client("ec2").modify_instance_attribute(
            InstanceId=self.migration["source"]["instance_id"],
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True}}],
        )

    def _is_closed(self):
        """Return whether the last attempt of the newest run came to its end, and gave the volume back."""
        last = (self.archive / self.run_id / "journal.jsonl").read_text("utf-8").splitlines()[-1]
        return json.loads(last)["kind"] == "run-closed"

    def drive(self, run_id, *notebooks, step_id="", strike="", until="", hold=False, **thrift):
        """Perform the steps of notebooks, all or until one, in a process group of their own; strike one of them.

        Thrift: `passed_over` are steps not to be performed, `prepared` is what Terraform's part of a change came to
        when it was done by hand, `own_provider` lets Terraform start its provider, because it is killed with it.
        """
        output = self.archive.parent / "output"
        request = {
            "parameters_file": str(self.parameters),
            "run_id": run_id,
            "notebooks": notebooks,
            "step_id": step_id,
            "strike": strike,
            "until": until,
            "hold": hold,
            "passed_over": thrift.get("passed_over", ()),
            "prepared": thrift.get("prepared", {}),
            "own_provider": thrift.get("own_provider", False),
            "output": str(output),
        }
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        while not select.select([self._driver.stdout], [], [], 0.1)[0]:
            if run_id:  # a run that is being opened holds nothing yet
                self._release_hold(run_id)
        exit_code = json.loads(self._driver.stdout.readline())["exit_code"]
        return Ended(exit_code, output.read_text("utf-8"))

    def drive_on(self, run_id, *notebooks, **how):
        """Drive as an operator does: what was refused and changed nothing is run again, because hosts come and go."""
        for _ in range(REFUSALS):
            ended = self.drive(run_id, *notebooks, **how)
            if ended.exit_code != 3 or "Changed: no" not in ended.output or "struck by the test" in ended.output:
                return ended
            self.refused.append(ended.output)
            time.sleep(1)
        return ended

    def _release_hold(self, run_id):
        """Release a cutover that holds, by the file that an operator would make."""
        waits = [e for e in self.events(run_id, "wait") if e["step_id"] == HOLD_CUTOVER.step_id]
        if len(waits) > self._holds_released:
            self._holds_released = len(waits)
            (self.archive / run_id / FLAG).touch()

    def strike(self, run_id, *notebooks, step_id, strike, **how):
        """Perform notebooks until the step is struck; check that it was, and that the record says so."""
        ended = self.drive_on(run_id, *notebooks, step_id=step_id, strike=strike, **how)
        looks_again = step_id == HOLD_CUTOVER.step_id and strike.endswith("AWS")  # whether the source is still ready
        goes_on = strike.endswith("AWS") and self.goes_on_without(step_id)
        expected = -signal.SIGKILL if strike in KILLED else 3 if looks_again else 0 if goes_on else 4
        assert ended.exit_code == expected, (step_id, strike, ended.output)
        last = [step for step in self.steps(run_id) if step["step_id"] == step_id][-1]
        assert last["status"] == ("running" if strike in KILLED else "succeeded" if goes_on else "failed")
        if goes_on and step_id == VERIFY_ROLLBACK_COPY.step_id:
            assert self.events(run_id, "copy-proof")[-1]["reason"], "an unproved copy says why"
        elif not goes_on and strike not in KILLED:
            assert "Changed: " in ended.output
            assert looks_again or step_id in ended.output
        self.has_one_writer()
        return self.left()

    def note(self, *case, **cell):
        """Note what was seen for docs/what-if.md, whose rows are those of the first storage driver."""
        if self.storage_driver == "rexray":
            note(*case, **cell)

    def goes_on_without(self, step_id):
        """Return whether a step goes on without the call that fails.

        A proof of the copy says why nothing is proved; without the source's manifest the target's is given.
        """
        no_gate = self.storage_driver == "host_mount" and step_id == RELEASE_GATE.step_id
        return no_gate or step_id == VERIFY_ROLLBACK_COPY.step_id

    def left(self):
        """Return in words what a strike left behind."""
        where = self.where()
        serves = {"nobody": "nobody serves"}.get(where["serving"], f"{where['serving']} serves")
        return f"{serves}; the volume is {PLACES[where['volume']]}, its Name `{where['name']}`"

    def events(self, run_id, kind="step"):
        """Return the events of one kind in a run's journal, oldest first."""
        lines = (self.archive / run_id / "journal.jsonl").read_text("utf-8").splitlines()
        found = (json.loads(line) for line in lines if line.endswith("}") and f'"{kind}"' in line)
        return [event for event in found if event["kind"] == kind]

    def steps(self, run_id):
        """Return the step events of a run, oldest first."""
        return self.events(run_id)

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
        """Roll back, check that compose serves on the same volume with every acknowledged write; say what was done."""
        known = len(self.steps(run_id))
        ended = self.drive_on(run_id, WAY_BACK)
        assert ended.exit_code == 0, ended.output
        self.is_back()
        acted = [step["step_id"] for step in self.steps(run_id)[known:] if step["status"] == "succeeded"]
        undone = [step_id for step_id in acted if step_id in changing_steps(WAY_BACK)]
        return ", ".join(f"`{step_id}`" for step_id in undone) or "finds nothing to take back"

    def is_back(self):
        """Check that everything is as it was before the cutover, and nothing acknowledged is lost."""
        assert self.where() == {"volume": "source", "serving": "compose", "name": "guestbook-legacy-data"}
        self.has_one_writer()
        return self.has_every_write()

    def resumed(self, run_id, step_id, since):
        """Say what became of a step that was struck, in the steps since, when its notebook was run again."""
        again = [s for s in self.steps(run_id)[since:] if s["status"] in {"succeeded", "skipped"}]
        again = [s for s in again if s["notebook"] != WAY_BACK or step_id in changing_steps(WAY_BACK)]
        mended = next((n for n, step in enumerate(again) if step["step_id"] == step_id), None)
        assert mended is not None, (step_id, again)
        changing = set(changing_steps(again[mended]["notebook"]))
        more = [s["step_id"] for s in again[:mended] if s["status"] == "succeeded" and s["step_id"] in changing]
        first = f"after {', '.join(f'`{one}`' for one in dict.fromkeys(more))}, " if more else ""
        return first + ("finds it done" if again[mended]["status"] == "skipped" else "does it again")

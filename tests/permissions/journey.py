"""Everything the runbooks do, in sandboxes with IAM enforcement on: what is asked of the policy, and how it ends.

`python -m tests.permissions.journey OUT [PART…] [--everything]` records it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from runbook_lib.sandbox import lifecycle
from runbook_lib.sandbox.images import ImageRegistry
from tests.conftest import RunningSandbox
from tests.permissions.sanitised import sanitised
from tests.running_provider import RunningProvider

RUNBOOK = Path(sys.executable).with_name("runbook")
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
MIGRATION = ("00", "10", "20", "30", "40")


class PartFailedError(Exception):
    """A part of the journey did not end well."""


class Traveller:
    """One service in one sandbox, whose operator may do what a policy says.

    Args:
        sandbox: The sandbox.
        folder: Where files may go.
        environment: What lets Terraform use a running provider.
    """

    def __init__(self, sandbox, folder, environment):
        self.sandbox, self.archive = sandbox, folder / "runs"
        own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self._environment = own | environment
        self.file = folder / "parameters.yaml"
        self.document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
        self.migration = self.document["migration"]
        self.migration["archive"] = {"directory": str(self.archive)}
        self.migration.setdefault("policy", {})["bake_time_s"] = 0
        self.migration["name"] = "visitors"
        self.migration["target"] |= {"cluster_name": "visitors-cluster", "service_name": "visitors-web"}
        self.write()

    def write(self):
        """Write the parameters as they are by now."""
        self.file.write_text(yaml.safe_dump(self.document), "utf-8")

    def command(self, *words, expected=(0,)):
        """Run `runbook`; return what it printed and the folder of the run that it opened, if it did."""
        before = set(self.archive.glob("*/journal.jsonl"))
        done = subprocess.run(
            [str(RUNBOOK), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=1200,
            check=False,
            env=self._environment,
        )
        if done.returncode not in expected:
            raise PartFailedError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
        new = sorted(path.parent for path in set(self.archive.glob("*/journal.jsonl")) - before)
        return done.stdout, new[0] if new else None

    def run(self, *notebooks, run_id=""):
        """Run notebooks for good; return the run's folder."""
        known = ("--run-id", run_id) if run_id else ()
        return self.command("run", *notebooks, "-f", self.file, "--execute", "--reason", "CHG-1", *known)[1]


def migrate_and_day_two(traveller):
    """Migrate with rehearsal and adoption, retire the source, then all of day two, and restore."""
    first = traveller.run("all")
    traveller.run("50", run_id=first.name)
    traveller.sandbox.control("POST", "/_sandbox/machine-images/publish", {})
    traveller.run("60")
    image = ImageRegistry().find("registry.sandbox/guestbook:1.1")
    traveller.migration["target"]["image"] = f"{image.repository}@{image.digest}"
    traveller.write()
    traveller.run("61")
    traveller.migration["volume"]["size_gib"] = 12
    traveller.migration["target"]["instance_types"] = ["t3.medium"]
    traveller.write()
    traveller.run("62")
    traveller.migration["policy"]["backup"] = {"keep_last": 1, "keep_days": 0, "delete_expired": True}
    traveller.write()
    traveller.run("63")
    traveller.run("63")
    traveller.run("64")
    said, planned = traveller.command("restore", "latest", "-f", traveller.file)
    since = re.search(r"after (\S+Z),", (planned / "journal.jsonl").read_text("utf-8") + said)[1]
    accepted = ("--accept-loss-of-writes-since", since)
    traveller.command("restore", "latest", "-f", traveller.file, "--execute", "--reason", "INC-1", *accepted)


def roll_back(traveller):
    """Migrate and go back to docker-compose."""
    folder = traveller.run(*MIGRATION)
    traveller.command("roll-back", folder.name, "--directory", traveller.archive, "--execute", "--reason", "CHG-2")


def change_driver(traveller):
    """Migrate with REX-Ray and change to host_mount."""
    traveller.run("00", "10", "20", "30")
    other = traveller.sandbox.info.parameters_path.with_name("parameters-host-mount.yaml")
    traveller.migration["storage"] = yaml.safe_load(other.read_text("utf-8"))["migration"]["storage"]
    traveller.write()
    traveller.run("65", "66")


PARTS = {
    "day-two": ("rexray", migrate_and_day_two),
    "way-back": ("host_mount", roll_back),
    "driver": ("rexray", change_driver),
}
"""Name → storage driver, and what is done."""


def asked_on(part, folder, policy_of):
    """Travel one part; return what was asked of the policy, each with its decision, what went wrong, and who went.

    Args:
        part: Its name.
        folder: Where files may go.
        policy_of: Gets the traveller and returns the policy that is enforced.
    """
    driver, travel = PARTS[part]
    sandbox = RunningSandbox(lifecycle.start(folder / "sandbox", latency="none"), driver)
    try:
        with RunningProvider(folder, sandbox) as provider:
            traveller = Traveller(sandbox, folder, provider.environment)
            sandbox.control("POST", "/_sandbox/iam", {"policy": policy_of(traveller)})
            try:
                travel(traveller)
            except PartFailedError as error:
                return sandbox.control("GET", "/_sandbox/iam")["asked"], str(error), traveller
            return sandbox.control("GET", "/_sandbox/iam")["asked"], "", traveller
    finally:
        sandbox.stop()


def everything(_traveller):
    """Return a policy that permits everything, for the first recording of something new."""
    return EVERYTHING


def own(traveller):
    """Return the policy that `runbook permissions` renders for the traveller's parameters."""
    return json.JSONDecoder().raw_decode(traveller.command("permissions", "-f", traveller.file)[0])[0]


def main(out, *parts):
    """Record the parts, and write what they asked; the policy is the rendered one unless `--everything` is given."""
    policy_of = everything if "--everything" in parts else own
    recorded = {}
    for part in [one for one in parts if one in PARTS] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            asked, failure, traveller = asked_on(part, Path(folder), policy_of)
        refused = [f"{one['action']} on {one['resource']}" for one in asked if one["decision"] != "allowed"]
        sys.stdout.write(f"{part}: {failure or 'ended well'}, {len(asked)} asked, refused: {refused}\n")
        sys.stdout.flush()
        recorded |= {json.dumps(one, sort_keys=True): one for one in sanitised(asked, traveller.migration)}
        Path(out).write_text(json.dumps([recorded[key] for key in sorted(recorded)], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Everything the runbooks do, in sandboxes with IAM enforcement on: what is asked of each policy, and how it ends.

`python -m tests.permissions.journey FILE [PART…] [--everything]` records parts into a recording that may hold others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbook_lib.sandbox import lifecycle
from runbook_lib.sandbox.images import ImageRegistry
from tests.conftest import PARAMETERS, RunningSandbox
from tests.permissions import recording
from tests.permissions.sanitised import sanitised
from tests.running_provider import RunningProvider

RUNBOOK = Path(sys.executable).with_name("runbook")
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
MIGRATION = ("00", "10", "20", "30", "40")
TOKEN = "/visitors/token"
SECRET_NAME = "visitors/password"


class PartFailedError(Exception):
    """A part of the journey did not end well."""


class Traveller:
    """One service in one sandbox, whose operator may do what a policy says.

    Args:
        sandbox: The sandbox.
        folder: Where files may go.
        environment: What lets Terraform use a running provider.
    """

    signing_key = ""

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

    def other_storage(self):
        """Return the storage section of the sandbox's parameters for the other driver."""
        driver = next(one for one in PARAMETERS if one != self.migration["storage"]["driver"])
        file = self.sandbox.info.parameters_path.with_name(PARAMETERS[driver])
        return yaml.safe_load(file.read_text("utf-8"))["migration"]["storage"]

    def use(self, storage):
        """Write the parameters with another storage section."""
        self.migration["storage"] = storage
        self.write()

    def command(self, *words, expected=(0,), **environment):
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
            env=self._environment | environment,
        )
        if done.returncode not in expected:
            raise PartFailedError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
        new = sorted(path.parent for path in set(self.archive.glob("*/journal.jsonl")) - before)
        return done.stdout, new[0] if new else None

    def run(self, *notebooks, run_id="", expected=(0,)):
        """Run notebooks for good; return the run's folder."""
        known = ("--run-id", run_id) if run_id else ()
        words = ("run", *notebooks, "-f", self.file, "--execute", "--reason", "CHG-1", *known)
        return self.command(*words, expected=expected)[1]

    def roll_back(self, folder):
        """Take the service of a run back to docker-compose."""
        self.command("roll-back", folder.name, "--directory", self.archive, "--execute", "--reason", "CHG-2")


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


def there_and_back(traveller):
    """Migrate and go back to docker-compose."""
    traveller.roll_back(traveller.run(*MIGRATION))


def change_driver_and_back(traveller):
    """Migrate, change to the other storage driver, prove it, change back, and return to docker-compose from there."""
    first = traveller.run("00", "10", "20", "30")
    own = traveller.migration["storage"]
    traveller.use(traveller.other_storage())
    traveller.run("65", "66", "40")
    traveller.use(own)
    traveller.run("65", "66")
    traveller.roll_back(first)


def change_driver(traveller):
    """Migrate, change to the other storage driver, and return to docker-compose from there."""
    first = traveller.run("00", "10", "20", "30")
    traveller.use(traveller.other_storage())
    traveller.run("65", "66")
    traveller.roll_back(first)


def make_buckets(traveller):
    """Make what an organisation gives: buckets for records and state, a key that signs, secrets; nobody judges it."""
    client = traveller.sandbox.client
    client("s3").create_bucket(Bucket="visitors-archive", ObjectLockEnabledForBucket=True)
    client("s3").create_bucket(Bucket="visitors-state")
    traveller.signing_key = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"][
        "Arn"
    ]
    client("ssm").put_parameter(Name=TOKEN, Value="a-token-of-visitors", Type="SecureString")
    secret = client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString="a-password-of-visitors")["ARN"]
    traveller.migration["archive"] |= {
        "bucket": "visitors-archive",
        "prefix": "runbook",
        "copy_records": True,
        "object_lock": "governance",
        "object_lock_days": 1,
        "secrets": [f"ssm:{TOKEN}", f"secretsmanager:{secret}"],
    }
    region = traveller.migration["aws"]["region"]
    state = {"type": "s3", "bucket": "visitors-state", "key": "visitors.tfstate", "region": region}
    traveller.migration["terraform"] = {"backend": state}
    traveller.write()


def keep_records(traveller):
    """Make the target with state, lease and record in buckets; sign the record, copy it again, ask CloudTrail."""
    folder = traveller.run("00", "10")
    of_run = (folder.name, "--directory", traveller.archive)
    traveller.command("sign", *of_run, "--kms-key", traveller.signing_key)
    traveller.command("archive", *of_run)
    traveller.command("reconcile", *of_run, expected=(0, 3))


def audit(traveller):
    """Read the record in the bucket, compare it with CloudTrail, fetch the public half of the key."""
    (folder,) = (path.parent for path in traveller.archive.glob("*/journal.jsonl"))
    credentials = traveller.sandbox.state_dir / "credentials"
    own = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_PROFILE": "sandbox", "AWS_REGION": "us-east-1"}
    url = f"s3://visitors-archive/runbook/runs/{folder.name}"
    said, _ = traveller.command("verify", url, AWS_ENDPOINT_URL=traveller.sandbox.endpoint_url, **own)
    if "each is locked" not in said:
        raise PartFailedError(f"verify does not say until when the record is locked:\n{said}")
    of_run = (folder.name, "--directory", traveller.archive)
    traveller.command("reconcile", *of_run, "--profile", "sandbox", expected=(0, 3))
    traveller.command("list", "--directory", traveller.archive)
    traveller.command("lint", folder, expected=(0, 3))
    traveller.sandbox.session().call("kms", "get_public_key", KeyId=traveller.signing_key)


def ask_for_the_migration(traveller):
    """Plan all of it, and run it until it waits for an approval."""
    traveller.command("run", "all", "-f", traveller.file, "--reason", "CHG-1")
    traveller.migration["policy"]["approvals"] = 1
    traveller.write()
    traveller.run("all", expected=(6,))


def migrate(traveller):
    """Migrate without approvals."""
    traveller.migration["policy"]["approvals"] = 0
    traveller.write()
    traveller.first = traveller.run(*MIGRATION)


def ask_for_day_two(traveller):
    """Plan whatever may come after the migration."""
    plan = ("-f", traveller.file, "--reason", "CHG-3")
    traveller.command("run", "45", "50", "60", "61", "62", "63", "64", *plan, expected=(0, 3))
    traveller.command("roll-back", traveller.first.name, "--directory", traveller.archive)
    traveller.use(traveller.other_storage())
    traveller.command("run", "65", "66", *plan)


def want_a_load_balancer(traveller):
    """Want a load balancer in both subnets of the estate."""
    subnets = traveller.sandbox.client("ec2").describe_subnets()["Subnets"]
    target = traveller.migration["target"]
    own = [one["SubnetId"] for one in subnets if one["VpcId"] == target["vpc_id"]]
    target["load_balancer"] = {"enabled": True, "subnet_ids": own}
    traveller.write()


def make_the_target(traveller):
    """Make the target; made a second time, nothing is left to do."""
    folder = traveller.run("00", "10")
    traveller.run("10", run_id=folder.name)


def plan_the_target(traveller):
    """Plan the target that is there."""
    traveller.command("run", "00", "10", "-f", traveller.file, "--reason", "CHG-1")


@dataclass(frozen=True)
class Part:
    """A part of the journey.

    Args:
        driver: The storage driver.
        phases: Who does what, one after the other.
        prepare: What is there before anybody is judged.
    """

    driver: str
    phases: tuple
    prepare: object = None


PARTS = {
    "day-two": Part("rexray", (("operator", migrate_and_day_two),)),
    "day-two-host-mount": Part("host_mount", (("operator", migrate_and_day_two),)),
    "way-back": Part("host_mount", (("operator", there_and_back),)),
    "driver": Part("rexray", (("operator", change_driver_and_back),)),
    "driver-host-mount": Part("host_mount", (("operator", change_driver),)),
    "records": Part("rexray", (("operator", keep_records), ("auditor", audit)), make_buckets),
    "balancer": Part("rexray", (("operator", make_the_target), ("requester", plan_the_target)), want_a_load_balancer),
    "requests": Part(
        "rexray",
        (("requester", ask_for_the_migration), ("operator", migrate), ("requester", ask_for_day_two)),
        make_buckets,
    ),
}


def travel(name, folder, policy_of):
    """Travel one part.

    Args:
        name: Of the part.
        folder: Where files may go.
        policy_of: Gets the traveller and a role, and returns the policy that is enforced.

    Returns:
        What was asked, as `recording` has it, each with its decision; what went wrong, or "".
    """
    part = PARTS[name]
    sandbox = RunningSandbox(lifecycle.start(folder / "sandbox", latency="none"), part.driver)
    asked, failure = [], ""
    try:
        with RunningProvider(folder, sandbox) as provider:
            traveller = Traveller(sandbox, folder, provider.environment)
            if part.prepare:
                part.prepare(traveller)
            for role, phase in part.phases:
                sandbox.control("POST", "/_sandbox/iam", {"policy": policy_of(traveller, role)})
                try:
                    phase(traveller)
                except PartFailedError as error:
                    failure = str(error)
                asked += sanitised(sandbox.control("GET", "/_sandbox/iam")["asked"], traveller, f"{name}/{role}")
                if failure:
                    break
    finally:
        sandbox.stop()
    return asked, failure


def everything(_traveller, _role):
    """Return a policy that permits everything, for the first recording of something new."""
    return EVERYTHING


def own(traveller, role):
    """Return the policy that `runbook permissions` renders for the traveller's parameters."""
    words = ("permissions", "-f", traveller.file, "--role", role, "--signing-key", traveller.signing_key)
    return json.JSONDecoder().raw_decode(traveller.command(*words)[0])[0]


def main(out, *parts):
    """Record the parts; the policy is the rendered one unless `--everything` is given."""
    policy_of = everything if "--everything" in parts else own
    for name in [one for one in parts if one in PARTS] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            asked, failure = travel(name, Path(folder), policy_of)
        refused = recording.refused(asked)
        sys.stdout.write(f"{name}: {failure or 'ended well'}, {len(asked)} asked, refused: {refused}\n")
        sys.stdout.flush()
        recording.put(Path(out), name, asked)


if __name__ == "__main__":
    main(*sys.argv[1:])

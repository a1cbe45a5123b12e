"""A fresh estate for each cutover: a sandbox, prepared up to the cutover by the same runbooks for every way.

After it every way finds the same: the service running under compose and written to all the time, the target's cluster
with one warm host, the service on ECS at desired count 0, a hot snapshot. Changes: a folder that is removed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml

from benchmarks.outage_table import Gap, longest_gap
from runbook_lib.sandbox import lifecycle

RUNBOOK = Path(sys.executable).with_name("runbook")
NOTHING = "python3 -c pass"
CALIBRATIONS = 5
POLL_S = 0.02


class BenchmarkError(Exception):
    """A cutover could not be measured; the message says what failed."""


@dataclass(frozen=True)
class Estate:
    """One prepared estate.

    Args:
        sandbox: The running sandbox.
        parameters_path: The parameters of its migration.
        runs: The archive of its runs.
        run_id: The run that prepared the target.
        migration: The parameters' content.
    """

    sandbox: lifecycle.SandboxInfo
    parameters_path: Path
    runs: Path
    run_id: str
    migration: dict[str, Any]

    @property
    def aws_environment(self) -> dict[str, str]:
        """How aws CLI and SDKs find the sandbox."""
        aws = self.migration["aws"]
        return {
            "AWS_ENDPOINT_URL": self.sandbox.endpoint_url,
            "AWS_REGION": aws["region"],
            "AWS_DEFAULT_REGION": aws["region"],
            "AWS_PROFILE": aws["profile"],
            "AWS_SHARED_CREDENTIALS_FILE": aws["credentials_file"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of the sandbox."""
        aws = self.migration["aws"]
        keys = {"aws_access_key_id": "AKIASANDBOXOPERATOR0", "aws_secret_access_key": "sandbox"}
        return boto3.client(service, region_name=aws["region"], endpoint_url=self.sandbox.endpoint_url, **keys)

    def runbook(self, *arguments: str) -> None:
        """Run a command of ours in this estate's run.

        Raises:
            BenchmarkError: when it failed.
        """
        run([str(RUNBOOK), "run", *arguments, "-f", str(self.parameters_path), "--execute", "--reason", "benchmark"])

    def journal(self) -> list[dict[str, Any]]:
        """Return the journal of the run, oldest line first."""
        lines = (self.runs / self.run_id / "journal.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def outage(self, since: float, wait_s: float = 120.0) -> Gap:
        """Wait until writes are acknowledged again, and return the longest time without one.

        Args:
            since: When the cutover began, seconds since 1970.
            wait_s: How long to wait.

        Raises:
            BenchmarkError: when nothing was acknowledged any more.
        """
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            times = [one["at"] for one in self._acknowledged()]
            if times and time.time() - times[-1] < 1:
                return longest_gap(times, since)
            time.sleep(POLL_S)
        raise BenchmarkError(f"no write was acknowledged within {wait_s:g} s after the cutover")

    def lost(self) -> tuple[int, int]:
        """Stop the writing client; return how many writes were acknowledged, and how many of them are not there."""
        self.sandbox.control("POST", "/_sandbox/client", {"running": False})
        facts = self.sandbox.control("GET", "/_sandbox/client")
        if facts["missing"] is None:
            raise BenchmarkError("no service answers after the cutover: nothing can be looked for")
        return facts["acknowledged"], facts["missing"]

    def command_overhead_s(self, delivery_s: float) -> float:
        """Return what a host command costs in this sandbox beyond its delivery: the median of some that do nothing."""
        ssm, instance_id = self.client("ssm"), self.migration["source"]["instance_id"]
        return statistics.median(_time_command(ssm, instance_id) for _ in range(CALIBRATIONS)) - delivery_s

    def _acknowledged(self) -> list[dict[str, Any]]:
        text = (self.sandbox.state_dir / "client" / "acknowledged.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def run(argv: Sequence[str]) -> None:
    """Run a program of ours.

    Raises:
        BenchmarkError: when it failed, with the end of what it said.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise BenchmarkError(f"{' '.join(argv[:4])} ended with {done.returncode}: {said}")


@contextmanager
def prepared(latency: str, *, fill: Any = None) -> Iterator[Estate]:
    """Yield a fresh estate whose target is ready for the cutover; nothing of it is left afterwards.

    Args:
        latency: Of the sandbox: `aws`, `fast` or `none`.
        fill: Called with the estate's volume folder before anything looks at it, or None.
    """
    folder = Path(tempfile.mkdtemp(prefix="runbook-outage-"))
    state = folder / "sandbox"
    try:
        sandbox = lifecycle.start(state, latency=latency, wait_s=600)
        document = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))
        migration = document["migration"]
        if fill is not None:
            fill(sandbox, migration)
        migration["archive"]["directory"] = str(folder / "runs")
        migration["policy"] |= {"outage_budget_s": 3600, "bake_time_s": 1}
        parameters = folder / "parameters.yaml"
        parameters.write_text(yaml.safe_dump(document), "utf-8")
        estate = Estate(sandbox, parameters, folder / "runs", "", migration)
        estate.runbook("00", "10", "20")
        run_id = next(path.name for path in (folder / "runs").iterdir() if (path / "journal.jsonl").exists())
        yield Estate(sandbox, parameters, folder / "runs", run_id, migration)
    finally:
        lifecycle.stop(state)
        shutil.rmtree(folder, ignore_errors=True)


def _time_command(ssm: Any, instance_id: str) -> float:
    started = time.monotonic()
    sent = ssm.send_command(
        InstanceIds=[instance_id], DocumentName="AWS-RunShellScript", Parameters={"commands": [NOTHING]}
    )
    which = {"CommandId": sent["Command"]["CommandId"], "InstanceId": instance_id}
    while True:
        time.sleep(POLL_S)
        try:
            status = ssm.get_command_invocation(**which)["Status"]
        except ssm.exceptions.InvocationDoesNotExist:
            continue
        if status not in {"Pending", "InProgress"}:
            return time.monotonic() - started

"""A migrated service under schedules: what systemd would start, with what systemd would give it, and no terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.migration.conftest import run_command
from tests.migration.test_day_two import Service
from tests.running_provider import RunningProvider
from tests.test_hooks import TOKEN, webhook
from tests.test_schedule import read_unit, read_words

__all__ = ["webhook"]
pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800), pytest.mark.drivers("rexray")]


class Unit:
    """A service unit that `runbook schedule` wrote, started as systemd would start it.

    Args:
        path: The unit.
        environment: What lets Terraform use a running provider; systemd would give nothing of it.
    """

    def __init__(self, path, environment):
        self.settings = read_unit(path.read_text("utf-8"))["Service"]
        named = [read_words(words)[0] for words in self.settings["Environment"]]
        lines = named + Path(self.settings["EnvironmentFile"]).read_text("utf-8").splitlines()
        self.environment = dict(line.split("=", 1) for line in lines) | {"HOME": os.environ["HOME"]} | environment

    def start(self):
        """Start it."""
        return subprocess.Popen(
            read_words(self.settings["ExecStart"]),
            cwd=self.settings["WorkingDirectory"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self):
        """Run it to its end; return exit code and log, after proving that standard output stayed empty."""
        process = self.start()
        shown, log = process.communicate(timeout=900)
        assert shown == ""
        return process.returncode, [json.loads(line) for line in log.splitlines()]


class Town(Service):
    """A migrated service, its schedules, and the webhook that hears of them."""

    def schedule(self, notebook, webhook):
        """Write a unit for a notebook."""
        hook = {"url": webhook.url, "token": "env:HOOK_TOKEN", "events": ["started", "failed", "finished"]}
        file, variables = self._folder / "scheduled.yaml", self._folder / "hooks.env"
        file.write_text(yaml.safe_dump({"migration": self.migration | {"notifications": {"oncall": hook}}}), "utf-8")
        variables.write_text(f"HOOK_TOKEN={TOKEN}\n", "utf-8")
        units = self._folder / "units"
        ended = run_command(
            "schedule", notebook, "-f", file, "--execute", "--on-calendar", "*-*-* 03:00:00 UTC", "--missed", "once",
            "--environment-file", variables, "--log-format", "json", "--name", f"s{notebook}", "-o", units, "--replace",
        )  # fmt: skip
        assert ended.exit_code == 0, ended.output
        return Unit(units / f"s{notebook}.service", self._environment)

    def record(self, log):
        """Return the folder of the run that a log is of, once `runbook verify` accepts it."""
        folder = self._folder / "runs" / log[0]["run_id"]
        ended = run_command("verify", folder)
        assert ended.exit_code == 0, ended.output
        return folder


@pytest.fixture(scope="module")
def town(sandbox, tmp_path_factory):
    """Return a migrated service."""
    folder = tmp_path_factory.mktemp("town")
    with RunningProvider(folder, sandbox) as provider:
        made = Town(sandbox, folder, provider.environment)
        ended, _ = made.run("00", "10", "20", "30")
        assert ended.exit_code == 0, ended.output
        yield made


def heard(webhook):
    """Return what the webhook was told, and forget it."""
    said, webhook.received = [body for *_, body in webhook.received], []
    return [(body["event"], body.get("exit_code")) for body in sorted(said, key=lambda body: body["at_utc"])]


def test_nights_of_a_service(town, webhook):
    """A backup with its drill, a look that finds nothing, one that finds a drift, a backup that SIGTERM cuts off."""
    backup, look = town.schedule("63", webhook), town.schedule("64", webhook)
    exit_code, log = backup.run()
    assert (exit_code, log[-1]["event"]) == (0, "finished"), log[-3:]
    assert heard(webhook) == [("started", None), ("finished", 0)]
    town.record(log)
    exit_code, log = look.run()
    assert (exit_code, log[-1]["event"]) == (0, "finished"), log[-3:]
    assert heard(webhook) == [("started", None), ("finished", 0)]

    town.sandbox.client("ecs").update_service(
        cluster="guestbook", service="guestbook", deploymentConfiguration={"maximumPercent": 200}
    )
    exit_code, log = look.run()
    assert (exit_code, log[-1]["event"], "maximum-percent" in log[-1]["text"]) == (3, "failed", True), log[-3:]
    assert heard(webhook) == [("started", None), ("failed", 3)]
    town.record(log)

    process = backup.start()
    for line in process.stderr:
        if json.loads(line).get("step_id") == "create-backup":
            break
    process.send_signal(signal.SIGTERM)
    log = [json.loads(line) for line in process.communicate(timeout=100)[1].splitlines()]
    assert (log[-1]["event"], "SIGTERM" in log[-1]["text"]) == ("failed", True), log[-3:]
    assert process.returncode in {4, 5}, "in a step, or between two"
    assert heard(webhook) == [("started", None), ("failed", process.returncode)]
    folder = town.record(log)
    assert TOKEN not in "".join(path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file())
    resumed = run_command("resume", folder, timeout_s=900, HOOK_TOKEN=TOKEN, **town._environment)
    assert resumed.exit_code == 0, resumed.output

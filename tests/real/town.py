"""What the tests with real hosts share: a sandbox of their own, a migration in it, and a look at its hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runbook_lib.sandbox import lifecycle
from runbook_lib.sandbox.real import postgres_files
from tests.conftest import RunningSandbox
from tests.migration.conftest import run_command

NOTEBOOKS = ("00", "10", "20", "30", "40")
POWER_CUTS = "RUNBOOK_TEST_POWER_CUTS"
"""How often the power is cut while the service runs, 2 unless told otherwise; at half as many steps of the cutover."""


class Town:
    """A sandbox with real hosts.

    Args:
        folder: For its state and its runs.
        driver: The storage driver of its migration.
        hosts: `simulated` to compare with.
        options: What its estate has more than the guestbook.
        budget_s: The outage that its cutover may take; a longer one is rolled back by itself.
    """

    def __init__(self, folder, driver="rexray", hosts="real", options=(), budget_s=60):
        if options and (refusal := postgres_files.refusal()):
            pytest.skip(f"NOT TESTED: {refusal}")
        state_dir = folder / "sandbox"
        self.sandbox = RunningSandbox(lifecycle.start(state_dir, hosts=hosts, estate_options=options), driver)
        self.state_dir = self.sandbox.state_dir
        self.runs = folder / "runs"
        self.file = folder / "parameters.yaml"
        text = Path(self.sandbox.parameters_path).read_text("utf-8")
        line = next(one for one in text.splitlines() if one.strip().startswith("directory:"))
        text = text.replace(line, f"    directory: {self.runs}")
        self.file.write_text(text.replace("outage_budget_s: 60", f"outage_budget_s: {budget_s}"), "utf-8")

    def down(self):
        """Take it down as a user does; return what that printed."""
        return run_command("sandbox", "down", "--state", self.state_dir).output

    def run(self, *notebooks, **options):
        """Run notebooks; return how that ended."""
        more = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return run_command("run", *notebooks, "-f", self.file, "--execute", *more, timeout_s=1500)

    def client(self):
        """Return what the guestbook's client was told, and what of it the guestbook has now."""
        return self.sandbox.control("GET", "/_sandbox/client")

    def has_everything(self):
        """Return whether the guestbook answers and has every acknowledged entry."""
        return self.client()["missing"] == 0

    def serving(self):
        """Return the instance and the container that serve now, None when none does."""
        found = self.sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"]
        return (found[0][3], found[0][2]) if found else None

    def on_host(self, instance_id, *argv):
        """Run a command on a host; return its answer."""
        return self.sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(argv)})

    def printed(self, instance_id, *argv):
        """Run a command that must succeed on a host; return what it printed."""
        answer = self.on_host(instance_id, *argv)
        assert answer["exit_code"] == 0, answer
        return answer["stdout"].strip()

    def cut_power(self, instance_id):
        """Take a host's power without warning: what is not on its disks by now never gets there."""
        self.sandbox.control("POST", "/_sandbox/faults", {"name": "kill-host", "target": instance_id})

    def left(self):
        """Return whatever this machine shows of it: what `status` says, loop devices, mounts, processes."""
        status = run_command("sandbox", "status", "--state", self.state_dir).output
        loops = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout
        mounts = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if str(self.state_dir) in _text(path)]
        processes = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(self.state_dir) in _text(path)]
        shown = [line for line in status.splitlines() if line.startswith(("holds", "left over"))]
        return shown, str(self.state_dir) in loops, mounts, processes


def replays():
    """Return the kernel's newest words about a filesystem journal that it replayed; they carry their time."""
    told = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return next((line for line in reversed(told.splitlines()) if "recovery complete" in line), "")


def _text(path):
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""

"""Measure how long `runbook list` takes with many archived runs: whole processes, from their start to their end.

`python benchmarks/history.py [--runs N] [--rounds N] [--folder DIR] [--json FILE]` writes an archive of small runs and
lists it: without an index (every journal is read and its chain followed), warm (index and page cache), after one run
was added, and cold (index, page cache dropped: all of it as root, else the output says that it is not really cold).
Shown are minimum, median and maximum, because a busy machine makes single runs worthless, and the seconds that
processors worked. `runbook --version` stands beside them: what any command costs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.process_tree import Taken
from benchmarks.process_tree import run as run_process
from runbook_lib.archive_index import INDEX_NAME
from runbook_lib.journal import FIRST_PREVIOUS, encode_event
from runbook_lib.model import Event

RUNBOOK = [sys.executable, "-c", "from runbook_lib.cli import main; main()"]
NOTEBOOKS = {
    "00_inspect_source": ("verify-identity", "inspect-instance", "inspect-filesystem"),
    "30_cut_over_volume": ("stop-source-service", "create-rollback-point", "detach-volume", "start-target-service"),
    "40_verify_persistence": ("verify-data", "restart-task", "verify-data-after-restart"),
}
SERVICES = ("guestbook", "wiki", "tracker", "forum", "registry", "mail")
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class Story:
    """One small run, written straight to its file: a journal's own fsyncs would take an hour for ten thousand."""

    def __init__(self, directory: Path, began: datetime, dice: random.Random) -> None:
        self.name, self.now, self.dice = dice.choice(SERVICES), began, dice
        self.folder = directory / f"{began:%Y%m%dT%H%M%SZ}-{self.name}-{dice.randrange(1 << 16):04x}"
        self.folder.mkdir(parents=True)
        self.lines: list[bytes] = []
        self.previous = FIRST_PREVIOUS

    def note(self, kind: str, /, **fields: object) -> None:
        """Add one event."""
        self.now += timedelta(seconds=self.dice.uniform(0.05, 3))
        event = Event(len(self.lines) + 1, self.now.isoformat(timespec="microseconds"), kind, fields, self.previous)
        self.lines.append(encode_event(event))
        self.previous = hashlib.sha256(self.lines[-1]).hexdigest()

    def tell(self) -> None:
        """Tell the run: most succeed, some are only planned, some fail."""
        execute, fails = self.dice.random() < 0.8, self.dice.random() < 0.1  # noqa: PLR2004 - the mixture
        self.note(
            "run-opened",
            run_id=self.folder.name,
            name=self.name,
            operator=self.dice.choice(("ops@bastion", "ci@runner", "amy@laptop")),
            reason=f"CHG-{self.dice.randrange(10_000)}",
            execute=execute,
            outage_budget_s=90,
            volume_id=f"vol-{self.dice.randrange(1 << 64):017x}",
            account_id="012345678901",
            region="eu-central-1",
        )
        for notebook, steps in NOTEBOOKS.items():
            self.note("notebook-started", notebook=notebook, attempt=1, output=f"notebooks/{notebook}.1.ipynb")
            for step_id in steps:
                self.step(notebook, step_id, execute=execute)
            if fails and notebook == "30_cut_over_volume":
                self.step(notebook, "name-volume", execute=execute, failed=True)
                self.note("notebook-finished", notebook=notebook, attempt=1, status="failed", duration_s=9.0)
                break
            self.note("run-closed")
            self.note("notebook-finished", notebook=notebook, attempt=1, status="completed", duration_s=9.0)
        (self.folder / "journal.jsonl").write_bytes(b"\n".join(self.lines) + b"\n")
        (self.folder / "SHA256SUMS").write_text(f"{'0' * 64}  journal.jsonl\n")

    def step(self, notebook: str, step_id: str, *, execute: bool, failed: bool = False) -> None:
        """Tell one step as the library would."""
        names = {"notebook": notebook, "step_id": step_id, "title": step_id, "plan": "", "in_outage": False}
        checks = [{"check_id": "volume-on-source", "passed": True, "expected": "the volume", "observed": "the volume"}]
        if execute:
            self.note("step", **names, status="running", before={}, after={}, checks=checks, duration_s=0.0)
        if step_id in {"stop-source-service", "start-target-service"} and execute:
            self.note("outage", phase="started" if step_id == "stop-source-service" else "ended")
        status = "failed" if failed else "succeeded" if execute else "planned"
        error = {"error": {"kind": "CheckError", "message": "", "changed": "no", "exit_code": 3}} if failed else {}
        self.note("step", **names, **error, status=status, before={}, after={}, checks=checks, duration_s=1.0)


def make_archive(directory: Path, count: int) -> float:
    """Write the runs; return how large a journal is on average, in kB."""
    dice, began = random.Random(4711), datetime(2024, 1, 1, tzinfo=UTC)  # noqa: S311 - the same archive every time
    size = 0
    for number in range(count):
        story = Story(directory, began + timedelta(hours=number), dice)
        story.tell()
        size += sum(map(len, story.lines))
    return size / count / 1000


def drop_caches() -> str:
    """Drop what the kernel keeps of files in memory; return how."""
    os.sync()
    try:
        DROP_CACHES.write_text("3\n")
    except OSError:
        return "NOT COLD: only root may drop the page cache"
    return "page cache, inodes and names dropped by drop_caches"


def list_once(directory: Path, *options: str) -> Taken:
    """Return how long one `runbook list` takes as a process of its own, with those that it starts."""
    output = directory.with_name("output")
    taken = run_process([*RUNBOOK, "list", "-d", str(directory), *options], dict(os.environ), output)
    assert output.stat().st_size
    return taken


def measure(rounds: int, prepare: Callable[[], object], directory: Path, *options: str) -> list[Taken]:
    """Return the seconds of each round; `prepare` runs before each, outside of the time."""
    found = []
    for _ in range(rounds):
        prepare()
        found.append(list_once(directory, *options))
    return found


def main() -> int:
    """Make the archive, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the archive is made; removed afterwards")
    parser.add_argument("--json", type=Path, help="also write the seconds of every round there")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="history-", dir=options.folder))
    try:
        seconds = run(folder / "runs", options.runs, options.rounds)
    finally:
        shutil.rmtree(folder)
    if options.json:
        rounds = {name: [asdict(one) for one in found] for name, found in seconds.items()}
        options.json.write_text(json.dumps(rounds, indent=2) + "\n")
    return 0


def run(directory: Path, count: int, rounds: int) -> dict[str, list[Taken]]:
    """Measure every way; print and return the seconds."""
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{count} runs, {make_archive(directory, count):.1f} kB of journal each")
    time.sleep(2.5)  # an index does not believe in journals that are younger than two seconds
    index = directory / INDEX_NAME
    added = iter(range(rounds))

    def add_run() -> None:
        Story(directory, datetime(2030, 1, 1, next(added), tzinfo=UTC), random.Random(1)).tell()  # noqa: S311

    seconds = {"runbook --version": [run_process([*RUNBOOK, "--version"], dict(os.environ)) for _ in range(rounds)]}
    seconds["no index, page cache warm"] = measure(rounds, lambda: index.unlink(missing_ok=True), directory)
    list_once(directory)
    seconds["warm"] = measure(rounds, lambda: None, directory)
    seconds["warm, --json"] = measure(rounds, lambda: None, directory, "--json")
    seconds["warm, one run added"] = measure(rounds, add_run, directory)
    time.sleep(2.5)
    list_once(directory)
    how = drop_caches()
    seconds["cold"] = measure(rounds, drop_caches, directory)

    def without_anything() -> None:
        index.unlink(missing_ok=True)
        drop_caches()

    seconds["cold, no index"] = measure(rounds, without_anything, directory)
    print(f"cold: {how}; load of the last minute {os.getloadavg()[0]:.1f}\n")
    print("| `runbook list` | min s | median s | max s | of processors, median s |\n|---|---|---|---|---|")
    for name, found in seconds.items():
        wall, cpu = [one.wall_s for one in found], statistics.median(one.cpu_s for one in found)
        print(f"| {name} | {min(wall):.2f} | {statistics.median(wall):.2f} | {max(wall):.2f} | {cpu:.2f} |")
    return seconds


if __name__ == "__main__":
    sys.exit(main())

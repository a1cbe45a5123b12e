"""Measure what `runbook run` costs beside plain Papermill: one notebook, and the chain of the migration, both planned.

`python benchmarks/overhead.py [--rounds N] [--latency none|fast|aws] [--json FILE]` starts a sandbox and runs in turn,
so that both meet the same machine: 00_inspect_source by `papermill` and by `runbook run`; then 00 to 40, six notebooks,
by six calls of `papermill` with one run id and by one `runbook run`. The cells are the same; nothing changes. It prints
minimum, median and maximum of whole processes, and ends with 1 when a goal is missed: one notebook costs at most a
tenth or 0.3 s more, whichever is larger, and the chain takes less than the six.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.process_tree import Taken
from benchmarks.process_tree import run as run_process
from runbook_lib.sandbox import lifecycle

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
BIN = Path(sys.executable).parent
CHAIN = ("00", "10", "20", "25", "30", "40")
TENTH, AT_LEAST_S = 0.1, 0.3


class Bench:
    """A sandbox, and both ways to plan notebooks in it.

    Args:
        folder: Where files may go.
        parameters: The parameters file.
    """

    def __init__(self, folder: Path, parameters: Path) -> None:
        self.folder, self.parameters = folder, parameters
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self.count = 0

    def runbook(self, *notebooks: str) -> Taken:
        """Plan notebooks with one command of ours."""
        words = ["run", *notebooks, "-f", str(self.parameters), "-d", str(self.folder / "runs")]
        return run_process([str(BIN / "runbook"), *words], self.environment)

    def papermill(self, *notebooks: str) -> Taken:
        """Plan notebooks with one call of Papermill's own engine each, all in one run."""
        self.count += 1
        before = set(self._runs())
        taken = [self._papermill(name, "".join(set(self._runs()) - before)) for name in notebooks]
        return Taken(sum(one.wall_s for one in taken), sum(one.cpu_s for one in taken))

    def _runs(self) -> list[str]:
        return [path.parent.name for path in self.folder.glob("runs/*/journal.jsonl")]

    def _papermill(self, name: str, run_id: str) -> Taken:
        (notebook,) = NOTEBOOKS.glob(f"{name}_*.ipynb")
        words = [str(notebook), str(self.folder / f"{name}-{self.count}.ipynb"), "-f", str(self.parameters)]
        words += ["-r", "run_id", run_id, "--no-progress-bar", "--log-level", "ERROR", "--cwd", str(NOTEBOOKS)]
        return run_process([sys.executable, "-m", "papermill", *words], self.environment)


def main() -> int:
    """Measure and print; return how many goals are missed."""
    chosen = arguments()
    folder = Path(tempfile.mkdtemp(prefix="runbook-overhead-"))
    try:
        sandbox = lifecycle.start(folder / "sandbox", latency=chosen.latency, wait_s=600)
        document = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))
        document["migration"]["archive"]["directory"] = str(folder / "runs")
        parameters = folder / "parameters.yaml"
        parameters.write_text(yaml.safe_dump(document), "utf-8")
        bench = Bench(folder, parameters)
        measured = {
            name: measure(bench, names, chosen.rounds) for name, names in (("one", CHAIN[:1]), ("chain", CHAIN))
        }
    finally:
        lifecycle.stop(folder / "sandbox")
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        walls = {
            name: {way: [t.wall_s for t in taken] for way, taken in ways.items()} for name, ways in measured.items()
        }
        chosen.json.write_text(json.dumps(walls, indent=2) + "\n", "utf-8")
    return report(measured, chosen)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", default="none", choices=("aws", "fast", "none"))
    parser.add_argument("--json", type=Path, help="write what was measured there as well")
    return parser.parse_args()


def measure(bench: Bench, names: tuple[str, ...], rounds: int) -> dict[str, list[Taken]]:
    """Return what each way took, round by round; the first round of each, which fills caches, is thrown away."""
    taken: dict[str, list[Taken]] = {"papermill": [], "runbook": []}
    for number in range(rounds + 1):
        for way, ran in taken.items():
            one = getattr(bench, way)(*names)
            if number:
                ran.append(one)
    return taken


def report(measured: dict[str, dict[str, list[Taken]]], chosen: argparse.Namespace) -> int:
    """Print tables and goals; return how many are missed."""
    machine = f"{os.cpu_count()} processors, Python {platform.python_version()}"
    print(f"latency {chosen.latency}, {chosen.rounds} rounds, {machine}")
    print("\n| cells | way | s, min / median / max | CPU s, median |\n|---|---|---|---|")
    medians = {}
    for name, ways in measured.items():
        for way, taken in ways.items():
            walls = sorted(one.wall_s for one in taken)
            medians[name, way] = statistics.median(walls)
            cpu_s = statistics.median(one.cpu_s for one in taken)
            print(f"| {name} | {way} | {walls[0]:.2f} / {medians[name, way]:.2f} / {walls[-1]:.2f} | {cpu_s:.2f} |")
    plain, more_s = medians["one", "papermill"], medians["one", "runbook"] - medians["one", "papermill"]
    allowed_s = max(AT_LEAST_S, TENTH * plain)
    goals = {
        f"one notebook costs {more_s:+.2f} s, at most {allowed_s:.2f} s wanted": more_s <= allowed_s,
        f"the chain takes {medians['chain', 'runbook'] / medians['chain', 'papermill']:.2f} x the six calls, less than "
        "1 wanted": medians["chain", "runbook"] < medians["chain", "papermill"],
    }
    print()
    for goal, reached in goals.items():
        print(f"{'reached' if reached else 'MISSED '}  {goal}")
    return sum(not reached for reached in goals.values())


if __name__ == "__main__":
    sys.exit(main())

"""Measure what somebody in JupyterLab waits for: a cell's first reaction, updates of its card, the kernel's memory.

`python benchmarks/lab.py [--latency none|fast|aws] [--json FILE]` starts a sandbox and one kernel, as JupyterLab's
server does, and runs every cell of the whole migration in it, one after the other, as a person does by Shift+Enter. It
notes for each cell when its first output arrives from the kernel (JupyterLab's own `[*]` comes before), and, while a
cell runs, the longest time in which nothing that is shown changed. It ends with 1 when a goal is missed: a first
reaction within 200 ms, a change at least once a second, a kernel of at most 350 MB after the migration.
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
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

import nbformat
import yaml
from jupyter_client.manager import start_new_kernel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runbook_lib.execute_names import MIGRATION
from runbook_lib.sandbox import lifecycle

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SHOWN = ("stream", "display_data", "execute_result", "update_display_data", "error", "comm_open", "comm_msg")
OUTPUTS = ("stream", "display_data", "execute_result", "error")
REACTION_MS, UPDATE_S, KERNEL_MB = 200, 1.0, 350
LONGEST_CELL_S = 1800


@dataclass(frozen=True)
class Cell:
    """What one cell took, in seconds.

    Args:
        notebook: Its notebook.
        cell_id: The cell.
        reaction_s: Until its first output arrived; None when it shows none.
        longest_still_s: The longest time while it ran in which nothing shown changed.
        took_s: Until the kernel was idle again.
    """

    notebook: str
    cell_id: str
    reaction_s: float | None
    longest_still_s: float
    took_s: float


class Person:
    """Somebody who runs cells in a kernel of JupyterLab.

    Args:
        folder: Where the kernel's own files may go.
    """

    def __init__(self, folder: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        environment |= {"JPY_SESSION_NAME": "notebooks/work/benchmark.ipynb", "IPYTHONDIR": str(folder / "ipython")}
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(NOTEBOOKS), env=environment)

    @property
    def pid(self) -> int:
        """The kernel."""
        return int(self._manager.provisioner.pid)

    def run(self, notebook: str, cell_id: str, source: str) -> Cell:
        """Run a cell and watch what arrives from the kernel; raise when it fails."""
        began = last = time.perf_counter()
        request = self._client.execute(source)
        reaction_s, longest_s = None, 0.0
        while time.perf_counter() - began < LONGEST_CELL_S:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            now, kind = time.perf_counter(), message["msg_type"]
            if kind == "error" and message["parent_header"].get("msg_id") == request:
                raise RuntimeError(f"{notebook} {cell_id}: {message['content']['evalue']}")
            if kind in SHOWN:
                longest_s, last = max(longest_s, now - last), now
            if kind in OUTPUTS and reaction_s is None:
                reaction_s = now - began
            ended = kind == "status" and message["content"]["execution_state"] == "idle"
            if ended and message["parent_header"].get("msg_id") == request:
                return Cell(notebook, cell_id, reaction_s, max(longest_s, now - last), now - began)
        raise RuntimeError(f"{notebook} {cell_id}: not ended after {LONGEST_CELL_S} s")

    def memory_mb(self) -> tuple[float, float]:
        """Return the resident memory of the kernel now, and the most that it was, in MB."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        kib = {
            name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value
        }
        return kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6

    def leave(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def main() -> int:
    """Measure and print; return how many goals are missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency", default="fast", choices=("aws", "fast", "none"))
    parser.add_argument("--json", type=Path, help="write what was measured there as well")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="runbook-lab-"))
    try:
        sandbox = lifecycle.start(folder / "sandbox", latency=chosen.latency, wait_s=600)
        document = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))
        document["migration"]["archive"]["directory"] = str(folder / "runs")
        (folder / "parameters.yaml").write_text(yaml.safe_dump(document), "utf-8")
        cells, memory_mb = migrate(folder)
    finally:
        lifecycle.stop(folder / "sandbox")
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([vars(cell) for cell in cells], indent=2) + "\n", "utf-8")
    print(f"latency {chosen.latency}, {os.cpu_count()} processors, Python {platform.python_version()}")
    return report(cells, memory_mb)


def migrate(folder: Path) -> tuple[list[Cell], tuple[float, float]]:
    """Run every cell of the migration in one kernel; return what each took, and the kernel's memory."""
    person, cells = Person(folder), []
    try:
        for name in MIGRATION:
            for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells:
                if cell.cell_type != "code":
                    continue
                if "parameters" not in cell.metadata.get("tags", []):
                    cells.append(person.run(name, cell.id, cell.source))
                    continue
                run_ids = [path.parent.name for path in folder.glob("runs/*/journal.jsonl")]
                given = {
                    "parameters_file": str(folder / "parameters.yaml"),
                    "run_id": "".join(run_ids),
                    "execute": True,
                }
                injected = "\n".join(f"{key} = {value!r}" for key, value in given.items())
                person.run(name, cell.id, f"{cell.source}\n{injected}\nexecute, reason = True, 'benchmark'")
        return cells, person.memory_mb()
    finally:
        person.leave()


def report(cells: list[Cell], memory_mb: tuple[float, float]) -> int:
    """Print a table and the goals; return how many are missed."""
    kinds = {
        "first `open_run` of the kernel": [cell for cell in cells if cell.cell_id == "open-run"][:1],
        "`open_run` later": [cell for cell in cells if cell.cell_id == "open-run"][1:],
        "steps": [cell for cell in cells if cell.cell_id not in {"open-run", "close-run"}],
        "`close_run`": [cell for cell in cells if cell.cell_id == "close-run"],
    }
    print("\n| cells | count | first output, ms, min / median / max | longest without a change, s |\n|---|---|---|---|")
    for kind, some in kinds.items():
        ms = sorted(1000 * cell.reaction_s for cell in some if cell.reaction_s is not None)
        still_s = max(cell.longest_still_s for cell in some)
        print(f"| {kind} | {len(some)} | {ms[0]:.0f} / {statistics.median(ms):.0f} / {ms[-1]:.0f} | {still_s:.2f} |")
    slowest = max(cells, key=lambda cell: cell.reaction_s or 0)
    slowest_ms = 1000 * (slowest.reaction_s or 0)
    stillest = max(cells, key=lambda cell: cell.longest_still_s)
    now_mb, peak_mb = memory_mb
    goals = {
        f"first output after {slowest_ms:.0f} ms ({slowest.notebook} {slowest.cell_id}), {REACTION_MS} at most": (
            slowest_ms <= REACTION_MS
        ),
        f"{stillest.longest_still_s:.2f} s at most without a change ({stillest.notebook} {stillest.cell_id}), "
        f"{UPDATE_S:.0f} wanted": stillest.longest_still_s <= UPDATE_S,
        f"the kernel has {now_mb:.0f} MB after the migration, and had {peak_mb:.0f} at most, {KERNEL_MB} wanted": (
            peak_mb <= KERNEL_MB
        ),
    }
    print()
    for goal, reached in goals.items():
        print(f"{'reached' if reached else 'MISSED '}  {goal}")
    return sum(not reached for reached in goals.values())


if __name__ == "__main__":
    sys.exit(main())

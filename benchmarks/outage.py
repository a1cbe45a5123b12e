"""Measure the outage of one cutover, done by the runbook and as people script it, beside the shortest possible one.

`python benchmarks/outage.py [--latency aws|fast|none] [--rounds N] [--ways runbook,bash,ansible] [--json FILE]`
prepares a fresh sandbox for every cutover, cuts over, and prints the table and the ratios. The first time it installs
aws CLI and Ansible into build/outage-tools. `--scale` measures instead how the runbook's outage grows with files and
bytes. It ends with 1 when a ratio is missed or an acknowledged write was lost. README.md says what is compared and why.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import outage_scale, outage_tools
from benchmarks.outage_estate import BenchmarkError, prepared
from benchmarks.outage_path import Leg, by_phase, critical_path, total_s
from benchmarks.outage_table import OURS, Results, phase_table, table
from benchmarks.outage_ways import ANSIBLE, BASH, cut_over
from runbook_lib.sandbox.latency import Latency

NAMES = {"runbook": OURS, "bash": BASH, "ansible": ANSIBLE}


def main() -> int:
    """Measure and print; return how many conditions are missed."""
    chosen = arguments()
    try:
        if chosen.scale:
            return outage_scale.measure(chosen.files, chosen.mib, chosen.latency)
        return compare(chosen)
    except (BenchmarkError, outage_tools.ToolsMissingError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency", default="aws", choices=("aws", "fast", "none"), help="set of figures")
    parser.add_argument("--rounds", type=int, default=1, help="cutovers of each way; the table has their medians")
    parser.add_argument("--ways", default=",".join(NAMES), help=f"some of {', '.join(NAMES)}; runbook is always in")
    parser.add_argument("--json", type=Path, help="write what was measured there as well")
    parser.add_argument("--scale", action="store_true", help="measure growth with files and bytes instead")
    parser.add_argument("--files", default="0,100000,300000", help="with --scale: numbers of files")
    parser.add_argument("--mib", default="256,2048", help="with --scale: MiB of content in one file each")
    return parser.parse_args()


def compare(chosen: argparse.Namespace) -> int:
    """Measure every way in turn, round by round; print tables; return how many conditions are missed."""
    ways = [NAMES["runbook"], *(NAMES[name] for name in chosen.ways.split(",") if name != "runbook")]
    if len(ways) > 1:
        outage_tools.bin_dir()
    latency = Latency.named(chosen.latency)
    path = critical_path(latency, proof=True)
    results = Results(total_s(critical_path(latency)), total_s(path))
    for number in range(chosen.rounds):
        for way in ways:
            with prepared(chosen.latency) as estate:
                measured = cut_over(way, estate, latency.ssm_delivery_s)
            results.cutovers.setdefault(way, []).append(measured)
            print(f"round {number + 1}: {way} {measured.gap.seconds:.2f} s", file=sys.stderr, flush=True)
    report(chosen, path, results, ways)
    if chosen.json:
        chosen.json.write_text(json.dumps(dataclasses.asdict(results), indent=2) + "\n", "utf-8")
    return len(results.misses())


def report(chosen: argparse.Namespace, path: tuple[Leg, ...], results: Results, ways: list[str]) -> None:
    """Print the tables, the phases and the verdict."""
    versions = f"; {outage_tools.versions()}" if len(ways) > 1 else ""
    print(f"latency {chosen.latency}, unscaled; {chosen.rounds} round(s); Python {platform.python_version()}{versions}")
    print(f"\n{table(results)}\n\nThe critical path with the proof, from the latency table:\n")
    print("\n".join(f"- {leg.phase}: {leg.what}: {leg.seconds:.2f} s" for leg in path))
    for way in ways:
        beside = by_phase(path) if way == OURS else None
        print(f"\n{way}, phase by phase\n\n{phase_table(results.cutovers[way], beside)}")
    commands = ", ".join(f"{script} {seconds:.2f} s" for script, seconds in results.cutovers[OURS][-1].commands)
    print(f"\nhost commands of {OURS} inside the outage, last round: {commands}")
    written = sum(one.acknowledged for rounds in results.cutovers.values() for one in rounds)
    print(f"\n{written} acknowledged writes in all. Ratios of ours: ", end="")
    print(", ".join(f"{ratio:.2f} x the {name}" for name, ratio in results.ratios().items()))
    print(f"missed: {'; '.join(results.misses())}" if results.misses() else "every condition holds, no write was lost")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)

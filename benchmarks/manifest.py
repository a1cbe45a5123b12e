"""Measure how fast a manifest is built, beside the programs that people use instead, on the same files in one run.

`python benchmarks/manifest.py [--rounds N] [--folder DIR] [--small N] [--small-kib N] [--large N] [--large-mib N]
[--metadata N …]` makes few large files and many small ones and lets every program read them in turn, round after round,
warm and cold; then it measures what the outage costs: metadata of all files read on the source and again, cold, on the
target. The manifest runs as hosts run it, in its own process, and records names, owners, modes, times and links besides
the digests. Shown are minimum, median and maximum, because a busy machine makes single runs worthless. Cold means that
the page cache was dropped: all of it as root, else only the contents, and the output says which. Programs that are not
installed are named and left out (Debian: apt-get install b3sum hashdeep rsync).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.process_tree import Memory, Taken, peak_memory, run
from runbook_lib.host_scripts import source

LOADER = 'import base64,sys;n={"__name__":"host_script"};exec(base64.b64decode(sys.argv[1]),n);'
ANSWER = LOADER + 'sys.exit(n["answer"](n["main"],base64.b64decode(sys.argv[2]).decode()))'
ON_TARGET = LOADER + (  # verify_before_start without the gate: what it reads once the volume is there
    "import json;a=json.loads(base64.b64decode(sys.argv[2]));"
    'print(json.dumps({"ok":True,"result":n["main"].__globals__["describe"](a["view"],a)}))'
)
DIGESTS = LOADER + "[print(row[7],row[0]) for row in sys.modules['manifest_rows'].load(sys.argv[3])[1] if row[7]]"
BLOCK = 1 << 20
OURS, SHA256SUM, FLOOR = "build_manifest", "find, xargs -P2 sha256sum", "tar to a pipe (read floor)"
LINES = {
    SHA256SUM: ("sha256sum", 'find "$0" -type f -print0 | xargs -0 -P2 sha256sum'),
    "find, xargs -P2 b3sum": ("b3sum", 'find "$0" -type f -print0 | xargs -0 -P2 b3sum'),
    "rsync -rcn": ("rsync", 'rsync -rcn "$0"/ "$1"/'),
    "hashdeep -r": ("hashdeep", 'hashdeep -c sha256 -r "$0"'),
    FLOOR: ("tar", 'tar -C "$0" -cf - . | cat'),
}
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
"""What hosts run: the distribution's. A virtual environment's costs 15 ms more, to find packages that no host has."""
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
MOST_MEMORY_BYTES = 100e6


def make_files(folder: Path, count: int, size_bytes: int) -> None:
    """Write files of random content, a thousand a folder."""
    for number in range(count):
        file = folder / f"{number // 1000:03}" / f"file-{number:06}.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for start in range(0, size_bytes, BLOCK):
                stream.write(os.urandom(min(BLOCK, size_bytes - start)))
    os.sync()
    time.sleep(0.3)  # younger files are hashed again by an incremental manifest


def drop(folder: Path) -> str:
    """Drop what the kernel keeps of the files in memory; return how."""
    os.sync()
    try:
        DROP_CACHES.write_text("3\n")
    except OSError:
        pass
    else:
        return "all caches dropped by drop_caches"
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    return "NOT REALLY COLD: not root, so only contents were dropped by posix_fadvise and metadata stayed in memory"


class Bench:
    """What is compared on one folder.

    Args:
        folder: The files.
        store: Where manifests are kept.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder, self.store = folder, store
        self.empty = store / "empty"
        self.empty.mkdir(parents=True)
        self.environment = {**os.environ, "RUNBOOK_STORE": str(store), "LC_ALL": "C.UTF-8"}

    def script(self, script: str, /, loader: str = ANSWER, **arguments: object) -> list[str]:
        """Return the command that runs a host script as hosts do."""
        texts = (source(script), json.dumps({"run_id": "benchmark", **arguments}))
        return [PYTHON, "-c", loader, *(base64.b64encode(text.encode()).decode() for text in texts)]

    def build(self, name: str, **arguments: object) -> list[str]:
        """Return the command that builds a manifest."""
        return self.script("build_manifest", name=name, root=str(self.folder), **arguments)

    def result(self, argv: list[str]) -> dict:
        """Run a host script; return its result."""
        output = self.store / "output.json"
        run(argv, self.environment, output)
        return json.loads(output.read_text())["result"]

    def programs(self) -> dict[str, list[str]]:
        """Return the commands that are compared, by name."""
        found = {OURS: self.build("full"), f"{OURS}, incremental": self.build("again", previous="full")}
        for title, (program, line) in LINES.items():
            if shutil.which(program):
                found[title] = ["sh", "-c", line, str(self.folder), str(self.empty)]
        return found

    def verify(self) -> None:
        """Check that what is measured is right: every digest is sha256sum's, and an incremental manifest is equal."""
        full, again = (self.result(self.programs()[title]) for title in (OURS, f"{OURS}, incremental"))
        assert (full["sha256"], again["hashed_files"]) == (again["sha256"], 0)
        sums = self.store / "sums"
        run(self.programs()[SHA256SUM], self.environment, sums)
        expected = {line.split("  ", 1)[1]: line.split()[0] for line in sums.read_text().splitlines()}
        run([*self.script("read_manifest", loader=DIGESTS), full["path"]], self.environment, sums)
        lines = [line.split(" ", 1) for line in sums.read_text().splitlines()]
        assert {f"{self.folder}/{path}": digest for digest, path in lines} == expected
        print(f"every digest is sha256sum's; hashed with {full['hashed_with']}")

    def measure(self, rounds: int, *, cold: bool) -> dict[str, list[Taken]]:
        """Return what each program took, the programs taking turns in every round."""
        taken: dict[str, list[Taken]] = {}
        for number in range(rounds if cold else rounds + 1):
            for title, argv in self.programs().items():
                if cold:
                    drop(self.folder)
                found = run(argv, self.environment)
                if cold or number:  # the first warm round warms the page cache and is not counted
                    taken.setdefault(title, []).append(found)
        return taken


def spread(values: list[float]) -> str:
    """Return minimum, median and maximum."""
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


def report(title: str, taken: dict[str, list[Taken]], size_bytes: int, memory: dict[str, Memory]) -> dict[str, float]:
    """Print one table; return the median seconds of each program."""
    print(f"\n### {title}\n\n| program | s, min / median / max | CPU s, all processes | MB/s | RSS, PSS MB |")
    print("|---|---|---|---|---|")
    medians = {name: statistics.median(one.wall_s for one in found) for name, found in taken.items()}
    for name, found in taken.items():
        walls, cpu = spread([one.wall_s for one in found]), statistics.median(one.cpu_s for one in found)
        peak = memory[name]
        pss = f"{peak.pss_bytes / 1e6:.0f}" if peak.pss_bytes else "unknown"
        speed = size_bytes / 1e6 / medians[name]
        print(f"| {name} | {walls} | {cpu:.2f} | {speed:.0f} | {peak.rss_bytes / 1e6:.0f}, {pss} |")
    return medians


def goal(said: str, value: float, limit: float, *, at_least: bool) -> None:
    """Print one goal and whether it was reached."""
    reached = value >= limit if at_least else value <= limit
    print(f"- {'reached' if reached else 'MISSED'}: {said}: {value:.2f}, goal {'>=' if at_least else '<='} {limit:g}")


def compare(base: Path, count: int, size_bytes: int, rounds: int, goals: Callable[[dict, dict], None]) -> None:
    """Make files, let every program read them warm and cold, and print tables and goals."""
    bench = Bench(base / "files", base / "store")
    make_files(bench.folder, count, size_bytes)
    bench.verify()
    memory = {title: peak_memory(argv, bench.environment) for title, argv in bench.programs().items()}
    title = f"{count} files of {size_bytes // 1024} KiB"
    warm = report(f"{title}, warm", bench.measure(rounds, cold=False), count * size_bytes, memory)
    how = drop(bench.folder)
    cold = report(f"{title}, cold ({how})", bench.measure(rounds, cold=True), count * size_bytes, memory)
    print()
    goals(warm, cold)
    rss = max(memory[name].rss_bytes for name in memory if name.startswith(OURS))
    goal("most RSS of all processes, MB", rss / 1e6, MOST_MEMORY_BYTES / 1e6, at_least=False)
    shutil.rmtree(base)


def large_goals(warm: dict[str, float], cold: dict[str, float]) -> None:
    """Print what large files shall show."""
    goal("large files warm, times as fast as xargs -P2 sha256sum", warm[SHA256SUM] / warm[OURS], 3, at_least=True)
    goal("large files cold, times the read floor", cold[OURS] / cold[FLOOR], 1.5, at_least=False)


def small_goals(warm: dict[str, float], cold: dict[str, float]) -> None:
    """Print what small files shall show."""
    goal("small files warm, times as fast as xargs -P2 sha256sum", warm[SHA256SUM] / warm[OURS], 1.3, at_least=True)
    goal("small files cold, times the time of xargs -P2 sha256sum", cold[OURS] / cold[SHA256SUM], 1, at_least=False)


def metadata(base: Path, count: int, rounds: int) -> float:
    """Measure what the outage costs: metadata of unchanged files, warm on the source, cold on the target.

    Returns:
        Seconds of both reads, median.
    """
    bench = Bench(base / "files", base / "store")
    make_files(bench.folder, count, 64)
    hot = bench.result(bench.build("hot"))
    source_s, target_s = [], []
    arguments = {"view": str(bench.folder), "name": "at-start", "seed": "benchmark", "budget_s": 0}
    arguments |= {"files": count, "bytes": hot["bytes"]}
    for _ in range(rounds):
        source_s.append(run(bench.build("before", previous="hot", seed="benchmark"), bench.environment).wall_s)
        before = bench.result(bench.build("before", previous="hot", seed="benchmark"))
        assert (before["hashed_files"], before["sha256"]) == (0, hot["sha256"])
        arguments["since_ns"] = before["since_ns"]
        argv = bench.script("verify_before_start", loader=ON_TARGET, **arguments)
        how = drop(bench.folder)
        target_s.append(run(argv, bench.environment).wall_s)
        assert bench.result(argv)["metadata_sha256"] == before["metadata_sha256"]
    print(f"\n### Metadata of {count} files inside the outage ({how})\n")
    print("| read | s, min / median / max | s per million files, median |\n|---|---|---|")
    per = 1e6 / count
    both = [one + other for one, other in zip(source_s, target_s, strict=True)]
    for name, found in (("source, warm", source_s), ("target, cold", target_s), ("both", both)):
        print(f"| {name} | {spread(found)} | {statistics.median(found) * per:.1f} |")
    shutil.rmtree(base)
    return statistics.median(both)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=100_000, help="number of small files; 0 leaves them out")
    parser.add_argument("--small-kib", type=int, default=4, help="KiB of each small file")
    parser.add_argument("--large", type=int, default=4, help="number of large files; 0 leaves them out")
    parser.add_argument("--large-mib", type=int, default=1024, help="MiB of each large file")
    parser.add_argument("--metadata", type=int, nargs="*", default=[100_000, 300_000], help="numbers of files")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--folder", help="where to make the files; removed afterwards")
    chosen = parser.parse_args()
    missing = [program for program, _ in LINES.values() if not shutil.which(program)]
    load = os.getloadavg()[0]
    print(f"{platform.platform()}, {os.cpu_count()} processors, load {load:.1f}, {time.strftime('%Y-%m-%d')}")
    print(f"host scripts run by {PYTHON}")
    print(f"absent, so not compared: {', '.join(missing) or 'nothing'}")
    base = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        if chosen.large:
            compare(base / "large", chosen.large, chosen.large_mib * BLOCK, chosen.rounds, large_goals)
        if chosen.small:
            compare(base / "small", chosen.small, chosen.small_kib * 1024, chosen.rounds, small_goals)
        points = [(count, metadata(base / f"metadata-{count}", count, chosen.rounds)) for count in chosen.metadata]
        if len(points) > 1:
            print()
            grows = statistics.linear_regression(*zip(*points, strict=True)).slope * 1e6
            goal("both reads grow by s per million files, medians", grows, 12, at_least=False)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()

"""Measure how fast a manifest is built, beside the programs that people use instead, on the same files in one run.

`python benchmarks/manifest.py [--small N] [--small-kib N] [--large N] [--large-mib N] [--rounds N] [--folder DIR]`
makes two folders (few large files, many small ones) and reads each with every program in turn, warm and cold. Cold
means that the page cache was dropped: all of it as root, else that of the files (posix_fadvise), and the output says
which. build_manifest runs as hosts run it, in its own process, and records names, owners, modes, times and links
besides the digests. Programs that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runbook_lib.host_scripts import source

LOADER = (
    'import base64,sys;n={"__name__":"host_script"};exec(base64.b64decode(sys.argv[1]),n);'
    'sys.exit(n["answer"](n["main"],base64.b64decode(sys.argv[2]).decode()))'
)
BLOCK = 1 << 20
FLOOR, SHA256SUM, OURS = "tar to a pipe (read floor)", "find, xargs -P2 sha256sum", "build_manifest"
AGAIN = "build_manifest, incremental"
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
Program = Callable[[], float]


def make_files(folder: Path, count: int, size_bytes: int) -> None:
    """Write files of random content, a thousand a folder."""
    for number in range(count):
        file = folder / f"{number // 1000:03}" / f"file-{number:06}.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for start in range(0, size_bytes, BLOCK):
                stream.write(os.urandom(min(BLOCK, size_bytes - start)))
    os.sync()


def drop(folder: Path) -> str:
    """Drop what the kernel keeps of the files in memory; return how."""
    os.sync()
    if os.geteuid() == 0 and os.access(DROP_CACHES, os.W_OK):
        try:
            DROP_CACHES.write_text("3\n")
        except OSError:
            pass
        else:
            return "all caches dropped (drop_caches 3)"
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    return "contents dropped (posix_fadvise), metadata still warm"


class Bench:
    """What is compared on one folder.

    Args:
        folder: The files.
        store: Where build_manifest keeps its manifests.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder, self.store = folder, store
        self.peaks: dict[str, int] = {}

    def build(self, title: str, **arguments: object) -> dict:
        """Run the host script as a host does; return its result."""
        document = {"root": str(self.folder), "run_id": "benchmark", **arguments}
        coded = [base64.b64encode(text.encode()).decode() for text in (source("build_manifest"), json.dumps(document))]
        environment = {**os.environ, "RUNBOOK_STORE": str(self.store)}
        done = subprocess.run([sys.executable, "-c", LOADER, *coded], env=environment, capture_output=True, check=True)
        result = json.loads(done.stdout)["result"]
        self.peaks[title] = max(self.peaks.get(title, 0), result["peak_rss_kib"])
        return result

    def shell(self, title: str, command: str) -> None:
        """Run a pipeline, its output thrown away, and note the largest process of it."""
        argv = [sys.executable, "-c", RUSAGE, command, str(self.folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        self.peaks[title] = max(self.peaks.get(title, 0), int(done.stdout))

    def programs(self) -> tuple[dict[str, Callable[[], object]], list[str]]:
        """Return what is compared, by name, and what is not installed."""
        find = 'find "$0" -type f -print0 | xargs -0 -P2'
        empty = self.store / "empty"
        empty.mkdir(parents=True, exist_ok=True)
        lines = {
            FLOOR: ("tar", 'tar -C "$0" -cf - . | cat'),
            SHA256SUM: ("sha256sum", f"{find} sha256sum"),
            "find, xargs -P2 b3sum": ("b3sum", f"{find} b3sum"),
            "rsync -rcn": ("rsync", f'rsync -rcn "$0"/ {empty}/'),
            "hashdeep -r": ("hashdeep", 'hashdeep -c sha256 -r "$0"'),
        }
        found = {
            title: (lambda title=title, line=line: self.shell(title, line))
            for title, (program, line) in lines.items()
            if shutil.which(program)
        }
        missing = [program for program, _ in lines.values() if not shutil.which(program)]
        found[OURS] = lambda: self.build(OURS, name="full")
        found[AGAIN] = lambda: self.build(AGAIN, name="again", previous="full")
        return found, missing

    def verify(self) -> None:
        """Check that what is measured is right: digests of a full manifest, and an incremental one equals it."""
        time.sleep(0.3)  # younger files are hashed again by an incremental manifest
        full = self.build(OURS, name="full")
        again = self.build(AGAIN, name="again", previous="full")
        environment = {**os.environ, "RUNBOOK_STORE": str(self.store)}
        text = json.dumps({"run_id": "benchmark", "name": "full"})
        coded = [base64.b64encode(one.encode()).decode() for one in (source("read_manifest"), text)]
        done = subprocess.run([sys.executable, "-c", LOADER, *coded], env=environment, capture_output=True, check=True)
        assert json.loads(done.stdout)["ok"]
        assert (full["sha256"], again["hashed_files"]) == (again["sha256"], 0)
        file = next(path for path in self.folder.rglob("*") if path.is_file())
        assert hashlib.sha256(file.read_bytes()).hexdigest() in "".join(self.lines(full))

    def lines(self, full: dict) -> list[str]:
        """Return the lines of a stored manifest."""
        import gzip  # noqa: PLC0415 - for the check only

        return [gzip.decompress(part.read_bytes()).decode() for part in Path(full["path"]).glob("*.part")]

    def measure(self, rounds: int, *, cold: bool) -> dict[str, float]:
        """Return the median seconds of each program, the programs taking turns in every round."""
        times: dict[str, list[float]] = {}
        for number in range(rounds if cold else rounds + 1):
            for title, program in self.programs()[0].items():
                if cold:
                    drop(self.folder)
                started = time.perf_counter()
                program()
                if cold or number:  # the first warm round warms the page cache and is not counted
                    times.setdefault(title, []).append(time.perf_counter() - started)
        return {title: statistics.median(found) for title, found in times.items()}


RUSAGE = """
import resource, subprocess, sys
subprocess.run(["sh", "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def report(title: str, seconds: dict[str, float], size_bytes: int, peaks: dict[str, int]) -> None:
    """Print one table, and how we compare with sha256sum and with the read floor."""
    print(f"\n{title}\n\n| program | s | MB/s | of sha256sum | peak RSS MiB |\n|---|---|---|---|---|")
    for name, taken in seconds.items():
        ratio = f"{seconds[SHA256SUM] / taken:.2f} x" if SHA256SUM in seconds else ""
        print(f"| {name} | {taken:.2f} | {size_bytes / 1e6 / taken:.0f} | {ratio} | {peaks.get(name, 0) / 1024:.0f} |")
    if FLOOR in seconds:
        print(f"\nbuild_manifest takes {seconds[OURS] / seconds[FLOOR]:.2f} x the read floor.")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=100_000, help="number of small files")
    parser.add_argument("--small-kib", type=int, default=4, help="KiB of each small file")
    parser.add_argument("--large", type=int, default=4, help="number of large files")
    parser.add_argument("--large-mib", type=int, default=1024, help="MiB of each large file")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--folder", help="where to make the files; removed afterwards")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        cases = {
            f"{chosen.large} files of {chosen.large_mib} MiB": (chosen.large, chosen.large_mib * BLOCK),
            f"{chosen.small} files of {chosen.small_kib} KiB": (chosen.small, chosen.small_kib * 1024),
        }
        missing = Bench(base, base / "store").programs()[1]
        print(f"not installed, so not compared: {', '.join(missing) or 'nothing'}")
        for number, (title, (count, size_bytes)) in enumerate(cases.items()):
            bench = Bench(base / f"files-{number}", base / f"store-{number}")
            if not count:
                continue
            make_files(bench.folder, count, size_bytes)
            bench.verify()
            for cold in (False, True):
                how = f"cold: {drop(bench.folder)}" if cold else "warm"
                seconds = bench.measure(chosen.rounds, cold=cold)
                report(f"{title} ({how}, median of {chosen.rounds})", seconds, count * size_bytes, bench.peaks)
            shutil.rmtree(bench.folder)
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()

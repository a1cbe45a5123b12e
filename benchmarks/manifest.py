"""Measure how fast a manifest is built, beside sha256sum and plain hashlib, on the same files in the same run.

`python benchmarks/manifest.py [--small N] [--large N] [--large-mib N] [--rounds N] [--folder DIR]` makes two folders
(many small files, few large ones), hashes them warm with each program in turn, and prints medians as a table.
build_manifest runs as hosts run it, in its own process, and records names, owners, modes, times and links besides.
"""

from __future__ import annotations

import argparse
import base64
import gzip
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
PLAIN = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as stream:
            print(hashlib.file_digest(stream, "sha256").hexdigest(), name)
"""
BLOCK = 1 << 20


def make_files(folder: Path, count: int, size_bytes: int) -> None:
    """Write files of random content, a thousand a folder."""
    for number in range(count):
        file = folder / f"{number // 1000:03}" / f"file-{number:06}.dat"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for start in range(0, size_bytes, BLOCK):
                stream.write(os.urandom(min(BLOCK, size_bytes - start)))


def build_manifest(folder: Path, store: Path, **arguments: object) -> dict:
    """Run the host script as a host does; return its result."""
    coded = [
        base64.b64encode(text.encode()).decode()
        for text in (source("build_manifest"), json.dumps({"root": str(folder), "run_id": "benchmark", **arguments}))
    ]
    environment = {**os.environ, "RUNBOOK_STORE": str(store)}
    done = subprocess.run([sys.executable, "-c", LOADER, *coded], env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)["result"]


def quietly(*argv: str) -> None:
    """Run a program and throw its output away."""
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)


def programs(folder: Path, store: Path) -> dict[str, Callable[[], object]]:
    """Return what is compared, by name; the incremental manifest needs the full one before it."""
    find = f"find {folder} -type f -print0"
    return {
        "cat (read floor)": lambda: quietly("sh", "-c", f"{find} | xargs -0 -n 64 cat"),
        "sha256sum, xargs -P2": lambda: quietly("sh", "-c", f"{find} | xargs -0 -n 64 -P 2 sha256sum"),
        "hashlib, one process": lambda: quietly(sys.executable, "-c", PLAIN, str(folder)),
        "build_manifest": lambda: build_manifest(folder, store, name="full"),
        "build_manifest, incremental": lambda: build_manifest(folder, store, name="again", previous="full"),
    }


def measure(folder: Path, store: Path, rounds: int) -> dict[str, float]:
    """Return the median seconds of each program, the programs taking turns in every round."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):  # the first round warms the page cache and is not counted
        for name, program in programs(folder, store).items():
            started = time.perf_counter()
            program()
            times.setdefault(name, []).append(time.perf_counter() - started)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def verify(folder: Path, store: Path) -> None:
    """Check that what is measured is right: the digests of a full manifest, and that an incremental one equals it."""
    time.sleep(0.3)  # younger files are hashed again by an incremental manifest
    full = build_manifest(folder, store, name="full")
    again = build_manifest(folder, store, name="again", previous="full")
    with gzip.open(full["path"], "rt") as stream:
        known = {row[0]: row[7] for row in map(json.loads, list(stream)[1:])}
    for file in [path for path in folder.rglob("*") if path.is_file()][:10]:
        assert known[str(file.relative_to(folder))] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (full["sha256"], again["hashed_files"]) == (again["sha256"], 0)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=20_000, help="number of small files (4 KiB)")
    parser.add_argument("--large", type=int, default=4, help="number of large files")
    parser.add_argument("--large-mib", type=int, default=256, help="MiB of each large file")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--folder", help="where to make the files; removed afterwards")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        cases = {
            f"{chosen.small} files of 4 KiB": (chosen.small, 4096),
            f"{chosen.large} files of {chosen.large_mib} MiB": (chosen.large, chosen.large_mib * BLOCK),
        }
        for number, (title, (count, size_bytes)) in enumerate(cases.items()):
            folder, store = base / f"files-{number}", base / f"store-{number}"
            make_files(folder, count, size_bytes)
            verify(folder, store)
            print(f"\n{title} (warm, median of {chosen.rounds})\n\n| program | s | MB/s |\n|---|---|---|")
            for name, seconds in measure(folder, store, chosen.rounds).items():
                print(f"| {name} | {seconds:.2f} | {count * size_bytes / 1e6 / seconds:.0f} |")
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()

"""Measure what a command on a simulated host costs: CPU seconds of the sandbox's whole process tree, and wall time.

`python benchmarks/sandbox_commands.py [--rounds N] [--idle-s S]` starts a sandbox, sends commands to its source host as
runbooks do (SSM Run Command through the library's own adapters), and reads what the kernel counted for the sandbox's
daemon and everything it started, ended children included. The time of this process, which is the client, is not in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.host import Host
from runbook_lib.sandbox import lifecycle

SETTLES_S = 3.0
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(root: int) -> float:
    """Return the CPU seconds of a process and all its descendants, and of those of their children that have ended."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in used.items() if is_below(pid, root, parents)) / TICKS


def is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    """Return whether a process is another one, or descends from it."""
    while pid not in {0, root}:
        pid = parents.get(pid, 0)
    return pid == root


def measure(daemon: int, name: str, rounds: int, call: Callable[[], Any]) -> None:
    """Call something several times and print CPU and wall time per call."""
    call()
    began, before = time.monotonic(), cpu_s(daemon)
    for _ in range(rounds):
        call()
    show(name, (cpu_s(daemon) - before) / rounds, (time.monotonic() - began) / rounds)


def show(name: str, cpu: float, wall: float) -> None:
    """Print one row; times in seconds."""
    print(f"{name:34} {cpu * 1000:8.1f} ms CPU {wall * 1000:8.1f} ms wall", flush=True)


def main() -> None:
    """Start a sandbox and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="calls of each command")
    parser.add_argument("--idle-s", type=float, default=10.0, help="how long to look at a sandbox that nobody asks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        info = lifecycle.start(Path(folder) / "sandbox", latency="none")
        try:
            show("start of the sandbox", cpu_s(info.pid), time.monotonic() - began)
            run_all(info, options)
        finally:
            lifecycle.stop(info.state_dir)


def run_all(info: lifecycle.SandboxInfo, options: argparse.Namespace) -> None:
    """Measure every row."""
    migration = yaml.safe_load(info.parameters_path.read_text("utf-8"))["migration"]
    time.sleep(SETTLES_S)
    began, before = time.monotonic(), cpu_s(info.pid)
    time.sleep(options.idle_s)
    show("idle, each second", (cpu_s(info.pid) - before) / (time.monotonic() - began), 1)
    for name, call in rows(info, migration).items():
        measure(info.pid, name, options.rounds, call)


def rows(info: lifecycle.SandboxInfo, migration: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by the name of its row."""
    instance_id, volume_id = migration["source"]["instance_id"], migration["volume"]["volume_id"]
    place = {"mount_path": migration["volume"]["mount_path"], "volume_id": volume_id}
    access = migration["aws"]
    aws = Aws(
        region=access["region"],
        endpoint_url=info.endpoint_url,
        profile=access.get("profile", ""),
        credentials_file=Path(access["credentials_file"]) if access.get("credentials_file") else None,
        record=lambda **_fields: None,
    )
    host = Host(aws, Clock(), instance_id, lambda **_fields: None)

    def direct(*argv: str) -> Callable[[], Any]:
        return lambda: info.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(argv)})

    return {
        "control path: status": lambda: info.control("GET", "/_sandbox/status"),
        "AWS call: DescribeInstances": lambda: aws.call("ec2", "describe_instances", InstanceIds=[instance_id]),
        "AWS call: DescribeVolumes": lambda: aws.call("ec2", "describe_volumes", VolumeIds=[volume_id]),
        "command: docker ps": direct("docker", "ps"),
        "command: findmnt --json": direct("findmnt", "--json"),
        "command: python3 -c pass": direct("python3", "-c", "pass"),
        "script: inspect_host": lambda: host.run("inspect_host", **place),
        "script: list_open_files": lambda: host.run("list_open_files", **place),
        "script: read_boot": lambda: host.run("read_boot"),
    }


if __name__ == "__main__":
    main()

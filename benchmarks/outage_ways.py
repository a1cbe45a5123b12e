"""The cutover done by each way on a prepared estate, and what is measured of it: the same for all.

The outage is the longest time in which the sandbox's writing client, which writes twenty times a second through the
service's address, got no acknowledgement. Changes: the estate that it is given.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import outage_tools
from benchmarks.outage_estate import BenchmarkError, Estate
from benchmarks.outage_table import OURS, Cutover, commands_inside, phases_of_marks, phases_of_steps

FOLDER = Path(__file__).with_name("outage")
BASH, ANSIBLE = "bash, aws CLI", "Ansible"
SHELL_COMMANDS = [("docker compose stop", 0.0), ("umount", 0.0)]  # what both other ways run on the source


def cut_over(way: str, estate: Estate, delivery_s: float) -> Cutover:
    """Cut the estate over in one way and measure it.

    Args:
        way: A key of `WAYS`.
        estate: A fresh one.
        delivery_s: The configured delivery time of a host command.

    Returns:
        What was measured.

    Raises:
        BenchmarkError: when the way failed or the service never answered again.
    """
    overhead_s = estate.command_overhead_s(delivery_s)
    since = time.time()
    marks = WAYS[way](estate)
    gap = estate.outage(since)
    if way == OURS:
        events = estate.journal()
        phases, commands = phases_of_steps(events, gap), commands_inside(events, gap)
    else:
        phases, commands = phases_of_marks(marks, gap), SHELL_COMMANDS
    acknowledged, missing = estate.lost()
    return Cutover(way, gap, phases, commands, max(0.0, overhead_s), acknowledged, missing)


def _ours(estate: Estate) -> list[tuple[float, str]]:
    estate.runbook("30", "--run-id", estate.run_id, "-d", str(estate.runs))
    return []


def _bash(estate: Estate) -> list[tuple[float, str]]:
    return _marks(["bash", str(FOLDER / "cut_over.sh")], _names(estate), estate)


def _ansible(estate: Estate) -> list[tuple[float, str]]:
    argv = ["ansible-playbook", "-i", "localhost,", str(FOLDER / "cut_over.yaml")]
    home = estate.sandbox.state_dir.parent / "ansible"
    settings = {
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": str(outage_tools.HOME / "bin" / "python"),
    }
    return _marks(argv, _names(estate) | settings, estate)


def _marks(argv: list[str], extra: Mapping[str, str], estate: Estate) -> list[tuple[float, str]]:
    """Run a program of another way; return the marks `phase SECONDS NAME` that it printed."""
    environment = outage_tools.environment(estate.aws_environment | dict(extra))
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(argv)} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return marks_of(done.stdout)


def marks_of(output: str) -> list[tuple[float, str]]:
    """Return the marks that a way printed.

    Args:
        output: Lines, among them `phase SECONDS NAME`, in whatever quotes.

    Returns:
        (seconds since 1970, phase that begins), in the order printed.
    """
    found = [line.partition("phase ")[2].strip(' ",\\n').split(" ", 1) for line in output.splitlines()]
    return [(float(parts[0]), parts[1]) for parts in found if len(parts) == 2 and _is_number(parts[0])]  # noqa: PLR2004


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _names(estate: Estate) -> dict[str, str]:
    migration = estate.migration
    return {
        "SOURCE_INSTANCE_ID": migration["source"]["instance_id"],
        "COMPOSE_FILE": migration["source"]["compose_file"],
        "COMPOSE_PROJECT": migration["source"]["compose_project"],
        "MOUNT_PATH": migration["volume"]["mount_path"],
        "VOLUME_ID": migration["volume"]["volume_id"],
        "VOLUME_NAME": migration["storage"]["rexray"]["volume_name"],
        "CLUSTER": migration["target"]["cluster_name"],
        "SERVICE": migration["target"]["service_name"],
    }


WAYS: dict[str, Callable[[Estate], list[tuple[float, str]]]] = {OURS: _ours, BASH: _bash, ANSIBLE: _ansible}

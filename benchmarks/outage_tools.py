"""The programs of the other ways, aws CLI and Ansible, in a virtual environment of their own below `build/`.

Changes: that folder, once; it asks the package index for `outage/requirements.txt` alone.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = Path(__file__).with_name("outage") / "requirements.txt"
HOME = ROOT / "build" / "outage-tools"
PROGRAMS = ("aws", "ansible-playbook")


class ToolsMissingError(Exception):
    """The programs of the other ways cannot be had; the message says why and what to do."""


def bin_dir() -> Path:
    """Return the folder of the programs, installing them the first time.

    Returns:
        A folder with `aws` and `ansible-playbook`.

    Raises:
        ToolsMissingError: when they cannot be installed.
    """
    ready, wanted = HOME / ".ready", hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not (ready.is_file() and ready.read_text("utf-8") == wanted):
        print(f"installing aws CLI and Ansible into {HOME} (minutes, once)", file=sys.stderr, flush=True)
        _install([sys.executable, "-m", "venv", "--clear", str(HOME)])
        _install([str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)])
        ready.write_text(wanted, "utf-8")
    for program in PROGRAMS:
        if not (HOME / "bin" / program).is_file():
            raise ToolsMissingError(f"{HOME} has no {program}: remove that folder and run again")
    return HOME / "bin"


def versions() -> str:
    """Return the versions of what was installed, in one line."""
    python = HOME / "bin" / "python"
    names = ("awscli", "botocore", "ansible", "ansible-core")
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which the programs run: their own folder first on PATH, no AWS settings of the caller.

    Args:
        extra: Added to it.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
    return kept | {"PATH": f"{HOME / 'bin'}:{kept.get('PATH', '')}"} | dict(extra)


def _install(argv: list[str]) -> None:
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ToolsMissingError(
            f"{' '.join(argv[:4])} failed: {done.stderr.strip()[-400:]}\nThe ways with aws CLI and Ansible need "
            f"{REQUIREMENTS.name} from a package index. Give pip one, or measure without them: "
            "`python benchmarks/outage.py --ways runbook`. Nothing else was changed."
        )

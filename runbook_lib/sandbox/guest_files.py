"""Lay the guest's Python, programs and lifeline into the state directory.

Writes below one folder of the state directory; starts nothing.
"""

from __future__ import annotations

import compileall
import os
import shlex
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "guest"
PACKAGE = "sandbox_guest"
HOST_COMMANDS = (
    "docker", "findmnt", "lsblk", "blkid", "mount", "umount", "sync", "blockdev", "systemctl", "cloud-init", "aws",
    "mountpoint", "true", "false", "shutdown", "e2fsck", "xfs_repair", "chattr", "lsattr", "fsfreeze",
    "resize2fs", "xfs_growfs", "dumpe2fs", "xfs_info",
)  # fmt: skip
CONTAINER_PROGRAMS = ("sh", "curl", "test", "[", "sleep", "cat", "echo", "true", "false")


def install_guest(folder: Path) -> Path:
    """Write the guest folder: ``lib/`` (Python), ``host-bin/``, ``container-bin/``, ``compiled/`` and the ``lifeline``.

    Args:
        folder: Where; created, and its programs written again when it exists.

    Returns:
        The folder.
    """
    library = folder / "lib"
    shutil.rmtree(library, ignore_errors=True)
    shutil.copytree(SOURCE, library / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    entry(library, "python3", "run")
    entry(library, "client", "client")
    entry(library, "tools", "tools")
    entry(library, "forks", "fork_server")
    compileall.compile_dir(library, quiet=1)
    (folder / "compiled").mkdir(parents=True, exist_ok=True)
    for name in ("host-bin", "container-bin"):
        programs = folder / name
        programs.mkdir(parents=True, exist_ok=True)
        for python in ("python3", "python"):
            write_program(programs / python, library / "python3.py", ())
    for name in HOST_COMMANDS:
        write_program(folder / "host-bin" / name, library / "client.py", (name,))
    for name in CONTAINER_PROGRAMS:
        write_program(folder / "container-bin" / name, library / "tools.py", (name,))
    if not (folder / "lifeline").exists():
        os.mkfifo(folder / "lifeline", 0o600)
    return folder


def entry(library: Path, name: str, module: str) -> None:
    """Write the small script that the interpreter starts with."""
    call = f"sys.exit({module}.main(sys.argv[1:]))"
    install = "from sandbox_guest import run\nrun.install()\n" if module in {"run", "tools"} else ""
    lines = f"import sys\nsys.path.insert(0, {str(library)!r})\n{install}from sandbox_guest import {module}\n{call}\n"
    (library / f"{name}.py").write_text(lines, encoding="utf-8")


def write_program(path: Path, script: Path, arguments: tuple[str, ...]) -> None:
    """Write a program that starts the interpreter, alone and without site packages."""
    words = " ".join(shlex.quote(one) for one in (*interpreter(), str(script), *arguments))
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def interpreter() -> tuple[str, ...]:
    """Return the command that starts this Python without environment, site packages and bytecode files."""
    return (sys.executable, "-I", "-S", "-B")

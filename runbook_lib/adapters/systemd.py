"""systemd, asked about calendar expressions; nothing is installed or started. Not every machine has it."""

from __future__ import annotations

import shutil
import subprocess

from runbook_lib.errors import ParameterError

_PROGRAM = "systemd-analyze"
_TIMEOUT_S = 10
_NEXT = "Next elapse: "


def next_elapse(calendar: str) -> str:
    """Return when a calendar expression is due next.

    Args:
        calendar: As systemd.time(7) writes it.

    Returns:
        The moment in systemd's words, or "" where there is no systemd that could tell.

    Raises:
        ParameterError: when systemd does not understand it.

    Source: systemd-analyze(1), `calendar`.
    """
    if shutil.which(_PROGRAM) is None:
        return ""
    try:
        done = subprocess.run(
            [_PROGRAM, "calendar", "--", calendar], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
        raise ParameterError([f"--on-calendar: {done.stderr.strip() or calendar}. Fix: see `man systemd.time`"])
    return next((line.partition(_NEXT)[2].strip() for line in done.stdout.splitlines() if _NEXT in line), "")

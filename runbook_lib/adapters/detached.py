"""A command that goes on when the process is gone that started it. Its output is kept for whoever still looks."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence


class Detached:
    """A started command, in a session of its own.

    Args:
        argv: Program and arguments.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the command
        self._process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

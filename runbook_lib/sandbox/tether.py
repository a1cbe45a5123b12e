"""Run a command that the kernel ends with its starter, even after SIGKILL: ``python tether.py STARTER_PID COMMAND...``.

Run as a file, not as a module, so that nothing is imported before the tether holds. It becomes the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Tie this process to its starter, then become the command."""
    starter, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != starter:  # it died before the tether held
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()

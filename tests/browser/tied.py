"""Run a command until standard input ends, then interrupt it as Ctrl-C does: who dies before leaves nothing running.

The command has a terminal of its own: only where it has one does Jupyter's server end its kernels at Ctrl-C.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

if __name__ == "__main__":
    _master, terminal = pty.openpty()
    child = subprocess.Popen(sys.argv[1:], stdin=terminal, start_new_session=True)
    sys.stdin.read()
    os.killpg(child.pid, signal.SIGINT)
    sys.exit(child.wait())

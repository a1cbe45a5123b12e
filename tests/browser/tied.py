"""Run a command until standard input ends, then interrupt it as Ctrl-C does: who dies before leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

if __name__ == "__main__":
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    sys.stdin.read()
    os.killpg(child.pid, signal.SIGINT)
    sys.exit(child.wait())

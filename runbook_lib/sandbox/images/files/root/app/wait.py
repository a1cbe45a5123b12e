# ruff: noqa: INP001 - a file of a container image, alone in its folder
"""Do nothing until SIGTERM: a container to look at files with."""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()

# ruff: noqa: INP001 - a file of a container image, alone in its folder
"""Say what is in a folder whenever that changes, and write nothing there, until SIGTERM."""

import os
import pathlib
import signal
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
said = ""
while True:
    names = sorted(path.name for path in pathlib.Path(os.environ["LIBRARY"]).iterdir())
    text = f"sees {', '.join(names)}"
    if text != said:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        said = text
    time.sleep(0.5)

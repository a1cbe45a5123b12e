"""One Terraform process: started so that it outlives no one, read line by line, stopped so that it saves its state."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from runbook_lib.adapters import terraform_install as install
from runbook_lib.errors import TerraformError

_STOP_TIMEOUT_S = 900
_POLL_S = 0.1


def start(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start Terraform in a session of its own: a terminal's Ctrl-C reaches us, and we hand it on once.

    It prints into files: a pipe would break with this process, and SIGPIPE would end it before it saved its state.
    """
    try:
        return subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            preexec_fn=install.interrupt_with_parent(),  # noqa: PLW1509 - one system call
        )
    except OSError as error:
        raise TerraformError(argv[1], [f"{argv[0]}: {error}; {install.how_to_install()}"]) from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt Terraform once and wait until it has saved its state."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def lines(process: subprocess.Popen[bytes], output: IO[bytes]) -> Iterator[str]:
    """Yield each whole line that a process appends to its output file, until it has ended."""
    position, partial, ended = 0, b"", False
    while not ended:
        try:
            process.wait(timeout=_POLL_S)
            ended = True  # and one more look at the file, so that nothing is missed
        except subprocess.TimeoutExpired:
            ended = False
        while chunk := os.pread(output.fileno(), 1 << 16, position):
            position += len(chunk)
            *whole, partial = (partial + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
    if partial:
        yield partial.decode(errors="replace")


def text_of(stream: IO[bytes]) -> str:
    """Return all that was written to a file, as text."""
    stream.seek(0)
    return stream.read().decode(errors="replace")

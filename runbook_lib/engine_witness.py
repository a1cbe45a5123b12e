"""A process that outlives the engine: when the engine is killed, it puts the output notebook right at once.

Starts and ends that one process, on Linux, for notebooks that are files. Where it cannot be, or dies too, the next
command on the run does the same from the journal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from runbook_lib import journal_notebook


@contextlib.contextmanager
def witness(output: str | None) -> Iterator[None]:
    """Have a notebook's file put right should this process be killed before the block ends.

    Args:
        output: The output notebook's path; a URL or None has no witness.

    Yields:
        Nothing.
    """
    if not output or "://" in output or sys.platform != "linux":
        yield
        return
    reads, writes = os.pipe()  # no child inherits them: the kernel must not keep the witness waiting
    argv = [sys.executable, "-I", "-S", journal_notebook.__file__, str(Path(output).resolve())]
    try:
        # a session of its own: what ends this process and its group does not end it
        pid = os.posix_spawn(argv[0], argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, reads, 0)], setsid=True)
    finally:
        os.close(reads)
    try:
        yield
    finally:  # whatever ended the notebook, the engine wrote it down; a killed engine does not come here
        with contextlib.suppress(BrokenPipeError):
            os.write(writes, journal_notebook.AT_REST)
        os.close(writes)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

"""The standard input, output and error of one process, written and read until they end. Touches only its own pipes."""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress

CHUNK = 1 << 16


class Pipes:
    """Three pipes to a process.

    Args:
        stdin: What the process shall read.
    """

    def __init__(self, stdin: bytes) -> None:
        self._left = memoryview(stdin)
        self._chunks: dict[int, list[bytes]] = {}
        their_stdin, self._stdin = os.pipe()
        self._stdout, their_stdout = os.pipe()
        self._stderr, their_stderr = os.pipe()
        self.theirs = {"stdin": their_stdin, "stdout": their_stdout, "stderr": their_stderr}
        self._mine = {self._stdin, self._stdout, self._stderr}

    def close_theirs(self) -> None:
        """Close the ends that the process has by now."""
        for descriptor in self.theirs.values():
            os.close(descriptor)

    def close(self) -> None:
        """Close what is still open."""
        for descriptor in self._mine:
            os.close(descriptor)
        self._mine.clear()

    def texts(self) -> tuple[bytes, bytes]:
        """Return what the process printed, and what it printed as errors."""
        return b"".join(self._chunks.get(self._stdout, [])), b"".join(self._chunks.get(self._stderr, []))

    def talk(self, deadline: float) -> None:
        """Write and read until nobody holds the other ends any more.

        Args:
            deadline: Until when, on the monotonic clock.

        Raises:
            TimeoutError: It passed.
        """
        with selectors.DefaultSelector() as ready:
            for descriptor in (self._stdout, self._stderr):
                ready.register(descriptor, selectors.EVENT_READ)
            if self._left:
                os.set_blocking(self._stdin, False)
                ready.register(self._stdin, selectors.EVENT_WRITE)
            else:
                self._end(self._stdin)
            while ready.get_map():
                found = ready.select(max(0.0, deadline - time.monotonic()))
                for key, _ in found:
                    if not self._move(key.fd):
                        ready.unregister(key.fd)
                        self._end(key.fd)
                if not found and time.monotonic() >= deadline:
                    raise TimeoutError

    def _move(self, descriptor: int) -> bool:
        """Write or read some; return False at the end."""
        if descriptor != self._stdin:
            chunk = os.read(descriptor, CHUNK)
            self._chunks.setdefault(descriptor, []).append(chunk)
            return bool(chunk)
        with suppress(BlockingIOError):
            try:
                self._left = self._left[os.write(descriptor, self._left[:CHUNK]) :]
            except BrokenPipeError:
                return False
        return bool(self._left)

    def _end(self, descriptor: int) -> None:
        os.close(descriptor)
        self._mine.discard(descriptor)

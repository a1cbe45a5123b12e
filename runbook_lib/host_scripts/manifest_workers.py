"""Forked workers, one per core, that take numbers of pieces of work from a pipe.

A single piece of work is done by this very process. What a worker refuses, or how it died, becomes one refusal here.
Changes nothing but what the work changes; ends only the processes it forked.
"""

from __future__ import annotations

import os
import signal
import struct
from typing import Callable

from prelude import Refused

MOST = 64
LONGEST_PROBLEM = 4096  # a pipe takes as much at once


def worker_count(count: int | None) -> int:
    """Return how many workers there are: as many as asked for, else one per core."""
    return min(int(count or len(os.sched_getaffinity(0))), MOST)


class Workers:
    """Workers that do pieces of work while more are given.

    Args:
        count: How many; None for one per core.
        work: Called with each number, in a worker; it must keep its results in files.
    """

    def __init__(self, count: int | None, work: Callable) -> None:
        self.count = worker_count(count)
        self.work = work
        self.first = None
        self.children = []
        self.give_end = -1

    def __enter__(self) -> Workers:  # noqa: PYI034 - Python 3.7 has no Self
        """Be ready for work."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Wait for the end of the work; after an error end the workers at once."""
        try:
            if kind is None:
                self.finish()
        finally:
            self.abandon()

    def give(self, number: int) -> None:
        """Hand one piece of work over; the first waits until there is a second, or until the end."""
        if self.count <= 1:
            self.work(number)
        elif self.children:
            self.send(number)
        elif self.first is None:
            self.first = number
        else:
            self.fork()
            self.send(self.first)
            self.send(number)

    def send(self, number: int) -> None:
        """Write a number into the pipe; workers that all died are told about at the end."""
        try:
            os.write(self.give_end, struct.pack("=q", number))
        except BrokenPipeError:
            self.finish()
            raise

    def fork(self) -> None:
        """Start the workers."""
        take_end, self.give_end = os.pipe()
        giver = os.getpid()
        for _ in range(self.count):
            told, tell = os.pipe()
            pid = os.fork()
            if not pid:
                os.close(self.give_end)
                take(take_end, self.work, tell, giver)
            os.close(tell)
            self.children.append((pid, told))
        os.close(take_end)

    def finish(self) -> None:
        """Wait until every piece of work is done; refuse with what went wrong."""
        if not self.children and self.first is not None:
            self.work(self.first)
        if self.give_end >= 0:
            os.close(self.give_end)
            self.give_end = -1
        problems = []
        for pid, told in self.children:
            status, problem = os.waitpid(pid, 0)[1], os.read(told, LONGEST_PROBLEM).decode("utf-8", "replace")
            os.close(told)
            if status:
                problems.append(problem or "a worker ended with status %d" % status)
        self.children, self.first = [], None
        if problems:
            raise Refused("read-error", "; ".join(sorted(set(problems))))

    def abandon(self) -> None:
        """End the workers at once: what they would do is not needed any more."""
        for pid, told in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(told)
        self.children = []


def take(take_end: int, work: Callable, tell: int, giver: int) -> None:
    """Do pieces of work until the pipe is closed, then end this process.

    It ends as well, with what it is at, when the giver was killed: all that waits in the pipe may take hours, and
    meanwhile the volume would be busy.
    """
    code, problem = 1, ""
    try:
        for number in iter(lambda: os.read(take_end, 8), b""):
            if os.getppid() != giver:
                break
            work(struct.unpack("=q", number)[0])
        code = 0
    except Refused as refusal:
        problem = refusal.message
    except BaseException:  # noqa: BLE001 - a defect in a worker must reach the caller
        import traceback  # noqa: PLC0415 - a worker that has none must not wait for it

        problem = traceback.format_exc()[-2000:]
    finally:
        os.write(tell, problem.encode("utf-8", "surrogateescape")[:LONGEST_PROBLEM])
        os._exit(code)

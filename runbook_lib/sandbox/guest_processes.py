"""Start processes of hosts and containers through the fork server, and learn how they ended.

Starts one server process for a sandbox, and through it guest processes. A process is a real one with an id, a session
and a command line of its own; only its parent is the server.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook_lib.sandbox.guest_files import interpreter
from runbook_lib.sandbox.pipes import Pipes
from runbook_lib.sandbox.processes import CommandResult, kill_session

MESSAGE = struct.Struct("=ci")
BEGAN, REFUSED, ENDED = b"P", b"E", b"X"
KILLED = -9
ROOM_FOR_ARGUMENTS, ROOM_FOR_ENVIRONMENT = "-" * 2000, "-" * 8000
ENDS_S = 5.0


class GuestProcess:
    """One started process.

    Args:
        pid: Its id.
        answer: Where the server says how it ended.
    """

    def __init__(self, pid: int, answer: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._answer = answer
        self._reading = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._ended_within(0)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it has ended and return its exit code.

        Raises:
            subprocess.TimeoutExpired: The time passed.
        """
        code = self._ended_within(timeout_s)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout_s or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended_within(self, timeout_s: float | None) -> int | None:
        if self.returncode is not None:
            return self.returncode
        waiting = select.poll()
        with self._reading:  # another thread may have read the answer, and closed it, meanwhile
            if self.returncode is not None:
                return self.returncode
            waiting.register(self._answer, select.POLLIN)
        if not waiting.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        with self._reading:
            if self.returncode is None:
                kind, number = _message(self._answer)
                if kind != ENDED:  # the server has gone, and nobody will tell
                    kill_session(self.pid)
                self.returncode = number if kind == ENDED else KILLED
                self._answer.close()
        return self.returncode


class ForkServer:
    """The fork server of one sandbox.

    Args:
        guest_dir: The folder with the guest's Python.
        state_dir: Below which guests may write.
        api: Address and port of the sandbox's server.
    """

    def __init__(self, guest_dir: Path, state_dir: Path, api: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(guest_dir / "lib" / "forks.py")
        with theirs:
            self._process = subprocess.Popen(
                [*interpreter(), script, str(theirs.fileno()), ROOM_FOR_ARGUMENTS],
                env={
                    "LANG": "C.UTF-8",
                    "RUNBOOK_SANDBOX_API": api,
                    "RUNBOOK_SANDBOX_STATE": str(state_dir),
                    "RUNBOOK_SANDBOX_ROOM": ROOM_FOR_ENVIRONMENT,
                },
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start_process(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: int, stdout: int, stderr: int
    ) -> GuestProcess:
        """Start one of the guest's own programs, in a session of its own.

        Args:
            argv: Its real path in the folder of programs, and arguments.
            env: Its whole environment, the guest's marks in it.
            cwd: Real folder to start in.
            stdin: Descriptor of its standard input.
            stdout: Descriptor of its standard output.
            stderr: Descriptor of its standard error.

        Raises:
            OSError: It could not be started.
        """
        text = marshal.dumps([list(argv), dict(env), str(cwd)])
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                socket.send_fds(self._control, [b"+"], [stdin, stdout, stderr, theirs.fileno()])
            mine.sendall(len(text).to_bytes(4, "little") + text)
        except OSError:
            mine.close()
            raise
        kind, number = _message(mine)
        if kind == BEGAN:
            return GuestProcess(number, mine)
        mine.close()
        if kind == REFUSED:
            raise OSError(number, os.strerror(number), str(cwd))
        raise ChildProcessError(errno.ECHILD, "the process ended before it began", argv[0])

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout_s: float, stdin: bytes = b""
    ) -> CommandResult:
        """Run a program to its end, in a session of its own.

        Args:
            argv: Real program and arguments.
            env: Its whole environment.
            cwd: Real folder to start in.
            timeout_s: How long it may take.
            stdin: What it reads.

        Raises:
            TimeoutError: The time passed; the program and its session were killed.
        """
        started = time.monotonic()
        pipes = Pipes(stdin)
        try:
            process = self.start_process(argv, env=env, cwd=cwd, **pipes.theirs)
        finally:
            pipes.close_theirs()
        try:
            pipes.talk(started + timeout_s)
            code = process.wait(max(0.0, started + timeout_s - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            kill_session(process.pid)
            process.wait()
            raise TimeoutError(f"the command did not end within {timeout_s:g} s and was killed") from None
        finally:
            pipes.close()
        stdout, stderr = (text.decode(errors="replace") for text in pipes.texts())
        return CommandResult(stdout, stderr, code if code >= 0 else 128 - code, time.monotonic() - started)

    def close(self) -> None:
        """End the server; its children are the lifeline's."""
        self._control.close()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _message(answer: socket.socket) -> tuple[bytes, int]:
    """Read one message; one of kind "" when the server or the child has gone."""
    try:
        text = answer.recv(MESSAGE.size, socket.MSG_WAITALL)
    except OSError:
        text = b""
    if len(text) < MESSAGE.size:
        return b"", 0
    kind, number = MESSAGE.unpack(text)
    return kind, number

"""Start guest processes by forking an interpreter that has imported what they need: a tenth of a new one's start.

The daemon hands over standard input, output and error and one end of a socket pair. A forked child reads from it what
it shall run, says that it begins, and runs it as the guest's process, in a session of its own; the server says there
how it ended. Starts and reaps children; writes nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import marshal
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress

from . import children, client, proc_text, run, tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# What the host scripts and the images import; each is imported after the mapping is in place, as a guest would.
MODULES = (
    "base64", "datetime", "fcntl", "functools", "glob", "gzip", "hashlib", "http.client", "http.server", "io", "json",
    "platform", "re", "shutil", "sqlite3", "stat", "struct", "subprocess", "tempfile", "traceback", "typing",
    "urllib.parse", "urllib.request", "uuid", "zlib",
)  # fmt: skip
MESSAGE = struct.Struct("=ci")
BEGAN, REFUSED, ENDED = b"P", b"E", b"X"
DESCRIPTORS = 4
INTERRUPTED, UNWRITTEN = 130, 120

_posix_chdir = os.chdir  # before the mapping is in place


def main(arguments: list[str]) -> None:
    """Answer requests until the daemon closes its end; a forked child ends in here.

    Args:
        arguments: The descriptor of the control socket, and room for command lines.
    """
    control = socket.socket(fileno=int(arguments[0]))
    files = run.prepare()
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    descriptors = serve(control)
    control.detach()
    if descriptors:
        be_guest(files, *descriptors)


def serve(control: Any) -> list[int]:
    """Fork a child for every request.

    Returns:
        In a child the descriptors it got; in the server nothing, when the daemon has closed its end.
    """
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    answers: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if woken in ready:
            os.read(woken, 4096)
            reap(answers)
        if control.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(control, 1, DESCRIPTORS)
            if not data:
                return []
            pid = os.fork()
            if not pid:
                return descriptors
            answers[pid] = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)


def reap(answers: dict[int, int]) -> None:
    """Tell of every child that has ended how it did."""
    while answers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        tell(answers[pid], ENDED, os.waitstatus_to_exitcode(status))
        os.close(answers.pop(pid))


def tell(answer: int, kind: bytes, number: int) -> None:
    """Write one message; a daemon that does not listen any more is not told."""
    with suppress(OSError):
        os.write(answer, MESSAGE.pack(kind, number))


def be_guest(files: Any, stdin: int, stdout: int, stderr: int, answer: int) -> NoReturn:
    """Become what the daemon asks for, run it, and end this process."""
    size = int.from_bytes(os.read(answer, 4), "little")
    text = b""
    while len(text) < size:
        text += os.read(answer, size - len(text))
    argv, environment, folder = marshal.loads(text)  # noqa: S302 - from the daemon, over its own socket
    try:
        client.take_place((stdin, -1, -1, stdout, -1, stderr, -1, -1), new_session=True, keep=answer)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        proc_text.show(argv, {**{name: environment[name] for name in children.MARKS}, **environment})
        _posix_chdir(folder)
    except OSError as error:
        tell(answer, REFUSED, error.errno or 1)
        os._exit(1)
    tell(answer, BEGAN, os.getpid())
    os.close(answer)
    end(lambda: run_program(files, argv))


def run_program(files: Any, argv: list[str]) -> Any:
    """Run one of the guest's programs in this interpreter."""
    folder, _, name = argv[0].rpartition("/")
    if folder.endswith("/" + client.PROGRAMS) and not name.startswith("python"):
        return client.main([name, *argv[1:]])
    run.enter(files)
    return run.main(argv[1:]) if name.startswith("python") else tools.main([name, *argv[1:]])


def end(program: Callable[[], Any]) -> NoReturn:
    """Run a program and end the process as an interpreter does."""
    code: Any = 0
    try:
        code = program()
    except SystemExit as stop:
        code = stop.code
        if code is not None and not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException as error:  # noqa: BLE001 - as an interpreter ends that nobody catches
        sys.excepthook(*sys.exc_info())
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001 - its output could not be written
        client.failed(f"{error}\n")
        code = code or UNWRITTEN
    finally:
        os._exit((code or 0) & 255)

"""Every host command but Python: send the arguments to the sandbox and print its answer.

One connection, no heavy imports. The answer carries exit code, output and errors. A guest's Python forks itself for
such a command, which costs a tenth of another interpreter's start.
"""

from __future__ import annotations

import _socket
import binascii
import os

from . import lifeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

UNREACHABLE = 125
PROGRAMS = "host-bin"
# What follows the folder and the environment among the arguments of _posixsubprocess.fork_exec, since Python 3.11.
PIPES, NEW_SESSION, SPECIAL = slice(0, 8), 9, slice(10, 16)
NOTHING_SPECIAL = [-1, None, None, None, -1, None]  # process group, group, groups, user, umask, function to call

_getcwd, _chdir, _listdir, _access = os.getcwd, os.chdir, os.listdir, os.access  # before the mapping is in place


def main(arguments: list[str]) -> int:
    """Run one host command; return its exit code.

    Args:
        arguments: The command's name and its arguments.
    """
    view = os.environ["RUNBOOK_SANDBOX_VIEW"]
    instance_id = os.environ["RUNBOOK_SANDBOX_HOST"].rpartition("/")[2]
    stdin = read_all(0) if wants_stdin(arguments) else b""
    head = [instance_id, view, _getcwd(), str(len(arguments)), *arguments]
    body = b"\0".join(os.fsencode(one) for one in head) + b"\0" + stdin
    try:
        answer = post(f"/_sandbox/hosts/{instance_id}/call", body)
    except OSError as error:
        return failed(f"{arguments[0]}: the sandbox does not answer: {error}\n")
    try:
        first, _, rest = binascii.a2b_base64(answer.partition(b'"answer"')[2].split(b'"')[1]).partition(b"\n")
        code, length = (int(one) for one in first.split())
    except (ValueError, IndexError):
        return failed(f"{arguments[0]}: the sandbox answered: {answer[:400].decode(errors='replace')}\n")
    write(1, rest[:length])
    write(2, rest[length:])
    return code


def can_fork(command: Sequence[str], folder: Any, options: Sequence[Any]) -> bool:
    """Return whether a child is a command of the host, started in the ordinary way, in a folder that is there.

    Args:
        command: Its real argument list.
        folder: Real folder to start in, or None to stay.
        options: What ``_posixsubprocess.fork_exec`` gets after folder and environment.
    """
    programs, _, name = command[0].rpartition("/")
    is_command = programs.endswith("/" + PROGRAMS) and not name.startswith("python")
    return is_command and list(options[SPECIAL]) == NOTHING_SPECIAL and (folder is None or _access(folder, os.X_OK))


def fork(command: Sequence[str], folder: Any, options: Sequence[Any], marks: Mapping[str, str]) -> int:
    """Start a host command as a forked child, with its pipes where an executed program would have them.

    Args:
        command: Its real argument list.
        folder: Real folder to start in, or None to stay.
        options: What ``_posixsubprocess.fork_exec`` gets after folder and environment.
        marks: The environment that makes it a process of this guest.

    Returns:
        Its process id.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        take_place(options[PIPES], new_session=bool(options[NEW_SESSION]))
        if folder is not None:
            _chdir(folder)
        os.environ.update(marks)
        code = main([command[0].rpartition("/")[2], *command[1:]])
    except BaseException as error:  # noqa: BLE001 - nothing of the parent's program may run here
        code = failed(f"{command[0]}: {type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def take_place(pipes: Sequence[int], *, new_session: bool, keep: int = -1) -> None:
    """Do to a forked child what happens to one that executes a program: its pipes, its signals, nothing else open.

    Args:
        pipes: As ``_posixsubprocess.fork_exec`` gets them.
        new_session: Whether it leads a session of its own.
        keep: A descriptor that stays open.
    """
    import signal  # noqa: PLC0415 - 3 ms, and an executed command needs it not

    stdin, _, _, stdout, _, stderr, _, _ = pipes
    for target, descriptor in enumerate([os.dup(one) if 0 <= one <= 2 else one for one in (stdin, stdout, stderr)]):  # noqa: PLR2004
        if descriptor >= 0:
            os.dup2(descriptor, target)
    if new_session:
        os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    close_others(keep)


def close_others(keep: int) -> None:
    """Close every descriptor but standard input, output and error, one more, and the lifeline."""
    for name in _listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep and not lifeline.is_held(int(name)):  # noqa: PLR2004 - the standard ones
            try:
                os.close(int(name))
            except OSError:  # that of the listing itself
                continue


def wants_stdin(arguments: list[str]) -> bool:
    """Return whether the command reads its standard input: ``docker exec -i`` and nothing else."""
    return arguments[:2] == ["docker", "exec"] and any(one in {"-i", "--interactive"} for one in arguments[2:4])


def post(path: str, body: bytes) -> bytes:
    """Send the call in base64, as JSON without the ``json`` module; return the body of the answer."""
    host, _, port = os.environ["RUNBOOK_SANDBOX_API"].partition(":")
    connection: Any = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.connect((host, int(port)))
    body = b'{"call": "' + binascii.b2a_base64(body, newline=False) + b'"}'
    head = f"POST {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    chunks = []
    while chunk := connection.recv(1 << 16):
        chunks.append(chunk)
    connection.close()
    return b"".join(chunks).partition(b"\r\n\r\n")[2]


def read_all(descriptor: int) -> bytes:
    """Return everything up to the end of a file."""
    chunks = []
    while chunk := os.read(descriptor, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def write(descriptor: int, data: bytes) -> None:
    """Write everything, however often it takes."""
    while data:
        data = data[os.write(descriptor, data) :]


def failed(text: str) -> int:
    """Write an error; return the exit code of a command that could not ask."""
    write(2, text.encode(errors="surrogateescape"))
    return UNREACHABLE

"""Start child processes as the guest means them: its programs, its folders, its marks; signal only its own.

Changes only this process: ``_posixsubprocess.fork_exec``, ``os.exec*``, ``os.posix_spawn*`` and ``os.kill``.
"""

from __future__ import annotations

import _posixsubprocess
import errno
import os
import posix

from . import client
from .files import Files
from .programs import command_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MARKS = ("RUNBOOK_SANDBOX_HOST", "RUNBOOK_SANDBOX_VIEW", "RUNBOOK_SANDBOX_API", "RUNBOOK_SANDBOX_STATE")


marks: dict[str, str] = {}
"""What makes a process one of this guest; in every environment that a child gets."""


def install(files: Files) -> None:
    """Replace the functions that start or signal processes.

    Args:
        files: The path mapping of this process, which knows the guest's processes too.
    """
    _posixsubprocess.fork_exec = _fork_exec(_posixsubprocess.fork_exec, files)
    for name in ("execv", "posix_spawn", "posix_spawnp", "execve"):
        replacement = _exec(getattr(posix, name), files, has_env=name != "execv")
        setattr(posix, name, replacement)
        setattr(os, name, replacement)
    for name in ("kill", "killpg"):
        replacement = _kill(getattr(posix, name), files)
        setattr(posix, name, replacement)
        setattr(os, name, replacement)


def enter() -> None:
    """Take this process's marks from its environment, for its children."""
    marks.update({name: os.environ[name] for name in MARKS})


def _fork_exec(original: Callable[..., Any], files: Files) -> Callable[..., Any]:
    def fork_exec(args: Any, executables: Any, close_fds: Any, pass_fds: Any, *rest: Any) -> Any:
        cwd, env, *others = rest
        argv = [os.fsdecode(one) for one in args]
        command = _first_that_runs(files, [os.fsdecode(one) for one in executables], argv)
        folder = None if cwd is None else files.real(cwd)
        if command is not None and client.can_fork(command, folder, others):
            return client.fork(command, folder, others, marks)
        if command is not None:
            args, executables = [os.fsencode(one) for one in command], (os.fsencode(command[0]),)
        else:
            executables = (b"/nonexistent",)
        if env is not None:
            env = [line for line in env if line.partition(b"=")[0].decode() not in marks]
            env += [f"{name}={value}".encode() for name, value in marks.items()]
        return original(args, executables, close_fds, pass_fds, folder, env, *others)

    return fork_exec


def _first_that_runs(files: Files, candidates: list[str], argv: list[str]) -> list[str] | None:
    """Return the command of the first candidate that exists; refuse one that would run unmapped."""
    for shown in candidates:
        try:
            return command_for(files.real(shown), shown, argv, str(files.view.data["bin"]))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


def _exec(original: Callable[..., Any], files: Files, *, has_env: bool) -> Callable[..., Any]:
    def replacement(path: Any, argv: Any, *rest: Any, **options: Any) -> Any:
        shown = os.fsdecode(path)
        command = command_for(files.real(shown), shown, [os.fsdecode(one) for one in argv], str(files.view.data["bin"]))
        if has_env:
            rest = ({**rest[0], **marks}, *rest[1:])
        return original(command[0], command, *rest, **options)

    return replacement


def _kill(original: Callable[..., Any], files: Files) -> Callable[..., Any]:
    def kill(pid: int, signal: int) -> None:
        if pid <= 0 or not files.processes.is_ours(pid):
            raise ProcessLookupError(errno.ESRCH, "No such process")
        original(pid, signal)

    return kill

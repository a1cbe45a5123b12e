"""What a command of a simulated host gets and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host


@dataclass(frozen=True)
class Call:
    """One call of a command.

    Args:
        host: Where.
        arguments: What follows the command's name.
        cwd: Folder on the host it was called in.
        stdin: What it can read.
    """

    host: Host
    arguments: list[str]
    cwd: str = "/"
    stdin: bytes = b""

    def rest(self, count: int = 1) -> Call:
        """Return the call without its first arguments, for a sub-command."""
        return Call(self.host, self.arguments[count:], self.cwd, self.stdin)


Command = Callable[[Call], CommandResult]


def printed(text: str, exit_code: int = 0) -> CommandResult:
    """Return a result with standard output."""
    return CommandResult(text, "", exit_code)


def failed(text: str, exit_code: int = 1) -> CommandResult:
    """Return a result with an error line."""
    return CommandResult("", text if text.endswith("\n") else text + "\n", exit_code)

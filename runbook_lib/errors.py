"""The exceptions of this package, one class per way a runbook can end badly.

::

    RunbookError                 exit code
    ├─ ParameterError            2   nothing was contacted
    ├─ JournalError              3   the run folder contradicts the request
    │  └─ LeaseError             3   another run holds the volume, or nobody can tell who does
    ├─ StepError                     raised by ``steps.perform``
    │  ├─ CheckError             3   nothing changed; carries every failed check
    │  │  └─ ConfirmationError   3   a person at the keyboard has not typed the service's name
    │  ├─ ForbiddenChangeError   3   nothing changed; the Terraform plan holds what the guard refuses
    │  ├─ ObservationError       3   nothing changed; could not look
    │  ├─ ActionError            4   the act failed; something may have changed
    │  └─ VerificationError      4   the act ran; the world never became what was expected
    ├─ OutsideError                  raised by adapters; the ``__cause__`` of the above
    │  ├─ AwsError
    │  │  └─ AccessDeniedError     AWS does not permit it; the call itself changed nothing
    │  ├─ TerraformError
    │  ├─ HostCommandError
    │  ├─ SignatureError
    │  └─ TakenBackError             what an act had begun was taken back
    ├─ SandboxError              3   the local sandbox cannot start, or is not what was asked for
    └─ NotebookError             5   the notebook or its kernel failed

This module imports nothing of the package and touches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class RunbookError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code: ClassVar[int] = 4

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook's cell shows: the message alone; where the code raised it helps nobody there."""
        return f"{type(self).__name__}: {self}".splitlines()


class ParameterError(RunbookError):
    """One or more parameters break a rule; nothing was contacted.

    Args:
        problems: One text per problem, each naming file, key, value, rule and fix.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 parameter problem" if count == 1 else f"{count} parameter problems"
        super().__init__(f"{head}; nothing was contacted:\n" + "\n".join(f"  - {p}" for p in self.problems))


class JournalError(RunbookError):
    """The run folder contradicts the request, is damaged, or another run holds it."""

    exit_code = 3


class LeaseError(JournalError):
    """The lease on the volume is held by another run, was lost, or cannot be read or written; no act happens."""


class StepError(RunbookError):
    """A step did not reach its end.

    Args:
        step_id: The step, which is also the id of its notebook cell.
        message: What was expected, what was observed and what to do next.
        changed: ``no``, ``maybe`` or ``yes``: whether the world was altered.
    """

    changed: str = "maybe"

    def __init__(self, step_id: str, message: str) -> None:
        self.step_id = step_id
        self.message = message
        super().__init__(f"{step_id}: {message}\nChanged: {self.changed}.")


class CheckError(StepError):
    """At least one check failed; nothing was changed."""

    exit_code = 3
    changed = "no"


class ConfirmationError(CheckError):
    """A step cannot be taken back, and its operator has not typed the service's name; nothing was changed."""


class ForbiddenChangeError(StepError):
    """The Terraform plan contains a change that the guard refuses; nothing was changed."""

    exit_code = 3
    changed = "no"


class ObservationError(StepError):
    """The step could not look at the world; nothing was changed."""

    exit_code = 3
    changed = "no"


class ApprovalError(StepError):
    """The policy wants an approval that is not there, was given for something else, or is over; nothing was changed."""

    exit_code = 6
    changed = "no"


class ActionError(StepError):
    """The act failed; something may have changed.

    Args:
        step_id: The step.
        message: What failed.
        changed: `no` when the act was taken back.
    """

    exit_code = 4

    def __init__(self, step_id: str, message: str, changed: str = "maybe") -> None:
        self.changed = changed
        super().__init__(step_id, message)


class VerificationError(StepError):
    """The act ran, but the world never became what the step verifies.

    Args:
        step_id: The step.
        message: What was expected and what was observed.
        changed: `no` when the act only waited.
    """

    exit_code = 4

    def __init__(self, step_id: str, message: str, changed: str = "yes") -> None:
        self.changed = changed
        super().__init__(step_id, message)


class RolledBackError(StepError):
    """A step failed, and the run took the service back by itself; the journal holds both."""

    exit_code = 4
    changed = "yes"


class OutsideError(RunbookError):
    """Something outside this process answered with an error; adapters raise its subclasses."""

    exit_code = 4
    changed = "maybe"


class TakenBackError(OutsideError):
    """What an act had begun could not be done, and was taken back.

    Args:
        message: What could not be done, how things are now, and what to do.
        changed: `no` when the world is as it was before the act; `yes` when something of it stays.
    """

    def __init__(self, message: str, changed: str = "no") -> None:
        self.changed = changed
        super().__init__(message)


class AwsError(OutsideError):
    """An AWS call failed.

    Args:
        operation: The API operation, for example ``DetachVolume``.
        code: The AWS error code, for example ``IncorrectState``, or the botocore class name.
        message: What AWS said, or what to do when no answer came.
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        self.operation = operation
        self.code = code
        super().__init__(f"{operation} failed: {code}: {message}")


class AccessDeniedError(AwsError):
    """AWS does not permit a call, which therefore changed nothing.

    Args:
        operation: As `AwsError`.
        code: As `AwsError`.
        message: What AWS said, what is missing and what to do.
        action: What is not permitted, for example ``ec2:DetachVolume``.
        resource: What it would have been done to, or "".
        principal: Who asked, or "".
    """

    codes: ClassVar[frozenset[str]] = frozenset(
        {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
    )
    """How EC2, the query and JSON services, and S3's HEAD, which has no body, say so."""

    def __init__(  # noqa: PLR0917 - one per fact that AWS tells
        self, operation: str, code: str, message: str, action: str, resource: str, principal: str
    ) -> None:
        self.action, self.resource, self.principal = action, resource, principal
        super().__init__(operation, code, message)


class TerraformError(OutsideError):
    """A Terraform command failed.

    Args:
        command: The subcommand, for example ``apply``.
        diagnostics: One text per error that Terraform printed.
    """

    def __init__(self, command: str, diagnostics: Sequence[str]) -> None:
        self.command = command
        self.diagnostics = tuple(diagnostics)
        super().__init__(f"terraform {command} failed: " + "; ".join(self.diagnostics))


class HostCommandError(OutsideError):
    """A script on a host failed, timed out or could not be delivered.

    Args:
        script: Name of the host script.
        instance_id: The host.
        message: What went wrong, with the end of its standard error.
        details: Facts the script reported, for example who holds a mount.
    """

    def __init__(self, script: str, instance_id: str, message: str, details: dict[str, Any] | None = None) -> None:
        self.script = script
        self.instance_id = instance_id
        self.details = details or {}
        super().__init__(f"{script} on {instance_id}: {message}")


class SignatureError(OutsideError):
    """A record could not be signed, or a signature could not be checked; the record itself is as it was."""


class SandboxError(RunbookError):
    """The local sandbox cannot do what was asked."""

    exit_code = 3


class NotebookError(RunbookError):
    """A notebook or its kernel failed outside any step.

    Args:
        cell_id: The cell that was running, or "" when none was.
        message: What happened and which cells never ran.
    """

    exit_code = 5

    def __init__(self, cell_id: str, message: str) -> None:
        self.cell_id = cell_id
        super().__init__(f"cell {cell_id or '(none)'}: {message}")

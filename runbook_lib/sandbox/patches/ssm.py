"""SSM Run Command that really runs on the host, and the list of hosts that are online.

moto answers Success at once with nothing in it. Here a command is delivered, runs as real processes, fails with its
own exit code, and its output is cut where AWS cuts it.
Source: Systems Manager API reference, SendCommand, GetCommandInvocation; user guide, "Understanding command statuses".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ssm.exceptions import SSMException
from moto.ssm.models import Command
from moto.ssm.responses import SimpleSystemManagerResponse

from runbook_lib.sandbox.backends import backend, install, operations
from runbook_lib.sandbox.patches.ssm_hosts import describe_instance_information, is_online, targets
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import CommandResult, World

_DOCUMENT = "AWS-RunShellScript"
_OUTPUT_LIMIT = 24_000  # Source: GetCommandInvocation: "the first 24,000 characters written by the plugin to stdout"
_ERROR_LIMIT = 8_000
_EXECUTION_TIMEOUT_S = 3600.0
_DELIVERY_TIMEOUT_S = 3600
_PAUSE_S = 0.1
_KILLED = 137


class Commands:
    """The commands sent to hosts.

    Args:
        world: Where the hosts are.
        transitions: Runs the commands.
    """

    def __init__(self, world: World, transitions: Transitions) -> None:
        self.held: list[Callable[[str, str], bool]] = []
        """Asked with instance and command before a command runs; one True lets it never start (a fault)."""
        self._world = world
        self._transitions = transitions

    def send(self, response: Any) -> Any:
        """Answer SendCommand; the command runs in a thread of its own."""
        document, parameters = response._get_param("DocumentName"), response._get_param("Parameters", {})
        if document != _DOCUMENT:
            raise SSMException("InvalidDocument", f"Document with name {document} does not exist.")
        if not parameters.get("commands"):
            raise SSMException("InvalidParameters", "The parameter commands is required.")
        instance_ids = list(response._get_param("InstanceIds", []))
        offline = [one for one in instance_ids if not is_online(self._world, one)]
        if offline:
            message = f"Instances [[{', '.join(offline)}]] not in a valid state for account {self._world.account_id}"
            raise SSMException("InvalidInstanceId", message)
        instance_ids += targets(self._world, response._get_param("Targets", []))
        command = self._new_command(response, document, parameters, instance_ids)
        for invocation in command.invocations:
            self._transitions.later(0, partial(self._run, command, invocation))
        return ActionResult({"Command": command.response_object()})

    def invocation(self, response: Any) -> Any:
        """Answer GetCommandInvocation."""
        command_id, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
        command = response.ssm_backend.get_command_by_id(command_id)
        found = command.get_invocation(instance_id, None)
        if not found.get("Delivered"):
            # Source: the invocation is not there yet right after SendCommand; callers have to ask again.
            raise SSMException("InvocationDoesNotExist", f"no invocation of {command_id} on {instance_id} yet")
        return ActionResult(found)

    def invocations(self, response: Any) -> Any:
        """Answer ListCommandInvocations."""
        command_id, instance_id = response._get_param("CommandId"), response._get_param("InstanceId")
        found = [
            invocation | {"TraceOutput": invocation["StandardOutputContent"][:2500]}
            for command in response.ssm_backend.list_commands(command_id, instance_id)
            for invocation in command.invocations
            if invocation.get("Delivered") and instance_id in {None, invocation["InstanceId"]}
        ]
        return ActionResult({"CommandInvocations": found})

    def cancel(self, response: Any) -> Any:
        """Answer CancelCommand: what has not started does not start any more."""
        command = response.ssm_backend.get_command_by_id(response._get_param("CommandId"))
        for invocation in command.invocations:
            if invocation["Status"] == "Pending":
                _finish(command, invocation, "Cancelled", "Cancelled")
        return EmptyResult()

    def _new_command(self, response: Any, document: str, parameters: Any, instance_ids: list[str]) -> Any:
        command = backend("ssm").send_command(
            comment=response._get_param("Comment", ""),
            document_name=document,
            timeout_seconds=response._get_int_param("TimeoutSeconds") or _DELIVERY_TIMEOUT_S,
            instance_ids=list(instance_ids),
            max_concurrency=response._get_param("MaxConcurrency", "50"),
            max_errors=response._get_param("MaxErrors", "0"),
            notification_config=response._get_param("NotificationConfig"),
            output_s3_bucket_name="",
            output_s3_key_prefix="",
            output_s3_region="",
            parameters=parameters,
            service_role_arn="",
            targets=[],
        )
        command.targets = response._get_param("Targets", [])
        command.status = command.status_details = "Pending"
        command.completed_count = 0
        for invocation in command.invocations:
            blank = {"ExecutionStartDateTime": "", "ExecutionEndDateTime": "", "ExecutionElapsedTime": ""}
            invocation.update(blank, Status="Pending", StatusDetails="Pending", ResponseCode=-1, Delivered=False)
        return command

    def _run(self, command: Any, invocation: dict[str, Any]) -> None:
        self._transitions.wait(self._world.latency.ssm_delivery_s)
        instance_id = invocation["InstanceId"]
        with self._world.lock:
            invocation["Delivered"] = True
        given_up = time.monotonic() + command.timeout_seconds
        while any(ask(instance_id, command.command_id) for ask in self.held) or not is_online(self._world, instance_id):
            if time.monotonic() > given_up:
                self._finish(command, invocation, "TimedOut", "DeliveryTimedOut")
                return
            if self._transitions.wait(_PAUSE_S) or invocation["Status"] != "Pending":
                return
        self._execute(command, invocation)

    def _execute(self, command: Any, invocation: dict[str, Any]) -> None:
        lines = [str(line) for line in command.parameters["commands"]]
        limit_s = float((command.parameters.get("executionTimeout") or [_EXECUTION_TIMEOUT_S])[0])
        with self._world.lock:
            invocation.update(Status="InProgress", StatusDetails="InProgress", ExecutionStartDateTime=_now())
            command.status = command.status_details = "InProgress"
        began = time.monotonic()
        try:
            result = self._world.run_command(invocation["InstanceId"], lines, limit_s)
        except TimeoutError:
            self._finish(command, invocation, "TimedOut", "ExecutionTimedOut", code=_KILLED, duration_s=limit_s)
            return
        except LookupError as error:
            # The host lost its power meanwhile; AWS hears no more of it and lets the command run into its timeout.
            self._transitions.wait(max(0.0, limit_s - (time.monotonic() - began)))
            invocation["StandardErrorContent"] = str(error)
            self._finish(command, invocation, "TimedOut", "Undeliverable", duration_s=limit_s)
            return
        _write_output(invocation, result)
        status = "Success" if result.exit_code == 0 else "Failed"
        self._finish(command, invocation, status, status, code=result.exit_code, duration_s=result.duration_s)

    def _finish(self, command: Any, invocation: dict[str, Any], *outcome: Any, **numbers: Any) -> None:
        with self._world.lock:
            _finish(command, invocation, *outcome, **numbers)


def apply(world: World, transitions: Transitions) -> Commands:
    """Put the calls into moto.

    Changes:
        Methods of moto's SSM response class, and one of its commands.
    """
    commands = Commands(world, transitions)
    # moto sends a command without Targets to every instance of the account as well.
    install(Command, "_get_instance_ids_from_targets", lambda _command: [])
    operations(
        SimpleSystemManagerResponse,
        send_command=commands.send,
        get_command_invocation=commands.invocation,
        list_command_invocations=commands.invocations,
        cancel_command=commands.cancel,
        describe_instance_information=lambda response: describe_instance_information(world, response),
    )
    return commands


def _write_output(invocation: dict[str, Any], result: CommandResult) -> None:
    invocation["StandardOutputContent"] = _cut(result.stdout, _OUTPUT_LIMIT)
    invocation["StandardErrorContent"] = _cut(result.stderr, _ERROR_LIMIT)


def _cut(text: str, limit: int) -> str:
    # Source: longer output ends with this mark, within the limit.
    mark = "\n---Output truncated---"
    return text if len(text) <= limit else text[: limit - len(mark)] + mark


def _finish(
    command: Any, invocation: dict[str, Any], status: str, details: str, *, code: int = -1, duration_s: float = 0.0
) -> None:
    invocation.update(Status=status, StatusDetails=details, ResponseCode=code, Delivered=True)
    if invocation["ExecutionStartDateTime"]:
        invocation.update(ExecutionEndDateTime=_now(), ExecutionElapsedTime=f"PT{duration_s:.3f}S")
    command.completed_count = sum(1 for one in command.invocations if one["Status"] not in {"Pending", "InProgress"})
    if command.completed_count == len(command.invocations):
        worst = next((one for one in command.invocations if one["Status"] != "Success"), invocation)
        command.status, command.status_details = worst["Status"], worst["StatusDetails"]
        command.error_count = sum(1 for one in command.invocations if one["Status"] == "Failed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Hosts, reached by SSM Run Command only.

Delivers the small scripts of `runbook_lib/host_scripts/` with their arguments as data and brings their JSON back.
Arguments never become shell text: script and arguments travel as base64, which has no shell meaning.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from runbook_lib import host_scripts
from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.clock import Clock
from runbook_lib.errors import AccessDeniedError, AwsError, HostCommandError

_LOADER = (
    "import base64,sys,zlib;n={'__name__':'host_script'};"
    "exec(compile(zlib.decompress(base64.b64decode(sys.argv[1])),'host_script','exec'),n);"
    "sys.exit(n['answer'](n['main'],base64.b64decode(sys.argv[2]).decode()))"
)
_FINISHED = {"Success", "Failed", "TimedOut", "Cancelled"}
_PAGE_CHARACTERS = 20_000
_NOT_FOUND = 127  # what a shell answers for a command it does not find
_NO_PYTHON = (
    "expected Python 3.7 or later on the host, which every script of the runbook needs; observed that the shell finds "
    "no python3. Nothing was changed. Install the distribution's python3 package, then run again"
)
_SHORTEST_POLL_S, _LONGEST_POLL_S, _POLL_SHARE = 0.05, 0.5, 0.04


@cache
def _source(script: str) -> str:
    return host_scripts.source(script)


class Host:
    """One instance that runs our scripts.

    Args:
        aws: The session.
        clock: For the pauses between looks at a running command.
        instance_id: The instance.
        record: Called once per finished command with the fields of a `host-command` event.
    """

    def __init__(self, aws: Aws, clock: Clock, instance_id: str, record: Callable[..., Any]) -> None:
        self._aws = aws
        self._clock = clock
        self.instance_id = instance_id
        self._record = record

    def is_online(self) -> bool:
        """Return whether the SSM agent of the instance answers.

        Returns:
            True when its ping status is `Online`.

        Source: SSM DescribeInstanceInformation.
        """
        answer = self._aws.call(
            "ssm",
            "describe_instance_information",
            Filters=[{"Key": "InstanceIds", "Values": [self.instance_id]}],
        )
        return any(item["PingStatus"] == "Online" for item in answer["InstanceInformationList"])

    def run(self, script: str, *, timeout_s: int = 120, **arguments: Any) -> dict[str, Any]:
        """Run one host script and return its result.

        Args:
            script: Name of a file in `runbook_lib/host_scripts/`, without `.py`.
            timeout_s: How long the script may run.
            **arguments: JSON-able arguments.

        Returns:
            What the script's `main` returned.

        Raises:
            HostCommandError: when it could not be delivered, timed out, or reported an error.

        Changes:
            What the script says it changes.

        Source: SSM SendCommand with AWS-RunShellScript, GetCommandInvocation.
        """
        return self.begin(script, timeout_s=timeout_s, **arguments)()

    def begin(self, script: str, *, timeout_s: int = 120, **arguments: Any) -> Callable[[], dict[str, Any]]:
        """Send one host script and go on while it runs.

        Args:
            script: As `run`.
            timeout_s: As `run`.
            **arguments: As `run`.

        Returns:
            Waits for the end and returns what `run` does; raises as `run`.

        Raises:
            HostCommandError: when it could not be delivered.

        Changes:
            What the script says it changes, whether somebody waits for its end or not.
        """
        finish = self._begin(script, timeout_s, arguments)

        def result() -> dict[str, Any]:
            answer = finish()
            if "paged" not in answer:
                return dict(answer["result"])
            return dict(json.loads(self._fetch_pages(answer["paged"])))

        return result

    def scripts_under_way(self) -> list[str]:
        """Return the names of this package's scripts that this host runs at this moment, whoever sent them.

        A script that was sent goes on when the process that sent it was killed.

        Returns:
            Names, one for each command that has not ended.

        Raises:
            AwsError: when SSM refuses or does not answer.

        Source:
            SSM ListCommandInvocations.
        """
        answer = self._aws.call(
            "ssm",
            "list_command_invocations",
            InstanceId=self.instance_id,
            Filters=[{"key": "Status", "value": "InProgress"}],
        )
        found = [one for one in answer["CommandInvocations"] if one["Status"] not in _FINISHED]
        words = [str(one.get("Comment", "")).split() for one in found]
        return [said[-1] for said in words if said[:1] == ["runbook"]]

    def _fetch_pages(self, paged: dict[str, Any]) -> str:
        """Fetch a result that is longer than SSM's 24,000 characters."""
        text = ""
        while len(text) < paged["characters"]:
            ends = len(text) + _PAGE_CHARACTERS >= paged["characters"]
            page = {"path": paged["path"], "offset": len(text), "length": _PAGE_CHARACTERS, "remove": ends}
            text += self._begin("read_page", 60, page)()["result"]["text"]
        if hashlib.sha256(text.encode()).hexdigest() != paged["sha256"]:
            raise HostCommandError(
                "read_page", self.instance_id, f"{paged['path']} changed while it was read; run again"
            )
        return gzip.decompress(base64.b64decode(text)).decode()

    def _begin(self, script: str, timeout_s: int, arguments: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        source = _source(script)
        started = self._clock.monotonic()
        command_id = self._send(script, source, timeout_s, arguments)

        def answer() -> dict[str, Any]:
            invocation = self._wait(script, command_id, timeout_s)
            self._record(
                script=script,
                sha256=hashlib.sha256(source.encode()).hexdigest(),
                instance_id=self.instance_id,
                command_id=command_id,
                exit_code=invocation.get("ResponseCode", -1),
                duration_s=round(self._clock.monotonic() - started, 3),
            )
            return self._parse(script, invocation)

        return answer

    def _send(self, script: str, source: str, timeout_s: int, arguments: dict[str, Any]) -> str:
        parts = (zlib.compress(source.encode()), json.dumps(arguments).encode())
        packed = [base64.b64encode(part).decode() for part in parts]
        line = f'exec python3 -c "{_LOADER}" {packed[0]} {packed[1]}'
        try:
            answer = self._aws.call(
                "ssm",
                "send_command",
                target=f"{self.instance_id} {script}",
                InstanceIds=[self.instance_id],
                DocumentName="AWS-RunShellScript",
                Comment=f"runbook {self._aws.run_id} {script}"[:100],
                Parameters={"commands": [line], "executionTimeout": [str(timeout_s)]},
            )
        except AccessDeniedError:
            raise
        except AwsError as error:
            raise HostCommandError(
                script, self.instance_id, f"could not be delivered: {error}; is the SSM agent of the instance online?"
            ) from error
        return str(answer["Command"]["CommandId"])

    def _wait(self, script: str, command_id: str, timeout_s: int) -> dict[str, Any]:
        started = self._clock.monotonic()
        while (waited_s := self._clock.monotonic() - started) < timeout_s + 30:
            # a pause is a small share of what was waited: little of an outage, few calls for a long command
            self._clock.sleep(min(max(waited_s * _POLL_SHARE, _SHORTEST_POLL_S), _LONGEST_POLL_S))
            try:
                invocation = self._aws.call(
                    "ssm", "get_command_invocation", CommandId=command_id, InstanceId=self.instance_id
                )
            except AwsError as error:
                if error.code != "InvocationDoesNotExist":  # the answer in the first moments after SendCommand
                    raise
                continue
            if invocation["Status"] in _FINISHED:
                return invocation
        raise HostCommandError(script, self.instance_id, f"no end after {timeout_s + 30} s (command {command_id})")

    def _parse(self, script: str, invocation: dict[str, Any]) -> dict[str, Any]:
        output = invocation.get("StandardOutputContent", "")
        tail = invocation.get("StandardErrorContent", "")[-600:]
        try:
            answer = json.loads(output)
        except ValueError:
            if invocation.get("ResponseCode") == _NOT_FOUND:
                raise HostCommandError(script, self.instance_id, _NO_PYTHON) from None
            raise HostCommandError(
                script,
                self.instance_id,
                f"{invocation['Status']}, exit code {invocation.get('ResponseCode')}, "
                f"no JSON answer: {output[-200:]!r} {tail!r}",
            ) from None
        if not answer.get("ok"):
            error = answer.get("error", {})
            raise HostCommandError(script, self.instance_id, error.get("message", tail), error.get("details"))
        return dict(answer)

"""Hooks: a notice handed to a command, or posted to a webhook. What comes back is looked at for success only."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from runbook_lib.errors import OutsideError

_FIRST_PAUSE_S = 0.5
_LAST_WORDS = 300
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class HookError(OutsideError):
    """A hook did not take a notice; nothing else was changed.

    Args:
        reason: Why, in one sentence.
        attempts: How often it was tried.
    """

    changed = "no"

    def __init__(self, reason: str, attempts: int = 1) -> None:
        self.attempts = attempts
        super().__init__(reason)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody: what is sent is meant for one address only."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


def call(command: Sequence[str], content: bytes, *, timeout_s: float) -> None:
    """Run a command with a notice on its standard input.

    Args:
        command: Program and arguments; no shell reads them.
        content: What it gets.
        timeout_s: After how long it is killed, with all that it started in its process group.

    Raises:
        HookError: when it cannot be started, ends with another exit code than 0, or takes too long.
    """
    try:
        process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal is meant for the run
        )
    except (OSError, ValueError) as error:
        raise HookError(f"{command[0]} cannot be started: {error}") from error
    with process:
        try:
            _, words = process.communicate(content, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # nobody has waited for it, so the id is still its own
            raise HookError(f"{command[0]} took longer than {timeout_s:.3g} s and was killed") from error
    if process.returncode:
        said = words.decode("utf-8", "replace").strip()[-_LAST_WORDS:]
        raise HookError(f"{command[0]} ended with {process.returncode}{f': {said}' if said else ''}")


def post(url: str, content: bytes, headers: Mapping[str, str], *, timeout_s: float, attempts: int) -> int:
    """Post a notice to a webhook; try again while it is busy or out of reach and time is left.

    Args:
        url: The address, http or https.
        content: The body.
        headers: Headers beside those that every request has.
        timeout_s: Longest time for all attempts together.
        attempts: How often at most.

    Returns:
        How often it was tried.

    Raises:
        HookError: when it did not answer with a status from 200 to 299; a redirection is not followed.
    """
    deadline, reason = time.monotonic() + timeout_s, ""
    for attempt in range(1, attempts + 1):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        reason, again = _post_once(url, content, headers, left_s)
        if not reason:
            return attempt
        pause_s = _FIRST_PAUSE_S * 2 ** (attempt - 1)
        if not again or attempt == attempts or deadline - time.monotonic() <= pause_s:
            raise HookError(reason, attempt)
        time.sleep(pause_s)
    raise HookError(reason, attempts)


def _post_once(url: str, content: bytes, headers: Mapping[str, str], timeout_s: float) -> tuple[str, bool]:
    """Return why it was not taken, "" when it was; and whether another attempt may help."""
    request = urllib.request.Request(url, data=content, headers=dict(headers), method="POST")  # noqa: S310 - http(s) only
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urlsplit(url).scheme == "http":  # a loopback address, which no proxy reaches
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            return f"it answered {error.code}", error.code in _BUSY
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return f"it did not answer within {timeout_s:.3g} s", True
        return f"it is out of reach: {reason}", not isinstance(error, ValueError)
    return "", False

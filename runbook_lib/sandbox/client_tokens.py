"""What a client token promises: a request that is sent twice is done once.

An SDK sends a request again with the same token when the answer did not arrive. moto ignores tokens: the second request
would make a second volume, or be refused because the first one did it.
Source: EC2 Developer Guide, "Ensuring idempotency in Amazon EC2 API requests"; ECS API Reference, "Ensuring
idempotency"; EC2 error codes, InvalidClientToken.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

from runbook_lib.sandbox.wire import ApiRequest

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body."""

# The parameter, the error for a token that is none, and the one for a token that comes again with other parameters.
_SERVICES = {
    "ec2": ("ClientToken", "InvalidClientToken", "IdempotentParameterMismatch"),
    "ecs": ("clientToken", "InvalidParameterException", "ConflictException"),
}
_TOKEN = re.compile(r"[!-~]{1,64}")


class ClientTokens:
    """The successful answers to requests that had a client token; kept as long as the sandbox runs.

    Args:
        refuse: Makes the answer of an error out of request, code and message.
    """

    def __init__(self, refuse: Callable[[ApiRequest, str, str], Answer]) -> None:
        self._refuse = refuse
        self._lock = threading.Lock()
        self._busy: defaultdict[tuple[str, ...], threading.Lock] = defaultdict(threading.Lock)
        self._done: dict[tuple[str, ...], tuple[Mapping[str, str], Answer]] = {}

    def once(self, request: ApiRequest, act: Callable[[], Answer]) -> Answer:
        """Return the answer that this token got before, or act; what failed may be tried again with its token.

        Args:
            request: What is asked.
            act: Does it, and returns the answer.
        """
        name, malformed, mismatch = _SERVICES.get(request.service, ("", "", ""))
        token = request.parameters.get(name, "")
        if not token or request.kind != "write":
            return act()
        if not _TOKEN.fullmatch(token):
            return self._refuse(request, malformed, f"a client token is up to 64 printable ASCII characters: {token}")
        key = (request.service, request.operation, request.parameters.get("cluster", ""), token)
        with self._lock:
            alone = self._busy[key]
        with alone:
            before = self._done.get(key)
            if before is None:
                answer = act()
                if answer[0].startswith("2"):
                    self._done[key] = (request.parameters, answer)
                return answer
        parameters, answer = before
        if parameters == request.parameters:
            return answer
        return self._refuse(request, mismatch, f"client token {token} was used with other parameters")

"""IAM in front of the AWS API: what the operator's policy does not permit is refused, as each service refuses it.

Off until a policy is set. The sandbox's own parts are not judged here: its hosts were judged by their instance role
before they call. A session of a role is judged by the policies of the role, every other caller by the policy.
Source: IAM user guide, "Troubleshoot access denied error messages"; EC2 API reference, "Client error codes".
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import policies
from runbook_lib.sandbox.access import accesses_of
from runbook_lib.sandbox.backends import ACCOUNT_ID, REGION
from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls
from runbook_lib.sandbox.ec2_client import OWN_ACCESS_KEY_ID
from runbook_lib.sandbox.patches.iam import find_role, statements_of
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

_JSON = frozenset({"json", "rest-json"})


class Authorization:
    """Judges API calls by an IAM policy.

    Args:
        lock: ``World.lock``, held while moto is read.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._statements: policies.Statements | None = None
        self._asked: dict[str, dict[str, Any]] = {}
        self._asking = threading.Lock()

    @property
    def is_enforced(self) -> bool:
        """Whether calls are judged."""
        return self._statements is not None

    def enforce(self, document: Any) -> None:
        """Judge every call of the operator by a policy from here on, and forget what a former one was asked.

        Args:
            document: An identity-based policy, decoded; None judges nothing any more.

        Raises:
            SandboxError: It is no policy that can be evaluated here; what was in force stays so.
        """
        statements = None if document is None else policies.read_policy(document)
        if statements is not None:
            with self._asking:
                self._asked.clear()
        self._statements = statements

    def refuse(self, request: ApiRequest) -> tuple[str, str] | None:
        """Return error code and message for a call that is not permitted; None for one that is.

        Args:
            request: The call.
        """
        if self._statements is None or request.access_key_id == OWN_ACCESS_KEY_ID:
            return None
        with self._lock:
            principal, statements = self._caller(request.access_key_id)
            wanted = accesses_of(request)
        decided = [(one, policies.decide(statements, one)) for one in wanted]
        self._note(request, decided)
        refused = next(((one, how) for one, how in decided if how != policies.ALLOWED), None)
        return _refusal(request, principal, *refused) if refused else None

    def register_controls(self, controls: Controls) -> None:
        """Serve ``POST /_sandbox/iam`` with a policy or null, and ``GET`` for what was asked of it."""
        controls.add("POST", "/_sandbox/iam", self._set)
        controls.add("GET", "/_sandbox/iam", lambda _request: self._show())

    def _set(self, request: ControlRequest) -> dict[str, Any]:
        if "policy" not in request.body:
            raise ControlError(400, 'expected {"policy": …}, with a policy or null. Nothing was changed.')
        try:
            self.enforce(request.body["policy"])
        except SandboxError as error:
            raise ControlError(400, f"{error}. What was in force stays so.") from error
        return {"enforced": self.is_enforced}

    def _show(self) -> dict[str, Any]:
        with self._asking:
            return {"enforced": self.is_enforced, "asked": list(self._asked.values())}

    def _caller(self, access_key_id: str) -> tuple[str, Iterable[Mapping[str, Any]]]:
        """Return the ARN of who calls, and the statements of its policies."""
        from moto.sts.models import sts_backends  # noqa: PLC0415 - the environment is prepared first

        sts = sts_backends[ACCOUNT_ID]["aws"]
        _, principal, _ = sts.get_caller_identity(access_key_id, REGION)
        assumed = sts.get_assumed_role_from_access_key(access_key_id)
        if assumed is None:
            return str(principal), self._statements or ()
        role = find_role(assumed.role_arn.rpartition("/")[2])
        return str(principal), list(statements_of(role)) if role else ()

    def _note(self, request: ApiRequest, decided: Iterable[tuple[Access, str]]) -> None:
        by = "Terraform" if "Terraform" in request.user_agent else "library"
        for one, decision in decided:
            fact = {
                "action": one.action,
                "resource": one.resource,
                "context": {
                    key: list(value) if isinstance(value, tuple) else value for key, value in one.context.items()
                },
                "decision": decision,
                "operation": f"{request.service}:{request.operation}",
                "by": by,
            }
            with self._asking:
                self._asked.setdefault(json.dumps(fact, sort_keys=True), fact)


def _refusal(request: ApiRequest, principal: str, wanted: Access, decision: str) -> tuple[str, str]:
    explicit = decision == policies.EXPLICIT_DENY
    why = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {wanted.action} action"
    )
    on = f" on resource: {wanted.resource}"
    said = f"User: {principal} is not authorized to perform: {wanted.action}{on} {why}"
    if request.protocol == "ec2":
        return "UnauthorizedOperation", f"You are not authorized to perform this operation. {said}"
    return ("AccessDeniedException" if request.protocol in _JSON else "AccessDenied"), said

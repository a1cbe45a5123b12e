"""Where faults take hold: the rules of EC2 and SSM that ask them, and every call of the AWS API.

It translates a fault that strikes into what AWS says then; when it strikes is decided in ``faults``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from runbook_lib.sandbox.faults import Faults
from runbook_lib.sandbox.patches import Patched
from runbook_lib.sandbox.stale import StaleViews
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.wire import ApiRequest
from runbook_lib.sandbox.world import World

_THROTTLED = {"ec2": "RequestLimitExceeded", "query": "Throttling"}
"""Source: EC2 API error codes; the query services say Throttling, those with JSON ThrottlingException."""


def connect(faults: Faults, world: World, patched: Patched) -> None:
    """Let the rules of EC2 and SSM, and the hosts, ask the faults.

    Args:
        faults: The faults that are on.
        world: Whose hosts ask.
        patched: The rules that faults bend.
    """
    world.strikes = faults.strikes
    patched.volumes.stuck.append(lambda volume_id, event: faults.strikes("stuck-detach", volume_id, occasion=event))
    patched.volumes.refusals.append(partial(_wrong_zone, faults))
    patched.modifications.failing.append(partial(faults.strikes, "modification-error"))
    patched.modifications.lasting.append(partial(faults.is_on, "long-optimizing"))
    patched.snapshots.failing.append(partial(faults.strikes, "snapshot-error"))
    patched.commands.held.append(lambda instance_id, event: faults.strikes("ssm-timeout", instance_id, occasion=event))
    patched.instances.refusals.append(partial(_no_capacity, faults))


class Interference:
    """What faults do to the calls of the AWS API.

    Args:
        faults: The faults that are on.
        world: The sandbox's world.
        transitions: Waits, and lets happen what calls have set off.
    """

    def __init__(self, faults: Faults, world: World, transitions: Transitions) -> None:
        self._faults = faults
        self._transitions = transitions
        self._stale = StaleViews(world, faults)

    def refuse(self, request: ApiRequest) -> tuple[str, str] | None:
        """Return error code and message of a call that is refused before AWS sees it; wait first when it is slow."""
        slow = self._faults.strikes_call("slow-api", request)
        if slow is not None:
            self._transitions.wait(slow.seconds)
        if request.operation == "CopyVolumes" and self._faults.strikes_call("copy-unsupported", request):
            return "InvalidAction", "The action CopyVolumes is not valid for this web service."
        failing = self._faults.strikes_call("api-error", request)
        if failing is not None:
            return failing.code, f"fault {failing.number} of the sandbox refuses {request.operation}"
        if self._faults.strikes_call("throttle", request):
            return _THROTTLED.get(request.protocol, "ThrottlingException"), "Request limit exceeded."
        return None

    def around(self, request: ApiRequest) -> AbstractContextManager[None]:
        """Return what is held while AWS works on a call: describes may show what was before a change."""
        return self._stale.around(request)

    def lose(self, request: ApiRequest) -> tuple[str, str] | None:
        """Return the error that the caller of a successful call gets instead of its answer."""
        if not self._faults.strikes_call("lost-answer", request):
            return None
        code = "InternalError" if request.protocol == "ec2" else "InternalFailure"
        return code, "An internal error has occurred"

    def answered(self, request: ApiRequest) -> None:
        """Count an answered call, and let happen what waited for it."""
        for fault in self._faults.answered(request):
            self._transitions.later(0, partial(self._faults.happen_late, fault))


def _wrong_zone(faults: Faults, volume: Any, instance: Any) -> None:
    if faults.strikes("wrong-az", volume.id):
        message = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise EC2ClientError("InvalidVolume.ZoneMismatch", message)


def _no_capacity(faults: Faults, launch: Mapping[str, Any]) -> str:
    if not faults.strikes("capacity", str(launch.get("instance_type", ""))):
        return ""
    return "We currently do not have sufficient capacity in the Availability Zone you requested."

"""Every fault that can be switched on: what it does, what its target and its count are, what it needs.

Pure data and the rules about it. What a fault does to the sandbox is in ``faults_effects`` and ``faults_happenings``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook_lib.sandbox.controls import ControlError

OPTIONS = ("target", "operation", "code", "seconds", "times")
_FLAGS = {"times": "--count"}


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    Args:
        name: What it is called.
        does: What an operator meets, in one sentence.
        target: What its target is; "" when it takes none.
        counts: What its count counts; "" when it lasts until it is cleared, or is over at once.
        needs: Options without which it makes no sense.
        takes: Further options that it understands.
        once: Whether it does its damage in one moment and is over.
        acts: Whether it does something when it begins, and undoes it when it is cleared.
    """

    name: str
    does: str
    target: str = ""
    counts: str = ""
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    once: bool = False
    acts: bool = False

    @property
    def happens(self) -> bool:
        """Return whether something has to be done when it begins."""
        return self.once or self.acts

    @property
    def understood(self) -> frozenset[str]:
        """Return every option that it understands."""
        own = {"target"} if self.target else set()
        return frozenset({*self.needs, *self.takes, *own, *({"times"} if self.counts else set())})

    @property
    def described(self) -> str:
        """Return what it does, with what it needs and what its target and its count are."""
        target = f"target: {self.target}" if self.target else "no target"
        count = f"count: {self.counts}" if self.counts else ("once" if self.once else "until it is cleared")
        options = [_flag(name) for name in self.needs if name != "target"]
        needs = f"needs {' and '.join(options)}; " if options else ""
        return f"{self.does} ({needs}{target}; {count})"


VOLUME, INSTANCE, INSTANCE_TYPE = "volume id", "instance id", "instance type"
IMAGE = "image or plugin reference"
CONTAINER = "instance id, image or container name"
RESOURCE = "volume, instance or snapshot id"
CALL = "an id or name in the call"
OPERATION = ("operation",)

KINDS = (
    FaultKind("stuck-detach", "a detaching volume stays busy although nothing has it mounted", VOLUME, "detachments"),
    FaultKind("wrong-az", "AttachVolume answers InvalidVolume.ZoneMismatch", VOLUME, "attachments"),
    FaultKind("capacity", "a launch answers InsufficientInstanceCapacity", INSTANCE_TYPE, "launches"),
    FaultKind("snapshot-error", "a new snapshot ends in the state error", VOLUME, "snapshots"),
    FaultKind("read-error", "the volume plugin cannot read a volume's device when it probes it", VOLUME, "probes"),
    FaultKind("copy-unsupported", "CopyVolumes answers InvalidAction, as in a region without it", "", "calls"),
    FaultKind(
        "throttle",
        "calls answer RequestLimitExceeded, Throttling or ThrottlingException",
        CALL,
        "calls",
        takes=OPERATION,
    ),
    FaultKind(
        "api-error", "calls of one operation answer an error code and do nothing", CALL, "calls", ("operation", "code")
    ),
    FaultKind(
        "lost-answer", "calls are carried out, and the caller gets an HTTP 500 instead", CALL, "calls", OPERATION
    ),
    FaultKind("slow-api", "calls are answered only after some seconds", CALL, "calls", ("operation", "seconds")),
    FaultKind("stale-describe", "after a change, describes still show what was before it", RESOURCE, "stale answers"),
    FaultKind("ssm-timeout", "commands are accepted and never delivered", INSTANCE, "commands"),
    FaultKind("host-unreachable", "the SSM agent is offline; the host itself goes on", INSTANCE),
    FaultKind("boot-failure", "the user data of a new host fails before its first command", "", "hosts"),
    FaultKind("image-pull-error", "the registry refuses to let an image or a plugin be pulled", IMAGE, "pulls"),
    FaultKind("full-disk", "a host has no room for another image or plugin", INSTANCE, "pulls"),
    FaultKind("crash-loop", "containers are killed as soon as they have started", CONTAINER, "starts"),
    FaultKind("unhealthy-app", "health checks of containers fail", CONTAINER),
    FaultKind("hung-app", "the processes of the containers that run now stand still", CONTAINER, acts=True),
    FaultKind("kill-host", "a host loses its power without warning", INSTANCE, needs=("target",), once=True),
    FaultKind("plugin-disabled", "every volume plugin of a host is disabled", INSTANCE, needs=("target",), once=True),
    FaultKind(
        "crash", "the main process of every container on a host is killed", INSTANCE, needs=("target",), once=True
    ),
    FaultKind(
        "duplicate-name",
        "another volume with the same Name tag appears in the zone, as from a restored backup",
        VOLUME,
        needs=("target",),
        once=True,
    ),
    FaultKind(
        "delete-on-termination",
        "somebody's Terraform sets DeleteOnTermination on the volume's attachment",
        VOLUME,
        needs=("target",),
        once=True,
    ),
)
FAULTS: Mapping[str, FaultKind] = {kind.name: kind for kind in KINDS}
API_FAULTS = frozenset(kind.name for kind in KINDS if kind.target == CALL)
"""Faults whose target is looked for among the parameters of a call."""


def kind_of(name: str) -> FaultKind:
    """Return a kind of fault by its name.

    Raises:
        ControlError: There is none; the message names those there are.
    """
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, 1)
        guess = f"; did you mean {near[0]}?" if near else "."
        raise ControlError(400, f"no fault {name!r}{guess} There are {', '.join(FAULTS)}. Nothing was changed.")
    return FAULTS[name]


def check_options(kind: FaultKind, given: Mapping[str, Any]) -> None:
    """Refuse options that a fault needs and that are missing, does not understand, or that make no sense.

    Args:
        kind: The fault.
        given: Some of ``target, operation, code, seconds, times, after_calls``; empty values count as not given.

    Raises:
        ControlError: One does not fit; nothing was changed.
    """
    present = {name for name in OPTIONS if given.get(name) not in {None, ""}}
    if missing := [_flag(name) for name in OPTIONS if name in kind.needs and name not in present]:
        raise ControlError(400, f"fault {kind.name} needs {' and '.join(missing)}: {kind.described}")
    odd = [name for name in OPTIONS if name in present and name not in kind.understood]
    if odd and not (odd == ["operation"] and given.get("after_calls")):  # there it says which calls are counted
        flags = " and no ".join(_flag(name) for name in odd)
        raise ControlError(400, f"fault {kind.name} takes no {flags}: {kind.described}")
    for name in ("times", "after_calls", "seconds"):
        if given.get(name) is not None and float(given[name]) <= 0:
            raise ControlError(400, f"{_flag(name)} must be more than 0, got {given[name]}")


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))

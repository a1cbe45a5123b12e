"""Eventual consistency of EC2: after a change, describes may still show what was before it.

While a describe is answered, former records of volumes, instances and snapshots stand in moto's backend for the present
ones. Only callers of the API are deceived; the sandbox's own parts read the records themselves.
Source: EC2 API reference, "Eventual consistency in the Amazon EC2 API".
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.wire import ApiRequest
from runbook_lib.sandbox.world import World

FAULT = "stale-describe"
_SHOWN_BY = {
    "DescribeVolumes": "vol-",
    "DescribeInstances": "i-",
    "DescribeInstanceStatus": "i-",
    "DescribeSnapshots": "snap-",
}


class Strikes(Protocol):
    """Decides about a fault."""

    def strikes(self, name: str, *candidates: str, occasion: str = "") -> bool:
        """Say whether it hits now, and count it."""
        ...

    def is_on(self, name: str, *candidates: str) -> bool:
        """Say whether it would hit."""
        ...

    def is_any_on(self, name: str) -> bool:
        """Say whether it is on at all."""
        ...


class StaleViews:
    """The former records that describes still show.

    Args:
        world: For its lock.
        faults: Says which ids are shown as they were, and how often.
    """

    def __init__(self, world: World, faults: Strikes) -> None:
        self._world = world
        self._faults = faults
        self._former: dict[str, Any] = {}

    @contextmanager
    def around(self, request: ApiRequest) -> Iterator[None]:
        """Keep what a write is about to change; show it while a describe is answered."""
        if not self._faults.is_any_on(FAULT):
            self._former.clear()
            yield
        elif request.service != "ec2":
            yield
        elif request.kind == "write":
            with self._kept(request):
                yield
        elif request.operation in _SHOWN_BY:
            with self._shown(request):
                yield
        else:
            yield

    @contextmanager
    def _kept(self, request: ApiRequest) -> Iterator[None]:
        with self._world.lock:
            before = _records()
            asked = {one for one in request.parameters.values() if one in before}
            former: dict[str, Any] = {one: _frozen(before[one]) for one in asked}
        try:
            yield
        finally:
            with self._world.lock:
                former.update(dict.fromkeys(set(_records()) - set(before)))  # None: it is not to be seen yet
                self._former.update({one: record for one, record in former.items() if self._faults.is_on(FAULT, one)})

    @contextmanager
    def _shown(self, request: ApiRequest) -> Iterator[None]:
        """Let former records stand in; the caller holds the lock while moto answers."""
        prefix = _SHOWN_BY[request.operation]
        ids = [value for value in request.parameters.values() if value.startswith(prefix)]
        deceived = {}
        for one in [one for one in self._former if one.startswith(prefix) and (not ids or one in ids)]:
            if self._faults.strikes(FAULT, one):
                deceived[one] = self._former[one]
            else:
                del self._former[one]
        ec2 = backend("ec2")
        with self._world.lock:
            present = ec2.volumes, ec2.snapshots, ec2.reservations
            try:
                ec2.volumes = _replaced(ec2.volumes, deceived, "vol-")
                ec2.snapshots = _replaced(ec2.snapshots, deceived, "snap-")
                ec2.reservations = {key: _with(one, deceived) for key, one in ec2.reservations.items()}
                yield
            finally:
                ec2.volumes, ec2.snapshots, ec2.reservations = present


def _records() -> dict[str, Any]:
    """Return every volume, snapshot and instance by its id."""
    ec2 = backend("ec2")
    return {**ec2.volumes, **ec2.snapshots, **{one.id: one for one in ec2.all_instances()}}


def _replaced(records: Any, deceived: dict[str, Any], prefix: str) -> Any:
    former = {one: record for one, record in deceived.items() if one.startswith(prefix)}
    if not former:
        return records
    kept = {one: former.get(one, record) for one, record in records.items()}
    gone = {one: record for one, record in former.items() if one not in records}
    return {one: record for one, record in {**kept, **gone}.items() if record is not None}


def _with(reservation: Any, deceived: dict[str, Any]) -> Any:
    shown = copy.copy(reservation)
    found = (deceived.get(one.id, one) for one in reservation.instances)
    shown.instances = [one for one in found if one is not None]
    return shown


def _frozen(record: Any) -> Any:
    """Return a copy of a record that later changes leave alone."""
    former = copy.copy(record)
    tags: list[dict[str, str]] = record.get_tags()
    former.get_tags = _answering(tags)
    if getattr(record, "attachment", None) is not None:
        former.attachment = copy.copy(record.attachment)
        former.attachment.volume = former
        former.attachment.sandbox_deletes = record.attachment.delete_on_termination
    if hasattr(record, "block_device_mapping"):
        former._state = copy.copy(record._state)
        former.block_device_mapping = type(record.block_device_mapping)(
            {device: copy.copy(block) for device, block in record.block_device_mapping.items()}
        )
    return former


def _answering(value: Any) -> Callable[[], Any]:
    return lambda: value

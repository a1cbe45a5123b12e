"""ModifyVolume: it takes its time, may fail, works from `optimizing` on, and is refused too soon and too often.

moto changes everything at once and lets everything through.
Source: EC2 API reference, ModifyVolume, DescribeVolumesModifications, "Error codes for the Amazon EC2 API"; "Amazon EBS
volume types": the sizes, and how many IOPS and MiB/s a type takes for its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import VolumeModification
from moto.ec2.responses import EC2Response

from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World

_PAUSE_S = 0.05
_PERCENT = 100
_MOST = 4
"""Modifications of one volume in 24 hours."""
_ENDED = {"completed", "failed"}
_NAMES = {"size": "Size", "volume_type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}


@dataclass(frozen=True)
class _Limits:
    """What a volume type takes: sizes in GiB, IOPS, IOPS for each GiB, MiB/s."""

    sizes: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    throughput: tuple[int, int] | None = None


_LIMITS: Mapping[str, _Limits] = {
    "gp2": _Limits((1, 16384)),
    "gp3": _Limits((1, 65536), (3000, 80000), 500, (125, 2000)),
    "io1": _Limits((4, 16384), (100, 64000), 50),
    "io2": _Limits((4, 65536), (100, 256000), 1000),
    "st1": _Limits((125, 16384)),
    "sc1": _Limits((125, 16384)),
    "standard": _Limits((1, 1024)),
}


class Modifications:
    """The rules of volume modifications.

    Args:
        world: Where the volumes are.
        transitions: Runs the changes that take time.
    """

    def __init__(self, world: World, transitions: Transitions) -> None:
        self.failing: list[Callable[[str], bool]] = []
        """Asked with the volume id at each modification; one True makes it end ``failed`` (a fault of the sandbox)."""
        self.lasting: list[Callable[[str], bool]] = []
        """Asked with the volume id while it is ``optimizing``; one True keeps it so (a fault of the sandbox)."""
        self._world = world
        self._transitions = transitions

    def modify(self, response: Any) -> Any:
        """Answer ModifyVolume: ``modifying`` for half of the time, then the volume has the new values."""
        given = {key: response._get_param(name) for key, name in _NAMES.items()}
        given = {key: value if key == "volume_type" else int(value) for key, value in given.items() if value}
        with self._world.lock:
            volume = response.ec2_backend.get_volume(response._get_param("VolumeId"))
            target = _target(volume, given)
            _refuse(volume, given, target)
            self._refuse_rate(volume)
            response.error_on_dryrun()
            modification = _begin(volume, target)
            volume.modifications.append(modification)
        half_s = self._world.latency.modify_s / 2
        failed = any(ask(volume.id) for ask in self.failing)
        self._transitions.later(half_s, lambda: self._take_effect(modification, target, failed=failed))
        return ActionResult({"VolumeModification": modification})

    def describe(self, response: Any) -> Any:
        """Answer DescribeVolumesModifications: the most recent one of each volume."""
        wanted = response._get_param("VolumeIds", [])
        found = response.ec2_backend.describe_volumes_modifications(
            volume_ids=wanted, filters=response._filters_from_querystring()
        )
        newest = {one.volume_id: one for one in found}  # oldest first
        for volume_id in wanted:
            if not response.ec2_backend.get_volume(volume_id).modifications:
                message = f"Modification for volume '{volume_id}' does not exist."
                raise EC2ClientError("InvalidVolumeModification.NotFound", message)
        return ActionResult({"VolumesModifications": list(newest.values())})

    def _refuse_rate(self, volume: Any) -> None:
        window_s = self._world.latency.modify_window_s
        recent = [one for one in volume.modifications if (utcnow() - one.start_time).total_seconds() < window_s]
        if len(recent) >= _MOST:
            message = "You've reached the maximum modification rate per volume limit. Wait until 24 hours have passed"
            raise EC2ClientError("VolumeModificationRateExceeded", f"{message} since the first of {_MOST} of them.")

    def _take_effect(self, modification: Any, target: Mapping[str, Any], *, failed: bool) -> None:
        volume = modification.volume
        with self._world.lock:
            if failed:
                modification.sandbox_state, modification.end_time = "failed", utcnow()
                modification.status_message = "The modification failed; the volume keeps its original values."
                return
            for key, value in target.items():
                setattr(volume, key, value)
            if volume.attachment:
                volume.attachment.instance.block_device_mapping[volume.attachment.device].size = volume.size
        self._world.volumes.resize(volume.id, int(volume.size))
        with self._world.lock:
            modification.sandbox_state = "optimizing"
        self._transitions.later(self._world.latency.modify_s / 2, lambda: self._complete(modification))

    def _complete(self, modification: Any) -> None:
        volume_id = modification.volume_id
        if self._transitions.until(lambda: not any(ask(volume_id) for ask in self.lasting), _PAUSE_S):
            with self._world.lock:
                modification.sandbox_state, modification.end_time = "completed", utcnow()


def apply(world: World, transitions: Transitions) -> Modifications:
    """Put the calls into moto.

    Changes:
        Methods of moto's EC2 response class and of its volume modifications.
    """
    modifications = Modifications(world, transitions)

    def progress(one: Any) -> int:
        if one.sandbox_state in _ENDED:
            return _PERCENT if one.sandbox_state == "completed" else 0
        passed = (utcnow() - one.start_time).total_seconds() / max(world.latency.modify_s, 0.001)
        return min(_PERCENT - 1, int(passed * _PERCENT))

    VolumeModification.modification_state = property(lambda one: one.sandbox_state)
    VolumeModification.progress = property(progress)
    operations(EC2Response, modify_volume=modifications.modify, describe_volumes_modifications=modifications.describe)
    return modifications


def _target(volume: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the volume shall be; what is left out is kept, or is the new type's default."""
    kind = given.get("volume_type", volume.volume_type)
    limits, same = _LIMITS.get(kind, _LIMITS["gp2"]), kind == volume.volume_type
    target: dict[str, Any] = {"size": int(volume.size), "volume_type": kind, "iops": None, "throughput": None}
    if limits.iops:
        target["iops"] = volume.iops if same and volume.iops else max(3000, limits.iops[0])
    if limits.throughput:
        target["throughput"] = volume.throughput if same and volume.throughput else limits.throughput[0]
    return target | dict(given)


def _begin(volume: Any, target: Mapping[str, Any]) -> Any:
    modification = VolumeModification(volume, target_size=target["size"])
    modification.sandbox_state, modification.end_time = "modifying", None
    for key in _NAMES:
        setattr(modification, f"original_{key}", getattr(volume, key))
        setattr(modification, f"target_{key}", target[key])
    return modification


def _refuse(volume: Any, given: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    newest = volume.modifications[-1].modification_state if volume.modifications else "completed"
    if newest not in _ENDED:
        message = f"The volume '{volume.id}' cannot be modified in modification state {newest.upper()}"
        raise EC2ClientError("IncorrectModificationState", message)
    if volume.status not in {"available", "in-use"}:
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    if not given:
        raise EC2ClientError("InvalidParameterValue", "Invalid input: Must specify at least one of size, type, iops")
    if target["size"] < int(volume.size):
        message = f"New size cannot be smaller than existing size ({volume.size} GiB)"
        raise EC2ClientError("InvalidParameterValue", message)
    if target["volume_type"] not in _LIMITS:
        raise EC2ClientError("UnknownVolumeType", f"Unsupported volume type '{target['volume_type']}'.")
    _refuse_limits(_LIMITS[target["volume_type"]], given, target)


def _refuse_limits(limits: _Limits, given: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    kind = target["volume_type"]
    for key, allowed in (("size", limits.sizes), ("iops", limits.iops), ("throughput", limits.throughput)):
        if allowed is None and key in given:
            message = f"The parameter {key} is not supported for {kind} volumes."
            raise EC2ClientError("InvalidParameterCombination", message)
        if allowed is not None and not allowed[0] <= target[key] <= allowed[1]:
            message = f"Volume {key} of {target[key]} is invalid; {kind} takes {allowed[0]} to {allowed[1]}."
            raise EC2ClientError("InvalidParameterValue", message)
    if limits.iops and target["iops"] > max(limits.iops_per_gib * target["size"], limits.iops[0]):
        message = f"Iops to volume size ratio of {target['iops']}:{target['size']} is too high for {kind}."
        raise EC2ClientError("InvalidParameterValue", message)
    if limits.iops and limits.throughput and target["throughput"] * 4 > target["iops"]:
        message = f"Throughput (MiBps) to iops ratio of {target['throughput']}:{target['iops']} is too high."
        raise EC2ClientError("InvalidParameterValue", message)

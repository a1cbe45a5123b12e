"""The section `volume` of the parameters: the data volume, and what 62_resize makes of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from runbook_lib import parameters_types as kind
from runbook_lib.model_volume_types import VOLUME_TYPES, problem_of_iops, problem_of_size, problem_of_throughput
from runbook_lib.parameters_section import Section

_MOST_IOPS = 256000


class Volume(Section):
    """The data volume."""

    volume_id: kind.VolumeId
    """EBS volume that moves from the source to the target."""
    mount_path: kind.AbsolutePath
    """Where the volume's filesystem is mounted on the source host."""
    sub_path: kind.RelativePath = ""
    """Folder of the volume that the service uses; empty when it uses the filesystem's root."""
    size_gib: int | None = Field(default=None, ge=1, le=65536)
    """Size that 62_resize gives the volume, and its filesystem with it; never less than it has. None leaves it."""
    type: Literal["gp2", "gp3", "io1", "io2", "st1", "sc1"] | None = None
    """Volume type that 62_resize gives it; without it the type stays."""
    iops: int | None = Field(default=None, ge=100, le=256000)
    """IOPS that 62_resize gives it, for gp3, io1 and io2; without it they stay."""
    throughput_mibps: int | None = Field(default=None, ge=125, le=2000)
    """Throughput that 62_resize gives it, for gp3; without it that stays."""


def volume_problems(volume: Volume) -> Iterator[str]:
    """Yield what no volume of the named type can have; what this one has now only a run can tell.

    Args:
        volume: The section.

    Yields:
        One text per broken rule: key, value, rule and fix.
    """
    if volume.type is None:
        return
    named = {
        "volume_type": volume.type,
        "size_gib": volume.size_gib or VOLUME_TYPES[volume.type].sizes_gib[1],
        "iops": volume.iops,
        "throughput_mibps": volume.throughput_mibps,
    }
    problems = {
        "size_gib": problem_of_size(named),
        "iops": problem_of_iops(named),
        "throughput_mibps": problem_of_throughput(named | {"iops": volume.iops or _MOST_IOPS}),
    }
    for key, problem in problems.items():
        if problem:
            fix = "correct one of them, or leave it out"
            yield f"migration.volume.{key} is {getattr(volume, key)}; rule: {problem}. Fix: {fix}"

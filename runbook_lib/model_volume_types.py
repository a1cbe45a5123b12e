"""What an EBS volume type takes: sizes, IOPS, throughput. Pure data, and the questions about it.

Source: EC2 API reference, ModifyVolume (sizes, IOPS and throughput of each type, and their defaults); EBS user guide,
"Amazon EBS volume types" (IOPS for each GiB, MiB/s for each IOPS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_IOPS = 3000
"""What a volume gets that changes to a type with IOPS of its own."""


@dataclass(frozen=True)
class VolumeType:
    """One volume type.

    Args:
        sizes_gib: Least and greatest size.
        iops: Least and greatest IOPS; None when they follow from the size.
        iops_per_gib: Most IOPS for each GiB.
        throughput_mibps: Least and greatest throughput; None when it follows from the rest.
    """

    sizes_gib: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    throughput_mibps: tuple[int, int] | None = None


VOLUME_TYPES: Mapping[str, VolumeType] = {
    "gp2": VolumeType((1, 16384)),
    "gp3": VolumeType((1, 65536), (3000, 80000), 500, (125, 2000)),
    "io1": VolumeType((4, 16384), (100, 64000), 50),
    "io2": VolumeType((4, 65536), (100, 256000), 1000),
    "st1": VolumeType((125, 16384)),
    "sc1": VolumeType((125, 16384)),
    "standard": VolumeType((1, 1024)),
}
"""`standard` is what a volume may be, never what it is changed to."""

_IOPS_PER_MIBPS = 4


def problem_of_size(volume: Mapping[str, Any]) -> str:
    """Return why a volume cannot have its size.

    Args:
        volume: Keys `volume_type`, `size_gib`.

    Returns:
        The rule that it breaks, "" when it breaks none.
    """
    least, most = VOLUME_TYPES[volume["volume_type"]].sizes_gib
    return "" if least <= volume["size_gib"] <= most else f"{volume['volume_type']} takes {least} to {most} GiB"


def problem_of_iops(volume: Mapping[str, Any]) -> str:
    """Return why a volume cannot have its IOPS.

    Args:
        volume: Keys `volume_type`, `size_gib`, `iops` (None when nobody asked for any).

    Returns:
        The rule that it breaks, "" when it breaks none.
    """
    kind, iops = VOLUME_TYPES[volume["volume_type"]], volume["iops"]
    if iops is None:
        return ""
    if kind.iops is None:
        return f"the IOPS of {volume['volume_type']} follow from its size"
    least, most = kind.iops
    if not least <= iops <= most:
        return f"{volume['volume_type']} takes {least} to {most} IOPS"
    allowed = max(least, kind.iops_per_gib * volume["size_gib"])
    return "" if iops <= allowed else f"{volume['size_gib']} GiB of {volume['volume_type']} take at most {allowed} IOPS"


def problem_of_throughput(volume: Mapping[str, Any]) -> str:
    """Return why a volume cannot have its throughput.

    Args:
        volume: Keys `volume_type`, `iops`, `throughput_mibps` (None when nobody asked for any).

    Returns:
        The rule that it breaks, "" when it breaks none.
    """
    kind, mibps = VOLUME_TYPES[volume["volume_type"]], volume["throughput_mibps"]
    if mibps is None:
        return ""
    if kind.throughput_mibps is None:
        return f"the throughput of {volume['volume_type']} cannot be chosen"
    least, most = kind.throughput_mibps
    if not least <= mibps <= most:
        return f"{volume['volume_type']} takes {least} to {most} MiB/s"
    allowed = (volume["iops"] or DEFAULT_IOPS) // _IOPS_PER_MIBPS
    return "" if mibps <= allowed else f"{volume['iops'] or DEFAULT_IOPS} IOPS take at most {allowed} MiB/s"

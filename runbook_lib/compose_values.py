"""Read the values of a compose file: durations, sizes, published ports, mounts, key=value lists.

Pure. `docker compose config` prints long forms, compose version 1 prints short ones; both become the same here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DURATION = re.compile(
    r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+)ms)?(?:\d+[uµ]s)?"
)
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNIT_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MIB = 1 << 20


def duration_s(value: Any) -> float:
    """Return a compose duration in seconds.

    Args:
        value: For example ``1m30s`` or ``500ms``, or a number of seconds.

    Returns:
        Seconds.

    Raises:
        ValueError: when it is no duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _DURATION.fullmatch(str(value))
    if found is None or not str(value):
        raise ValueError(f"{value!r} is no duration such as 1m30s")
    return sum(float(found[unit]) * factor for unit, factor in _UNIT_S.items() if found[unit])


def size_mib(value: Any) -> int:
    """Return a compose size in MiB, rounded up.

    Args:
        value: For example ``512m``, ``1g``, or a number of bytes as number or text.

    Returns:
        MiB.

    Raises:
        ValueError: when it is no size.
    """
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise ValueError(f"{value!r} is no size such as 512m")
    return math.ceil(float(found[1]) * _UNIT_BYTES[found[2].lower()] / MIB)


@dataclass(frozen=True)
class Port:
    """One port of a service; ``published`` is 0 when Docker chooses the host's port."""

    target: int
    published: int
    protocol: str
    host_ip: str


def read_port(value: Any) -> Port:
    """Return a port in either form.

    Args:
        value: The long form, or ``[[IP:]HOST:]CONTAINER[/PROTOCOL]``.

    Returns:
        The port.

    Raises:
        ValueError: when it is a range or no port.
    """
    if isinstance(value, Mapping):
        published = int(value.get("published") or 0)
        return Port(int(value["target"]), published, value.get("protocol") or "tcp", value.get("host_ip") or "")
    text, _, protocol = str(value).partition("/")
    address, _, inner = text.rpartition(":")
    host_ip, _, outer = address.rpartition(":")
    return Port(int(inner), int(outer or 0), protocol or "tcp", host_ip)


@dataclass(frozen=True)
class MountedPath:
    """One entry of a service's volumes; ``source`` is a host path for ``bind``, a name for ``volume``."""

    kind: str
    source: str
    target: str
    read_only: bool
    options: Mapping[str, Any]


def read_mount(value: Any) -> MountedPath:
    """Return a mount in either form.

    Args:
        value: The long form, or ``SOURCE:TARGET[:OPTIONS]``.

    Returns:
        The mount; options are those of its kind, for example ``{"propagation": "rshared"}``.
    """
    if isinstance(value, Mapping):
        kind = str(value.get("type") or "volume")
        options = value.get(kind) or {}
        read_only = bool(value.get("read_only"))
        return MountedPath(kind, str(value.get("source") or ""), str(value["target"]), read_only, options)
    source, _, rest = str(value).partition(":")
    if not rest:
        return MountedPath("volume", "", source, read_only=False, options={})
    target, _, flags = rest.partition(":")
    kind = "bind" if source.startswith(("/", "~", ".")) else "volume"
    return MountedPath(kind, source, target, "ro" in flags.split(","), {})


def read_pairs(value: Any, separators: str = "=") -> dict[str, Any]:
    """Return names and values of a mapping or a list of ``NAME=VALUE``.

    Args:
        value: Mapping or list.
        separators: Characters that may stand between name and value; the first one that occurs counts.

    Returns:
        Values by name; None where a name has no value.
    """
    if isinstance(value, Mapping):
        return dict(value)
    pairs: dict[str, Any] = {}
    for text in value:
        separator = next((char for char in separators if char in text), separators[0])
        name, found, content = str(text).partition(separator)
        pairs[name] = content if found else None
    return pairs

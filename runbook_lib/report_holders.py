"""Who held the data volume, as the steps of a run saw it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

NOBODY = ""


@dataclass(frozen=True)
class Holding:
    """A time in which one instance, or nobody, had the volume.

    Args:
        instance_id: Who had it; "" when it was attached nowhere.
        is_source: Whether that was the source host, which runs docker-compose.
        step_id: The first step that saw it so.
        seen_utc: When that was.
    """

    instance_id: str
    is_source: bool
    step_id: str
    seen_utc: str

    @property
    def role(self) -> str:
        """Return what the holder is, in two words."""
        if self.instance_id == NOBODY:
            return "attached nowhere"
        return "source host" if self.is_source else "container instance"


def holdings(report: Mapping[str, Any]) -> tuple[Holding, ...]:
    """Return who held the data volume in this run, one after the other.

    Args:
        report: As `build_report`.

    Returns:
        Oldest first; no two neighbours have the same holder. Empty when no step looked at the volume.
    """
    volume_id = report["volume"]["volume_id"]
    seen: list[Holding] = []
    for step in sorted(report["steps"], key=lambda one: str(one["started_utc"])):
        for facts in (step["before"], step["after"]):
            for holder, is_source in _holders(facts, volume_id):
                seen.append(Holding(holder, is_source, step["id"], step["started_utc"]))
                break  # the first says it; what a step copied from another is below
    return tuple(next(same) for _, same in groupby(seen, key=lambda one: one.instance_id))


def changed_hands(report: Mapping[str, Any]) -> tuple[Holding, ...]:
    """Return the same for a run in which the volume changed hands, else nothing.

    Args:
        report: As `build_report`.

    Returns:
        As `holdings`; empty when one holder had it all the time, or nobody looked.
    """
    found = holdings(report)
    return found if len(found) > 1 else ()


def _holders(facts: Any, volume_id: str) -> Iterator[tuple[str, bool]]:
    """Find who has the volume in facts of any step: whatever looked at it says `holder` and `on_source`."""
    if isinstance(facts, list):
        for item in facts:
            yield from _holders(item, volume_id)
    if not isinstance(facts, Mapping):
        return
    holder, on_source = facts.get("holder"), facts.get("on_source")
    if isinstance(holder, str) and isinstance(on_source, bool) and facts.get("volume_id", volume_id) == volume_id:
        yield holder, on_source
    for value in facts.values():
        yield from _holders(value, volume_id)

"""The ids that AWS has, as a person chooses them: what each is, and which of them fit what was chosen before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Choice(NamedTuple):
    """One id to choose.

    Args:
        value: The id.
        label: What it is, the id first.
    """

    value: str
    label: str


@dataclass(frozen=True)
class Choices:
    """What an account has in a region.

    Args:
        found: By `instances`, `volumes`, `vpcs`, `subnets`: facts as `adapters.inventory` gives them.
        why_not: Why AWS could not be asked; "" when it could, or was not.
    """

    found: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    why_not: str = ""

    def of(self, source: str, *, instance_id: str = "", volume_id: str = "", vpc_id: str = "") -> list[Choice]:
        """Return what can be chosen.

        Args:
            source: `instances`, `volumes`, `vpcs` or `subnets`.
            instance_id: The source host that is chosen now.
            volume_id: The volume that is chosen now: subnets are those of its Availability Zone; "" for any.
            vpc_id: The VPC that is chosen now: subnets are those of it, where the account has it.

        Returns:
            The choices, what fits best first.
        """
        facts = self.found.get(source, ())
        zone = next((str(one["zone"]) for one in self.found.get("volumes", ()) if one["id"] == volume_id), "")
        if source == "subnets" and zone:
            facts = [one for one in facts if one["zone"] == zone]
        if source == "subnets" and vpc_id in {one["id"] for one in self.found.get("vpcs", ())}:
            facts = [one for one in facts if one["vpc_id"] == vpc_id]
        if source == "volumes":
            facts = sorted(facts, key=lambda one: (one["instance_id"] != instance_id, one["is_root"], one["id"]))
        return [Choice(str(one["id"]), _LABELS[source](one)) for one in facts]


def _instance(one: Mapping[str, Any]) -> str:
    return _joined(one["id"], one["name"], one["type"], one["zone"], one["state"])


def _volume(one: Mapping[str, Any]) -> str:
    attached = f"{one['instance_id']} {one['device_name']}" if one["instance_id"] else "not attached"
    root = "root volume" if one["is_root"] else ""
    return _joined(one["id"], one["name"], f"{one['size_gib']} GiB", one["type"], one["zone"], attached, root)


def _vpc(one: Mapping[str, Any]) -> str:
    return _joined(one["id"], one["name"], one["cidr"])


def _subnet(one: Mapping[str, Any]) -> str:
    return _joined(one["id"], one["name"], one["zone"], one["cidr"], one["vpc_id"])


def _joined(*parts: Any) -> str:
    return " · ".join(str(part) for part in parts if part)


_LABELS = {"instances": _instance, "volumes": _volume, "vpcs": _vpc, "subnets": _subnet}

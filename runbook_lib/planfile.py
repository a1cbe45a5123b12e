"""Read a Terraform plan: count it, guard it, redact it, digest it.

Pure: takes the JSON that ``terraform show -json`` printed and touches nothing.
Source: https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from runbook_lib.errors import TerraformError
from runbook_lib.model import Check, PlanSummary, ResourceChange
from runbook_lib.plan_rules import RULES, Plan, managed_changes

REDACTED = "(sensitive)"
_SHORTEST_SENSITIVE = 8
_QUIET = (["no-op"], ["read"])


def summarize(plan: Plan) -> PlanSummary:
    """Count a plan and list what it would change.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.

    Returns:
        The counts, and the changes sorted by address. An import that changes nothing is listed: it is no empty plan.

    Raises:
        TerraformError: When the JSON has a format this module does not know.
    """
    version = str(plan.get("format_version", ""))
    if version.partition(".")[0] != "1":
        raise TerraformError("show", [f"expected a plan in JSON format 1.x, observed {version or 'none'}"])
    changes = sorted(
        (_resource_change(raw) for raw in managed_changes(plan) if _is_change(raw)), key=lambda c: c.address
    )
    return PlanSummary(
        add=sum("create" in change.actions for change in changes),
        change=sum("update" in change.actions for change in changes),
        destroy=sum("delete" in change.actions for change in changes),
        imported=sum(change.importing for change in changes),
        changes=tuple(changes),
    )


def guard(plan: Plan, *, allow_delete: bool = False, allow_imds_v1: bool = False) -> list[Check]:
    """Look for everything in a plan that could cost data or start a second writer.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.
        allow_delete: Accept deleting what holds no data; for taking the target down, never for a change of it.
        allow_imds_v1: Accept ``http_tokens = optional``, which the stock plugin needs.

    Returns:
        One check per rule, failed where the plan breaks it.
    """
    return [check for rule in RULES for check in rule(plan, allow_delete=allow_delete, allow_imds_v1=allow_imds_v1)]


def guard_import_only(plan: Plan, volume_id: str) -> list[Check]:
    """Look whether a plan imports exactly this volume and changes nothing at all.

    A change of ``final_snapshot`` is refused like any other: applying it calls ModifyVolume on the data volume.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.
        volume_id: The data volume.

    Returns:
        Two checks: what is imported, and what else would happen.
    """
    raw = managed_changes(plan)
    imported = sorted(f"{r['type']} {r['change']['importing'].get('id')}" for r in raw if r["change"].get("importing"))
    changed = sorted(f"{r['address']} ({_describe(r)})" for r in raw if r["change"]["actions"] not in _QUIET)
    return [
        Check(
            check_id="plan-imports-the-volume",
            passed=imported == [f"aws_ebs_volume {volume_id}"],
            expected=f"exactly one import: aws_ebs_volume {volume_id}",
            observed=", ".join(imported) or "no import",
            why="another volume in Terraform's state would be changed by the next apply in this one's place",
            fix="set volume.volume_id to the volume that the service runs on and plan again",
        ),
        Check(
            check_id="plan-changes-nothing",
            passed=not changed,
            expected="no change beside the import",
            observed="; ".join(changed) or "no change",
            why="an adoption that changes the volume is a change of live data",
            fix="make parameters and adopted_volume say what EC2 reports, then plan again",
        ),
    ]


def redact(plan: Plan) -> dict[str, Any]:
    """Return a copy of a plan in which every sensitive value is replaced.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.

    Returns:
        A copy that may be archived.
    """
    copy: dict[str, Any] = json.loads(json.dumps(plan))
    for raw in [*copy.get("resource_changes", []), *copy.get("resource_drift", [])]:
        _redact_change(raw["change"])
    for change in copy.get("output_changes", {}).values():
        _redact_change(change)
    declared = copy.get("configuration", {}).get("root_module", {}).get("variables", {})
    for name, variable in copy.get("variables", {}).items():
        if declared.get(name, {}).get("sensitive"):
            variable["value"] = REDACTED
    for values in (copy.get("planned_values", {}), copy.get("prior_state", {}).get("values", {})):
        _redact_values(values)
    return copy


def sensitive_texts(plan: Plan) -> set[str]:
    """Return the texts that a plan marks as sensitive, so that they can be kept out of everything else.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.

    Returns:
        Every text of eight or more characters that `redact` replaces; a shorter one is as likely an ordinary word.
    """
    return {text for text in _replaced(plan, redact(plan)) if len(text) >= _SHORTEST_SENSITIVE}


def _replaced(before: Any, after: Any) -> Iterator[str]:
    """Yield every text of a value that its redacted copy does not show."""
    if isinstance(before, dict):
        for name, item in before.items():
            yield from _replaced(item, after[name] if isinstance(after, dict) else REDACTED)
    elif isinstance(before, list):
        for index, item in enumerate(before):
            yield from _replaced(item, after[index] if isinstance(after, list) else REDACTED)
    elif isinstance(before, str) and after == REDACTED != before:
        yield before


def digest(plan: Plan) -> str:
    """Return the SHA-256 of what a plan would do, for approvals.

    Two plans that would do the same have the same digest: order, times and everything that stays as it is do not count.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.

    Returns:
        64 hexadecimal digits.
    """
    acts = [
        {
            "address": raw["address"],
            "type": raw["type"],
            "actions": raw["change"]["actions"],
            "importing": raw["change"].get("importing"),
            "before": raw["change"].get("before"),
            "after": raw["change"].get("after"),
            "after_unknown": raw["change"].get("after_unknown"),
        }
        for raw in managed_changes(plan)
        if _is_change(raw)
    ]
    outputs = {
        name: [change["actions"], change.get("after")]
        for name, change in plan.get("output_changes", {}).items()
        if change["actions"] != ["no-op"]
    }
    ordered = {"acts": sorted(acts, key=lambda act: str(act["address"])), "outputs": outputs}
    return hashlib.sha256(json.dumps(ordered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_change(raw: Mapping[str, Any]) -> bool:
    return raw["change"]["actions"] not in _QUIET or bool(raw["change"].get("importing"))


def _resource_change(raw: Mapping[str, Any]) -> ResourceChange:
    change = raw["change"]
    return ResourceChange(
        address=raw["address"],
        resource_type=raw["type"],
        actions=tuple(change["actions"]),
        importing=bool(change.get("importing")),
        changed_attributes=tuple(changed_attributes(change)),
    )


def changed_attributes(change: Mapping[str, Any]) -> list[str]:
    """Return the top-level attributes in which before and after of one change differ, sorted."""
    before, after = change.get("before"), change.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    unknown = {name for name, value in (change.get("after_unknown") or {}).items() if value not in (False, [], {})}
    return sorted({name for name in {*before, *after} if before.get(name) != after.get(name)} | unknown)


def _describe(raw: Mapping[str, Any]) -> str:
    names = changed_attributes(raw["change"])
    return " and ".join(raw["change"]["actions"]) + (f" of {', '.join(names)}" if names else "")


def _redact_change(change: dict[str, Any]) -> None:
    for side in ("before", "after"):
        if side in change:
            change[side] = _redacted(change[side], change.get(f"{side}_sensitive", False))


def _redact_values(values: dict[str, Any]) -> None:
    """Redact outputs and resources of a values representation, in place, module by module."""
    for output in values.get("outputs", {}).values():
        if output.get("sensitive"):
            output["value"] = REDACTED
    modules = [values.get("root_module", {})]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        for resource in module.get("resources", []):
            resource["values"] = _redacted(resource.get("values"), resource.get("sensitive_values", False))


def _redacted(value: Any, sensitive: Any) -> Any:
    """Return a value without what its mask marks; the mask has the value's shape, and True where a secret is."""
    if sensitive is True:
        return None if value is None else REDACTED
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {name: _redacted(item, sensitive.get(name, False)) for name, item in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        masks = [*sensitive, *([False] * (len(value) - len(sensitive)))]
        return [_redacted(item, mask) for item, mask in zip(value, masks, strict=False)]
    return value

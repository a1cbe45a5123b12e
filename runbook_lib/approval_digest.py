"""What an approval covers: parts that can be compared one by one, and one digest over all of them.

Pure. Everything is read from the journal, so whoever approves on another machine gets the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.model import Event

PLAN = "Terraform plan"
_SHOWN = 12
_LONG = 40
"""A git commit or a digest; only its beginning is shown."""


def find_parts(events: Sequence[Event], notebook: str, plan_sha256: str = "") -> dict[str, str]:
    """Return what an approval of a notebook covers at this moment.

    Args:
        events: The journal, oldest first.
        notebook: The notebook that is to change something.
        plan_sha256: Digest of the canonical Terraform plan that it is about to apply; "" when it applies none.

    Returns:
        Values by what they are, for people: digests, ids, versions. Parameters are those of `parameters.yaml`, in which
        secrets are references.
    """
    opened = next((event.fields for event in reversed(events) if event.kind == "run-opened"), {})
    parts = {
        "run": str(opened.get("run_id", "")),
        "notebook": notebook,
        PLAN: plan_sha256,
        "Terraform plan applied before": _applied_before(events, notebook),
        "parameters": str(opened.get("parameters_sha256", "")),
        "library": str(opened.get("library_sha256", "")),
        "library version": str(opened.get("library_version", "")),
        "git commit": str(opened.get("git_commit", "")),
    }
    notebooks: Mapping[str, str] = opened.get("notebooks_sha256", {})
    targets: Mapping[str, str] = opened.get("targets", {})
    parts |= {f"notebook {name}": str(notebooks[name]) for name in sorted(notebooks)}
    return parts | {f"target {name}": str(targets[name]) for name in sorted(targets)}


def digest_of(parts: Mapping[str, str]) -> str:
    """Return the digest that is approved.

    Args:
        parts: As `find_parts`.

    Returns:
        SHA-256 in hex of the parts as JSON with sorted keys.
    """
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def find_changed(approved: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what is not as it was approved, one text per part.

    Args:
        approved: The parts that were approved.
        now: The parts at this moment. An act that applies no plan is covered whatever plan was approved with it.

    Returns:
        Texts such as `parameters: was 1a2b…, is 3c4d…`; empty when the approval covers what is now.
    """
    names = [name for name in {**approved, **now} if approved.get(name, "") != now.get(name, "")]
    if not now.get(PLAN):
        names = [name for name in names if name != PLAN]
    return [f"{name}: was {_shown(approved.get(name, ''))}, is {_shown(now.get(name, ''))}" for name in names]


def _applied_before(events: Sequence[Event], notebook: str) -> str:
    """Return the digest of the newest plan that another notebook of this run applied, "" when none did."""
    acting, applied = "", ""
    for event in events:
        if event.kind == "step":
            acting = str(event.fields.get("notebook", ""))
        elif event.kind == "terraform" and event.fields.get("action") == "apply" and acting != notebook:
            applied = str(event.fields.get("plan_sha256", ""))
    return applied


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:_SHOWN]}…" if len(text) >= _LONG else text or "none"

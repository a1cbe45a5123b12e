"""What was verified on the target before the start, and what it must be: the stopped source's manifest, by digests.

Reads the journal and, before the outage, which images a host has; changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import driver_of

if TYPE_CHECKING:
    from runbook_lib.run import Run

WHY = "the application would start on data that is not what the source left"
FIX = (
    "runbook roll-back: compose starts on this volume as it is, so nothing is lost, whatever wrote since the source "
    "stopped (after a way back that stopped half-way, that was the service on the target)"
)


def observe_proof(run: Run) -> dict[str, Any]:
    """Return what was verified on the target before the start, and what it must be.

    Args:
        run: The open run.

    Returns:
        Keys `proof` (fields of the newest `before-start` event after the newest manifest of the stopped source, or
        None), `proof_seq` (its number in the journal, 0 without one), `expected`.
    """
    volume, sentinel = run.journal.last("volume"), run.journal.last("sentinel")
    before = run.journal.last("manifest", phase="before")
    event = run.journal.last("before-start")
    current = event if event and before and event.seq > before.seq else None
    fields = before.fields if before else {}
    return {
        "proof": current.fields if current else None,
        "proof_seq": current.seq if current else 0,
        "expected": {
            "volume_id": run.parameters.volume.volume_id,
            "filesystem_uuid": volume.fields["filesystem_uuid"] if volume else "",
            "sentinel_sha256": sentinel.fields["sha256"] if sentinel else "",
            "metadata_sha256": fields.get("metadata_sha256", ""),
            "entries": fields.get("entries", 0),
            "groups": fields.get("groups", {}),
        },
    }


def hosts_without_image(run: Run, instance_ids: Sequence[str]) -> list[str]:
    """Return the container instances that lack the image of the container that holds the volume.

    Args:
        run: The open run.
        instance_ids: The container instances.

    Returns:
        Their ids; none where the driver needs no container.
    """
    image = driver_of(run).gate().get("image")
    if not image:
        return []
    return [one for one in instance_ids if not run.host(one).run("inspect_image", image=image)["present"]]


def check_gate_image(without: Sequence[str]) -> Check:
    """Return whether the volume can be held on every ready host without pulling anything.

    Args:
        without: As `hosts_without_image`.

    Returns:
        The check.
    """
    return Check(
        "gate-image-present",
        passed=not without,
        expected="the image that holds the volume while it is verified (storage.rexray.gate_image) on the host",
        observed=f"missing on {', '.join(without)}" if without else "present",
        why="a pull inside the outage takes time, and can fail",
        fix="docker pull it on the host, or name an image that is there in storage.rexray.gate_image",
    )


def check_proof(facts: Facts) -> Sequence[Check]:
    """Return whether the target's host sees exactly what the source left.

    Args:
        facts: As `observe_proof`.

    Returns:
        Six checks.
    """
    proof, expected = facts["proof"] or {}, facts["expected"]
    pairs = (
        ("volume-is-this-one", expected["volume_id"], proof.get("volume_id")),
        ("filesystem-is-this-one", expected["filesystem_uuid"], proof.get("filesystem_uuid")),
        ("sentinel-present", expected["sentinel_sha256"], proof.get("sentinel_sha256")),
        ("metadata-identical", _metadata(expected), _metadata(proof)),
    )
    below = proof.get("below_mount", "")
    return (
        *(
            Check(check_id, passed=bool(want) and want == got, expected=want, observed=got or "none", why=WHY, fix=FIX)
            for check_id, want, got in pairs
        ),
        Check(
            "root-of-filesystem",
            passed=bool(proof) and not below,
            expected="the volume's root",
            observed=f"directory {below!r} of the volume" if below else "the volume's root" if proof else "none",
            why=WHY,
            fix=FIX,
        ),
        _check_contents(proof, expected),
    )


def _metadata(facts: Facts) -> str:
    """Return the digest of all metadata with the number of entries, "" when it is not known."""
    digest = facts.get("metadata_sha256", "")
    return f"{facts.get('entries')} entries, {digest[:16]}" if digest else ""


def _check_contents(proof: Facts, expected: Facts) -> Check:
    """Return whether the contents that were read are those of the source, group by group."""
    groups = proof.get("groups", {})
    differs = sorted(name for name, group in groups.items() if group != expected["groups"].get(name))
    lacks = [name for name in ("changed",) if name in expected["groups"] and name not in groups]
    wrong = differs + lacks
    read = f"{proof.get('changed_files', 0)} changed files and a sample of {proof.get('sampled_files', 0)}"
    return Check(
        "contents-identical",
        passed=bool(proof) and "groups" in proof and not wrong,
        expected="what changed since the hot manifest, and every sample, with the digests of the source",
        observed=f"identical: {read}" if proof and not wrong else f"different: {', '.join(wrong) or 'not read'}",
        why=WHY,
        fix=FIX,
    )


def is_proved(facts: Facts) -> bool:
    """Return whether the proof is there and every check of it passes.

    Args:
        facts: As `observe_proof`.

    Returns:
        True when so.
    """
    return bool(facts["proof"]) and all(check.passed for check in check_proof(facts))

"""The machine image of the hosts: which one they run, which one they shall run, and how the two differ.

Keeps evidence, changes nothing. The image is chosen once per run; the former one is kept for the way back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import AwsError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import found, observe_volume
from runbook_lib.procedures.provision_target import AMI_PARAMETER
from runbook_lib.procedures.storage_drivers import CHANGE, PATCH, observe_hosts

if TYPE_CHECKING:
    from runbook_lib.run import Run

_KERNEL = re.compile(r"kernel-(\d+(?:\.\d+)*)")
_TOLD = "/recommended"
_PINNED = "target.ami_id"


def choose_host_image(run: Run) -> dict[str, Any]:
    """Return the machine image that the hosts shall have, chosen once per run and then kept.

    Args:
        run: The open run.

    Returns:
        Keys `ami_id`, `source`, `former_ami_id` (of the host that has the volume), `own` (whether this run moved the
        volume, or prepared a move, for no other reason before), `wanted_still` (whether the parameters ask for it).

    Changes:
        Evidence `host-image` and `machine-image`, unless the run is not its own.
    """
    pinned = run.parameters.target.ami_id
    if run.journal.last("evidence", name=PATCH) is not None:
        noted = dict(run.evidence(PATCH))
        asked = {noted["ami_id"]} if noted["source"] == _PINNED else {noted["ami_id"], None}
        return noted | {"own": True, "wanted_still": pinned in asked}
    facts = {
        "ami_id": pinned or run.aws.parameter(AMI_PARAMETER),
        "source": _PINNED if pinned else AMI_PARAMETER,
        "former_ami_id": _serving_image(run),
    }
    moved = run.journal.last("manifest", phase="before") or run.journal.last("evidence", name=CHANGE)
    if moved is None:
        run.keep_evidence(PATCH, facts)
        run.keep_evidence("machine-image", {"ami_id": facts["ami_id"], "source": facts["source"]})
    return facts | {"own": moved is None, "wanted_still": True}


def _serving_image(run: Run) -> str:
    """Return the machine image of the host that has the volume, else of any host."""
    holder, hosts = observe_volume(run)["holder"], observe_hosts(run)
    serving = [host for host in hosts if host["instance_id"] == holder] or hosts
    return str(serving[0]["ami_id"]) if serving else ""


def describe_images(run: Run, chosen: Facts, hosts: Sequence[Facts]) -> dict[str, Any]:
    """Return what is known of the former and the wanted machine image.

    Args:
        run: The open run.
        chosen: As `choose_host_image`.
        hosts: As `observe_hosts`.

    Returns:
        Keys `former` and `wanted`, each with `ami_id, name, state, architecture, created_utc, age_days, kernel,
        agent_version, docker_version`; what nobody tells is "", the age then None.
    """
    running: dict[str, Any] = next((dict(host) for host in hosts if host["ami_id"] == chosen["former_ami_id"]), {})
    told = _recommended(run) if chosen["source"] == AMI_PARAMETER else {}
    if told.get("image_id") != chosen["ami_id"]:
        told = {}
    return {
        "former": _describe(run, chosen["former_ami_id"])
        | {"agent_version": running.get("agent_version", ""), "docker_version": running.get("docker_version", "")},
        "wanted": _describe(run, chosen["ami_id"])
        | {
            "agent_version": told.get("ecs_agent_version", ""),
            "docker_version": told.get("ecs_runtime_version", "").removeprefix("Docker version "),
        },
    }


def _recommended(run: Run) -> dict[str, str]:
    """Return what AWS tells of the newest image beside its id; {} where nobody may read it."""
    try:
        told: dict[str, str] = json.loads(run.aws.parameter(AMI_PARAMETER.partition(_TOLD)[0] + _TOLD))
    except (AwsError, ValueError):
        return {}
    return told


def _describe(run: Run, ami_id: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"ami_id": ami_id, "name": "", "state": "", "architecture": "", "created_utc": ""}
    facts = nothing | (found(lambda: run.ec2.describe_machine_image(ami_id)) if ami_id else {})
    kernel, created = _KERNEL.search(facts["name"]), facts["created_utc"]
    age = (run.clock.now_utc() - run.clock.parse(created)).days if created else None
    return facts | {"kernel": kernel[1] if kernel else "", "age_days": age}


def say_image(image: Facts) -> str:
    """Return a machine image in a few words.

    Args:
        image: One of `describe_images`.

    Returns:
        Its id, and in brackets what is known of it.
    """
    words = [
        image["name"],
        "" if image["age_days"] is None else f"{image['age_days']} days old",
        image["agent_version"] and f"agent {image['agent_version']}",
        image["docker_version"] and f"Docker {image['docker_version'].removeprefix('DockerVersion: ')}",
        image["kernel"] and f"kernel {image['kernel']}",
    ]
    return f"{image['ami_id']} ({', '.join(filter(None, words)) or 'nothing known of it'})"


def check_images(facts: Facts) -> Sequence[Check]:
    """Return whether hosts of the wanted image can take the place of those that run.

    Args:
        facts: Keys `chosen` (as `choose_host_image`), `images` (as `describe_images`).

    Returns:
        Four checks.
    """
    former, wanted = facts["images"]["former"], facts["images"]["wanted"]
    return (
        Check(
            "run-of-its-own",
            passed=bool(facts["chosen"]["own"]),
            expected="a run that has not moved the volume before",
            observed="so" if facts["chosen"]["own"] else "this run has",
            why="its manifest and its rollback point speak of that other move",
            fix="run 60_patch_hosts without --run-id",
        ),
        Check(
            "machine-image-of-this-run",
            passed=bool(facts["chosen"]["wanted_still"]),
            expected=f"target.ami_id as when this run chose {wanted['ami_id']} (from {facts['chosen']['source']})",
            observed="so" if facts["chosen"]["wanted_still"] else "another one, accepted when the run was resumed",
            why="the hosts that this run launched have the image that it chose",
            fix="put target.ami_id back and resume; for another image run 60_patch_hosts without --run-id afterwards",
        ),
        Check(
            "machine-image-available",
            passed=wanted["state"] == "available",
            expected=f"{wanted['ami_id']} available to this account in this Region",
            observed=wanted["state"] or "not there",
            why="no host could be launched from it",
            fix="correct target.ami_id, or leave it out for the newest ECS-optimized Amazon Linux 2023",
        ),
        Check(
            "machine-image-fits",
            passed=not former["architecture"] or wanted["architecture"] == former["architecture"],
            expected=former["architecture"] or "an architecture",
            observed=wanted["architecture"] or "unknown",
            why="the instance types, the container image and the plugin are of that architecture",
            fix="name an image of the same architecture in target.ami_id",
        ),
    )

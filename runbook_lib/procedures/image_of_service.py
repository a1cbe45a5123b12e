"""The container image of the service: which one runs, which one shall run, and what its tag means.

A tag is resolved by pulling it on the host: the digest is what was pulled, and is kept for the run. Everything
afterwards names the digest, so that what was looked at is what runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_container_hosts
from runbook_lib.procedures.pull_images import pull
from runbook_lib.procedures.storage_drivers import volume_of
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "61_deploy_image"
PULL_ID = "pull-new-image"
DEPLOYMENT = "deployment"
"""Evidence: the revision and the image that ran when the run began, for the way back."""
IMAGE = "deployed-image"
"""Evidence: the image that was asked for and the digest that it had when it was pulled."""
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG = re.compile(r":[^:/]+$")


def wanted_image(run: Run) -> str:
    """Return the image that the service shall run.

    Args:
        run: The open run.

    Returns:
        By its digest when that is known, else as the parameters name it, else "".
    """
    if run.journal.last("evidence", name=IMAGE) is not None:
        return str(run.evidence(IMAGE)["image"])
    return str(run.parameters.target.image or "")


def serving_image(definition: Facts) -> str:
    """Return the image of the container that mounts the volume.

    Args:
        definition: As `Ecs.task_definition`.

    Returns:
        The reference, "" when no container mounts it.
    """
    name = volume_of(definition)["volume_name"]
    serving = [one for one in definition["containerDefinitions"] if _mounts(one, name)]
    return str(serving[0]["image"]) if serving else ""


def _mounts(container: Facts, volume_name: str) -> list[Facts]:
    return [mount for mount in container.get("mountPoints", []) if mount["sourceVolume"] == volume_name]


def with_image(mapping: Facts, image: str) -> dict[str, Any]:
    """Return the containers of a task with another image in the one that serves.

    Args:
        mapping: Evidence `task-mapping`.
        image: The image.

    Returns:
        The mapping, copied.
    """
    definitions = [
        {**one, "image": image} if one["name"] == mapping["container_name"] else one
        for one in mapping["container_definitions"]
    ]
    return {**mapping, "container_definitions": definitions, "image": image}


def by_digest(image: str, repo_digests: Sequence[str]) -> str:
    """Return an image by the digest that it has in its repository.

    Args:
        image: As it was asked for, by tag or digest.
        repo_digests: As Docker lists them, `repository@sha256:…`.

    Returns:
        `repository@sha256:…`, "" when the image came from no registry.
    """
    if _DIGEST.search(image):
        return image
    repository = _TAG.sub("", image)
    return next((one for one in repo_digests if one.rpartition("@")[0] == repository), "")


def digest_on(run: Run, instance_id: str, image: str) -> str:
    """Return an image by digest as a host has it.

    Args:
        run: The open run.
        instance_id: The host.
        image: By tag or digest.

    Returns:
        `repository@sha256:…`, "" when the host lacks it.
    """
    facts = run.host(instance_id).run("inspect_image", image=image)
    return by_digest(image, facts["repo_digests"]) if facts["present"] else ""


def _observe(run: Run) -> dict[str, Any]:
    """Return the image, by digest once it was pulled, and which hosts have it."""
    known, image = run.journal.last("evidence", name=IMAGE) is not None, wanted_image(run)
    hosts = [host["instance_id"] for host in observe_container_hosts(run)]
    there = [one for one in hosts if image and digest_on(run, one, image)]
    return {"asked": str(run.parameters.target.image or ""), "known": known, "image": image, "hosts": hosts,
            "there": there}  # fmt: skip


def _is_there(facts: Facts) -> bool:
    """Return whether the digest is known, and on every host; a tag says nothing of what it means by now."""
    return facts["known"] and bool(facts["hosts"]) and facts["there"] == facts["hosts"]


def _check(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "container-instance-known",
            passed=bool(facts["hosts"]),
            expected="a container instance to pull to",
            observed=describe_fact(list(facts["hosts"])),
            fix="read the cluster's events; the service needs a host",
        ),
    )


def _pull(run: Run, before: Facts) -> None:
    """Pull on every host what was asked for; the first answer says which digest it is, and the others get that one."""
    for instance_id in before["hosts"]:
        image = wanted_image(run)
        pulled = pull(run, instance_id, image)
        digest = by_digest(image, pulled["repo_digests"])
        if digest and run.journal.last("evidence", name=IMAGE) is None:
            names = {"asked": before["asked"], "image": digest, "image_id": pulled["image_id"]}
            run.keep_evidence(IMAGE, names | {"architecture": pulled["architecture"]})
            if digest != image:  # so that the host knows it by the name that the task will ask for
                pull(run, instance_id, digest)


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "image-resolved",
            passed=after["known"],
            expected=f"the digest of {after['asked']}",
            observed=after["image"] if after["known"] else "none",
            why="a tag may mean another image when the next task starts",
            fix="push the image to a registry; one that was built on the host has no digest",
        ),
        Check(
            "image-pulled",
            passed=_is_there(after),
            expected=f"{after['image']} on {', '.join(after['hosts'])}",
            observed=", ".join(after["there"]) or "on none",
            why="a pull inside the outage makes it minutes longer",
            fix="check the registry and the instance's network",
        ),
    )


PULL_NEW_IMAGE = Step(
    PULL_ID,
    NOTEBOOK,
    "Pull the image on the host, and note which digest it is",
    _observe,
    lambda facts: f"Pull {facts['image'] or 'the image'} on {', '.join(facts['hosts']) or 'the host'}.",
    _pull,
    is_done=_is_there,
    check=_check,
    verify=_verify,
)

"""Provisioning, last: the images of all containers on every container instance, before the outage. Also used by 65."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.checks_words import describe_fact
from runbook_lib.errors import HostCommandError, TakenBackError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_container_hosts
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "10_provision_target"
PROVISION = "provision-target"


def observe_image(run: Run) -> dict[str, Any]:
    """Return whether the images of all containers are on every container instance.

    Args:
        run: The open run.

    Returns:
        Keys `image` (all, as one text), `hosts` (instance id → image → image id or "").
    """
    images = list(dict.fromkeys(one["image"] for one in run.evidence("task-mapping")["container_definitions"]))
    hosts: dict[str, dict[str, str]] = {}
    for host in observe_container_hosts(run):
        found = hosts[host["instance_id"]] = {}
        for image in images:
            facts = run.host(host["instance_id"]).run("inspect_image", image=image)
            found[image] = facts["image_id"] if facts["present"] else ""
    return {"image": ", ".join(images), "hosts": hosts}


def _is_image_there(facts: Facts) -> bool:
    return bool(facts["hosts"]) and all(all(images.values()) for images in facts["hosts"].values())


def _check_image(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "container-instance-known",
            passed=bool(facts["hosts"]),
            expected="a container instance to pull to",
            observed=", ".join(facts["hosts"]) or "none",
            fix="run 10_provision_target from the top",
            needs=PROVISION,
        ),
    )


def _plan_image(facts: Facts) -> str:
    return f"Pull {facts['image']} on {', '.join(facts['hosts']) or 'the container instance'} before the outage."


def _pull_image(run: Run, before: Facts) -> None:
    """Pull each image on every container instance that lacks it.

    Args:
        run: The open run.
        before: As `observe_image`.

    Changes:
        Images on the hosts.
    """
    for instance_id, images in before["hosts"].items():
        for image in sorted(image for image, image_id in images.items() if not image_id):
            pull(run, instance_id, image)


def pull(run: Run, instance_id: str, image: str) -> dict[str, Any]:
    """Pull an image on a host.

    Args:
        run: The open run.
        instance_id: The host.
        image: By tag or digest.

    Returns:
        As host script `pull_image`.

    Raises:
        TakenBackError: when it cannot be pulled; what that leaves, and what to do.

    Changes:
        Images on the host.
    """
    region = run.parameters.aws.region if ".dkr.ecr." in image else None
    try:
        return run.host(instance_id).run("pull_image", timeout_s=900, image=image, login=region)
    except HostCommandError as error:
        raise TakenBackError(
            f"{error}. The service and the volume are as they were; {instance_id} may hold a part of the image. Make "
            "room there, or mend what Docker says of registry and network; then `runbook resume`"
        ) from error


def _verify_image(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "image-pulled",
            passed=_is_image_there(after),
            expected=f"{after['image']} on every container instance",
            observed="; ".join(f"{host}: {describe_fact(images)}" for host, images in after["hosts"].items())
            or "no host",
            why="a pull inside the outage makes it minutes longer",
            fix="check the registry and the instance's network",
        ),
    )


PULL_IMAGE = Step(
    "pull-image",
    NOTEBOOK,
    "Pull the container images on the container instance",
    observe_image,
    _plan_image,
    _pull_image,
    is_done=_is_image_there,
    check=_check_image,
    verify=_verify_image,
)

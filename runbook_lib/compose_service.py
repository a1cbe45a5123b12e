"""Map what one compose service says by itself: its keys, image, environment, secrets and resources.

Pure. Values that look like secrets never reach the definition: they are refused unless the parameters hold a reference.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Protocol

from runbook_lib.compose_convert import DROPPED, MAPPED, Draft
from runbook_lib.compose_keys import IN_CONTEXT, KEYS
from runbook_lib.compose_values import read_pairs
from runbook_lib.parameters import Parameters, secret_in

DEFAULT_CPU = 256
_SECRETS_FOLDER = "/run/secrets"


class Replacements(Protocol):
    """What the parameters put in the place of a compose service's values: `target`, or one of its other_containers."""

    image: str | None
    cpu: int | None
    memory_mib: int | None
    environment: dict[str, str]
    secrets: dict[str, str]
    not_secret: tuple[str, ...]


def replacements_of(name: str, parameters: Parameters) -> tuple[Replacements, str]:
    """Return what replaces a service's values, and what that section is called.

    Args:
        name: The service.
        parameters: The migration.

    Returns:
        The section, and for example ``target.other_containers.db``.
    """
    target = parameters.target
    if name == parameters.source.service:
        return target, "target"
    return target.other(name), f"target.other_containers.{name}"


def map_keys(service: Mapping[str, Any], draft: Draft) -> None:
    """Map every key that needs nothing but its own value.

    Args:
        service: Configuration of the service.
        draft: Its container definition.
    """
    for key, value in sorted(service.items()):
        if key in IN_CONTEXT or _is_absent(key, value):
            continue
        known = KEYS.get(key)
        if known is None:
            draft.refuse(key, "unknown to this release, and leaving it out could change the service; remove it")
            continue
        try:
            known.apply(key, value, draft)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            draft.refuse(key, f"cannot be read ({error}); correct it")


def _is_absent(key: str, value: Any) -> bool:
    """Return whether a key says nothing; an empty command or entrypoint says that the image's is cleared."""
    cleared = key in ("command", "entrypoint") and value is not None
    return key.startswith("x-") or (not cleared and value in (None, False, "", 0, [], {}))


def map_image(service: Mapping[str, Any], parameters: Parameters, draft: Draft) -> None:
    """Map the image that the container runs.

    Args:
        service: Configuration of the service.
        parameters: The migration.
        draft: Its container definition.
    """
    replaced, where = replacements_of(draft.service, parameters)
    image = replaced.image or service.get("image")
    if not image:
        draft.refuse("image", f"the service is built, not pulled; push the image to a registry and set {where}.image")
        return
    draft.put("image", "image", image, f"{where}.image replaces it." if replaced.image else "")


def map_environment(service: Mapping[str, Any], parameters: Parameters, draft: Draft) -> None:
    """Map variables and secrets.

    Args:
        service: Configuration of the service.
        parameters: The migration.
        draft: Its container definition.
    """
    replaced, where = replacements_of(draft.service, parameters)
    found = read_pairs(service.get("environment") or {})
    for name in _map_secret_files(service, found, replaced, where, draft):
        del found[name]
    values: dict[str, str] = {}
    for name in sorted(found.keys() | replaced.environment.keys() | replaced.secrets.keys()):
        key = f"environment.{name}"
        value = replaced.environment.get(name, found.get(name))
        if name in replaced.secrets:
            secret = {"name": name, "valueFrom": secret_arn(replaced.secrets[name], parameters)}
            draft.definition.setdefault("secrets", []).append(secret)
            draft.note(key, MAPPED, "secrets", "Read from its reference when the task starts.")
        elif value is None:
            draft.refuse(key, f"its value comes from whoever starts compose; set it in {where}.environment.{name}")
        elif reason := secret_in(name, str(value), not_secret=name in replaced.not_secret):
            fix = f"name a reference in {where}.secrets.{name}, or {where}.not_secret if it is none"
            draft.refuse(key, f"{reason}; {fix}")
        else:
            values[name] = str(value).lower() if isinstance(value, bool) else str(value)
            draft.note(key, MAPPED, "environment", f"{where}.environment replaces it." * (name in replaced.environment))
    if values:
        draft.definition["environment"] = [{"name": name, "value": text} for name, text in values.items()]


def _map_secret_files(
    service: Mapping[str, Any], variables: Mapping[str, Any], replaced: Replacements, where: str, draft: Draft
) -> list[str]:
    """Map secrets that are files; return the variables that name a file and that a variable with the secret replaces.

    ECS gives a secret as a variable. Where NAME_FILE names the file, NAME holds the secret by the images' convention.
    """
    left_out = []
    for index, entry in enumerate(service.get("secrets") or ()):
        given = entry if isinstance(entry, Mapping) else {"source": entry}
        path = posixpath.join(_SECRETS_FOLDER, given.get("target") or given["source"])
        readers = sorted(name for name, value in variables.items() if value == path and name.endswith("_FILE"))
        wanted = [name.removesuffix("_FILE") for name in readers]
        key = f"secrets[{index}]"
        if not readers:
            fix = "ECS gives secrets as variables; let the image read a variable instead of"
            draft.refuse(key, f"{fix} {path}, name it in {where}.secrets, and remove the file")
        elif missing := [name for name in wanted if name not in replaced.secrets]:
            draft.refuse(
                key, f"put it into SSM Parameter Store or Secrets Manager, name it in {where}.secrets.{missing[0]}"
            )
        else:
            names = ", ".join(wanted)
            draft.note(key, MAPPED, "secrets", f"No file any more: the image must read {names} itself.")
            for name in readers:
                draft.note(f"environment.{name}", DROPPED, "", f"{name.removesuffix('_FILE')} holds the secret itself.")
            left_out += readers
    return left_out


def secret_arn(reference: str, parameters: Parameters) -> str:
    """Return what ECS reads a secret by.

    Args:
        reference: ``ssm:<name>`` or ``secretsmanager:<ARN>``.
        parameters: The migration, for account and Region.

    Returns:
        The ARN; for Secrets Manager possibly with ``:<JSON key>:<stage>:<version>`` behind it.
    """
    kind, _, name = reference.partition(":")
    if kind == "secretsmanager":
        return name
    region = parameters.aws.region
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
    return f"arn:{partition}:ssm:{region}:{parameters.aws.account_id}:parameter/{name.removeprefix('/')}"


def map_resources(parameters: Parameters, draft: Draft) -> None:
    """Map memory and processors, which the parameters may replace; a memory limit must be there.

    Args:
        parameters: The migration.
        draft: The container definition, with the compose file's limits.
    """
    (replaced, where), definition = replacements_of(draft.service, parameters), draft.definition
    if replaced.memory_mib:
        definition["memory"] = replaced.memory_mib
        draft.note("(memory)", MAPPED, "memory", f"From {where}.memory_mib.")
    elif "memory" not in definition:
        draft.refuse("(memory)", f"compose sets no limit and ECS needs one; set {where}.memory_mib")
    definition["cpu"] = replaced.cpu or definition.get("cpu", DEFAULT_CPU)
    if definition.get("memoryReservation", 0) > definition.get("memory", 0):
        draft.refuse("(memory)", f"the reservation is more than the limit; correct {where}.memory_mib")

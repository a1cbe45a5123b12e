"""Make moto's custom attributes of container instances those of Amazon ECS, and refuse what it refuses.

Replaces PutAttributes and DeleteAttributes. Source: Amazon ECS API reference, "PutAttributes", "DeleteAttributes",
"Attribute": a custom attribute is deleted by its name, without a value.
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

from runbook_lib.sandbox.backends import operations

MOST = 10
NAME, VALUE = re.compile(r"[\w./\\-]{1,128}", re.ASCII), re.compile(r"(?! )[\w.@/\\: -]{0,128}(?<! )", re.ASCII)
RESERVED = ("ecs.", "com.amazonaws.")


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS response class, for the whole process.
    """
    operations(EC2ContainerServiceResponse, put_attributes=_put, delete_attributes=_delete)


def _put(response: Any) -> Any:
    asked = _asked(response)
    for instance, attribute in asked:
        value = attribute.get("value")
        if not NAME.fullmatch(attribute["name"]) or (value is not None and not VALUE.fullmatch(value)):
            raise InvalidParameterException(f"The attribute {attribute['name']} = {value!r} is not valid.")
        instance.attributes[attribute["name"]] = value
    return ActionResult({"attributes": [attribute for _instance, attribute in asked]})


def _delete(response: Any) -> Any:
    asked = _asked(response)
    for instance, attribute in asked:
        if "value" in attribute:
            raise InvalidParameterException("Don't specify the value of a custom attribute that is to be deleted.")
        instance.attributes.pop(attribute["name"], None)
    return ActionResult({"attributes": [attribute for _instance, attribute in asked]})


def _asked(response: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Return (container instance, attribute) for each attribute of a request; refuse all when one is wrong."""
    backend = response.ecs_backend
    cluster = backend._get_cluster(response._get_param("cluster") or "default")
    attributes = response._get_param("attributes") or []
    if not 0 < len(attributes) <= MOST:
        raise InvalidParameterException(f"attributes must have 1 to {MOST} members.")
    found = []
    for attribute in attributes:
        if attribute["name"].startswith(RESERVED):
            raise InvalidParameterException(f"The attribute {attribute['name']} is reserved.")
        target = str(attribute.get("targetId") or "")
        if not target.startswith("arn:") and attribute.get("targetType") != "container-instance":
            raise InvalidParameterException("A short targetId needs the targetType container-instance.")
        instance = backend.container_instances.get(cluster.name, {}).get(target.rpartition("/")[2])
        if instance is None or instance.status == "INACTIVE":
            raise ECSException("TargetNotFoundException", f"Could not find {target}")
        found.append((instance, attribute))
    return found

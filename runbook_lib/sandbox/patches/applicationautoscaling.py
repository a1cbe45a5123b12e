"""Application Auto Scaling: tags of scalable targets, without which Terraform's provider waits for minutes, and ranges.

Source: Application Auto Scaling API reference, ListTagsForResource, TagResource, UntagResource, RegisterScalableTarget.
"""

from __future__ import annotations

import json
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from runbook_lib.sandbox import ecs_deployments
from runbook_lib.sandbox.backends import backend, operations


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's Application Auto Scaling response class.
    """
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(response: Any) -> str:
        answer = str(register(response))
        _bring_into_range(response)
        tags = response._get_param("Tags")
        if tags:
            _tags(response)[json.loads(answer)["ScalableTargetARN"]] = dict(tags)
        return answer

    operations(
        ApplicationAutoScalingResponse,
        register_scalable_target=register_scalable_target,
        list_tags_for_resource=_list,
        tag_resource=_tag,
        untag_resource=_untag,
    )


def _bring_into_range(response: Any) -> None:
    """Set the desired count of an ECS service as Application Auto Scaling does: to what was outside of the range.

    The load of tasks is not simulated: within the range the count stays as somebody set it.
    """
    if response._get_param("ServiceNamespace") != "ecs":
        return
    name = str(response._get_param("ResourceId")).removeprefix("service/").replace("/", ":")
    service, known = backend("ecs").services.get(name), response.applicationautoscaling_backend
    found = known.describe_scalable_targets("ecs", [response._get_param("ResourceId")], None)
    if service is None or not found:
        return
    count = max(found[0].min_capacity, min(service.desired_count, found[0].max_capacity))
    if count != service.desired_count:
        service.desired_count, service.is_steady = count, False
        ecs_deployments.primary(service)["desiredCount"] = count


def _tags(response: Any) -> dict[str, dict[str, str]]:
    """Return the tags of every scalable target, by its ARN."""
    known: dict[str, Any] = vars(response.applicationautoscaling_backend)
    tags: dict[str, dict[str, str]] = known.setdefault("sandbox_tags", {})
    return tags


def _list(response: Any) -> str:
    return json.dumps({"Tags": _tags(response).get(response._get_param("ResourceARN"), {})})


def _tag(response: Any) -> str:
    _tags(response).setdefault(response._get_param("ResourceARN"), {}).update(response._get_param("Tags", {}))
    return "{}"


def _untag(response: Any) -> str:
    tags = _tags(response).get(response._get_param("ResourceARN"), {})
    for key in response._get_param("TagKeys", []):
        tags.pop(key, None)
    return "{}"

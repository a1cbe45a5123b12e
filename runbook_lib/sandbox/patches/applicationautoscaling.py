"""Application Auto Scaling: tags of scalable targets, without which Terraform's provider waits for minutes.

Source: Application Auto Scaling API reference, ListTagsForResource, TagResource, UntagResource, RegisterScalableTarget.
"""

from __future__ import annotations

import json
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from runbook_lib.sandbox.backends import operations


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's Application Auto Scaling response class.
    """
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(response: Any) -> str:
        answer = str(register(response))
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

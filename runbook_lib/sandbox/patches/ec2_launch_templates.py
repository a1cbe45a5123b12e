"""Launch templates: their own tags stay out of their data, and every version's user data is Base64.

Both keep a Terraform plan empty and a second version launchable.
Source: EC2 API reference, CreateLaunchTemplate, CreateLaunchTemplateVersion.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.utils import parse_user_data


def apply() -> None:
    """Put the rules into moto.

    Changes:
        ``LaunchTemplate.create_version`` of moto.
    """
    original = LaunchTemplate.create_version

    def create_version(template: Any, data: dict[str, Any], description: str) -> Any:
        specifications = data.get("TagSpecifications") or []
        # moto adds the tags of the template itself to its data, which Terraform reads as drift.
        data["TagSpecifications"] = [one for one in specifications if one.get("ResourceType") != "launch-template"]
        if not data["TagSpecifications"]:
            del data["TagSpecifications"]
        if isinstance(data.get("UserData"), str):
            data["UserData"] = parse_user_data(data["UserData"])
        return original(template, data, description)

    LaunchTemplate.create_version = create_version

"""What EC2 tells the world about an instance that gets power. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceLaunch:
    """What EC2 knows of an instance when it gives it power.

    Args:
        instance_id: Its id.
        availability_zone: Where it is.
        image_id: Its AMI.
        instance_type: For example ``t3.small``.
        address: Its loopback address in the sandbox.
        user_data: Decoded text, "" for none.
        role_name: Role of its instance profile, "" for none.
        http_tokens: ``required`` or ``optional``: whether instance metadata needs a token.
        architecture: ``x86_64`` or ``arm64``.
    """

    instance_id: str
    availability_zone: str
    image_id: str
    instance_type: str
    address: str
    user_data: str = ""
    role_name: str = ""
    http_tokens: str = "required"
    architecture: str = "x86_64"

"""The machine images of the sandbox: Amazon Linux 2023 and its ECS-optimized variant, two releases of the latter.

The second release is there to be published later, so that patching hosts has something to move to.
Source: the names and the JSON of ``/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls

_AMAZON = "591542846629"
_ECS = "/aws/service/ecs/optimized-ami/amazon-linux-2023"
_BASE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default"


@dataclass(frozen=True)
class MachineImage:
    """One AMI.

    Args:
        image_id: Its id in every sandbox.
        name: The name Amazon gives such an image.
        architecture: ``x86_64`` or ``arm64``.
        release: Date of the release, ``yyyymmdd``.
        agent: Version of the ECS agent on it, or "" when it has none.
        docker: Version of Docker on it, or "".
    """

    image_id: str
    name: str
    architecture: str
    release: str
    agent: str = ""
    docker: str = ""


def _ecs_image(image_id: str, architecture: str, release: str, agent: str) -> MachineImage:
    name = f"al2023-ami-ecs-hvm-2023.0.{release}-kernel-6.1-{architecture}"
    return MachineImage(image_id, name, architecture, release, agent, "25.0.16")


IMAGES = (
    MachineImage("ami-0a12023d5f1e0c001", "al2023-ami-2023.8.20260812.0-kernel-6.1-x86_64", "x86_64", "20260812"),
    MachineImage("ami-0a12023d5f1e0c002", "al2023-ami-2023.8.20260812.0-kernel-6.1-arm64", "arm64", "20260812"),
    _ecs_image("ami-0ec52023d5f1e0a01", "x86_64", "20260723", "1.105.1"),
    _ecs_image("ami-0ec52023d5f1e0a02", "arm64", "20260723", "1.105.1"),
    _ecs_image("ami-0ec52023d5f1e0b01", "x86_64", "20260820", "1.106.1"),
    _ecs_image("ami-0ec52023d5f1e0b02", "arm64", "20260820", "1.106.1"),
)
FIRST_RELEASE, NEXT_RELEASE = "20260723", "20260820"


def register() -> None:
    """Make the images known to EC2 and their parameters to SSM.

    Changes:
        moto's images and public parameters. To be called before the volume rules are in place, because moto
        makes a volume and a snapshot for each image.
    """
    from moto.ec2.models.amis import Ami  # noqa: PLC0415 - the environment is prepared first

    ec2 = backend("ec2")
    for image in IMAGES:
        ec2.amis[image.image_id] = Ami(
            ec2,
            image.image_id,
            name=image.name,
            description=image.name,
            owner_id=_AMAZON,
            owner_alias="amazon",
            public=True,
            architecture=image.architecture,
            virtualization_type="hvm",
            hypervisor="xen",
            root_device_name="/dev/xvda",
            root_device_type="ebs",
        )
        ec2.amis[image.image_id].imds_support = "v2.0"  # Source: AL2023 images are registered with ImdsSupport v2.0
    parameters = backend("ssm")._parameters
    parameters.latest_amis_loaded = parameters.latest_ecs_amis_loaded = True  # keep moto's own images out
    for image in IMAGES[:2]:
        _put(f"{_BASE}-{image.architecture}", image.image_id)
    publish(FIRST_RELEASE)


def publish(release: str) -> None:
    """Make one release of the ECS-optimized image the recommended one.

    Changes:
        The public SSM parameters ``.../recommended`` and those below it.
    """
    for image in IMAGES:
        if image.agent and image.release == release:
            middle = "" if image.architecture == "x86_64" else f"/{image.architecture}"
            prefix = f"{_ECS}{middle}/recommended"
            facts = {
                "ecs_agent_version": image.agent,
                "ecs_runtime_version": f"Docker version {image.docker}",
                "image_id": image.image_id,
                "image_name": image.name,
                "image_version": f"2023.0.{image.release}",
                "os": "Amazon Linux 2023",
                "schema_version": 1,
                "source_image_name": f"al2023-ami-minimal-2023.8.{image.release}.0-kernel-6.1-{image.architecture}",
            }
            # AWS answers with a JSON text; moto's own data is the repr of a Python dict.
            _put(prefix, json.dumps(facts))
            for key in ("image_id", "image_name", "image_version", "ecs_agent_version", "ecs_runtime_version"):
                _put(f"{prefix}/{key}", str(facts[key]))


def register_controls(controls: Controls) -> None:
    """Serve ``POST /_sandbox/machine-images/publish {"release": ...}``; the next release when none is named."""

    def publish_release(request: ControlRequest) -> dict[str, Any]:
        release = str(request.body.get("release", NEXT_RELEASE))
        if release not in {image.release for image in IMAGES if image.agent}:
            raise ControlError(400, f"no such release {release!r}; there are {FIRST_RELEASE} and {NEXT_RELEASE}")
        publish(release)
        return {"release": release, "image_ids": [image.image_id for image in IMAGES if image.release == release]}

    controls.add("POST", "/_sandbox/machine-images/publish", publish_release)


def _put(name: str, value: str) -> None:
    from moto.core.utils import utcnow  # noqa: PLC0415 - the environment is prepared first
    from moto.ssm.models import Parameter  # noqa: PLC0415

    ssm = backend("ssm")
    versions = list(dict.get(ssm._parameters, name, []))
    parameter = Parameter(
        account_id=ssm.account_id,
        name=name,
        value=value,
        parameter_type="String",
        description="",
        allowed_pattern=None,
        keyid=None,
        last_modified_date=utcnow(),
        version=len(versions) + 1,
        data_type="text",
    )
    dict.__setitem__(ssm._parameters, name, [*versions, parameter])

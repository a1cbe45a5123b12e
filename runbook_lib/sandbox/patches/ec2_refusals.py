"""What EC2 refuses and moto lets through: zones, volume types, processors, device names, protected instances, tags.

Source: EC2 API reference, "Error codes for the Amazon EC2 API", CreateVolume, RunInstances, ModifyInstanceAttribute.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses import EC2Response

from runbook_lib.sandbox.backends import install, operations

_VOLUME_TYPES = frozenset({"gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"})


def apply() -> None:
    """Put the refusals into moto that no other rule asks for.

    Changes:
        Methods of moto's EC2 response and instance classes.
    """
    create_tags, terminate = EC2Response.create_tags, InstanceBackend.terminate_instances

    def create(response: Any) -> Any:
        for tag in response._get_param("Tags", []):
            if str(tag.get("Key", "")).lower().startswith("aws:"):
                message = "Tag keys starting with 'aws:' are reserved for internal use"
                raise EC2ClientError("InvalidParameterValue", message)
        return create_tags(response)

    def terminate_unprotected(ec2: Any, instance_ids: list[str]) -> Any:
        for instance in ec2.get_multi_instances_by_id(instance_ids):
            if str(instance.disable_api_termination).lower() == "true":  # moto keeps the text that came over the wire
                message = f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination'"
                raise EC2ClientError("OperationNotPermitted", f"{message} instance attribute and try again.")
        return terminate(ec2, instance_ids)

    operations(EC2Response, create_tags=create, _block_device_mapping_handler=_map_devices)
    install(InstanceBackend, "terminate_instances", terminate_unprotected)


def refuse_volume(ec2: Any, zone: str, volume_type: str | None) -> None:
    """Refuse a new volume in a zone or of a type that does not exist."""
    if ec2.get_zone_by_name(zone) is None:
        raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    if volume_type and volume_type not in _VOLUME_TYPES:
        message = f"Unsupported volume type '{volume_type}' for volume creation."
        raise EC2ClientError("UnknownVolumeType", message)


def check_launch(ec2: Any, image_id: str, kwargs: dict[str, Any]) -> None:
    """Refuse an image for another processor; let instance metadata want tokens where the image asks for them.

    Args:
        ec2: moto's EC2 backend.
        image_id: The image, "" when only the launch template names it.
        kwargs: The arguments of ``run_instances``; completed in place.
    """
    template = kwargs.get("launch_template")
    data = ec2._get_template_from_args(template).data if template else {}
    image = ec2.amis.get(image_id or data.get("ImageId"))
    instance_type = kwargs.get("instance_type") or data.get("InstanceType")
    if image is None or not instance_type:
        return
    known = [one for one in ec2.describe_instance_types() if one["InstanceType"] == instance_type]
    built_for = known[0]["ProcessorInfo"]["SupportedArchitectures"] if known else [image.architecture]
    if image.architecture not in built_for:
        message = f"The architecture '{','.join(built_for)}' of the specified instance type does not match the"
        message = f"{message} architecture '{image.architecture}' of the specified AMI."
        raise EC2ClientError("InvalidParameterValue", f"{message} Specify an instance type and an AMI that match.")
    options = dict(kwargs.get("metadata_options") or {})
    if getattr(image, "imds_support", "") == "v2.0" and not options.get("HttpTokens"):
        # Source: "Configure the AMI": HttpTokens required and a hop limit of 2, unless the launch says otherwise.
        kwargs["metadata_options"] = {"HttpPutResponseHopLimit": 2, **options, "HttpTokens": "required"}


def _map_devices(response: Any) -> bool:
    """Change DeleteOnTermination of attached devices; left out, it means true."""
    mappings = response._get_param("BlockDeviceMappings", [])
    for mapping in mappings:
        instance, device = response.ec2_backend.get_instance(response._get_param("InstanceId")), mapping["DeviceName"]
        response.error_on_dryrun()
        if device not in instance.block_device_mapping:
            message = f"No device is currently mapped at {device}"
            raise EC2ClientError("InvalidInstanceAttributeValue", message)
        flag = (mapping.get("Ebs") or {}).get("DeleteOnTermination", True)
        instance.block_device_mapping[device].delete_on_termination = flag is True or str(flag).lower() == "true"
    return bool(mappings)

"""What a launch means for one instance: its template, its block devices, its address, what its host is told.

Source: EC2 API reference, RunInstances, RequestLaunchTemplateData, BlockDeviceMapping.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.utils import random_volume_id

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.patches.ec2_volumes import Volumes
from runbook_lib.sandbox.world import InstanceLaunch

_ROOT_GIB = 8


def from_template(ec2: Any, kwargs: dict[str, Any]) -> dict[str, str]:
    """Add what moto leaves out of a launch template to the arguments of a launch.

    Args:
        ec2: moto's EC2 backend.
        kwargs: The arguments of ``run_instances``; completed in place. Explicit arguments win.

    Returns:
        The instance profile of the template as arguments for its association; empty when there is none.
    """
    if not kwargs.get("launch_template"):
        return {}
    data = ec2._get_template_from_args(kwargs["launch_template"]).data
    if not kwargs.get("metadata_options"):
        kwargs["metadata_options"] = data.get("MetadataOptions") or {}
    interfaces = data.get("NetworkInterfaces") or []
    if interfaces and not kwargs.get("nics"):
        groups = [group for interface in interfaces for group in interface.get("Groups") or []]
        kwargs["security_group_ids"] = [*(kwargs.get("security_group_ids") or []), *groups]
        kwargs["subnet_id"] = kwargs.get("subnet_id") or interfaces[0].get("SubnetId")
        if kwargs.get("associate_public_ip") is None:
            kwargs["associate_public_ip"] = interfaces[0].get("AssociatePublicIpAddress")
    if "block_device_mappings" not in kwargs and data.get("BlockDeviceMappings"):
        kwargs["block_device_mappings"] = [{"Ebs": {}, **one} for one in data["BlockDeviceMappings"]]
    profile = data.get("IamInstanceProfile") or {}
    if kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn"):
        return {}
    if profile.get("Arn"):
        return {"iam_instance_profile_arn": profile["Arn"]}
    return {"iam_instance_profile_name": profile["Name"]} if profile.get("Name") else {}


def add_block_device(volumes: Volumes, instance: Any, *mapping: Any, volume_type: str | None) -> None:
    """Give an instance the volume of one block device mapping of its launch.

    Args:
        volumes: The rules of volumes.
        instance: moto's instance.
        mapping: As moto passes it: size, device, snapshot id, encrypted, DeleteOnTermination, KMS key.
        volume_type: ``gp3`` when None.
    """
    # Encryption is left out: the sandbox's volumes are files, and it changes nothing they can show.
    size, device_path, snapshot_id, _encrypted, delete_on_termination, _kms_key_id = mapping
    is_root = device_path == instance.root_device_name
    volume = _new_volume(instance, size or _ROOT_GIB, volume_type or "gp3", snapshot_id)
    volume.sandbox_root = is_root
    # Source: RunInstances: the root volume is deleted on termination unless the mapping says otherwise.
    delete = delete_on_termination is True or str(delete_on_termination).lower() == "true"
    status = "attached" if is_root else "attaching"
    volumes.connect(volume, instance, device_path, delete, status)
    instance.block_device_mapping[device_path].snapshot_id = snapshot_id


def complete(instance: Any, address: str, volumes: Volumes) -> None:
    """Give a new instance its root device and its address.

    Args:
        instance: moto's instance, just made.
        address: The loopback address of its host.
        volumes: The rules of volumes.

    Changes:
        The instance and its first network interface.
    """
    if instance.root_device_name not in instance.block_device_mapping:
        mapping = (_ROOT_GIB, instance.root_device_name, None, False, True, None)
        add_block_device(volumes, instance, *mapping, volume_type="gp3")
    instance.sandbox_address = address
    interface = instance.nics[0]
    interface.private_ip_address = address
    interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
    interface.public_ip = address
    interface.public_ip_auto_assign = False  # else moto makes another address at each start


def instance_launch(instance: Any) -> InstanceLaunch:
    """Return what the host of an instance is told about itself.

    Args:
        instance: moto's instance; the caller holds the lock.
    """
    return InstanceLaunch(
        instance_id=instance.id,
        availability_zone=instance.availability_zone,
        image_id=instance.image_id,
        instance_type=instance.instance_type,
        address=instance.sandbox_address,
        user_data=instance.user_data.decode() if instance.user_data else "",
        role_name=_role_name(instance),
        http_tokens=instance.metadata_options.http_tokens or "optional",
        architecture=instance.architecture or "x86_64",
    )


def _role_name(instance: Any) -> str:
    profile = instance.iam_instance_profile
    if not profile:
        return ""
    for known in backend("iam").instance_profiles.values():
        if known.arn == profile["Arn"] and known.roles:
            return str(known.roles[0].name)
    return ""


def _new_volume(instance: Any, size: Any, volume_type: str, snapshot_id: str | None) -> Any:
    ec2 = instance.ec2_backend
    zone = ec2.get_zone_by_name(instance.availability_zone)
    iops, throughput = (3000, 125) if volume_type == "gp3" else (None, None)
    volume = Volume(
        ec2,
        volume_id=random_volume_id(),
        size=int(size),
        zone=zone,
        snapshot_id=snapshot_id,
        volume_type=volume_type,
        iops=iops,
        throughput=throughput,
    )
    ec2.volumes[volume.id] = volume
    return volume

"""The sample estate: what a newcomer would have before migrating a compose service.

A VPC, one EC2 host running a guestbook under docker-compose, its EBS volume with real and difficult files, a client
that writes all the time. Made through the sandbox's own AWS API, in one thread, so that ids are the same everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import estate_database, estate_files, estate_network, estate_parameters
from runbook_lib.sandbox.client import Client
from runbook_lib.sandbox.ec2_client import client_of
from runbook_lib.sandbox.estate_files import FILESYSTEM_UUID

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.world import World

OPTIONS = {
    "partitioned-disk": "the filesystem is on a partition, which REX-Ray would format over",
    "lvm": "the filesystem is on a logical volume, which REX-Ray would format over",
    "duplicate-name": "a second volume in the zone has the Name that the migration will use",
    "busy-mount": "a backup agent outside compose holds a file on the mount open",
    "volume-in-other-az": "the parameters name a volume in another Availability Zone",
    "more-services": "the project has a service that reads the volume, and one that ends before the guestbook starts",
    "folder-service": "as more-services, but the reader sees a folder of the volume only",
    "data-directory": "the volume has a folder `data` of its own, where REX-Ray puts its root path",
    estate_database.OPTION: "PostgreSQL has its data in a folder of the volume; with real hosts only",
}
ZONE, OTHER_ZONE = "us-east-1a", "us-east-1b"
TARGET_NAME = "guestbook-data"
SOURCE_NAME = "guestbook-legacy-data"
LABEL = "guestbook"
SIZE_GIB = 8
SERVICE_PORT = 8080
DEVICE, MOUNT_PATH = "/dev/sdf", "/srv/guestbook"
PATIENCE_S = 300.0
POLL_S = 0.02


@dataclass(frozen=True)
class Estate:
    """The ids of what was made.

    Args:
        vpc_id: The VPC.
        subnet_id: Subnet in the volume's zone.
        instance_id: The source host.
        volume_id: Its data volume.
        parameters_volume_id: The volume that the parameters name.
        address: The source host's address.
    """

    vpc_id: str
    subnet_id: str
    instance_id: str
    volume_id: str
    parameters_volume_id: str
    address: str


def build(world: World, options: Sequence[str] = ()) -> Estate:
    """Make the estate and start its service and its client.

    Args:
        world: An empty sandbox whose API answers.
        options: Names of :data:`OPTIONS`, for estates that a migration must refuse.

    Raises:
        SandboxError: There is no such option, the hosts cannot have it, or the estate did not come up.

    Changes:
        AWS objects, the source host, the volume, ``parameters.yaml`` and ``credentials`` in the state directory.
    """
    if unknown := [name for name in options if name not in OPTIONS]:
        raise SandboxError(f"no estate option {unknown[0]!r}; there are {', '.join(OPTIONS)}. Nothing was started.")
    if estate_database.OPTION in options:
        estate_database.refuse(world)
    ec2 = client_of(world)
    network = estate_network.build(world)
    instance_id = estate_network.launch_source(world, network)
    host = _wait_for(lambda: _booted(world, instance_id), f"the source host {instance_id} boots")
    volume_id = _data_volume(world, ec2, instance_id)
    _fill(world, volume_id, options)
    _set_up(host, volume_id, options)
    named = _options(world, ec2, host, options) or volume_id
    estate = Estate(network.vpc_id, network.subnet_a, instance_id, volume_id, named, host.address)
    estate_parameters.write(world, estate)
    world.client = Client(world, SERVICE_PORT)
    world.client.start()
    return estate


def _data_volume(world: World, ec2: Any, instance_id: str) -> str:
    """Make the data volume and attach it; on purpose it would be deleted with the instance."""
    volume_id = str(_make_volume(ec2, ZONE, SOURCE_NAME))
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    _wait_for(lambda: world.hosts[instance_id].devices.has(volume_id), f"{volume_id} is attached")
    mapping = {"DeviceName": DEVICE, "Ebs": {"DeleteOnTermination": True, "VolumeId": volume_id}}
    ec2.modify_instance_attribute(InstanceId=instance_id, BlockDeviceMappings=[mapping])
    return volume_id


def _make_volume(ec2: Any, zone: str, name: str) -> str:
    tags = [
        {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}, {"Key": "service", "Value": "guestbook"}]}
    ]
    answer = ec2.create_volume(AvailabilityZone=zone, Size=SIZE_GIB, VolumeType="gp3", TagSpecifications=tags)
    volume_id = str(answer["VolumeId"])
    _wait_for(
        lambda: ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] == "available",
        f"{volume_id} is available",
    )
    return volume_id


def _fill(world: World, volume_id: str, options: Sequence[str]) -> None:
    layer = "part" if "partitioned-disk" in options else "lvm" if "lvm" in options else ""
    world.volumes.format(volume_id, "ext4", fs_uuid=FILESYSTEM_UUID, label=LABEL, layer=layer)
    with world.volumes.filling(volume_id) as files:
        estate_files.fill_volume(files, with_data_folder="data-directory" in options)
        if estate_database.OPTION in options:
            estate_database.make_folder(files)
    for host in world.hosts.values():
        host.devices.refresh(volume_id)


def _set_up(host: BaseHost, volume_id: str, options: Sequence[str]) -> None:
    """Mount the volume as its owner did years ago, and start the compose project."""
    shown = {"more-services": MOUNT_PATH, "folder-service": f"{MOUNT_PATH}/uploads"}
    more = next((shown[option] for option in options if option in shown), "")
    database = estate_database.SERVICE if estate_database.OPTION in options else ""
    estate_files.write_host_files(host, FILESYSTEM_UUID, more_services_show=more, beside=database)
    disk = host.devices.by_volume(volume_id)
    if disk is None:
        raise SandboxError(f"the device of {volume_id} did not appear on {host.instance_id}")
    host.mount_device(disk.child or disk.path, MOUNT_PATH, "defaults,noatime")
    compose = [*host.compose_command, "-p", "guestbook", "-f", estate_files.COMPOSE_FILE]
    result = host.run([*compose, "up", "-d"])
    if result.exit_code:
        raise SandboxError(f"the sample service did not start: {result.stderr}")
    _wait_for(lambda: host.engine.containers(all_=False), "the sample service runs")
    if database:
        estate_database.fill(host)


def _options(world: World, ec2: Any, host: BaseHost, options: Sequence[str]) -> str:
    """Make what the options ask for; returns the volume that the parameters shall name, or ""."""
    if "duplicate-name" in options:
        world.volumes.format(_make_volume(ec2, ZONE, TARGET_NAME), "ext4")
    if "busy-mount" in options:
        estate_files.write_backup_agent(host)
        result = host.run(["systemctl", "enable", "--now", "backup-agent"])
        if result.exit_code:
            raise SandboxError(f"the backup agent did not start: {result.stderr}")
        agent_file = host.real_path(f"{MOUNT_PATH}/backup.state")
        _wait_for(agent_file.exists, "the backup agent opened its file")
    if "volume-in-other-az" in options:
        other = _make_volume(ec2, OTHER_ZONE, SOURCE_NAME)
        world.volumes.format(other, "ext4")
        return other
    return ""


def _booted(world: World, instance_id: str) -> BaseHost | None:
    host = world.hosts.get(instance_id)
    return host if host is not None and host.booted else None


def _wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(POLL_S)
    raise SandboxError(f"the sample estate was not made: waited {PATIENCE_S:g} s until {what}.")

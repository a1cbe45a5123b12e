"""How a container gets the data volume: one interface, one module per storage driver.

Every driver keeps the same layout on the volume, files at the filesystem's root, so that the driver can be changed
later without moving data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runbook_lib.errors import ParameterError
from runbook_lib.model import Check, Facts
from runbook_lib.parameters import Parameters
from runbook_lib.storage.host_mount import HANDED_OVER_TAG, REFUSED, HostMount
from runbook_lib.storage.rexray import RexRay

__all__ = ["HANDED_OVER_TAG", "REFUSED", "RESERVED_DIRECTORY", "SENTINEL_PATH", "StorageDriver", "storage_driver"]

RESERVED_DIRECTORY = ".runbook"
"""Directory at the volume's root that belongs to the runbooks; it holds the sentinel."""

SENTINEL_PATH = f"{RESERVED_DIRECTORY}/sentinel.json"
"""The sentinel, relative to the volume's root."""


class StorageDriver(Protocol):
    """What the procedures need to know of a storage driver."""

    volume_name: str
    """Value of the volume's Name tag on the target, and its name in the task definition."""

    plugin_alias: str
    """Docker's name of the volume plugin, or "" without one."""

    http_tokens: str
    """`required`, or `optional` for a driver that knows no IMDSv2."""

    capability: str
    """Attribute a container instance must have before a task with this driver can be placed."""

    def boot(self, volume_id: str) -> dict[str, Any]:
        """Return what the instance's boot script needs (`storage_boot` of modules/ecs_cluster)."""

    def task_volume(self, folders: Mapping[str, str]) -> dict[str, Any]:
        """Return the task's volume (`task_volume` of modules/ecs_service), and folders of it by name of a volume."""

    def gate(self) -> dict[str, Any]:
        """Return how a host script reaches the volume's root before the service starts.

        Keys `volume_name, plugin_alias, image`: a container that does nothing holds the volume through the plugin.
        Key `mount_path`: the host has it mounted there already, and nothing need be started.
        """

    def check_disk(self, device: Facts) -> Sequence[Check]:
        """Return whether the driver would take the disk as it is, from what blkid and lsblk said."""

    def check_host(self, boot: Facts) -> Sequence[Check]:
        """Return whether a container instance is set up for the driver, from what host script `read_boot` said."""

    def check_handed_over(self, hosts: Sequence[Facts]) -> Sequence[Check]:
        """Return whether the target has taken the volume, and as REFUSED whether waiting on makes sense.

        Nothing to check where a task's start takes it.
        """


def storage_driver(parameters: Parameters) -> StorageDriver:
    """Return the storage driver that the parameters name.

    Args:
        parameters: The migration.

    Returns:
        The driver.

    Raises:
        ParameterError: when the driver's section is missing, which the rules of the parameters refuse before.
    """
    storage, region = parameters.storage, parameters.aws.region
    if storage.driver == "rexray" and storage.rexray is not None:
        return RexRay(storage.rexray, region)
    if storage.driver == "host_mount" and storage.host_mount is not None:
        return HostMount(storage.host_mount, region, parameters.volume.volume_id)
    raise ParameterError([f"migration.storage.{storage.driver} is missing; add the section of storage.driver"])

"""How the containers get the volume: one driver, and what each of them needs to know. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook_lib import parameters_types as kind
from runbook_lib.parameters_section import Section


class Rexray(Section):
    """The REX-Ray volume plugin."""

    plugin_reference: kind.ImageReference
    """Plugin image, pinned: registry/name@sha256:<64 hex digits>."""
    plugin_alias: kind.PluginAlias = "rexray/ebs"
    """Name under which Docker knows the plugin, and so the driver name in the task definition."""
    volume_name: kind.VolumeName
    """Docker volume name. REX-Ray finds the EBS volume by this value in its Name tag, which the cutover sets."""
    gate_image: kind.ImageReference = "amazon/amazon-ecs-pause:0.1.0"
    """Image that container instances have anyway and that does nothing: it holds the volume while it is verified
    before the service starts. The ECS agent loads its pause image on every host."""
    stock: bool = False
    """Accept the unmaintained stock plugin, which needs hosts without mandatory IMDSv2."""
    allow_unpinned_plugin: bool = False
    """Accept a plugin reference without a digest; then what runs can change between two host boots."""


class HostMount(Section):
    """A unit on the container instance that attaches and mounts the volume."""

    volume_name: kind.VolumeName
    """Name tag that the cutover gives the volume, and its name in the task definition."""
    filesystem_uuid: kind.FilesystemUuid
    """UUID of the volume's filesystem, as `blkid` shows it; the unit mounts no other."""
    filesystem_type: Literal["ext2", "ext3", "ext4", "xfs", "btrfs"] = "ext4"
    """Type of the volume's filesystem; the unit mounts no other."""
    mount_path: kind.AbsolutePath = "/mnt/runbook/data"
    """Where the container instance mounts it; the folder above belongs to the unit and becomes immutable."""
    poll_s: int = Field(default=3, ge=1, le=60)
    """How often a container instance looks whether the volume is its own; a part of the outage."""


class Storage(Section):
    """How the container gets the volume."""

    driver: Literal["rexray", "host_mount"]
    """`rexray`: a Docker volume plugin attaches it. `host_mount`: a unit on the host attaches it by volume id."""
    rexray: Rexray | None = None
    """Options of the `rexray` driver."""
    host_mount: HostMount | None = None
    """Options of the `host_mount` driver."""

    @property
    def volume_name(self) -> str:
        """Name of the volume in the task definition, and its Name tag on the target; "" without options."""
        options = self.rexray if self.driver == "rexray" else self.host_mount
        return options.volume_name if options else ""

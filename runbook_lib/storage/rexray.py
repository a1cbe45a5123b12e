"""The REX-Ray volume plugin, made safe.

REX-Ray finds a volume by its Name tag, formats any disk it does not recognise, shows `<volume>/data` instead of the
volume, and takes a volume from a live host when told to preempt. This module states the settings and checks that take
each of these away. Pure: it looks at facts, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts
from runbook_lib.parameters_storage import Rexray

RECOGNISED_FILESYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})
"""What REX-Ray's probe knows; it runs mkfs on anything else (probeFsType, libstorage/drivers/os/linux)."""

_AS_SET_UP = "as they were set up"
ROOT_DIRECTORY = "/.runbook"
"""Given to REX-Ray as the directory that it makes and chmods at every mount, so that it touches no user's file."""


class RexRay:
    """Storage driver `rexray`.

    Args:
        parameters: Section `storage.rexray`.
        region: AWS region.
    """

    def __init__(self, parameters: Rexray, region: str) -> None:
        self._parameters = parameters
        self._region = region
        self.volume_name = parameters.volume_name
        self.plugin_alias = parameters.plugin_alias
        # the stock plugin's SDK of 2018 knows no IMDSv2 (domain: rexray #1371); the maintained fork does
        self.http_tokens = "optional" if parameters.stock else "required"
        # the agent replaces ":" by "." in the capability it registers (appendVolumeDriverCapabilities)
        self.capability = "ecs.capability.docker-plugin." + parameters.plugin_alias.replace(":", ".")

    def environment(self) -> dict[str, str]:
        """Return every plugin setting that matters, the safe value spelled out.

        Returns:
            Environment of the managed plugin.

        Source: `.docker/plugins/ebs/config.json` of REX-Ray; ADR 0002 for the two root paths.
        """
        return {
            "EBS_REGION": self._region,
            "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH": "/",
            "LINUX_VOLUME_ROOTPATH": ROOT_DIRECTORY,
            "LINUX_VOLUME_FILEMODE": "0700",
            "REXRAY_FSTYPE": "ext4",
            "REXRAY_PREEMPT": "false",
        }

    def boot(self, volume_id: str) -> dict[str, Any]:
        """Return what the instance's boot script needs.

        Args:
            volume_id: The data volume.

        Returns:
            `storage_boot` of modules/ecs_cluster.
        """
        accepted = {"allow_unpinned_plugin": True} if self._parameters.allow_unpinned_plugin else {}
        return {
            **accepted,
            "driver": "rexray",
            "plugin_reference": self._parameters.plugin_reference,
            "plugin_alias": self.plugin_alias,
            "plugin_environment": self.environment(),
            "volume_name": self.volume_name,
            "volume_id": volume_id,
        }

    def task_volume(self, folders: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG002 - of the interface
        """Return the task's volume.

        Args:
            folders: None, because the plugin shows the volume's root only; the compose mapping refuses them.

        Returns:
            `task_volume` of modules/ecs_service.
        """
        return {"name": self.volume_name, "driver": self.plugin_alias, "host_path": None}

    def gate(self) -> dict[str, Any]:
        """Return how the volume is held on a container instance before the service starts.

        The plugin attaches and mounts when a container starts, and detaches after the last one: a container that does
        nothing holds the volume until the task has it, so that there is one attachment and no second detach.

        Returns:
            Arguments of host script `verify_before_start`.

        Source: REX-Ray `integration/linux`: a used-count for each volume; attached here already means no new attach.
        """
        return {
            "volume_name": self.volume_name,
            "plugin_alias": self.plugin_alias,
            "image": self._parameters.gate_image,
        }

    def check_disk(self, device: Facts) -> Sequence[Check]:
        """Return whether REX-Ray would mount the disk rather than format it.

        Args:
            device: Keys `path`, `filesystem_type`, `partition_table_type`, `children` (paths of partitions and maps).

        Returns:
            Two checks.

        Source: domain 2.8: `mkfs.ext4 -F` on every signature that is not ext, xfs or btrfs on the disk itself.
        """
        filesystem = device.get("filesystem_type") or "none"
        table = device.get("partition_table_type") or ""
        children = list(device.get("children", ()))
        return (
            Check(
                "filesystem-on-bare-disk",
                passed=not table and not children,
                expected=f"a filesystem on {device.get('path')} itself, without partitions or logical volumes",
                observed=f"partition table {table or 'none'}, below it {', '.join(children) or 'nothing'}",
                why="REX-Ray formats a disk whose first bytes it does not know, a partition table included",
                fix="copy the filesystem onto a volume without partitions first (a different, announced outage), "
                "or use another storage driver; this volume is untouched",
            ),
            Check(
                "filesystem-recognised",
                passed=filesystem in RECOGNISED_FILESYSTEMS,
                expected=f"one of {', '.join(sorted(RECOGNISED_FILESYSTEMS))} on {device.get('path')}",
                observed=filesystem,
                why="REX-Ray runs mkfs on any other signature (LVM, LUKS, ZFS, an empty disk)",
                fix="use another storage driver, or put the data on ext4 or xfs first; this volume is untouched",
            ),
        )

    def check_handed_over(self, hosts: Sequence[Facts]) -> Sequence[Check]:  # noqa: ARG002 - of the interface
        """Return nothing to check: the plugin takes the volume when the task starts.

        Args:
            hosts: Unused.

        Returns:
            No check.
        """
        return ()

    def check_host(self, boot: Facts) -> Sequence[Check]:
        """Return whether the plugin is enabled on a container instance, of the right reference and settings.

        Args:
            boot: As host script `read_boot`; `plugins` has `name`, `enabled`, `reference`, `settings` of each.

        Returns:
            Three checks, or one when the plugin is missing.
        """
        plugins = boot["plugins"]
        named = [p for p in plugins if p["name"].removesuffix(":latest") == self.plugin_alias.removesuffix(":latest")]
        if not named:
            return (
                Check(
                    "plugin-installed",
                    passed=False,
                    expected=f"Docker plugin {self.plugin_alias}",
                    observed=", ".join(p["name"] for p in plugins) or "no plugin",
                    why="ECS cannot place the task without it",
                    fix="read /var/log/cloud-init-output.log on the instance; replace it rather than repair it",
                ),
            )
        plugin = named[0]
        different = {
            key: plugin["settings"].get(key, "")
            for key, value in self.environment().items()
            if plugin["settings"].get(key, "") != value
        }
        return (
            self._expect("plugin-enabled", "enabled", "enabled" if plugin["enabled"] else "disabled"),
            self._expect("plugin-reference", self._parameters.plugin_reference, plugin["reference"]),
            self._expect("plugin-settings", _AS_SET_UP, describe_fact(different) if different else _AS_SET_UP),
        )

    @staticmethod
    def _expect(check_id: str, expected: str, observed: str) -> Check:
        return Check(
            check_id,
            passed=expected == observed,
            expected=expected,
            observed=observed,
            why="another plugin, or the same with other settings, can format, hide or take the volume",
            fix="run 10_provision_target again and replace the instance",
        )

"""The host mount: a unit on the container instance attaches the volume by its id, mounts it, and the task binds it.

No third party's code and no Docker plugin. This module states what the unit is told, and when it counts as ready; the
unit itself is `terraform/modules/ecs_cluster/files/runbook_host_mount.py`. Reasons: ADR 0010. Pure: it looks at facts,
and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.model import Check, Facts
from runbook_lib.parameters_storage import HostMount as Options

HANDED_OVER_TAG = "runbook:cut-over-utc"
"""Tag by which the cutover hands the volume to the target; without it, and the Name, no unit takes the volume."""

CAPABILITY = "runbook.host-mount"
"""Attribute of a container instance whose boot script has verified mount point and unit."""

MOUNTED = "runbook.mounted"
"""Attribute of the container instance that has the volume mounted: its id. The task is placed only there."""

PROBLEM = "runbook.volume-problem"
"""Attribute of a container instance that refused the volume: why."""

REFUSED = "volume-not-refused"
"""Id of the check that a container instance will not take the volume, however long somebody waits."""

DEVICE_NAME = "/dev/sdf"


class HostMount:
    """Storage driver `host_mount`.

    Args:
        parameters: Section `storage.host_mount`.
        region: AWS region.
        volume_id: The data volume.
    """

    plugin_alias = ""
    http_tokens = "required"
    capability = CAPABILITY

    def __init__(self, parameters: Options, region: str, volume_id: str) -> None:
        self._parameters = parameters
        self._region = region
        self._volume_id = volume_id
        self.volume_name = parameters.volume_name

    def boot(self, volume_id: str) -> dict[str, Any]:
        """Return what the instance's boot script and its unit need.

        Args:
            volume_id: The data volume.

        Returns:
            `storage_boot` of modules/ecs_cluster.
        """
        return {
            "driver": "host_mount",
            "volume_name": self.volume_name,
            "volume_id": volume_id,
            "region": self._region,
            "mount_path": self._parameters.mount_path,
            "filesystem_type": self._parameters.filesystem_type,
            "filesystem_uuid": self._parameters.filesystem_uuid,
            "handed_over_tag": HANDED_OVER_TAG,
            "device_name": DEVICE_NAME,
            "poll_s": self._parameters.poll_s,
        }

    def task_volume(self, folders: Mapping[str, str]) -> dict[str, Any]:
        """Return the task's volume.

        Args:
            folders: Path inside the volume by the name of the task volume that shows it.

        Returns:
            `task_volume` of modules/ecs_service.
        """
        mount_path = self._parameters.mount_path
        shown = {name: f"{mount_path}/{sub_path}" for name, sub_path in sorted(folders.items())}
        return {
            "name": self.volume_name,
            "driver": None,
            "host_path": mount_path,
            "required_attribute": {"name": MOUNTED, "value": self._volume_id},
        } | ({"folders": shown} if shown else {})

    def gate(self) -> dict[str, Any]:
        """Return where the unit has mounted the volume: nothing need hold it until the task runs.

        Returns:
            Key `mount_path`.
        """
        return {"mount_path": self._parameters.mount_path}

    def check_disk(self, device: Facts) -> Sequence[Check]:
        """Return whether the disk carries the filesystem that the unit will be told to expect.

        Args:
            device: Keys `path`, `filesystem_type`, `filesystem_uuid`, `partition_table_type`, `children`.

        Returns:
            Two checks.
        """
        table, children = device.get("partition_table_type") or "", list(device.get("children", ()))
        observed = f"{device.get('filesystem_type') or 'none'} {device.get('filesystem_uuid') or ''}".strip()
        expected = f"{self._parameters.filesystem_type} {self._parameters.filesystem_uuid}"
        return (
            Check(
                "filesystem-on-bare-disk",
                passed=not table and not children,
                expected=f"a filesystem on {device.get('path')} itself, without partitions or logical volumes",
                observed=f"partition table {table or 'none'}, below it {', '.join(children) or 'nothing'}",
                why="the unit mounts the device whose serial is the volume's id, and nothing below it",
                fix="copy the filesystem onto a volume without partitions first (a different, announced outage); "
                "this volume is untouched",
            ),
            Check(
                "filesystem-is-the-expected-one",
                passed=observed == expected,
                expected=f"{expected} on {device.get('path')}",
                observed=observed,
                why="the unit refuses every other filesystem, so the task would never start",
                fix="correct storage.host_mount.filesystem_type and filesystem_uuid; this volume is untouched",
            ),
        )

    def check_host(self, boot: Facts) -> Sequence[Check]:
        """Return whether a container instance's unit runs and its mount point is in order.

        Args:
            boot: As host script `read_boot`: `storage` (the boot script's status), `volume_unit`.

        Returns:
            Two checks.
        """
        why = "the task starts only where the unit has mounted the volume"
        fix = "read `journalctl -u runbook-volume -u runbook-storage` on the instance; replace it rather than repair it"
        status, unit = boot["storage"], boot["volume_unit"]
        return (
            Check(
                "mount-point-verified",
                passed=bool(status.get("verified")),
                expected="the boot script verified the mount point",
                observed=status.get("problem") or ("verified" if status.get("verified") else "no status"),
                why=why,
                fix=fix,
            ),
            Check(
                "volume-unit-active",
                passed=unit == "active",
                expected="runbook-volume.service active",
                observed=unit or "unknown",
                why=why,
                fix=fix,
            ),
        )

    def check_handed_over(self, hosts: Sequence[Facts]) -> Sequence[Check]:
        """Return whether exactly one container instance has the volume mounted.

        Args:
            hosts: As `Ecs.container_instances`: `instance_id`, `attributes`.

        Returns:
            Two checks; the second one fails when a host refused the volume, which no waiting mends.
        """
        mounted = [h["instance_id"] for h in hosts if h["attributes"].get(MOUNTED) == self._volume_id]
        problems = [f"{h['instance_id']}: {h['attributes'][PROBLEM]}" for h in hosts if h["attributes"].get(PROBLEM)]
        return (
            Check(
                "volume-mounted-on-target",
                passed=len(mounted) == 1,
                expected=f"{self._volume_id} mounted on one container instance",
                observed=", ".join(mounted) or "mounted on none",
                why="ECS places the task only there",
                fix="/run/runbook/volume.json on the container instance says what its unit does; runbook roll-back "
                "takes the service back to compose",
            ),
            Check(
                REFUSED,
                passed=bool(mounted) or not problems,
                expected="no container instance refuses the volume",
                observed="; ".join(problems) or "none refuses it",
                why="the unit mounts no filesystem but the one in the parameters",
                fix="runbook roll-back takes the service back to compose; then correct section storage.host_mount",
            ),
        )

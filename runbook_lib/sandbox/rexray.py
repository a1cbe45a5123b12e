"""REX-Ray for EBS as its source behaves, dangers included: the volume plugin of one host.

It finds a volume by its Name tag in the host's zone, attaches it, formats what it does not recognise, mounts it and
hands out a folder inside it. It calls EC2 with the host's role and waits; never while ``World.lock`` is held.
Source: rexray v0.11.4, ``libstorage/drivers/{storage/ebs,integration/linux,os/linux}``, ``.docker/plugins/ebs``.
"""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.ec2_client import Ec2Error, HostEc2
from runbook_lib.sandbox.mounts import MountError
from runbook_lib.sandbox.rexray_disk import RexRayDisk

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

DEFAULTS: Mapping[str, str] = {
    "DOCKER_LEGACY": "true",
    "REXRAY_FSTYPE": "ext4",
    "REXRAY_LOGLEVEL": "warn",
    "REXRAY_PREEMPT": "false",
    "HTTP_PROXY": "",
    "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH": "/data",
    "LINUX_VOLUME_ROOTPATH": "/data",
    "LINUX_VOLUME_FILEMODE": "0700",
    "EBS_ACCESSKEY": "",
    "EBS_SECRETKEY": "",
    "EBS_REGION": "",
    "EBS_ENDPOINT": "",
    "EBS_KMSKEYID": "",
    "EBS_MAXRETRIES": "",
    "EBS_STATUSINITIALDELAY": "",
    "EBS_STATUSMAXATTEMPTS": "",
    "EBS_STATUSTIMEOUT": "",
    "EBS_USELARGEDEVICERANGE": "false",
    "CSI_ENDPOINT": "",
    "X_CSI_DRIVER": "",
    "X_CSI_NATIVE": "",
}
"""Every setting of the managed plugin; no other name can be set."""
_TRUE = frozenset({"true", "1", "t"})
IMPLICIT_SIZE_GIB = 16
MOUNTED = "/var/lib/rexray"
"""Where the plugin mounts, in its own root; dockerd keeps that folder as ``propagated-mount`` of the plugin."""
FIRST_DELAY_S, ATTEMPTS = 0.1, 10


class StartError(Exception):
    """The plugin's process did not come up; the text is what it logged."""


class RexRay:
    """The running plugin.

    Args:
        host: Where it runs.
        name: The driver's name.
        plugin_id: Id of the plugin.
        flavour: ``stock`` (IMDSv1 only) or ``fork``.
        env: Its settings.
    """

    server_timeout_s: ClassVar[float] = 60.0
    """After which a request is answered with HTTP 408 while its work goes on."""

    def __init__(self, host: BaseHost, name: str, plugin_id: str, flavour: str, env: Mapping[str, str]) -> None:
        self._host = host
        self._name = name
        self._flavour = flavour
        self._env = {key: env.get(key) or default for key, default in DEFAULTS.items()}
        self._ec2 = HostEc2(host)
        self._place = f"/var/lib/docker/plugins/{plugin_id}/propagated-mount"
        self._disk = host.rexray_disk(RexRayDisk)(host, f"{self._place}/volumes", self._env)
        self._lock = threading.RLock()
        self._used: dict[str, int] = {}

    @property
    def is_used(self) -> bool:
        """Return whether a container has a volume of it mounted."""
        return any(self._used.values())

    @property
    def preempts(self) -> bool:
        """Return whether a volume is taken from another host."""
        return self._env["REXRAY_PREEMPT"].lower() in _TRUE

    def own_path(self, path: str) -> str:
        """Return a path of the host as the plugin names it, in its own root: dockerd hands on what it is told."""
        return path.replace(self._place, MOUNTED, 1) if path.startswith(self._place) else path

    def start(self) -> None:
        """Come up: find out which instance this is.

        Raises:
            StartError: Instance metadata wants a token this version cannot ask for, or the processor is ARM.
        """
        if self._host.launch.architecture != "x86_64":
            raise StartError("exec format error: the plugin is built for amd64 only")
        if self._flavour == "stock" and self._host.launch.http_tokens == "required":
            raise StartError("http error: 401: error getting instance id from metadata (IMDSv1)")

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a volume of this zone by its name, in any case; None when there is none that it may use."""
        found: dict[str, Any] | None = self._within(lambda: self._find(name), f"get {name}: VolumeDriver.Get")
        return None if found is None else self._facts(found)

    def all(self) -> list[dict[str, Any]]:
        """Return every named volume of this zone."""
        volumes = self._within(self._volumes, "VolumeDriver.List")
        return [self._facts(volume) for volume in volumes if _name_of(volume)]

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a new, empty volume with this name in this zone.

        Raises:
            EngineError: There is one with this name that it may not use, or EC2 refused.
        """
        self._within(lambda: self._create(name, options), f"create {name}: VolumeDriver.Create")

    def remove(self, name: str) -> None:
        """Delete the EBS volume, data and all.

        Raises:
            EngineError: There is none, or EC2 refused.
        """
        self._within(lambda: self._remove(name), f"remove {name}: VolumeDriver.Remove")

    def mount(self, name: str, user_id: str) -> str:  # noqa: ARG002 - the driver's form
        """Attach, format if not recognised, mount; return the folder inside the volume that Docker gets.

        Raises:
            EngineError: A step failed.
        """
        with self._lock:
            path: str = self._within(
                lambda: self._mount(name), f"error while mounting volume '{name}': VolumeDriver.Mount"
            )
            self._used[name] = self._used.get(name, 0) + 1
            return path

    def unmount(self, name: str, user_id: str) -> None:  # noqa: ARG002 - the driver's form
        """Count one user less; after the last one unmount and detach.

        Raises:
            EngineError: A step failed.
        """
        with self._lock:
            left = self._used[name] = max(0, self._used.get(name, 0) - 1)
            if not left:
                self._within(
                    lambda: self._unmount(name), f"error while unmounting volume '{name}': VolumeDriver.Unmount"
                )

    def _within(self, work: Callable[[], Any], what: str) -> Any:
        """Run work and give up waiting after the server's timeout; the work itself goes on."""
        answer: dict[str, Any] = {}

        def run() -> None:
            try:
                answer["result"] = work()
            except (EngineError, Ec2Error, MountError, OSError) as error:
                answer["error"] = error

        thread = threading.Thread(target=run, name=f"rexray-{self._host.instance_id}", daemon=True)
        thread.start()
        thread.join(self.server_timeout_s)
        if thread.is_alive():
            raise EngineError(
                f"{what}: docker-legacy: http status 408: Request Timeout: the task goes on in the background"
            )
        if "error" in answer:
            raise EngineError(f"{what}: docker-legacy: {answer['error']}") from answer["error"]
        return answer.get("result")

    def _volumes(self) -> list[dict[str, Any]]:
        """Return the volumes of this zone in the API's order: only the first page, whatever their state."""
        zone = {"Name": "availability-zone", "Values": [self._host.availability_zone]}
        answer = self._ec2.call("DescribeVolumes", Filters=[zone])
        return list(answer["Volumes"])

    def _find(self, name: str) -> dict[str, Any] | None:
        """Return the first volume with this name that is free, attached here, or may be taken from another host."""
        for volume in self._volumes():
            elsewhere = [one for one in volume["Attachments"] if one["InstanceId"] != self._host.instance_id]
            if _name_of(volume).casefold() == name.casefold() and (not elsewhere or self.preempts):
                return volume
        return None

    def _create(self, name: str, options: Mapping[str, str]) -> str:
        if any(_name_of(volume).casefold() == name.casefold() for volume in self._volumes()):
            raise EngineError(f"volume name already exists: {name}")
        given = {key.lower(): value for key, value in options.items()}
        arguments: dict[str, Any] = {
            "AvailabilityZone": given.get("availabilityzone", self._host.availability_zone),
            "Size": int(given.get("size") or IMPLICIT_SIZE_GIB),
            "VolumeType": given.get("volumetype") or given.get("type") or "gp2",
            "Encrypted": given.get("encrypted", "false").lower() == "true",
        }
        if given.get("iops"):
            arguments["Iops"] = int(given["iops"])
        volume_id = str(self._ec2.call("CreateVolume", ["volume/*"], **arguments)["VolumeId"])
        tags = [{"Key": "Name", "Value": name}]
        self._ec2.call("CreateTags", [f"volume/{volume_id}"], Resources=[volume_id], Tags=tags)
        self._wait(volume_id, lambda volume: volume["State"] == "available")
        return volume_id

    def _remove(self, name: str) -> None:
        volume = self._find(name)
        if volume is None:
            raise EngineError(f"volume not found: {name}")
        volume_id = volume["VolumeId"]
        self._ec2.call("DeleteVolume", [f"volume/{volume_id}"], VolumeId=volume_id)

    def _mount(self, name: str) -> str:
        volume = self._find(name)
        volume_id = self._create(name, {}) if volume is None else str(volume["VolumeId"])
        here = volume is not None and any(
            one["InstanceId"] == self._host.instance_id and one["State"] != "detached" for one in volume["Attachments"]
        )
        if not here:
            self._attach(volume_id, [] if volume is None else volume["Attachments"])
        return self._disk.mount(volume_id, name)

    def _attach(self, volume_id: str, attachments: list[dict[str, Any]]) -> None:
        if attachments:  # only ever so with PREEMPT: whoever has it loses it, writing or not
            other = attachments[0]["InstanceId"]
            resources = [f"volume/{volume_id}", f"instance/{other}"]
            self._ec2.call("DetachVolume", resources, VolumeId=volume_id, Force=True)
            self._wait(volume_id, lambda volume: not volume["Attachments"])
        large_range = self._env["EBS_USELARGEDEVICERANGE"].lower() in _TRUE
        device = self._host.devices.free_device_name(large_range=large_range)
        if not device:
            raise EngineError("no available device name: all of the plugin's names are in use")
        instance_id = self._host.instance_id
        resources = [f"volume/{volume_id}", f"instance/{instance_id}"]
        self._ec2.call("AttachVolume", resources, VolumeId=volume_id, InstanceId=instance_id, Device=device)
        self._wait(volume_id, lambda volume: [one["State"] for one in volume["Attachments"]] == ["attached"])

    def _unmount(self, name: str) -> None:
        volume = self._find(name)
        if volume is None or not volume["Attachments"]:
            return
        volume_id = volume["VolumeId"]
        self._disk.unmount(volume_id, name)
        resources = [f"volume/{volume_id}", f"instance/{self._host.instance_id}"]
        self._ec2.call("DetachVolume", resources, VolumeId=volume_id, Force=False)
        self._wait(volume_id, lambda one: not one["Attachments"])

    def _wait(self, volume_id: str, is_so: Callable[[Mapping[str, Any]], bool]) -> None:
        """Look again with growing pauses, about 102 s in all."""
        delay_s = FIRST_DELAY_S
        for _ in range(ATTEMPTS):
            answer = self._ec2.call("DescribeVolumes", VolumeIds=[volume_id])
            if is_so(answer["Volumes"][0]):
                return
            if self._host.off.wait(delay_s):
                raise EngineError("the host lost its power")
            delay_s *= 2
        raise EngineError(f"status attempts exhausted while waiting for {volume_id}")

    def _facts(self, volume: Mapping[str, Any]) -> dict[str, Any]:
        volume_id = volume["VolumeId"]
        here = any(one["InstanceId"] == self._host.instance_id for one in volume["Attachments"])
        root = self._env["LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH"]
        mounted = self._disk.mounted_at(volume_id)
        status = {
            "availabilityZone": volume["AvailabilityZone"],
            "fields": None,
            "id": volume_id,
            "iops": volume.get("Iops", 0),
            "name": _name_of(volume),
            "server": "ebs",
            "service": "ebs",
            "size": volume["Size"],
            "status": volume["State"],
            "type": volume["VolumeType"],
            "attachmentState": 2 if here else (1 if not volume["Attachments"] else 3),
        }
        return {
            "CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", volume["CreateTime"].utctimetuple()),
            "Driver": self._name,
            "Labels": None,
            "Mountpoint": self.own_path(posixpath.normpath(mounted + "/" + root)) if mounted else "",
            "Name": _name_of(volume),
            "Options": None,
            "Scope": "global",
            "Status": status,
        }


def _name_of(volume: Mapping[str, Any]) -> str:
    return str(next((tag["Value"] for tag in volume.get("Tags", []) if tag["Key"] == "Name"), ""))

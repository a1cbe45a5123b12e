"""What every host of the sandbox is, simulated or real: its power, its boot, its ECS settings.

The seam between the two tiers: everything outside knows a host by this class and by the parts it names. Nothing here
knows the AWS API, starts a process or writes a file.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from runbook_lib.sandbox import cloud_config, operating_system
from runbook_lib.sandbox.instance_launch import InstanceLaunch
from runbook_lib.sandbox.units import Units

if TYPE_CHECKING:
    from runbook_lib.sandbox.processes import CommandResult
    from runbook_lib.sandbox.rexray_disk import RexRayDisk
    from runbook_lib.sandbox.world import World

log = logging.getLogger(__name__)

COMMAND_TIMEOUT_S = 600.0


class BaseHost:
    """One EC2 host; a tier fills in how its commands run and what its disks, mounts and Docker engine are.

    Args:
        world: The sandbox it is in.
        launch: What EC2 knows of it.
    """

    compose_command: ClassVar[tuple[str, ...]] = ("docker", "compose")
    devices: Any
    """Its attached volumes: ``plug``, ``unplug``, ``has``, ``by_volume``, ``free_device_name``."""
    mounts: Any
    """Its mount table: ``all``, ``of_volume``, ``at``, ``remove``."""
    engine: Any
    """Its Docker engine, as the ECS agent and the estate use it."""

    def __init__(self, world: World, launch: InstanceLaunch) -> None:
        self.world = world
        self.launch = launch
        self.instance_id = launch.instance_id
        self.folder = world.state_dir / "hosts" / launch.instance_id
        self.root = self.folder / "root"
        self.mark = f"RUNBOOK_SANDBOX_HOST={self.folder}"
        self.powered = self.booted = self.ssm_online = False
        self.boot_error = ""
        self.cloud_init = "not started"
        self.boots = 0
        self.ecs_agent_restarts = 0
        self.off = threading.Event()
        self.frozen: dict[str, Any] = {}  # volume id: what `fsfreeze` holds
        self._power = threading.Lock()
        self.root.mkdir(parents=True, exist_ok=True)
        self.units = Units(self)

    @property
    def address(self) -> str:
        """Return the host's loopback address."""
        return self.launch.address

    @property
    def availability_zone(self) -> str:
        """Return where the host is."""
        return self.launch.availability_zone

    @property
    def hostname(self) -> str:
        """Return the name the host gives itself."""
        return "ip-" + self.address.replace(".", "-")

    @property
    def root_uuid(self) -> str:
        """Return the UUID of the root filesystem."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.instance_id))

    @property
    def root_volume_id(self) -> str:
        """Return the id that the root disk shows as its serial number."""
        return "vol-0" + uuid.uuid5(uuid.NAMESPACE_URL, self.instance_id).hex[:16]

    @property
    def ecs_agent_wanted(self) -> bool:
        """Return whether the ECS agent runs: user data has ended, Docker runs, a cluster is named, not stopped."""
        ended = self.cloud_init in {"done", "error"}
        ready = self.powered and self.booted and ended and self.engine.active and self.units.is_active("ecs")
        return ready and bool(self.ecs_config().get("ECS_CLUSTER"))

    def power_on(self, launch: InstanceLaunch) -> None:
        """Begin to boot, in a thread; a host that has power already is left alone."""
        with self._power:
            if self.powered:
                return
            self.launch = launch
            self.powered = True
            self.boots += 1
            self.off = threading.Event()
        threading.Thread(target=self._boot, args=(self.off,), name=f"boot-{self.instance_id}", daemon=True).start()

    def power_off(self, *, graceful: bool) -> None:
        """End every process of the host and forget its mounts; attached devices stay attached.

        Args:
            graceful: Stop containers with their grace period first.
        """
        with self._power:
            if not self.powered:
                return
            if not (graceful and self.booted):
                self.off.set()
            self.ssm_online = False
        self.engine.power_off(graceful=graceful)
        if graceful and self.booted:
            self.units.shut_down()
        self.off.set()
        self.end_processes()
        self.frozen.clear()
        self.powered = self.booted = False

    def delete(self) -> None:
        """Delete the host's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def install(self) -> bool:
        """Prepare the files of the operating system; returns whether this is the instance's first boot."""
        raise NotImplementedError

    def end_processes(self) -> None:
        """End every process of the host and forget its mounts."""
        raise NotImplementedError

    def real_path(self, path: str, *, follow: bool = True) -> Path:
        """Return where this machine has an absolute path of the host."""
        raise NotImplementedError

    def canonical(self, path: str) -> str:
        """Return an absolute path on this host with its symbolic links resolved."""
        raise NotImplementedError

    def run(
        self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S, cwd: str = "/",
        env: Mapping[str, str] | None = None, stdin: bytes = b"",
    ) -> CommandResult:  # fmt: skip
        """Run one program on this host to its end; TimeoutError when that takes too long."""
        raise NotImplementedError

    def run_script(self, commands: Sequence[str], timeout_s: float) -> CommandResult:
        """Run command lines as AWS-RunShellScript does; TimeoutError when that takes too long."""
        raise NotImplementedError

    def answer(self, argv: Sequence[str], view: str, cwd: str, stdin: bytes) -> CommandResult:
        """Answer a command that one of the host's own processes sent here.

        Args:
            argv: Name and arguments.
            view: Which path table its process has, where hosts have those.
            cwd: Folder it was called in, as this machine names it.
            stdin: What it can read.
        """
        raise NotImplementedError

    def start_process(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: IO[bytes]) -> Any:
        """Start a program that stays: an object with ``pid``, ``poll``, ``wait`` and ``send_signal``."""
        raise NotImplementedError

    def mount_device(self, source: str, target: str, options: str = "") -> None:
        """Mount a device's filesystem; MountError when that fails."""
        raise NotImplementedError

    def mount_fstab(self) -> None:
        """Mount what /etc/fstab names, as at boot."""
        raise NotImplementedError

    def rexray_disk(self, simulated: type[RexRayDisk]) -> type[RexRayDisk]:
        """Return what touches disks for the volume plugin; a tier with disks of its own has one of its own."""
        return simulated

    def ecs_config(self) -> dict[str, str]:
        """Return the settings in /etc/ecs/ecs.config, {} when there are none."""
        path = self.real_path("/etc/ecs/ecs.config")
        return operating_system.key_values(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def _boot(self, off: threading.Event) -> None:
        if off.wait(self.world.latency.boot_s):
            return
        with self.world.lock:  # EC2 plugs the devices of the launch in before it lets go of the lock
            pass
        try:
            first = self.install()
            threading.Thread(target=self._ssm_agent, args=(off,), daemon=True).start()
            boot = cloud_config.Boot(self, off)
            boot.begin(first=first)
            self.units.boot()
            boot.finish(first=first)
            self.units.after_cloud_final()
        except Exception as error:
            log.exception("%s did not boot", self.instance_id)
            self.boot_error = f"{type(error).__name__}: {error}"
            self.cloud_init = "error"
        if not off.is_set():
            self.booted = True
            self.world.record("host-booted", instance_id=self.instance_id, error=self.boot_error)

    def _ssm_agent(self, off: threading.Event) -> None:
        if not off.wait(self.world.latency.ssm_agent_s):
            self.ssm_online = True


def facts_of(host: BaseHost) -> dict[str, Any]:
    """Return what the sandbox says of a host to whoever asks for its status."""
    return {
        "powered": host.powered,
        "booted": host.booted,
        "ssm_online": host.ssm_online,
        "boot_error": host.boot_error,
        "containers": [one.name for one in host.engine.containers(all_=False)],
    }

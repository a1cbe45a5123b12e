"""One simulated EC2 host: a folder, its boot, its programs, its mounts and its Docker engine.

Nothing here knows the AWS API. Everything it writes is below the host's folder; everything it starts carries the
host's mark and ends with its power.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import cloud_config, operating_system
from runbook_lib.sandbox.devices import Devices
from runbook_lib.sandbox.engine import Engine
from runbook_lib.sandbox.guest.mapping import PROGRAM_FOLDERS, View
from runbook_lib.sandbox.guest.procview import Processes
from runbook_lib.sandbox.guest.programs import command_for
from runbook_lib.sandbox.guest.words import Refused, split_lines, split_simple
from runbook_lib.sandbox.instance_launch import InstanceLaunch
from runbook_lib.sandbox.mounts import Mount, MountTable
from runbook_lib.sandbox.processes import CommandResult, end_all
from runbook_lib.sandbox.units import Units

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World

__all__ = ["Host", "InstanceLaunch"]

log = logging.getLogger(__name__)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_EXECUTABLE, USAGE = 127, 126, 2
COMMAND_TIMEOUT_S = 600.0


class Host:
    """A simulated host.

    Args:
        world: The sandbox it is in.
        launch: What EC2 knows of it.
    """

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
        self.devices = Devices(self.root, world.volumes, launch.instance_type)
        root = Mount(f"/dev/{self.devices.root_partition}", "/", self.root, "xfs", "rw,noatime")
        self.mounts = MountTable(self.folder, root, self._view_facts(), self._pins, self.mark)
        self.units = Units(self)
        self.engine = Engine(self)

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
        end_all(self.mark)
        self.mounts.clear()
        self.frozen.clear()
        self.powered = self.booted = False

    def delete(self) -> None:
        """Delete the host's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def real_path(self, path: str, *, follow: bool = True) -> Path:
        """Return the real path of an absolute path on this host; below /proc, of one of its processes."""
        view = View(str(self.mounts.view_path))
        if path.startswith("/proc/"):
            return Path(Processes(view).to_real(path))
        return Path(view.to_real(path, follow=follow))

    def canonical(self, path: str) -> str:
        """Return an absolute path on this host with its symbolic links resolved."""
        return View(str(self.mounts.view_path)).locate(path)[0]

    def guest_path(self, real: Path) -> str:
        """Return the host's path of a real path, "" when the host cannot see it."""
        return View(str(self.mounts.view_path)).to_guest(str(real)) or ""

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a process of this host."""
        basic = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC", "USER": "root"}
        return {**basic, **(extra or {}), **self.marks(self.mounts.view_path)}

    def marks(self, view_path: Path) -> dict[str, str]:
        """Return the environment that makes a process one of this host."""
        return {
            "RUNBOOK_SANDBOX_HOST": str(self.folder),
            "RUNBOOK_SANDBOX_VIEW": str(view_path),
            "RUNBOOK_SANDBOX_API": f"127.0.0.1:{self.world.port}",
            "RUNBOOK_SANDBOX_STATE": str(self.world.state_dir),
        }

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the real argument list of a program of this host.

        Raises:
            OSError: There is no such program, or it is not one that a simulated host runs.
        """
        view = View(str(self.mounts.view_path))
        name = argv[0]
        for shown in [name] if "/" in name else [f"{folder}/{name}" for folder in PROGRAM_FOLDERS]:
            try:
                return command_for(view.to_real(shown), shown, argv, str(view.data["bin"]))
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise FileNotFoundError(f"{name}: command not found")

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> CommandResult:
        """Run one program on this host to its end.

        Args:
            argv: Program and arguments; no shell.
            timeout_s: How long it may take.
            cwd: Folder on the host to start in.
            env: Environment besides the usual.
            stdin: What it reads.

        Raises:
            TimeoutError: The time passed; it was killed.
        """
        try:
            real = self.command(argv)
        except FileNotFoundError:
            return CommandResult("", f"{argv[0]}: command not found\n", NOT_FOUND)
        except OSError as error:
            return CommandResult("", f"{argv[0]}: {error.strerror}\n", NOT_EXECUTABLE)
        return self.world.forks.run(
            real,
            env=self.environment(env),
            cwd=self.real_path(cwd),
            timeout_s=min(timeout_s, COMMAND_TIMEOUT_S),
            stdin=stdin,
        )

    def run_script(self, commands: Sequence[str], timeout_s: float) -> CommandResult:
        """Run command lines one after the other, as AWS-RunShellScript does, but without a shell.

        Raises:
            TimeoutError: The time passed.
        """
        started = time.monotonic()
        results: list[CommandResult] = []
        for line in (one for text in commands for one in split_lines(text)):
            try:
                words = split_simple(line)
            except Refused as error:
                results.append(CommandResult("", f"sandbox: {error}\n", USAGE))
                break
            replaces = words[0] == "exec" and len(words) > 1
            left_s = max(0.1, timeout_s - (time.monotonic() - started))
            results.append(self.run(words[1:] if replaces else words, timeout_s=left_s, cwd="/"))
            if replaces:
                break
        code = results[-1].exit_code if results else 0
        stdout, stderr = "".join(one.stdout for one in results), "".join(one.stderr for one in results)
        return CommandResult(stdout, stderr, code, time.monotonic() - started)

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
            first = operating_system.install(self)
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

    def _view_facts(self) -> dict[str, Any]:
        return {
            "kind": "host",
            "mark": str(self.folder),
            "bin": str(self.world.guest_dir / "host-bin"),
            "hostname": self.hostname,
            "address": self.address,
            "host_address": self.address,
            "ports": {},
        }

    def _pins(self, real: Path) -> list[str]:
        return self.engine.users_of(real)


def facts_of(host: Host) -> dict[str, Any]:
    """Return what the sandbox says of a host to whoever asks for its status."""
    return {
        "powered": host.powered,
        "booted": host.booted,
        "ssm_online": host.ssm_online,
        "boot_error": host.boot_error,
        "containers": [one.name for one in host.engine.containers(all_=False)],
    }

"""One real EC2 host: namespaces with a root disk, a network, disks and a dockerd of their own.

Everything it writes is below the host's folder or inside its namespaces; everything it starts ends with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from runbook_lib.sandbox.hosts_base import COMMAND_TIMEOUT_S, BaseHost
from runbook_lib.sandbox.mounts import MountError
from runbook_lib.sandbox.processes import CommandResult
from runbook_lib.sandbox.real import root_files
from runbook_lib.sandbox.real.devices import RealDevices
from runbook_lib.sandbox.real.engine import RealEngine
from runbook_lib.sandbox.real.kernel import listen_inside
from runbook_lib.sandbox.real.mounts import RealMounts
from runbook_lib.sandbox.real.namespaces import KEY, PATH, Namespaces, Service
from runbook_lib.sandbox.real.paths import resolve
from runbook_lib.sandbox.real.rexray_disk import RealRexRayDisk

if TYPE_CHECKING:
    from runbook_lib.sandbox.instance_launch import InstanceLaunch
    from runbook_lib.sandbox.real.tier import RealTier
    from runbook_lib.sandbox.rexray_disk import RexRayDisk
    from runbook_lib.sandbox.world import World

METADATA, HTTP = "169.254.169.254", 80
NOT_FOUND = 127


class RealHost(BaseHost):
    """A real host.

    Args:
        world: The sandbox it is in.
        launch: What EC2 knows of it.
        tier: Network and volumes of the sandbox.
    """

    compose_command: ClassVar[tuple[str, ...]] = ("docker-compose",)

    def __init__(self, world: World, launch: InstanceLaunch, tier: RealTier) -> None:
        super().__init__(world, launch)
        self._tier = tier
        self._spaces: Namespaces | None = None
        self._server: Any = None
        self.local = self.folder / "local"
        self.local.mkdir(parents=True, exist_ok=True)
        self.devices = RealDevices(self, tier.store)
        self.mounts = RealMounts(self)
        self.engine = RealEngine(self)

    @property
    def has_namespaces(self) -> bool:
        """Return whether its process 1 runs."""
        return self._spaces is not None

    @property
    def pid(self) -> int:
        """Return its process 1 as this machine counts, 0 when it has none."""
        return self._spaces.pid if self._spaces else 0

    @property
    def cgroup_parent(self) -> str:
        """Return the control group of its containers."""
        return f"/{self._tier.cgroup}/{self.instance_id}"

    def install(self) -> bool:
        """Begin its namespaces; write its root disk at the first boot, which is returned."""
        first = root_files.install(self)
        self._spaces = Namespaces(self.root, self.local, self.hostname, self._tier.key)
        root_files.write_dmi(self)
        self._tier.network.connect(self.pid, self.address)
        self._serve()
        self.devices.appear()
        return first

    def power_off(self, *, graceful: bool) -> None:
        """End the host; ungraceful, nothing that was not on its volumes yet gets there."""
        if not graceful and self.powered:
            self.mounts.cut_power()
        super().power_off(graceful=graceful)

    def end_processes(self) -> None:
        """Kill process 1: the kernel ends everything inside and takes the mounts apart."""
        spaces, self._spaces = self._spaces, None
        if spaces is not None:
            spaces.end()
        if self._server is not None:  # afterwards: it waits for whom it answers, and these may be held still
            self._server.stop()
            self._server = None

    def outside(self, path: str) -> Path:
        """Return where this machine has a path of the host without links: through process 1, or on the root disk."""
        spaces = self._spaces
        return spaces.path(path) if spaces else Path(f"{self.root}{path}")

    def real_path(self, path: str, *, follow: bool = True) -> Path:
        """Return where this machine has a path of the host; its links lead to where they lead on the host."""
        return self.outside(resolve(str(self.outside("")), path, follow=follow))

    def canonical(self, path: str) -> str:
        """Return an absolute path with its symbolic links resolved."""
        return resolve(str(self.outside("")), path)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a process of this host."""
        basic = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC", "USER": "root"}
        return {**basic, KEY: self._tier.key, **(extra or {})}

    def run(
        self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S, cwd: str = "/",
        env: Mapping[str, str] | None = None, stdin: bytes = b"",
    ) -> CommandResult:  # fmt: skip
        """Run one program on this host to its end.

        Raises:
            TimeoutError: The time passed; it was killed.
        """
        spaces = self._spaces
        if spaces is None:
            return CommandResult("", f"{argv[0]}: the host has no power\n", NOT_FOUND)
        return spaces.run(argv, env=self.environment(env), timeout_s=timeout_s, cwd=cwd, stdin=stdin)

    def run_script(self, commands: Sequence[str], timeout_s: float) -> CommandResult:
        """Run command lines in one shell, as AWS-RunShellScript does.

        Raises:
            TimeoutError: The time passed.
        """
        began = time.monotonic()
        folder = f"/var/lib/amazon/ssm/{os.urandom(8).hex()}"
        script = self.real_path(folder) / "_script.sh"
        script.parent.mkdir(parents=True)
        script.write_text("#!/bin/sh\n" + "\n".join(commands) + "\n", encoding="utf-8")
        try:
            result = self.run(["/bin/sh", f"{folder}/_script.sh"], timeout_s=timeout_s)
        finally:
            script.unlink(missing_ok=True)
        return CommandResult(result.stdout, result.stderr, result.exit_code, time.monotonic() - began)

    def answer(self, argv: Sequence[str], view: str, cwd: str, stdin: bytes) -> CommandResult:  # noqa: ARG002
        """Answer one of the few commands that a real host has no program for."""
        from runbook_lib.sandbox.commands.call import Call  # noqa: PLC0415 - commands know hosts
        from runbook_lib.sandbox.commands.dispatch import dispatch  # noqa: PLC0415

        if argv[0] not in root_files.SHIMS:
            return CommandResult("", f"{argv[0]}: command not found\n", NOT_FOUND)
        host: Any = self
        return dispatch(argv[0], Call(host, list(argv[1:]), "/", stdin))

    def start_process(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: IO[bytes]) -> Service:
        """Start a program that stays.

        Raises:
            OSError: The host has no power.
        """
        if self._spaces is None:
            raise OSError("the host has no power")
        return self._spaces.start(argv, env=self.environment(env), cwd=cwd, output=output)

    def mount_device(self, source: str, target: str, options: str = "") -> None:
        """Mount a device's filesystem; MountError when mount refuses."""
        result = self.run(["mount", *(["-o", options] if options else []), source, target])
        if result.exit_code:
            raise MountError(result.stderr.strip())

    def mount_fstab(self) -> None:
        """Mount what /etc/fstab names but the root disk, as at boot; what fails is left unmounted."""
        rows = [line.split() for line in self.real_path("/etc/fstab").read_text(encoding="utf-8").splitlines()]
        for fields in rows:
            if len(fields) > 1 and not fields[0].startswith("#") and fields[1] not in {"/", "none", "swap"}:
                self.run(["mount", fields[1]])

    def rexray_disk(self, simulated: type[RexRayDisk]) -> type[RexRayDisk]:  # noqa: ARG002 - the seam's form
        """Return what touches disks for the volume plugin: this machine's tools."""
        return RealRexRayDisk

    def _serve(self) -> None:
        """Answer instance metadata, the registry and the few commands at the link-local address, inside the host."""
        from runbook_lib.sandbox.server import Server  # noqa: PLC0415 - it imports moto

        listening = listen_inside(self.pid, METADATA, HTTP)
        self._server = Server(listening, self._tier.inside(self))
        self._server.start()

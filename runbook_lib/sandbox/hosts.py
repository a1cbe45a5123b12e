"""One simulated EC2 host: a folder, its boot, its programs, its mounts and its Docker engine.

Nothing here knows the AWS API. Everything it writes is below the host's folder; everything it starts carries the
host's mark and ends with its power.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runbook_lib.sandbox import operating_system
from runbook_lib.sandbox.devices import Devices
from runbook_lib.sandbox.engine import Engine
from runbook_lib.sandbox.guest.mapping import PROGRAM_FOLDERS, View
from runbook_lib.sandbox.guest.procview import Processes
from runbook_lib.sandbox.guest.programs import command_for
from runbook_lib.sandbox.guest.words import Refused, split_lines, split_simple
from runbook_lib.sandbox.hosts_base import COMMAND_TIMEOUT_S, BaseHost
from runbook_lib.sandbox.instance_launch import InstanceLaunch
from runbook_lib.sandbox.mounts import Mount, MountTable
from runbook_lib.sandbox.processes import CommandResult, end_all

if TYPE_CHECKING:
    from runbook_lib.sandbox.guest_processes import GuestProcess
    from runbook_lib.sandbox.world import World

__all__ = ["Host", "InstanceLaunch"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_EXECUTABLE, USAGE = 127, 126, 2


class Host(BaseHost):
    """A simulated host.

    Args:
        world: The sandbox it is in.
        launch: What EC2 knows of it.
    """

    devices: Devices
    mounts: MountTable
    engine: Engine

    def __init__(self, world: World, launch: InstanceLaunch) -> None:
        super().__init__(world, launch)
        self.devices = Devices(self.root, world.volumes, launch.instance_type)
        root = Mount(f"/dev/{self.devices.root_partition}", "/", self.root, "xfs", "rw,noatime")
        self.mounts = MountTable(self.folder, root, self._view_facts(), self._pins, self.mark)
        self.engine = Engine(self)

    def install(self) -> bool:
        """Write the files of the operating system; returns whether this is the instance's first boot."""
        return operating_system.install(self)

    def end_processes(self) -> None:
        """End everything that carries the host's mark and forget its mounts."""
        end_all(self.mark)
        self.mounts.clear()

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

    def answer(self, argv: Sequence[str], view: str, cwd: str, stdin: bytes) -> CommandResult:
        """Answer a command that one of the host's own processes sent here; containers have none of them."""
        from runbook_lib.sandbox.commands.call import Call  # noqa: PLC0415 - commands know hosts
        from runbook_lib.sandbox.commands.dispatch import dispatch  # noqa: PLC0415

        if view != str(self.mounts.view_path):
            return CommandResult("", f"{argv[0]}: not found\n", NOT_FOUND)
        return dispatch(argv[0], Call(self, list(argv[1:]), self.guest_path(Path(cwd)) or "/", stdin))

    def start_process(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: IO[bytes]
    ) -> GuestProcess:
        """Start a program that stays, in a session of its own.

        Raises:
            OSError: There is no such program, or it could not be started.
        """
        with Path(os.devnull).open("rb") as nothing:
            return self.world.forks.start_process(
                self.command(argv),
                env=self.environment(env),
                cwd=self.real_path(cwd),
                stdin=nothing.fileno(),
                stdout=output.fileno(),
                stderr=output.fileno(),
            )

    def mount_device(self, source: str, target: str, options: str = "") -> None:
        """Mount a device's filesystem; MountError when that fails."""
        from runbook_lib.sandbox.commands.mounting import mount_device  # noqa: PLC0415 - commands know hosts

        mount_device(self, source, target, options)

    def mount_fstab(self) -> None:
        """Mount what /etc/fstab names, as at boot."""
        from runbook_lib.sandbox.commands.mounting import mount_all  # noqa: PLC0415 - commands know hosts

        mount_all(self)

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

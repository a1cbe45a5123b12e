"""Run a container's process: its command line, its environment, its view, its end.

Starts guest processes in sessions of their own and kills only what carries the container's mark.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import Container, EngineError, MountedPath
from runbook_lib.sandbox.copying import copy_tree
from runbook_lib.sandbox.guest.mapping import PROGRAM_FOLDERS, View
from runbook_lib.sandbox.guest.programs import command_for
from runbook_lib.sandbox.mounts import Mount, write_view
from runbook_lib.sandbox.processes import CommandResult, end_all

if TYPE_CHECKING:
    from runbook_lib.sandbox.guest_processes import GuestProcess
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.images import Image

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = ("tmp", "etc", "var", "root", "dev", "usr/bin", "usr/local/bin", "bin")


def make_rootfs(container: Container, image: Image, host: Host) -> None:
    """Lay out a container's own files: the image's, and what a runtime adds.

    Args:
        container: Whose folder.
        image: What it is made from.
        host: Where it is.
    """
    container.rootfs.parent.mkdir(parents=True, exist_ok=True)
    copy_tree(image.files, container.rootfs)
    for name in FOLDERS:
        (container.rootfs / name).mkdir(parents=True, exist_ok=True)
    (container.rootfs / "tmp").chmod(0o1777)
    (container.rootfs / ".dockerenv").touch()
    name = hostname_of(container)
    (container.rootfs / "etc/hostname").write_text(name + "\n", encoding="utf-8")
    (container.rootfs / "etc/hosts").write_text(f"127.0.0.1 localhost\n{container.address} {name}\n", encoding="utf-8")
    for folder in [working_dir(container, image), *(mount.target for mount in container.spec.mounts)]:
        inside(container, folder).mkdir(parents=True, exist_ok=True)
    container.folder.mkdir(parents=True, exist_ok=True)
    write_container_view(container, host)


def write_container_view(container: Container, host: Host) -> None:
    """Write the path table of a container from what it has mounted now."""
    ports = {str(inner): [host.address, outer] for outer, inner in container.spec.ports}
    is_host_network = container.spec.network_mode == "host"
    facts: dict[str, Any] = {
        "kind": "container",
        "mark": str(container.view_path),
        "bin": str(host.world.guest_dir / "container-bin"),
        "hostname": host.hostname if is_host_network else hostname_of(container),
        "address": host.address if is_host_network else container.address,
        "host_address": host.address,
        "immutable": host.mounts.immutable,
        "ports": {} if is_host_network else ports,
    }
    root = Mount("overlay", "/", container.rootfs, "overlay")
    write_view(container.folder, facts, root, [_as_mount(one, host) for one in container.mounted])


def _as_mount(mounted: MountedPath, host: Host) -> Mount:
    below = host.mounts.by_real(mounted.real)
    relative = os.path.relpath(mounted.real, below.real)
    source = below.device if relative == "." else f"{below.device}[/{relative}]"
    options = "ro,relatime" if mounted.mount.read_only else "rw,relatime"
    return Mount(source, mounted.mount.target, mounted.real, below.fstype, options, below.volume_id, below.size_bytes)


def start(container: Container, image: Image, host: Host) -> GuestProcess:
    """Start a container's main process.

    Raises:
        EngineError: The program is not in the image, or not one that containers of the sandbox run.
    """
    argv = command_line(container, image)
    with container.log_path.open("ab") as log, Path(os.devnull).open("rb") as nothing:
        return host.world.forks.start_process(
            real_command(container, argv),
            env={
                **environment(container, image, host),
                **({} if container.spec.init else {"RUNBOOK_SANDBOX_MAIN": "1"}),
            },
            cwd=inside(container, working_dir(container, image)),
            stdin=nothing.fileno(),
            stdout=log.fileno(),
            stderr=log.fileno(),
        )


def execute(
    container: Container, image: Image, host: Host, argv: Sequence[str], *,
    timeout_s: float, env: Mapping[str, str] | None = None, stdin: bytes = b"", workdir: str = "",
) -> CommandResult:  # fmt: skip
    """Run a further program in a container, as ``docker exec``.

    Raises:
        EngineError: The program cannot be started.
        TimeoutError: The time passed.
    """
    return host.world.forks.run(
        real_command(container, argv),
        env={**environment(container, image, host), **(env or {}), **host.marks(container.view_path)},
        cwd=inside(container, workdir or working_dir(container, image)),
        timeout_s=timeout_s,
        stdin=stdin,
    )


def real_command(container: Container, argv: Sequence[str]) -> list[str]:
    """Return the real argument list of a program of a container.

    Raises:
        EngineError: There is no such program.
    """
    view = View(str(container.view_path))
    name = argv[0]
    for shown in [name] if "/" in name else [f"{folder}/{name}" for folder in PROGRAM_FOLDERS]:
        try:
            return command_for(view.to_real(shown), shown, argv, str(view.data["bin"]))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise EngineError(f'OCI runtime exec failed: exec: "{name}": {error.strerror}: unknown') from error
    raise EngineError(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create "
        f'failed: unable to start container process: exec: "{name}": executable file not found in $PATH: unknown'
    )


def command_line(container: Container, image: Image) -> list[str]:
    """Return entrypoint and command as Docker joins them: a given entrypoint drops the image's command."""
    spec, config = container.spec, image.config
    entrypoint = list(spec.entrypoint) if spec.entrypoint is not None else list(config.get("Entrypoint") or [])
    default = [] if spec.entrypoint is not None else list(config.get("Cmd") or [])
    words = entrypoint + (list(spec.command) if spec.command is not None else default)
    if not words:
        raise EngineError("no command specified")
    return words


def environment(container: Container, image: Image, host: Host) -> dict[str, str]:
    """Return the whole environment of a process of a container."""
    basic = {"PATH": PATH, "HOSTNAME": hostname_of(container), "HOME": "/root", "LANG": "C.UTF-8"}
    own = dict(entry.split("=", 1) for entry in image.config.get("Env") or [])
    return {**basic, **own, **container.spec.environment, **host.marks(container.view_path)}


def hostname_of(container: Container) -> str:
    """Return the name a container gives itself."""
    return container.spec.hostname or container.id[:12]


def working_dir(container: Container, image: Image) -> str:
    """Return the folder a container's processes start in."""
    return container.spec.working_dir or str(image.config.get("WorkingDir") or "/")


def inside(container: Container, path: str) -> Path:
    """Return the real path of a container's path."""
    if container.view_path.exists():
        return Path(View(str(container.view_path)).to_real(path))
    return container.rootfs / path.lstrip("/")


def terminate(pid: int, number: int = signal.SIGTERM) -> None:
    """Signal a container's main process; one that is gone, or whose volumes are being given back, is left alone."""
    if pid > 0:  # 0 would be this process and everything it started
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def end_rest(container: Container) -> None:
    """Kill whatever is left of a container after its main process ended."""
    end_all(f"RUNBOOK_SANDBOX_VIEW={container.view_path}")

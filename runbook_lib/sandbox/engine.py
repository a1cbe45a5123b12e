"""The simulated Docker engine of one host: images, containers as real processes, volumes, plugins.

Starts and ends processes of its containers only; writes below the host's /var/lib/docker. A container's volumes are
unmounted before it counts as stopped, as in dockerd.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox import container_process as process
from runbook_lib.sandbox.container_mounts import ContainerMounts
from runbook_lib.sandbox.containers import Container, ContainerSpec, EngineError, now_utc
from runbook_lib.sandbox.engine_stores import EngineStores
from runbook_lib.sandbox.images import Image, normalized
from runbook_lib.sandbox.supervisor import ENDS_S, Supervisor

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.processes import CommandResult

ROOT_DIR = "/var/lib/docker"
SHUTDOWN_S = 15.0
HURRY_S = 2.0
"""How long a sandbox that goes down waits for its containers' end: nobody will use their volumes."""


class Engine(EngineStores):
    """dockerd of one host.

    Args:
        host: Where it runs.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.lost_power = False
        self.container_mounts = ContainerMounts(host, self.docker_volumes)
        self._keepers: dict[str, Supervisor] = {}

    def start_daemon(self) -> None:
        """Start dockerd: plugins first, then the containers whose restart policy asks for it."""
        self.lost_power, self.active = False, True
        self.plugin_registry.restart()
        for keeper in self._all():
            policy = keeper.container.restart.partition(":")[0]
            wanted = policy == "always" or (policy == "unless-stopped" and not keeper.container.stopped_by_user)
            if wanted and keeper.container.status == "exited":
                try:
                    keeper.start()
                except EngineError as error:
                    self.note(f"{keeper.container.name}: {error}")

    def stop_daemon(self) -> None:
        """Stop dockerd: every container gets its grace period, at most 15 s, and its volumes are unmounted."""
        self.active = False
        keepers = [keeper for keeper in self._all() if keeper.container.is_alive]
        by_user = {keeper.container.id: keeper.container.stopped_by_user for keeper in keepers}
        threads = [
            threading.Thread(target=keeper.stop, args=(self._grace_s(keeper),), daemon=True) for keeper in keepers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ENDS_S)
        for keeper in keepers:
            keeper.container.stopped_by_user = by_user[keeper.container.id]

    def power_off(self, *, graceful: bool) -> None:
        """End every container: as an operating system that shuts down, or as a power cut."""
        if graceful and self.active:
            self.stop_daemon()
        self.lost_power, self.active = True, False
        for keeper in self._all():
            if keeper.container.pid:
                process.terminate(keeper.container.pid, 9)
        deadline = time.monotonic() + (HURRY_S if self.host.world.ended.is_set() else ENDS_S)
        for keeper in self._all():
            keeper.container.wait(("exited", "created"), max(0.0, deadline - time.monotonic()))

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container without starting it.

        Raises:
            EngineError: The image is not on the host, the name is taken, or a volume cannot be made.
        """
        self.require_active()
        image = self.image(spec.image)
        if image is None:
            raise EngineError(f"No such image: {normalized(spec.image)}")
        container_id = secrets.token_hex(32)
        with self.lock:
            self._check_name(spec.name)
            named = replace(spec, name=spec.name or f"container_{container_id[:8]}")
            rootfs = self.host.real_path(f"{ROOT_DIR}/overlay2/{container_id}") / "merged"
            folder = self.host.folder / "containers" / container_id
            container = Container(
                id=container_id, spec=named, image_id=image.image_id, folder=folder,
                rootfs=rootfs, address=self.host.world.address_of_next_container(), created_utc=now_utc(),
                restart=spec.restart,
            )  # fmt: skip
            self._keepers[container_id] = Supervisor(container, image, self)
        try:
            self.container_mounts.claim(container, image)
            process.make_rootfs(container, image, self.host)
        except EngineError:
            self._forget(container)
            raise
        return container

    def run(self, spec: ContainerSpec) -> Container:
        """Pull the image if it is missing, make a container and start it.

        Raises:
            EngineError: One of these failed; a container that was made stays, as with ``docker run``.
        """
        if self.image(spec.image) is None:
            self.pull(spec.image)
        container = self.create(spec)
        self.start(container.id)
        return container

    def start(self, container_id: str) -> None:
        """Start a container.

        Raises:
            EngineError: There is none, or it does not start.
        """
        self.require_active()
        self._keeper(container_id).start()

    def stop(self, container_id: str, timeout_s: float | None = None) -> None:
        """Stop a container; returns when its volumes are unmounted and it counts as stopped.

        Args:
            container_id: Id, beginning of it, or name.
            timeout_s: Grace period; None takes the container's own.
        """
        keeper = self._keeper(container_id)
        keeper.stop(keeper.container.spec.stop_timeout_s if timeout_s is None else timeout_s)

    def kill(self, container_id: str, number: int = 9) -> None:
        """Send a signal to a container's main process."""
        self._keeper(container_id).kill(number)

    def remove(self, container_id: str, *, force: bool = False, with_anonymous: bool = False) -> None:
        """Delete a stopped container with its own files.

        Raises:
            EngineError: It runs, and ``force`` is not set.
        """
        keeper = self._keeper(container_id)
        if keeper.container.is_alive:
            if not force:
                raise EngineError(
                    f'cannot remove container "/{keeper.container.name}": container is running: '
                    "stop the container before removing or force remove"
                )
            keeper.stop(0)
        self._forget(keeper.container)
        self.container_mounts.release(keeper.container, with_anonymous=with_anonymous)

    def containers(self, all_: bool = True) -> list[Container]:  # noqa: FBT001, FBT002 - the interface others call
        """Return the containers, newest first; without ``all_`` only those that run."""
        found = [keeper.container for keeper in reversed(self._all())]
        return [one for one in found if all_ or one.is_alive]

    def inspect(self, container_id: str) -> Container:
        """Return a container by id, beginning of its id, or name.

        Raises:
            EngineError: There is none.
        """
        return self._keeper(container_id).container

    def exec(
        self, container_id: str, argv: Sequence[str], timeout_s: float = 600.0, *,
        env: Mapping[str, str] | None = None, stdin: bytes = b"", workdir: str = "",
    ) -> CommandResult:  # fmt: skip
        """Run a program in a running container to its end.

        Raises:
            EngineError: It does not run, or there is no such program.
            TimeoutError: The time passed.
        """
        container = self.inspect(container_id)
        if container.status != "running":
            raise EngineError(f"container {container.id} is not running")
        image = self.image_of(container)
        return process.execute(
            container, image, self.host, argv, timeout_s=timeout_s, env=env, stdin=stdin, workdir=workdir
        )

    def logs(self, container_id: str) -> str:
        """Return everything a container printed."""
        path = self.inspect(container_id).log_path
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def image_of(self, container: Container) -> Image:
        """Return the image a container was made from."""
        return next(one for one in self.images() if one.image_id == container.image_id)

    def update_restart(self, container_id: str, policy: str) -> None:
        """Give a container another restart policy, running or not."""
        self.inspect(container_id).restart = policy

    def users_of(self, real: Path) -> list[str]:
        """Return the names of running containers that have a folder, or one below it, mounted."""
        return [
            keeper.container.name
            for keeper in self._all()
            if any(one.real == real or real in one.real.parents for one in list(keeper.container.mounted))
        ]

    def tear_away(self, real: Path) -> None:
        """Let containers that have a folder mounted see nothing there any more: its device has vanished."""
        for keeper in self._all():
            self.container_mounts.tear_away(keeper.container, real)

    def check_ports(self, container: Container) -> None:
        """Refuse a host port that another running container publishes.

        Raises:
            EngineError: It is taken.
        """
        mine = {outer for outer, _ in container.spec.ports}
        for other in self.containers(all_=False):
            taken = mine & {outer for outer, _ in other.spec.ports} if other is not container else set()
            for port in taken:
                raise EngineError(
                    f"driver failed programming external connectivity on endpoint {container.name} "
                    f"({container.id}): Bind for 0.0.0.0:{port} failed: port is already allocated"
                )

    def _all(self) -> list[Supervisor]:
        with self.lock:
            return list(self._keepers.values())

    def _keeper(self, container_id: str) -> Supervisor:
        name = container_id.removeprefix("/")
        for keeper in self._all():
            if name in {keeper.container.id, keeper.container.name}:
                return keeper
        started = [one for one in self._all() if len(name) > 3 and one.container.id.startswith(name)]  # noqa: PLR2004
        if len(started) != 1:
            raise EngineError(f"No such container: {container_id}")
        return started[0]

    def _check_name(self, name: str) -> None:
        other = next((one.container for one in self._all() if one.container.name == name and name), None)
        if other is not None:
            raise EngineError(
                f'Conflict. The container name "/{name}" is already in use by container "{other.id}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def _forget(self, container: Container) -> None:
        with self.lock:
            self._keepers.pop(container.id, None)
        with suppress(FileNotFoundError):
            shutil.rmtree(container.rootfs.parent)
        shutil.rmtree(container.folder, ignore_errors=True)

    @staticmethod
    def _grace_s(keeper: Supervisor) -> float:
        return min(SHUTDOWN_S, keeper.container.spec.stop_timeout_s)

"""The simulated Docker engine of one host: images, containers as real processes, volumes, plugins.

Starts and ends processes of its containers only; writes below the host's /var/lib/docker. A container's volumes are
unmounted before it counts as stopped, as in dockerd.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import container_process as process
from runbook_lib.sandbox.container_mounts import ContainerMounts
from runbook_lib.sandbox.containers import Container, ContainerSpec, EngineError, now_utc
from runbook_lib.sandbox.docker_volumes import DockerVolumes
from runbook_lib.sandbox.images import Image, normalized
from runbook_lib.sandbox.plugins import Plugin, Plugins
from runbook_lib.sandbox.supervisor import ENDS_S, Supervisor

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.processes import CommandResult

ROOT_DIR = "/var/lib/docker"
SHUTDOWN_S = 15.0


class Engine:
    """dockerd of one host.

    Args:
        host: Where it runs.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.active = False
        self.lost_power = False
        self.plugin_registry = Plugins(host)
        self.docker_volumes = DockerVolumes(host, self.plugin_registry)
        self.container_mounts = ContainerMounts(host, self.docker_volumes)
        self._lock = threading.RLock()
        self._images: dict[str, Image] = {}
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
        threads = [threading.Thread(target=keeper.stop, args=(self._grace_s(keeper),), daemon=True) for keeper in keepers]
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
        for keeper in self._all():
            keeper.container.wait(("exited", "created"), ENDS_S)

    def pull(self, reference: str) -> Image:
        """Bring an image to the host; one that is there costs no time.

        Raises:
            EngineError: The registry does not have it.
        """
        self._require_active()
        image = self.host.world.images.find(reference)
        if image is None:
            raise EngineError(f"manifest for {normalized(reference)} not found: manifest unknown: manifest unknown")
        present = any(one.digest == image.digest for one in self._images.values())
        if not present and self.host.off.wait(self.host.world.latency.image_pull_s):
            raise EngineError("the host lost its power")
        with self._lock:
            self._images[reference if "@" in reference else image.reference] = image
        return image

    def image(self, reference: str) -> Image | None:
        """Return an image of this host by tag, digest or id; None when it is not here."""
        known = self._images.get(reference) or self._images.get(normalized(reference))
        same = (one for one in self._images.values() if reference in {one.image_id, f"{one.repository}@{one.digest}"})
        return known or next(same, None)

    def images(self) -> list[Image]:
        """Return the images on this host."""
        return list(dict.fromkeys(self._images.values()))

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container without starting it.

        Raises:
            EngineError: The image is not on the host, the name is taken, or a volume cannot be made.
        """
        self._require_active()
        image = self.image(spec.image)
        if image is None:
            raise EngineError(f"No such image: {normalized(spec.image)}")
        container_id = secrets.token_hex(32)
        with self._lock:
            self._check_name(spec.name)
            named = replace(spec, name=spec.name or f"container_{container_id[:8]}")
            rootfs = self.host.real_path(f"{ROOT_DIR}/overlay2/{container_id}") / "merged"
            container = Container(
                id=container_id, spec=named, image_id=image.image_id, folder=self.host.folder / "containers" / container_id,
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
        self._require_active()
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
        return process.execute(container, image, self.host, argv, timeout_s=timeout_s, env=env, stdin=stdin, workdir=workdir)

    def logs(self, container_id: str) -> str:
        """Return everything a container printed."""
        path = self.inspect(container_id).log_path
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def image_of(self, container: Container) -> Image:
        """Return the image a container was made from."""
        return next(one for one in self._images.values() if one.image_id == container.image_id)

    def update_restart(self, container_id: str, policy: str) -> None:
        """Give a container another restart policy, running or not."""
        self.inspect(container_id).restart = policy

    def plugins(self) -> list[Plugin]:
        """Return the installed plugins."""
        return self.plugin_registry.all()

    def plugin_install(
        self, reference: str, alias: str = "", env: Mapping[str, str] | None = None, *, enable: bool = True
    ) -> Plugin:
        """Install a plugin and, unless told otherwise, enable it.

        Raises:
            EngineError: It cannot be pulled, set or enabled; one that was pulled stays, disabled.
        """
        self._require_active()
        plugin = self.plugin_registry.install(reference, alias, env or {})
        if enable:
            self.plugin_registry.enable(plugin.name)
        return plugin

    def plugin_set(self, name: str, env: Mapping[str, str]) -> None:
        """Change settings of a disabled plugin."""
        self.plugin_registry.set(name, env)

    def plugin_enable(self, name: str) -> None:
        """Enable a plugin."""
        self.plugin_registry.enable(name)

    def plugin_disable(self, name: str, *, force: bool = False) -> None:
        """Disable a plugin."""
        self.plugin_registry.disable(name, force=force)

    def plugin_remove(self, name: str, *, force: bool = False) -> None:
        """Remove a plugin."""
        self.plugin_registry.remove(name, force=force)

    def volume_inspect(self, name: str, driver: str = "") -> dict[str, Any]:
        """Return what Docker says of a volume; EngineError when there is none."""
        return self.docker_volumes.inspect(name, driver)

    def volume_create(self, name: str, driver: str = "local", options: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Make a volume, or return the one that is there."""
        return self.docker_volumes.create(name, driver, options or {})

    def volume_remove(self, name: str) -> None:
        """Delete a volume with its data."""
        self.docker_volumes.remove(name)

    def users_of(self, real: Path) -> list[str]:
        """Return the names of running containers that have a folder, or one below it, mounted."""
        return [
            keeper.container.name
            for keeper in self._all()
            if any(one.real == real or real in one.real.parents for one in list(keeper.container.mounted))
        ]

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

    def note(self, text: str) -> None:
        """Write a line to dockerd's own log on the host."""
        path = self.host.root / "var/log/docker.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{now_utc()} {text}\n")

    def _all(self) -> list[Supervisor]:
        with self._lock:
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
        with self._lock:
            self._keepers.pop(container.id, None)
        with suppress(FileNotFoundError):
            shutil.rmtree(container.rootfs.parent)
        shutil.rmtree(container.folder, ignore_errors=True)

    def _require_active(self) -> None:
        if not self.active:
            raise EngineError("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")

    @staticmethod
    def _grace_s(keeper: Supervisor) -> float:
        return min(SHUTDOWN_S, keeper.container.spec.stop_timeout_s)

"""What one Docker engine stores: images, plugins and volumes.

Writes below the host's /var/lib/docker and to dockerd's log; starts no container.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import EngineError, now_utc
from runbook_lib.sandbox.docker_volumes import DockerVolumes
from runbook_lib.sandbox.images import Image, normalized
from runbook_lib.sandbox.plugins import Plugin, Plugins, refuse_pull

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host

NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


class EngineStores:
    """Images, plugins and volumes of one engine.

    Args:
        host: Where it runs.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.active = False
        self.lock = threading.RLock()
        self.plugin_registry = Plugins(host)
        self.docker_volumes = DockerVolumes(host, self.plugin_registry)
        self._images: dict[str, Image] = {}

    def pull(self, reference: str) -> Image:
        """Bring an image to the host; one that is there costs no time.

        Raises:
            EngineError: The registry does not have it.
        """
        self.require_active()
        refuse_pull(self.host, reference)
        image = self.host.world.images.find(reference)
        if image is None:
            raise EngineError(f"manifest for {normalized(reference)} not found: manifest unknown: manifest unknown")
        present = any(one.digest == image.digest for one in self._images.values())
        if not present and self.host.off.wait(self.host.world.latency.image_pull_s):
            raise EngineError("the host lost its power")
        with self.lock:
            self._images[reference if "@" in reference else image.reference] = image
        return image

    def load(self, reference: str) -> None:
        """Put an image that comes with the machine image onto the host, as ``docker load`` does."""
        image = self.host.world.images.find(reference)
        if image is not None:
            with self.lock:
                self._images[image.reference] = image

    def image(self, reference: str) -> Image | None:
        """Return an image of this host by tag, digest or id; None when it is not here."""
        known = self._images.get(reference) or self._images.get(normalized(reference))
        same = (one for one in self._images.values() if reference in {one.image_id, f"{one.repository}@{one.digest}"})
        return known or next(same, None)

    def drop(self, image: Image) -> None:
        """Take an image from the host, under whatever name it is known."""
        with self.lock:
            self._images = {name: one for name, one in self._images.items() if one.image_id != image.image_id}

    def images(self) -> list[Image]:
        """Return the images on this host."""
        return list({one.reference: one for one in self._images.values()}.values())

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
        self.require_active()
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

    def volume_create(
        self, name: str, driver: str = "local", options: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Make a volume, or return the one that is there."""
        return self.docker_volumes.create(name, driver, options or {})

    def volume_remove(self, name: str) -> None:
        """Delete a volume with its data."""
        self.docker_volumes.remove(name)

    def note(self, text: str) -> None:
        """Write a line to dockerd's own log on the host."""
        path = self.host.root / "var/log/docker.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{now_utc()} {text}\n")

    def require_active(self) -> None:
        """Refuse when dockerd does not run.

        Raises:
            EngineError: It does not.
        """
        if not self.active:
            raise EngineError(
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
            )

"""Docker's managed plugins on one host: which are installed, with which settings, and whether they run.

The registry knows REX-Ray for EBS, as published in 2019, and its maintained fork. Keeps state in memory and the
settings below the host's /var/lib/docker/plugins.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.images import normalized
from runbook_lib.sandbox.rexray import DEFAULTS, RexRay, StartError

if TYPE_CHECKING:
    from runbook_lib.sandbox.docker_volumes import VolumeDriver
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.hosts_base import BaseHost

STOCK_DIGEST = "sha256:" + hashlib.sha256(b"rexray/ebs 0.11.4").hexdigest()
FORK_DIGEST = "sha256:" + hashlib.sha256(b"rexray-ebs fork bf71fe5a").hexdigest()
FORK_REPOSITORY = "registry.sandbox/rexray-ebs"
FORK_REFERENCE = f"{FORK_REPOSITORY}@{FORK_DIGEST}"
REGISTRY = {
    "rexray/ebs": ("stock", STOCK_DIGEST, {"latest", "0.11.2", "0.11.4"}),
    FORK_REPOSITORY: ("fork", FORK_DIGEST, {"latest", "bf71fe5a"}),
}
"""What can be pulled: repository to (flavour, digest, tags)."""


@dataclass
class Plugin:
    """One installed plugin.

    Args:
        id: 64 hexadecimal digits.
        name: Its alias with tag; the volume driver's name.
        reference: What it was installed from.
        flavour: ``stock`` or ``fork``.
        env: Its settings.
        enabled: Whether it runs.
    """

    id: str
    name: str
    reference: str
    flavour: str
    env: dict[str, str] = field(default_factory=dict)
    enabled: bool = False
    driver: RexRay | None = None


class Plugins:
    """The plugins of one Docker engine.

    Args:
        host: Where it runs.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.RLock()
        self._plugins: dict[str, Plugin] = {}

    def all(self) -> list[Plugin]:
        """Return the installed plugins in the order of their installation."""
        return list(self._plugins.values())

    def find(self, name: str) -> Plugin:
        """Return a plugin by name, with or without ``:latest``, by id or by the beginning of its id.

        Raises:
            EngineError: There is no such plugin.
        """
        for plugin in self.all():
            if plugin.name == normalized(name) or (len(name) > 3 and plugin.id.startswith(name)):  # noqa: PLR2004
                return plugin
        raise EngineError(f"plugin {name!r} not found".replace("'", '"'))

    def driver_names(self) -> list[str]:
        """Return the names of the volume drivers that run."""
        return [plugin.name for plugin in self.all() if plugin.enabled]

    def driver(self, name: str) -> VolumeDriver:
        """Return the volume driver of a plugin that runs.

        Raises:
            EngineError: There is none.
        """
        plugin = next((one for one in self.all() if one.name == normalized(name)), None)
        if plugin is None or plugin.driver is None:
            state = "not found" if plugin is None else "found but disabled"
            raise EngineError(f'error looking up volume plugin {name}: plugin "{name}" {state}')
        return plugin.driver

    def install(self, reference: str, alias: str, env: Mapping[str, str]) -> Plugin:
        """Pull a plugin and keep it, disabled.

        Args:
            reference: By tag or by digest.
            alias: Its name on this host; "" takes the reference.
            env: Settings.

        Raises:
            EngineError: There is no such plugin, the name is taken, or a setting does not exist.
        """
        reference = reference.removeprefix("docker.io/")
        flavour = self._pull(reference)
        default = reference.partition("@")[0] if "@" in reference else reference
        name = normalized(alias or default)
        with self._lock:
            if name in self._plugins:
                raise EngineError(f"plugin {name} already exists")
            shown = reference if "@" in reference else normalized(reference)
            plugin_id = hashlib.sha256(f"{self._host.instance_id}/{name}/{reference}".encode()).hexdigest()
            plugin = Plugin(plugin_id, name, shown, flavour, dict(DEFAULTS))
            _check_settings(env)
            plugin.env.update(env)
            self._plugins[name] = plugin
        return plugin

    def set(self, name: str, env: Mapping[str, str]) -> None:
        """Change settings of a disabled plugin.

        Raises:
            EngineError: It runs, or a setting does not exist.
        """
        plugin = self.find(name)
        if plugin.enabled:
            raise EngineError("cannot set on an active plugin, disable plugin before setting")
        _check_settings(env)
        plugin.env.update(env)

    def enable(self, name: str) -> None:
        """Start a plugin.

        Raises:
            EngineError: It runs already, or does not come up.
        """
        plugin = self.find(name)
        if plugin.enabled:
            raise EngineError(f"plugin {plugin.name} is already enabled")
        self.start(plugin)

    def start(self, plugin: Plugin) -> None:
        """Start a plugin's process; what it counted before is lost.

        Raises:
            EngineError: It does not come up.
        """
        driver = RexRay(self._host, plugin.name, plugin.id, plugin.flavour, plugin.env)
        try:
            driver.start()
        except StartError as error:
            plugin.enabled, plugin.driver = False, None
            self._host.engine.note(f"plugin {plugin.name}: {error}")
            socket = f"/run/docker/plugins/{plugin.id}/rexray.sock"
            raise EngineError(f"dial unix {socket}: connect: no such file or directory") from error
        plugin.driver, plugin.enabled = driver, True

    def disable(self, name: str, *, force: bool = False) -> None:
        """Stop a plugin.

        Raises:
            EngineError: It is not enabled, or containers use its volumes.
        """
        plugin = self.find(name)
        if not plugin.enabled or plugin.driver is None:
            raise EngineError(f"plugin {plugin.name} is already disabled")
        if plugin.driver.is_used and not force:
            raise EngineError(f"plugin {plugin.name} is in use")
        plugin.enabled, plugin.driver = False, None

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a plugin.

        Raises:
            EngineError: It is enabled.
        """
        plugin = self.find(name)
        if plugin.enabled and not force:
            raise EngineError(f"plugin {plugin.name} is enabled")
        del self._plugins[plugin.name]

    def restart(self) -> None:
        """Start again every plugin that was enabled, as dockerd does when it starts."""
        for plugin in self.all():
            if plugin.enabled:
                try:
                    self.start(plugin)
                except EngineError as error:
                    self._host.engine.note(str(error))

    def _pull(self, reference: str) -> str:
        repository, _, digest = reference.partition("@")
        if not digest:
            repository, _, tag = normalized(reference).rpartition(":")
        flavour, known, tags = REGISTRY.get(repository, ("", "", set()))
        if not flavour:
            raise EngineError(f"pull access denied for {repository}, repository does not exist or may require login")
        if (digest and digest != known) or (not digest and tag not in tags):
            raise EngineError(f"manifest for {reference} not found: manifest unknown: manifest unknown")
        refuse_pull(self._host, reference)
        self._host.off.wait(self._host.world.latency.image_pull_s)
        return flavour


def refuse_pull(host: BaseHost, reference: str) -> None:
    """Refuse to pull an image or a plugin while a fault of the sandbox says so.

    Raises:
        EngineError: The registry's answer to somebody who has pulled too often, or the engine's without room.
    """
    if host.world.strikes("full-disk", host.instance_id):
        raise EngineError("failed to register layer: write /usr/local/bin/python3: no space left on device")
    repository = reference.partition("@")[0]
    if host.world.strikes(
        "image-pull-error", reference, normalized(reference), repository, repository.rpartition(":")[0]
    ):
        raise EngineError(f"toomanyrequests: You have reached your pull rate limit: {reference}")


def _check_settings(env: Mapping[str, str]) -> None:
    for key in env:
        if key not in DEFAULTS:
            raise EngineError(f'setting "{key}" not found in the plugin configuration')

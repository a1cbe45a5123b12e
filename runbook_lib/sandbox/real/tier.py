"""The tier of real hosts: the pool of volumes, the network and the registry of one sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox.images import ImageRegistry
from runbook_lib.sandbox.real import janitor, requirements
from runbook_lib.sandbox.real.hosts import RealHost
from runbook_lib.sandbox.real.network import Network
from runbook_lib.sandbox.real.plugin_calls import PluginCalls
from runbook_lib.sandbox.real.registry import CHUNK, RealRegistry
from runbook_lib.sandbox.real.volumes import RealVolumeStore

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.instance_launch import InstanceLaunch
    from runbook_lib.sandbox.volumes import VolumeStore
    from runbook_lib.sandbox.world import World

PLUGIN_PATH = "/_sandbox/volume-plugin"


class RealTier:
    """What real hosts of one sandbox stand on.

    Args:
        state_dir: The sandbox's directory.

    Raises:
        SandboxError: This machine lacks something, or another sandbox has the directory.
    """

    name: ClassVar[str] = "real"

    def __init__(self, state_dir: Path) -> None:
        refusal = requirements.refusal()
        if refusal:
            raise SandboxError(refusal)
        self._state_dir = state_dir.resolve()
        self.key = janitor.key_of(state_dir)
        self.cgroup = janitor.CGROUP + self.key
        janitor.sweep()
        try:
            self._lock = janitor.hold(state_dir)
        except BlockingIOError as error:
            raise SandboxError(f"a sandbox with real hosts already runs in {state_dir}.") from error
        self.network = Network(self.key)
        self.store = RealVolumeStore(self._state_dir)
        self.registry = RealRegistry(self._state_dir / "registry", ImageRegistry())
        self._closed = False

    @property
    def plugin_reference(self) -> str:
        """Return the reference of the volume plugin that the registry has."""
        return self.registry.plugin_reference

    def volumes(self, world: World) -> VolumeStore:  # noqa: ARG002 - the tier's form
        """Return the store of the sandbox's volumes."""
        return self.store

    def host(self, world: World, launch: InstanceLaunch) -> BaseHost:
        """Return a new host without power."""
        return RealHost(world, launch, self)

    def address(self, world: World, number: int) -> str:  # noqa: ARG002 - the tier's form
        """Return an address on the sandbox's bridge."""
        return self.network.address(number)

    def close(self) -> None:
        """Remove everything that this machine has of the sandbox but its files; the second call does nothing."""
        if not self._closed:
            self._closed = True
            self.store.close()
            janitor.clean(self.key, self._state_dir)
            (janitor.LOCKS / self.key).unlink(missing_ok=True)
            self._lock.close()

    def inside(self, host: RealHost) -> Callable[..., Iterable[bytes]]:
        """Return the WSGI application that answers at the link-local address of a host.

        Instance metadata and the host's own commands are the sandbox's, asked with the host's address; the image
        registry and the volume plugin's calls are the tier's.
        """
        plugins = PluginCalls(host)

        def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            path = str(environ.get("PATH_INFO", ""))
            if path.startswith("/v2/"):
                return self._registry(environ, path, start_response)
            if path == PLUGIN_PATH:
                given = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                text = json.dumps(plugins.answer(given), default=str).encode()
                start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
                return [text]
            environ["REMOTE_ADDR"] = host.address
            answer: Iterable[bytes] = host.world.application(environ, start_response)
            return answer

        return application

    def _registry(self, environ: dict[str, Any], path: str, start_response: Any) -> Iterable[bytes]:
        status, headers, content = self.registry.answer(path)
        length = content.stat().st_size if isinstance(content, Path) else len(content)
        rows = [*headers.items(), ("Content-Length", str(length)), ("Docker-Distribution-Api-Version", "registry/2.0")]
        start_response(f"{status} {'OK' if status < 400 else 'Not Found'}", rows)  # noqa: PLR2004 - HTTP
        if environ["REQUEST_METHOD"] == "HEAD":
            return [b""]
        return [content] if isinstance(content, bytes) else _chunks(content)


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk

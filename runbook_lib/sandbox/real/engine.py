"""A real dockerd of one host: started in its namespaces, asked over its socket.

What the ECS agent and the sandbox's controls ask of a host's Docker engine, put to the Engine API.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import ContainerSpec, EngineError, now_utc
from runbook_lib.sandbox.plugins import refuse_pull
from runbook_lib.sandbox.real.container_record import ContainerRecord
from runbook_lib.sandbox.real.containers import RealContainer, request
from runbook_lib.sandbox.real.docker_api import DockerApi, quoted
from runbook_lib.sandbox.real.root_files import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from runbook_lib.sandbox.real.hosts import RealHost
    from runbook_lib.sandbox.real.namespaces import Service

SOCKET = "/run/docker.sock"
BRIDGE_NET = "172.30.0.1/16"
READY_S, STOPS_S, POLL_S = 60.0, 60.0, 0.02


@dataclass(frozen=True)
class RealImage:
    """An image on a host; ``digest`` is that of its manifest."""

    reference: str
    digest: str | None
    image_id: str


@dataclass(frozen=True)
class RealPlugin:
    """A managed plugin on a host."""

    id: str
    name: str
    enabled: bool


class RealEngine:
    """dockerd of one host.

    Args:
        host: Where it runs.
    """

    def __init__(self, host: RealHost) -> None:
        self.host = host
        self.api = DockerApi(self._socket)
        self._daemon: Service | None = None

    @property
    def active(self) -> bool:
        """Return whether dockerd runs."""
        return self._daemon is not None and self._daemon.poll() is None

    def start_daemon(self) -> None:
        """Start dockerd and wait until it answers; it starts plugins and containers again by itself.

        Raises:
            OSError: It ended, or did not answer in time.
        """
        argv = ["dockerd", "-H", f"unix://{SOCKET}", "-p", "/run/docker.pid", "--bip", BRIDGE_NET]
        argv += ["--storage-driver", "overlay2", "--insecure-registry", REGISTRY]
        argv += ["--cgroup-parent", self.host.cgroup_parent]
        since_s = int(time.time())
        with self._log().open("ab") as log:
            self._daemon = self._start(argv, log)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.active:
                raise OSError(f"dockerd ended: {self._last_words()}")
            try:
                self.api.raw("GET", "/_ping", timeout_s=5.0)
            except EngineError:
                time.sleep(POLL_S)
            else:
                ContainerRecord(self.host, since_s).begin()
                return
        raise OSError(f"dockerd did not answer within {READY_S:g} s: {self._last_words()}")

    def stop_daemon(self) -> None:
        """Stop dockerd, which stops every container with its grace period, at most 15 s."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None and daemon.poll() is None:
            daemon.send_signal(15)
            try:
                daemon.wait(STOPS_S)
            except subprocess.TimeoutExpired:
                daemon.send_signal(9)

    def power_off(self, *, graceful: bool) -> None:
        """Stop dockerd in order, or leave it to the end of the namespaces, as a power cut does."""
        if graceful and self.active:
            self.stop_daemon()
        self._daemon = None

    def create(self, spec: ContainerSpec) -> RealContainer:
        """Make a container without starting it; EngineError with Docker's words when it cannot be."""
        query = {"name": spec.name} if spec.name else {}
        made = self.api.call("POST", "/containers/create", query, request(spec, self.host.cgroup_parent))
        return self.inspect(made["Id"])

    def start(self, container_id: str) -> None:
        """Start a container: volumes are mounted and its process runs when this returns."""
        self.api.call("POST", f"/containers/{container_id}/start")

    def stop(self, container_id: str, timeout_s: float | None = None) -> None:
        """Stop a container; returns when it has ended and its volumes were given back."""
        found = self.inspect(container_id)
        grace_s = found.spec.stop_timeout_s if timeout_s is None else timeout_s
        self.api.call("POST", f"/containers/{container_id}/stop", {"t": int(grace_s)}, timeout_s=grace_s + 180)

    def kill(self, container_id: str, number: int = 9) -> None:
        """Send a signal to a container's main process."""
        self.api.call("POST", f"/containers/{container_id}/kill", {"signal": str(number)})

    def remove(self, container_id: str, *, force: bool = False, with_anonymous: bool = False) -> None:
        """Delete a container with its own files."""
        query = {"force": str(force).lower(), "v": str(with_anonymous).lower()}
        self.api.call("DELETE", f"/containers/{container_id}", query)

    def inspect(self, container_id: str) -> RealContainer:
        """Return a container by id or name; EngineError when there is none."""
        return RealContainer(self, self.api.call("GET", f"/containers/{container_id.removeprefix('/')}/json"))

    def containers(self, all_: bool = True) -> list[RealContainer]:  # noqa: FBT001, FBT002 - the interface others call
        """Return the containers, newest first; [] while dockerd does not run."""
        found = []
        if self.active:
            try:
                for row in self.api.call("GET", "/containers/json", {"all": int(all_)}):
                    found.append(self.inspect(row["Id"]))  # noqa: PERF401 - those before an error count
            except EngineError:
                pass  # one went away meanwhile, or dockerd is going down
        return found

    def load(self, reference: str) -> None:
        """Put an image that comes with the machine image onto the host, under its own name."""
        if self.active and self.image(reference) is None:
            own = f"{REGISTRY}/{reference}"
            repository, _, tag = reference.rpartition(":")
            try:
                self.api.pull(own)
                self.api.call("POST", f"/images/{quoted(own)}/tag", {"repo": repository, "tag": tag})
                self.api.call("DELETE", f"/images/{quoted(own)}")
            except EngineError as error:
                self.note(f"load {reference}: {error}")

    def pull(self, reference: str) -> None:
        """Pull an image from the sandbox's registry."""
        refuse_pull(self.host, reference)
        self.api.pull(reference)

    def image(self, reference: str) -> RealImage | None:
        """Return an image of this host, None when it is not here."""
        try:
            facts = self.api.call("GET", f"/images/{quoted(reference)}/json")
        except EngineError:
            return None
        digests = [str(one).rpartition("@")[2] for one in facts.get("RepoDigests") or []]
        return RealImage(reference, digests[0] if digests else None, str(facts["Id"]))

    def plugins(self) -> list[RealPlugin]:
        """Return the installed plugins, [] while dockerd does not run."""
        rows = self.api.call("GET", "/plugins") if self.active else []
        return [RealPlugin(str(one["Id"]), str(one["Name"]), bool(one["Enabled"])) for one in rows or []]

    def plugin_disable(self, name: str, *, force: bool = False) -> None:
        """Disable a plugin."""
        self.api.call("POST", f"/plugins/{quoted(name)}/disable", {"force": int(force)})

    def volume_inspect(self, name: str, driver: str = "") -> dict[str, Any]:  # noqa: ARG002 - Docker asks every driver
        """Return what Docker says of a volume; EngineError when there is none."""
        facts: dict[str, Any] = self.api.call("GET", f"/volumes/{quoted(name)}")
        return facts

    def volume_create(
        self, name: str, driver: str = "local", options: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Make a volume, or return the one that is there."""
        body = {"Name": name, "Driver": driver or "local", "DriverOpts": dict(options or {})}
        facts: dict[str, Any] = self.api.call("POST", "/volumes/create", None, body)
        return facts

    def volume_remove(self, name: str) -> None:
        """Delete a volume with its data."""
        self.api.call("DELETE", f"/volumes/{quoted(name)}")

    def tear_away(self, real: Path) -> None:
        """Do nothing: a container feels by itself that the device below its mount has gone."""

    def note(self, text: str) -> None:
        """Write a line to dockerd's own log."""
        with self._log().open("a", encoding="utf-8") as log:
            log.write(f"{now_utc()} {text}\n")

    def _start(self, argv: list[str], log: IO[bytes]) -> Service:
        return self.host.start_process(argv, env={}, cwd="/", output=log)

    def _socket(self) -> Path:
        return self.host.real_path(SOCKET)

    def _log(self) -> Path:
        path: Path = self.host.root / "var/log/docker.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _last_words(self) -> str:
        lines = self._log().read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-3:])

"""Keep one container as its specification says: start it, watch it, restart it, stop it.

One thread per running container waits for its process; when that ends, the volumes are given back first and only
then does the container count as stopped.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import container_process as process
from runbook_lib.sandbox.containers import Container, EngineError, now_utc
from runbook_lib.sandbox.health import HealthMonitor, check_of
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.engine import Engine
    from runbook_lib.sandbox.guest_processes import GuestProcess
    from runbook_lib.sandbox.images import Image

FIRST_BACKOFF_S, LONGEST_BACKOFF_S, STEADY_S = 0.1, 60.0, 10.0
KILLED, CANNOT_START = 137, 127
ENDS_S = 60.0


class Supervisor:
    """One container's keeper.

    Args:
        container: Whose.
        image: What it is made from.
        engine: Whose container it is.
    """

    def __init__(self, container: Container, image: Image, engine: Engine) -> None:
        self.container = container
        self._image = image
        self._engine = engine
        self._starting = threading.Lock()
        self._health: HealthMonitor | None = None
        self._wake = threading.Event()
        self._backoff_s = FIRST_BACKOFF_S

    def start(self) -> None:
        """Start the container; one that runs is left alone.

        Raises:
            EngineError: A mount or its program failed; it stays as it was, with the error noted.
        """
        with self._starting:
            if self.container.is_alive:
                return
            self.container.stopped_by_user = False
            self._wake.clear()
            self._begin()

    def stop(self, timeout_s: float) -> None:
        """End the container: its stop signal, then SIGKILL after the grace period; returns when it is stopped."""
        with self.container.changed:
            self.container.stopped_by_user = True
            self.container.changed.notify_all()
        self._wake.set()
        if self.container.status == "running":
            name = str(self._image.config.get("StopSignal") or "SIGTERM")
            process.terminate(self.container.pid, getattr(signal, name))
            if not self._ended_within(timeout_s):
                process.terminate(self.container.pid, signal.SIGKILL)
        self.container.wait(("exited", "created"), ENDS_S)

    def kill(self, number: int) -> None:
        """Send a signal to the main process.

        Raises:
            EngineError: It does not run.
        """
        if self.container.status != "running":
            raise EngineError(f"cannot kill container: {self.container.id}: container is not running")
        process.terminate(self.container.pid, number)

    def _ended_within(self, timeout_s: float) -> bool:
        pid = self.container.pid
        with self.container.changed:
            return self.container.changed.wait_for(lambda: self.container.pid != pid, timeout_s)

    def _begin(self) -> None:
        container, engine = self.container, self._engine
        try:
            engine.check_ports(container)
            engine.container_mounts.mount_all(container)
            engine.host.off.wait(engine.host.world.latency.container_start_s)
            self._record("container-started", mounts=self._mounts())  # before it can write
            try:
                started = process.start(container, self._image, engine.host)
            except EngineError:
                self._record("container-ended")
                engine.container_mounts.unmount_all(container)
                raise
        except EngineError as error:
            self._note(status=container.status if container.status == "exited" else "created", pid=0)
            container.error, container.exit_code = str(error), CANNOT_START
            raise
        container.error = ""
        self._note(status="running", pid=started.pid)
        container.started_utc = now_utc()
        self._watch_health()
        threading.Thread(target=self._watch, args=(started,), name=f"container-{container.name}", daemon=True).start()
        if self._strikes("crash-loop"):
            process.terminate(started.pid, signal.SIGKILL)

    def _watch_health(self) -> None:
        check = check_of(self.container, self._image)
        if check is not None:
            self._health = HealthMonitor(self.container, check, self._probe)
            self._health.start()

    def _probe(self, argv: Sequence[str], timeout_s: float) -> CommandResult:
        if self._strikes("unhealthy-app"):
            return CommandResult("", "fault unhealthy-app of the sandbox: the probe failed\n", 1)
        return self._engine.exec(self.container.id, argv, timeout_s)

    def _strikes(self, fault: str) -> bool:
        host, container = self._engine.host, self.container
        return host.world.strikes(fault, host.instance_id, container.name, container.spec.image)

    def _watch(self, started: GuestProcess) -> None:
        began = time.monotonic()
        code = started.wait()
        container = self.container
        if self._health is not None:
            self._health.stop()
        process.end_rest(container)
        self._record("container-ended")  # nothing of it writes any more, and its volumes are still mounted
        with container.changed:
            container.pid = 0
            container.changed.notify_all()
        if not self._engine.lost_power:
            for problem in self._engine.container_mounts.unmount_all(container):
                self._engine.note(f"{container.name}: {problem}")
        container.mounted = []
        container.exit_code = code if code >= 0 else 128 - code
        container.finished_utc = now_utc()
        if time.monotonic() - began > STEADY_S:
            self._backoff_s = FIRST_BACKOFF_S
        self._restart() if self._should_restart() else self._note(status="exited", pid=0)

    def _record(self, kind: str, **fields: Any) -> None:
        """Note in the sandbox's event log from when to when a container ran, so that overlaps can be seen later."""
        names = {"container": self.container.id, "name": self.container.name, "image": self.container.image}
        self._engine.host.world.record(kind, instance_id=self._engine.host.instance_id, **names, **fields)

    def _mounts(self) -> list[dict[str, Any]]:
        """Return what the container sees where: volume id ("" is the root disk), path, and whether it may write."""
        table = self._engine.host.mounts
        return [
            {
                "volume_id": table.by_real(one.real).volume_id,
                "target": one.mount.target,
                "read_only": one.mount.read_only,
            }
            for one in self.container.mounted
        ]

    def _should_restart(self) -> bool:
        container = self.container
        if container.stopped_by_user or self._engine.lost_power or not self._engine.active:
            return False
        policy, _, most = container.restart.partition(":")
        if policy == "on-failure":
            return container.exit_code != 0 and (not most or container.restart_count < int(most))
        return policy in {"always", "unless-stopped"}

    def _restart(self) -> None:
        self._note(status="restarting", pid=0)
        while True:
            self._wake.wait(self._backoff_s)
            self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)
            if not self._should_restart():
                self._note(status="exited", pid=0)
                return
            self.container.restart_count += 1
            try:
                self._begin()
            except EngineError as error:
                self._engine.note(f"{self.container.name}: restart: {error}")
                self._note(status="restarting", pid=0)
            else:
                return

    def _note(self, *, status: str, pid: int) -> None:
        with self.container.changed:
            self.container.status, self.container.pid = status, pid
            if status == "exited" and self.container.health == "starting":
                self.container.health = "unhealthy"
            self.container.changed.notify_all()

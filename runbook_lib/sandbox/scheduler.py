"""The reconciler of Amazon ECS: services, container agents and managed draining, looked at every tick.

It owns the one thread that does so; starting and stopping a task happens in threads of the tasks themselves.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from runbook_lib.sandbox.agent import Agents
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.draining import ManagedDraining, join_providers
from runbook_lib.sandbox.service_scheduler import ServiceScheduler

if TYPE_CHECKING:
    from runbook_lib.sandbox.groups import Groups
    from runbook_lib.sandbox.world import World

log = logging.getLogger(__name__)


class Scheduler:
    """Makes ECS move in one sandbox.

    Args:
        world: The sandbox's world.
        groups: The Auto Scaling reconciler; it asks before it terminates an instance.
    """

    def __init__(self, world: World, groups: Groups) -> None:
        self._world = world
        self._ecs = backend("ecs")
        self._services = ServiceScheduler(self._ecs, world.latency)
        self._agents = Agents(world)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ecs", daemon=True)
        groups.before_terminate.append(ManagedDraining(world).may_go)

    def start(self) -> None:
        """Begin to look at services and hosts."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; tasks are left as they are."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def tick(self) -> None:
        """Look at everything once."""
        self._agents.tick()
        with self._world.lock:
            join_providers(self._ecs)
            self._services.tick()

    def _run(self) -> None:
        while not self._ended.wait(self._world.latency.tick_s):
            try:
                self.tick()
            except Exception:
                log.exception("the ECS reconciler failed; it goes on")

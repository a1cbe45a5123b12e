"""The two tiers of hosts behind one interface: what a sandbox makes its hosts and volumes of.

A tier makes parts; it knows neither the AWS API nor a runbook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from runbook_lib.sandbox.hosts import Host
from runbook_lib.sandbox.plugins import FORK_REFERENCE
from runbook_lib.sandbox.processes import Freezer
from runbook_lib.sandbox.volumes import VolumeStore

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.instance_launch import InstanceLaunch
    from runbook_lib.sandbox.world import World

TIERS = ("simulated", "real")


class Tier(Protocol):
    """Makes the hosts and the volumes of one sandbox."""

    name: ClassVar[str]

    @property
    def plugin_reference(self) -> str:
        """Return the reference of the volume plugin that hosts can pull."""
        ...

    def volumes(self, world: World) -> VolumeStore:
        """Return the store of the sandbox's volumes; called once, before any host."""
        ...

    def host(self, world: World, launch: InstanceLaunch) -> BaseHost:
        """Return a new host without power."""
        ...

    def address(self, world: World, number: int) -> str:
        """Return the address of the host with this number, 10 to 126."""
        ...

    def close(self) -> None:
        """Give back what the tier holds outside the state directory; the second call does nothing."""
        ...


class SimulatedTier:
    """Hosts that are folders, volumes that are folders, addresses of the loopback network."""

    name: ClassVar[str] = "simulated"
    plugin_reference = FORK_REFERENCE

    def volumes(self, world: World) -> VolumeStore:
        """Return the store of the sandbox's volumes."""
        return VolumeStore(world.state_dir / "volumes", Freezer(world.hosts))

    def host(self, world: World, launch: InstanceLaunch) -> BaseHost:
        """Return a new host without power."""
        return Host(world, launch)

    def address(self, world: World, number: int) -> str:
        """Return a loopback address that no other sandbox on this machine uses."""
        return f"127.{world.port >> 8}.{world.port & 255}.{number}"

    def close(self) -> None:
        """Do nothing: there is nothing outside the state directory."""

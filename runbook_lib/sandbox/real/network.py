"""The network of one sandbox's real hosts: a bridge of its own in an address range that this machine does not use.

Runs ``ip``; touches only links that are named after the sandbox's key.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess

RANGE = ipaddress.ip_network("10.231.0.0/16")
BRIDGE, VETH = "rbs", "rbv"


class Network:
    """The bridge of one sandbox.

    Args:
        key: The sandbox's key.

    Raises:
        OSError: ``ip`` refused, or the whole range is in use.
    """

    def __init__(self, key: str) -> None:
        self.bridge = BRIDGE + key
        self._key = key
        self.net = _free_net()
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", f"{self.net[1]}/{self.net.prefixlen}", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    def address(self, number: int) -> str:
        """Return the address of the host with this number."""
        return str(self.net[number])

    def connect(self, pid: int, address: str) -> None:
        """Give the network namespace of a process an ``eth0`` on the bridge; it goes with the namespace."""
        outside = f"{VETH}{self._key[:6]}{int(address.rpartition('.')[2]):03d}"
        ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        ip("link", "set", outside, "master", self.bridge, "up")
        inside = ["nsenter", "-t", str(pid), "-n"]
        ip("address", "add", f"{address}/{self.net.prefixlen}", "dev", "eth0", within=inside)
        ip("link", "set", "eth0", "up", within=inside)
        ip("route", "add", "default", "via", str(self.net[1]), within=inside)


def ip(*words: str, within: list[str] | None = None) -> str:
    """Run ``ip``.

    Raises:
        OSError: It refused.
    """
    argv = [*(within or []), "ip", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def _free_net() -> ipaddress.IPv4Network:
    """Return a /24 that no route of this machine touches."""
    routes = json.loads(ip("-j", "-4", "route", "show", "table", "all") or "[]")
    taken = [ipaddress.ip_network(one["dst"], strict=False) for one in routes if "." in one["dst"]]
    for net in RANGE.subnets(new_prefix=24):
        if not any(net.overlaps(other) for other in taken if other.prefixlen):
            return ipaddress.IPv4Network(net)
    raise OSError(f"no free /24 in {RANGE}: is a machine's own network there?")

"""Answer the volume plugins of real hosts with REX-Ray's rules. Calls EC2 with the host's role; mounts on the host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.rexray import DEFAULTS, RexRay, StartError

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost

PLACE = "/var/lib/docker/plugins/{}/propagated-mount"


class PluginCalls:
    """The volume plugins of one host.

    Args:
        host: Where they run.
    """

    def __init__(self, host: RealHost) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], RexRay] = {}

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what the plugin tells dockerd: ``Err`` when REX-Ray refuses.

        Args:
            body: ``call``, ``given``, ``plugin`` (id), ``env`` and ``mounted`` (where the plugin sees its mounts).
        """
        given, call = body["given"], str(body["call"]).removeprefix("VolumeDriver.")
        name = str(given.get("Name", ""))
        place = PLACE.format(body["plugin"])

        def inside(path: str) -> str:
            return path.replace(place, body["mounted"], 1) if path.startswith(place) else path

        try:
            driver = self._driver(str(body["plugin"]), body["env"])
            if call == "Mount":
                return {"Mountpoint": inside(driver.mount(name, str(given.get("ID", "")))), "Err": ""}
            if call == "List":
                return {"Volumes": [_volume(one, inside) for one in driver.all()], "Err": ""}
            if call in {"Get", "Path"}:
                return _found(driver.get(name), call, inside)
            if call == "Unmount":
                driver.unmount(name, str(given.get("ID", "")))
            elif call == "Create":
                self._create(driver, name, given.get("Opts") or {})
            elif call == "Remove":
                driver.remove(name)
            else:
                return {"Err": f"the plugin does not know {call}"}
        except (EngineError, StartError) as error:
            return {"Err": str(error)}
        return {"Err": ""}

    @staticmethod
    def _create(driver: RexRay, name: str, options: dict[str, str]) -> None:
        """Make a volume; dockerd asks for it also when the plugin has one of this name already."""
        if driver.get(name) is None:
            driver.create(name, options)

    def _driver(self, plugin_id: str, env: dict[str, str]) -> RexRay:
        """Return the running plugin; other settings mean another process.

        Not yet so: disabling and enabling it, or a reboot of the host, should begin to count users anew, too.
        """
        settings = {name: str(env.get(name, "")) for name in DEFAULTS}
        with self._lock:
            key = (plugin_id, repr(sorted(settings.items())))
            if key not in self._running:
                driver = RexRay(self._host, "rexray", plugin_id, "fork", settings)
                driver.start()
                self._running[key] = driver
            return self._running[key]


def _found(facts: dict[str, Any] | None, call: str, inside: Any) -> dict[str, Any]:
    if facts is None:
        return {"Err": "volume not found"}
    volume = _volume(facts, inside)
    return {"Mountpoint": volume["Mountpoint"], "Err": ""} if call == "Path" else {"Volume": volume, "Err": ""}


def _volume(facts: dict[str, Any], inside: Any) -> dict[str, Any]:
    return {
        "Name": facts["Name"],
        "Mountpoint": inside(facts["Mountpoint"]),
        "CreatedAt": facts["CreatedAt"],
        "Status": facts["Status"],
    }

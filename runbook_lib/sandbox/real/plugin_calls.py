"""Answer the volume plugins of real hosts with REX-Ray's rules. Calls EC2 with the host's role; mounts on the host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.rexray import DEFAULTS, RexRay, StartError

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost


class PluginCalls:
    """The volume plugins of one host.

    Args:
        host: Where they run.
    """

    def __init__(self, host: RealHost) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._running: dict[str, tuple[str, RexRay]] = {}

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what the plugin tells dockerd: ``Err`` when REX-Ray refuses.

        Args:
            body: ``call``, ``given``, ``plugin`` (id), ``process`` (another one for each start) and ``env``.
        """
        given, call = body["given"], str(body["call"]).removeprefix("VolumeDriver.")
        name = str(given.get("Name", ""))
        try:
            driver = self._driver(body)
            if call == "Mount":
                return {"Mountpoint": driver.own_path(driver.mount(name, str(given.get("ID", "")))), "Err": ""}
            if call == "List":
                return {"Volumes": [_volume(one) for one in driver.all()], "Err": ""}
            if call in {"Get", "Path"}:
                return _found(driver.get(name), call)
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

    def _driver(self, body: dict[str, Any]) -> RexRay:
        """Return the running plugin; a new process of it, as after a reboot, knows no users of the one before."""
        plugin_id, process = str(body["plugin"]), str(body["process"])
        with self._lock:
            known, driver = self._running.get(plugin_id, ("", None))
            if driver is None or known != process:
                settings = {name: str(body["env"].get(name, "")) for name in DEFAULTS}
                driver = RexRay(self._host, "rexray", plugin_id, "fork", settings)
                driver.start()
                self._running[plugin_id] = (process, driver)
            return driver


def _found(facts: dict[str, Any] | None, call: str) -> dict[str, Any]:
    if facts is None:
        return {"Err": "volume not found"}
    volume = _volume(facts)
    return {"Mountpoint": volume["Mountpoint"], "Err": ""} if call == "Path" else {"Volume": volume, "Err": ""}


def _volume(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": facts["Name"],
        "Mountpoint": facts["Mountpoint"],
        "CreatedAt": facts["CreatedAt"],
        "Status": facts["Status"],
    }

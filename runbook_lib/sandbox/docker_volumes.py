"""Docker's named volumes on one host: local folders, and volumes of plugins.

Knows every volume by (driver, name); writes below the host's /var/lib/docker only. What a plugin does is its own.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runbook_lib.sandbox.containers import EngineError, now_utc

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.plugins import Plugins

LOCAL = "local"
FOLDER = "/var/lib/docker/volumes"


class VolumeDriver(Protocol):
    """What a volume plugin can do; paths are the host's."""

    def get(self, name: str) -> dict[str, Any] | None:
        """Return what the driver says of a volume, None when it finds none."""
        ...

    def all(self) -> list[dict[str, Any]]:
        """Return every volume the driver sees."""
        ...

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a volume."""
        ...

    def remove(self, name: str) -> None:
        """Delete a volume."""
        ...

    def mount(self, name: str, user_id: str) -> str:
        """Mount a volume for a container and return the host's path of its files."""
        ...

    def unmount(self, name: str, user_id: str) -> None:
        """Say that a container needs a volume no more."""
        ...


class LocalDriver:
    """Volumes that are folders of the host.

    Args:
        host: Where they are.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a volume, None when there is none."""
        note = self._folder(name) / "opts.json"
        return self._facts(name, json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else None

    def all(self) -> list[dict[str, Any]]:
        """Return every local volume, sorted by name."""
        names = sorted(path.parent.name for path in self._folder("").glob("*/opts.json"))
        return [facts for name in names if (facts := self.get(name)) is not None]

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a volume."""
        if options:
            raise EngineError(f"create {name}: the sandbox's local driver knows no options: {', '.join(options)}")
        (self._folder(name) / "_data").mkdir(parents=True, exist_ok=True)
        note = {"CreatedAt": now_utc()}
        (self._folder(name) / "opts.json").write_text(json.dumps(note), encoding="utf-8")

    def remove(self, name: str) -> None:
        """Delete a volume's folder."""
        shutil.rmtree(self._folder(name))

    def mount(self, name: str, user_id: str) -> str:  # noqa: ARG002 - the driver's form
        """Return the folder of a volume."""
        return f"{FOLDER}/{name}/_data"

    def unmount(self, name: str, user_id: str) -> None:
        """Do nothing."""

    def _folder(self, name: str) -> Path:
        return self._host.real_path(f"{FOLDER}/{name}" if name else FOLDER)

    @staticmethod
    def _facts(name: str, note: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "CreatedAt": note["CreatedAt"],
            "Driver": LOCAL,
            "Labels": None,
            "Mountpoint": f"{FOLDER}/{name}/_data",
            "Name": name,
            "Options": None,
            "Scope": "local",
        }


class DockerVolumes:
    """The volumes of one Docker engine.

    Args:
        host: Where it runs.
        plugins: Its plugins.
    """

    def __init__(self, host: Host, plugins: Plugins) -> None:
        self._local = LocalDriver(host)
        self._plugins = plugins
        self._lock = threading.Lock()
        self._users: dict[tuple[str, str], set[str]] = {}

    def driver(self, name: str) -> VolumeDriver:
        """Return a driver by name.

        Raises:
            EngineError: There is no such plugin, or it is not enabled.
        """
        return self._local if name in {"", LOCAL} else self._plugins.driver(name)

    def inspect(self, name: str, driver: str = "") -> dict[str, Any]:
        """Return what Docker says of a volume; without a driver, every driver is asked.

        Raises:
            EngineError: There is no such volume.
        """
        for key in [driver] if driver else [LOCAL, *self._plugins.driver_names()]:
            facts = self.driver(key).get(name)
            if facts is not None:
                return facts
        raise EngineError(f"get {name}: no such volume")

    def all(self) -> list[dict[str, Any]]:
        """Return every volume of every driver."""
        return [one for key in (LOCAL, *self._plugins.driver_names()) for one in self.driver(key).all()]

    def create(self, name: str, driver: str, options: Mapping[str, str]) -> dict[str, Any]:
        """Make a volume, or return the one that is there.

        Raises:
            EngineError: The driver refused.
        """
        existing = self.driver(driver).get(name)
        if existing is None:
            self.driver(driver).create(name, options)
        return existing or self.driver(driver).get(name) or {"Name": name, "Driver": driver, "Mountpoint": ""}

    def remove(self, name: str) -> None:
        """Delete a volume with its data.

        Raises:
            EngineError: A container uses it, there is none, or the driver refused.
        """
        facts = self.inspect(name)
        users = self._users.get((facts["Driver"], name))
        if users:
            raise EngineError(f"remove {name}: volume is in use - [{', '.join(sorted(users))}]")
        self.driver(facts["Driver"]).remove(name)

    def claim(self, name: str, driver: str, options: Mapping[str, str], container_id: str) -> str:
        """Let a container refer to a volume, which is made when it is not there (Docker does so at create).

        Returns:
            Where the driver says its files are; "" for a plugin's volume that is not mounted now.

        Raises:
            EngineError: The driver refused.
        """
        facts = self.create(name, driver, options)
        with self._lock:
            self._users.setdefault((facts["Driver"], name), set()).add(container_id)
        return str(facts["Mountpoint"])

    def release(self, container_id: str) -> None:
        """Forget a removed container."""
        with self._lock:
            for users in self._users.values():
                users.discard(container_id)

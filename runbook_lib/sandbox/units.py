"""The services of one simulated host: docker, ecs, and the units that user data writes.

Starts units in the order of their dependencies and refuses to start one whose requirement failed. Starts guest
processes; writes the host's folder only.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox import machine_images
from runbook_lib.sandbox.guest.words import Refused
from runbook_lib.sandbox.mounts import MountError
from runbook_lib.sandbox.operating_system import key_values
from runbook_lib.sandbox.services import Service
from runbook_lib.sandbox.unit_files import KINDS, Unit, full_name, parse, seconds

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

log = logging.getLogger(__name__)

BUILT_IN = {
    "docker.service": "[Unit]\nDescription=Docker Application Container Engine\n"
    "[Install]\nWantedBy=multi-user.target\n",
    "ecs.service": "[Unit]\nDescription=Amazon Elastic Container Service - container agent\n"
    "Requires=docker.service\nAfter=docker.service\nAfter=cloud-final.service\nPartOf=docker.service\n"
    "[Install]\nWantedBy=multi-user.target\n",
    "amazon-ssm-agent.service": "[Unit]\nDescription=amazon-ssm-agent\n",
    "containerd.service": "[Unit]\nDescription=containerd container runtime\n",
    "cloud-final.service": "[Unit]\nDescription=Execute cloud user/final scripts\n",
}
ALWAYS_ACTIVE = {"amazon-ssm-agent.service", "containerd.service"}
START_TIMEOUT_S = 90.0


class UnitError(Exception):
    """A unit could not be started, stopped or found; the text is what systemctl prints."""


class Units:
    """The units of one host and their states.

    Args:
        host: Whose units.
    """

    def __init__(self, host: BaseHost) -> None:
        self._host = host
        self._lock = threading.RLock()
        self._loaded: dict[str, Unit] = {}
        self._states: dict[str, str] = {}
        self._services: dict[str, Service] = {}

    @property
    def folder(self) -> Path:
        """Return the real path of /etc/systemd/system."""
        return self._host.real_path("/etc/systemd/system")

    @property
    def has_ecs_agent(self) -> bool:
        """Return whether the host's machine image brings the ECS agent; an unknown image counts as one that does."""
        image = next((one for one in machine_images.IMAGES if one.image_id == self._host.launch.image_id), None)
        return image is None or bool(image.agent)

    def state(self, name: str) -> str:
        """Return ``active``, ``inactive``, ``failed`` or ``activating``; ``unknown`` for a unit that is not there."""
        name = full_name(name)
        if name in ALWAYS_ACTIVE:
            return "active"
        if name == "cloud-final.service":
            return {"running": "activating", "done": "active", "error": "failed"}.get(self._host.cloud_init, "inactive")
        if name == "docker.service":
            return "active" if self._host.engine.active else "inactive"
        service = self._services.get(name)
        if service is not None and self._states.get(name) == "active" and not service.is_running():
            self._states[name] = "failed" if service.exit_code else "inactive"
        if name not in self._states:
            return "inactive" if self._find(name) else "unknown"
        return self._states[name]

    def is_active(self, name: str) -> bool:
        """Return whether a unit is active."""
        return self.state(name) == "active"

    def is_enabled(self, name: str) -> bool:
        """Return whether a unit starts at boot."""
        name = full_name(name)
        masked_by_admin = (self.folder / f"{name}.disabled").exists()
        return (self._find(name) is not None and name in BUILT_IN and not masked_by_admin) or name in self._wanted()

    def reload(self) -> None:
        """Read every unit file again."""
        with self._lock:
            self._loaded = {}

    def boot(self) -> None:
        """Start what starts at boot: mounts of fstab, Docker, then every enabled unit but ecs."""
        with self._lock:
            self._loaded, self._states, self._services = {}, {}, {}
        self._host.mount_fstab()
        wanted = [name for name in sorted(self._wanted()) if name not in BUILT_IN]
        before_docker = [name for name in wanted if "docker.service" in self.load(name).words("Unit.Before")]
        for name in [*before_docker, "docker.service", *wanted]:
            try:
                if name != "docker.service" or self.is_enabled(name):
                    self.start(name)
            except UnitError as error:
                log.info("%s: %s", self._host.instance_id, error)

    def after_cloud_final(self) -> None:
        """Start the ECS agent's unit, which waits for the end of user data, if it is enabled."""
        if self.is_enabled("ecs") and self.state("ecs") != "active":
            with suppress(UnitError):
                self.start("ecs")

    def load(self, name: str) -> Unit:
        """Return a unit as systemd has loaded it.

        Raises:
            UnitError: There is no such unit.
        """
        name = full_name(name)
        with self._lock:
            if name not in self._loaded:
                unit = self._find(name)
                if unit is None:
                    raise UnitError(f"Failed to start {name}: Unit {name} not found.")
                self._loaded[name] = unit
            return self._loaded[name]

    def start(self, name: str, asked: tuple[str, ...] = ()) -> None:
        """Start a unit after what it requires; one that is active is left alone.

        Raises:
            UnitError: It, or something it requires, did not start.
        """
        name = full_name(name)
        if self.is_active(name) or name in asked or name.endswith(".target"):
            return
        unit = self.load(name)
        required = [*unit.words("Unit.Requires"), *unit.words("Unit.BindsTo")]
        for other in [*required, *unit.words("Unit.Wants")]:
            try:
                self.start(other, (*asked, name))
            except UnitError as error:
                if other in required:
                    self._states[name] = "failed"
                    raise UnitError(f"A dependency job for {name} failed: {error}") from error
        for path in unit.words("Unit.RequiresMountsFor"):
            self._require_mount(name, path)
        if not self._conditions_hold(unit):
            self._states[name] = "inactive"
            return
        self._start_itself(name, unit)

    def stop(self, name: str) -> None:
        """Stop a unit and what is part of it.

        Raises:
            UnitError: There is no such unit.
        """
        name = full_name(name)
        unit = self.load(name)
        if name == "docker.service":
            self._states["ecs.service"] = "inactive"
            self._host.engine.stop_daemon()
        elif name.endswith(".mount"):
            try:
                self._host.mounts.remove(unit.last("Mount.Where"))
            except MountError as error:
                raise UnitError(str(error)) from error
        elif name in self._services:
            self._services.pop(name).stop(unit)
        self._states[name] = "inactive"

    def restart(self, name: str) -> None:
        """Stop and start a unit; a restart of docker restarts the ECS agent too."""
        name = full_name(name)
        agent_ran = self.is_active("ecs")
        with suppress(UnitError):
            self.stop(name)
        self.start(name)
        if name == "ecs.service":
            self._host.ecs_agent_restarts += 1
        elif name == "docker.service" and agent_ran:
            self._host.ecs_agent_restarts += 1
            self.start("ecs")

    def shut_down(self) -> None:
        """Stop the services of user data, the last started first, as systemd does after Docker has ended."""
        for name in reversed(list(self._services)):
            with suppress(UnitError):
                self.stop(name)

    def enable(self, name: str) -> None:
        """Let a unit start at boot."""
        name = full_name(name)
        unit = self.load(name)
        (self.folder / f"{name}.disabled").unlink(missing_ok=True)
        for target in [*unit.words("Install.WantedBy"), *unit.words("Install.RequiredBy")]:
            link = self.folder / f"{target}.wants" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                link.symlink_to(f"../{name}")

    def disable(self, name: str) -> None:
        """Let a unit not start at boot."""
        name = full_name(name)
        self.load(name)
        if name in BUILT_IN:
            (self.folder / f"{name}.disabled").touch()
        for link in self.folder.glob(f"*.wants/{name}"):
            link.unlink()

    def _start_itself(self, name: str, unit: Unit) -> None:
        try:
            if name == "docker.service":
                self._host.engine.start_daemon()
            elif name.endswith(".mount"):
                options = unit.last("Mount.Options", "defaults")
                self._host.mount_device(unit.last("Mount.What"), unit.last("Mount.Where"), options)
            elif name not in BUILT_IN:
                settings = self._environment(unit)
                service = self._services[name] = Service(self._host, settings)
                service.start(unit, seconds(unit.last("Service.TimeoutStartSec"), START_TIMEOUT_S))
        except (MountError, Refused, OSError) as error:
            self._states[name] = "failed"
            raise UnitError(f"Job for {name} failed: {error}") from error
        self._states[name] = "active"
        started = self._services.get(name)
        if started is not None and not started.is_running():
            self._states[name] = "inactive"

    def _environment(self, unit: Unit) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in unit.values("Service.EnvironmentFile"):
            path = self._host.real_path(text.lstrip("-"))
            if path.is_file():
                found.update(key_values(path.read_text(encoding="utf-8")))
            elif not text.startswith("-"):
                raise OSError(f"Failed to load environment files: {text}")
        return {**found, **unit.environment()}

    def _require_mount(self, name: str, path: str) -> None:
        for other in self._wanted_mounts():
            where = self.load(other).last("Mount.Where")
            if path == where or path.startswith(where + "/"):
                try:
                    self.start(other)
                except UnitError as error:
                    self._states[name] = "failed"
                    raise UnitError(f"A dependency job for {name} failed: {error}") from error

    def _conditions_hold(self, unit: Unit) -> bool:
        for key in ("ConditionPathExists", "AssertPathExists"):
            for text in unit.values(f"Unit.{key}"):
                if self._host.real_path(text.lstrip("!|")).exists() == text.startswith("!"):
                    return False
        for text in unit.values("Unit.ConditionPathIsMountPoint"):
            if (self._host.mounts.at(text.lstrip("!")) is not None) == text.startswith("!"):
                return False
        return True

    def _wanted(self) -> set[str]:
        return {link.name for link in self.folder.glob("*.wants/*") if self._find(link.name)}

    def _wanted_mounts(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.mount"))

    def _find(self, name: str) -> Unit | None:
        if name.rpartition(".")[2] not in KINDS or (name == "ecs.service" and not self.has_ecs_agent):
            return None
        paths = [self.folder / name, self._host.real_path("/usr/lib/systemd/system") / name]
        text = next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), BUILT_IN.get(name))
        if text is None:
            return None
        drop_ins = sorted((self.folder / f"{name}.d").glob("*.conf"))
        return parse(name, [text, *(path.read_text(encoding="utf-8") for path in drop_ins)])

"""The volumes of a task, as the ECS container agent prepares them on its host and cleans them up.

Talks to the host's Docker engine only. Shared volumes are never removed; task-scoped ones are, with their data.
Source: amazon-ecs-agent 1.105.1, ``api/task/task.go`` (addSharedVolumes, addTaskScopedVolumes) and engine cleanup.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.containers import EngineError, Mount

log = logging.getLogger(__name__)


class TaskVolumes:
    """The volumes of one task on one host.

    Args:
        engine: The host's Docker engine.
        definition: The task definition's record.
        matches_fully: ``ECS_SHARED_VOLUME_MATCH_FULL_CONFIG``: an existing volume must have the definition's options.
    """

    def __init__(self, engine: Any, definition: Any, *, matches_fully: bool = False) -> None:
        self._matches_fully = matches_fully
        self._engine = engine
        self._definition = definition
        self._sources: dict[str, tuple[str, str, str]] = {}
        self._task_scoped: list[str] = []

    def prepare(self) -> None:
        """Check and create what the task definition asks for.

        Raises:
            TaskError: A shared volume is missing and may not be created, or its driver refuses.

        Changes:
            Creates task-scoped volumes, and shared ones where autoprovision is true.
        """
        for volume in self._definition.volumes:
            name, settings = volume["name"], volume.get("dockerVolumeConfiguration")
            path = (volume.get("host") or {}).get("sourcePath")
            if settings is not None:
                self._sources[name] = self._docker_volume(name, settings)
            elif path:
                self._sources[name] = ("bind", path, "")
            else:
                self._sources[name] = self._create(self._own_name(name), "local", {})

    def mounts(self, container: Mapping[str, Any]) -> Sequence[Mount]:
        """Return what a container definition's mount points become."""
        mounts = []
        for point in container.get("mountPoints") or []:
            kind, source, driver = self._sources[point["sourceVolume"]]
            read_only = bool(point.get("readOnly"))
            mounts.append(Mount(kind, source, point["containerPath"], driver=driver, read_only=read_only))
        return mounts

    def clean_up(self) -> None:
        """Remove the task-scoped volumes, as the agent does some time after the task has stopped.

        Changes:
            Data: a volume driver deletes what it stores the volume on.
        """
        for name in self._task_scoped:
            try:
                self._engine.volume_remove(name)
            except EngineError as error:
                log.warning("the volume %s stays: %s", name, error)

    def _docker_volume(self, name: str, settings: Mapping[str, Any]) -> tuple[str, str, str]:
        driver = settings.get("driver") or "local"
        options = dict(settings.get("driverOpts") or {})
        if settings.get("scope") != "shared":
            return self._create(self._own_name(name), driver, options)
        try:
            found = self._engine.volume_inspect(name)
        except EngineError as error:
            if settings.get("autoprovision"):
                self._make(name, driver, options)
                return "volume", name, driver
            raise TaskError(
                f"initialize volume: volume detection failed, volume '{name}' does not exist and autoprovision is set "
                f"to false: {error}"
            ) from error
        if self._matches_fully:
            _refuse_other_volume(found, settings, options)
        return "volume", name, str(found["Driver"])

    def _create(self, name: str, driver: str, options: dict[str, str]) -> tuple[str, str, str]:
        self._make(name, driver, options)
        self._task_scoped.append(name)
        return "volume", name, driver

    def _make(self, name: str, driver: str, options: dict[str, str]) -> None:
        try:
            self._engine.volume_create(name, driver, options)
        except EngineError as error:
            raise TaskError(f"CannotCreateVolumeError: Error response from daemon: {error}") from error

    def _own_name(self, name: str) -> str:
        family, revision = self._definition.family, self._definition.revision
        return f"ecs-{family}-{revision}-{name}-{secrets.token_hex(10)}"


def _refuse_other_volume(found: Mapping[str, Any], settings: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Refuse a volume whose labels or options are not those of the task definition."""
    pairs = {
        "labels": (dict(found.get("Labels") or {}), dict(settings.get("labels") or {})),
        "options": (dict(found.get("Options") or {}), dict(options)),
    }
    for what, (existing, expected) in pairs.items():
        if existing != expected:
            raise TaskError(
                f"initialize volume: non-autoprovisioned volume does not match existing volume {what}: "
                f"existing: {existing}, expected: {expected}"
            )

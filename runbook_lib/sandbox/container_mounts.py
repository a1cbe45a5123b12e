"""Mount what a container asked for, and give it back when the container ends.

Bind sources that are missing are made as empty folders on the host's root disk, as Docker does: that is how a
container comes to write beside a volume that was not mounted.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.container_process import write_container_view
from runbook_lib.sandbox.containers import Container, EngineError, Mount, MountedPath
from runbook_lib.sandbox.copying import copy_tree

if TYPE_CHECKING:
    from runbook_lib.sandbox.docker_volumes import DockerVolumes
    from runbook_lib.sandbox.hosts import Host
    from runbook_lib.sandbox.images import Image


class ContainerMounts:
    """The mounts of every container of one engine.

    Args:
        host: Where it runs.
        volumes: Its named volumes.
    """

    def __init__(self, host: Host, volumes: DockerVolumes) -> None:
        self._host = host
        self._volumes = volumes

    def claim(self, container: Container, image: Image) -> None:
        """Make the volumes a new container refers to; an image's VOLUME without a mount gets one without a name.

        Raises:
            EngineError: A driver refused.
        """
        mounts = list(container.spec.mounts)
        covered = {mount.target for mount in mounts}
        for target in image.config.get("Volumes") or {}:
            if target not in covered:
                mounts.append(Mount("volume", secrets.token_hex(32), target))
                container.anonymous.append(mounts[-1].source)
        container.spec = replace(container.spec, mounts=tuple(mounts))
        for mount in mounts:
            if mount.kind == "volume":
                told = self._volumes.claim(mount.source, mount.driver, mount.options, container.id)
                container.told_paths[mount.target] = told
                if mount.driver in {"", "local"}:
                    self._populate(mount, image)

    def mount_all(self, container: Container) -> None:
        """Mount everything and tell the container's view.

        Raises:
            EngineError: One mount failed; those before it were given back.
        """
        container.mounted = []
        try:
            for mount in container.spec.mounts:
                path = self._bind_source(mount) if mount.kind == "bind" else self._volume(mount, container)
                real = self._host.real_path(path)
                if not real.exists():
                    self._make(path, real)
                container.mounted.append(MountedPath(mount, path, real))
        except EngineError:
            self.unmount_all(container)
            raise
        write_container_view(container, self._host)

    def unmount_all(self, container: Container) -> list[str]:
        """Give every mount back, the last first; a driver's error is returned as text and keeps nobody."""
        problems = []
        mounted, container.mounted = container.mounted, []
        for one in reversed(mounted):
            if one.mount.kind == "volume":
                try:
                    self._volumes.driver(one.mount.driver).unmount(one.mount.source, container.id)
                except EngineError as error:
                    problems.append(str(error))
        return problems

    def tear_away(self, container: Container, real: Path) -> None:
        """Point the mounts of a vanished device to a folder that does not exist, so that their use fails."""
        lost = [one for one in container.mounted if one.real == real or real in one.real.parents]
        if lost:
            nowhere = container.folder / "vanished"
            container.mounted = [replace(one, real=nowhere) if one in lost else one for one in container.mounted]
            write_container_view(container, self._host)

    def release(self, container: Container, *, with_anonymous: bool) -> None:
        """Forget a removed container; its nameless volumes are deleted only when asked for."""
        self._volumes.release(container.id)
        if with_anonymous:
            for name in container.anonymous:
                self._volumes.remove(name)

    def _bind_source(self, mount: Mount) -> str:
        if not mount.source.startswith("/"):
            raise EngineError(
                f"invalid mount config for type \"bind\": invalid mount path: '{mount.source}': it must be absolute"
            )
        real = self._host.real_path(mount.source)
        if not real.exists():
            if not mount.create_source:
                raise EngineError(
                    f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
                )
            self._make(mount.source, real)
            self._host.world.record("bind-source-created", instance_id=self._host.instance_id, path=mount.source)
        return self._host.canonical(mount.source)

    def _make(self, path: str, real: Path) -> None:
        """Make a missing folder, as dockerd does with root's power: only the attribute ``immutable`` stops it."""
        nearest = next(parent for parent in real.parents if parent.exists())
        if self._host.mounts.is_immutable(nearest):
            raise EngineError(f"error while creating mount source path '{path}': mkdir {path}: operation not permitted")
        real.mkdir(parents=True)

    def _volume(self, mount: Mount, container: Container) -> str:
        return self._volumes.driver(mount.driver).mount(mount.source, container.id)

    def _populate(self, mount: Mount, image: Image) -> None:
        """Copy what the image has at the target into an empty volume, as Docker does."""
        content = image.files / mount.target.lstrip("/")
        target: Path = self._host.real_path(f"/var/lib/docker/volumes/{mount.source}/_data")
        if content.is_dir() and not any(target.iterdir()):
            shutil.rmtree(target)
            copy_tree(content, target)

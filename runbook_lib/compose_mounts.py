"""Map the mounts of compose services: which folder of the data volume each shows, and what may not stay behind.

Pure. A folder of the volume becomes a task volume of its own where the storage driver can show folders; everything that
is not on the volume is refused, because its files would stay on the source host.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.compose_convert import DROPPED, MAPPED, Draft, add_tmpfs
from runbook_lib.compose_values import MountedPath, read_mount
from runbook_lib.parameters import Parameters

_TIME_FILES = ("/etc/localtime", "/etc/timezone")
_PRIVATE = ("", "private", "rprivate")


@dataclass
class Mounts:
    """What the task's containers show of the data volume.

    Args:
        config: The compose configuration.
        parameters: The migration.
        folders: Sub-path of the volume by the name of the task volume that shows it, without the volume's root.
    """

    config: Mapping[str, Any]
    parameters: Parameters
    folders: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, draft: Draft) -> list[tuple[str, str]]:
        """Map the mounts of a service.

        Args:
            name: The service.
            draft: Its container definition.

        Returns:
            (container path, sub-path) of each mount on the data volume.
        """
        found: list[tuple[str, str]] = []
        entries = list(mounts_of(self.config, name))
        self._note_taken(name, {key for key, _ in entries}, draft)
        for key, mount in entries:
            if mount.kind == "tmpfs":
                add_tmpfs(key, mount.target, _tmpfs_options(mount.options), draft)
                continue
            sub_path = sub_path_of(mount, self.config, self.parameters)
            if sub_path is None:
                _map_other(key, mount, draft)
            elif mount.options.get("propagation") not in (None, *_PRIVATE):
                draft.refuse(key, "ECS cannot propagate mounts between host and container; remove bind.propagation")
            else:
                found.append((mount.target, sub_path))
                self._put(key, mount, sub_path, draft)
        return found

    def _note_taken(self, name: str, mapped: set[str], draft: Draft) -> None:
        """Refuse mounts of what is no service, and say of a service that none of its mounts was taken."""
        services = self.config["services"]
        for index, entry in enumerate(services[name].get("volumes_from") or ()):
            key = f"volumes_from[{index}]"
            if str(entry).partition(":")[0] not in services:
                fix = "no service of this configuration; write the mounts out under volumes"
                draft.refuse(key, f"{entry} is {fix}")
            elif key not in mapped:
                draft.note(key, DROPPED, "", "It has no mount that the service has not itself.")

    def _put(self, key: str, mount: MountedPath, sub_path: str, draft: Draft) -> None:
        volume = self.parameters.storage.volume_name
        if sub_path:
            if self.parameters.storage.driver != "host_mount":
                fix = f"shows folder {sub_path!r}, and storage.driver rexray shows the volume's root only"
                draft.refuse(key, f"{fix}; mount {self.parameters.volume.mount_path}, or use storage.driver host_mount")
                return
            volume = self._folder(volume, sub_path)
        point = {"sourceVolume": volume, "containerPath": mount.target, "readOnly": mount.read_only}
        draft.definition.setdefault("mountPoints", []).append(point)
        draft.note(key, MAPPED, "mountPoints", f"The data volume{f', its folder {sub_path}' if sub_path else ''}.")

    def _folder(self, volume: str, sub_path: str) -> str:
        """Return the task volume that shows a folder, the same one for every container."""
        for name, known in self.folders.items():
            if known == sub_path:
                return name
        wanted = f"{volume}-{re.sub('[^A-Za-z0-9_-]+', '-', sub_path)}"
        name = wanted if wanted not in self.folders else f"{wanted}-{len(self.folders)}"
        self.folders[name] = sub_path
        return name


def mounts_of(config: Mapping[str, Any], name: str, *, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, MountedPath]]:
    """Yield every mount of a service with its key, those that it takes from other services behind its own.

    Args:
        config: The compose configuration.
        name: The service.
        seen: Services that took from this one already.

    Yields:
        Key, for example ``volumes[0]``, and mount.
    """
    service = config["services"].get(name) or {}
    own = [read_mount(entry) for entry in service.get("volumes") or ()]
    yield from ((f"volumes[{index}]", mount) for index, mount in enumerate(own))
    taken = {mount.target for mount in own}
    for index, entry in enumerate(service.get("volumes_from") or ()):
        other, _, flags = str(entry).partition(":")
        if other in (*seen, name) or other not in config["services"]:
            continue
        for _, mount in mounts_of(config, other, seen=(*seen, name)):
            if mount.target not in taken:
                taken.add(mount.target)
                read_only = mount.read_only or flags == "ro"
                yield (
                    f"volumes_from[{index}]",
                    MountedPath(mount.kind, mount.source, mount.target, read_only, mount.options),
                )


def uses_volume(config: Mapping[str, Any], name: str, parameters: Parameters) -> bool:
    """Return whether a service shows the data volume or a folder of it."""
    return any(
        mount.kind != "tmpfs" and sub_path_of(mount, config, parameters) is not None
        for _, mount in mounts_of(config, name)
    )


def sub_path_of(mount: MountedPath, config: Mapping[str, Any], parameters: Parameters) -> str | None:
    """Return which folder of the data volume a mount shows.

    Args:
        mount: A mount of some service.
        config: The compose configuration, for named volumes.
        parameters: The migration, for the mount path.

    Returns:
        The path below the volume's root, "" for the root; None when the mount is not on the data volume.
    """
    source = mount.source
    if mount.kind == "volume":
        options = ((config.get("volumes") or {}).get(source) or {}).get("driver_opts") or {}
        is_bind = "bind" in str(options.get("o", "")).split(",") or options.get("type") == "bind"
        source = posixpath.join(options.get("device", ""), mount.options.get("subpath") or "") if is_bind else ""
    path, root = posixpath.normpath(source or "."), parameters.volume.mount_path
    if path == root:
        return ""
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else None


def _map_other(key: str, mount: MountedPath, draft: Draft) -> None:
    if mount.source in _TIME_FILES and mount.read_only:
        draft.note(key, DROPPED, "", f"{mount.source} of the container instance says UTC; set TZ if that matters.")
    elif mount.kind == "volume":
        what = f"volume {mount.source}" if mount.source else "an anonymous volume"
        draft.refuse(key, f"{what} is not on the data volume, so its files would stay behind; move them onto it")
    elif mount.kind != "bind":
        draft.refuse(key, f"ECS cannot mount type {mount.kind}; put the files into the image or onto the data volume")
    else:
        draft.refuse(key, f"{mount.source} is on the source host only; put it into the image or onto the data volume")


def _tmpfs_options(options: Mapping[str, Any]) -> list[str]:
    """Return the long form's options as mount options; a mode that is a number was octal once."""
    size, mode = options.get("size"), options.get("mode")
    text = f"{mode:o}" if isinstance(mode, int) else mode
    return [f"size={size}"] * bool(size) + [f"mode={text}"] * bool(mode)


def check_main(found: list[tuple[str, str]], parameters: Parameters, draft: Draft) -> tuple[str, str]:
    """Return (container path, sub-path) by which the service's data is known; refuse when the parameters say another.

    Args:
        found: What `Mounts.add` returned for the service that moves.
        parameters: The migration.
        draft: Its container definition.

    Returns:
        Both "" when nothing is mounted from the volume.
    """
    expected, seen = parameters.volume.sub_path.rstrip("/"), sorted({sub_path for _, sub_path in found})
    if not found:
        draft.refuse("volumes", f"nothing is mounted from {parameters.volume.mount_path}; check volume.mount_path")
        return "", ""
    if expected not in seen:
        shown = " and ".join(repr(sub_path) for sub_path in seen)
        one = "it" if len(seen) == 1 else "the one that holds the service's data"
        draft.refuse("volumes", f"shows folder {shown} of the volume, not {expected!r}; set volume.sub_path to {one}")
        return found[0]
    return next((path, sub_path) for path, sub_path in found if sub_path == expected)

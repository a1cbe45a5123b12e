"""What the sandbox's AWS, volumes and hosts hold, as canonical JSON: two equal answers prove that nothing changed.

Reads only. What changes by being looked at (SSM commands, last-used times, logs, temporary files) is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.iam.models import AWSManagedPolicy

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.controls import ControlRequest, Controls
from runbook_lib.sandbox.world import World

SERVICES = (
    "applicationautoscaling",
    "autoscaling",
    "cloudwatch",
    "ec2",
    "ecs",
    "elbv2",
    "iam",
    "kms",
    "logs",
    "s3",
    "ssm",
)
_VOLATILE = frozenset({"_commands", "last_used", "last_used_region", "access_key_last_used", "aws_managed_policies"})
_RUNTIME = ("tmp", "run", "proc", "sys", "dev", "var/log", "var/tmp", "var/run", "var/lib/docker", "var/lib/amazon")
_PLAIN = (str, int, float, bool, type(None))
_LOCK_TYPES = (type(threading.Lock()), type(threading.RLock()))
_CHUNK = 1 << 20


def snapshot(world: World) -> dict[str, Any]:
    """Return the whole state.

    Args:
        world: The sandbox's world.

    Returns:
        ``aws`` (by service), ``volumes`` and ``hosts`` (by id, files by path with their SHA-256).
    """
    with world.lock:
        aws = {service: _Walk().of(vars(backend(service))) for service in SERVICES}
        hosts = list(world.hosts.values())
    return {
        "aws": aws,
        "volumes": {volume_id: _volume(world, volume_id) for volume_id in sorted(world.volumes.ids())},
        "hosts": {host.instance_id: _host(host) for host in hosts},
    }


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def register_controls(world: World, controls: Controls) -> None:
    """Serve ``GET /_sandbox/state``; ``?digest=1`` gives one SHA-256 per AWS service, volume and host."""

    def show(request: ControlRequest) -> dict[str, Any]:
        whole = snapshot(world)
        if not request.query.get("digest"):
            return whole
        return {section: {name: digest(value) for name, value in part.items()} for section, part in whole.items()}

    controls.add("GET", "/_sandbox/state", show)


class _Walk:
    """Turns moto's objects into JSON; an object met before becomes a reference to it."""

    def __init__(self) -> None:
        self._met: set[int] = set()

    def of(self, value: Any) -> Any:
        """Return a JSON-able form of any value."""
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, Mapping):
            return {str(key): self.of(item) for key, item in value.items() if _is_kept(key, item)}
        if isinstance(value, (set, frozenset)):
            return sorted((self.of(item) for item in value), key=lambda one: json.dumps(one, sort_keys=True))
        if hasattr(value, "__dict__"):
            return self._object(value)
        return _plain(value) if not isinstance(value, (list, tuple)) else [self.of(item) for item in value]

    def _object(self, value: Any) -> Any:
        if isinstance(value, AWSManagedPolicy):
            return f"<{_name(value)}>"  # the same in every account; only where it is attached matters
        if id(value) in self._met:
            return f"<{type(value).__name__} {_name(value)}>"
        self._met.add(id(value))
        return self.of(vars(value))


def _plain(value: Any) -> str:
    """Return dates as text, bytes as their digest, and of anything else only its kind."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return type(value).__name__


def _is_kept(key: Any, value: Any) -> bool:
    if key in _VOLATILE or isinstance(value, (BaseBackend, threading.Thread, threading.Event, *_LOCK_TYPES)):
        return False
    return not callable(value)


def _name(value: Any) -> str:
    for attribute in ("name", "id", "arn"):
        found = vars(value).get(attribute)
        if isinstance(found, str):
            return found
    return ""


def _volume(world: World, volume_id: str) -> dict[str, Any]:
    stored = world.volumes.get(volume_id)
    facts = {"size_gib": stored.size_gib, "fstype": stored.fstype, "fs_uuid": stored.fs_uuid, "pttype": stored.pttype}
    return facts | {"files": _files(stored.files, ())}


def _host(host: Any) -> dict[str, Any]:
    launch = {name: str(value) for name, value in vars(host.launch).items()}
    containers = [
        {"name": one.name, "image": one.image, "status": one.status, "id": one.id}
        for one in (host.engine.containers() if host.powered else [])
    ]
    return {
        "launch": launch,
        "powered": host.powered,
        "containers": sorted(containers, key=lambda one: str(one["name"])),
        "files": _files(host.root, _RUNTIME),
    }


def _files(root: Path, left_out: tuple[str, ...]) -> dict[str, str]:
    """Return every file below a folder with its mode and SHA-256; links with their target."""
    found: dict[str, str] = {}
    for folder, folders, names in _walk(root):
        inside = folder.relative_to(root).as_posix()
        folders[:] = sorted(one for one in folders if f"{inside}/{one}".removeprefix("./") not in left_out)
        for name in sorted(names):
            path = folder / name
            try:
                found[path.relative_to(root).as_posix()] = _file(path)
            except OSError:
                continue  # it went away meanwhile
    return found


def _walk(root: Path) -> Iterable[tuple[Path, list[str], list[str]]]:
    # Path.walk came with Python 3.12.
    for folder, folders, names in os.walk(root):
        yield Path(folder), folders, names


def _file(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if not path.is_file():
        return "special"
    mode = path.stat().st_mode & 0o7777
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return f"{mode:04o} {hashed.hexdigest()}"

"""What a container is, as data: what was asked for, and what became of it. Pure."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NANOSECONDS = 1_000_000_000


class EngineError(Exception):
    """Docker refused something; the text is worded as dockerd words it."""


@dataclass(frozen=True)
class Mount:
    """One mount of a container.

    Args:
        kind: ``bind`` or ``volume``.
        source: Host path, or name of the volume.
        target: Path in the container.
        driver: Volume driver, "" for ``local``.
        read_only: Whether writing is refused.
        create_source: Whether a missing bind source is made as an empty folder, as ``docker run -v`` does.
        options: Driver options for a volume that is made on first use.
    """

    kind: str
    source: str
    target: str
    driver: str = ""
    read_only: bool = False
    create_source: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HealthCheck:
    """How Docker asks a container whether it is well.

    Args:
        test: ``["CMD", ...]``, ``["CMD-SHELL", text]`` or ``["NONE"]``.
        interval_s: Pause between two probes.
        timeout_s: After which a probe has failed.
        retries: Failures in a row that make a container unhealthy.
        start_period_s: Time in which failures do not count.
        start_interval_s: Pause between two probes in that time.
    """

    test: Sequence[str]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0
    start_interval_s: float = 5.0

    @classmethod
    def from_docker(cls, data: Mapping[str, Any] | None) -> HealthCheck | None:
        """Return the check of an image configuration, whose times are nanoseconds."""
        if not data or not data.get("Test"):
            return None
        return cls(
            test=tuple(data["Test"]),
            interval_s=(data.get("Interval") or 30 * NANOSECONDS) / NANOSECONDS,
            timeout_s=(data.get("Timeout") or 30 * NANOSECONDS) / NANOSECONDS,
            retries=data.get("Retries") or 3,
            start_period_s=(data.get("StartPeriod") or 0) / NANOSECONDS,
            start_interval_s=(data.get("StartInterval") or 5 * NANOSECONDS) / NANOSECONDS,
        )


@dataclass(frozen=True)
class Limits:
    """What a container may use; 0 is no limit. Simulated containers are not held to it.

    Args:
        memory_mib: It is killed above this.
        memory_reservation_mib: What it is pressed down to when the host is short of memory.
        cpu_shares: Its weight beside others.
        ulimits: Name to (soft, hard).
    """

    memory_mib: int = 0
    memory_reservation_mib: int = 0
    cpu_shares: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerSpec:
    """What was asked for.

    Args:
        name: Unique on the host; "" lets Docker choose.
        image: Reference of an image.
        command: Arguments, in place of the image's own; None keeps them.
        entrypoint: Program, in place of the image's own; None keeps it.
        environment: Besides the image's own.
        user: As asked; simulated containers run as the sandbox's user.
        ports: (host port, container port), TCP.
        mounts: What it sees besides its own files.
        health_check: None keeps the image's own.
        stop_timeout_s: Between SIGTERM and SIGKILL.
        restart: ``no``, ``always``, ``unless-stopped`` or ``on-failure[:N]``.
        labels: As Docker keeps them.
        network_mode: ``bridge``, ``host`` or a network's name.
        working_dir: In place of the image's own.
        hostname: In place of the short id.
        init: Whether a small init is process 1, so that the program itself gets the default signals.
        limits: What it may use.
    """

    name: str
    image: str
    command: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    ports: Sequence[tuple[int, int]] = ()
    mounts: Sequence[Mount] = ()
    health_check: HealthCheck | None = None
    stop_timeout_s: float = 10.0
    restart: str = "no"
    labels: Mapping[str, str] = field(default_factory=dict)
    network_mode: str = "bridge"
    working_dir: str = ""
    hostname: str = ""
    init: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class MountedPath:
    """A mount of a container while it exists: what is really behind it.

    Args:
        mount: What was asked for.
        host_path: Folder on the host.
        real: Folder behind that.
    """

    mount: Mount
    host_path: str
    real: Path


@dataclass
class Container:
    """A container and its state; the engine changes it under ``changed``.

    Args:
        id: 64 hexadecimal digits.
        spec: What was asked for.
        image_id: ``sha256:...`` of its image.
        folder: Its view and its log.
        rootfs: Its own files.
        address: Its address in the sandbox.
    """

    id: str
    spec: ContainerSpec
    image_id: str
    folder: Path
    rootfs: Path
    address: str
    created_utc: str
    pid: int = 0
    status: str = "created"
    exit_code: int = 0
    error: str = ""
    health: str = "none"
    health_log: list[dict[str, Any]] = field(default_factory=list)
    failing_streak: int = 0
    started_utc: str = ""
    finished_utc: str = ""
    restart: str = "no"
    restart_count: int = 0
    stopped_by_user: bool = False
    mounted: list[MountedPath] = field(default_factory=list)
    anonymous: list[str] = field(default_factory=list)
    told_paths: dict[str, str] = field(default_factory=dict)  # by target: what a volume's driver said at the creation
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    @property
    def name(self) -> str:
        """Return its name on the host."""
        return self.spec.name

    @property
    def image(self) -> str:
        """Return the reference it was made from."""
        return self.spec.image

    @property
    def log_path(self) -> Path:
        """Return the file with everything it printed."""
        return self.folder / "log"

    @property
    def view_path(self) -> Path:
        """Return its path table."""
        return self.folder / "view.json"

    @property
    def is_alive(self) -> bool:
        """Return whether it runs or is about to run again."""
        return self.status in {"running", "restarting"}

    def wait(self, until: Sequence[str], timeout_s: float | None = None) -> bool:
        """Wait until it has one of these states; returns whether it has."""
        with self.changed:
            return self.changed.wait_for(lambda: self.status in until, timeout_s)


def now_utc() -> str:
    """Return the time as Docker writes it."""
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * NANOSECONDS):09d}Z"

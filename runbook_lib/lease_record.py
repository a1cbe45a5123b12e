"""Who holds a volume: the record that a lease keeps, and what it says to a person. Pure but for looking at processes.

The record is the same in a file and in S3. It names one process of one machine, so that whoever finds it later can
prove that process gone, or else must wait until its heartbeats have stopped for longer than the holder promised.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from runbook_lib.scrub import SECRETS

_PROC = Path("/proc")
_START_TIME = 19
"""Index of `starttime` behind the command's closing bracket in /proc/<pid>/stat; see proc(5)."""


@dataclass(frozen=True)
class Holder:
    """One holding of one volume.

    Args:
        run_id: The run that holds it.
        operator: Who started that run.
        host: Name of the machine, for people.
        machine: Boot and PID namespace of the machine; "" where that cannot be told. Only in the same one a process
            can be looked for.
        pid: The process that holds it.
        process_start: When that process began, in the kernel's ticks; a later process may get the same pid.
        since_utc: When it began to hold the volume, by its own clock.
        heartbeat_utc: Its last heartbeat, by its own clock; for people only, no decision rests on it.
        expires_after_s: After how long without a heartbeat it may be taken for dead.
        token: Random; tells this holding from every other.
        released_utc: When it gave the volume back, or "".
        taken_over: Who declared a dead holder gone and why: `reason, operator, at_utc, from`; {} when nobody did.
    """

    run_id: str
    operator: str
    host: str
    machine: str
    pid: int
    process_start: int
    since_utc: str
    heartbeat_utc: str
    expires_after_s: int
    token: str
    released_utc: str = ""
    taken_over: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def this_process(cls, run_id: str, operator: str, now_utc: str, expires_after_s: int) -> Self:
        """Return the record of this process as a holder.

        Args:
            run_id: The run.
            operator: Who runs it.
            now_utc: RFC 3339 time.
            expires_after_s: As the attribute.

        Returns:
            A record with a token of its own.
        """
        pid = os.getpid()
        return cls(
            run_id=run_id,
            operator=operator,
            host=socket.gethostname(),
            machine=this_machine(),
            pid=pid,
            process_start=process_start(pid),
            since_utc=now_utc,
            heartbeat_utc=now_utc,
            expires_after_s=expires_after_s,
            token=secrets.token_hex(16),
        )

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Return the record that bytes hold.

        Args:
            content: As `encode` returned it.

        Returns:
            The record.

        Raises:
            ValueError: when it is none; then nobody can tell who holds the volume.
        """
        try:
            record = cls(**json.loads(content))
        except (TypeError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error
        if not isinstance(record.token, str) or not record.token or not isinstance(record.expires_after_s, int):
            raise ValueError("no token, or no expiry")
        return record

    def encode(self) -> bytes:
        """Return the record as JSON, one line.

        Returns:
            UTF-8.
        """
        record = SECRETS.value(asdict(self)) | {"token": self.token}
        return (json.dumps(record, sort_keys=True) + "\n").encode()

    def as_json(self) -> dict[str, Any]:
        """Return the record for the journal; the token stays out, because who has it is the holder."""
        return {key: value for key, value in asdict(self).items() if key != "token"}

    def beating(self, now_utc: str) -> Self:
        """Return the record with a new heartbeat."""
        return replace(self, heartbeat_utc=now_utc)

    def released(self, now_utc: str) -> Self:
        """Return the record of a volume that was given back."""
        return replace(self, heartbeat_utc=now_utc, released_utc=now_utc)

    @property
    def is_here(self) -> bool:
        """Whether the holder's process can be looked for from this one."""
        return bool(self.machine) and self.machine == this_machine()

    @property
    def runs_here(self) -> bool:
        """Whether the holder's process is alive on this machine."""
        return is_alive(self.machine, self.pid, self.process_start)

    def sentence(self) -> str:
        """Return who holds the volume, for a message."""
        return (
            f"run {self.run_id} of {self.operator}, process {self.pid} on {self.host}, since {self.since_utc}, "
            f"last heartbeat {self.heartbeat_utc}"
        )


@dataclass(frozen=True)
class Seen:
    """What a look at a lease found.

    Args:
        holder: The last holder, or None when there never was one.
        version: What the store needs to replace exactly this record.
        alive: Whether it still holds the volume, or must be taken to.
        why: What shows that.
        age_s: Time since the last heartbeat by the store's clock; None when it has none.
    """

    holder: Holder | None
    version: str = ""
    alive: bool = False
    why: str = "nobody holds it"
    age_s: float | None = None

    @property
    def is_free(self) -> bool:
        """Whether the last holder gave the volume back, or there never was one."""
        return not self.alive and (self.holder is None or bool(self.holder.released_utc))

    @property
    def is_dead(self) -> bool:
        """Whether the last holder is proved gone without having given the volume back."""
        return not self.alive and not self.is_free


def this_machine() -> str:
    """Return what identifies the place where process ids of this process mean something.

    Returns:
        Boot id and PID namespace; "" where the system does not tell them, and then nobody is ever proved gone by them.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def process_start(pid: int) -> int:
    """Return when a process of this machine began.

    Args:
        pid: Its id.

    Returns:
        Clock ticks since boot; 0 when there is no such process, or only its remains.
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {"Z", "X"} else int(fields[_START_TIME])


def is_alive(machine: str, pid: int, started: int) -> bool:
    """Return whether a process is alive on this machine.

    Args:
        machine: As `this_machine`, where it was noted.
        pid: Its id.
        started: As `process_start`, when it was noted.

    Returns:
        False also for a process of another machine, of which nothing can be told from here.
    """
    return bool(machine) and machine == this_machine() and process_start(pid) == started != 0

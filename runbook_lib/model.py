"""The words of this package as frozen data: facts, checks, plans, manifests.

Pure: imports nothing but the standard library and ``errors``, touches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Facts = Mapping[str, Any]
"""What was observed, as JSON-able values. Keys end in their unit (`_s`, `_gib`, `_bytes`, `_utc`)."""

SCHEMA_VERSION = 1
"""Version of the run record: journal lines, ``report.json`` and manifests."""


class StepStatus(StrEnum):
    """State of a step; the only words used for it anywhere."""

    PLANNED = "planned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"


class RunStatus(StrEnum):
    """State of a run as ``report.json`` gives it."""

    SUCCEEDED = "succeeded"
    PLANNED = "planned"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    INTERRUPTED = "interrupted"
    WAITING = "waiting"


class EvidenceGrade(StrEnum):
    """Where the evidence of a run comes from."""

    SIMULATED_HOST = "simulated host"
    REAL_HOST = "real host"
    AWS = "aws"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at before an act or after it.

    Args:
        check_id: Kebab-case name, stable across releases.
        passed: Whether the observation satisfies the rule.
        expected: What must be so.
        observed: What was seen.
        why: The danger that the rule prevents.
        fix: What the operator does when it fails.
        needs: Step whose act brings the checked object into being, or "". While that step is only
            planned in this run the check cannot be made, and counts as assumed instead of failed.
    """

    check_id: str
    passed: bool
    expected: str
    observed: str
    why: str = ""
    fix: str = ""
    needs: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the check as a JSON-able mapping."""
        return asdict(self)

    def sentence(self) -> str:
        """Return what an operator reads when this check fails."""
        text = f"{self.check_id}: expected {self.expected}, observed {self.observed}."
        if self.why:
            text += f" Why: {self.why}."
        if self.fix:
            text += f" Fix: {self.fix}."
        return text


@dataclass(frozen=True)
class FileEntry:
    """One entry of a manifest; ``path`` is relative to the manifest's root, with ``surrogateescape``.

    Args:
        path: Relative path, "." for the root itself.
        kind: ``file``, ``directory``, ``symlink``, ``fifo``, ``socket``, ``character_device`` or ``block_device``.
        size_bytes: Length of a regular file, else 0.
        mode: Permission bits with setuid, setgid and sticky, as an integer.
        uid: Owner.
        gid: Group.
        mtime_ns: Modification time in nanoseconds since the epoch.
        sha256: Digest of a regular file's content in hex, else "".
        link_target: Target of a symlink, else "".
        link_group: Path of the first entry that is the same inode, for hard links; else "".
    """

    path: str
    kind: str
    size_bytes: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    sha256: str
    link_target: str
    link_group: str = ""


@dataclass(frozen=True)
class ManifestDifference:
    """What differs between two manifests, by path, oldest manifest first."""

    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def identical(self) -> bool:
        """Return whether nothing differs."""
        return not (self.missing or self.added or self.changed)


@dataclass(frozen=True)
class ResourceChange:
    """One resource change of a Terraform plan.

    Args:
        address: For example ``module.ecs_cluster.aws_ecs_cluster.this``.
        resource_type: For example ``aws_ecs_cluster``.
        actions: Terraform's words, for example ``("delete", "create")`` for a replace.
        importing: Whether the plan imports an existing object.
        changed_attributes: Top-level attribute names that differ, sorted.
    """

    address: str
    resource_type: str
    actions: tuple[str, ...]
    importing: bool = False
    changed_attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanSummary:
    """A Terraform plan in numbers, with the resource changes that make them.

    Args:
        add: Resources to create.
        change: Resources to update in place.
        destroy: Resources to delete (a replace counts as one add and one destroy).
        imported: Resources to import.
        changes: Every resource change that is not a no-op or a read.
    """

    add: int
    change: int
    destroy: int
    imported: int
    changes: tuple[ResourceChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether the plan changes nothing."""
        return not self.changes


@dataclass(frozen=True)
class KeyMapping:
    """What became of one key of a compose service.

    Args:
        key: Dotted compose key, for example ``services.guestbook.stop_grace_period``.
        outcome: ``mapped``, ``dropped`` (consequence given) or ``refused`` (would change behaviour).
        target: Where it went in the container definition, or "".
        consequence: What the operator should know; the fix when refused.
    """

    key: str
    outcome: str
    target: str = ""
    consequence: str = ""


@dataclass(frozen=True)
class TaskMapping:
    """A compose service, and those that move with it, as the containers of one ECS task.

    Args:
        container_definitions: As the ECS API takes them, camelCase, secrets as references; that of the service first.
        mappings: One entry per compose key that was looked at.
        image: The image that the essential container runs.
        container_name: Name of the essential container, which holds the data volume.
        container_path: Where that container sees the data volume.
        source_volume: Name of the task's volume that ``mountPoints`` refers to.
        container_port: Port the service listens on in the container; 0 when none is published.
        host_port: Port published on the container instance; 0 when none is published.
        stop_timeout_s: Grace periods between SIGTERM and SIGKILL, of all containers together: they stop one by one.
        sub_path: Path inside the volume that the container sees, "" for the filesystem's root.
        folders: Path inside the volume by the name of the task volume that shows it, for what is not its root.
        services: Compose services that move, in the order in which they start.
        one_shots: Those of them that end before others start.
    """

    container_definitions: tuple[dict[str, Any], ...]
    mappings: tuple[KeyMapping, ...]
    image: str
    container_name: str
    container_path: str
    source_volume: str
    container_port: int = 0
    host_port: int = 0
    stop_timeout_s: int = 30
    sub_path: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    one_shots: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """One line of the journal.

    Args:
        seq: Number of the line, from 1.
        at_utc: RFC 3339 time with microseconds.
        kind: For example ``step``; see docs/run-record.md.
        fields: What happened.
        previous_sha256: Digest of the previous line's bytes without its newline; 64 zeros on the first.
    """

    seq: int
    at_utc: str
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    previous_sha256: str = "0" * 64


@dataclass(frozen=True)
class Receipt:
    """What S3 said of an object that it keeps.

    Args:
        sha256: SHA-256 of its bytes in hex, which S3 computed itself.
        version_id: The version, "" in a bucket without versions.
        retain_until_utc: Until when nobody can delete that version, RFC 3339; "" without a lock.
    """

    sha256: str
    version_id: str
    retain_until_utc: str

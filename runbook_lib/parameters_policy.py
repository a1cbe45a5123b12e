"""The section `policy` of the parameters: what the organisation demands of the change. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from runbook_lib import parameters_types as kind
from runbook_lib.parameters_section import Section
from runbook_lib.parameters_types import ListOf

Count = Annotated[int, Field(ge=0, le=9)]
Gated = Literal[
    "10_provision_target",
    "20_snapshot_volume",
    "30_cut_over_volume",
    "40_verify_persistence",
    "45_adopt_volume",
    "50_retire_source",
    "60_patch_hosts",
    "61_deploy_image",
    "62_resize",
    "63_back_up_volume",
    "65_prepare_storage_driver",
    "66_change_storage_driver",
    "70_restore_volume",
]
"""Notebooks that may need an approval."""
DEFAULT_GATED: tuple[Gated, ...] = (
    "10_provision_target",
    "30_cut_over_volume",
    "45_adopt_volume",
    "50_retire_source",
    "60_patch_hosts",
    "61_deploy_image",
    "62_resize",
    "65_prepare_storage_driver",
    "66_change_storage_driver",
    "70_restore_volume",
)
"""What applies a Terraform plan, ends in an outage, or has no way back."""


def _as_section(value: Any) -> Any:
    """Return a number as the section it is short for; a boolean is no number."""
    return {"required": value} if type(value) is int else value


class Approvals(Section):
    """How many people must approve a change before it is made, and of which notebooks."""

    required: Count = 0
    """How many different people must approve; 0 asks nobody."""
    notebooks: Annotated[tuple[Gated, ...], ListOf] = DEFAULT_GATED
    """Notebooks that need it. The way back never waits, and a rehearsal changes nothing that lasts."""
    requester_may_approve: bool = False
    """Whether who asked for the approval may give one."""
    valid_for_s: int = Field(default=86400, ge=60, le=2592000)
    """Longest time that an approval is valid; whoever approves may say a shorter one."""
    approvers: dict[kind.RoleName, Annotated[tuple[kind.ArnPattern, ...], ListOf]] = Field(default={})
    """Who may approve in which role, as ARNs with `*` for anything; empty lets any identity of the account."""


class ChangeWindow(Section):
    """When the change may happen."""

    opens_utc: kind.UtcTime
    """First moment of the window."""
    closes_utc: kind.UtcTime
    """End of the window."""


class Drift(Section):
    """What `64_check_drift` calls too little, too old."""

    min_free_percent: int = Field(default=10, ge=0, le=99)
    """Least share of the volume's space that must be free."""
    min_free_inodes_percent: int = Field(default=10, ge=0, le=99)
    """Least share of the volume's inodes that must be free, where the filesystem has a fixed number of them."""
    max_snapshot_age_h: int = Field(default=36, ge=1, le=8760)
    """Greatest age of the newest completed snapshot of the volume, in hours."""
    max_machine_image_age_days: int = Field(default=90, ge=1, le=3650)
    """Greatest age of the machine image that a container instance was launched from."""


class Backup(Section):
    """How `63_back_up_volume` backs the volume up, and what it keeps."""

    consistency: Literal["freeze", "stop", "crash"] = "freeze"
    """`freeze`: the filesystem waits with writes for seconds. `stop`: one short stop of the task. `crash`: as after a
    power cut."""
    freeze_limit_s: int = Field(default=10, ge=3, le=60)
    """Longest time that writes may wait; then a watchdog on the host thaws, and the snapshot counts as `crash`."""
    keep_last: int = Field(default=7, ge=1, le=1000)
    """How many of the newest backups are kept, however old they are."""
    keep_days: int = Field(default=30, ge=0, le=3650)
    """How long a backup is kept besides."""
    delete_expired: bool = False
    """Whether expired backups are deleted; false only says which would be."""


_NumberOrSection = BeforeValidator(_as_section, json_schema_input_type=Count | Approvals)


class Policy(Section):
    """What the organisation demands of the change."""

    outage_budget_s: int = Field(default=120, ge=1)
    """Longest outage that is acceptable: a forecast above it refuses the cutover; the report compares."""
    on_budget_exceeded: Literal["roll_back", "continue"] = "roll_back"
    """What a cutover does when the budget is used up before the service is up on ECS."""
    require_rehearsal: bool = False
    """Whether the cutover refuses to begin in a run that did not rehearse; not with `host_mount`, which cannot."""
    bake_time_s: int = Field(default=300, ge=0)
    """How long the service is watched on the target before the source may be retired."""
    snapshot_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long the rollback point and the snapshots are to be kept; no notebook deletes them."""
    verify_budget_s: int = Field(default=5, ge=0, le=3600)
    """How long contents are sampled on the target before the service starts: at most about 8,192 files and 64 MiB."""
    max_removed_by_service: int = Field(default=100, ge=0)
    """How many entries the service may remove, once it runs again, before the proof of the data fails."""
    manifest_nice: int = Field(default=10, ge=0, le=19)
    """Niceness of the manifest that is taken while the service still runs; inside the outage it is 0."""
    manifest_io_class: Literal["none", "best-effort", "idle"] = "best-effort"
    """Share of the disk for that manifest: `best-effort` at the lowest level, `idle`, or `none` for the usual one."""
    rollback_point: Literal["copy_or_snapshot", "snapshot"] = "copy_or_snapshot"
    """`copy_or_snapshot`: an EBS volume copy where the Region has it. `snapshot`: always a snapshot."""
    approvals: Annotated[Approvals, _NumberOrSection] = Approvals()
    """Who must say yes before a notebook changes anything. A number is short for `required`."""
    change_window: ChangeWindow | None = None
    """When a runbook may stop the service; without it, any time. What has begun goes on, and no way back is refused."""
    hold_before_cutover: bool = False
    """Whether the cutover holds before it stops the service, until `runbook cut-over` releases it."""
    drift: Drift = Drift()
    """From which values on 64_check_drift reports a finding."""
    backup: Backup = Backup()
    """How the volume is backed up on ECS."""
    hold_limit_s: int = Field(default=28800, ge=1, le=604800)
    """How long the cutover may hold; after that it is refused with nothing stopped."""

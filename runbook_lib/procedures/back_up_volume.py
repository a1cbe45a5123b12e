"""63_back_up_volume: a consistent snapshot, restored and used once before anybody relies on it. This is its order."""

from __future__ import annotations

from dataclasses import replace

from runbook_lib.procedures.backup_drill import COMPARE_COPY, RESTORE_COPY
from runbook_lib.procedures.backup_drill_task import RUN_DRILL_TASK
from runbook_lib.procedures.backup_end import REMOVE_DRILL, REPORT_RECOVERY, clear_after
from runbook_lib.procedures.backup_facts import NOTEBOOK
from runbook_lib.procedures.backup_retention import EXPIRE_BACKUPS
from runbook_lib.procedures.backup_take import CHECK_BACKUP, COMPLETE_BACKUP, CREATE_BACKUP

__all__ = ["NOTEBOOK", "STEPS"]

STEPS = (
    CHECK_BACKUP,
    CREATE_BACKUP,
    COMPLETE_BACKUP,
    *(replace(step, on_failure=clear_after) for step in (RESTORE_COPY, COMPARE_COPY, RUN_DRILL_TASK)),
    REMOVE_DRILL,
    REPORT_RECOVERY,
    EXPIRE_BACKUPS,
)

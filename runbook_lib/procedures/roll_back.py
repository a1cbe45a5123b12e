"""90_roll_back: from any state before 50, compose runs again on the same volume, with nothing lost.

Every step looks at the world, so it does not matter where the cutover stopped. Writes that were made on ECS come back
with the volume; only a restore from the rollback point would lose them, and this procedure never does that.
"""

from __future__ import annotations

from runbook_lib.procedures.filesystem_check import CHECK_FILESYSTEM
from runbook_lib.procedures.release_target import CHECK_WAY_BACK, RENAME_VOLUME, STOP_TARGET_SERVICE
from runbook_lib.procedures.restore_source import (
    ATTACH_VOLUME_TO_SOURCE,
    MOUNT_VOLUME_ON_SOURCE,
    START_SOURCE_SERVICE,
    VERIFY_SOURCE_DATA,
)

NOTEBOOK = "90_roll_back"

STEPS = (
    CHECK_WAY_BACK,
    STOP_TARGET_SERVICE,
    RENAME_VOLUME,
    ATTACH_VOLUME_TO_SOURCE,
    CHECK_FILESYSTEM,  # only after a forced detach
    MOUNT_VOLUME_ON_SOURCE,
    START_SOURCE_SERVICE,
    VERIFY_SOURCE_DATA,
)

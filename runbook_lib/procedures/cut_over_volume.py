"""30_cut_over_volume: the moment the volume changes hands. This is its order."""

from __future__ import annotations

from runbook_lib.procedures.change_window import within_window
from runbook_lib.procedures.gate import RELEASE_GATE, VERIFY_BEFORE_START
from runbook_lib.procedures.hand_over import CREATE_ROLLBACK_POINT, DETACH_VOLUME, NAME_VOLUME
from runbook_lib.procedures.hold import HOLD_CUTOVER
from runbook_lib.procedures.outage_budget import within_budget
from runbook_lib.procedures.prepare_source import CHECK_READINESS, KEEP_VOLUME_ON_TERMINATION, TAKE_HOT_MANIFEST
from runbook_lib.procedures.rehearsal_forecast import with_rehearsal
from runbook_lib.procedures.start_target import START_TARGET_SERVICE
from runbook_lib.procedures.stop_source import STOP_SOURCE_SERVICE

NOTEBOOK = "30_cut_over_volume"

STEPS = tuple(
    within_budget(step)
    for step in (
        with_rehearsal(CHECK_READINESS),
        KEEP_VOLUME_ON_TERMINATION,
        TAKE_HOT_MANIFEST,
        HOLD_CUTOVER,  # everything slow is done
        within_window(STOP_SOURCE_SERVICE),  # the outage begins
        CREATE_ROLLBACK_POINT,
        DETACH_VOLUME,
        NAME_VOLUME,
        VERIFY_BEFORE_START,
        START_TARGET_SERVICE,  # the outage ends when users get an answer again
        RELEASE_GATE,
    )
)

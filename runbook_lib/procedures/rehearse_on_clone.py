"""25_rehearse_on_clone: the service's own task on a copy of the volume, on the host of the cutover. This is its order.

Production runs on meanwhile and is proved untouched. A step that fails removes what was made before it; an interrupted
rehearsal is removed by the next one.
"""

from __future__ import annotations

from dataclasses import replace

from runbook_lib.procedures.rehearsal_cleanup import REMOVE_REHEARSAL, STOP_REHEARSAL_TASK, clear_after
from runbook_lib.procedures.rehearsal_clone import CLONE, TAKE_MANIFEST_AFTER, TAKE_MANIFEST_BEFORE
from runbook_lib.procedures.rehearsal_data import VERIFY_REHEARSAL_DATA
from runbook_lib.procedures.rehearsal_definition import REGISTER_DEFINITION
from runbook_lib.procedures.rehearsal_facts import NOTEBOOK
from runbook_lib.procedures.rehearsal_forecast import FORECAST_OUTAGE
from runbook_lib.procedures.rehearsal_production import CHECK_BEGINNING
from runbook_lib.procedures.rehearsal_task import RUN_REHEARSAL_TASK

__all__ = ["NOTEBOOK", "STEPS"]

STEPS = (
    CHECK_BEGINNING,
    *(
        replace(step, on_failure=clear_after)
        for step in (
            TAKE_MANIFEST_BEFORE,
            CLONE,
            TAKE_MANIFEST_AFTER,
            REGISTER_DEFINITION,
            RUN_REHEARSAL_TASK,
            VERIFY_REHEARSAL_DATA,
        )
    ),
    STOP_REHEARSAL_TASK,
    REMOVE_REHEARSAL,
    FORECAST_OUTAGE,
)

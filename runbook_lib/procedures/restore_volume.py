"""70_restore_volume: a backup brought back as the service's data volume, the loss said first. This is its order."""

from __future__ import annotations

from runbook_lib.procedures.driver_steps import for_change
from runbook_lib.procedures.prepare_host import LAUNCH_CONTAINER_INSTANCE
from runbook_lib.procedures.pull_images import PULL_IMAGE
from runbook_lib.procedures.restore_check import CHECK_RESTORE
from runbook_lib.procedures.restore_end import REMOVE_HOSTS_OF_FORMER_VOLUME, REPORT_LOSS, VERIFY_RESTORED_DATA
from runbook_lib.procedures.restore_exchange import (
    CHANGE_REVISION,
    CHECK_EXCHANGE,
    HAND_RESTORED_VOLUME_OVER,
    PUT_VOLUME_ASIDE,
    RELEASE_GATE_AFTER_RESTORE,
    START_RESTORED_SERVICE,
    STOP_SERVICE_FOR_RESTORE,
    VERIFY_BEFORE_RESTORED_START,
)
from runbook_lib.procedures.restore_facts import NOTEBOOK
from runbook_lib.procedures.restore_make import CREATE_RESTORED_VOLUME
from runbook_lib.procedures.restore_plan import (
    ADOPT_RESTORED_VOLUME,
    COMPLETE_RESTORE,
    FORGET_FORMER_VOLUME,
    PROVISION_FOR_RESTORE,
)
from runbook_lib.procedures.restore_proof import PROVE_RESTORED_VOLUME
from runbook_lib.procedures.restore_steps import for_restore

__all__ = ["NOTEBOOK", "STEPS"]

STEPS = (
    CHECK_RESTORE,
    CREATE_RESTORED_VOLUME,
    PROVE_RESTORED_VOLUME,
    PROVISION_FOR_RESTORE,
    for_restore(
        LAUNCH_CONTAINER_INSTANCE,
        "launch-host-for-restore",
        title="Launch a container instance for the restored volume beside the one that serves",
        plan=lambda _facts: "Launch a container instance that is set up for the restored volume.",
    ),
    for_restore(for_change(PULL_IMAGE, "pull-image-for-change", NOTEBOOK), "pull-image-for-restore"),
    CHECK_EXCHANGE,
    STOP_SERVICE_FOR_RESTORE,  # the outage begins
    PUT_VOLUME_ASIDE,  # nobody has either volume
    CHANGE_REVISION,
    HAND_RESTORED_VOLUME_OVER,
    VERIFY_BEFORE_RESTORED_START,
    START_RESTORED_SERVICE,  # the outage ends when users get an answer again
    RELEASE_GATE_AFTER_RESTORE,
    VERIFY_RESTORED_DATA,
    REMOVE_HOSTS_OF_FORMER_VOLUME,
    COMPLETE_RESTORE,
    FORGET_FORMER_VOLUME,
    ADOPT_RESTORED_VOLUME,
    REPORT_LOSS,
)

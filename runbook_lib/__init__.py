"""Runbooks that move a docker-compose service with its EBS volume onto Amazon ECS.

Notebooks use nothing but the names of this module: `open_run`, one verb per step, `close_run`; to begin,
`parameters_form` and `prepare_notebooks`; to look at what is run, waits or was, `watch_run`, `approval_card`,
`history` and the four that begin with `plot_`. They are looked up when first used, so that importing the package
stays quick.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_PROCEDURES = {
    "inspect_source": (
        "verify_identity",
        "inspect_instance",
        "inspect_filesystem",
        "inspect_compose",
        "inspect_writers",
    ),
    "provision_target": (
        "map_container",
        "choose_machine_image",
        "provision_target",
        "register_container_instance",
        "pull_image",
    ),
    "snapshot_volume": ("create_hot_snapshot", "complete_hot_snapshot"),
    "rehearse_on_clone": (
        "check_rehearsal",
        "take_manifest_before_copy",
        "clone_volume",
        "take_manifest_after_copy",
        "register_rehearsal_task",
        "run_rehearsal_task",
        "verify_rehearsal_data",
        "stop_rehearsal_task",
        "remove_rehearsal",
        "forecast_outage",
    ),
    "cut_over_volume": (
        "check_readiness",
        "keep_volume_on_termination",
        "take_hot_manifest",
        "hold_cutover",
        "stop_source_service",
        "create_rollback_point",
        "detach_volume",
        "name_volume",
        "verify_before_start",
        "start_target_service",
        "release_gate",
    ),
    "verify_persistence": (
        "verify_data",
        "verify_rollback_copy",
        "write_probe",
        "restart_task",
        "verify_data_after_restart",
        "replace_instance",
        "verify_data_after_replacement",
        "control_negative",
        "remove_probe",
        "verify_empty_plan",
    ),
    "adopt_volume": ("adopt_volume",),
    "retire_source": ("check_retirement", "retire_mount", "stop_source_instance"),
    "patch_hosts": (
        "check_hosts",
        "provision_host_image",
        "launch_patched_instance",
        "pull_image_for_patch",
        "create_snapshot_before_patch",
        "complete_snapshot_before_patch",
        "check_patch",
        "take_manifest_before_patch",
        "stop_service_for_patch",
        "complete_manifest_of_patch",
        "release_volume_for_patch",
        "copy_volume_before_patch",
        "hand_volume_to_patched_host",
        "verify_before_patched_start",
        "start_patched_service",
        "release_gate_after_patch",
        "verify_data_on_patched_host",
        "remove_unpatched_hosts",
        "verify_plan_after_patch",
    ),
    "deploy_image": (
        "check_deployment",
        "pull_new_image",
        "register_image",
        "create_snapshot_before_deployment",
        "complete_snapshot_before_deployment",
        "take_manifest_before_deployment",
        "deploy_image",
        "verify_data_after_deployment",
        "verify_plan_after_deployment",
    ),
    "resize": (
        "check_resize",
        "create_snapshot_before_resize",
        "complete_snapshot_before_resize",
        "take_manifest_before_resize",
        "modify_volume",
        "grow_filesystem",
        "verify_data_after_growth",
        "provision_instance_type",
        "launch_resized_instance",
        "pull_image_for_resize",
        "check_resize_move",
        "stop_service_for_resize",
        "complete_manifest_of_resize",
        "release_volume_for_resize",
        "copy_volume_before_resize",
        "hand_volume_to_resized_host",
        "verify_before_resized_start",
        "start_resized_service",
        "release_gate_after_resize",
        "verify_data_on_resized_host",
        "remove_former_size",
        "scale_tasks",
        "verify_plan_after_resize",
    ),
    "prepare_storage_driver": (
        "check_storage_driver",
        "withhold_volume",
        "provision_storage_driver",
        "launch_container_instance",
        "pull_image_for_change",
        "create_snapshot_before_change",
        "complete_snapshot_before_change",
    ),
    "change_storage_driver": (
        "check_change",
        "take_manifest_before_change",
        "stop_service_for_change",
        "complete_manifest_of_change",
        "release_volume",
        "copy_volume_before_change",
        "change_task_definition",
        "hand_volume_over",
        "verify_before_change",
        "start_changed_service",
        "release_gate_after_change",
        "remove_former_hosts",
        "complete_storage_driver",
    ),
    "roll_back": (
        "check_way_back",
        "stop_target_service",
        "rename_volume",
        "attach_volume_to_source",
        "check_filesystem",
        "mount_volume_on_source",
        "start_source_service",
        "verify_source_data",
    ),
    "check_drift": (
        "inspect_target_service",
        "inspect_container_instances",
        "inspect_data_volume",
        "inspect_snapshots",
        "inspect_terraform",
        "inspect_last_record",
        "report_drift",
    ),
    "back_up_volume": (
        "check_backup",
        "create_backup",
        "complete_backup",
        "restore_backup_copy",
        "compare_backup_copy",
        "run_drill_task",
        "remove_drill",
        "report_recovery",
        "expire_backups",
    ),
    "restore_volume": (
        "check_restore",
        "create_restored_volume",
        "prove_restored_volume",
        "provision_for_restore",
        "launch_host_for_restore",
        "pull_image_for_restore",
        "check_exchange",
        "stop_service_for_restore",
        "put_volume_aside",
        "change_task_definition_for_restore",
        "hand_restored_volume_over",
        "verify_before_restored_start",
        "start_restored_service",
        "release_gate_after_restore",
        "verify_restored_data",
        "remove_hosts_of_former_volume",
        "complete_restore",
        "forget_former_volume",
        "adopt_restored_volume",
        "report_loss",
    ),
    "force_detach": ("force_detach_volume",),
}
_VERBS = {verb: procedure for procedure, verbs in _PROCEDURES.items() for verb in verbs}
_OTHERS = {
    "open_run": "run",
    "close_run": "run",
    "history": "history_table",
    "plot_history": "history_plot",
    "plot_outage": "report_pictures",
    "plot_comparison": "report_pictures",
    "plot_holders": "report_pictures",
    "parameters_form": "widgets",
    "watch_run": "widgets_card",
    "approval_card": "widgets_approval",
    "prepare_notebooks": "lab_prepare",
}

__all__ = [*sorted(_OTHERS), *sorted(_VERBS)]  # noqa: PLE0604 - the verbs are the steps' names


def __getattr__(name: str) -> Any:
    """Return a public name, importing what it needs only now."""
    if name in _OTHERS:
        if name == "open_run":
            if "runbook_lib.run" not in sys.modules:  # then the library is loaded first, which takes a second
                importlib.import_module("runbook_lib.run_keyboard").say_at_once("Opens the run …")
            _cards()  # imported by now when the first step is called, so that its card is there at once
        return getattr(importlib.import_module(f"runbook_lib.{_OTHERS[name]}"), name)
    if name in _VERBS:
        steps = importlib.import_module("runbook_lib.steps")
        procedure = importlib.import_module(f"runbook_lib.procedures.{_VERBS[name]}")
        ids = [step.step_id for step in procedure.STEPS]
        place = ids.index(name.replace("_", "-"))
        verb = steps.verb(procedure.STEPS[place], ids[:place])
        return cards.with_card(procedure.STEPS[place], verb) if (cards := _cards()) is not None else verb
    raise AttributeError(f"module 'runbook_lib' has no name {name!r}; the verbs are {', '.join(sorted(_VERBS))}")


def _cards() -> Any:
    """Return the module of the live cards where somebody sits at this kernel, else None."""
    if importlib.import_module("runbook_lib.run_keyboard").at_a_keyboard():
        return importlib.import_module("runbook_lib.widgets_card")
    return None


def __dir__() -> list[str]:
    """Return the public names, for completion in JupyterLab."""
    return __all__

"""The notebooks that a report or a rule speaks of by name."""

from __future__ import annotations

CUT_OVER = "30_cut_over_volume"
VERIFY = "40_verify_persistence"
ADOPT = "45_adopt_volume"
RETIRE = "50_retire_source"
PATCH = "60_patch_hosts"
DEPLOY = "61_deploy_image"
RESIZE = "62_resize"
BACK_UP = "63_back_up_volume"
LOOK = "64_check_drift"
PREPARE = "65_prepare_storage_driver"
CHANGE = "66_change_storage_driver"
RESTORE = "70_restore_volume"
ROLL_BACK = "90_roll_back"

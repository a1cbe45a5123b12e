"""Steps of a change of driver that a restore performs too: the same acts, on the restored volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Facts
from runbook_lib.procedures.driver_steps import in_words
from runbook_lib.procedures.restore_facts import ASIDE, NOTEBOOK, PROVE, observe_exchange, on_restored
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.run import Run

PROVISION, REMOVE, STOP = "provision-for-restore", "remove-hosts-of-former-volume", "stop-service-for-restore"
_SAID: Mapping[str, str] = {
    **dict.fromkeys(
        ("10_provision_target", "20_snapshot_volume", "30_cut_over_volume", "65_prepare_storage_driver",
         "66_change_storage_driver"), NOTEBOOK),
    "runbook roll-back takes the service back to compose": "the former volume is the way back",
    "runbook roll-back": "runbook restore FORMER_VOLUME_ID -f next-parameters.yaml",
}  # fmt: skip
_NEEDS: Mapping[str, str] = {
    "provision-target": PROVISION,
    "provision-storage-driver": PROVISION,
    "register-container-instance": "launch-host-for-restore",
    "launch-container-instance": "launch-host-for-restore",
    "complete-manifest-of-change": PROVE,
    "stop-service-for-change": STOP,
    "release-volume": ASIDE,
    "change-task-definition": "change-task-definition-for-restore",
    "hand-volume-over": "hand-restored-volume-over",
    "verify-before-change": "verify-before-restored-start",
    "start-changed-service": "start-restored-service",
    "start-target-service": "start-restored-service",
}
"""Step of another notebook → the one that does the same here."""


def for_restore(step: Step, step_id: str, **changes: Any) -> Step:
    """Return a step as a restore performs it, on the restored volume.

    Args:
        step: A step of the migration or of a change of driver.
        step_id: Its id here.
        **changes: Other fields of `Step` that differ.

    Returns:
        The step; its facts have `exchange` (as `observe_exchange`) beside its own. Before there is a restored volume,
        which is so in a plan, it looks at the one in service and is never done.
    """
    changed = replace(step, **changes)

    def observe(run: Run) -> dict[str, Any]:
        exchange = observe_exchange(run)
        return {**changed.observe(on_restored(run, exchange)), "exchange": exchange}

    return replace(
        changed,
        step_id=step_id,
        notebook=NOTEBOOK,
        observe=observe,
        act=_on_restored(changed.act),
        is_done=lambda facts: bool(facts["exchange"]["restored_id"]) and changed.is_done(facts),
        check=lambda facts: in_words(changed.check(facts), _SAID, _NEEDS),
        verify=lambda before, after: in_words(changed.verify(before, after), _SAID, _NEEDS),
        roll_back=None,
    )


def _on_restored(act: Callable[[Run, Facts], None] | None) -> Callable[[Run, Facts], None] | None:
    """Return an act that is done on the restored volume."""
    if act is None or act is only_wait:
        return act
    return lambda run, before: act(on_restored(run, before["exchange"]), before)

"""Steps of the migration that a change of the storage driver performs too: the same acts, other words around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.storage_drivers import is_settled, observe_drivers
from runbook_lib.procedures.together import together
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_NEEDS = {
    "provision-target": "provision-storage-driver",
    "register-container-instance": "launch-container-instance",
    "stop-source-service": "complete-manifest-of-change",
    "detach-volume": "release-volume",
    "name-volume": "hand-volume-over",
    "verify-before-start": "verify-before-change",
    "start-target-service": "start-changed-service",
    "create-hot-snapshot": "create-snapshot-before-change",
}
"""Step of the migration → the one that does the same in a change of the storage driver."""
_SAID = {"30_cut_over_volume": "66_change_storage_driver", "20_snapshot_volume": "65_prepare_storage_driver",
         "10_provision_target": "65_prepare_storage_driver"}  # fmt: skip


def for_change(step: Step, step_id: str, notebook: str, **changes: Any) -> Step:
    """Return a step of the migration as a change of the storage driver performs it.

    Args:
        step: The step.
        step_id: Its id in this notebook.
        notebook: The notebook.
        **changes: Other fields of `Step` that differ; `is_done` is asked beside whether nothing is to be changed.

    Returns:
        The step; its facts have `drivers` (as `observe_drivers`) beside its own.
    """
    changed = replace(step, **changes)

    def observe(run: Run) -> dict[str, Any]:
        seen = together(own=lambda: changed.observe(run), drivers=lambda: observe_drivers(run))
        return {**seen["own"], "drivers": seen["drivers"]}

    return replace(
        changed,
        step_id=step_id,
        notebook=notebook,
        observe=observe,
        is_done=lambda facts: is_settled(facts["drivers"]) or changed.is_done(facts),
        check=lambda facts: in_words_of_change(changed.check(facts)),
        verify=lambda before, after: in_words_of_change(changed.verify(before, after)),
    )


def in_words_of_change(found: Sequence[Check]) -> Sequence[Check]:
    """Return checks that name the notebooks and steps of a change of the storage driver.

    Args:
        found: Checks of the migration.

    Returns:
        The same, other words in `fix` and `needs`.
    """
    return in_words(found, _SAID, _NEEDS)


def in_words(found: Sequence[Check], said: Mapping[str, str], needs: Mapping[str, str]) -> Sequence[Check]:
    """Return checks in the words of another notebook.

    Args:
        found: The checks.
        said: Texts in `fix` → those of that notebook.
        needs: Ids of steps → those of that notebook.

    Returns:
        The same, other words in `fix` and `needs`.
    """
    return tuple(replace(one, fix=_said(one.fix, said), needs=needs.get(one.needs, one.needs)) for one in found)


def _said(text: str, names: Mapping[str, str]) -> str:
    for former, name in names.items():
        text = text.replace(former, name)
    return text


def in_other_notebook(step: Step, notebook: str, ids: Mapping[str, str], **changes: Any) -> Step:
    """Return a step of 20, 65 or 66 as another notebook performs it, with the same act.

    Args:
        step: The step.
        notebook: The other notebook.
        ids: Ids of the steps there → ids in that notebook.
        **changes: Other fields of `Step` that differ.

    Returns:
        The step; its checks name that notebook and its steps.
    """
    said = dict.fromkeys(("20_snapshot_volume", "65_prepare_storage_driver", "66_change_storage_driver"), notebook)
    changed = replace(step, **changes)
    return replace(
        changed,
        step_id=ids.get(step.step_id, step.step_id),
        notebook=notebook,
        check=lambda facts: in_words(changed.check(facts), said, ids),
        verify=lambda before, after: in_words(changed.verify(before, after), said, ids),
    )


def once_changed(is_done: Callable[[Facts], bool]) -> Callable[[Facts], bool]:
    """Return a predicate that holds only when the service uses the wanted revision.

    Args:
        is_done: The predicate of a step of the migration, which knows one driver only.

    Returns:
        The stricter one.
    """
    return lambda facts: bool(facts["drivers"]["changed"]) and is_done(facts)

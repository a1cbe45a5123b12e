"""An open run as seen with another data volume than the parameters name: the same journal, keys and lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from runbook_lib.run import Run


class _OtherVolume:
    """A run whose parameters name another volume; everything else is the run's own.

    Args:
        run: The open run.
        volume_id: The other volume.
    """

    def __init__(self, run: Run, volume_id: str) -> None:
        self._run = run
        volume = run.parameters.volume.model_copy(update={"volume_id": volume_id})
        self.parameters = run.parameters.model_copy(update={"volume": volume})

    def __getattr__(self, name: str) -> Any:
        """Return what the run has."""
        return getattr(self._run, name)


def on_volume(run: Run, volume_id: str) -> Run:
    """Return the run as the steps of the migration need it to act on another volume.

    Args:
        run: The open run.
        volume_id: The volume that shall be the service's.

    Returns:
        The run itself when it is its own volume, else a view of it: what is noted, waited for and asked is the run's.
    """
    return run if volume_id == run.parameters.volume.volume_id else cast("Run", _OtherVolume(run, volume_id))

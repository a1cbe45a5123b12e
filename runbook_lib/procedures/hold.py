"""Cutover, before anything stops: hold until a person says that the outage may begin.

The slow part is done by then. The hold reads and waits; it changes nothing, and nothing is down meanwhile. It ends when
the release is in the journal (`runbook cut-over`), or a file named `cut-over` appears in the run folder; it never asks
a terminal, so it works without one. What had been checked before it is checked again after it, because hours may lie
between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import CheckError
from runbook_lib.model import Check, Event, Facts
from runbook_lib.procedures.observations import observe_volume
from runbook_lib.procedures.outage import open_outage_utc
from runbook_lib.procedures.prepare_source import CHECK_READINESS
from runbook_lib.procedures.rehearsal_forecast import with_rehearsal
from runbook_lib.steps import Step, perform

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"
STEP_ID = "hold-cutover"
FLAG = "cut-over"
_LOOK_S = 0.5
_ROLL_BACK = "90_roll_back"


def release_of(run: Run) -> Event | None:
    """Return the release of this cutover; one from before it was asked for again, or rolled back, does not count.

    Args:
        run: The open run.

    Returns:
        The `hold` event with phase `released`, or None.
    """
    requested, released = run.journal.last("hold", phase="requested"), run.journal.last("hold", phase="released")
    returned = run.journal.last("step", notebook=_ROLL_BACK)  # planned only, too: to hold once more is harmless
    since = max((event.seq for event in (requested, returned) if event is not None), default=0)
    return released if released is not None and released.seq > since else None


def _observe_hold(run: Run) -> dict[str, Any]:
    """Return whether the cutover is to hold, was released, or is past the point where holding makes sense."""
    wanted = run.parameters.policy.hold_before_cutover or run.journal.last("hold", phase="requested") is not None
    release = release_of(run)
    return {
        "wanted": wanted,
        "release": release.fields | {"at_utc": release.at_utc} if release else None,
        "limit_s": run.parameters.policy.hold_limit_s,
        # never hold a service that is down
        "begun": bool(open_outage_utc(run)) or not observe_volume(run)["on_source"],
    }


def _need_not_hold(facts: Facts) -> bool:
    return facts["begun"] or (facts["wanted"] and facts["release"] is not None)


def _plan_hold(facts: Facts) -> str:
    if not facts["wanted"]:
        return "Nobody asked for a hold: go on at once."
    return f"Hold until `runbook cut-over`, at most {facts['limit_s']} s. The service runs meanwhile."


def _hold(run: Run, before: Facts) -> None:
    """Wait for the release, then check readiness again.

    Changes:
        Nothing but the journal, and the flag file, which is taken away when it was used.
    """
    if not before["wanted"]:
        return
    ignored = (run.journal.folder / FLAG).exists()
    run.journal.remove(FLAG)
    since = run.clock.now_utc().isoformat(timespec="seconds")
    run.journal.append(
        "wait",
        step_id=STEP_ID,
        reason=f"`runbook cut-over {run.run_id}`, or a file {FLAG!r} in the run folder; the service runs on",
        timeout_s=before["limit_s"],
        since_utc=since,
        removed_flag_from_before=ignored,
    )
    deadline = run.clock.monotonic() + before["limit_s"]
    looked_at_bytes = -1
    while True:
        size_bytes = run.journal.path.stat().st_size
        if (run.journal.folder / FLAG).exists():
            _use_flag(run)
        elif size_bytes != looked_at_bytes and release_of(run) is not None:
            break
        looked_at_bytes = size_bytes
        if run.clock.monotonic() >= deadline:
            text = (
                f"not released within {before['limit_s']} s (policy.hold_limit_s), since {since}. The service was not "
                f"stopped and runs on. Run `runbook resume {run.run_id}` to hold again"
            )
            raise CheckError(STEP_ID, text)
        run.clock.sleep(_LOOK_S)
    perform(with_rehearsal(CHECK_READINESS), run)


def _use_flag(run: Run) -> None:
    """Turn the flag file into a release, once."""
    run.journal.append("hold", phase="released", operator="whoever made the file", how=f"file {FLAG}", reason="")
    run.journal.remove(FLAG)


def _verify_released(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "cutover-released",
            passed=not after["wanted"] or after["release"] is not None,
            expected="a release of this cutover, when a hold was asked for",
            observed="released" if after["release"] else "none",
            fix="run again",
        ),
    )


HOLD_CUTOVER = Step(
    STEP_ID,
    NOTEBOOK,
    "Hold until the cutover is released",
    _observe_hold,
    _plan_hold,
    _hold,
    is_done=_need_not_hold,
    verify=_verify_released,
    timeout_s=30,
)

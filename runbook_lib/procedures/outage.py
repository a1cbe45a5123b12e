"""The outage as users see it: noted in the journal when it begins and when it ends. Changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook_lib.run import Run


def note_outage_start(run: Run, urls: Callable[[], list[str]]) -> None:
    """Begin to watch the service from outside, and note that an outage begins, unless one is open already.

    Args:
        run: The open run.
        urls: Returns the addresses at which the service may answer.

    Changes:
        An `outage` event.
    """
    run.outage_probe(urls).start()
    if open_outage_utc(run) == "":
        run.journal.append("outage", phase="started")


def open_outage_utc(run: Run) -> str:
    """Return when the outage began that has not ended yet.

    Args:
        run: The open run.

    Returns:
        RFC 3339 time, or "" when the service is up as far as this run knows.
    """
    last = run.journal.last("outage")
    return last.at_utc if last is not None and last.fields["phase"] == "started" else ""


def observe_outage(run: Run, urls: Callable[[], list[str]], *, up: bool, beside: bool = False) -> dict[str, Any]:
    """Look at the service from outside; note in the journal when it answered again.

    Args:
        run: The open run.
        urls: Returns the addresses at which the service may answer.
        up: Whether the service runs where it should; an answer counts only then.
        beside: Whether another task ran before the former one stopped: when every look was answered, there was none.

    Returns:
        Keys `answers` and `outage_s` (None while it lasts, or when there was none).

    Changes:
        An `outage` event, once, when the service answered again.
    """
    started = open_outage_utc(run)
    if not started:
        last = run.journal.last("outage")
        return {"answers": last is not None, "outage_s": last.fields["outage_s"] if last else None}
    probe = run.outage_probe(urls)
    probe.start(last_success=run.clock.parse(started))
    facts = probe.facts()
    if up and facts["failures"] == 0 and any(run.reaches(url) for url in urls()):
        if beside and facts["last_success_utc"]:
            seen = run.clock.now_utc().isoformat()
            run.journal.append("outage", phase="ended", **facts | {"first_success_utc": seen, "outage_s": 0.0})
            return {"answers": True, "outage_s": 0.0}
        probe.answered_unseen(run.clock.parse(started))  # else a service that runs would count as down for ever
        facts = probe.facts()
    if up and facts["outage_s"] is not None:
        run.journal.append("outage", phase="ended", **facts)
    return {"answers": facts["outage_s"] is not None, "outage_s": facts["outage_s"]}

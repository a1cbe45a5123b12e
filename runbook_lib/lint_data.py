"""Rules about the data: it could be had back before it changed hands, and it was proved whole afterwards; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbook_lib.lint_events import HAND_OVERS, acts, hand_overs, last_change, where
from runbook_lib.lint_finding import Finding
from runbook_lib.model import Event, RunStatus
from runbook_lib.report_notebooks import VERIFY
from runbook_lib.report_status import derive_status

_POINTS = ("create-rollback-point", "copy-volume-before-change")
_CONTROL = "negative-control"


def no_way_back(events: Sequence[Event]) -> Iterator[Finding]:
    """Find each time the volume changed hands without a rollback point of this very stop.

    Args:
        events: The journal, oldest first.

    Yields:
        Findings. A rollback point that a step found there already, from another run, counts.
    """
    for act in hand_overs(events):
        stops = acts(events, (HAND_OVERS[act.fields["step_id"]],))
        since = max((stop.seq for stop in stops if stop.seq < act.seq), default=0)
        if not any(_is_rollback_point(event) for event in events if since < event.seq < act.seq):
            older = [e for e in events if e.kind == "rollback-point" and e.seq < act.seq]
            also = f"; the one of line {older[-1].seq} was taken while the service could still write" if older else ""
            yield Finding(
                rule="way-back",
                what="no way back to the data as it was: no rollback point was taken after the service stopped and "
                f"before the volume changed hands{also}",
                where=where(act),
                fix="Take a snapshot of the volume now, and note its id in the ticket; do not run 50_retire_source "
                "with this run. A cutover in a new run takes a rollback point of its own.",
            )


def _is_rollback_point(event: Event) -> bool:
    fields = event.fields
    if event.kind == "rollback-point":
        return fields.get("point") == "rollback" and bool(fields.get("id"))
    return event.kind == "step" and fields.get("step_id") in _POINTS and fields.get("status") == "skipped"


def no_negative_control(events: Sequence[Event], run_id: str) -> Iterator[Finding]:
    """Find that nobody showed that the comparison of the data can fail, once the service runs on the target.

    Args:
        events: The journal, oldest first.
        run_id: The run.

    Yields:
        At most one finding. A run that went back has no control: it is made on the target.
    """
    changed = last_change(events)
    if changed is None or not hand_overs(events) or derive_status(events) is RunStatus.ROLLED_BACK:
        return
    controls = [event for event in events if event.kind == "comparison" and event.fields.get("phase") == _CONTROL]
    if not controls:
        yield _control("no negative control: nobody showed that the comparison of the data can fail", changed, run_id)
    elif controls[-1].fields.get("identical"):
        what = "the negative control passed on an empty directory: the comparison cannot fail, so it proves nothing"
        yield _control(what, controls[-1], run_id)
    elif controls[-1].seq < changed.seq:
        what = f"the negative control is older than the change of line {changed.seq}"
        yield _control(what, controls[-1], run_id)


def _control(what: str, event: Event, run_id: str) -> Finding:
    return Finding("negative-control", what, where(event), _verify(run_id))


def old_evidence(events: Sequence[Event], run_id: str) -> Iterator[Finding]:
    """Find evidence that is older than what it is meant to prove.

    Args:
        events: The journal, oldest first.
        run_id: The run.

    Yields:
        A comparison that is older than the last act that interrupted the service, or none at all; a manifest
        `before` that was taken before the service stopped.
    """
    changed, handed = last_change(events), hand_overs(events)
    if changed is None or not handed:
        return
    proofs = [event for event in events if event.kind == "comparison" and event.fields.get("phase") != _CONTROL]
    if not proofs or proofs[-1].seq < changed.seq:
        shown = (
            f"the newest comparison, of line {proofs[-1].seq}, is older than"
            if proofs
            else "nothing was compared after"
        )
        what = f"evidence older than the change: {shown} `{changed.fields['step_id']}`, which interrupted the service"
        yield Finding("evidence", what, where(changed), _verify(run_id))
    yield from _old_manifest(events, handed[-1])


def _old_manifest(events: Sequence[Event], act: Event) -> Iterator[Finding]:
    """Find that what everything is compared with was read while the service could still write."""
    stops = [stop for stop in acts(events, (HAND_OVERS[act.fields["step_id"]],)) if stop.seq < act.seq]
    manifests = [e for e in events if e.kind == "manifest" and e.fields.get("phase") == "before"]
    if stops and (not manifests or manifests[-1].seq < stops[-1].seq):
        what = "was taken before the service stopped" if manifests else "is missing"
        yield Finding(
            rule="evidence",
            what=f"evidence older than the change: the manifest `before`, which all is compared with, {what}",
            where=where(manifests[-1] if manifests else stops[-1]),
            fix="Compare with the rollback point instead (mount a copy of it beside), or roll back and cut over again.",
        )


def _verify(run_id: str) -> str:
    return (
        f"Prove the data on the target: `runbook run {VERIFY} --run-id {run_id} --execute`; after a way back "
        f"`runbook roll-back {run_id} --execute`, which compares once more."
    )

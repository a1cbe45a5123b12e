"""What to do next, as a report says it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.model import RunStatus
from runbook_lib.report_notebooks import (
    ADOPT,
    BACK_UP,
    CHANGE,
    CUT_OVER,
    DEPLOY,
    LOOK,
    PATCH,
    PREPARE,
    RESIZE,
    RESTORE,
    RETIRE,
    ROLL_BACK,
    VERIFY,
)

Report = Mapping[str, Any]

_BACK = "Or take the service back to the source, on the same volume, losing nothing."
_BAKE = "Let it run for the bake time of your policy, then retire the source: there is no way back after that."
_CHANGE = "Everything slow is done; change the driver when a short outage may begin."
_PROVE = "Prove the data whole, with a restarted task and another instance."
_REVIEW = "Something was done without the approval that the policy wants: somebody else reviews it."
_FORMER_AGAIN = {
    PATCH: "Or go back to the former machine image: the same notebook, with its id in target.ami_id.",
    DEPLOY: "Or go back to the former image: the same notebook, with its digest in target.image.",
    RESIZE: "Or go back to the former instance type, volume type, IOPS and throughput: the same notebook, with these. "
    "From a size of the volume there is no way back: EBS makes none smaller.",
}
_MEND = "Mend what each finding says; then look again."
_MEND_AND_GO_ON = "Mend what the message names; then go on. Steps that are done are skipped."
_LOOK_FIRST = "Go on: each step looks first, so what the interrupted one did is found, and what is done is skipped."
_EXCHANGED = (
    "Or bring the volume back that served before; what was written since the restore is then lost to the service."
)
_GIVEN_UP = "Decide whether these writes may be lost; if so, say it."
_EXCHANGE = "create-restored-volume"
_NEXT = "From now on use the parameters file that this run wrote: it names the volume that serves."
_FORMER = "Or go back to the former driver: the same notebooks, with the parameters that name it."


def next_steps(report: Report) -> list[tuple[str, str]]:
    """Return what to do next.

    Args:
        report: As `build_report`.

    Returns:
        Pairs of a sentence and a command.
    """
    if {step["notebook"] for step in report["steps"]} == {LOOK}:
        return _after_look(report["run_id"], RunStatus(report["status"]))
    if wanted := _acceptance(report):
        return wanted
    review = (_REVIEW, f"runbook review {report['run_id']} --reason WHAT-WAS-FOUND")
    return _begun([*([review] if report.get("open_reviews") else []), *_by_status(report)])


def _begun(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the steps so that the first is no alternative to nothing."""
    if not steps or not steps[0][0].startswith("Or "):
        return steps
    text, command = steps[0]
    return [(f"Nothing has to be done. If it must: {text.removeprefix('Or ')}", command), *steps[1:]]


def _by_status(report: Report) -> list[tuple[str, str]]:
    run_id, status = report["run_id"], RunStatus(report["status"])
    in_run = f"--run-id {run_id}"
    idle = {"skipped", "failed"} if (report["failure"] or {}).get("changed") == "no" else {"skipped"}
    acted = {step["notebook"] for step in report["steps"] if step["executed"] and step["status"] not in idle}
    way_back = _way_back(report, acted)
    if status is RunStatus.PLANNED:
        return [("Read the plan of each step; then carry it out.", f"runbook resume {run_id} --execute")]
    if status is RunStatus.ROLLED_BACK:
        again = f"runbook run all -f runs/{run_id}/parameters.yaml"
        return [("Find out why and mend it; then begin again with a new run, planned first.", again)]
    if report["hold"]:
        back = ("Or give it up: end the attempt, and take whatever began back.", f"runbook panic {run_id} --yes")
        return [("When the outage may begin, release it.", f"runbook cut-over {run_id}"), back]
    if status is RunStatus.WAITING:
        return [*_approval(report), ("Then go on.", f"runbook resume {run_id}"), *way_back]
    if status is RunStatus.SUCCEEDED:
        look = (_NEXT, f"runbook run {LOOK} -f runs/{run_id}/next-parameters.yaml --execute")
        return [look, *way_back] if RESTORE in acted else _after_success(run_id, in_run, acted, way_back)
    text = _LOOK_FIRST if status is RunStatus.INTERRUPTED and not report["failure"] else _MEND_AND_GO_ON
    return [(text, f"runbook resume {run_id}"), *way_back]


def _way_back(report: Report, acted: set[str]) -> list[tuple[str, str]]:
    """Return how what was done is taken back: of the last kind of change that the run made."""
    run_id = report["run_id"]
    if any(step.get("id") == _EXCHANGE and step["status"] == "succeeded" for step in report["steps"]):
        volume_id = (report.get("volume") or {}).get("volume_id", "VOLUME_ID")
        return [(_EXCHANGED, f"runbook restore {volume_id} -f runs/{run_id}/next-parameters.yaml")]
    if {PREPARE, CHANGE} & acted:
        return [(_FORMER, f"runbook run {PREPARE} {CHANGE} -f FORMER.yaml --execute")]
    for notebook, text in _FORMER_AGAIN.items():
        if notebook in acted:
            return [(text, f"runbook run {notebook} -f FORMER.yaml --execute")]
    began = any(CUT_OVER <= name < PATCH or name >= ROLL_BACK for name in acted)
    return [(_BACK, f"runbook roll-back {run_id} --execute")] if began and RETIRE not in acted else []


def _acceptance(report: Report) -> list[tuple[str, str]]:
    """Return how a restore is carried out whose loss nobody has accepted; nothing where that is not the question."""
    found = next((step for step in report["steps"] if step.get("id") == "check-restore"), None)
    if found is None or "loss" not in (before := found["before"] or {}):
        return []
    loss, source = before["loss"], before["source"]
    if loss["accepted"] or not source["id"]:
        return []
    accepted = f" --accept-loss-of-writes-since {loss['typed']}" if loss["typed"] else ""
    file = f"runs/{report['run_id']}/parameters.yaml"
    return [(_GIVEN_UP, f"runbook restore {source['id']} -f {file} --execute --reason WHY{accepted}")]


def _after_look(run_id: str, status: RunStatus) -> list[tuple[str, str]]:
    """Return what to do after a look for drift, which changed nothing and has no way back."""
    if status in {RunStatus.PLANNED, RunStatus.SUCCEEDED}:
        return [("Nothing has drifted, and nothing was changed.", f"runbook verify runs/{run_id}")]
    return [(_MEND, f"runbook run {LOOK} -f runs/{run_id}/parameters.yaml --execute")]


def _approval(report: Report) -> list[tuple[str, str]]:
    """Return how what is asked for gets its approval; nothing when it has."""
    request = report["approval_request"]
    if not request or not request["missing"]:
        return []
    who = "Somebody" if request["requester_may_approve"] else f"Somebody other than {request['requester']['arn']}"
    text = f"{who} looks at {request['page']}, and says yes."
    return [(text, f"runbook approve {report['run_id']} --digest {request['digest'][:12]} --reason WHY")]


def _after_success(run_id: str, in_run: str, acted: set[str], way_back: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if RETIRE in acted or (acted and acted <= {BACK_UP, LOOK}):
        return [
            ("Nothing is left to do. Keep this folder; it can be checked at any time.", f"runbook verify runs/{run_id}")
        ]
    if not acted:
        return [("It is so already; nothing was changed.", f"runbook verify runs/{run_id}")]
    if {CHANGE, PATCH, DEPLOY, RESIZE} & acted:
        proved = VERIFY in acted or CHANGE not in acted  # the others prove the data themselves
        return way_back if proved else [(_PROVE, f"runbook run {VERIFY} {in_run} --execute"), *way_back]
    if PREPARE in acted:
        return [(_CHANGE, f"runbook run {CHANGE} {in_run} --execute"), *way_back]
    if ADOPT in acted:
        return [(_BAKE, f"runbook run {RETIRE} {in_run} --execute"), *way_back]
    return [("Go on in the same run; what is done is skipped.", f"runbook run all {in_run} --execute"), *way_back]

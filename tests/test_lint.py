"""Lint: each thing that a change record must hold, missing from a copy of a sealed sample run."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook_lib.cli import main
from runbook_lib.errors import JournalError
from runbook_lib.journal import FIRST_PREVIOUS, encode_event, read_events
from runbook_lib.lint import lint
from runbook_lib.lint_approvals import Policy, read_policy
from runbook_lib.report import write_report
from tests.sample_run import RUN_ID, Story, migrated

CUT_OVER = "30_cut_over_volume"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Path:
    """Return the folder of a migration that worked, sealed."""
    story = migrated(tmp_path_factory.mktemp("sealed"))
    write_report(story.journal)
    return story.journal.folder


@pytest.fixture
def record(sealed, tmp_path) -> Path:
    """Return a copy of it that a test may spoil."""
    return shutil.copytree(sealed, tmp_path / RUN_ID)


def rewrite(record: Path, change) -> None:
    """Write a journal anew from events that were changed, with numbers and digests that fit."""
    lines, previous = [], FIRST_PREVIOUS
    for number, event in enumerate(change(read_events(record / "journal.jsonl")), start=1):
        lines.append(encode_event(replace(event, seq=number, previous_sha256=previous)))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    (record / "journal.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def without(kind, **match):
    """Return a change that leaves events of one kind out."""
    return lambda events: [e for e in events if not is_one(e, kind, **match)]


def is_one(event, kind, **match) -> bool:
    """Return whether an event is of a kind and has these fields."""
    return event.kind == kind and all(event.fields.get(key) == value for key, value in match.items())


def moved(kind, *, before, **match):
    """Return a change that puts events of one kind before the first act of a step."""

    def change(events):
        moving = [e for e in events if is_one(e, kind, **match)]
        rest = [e for e in events if e not in moving]
        at = next(index for index, e in enumerate(rest) if is_one(e, "step", step_id=before, status="running"))
        return [*rest[:at], *moving, *rest[at:]]

    return change


def with_fields(kind, fields, **match):
    """Return a change of the fields of events of one kind."""
    return lambda events: [replace(e, fields=e.fields | fields) if is_one(e, kind, **match) else e for e in events]


def with_policy(record: Path, approvals: str) -> None:
    """Let the parameters of a record want approvals."""
    text = f"migration:\n  name: guestbook\n  policy:\n    approvals: {approvals}\n"
    (record / "parameters.yaml").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    rewrite(record, with_fields("run-opened", {"parameters_sha256": digest}))


def noted(before: str, *notes):
    """Return a change that notes events before the first act of a step; a note may need its own number."""

    def change(events):
        at = next(index for index, e in enumerate(events) if is_one(e, "step", step_id=before, status="running"))
        new = [replace(events[at], kind=kind, fields=dict(fields)) for kind, fields in notes]
        return [*events[:at], *new, *events[at:]]

    return change


def seq_of(record: Path, step_id: str) -> int:
    """Return the number of the first act of a step."""
    events = read_events(record / "journal.jsonl")
    return next(e.seq for e in events if is_one(e, "step", step_id=step_id, status="running"))


def rules(record: Path) -> list[str]:
    """Return the rules that find something."""
    return [finding.rule for finding in lint(record)]


def test_a_whole_record_lacks_nothing(sealed):
    """A migration that was told from end to end passes, and linting it writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in sealed.rglob("*")}
    assert lint(sealed) == []
    assert {path: path.stat().st_mtime_ns for path in sealed.rglob("*")} == before


@pytest.mark.parametrize("reason", ["", "  "])
def test_no_reason(record, reason):
    """A run that nobody gave a reason for is found, with the line that opened it and the command that mends it."""
    rewrite(record, with_fields("run-opened", {"reason": reason}))
    (found,) = lint(record)
    assert (found.rule, found.where) == ("reason", "journal.jsonl line 1 (run-opened)")
    assert f"runbook resume {RUN_ID} --reason" in found.fix


def test_a_reason_for_planning_is_none_for_acting(record):
    """A reason that was given when the run was only planned does not count for what it executed."""
    rewrite(record, with_fields("run-opened", {"reason": ""}))
    rewrite(
        record,
        lambda events: [
            replace(events[0], fields=events[0].fields | {"execute": False, "reason": "CHG-1"}),
            *events[1:],
        ],
    )
    assert rules(record) == ["reason"]


def test_no_rollback_point(record):
    """A volume that was handed over without a rollback point is found where it was detached."""
    rewrite(record, without("rollback-point"))
    (found,) = lint(record)
    assert (found.rule, found.where) == (
        "way-back",
        f"journal.jsonl line {seq_of(record, 'detach-volume')} (step detach-volume)",
    )
    assert "50_retire_source" in found.fix


@pytest.mark.parametrize(
    "change",
    [
        without("rollback-point", point="rollback"),
        moved("rollback-point", before="stop-source-service", point="rollback"),
        moved("rollback-point", before="start-target-service", point="rollback"),
        with_fields("rollback-point", {"id": ""}, point="rollback"),
    ],
    ids=["only the hot one", "before the stop", "after the detach", "without an id"],
)
def test_no_rollback_point_of_this_stop(record, change):
    """What was taken while the service could write, or after the volume left, is no way back."""
    rewrite(record, change)
    assert rules(record) == ["way-back"]


def test_a_rollback_point_that_was_there_already(record):
    """A run that found the rollback point of an earlier one has a way back."""

    def change(events):
        kept = [e for e in events if not is_one(e, "rollback-point")]
        kept = [e for e in kept if not is_one(e, "step", step_id="create-rollback-point", status="running")]
        return with_fields("step", {"status": "skipped"}, step_id="create-rollback-point")(kept)

    rewrite(record, change)
    assert rules(record) == []


def test_no_negative_control(record):
    """Without the comparison that must fail, nobody knows that the others could."""
    rewrite(record, without("comparison", phase="negative-control"))
    (found,) = lint(record)
    assert (found.rule, "nobody showed" in found.what) == ("negative-control", True)
    assert f"runbook run 40_verify_persistence --run-id {RUN_ID} --execute" in found.fix


def test_a_negative_control_that_passes(record):
    """A control that found nothing missing on an empty directory shows that the comparison cannot fail."""
    rewrite(record, with_fields("comparison", {"identical": True}, phase="negative-control"))
    (found,) = lint(record)
    assert (found.rule, "cannot fail" in found.what) == ("negative-control", True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (moved("comparison", before="start-target-service", phase="negative-control"), ["negative-control"]),
        (without("comparison"), ["negative-control", "evidence"]),
        (without("comparison", phase="after-replace"), ["evidence"]),
        (without("manifest", phase="before"), ["evidence"]),
        (moved("manifest", before="stop-source-service", phase="before"), ["evidence"]),
    ],
    ids=["control", "nothing compared", "not after the last change", "no manifest", "manifest before the stop"],
)
def test_evidence_older_than_the_change(record, change, expected):
    """Evidence that the change came after proves nothing about it."""
    rewrite(record, change)
    assert rules(record) == expected


def test_old_evidence_says_what_is_older_than_what(record):
    """The finding names the comparison's line and the act that came after it."""
    rewrite(record, without("comparison", phase="after-replace"))
    (found,) = lint(record)
    assert "is older than `replace-instance`" in found.what
    assert found.where.endswith("(step replace-instance)")


def test_cut_over_and_not_verified(tmp_path):
    """A cutover that nobody verified yet lacks its proof and its control."""
    story = Story(tmp_path)
    story.prepare()
    story.cut_over()
    assert rules(story.journal.folder) == ["negative-control", "evidence"]


def test_rolled_back(tmp_path):
    """A run that went back needs no negative control; its data was compared on the source."""
    story = Story(tmp_path)
    story.prepare()
    story.cut_over()
    story.roll_back()
    assert rules(story.journal.folder) == []


def test_planned(tmp_path):
    """A record that only planned needs a reason, and nothing else."""
    story = Story(tmp_path, execute=False)
    story.prepare()
    story.cut_over()
    assert rules(story.journal.folder) == []
    rewrite(story.journal.folder, with_fields("run-opened", {"reason": ""}))
    assert [finding.what for finding in lint(story.journal.folder)] == [
        "no reason: the run was planned, and nobody said why"
    ]


APPROVAL = {"notebook": CUT_OVER, "approver": "arn:aws:iam::012345678901:user/amy", "reason": "looked at it"}


def test_approvals_that_the_policy_wants(record):
    """Each notebook that the policy names and that acted without approvals is found."""
    with_policy(record, "{required: 2, notebooks: [30_cut_over_volume, 50_retire_source]}")
    (found,) = lint(record)
    assert (found.rule, found.where) == (
        "approval",
        f"journal.jsonl line {seq_of(record, 'check-readiness')} (step check-readiness)",
    )
    assert "30_cut_over_volume acted with 0 of the 2 approvals" in found.what


@pytest.mark.parametrize(
    ("approvers", "before", "expected"),
    [
        (("amy", "ben"), "check-readiness", []),
        (("amy", "amy"), "check-readiness", ["approval"]),
        (("amy",), "check-readiness", ["approval"]),
        (("amy", "ben"), "start-target-service", ["approval"]),
    ],
    ids=["two people", "one person twice", "one person", "after the first act"],
)
def test_approvals_that_were_given(record, approvers, before, expected):
    """Two approvals are those of two people, before the first act."""
    with_policy(record, "{required: 2, notebooks: [30_cut_over_volume]}")
    at = seq_of(record, before)
    given = [("approval", APPROVAL | {"approver": name}) for name in approvers]
    used = ("approval-used", {"notebook": CUT_OVER, "approvals": [at + index for index in range(len(given))]})
    rewrite(record, noted(before, *given, used))
    assert rules(record) == expected


def test_what_only_looks_needs_no_approval(tmp_path):
    """A run that waits for its approval has looked, and what was refused has changed nothing."""
    story = Story(tmp_path)
    with_policy(story.journal.folder, "1")
    story.parameters_sha256 = hashlib.sha256(story.journal.read("parameters.yaml")).hexdigest()
    story.start("10_provision_target")
    story.step("map-container", status="running")
    names = {"step_id": "map-container", "notebook": "10_provision_target", "in_outage": False}
    story.journal.append("step", **names, status="succeeded", before={"image": "guestbook"}, after={})
    story.step("provision-target", status="running")
    error = {"kind": "CheckError", "message": "", "changed": "no", "exit_code": 3}
    story.step("provision-target", status="failed", error=error)
    assert rules(story.journal.folder) == []
    story.step("pull-image", status="running")
    assert rules(story.journal.folder) == ["approval"]


def test_approvals_that_were_not_used(record):
    """An approval that the run did not count, expired or of another digest, is none."""
    with_policy(record, "1")
    rewrite(record, noted("map-container", ("approval", APPROVAL | {"notebook": "10_provision_target"})))
    assert rules(record) == ["approval", "approval", "approval"]  # 10, 30 and 45 acted


def test_broken_glass(record):
    """Acts behind broken glass are no missing approval, and an open review until somebody closes it."""
    with_policy(record, "{required: 1, notebooks: [30_cut_over_volume]}")
    at = seq_of(record, "check-readiness")
    rewrite(record, noted("check-readiness", ("break-glass", {"phase": "used", "notebook": CUT_OVER})))
    (found,) = lint(record)
    assert (found.rule, f"runbook review {RUN_ID}" in found.fix) == ("review", True)
    rewrite(record, noted("verify-data", ("review", {"closes": [at]})))
    assert rules(record) == []


def test_doctored_parameters(record):
    """Parameters that the journal does not vouch for cannot lower what the policy wants."""
    with_policy(record, "1")
    (record / "parameters.yaml").write_text("migration: {name: guestbook}\n")
    (found,) = lint(record)
    assert (found.rule, found.where) == ("approval", "parameters.yaml")


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("migration: {policy: {approvals: 2}}", 2),
        ("migration: {policy: {approvals: {required: 1}}}", 1),
        ("migration: {policy: {}}", 0),
        ("migration: {name: x}", 0),
        ("", 0),
        ("- no mapping", 0),
    ],
)
def test_policies_of_every_release(text, required):
    """The policy is read from the parameters of this release and of older ones."""
    assert read_policy(text).required == required
    assert CUT_OVER in Policy().notebooks


def test_an_altered_journal_is_not_linted(record):
    """A journal whose chain does not hold is refused: what it says is not what was written."""
    path = record / "journal.jsonl"
    path.write_text(path.read_text().replace("CHG-1042", "CHG-9999"))
    with pytest.raises(JournalError, match="the journal was altered"):
        lint(record)


def test_no_run(tmp_path):
    """A folder without a journal is no run, and an emptied journal says nothing."""
    with pytest.raises(JournalError, match="no run in"):
        lint(tmp_path)
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(JournalError, match="is empty"):
        lint(tmp_path)


class TestCommand:
    """`runbook lint`."""

    def test_complete(self, sealed):
        """A whole record exits 0 and says so."""
        result = CliRunner().invoke(main, ["lint", str(sealed)])
        assert (result.exit_code, result.output) == (0, f"complete  {RUN_ID}: the record lacks nothing\n")

    def test_lacking(self, sealed, record):
        """A record that lacks something exits 3: what, where, what to do; also as JSON, also beside a whole one."""
        rewrite(record, without("rollback-point"))
        result = CliRunner().invoke(main, ["lint", str(sealed), str(record)])
        assert result.exit_code == 3
        assert "way-back  " in result.output
        assert "  where  journal.jsonl line " in result.output
        assert "  do     Take a snapshot of the volume now" in result.output
        found = json.loads(CliRunner().invoke(main, ["lint", "--json", RUN_ID, "-d", str(record.parent)]).output)
        assert [(one["run_id"], one["rule"]) for one in found] == [(RUN_ID, "way-back")]

    def test_hostile_values(self, record):
        """What somebody put into a record is shown as text."""
        rewrite(record, without("comparison", phase="after-replace"))
        rewrite(record, with_fields("step", {"step_id": "replace\x1b[2J\u202e"}, step_id="replace-instance"))
        rewrite(record, with_fields("step", {"in_outage": True}, step_id="replace\x1b[2J\u202e"))
        output = CliRunner().invoke(main, ["lint", str(record)]).output
        assert r"replace\x1b[2J\u202e" in output
        assert "\x1b[2J" not in output

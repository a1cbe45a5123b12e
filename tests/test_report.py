"""The report: what the journal says, derived, rendered and safe to open."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from runbook_lib import report_change
from runbook_lib.archive import verify
from runbook_lib.model import RunStatus
from runbook_lib.report import build_report, derive_status, render_html, render_markdown, write_report
from runbook_lib.report_next import next_steps
from runbook_lib.report_picture import outage_shares, timeline
from runbook_lib.report_words import grade, headline, seconds, size
from tests.sample_run import RUN_ID, Story, migrated

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}|`*\udc80"
REQUIRED = [
    "schema_version",
    "run_id",
    "name",
    "status",
    "started_utc",
    "finished_utc",
    "operator",
    "reason",
    "execute",
]
REQUIRED += ["evidence_grade", "outage_s", "outage_budget_s", "steps", "data", "volume", "terraform", "approvals"]
REQUIRED += ["rollback_point"]


def report_of(story: Story) -> dict:
    """Return the report of a story."""
    return build_report(story.journal.events(), story.journal.run_id)


def failed_cutover(directory) -> Story:
    """Return a run whose detach failed inside the outage."""
    story = Story(directory)
    story.prepare()
    story.cut_over(until="detach-volume")
    message = "DetachVolume failed: the volume is busy"
    story.fail("detach-volume", kind="ActionError", changed="maybe", exit_code=4, in_outage=True, message=message)
    return story


def planned(directory) -> Story:
    """Return a run that was only planned."""
    story = Story(directory, execute=False)
    story.prepare()
    story.cut_over()
    return story


class TestStatus:
    """What state a run is in."""

    def test_succeeded(self, tmp_path):
        """A migration whose notebooks all completed succeeded."""
        assert derive_status(migrated(tmp_path).journal.events()) is RunStatus.SUCCEEDED

    def test_planned(self, tmp_path):
        """A run that never executed is planned."""
        assert derive_status(planned(tmp_path).journal.events()) is RunStatus.PLANNED

    def test_dry_run_hides_nothing(self, tmp_path):
        """Planning again in a run that executed leaves its state as it was."""
        story = migrated(tmp_path)
        story.execute = False
        story.cut_over()
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED
        assert {step["status"] for step in report_of(story)["steps"]} == {"succeeded"}

    def test_failed_and_mended(self, tmp_path):
        """A failed step makes the run failed until the step succeeds in a later attempt."""
        story = failed_cutover(tmp_path)
        assert derive_status(story.journal.events()) is RunStatus.FAILED
        story.start("30_cut_over_volume", attempt=2)
        story.step("detach-volume", in_outage=True)
        story.finish()
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED
        detach = next(step for step in report_of(story)["steps"] if step["id"] == "detach-volume")
        assert (detach["status"], detach["attempts"]) == ("succeeded", 2)

    @pytest.mark.parametrize(("exit_code", "changed"), [(6, "no"), (4, "maybe")], ids=["waiting", "half-way"])
    def test_an_attempt_that_did_not_get_to_its_first_step_is_the_failure(self, tmp_path, exit_code, changed):
        """Who resumes is told what stopped that attempt; what the step may have changed before stays said."""
        story = failed_cutover(tmp_path)
        story.start("30_cut_over_volume", attempt=2)
        story.fail("detach-volume", kind="ApprovalError", changed=changed, exit_code=exit_code)
        story.start("30_cut_over_volume", attempt=3)
        held = "cell open-run: LeaseError: the volume is held by run OTHER"
        story.finish("failed", error={"kind": "CellFailedError", "message": held, "cell_id": "open-run"}, exit_code=3)
        report = report_of(story)
        failure = report["failure"]
        assert report["status"] == "failed"
        assert (failure["message"], failure["changed"], failure["exit_code"]) == (held, changed, 3)
        assert "held by run OTHER" in render_markdown(report)

    def test_failed_check_of_a_dry_run_and_its_repetition(self, tmp_path):
        """A check that fails while planning makes the run failed; planning it again without failure mends that."""
        story = Story(tmp_path, execute=False)
        story.start("00_inspect_source")
        story.fail("inspect-instance")
        assert derive_status(story.journal.events()) is RunStatus.FAILED
        story.start("00_inspect_source", attempt=2)
        story.step("inspect-instance")
        story.finish()
        assert derive_status(story.journal.events()) is RunStatus.PLANNED

    def test_rolled_back_until_the_next_cutover(self, tmp_path):
        """The way back mends failures; looking around keeps the state, cutting over again ends it."""
        story = failed_cutover(tmp_path)
        story.roll_back()
        assert derive_status(story.journal.events()) is RunStatus.ROLLED_BACK
        story.start("00_inspect_source", attempt=2)
        story.step("verify-identity")
        story.finish()
        assert derive_status(story.journal.events()) is RunStatus.ROLLED_BACK
        story.cut_over()
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED

    def test_way_back_that_fails(self, tmp_path):
        """A roll back that fails is a failure."""
        story = failed_cutover(tmp_path)
        story.start("90_roll_back")
        story.step("check-way-back")
        story.fail("stop-target-service")
        assert derive_status(story.journal.events()) is RunStatus.FAILED

    @pytest.mark.parametrize("ended", ["failed", "running"])
    def test_a_way_back_that_was_given_up(self, tmp_path, ended):
        """What a way back left half-way counts until a cutover completes after it, and no other notebook ends that."""
        story = failed_cutover(tmp_path)
        story.start("90_roll_back")
        story.step("stop-target-service")
        story.step("rename-volume", status=ended, error={"message": "refused", "changed": "maybe"})
        story.finish("failed" if ended == "failed" else "interrupted")
        bad = derive_status(story.journal.events())
        story.start("20_snapshot_volume", attempt=2)
        story.step("create-snapshot")
        story.finish()
        assert derive_status(story.journal.events()) is bad is not RunStatus.SUCCEEDED
        story.cut_over()
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED
        assert build_report(story.journal.events(), "run")["failure"] is None

    def test_interrupted_by_a_signal(self, tmp_path):
        """A notebook that a signal stopped makes the run interrupted, also when its step noted a failure."""
        story = Story(tmp_path)
        story.start("10_provision_target")
        error = {"kind": "KeyboardInterrupt", "message": "KeyboardInterrupt", "changed": "maybe", "exit_code": 4}
        story.step("provision-target", status="failed", error=error)
        story.finish("interrupted", error={"kind": "NotebookInterruptedError", "message": "SIGTERM"}, exit_code=4)
        assert derive_status(story.journal.events()) is RunStatus.INTERRUPTED

    def test_interrupted_when_no_end_is_recorded(self, tmp_path):
        """A notebook whose runner was killed makes the run interrupted; a resumed attempt mends it."""
        story = Story(tmp_path)
        story.start("00_inspect_source")
        story.step("verify-identity", status="running")
        assert derive_status(story.journal.events()) is RunStatus.INTERRUPTED
        story.start("00_inspect_source", attempt=2)
        story.step("verify-identity")
        story.finish()
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED

    def test_dead_kernel(self, tmp_path):
        """A notebook that failed outside any step makes the run failed."""
        story = Story(tmp_path)
        story.start("00_inspect_source")
        story.finish("failed", error={"kind": "KernelDiedError", "message": "the kernel died"}, exit_code=5)
        assert derive_status(story.journal.events()) is RunStatus.FAILED
        assert report_of(story)["failure"]["exit_code"] == 5

    def test_waiting(self, tmp_path):
        """A run whose last failure is a missing approval waits."""
        story = Story(tmp_path)
        story.start("30_cut_over_volume")
        story.fail("check-readiness", exit_code=6)
        assert derive_status(story.journal.events()) is RunStatus.WAITING

    def test_by_hand(self, tmp_path):
        """A session in JupyterLab has no notebook events: its steps and its closing cell are enough."""
        story = Story(tmp_path)
        story.step("verify-identity", notebook="00_inspect_source")
        assert derive_status(story.journal.events()) is RunStatus.INTERRUPTED
        story.journal.append("run-closed")
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED

    def test_inside_the_closing_cell(self, tmp_path):
        """The report that the last cell writes does not call its own notebook interrupted."""
        story = Story(tmp_path)
        story.start("00_inspect_source")
        story.step("verify-identity")
        story.journal.append("run-closed")
        assert derive_status(story.journal.events()) is RunStatus.SUCCEEDED

    def test_nothing_happened(self, tmp_path):
        """A run that was opened and never used is planned, or interrupted when it was to execute."""
        assert derive_status(Story(tmp_path / "dry", execute=False).journal.events()) is RunStatus.PLANNED
        assert derive_status(Story(tmp_path / "wet").journal.events()) is RunStatus.INTERRUPTED


class TestRecord:
    """The report as data."""

    def test_fields(self, tmp_path):
        """A migration's report has every promised field, filled from the journal."""
        report = report_of(migrated(tmp_path))
        assert set(REQUIRED) <= set(report)
        assert report["outage_s"] == 7.4
        assert report["outage_budget_s"] == 90
        assert report["data"]["identical"] is True
        assert (report["data"]["files"], report["data"]["bytes"]) == (231, 12_345_678)
        assert report["data"]["manifest_before"] == report["data"]["manifest_after"] != ""
        assert report["rollback_point"]["kind"] == "volume"
        assert report["terraform"]["add"] == 28
        assert report["terraform"]["imported"] == 1
        assert report["volume"]["filesystem_uuid"].startswith("5f0c1d8e")
        assert len(report["notebooks"]) == 6
        assert json.loads(json.dumps(report)) == report

    def test_steps_begin_when_they_began(self, tmp_path):
        """A step's beginning is the time of its last event less its duration, in UTC."""
        story = Story(tmp_path)
        story.start("00_inspect_source")
        begin = story.now
        story.step("verify-identity", took_s=2.5)
        step = report_of(story)["steps"][0]
        assert (step["started_utc"], step["duration_s"]) == (begin.isoformat(timespec="milliseconds"), 2.5)

    def test_same_journal_same_report(self, tmp_path):
        """Everything comes from the journal: the same events give the same bytes."""
        events = migrated(tmp_path).journal.events()
        first, second = (build_report(events, RUN_ID) for _ in range(2))
        assert (first, render_html(first)) == (second, render_html(second))

    def test_negative_control_is_no_verdict_on_the_data(self, tmp_path):
        """The comparison that must fail is reported apart; a real one that fails decides."""
        data = report_of(migrated(tmp_path / "a"))["data"]
        assert data["identical"] is True
        assert [item["phase"] for item in data["comparisons"]] == ["after", "after-restart", "after-replace"]
        assert data["negative_control"]["identical"] is False
        story = Story(tmp_path / "b")
        story.cut_over()
        story.verify(identical=False)
        assert report_of(story)["data"]["identical"] is False
        assert "NOT identical" in headline(report_of(story)).text

    def test_outage_that_is_not_over(self, tmp_path):
        """An outage without an end has no length, and the verdict says since when the service is down."""
        report = report_of(failed_cutover(tmp_path))
        assert report["outage_s"] is None
        assert "was not seen to answer since" in headline(report).text

    def test_outages_add_up(self, tmp_path):
        """Two outages of one run count together."""
        story = migrated(tmp_path)
        story.stopped = story.now
        story.journal.append("outage", phase="started")
        story.wait(2)
        story.answers_again()
        assert report_of(story)["outage_s"] == pytest.approx(7.4 + 2.15)


class TestWords:
    """What people read."""

    def test_verdict(self, tmp_path):
        """The verdict on a migration names the outage, what was allowed, and the data."""
        verdict = headline(report_of(migrated(tmp_path)))
        assert verdict.word == "Migrated."
        assert verdict.text.startswith(
            "The service was unavailable for 7.4 s of the 90 s allowed; 231 files, 12.3 MB identical"
        )

    def test_over_budget(self, tmp_path):
        """An outage over what was allowed says by how much, and is no full success."""
        report = report_of(migrated(tmp_path)) | {"outage_budget_s": 5}
        assert "2.4 s over the 5 s allowed" in headline(report).text
        assert headline(report).tone == "warn"

    def test_cut_over_but_not_verified(self, tmp_path):
        """A cutover without a comparison is not called migrated."""
        story = Story(tmp_path)
        story.prepare()
        story.cut_over()
        assert headline(report_of(story)).word == "Cut over, not verified yet."

    def test_nothing_changed_speaks_of_one_step(self, tmp_path):
        """A check that fails after other steps acted does not claim that the whole run changed nothing."""
        story = Story(tmp_path)
        story.prepare()
        story.start("30_cut_over_volume")
        story.fail("check-readiness")
        assert "12 steps before it succeeded" in headline(report_of(story)).text

    def test_next_after_a_failure(self, tmp_path):
        """A failed cutover offers to go on and to roll back; before the cutover there is nothing to roll back."""
        commands = [command for _, command in next_steps(report_of(failed_cutover(tmp_path / "a")))]
        assert commands == [f"runbook resume {RUN_ID}", f"runbook roll-back {RUN_ID} --execute"]
        early = Story(tmp_path / "b")
        early.start("00_inspect_source")
        early.fail("inspect-instance")
        assert [command for _, command in next_steps(report_of(early))] == [f"runbook resume {RUN_ID}"]

    def test_grade_says_what_it_does_not_prove(self, tmp_path):
        """Evidence of simulated hosts says openly that hosts and volumes are simulated."""
        report = report_of(migrated(tmp_path))
        for text in (render_html(report), render_markdown(report)):
            assert "hosts and volumes of this run are simulated" in text
            assert grade(report).limits in text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.04, "0 s"),
            (7.4, "7.4 s"),
            (90, "90 s"),
            (119.96, "2 min 00 s"),
            (3599.6, "1 h 00 min"),
            (None, "unknown"),
        ],
    )
    def test_seconds(self, value, text):
        """Durations keep one unit that fits, and never show sixty of anything."""
        assert seconds(value) == text

    @pytest.mark.parametrize(
        ("value", "text"), [(0, "0 B"), (999, "999 B"), (12_345_678, "12.3 MB"), (999_999, "1.0 MB"), (None, "unknown")]
    )
    def test_size(self, value, text):
        """Sizes are decimal, with three figures at most."""
        assert size(value) == text


class Reader(HTMLParser):
    """Collects tags, attributes and visible text; fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = set(), [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "br", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open and self.open[-1] != "style" else ""


def read(html: str) -> Reader:
    """Parse a report."""
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


class TestPages:
    """The rendered files."""

    @pytest.mark.parametrize("make", [migrated, failed_cutover, planned, Story])
    def test_self_contained(self, tmp_path, make):
        """The page loads nothing and runs nothing, whatever state the run is in."""
        html = render_html(report_of(make(tmp_path)))
        page = read(html)
        assert "script" not in page.tags
        loading = [value for name, value in page.attributes if name in {"src", "href", "xlink:href", "data", "action"}]
        assert loading == ["data:,"]
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert not re.search(r"url\(|@import|https?://", html)

    def test_hostile_values_are_text(self, tmp_path):
        """Names, reasons and errors from outside are shown as they are, and are never markup."""
        story = failed_cutover(tmp_path)
        story.start(HOSTILE)
        error = {"kind": HOSTILE, "message": HOSTILE, "changed": "no", "exit_code": 3}
        check = {
            "check_id": HOSTILE,
            "passed": False,
            "expected": HOSTILE,
            "observed": HOSTILE,
            "why": HOSTILE,
            "fix": HOSTILE,
        }
        facts = {"before": {HOSTILE: HOSTILE}, "plan": HOSTILE, "checks": [check], "error": error}
        story.step(HOSTILE, HOSTILE, status="failed", **facts)
        story.journal.append(
            "comparison", phase=HOSTILE, identical=False, missing=[HOSTILE], added=[], changed=[[HOSTILE, [HOSTILE]]]
        )
        story.journal.append("manifest", phase=HOSTILE, files=1, bytes=1, sha256=HOSTILE)
        story.journal.append(
            "run-opened",
            name=HOSTILE,
            operator=HOSTILE,
            reason=HOSTILE,
            execute=True,
            account_id=HOSTILE,
            region=HOSTILE,
        )
        report = report_of(story)
        page = read(render_html(report))
        assert not page.tags & {"script", "img"}
        assert page.text.count("<script>alert(1)</script>") >= 10
        assert page.text.count("{{7*7}}") >= 10
        outside_code = re.sub(r"(?<!\\)`[^`\n]*`", "", render_markdown(report))
        assert not re.search(r"<\w", outside_code)
        render_html(report).encode("utf-8")

    def test_markdown_tables_hold(self, tmp_path):
        """A value with a pipe or a line break does not break the table it stands in."""
        story = migrated(tmp_path)
        story.start("30_cut_over_volume", attempt=2)
        story.fail("detach-volume", title="a | b\nc")
        rows = [line for line in render_markdown(report_of(story)).splitlines() if line.startswith("| 30")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}

    def test_bars_stay_in_the_picture(self, tmp_path):
        """Every bar lies between the labels and the right edge, and the outage's shares add up to all of it."""
        report = report_of(migrated(tmp_path))
        bars = [bar for _, group in timeline(report).groups for bar in group]
        assert all(bar.start >= 26 and bar.end <= 86 for bar in bars)
        shares = outage_shares(report)
        assert all(0 <= begin < end <= 7.4 for share in shares for begin, end in share.spans)
        assert sum(end - begin for share in shares for begin, end in share.spans) == pytest.approx(7.4, abs=0.01)
        assert [share.label for share in shares][:2] == ["stop-source-service", "create-rollback-point"]

    def test_every_step_and_failed_check_is_shown(self, tmp_path):
        """The page names every step; a failed step is unfolded, its failed check first, with the fix."""
        report = report_of(failed_cutover(tmp_path))
        html = render_html(report)
        text = read(html).text
        assert all(step["title"] in text for step in report["steps"])
        unfolded = html[html.index("<details open>") :]
        assert unfolded.index("volume-on-source") < unfolded.index("instance-running")
        assert "attach it to the source" in unfolded


def test_write_report_seals(tmp_path):
    """Writing the report leaves three files and a seal that holds."""
    story = migrated(tmp_path)
    path = write_report(story.journal)
    assert path.name == "report.html"
    assert json.loads((path.parent / "report.json").read_text())["status"] == "succeeded"
    assert (path.parent / "report.md").read_text().startswith("# Migrated.")
    assert verify(path.parent).problems == ()


def change_report(*acted, identical=None):
    """Return what a report says of a run that changes the storage driver, as far as its words need it."""
    notebooks = ("65_prepare_storage_driver", "66_change_storage_driver", "40_verify_persistence")
    steps = [
        {"notebook": n, "executed": True, "status": "succeeded" if n[:2] in acted else "skipped"} for n in notebooks
    ]
    report = report_of_nothing() | {"status": "succeeded", "run_id": RUN_ID, "steps": steps, "hold": None}
    return report | {"data": report["data"] | {"identical": identical}}


def report_of_nothing():
    """Return the fields that sentences are made of, all of them empty."""
    data = {"identical": None, "files": None, "bytes": None, "comparisons": []}
    return {"data": data, "outages": [], "outage_s": None, "outage_budget_s": None, "failure": None}


@pytest.mark.parametrize(
    ("acted", "first"),
    [
        (("65",), f"runbook run 66_change_storage_driver --run-id {RUN_ID} --execute"),
        (("65", "66"), f"runbook run 40_verify_persistence --run-id {RUN_ID} --execute"),
        (("65", "66", "40"), "runbook run 65_prepare_storage_driver 66_change_storage_driver -f FORMER.yaml --execute"),
        ((), f"runbook verify runs/{RUN_ID}"),
    ],
    ids=["prepared", "changed", "verified", "so already"],
)
def test_a_change_of_the_storage_driver_says_what_comes_next(acted, first):
    """Prepared, it is changed; changed, it is proved; what leads back is the former driver, not compose."""
    commands = [command for _, command in next_steps(change_report(*acted))]
    assert commands[0] == first
    assert not any("roll-back" in command for command in commands)


@pytest.mark.parametrize(
    ("notebook", "status", "first"),
    [
        ("64_check_drift", "succeeded", f"runbook verify runs/{RUN_ID}"),
        ("64_check_drift", "planned", f"runbook verify runs/{RUN_ID}"),
        ("64_check_drift", "failed", f"runbook run 64_check_drift -f runs/{RUN_ID}/parameters.yaml --execute"),
        ("63_back_up_volume", "succeeded", f"runbook verify runs/{RUN_ID}"),
        ("63_back_up_volume", "failed", f"runbook resume {RUN_ID}"),
    ],
)
def test_day_two_never_leads_back_to_compose(notebook, status, first):
    """After a look there is nothing to resume, after a backup nothing to take back: no way back is offered."""
    steps = [{"notebook": notebook, "executed": status != "planned", "status": status}]
    report = report_of_nothing() | {"status": status, "run_id": RUN_ID, "steps": steps, "hold": None}
    commands = [command for _, command in next_steps(report)]
    assert commands == [first]


@pytest.mark.parametrize(("changed", "offered"), [("no", False), ("maybe", True)])
def test_a_refused_deployment_offers_no_former_image(changed, offered):
    """What a refused first step did not change needs no way back; what may have changed does."""
    steps = [{"notebook": "61_deploy_image", "executed": True, "status": "failed"}]
    failed = {"status": "failed", "run_id": RUN_ID, "steps": steps, "hold": None, "failure": {"changed": changed}}
    sentences = [text for text, _ in next_steps(report_of_nothing() | failed)]
    assert any("former image" in text for text in sentences) == offered


def restore_report(status, *, accepted, made):
    """Return what a report says of a restore, as far as its words need it."""
    before = {"loss": {"accepted": accepted, "typed": "2026-03-01T12:00:00Z"}, "source": {"id": "snap-1"}}
    common = {"notebook": "70_restore_volume", "executed": status != "planned"}
    steps = [{**common, "id": "check-restore", "status": "succeeded", "before": before}]
    steps += [{**common, "id": "create-restored-volume", "status": "succeeded"}] if made else []
    of_run = {"status": status, "run_id": RUN_ID, "steps": steps, "hold": None, "volume": {"volume_id": "vol-1"}}
    return report_of_nothing() | of_run


def test_a_restore_says_how_its_loss_is_accepted():
    """Planned, or refused for want of it: the command with the words to add, and nothing to take back."""
    for status in ("planned", "failed"):
        ((_, command),) = next_steps(restore_report(status, accepted=False, made=False))
        assert command == (
            f"runbook restore snap-1 -f runs/{RUN_ID}/parameters.yaml --execute --reason WHY "
            "--accept-loss-of-writes-since 2026-03-01T12:00:00Z"
        )


def test_a_restore_leads_to_the_parameters_that_it_wrote_and_back_by_the_former_volume():
    """Never to compose, which would go on with what was lost."""
    back = f"runbook restore vol-1 -f runs/{RUN_ID}/next-parameters.yaml"
    look = f"runbook run 64_check_drift -f runs/{RUN_ID}/next-parameters.yaml --execute"
    commands = [command for _, command in next_steps(restore_report("succeeded", accepted=True, made=True))]
    assert commands == [look, back]
    commands = [command for _, command in next_steps(restore_report("failed", accepted=True, made=True))]
    assert commands == [f"runbook resume {RUN_ID}", back]
    report = restore_report("succeeded", accepted=True, made=True) | {"forecast": None}
    assert report_change._back_out(report).startswith(f"{back} --execute: ")
    assert "writes since the backup are lost" in report_change._risk(report)


def test_a_backup_with_a_stop_says_its_outage():
    """The headline of a succeeded run says that the service was interrupted where it was."""
    steps = [{"id": "create-backup", "notebook": "63_back_up_volume", "executed": True, "status": "succeeded"}]
    report = report_of_nothing() | {"status": "succeeded", "run_id": RUN_ID, "steps": steps, "hold": None}
    assert headline(report).text.endswith("not interrupted.")
    outage = {"started_utc": "2026-01-31T03:00:00Z", "ended_utc": "2026-01-31T03:00:09Z", "outage_s": 9.0}
    assert "9" in headline(report | {"outages": [outage], "outage_s": 9.0}).text


def test_a_changed_driver_is_no_migration():
    """The headline says what was done, and whether it was verified."""
    assert headline(change_report("65", "66")).word == "Changed, not verified yet."
    assert headline(change_report("65", "66", "40", identical=True)).word == "Storage driver changed."

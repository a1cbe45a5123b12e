"""What people see of approvals: the page of whoever approves, the report, the terminal, and how a run is resumed."""

from __future__ import annotations

import re

import pytest

from runbook_lib import run_approval
from runbook_lib.archive import verify
from runbook_lib.archive_index import list_runs
from runbook_lib.execute_resume import notebooks_to_resume
from runbook_lib.model import RunStatus
from runbook_lib.report import build_report, derive_status, render_html, render_markdown, render_page, write_report
from runbook_lib.report_next import next_steps
from runbook_lib.report_picture import forecast_chart
from runbook_lib.report_words import headline
from tests.approval_desk import ALICE, BOB, PLAN, STOP
from tests.sample_run import Story, check, digest
from tests.test_cli import invoke
from tests.test_report import HOSTILE, read

FORECAST = {
    "total_s": 6.5,
    "at_most_s": 16.0,
    "budget_s": 90,
    "parts": [
        {"name": "stop-source-service", "seconds": 2.5, "basis": "the rehearsed application ended in 0.5 s"},
        {"name": "start-target-service", "seconds": 4.0, "basis": "placement, attach, mount and application start"},
    ],
}


def report_of(one):
    """Return the report of a desk's run."""
    return build_report(one.journal.events(), one.journal.run_id)


def stop_in(one, notebook, act):
    """Stop a notebook before an act, as the runner does; then plan all of it."""
    story: Story = one.story
    one.journal.append("notebooks-requested", notebooks=["00_a", notebook, "40_verify_persistence"], execute=True)
    one.journal.append("notebook-started", notebook=notebook, attempt=1, output="", execute=True)
    said = one.stopped_at(act)
    error = {"kind": "ApprovalError", "message": said, "changed": "no", "exit_code": 6}
    facts = {"changes": [{"address": "aws_ecs_service.this", "actions": ["create"]}], "plan_sha256": act.plan_sha256}
    story.step(act.step_id, "Do it", status="failed", notebook=notebook, before=facts, plan="", error=error)
    finished = {"notebook": notebook, "duration_s": 1.0}
    one.journal.append("notebook-finished", **finished, attempt=1, status="failed", exit_code=6, error=error)
    one.journal.append("notebook-started", notebook=notebook, attempt=2, output="", execute=False, for_approval=True)
    opened = one.journal.last("run-opened").fields
    one.journal.append("run-opened", **{**opened, "execute": False})
    story.step(act.step_id, "Do it", status="planned", notebook=notebook, before=facts, plan="Make 1 thing.")
    story.step("behind", "What follows", status="planned", notebook=notebook, plan="Wait for it.", in_outage=True)
    one.journal.append("run-closed")
    one.journal.append("notebook-finished", **finished, attempt=2, status="completed")


class TestRun:
    """What state a run is in, and how it goes on."""

    def test_it_waits_and_is_resumed_where_it_stopped(self, desk):
        """Planned for the approval is not done: the run waits, and the notebook is still to be run."""
        one = desk()
        stop_in(one, "10_provision_target", run_approval.Act("provision-target", "10_provision_target", PLAN))
        events = one.journal.events()
        assert derive_status(events) is RunStatus.WAITING
        assert notebooks_to_resume(events, execute=True) == ["00_a", "10_provision_target", "40_verify_persistence"]
        step = next(step for step in report_of(one)["steps"] if step["id"] == "provision-target")
        assert (step["status"], step["executed"]) == ("failed", True)

    def test_the_verdict_counts(self, desk):
        """It says how many approvals there are, who gives the next and how; with all of them it says how to go on."""
        one = desk(required=2)
        stop_in(one, "30_cut_over_volume", STOP)
        one.approve()
        assert headline(report_of(one)).text.endswith("Nothing was changed. 1 of 2 given.")
        (text, command), (_, resume) = next_steps(report_of(one))[:2]
        request = report_of(one)["approval_request"]
        assert (ALICE in text, request["page"] in text) == (True, True)
        assert command.startswith(f"runbook approve {one.journal.run_id} --digest {request['digest'][:12]}")
        assert resume == f"runbook resume {one.journal.run_id}"
        one.approve("arn:aws:iam::012345678901:user/carol")
        assert (headline(report_of(one)).word, next_steps(report_of(one))[0][1]) == ("Approved.", resume)

    def test_a_request_is_no_plan(self, desk):
        """Planning alone asks for nothing: a run that never executed has no request."""
        one = desk()
        assert report_of(one)["approval_request"] is None


class TestPage:
    """The page for whoever approves."""

    def page(self, one):
        write_report(one.journal)
        request = report_of(one)["approval_request"]
        return (one.journal.folder / request["page"]).read_text("utf-8")

    def test_it_shows_what_is_asked_for(self, desk):
        """Blast radius, plan, forecast, no return, way back, digest, and the command that says yes."""
        one = desk()
        one.journal.append("forecast", **FORECAST)
        stop_in(one, "30_cut_over_volume", STOP)
        text = " ".join(read(self.page(one)).text.split())
        request = report_of(one)["approval_request"]
        for expected in (
            "Cut the volume over from the compose host to ECS",
            "stops compose, detaches the volume",
            "vol-0fedcba9876543210",
            "Make 1 thing.",
            "Wait for it.",
            "6.5 s",
            "at most 16 s",
            "placement, attach, mount and application start",
            "Not this notebook. It is 50_retire_source",
            f"runbook roll-back {one.journal.run_id} --execute",
            request["digest"],
            f"runbook approve {one.journal.run_id} --digest {request['digest'][:12]} --reason WHY",
            f"by {ALICE}",
            "Whoever asked for it may not.",
        ):
            assert expected in text

    def test_the_point_of_no_return_says_so(self, desk):
        """The page of the one notebook without a way back begins with that and offers no way back."""
        one = desk()
        stop_in(one, "50_retire_source", run_approval.Act("retire-mount", "50_retire_source", ""))
        page = self.page(one)
        assert "After this there is no way back that keeps every write." in page
        assert "runbook roll-back" not in page

    def test_what_comes_after_the_migration_has_a_way_back_of_its_own(self, desk):
        """A deployment is not taken back to compose: the notebook's own words say how, and no command denies it."""
        one = desk(notebooks=["61_deploy_image"])
        stop_in(one, "61_deploy_image", run_approval.Act("pull-new-image", "61_deploy_image", ""))
        page = self.page(one)
        assert ("this notebook with the former image" in page, "runbook roll-back" in page) == (True, False)

    def test_what_terraform_deletes_is_red(self, desk):
        """Each resource of the plan is named with its action, and what goes is counted."""
        one = desk()
        stop_in(one, "10_provision_target", run_approval.Act("provision-target", "10_provision_target", PLAN))
        changes = [{"address": "aws_lb.this", "actions": ["delete", "create"]}]
        one.story.step(
            "provision-target",
            status="planned",
            notebook="10_provision_target",
            before={"changes": changes, "plan_sha256": PLAN},
            plan="Replace it.",
        )
        page = read(self.page(one))
        assert "aws_lb.this" in page.text
        assert "1 resource deleted or replaced" in page.text

    def test_self_contained(self, desk):
        """It loads nothing and runs nothing, also without a plan, a forecast or anything but the request."""
        one = desk()
        one.stopped_at()
        page = read(self.page(one))
        assert "script" not in page.tags
        assert [value for name, value in page.attributes if name in {"src", "href"}] == ["data:,"]
        assert not re.search(r"url\(|@import|https?://", self.page(one))

    def test_hostile_values_are_text(self, desk):
        """Whatever names, plans and reasons hold, it is shown and never markup."""
        one = desk()
        one.at_keyboard = f"arn:aws:iam::012345678901:user/{HOSTILE}"
        stop_in(one, "30_cut_over_volume", STOP)
        one.journal.append("forecast", **{**FORECAST, "parts": [{"name": HOSTILE, "seconds": 1, "basis": HOSTILE}]})
        facts = {"changes": [{"address": HOSTILE, "actions": [HOSTILE]}], "plan_sha256": "x"}
        hostile_check = check(HOSTILE, passed=False, expected=HOSTILE, observed=HOSTILE)
        one.story.step(
            HOSTILE,
            HOSTILE,
            status="planned",
            notebook="30_cut_over_volume",
            plan=HOSTILE,
            before=facts,
            checks=[hostile_check],
        )
        page = read(self.page(one))
        assert not page.tags & {"script", "img"}
        assert page.text.count("<script>alert(1)</script>") >= 6

    def test_what_was_approved_stays_as_it_was_seen(self, desk):
        """The page of an approval is evidence: it is not written again, and verify finds it altered."""
        one = desk(required=2)
        stop_in(one, "30_cut_over_volume", STOP)
        event, _ = one.approve(valid_for_s=60)
        page = one.journal.folder / event.fields["page"]
        seen = page.read_text("utf-8")
        one.story.step("late", "Later", status="planned", notebook="30_cut_over_volume", plan="Something new.")
        write_report(one.journal)
        assert page.read_text("utf-8") == seen
        assert verify(one.journal.folder).problems == ()
        page.write_text(seen.replace("Make 1 thing.", "Make 2 things."), "utf-8")
        one.journal.seal()
        assert verify(one.journal.folder).problems[0].startswith(f"{event.fields['page']}: altered; the journal has")

    def test_an_altered_approval_is_found(self, desk):
        """Approvals are lines of the chain: whoever changes a name breaks it."""
        one = desk()
        one.stopped_at()
        one.approve()
        one.confirm()
        text = one.journal.path.read_text("utf-8")
        one.journal.path.write_text(text.replace("user/bob", "user/eve"), "utf-8")
        assert "was altered" in verify(one.journal.folder).problems[0]

    def test_the_forecast_as_a_picture(self, desk):
        """The parts follow each other, and nothing leaves the picture; without a rehearsal there is none."""
        one = desk()
        assert forecast_chart(report_of(one)) is None
        one.journal.append("forecast", **FORECAST)
        (_, (first, second)) = forecast_chart(report_of(one)).groups[0]
        assert first.end == pytest.approx(second.start, abs=0.1)
        assert second.end <= 86


class TestReport:
    """Approvals in the report, in Markdown and in the terminal."""

    def test_states(self, desk):
        """Each approval stands there with who, role, reason, until when, and whether it was used or is void."""
        one = desk()
        one.stopped_at()
        one.approve(reason="first <b>look</b>")
        one.open(git_commit="5" * 40)
        one.stopped_at()
        one.approve(reason="second look")
        one.confirm()
        report = report_of(one)
        assert [item["state"] for item in report["approvals"]] == [
            "void: git commit: was 444444444444…, is 555555555555…",
            "used",
        ]
        page, markdown = read(render_html(report)), render_markdown(report)
        for text in (
            BOB,
            "as approver",
            "In CloudTrail",
            "first <b>look</b>",
            "second look",
            "request-bob",
            "2026-02-01",
        ):
            assert text in page.text
        assert "first &lt;b&gt;look&lt;/b&gt;" in markdown
        assert report["approval_request"] is None

    def test_waiting_is_in_the_report(self, desk):
        """A reader of the report learns who asked for what, and where it is shown."""
        one = desk()
        one.stopped_at()
        report = report_of(one)
        for text in (read(render_html(report)).text, render_markdown(report)):
            assert (ALICE in text, report["approval_request"]["digest"] in text) == (True, True)

    def test_broken_glass_is_loud_until_it_is_reviewed_and_after(self, desk, tmp_path):
        """Report, Markdown, list and next steps name it; reviewed, the report still does, with what was found."""
        one = desk()
        one.stopped_at()
        identity = {"arn": ALICE, "account_id": "012345678901", "request_id": "r"}
        one.journal.append(
            "break-glass",
            phase="used",
            notebook="30_cut_over_volume",
            step_id="x",
            digest=digest("d"),
            parts={},
            missing=1,
            operator="ops@host",
            identity=identity,
            reason="disk <b>dies",
        )
        report = report_of(one)
        assert report["open_reviews"] == 1
        assert next_steps(report)[0][1].startswith(f"runbook review {one.journal.run_id}")
        assert [run.open_reviews for run in list_runs(tmp_path)] == [1]
        assert f"to review: {one.journal.run_id}" in invoke("list", "-d", tmp_path).output
        for text in (read(render_html(report)).text, render_markdown(report)):
            assert ("The glass was broken" in text, "Not reviewed yet" in text) == (True, True)
        one.review(reason="it was right")
        report = report_of(one)
        assert (report["open_reviews"], report["break_glass"][0]["review"]["reviewer"]) == (0, BOB)
        assert "it was right" in read(render_html(report)).text
        assert not next_steps(report)[0][1].startswith("runbook review")

    def test_the_terminal_shows_what_waits(self, desk, tmp_path):
        """`runbook approve` without a reason shows it and approves nothing; where nothing waits, it says so."""
        one = desk()
        nothing = invoke("approve", one.journal.run_id, "-d", tmp_path)
        assert (nothing.exit_code, "waits for no approval" in nothing.output) == (3, True)
        stop_in(one, "30_cut_over_volume", STOP)
        parts = one.kinds("approval-request")[0]
        shown = invoke("approve", one.journal.run_id, "-d", tmp_path)
        assert shown.exit_code == 6, shown.output
        for text in (parts["digest"], "Wait for it.", "Make 1 thing.", ALICE, "0 of 1"):
            assert text in shown.output
        assert one.kinds("approval") == []

    def test_page_of_nothing(self, desk):
        """The page can be made from what stands in the journal alone."""
        one = desk()
        one.stopped_at()
        report = report_of(one)
        assert render_page(report) == render_page(report_of(one))

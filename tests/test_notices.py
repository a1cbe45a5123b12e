"""What a journal is told as: the log's lines and what hooks may hear."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from runbook_lib.cli_log import Log
from runbook_lib.model import Event
from runbook_lib.notices import HOOKED, Notices
from runbook_lib.parameters_notifications import Hook
from runbook_lib.scrub import SECRETS
from tests.sample_run import RUN_ID, Story, migrated

RUN_TIME = "2026-01-31T03:00:07.000000+00:00"


def told(journal):
    """Return the notices of a journal."""
    notices = Notices(RUN_ID, journal.last("run-opened").fields, journal.folder)
    return [notice for event in journal.events() if (notice := notices.of(event)) is not None]


def ended(story, exit_code, **fields):
    """Note how the command ended."""
    fields = {
        "notebook": story.notebook,
        "status": "failed",
        "error": {},
        "not_started": [],
        "duration_s": 71.0,
    } | fields
    story.journal.append("notebooks-ended", exit_code=exit_code, **fields)


def test_a_migration_from_its_start_to_its_end(tmp_path):
    """Notebooks and steps in order; of the outage that it begins, and that the service moved."""
    story = migrated(tmp_path)
    ended(story, 0, status="completed")
    notices = told(story.journal)
    names = [notice.event for notice in notices]
    assert [name for name in names if name in HOOKED] == ["outage_begun", "cut_over", "finished"]
    assert {notice.level for notice in notices if notice.event != "outage_begun"} == {"info"}
    assert names.index("outage_begun") < names.index("cut_over") < names.index("finished")
    (moved,) = [notice for notice in notices if notice.event == "cut_over"]
    assert (moved.fields["outage_s"], moved.fields["notebook"]) == (7.4, "30_cut_over_volume")
    assert moved.text == "the service answers again; the outage took 7.4 s"
    assert notices[-1].fields["outage_s"] == 7.4
    steps = [notice.text for notice in notices if notice.event == "step"]
    assert steps[:2] == ["begun: Verify who we are", "succeeded: Verify who we are (0.4 s)"]


@pytest.mark.parametrize(
    ("exit_code", "event", "level", "words"),
    [
        (3, "failed", "error", "exit code 3, in 71 s: no such volume"),
        (6, "waiting_for_approval", "warning", f"waits for an approval: `runbook approve {RUN_ID}` shows it"),
    ],
)
def test_ends_that_want_a_person(tmp_path, exit_code, event, level, words):
    """A failure and a wait for an approval are told apart, each with what happened and what to do."""
    story = Story(tmp_path)
    story.journal.append("notebooks-requested", notebooks=["10_provision_target", "/srv/mine.ipynb"], execute=True)
    story.start("10_provision_target")
    error = {"kind": "CheckError", "message": "no such\nvolume\x1b[31m", "cell_id": "provision-target"}
    ended(story, exit_code, error=error, not_started=["mine"])
    started, *_, last = told(story.journal)
    assert started.event == "started"
    assert started.fields["notebooks"] == ["10_provision_target", "mine"]
    assert started.text.startswith("10_provision_target, mine executes: CHG-1042")
    assert (last.event, last.level, words in last.text) == (event, level, True)
    assert last.text.isprintable()
    assert last.fields["exit_code"] == exit_code
    assert (last.fields["error"]["message"], last.fields["not_started"]) == (error["message"], ["mine"])
    assert last.fields["next"].endswith(RUN_ID)


def test_other_outages_holds_and_a_broken_glass(tmp_path):
    """An outage outside the cutover ends as one; a hold says how it is released; glass that broke is a warning."""
    story = Story(tmp_path)
    story.start("60_patch_hosts")
    story.journal.append("outage", phase="started")
    story.journal.append("outage", phase="ended", outage_s=12.0)
    story.journal.append("wait", step_id="hold-cutover", reason="a release", timeout_s=3600, since_utc=RUN_TIME)
    story.journal.append("wait", step_id="x", reason="the task", timeout_s=60)
    story.journal.append("break-glass", phase="used", step_id="x", notebook="y", operator="ops", reason="disk full")
    story.journal.append("evidence", name="x", path="y", sha256="z")
    found = [(notice.event, notice.level) for notice in told(story.journal)][1:]
    assert found == [
        ("outage_begun", "warning"), ("outage_ended", "info"), ("holding", "warning"), ("waiting", "info"),
        ("break_glass", "warning"),
    ]  # fmt: skip


def test_every_event_of_a_hook_is_told():
    """What parameters may name is what notices are called."""
    schema = Hook.model_json_schema()["properties"]["events"]["items"]["enum"]
    assert sorted(schema) == sorted(HOOKED)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_is_one_line_without_colours_or_secrets(tmp_path, form, capsys):
    """Whatever a message holds, the log has one line for it, which names time, run, level and event."""
    SECRETS.add("correct-horse-battery", "env:HOOK")
    story = Story(tmp_path)
    story.start("00_inspect_source")
    story.step("look", "Look", status="failed", error={"message": "got\ncorrect-horse-battery \x1b[1m", "exit_code": 3})
    for notice in told(story.journal):
        Log(form).show(notice)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert (len(lines), "\x1b" in shown.err, "correct-horse" in shown.err) == (2, False, False)
    if form == "json":
        line = json.loads(lines[1])
        assert (line["event"], line["level"], line["run_id"], line["step_id"]) == ("step", "error", RUN_ID, "look")
        assert (line["schema_version"], line["name"], line["at_utc"][-6:]) == (1, "guestbook", "+00:00")
    else:
        want = rf" {RUN_ID} error step: failed: Look (0.5 s): got (secret: env:HOOK) [1m"
        assert lines[1] == story.journal.events()[-1].at_utc[:19] + "Z" + want


@pytest.mark.parametrize(("form", "line"), [("json", '"event": "error"'), ("text", " - error error: ")])
def test_what_is_refused_before_a_run_is_a_line_too(tmp_path, form, line):
    """A parameters file that is not there: one line, exit code 2, and nothing on standard output."""
    from runbook_lib.cli import main

    done = CliRunner().invoke(main, ["run", "64", "-f", str(tmp_path / "none.yaml"), "--log", form])
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines()), line in done.stderr) == (2, "", 1, True)
    if form == "json":
        assert json.loads(done.stderr)["exit_code"] == 2


def test_an_event_of_a_later_release_is_no_notice(tmp_path):
    """Kinds that nobody waits for give none."""
    assert Notices(RUN_ID, {}, tmp_path).of(Event(1, RUN_TIME, "something-new", {})) is None

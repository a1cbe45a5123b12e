"""A run that is still under way is told from one that was cut off, and that is no way around verification."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from runbook_lib.archive_index import list_runs
from runbook_lib.cli import main
from runbook_lib.journal import encode_event
from runbook_lib.report import write_report
from runbook_lib.report_running import open_processes
from runbook_lib.run_attempt import runner_fields
from tests.sample_run import RUN_ID, Story, migrated

NOTEBOOKS = ["00_inspect_source", "10_provision_target"]


@pytest.fixture
def process():
    """Return a process that lives until it is killed."""
    sleeping = subprocess.Popen(["sleep", "300"])
    yield sleeping
    end(sleeping)


def end(process):
    """Kill a process and wait for its end."""
    process.kill()
    process.wait(timeout=30)


def under_way(tmp_path, process, **fields):
    """Tell of a run whose runner is a process, up to a step of its first notebook."""
    story = Story(tmp_path)
    story.journal.append("runner", **runner_fields(process.pid) | fields)
    story.journal.append("notebooks-requested", notebooks=NOTEBOOKS, execute=True)
    go_on(story)
    return story


def go_on(story):
    """Begin a notebook, up to the middle of a step."""
    story.start(NOTEBOOKS[0])
    story.journal.append(
        "evidence", name="host", path="evidence/host.json", sha256=story.journal.write("evidence/host.json", "{}")
    )
    story.step("verify-identity", "Verify who we are", status="running")


def held_by(story, process):
    """Note that a kernel holds the volume."""
    holder = runner_fields(process.pid) | {"run_id": RUN_ID, "operator": "ops@bastion"}
    story.journal.append("lease", phase="acquired", store="file", holder=holder)


def verify(story, *more):
    """Run `runbook verify`."""
    return CliRunner().invoke(main, ["verify", str(story.journal.folder), *more])


def statuses(tmp_path):
    """Return what `runbook list` says of each run."""
    return [run.status for run in list_runs(tmp_path)]


def test_it_is_running_until_its_process_is_gone(tmp_path, process):
    """`list` says so, also when the index knows the run; the end of the process alone makes it `interrupted`."""
    under_way(tmp_path, process)
    assert statuses(tmp_path) == statuses(tmp_path) == ["running"]
    shown = CliRunner().invoke(main, ["list", "-d", str(tmp_path), "--status", "running"])
    assert (RUN_ID in shown.output, " running " in shown.output) == (True, True)
    end(process)
    assert statuses(tmp_path) == statuses(tmp_path) == ["interrupted"]


def test_verify_says_that_it_still_runs(tmp_path, process):
    """With words and an exit code of its own; once the process is gone, the record is not intact."""
    story = under_way(tmp_path, process)
    running = verify(story)
    assert (running.exit_code, "still running: a process of this machine is at it" in running.output) == (3, True)
    assert "intact" not in running.output
    end(process)
    gone = verify(story)
    assert (gone.exit_code, "not intact" in gone.output, "its journal records no end" in gone.output) == (1, True, True)


def test_a_run_that_goes_on_after_a_seal_still_runs(tmp_path, process):
    """A seal of an earlier attempt covers less than there is now; that is no alteration while the run lives."""
    story = migrated(tmp_path)
    write_report(story.journal)
    story.journal.append("runner", **runner_fields(process.pid))
    go_on(story)
    assert (verify(story).exit_code, statuses(tmp_path)) == (3, ["running"])
    end(process)
    assert (verify(story).exit_code, statuses(tmp_path)) == (1, ["interrupted"])


def test_status_says_who_is_at_it(tmp_path, process):
    """There is no verdict yet, and nothing to resume."""
    under_way(tmp_path, process)
    output = CliRunner().invoke(main, ["status", RUN_ID, "-d", str(tmp_path)]).output
    assert f"Running. At it: process {process.pid} on " in output
    assert "Verify who we are" in output
    assert "resume" not in output


def alter_line(story):
    lines = story.journal.path.read_text().split("\n")
    story.journal.path.write_text("\n".join([lines[0].replace("ops@", "you@"), *lines[1:]]))


def drop_line(story):
    lines = story.journal.path.read_text().split("\n")
    story.journal.path.write_text("\n".join([*lines[:2], *lines[3:]]))


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (alter_line, "journal.jsonl line 1"),
        (drop_line, "journal.jsonl line 3"),
        (lambda story: story.journal.path.write_text(story.journal.path.read_text()[:-9]), "cut off"),
        (lambda story: (story.journal.folder / "evidence/host.json").write_text("{ }"), "evidence/host.json: altered"),
        (lambda story: (story.journal.folder / "evidence/host.json").unlink(), "evidence/host.json: missing"),
        (lambda story: (story.journal.folder / "parameters.yaml").write_text("x"), "parameters.yaml: altered"),
        (lambda story: (story.journal.folder / "SHA256SUMS.kms.json").write_text("{}"), "SHA256SUMS.kms.json: "),
    ],
)
def test_what_no_living_process_explains_is_tampering(tmp_path, process, tamper, named):
    """Journal, parameters and evidence fit each other at every moment; a run that lives excuses nothing there."""
    story = under_way(tmp_path, process)
    tamper(story)
    done = verify(story)
    assert (done.exit_code, "not intact" in done.output, named in done.output) == (1, True, True), done.output


def sealed_by_hand(tmp_path, process):
    """Tell of a sealed run that a kernel of JupyterLab performed, which lives on."""
    story = Story(tmp_path)
    held_by(story, process)
    story.step("verify-identity", "Verify who we are", notebook=NOTEBOOKS[0])
    assert statuses(tmp_path) == ["running"]
    story.journal.append("run-closed")
    write_report(story.journal)
    assert (verify(story).exit_code, statuses(tmp_path)) == (0, ["succeeded"])
    return story


def test_a_sealed_record_that_was_cut_is_not_still_running(tmp_path, process):
    """The kernel that made it lives on, and its journal has no end any more: the seal and the report tell."""
    story = sealed_by_hand(tmp_path, process)
    lines = story.journal.path.read_text().splitlines(keepends=True)
    story.journal.path.write_text("".join(lines[:-1]))
    assert (verify(story).exit_code, "not intact" in verify(story).output) == (1, True)
    (story.journal.folder / "SHA256SUMS").unlink()
    assert (verify(story).exit_code, "not intact" in verify(story).output) == (1, True)
    (story.journal.folder / "report.json").unlink()
    assert verify(story).exit_code != 0


def test_a_journal_that_was_written_anew_is_not_still_running(tmp_path, process):
    """A whole new chain, open at its end and longer than the sealed one, does not hold what was sealed."""
    story = sealed_by_hand(tmp_path, process)
    (tmp_path / "forged").mkdir()
    forged = under_way(tmp_path / "forged", process)
    for _ in range(9):
        forged.step("inspect-instance", status="running")
    shutil.copy(forged.journal.path, story.journal.path)
    assert (verify(story).exit_code, "not intact" in verify(story).output) == (1, True)


def test_a_copy_is_whole_or_it_is_not(tmp_path, process):
    """A copy of a run that lives, under another name, is no run that lives."""
    story = under_way(tmp_path, process)
    shutil.copytree(story.journal.folder, tmp_path / "for-the-auditor")
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "for-the-auditor")])
    assert (done.exit_code, "not intact" in done.output) == (1, True)


@pytest.mark.parametrize(
    "fields",
    [{"machine": "another"}, {"machine": ""}, {"process_start": 1}],
    ids=["another machine", "nobody knows", "another process with that id"],
)
def test_a_process_that_cannot_be_proved_does_not_count(tmp_path, process, fields):
    """Then nobody can tell: it is not intact, and where it may still run is named."""
    story = under_way(tmp_path, process, host="build-7", **fields)
    done = verify(story)
    assert (done.exit_code, "or it still runs on build-7" in done.output) == (1, True)
    assert statuses(tmp_path) == ["interrupted"]


def test_between_two_notebooks_it_is_running(tmp_path, process):
    """What was asked for and has not begun yet belongs to it; after a failure nothing follows."""
    story = under_way(tmp_path, process)
    story.step("verify-identity")
    story.finish()
    assert statuses(tmp_path) == ["running"]
    story.start(NOTEBOOKS[1])
    story.finish()
    assert statuses(tmp_path) == ["succeeded"]


def test_a_notebook_that_failed_ends_it(tmp_path, process):
    """The runner may live a moment longer; there is nothing more to come."""
    story = under_way(tmp_path, process)
    story.step("verify-identity", status="failed", error={"kind": "CheckError", "message": "no", "changed": "no"})
    story.finish("failed", exit_code=3)
    assert statuses(tmp_path) == ["failed"]


def test_a_run_that_holds_is_waiting(tmp_path, process):
    """That it waits for a person says more than that its process lives."""
    story = under_way(tmp_path, process)
    story.journal.append("wait", step_id="hold-cutover", reason="a person", timeout_s=3600)
    assert statuses(tmp_path) == ["waiting"]


def test_before_the_first_notebook_it_is_running(tmp_path, process):
    """A runner that has not asked for its notebooks yet is at it, too."""
    story = Story(tmp_path)
    story.journal.append("runner", **runner_fields(process.pid))
    assert statuses(tmp_path) == ["running"]


def test_an_ended_run_has_no_open_process(tmp_path):
    """Whoever was at it once is nobody now."""
    assert open_processes(migrated(tmp_path).journal.events()) == ()
    assert open_processes([]) == ()


def test_json_names_the_processes(tmp_path, process):
    """Who reads the list elsewhere can look for the process there."""
    under_way(tmp_path, process)
    row = json.loads(CliRunner().invoke(main, ["list", "-d", str(tmp_path), "--json"]).output)[0]
    assert (row["status"], row["processes"][0][1]) == ("running", process.pid)


def test_a_forged_report_does_not_excuse_a_cut_journal(tmp_path, process):
    """A report of fewer events than were sealed does not make the seal fit."""
    story = sealed_by_hand(tmp_path, process)
    lines = story.journal.path.read_bytes().splitlines(keepends=True)[:-1]
    story.journal.path.write_bytes(b"".join(lines))
    last = story.journal.events()[-1]
    path = story.journal.folder / "report.json"
    report = json.loads(path.read_text())
    report["journal"] = {"events": last.seq, "last_sha256": hashlib.sha256(encode_event(last)).hexdigest()}
    path.write_text(json.dumps(report))
    assert verify(story).exit_code == 1

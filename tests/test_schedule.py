"""Schedules: what `runbook schedule` writes is what systemd, cron and a shell make of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.archive_due import begun_since
from runbook_lib.cli import main
from runbook_lib.schedule import unit_name
from runbook_lib.schedule_cron import parse
from tests.sample_run import Story
from tests.test_cli import EXAMPLE

UNIT = "runbook-guestbook-64-check-drift"
NIGHTLY = ("--on-calendar", "*-*-* 03:00:00 UTC")
AWKWARD = '50% of $HOME, "quoted" \\ it\'s'
LISTS = {"Environment", "OnCalendar"}


def schedule(*arguments: object):
    """Call `runbook schedule`."""
    return CliRunner().invoke(main, ["schedule", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    """Return a parameters file with an archive of its own, whose hook takes its address from the environment."""
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(tmp_path / "runs")}
    document["migration"]["notifications"] = {"oncall": {"url": "env:HOOK_URL", "timeout_s": 25}}
    path = tmp_path / "guestbook.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


@pytest.fixture
def environment_file(tmp_path):
    """Return an environment file that defines what the parameters refer to."""
    path = tmp_path / "guest book.env"
    path.write_text("HOOK_URL=https://hooks.example.com/x\n", "utf-8")
    return path


def read_unit(text):
    """Return a unit as sections of settings, as systemd.syntax(7) reads them; those that add up as lists."""
    sections, section = {}, ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            sections[section] = {}
            continue
        key, equals, value = line.partition("=")
        assert equals, f"no setting: {line}"
        if key in LISTS:
            sections[section].setdefault(key, []).append(value)
        else:
            assert key not in sections[section], f"stands twice: {key}"
            sections[section][key] = value
    return sections


def read_words(text):
    """Return the words of an ExecStart line, as systemd.service(5) splits, unescapes and expands them."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    unescaped = [re.sub(r"\\(.)", r"\1", quoted or plain) for quoted, plain in words]
    return [word.replace("%%", "%").replace("$$", "$") for word in unescaped]


@pytest.fixture
def units(file, environment_file, tmp_path):
    """Return the folder of the units of a nightly look, written with everything that may be awkward."""
    more = ("--missed", "once", "--random-delay", "5min", "--on-failure", "page@%n.service", "--log-format", "json")
    done = schedule(64, "-f", file, *NIGHTLY, "--execute", "--reason", AWKWARD, "-o", tmp_path / "units", *more,
                    "--environment-file", environment_file)  # fmt: skip
    assert done.exit_code == 0, done.output
    return tmp_path / "units"


def test_the_units_say_what_is_to_run(units, file, environment_file):
    """The service runs exactly the command, with the working directory, the references and no terminal."""
    unit = read_unit((units / f"{UNIT}.service").read_text("utf-8"))
    one = unit["Service"]
    program = str(Path(sys.executable).with_name("runbook"))
    command = [program, "run", "64_check_drift", "-f", str(file), "--execute", "--reason", AWKWARD, "--log", "json"]
    assert read_words(one["ExecStart"]) == command
    assert (one["WorkingDirectory"], one["EnvironmentFile"]) == (str(EXAMPLE.parents[1]), str(environment_file))
    assert (one["Type"], one["StandardInput"], one["Restart"]) == ("oneshot", "null", "no")
    assert str(Path(sys.executable).parent) in one["Environment"][0]
    assert unit["Unit"]["OnFailure"] == "page@%n.service"


def test_the_units_let_a_run_end_truthfully(units):
    """SIGTERM to the runner alone, and time for what the engine, the record and the slowest hook need."""
    one = read_unit((units / f"{UNIT}.service").read_text("utf-8"))["Service"]
    assert (one["KillMode"], one["KillSignal"], one["TimeoutStartSec"]) == ("mixed", "SIGTERM", "12h")
    assert one["TimeoutStopSec"] == "105s", "20 s for the step, 60 s for the record, 25 s for the hook"
    assert "SuccessExitStatus" not in one, "findings and a wait for an approval are to be seen"


@pytest.mark.parametrize(("missed", "persistent"), [("once", "true"), ("skip", "false")])
def test_missed_runs(file, environment_file, missed, persistent):
    """The timer makes up for a missed run once, or leaves it out."""
    done = schedule(64, "-f", file, *NIGHTLY, "--environment-file", environment_file, "--missed", missed)
    timer = read_unit(done.stdout.partition(f"# {UNIT}.timer\n")[2])["Timer"]
    assert (timer["OnCalendar"], timer["Persistent"], timer["Unit"]) == (
        [NIGHTLY[1]],
        persistent,
        f"{UNIT}.service",
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine; the parser tests run")
@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_accepts_the_units(file, environment_file, tmp_path, scope):
    """`systemd-analyze verify` has nothing to say of them; of a broken copy it has."""
    where = tmp_path / "units"
    done = schedule(64, "-f", file, *NIGHTLY, "--environment-file", environment_file, "--scope", scope, "-o", where)
    assert done.exit_code == 0, done.output

    def verify():
        command = ["systemd-analyze", "verify", *(["--user"] if scope == "user" else []), *map(str, where.iterdir())]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr

    assert verify() == (0, "")
    service = where / f"{UNIT}.service"
    service.write_text(service.read_text("utf-8").replace("KillMode=mixed", "KillMood=mixed"), "utf-8")
    assert "KillMood" in verify()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--on-calendar or --cron: expected when to run"),
        (("--cron", "0 3 * *"), "expected five fields"),
        (("--cron", "0 25 * * *"), "hour: '25'; expected numbers from 0 to 23"),
        ((*NIGHTLY, "--timeout", "soon"), "--timeout: expected a time span"),
        ((*NIGHTLY, "--random-delay", "infinity"), "--random-delay: expected a time span"),
        ((*NIGHTLY, "--user", "a b"), "--user: expected the name of a user"),
        ((*NIGHTLY, "--on-failure", "page"), "--on-failure: expected a unit"),
        ((*NIGHTLY, "--name", "a/b"), "--name: expected letters"),
        ((*NIGHTLY, "--reason", "two\nlines"), "expected one line"),
        (("--cron", "@daily", "--random-delay", "5min"), "cron knows no such delay"),
    ],
)
def test_what_cannot_work_is_refused(file, environment_file, arguments, said):
    """Exit code 2 with what was expected; nothing is shown that somebody could install."""
    done = schedule(64, "-f", file, "--environment-file", environment_file, *arguments)
    assert (done.exit_code, said in done.stderr, done.stdout) == (2, True, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_a_calendar_that_systemd_does_not_know(file, environment_file):
    """It is refused while somebody looks, not at the first night; of a right one it is said when it is due."""
    done = schedule(64, "-f", file, "--environment-file", environment_file, "--on-calendar", "every night")
    assert (done.exit_code, "every night" in done.stderr) == (2, True)
    done = schedule(64, "-f", file, "--environment-file", environment_file, *NIGHTLY)
    assert re.search(r"note +\*-\*-\* 03:00:00 UTC: next on \w+ \d{4}-\d\d-\d\d 03:00:00 UTC", done.stderr)


def test_references_need_a_file_that_defines_them(file, environment_file):
    """A reference to a variable that nobody would set at night is refused, by name."""
    done = schedule(64, "-f", file, *NIGHTLY)
    assert (done.exit_code, "--environment-file: expected a file that defines HOOK_URL" in done.stderr) == (2, True)
    environment_file.write_text("OTHER=1\n", "utf-8")
    done = schedule(64, "-f", file, *NIGHTLY, "--environment-file", environment_file)
    assert (done.exit_code, "expected HOOK_URL" in done.stderr) == (2, True)


def test_nothing_is_written_over(units, file, environment_file):
    """The same again changes nothing; a file that somebody changed is left alone until --replace."""
    again = ("-f", file, *NIGHTLY, "--environment-file", environment_file, "-o", units)
    before = (units / f"{UNIT}.service").read_text("utf-8")
    done = schedule(64, *again)
    assert (done.exit_code, "there already, and different" in done.stderr) == (2, True)
    assert (units / f"{UNIT}.service").read_text("utf-8") == before
    assert [schedule(64, *again, "--replace").exit_code, schedule(64, *again).exit_code] == [0, 0]
    assert "--execute" not in (units / f"{UNIT}.service").read_text("utf-8")


def test_what_to_do_next_is_said(file, environment_file):
    """How to install, try and follow it, as root only where it must be; and what nobody would notice."""
    environment_file.chmod(0o644)
    done = schedule(64, "-f", file, *NIGHTLY, "--environment-file", environment_file)
    for words in (
        "install -m 644",
        "systemctl enable --now",
        f"journalctl -u {UNIT}.service",
        "chmod 600",
        "only plans",
    ):
        assert words in done.stderr
    more = ("-f", file, *NIGHTLY, "--environment-file", environment_file.with_name("later.env"), "--scope", "user")
    done = schedule(64, *more)
    assert ("enable-linger" in done.stderr, "as root" in done.stderr) == (True, False)
    assert "later.env is not there yet" in done.stderr
    document = yaml.safe_load(file.read_text("utf-8"))
    document["migration"]["notifications"]["oncall"]["events"] = ["started"]
    window = {"opens_utc": "2026-01-01T00:00Z", "closes_utc": "2026-01-02T00:00Z"}
    document["migration"]["policy"] |= {"approvals": 1, "change_window": window}
    file.write_text(yaml.safe_dump(document), "utf-8")
    done = schedule(60, *more, "--execute")
    for words in (
        "nobody is told of a failure",
        "60_patch_hosts: each run stops for an approval, with exit code 6",
        "policy.change_window is one window, not one a week",
        "the lease excludes runs of this machine only",
    ):
        assert words in done.stderr


def test_a_shell_reads_the_crontab_line_back(file, environment_file, tmp_path):
    """What cron hands to the shell runs the command in its folder, with the variables of the file and no terminal."""
    done = schedule(
        64, "-f", file, "--cron", "15 * * * 1-5", "--reason", AWKWARD, "--environment-file", environment_file
    )
    comment, line = done.stdout.splitlines()[1:3]
    assert comment.startswith(f"# {UNIT}: ")
    command = line.removeprefix("15 * * * 1-5 ").replace(r"\%", "%")
    assert "%" not in line.replace(r"\%", ""), "a bare percent sign ends the line"
    fake = tmp_path / "runbook"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$HOOK_URL" "$@"\n[ -t 0 ] || cat\n', "utf-8")
    fake.chmod(0o755)
    command = command.replace(str(Path(sys.executable).with_name("runbook")), str(fake))
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, env={})
    assert ran.stdout.splitlines() == [
        str(EXAMPLE.parents[1]), "https://hooks.example.com/x",
        "run", "64_check_drift", "-f", str(file), "--reason", AWKWARD, "--log", "text",
    ]  # fmt: skip


def test_cron_makes_up_for_a_missed_run(file, environment_file):
    """A second line runs at the start of the machine, and only when the schedule was missed."""
    made = ("-f", file, "--cron", "0 3 * * *", "--environment-file", environment_file)
    once = schedule(64, *made, "--missed", "once").stdout
    assert re.search(r"(?m)^@reboot sleep 60; .* --if-missed '0 3 \* \* \*' </dev/null$", once)
    assert "@reboot" not in schedule(64, *made).stdout


@pytest.mark.parametrize(
    ("text", "now", "due"),
    [
        ("0 3 * * *", "2026-11-30 03:00", "2026-11-30 03:00"),
        ("0 3 * * *", "2026-11-30 02:59", "2026-11-29 03:00"),
        ("*/20 9-17 * * mon-fri", "2026-11-30 08:00", "2026-11-27 17:40"),
        ("0 22 1-7 * *", "2026-11-30 12:00", "2026-11-07 22:00"),
        ("0 0 13 * fri", "2026-11-30 12:00", "2026-11-27 00:00"),
        ("0 0 29 2 *", "2026-11-30 12:00", "2024-02-29 00:00"),
        ("5 0 * * 7", "2026-11-30 12:00", "2026-11-29 00:05"),
        ("@monthly", "2026-11-30 12:00", "2026-11-01 00:00"),
        ("0 0 31 2 *", "2026-11-30 12:00", None),
    ],
)
def test_when_a_line_was_last_due(text, now, due):
    """Ranges, steps, names, Sunday as 7, either day where both are given, leap days; a day that never comes."""
    expected = datetime.fromisoformat(due) if due else None
    assert parse(text).last_due(datetime.fromisoformat(now)) == expected


@pytest.mark.parametrize("text", ["", "* * * * x", "5-1 * * * *", "*/0 * * * *", "@reboot", "1;2 * * * *", "0 0 0 * *"])
def test_what_is_no_schedule(text):
    """It is refused."""
    with pytest.raises(ValueError, match=r"expected|is no"):
        parse(text)


def test_whether_a_run_was_missed(tmp_path):
    """A run of the same notebooks, in the same mode, since the moment; no other, no planned one, no altered record."""
    story = Story(tmp_path, run_id="20260131T030007Z-guestbook-4c1d")
    story.journal.append("notebooks-requested", notebooks=["63_back_up_volume"], execute=True)

    def begun(hour, *notebooks, execute=True):
        due = datetime(2026, 1, 31, hour, tzinfo=UTC)
        return begun_since(tmp_path, "guestbook", notebooks or ("63_back_up_volume",), due, execute=execute)

    assert begun(3) == story.journal.run_id
    others = [begun(4), begun(3, "64_check_drift"), begun(3, execute=False), begun_since(
        tmp_path, "wiki", ["63_back_up_volume"], datetime(2026, 1, 1, tzinfo=UTC), execute=True
    )]  # fmt: skip
    assert others == [""] * 4
    story.journal.path.write_text(story.journal.path.read_text().replace("bastion", "castle"))
    assert begun(3) == ""


def test_a_run_that_was_not_missed_is_left_out(file, tmp_path, monkeypatch):
    """`--if-missed` says which run there was, exits 0 and makes no run; a schedule that is none is refused."""
    monkeypatch.setenv("HOOK_URL", "https://hooks.example.com/x")
    now = datetime.now(UTC)
    story = Story(tmp_path / "runs", run_id=f"{now:%Y%m%dT%H%M%SZ}-guestbook-4c1d")
    story.journal.append("notebooks-requested", notebooks=["64_check_drift"], execute=True)
    made = ("run", "64", "-f", str(file), "--execute", "--log", "text", "--if-missed")
    done = CliRunner().invoke(main, [*made, "0 0 1 1 *"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"info not_missed: nothing was missed since {now:%Y}" in done.stderr
    assert story.journal.run_id in done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert CliRunner().invoke(main, [*made, "whenever"]).exit_code == 2


@pytest.mark.parametrize(
    ("notebooks", "name"),
    [
        (["63_back_up_volume"], "runbook-wiki-63-back-up-volume"),
        (["60_patch_hosts", "64_check_drift"], "runbook-wiki-60-64"),
        (["/srv/my notebooks/Look here.ipynb"], "runbook-wiki-look-here"),
    ],
)
def test_names_of_units(notebooks, name):
    """They say what is run, in letters that a unit may have."""
    assert unit_name("wiki", notebooks) == name

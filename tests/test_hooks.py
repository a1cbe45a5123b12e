"""Hooks: who is told, with what, how often, and that nothing they do stops or delays a run for longer than they may."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib import parameters
from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.errors import ParameterError
from runbook_lib.journal import Journal
from runbook_lib.notices import Notice
from runbook_lib.report import write_report
from runbook_lib.run_attempt import runner_fields
from runbook_lib.run_folder import create_run
from runbook_lib.run_notify import Hooks
from runbook_lib.run_secrets import protect
from tests.test_cli import EXAMPLE, write_notebook

TOKEN = "staple-9-token-of-a-hook"
KEEP = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"


class Webhook(BaseHTTPRequestHandler):
    """Answers with the statuses it is told to, one after the other, and keeps what it was sent."""

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.received.append((self.path, dict(self.headers), json.loads(body)))
        status = server.statuses.pop(0) if server.statuses else 204
        if status == 0:  # never answers
            server.released.wait(30)
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
        self.end_headers()

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_arguments):
        """Say nothing."""


@pytest.fixture
def webhook():
    """Return a webhook on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        server.received, server.statuses, server.released = [], [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def write_parameters(folder, **hooks):
    """Write a parameters file with hooks and an archive of its own."""
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    document["migration"]["notifications"] = hooks
    path = folder / "parameters.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


@pytest.fixture
def tell(tmp_path):
    """Return a function that tells hooks of one failure, and returns what the journal and the operator were told."""

    def run(text="it failed", **hooks):
        found = parameters.load(write_parameters(tmp_path, **hooks))
        protect(found)
        journal, complaints = create_run(found, reason="", execute=False), []
        with Hooks(found, journal, lambda *said: complaints.append(said)) as sender:
            begun = time.monotonic()
            sender.send(Notice("failed", "error", "2026-01-31T03:00:07+00:00", journal.run_id, text, {"exit_code": 3}))
            assert time.monotonic() - begun < 0.5, "telling must not wait"
        return [event.fields for event in journal.events() if event.kind == "notification"], complaints

    return run


def test_a_webhook_gets_the_notice(tell, webhook, monkeypatch):
    """A POST of JSON with a text for people and fields for programs; the token goes into its header alone."""
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    noted, complaints = tell(f"it failed: {TOKEN}", oncall={"url": webhook.url, "token": "env:HOOK_TOKEN"})
    ((path, headers, body),) = webhook.received
    assert (path, headers["Authorization"], headers["Content-Type"]) == ("/hook", f"Bearer {TOKEN}", "application/json")
    assert (body["event"], body["level"], body["exit_code"], body["schema_version"]) == ("failed", "error", 3, 1)
    assert body["text"] == "it failed: (secret: env:HOOK_TOKEN)"
    assert [(one["hook"], one["event"], one["outcome"], one["attempts"]) for one in noted] == [
        ("oncall", "failed", "delivered", 1)
    ]
    assert complaints == []


def test_an_address_may_be_a_secret(tell, webhook, monkeypatch):
    """It is resolved in memory; the journal names the reference at most."""
    monkeypatch.setenv("HOOK_URL", f"{webhook.url}/path-that-is-secret")
    noted, _ = tell(oncall={"url": "env:HOOK_URL"})
    assert webhook.received[0][0] == "/hook/path-that-is-secret"
    assert (noted[0]["outcome"], "path-that-is-secret" in json.dumps(noted)) == ("delivered", False)


@pytest.mark.parametrize(
    ("value", "said"),
    [("http://198.51.100.1/x", "holds no https URL; nothing was sent"), (None, "there is no environment variable")],
    ids=["in clear", "not set"],
)
def test_an_address_that_will_not_do(tell, monkeypatch, value, said):
    """One that is not encrypted, or not there, is told as a failure of the hook and never tried."""
    monkeypatch.delenv("HOOK_URL", raising=False)
    if value:
        monkeypatch.setenv("HOOK_URL", value)
    (noted,), complaints = tell(oncall={"url": "env:HOOK_URL"})
    assert (noted["outcome"], noted["attempts"], said in noted["reason"], len(complaints)) == ("failed", 0, True, 1)


@pytest.mark.parametrize(
    ("statuses", "outcome", "attempts", "received"),
    [([503, 200], "delivered", 2, 2), ([404], "failed", 1, 1), ([302], "failed", 1, 1), ([500, 500], "failed", 2, 2)],
    ids=["busy, then not", "refused", "redirected", "busy for long"],
)
def test_what_a_webhook_answers(tell, webhook, statuses, outcome, attempts, received):
    """What is busy is tried again a few times; what refuses is not, and a redirection is not followed."""
    webhook.statuses = list(statuses)
    (noted,), _ = tell(oncall={"url": webhook.url, "attempts": 2})
    assert (noted["outcome"], noted["attempts"], len(webhook.received)) == (outcome, attempts, received)
    if outcome == "failed":
        assert noted["reason"] == f"it answered {statuses[-1]}"


def test_hooks_that_hang_take_no_longer_than_they_may(tell, webhook, tmp_path):
    """A webhook that never answers and a command that never ends are given up, all at the same time, and told."""
    webhook.statuses, mark = [0] * 9, tmp_path / "late"
    late = ["sh", "-c", f"sleep 4; touch {mark}"]
    begun = time.monotonic()
    noted, complaints = tell(web={"url": webhook.url, "timeout_s": 1}, program={"command": late, "timeout_s": 1})
    assert time.monotonic() - begun < 3.5
    assert {one["hook"]: one["outcome"] for one in noted} == {"web": "failed", "program": "failed"}
    reasons = {one["hook"]: one["reason"] for one in noted}
    assert ("did not answer within" in reasons["web"], "was killed" in reasons["program"]) == (True, True)
    assert sorted(said[0] for said in complaints) == ["program", "web"]
    assert not mark.exists()


def test_a_command_gets_the_notice_and_no_shell_reads_it(tell, tmp_path):
    """JSON on standard input; arguments arrive as they were written."""
    kept = tmp_path / "$(touch never) kept"
    noted, _ = tell(book={"command": [sys.executable, "-c", KEEP, str(kept)]})
    assert json.loads(kept.read_text())["text"] == "it failed"
    assert noted[0]["outcome"] == "delivered"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sh", "-c", 'echo "no route; token $HOOK_TOKEN" >&2; exit 7'], "sh ended with 7: no route"),
        (["/nowhere/at-all"], "/nowhere/at-all cannot be started"),
    ],
    ids=["fails", "not there"],
)
def test_a_command_that_fails(tell, monkeypatch, command, said):
    """Its exit code and last words are told and journaled, without secrets."""
    monkeypatch.setenv("HOOK_TOKEN", TOKEN)
    (noted,), complaints = tell(book={"command": command}, web={"url": "https://x.invalid", "events": ["started"],
                                                                "token": "env:HOOK_TOKEN"})  # fmt: skip
    assert (noted["outcome"], noted["reason"].startswith(said), TOKEN in str(noted)) == ("failed", True, False)
    assert complaints == [("book", "failed", noted["reason"])]


def test_only_who_asked_is_told(tell, webhook):
    """A hook for other events hears nothing."""
    assert tell(oncall={"url": webhook.url, "events": ["started", "finished"]}) == ([], [])
    assert webhook.received == []


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ({"url": "http://hooks.example.com/x"}, "an https URL without user name"),
        ({"url": "https://me:secret@hooks.example.com/x"}, "an https URL without user name"),
        ({}, "neither; rule: a command or a url"),
        ({"url": "https://x.example.com", "command": ["true"]}, "both; rule: a command or a url"),
        ({"command": ["true"], "token": "env:X"}, "only a webhook takes a token"),
        ({"url": "https://x.example.com", "token": TOKEN}, "a reference to a secret"),
        ({"url": "https://hooks.slack.com/services/T0/B0/x"}, "url (not shown) is itself a secret"),
        ({"command": "true"}, "notifications.oncall.command"),
        ({"url": "https://x.example.com", "events": ["everything"]}, "notifications.oncall.events"),
        ({"url": "https://x.example.com", "events": []}, "events is empty"),
    ],
)
def test_parameters_that_are_refused(tmp_path, hook, said):
    """In clear, both or neither, a token that is none by reference, a shell line, an unknown event."""
    with pytest.raises(ParameterError) as caught:
        parameters.load(write_parameters(tmp_path, oncall=hook))
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)


class TestThroughTheCommandLine:
    """What an operator's hooks and log get of a whole run; one or two kernels a test."""

    def test_a_run_that_fails(self, tmp_path, webhook, monkeypatch):
        """Started and failed are told to whoever asked, one JSON line an event; a hook's failure changes nothing."""
        monkeypatch.setenv("HOOK_TOKEN", TOKEN)
        kept = tmp_path / "kept"
        everything = ["started", "outage_begun", "outage_ended", "failed", "finished"]
        file = write_parameters(
            tmp_path,
            web={"url": webhook.url, "events": everything, "token": "env:HOOK_TOKEN"},
            book={"command": [sys.executable, "-c", KEEP, str(kept)], "events": ["failed"]},
            broken={"command": ["false"], "events": ["started"]},
            hangs={"command": ["sleep", "60"], "events": ["started"], "timeout_s": 1},
        )
        notebook = write_notebook(
            tmp_path / "outage.ipynb",
            "import runbook_lib\nrun = runbook_lib.open_run(parameters_file, run_id=run_id)",
            "run.journal.append('outage', phase='started')",
            "run.journal.append('outage', phase='ended', outage_s=2.5)",
            f"raise RuntimeError('no place for {TOKEN}')",
        )
        done = CliRunner().invoke(main, ["run", str(notebook), "-f", str(file), "--log", "json", "--reason", "nightly"])
        assert (done.exit_code, done.stdout) == (5, "")
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        events = [line["event"] for line in lines if line["event"] != "not_notified"]
        assert events == [
            "started", "notebook_started", "outage_begun", "outage_ended", "notebook_ended", "failed",
        ]  # fmt: skip
        assert [sorted(one["of"] for one in lines if one["event"] == "not_notified")] == [["started", "started"]]
        assert sorted(body["event"] for _, _, body in webhook.received) == sorted(
            ["started", "outage_begun", "outage_ended", "failed"]
        )
        last = json.loads(kept.read_text())
        assert (last["exit_code"], last["notebook"], last["outage_s"]) == (5, "outage", 2.5)
        assert "RuntimeError: no place for (secret: env:HOOK_TOKEN)" in last["text"]
        assert TOKEN not in done.stderr + json.dumps([body for *_, body in webhook.received]) + kept.read_text()
        (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir() and path.name[0] == "2"]
        assert last["report"] == str(folder / "report.html")
        assert verify(folder).problems == ()
        assert TOKEN not in (folder / "journal.jsonl").read_text()
        noted = [e.fields for e in Journal(folder, lambda: None).events() if e.kind == "notification"]
        assert sorted((one["hook"], one["outcome"]) for one in noted) == sorted(
            [("broken", "failed"), ("hangs", "failed"), ("book", "delivered"), *[("web", "delivered")] * 4]
        )

    def test_a_run_that_was_killed(self, tmp_path):
        """Nobody can tell of his own SIGKILL; the command that settles the record does, once, and seals it anew."""
        kept = tmp_path / "kept"
        file = write_parameters(tmp_path, book={"command": [sys.executable, "-c", KEEP, str(kept)]})
        gone = subprocess.Popen(["sleep", "60"])
        journal = create_run(parameters.load(file), reason="", execute=True)
        journal.append("runner", **runner_fields(gone.pid))
        journal.append("notebooks-requested", notebooks=["63_back_up_volume"], execute=True)
        output = "notebooks/63_back_up_volume.1.ipynb"
        journal.append("notebook-started", notebook="63_back_up_volume", attempt=1, output=output, execute=True)
        write_report(journal)
        journal.append("step", step_id="x", notebook="63_back_up_volume", title="X", status="running", duration_s=0.0,
                       before={}, after={}, checks=[], plan="", in_outage=False)  # fmt: skip
        gone.kill()
        gone.wait()
        for _ in range(2):
            done = CliRunner().invoke(main, ["status", str(journal.folder)])
            assert done.exit_code == 0, done.output
        told = json.loads(kept.read_text())
        assert (told["event"], told["settled"], told["exit_code"]) == ("failed", True, 4)
        assert "63_back_up_volume attempt 1: its process is gone" in told["text"]
        assert verify(journal.folder).problems == ()

    def test_two_at_once(self, tmp_path):
        """A look runs beside whoever holds the volume; what would act ends at once with 3 and the holder's name."""
        kept = tmp_path / "kept"
        file = write_parameters(tmp_path, book={"command": [sys.executable, "-c", KEEP, str(kept)]})
        holder = create_run(parameters.load(file), reason="", execute=True)
        from runbook_lib.run_lease import lease_of

        lease = lease_of(parameters.load(file), holder.run_id)
        lease.acquire()
        look, act = (
            write_notebook(
                tmp_path / f"{name}.ipynb",
                "import runbook_lib as r\n"
                f"r.open_run(parameters_file, run_id=run_id, execute=execute, reads_only={reads_only})",
            )
            for name, reads_only in (("look", True), ("act", False))
        )
        try:
            done = CliRunner().invoke(main, ["run", str(look), str(act), "-f", str(file), "--execute", "--log", "text"])
        finally:
            lease.release()
        assert done.exit_code == 3, done.stderr
        ends = [line.split(" ", 2)[2] for line in done.stderr.splitlines() if "notebook_ended" in line]
        assert [end.partition(" in ")[0] for end in ends] == [
            "info notebook_ended: look completed", "error notebook_ended: act failed",
        ]  # fmt: skip
        assert holder.run_id in json.loads(kept.read_text())["text"]

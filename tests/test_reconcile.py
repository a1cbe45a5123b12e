"""The journal beside CloudTrail: what both tell, what one of them lacks, what others did meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.adapters.trail import changes_between
from runbook_lib.cli import main
from runbook_lib.journal import Journal
from runbook_lib.model import Event
from runbook_lib.reconcile import ARRIVES_WITHIN, reconcile, window_of

RUN_ID = "20260101T000000Z-guestbook-0abc"
T0 = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
MUCH_LATER = T0 + timedelta(days=1)
VOLUME = "vol-0fedcba9876543210"


def call(operation="DetachVolume", request_id="r-1", seconds=0, **fields):
    """Return a journal line of a call."""
    fields = {"service": "ec2", "target": VOLUME, "outcome": "Success", "attempts": 1} | fields
    at = (T0 + timedelta(seconds=seconds)).isoformat()
    return Event(7, at, "api-call", {"operation": operation, "request_id": request_id, **fields})


def event(operation="DetachVolume", request_id="r-1", seconds=0, agent=f"Boto3 runbook/{RUN_ID}", **fields):
    """Return what CloudTrail tells of a call."""
    at = f"{T0 + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    told = {"event_id": f"{operation}-{request_id}", "at_utc": at, "service": "ec2", "operation": operation}
    told |= {"request_id": request_id, "outcome": "Success", "who": "arn:aws:iam::012345678901:user/operator"}
    return told | {"source_identity": "", "user_agent": agent, "names": [VOLUME]} | fields


def compared(calls, trail, now=MUCH_LATER):
    """Return what comes of comparing them."""
    return reconcile(calls, trail, run_id=RUN_ID, names={VOLUME, "i-source"}, now=now)


def test_a_call_that_both_tell_of_agrees():
    found = compared([call()], [event()])
    assert (found.agreed, found.agrees) == (1, True)


def test_a_call_that_cloudtrail_never_heard_of_is_named():
    found = compared([call()], [])
    assert not found.agrees
    assert [(one["operation"], one["why"]) for one in found.only_in_journal] == [
        ("DetachVolume", "CloudTrail knows of no such call")
    ]


def test_a_young_call_may_still_be_on_its_way():
    found = compared([call()], [], now=T0 + ARRIVES_WITHIN - timedelta(seconds=1))
    assert (found.agrees, "run this again" in found.only_in_journal[0]["why"]) == (True, True)


def test_an_object_call_is_not_expected_there():
    found = compared([call("PutObject", service="s3", target="bucket/key")], [])
    assert (found.agrees, "data events" in found.only_in_journal[0]["why"]) == (True, True)


def test_a_call_that_the_journal_lacks_is_named():
    """A line that was taken out of the journal is missing beside CloudTrail."""
    found = compared([call()], [event(), event("DeleteVolume", "r-2")])
    assert (found.agrees, [one["operation"] for one in found.only_in_trail]) == (False, ["DeleteVolume"])


def test_another_outcome_is_told():
    found = compared([call()], [event(outcome="IncorrectState")])
    assert (found.agrees, found.differing[0]["trail_outcome"]) == (False, "IncorrectState")


def test_a_lost_answer_finds_its_event_by_time_and_target():
    """Without a request id the nearest event of the operation counts; another volume's does not."""
    lost = call(request_id="", outcome="ReadTimeoutError", attempts=None)
    other = event(request_id="r-9", names=["vol-1"])
    assert compared([lost], [event(request_id="r-5", seconds=20)]).agreed == 1
    found = compared([lost], [other])
    assert (found.agreed, "never reached AWS" in found.only_in_journal[0]["why"]) == (0, True)


def test_attempts_before_the_answer_belong_to_their_call():
    trail = [event(request_id="r-0", outcome="RequestLimitExceeded"), event(request_id="r-1", seconds=1)]
    assert compared([call(attempts=2)], trail).agrees
    assert not compared([call(attempts=1)], trail).agrees


def test_terraform_is_counted_and_others_are_named():
    """Only what others did to the same resources counts; the same operator without this run is another."""
    trail = [
        event(),
        event("CreateService", "r-2", agent=f"APN/1.0 Terraform/1.11 terraform-provider-aws/5.100 m/n {RUN_ID}"),
        event("AttachVolume", "r-3", agent="rexray", who="arn:aws:sts::012345678901:assumed-role/host/i-1"),
        event("DeleteVolume", "r-4", agent="console", names=["vol-1"]),
        event("SendCommand", "r-5", agent="Botocore/1.44.5 runbook/20260101T000000Z-wiki-0000", who="same operator"),
    ]
    found = compared([call()], trail)
    assert found.agrees
    assert list(found.terraform) == [("ec2", "CreateService", "Success")]
    assert list(found.others) == [
        ("arn:aws:sts::012345678901:assumed-role/host/i-1", "ec2", "AttachVolume", "Success"),
        ("same operator, run 20260101T000000Z-wiki-0000", "ec2", "SendCommand", "Success"),
    ]


@pytest.fixture
def aws(sandbox, journal):
    """Return a session that notes its calls in a journal."""
    return sandbox.session(
        run_id=journal.run_id, record=lambda **fields: journal.append("api-call", mutating=True, **fields)
    )


@pytest.fixture
def journal(sandbox, tmp_path):
    """Return the journal of a run on the sandbox's volume."""
    made = Journal(tmp_path / "20260101T000000Z-guestbook-0abc", lambda: datetime.now(UTC))
    made.write("parameters.yaml", sandbox.parameters_path.read_text("utf-8"))
    made.append("run-opened", run_id=made.run_id)
    return made


def told(journal, *words):
    """Run the command and return its exit code and what it printed."""
    done = CliRunner().invoke(main, ["reconcile", journal.run_id, "-d", str(journal.folder.parent), *words])
    return done.exit_code, done.output


def volume_of(journal):
    return yaml.safe_load((journal.folder / "parameters.yaml").read_text("utf-8"))["migration"]["volume"]["volume_id"]


def test_a_run_agrees_with_the_sandbox_s_trail(sandbox, aws, journal, tmp_path, wait_until):
    """Calls of EC2, ECS and one that is refused are found there by their request ids, as they ended."""
    volume_id = volume_of(journal)
    aws.call("ec2", "create_tags", target=volume_id, Resources=[volume_id], Tags=[{"Key": "a", "Value": "b"}])
    aws.call("ecs", "create_cluster", target="other", clusterName="other")
    with pytest.raises(Exception, match=r"InvalidVolume\.NotFound"):
        aws.call("ec2", "delete_volume", target="vol-0123456789abcdef0", VolumeId="vol-0123456789abcdef0")
    sandbox.client("ec2").create_tags(Resources=[volume_id], Tags=[{"Key": "by", "Value": "another"}])

    def everything_arrived():
        output = told(journal)[1]
        return output.startswith("3 of 3") and "CreateTags" in output.partition("by others")[2]

    wait_until(everything_arrived, "every call in the trail")
    code, output = told(journal, "--json", str(tmp_path / "found.json"))

    assert (code, output.splitlines()[0]) == (0, "3 of 3 recorded calls are in CloudTrail with the same outcome")
    assert ("CreateTags", output.splitlines()[-1]) == ("CreateTags", "agrees")
    others = json.loads((tmp_path / "found.json").read_text("utf-8"))["others"]
    assert [one[1:] for one in others if one[2] == "CreateTags"] == [["ec2", "CreateTags", "Success", 1]]


def test_a_call_that_was_taken_out_of_the_journal_is_found(aws, journal, wait_until):
    """Exit 3: CloudTrail tells of a call that this run made and does not record."""
    aws._record = None
    volume_id = volume_of(journal)
    aws.call("ec2", "create_tags", target=volume_id, Resources=[volume_id], Tags=[{"Key": "a", "Value": "b"}])

    wait_until(lambda: told(journal)[0] == 3, "the call is found")

    output = told(journal)[1]
    assert "in CloudTrail only, by this run" in output
    assert output.splitlines()[-1] == "differs"


def test_a_run_from_before_the_history_is_refused(sandbox, tmp_path):
    """Ninety days later nothing can be asked: it says so, and where to look."""
    old = Journal(tmp_path / "20250101T000000Z-guestbook-0abc", lambda: datetime(2025, 1, 1, tzinfo=UTC))
    old.write("parameters.yaml", sandbox.parameters_path.read_text("utf-8"))
    old.append("run-opened", run_id=old.run_id)
    code, output = told(old)
    assert (code, "keeps 90 days" in output) == (3, True)


def test_an_auditor_asks_as_themselves(sandbox, journal, tmp_path):
    """With a profile of one's own the role of the parameters is not assumed; without one it is."""
    parameters = yaml.safe_load((journal.folder / "parameters.yaml").read_text("utf-8"))
    parameters["migration"]["aws"]["role_arn"] = "arn:aws:iam::012345678901:role/operator"
    journal.write("parameters.yaml", yaml.safe_dump(parameters))
    own = tmp_path / "own"
    own.write_text((sandbox.state_dir / "credentials").read_text("utf-8").replace("[sandbox]", "[auditor]"), "utf-8")

    def assumed():
        return [one for one in sandbox.control("GET", "/_sandbox/calls") if one["operation"] == "AssumeRole"]

    before = len(assumed())
    told(journal, "--profile", "auditor", "--credentials-file", str(own))
    assert len(assumed()) == before
    told(journal)
    assert len(assumed()) == before + 1


def test_more_events_than_one_page_are_read(sandbox, aws, journal, wait_until):
    """Fifty come at once; the rest is asked for."""
    for number in range(55):
        aws.call("ecs", "create_cluster", target=f"c{number}", clusterName=f"c{number}")
    window = window_of(journal.events())

    def made():
        return [one for one in changes_between(aws, window.begin, window.end) if one["operation"] == "CreateCluster"]

    wait_until(lambda: len([one for one in made() if journal.run_id in one["user_agent"]]) >= 55, "every page is read")


def test_a_role_session_shows_its_source_identity(sandbox, journal, wait_until):
    """The run id is session name and source identity, and CloudTrail tells both with each call."""
    aws = sandbox.session(role_arn="arn:aws:iam::012345678901:role/operator", run_id=journal.run_id)
    aws.call("ecs", "create_cluster", clusterName="by-role")
    window = window_of(journal.events())

    def told_of_it():
        found = changes_between(aws, window.begin, window.end)
        return [(one["who"], one["source_identity"]) for one in found if "by-role" in one["names"]]

    wait_until(told_of_it, "the call is in the trail")
    arn = f"arn:aws:sts::012345678901:assumed-role/operator/{journal.run_id}"
    assert told_of_it() == [(arn, journal.run_id)]

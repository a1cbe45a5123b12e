"""The main job, end to end: planned, migrated, run again, retired."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runbook_lib.parameters import load
from runbook_lib.procedures import rehearse_on_clone
from runbook_lib.run_lease import lease_of
from tests import nursery
from tests.conftest import RunningSandbox
from tests.migration.conftest import mutating_calls, only_run, report_of, run_command
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SKIPPED = {"rexray": [], "host_mount": [step.step_id for step in rehearse_on_clone.STEPS[1:]]}
"""What a plan has no need of: host_mount knows the data volume only, and cannot mount a clone."""
with_both = pytest.mark.drivers("rexray", "host_mount")
"""The migration itself and what it must leave behind, in every test run."""


@pytest.fixture(scope="module")
def sandbox(driver, tmp_path_factory):
    """Return a sandbox whose volume also has a user's directory `data`, which the plugin by default makes its own."""
    folder = tmp_path_factory.mktemp("sandbox")
    running = RunningSandbox(nursery.start(folder, latency="fast", estate_options=("data-directory",)), driver)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def parameters(sandbox, tmp_path_factory):
    """Return the sandbox's parameters file with an archive of its own and no bake time."""
    folder = tmp_path_factory.mktemp("migration")
    document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    document["migration"].setdefault("policy", {})["bake_time_s"] = 0
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


@pytest.fixture(scope="module")
def planned(sandbox, parameters):
    """Plan the whole migration with the client at rest; return how it ended and the sandbox's state around it."""
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    before = sandbox.control("GET", "/_sandbox/state")
    ended = run_command("run", "all", "-f", parameters, "--reason", "test")
    after = sandbox.control("GET", "/_sandbox/state")
    folder = only_run(parameters.parent / "runs")
    sandbox.control("POST", "/_sandbox/client", {"running": True})
    return ended, before, after, folder


@pytest.fixture(scope="module")
def migrated(sandbox, parameters):
    """Migrate, while the client writes; return how it ended and the run folder."""
    archive = parameters.parent / "runs"
    before = set(archive.glob("*/journal.jsonl"))
    ended = run_command("run", "all", "-f", parameters, "--execute", "--reason", "CHG-1", timeout_s=500)
    (journal,) = set(archive.glob("*/journal.jsonl")) - before
    return ended, journal.parent


def test_without_execute_every_step_is_planned(planned, driver):
    """A run without --execute ends with 0 and reports every step as planned, or as having nothing to do."""
    ended, _, _, folder = planned
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert report["status"] == "planned"
    assert {step["status"] for step in report["steps"]} <= {"planned", "skipped"}
    assert [step["id"] for step in report["steps"] if step["status"] == "skipped"] == SKIPPED[driver]
    assert len(report["steps"]) == 44


def test_without_execute_nothing_changes(planned):
    """The sandbox's whole state, file contents included, is the same before and after."""
    _, before, after, _ = planned
    assert after == before


@with_both
def test_the_migration_succeeds(migrated):
    """It ends with 0 and says the outage in seconds and where the report is."""
    ended, folder = migrated
    assert ended.exit_code == 0, ended.output
    assert str(folder / "report.html") in ended.output.replace("\n", "")
    assert "unavailable for" in ended.output


@with_both
def test_the_report_has_the_fields_of_the_contract(migrated):
    """report.json says succeeded, identical data, the outage, the volume, the rollback point."""
    _, folder = migrated
    report = report_of(folder)
    assert report["status"] == "succeeded"
    assert report["data"]["identical"] is True
    assert report["data"]["files"] > 10
    assert 0 < report["outage_s"] <= report["outage_budget_s"]
    assert report["evidence_grade"] == "simulated host"
    assert report["rollback_point"]["id"].startswith(("snap-", "vol-"))
    assert report["volume"]["filesystem_uuid"]
    assert report["terraform"]["destroy"] == 0
    required = {
        "schema_version", "run_id", "name", "status", "started_utc", "finished_utc", "operator", "reason", "execute",
        "evidence_grade", "outage_s", "outage_budget_s", "steps", "data", "volume", "terraform", "approvals",
        "rollback_point",
    }  # fmt: skip
    assert required <= set(report)
    assert {"files", "bytes", "manifest_before", "manifest_after", "identical"} <= set(report["data"])
    assert {"id", "notebook", "status", "started_utc", "duration_s", "before", "after", "error"} <= set(
        report["steps"][0]
    )


@with_both
def test_no_check_shows_how_python_writes_a_value(migrated):
    """Expected and observed are words: no quotes in braces or brackets, no None, True or False."""
    _, folder = migrated
    shown = [
        (c["check_id"], c[key])
        for s in report_of(folder)["steps"]
        for c in s["checks"]
        for key in ("expected", "observed")
    ]
    assert len(shown) > 100
    assert [one for one in shown if re.search(r"[\[{(]'|\{\}|\b(None|True|False)\b", one[1])] == []


@with_both
def test_every_acknowledged_write_is_there(migrated, sandbox, wait_until):
    """Whatever the client had an answer for is in the database on ECS."""
    facts = sandbox.control("GET", "/_sandbox/client")
    assert facts["missing"] == 0
    assert facts["acknowledged"] > 100
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
        "the client writes through the service on ECS",
    )


@with_both
def test_it_is_the_same_volume(migrated, sandbox, parameters):
    """The volume of the parameters is attached to a container instance, and no other data volume was made from it."""
    volume_id = yaml.safe_load(parameters.read_text())["migration"]["volume"]["volume_id"]
    source_id = yaml.safe_load(parameters.read_text())["migration"]["source"]["instance_id"]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert [a["State"] for a in volume["Attachments"]] == ["attached"]
    assert volume["Attachments"][0]["InstanceId"] != source_id


@with_both
def test_only_one_host_says_to_have_the_volume(migrated, sandbox, parameters, driver):
    """After restart and replacement the attribute is on the host that holds the volume, and on no other."""
    volume_id = yaml.safe_load(parameters.read_text())["migration"]["volume"]["volume_id"]
    ecs = sandbox.client("ecs")
    arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
    said = {one["ec2InstanceId"]: {a["name"]: a.get("value") for a in one["attributes"]} for one in found}
    marked = [host for host, attributes in said.items() if attributes.get("runbook.mounted") == volume_id]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    holders = [attachment["InstanceId"] for attachment in volume["Attachments"]]
    assert marked == (holders if driver == "host_mount" else [])  # nobody else has a host that says so


@with_both
def test_the_record_is_whole(migrated):
    """sha256sum -c accepts the sealed folder, and the parameters in it load again."""
    _, folder = migrated
    done = subprocess.run(
        ["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert run_command("verify", folder).exit_code == 0
    assert not list(folder.rglob("plan.bin"))


def test_notebooks_are_kept_with_their_outputs(migrated):
    """Each notebook was executed once and its cells are completed, or skipped where the step had nothing to do."""
    _, folder = migrated
    notebooks = sorted(path.name for path in (folder / "notebooks").glob("*.ipynb"))
    assert [name.split(".")[0][:2] for name in notebooks] == ["00", "10", "20", "25", "30", "40", "45"]
    for path in (folder / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        told = {c["id"]: c["metadata"]["papermill"]["status"] for c in code}
        assert set(told.values()) <= {"completed", "skipped"}
        steps = {s["id"]: s["status"] for s in report_of(folder)["steps"] if s["notebook"] == path.name.split(".")[0]}
        assert {name for name in told if told[name] == "skipped"} == {i for i in steps if steps[i] == "skipped"}


def test_a_look_for_drift_finds_nothing_and_holds_nothing(migrated, sandbox, parameters, tmp_path):
    """64 ends with 0 beside the service while somebody else holds the volume; it made no call that changes anything."""
    known = len(mutating_calls(sandbox))
    other = lease_of(load(str(parameters)), "20260101T000000Z-guestbook-0abc")
    other.acquire()
    try:
        ended = run_command("run", "64", "-f", parameters, "--execute", "--reason", "scheduled")
    finally:
        other.release()
    assert ended.exit_code == 0, ended.output
    calls = [call["operation"] if "runbook" in call["user_agent"] else "" for call in mutating_calls(sandbox)]
    assert ({*calls[:known]} > {"DetachVolume"}, {*calls[known:]} - {""}) == (True, set())
    (findings,) = parameters.parent.glob("runs/*/evidence/drift.json")
    assert json.loads(findings.read_text("utf-8")) == []
    assert report_of(findings.parents[1])["status"] == "succeeded"


def test_a_backup_is_taken_restored_and_removed_again(migrated, sandbox, parameters, wait_until):
    """63 beside the service: a consistent snapshot that was restored once, nothing of the drill left, every write."""
    ended = run_command("run", "63", "-f", parameters, "--execute", "--reason", "nightly")
    assert ended.exit_code == 0, ended.output
    ec2, ecs = sandbox.client("ec2"), sandbox.client("ecs")
    (taken,) = ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": ["runbook:backup"]}])[
        "Snapshots"
    ]
    tags = {tag["Key"]: tag["Value"] for tag in taken["Tags"]}
    assert (tags["runbook:consistency"], tags["runbook:drill"]) == ("freeze", "passed")
    copies = ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["runbook:drill"]}])["Volumes"]
    assert [one["VolumeId"] for one in copies if one["State"] not in {"deleting", "deleted"}] == []
    assert len(ecs.list_tasks(cluster="guestbook")["taskArns"]) == 1
    facts = sandbox.control("GET", "/_sandbox/client")
    assert facts["missing"] == 0
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"], "the client writes"
    )


def test_running_again_skips_what_is_done(migrated, parameters):
    """The cutover's notebook, run again from the top in the same run, changes nothing."""
    _, folder = migrated
    ended = run_command("run", "30", "-f", parameters, "--execute", "--run-id", folder.name)
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert report["status"] == "succeeded"
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    last_start = max(e["seq"] for e in journal if e["kind"] == "notebook-started")
    again = [e for e in journal if e["kind"] == "step" and e["seq"] > last_start]
    assert {e["status"] for e in again} == {"skipped"}, [(e["step_id"], e["status"]) for e in again]
    assert [e for e in journal if e["kind"] == "api-call" and e["seq"] > last_start and e["service"] != "ssm"] == []


@with_both
def test_terraform_stays_empty(migrated, sandbox, parameters, keep_provider):
    """Provisioning again in a new run finds nothing to change, adopted volume included."""
    keep_provider(sandbox)
    before = set((parameters.parent / "runs").iterdir())
    with unchanged(sandbox):  # the volume has left the source: 00 refuses, and says so
        assert run_command("run", "00", "10", "-f", parameters, "--execute").exit_code == 3
    ended = run_command("run", "10", "-f", parameters, "--execute")
    assert ended.exit_code == 0, ended.output
    new = set((parameters.parent / "runs").iterdir()) - before
    steps = {
        s["id"]: s["status"] for folder in new if (folder / "report.json").exists() for s in report_of(folder)["steps"]
    }
    assert steps["provision-target"] == "skipped"


def test_a_plan_that_would_replace_the_volume_is_refused(migrated, sandbox, parameters, keep_provider, tmp_path):
    """A volume of another zone in the parameters would replace the adopted one: exit 3, the fix, nothing changed."""
    keep_provider(sandbox)
    other = sandbox.client("ec2").create_volume(AvailabilityZone="us-east-1b", Size=4)["VolumeId"]
    document = yaml.safe_load(parameters.read_text("utf-8"))
    document["migration"]["volume"]["volume_id"] = other
    document["migration"]["archive"]["directory"] = str(tmp_path / "runs")
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    with unchanged(sandbox):
        ended = run_command("run", "10", "-f", file, "--execute")
    assert ended.exit_code == 3, ended.output
    flat = " ".join(ended.output.split())
    assert "aws_ebs_volume.data" in flat, ended.output
    assert "Nothing was changed" in flat, ended.output
    sandbox.client("ec2").delete_volume(VolumeId=other)


def test_plain_papermill_works(migrated, parameters, tmp_path):
    """`papermill notebook out -f parameters` runs a notebook as it is, without our command line."""
    notebook = Path(__file__).resolve().parents[2] / "notebooks" / "20_snapshot_volume.ipynb"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("papermill")), "--no-progress-bar", "--engine", "runbook",
            "--cwd", str(notebook.parent), "-f", str(parameters), str(notebook), str(tmp_path / "out.ipynb"),
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "create-hot-snapshot" in (tmp_path / "out.ipynb").read_text("utf-8")


def test_retiring_waits_for_the_bake_time_and_then_stops_the_source(migrated, sandbox, parameters):
    """50 succeeds once persistence is verified, the rollback point complete and the bake time over."""
    _, folder = migrated
    ended = run_command("run", "50", "-f", parameters, "--execute", "--run-id", folder.name)
    assert ended.exit_code == 0, ended.output
    source_id = yaml.safe_load(parameters.read_text())["migration"]["source"]["instance_id"]
    (reservation,) = sandbox.client("ec2").describe_instances(InstanceIds=[source_id])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "stopped"


def run_anew(parameters, *notebooks):
    """Run notebooks in a new run of the same archive; return how it ended and the run's folder."""
    archive = parameters.parent / "runs"
    before = set(archive.glob("*/journal.jsonl"))
    ended = run_command("run", *notebooks, "-f", parameters, "--execute", "--reason", "CHG-2")
    (journal,) = set(archive.glob("*/journal.jsonl")) - before
    return ended, journal.parent


def moved_once(ended, folder, sandbox):
    """Check that a notebook moved the task once, and lost nothing."""
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert (report["status"], report["data"]["identical"]) == ("succeeded", True)
    assert 0 < report["outage_s"] <= report["outage_budget_s"]
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0


def test_hosts_of_the_newest_image_take_the_service_over(migrated, sandbox, parameters, keep_provider):
    """60: one host of the newest image, which holds the volume; the former one is gone; nothing is lost."""
    keep_provider(sandbox)
    newest = sandbox.control("POST", "/_sandbox/machine-images/publish", {})["image_ids"][0]
    ended, folder = run_anew(parameters, "60")
    moved_once(ended, folder, sandbox)
    ecs, ec2 = sandbox.client("ecs"), sandbox.client("ec2")
    arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
    (host,) = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
    assert {a["name"]: a.get("value") for a in host["attributes"]}["ecs.ami-id"] == newest
    volume_id = yaml.safe_load(parameters.read_text())["migration"]["volume"]["volume_id"]
    (volume,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert [attachment["InstanceId"] for attachment in volume["Attachments"]] == [host["ec2InstanceId"]]
    kept = json.loads((folder / "evidence" / "host-image.json").read_text("utf-8"))
    assert kept["ami_id"] == newest
    assert kept["former_ami_id"] not in {"", newest}


def test_another_image_is_deployed_by_its_digest(migrated, sandbox, parameters, keep_provider):
    """61: a tag is pulled and resolved, the task names the digest, the former image is kept for the way back."""
    keep_provider(sandbox)
    document = yaml.safe_load(parameters.read_text("utf-8"))
    document["migration"]["target"]["image"] = "registry.sandbox/guestbook:1.1"
    file = parameters.with_name("image.yaml")
    file.write_text(yaml.safe_dump(document), "utf-8")
    ended, folder = run_anew(file, "61")
    moved_once(ended, folder, sandbox)
    ecs = sandbox.client("ecs")
    (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    kept = {name: json.loads((folder / "evidence" / f"{name}.json").read_text("utf-8")) for name in ("deployment",
            "deployed-image")}  # fmt: skip
    assert definition["containerDefinitions"][0]["image"] == kept["deployed-image"]["image"]
    assert kept["deployed-image"]["image"].startswith("registry.sandbox/guestbook@sha256:")
    assert kept["deployment"]["image"].startswith("registry.sandbox/guestbook@sha256:")
    assert kept["deployment"]["image"] != kept["deployed-image"]["image"]

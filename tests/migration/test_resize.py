"""A service gets a larger volume and another host; what does not fit is refused, what fails is taken back or told."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
import yaml

from tests.migration.conftest import RUNBOOK, report_of, run_command
from tests.migration.test_day_two import Service, statuses
from tests.running_provider import RunningProvider
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
FORMER, LARGER = "t3.small", "t3.medium"


class Resizable(Service):
    """A migrated service in a sandbox, whose volume may be asked to be another."""

    def run(self, *notebooks, volume=None, **how):
        """Run notebooks in a new run, with other values below `volume` as well."""
        kept = self.migration
        self.migration = kept | {"volume": kept["volume"] | (volume or {})}
        try:
            return super().run(*notebooks, **how)
        finally:
            self.migration = kept

    @property
    def folder(self):
        """Where its archive is."""
        return self._folder

    @property
    def environment(self):
        """What lets Terraform use the running provider."""
        return self._environment

    @property
    def volume_id(self):
        """The volume."""
        return self.migration["volume"]["volume_id"]

    def volume(self):
        """Return size, type and IOPS of the volume, and the size of its filesystem."""
        (found,) = self.sandbox.client("ec2").describe_volumes(VolumeIds=[self.volume_id])["Volumes"]
        kept = json.loads((self.sandbox.state_dir / "volumes" / self.volume_id / "volume.json").read_text("utf-8"))
        filesystem = kept.get("fs_gib", kept["size_gib"])
        return found["Size"], found["VolumeType"], found["Iops"], filesystem

    def is_modified(self, *states):
        """Return whether the newest modification is in one of some states."""
        found = self.sandbox.client("ec2").describe_volumes_modifications(VolumeIds=[self.volume_id])
        return found["VolumesModifications"][0]["ModificationState"] in states


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory):
    """Return a migrated service whose volume Terraform owns."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Resizable(sandbox, folder, provider.environment)
        ended, _ = made.run("00", "10", "20", "30", "45")
        assert ended.exit_code == 0, ended.output
        yield made


def host_types(service):
    """Return the instance type of each host."""
    found = service.sandbox.client("ec2").describe_instances(InstanceIds=list(service.facts()["machines"]))
    return [one["InstanceType"] for group in found["Reservations"] for one in group["Instances"]]


def flat(ended):
    """Return what a command printed, without its line breaks."""
    return " ".join(ended.output.split())


def test_what_runs_already_is_left_alone(service):
    """On the type that runs, one of several is enough: every step says that it is already so."""
    with unchanged(service.sandbox):
        ended, folder = service.run("62")
    assert (ended.exit_code, statuses(folder)) == (0, {"skipped"}), ended.output


def test_a_plan_changes_nothing(service):
    """Without --execute all is planned: growth without a way back, move with an outage; the world is as before."""
    size = service.volume()[0]
    with unchanged(service.sandbox):
        ended, folder = service.run("62", execute=False, instance_types=[LARGER], volume={"size_gib": size + 1})
    assert ended.exit_code == 0, ended.output
    assert statuses(folder) <= {"planned", "skipped"}
    text = (folder / "journal.jsonl").read_text("utf-8")
    assert f"The host is a {FORMER} and shall be a {LARGER}" in text
    assert f"size_gib {size} to {size + 1}" in text
    assert "There is no way back from a size" in text


@pytest.mark.parametrize(
    ("types", "check"),
    [(["t3.nano"], "instance-type-memory-fits"), (["t2.medium"], "instance-type-nvme"),
     (["zz9.large"], "instance-type-offered")],
)  # fmt: skip
def test_a_type_that_does_not_fit_is_refused(service, types, check):
    """Too small, without NVMe, or not there: exit 3 before anything was changed, the check and the type named."""
    with unchanged(service.sandbox):
        ended, _ = service.run("62", instance_types=types, memory_mib=None)
    assert ended.exit_code == 3, ended.output
    assert check in flat(ended)
    assert types[0] in flat(ended)


def test_without_capacity_nothing_has_changed(service, wait_until):
    """The zone has no such instance to give: exit 4, and service, host, volume and group are as they were."""
    before = service.facts()
    service.fault("capacity", target=LARGER)
    ended, _ = service.run("62", instance_types=[LARGER])
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert "InsufficientInstanceCapacity" in flat(ended)
    assert "Changed: no" in flat(ended)
    assert service.facts() == before
    service.serves_every_write(wait_until)


def test_the_host_is_resized_and_resized_back(service, wait_until):
    """To the larger type with one outage; again: nothing to do; back by the type that the run kept; the plan empty."""
    before = service.facts()
    ended, there = service.run("62", instance_types=[LARGER])
    assert ended.exit_code == 0, ended.output
    assert host_types(service) == [LARGER]
    ended, again = service.run("62", instance_types=[LARGER])
    assert (ended.exit_code, statuses(again)) == (0, {"skipped"}), ended.output
    former = json.loads((there / "evidence" / "host-size.json").read_text("utf-8"))["former_instance_type"]
    assert former == FORMER
    ended, back = service.run("62", instance_types=[former])
    assert ended.exit_code == 0, ended.output
    after = service.facts()
    assert host_types(service) == [FORMER]
    assert after["holder"] == list(after["machines"])
    assert (after["wanted"], after["revision"]) == (before["wanted"], before["revision"])
    for folder in (there, back):
        report = report_of(folder)
        assert (report["status"], report["data"]["identical"]) == ("succeeded", True)
        assert 0 < report["outage_s"] <= report["outage_budget_s"]
        assert {s["id"]: s["status"] for s in report["steps"]}["verify-plan-after-resize"] == "skipped"
    service.serves_every_write(wait_until)


def test_a_second_task_is_refused_with_the_reason(service):
    """The container writes to the volume: exit 3, it is named, and nothing was changed."""
    with unchanged(service.sandbox):
        ended, _ = service.run("62", autoscaling={"max_tasks": 3})
    assert ended.exit_code == 3, ended.output
    assert "guestbook writes to the volume: a second task would be a second writer" in flat(ended)


def test_a_volume_is_never_made_smaller(service):
    """Exit 3, with the reason, and nothing was changed."""
    with unchanged(service.sandbox):
        ended, _ = service.run("62", volume={"size_gib": service.volume()[0] - 1})
    assert ended.exit_code == 3, ended.output
    assert "EBS never makes a volume smaller" in flat(ended)


def test_a_volume_that_is_still_optimizing_is_left_alone(service, wait_until):
    """Somebody else's modification is not over: exit 3 before anything was changed, with its state; later it goes."""
    kind = service.volume()[1]
    service.fault("long-optimizing", target=service.volume_id)
    other = {"gp3": {"Throughput": 130}, "gp2": {"VolumeType": "gp3"}}[kind]
    service.sandbox.client("ec2").modify_volume(VolumeId=service.volume_id, **other)
    wait_until(lambda: service.is_modified("optimizing"), "it is optimizing")
    with unchanged(service.sandbox):
        ended, _ = service.run("62", volume={"iops": 3500})
    service.mend()
    assert ended.exit_code == 3, ended.output
    assert "volume-not-being-modified: expected no modification under way, observed optimizing" in flat(ended)
    wait_until(lambda: service.is_modified("completed"), "it is completed")
    ended, _ = service.run("62", volume={"iops": 3500})
    assert ended.exit_code == 0, ended.output
    assert service.volume()[2] == 3500


def test_a_modification_that_fails_leaves_the_volume(service, wait_until):
    """Exit 4, nothing has changed, and the service never noticed."""
    before = service.volume()
    service.fault("modification-error", target=service.volume_id)
    ended, _ = service.run("62", volume={"size_gib": before[0] + 1})
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert "the modification failed" in flat(ended)
    assert "Changed: no" in flat(ended)
    assert service.volume() == before
    service.serves_every_write(wait_until)


def test_a_filesystem_that_does_not_grow_is_told_and_grows_later(service, wait_until):
    """Exit 4: the volume is larger, the filesystem as it was, both told; resumed, it grows, without an outage."""
    size, kind, iops, filesystem = service.volume()
    service.fault("grow-error", target=service.volume_id)
    ended, folder = service.run("62", volume={"size_gib": size + 1})
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert "the filesystem has not grown" in flat(ended)
    assert "Changed: yes" in flat(ended)
    assert service.volume() == (size + 1, kind, iops, filesystem)
    service.serves_every_write(wait_until)
    ended = run_command("resume", folder.name, "--directory", folder.parent, **service.environment)
    assert ended.exit_code == 0, ended.output
    assert service.volume() == (size + 1, kind, iops, size + 1)
    report = report_of(folder)
    assert (report["data"]["identical"], report["outage_s"]) == (True, None)


def test_a_run_that_was_killed_while_the_volume_changed_is_resumed(service, wait_until):
    """Its modification goes on by itself; the resumed run finds it, grows the filesystem, and asks for no other."""
    size, archive = service.volume()[0], service.folder / "runs"
    service.fault("slow-api", operation="DescribeVolumesModifications", seconds=2)
    document = {"migration": service.migration | {"volume": service.migration["volume"] | {"size_gib": size + 1}}}
    file = service.folder / "killed.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    before = set(archive.glob("*/journal.jsonl"))
    words = [str(RUNBOOK), "run", "62", "-f", str(file), "--execute", "--reason", "CHG-1"]
    with subprocess.Popen(
        words, env=os.environ | service.environment, start_new_session=True, stdout=subprocess.DEVNULL
    ) as running:
        wait_until(lambda: service.volume()[0] == size + 1, "the volume is modified", 120)
        (journal,) = set(archive.glob("*/journal.jsonl")) - before
        holders = [json.loads(line) for line in journal.read_text("utf-8").splitlines() if '"lease"' in line]
        os.kill(next(one["holder"]["pid"] for one in holders if "holder" in one), signal.SIGKILL)
        os.killpg(running.pid, signal.SIGKILL)
    service.mend()
    folder = journal.parent
    ended = run_command("resume", folder.name, "--directory", archive, **service.environment)
    assert ended.exit_code == 0, ended.output
    assert service.volume()[::3] == (size + 1, size + 1)
    calls = [json.loads(line) for line in journal.read_text("utf-8").splitlines() if '"ModifyVolume"' in line]
    assert len([one for one in calls if one["kind"] == "api-call"]) <= 1
    service.serves_every_write(wait_until)


def test_volume_and_host_are_resized_in_one_run(service, wait_until):
    """First the volume without an outage, then the host with one; Terraform, which owns the volume, plans nothing."""
    size, kind, iops, _ = service.volume()
    ended, folder = service.run("62", volume={"size_gib": size + 2, "iops": 3000}, instance_types=[LARGER])
    assert ended.exit_code == 0, ended.output
    assert (service.volume(), host_types(service)) == ((size + 2, kind, 3000, size + 2), [LARGER])
    report = report_of(folder)
    assert report["data"]["identical"] is True
    assert {one["phase"] for one in report["data"]["comparisons"]} >= {"after-growth", "after"}
    steps = {step["id"]: step["status"] for step in report["steps"]}
    assert (steps["modify-volume"], steps["grow-filesystem"]) == ("succeeded", "succeeded")
    assert steps["verify-plan-after-resize"] == "skipped"
    with unchanged(service.sandbox):
        ended, again = service.run("62", volume={"size_gib": size + 2, "iops": 3000}, instance_types=[LARGER])
    assert (ended.exit_code, statuses(again)) == (0, {"skipped"}), ended.output
    former = json.loads((folder / "evidence" / "volume-size.json").read_text("utf-8"))
    assert (former["size_gib"], former["iops"]) == (size, iops)
    service.serves_every_write(wait_until)

"""A service gets another host size; what does not fit is refused, what fails is taken back."""

from __future__ import annotations

import json

import pytest

from tests.migration.conftest import report_of
from tests.migration.test_day_two import Service, statuses
from tests.running_provider import RunningProvider
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
FORMER, LARGER = "t3.small", "t3.medium"


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory):
    """Return a migrated service whose volume Terraform owns."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Service(sandbox, folder, provider.environment)
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
    """Without --execute everything is planned, the move with its outage, and the world is as it was."""
    with unchanged(service.sandbox):
        ended, folder = service.run("62", execute=False, instance_types=[LARGER])
    assert ended.exit_code == 0, ended.output
    assert statuses(folder) <= {"planned", "skipped"}
    assert f"The host is a {FORMER} and shall be a {LARGER}" in (folder / "report.md").read_text("utf-8")


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

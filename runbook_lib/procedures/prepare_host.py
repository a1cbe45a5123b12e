"""Before a change of driver or host: one host more, set up as the parameters say, while the first one serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError, TakenBackError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_plan import PREPARE, PROVISION_ID
from runbook_lib.procedures.provision_target import observe_registration, verify_registration
from runbook_lib.procedures.storage_drivers import CHANGE, is_settled, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

LAUNCH_ID = "launch-container-instance"
LAUNCH_IDS = (LAUNCH_ID, "launch-patched-instance", "launch-resized-instance", "launch-host-for-restore")
"""This step, by its name in 65, 60, 62 and 70."""
_IN_SERVICE = ("Pending", "InService")
_LAUNCH_S, _READY_S, _POLL_S = 300.0, 900.0, 0.5


def _observe(run: Run) -> dict[str, Any]:
    """Return which hosts are ready for the wanted driver, and which are on their way."""
    drivers = observe_drivers(run)
    group_name = run.evidence(CHANGE)["group"]
    group = run.container_hosts.group(group_name)
    staying = {one for one, state in group["members"].items() if state.startswith(_IN_SERVICE)}
    idle = [
        host["container_instance_arn"]
        for host in drivers["hosts"]
        if host["instance_id"] not in drivers["former"]
        and host["instance_id"] in staying
        and host["status"] == "DRAINING"
    ]
    return {
        **observe_registration(run, without=drivers["former"]),
        "drivers": drivers,
        "group_name": group_name,
        "group": group,
        "idle": idle,
        "staying": sorted(staying),
        "coming": sorted(staying - set(drivers["former"])),
    }


def _launch_problem(run: Run, group_name: str) -> str:
    """Return why the instance that this run has asked for does not come, "" when it asked for none."""
    asked = [run.journal.last("step", step_id=one, status="running") for one in LAUNCH_IDS]
    times = [event.at_utc for event in asked if event is not None]
    return run.container_hosts.launch_problem(group_name, run.clock.parse(max(times))) if times else ""


def _is_ready(facts: Facts) -> bool:
    ready = len(facts["hosts"]) == 1 and all(check["passed"] for check in facts["host_checks"])
    return ready or is_settled(facts["drivers"])


def _plan(facts: Facts) -> str:
    if facts["idle"]:
        return f"Let {len(facts['idle'])} container instance set up for {facts['drivers']['wanted']} take tasks again."
    return f"Launch a container instance set up for {facts['drivers']['wanted']} beside the one that serves."


def _check(facts: Facts) -> Sequence[Check]:
    group, wanted = facts["group"], len(facts["staying"]) + 1
    return (
        Check(
            "group-takes-one-more",
            passed=bool(facts["coming"]) or wanted <= group["max_size"],
            expected=f"a group of at most {group['max_size']} instances that wants fewer",
            observed=f"wants {group['desired']}",
            why="the next host must be up before the outage begins",
            fix="wait until an instance refresh is over; then run again",
            needs=PROVISION_ID,
        ),
    )


def _launch(run: Run, before: Facts) -> None:
    """Use a host of the wanted driver that drains, else launch one from the newest launch template.

    Auto Scaling goes on trying when the Availability Zone has no capacity: then the group wants as many as before. And
    a host that does not become ready would be waited for in every run to come: it is ended.
    """
    if before["idle"]:
        run.container_hosts.set_status(list(before["idle"]), "ACTIVE")
        return
    if not before["coming"]:
        run.container_hosts.set_desired(before["group_name"], len(before["staying"]) + 1)
        _wait_for_member(run, before)
    _wait_until_ready(run)


def _wait_for_member(run: Run, before: Facts) -> None:
    """Wait until the group has one member more; take the launch back when Auto Scaling says that it failed."""
    group_name, staying = before["group_name"], before["staying"]
    deadline = run.clock.monotonic() + _LAUNCH_S
    while run.clock.monotonic() < deadline:
        members = run.container_hosts.group(group_name)["members"]
        if {one for one, state in members.items() if state.startswith(_IN_SERVICE)} - set(staying):
            return
        if problem := _launch_problem(run, group_name):
            run.container_hosts.set_desired(group_name, len(staying))
            raise TakenBackError(
                f"no instance could be launched: {problem} The service, its host and the volume are as they were, and "
                f"the group wants {len(staying)} again. Run again when there is capacity, or with other "
                "target.instance_types"
            )
        run.clock.sleep(_POLL_S)


def _wait_until_ready(run: Run) -> None:
    """Wait until the next host can take the task; end it when its boot failed, or when it takes too long.

    A host that has the volume is never ended here, whatever it says of its boot: something may write to it.
    """
    deadline = run.clock.monotonic() + _READY_S
    while not _is_ready(facts := _observe(run)):
        coming = [one for one in facts["coming"] if one != facts["drivers"]["volume"]["holder"]]
        problems = {one: _boot_problem(run, one) for one in coming}
        useless = [one for one, problem in problems.items() if problem]
        is_late = run.clock.monotonic() >= deadline
        if is_late:
            useless = coming
        for instance_id in useless:
            run.container_hosts.remove(instance_id)
        if useless:
            why = "; ".join(f"{one} did not become ready: {problems[one] or facts['boot']}" for one in useless)
            raise TakenBackError(
                f"{why}. The service, its host and the volume are as they were; what was launched was ended, and the "
                "group wants as many as before. Mend what the boot says; then run again"
            )
        if is_late:
            return  # the step's own verification says what is missing
        run.clock.sleep(_POLL_S)


def _boot_problem(run: Run, instance_id: str) -> str:
    """Return why the boot of an instance failed, "" while it goes on, or when it did not."""
    try:
        boot = run.host(instance_id).run("read_boot", lines=3)
    except HostCommandError:  # not yet reachable: the deadline decides
        return ""
    if boot["cloud_init"]["status"] != "error":
        return ""
    return f"cloud-init says {boot['cloud_init']['errors'] or 'error'}; its log ends: {' | '.join(boot['boot_log'])}"


def _verify(before: Facts, after: Facts) -> Sequence[Check]:
    hosts = [host["instance_id"] for host in after["hosts"]]
    return (
        *verify_registration(before, after),
        Check(
            "one-host-ready",
            passed=len(hosts) == 1,
            expected=f"exactly one container instance set up for {after['drivers']['wanted']} beside the former one",
            observed=", ".join(hosts) or "none",
            why="the volume is verified on the host where the task will be placed",
            fix="wait until an instance refresh is over; of two hosts that stay, terminate the one without a task, the "
            "group wanting one fewer; then run again",
        ),
    )


LAUNCH_CONTAINER_INSTANCE = Step(
    LAUNCH_ID,
    PREPARE,
    "Launch a container instance that is set up for the other driver",
    _observe,
    _plan,
    _launch,
    is_done=_is_ready,
    check=_check,
    verify=_verify,
    timeout_s=900,
    poll_s=1.0,
    waits_for="the instance boots, prepares the storage driver and joins the cluster",
)

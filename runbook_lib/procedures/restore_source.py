"""Way back, source side: attach, mount, start compose, compare with the manifest of the cutover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks, compose
from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import SOURCE_DEVICE_TAG, observe_volume
from runbook_lib.procedures.outage import observe_outage, open_outage_utc
from runbook_lib.procedures.persistence import check_comparison, compare_with_before, service_start_ns, take_manifest
from runbook_lib.procedures.source_compose import read_compose
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "90_roll_back"
AFTER = "manifest-after-roll-back"
_DETACHES_S, _POLL_S = 60.0, 0.3


def _observe_attachment(run: Run) -> dict[str, Any]:
    return {"volume": observe_volume(run), "instance_id": run.parameters.source.instance_id}


def _is_attached(facts: Facts) -> bool:
    return checks.check_attached(facts["volume"], facts["instance_id"]).passed


def _has_attachment(volume: Facts, state: str) -> bool:
    return any(attachment["state"] == state for attachment in volume["attachments"])


def _check_attachment(facts: Facts) -> Sequence[Check]:
    volume = facts["volume"]
    return (
        Check(
            "no-detachment-hangs",
            passed=not (volume["on_source"] and _has_attachment(volume, "busy")),
            expected=f"{volume['volume_id']} attached to {facts['instance_id']}, or attached nowhere",
            observed=", ".join(f"{a['instance_id']} ({a['state']})" for a in volume["attachments"]) or "nowhere",
            why="a detachment that is busy neither ends nor goes back by itself",
            fix=checks.FINISH_DETACHMENT,
        ),
        Check(
            "volume-free",
            passed=volume["state"] == "available" or volume["on_source"],
            expected=f"{volume['volume_id']} attached nowhere",
            observed=f"{volume['state']} {volume['holder']}".strip(),
            why="two hosts must never hold it",
            fix="run 90_roll_back from the top",
            needs="stop-target-service",
        ),
    )


def _attach(run: Run, before: Facts) -> None:
    """Attach the volume to the source under the device name it had; it survives that instance from now on."""
    volume = _await_detachment(run, before["volume"])
    if volume["state"] == "available":
        run.ebs.attach_volume(volume["volume_id"], before["instance_id"], volume["tags"][SOURCE_DEVICE_TAG])


def _await_detachment(run: Run, volume: dict[str, Any]) -> dict[str, Any]:
    """Return the volume once a detachment is over that was under way: one that a killed cutover began, for example."""
    deadline = run.clock.monotonic() + _DETACHES_S
    while _has_attachment(volume, "detaching") and run.clock.monotonic() < deadline:
        run.clock.sleep(_POLL_S)
        volume = observe_volume(run)
    return volume


def _verify_attached(_before: Facts, after: Facts) -> Sequence[Check]:
    return (checks.check_attached(after["volume"], after["instance_id"]),)


def _observe_source(run: Run) -> dict[str, Any]:
    parameters = run.parameters
    listed = run.source_host.run("list_open_files", mount_path=parameters.volume.mount_path)
    project = read_compose(run)
    moved = compose.moving_services(project["config"], parameters)
    url = str(parameters.source.url)
    up = [c for c in project["containers"] if c["service"] in moved and c["status"] == "running"]
    running = [c["name"] for c in up]
    is_open = bool(open_outage_utc(run))
    outage = observe_outage(run, lambda: [url], up=bool(running))
    return {
        "mount_path": parameters.volume.mount_path,
        "mounted": listed["mounted"],
        "running": running,
        "serving": [c["name"] for c in up if c["service"] == parameters.source.service],
        "answers": outage["answers"] if is_open else run.reaches(url),
        "url": url,
        "on_source": observe_volume(run)["on_source"],
    }


def _is_mounted(facts: Facts) -> bool:
    return bool(facts["mounted"])


def _check_mount(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-on-source",
            passed=bool(facts["on_source"]),
            expected="the volume attached to the source",
            observed="attached" if facts["on_source"] else "elsewhere",
            fix="run 90_roll_back from the top",
            needs="attach-volume-to-source",
        ),
        Check(
            "nothing-runs-without-the-volume",
            passed=not facts["running"],
            expected=f"no container of the service while {facts['mount_path']} is not mounted",
            observed=", ".join(facts["running"]) or "none",
            why="the source was restarted, and compose started by itself on the empty directory: a mount would hide "
            "what it wrote there, and it would go on writing beside the volume",
            fix=f"docker compose stop on the source; copy what was written below {facts['mount_path']}; then run again",
        ),
    )


def _mount(run: Run, _before: Facts) -> None:
    """Mount the volume where and how it was mounted."""
    volume, attached = run.journal.last("volume"), observe_volume(run)
    fields = volume.fields if volume else {"filesystem_type": "", "filesystem_uuid": ""}
    recorded = run.evidence("source-host")["mount"] if run.journal.last("evidence", name="source-host") else None
    run.source_host.run(
        "mount_volume",
        timeout_s=300,
        volume_id=attached["volume_id"],
        mount_path=run.parameters.volume.mount_path,
        fstype=fields["filesystem_type"],
        options=recorded["options"] if recorded else "",
        device_name=attached["attachments"][0]["device_name"],
        filesystem_uuid=fields["filesystem_uuid"],
        wait_s=60,
    )


def _verify_mounted(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-mounted",
            passed=_is_mounted(after),
            expected=f"the volume mounted at {after['mount_path']}",
            observed="mounted" if after["mounted"] else "not mounted",
            fix="mount it by hand, then run again",
        ),
    )


def _is_source_up(facts: Facts) -> bool:
    return bool(facts["mounted"] and facts["serving"] and facts["answers"])


def _check_start(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-mounted",
            passed=_is_mounted(facts),
            expected=f"the volume mounted at {facts['mount_path']}",
            observed="mounted" if facts["mounted"] else "not mounted",
            why="compose would start on an empty directory and make a second set of data",
            fix="run 90_roll_back from the top",
            needs="mount-volume-on-source",
        ),
    )


def _start(run: Run, before: Facts) -> None:
    """Start the compose project with the restart policies it had."""
    source = run.parameters.source
    run.source_host.run(
        "start_compose",
        timeout_s=600,
        file=source.compose_file,
        project=source.compose_project,
        services=[],
        run_id=run.run_id,
        mount_path=before["mount_path"],
        wait_s=120,
    )


def _verify_source_up(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "compose-service-running",
            passed=bool(after["serving"]),
            expected="the compose service running",
            observed=", ".join(after["running"]) or "not running",
            fix="docker compose up -d on the source",
        ),
        Check(
            "service-answers",
            passed=bool(after["answers"]),
            expected=f"{after['url']} answers",
            observed="answers" if after["answers"] else "does not answer",
            fix="look at the container's log on the source",
        ),
    )


def _observe_source_data(run: Run) -> dict[str, Any]:
    """Compare the volume on the source with the manifest of the cutover, when the run got that far."""
    mount_path = run.parameters.volume.mount_path
    if run.journal.last("manifest", phase="before") is None:
        return {"comparison": None, "mounted": run.source_host.run("list_open_files", mount_path=mount_path)["mounted"]}
    try:
        take_manifest(run, run.source_host, AFTER, "after-roll-back", root=mount_path)
    except HostCommandError as error:
        return {"comparison": None, "mounted": False, "error": str(error)}
    return {"comparison": compare_with_before(run, AFTER, "after-roll-back", service_start_ns(run)), "mounted": True}


def _check_source_data(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-mounted",
            passed=bool(facts["mounted"]),
            expected="the volume mounted on the source",
            observed="mounted" if facts["mounted"] else facts.get("error", "not mounted"),
            fix="run 90_roll_back from the top",
            needs="mount-volume-on-source",
        ),
        *(check_comparison(facts["comparison"], "mount-volume-on-source") if facts["comparison"] else ()),
    )


def _plan_source_data(facts: Facts) -> str:
    if facts["comparison"] is None:
        return "This run took no manifest of a stopped volume: the volume never left the source unchanged."
    return f"{facts['comparison']['entries']} entries compared with the manifest of the cutover: identical."


ATTACH_VOLUME_TO_SOURCE = Step(
    "attach-volume-to-source",
    NOTEBOOK,
    "Attach the volume to the source",
    _observe_attachment,
    lambda facts: f"Attach {facts['volume']['volume_id']} to {facts['instance_id']}.",
    _attach,
    is_done=_is_attached,
    check=_check_attachment,
    verify=_verify_attached,
    timeout_s=180,
    waits_for="EC2 attaches the volume",
    in_outage=True,
)

MOUNT_VOLUME_ON_SOURCE = Step(
    "mount-volume-on-source",
    NOTEBOOK,
    "Mount the volume on the source",
    _observe_source,
    lambda facts: f"Mount the volume at {facts['mount_path']}.",
    _mount,
    is_done=_is_mounted,
    check=_check_mount,
    verify=_verify_mounted,
    in_outage=True,
)

START_SOURCE_SERVICE = Step(
    "start-source-service",
    NOTEBOOK,
    "Start the compose project",
    _observe_source,
    lambda _facts: "Start the compose project with the restart policies it had.",
    _start,
    is_done=_is_source_up,
    check=_check_start,
    verify=_verify_source_up,
    in_outage=True,
)

VERIFY_SOURCE_DATA = Step(
    "verify-source-data",
    NOTEBOOK,
    "Verify the data with the manifest of the cutover",
    _observe_source_data,
    _plan_source_data,
    check=_check_source_data,
)

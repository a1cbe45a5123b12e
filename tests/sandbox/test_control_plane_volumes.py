"""Volumes of the sandbox: every forbidden call is refused with its real error code, and states last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def hosts(account: Any) -> dict[str, str]:
    """Return a running instance in each zone."""
    return {zone: account.running(zone) for zone in ("us-east-1a", "us-east-1b")}


def _attach(account: Any, volume_id: str, instance_id: str, device: str = "/dev/sdf", **options: Any) -> Any:
    return account.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device, **options)


REFUSED_ATTACHMENTS: dict[str, tuple[Callable[..., Any], str]] = {
    "in another zone": (
        lambda account, hosts: _attach(account, account.available("us-east-1b"), hosts["us-east-1a"]),
        "InvalidVolume.ZoneMismatch",
    ),
    "when it is attached": (
        lambda account, hosts: _attach(account, account.attached(hosts["us-east-1a"], "/dev/sdg"), hosts["us-east-1a"]),
        "VolumeInUse",
    ),
    "while it is being created": (
        lambda account, hosts: _attach(account, account.create_volume(), hosts["us-east-1a"]),
        "IncorrectState",
    ),
    "at a device that is used": (
        lambda account, hosts: _attach(account, account.available(), hosts["us-east-1a"], "/dev/xvda"),
        "InvalidParameterValue",
    ),
    "at a device that cannot be": (
        lambda account, hosts: _attach(account, account.available(), hosts["us-east-1a"], "banana"),
        "InvalidParameterValue",
    ),
    "to an instance that is not there": (
        lambda account, _hosts: _attach(account, account.available(), "i-0123456789abcdef0"),
        "InvalidInstanceID.NotFound",
    ),
    "that is not there": (
        lambda account, hosts: _attach(account, "vol-0123456789abcdef0", hosts["us-east-1a"]),
        "InvalidVolume.NotFound",
    ),
    "only tried": (
        lambda account, hosts: _attach(account, account.available(), hosts["us-east-1a"], "/dev/sdz", DryRun=True),
        "DryRunOperation",
    ),
}


@pytest.mark.parametrize("case", REFUSED_ATTACHMENTS)
def test_attaching_is_refused(case: str, account: Any, hosts: dict[str, str], error_of: Any) -> None:
    """Attaching a volume against the rules is refused with the code AWS uses."""
    call, code = REFUSED_ATTACHMENTS[case]
    assert error_of(lambda: call(account, hosts)) == code


def test_attaching_to_a_pending_or_terminated_instance_is_refused(account: Any, error_of: Any) -> None:
    """Only a running or stopped instance takes a volume."""
    volume_id, instance_id = account.available(), account.launch()
    assert error_of(lambda: _attach(account, volume_id, instance_id)) == "IncorrectState"
    account.ec2.terminate_instances(InstanceIds=[instance_id])
    assert error_of(lambda: _attach(account, volume_id, instance_id)) == "IncorrectState"


def test_a_volume_goes_through_all_its_states(account: Any, hosts: dict[str, str]) -> None:
    """A volume is creating, available, attaching, attached, detaching and available again, each for a while."""
    volume_id = account.create_volume(Throughput=200)
    assert account.volume(volume_id)["State"] == "creating"
    account.wait_for_volume(volume_id, "available")
    assert account.volume(volume_id)["Throughput"] == 200
    _attach(account, volume_id, hosts["us-east-1a"], "/dev/sdh")
    assert (account.volume(volume_id)["State"], account.attachment(volume_id)["State"]) == ("in-use", "attaching")
    account.wait_for_attachment(volume_id, "attached")
    answer = account.ec2.detach_volume(VolumeId=volume_id)
    assert (answer["State"], account.attachment(volume_id)["State"]) == ("detaching", "detaching")
    account.wait_for_volume(volume_id, "available")
    assert account.attachment(volume_id) == {}


def test_detaching_is_refused_when_there_is_nothing_to_detach(
    account: Any, hosts: dict[str, str], error_of: Any
) -> None:
    """Detaching from the wrong instance, an available volume, or a second time is refused."""
    volume_id = account.attached(hosts["us-east-1a"], "/dev/sdi")
    detach = account.ec2.detach_volume
    elsewhere = error_of(lambda: detach(VolumeId=volume_id, InstanceId=hosts["us-east-1b"]))
    assert elsewhere == "InvalidAttachment.NotFound"
    detach(VolumeId=volume_id)
    assert error_of(lambda: detach(VolumeId=volume_id)) == "IncorrectState"
    account.wait_for_volume(volume_id, "available")
    assert error_of(lambda: detach(VolumeId=volume_id)) == "IncorrectState"


def test_the_root_volume_of_a_running_instance_stays(account: Any, hosts: dict[str, str], error_of: Any) -> None:
    """The root device cannot be detached while the instance runs."""
    mappings = account.instance(hosts["us-east-1a"])["BlockDeviceMappings"]
    root = next(one["Ebs"]["VolumeId"] for one in mappings if one["DeviceName"] == "/dev/xvda")
    assert error_of(lambda: account.ec2.detach_volume(VolumeId=root)) == "OperationNotPermitted"


def test_a_volume_in_use_cannot_be_deleted(account: Any, hosts: dict[str, str], error_of: Any) -> None:
    """DeleteVolume refuses an attached volume and removes a detached one."""
    volume_id = account.attached(hosts["us-east-1a"], "/dev/sdj")
    assert error_of(lambda: account.ec2.delete_volume(VolumeId=volume_id)) == "VolumeInUse"
    account.ec2.detach_volume(VolumeId=volume_id)
    account.wait_for_volume(volume_id, "available")
    account.ec2.delete_volume(VolumeId=volume_id)
    assert error_of(lambda: account.volume(volume_id)) == "InvalidVolume.NotFound"


def test_delete_on_termination_is_read_and_written(account: Any, hosts: dict[str, str]) -> None:
    """AttachVolume leaves DeleteOnTermination false; ModifyInstanceAttribute turns it, and both views agree."""
    volume_id = account.attached(hosts["us-east-1a"], "/dev/sdk")
    assert account.attachment(volume_id)["DeleteOnTermination"] is False
    mapping = {"DeviceName": "/dev/sdk", "Ebs": {"DeleteOnTermination": True}}
    account.ec2.modify_instance_attribute(InstanceId=hosts["us-east-1a"], BlockDeviceMappings=[mapping])
    assert account.attachment(volume_id)["DeleteOnTermination"] is True
    mappings = account.instance(hosts["us-east-1a"])["BlockDeviceMappings"]
    assert next(one["Ebs"]["DeleteOnTermination"] for one in mappings if one["DeviceName"] == "/dev/sdk") is True


def test_a_mounted_volume_stays_busy_until_it_is_unmounted(account: Any, hosts: dict[str, str], error_of: Any) -> None:
    """Detaching a mounted volume waits as busy, and goes on by itself after the unmount."""
    instance_id = account.booted(hosts["us-east-1a"])
    volume_id = account.mounted(instance_id, "/dev/sdl", "/mnt/busy")
    account.ec2.detach_volume(VolumeId=volume_id)
    account.wait_for_attachment(volume_id, "busy")
    assert error_of(lambda: account.ec2.detach_volume(VolumeId=volume_id)) == "IncorrectState"
    account.on_host(instance_id, "umount", "/mnt/busy")
    account.wait_for_volume(volume_id, "available")


def test_a_forced_detach_takes_a_mounted_volume_away(account: Any, hosts: dict[str, str]) -> None:
    """Force detaches a busy volume, and the sandbox writes that down."""
    instance_id = account.booted(hosts["us-east-1a"])
    volume_id = account.mounted(instance_id, "/dev/sdm", "/mnt/forced")
    account.ec2.detach_volume(VolumeId=volume_id)
    account.wait_for_attachment(volume_id, "busy")
    account.ec2.detach_volume(VolumeId=volume_id, Force=True)
    account.wait_for_volume(volume_id, "available")
    events = (account.sandbox.state_dir / "events.jsonl").read_text(encoding="utf-8")
    assert "volume-force-detached" in events


def test_a_stuck_detach_is_a_fault_that_can_be_switched_on(account: Any, hosts: dict[str, str]) -> None:
    """With the fault on, a volume stays busy although nothing has it mounted; off, it goes."""
    volume_id = account.attached(hosts["us-east-1a"], "/dev/sdn")
    fault = account.sandbox.control("POST", "/_sandbox/faults", {"name": "stuck-detach", "target": volume_id})
    account.ec2.detach_volume(VolumeId=volume_id)
    account.wait_for_attachment(volume_id, "busy")
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    account.wait_for_volume(volume_id, "available")


def _modification(account: Any, volume_id: str) -> dict[str, Any]:
    (newest,) = account.ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
    return newest


def _ended(account: Any, volume_id: str) -> str:
    """Wait until a modification has ended; return its state."""
    ended = {"completed", "failed"}
    account.wait_until(lambda: _modification(account, volume_id)["ModificationState"] in ended, "it has ended")
    return _modification(account, volume_id)["ModificationState"]


def test_the_new_values_hold_from_optimizing_on(account: Any, error_of: Any) -> None:
    """While it is modifying the volume has its former size, from optimizing on the new one; no other may follow."""
    volume_id = account.available()
    fault = account.sandbox.control("POST", "/_sandbox/faults", {"name": "long-optimizing", "target": volume_id})
    begun = account.ec2.modify_volume(VolumeId=volume_id, Size=4)["VolumeModification"]
    assert (begun["ModificationState"], account.volume(volume_id)["Size"]) == ("modifying", 2)
    optimizing = lambda: _modification(account, volume_id)["ModificationState"] == "optimizing"  # noqa: E731
    account.wait_until(optimizing, "it is optimizing")
    assert account.volume(volume_id)["Size"] == 4
    assert error_of(lambda: account.ec2.modify_volume(VolumeId=volume_id, Size=5)) == "IncorrectModificationState"
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    assert _ended(account, volume_id) == "completed"


def test_a_modification_that_fails_leaves_the_volume(account: Any) -> None:
    """With the fault on it ends failed, with a message, and the volume has what it had."""
    volume_id = account.available()
    fault = {"name": "modification-error", "target": volume_id, "times": 1}
    account.sandbox.control("POST", "/_sandbox/faults", fault)
    account.ec2.modify_volume(VolumeId=volume_id, Size=4)
    assert _ended(account, volume_id) == "failed"
    assert "keeps its original values" in _modification(account, volume_id)["StatusMessage"]
    assert account.volume(volume_id)["Size"] == 2


def test_a_volume_is_modified_four_times_and_no_fifth(account: Any, error_of: Any) -> None:
    """Within the window the fifth is refused by the rate, whatever it asks for; the newest alone is told of."""
    volume_id = account.available()
    for size in range(3, 7):
        account.ec2.modify_volume(VolumeId=volume_id, Size=size)
        assert _ended(account, volume_id) == "completed"
    assert error_of(lambda: account.ec2.modify_volume(VolumeId=volume_id, Size=7)) == "VolumeModificationRateExceeded"
    assert (_modification(account, volume_id)["OriginalSize"], account.volume(volume_id)["Size"]) == (5, 6)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"Size": 1}, "InvalidParameterValue"),
        ({"VolumeType": "st1"}, "InvalidParameterValue"),
        ({"VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination"),
        ({"VolumeType": "io1", "Throughput": 200, "Size": 100}, "InvalidParameterCombination"),
        ({"VolumeType": "gp3", "Iops": 3001, "Size": 7}, ""),
        ({"VolumeType": "gp3", "Iops": 5000}, "InvalidParameterValue"),
        ({"VolumeType": "gp3", "Throughput": 800}, "InvalidParameterValue"),
        ({"VolumeType": "banana"}, "UnknownVolumeType"),
        ({}, "InvalidParameterValue"),
    ],
    ids=["smaller", "too small for the type", "iops of gp2", "throughput of io1", "iops that fit", "iops for its size",
         "throughput for its iops", "no type", "nothing"],
)  # fmt: skip
def test_what_the_type_does_not_take_is_refused(account: Any, error_of: Any, wanted: dict, code: str) -> None:
    """Size, IOPS and throughput have bounds that depend on the type and on one another."""
    volume_id = account.available()
    if not code:
        assert account.ec2.modify_volume(VolumeId=volume_id, **wanted)["VolumeModification"]["TargetIops"] == 3001
        return
    assert error_of(lambda: account.ec2.modify_volume(VolumeId=volume_id, **wanted)) == code
    assert error_of(lambda: _modification(account, volume_id)) == "InvalidVolumeModification.NotFound"


def test_a_filesystem_that_does_not_grow_is_a_fault_that_can_be_switched_on(
    account: Any, hosts: dict[str, str], add_fault: Any
) -> None:
    """With the fault on resize2fs ends with an error and changes nothing; off, it grows the filesystem."""
    instance_id = account.booted(hosts["us-east-1a"])
    volume_id = account.mounted(instance_id, "/dev/sdo", "/srv/grown")
    account.ec2.modify_volume(VolumeId=volume_id, Size=4)
    assert _ended(account, volume_id) == "completed"
    fault = add_fault("grow-error", target=volume_id)
    call = {"argv": ["resize2fs", "/dev/sdo"]}
    failed = account.sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", call)
    assert (failed["exit_code"], "No space left" in failed["stderr"]) == (1, True)
    assert str(2 << 18) in account.on_host(instance_id, "dumpe2fs", "-h", "/dev/sdo")["stdout"]
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    assert str(4 << 18) in account.on_host(instance_id, "resize2fs", "/dev/sdo")["stdout"]


def test_the_status_of_a_volume_can_be_asked(account: Any) -> None:
    """DescribeVolumeStatus says ok for a volume that is there."""
    volume_id = account.available()
    status = account.ec2.describe_volume_status(VolumeIds=[volume_id])["VolumeStatuses"][0]
    assert status["VolumeStatus"]["Status"] == "ok"

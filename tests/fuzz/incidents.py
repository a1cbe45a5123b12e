"""What can happen beside an operator's commands: faults of the sandbox's catalogue, and somebody's hand in EC2."""

from __future__ import annotations

from tests.fuzz.town import DEVICE

REFUSED = {"name": "api-error", "code": "UnauthorizedOperation"}
FAULTS = {
    "detach refused": REFUSED | {"operation": "DetachVolume"},
    "attach refused": REFUSED | {"operation": "AttachVolume"},
    "tags refused": REFUSED | {"operation": "CreateTags"},
    "copy refused": REFUSED | {"operation": "CopyVolumes"},
    "describe refused": REFUSED | {"operation": "DescribeVolumes"},
    "service refused": {"name": "api-error", "code": "ServerException", "operation": "UpdateService"},
    "command refused": {"name": "api-error", "code": "AccessDeniedException", "operation": "SendCommand"},
    "tasks refused": {"name": "api-error", "code": "ServerException", "operation": "DescribeTasks"},
    "detach without answer": {"name": "lost-answer", "operation": "DetachVolume"},
    "attach without answer": {"name": "lost-answer", "operation": "AttachVolume"},
    "tags without answer": {"name": "lost-answer", "operation": "CreateTags"},
    "copy without answer": {"name": "lost-answer", "operation": "CopyVolumes"},
    "service without answer": {"name": "lost-answer", "operation": "UpdateService"},
    "command without answer": {"name": "lost-answer", "operation": "SendCommand"},
    "throttled": {"name": "throttle"},
    "slow describes": {"name": "slow-api", "operation": "DescribeVolumes", "seconds": 0.5},
    "stale describes": {"name": "stale-describe", "target": "volume"},
    "stuck detach": {"name": "stuck-detach", "target": "volume"},
    "wrong zone": {"name": "wrong-az", "target": "volume"},
    "snapshot in error": {"name": "snapshot-error"},
    "no copies": {"name": "copy-unsupported"},
    "device unreadable": {"name": "read-error", "target": "volume"},
    "command not delivered": {"name": "ssm-timeout"},
    "source unreachable": {"name": "host-unreachable", "target": "source"},
    "target unreachable": {"name": "host-unreachable", "target": "target"},
    "no image": {"name": "image-pull-error"},
    "application crashes": {"name": "crash-loop"},
    "application unhealthy": {"name": "unhealthy-app"},
    "application hangs": {"name": "hung-app"},
    "containers of the source crash": {"name": "crash", "target": "source"},
    "containers of the target crash": {"name": "crash", "target": "target"},
    "plugin of the target disabled": {"name": "plugin-disabled", "target": "target"},
    "power of the source lost": {"name": "kill-host", "target": "source"},
    "power of the target lost": {"name": "kill-host", "target": "target"},
    "volume of the same name": {"name": "duplicate-name", "target": "volume"},
    "volume to go with its instance": {"name": "delete-on-termination", "target": "volume"},
}
UNCOUNTED = {
    "host-unreachable", "unhealthy-app", "hung-app", "crash", "plugin-disabled", "kill-host", "duplicate-name",
    "delete-on-termination",
}  # fmt: skip
"""Kinds of faults that last until they are cleared, or are over at once."""

NOW = {"power of the source lost", "volume to go with its instance"}
"""What may happen at some moments only, and therefore does not wait for calls."""

BY_HAND = {
    "detach from whoever has it",
    "attach to the source",
    "attach to the target",
    "set the name of the target",
    "terminate the target's host",
}


def switch_on(town, fault, after_calls, times):
    """Switch a fault of the catalogue on.

    Returns:
        False when there is nothing that it could strike.
    """
    options = dict(FAULTS[fault])
    kind = options.pop("name")
    if not is_fair(town, fault):
        return False
    hosts = town.hosts()
    targets = {"volume": town.volume_id, "source": town.source_id, "target": hosts[0] if hosts else ""}
    if "target" in options:
        options["target"] = targets[options["target"]]
        if not options["target"]:
            return False
    if kind not in UNCOUNTED:
        options["times"] = times
    later = 0 if fault in NOW else after_calls
    return town.fault(kind, after_calls=later or None, **options)


def is_fair(town, fault):
    """Return whether a runbook can do anything about it: not when two outside acts lose data between themselves.

    A source that starts without its volume starts compose on the empty directory, unless a cutover has switched that
    off; and an instance that is terminated with its volume takes the volume along.
    """
    states = [(instance_id == town.source_id, state) for instance_id, _, state in town.attachments()]
    if fault == "power of the source lost":
        return (True, "busy") not in states
    if fault == "volume to go with its instance":
        return [on_source for on_source, _ in states] == [True]
    return True


def by_hand(town, what):
    """Do what somebody who means well, and does not look first, does in EC2.

    Returns:
        False when EC2 refuses, or there is nothing to do it to.
    """
    hosts, attached = town.hosts(), town.attachments()
    if what == "detach from whoever has it":
        without_power = bool(attached) and not town.is_online(attached[0][0])  # as `is_fair` says
        return bool(attached) and not without_power and town.by_hand("detach_volume", VolumeId=town.volume_id)
    if what == "attach to the source":
        return town.by_hand("attach_volume", VolumeId=town.volume_id, InstanceId=town.source_id, Device=DEVICE)
    if what == "attach to the target":
        return bool(hosts) and town.by_hand(
            "attach_volume", VolumeId=town.volume_id, InstanceId=hosts[0], Device="/dev/sdh"
        )
    if what == "set the name of the target":
        name = town.migration["storage"][town.storage_driver]["volume_name"]
        return town.by_hand("create_tags", Resources=[town.volume_id], Tags=[{"Key": "Name", "Value": name}])
    return bool(hosts) and town.by_hand("terminate_instances", InstanceIds=hosts[:1])

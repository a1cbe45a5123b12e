"""What must be so, as pure functions from facts to checks. Looks at facts only; touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts


def check_identity(identity: Facts, account_id: str) -> Check:
    """Return whether the credentials belong to the account of the parameters.

    Args:
        identity: Keys `account_id`, `arn`.
        account_id: The account that may be changed.

    Returns:
        The check.
    """
    return Check(
        "account",
        passed=identity["account_id"] == account_id,
        expected=f"account {account_id}",
        observed=f"account {identity['account_id']} as {identity['arn']}",
        why="the runbook would change another account",
        fix="use credentials of the account in aws.account_id, or correct aws.account_id",
    )


def check_found(kind: str, object_id: str, facts: Facts, key: str, region: str) -> Check:
    """Return whether an object of the parameters exists.

    Args:
        kind: For example `instance`.
        object_id: Its id.
        facts: Key `error` when it was not found.
        key: Parameter that names it.
        region: Region that was searched.

    Returns:
        The check.
    """
    return Check(
        f"{kind}-exists",
        passed="error" not in facts,
        expected=f"{kind} {object_id} in region {region}",
        observed="found" if "error" not in facts else str(facts["error"]),
        why="everything else depends on it",
        fix=f"correct {key} or aws.region in the parameters file",
    )


def check_instance_running(instance: Facts, *, ssm_online: bool) -> Sequence[Check]:
    """Return whether an instance runs and takes commands.

    Args:
        instance: Keys `instance_id`, `state`.
        ssm_online: Whether its SSM agent answers.

    Returns:
        Two checks.
    """
    instance_id = instance["instance_id"]
    return (
        Check(
            "instance-running",
            passed=instance["state"] == "running",
            expected=f"instance {instance_id} running",
            observed=instance["state"],
            fix="start the instance, or correct source.instance_id",
        ),
        Check(
            "ssm-online",
            passed=ssm_online,
            expected=f"SSM agent of {instance_id} online",
            observed="online" if ssm_online else "offline",
            why="hosts are reached by SSM Run Command only",
            fix="install and start amazon-ssm-agent; give the instance profile AmazonSSMManagedInstanceCore",
        ),
    )


FINISH_DETACHMENT = (
    "somebody asked for this detachment while the volume was in use; it cannot be called off, and ends when nothing "
    "uses the volume: stop the compose project and unmount the volume on the source, then `runbook roll-back RUN_ID "
    "--execute` attaches, mounts and starts again. When it stays busy although unmounted, stop the instance cleanly"
)
"""What to do about a detachment from the source that hangs."""


def check_attached(volume: Facts, instance_id: str) -> Check:
    """Return whether a volume is attached to one instance and to nothing else.

    Args:
        volume: Keys `volume_id`, `state`, `attachments`.
        instance_id: Where it should be.

    Returns:
        The check.
    """
    holders = [f"{a['instance_id']} ({a['state']})" for a in volume["attachments"]]
    leaving = any(
        a["instance_id"] == instance_id and a["state"] in {"busy", "detaching"} for a in volume["attachments"]
    )
    return Check(
        "volume-attached-to-source",
        passed=[(a["instance_id"], a["state"]) for a in volume["attachments"]] == [(instance_id, "attached")],
        expected=f"volume {volume['volume_id']} attached to {instance_id} only",
        observed=", ".join(holders) or f"not attached ({volume['state']})",
        why="the volume that is migrated must be the one the service writes to",
        fix=FINISH_DETACHMENT if leaving else "correct volume.volume_id or source.instance_id",
    )


def check_same_zone(volume: Facts, what: str, zones: Iterable[str], fix: str) -> Check:
    """Return whether everything lies in the volume's Availability Zone.

    Args:
        volume: Keys `volume_id`, `availability_zone`.
        what: What must be there, for the message.
        zones: Where it is.
        fix: What to do when it is elsewhere.

    Returns:
        The check.
    """
    found = sorted(set(zones))
    return Check(
        "same-availability-zone",
        passed=found == [volume["availability_zone"]],
        expected=f"{what} in {volume['availability_zone']}, the Availability Zone of {volume['volume_id']}",
        observed=", ".join(found) or "nowhere",
        why="a volume cannot be attached across Availability Zones, and the volume plugin would make a new empty one",
        fix=fix,
    )


def check_name_free(volumes: Iterable[Facts], volume_id: str, name: str) -> Check:
    """Return whether no other volume of the Availability Zone has the Name that the plugin looks for.

    Args:
        volumes: Every volume of the zone: keys `volume_id`, `tags`.
        volume_id: The volume that may have it.
        name: The Name.

    Returns:
        The check.

    Source: domain 2.3: case-insensitive, first match wins, duplicates are not noticed by the plugin.
    """
    others = [
        v["volume_id"]
        for v in volumes
        if v["volume_id"] != volume_id and v["tags"].get("Name", "").casefold() == name.casefold()
    ]
    return Check(
        "volume-name-unique",
        passed=not others,
        expected=f"no volume but {volume_id} with Name {name!r} (any case) in the Availability Zone",
        observed=", ".join(others) or "none",
        why="the volume plugin takes the first of several volumes with that Name, without a word",
        fix=f"rename {', '.join(others) or 'the other volume'}, or choose another volume_name in section storage",
    )


def check_volume_steady(volume: Facts) -> Check:
    """Return whether no modification of the volume is under way.

    Args:
        volume: Keys `volume_id`, `modifying`.

    Returns:
        The check.
    """
    return Check(
        "volume-not-modifying",
        passed=not volume["modifying"],
        expected=f"no modification of {volume['volume_id']} under way",
        observed="modifying" if volume["modifying"] else "steady",
        why="a modification in progress slows the volume and can block further changes for hours",
        fix="wait until DescribeVolumesModifications says optimizing or completed",
    )


def check_mounted(mount: Facts | None, mount_path: str, device_path: str) -> Check:
    """Return whether the data volume is what is mounted at the mount path.

    Args:
        mount: Keys `source`, `target`, or None.
        mount_path: Where it should be mounted.
        device_path: Device of the data volume on the host.

    Returns:
        The check.
    """
    observed = f"{mount['source']} on {mount['target']}" if mount else "nothing mounted there"
    return Check(
        "volume-mounted",
        passed=bool(mount) and mount is not None and mount["source"] == device_path,
        expected=f"{device_path} mounted at {mount_path}",
        observed=observed,
        why="what is verified must be what the service writes to",
        fix="correct volume.mount_path or volume.volume_id",
    )


def check_writers(open_files: Iterable[Facts], containers: Iterable[Facts], mount_path: str) -> Check:
    """Return whether only the compose project's containers hold files of the volume open.

    Args:
        open_files: Keys `pid`, `parents` (process ids up to 1), `command`, `path`.
        containers: Keys `pid` of the main process.
        mount_path: Where the volume is mounted.

    Returns:
        The check.
    """
    ours = {c["pid"] for c in containers if c["pid"]}
    foreign = [f for f in open_files if not ours & {f["pid"], *f["parents"]}]
    return Check(
        "only-compose-writes",
        passed=not foreign,
        expected=f"files below {mount_path} held open by the compose project's containers only",
        observed=describe_open_files(foreign),
        why="a process that compose does not stop keeps the volume busy, and may write after the manifest",
        fix="stop that process (a backup agent, a shell) and keep it stopped until the migration is over",
    )


def check_nothing_open(open_files: Sequence[Facts], mount_path: str) -> Check:
    """Return whether nobody holds a file of the volume open.

    Args:
        open_files: Keys `pid`, `command`, `path`.
        mount_path: Where the volume is mounted.

    Returns:
        The check.
    """
    return Check(
        "no-open-files",
        passed=not open_files,
        expected=f"no open file below {mount_path}",
        observed=describe_open_files(open_files),
        why="a write after the manifest would not be noticed, and a busy mount cannot be released",
        fix="stop the process named here; the runbook never forces an unmount",
    )


def describe_open_files(open_files: Sequence[Facts]) -> str:
    """Return who holds what, at most five.

    Args:
        open_files: Keys `pid`, `command`, `path`.

    Returns:
        A text; `none` when empty.
    """
    shown = [f"process {f['pid']} ({f['command']}): {f['path']}" for f in open_files[:5]]
    more = f" and {len(open_files) - 5} more" if len(open_files) > len(shown) else ""
    return "; ".join(shown) + more if shown else "none"


def check_single_writer(service: Facts, needs: str) -> Sequence[Check]:
    """Return whether the service can never run two writers.

    Args:
        service: As `Ecs.describe_service`.
        needs: Step that makes the service.

    Returns:
        One check.
    """
    keys = ("minimum_healthy_percent", "maximum_percent", "availability_zone_rebalancing")
    observed = {key: service.get(key) for key in keys}
    expected = dict(zip(keys, (0, 100, "DISABLED"), strict=True))
    return (
        Check(
            "single-writer",
            passed=observed == expected,
            expected=describe_fact(expected),
            observed=describe_fact(observed),
            why="with other settings ECS starts a second task beside the first, on one volume",
            fix="run 10_provision_target; nothing but Terraform may change these settings",
            needs=needs,
        ),
    )

"""The instance type of the hosts: which one they have, which ones they may have, and whether the task fits there.

Keeps evidence, changes nothing. A host of any type of `target.instance_types` is as it shall be: the others are there
for the day when the first has no capacity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.model_readers import reservation
from runbook_lib.procedures.observations import found, observe_volume
from runbook_lib.procedures.storage_drivers import CHANGE, SIZE, observe_hosts
from runbook_lib.procedures.task_count import CPU_UNITS, FOR_TASKS

if TYPE_CHECKING:
    from runbook_lib.run import Run

VOLUMES = 3
"""Root volume, data volume, and the copy that a restore drill attaches beside it."""


def choose_host_size(run: Run) -> dict[str, Any]:
    """Return the instance types that the hosts may have, and the one that serves, noted before the run moves anything.

    A run that goes on with other types in its parameters, which somebody accepted, notes those; once it has moved the
    task it keeps what it noted.

    Args:
        run: The open run.

    Returns:
        Keys `instance_types`, `former_instance_type` (of the host that has the volume), `own` (whether this run moved
        the volume, or prepared a move, for no other reason before).

    Changes:
        Evidence `host-size`, unless the run is not its own.
    """
    wanted, begun = list(run.parameters.target.instance_types), run.journal.last("manifest", phase="before")
    if run.journal.last("evidence", name=SIZE) is not None:
        noted = dict(run.evidence(SIZE))
        if begun is None and noted["instance_types"] != wanted:
            noted["instance_types"] = wanted
            run.keep_evidence(SIZE, noted)
        return noted | {"own": True}
    facts = {"instance_types": wanted, "former_instance_type": _serving_type(run)}
    moved = begun or run.journal.last("evidence", name=CHANGE)
    if moved is None:
        run.keep_evidence(SIZE, facts)
    return facts | {"own": moved is None}


def _serving_type(run: Run) -> str:
    """Return the instance type of the host that has the volume, else of any host."""
    holder, hosts = observe_volume(run)["holder"], observe_hosts(run)
    serving = [host for host in hosts if host["instance_id"] == holder] or hosts
    return str(serving[0]["instance_type"]) if serving else ""


def observe_types(run: Run, facts: Facts) -> dict[str, Any]:
    """Return what the wanted instance types are, and what the task reserves; nothing when no host is to be left.

    Args:
        run: The open run, with evidence `task-mapping` and `machine-image` when a service runs.
        facts: As `driver_look.look`.

    Returns:
        Keys `wanted` (as `InstanceTypes.describe`), `unknown` and `not_offered` (names), `zone, architecture` (of the
        machine image), `cpu_units` and `memory_mib` (what the task's containers reserve).
    """
    nothing = {"wanted": [], "unknown": [], "not_offered": [], "zone": "", "architecture": ""}
    if not facts["former"] or not facts["current"]["driver"]:
        return nothing | {"cpu_units": 0, "memory_mib": 0}
    names, zone = list(facts["types"]), facts["volume"]["availability_zone"]
    known = run.instance_types.describe(names)
    offered = run.instance_types.offered(names, zone)
    image = found(lambda: run.ec2.describe_machine_image(run.evidence("machine-image")["ami_id"]))
    containers = run.evidence("task-mapping")["container_definitions"]
    return {
        "wanted": known,
        "unknown": [name for name in names if name not in {one["instance_type"] for one in known}],
        "not_offered": [name for name in names if name not in offered],
        "zone": zone,
        "architecture": image.get("architecture", ""),
        **reservation(containers),
    }


def check_types(facts: Facts) -> Sequence[Check]:
    """Return whether the task and its volume can live on every wanted instance type.

    Args:
        facts: Key `sizes`, as `observe_types`.

    Returns:
        Six checks. EC2 takes whichever type of the list has capacity, so that each has to pass.
    """
    sizes = facts["sizes"]
    return (_check_offered(sizes), *_check_kind(sizes), *_check_room(sizes))


def _check_offered(sizes: Facts) -> Check:
    odd = [f"{one} is no instance type" for one in sizes["unknown"]]
    odd += [f"{one} is not offered there" for one in sizes["not_offered"] if one not in sizes["unknown"]]
    return Check(
        "instance-type-offered",
        passed=not odd,
        expected=f"every one of target.instance_types offered in {sizes['zone'] or 'the zone of the volume'}",
        observed="; ".join(odd) or "so",
        why="the volume cannot leave its Availability Zone",
        fix="name types that this zone offers: aws ec2 describe-instance-type-offerings",
    )


def _check_kind(sizes: Facts) -> Sequence[Check]:
    return (
        _check(
            sizes,
            "instance-type-architecture",
            lambda one: not sizes["architecture"] or sizes["architecture"] in one["architectures"],
            lambda one: ", ".join(one["architectures"]),
            expected=sizes["architecture"] or "an architecture",
            why="the machine image, the container images and the plugin are of that architecture",
        ),
        _check(
            sizes,
            "instance-type-nvme",
            lambda one: one["hypervisor"] != "xen" and one["nvme"] in {"required", "supported"},
            lambda one: f"{one['hypervisor'] or 'bare metal'}, NVMe {one['nvme'] or 'unknown'}",
            expected="types of the Nitro System, with EBS volumes as NVMe devices",
            why="by the NVMe serial number the data volume is told from every other device",
        ),
        _check(
            sizes,
            "instance-type-takes-volumes",
            lambda one: one["max_volumes"] is None or one["max_volumes"] >= VOLUMES,
            lambda one: f"{one['max_volumes']} volumes",
            expected=f"at least {VOLUMES} volumes: root, data, and the copy of a restore drill",
            why="the data volume could not be attached when the outage has begun",
        ),
    )


def _check_room(sizes: Facts) -> Sequence[Check]:
    why = "ECS would find no place for the task when the outage has begun"
    return (
        _check(
            sizes,
            "instance-type-memory-fits",
            lambda one: sizes["memory_mib"] <= one["memory_mib"] * FOR_TASKS,
            lambda one: f"{one['memory_mib']} MiB",
            expected=f"{sizes['memory_mib']} MiB for the task's containers, beside the agent",
            why=why,
        ),
        _check(
            sizes,
            "instance-type-cpu-fits",
            lambda one: sizes["cpu_units"] <= one["vcpus"] * CPU_UNITS,
            lambda one: f"{one['vcpus'] * CPU_UNITS} units",
            expected=f"{sizes['cpu_units']} CPU units for the task's containers",
            why=why,
        ),
    )


def _check(
    sizes: Facts,
    check_id: str,
    fits: Callable[[Facts], bool],
    say: Callable[[Facts], str],
    *,
    expected: str,
    why: str,
) -> Check:
    """Return whether every wanted instance type fits; what is observed of those that do not."""
    odd = [f"{one['instance_type']}: {say(one)}" for one in sizes["wanted"] if not fits(one)]
    return Check(
        check_id,
        passed=not odd,
        expected=expected,
        observed="; ".join(odd) or "so",
        why=why,
        fix="name other types in target.instance_types, or reserve less for the task",
    )


def say_move(facts: Facts) -> str:
    """Return what becomes of the hosts, in a few words.

    Args:
        facts: Keys `host` (as `choose_host_size`), `sizes` (as `observe_types`), `former`.

    Returns:
        A sentence.
    """
    former, wanted = facts["host"]["former_instance_type"], " or ".join(facts["host"]["instance_types"])
    if not facts["former"]:
        return f"The host is a {former or 'host of no known type'}, as it shall be."
    sizes = "; ".join(
        f"{one['instance_type']} {one['vcpus']} vCPU {one['memory_mib']} MiB" for one in facts["sizes"]["wanted"]
    )
    return f"The host is a {former} and shall be a {wanted} ({sizes}): one short outage."

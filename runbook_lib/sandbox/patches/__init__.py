"""Every change to moto, one module per service, all of them put in place here.

Each replaced method states the AWS fact that forced it. Written for moto 5.2; another version is refused, because
a replaced method that moto has renamed would silently do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import machine_images
from runbook_lib.sandbox.backends import SEED
from runbook_lib.sandbox.calls import CallLog
from runbook_lib.sandbox.patches import (
    applicationautoscaling,
    autoscaling,
    cloudtrail,
    ec2_instances,
    ec2_launch_templates,
    ec2_modifications,
    ec2_refusals,
    ec2_rules,
    ec2_snapshots,
    ec2_volume_calls,
    ec2_volumes,
    ecs,
    elbv2,
    iam,
    kms,
    once,
    ssm,
    sts,
)
from runbook_lib.sandbox.patches.autoscaling import GroupRules
from runbook_lib.sandbox.patches.ec2_instances import Instances
from runbook_lib.sandbox.patches.ec2_modifications import Modifications
from runbook_lib.sandbox.patches.ec2_snapshots import Snapshots
from runbook_lib.sandbox.patches.ec2_volumes import Volumes
from runbook_lib.sandbox.patches.ssm import Commands
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World

_MOTO = "5.2."


@dataclass(frozen=True)
class Patched:
    """The rules that were put into moto; faults and reconcilers reach in here.

    Args:
        volumes: Of EBS volumes.
        snapshots: Of EBS snapshots.
        modifications: Of ModifyVolume.
        instances: Of EC2 instances.
        groups: Of Auto Scaling groups.
        commands: Of SSM Run Command.
    """

    volumes: Volumes
    snapshots: Snapshots
    modifications: Modifications
    instances: Instances
    groups: GroupRules
    commands: Commands


def apply(world: World, transitions: Transitions, calls: CallLog) -> Patched:
    """Put every change into moto, once per process.

    Args:
        world: The sandbox's world.
        transitions: Runs the changes that take time.
        calls: The record of API calls.

    Raises:
        SandboxError: This moto is not the one the patches were written for.

    Changes:
        moto's classes and its source of ids, which are the same in every sandbox from here on.
    """
    installed = version("moto")
    if not installed.startswith(_MOTO):
        raise SandboxError(f"the sandbox needs moto {_MOTO}x, found {installed}. Install the locked requirements.")
    from moto.moto_api._internal import mock_random  # noqa: PLC0415 - the environment is prepared first

    mock_random.seed(SEED)
    machine_images.register()
    volumes = ec2_volumes.apply(world, transitions)
    snapshots = ec2_snapshots.apply(world, transitions)
    ec2_volume_calls.apply()
    modifications = ec2_modifications.apply(world, transitions)
    ec2_launch_templates.apply()
    ec2_refusals.apply()
    instances = ec2_instances.apply(world, volumes, transitions)
    groups = autoscaling.apply(world)
    commands = ssm.apply(world, transitions)
    applicationautoscaling.apply()
    ec2_rules.apply()
    elbv2.apply()
    iam.apply()
    kms.apply()
    sts.apply()
    ecs.apply(world)
    cloudtrail.apply(calls, world.latency.trail_s)
    once.apply()
    return Patched(volumes, snapshots, modifications, instances, groups, commands)

"""How long things take in the sandbox: three named sets of figures.

Pure data; touches nothing. The ``aws`` figures come from public measurements of EBS, EC2, SSM and ECS;
``fast`` keeps every intermediate state visible; ``none`` passes through them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from runbook_lib.errors import SandboxError


@dataclass(frozen=True)
class Latency:
    """Durations of the sandbox's transitions, all in seconds.

    Args:
        attach_s: AttachVolume until the attachment is ``attached``.
        detach_s: DetachVolume until the volume is ``available``, when nothing has it mounted.
        volume_create_s: CreateVolume or CopyVolumes until ``available``.
        snapshot_s: CreateSnapshot until ``completed``.
        modify_s: ModifyVolume until ``completed``; half of it is ``modifying``, half ``optimizing``.
        modify_window_s: how long a ModifyVolume counts among the four that a volume may have.
        instance_pending_s: RunInstances until ``running``.
        boot_s: ``running`` until the host has run its user data.
        stop_s: StopInstances until ``stopped``.
        terminate_s: TerminateInstances until ``terminated``.
        ssm_agent_s: end of boot until the SSM agent answers.
        ssm_delivery_s: SendCommand until the invocation can be read.
        image_pull_s: ``docker pull`` of an image that is not on the host.
        schedule_s: ECS decides where a task goes.
        container_start_s: container created until its process runs.
        tick_s: pause of the reconcilers between two looks at the world.
        trail_s: an API call until CloudTrail's event history has it.
    """

    attach_s: float
    detach_s: float
    volume_create_s: float
    snapshot_s: float
    modify_s: float
    modify_window_s: float
    instance_pending_s: float
    boot_s: float
    stop_s: float
    terminate_s: float
    ssm_agent_s: float
    ssm_delivery_s: float
    image_pull_s: float
    schedule_s: float
    container_start_s: float
    tick_s: float
    trail_s: float

    @classmethod
    def named(cls, name: str) -> Latency:
        """Return one of the named sets.

        Args:
            name: ``aws``, ``fast`` or ``none``.

        Raises:
            SandboxError: There is no such set.
        """
        if name not in _FIGURES:
            raise SandboxError(f"latency must be one of {', '.join(_FIGURES)}; got {name!r}. Nothing was started.")
        figures = _FIGURES[name]
        return cls(**{field.name: figures[number] for number, field in enumerate(fields(cls))})


# In the order of the fields above:
# attach detach create snapshot modify window pending boot stop terminate agent delivery pull schedule container tick
# trail
_FIGURES: dict[str, tuple[float, ...]] = {
    "aws": (3, 3, 2, 60, 30, 86400, 8, 30, 20, 20, 3, 0.3, 15, 2, 1, 0.2, 300),
    "fast": (0.2, 0.2, 0.1, 2, 0.6, 10, 0.2, 1, 0.3, 0.3, 0.1, 0.05, 0.3, 0.2, 0.05, 0.1, 0.5),
    "none": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.05, 0),
}

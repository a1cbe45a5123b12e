"""The keys of a run to the outside: AWS, Terraform, hosts. The only module that makes adapters; each is made once."""

from __future__ import annotations

from functools import cached_property

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.backups import Backups
from runbook_lib.adapters.break_glass import BreakGlass
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.container_hosts import ContainerHosts
from runbook_lib.adapters.ebs import Ebs
from runbook_lib.adapters.ec2 import Ec2
from runbook_lib.adapters.ecs import Ecs
from runbook_lib.adapters.estate import Estate
from runbook_lib.adapters.host import Host
from runbook_lib.adapters.instance_types import InstanceTypes
from runbook_lib.adapters.rehearsal import RehearsalApi
from runbook_lib.adapters.scaling import Scaling
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.adapters.volume_modifications import VolumeModifications
from runbook_lib.journal import Journal
from runbook_lib.parameters import Parameters
from runbook_lib.run_lease import open_session


class Keys:
    """What a run reaches outside of its folder.

    Args:
        parameters: What to migrate.
        journal: The run folder; every call that may change something is noted there.
        clock: The clock.
        reads_only: Whether nothing may be held meanwhile: neither the volume nor Terraform's state.
    """

    def __init__(self, parameters: Parameters, journal: Journal, clock: Clock, *, reads_only: bool = False) -> None:
        self.parameters = parameters
        self.journal = journal
        self.clock = clock
        self.reads_only = reads_only
        self.run_id = journal.run_id
        self._hosts: dict[str, Host] = {}

    @cached_property
    def aws(self) -> Aws:
        """The session with the account of the parameters."""
        record = lambda **fields: self.journal.append("api-call", mutating=True, **fields)  # noqa: E731 - one place
        return open_session(self.parameters, self.run_id, record=record)

    @cached_property
    def ec2(self) -> Ec2:
        """Instances."""
        return Ec2(self.aws)

    @cached_property
    def ebs(self) -> Ebs:
        """Volumes and snapshots."""
        return Ebs(self.aws)

    @cached_property
    def instance_types(self) -> InstanceTypes:
        """What kinds of hosts there are."""
        return InstanceTypes(self.aws)

    @cached_property
    def modifications(self) -> VolumeModifications:
        """Size, type and performance of volumes, for `62_resize` alone."""
        return VolumeModifications(self.aws)

    @cached_property
    def break_glass(self) -> BreakGlass:
        """What may lose data; for `force_detach` alone."""
        return BreakGlass(self.aws)

    @cached_property
    def ecs(self) -> Ecs:
        """The target's cluster and service."""
        return Ecs(self.aws, self.parameters.target.cluster_name, self.parameters.target.service_name)

    @cached_property
    def scaling(self) -> Scaling:
        """What changes the number of the service's tasks."""
        return Scaling(self.aws, self.parameters.target.cluster_name, self.parameters.target.service_name)

    @cached_property
    def estate(self) -> Estate:
        """Settings of what is in service, for a look for drift."""
        return Estate(self.aws)

    @cached_property
    def backups(self) -> Backups:
        """Snapshots that may be deleted, for the retention alone."""
        return Backups(self.aws)

    @cached_property
    def container_hosts(self) -> ContainerHosts:
        """The target's container instances and their Auto Scaling group."""
        return ContainerHosts(self.aws, self.parameters.target.cluster_name)

    @cached_property
    def rehearsal_api(self) -> RehearsalApi:
        """Clones of volumes and stand-alone tasks, for the rehearsal."""
        return RehearsalApi(self.aws, self.parameters.target.cluster_name)

    @cached_property
    def terraform(self) -> Terraform:
        """Terraform in this run's folder."""
        return Terraform(
            self.journal.folder / "terraform",
            environment=self.aws.terraform_environment(),
            run_id=self.run_id,
            locks=not self.reads_only,
        )

    def let_go(self) -> None:
        """Keep no key that was made: a notebook keeps what its cells showed, and so a closed run with all its clients.

        Changes:
            Nothing outside; a key that is used again is made again.
        """
        for name, made in vars(Keys).items():
            if isinstance(made, cached_property):
                vars(self).pop(name, None)
        self._hosts.clear()

    @property
    def source_host(self) -> Host:
        """The instance that runs docker-compose."""
        return self.host(self.parameters.source.instance_id)

    def host(self, instance_id: str) -> Host:
        """Return the host that runs our scripts on an instance.

        Args:
            instance_id: The instance.

        Returns:
            The host; made once.
        """
        if instance_id not in self._hosts:
            record = lambda **fields: self.journal.append("host-command", **fields)  # noqa: E731 - one place, one line
            self._hosts[instance_id] = Host(self.aws, self.clock, instance_id, record)
        return self._hosts[instance_id]

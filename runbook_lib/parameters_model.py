"""The parameters of one migration: every section and key, with its kind, default and meaning.

Pure. The descriptions are the documentation: schema.json and the table in parameters/README.md are made from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runbook_lib import parameters_types as kind
from runbook_lib.parameters_notifications import Hook
from runbook_lib.parameters_policy import Policy
from runbook_lib.parameters_section import Section
from runbook_lib.parameters_storage import Storage
from runbook_lib.parameters_types import ListOf
from runbook_lib.parameters_volume import Volume


class Aws(Section):
    """The account and how it is reached."""

    account_id: kind.AccountId
    """Account that everything is in; compared with the caller's identity before anything is done."""
    region: kind.Region
    """Region of the volume, the source host and the target."""
    endpoint_url: kind.EndpointUrl | None = None
    """AWS API endpoint; only the sandbox needs one. http is accepted on loopback addresses only."""
    role_arn: kind.RoleArn | None = None
    """Role to assume for every call; without it the caller's own credentials act."""
    source_identity: bool = True
    """Whether role sessions carry the run id as source identity; the role must then trust sts:SetSourceIdentity too."""
    profile: str | None = None
    """Profile of the shared configuration or of `credentials_file`."""
    credentials_file: kind.FilePath | None = None
    """Shared credentials file to read instead of the default one. It holds secrets, so it is named, never copied."""


class Source(Section):
    """The compose host."""

    instance_id: kind.InstanceId
    """EC2 instance that runs the compose service."""
    compose_project: kind.ComposeName
    """Compose project name, as `docker compose ls` shows it."""
    compose_file: kind.AbsolutePath
    """Compose file on the host."""
    service: kind.ServiceName
    """Compose service to move."""
    url: kind.Url
    """How clients reach the service on the source; the outage is measured by asking it."""


class HealthCheck(Section):
    """How a load balancer, and the verification without one, finds out that the service serves."""

    path: kind.UrlPath = "/"
    """Path that answers 200 when the service is healthy."""
    interval_s: int = Field(default=5, ge=5, le=300)
    """Seconds between two checks."""
    timeout_s: int = Field(default=2, ge=2, le=120)
    """Seconds until a check counts as failed; less than `interval_s`."""
    healthy_threshold: int = Field(default=2, ge=2, le=10)
    """Successes in a row that make a target healthy."""
    unhealthy_threshold: int = Field(default=3, ge=2, le=10)
    """Failures in a row that make a target unhealthy."""
    grace_period_s: int = Field(default=60, ge=0, le=86400)
    """Seconds after a task's start in which failed checks do not stop it."""


class LoadBalancer(Section):
    """An application load balancer in front of the service."""

    enabled: bool = False
    """Whether the target gets a load balancer."""
    subnet_ids: Annotated[tuple[kind.SubnetId, ...], ListOf] = ()
    """Subnets of the load balancer, at least two in different Availability Zones."""
    listener_port: int = Field(default=80, ge=1, le=65535)
    """Port that clients use."""
    internal: bool = True
    """Whether the load balancer has private addresses only."""
    deregistration_delay_s: int = Field(default=10, ge=0, le=3600)
    """Seconds that open connections get when a task stops."""
    certificate_arn: kind.CertificateArn | None = None
    """Certificate; with it the listener speaks HTTPS."""


class Autoscaling(Section):
    """How many tasks of a service that only reads its volume run at a time; refused for a writer, by 62_resize."""

    min_tasks: int = Field(default=1, ge=1, le=1000)
    """Least number of tasks."""
    max_tasks: int = Field(ge=1, le=1000)
    """Greatest number of tasks."""
    target_cpu_percent: int = Field(default=60, ge=10, le=90)
    """CPU load of a task that the number follows."""


class OtherContainer(Section):
    """What replaces a compose service's values where it moves together with `source.service`."""

    image: kind.ImageReference | None = None
    """Image to run instead of the compose file's; pin it by digest."""
    cpu: int | None = Field(default=None, ge=2, le=10240)
    """CPU units of the container, 1024 for one vCPU; without it the compose file's limit, else 256."""
    memory_mib: int | None = Field(default=None, ge=6)
    """Memory limit of the container in MiB; without it the compose file's limit, and one of both must be there."""
    environment: dict[kind.EnvironmentName, str] = Field(default={})
    """Environment variables that replace or join those of the compose file; never a secret."""
    secrets: dict[kind.EnvironmentName, kind.SecretReference] = Field(default={})
    """Environment variables that hold secrets, as references that ECS resolves when the task starts."""
    not_secret: Annotated[tuple[kind.EnvironmentName, ...], ListOf] = ()
    """Variables whose names look like secrets and are none; a person answers for it."""


class Target(Section):
    """The ECS side."""

    vpc_id: kind.VpcId
    """VPC of the container instances."""
    subnet_ids: Annotated[tuple[kind.SubnetId, ...], ListOf] = Field(min_length=1)
    """Subnets of the container instances; all in the volume's Availability Zone, which a check proves."""
    cluster_name: kind.Name
    """ECS cluster to make."""
    service_name: kind.Name
    """ECS service to make."""
    instance_types: Annotated[tuple[kind.InstanceType, ...], ListOf] = Field(min_length=1)
    """x86_64 instance types in order of preference; several help when one has no capacity. 62_resize moves there."""
    autoscaling: Autoscaling | None = None
    """Tasks beside the first one, of a reader behind a load balancer, by 62_resize. A writer has one: it says why."""
    image: kind.ImageReference | None = None
    """Image to run instead of the compose file's, and the one that 61_deploy_image deploys; pin it by digest."""
    deployment: Literal["stop_then_start", "overlap", "blue_green"] = "stop_then_start"
    """How 61_deploy_image replaces the task; a writer can only be stopped, a reader behind a load balancer overlaps."""
    cpu: int | None = Field(default=None, ge=2, le=10240)
    """CPU units of the container, 1024 for one vCPU; without it the compose file's limit, else 256."""
    memory_mib: int | None = Field(default=None, ge=6)
    """Memory limit of the container in MiB; without it the compose file's limit, and one of both must be there."""
    environment: dict[kind.EnvironmentName, str] = Field(default={})
    """Environment variables that replace or join those of the compose file; never a secret."""
    secrets: dict[kind.EnvironmentName, kind.SecretReference] = Field(default={})
    """Environment variables that hold secrets, as references that ECS resolves when the task starts."""
    not_secret: Annotated[tuple[kind.EnvironmentName, ...], ListOf] = ()
    """Variables whose names look like secrets and are none, for example TOKEN_TTL; a person answers for it."""
    other_containers: dict[kind.ServiceName, OtherContainer] = Field(default={})
    """By compose service: what replaces the values of the services that move together with `source.service`."""
    url: kind.Url | None = None
    """How clients reach the service on the target, where that is known beforehand."""
    health_check: HealthCheck = HealthCheck()
    """When the service counts as serving."""
    load_balancer: LoadBalancer = LoadBalancer()
    """Load balancer in front of the service; without one clients reach the container instance's port."""
    allowed_cidrs: Annotated[tuple[kind.Cidr, ...], ListOf] = ()
    """Networks that may reach the service."""
    ami_id: kind.AmiId | None = None
    """ECS-optimized AMI to use; without it the current Amazon Linux 2023 one is read once and pinned in the run."""

    def other(self, service: str) -> OtherContainer:
        """Return what replaces the values of a service that moves together with `source.service`."""
        return self.other_containers.get(service) or OtherContainer()

    @property
    def secret_references(self) -> dict[str, str]:
        """References to secrets of all containers by the parameter that holds each."""
        own = {f"target.secrets.{name}": value for name, value in self.secrets.items()}
        return own | {
            f"target.other_containers.{service}.secrets.{name}": value
            for service, other in self.other_containers.items()
            for name, value in other.secrets.items()
        }


class LocalBackend(Section):
    """Terraform state in a local file."""

    type: Literal["local"]
    """`local`: for the sandbox and for trials."""
    path: kind.FilePath
    """State file."""


class S3Backend(Section):
    """Terraform state in S3, locked with S3's own lock file."""

    type: Literal["s3"]
    """`s3`: for real accounts."""
    bucket: kind.Bucket
    """Bucket, with versioning on."""
    key: kind.ObjectKey
    """Object that holds the state."""
    region: kind.Region
    """Region of the bucket."""


class Terraform(Section):
    """Where Terraform keeps its state."""

    backend: Annotated[LocalBackend | S3Backend, Field(discriminator="type")]
    """The backend: `type: local` with path, or `type: s3` with bucket, key and region."""


class Archive(Section):
    """Where the records of runs are kept."""

    directory: kind.FilePath = "../runs"
    """Folder that holds one folder per run. Runs that share it exclude each other from a volume."""
    bucket: kind.Bucket | None = None
    """Bucket for the lease on the volume: with it, runs of all machines exclude each other."""
    copy_records: bool = False
    """Whether each sealed record is copied to `bucket`, which must have versioning on."""
    object_lock: Literal["none", "governance", "compliance"] = "none"
    """Object Lock of a copied record; in mode `compliance` nobody at all can delete it before its time."""
    object_lock_days: int = Field(default=365, ge=1, le=36500)
    """For how many days."""
    prefix: kind.ObjectKey = "runbook"
    """What the keys of objects in `bucket` begin with."""
    secrets: Annotated[tuple[kind.KeptOut, ...], ListOf] = ()
    """Secrets that a run may meet beside those of `target.secrets`; resolved in memory and kept out of its record."""
    lease_expires_s: int = Field(default=60, ge=10, le=3600)
    """Seconds without a heartbeat after which a holder on another machine counts as gone and may be taken over."""


class Parameters(Section):
    """Everything that one migration needs to know."""

    name: kind.Name
    """Name of the migration; part of every run id and of the names of what is made."""
    aws: Aws
    """The account and how it is reached."""
    source: Source
    """The compose host."""
    volume: Volume
    """The data volume."""
    target: Target
    """The ECS side."""
    storage: Storage
    """How the container gets the volume."""
    terraform: Terraform
    """Where Terraform keeps its state."""
    policy: Policy = Policy()
    """What the organisation demands of the change."""
    archive: Archive = Archive()
    """Where the records of runs are kept."""
    notifications: dict[kind.Name, Hook] = Field(default={})
    """By name: who is told when a run starts, waits, fails or ends."""


class ParametersFile(Section):
    """A parameters file: one top-level key, so that Papermill's `-f` injects it whole."""

    migration: Parameters
    """The parameters of one migration."""

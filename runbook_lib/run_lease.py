"""Which lease a migration's volume has, and where it lies: the only place that knows both parameters and stores."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.objects import Objects
from runbook_lib.lease import Lease, Store
from runbook_lib.lease_file import FileLease
from runbook_lib.lease_object import ObjectLease
from runbook_lib.parameters import Parameters
from runbook_lib.run_folder import operator


def open_session(parameters: Parameters, run_id: str, **options: object) -> Aws:
    """Return a session with the account of the parameters.

    Args:
        parameters: What to migrate.
        run_id: Put into the user agent.
        **options: Further arguments of `Aws`, or others than the parameters say.

    Returns:
        The session.
    """
    aws = parameters.aws
    said: dict[str, Any] = {
        "region": aws.region,
        "endpoint_url": aws.endpoint_url or "",
        "profile": aws.profile or "",
        "credentials_file": Path(aws.credentials_file) if aws.credentials_file else None,
        "role_arn": aws.role_arn or "",
        "source_identity": aws.source_identity,
        "run_id": run_id,
    }
    return Aws(**{**said, **options})


def lease_of(parameters: Parameters, run_id: str = "") -> Lease:
    """Return the lease on the volume of a migration; nobody holds it by that.

    Args:
        parameters: What to migrate.
        run_id: The run that wants it; "" to look only.

    Returns:
        The lease: an object of `archive.bucket` where that is given, else a file in `archive.directory`.
    """
    return Lease(
        _store(parameters, run_id),
        Clock(),
        volume_id=parameters.volume.volume_id,
        run_id=run_id,
        operator=operator(),
        expires_after_s=parameters.archive.lease_expires_s,
    )


def _store(parameters: Parameters, run_id: str) -> Store:
    archive = parameters.archive
    if archive.bucket is None:
        return FileLease(Path(archive.directory) / ".leases", _name(parameters))
    # short: an act waits for the answer, and no answer is a refusal
    aws = open_session(parameters, run_id, attempts=2, read_timeout_s=5)
    prefix = archive.prefix.strip("/")
    return ObjectLease(Objects(aws, archive.bucket), f"{prefix}/leases/{_name(parameters)}.json".removeprefix("/"))


def _name(parameters: Parameters) -> str:
    """Return the volume's name among all leases.

    Every sandbox has a volume of the same id, so where a sandbox is belongs to its volume's identity. In AWS a volume
    id is unique, and the same volume may be reached through several endpoints, so there the id alone is the name.
    """
    url = parameters.aws.endpoint_url or ""
    volume_id = parameters.volume.volume_id
    if not url.startswith("http://"):
        return volume_id
    return f"{volume_id}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"

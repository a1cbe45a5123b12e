"""The way into moto: its backends for this account and region, and how a method of it is replaced.

moto's objects are the single source of truth for AWS objects; whoever changes them holds ``World.lock``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import botocore.loaders
import botocore.session

ACCOUNT_ID = "012345678901"
"""Begins with a zero on purpose: whoever takes it for a number loses a digit."""

REGION = "us-east-1"
SEED = "runbook sandbox"
_GLOBAL = frozenset({"iam", "s3", "sts"})

_one_loader = functools.cache(botocore.loaders.create_loader)


def prepare_environment() -> None:
    """Set what moto reads once, at import; must run before anything imports moto.

    Changes:
        Environment variables of this process; from here on its botocore sessions read each API description once
        between them. moto opens a session for every service, and each read all regions of AWS anew: a third of the
        sandbox's start.
    """
    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT_ID
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # machine_images has the ones there are
    os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"
    os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "true"
    os.environ["AWS_DEFAULT_REGION"] = REGION
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    botocore.session.create_loader = _one_loader


def backend(service: str) -> Any:
    """Return moto's backend of a service.

    Args:
        service: moto's name of it, for example ``ec2``, ``ecs`` or ``applicationautoscaling``.
    """
    from moto.backends import get_backend  # noqa: PLC0415 - prepare_environment comes first

    regions = get_backend(service)[ACCOUNT_ID]  # type: ignore[arg-type, unused-ignore]
    return regions["aws"] if service in _GLOBAL else regions[REGION]


def install(owner: Any, name: str, function: Callable[..., Any]) -> None:
    """Put a function in the place of a method of a moto class.

    Args:
        owner: The class.
        name: The method, which may be new: moto finds API operations by the names of their methods.
        function: Gets the moto object first, then the method's arguments.
    """

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    setattr(owner, name, method)


def operations(owner: Any, **functions: Callable[[Any], Any]) -> None:
    """Put several API operations on a moto response class, named as moto names them."""
    for name, function in functions.items():
        install(owner, name, function)

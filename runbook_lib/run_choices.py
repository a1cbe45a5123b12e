"""The ids that the account of a parameters file has, for a form to choose from; or why it could not be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.inventory import Inventory
from runbook_lib.errors import OutsideError

_TEXTS = ("endpoint_url", "profile", "role_arn")


def account_inventory(aws: Mapping[str, Any], base: Path) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Ask the account what it has; a file that is not valid yet is enough.

    Args:
        aws: The section `aws` as the file says it.
        base: The folder that relative paths count from.

    Returns:
        As `Inventory.everything`, and "" ; or nothing, and why not. Never raises for what AWS or the network does.
    """
    if not isinstance(aws.get("region"), str):
        return {}, "aws.region is not given yet"
    credentials = aws.get("credentials_file")
    file = (base / Path(str(credentials)).expanduser()).resolve() if credentials else None
    texts: dict[str, Any] = {key: str(aws.get(key) or "") for key in _TEXTS}
    try:
        session = Aws(
            region=aws["region"], credentials_file=file, source_identity=False, attempts=1, read_timeout_s=5, **texts
        )
        return Inventory(session).everything(), ""
    except OutsideError as error:
        return {}, str(error).splitlines()[0]

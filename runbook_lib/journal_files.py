"""Which files of a run folder are its record, and which only lie beside it; pure."""

from __future__ import annotations

import re
from pathlib import Path

_BESIDE = re.compile(
    r"SHA256SUMS|SHA256SUMS\.sig|SHA256SUMS\.kms\.json|receipts\.json|\.lock|terraform/errored\.tfstate"
    r"|terraform/\.terraform/.*|(?:.*/)?\.[^/]+\.\d+\.partial",
    re.DOTALL,
)
"""Locks, writes that were cut off, what is said about a seal, Terraform's working data: in their own places only."""


def is_of_record(file: Path, folder: Path) -> bool:
    """Return whether a file of a run folder is part of the record, which a seal covers.

    Args:
        file: The file.
        folder: The run folder.

    Returns:
        False for what a run leaves beside its record; True for anything else, whoever put it there.
    """
    return _BESIDE.fullmatch(file.relative_to(folder).as_posix()) is None

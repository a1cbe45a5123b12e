"""Take a mount path out of /etc/fstab, so that the retired source never mounts the volume again.

Changes, only when told to: comments the lines out; the former file is kept as /etc/fstab.before-runbook.
"""

from __future__ import annotations

from fstab import find_mounts, retire


def main(arguments: dict) -> dict:
    """Return the lines that mount something at the path; comment them out when `change` is true."""
    found = find_mounts(arguments["mount_path"])
    if found and arguments["change"]:
        retire(arguments["mount_path"])
    return {"lines": found}

"""Take a mount path out of /etc/fstab, so that the retired source never mounts the volume again.

Changes, only when told to: comments the lines out; the former file is kept as /etc/fstab.before-runbook.
"""

from __future__ import annotations

import os
import shutil

from prelude import read_text

FSTAB, KEPT = "/etc/fstab", "/etc/fstab.before-runbook"


def main(arguments: dict) -> dict:
    """Return the lines that mount something at the path; comment them out when `change` is true."""
    lines = read_text(FSTAB).splitlines()
    found = [line for line in lines if mounts_at(line, arguments["mount_path"])]
    if found and arguments["change"]:
        if not os.path.exists(KEPT):
            shutil.copy2(FSTAB, KEPT)
        write("".join(("# retired: " + line if line in found else line) + "\n" for line in lines))
    return {"lines": found}


def mounts_at(line: str, mount_path: str) -> bool:
    """Return whether a line of fstab mounts something at the path or below it."""
    fields = line.split()
    if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004 - device and mount point
        return False
    return (fields[1].rstrip("/") + "/").startswith(mount_path.rstrip("/") + "/")


def write(content: str) -> None:
    """Replace fstab whole or not at all."""
    partial = FSTAB + ".runbook.partial"
    with open(partial, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    shutil.copymode(FSTAB, partial)
    os.replace(partial, FSTAB)

"""The lines of /etc/fstab that mount something at a path: taken out, and brought back.

Changes: /etc/fstab, whole or not at all; the former file is kept as /etc/fstab.before-runbook.
"""

from __future__ import annotations

import os
import shutil

from prelude import read_text

FSTAB, KEPT = "/etc/fstab", "/etc/fstab.before-runbook"
RETIRED = "# retired: "


def find_mounts(mount_path: str) -> list:
    """Return the lines that mount something at the path or below it."""
    return [line for line in read_text(FSTAB).splitlines() if mounts_at(line, mount_path)]


def retire(mount_path: str) -> None:
    """Comment the lines of a mount path out."""
    if not os.path.exists(KEPT):
        shutil.copy2(FSTAB, KEPT)
    lines = read_text(FSTAB).splitlines()
    write([RETIRED + line if mounts_at(line, mount_path) else line for line in lines])


def restore(mount_path: str) -> list:
    """Bring the lines back that `retire` commented out for a mount path; return them."""
    lines = read_text(FSTAB).splitlines() if os.path.exists(FSTAB) else []
    brought = [line for line in lines if line.startswith(RETIRED) and mounts_at(line[len(RETIRED) :], mount_path)]
    if brought:
        write([line[len(RETIRED) :] if line in brought else line for line in lines])
    return [line[len(RETIRED) :] for line in brought]


def mounts_at(line: str, mount_path: str) -> bool:
    """Return whether a line of fstab mounts something at the path or below it."""
    fields = line.split()
    if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004 - device and mount point
        return False
    return (fields[1].rstrip("/") + "/").startswith(mount_path.rstrip("/") + "/")


def write(lines: list) -> None:
    """Replace fstab whole or not at all."""
    partial = FSTAB + ".runbook.partial"
    with open(partial, "w", encoding="utf-8") as stream:
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()
        os.fsync(stream.fileno())
    shutil.copymode(FSTAB, partial)
    os.replace(partial, FSTAB)

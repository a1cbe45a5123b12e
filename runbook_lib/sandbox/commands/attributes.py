"""``chattr`` and ``lsattr`` of a simulated host, for the one attribute a boot script needs: immutable.

The attribute belongs to a folder of the host's root disk. What it forbids is enforced where guests and Docker write.
"""

from __future__ import annotations

import posixpath

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import read
from runbook_lib.sandbox.processes import CommandResult

FLAGS = 22
IMMUTABLE_AT = 4


def chattr(call: Call) -> CommandResult:
    """Answer ``chattr +i|-i PATH...``; a path on a data volume is refused, the attribute would travel with it."""
    if len(call.arguments) < 2 or call.arguments[0] not in {"+i", "-i"}:  # noqa: PLR2004 - a mode and a path
        return failed("chattr: the simulated host knows only: chattr +i|-i PATH...")
    mode, *paths = call.arguments
    for path in paths:
        place = call.host.canonical(_absolute(call, path))
        real = call.host.real_path(place)
        if not real.exists():
            return failed(f"chattr: No such file or directory while trying to stat {path}")
        if call.host.mounts.holding(place).volume_id:
            return failed(f"chattr: {path} is on a data volume; the simulated host changes no attributes there")
        call.host.mounts.set_immutable(real, on=mode == "+i")
    return printed("")


def lsattr(call: Call) -> CommandResult:
    """Answer ``lsattr -d PATH...``."""
    options = read(call.arguments, flags=["-d"])
    if not options.has("-d") or not options.words:
        return failed("lsattr: the simulated host knows only: lsattr -d PATH...")
    lines = []
    for path in options.words:
        real = call.host.real_path(_absolute(call, path))
        if not real.exists():
            return failed(f"lsattr: No such file or directory while trying to stat {path}")
        flags = ["-"] * FLAGS
        if call.host.mounts.is_immutable(real):
            flags[IMMUTABLE_AT] = "i"
        lines.append(f"{''.join(flags)} {path}\n")
    return printed("".join(lines))


def _absolute(call: Call, path: str) -> str:
    return path if path.startswith("/") else posixpath.join(call.cwd, path)

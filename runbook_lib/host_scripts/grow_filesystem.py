"""Let the data volume's filesystem fill its device, while it is mounted and in use: `resize2fs` or `xfs_growfs`.

Changes: the filesystem's size, never its files. Refused while the device is smaller than it shall be, because the
filesystem would be grown to a size that nobody asked for, and for any filesystem but the one that was looked at.
"""

from __future__ import annotations

from measure_volume import EXT, measure
from prelude import Refused, run


def main(arguments: dict) -> dict:
    """Grow the filesystem; return both sizes before and after, and what was run."""
    before = measure(arguments["volume_id"])
    if before["filesystem_uuid"] != arguments["filesystem_uuid"]:
        wanted = (before["device"], before["filesystem_uuid"], arguments["filesystem_uuid"])
        raise Refused("unexpected-filesystem", "%s holds filesystem %s, not %s; nothing was grown" % wanted)
    if before["device_bytes"] < arguments["device_bytes"]:
        sizes = (before["device"], before["device_bytes"], arguments["device_bytes"])
        raise Refused("device-too-small", "%s has %d bytes, not yet %d; nothing was grown" % sizes)
    is_ext = before["fstype"] in EXT
    command = ["resize2fs", before["device"]] if is_ext else ["xfs_growfs", "-d", before["path"]]
    _, output = run(command, timeout_s=float(arguments["limit_s"]))
    return {"before": before, "after": measure(arguments["volume_id"]), "command": command, "output": output[-2000:]}

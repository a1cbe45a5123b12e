"""Hold the data volume on this host while its service stops, so that what it left can be read.

Where a unit of the host has it mounted, nothing need hold it. Else the gate container (see `gate`) does, beside the
running service: the plugin counts its users, so there is no second attachment. Changes: that container; nothing on the
volume.
"""

from __future__ import annotations

from containers import source_of, view_path
from gate import INSIDE, Hold
from inspect_target import read_sentinel
from verify_before_start import identify


def main(arguments: dict) -> dict:
    """Hold the volume; return which one it is, the host's path of its root and the sentinel's digest."""
    gate = arguments["gate"]
    if gate.get("mount_path"):
        source = view = gate["mount_path"]
    else:
        container = Hold(gate, arguments["volume_id"], arguments["run_id"]).container()
        source, view = source_of(container, INSIDE), view_path(container, INSIDE)
    return dict(identify(source), view=view, sentinel=read_sentinel(view))

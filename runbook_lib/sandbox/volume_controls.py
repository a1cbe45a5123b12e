"""The control path that puts a filesystem on a volume, as whoever owned it before would have done.

No host of the sandbox has a command that formats a disk: nothing in the runbooks may ever need one.
"""

from __future__ import annotations

from typing import Any

from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls
from runbook_lib.sandbox.world import World


def register_controls(world: World, controls: Controls) -> None:
    """Serve ``POST /_sandbox/volumes/{volume_id}/format {"fstype": "ext4"}``.

    Args:
        world: Where the volumes are.
        controls: The server's registry.
    """

    def put_filesystem(request: ControlRequest) -> dict[str, Any]:
        volume_id = request.parts["volume_id"]
        if world.is_mounted(volume_id):
            raise ControlError(409, f"{volume_id} is mounted")
        try:
            world.volumes.format(volume_id, str(request.body.get("fstype", "ext4")))
            stored = world.volumes.get(volume_id)
        except LookupError as error:
            raise ControlError(404, f"there is no volume {volume_id}") from error
        return {"volume_id": volume_id, "fstype": stored.fstype, "fs_uuid": stored.fs_uuid}

    controls.add("POST", "/_sandbox/volumes/{volume_id}/format", put_filesystem)

"""Hold the data volume on this host with a container that does nothing, so that it can be looked at before the service.

The container runs an image of this host that only waits, sees the volume read-only and has no network. It is found by
its name, so one that a killed runbook left behind is used again or removed. Changes: that container; through it the
volume plugin attaches and mounts the volume.
"""

from __future__ import annotations

import json
import subprocess
import time

from containers import source_of
from mounts import block_devices, find_device
from prelude import Refused, run

INSIDE = "/volume"
POLL_S = 0.1
STARTS_S = 300.0


def container_name(volume_id: str) -> str:
    """Return the name of the one container that may hold a volume for us on a host."""
    return "runbook-gate-" + volume_id


def find(volume_id: str) -> dict | None:
    """Return docker's description of the gate container, running or not, or None."""
    code, output = run(["docker", "inspect", "--type", "container", container_name(volume_id)], accept=(0, 1))
    found = json.loads(output) if code == 0 else []
    return found[0] if found else None


class Hold:
    """A gate container: the one that is there, or one that starts while the volume can be looked at already.

    Args:
        gate: `volume_name`, `plugin_alias`, `image`.
        volume_id: The volume.
        run_id: The run that holds it.
        wait_s: How long to wait until the plugin knows the volume.
    """

    def __init__(self, gate: dict, volume_id: str, run_id: str, wait_s: float = 0.0) -> None:
        check_image(gate["image"])
        wait_for_volume(gate, volume_id, wait_s)
        self.volume_id, self.starting = volume_id, None
        row = find(volume_id)
        if row is not None and not (row["State"].get("Running") and source_of(row, INSIDE)):
            run(["docker", "rm", "-f", container_name(volume_id)], timeout_s=300)
            row = None
        if row is None:
            argv = [
                "docker",
                "run",
                "--detach",
                "--name",
                container_name(volume_id),
                "--label",
                "runbook.run-id=" + run_id,
            ]
            argv += ["--network", "none", "--restart", "no", "--volume-driver", gate["plugin_alias"]]
            argv += ["--volume", "%s:%s:ro" % (gate["volume_name"], INSIDE), gate["image"]]
            self.starting = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )

    def mounted_at(self) -> str:
        """Return where the kernel has the volume mounted, as soon as it has; "" when the start ended before that."""
        deadline = time.monotonic() + STARTS_S
        while self.starting is not None and self.starting.poll() is None and time.monotonic() < deadline:
            device = find_device(block_devices(), self.volume_id)
            if device and device["found_by"] == "serial" and device["mountpoint"]:
                return device["mountpoint"]
            time.sleep(POLL_S)
        return ""

    def container(self) -> dict:
        """Return docker's description of the gate container once it runs."""
        if self.starting is not None:
            try:
                problem = self.starting.communicate(timeout=STARTS_S)[1].decode("utf-8", "replace").strip()
            except subprocess.TimeoutExpired:
                self.starting.kill()
                message = "the container that holds the volume did not start in %g s" % STARTS_S
                raise Refused("gate-not-running", message) from None
            if self.starting.returncode:
                raise Refused("gate-not-running", "the container that holds the volume did not start: %s" % problem)
        row = find(self.volume_id)
        if row is None or not row["State"].get("Running"):
            state = (row or {}).get("State")
            raise Refused("gate-not-running", "the container that holds the volume does not run", state=state)
        return row


def wait_for_volume(gate: dict, volume_id: str, wait_s: float) -> None:
    """Return once the plugin knows the volume by its name; refuse another one at once, and none after a time."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            check_volume(gate, volume_id)
        except Refused as refusal:
            if refusal.kind != "no-volume" or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(POLL_S)


def check_image(image: str) -> None:
    """Refuse an image that is not on this host: a pull inside the outage could take minutes, or fail."""
    if run(["docker", "image", "inspect", image], accept=(0, 1))[0]:
        message = "image %s is not on this host; nothing was started or mounted" % image
        raise Refused("no-gate-image", message, image=image)


def check_volume(gate: dict, volume_id: str) -> None:
    """Refuse a name that the plugin does not know, or knows as another volume; a start would make an empty one."""
    code, output = run(["docker", "volume", "inspect", gate["volume_name"]], timeout_s=120, accept=(0, 1))
    found = json.loads(output) if code == 0 else []
    if not found:
        message = "no volume %s on this host; nothing was started or mounted" % gate["volume_name"]
        raise Refused("no-volume", message, volume_name=gate["volume_name"])
    driver = found[0].get("Driver", "").replace(":latest", "")
    known_id = (found[0].get("Status") or {}).get("id") or volume_id  # not every version of the plugin tells it
    if driver != gate["plugin_alias"].replace(":latest", "") or known_id != volume_id:
        message = "volume %s is %s of %s, not %s of %s; nothing was started or mounted" % (
            gate["volume_name"], known_id, driver, volume_id, gate["plugin_alias"]
        )  # fmt: skip
        raise Refused("other-volume", message, volume=found[0])

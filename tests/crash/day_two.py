"""The changes after a migration as `changes` strikes them: machine image or size of the hosts, volume, container."""

from __future__ import annotations

from types import MappingProxyType

import yaml

from runbook_lib.sandbox.images import ImageRegistry
from runbook_lib.sandbox.machine_images import FIRST_RELEASE, IMAGES, NEXT_RELEASE
from tests.crash.changes import ChangingTown
from tests.crash.strikes import DEPLOYMENT, DEPLOYMENTS, PATCH, PATCHES, RESIZE, RESIZES

HAND_OVER, HAND_OVER_RESIZED = "hand-volume-to-patched-host", "hand-volume-to-resized-host"
NEWER, FORMER, LARGER = "newer", "former", "larger"
MODIFY, GROW = "modify-volume", "grow-filesystem"
TYPES, MORE_IOPS, IOPS = ["t3.medium", "t3.large"], 3500, 3000


def machine_image(release):
    """Return the id of a release of the ECS-optimized image."""
    return next(one.image_id for one in IMAGES if one.agent and (one.release, one.architecture) == (release, "x86_64"))


class PatchingTown(ChangingTown):
    """A sandbox whose hosts are patched, and patched back by the id of the former image.

    Args:
        folder: Where its files may go.
    """

    there, back = NEWER, FORMER
    notebooks, first = (PATCH,), "check-hosts"
    cases = tuple(
        case for case in PATCHES if case[1] != HAND_OVER
    )  # the volume keeps the Name by which REX-Ray finds it
    planned = planning = ("provision-host-image",)
    completion, last_before_plan = "", "remove-unpatched-hosts"
    only = shown = MappingProxyType({})
    needs_permissions, registers = "", False

    def __init__(self, folder, driver="rexray"):
        super().__init__(folder, driver)
        self.sandbox.control("POST", "/_sandbox/machine-images/publish", {"release": FIRST_RELEASE})

    def migration_there(self):
        """Return the parameters with the newer image."""
        return self.migration | {"target": self.migration["target"] | {"ami_id": machine_image(NEXT_RELEASE)}}

    def kinds(self):
        """Return what the host of the task is, and what each host is."""
        hosts = [NEWER if one == machine_image(NEXT_RELEASE) else FORMER for one in self.hosts_have("ecs.ami-id")]
        return (hosts[0] if len(set(hosts)) == 1 else "both"), hosts


class UnitPatchingTown(PatchingTown):
    """The same with `host_mount`, for the one step that has nothing to do with REX-Ray.

    Args:
        folder: Where its files may go.
    """

    cases = tuple(case for case in PATCHES if case[1] == HAND_OVER)

    def __init__(self, folder):
        super().__init__(folder, "host_mount")

    @classmethod
    def after_plan(cls):
        """Return nothing: every run plans once."""
        return []


class ResizingTown(ChangingTown):
    """A sandbox whose volume becomes larger and faster and whose host larger, and the last two as before again.

    Args:
        folder: Where its files may go.
    """

    there, back = LARGER, FORMER
    notebooks, first = (RESIZE,), "check-resize"
    cases = tuple(case for case in RESIZES if case[1] != HAND_OVER_RESIZED)
    planned = planning = ("provision-instance-type",)
    completion, last_before_plan = "", "remove-former-size"
    only = MappingProxyType({GROW: LARGER})  # a volume and its filesystem never become smaller
    shown = MappingProxyType({})
    needs_permissions, registers = "", False
    now = ""

    def __init__(self, folder, driver="rexray"):
        super().__init__(folder, driver)
        self.files[FORMER] = folder / "former.yaml"
        self._write(FORMER, {"iops": IOPS})

    def _write(self, kind, volume):
        migration = self.migration_there() if kind == LARGER else self.migration
        migration = migration | {"volume": migration["volume"] | volume}
        self.files[kind].write_text(yaml.safe_dump({"migration": migration}), "utf-8")

    def migration_there(self):
        """Return the parameters with the larger instance types."""
        return self.migration | {"target": self.migration["target"] | {"instance_types": TYPES}}

    def begin(self, kind):
        """Open a run that changes to a kind; whatever becomes larger becomes larger once more."""
        if kind == LARGER:
            self._write(LARGER, {"iops": MORE_IOPS, "size_gib": self.volume()["Size"] + 1})
        return super().begin(kind)

    def volume(self):
        """Return what EC2 says of the volume."""
        ids = [self.migration["volume"]["volume_id"]]
        return self.sandbox.client("ec2").describe_volumes(VolumeIds=ids)["Volumes"][0]

    def strike(self, run_id, *notebooks, step_id, strike, **how):
        """Strike a step; see `goes_on_without`."""
        self.now = strike
        return super().strike(run_id, *notebooks, step_id=step_id, strike=strike, **how)

    def goes_on_without(self, step_id):
        """Return whether a step goes on without the answer: what EBS and the host tell afterwards is enough."""
        heard_of = step_id in {MODIFY, GROW} and self.now == "no answer from AWS"
        return heard_of or super().goes_on_without(step_id)

    def kinds(self):
        """Return what the host of the task is, and what each host is."""
        hosts = [LARGER if one in TYPES else FORMER for one in self.hosts_have("ecs.instance-type")]
        return (hosts[0] if len(set(hosts)) == 1 else "both"), hosts

    def runs_on(self, kind):
        """Check in addition that the volume has the IOPS of the kind."""
        assert self.volume()["Iops"] == (MORE_IOPS if kind == LARGER else IOPS)
        return super().runs_on(kind)


class UnitResizingTown(ResizingTown):
    """The same with `host_mount`, for the one step that has nothing to do with REX-Ray.

    Args:
        folder: Where its files may go.
    """

    cases = tuple(case for case in RESIZES if case[1] == HAND_OVER_RESIZED)

    def __init__(self, folder):
        super().__init__(folder, "host_mount")

    @classmethod
    def after_plan(cls):
        """Return nothing: every run plans once."""
        return []


class DeployingTown(ChangingTown):
    """A sandbox whose service gets another image, and the former one again, each by its digest.

    Args:
        folder: Where its files may go.
    """

    there, back = NEWER, FORMER
    notebooks, cases, first = (DEPLOYMENT,), DEPLOYMENTS, "check-deployment"
    planned = planning = ("register-image",)
    completion, last_before_plan = "", "verify-data-after-deployment"
    only = shown = MappingProxyType({})
    needs_permissions = ""

    def __init__(self, folder):
        registry = ImageRegistry()
        found = {
            kind: registry.find(f"registry.sandbox/guestbook:{tag}") for kind, tag in ((NEWER, "1.1"), (FORMER, "1.0"))
        }
        self._images = {kind: f"{image.repository}@{image.digest}" for kind, image in found.items()}
        super().__init__(folder)
        self.files[FORMER] = self._file_of(FORMER)

    def migration_there(self):
        """Return the parameters with the newer image."""
        return self.migration | {"target": self.migration["target"] | {"image": self._images[NEWER]}}

    def _file_of(self, kind):
        path = self.archive.parent / f"{kind}.yaml"
        migration = self.migration | {"target": self.migration["target"] | {"image": self._images[kind]}}
        path.write_text(yaml.safe_dump({"migration": migration}), "utf-8")
        return path

    def kinds(self):
        """Return which image the service runs, for the service and for its host."""
        (container,) = self.definition()["containerDefinitions"]
        own = NEWER if container["image"] == self._images[NEWER] else FORMER
        return own, [own for _ in self.hosts_have("ecs.ami-id")]

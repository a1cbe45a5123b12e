"""The changes after a migration as `changes` strikes them: other machine image of the hosts, other container image."""

from __future__ import annotations

from types import MappingProxyType

import yaml

from runbook_lib.sandbox.images import ImageRegistry
from runbook_lib.sandbox.machine_images import FIRST_RELEASE, IMAGES, NEXT_RELEASE
from tests.crash.changes import ChangingTown
from tests.crash.strikes import DEPLOYMENT, DEPLOYMENTS, PATCH, PATCHES

HAND_OVER = "hand-volume-to-patched-host"
NEWER, FORMER = "newer", "former"


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

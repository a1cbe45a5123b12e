"""The image registry of the sandbox: folders with ``image.json`` and the files of the image.

Reads the package's ``images/`` folder; changes nothing. Tags of one folder differ in their settings only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGISTRY = "registry.sandbox"
LAYER_BYTES = 45_000_000
"""What a Python base image weighs; added to the files' own bytes so that sizes look like those of real images."""


@dataclass(frozen=True)
class Image:
    """One image of the registry.

    Args:
        reference: For example ``registry.sandbox/guestbook:1.0``.
        digest: ``sha256:...`` of its manifest.
        image_id: ``sha256:...`` of its configuration.
        files: Folder whose content is the image's root.
        config: ``Entrypoint Cmd Env WorkingDir User ExposedPorts Healthcheck StopSignal Volumes Labels``, as Docker.
        size_bytes: What it takes on a host.
    """

    reference: str
    digest: str
    image_id: str
    files: Path
    config: dict[str, Any] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def repository(self) -> str:
        """Return the reference without its tag."""
        return self.reference.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """Return the tag."""
        return self.reference.rpartition(":")[2]


class ImageRegistry:
    """Every image that a host can pull.

    Args:
        folder: Folder of image folders; each has ``image.json`` with ``repository``, ``config`` and ``tags``.
    """

    def __init__(self, folder: Path = Path(__file__).parent / "images") -> None:
        self._images: dict[str, Image] = {}
        for description in sorted(folder.glob("*/image.json")):
            for image in _images_of(description):
                self._images[image.reference] = image

    def references(self) -> list[str]:
        """Return every reference, sorted."""
        return sorted(self._images)

    def find(self, reference: str) -> Image | None:
        """Return the image for a reference by tag or digest; no tag means ``latest``; None when there is none."""
        if "@" in reference:
            repository, _, digest = reference.partition("@")
            name = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
            found = (one for one in self._images.values() if one.repository == name and one.digest == digest)
            return next(found, None)
        return self._images.get(normalized(reference))


def normalized(reference: str) -> str:
    """Return a reference with its tag."""
    return reference if ":" in reference.rpartition("/")[2] else reference + ":latest"


def _images_of(description: Path) -> list[Image]:
    data = json.loads(description.read_text(encoding="utf-8"))
    files = description.parent / "root"
    content = hashlib.sha256()
    size = LAYER_BYTES
    for path in sorted(one for one in files.rglob("*") if one.is_file() and "__pycache__" not in one.parts):
        content.update(str(path.relative_to(files)).encode() + b"\0" + path.read_bytes())
        size += path.stat().st_size
    images = []
    for tag, changes in data["tags"].items():
        config = {**data["config"], **changes.get("config", {})}
        config["Env"] = [f"{key}={value}" for key, value in {**data["config"]["Env"], **changes.get("env", {})}.items()]
        identity = hashlib.sha256(json.dumps(config, sort_keys=True).encode() + content.digest()).hexdigest()
        digest = hashlib.sha256(b"manifest" + identity.encode()).hexdigest()
        reference = f"{data['repository']}:{tag}"
        images.append(Image(reference, f"sha256:{digest}", f"sha256:{identity}", files, config, size))
    return images

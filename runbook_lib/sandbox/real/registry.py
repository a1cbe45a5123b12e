"""The image registry of a sandbox with real hosts: a read-only one, answered inside each host.

dockerd pulls from it over HTTP as from any registry, images and the volume plugin alike. Writes its own folder only.
Source: Docker Registry HTTP API V2; image manifest version 2, schema 2; plugin configuration, version 1.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.images import Image, ImageRegistry
from runbook_lib.sandbox.plugins import FORK_REPOSITORY, REGISTRY
from runbook_lib.sandbox.real import image_files, plugin_files, postgres_files
from runbook_lib.sandbox.real.image_files import Layer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE, PLUGIN = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.plugin.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
"""The only type that schema 2 has; dockerd looks at the first bytes and takes a plain tar too."""
CHUNK = 1 << 20
Answer = tuple[int, dict[str, str], Path | bytes]


class RealRegistry:
    """What real hosts can pull.

    Args:
        folder: For blobs and manifests.
        images: What the sandbox offers, as settings and files.
    """

    def __init__(self, folder: Path, images: ImageRegistry) -> None:
        self._blobs = folder / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._tags: dict[tuple[str, str], str] = {}
        self._manifests: dict[str, bytes] = {}
        self._making = threading.Lock()
        self._base = self._keep(image_files.base_layer(self._blobs / "base"))
        for reference in images.references():
            image = images.find(reference)
            if image is not None:
                self._add_image(image)
        self.plugin_digest = self._add_plugin()

    @property
    def plugin_reference(self) -> str:
        """Return the volume plugin's reference by tag: Docker 20.10's daemon panics when one is pulled by digest."""
        # Source: moby pull request 47299 of February 2024, with backports to 23.0, 24.0 and 25.0.
        return f"{FORK_REPOSITORY}:latest"

    def answer(self, path: str) -> Answer:
        """Return status, headers and content of a GET or HEAD below ``/v2/``."""
        parts = path.removeprefix("/v2/").strip("/").split("/")
        if parts == [""]:
            return 200, {"Content-Type": "application/json"}, b"{}"
        *name, kind, reference = parts
        if kind == "manifests":
            if name == [postgres_files.REPOSITORY]:
                self._make_postgres()
            digest = self._tags.get(("/".join(name), reference), reference)
            text = self._manifests.get(digest)
            if text is not None:
                return 200, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest}, text
        if kind == "blobs" and reference.startswith("sha256:") and (self._blobs / reference).is_file():
            return 200, {"Content-Type": "application/octet-stream"}, self._blobs / reference
        code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
        error = {"errors": [{"code": code, "message": f"{kind[:-1]} unknown", "detail": {}}]}
        return 404, {"Content-Type": "application/json"}, json.dumps(error).encode()

    def _add_image(self, image: Image) -> None:
        own = self._keep(image_files.tree_layer(self._blobs / "new", image.files))
        self._add(image.repository.removeprefix("registry.sandbox/"), image.tag, image.config, own)

    def _make_postgres(self) -> None:
        """Make the image of the database when it is first asked for: most sandboxes have none."""
        repository, tag = postgres_files.REPOSITORY, postgres_files.TAG
        with self._making:
            if (repository, tag) not in self._tags and postgres_files.is_here():
                own = self._keep(postgres_files.layer(self._blobs / "new"))
                self._add(repository, tag, postgres_files.config(), own)

    def _add(self, repository: str, tag: str, settings: dict[str, Any], own: Layer) -> None:
        layers = [self._base, own]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [one.digest for one in layers]},
            "history": [{"created_by": "runbook sandbox"} for _ in layers],
        }
        self._tags[repository, tag] = self._manifest(config, IMAGE, layers)

    def _add_plugin(self) -> str:
        layer = self._keep(plugin_files.layer(self._blobs / "new"))
        config = plugin_files.config() | {"rootfs": {"type": "layers", "diff_ids": [layer.digest]}}
        digest = self._manifest(config, PLUGIN, [layer])
        for tag in REGISTRY[FORK_REPOSITORY][2]:
            self._tags[FORK_REPOSITORY.removeprefix("registry.sandbox/"), tag] = digest
        return digest

    def _manifest(self, config: dict[str, Any], kind: str, layers: list[Layer]) -> str:
        text = json.dumps(config, sort_keys=True).encode()
        digest = _digest(text)
        (self._blobs / digest).write_bytes(text)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": kind, "size": len(text), "digest": digest},
            "layers": [{"mediaType": LAYER, "size": one.size_bytes, "digest": one.digest} for one in layers],
        }
        written = json.dumps(manifest, sort_keys=True).encode()
        self._manifests[_digest(written)] = written
        return _digest(written)

    def _keep(self, layer: Layer) -> Layer:
        path = self._blobs / layer.digest
        layer.path.replace(path)
        return Layer(path, layer.digest, layer.size_bytes)


def _digest(text: bytes) -> str:
    return "sha256:" + hashlib.sha256(text).hexdigest()

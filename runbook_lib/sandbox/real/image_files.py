"""Lay out container images from this machine's own Debian packages, without any registry. Writes tar files only."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "dash", "coreutils", "libc6", "zlib1g",
    "libexpat1", "libsqlite3-0", "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1", "libselinux1", "libpcre2-8-0",
    "libacl1", "libattr1", "libgmp10", "libffi8", "libssl3",
)  # fmt: skip
LEFT_OUT = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian", "/usr/share/bug", "/etc")
LINKS = {
    "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
    "usr/bin/python3": "python3.11", "usr/bin/python": "python3.11", "usr/bin/sh": "dash",
}  # fmt: skip
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = ("tmp", "etc", "var/tmp", "root", "dev", "proc", "sys", "run", "usr/sbin", "usr/local/bin")
STICKY = {"tmp", "var/tmp"}


@dataclass(frozen=True)
class Layer:
    """One uncompressed layer.

    Args:
        path: The tar file.
        digest: ``sha256:...`` of it, which is its id too, as it is not compressed.
        size_bytes: Its length.
    """

    path: Path
    digest: str
    size_bytes: int


def base_layer(target: Path) -> Layer:
    """Write the layer that every image of the sandbox stands on: Python, a shell and the core utilities of Debian."""
    with tarfile.open(target, "w") as tar:
        for name in FOLDERS:
            _add_folder(tar, name)
        for name, link in LINKS.items():
            _add_link(tar, name, link)
        for name, text in TEXTS.items():
            _add_bytes(tar, name, text.encode(), 0o644)
        for path in package_files(PACKAGES):
            name = _below_usr(path)
            if name not in LINKS:
                tar.add(path, arcname=name, recursive=False, filter=_plain)
    return _layer(target)


def paths_layer(target: Path, paths: Iterable[str], texts: Mapping[str, tuple[str, int]]) -> Layer:
    """Write a layer with files of this machine at their own paths, and with some texts: path to (text, mode).

    What stands behind a link is written under the link's own name, so that nothing else is needed.
    """
    with tarfile.open(target, "w", dereference=True) as tar:
        for path in sorted(set(paths)):
            tar.add(path, arcname=_below_usr(path), recursive=False, filter=_plain)
        for name, (text, mode) in sorted(texts.items()):
            _add_bytes(tar, name, text.encode(), mode)
    return _layer(target)


def tree_layer(target: Path, files: Path, texts: Mapping[str, tuple[str, int]] | None = None) -> Layer:
    """Write a layer with the content of a folder, and with some texts: path to (text, mode)."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(files.rglob("*")):
            if "__pycache__" not in path.parts:
                tar.add(path, arcname=str(path.relative_to(files)), recursive=False, filter=_plain)
        for name, (text, mode) in sorted((texts or {}).items()):
            _add_bytes(tar, name, text.encode(), mode)
    return _layer(target)


def package_files(packages: Iterable[str]) -> list[str]:
    """Return the files that this machine has of Debian packages, without what no container reads."""
    done = subprocess.run(["dpkg", "-L", *packages], capture_output=True, text=True, check=False)
    found = {line for line in done.stdout.splitlines() if line.startswith("/") and not line.startswith(LEFT_OUT)}
    kept = {_below_usr(path): path for path in sorted(found) if not Path(path).is_dir() and os.path.lexists(path)}
    return [kept[name] for name in sorted(kept)]


def _below_usr(path: str) -> str:
    """Return the path in the image: Debian's packages still name /bin and /lib, which are links to /usr."""
    name = path.lstrip("/")
    return f"usr/{name}" if name.partition("/")[0] in {"bin", "sbin", "lib", "lib64"} else name


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name in STICKY else 0o755
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _layer(path: Path) -> Layer:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Layer(path, f"sha256:{digest}", path.stat().st_size)

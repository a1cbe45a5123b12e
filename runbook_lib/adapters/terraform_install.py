"""Find Terraform and a mirror of its provider on this machine, or fetch the pinned release.

Reads folders and the environment and writes a root module's CLI configuration; `download` alone uses the network.
Starts no process: `terraform.py` asks a binary for its version.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import os
import platform
import shutil
import signal
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runbook_lib.errors import TerraformError

CLI_CONFIGURATION = ".terraform/runbook.tfrc"
MINIMUM_VERSION = (1, 11, 0)
PROVIDER_VERSION = "5.100.0"
RELEASE_VERSION = "1.11.4"
RELEASES = "https://releases.hashicorp.com/terraform"
RELEASE_SHA256 = {
    "darwin_amd64": "a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b",
    "darwin_arm64": "867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18",
    "linux_amd64": "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
    "linux_arm64": "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
}
"""Published SHA-256 of the release archives, by platform."""

_PR_SET_PDEATHSIG = 1
_REGISTRY = "registry.terraform.io"
_PROVIDER = f"{_REGISTRY}/hashicorp/aws"
_SEARCHED = ("/opt", "/usr/share", "/usr/local/share")
_KEPT = frozenset({"TF_LOG", "TF_LOG_PATH", "TF_LOG_CORE", "TF_LOG_PROVIDER"})
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def platform_name() -> str:
    """Return this machine as Terraform names it, for example ``linux_amd64``."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def environment_binary() -> Path:
    """Return where this Python environment keeps its own Terraform; the file need not exist."""
    return Path(sys.prefix) / "bin" / "terraform"


def candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the binaries that may be Terraform, in the order in which they are asked.

    Args:
        environment: For ``RUNBOOK_TERRAFORM`` and ``PATH``.

    Yields:
        Existing files: ``RUNBOOK_TERRAFORM`` alone when it is set; else this Python environment's, then
        ``terraform`` on PATH, then ``tofu``.

    Raises:
        TerraformError: When ``RUNBOOK_TERRAFORM`` names no file.
    """
    chosen = environment.get("RUNBOOK_TERRAFORM", "")
    if chosen:
        found = shutil.which(chosen, path=environment.get("PATH"))
        if found is None:
            raise TerraformError(
                "version", [f"RUNBOOK_TERRAFORM is {chosen}, which is no program; correct or unset it"]
            )
        yield Path(found)
        return
    if environment_binary().is_file():
        yield environment_binary()
    for name in ("terraform", "tofu"):
        found = shutil.which(name, path=environment.get("PATH"))
        if found is not None:
            yield Path(found)


def find_mirror(environment: Mapping[str, str], working_folder: Path) -> Path | None:
    """Return a folder from which the pinned provider can be installed without the network.

    Args:
        environment: For ``RUNBOOK_TERRAFORM_MIRROR``, ``HOME`` and the XDG folders.
        working_folder: Terraform also looks into ``terraform.d/plugins`` there.

    Returns:
        The mirror that holds the provider for this platform, or None: then it comes from the registry.

    Raises:
        TerraformError: When ``RUNBOOK_TERRAFORM_MIRROR`` is set but holds no such provider.
    """
    chosen = environment.get("RUNBOOK_TERRAFORM_MIRROR", "")
    if chosen:
        if not _holds_provider(Path(chosen)):
            lacks = f"which has no {_PROVIDER} {PROVIDER_VERSION} for {platform_name()}"
            fix = f"make it with `terraform providers mirror {chosen}`, or unset it"
            raise TerraformError("init", [f"RUNBOOK_TERRAFORM_MIRROR is {chosen}, {lacks}; {fix}"])
        return Path(chosen)
    mirrors = (*_implied_mirrors(environment, working_folder), *_mirrors_below(map(Path, _SEARCHED)))
    return next((mirror for mirror in mirrors if _holds_provider(mirror)), None)


def download(target: Path, *, releases: str = RELEASES, checksums: Mapping[str, str] = RELEASE_SHA256) -> Path:
    """Fetch the pinned Terraform release, check its SHA-256 and store the binary.

    Args:
        target: Where the binary goes; its folder exists.
        releases: Address of the release server.
        checksums: Expected SHA-256 of the archive by platform.

    Returns:
        The target.

    Raises:
        TerraformError: When there is no release for this platform, the server does not answer or the digest differs.

    Changes:
        The target file, all of it or nothing.
    """
    name = platform_name()
    if name not in checksums:
        raise TerraformError("download", [f"no pinned Terraform release for {name}; {how_to_install()}"])
    address = f"{releases}/{RELEASE_VERSION}/terraform_{RELEASE_VERSION}_{name}.zip"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own constant or the operator's
            archive = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise TerraformError("download", [f"{address}: {error}; {how_to_install()}"]) from error
    observed = hashlib.sha256(archive).hexdigest()
    if observed != checksums[name]:
        raise TerraformError(
            "download", [f"{address}: expected SHA-256 {checksums[name]}, observed {observed}; not used"]
        )
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(zipfile.ZipFile(io.BytesIO(archive)).read("terraform"))
    partial.chmod(0o755)
    partial.rename(target)
    return target


def child_environment(added: Mapping[str, str], run_id: str) -> dict[str, str]:
    """Return the environment of Terraform: ours without anybody's TF_* settings and endpoints, plus what was given.

    Args:
        added: Wins over everything else.
        run_id: Appended to the user agent, which CloudTrail records.

    Returns:
        All variables of the child.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("TF_") or name in _KEPT) and not name.startswith("AWS_ENDPOINT_URL")
    }
    return {
        **inherited,
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_APPEND_USER_AGENT": run_id,
        "CHECKPOINT_DISABLE": "1",
        **added,
    }


def interrupt_with_parent() -> Callable[[], None] | None:
    """Return what a child calls before it becomes Terraform, so that it is interrupted when this process is killed.

    Returns:
        A function that makes one system call, or None where there is no such call (not Linux). Terraform then ends
        the resources in flight and saves its state.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) and None


def how_to_install() -> str:
    """Return what an operator does when no Terraform can be had."""
    version = ".".join(map(str, MINIMUM_VERSION[:2]))
    return (
        f"install Terraform {version} or later (https://developer.hashicorp.com/terraform/install) "
        f"or OpenTofu {version} or later, put it on PATH or name it in RUNBOOK_TERRAFORM, and run again"
    )


def write_cli_configuration(folder: Path, environment: Mapping[str, str]) -> None:
    """Write the CLI configuration of a root module: its provider comes from a mirror when there is one.

    Args:
        folder: The root module.
        environment: As for `find_mirror`.

    Raises:
        TerraformError: When ``RUNBOOK_TERRAFORM_MIRROR`` is set but holds no such provider.

    Changes:
        ``.terraform`` in the folder; makes the provider cache of this Python environment when there is no mirror.
    """
    mirror = find_mirror(environment, folder)
    cache = None if mirror else plugin_cache()
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
    configuration = folder / CLI_CONFIGURATION
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(cli_configuration(mirror, cache), encoding="utf-8")


def plugin_cache() -> Path:
    """Return where providers from the registry are kept, so that 675 MB are not fetched again for every run."""
    return Path(sys.prefix) / "terraform-plugins"


def cli_configuration(mirror: Path | None, cache: Path | None = None) -> str:
    """Return a Terraform CLI configuration that depends on nothing the operator may have in theirs.

    Args:
        mirror: Folder that holds the provider, or None for the registry.
        cache: Existing folder that keeps what comes from the registry, or None.

    Returns:
        Text of the file.
    """
    kept = f"plugin_cache_dir = {_literal(cache)}\n" if cache else ""
    if mirror is None:
        return f"disable_checkpoint = true\n{kept}provider_installation {{\n  direct {{}}\n}}\n"
    return (
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = {_literal(mirror)}\n    include = ["{_PROVIDER}"]\n  }}\n'
        f'  direct {{\n    exclude = ["{_PROVIDER}"]\n  }}\n'
        "}\n"
    )


def _literal(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _holds_provider(mirror: Path) -> bool:
    """Return whether a mirror has the pinned provider for this platform, unpacked or packed."""
    folder = mirror / _PROVIDER
    unpacked = folder / PROVIDER_VERSION / platform_name()
    packed = folder / f"terraform-provider-aws_{PROVIDER_VERSION}_{platform_name()}.zip"
    return unpacked.is_dir() or packed.is_file()


def _implied_mirrors(environment: Mapping[str, str], working_folder: Path) -> Iterator[Path]:
    """Yield the folders that Terraform searches by itself.

    Source: https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
    """
    yield working_folder / "terraform.d" / "plugins"
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - no error without a home
    yield home / ".terraform.d" / "plugins"
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "io.terraform" / "plugins"
        yield Path("/Library/Application Support/io.terraform/plugins")
        return
    data_home = environment.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    data_dirs = environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in (data_home, *data_dirs.split(":")):
        yield Path(folder) / "terraform" / "plugins"


def _mirrors_below(roots: Iterator[Path]) -> Iterator[Path]:
    """Yield every folder that holds a ``registry.terraform.io`` folder at most two levels below one of the roots."""
    for root in roots:
        for pattern in (_REGISTRY, f"*/{_REGISTRY}"):
            try:
                yield from sorted(found.parent for found in root.glob(pattern))
            except OSError:  # a folder that this user may not read holds no mirror for them
                continue

"""Tests of runbook_lib.adapters.terraform_install."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runbook_lib.adapters import terraform_install as install
from runbook_lib.errors import TerraformError

BINARY = b"#!/bin/sh\necho terraform\n"


def make_program(path, text="#!/bin/sh\n"):
    """Write an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_mirror(folder, *, version=install.PROVIDER_VERSION):
    """Make a mirror with an unpacked provider for this platform."""
    (folder / "registry.terraform.io" / "hashicorp" / "aws" / version / install.platform_name()).mkdir(parents=True)
    return folder


@contextmanager
def release_server(archive):
    """Serve one archive at every address on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if archive else 404)
            self.end_headers()
            self.wfile.write(archive)

        def log_message(self, *arguments):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def zipped(content=BINARY):
    """Return a release archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("terraform", content)
    return stream.getvalue()


def test_the_program_named_by_the_operator_is_the_only_candidate(tmp_path):
    """RUNBOOK_TERRAFORM wins over everything on PATH."""
    chosen = make_program(tmp_path / "mine")
    make_program(tmp_path / "bin" / "terraform")

    found = list(install.candidates({"RUNBOOK_TERRAFORM": str(chosen), "PATH": str(tmp_path / "bin")}))

    assert found == [chosen]


def test_a_named_program_that_does_not_exist_is_an_error(tmp_path):
    """A wrong RUNBOOK_TERRAFORM is never silently replaced by another program."""
    with pytest.raises(TerraformError, match="which is no program; correct or unset it"):
        list(install.candidates({"RUNBOOK_TERRAFORM": str(tmp_path / "none"), "PATH": ""}))


def test_terraform_is_asked_before_tofu(tmp_path, monkeypatch):
    """Without a choice the Python environment's program is asked first, then terraform and tofu on PATH."""
    monkeypatch.setattr(install.sys, "prefix", str(tmp_path / "venv"))
    make_program(tmp_path / "venv" / "bin" / "terraform")
    for name in ("tofu", "terraform"):
        make_program(tmp_path / "bin" / name)

    found = [path.relative_to(tmp_path).as_posix() for path in install.candidates({"PATH": str(tmp_path / "bin")})]

    assert found == ["venv/bin/terraform", "bin/terraform", "bin/tofu"]


def test_the_named_mirror_is_used(tmp_path):
    """RUNBOOK_TERRAFORM_MIRROR is used when it holds the pinned provider."""
    mirror = make_mirror(tmp_path / "mirror")

    assert install.find_mirror({"RUNBOOK_TERRAFORM_MIRROR": str(mirror)}, tmp_path) == mirror


def test_a_named_mirror_without_the_provider_is_an_error(tmp_path):
    """A wrong mirror is an error that says how to make it."""
    mirror = make_mirror(tmp_path / "mirror", version="4.0.0")

    with pytest.raises(TerraformError, match="terraform providers mirror"):
        install.find_mirror({"RUNBOOK_TERRAFORM_MIRROR": str(mirror)}, tmp_path)


@pytest.mark.parametrize("place", ["work/terraform.d/plugins", "home/.terraform.d/plugins"])
def test_implied_mirrors_are_found(tmp_path, monkeypatch, place):
    """Terraform's implied mirror folders are searched."""
    monkeypatch.setattr(install, "_SEARCHED", ())
    mirror = make_mirror(tmp_path / place)

    assert install.find_mirror({"HOME": str(tmp_path / "home")}, tmp_path / "work") == mirror


@pytest.mark.parametrize("place", [".", "plugins"])
def test_mirrors_below_the_system_folders_are_found(tmp_path, monkeypatch, place):
    """A registry.terraform.io folder up to two levels below a searched folder is a mirror."""
    monkeypatch.setattr(install, "_SEARCHED", (str(tmp_path / "opt"),))
    mirror = make_mirror(tmp_path / "opt" / place)

    assert install.find_mirror({"HOME": str(tmp_path / "home")}, tmp_path / "work") == mirror


def test_a_mirror_of_another_version_is_passed_over(tmp_path, monkeypatch):
    """Only the pinned version counts; without it the provider comes from the registry."""
    monkeypatch.setattr(install, "_SEARCHED", (str(tmp_path / "opt"),))
    make_mirror(tmp_path / "opt" / "plugins", version="4.0.0")

    assert install.find_mirror({"HOME": str(tmp_path)}, tmp_path) is None


def test_a_packed_mirror_is_found(tmp_path):
    """A mirror may hold the provider's archive instead of the unpacked provider."""
    folder = tmp_path / "registry.terraform.io" / "hashicorp" / "aws"
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-aws_{install.PROVIDER_VERSION}_{install.platform_name()}.zip").touch()

    assert install.find_mirror({"RUNBOOK_TERRAFORM_MIRROR": str(tmp_path)}, tmp_path) == tmp_path


def test_the_mirror_serves_the_provider_and_nothing_else_may(tmp_path):
    """With a mirror the provider never comes from the network."""
    text = install.cli_configuration(tmp_path / 'with "quote" and ${dollar}')

    assert 'include = ["registry.terraform.io/hashicorp/aws"]' in text
    assert 'exclude = ["registry.terraform.io/hashicorp/aws"]' in text
    assert '\\"quote\\" and $${dollar}"' in text


def test_what_comes_from_the_registry_is_kept(tmp_path):
    """Without a mirror the provider is fetched once, not once per run."""
    assert f'plugin_cache_dir = "{tmp_path}"' in install.cli_configuration(None, tmp_path)


def test_terraform_gets_no_setting_that_nobody_in_this_repository_wrote(monkeypatch):
    """TF_* variables and endpoints of the shell are taken out; logging stays, and what is given wins."""
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-lock=false")
    monkeypatch.setenv("TF_WORKSPACE", "other")
    monkeypatch.setenv("TF_LOG", "DEBUG")
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")

    environment = install.child_environment({"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}, "run-1")

    assert not {"TF_CLI_ARGS_apply", "TF_WORKSPACE", "AWS_ENDPOINT_URL_EC2"} & set(environment)
    assert environment["TF_LOG"] == "DEBUG"
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:2"
    assert environment["TF_APPEND_USER_AGENT"] == "run-1"


def test_the_pinned_release_is_stored_as_a_program(tmp_path):
    """What has the expected SHA-256 is unpacked and may be run."""
    archive = zipped()
    with release_server(archive) as releases:
        checksums = {install.platform_name(): hashlib.sha256(archive).hexdigest()}
        target = install.download(tmp_path / "terraform", releases=releases, checksums=checksums)

    assert target.read_bytes() == BINARY
    assert target.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["terraform"]


def test_an_archive_with_another_digest_is_not_used(tmp_path):
    """A release that is not the pinned one leaves nothing behind."""
    with release_server(zipped(b"other")) as releases, pytest.raises(TerraformError, match="expected SHA-256"):
        install.download(tmp_path / "terraform", releases=releases, checksums={install.platform_name(): "0" * 64})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("checksums", [{}, {install.platform_name(): "0" * 64}])
def test_a_download_that_is_impossible_says_what_to_install(tmp_path, checksums):
    """No release for the platform, or no answer: the message tells how to install Terraform."""
    with release_server(b"") as releases, pytest.raises(TerraformError, match=r"install Terraform 1\.11 or later"):
        install.download(tmp_path / "terraform", releases=releases, checksums=checksums)


def test_the_release_is_recent_enough_for_the_modules():
    """The pinned release satisfies the version that the modules require."""
    assert tuple(map(int, install.RELEASE_VERSION.split("."))) >= install.MINIMUM_VERSION
    assert all(len(digest) == 64 for digest in install.RELEASE_SHA256.values())

"""Signing bytes with an SSH key, and telling whose signature it is."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from runbook_lib.adapters import signatures
from runbook_lib.errors import SignatureError

DATA = b"0" * 64 + b"  journal.jsonl\n"
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def make_key(folder, name, passphrase=""):
    """Make an SSH key; return its private file."""
    key = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(key)], check=True, timeout=60
    )
    return key


@pytest.fixture
def signed(tmp_path):
    """Return a key, the file of its signature over DATA, and a list of allowed signers that names its owner."""
    key = make_key(tmp_path, "operator")
    signature = tmp_path / "data.sig"
    signature.write_bytes(signatures.sign(DATA, key))
    signers = tmp_path / "signers"
    signers.write_text(f"ops@example.org {key.with_suffix('.pub').read_text()}")
    return key, signature, signers


@needs_ssh_keygen
def test_a_signature_names_its_signer(signed):
    """With a list of signers it is said who signed; without one, only with which key."""
    _, signature, signers = signed
    found = signatures.check(DATA, signature, signers)
    assert (found.good, found.signer, found.reason) == (True, "ops@example.org", "")
    alone = signatures.check(DATA, signature)
    assert (alone.good, alone.signer, alone.key) == (True, "", found.key)
    assert found.key.startswith("ED25519 SHA256:")


@needs_ssh_keygen
def test_other_bytes_do_not_fit(signed):
    """One byte more, and the signature is not good."""
    _, signature, signers = signed
    found = signatures.check(DATA + b" ", signature, signers)
    assert not found.good
    assert "incorrect signature" in found.reason


@needs_ssh_keygen
def test_a_key_that_nobody_allowed_is_not_good(signed, tmp_path):
    """A signature that fits is refused when the list does not hold its key."""
    _, signature, signers = signed
    other = make_key(tmp_path, "other").with_suffix(".pub").read_text()
    signers.write_text(f"ops@example.org {other}")
    found = signatures.check(DATA, signature, signers)
    assert not found.good
    assert "is not in" in found.reason


@needs_ssh_keygen
def test_a_signature_for_something_else_is_not_good(signed):
    """A key's signature of the same bytes for another purpose, such as a commit, does not count."""
    key, signature, signers = signed
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", str(key)], input=DATA, capture_output=True, check=True
    )
    signature.write_bytes(made.stdout)
    assert not signatures.check(DATA, signature, signers).good


@needs_ssh_keygen
def test_no_signature_at_all_is_not_good(signed):
    """Text where a signature belongs is told as such."""
    _, signature, _ = signed
    signature.write_text("signed, believe me\n")
    assert not signatures.check(DATA, signature).good


@needs_ssh_keygen
def test_a_passphrase_is_never_asked_for(tmp_path):
    """A key that needs one is refused at once, with what to do."""
    with pytest.raises(SignatureError, match="ssh-add"):
        signatures.sign(DATA, make_key(tmp_path, "locked", "secret passphrase"))


def test_without_ssh_keygen_it_says_so(tmp_path, monkeypatch):
    """A machine without OpenSSH is told what is missing."""
    key = tmp_path / "key"
    key.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SignatureError, match="not on PATH"):
        signatures.sign(DATA, key)


def test_a_missing_key_is_named(tmp_path):
    """A key file that does not exist is named."""
    with pytest.raises(SignatureError, match="no signing key"):
        signatures.sign(DATA, tmp_path / "nothing")

"""Sign a sealed record with an SSH key, and check such a signature: `ssh-keygen -Y`, offline. It decides nothing."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.errors import SignatureError

NAMESPACE = "runbook-record"
"""What the signature is for; ssh-keygen refuses it for anything else, so that a signed commit is no signed record."""
_KEY = re.compile(r"\bwith (\S+) key (SHA256:\S+)")
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Signature:
    """What a signature over a record says.

    Args:
        good: Whether the key signed exactly these bytes, and, when signers were given, is one of them.
        key: Type and fingerprint of the key, "" when it could not be read.
        signer: Who the list of allowed signers says it is, "" without a list.
        reason: Why it is not good, "" when it is.
    """

    good: bool
    key: str = ""
    signer: str = ""
    reason: str = ""


def sign(data: bytes, key: Path) -> bytes:
    """Return a signature over bytes.

    Args:
        data: What is signed.
        key: A private key, or a public one whose private half the SSH agent holds.

    Returns:
        The signature in the armored form of OpenSSH.

    Raises:
        SignatureError: when ssh-keygen is missing, or the key cannot be used without asking.

    Source:
        ssh-keygen(1), -Y sign.
    """
    if not key.is_file():
        raise SignatureError(f"no signing key {key}; expected the file of an SSH key. Nothing was signed")
    return _run(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)], data).stdout


def check(data: bytes, signature: Path, allowed_signers: Path | None = None) -> Signature:
    """Return whether a signature fits bytes, and whose it is.

    Args:
        data: What was signed.
        signature: File of the signature.
        allowed_signers: Who may sign, in the format of ssh-keygen(1), ALLOWED SIGNERS; None asks only whether the
            signature fits, because nobody then says whose key it is.

    Returns:
        What was found.

    Raises:
        SignatureError: when ssh-keygen is missing or `allowed_signers` cannot be read.

    Source:
        ssh-keygen(1), -Y check-novalidate, find-principals, verify.
    """
    fits = _run(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)], data, may_fail=True)
    found = _KEY.search(_text(fits))
    if fits.returncode or found is None:
        return Signature(good=False, reason=_text(fits) or "it is no signature of these bytes")
    key = " ".join(found.groups())
    if allowed_signers is None:
        return Signature(good=True, key=key)
    if not allowed_signers.is_file():
        raise SignatureError(f"no file {allowed_signers}; expected allowed signers as ssh-keygen(1) describes them")
    listed = ["-s", str(signature), "-f", str(allowed_signers)]
    named = _run(["-Y", "find-principals", *listed], b"", may_fail=True)
    signer = named.stdout.decode("utf-8", "replace").split("\n")[0].strip()
    if named.returncode or not signer:
        return Signature(good=False, key=key, reason=f"the key {key} is not in {allowed_signers}")
    whole = _run(["-Y", "verify", "-n", NAMESPACE, "-I", signer, *listed], data, may_fail=True)
    if whole.returncode:
        return Signature(good=False, key=key, signer=signer, reason=_text(whole))
    return Signature(good=True, key=key, signer=signer)


def _run(arguments: list[str], data: bytes, *, may_fail: bool = False) -> subprocess.CompletedProcess[bytes]:
    try:
        with tempfile.TemporaryFile() as stream:
            stream.write(data)
            stream.seek(0)
            done = subprocess.run(
                ["ssh-keygen", *arguments],
                stdin=stream,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
                start_new_session=True,  # without a terminal it cannot ask for a passphrase, and refuses instead
            )
    except FileNotFoundError:
        raise SignatureError("ssh-keygen is not on PATH; install OpenSSH's client (8.1 or later)") from None
    except subprocess.TimeoutExpired:
        raise SignatureError(f"ssh-keygen did not end within {_TIMEOUT_S} s; nothing was signed") from None
    if done.returncode and not may_fail:
        raise SignatureError(
            f"ssh-keygen refused: {_text(done)}. Nothing was signed. A key with a passphrase must be in the SSH agent: "
            "`ssh-add`, then name its public half"
        )
    return done


def _text(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join((done.stdout + done.stderr).decode("utf-8", "replace").split())

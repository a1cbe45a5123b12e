"""Sign a sealed record with an asymmetric KMS key, and check such a signature offline. It decides nothing.

The private half of the key never leaves KMS, so CloudTrail has an entry for each signature, and whoever may sign is a
matter of the key's policy. Checking contacts nobody.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.signatures import Signature
from runbook_lib.errors import AwsError, SignatureError

_ELLIPTIC = "ECDSA_SHA_256"
_PADDINGS = {
    # the salt is as long as the digest: KMS developer guide, "RSASSA_PSS_SHA_256"
    "RSASSA_PSS_SHA_256": padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
    "RSASSA_PKCS1_V1_5_SHA_256": padding.PKCS1v15(),
}
_ALGORITHMS = (_ELLIPTIC, *_PADDINGS)
_LEAST_RSA_BITS = 2048
_FIELDS = ("algorithm", "key_arn", "public_key", "signature")
_ADVICE = {
    "AccessDeniedException": "Signing needs kms:GetPublicKey and kms:Sign on this key; `--profile` takes other "
    "credentials",
    "DisabledException": "Enable the key, or sign with another one",
    "KMSInvalidStateException": "The key cannot be used in its state, for example because it is going to be deleted; "
    "sign with another one",
    "NotFoundException": "Look at the account and the region in the key's ARN",
    "UnsupportedOperationException": "Make an asymmetric key for signing: key spec ECC_NIST_P256 or RSA_3072, usage "
    "SIGN_VERIFY",
}


def sign(data: bytes, key_id: str, aws: Aws) -> bytes:
    """Return a signature over bytes; it was checked before it is returned.

    Args:
        data: What is signed; KMS sees its SHA-256 only.
        key_id: ARN of an asymmetric key or of its alias.
        aws: Session of whoever signs.

    Returns:
        JSON with `algorithm, key_arn, public_key` (DER) and `signature`, the last two in base64.

    Raises:
        SignatureError: when KMS refuses, or the key makes no signature of a SHA-256.

    Source:
        KMS GetPublicKey, Sign with message type DIGEST.
    """
    told = _call(aws, key_id, "get_public_key", KeyId=key_id)
    algorithm = next((name for name in _ALGORITHMS if name in told.get("SigningAlgorithms", ())), "")
    if not algorithm:
        found = ", ".join(told.get("SigningAlgorithms", ())) or told.get("KeyUsage", "none")
        raise SignatureError(
            f"KMS key {key_id}: expected one that signs with {' or '.join(_ALGORITHMS)}, found {found}. Nothing was "
            "signed. A key of spec ECC_NIST_P256 or RSA_3072 with usage SIGN_VERIFY does"
        )
    digest = hashlib.sha256(data).digest()
    arguments = {"KeyId": told["KeyId"], "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
    made = _call(aws, key_id, "sign", **arguments)
    document = {
        "algorithm": algorithm,
        "key_arn": told["KeyId"],
        "public_key": base64.b64encode(told["PublicKey"]).decode("ascii"),
        "signature": base64.b64encode(made["Signature"]).decode("ascii"),
    }
    content = (json.dumps(document, indent=2) + "\n").encode()
    checked = check(data, content)
    if not checked.good:
        raise SignatureError(f"KMS key {key_id}: what it returned is not kept: {checked.reason}. Nothing was signed")
    return content


def check(data: bytes, content: bytes, public_key: Path | None = None) -> Signature:
    """Return whether a signature fits bytes, and whether a given key made it; offline.

    Args:
        data: What was signed.
        content: As `sign` returned it.
        public_key: File of the public key, DER or PEM, as the auditor got it from whom he trusts. None takes the one in
            `content`, which says only that the signature fits: whoever forges a record can put a key of his own there.

    Returns:
        What was found; `signer` is the given key, and "" without one. The key's ARN is what `content` claims: only the
        public key is proved.

    Raises:
        SignatureError: when `public_key` cannot be read.
    """
    try:
        document = json.loads(content)
        algorithm, key_arn, own, signature = (str(document[name]) for name in _FIELDS)
        key, made = _load(base64.b64decode(own, validate=True)), base64.b64decode(signature, validate=True)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm) as error:
        return Signature(good=False, reason=f"it is no signature by a KMS key: {type(error).__name__}: {error}")
    name, found = f"{key_arn} ({algorithm})", _fingerprint(key)
    if public_key is not None:
        key = _read(public_key)
        if _fingerprint(key) != found:
            what = f"expected the public key {_fingerprint(key)} of {public_key}, found {found}"
            return Signature(good=False, key=name, reason=f"another key signed: {what}")
    wrong = _wrong(hashlib.sha256(data).digest(), made, algorithm, key)
    signer = "" if public_key is None or wrong else f"the key of {public_key}, {found}"
    return Signature(good=not wrong, key=name, signer=signer, reason=wrong)


def _wrong(digest: bytes, signature: bytes, algorithm: str, key: Any) -> str:
    """Return why a signature does not fit, "" when it does."""
    hashed = Prehashed(SHA256())
    try:
        if algorithm == _ELLIPTIC and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, digest, ec.ECDSA(hashed))
        elif algorithm in _PADDINGS and isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
            key.verify(signature, digest, _PADDINGS[algorithm], hashed)
        else:
            return f"expected one of {', '.join(_ALGORITHMS)} with a key that fits it, found {algorithm[:60]!r}"
    except InvalidSignature:
        return "incorrect signature: the record was altered after it was signed, or signed with another key"
    return ""


def _load(content: bytes) -> Any:
    load = load_pem_public_key if content.lstrip().startswith(b"-----BEGIN") else load_der_public_key
    return load(content)


def _read(path: Path) -> Any:
    """Return an auditor's public key."""
    try:
        return _load(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{path}: expected a public key, DER or PEM, found {type(error).__name__}: {error}. Nothing was verified. "
            "`aws kms get-public-key --key-id ARN --query PublicKey --output text | base64 -d > FILE` writes one"
        ) from error


def _fingerprint(key: Any) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"


def _call(aws: Aws, key_id: str, operation: str, **arguments: Any) -> Mapping[str, Any]:
    try:
        return aws.call("kms", operation, target=key_id, **arguments)
    except AwsError as error:
        advice = _ADVICE.get(error.code, "")
        raise SignatureError(f"KMS key {key_id}: {error}. Nothing was signed. {advice}".rstrip()) from error

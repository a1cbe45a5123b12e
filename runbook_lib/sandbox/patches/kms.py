"""Signing with an asymmetric KMS key as AWS does it: a digest is signed as it is, and only by a key that may be used.

moto hashes what it is given once more, whatever MessageType says, takes the longest salt, and lets a disabled key and a
key policy's Deny pass. Source: KMS API reference, "Sign", "GetPublicKey"; KMS developer guide, "Key states of AWS KMS
keys", "Key spec reference".
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.core.exceptions import JsonRESTError
from moto.kms.responses import KmsResponse

from runbook_lib.sandbox.backends import install, operations
from runbook_lib.sandbox.policies import covers

_HASHES: dict[str, Any] = {"SHA_256": hashes.SHA256, "SHA_384": hashes.SHA384, "SHA_512": hashes.SHA512}
_MOST_RAW_BYTES = 4096
_NO_PRIVATE_HALF = "SYMMETRIC_DEFAULT"


def apply() -> None:
    """Put Sign and GetPublicKey into moto as AWS has them.

    Changes:
        Two methods of moto's KMS response class.
    """
    get_public_key = KmsResponse.get_public_key

    def tell_public_key(response: Any) -> str:
        key = _usable_key(response, "kms:GetPublicKey")
        if key.key_spec.startswith((_NO_PRIVATE_HALF, "HMAC")):
            raise JsonRESTError("UnsupportedOperationException", f"{key.arn} has no public key.")
        return json.dumps(json.loads(get_public_key(response)) | {"KeyId": key.arn})  # AWS answers with the ARN

    operations(KmsResponse, sign=_sign)
    install(KmsResponse, "get_public_key", tell_public_key)


def _usable_key(response: Any, action: str) -> Any:
    """Return the key of a request; refuse one that is unknown, forbidden or not enabled."""
    key_id = response._get_param("KeyId")
    response._validate_key_id(key_id)
    key = response.kms_backend.describe_key(key_id)
    if any(_denies(statement, action) for statement in json.loads(key.policy or "{}").get("Statement", ())):
        message = f"not authorized to perform: {action} on resource: {key.arn} with an explicit deny in its key policy"
        raise JsonRESTError("AccessDeniedException", message)
    if key.key_state == "Disabled":
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
    if key.key_state != "Enabled":
        raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is {key.key_state}.")
    return key


def _denies(statement: dict[str, Any], action: str) -> bool:
    """Say whether a statement forbids an action to everybody; a key policy's resource is the key itself."""
    everybody = statement.get("Principal") in ("*", {"AWS": "*"})
    return statement.get("Effect") == "Deny" and everybody and covers(statement, "Action", action.lower(), str.lower)


def _sign(response: Any) -> str:
    key = _usable_key(response, "kms:Sign")
    message, algorithm = response._get_param("Message"), response._get_param("SigningAlgorithm")
    if key.key_usage != "SIGN_VERIFY":
        raise JsonRESTError("InvalidKeyUsageException", f"{key.arn} key usage is {key.key_usage}, not valid for Sign.")
    if algorithm not in key.signing_algorithms:
        raise JsonRESTError("InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with {key.key_spec}.")
    kind = _HASHES[algorithm[-len("SHA_256") :]]()
    if (response._get_param("MessageType") or "RAW") == "DIGEST":
        if len(message) != kind.digest_size:
            raise JsonRESTError("ValidationException", f"Digest is invalid length for algorithm {algorithm}.")
        hashed: Any = Prehashed(kind)
    elif 1 <= len(message) <= _MOST_RAW_BYTES:
        hashed = kind
    else:
        raise JsonRESTError("ValidationException", "'message' must have length from 1 to 4096.")
    private = key.private_key.private_key
    if algorithm.startswith("ECDSA"):
        made = private.sign(message, ec.ECDSA(hashed))
    elif algorithm.startswith("RSASSA_PSS"):
        salted = padding.PSS(mgf=padding.MGF1(kind), salt_length=padding.PSS.DIGEST_LENGTH)
        made = private.sign(message, salted, hashed)
    else:
        made = private.sign(message, padding.PKCS1v15(), hashed)
    answer = {"KeyId": key.arn, "Signature": base64.b64encode(made).decode("ascii"), "SigningAlgorithm": algorithm}
    return json.dumps(answer)

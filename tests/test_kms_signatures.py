"""A record signed by a key in KMS: who made the signature is checked offline, with a public key got elsewhere."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from runbook_lib.adapters import kms_signatures
from runbook_lib.cli import main
from runbook_lib.errors import SignatureError
from runbook_lib.journal import Journal
from runbook_lib.report import write_report
from tests.adapters.test_signatures import make_key, needs_ssh_keygen
from tests.lease_places import write_parameters
from tests.sample_run import RUN_ID, migrated

DATA = b"0" * 64 + b"  journal.jsonl\n"
SIGNATURE = "SHA256SUMS.kms.json"
DENY = {"Effect": "Deny", "Principal": "*", "Action": "kms:Sign", "Resource": "*"}


class Key:
    """A key in a sandbox's KMS.

    Args:
        sandbox: A running sandbox.
        folder: Where its public half is written.
        options: Of CreateKey.
    """

    def __init__(self, sandbox, folder, **options):
        self.kms = sandbox.client("kms")
        told = self.kms.create_key(**({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"} | options))
        self.arn = told["KeyMetadata"]["Arn"]
        self.id = told["KeyMetadata"]["KeyId"]
        self.folder = folder

    def public(self, name="key.der"):
        """Write the public half as AWS gives it; return the file."""
        file = self.folder / name
        file.write_bytes(self.kms.get_public_key(KeyId=self.arn)["PublicKey"])
        return file


@pytest.fixture
def key(sandbox, tmp_path):
    """Return a key that signs."""
    return Key(sandbox, tmp_path)


@pytest.fixture
def record(sandbox, tmp_path):
    """Return the folder of a sealed migration whose parameters lead to the sandbox."""
    parameters = write_parameters(sandbox, tmp_path)
    story = migrated(tmp_path / "runs")
    digest = story.journal.write("parameters.yaml", parameters.read_text("utf-8"))
    story.journal.append("run-opened", run_id=RUN_ID, parameters_sha256=digest)
    return write_report(story.journal).parent


def sign(record, key, *more):
    """Run `runbook sign`."""
    return CliRunner().invoke(main, ["sign", RUN_ID, "--kms-key", key.arn, "-d", str(record.parent), *more])


def verify(record, *more):
    """Run `runbook verify` where AWS is out of reach."""
    return CliRunner().invoke(
        main, ["verify", str(record), *map(str, more)], env={"AWS_ENDPOINT_URL": "http://[::1]:1"}
    )


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
        ("RSA_3072", "RSASSA_PSS_SHA_256"),
    ],
)
def test_a_key_signs_and_its_public_half_tells(sandbox, tmp_path, spec, algorithm):
    """The given key is named when it signed; one byte more does not fit, nor does another key of the same kind."""
    key = Key(sandbox, tmp_path, KeySpec=spec)
    content = kms_signatures.sign(DATA, key.arn, sandbox.session())
    found = kms_signatures.check(DATA, content, key.public())
    assert (found.good, found.key, found.reason) == (True, f"{key.arn} ({algorithm})", "")
    assert str(tmp_path / "key.der") in found.signer
    altered = kms_signatures.check(DATA + b" ", content, key.public())
    assert (altered.good, "incorrect signature" in altered.reason) == (False, True)
    other = kms_signatures.check(DATA, content, Key(sandbox, tmp_path, KeySpec=spec).public("other.der"))
    assert (other.good, "another key signed" in other.reason) == (False, True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "RSA_2048"])
def test_an_auditor_without_this_package_checks_it(sandbox, tmp_path, spec):
    """OpenSSL takes the signature for one of the file itself, because its digest was signed as it is."""
    key = Key(sandbox, tmp_path, KeySpec=spec)
    document = json.loads(kms_signatures.sign(DATA, key.arn, sandbox.session()))
    (tmp_path / "sums").write_bytes(DATA)
    (tmp_path / "signature").write_bytes(base64.b64decode(document["signature"]))
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if spec == "RSA_2048" else []
    words = ["-sha256", "-keyform", "DER", "-verify", key.public(), *pss, "-signature", tmp_path / "signature"]
    done = subprocess.run(["openssl", "dgst", *words, tmp_path / "sums"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Verified OK"), done.stderr


@pytest.mark.parametrize(
    ("happening", "message"),
    [
        (lambda key: key.kms.disable_key(KeyId=key.id), "DisabledException.* Nothing was signed. Enable the key"),
        (lambda key: key.kms.schedule_key_deletion(KeyId=key.id), "KMSInvalidStateException.* sign with another"),
        (
            lambda key: key.kms.put_key_policy(
                KeyId=key.id, PolicyName="default", Policy=json.dumps({"Statement": [DENY]})
            ),
            "AccessDeniedException.*Nothing was signed. Signing needs kms:GetPublicKey and kms:Sign",
        ),
        (lambda key: setattr(key, "arn", key.arn[:-4] + "ffff"), "NotFoundException.* the account and the region"),
    ],
    ids=["disabled", "going to be deleted", "no permission", "unknown"],
)
def test_a_key_that_may_not_sign_is_refused(sandbox, key, happening, message):
    """It is said what KMS refused, that nothing was signed, and what to do."""
    happening(key)
    with pytest.raises(SignatureError, match=f"(?s)KMS key {key.arn}.*{message}"):
        kms_signatures.sign(DATA, key.arn, sandbox.session())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"KeySpec": "ECC_NIST_P384"}, "expected one that signs with ECDSA_SHA_256.*found ECDSA_SHA_384"),
        ({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}, "found ENCRYPT_DECRYPT"),
        ({"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}, "UnsupportedOperationException.*ECC_NIST_P2"),
    ],
    ids=["another digest", "encrypts", "symmetric"],
)
def test_a_key_of_another_kind_is_refused(sandbox, tmp_path, options, message):
    """A key that cannot sign a SHA-256 is told apart, with what can."""
    with pytest.raises(SignatureError, match=message):
        kms_signatures.sign(DATA, Key(sandbox, tmp_path, **options).arn, sandbox.session())


@pytest.mark.parametrize(
    "altered",
    [
        b"signed, believe me\n",
        b"[]",
        b"{}",
        {"algorithm": "RSASSA_PSS_SHA_256"},
        {"algorithm": "none"},
        {"signature": ""},
        {"signature": "bm9uZQ=="},
        {"signature": "%%%"},
        {"public_key": "bm9uZQ=="},
        {"public_key": None},
    ],
    ids=str,
)
def test_an_altered_signature_is_not_good(sandbox, key, altered):
    """Whatever lies where the signature belongs, it is told and never raises an error of its own."""
    content = json.loads(kms_signatures.sign(DATA, key.arn, sandbox.session()))
    content = altered if isinstance(altered, bytes) else json.dumps(content | altered).encode()
    for public in (None, key.public()):
        found = kms_signatures.check(DATA, content, public)
        assert (found.good, found.signer, bool(found.reason)) == (False, "", True)


def test_a_signed_record_is_verified_without_aws(record, key):
    """With the auditor's key it is said that this key signed; a PEM file does as well; S3 gets the signature, too."""
    done = sign(record, key)
    assert (done.exit_code, f"names KMS key {key.arn}" in done.output) == (0, True), done.output
    der = key.public()
    told = verify(record, "--public-key", der)
    assert (told.exit_code, f"good: the key of {der}, SHA256:" in told.output) == (0, True), told.output
    pem = der.with_suffix(".pem")
    body = base64.encodebytes(der.read_bytes()).decode()
    pem.write_text(f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n")
    assert verify(record, "--public-key", pem).exit_code == 0


def test_a_key_that_lies_only_in_the_record_proves_nothing(record, key, sandbox, tmp_path):
    """A forger signs with a key of his own: the record fits itself, and only the auditor's key tells."""
    sign(record, Key(sandbox, tmp_path))
    alone = verify(record)
    assert (alone.exit_code, "lies in the record itself, which proves nothing" in alone.output) == (0, True)
    told = verify(record, "--public-key", key.public())
    assert (told.exit_code, f"{SIGNATURE}: another key signed: expected the public key" in told.output) == (1, True)


def test_a_record_that_was_altered_and_sealed_anew_does_not_fit(record, key):
    """Sealing takes the signature away; put back, it does not fit, with and without the auditor's key."""
    sign(record, key)
    signature = (record / SIGNATURE).read_bytes()
    (record / "report.md").write_text("All went well.")
    Journal(record, lambda: None).seal()
    assert not (record / SIGNATURE).exists()
    missed = verify(record, "--public-key", key.public())
    assert (missed.exit_code, f"{SIGNATURE}: missing" in missed.output) == (1, True)
    (record / SIGNATURE).write_bytes(signature)
    for more in ((), ("--public-key", key.public())):
        told = verify(record, *more)
        assert (told.exit_code, f"{SIGNATURE}: incorrect signature" in told.output) == (1, True)


def test_a_public_key_that_is_none_is_named(record, key, tmp_path):
    """Neither a missing file nor another one counts; nothing is called verified."""
    sign(record, key)
    for file in (tmp_path / "nothing.der", record / "report.md"):
        told = verify(record, "--public-key", file)
        assert (told.exit_code, f"{file}: expected a public key" in told.output) == (4, True)
        assert "intact" not in told.output


def test_an_altered_record_is_not_signed(record, key):
    """Signing begins with verifying, and KMS is not asked."""
    (record / "report.md").write_text("All went well.")
    done = sign(record, key)
    assert (done.exit_code, "not signed: report.md: altered" in done.output) == (1, True)
    assert not (record / SIGNATURE).exists()


def test_a_refusal_leaves_the_record_as_it_was(record, key):
    """What KMS refused is an error of the outside, exit code 4, and there is no signature."""
    key.kms.disable_key(KeyId=key.id)
    done = sign(record, key)
    assert (done.exit_code, "DisabledException" in done.output, "Nothing was signed" in done.output) == (4, True, True)
    assert verify(record).exit_code == 0
    assert not (record / SIGNATURE).exists()


@pytest.mark.parametrize("words", [[], ["--key", "key", "--kms-key", "alias/records"]], ids=["none", "both"])
def test_one_key_is_named(record, words):
    done = CliRunner().invoke(main, ["sign", RUN_ID, "-d", str(record.parent), *words])
    assert (done.exit_code, "expected one of --key and --kms-key" in done.output) == (2, True)


@needs_ssh_keygen
def test_two_signatures_stand_beside_each_other(record, key, tmp_path):
    """An SSH key and a KMS key sign the same record; each is demanded by its own option."""
    ssh = make_key(tmp_path, "operator")
    assert CliRunner().invoke(main, ["sign", RUN_ID, "--key", str(ssh), "-d", str(record.parent)]).exit_code == 0
    assert sign(record, key).exit_code == 0
    signers = tmp_path / "signers"
    signers.write_text(f"ops@example.org {ssh.with_suffix('.pub').read_text()}")
    told = verify(record, "--allowed-signers", signers, "--public-key", key.public())
    assert (told.exit_code, told.output.count("good: ")) == (0, 2), told.output


@pytest.mark.parametrize(
    ("message", "algorithm", "code"),
    [
        (b"short", "ECDSA_SHA_256", "ValidationException"),
        (b"0" * 32, "RSASSA_PSS_SHA_256", "InvalidKeyUsageException"),
    ],
)
def test_the_sandbox_signs_no_digest_of_another_length_or_algorithm(key, message, algorithm, code):
    """It refuses what AWS refuses."""
    with pytest.raises(ClientError) as refused:
        key.kms.sign(KeyId=key.arn, Message=message, MessageType="DIGEST", SigningAlgorithm=algorithm)
    assert refused.value.response["Error"]["Code"] == code

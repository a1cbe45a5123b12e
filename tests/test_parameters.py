"""Parameters: what is accepted, what is refused and how the refusal reads, the files, the digest, the schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from parameter_sets import EXAMPLE, REMOVED, ROOT, SANDBOX, changed, file_problems, problems

from runbook_lib import parameters
from runbook_lib.errors import ParameterError

HOST_MOUNT = {"volume_name": "guestbook-data", "filesystem_uuid": "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"}


@pytest.mark.parametrize("file", [SANDBOX, EXAMPLE], ids=lambda file: file.stem)
def test_the_committed_files_are_valid(file):
    """Both committed parameters files load, and agree with the committed JSON Schema."""
    loaded = parameters.load(file)

    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), parameters.schema())
    assert loaded.aws.account_id in ("012345678901", "123456789012")


def test_the_example_shows_every_key():
    """The example file has every key of the schema, save those that exclude one another."""
    text = EXAMPLE.read_text(encoding="utf-8")
    keys = {key for section in parameters.schema()["$defs"].values() for key in section["properties"]}

    assert {key for key in keys if f"{key}:" not in text} == set()


@pytest.mark.parametrize("file", [SANDBOX, EXAMPLE], ids=lambda file: file.stem)
def test_dumped_parameters_load_to_the_same(file, tmp_path):
    """What dump writes loads to equal parameters in another folder, with the same digest."""
    loaded = parameters.load(file)
    copied = tmp_path / "parameters.yaml"
    copied.write_text(parameters.dump(loaded), encoding="utf-8")

    again = parameters.load(copied)

    assert (again, parameters.digest(again)) == (loaded, parameters.digest(loaded))


def test_dumped_ids_survive_any_yaml_version():
    """An id of digits is dumped in quotes, because YAML 1.2 reads it as a number without them."""
    assert 'account_id: "012345678901"' in parameters.dump(parameters.load(SANDBOX))


def test_the_digest_changes_with_any_value():
    """Two parameter sets that differ in one value have different digests."""
    one = parameters.load(SANDBOX)
    other = parameters.load(SANDBOX, changed("policy.bake_time_s", 6))

    assert parameters.digest(one) != parameters.digest(other)


def test_relative_paths_count_from_the_file_and_tilde_is_home():
    """Paths of files on this machine become absolute, from the parameters file's folder or the home folder."""
    loaded = parameters.load(SANDBOX, changed("aws.credentials_file", "~/other"))

    assert loaded.archive.directory == str(ROOT / "runs")
    assert loaded.terraform.backend.path == str(ROOT / ".sandbox" / "terraform.tfstate")
    assert loaded.aws.credentials_file == str(Path.home() / "other")


def test_the_file_is_found_from_the_root_as_notebooks_name_it(monkeypatch):
    """`../parameters/sandbox.yaml` is found from the repository's root too, where Papermill runs kernels."""
    monkeypatch.chdir(ROOT)

    assert parameters.load("../parameters/sandbox.yaml").name == "guestbook"


def test_injected_parameters_win_over_the_file():
    """A mapping that is not empty is used instead of the file; an empty one is not."""
    assert parameters.load(SANDBOX, changed("name", "other")).name == "other"
    assert parameters.load(SANDBOX, {}).name == "guestbook"


def test_parameters_cannot_be_altered():
    """Loaded parameters are frozen."""
    loaded = parameters.load(SANDBOX)

    with pytest.raises(ValueError, match="frozen"):
        loaded.aws.account_id = "123456789012"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("name", "Wiki", 'migration.name is "Wiki"; rule: 2 to 31 lower-case letters'),
        ("aws.account_id", "12345", "12 digits"),
        ("aws.account_id", 12345678901, "read as a number; rule: text"),
        ("aws.region", "us-east", "an AWS Region"),
        ("aws.endpoint_url", "http://example.com", "http on a loopback address"),
        ("aws.endpoint_url", "http://127.0.0.1.example.com:80", "http on a loopback address"),
        ("aws.role_arn", "arn:aws:iam::123:role/x", "an IAM role ARN"),
        ("source.instance_id", "i-123", "an EC2 instance id"),
        ("source.instance_id", "i-0123456789abcdef0\n", "an EC2 instance id"),
        ("source.compose_file", "compose.yaml", "an absolute path"),
        ("source.url", "https://user@example.com/", "without user name and password"),
        ("source.url", REMOVED, "migration.source.url is missing"),
        ("volume.volume_id", "vol-0123456789ABCDEF0", "an EBS volume id"),
        ("volume.mount_path", "/", "an absolute path other than /"),
        ("volume.mount_path", "/srv/../etc", "without . or .. parts"),
        ("volume.sub_path", "/data", "relative to the volume's root"),
        ("target.vpc_id", "vpc-1", "a VPC id"),
        ("target.subnet_ids", [], "at least 1 item"),
        ("target.subnet_ids", "subnet-0123456789abcdef0", "valid list"),
        ("target.subnet_ids", ["subnet-1"], 'migration.target.subnet_ids[0] is "subnet-1"'),
        ("target.instance_types", ["t4g.small"], "no Graviton"),
        ("target.ami_id", "ami-xyz", "an AMI id"),
        ("target.memory_mib", "512", "valid integer"),
        ("target.memory_mib", True, "valid integer"),
        ("target.environment", {"LEVEL": 3}, "migration.target.environment.LEVEL is 3, read as a number"),
        ("target.environment", {"A-B": "x"}, "the name of an environment variable"),
        ("target.secrets", {"A": "vault:x"}, "a reference to a secret"),
        ("target.secrets", {"A": "secretsmanager:wiki/db"}, "a reference to a secret"),
        ("target.allowed_cidrs", ["10.0.0.1/16"], "zero host bits"),
        ("target.health_check.path", "health", "starting with /"),
        ("storage.driver", "efs", "'rexray' or 'host_mount'"),
        ("terraform.backend", {"type": "gcs"}, "'local', 's3'"),
        ("terraform.backend", {"type": "s3", "key": "k", "region": "us-east-1"}, "terraform.backend.bucket is missing"),
        ("policy.approvals", True, "valid dictionary"),
        ("policy.approvals", 10, "less than or equal to 9"),
        ("policy.approvals", {"required": -1}, "greater than or equal to 0"),
        ("policy.approvals", {"notebooks": ["90_roll_back"]}, "policy.approvals.notebooks[0]"),
        ("policy.approvals", {"approvers": {"owner": ["bob"]}}, "the ARN of an identity"),
        ("policy.approvals", {"approvers": {"Owner": []}}, "a role in lower-case words"),
        ("policy.rollback_point", "none", "'copy_or_snapshot' or 'snapshot'"),
        ("archive.directory", "", "a path"),
        ("archive.copy_records", True, "archive.bucket says where to"),
        ("archive.object_lock", "compliance", "only a record that is copied can be locked"),
    ],
)  # fmt: skip
def test_a_value_that_breaks_its_rule_is_refused(path, value, expected):
    """Each kind of value has a rule, and the refusal names key, value and rule."""
    found = problems(changed(path, value))

    assert len(found) == 1
    assert expected in found[0]
    assert "Fix: " in found[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("target.load_balancer", {"enabled": True, "subnet_ids": ["subnet-0123456789abcdef0"]}, "at least 2"),
        ("target.load_balancer", {"enabled": True, "subnet_ids": ["subnet-0123456789abcdef0"] * 2}, "twice"),
        ("target.health_check", {"interval_s": 5, "timeout_s": 5}, "less than interval_s (5)"),
        ("target.allowed_cidrs", ["0.0.0.0/0"], "the whole Internet"),
        ("target.memory_mib", 1900, "t3.small has 2048 MiB"),
        ("storage.rexray", REMOVED, "driver rexray needs its options"),
        ("storage.driver", "host_mount", "takes no such options"),
        ("storage", {"driver": "host_mount", "host_mount": HOST_MOUNT | {"filesystem_uuid": "6F1E"}}, "as blkid shows"),
        ("storage", {"driver": "host_mount", "host_mount": HOST_MOUNT | {"filesystem_type": "zfs"}}, "'ext4'"),
        ("storage.driver", "host_mount", "driver host_mount needs its options"),
        ("storage.host_mount", HOST_MOUNT, "driver rexray takes no such options"),
        ("storage", {"driver": "host_mount", "host_mount": HOST_MOUNT | {"mount_path": "/srv/data"}}, "two folders"),
        ("storage", {"driver": "host_mount", "host_mount": HOST_MOUNT | {"mount_path": "/usr/lib/data"}}, "immutable"),
        ("storage.rexray.plugin_reference", "registry.sandbox/rexray-ebs:1", "pinned by digest"),
        ("storage.rexray.plugin_reference", "rexray/ebs@sha256:" + "0" * 64, "only with stock: true"),
        ("policy.change_window", {"opens_utc": "2026-01-02T00:00Z", "closes_utc": "2026-01-01T00:00Z"}, "after it"),
        ("target.secrets", {"A": f"secretsmanager:arn:aws:secretsmanager:us-east-1:{'9' * 12}:secret:a"}, "in account"),
    ],
)  # fmt: skip
def test_values_that_contradict_each_other_are_refused(path, value, expected):
    """Rules between parameters are checked once each value is valid by itself."""
    assert any(expected in problem for problem in problems(changed(path, value)))


def test_a_pinned_plugin_and_an_accepted_unpinned_one_pass():
    """A digest is needed unless the risk of an unpinned plugin is accepted."""
    data = changed("storage.rexray.plugin_reference", "registry.sandbox/rexray-ebs:1")
    data["storage"]["rexray"]["allow_unpinned_plugin"] = True

    assert parameters.load(SANDBOX, data).storage.rexray.plugin_reference == "registry.sandbox/rexray-ebs:1"


def test_a_rehearsal_cannot_be_required_of_a_driver_that_has_none():
    """`policy.require_rehearsal` with host_mount would refuse the cutover for ever: it is refused at once."""
    data = changed("storage", {"driver": "host_mount", "host_mount": HOST_MOUNT})
    assert parameters.load(SANDBOX, data).policy.require_rehearsal is False
    data["policy"]["require_rehearsal"] = True
    (problem,) = problems(data)
    assert "migration.policy.require_rehearsal is true" in problem
    assert "host_mount cannot mount a clone" in problem


def test_the_whole_internet_may_use_a_public_load_balancer():
    """0.0.0.0/0 is accepted where a public load balancer stands in front."""
    data = changed("target.allowed_cidrs", ["0.0.0.0/0"])
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    data["target"]["load_balancer"] = {"enabled": True, "internal": False, "subnet_ids": subnets}

    assert parameters.load(SANDBOX, data).target.allowed_cidrs == ("0.0.0.0/0",)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sources", "migration.source"),
        ("volume.volumeid", "migration.volume.volume_id"),
        ("target.health_check.intervall_s", "migration.target.health_check.interval_s"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(typed, meant):
    """A misspelled key is named together with the key that was probably meant."""
    assert [p for p in problems(changed(typed, "x")) if "unknown key" in p and f"did you mean {meant}?" in p]


def test_every_problem_is_reported_at_once():
    """One refusal lists wrong values, missing and unknown keys, contradictions and secrets of all sections."""
    data = changed("aws.account_id", 12345678901)
    data["source"]["instance_id"] = "i-1"
    data["named"] = "x"
    del data["volume"]["mount_path"]
    data["target"]["environment"] = {"DB_PASSWORD": "hunter2"}
    data["target"]["load_balancer"] = {"enabled": True}

    text = "\n".join(problems(data))

    for expected in (
        "migration.aws.account_id", "migration.source.instance_id", "migration.named", "migration.volume.mount_path",
        "migration.target.environment.DB_PASSWORD", "migration.target.load_balancer.subnet_ids",
    ):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("012345670123", "migration.aws.account_id is 012345670123, which YAML reads as a number (1402433619)"),
        ("123456789012", 'Fix: write it in quotes: "123456789012"'),
        ("0x1234567890", "which YAML reads as a number"),
        ("off", "which YAML reads as true or false (False)"),
        ("12:30:45", "which YAML reads as a number (45045)"),
        ("2024-01-02", "which YAML reads as a date"),
        ("1.5", "which YAML reads as a number"),
        ("~", "is empty"),
    ],
)  # fmt: skip
def test_what_yaml_reads_as_something_else_is_refused_with_its_text(written, expected, tmp_path):
    """An unquoted scalar that YAML converts is refused, showing what was written and what YAML made of it."""
    text = SANDBOX.read_text(encoding="utf-8").replace('"012345678901"', written)
    found = file_problems(tmp_path / "x.yaml", text)

    assert len(found) == 1
    assert expected in found[0]
    assert "line 5" in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("migration: {name: a, name: b}", "line 1: migration.name: the key stands here twice"),
        ("migration: {1: a}", "keys are plain text"),
        ("migration:\n  name: [", "line 2: not YAML"),
        ("", "one top-level key, migration"),
        ("name: guestbook", "one top-level key, migration"),
        ("migration: text", "one top-level key, migration"),
        ("migration: !!python/object:os.system {}", "is missing"),
        ("migration: {name: !!float abc}", "Fix: write it in quotes"),
        ("a: 1\n---\nb: 2", "not YAML"),
    ],
)
def test_a_file_that_is_not_a_parameters_file_is_refused(text, expected, tmp_path):
    """What cannot be read is refused with file, line and rule."""
    found = file_problems(tmp_path / "x.yaml", text)

    assert expected in "\n".join(found)
    assert str(tmp_path / "x.yaml") in found[0]


def test_a_missing_file_is_refused(tmp_path):
    """A parameters file that is not there is named."""
    with pytest.raises(ParameterError, match=r"nowhere\.yaml: cannot be read"):
        parameters.load(tmp_path / "nowhere.yaml")


def test_generated_files_are_current():
    """schema.json, parameters/README.md and docs/compose-mapping.md say what the code says."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "documents", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("written", [2, {"required": 2}])
def test_a_number_of_approvals_is_short_for_the_section(written):
    """`approvals: 2` is what releases before wrote; it means the same, and is written back as the section."""
    loaded = parameters.load(SANDBOX, changed("policy.approvals", written))
    assert (loaded.policy.approvals.required, loaded.policy.approvals.requester_may_approve) == (2, False)
    assert yaml.safe_load(parameters.dump(loaded))["migration"]["policy"]["approvals"]["required"] == 2

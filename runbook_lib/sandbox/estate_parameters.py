"""Write the parameters and credentials with which a migration finds this sandbox.

The parameters are those of ``parameters/sandbox.yaml`` of the checkout with this sandbox's own ids and paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox.ec2_client import client_of
from runbook_lib.sandbox.estate_files import FILESYSTEM_UUID

if TYPE_CHECKING:
    from runbook_lib.sandbox.estate import Estate
    from runbook_lib.sandbox.world import World

CREDENTIALS = """[sandbox]
aws_access_key_id = AKIASANDBOXOPERATOR0
aws_secret_access_key = sandbox/operator/not/a/secret/0000000000
"""
APPROVER = "approver"
"""A second person, and the profile of its credentials: who asks for an approval may not give it."""
TEMPLATE = Path(__file__).parents[2] / "parameters" / "sandbox.yaml"


class _Quoting(yaml.SafeDumper):
    """Writes texts of digits in quotes, so that no reader takes an account id for a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if text.isdigit() else None)


_Quoting.add_representer(str, _text)


def write(world: World, estate: Estate) -> Path:
    """Write the parameters and ``credentials`` into the state directory; returns the path of ``parameters.yaml``.

    ``parameters-host-mount.yaml`` beside it is the same migration with the storage driver ``host_mount``.

    Raises:
        SandboxError: The checkout has no ``parameters/sandbox.yaml``.

    Changes:
        The files, and the IAM user of the profile ``approver``.
    """
    if not TEMPLATE.is_file():
        raise SandboxError(f"{TEMPLATE} is missing: the sandbox takes its sample parameters from the checkout.")
    credentials = world.state_dir / "credentials"
    credentials.write_text(f"{CREDENTIALS}\n{_approver(client_of(world, 'iam'))}", encoding="utf-8")
    credentials.chmod(0o600)
    data = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    _adapt(data["migration"], world, estate)
    path = world.state_dir / "parameters.yaml"
    _write(path, data)
    data["migration"]["storage"] = _host_mount(data["migration"]["storage"]["rexray"]["volume_name"])
    _write(world.state_dir / "parameters-host-mount.yaml", data)
    return path


def _approver(iam: Any) -> str:
    """Make the second person in IAM; return the profile."""
    iam.create_user(UserName=APPROVER)
    key = iam.create_access_key(UserName=APPROVER)["AccessKey"]
    return f"[{APPROVER}]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"


def _write(path: Path, data: dict[str, Any]) -> None:
    head = "# Written by the sandbox: parameters/sandbox.yaml with the ids and paths of this sandbox.\n"
    path.write_text(head + yaml.dump(data, Dumper=_Quoting, sort_keys=False, width=120), encoding="utf-8")


def _host_mount(volume_name: str) -> dict[str, Any]:
    options = {"volume_name": volume_name, "filesystem_uuid": FILESYSTEM_UUID, "poll_s": 1}
    return {"driver": "host_mount", "host_mount": options}


def _adapt(migration: dict[str, Any], world: World, estate: Estate) -> None:
    migration["aws"] |= {
        "account_id": world.account_id,
        "region": world.region,
        "endpoint_url": world.endpoint_url,
        "profile": "sandbox",
        "credentials_file": str(world.state_dir / "credentials"),
    }
    migration["source"] |= {"instance_id": estate.instance_id, "url": f"http://{estate.address}:8080/"}
    migration["volume"] |= {"volume_id": estate.parameters_volume_id}
    migration["target"] |= {"vpc_id": estate.vpc_id, "subnet_ids": [estate.subnet_id]}
    rexray = migration["storage"]["rexray"]
    rexray["plugin_reference"] = world.tier.plugin_reference
    if "@" not in world.tier.plugin_reference:
        rexray["allow_unpinned_plugin"] = True
    migration["terraform"]["backend"] = {"type": "local", "path": str(world.state_dir / "terraform.tfstate")}
    directory = str(migration["archive"]["directory"])
    migration["archive"]["directory"] = str((TEMPLATE.parent / directory).resolve())

"""Find a command of a simulated host by its name and run it."""

from __future__ import annotations

from collections.abc import Mapping

from runbook_lib.sandbox.commands import attributes, aws, block, checkers, docker, freezing, growing, mounting, system
from runbook_lib.sandbox.commands.call import Call, Command, failed, printed
from runbook_lib.sandbox.commands.options import UsageError
from runbook_lib.sandbox.processes import CommandResult

NOT_FOUND = 127


def dispatch(name: str, call: Call) -> CommandResult:
    """Run a command of a host.

    Args:
        name: For example ``docker``.
        call: Its host and arguments.

    Returns:
        What it printed; 127 for a command that does not exist, 1 or the tool's own code for a wrong option.
    """
    command = _commands().get(name)
    if command is None:
        return failed(f"{name}: command not found", NOT_FOUND)
    try:
        return command(call)
    except UsageError as error:
        return failed(f"{name}: {error}", error.exit_code)


def _commands() -> Mapping[str, Command]:
    return {
        "docker": docker.run,
        "findmnt": mounting.findmnt,
        "mount": mounting.mount,
        "umount": mounting.umount,
        "mountpoint": mounting.mountpoint,
        "lsblk": block.lsblk,
        "blkid": block.blkid,
        "blockdev": block.blockdev,
        "e2fsck": checkers.e2fsck,
        "xfs_repair": checkers.xfs_repair,
        "resize2fs": growing.resize2fs,
        "xfs_growfs": growing.xfs_growfs,
        "dumpe2fs": growing.dumpe2fs,
        "xfs_info": growing.xfs_info,
        "sync": block.sync,
        "fsfreeze": freezing.fsfreeze,
        "systemctl": system.systemctl,
        "cloud-init": system.cloud_init,
        "shutdown": system.shutdown,
        "true": lambda _call: printed(""),
        "false": lambda _call: printed("", 1),
        "aws": aws.run,
        "chattr": attributes.chattr,
        "lsattr": attributes.lsattr,
    }

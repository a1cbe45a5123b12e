"""What a sandbox needs of this machine and holds of it, for whoever starts, stops or shows one.

Looks, and in `sweep` removes what dead sandboxes with real hosts left; starts nothing.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from runbook_lib.errors import SandboxError


def refuse_hosts(hosts: str) -> None:
    """Refuse real hosts where they cannot run.

    Raises:
        SandboxError: What this machine lacks and how to get it, or no tier has this name.
    """
    if hosts not in {"simulated", "real"}:
        raise SandboxError(f"hosts are simulated or real, not {hosts!r}. Nothing was started.")
    if hosts == "real":
        from runbook_lib.sandbox.real import requirements  # noqa: PLC0415 - only they need it

        if refusal := requirements.refusal():
            raise SandboxError(refusal)


def refuse_busy_port(port: int) -> None:
    """Refuse a port of 127.0.0.1 that somebody listens on; 0 is never one.

    Raises:
        SandboxError: It is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SandboxError(
                f"port {port} on 127.0.0.1 is taken ({error.strerror}). Nothing was started. "
                f"Stop what listens there, or choose another port; 0 takes a free one."
            ) from error


def sweep() -> dict[str, str]:
    """Remove what dead sandboxes with real hosts left on this machine; without root there is nothing of the kind.

    Returns:
        By state directory, in words what was there.

    Changes:
        Kills processes, deletes links and control groups, detaches loop devices: only what carries a dead one's key.
    """
    if not _may_have_real_hosts():
        return {}
    from runbook_lib.sandbox.real import janitor  # noqa: PLC0415 - only they need it

    return {state_dir: str(found) for state_dir, found in janitor.sweep().items()}


def held(state_dir: Path) -> str:
    """Return in words what the sandbox of a directory has on this machine outside it, "" when that is nothing."""
    if not _may_have_real_hosts():
        return ""
    from runbook_lib.sandbox.real import janitor  # noqa: PLC0415 - only they need it

    state_dir = state_dir.resolve()
    found = janitor.holdings(janitor.key_of(state_dir), state_dir)
    return "" if found.is_empty else str(found)


def _may_have_real_hosts() -> bool:
    return sys.platform.startswith("linux") and os.geteuid() == 0

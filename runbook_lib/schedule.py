"""Texts that let a machine run notebooks by itself: systemd units and lines of a crontab. Pure.

The units ask nobody, say how a run ended by the unit's state, and end a run so that its record stays true.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

SYSTEM, USER = "system", "user"
ONCE, SKIP = "once", "skip"
_GRACE_S = 20
"""What the engine gives an interrupted cell after SIGTERM, before it kills the kernel."""
_RECORD_S = 60
"""Time for the report, the seal and a copy of the record in a bucket."""
_BOOT_S = 60
"""How long a line for the start of the machine waits for the network, which cron does not."""
_PLAIN = re.compile(r"[A-Za-z0-9_/.,:=+@-]+")
_SANDBOX = (
    ("NoNewPrivileges", "yes"),
    ("LockPersonality", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
)
"""What works without privileges, in a user's own systemd too."""
_SYSTEM_SANDBOX = (
    ("ProtectSystem", "full"),
    ("PrivateDevices", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
)
"""Terraform speaks to its providers through sockets of this machine, and resolves names through netlink."""


@dataclass(frozen=True)
class Schedule:
    """One schedule.

    Args:
        unit: Name of the units, without their suffix.
        title: What it runs, in words.
        argv: The command.
        directory: Folder it runs in.
        path: The command's PATH.
        missed: `once`: what was missed while the machine was off is made up for once. `skip`: it is left out.
        calendar: Times as systemd.time(7) writes them; none makes no units.
        cron: Time as crontab(5) writes it; "" makes no lines.
        random_delay: Longest random delay, as systemd.time(7) writes spans; "" for none.
        timeout: Longest time for a run, written so, too.
        hooks_s: Longest timeout of a hook.
        environment_file: File with the variables that references name, or "".
        variables: Those variables.
        scope: `system`, or `user` for a user's own systemd.
        user: Who runs it, where the scope is `system`.
        on_failure: Unit to start when it fails, or "".
        documentation: A page about it, or "".
    """

    unit: str
    title: str
    argv: tuple[str, ...]
    directory: Path
    path: str
    missed: str = SKIP
    calendar: tuple[str, ...] = ()
    cron: str = ""
    random_delay: str = ""
    timeout: str = "12h"
    hooks_s: int = 0
    environment_file: str = ""
    variables: tuple[str, ...] = ()
    scope: str = SYSTEM
    user: str = ""
    on_failure: str = ""
    documentation: str = ""


def unit_name(migration: str, notebooks: Sequence[str]) -> str:
    """Return the name of the units of a schedule.

    Args:
        migration: Name of the migration.
        notebooks: Names of the notebooks.

    Returns:
        For example `runbook-wiki-63-back-up-volume`, or `runbook-wiki-60-64`.
    """
    stems = [PurePath(name).stem.lower() for name in notebooks]
    what = stems[0] if len(stems) == 1 else "-".join(stem.partition("_")[0] for stem in stems)
    return re.sub(r"[^a-z0-9-]+", "-", f"runbook-{migration}-{what}").strip("-")


def service(schedule: Schedule) -> str:
    """Return the text of the `.service` unit.

    Args:
        schedule: The schedule.

    Returns:
        systemd.service(5).
    """
    is_system = schedule.scope == SYSTEM
    lines = ["[Unit]", f"Description={_specifiers(schedule.title)}"]
    lines += [f"Documentation={_specifiers(schedule.documentation)}"] if schedule.documentation else []
    lines += ["Wants=network-online.target", "After=network-online.target"] if is_system else []
    lines += [f"OnFailure={schedule.on_failure}"] if schedule.on_failure else []
    lines += ["", "[Service]", "Type=oneshot"]
    lines += [f"User={schedule.user}"] if is_system else []
    lines += [f"WorkingDirectory={_specifiers(str(schedule.directory))}"]
    lines += [f"Environment={_quoted(f'PATH={schedule.path}')}", "Environment=LANG=C.UTF-8"]
    if schedule.environment_file:
        lines += [f"# defines: {', '.join(schedule.variables) or 'what you put there'}"]
        lines += [f"EnvironmentFile={_specifiers(schedule.environment_file)}"]
    lines += [f"ExecStart={' '.join(map(_word, schedule.argv))}", "StandardInput=null"]
    lines += [
        "# SIGTERM goes to the runner alone: it interrupts the step, lets it note how far it came, and writes the"
    ]
    lines += ["# record. What is left when that took too long is killed; the next command settles the record."]
    lines += ["KillMode=mixed", "KillSignal=SIGTERM", f"TimeoutStartSec={schedule.timeout}"]
    lines += [f"TimeoutStopSec={_GRACE_S + _RECORD_S + schedule.hooks_s}s"]
    lines += [
        "# Every exit code but 0 fails the unit: 3 is findings or a held volume, 6 waits for an approval; both want"
    ]
    lines += ["# a person. Nothing is tried again by itself: going on with a run is a decision."]
    lines += ["Restart=no"]
    hardening = _SANDBOX + (_SYSTEM_SANDBOX if is_system else ())
    lines += [f"{key}={value}" for key, value in hardening]
    return "\n".join(lines) + "\n"


def timer(schedule: Schedule) -> str:
    """Return the text of the `.timer` unit.

    Args:
        schedule: The schedule.

    Returns:
        systemd.timer(5).
    """
    is_once = schedule.missed == ONCE
    why = (
        "what was missed while the machine was off runs once, soon after" if is_once else "what was missed is left out"
    )
    lines = ["[Unit]", f"Description=When to run: {_specifiers(schedule.title)}", "", "[Timer]"]
    lines += [f"OnCalendar={one}" for one in schedule.calendar]
    lines += [f"# {why}", f"Persistent={'true' if is_once else 'false'}"]
    lines += [f"RandomizedDelaySec={schedule.random_delay}"] if schedule.random_delay else []
    lines += [f"Unit={schedule.unit}.service", "", "[Install]", "WantedBy=timers.target"]
    return "\n".join(lines) + "\n"


def crontab(schedule: Schedule) -> str:
    """Return the lines of a crontab.

    Args:
        schedule: The schedule.

    Returns:
        crontab(5): a comment and one line; with `once` another for the start of the machine.
    """
    lines = [f"# {schedule.unit}: {schedule.title}", f"{schedule.cron} {_percent(_shell(schedule, schedule.argv))}"]
    if schedule.missed == ONCE:
        caught_up = _shell(schedule, (*schedule.argv, "--if-missed", schedule.cron))
        lines.append(f"@reboot sleep {_BOOT_S}; {_percent(caught_up)}")
    return "\n".join(lines) + "\n"


def _shell(schedule: Schedule, argv: Sequence[str]) -> str:
    """Return the command for a shell; cron has no environment files, and mails what is left of the output."""
    parts = [f"cd {shlex.quote(str(schedule.directory))}"]
    if schedule.environment_file:
        parts += ["set -a", f". {shlex.quote(schedule.environment_file)}", "set +a"]
    parts += [f"PATH={shlex.quote(schedule.path)} LANG=C.UTF-8 {shlex.join(argv)} </dev/null"]
    return " && ".join(parts)


def _percent(text: str) -> str:
    r"""Return a command as crontab(5) wants it, where a bare percent sign ends the line."""
    return text.replace("%", r"\%")


def _specifiers(text: str) -> str:
    """Return a text in which systemd replaces nothing."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return one argument as systemd.service(5) reads it back; there, unlike in settings, a dollar sign means more."""
    return _quoted(text).replace("$", "$$")


def _quoted(text: str) -> str:
    """Return a text as systemd reads it back where it splits words."""
    escaped = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if _PLAIN.fullmatch(text) else f'"{escaped}"'

"""Write docs/compose-mapping.md: what becomes of every key of a compose project. Pure."""

from __future__ import annotations

from runbook_lib.compose_keys import IN_CONTEXT, KEYS, Key

TOP_LEVEL = {
    "configs": "Refused where a service uses one.",
    "include": "`docker compose config` has merged it already.",
    "models": "Refused where a service uses one.",
    "name": "ECS names what it makes by the parameters.",
    "networks": "The task's bridge network takes their place: another `driver` is refused, the rest is dropped.",
    "secrets": "See `secrets` of the service.",
    "services": "See below.",
    "version": "Compose itself ignores it.",
    "volumes": "One that is bound to the data volume or a folder of it is mapped; every other one is refused.",
}
"""What becomes of the keys of the project itself."""


def as_markdown() -> str:
    """Return docs/compose-mapping.md.

    Returns:
        The page: what happens to every key of a compose service, in alphabetical order.
    """
    rows = [
        f"| `{name}` | {key.outcome} | {f'`{key.target}`' if key.target else ''} | {_advice(key)} |"
        for name, key in sorted((KEYS | IN_CONTEXT).items())
    ]
    top = [f"| `{name}` | {text} |" for name, text in sorted(TOP_LEVEL.items())]
    return "\n".join([_PAGE, *rows, _TOP_PAGE, *top, ""])


def _advice(key: Key) -> str:
    """Return the last column: the consequence or the fix, and which values change nothing."""
    text = key.consequence[:1].upper() + key.consequence[1:]
    harmless = ", ".join(f"`{value}`" for value in key.harmless)
    return f"{text.rstrip('.')}. Left out when it is {harmless}." if harmless else text.rstrip(".") + "." * bool(text)


_PAGE = """# What becomes of a compose service

Generated from `runbook_lib/compose_keys.py` and `compose_page.py` by `scripts/documents`; a test compares them.

The input is what `docker compose config --format json` prints on the source host, so variables, `env_file`, `extends`
and several files are resolved already. Every key of a service is **mapped** to a field of the ECS container
definition, **dropped** with a consequence that the runbook shows, or **refused** with a fix before anything changes.
A key that is not in this table is refused. Keys that start with `x-` are no part of the service.

A variable is refused when its name or value looks like a secret. Put the value into SSM Parameter Store or Secrets
Manager and name the reference in `target.secrets`. A variable whose *name* only looks like one (`TOKEN_TTL`) is let
through by naming it in `target.not_secret`; a *value* that looks like a credential is never let through.

One task holds the service of the parameters, every service that uses the data volume, and whatever these depend on,
link to or share a namespace with. Its containers start in compose's order, wait as `depends_on` says, and reach each
other by name, one way: a container is linked to those that started before it. What replaces values of such another
container stands in `target.other_containers.NAME`. The services that are left stop with the project and do not move.

A folder of the data volume becomes a task volume of its own with `storage.driver: host_mount`; `rexray` shows the
volume's root only, and refuses it. The service of the parameters itself must see the root to be migrated, because the
proof reads through its container; services beside it may see folders.

| compose key | outcome | container definition | consequence, or fix |
|---|---|---|---|"""

_TOP_PAGE = """
The keys of the project itself:

| compose key | what becomes of it |
|---|---|"""

"""What goes on at the source's mount: seen by a command of its own, or by the command that acted, as its last work.

Inside the outage a command costs more for its way to the host than for a look. So `stop_compose` looks as
`list_open_files` does when it has acted; that look serves the verification of its own step and, while it is fresh, the
observation of the next one. No guard rests on its age: a mount that is held is refused by the host script and by the
kernel, and what was written after the manifest by `verify_before_start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook_lib.run import Run

FRESH_S = 2.0


def look_at_source(run: Run) -> dict[str, Any]:
    """Return whether the volume is mounted on the source, who holds it, and how the project's containers are.

    Args:
        run: The open run.

    Returns:
        As host script `list_open_files`, with `containers` and `manifest_kept`; at most two seconds old.
    """
    seen = run.newest_look(FRESH_S)
    return seen if seen is not None else run.source_host.run("list_open_files", **looked_at(run))


def looked_at(run: Run) -> dict[str, Any]:
    """Return the arguments of a look at the source, for `list_open_files` and for the `look` of scripts that act.

    Args:
        run: The open run.

    Returns:
        Keys `mount_path`, `project`, `run_id`.
    """
    parameters = run.parameters
    project = parameters.source.compose_project
    return {"mount_path": parameters.volume.mount_path, "project": project, "run_id": run.run_id}


def act_on_source(run: Run, script: str, *, timeout_s: int = 120, **arguments: Any) -> dict[str, Any]:
    """Run a host script on the source that changes something and looks at the end.

    Args:
        run: The open run.
        script: One that knows the argument `look`, `stop_compose`.
        timeout_s: How long it may run.
        **arguments: Its other arguments.

    Returns:
        What it returned.

    Changes:
        What the script says.
    """
    run.keep_look(None)
    answer = run.source_host.run(script, timeout_s=timeout_s, look=looked_at(run), **arguments)
    run.keep_look(answer["look"])
    return answer

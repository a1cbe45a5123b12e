"""Notices: what a run's journal says to those who are not looking at it; the log and the hooks tell nothing else.

Pure. One event gives one notice or none; what a notice says follows from the events alone, as they are appended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runbook_lib.model import SCHEMA_VERSION, Event
from runbook_lib.report_notebooks import CUT_OVER
from runbook_lib.report_status import HOLD
from runbook_lib.report_words import seconds

Level = Literal["info", "warning", "error"]
STARTED, WAITING, HOLDING, OUTAGE_BEGUN, CUT_OVER_DONE, OUTAGE_ENDED, FAILED, FINISHED = (
    "started",
    "waiting_for_approval",
    "holding",
    "outage_begun",
    "cut_over",
    "outage_ended",
    "failed",
    "finished",
)
HOOKED = (STARTED, WAITING, HOLDING, OUTAGE_BEGUN, CUT_OVER_DONE, OUTAGE_ENDED, FAILED, FINISHED)
"""What a hook may be told; the log has the notebooks and steps besides."""
_APPROVAL_EXIT_CODE = 6
_Said = tuple[str, Level, str, dict[str, Any]]


@dataclass(frozen=True)
class Notice:
    """One thing that happened.

    Args:
        event: What happened; one of `HOOKED`, or one that only the log has, for example `step`.
        level: `info`; `warning`, when somebody may have to do something; or `error`.
        at_utc: RFC 3339 time.
        run_id: The run, or "".
        text: One sentence for a person, without line breaks.
        fields: The same for programs, JSON-able.
    """

    event: str
    level: Level
    at_utc: str
    run_id: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the notice as a JSON-able mapping."""
        own = {"schema_version": SCHEMA_VERSION, "event": self.event, "level": self.level, "at_utc": self.at_utc}
        return own | {"run_id": self.run_id, "text": self.text} | dict(self.fields)


def one_line(text: str) -> str:
    """Return a text that stays on one line of a log and moves no terminal.

    Args:
        text: Any text.

    Returns:
        Its printable characters, every run of blanks as one.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class Notices:
    """Makes the notices of one command on a run.

    Args:
        run_id: The run.
        opened: Fields of its newest `run-opened` event.
        folder: The run folder.
    """

    def __init__(self, run_id: str, opened: Mapping[str, Any], folder: Path) -> None:
        self._run_id = run_id
        self._opened = opened
        self._report = str(folder / "report.html")
        self._notebook = ""
        self._error: Mapping[str, Any] = {}
        self._outage_s: float | None = None

    def of(self, event: Event) -> Notice | None:
        """Return what an event is to be told as; events must come in their order.

        Args:
            event: The event.

        Returns:
            The notice, or None for what nobody waits for.
        """
        say = _SAY.get(event.kind)
        said = say(self, event.fields) if say else None
        if said is None:
            return None
        name, level, text, fields = said
        common = {"name": self._opened.get("name", "")}
        return Notice(name, level, event.at_utc, self._run_id, one_line(text), common | fields)

    def _requested(self, fields: Mapping[str, Any]) -> _Said:
        names = [Path(name).stem for name in fields["notebooks"]]
        why = self._opened.get("reason", "")
        text = f"{', '.join(names)} {'executes' if fields['execute'] else 'plans only; nothing will change'}"
        who = {"operator": self._opened.get("operator", ""), "reason": why, "execute": fields["execute"]}
        return STARTED, "info", f"{text}{f': {why}' if why else ''}", {"notebooks": names, **who}

    def _notebook_started(self, fields: Mapping[str, Any]) -> _Said:
        self._notebook, self._error = str(fields["notebook"]), {}
        said = {"notebook": self._notebook, "attempt": fields["attempt"]}
        return "notebook_started", "info", f"{self._notebook}, attempt {fields['attempt']}", said

    def _step(self, fields: Mapping[str, Any]) -> _Said:
        status, title = str(fields["status"]), str(fields.get("title") or fields.get("step_id", ""))
        said = {key: fields.get(key) for key in ("notebook", "step_id", "title", "status", "duration_s", "in_outage")}
        if status == "running":
            return "step", "info", f"begun: {title}", said
        text = f"{status}: {title} ({seconds(fields.get('duration_s'))})"
        if status == "failed":
            error = dict(fields.get("error") or {})
            said["error"] = error
            return "step", "error", f"{text}: {error.get('message', '')}", said
        return "step", "info", text, said

    def _wait(self, fields: Mapping[str, Any]) -> _Said:
        said = {key: fields.get(key) for key in ("step_id", "reason", "timeout_s")}
        if fields.get("step_id") == HOLD:
            text = f"holds before the outage, at most {seconds(fields['timeout_s'])}, until {fields['reason']}"
            return HOLDING, "warning", text, said | {"next": f"runbook cut-over {self._run_id}"}
        return "waiting", "info", f"waits for {fields['reason']}", said

    def _outage(self, fields: Mapping[str, Any]) -> _Said | None:
        said: dict[str, Any] = {"notebook": self._notebook}
        if fields["phase"] == "started":
            return OUTAGE_BEGUN, "warning", "the service is about to stop", said
        self._outage_s = fields.get("outage_s")
        said["outage_s"] = self._outage_s
        name = CUT_OVER_DONE if self._notebook == CUT_OVER else OUTAGE_ENDED
        return name, "info", f"the service answers again; the outage took {seconds(self._outage_s)}", said

    def _break_glass(self, fields: Mapping[str, Any]) -> _Said | None:
        if fields["phase"] != "used":
            return None
        said = {key: fields.get(key) for key in ("notebook", "step_id", "operator", "reason")}
        return "break_glass", "warning", f"{fields['step_id']} is not approved: {fields.get('reason', '')}", said

    def _notebook_finished(self, fields: Mapping[str, Any]) -> _Said:
        status, error = str(fields["status"]), dict(fields.get("error") or {})
        self._error = error or self._error
        said = {key: fields.get(key) for key in ("notebook", "attempt", "status", "duration_s")}
        text = f"{fields['notebook']} {status} in {seconds(fields['duration_s'])}"
        return "notebook_ended", "info" if status == "completed" else "error", text, said

    def _ended(self, fields: Mapping[str, Any]) -> _Said:
        exit_code = int(fields["exit_code"])
        said = {key: fields[key] for key in ("notebook", "status", "exit_code", "duration_s", "not_started")}
        said |= {"outage_s": self._outage_s, "report": self._report}
        took = f"{fields['notebook']}, exit code {exit_code}, in {seconds(fields['duration_s'])}"
        if exit_code == 0:
            return FINISHED, "info", f"done: {took}", said
        said["error"] = dict(fields["error"])
        if exit_code == _APPROVAL_EXIT_CODE:
            how = f"runbook approve {self._run_id}"
            return (
                WAITING,
                "warning",
                f"{fields['notebook']} waits for an approval: `{how}` shows it",
                said | {"next": how},
            )
        how = f"runbook status {self._run_id}"
        return FAILED, "error", f"{took}: {said['error'].get('message', '')}", said | {"next": how}


_SAY: dict[str, Callable[[Notices, Mapping[str, Any]], _Said | None]] = {
    "notebooks-requested": Notices._requested,  # noqa: SLF001 - the table stands behind its class
    "notebook-started": Notices._notebook_started,  # noqa: SLF001
    "step": Notices._step,  # noqa: SLF001
    "wait": Notices._wait,  # noqa: SLF001
    "outage": Notices._outage,  # noqa: SLF001
    "break-glass": Notices._break_glass,  # noqa: SLF001
    "notebook-finished": Notices._notebook_finished,  # noqa: SLF001
    "notebooks-ended": Notices._ended,  # noqa: SLF001
}


def of_repair(run_id: str, opened: Mapping[str, Any], folder: Path, ended: Event, text: str) -> Notice:
    """Return what is told of an attempt whose runner was killed, by whoever settles its record.

    Args:
        run_id: The run.
        opened: Fields of its newest `run-opened` event.
        folder: The run folder.
        ended: The attempt's `notebook-finished` event that was written in its place.
        text: What became of it, in words.

    Returns:
        A notice like that of a run that failed, with `settled`.
    """
    said = {"name": opened.get("name", ""), "settled": True, "report": str(folder / "report.html")}
    said |= {key: ended.fields.get(key) for key in ("notebook", "status", "exit_code", "duration_s", "error")}
    said["next"] = f"runbook status {run_id}"
    level: Level = "error"
    return Notice(FAILED, level, ended.at_utc, run_id, one_line(f"it was killed, and nobody told: {text}"), said)

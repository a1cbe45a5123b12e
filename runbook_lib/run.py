"""The open run: its parameters, its journal, the lease on its volume, and the keys to the outside.

It decides nothing about the migration; procedures do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runbook_lib import journal_link, run_approval, run_confirmation, run_secrets
from runbook_lib import parameters as parameter_file
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.probe import URLS_S, OutageProbe, answers
from runbook_lib.errors import JournalError, LeaseError
from runbook_lib.journal import Journal
from runbook_lib.lease import Lease
from runbook_lib.parameters import Parameters
from runbook_lib.parameters_policy import ChangeWindow
from runbook_lib.report import write_report
from runbook_lib.run_attempt import runner_fields
from runbook_lib.run_folder import Terms, create_run, open_journal
from runbook_lib.run_keyboard import say_at_once
from runbook_lib.run_keys import Keys
from runbook_lib.run_lease import lease_of
from runbook_lib.run_report import ReportPath
from runbook_lib.run_view import on_volume

if TYPE_CHECKING:
    from runbook_lib.steps import Step

__all__ = ["Run", "close_run", "create_run", "open_journal", "open_run"]


class Run(Keys):
    """One open run.

    Args:
        parameters: What to migrate.
        journal: The run folder.
        execute: Whether acts are carried out.
        reason: Why, and the ticket.
        clock: The clock.
        reads_only: Whether the run holds nothing, so that none of its steps can act.
    """

    def __init__(
        self,
        parameters: Parameters,
        journal: Journal,
        *,
        execute: bool,
        reason: str,
        clock: Clock,
        reads_only: bool = False,
    ) -> None:
        super().__init__(parameters, journal, clock, reads_only=reads_only)
        self.execute = execute
        self.reason = reason
        self._lease: Lease | None = None
        self._more_leases: dict[str, Lease] = {}  # by volume id
        self._passes: set[tuple[str, ...]] = set()
        self._probe: OutageProbe | None = None
        self._look: tuple[float, dict[str, Any]] | None = None
        self.sent_ahead: dict[str, Callable[[], dict[str, Any]]] = {}  # by instance: a command that waits on it

    @property
    def change_window(self) -> ChangeWindow | None:
        """The window that binds this run; none binds a plan, which stops nothing."""
        return self.parameters.policy.change_window if self.execute else None

    def keep_look(self, facts: dict[str, Any] | None) -> None:
        """Keep in this process what a command saw on the source host when it had acted.

        Args:
            facts: What it saw; None when something is about to act, so that what was seen before holds no longer.
        """
        self._look = None if facts is None else (self.clock.monotonic(), facts)

    def newest_look(self, max_age_s: float) -> dict[str, Any] | None:
        """Return what the last command saw on the source host.

        Args:
            max_age_s: How old it may be, in seconds.

        Returns:
            The facts, or None when there are none or they are older.
        """
        if self._look is None or self.clock.monotonic() - self._look[0] > max_age_s:
            return None
        return dict(self._look[1])

    def outage_probe(self, urls: Callable[[], list[str]], urls_every_s: float = URLS_S) -> OutageProbe:
        """Return the run's view of the service from outside.

        Args:
            urls: Returns the addresses at which the service may answer.
            urls_every_s: How long they are used.

        Returns:
            The probe; made once.
        """
        if self._probe is None:
            self._probe = OutageProbe(self.clock, urls, urls_every_s)
        return self._probe

    @staticmethod
    def reaches(url: str) -> bool:
        """Return whether the service answers from outside at an address.

        Args:
            url: The address.

        Returns:
            True when it answers well within two seconds.
        """
        return answers(url)

    def keep_evidence(self, name: str, content: Any) -> str:
        """Store a JSON document under `evidence/` and note its digest in the journal.

        Args:
            name: File name without `.json`.
            content: JSON-able value.

        Returns:
            SHA-256 of the file in hex.
        """
        path = f"evidence/{name}.json"
        digest = self.journal.write(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
        self.journal.append("evidence", name=name, path=path, sha256=digest)
        return digest

    def evidence(self, name: str) -> Any:
        """Return a JSON document that this run stored before.

        Args:
            name: File name without `.json`.

        Returns:
            Its content.

        Raises:
            JournalError: when this run has no such evidence.
        """
        return json.loads(self.journal.read(f"evidence/{name}.json"))

    def take_lease(self) -> None:
        """Hold the volume for this run, so that no second run can act on it.

        Raises:
            LeaseError: when another run holds it, or nobody can tell; the message names the holder.

        Changes:
            The lease, where the parameters' archive is; a `lease` event.
        """
        lease = lease_of(self.parameters, self.run_id)
        taken = lease.acquire()
        self._lease = lease
        self.journal.append("lease", **taken)

    def as_on(self, volume_id: str) -> Run:
        """Return this run with another data volume, which it holds as well from now on when it executes.

        Args:
            volume_id: The volume that shall be the service's.

        Returns:
            As `run_view.on_volume`.

        Raises:
            LeaseError: when another run holds that volume.

        Changes:
            The lease on that volume; a `second-lease` event, once.
        """
        view = on_volume(self, volume_id)
        if view is not self and self._lease is not None and volume_id not in self._more_leases:
            lease = lease_of(view.parameters, self.run_id)
            taken = lease.acquire()
            self._more_leases[volume_id] = lease
            self.journal.append("second-lease", volume_id=volume_id, **taken)
        return view

    def confirm_lease(self) -> None:
        """Prove that this run holds the volume at this moment; `perform` asks right before every act.

        Raises:
            LeaseError: when it does not, or nobody can tell.
        """
        if self._lease is None:
            raise LeaseError(f"this run does not hold {self.parameters.volume.volume_id}; open it with execute=True")
        for lease in (self._lease, *self._more_leases.values()):
            lease.confirm()

    def confirm_approval(self, step: Step, facts: Mapping[str, Any]) -> None:
        """Prove that what a step is about to change was approved; `perform` asks before every act.

        Args:
            step: The step.
            facts: What it observed; `plan_sha256` is the Terraform plan that it would apply.

        Raises:
            ApprovalError: when the policy wants an approval that is not there; nothing was changed.
            ObservationError: when AWS does not say who asks, or a plan that is to be approved cannot be made.

        Changes:
            An `approval-used`, `approval-request` or `break-glass` event.
        """
        act = run_approval.Act(step.step_id, step.notebook, str(facts.get("plan_sha256", "")), step.plan_ahead)
        run_approval.confirm(self, act, self._passes)

    def confirm_name(self, step_id: str, notebook: str, no_return: str) -> None:
        """Prove that whoever sits at this kernel has typed the service's name; as `run_confirmation.confirm`."""
        run_confirmation.confirm(self.journal, step_id, notebook, no_return)

    def close(self) -> None:
        """Stop the probe, delete the binary plan, which holds secrets, and give the volume back."""
        self.journal.remove("terraform/.terraform/plan.bin")
        if self._probe is not None:
            self._probe.stop()
        for lease in (self._lease, *self._more_leases.values()):
            if lease is not None:
                lease.release()
        self._lease = None
        self._more_leases.clear()
        self.let_go()

    def __repr__(self) -> str:
        """Return one line for the notebook."""
        mode = "executes" if self.execute else "plans only; nothing will change"
        return f"run {self.run_id}: {self.parameters.name} on {self.parameters.aws.account_id} ({mode})"


def open_run(
    parameters_file: str = "",
    migration: dict[str, Any] | None = None,
    *,
    run_id: str = "",
    reason: str = "",
    execute: bool = False,
    way_back: bool = False,
    reads_only: bool = False,
) -> Run:
    """Open a run: read the parameters, make or continue its folder, hold the volume when it executes.

    Args:
        parameters_file: YAML file, used when `migration` is empty.
        migration: The resolved mapping that Papermill injects with `-f`.
        run_id: Continue this run; "" opens a new one.
        reason: Why, and the ticket.
        execute: False plans, True acts.
        way_back: Whether only the way back is taken; a library that changed since the run was opened is recorded then,
            and refused otherwise.
        reads_only: Whether every step only looks: then the run holds no volume, and an act would be refused.

    Returns:
        The open run.

    Raises:
        ParameterError: when a parameter breaks a rule; nothing was contacted.
        JournalError: when library, notebooks or parameters changed since the run was opened.
        LeaseError: when another run holds the volume.

    Changes:
        The run folder.
    """
    if not isinstance(execute, bool):
        raise JournalError(f"execute must be true or false, got {execute!r}; nothing was changed")
    parameters = parameter_file.load(parameters_file, migration or None)
    terms = Terms(way_back=way_back)
    outcomes = run_secrets.protect(parameters, way_back=way_back)
    journal = create_run(parameters, reason=reason, execute=execute, run_id=run_id, terms=terms)
    run_secrets.note(journal, outcomes)
    journal_link.accept(journal, runner_fields(os.getppid()))
    run = Run(parameters, journal, execute=execute, reason=reason, clock=Clock(), reads_only=reads_only)
    if execute and not reads_only:
        run.take_lease()
    return run


def close_run(run: Run) -> str:
    """Close a run: write its report, seal its folder, give the volume back.

    Args:
        run: The open run.

    Returns:
        Path of the HTML report; in JupyterLab a link to it.

    Changes:
        The report and SHA256SUMS in the run folder.
    """
    say_at_once("Writes the report and seals the run folder …")
    run.close()
    run.journal.append("run-closed")
    return ReportPath(write_report(run.journal))

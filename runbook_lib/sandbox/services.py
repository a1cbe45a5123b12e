"""Run the commands of one systemd service on a simulated host. Starts guest processes and ends them."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.processes import kill_session

if TYPE_CHECKING:
    from runbook_lib.sandbox.guest_processes import GuestProcess
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.unit_files import Unit

STOP_TIMEOUT_S = 90.0


class Service:
    """One started service.

    Args:
        host: Where it runs.
        environment: What its unit sets.
    """

    def __init__(self, host: BaseHost, environment: dict[str, str]) -> None:
        self._host = host
        self._environment = environment
        self._process: GuestProcess | None = None
        self._remains = False
        self.exit_code = 0

    def start(self, unit: Unit, timeout_s: float) -> None:
        """Run what the unit says; a oneshot service is started when its commands have ended well.

        Raises:
            OSError: A command failed, or took too long.
        """
        self._run_all(unit, "Service.ExecStartPre", timeout_s)
        if unit.last("Service.Type", "simple") == "oneshot":
            self._run_all(unit, "Service.ExecStart", timeout_s)
            self._remains = unit.last("Service.RemainAfterExit") in {"yes", "true", "1", "on"}
        else:
            (_, argv), *_ = unit.commands("Service.ExecStart")
            cwd = unit.last("Service.WorkingDirectory", "/")
            with self._log(unit.name).open("ab") as log:
                self._process = self._host.start_process(argv, env=self._environment, cwd=cwd, output=log)
        self._run_all(unit, "Service.ExecStartPost", timeout_s)

    def is_running(self) -> bool:
        """Return whether the service counts as active."""
        if self._process is None:
            return self._remains
        code = self._process.poll()
        if code is not None:
            self.exit_code = code
        return code is None

    def stop(self, unit: Unit) -> None:
        """Run the stop commands, then end the main process."""
        with suppress(OSError):
            self._run_all(unit, "Service.ExecStop", STOP_TIMEOUT_S)
        self._remains = False
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
            kill_session(self._process.pid)
            self._process.wait()

    def _run_all(self, unit: Unit, key: str, timeout_s: float) -> None:
        for may_fail, argv in unit.commands(key):
            try:
                result = self._host.run(argv, timeout_s=timeout_s, env=self._environment)
                code, text = result.exit_code, result.stdout + result.stderr
            except TimeoutError:
                code, text = 1, f"{unit.name}: start operation timed out.\n"
            with self._log(unit.name).open("a", encoding="utf-8", errors="surrogateescape") as log:
                log.write(text)
            if code and not may_fail:
                self.exit_code = code
                raise OSError(f"{argv[0]}: the control process exited with status {code}: {text.strip()[-400:]}")

    def _log(self, name: str) -> Path:
        folder = self._host.root / "var/log/units"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

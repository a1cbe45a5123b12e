"""Sample journals, told as stories: a migration that works, one that fails, one that is taken back."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbook_lib.journal import Journal

RUN_ID = "20260131T030007Z-guestbook-4c1d"
PREPARATION = {
    "00_inspect_source": (
        ("verify-identity", "Verify who we are", 0.4),
        ("inspect-instance", "Inspect the source instance and its volume", 0.6),
        ("inspect-filesystem", "Inspect the filesystem", 1.3),
        ("inspect-compose", "Read the compose project as ECS would", 0.9),
        ("inspect-writers", "Find who writes to the volume", 0.7),
    ),
    "10_provision_target": (
        ("map-container", "Map the compose service to a container definition", 0.5),
        ("choose-machine-image", "Pin the ECS machine image", 0.2),
        ("provision-target", "Plan, guard and apply the target", 33.4),
        ("register-container-instance", "Wait for the container instance", 6.1),
        ("pull-image", "Pull the image ahead of the cutover", 1.2),
    ),
    "20_snapshot_volume": (
        ("create-hot-snapshot", "Start a snapshot while the service runs", 0.3),
        ("complete-hot-snapshot", "Wait until the snapshot is complete", 2.4),
    ),
}
CUTOVER = (
    ("check-readiness", "Check that the cutover may begin", 1.1, False),
    ("keep-volume-on-termination", "Keep the volume when the source instance is terminated", 0.2, False),
    ("take-hot-manifest", "Hash every file while the service still runs", 1.9, False),
    ("stop-source-service", "Stop the compose project, complete the manifest, and unmount the volume", 2.8, True),
    ("create-rollback-point", "Take the rollback point", 0.3, True),
    ("detach-volume", "Detach the volume from the source", 0.9, True),
    ("name-volume", "Give the volume the name that the storage driver looks for", 0.2, True),
    ("start-target-service", "Start the service on ECS and wait until it answers", 2.8, True),
)
VERIFICATION = (
    ("verify-data", "Verify sentinel and manifest in the container", 1.5),
    ("write-probe", "Write a test file through the container", 0.6),
    ("restart-task", "Restart the task", 4.2),
    ("verify-data-after-restart", "Verify again", 1.4),
    ("replace-instance", "Replace the container instance", 11.8),
    ("verify-data-after-replacement", "Verify again", 1.5),
    ("verify-empty-plan", "Verify that Terraform would change nothing", 3.9),
)


def digest(text: str) -> str:
    """Return a SHA-256 that depends on the text."""
    return hashlib.sha256(text.encode()).hexdigest()


def check(check_id: str, *, passed: bool = True, **fields: Any) -> dict[str, Any]:
    """Return a check as the journal holds it."""
    return {
        "check_id": check_id,
        "passed": passed,
        "expected": fields.get("expected", "the volume attached to the source, and to nothing else"),
        "observed": fields.get("observed", "attached to i-0123456789abcdef0 as /dev/sdf"),
        "why": fields.get("why", ""),
        "fix": fields.get("fix", ""),
        "needs": fields.get("needs", ""),
        "assumed": fields.get("assumed", False),
    }


class Story:
    """A run that is told event by event, with a clock of its own.

    Args:
        directory: Where the run folder is made.
        execute: Whether the run executes.
        run_id: The run.
    """

    def __init__(self, directory: Path, *, execute: bool = True, run_id: str = RUN_ID) -> None:
        self.now = datetime(2026, 1, 31, 3, 0, 7, tzinfo=UTC)
        self.execute = execute
        self.journal = Journal(directory / run_id, lambda: self.now)
        self.notebook = ""
        self.began = self.now
        self.parameters_sha256 = self.journal.write("parameters.yaml", "migration: {name: guestbook}\n")
        self.open()

    def open(self, *, execute: bool | None = None) -> None:
        """Note that the run was opened."""
        self.execute = self.execute if execute is None else execute
        self.journal.append(
            "run-opened",
            run_id=self.journal.run_id,
            name="guestbook",
            operator="ops@bastion",
            reason="CHG-1042: move the guestbook to ECS",
            execute=self.execute,
            parameters_sha256=self.parameters_sha256,
            library_version="0.1.0",
            python="3.11.7",
            outage_budget_s=90,
            volume_id="vol-0fedcba9876543210",
            account_id="012345678901",
            region="us-east-1",
        )

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def start(self, notebook: str, attempt: int = 1) -> None:
        """Begin a notebook."""
        self.notebook, self.attempt, self.began = notebook, attempt, self.now
        output = f"notebooks/{notebook}.{attempt}.ipynb"
        self.journal.append("notebook-started", notebook=notebook, attempt=attempt, output=output)
        self.wait(1.6)
        self.open()

    def finish(self, status: str = "completed", **fields: Any) -> None:
        """End the notebook."""
        if status == "completed":
            self.journal.append("run-closed")
        self.wait(0.4)
        duration_s = (self.now - self.began).total_seconds()
        names = {"notebook": self.notebook, "attempt": self.attempt}
        self.journal.append("notebook-finished", **names, status=status, duration_s=duration_s, **fields)
        self.wait(0.2)

    def step(self, step_id: str, title: str = "", took_s: float = 0.5, status: str = "", **fields: Any) -> None:
        """Perform a step: running and its end, or only its end when nothing acts."""
        status = status or ("succeeded" if self.execute else "planned")
        names = {"step_id": step_id, "notebook": fields.pop("notebook", self.notebook), "title": title or step_id}
        facts = {
            "before": {"volume_state": "in-use"},
            "after": {},
            "checks": [check("volume-on-source")],
            "plan": f"{title}.",
        }
        fields = facts | {"in_outage": False} | fields
        if status in {"succeeded", "running"}:
            self.journal.append("step", **names, **fields, status="running", duration_s=0.0)
        self.wait(took_s)
        if status != "running":
            after = {"volume_state": "available"} if status == "succeeded" else {}
            self.journal.append("step", **names, **(fields | {"after": after}), status=status, duration_s=took_s)
        self.wait(0.05)

    def manifest(self, phase: str, files: int = 231, size: int = 12_345_678) -> None:
        """Note a manifest."""
        fields = {"files": files, "bytes": size, "sha256": digest("same"), "path": f"evidence/manifest-{phase}.json"}
        self.journal.append("manifest", phase=phase, **fields)

    def evidence(self, name: str, content: str) -> None:
        """Keep a file as evidence."""
        path = f"evidence/{name}.json"
        self.journal.append("evidence", name=name, path=path, sha256=self.journal.write(path, content))

    def compare(self, phase: str, *, identical: bool = True, written: int = 3) -> None:
        """Note a comparison."""
        differs = {"missing": [], "added": [], "changed": [] if identical else [["data/guestbook.db", ["sha256"]]]}
        own = {"written_since_start": ["data/guestbook.db"], "written_since_start_count": written}
        gone = {"removed_since_start": [], "removed_since_start_count": 0, "may_remove": 100, "entries": 24}
        self.journal.append("comparison", phase=phase, identical=identical, **differs, **own, **gone)

    def prepare(self) -> None:
        """Tell the notebooks before the cutover."""
        for notebook, steps in PREPARATION.items():
            self.start(notebook)
            for step_id, title, took_s in steps:
                self.step(step_id, title, took_s)
                self._beside(step_id)
            self.finish()

    def _beside(self, step_id: str) -> None:
        journal = self.journal
        if step_id == "inspect-filesystem":
            journal.append("grade", evidence_grade="simulated host")
            uuid = "5f0c1d8e-1111-4222-8333-944455566677"
            journal.append("volume", volume_id="vol-0fedcba9876543210", filesystem_uuid=uuid, filesystem_type="ext4")
            self.host("inspect_host")
        if step_id == "provision-target":
            counts = {"add": 28, "change": 0, "destroy": 0, "imported": 0}
            journal.append("terraform", action="init", duration_s=0.6)
            journal.append("terraform", action="plan", plan_sha256=digest("plan"), duration_s=3.8, **counts)
            if self.execute:
                journal.append("terraform", action="apply", plan_sha256=digest("plan"), duration_s=28.9, **counts)
        if step_id == "create-hot-snapshot" and self.execute:
            journal.append(
                "rollback-point", point="hot", type="snapshot", id="snap-0aaaaaaaaaaaaaaaa", status="pending"
            )
            self.call("ec2", "CreateSnapshot", "vol-0fedcba9876543210")

    def call(self, service: str, operation: str, target: str, outcome: str = "Success") -> None:
        """Note an API call."""
        fields = {"target": target, "request_id": digest(operation)[:36], "outcome": outcome, "mutating": True}
        self.journal.append("api-call", service=service, operation=operation, **fields)

    def host(self, script: str, exit_code: int = 0) -> None:
        """Note a script on a host."""
        names = {
            "script": script,
            "sha256": digest(script),
            "instance_id": "i-0123456789abcdef0",
            "command_id": digest(script)[:36],
        }
        self.journal.append("host-command", **names, exit_code=exit_code, duration_s=0.41)

    def cut_over(self, until: str = "") -> None:
        """Tell the cutover, all of it or until before a step."""
        self.start("30_cut_over_volume")
        for step_id, title, took_s, in_outage in CUTOVER:
            if step_id == until:
                return
            if step_id == "stop-source-service" and self.execute:
                self.stopped = self.now
                self.journal.append("outage", phase="started")
            self.step(step_id, title, took_s, in_outage=in_outage)
            if self.execute:
                self._during_cutover(step_id)
        if self.execute:
            self.answers_again()
        self.finish()

    def _during_cutover(self, step_id: str) -> None:
        if step_id == "take-hot-manifest":
            self.journal.append("sentinel", path=".runbook/sentinel.json", sha256=digest("sentinel"))
            self.manifest("hot")
            self.host("build_manifest")
        if step_id == "stop-source-service":
            self.manifest("before")
            self.host("stop_compose")
        if step_id == "create-rollback-point":
            names = {"type": "volume", "id": "vol-0bbbbbbbbbbbbbbbb", "status": "creating"}
            self.journal.append("rollback-point", point="rollback", **names)
            self.call("ec2", "CopyVolumes", "vol-0fedcba9876543210")
        if step_id == "detach-volume":
            self.call("ec2", "DetachVolume", "vol-0fedcba9876543210")
        if step_id == "start-target-service":
            self.call("ecs", "UpdateService", "guestbook")

    def answers_again(self) -> None:
        """Note that users get an answer again."""
        last, first = self.stopped - timedelta(seconds=0.1), self.now + timedelta(seconds=0.05)
        self.journal.append(
            "outage",
            phase="ended",
            outage_s=round((first - last).total_seconds(), 3),
            last_success_utc=last.isoformat(),
            first_success_utc=first.isoformat(),
            failures=34,
        )

    def verify(self, *, identical: bool = True) -> None:
        """Tell the verification."""
        self.start("40_verify_persistence")
        for step_id, title, took_s in VERIFICATION:
            self.step(step_id, title, took_s)
            phase = {
                "verify-data": "after",
                "verify-data-after-restart": "after-restart",
                "verify-data-after-replacement": "after-replace",
            }.get(step_id)
            if phase and self.execute:
                self.manifest(phase)
                self.compare(phase, identical=identical)
                self.evidence(f"manifest-{phase}", phase)
        if self.execute:
            self.manifest("negative-control", files=0, size=0)
            missing = {"identical": False, "missing": ["guestbook.db", "level-00"], "added": [], "changed": []}
            self.journal.append("comparison", phase="negative-control", **missing)
        self.finish()

    def adopt(self) -> None:
        """Tell the adoption."""
        self.start("45_adopt_volume")
        self.step("adopt-volume", "Import the volume into Terraform", 9.7)
        counts = {"add": 0, "change": 0, "destroy": 0, "imported": 1}
        self.journal.append("terraform", action="apply", plan_sha256=digest("adopt"), duration_s=4.1, **counts)
        self.finish()

    def fail(
        self, step_id: str, *, kind: str = "CheckError", changed: str = "no", exit_code: int = 3, **fields: Any
    ) -> None:
        """Let a step fail, and its notebook with it."""
        message = fields.pop(
            "message",
            "1 of 2 checks failed:\n  - volume-on-source: expected the volume, observed none. Fix: attach it.",
        )
        error = {
            "kind": kind,
            "message": f"{step_id}: {message}\nChanged: {changed}.",
            "changed": changed,
            "exit_code": exit_code,
        }
        failed = check(
            "volume-on-source",
            passed=False,
            observed="attached to nothing",
            why="another host may write to it",
            fix="attach it to the source",
        )
        self.step(
            step_id,
            fields.pop("title", step_id),
            0.7,
            "failed",
            error=error,
            checks=[check("instance-running"), failed],
            **fields,
        )
        described = {"kind": "CellFailedError", "message": f"cell {step_id}: {kind}", "cell_id": step_id}
        self.finish("failed", error=described, exit_code=exit_code)

    def roll_back(self) -> None:
        """Tell the way back."""
        self.start("90_roll_back")
        for step_id in (
            "check-way-back",
            "stop-target-service",
            "attach-volume-to-source",
            "start-source-service",
            "verify-source-data",
        ):
            self.step(step_id, step_id.replace("-", " ").capitalize(), 1.2, in_outage=True)
        self.answers_again()
        self.manifest("after-roll-back")
        self.compare("after-roll-back")
        self.finish()


def migrated(directory: Path, run_id: str = RUN_ID) -> Story:
    """Return a migration that worked."""
    story = Story(directory, run_id=run_id)
    story.prepare()
    story.cut_over()
    story.verify()
    story.adopt()
    return story

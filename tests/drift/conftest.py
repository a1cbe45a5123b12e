"""What the tests of drift share: one migrated estate for each storage driver, drift planted in it and taken back."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress

import pytest

from tests.crash.strikes import CUTOVER, SNAPSHOT
from tests.crash.town import Town

NOTEBOOK, PLAN = "64_check_drift", "inspect-terraform"
NOT_PLANNED = "terraform-looked-at"
"""What is found when Terraform's cell is passed over, which takes most of the time."""


class Estate(Town):
    """A migrated service, and a look for its drift."""

    def migrate(self):
        """Migrate it."""
        self.provision()
        ended = self.drive_on(self.new_run(), SNAPSHOT, CUTOVER)
        assert ended.exit_code == 0, ended.output
        self.volume_id = self.migration["volume"]["volume_id"]
        self.ec2, self.ecs = self.sandbox.client("ec2"), self.sandbox.client("ecs")

    @property
    def files(self):
        """The folder with what is on the volume."""
        return self.sandbox.state_dir / "volumes" / self.volume_id / "fs"

    def host(self):
        """Return the id of the instance that the volume is attached to, and the name of its device there."""
        (volume,) = self.ec2.describe_volumes(VolumeIds=[self.volume_id])["Volumes"]
        (attachment,) = volume["Attachments"]
        return attachment["InstanceId"], attachment["Device"]

    def begin(self, *notebooks, **how):
        """Perform notebooks in a new run; return how it ended and the run's id."""
        known = set(self.archive.iterdir())
        ended = self.drive("", *notebooks, **how)
        (folder,) = {path for path in set(self.archive.iterdir()) - known if (path / "journal.jsonl").exists()}
        return ended, folder.name

    def look(self, *, plans=False):
        """Look for drift; return the exit code, the ids of the findings, and what was printed."""
        ended, run_id = self.begin(NOTEBOOK, passed_over=() if plans else (PLAN,))
        folder = self.archive / run_id
        found = [one["id"] for one in json.loads((folder / "evidence" / "drift.json").read_text("utf-8"))]
        if not plans:
            found.remove(NOT_PLANNED)
        return ended.exit_code, found, ended.output

    @contextmanager
    def fault(self, name, **options):
        """Let something go wrong for a while."""
        fault = self.sandbox.control("POST", "/_sandbox/faults", {"name": name, **options})
        try:
            yield fault
        finally:
            with suppress(Exception):
                self.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")

    def tags(self, **tags):
        """Set tags of the volume; None takes one away."""
        for name, value in tags.items():
            tag = {"Key": name.replace("__", ":").replace("_", "-")}
            if value is None:
                self.ec2.delete_tags(Resources=[self.volume_id], Tags=[tag])
            else:
                self.ec2.create_tags(Resources=[self.volume_id], Tags=[{**tag, "Value": value}])

    def update(self, **changes):
        """Change the service beside Terraform."""
        self.ecs.update_service(cluster="guestbook", service="guestbook", **changes)


@pytest.fixture(scope="module", params=["rexray", "host_mount"])
def estate(request, tmp_path_factory):
    """Return a migrated service with a storage driver."""
    made = Estate(tmp_path_factory.mktemp("estate"), request.param)
    try:
        made.migrate()
        yield made
    finally:
        made.stop()

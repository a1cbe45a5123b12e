"""A service that only reads its volume, as `changes` strikes it: two tasks on the volume's host, and one again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from types import MappingProxyType

import yaml

from runbook_lib.sandbox.estate_files import SEED_ENTRIES
from tests.crash.changes import ChangingTown
from tests.crash.source import mount_read_only
from tests.crash.strikes import RESIZE, SCALINGS

SCALED, ALONE = "scaled", "alone"
SCALE = SCALINGS[0][1]
RANGE = {"min_tasks": 2, "max_tasks": 3, "target_cpu_percent": 60}
TASKS = {2: SCALED, 1: ALONE}


class ScalingTown(ChangingTown):
    """A sandbox whose reader, behind a load balancer, is scaled to two tasks, and back to one.

    Args:
        folder: Where its files may go.
    """

    there, back = SCALED, ALONE
    notebooks, cases, first = (RESIZE,), tuple(SCALINGS), "check-resize"
    planned = planning = (SCALE,)
    completion, last_before_plan = "", SCALE
    only = shown = MappingProxyType({})
    needs_permissions, registers = "", False

    def __init__(self, folder):
        super().__init__(folder)
        target = self.migration["target"]
        found = self.sandbox.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [target["vpc_id"]]}])
        subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in found["Subnets"]}
        target["load_balancer"] = {"enabled": True, "subnet_ids": sorted(subnets.values())[:2]}
        for kind, migration in ((ALONE, self.migration), (SCALED, self.migration_there())):
            self.files[kind].write_text(yaml.safe_dump({"migration": migration}), "utf-8")

    def migration_there(self):
        """Return the parameters with two tasks and more."""
        return self.migration | {"target": self.migration["target"] | {"autoscaling": RANGE}}

    def provision(self):
        """Let compose mount the volume read-only on the source, then make the target of it."""
        mount_read_only(self)
        super().provision()

    def by_hand(self, _kind, _step_id=""):
        """Return nothing: the one step is Terraform's."""
        return {}

    def serving(self):
        """Return `ECS` when tasks of the service run; a load balancer of the sandbox passes no traffic."""
        return "ECS" if self._tasks() else super().serving()

    def has_every_write(self):
        """Check that the volume has whatever the client had an answer for while it could write; return how many."""
        acknowledged = self.sandbox.control("GET", "/_sandbox/client")["acknowledged"]
        path = self.sandbox.state_dir / "volumes" / self.migration["volume"]["volume_id"] / "fs" / "guestbook.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            (entries,) = database.execute("SELECT count(*) FROM entries").fetchone()
        assert entries >= SEED_ENTRIES + acknowledged > SEED_ENTRIES, (entries, acknowledged)
        return acknowledged

    def kinds(self):
        """Return what the service is by its tasks and by what is registered, for it and for its hosts."""
        found = self.sandbox.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")
        registered = [one["MinCapacity"] for one in found["ScalableTargets"]] or [1]
        own = TASKS.get(self._tasks(), "") if registered == [self._tasks()] else "half-way"
        return own, [own for _ in self.hosts_have("ecs.ami-id")]

    def _tasks(self):
        ecs = self.sandbox.client("ecs")
        if not ecs.list_clusters()["clusterArns"]:
            return 0
        return len(ecs.list_tasks(cluster="guestbook", desiredStatus="RUNNING")["taskArns"])

"""The full proof on a copy or a snapshot, against a sandbox: read, compared, detached, nothing of it left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import runbook_lib
from runbook_lib.procedures import hand_over, prove_copy
from runbook_lib.procedures.observations import POINT_TAG, RUN_TAG
from runbook_lib.procedures.persistence import build_manifest
from runbook_lib.procedures.rollback_points import ROLLBACK, rollback_points


@pytest.fixture(scope="module")
def stopped(sandbox, tmp_path_factory, wait_until):
    """Return an open run whose source is stopped and described; its own host stands for the target's."""
    folder = tmp_path_factory.mktemp("proof")
    document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    run = runbook_lib.open_run(str(file), execute=True)
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    source = run.parameters.source
    run.source_host.run(
        "stop_compose", file=source.compose_file, project=source.compose_project, services=[], run_id=run.run_id
    )
    mount_path = run.parameters.volume.mount_path
    run.source_host.run("write_sentinel", mount_path=mount_path, run_id=run.run_id, content="{}\n")
    run.journal.append("volume", filesystem_uuid="6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10", filesystem_type="ext4")
    build_manifest(run, run.source_host, "manifest-before", "before", root=mount_path, seed=run.run_id)
    yield run
    run.close()


@pytest.fixture
def point(stopped, wait_until):
    """Return a function that takes a rollback point of a kind and returns it when it is complete."""

    def take(kind):
        run, volume_id = stopped, stopped.parameters.volume.volume_id
        tags = {RUN_TAG: run.run_id, POINT_TAG: ROLLBACK, "Name": f"{run.run_id}-{ROLLBACK}"}
        taken = len(rollback_points(run))
        if kind == "volume":
            point_id = run.ebs.copy_volume(volume_id, tags, f"token-{taken}")
        else:
            point_id = run.ebs.create_snapshot(volume_id, "test", tags)
        ready = {"volume": "available", "snapshot": "completed"}[kind]
        found = lambda: [p for p in rollback_points(run) if p["id"] == point_id and p["state"] == ready]  # noqa: E731
        return wait_until(found, f"{point_id} is {ready}")[0]

    return take


def before_of(run, taken):
    """Return what the step observed before it acts."""
    return {"point": taken, "instance_id": run.parameters.source.instance_id}


def after_of(run, taken):
    """Return what the step would observe of this point, without asking ECS."""
    proof = run.journal.last("copy-proof", point_id=taken["id"])
    made = run.ebs.find_volumes({RUN_TAG: run.run_id, POINT_TAG: prove_copy.PROOF})
    attached = taken["kind"] == "volume" and bool(run.ebs.describe_volume(taken["id"])["attachments"])
    return {
        "made": [v["volume_id"] for v in made if v["state"] != "deleting"],
        "attached": attached,
        "proof": proof.fields,
        "proof_seq": proof.seq,
        "expected_sha256": run.journal.last("manifest", phase="before").fields["sha256"],
    }


def failed(after):
    return {c.check_id for c in prove_copy._verify_copy({"proof_seq": 0}, after) if not c.passed}


@pytest.mark.parametrize("kind", ["volume", "snapshot"])
def test_every_byte_of_an_untouched_copy_is_proved_and_nothing_is_left(stopped, point, kind):
    """Copy or snapshot: identical, detached, the volume made of a snapshot deleted, the point itself kept."""
    taken = point(kind)
    prove_copy._prove(stopped, before_of(stopped, taken))

    after = after_of(stopped, taken)
    assert (after["proof"]["sha256"], after["proof"]["reason"]) == (after["expected_sha256"], "")
    assert (after["made"], after["attached"], failed(after)) == ([], False, set())
    assert prove_copy.copy_verdict(stopped) == "identical"
    assert taken["id"] in [p["id"] for p in rollback_points(stopped)]
    mounts = stopped.source_host.run("list_open_files", mount_path="/var/lib/runbook/copy/" + taken["id"])
    assert not mounts["mounted"]


def test_one_changed_byte_of_the_copy_is_named(stopped, point, sandbox):
    """A copy that differs fails, and the step says which file."""
    taken = point("volume")
    victim = sandbox.state_dir / "volumes" / taken["id"] / "fs" / "shared" / "minutes.txt"
    facts = victim.stat()
    victim.write_bytes(b"X" + victim.read_bytes()[1:])
    import os

    os.utime(victim, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    prove_copy._prove(stopped, before_of(stopped, taken))

    after = after_of(stopped, taken)
    assert after["proof"]["difference"]["changed"] == [["shared/minutes.txt", ["sha256"]]]
    assert failed(after) == {"copy-identical"}
    assert prove_copy.copy_verdict(stopped) == "different"
    assert (after["made"], after["attached"]) == ([], False)


def test_a_killed_proof_is_taken_up_where_it_stopped(stopped, point):
    """A volume that was made and attached already is used, not made again, and is gone in the end."""
    taken = point("snapshot")
    volume_id = prove_copy._volume_of(stopped, taken)
    stopped.ebs.attach_volume(volume_id, stopped.parameters.source.instance_id, prove_copy.DEVICE)

    prove_copy._prove(stopped, before_of(stopped, taken))

    after = after_of(stopped, taken)
    assert failed(after) == set()
    assert after["proof"]["sha256"] == after["expected_sha256"]
    with pytest.raises(Exception, match="NotFound"):
        stopped.ebs.describe_volume(volume_id)


def test_what_cannot_be_read_is_said_and_not_taken_for_proved(stopped, point, sandbox):
    """A copy whose host cannot take it is not proved: the reason is recorded, nothing is left, the run goes on."""
    taken = point("volume")
    before = before_of(stopped, taken) | {"instance_id": "i-0123456789abcdef0"}
    prove_copy._prove(stopped, before)

    after = after_of(stopped, taken)
    assert after["proof"]["sha256"] == ""
    assert "AttachVolume" in after["proof"]["reason"]
    assert failed(after) == set()
    assert "not proved" in prove_copy._verify_copy({"proof_seq": 0}, after)[0].observed
    assert not prove_copy._is_proved(after)
    assert prove_copy.copy_verdict(stopped).startswith("not proved: AttachVolume")


def test_changed_blocks_are_reported_or_said_to_be_unknown(stopped, point):
    """Between two snapshots there is a number or a reason; of a copy there is a reason."""
    copy = prove_copy._changed_blocks(stopped, point("volume"))
    assert (copy["bytes"], "not available" in copy["reason"]) == (None, True)
    tags = {RUN_TAG: stopped.run_id, POINT_TAG: "hot"}
    stopped.ebs.create_snapshot(stopped.parameters.volume.volume_id, "hot", tags)
    pair = prove_copy._changed_blocks(stopped, point("snapshot"))
    assert pair["bytes"] is not None or "not available" in pair["reason"]


def test_a_rollback_copy_that_was_deleted_is_made_anew(stopped, wait_until):
    """A client token that was used is answered with the first copy, so the second copy has another one."""
    before = hand_over.observe_rollback_points(stopped) | {"points": [], "policy": "copy_or_snapshot"}

    def take():
        hand_over._create_rollback_point(stopped, before)
        return stopped.journal.last("rollback-point").fields["id"]

    first = take()
    wait_until(lambda: stopped.ebs.describe_volume(first)["state"] == "available", "the copy is available")
    stopped.ebs.delete_volume(first)
    second = take()
    assert second != first
    assert second in [point["id"] for point in rollback_points(stopped)]

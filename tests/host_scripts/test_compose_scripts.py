"""Compose projects and images on hosts: read, stopped so that they stay stopped, started as they were, pulled."""

from __future__ import annotations

import pytest

PROJECT = {"file": "/opt/guestbook/compose.yaml", "project": "guestbook"}


def container(service: str, policy: str = "always", count: int = 0, project: str = "guestbook") -> dict:
    """Return docker's description of a running container of a compose service."""
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service}
    return {
        "Id": f"id-{service}", "Name": f"/{project}-{service}-1", "Image": "sha256:1", "Mounts": [],
        "Config": {"Image": f"registry.sandbox/{service}:1", "Labels": labels},
        "State": {"Status": "running", "Running": True, "Pid": 4, "ExitCode": 0},
        "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": count}},
    }  # fmt: skip


@pytest.fixture
def project(host):
    """Return a host with a compose project of two services, and a stranger."""
    rows = [container("guestbook"), container("mail", "on-failure", 3), container("other", project="stranger")]
    host.change(containers=rows, config={"name": "guestbook", "services": {"guestbook": {"image": "x"}}})
    return host


def states(host) -> dict[str, tuple[str, str, int]]:
    """Return status and restart policy of every container of the host by service."""
    return {
        row["Config"]["Labels"]["com.docker.compose.service"]: (
            row["State"]["Status"], row["HostConfig"]["RestartPolicy"]["Name"],
            row["HostConfig"]["RestartPolicy"]["MaximumRetryCount"],
        )
        for row in host.state()["containers"]
    }  # fmt: skip


def test_the_project_is_read_with_its_containers(project):
    """The resolved configuration and the facts of the project's own containers are returned."""
    facts = project.result("compose_config", **PROJECT)

    assert (facts["format"], facts["command"]) == ("json", ["docker", "compose"])
    assert facts["config"]["services"] == {"guestbook": {"image": "x"}}
    found = {row["service"]: (row["status"], row["restart_policy"]) for row in facts["containers"]}
    assert found == {"guestbook": ("running", "always"), "mail": ("running", "on-failure:3")}


def test_compose_version_1_is_used_where_there_is_no_other(project):
    """Without the compose plugin the stand-alone docker-compose answers, in YAML."""
    project.change(no_compose=True)
    program = project.bin / "docker-compose"
    program.write_text("#!/bin/sh\necho 'services: {guestbook: {image: x}}'\n")
    program.chmod(0o755)

    facts = project.result("compose_config", **PROJECT)

    assert (facts["format"], facts["command"]) == ("yaml", ["docker-compose"])
    assert facts["text"] == "services: {guestbook: {image: x}}\n"


def test_stopped_containers_stay_stopped(project):
    """Restart policies are cleared before the stop, so that no reboot brings a second writer back."""
    result = project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")

    assert {row["status"] for row in result["containers"]} == {"exited"}
    assert result["restart_policies"] == {"id-guestbook": "always", "id-mail": "on-failure:3"}
    policies = {service: state[1] for service, state in states(project).items()}
    assert policies == {"guestbook": "no", "mail": "no", "other": "always"}
    order = [call[1] for call in project.state()["calls"] if call[1] == "update" or "stop" in call]
    assert order == ["update", "compose"]


def test_a_stop_looks_at_the_end_where_asked_to(project, mounted):
    """The look sees the containers as they are after the stop, and the mount."""
    look = {"mount_path": str(mounted), "project": "guestbook"}
    result = project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1", look=look)

    assert {row["status"] for row in result["look"]["containers"]} == {"exited"}
    assert (result["look"]["mounted"], result["look"]["open_files"]) == (True, [])


def with_manifest(path, run_id="r1"):
    """Return the arguments of a stop that takes the manifest and unmounts as well."""
    look = {"mount_path": str(path), "project": "guestbook", "run_id": run_id}
    return {**PROJECT, "services": [], "run_id": run_id, "look": look,
            "manifest": {"run_id": run_id, "name": "before", "root": str(path)}}  # fmt: skip


def test_a_stop_takes_the_manifest_of_what_the_service_left_and_unmounts(project, mounted):
    """The same manifest that a command of its own would take, and the look after the unmount."""
    (mounted / "data.db").write_text("the last write")
    alone = project.result("build_manifest", run_id="r1", name="alone", root=str(mounted))

    result = project.result("stop_compose", **with_manifest(mounted))

    assert (result["manifest"]["files"], result["manifest"]["sha256"]) == (1, alone["sha256"])
    assert (result["look"]["mounted"], result["look"]["open_files"]) == (False, [])
    assert {row["status"] for row in result["look"]["containers"]} == {"exited"}
    changing = [call[0] for call in project.state()["calls"] if call[0] in ("sync", "umount", "blockdev")]
    assert changing[-3:] == ["sync", "umount", "blockdev"]


def test_whoever_did_not_hear_the_answer_asks_again(project, mounted):
    """The run was killed while the host unmounted: the manifest that it missed is told to it, and to no other run."""
    missed = project.result("stop_compose", **with_manifest(mounted))

    look = with_manifest(mounted)["look"]
    assert project.result("list_open_files", **look)["manifest_kept"] is True
    again = project.result("stop_compose", **with_manifest(mounted))
    other = project.result("stop_compose", **with_manifest(mounted, run_id="r2"))

    assert (again["manifest"], again["look"]["mounted"]) == (missed["manifest"], False)
    assert (other["manifest"], len(project.calls("umount"))) == (None, 1)


def test_a_kept_manifest_is_forgotten_when_the_volume_is_mounted_again(project, mounted):
    """From then on somebody may write: what was kept is old, also for the next stop that cannot take a new one."""
    project.result("stop_compose", **with_manifest(mounted))
    mount = {"volume_id": "vol-0123456789abcdef0", "mount_path": str(mounted), "fstype": "ext4", "options": "",
             "device_name": "/dev/sdf", "filesystem_uuid": "6f0d", "wait_s": 0}  # fmt: skip

    assert project.result("mount_volume", **mount)["mounted"] is True

    assert project.result("list_open_files", **with_manifest(mounted)["look"])["manifest_kept"] is False


def test_a_stop_of_a_mounted_volume_forgets_what_was_kept(project, mounted):
    """Mounted by somebody else, held by a writer, unmounted by hand: no manifest of then is told for one of now."""
    project.result("stop_compose", **with_manifest(mounted))
    volume = {"source": "/dev/nvme1n1", "target": str(mounted), "fstype": "ext4", "options": "rw"}
    project.change(mounts=[volume])
    with (mounted / "held.db").open("w"):
        assert project.result("stop_compose", **with_manifest(mounted), closes_s=0.1)["manifest"] is None
    project.change(mounts=[])

    assert project.result("stop_compose", **with_manifest(mounted))["manifest"] is None


def test_what_was_kept_is_forgotten_when_the_service_ran_again(project, mounted):
    """Started by hand after the unmount, it may have written since: no manifest of then is told for one of now."""
    project.result("stop_compose", **with_manifest(mounted))
    project.change(containers=[container("guestbook"), container("mail", "on-failure", 3)])

    assert project.result("stop_compose", **with_manifest(mounted))["manifest"] is None


def test_a_mount_that_stays_fails_the_stop_and_the_next_one_takes_the_manifest_again(project, mounted):
    """What the umount left mounted may be written to: the kept manifest is not used."""
    project.change(stuck=True)
    assert project.refusal("stop_compose", **with_manifest(mounted))["kind"] == "still-mounted"
    project.change(stuck=False)
    (mounted / "late.db").write_text("written after the failed unmount")

    result = project.result("stop_compose", **with_manifest(mounted))

    assert (result["manifest"]["files"], result["look"]["mounted"]) == (1, False)


def test_no_manifest_is_taken_while_somebody_has_a_file_open(project, mounted):
    """The test itself is the process that writes beside the containers: it is named, nothing is hashed or unmounted."""
    with (mounted / "held.db").open("w"):
        result = project.result("stop_compose", **with_manifest(mounted), closes_s=0.3)

    assert (result["manifest"], project.calls("umount")) == (None, [])
    assert str(mounted / "held.db") in {row["path"] for row in result["look"]["open_files"]}


def test_no_manifest_is_taken_of_an_empty_mount_point(project, tmp_path):
    """Without the volume there is nothing to describe; the folder below is not it."""
    assert project.result("stop_compose", **with_manifest(tmp_path))["manifest"] is None


def test_stopping_again_remembers_the_first_policies(project):
    """A second stop does nothing, and does not take its own `no` for the former policy."""
    project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")

    again = project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")

    assert again["restart_policies"]["id-guestbook"] == "always"
    assert len([call for call in project.calls("docker", "compose") if "stop" in call]) == 1


def test_a_container_that_keeps_running_is_told(project):
    """When the stop left a container running, that is an error with its name."""
    docker = project.bin / "docker"
    docker.write_text(docker.read_text().replace("exec", 'case "$*" in *" stop "*) exit 0;; esac\nexec'))

    error = project.refusal("stop_compose", **PROJECT, services=["guestbook"], grace_s=10, run_id="r1")

    assert (error["kind"], "guestbook-guestbook-1" in error["message"]) == ("still-running", True)


def test_a_project_without_containers_is_told(host):
    """A wrong project name is not taken for a stopped service."""
    error = host.refusal("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")

    assert error["kind"] == "no-containers"


def test_the_same_containers_start_with_their_policies(project, mounted):
    """Starting restores each restart policy, and makes no new container."""
    project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")

    arguments = {**PROJECT, "services": [], "run_id": "r1", "mount_path": str(mounted), "wait_s": 5}
    result = project.result("start_compose", **arguments)

    assert result["created"] is False
    assert states(project) == {
        "guestbook": ("running", "always", 0), "mail": ("running", "on-failure", 3), "other": ("running", "always", 0)
    }  # fmt: skip


@pytest.mark.parametrize(("exit_code", "policy", "serves"), [(0, "no", True), (1, "no", False), (0, "always", False)])
def test_a_container_that_ends_well_has_done_its_work(project, mounted, exit_code, policy, serves):
    """One that prepares something and ends is no failed start; one that fails, or that has to run, is."""
    rows = [container("guestbook"), container("prepare", policy)]
    rows[1]["State"].update(Status="exited", Running=False)
    project.change(containers=rows, ends={"id-prepare": exit_code})
    arguments = {**PROJECT, "services": [], "run_id": "r1", "mount_path": str(mounted), "wait_s": 0.1}

    if serves:
        statuses = {row["service"]: row["status"] for row in project.result("start_compose", **arguments)["containers"]}
        assert statuses == {"guestbook": "running", "prepare": "exited"}
    else:
        assert project.refusal("start_compose", **arguments)["kind"] == "not-running"


def test_removed_containers_are_made_anew(project, mounted):
    """Where the containers are gone, compose makes them again, without building or recreating."""
    project.change(containers=[])
    arguments = {**PROJECT, "services": [], "run_id": "r1", "mount_path": str(mounted), "wait_s": 0}

    project.refusal("start_compose", **arguments)

    assert project.calls("docker", "compose", "-p")[-1][6:] == ["up", "-d", "--no-build", "--no-recreate"]


def test_a_service_is_not_started_on_an_empty_folder(project, tmp_path):
    """Without the mounted volume the start is refused before docker is asked for anything."""
    arguments = {**PROJECT, "services": [], "run_id": "r1", "mount_path": str(tmp_path), "wait_s": 5}

    error = project.refusal("start_compose", **arguments)

    assert (error["kind"], project.calls("docker")) == ("not-mounted", [])


def test_a_container_that_gets_sick_is_told_with_its_log(project, mounted):
    """A container that does not become healthy is an error with the end of its log."""
    project.result("stop_compose", **PROJECT, services=[], grace_s=10, run_id="r1")
    project.change(sick=True)

    arguments = {**PROJECT, "services": [], "run_id": "r1", "mount_path": str(mounted), "wait_s": 0.1}
    error = project.refusal("start_compose", **arguments)

    assert (error["kind"], error["details"]["log"]) == ("unhealthy", "the last line\n")


def test_an_image_is_pulled_and_described(host):
    """After the pull the image is there; its configuration is shown without what does not matter."""
    assert host.result("inspect_image", image="x:1")["present"] is False

    pulled = host.result("pull_image", image="x:1", login=None)

    assert (pulled["pulled"], pulled["image_id"]) == (True, "sha256:1")
    assert host.result("inspect_image", image="x:1")["config"] == {"User": "1000"}


def test_an_image_pinned_by_digest_is_pulled_once(host):
    """What a digest names cannot change, so it is not pulled again."""
    image = "x@sha256:" + "0" * 64
    host.result("pull_image", image=image, login=None)

    assert host.result("pull_image", image=image, login=None)["pulled"] is False


def test_a_boot_is_read_as_far_as_it_got(host):
    """The boot facts come back although this machine has none of an ECS host's files."""
    facts = host.result("read_boot")

    assert facts["cloud_init"]["status"] == "done"
    assert (facts["agent"], facts["docker"], facts["plugins"]) == ("active", "active", [])


def test_the_source_host_is_described(host, mounted):
    """Mount, device, filesystem, root, usage and open files of the data volume come in one answer."""
    facts = host.result(
        "inspect_host", mount_path=str(mounted), volume_id="vol-0123456789abcdef0", device_name="/dev/sdf"
    )

    assert facts["device"]["path"] == "/dev/nvme1n1"
    assert (facts["device"]["found_by"], facts["device"]["pttype"]) == ("serial", "")
    assert facts["probe"] == {"type": "ext4", "uuid": "6f0d", "usage": "filesystem"}
    assert facts["mount"]["fstype"] == "ext4"
    assert facts["root"]["mode"] == f"{mounted.stat().st_mode & 0o7777:04o}"
    assert facts["usage"]["free_bytes"] <= facts["usage"]["total_bytes"]
    assert (facts["open_files"], facts["docker_root_on_volume"]) == ([], False)
    assert facts["python"].startswith("3.")


def test_a_docker_root_on_the_volume_is_told(host, mounted):
    """A volume that holds Docker's own files is recognised."""
    host.change(root=f"{mounted}/docker")

    facts = host.result("inspect_host", mount_path=str(mounted), volume_id="vol-1", device_name="")

    assert facts["docker_root_on_volume"] is True


@pytest.mark.parametrize(("asked", "device"), [("/dev/sdf", "/dev/xvdf"), ("/dev/xvdf", "/dev/xvdf")])
def test_a_xen_host_knows_the_device_by_name(asked, device, host, mounted):
    """Without NVMe serials the device is found by its name, sd read as xvd."""
    host.change(
        devices=[{"name": device, "serial": None, "type": "disk", "fstype": "xfs", "size": "9"}], old_lsblk=True
    )

    facts = host.result("inspect_host", mount_path=str(mounted), volume_id="vol-0123456789abcdef0", device_name=asked)

    assert (facts["device"]["path"], facts["device"]["found_by"]) == (device, "device_name")
    assert facts["device"]["size_bytes"] == 9


def test_a_volume_that_is_not_there_is_null(host, tmp_path):
    """Facts about what is not there are null, not errors."""
    facts = host.result("inspect_host", mount_path=str(tmp_path), volume_id="vol-1", device_name="")

    assert (facts["device"], facts["mount"], facts["root"], facts["usage"], facts["probe"]) == (
        None,
        None,
        None,
        None,
        {},
    )

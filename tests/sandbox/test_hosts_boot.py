"""Simulated hosts boot as EC2 instances do: user data, services, power, metadata."""

import json
import textwrap

import pytest
from sandbox.host_world import TestWorld, command, ok, python, wait_for

from runbook_lib.sandbox.metadata import answer


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


def cloud_config(**keys):
    """Return user data."""
    return "#cloud-config\n" + json.dumps(keys)


def boot_log(host):
    """Return what user data printed."""
    return (host.root / "var/log/cloud-init-output.log").read_text()


def test_user_data_writes_files_then_runs_commands(town):
    """write_files and runcmd work, with modes, encodings and argument lists."""
    files = [
        {"path": "/opt/x/plain", "content": "text", "permissions": "0640"},
        {"path": "/opt/x/coded", "content": "aGVsbG8=", "encoding": "b64"},
    ]
    text = (
        "import os; mode = os.stat('/opt/x/plain').st_mode; "
        "print(open('/opt/x/plain').read(), open('/opt/x/coded').read(), oct(mode))"
    )
    host = town.host(cloud_config(write_files=files, runcmd=[["python3", "-c", text]]))
    assert "text hello 0o100640" in boot_log(host)
    assert (host.cloud_init, host.boot_error) == ("done", "")
    assert ok(host, "cloud-init", "status").strip() == "status: done"


def test_bootcmd_runs_before_files_are_written(town):
    """Bootcmd is early: it does not see what write_files writes."""
    text = "import os; print('early', os.path.exists('/opt/late'))"
    host = town.host(
        cloud_config(bootcmd=[["python3", "-c", text]], write_files=[{"path": "/opt/late", "content": ""}])
    )
    assert "early False" in boot_log(host)


def test_failing_user_data_does_not_stop_the_ecs_agent(town):
    """A failed command is reported, and the agent starts all the same when a cluster is named, as on AWS."""
    files = [{"path": "/etc/ecs/ecs.config", "content": "ECS_CLUSTER=books\n"}]
    host = town.host(cloud_config(write_files=files, runcmd=[["python3", "-c", "raise SystemExit(7)"]]))
    assert (host.cloud_init, host.ecs_agent_wanted) == ("error", True)
    assert "exit code 7" in host.boot_error
    assert command(host, "cloud-init", "status").exit_code == 1


def test_host_without_a_cluster_name_runs_no_agent(town):
    """Without ECS_CLUSTER there is no agent."""
    assert not town.host().ecs_agent_wanted


def test_later_commands_run_after_one_that_failed(town):
    """Runcmd goes on after a failure; the last command decides."""
    host = town.host(cloud_config(runcmd=[["false"], ["python3", "-c", "print('went on')"]]))
    assert "went on" in boot_log(host)
    assert host.cloud_init == "done"


@pytest.mark.parametrize("line", ["echo x >> /etc/ecs/ecs.config", "a && b", "cd /tmp; ls"])
def test_command_that_needs_a_shell_is_refused_and_nothing_runs(town, line):
    """User data with a shell command is refused as a whole."""
    host = town.host(cloud_config(write_files=[{"path": "/opt/never", "content": ""}], runcmd=["true", line]))
    assert host.cloud_init == "error"
    assert "needs a shell" in host.boot_error
    assert not (host.root / "opt/never").exists()


def test_shell_script_as_user_data_is_refused(town):
    """The simulated host runs cloud-config only, and says so."""
    host = town.host("#!/bin/bash\necho hello\n")
    assert "#cloud-config" in host.boot_error


def test_unknown_key_of_user_data_is_refused(town):
    """A module that is not simulated is never silently skipped."""
    assert "disk_setup" in town.host(cloud_config(disk_setup={"/dev/sdf": {}})).boot_error


def test_restarting_ecs_in_user_data_deadlocks(town):
    """Systemctl restart ecs waits for the end of user data, which waits for it."""
    host = town.launch(cloud_config(runcmd=[["systemctl", "restart", "ecs"]]))
    events = town.world.state_dir / "events.jsonl"
    wait_for(lambda: "ecs-start-waits-for-user-data" in events.read_text() and host.ssm_online)
    assert (host.booted, host.cloud_init) == (False, "running")
    town.world.stop_instance(host.instance_id, graceful=False)


def test_second_boot_keeps_files_and_runs_user_data_no_more(town):
    """A stopped and started instance keeps its root disk; runcmd was for the first boot."""
    text = "open('/opt/count', 'a').write('x')"
    host = town.host(cloud_config(runcmd=[["python3", "-c", text]]))
    town.world.stop_instance(host.instance_id, graceful=True)
    assert not host.powered
    town.world.start_instance(host.launch)
    wait_for(lambda: host.booted)
    assert ((host.root / "opt/count").read_text(), host.boots) == ("x", 2)


def test_power_cut_ends_every_process_and_forgets_mounts(town):
    """After a power cut nothing of the host runs, nothing is mounted, the device is still attached."""
    host = town.host()
    volume_id = town.volume(host, "/srv/data")
    ok(
        host,
        "docker",
        "run",
        "-d",
        "--name",
        "c",
        "--restart",
        "always",
        "-v",
        "/srv/data:/data",
        "registry.sandbox/files:1.0",
    )
    container = host.engine.inspect("c")
    town.world.stop_instance(host.instance_id, graceful=False)
    assert (container.status, container.exit_code, town.world.is_mounted(volume_id)) == ("exited", 137, False)
    assert host.devices.has(volume_id)
    with pytest.raises(LookupError):
        town.world.run_command(host.instance_id, ["true"], 5)


def test_container_with_restart_always_comes_back_after_a_boot_but_its_fstab_mount_comes_first(town):
    """At boot fstab is mounted before Docker starts containers."""
    host = town.host()
    volume_id = town.volume(host, "/srv/data")
    uuid = town.world.volumes.get(volume_id).fs_uuid
    with (host.root / "etc/fstab").open("a") as fstab:
        fstab.write(f"UUID={uuid} /srv/data ext4 defaults,nofail 0 2\n")
    text = (
        "import os, signal; signal.pthread_sigmask(0, [15]); print(os.listdir('/data'), flush=True); "
        "signal.sigwait([15])"
    )
    argv = [
        "docker",
        "run",
        "-d",
        "--name",
        "c",
        "--restart",
        "always",
        "-v",
        "/srv/data:/data",
        "--entrypoint",
        "python3",
    ]
    ok(host, *argv, "registry.sandbox/files:1.0", "-c", text)
    wait_for(lambda: "lost+found" in host.engine.logs("c"))
    town.world.stop_instance(host.instance_id, graceful=True)
    town.world.start_instance(host.launch)
    wait_for(lambda: host.engine.logs("c").count("lost+found") == 2)


def test_terminated_host_is_gone(town):
    """A terminated host has no folder any more."""
    host = town.host()
    town.world.terminate_instance(host.instance_id)
    assert (host.folder.exists(), host.instance_id in town.world.hosts) == (False, False)


def test_run_command_really_runs_and_returns_what_was_printed(town):
    """SSM commands are processes with output, errors and an exit code."""
    host = town.host()
    text = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    result = town.world.run_command(host.instance_id, [f'exec python3 -c "{text}"'], 10)
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)


def test_run_command_that_takes_too_long_is_killed(town):
    """After its time a command and its children are gone."""
    host = town.host()
    with pytest.raises(TimeoutError):
        town.world.run_command(host.instance_id, ["python3 -c 'import time; time.sleep(60)'"], 0.3)
    assert python(host, "import os; print(sum(p.isdigit() for p in os.listdir('/proc')))") == "1"


def test_unknown_command_ends_with_127(town):
    """A program that a host does not have is not found."""
    result = town.world.run_command(town.host().instance_id, ["mkfs.ext4 /dev/sdf"], 5)
    assert (result.exit_code, "command not found" in result.stderr) == (127, True)


UNIT = """
[Unit]
RequiresMountsFor=/srv/data
{more}
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=WHO=unit
ExecStart=/usr/bin/python3 -c 'import os; print(os.environ["WHO"], os.path.ismount("/srv/data"))'
[Install]
WantedBy=multi-user.target
"""


def unit(text):
    """Return a unit file without indentation."""
    return textwrap.dedent(text)


def test_unit_starts_after_the_mount_it_needs(town):
    """A mount unit is started for a service that requires its path, now and at the next boot."""
    host = town.host()
    volume_id = town.volume(host)
    uuid = town.world.volumes.get(volume_id).fs_uuid
    folder = host.root / "etc/systemd/system"
    (host.root / "srv/data").mkdir()
    (folder / "srv-data.mount").write_text(f"[Mount]\nWhat=/dev/disk/by-uuid/{uuid}\nWhere=/srv/data\nType=ext4\n")
    (folder / "job.service").write_text(unit(UNIT).format(more=""))
    ok(host, "systemctl", "daemon-reload")
    ok(host, "systemctl", "enable", "--now", "job")
    assert ok(host, "systemctl", "is-active", "job", "srv-data.mount").split() == ["active", "active"]
    town.world.stop_instance(host.instance_id, graceful=True)
    town.world.start_instance(host.launch)
    wait_for(lambda: host.booted)
    assert (host.root / "var/log/units/job.service.log").read_text().count("unit True") == 2


def test_unit_fails_with_what_it_requires(town):
    """A service whose requirement fails is not started, and systemctl says so."""
    host = town.host()
    folder = host.root / "etc/systemd/system"
    (folder / "bad.service").write_text("[Service]\nType=oneshot\nExecStart=/usr/bin/false\n")
    (folder / "job.service").write_text(
        "[Unit]\nRequires=bad.service\nAfter=bad.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n"
    )
    result = command(host, "systemctl", "start", "job")
    assert (result.exit_code, "dependency job" in result.stderr) == (1, True)
    assert command(host, "systemctl", "is-active", "job").stdout.strip() == "failed"


def test_ecs_agent_waits_for_what_its_drop_in_requires(town):
    """A drop-in that requires a failing check keeps the agent away, with a cluster named."""
    files = [
        {"path": "/etc/ecs/ecs.config", "content": "ECS_CLUSTER=books\n"},
        {"path": "/etc/systemd/system/check.service", "content": "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n"},
        {
            "path": "/etc/systemd/system/ecs.service.d/check.conf",
            "content": "[Unit]\nRequires=check.service\nAfter=check.service\n",
        },
    ]
    host = town.host(cloud_config(write_files=files, runcmd=[["systemctl", "daemon-reload"]]))
    assert (host.cloud_init, host.ecs_agent_wanted) == ("done", False)


def test_unknown_unit_is_not_found(town):
    """Systemctl start of nothing ends with 5."""
    assert command(town.host(), "systemctl", "start", "nothing").exit_code == 5


def test_metadata_wants_a_token_when_required(town):
    """IMDSv2 answers with a token only; IMDSv1 without one is refused with 401."""
    host = town.host()
    path = "/latest/meta-data/instance-id"
    assert answer(town.world, "GET", path, {}, host.address)[0] == 401
    token = answer(
        town.world, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, host.address
    )[1]
    assert answer(town.world, "GET", path, {"X-aws-ec2-metadata-token": token}, host.address) == (200, host.instance_id)


def test_metadata_without_token_where_it_is_optional(town):
    """A host that allows IMDSv1 answers without a token."""
    host = town.host(http_tokens="optional")
    assert answer(town.world, "GET", "/latest/meta-data/placement/region", {}, host.address) == (200, "us-east-1")

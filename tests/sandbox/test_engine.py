"""The simulated Docker engine: real processes, health, restarts, stops, volumes and their dangers."""

import json
import time
import urllib.request

import pytest
from sandbox.host_world import TestWorld, command, ok, python, wait_for

from runbook_lib.sandbox.containers import ContainerSpec, EngineError, HealthCheck, Mount

GUESTBOOK = "registry.sandbox/guestbook:1.0"
FILES = "registry.sandbox/files:1.0"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


@pytest.fixture(scope="module")
def host(town):
    """Return a booted host."""
    return town.host()


@pytest.fixture
def engine(host):
    """Return the host's engine; containers that a test leaves are removed."""
    yield host.engine
    for container in host.engine.containers():
        host.engine.remove(container.id, force=True)


def get(host, path, port=8080):
    """Return what a service on a host answers."""
    with urllib.request.urlopen(f"http://{host.address}:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def script(text):
    """Return the entrypoint that runs a Python text."""
    return ["python3", "-c", text]


def test_published_port_answers_on_the_hosts_address(host, engine):
    """A container that publishes a port is reached at the host's address and that port."""
    engine.run(ContainerSpec("web", GUESTBOOK, ports=[(8081, 8080)], mounts=[Mount("bind", "/srv/web", "/data")]))
    wait_for(lambda: engine.inspect("web").health == "healthy")
    assert json.loads(get(host, "/entries", 8081)) == {"ids": []}
    assert "Guestbook" in get(host, "/", 8081)


def test_entry_is_on_disk_when_it_is_acknowledged(host, engine):
    """An entry that was answered with 201 survives SIGKILL of the container."""
    mounts = [Mount("bind", "/srv/kept", "/data")]
    engine.run(ContainerSpec("web", GUESTBOOK, ports=[(8080, 8080)], mounts=mounts))
    wait_for(lambda: engine.inspect("web").health == "healthy")
    body = json.dumps({"id": "one", "text": "hello"}).encode()
    with urllib.request.urlopen(f"http://{host.address}:8080/entries", body, timeout=5) as answer:
        assert answer.status == 201
    engine.remove("web", force=True)
    engine.run(ContainerSpec("web", GUESTBOOK, ports=[(8080, 8080)], mounts=mounts))
    wait_for(lambda: engine.inspect("web").health == "healthy")
    assert json.loads(get(host, "/entries")) == {"ids": ["one"]}


def test_second_container_cannot_publish_a_taken_port(engine):
    """A host port belongs to one running container."""
    engine.run(ContainerSpec("one", FILES, ports=[(9000, 80)]))
    with pytest.raises(EngineError, match="port is already allocated"):
        engine.run(ContainerSpec("two", FILES, ports=[(9000, 80)]))


def test_stop_gives_the_grace_period_then_kills(engine):
    """A process that ignores SIGTERM is killed after the grace period, with exit code 137."""
    text = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    container = engine.run(ContainerSpec("stubborn", FILES, entrypoint=script(text), stop_timeout_s=0.3))
    wait_for(lambda: "ready" in engine.logs("stubborn"))
    began = time.monotonic()
    engine.stop("stubborn")
    assert (container.status, container.exit_code, time.monotonic() - began >= 0.3) == ("exited", 137, True)


def test_main_process_without_a_handler_ignores_sigterm(engine):
    """As process 1 a program that does not handle SIGTERM lives until SIGKILL, unless an init is there."""
    text = "import time; print('ready', flush=True); time.sleep(60)"
    for init, code in ((False, 137), (True, 143)):
        container = engine.run(ContainerSpec("plain", FILES, entrypoint=script(text), stop_timeout_s=1, init=init))
        wait_for(lambda: "ready" in engine.logs("plain"))
        engine.stop("plain")
        assert container.exit_code == code
        engine.remove("plain")


def test_clean_stop_ends_with_the_programs_own_code(engine):
    """The guestbook closes its database on SIGTERM and ends with 0."""
    container = engine.run(ContainerSpec("web", GUESTBOOK))
    wait_for(lambda: "serves" in engine.logs("web"))
    engine.stop("web")
    assert (container.exit_code, "closed its database" in engine.logs("web")) == (0, True)


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [("no", 1, False), ("always", 0, True), ("on-failure", 0, False), ("on-failure", 1, True)],
)
def test_restart_policy_decides_after_an_exit(engine, policy, code, restarts):
    """Always restarts every time, on-failure only after an error, no never."""
    container = engine.run(ContainerSpec("c", FILES, entrypoint=script(f"raise SystemExit({code})"), restart=policy))
    if restarts:
        wait_for(lambda: container.restart_count >= 2)
    else:
        wait_for(lambda: container.status == "exited")
        assert container.restart_count == 0


def test_container_stopped_by_hand_is_not_restarted(engine):
    """A stop is a stop, whatever the policy says."""
    container = engine.run(ContainerSpec("c", FILES, restart="always"))
    engine.stop("c")
    assert (container.status, container.restart_count) == ("exited", 0)


def test_update_changes_the_policy_of_a_running_container(host, engine):
    """After docker update --restart=no an exit is final."""
    container = engine.run(ContainerSpec("c", FILES, restart="always"))
    ok(host, "docker", "update", "--restart=no", "c")
    engine.kill("c", 9)
    assert container.wait(("exited",), 10)
    assert json.loads(ok(host, "docker", "inspect", "c"))[0]["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_failing_health_check_makes_a_container_unhealthy(engine):
    """After the given number of failures in a row, and not before, it is unhealthy."""
    check = HealthCheck(["CMD", "false"], interval_s=0.05, timeout_s=1, retries=3)
    container = engine.run(ContainerSpec("c", FILES, health_check=check))
    wait_for(lambda: container.health == "unhealthy")
    assert container.failing_streak >= 3


def test_health_check_of_a_shell_text_runs_in_the_container(engine):
    """test, curl and && work in CMD-SHELL, and see the container's files."""
    text = "test -f /app/wait.py && test ! -e /etc/fstab || exit 1"
    check = HealthCheck(["CMD-SHELL", text], interval_s=0.05, timeout_s=5)
    container = engine.run(ContainerSpec("c", FILES, health_check=check))
    wait_for(lambda: container.health == "healthy")


def test_health_check_that_hangs_counts_as_failed(engine):
    """A probe longer than its time is killed and has failed."""
    check = HealthCheck(["CMD", "sleep", "60"], interval_s=0.05, timeout_s=0.1, retries=1)
    container = engine.run(ContainerSpec("c", FILES, health_check=check))
    wait_for(lambda: container.health == "unhealthy")
    assert "exceeded timeout" in container.health_log[-1]["Output"]


def test_failures_in_the_start_period_do_not_count(engine):
    """Within the start period a container stays starting."""
    check = HealthCheck(["CMD", "false"], 0.02, 1, 1, start_period_s=30, start_interval_s=0.02)
    container = engine.run(ContainerSpec("c", FILES, health_check=check))
    wait_for(lambda: len(container.health_log) >= 4)
    assert container.health == "starting"


def test_unknown_image_cannot_be_pulled(host):
    """The registry says that there is no such manifest."""
    result = command(host, "docker", "pull", "registry.sandbox/guestbook:9.9")
    assert (result.exit_code, "manifest unknown" in result.stderr) == (1, True)


def test_image_pulled_by_digest_is_the_same_image(host, engine):
    """A digest names exactly one image."""
    image = engine.pull(GUESTBOOK)
    by_digest = f"{image.repository}@{image.digest}"
    ok(host, "docker", "pull", by_digest)
    assert json.loads(ok(host, "docker", "image", "inspect", by_digest))[0]["Id"] == image.image_id


def test_an_image_is_removed_only_when_no_container_is_of_it(host, engine):
    """``docker image rm`` names the container that stands in the way; afterwards the image must be pulled again."""
    engine.run(ContainerSpec("c", FILES))
    reference = engine.inspect("c").image
    refused = command(host, "docker", "image", "rm", reference)
    assert (refused.exit_code, "is using its referenced image" in refused.stderr) == (1, True), refused
    ok(host, "docker", "rm", "-f", "c")
    ok(host, "docker", "image", "rm", reference)
    assert engine.image(reference) is None
    assert command(host, "docker", "image", "rm", reference).exit_code == 1


def test_program_that_is_not_in_the_image_fails_as_in_docker(engine):
    """A wrong entrypoint is an error of the start, not a silent success."""
    with pytest.raises(EngineError, match="executable file not found"):
        engine.run(ContainerSpec("c", FILES, entrypoint=["bash"]))
    assert engine.inspect("c").status == "created"


def test_two_containers_cannot_have_one_name(engine):
    """The second container of a name is refused."""
    engine.run(ContainerSpec("c", FILES))
    with pytest.raises(EngineError, match="already in use"):
        engine.create(ContainerSpec("c", FILES))


def test_ps_finds_containers_by_label(host, engine):
    """Filters on labels are joined by and."""
    engine.run(ContainerSpec("a", FILES, labels={"x": "1", "y": "2"}))
    engine.run(ContainerSpec("b", FILES, labels={"x": "1"}))
    line = ok(host, "docker", "ps", "-aq", "--no-trunc", "--filter", "label=x=1", "--filter", "label=y=2")
    assert line.split() == [engine.inspect("a").id]


def test_inspect_of_an_unknown_container_fails(host):
    """Docker inspect ends with 1 and says so."""
    result = command(host, "docker", "inspect", "--type", "container", "nothing")
    assert (result.exit_code, result.stdout.strip(), "No such container" in result.stderr) == (1, "[]", True)


def test_stopped_docker_answers_nothing(town):
    """Without dockerd every docker command fails; its containers come back with it by their policy."""
    host = town.host()
    host.engine.run(ContainerSpec("always", FILES, restart="always"))
    host.engine.run(ContainerSpec("never", FILES))
    ok(host, "systemctl", "stop", "docker")
    assert command(host, "docker", "ps").exit_code == 1
    ok(host, "systemctl", "start", "docker")
    assert {one.name: one.status for one in host.engine.containers()} == {"always": "running", "never": "exited"}


def test_killed_daemon_leaves_no_container_process(tmp_path):
    """When nobody holds the lifeline any more the kernel ends every process of the sandbox."""
    town = TestWorld(tmp_path / "world")
    host = town.host()
    container = host.engine.run(ContainerSpec("c", FILES))
    pid = container.pid
    wait_for(
        lambda: (
            python(
                host, f"import os; print(os.path.exists('/proc/{pid}/fd') and len(os.listdir('/proc/{pid}/fd')) > 3)"
            )
            == "True"
        )
    )
    town.world.lifeline.close()
    assert container.wait(("exited",), 10)
    assert container.exit_code == 137
    town.close()


def test_environment_of_spec_wins_over_the_images(engine):
    """A variable that is given replaces the image's own; the others stay."""
    engine.run(ContainerSpec("c", GUESTBOOK, environment={"PORT": "9999"}))
    wait_for(lambda: "on port 9999" in engine.logs("c"))

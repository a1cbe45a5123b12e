"""Faults of hosts and containers, as SSM, Docker and HTTP show them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

GUESTBOOK = "registry.sandbox/guestbook:1.0"


@pytest.fixture(scope="module")
def host(account):
    """Return an instance whose SSM agent is online."""
    return account.booted(account.running())


@pytest.fixture
def container(account, host, wait_until):
    """Return the name of a healthy guestbook that Docker restarts, published at port 8080 of the host."""
    name = "book"
    account.on_host(host, "docker", "run", "-d", "--name", name, "--restart", "always", "-p", "8080:8080", GUESTBOOK)
    wait_until(lambda: health(account, host, name) == "healthy", "the container is healthy")
    yield name
    account.on_host(host, "docker", "rm", "-f", name)


def inspected(account, host, name):
    """Return what Docker says of a container."""
    return json.loads(account.on_host(host, "docker", "inspect", name)["stdout"])[0]


def health(account, host, name):
    """Return the health of a container."""
    return inspected(account, host, name)["State"]["Health"]["Status"]


def answers(account, host):
    """Say whether the guestbook answers over HTTP within a second."""
    try:
        address = account.instance(host)["PrivateIpAddress"]
        with urllib.request.urlopen(f"http://{address}:8080/health", timeout=1) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def send(account, host):
    """Send a command that prints, and return its id."""
    answer = account.sandbox.client("ssm").send_command(
        InstanceIds=[host], DocumentName="AWS-RunShellScript", Parameters={"commands": ["python3 -c 'print(42)'"]}
    )
    return answer["Command"]["CommandId"]


def status(account, command_id):
    """Return the status of a command."""
    return account.sandbox.client("ssm").list_commands(CommandId=command_id)["Commands"][0]["Status"]


def ping(account, host):
    """Return whether Systems Manager reaches the agent of a host."""
    filters = [{"Key": "InstanceIds", "Values": [host]}]
    found = account.sandbox.client("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
    return found[0]["PingStatus"]


def test_one_command_is_never_delivered(account, host, add_fault, wait_until):
    """The first command stays pending while the next one runs; when the fault is cleared it is delivered."""
    add_fault("ssm-timeout", target=host, times=1)
    first = send(account, host)
    wait_until(lambda: account.sandbox.control("GET", "/_sandbox/faults")["on"][0]["struck"], "the fault has struck")
    second = send(account, host)
    wait_until(lambda: status(account, second) == "Success", "the second command has run")
    assert status(account, first) == "Pending"
    account.sandbox.control("DELETE", "/_sandbox/faults")
    wait_until(lambda: status(account, first) == "Success", "the first command has run")


def test_an_unreachable_host_takes_no_command_and_goes_on(account, host, container, add_fault, wait_until):
    """The agent counts as lost and SendCommand is refused, while the service on the host answers."""
    add_fault("host-unreachable", target=host)
    assert ping(account, host) == "ConnectionLost"
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        send(account, host)
    wait_until(lambda: answers(account, host), "the service answers")
    account.sandbox.control("DELETE", "/_sandbox/faults")
    assert ping(account, host) == "Online"


def test_a_killed_host_comes_back_with_a_reboot(account, add_fault, wait_until):
    """Without power the instance runs on for EC2, impaired; a reboot brings host and agent back."""
    instance_id = account.booted(account.running())
    add_fault("kill-host", target=instance_id)
    assert account.instance(instance_id)["State"]["Name"] == "running"
    shown = lambda: account.ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]  # noqa: E731
    assert shown()["InstanceStatus"]["Status"] == "impaired"
    assert ping(account, instance_id) == "ConnectionLost"
    account.ec2.reboot_instances(InstanceIds=[instance_id])
    wait_until(lambda: shown()["InstanceStatus"]["Status"] == "ok", "the host is well again")
    account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_the_user_data_of_the_next_host_fails(account, add_fault):
    """Its runcmd does not run and cloud-init says error; the host after it boots as it should."""
    add_fault("boot-failure", times=1)
    config = "#cloud-config\n" + json.dumps({"runcmd": [["python3", "-c", "open('/opt/ran', 'w')"]]})
    first = account.booted(account.launch(UserData=config))
    second = account.booted(account.launch(UserData=config))
    call = lambda one, *argv: account.sandbox.control("POST", f"/_sandbox/hosts/{one}/call", {"argv": list(argv)})  # noqa: E731
    assert [call(one, "cloud-init", "status")["exit_code"] for one in (first, second)] == [1, 0]
    found = [call(one, "python3", "-c", "open('/opt/ran')")["exit_code"] for one in (first, second)]
    assert found == [1, 0]
    account.ec2.terminate_instances(InstanceIds=[first, second])


def test_a_full_disk_takes_no_image(account, host, add_fault):
    """The one host that is named has no room; its containers run on."""
    add_fault("full-disk", target=host)
    answer = account.sandbox.control("POST", f"/_sandbox/hosts/{host}/call", {"argv": ["docker", "pull", GUESTBOOK]})
    assert (answer["exit_code"] != 0, "no space left on device" in answer["stderr"]) == (True, True)


@pytest.mark.parametrize("target", ["", GUESTBOOK, "registry.sandbox/rexray-ebs"])
def test_the_registry_refuses_what_the_fault_names(account, host, add_fault, target):
    """Pulls of the target, image or plugin, are refused, and everything without a target; others are served."""
    add_fault("image-pull-error", **({"target": target} if target else {}))
    pulls = {
        GUESTBOOK: ["docker", "pull", GUESTBOOK],
        "registry.sandbox/rexray-ebs": [
            *("docker", "plugin", "install", "--alias", "refused/ebs", "--grant-all-permissions"),
            "registry.sandbox/rexray-ebs:latest",
        ],
    }
    for name, argv in pulls.items():
        answer = account.sandbox.control("POST", f"/_sandbox/hosts/{host}/call", {"argv": argv})
        assert ("toomanyrequests" in answer["stderr"], answer["exit_code"] != 0) == (target in {"", name},) * 2
    account.sandbox.control(
        "POST", f"/_sandbox/hosts/{host}/call", {"argv": ["docker", "plugin", "rm", "-f", "refused/ebs"]}
    )


def test_a_crashed_container_is_restarted_by_its_policy(account, host, container, add_fault, wait_until):
    """Its process is killed; Docker's restart policy starts it again."""
    add_fault("crash", target=host)
    wait_until(lambda: inspected(account, host, container)["RestartCount"] == 1, "the container was restarted")
    wait_until(lambda: answers(account, host), "the service answers again")


def test_a_container_that_crashes_at_each_start_runs_when_the_count_is_used_up(account, host, add_fault, wait_until):
    """Two starts end with 137, the third one stays."""
    add_fault("crash-loop", target=GUESTBOOK, times=2)
    account.on_host(host, "docker", "run", "-d", "--name", "loop", "--restart", "always", GUESTBOOK)
    wait_until(lambda: health(account, host, "loop") == "healthy", "the container runs")
    assert inspected(account, host, "loop")["RestartCount"] == 2
    account.on_host(host, "docker", "rm", "-f", "loop")


def test_an_unhealthy_app_is_healthy_again_when_the_fault_is_cleared(account, host, container, add_fault, wait_until):
    """Probes fail while the service answers; the container's health follows them."""
    add_fault("unhealthy-app", target=container)
    wait_until(lambda: health(account, host, container) == "unhealthy", "the container is unhealthy")
    wait_until(lambda: answers(account, host), "the service answers")
    assert health(account, host, container) == "unhealthy"
    account.sandbox.control("DELETE", "/_sandbox/faults")
    wait_until(lambda: health(account, host, container) == "healthy", "the container is healthy")


def test_a_hung_app_answers_nothing_until_the_fault_is_cleared(account, host, container, add_fault, wait_until):
    """The processes stand still: no answer over HTTP, no restart; they go on afterwards."""
    add_fault("hung-app", target=host)
    assert not answers(account, host)
    assert inspected(account, host, container)["State"]["Status"] == "running"
    account.sandbox.control("DELETE", "/_sandbox/faults")
    wait_until(lambda: answers(account, host), "the service answers again")

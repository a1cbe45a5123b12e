"""A load balancer's target is an instance and a port: two tasks of one host are two targets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from moto.elbv2.exceptions import InvalidTargetError

from runbook_lib.sandbox.patches import elbv2

HOST, FIRST, SECOND = "i-0a", {"Id": "i-0a", "Port": 32768}, {"Id": "i-0a", "Port": 32769}


class Group:
    """What the calls use of moto's target group."""

    port, health_check_port = 8080, "traffic-port"

    def __init__(self):
        self.targets, self.deregistered_targets, self.terminated_targets = {}, {}, {}
        self.ec2_backend = SimpleNamespace(get_instance_by_id=lambda _id: SimpleNamespace(state="running"))

    def ports(self):
        """Return the port of each target, as its health is described."""
        return [elbv2.health_for(self, one, self.ec2_backend).port for one in list(self.targets.values())]


def test_two_tasks_of_one_host_are_two_targets():
    """Each has its own health; one goes, the other stays; the same one twice is one."""
    group = Group()
    elbv2.register(group, [FIRST])
    elbv2.register(group, [SECOND, FIRST])
    assert sorted(group.ports()) == [32768, 32769]
    elbv2.deregister(group, [FIRST])
    assert group.ports() == [32769]
    elbv2.register(group, [FIRST])
    assert sorted(group.ports()) == [32768, 32769]


def test_without_a_port_every_one_of_the_host_goes():
    """So does a host that has ended; what is not registered cannot be taken out."""
    group = Group()
    elbv2.register(group, [FIRST, SECOND])
    elbv2.deregister(group, [{"Id": HOST}])
    assert group.targets == {}
    with pytest.raises(InvalidTargetError):
        elbv2.deregister(group, [FIRST])
    elbv2.register(group, [FIRST, SECOND])
    elbv2.deregister_terminated(group, [HOST])
    assert group.targets == {}

"""The hosts of a target as facts."""

from __future__ import annotations

import pytest

from runbook_lib.adapters.container_hosts import ContainerHosts
from runbook_lib.errors import AwsError


class Nothing:
    """An account without an Auto Scaling group."""

    def call(self, _service, operation, **_arguments):
        assert operation == "describe_auto_scaling_groups"
        return {"AutoScalingGroups": []}


def test_the_machine_image_of_no_group_is_an_error_of_aws():
    """Who looks for drift where the group is gone is told so, and goes on with the other parts."""
    with pytest.raises(AwsError, match="expected the Auto Scaling group wiki with a launch template, found none"):
        ContainerHosts(Nothing(), "wiki").machine_image("wiki")

"""A task of no service runs like any other, but no user's address leads to it."""

import pytest

from tests.sandbox.ecs_town import Town, make_profiles


@pytest.fixture(scope="module")
def profiles(sandbox):
    make_profiles(sandbox)


@pytest.fixture
def town(sandbox, account, wait_until, profiles):
    town = Town(sandbox, account, wait_until)
    yield town
    town.end()


def test_users_reach_a_services_task_and_not_a_stand_alone_one(town, sandbox, wait_until):
    """Both publish the service's port on the host; the client finds the service's task only."""
    instance_id = town.joined()
    town.volume()
    definition = town.define()

    def found():
        return instance_id in {line[3] for line in sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"]}

    arn = town.run(definition, launchType="EC2")
    assert town.ask(town.running(), "GET", "/health")[0] == 200
    assert not found()
    town.ecs.stop_task(cluster=town.name, task=arn)
    town.stopped()
    town.serve(definition)
    assert town.ask(town.running(), "GET", "/health")[0] == 200
    assert found()

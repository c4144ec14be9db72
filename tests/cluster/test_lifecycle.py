"""From YAML to Ready, and back: the main walk of every resource, on a real API server."""

from __future__ import annotations

from tests.cluster.builders import a_build, a_context, from_build
from tests.cluster.world import World


def test_a_build_and_its_deployment_become_ready(world: World) -> None:
    world.apply(a_context(), a_build(), from_build())

    world.wait("AgentBuild", "quote")
    world.wait("AgentDeployment", "quote")

    with world.sdk() as sdk:
        builds, deployments = list(sdk.build.list()), list(sdk.deploy.list())
    assert [one.id for one in builds] == [world.status("AgentBuild", "quote")["buildID"]]
    assert [one.id for one in deployments] == [world.status("AgentDeployment", "quote")["deploymentID"]]

"""Each kind from YAML to Ready and away again, in one process."""

from __future__ import annotations

from agentex_testkit.api_server import gone
from agentex_testkit.builders import a_build, a_context, from_build
from agentex_testkit.harness import Harness


async def test_a_build_and_its_deployment_become_ready_and_go_again(harness: Harness) -> None:
    harness.apply(a_context(), a_build(), from_build())
    await harness.wait("AgentBuild", "quote")
    await harness.wait("AgentDeployment", "quote")
    build, deployment = harness.owner("AgentBuild", "quote"), harness.owner("AgentDeployment", "quote")

    assert [one["id"] for one in harness.remotes(build)] == [harness.status("AgentBuild", "quote")["buildID"]]
    assert [one["status"] for one in harness.living(deployment)] == ["healthy"]

    harness.delete("AgentDeployment", "quote")
    harness.delete("AgentBuild", "quote")
    await harness.wait("AgentDeployment", "quote", gone)
    await harness.wait("AgentBuild", "quote", gone)

    assert (harness.living(build), harness.living(deployment)) == ([], [])
    assert (harness.creates(build), harness.creates(deployment)) == (1, 1)

"""What one operation costs in writes to the API server, and how soon the status shows a step that lasts."""

from __future__ import annotations

import pytest

from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, Kind
from agentex_testkit import builders
from agentex_testkit.api_server import Object, says
from agentex_testkit.harness import Harness

LONGEST = 11.0  # seconds; two polls of the account, and the spread of due times
WISHES = {
    "build": (AGENT_BUILD, builders.a_build("quote")),
    "deployment": (AGENT_DEPLOYMENT, builders.a_deployment("quote", buildRef={"name": "quote"})),
}


@pytest.mark.parametrize(("kind", "wish"), WISHES.values(), ids=WISHES)
async def test_an_operation_shorter_than_two_polls_costs_four_writes_and_two_events(
        harness: Harness, kind: Kind, wish: Object) -> None:
    harness.apply(builders.a_context("quote"))
    if kind is AGENT_DEPLOYMENT:
        harness.apply(builders.a_build("quote"))
        await harness.wait("AgentBuild", "quote")

    harness.apply(wish)
    await harness.wait(kind.kind, "quote")
    await harness.advance(60)

    assert len(harness.cluster.writes(kind, "quote")) == 4  # the finalizer, the intent, the id, the end
    assert len([one for one in harness.cluster.events("quote") if one["regarding"]["kind"] == kind.kind]) == 2


async def test_a_build_that_lasts_is_shown_as_building_two_polls_after_its_start(harness: Harness) -> None:
    harness.apply(builders.a_context("quote", builders.STUCK), builders.a_build("quote"))
    await harness.wait("AgentBuild", "quote", says("Ready", "Unknown", "Queued"))
    began = harness.clock.seconds

    await harness.wait("AgentBuild", "quote", says("Ready", "Unknown", "Building"))

    assert harness.clock.seconds - began <= LONGEST
    assert harness.status("AgentBuild", "quote")["remoteStatus"] == "running"
    assert len(harness.cluster.writes(AGENT_BUILD, "quote")) == 4

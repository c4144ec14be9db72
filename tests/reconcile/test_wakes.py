"""Which objects wake which: resources that wait for a build or an account have a pass as soon as that one changes.

The operator looks at nothing again by itself: only a wake makes these resources Ready in time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.reconcile.conftest import MakeHarness

from agentex_testkit.builders import a_build, a_context, a_secret, an_account, an_image, from_build
from agentex_testkit.harness import TEAM, Harness

OPERATORS = "agentex-system"
SOON = 30.0  # seconds
NEVER = timedelta(days=100)


@pytest.fixture
async def harness(make_harness: MakeHarness) -> AsyncIterator[Harness]:
    """A running operator that looks at nothing again by itself, and no account."""
    harness = make_harness(resync=NEVER, reference_resync=NEVER)
    async with harness.running():
        yield harness


def dependents(harness: Harness, kind: str, namespace: str | None, name: str) -> set[tuple[str, str]]:
    assert harness.engine is not None
    return {(view.kind, view.name) for view in harness.engine.dependents(kind, namespace, name)}


async def test_a_deployment_is_woken_by_the_build_that_it_waits_for(harness: Harness) -> None:
    await harness.with_account()
    harness.apply(a_context(), from_build())
    await harness.settled()

    harness.apply(a_build())

    await harness.wait("AgentDeployment", "quote", within=SOON)


@pytest.mark.parametrize(("name", "ref"), [("default", None), ("ours", {"name": "ours"})])
async def test_a_build_is_woken_by_the_account_that_it_waits_for(
        harness: Harness, name: str, ref: dict[str, str] | None) -> None:
    harness.apply(a_secret(), an_image(accountRef=ref))
    await harness.settled()

    harness.apply(an_account(harness.simulator.url, name))

    await harness.wait("AgentBuild", "quote", within=SOON)


@pytest.mark.parametrize("ref", [None, {"kind": "ClusterAgentexAccount", "name": "shared"}])
async def test_a_build_is_woken_by_the_cluster_account_that_it_waits_for(
        harness: Harness, ref: dict[str, str] | None) -> None:
    harness.apply(an_image(accountRef=ref))
    harness.cluster.create(a_secret(), OPERATORS)
    await harness.settled()

    harness.cluster.create(
        an_account(harness.simulator.url, "shared", "ClusterAgentexAccount", default=True), None)

    await harness.wait("AgentBuild", "quote", within=SOON)


async def test_every_kind_is_indexed_by_what_it_refers_to(harness: Harness) -> None:
    await harness.with_account()
    harness.apply(a_context(), a_build(), from_build())
    await harness.settled()
    both = {("AgentBuild", "quote"), ("AgentDeployment", "quote")}

    assert dependents(harness, "AgentexAccount", TEAM, "default") == both
    assert dependents(harness, "ConfigMap", TEAM, "quote") == both
    assert dependents(harness, "AgentBuild", TEAM, "quote") == {("AgentDeployment", "quote")}
    assert dependents(harness, "Secret", TEAM, "agentex") == {("AgentexAccount", "default")}

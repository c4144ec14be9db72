"""A kind and a source that the operator does not know are registered, and walk to Ready; no file of it is touched."""

from __future__ import annotations

from dataclasses import replace

from tests.reconcile.conftest import MakeHarness
from tests.reconcile.toy_kind import REGISTRATION, SCHEMA, TOY
from tests.sources.test_source_registration import ToySourceKind

from agentex_operator.bootstrap import BUILT_IN_KINDS
from agentex_operator.kube.kinds import AGENT_BUILD
from agentex_operator.sources.registry import BUILT_IN
from agentex_testkit.api_server import gone
from agentex_testkit.builders import a_build
from agentex_testkit.fake_cluster.served import Served
from agentex_testkit.harness import Harness

WITH_TOYS = replace(BUILT_IN_KINDS, resources=(*BUILT_IN_KINDS.resources, REGISTRATION))


def a_toy(name: str = "bear") -> dict[str, object]:
    return {"apiVersion": "agentex.scale.com/v1alpha1", "kind": "Toy", "metadata": {"name": name},
            "spec": {"agent": name, "image": f"registry.example/{name}:1"}}


def with_toys(make_harness: MakeHarness) -> Harness:
    return make_harness(registry=WITH_TOYS, served=(Served(TOY, SCHEMA),))


async def test_a_registered_kind_walks_to_ready_and_is_created_once(make_harness: MakeHarness) -> None:
    harness = with_toys(make_harness)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_toy())
        await harness.wait("Toy", "bear")

    registered = [one["id"] for one in harness.simulator.state()["builds"]]
    assert registered == [harness.status("Toy", "bear")["toyID"]]


async def test_a_registered_kind_goes_when_it_is_deleted(make_harness: MakeHarness) -> None:
    harness = with_toys(make_harness)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_toy())
        await harness.wait("Toy", "bear")
        harness.delete("Toy", "bear")

        await harness.wait("Toy", "bear", gone)


async def test_a_registered_kind_is_woken_by_its_account(make_harness: MakeHarness) -> None:
    harness = with_toys(make_harness)
    async with harness.running():
        harness.apply(a_toy())
        await harness.settled()
        before = harness.status("Toy", "bear")["conditions"][0]["reason"]
        await harness.with_account()

        await harness.wait("Toy", "bear", within=30)

    assert before == "AccountNotFound"


async def test_a_build_from_a_registered_source_walks_to_ready(make_harness: MakeHarness) -> None:
    registry = replace(BUILT_IN_KINDS, sources=(*BUILT_IN, ToySourceKind()))
    harness = make_harness(registry=registry, served=(Served(AGENT_BUILD, SCHEMA),))
    async with harness.running():
        await harness.with_account()
        build = a_build()
        build["spec"]["source"] = {"toy": {"main": "print('toy')"}}
        harness.apply(build)
        await harness.wait("AgentBuild", "quote")

    assert harness.creates(harness.owner("AgentBuild", "quote")) == 1

"""Idle resources: what a resync interval costs when nothing happens, counted over many resources, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agentex_operator.bootstrap import Registry
from agentex_operator.kube.kinds import CONFIG_MAP
from agentex_operator.reconcile.build import AGENT_BUILDS
from agentex_operator.reconcile.deployment import AGENT_DEPLOYMENTS
from agentex_operator.reconcile.registration import Registration
from agentex_testkit import builders
from agentex_testkit.api_server import Object, ready
from agentex_testkit.harness import Harness

AGENTS, BUILDS, IMAGES, DEPLOYMENTS = 10, 90, 20, 10
RESOURCES = BUILDS + IMAGES + DEPLOYMENTS
INTERVALS = 2
IDLE = INTERVALS * 300.0  # seconds; --resync is 300

pytestmark = pytest.mark.exhaustive


@dataclass
class Parses:
    """How often a resource of each name was parsed: each pass begins with that."""

    of: Counter[str] = field(default_factory=Counter)

    def counted(self, registration: Registration[Any]) -> Registration[Any]:
        """The registration of a kind, counted."""

        def parse(obj: Mapping[str, Any]) -> Any:
            self.of[obj["metadata"]["uid"]] += 1
            return registration.parse(obj)

        return replace(registration, parse=parse)


@pytest.fixture
def parses() -> Parses:
    return Parses()


@pytest.fixture
def make(make_harness: Callable[..., Harness], parses: Parses) -> Harness:
    return make_harness(registry=Registry(resources=(parses.counted(AGENT_BUILDS), parses.counted(AGENT_DEPLOYMENTS))))


def resources() -> Iterator[Object]:
    for number in range(BUILDS):
        yield {**builders.a_build(f"agent-{number % AGENTS}"), "metadata": {"name": f"build-{number}"}}
    for number in range(IMAGES):
        yield builders.an_image(f"image-{number}")
    for number in range(DEPLOYMENTS):
        deployment = builders.a_deployment(f"agent-{number}", buildRef={"name": f"build-{number}"})
        yield {**deployment, "metadata": {"name": f"deployment-{number}"}}


async def at_rest(harness: Harness) -> None:
    """All resources, Ready for a minute."""
    await harness.with_account()
    for number in range(AGENTS):
        harness.apply(builders.a_context(f"agent-{number}"))
    for number, resource in enumerate(resources()):
        harness.apply(resource)
        if number % 20 == 0:
            await harness.settled()
    await harness.until(lambda: all(ready(harness.get(one["kind"], one["metadata"]["name"])) for one in resources()))
    await harness.advance(60)


async def test_an_idle_resource_has_one_pass_in_a_resync_interval_and_its_config_map_is_not_read_again(
        make: Harness, parses: Parses) -> None:
    async with make.running():
        await at_rest(make)
        parses.of.clear()
        version, requests = make.cluster.store.version, len(make.cluster.fake_api.requests)

        await make.advance(IDLE)

        made = make.cluster.fake_api.requests[requests:]
        assert len(parses.of) == RESOURCES
        assert max(parses.of.values()) <= INTERVALS
        assert not [one for one in made if one.kind == CONFIG_MAP and one.verb == "get"]
        assert make.cluster.store.version == version

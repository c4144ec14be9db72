"""Cost grows with the records that are listed, not with the square of the resources: counted, not timed.

The sizes of pages and of the cache are scaled down with the number of resources, so that an account is far larger than
the cache, as an account of ten thousand builds is in production.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agentex_operator.agentex.inventory import ListSizes
from agentex_operator.bootstrap import Registry
from agentex_operator.kube.kinds import AGENT_BUILD, EVENT, Kind
from agentex_testkit import builders
from agentex_testkit.api_server import ready
from agentex_testkit.fake_cluster.requests import WRITES
from agentex_testkit.harness import Harness

BUILDS = 300
AGENTS = 12
SIZES = ListSizes(page=30, capacity=60)
PAGES = math.ceil(BUILDS / SIZES.page)  # of a listing of all records
SETTLED = 60  # seconds after which the account's status shows the present counts
LIST, CREATE = "GET /v5/builds", "POST /v5/builds"

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def make(make_harness: Callable[..., Harness]) -> Harness:
    return make_harness(registry=Registry(list_sizes=SIZES))


@dataclass
class Count:
    """What was asked of the remote API, and written to the cluster, since it was made."""

    harness: Harness

    def __post_init__(self) -> None:
        self._calls, self._version = self._calls_now(), self.harness.cluster.store.version
        self._writes = self._writes_now()

    def _calls_now(self) -> Counter[str]:
        return Counter(f"{one['method']} {one['template']}" for one in self.harness.simulator.calls())

    @property
    def calls(self) -> Counter[str]:
        """Remote calls by method and template."""
        return self._calls_now() - self._calls

    def writes_of(self, kind: Kind) -> int:
        """The operator's requests that were to change objects of this kind."""
        return self._writes_now()[kind] - self._writes[kind]

    def _writes_now(self) -> Counter[Kind]:
        return Counter(one.kind for one in self.harness.cluster.fake_api.requests if one.verb in WRITES)

    @property
    def writes(self) -> int:
        """Versions that the storage of the cluster has given."""
        return self.harness.cluster.store.version - self._version


async def with_account(harness: Harness) -> None:
    """An account whose rate lets all calls of one moment through: the clock of the harness stands still meanwhile."""
    limits = {"requestsPerSecond": 1000}
    harness.apply(builders.a_secret(), builders.an_account(harness.simulator.url, pollInterval="5s", limits=limits))
    await harness.wait("AgentexAccount", "default")


async def built(harness: Harness) -> None:
    """All builds, applied at once, and Ready."""
    for number in range(AGENTS):
        harness.apply(builders.a_context(f"agent-{number}"))
    for number in range(BUILDS):
        harness.apply({**builders.a_build(f"agent-{number % AGENTS}"), "metadata": {"name": f"build-{number}"}})
    left = [f"build-{number}" for number in range(BUILDS)]

    def all_are_ready() -> bool:
        while left and ready(harness.get("AgentBuild", left[-1])):
            left.pop()
        return not left

    await harness.until(all_are_ready)


async def test_builds_applied_at_once_cost_one_create_each_and_the_pages_of_what_is_in_flight(make: Harness) -> None:
    async with make.running():
        await with_account(make)
        counted, began = Count(make), make.clock.seconds

        await built(make)

        polls = (make.clock.seconds - began) / 5
        assert counted.calls[CREATE] == BUILDS
        assert counted.calls[LIST] <= (polls + 1) * PAGES
        assert counted.calls.total() == counted.calls[CREATE] + counted.calls[LIST]
        assert counted.writes_of(AGENT_BUILD) <= 5 * BUILDS  # finalizer, intent, id, end; some wait for a new agent
        assert counted.writes_of(EVENT) <= 2.5 * BUILDS  # of the start and of the end


async def test_a_restart_costs_one_listing_and_no_write(make: Harness) -> None:
    async with make.running():
        await with_account(make)
        await built(make)
        await make.advance(SETTLED)
    counted = Count(make)

    async with make.running():
        await make.advance(60)

        assert counted.calls[LIST] <= PAGES + 2
        assert counted.writes == 0


async def test_ten_idle_minutes_cost_a_listing_in_five_and_no_write(make: Harness) -> None:
    async with make.running():
        await with_account(make)
        await built(make)
        await make.advance(SETTLED)
        counted = Count(make)

        await make.advance(600)

        assert counted.calls[LIST] <= 3 * (PAGES + 1)
        assert counted.calls.total() == counted.calls[LIST]
        assert counted.writes == 0

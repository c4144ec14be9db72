"""The real client against the real simulator; one simulator per file, an empty world per test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentex_operator.agentex.build_records import BUILDS, builds_of
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.deployment_records import DEPLOYMENTS
from agentex_operator.agentex.gate import Rate
from agentex_operator.agentex.inventory import Inventory
from agentex_operator.agentex.keys import ApiKey
from agentex_operator.agentex.session import AccountAddress, AccountSession
from agentex_operator.agentex.watch_request import WatchRequest
from agentex_operator.clock import Clock
from agentex_operator.core.ownership import deployment_token, derived_tag, owner_of, with_token
from agentex_operator.core.remote import BuildRecord, BuildRequest, DeploymentRequest
from agentex_operator.network.connections import Routes
from agentex_simulator import Settings, SimulatorThread
from agentex_testkit.clocks import HandClock

CANARY = "canary-key-5f0c1b7e94a24d0d"
ROUTES = Routes()  # reading the public certificates takes as long as many calls
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ENVIRONMENT = "schema_version: v1\nenvironments:\n  dev:\n    kubernetes: {namespace: team-dev}\n"
PATIENCE = 5.0
Connect = Callable[..., AccountSession]


class Woken(list[str]):
    """Who was woken, in order."""

    def taken(self) -> list[str]:
        """Since last asked."""
        taken, self[:] = sorted(self), []
        return taken


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatorThread]:
    with SimulatorThread(Settings(accounts=(("acct-1", CANARY),), max_archive=1_000_000, time_scale=1000)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: SimulatorThread) -> SimulatorThread:
    running.reset()
    return running


@pytest.fixture
async def connect(simulator: SimulatorThread) -> AsyncIterator[Connect]:
    """A session for the simulator's account; a test says what is different."""
    async with AsyncExitStack() as stack:

        def session(**wish: Any) -> AccountSession:
            address = AccountAddress(wish.pop("endpoint", simulator.url), wish.pop("account_id", "acct-1"), True)
            key = ApiKey(wish.pop("api_key", CANARY))
            usual = {"kinds": (BUILDS, DEPLOYMENTS), "clock": Clock(),
                     "jitter": lambda: 0.5, "wake": lambda _uid: None, "rate": Rate(1000, 1000)}
            made = AccountSession(address, key, routes=ROUTES, **{**usual, **wish})
            stack.push_async_callback(made.stop)
            return made

        yield session


@pytest.fixture
def session(connect: Connect) -> AccountSession:
    return connect()


@pytest.fixture
def client(session: AccountSession) -> AgentexClient:
    return session.client


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def inventory(client: AgentexClient, clock: HandClock, woken: Woken) -> Inventory[BuildRecord]:
    return Inventory(builds_of(client), clock, lambda: 0.5, woken.append)


def a_build(name: str = "bot", attempt: int = 1, **wish: Any) -> BuildRequest:
    """An image registered for a new agent: successful at once."""
    usual = {"image_name": name, "image_tag": derived_tag("d" * 64, owner(name), attempt),
             "image_url": "elsewhere.invalid/bot:1"}
    agent = {} if "agent_id" in wish else {"agent_name": name}
    return BuildRequest(**{**usual, **agent, **wish})


def a_deployment(build_id: str, uid: str = "uid-1", agent: str = "bot", **wish: Any) -> DeploymentRequest:
    text = wish.pop("manifest_file", with_token(a_manifest(agent), deployment_token("cluster", uid, "c" * 64, 1)))
    return DeploymentRequest(manifest_file=text, environment_config=ENVIRONMENT, build_id=build_id, **wish)


def a_manifest(agent: str = "bot") -> str:
    return (
        "build: {context: {root: ., dockerfile: Dockerfile}}\n"
        f"agent: {{name: {agent}, acp_type: sync, description: 'simulate: stuck'}}\n"
    )


def owner(uid: str) -> str:
    return owner_of("cluster", uid)


def a_request(uid: str, *ids: str, **wish: Any) -> WatchRequest:
    usual = {"owner": owner(uid), "ids": frozenset(ids), "back_to": LONG_AGO, "every": timedelta(seconds=5)}
    return WatchRequest(**{**usual, **wish})


async def some_builds(client: AgentexClient, *names: str) -> list[BuildRecord]:
    """One build for each of these new agents, oldest first."""
    return [await client.create_build(a_build(name), None) for name in names]


def lists(simulator: SimulatorThread, path: str = "/v5/builds") -> int:
    return sum(call["method"] == "GET" and call["path"] == path for call in simulator.calls())


def posts(simulator: SimulatorThread, path: str = "/v5/builds") -> int:
    return sum(call["method"] == "POST" and call["path"] == path for call in simulator.calls())


async def until(holds: Callable[[], object]) -> None:
    """Wait, in real time, for something that happens elsewhere."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.005)

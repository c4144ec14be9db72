"""The addresses of accounts: checked at each connection, on the addresses that are connected to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from tests.sources.hostile_addresses import PRIVATE
from tests.sources.servers import Server, serving

from agentex_operator.agentex.gate import Rate
from agentex_operator.agentex.keys import ApiKey
from agentex_operator.agentex.session import AccountAddress, AccountSession
from agentex_operator.clock import Clock
from agentex_operator.core.errors import InvalidInput, Unavailable
from agentex_operator.network.connections import Routes
from agentex_operator.network.trust import Trust

TRUST = Trust()
LINK_LOCAL = ("169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1")
OF_CLOUDS = ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "64:ff9b::6464:64c8")
Connect = Callable[..., AccountSession]


@dataclass
class Names:
    """The DNS: each question has the next answer, and the last one for ever."""

    answers: list[Sequence[str]] = field(default_factory=list)

    async def resolve(self, _host: str, _port: int) -> Sequence[str]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def answer(_request: web.Request) -> web.Response:
    return web.json_response({"items": [], "has_more": False})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(answer) as made:
        yield made


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def session(endpoint: str, *answers: Sequence[str], may_be_private: bool = False) -> AccountSession:
            made = AccountSession(
                AccountAddress(endpoint, "acct-1", may_be_private), ApiKey("key-1"), kinds=(), clock=Clock(),
                routes=Routes(TRUST, resolve=Names(list(answers)).resolve), jitter=lambda: 0.5,
                wake=lambda _uid: None, rate=Rate(1000, 1000))
            stack.push_async_callback(made.stop)
            return made

        yield session


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_to_a_private_address_is_refused(connect: Connect, address: str) -> None:
    with pytest.raises(InvalidInput, match="HOST:PORT") as caught:
        await connect("https://agentex.example.com", [address]).client.probe()

    assert caught.value.reason == "EndpointNotAllowed"


async def test_one_private_address_among_public_ones_is_enough_to_refuse(connect: Connect) -> None:
    with pytest.raises(InvalidInput, match="not public"):
        await connect("https://agentex.example.com", ["93.184.215.14", "10.0.0.1"]).client.probe()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "localhost", "agentex", "agentex.team.svc",
                                  "agentex.corp", "metadata.google.internal"])
async def test_a_host_inside_is_refused_without_a_question_to_the_dns(connect: Connect, host: str) -> None:
    with pytest.raises(InvalidInput):
        await connect(f"https://{host}").client.probe()


@pytest.mark.parametrize("address", LINK_LOCAL + OF_CLOUDS)
async def test_an_address_with_credentials_of_a_node_is_refused_even_for_administrators(
    connect: Connect, address: str
) -> None:
    with pytest.raises(InvalidInput):
        await connect("https://agentex.intern", [address], may_be_private=True).client.probe()


async def test_an_administrators_endpoint_may_be_private_and_is_asked_by_its_name(
    connect: Connect, server: Server
) -> None:
    session = connect(f"http://agentex.intern:{server.port}", ["127.0.0.1"], may_be_private=True)

    await session.client.probe()

    assert [path for path, _ in server.asked] == ["/v5/builds"]


async def test_an_address_that_changes_between_two_connections_is_checked_anew(
    connect: Connect, server: Server
) -> None:
    session = connect(f"http://agentex.intern:{server.port}", ["127.0.0.1"], ["169.254.169.254"], may_be_private=True)
    await session.client.probe()

    with pytest.raises(InvalidInput):
        await session.client.probe()

    assert len(server.asked) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer(connect: Connect, server: Server) -> None:
    session = connect(f"http://agentex.intern:{server.port}", ["127.0.0.2", "127.0.0.1"], may_be_private=True)

    await session.client.probe()

    assert len(server.asked) == 1


@pytest.mark.parametrize("answers", [[], ["no address"]])
async def test_a_name_without_a_usable_answer_is_tried_again(connect: Connect, answers: list[str]) -> None:
    with pytest.raises(Unavailable):
        await connect("https://agentex.example.com", answers).client.probe()


async def test_a_call_that_waits_for_the_dns_when_the_session_stops_is_not_sent(server: Server) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        asked.set()
        await answered.wait()
        return ["127.0.0.1"]

    address = AccountAddress(f"http://agentex.intern:{server.port}", "acct-1", may_be_private=True)
    session = AccountSession(address, ApiKey("key-1"), kinds=(), clock=Clock(), routes=Routes(TRUST, resolve=resolve),
                             jitter=lambda: 0.5, wake=lambda _uid: None)
    call = asyncio.create_task(session.client.probe())
    await asked.wait()
    await session.stop()
    answered.set()

    with pytest.raises(Unavailable):
        await call
    assert server.asked == []

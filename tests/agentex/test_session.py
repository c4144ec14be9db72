"""One account's session: names of agents, rotation, start and stop, and no word about its key."""

from __future__ import annotations

import logging
import traceback
from datetime import timedelta

import httpx
import pytest
from tests.agentex.conftest import (
    CANARY,
    ROUTES,
    Connect,
    Woken,
    a_build,
    a_deployment,
    a_request,
    lists,
    some_builds,
    until,
)

from agentex_operator.agentex.agent_names import AgentNames
from agentex_operator.agentex.build_records import BUILDS
from agentex_operator.agentex.client import Deadlines
from agentex_operator.agentex.keys import ApiKey
from agentex_operator.agentex.session import AccountAddress, AccountSession
from agentex_operator.agentex.transport import http_client
from agentex_operator.clock import Clock
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady, Unavailable
from agentex_simulator import SimulatorThread


def test_one_uid_at_a_time_may_create_an_agent() -> None:
    names = AgentNames()

    assert names.claim("bot", "first")
    assert names.claim("bot", "first")
    assert not names.claim("bot", "second")
    assert names.claim("other", "second")

    names.release("first")
    assert names.claim("bot", "second")


def test_an_agent_that_exists_needs_no_claim() -> None:
    names = AgentNames()
    names.claim("bot", "first")

    names.learn("bot", "id-1")

    assert names.known("bot") == "id-1"
    assert names.known("other") is None


async def test_a_session_polls_between_start_and_stop(simulator: SimulatorThread, connect: Connect) -> None:
    woken = Woken()
    session = connect(wake=woken.append)
    (build,) = await some_builds(session.client, "bot")
    await session.start()
    session.inventory(BUILDS).follow("uid", a_request("bot", build.id, every=timedelta(milliseconds=50)))
    await until(lambda: woken.taken() == ["uid"])

    simulator.actor("set-status", id=build.id, status="odd")
    await until(lambda: woken.taken() == ["uid"])
    await session.stop()
    stopped = lists(simulator)
    await session.stop()

    assert lists(simulator) == stopped


async def test_a_changed_key_is_used_at_once_and_cached_records_stay(
    simulator: SimulatorThread, connect: Connect
) -> None:
    session = connect()
    (build,) = await some_builds(session.client, "bot")
    request = a_request("bot", every=timedelta(minutes=5))
    await session.inventory(BUILDS).find(request, fresh_since=None)
    simulator.set_keys("acct-1", "key-2")

    assert session.rekey(ApiKey("key-2"))
    assert not session.rekey(ApiKey("key-2"))
    await session.client.probe()
    shown = await session.inventory(BUILDS).find(request, fresh_since=None)

    assert shown.records == (build,)
    assert lists(simulator) == 2


@pytest.mark.parametrize(
    "endpoint",
    ["", "ftp://x", "https://", "https://u:p@x", "https://x?y", "not a url", "http://a b", "http://x:99999"],
)
def test_an_endpoint_that_cannot_be_used_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidInput):
        AccountSession(
            AccountAddress(endpoint, "a"), ApiKey("key-1"), kinds=(BUILDS,), clock=Clock(), jitter=lambda: 0,
            wake=Woken().append, routes=ROUTES,
        )


@pytest.mark.parametrize("text", ["", " \n", f"{CANARY}\r\nx-evil: 1", f"{CANARY}\0", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_appearing_in_the_message(text: str) -> None:
    with pytest.raises(NotReady) as refused:
        ApiKey(text)

    assert CANARY not in "".join(traceback.format_exception(refused.value))


async def test_a_prefix_of_the_endpoint_is_kept(connect: Connect) -> None:
    with pytest.raises(Unavailable, match="GET /v5/builds"):
        await connect(endpoint="http://127.0.0.1:1/public/").client.probe()


async def test_no_cookie_is_kept_and_no_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with http_client(ROUTES, ROUTES.trust.context, may_be_private=False) as http:
        answered = httpx.Response(200, headers={"Set-Cookie": "a=b"}, request=httpx.Request("GET", "http://x/"))
        http.cookies.extract_cookies(answered)

        assert not http.trust_env
        assert not http.follow_redirects
        assert list(http.cookies.jar) == []


async def test_the_key_appears_only_in_the_request(
    simulator: SimulatorThread, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = connect(deadlines=Deadlines(read=0.2, create=0.2))
    (build,) = await some_builds(session.client, "bot")
    echo = {"detail": f"bad key {CANARY}"}
    said = []
    for kind, script in (
        ("status", {"status": 422, "body": echo}),
        ("status", {"status": 500, "body": echo}),
        ("status", {"status": 429, "body": echo}),
        ("status", {"status": 409, "body": f"<html>{CANARY}</html>"}),
        ("redirect", {"location": "http://elsewhere.invalid/"}),
        ("outage", {"mode": "rst"}),
        ("truncated", {}),
        ("slow", {"header_delay": 1}),
        ("status", {"status": 401, "body": echo}),
    ):
        simulator.fault(kind, **script)
        with pytest.raises(ExternalError) as raised:
            await session.client.create_deployment(a_deployment(build.id))
        said += [repr(raised.value), *traceback.format_exception(raised.value)]
        simulator.clear_faults()

    said += [repr(vars(part)) for part in (session, session.client, session.gate, session.client._transport)]
    said += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert len(said) > 50
    assert not [text for text in said if CANARY in text]
    assert any(call["account"] == "acct-1" for call in simulator.calls())


async def test_a_server_that_quotes_the_key_in_a_header_is_not_quoted(
    simulator: SimulatorThread, connect: Connect
) -> None:
    simulator.fault("redirect", location=f"http://elsewhere.invalid/?key={CANARY}")

    with pytest.raises(Unavailable, match=r"key=\[redacted\]"):
        await connect().client.probe()


async def test_a_server_that_quotes_the_key_in_a_good_answer_is_not_quoted(
    simulator: SimulatorThread, connect: Connect
) -> None:
    said = {"id": "d-1", "status": "DEPLOYING", "helm_release_name": f"x {CANARY}",
            "deploy_events": [{"type": "Warning", "reason": "Failed", "message": f"x-api-key {CANARY} is refused"}]}
    simulator.fault("status", status=200, body=said)

    found = await connect().client.get_deployment("d-1")

    assert found is not None
    assert (found.events[0].message, found.helm_release_name) == ("x-api-key [redacted] is refused", "x [redacted]")


async def test_a_build_request_is_not_said_to_be_sent_with_headers_either(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    await connect().client.create_build(a_build(), None)

    assert "httpcore.http11" in {record.name for record in caplog.records}
    assert CANARY not in caplog.text

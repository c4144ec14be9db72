"""Every way a call can end, against the faults of the simulator: what is raised, and what was done over there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.agentex.conftest import CANARY, Connect, a_build, a_deployment, posts, some_builds

from agentex_operator.agentex.client import AgentexClient, Deadlines
from agentex_operator.core.errors import ExternalError, Rejected, Throttled, Unauthorized, Unavailable
from agentex_simulator import SimulatorThread


@dataclass(frozen=True)
class Case:
    """A scripted fault, and what a create makes of it."""

    kind: str
    expected: type[ExternalError]
    script: dict[str, Any] = field(default_factory=dict)
    commits: int = 0

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{name}={str(value)[:20]}" for name, value in self.script.items())])


DEFINITE = [Case("status", Rejected, {"status": status}) for status in (400, 404, 413, 418, 422)]
REFUSED = [Case("status", Unauthorized, {"status": status}) for status in (401, 403)]
AMBIGUOUS = [
    *(Case("status", Unavailable, {"status": status}) for status in (408, 409, 500, 502, 503, 504)),
    *(Case("commit-then-500", Unavailable, {"status": status}, 1) for status in (500, 503)),
    *(Case("commit-then-drop-response", Unavailable, {"how": how}, 1) for how in ("rst", "fin")),
    *(Case("drop-before-commit", Unavailable, {"how": how}) for how in ("rst", "fin")),
    Case("drop-before-commit", Unavailable, {"after_body": True}),
    Case("html-502", Unavailable),
    Case("html-502", Unavailable, {"status": 200}),
    Case("html-502", Unavailable, {"status": 404}),
    Case("status", Unavailable, {"status": 204, "body": ""}),
    Case("truncated", Unavailable, commits=1),
    Case("wrong-content-length", Unavailable, commits=1),
    Case("empty-body", Unavailable, commits=1),
    *(Case("redirect", Unavailable, {"status": status, "location": "http://elsewhere.invalid/v5/builds"})
      for status in (301, 302, 307, 308)),
    Case("id", Unavailable, {"missing": True}, 1),
    *(Case("id", Unavailable, {"value": value}, 1) for value in (None, 7, "", "..", "../x", "a/b", "a b")),
    Case("id", Unavailable, {"length": 10_240}, 1),
    Case("slow", Unavailable, {"header_delay": 2}, 1),
    Case("slow", Unavailable, {"chunk": 1, "chunk_delay": 0.05}, 1),
]


@pytest.mark.parametrize("case", [*DEFINITE, *REFUSED, *AMBIGUOUS, Case("throttle", Throttled)], ids=str)
async def test_a_create_is_sent_once_and_its_answer_is_classified(
    case: Case, simulator: SimulatorThread, connect: Connect
) -> None:
    client = connect(deadlines=Deadlines(create=0.5)).client
    simulator.fault(case.kind, match={"method": "POST"}, **case.script)

    with pytest.raises(ExternalError) as raised:
        await client.create_build(a_build(), None)

    assert type(raised.value) is case.expected
    assert posts(simulator) == 1
    assert len(simulator.ledger()) == case.commits * 2  # the agent and its build


async def test_a_create_without_a_connection_is_ambiguous(connect: Connect) -> None:
    client = connect(endpoint="http://127.0.0.1:1").client

    with pytest.raises(Unavailable, match="POST /v5/builds"):
        await client.create_build(a_build(), None)


async def test_deployment_answers_are_classified_as_those_of_builds(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    (build,) = await some_builds(client, "bot")
    simulator.fault("commit-then-drop-response", match={"method": "POST"})

    with pytest.raises(Unavailable):
        await client.create_deployment(a_deployment(build.id))
    with pytest.raises(Rejected) as disagreeing:
        await client.create_deployment(a_deployment(build.id, agent="other"))

    assert disagreeing.value.status in (400, 422)
    assert posts(simulator, "/v5/agentex/deployments") == 2
    assert len(simulator.state()["deployments"]) == 1


async def test_a_redirect_is_explained_and_not_followed(simulator: SimulatorThread, client: AgentexClient) -> None:
    simulator.fault("redirect", location=f"{simulator.url}/v5/builds?here", forever=True)

    with pytest.raises(Unavailable, match="not followed because the API key would go along"):
        await client.probe()

    assert [call["query"] for call in simulator.calls()] == [{"limit": "1"}]


async def test_a_read_of_a_missing_object_is_none(simulator: SimulatorThread, client: AgentexClient) -> None:
    assert await client.get_build("nobody") is None
    assert await client.get_deployment("nobody") is None
    assert [call["status"] for call in simulator.calls()] == [404, 404]


async def test_a_404_from_a_proxy_is_not_taken_for_absence(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    simulator.fault("html-502", status=404, body="default backend - 404")

    with pytest.raises(Unavailable):
        await client.get_build("some-id")


@pytest.mark.parametrize("verb", ["cancel_build", "delete_deployment"])
async def test_a_removal_of_a_missing_object_is_rejected(verb: str, client: AgentexClient) -> None:
    with pytest.raises(Rejected) as gone:
        await getattr(client, verb)("nobody")

    assert gone.value.status == 404


@pytest.mark.parametrize("verb", ["cancel_build", "delete_deployment"])
@pytest.mark.parametrize("kind", ["outage", "html-502", "truncated", "drop-before-commit"])
async def test_a_removal_without_a_usable_answer_is_unavailable(
    verb: str, kind: str, simulator: SimulatorThread, client: AgentexClient
) -> None:
    (build,) = await some_builds(client, "bot")
    deployment = await client.create_deployment(a_deployment(build.id))
    simulator.fault(kind)

    with pytest.raises(Unavailable):
        await getattr(client, verb)(build.id if verb == "cancel_build" else deployment.id)


@pytest.mark.parametrize(
    ("wish", "understood"),
    [
        ("7", timedelta(seconds=7)),
        ("1.5", timedelta(seconds=1.5)),
        ("86400", timedelta(minutes=15)),
        ("0", None),
        ("-3", None),
        ("soon", None),
        ("Wed, 99 Foo 2026", None),
    ],
)
async def test_retry_after_is_bounded_and_garbage_is_none(
    wish: str, understood: timedelta | None, simulator: SimulatorThread, client: AgentexClient
) -> None:
    simulator.fault("throttle", retry_after=wish)

    with pytest.raises(Throttled) as throttled:
        await client.probe()

    assert throttled.value.retry_after == understood


async def test_retry_after_as_a_date_goes_by_the_servers_clock(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    an_hour = timedelta(hours=1)
    there = datetime.now(UTC) - an_hour  # noqa: TID251 - the remote's clock, an hour slow
    dates = {"Date": format_datetime(there, usegmt=True),
             "Retry-After": format_datetime(there + timedelta(seconds=90), usegmt=True)}
    simulator.fault("status", status=429, headers=dates)

    with pytest.raises(Throttled) as throttled:
        await client.probe()

    assert throttled.value.retry_after == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "the agent name is taken"}, "the agent name is taken"),
        ({"detail": [{"loc": ["body", "image_name"], "msg": "Field required"}]}, "body.image_name: Field required"),
        ({"message": "no such thing", "code": 7}, "no detail (application/json)"),
        ({"error": {"message": "deep"}}, "no detail (application/json)"),
        ("plain\n\ttext", "no detail (text/plain)"),
        ({"detail": f"the key {CANARY} is odd"}, "the key [redacted] is odd"),
        ({"detail": "x" * 495 + CANARY}, "x" * 495 + "[reda"),
        ({"detail": "login with password=hunter2 failed"}, "login with password=[redacted] failed"),
        ([1, 2], "no detail (application/json)"),
    ],
)
async def test_the_reason_of_a_refusal_is_found_bounded_and_free_of_the_key(
    body: object, said: str, simulator: SimulatorThread, client: AgentexClient
) -> None:
    simulator.fault("status", status=422, body=body)

    with pytest.raises(Rejected) as refused:
        await client.create_build(a_build(), None)

    assert refused.value.message == f"POST /v5/builds was answered with 422: {said}."
    assert CANARY[:5] not in refused.value.message


async def test_a_refusal_stands_even_when_its_body_breaks_off(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    simulator.fault("status", status=422)
    simulator.fault("wrong-content-length", delta=100)
    simulator.fault("slow", chunk=60, chunk_delay=0.02)  # so that the status has arrived before the connection ends

    with pytest.raises(Rejected):
        await client.create_build(a_build(), None)

"""The gate of an account, on a clock moved by hand: rate, Retry-After, breaker."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.agentex.conftest import CANARY, Connect, a_build, posts

from agentex_operator.agentex.gate import Gate, Rate
from agentex_operator.agentex.keys import ApiKey
from agentex_operator.core.errors import Throttled, Unauthorized
from agentex_simulator import SimulatorThread
from agentex_testkit.clocks import HandClock, run_ready_tasks

REFUSED = Unauthorized("The key is bad.", status=401)


async def admitted(gate: Gate, clock: HandClock, times: int, seconds: float) -> list[float]:
    """When each of so many requests was let through, in seconds from now."""
    began, passed = clock.seconds, list[float]()

    async def one() -> None:
        await gate.admit(reads=True)
        passed.append(round(clock.seconds - began, 6))

    tasks = [asyncio.create_task(one()) for _ in range(times)]
    await clock.advance(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return passed


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(clock: HandClock) -> None:
    gate = Gate(clock, Rate(requests_per_second=2, burst=3))

    assert await admitted(gate, clock, 6, 10) == [0, 0, 0, 0.5, 1.0, 1.5]


async def test_an_idle_account_accumulates_no_more_than_a_burst(clock: HandClock) -> None:
    gate = Gate(clock, Rate(requests_per_second=2, burst=3))
    await clock.advance(3600)

    assert await admitted(gate, clock, 4, 10) == [0, 0, 0, 0.5]


async def test_no_request_queues_longer_than_the_patience(clock: HandClock) -> None:
    gate = Gate(clock, Rate(requests_per_second=1, burst=1), patience=2)
    await admitted(gate, clock, 3, 0)

    with pytest.raises(Throttled) as throttled:
        await gate.admit(reads=True)

    assert throttled.value.retry_after == timedelta(seconds=3)


async def test_a_changed_rate_applies_to_the_next_requests(clock: HandClock) -> None:
    gate = Gate(clock, Rate(requests_per_second=1, burst=1))
    gate.set_rate(Rate(requests_per_second=10, burst=2))

    assert await admitted(gate, clock, 3, 10) == [0, 0, 0.1]


async def test_no_request_is_admitted_before_retry_after_is_over_not_even_a_queued_one(clock: HandClock) -> None:
    gate = Gate(clock, Rate(requests_per_second=1, burst=1))
    await gate.admit(reads=True)
    queued = asyncio.create_task(gate.admit(reads=True))
    await run_ready_tasks()

    gate.pause(timedelta(seconds=60))
    await clock.advance(59)
    with pytest.raises(Throttled):
        await queued
    with pytest.raises(Throttled) as held:
        await gate.admit(reads=False)
    await clock.advance(1)

    assert held.value.retry_after == timedelta(seconds=1)
    assert not (await gate.admit(reads=False)).probe


async def test_the_message_of_an_open_breaker_does_not_count_down(clock: HandClock) -> None:
    gate = Gate(clock, Rate(), probe_every=60)
    gate.record_result(await gate.admit(reads=False), REFUSED)
    said = []
    for _ in range(2):
        with pytest.raises(Unauthorized) as refused:
            await gate.admit(reads=True)
        said.append(refused.value.message)
        await clock.advance(10)

    assert said == [REFUSED.message] * 2


async def test_after_a_401_only_one_probe_per_interval_is_admitted(clock: HandClock) -> None:
    gate = Gate(clock, Rate(), probe_every=60)
    gate.record_result(await gate.admit(reads=False), REFUSED)

    with pytest.raises(Unauthorized):
        await gate.admit(reads=True)
    await clock.advance(60)
    with pytest.raises(Unauthorized):
        await gate.admit(reads=False)
    probe = await gate.admit(reads=True)
    with pytest.raises(Unauthorized):
        await gate.admit(reads=True)
    gate.record_result(probe, None)

    assert probe.probe
    assert gate.next_probe_in is None
    assert not (await gate.admit(reads=False)).probe


async def test_a_probe_without_an_answer_leaves_the_breaker_open(clock: HandClock) -> None:
    gate = Gate(clock, Rate(), probe_every=60)
    gate.record_result(await gate.admit(reads=False), REFUSED)
    await clock.advance(60)

    gate.record_result(await gate.admit(reads=True), Throttled("busy"))

    assert gate.next_probe_in == timedelta(seconds=60)


async def test_a_changed_key_closes_the_breaker_and_results_of_the_old_key_are_ignored(clock: HandClock) -> None:
    gate = Gate(clock, Rate())
    under_the_old_key = await gate.admit(reads=True)
    gate.record_result(await gate.admit(reads=True), REFUSED)

    gate.change_key()
    gate.record_result(under_the_old_key, REFUSED)

    assert gate.next_probe_in is None


async def test_a_call_under_way_when_the_breaker_opened_does_not_close_it(clock: HandClock) -> None:
    gate = Gate(clock, Rate())
    earlier = await gate.admit(reads=True)
    gate.record_result(await gate.admit(reads=True), REFUSED)

    gate.record_result(earlier, None)

    assert gate.next_probe_in is not None


async def test_a_rotated_key_stops_all_traffic_until_the_new_one_is_here(
    simulator: SimulatorThread, connect: Connect
) -> None:
    session = connect()
    simulator.set_keys("acct-1", "another-key")
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await session.client.probe()
    refused = len(simulator.calls())

    session.rekey(ApiKey("another-key\n"))
    await session.client.probe()

    assert refused == 1
    assert len(simulator.calls()) == 2


async def test_a_403_about_one_agent_does_not_stop_the_account(simulator: SimulatorThread, connect: Connect) -> None:
    session = connect()
    simulator.fault("status", status=403, match={"method": "POST"})

    with pytest.raises(Unauthorized):
        await session.client.create_build(a_build("secret"), None)
    await session.client.create_build(a_build("bot"), None)

    assert posts(simulator) == 2
    assert session.gate.next_probe_in is None


async def test_a_403_about_the_account_opens_the_breaker(simulator: SimulatorThread, connect: Connect) -> None:
    session = connect()
    simulator.fault("status", status=403, forever=True)

    for _ in range(3):
        with pytest.raises(Unauthorized):
            await session.client.create_build(a_build(), None)

    assert [call["method"] for call in simulator.calls()] == ["POST", "GET"]
    assert session.gate.next_probe_in is not None


async def test_retry_after_pauses_the_whole_account(simulator: SimulatorThread, connect: Connect) -> None:
    clock = HandClock()
    client = connect(clock=clock).client
    simulator.fault("throttle", retry_after="30")

    with pytest.raises(Throttled):
        await client.create_build(a_build(), None)
    with pytest.raises(Throttled):
        await client.probe()
    await clock.advance(30)
    await client.probe()

    assert [call["status"] for call in simulator.calls()] == [429, 200]


async def test_a_503_may_also_request_a_pause(simulator: SimulatorThread, connect: Connect) -> None:
    session = connect()
    simulator.fault("status", status=503, headers={"Retry-After": "30"})

    with pytest.raises(Exception, match="503"):
        await session.client.probe()

    assert timedelta(seconds=29) < session.gate.pause_left <= timedelta(seconds=30)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Rate(requests_per_second=0)


def test_a_key_does_not_appear_in_its_repr() -> None:
    key = ApiKey(f" {CANARY}\n")

    assert CANARY not in f"{key} {key!r}"
    assert key.reveal() == CANARY

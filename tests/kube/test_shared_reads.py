"""Shared reads: one call for all who ask at once, and nothing kept that should not be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.shared_reads import SharedReads
from agentex_testkit.clocks import HandClock, settle


class Source:
    """Answers when let, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.let = asyncio.Event()

    async def ask(self, path: str) -> dict[str, Any] | None:
        self.asked += 1
        await self.let.wait()
        if self.error:
            raise self.error
        return {"path": path, "asked": self.asked}


async def test_who_asks_at_the_same_time_shares_one_call() -> None:
    source = Source()
    reads = SharedReads(source.ask, HandClock(), 0)
    asking = [asyncio.create_task(reads.get("/a")) for _ in range(5)]
    await settle()
    source.let.set()

    assert await asyncio.gather(*asking) == [{"path": "/a", "asked": 1}] * 5
    await reads.get("/a")
    assert source.asked == 2


async def test_answers_are_kept_for_their_time_and_no_longer() -> None:
    source, clock = Source(), HandClock()
    source.let.set()
    reads = SharedReads(source.ask, clock, 2)
    for seconds in (0, 1.9, 0.2):
        await clock.advance(seconds)
        await reads.get("/a")

    assert source.asked == 2


async def test_what_was_asked_for_too_early_is_asked_for_again_and_then_kept() -> None:
    source, clock = Source(), HandClock()
    reads = SharedReads(source.ask, clock, 2)
    early = asyncio.create_task(reads.get("/a"))
    await clock.advance(1)
    late = [asyncio.create_task(reads.get("/a", since=clock.monotonic())) for _ in range(3)]
    await settle()
    source.let.set()

    assert await asyncio.gather(early, *late) == [{"path": "/a", "asked": 2}] * 4
    assert source.asked == 2
    await reads.get("/a", since=clock.monotonic())
    assert source.asked == 2
    await clock.advance(1)
    await reads.get("/a", since=clock.monotonic())
    assert source.asked == 3


async def test_an_answer_that_was_asked_for_earlier_and_comes_later_is_not_the_one_that_is_kept() -> None:
    clock, gates = HandClock(), [asyncio.Event(), asyncio.Event()]
    opening = iter(gates)

    async def ask(_path: str) -> dict[str, Any] | None:
        gate = next(opening)
        await gate.wait()
        return {"asked": gates.index(gate)}

    reads = SharedReads(ask, clock, 2)
    early = asyncio.create_task(reads.get("/a"))
    await clock.advance(1)
    late = asyncio.create_task(reads.get("/a", since=clock.monotonic()))
    await settle()
    gates[1].set()
    await settle()
    gates[0].set()

    assert [await early, await late, await reads.get("/a")] == [{"asked": 0}, {"asked": 1}, {"asked": 1}]


async def test_a_failure_reaches_all_and_is_not_kept() -> None:
    source = Source()
    source.error = Unavailable("away")
    reads = SharedReads(source.ask, HandClock(), 2)
    asking = [asyncio.create_task(reads.get("/a")) for _ in range(3)]
    await settle()
    source.let.set()
    assert [type(answer) for answer in await asyncio.gather(*asking, return_exceptions=True)] == [Unavailable] * 3

    source.error = None
    assert await reads.get("/a") is not None


async def test_when_the_asker_is_cancelled_another_asks_again() -> None:
    source = Source()
    reads = SharedReads(source.ask, HandClock(), 0)
    asker, *others = [asyncio.create_task(reads.get("/a")) for _ in range(3)]
    await settle()
    asker.cancel()
    await settle()
    source.let.set()

    assert await asyncio.gather(*others) == [{"path": "/a", "asked": 2}] * 2
    with pytest.raises(asyncio.CancelledError):
        await asker

"""Shared reads: one request for concurrent readers, and no answer cached longer than it may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.shared_reads import SharedReads
from agentex_testkit.clocks import HandClock, run_ready_tasks


class Source:
    """Answers once `released` is set, and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.error: Exception | None = None
        self.released = asyncio.Event()

    async def read(self, path: str) -> dict[str, Any] | None:
        self.requests += 1
        await self.released.wait()
        if self.error:
            raise self.error
        return {"path": path, "request": self.requests}


async def test_concurrent_readers_share_one_request() -> None:
    source = Source()
    reads = SharedReads(source.read, HandClock(), 0)
    reading = [asyncio.create_task(reads.get("/a")) for _ in range(5)]
    await run_ready_tasks()
    source.released.set()

    assert await asyncio.gather(*reading) == [{"path": "/a", "request": 1}] * 5
    await reads.get("/a")
    assert source.requests == 2


async def test_answers_are_cached_until_they_expire() -> None:
    source, clock = Source(), HandClock()
    source.released.set()
    reads = SharedReads(source.read, clock, 2)
    for seconds in (0, 1.9, 0.2):
        await clock.advance(seconds)
        await reads.get("/a")

    assert source.requests == 2


async def test_an_answer_older_than_since_is_read_again_and_then_cached() -> None:
    source, clock = Source(), HandClock()
    reads = SharedReads(source.read, clock, 2)
    early = asyncio.create_task(reads.get("/a"))
    await clock.advance(1)
    late = [asyncio.create_task(reads.get("/a", since=clock.monotonic())) for _ in range(3)]
    await run_ready_tasks()
    source.released.set()

    assert await asyncio.gather(early, *late) == [{"path": "/a", "request": 2}] * 4
    assert source.requests == 2
    await reads.get("/a", since=clock.monotonic())
    assert source.requests == 2
    await clock.advance(1)
    await reads.get("/a", since=clock.monotonic())
    assert source.requests == 3


async def test_an_answer_to_an_older_request_does_not_replace_a_newer_one_in_the_cache() -> None:
    clock, gates = HandClock(), [asyncio.Event(), asyncio.Event()]
    opening = iter(gates)

    async def read(_path: str) -> dict[str, Any] | None:
        gate = next(opening)
        await gate.wait()
        return {"request": gates.index(gate)}

    reads = SharedReads(read, clock, 2)
    early = asyncio.create_task(reads.get("/a"))
    await clock.advance(1)
    late = asyncio.create_task(reads.get("/a", since=clock.monotonic()))
    await run_ready_tasks()
    gates[1].set()
    await run_ready_tasks()
    gates[0].set()

    assert [await early, await late, await reads.get("/a")] == [{"request": 0}, {"request": 1}, {"request": 1}]


async def test_a_failure_is_raised_to_all_readers_and_not_cached() -> None:
    source = Source()
    source.error = Unavailable("away")
    reads = SharedReads(source.read, HandClock(), 2)
    reading = [asyncio.create_task(reads.get("/a")) for _ in range(3)]
    await run_ready_tasks()
    source.released.set()
    assert [type(answer) for answer in await asyncio.gather(*reading, return_exceptions=True)] == [Unavailable] * 3

    source.error = None
    assert await reads.get("/a") is not None


async def test_when_the_reader_that_sent_the_request_is_cancelled_another_one_sends_it_again() -> None:
    source = Source()
    reads = SharedReads(source.read, HandClock(), 0)
    sender, *others = [asyncio.create_task(reads.get("/a")) for _ in range(3)]
    await run_ready_tasks()
    sender.cancel()
    await run_ready_tasks()
    source.released.set()

    assert await asyncio.gather(*others) == [{"path": "/a", "request": 2}] * 2
    with pytest.raises(asyncio.CancelledError):
        await sender


async def test_an_answer_that_was_requested_before_a_change_is_neither_shared_nor_cached_after_it() -> None:
    source = Source()
    reads = SharedReads(source.read, HandClock(), 2)
    before = asyncio.create_task(reads.get("/a"))
    await run_ready_tasks()
    reads.forget("/a")
    after = asyncio.create_task(reads.get("/a"))
    await run_ready_tasks()
    source.released.set()

    assert [await before, await after] == [{"path": "/a", "request": 2}] * 2
    assert source.requests == 2


@pytest.mark.parametrize("everything", [False, True])
async def test_an_answer_that_comes_after_it_was_forgotten_is_not_cached(everything: bool) -> None:
    source = Source()
    reads = SharedReads(source.read, HandClock(), 2)
    before = asyncio.create_task(reads.get("/a"))
    await run_ready_tasks()
    if everything:
        reads.forget_all()
    else:
        reads.forget("/a")
    source.released.set()
    await before
    await reads.get("/a")

    assert source.requests == 2

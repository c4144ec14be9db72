"""Coalescing of listings: one at a time, and all that ask while it waits to begin share it.

    asked ──► the round under way covers the request ──► its result
      └─────► else: the round that has not begun ──► begins after the one under way, and a pause ──► all who joined

The pause grows with the time that a listing takes: where many resources ask for fresh listings, more of them share one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentex_operator.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from agentex_operator.agentex.gate import MonotonicClock
    from agentex_operator.agentex.watch_request import Coverage, FreshnessBound, WatchRequest

PAUSE = 3.0          # times the time that a listing took until the next one begins: listings take a quarter of the time
LONGEST_PAUSE = 2.0  # seconds


@dataclass(slots=True)
class Round:
    """One shared listing. `asked`: the requests that joined, each with the moment to which it must go back.

    `coverage` is what the listing is to cover; None until it begins.
    """

    task: asyncio.Task[None] = field(init=False)
    asked: list[tuple[WatchRequest, datetime]] = field(default_factory=list)
    coverage: Coverage | None = None


class SharedRounds:
    """The round under way and the next one. `read_listing` makes the listing of a round, and sets its coverage."""

    def __init__(self, read_listing: Callable[[Round], Awaitable[None]], clock: MonotonicClock) -> None:
        self._read_listing = read_listing
        self._clock = clock
        self._not_before = 0.0  # when the next round may begin (monotonic, seconds)
        self._running: Round | None = None
        self._waiting: Round | None = None

    @property
    def idle(self) -> bool:
        """Whether no listing is under way and none is waiting to begin."""
        return self._running is None and self._waiting is None

    async def listed(self, request: WatchRequest, back_to: datetime, bound: FreshnessBound) -> None:
        """Return when a listing that began within the bound has covered this request. Raises what it raised."""
        running = self._running
        if (running and running.coverage and running.coverage.serves(request, back_to)
                and bound.allows(running.coverage)):
            running.asked.append((request, back_to))
            await _ended(running)
        else:
            await _ended(self._next((request, back_to)))

    async def next_listing(self) -> None:
        """Return when the next listing has ended. Raises what it raised."""
        await _ended(self._next())

    async def close(self) -> None:
        """Cancel the listings; the requests that wait for them get Unavailable."""
        tasks = [round_.task for round_ in (self._running, self._waiting) if round_ is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _next(self, *asked: tuple[WatchRequest, datetime]) -> Round:
        """The round that has not begun; it begins when the one under way has ended."""
        if self._waiting is None:
            self._waiting = Round()
            self._waiting.task = asyncio.create_task(self._hold(self._waiting, self._running), name="listing")
            self._waiting.task.add_done_callback(_retrieve_error)
        self._waiting.asked.extend(asked)
        return self._waiting

    async def _hold(self, round_: Round, before: Round | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before.task])
            if (pause := self._not_before - self._clock.monotonic()) > 0:
                await self._clock.sleep(pause)
        finally:
            self._running, self._waiting = round_, None
        began = self._clock.monotonic()
        try:
            await self._read_listing(round_)
        finally:
            ended = self._clock.monotonic()
            self._not_before = ended + min(PAUSE * (ended - began), LONGEST_PAUSE)
            self._running = None


async def _ended(round_: Round) -> None:
    """Wait for a round; the waiter's cancellation does not cancel the round. Raises what the round raised."""
    await asyncio.wait([round_.task])
    if round_.task.cancelled():
        raise Unavailable("The account is not in use any more.")
    round_.task.result()


def _retrieve_error(task: asyncio.Task[None]) -> None:
    """Retrieve the task's error: its waiters may have been cancelled, and asyncio logs errors never retrieved."""
    if not task.cancelled():
        task.exception()

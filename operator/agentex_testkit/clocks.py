"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agentex_operator.clock import Clock, Timer

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class HandTimer:
    """A timer of the clock below."""

    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Never call back."""
        self.cancelled = True


@dataclass
class HandClock(Clock):
    """Stands still until `advance`, which calls back what becomes due, in order, and lets tasks run in between."""

    seconds: float = 1000.0
    timers: list[tuple[float, int, HandTimer]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)

    def now(self) -> datetime:
        """The clock's own time of day."""
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """The clock's own seconds."""
        return self.seconds

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back when `advance` has moved the clock so far."""
        timer = HandTimer(callback)
        heapq.heappush(self.timers, (self.seconds + seconds, next(self.order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Return when `advance` has moved the clock so far."""
        woken = asyncio.Event()
        self.call_later(seconds, woken.set)
        await woken.wait()

    @property
    def armed(self) -> int:
        """How many timers are not due yet."""
        return sum(not timer.cancelled for _, _, timer in self.timers)

    async def advance(self, seconds: float) -> None:
        """Move the clock forward, calling back every timer that is due on the way, in order."""
        await run_ready_tasks()
        until = self.seconds + seconds
        while self.timers and self.timers[0][0] <= until:
            at, _, timer = heapq.heappop(self.timers)
            self.seconds = max(self.seconds, at)
            if not timer.cancelled:
                timer.callback()
            await run_ready_tasks()
        self.seconds = until
        await run_ready_tasks()


async def run_ready_tasks() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)

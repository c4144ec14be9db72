"""What is due later: one heap, run by one task and before every call."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress

Action = Callable[[], None]


class Timeline:
    """Actions ordered by the steady second they are due at."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._heap: list[tuple[float, int, Action]] = []
        self._ticket = itertools.count()
        self._changed = asyncio.Event()
        self._open = True

    def after(self, seconds: float, action: Action) -> None:
        """Run `action` once, `seconds` from now."""
        heapq.heappush(self._heap, (self._elapsed() + seconds, next(self._ticket), action))
        self._changed.set()

    def run_due(self) -> None:
        """Run what is due, oldest first."""
        while self._heap and self._heap[0][0] <= self._elapsed():
            heapq.heappop(self._heap)[2]()

    def close(self) -> None:
        """Forget everything that was planned; whoever follows stops."""
        self._open = False
        self._heap.clear()
        self._changed.set()

    async def follow(self) -> None:
        """Run things as they fall due, until closed."""
        while self._open:
            self.run_due()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next()):
                    await self._changed.wait()

    def _until_next(self) -> float | None:
        return max(0.0, self._heap[0][0] - self._elapsed()) if self._heap else None
